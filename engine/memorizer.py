"""Reading a corpus into what is held of it: chunks and their indexes, gists, and the memory.

What is held is never changed: each stage of reading, and adding and removing documents, makes a new value out of the
parts of the old one. Only what is new is read. What of the text the memory model reads is said in memorizers.py.
"""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from engine import storage
from engine.agent import Agent
from engine.agent_memory import AgentMemory
from engine.bundle import contents_of, manifest_of, misfit, pack
from engine.checkpoint import Checkpoint
from engine.chunking import Chunk, split
from engine.documents import Document
from engine.encoder import Encoder
from engine.errors import BundleError
from engine.events import Meter, OnProgress, Progress, Stop
from engine.gist import Gist
from engine.language import language_of
from engine.memorized import Memorized, hold
from engine.memory import Memory
from engine.model import Model
from engine.prompt import Prompts, prompts_for
from engine.retrieval import DenseRetriever

logger = logging.getLogger(__name__)

# Chunks from which on a corpus is long: embedding them takes two cores some 20 s, and it can be asked before that.
_LONG = 4096
# Chunks embedded between two looks around: what an interruption costs at most, and how long others wait for a turn.
_BLOCK = 1024


@dataclass(frozen=True)
class Parts:
    """What is known of a corpus: of its first documents and chunks. ``dense`` is not shared with anything held."""

    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    gists: tuple[Gist, ...]
    dense: DenseRetriever
    memory: Memory | AgentMemory


@dataclass(frozen=True)
class Work:
    """How reading is watched: ``on_stage`` is told of what is held whenever more of a long corpus can be used.

    ``place`` is the folder where vectors are kept while they are made; it holds the bundle of the last stage.
    """

    on_progress: OnProgress | None = None
    stop: Stop | None = None
    on_stage: Callable[[Memorized], None] | None = None
    place: Path | None = None


UNWATCHED = Work()


