"""A download that is watched: it runs in a thread of its own, so that whatever it waits for, a stop is noticed.

The thread that downloads tells a ``Transfer`` how far it is; the one that waits reports that and looks at the stop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import NamedTuple, TypeVar

from engine.errors import InputError
from engine.events import Meter, OnProgress, Progress, Stop
from engine.readers import megabytes

T = TypeVar("T")
STAGE = "downloading"
_TICK = 0.1  # seconds between two looks
_GRACE = 0.3  # seconds that a download may take to end after a stop


class At(NamedTuple):
    """Bytes that have come, bytes there are (0 where the server does not say), and bytes of an earlier attempt."""

    done: int = 0
    total: int = 0
    already: int = 0


class Transfer:
    """How far a download is. Its methods are the downloading thread's, and raise Cancelled once nobody waits for it.

    ``shown`` is what errors call the file, and ``most`` the bytes it may have.
    """

    def __init__(self, shown: str, most: int) -> None:
        self.shown, self.at = shown, At()
        self._most, self._abandoned = most, Stop()

    def begin(self, total: int, already: int = 0) -> None:
        """Tell that bytes are about to come, after those that are there ``already``.

        Raises:
            InputError: there are too many.
        """
        self.check()
        self.limit(total)
        self.at = At(already, total, already)

    def limit(self, total: int) -> None:
        """Look at a size that the server tells.

        Raises:
            InputError: it is too large.
        """
        if total > self._most:
            raise InputError(f"{self.shown} has {megabytes(total)}; {self._advice}")

    def add(self, size: int) -> None:
        """Tell that bytes came. Called before they are written, so that none are after a stop.

        Raises:
            InputError: there are too many.
        """
        self.check()
        self.at = self.at._replace(done=self.at.done + size)
        if self.at.done > self._most:
            raise InputError(f"{self.shown} has more than {megabytes(self._most)}; {self._advice}")

    @property
    def _advice(self) -> str:
        return f"at most {megabytes(self._most)} are read. Split it, or raise MEMORAG_MAX_FILE_MB."

    def check(self) -> None:
        """Raise Cancelled where nobody waits any more."""
        self._abandoned.check()

    def pause(self, seconds: float) -> None:
        """Do nothing for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            time.sleep(min(_TICK, seconds))

    def abandon(self) -> None:
        """End the download at its next step. Any thread may call this."""
        self._abandoned.set()


def watched(transfer: Transfer, work: Callable[[], T], on_progress: OnProgress | None, stop: Stop | None) -> T:
    """Do the work that tells ``transfer`` how far it is, and return what it returns; what it raises is raised here.

    ``on_progress`` is called in the calling thread, ten times a second at most.

    Raises:
        Cancelled: ``stop`` was set. That is noticed within a second, and nothing is written after it.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=run, name="download", daemon=True)
    thread.start()
    teller = _Teller(on_progress)
    try:
        while True:
            wait((outcome,), _TICK)
            if stop is not None:
                stop.check()
            teller.tell(transfer.at)
            if outcome.done():
                return outcome.result()
    finally:
        transfer.abandon()
        thread.join(_GRACE)


class _Teller:
    """Reports how far a download is, where that has changed."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._on_progress, self._told = on_progress, At()
        self._meter = Meter(STAGE, 0, None)

    def tell(self, at: At) -> None:
        if self._on_progress is None or at == self._told:
            return
        if (at.total, at.already) != (self._told.total, self._told.already):  # it begins, or begins anew
            self._meter = Meter(STAGE, at.total, self._on_progress, at.already)
        self._told = at
        if at.total:
            self._meter.step(at.done)
        else:
            self._on_progress(Progress(STAGE, at.done, 0))


def other_sum(shown: str, found: str, expected: str) -> str:
    """Say that a file has not the SHA-256 sum that was given."""
    return (
        f"{shown} has the SHA-256 sum {found}, not {expected} as given; it was deleted. Check the sum and the address."
    )
