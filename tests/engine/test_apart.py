"""A file of a stranger is read in a process of its own, which can do no more harm than to fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from engine.apart import read_apart
from engine.documents import Document, Limits, read_document
from engine.errors import Cancelled, DocumentError, PasswordError
from engine.events import Progress, Stop
from tests.fuzz import pdfs
from tests.scratch import nothing_left  # noqa: F401 - holds for every test here

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
MB = 2**20
LINE = b"(The same line again and again) Tj 0 -14 Td "


@pytest.fixture
def endless(tmp_path):
    """A PDF of 110 KB that takes many minutes: 5,000 pages that are one and the same long page."""
    path = tmp_path / "endless.pdf"
    path.write_bytes(pdfs.pages(pdfs.stream(b"BT /F 12 Tf 72 700 Td " + LINE * 1000 + b"ET", deflate=True), 5000))
    return path


def child() -> psutil.Process:
    """The process that reads, once it is confined."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for one in psutil.Process().children():  # servers of other tests may be among them
            with suppress(psutil.Error, OSError):
                is_ours = any("engine.alone" in part for part in one.cmdline())
                if is_ours and "NoNewPrivs:\t1" in Path(f"/proc/{one.pid}/status").read_text():
                    return one
        time.sleep(0.01)
    raise AssertionError("nobody reads")


@contextmanager
def being_read(path: Path, *arguments: object) -> Iterator[tuple[psutil.Process, Future[Document], Stop]]:
    """A file that is being read while the block runs, and no longer."""
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_apart, path, *arguments, stop=stop)
        try:
            yield child(), reading, stop
        finally:
            stop.set()


def refused(path: Path, *arguments: object, **options: object) -> str:
    with pytest.raises(DocumentError) as caught:
        read_apart(path, *arguments, **options)
    message = str(caught.value)
    assert message.startswith(f'"{path.name}"')
    assert message.count(". ") <= 1, "one or two sentences"
    return message


@pytest.mark.parametrize("suffix", ["txt", "pdf", "docx"])
def test_a_document_is_the_same_as_when_it_is_read_in_this_process(suffix):
    path = DATA / f"lighthouse.{suffix}"
    assert read_apart(path) == read_document(path)
    assert read_apart(str(path), "../Turm é.txt" if suffix == "txt" else None).name in ("Turm é.txt", path.name)


def test_progress_comes_while_the_file_is_read(endless):
    seen: list[Progress] = []
    refused(endless, limits=Limits(max_seconds=1.5), on_progress=seen.append)
    assert len(seen) > 2
    assert {(step.stage, step.total) for step in seen} == {("reading", 5000)}
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert all(step.eta is not None and step.eta > 1 for step in seen)


def test_the_last_progress_says_that_all_is_read():
    seen: list[Progress] = []
    read_apart(DATA / "lighthouse.pdf", on_progress=seen.append)
    assert seen[-1].done == seen[-1].total == 3


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.pdf", b"%PDF-1.4 nothing"), ("a.docx", b"PK"), ("a.txt", b" \n"), ("a.md", b"x"), ("b.txt", None)],
)
def test_a_refusal_is_what_it_would_be_in_this_process(tmp_path, name, data):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DocumentError) as here:
        read_document(path)
    assert refused(path) == str(here.value)


def test_a_password_is_asked_for_and_used(tmp_path):
    path = tmp_path / "sealed.pdf"
    path.write_bytes(pdfs.sealed("secret"))
    for wrong in (None, "guess"):
        with pytest.raises(PasswordError) as caught:
            read_apart(path, password=wrong)
        assert "secret" not in str(caught.value)
    assert "lamp" in read_apart(path, password="secret").text


def test_a_file_that_takes_too_long_is_given_up(endless):
    began = time.monotonic()
    message = refused(endless, limits=Limits(max_seconds=0.5))
    assert "took longer than 0.5 s to read. Split it" in message
    assert time.monotonic() - began < 1.5


def test_reading_stops_at_once(endless):
    with being_read(endless) as (process, reading, stop):
        began = time.monotonic()
        stop.set()
        with pytest.raises(Cancelled):
            reading.result()
        assert time.monotonic() - began < 3
        assert not process.is_running()


def test_a_file_that_unpacks_to_more_than_the_memory_is_given_up(tmp_path):
    path = tmp_path / "bomb.pdf"
    path.write_bytes(pdfs.pages(pdfs.stream(b" " * (60 * MB), deflate=True)))
    assert path.stat().st_size < MB
    message = refused(path, limits=Limits(max_memory_bytes=150 * MB))
    assert "takes more than 150.0 MB of memory to read" in message


@pytest.mark.parametrize(
    ("sign", "words"),
    [
        (signal.SIGSEGV, "made its reader crash"),
        (signal.SIGABRT, "made its reader crash"),
        (signal.SIGKILL, "takes more than 3,072.0 MB of memory"),
        (signal.SIGXCPU, "took longer than 300 s"),
    ],
)
def test_a_crash_costs_that_file_alone(endless, sign, words):
    with being_read(endless) as (process, reading, _):
        process.send_signal(sign)
        with pytest.raises(DocumentError, match=words):
            reading.result()


def test_the_process_is_confined_before_it_reads(endless, scratch, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with being_read(endless, "shown.pdf", Limits(max_seconds=60), "the password") as (process, _, _):
        assert process.environ() == {"TMPDIR": process.cwd()}
        assert Path(process.cwd()).parent == scratch
        assert Path(process.cwd()).stat().st_mode & 0o777 == 0o700
        assert not [word for word in process.cmdline() if "password" in word or "shown" in word or "endless" in word]
        lines = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
        limits = dict(line.split("  ", 1) for line in lines)
        assert limits["Max address space"].split()[:2] == [str(3 * 2**30)] * 2
        assert limits["Max cpu time"].split()[:2] == ["65", "70"]
        assert limits["Max core file size"].split()[:2] == ["0", "0"]
        assert limits["Max open files"].split()[:2] == ["64", "64"]
        assert int(limits["Max file size"].split()[0]) < 2**31
        assert process.nice() > os.nice(0)
        assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid


def test_whatever_goes_wrong_on_this_side_ends_the_process(endless):
    def fails(progress: Progress) -> None:
        raise RuntimeError("the page has gone")

    with pytest.raises(RuntimeError, match="the page has gone"):
        read_apart(endless, on_progress=fails)


def test_when_this_process_is_killed_the_reading_one_ends_and_tidies_up(endless, scratch):
    code = f"import tempfile; tempfile.tempdir = {str(scratch)!r}\n"
    code += f"from engine.apart import read_apart; read_apart({str(endless)!r})"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    until = time.monotonic() + 10
    while not (reading := psutil.Process(parent.pid).children()) and time.monotonic() < until:
        time.sleep(0.02)
    while "NoNewPrivs:\t1" not in Path(f"/proc/{reading[0].pid}/status").read_text():
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    psutil.wait_procs(reading, timeout=5)
    assert not reading[0].is_running()


def test_files_are_read_side_by_side(endless):
    with being_read(endless) as (_, slow, _), ThreadPoolExecutor(2) as pool:
        quick = [pool.submit(read_apart, DATA / f"lighthouse.{suffix}") for suffix in ("pdf", "docx")]
        assert [len(reading.result().text) > 5000 for reading in quick] == [True, True]
        assert not slow.done()


def test_a_process_starts_quickly_and_with_little():
    code = "import sys, engine.alone; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "transformers", "pypdf", "docx", "openai"} & set(loaded.split())
    began = time.monotonic()
    read_apart(DATA / "lighthouse.txt")
    assert time.monotonic() - began < 1.5
