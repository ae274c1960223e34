"""The search for files that harm the readers runs, and finds what is there to find."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.documents import Document, Mark, read_document
from engine.errors import DocumentError
from tests.fuzz import oracle, pdfs, texts, words
from tests.fuzz.oracle import Finding, look

ROOT = Path(__file__).parents[2]
# Put at the end of documents.py in a copy of the project.
FAULTY = """
_sound = read_document


def read_document(source, *others, **more):
    size = Path(source).stat().st_size
    if size % 3 == 1:
        {fault}
    return _sound(source, *others, **more)
"""


def search(root: Path, out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", "--out", str(out), "--seed", "7", *flags]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)


def test_a_short_search_finds_nothing(tmp_path):
    run = search(ROOT, tmp_path, "--minutes", "0.05")
    assert (run.returncode, run.stderr) == (0, "")
    for reader in ("txt", "pdf", "docx"):
        assert re.search(rf"^{reader} by hypothesis: [1-9]", run.stdout, re.MULTILINE)
    assert run.stdout.rstrip().endswith(" inputs, 0 findings")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("raise KeyError(size)", "KeyError at documents.py:"),
        ("os.abort()", "the process ended with status -6"),
        ("while True: pass", "more than 0.3 s of the processor"),
        ("bytes(2**30)", "MemoryError at documents.py:"),
    ],
)
def test_a_reader_with_a_fault_is_found_out(tmp_path, fault, seen):
    for name in ("engine", "tests/fuzz", "tests/data"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "engine" / "documents.py").open("a", encoding="utf-8") as file:
        file.write(FAULTY.format(fault=fault))
    out = tmp_path / "out"
    run = search(tmp_path, out, "--minutes", "0.05", "--reader", "txt", "--input-seconds", "0.3")
    assert run.returncode == 1, run.stderr
    found = list(out.glob("txt-hypothesis-*.txt.seen.txt")) or list(out.glob("*.seen.txt"))
    assert any(path.read_text("utf-8").startswith(seen) for path in found), run.stdout
    inputs = [path for path in out.iterdir() if not path.name.endswith(".seen.txt")]
    assert inputs
    assert all(path.stat().st_size % 3 == 1 for path in inputs)
    if "Error" in seen:
        assert len(inputs) == 1, "the same fault is told once"


@pytest.mark.parametrize(
    ("text", "marks"),
    [(" ", ()), ("a\0", ()), ("a\r\n", ()), ("\ud800", ()), ("abc", (3,)), ("abc", (2, 1)), ("abc", (-1,))],
)
def test_a_document_that_is_not_sound_is_a_finding(tmp_path, monkeypatch, text, marks):
    document = Document("input.txt", text, tuple(Mark(start, 1) for start in marks))
    monkeypatch.setattr(oracle, "read_document", lambda *_: document)
    with pytest.raises(Finding):
        look(tmp_path / "input", ".txt")


@pytest.mark.parametrize(("made_by", "suffix"), [(texts, ".txt"), (pdfs, ".pdf"), (words, ".docx")])
def test_most_files_that_the_search_starts_from_are_read(made_by, suffix):
    read = 0
    for data in made_by.seeds():
        try:
            read += bool(read_document(data, f"input{suffix}").text)
        except DocumentError:
            assert suffix == ".txt"
    assert read > len(made_by.seeds()) * 0.8
