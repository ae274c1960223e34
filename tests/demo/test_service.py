"""The service with the real models: loading, holding, forgetting, and keeping visitors apart."""

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from demo import text
from demo.service import Service
from engine.documents import Document
from engine.errors import Cancelled, InputError, ModelError, NotMemorizedError
from engine.events import Stop
from engine.settings import Settings

OWN = Document("own.txt", "The dragon of Ostermoor is called Hildegard. She eats nothing but pickled turnips.")
OTHER = Document("other.txt", "The clock of Vellmark has 13 hours. It was built by a baker named Ruprecht Odenthal.")


def memorised(service, document, owner):
    corpus, job = service.memorize([document], document.name, owner)
    assert job.wait(60)
    assert job.snapshot().state == "done", job.snapshot().error
    return corpus


@pytest.fixture
def forgetting(service):
    """The shared service; what the test's visitors memorised is forgotten afterwards."""
    yield service
    for visitor in ("anna", "bert"):
        service.delete(visitor)


# Before and without models


def test_ready_made_corpora_are_listed_before_the_models_are_loaded(idle_service):
    assert idle_service.titles("anyone") == {"tide-mill": "The tide-mill"}
    assert not idle_service.is_loaded
    assert not idle_service.is_open("tide-mill")
    assert idle_service.pipeline("tide-mill", "anyone") is None


def test_waiting_for_the_models_can_be_stopped(idle_service):
    stop = Stop()
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        idle_service.engine(stop)
    assert time.monotonic() - began < 2


def test_opening_the_same_corpus_twice_is_one_job(idle_service):
    job = idle_service.open("tide-mill")
    assert idle_service.open("tide-mill") is job
    job.stop()
    assert job.wait(2)
    assert job.snapshot().state == "stopped"


def test_too_much_to_memorise_at_once_is_refused(idle_service):
    jobs = [idle_service.memorize([OWN], "own", f"visitor {number}")[1] for number in range(8)]
    with pytest.raises(InputError) as refused:
        idle_service.memorize([OWN], "own", "one more")
    assert str(refused.value) == text.BUSY.format(count=8)
    for job in jobs:
        job.stop()
    assert all(job.wait(5) for job in jobs)
    _, job = idle_service.memorize([OWN], "own", "one more")
    job.stop()
    assert job.wait(5)


def test_models_that_cannot_be_loaded_are_a_sentence_everywhere_and_the_log_has_the_cause(
    tmp_path, write_entry, until, caplog
):
    write_entry(tmp_path / "catalogue")
    empty = tmp_path / "no model"
    empty.mkdir()
    broken = Service(Settings(model=str(empty), cache_dir=tmp_path), folder=tmp_path / "catalogue")
    with caplog.at_level(logging.ERROR):
        broken.start()
        until(lambda: broken.is_loaded, 60)
    assert isinstance(broken.failure, ModelError)
    assert "no model" in str(broken.failure)
    assert any(record.exc_info for record in caplog.records)
    with pytest.raises(ModelError) as refused:
        broken.engine()
    assert str(refused.value) == str(broken.failure)
    for job in (broken.open("tide-mill"), broken.memorize([OWN], "own", "anna")[1]):
        assert job.wait(5)
        assert str(job.snapshot().error) == str(broken.failure)
    assert not broken.is_open("tide-mill")


# Corpora


@pytest.mark.models
def test_ready_made_corpora_are_opened_at_the_start_and_shared(service):
    assert service.is_loaded
    assert service.pipeline("tide-mill", "anna") is service.pipeline("tide-mill", "bert")
    assert service.pipeline("tide-mill", "anna").memorized.documents[0].text.startswith("The tide mill")


@pytest.mark.models
def test_opening_an_open_corpus_again_keeps_what_is_held(service):
    held = service.pipeline("tide-mill", "anna")
    job = service.open("tide-mill")
    assert job.wait(5)
    assert job.snapshot().state == "done"
    assert service.pipeline("tide-mill", "anna") is held


@pytest.mark.models
def test_all_pipelines_share_the_loaded_models(forgetting):
    corpus = memorised(forgetting, OWN, "anna")
    mine, shared = forgetting.pipeline(corpus, "anna"), forgetting.pipeline("tide-mill", "anna")
    assert mine.model is shared.model
    assert mine.encoder is shared.encoder
    assert mine.memorized is not shared.memorized
    assert not forgetting.engine().is_memorized


@pytest.mark.models
def test_a_visitors_corpus_is_theirs_alone(forgetting):
    corpus = memorised(forgetting, OWN, "anna")
    assert forgetting.pipeline(corpus, "anna").memorized.documents[0].text == OWN.text
    assert forgetting.titles("anna") == {"tide-mill": "The tide-mill", corpus: "own.txt"}
    assert forgetting.titles("bert") == {"tide-mill": "The tide-mill"}
    with pytest.raises(NotMemorizedError) as theirs:
        forgetting.pipeline(corpus, "bert")
    with pytest.raises(NotMemorizedError) as nobodys:
        forgetting.pipeline("mine-" + "x" * 22, "bert")
    assert str(theirs.value) == str(nobodys.value) == text.EXPIRED


