"""Looking after what is kept of the catalogue: what is damaged, what is out of date, what nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from demo import folders, opening
from demo.catalogue import Catalogue, Entry, Places, is_slug, sum_of
from demo.opening import Condition
from engine import storage
from engine.errors import BundleError, InputError

if TYPE_CHECKING:
    from engine.memorizer import Memorizer


def verify(entry: Entry, places: Places, reader: Memorizer) -> Condition:
    """Compare every byte of an entry with its checksums, and what it was made with with the models in use."""
    for path, name in zip(entry.files, entry.manifest.documents, strict=False):
        if not path.is_file():
            return Condition("damaged", f"Its text {name} is missing; restore it.")
        if sum_of(path) != entry.manifest.sha256[name]:
            return Condition("stale", f"Its text {name} is not the one that its manifest names.")
    try:
        if (kept := opening.kept_folder(entry, reader, places)).is_dir():
            storage.verify(kept)
        if entry.bundle.is_dir():
            storage.verify(entry.bundle)
    except BundleError as error:
        found = opening.condition(entry, places, reader)  # says more where more is wrong
        return found if found.state == "stale" else Condition("damaged", str(error))
    return opening.condition(entry, places, reader)


def remove(slug: str, places: Places) -> bool:
    """Delete what was built or pulled under a name, also if it is damaged; return whether there was anything.

    Raises:
        InputError: it is no name of a corpus.
    """
    if not is_slug(slug):
        raise InputError(f"{slug!r} is no name of a corpus; see python -m demo.corpora list.")
    found = False
    for folder in (places.added / slug, places.building / slug):
        found = found or folder.exists()
        folders.delete(folder)
    return found


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
        if path not in needed:
            yield _leftover(path)
    for path in _inside(places.building):
        with folders.locked(places.building / f".{path.name}.lock") as is_free:
            if path.is_dir() and is_free:
                yield _leftover(path)
    for path in (*_inside(places.fetched), *places.added.glob(".*.old")):
        yield _leftover(path)
    for path in _inside(places.root):  # where an earlier version kept bundles
        if (path / storage.CHUNKS).is_file() and (path / storage.MANIFEST).is_file():
            yield _leftover(path)


def _inside(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix != ".lock"] if folder.is_dir() else []


def _leftover(path: Path) -> Leftover:
    return Leftover(path, folders.size_of(path) if path.is_dir() else path.lstat().st_size)
