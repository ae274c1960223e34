"""The pipeline: memorise a corpus once, then recall clues, find evidence and write the answer for every question.

What was memorised is one frozen value that is replaced as a whole, so a question that runs keeps the corpus it began
with. ``MemoRAG`` and ``MemoRAGLite`` differ in who reads what (memorizer.py) and in the order of their arguments.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self, TypedDict

from engine import storage
from engine.agent import Agent
from engine.ask import Settings, events
from engine.bundle import Memorized, digest_of
from engine.documents import Document, as_documents
from engine.encoder import Encoder
from engine.errors import InputError, NotMemorizedError
from engine.events import Answer, Clue, Event, OnProgress, Stop, Task
from engine.evidence import EVIDENCE_TOKENS
from engine.memorizer import Memorizer
from engine.model import Model
from engine.request import Generator, Request, check_request
from engine.strategy import Strategy

Context = str | Document | Sequence[str | Document]


class Options(TypedDict, total=False):
    """How a question is answered, beside the question and its corpus; defaults and order as ``MemoRAG.__call__``."""

    task_type: Task
    prompt_template: str | None
    max_new_tokens: int
    reset_each_call: bool
    use_memory_answer: bool
    temperature: float
    stop: Stop | None
    strategy: Strategy | None
    clues: Sequence[Clue] | None


# New tokens of each clue prompt, for an able memory model and for a small one, which soon repeats itself.
CLUE_TOKENS_ABLE, CLUE_TOKENS_SMALL = 128, 48
# Names of documents in an error's sentence.
_NAMES_SHOWN = 8


class Pipeline:
    """Memory, retriever and generator over one corpus at a time."""

    def __init__(
        self, memorizer: Memorizer, generator: Generator | None, ret_hit: int, retrieval_chunk_size: int
    ) -> None:
        """Take models that are loaded; without a generator of its own, the memory model also writes the answers."""
        self.memorizer = memorizer
        self.generator: Generator = generator if generator is not None else memorizer.model
        self.ret_hit = ret_hit
        self.passage_tokens = min(retrieval_chunk_size, EVIDENCE_TOKENS // 2)
        self._held: Memorized | None = None
        # One change of what is held at a time, or two additions at once would lose one of them.
        self._changing = threading.RLock()

    @property
    def model(self) -> Model | Agent:
        """The memory model."""
        return self.memorizer.model

    @property
    def encoder(self) -> Encoder:
        """The retriever's encoder."""
        return self.memorizer.encoder

    # Copies over the same loaded models

    def fork(self) -> Self:
        """Return a pipeline over the same loaded models, with nothing memorised."""
        twin = copy.copy(self)
        twin._held, twin._changing = None, threading.RLock()
        return twin

    def with_generator(self, generator: Generator) -> Self:
        """Return a pipeline over the same models and the same memorised corpus, whose answers ``generator`` writes."""
        twin = copy.copy(self)
        twin.generator, twin._changing = generator, threading.RLock()
        return twin

    def rechunked(self, chunk_tokens: int, stop: Stop | None = None) -> Self:
        """Return a pipeline over the same memory whose text is searched in chunks of another size.

        Raises:
            NotMemorizedError: nothing has been memorised.
            Cancelled: ``stop`` was set.
        """
        twin = copy.copy(self)
        twin._held, twin._changing = self.memorizer.rechunked(self._memorized(), chunk_tokens, stop), threading.RLock()
        return twin

    # Memorising

    def memorize(
        self,
        context: Context,
        save_dir: str | Path | None = None,
        print_stats: bool = False,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Read a corpus once; with ``save_dir``, keep it as a bundle.

        Raises:
            DocumentError: there is no text in it.
            ContextLengthError: ``MemoRAG`` only: the text does not fit the memory model's window.
            BundleError: the bundle cannot be written; what was memorised is held all the same.
            Cancelled: ``stop`` was set; what was memorised before is still there.
        """
        documents = as_documents(context)
        if save_dir is not None:
            storage.check_place(Path(save_dir))
        with self._changing:
            self._held = self.memorizer.read(documents, on_progress=on_progress, stop=stop)
            if save_dir is not None:
                self.save(save_dir)
            self._say(print_stats)

    def add(
        self,
        context: Context,
        print_stats: bool = False,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Add documents to what is memorised; only they are read. A bundle on disk is not changed: ``save`` it again.

        Raises:
            DocumentError: there is no text, or a document of that name is already there.
            BundleError: what is memorised came from a bundle whose memory is damaged.
            ContextLengthError, Cancelled: as ``memorize``; what was memorised before is still there.
        """
        with self._changing:
            known = self._held
            fresh = as_documents(context, known.documents if known is not None else ())
            self._held = self.memorizer.read(fresh, known, on_progress=on_progress, stop=stop)
            self._say(print_stats)

    def remove(
        self, names: str | Sequence[str], on_progress: OnProgress | None = None, stop: Stop | None = None
    ) -> None:
        """Take documents out of what is memorised, by name; the others are not read again.

        The memory goes on from before the first of them: of what stood behind, gists are read again by ``MemoRAGLite``
        and texts by ``MemoRAG``. Without the last document nothing is memorised.

        Raises:
            InputError: there is no document of that name.
            BundleError: what is memorised came from a bundle whose memory is damaged.
            Cancelled: ``stop`` was set; everything is still there.
        """
        wanted = {names} if isinstance(names, str) else set(names)
        with self._changing:
            held = self._memorized()
            known = [document.name for document in held.documents]
            if missing := sorted(wanted - set(known)):
                some = ", ".join(known[:_NAMES_SHOWN]) + (" and others" if len(known) > _NAMES_SHOWN else "")
                raise InputError(f"There is no document {missing[0]!r}; memorised are: {some}.")
            without = {number for number, name in enumerate(known) if name in wanted}
            all_gone = len(without) == len(known)
            self._held = None if all_gone else self.memorizer.read((), held, without, on_progress, stop)

    # Saving and loading

    def save(self, save_dir: str | Path, with_memory: bool = True) -> None:
        """Write what is memorised as a bundle.

        Without the memory's tensors the bundle is small, and ``load`` rebuilds them, for any memory model.

        Raises:
            NotMemorizedError: nothing has been memorised.
            BundleError: it cannot be written, or came from a bundle whose memory is damaged.
        """
        self.memorizer.save(self._memorized(), Path(save_dir), with_memory)

    def load(
        self,
        save_dir: str | Path,
        print_stats: bool = False,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Load a bundle. For another memory model than it was made with, the memory is read anew from its gists.

        It takes the same time however large the memory is: the checksum of the memory's file is computed beside other
        work. Damage that shows later is raised as BundleError by questions, ``add``, ``remove`` and ``save``.

        Raises:
            BundleError: it is missing, damaged, or made by another pipeline or retriever; what was held stays.
            ContextLengthError: ``MemoRAG`` only: the text does not fit the window of the memory model in use.
        """
        with self._changing:
            self._held = self.memorizer.load(Path(save_dir), on_progress, stop)
            self._say(print_stats)

    # Asking

    def _ask(
        self,
        query: str | None,
        context: Context | None,
        task_type: str = "memorag",
        prompt_template: str | None = None,
        max_new_tokens: int = 256,
        reset_each_call: bool = False,
        use_memory_answer: bool = False,
        temperature: float = 0.0,
        stop: Stop | None = None,
        strategy: Strategy | None = None,
        clues: Sequence[Clue] | None = None,
    ) -> Iterator[Event]:
        """Check everything, then return the stream of events. See ``MemoRAG.stream``."""
        shaped_by = (prompt_template, max_new_tokens, temperature, use_memory_answer, stop, strategy, clues)
        request = check_request(self.generator, query, task_type, *shaped_by)
        about = self._memorized() if context is None else as_documents(context)
        return self._run(request, about, reset_each_call)

    def _run(self, request: Request, about: Memorized | tuple[Document, ...], reset_each_call: bool) -> Iterator[Event]:
        held = about if isinstance(about, Memorized) else self._holding(about, request.stop)
        clue_tokens = CLUE_TOKENS_ABLE if held.memory.is_able else CLUE_TOKENS_SMALL
        settings = Settings(clue_tokens, self.ret_hit, self.passage_tokens)
        try:
            held.check()
            for event in events(request, held, self.generator, settings):
                held.check()  # nothing is handed out of a memory that meanwhile proved to be damaged
                yield event
        finally:
            if reset_each_call and self._held is held:
                self._held = None

    def _holding(self, documents: tuple[Document, ...], stop: Stop | None) -> Memorized:
        """Return what is held of these very documents, after reading them where something else is held."""
        with self._changing:
            held = self._held
            if held is None or held.digest != digest_of(documents):
                held = self._held = self.memorizer.read(documents, stop=stop)
            return held

    # Facts

    @property
    def is_memorized(self) -> bool:
        """Whether there is anything to ask about."""
        return self._held is not None

    @property
    def memorized(self) -> Memorized:
        """What is held of the corpus.

        Raises:
            NotMemorizedError: nothing has been memorised.
        """
        return self._memorized()

    def _memorized(self) -> Memorized:
        if self._held is None:
            raise NotMemorizedError("Nothing has been memorised yet: call memorize or load first, or give a context.")
        return self._held

    @property
    def stats(self) -> dict[str, int | str]:
        """Language, context length in tokens of the retriever, and the size of what is held."""
        return self._memorized().stats

    def _say(self, wanted: bool) -> None:
        if not wanted:
            return
        stats = self.stats
        megabytes = int(stats["memory_bytes"]) / 2**20
        sys.stdout.write(
            f"Language: {stats['language']}\n"
            f"Context length: {stats['context_tokens']:,} tokens\n"
            f"Memory size: {megabytes:,.1f} MB ({stats['memory_tokens']:,} tokens)\n"
            f"Number of chunks: {stats['chunks']:,}\n"
        )


def text_of(stream: Iterator[Event]) -> str:
    """Run a stream of events to its end and return the answer's text."""
    for event in stream:
        if isinstance(event, Answer):
            return event.text
    raise AssertionError("a stream ends with an Answer")
