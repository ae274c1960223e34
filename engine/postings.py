"""Which terms stand in which texts, and what that is worth by BM25: in flat arrays, made in steps of bounded memory.

Knows terms by their hashes only, so that texts with millions of different terms (numbers, keys, misprints) need no
more memory than others; that two terms of a corpus share one has a chance of about one in a million.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.events import Stop

# The constants of BM25 (Robertson et al. 1994): how soon more of a term counts no more, and how much length counts.
_K1, _B = 1.5, 0.75
# Terms and texts of a block at most: a fiftieth of a second, and numbers of texts that fit into 16 bits.
_BLOCK_TERMS, _BLOCK_TEXTS = 1 << 17, 1 << 16
# The hashes of all blocks are put together in so many parts.
_PARTS = 32


@dataclass(frozen=True)
class Postings:
    """BM25 of terms in ``size`` texts, by Lucene's variant as bm25s has it (Kamphuis et al. 2020).

    ``terms`` [v] int64 are hashes, ascending. Of term i, ``texts`` [p] int32 and ``scores`` [p] float32 hold from
    ``starts[i]`` to ``starts[i + 1]`` (int64 [v + 1]) the numbers of the texts it stands in, ascending, and its score
    in each.
    """

    size: int
    terms: np.ndarray
    starts: np.ndarray
    texts: np.ndarray
    scores: np.ndarray

    def of(self, term: int) -> slice:
        """Return where the postings of a term lie; an empty slice for one that stands nowhere."""
        at = int(np.searchsorted(self.terms, term))
        if at == len(self.terms) or self.terms[at] != term:
            return slice(0, 0)
        return slice(int(self.starts[at]), int(self.starts[at + 1]))

    @property
    def nbytes(self) -> int:
        """The size of the arrays in bytes."""
        return sum(part.nbytes for part in (self.terms, self.starts, self.texts, self.scores))


@dataclass(frozen=True)
class _Block:
    """How often which terms stand in some texts, numbered from ``first``.

    ``terms`` [u] int64 are hashes, ascending, and in the end their numbers. Each has ``counts`` [u] int32 postings, in
    order: ``texts`` [p] uint16 less ``first``, and ``times`` [p] in the smallest unsigned type that holds them.
    """

    first: int
    terms: np.ndarray
    counts: np.ndarray
    texts: np.ndarray
    times: np.ndarray


class PostingsBuilder:
    """Takes the terms of one text after another; then ``finish`` makes the postings."""

    def __init__(self) -> None:
        self._terms, self._lengths = array("q"), array("q")
        self._blocks: list[_Block] = []
        self._first = 0

    def add(self, terms: Sequence[int]) -> None:
        """Count the terms of the next text, given as hashes in 64 bits."""
        self._terms.extend(terms)
        self._lengths.append(len(terms))
        if len(self._terms) >= _BLOCK_TERMS or len(self._lengths) - self._first == _BLOCK_TEXTS:
            self._close()

    def _close(self) -> None:
        lengths = np.array(self._lengths[self._first :], np.int64)
        terms, numbers = np.unique(np.array(self._terms, np.int64), return_inverse=True)
        # A posting is a number that sorts by term, then by text.
        pairs = numbers * len(lengths) + np.repeat(np.arange(len(lengths)), lengths)
        pairs, times = np.unique(pairs, return_counts=True)
        of_term, texts = np.divmod(pairs, max(1, len(lengths)))
        counts = np.bincount(of_term, minlength=len(terms)).astype(np.int32)
        small = np.min_scalar_type(int(times.max(initial=0)))
        self._blocks.append(_Block(self._first, terms, counts, texts.astype(np.uint16), times.astype(small)))
        self._terms, self._first = array("q"), len(self._lengths)

    def finish(self, stop: Stop | None = None) -> Postings:
        """Return the postings of all texts added; the builder is empty then.

        Raises:
            Cancelled: ``stop`` was set.
        """
        self._close()
        terms = self._number_terms(stop)
        starts = np.zeros(len(terms) + 1, np.int64)
        for block in self._blocks:
            _check(stop)
            starts[block.terms + 1] += block.counts
        frequencies = starts[1:].astype(np.int32)
        np.cumsum(starts, out=starts)
        size, lengths = len(self._lengths), np.array(self._lengths, np.float64)
        patience = _K1 * (1 - _B + _B * lengths / max(lengths.mean(), 1e-9)) if size else lengths
        made = Postings(size, terms, starts, np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32))
        heads = starts[:-1].copy()
        self._blocks.reverse()
        while self._blocks:
            _check(stop)
            block = self._blocks.pop()
            begins = np.cumsum(block.counts) - block.counts
            places = np.repeat(heads[block.terms] - begins, block.counts) + np.arange(len(block.texts))
            heads[block.terms] += block.counts
            found = frequencies[block.terms]
            rarity = np.log(1 + (size - found + 0.5) / (found + 0.5)).astype(np.float32)
            texts = block.texts + np.int32(block.first)
            made.texts[places] = texts
            made.scores[places] = np.repeat(rarity, block.counts) * (block.times / (patience[texts] + block.times))
        return made

    def _number_terms(self, stop: Stop | None) -> np.ndarray:
        """Return the hashes in all blocks, each once, ascending; the blocks' ``terms`` become their numbers."""
        edges = np.linspace(-(2.0**63), 2.0**63, _PARTS + 1)[1:-1].astype(np.int64)
        cuts = [np.split(block.terms, np.searchsorted(block.terms, edges)) for block in self._blocks]
        found, known = [], 0
        for part in zip(*cuts, strict=True):
            _check(stop)
            hashes, numbers = np.unique(np.concatenate(part), return_inverse=True)
            for own, some in zip(part, np.split(numbers, np.cumsum([len(own) for own in part])[:-1]), strict=True):
                own[:] = some + known
            found.append(hashes)
            known += len(hashes)
        return np.concatenate(found)


def _check(stop: Stop | None) -> None:
    if stop is not None:
        stop.check()
