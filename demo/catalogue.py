"""The catalogue of ready-made corpora: what there is, whatever state it is in. Loads no models and opens no bundles.

    cached_corpora/SLUG/            ships with the project: manifest.json, its texts, and the small parts of its bundle
    CACHE/corpora/added/SLUG/       built here or pulled from a repository: manifest.json and bundle/
    CACHE/corpora/kept/SLUG-HASH/   bundles with the memory, made here for the models in use
    CACHE/corpora/building/SLUG/    what is being built, or was until it was interrupted

What was added under the slug of a corpus that ships takes its place. An entry is one frozen value; whoever changes the
catalogue writes a whole folder, so looking again finds the old entry or the new one, or for a moment neither.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from engine.documents import display_name

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).resolve().parent.parent / "cached_corpora"
MANIFEST, BUNDLE, HUB = "manifest.json", "bundle", "hub"
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST_SLUG = 60
_MOST_BYTES = 16 * 2**20  # of a manifest

Line = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]*$")]
Sum = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Origin = Literal["shipped", "built", "pulled"]


class Example(BaseModel):
    """A question to begin with; ``kind`` says what it takes, ``evidence`` quotes what the answer rests on."""

    model_config = ConfigDict(frozen=True)
    question: Line
    kind: str = ""
    evidence: tuple[str, ...] = ()


class Seal(BaseModel):
    """Ties a bundle to its entry: SHA-256 of the bundle's manifest, and of the sums of the texts it was made from."""

    model_config = ConfigDict(frozen=True)
    manifest: Sum
    texts: Sum


class Source(BaseModel):
    """Where a text came from: "files" or "folder" on this computer, "http", "hub" file, or a "repository" of bundles.

    ``places`` are absolute paths or addresses; they stay in the cache folder and are no part of what is published.
    """

    model_config = ConfigDict(frozen=True)
    kind: Literal["files", "folder", "http", "hub", "repository"]
    places: tuple[str, ...]


