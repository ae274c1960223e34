"""What the tests of the command line share: running it in a cache folder of its own, and what it says."""

from __future__ import annotations

import functools

import pytest

from demo import corpora
from demo.catalogue import Catalogue
from demo.corpora import main
from tests.demo.own_corpora import OWN


@pytest.fixture
def command(places, monkeypatch, capsys):
    """Run the command line in a cache folder of its own; return (status, stdout, stderr)."""
    monkeypatch.setenv("MEMORAG_CACHE_DIR", str(places.root.parent))

    def run(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def loaded(monkeypatch, pipeline):
    """Models that were loaded before: loading them takes seconds."""
    monkeypatch.setattr(corpora, "load_models", lambda settings: pipeline.fork())


@pytest.fixture
def few(monkeypatch, shipped):
    """Nothing ships but a small entry, which is returned."""
    monkeypatch.setattr(corpora, "Catalogue", functools.partial(Catalogue, shipped=shipped.folder.parent))
    return shipped


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "own book.txt"
    path.write_text(OWN, "utf-8")
    return path


def done(result):
    """Return what a command said that went well."""
    status, out, err = result
    assert (status, err) == (0, "")
    return out


def refused(result, *words):
    """Check that a command was refused in one sentence with these words, and return what it said before."""
    status, out, err = result
    assert (status, err.count("\n"), err[-2:]) == (1, 1, ".\n")
    assert [word for word in words if word not in err] == []
    return out
