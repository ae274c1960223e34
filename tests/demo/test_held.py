"""What is held of corpora in memory: never more than there is room for, whatever is opened in whatever order."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from demo import corpora, folders
from demo.held import Held, Library
from demo.service import Service
from engine.settings import Settings

NAMES = [f"mill-{number:02d}" for number in range(20)]
FEW = 3


def of_size(size: int, version: str = "") -> Held:
    """Something that takes ``size`` bytes."""
    return Held(SimpleNamespace(memorized=SimpleNamespace(nbytes=size)), "en", True, version)


def holding(most: int, **sizes: int) -> Library:
    library = Library(most)
    for corpus, size in sizes.items():
        library.put(corpus, of_size(size))
    return library


# The rule


def test_the_least_recently_used_goes_when_another_comes():
    library = holding(100, a=40, b=40)
    assert library.get("a") is not None
    library.put("c", of_size(40))
    assert (list(library), library.nbytes) == (["a", "c"], 80)


def test_as_many_go_as_is_needed_and_no_more():
    library = holding(100, a=30, b=30, c=30)
    library.put("d", of_size(60))
    assert list(library) == ["c", "d"]


def test_what_fits_exactly_stays():
    assert list(holding(100, a=60, b=40)) == ["a", "b"]
    assert list(holding(99, a=60, b=40)) == ["b"]


def test_what_is_larger_than_the_room_is_held_alone():
    library = holding(100, a=30, b=30)
    library.put("large", of_size(500))
    assert list(library) == ["large"]
    library.put("a", of_size(30))
    assert list(library) == ["a"]


def test_what_is_being_worked_on_stays_while_others_go():
    library = holding(100, a=40, b=40)
    library.put("c", of_size(40), busy={"a"})
    assert list(library) == ["a", "c"]
    library.make_room(60, busy={"a"})
    assert list(library) == ["a"]
    library.make_room(100)
    assert list(library) == []


def test_room_is_made_before_something_comes():
    library = holding(100, a=40, b=40)
    library.make_room(20)
    assert list(library) == ["a", "b"]
    library.make_room(21)
    assert list(library) == ["b"]
    library.make_room(1000)
    assert list(library) == []


def test_what_grows_takes_its_own_place_and_pushes_out_others():
    library = holding(100, a=40, b=10)
    library.put("b", of_size(70, "with its memory"))
    assert (list(library), library.get("b").version) == (["b"], "with its memory")


def test_what_was_dropped_is_gone_and_dropping_it_again_is_no_error():
    library = holding(100, a=40)
    library.drop("a")
    library.drop("a")
    assert ("a" in library, library.get("a"), library.nbytes) == (False, None, 0)


def test_going_through_what_is_held_allows_letting_it_go():
    library = holding(100, a=10, b=10)
    for corpus in library:
        library.drop(corpus)
    assert list(library) == []


# With corpora


class Measured(Library):
    """Notes the most bytes that were ever held."""

    peak = 0

    def put(self, corpus, held, busy=()):
        super().put(corpus, held, busy)
        self.peak = max(self.peak, self.nbytes)


@pytest.fixture(scope="module")
def twenty(cache_with_models, write_entry, tmp_path_factory):
    """A service with twenty ready-made corpora whose memory is read on first need."""
    folder = tmp_path_factory.mktemp("catalogue")
    entries = [write_entry(folder, name, f"The mill {name} has {len(name)} geese. " * 4) for name in NAMES]
    service = Service(Settings(cache_dir=cache_with_models(), device="cpu", threads=2), folder=folder)
    service.models.load()
    for entry in entries:
        corpora.ship(entry, service.models.get().fork())
    yield service
    service.close()


@pytest.fixture
def small(twenty, monkeypatch) -> Service:
    """That service with room for a few of them, and nothing open."""
    entry, reader = twenty.entries[NAMES[0]], twenty.models.get().memorizer
    size = max(twenty.ready_made.size(known, reader) for known in twenty.entries.values())
    assert twenty.ready_made.size(entry, reader) > 0
    monkeypatch.setattr(twenty, "_library", Measured(FEW * size))
    return twenty


@pytest.fixture
def watched(small, monkeypatch) -> list[int]:
    """The bytes at every step of any work: of what is held, what is being loaded, and memories that are being read."""
    moments, reader = [], small.models.get().memorizer
    sizes = {slug: small.ready_made.size(entry, reader) for slug, entry in small.entries.items()}
    opening, growing = small.ready_made.open, {}

    def look():
        others = sum(
            held.pipeline.memorized.nbytes for slug, held in small._library._held.items() if slug not in growing
        )
        moments.append(sum(growing.values()) + others)

    def watching(entry, pipeline, on_progress, stop, on_ready):
        def on_step(progress):
            growing[entry.slug] = sizes[entry.slug]
            look()
            on_progress(progress)

        def on_more():
            growing.pop(entry.slug, None)
            on_ready()
            look()

        growing[entry.slug] = sizes[entry.slug]
        look()
        try:
            opening(entry, pipeline, on_step, stop, on_more)
        finally:
            growing.pop(entry.slug, None)
            look()

    monkeypatch.setattr(small.ready_made, "open", watching)
    return moments


def opened(service: Service, corpus: str) -> None:
    job = service.open(corpus)
    assert job.wait(30)
    assert job.snapshot().error is None
    assert service.pipeline(corpus, "anna").memorized.missing == ()


def in_order() -> list[str]:
    return NAMES


def at_random() -> list[str]:
    return random.Random(7).choices(NAMES, k=40)


@pytest.mark.models
@pytest.mark.parametrize("is_kept", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("order", [in_order, at_random])
def test_switching_through_twenty_never_takes_more_than_there_is_room_for(small, watched, order, is_kept):
    if not is_kept:
        folders.delete(small.ready_made.places.kept)
    for corpus in order():
        opened(small, corpus)
        assert corpus in small._library
    assert 0 < max(watched) <= small._library.most
    assert small._library.peak <= small._library.most
    assert len(list(small._library)) >= FEW - 1, "room is not wasted"


@pytest.mark.models
@pytest.mark.parametrize("is_kept", [False, True], ids=["first", "again"])
def test_opening_twenty_at_once_never_takes_more_than_there_is_room_for(small, watched, is_kept):
    if not is_kept:
        folders.delete(small.ready_made.places.kept)
    for job in [small.open(corpus) for corpus in NAMES]:
        assert job.wait(60)
        assert job.snapshot().error is None
    assert 0 < max(watched) <= small._library.most
    assert small._library.peak <= small._library.most


@pytest.mark.models
def test_looking_at_the_selector_does_not_change_what_goes_next(small):
    first, second, third, fourth = NAMES[:4]
    for corpus in (first, second, third):
        opened(small, corpus)
    for corpus in (second, first):  # the third is the least recently used
        assert small.pipeline(corpus, "anna") is not None
    small.labels("anna")
    opened(small, fourth)
    assert set(small._library) == {first, second, fourth}


@pytest.mark.models
def test_a_corpus_that_is_larger_than_the_room_can_be_asked_all_the_same(small):
    opened(small, NAMES[0])
    small._library.most = 1
    opened(small, NAMES[1])
    assert list(small._library) == [NAMES[1]]
    opened(small, NAMES[0])
    assert list(small._library) == [NAMES[0]]
