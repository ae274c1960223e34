"""A memory's file is verified beside other work: nobody waits for it, and damage is never answered from or copied."""

from __future__ import annotations

import errno
import gc
import hashlib
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import safetensors.torch
import torch

from engine import memorizer, storage, verification
from engine.documents import Document
from engine.errors import BundleError, Cancelled
from engine.events import Answer, Clues, Stop, Token
from engine.memorag_lite import MemoRAGLite
from engine.model import Model
from engine.verification import Verification
from tests.pipelines import OTHER, QUESTION, SHORT, events_of

ROOT = Path(__file__).parents[2]
DATA = bytes(range(256)) * 20_000
SUM = hashlib.sha256(DATA).hexdigest()
# Bytes whose checksum takes many seconds, of a file that takes no room.
HUGE = 2**35
DAMAGED = r"'bundle' is damaged: memory.bin has the checksum \w{64}, but the checksum \w{64} when it was saved"

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells of a process under /proc")


@pytest.fixture(autouse=True)
def alone() -> None:
    """Lets the threads of earlier tests end first."""
    gc.collect()
    settle()


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "one" / "memory.bin"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


@pytest.fixture
def huge(tmp_path) -> Path:
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(HUGE)
    return tmp_path / "huge.bin"


@pytest.fixture
def held_up(monkeypatch) -> Iterator[threading.Event]:
    """Keeps the thread in the background from reading until the event is set."""
    go, read_aside = threading.Event(), verification._read_aside

    def later(*given) -> None:
        go.wait()
        read_aside(*given)

    monkeypatch.setattr(verification, "_read_aside", later)
    yield go
    go.set()


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "memorag-verification"]


def settle() -> None:
    """Wait until the threads in the background have ended by themselves."""
    for thread in readers():
        thread.join(30)
        assert not thread.is_alive()