@pytest.mark.models
def test_the_same_text_of_two_visitors_is_two_corpora_with_unguessable_names(forgetting):
    first, second = memorised(forgetting, OWN, "anna"), memorised(forgetting, OWN, "bert")
    assert first != second
    assert all(len(corpus.removeprefix("mine-")) >= 20 for corpus in (first, second))
    assert forgetting.pipeline(first, "anna") is not forgetting.pipeline(second, "bert")


@pytest.mark.models
def test_an_unknown_corpus_is_refused_with_those_the_visitor_has(forgetting):
    mine = memorised(forgetting, OWN, "anna")
    for visitor, known in (("anna", f"tide-mill, {mine}"), ("bert", "tide-mill")):
        with pytest.raises(InputError) as refused:
            forgetting.pipeline("war-and-peace", visitor)
        assert str(refused.value) == text.UNKNOWN_CORPUS.format(corpus="war-and-peace", known=known)


@pytest.mark.models
def test_deleting_forgets_all_of_one_visitor_and_nothing_of_others(forgetting):
    mine = [memorised(forgetting, document, "anna") for document in (OWN, OTHER)]
    theirs = memorised(forgetting, OWN, "bert")
    assert forgetting.delete("anna") == 2
    assert forgetting.delete("anna") == 0
    assert list(forgetting.titles("anna")) == ["tide-mill"]
    for corpus in mine:
        assert not forgetting.is_open(corpus)
        with pytest.raises(NotMemorizedError):
            forgetting.pipeline(corpus, "anna")
    assert forgetting.pipeline(theirs, "bert").is_memorized
    assert forgetting.is_open("tide-mill")


@pytest.mark.models
@pytest.mark.parametrize("noticed_by", ["asking", "listing"])
def test_documents_are_forgotten_when_their_time_is_over_and_ready_made_corpora_stay(
    forgetting, monkeypatch, noticed_by
):
    corpus = memorised(forgetting, OWN, "anna")
    monkeypatch.setattr(forgetting, "settings", replace(forgetting.settings, upload_hours=1.0))
    assert forgetting.pipeline(corpus, "anna").is_memorized
    monkeypatch.setattr(forgetting, "settings", replace(forgetting.settings, upload_hours=1e-9))
    if noticed_by == "asking":
        with pytest.raises(NotMemorizedError) as refused:
            forgetting.pipeline(corpus, "anna")
        assert str(refused.value) == text.EXPIRED
    else:
        assert list(forgetting.titles("anna")) == ["tide-mill"]
    assert not forgetting.is_open(corpus)
    assert forgetting.is_open("tide-mill")


@pytest.mark.models
def test_a_visitors_documents_leave_no_trace_in_files_or_logs(forgetting, caplog):
    def files():
        return {path for path in Path(forgetting.settings.cache_dir).rglob("*") if path.is_file()}

    before = files()
    with caplog.at_level(logging.INFO):
        memorised(forgetting, Document("private diary.txt", OWN.text), "anna")
    assert files() == before
    assert "private diary" not in caplog.text
    assert "Hildegard" not in caplog.text


@pytest.mark.models
def test_the_corpus_that_was_used_least_recently_makes_room(forgetting, monkeypatch):
    first, second = memorised(forgetting, OWN, "anna"), memorised(forgetting, OTHER, "anna")
    sizes = {c: int(forgetting.pipeline(c, "anna").stats["memory_bytes"]) for c in ("tide-mill", first, second)}
    forgetting.pipeline("tide-mill", "bert")
    forgetting.pipeline(first, "anna")  # now second is the one not used for longest
    # A second corpus like the first is just too much.
    monkeypatch.setattr("demo.service._HELD_BYTES", sum(sizes.values()) + sizes[first] - 1)
    third = memorised(forgetting, OWN, "bert")
    assert not forgetting.is_open(second)
    assert all(forgetting.is_open(corpus) for corpus in ("tide-mill", first, third))
    with pytest.raises(NotMemorizedError):
        forgetting.pipeline(second, "anna")


@pytest.mark.models
def test_a_corpus_larger_than_the_room_is_held_all_the_same(forgetting, monkeypatch, until):
    monkeypatch.setattr("demo.service._HELD_BYTES", 1)
    corpus = memorised(forgetting, OWN, "anna")
    assert forgetting.pipeline(corpus, "anna").is_memorized
    assert not forgetting.is_open("tide-mill")
    monkeypatch.undo()
    assert forgetting.pipeline("tide-mill", "anna") is None  # it is opened again when it is asked for
    assert forgetting.open("tide-mill").wait(30)
    assert forgetting.pipeline("tide-mill", "anna").is_memorized


@pytest.mark.models
def test_memorising_can_be_stopped_and_nothing_is_held(forgetting):
    long = Document("long.txt", (OWN.text + " " + OTHER.text + "\n") * 1500)
    corpus, job = forgetting.memorize([long], "long", "anna")
    job.stop()
    assert job.wait(5)
    assert job.snapshot().state == "stopped"
    assert not forgetting.is_open(corpus)


@pytest.mark.models
def test_deleting_also_ends_what_is_still_being_memorised(forgetting):
    long = Document("long.txt", (OWN.text + " " + OTHER.text + "\n") * 20)
    corpus, job = forgetting.memorize([long], "long", "anna")
    forgetting.delete("anna")
    assert job.wait(60)
    assert not forgetting.is_open(corpus)
