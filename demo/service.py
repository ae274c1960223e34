"""The process-wide side of the demo: the corpora that can be asked, and the work on them.

Ready-made corpora are shared and read-only. A visitor's documents belong to that visitor alone, and go when the visitor
deletes them or when their time is over. Knows nothing about pages.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from demo import sweeping, text
from demo.conversations import Conversations
from demo.corpora import FOLDER, Entry, catalogue, open_entry
from demo.held import Held, Library
from demo.jobs import Job, Jobs, Plan
from demo.models import Models
from demo.reading import Reading
from demo.room import Room
from demo.shelf import PREFIX, Facts, Shelf
from demo.uploads import Uploads
from engine.documents import Limits
from engine.errors import Cancelled, InputError, NotMemorizedError
from engine.events import OnProgress, Stop
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.memorag_lite import MemoRAGLite

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 60
# How often work on a corpus is begun again by itself when the server ended in the middle of it.
_MOST_ATTEMPTS = 3


class Service:
    """Opens and memorises corpora in the background and hands out pipelines over them."""

    def __init__(self, settings: Settings, folder: Path = FOLDER) -> None:
        """Look at what there is.

        Raises:
            OSError: the cache folder cannot be used.
        """
        self.settings = settings
        self.entries: dict[str, Entry] = catalogue(folder)
        self.shelf = Shelf(settings.cache_dir / "visitors")
        self.uploads = Uploads(self.shelf)
        self.conversations = Conversations(self.shelf)
        # Where the web server puts what is uploaded, once it is known.
        self.incoming: Path | None = None
        self._library = Library()
        self._lock = threading.RLock()
        self.models = Models(settings)
        self._jobs = Jobs()
        self.room = Room(settings.max_file_bytes)
        self._closed = threading.Event()
        # Called with each corpus that is let go.
        self.on_gone: Callable[[str], None] = lambda corpus: None

    def start(self) -> None:
        """Begin to load the models, open the ready-made corpora and go on with unfinished work; returns at once."""
        threading.Thread(target=self._load, name="memorag-models", daemon=True).start()
        self.start_sweeping()

    def start_sweeping(self) -> None:
        """Sweep, at once and then every minute."""
        threading.Thread(target=self._sweep, name="memorag-sweeper", daemon=True).start()

    def close(self) -> None:
        """End the work, so that another server may use the folder; what is unfinished stays so."""
        self._closed.set()
        for _, corpus, _ in self.shelf.all():
            if (job := self._jobs.running(corpus)) is not None:
                job.stop()
                job.wait(10)
        self.shelf.close()

    def _load(self) -> None:
        self.models.load()
        if self.models.failure is None:
            for slug in self.entries:
                self.open(slug)
            for owner, corpus, facts in self.shelf.all():
                if facts.state == "running" and self._jobs.running(corpus) is None:
                    self._go_on(owner, corpus, facts)

    def _go_on(self, owner: str, corpus: str, facts: Facts) -> None:
        """Go on with work that a server left unfinished, unless it may be what ended the server."""
        if facts.attempts >= _MOST_ATTEMPTS:
            if self.shelf.has_bundle(owner, corpus):
                self.shelf.put(owner, corpus, replace(facts, state="stopped"))
            else:
                self.shelf.remove(owner, corpus)  # there is nothing to ask or to go on with; its files wait again
            return
        self.shelf.put(owner, corpus, replace(facts, attempts=facts.attempts + 1))
        self._jobs.start(corpus, Reading(self, owner, corpus).plan())

    @property
    def is_closing(self) -> bool:
        """Whether the server is going down."""
        return self._closed.is_set()

    @property
    def limits(self) -> Limits:
        """What a file may cost at most."""
        return Limits(max_bytes=self.settings.max_file_bytes)

    # Corpora

    def open(self, corpus: str, visitor: str | None = None) -> Job:
        """Bring a corpus into memory in the background; one that is being memorised comes by itself.

        Raises:
            InputError, NotMemorizedError: there is no such corpus for this visitor.
        """
        if visitor is not None:
            self.pipeline(corpus, visitor)
        if (job := self._jobs.running(corpus)) is not None:
            return job

        def work(on_progress: OnProgress, stop: Stop, on_ready: Callable[[], None]) -> None:
            if corpus in self._library:
                return
            pipeline = self.models.get(stop).fork()
            if visitor is None or corpus in self.entries:
                open_entry(self.entries[corpus], pipeline, self.settings, on_progress, stop)
            else:
                pipeline.load(self.shelf.bundle(visitor, corpus), on_progress=on_progress, stop=stop)
            self.hold(visitor, corpus, pipeline, stop)

        return self._jobs.start(f"open:{corpus}", Plan(work))

    def memorize(self, owner: str, ids: Sequence[str], password: str = "", keeps_files: bool = True) -> tuple[str, Job]:
        """Memorise files of a visitor that wait, as one corpus; return its id and the job.

        Raises:
            InputError: no files are named, or too much is being memorised already.
        """
        with self._lock:
            files = self.uploads.chosen(owner, ids)
            if not files:
                raise InputError(text.NO_FILES)
            size = sum(upload.size for upload in files)
            self._check_room(owner, size)
            names = tuple(upload.name for upload in files)
            title = names[0] if len(names) == 1 else f"{names[0]} + {len(names) - 1}"
            facts = Facts(title, names, time.time(), size=size, uploads=tuple(upload.id for upload in files))
            try:
                corpus = self.shelf.add(owner, facts)
            except OSError as error:
                raise InputError(text.FILE_NOT_KEPT.format(name=title)) from error
            return corpus, self._jobs.start(corpus, Reading(self, owner, corpus, password, keeps_files).plan())

    def _check_room(self, owner: str, size: int) -> None:
        mine = sum(self._jobs.running(corpus) is not None for corpus in self.shelf.corpora(owner))
        at_work = [facts.size for _, corpus, facts in self.shelf.all() if self._jobs.running(corpus) is not None]
        self.room.check(size, mine, len(self._jobs), at_work)

    def resume(self, owner: str, corpus: str) -> Job:
        """Go on with a corpus whose memorising was stopped.

        Raises:
            InputError, NotMemorizedError: there is no such corpus for this visitor, or there is too much to do already.
        """
        with self._lock:
            self.pipeline(corpus, owner)
            facts = self.shelf.get(owner, corpus)
            if facts is None:
                raise InputError(text.NOTHING_MISSING)
            if (job := self._jobs.running(corpus)) is None:
                self._check_room(owner, facts.size)
                self.shelf.put(owner, corpus, replace(facts, state="running", attempts=0))
                job = self._jobs.start(corpus, Reading(self, owner, corpus).plan())
            return job

    def pipeline(self, corpus: str, visitor: str) -> MemoRAGLite | None:
        """Return the pipeline over a corpus that this visitor may ask, or None when it is not in memory (yet).

        Raises:
            InputError: there is no such corpus for this visitor.
            NotMemorizedError: the visitor's corpus is no longer held.
        """
        self._expire()
        if corpus in self.entries or self.shelf.get(visitor, corpus) is not None:
            held = self._library.get(corpus)
            return None if held is None else held.pipeline
        # Another visitor's corpus and one that is gone look the same from outside.
        if corpus.startswith(PREFIX):
            raise NotMemorizedError(text.EXPIRED)
        raise InputError(text.UNKNOWN_CORPUS.format(corpus=corpus, known=", ".join(self.titles(visitor))))

    def titles(self, visitor: str) -> dict[str, str]:
        """Return the titles by id of all corpora of this visitor, ready-made ones first; some may not be ready yet."""
        self._expire()
        mine = {corpus: facts.title for corpus, facts in self.shelf.corpora(visitor).items()}
        return {slug: entry.title for slug, entry in self.entries.items()} | mine

    def running(self, visitor: str) -> tuple[str, Job] | None:
        """Return the visitor's corpus that is being memorised, with its job; the latest where there are several."""
        for corpus in reversed(self.shelf.corpora(visitor)):
            if (job := self._jobs.running(corpus)) is not None:
                return corpus, job
        return None

    def is_unfinished(self, visitor: str) -> bool:
        """Whether anything of the visitor is being memorised, or will be when the models are loaded."""
        is_coming = self.models.failure is None
        return is_coming and any(facts.state == "running" for facts in self.shelf.corpora(visitor).values())

    def is_open(self, corpus: str) -> bool:
        """Whether a corpus can be asked at once."""
        return corpus in self._library

    def held(self, corpus: str) -> Held | None:
        """Return what is held of a corpus; None where it is not in memory. Whose it is, is not looked at."""
        return self._library.get(corpus)

    def stop_memorising(self, visitor: str) -> None:
        """Stop all memorising for a visitor."""
        for corpus in self.shelf.corpora(visitor):
            if (job := self._jobs.running(corpus)) is not None:
                job.stop()

    def delete(self, visitor: str) -> int:
        """Delete everything of a visitor, also what is being memorised; return how many things it was."""
        with self._lock:
            self.stop_memorising(visitor)
            count = len(self.uploads.waiting(visitor)) + len(self.conversations.all(visitor))
            mine = self.shelf.remove_all(visitor)
            for corpus in mine:
                self.let_go(corpus)
        return count + len(mine)

    # What jobs need

    def pipeline_for(self, corpus: str, stop: Stop) -> MemoRAGLite:
        """Return what holds the corpus already, else a pipeline with nothing memorised; waits for the models."""
        held = self._library.get(corpus)
        return self.models.get(stop).fork() if held is None else held.pipeline

    def hold(self, owner: str | None, corpus: str, pipeline: MemoRAGLite, stop: Stop) -> None:
        """Hold what was memorised, unless its owner deleted it meanwhile.

        Raises:
            Cancelled: so it is.
        """
        held = Held.of(pipeline)
        busy = {other for _, other, _ in self.shelf.all() if self._jobs.running(other) is not None}
        with self._lock:
            if not self.is_open(corpus):
                stop.check()  # under the lock, so that nothing is held after its owner deleted it
            if corpus not in self.entries and (owner is None or self.shelf.get(owner, corpus) is None):
                raise Cancelled(text.EXPIRED)
            self._library.put(corpus, held, busy)

    def let_go(self, corpus: str) -> None:
        """Hold a corpus no longer."""
        self._library.drop(corpus)
        self.on_gone(corpus)

    # Sweeping

    def _oldest(self) -> float:
        return time.time() - self.settings.upload_hours * 3600

    def _expire(self) -> None:
        with self._lock:
            for _, corpus in self.shelf.expire(self._oldest()):
                self.let_go(corpus)
                if (job := self._jobs.running(corpus)) is not None:
                    job.stop()

    def sweep(self) -> None:
        """Delete what has had its time, and what is left over from crashes.

        Raises:
            OSError: something could not be looked at.
        """
        self._expire()
        busy = {corpus for _, corpus, _ in self.shelf.all() if self._jobs.running(corpus) is not None}
        self.uploads.sweep(self._oldest())
        self.shelf.sweep(busy)
        self.shelf.sweep_unused(self._oldest())
        sweeping.sweep_elsewhere(self.settings.cache_dir, self.incoming)
        self.conversations.sweep(self._oldest())

    def _sweep(self) -> None:
        while True:
            try:
                self.sweep()
            except OSError as error:  # its words may hold the name of a visitor's file
                logger.warning("Sweeping met a %s (%s) and goes on later.", type(error).__name__, error.errno)
            if self._closed.wait(_SWEEP_SECONDS):
                return
