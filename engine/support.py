"""Which passages support a sentence of an answer, and where in them.

A passage supports a sentence when a few sentences of it, in a row, hold what the sentence says, in the same words or
with much the same meaning to the retriever's encoder; and never when the sentence states a figure or a name that the
passage does not. This checks the evidence and proves nothing: who did what to whom, and a "not", are beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.claims import Claim, Reader
from engine.events import Source
from engine.figures import figures
from engine.sentences import Sentences

# Sentences in a row that may hold together what one sentence of an answer says.
_IN_A_ROW = 3
# Content words that a passage shares at least with what it supports by its words, and the share of all of them.
_LEAST, _LEAST_SHARE = 2, 0.5
# Support by words alone, without an encoder and beside one; by words and meaning; and by meaning alone. Set on thirty
# statements in new words about a novel, a meeting and a contract, and thirty untrue ones on the same topics.
_WORDS, _SURE_WORDS, _BOTH, _MEANING = 0.6, 0.85, 0.525, 0.7
# Below this, a sentence is on another matter, whatever words it shares.
_RELATED = 0.3
# Another passage supports a sentence clearly better than the cited one when it is ahead by this.
_AHEAD = 0.25
# What a sentence of the passages counts for each word of its own, so that of two that hold the same the short one wins.
_LENGTH = 0.1


class Support:
    """Holds the sentences of one answer against the passages it was given."""

    def __init__(self, sentences: Sentences, question: str = "", language: str = "en") -> None:
        passages = sentences.passages
        self._sentences = sentences
        self._reader = Reader(question, [passage.text for passage in passages], language)
        self._asked = figures(question)
        # The name and section of its document are known of a passage, as they are shown with it.
        shown = {p.number: f"{p.text}\n{p.document} {p.section or ''}" for p in passages}
        self._terms = {number: frozenset(self._reader.stems(text)) for number, text in shown.items()}
        self._figures = {number: figures(text) for number, text in shown.items()}
        self._sentence_terms = [frozenset(self._reader.stems(sentence.text)) for sentence in sentences]
        self._rows: dict[int, list[frozenset[str]]] = {number: [] for number in shown}
        numbers = np.array([sentence.number for sentence in sentences])
        self._places = {number: np.flatnonzero(numbers == number) for number in shown}
        for number, places in self._places.items():
            terms = [self._sentence_terms[i] for i in places]
            self._rows[number] = [_union(terms[i : i + _IN_A_ROW]) for i in range(len(terms))]

    def of(self, sentence: str, named: Sequence[int] = ()) -> tuple[Source, ...]:
        """Return what supports a sentence of which its writer says that the passages ``named`` do.

        Those of them that do; else, or where it does so clearly better, the one that does best. A sentence that says
        too little to be looked for ("Yes.") keeps what its writer named.
        """
        claim = self._reader.read(sentence)
        if not claim.is_testable:
            return tuple(self._source(n, claim) for n in named if self._agrees(claim, [n]))
        shares = {n: self._share(claim, n) for n in self._terms if self._agrees(claim, [n])}
        weights = {n: share for n, share in shares.items() if share >= _SURE_WORDS and self._shares_enough(claim, n)}
        nearness = None
        if not any(n in weights for n in named or weights):
            nearness = self._nearness(sentence) if shares else None
            if nearness is None:
                weights = {n: s for n, s in shares.items() if s >= _WORDS and self._shares_enough(claim, n)}
            else:
                weights |= self._by_meaning(shares, nearness)
        return tuple(self._source(n, claim, nearness) for n in self._chosen(claim, named, weights))

    def _by_meaning(self, shares: dict[int, float], nearness: np.ndarray) -> dict[int, float]:
        """Return the weight of each passage that supports a claim by its meaning, or by that and its words."""
        weights = {}
        for number, share in shares.items():
            near = float(nearness[self._places[number]].max(initial=0.0))
            both = (share + near) / 2
            if near >= _MEANING or (near >= _RELATED and both >= _BOTH):
                weights[number] = both
        return weights

    def _chosen(self, claim: Claim, named: Sequence[int], weights: dict[int, float]) -> list[int]:
        best = max(weights, key=lambda number: weights[number], default=None)
        if best is None or not any(n in weights for n in named):
            return self._together(claim, named) or ([best] if best is not None else [])
        return [n for n in named if weights.get(n, 0.0) > weights[best] - _AHEAD] or [best]

    def _share(self, claim: Claim, number: int) -> float:
        """Return the share of what a claim says beyond the question that some sentences of a passage hold."""
        return max((len(claim.new & row) for row in self._rows[number]), default=0) / len(claim.new)

    def _shares_enough(self, claim: Claim, number: int) -> bool:
        """Whether a passage shares enough of a whole claim, the question's words too, to support it by words alone."""
        return len(claim.terms & self._terms[number]) >= max(_LEAST, _LEAST_SHARE * len(claim.terms))

    def _together(self, claim: Claim, named: Sequence[int]) -> list[int]:
        """Return the named passages where only together they hold what the sentence says, each a part of its own."""
        held = _union([self._terms[n] for n in named])
        if len(named) < 2 or len(claim.terms & held) < _SURE_WORDS * len(claim.terms) or not self._agrees(claim, named):
            return []
        parts = {n: claim.new & self._terms[n] for n in named}
        return [n for n in named if parts[n] - _union([parts[other] for other in named if other != n])]

    def _agrees(self, claim: Claim, numbers: Sequence[int]) -> bool:
        """Whether passages hold every figure and name; a figure of the question may be denied by another one."""
        missing = claim.figures.difference(*(self._figures[n] for n in numbers))
        is_denied = missing <= self._asked and missing < claim.figures
        return (not missing or is_denied) and not claim.names.difference(*(self._terms[n] for n in numbers))

    def _nearness(self, sentence: str) -> np.ndarray | None:
        """Return how near a sentence is to each of the passages', float32, where 0 is unrelated and 1 the same text.

        Encoders differ in the cosine of unrelated texts (0.1 or 0.7), so it is measured: as the median of all.
        """
        vectors, encoder = self._sentences.vectors, self._sentences.encoder
        if vectors is None or encoder is None or not len(vectors):
            return None
        # As a query: an answer is short beside a text, and somebody waits for it.
        cosines: np.ndarray = vectors @ encoder.encode([sentence], query=True)[0]
        unrelated = float(np.median(cosines))
        return (cosines - unrelated) / max(1e-6, 1.0 - unrelated)

    def _source(self, number: int, claim: Claim, nearness: np.ndarray | None = None) -> Source:
        """Return where in a passage the sentence stands that supports a claim best; nowhere when none shares a word."""
        best, found = 0.0, Source(number, 0, 0)
        for index in self._places[number]:
            terms = self._sentence_terms[index]
            weight = len(claim.terms & terms) / (len(claim.terms) + _LENGTH * len(terms) + 1)
            weight += max(0.0, float(nearness[index])) if nearness is not None else 0.0
            if weight > best:
                sentence = self._sentences[int(index)]
                best, found = weight, Source(number, sentence.start, sentence.end)
        return found


def _union(sets: Sequence[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sets)
