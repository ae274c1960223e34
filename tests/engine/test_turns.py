"""All that computes on the CPU goes through one thread; questions go first, and reading is not forgotten."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from engine.sampling import Sampling
from engine.turns import in_turn


def thread_of(device: str = "cpu") -> str:
    return in_turn(device, lambda: threading.current_thread().name)


def test_work_of_all_threads_is_done_by_one_and_never_two_at_once():
    inside, most = [], []

    def work() -> str:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.002)
        inside.pop()
        return threading.current_thread().name

    with ThreadPoolExecutor(6) as pool:
        names = set(pool.map(lambda i: in_turn("cpu", work, is_reading=i % 2 == 0), range(60)))
    assert names == {thread_of()}
    assert max(most) == 1
    assert threading.current_thread().name not in names


def test_other_devices_need_no_turns():
    assert thread_of("cuda") == threading.current_thread().name


def test_work_inside_work_does_not_wait_for_itself():
    assert in_turn("cpu", lambda: in_turn("cpu", lambda: 5)) == 5


def test_what_work_raises_reaches_who_asked_and_the_thread_goes_on():
    def fail() -> None:
        raise KeyError("lamp")

    with pytest.raises(KeyError, match="lamp"):
        in_turn("cpu", fail)
    with pytest.raises(StopIteration):
        in_turn("cpu", lambda: next(iter(())))
    assert in_turn("cpu", lambda: 1) == 1


@pytest.mark.parametrize("pause", [0, 0.01])
def test_a_question_goes_before_reading_that_came_earlier_and_reading_has_a_share(pause):
    done: list[str] = []
    over = threading.Event()

    def piece(name: str, seconds: float) -> None:
        in_turn("cpu", lambda: (time.sleep(seconds), done.append(name)), is_reading=name == "read")

    def read() -> None:
        while not over.is_set():
            piece("read", 0.02)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.1)
    done.clear()
    began = time.monotonic()
    for _ in range(60):
        piece("asked", 0.005)
        time.sleep(pause)  # what follows a token in the program that asks
    seconds, order = time.monotonic() - began, list(done)
    over.set()
    reader.join()
    assert order.count("asked") == 60
    # A quarter of the time in pieces of 20 ms, and some more where a busy machine delays who asks; not one after each.
    assert 2 <= order.count("read") <= min(30, seconds / 0.05)
    assert seconds < 60 * (0.02 + pause)


def test_generating_and_reading_compute_on_that_thread_only(tiny_model):
    seen: set[str] = set()
    inner = tiny_model.decoder.forward.embedding

    class Watching(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.add(threading.current_thread().name)
            return super().__torch_function__(func, types, args, kwargs or {})

    forward = replace(tiny_model.decoder.forward, embedding=inner.as_subclass(Watching))
    decoder = replace(tiny_model.decoder, forward=forward)
    prefix = decoder.read(list(range(20, 60)))
    seen.clear()
    list(decoder.steps([[21, 22], [23]], Sampling(3), prefix))
    assert seen == {thread_of()}


def test_work_that_failed_is_not_kept_alive():
    class Memory:
        pass

    held = Memory()
    told = weakref.ref(held)

    def fail(memory: Memory) -> None:
        raise KeyError("lamp")

    gc.disable()
    try:
        with suppress(KeyError):
            in_turn("cpu", partial(fail, held))
        del held
        in_turn("cpu", lambda: None)
        assert told() is None
    finally:
        gc.enable()


LOOP = """
import sys, torch
from engine.turns import in_turn
numbers = torch.randn(600, 600)
def work():
    for _ in range(5): torch.linalg.svd(numbers)
in_turn("cpu", lambda: None)
print("ready", flush=True)
try:
    while True: in_turn("cpu", work)
except KeyboardInterrupt:
    sys.exit(7)
"""
FORK = """
import os
from engine.turns import in_turn
in_turn("cpu", lambda: None)
child = os.fork()
if not child:
    os._exit(in_turn("cpu", lambda: 5))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def python(code: str) -> subprocess.Popen[str]:
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=heeding,
    )


def test_a_program_that_is_interrupted_while_something_is_computed_ends_as_it_wants_to():
    with python(LOOP) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (7, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_process_has_a_thread_of_its_own():
    with python(FORK) as process:
        told, problem = process.communicate(timeout=60)
    assert told == "5\n", problem


ASK = """
import os
from engine import MemoRAGLite
def threads(): return len(os.listdir("/proc/self/task"))
pipeline = MemoRAGLite()
pipeline.memorize("The tower was begun in 1867. The first keeper was Isolde Marrick. " * 40)
before = threads()
pipeline("Who was the first keeper?", max_new_tokens=8)
print(threads() - before)
"""


@pytest.mark.models
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted where Linux shows them")
def test_asking_starts_no_other_thread_that_computes():
    with python(ASK) as process:
        told, problem = process.communicate(timeout=120)
    assert told == "0\n", problem
