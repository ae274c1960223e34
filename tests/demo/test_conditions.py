"""How things stand with an entry, before it is opened: by names, sizes and what its manifests say."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from demo import building
from demo.catalogue import MANIFEST, parse, sum_of
from demo.corpora import ship
from demo.opening import Condition, condition, open_entry
from engine import storage
from engine.errors import BundleError
from tests.demo import own_corpora
from tests.demo.own_corpora import OWN, build, opened, remade

pytestmark = pytest.mark.models
pipeline, places = own_corpora.pipeline, own_corpora.places
unbuilt, shipping, shipped = own_corpora.unbuilt, own_corpora.shipping, own_corpora.shipped
NO_RETRIEVER = {"name": "some/encoder", "fingerprint": "0123456789abcdef"}
OTHER_RETRIEVER = "Its bundle was made with the retriever some/encoder (0123456789abcdef)"
UNBUILT = Condition("unbuilt", "It is memorised when it is first opened.")
CHANGED = Condition("stale", "Its text is not the one that its manifest names.")
OUTDATED = Condition("stale", "Its text was changed after it was memorised.")
UNSEALED = Condition("damaged", "Its bundle is not the one that its manifest names.")


def test_an_entry_of_texts_alone_is_unbuilt_until_it_is_kept(unbuilt, pipeline, places):
    assert condition(unbuilt, places) == condition(unbuilt, places, pipeline.memorizer) == UNBUILT
    open_entry(unbuilt, pipeline.fork(), places)
    assert condition(unbuilt, places, pipeline.memorizer) == Condition("ready")


def test_an_added_entry_is_ready_and_without_its_bundle_damaged(pipeline, places):
    entry = build(places, pipeline)
    assert condition(entry, places) == condition(entry, places, pipeline.memorizer) == Condition("ready")
    shutil.rmtree(entry.bundle)
    assert condition(entry, places) == Condition("damaged", "Its bundle is missing.")


@pytest.mark.parametrize("name", [storage.MANIFEST, storage.CHUNKS, storage.INDEX])
@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_a_file_that_is_missing_or_shorter_is_damage(shipped, pipeline, places, name, harm):
    path = shipped.bundle / name
    path.unlink() if harm == "gone" else path.write_bytes(path.read_bytes()[:-1])
    seen = condition(shipped, places, pipeline.memorizer)
    assert (seen.state, "bundle" in seen.reason) == ("damaged", True)
    with pytest.raises(BundleError) as refused:
        open_entry(shipped, pipeline.fork(), places)
    assert str(refused.value) == f"{shipped.title!r} has to be built again. {seen.reason}"


def test_a_bundle_that_its_entry_does_not_seal_is_not_taken(shipped, tmp_path, pipeline, places, write_entry):
    other = write_entry(tmp_path / "other", text=OWN)
    ship(other, pipeline.fork())
    shutil.rmtree(shipped.bundle)
    shutil.copytree(other.bundle, shipped.bundle)
    assert condition(shipped, places, pipeline.memorizer) == UNSEALED
    unsealed = write_entry(tmp_path / "third")
    shutil.copytree(other.bundle, unsealed.bundle)
    assert condition(unsealed, places) == UNSEALED


def test_a_bundle_of_another_format_is_stale(shipped, pipeline, places, monkeypatch):
    monkeypatch.setattr(storage, "FORMAT", storage.FORMAT + 1)
    for reader in (None, pipeline.memorizer):
        seen = condition(shipped, places, reader)
        assert (seen.state, "of another format (3)" in seen.reason) == ("stale", True)


@pytest.mark.parametrize("has_bundle", [True, False])
def test_a_text_that_was_changed_makes_its_entry_stale(shipped, pipeline, places, has_bundle):
    if not has_bundle:
        shutil.rmtree(shipped.bundle)
    shipped.files[0].write_text(OWN, "utf-8")
    assert condition(shipped, places) == condition(shipped, places, pipeline.memorizer) == CHANGED


def test_a_text_that_was_changed_together_with_its_sum_makes_its_bundle_stale(shipped, pipeline, places):
    shipped.files[0].write_text(OWN, "utf-8")
    sums = {name: sum_of(path) for name, path in zip(shipped.manifest.documents, shipped.files, strict=True)}
    changed = replace(shipped, manifest=shipped.manifest.model_copy(update={"sha256": sums}))
    assert condition(changed, places, pipeline.memorizer) == OUTDATED


def test_another_retriever_makes_an_added_entry_stale_and_one_that_ships_unbuilt(shipped, pipeline, places):
    remade(shipped.bundle, retriever=NO_RETRIEVER)
    ours = build(places, pipeline)
    remade(ours.bundle, retriever=NO_RETRIEVER)
    assert condition(shipped, places).state == condition(ours, places).state == "damaged", "its seal is another"
    sealed = [reseal(entry) for entry in (shipped, ours)]
    assert [condition(entry, places).state for entry in sealed] == ["ready", "ready"], "no models, no misfit"
    seen = [condition(entry, places, pipeline.memorizer) for entry in sealed]
    assert [at.state for at in seen] == ["unbuilt", "stale"]
    assert all(at.reason.startswith(OTHER_RETRIEVER) for at in seen)
    with pytest.raises(BundleError, match="some/encoder"):
        open_entry(sealed[1], pipeline.fork(), places)
    into, steps, _ = opened(sealed[0], pipeline, places)
    assert (steps.read_the_text, into.is_memorized) == (True, True)
    assert condition(sealed[0], places, pipeline.memorizer) == Condition("ready")


def reseal(entry):
    """Seal an entry's bundle as it is now, and return the entry."""
    building.seal_and_write(entry.folder, entry.manifest)
    return replace(entry, manifest=parse((entry.folder / MANIFEST).read_bytes()))
