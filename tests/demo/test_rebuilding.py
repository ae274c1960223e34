"""Building a corpus of one's own again: from the texts in its bundle, from where they came, or not at all."""

from __future__ import annotations

import shutil

import pytest

from demo import building, sources
from demo.catalogue import Example, Source
from demo.opening import Condition, condition
from engine import storage
from engine.documents import DEFAULT_LIMITS
from engine.errors import InputError
from tests.demo import own_corpora
from tests.demo.own_corpora import OTHER, OWN, added, build, damage, held, opened, text_of
from tests.file_server import FileServer, Served

pytestmark = pytest.mark.models
pipeline, places = own_corpora.pipeline, own_corpora.places
MILL = "The mill of Ardle stood by the river."


@pytest.fixture
def made(places, pipeline, tmp_path):
    """An entry of a file, a folder and an address, which can be asked."""
    (tmp_path / "own.txt").write_text(OWN, "utf-8")
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "other.txt").write_text(OTHER, "utf-8")
    with FileServer({"/mill.txt": Served(MILL.encode())}) as server:
        asked = [str(tmp_path / "own.txt"), str(tmp_path / "books"), f"{server.url}/mill.txt"]
        given = sources.gather(asked, places.fetched, max_bytes=1000)
        documents = building.read(given, DEFAULT_LIMITS)
        said = {"title": "Dragons: all", "description": "Mine.", "questions": (Example(question="Who?"),)}
        yield build(places, pipeline, "mine", *documents, made_from=given.made_from, **said)


def rebuilt(entry, pipeline, places):
    """Build an entry again; return its pipeline and the new entry."""
    into = pipeline.fork()
    building.rebuild(entry, into, places, DEFAULT_LIMITS)
    return into, added(places, entry.slug)


def said_of(entry):
    return entry.manifest.model_copy(update={"bundle": None})


def test_a_damaged_memory_is_made_again_from_the_texts_in_the_bundle(made, pipeline, places, tmp_path):
    damage(made.bundle / storage.MEMORY)
    shutil.rmtree(tmp_path / "books")
    (tmp_path / "own.txt").unlink()
    into, entry = rebuilt(made, pipeline, places)
    assert text_of(into) == f"{OWN}\n{OTHER}\n{MILL}"
    assert said_of(entry) == said_of(made)
    assert condition(entry, places, pipeline.memorizer) == Condition("ready")
    assert text_of(opened(entry, pipeline, places)[0]) == text_of(into)


@pytest.mark.parametrize("name", [storage.MANIFEST, storage.CHUNKS, storage.INDEX])
def test_damaged_texts_are_read_again_from_where_they_came(made, pipeline, places, tmp_path, name):
    damage(made.bundle / name)
    (tmp_path / "own.txt").write_text(f"{OWN} She is 800 years old.", "utf-8")
    into, entry = rebuilt(made, pipeline, places)
    assert text_of(into) == f"{OWN} She is 800 years old.\n{OTHER}\n{MILL}"
    assert entry.manifest.sha256 != made.manifest.sha256
    assert said_of(entry) == said_of(made).model_copy(update={"sha256": entry.manifest.sha256})
    assert condition(entry, places, pipeline.memorizer) == Condition("ready")


def test_where_nothing_is_left_of_the_texts_it_is_said_what_to_do_and_no_name_is_told(made, pipeline, places, tmp_path):
    damage(made.bundle / storage.INDEX)
    shutil.rmtree(tmp_path / "books")
    before = held(made.folder)
    with pytest.raises(InputError) as refused:
        rebuilt(made, pipeline, places)
    assert str(refused.value) == (
        "The texts of 'Dragons: all' are not where they came from any more; build it again from its files: "
        "python -m demo.corpora build mine FILES."
    )
    assert held(made.folder) == before


@pytest.mark.parametrize(
    ("made_from", "advice"),
    [
        ((), "build it again from its files: python -m demo.corpora build mine FILES"),
        (
            (Source(kind="repository", places=("a/b@c/mine",)),),
            "pull it again: python -m demo.corpora pull mine --repo OWNER/NAME",
        ),
    ],
)
def test_an_entry_that_came_from_nowhere_else_says_so(pipeline, places, made_from, advice):
    entry = build(places, pipeline, made_from=made_from)
    assert rebuilt(entry, pipeline, places)[1].origin == entry.origin
    damage(entry.bundle / storage.INDEX)
    with pytest.raises(InputError) as refused:
        rebuilt(entry, pipeline, places)
    assert str(refused.value) == f"The texts of 'mine' are damaged; {advice}."


def test_what_was_pulled_and_is_made_again_still_says_whose_it_is(pipeline, places):
    entry = build(places, pipeline, made_from=(Source(kind="repository", places=("a/b@c/mine",)),), is_shared=True)
    pulled = entry.manifest.model_copy(update={"source": "Written by Anna", "order": 7})
    building.seal_and_write(entry.folder, pulled)
    again = rebuilt(added(places), pipeline, places)[1]
    assert said_of(again) == said_of(entry).model_copy(update={"source": "Written by Anna", "order": 7})
    assert again.origin == "pulled"
