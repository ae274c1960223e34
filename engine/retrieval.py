"""From queries to evidence: dense and lexical search, fused by rank, cut to one hard token budget.

The question leads: dense and lexical search for it count fully, the clues together only for a part, so that poor clues
cannot push out what the question itself finds. Fusion is by reciprocal rank (Cormack et al. 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.encoder import Encoder
from engine.errors import BundleError, InputError
from engine.events import OnProgress, Stop
from engine.lexical import LexicalIndex

# The constant of reciprocal-rank fusion: how little the difference between the first ranks counts.
RRF_K = 60
# How deep each ranking is looked at.
DEPTH = 40
# What all clues together weigh against the question's dense and lexical rankings (1 each).
CLUE_WEIGHT = 0.5
# The same for clues of a small model, which as often lead away as on: they settle ties and never push out what the
# question finds. With weight 0.5, evidence recall of the 135M model's memory fell from 0.356 to 0.336 (107 questions).
CLUE_WEIGHT_SMALL = 0.02


class FaissIndex:
    """Exact cosine search over unit vectors, held in a flat faiss index."""

    def __init__(self, dimension: int) -> None:
        import faiss

        self._index = faiss.IndexFlatIP(dimension)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, vectors: np.ndarray) -> None:
        """Append unit vectors [n, dimension] float32; they get the next numbers."""
        if vectors.ndim != 2 or vectors.shape[1] != self._index.d:
            raise InputError(f"The vectors have the shape {vectors.shape}; the index takes [n, {self._index.d}].")
        self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def search(self, queries: np.ndarray, hits: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores float32, numbers int64), both [n_queries, min(hits, len(self))], best first."""
        if hits < 1:
            raise InputError(f"hits is {hits}; give 1 or more.")
        count = min(hits, len(self))
        if not count or not len(queries):
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        found: tuple[np.ndarray, np.ndarray] = self._index.search(
            np.ascontiguousarray(queries, dtype=np.float32), count
        )
        return found

    def vectors(self) -> np.ndarray:
        """Return a copy of all vectors [len(self), dimension] float32."""
        found: np.ndarray = self._index.reconstruct_n(0, len(self))
        return found


class DenseRetriever:
    """An encoder and the index of the texts it has embedded. Built from a name, or over a loaded Encoder."""

    def __init__(self, model_name_or_path: str | Encoder = "auto", cache_dir: str | Path | None = None) -> None:
        given = model_name_or_path
        self.encoder = given if isinstance(given, Encoder) else Encoder(given, cache_dir)
        self.index = FaissIndex(self.encoder.dimension)

    def add(self, texts: Sequence[str], on_progress: OnProgress | None = None, stop: Stop | None = None) -> None:
        """Embed texts and append them to the index."""
        self.index.add(self.encoder.encode(texts, on_progress=on_progress, stop=stop))

    def search(self, queries: str | Sequence[str], hits: int = 3) -> tuple[np.ndarray, np.ndarray]:
        """Return (cosines, text numbers), both [n_queries, hits], best first."""
        wanted = [queries] if isinstance(queries, str) else list(queries)
        return self.index.search(self.encoder.encode(wanted, query=True), hits)

    def save(self, path: str | Path) -> None:
        """Save the vectors as safetensors; the folder is made when missing."""
        from safetensors.numpy import save_file

        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save_file({"vectors": self.index.vectors()}, path, metadata={"encoder": self.encoder.fingerprint})

    def load(self, path: str | Path) -> None:
        """Replace the index by one that ``save`` wrote with the same encoder.

        Raises:
            BundleError: it cannot be read, or was made by another encoder.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="np") as file:
                made_by = (file.metadata() or {}).get("encoder")
                vectors = file.get_tensor("vectors")
        except (OSError, SafetensorError) as error:
            raise BundleError(f"The index {Path(path).name!r} cannot be read; memorise the text again.") from error
        if made_by != self.encoder.fingerprint:
            raise BundleError(f"The index {Path(path).name!r} was made by another retriever than {self.encoder.name}.")
        self.restore(vectors)

    def restore(self, vectors: np.ndarray) -> None:
        """Replace the index by one over these vectors [n, dimension]."""
        self.index = FaissIndex(self.encoder.dimension)
        self.index.add(vectors)


@dataclass(frozen=True)
class Hit:
    """One text found: its number, fused score, and the queries that ranked it ("question" or a clue)."""

    number: int
    score: float
    found_by: tuple[str, ...]


def fuse(rankings: Sequence[tuple[str, float, Sequence[int]]], k: int = RRF_K) -> list[Hit]:
    """Fuse (query, weight, text numbers best first) rankings by reciprocal rank; best first."""
    scores: dict[int, float] = {}
    found_by: dict[int, dict[str, None]] = {}
    for query, weight, numbers in rankings:
        for rank, number in enumerate(numbers):
            scores[number] = scores.get(number, 0.0) + weight / (k + rank + 1)
            found_by.setdefault(number, {})[query] = None
    ordered = sorted(scores, key=lambda number: (-scores[number], number))
    return [Hit(number, scores[number], tuple(found_by[number])) for number in ordered]


def find(
    question: str,
    clues: Sequence[str],
    dense: DenseRetriever,
    lexical: LexicalIndex,
    ret_hit: int,
    clue_weight: float = CLUE_WEIGHT,
) -> list[Hit]:
    """Rank texts for a question and its clues.

    The question may rank DEPTH texts; every clue adds its share of ``clue_weight`` to its own ``ret_hit`` best.
    """
    if not len(dense.index):
        return []
    _, numbers = dense.search([question, *clues] if question else list(clues), DEPTH)
    rows = [[int(i) for i in row] for row in numbers]
    rankings: list[tuple[str, float, Sequence[int]]] = []
    if question:
        rankings = [("question", 1.0, rows.pop(0)), ("question", 1.0, lexical.search(question, DEPTH))]
    weight = clue_weight / max(1, len(clues)) if question else 1.0
    rankings += [(clue, weight, row[:ret_hit]) for clue, row in zip(clues, rows, strict=True)]
    return fuse(rankings)


def within_budget(hits: Sequence[Hit], sizes: Sequence[int], budget: int) -> list[Hit]:
    """Take hits in rank order while their sizes (tokens by text number) fit the budget; skip one that does not."""
    taken: list[Hit] = []
    for hit in hits:
        if sizes[hit.number] <= budget:
            taken.append(hit)
            budget -= sizes[hit.number]
    return taken
