"""How much is done at once: for all visitors together what the machine can bear, for each of them a fair part of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from demo import text
from engine.errors import InputError

_MOST_JOBS = 8
# Texts of one visitor that are memorised, and questions of one that are answered, at once.
MOST_OF_ONE = 2
# Answers that run at once: more share the processor, fewer would let one slow service hold up every visitor.
MOST_ANSWERS = 4
# How many times the largest file may be worked on at once, all visitors together, because all of it is in memory
# meanwhile; and the share of the largest file that never matters.
_MOST_LARGE, _SMALL_SHARE = 2, 0.02
# Bytes of texts in memory that are being memorised, all visitors together.
_MOST_TEXT = 3 * 2**29


class Room:
    """What is being done, and whether there is room for more. ``largest`` is the bytes that a file may have."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._lock = threading.Lock()
        self._texts: dict[str, int] = {}
        self._answers: Counter[str] = Counter()
        self._tickets: list[object] = []

    def check(self, size: int, mine: int, all_jobs: int, sizes: Sequence[int]) -> None:
        """Check that files of ``size`` bytes may be memorised now.

        ``mine`` and ``all_jobs`` count what is being done for the visitor and for all; ``sizes`` are the bytes of all
        files that are being worked on.

        Raises:
            InputError: there is too much to do already.
        """
        if mine >= MOST_OF_ONE:
            raise InputError(text.BUSY_MINE.format(count=mine))
        if all_jobs >= _MOST_JOBS:
            raise InputError(text.BUSY.format(count=all_jobs))
        at_work = sum(sizes)
        if size > _SMALL_SHARE * self._largest and at_work and at_work + size > _MOST_LARGE * self._largest:
            raise InputError(text.BUSY_LARGE)

    def has_text(self, corpus: str, size: int) -> bool:
        """Note that a corpus has texts of ``size`` bytes in memory; return whether that is not too much, all in all."""
        with self._lock:
            self._texts[corpus] = size
            self._texts = {name: known for name, known in self._texts.items() if known}
            return sum(self._texts.values()) <= _MOST_TEXT

    @contextmanager
    def answering(self, visitor: str) -> Iterator[object]:
        """Note that a question of a visitor is being answered, and yield its ticket; see ``ahead``.

        Raises:
            InputError: as many of theirs are already; others wait too.
        """
        with self._lock:
            if self._answers[visitor] >= MOST_OF_ONE:
                raise InputError(text.ASKED_ENOUGH.format(count=MOST_OF_ONE))
            self._answers[visitor] += 1
            self._tickets.append(ticket := object())
        try:
            yield ticket
        finally:
            with self._lock:
                self._tickets.remove(ticket)
                self._answers[visitor] -= 1
                self._answers += Counter()  # forgets those at nothing

    def ahead(self, ticket: object) -> int:
        """Return how many questions must end before this one may begin; 0 when it may."""
        with self._lock:
            return max(0, self._tickets.index(ticket) + 1 - MOST_ANSWERS)
