"""What a bundle says of a memorised corpus: its manifest, and its texts as plain values and tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from engine import storage
from engine.agent import Agent
from engine.chunking import Chunk
from engine.documents import Document, Mark, encodable
from engine.encoder import Encoder
from engine.errors import BundleError
from engine.gist import Gist
from engine.memorized import Memorized, digest_of
from engine.model import Model
from engine.storage import Bundle

# What a saved memory depends on, beside the models.
_LIBRARIES = ("torch", "transformers", "safetensors", "sentence-transformers", "faiss-cpu")
# Characters of a text in a manifest.
_LONGEST = 1000


def manifest_of(held: Memorized, kind: str, model: Model | Agent, encoder: Encoder) -> dict[str, Any]:
    """Return what a bundle's manifest says about how it was made."""
    return {
        "kind": kind,
        "language": held.language,
        "digest": held.digest,
        "memory_model": {"name": model.name, "fingerprint": model.fingerprint},
        "tokenizer": model.tokenizer_name if isinstance(model, Model) else "the server's",
        "retriever": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "prompts": held.prompts.digest,
        "chunking": {"tokens": held.chunk_size, "tokenizer": encoder.name},
        "versions": _versions(),
        "stats": held.stats,
        "held_bytes": held.nbytes,
        "missing": list(held.missing),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):  # faiss comes under several names
            found[name] = version(name)
    return found


def misfit(manifest: Mapping[str, Any], kind: str, encoder: Encoder) -> str | None:
    """Return why a bundle cannot be used by this kind of pipeline with this retriever; None where it can."""
    try:
        made, name = _text(manifest["kind"]), _text(manifest["retriever"]["name"])
        fingerprint = _text(manifest["retriever"]["fingerprint"])
    except (KeyError, TypeError):
        return "has a manifest that does not hold what it should; memorise the text again"
    if made != kind:
        return f"was made by {made!r}, not by {kind!r}; memorise again"
    if fingerprint != encoder.fingerprint:
        return (
            f"was made with the retriever {name} ({fingerprint}), but {encoder.name} ({encoder.fingerprint}) is in "
            "use; load it with the first, or memorise the text again"
        )
    return None


@dataclass(frozen=True)
class Contents:
    """What a bundle holds beside its tensors, and by which models it was made: (name, fingerprint)."""

    kind: str
    language: str
    prompts: str
    memory_model: tuple[str, str]
    retriever: tuple[str, str]
    chunk_size: int
    stats: Mapping[str, Any]
    versions: Mapping[str, Any]
    missing: tuple[str, ...]
    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    gists: tuple[Gist, ...]


def contents_of(bundle: Bundle, name: str) -> Contents:
    """Return what a bundle holds, whoever made it.

    Raises:
        BundleError: it does not hold what it should, or its parts do not belong together.
    """
    made = bundle.manifest
    documents, chunks, gists = unpack(bundle.chunks, bundle.index)
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
            missing=tuple(_text(part) for part in made["missing"]),
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
    if vectors != (0 if "vectors" in contents.missing else len(chunks)) or not chunks:
        raise BundleError(f"The bundle {name!r} has {vectors} vectors for {len(chunks)} chunks; memorise again.")
    return contents


def _text(value: object) -> str:
    """Return a short text of printable characters; raise TypeError for anything else."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST:
        raise TypeError("a manifest holds short texts")
    return value


def pack(
    documents: Sequence[Document], chunks: Sequence[Chunk], gists: Sequence[Gist]
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return what ``chunks.json`` holds, and the tensors "texts" [bytes] uint8 (UTF-8) and "chunks" [n, 4] int64."""
    encoded = [document.text.encode() for document in documents]
    values = {
        "documents": [
            {"name": d.name, "bytes": len(text), "marks": [[m.start, m.page, m.section] for m in d.marks]}
            for d, text in zip(documents, encoded, strict=True)
        ],
        "gists": [[g.document, g.start, g.end, g.text] for g in gists],
    }
    texts = np.frombuffer(bytearray().join(encoded), np.uint8)
    return values, {"texts": storage.tensor(texts), "chunks": storage.tensor(_table(chunks))}


def _table(chunks: Sequence[Chunk]) -> np.ndarray:
    """Return document, start, end and tokens of chunks [n, 4] int64."""
    flat = (value for c in chunks for value in (c.document, c.start, c.end, c.tokens))
    return np.fromiter(flat, np.int64, 4 * len(chunks)).reshape(-1, 4)


def unpack(
    packed: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
) -> tuple[tuple[Document, ...], tuple[Chunk, ...], tuple[Gist, ...]]:
    """Rebuild what ``pack`` packed.

    Raises:
        BundleError: the values are not what ``pack`` writes.
    """
    try:
        documents = _documents(packed["documents"], tensors["texts"].numpy())
        table = tensors["chunks"].numpy()
        chunks = tuple(Chunk(*row) for row in table.tolist())
        gists = tuple(Gist(int(d), int(a), int(b), encodable(str(text))) for d, a, b, text in packed["gists"])
        places = [*table[:, :3].tolist(), *((g.document, g.start, g.end) for g in gists)]
        inside = all(d >= 0 and 0 <= start < end <= len(documents[d].text) for d, start, end in places)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise BundleError("The bundle's texts are not what they should be; memorise the text again.") from error
    # A chunk has no more tokens than it would have with one for every byte.
    counted = all(0 <= chunk.tokens <= 4 * (chunk.end - chunk.start) for chunk in chunks)
    if not inside or not counted or not documents:
        raise BundleError("The bundle's chunks and gists do not lie in its documents; memorise the text again.")
    return documents, chunks, gists


def _documents(packed: Sequence[Mapping[str, Any]], texts: np.ndarray) -> tuple[Document, ...]:
    """Return documents whose texts stand one after another in ``texts`` [bytes] uint8."""
    ends = list(accumulate(int(d["bytes"]) for d in packed))
    if texts.dtype != np.uint8 or texts.ndim != 1 or (ends[-1] if ends else 0) != len(texts):
        raise ValueError("the texts have another length")
    return tuple(
        Document(
            encodable(str(d["name"])),
            str(texts[end - int(d["bytes"]) : end].data, "utf-8"),
            tuple(_mark(mark) for mark in d["marks"]),
        )
        for d, end in zip(packed, ends, strict=True)
    )


def _mark(values: Sequence[Any]) -> Mark:
    """Return a mark from [start, page, section]; raise TypeError or ValueError for anything else."""
    start, page, section = values
    if not isinstance(start, int) or not isinstance(page, int | None) or not isinstance(section, str | None):
        raise TypeError("a mark is an offset, a page and a section")
    return Mark(start, page, section)
