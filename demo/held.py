"""The corpora that are in memory: the least recently used go when room is needed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Cancelled
from engine.events import OnProgress, Progress, Stop

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite

# Seconds between two looks at whose turn it is.
_LOOK = 0.01


@dataclass(frozen=True)
class Held:
    """One corpus in memory.

    ``language`` is a code such as "en"; ``is_read`` says whether the retriever reads it, None where that is not known.
    ``version`` is that of the catalogue's entry, "" for a visitor's corpus.
    """

    pipeline: MemoRAGLite
    language: str
    is_read: bool | None
    version: str = ""

    @classmethod
    def of(cls, pipeline: MemoRAGLite, version: str = "") -> Held:
        """Measure whether the retriever reads the language of what is held; here, so that no page waits for it."""
        from engine.tongues import reads

        language = str(pipeline.stats["language"]).partition("-")[0]
        return cls(pipeline, language, reads(pipeline.encoder, language), version)


class Library:
    """Corpora by id, which together take at most ``most`` bytes once that is known; a larger one is held alone."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, corpus: str) -> bool:
        return corpus in self._held

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._held))

    @property
    def nbytes(self) -> int:
        """Bytes of all that is held."""
        with self._lock:
            return sum(held.pipeline.memorized.nbytes for held in self._held.values())

    def get(self, corpus: str) -> Held | None:
        """Return a corpus and note that it was used."""
        with self._lock:
            held = self._held.get(corpus)
            if held is not None:
                self._held.move_to_end(corpus)
            return held

    def peek(self, corpus: str) -> Held | None:
        """Return a corpus; that is no use of it."""
        with self._lock:
            return self._held.get(corpus)

    def make_room(self, size: int, busy: Collection[str] = ()) -> None:
        """Let go of corpora until ``size`` bytes more can be held, before they are there: not only afterwards.

        Those in ``busy`` are being worked on: letting go of them would free nothing.
        """
        with self._lock:
            self._shrink(size, busy)

    def put(self, corpus: str, held: Held, busy: Collection[str] = ()) -> None:
        """Hold a corpus; those in ``busy`` stay as well."""
        with self._lock:
            self._held[corpus] = held
            self._held.move_to_end(corpus)
            self._shrink(0, {corpus, *busy})

    def _shrink(self, more: int, kept: Collection[str]) -> None:
        """Let go of what was not used for longest until ``more`` bytes can be added, ``kept`` corpora apart."""
        sizes = {corpus: held.pipeline.memorized.nbytes for corpus, held in self._held.items()}
        for corpus in list(self._held):
            if self.most is None or sum(sizes.values()) + more <= self.most:
                break
            if corpus not in kept:
                del self._held[corpus], sizes[corpus]

    def drop(self, corpus: str) -> None:
        """Let go of a corpus."""
        with self._lock:
            self._held.pop(corpus, None)


class Growing:
    """Lets one corpus at a time read its memory, of those that can be asked already.

    Whoever can be asked lets others in; without this, as many memories would grow beside each other as corpora were
    chosen. ``coming`` is how many bytes the one whose turn it is will add.
    """

    def __init__(self) -> None:
        self.coming = 0
        self._turn = threading.Lock()

    @contextmanager
    def turn(
        self, library: Library, corpus: str, size: int, on_progress: OnProgress, stop: Stop
    ) -> Iterator[Callable[[], None]]:
        """Yield what waits for the turn and makes room for all ``size`` bytes; the turn ends with the block.

        What is yielded raises Cancelled where ``stop`` was set, or the corpus had to go meanwhile.
        """
        is_mine = False

        def wait() -> None:
            nonlocal is_mine
            while not (is_mine := is_mine or self._turn.acquire(blocking=False)):
                stop.check()
                on_progress(Progress("memorising", 0, 1))  # lets others go on
                time.sleep(_LOOK)
            if (held := library.peek(corpus)) is None:
                raise Cancelled("It had to make room for others.")
            self.coming = max(0, size - held.pipeline.memorized.nbytes)
            library.make_room(self.coming, {corpus})

        try:
            yield wait
        finally:
            if is_mine:
                self.coming = 0
                self._turn.release()
