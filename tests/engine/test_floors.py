"""The house: which room may use which, and what only one room may do. Read from the source, so nothing can hide."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parents[2]
# Lowest first; a module imports only from modules before it.
FLOORS = (
    "errors",
    "events",
    "prompt",
    "hardware",
    "settings",
    "download",
    "hub",
    "readers",
    "encodings",
    "plain",
    "printed",
    "pdf",
    "archive",
    "word",
    "documents",
    "alone",
    "apart",
    "page_marks",
    "page_drawing",
    "page_image",
    "token_counts",
    "chunking",
    "language",
    "verification",
    "storage",
    "sampling",
    "sparse",
    "prefix",
    "kv",
    "beacon_prefix",
    "beacon_weights",
    "beacon",
    "linear",
    "attention",
    "forward",
    "turns",
    "decoding",
    "model",
    "clues",
    "recall",
    "memory",
    "api_errors",
    "api_models",
    "api_client",
    "api_chat",
    "agent",
    "agent_memory",
    "extract",
    "stretches",
    "gist",
    "sentence_net",
    "encoder",
    "tongues",
    "postings",
    "lexical",
    "strategy",
    "retrieval",
    "ranking",
    "reranking",
    "figures",
    "claims",
    "sentences",
    "support",
    "markers",
    "thoughts",
    "citation",
    "coverage",
    "focus",
    "memorized",
    "bundle",
    "checkpoint",
    "silence",
    "evidence",
    "request",
    "grounding",
    "wording",
    "names",
    "leaning_zh",
    "leaning_en",
    "leaning",
    "conversation",
    "followups",
    "ask",
    "memorizer",
    "memorizers",
    "holder",
    "pipeline",
    "memorag",
    "memorag_lite",
    "forecast",
    "intervals",
    "metrics",
    "journal",
    "questions",
    "variants",
    "trial",
    "command",
    "evaluation",
    "report",
    "plot",
    "evaluate",
    "__main__",
    "__init__",
)
HEAVY = {"torch", "faiss", "openai", "transformers", "gradio", "sentence_transformers", "bm25s", "pypdf", "docx"}
GPU_WORDS = re.compile(r"\b(cuda|flash_attn|bitsandbytes|minference)\b")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def engine_files() -> dict[str, ast.Module]:
    return {path.stem: tree(path) for path in sorted((ROOT / "engine").glob("*.py"))}


ENGINE = engine_files()


def imports(module: ast.Module) -> Iterator[str]:
    """Yield the dotted name of everything imported, wherever in the file; names taken from a package are spelt out."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here, so that this test can read them"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (str(arg.value) for arg in node.args if isinstance(arg, ast.Constant))


def packages(module: ast.Module) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)}


def docstrings(module: ast.Module) -> set[int]:
    """The identities of the constants that are docstrings, attribute docstrings included."""
    return {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}


def spoken(module: ast.Module) -> Iterator[str]:
    """Yield every name, attribute, argument, import and string of the code; comments and docstrings say nothing."""
    silent = docstrings(module)
    yield from imports(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.value


def test_every_module_has_a_floor():
    assert set(FLOORS) == set(ENGINE)
    assert len(FLOORS) == len(set(FLOORS))
    assert {path.stem for path in (ROOT / "engine").rglob("*.py")} == set(ENGINE), "the engine has no sub-packages"


@pytest.mark.parametrize("name", FLOORS)
def test_a_module_imports_only_from_lower_floors(name):
    used = {path.split(".")[1] for path in imports(ENGINE[name]) if path.startswith("engine.")}
    above = used - set(FLOORS[: FLOORS.index(name)])
    assert not above, f"{name} reaches up to {sorted(above)}"


@pytest.mark.parametrize("name", FLOORS)
def test_the_engine_knows_neither_the_page_nor_the_demo(name):
    assert not packages(ENGINE[name]) & {"gradio", "demo", "app"}


@pytest.mark.parametrize("name", sorted(set(FLOORS) - {"settings"}))
def test_only_settings_reads_the_environment(name):
    words = {word for text in spoken(ENGINE[name]) for word in text.split(".")}
    assert not words & {"environ", "environb", "getenv", "getenvb", "expandvars"}


@pytest.mark.parametrize("name", sorted(set(FLOORS) - {"hardware"}))
def test_only_hardware_names_gpu_parts(name):
    named = {text for text in spoken(ENGINE[name]) if GPU_WORDS.search(text)}
    assert not named


def test_the_search_for_gpu_names_finds_those_in_hardware():
    found = {match for text in spoken(ENGINE["hardware"]) for match in GPU_WORDS.findall(text)}
    assert {"cuda", "flash_attn", "bitsandbytes"} <= found


@pytest.mark.parametrize("name", FLOORS)
def test_the_engine_never_prints(name):
    calls = [ast.unparse(node.func) for node in ast.walk(ENGINE[name]) if isinstance(node, ast.Call)]
    assert "print" not in calls


@pytest.mark.parametrize("name", FLOORS)
def test_nothing_that_comes_with_a_model_or_a_bundle_is_executed(name):
    assert not packages(ENGINE[name]) & {"pickle", "marshal", "shelve", "dill", "joblib"}
    calls = {ast.unparse(node.func) for node in ast.walk(ENGINE[name]) if isinstance(node, ast.Call)}
    assert not calls & {"eval", "exec", "compile", "torch.load", "np.load"}
    trusting = [
        keyword
        for node in ast.walk(ENGINE[name])
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "trust_remote_code" and ast.unparse(keyword.value) != "False"
    ]
    assert not trusting


def test_only_the_page_and_its_api_import_gradio():
    users = {path.name for path in (ROOT / "demo").rglob("*.py") if "gradio" in packages(tree(path))}
    assert users == {
        "ui.py",
        "layout.py",
        "wiring.py",
        "page.py",
        "chats.py",
        "talk.py",
        "choosing.py",
        "documents.py",
        "parts.py",
        "api.py",
        "i18n.py",
        "connecting.py",
        "tools.py",
        "given.py",
        "publishing.py",
    }


def loaded_by(code: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_engine_loads_nothing_heavy():
    assert not loaded_by("import engine") & HEAVY


def test_using_documents_loads_nothing_heavy():
    assert not loaded_by("from engine import Document; Document('a', 'b')") & HEAVY


def test_an_agent_needs_no_local_models():
    assert not loaded_by("from engine import Agent") & (HEAVY - {"openai"})


def test_the_public_names_are_what_can_be_imported():
    assert sorted(engine.__all__) == engine.__all__ == dir(engine)
    assert set(engine._HOMES) == set(engine.__all__)
    for name in engine.__all__:
        assert getattr(engine, name).__name__ == name
        assert getattr(engine, name) is getattr(importlib.import_module(engine._HOMES[name]), name)


def test_type_checkers_see_the_same_public_names():
    seen = {path.rpartition(".")[2] for path in imports(ENGINE["__init__"]) if path.startswith("engine.")}
    assert seen == set(engine.__all__)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'Nothing'; it has Agent, .*Model"):
        _ = engine.Nothing
