"""A visitor's corpus on its way from files into memory: what its job does, and what remains when it ends.

Everything that is worth keeping is on the shelf at any moment, so that a restart goes on from there.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from demo import text
from demo.folders import size_of
from demo.jobs import Plan, Snapshot
from demo.room import Room
from demo.shelf import Shelf
from demo.uploads import SPARE_BYTES, Upload, Uploads
from engine.apart import read_apart
from engine.documents import Document, Limits
from engine.errors import DocumentError, InputError, PasswordError
from engine.events import OnProgress, Progress, Stop
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite


# What reading a file may take: others wait for their turn meanwhile. The slowest files that are meant well (a Word file
# of 2 MB that unpacks to 100 MB, a PDF of 5,000 pages) take some 20 s on two cores.
_LEAST_SECONDS, _SECONDS_A_MB = 60, 10


class Keeper(Protocol):
    """Who has the models and holds what was memorised."""

    settings: Settings
    room: Room
    shelf: Shelf
    uploads: Uploads

    @property
    def limits(self) -> Limits:
        """What a file may cost at most."""

    @property
    def is_closing(self) -> bool:
        """Whether the server is going down."""

    def pipeline_for(self, corpus: str, stop: Stop) -> MemoRAGLite:
        """Return what holds the corpus already, else a pipeline with nothing memorised."""

    def hold(self, owner: str, corpus: str, pipeline: MemoRAGLite, stop: Stop) -> None:
        """Hold what was memorised."""

    def let_go(self, corpus: str) -> None:
        """Hold it no longer."""


@dataclass
class Reading:
    """The work on one corpus. The password opens files, and lives as long as this.

    With ``keeps_files`` false, files of which nothing came are deleted; else they wait for another try.
    """

    keeper: Keeper
    owner: str
    corpus: str
    password: str = field(default="", repr=False)
    keeps_files: bool = True
    _documents: list[Document] = field(default_factory=list, repr=False)
    _at: Upload | None = field(default=None, repr=False)

    def plan(self) -> Plan:
        """Return the parts of the job."""
        return Plan(self._memorise, self._read, self._over, self.owner)

    def _read(self, on_progress: OnProgress, stop: Stop) -> None:
        """Read the files whose text is not in the bundle."""
        facts = self.keeper.shelf.get(self.owner, self.corpus)
        files = [upload for upload in self.keeper.uploads.of(self.owner) if facts and upload.id in facts.uploads]
        total, before = sum(upload.size for upload in files), 0
        for self._at in files:
            path = self.keeper.uploads.path(self.owner, self._at)
            report = _shared(on_progress, before, self._at.size, total)
            seconds = _LEAST_SECONDS + _SECONDS_A_MB * self._at.size // 2**20  # whole ones, for they are told
            limits = replace(self.keeper.limits, max_seconds=min(self.keeper.limits.max_seconds, seconds))
            self._documents.append(read_apart(path, self._at.name, limits, self.password or None, report, stop))
            before += self._at.size
            # A small file may hold a long text, so only now it shows how much memory it takes.
            if not self.keeper.room.has_text(self.corpus, sum(sys.getsizeof(known.text) for known in self._documents)):
                raise InputError(text.TOO_MUCH_TEXT)
        # Only PDFs have pages. One that may be locked is not kept beyond what its password was given for.
        has_pages = [not self.password and any(mark.page for mark in known.marks) for known in self._documents]
        pdfs = tuple(upload.id if kept else "" for upload, kept in zip(files, has_pages, strict=True))
        self._at, self.password = None, ""
        notes = tuple(note for document in self._documents for note in document.notes)
        if facts is not None and files:
            self.keeper.shelf.put(self.owner, self.corpus, replace(facts, notes=notes, pdfs=pdfs))

    def _memorise(self, on_progress: OnProgress, stop: Stop, on_ready: Callable[[], None]) -> None:
        """Memorise what was read, or do what is missing of what the bundle holds."""
        pipeline = self.keeper.pipeline_for(self.corpus, stop)
        folder = self.keeper.shelf.bundle(self.owner, self.corpus)

        def ready() -> None:
            self.keeper.hold(self.owner, self.corpus, pipeline, stop)
            self._text_is_kept()
            on_ready()

        watched = (on_progress, stop, ready)
        if self._documents:
            self._check_disk(pipeline)
            documents, self._documents = self._documents, []
            pipeline.memorize(documents, folder, False, *watched)
            return
        if not pipeline.is_memorized:
            pipeline.load(folder, on_progress=on_progress, stop=stop)
        ready()
        pipeline.complete(folder, *watched)

    def _check_disk(self, pipeline: MemoRAGLite) -> None:
        """Refuse, before the long work, what the disk cannot take, or what is more than one visitor may have there."""
        from engine.forecast import forecast

        needed = forecast(pipeline, sum(len(document.text) for document in self._documents)).disk_bytes
        if shutil.disk_usage(self.keeper.shelf.path).free < needed + SPARE_BYTES:
            raise InputError(text.DISK_FULL_LATER.format(needed=text.size(needed)))
        used, limit = size_of(self.keeper.shelf.folder(self.owner)), self.keeper.settings.visitor_bytes
        if used + needed > limit:
            told = {name: text.size(size) for name, size in (("needed", needed), ("used", used), ("limit", limit))}
            raise InputError(text.VISITOR_FULL_LATER.format(**told))

    def _text_is_kept(self) -> None:
        """Delete the files once their text is in the bundle, and keep the PDFs whose pages can be shown."""
        facts = self.keeper.shelf.get(self.owner, self.corpus)
        if facts is not None and facts.uploads and self.keeper.shelf.has_bundle(self.owner, self.corpus):
            with suppress(OSError):  # then there will be no pictures
                self.keeper.uploads.keep(self.owner, self.corpus, facts.pdfs)
            self.keeper.uploads.drop(self.owner, facts.uploads)
            self.keeper.shelf.put(self.owner, self.corpus, replace(facts, uploads=()))

    def _over(self, at: Snapshot) -> None:
        """Keep what can be asked; of anything else, only the files that another try may make something of."""
        self._documents, self.password = [], ""
        self.keeper.room.has_text(self.corpus, 0)
        shelf = self.keeper.shelf
        if self.keeper.is_closing:
            return  # the next server goes on from here
        facts = shelf.get(self.owner, self.corpus)
        if facts is not None and shelf.has_bundle(self.owner, self.corpus):
            shelf.put(self.owner, self.corpus, replace(facts, state="done" if at.state == "done" else "stopped"))
            return
        self.keeper.let_go(self.corpus)
        if facts is not None:
            useless = isinstance(at.error, DocumentError) and not isinstance(at.error, PasswordError)
            refused = (self._at.id,) if useless and self._at is not None else ()
            self.keeper.uploads.drop(self.owner, refused if self.keeps_files else facts.uploads)
        shelf.remove(self.owner, self.corpus)


def _shared(on_progress: OnProgress, before: int, size: int, total: int) -> OnProgress:
    """Report progress within a file of ``size`` bytes as a share of all ``total`` bytes, ``before`` of them read."""

    def report(progress: Progress) -> None:
        within = size * progress.done // progress.total if progress.total else 0
        on_progress(Progress(progress.stage, before + within, total))

    return report
