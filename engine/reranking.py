"""Reranking by the language model that is already loaded: how likely is the question after each chunk?

Query likelihood (Ponte & Croft 1998; by language models: Sachan et al. 2022, arXiv 2204.07496). The model reads a
candidate and then the question; what counts is how little the question surprises it. Only those chunks are read whose
place is in doubt: the order of what is sure to be in the evidence does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.events import Stop
from engine.model import Model
from engine.ranking import Hit

# What the model's judgement counts against the searches', both as standard deviations among the candidates.
_WEIGHT = 1.5
# The part of the budget that goes to the first hits whatever the model thinks of them.
_SURE = 0.4


def reranked(
    question: str,
    hits: Sequence[Hit],
    texts: Sequence[str],
    sizes: Sequence[int],
    model: Model,
    count: int,
    budget: int,
    stop: Stop | None = None,
) -> list[Hit]:
    """Return hits (best first, with their texts and sizes in tokens) anew ordered, after reading ``count`` of them.

    Raises:
        Cancelled: ``stop`` was set.
    """
    sure, used = 0, 0
    while sure < len(hits) and used + sizes[sure] <= _SURE * budget:
        used += sizes[sure]
        sure += 1
    end = min(len(hits), sure + count)
    if end - sure < 2:
        return list(hits)
    asked = model.token_ids(model.harmless(f" {question}"))
    rows = [model.token_ids(model.harmless(f"{text.strip()}\n\nQuestion:")) + asked for text in texts[sure:end]]
    found = np.array(list(model.decoder.likelihoods(rows, len(asked), stop)))
    scores = np.array([hit.score for hit in hits[sure:end]])
    scores += _WEIGHT * scores.std() * (found - found.mean()) / (found.std() + 1e-9)
    order = np.argsort(-scores, kind="stable")
    read = [replace(hits[sure + int(i)], score=float(scores[i])) for i in order]
    return [*hits[:sure], *read, *hits[end:]]
