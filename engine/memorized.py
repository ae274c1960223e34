"""What is held of a memorised corpus: texts, chunks, gists, the memory, and the indexes that find chunks.

A long corpus is memorised in stages and can be asked from the first on: by its words, then with clues of the memory,
then by meaning too. ``Memorized.missing`` tells what is still to come.
"""

from __future__ import annotations

import hashlib
import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, overload

import numpy as np

from engine.agent_memory import AgentMemory
from engine.chunking import Chunk
from engine.documents import Document
from engine.events import OnProgress, Stop
from engine.gist import Gist
from engine.lexical import LexicalIndex
from engine.memory import Memory
from engine.prompt import Prompts, prompts_for
from engine.ranking import Searches
from engine.retrieval import DenseRetriever
from engine.verification import Verification

Part = Literal["memory", "vectors"]
# Bytes of a Chunk and its numbers.
_CHUNK_BYTES = 200


@dataclass(frozen=True)
class Texts(Sequence[str]):
    """The texts of chunks, each made when it is asked for: together they would be as large as the corpus."""

    documents: tuple[Document, ...]
    chunks: Sequence[Chunk]

    def __len__(self) -> int:
        return len(self.chunks)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Texts: ...
    def __getitem__(self, at: int | slice) -> str | Texts:
        if isinstance(at, slice):
            return Texts(self.documents, self.chunks[at])
        return self.chunks[at].of(self.documents)


@dataclass(frozen=True)
class Memorized:
    """Everything that is held of one corpus. ``digest`` identifies its text.

    ``dense`` holds the vectors of all chunks or of none. ``verification`` tells whether the file that the memory lies
    in is whole; None where there is no such file.
    """

    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    gists: tuple[Gist, ...]
    language: str
    digest: str
    memory: Memory | AgentMemory
    dense: DenseRetriever
    lexical: LexicalIndex
    chunk_size: int
    verification: Verification | None = None

    @property
    def missing(self) -> tuple[Part, ...]:
        """What was not made yet: the memory (no clues then), the vectors (chunks are found by their words alone)."""
        has = {"memory": self.memory.is_memorized, "vectors": len(self.dense) == len(self.chunks)}
        return tuple(part for part in ("memory", "vectors") if not has[part])

    @property
    def prompts(self) -> Prompts:
        """The templates in the language of the corpus."""
        return prompts_for(self.language)

    @property
    def texts(self) -> Texts:
        """The texts of the chunks."""
        return Texts(self.documents, self.chunks)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Tokens of each chunk [n] int64."""
        return np.fromiter((chunk.tokens for chunk in self.chunks), np.int64, len(self.chunks))

    def check(self) -> None:
        """Raise BundleError when the memory's file is known to be damaged; return at once."""
        if self.verification is not None:
            self.verification.check()

    def ensure(self, stop: Stop | None = None) -> None:
        """Wait until it is known whether the memory's file is whole.

        Raises:
            BundleError: it is damaged.
            Cancelled: ``stop`` was set.
        """
        if self.verification is not None:
            self.verification.wait(stop)

    @cached_property
    def searches(self) -> Searches:
        """The indexes over the chunks, with the gists as nodes above them."""
        begins = [(gist.document, gist.start) for gist in self.gists]
        middles = ((chunk.document, (chunk.start + chunk.end) // 2) for chunk in self.chunks)
        gist_of = np.array([max(0, bisect_right(begins, middle) - 1) for middle in middles], np.int64)
        documents = np.fromiter((chunk.document for chunk in self.chunks), np.int64, len(self.chunks))
        return Searches(self.dense, self.lexical, documents, tuple(gist.text for gist in self.gists), gist_of)

    @property
    def stats(self) -> dict[str, int | str]:
        """Language, length in tokens of the retriever, and the size of what is held."""
        return {
            "language": self.language,
            "context_tokens": int(self.sizes.sum()),
            "memory_tokens": self.memory.tokens,
            "memory_bytes": self.memory.nbytes,
            "chunks": len(self.chunks),
        }

    @property
    def nbytes(self) -> int:
        """About how many bytes of RAM all of it takes, beside the models."""
        texts = sum(sys.getsizeof(document.text) for document in self.documents)
        indexes = self.dense.index.halves().nbytes + self.lexical.nbytes
        return texts + indexes + self.memory.nbytes + _CHUNK_BYTES * len(self.chunks)


def hold(
    documents: tuple[Document, ...],
    chunks: tuple[Chunk, ...],
    gists: tuple[Gist, ...],
    language: str,
    memory: Memory | AgentMemory,
    dense: DenseRetriever,
    chunk_size: int,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> Memorized:
    """Put the parts of a memorised corpus together, with their digest and lexical index.

    Raises:
        Cancelled: ``stop`` was set.
    """
    lexical = LexicalIndex(Texts(documents, chunks), language, stop, on_progress)
    return Memorized(documents, chunks, gists, language, digest_of(documents), memory, dense, lexical, chunk_size)


def digest_of(documents: Sequence[Document]) -> str:
    """Return 64 hex digits that identify a corpus by its documents' names and texts, in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.name.encode() + b"\0" + document.sha256.encode() + b"\0")
    return digest.hexdigest()
