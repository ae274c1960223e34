"""What reading files may take: memory for their texts, and time by their size."""

import pytest

from demo import reading, text
from demo import room as rooms
from engine.documents import Document
from engine.errors import InputError

LONG = ("long.txt", "The miller keeps nine geese. " * 100)
SHORT = ("short.txt", "The miller keeps nine geese.")


@pytest.fixture
def little_memory(monkeypatch):
    """Memory for one long text and no more."""
    monkeypatch.setattr(rooms, "_MOST_TEXT", int(1.5 * len(LONG[1])))


def ended(job):
    assert job.wait(20)
    return job.snapshot()


def waiting(service, owner="anna"):
    return [upload.name for upload in service.uploads.waiting(owner)]


def test_files_with_more_text_than_fits_the_memory_are_refused_and_stay(idle_service, send, little_memory):
    _, job = idle_service.memorize("anna", send(idle_service, "anna", LONG, ("same.txt", LONG[1]), SHORT))
    at = ended(job)
    assert at.state == "failed"
    assert isinstance(at.error, InputError)
    assert str(at.error) == text.TOO_MUCH_TEXT
    assert waiting(idle_service) == ["long.txt", "same.txt", "short.txt"]
    assert idle_service.shelf.corpora("anna") == {}


def test_a_text_that_waits_for_the_models_takes_memory_until_it_is_stopped(
    idle_service, send, little_memory, until, stopped
):
    corpus, first = idle_service.memorize("anna", send(idle_service, "anna", LONG))
    until(lambda: corpus in idle_service.room._texts)
    ids = send(idle_service, "bert", LONG)
    assert str(ended(idle_service.memorize("bert", ids)[1]).error) == text.TOO_MUCH_TEXT
    assert waiting(idle_service, "bert") == ["long.txt"]
    small, second = idle_service.memorize("bert", send(idle_service, "bert", SHORT))
    until(lambda: small in idle_service.room._texts)
    stopped(first)
    third_corpus, third = idle_service.memorize("bert", ids)
    until(lambda: third_corpus in idle_service.room._texts)
    stopped(second)
    stopped(third)
    assert idle_service.room._texts == {}


def test_a_file_has_time_by_its_size_and_never_more_than_the_largest_may_take(
    idle_service, send, monkeypatch, until, stopped
):
    given = []

    def read(path, name, limits, *_):
        given.append(limits.max_seconds)
        return Document("A word.", name)

    monkeypatch.setattr(reading, "read_apart", read)
    limit = idle_service.limits.max_seconds
    _, job = idle_service.memorize("anna", send(idle_service, "anna", SHORT, ("large.txt", b"a" * 2**20)))
    until(lambda: len(given) == 2)
    stopped(job)
    assert given == [60, 70], "whole seconds, for they are told"
    assert given[1] < limit
    monkeypatch.setattr(reading, "_SECONDS_A_MB", 10**6)
    _, job = idle_service.memorize("anna", send(idle_service, "anna", ("other.txt", b"a" * 2**20)))
    until(lambda: len(given) == 3)
    stopped(job)
    assert given[2] == limit
