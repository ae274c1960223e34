"""All that computes on the CPU goes through one thread; questions go first, and reading is not forgotten."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

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


def test_a_question_goes_before_reading_that_came_earlier_and_reading_has_a_share():
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
    seconds, order = time.monotonic() - began, list(done)
    over.set()
    reader.join()
    assert order.count("asked") == 60
    assert 2 <= order.count("read") <= 12, "a quarter of the time, where turns of its own would be 60"
    assert seconds < 60 * 0.025, "less than with a turn of reading after each"


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
