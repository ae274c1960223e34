"""Opening an entry: what ships, what was kept, what was built, and what is refused."""

from __future__ import annotations

import logging

import pytest

from demo import opening
from demo.opening import Condition, condition, kept_folder, open_entry
from engine import storage, verification
from engine.errors import BundleError, Cancelled, InputError
from engine.events import Stop
from engine.memorag_lite import MemoRAGLite
from tests.demo import own_corpora
from tests.demo.own_corpora import OWN, Steps, build, damage, held, opened, text_of

pytestmark = pytest.mark.models
pipeline, places = own_corpora.pipeline, own_corpora.places
unbuilt, shipping, shipped = own_corpora.unbuilt, own_corpora.shipping, own_corpora.shipped


@pytest.fixture(scope="module")
def others(tiny_model, encoder):
    """A pipeline with another memory model."""
    return MemoRAGLite(tiny_model, encoder)


@pytest.fixture
def on_a_busy_disk(monkeypatch):
    """Nothing is verified in the background: that has not been come to yet."""
    monkeypatch.setattr(verification, "_read_aside", lambda file, found: file.close())


def test_what_ships_can_be_asked_before_its_memory_is_read_and_that_is_kept(shipped, pipeline, places):
    before = held(shipped.folder)
    _, steps, missing = opened(shipped, pipeline, places)
    assert missing == [("memory",), ()]
    assert ("memorising" in steps, steps.read_the_text) == (True, False)
    assert held(shipped.folder) == before
    kept = kept_folder(shipped, pipeline.memorizer, places)
    assert [path.name for path in places.kept.iterdir()] == [kept.name]
    assert kept.name.startswith("tide-mill-")
    again, steps, missing = opened(shipped, pipeline, places)
    assert (set(steps) <= {"indexing words"}, missing) == (True, [()]), "nothing is made again"
    assert text_of(again) == shipped.files[0].read_text("utf-8")


def test_texts_alone_are_memorised_once_and_then_loaded_from_what_was_kept(unbuilt, pipeline, places):
    first, steps, _ = opened(unbuilt, pipeline, places)
    assert steps.read_the_text
    second, steps, missing = opened(unbuilt, pipeline, places)
    assert (set(steps) <= {"indexing words"}, missing) == (True, [()]), "nothing is memorised again"
    assert text_of(second) == text_of(first)
    assert second.stats == first.stats


def test_what_was_kept_is_all_that_is_needed(unbuilt, pipeline, places):
    opened(unbuilt, pipeline, places)
    unbuilt.files[0].unlink()
    second, steps, _ = opened(unbuilt, pipeline, places)
    assert (second.is_memorized, steps.read_the_text) == (True, False)


def test_what_was_kept_of_another_text_is_not_taken(tmp_path, unbuilt, pipeline, places, write_entry):
    opened(unbuilt, pipeline, places)
    changed = write_entry(tmp_path / "later", unbuilt.slug, OWN)
    into, steps, _ = opened(changed, pipeline, places)
    assert (text_of(into), steps.read_the_text) == (OWN, True)
    assert len(list(places.kept.iterdir())) == 2


@pytest.mark.parametrize("name", [storage.MANIFEST, storage.CHUNKS, storage.INDEX, storage.MEMORY])
def test_a_kept_bundle_that_is_damaged_is_made_again_and_noted(name, unbuilt, pipeline, places, caplog, on_a_busy_disk):
    opened(unbuilt, pipeline, places)
    kept = kept_folder(unbuilt, pipeline.memorizer, places)
    damage(kept / name)
    with caplog.at_level(logging.WARNING):
        into, steps, _ = opened(unbuilt, pipeline, places)
    assert steps.read_the_text
    assert into.is_memorized
    assert f"The kept bundle of {kept.name} is made again" in caplog.text
    assert not opened(unbuilt, pipeline, places)[1].read_the_text, "it is whole again"


def test_opening_can_be_stopped_and_leaves_nothing_behind(unbuilt, pipeline, places):
    stop, into = Stop(), pipeline.fork()
    stop.set()
    with pytest.raises(Cancelled):
        open_entry(unbuilt, into, places, stop=stop)
    assert not into.is_memorized
    assert list(places.root.rglob("*.bin")) == []


def test_what_can_be_asked_already_stays_when_the_rest_is_stopped(shipped, pipeline, places):
    stop, into = Stop(), pipeline.fork()
    with pytest.raises(Cancelled):
        open_entry(shipped, into, places, stop=stop, on_ready=stop.set)
    assert into.memorized.missing == ("memory",)
    assert not places.root.exists()


