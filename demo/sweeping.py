"""What crashes and broken-off uploads leave behind outside the visitors' folders, deleted once it is old.

Nothing that is in use is that old: a file that is being written is younger, and an upload is taken in within seconds.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from demo import folders
from demo.catalogue import Places, places

INCOMING = "incoming"
_OLD_SECONDS = 3600
# Uploads are taken in within seconds, and those that are broken off would take the room of others.
_OLD_UPLOAD_SECONDS = 600
# Gradio keeps an upload in a folder named after its contents.
_UPLOADED = re.compile(r"[0-9a-f]{64}")


def sweep_elsewhere(cache_dir: Path, incoming: Path | None) -> None:
    """Sweep the folder that uploads come to, the ready-made corpora and the places where files were being read.

    Raises:
        OSError: something could not be looked at.
    """
    now = time.time()
    for path in _uploads(cache_dir, incoming):
        if _newest(path) < now - _OLD_UPLOAD_SECONDS:
            folders.delete(path)
    for path in (*_halves(places(cache_dir)), *_readings()):
        if _newest(path) < now - _OLD_SECONDS:
            folders.delete(path)


def _uploads(cache_dir: Path, folder: Path | None) -> Iterator[Path]:
    """Yield broken-off uploads; in a folder that is the demo's own, also those that nobody came for."""
    if folder is None or not folder.is_dir():
        return
    is_own = folder.resolve() == (cache_dir / INCOMING).resolve()
    for path in folder.iterdir():
        is_half = path.is_file() and path.name.startswith("tmp")
        is_upload = path.is_dir() and _UPLOADED.fullmatch(path.name)
        if is_half or (is_upload and (is_own or not any(path.iterdir()))):
            yield path


def _halves(corpora: Places) -> Iterator[Path]:
    for suffix in ("partial", "old"):
        for folder in (corpora.kept, corpora.added, corpora.building):
            yield from folder.glob(f".*.{suffix}")
        yield from corpora.building.glob(f"*/.*.{suffix}")


def _readings() -> Iterator[Path]:
    return Path(tempfile.gettempdir()).glob("memorag-reading-*")


def _newest(path: Path) -> float:
    """Return when a file, or anything in a folder, was last changed; now where it vanished meanwhile."""
    try:
        inside = tuple(path.iterdir()) if path.is_dir() and not path.is_symlink() else ()
        return max([other.lstat().st_mtime for other in (path, *inside)])
    except FileNotFoundError:
        return time.time()
