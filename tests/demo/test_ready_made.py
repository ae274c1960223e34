"""The ready-made corpora of a running server: what comes, goes and changes on the disk, and what is wrong there."""

from __future__ import annotations

import logging
import threading
from contextlib import closing

import pytest

from demo import catalogue, corpora, folders, session, sharing, text, upkeep
from demo.questions import Question
from demo.visitors import Visitor
from engine import storage
from engine.errors import InputError
from engine.events import Evidence
from engine.settings import Secret, from_environment
from tests.demo import serving
from tests.demo.own_corpora import OTHER, OWN
from tests.demo.serving import another, opened, started
from tests.hub_server import HubServer, client_of

running, built = serving.running, serving.built
REPOSITORY = "someone/corpora"


@pytest.fixture
def gone(running):
    """The corpora that were let go."""
    known = []
    running.on_gone = known.append
    yield known
    running.on_gone = lambda corpus: None


def evidence(service, corpus, question):
    """Return the passages that the page shows for a question."""
    asked = Question(question, corpus, max_new_tokens=10)
    with closing(session.ask(service, Visitor("anna"), asked)) as replies:
        return next(reply.passages for reply in replies if reply.passages is not None)


# What comes, changes and goes


@pytest.mark.models
def test_what_is_built_is_offered_and_can_be_asked_without_a_restart(running, built):
    assert list(running.titles("anna")) == ["tide-mill"]
    built(is_shared=True)
    assert running.titles("anna") == {"tide-mill": "The tide-mill", "dragon": "The dragon"}
    assert [passage.text for passage in evidence(running, "dragon", "What is the dragon called?")] == [OWN]
    assert running.pipeline("dragon", "bert").memorized.missing == ()


@pytest.mark.models
def test_what_was_changed_is_opened_anew_and_the_old_one_is_let_go(running, built, gone):
    built()
    assert opened(running, "dragon") == OWN
    built(words=OTHER)
    assert running.pipeline("dragon", "anna") is None
    assert not running.is_open("dragon")
    assert gone == ["dragon"]
    assert opened(running, "dragon") == OTHER


@pytest.mark.models
def test_what_was_removed_is_refused_at_once_and_let_go_by_sweeping(running, built, gone):
    built()
    opened(running, "dragon")
    assert upkeep.remove("dragon", running.ready_made.places)
    assert "dragon" not in running.labels("anna")
    with pytest.raises(InputError) as refused:
        running.pipeline("dragon", "anna")
    assert str(refused.value) == text.UNKNOWN_CORPUS.format(corpus="dragon", known="tide-mill")
    assert "dragon" in running._library
    running.sweep()
    assert "dragon" not in running._library
    assert gone == ["dragon"]
    assert running.is_open("tide-mill"), "what is still there stays"


@pytest.mark.models
def test_what_is_removed_while_it_is_opened_is_not_held(running, built, monkeypatch):
    built()
    monkeypatch.setattr(running.ready_made, "open", _removed_first(running))
    job = running.open("dragon", "anna")
    assert job.wait(30)
    assert job.snapshot().state == "stopped"
    assert "dragon" not in running._library


def _removed_first(service):
    opening = service.ready_made.open

    def open_and_remove(entry, pipeline, on_progress, stop, on_ready):
        def ready():
            upkeep.remove(entry.slug, service.ready_made.places)
            on_ready()

        opening(entry, pipeline, on_progress, stop, ready)

    return open_and_remove


@pytest.mark.models
def test_ones_own_text_takes_the_place_of_the_one_that_ships_until_it_is_removed(running, built):
    shipped = opened(running, "tide-mill")
    built("tide-mill", OWN, like=running.entries["tide-mill"], title="")
    assert running.titles("anna") == {"tide-mill": "The tide-mill"}
    assert running.entries["tide-mill"].questions == ("What does the mill grind?",)
    assert opened(running, "tide-mill") == OWN
    upkeep.remove("tide-mill", running.ready_made.places)
    assert opened(running, "tide-mill") == shipped


# Who is offered what


@pytest.mark.models
def test_a_private_corpus_is_offered_on_this_computer_alone(running, built):
    built("tide-mill", OWN)
    built("dragon", OWN)
    built("clock", OTHER, is_shared=True)
    assert running.labels("anna")["tide-mill"] == "The tide-mill (private)"
    assert running.labels("anna")["clock"] == "The clock"
    with (
        another(running) as here,
        another(running, host="0.0.0.0") as public,
        another(running, on_spaces=True) as space,
    ):
        assert set(here.titles("anna")) == {"tide-mill", "dragon", "clock"}
        for server in (public, space):
            assert server.labels("anna") == {"clock": "The clock", "tide-mill": "The tide-mill"}
            assert server.entries["tide-mill"].origin == "shipped"
            with pytest.raises(InputError) as refused:
                server.open("dragon", "anna")
            assert str(refused.value) == text.UNKNOWN_CORPUS.format(corpus="dragon", known="clock, tide-mill")


