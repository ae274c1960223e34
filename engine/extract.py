"""Sentences that say what a text is about: central ones that do not repeat each other, chosen with embeddings.

By maximal marginal relevance (Carbonell & Goldstein 1998).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from engine.chunking import TokenSpans, sentences
from engine.events import Stop

# Texts -> unit vectors [n, dim] float32.
Embed = Callable[[Sequence[str]], np.ndarray]

# Tokens of a sentence that can be chosen.
SENTENCE_TOKENS = (6, 80)
# How many characters of a sentence are looked at, since none of more has so few tokens; and sentences at a time.
_LOOKED_AT, _BATCH = 4000, 256
# How much a sentence loses for repeating what is already chosen.
_REDUNDANCY = 0.5


def count_sentences(text: str, stop: Stop | None = None) -> int:
    """Return how many sentences a text has.

    Raises:
        Cancelled: ``stop`` was set.
    """
    return sum(1 for _ in _sentences(text, stop))


def candidates(
    text: str, token_spans: TokenSpans, stride: int, allowance: int, may_cut: bool, stop: Stop | None = None
) -> list[tuple[str, int]]:
    """Return (sentence, tokens) for sentences that can stand alone and fit, every ``stride``-th of them.

    Where none can (a table, one endless sentence), the beginnings of the first do for it, if they may be cut.

    Raises:
        Cancelled: ``stop`` was set.
    """
    some = (re.sub(r"\s+", " ", text[a:b]).strip() for a, b in islice(_sentences(text, stop), 0, None, stride))
    found = list(dict.fromkeys(sentence[:_LOOKED_AT] for sentence in some if sentence))
    spans: list[list[tuple[int, int]]] = []
    for begin in range(0, len(found), _BATCH):
        if stop is not None:
            stop.check()
        spans += token_spans(found[begin : begin + _BATCH])
    low, high = SENTENCE_TOKENS[0], min(SENTENCE_TOKENS[1], allowance)
    fitting = [(s, len(tokens)) for s, tokens in zip(found, spans, strict=True) if low <= len(tokens) <= high]
    if fitting or not may_cut:
        return fitting
    first = zip(found[:8], (tokens[:high] for tokens in spans), strict=False)
    return [(s[: tokens[-1][1]], len(tokens)) for s, tokens in first if tokens]


def _sentences(text: str, stop: Stop | None) -> Iterator[tuple[int, int]]:
    for number, span in enumerate(sentences(text)):
        if stop is not None and number % _BATCH == 0:
            stop.check()
        yield span


def choose(candidates: Sequence[tuple[str, int]], embed: Embed, allowance: int) -> tuple[str, int]:
    """Return the chosen sentences in the order of the text, joined by spaces, and their tokens."""
    if not candidates:
        return "", 0
    vectors = embed([sentence for sentence, _ in candidates])
    centre = vectors.mean(axis=0)
    relevance = vectors @ (centre / (np.linalg.norm(centre) + 1e-9))
    redundancy = np.zeros(len(candidates), dtype=np.float32)
    free = np.ones(len(candidates), dtype=bool)
    chosen: list[int] = []
    used = 0
    while free.any():
        best = int(np.where(free, relevance - _REDUNDANCY * redundancy, -np.inf).argmax())
        free[best] = False
        # Joined by spaces, sentences may need a token more than they have alone.
        needed = candidates[best][1] + bool(chosen)
        if used + needed > allowance:
            continue
        chosen.append(best)
        used += needed
        redundancy = np.maximum(redundancy, vectors @ vectors[best])
    return " ".join(candidates[i][0] for i in sorted(chosen)), used
