"""Repositories that hold something else than they should: nothing of it is taken, and nothing here changes."""

from __future__ import annotations

import hashlib
import json

import pytest

from demo import sharing
from demo.catalogue import Seal
from engine import storage
from tests.demo import repository
from tests.demo.repository import FILES, NAME, TOKEN, built, downloads, files, held, publish, pull, replace

hub, places = repository.hub, repository.places


# What is wrong with a repository


def tampered(path: str, data: bytes) -> bytes:
    """Change a file, in the least way that can still be read."""
    if path == "tide-mill/manifest.json":
        own = json.loads(data)["sha256"]["mill.txt"].encode()
        return data.replace(own, hashlib.sha256(own).hexdigest().encode())
    return data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("path", [f"tide-mill/bundle/{name}" for name in FILES] + ["tide-mill/manifest.json"])
def test_a_file_that_was_tampered_with_is_not_taken(hub, places, tmp_path, path, is_listed):
    publish(built(tmp_path / "one"), built(tmp_path / "one", "lamp"))
    pull(places)
    publish(built(tmp_path / "two", text="Another text.", by=2))
    changed = tampered(path, files(hub)[path])
    if is_listed:  # by who may write to the repository
        replace(hub, **{path: changed})
    else:  # on the way
        hub.lies[path] = changed
    before = held(places.added)
    results = pull(places)
    assert results["lamp"] == "unchanged"
    assert results["tide-mill"] not in ("pulled", "unchanged")
    assert held(places.added) == before
    hub.lies.clear()
    publish(built(tmp_path / "two", text="Another text.", by=2))
    assert pull(places, "tide-mill") == {"tide-mill": "pulled"}, "once it is right again, it is taken"


@pytest.mark.parametrize("change", [b"", b"and more"])
def test_a_file_that_is_shorter_or_longer_than_listed_is_not_fetched(hub, places, tmp_path, change):
    publish(built(tmp_path / "here"))
    path = "tide-mill/bundle/memory.bin"
    hub.lies[path] = files(hub)[path] + change if change else files(hub)[path][:-1]
    said = pull(places)["tide-mill"]
    assert ("has more bytes than the" if change else "bytes, not") in said
    assert not places.added.exists()


def test_a_bundle_that_names_other_files_is_not_fetched(hub, places, tmp_path):
    entry = built(tmp_path / "here")
    publish(entry)
    whole = storage.read_manifest(entry.bundle)
    for change in (
        {"../../run.py": {"bytes": 5, "sha256": "0" * 64}},
        {"memory.bin": {"bytes": 5, "sha256": "0" * 64}},
    ):
        altered = {**whole, "files": {**whole["files"], **change}}
        data = json.dumps(altered | {"sha256": storage._sum_of(altered)}).encode()
        seal = Seal(manifest=hashlib.sha256(data).hexdigest(), texts=entry.manifest.texts_sum)
        manifest = entry.manifest.model_copy(update={"bundle": seal}).model_dump_json().encode()
        replace(
            hub, **{"tide-mill/bundle/manifest.json": data, "tide-mill/manifest.json": manifest, "run.py": b"12345"}
        )
        hub.requests.clear()
        assert "lists other files than are there" in pull(places)["tide-mill"]
        assert downloads(hub) == ["tide-mill/bundle/manifest.json", "tide-mill/manifest.json"]
    assert not places.added.exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"slug": "another"}, "does not belong to it"),
        ({"private": True}, "does not belong to it"),
        ({"bundle": None}, "does not belong to it"),
        ({"title": "two\nlines"}, "cannot be read"),
        ({"sha256": {}}, "cannot be read"),
    ],
)
def test_a_manifest_that_is_not_one_is_left_out(hub, places, tmp_path, changed, said, caplog):
    publish(built(tmp_path / "here"), built(tmp_path / "here", "lamp"))
    altered = json.loads(files(hub)["tide-mill/manifest.json"]) | changed
    replace(hub, **{"tide-mill/manifest.json": json.dumps(altered).encode()})
    results = pull(places)
    assert said in results["tide-mill"]
    assert results["lamp"] == "pulled"
    assert list(sharing.listing(NAME, token=TOKEN)[0]) == ["lamp"]
    assert said in caplog.text
    publish(built(tmp_path / "here", "third"))
    assert "| tide-mill |" not in files(hub)["README.md"].decode(), "it keeps nobody from publishing"


def test_a_manifest_that_is_too_large_is_not_fetched(hub, places, tmp_path):
    publish(built(tmp_path / "here"))
    replace(hub, **{"tide-mill/manifest.json": b" " * (2**22 + 1)})
    hub.requests.clear()
    assert "is too large: 4194305 bytes" in pull(places)["tide-mill"]
    assert not hub.fetched()


def test_what_the_repository_lacks_is_said_and_the_rest_is_pulled(hub, places, tmp_path):
    publish(built(tmp_path / "here"), built(tmp_path / "here", "lamp"), built(tmp_path / "here", "third"))
    replace(hub, **{"third/bundle/index.bin": None, "Not A Slug/manifest.json": b"{}"})
    results = pull(places, "lamp", "missing", "../lamp", "Not A Slug", "third")
    lacks = "has no corpus {!r}; it has: lamp, third, tide-mill."
    assert results["lamp"] == "pulled"
    for slug in ("missing", "../lamp", "Not A Slug"):
        assert results[slug].endswith(lacks.format(slug))
    assert "third/bundle/index.bin is missing; publish it again" in results["third"]
    assert pull(places) == {"lamp": "unchanged", "third": results["third"], "tide-mill": "pulled"}
