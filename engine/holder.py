"""What a pipeline holds of one corpus: memorised, changed, saved and loaded, and always replaced as a whole."""

from __future__ import annotations

import copy
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from engine import storage
from engine.agent import Agent
from engine.documents import Document, as_documents
from engine.encoder import Encoder
from engine.errors import BundleError, InputError, NotMemorizedError
from engine.events import OnProgress, Stop
from engine.memorized import Memorized, digest_of
from engine.memorizer import Memorizer, Work
from engine.model import Model

logger = logging.getLogger(__name__)
Context = str | Document | Sequence[str | Document]
# Called whenever more of a corpus can be used.
OnReady = Callable[[], None]

# Names of documents in an error's sentence.
_NAMES_SHOWN = 8


class Holder:
    """One corpus at a time, read by the models of a memorizer. A question that runs keeps the corpus it began with."""

    def __init__(self, memorizer: Memorizer) -> None:
        """Begin with nothing memorised."""
        self.memorizer = memorizer
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

    def fork(self) -> Self:
        """Return a pipeline over the same loaded models, with nothing memorised."""
        twin = copy.copy(self)
        twin._held, twin._changing = None, threading.RLock()
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

    def memorize(
        self,
        context: Context,
        save_dir: str | Path | None = None,
        print_stats: bool = False,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
        on_ready: OnReady | None = None,
    ) -> None:
        """Read a corpus once; with ``save_dir``, keep it as a bundle.

        A long corpus can be asked before all is done: first by its words, then with clues of the memory, at last by
        meaning too. ``on_ready`` is called whenever more can be used, and ``save_dir`` then holds as much. Where work
        on the same text was interrupted in that folder, it goes on.

        Raises:
            DocumentError: there is no text in it.
            ContextLengthError: ``MemoRAG`` only: the text does not fit the memory model's window.
            BundleError: the bundle cannot be written; what was memorised is held all the same.
            Cancelled: ``stop`` was set; what can be asked already of this text is held, else what was held before.
        """
        documents = as_documents(context)
        place = storage.check_place(Path(save_dir)) if save_dir is not None else None
        with self._changing:
            begun = self._begun(place, documents, stop) if place is not None else None
            self._work(documents if begun is None else begun, place, on_progress, stop, on_ready)
            self._say(print_stats)

    def complete(
        self,
        save_dir: str | Path,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
        on_ready: OnReady | None = None,
    ) -> None:
        """Do what is missing of what was loaded from ``save_dir``, and keep it there; see ``memorize``.

        Raises:
            NotMemorizedError: nothing has been memorised.
            BundleError, Cancelled: as ``memorize``.
        """
        place = storage.check_place(Path(save_dir))
        with self._changing:
            self._work(self._memorized(), place, on_progress, stop, on_ready)

    def _begun(self, place: Path, documents: tuple[Document, ...], stop: Stop | None) -> Memorized | None:
        """Return what a folder holds of these very documents, where memorising was begun there and not finished.

        None where it holds nothing of the kind, or what can no longer be used.
        """
        if not place.is_dir():
            return None
        try:
            manifest = storage.read_manifest(place)
            is_begun = manifest.get("missing") and manifest.get("digest") == digest_of(documents)
            return self.memorizer.load(place, stop=stop) if is_begun else None
        except BundleError as error:
            logger.info("Memorising begins anew: %s", error)
            return None

    def _work(
        self,
        about: Memorized | tuple[Document, ...],
        place: Path | None,
        on_progress: OnProgress | None,
        stop: Stop | None,
        on_ready: OnReady | None,
    ) -> None:
        """Read documents, or do what is missing of what was begun; hold, keep and announce every stage."""

        def on_stage(held: Memorized) -> None:
            self._held = held
            if place is not None and held is not about:
                self.memorizer.save(held, place)
            if on_ready is not None:
                on_ready()

        work = Work(on_progress, stop, on_stage, place)
        read = self.memorizer
        on_stage(read.complete(about, work) if isinstance(about, Memorized) else read.read(about, work=work))

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
            self._held = self.memorizer.read(fresh, known, work=Work(on_progress, stop))
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
            self._held = None if all_gone else self.memorizer.read((), held, without, Work(on_progress, stop))

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
        lazily: bool = False,
    ) -> None:
        """Load a bundle. For another memory model than it was made with, the memory is read anew from its gists.

        ``lazily``, that is left to ``complete``; questions are answered without clues until then. Loading takes the
        same time however large the memory is: the checksum of its file is computed beside other work. Damage
        that shows later is raised as BundleError by questions, ``add``, ``remove`` and ``save``.

        Raises:
            BundleError: it is missing, damaged, or made by another pipeline or retriever; what was held stays.
            ContextLengthError: ``MemoRAG`` only: the text does not fit the window of the memory model in use.
        """
        with self._changing:
            self._held = self.memorizer.load(Path(save_dir), on_progress, stop, lazily)
            self._say(print_stats)

    def _holding(self, documents: tuple[Document, ...], stop: Stop | None) -> Memorized:
        """Return what is held of these very documents, after reading them where something else is held."""
        with self._changing:
            held = self._held
            if held is None or held.digest != digest_of(documents):
                held = self._held = self.memorizer.read(documents, work=Work(stop=stop))
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
