"""The left of the page, without a browser: files taken in and listed, memorising watched, documents deleted."""

from dataclasses import replace
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder

from demo import forecasting, text
from demo.api import visitor_of
from demo.choosing import Choosing
from demo.connecting import Connecting
from demo.documents import Documents
from demo.identity import new_token
from engine import memorizer
from tests.demo.lighthouse import DATA
from tests.uploads import encrypted

LOCKED = encrypted((DATA / "lighthouse.pdf").read_bytes(), "sesame-0815", "owner")
LONG = "".join(f"The miller of Quarrel Bay had {geese} geese and no fear of the sea.\n\n" for geese in range(600))


@pytest.fixture
def dropped(tmp_path, monkeypatch):
    """Put files where uploads come to; returns their paths there."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))

    def drop(*files):
        folder = Path(get_upload_folder()) / ("0" * 64)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files:
            (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return [str(folder / name) for name, _ in files]

    return drop


@pytest.fixture
def documents(service, visitors):
    handlers = Documents(service, visitors, Choosing(service, visitors), Connecting(service, visitors))
    yield handlers
    for visitor in visitors._known.values():
        service.delete(visitor.name)


@pytest.fixture
def me(request_of):
    return request_of("page", new_token())


def listed(shown):
    return [label for label, _ in shown["waiting"].choices]


def ticked(shown):
    return list(shown["waiting"].value)


def until_told(documents, until, request, words, corpus="tide-mill"):
    """Let the timer tick until the status line says ``words``; return all that was shown on the way."""
    shown = []

    def is_told():
        shown.append(documents.look(corpus, None, request))
        return words in str(shown[-1].get("status", ""))

    until(is_told, 60, words)
    return shown


def idle_documents(idle_service, visitors):
    return Documents(idle_service, visitors, Choosing(idle_service, visitors), Connecting(idle_service, visitors))


# Files that wait


def test_uploads_leave_the_folder_that_others_can_read_and_are_listed(idle_service, visitors, dropped, me):
    documents = idle_documents(idle_service, visitors)
    paths = dropped(("mill.txt", "x" * 2048), ("geese.pdf", "y"))
    shown = documents.take(paths, None, me)
    assert not any(Path(path).exists() for path in paths)
    assert shown["files"] is None, "the drop zone is empty again"
    assert listed(shown) == ["mill.txt (2.0 KB)", "geese.pdf (1 bytes)"]
    assert len(ticked(shown)) == 2
    assert shown["memorise"].interactive
    assert text.FILES_READY.format(count=2, size="2.0 KB") in shown["status"]


def test_a_refused_file_is_said_and_the_others_are_taken(idle_service, visitors, dropped, me):
    shown = idle_documents(idle_service, visitors).take(dropped(("a.txt", "x"), ("b.exe", "x")), None, me)
    assert listed(shown) == ["a.txt (1 bytes)"]
    assert text.FILE_WRONG_TYPE.format(name="b.exe") in shown["status"]
    assert 'class="error"' in shown["status"]


def test_files_that_were_left_out_stay_so_when_others_come(idle_service, visitors, dropped, me):
    documents = idle_documents(idle_service, visitors)
    first = ticked(documents.take(dropped(("a.txt", "x"), ("b.txt", "y")), None, me))
    shown = documents.take(dropped(("c.txt", "z")), first[:1], me)
    assert len(listed(shown)) == 3
    assert len(ticked(shown)) == 2
    assert first[1] not in ticked(shown)
    assert not documents.weigh([], me)["memorise"].interactive


def test_a_path_outside_the_folder_of_uploads_is_not_touched(idle_service, visitors, dropped, me, tmp_path):
    dropped()
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    shown = idle_documents(idle_service, visitors).take([str(secret)], None, me)
    assert listed(shown) == []
    assert secret.exists()


def test_a_stranger_sees_none_of_it(idle_service, visitors, dropped, me, request_of):
    documents = idle_documents(idle_service, visitors)
    ids = ticked(documents.take(dropped(("a.txt", "x")), None, me))
    for stranger in (request_of("page", new_token()), request_of("page"), request_of("other", new_token())):
        assert listed(documents.arrive(stranger)) == []
        assert text.NO_FILES in documents.memorise(ids, "", "", stranger)["status"]
    assert ticked(documents.arrive(me)) == ids


@pytest.mark.models
def test_what_it_will_cost_is_said_before(documents, dropped, me, monkeypatch):
    monkeypatch.setattr(forecasting, "_SHORT_SECONDS", 1.0)  # on a fast machine little takes longer
    shown = documents.take(dropped(("mill.txt", "The mill grinds rye. " * 40_000), ("x.pdf", "x")), None, me)
    for words in ("tokens", "Can be asked after about", "searched by meaning after", "of disk"):
        assert words in shown["cost"]
    assert text.COST_UNKNOWN in shown["cost"]
    ids = ticked(shown)
    assert text.COST_UNKNOWN not in documents.weigh(ids[:1], me)["cost"]
    assert documents.weigh(ids[1:], me)["cost"].count("<p") == 1
    assert documents.weigh([], me)["cost"] == ""
    short = documents.take(dropped(("short.txt", "The mill grinds rye.")), None, me)
    assert "memorised in about" in documents.weigh(ticked(short)[-1:], me)["cost"]


@pytest.mark.models
def test_the_cost_is_told_as_soon_as_the_models_are_there(idle_service, service, visitors, dropped, me):
    documents = idle_documents(idle_service, visitors)
    shown = documents.take(dropped(("a.txt", "x")), None, me)
    assert text.COST_LATER in shown["cost"]
    ids = ticked(shown)
    assert documents.look("tide-mill", ids, me)["timer"].active
    idle_service.models = service.models
    assert "memorised in about" in documents.look("tide-mill", ids, me)["cost"]
    assert "cost" not in documents.look("tide-mill", ids, me), "it is told once"


# Memorising


@pytest.mark.models
def test_from_files_to_a_corpus_that_is_chosen(documents, dropped, me, until):
    ids = ticked(documents.take(dropped(("mill.txt", "The mill grinds rye.")), None, me))
    shown = documents.memorise(ids, "", "", me)
    assert shown["stop_memorise"].visible
    assert shown["timer"].active
    assert listed(shown) == []
    assert 'class="busy"' in shown["progress"]
    *_, last = until_told(documents, until, me, "mill.txt is memorised")
    assert last["progress"] == ""
    assert not last["stop_memorise"].visible
    assert not last["resume"].visible
    again = documents.arrive(me)
    assert again["corpus"].choices[-1][0] == "mill.txt (private)"
    assert again["corpus"].value == again["corpus"].choices[-1][1], "after a reload it is chosen"
    assert not documents.look("tide-mill", None, me)["timer"].active, "nothing is going on any more"


@pytest.mark.models
def test_a_long_text_is_chosen_as_soon_as_it_can_be_asked_and_a_reload_goes_on_watching(
    documents, dropped, me, request_of, until, monkeypatch
):
    monkeypatch.setattr(memorizer, "_LONG", 8)
    monkeypatch.setattr(memorizer, "_BLOCK", 8)
    documents.memorise(ticked(documents.take(dropped(("long.txt", LONG)), None, me)), "", "", me)
    shown = until_told(documents, until, me, "long.txt can be asked")
    corpus = next(update["corpus"].value for update in shown if "corpus" in update)
    documents.stop(me)
    other_page = request_of("another page", me.cookies["memorag_visitor"])
    assert documents.arrive(other_page)["corpus"].value == corpus
    *_, last = until_told(documents, until, me, "stopped", corpus)
    assert text.MEMORISING_KEPT.format(title="long.txt") in last["status"]
    assert last["resume"].visible
    assert documents.choosing.choose(corpus, other_page)["resume"].visible
    assert text.RESUME_HINT.strip() in documents.choosing.choose(corpus, other_page)["status"]
    shown = documents.resume(corpus, other_page)
    assert not shown["resume"].visible
    documents.arrive(me)
    for page in (me, other_page):
        *_, last = until_told(documents, until, page, "long.txt is memorised", corpus)
        assert not last["resume"].visible


@pytest.mark.models
def test_a_protected_file_asks_for_its_password_and_is_tried_again(documents, dropped, me, until):
    ids = ticked(documents.take(dropped(("letters.pdf", LOCKED), ("a.txt", "A word.")), None, me))
    assert not documents.memorise(ids, "", "", me)["password"].visible
    *_, last = until_told(documents, until, me, "letters.pdf")
    assert last["password"].visible
    assert 'class="error"' in last["status"]
    assert ticked(last) == ids, "nothing is lost"
    shown = documents.memorise(ids, "sesame-0815", "", me)
    assert (shown["password"].value, shown["password"].visible) == ("", False)
    *_, last = until_told(documents, until, me, "letters.pdf + 1 is memorised")
    assert not last["password"].visible


@pytest.mark.models
def test_a_refused_file_is_gone_and_the_others_stay_listed(documents, dropped, me, until):
    hostile = "<img src=x onerror=alert(1)>.txt"
    ids = ticked(documents.take(dropped((hostile, " "), ("a.txt", "A word.")), None, me))
    documents.memorise(ids, "", "", me)
    *_, last = until_told(documents, until, me, "white space")
    assert listed(last) == ["a.txt (7 bytes)"]
    assert not last["password"].visible
    assert "&lt;img" in last["status"]
    assert "<img" not in last["status"]


@pytest.mark.models
def test_while_an_answer_is_written_the_timer_leaves_its_status_line_alone(documents, visitors, dropped, me, until):
    visitor = visitor_of(visitors, me)
    visitor.answers = 1
    documents.memorise(ticked(documents.take(dropped(("a.txt", "A word.")), None, me)), "", "", me)
    watch = visitor.watch
    assert watch.job.wait(30)
    assert "status" not in documents.look("tide-mill", None, me)
    visitor.answers = 0
    until_told(documents, until, me, "a.txt is memorised")


# Deleting


@pytest.mark.models
def test_deleting_empties_the_page_and_the_disk(documents, service, visitors, dropped, me, until):
    ids = ticked(documents.take(dropped(("a.txt", "A word."), ("b.txt", "Another.")), None, me))
    documents.memorise(ids[:1], "", "", me)
    until_told(documents, until, me, "a.txt is memorised")
    shown = documents.delete(me)
    assert text.DELETED in shown["status"]
    assert shown["corpus"].value == "tide-mill"
    assert listed(shown) == []
    assert shown["chat"]["value"] == []
    assert not service.shelf.folder(visitor_of(visitors, me).name).exists()
    assert text.NOTHING_TO_DELETE in documents.delete(me)["status"]


@pytest.mark.models
def test_documents_whose_time_is_over_are_gone_from_the_page(documents, service, dropped, me, until, monkeypatch):
    documents.memorise(ticked(documents.take(dropped(("a.txt", "A word.")), None, me)), "", "", me)
    until_told(documents, until, me, "a.txt is memorised")
    corpus = documents.arrive(me)["corpus"].value
    monkeypatch.setattr(service, "settings", replace(service.settings, upload_hours=1e-9))
    assert text.CHOOSE in documents.choosing.choose(corpus, me)["status"]
    assert documents.arrive(me)["corpus"].value == "tide-mill"
