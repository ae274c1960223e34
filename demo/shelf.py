"""Where visitors' corpora live: one folder for each visitor, in it one for each corpus.

    visitors/OWNER/CORPUS/facts.json    title, names of files, since when, how far
    visitors/OWNER/CORPUS/bundle/       what was memorised
    visitors/OWNER/CORPUS/pages/        its PDFs, to draw the pages that answers cite (pictures.py)
    visitors/OWNER/uploads/             files that are not memorised yet (uploads.py)
    visitors/OWNER/chats/               conversations (conversations.py)

OWNER is the visitor's fingerprint and CORPUS a random id: what a visitor calls a file is never part of a path. The
facts are held here too, so that looking costs no reading.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from demo import folders
from demo.folders import Root

logger = logging.getLogger(__name__)

PREFIX = "mine-"
UPLOADS, CHATS, BUNDLE, PAGES, FACTS = "uploads", "chats", "bundle", "pages", "facts.json"
_OWNER = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
_CORPUS = re.compile(r"mine-[0-9A-Za-z_-]{22}")
_PDF = re.compile(r"[0-9a-f]{32}|")


@dataclass(frozen=True)
class Facts:
    """What is known of a visitor's corpus. ``since`` is the time it came, in seconds of the wall clock.

    ``state`` is "running" while work is to be done, also over a restart; ``size`` is that of the files in bytes;
    ``uploads`` names those whose text is not yet in the bundle. ``pdfs`` has an entry for each document, in order: the
    name of its PDF, "" where none is kept. ``entry`` is the ready-made corpus that it gives a text of the visitor's
    own, "" for none. ``attempts`` counts how often work on it was begun again because the server had ended.
    """

    title: str
    names: tuple[str, ...]
    since: float
    state: Literal["running", "stopped", "done"] = "running"
    size: int = 0
    uploads: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pdfs: tuple[str, ...] = ()
    attempts: int = 0
    entry: str = ""


class Shelf:
    """All visitors' corpora on disk."""

    def __init__(self, root: Path) -> None:
        """Claim the folder and look at what is there.

        Raises:
            OSError: it cannot be used.
        """
        self._wanted, self._root = root, Root(root)
        self._lock = threading.RLock()
        self._facts: dict[str, dict[str, Facts]] = {}
        for folder in self._owners():
            found = {path.name: facts for path in folder.iterdir() if (facts := _facts_of(path)) is not None}
            if found:
                self._facts[folder.name] = found

    @property
    def path(self) -> Path:
        """The folder of all visitors."""
        return self._root.path

    def close(self) -> None:
        """Let another server have the folder."""
        self._root.close()

    def folder(self, owner: str) -> Path:
        """Return the folder of a visitor; it may not be there.

        Raises:
            ValueError: the name is none that this demo gives.
        """
        if not _OWNER.fullmatch(owner):
            raise ValueError("no name of a visitor")
        return self.path / owner

    def bundle(self, owner: str, corpus: str) -> Path:
        """Return where the bundle of a corpus is kept; it may not be there."""
        return self._folder_of(owner, corpus) / BUNDLE

    def has_bundle(self, owner: str, corpus: str) -> bool:
        """Whether the bundle of a corpus holds anything that can be asked."""
        return (self.bundle(owner, corpus) / "manifest.json").is_file()

    def pdf(self, owner: str, corpus: str, name: str) -> Path:
        """Return where a PDF of a corpus is kept, by its name in the facts; it may not be there."""
        if not name or not _PDF.fullmatch(name):
            raise ValueError("no name of a PDF")
        return self._folder_of(owner, corpus) / PAGES / f"{name}.pdf"

    def _folder_of(self, owner: str, corpus: str) -> Path:
        if not _CORPUS.fullmatch(corpus):
            raise ValueError("no name of a visitor's corpus")
        return self.folder(owner) / corpus

    # Facts

    def corpora(self, owner: str) -> dict[str, Facts]:
        """Return a visitor's corpora by id, the oldest first."""
        with self._lock:
            mine = self._facts.get(owner, {})
            return dict(sorted(mine.items(), key=lambda item: item[1].since))

    def get(self, owner: str, corpus: str) -> Facts | None:
        """Return what is known of a visitor's corpus; None where there is none, or it is another's."""
        with self._lock:
            return self._facts.get(owner, {}).get(corpus)

    def all(self) -> list[tuple[str, str, Facts]]:
        """Return every (visitor, corpus, facts)."""
        with self._lock:
            return [(owner, corpus, facts) for owner, mine in self._facts.items() for corpus, facts in mine.items()]

    def add(self, owner: str, facts: Facts) -> str:
        """Make a new corpus and return its id, which nobody can guess.

        Raises:
            OSError: the disk does not take it.
        """
        corpus = PREFIX + secrets.token_urlsafe(16)
        with self._lock:
            folder = folders.make(self._folder_of(owner, corpus))
            folders.make(folder.parent)
            folders.write_json(folder / FACTS, asdict(facts))
            self._facts.setdefault(owner, {})[corpus] = facts
        return corpus

    def put(self, owner: str, corpus: str, facts: Facts) -> None:
        """Change what is known of a corpus; one that was removed meanwhile stays removed.

        Raises:
            OSError: the disk does not take it.
        """
        with self._lock:
            if self.get(owner, corpus) is not None:
                self._facts[owner][corpus] = facts
                folders.write_json(self._folder_of(owner, corpus) / FACTS, asdict(facts))

    def remove(self, owner: str, corpus: str) -> None:
        """Delete a corpus, also what a job that was just stopped has still written."""
        with self._lock:
            self._facts.get(owner, {}).pop(corpus, None)
            folders.delete(self._folder_of(owner, corpus))

    def remove_all(self, owner: str) -> list[str]:
        """Delete all of a visitor, uploads too; return the ids of the corpora."""
        with self._lock:
            mine = list(self._facts.pop(owner, {}))
            folders.delete(self.folder(owner))
        return mine

    def expire(self, oldest: float) -> list[tuple[str, str]]:
        """Delete the corpora that came before ``oldest`` (seconds of the wall clock); return which."""
        gone = [(owner, corpus) for owner, corpus, facts in self.all() if facts.since < oldest]
        for owner, corpus in gone:
            self.remove(owner, corpus)
        return gone

    # Sweeping

    def sweep(self, busy: Collection[str]) -> None:
        """Delete what belongs to nothing: leftovers of a crash, and empty folders.

        Corpora in ``busy`` are being worked on: what is half written there is left alone.
        """
        with self._lock:
            for folder in self._owners():
                known = self._facts.get(folder.name, {})
                for path in folder.iterdir():
                    if path.name not in (UPLOADS, CHATS) and path.name not in known and path.name not in busy:
                        folders.delete(path)
                for corpus in known.keys() - set(busy):
                    for path in _leftovers(folder / corpus):
                        folders.delete(path)
                if not any(folder.iterdir()):
                    folder.rmdir()

    def sweep_unused(self, oldest: float) -> None:
        """Delete what came before ``oldest`` to a server that does not run any more; see ``Root``."""
        for root in Root.unused(self._wanted):
            for path in (found for owner in self._owners(root) for found in owner.glob("*")):
                files = path.rglob("*") if path.is_dir() else (path,)
                if max((file.lstat().st_mtime for file in files), default=0.0) < oldest:
                    folders.delete(path)
            for owner in self._owners(root):
                if not any(owner.iterdir()):
                    owner.rmdir()

    def _owners(self, root: Path | None = None) -> Iterator[Path]:
        for path in sorted((root or self.path).iterdir()):
            if path.is_dir() and not path.is_symlink() and _OWNER.fullmatch(path.name):
                yield path


def _leftovers(folder: Path) -> Iterator[Path]:
    yield from folder.glob(".*.partial")
    yield from folder.glob(".*.old")


def _facts_of(folder: Path) -> Facts | None:
    """Return the facts of a corpus folder; None where there are none that can be read."""
    if not _CORPUS.fullmatch(folder.name) or folder.is_symlink():
        return None
    try:
        return _checked(folders.read_json(folder / FACTS))
    except (OSError, ValueError, KeyError, TypeError):
        logger.warning("A visitor's corpus has unreadable facts; it is deleted.")
        return None


def _checked(facts: dict[str, Any]) -> Facts:
    if facts["state"] not in ("running", "stopped", "done"):
        raise ValueError("no state")
    texts = {name: tuple(map(str, facts[name])) for name in ("names", "uploads", "notes", "pdfs")}
    if not all(map(_PDF.fullmatch, texts["pdfs"])):
        raise ValueError("no name of a PDF")
    entry = str(facts.get("entry", ""))  # earlier versions did not write it
    since, size, attempts = float(facts["since"]), int(facts["size"]), int(facts["attempts"])
    return Facts(
        str(facts["title"]), since=since, state=facts["state"], size=size, attempts=attempts, entry=entry, **texts
    )
