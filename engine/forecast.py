"""What memorising a text will cost on this machine, told before it begins."""

from __future__ import annotations

import time
from dataclasses import dataclass

from engine.agent import Agent
from engine.chunking import Chunk, split
from engine.documents import Document
from engine.lexical import LexicalIndex
from engine.memorized import Texts
from engine.memorizer import Memorizer
from engine.memorizers import GistMemorizer
from engine.pipeline import Pipeline

# Tokens that the memory model reads, and chunks that are embedded, to see how fast that is: 0.3 s each at most on two
# cores; and characters that are split and indexed.
_READ, _EMBEDDED, _SPLIT = 256, 48, 200_000
# Tokens of the sentences that gists are chosen from, at most; they are embedded once more.
_CANDIDATES = 4000 * 25
# Bytes of a chunk's place on disk, of what is held of it beside vectors and words in RAM, and of other files.
_PLACE, _CHUNK, _REST = 32, 200, 20_000
_PARAGRAPH = (
    "In the year {0} the harbour of Quarrel Bay was dredged, and {1} boats that had lain on the mud since the autumn "
    "gales went back to their moorings. The harbour master, a careful man, wrote down {2} names in a green book, with "
    "the tonnage and the fee that each skipper owed. Nobody had counted the gulls; there may have been {3}.\n\n"
)


@dataclass(frozen=True)
class Forecast:
    """Estimates for one text. Seconds are from the start, while nothing else is computed.

    After ``words_seconds`` it can be asked, after ``memory_seconds`` with clues (None where a model writes the gists:
    that takes as long as the model likes), and ``vectors_seconds`` all is done. The memory holds
    ``memory_tokens`` of the text's ``tokens``.
    """

    tokens: int
    words_seconds: float
    memory_seconds: float | None
    vectors_seconds: float
    memory_tokens: int
    disk_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class _Speed:
    """Measured on this machine: characters and tokens a second, and sizes. The retriever's tokens but for reading."""

    split: float
    indexed: float
    embedded: float
    read: float
    word_bytes: float
    remembered_bytes: float


_MEASURED: dict[str, _Speed] = {}


def forecast(pipeline: Pipeline, characters: int, sample: str = "") -> Forecast:
    """Estimate what it costs to memorise a text of so many characters; ``sample`` is a piece of it, where known.

    The first call for some models measures how fast they are here, which takes about a second.
    """
    reader = pipeline.memorizer
    if reader.recipe not in _MEASURED:
        _MEASURED[reader.recipe] = _measured(reader)
    speed = _MEASURED[reader.recipe]
    chunks = _split(reader, Document("sample", sample or _text(20_000)))
    a_chunk = chunks[-1].end / len(chunks)
    tokens = int(characters * sum(chunk.tokens for chunk in chunks) / chunks[-1].end)
    count = max(1, characters / a_chunk)
    words = characters / speed.split + characters / speed.indexed
    memory_tokens = reader.remembers(tokens)
    writes = isinstance(reader, GistMemorizer) and reader.gists == "abstractive"
    memory = words + min(tokens, _CANDIDATES) / speed.embedded + memory_tokens / speed.read
    remembered = memory_tokens * speed.remembered_bytes
    vectors = count * 2 * reader.encoder.dimension
    return Forecast(
        tokens,
        words,
        None if writes else memory,
        memory + tokens / speed.embedded,
        memory_tokens,
        int(characters + vectors + count * _PLACE + remembered + _REST),
        int(characters + vectors + count * (_CHUNK + speed.word_bytes) + remembered),
    )


def _measured(reader: Memorizer) -> _Speed:
    documents = (Document("sample", _text(_SPLIT)),)
    _split(reader, *documents)  # the first time, tables are made
    began = time.perf_counter()
    chunks = _split(reader, *documents)
    parted = time.perf_counter()
    lexical = LexicalIndex(Texts(documents, chunks))
    indexed = time.perf_counter()
    some = chunks[:_EMBEDDED]
    reader.encoder.encode(list(Texts(documents, some[:2])))
    embedding = time.perf_counter()
    reader.encoder.encode(list(Texts(documents, some)))
    embedded = time.perf_counter()
    tokens_read, remembered = _reading(reader)
    return _Speed(
        _SPLIT / (parted - began),
        _SPLIT / (indexed - parted),
        sum(chunk.tokens for chunk in some) / (embedded - embedding),
        tokens_read,
        lexical.nbytes / len(chunks),
        remembered,
    )


def _split(reader: Memorizer, document: Document) -> list[Chunk]:
    encoder = reader.encoder
    return split([document], reader.chunk_size, encoder.token_spans, token_counts=encoder.token_counts)


def _reading(reader: Memorizer) -> tuple[float, float]:
    """Return how many tokens a second the memory model reads, and how many bytes it keeps of each."""
    model = reader.model
    if isinstance(model, Agent):  # it is sent the gists with each question
        return float("inf"), 4.0
    ids = model.token_ids(_text(8 * _READ))[:_READ]
    model.read(ids[:8], model.empty_prefix)
    began = time.perf_counter()
    prefix = model.read(ids, model.empty_prefix)
    return len(ids) / (time.perf_counter() - began), prefix.nbytes / len(ids)


def _text(characters: int) -> str:
    """Return a text of everyday words and many figures."""
    count = characters // len(_PARAGRAPH) + 1
    return "".join(_PARAGRAPH.format(n, 7 * n, 13 * n, 29 * n) for n in range(1, count + 1))[:characters]
