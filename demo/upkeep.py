"""Looking after what is kept of the catalogue: what is damaged, what is out of date, what nobody needs any more."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from demo import folders, opening
from demo.building import claimed
from demo.catalogue import Catalogue, Entry, Places, is_slug, sum_of
from demo.opening import Condition
from engine import storage
from engine.errors import BundleError, InputError

if TYPE_CHECKING:
    from engine.memorizer import Memorizer

# What was changed within this time may be at work.
_BUSY_SECONDS = 60
# Behind its slug, in the name of a folder where a bundle is kept.
_HASH = re.compile(r"[0-9a-f]{16}")


def verify(entry: Entry, places: Places, reader: Memorizer) -> Condition:
    """Compare every byte of an entry with its checksums, and what it was made with with the models in use."""
    for path, name in zip(entry.files, entry.manifest.documents, strict=False):
        if not path.is_file():
            return Condition("damaged", f"Its text {name} is missing; restore it.")
        if sum_of(path) != entry.manifest.sha256[name]:
            return Condition("stale", f"Its text {name} is not the one that its manifest names.")
    kept = opening.kept_folder(entry, reader, places)
    if kept.is_dir():
        try:
            storage.verify(kept)
        except BundleError:
            return Condition("ready", "What is kept of it is damaged, and is made again when it is opened.")
    try:
        if entry.bundle.is_dir():
            storage.verify(entry.bundle)
    except BundleError as error:
        found = opening.condition(entry, places, reader)  # says more where more is wrong
        return found if found.state == "stale" else Condition("damaged", str(error))
    return opening.condition(entry, places, reader)


def advice(entry: Entry) -> str:
    """Return what to do about an entry that cannot be used as it is."""
    again = {"built": f"build {entry.slug} SOURCES", "pulled": f"pull {entry.slug} --repo OWNER/NAME"}
    if entry.origin == "shipped":
        return f"Restore its folder, or make its bundle anew: python -m demo.corpora ship {entry.slug}"
    return f"Press Rebuild on the page, or: python -m demo.corpora {again[entry.origin]}"


def remove(slug: str, places: Places) -> bool:
    """Delete what was built or pulled under a name, also if it is damaged; return whether there was anything.

    Raises:
        InputError: it is no name of a corpus, or another program is building it.
    """
    if not is_slug(slug):
        raise InputError(f"{slug!r} is no name of a corpus; see python -m demo.corpora list.")
    mine = [folder for folder in (places.added / slug, places.building / slug) if folder.exists()]
    if not mine:
        return False
    # What was kept for other models than it was built with holds its text as well.
    kept = [path for path in places.kept.glob(f"{slug}-*") if _HASH.fullmatch(path.name.removeprefix(f"{slug}-"))]
    with claimed(places, slug):
        for folder in (*mine, *kept):
            folders.delete(folder)
    return True


@dataclass(frozen=True)
class Leftover:
    """Something that can go: its folder, and its size in bytes."""

    path: Path
    size: int


def leftovers(catalogue: Catalogue, places: Places, reader: Memorizer) -> Iterator[Leftover]:
    """Yield what nobody needs: memories for other models or other texts, downloads, and what was left unfinished.

    What a program is building just now is no leftover.
    """
    needed = {opening.kept_folder(entry, reader, places) for entry in catalogue.known()}
    for path in _inside(places.kept):
        if path not in needed and _is_idle(path):
            yield _leftover(path)
    for path in _inside(places.building):
        with folders.locked(places.building / f".{path.name}.lock") as is_free:
            if path.is_dir() and is_free:
                yield _leftover(path)
    for path in (*_inside(places.fetched), *places.added.glob(".*.old")):
        if _is_idle(path):
            yield _leftover(path)
    for path in _inside(places.root):  # where an earlier version kept bundles
        if (path / storage.CHUNKS).is_file() and (path / storage.MANIFEST).is_file():
            yield _leftover(path)


def _is_idle(path: Path) -> bool:
    """Whether nothing in a folder was changed for a while: what is being written or downloaded changes all the time."""
    files = (path, *path.rglob("*")) if path.is_dir() and not path.is_symlink() else (path,)
    try:
        return max(file.lstat().st_mtime for file in files) < time.time() - _BUSY_SECONDS
    except FileNotFoundError:
        return False


def _inside(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix != ".lock"] if folder.is_dir() else []


def _leftover(path: Path) -> Leftover:
    return Leftover(path, folders.size_of(path) if path.is_dir() else path.lstat().st_size)
