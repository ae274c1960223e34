"""Files that came and are not memorised yet: taken in, listed, handed out, kept or deleted.

A file is moved out of Gradio's folder as soon as it is there, because whoever knows its path may fetch it from there.
It gets a random name; what the visitor calls it is data, kept beside it.
"""

from __future__ import annotations

import re
import secrets
import shutil
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from demo import folders, text
from demo.shelf import UPLOADS, Shelf
from engine.documents import ACCEPTED, display_name
from engine.errors import InputError
from engine.settings import Settings

MOST_FILES = 50
# Bytes of the disk that are never filled.
SPARE_BYTES = 500 * 2**20
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Upload:
    """A file that waits. ``name`` is the visitor's word for it, ``size`` in bytes, ``since`` as in ``Facts``."""

    id: str
    name: str
    size: int
    since: float

    @property
    def suffix(self) -> str:
        """The extension of its name, with the dot, in small letters."""
        return Path(self.name).suffix.lower()


class Uploads:
    """All visitors' files that wait, on the shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lock = threading.RLock()

    def of(self, owner: str) -> list[Upload]:
        """Return all files of a visitor, the oldest first."""
        folder = self._shelf.folder(owner) / UPLOADS
        found = [_upload_of(path) for path in folder.glob("*.json")] if folder.is_dir() else []
        return sorted((upload for upload in found if upload is not None), key=lambda upload: (upload.since, upload.id))

    def waiting(self, owner: str) -> list[Upload]:
        """Return the files of a visitor that no corpus is made of yet."""
        claimed = {id for facts in self._shelf.corpora(owner).values() for id in facts.uploads}
        return [upload for upload in self.of(owner) if upload.id not in claimed]

    def path(self, owner: str, upload: Upload) -> Path:
        """Return where a file lies."""
        return self._shelf.folder(owner) / UPLOADS / upload.id

    def take(self, owner: str, source: Path, name: str, settings: Settings) -> Upload:
        """Move a file in. One that is refused is deleted.

        Raises:
            InputError: what is wrong with it, for the visitor.
        """
        name = display_name(name)
        try:
            with self._lock:
                self._check(owner, source, name, settings)
                return self._move(owner, source, name)
        except OSError as error:
            raise InputError(text.FILE_NOT_KEPT.format(name=name)) from error
        finally:
            source.unlink(missing_ok=True)

    def _check(self, owner: str, source: Path, name: str, settings: Settings) -> None:
        size = source.stat().st_size if source.is_file() and not source.is_symlink() else None
        if size is None:
            raise InputError(text.FILE_NOT_UPLOADED)
        if Path(name).suffix.lower() not in ACCEPTED:
            raise InputError(text.FILE_WRONG_TYPE.format(name=name))
        if size > settings.max_file_bytes:
            raise InputError(text.FILE_TOO_LARGE.format(name=name, size=text.size(size), limit=settings.max_file_mb))
        if len(self.waiting(owner)) >= MOST_FILES:
            raise InputError(text.TOO_MANY_FILES.format(limit=MOST_FILES, name=name))
        used = folders.size_of(self._shelf.folder(owner))
        if used + size > settings.visitor_bytes:
            raise InputError(
                text.VISITOR_FULL.format(name=name, used=text.size(used), limit=text.size(settings.visitor_bytes))
            )
        if shutil.disk_usage(self._shelf.path).free < size + SPARE_BYTES:
            raise InputError(text.DISK_FULL.format(name=name))

    def _move(self, owner: str, source: Path, name: str) -> Upload:
        upload = Upload(secrets.token_hex(16), name, source.stat().st_size, time.time())
        place = self.path(owner, upload)
        folders.make(folders.make(self._shelf.folder(owner)) / UPLOADS)
        try:
            shutil.move(source, place)
            place.chmod(0o600)
            folders.write_json(place.with_suffix(".json"), asdict(upload))
        except OSError:
            place.unlink(missing_ok=True)
            raise
        return upload

    def keep(self, owner: str, corpus: str, ids: Collection[str]) -> None:
        """Move files of a visitor to their corpus, from where they are shown; those that are there already stay.

        Raises:
            OSError: the disk does not take it.
        """
        for upload in self.of(owner):
            if upload.id in ids:
                place = self._shelf.pdf(owner, corpus, upload.id)
                folders.make(place.parent)
                self.path(owner, upload).replace(place)
                self.path(owner, upload).with_suffix(".json").unlink(missing_ok=True)

    def drop(self, owner: str, ids: Collection[str]) -> None:
        """Delete files of a visitor."""
        for upload in self.of(owner):
            if upload.id in ids:
                self.path(owner, upload).unlink(missing_ok=True)
                self.path(owner, upload).with_suffix(".json").unlink(missing_ok=True)

    def chosen(self, owner: str, ids: Sequence[str]) -> list[Upload]:
        """Return the waiting files with these ids, in their order here; ids of others are none."""
        return [upload for upload in self.waiting(owner) if upload.id in ids]

    def sweep(self, oldest: float) -> None:
        """Delete files that came before ``oldest`` (seconds of the wall clock), and halves of files."""
        for folder in self._shelf.path.glob(f"*/{UPLOADS}"):
            owner = folder.parent.name
            with self._lock:
                mine = self.of(owner)
                self.drop(owner, {upload.id for upload in mine if upload.since < oldest})
                names = {name for upload in self.of(owner) for name in (upload.id, f"{upload.id}.json")}
                for path in folder.iterdir():
                    if path.name not in names:
                        folders.delete(path)
                if not any(folder.iterdir()):
                    folder.rmdir()


def _upload_of(path: Path) -> Upload | None:
    """Return the file that a note belongs to; None where the note cannot be read or the file is not there."""
    try:
        facts: dict[str, Any] = folders.read_json(path)
        upload = Upload(str(facts["id"]), str(facts["name"]), int(facts["size"]), float(facts["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_ours = _ID.fullmatch(upload.id) and path.name == f"{upload.id}.json"
    return upload if is_ours and path.with_suffix("").is_file() else None
