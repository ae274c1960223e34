"""The service with the real models: loading, holding, forgetting, and keeping visitors apart."""

import logging
import threading
import time

import pytest

from demo import text
from demo.service import Service
from engine.errors import Cancelled, InputError, ModelError, NotMemorizedError
from engine.events import Stop
from engine.settings import Settings

OWN = ("own.txt", "The dragon of Ostermoor is called Hildegard. She eats nothing but pickled turnips.")
OTHER = ("other.txt", "The clock of Vellmark has 13 hours. It was built by a baker named Ruprecht Odenthal.")
LONG = ("long.txt", (OWN[1] + " " + OTHER[1] + "\n") * 1500)


@pytest.fixture
def forgetting(service):
    """The shared service; what the test's visitors memorised is forgotten afterwards."""
    yield service
    for visitor in ("anna", "bert"):
        service.delete(visitor)


# Before and without models


def test_ready_made_corpora_are_listed_before_the_models_are_loaded(idle_service):
    assert idle_service.titles("anyone") == {"tide-mill": "The tide-mill"}
    assert not idle_service.models.is_loaded
    assert not idle_service.is_open("tide-mill")
    assert idle_service.pipeline("tide-mill", "anyone") is None


def test_waiting_for_the_models_can_be_stopped(idle_service):
    stop = Stop()
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        idle_service.models.get(stop)
    assert time.monotonic() - began < 2


def test_opening_the_same_corpus_twice_is_one_job(idle_service):
    job = idle_service.open("tide-mill")
    assert idle_service.open("tide-mill") is job
    job.stop()
    assert job.wait(2)
    assert job.snapshot().state == "stopped"


def test_too_much_to_memorise_at_once_is_refused_and_the_file_waits(idle_service, send, stopped):
    def begin(owner):
        return idle_service.memorize(owner, send(idle_service, owner, OWN))[1]

    jobs = [begin(f"visitor-{number}") for number in range(8)]
    with pytest.raises(InputError) as refused:
        begin("one-more")
    assert str(refused.value) == text.BUSY.format(count=8)
    assert [upload.name for upload in idle_service.uploads.waiting("one-more")] == ["own.txt"]
    for job in jobs:
        stopped(job)
    stopped(begin("one-more"))


def test_one_visitor_takes_no_more_than_a_fair_part_of_it(idle_service, send, stopped):
    def begin(owner):
        return idle_service.memorize(owner, send(idle_service, owner, OWN))[1]

    jobs = [begin("anna"), begin("anna")]
    with pytest.raises(InputError) as refused:
        begin("anna")
    assert str(refused.value) == text.BUSY_MINE.format(count=2)
    assert len(idle_service.uploads.waiting("anna")) == 1
    jobs.append(begin("bert"))
    stopped(jobs.pop(0))
    jobs.append(begin("anna"))
    for job in jobs:
        stopped(job)


def test_long_texts_at_once_are_refused_before_they_fill_the_memory(idle_service, send, stopped):
    large = ("large.txt", "word " * 180_000)
    jobs = [idle_service.memorize(owner, send(idle_service, owner, large))[1] for owner in ("anna", "bert")]
    with pytest.raises(InputError) as refused:
        idle_service.memorize("carl", send(idle_service, "carl", large))
    assert str(refused.value) == text.BUSY_LARGE
    job = idle_service.memorize("carl", send(idle_service, "carl", OWN))[1]
    for running in (*jobs, job):
        stopped(running)


def test_no_files_and_files_of_others_cannot_be_memorised(idle_service, send):
    theirs = send(idle_service, "bert", OWN)
    for ids in ([], theirs, ["x"], ["../" + theirs[0]]):
        with pytest.raises(InputError) as refused:
            idle_service.memorize("anna", ids)
        assert str(refused.value) == text.NO_FILES
    assert [upload.id for upload in idle_service.uploads.waiting("bert")] == theirs


def test_a_file_is_memorised_once_at_a_time(idle_service, send, stopped):
    ids = send(idle_service, "anna", OWN)
    _, job = idle_service.memorize("anna", ids)
    with pytest.raises(InputError):
        idle_service.memorize("anna", ids)
    stopped(job)
    assert [upload.id for upload in idle_service.uploads.waiting("anna")] == ids, "it waits again"


