"""From a question and its clues to the chunks that make the evidence: scored, fused, cut to one hard token budget.

Every search scores all chunks. Scores of several searches are standardised before they are added, so that a search that
is sure of a few chunks (a rare name) counts more than one that finds all alike. Each chunk is given a part of its
neighbours' scores: what stands around a passage tells what it is about, and evidence often spans several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.lexical import LexicalIndex, words
from engine.retrieval import DenseRetriever
from engine.strategy import Fusion, Strategy

# The constant of reciprocal-rank fusion (Cormack et al. 2009): how little the difference between first ranks counts.
_RRF_K = 60
# How deep a ranking goes that is fused by ranks, and by which a query counts as having found a chunk.
_DEPTH = 40
# Chunks that share this part of their words say the same.
_SAME = 0.9


@dataclass(frozen=True)
class Hit:
    """One chunk found: its number, score, and the queries that ranked it ("question" or a clue)."""

    number: int
    score: float
    found_by: tuple[str, ...] = ("question",)


@dataclass(frozen=True)
class Searches:
    """The indexes over the same chunks; ``documents`` [n] int64 is the number of each chunk's document, ascending.

    ``gists`` are nodes above the chunks, as in RAPTOR (arXiv 2401.18059); ``gist_of`` [n] int64 is the number of each
    chunk's own.
    """

    dense: DenseRetriever
    lexical: LexicalIndex
    documents: np.ndarray
    gists: tuple[str, ...] = ()
    gist_of: np.ndarray | None = None

    @property
    def has_vectors(self) -> bool:
        """Whether chunks can be found by their meaning."""
        return len(self.dense) == len(self.documents)

    def scores(self, queries: Sequence[str], strategy: Strategy) -> np.ndarray:
        """Return the fused scores [queries, n] float64 of all chunks; higher is better.

        Where there are no vectors yet, words alone count, whatever the strategy.
        """
        total = np.zeros((len(queries), len(self.documents)))
        if strategy.dense and self.has_vectors:
            total += [self._settled(row, strategy) for row in self.dense.scores(queries)]
        if strategy.lexical or not self.has_vectors:
            total += [self._settled(self.lexical.scores(query), strategy) for query in queries]
        return total

    def gist_scores(self, query: str, strategy: Strategy) -> np.ndarray:
        """Return the scores [n] float64 that chunks have for the gists they lie in, as much as the strategy gives."""
        if self.gist_of is None or len(self.gists) < 2 or not strategy.gists:
            return np.zeros(len(self.documents))
        near = self._gist_vectors @ self.dense.encoder.encode([query], query=True)[0]
        return strategy.gists * comparable(near.astype(np.float64)[self.gist_of], strategy.fusion)

    @cached_property
    def _gist_vectors(self) -> np.ndarray:
        return self.dense.encoder.encode(self.gists, is_waited_for=True)

    def _settled(self, scores: np.ndarray, strategy: Strategy) -> np.ndarray:
        """Return one search's scores [n] with their context, comparable to another's."""
        return comparable(in_context(scores, self.documents, strategy.context), strategy.fusion)


def in_context(scores: np.ndarray, documents: np.ndarray, share: float) -> np.ndarray:
    """Add to each score [n] a ``share`` of its neighbours' in the same document."""
    found = scores.astype(np.float64)
    together = share * (documents[1:] == documents[:-1])
    found[1:] += together * scores[:-1]
    found[:-1] += together * scores[1:]
    return found


def comparable(scores: np.ndarray, fusion: Fusion) -> np.ndarray:
    """Return scores [n] as standard deviations from their mean, or as reciprocals of the best ranks; 0 for no news."""
    if fusion == "scores":
        deviation = scores.std()
        return (scores - scores.mean()) / deviation if deviation > 1e-9 else np.zeros_like(scores)
    best = top(scores, _DEPTH)
    best = best[scores[best] > 0]
    found = np.zeros_like(scores)
    found[best] = 1 / (_RRF_K + 1 + np.arange(len(best)))
    return found


def top(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the numbers of the ``count`` best scores, best first, earlier before later ones."""
    count = min(count, len(scores))
    if count < len(scores) // 4:
        least = np.partition(scores, -count)[-count]
        some = np.flatnonzero(scores >= least)
        return some[np.argsort(-scores[some], kind="stable")][:count]
    return np.argsort(-scores, kind="stable")[:count]


def rank(
    question: str, clues: Sequence[str], searches: Searches, strategy: Strategy, ret_hit: int, count: int
) -> list[Hit]:
    """Return the ``count`` best chunks for a question and its clues; each query counts once, however often given.

    Every clue raises the ``ret_hit`` chunks that are best for it, by its share of ``strategy.clue_weight`` and of how
    far they stand out. Without a question only the clues rank.
    """
    if not len(searches.documents):
        return []
    hints = list(dict.fromkeys(clue for clue in clues if clue.strip() and clue != question))
    if not question and not hints:
        return []
    rows = searches.scores([question, *hints] if question else hints, strategy)
    total = rows[0] + searches.gist_scores(question, strategy) if question else np.zeros(rows.shape[1])
    found_by: dict[int, list[str]] = {int(n): ["question"] for n in top(total, _DEPTH)} if question else {}
    weight = (strategy.clue_weight if question else 1.0) / max(1, len(hints))
    for hint, row in zip(hints, rows[bool(question) :], strict=True):
        best = top(row, ret_hit)
        total[best] += weight * np.maximum(row[best], 0)
        for number in best:
            found_by.setdefault(int(number), []).append(hint)
    found = [int(n) for n in top(total, count) if question or int(n) in found_by]
    return [Hit(n, float(total[n]), tuple(found_by.get(n, ["question"]))) for n in found]


def within_budget(
    hits: Sequence[Hit], sizes: Sequence[int] | np.ndarray, texts: Sequence[str], budget: int
) -> list[Hit]:
    """Take hits in rank order while their sizes (tokens by chunk number) fit; skip what does not, or repeats.

    ``texts`` are those of the hits. Near-duplicates (boilerplate, quotations) tell nothing new.
    """
    taken: list[Hit] = []
    known: list[frozenset[str]] = []
    for hit, text in zip(hits, texts, strict=True):
        terms = frozenset(words(text))
        if sizes[hit.number] > budget or any(_alike(terms, other) for other in known):
            continue
        taken.append(hit)
        known.append(terms)
        budget -= int(sizes[hit.number])
    return taken


def _alike(some: frozenset[str], others: frozenset[str]) -> bool:
    return len(some & others) >= _SAME * max(1, len(some | others))
