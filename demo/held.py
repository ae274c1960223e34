"""The corpora that are in memory: the least recently used go when room is needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite

# Bytes held at most. What is larger alone is held all the same.
_HELD_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Held:
    """One corpus in memory.

    ``language`` is a code such as "en"; ``is_read`` says whether the retriever reads it, None where that is not known.
    """

    pipeline: MemoRAGLite
    language: str
    is_read: bool | None

    @classmethod
    def of(cls, pipeline: MemoRAGLite) -> Held:
        """Measure whether the retriever reads the language of what is held; here, so that no page waits for it."""
        from engine.tongues import reads

        language = str(pipeline.stats["language"]).partition("-")[0]
        return cls(pipeline, language, reads(pipeline.encoder, language))


class Library:
    """Corpora by id."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, corpus: str) -> bool:
        return corpus in self._held

    def get(self, corpus: str) -> Held | None:
        """Return a corpus and note that it was used."""
        with self._lock:
            held = self._held.get(corpus)
            if held is not None:
                self._held.move_to_end(corpus)
            return held

    def put(self, corpus: str, held: Held, busy: Collection[str] = ()) -> None:
        """Hold a corpus. Those in ``busy`` are being worked on: letting go of them would free nothing."""
        with self._lock:
            self._held[corpus] = held
            self._held.move_to_end(corpus)
            sizes = {other: known.pipeline.memorized.nbytes for other, known in self._held.items()}
            for other in list(self._held):
                if sum(sizes.values()) <= _HELD_BYTES:
                    break
                if other != corpus and other not in busy:
                    del self._held[other], sizes[other]

    def drop(self, corpus: str) -> None:
        """Let go of a corpus."""
        with self._lock:
            self._held.pop(corpus, None)
