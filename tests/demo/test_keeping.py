"""How long visitors' documents are kept: in memory, on disk, over a restart, and not a moment longer."""

import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from demo import text
from demo.service import Service
from engine import memorizer
from engine.errors import InputError, NotMemorizedError

OWN = ("own.txt", "The dragon of Ostermoor is called Hildegard. She eats nothing but pickled turnips.")
OTHER = ("other.txt", "The clock of Vellmark has 13 hours. It was built by a baker named Ruprecht Odenthal.")
LONG = ("long.txt", "".join(f"{OWN[1]} {OTHER[1]} That was in the year {year}.\n\n" for year in range(400)))
pytestmark = pytest.mark.models


@pytest.fixture
def keeping(service):
    """The shared service; what the test's visitors memorised is deleted afterwards."""
    yield service
    for visitor in ("anna", "bert"):
        service.delete(visitor)


@pytest.fixture
def long(monkeypatch):
    """A text that counts as long, so that it is memorised in stages."""
    monkeypatch.setattr(memorizer, "_LONG", 8)
    monkeypatch.setattr(memorizer, "_BLOCK", 8)
    return LONG


@pytest.fixture
def paused(keeping, send, long, until):
    """A long text of anna's whose memorising was stopped as soon as it could be asked."""

    def pause(service=keeping):
        corpus, job = service.memorize("anna", send(service, "anna", long))
        until(lambda: service.is_open(corpus), 30)
        job.stop()
        assert job.wait(20)
        return corpus, job

    return pause


def kept(service, owner="anna"):
    """The files on disk of a visitor."""
    folder = service.shelf.folder(owner)
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def restarted(service, until):
    """Another server over the same folder, as after a crash: nothing of the first one's memory is left."""
    service.shelf.close()
    again = Service(service.settings, folder=Path("/nonexistent"))
    again.start()
    until(lambda: again.models.is_loaded, 60)
    return again


# In memory


def test_the_corpus_that_was_used_least_recently_makes_room_and_is_opened_again(keeping, memorised, monkeypatch):
    first, second = memorised(keeping, "anna", OWN), memorised(keeping, "anna", OTHER)
    sizes = {c: keeping.pipeline(c, "anna").memorized.nbytes for c in ("tide-mill", first, second)}
    keeping.pipeline("tide-mill", "bert")
    keeping.pipeline(first, "anna")  # now second is the one not used for longest
    # A second corpus like the first is just too much.
    monkeypatch.setattr(keeping._library, "most", sum(sizes.values()) + sizes[first] - 1)
    third = memorised(keeping, "bert", OWN)
    assert not keeping.is_open(second)
    assert all(keeping.is_open(corpus) for corpus in ("tide-mill", first, third))
    monkeypatch.undo()
    assert keeping.pipeline(second, "anna") is None
    assert keeping.open(second, "anna").wait(30)
    assert keeping.pipeline(second, "anna").memorized.documents[0].text == OTHER[1]


def test_a_corpus_larger_than_the_room_is_held_all_the_same(keeping, memorised, monkeypatch):
    monkeypatch.setattr(keeping._library, "most", 1)
    corpus = memorised(keeping, "anna", OWN)
    assert keeping.pipeline(corpus, "anna").is_memorized
    assert not keeping.is_open("tide-mill")
    monkeypatch.undo()
    assert keeping.pipeline("tide-mill", "anna") is None  # it is opened again when it is asked for
    assert keeping.open("tide-mill").wait(30)
    assert keeping.pipeline("tide-mill", "anna").is_memorized


def test_another_visitor_cannot_open_a_corpus_from_disk(keeping, memorised, monkeypatch):
    corpus = memorised(keeping, "anna", OWN)
    keeping.let_go(corpus)
    with pytest.raises(NotMemorizedError) as refused:
        keeping.open(corpus, "bert")
    assert str(refused.value) == text.EXPIRED
    assert not keeping.is_open(corpus)