def flip(path: Path, place: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 4
    path.write_bytes(data)


def open_paths() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


# One file


def test_a_whole_file_is_found_whole(path):
    verified = Verification(path, len(DATA), SUM)
    verified.check()
    settle()
    verified.check()
    verified.wait()


@pytest.mark.parametrize("place", [0, len(DATA) // 3, len(DATA) - 1])
def test_damage_is_told_with_both_sums_as_soon_as_it_is_known_and_again_each_time(path, held_up, place):
    flip(path, place)
    verified, found = Verification(path, len(DATA), SUM), hashlib.sha256(path.read_bytes()).hexdigest()
    verified.check()
    held_up.set()
    settle()
    told = f"^The bundle 'one' is damaged: memory.bin has the checksum {found}, but the checksum {SUM} when it was"
    for ask in (verified.check, verified.wait, verified.check):
        with pytest.raises(BundleError, match=told):
            ask()


def test_who_waits_does_not_depend_on_the_thread_in_the_background(path, held_up):
    verified = Verification(path, len(DATA), SUM)
    verified.wait()
    flip(path)
    damaged = Verification(path, len(DATA), SUM)
    with pytest.raises(BundleError, match="has the checksum"):
        damaged.wait()
    verified.check()
    assert len(readers()) == 2


def test_many_may_wait_at_once(path, held_up):
    flip(path)
    damaged = Verification(path, len(DATA), SUM)

    def told(_: int) -> str:
        with pytest.raises(BundleError) as caught:
            damaged.wait()
        return str(caught.value)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(told, range(8)))) == 1


def test_waiting_can_be_stopped_and_begun_again(path, held_up):
    verified, stop = Verification(path, len(DATA), SUM), Stop()
    stop.set()
    with pytest.raises(Cancelled):
        verified.wait(stop)
    verified.wait()


def test_another_size_is_refused_at_once(path):
    with pytest.raises(BundleError, match=f"has {len(DATA)} bytes, but {len(DATA) + 1} bytes when it was saved"):
        Verification(path, len(DATA) + 1, SUM)


def test_a_file_that_was_cut_is_refused_before_and_after_it_was_read(path, held_up):
    early, late = Verification(path, len(DATA), SUM), Verification(path, len(DATA), SUM)
    late.wait()
    os.truncate(path, 5000)
    for verified in (early, late):
        with pytest.raises(BundleError, match=f"has 5000 bytes, but {len(DATA)} bytes when it was saved"):
            verified.check()
    with pytest.raises(BundleError, match="has 5000 bytes"):
        early.wait()


def test_the_opened_file_counts_whatever_becomes_of_its_name(path, held_up):
    verified = Verification(path, len(DATA), SUM)
    assert verified.is_of(path)
    path.rename(path.with_name("old"))
    path.write_bytes(b"something else")
    assert not verified.is_of(path)
    path.with_name("old").unlink()
    verified.wait()


@linux
def test_a_disk_that_fails_is_told_in_a_sentence():
    unreadable = Path("/proc/self/mem")  # of which no process has anything at its beginning
    failing = Verification(unreadable, unreadable.stat().st_size, SUM)
    settle()
    for ask in (failing.check, failing.wait):
        reason = os.strerror(errno.EIO)
        with pytest.raises(BundleError, match=f"cannot be read: mem has the error {reason}; memorise the text again"):
            ask()


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        Verification(tmp_path / "nothing", 1, SUM)


@linux
def test_reading_ends_and_files_are_closed_when_nobody_asks_any_more(huge):
    verified = Verification(huge, HUGE, SUM)
    assert readers()
    assert str(huge) in open_paths()
    verified.check()
    del verified
    gc.collect()
    began = time.monotonic()
    settle()
    assert time.monotonic() - began < 8
    assert str(huge) not in open_paths()


@linux
def test_the_thread_in_the_background_gives_way_and_no_other_does(huge):
    before, verified = os.getpriority(os.PRIO_PROCESS, 0), Verification(huge, HUGE, SUM)
    (reader,) = readers()
    until = time.monotonic() + 10
    while os.getpriority(os.PRIO_PROCESS, reader.native_id) != 19:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    verified.check()


def test_a_process_that_has_nothing_more_to_do_ends_at_once(huge):
    code = f"""
from pathlib import Path
from engine.verification import Verification
verified = Verification(Path({str(huge)!r}), {HUGE}, "")
verified.check()
"""
    began = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert time.monotonic() - began < 8


# A bundle


@linux
def test_reading_a_bundle_reads_next_to_nothing_of_its_memory(tmp_path, held_up):
    memory = {"keys.0": torch.ones(4, 2**22)}
    storage.write(tmp_path / "one", {}, {}, {}, memory)

    def used() -> tuple[int, int]:
        """Return the bytes this process has read, and the bytes of files that it has in its memory."""
        read = next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar"))
        held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile"))
        return int(read.split()[1]), 1024 * int(held.split()[1])

    before = used()
    bundle = storage.read(tmp_path / "one")
    read, held = (after - earlier for after, earlier in zip(used(), before, strict=True))
    assert read < 2**20
    assert held < 2**22
    bundle.verification.wait()
    assert used()[0] - before[0] > 2**26, "now it was read"
    assert torch.equal(bundle.memory["keys.0"], memory["keys.0"])


def test_a_bundle_that_is_replaced_while_it_is_read_is_not_taken(tmp_path, monkeypatch):
    memory, load_file = {"keys.0": torch.ones(3)}, safetensors.torch.load_file
    storage.write(tmp_path / "one", {}, {}, {}, memory)

    def late(path: Path) -> storage.Tensors:
        monkeypatch.setattr(safetensors.torch, "load_file", load_file)
        storage.write(tmp_path / "one", {}, {}, {}, {"keys.0": torch.zeros(3)})
        return load_file(path)

    monkeypatch.setattr(safetensors.torch, "load_file", late)
    with pytest.raises(BundleError, match="'one' was replaced while it was read; load it again"):
        storage.read(tmp_path / "one")
    assert not storage.read(tmp_path / "one").memory["keys.0"].any()


# A pipeline


@pytest.fixture
def damaged(tiny, bundle, held_up):
    """A pipeline that has loaded a bundle whose damage is not known yet."""
    flip(bundle / storage.MEMORY)
    pipeline = tiny.fork()
    pipeline.load(bundle)
    return pipeline


@pytest.mark.models
def test_a_bundle_can_be_asked_before_it_is_verified(tiny, bundle, held_up):
    pipeline = tiny.fork()
    pipeline.load(bundle)
    assert len(readers()) == 1
    assert events_of(pipeline)[-1].text == events_of(tiny)[-1].text
    held_up.set()
    settle()
    assert events_of(pipeline)[-1].text == events_of(tiny)[-1].text


@pytest.mark.models
def test_damage_that_is_found_refuses_the_next_question(damaged, held_up):
    held_up.set()
    settle()
    for task in ("memorag", "rag", "qa", "summarize"):
        with pytest.raises(BundleError, match=DAMAGED):
            next(damaged.stream(QUESTION, task_type=task))


@pytest.mark.models
@pytest.mark.parametrize("last", [Clues, Answer])
def test_no_answer_is_handed_out_when_damage_is_found_meanwhile(damaged, held_up, last, monkeypatch):
    seen = []
    if last is Answer:  # found while the very last event is made, after all tokens were handed out
        monkeypatch.setattr("engine.ask.Answer", lambda *given, **named: (find(), Answer(*given, **named))[1])

    def find() -> None:
        held_up.set()
        settle()

    with pytest.raises(BundleError, match=DAMAGED):
        for event in damaged.stream(QUESTION, max_new_tokens=8):
            seen.append(type(event))
            if isinstance(event, last):
                find()
    assert seen[-1] is (Clues if last is Clues else Token)


@pytest.mark.models
def test_damage_is_never_carried_on(damaged, tmp_path):
    before = damaged.memorized
    for attempt in (
        lambda: damaged.save(tmp_path / "copy"),
        lambda: damaged.add(Document("b.txt", OTHER)),
        lambda: damaged.add(Document("c.txt", OTHER)),
        lambda: damaged.remove([]),
    ):
        with pytest.raises(BundleError, match=DAMAGED):
            attempt()
        assert damaged.memorized is before
    assert not (tmp_path / "copy").exists()


@pytest.mark.models
def test_what_is_whole_of_a_damaged_bundle_can_be_saved(tiny, damaged, tmp_path):
    damaged.save(tmp_path / "rest", with_memory=False)
    pipeline = tiny.fork()
    pipeline.load(tmp_path / "rest")
    assert events_of(pipeline)[-1].text == events_of(tiny)[-1].text


@pytest.mark.models
def test_a_memory_that_is_not_used_need_not_be_whole(damaged, bundle, tiny_folder_of, encoder, hardware32):
    other = MemoRAGLite(Model(str(tiny_folder_of("qwen3")), hardware=hardware32), encoder)
    other.load(bundle)
    assert other.memorized.verification is None
    assert events_of(other)[-1].evidence


@pytest.mark.models
def test_a_whole_memory_can_be_saved_and_added_to_before_it_was_verified(tiny, bundle, held_up, tmp_path):
    pipeline = tiny.fork()
    pipeline.load(bundle)
    pipeline.save(tmp_path / "copy")
    pipeline.add(Document("b.txt", OTHER))
    assert pipeline.memorized.verification is None
    again = tiny.fork()
    again.load(tmp_path / "copy")
    assert events_of(again)[-1].text == events_of(tiny)[-1].text


@pytest.mark.models
def test_damage_that_is_known_when_loading_ends_refuses_it_and_what_was_held_stays(tiny, bundle, monkeypatch):
    hold = memorizer.hold
    monkeypatch.setattr(memorizer, "hold", lambda *given: (settle(), hold(*given))[1])
    flip(bundle / storage.MEMORY)
    pipeline = tiny.fork()
    pipeline.memorize(SHORT)
    before = pipeline.memorized
    with pytest.raises(BundleError, match=DAMAGED):
        pipeline.load(bundle)
    assert pipeline.memorized is before


@pytest.mark.models
def test_a_memory_that_is_cut_while_it_is_held_refuses_questions(tiny, bundle):
    pipeline = tiny.fork()
    pipeline.load(bundle)
    pipeline.memorized.ensure()
    os.truncate(bundle / storage.MEMORY, 100)
    with pytest.raises(BundleError, match=r"memory\.bin has 100 bytes, but"):
        next(pipeline.stream(QUESTION))


@pytest.mark.models
def test_loading_another_bundle_ends_the_verification_of_the_first(tiny, bundle, held_up):
    pipeline = tiny.fork()
    pipeline.load(bundle)
    first = weakref.ref(pipeline.memorized.verification)
    pipeline.load(bundle)
    gc.collect()
    assert first() is None
