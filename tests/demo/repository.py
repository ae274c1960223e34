"""What the tests of publishing and pulling share: entries with bundles, and a repository on a stand-in for the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from demo import catalogue, sharing
from demo.catalogue import Entry, Places, Seal, Source
from engine import storage
from tests.hub_server import HubServer, client_of

NAME = "someone/corpora"
TOKEN = "hf_right"
MODEL = "the model's fingerprint"
INDEX = {"vectors": torch.arange(600, dtype=torch.float32).reshape(50, 12)}
MEMORY = {"keys.0": torch.arange(4000, dtype=torch.float32)}
FILES = (storage.MANIFEST, storage.CHUNKS, storage.INDEX, storage.MEMORY)


@pytest.fixture
def hub(tmp_path) -> Iterator[HubServer]:
    with HubServer() as server, client_of(server.url, tmp_path):
        yield server


@pytest.fixture
def places(tmp_path) -> Places:
    return catalogue.places(tmp_path / "cache")


def built(
    root: Path, slug: str = "tide-mill", text: str = "The tide mill.", with_memory: bool = True, by: int = 1, **facts
) -> Entry:
    """An entry that was built here, with a bundle; ``by`` makes its tensors others."""
    bundle = root / slug / catalogue.BUNDLE
    made = {"kind": "lite", "language": "en", "memory_model": {"name": "tiny", "fingerprint": MODEL}}
    chunks = {"documents": [{"name": "mill.txt"}], "gists": [[0, 0, 5, text]]}
    index, memory = ({name: tensor * by for name, tensor in tensors.items()} for tensors in (INDEX, MEMORY))
    storage.write(bundle, made, chunks, index, memory if with_memory else None)
    manifest = catalogue.Manifest(
        slug=slug,
        title=f"The {slug}",
        description="A small text.",
        language="en",
        licence="CC0-1.0",
        documents=("mill.txt",),
        sha256={"mill.txt": hashlib.sha256(text.encode()).hexdigest()},
        questions=({"question": "What does the mill grind?", "kind": "fact"},),
        made_from=(Source(kind="files", places=("/books/mill.txt",)),),
    )
    seal = Seal(manifest=catalogue.sum_of(bundle / storage.MANIFEST), texts=manifest.texts_sum)
    manifest = manifest.model_copy(update={"bundle": seal} | facts)
    (root / slug / catalogue.MANIFEST).write_text(manifest.model_dump_json(), "utf-8")
    return Entry(manifest, root / slug, "built", "1")


def publish(*entries: Entry, **asked) -> str:
    return sharing.publish(entries, NAME, **{"token": TOKEN} | asked)


def pull(places: Places, *slugs: str, at: str = NAME, **asked) -> dict[str, str]:
    return sharing.pull(at, slugs, places, **{"token": TOKEN} | asked)


def held(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files(hub: HubServer) -> dict[str, bytes]:
    return hub.datasets[NAME]["main"]


def replace(hub: HubServer, **changed: bytes | None) -> None:
    """Commit other contents of files (None: delete it)."""
    hub.revisions(NAME, hub.datasets)  # the commit before stays
    everything = {**files(hub), **changed}
    hub.datasets[NAME]["main"] = {path: data for path, data in everything.items() if data is not None}


def downloads(hub: HubServer) -> list[str]:
    found = {path.split("/", 5)[5] for method, path, _ in hub.requests if method == "GET" and "/resolve/" in path}
    return sorted(found)
