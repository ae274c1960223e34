"""Documents become chunks: passages with offsets, sized by the tokenizer that will read them.

Chunks of a document follow each other without gaps or overlap, so joined together they are the document: no character
is lost. They end at sentence ends where sentences are shorter than a chunk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from engine.documents import Document
from engine.errors import InputError
from engine.events import Meter, OnProgress, Stop

# For each text, the (start, end) character span of every token, without special tokens; and how many there are.
TokenSpans = Callable[[Sequence[str]], list[list[tuple[int, int]]]]
TokenCounts = Callable[[Sequence[str]], list[int]]

# Closing punctuation of a sentence; the full stop of an initial or a title ("T. M. Riddle", "Mrs. Weasley") is none.
# What it must not follow is looked at last: a pattern that begins with its few characters finds them ten times faster.
FULL_STOP = (
    r"[.!?](?:(?<=[!?])|(?<!\b[A-Z]\.)(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\bvs\.)(?<!\bNo\.))"
)
# A sentence ends after its closing punctuation and the white space that follows, after CJK punctuation (which needs no
# space), or at a line break.
_SENTENCE_END = re.compile(
    rf"{FULL_STOP}['\"\u2019\u201d)\]]*\s+|[\u3002\uff01\uff1f\uff1b]['\"\u2019\u201d\u300d\u300f]*\s*|\n\s*"
)
_VISIBLE = re.compile(r"\S")
_GAPS = re.compile(r"\s{3,}")
# Characters of a sentence at most. What goes on without an end (encoded data, one endless line) is cut, so that no step
# takes long or needs much memory.
LONGEST_SENTENCE = 20_000
# Sentences and characters whose tokens are counted between two looks at the stop flag: a hundredth of a second for
# prose, and up to half a second for encoded data.
_BATCH, _BATCH_CHARACTERS = 2048, 60_000
# Characters per token, on average, beyond which a sentence is no ordinary text.
_WIDE = 12


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: characters ``start`` to ``end`` of document number ``document``, ``tokens`` long."""

    document: int
    start: int
    end: int
    tokens: int

    def of(self, documents: Sequence[Document]) -> str:
        """Return the chunk's text."""
        return documents[self.document].text[self.start : self.end]


def compact(text: str) -> str:
    """Return text for a prompt: long gaps, which say nothing, become short ones."""
    return _GAPS.sub(lambda gap: "\n\n" if "\n" in gap[0] else "  ", text)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) spans of the sentences of ``text``; together they cover it.

    One that goes on for more than ``LONGEST_SENTENCE`` characters is cut, at a space where there is one.
    """
    begin = look = 0
    while begin < len(text):
        seen, look = look, sentence_end(text, look)
        # White space before the first sentence belongs to it, unless there is no end of it.
        if begin or look == len(text) or look > LONGEST_SENTENCE or _VISIBLE.search(text, seen, look):
            yield begin, look
            begin = look


def sentence_end(text: str, begin: int) -> int:
    """Return where the sentence ends, with the white space after it, that begins, or goes on, at ``begin``."""
    limit = begin + LONGEST_SENTENCE
    found = _SENTENCE_END.search(text, begin, limit)
    if found is not None:
        return found.end()
    if limit >= len(text):
        return len(text)
    # Without an end in sight, it is cut after the last space, unless that is far away.
    return text.rfind(" ", limit - LONGEST_SENTENCE // 2, limit) + 1 or limit


def split(
    documents: Sequence[Document],
    size: int,
    token_spans: TokenSpans,
    stop: Stop | None = None,
    across_marks: bool = False,
    token_counts: TokenCounts | None = None,
    on_progress: OnProgress | None = None,
) -> list[Chunk]:
    """Split documents into chunks of at most ``size`` tokens.

    A chunk ends with its page, so that a citation names the right one, and with its section unless it would be tiny;
    with ``across_marks`` neither matters. Given ``token_counts``, which must agree with ``token_spans``, only sentences
    too long for a chunk are asked for the places of their tokens: many times faster. Progress counts characters.

    Raises:
        InputError: ``size`` is below 16 tokens.
        Cancelled: ``stop`` was set.
    """
    if size < 16:
        raise InputError(f"The chunk size is {size} tokens; give 16 or more.")
    meter, before = Meter("splitting", sum(len(document.text) for document in documents), on_progress), 0
    cutter = _Cutter(size, token_spans, token_counts)
    chunks: list[Chunk] = []
    for number, document in enumerate(documents):
        pieces = _pieces(document.text, cutter, stop, meter, before)
        chunks.extend(_pack(number, pieces, size, {} if across_marks else _breaks(document, size)))
        before += len(document.text)
    return chunks


def _pieces(text: str, cutter: _Cutter, stop: Stop | None, meter: Meter, before: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, tokens) of sentences, and of the parts of those that are too long for a chunk."""
    for batch in _batches(text):
        if stop is not None:
            stop.check()
        yield from cutter.cut(text, batch)
        meter.step(before + batch[-1][1])


