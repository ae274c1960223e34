"""Whose turn it is to use the processor: first come first served, nobody twice at once; long work lets others in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from engine.events import Stop

# Seconds between two looks at a stop while waiting.
_LOOK = 0.2


class Turns:
    """A queue of threads for some places, of which nobody (``who``) has more than one."""

    def __init__(self, places: int = 1) -> None:
        self._places = places
        self._waiting: dict[int, str] = {}
        self._holding: dict[int, str] = {}
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, stop: Stop, who: str = "") -> Iterator[None]:
        """Wait for the turn and hold it.

        Raises:
            Cancelled: ``stop`` was set while waiting.
        """
        try:
            self._take(stop, who)
            yield
        finally:
            self._leave()

    @property
    def is_wanted(self) -> bool:
        """Whether anyone waits."""
        return bool(self._waiting)

    def give_way(self, stop: Stop) -> None:
        """Let all who wait now go first, then go on: at the end of the queue, so that nobody waits for ever.

        Raises:
            Cancelled: ``stop`` was set while waiting.
        """
        with self._changed:
            who = self._holding.get(threading.get_ident(), "")
            self._leave()
            self._take(stop, who)

    def _take(self, stop: Stop, who: str) -> None:
        me = threading.get_ident()
        with self._changed:
            self._waiting[me] = who
            try:
                while self._next() != me:
                    self._changed.wait(_LOOK)
                    stop.check()
                self._holding[me] = who
            finally:
                del self._waiting[me]
                self._changed.notify_all()

    def _next(self) -> int | None:
        """Return the thread that may go now: the first of somebody who has no place yet, if one is free."""
        if len(self._holding) >= self._places:
            return None
        taken = self._holding.values()
        return next((thread for thread, who in self._waiting.items() if who not in taken), None)

    def _leave(self) -> None:
        with self._changed:
            if self._holding.pop(threading.get_ident(), None) is not None:
                self._changed.notify_all()
