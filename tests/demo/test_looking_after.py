"""The command line of the catalogue: verify, prune, ship, publish and pull."""

from __future__ import annotations

import shutil

import pytest

from demo import corpora, opening, upkeep
from demo.catalogue import Catalogue, sum_of
from engine import storage
from engine.settings import from_environment
from tests.demo import commands, own_corpora
from tests.demo.commands import done, refused
from tests.demo.own_corpora import OTHER, OWN, added, damage, held, opened, text_of
from tests.hub_server import HubServer, client_of

pipeline, places = own_corpora.pipeline, own_corpora.places
command, loaded, book = commands.command, commands.loaded, commands.book
few, shipping, shipped = commands.few, own_corpora.shipping, own_corpora.shipped
REPOSITORY = "someone/corpora"


# Looking after it


@pytest.mark.models
def test_verify_tells_what_is_whole_and_what_is_not(command, loaded, few, places, book):
    done(command("build", "mine", book))
    assert done(command("verify")) == "mine: ready\ntide-mill: ready\n"
    damage(places.added / "mine" / "bundle" / storage.MEMORY)
    few.files[0].write_text(OTHER, "utf-8")
    (places.added / "broken").mkdir()
    (places.added / "broken" / "manifest.json").write_text("{", "utf-8")
    said = refused(command("verify"), "Corpora that cannot be used as they are: 3.").splitlines()
    assert said[0].startswith("mine: damaged. The bundle 'bundle' is")
    assert said[0].endswith("Press Rebuild on the page, or: python -m demo.corpora build mine SOURCES")
    assert said[1:] == [
        "tide-mill: stale. Its text text.txt is not the one that its manifest names. Restore its folder, or make its "
        "bundle anew: python -m demo.corpora ship tide-mill",
        "broken: damaged. Its manifest cannot be read; build or pull it again, or remove it",
    ]
    assert "tide-mill: The tide-mill (en, shipped, stale)" in done(command("list"))
    refused(command("verify", "tide-mill"), "they are: 1.")
    refused(command("verify", "broken"), "they are: 1.")
    done(command("build", "mine", book))
    assert done(command("verify", "mine")) == "mine: ready\n"


@pytest.mark.models
def test_prune_deletes_what_nobody_needs_and_tells_how_much(command, loaded, few, places, pipeline, book, monkeypatch):
    monkeypatch.setattr(upkeep, "_BUSY_SECONDS", -1)  # nothing here is at work
    done(command("build", "mine", book))
    opened(few, pipeline, places)
    kept = opening.kept_folder(few, pipeline.memorizer, places)
    shutil.copytree(kept, places.kept / "gone-0123456789abcdef")
    (places.fetched / "0123").mkdir(parents=True)
    size = sum(map(len, held(kept).values())) / 1e6
    assert done(command("prune")) == (
        f"Deleted gone-0123456789abcdef ({size:,.1f} MB).\nDeleted 0123 (0.0 MB).\n{size:,.1f} MB are free again.\n"
    )
    assert done(command("prune")) == "There was nothing left over.\n"
    assert done(command("verify")) == "mine: ready\ntide-mill: ready\n"
    assert list(places.kept.iterdir()) == [kept]


@pytest.mark.models
def test_ship_makes_the_bundle_and_the_sums_anew_and_leaves_the_rest(command, loaded, few, places, pipeline):
    few.files[0].write_text(OTHER, "utf-8")
    before = few.manifest
    said = done(command("ship", "tide-mill"))
    size = sum(map(len, held(few.bundle).values())) / 1000
    assert said == f"Made tide-mill anew: {size:,.0f} kB beside its texts.\n"
    after = Catalogue(places.added, few.folder.parent).entries()["tide-mill"]
    assert after.manifest.sha256 == {"text.txt": sum_of(few.files[0])}
    apart = {"sha256": {}, "bundle": None}
    assert after.manifest.model_copy(update=apart) == before.model_copy(update=apart)
    assert set(held(few.folder)) == {
        "manifest.json",
        "text.txt",
        *(f"bundle/{name}" for name in (storage.MANIFEST, storage.CHUNKS, storage.INDEX)),
    }
    modes = {path: path.stat().st_mode & 0o044 for path in few.folder.rglob("*.json")}
    assert set(modes.values()) == {0o044}, "whoever may read the project may read it"
    assert opening.condition(after, places, pipeline.memorizer).state == "ready"
    assert text_of(opened(after, pipeline, places)[0]) == OTHER


# The Hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with HubServer() as server, client_of(server.url, tmp_path):
        monkeypatch.setenv("HF_TOKEN", server.token)
        yield server


@pytest.mark.models
def test_what_is_shared_can_be_published_and_pulled_elsewhere(
    command, loaded, few, hub, places, book, pipeline, monkeypatch
):
    done(command("build", "mine", book))
    done(command("build", "ours", book, "--shared"))
    refused(command("publish", "ours", "mine", "--repo", REPOSITORY), "'mine' is private")
    assert REPOSITORY not in hub.datasets
    opened(few, pipeline, places)
    said = done(command("publish", "ours", "tide-mill", "--repo", REPOSITORY))
    commit = hub.commit(REPOSITORY)
    assert said == f"Published ours, tide-mill as {REPOSITORY}@{commit}.\n"
    assert "tide-mill/bundle/memory.bin" in hub.datasets[REPOSITORY]["main"], "with the memory that was kept"
    everything = b"".join(hub.datasets[REPOSITORY]["main"].values())
    assert str(book.parent).encode() not in everything
    there = "ours: ours (en, not stated)\ntide-mill: The tide-mill (en, CC0-1.0)\n"
    assert done(command("list", "--repo", REPOSITORY)) == f"{there}This is {REPOSITORY}@{commit}.\n"

    monkeypatch.setenv("MEMORAG_CACHE_DIR", str(places.root.parent.parent / "elsewhere"))
    refused(command("pull"), "--repo OWNER/NAME, or the variable MEMORAG_CORPORA_REPO")
    assert done(command("pull", "ours", "--repo", f"{REPOSITORY}@{commit}")) == "ours: pulled\n"
    monkeypatch.setenv("MEMORAG_CORPORA_REPO", REPOSITORY)
    assert done(command("pull")) == "ours: unchanged\ntide-mill: pulled\n"
    said = refused(command("pull", "ours", "theirs"), "Not all of them were pulled").splitlines()
    assert said[0] == "ours: unchanged"
    assert said[1].startswith("theirs: ")
    assert "has no corpus 'theirs'" in said[1]
    listed = done(command("list")).splitlines()
    assert listed == ["ours: ours (en, pulled)", "tide-mill: The tide-mill (en, pulled)"]
    elsewhere = corpora.places(from_environment().cache_dir)
    into, steps, missing = opened(added(elsewhere, "ours"), pipeline, elsewhere)
    assert (text_of(into), steps.read_the_text, missing) == (OWN, False, [()])


@pytest.mark.models
def test_a_text_that_was_changed_is_not_published_under_the_sums_of_another(
    command, loaded, few, hub, places, pipeline
):
    whole = held(few.bundle)
    few.files[0].write_text(OTHER, "utf-8")
    opening.rebuild_shipped(few, pipeline.fork(), places)
    done(command("publish", "tide-mill", "--repo", REPOSITORY))
    published = hub.datasets[REPOSITORY]["main"]
    assert {name: published[f"tide-mill/bundle/{name}"] for name in whole} == whole


@pytest.mark.models
def test_publishing_takes_a_token(command, loaded, few, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    refused(command("publish", "tide-mill", "--repo", REPOSITORY), "HF_TOKEN")
    assert hub.requests == []
