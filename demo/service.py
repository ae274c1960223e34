"""The process-wide side of the demo: the models, loaded once, and the corpora that are held.

Ready-made corpora are shared and read-only. A visitor's documents belong to that visitor alone, live in memory only,
and go when the visitor deletes them, when their time is over, or when room is needed. Knows nothing about pages.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from demo import text
from demo.corpora import FOLDER, Entry, catalogue, load_models, open_entry
from demo.jobs import Job, Jobs
from engine.documents import Document
from engine.errors import InputError, MemoRAGError, ModelError, NotMemorizedError
from engine.events import OnProgress, Stop
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite

logger = logging.getLogger(__name__)

# Bytes of KV memory held at most, least recently used corpus first to go.
_HELD_BYTES = 2 * 2**30
_MOST_JOBS = 8
_SWEEP_SECONDS = 60


@dataclass
class Held:
    """One corpus in memory.

    ``owner`` is a visitor's id, or None for a ready-made corpus; ``is_read`` says whether the retriever reads its
    language, None where that is not known.
    """

    title: str
    owner: str | None
    pipeline: MemoRAGLite
    is_read: bool | None = None
    since: float = field(default_factory=time.monotonic)


class Service:
    """Loads the models in the background and hands out pipelines over memorised corpora."""

    def __init__(self, settings: Settings, folder: Path = FOLDER) -> None:
        self.settings = settings
        self.entries: dict[str, Entry] = catalogue(folder)
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._lock = threading.RLock()
        self._jobs = Jobs()
        self._memorising: dict[str, list[Job]] = {}
        self._engine: MemoRAGLite | None = None
        self._failure: ModelError | None = None
        self._loaded = threading.Event()

    # Models

    def start(self) -> None:
        """Begin to load the models, then open the ready-made corpora; returns at once."""
        threading.Thread(target=self._load, name="memorag-models", daemon=True).start()
        threading.Thread(target=self._sweep, name="memorag-sweeper", daemon=True).start()

    def _load(self) -> None:
        try:
            # Loading torch takes seconds: the page is served meanwhile.
            from transformers.utils.logging import disable_progress_bar

            disable_progress_bar()
            began = time.monotonic()
            self._engine = load_models(self.settings)
            logger.info("Models loaded in %.1f s: %s", time.monotonic() - began, self._engine.encoder.hardware)
        except MemoRAGError as error:
            logger.exception("The models could not be loaded.")
            self._failure = ModelError(text.MODELS_FAILED.format(reason=error))
        except Exception:
            # Nothing else would notice the end of this thread: say so on the page, and keep the traceback in the log.
            logger.exception("The models could not be loaded.")
            self._failure = ModelError(text.MODELS_FAILED.format(reason=text.UNEXPECTED))
        finally:
            self._loaded.set()
        if self._engine is not None:
            for slug in self.entries:
                self.open(slug)

    @property
    def is_loaded(self) -> bool:
        """Whether the models are ready, or have failed to load."""
        return self._loaded.is_set()

    @property
    def failure(self) -> ModelError | None:
        """Why the models could not be loaded, if so."""
        return self._failure

    def engine(self, stop: Stop | None = None) -> MemoRAGLite:
        """Return the pipeline with nothing memorised; waits until the models are loaded.

        Raises:
            ModelError: they could not be loaded.
            Cancelled: ``stop`` was set while waiting.
        """
        while not self._loaded.wait(0.2):
            if stop is not None:
                stop.check()
        if self._engine is None:
            raise self._failure or ModelError(text.MODELS_FAILED.format(reason=text.UNEXPECTED))
        return self._engine

    # Corpora

    def open(self, slug: str) -> Job:
        """Open a ready-made corpus in the background."""
        entry = self.entries[slug]

        def work(on_progress: OnProgress, stop: Stop) -> None:
            if slug not in self._held:
                pipeline = self.engine(stop).fork()
                open_entry(entry, pipeline, self.settings, on_progress, stop)
                self._hold(slug, Held(entry.title, None, pipeline, _is_read(pipeline)), stop)

        return self._jobs.start(f"open:{slug}", work)

    def memorize(self, documents: Sequence[Document], title: str, owner: str) -> tuple[str, Job]:
        """Memorise a visitor's documents in the background; return the new corpus's id and the job.

        Raises:
            InputError: too much is being memorised already.
        """
        if len(self._jobs) >= _MOST_JOBS:
            raise InputError(text.BUSY.format(count=len(self._jobs)))
        corpus = f"mine-{secrets.token_urlsafe(16)}"

        def work(on_progress: OnProgress, stop: Stop) -> None:
            pipeline = self.engine(stop).fork()
            pipeline.memorize(documents, on_progress=on_progress, stop=stop)
            self._hold(corpus, Held(title, owner, pipeline, _is_read(pipeline)), stop)

        job = self._jobs.start(corpus, work)
        with self._lock:
            unfinished = [other for other in self._memorising.get(owner, ()) if not other.snapshot().is_over]
            self._memorising[owner] = [*unfinished, job]
        return corpus, job

    def pipeline(self, corpus: str, visitor: str) -> MemoRAGLite | None:
        """Return the pipeline over a corpus that this visitor may ask, or None when it is not open (yet).

        Raises:
            InputError: there is no such corpus for this visitor.
            NotMemorizedError: the visitor's corpus is no longer held.
        """
        with self._lock:
            self._expire()
            held = self._held.get(corpus)
            if held is not None and held.owner in (None, visitor):
                self._held.move_to_end(corpus)
                return held.pipeline
        if corpus in self.entries:
            return None
        # Another visitor's corpus and one that is gone look the same from outside.
        if corpus.startswith("mine-"):
            raise NotMemorizedError(text.EXPIRED)
        raise InputError(text.UNKNOWN_CORPUS.format(corpus=corpus, known=", ".join(self.titles(visitor))))

    def titles(self, visitor: str) -> dict[str, str]:
        """Return the titles by id of all corpora this visitor may ask, ready-made ones first."""
        with self._lock:
            self._expire()
            mine = {corpus: held.title for corpus, held in self._held.items() if held.owner == visitor}
        return {slug: entry.title for slug, entry in self.entries.items()} | mine

    def is_open(self, corpus: str) -> bool:
        """Whether a corpus can be asked at once."""
        return corpus in self._held

    def unread_language(self, corpus: str) -> str | None:
        """Return the name of the language of a held corpus, where the retriever is known not to read it."""
        with self._lock:
            held = self._held.get(corpus)
        if held is None or held.is_read is not False:
            return None
        return text.LANGUAGES[_code(held.pipeline)]

    def unread_note(self, corpus: str) -> str:
        """Return what the status line of a corpus that can be asked says about its language, if anything."""
        language = self.unread_language(corpus)
        return "" if language is None else text.READY_UNREAD.format(language=language)

    def stop_memorising(self, visitor: str) -> None:
        """Stop all memorising for a visitor."""
        with self._lock:
            for job in self._memorising.pop(visitor, ()):
                job.stop()

    def delete(self, visitor: str) -> int:
        """Forget all documents of a visitor, also those being memorised; return how many corpora were held."""
        with self._lock:
            self.stop_memorising(visitor)
            mine = [corpus for corpus, held in self._held.items() if held.owner == visitor]
            for corpus in mine:
                del self._held[corpus]
        return len(mine)

    def _hold(self, corpus: str, held: Held, stop: Stop) -> None:
        with self._lock:
            stop.check()  # under the lock, so that nothing is held after its owner deleted it
            self._held[corpus] = held
            while len(self._held) > 1 and sum(self._bytes(h) for h in self._held.values()) > _HELD_BYTES:
                self._held.popitem(last=False)

    def _expire(self) -> None:
        oldest = time.monotonic() - self.settings.upload_hours * 3600
        for corpus in [c for c, held in self._held.items() if held.owner is not None and held.since < oldest]:
            del self._held[corpus]

    def _sweep(self) -> None:
        """Let documents go when their time is over, also while nobody asks."""
        while True:
            time.sleep(_SWEEP_SECONDS)
            with self._lock:
                self._expire()

    @staticmethod
    def _bytes(held: Held) -> int:
        return int(held.pipeline.stats["memory_bytes"])


def _is_read(pipeline: MemoRAGLite) -> bool | None:
    """Measure whether the retriever reads the language of what is held; here, so that no page waits for it."""
    from engine.tongues import reads

    return reads(pipeline.encoder, _code(pipeline))


def _code(pipeline: MemoRAGLite) -> str:
    return str(pipeline.stats["language"]).partition("-")[0]
