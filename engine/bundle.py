"""What is held of a memorised corpus, and what a bundle says of it: a manifest, and its texts as plain JSON values."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from engine.agent import Agent
from engine.agent_memory import AgentMemory
from engine.chunking import Chunk
from engine.documents import Document, Mark, encodable
from engine.encoder import Encoder
from engine.errors import BundleError
from engine.events import Stop
from engine.gist import Gist
from engine.lexical import LexicalIndex
from engine.memory import Memory
from engine.model import Model
from engine.ranking import Searches
from engine.retrieval import DenseRetriever
from engine.storage import Bundle
from engine.verification import Verification

# What a saved memory depends on, beside the models.
_LIBRARIES = ("torch", "transformers", "safetensors", "sentence-transformers", "faiss-cpu")
# Characters of a text in a manifest.
_LONGEST = 1000


@dataclass(frozen=True)
class Memorized:
    """Everything that is held of one corpus. ``digest`` identifies its text.

    ``verification`` tells whether the file that the memory lies in is whole; None where there is no such file.
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
        documents = np.array([chunk.document for chunk in self.chunks], np.int64)
        return Searches(self.dense, self.lexical, documents, tuple(gist.text for gist in self.gists), gist_of)

    @property
    def stats(self) -> dict[str, int | str]:
        """Language, length in tokens of the retriever, and the size of what is held."""
        return {
            "language": self.language,
            "context_tokens": sum(chunk.tokens for chunk in self.chunks),
            "memory_tokens": self.memory.tokens,
            "memory_bytes": self.memory.nbytes,
            "chunks": len(self.chunks),
        }


def hold(
    documents: tuple[Document, ...],
    chunks: tuple[Chunk, ...],
    gists: tuple[Gist, ...],
    language: str,
    memory: Memory | AgentMemory,
    dense: DenseRetriever,
    chunk_size: int,
    stop: Stop | None = None,
) -> Memorized:
    """Put the parts of a memorised corpus together, with their digest and lexical index."""
    lexical = LexicalIndex([chunk.of(documents) for chunk in chunks], language, stop)
    return Memorized(documents, chunks, gists, language, digest_of(documents), memory, dense, lexical, chunk_size)


def digest_of(documents: Sequence[Document]) -> str:
    """Return 64 hex digits that identify a corpus by its documents' names and texts, in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.name.encode() + b"\0" + document.sha256.encode() + b"\0")
    return digest.hexdigest()


def manifest_of(held: Memorized, kind: str, model: Model | Agent, encoder: Encoder) -> dict[str, Any]:
    """Return what a bundle's manifest says about how it was made."""
    return {
        "kind": kind,
        "language": held.language,
        "digest": held.digest,
        "memory_model": {"name": model.name, "fingerprint": model.fingerprint},
        "tokenizer": model.tokenizer_name if isinstance(model, Model) else "the server's",
        "retriever": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "prompts": held.memory.prompts.digest,
        "chunking": {"tokens": held.chunk_size, "tokenizer": encoder.name},
        "versions": _versions(),
        "stats": held.stats,
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):  # faiss comes under several names
            found[name] = version(name)
    return found


@dataclass(frozen=True)
class Contents:
    """What a bundle holds beside its tensors, and by whom it was made. Models are (name, fingerprint)."""

    kind: str
    language: str
    prompts: str
    memory_model: tuple[str, str]
    retriever: tuple[str, str]
    chunk_size: int
    stats: Mapping[str, Any]
    versions: Mapping[str, Any]
    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    gists: tuple[Gist, ...]

    def check_made_by(self, name: str, kind: str, encoder: Encoder) -> None:
        """Raise BundleError, naming both, unless the bundle was made by this kind of pipeline and this retriever."""
        if self.kind != kind:
            raise BundleError(f"The bundle {name!r} was made by {self.kind!r}, not by {kind!r}; memorise again.")
        made, fingerprint = self.retriever
        if fingerprint != encoder.fingerprint:
            raise BundleError(
                f"The bundle {name!r} was made with the retriever {made} ({fingerprint}), but {encoder.name} "
                f"({encoder.fingerprint}) is in use; load it with the first, or memorise the text again."
            )


