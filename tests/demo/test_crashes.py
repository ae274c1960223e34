"""Work that a server left unfinished: the next one goes on with it, but not for ever with what may end each of them."""

from dataclasses import replace

import pytest

from demo import text
from demo.choosing import Choosing
from demo.connecting import Connecting
from demo.documents import Documents
from demo.identity import new_token, owner_of
from demo.service import Service

OWN = ("own.txt", "The dragon of Ostermoor is called Hildegard. She eats nothing but pickled turnips.")
TOKEN = new_token()
ANNA = owner_of(TOKEN, None)


@pytest.fixture
def begin(idle_service, tmp_path, monkeypatch):
    """Starts one server after another over the same folder; work waits there for models that never come."""
    idle_service.close()
    started = []

    def start():
        server = Service(idle_service.settings, folder=tmp_path / "catalogue")
        monkeypatch.setattr(server.models, "load", lambda: None)
        started.append(server)
        server._load()
        return server

    yield start
    for server in started:
        server.close()


def page_of(server, visitors):
    return Documents(server, visitors, Choosing(server, visitors), Connecting(server, visitors))


def crash(server):
    """End a server as a crash does: on disk, all stays as it is."""
    server.close()
    for _, corpus, facts in server.shelf.all():
        assert facts.state == "running", corpus


def the_corpus(server):
    ((corpus, facts),) = server.shelf.corpora(ANNA).items()
    return corpus, facts


@pytest.fixture
def given_up(begin, send, request):
    """A server that found work with which three before it had ended; each began it again.

    With the parameter, a part of it could be asked already.
    """
    server = begin()
    corpus, _ = server.memorize(ANNA, send(server, ANNA, OWN))
    if getattr(request, "param", False):
        server.shelf.bundle(ANNA, corpus).mkdir()
        (server.shelf.bundle(ANNA, corpus) / "manifest.json").write_text("{}")
    for attempt in (1, 2, 3):
        crash(server)
        server = begin()
        assert server.running(ANNA) is not None
        assert the_corpus(server) == (corpus, replace(server.shelf.get(ANNA, corpus), attempts=attempt))
    crash(server)
    return begin()


def test_what_was_begun_for_the_first_time_counts_no_attempt(begin, send):
    server = begin()
    corpus, _ = server.memorize(ANNA, send(server, ANNA, OWN))
    assert server.shelf.get(ANNA, corpus).attempts == 0


def test_after_three_servers_that_ended_the_next_one_leaves_the_work_alone_and_the_files_wait_again(given_up):
    assert given_up.running(ANNA) is None
    assert given_up.shelf.corpora(ANNA) == {}
    given_up.sweep()
    (upload,) = given_up.uploads.waiting(ANNA)
    assert given_up.uploads.path(ANNA, upload).read_text() == OWN[1]
    corpus, _ = given_up.memorize(ANNA, [upload.id])
    assert given_up.shelf.get(ANNA, corpus).attempts == 0


@pytest.mark.parametrize("given_up", [True], indirect=True)
def test_what_can_be_asked_already_is_kept(given_up):
    corpus, facts = the_corpus(given_up)
    assert given_up.running(ANNA) is None
    assert (facts.state, facts.attempts) == ("stopped", 3)
    assert given_up.titles(ANNA)[corpus] == "own.txt"


@pytest.mark.parametrize("given_up", [True], indirect=True)
def test_other_work_is_not_held_up_by_it(given_up, begin, send):
    corpus, _ = the_corpus(given_up)
    other, _ = given_up.memorize(ANNA, send(given_up, ANNA, ("other.txt", "Another word.")))
    given_up.close()
    again = begin()
    assert again.shelf.get(ANNA, corpus).state == "stopped"
    assert again.shelf.get(ANNA, other).attempts == 1
    assert again.running(ANNA)[0] == other


@pytest.mark.parametrize("given_up", [True], indirect=True)
def test_its_visitor_may_try_again_and_then_it_counts_from_the_start(given_up, visitors, request_of):
    corpus, _ = the_corpus(given_up)
    page, me = (
        Documents(given_up, visitors, Choosing(given_up, visitors), Connecting(given_up, visitors)),
        request_of("page", TOKEN),
    )
    assert page.choosing.choose(corpus, me)["resume"].visible
    shown = page.resume(corpus, me)
    assert shown["stop_memorise"].visible
    facts = given_up.shelf.get(ANNA, corpus)
    assert (facts.state, facts.attempts) == ("running", 0)
    assert given_up.running(ANNA)[0] == corpus


@pytest.mark.parametrize("given_up", [False, True], indirect=True)
def test_its_visitor_may_delete_it(given_up, visitors, request_of):
    page, me = (
        Documents(given_up, visitors, Choosing(given_up, visitors), Connecting(given_up, visitors)),
        request_of("page", TOKEN),
    )
    assert text.DELETED in page.delete(me)["status"]
    assert not given_up.shelf.folder(ANNA).exists()
