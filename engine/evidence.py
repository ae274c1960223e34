"""The evidence for one question: the best chunks within the budget, as passages in the order of the text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.bundle import Memorized
from engine.coverage import cover, interest_of, part_of
from engine.encoder import Encoder
from engine.errors import InputError
from engine.events import Passage, Stop
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
    sizes = [chunk.tokens for chunk in held.chunks]
    budget = max(0, budget - _JOINING)
    hits = [hit for hit in rank(question, clues, held.searches, strategy, ret_hit, _CANDIDATES) if _text(hit, held)]
    if strategy.rerank and question and isinstance(held.memory, Model):
        texts, lengths = [_text(hit, held) for hit in hits], [sizes[hit.number] for hit in hits]
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
    vectors, sizes = held.dense.index.vectors(), np.array([chunk.tokens for chunk in held.chunks])
    hits: list[Hit] = []
    interest = relevance = None
    if question:
        relevance = held.dense.scores([question])[0]
        part = part_of(relevance, vectors)
        hits = find(question, [], held, strategy, ret_hit, stop, int(part * budget))
        interest = interest_of(relevance, vectors, part)
        interest[[hit.number for hit in hits]] = 0.0
    left = max(0, budget - _JOINING) - sum(held.chunks[hit.number].tokens for hit in hits)
    near = held.dense.encoder.encode(points, stop=stop, is_waited_for=True) if points else None
    places = cover(vectors, held.searches.documents, sizes, left, near, interest, relevance)
    found = [Hit(p.number, p.score, () if p.point is None else (points[p.point],)) for p in places]
    return hits + [hit for hit in found if _text(hit, held)]


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
