"""The process-wide side of the demo: the corpora that can be asked, and the work on them.

Ready-made corpora are shared and read-only. A visitor's documents belong to that visitor alone, and go when the visitor
deletes them or when their time is over. Knows nothing about pages.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from demo import sweeping, text
from demo.catalogue import SHIPPED
from demo.conversations import Conversations
from demo.jobs import Job
from demo.opener import Opener
from demo.reading import Reading
from demo.room import Room
from demo.shelf import Facts
from demo.uploads import Uploads
from engine.documents import Limits
from engine.errors import Cancelled, InputError, ModelError
from engine.events import Stop
from engine.settings import Settings

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 60
_LONGEST_TITLE = 100
# How often work on a corpus is begun again by itself when the server ended in the middle of it.
_MOST_ATTEMPTS = 3


class Service(Opener):
    """Opens and memorises corpora in the background and hands out pipelines over them."""

    def __init__(self, settings: Settings, folder: Path = SHIPPED) -> None:
        """Look at what there is.

        Raises:
            OSError: the cache folder cannot be used.
        """
        super().__init__(settings, folder)
        self.uploads = Uploads(self.shelf)
        self.conversations = Conversations(self.shelf)
        # Where the web server puts what is uploaded, once it is known.
        self.incoming: Path | None = None
        self.room = Room(settings.max_file_bytes)
        self._closed, self._pulling = threading.Event(), Stop()

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
        self._pulling.set()
        for _, corpus, _ in self.shelf.all():
            if (job := self._jobs.running(corpus)) is not None:
                job.stop()
                job.wait(10)
        self.shelf.close()

    def _load(self) -> None:
        self.models.load()
        if self.models.failure is None:
            # The one that the page shows first; others are opened when they are chosen, which takes a moment.
            first = next((slug for slug in self.entries if not self.needs_rebuild(slug)), None)
            if first is not None:
                self.open(first)
            threading.Thread(target=self._pull, name="memorag-pull", daemon=True).start()
            for owner, corpus, facts in self.shelf.all():
                if facts.state == "running" and self._jobs.running(corpus) is None:
                    self._go_on(owner, corpus, facts)

    def _pull(self) -> None:
        """Fetch the corpora that the settings name; they are offered as soon as they are there."""
        with suppress(Cancelled, ModelError):
            self.ready_made.pull(self.models.get(self._pulling).memorizer, self._pulling)

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

    def memorize(
        self, owner: str, ids: Sequence[str], password: str = "", keeps_files: bool = True, name: str = ""
    ) -> tuple[str, Job]:
        """Memorise files of a visitor that wait, as one corpus; return its id and the job.

        ``name`` is what it is called, or the slug of a ready-made corpus: that one's title and questions then, with the
        visitor's own text.

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
            entry = self.entries.get(name)
            known = entry.short_title if entry is not None else _line(name)
            title = known or (names[0] if len(names) == 1 else f"{names[0]} + {len(names) - 1}")
            ids, slug = tuple(upload.id for upload in files), name if entry is not None else ""
            facts = Facts(title, names, time.time(), size=size, uploads=ids, entry=slug)
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

    # Sweeping

    def sweep(self) -> None:
        """Delete what has had its time, and what is left over from crashes.

        Raises:
            OSError: something could not be looked at.
        """
        self._expire()
        for corpus in set(self._library) - {known for _, known, _ in self.shelf.all()} - set(self.entries):
            self.let_go(corpus)  # a ready-made one that was removed
        busy = self._busy()
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


def _line(name: str) -> str:
    """Return what a visitor calls something, as a short line."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())[:_LONGEST_TITLE]
