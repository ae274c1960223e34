"""Building corpora of the catalogue: one's own texts become an entry, and an entry is built again.

What is being built lies beside the catalogue and takes its place when it is complete, so that an entry is always whole,
and an interrupted build goes on when the same is asked for again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from demo import folders, opening, sources
from demo.catalogue import BUNDLE, HUB, MANIFEST, Entry, Example, Manifest, Places, Seal, Source, is_slug, sum_of
from engine import storage
from engine.apart import read_apart
from engine.documents import Document, Limits
from engine.errors import BundleError, InputError
from engine.events import OnProgress, Stop

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite

_MOST_QUESTIONS, _MOST_DOCUMENTS = 100, 10_000
_EXAMPLES = TypeAdapter(tuple[Example, ...])


@dataclass(frozen=True)
class Wanted:
    """What a new entry shall be called and say of itself; an empty title, and questions, come from what it replaces."""

    slug: str
    title: str = ""
    description: str = ""
    licence: str = ""
    questions: tuple[Example, ...] = ()
    is_shared: bool = False
    source: str = "Added on this computer"


def check_slug(slug: str) -> str:
    """Return a slug.

    Raises:
        InputError: it is none.
    """
    if not is_slug(slug):
        raise InputError(
            f"{slug!r} cannot be the name of a corpus; take up to 60 lower-case letters and digits, with hyphens "
            "between words, such as annual-reports."
        )
    return slug


def examples_of(path: Path) -> tuple[Example, ...]:
    """Read example questions: a JSON list of objects with "question" (and "kind", "evidence"), or one on each line.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        words = path.read_text("utf-8-sig")
        given = (
            json.loads(words)
            if path.suffix == ".json"
            else [{"question": s} for s in map(str.strip, words.splitlines()) if s]
        )
        found = _EXAMPLES.validate_python(given)
    except (OSError, ValueError, RecursionError) as error:  # the last of JSON that is nested too deeply
        raise InputError(
            f"The questions in {path.name!r} cannot be read; give a text with one question on each line, or a JSON "
            'list of objects such as {"question": "Who ...?", "kind": "local"}.'
        ) from error
    if not 1 <= len(found) <= _MOST_QUESTIONS:
        raise InputError(f"{path.name!r} holds {len(found)} questions; give 1 to {_MOST_QUESTIONS}.")
    return found


def read(
    given: sources.Given, limits: Limits, on_progress: OnProgress | None = None, stop: Stop | None = None
) -> list[Document]:
    """Read files that were gathered, each in a process of its own.

    Raises:
        DocumentError: one cannot be read.
        Cancelled: ``stop`` was set.
    """
    files = zip(given.files, given.names, strict=True)
    return [read_apart(path, name, limits, on_progress=on_progress, stop=stop) for path, name in files]


