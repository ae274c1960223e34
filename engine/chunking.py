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
from engine.events import Stop

# For each text, the (start, end) character span of every token, without special tokens.
TokenSpans = Callable[[Sequence[str]], list[list[tuple[int, int]]]]

# Closing punctuation of a sentence; the full stop of an initial or a title ("T. M. Riddle", "Mrs. Weasley") is none.
FULL_STOP = r"(?<!\b[A-Z])(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bvs)(?<!\bNo)\.|[!?]"
# A sentence ends after its closing punctuation and the white space that follows, after CJK punctuation (which needs no
# space), or at a line break.
_SENTENCE_END = re.compile(
    rf"(?:{FULL_STOP})['\"\u2019\u201d)\]]*\s+|[\u3002\uff01\uff1f\uff1b]['\"\u2019\u201d\u300d\u300f]*\s*|\n\s*"
)
_GAPS = re.compile(r"\s{3,}")
_BATCH = 2048
# Characters per token, on average, beyond which a sentence is no ordinary text.
_WIDE = 12


@dataclass(frozen=True)
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
    """Yield the (start, end) spans of the sentences of ``text``; together they cover it."""
    begin = 0
    for match in _SENTENCE_END.finditer(text):
        if text[begin : match.end()].strip():
            yield begin, match.end()
            begin = match.end()
    if begin < len(text):
        yield begin, len(text)


def split(
    documents: Sequence[Document],
    size: int,
    token_spans: TokenSpans,
    stop: Stop | None = None,
    across_marks: bool = False,
) -> list[Chunk]:
    """Split documents into chunks of at most ``size`` tokens.

    A chunk ends with its page, so that a citation names the right one, and with its section unless it would be tiny;
    with ``across_marks`` neither matters.

    Raises:
        InputError: ``size`` is below 16 tokens.
        Cancelled: ``stop`` was set.
    """
    if size < 16:
        raise InputError(f"The chunk size is {size} tokens; give 16 or more.")
    chunks: list[Chunk] = []
    for number, document in enumerate(documents):
        pieces = _pieces(document.text, size, token_spans, stop)
        chunks.extend(_pack(number, pieces, size, {} if across_marks else _breaks(document, size)))
    return chunks


def _pieces(text: str, size: int, token_spans: TokenSpans, stop: Stop | None) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, tokens) of sentences; one longer than ``size`` is cut between tokens."""
    spans = list(sentences(text))
    for offset in range(0, len(spans), _BATCH):
        if stop is not None:
            stop.check()
        batch = spans[offset : offset + _BATCH]
        for (start, end), tokens in zip(batch, token_spans([text[a:b] for a, b in batch]), strict=True):
            starts = _token_starts(tokens, text[start:end])
            if len(starts) <= size:
                yield start, end, len(starts)
                continue
            # Pieces may not be cut exactly where a token ends and begins again inside one character, so each cut is
            # the start of the next piece's first token.
            edges = [start, *(start + cut for cut in starts[size::size]), end]
            for i, (a, b) in enumerate(pairwise(edges)):
                yield a, b, min(size, len(starts) - i * size)


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