def test_models_that_cannot_be_loaded_are_a_sentence_everywhere_and_the_log_has_the_cause(
    tmp_path, write_entry, until, caplog, send
):
    write_entry(tmp_path / "catalogue")
    empty = tmp_path / "no model"
    empty.mkdir()
    broken = Service(Settings(model=str(empty), cache_dir=tmp_path), folder=tmp_path / "catalogue")
    with caplog.at_level(logging.ERROR):
        broken.start()
        until(lambda: broken.models.is_loaded, 60)
    assert isinstance(broken.models.failure, ModelError)
    assert "no model" in str(broken.models.failure)
    assert any(record.exc_info for record in caplog.records)
    with pytest.raises(ModelError) as refused:
        broken.models.get()
    assert str(refused.value) == str(broken.models.failure)
    for job in (broken.open("tide-mill"), broken.memorize("anna", send(broken, "anna", OWN))[1]):
        assert job.wait(5)
        assert str(job.snapshot().error) == str(broken.models.failure)
    assert not broken.is_open("tide-mill")
    assert [upload.name for upload in broken.uploads.waiting("anna")] == ["own.txt"], "nothing is lost"
    broken.close()


# Corpora


@pytest.mark.models
def test_ready_made_corpora_are_opened_at_the_start_and_shared(service):
    assert service.models.is_loaded
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
def test_all_pipelines_share_the_loaded_models(forgetting, memorised):
    corpus = memorised(forgetting, "anna", OWN)
    mine, shared = forgetting.pipeline(corpus, "anna"), forgetting.pipeline("tide-mill", "anna")
    assert mine.model is shared.model
    assert mine.encoder is shared.encoder
    assert mine.memorized is not shared.memorized
    assert not forgetting.models.get().is_memorized


@pytest.mark.models
def test_a_visitors_corpus_is_theirs_alone(forgetting, memorised):
    corpus = memorised(forgetting, "anna", OWN)
    assert forgetting.pipeline(corpus, "anna").memorized.documents[0].text == OWN[1]
    assert forgetting.titles("anna") == {"tide-mill": "The tide-mill", corpus: "own.txt"}
    assert forgetting.titles("bert") == {"tide-mill": "The tide-mill"}
    with pytest.raises(NotMemorizedError) as theirs:
        forgetting.pipeline(corpus, "bert")
    with pytest.raises(NotMemorizedError) as nobodys:
        forgetting.pipeline("mine-" + "x" * 22, "bert")
    assert str(theirs.value) == str(nobodys.value) == text.EXPIRED


@pytest.mark.models
def test_the_same_text_of_two_visitors_is_two_corpora_with_unguessable_names(forgetting, memorised):
    first, second = memorised(forgetting, "anna", OWN), memorised(forgetting, "bert", OWN)
    assert first != second
    assert all(len(corpus.removeprefix("mine-")) >= 20 for corpus in (first, second))
    assert forgetting.pipeline(first, "anna") is not forgetting.pipeline(second, "bert")


@pytest.mark.models
def test_an_unknown_corpus_is_refused_with_those_the_visitor_has(forgetting, memorised):
    mine = memorised(forgetting, "anna", OWN)
    for visitor, known in (("anna", f"tide-mill, {mine}"), ("bert", "tide-mill")):
        with pytest.raises(InputError) as refused:
            forgetting.pipeline("war-and-peace", visitor)
        assert str(refused.value) == text.UNKNOWN_CORPUS.format(corpus="war-and-peace", known=known)


@pytest.mark.models
def test_deleting_forgets_all_of_one_visitor_and_nothing_of_others(forgetting, memorised):
    mine = [memorised(forgetting, "anna", file) for file in (OWN, OTHER)]
    theirs = memorised(forgetting, "bert", OWN)
    assert forgetting.delete("anna") == 2
    assert forgetting.delete("anna") == 0
    assert list(forgetting.titles("anna")) == ["tide-mill"]
    for corpus in mine:
        assert not forgetting.is_open(corpus)
        with pytest.raises(NotMemorizedError):
            forgetting.pipeline(corpus, "anna")
    assert forgetting.pipeline(theirs, "bert").is_memorized
    assert forgetting.is_open("tide-mill")
