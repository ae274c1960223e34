"""One thread for all that models compute on the CPU, one piece of work at a time.

A piece of work (a pass through a model) uses all cores. Two at once would take them from each other; and every thread
that ever computed keeps helper threads of its own, and as soon as there are more of these than cores, OpenMP lets all
of them sleep between operations instead of waiting awake: writing a token then takes two to four times as long. So all
that computes goes through one thread, and only one pass at a time needs working memory.

Pieces of questions go first, in the order they came. Reading, of which others may bring hours, goes on where they leave
a gap, and otherwise has a share of the time. Gists that a model writes, and loading a model, count as questions. Beacon
models are the exception: they compute in the thread of whoever asks.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from engine.hardware import Device

Result = TypeVar("Result")

# The part of the time that reading has while questions are answered.
_SHARE = 0.25
# Seconds within which the next piece of a question follows the last: a token is shown meanwhile, by a busy program.
_GAP = 0.05
# Seconds that the end of the program waits for the piece of work that is being done.
_LAST = 10


class _Turns:
    """The thread and the work that waits for it."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin with nothing to do and no thread yet."""
        self._questions: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._reading: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._came = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked, self._due = 0.0, 0.0  # when a question had its last turn, and when reading has its next one

    def do(self, work: Callable[[], Result], is_reading: bool) -> Result:
        """Wait for a turn, do the work, and return or raise what it does."""
        if threading.current_thread() is self._thread:
            return work()
        future: Future[Result] = Future()
        with self._came:
            (self._reading if is_reading else self._questions).append((future, work))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="models", daemon=True)
                self._thread.start()
                atexit.register(self._end)
            self._came.notify()
        try:
            return future.result()
        finally:  # an exception's traceback leads here, and would keep the work and all it holds alive
            del future, work

    def _end(self) -> None:
        """Let the thread do nothing more: one that is inside PyTorch when Python ends aborts the whole process."""
        if self._thread is None:
            return
        arrived = threading.Event()

        def last() -> None:
            arrived.set()
            threading.Event().wait()

        with self._came:
            self._questions.appendleft((Future(), last))
            self._reading.clear()
            self._came.notify()
        arrived.wait(_LAST)

    def _run(self) -> None:
        while True:
            future, work, is_reading = self._next()
            began = time.monotonic()
            try:
                future.set_result(work())
            except BaseException as error:  # whoever waits for the result is told
                future.set_exception(error)
            ended = time.monotonic()
            if is_reading:
                self._due = ended + (ended - began) * (1 / _SHARE - 1)
            else:
                self._asked = ended
            del future, work  # not to keep them alive until the next one comes

    def _next(self) -> tuple[Future[Any], Callable[[], Any], bool]:
        with self._came:
            while True:
                now = time.monotonic()
                gap = self._asked + _GAP - now
                if self._reading and (now >= self._due or (not self._questions and gap <= 0)):
                    return *self._reading.popleft(), True
                if self._questions:
                    return *self._questions.popleft(), False
                self._came.wait(gap if self._reading else None)


_turns = _Turns()
if hasattr(os, "register_at_fork"):  # a child process has the queues of its parent, but not its thread
    os.register_at_fork(after_in_child=_turns.begin)


def in_turn(device: Device, work: Callable[[], Result], is_reading: bool = False) -> Result:
    """Do ``work`` on the one thread when its turn has come, or at once for another device than the CPU.

    Returns what it returns, and raises what it raises. ``is_reading`` is work that no question waits for.
    """
    return work() if device != "cpu" else _turns.do(work, is_reading)