# On disk


def test_once_memorised_the_text_is_in_the_bundle_alone(keeping, memorised, caplog):
    with caplog.at_level(logging.INFO):
        corpus = memorised(keeping, "anna", ("private diary.txt", OWN[1]))
    assert keeping.uploads.of("anna") == []
    assert {"facts.json", "chunks.json", "manifest.json"} <= set(kept(keeping))
    assert not any("private" in str(path) for path in keeping.shelf.path.rglob("*"))
    assert keeping.shelf.get("anna", corpus).state == "done"
    assert "private diary" not in caplog.text
    assert "Hildegard" not in caplog.text


@pytest.mark.parametrize("noticed_by", ["asking", "listing", "sweeping"])
def test_documents_go_when_their_time_is_over_and_ready_made_corpora_stay(
    keeping, memorised, send, monkeypatch, noticed_by
):
    corpus = memorised(keeping, "anna", OWN)
    send(keeping, "anna", OTHER)
    monkeypatch.setattr(keeping, "settings", replace(keeping.settings, upload_hours=1.0))
    keeping.sweep()
    assert keeping.pipeline(corpus, "anna").is_memorized
    assert len(keeping.uploads.waiting("anna")) == 1
    monkeypatch.setattr(keeping, "settings", replace(keeping.settings, upload_hours=1e-9))
    if noticed_by == "asking":
        with pytest.raises(NotMemorizedError) as refused:
            keeping.pipeline(corpus, "anna")
        assert str(refused.value) == text.EXPIRED
    elif noticed_by == "listing":
        assert list(keeping.titles("anna")) == ["tide-mill"]
    keeping.sweep()
    assert not keeping.is_open(corpus)
    assert keeping.is_open("tide-mill")
    assert not keeping.shelf.folder("anna").exists()


def test_deleting_takes_files_bundles_and_what_is_being_memorised(keeping, memorised, send, long, until):
    memorised(keeping, "anna", OWN)
    theirs = memorised(keeping, "bert", OTHER)
    waiting = send(keeping, "anna", OTHER)
    corpus, job = keeping.memorize("anna", send(keeping, "anna", long))
    until(lambda: keeping.is_open(corpus), 30)
    assert [upload.id for upload in keeping.uploads.waiting("anna")] == waiting
    assert keeping.delete("anna") == 3
    assert job.wait(20)
    assert not keeping.is_open(corpus)
    assert list(keeping.titles("anna")) == ["tide-mill"]
    keeping.sweep()
    assert not keeping.shelf.folder("anna").exists(), "also what the job was still writing"
    assert keeping.pipeline(theirs, "bert").is_memorized


def test_deleting_while_files_wait_or_are_read_leaves_nothing(keeping, send, until):
    gate = threading.Event()
    blocker = keeping._jobs.start("blocker", keeping_busy(gate))
    _, job = keeping.memorize("anna", send(keeping, "anna", OWN))
    keeping.delete("anna")
    assert job.wait(20)
    gate.set()
    assert blocker.wait(5)
    assert not keeping.shelf.folder("anna").exists()


def keeping_busy(gate):
    from demo.jobs import Plan

    return Plan(lambda *_: gate.wait(20))


# In stages


def test_a_long_text_can_be_asked_while_the_rest_is_made(keeping, send, long, until):
    corpus, job = keeping.memorize("anna", send(keeping, "anna", long))
    until(lambda: keeping.is_open(corpus), 60)
    first = keeping.pipeline(corpus, "anna").memorized.missing
    assert "vectors" in first
    assert not job.snapshot().is_over
    until(lambda: keeping.uploads.of("anna") == [], what="its text is in the bundle, so that the file is deleted")
    assert job.wait(60)
    assert keeping.pipeline(corpus, "anna").memorized.missing == ()