def contents_of(bundle: Bundle, name: str) -> Contents:
    """Return what a bundle holds.

    Raises:
        BundleError: it does not hold what it should, or its parts do not belong together.
    """
    made = bundle.manifest
    documents, chunks, gists = unpack(bundle.chunks)
    try:
        contents = Contents(
            kind=_text(made["kind"]),
            language=_text(made["language"]),
            prompts=_text(made["prompts"]),
            memory_model=(_text(made["memory_model"]["name"]), _text(made["memory_model"]["fingerprint"])),
            retriever=(_text(made["retriever"]["name"]), _text(made["retriever"]["fingerprint"])),
            chunk_size=int(made["chunking"]["tokens"]),
            stats=dict(made["stats"]),
            versions=dict(made["versions"]),
            documents=documents,
            chunks=chunks,
            gists=gists,
        )
        expected, vectors = _text(made["digest"]), len(bundle.index["vectors"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(
            f"The manifest of the bundle {name!r} does not hold what it should; memorise the text again."
        ) from error
    if (digest := digest_of(documents)) != expected:
        raise BundleError(
            f"The bundle {name!r} holds the text {digest[:12]}, but {expected[:12]} is the one that was memorised; "
            "memorise it again."
        )
    if vectors != len(chunks) or not chunks:
        raise BundleError(f"The bundle {name!r} has {vectors} vectors for {len(chunks)} chunks; memorise again.")
    return contents


def _text(value: object) -> str:
    """Return a short text of printable characters; raise TypeError for anything else."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST:
        raise TypeError("a manifest holds short texts")
    return value


def pack(documents: Sequence[Document], chunks: Sequence[Chunk], gists: Sequence[Gist]) -> dict[str, Any]:
    """Return what ``chunks.json`` holds."""
    return {
        "documents": [
            {"name": d.name, "text": d.text, "marks": [[m.start, m.page, m.section] for m in d.marks]}
            for d in documents
        ],
        "chunks": [[c.document, c.start, c.end, c.tokens] for c in chunks],
        "gists": [[g.document, g.start, g.end, g.text] for g in gists],
    }


def unpack(packed: Mapping[str, Any]) -> tuple[tuple[Document, ...], tuple[Chunk, ...], tuple[Gist, ...]]:
    """Rebuild what ``pack`` packed.

    Raises:
        BundleError: the values are not what ``pack`` writes.
    """
    try:
        documents = tuple(
            Document(encodable(str(d["name"])), encodable(str(d["text"])), tuple(_mark(mark) for mark in d["marks"]))
            for d in packed["documents"]
        )
        chunks = tuple(Chunk(*map(int, chunk)) for chunk in packed["chunks"])
        gists = tuple(Gist(int(d), int(a), int(b), encodable(str(text))) for d, a, b, text in packed["gists"])
        parts: tuple[Chunk | Gist, ...] = (*chunks, *gists)
        inside = all(
            part.document >= 0 and 0 <= part.start < part.end <= len(documents[part.document].text) for part in parts
        )
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise BundleError("The bundle's chunks.json does not hold what it should; memorise the text again.") from error
    # A chunk has no more tokens than it would have with one for every byte.
    counted = all(0 <= chunk.tokens <= 4 * (chunk.end - chunk.start) for chunk in chunks)
    if not inside or not counted or not documents:
        raise BundleError("The bundle's chunks and gists do not lie in its documents; memorise the text again.")
    return documents, chunks, gists


def _mark(values: Sequence[Any]) -> Mark:
    """Return a mark from [start, page, section]; raise TypeError or ValueError for anything else."""
    start, page, section = values
    if not isinstance(start, int) or not isinstance(page, int | None) or not isinstance(section, str | None):
        raise TypeError("a mark is an offset, a page and a section")
    return Mark(start, page, section)
