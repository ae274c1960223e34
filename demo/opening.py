"""Opening a corpus of the catalogue, so that it can be asked within a second where it was built before.

A corpus that ships has its chunks, vectors and gists in the repository; its KV memory is read on first need, while it
can be asked already, and kept in the cache folder for the models in use. So is all of it where another retriever is
used. What was built here or pulled is used as it is, or says what is wrong with it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from demo import folders
from demo.catalogue import Entry, Places, sum_of
from engine import storage
from engine.documents import Document, read_document
from engine.errors import BundleError, FormatError, InputError
from engine.events import OnProgress, Stop

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite
    from engine.memorizer import Memorizer

logger = logging.getLogger(__name__)

# "unbuilt" is made on first need, from texts that ship; "stale" is of other models or of another text.
State = Literal["ready", "unbuilt", "stale", "damaged"]


@dataclass(frozen=True)
class Condition:
    """How things stand with an entry; ``reason`` is a sentence, "" where all is well."""

    state: State
    reason: str = ""


def condition(entry: Entry, places: Places, reader: Memorizer | None = None) -> Condition:
    """Look at the bundles of an entry without loading them: names, sizes, and what their manifests say.

    Without a ``reader``, whether they fit the models in use is not looked at.
    """
    if reader is not None and _manifest_of(kept_folder(entry, reader, places)) is not None:
        return Condition("ready")
    if entry.files and texts_sum(entry) != entry.manifest.texts_sum:
        return Condition("stale", "Its text is not the one that its manifest names.")
    if not entry.bundle.is_dir():
        reason = "It is memorised when it is first opened." if entry.files else "Its bundle is missing."
        return Condition("unbuilt" if entry.files else "damaged", reason)
    try:
        manifest = storage.verify(entry.bundle, only_sizes=True)
        seal = entry.manifest.bundle
        if seal is None or seal.manifest != sum_of(entry.bundle / storage.MANIFEST):
            return Condition("damaged", "Its bundle is not the one that its manifest names.")
    except FormatError as error:
        return Condition("stale", str(error))
    except (BundleError, OSError) as error:
        return Condition("damaged", str(error))
    if seal.texts != entry.manifest.texts_sum:
        return Condition("stale", "Its text was changed after it was memorised.")
    return Condition("ready") if reader is None else _fit(entry, manifest, reader)


def _fit(entry: Entry, manifest: dict[str, Any], reader: Memorizer) -> Condition:
    """Return whether the models in use can use an entry's own bundle."""
    from engine.bundle import misfit  # with torch, which only a loaded reader brings

    problem = misfit(manifest, reader.kind, reader.encoder)
    if problem is None:
        return Condition("ready")
    return Condition("unbuilt" if entry.files else "stale", f"Its bundle {problem}.")