@pytest.mark.models
def test_only_the_corpora_that_the_settings_name_are_offered(running, built):
    built("dragon")
    built("clock", OTHER)
    named = from_environment({"MEMORAG_CORPORA": "dragon, nothing"})
    with another(running, corpora=named.corpora) as server:
        assert list(server.titles("anna")) == ["dragon"]
        for corpus in ("tide-mill", "clock", "nothing"):
            with pytest.raises(InputError):
                server.open(corpus, "anna")


@pytest.mark.models
def test_a_visitors_text_under_the_name_of_an_entry_has_its_title_and_questions_for_that_visitor_alone(running, send):
    corpus, job = running.memorize("anna", send(running, "anna", ("secret.txt", OWN)), name="tide-mill")
    assert job.wait(60)
    assert running.titles("anna") == {"tide-mill": "The tide-mill", corpus: "The tide-mill"}
    assert running.labels("anna")[corpus] == "The tide-mill (private)"
    assert running.entry_of(corpus, "anna") == running.entries["tide-mill"]
    assert running.pipeline(corpus, "anna").memorized.documents[0].text == OWN
    assert list(running.titles("bert")) == ["tide-mill"]
    assert running.entry_of(corpus, "bert") is None
    assert "Quarrel Bay" in opened(running, "tide-mill", "bert"), "the shared one is as it was"


@pytest.mark.models
def test_any_other_name_is_only_a_title(running, send):
    corpus, job = running.memorize("anna", send(running, "anna", ("a.txt", OWN)), name=" My\n dragon\x00 ")
    assert job.wait(60)
    assert running.titles("anna")[corpus] == "My dragon"
    assert running.entry_of(corpus, "anna") is None


# Reading the memory


@pytest.mark.models
def test_questions_are_answered_while_the_memory_is_read(running, write_entry, monkeypatch, until):
    folder, asked = running.ready_made._catalogue.shipped, threading.Event()
    entry = write_entry(folder, "lamp", OTHER)
    corpora.ship(entry, running.models.get().fork())
    opening = running.ready_made.open

    def slowly(entry, pipeline, on_progress, stop, on_ready):
        def on_step(progress):
            assert asked.wait(30)
            on_progress(progress)

        opening(entry, pipeline, on_step, stop, on_ready)

    monkeypatch.setattr(running.ready_made, "open", slowly)
    try:
        job = running.open("lamp", "anna")
        until(lambda: running.is_open("lamp"), 30)
        pipeline = running.pipeline("lamp", "anna")
        assert pipeline.memorized.missing == ("memory",)
        with closing(pipeline.stream("How many hours has the clock?", max_new_tokens=10)) as events:
            assert next(event for event in events if isinstance(event, Evidence)).passages[0].text == OTHER
        assert pipeline.memorized.missing == ("memory",)
        assert job.snapshot().is_ready
        asked.set()
        assert job.wait(60)
        assert running.pipeline("lamp", "anna").memorized.missing == ()
        assert storage.MEMORY not in [path.name for path in folder.rglob("*")]
    finally:
        asked.set()
        folders.delete(entry.folder)


# Starting


@pytest.mark.models
def test_what_the_settings_repository_has_is_offered_soon_after_the_start(running, built, until, tmp_path):
    with HubServer() as hub, client_of(hub.url, tmp_path):
        entries = [built("dragon", is_shared=True), built("clock", OTHER, is_shared=True)]
        sharing.publish(entries, REPOSITORY, token=hub.token)
        cache = catalogue.places(tmp_path / "cache")
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "models").symlink_to(running.settings.cache_dir / "models")
        asked = {"corpora_repo": REPOSITORY, "hf_token": Secret(hub.reader)}
        settings = {"cache_dir": tmp_path / "cache", "corpora": ("dragon", "tide-mill"), **asked}
        with started(running, until, **settings) as server:
            until(lambda: "dragon" in server.titles("anna"), 60, "pulling")
            assert server.entries["dragon"].origin == "pulled"
            assert opened(server, "dragon") == OWN
            assert server.pipeline("dragon", "anna").memorized.missing == (), "its memory came along"
            assert not (cache.added / "clock").exists(), "it was not asked for"


@pytest.mark.models
def test_a_hub_that_cannot_be_reached_leaves_the_server_working(running, until, tmp_path, caplog):
    with HubServer() as closed:
        address = closed.url
    with (
        client_of(address, tmp_path),
        caplog.at_level(logging.WARNING),
        started(running, until, corpora_repo=REPOSITORY) as server,
    ):
        until(lambda: REPOSITORY in caplog.text, 120, "a word about the repository")
        assert opened(server, "tide-mill").startswith("The tide mill")
    assert not [record for record in caplog.records if record.exc_info]