def build(
    wanted: Wanted,
    documents: Sequence[Document],
    made_from: Sequence[Source],
    pipeline: MemoRAGLite,
    places: Places,
    like: Entry | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> Path:
    """Memorise documents and put them into the catalogue; ``like`` is the entry whose place they take. Returns where.

    Raises:
        InputError: another program builds a corpus of that name, or there are too many documents.
        BundleError: it cannot be written.
        Cancelled: ``stop`` was set; the same again goes on from there.
    """
    if len(documents) > _MOST_DOCUMENTS:
        raise InputError(f"A corpus has at most {_MOST_DOCUMENTS:,} documents, not {len(documents):,}; make several.")
    with claimed(places, wanted.slug):
        partial = folders.make(places.building / wanted.slug)
        pipeline.memorize(documents, partial / BUNDLE, on_progress=on_progress, stop=stop)
        manifest = _manifest(wanted, documents, made_from, pipeline, like)
        try:
            seal_and_write(partial, manifest)
            folders.put_in_place(partial, places.added / wanted.slug)
        except OSError as error:
            raise BundleError(f"The corpus {wanted.slug!r} could not be kept: {error.strerror or error}.") from error
    return places.added / wanted.slug


def rebuild(
    entry: Entry,
    pipeline: MemoRAGLite,
    places: Places,
    limits: Limits,
    token: str = "",
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> None:
    """Memorise an entry again that was built here or pulled: from the texts in its bundle, else from where they came.

    Raises:
        InputError: neither is there any more.
        DocumentError, BundleError, Cancelled: as ``read`` and ``build``.
    """
    try:
        documents = opening.kept_texts(entry)
    except BundleError:
        documents = _texts_again(entry, places, limits, token, on_progress, stop)
    known = entry.manifest
    wanted = Wanted(
        entry.slug, known.title, known.description, known.licence, known.questions, not known.private, known.source
    )
    build(wanted, documents, known.made_from, pipeline, places, entry, on_progress, stop)


def _texts_again(
    entry: Entry, places: Places, limits: Limits, token: str, on_progress: OnProgress | None, stop: Stop | None
) -> list[Document]:
    places_known = [source for source in entry.manifest.made_from if source.kind != "repository"]
    advice = f"build it again from its files: python -m demo.corpora build {entry.slug} FILES"
    if len(places_known) < len(entry.manifest.made_from):
        advice = f"pull it again: python -m demo.corpora pull {entry.slug} --repo OWNER/NAME"
    if not places_known:
        raise InputError(f"The texts of {entry.title!r} are damaged; {advice}.")
    try:
        asked = sources.again(places_known)
        given = sources.gather(
            asked, places.fetched, max_bytes=limits.max_bytes, token=token, on_progress=on_progress, stop=stop
        )
    except InputError as error:
        # What is missing may be named after a person's files: it is not for everybody who may press a button.
        raise InputError(f"The texts of {entry.title!r} are not where they came from any more; {advice}.") from error
    documents = read(given, limits, on_progress, stop)
    forget(given, places)
    return documents


def forget(given: sources.Given, places: Places) -> None:
    """Delete what was downloaded of a text that is in a bundle now: nobody looks after a second copy of it."""
    for file in given.files:
        if file.is_relative_to(places.fetched):
            parts = file.relative_to(places.fetched).parts
            folders.delete(places.fetched.joinpath(*parts[: 2 if parts[0] == HUB else 1]))


def _manifest(
    wanted: Wanted,
    documents: Sequence[Document],
    made_from: Sequence[Source],
    pipeline: MemoRAGLite,
    like: Entry | None,
) -> Manifest:
    """Return what the entry says of itself, without the seal."""
    old = like.manifest if like is not None else None
    names = [document.name for document in documents]
    unknown = "private" if not wanted.is_shared else "not stated"
    return Manifest(
        slug=wanted.slug,
        title=wanted.title or _title_like(like) or wanted.slug,
        description=wanted.description or f"{', '.join(names[:3])}{', ...' if len(names) > 3 else '.'}",
        language=str(pipeline.stats["language"]).partition("-")[0],
        licence=wanted.licence or unknown,
        documents=tuple(names),
        sha256={document.name: document.sha256 for document in documents},
        source=wanted.source,
        questions=wanted.questions or (old.questions if old is not None else ()),
        order=old.order if old is not None else 100,
        private=not wanted.is_shared,
        made_from=tuple(made_from),
    )


def _title_like(like: Entry | None) -> str:
    """Return what a text of one's own is called that takes the place of another."""
    if like is None:
        return ""
    return like.short_title if like.origin == "shipped" else like.title


def seal_and_write(folder: Path, manifest: Manifest) -> None:
    """Write an entry's manifest beside its bundle, and tie the two together.

    Raises:
        OSError: it cannot be written.
    """
    seal = Seal(manifest=sum_of(folder / BUNDLE / storage.MANIFEST), texts=manifest.texts_sum)
    sealed = manifest.model_copy(update={"bundle": seal})
    folders.write_bytes(folder / MANIFEST, sealed.model_dump_json(indent=1).encode())


@contextmanager
def claimed(places: Places, slug: str) -> Iterator[None]:
    """Hold a name while it is built, so that two programs do not write to one folder.

    Raises:
        InputError: another program does.
        BundleError: the cache folder cannot be written.
    """
    try:
        folders.make(places.building)
    except OSError as error:
        raise BundleError(f"The corpus {slug!r} could not be kept: {error.strerror or error}.") from error
    with folders.locked(places.building / f".{slug}.lock") as is_mine:
        if not is_mine:
            raise InputError(f"The corpus {slug!r} is being built by another program; wait until it is done.")
        yield