def test_stopping_keeps_what_is_done_and_it_goes_on_later(keeping, paused):
    corpus, job = paused()
    assert job.snapshot().state == "stopped"
    assert keeping.shelf.get("anna", corpus).state == "stopped"
    assert keeping.pipeline(corpus, "anna").memorized.missing
    again = keeping.resume("anna", corpus)
    assert again.wait(60)
    assert again.snapshot().state == "done", again.snapshot().error
    assert keeping.pipeline(corpus, "anna").memorized.missing == ()
    assert keeping.shelf.get("anna", corpus).state == "done"


def test_only_its_owner_can_go_on_with_a_corpus(keeping, paused):
    corpus, _ = paused()
    with pytest.raises(NotMemorizedError):
        keeping.resume("bert", corpus)
    with pytest.raises(InputError) as refused:
        keeping.resume("anna", "tide-mill")
    assert str(refused.value) == text.NOTHING_MISSING
    assert keeping.running("anna") is None


def test_stopping_before_anything_can_be_asked_gives_the_files_back(keeping, send):
    gate = threading.Event()
    blocker = keeping._jobs.start("blocker", keeping_busy(gate))
    ids = send(keeping, "anna", OWN)
    corpus, job = keeping.memorize("anna", ids)
    keeping.stop_memorising("anna")
    assert job.wait(20)
    gate.set()
    assert blocker.wait(5)
    assert corpus not in keeping.titles("anna")
    assert [upload.id for upload in keeping.uploads.waiting("anna")] == ids


# Over a restart


@pytest.fixture
def server(cache_with_models, service, until):
    """A server of its own, to be restarted."""
    started = Service(replace(service.settings, cache_dir=cache_with_models()), folder=Path("/nonexistent"))
    started.start()
    until(lambda: started.models.is_loaded, 60)
    yield started
    started.close()


def test_after_a_restart_a_visitor_finds_their_own_corpora_and_nobody_elses(server, memorised, send, until):
    corpus, theirs = memorised(server, "anna", OWN), memorised(server, "bert", OTHER)
    ids = send(server, "anna", OTHER)
    again = restarted(server, until)
    assert again.titles("anna") == {corpus: "own.txt"}
    assert again.titles("bert") == {theirs: "other.txt"}
    assert [upload.id for upload in again.uploads.waiting("anna")] == ids
    assert not again.is_open(corpus), "it is opened when it is chosen"
    assert again.open(corpus, "anna").wait(30)
    assert again.pipeline(corpus, "anna").memorized.documents[0].text == OWN[1]
    with pytest.raises(NotMemorizedError):
        again.pipeline(corpus, "bert")
    again.close()


def test_what_a_restart_interrupted_goes_on_by_itself_and_what_was_stopped_does_not(server, send, long, paused, until):
    halted, _ = paused(server)
    corpus, job = server.memorize("anna", send(server, "anna", long))
    until(lambda: server.is_open(corpus), 30)
    server._closed.set()  # whatever still happens, the disk says: this was running
    job.stop()
    assert job.wait(20)
    again = restarted(server, until)
    until(lambda: again.shelf.get("anna", corpus).state == "done", 60)
    assert again.pipeline(corpus, "anna").memorized.missing == ()
    assert again.running("anna") is None
    assert again.shelf.get("anna", halted).state == "stopped"
    again.close()


def test_files_that_were_being_read_at_a_restart_are_read_again(server, send, until):
    gate = threading.Event()
    blocker = server._jobs.start("blocker", keeping_busy(gate))
    corpus, job = server.memorize("anna", send(server, "anna", OWN))
    server._closed.set()
    job.stop()
    assert job.wait(20)
    gate.set()
    assert blocker.wait(5)
    again = restarted(server, until)
    until(lambda: again.shelf.get("anna", corpus).state == "done", 60)
    assert again.pipeline(corpus, "anna").memorized.documents[0].text == OWN[1]
    assert again.uploads.of("anna") == []
    again.close()
