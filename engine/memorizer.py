"""Reading a corpus into what is held of it: chunks and their index, gists, and the memory.

``RawMemorizer`` lets the memory model read the text itself, ``GistMemorizer`` gists of it. What is held is never
changed: adding and removing documents makes a new value out of the parts of the old one, and reads only what is new.
"""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from engine import storage
from engine.agent import Agent
from engine.agent_memory import AgentMemory
from engine.bundle import Memorized, contents_of, hold, manifest_of, pack
from engine.chunking import Chunk, split
from engine.documents import Document
from engine.encoder import Encoder
from engine.errors import BundleError
from engine.events import OnProgress, Progress, Stop
from engine.gist import Gist, GistKind, GistMaker, join
from engine.language import language_of
from engine.memory import Memory
from engine.model import Model
from engine.prompt import Prompts, prompts_for
from engine.retrieval import DenseRetriever

logger = logging.getLogger(__name__)

# Gist tokens the memory holds: more costs reading time once and a little at every question.
_GIST_BUDGET_SMALL, _GIST_BUDGET_ABLE = 2048, 8192
# Tokens of the window kept free for the conversation around the gists, a question and its clues.
_RESERVE = 1280
# Gist tokens that any document that is added, and any window, is given at least.
_LEAST_BUDGET = 64
# Gists asked for at once: of a local model, and of a server.
_BATCH_LOCAL, _BATCH_SERVER = 4, 16


@dataclass(frozen=True)
class Parts:
    """What is known of a corpus before its memory is read. ``dense`` is not shared with anything held."""

    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    gists: tuple[Gist, ...]
    dense: DenseRetriever


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
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> Memorized:
        """Read ``fresh`` documents after those that are ``known``, less the ones whose numbers are in ``without``.

        Known documents are not read again: their chunks, vectors and gists are kept, and the memory goes on from where
        it differs.

        Raises:
            BundleError: what is known came from a bundle whose memory is damaged.
            ContextLengthError: the memory model cannot read so much.
            Cancelled: ``stop`` was set.
        """
        if known is not None:
            known.ensure(stop)
        if on_progress is not None:
            on_progress(Progress("splitting", 0, len(fresh)))
        parts = self._kept(known, without)
        documents = (*parts.documents, *fresh)
        language = language_of([document.text for document in documents])
        prompts = prompts_for(language)
        self._check(documents, prompts)
        first = len(parts.documents)
        size = known.chunk_size if known is not None else self.chunk_size
        added = split(fresh, size, self.encoder.token_spans, stop)
        parts.dense.add([chunk.of(fresh) for chunk in added], on_progress, stop)
        chunks = (*parts.chunks, *(replace(chunk, document=chunk.document + first) for chunk in added))
        share = _length(fresh) / _length(documents)
        made = [replace(g, document=g.document + first) for g in self._gists(fresh, share, prompts, on_progress, stop)]
        gists = self._within_budget([*parts.gists, *made], prompts, on_progress, stop)
        memory = copy.copy(known.memory) if known is not None else self._empty_memory()
        memory.memorize(self._memory_text(documents, gists), prompts, on_progress, stop)
        return hold(documents, chunks, tuple(gists), language, memory, parts.dense, size, stop)

    def rechunked(self, held: Memorized, size: int, stop: Stop | None = None) -> Memorized:
        """Return what is held with the same memory and chunks of another ``size`` in tokens, embedded anew.

        Raises:
            Cancelled: ``stop`` was set.
        """
        dense, chunks = DenseRetriever(self.encoder), split(held.documents, size, self.encoder.token_spans, stop)
        dense.add([chunk.of(held.documents) for chunk in chunks], stop=stop)
        made = hold(held.documents, tuple(chunks), held.gists, held.language, held.memory, dense, size, stop)
        return replace(made, verification=held.verification)

    def save(self, held: Memorized, folder: Path, with_memory: bool = True) -> None:
        """Write what is held as a bundle.

        Raises:
            BundleError: it cannot be written, or came from a bundle whose memory is damaged.
        """
        if with_memory:
            held.ensure()
        index = {"vectors": storage.tensor(held.dense.index.vectors())}
        memory = held.memory.tensors() if with_memory and isinstance(held.memory, Memory) else None
        manifest = manifest_of(held, self.kind, self.model, self.encoder)
        storage.write(folder, manifest, pack(held.documents, held.chunks, held.gists), index, memory)

    def load(self, folder: Path, on_progress: OnProgress | None = None, stop: Stop | None = None) -> Memorized:
        """Read a bundle. One of another memory model, or of other prompts, is read anew from its gists (or its text).

        The checksum of the memory's file may still be unknown then: what is held tells (``Memorized.check``).

        Raises:
            BundleError: it is missing, damaged, or made by another pipeline or retriever.
            ContextLengthError: the memory model in use cannot read so much.
        """
        bundle, name = storage.read(folder), folder.resolve().name
        made = contents_of(bundle, name)
        made.check_made_by(name, self.kind, self.encoder)
        dense, memory, prompts = DenseRetriever(self.encoder), self._empty_memory(), prompts_for(made.language)
        dense.restore(bundle.index["vectors"].numpy())
        gists, same = made.gists, (made.memory_model[1], made.prompts) == (self.model.fingerprint, prompts.digest)
        if same and bundle.memory is not None and isinstance(memory, Memory):
            memory.restore(bundle.memory, prompts)
        else:
            logger.info("The memory of the bundle is read anew for %s.", self.model.name)
            bundle = replace(bundle, memory=None, verification=None)  # that file is no longer of interest
            gists = tuple(self._within_budget(gists, prompts, on_progress, stop))
            text = self._memory_text(made.documents, gists)
            if not text.strip():
                raise BundleError(
                    f"The bundle {name!r} holds no gists to read the memory from; memorise the text again."
                )
            memory.memorize(text, prompts, on_progress, stop)
        held = hold(made.documents, made.chunks, gists, made.language, memory, dense, made.chunk_size, stop)
        held = replace(held, verification=bundle.verification)
        held.check()
        return held

    def _kept(self, known: Memorized | None, without: Collection[int]) -> Parts:
        """Return the parts of what is known, less the documents in ``without``, numbered anew."""
        if known is None:
            return Parts((), (), (), DenseRetriever(self.encoder))
        numbers = {old: new for new, old in enumerate(n for n in range(len(known.documents)) if n not in without)}
        dense = known.dense.copy()
        dense.remove([row for row, chunk in enumerate(known.chunks) if chunk.document not in numbers])
        return Parts(
            tuple(known.documents[old] for old in numbers),
            tuple(replace(c, document=numbers[c.document]) for c in known.chunks if c.document in numbers),
            tuple(replace(g, document=numbers[g.document]) for g in known.gists if g.document in numbers),
            dense,
        )

    def _empty_memory(self) -> Memory | AgentMemory:
        return AgentMemory(self.model) if isinstance(self.model, Agent) else Memory(self.model)

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


