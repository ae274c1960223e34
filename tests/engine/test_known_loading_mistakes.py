"""Mistakes in loading models that are known from the original MemoRAG and that no other test would notice."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from engine import MemoRAG, MemoRAGLite, Memory, Model
from engine.hardware import SDPA, detect
from engine.prompt import en_prompts
from tests.hub_server import HubServer
from tests.pipelines import QUESTION, SHORT

ROOT = Path(__file__).parents[2]
PIPELINES = [MemoRAG, MemoRAGLite]


def test_the_name_of_a_folder_decides_nothing(tiny_model, tiny_model_dir, tmp_path, hardware32):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "TommyChien" / "memorag-mistral-Chinese-beacon")
    model = Model(str(folder), hardware=hardware32)
    assert model.decoder.beacons is None
    assert model.decoder.shares_prefix
    assert {part.weight.dtype for part in model.net.modules() if isinstance(part, torch.nn.Linear)} == {torch.float32}
    assert model.fingerprint == tiny_model.fingerprint
    assert Memory(model).prompts is en_prompts
    assert model.generate(QUESTION, 8) == tiny_model.generate(QUESTION, 8)


def test_a_gpu_without_bfloat16_gets_half_precision_and_plain_attention(monkeypatch):
    older = {"is_available": True, "get_device_name": "T4", "get_device_capability": (7, 5), "is_bf16_supported": False}
    for name, value in older.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value, **__: value)
    found = detect(threads=torch.get_num_threads())
    assert (found.device, found.dtype, found.attention, found.four_bit) == ("cuda", "float16", SDPA, False)
    assert "float16, because this GPU lacks bfloat16" in found.reasons


@pytest.mark.models
def test_four_bits_are_for_the_model_and_not_for_the_retriever(tiny_model_dir):
    import bitsandbytes

    pipeline = MemoRAGLite(str(tiny_model_dir), load_in_4bit=True)
    nets = (pipeline.model.net, pipeline.encoder._net)
    packed = [sum(isinstance(part, bitsandbytes.nn.Linear4bit) for part in net.modules()) for net in nets]
    assert packed == [3 * 7, 0]
    assert pipeline(QUESTION, SHORT, max_new_tokens=4)


LOADING = """
import sys
from engine import DenseRetriever, MemoRAG, MemoRAGLite, Memory, Model
asked = {"cache_dir": sys.argv[1], "access_token": "hf_right"}
MemoRAG("one/memory", "one/retriever", "one/generator", **asked)
MemoRAGLite("two/generator", "two/retriever", **asked)
Memory("three/memory", **asked), Model("three/model", **asked), DenseRetriever("three/retriever", **asked)
"""


def test_the_token_and_the_cache_folder_reach_every_model(tiny_model_dir, tmp_path):
    files = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir()}
    names = re.findall(r'"(\w+/\w+)"', LOADING)
    assert len(names) == 8
    with HubServer({name: {"main": files} for name in names}, private=frozenset(names)) as server:
        hub = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "no_proxy": "127.0.0.1"}
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | hub
        command = [sys.executable, "-c", LOADING, str(tmp_path / "own")]
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(list((tmp_path / "own" / "hub").glob("models--*"))) == 8
    assert not list(tmp_path.glob("home/hub/models--*"))


def required(file: str) -> dict[str, Requirement]:
    lines = (ROOT / file).read_text("utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    return {requirement.name.lower(): requirement for requirement in found}


def brought(names: set[str]) -> set[str]:
    """The distributions that come with these, themselves included."""
    found: set[str] = set()
    while names:
        name = names.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            needs = map(Requirement, importlib.metadata.requires(name) or [])
            names |= {need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})}
    return found


def test_what_the_engine_imports_is_required_and_gpu_extras_are_not():
    extras = {"flash-attn", "minference", "triton", "deepspeed", "faiss-gpu", "pynvml", "nvidia-ml-py"}
    assert not extras & set(required("requirements.txt"))
    modules = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "engine").glob("*.py")]
    nodes = [node for module in modules for node in ast.walk(module)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    used = {name.partition(".")[0] for name in names} - {"engine"} - sys.stdlib_module_names
    used -= {"matplotlib"}  # drawing is for who measures: plot.py says what to install where it is missing
    homes = importlib.metadata.packages_distributions()
    there = brought(set(required("requirements.txt")))
    assert not [name for name in used if not {home.lower().replace("_", "-") for home in homes[name]} & there]
