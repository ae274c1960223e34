"""Evidence made short for a small generator: the sentences of the passages that are nearest to the question.

A model of a few hundred million parameters loses the thread in a thousand tokens of evidence; a few sentences it can
use, and reads in a fraction of the time. The passages themselves stay what is shown and cited.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from engine.chunking import sentences
from engine.encoder import Encoder
from engine.events import Passage

# A sentence ends with punctuation or has some length; what is neither (a heading, a bullet) cannot stand alone.
_COMPLETE = re.compile(r".{5,}[.!?\u3002\uff01\uff1f][\"'\u201d\u2019)]*|.{60,}")


def focus(passages: Sequence[Passage], query: str, encoder: Encoder, count: int) -> list[tuple[int, str]]:
    """Return (passage number, sentence) for the ``count`` sentences nearest to ``query``, the nearest last.

    Without a query: nearest to the middle of all sentences, in the order of the text, for a summary. The nearest stands
    last because a small model leans on what it read last.
    """
    found = [(passage.number, sentence) for passage in passages for sentence in _sentences(passage.text)]
    if not found:
        return [(passage.number, passage.text) for passage in passages]
    vectors = encoder.encode([sentence for _, sentence in found])
    target = encoder.encode([query], query=True)[0] if query else vectors.mean(axis=0)
    nearest = np.argsort(-(vectors @ target), kind="stable")[:count]
    order = reversed(nearest) if query else sorted(nearest)
    return [found[int(i)] for i in order]


def _sentences(text: str) -> list[str]:
    pieces = (re.sub(r"\s+", " ", text[a:b]).strip() for a, b in sentences(text))
    return [piece for piece in pieces if _COMPLETE.fullmatch(piece)]
