"""The command line: memorise, ask and describe a bundle, each as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.documents import Document
from engine.errors import ModelError
from engine.memorag_lite import MemoRAGLite

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"

pytestmark = pytest.mark.models


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def bundle(engine_models, tmp_path_factory) -> Path:
    """A bundle of two files, as the command line makes it."""
    folder = tmp_path_factory.mktemp("cli") / "light"
    made = run("memorize", DATA / "lighthouse.pdf", DATA / "lighthouse.docx", "--save", folder, "--json")
    assert made.returncode == 0, made.stderr
    facts = json.loads(made.stdout)
    assert facts["documents"] == ["lighthouse.pdf", "lighthouse.docx"]
    assert facts["bundle"] == str(folder)
    assert facts["language"] == "en"
    assert facts["chunks"] > 4
    assert facts["memory_tokens"] > 500
    return folder


def test_a_question_is_answered_with_its_evidence(bundle):
    asked = run("ask", bundle, "How many steps must a visitor climb to the lantern room?", "--max-new-tokens", "48")
    assert asked.returncode == 0, asked.stderr
    answer, _, evidence = asked.stdout.partition("\n\n[1] ")
    assert "[" in answer, "the answer cites"
    assert "lighthouse.pdf, page" in evidence
    assert "Traceback" not in asked.stderr


def test_an_answer_as_json_holds_everything(bundle):
    asked = run("ask", bundle, "--task", "summarize", "--max-new-tokens", "32", "--json")
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["text"]
    assert answer["evidence"][0]["document"].startswith("lighthouse.")
    assert {"clues", "timings", "tokens", "truncated"} <= set(answer)


def test_info_says_what_a_bundle_holds(bundle, capsys):
    assert main(["info", str(bundle)]) == 0
    told = capsys.readouterr().out
    assert "documents: lighthouse.pdf, lighthouse.docx\n" in told
    assert "memory model: HuggingFaceTB/SmolLM2-135M-Instruct\n" in told
    assert main(["info", str(bundle), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "memorag-lite"
    assert facts["retriever"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert facts["bytes"] == sum(path.stat().st_size for path in bundle.iterdir() if path.name != "manifest.json")


def test_info_finds_a_damaged_bundle(bundle, tmp_path, capsys):
    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = (bundle / "memory.bin").read_bytes()
    for damaged, found in ((whole[:-1], f"{len(whole) - 1} bytes"), (whole[:-1] + b"?", "the checksum")):
        (tmp_path / "memory.bin").write_bytes(damaged)
        assert main(["info", str(tmp_path)]) == 1
        told = capsys.readouterr()
        assert f"memory.bin has {found}" in told.err
        assert told.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["memorize", "nowhere.txt", "--save", "{tmp}/b"], '"nowhere.txt" is not there'),
        (["memorize", str(DATA / "lighthouse.txt"), "--save", "{tmp}/b", "--threads", "many"], "give a number"),
        (["ask", "{tmp}/none", "Who?"], "There is no bundle in 'none'"),
        (["ask", "{tmp}/none", "Who?", "--rerank", "-1"], "rerank -1"),
        (["info", "{tmp}"], "There is no bundle"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(arguments, words, tmp_path, capsys):
    assert main([argument.replace("{tmp}", str(tmp_path)) for argument in arguments]) == 1
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
    assert "Traceback" not in told.err
    assert not list(tmp_path.iterdir())


def test_a_reader_that_leaves_early_is_no_failure_to_speak_of(bundle):
    command = f'"{sys.executable}" -m engine info "{bundle}" | true'
    ran = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stderr == ""


def test_names_that_a_terminal_cannot_show_or_must_not_obey_are_made_harmless(engine_models, tmp_path):
    pipeline = MemoRAGLite(*engine_models)
    pipeline.memorize(Document("ni\u00f1o \x1b[31m.txt", "The keeper was Isolde Marrick."), save_dir=tmp_path / "b")
    command = [sys.executable, "-m", "engine", "info", str(tmp_path / "b")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert b"documents: ni?o [31m.txt" in ran.stdout


def test_a_question_is_asked_for(bundle, capsys):
    assert main(["ask", str(bundle)]) == 1
    assert "question is empty" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [1, 2.5, 6])
def test_ctrl_c_ends_memorising_at_any_moment_and_leaves_nothing_behind(seconds, tmp_path):
    long = tmp_path / "long.txt"
    text = (DATA / "lighthouse.txt").read_text("utf-8")
    long.write_text("\n\n".join(f"Part {n}. {text}" for n in range(60)), "utf-8")
    command = [sys.executable, "-m", "engine", "memorize", str(long), "--save", str(tmp_path / "bundle")]
    # Where these tests run in the background, interrupts are ignored, which a child would inherit.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeding
    ) as process:
        time.sleep(seconds)
        assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "Stopped." in told
    assert "Traceback" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["long.txt"]


def test_what_an_interrupt_became_on_its_way_is_still_an_interrupt(monkeypatch, tmp_path, capsys):
    def passes_it_on_as_its_own(*_):
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException as error:
            raise ModelError("The model could not be loaded.") from error

    monkeypatch.setattr("engine.__main__._info", passes_it_on_as_its_own)
    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["info", str(tmp_path)]) == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, heeded)
    assert "Stopped." in capsys.readouterr().err