def _manifest_of(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a bundle whose files are there; None where it cannot be used."""
    try:
        return storage.verify(folder, only_sizes=True)
    except (BundleError, OSError):
        return None


def texts_sum(entry: Entry) -> str:
    """Return a SHA-256 sum over the sums of an entry's texts as they are now."""
    try:
        sums = [sum_of(path) for path in entry.files]
    except OSError:  # without its texts, all that can be used is what was made from those that its manifest names
        return entry.manifest.texts_sum
    return hashlib.sha256("".join(sums).encode()).hexdigest() if sums else entry.manifest.texts_sum


def kept_folder(entry: Entry, reader: Memorizer, places: Places) -> Path:
    """Return where the bundle for the models in use is kept; named after everything that it depends on."""
    parts = f"{texts_sum(entry)} {entry.manifest.documents} {reader.recipe}"
    made = hashlib.sha256(parts.encode()).hexdigest()
    return places.kept / f"{entry.slug}-{made[:16]}"


def texts(entry: Entry) -> list[Document]:
    """Read the texts of an entry that ships.

    Raises:
        InputError: one is missing.
        DocumentError: one cannot be read.
    """
    if missing := [path.name for path in entry.files if not path.is_file()]:
        raise InputError(f"The text of {entry.title!r} is missing; restore {missing[0]}.")
    return [read_document(path) for path in entry.files]


def kept_texts(entry: Entry) -> list[Document]:
    """Return the texts that the bundle of an entry holds, whoever made it and whatever became of its memory.

    Raises:
        BundleError: they are damaged.
    """
    from engine.bundle import contents_of

    bundle = storage.read(entry.bundle, with_memory=False)
    return list(contents_of(bundle, entry.slug).documents)


def held_bytes(entry: Entry, reader: Memorizer, places: Places) -> int:
    """Return about how many bytes of memory an entry will take, as its bundles say; 0 where none does."""
    for folder in (kept_folder(entry, reader, places), entry.bundle):
        if (manifest := _manifest_of(folder)) is not None:
            return bytes_of(manifest)
    return 0


def bytes_of(manifest: dict[str, Any]) -> int:
    """Return how many bytes of memory a bundle takes by its manifest, 0 where it does not say."""
    size = manifest.get("held_bytes")
    return size if isinstance(size, int) and size > 0 else 0


def open_entry(
    entry: Entry,
    pipeline: MemoRAGLite,
    places: Places,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Load an entry into ``pipeline``; ``on_ready`` is called as soon as it can be asked, and when more can be used.

    Raises:
        BundleError: it is stale or damaged, and has to be built again.
        InputError: its texts are needed, and are missing.
        Cancelled: ``stop`` was set; what can be asked already is held.
    """
    kept = kept_folder(entry, pipeline.memorizer, places)
    if not _was_opened(kept, pipeline, stop):
        found = condition(entry, places, pipeline.memorizer)
        if found.state == "unbuilt":
            _keep(
                lambda: pipeline.memorize(texts(entry), kept, False, on_progress, stop, on_ready),
                entry,
                pipeline,
                on_ready,
            )
            return
        if found.state != "ready":
            raise BundleError(f"{entry.title!r} has to be built again. {found.reason}")
        pipeline.load(entry.bundle, stop=stop, lazily=True)
        pipeline.memorized.ensure(stop)  # damage must be noticed here, where it can be said what to do
    on_ready()
    if pipeline.memorized.missing:
        _keep(lambda: pipeline.complete(kept, on_progress, stop, on_ready), entry, pipeline, on_ready)


def rebuild_shipped(
    entry: Entry,
    pipeline: MemoRAGLite,
    places: Places,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Memorise the texts of an entry that ships again, for the models in use; what was kept of it goes.

    Raises:
        InputError: its texts are missing.
        Cancelled: ``stop`` was set; what can be asked already is held.
    """
    documents = texts(entry)
    kept = kept_folder(entry, pipeline.memorizer, places)
    folders.delete(kept)
    _keep(lambda: pipeline.memorize(documents, kept, False, on_progress, stop, on_ready), entry, pipeline, on_ready)


def _was_opened(kept: Path, pipeline: MemoRAGLite, stop: Stop | None) -> bool:
    """Load a kept bundle if it is there and whole."""
    if not kept.is_dir():
        return False
    try:
        pipeline.load(kept, stop=stop, lazily=True)
        pipeline.memorized.ensure(stop)
    except BundleError as error:
        logger.warning("The kept bundle of %s is made again: %s", kept.name, error)
        folders.delete(kept)
        return False
    return True


def _keep(work: Callable[[], None], entry: Entry, pipeline: MemoRAGLite, on_ready: Callable[[], None]) -> None:
    """Do work that keeps a bundle; where it cannot be kept, what it made is held all the same."""
    try:
        work()
    except BundleError as error:
        if not pipeline.is_memorized:
            raise
        logger.warning("%s can be asked, but not all of it is kept for the next start: %s", entry.slug, error)
        on_ready()
