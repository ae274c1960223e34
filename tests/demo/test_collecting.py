"""Python's search for unused objects: rare while the program starts, and afterwards as it was."""

from __future__ import annotations

import gc
import weakref

import pytest

from demo.collecting import collect_as_usual, collect_rarely
from demo.models import Models
from engine.settings import Settings


class Knot:
    """An object that holds itself, so that only the search can free it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def usual():
    found = gc.get_threshold()
    yield found
    collect_as_usual()
    gc.unfreeze()
    gc.set_threshold(*found)


def test_a_start_makes_no_search_and_what_comes_later_is_searched_as_before(usual):
    collect_rarely()
    before = [generation["collections"] for generation in gc.get_stats()]
    kept = [[number] for number in range(100_000)]
    assert [generation["collections"] for generation in gc.get_stats()] == before
    collect_as_usual()
    assert gc.get_threshold() == usual
    assert gc.get_freeze_count() >= len(kept)
    knot = weakref.ref(Knot())
    gc.collect()
    assert knot() is None


def test_it_is_as_usual_after_any_number_of_calls(usual):
    collect_rarely()
    collect_rarely()
    collect_as_usual()
    collect_as_usual()
    assert gc.get_threshold() == usual


def test_without_a_start_nothing_is_left_out_of_the_search(usual):
    frozen = gc.get_freeze_count()
    collect_as_usual()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (usual, frozen)


def test_it_is_as_usual_once_the_models_have_been_loaded_even_in_vain(usual, tmp_path):
    collect_rarely()
    models = Models(Settings(model=str(tmp_path), cache_dir=tmp_path / "cache"))
    models.load()
    assert models.failure is not None
    assert gc.get_threshold() == usual
