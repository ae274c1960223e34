"""The ready-made corpora of a running server: which are offered, how things stand with each, and the work on them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from demo import building, opening, sharing, text
from demo.catalogue import Catalogue, Entry, places
from demo.opening import Condition
from engine.documents import Limits
from engine.errors import BundleError, MemoRAGError
from engine.events import OnProgress, Stop
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite
    from engine.memorizer import Memorizer

logger = logging.getLogger(__name__)

# For so long what was seen on the disk is taken for what is there.
_FRESH_SECONDS = 2.0


class ReadyMade:
    """What the catalogue offers here. Private entries are offered only where nobody else can reach the server."""

    def __init__(self, settings: Settings, shipped: Path) -> None:
        self._settings = settings
        self.places = places(settings.cache_dir)
        self._catalogue = Catalogue(self.places.added, shipped, settings.corpora, settings.is_private_host)
        self._lock = threading.Lock()
        # What proved to be damaged when it was opened, which no look at names and sizes shows.
        self._damaged: dict[str, str] = {}
        self._seen: dict[str, tuple[float, str, Condition]] = {}

    @property
    def entries(self) -> dict[str, Entry]:
        """What is offered now, by slug."""
        return self._catalogue.entries()

    def condition(self, entry: Entry, reader: Memorizer | None) -> Condition:
        """Return how things stand with an entry; ``reader`` is None until the models are loaded."""
        with self._lock:
            if self._damaged.get(entry.slug) == entry.version:
                return Condition("damaged")
            seen, version, found = self._seen.get(entry.slug, (0.0, "", Condition("ready")))
            if version != f"{entry.version} {reader is None}" or time.monotonic() - seen > _FRESH_SECONDS:
                found = opening.condition(entry, self.places, reader)
                self._seen[entry.slug] = (time.monotonic(), f"{entry.version} {reader is None}", found)
            return found

    def size(self, entry: Entry, reader: Memorizer) -> int:
        """Return about how many bytes of memory an entry will take; 0 where that is not known."""
        return opening.held_bytes(entry, reader, self.places)

    def open(
        self, entry: Entry, pipeline: MemoRAGLite, on_progress: OnProgress, stop: Stop, on_ready: Callable[[], None]
    ) -> None:
        """Load an entry; see ``opening.open_entry``. One that proves to be damaged is known to be so from then on.

        Raises:
            BundleError: it has to be made again; the sentence is meant for a visitor.
        """
        reader = pipeline.memorizer
        try:
            opening.open_entry(entry, pipeline, self.places, on_progress, stop, on_ready)
        except BundleError as error:
            with self._lock:
                self._seen.pop(entry.slug, None)
                if opening.condition(entry, self.places, reader).state == "ready":
                    self._damaged[entry.slug] = entry.version
            found = self.condition(entry, reader)
            # Not what the error says: it may hold the title of a private corpus.
            logger.warning("The corpus %s cannot be opened: %s. %s", entry.slug, found.state, found.reason)
            said = text.STALE if found.state == "stale" else text.DAMAGED
            raise BundleError(said.format(title=entry.title)) from error

    def rebuild(
        self, entry: Entry, pipeline: MemoRAGLite, on_progress: OnProgress, stop: Stop, on_ready: Callable[[], None]
    ) -> None:
        """Make an entry again: of the texts that ship, else of those in its bundle or where they came from.

        Raises:
            MemoRAGError: none of them are there.
        """
        if entry.files:
            opening.rebuild_shipped(entry, pipeline, self.places, on_progress, stop, on_ready)
        else:
            limits, token = Limits(max_bytes=self._settings.max_file_bytes), self._settings.hf_token
            building.rebuild(entry, pipeline, self.places, limits, token, on_progress, stop)
        with self._lock:
            self._damaged.pop(entry.slug, None)
            self._seen.pop(entry.slug, None)
        on_ready()

    def pull(self, reader: Memorizer, stop: Stop) -> None:
        """Fetch from the repository that the settings name what is not there yet; what fails is noted in the log."""
        repository = self._settings.corpora_repo
        if not repository:
            return
        try:
            found = sharing.pull(
                repository,
                self._settings.corpora,
                self.places,
                token=self._settings.hf_token,
                memory_model=reader.model.fingerprint,
                stop=stop,
            )
        except (MemoRAGError, OSError) as error:
            logger.warning("The corpora of %s were not pulled: %s", repository, error)
            return
        for slug, what in found.items():
            logger.info("%s of %s: %s", slug, repository, what)
