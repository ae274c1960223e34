"""What is held of a memorised corpus, and what a bundle says of it: a manifest, and its texts as plain JSON values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from engine.agent import Agent
from engine.agent_memory import AgentMemory
from engine.chunking import Chunk
from engine.documents import Document, Mark
from engine.encoder import Encoder
from engine.errors import BundleError
from engine.events import Stop
from engine.gist import Gist
from engine.lexical import LexicalIndex
from engine.memory import Memory
from engine.model import Model
from engine.retrieval import DenseRetriever

# What a saved memory depends on, beside the models.
_LIBRARIES = ("torch", "transformers", "safetensors", "sentence-transformers", "faiss-cpu")


@dataclass(frozen=True)
class Memorized:
    """Everything that is held of one corpus. ``digest`` identifies its text."""

    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    gists: tuple[Gist, ...]
    language: str
    digest: str
    memory: Memory | AgentMemory
    dense: DenseRetriever
    lexical: LexicalIndex

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
    stop: Stop | None = None,
) -> Memorized:
    """Put the parts of a memorised corpus together, with their digest and lexical index."""
    lexical = LexicalIndex([chunk.of(documents) for chunk in chunks], language, stop)
    return Memorized(documents, chunks, gists, language, digest_of(documents), memory, dense, lexical)


def digest_of(documents: Sequence[Document]) -> str:
    """Return 64 hex digits that identify a corpus by its documents' names and texts, in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.name.encode() + b"\0" + document.sha256.encode() + b"\0")
    return digest.hexdigest()


def manifest_of(held: Memorized, kind: str, model: Model | Agent, encoder: Encoder, chunk_size: int) -> dict[str, Any]:
    """Return what a bundle's manifest says about how it was made."""
    return {
        "kind": kind,
        "language": held.language,
        "digest": held.digest,
        "memory_model": {"name": model.name, "fingerprint": model.fingerprint},
        "tokenizer": model.tokenizer_name if isinstance(model, Model) else "the server's",
        "retriever": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "prompts": held.memory.prompts.digest,
        "chunking": {"tokens": chunk_size, "tokenizer": encoder.name},
        "versions": {name: version(name) for name in _LIBRARIES},
        "stats": held.stats,
    }


def check_made_by(manifest: Mapping[str, Any], name: str, kind: str, encoder: Encoder) -> None:
    """Raise BundleError, naming both, unless a bundle was made by this kind of pipeline and this retriever."""
    if manifest["kind"] != kind:
        raise BundleError(f"The bundle {name!r} was made by {manifest['kind']!r}, not by {kind!r}; memorise again.")
    made = manifest["retriever"]
    if made["fingerprint"] != encoder.fingerprint:
        raise BundleError(
            f"The bundle {name!r} was made with the retriever {made['name']} ({made['fingerprint']}), but "
            f"{encoder.name} ({encoder.fingerprint}) is in use; load it with the first, or memorise the text again."
        )


def check_whole(
    manifest: Mapping[str, Any],
    name: str,
    documents: Sequence[Document],
    chunks: Sequence[Chunk],
    dense: DenseRetriever,
) -> None:
    """Raise BundleError, naming both, unless the parts of a bundle belong together."""
    if (digest := digest_of(documents)) != manifest["digest"]:
        raise BundleError(
            f"The bundle {name!r} holds the text {digest[:12]}, but {str(manifest['digest'])[:12]} is the one that was "
            "memorised; memorise it again."
        )
    if len(dense.index) != len(chunks):
        raise BundleError(
            f"The bundle {name!r} has {len(dense.index)} vectors for {len(chunks)} chunks; memorise the text again."
        )


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
            Document(str(d["name"]), str(d["text"]), tuple(_mark(mark) for mark in d["marks"]))
            for d in packed["documents"]
        )
        chunks = tuple(Chunk(*map(int, chunk)) for chunk in packed["chunks"])
        gists = tuple(Gist(int(d), int(a), int(b), str(text)) for d, a, b, text in packed["gists"])
        parts: tuple[Chunk | Gist, ...] = (*chunks, *gists)
        inside = all(
            part.document >= 0 and 0 <= part.start <= part.end <= len(documents[part.document].text) for part in parts
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BundleError("The bundle's chunks.json does not hold what it should; memorise the text again.") from error
    if not inside or not documents or any(chunk.tokens < 0 for chunk in chunks):
        raise BundleError("The bundle's chunks and gists do not lie in its documents; memorise the text again.")
    return documents, chunks, gists


def _mark(values: Sequence[Any]) -> Mark:
    """Return a mark from [start, page, section]; raise TypeError or ValueError for anything else."""
    start, page, section = values
    if not isinstance(start, int) or not isinstance(page, int | None) or not isinstance(section, str | None):
        raise TypeError("a mark is an offset, a page and a section")
    return Mark(start, page, section)
