"""Building corpora of one's own: what becomes of them, what stays private, interruptions, and others who build."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest

from demo import building, catalogue, sources
from demo.building import Wanted, check_slug, claimed, examples_of
from demo.catalogue import SHIPPED, Catalogue, Example, Source
from engine import memorizer, storage
from engine.documents import DEFAULT_LIMITS, Document
from engine.errors import BundleError, Cancelled, DocumentError, InputError
from engine.events import Stop
from tests.demo import own_corpora
from tests.demo.own_corpora import OTHER, OWN, added, build, held, opened, text_of
from tests.pipelines import filler

pytestmark = pytest.mark.models
pipeline, places = own_corpora.pipeline, own_corpora.places
SHIPPING = Catalogue(SHIPPED / "nothing-added").entries()


def asked_in(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


# What is asked for


@pytest.mark.parametrize("slug", ["..", "a/b", "/etc", "Harry", "", "a" * 61, "harry potter"])
def test_a_name_that_is_none_is_refused_in_words(slug):
    with pytest.raises(InputError) as refused:
        check_slug(slug)
    assert str(refused.value).startswith(f"{slug!r} cannot be the name of a corpus; take ")
    assert check_slug("harry-potter") == "harry-potter"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_example_questions_are_lines_or_a_list_of_objects(tmp_path, mark):
    lines = asked_in(tmp_path / "asked.txt", f"{mark}Who is Hildegard?\r\n\n  Where does she sleep? \n")
    assert examples_of(lines) == (Example(question="Who is Hildegard?"), Example(question="Where does she sleep?"))
    whole = [{"question": "Who?", "kind": "local", "evidence": ["Hildegard"]}, {"question": "Where?"}]
    listed = asked_in(tmp_path / "asked.json", mark + json.dumps(whole))
    assert [example.model_dump(mode="json") for example in examples_of(listed)] == [
        whole[0],
        {"question": "Where?", "kind": "", "evidence": []},
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"),
        ("a.json", '{"question": "Who?"}'),
        ("a.json", '["Who?"]'),
        ("a.json", '[{"question": ""}]'),
        ("a.json", '[{"question": "Who?\\nWhere?"}]'),
        ("a.json", "[" * 100_000),
        ("a.txt", "Who\x1b[2J?"),
        ("a.txt", "q" * 1001),
    ],
)
def test_questions_that_are_none_are_refused_in_words(tmp_path, name, content):
    with pytest.raises(InputError, match=f"The questions in '{name}' cannot be read; give a text with one"):
        examples_of(asked_in(tmp_path / name, content))


def test_questions_that_are_not_there_too_few_or_too_many_are_refused(tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9?")
    for path in (tmp_path / "nowhere.txt", tmp_path, tmp_path / "latin"):
        with pytest.raises(InputError, match="cannot be read"):
            examples_of(path)
    for name, content, count in (("none.txt", " \n\n", 0), ("many.txt", "Who?\n" * 101, 101)):
        with pytest.raises(InputError, match=f"'{name}' holds {count} questions; give 1 to 100."):
            examples_of(asked_in(tmp_path / name, content))
    assert len(examples_of(asked_in(tmp_path / "most.txt", "Who?\n" * 100))) == 100


# What becomes of it


def test_a_new_entry_says_what_it_was_told_and_the_rest_by_itself(places, pipeline):
    questions = (Example(question="Who sleeps there?", kind="local"),)
    said = {"title": "Dragons", "description": "All of them.", "licence": "CC0-1.0", "questions": questions}
    made_from = (Source(kind="files", places=("/books/own.txt",)),)
    documents = Document("own.txt", OWN), Document("other.txt", OTHER)
    entry = build(places, pipeline, "dragons", *documents, is_shared=True, made_from=made_from, **said)
    known = entry.manifest
    assert (known.title, known.description, known.licence, known.questions) == tuple(said.values())
    assert (known.language, known.private, known.order, entry.origin) == ("en", False, 100, "built")
    assert known.documents == ("own.txt", "other.txt")
    assert known.sha256 == {document.name: document.sha256 for document in documents}
    assert known.made_from == made_from
    assert text_of(opened(entry, pipeline, places)[0]) == f"{OWN}\n{OTHER}"
    plain = build(places, pipeline).manifest
    assert (plain.title, plain.licence, plain.private) == ("mine", "private", True)
    assert plain.description == "own.txt."
    assert build(places, pipeline, "shared", is_shared=True).manifest.licence == "not stated"


def test_what_is_built_is_for_this_user_alone_and_nothing_else_is_left(places, pipeline):
    entry = build(places, pipeline)
    assert entry.folder == places.added / "mine"
    assert [oct(path.stat().st_mode & 0o777) for path in (places.added, entry.folder)] == ["0o700"] * 2
    assert (entry.folder / "manifest.json").stat().st_mode & 0o077 == 0
    bundle = [f"bundle/{name}" for name in (storage.MANIFEST, storage.CHUNKS, storage.INDEX, storage.MEMORY)]
    assert set(held(places.added)) == {f"mine/{name}" for name in ("manifest.json", *bundle)}
    assert set(held(places.root)) == {f"added/{name}" for name in held(places.added)} | {"building/.mine.lock"}


def test_ones_own_novels_take_the_place_of_the_companion_and_stay_private(
    places, pipeline, tmp_path, monkeypatch, caplog
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    companion, ships = SHIPPING["harry-potter"], held(SHIPPED)
    novel = Document("Hildegard the Dragon.txt", OWN)
    with caplog.at_level(logging.DEBUG):
        entry = build(places, pipeline, "harry-potter", novel, like=companion)
        into = opened(entry, pipeline, places)[0]
    known = entry.manifest
    assert (known.title, known.private, known.licence) == ("Harry Potter", True, "private")
    assert (known.questions, known.order) == (companion.manifest.questions, companion.manifest.order)
    assert "written for this project" not in known.model_dump_json()
    assert text_of(into) == OWN
    assert Catalogue(places.added).entries()["harry-potter"].folder == entry.folder
    assert "harry-potter" in Catalogue(places.added, with_private=False).shipping()
    public = Catalogue(places.added, with_private=False).entries()["harry-potter"]
    assert (public.origin, public.title) == ("shipped", companion.title)
    assert held(SHIPPED) == ships, "nothing is written where it could reach the repository"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    said = caplog.text.casefold()
    assert [word for word in ("hildegard", "ostermoor", "turnips") if word in said] == []


def test_an_entry_of_ones_own_keeps_its_title_and_questions_when_it_is_built_again(places, pipeline):
    questions = (Example(question="Who?"),)
    first = build(places, pipeline, title="Dragons: all", questions=questions)
    second = build(places, pipeline, "mine", Document("other.txt", OTHER), like=first)
    assert (second.title, second.manifest.questions) == ("Dragons: all", questions)
    assert second.names == ("other.txt",)
    assert second.version != first.version
    assert text_of(opened(second, pipeline, places)[0]) == OTHER


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.pdf").write_bytes(b"no PDF at all")
    (tmp_path / "good.txt").write_text(OWN, "utf-8")
    given = sources.gather([str(tmp_path)], tmp_path / "fetched", max_bytes=1000)
    with pytest.raises(DocumentError, match=r"bad\.pdf"):
        building.read(given, DEFAULT_LIMITS)


# Interruptions, and others who build


@pytest.fixture
def long(monkeypatch):
    """Texts that count as long, embedded two chunks at a time."""
    monkeypatch.setattr(memorizer, "_LONG", 6)
    monkeypatch.setattr(memorizer, "_BLOCK", 2)
    return tuple(Document(f"{n}.txt", filler(2 * n, 2)) for n in range(8))


class Watched(list):
    """Collects reports; stops at the second on embedding, if at all."""

    def __init__(self, stop=None):
        self.stop = stop

    def __call__(self, progress):
        self.append(progress)
        if self.stop is not None and len(self.embedded) > 1:
            self.stop.set()

    @property
    def embedded(self):
        return [progress.done for progress in self if progress.stage == "embedding"]

    @property
    def chose_gists(self):
        return "choosing gists" in {progress.stage for progress in self}


@pytest.fixture
def interrupted(long, pipeline, places):
    """What was reported until the build of a long text was interrupted."""
    stop = Stop()
    reports = Watched(stop)
    with pytest.raises(Cancelled):
        building.build(Wanted("mine"), long, (), pipeline.fork(), places, None, reports, stop)
    assert not places.added.exists()
    assert (places.building / "mine" / "bundle" / storage.UNFINISHED).stat().st_size > 1000
    return reports


def test_an_interrupted_build_goes_on_and_nothing_is_made_twice(interrupted, long, pipeline, places):
    reports = Watched()
    building.build(Wanted("mine"), long, (), pipeline.fork(), places, None, reports)
    assert reports.embedded[0] >= interrupted.embedded[-1] > interrupted.embedded[0]
    assert (interrupted.chose_gists, reports.chose_gists) == (True, False)
    assert [path.name for path in places.building.iterdir()] == [".mine.lock"]
    into, steps, _ = opened(added(places), pipeline, places)
    assert text_of(into) == "\n".join(document.text for document in long)
    assert (into.memorized.missing, steps.read_the_text) == ((), False)


def test_what_was_begun_of_another_text_is_not_gone_on_with(interrupted, long, pipeline, places):
    reports, other = Watched(), tuple(reversed(long))
    building.build(Wanted("mine"), other, (), pipeline.fork(), places, None, reports)
    assert reports.chose_gists
    assert reports.embedded[0] < interrupted.embedded[-1]
    into = opened(added(places), pipeline, places)[0]
    assert text_of(into) == "\n".join(document.text for document in other)


def test_a_build_that_does_not_end_leaves_what_was_there(places, pipeline):
    before, stop = build(places, pipeline), Stop()
    whole = held(before.folder)
    stop.set()
    with pytest.raises(Cancelled):
        building.build(Wanted("mine"), [Document("other.txt", OTHER)], (), pipeline.fork(), places, before, None, stop)
    assert added(places) == before
    assert held(before.folder) == whole


def test_two_builds_of_one_name_at_once_are_refused(places, pipeline):
    began, goes_on, errors = threading.Event(), threading.Event(), []

    def wait(_):
        began.set()
        assert goes_on.wait(30)

    def first():
        try:
            building.build(Wanted("mine"), [Document("own.txt", OWN)], (), pipeline.fork(), places, None, wait)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert began.wait(30)
    with pytest.raises(InputError) as refused:
        build(places, pipeline, "mine", Document("other.txt", OTHER))
    build(places, pipeline, "another", Document("other.txt", OTHER))
    goes_on.set()
    thread.join(30)
    assert str(refused.value) == "The corpus 'mine' is being built by another program; wait until it is done."
    assert errors == []
    assert (added(places).names, added(places, "another").names) == (("own.txt",), ("other.txt",))
    build(places, pipeline, "mine", Document("other.txt", OTHER))
    assert added(places).names == ("other.txt",)


@pytest.mark.parametrize("blocked", ["added", "building"])
def test_a_place_that_cannot_be_written_is_told_in_words(places, pipeline, blocked):
    places.root.mkdir(parents=True)
    getattr(places, blocked).write_text("no folder", "utf-8")
    with pytest.raises(BundleError, match="The corpus 'mine' could not be kept: "):
        build(places, pipeline)


def test_a_name_is_free_again_after_what_was_built_under_it(tmp_path):
    here = catalogue.places(tmp_path)
    with claimed(here, "mine"), pytest.raises(InputError), claimed(here, "mine"):
        pass
    with claimed(here, "mine"):
        assert (here.building / ".mine.lock").is_file()