@pytest.mark.parametrize("work", [open_entry, opening.rebuild_shipped])
def test_a_text_that_is_gone_is_refused_in_words(work, unbuilt, pipeline, places):
    unbuilt.files[0].unlink()
    with pytest.raises(InputError) as refused:
        work(unbuilt, pipeline.fork(), places)
    assert str(refused.value) == f"The text of {unbuilt.title!r} is missing; restore text.txt."


def test_a_bundle_serves_without_its_text(shipped, pipeline, places):
    text = shipped.files[0].read_text("utf-8")
    shipped.files[0].unlink()
    assert condition(shipped, places, pipeline.memorizer) == Condition("ready")
    assert text_of(opened(shipped, pipeline, places)[0]) == text


@pytest.mark.parametrize("what", ["shipped", "unbuilt"])
def test_a_corpus_opens_even_where_its_bundle_cannot_be_kept(what, request, pipeline, places, caplog):
    entry = request.getfixturevalue(what)
    places.root.parent.mkdir()
    places.root.write_text("no folder", "utf-8")
    into, _, missing = opened(entry, pipeline, places)
    assert missing[-1] == into.memorized.missing == ()
    assert "tide-mill can be asked, but not all of it is kept for the next start" in caplog.text


def test_an_added_entry_is_opened_as_it_is(pipeline, places):
    entry = build(places, pipeline)
    before = held(places.root)
    into, steps, missing = opened(entry, pipeline, places)
    assert (text_of(into), missing) == (OWN, [()])
    assert set(steps) <= {"indexing words"}
    assert held(places.root) == before


def test_an_added_entry_serves_another_memory_model_which_is_kept_beside_it(pipeline, others, places):
    entry = build(places, pipeline)
    before = held(entry.folder)
    assert condition(entry, places, others.memorizer) == Condition("ready")
    into, steps, missing = opened(entry, others, places)
    assert (missing, steps.read_the_text) == ([("memory",), ()], False)
    assert text_of(into) == OWN
    assert held(entry.folder) == before
    assert [path.name for path in places.kept.iterdir()] == [kept_folder(entry, others.memorizer, places).name]
    assert opened(entry, others, places)[2] == [()]


@pytest.mark.parametrize("name", [storage.INDEX, storage.MEMORY])
def test_damage_that_no_size_shows_is_told_before_anything_can_be_asked(name, pipeline, places, on_a_busy_disk):
    entry, into, ready = build(places, pipeline), pipeline.fork(), []
    damage(entry.bundle / name)
    assert condition(entry, places, pipeline.memorizer) == Condition("ready")
    with pytest.raises(BundleError, match="damaged"):
        open_entry(entry, into, places, on_ready=lambda: ready.append(1))
    assert ready == []


def test_what_an_entry_takes_in_memory_is_known_before_it_is_opened_again(unbuilt, pipeline, places):
    assert opening.held_bytes(unbuilt, pipeline.memorizer, places) == 0
    into, _, _ = opened(unbuilt, pipeline, places)
    assert opening.held_bytes(unbuilt, pipeline.memorizer, places) == into.memorized.nbytes
    entry = build(places, pipeline)
    into, _, _ = opened(entry, pipeline, places)
    assert opening.held_bytes(entry, pipeline.memorizer, places) == into.memorized.nbytes


@pytest.mark.parametrize("said", [None, -1, "many", 1.5])
def test_a_bundle_that_says_no_size_takes_none(said):
    assert opening.bytes_of({"held_bytes": said}) == opening.bytes_of({}) == 0


def test_a_changed_text_is_refused_before_anything_is_loaded_and_taken_when_it_is_rebuilt(shipped, pipeline, places):
    shipped.files[0].write_text(OWN, "utf-8")
    into, steps = pipeline.fork(), Steps()
    with pytest.raises(BundleError, match="Its text is not the one that its manifest names") as refused:
        open_entry(shipped, into, places, steps)
    assert shipped.title in str(refused.value)
    assert (steps, into.is_memorized) == ([], False)
    before = held(shipped.folder)
    opening.rebuild_shipped(shipped, into, places)
    assert text_of(into) == OWN
    assert condition(shipped, places, pipeline.memorizer) == Condition("ready")
    again, steps, _ = opened(shipped, pipeline, places)
    assert (text_of(again), steps.read_the_text) == (OWN, False)
    assert held(shipped.folder) == before, "what ships is never written to"
