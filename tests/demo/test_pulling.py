"""What is pulled of a repository, and what happens to what is here already and to pulls that fail."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterator

import pytest

from demo import catalogue, folders, sharing
from engine import storage
from engine.errors import BundleError, Cancelled
from engine.events import Stop
from tests.demo import repository
from tests.demo.repository import FILES, MODEL, NAME, TOKEN, built, downloads, files, held, publish, pull, replace
from tests.hub_server import client_of

hub, places = repository.hub, repository.places


# What is pulled


def test_only_what_was_asked_for_and_is_needed_is_downloaded(hub, places, tmp_path):
    publish(built(tmp_path / "here"), built(tmp_path / "here", "lamp"))
    replace(hub, **{"tide-mill/bundle/run.py": b"import os", "tide-mill/model.pkl": b"pickle"})
    hub.requests.clear()
    assert pull(places, "tide-mill") == {"tide-mill": "pulled"}
    assert downloads(hub) == sorted(("tide-mill/manifest.json", *(f"tide-mill/bundle/{name}" for name in FILES)))
    assert sorted(held(places.added)) == downloads(hub)


def test_a_memory_of_another_model_is_left_out(hub, places, tmp_path):
    entry = built(tmp_path / "here")
    publish(entry)
    hub.requests.clear()
    assert pull(places, memory_model="another") == {"tide-mill": "pulled"}
    assert "tide-mill/bundle/memory.bin" not in hub.fetched()
    bundle = places.added / "tide-mill" / "bundle"
    assert storage.read(bundle).memory is None
    seal = catalogue.Catalogue(places.added, tmp_path / "none").entries()["tide-mill"].manifest.bundle
    assert seal.manifest == catalogue.sum_of(bundle / storage.MANIFEST) != entry.manifest.bundle.manifest
    assert pull(places, memory_model="another") == {"tide-mill": "unchanged"}
    replace(hub, **{"other.txt": b"another commit"})
    assert pull(places, memory_model="another") == {"tide-mill": "unchanged"}
    hub.requests.clear()
    assert pull(places, memory_model=MODEL) == {"tide-mill": "pulled"}
    assert "tide-mill/bundle/memory.bin" in downloads(hub)
    assert "tide-mill/bundle/index.bin" not in downloads(hub), "what is here is not downloaded again"
    assert held(bundle) == held(entry.bundle)


def test_what_is_here_costs_no_download(hub, places, tmp_path):
    commit = publish(built(tmp_path / "here"), built(tmp_path / "here", "lamp"))
    pull(places)
    before = held(places.added)
    hub.requests.clear()
    assert pull(places) == {"lamp": "unchanged", "tide-mill": "unchanged"}
    assert not hub.fetched()
    hub.requests.clear()
    assert pull(places, "lamp", "tide-mill", at=f"{NAME}@{commit}", token="hf_wrong") == {
        "lamp": "unchanged",
        "tide-mill": "unchanged",
    }
    assert not hub.requests, "a commit never changes, so nothing is asked"
    publish(built(tmp_path / "here", "third"))
    hub.requests.clear()
    assert pull(places, "lamp") == {"lamp": "unchanged"}
    assert downloads(hub) == ["lamp/bundle/manifest.json", "lamp/manifest.json"]
    assert held(places.added) == before


def test_what_changed_is_pulled_and_what_did_not_is_used_again(hub, places, tmp_path):
    publish(built(tmp_path / "one"))
    pull(places)
    hub.requests.clear()
    changed = built(tmp_path / "two", text="Another text.")
    publish(changed)
    hub.requests.clear()
    assert pull(places) == {"tide-mill": "pulled"}
    assert downloads(hub) == [
        f"tide-mill/{name}" for name in ("bundle/chunks.json", "bundle/manifest.json", "manifest.json")
    ]
    assert held(places.added / "tide-mill" / "bundle") == held(changed.bundle)


@pytest.mark.parametrize("name", [*(f"bundle/{name}" for name in FILES), "manifest.json"])
def test_a_pulled_corpus_that_was_damaged_here_is_made_good(hub, places, tmp_path, name):
    publish(built(tmp_path / "here"))
    pull(places)
    path = places.added / "tide-mill" / name
    before = held(places.added)
    path.write_bytes(b"damaged")
    said = pull(places, at=f"{NAME}@{hub.commit(NAME)}")["tide-mill"]
    if name == "manifest.json":
        assert "was not pulled, so it stays; remove it first" in said, "nobody can tell what that was"
    else:
        assert (said, held(places.added)) == ("pulled", before)


def test_a_revision_that_is_pinned_stays_when_main_moves(hub, places, tmp_path):
    one = built(tmp_path / "one")
    commit = publish(one)
    publish(built(tmp_path / "two", text="Another text."))
    assert pull(places, at=f"{NAME}@{commit}") == {"tide-mill": "pulled"}
    assert held(places.added / "tide-mill" / "bundle") == held(one.bundle)
    assert sharing.listing(f"{NAME}@{commit}", token=TOKEN)[1] == commit


def test_a_corpus_that_was_built_here_stays(hub, places, tmp_path):
    publish(built(tmp_path / "here"), built(tmp_path / "here", "lamp"))
    built(places.added, text="My own text.")
    before = held(places.added)
    results = pull(places)
    assert results["lamp"] == "pulled"
    assert results["tide-mill"] == "The corpus 'tide-mill' that is here was not pulled, so it stays; remove it first."
    assert {path: data for path, data in held(places.added).items() if path.startswith("tide-mill/")} == before


# What goes wrong on the way


def test_a_download_that_breaks_off_goes_on_where_it_stopped(hub, places, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    entry = built(tmp_path / "here")
    publish(entry)
    hub.breaking["tide-mill/bundle/memory.bin"] = 5500
    assert pull(places) == {"tide-mill": "pulled"}
    assert hub.ranges == ["bytes=5000-"]
    assert held(places.added / "tide-mill" / "bundle") == held(entry.bundle)


def test_a_pull_that_failed_goes_on_with_the_files_that_are_missing(hub, places, tmp_path):
    publish(built(tmp_path / "here"), built(tmp_path / "here", "lamp"))
    hub.withheld.add("tide-mill/bundle/memory.bin")
    results = pull(places)
    assert results["lamp"] == "pulled"
    assert results["tide-mill"] == (
        f"The Hub refused access to '{NAME}': give a token that is valid and may read it (HF_TOKEN)."
    )
    assert not (places.added / "tide-mill").exists()
    hub.withheld.clear()
    hub.requests.clear()
    assert pull(places) == {"lamp": "unchanged", "tide-mill": "pulled"}
    assert downloads(hub) == ["tide-mill/bundle/memory.bin"]
    assert not list((places.fetched / "hub").glob("bundles--*"))


def test_a_pull_that_is_stopped_goes_on_the_next_time(hub, places, tmp_path):
    publish(built(tmp_path / "here"), built(tmp_path / "here", "lamp"))
    stop = Stop()

    def at_the_end_of_the_first(progress) -> None:
        if progress.done > progress.total // 2:
            stop.set()

    with pytest.raises(Cancelled):
        pull(places, on_progress=at_the_end_of_the_first, stop=stop)
    assert sorted(path.name for path in places.added.iterdir()) == ["lamp"]
    hub.requests.clear()
    assert pull(places) == {"lamp": "unchanged", "tide-mill": "pulled"}
    assert not [path for path in downloads(hub) if path.endswith("manifest.json")]


def test_what_the_hub_refuses_is_told_apart(hub, places, tmp_path):
    publish(built(tmp_path / "here"))
    hub.datasets["some/gated"] = {"main": {}}
    hub.gated = frozenset({"some/gated"})

    def said(at: str = NAME, token: str = "") -> str:
        with pytest.raises(BundleError) as told:
            pull(places, at=at, token=token)
        with pytest.raises(BundleError) as same:
            sharing.listing(at, token=token)
        assert str(told.value) == str(same.value)
        return str(told.value)

    missing = (
        "The Hub has no dataset repository {!r}, or it is private: check the name, or give a token that may read it"
    )
    assert said() == f"{missing.format(NAME)} (HF_TOKEN)."
    assert said("some/thing", TOKEN) == f"{missing.format('some/thing')} (HF_TOKEN)."
    assert said(token="hf_wrong") == (
        f"The Hub refused access to '{NAME}': give a token that is valid and may read it (HF_TOKEN)."
    )
    assert said("some/gated", TOKEN).startswith("The dataset repository 'some/gated' is gated: accept its terms")
    assert said(f"{NAME}@v9", TOKEN) == (
        f"The Hub has no such revision of '{NAME}@v9'; give a branch, a tag or a commit of it after the '@'."
    )
    assert said(f"{NAME}@{'0' * 40}", TOKEN).startswith("The Hub has no such revision of")
    assert pull(places, token="hf_reader") == {"tide-mill": "pulled"}


def test_who_may_not_write_cannot_publish(hub, tmp_path):
    entry = built(tmp_path / "here")
    for token in ("hf_wrong", "hf_reader"):
        with pytest.raises(BundleError) as told:
            publish(entry, token=token)
        assert str(told.value) == (
            f"The Hub refused access to '{NAME}': give a token that is valid and may write it (HF_TOKEN)."
        )
    publish(entry)
    before = files(hub)
    with pytest.raises(BundleError, match="may write it"):
        publish(built(tmp_path / "here", "lamp"), token="hf_reader")
    assert files(hub) == before


def test_a_hub_that_cannot_be_reached_is_said_so(places, tmp_path):
    with client_of("http://127.0.0.1:9", tmp_path):
        for ask in (pull, lambda places: publish(built(tmp_path / "here")), lambda _: sharing.listing(NAME)):
            with pytest.raises(BundleError, match=f"^The Hugging Face Hub cannot be reached for '{NAME}'"):
                ask(places)


def test_a_hub_that_is_lost_is_asked_no_more(hub, places, tmp_path, monkeypatch):
    from huggingface_hub import file_download

    publish(*(built(tmp_path / "here", slug) for slug in ("lamp", "mill", "ship")))
    asked = []

    def lost(*given, **facts):
        asked.append(given)
        raise ConnectionError("no network")

    monkeypatch.setattr(file_download, "http_get", lost)
    results = pull(places)
    assert len(asked) == 1
    assert len(set(results.values())) == 1
    assert results["ship"].startswith("The Hugging Face Hub cannot be reached")


@pytest.fixture
def little_room() -> Iterator[Callable[[int], None]]:
    """Sets how many bytes a file may have, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_there_is_no_room_it_is_said_so_and_nothing_changes(hub, places, tmp_path, little_room):
    publish(built(tmp_path / "one"), built(tmp_path / "one", "lamp"))
    pull(places)
    before = held(places.added)
    second = built(tmp_path / "two", text="Another text.", by=2)
    publish(second)
    little_room(len(held(second.bundle)[storage.MEMORY]) - 1)
    results = pull(places)
    assert results == {
        "lamp": "unchanged",
        "tide-mill": f"What '{NAME}' holds could not be stored in the cache folder: File too large.",
    }
    assert held(places.added) == before
    little_room(2**30)
    hub.requests.clear()
    assert pull(places, "tide-mill") == {"tide-mill": "pulled"}
    assert downloads(hub) == ["tide-mill/bundle/memory.bin"]


@pytest.mark.parametrize("place", ["fetched", "added"])
def test_a_cache_folder_that_cannot_be_written_is_told_apart(hub, places, tmp_path, place):
    publish(built(tmp_path / "here"))
    folder = folders.make(places.root) / place
    folder.write_text("a file, not a folder")
    if place == "fetched":
        with pytest.raises(BundleError, match=f"^What '{NAME}' holds could not be stored in the cache folder: "):
            pull(places)
    else:
        assert pull(places)["tide-mill"] == "The corpus 'tide-mill' could not be stored: File exists."
    assert folder.read_text() == "a file, not a folder"


def test_a_token_is_never_told(hub, places, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    secret = "hf_" + "s3cr3t" * 4
    hub.token = secret
    publish(built(tmp_path / "here"), token=secret)
    hub.withheld.add("tide-mill/bundle/memory.bin")
    said = [str(pull(places, token=secret)), str(pull(places, "missing", token=secret))]
    hub.token = "another"
    with pytest.raises(BundleError) as told:
        publish(built(tmp_path / "here"), token=secret)
    said += [repr(told.value), repr(told.value.__cause__), caplog.text, *capfd.readouterr()]
    assert secret not in "".join(said)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in written
