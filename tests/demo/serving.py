"""What the tests of ready-made corpora on a running server share: corpora that come and go, and ways to spoil them."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest

from demo import building, folders
from demo.catalogue import Source
from demo.service import Service
from engine import storage
from engine.documents import Document
from tests.demo.own_corpora import OWN, build, remade


@pytest.fixture
def running(service):
    """The shared service; what a test adds is gone afterwards."""
    yield service
    service.delete("anna")
    for folder in (service.ready_made.places.added, service.ready_made.places.building):
        folders.delete(folder)
    service.sweep()


@pytest.fixture
def built(running, tmp_path):
    """Build a corpus of a text and return its entry; it came from a file."""

    def make(slug="dragon", words=OWN, **said):
        book = tmp_path / f"{slug}.txt"
        book.write_text(words, "utf-8")
        document, source = Document(f"{slug}.txt", words), Source(kind="files", places=(str(book),))
        said = {"title": f"The {slug}", "made_from": (source,), **said}
        return build(running.ready_made.places, running.models.get(), slug, document, **said)

    return make


def opened(service, corpus, visitor="anna"):
    """Open a corpus and return its text."""
    job = service.open(corpus, visitor)
    assert job.wait(60)
    assert job.snapshot().error is None, job.snapshot().error
    return service.pipeline(corpus, visitor).memorized.documents[0].text


@contextmanager
def another(service, folder=None, **settings):
    """Another server over the same cache folder; it has no models until it is started."""
    made = Service(replace(service.settings, **settings), folder or service.ready_made._catalogue.shipped)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def started(service, until, **settings):
    """Start another server over the same cache folder, with models of its own."""
    with another(service, **settings) as server:
        server.start()
        until(lambda: server.models.is_loaded, 120, "the models")
        assert server.models.failure is None
        yield server


def of_another_retriever(entry):
    made = storage.read_manifest(entry.bundle)["retriever"]
    remade(entry.bundle, retriever=made | {"fingerprint": "another"})
    building.seal_and_write(entry.folder, entry.manifest)


def of_another_format(entry):
    manifest = storage.read_manifest(entry.bundle)
    (entry.bundle / storage.MANIFEST).write_text(json.dumps(manifest | {"format": storage.FORMAT + 1}), "utf-8")
    building.seal_and_write(entry.folder, entry.manifest)


def cut(entry):
    path = entry.bundle / storage.INDEX
    path.write_bytes(path.read_bytes()[:-100])


def without_its_texts(entry):
    (entry.bundle / storage.CHUNKS).unlink()


def with_another_seal(entry):
    remade(entry.bundle, language="zh")


def without_a_bundle(entry):
    shutil.rmtree(entry.bundle)