@dataclass(frozen=True)
class Memorizer(ABC):
    """The models that read a corpus. ``chunk_size`` counts tokens of the retriever."""

    model: Model | Agent
    encoder: Encoder
    chunk_size: int
    kind: ClassVar[str]

    @property
    def recipe(self) -> str:
        """All that a bundle depends on beside the text."""
        models = f"{self.model.fingerprint} {self.encoder.fingerprint}"
        prompts = f"{prompts_for('en').digest} {prompts_for('zh').digest}"
        return f"{self.kind} {storage.FORMAT} {models} {self.chunk_size} {prompts}"

    def read(
        self,
        fresh: Sequence[Document],
        known: Memorized | None = None,
        without: Collection[int] = (),
        work: Work = UNWATCHED,
    ) -> Memorized:
        """Read ``fresh`` documents after those that are ``known``, less the ones whose numbers are in ``without``.

        Known documents are not read again: their chunks, vectors and gists are kept, and the memory goes on from where
        it differs.

        Raises:
            BundleError: what is known came from a bundle whose memory is damaged.
            ContextLengthError: the memory model cannot read so much.
            Cancelled: ``work.stop`` was set.
        """
        if known is not None:
            known.ensure(work.stop)
        parts = self._kept(known, without)
        documents = (*parts.documents, *fresh)
        language = language_of([document.text for document in documents])
        self._check(documents, prompts_for(language))
        first = len(parts.documents)
        size = known.chunk_size if known is not None else self.chunk_size
        added = self._split(fresh, size, work)
        chunks = (*parts.chunks, *(replace(chunk, document=chunk.document + first) for chunk in added))
        memory, dense = self._empty_memory(), DenseRetriever(self.encoder)
        told = (work.on_progress, work.stop)
        held = hold(documents, chunks, (), language, memory, dense, size, *told)
        return self._finished(held, parts, work)

    def complete(self, held: Memorized, work: Work = UNWATCHED) -> Memorized:
        """Make what is missing of what is held; raise as ``read``."""
        held.ensure(work.stop)
        return self._finished(held, self._kept(None, ()), work)

    def _finished(self, held: Memorized, parts: Parts, work: Work) -> Memorized:
        """Make what is missing of what is held, where ``parts`` are known of its first documents."""
        is_long = len(held.chunks) >= _LONG
        if "memory" in held.missing:
            if is_long and work.on_stage is not None:
                work.on_stage(held)
            held = self._remembered(held, parts, work)
        if "vectors" in held.missing:
            if is_long and work.on_stage is not None:
                work.on_stage(held)
            dense = self._embedded(held, parts.dense, work)
            held = replace(held, dense=dense)
        return held

    def _remembered(self, held: Memorized, parts: Parts, work: Work) -> Memorized:
        """Return what is held with its gists and memory."""
        documents, prompts = held.documents, held.prompts
        first = len(parts.documents) if parts.memory.is_memorized else 0  # else not even they have gists
        made: Sequence[Gist] = held.gists  # a bundle may bring them without the memory
        if not made:
            share = _length(documents[first:]) / _length(documents)
            found = self._gists(documents[first:], share, prompts, work.on_progress, work.stop)
            made = [*parts.gists, *(replace(gist, document=gist.document + first) for gist in found)]
        gists = tuple(self._within_budget(made, prompts, work.on_progress, work.stop))
        memory = parts.memory
        memory.memorize(self._memory_text(documents, gists), prompts, work.on_progress, work.stop)
        return replace(held, gists=gists, memory=memory)

    def _embedded(self, held: Memorized, dense: DenseRetriever, work: Work) -> DenseRetriever:
        """Return ``dense``, which has the vectors of the first chunks, with those of the others."""
        texts = held.texts
        kept = self._checkpoint(held, len(dense), work)
        if kept is not None:
            rows = kept.rows()[: len(texts) - len(dense)]
            kept.keep(len(rows))
            dense.index.add(rows)
        characters = np.cumsum([0, *(chunk.end - chunk.start for chunk in held.chunks)])
        meter = Meter("embedding", int(characters[-1]), work.on_progress, int(characters[len(dense)]))
        for begin in range(len(dense), len(texts), _BLOCK):
            before = int(characters[begin])

            def on_batch(progress: Progress, before: int = before) -> None:
                meter.step(before + progress.done)

            vectors = self.encoder.encode(list(texts[begin : begin + _BLOCK]), on_progress=on_batch, stop=work.stop)
            if kept is not None:
                kept.append(vectors)
            dense.index.add(vectors)
        return dense

    def _split(self, documents: Sequence[Document], size: int, work: Work) -> list[Chunk]:
        spans, counts = self.encoder.token_spans, self.encoder.token_counts
        return split(documents, size, spans, work.stop, token_counts=counts, on_progress=work.on_progress)

    def _checkpoint(self, held: Memorized, known: int, work: Work) -> Checkpoint | None:
        """Return where the vectors of a long corpus are kept while they are made, those of ``known`` chunks apart."""
        if work.place is None or len(held.chunks) - known < _LONG:
            return None
        key = f"{held.digest[:32]} {known} {len(held.chunks)} {held.chunk_size} {self.encoder.fingerprint}"
        return Checkpoint(work.place / storage.UNFINISHED, key, self.encoder.dimension)

    def rechunked(self, held: Memorized, size: int, stop: Stop | None = None) -> Memorized:
        """Return what is held with the same memory and chunks of another ``size`` in tokens, embedded anew.

        Raises:
            Cancelled: ``stop`` was set.
        """
        chunks = tuple(self._split(held.documents, size, Work(stop=stop)))
        dense = DenseRetriever(self.encoder)
        made = hold(held.documents, chunks, held.gists, held.language, held.memory, dense, size, stop=stop)
        dense.add(made.texts, stop=stop)
        return replace(made, verification=held.verification)

    def save(self, held: Memorized, folder: Path, with_memory: bool = True) -> None:
        """Write what is held as a bundle.

        Raises:
            BundleError: it cannot be written, or came from a bundle whose memory is damaged.
        """
        if with_memory:
            held.ensure()
        memory = held.memory.tensors() if with_memory and isinstance(held.memory, Memory) else None
        if "memory" in held.missing:
            memory = None
        manifest = manifest_of(held, self.kind, self.model, self.encoder)
        values, tensors = pack(held.documents, held.chunks, held.gists)
        vectors = storage.tensor(held.dense.index.halves())
        storage.write(folder, manifest, values, tensors | {"vectors": vectors}, memory)

    def load(
        self, folder: Path, on_progress: OnProgress | None = None, stop: Stop | None = None, lazily: bool = False
    ) -> Memorized:
        """Read a bundle. One of another memory model, or of other prompts, is read anew from its gists (or its text).

        ``lazily``, a memory that must be read anew is missing at first, so that loading takes no time: ``complete``
        reads it. The checksum of the memory's file may still be unknown then: what is held tells (``Memorized.check``).

        Raises:
            BundleError: it is missing, damaged, or made by another pipeline or retriever.
            ContextLengthError: the memory model in use cannot read so much.
        """
        bundle, name = storage.read(folder), folder.resolve().name
        made = contents_of(bundle, name)
        if (problem := misfit(bundle.manifest, self.kind, self.encoder)) is not None:
            raise BundleError(f"The bundle {name!r} {problem}.")
        dense, memory, prompts = DenseRetriever(self.encoder), self._empty_memory(), prompts_for(made.language)
        dense.restore(bundle.index["vectors"].numpy())
        is_same = (made.memory_model[1], made.prompts) == (self.model.fingerprint, prompts.digest)
        is_made, verification = "memory" not in made.missing, None
        if is_made and is_same and bundle.memory is not None and isinstance(memory, Memory):
            memory.restore(bundle.memory, prompts)
            verification = bundle.verification
        told = (on_progress, stop)
        held = hold(made.documents, made.chunks, made.gists, made.language, memory, dense, made.chunk_size, *told)
        held = replace(held, verification=verification)
        held.check()
        if memory.is_memorized or lazily or not is_made:
            return held
        logger.info("The memory of the bundle is read anew for %s.", self.model.name)
        return self._remembered(held, self._kept(None, ()), Work(on_progress, stop))

    def _kept(self, known: Memorized | None, without: Collection[int]) -> Parts:
        """Return the parts of what is known, less the documents in ``without``, numbered anew."""
        if known is None:
            return Parts((), (), (), DenseRetriever(self.encoder), self._empty_memory())
        numbers = {old: new for new, old in enumerate(n for n in range(len(known.documents)) if n not in without)}
        dense = known.dense.copy()
        if len(dense):
            dense.remove([row for row, chunk in enumerate(known.chunks) if chunk.document not in numbers])
        return Parts(
            tuple(known.documents[old] for old in numbers),
            tuple(replace(c, document=numbers[c.document]) for c in known.chunks if c.document in numbers),
            tuple(replace(g, document=numbers[g.document]) for g in known.gists if g.document in numbers),
            dense,
            copy.copy(known.memory),
        )

    def _empty_memory(self) -> Memory | AgentMemory:
        return AgentMemory(self.model) if isinstance(self.model, Agent) else Memory(self.model)

    @abstractmethod
    def remembers(self, tokens: int) -> int:
        """Return how many tokens the memory of a text of so many tokens has."""

    @abstractmethod
    def _check(self, documents: Sequence[Document], prompts: Prompts) -> None:
        """Refuse, before any heavy work, what the memory model cannot read."""

    @abstractmethod
    def _gists(
        self,
        fresh: Sequence[Document],
        share: float,
        prompts: Prompts,
        on_progress: OnProgress | None,
        stop: Stop | None,
    ) -> Sequence[Gist]:
        """Return the gists of new documents, which have this share of the corpus."""

    @abstractmethod
    def _within_budget(
        self, gists: Sequence[Gist], prompts: Prompts, on_progress: OnProgress | None, stop: Stop | None
    ) -> Sequence[Gist]:
        """Return gists that fit the memory together."""

    @abstractmethod
    def _memory_text(self, documents: Sequence[Document], gists: Sequence[Gist]) -> str:
        """Return the text that the memory model reads."""


def _length(documents: Sequence[Document]) -> int:
    """Return the number of characters of documents."""
    return sum(len(document.text) for document in documents)
