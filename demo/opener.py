"""Which corpora can be asked: ready-made ones and visitors' own, brought into memory in the background, held, let go.

Ready-made corpora are shared and read-only. A visitor's corpus is opened for that visitor alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from demo import text
from demo.catalogue import Entry
from demo.held import Growing, Held, Library
from demo.jobs import Job, Jobs, Plan
from demo.models import Models
from demo.opening import Condition, bytes_of
from demo.ready_made import ReadyMade
from demo.shelf import PREFIX, Shelf
from engine.errors import Cancelled, InputError, NotMemorizedError
from engine.events import OnProgress, Stop
from engine.settings import Settings
from engine.storage import read_manifest

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite


logger = logging.getLogger(__name__)


class Opener:
    """Opens corpora and hands out pipelines over them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Look at what there is; ``folder`` holds the corpora that ship.

        Raises:
            OSError: the cache folder cannot be used.
        """
        self.settings = settings
        self.ready_made = ReadyMade(settings, folder)
        self.shelf = Shelf(settings.cache_dir / "visitors")
        self.models = Models(settings)
        self._library = Library()
        self._lock = threading.RLock()
        self._jobs = Jobs()
        self._growing = Growing()
        # Called with each corpus that is let go.
        self.on_gone: Callable[[str], None] = lambda corpus: None

    @property
    def entries(self) -> dict[str, Entry]:
        """Ready-made corpora that are offered now, by slug."""
        return self.ready_made.entries

    @property
    def versions(self) -> dict[str, str]:
        """The versions of ready-made corpora, by slug."""
        return {slug: entry.version for slug, entry in self.entries.items()}

    def titles(self, visitor: str) -> dict[str, str]:
        """Return the titles by id of all corpora of this visitor, ready-made ones first; some may not be ready yet."""
        self._expire()
        mine = {corpus: facts.title for corpus, facts in self.shelf.corpora(visitor).items()}
        return {slug: entry.title for slug, entry in self.entries.items()} | mine

    def labels(self, visitor: str) -> dict[str, str]:
        """Return titles by id as ``titles`` does, each with what a person should know before choosing it."""
        marks = {slug: self._marks(entry) for slug, entry in self.entries.items()}
        shown = {}
        for corpus, title in self.titles(visitor).items():
            found = text.MARKS_BETWEEN.join(text.MARKS[mark] for mark in marks.get(corpus, ["private"]))
            shown[corpus] = text.MARKED.format(title=title, marks=found) if found else title
        return shown

    def _marks(self, entry: Entry) -> list[str]:
        state = self.condition(entry.slug).state
        return [*(["private"] if entry.manifest.private else []), *([state] if state in text.MARKS else [])]

    def entry_of(self, corpus: str, visitor: str) -> Entry | None:
        """Return the ready-made corpus that a corpus is, or that it gives a text of the visitor's own."""
        facts = self.shelf.get(visitor, corpus)
        return self.entries.get(facts.entry if facts is not None else corpus)

    def pipeline(self, corpus: str, visitor: str) -> MemoRAGLite | None:
        """Return the pipeline over a corpus that this visitor may ask, or None when it is not in memory (yet).

        Raises:
            InputError: there is no such corpus for this visitor.
            NotMemorizedError: the visitor's corpus is no longer held.
        """
        self._expire()
        if corpus in self.entries or self.shelf.get(visitor, corpus) is not None:
            held = self.held(corpus)
            return None if held is None else held.pipeline
        # Another visitor's corpus and one that is gone look the same from outside.
        if corpus.startswith(PREFIX):
            raise NotMemorizedError(text.EXPIRED)
        raise InputError(text.UNKNOWN_CORPUS.format(corpus=corpus, known=", ".join(self.titles(visitor))))

    def held(self, corpus: str) -> Held | None:
        """Return what is held of a corpus; None where it is not in memory. Whose it is, is not looked at."""
        return self._library.get(corpus) if self.is_open(corpus) else None

    def is_open(self, corpus: str) -> bool:
        """Whether a corpus can be asked at once; to look is no use of it.

        A ready-made corpus that was changed meanwhile is let go, and is opened anew.
        """
        held, entry = self._library.peek(corpus), self.entries.get(corpus)
        if held is not None and entry is not None and held.version != entry.version:
            self.let_go(corpus)
            return False
        return held is not None

    def open(self, corpus: str, visitor: str | None = None) -> Job:
        """Bring a corpus into memory in the background; one that is being memorised comes by itself.

        Raises:
            InputError, NotMemorizedError: there is no such corpus for this visitor.
        """
        if visitor is not None:
            self.pipeline(corpus, visitor)
        if (job := self._jobs.running(corpus) or self.opening(corpus)) is not None:
            return job

        def work(on_progress: OnProgress, stop: Stop, on_ready: Callable[[], None]) -> None:
            if self.is_open(corpus):
                return
            pipeline, entry = self._fork(stop), self.entries.get(corpus)
            if entry is not None:
                size = self.ready_made.size(entry, pipeline.memorizer)
                self._library.make_room(size + self._growing.coming, self._busy())
                ready = self._holding(corpus, pipeline, stop, on_ready, entry.version)
                with self._growing.turn(self._library, corpus, size, on_progress, stop) as wait:

                    def on_more() -> None:
                        ready()
                        if pipeline.memorized.missing:
                            wait()

                    self.ready_made.open(entry, pipeline, on_progress, stop, on_more)
            elif visitor is not None:
                bundle = self.shelf.bundle(visitor, corpus)
                self._library.make_room(bytes_of(read_manifest(bundle)), self._busy())
                pipeline.load(bundle, on_progress=on_progress, stop=stop)
                self.hold(visitor, corpus, pipeline, stop)

        return self._jobs.start(self._key("open", corpus), Plan(work))

    def opening(self, corpus: str) -> Job | None:
        """Return the job that opens a corpus or builds it again, if one runs."""
        return self._jobs.running(f"rebuild:{corpus}") or self._jobs.running(self._key("open", corpus))

    def _key(self, work: str, corpus: str) -> str:
        """Return the key of a job: that one version of an entry cannot be opened says nothing of the next."""
        entry = self.entries.get(corpus)
        return f"{work}:{corpus}:{entry.version if entry is not None else ''}"

    def is_rebuilding(self, corpus: str) -> bool:
        """Whether a ready-made corpus is being made again."""
        return self._jobs.running(f"rebuild:{corpus}") is not None

    def rebuild_failure(self, corpus: str) -> Exception | None:
        """Return why a ready-made corpus could not be made again, where that was tried a moment ago."""
        return self._jobs.failure(f"rebuild:{corpus}")

    def rebuild(self, corpus: str) -> Job:
        """Make a ready-made corpus again that is stale or damaged, in the background.

        Raises:
            InputError: there is no such corpus, or it can be used as it is.
        """
        entry = self.entries.get(corpus)
        if (job := self.opening(corpus)) is not None:
            return job
        if entry is None or not self.needs_rebuild(corpus):
            raise InputError(text.NO_REBUILD)

        def work(on_progress: OnProgress, stop: Stop, on_ready: Callable[[], None]) -> None:
            pipeline = self._fork(stop)
            self._library.make_room(self.ready_made.size(entry, pipeline.memorizer), self._busy())
            ready = self._holding(corpus, pipeline, stop, on_ready)  # in its new version, whatever that is called
            self.ready_made.rebuild(entry, pipeline, on_progress, stop, ready)

        return self._jobs.start(f"rebuild:{corpus}", Plan(work))

    def condition(self, corpus: str) -> Condition:
        """Return how things stand with a ready-made corpus; with any other, all is well."""
        entry = self.entries.get(corpus)
        if entry is None or self.is_open(corpus):
            return Condition("ready")
        reader = self.models.get().memorizer if self.models.is_loaded and self.models.failure is None else None
        return self.ready_made.condition(entry, reader)

    def needs_rebuild(self, corpus: str) -> bool:
        """Whether a ready-made corpus has to be made again before it can be opened."""
        return self.condition(corpus).state in ("stale", "damaged")

    def _holding(
        self, corpus: str, pipeline: MemoRAGLite, stop: Stop, on_ready: Callable[[], None], version: str | None = None
    ) -> Callable[[], None]:
        """Return what a job calls when more of a ready-made corpus can be used."""
        began = time.monotonic()

        def ready() -> None:
            is_first = not self.is_open(corpus)
            self.hold(None, corpus, pipeline, stop, version)
            if is_first:
                logger.info("%s can be asked after %.1f s.", corpus, time.monotonic() - began)
            on_ready()

        return ready

    def pipeline_for(self, corpus: str, stop: Stop) -> MemoRAGLite:
        """Return what holds the corpus already, else a pipeline with nothing memorised; waits for the models."""
        held = self.held(corpus)
        return self._fork(stop) if held is None else held.pipeline

    def _fork(self, stop: Stop) -> MemoRAGLite:
        """Return a pipeline with nothing memorised; what may be held is known once the models are there."""
        pipeline = self.models.get(stop).fork()
        if self._library.most is None:
            self._library.most = pipeline.encoder.hardware.held_bytes()
        return pipeline

    def hold(
        self, owner: str | None, corpus: str, pipeline: MemoRAGLite, stop: Stop, version: str | None = None
    ) -> None:
        """Hold what was memorised, unless its owner deleted it meanwhile; ``version`` is its own or the present one.

        Raises:
            Cancelled: so it is.
        """
        entry = self.entries.get(corpus)
        current = entry.version if entry is not None else ""
        held, busy = Held.of(pipeline, current if version is None else version), self._busy()
        with self._lock:
            if not self.is_open(corpus):
                stop.check()  # under the lock, so that nothing is held after its owner deleted it
            if entry is None and (owner is None or self.shelf.get(owner, corpus) is None):
                raise Cancelled(text.EXPIRED)
            self._library.put(corpus, held, busy)

    def let_go(self, corpus: str) -> None:
        """Hold a corpus no longer."""
        self._library.drop(corpus)
        self.on_gone(corpus)

    def _busy(self) -> set[str]:
        """Return the corpora that are being worked on."""
        mine = {corpus for _, corpus, _ in self.shelf.all() if self._jobs.running(corpus) is not None}
        return mine | {corpus for corpus in self.entries if self.opening(corpus) is not None}

    def _expire(self) -> None:
        with self._lock:
            for _, corpus in self.shelf.expire(self._oldest()):
                self.let_go(corpus)
                if (job := self._jobs.running(corpus)) is not None:
                    job.stop()

    def _oldest(self) -> float:
        return time.time() - self.settings.upload_hours * 3600
