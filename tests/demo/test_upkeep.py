"""Looking after the catalogue: every byte compared, entries removed, and what nobody needs any more."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from demo import building, folders, upkeep
from demo.catalogue import Catalogue
from demo.opening import Condition, kept_folder
from demo.upkeep import leftovers, remove, verify
from engine import storage
from engine.errors import InputError
from engine.memorag_lite import MemoRAGLite
from tests.demo import own_corpora
from tests.demo.own_corpora import OWN, build, damage, held, opened

pytestmark = pytest.mark.models
pipeline, places = own_corpora.pipeline, own_corpora.places
unbuilt, shipping, shipped = own_corpora.unbuilt, own_corpora.shipping, own_corpora.shipped
NAMES = [storage.MANIFEST, storage.CHUNKS, storage.INDEX]


@pytest.fixture
def reader(pipeline):
    return pipeline.memorizer


def written(path, data=b"x" * 1000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# Verifying


def test_what_is_whole_is_found_so_however_far_it_was_made(shipped, unbuilt, places, pipeline, reader):
    ours = build(places, pipeline)
    assert [verify(entry, places, reader).state for entry in (shipped, unbuilt, ours)] == ["ready", "unbuilt", "ready"]
    for entry in (shipped, unbuilt):
        opened(entry, pipeline, places)
    assert [verify(entry, places, reader) for entry in (shipped, unbuilt, ours)] == [Condition("ready")] * 3


@pytest.mark.parametrize("name", NAMES)
def test_a_single_changed_byte_is_found(shipped, places, reader, name):
    damage(shipped.bundle / name)
    assert verify(shipped, places, reader).state == "damaged"


@pytest.mark.parametrize("name", [*NAMES, storage.MEMORY])
def test_a_changed_byte_of_what_was_added_or_kept_is_found(unbuilt, places, pipeline, reader, name):
    entry = build(places, pipeline)
    opened(unbuilt, pipeline, places)
    damage(entry.bundle / name)
    found = verify(entry, places, reader)
    assert (found.state, "bundle" in found.reason) == ("damaged", True)
    damage(kept_folder(unbuilt, reader, places) / name)
    found = verify(unbuilt, places, reader)
    assert (found.state, "made again when it is opened" in found.reason) == ("ready", True)


def test_a_text_that_is_gone_or_changed_is_named(shipped, places, reader):
    shipped.files[0].write_text(OWN, "utf-8")
    assert verify(shipped, places, reader) == Condition(
        "stale", "Its text text.txt is not the one that its manifest names."
    )
    shipped.files[0].unlink()
    assert verify(shipped, places, reader) == Condition("damaged", "Its text text.txt is missing; restore it.")


def test_a_bundle_of_an_earlier_version_is_stale_and_not_damaged(places, pipeline, reader, monkeypatch):
    entry = build(places, pipeline)
    monkeypatch.setattr(storage, "FORMAT", storage.FORMAT + 1)
    assert verify(entry, places, reader).state == "stale"


# Removing


@pytest.mark.parametrize("harm", ["none", "manifest", "bundle", "unfinished"])
def test_what_was_added_is_removed_in_whatever_state_it_is(places, pipeline, harm):
    entry = build(places, pipeline)
    if harm == "manifest":
        (entry.folder / "manifest.json").write_text("{", "utf-8")
    elif harm == "bundle":
        shutil.rmtree(entry.bundle)
    elif harm == "unfinished":
        places.building.joinpath("mine").mkdir()
        entry.folder.rename(places.building / "mine" / "bundle")
    assert (remove("mine", places), remove("mine", places)) == (True, False)
    assert set(held(places.root)) == {"building/.mine.lock"}


def test_nothing_of_a_private_text_is_left_when_it_is_removed(unbuilt, places, pipeline, tiny_model, encoder):
    private = build(places, pipeline)
    build(places, pipeline, "mine-too")
    others = MemoRAGLite(tiny_model, encoder)  # for them, the memory is kept apart, with the text
    for entry in (private, unbuilt, Catalogue(places.added, places.root / "none").entries()["mine-too"]):
        opened(entry, others, places)
    assert len(list(places.kept.iterdir())) == 3
    assert remove("mine", places)
    assert sorted(path.name.rpartition("-")[0] for path in places.kept.iterdir()) == ["mine-too", "tide-mill"]
    assert [path for path, data in held(places.root).items() if b"Hildegard" in data and "mine-too" not in path] == []


@pytest.mark.parametrize("slug", ["..", "../..", "/", "harry-potter/..", ".", "", "*", "a\0b", "../kept/x"])
def test_remove_never_leaves_its_folder(places, slug):
    for name in ("kept/x/y", "added/own/x", "building/own/x", "../visitors/x"):
        written(places.root / name)
    before = held(places.root.parent)
    with pytest.raises(InputError, match="is no name of a corpus"):
        remove(slug, places)
    assert held(places.root.parent) == before


def test_a_link_in_the_place_of_an_entry_is_removed_and_not_what_it_leads_to(places, tmp_path):
    written(tmp_path / "elsewhere" / "letter.txt")
    places.added.mkdir(parents=True)
    (places.added / "mine").symlink_to(tmp_path / "elsewhere")
    assert remove("mine", places)
    assert not (places.added / "mine").is_symlink()
    assert (tmp_path / "elsewhere" / "letter.txt").is_file()


# What is left over


@pytest.fixture
def here(places, tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "_BUSY_SECONDS", -1)  # nothing here is at work
    return Catalogue(places.added, tmp_path / "catalogue")


def found(catalogue, places, reader):
    return {
        leftover.path.relative_to(places.root).as_posix(): leftover.size
        for leftover in leftovers(catalogue, places, reader)
    }


def test_what_was_changed_a_moment_ago_may_be_at_work(here, places, reader, monkeypatch):
    monkeypatch.setattr(upkeep, "_BUSY_SECONDS", 60)
    for name in ("fetched/0123/part", "kept/.mine-0123.45.partial/x", "kept/gone-0123456789abcdef/x"):
        written(places.root / name)
    assert found(here, places, reader) == {}
    old = places.fetched / "0123"
    for path in (old / "part", old):
        os.utime(path, (time.time() - 61,) * 2)
    assert set(found(here, places, reader)) == {"fetched/0123"}


def test_where_there_is_nothing_nothing_is_left_over(here, places, reader):
    assert found(here, places, reader) == {}
    assert not places.root.exists()


def test_what_is_needed_is_none_of_it(here, shipped, places, pipeline, reader, tiny_model, encoder):
    build(places, pipeline)
    others = MemoRAGLite(tiny_model, encoder)
    for models in (pipeline, others):
        opened(shipped, models, places)
    mine = kept_folder(shipped, reader, places)
    theirs = kept_folder(shipped, others.memorizer, places)
    assert set(found(here, places, reader)) == {f"kept/{theirs.name}"}
    assert set(found(here, places, others.memorizer)) == {f"kept/{mine.name}"}


def test_a_memory_of_a_text_that_was_changed_is_left_over(here, shipped, places, pipeline, reader):
    opened(shipped, pipeline, places)
    kept = kept_folder(shipped, reader, places)
    shipped.files[0].write_text(OWN, "utf-8")
    size = sum(map(len, held(kept).values()))
    assert found(here, places, reader) == {f"kept/{kept.name}": size}


def test_a_memory_of_an_entry_that_is_not_offered_is_needed(shipped, places, pipeline, reader):
    opened(shipped, pipeline, places)
    elsewhere = Catalogue(places.added, shipped.folder.parent, ("another",), with_private=False)
    assert elsewhere.entries() == {}
    assert found(elsewhere, places, reader) == {}


def test_downloads_and_what_was_left_unfinished_can_go_and_nothing_else(here, places, reader):
    gone = ["building/mine/bundle/x", "fetched/0123/mill.txt", "fetched/loose.txt", "added/.mine.0123abcd.old/x"]
    stays = ["../visitors/x", "../models/x", "added/mine/x", ".lock", "another/manifest.json", "building/.mine.lock"]
    before = ["an-earlier-one/chunks.json", "an-earlier-one/manifest.json"]
    for name in (*gone, *stays, *before):
        written(places.root / name)
    assert found(here, places, reader) == {
        "building/mine": 1000,
        "fetched/0123": 1000,
        "fetched/loose.txt": 1000,
        "added/.mine.0123abcd.old": 1000,
        "an-earlier-one": 2000,
    }
    for leftover in leftovers(here, places, reader):
        folders.delete(leftover.path)
    assert {name.removeprefix("corpora/") for name in held(places.root.parent)} == {
        name.removeprefix("../") for name in stays
    }


def test_what_is_being_built_just_now_is_no_leftover(here, places, reader):
    for slug in ("mine", "theirs"):
        written(places.building / slug / "bundle" / "x")
    with building.claimed(places, "mine"):
        assert set(found(here, places, reader)) == {"building/theirs"}
        first = next(upkeep.leftovers(here, places, reader))
        assert first.path.name == "theirs"
    assert set(found(here, places, reader)) == {"building/mine", "building/theirs"}


def test_nobody_can_begin_to_build_what_is_just_being_deleted(here, places, reader):
    written(places.building / "mine" / "bundle" / "x")
    for leftover in leftovers(here, places, reader):
        with pytest.raises(InputError, match="is being built by another program"), building.claimed(places, "mine"):
            pass
        folders.delete(leftover.path)
    with building.claimed(places, "mine"):
        assert not (places.building / "mine").exists()
