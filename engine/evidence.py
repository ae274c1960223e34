"""The evidence for one question: the best chunks within the budget, as passages in the order of the text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.coverage import cover, interest_of, part_of
from engine.encoder import Encoder
from engine.errors import InputError
from engine.events import Passage, Stop
from engine.memorized import Memorized
from engine.model import Model
from engine.ranking import Hit, rank, within_budget
from engine.reranking import reranked
from engine.strategy import Strategy

# Tokens of the retriever that all evidence may have, the same for every task, so that tasks compare fairly.
EVIDENCE_TOKENS = 1280
# Tokens held back for what joined chunks have more than they have apart.
_JOINING = 8
# Tokens of a chunk: a small one has one subject, and more places of the text fit the evidence. With 256 tokens, plain
# RAG found 0.30 of the evidence, with 96 it found 0.38 (188 questions on six texts, the same budget).
_CHUNK_TOKENS = 96
# Chunks that are looked at for it, at most; white space has hardly any tokens.
_CANDIDATES = 400
# Chunks that a summary chooses from: of a longer corpus, one of every few beside each other.
_PLACES = 20_000


def check_sizes(ret_hit: int, retrieval_chunk_size: int) -> None:
    """Raise InputError for a number of passages or a chunk size that cannot be used."""
    if not isinstance(ret_hit, int) or not 1 <= ret_hit <= 100:
        raise InputError(f"ret_hit is {ret_hit}; give 1 to 100 passages.")
    if not isinstance(retrieval_chunk_size, int) or retrieval_chunk_size < 16:
        raise InputError(f"retrieval_chunk_size is {retrieval_chunk_size}; give 16 tokens or more.")


def chunk_size(wanted: int, encoder: Encoder) -> int:
    """Return the chunk size in tokens: never more than the encoder reads, nor than a chunk should have."""
    return min(wanted, encoder.max_tokens, _CHUNK_TOKENS)


def find(
    question: str,
    clues: Sequence[str],
    held: Memorized,
    strategy: Strategy,
    ret_hit: int,
    stop: Stop | None = None,
    budget: int = EVIDENCE_TOKENS,
) -> list[Hit]:
    """Return the chunks of the evidence, best first, with at most ``budget`` tokens together.

    Raises:
        Cancelled: ``stop`` was set.
    """
    sizes = held.sizes
    budget = max(0, budget - _JOINING)
    hits = [hit for hit in rank(question, clues, held.searches, strategy, ret_hit, _CANDIDATES) if _text(hit, held)]
    if strategy.rerank and question and isinstance(held.memory, Model):
        texts, lengths = [_text(hit, held) for hit in hits], [int(sizes[hit.number]) for hit in hits]
        hits = reranked(question, hits, texts, lengths, held.memory, strategy.rerank, budget, stop)
    return within_budget(hits, sizes, [_text(hit, held) for hit in hits], budget)


def overview(
    question: str,
    points: Sequence[str],
    held: Memorized,
    strategy: Strategy,
    ret_hit: int,
    stop: Stop | None = None,
    budget: int = EVIDENCE_TOKENS,
) -> list[Hit]:
    """Return the chunks of a summary's evidence: what the question finds, then places from all over the text.

    The more the question is about one place, the more of the ``budget`` goes to what it finds (coverage.py).

    Raises:
        Cancelled: ``stop`` was set.
    """
    searches, hits = held.searches, list[Hit]()
    found_by = held.dense.scores([question])[0] if searches.has_vectors else held.lexical.scores(question)
    numbers = _some(found_by, _PLACES)
    # Without vectors, each stretch of the text gives the passage that shares most words with the question.
    vectors = held.dense.index.vectors(numbers) if searches.has_vectors else np.zeros((len(numbers), 1), np.float32)
    interest = relevance = None
    if question:
        relevance = found_by[numbers]
        part = part_of(relevance, vectors)
        hits = find(question, [], held, strategy, ret_hit, stop, int(part * budget))
        interest = interest_of(relevance, vectors, part)
        interest[np.isin(numbers, [hit.number for hit in hits])] = 0.0
    left = max(0, budget - _JOINING) - sum(held.chunks[hit.number].tokens for hit in hits)
    wanted = points if searches.has_vectors else ()
    near = held.dense.encoder.encode(wanted, stop=stop, is_waited_for=True) if wanted else None
    places = cover(vectors, searches.documents[numbers], held.sizes[numbers], left, near, interest, relevance)
    found = [Hit(int(numbers[p.number]), p.score, () if p.point is None else (points[p.point],)) for p in places]
    return hits + [hit for hit in found if _text(hit, held)]


def _some(scores: np.ndarray, most: int) -> np.ndarray:
    """Return the numbers of at most ``most`` chunks from all over the text, of those beside each other the best."""
    step = max(1, -(-len(scores) // most))
    begins = range(0, len(scores), step)
    return np.array([begin + int(scores[begin : begin + step].argmax()) for begin in begins], np.int64)


def _text(hit: Hit, held: Memorized) -> str:
    return held.chunks[hit.number].of(held.documents).strip()


def passages(hits: Sequence[Hit], held: Memorized, most: int) -> tuple[Passage, ...]:
    """Return hits as passages, numbered from 1 in the order of the documents.

    Chunks that follow each other on one page and in one section become one passage of at most ``most`` tokens.
    """
    found: list[Passage] = []
    for group in _groups(sorted(hits, key=lambda hit: hit.number), held, most):
        first, last = held.chunks[group[0].number], held.chunks[group[-1].number]
        document = held.documents[first.document]
        text = document.text[first.start : last.end]
        start = first.start + len(text) - len(text.lstrip())
        end = start + len(text.strip())
        # A passage may begin in the last line of a page: what it is mostly about stands in its middle.
        page, section = document.locate((start + end) // 2)
        queries = dict.fromkeys(query for hit in group for query in hit.found_by)
        score = max(hit.score for hit in group)
        found.append(
            Passage(len(found) + 1, text.strip(), document.name, start, end, page, section, score, tuple(queries))
        )
    return tuple(found)


def _groups(hits: Sequence[Hit], held: Memorized, most: int) -> list[list[Hit]]:
    groups: list[list[Hit]] = []
    used = 0
    for hit in hits:
        tokens, last = held.chunks[hit.number].tokens, groups[-1][-1] if groups else None
        follows = last is not None and last.number + 1 == hit.number and _place(last, held) == _place(hit, held)
        if follows and used + tokens <= most:
            groups[-1].append(hit)
            used += tokens
        else:
            groups.append([hit])
            used = tokens
    return groups


def _place(hit: Hit, held: Memorized) -> tuple[int, int | None, str | None]:
    chunk = held.chunks[hit.number]
    return (chunk.document, *held.documents[chunk.document].locate((chunk.start + chunk.end) // 2))
