"""The sentences of the passages that an answer rests on, with their places and, where an encoder is given, vectors.

Made once per answer and shared: a small generator reads the sentences nearest to the question, and every sentence of
the answer is held against them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.chunking import sentences
from engine.encoder import Encoder
from engine.events import Passage


@dataclass(frozen=True)
class Sentence:
    """Characters ``start`` to ``end`` of the text of passage ``number``; ``text`` has its line breaks made spaces."""

    number: int
    start: int
    end: int
    text: str


class Sentences(Sequence[Sentence]):
    """All sentences of some passages, in order."""

    def __init__(self, passages: Sequence[Passage], encoder: Encoder | None = None) -> None:
        self.passages, self.encoder = tuple(passages), encoder
        self._items = [sentence for passage in passages for sentence in _of(passage)]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sentence:  # type: ignore[override]  # nobody slices
        return self._items[index]

    @cached_property
    def vectors(self) -> np.ndarray | None:
        """Unit vectors [sentences, dimension] float32, computed when first asked for; None without an encoder."""
        if self.encoder is None:
            return None
        return self.encoder.encode([item.text for item in self._items], is_waited_for=True)


def _of(passage: Passage) -> list[Sentence]:
    found = []
    for begin, end in sentences(passage.text):
        piece = passage.text[begin:end]
        start, stop = begin + len(piece) - len(piece.lstrip()), begin + len(piece.rstrip())
        if start < stop:
            found.append(Sentence(passage.number, start, stop, re.sub(r"\s+", " ", passage.text[start:stop])))
    return found
