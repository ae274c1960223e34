"""What the tests of the catalogue share: places for corpora, the real models, and texts of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from demo import building, catalogue
from demo.catalogue import Catalogue, Entry, Places
from demo.corpora import ship
from demo.opening import open_entry
from engine import storage
from engine.documents import Document
from engine.memorag_lite import MemoRAGLite

OWN = "The dragon of Ostermoor is called Hildegard. She eats nothing but pickled turnips, and sleeps under the bakery."
OTHER = "The clock of Vellmark has 13 hours. It was built by a baker named Ruprecht Odenthal, who could not count."


class Steps(list):
    """Collects the stages of a run."""

    def __call__(self, progress):
        if progress.stage not in self:
            self.append(progress.stage)

    @property
    def read_the_text(self) -> bool:
        """Whether the text was memorised, not only loaded."""
        return bool({"embedding", "choosing gists"} & set(self))


@pytest.fixture(scope="session")
def pipeline(engine_models) -> MemoRAGLite:
    """The real models, with nothing memorised."""
    return MemoRAGLite(*engine_models)


@pytest.fixture
def places(tmp_path) -> Places:
    return catalogue.places(tmp_path / "cache")


@pytest.fixture
def unbuilt(tmp_path, write_entry) -> Entry:
    """An entry that ships as texts alone."""
    return write_entry(tmp_path / "texts")


@pytest.fixture(scope="module")
def shipping(pipeline, write_entry, tmp_path_factory) -> Path:
    """The folder of an entry that ships with the small parts of its bundle."""
    entry = write_entry(tmp_path_factory.mktemp("catalogue"))
    ship(entry, pipeline.fork())
    return entry.folder


@pytest.fixture
def shipped(shipping, tmp_path) -> Entry:
    """Such an entry, to do with as one likes."""
    shutil.copytree(shipping, tmp_path / "catalogue" / shipping.name)
    (entry,) = Catalogue(tmp_path / "nothing-added", tmp_path / "catalogue").entries().values()
    return entry


def opened(entry: Entry, pipeline: MemoRAGLite, places: Places) -> tuple[MemoRAGLite, Steps, list[tuple[str, ...]]]:
    """Open an entry; return the pipeline, the stages, and what was missing whenever more could be used."""
    into, steps, missing = pipeline.fork(), Steps(), []
    open_entry(entry, into, places, steps, on_ready=lambda: missing.append(into.memorized.missing))
    return into, steps, missing


def build(places: Places, pipeline: MemoRAGLite, slug: str = "mine", *documents: Document, like=None, **said) -> Entry:
    """Build an entry of texts of one's own and return it."""
    made_from = said.pop("made_from", ())
    wanted = building.Wanted(slug, **said)
    building.build(wanted, documents or (Document("own.txt", OWN),), made_from, pipeline.fork(), places, like)
    return added(places, slug)


def added(places: Places, slug: str = "mine") -> Entry:
    """The entry that was added under a name, as the catalogue has it now."""
    return Catalogue(places.added, places.root / "none").entries()[slug]


def text_of(pipeline: MemoRAGLite) -> str:
    return "\n".join(document.text for document in pipeline.memorized.documents)


def damage(path: Path) -> None:
    """Change the last byte of a file: its size stays."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def remade(bundle: Path, **facts: object) -> None:
    """Write a bundle again that says something else of itself."""
    read = storage.read(bundle)
    known = {key: value for key, value in read.manifest.items() if key != "files"}
    storage.write(bundle, known | facts, read.chunks, read.index, read.memory)


def held(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