def _batches(text: str) -> Iterator[list[tuple[int, int]]]:
    """Yield the spans of the sentences of ``text``, in lists that are read in a step."""
    batch: list[tuple[int, int]] = []
    for span in sentences(text):
        if batch and (len(batch) == _BATCH or span[1] - batch[0][0] > _BATCH_CHARACTERS):
            yield batch
            batch = []
        batch.append(span)
    if batch:
        yield batch


@dataclass(frozen=True)
class _Cutter:
    """Counts the tokens of sentences, and cuts those that have more than ``size`` between tokens."""

    size: int
    token_spans: TokenSpans
    token_counts: TokenCounts | None

    def cut(self, text: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
        """Yield (start, end, tokens) of the sentences of ``text`` at ``spans``, or of their parts."""
        read = [text[start:end] for start, end in spans]
        counts = self._counts(read)
        rest = [i for i in range(len(read)) if i not in counts]
        places = dict(zip(rest, self.token_spans([read[i] for i in rest]), strict=True))
        for i, (start, end) in enumerate(spans):
            if i in counts:
                yield start, end, counts[i]
            else:
                yield from self._parts(start, end, _token_starts(places[i], read[i]))

    def _counts(self, read: Sequence[str]) -> dict[int, int]:
        """Return by its number the tokens of each sentence for which counting them is enough."""
        if self.token_counts is None:
            return {}
        # One with more characters is too long, or no ordinary text; white space that is no token ends no chunk.
        some = [i for i, sentence in enumerate(read) if len(sentence) <= _WIDE * self.size or sentence.isspace()]
        counted = zip(some, self.token_counts([read[i] for i in some]), strict=True)
        return {
            i: n for i, n in counted if n <= self.size and (len(read[i]) <= _WIDE * n or (not n and read[i].isspace()))
        }

    def _parts(self, start: int, end: int, starts: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Yield (start, end, tokens) of a sentence whose tokens begin at ``starts``, or of its parts."""
        if len(starts) <= self.size:
            yield start, end, len(starts)
            return
        # Pieces may not be cut exactly where a token ends and begins again inside one character, so each cut is
        # the start of the next piece's first token.
        edges = [start, *(start + cut for cut in starts[self.size :: self.size]), end]
        for i, (a, b) in enumerate(pairwise(edges)):
            yield a, b, min(self.size, len(starts) - i * self.size)


def _token_starts(tokens: Sequence[tuple[int, int]], sentence: str) -> list[int]:
    """Return where tokens begin in a sentence; endless ones count as several, and white space as none.

    A tokenizer may take a word without end (encoded data, say) for one unknown token.
    """
    starts = [begin for begin, _ in tokens]
    if len(sentence) <= _WIDE * len(starts):
        return starts
    cuts: list[int] = []
    for a, b in pairwise([0, *starts[1:], len(sentence)]):
        begin, end = b - len(sentence[a:b].lstrip()), a + len(sentence[a:b].rstrip())
        cuts += [a, *range(begin + _WIDE // 2, end, _WIDE // 2)] if begin < end else ()
    return cuts


def _breaks(document: Document, size: int) -> dict[int, int]:
    """Return by offset of a page or section how many tokens a chunk must have to end there."""
    least: dict[int, int] = {}
    page: int | None = None
    for mark in document.marks:
        least[mark.start] = 1 if mark.page != page else size // 4
        page = mark.page
    return least


def _pack(
    document: int, pieces: Iterator[tuple[int, int, int]], size: int, breaks: Mapping[int, int]
) -> Iterator[Chunk]:
    begin, last, used = 0, 0, 0
    for start, end, tokens in pieces:
        if used and (used + tokens > size or used >= breaks.get(start, size + 1)):
            yield Chunk(document, begin, last, used)
            begin, used = start, 0
        last, used = end, used + tokens
    if last > begin:
        yield Chunk(document, begin, last, used)


def fast_token_spans(tokenizer: Any, texts: Sequence[str]) -> list[list[tuple[int, int]]]:  # noqa: ANN401
    """Return for each text the character span of each token, by a transformers fast tokenizer."""
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        add_special_tokens=False,
        return_offsets_mapping=True,
        truncation=False,
        padding=False,
        verbose=False,
    )
    return [list(spans) for spans in encoded["offset_mapping"]]