class Manifest(BaseModel):
    """What ``manifest.json`` of an entry holds.

    ``documents`` are files of the folder where it holds them, else names; ``sha256`` has the sum of each: of the file
    where there is one, else of the text in UTF-8. ``order`` is its place in the selector. A ``private`` entry is
    offered on this computer alone.
    """

    model_config = ConfigDict(frozen=True)
    slug: Line
    title: Line
    description: Line
    language: Line
    licence: Line
    documents: Annotated[tuple[Line, ...], Field(min_length=1)]
    sha256: dict[str, Sum]
    source: str = ""
    questions: tuple[Example, ...] = ()
    order: int = 100
    private: bool = False
    bundle: Seal | None = None
    made_from: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Manifest:
        if not is_slug(self.slug) or set(self.documents) != set(self.sha256):
            raise ValueError("a slug that is none, or documents without sums")
        return self

    @property
    def texts_sum(self) -> str:
        """A SHA-256 sum over the sums of all documents, in order."""
        return hashlib.sha256("".join(self.sha256[name] for name in self.documents).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One corpus of the catalogue. ``version`` changes whenever its manifest does."""

    manifest: Manifest
    folder: Path
    origin: Origin
    version: str

    @property
    def slug(self) -> str:
        """Its id, and the name of its folder."""
        return self.manifest.slug

    @property
    def title(self) -> str:
        """What it is called on the page."""
        return self.manifest.title

    @property
    def short_title(self) -> str:
        """The part of its title before a colon: what it is about, whichever text it has."""
        return self.title.partition(":")[0].strip()

    @property
    def bundle(self) -> Path:
        """Where its own bundle is; one that ships may have none."""
        return self.folder / BUNDLE

    @property
    def files(self) -> tuple[Path, ...]:
        """Its documents as files; only one that ships has them."""
        return tuple(self.folder / name for name in self.manifest.documents) if self.origin == "shipped" else ()

    @property
    def names(self) -> tuple[str, ...]:
        """What its documents are called where they are cited."""
        return tuple(display_name(Path(name).name) for name in self.manifest.documents)

    @property
    def questions(self) -> tuple[str, ...]:
        """Its example questions."""
        return tuple(example.question for example in self.manifest.questions)

    @property
    def examples(self) -> tuple[str, ...]:
        """One question of each kind (a fact, and what needs the whole text), and all that are of none."""
        first = {example.kind: example.question for example in reversed(self.manifest.questions)}
        return tuple(
            example.question
            for example in self.manifest.questions
            if not example.kind or example.question == first[example.kind]
        )


def is_slug(name: str) -> bool:
    """Whether an entry may be called so: lower-case letters and digits, in words with hyphens between them."""
    return _SLUG.fullmatch(name) is not None and len(name) <= _LONGEST_SLUG


def parse(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: it does not hold what it should.
    """
    return Manifest.model_validate_json(data)


def sum_of(path: Path) -> str:
    """Return the SHA-256 sum of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Places:
    """The folders under the cache folder where corpora are kept."""

    root: Path

    @property
    def added(self) -> Path:
        """What was built here or pulled."""
        return self.root / "added"

    @property
    def kept(self) -> Path:
        """Bundles with their memory, made for the models in use."""
        return self.root / "kept"

    @property
    def building(self) -> Path:
        """What is not finished."""
        return self.root / "building"

    @property
    def fetched(self) -> Path:
        """Texts and bundles that are being downloaded."""
        return self.root / "fetched"


def places(cache_dir: Path) -> Places:
    """Return where corpora are kept."""
    return Places(cache_dir / "corpora")


class Catalogue:
    """All entries, looked at anew whenever they are asked for; what did not change is not read again.

    ``offered`` names the slugs to offer, all where it is empty; without ``with_private`` private entries are left out.
    """

    def __init__(
        self, added: Path, shipped: Path = SHIPPED, offered: Collection[str] = (), with_private: bool = True
    ) -> None:
        self.shipped, self.added = shipped, added
        self._offered, self._with_private = frozenset(offered), with_private
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[tuple[int, int, int], Entry | None]] = {}

    def entries(self) -> dict[str, Entry]:
        """Return what is offered by slug, in the order of the selector."""
        found: dict[str, Entry] = {}
        for _, entry in self._look():
            is_wanted = entry is not None and (not self._offered or entry.slug in self._offered)
            if entry is not None and is_wanted and (self._with_private or not entry.manifest.private):
                found[entry.slug] = entry
        return dict(sorted(found.items(), key=lambda item: (item[1].manifest.order, item[0])))

    def known(self) -> list[Entry]:
        """Return all entries, also those that are not offered and those whose place another takes."""
        return [entry for _, entry in self._look() if entry is not None]

    def shipping(self) -> dict[str, Entry]:
        """Return what ships with the project by slug, whatever took its place."""
        return {entry.slug: entry for entry in self.known() if entry.origin == "shipped"}

    def broken(self) -> list[Path]:
        """Return the folders of entries whose manifest cannot be read."""
        return [folder for folder, entry in self._look() if entry is None]

    def _look(self) -> list[tuple[Path, Entry | None]]:
        with self._lock:
            paths = [path for root in (self.shipped, self.added) for path in sorted(root.glob(f"[!.]*/{MANIFEST}"))]
            self._known = {path: self._known[path] for path in paths if path in self._known}
            return [(path.parent, self._entry(path)) for path in paths]

    def _entry(self, path: Path) -> Entry | None:
        """Return the entry of a manifest, None where it cannot be read; that is noted once."""
        try:
            now = path.stat()
            signature = (now.st_ino, now.st_size, now.st_mtime_ns)
            if (known := self._known.get(path)) is not None and known[0] == signature:
                return known[1]
        except OSError:  # it is being replaced just now
            return None
        entry = None
        try:
            entry = _read(path, is_shipped=path.parent.parent == self.shipped)
        except (OSError, ValueError):
            logger.warning("The corpus manifest of %s cannot be read.", path.parent.name)
        self._known[path] = (signature, entry)
        return entry


def _read(path: Path, *, is_shipped: bool) -> Entry:
    with path.open("rb") as stream:
        data = stream.read(_MOST_BYTES + 1)
    manifest = parse(data)
    if len(data) > _MOST_BYTES or manifest.slug != path.parent.name:
        raise ValueError("too large, or in a folder of another name")
    is_pulled = any(source.kind == "repository" for source in manifest.made_from)
    origin: Origin = "shipped" if is_shipped else "pulled" if is_pulled else "built"
    return Entry(manifest, path.parent, origin, hashlib.sha256(data).hexdigest())
