"""A corpus becomes gists: short renderings of its stretches that together fit the memory model's window.

Two ways. *Extractive*: the central, non-redundant sentences of each stretch, chosen with the retriever's embeddings
(maximal marginal relevance, Carbonell & Goldstein 1998): faithful, and cheap enough for a CPU. *Abstractive*: written
by the model, for models large enough to be trusted with it. Gists never exceed the given budget, whatever the length
of the corpus: stretches grow with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.chunking import Chunk, sentences, split
from engine.documents import Document
from engine.events import Meter, OnProgress, Stop
from engine.prompt import Prompts, render

if TYPE_CHECKING:
    from engine.model import Model

GistKind = Literal["extractive", "abstractive"]
Embed = Callable[[Sequence[str]], np.ndarray]

STRETCH_TOKENS = 4096
GIST_TOKENS = 512
# Sentences embedded at most; of a longer corpus an even sample stands for the rest.
_CANDIDATES = 4000
_SENTENCE_TOKENS = (6, 80)
# How much a sentence loses for repeating what is already chosen.
_REDUNDANCY = 0.5
_SENTENCE_GIST, _LEAST_GIST = 48, 8


@dataclass(frozen=True)
class Gist:
    """The gist of characters ``start`` to ``end`` of document number ``document``."""

    document: int
    start: int
    end: int
    text: str


def stretches(documents: Sequence[Document], model: Model, budget: int, stop: Stop | None = None) -> list[Chunk]:
    """Cut the corpus into stretches so few that each can have a gist of some sentences within ``budget`` tokens."""
    size = STRETCH_TOKENS
    while True:
        parts = split(documents, size, model.token_spans, stop, across_marks=True)
        if len(parts) * _SENTENCE_GIST <= budget or len(parts) <= len(documents):
            return parts
        # Tokenizing a long corpus takes time: go at once to a size that should do.
        size = max(2 * size, sum(part.tokens for part in parts) * _SENTENCE_GIST // budget)


def extractive(
    documents: Sequence[Document],
    parts: Sequence[Chunk],
    embed: Embed,
    model: Model,
    budget: int,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> list[Gist]:
    """Choose sentences of each stretch, at most GIST_TOKENS a stretch and ``budget`` tokens together.

    ``embed`` turns texts into unit vectors [n, dim] float32.
    """
    parts = _sample(parts, budget, _LEAST_GIST)
    stride = max(1, -(-sum(len(list(sentences(part.of(documents)))) for part in parts) // _CANDIDATES))
    allowance = min(GIST_TOKENS, budget // max(1, len(parts)))
    meter = Meter("choosing gists", len(parts), on_progress)
    gists: list[Gist] = []
    for done, part in enumerate(parts, 1):
        if stop is not None:
            stop.check()
        chosen = _choose(_candidates(part.of(documents), model, stride, allowance), embed, allowance)
        if chosen:
            gists.append(Gist(part.document, part.start, part.end, chosen))
        meter.step(done)
    return gists


def abstractive(
    documents: Sequence[Document],
    parts: Sequence[Chunk],
    model: Model,
    prompts: Prompts,
    budget: int,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    batch: int = 4,
) -> list[Gist]:
    """Let the model write a gist of each stretch, several at a time.

    Raises:
        ContextLengthError: a stretch does not fit the model's window.
    """
    parts = _sample(parts, budget, _SENTENCE_GIST)
    allowance = max(_SENTENCE_GIST, min(GIST_TOKENS, budget // max(1, len(parts))))
    meter = Meter("writing gists", len(parts), on_progress)
    gists: list[Gist] = []
    for begin in range(0, len(parts), batch):
        some = parts[begin : begin + batch]
        asked = [render(prompts.gist, context=part.of(documents)) for part in some]
        for part, text in zip(some, model.generate(asked, allowance, stop=stop), strict=True):
            if text:
                gists.append(Gist(part.document, part.start, part.end, text))
        meter.step(begin + len(some))
    return gists


def _sample(parts: Sequence[Chunk], budget: int, least: int) -> Sequence[Chunk]:
    """Return so many stretches, evenly spread, that each can have ``least`` tokens of the budget."""
    return parts[:: max(1, -(-len(parts) * least // budget))]


def join(gists: Sequence[Gist]) -> str:
    """Return the text the memory reads."""
    return "\n\n".join(gist.text for gist in gists)


def _candidates(text: str, model: Model, stride: int, allowance: int) -> list[tuple[str, int]]:
    """Return (sentence, tokens) for sentences that can stand alone and fit, every ``stride``-th of them."""
    found = [re.sub(r"\s+", " ", text[a:b]).strip() for a, b in sentences(text)][::stride]
    found = list(dict.fromkeys(sentence for sentence in found if sentence))
    low, high = _SENTENCE_TOKENS[0], min(_SENTENCE_TOKENS[1], allowance)
    counted = list(zip(found, model.token_spans(found), strict=True))
    # Where none can (a table, one endless sentence), the beginnings of the first do for it.
    begun = [(s[: spans[:high][-1][1]], len(spans[:high])) for s, spans in counted[:8] if spans[:high]]
    return [(s, len(spans)) for s, spans in counted if low <= len(spans) <= high] or begun


def _choose(candidates: Sequence[tuple[str, int]], embed: Embed, allowance: int) -> str:
    """Return the chosen sentences in the order of the text, joined by spaces."""
    if not candidates:
        return ""
    vectors = embed([sentence for sentence, _ in candidates])
    centre = vectors.mean(axis=0)
    relevance = vectors @ (centre / (np.linalg.norm(centre) + 1e-9))
    redundancy = np.zeros(len(candidates), dtype=np.float32)
    free = np.ones(len(candidates), dtype=bool)
    chosen: list[int] = []
    while free.any():
        best = int(np.where(free, relevance - _REDUNDANCY * redundancy, -np.inf).argmax())
        free[best] = False
        if candidates[best][1] > allowance:
            continue
        chosen.append(best)
        allowance -= candidates[best][1]
        redundancy = np.maximum(redundancy, vectors @ vectors[best])
    return " ".join(candidates[i][0] for i in sorted(chosen))