class RawMemorizer(Memorizer):
    """The memory model reads the text itself, as far as its window reaches."""

    kind = "memorag"

    def _check(self, documents: Sequence[Document], prompts: Prompts) -> None:
        self._empty_memory().check_context(self._memory_text(documents, ()), prompts)

    def _gists(self, *_: object) -> Sequence[Gist]:
        return ()

    def _within_budget(self, gists: Sequence[Gist], *_: object) -> Sequence[Gist]:
        return gists

    def _memory_text(self, documents: Sequence[Document], gists: Sequence[Gist]) -> str:
        return "\n\n".join(document.text for document in documents)


@dataclass(frozen=True)
class GistMemorizer(Memorizer):
    """The memory model reads gists, so any length fits. ``gists`` says who makes them."""

    gists: GistKind

    kind = "memorag-lite"

    @property
    def budget(self) -> int:
        """Tokens that all gists together may have."""
        wanted = _GIST_BUDGET_ABLE if self.model.is_able else _GIST_BUDGET_SMALL
        return max(_LEAST_BUDGET, min(wanted, self.model.context_length - _RESERVE))

    @property
    def recipe(self) -> str:
        """All that a bundle depends on beside the text."""
        return f"{super().recipe} {self.gists} {self.budget}"

    def _check(self, *_: object) -> None:
        """Nothing is too long to have gists."""

    def _maker(self, prompts: Prompts, stop: Stop | None) -> GistMaker:
        batch = _BATCH_SERVER if isinstance(self.model, Agent) else _BATCH_LOCAL
        return GistMaker(self.gists, self.model, lambda texts: self.encoder.encode(texts, stop=stop), prompts, batch)

    def _gists(
        self,
        fresh: Sequence[Document],
        share: float,
        prompts: Prompts,
        on_progress: OnProgress | None,
        stop: Stop | None,
    ) -> Sequence[Gist]:
        budget = max(_LEAST_BUDGET, int(self.budget * share))
        return self._maker(prompts, stop).make(fresh, budget, on_progress, stop) if fresh else ()

    def _within_budget(
        self, gists: Sequence[Gist], prompts: Prompts, on_progress: OnProgress | None, stop: Stop | None
    ) -> Sequence[Gist]:
        return self._maker(prompts, stop).condense(gists, self.budget, on_progress, stop)

    def _memory_text(self, documents: Sequence[Document], gists: Sequence[Gist]) -> str:
        return join(gists)


def _length(documents: Sequence[Document]) -> int:
    """Return the number of characters of documents."""
    return sum(len(document.text) for document in documents)
