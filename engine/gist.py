"""A corpus becomes gists: short renderings of its stretches that together fit the memory model's window.

Two ways. *Extractive*: the central, non-redundant sentences of each stretch: faithful, and cheap enough for a CPU.
*Abstractive*: written by the model, for models large enough to be trusted with it; of a text that would take it more
than 256 calls to read, it is given an extract of chosen sentences.

Gists that are too long together are a text like any other: ``condense`` makes gists of gists until they fit, as reading
agents do (ReadAgent, arXiv 2402.09727; RAPTOR, arXiv 2401.18059).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Literal, Protocol

from engine.chunking import Chunk, compact, split
from engine.documents import Document
from engine.events import Meter, OnProgress, Stop
from engine.extract import SENTENCE_TOKENS, Embed, candidates, choose, count_sentences
from engine.prompt import Prompts, quoted, render
from engine.stretches import density, even_stretches

GistKind = Literal["extractive", "abstractive"]

STRETCH_TOKENS = 4096
GIST_TOKENS = 512
# Sentences embedded at most; of a longer corpus an even sample stands for the rest.
_CANDIDATES = 4000
# Tokens of a gist of one sentence, of the shortest, what a model is given at least to write one, and what the average
# gist of gists has.
_SENTENCE_GIST, _LEAST_GIST, _WRITTEN_GIST, _CONDENSED_GIST = 48, 8, 96, 96
# What stands between two gists.
_BETWEEN = "\n\n"
_GAP = 2  # tokens of that, at most
# Of a text of more characters than this, tokens are estimated; and stretches that a model reads at most.
_SHORT, _READ = 400_000, 256
# Tokens of a model's window kept free for the instruction around a stretch.
_INSTRUCTION = 160


class Writer(Protocol):
    """Who counts tokens and writes gists: a local Model or an Agent."""

    name: str
    context_length: int

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of ``text``."""

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return for each text the character span of each token."""

    def generate(self, prompts: Sequence[str], max_new_tokens: int = ..., *, stop: Stop | None = ...) -> list[str]:
        """Answer each prompt."""


@dataclass(frozen=True)
class Gist:
    """The gist of characters ``start`` to ``end`` of document number ``document``."""

    document: int
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class GistMaker:
    """Makes gists of either kind; ``batch`` are written at once. ``embed``: texts -> unit vectors [n, dim] float32."""

    kind: GistKind
    writer: Writer
    embed: Embed
    prompts: Prompts
    batch: int = 4

    def make(
        self,
        documents: Sequence[Document],
        budget: int,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> list[Gist]:
        """Return gists of the documents with at most ``budget`` tokens together.

        Raises:
            Cancelled: ``stop`` was set.
        """
        if self.kind == "extractive":
            parts = self._stretches(documents, budget, stop)
            weights = [part.tokens for part in parts]
            return self._choose(documents, parts, weights, budget, GIST_TOKENS, on_progress, stop)
        if rate := _rate_if_long(documents, self.writer, _READ * self._readable):
            gists = self._write_of_extract(documents, rate, budget, on_progress, stop)
        else:
            gists = self._write(documents, self._stretches(documents, budget, stop), budget, on_progress, stop)
        return self.condense(gists, budget, on_progress, stop)

    def condense(
        self, gists: Sequence[Gist], budget: int, on_progress: OnProgress | None = None, stop: Stop | None = None
    ) -> list[Gist]:
        """Return the gists, or gists of these gists where they have more than ``budget`` tokens together.

        Each document keeps its share of the budget: by the length of the text that its gists stand for.
        """
        found = list(gists)
        while (count := self.count(found)) > budget:
            texts, members = _as_documents(found)
            shorter: list[Gist] = []
            if self.kind == "abstractive":
                shorter = self._write(texts, self._stretches(texts, budget, stop), budget, on_progress, stop)
            # Choosing keeps to the budget at once; of what a model writes that will not be brief, sentences are chosen.
            if is_last := not shorter or self.count(shorter) > 0.9 * count:
                size = min(STRETCH_TOKENS, max(SENTENCE_TOKENS[1], count * _CONDENSED_GIST // budget))
                parts = split(texts, size, self.writer.token_spans, stop, across_marks=True)
                weights = [_weight(part, members[part.document]) for part in parts]
                shorter = self._choose(texts, parts, weights, budget, budget, on_progress, stop)
            found = [_covering(gist, members[gist.document]) for gist in shorter]
            if is_last:
                break
        return found

    def count(self, gists: Sequence[Gist]) -> int:
        """Return how many tokens the gists have together, as the memory reads them."""
        return self.writer.count_tokens(join(gists))

    def _stretches(self, documents: Sequence[Document], budget: int, stop: Stop | None) -> list[Chunk]:
        """Cut the text: for a model so that it can read each part, else so that each part can have a gist."""
        if self.kind == "abstractive":
            return split(documents, self._readable, self.writer.token_spans, stop, across_marks=True)
        size, most = STRETCH_TOKENS, max(1, budget // _SENTENCE_GIST)
        if rate := _rate_if_long(documents, self.writer, most * size):
            return even_stretches(documents, most, rate)
        while True:
            parts = split(documents, size, self.writer.token_spans, stop, across_marks=True)
            if len(parts) * _SENTENCE_GIST <= budget or len(parts) <= len(documents):
                return parts
            # Tokenizing a long corpus takes time: go at once to a size that should do.
            size = max(2 * size, sum(part.tokens for part in parts) * _SENTENCE_GIST // budget)

    @property
    def _readable(self) -> int:
        """Tokens of a stretch that the model can read at once."""
        return min(STRETCH_TOKENS, max(64, self.writer.context_length - GIST_TOKENS - _INSTRUCTION))

    def _choose(
        self,
        documents: Sequence[Document],
        parts: Sequence[Chunk],
        weights: Sequence[int],
        budget: int,
        most: int,
        on_progress: OnProgress | None,
        stop: Stop | None,
    ) -> list[Gist]:
        """Choose sentences of each stretch, at most ``most`` tokens a stretch, in proportion to its weight.

        What a stretch leaves of its share goes to the next one.
        """
        step = max(1, -(-len(parts) * (_LEAST_GIST + _GAP) // budget))  # or not every stretch can have a sentence
        parts, weights = parts[::step], weights[::step]
        last = {part.document: number for number, part in enumerate(parts)}
        stride = max(1, -(-sum(count_sentences(part.of(documents), stop) for part in parts) // _CANDIDATES))
        meter, left = Meter("choosing gists", len(parts), on_progress), 0
        gists: list[Gist] = []
        for number, share in enumerate(_shares(weights, budget - _GAP * len(parts))):
            if stop is not None:
                stop.check()
            part, left = parts[number], left + share
            # A sentence is cut only for a document that would have no gist.
            may_cut = last[part.document] == number and not (gists and gists[-1].document == part.document)
            allowance = min(most, left)
            found = candidates(part.of(documents), self.writer.token_spans, stride, allowance, may_cut, stop)
            chosen, used = choose(found, self.embed, allowance)
            left -= used
            if chosen:
                gists.append(Gist(part.document, part.start, part.end, chosen))
            meter.step(number + 1)
        return gists

    def _write_of_extract(
        self,
        documents: Sequence[Document],
        rate: float,
        budget: int,
        on_progress: OnProgress | None,
        stop: Stop | None,
    ) -> list[Gist]:
        """Let the model write gists of sentences chosen from a text too long to be read whole, of ``rate`` a character.

        Reading 200 MB would take it ten thousand calls.
        """
        parts = even_stretches(documents, _READ, rate)
        weights, room = [part.tokens for part in parts], _READ * self._readable
        extract = self._choose(documents, parts, weights, room, self._readable, on_progress, stop)
        texts, members = _as_documents(extract)
        gists = self._write(texts, self._stretches(texts, budget, stop), budget, on_progress, stop)
        return [_covering(gist, members[gist.document]) for gist in gists]

    def _write(
        self,
        documents: Sequence[Document],
        parts: Sequence[Chunk],
        budget: int,
        on_progress: OnProgress | None,
        stop: Stop | None,
    ) -> list[Gist]:
        """Let the model write a gist of each stretch, several at a time; where it writes nothing, choose sentences."""
        parts = [part for part in parts if part.of(documents).strip()]
        allowance = min(GIST_TOKENS, max(_WRITTEN_GIST, budget // max(1, len(parts))))
        meter = Meter("writing gists", len(parts), on_progress)
        gists: list[Gist] = []
        silent: list[Chunk] = []
        for begin in range(0, len(parts), self.batch):
            some = parts[begin : begin + self.batch]
            asked = [render(self.prompts.gist, context=quoted(compact(part.of(documents)))) for part in some]
            for part, text in zip(some, self.writer.generate(asked, allowance, stop=stop), strict=True):
                if text.strip():
                    gists.append(Gist(part.document, part.start, part.end, text.strip()))
                else:
                    silent.append(part)
            meter.step(begin + len(some))
        room = (allowance + _GAP) * len(silent)
        gists += self._choose(documents, silent, [1] * len(silent), room, allowance, None, stop) if silent else []
        return sorted(gists, key=lambda gist: (gist.document, gist.start))


def join(gists: Sequence[Gist]) -> str:
    """Return the text the memory reads."""
    return _BETWEEN.join(gist.text for gist in gists)


def _rate_if_long(documents: Sequence[Document], writer: Writer, tokens: int) -> float:
    """Return how many tokens a character has, by a sample, where documents have more than ``tokens``; else 0."""
    length = sum(len(document.text) for document in documents)
    if length <= _SHORT:
        return 0.0
    rate = density(documents, writer.count_tokens)
    return rate if length * rate > tokens else 0.0


def _as_documents(gists: Sequence[Gist]) -> tuple[list[Document], list[list[Gist]]]:
    """Return the gists of each document as one text, and the gists that each text is made of."""
    members = [list(group) for _, group in groupby(gists, key=lambda gist: gist.document)]
    return [Document("gists", join(group)) for group in members], members


def _covering(short: Gist, members: Sequence[Gist]) -> Gist:
    """Return a gist of gists, with the place in the document of all the gists it was made from."""
    ends = list(accumulate(len(gist.text) + len(_BETWEEN) for gist in members))
    first, last = bisect_right(ends, short.start), bisect_left(ends, short.end)
    inside = members[first : last + 1] or members[-1:]
    return Gist(inside[0].document, inside[0].start, inside[-1].end, short.text)


def _weight(part: Chunk, members: Sequence[Gist]) -> int:
    """Return how many characters of the document a part of its gists' text stands for."""
    begin, weight = 0, 0
    for gist in members:
        shared = min(part.end, begin + len(gist.text)) - max(part.start, begin)
        weight += max(0, shared) * (gist.end - gist.start) // max(1, len(gist.text))
        begin += len(gist.text) + len(_BETWEEN)
    return weight


def _shares(weights: Sequence[int], budget: int) -> list[int]:
    """Divide a budget of tokens in proportion to weights, yet with enough for a sentence each where there is."""
    least = min(_SENTENCE_GIST, budget // max(1, len(weights)))
    rest, total = budget - least * len(weights), max(1, sum(weights))
    return [least + rest * weight // total for weight in weights]
