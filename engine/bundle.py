"""What is held of a memorised corpus, and its documents, chunks and gists as plain JSON values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.chunking import Chunk
from engine.documents import Document, Mark
from engine.errors import BundleError
from engine.gist import Gist
from engine.lexical import LexicalIndex
from engine.memory import Memory
from engine.retrieval import DenseRetriever


@dataclass(frozen=True)
class Memorized:
    """Everything that is held of one corpus. ``digest`` identifies its text."""

    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    gists: tuple[Gist, ...]
    language: str
    digest: str
    memory: Memory
    dense: DenseRetriever
    lexical: LexicalIndex


def hold(
    documents: tuple[Document, ...],
    chunks: tuple[Chunk, ...],
    gists: tuple[Gist, ...],
    language: str,
    memory: Memory,
    dense: DenseRetriever,
) -> Memorized:
    """Put the parts of a memorised corpus together, with their digest and lexical index."""
    lexical = LexicalIndex([chunk.of(documents) for chunk in chunks])
    return Memorized(documents, chunks, gists, language, digest_of(documents), memory, dense, lexical)


def digest_of(documents: Sequence[Document]) -> str:
    """Return 64 hex digits that identify a corpus by its documents' names and texts, in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.name.encode() + b"\0" + document.sha256.encode() + b"\0")
    return digest.hexdigest()


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
            Document(str(d["name"]), str(d["text"]), tuple(Mark(*mark) for mark in d["marks"]))
            for d in packed["documents"]
        )
        chunks = tuple(Chunk(*map(int, chunk)) for chunk in packed["chunks"])
        gists = tuple(Gist(int(d), int(a), int(b), str(text)) for d, a, b, text in packed["gists"])
        inside = all(0 <= c.start <= c.end <= len(documents[c.document].text) and c.document >= 0 for c in chunks)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BundleError("The bundle's chunks.json does not hold what it should; memorise the text again.") from error
    if not inside:
        raise BundleError("The bundle's chunks do not lie in its documents; memorise the text again.")
    return documents, chunks, gists
