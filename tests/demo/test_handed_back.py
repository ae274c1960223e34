"""Questions on the page, without a browser and before the models are there."""

import re

import gradio as gr
import pytest

from demo import messages, text
from demo.conversations import Conversation, Exchange
from demo.identity import owner_of
from demo.page import Again, Page
from demo.questions import Question, Reply

HOSTILE = "Who is <img src=x onerror=alert(1)> **b** $$x$$ [a](javascript:alert(2)) & `c`?"


@pytest.fixture
def page(idle_service, visitors):
    yield Page(idle_service, visitors)
    if (job := idle_service._jobs.running("open:tide-mill")) is not None:
        job.stop()
        assert job.wait(5)


@pytest.fixture
def ask(page, request_of):
    """Ask a question on a page; returns what the page shows, bit by bit."""

    def begin(query, session="page", conversation="", again=None, **changes):
        given = {"corpus": "tide-mill", "generator": text.LOCAL, "model": "", "key": "", "address": ""} | changes
        options = {"temperature": 0.0, "max_new_tokens": 20, "mode": "rag", "compare": False}
        return page.answer(query, again, conversation, **given, **options, request=request_of(session))

    return begin


@pytest.fixture
def conversations(idle_service):
    return idle_service.conversations


def test_markup_in_a_question_is_shown_as_it_was_typed(ask):
    shown = ask(HOSTILE)
    first = next(shown)
    asked = first["chat"][0]
    assert asked["role"] == "user"
    assert not set("<>*$[]`") & set(re.sub(r"\\.", "", asked["content"])), "each has a backslash before it"
    assert re.sub(r"\\(.)", r"\1", asked["content"]).replace("&amp;", "&") == HOSTILE
    assert first["question"] == ""
    shown.close()


def test_a_refused_question_goes_back_into_its_box_as_it_was_typed(ask, conversations):
    (refused,) = ask(HOSTILE, corpus="no-such-corpus")
    assert "chat" not in refused, "what was there before stays"
    assert refused["question"] == HOSTILE
    assert "no-such-corpus" in refused["status"]
    assert conversations.all(owner_of(None, "page")) == []


@pytest.mark.parametrize("query", [None, ""])
def test_where_no_question_is_given_at_all_that_is_said(ask, query):
    (refused,) = ask(query)
    assert 'class="error"' in refused["status"]


def test_a_third_question_of_a_visitor_goes_back_into_its_box_while_two_are_being_answered(ask):
    running = [ask("Who?"), ask("Where?")]
    for shown in running:
        next(shown)
    (refused,) = ask("When?")
    assert refused["question"] == "When?"
    assert text.ASKED_ENOUGH.format(count=2) in refused["status"]
    assert 'class="error"' in refused["status"]
    other = ask("When?", "another visitor")
    assert next(other)["question"] == ""
    for shown in (*running, other):
        shown.close()
    again = ask("When?")
    assert next(again)["question"] == ""
    again.close()


def test_a_fifth_question_is_told_how_many_are_before_it(ask):
    running = [ask("Who?", f"visitor {number}") for number in range(6)]
    told = [next(shown)["status"] for shown in running]
    assert [text.QUEUED.format(count=count) in line for count, line in zip((1, 1, 1, 1, 1, 2), told, strict=True)] == (
        [False] * 4 + [True] * 2
    )
    running[0].close()
    assert text.QUEUED.format(count=1) not in next(running[4])["status"], "it has begun"
    assert text.QUEUED.format(count=1) in next(running[5])["status"]
    for shown in running:
        shown.close()


def test_a_question_is_kept_from_its_first_moment_and_says_that_it_was_stopped(ask, conversations):
    shown = ask("Who grinds the rye?")
    next(shown)
    (running,) = conversations.all(owner_of(None, "page"))
    assert running.exchanges[0].end == "running"
    shown.close()
    (stopped,) = conversations.all(owner_of(None, "page"))
    assert stopped.exchanges[0].end == "stopped"
    assert stopped.exchanges[0].question.query == "Who grinds the rye?"
    assert messages.talk(stopped)[-1]["content"] == f"*{text.NOTHING_WRITTEN}*"


def test_a_conversation_deleted_while_its_answer_runs_stays_deleted(ask, conversations):
    shown = ask("Who grinds the rye?")
    next(shown)
    (running,) = conversations.all(owner_of(None, "page"))
    conversations.remove(owner_of(None, "page"), running.id)
    next(shown)
    shown.close()
    assert conversations.all(owner_of(None, "page")) == []


def test_a_question_asked_again_leaves_what_is_typed_in_the_box(ask):
    shown = ask("half a qu", again=Again("Who grinds the rye?"))
    first = next(shown)
    assert first["question"] == gr.skip()
    assert first["again"] is None
    assert "Who grinds" in first["chat"][0]["content"]
    shown.close()


def test_an_answer_is_not_lost_when_asking_it_again_is_stopped_before_its_first_word(ask, conversations):
    me = owner_of(None, "page")
    kept = Conversation("A" * 22).put(
        None, Exchange(Question("Who?", "tide-mill"), Reply("done", "", answer="I."), "done")
    )
    kept = conversations.change(me, kept.id, lambda _: kept, is_new=True)
    shown = ask("", conversation=kept.id, again=Again("Who grinds?", 0))
    assert "Who grinds" in next(shown)["chat"][0]["content"]
    shown.close()
    assert conversations.get(me, kept.id).exchanges == kept.exchanges


def test_halves_of_surrogate_pairs_are_no_harm(ask, conversations):
    shown = ask("\ud83d hello")
    assert "hello" in next(shown)["chat"][0]["content"]
    shown.close()
    assert conversations.all(owner_of(None, "page"))[0].title == "\ufffd hello"


def test_a_question_is_answered_also_where_it_cannot_be_kept(ask, idle_service):
    folder = idle_service.shelf.folder(owner_of(None, "page"))
    folder.mkdir()
    (folder / "chats").write_text("in the way")
    shown = ask("Who grinds the rye?")
    assert "Who grinds" in next(shown)["chat"][0]["content"]
    shown.close()


def test_an_answer_is_not_lost_when_asking_it_again_is_refused(ask, conversations):
    first = ask("Who grinds the rye?")
    next(first)
    first.close()
    (kept,) = conversations.all(owner_of(None, "page"))
    again = Again("Who grinds the rye?", 0)
    (refused,) = ask("", conversation=kept.id, again=again, corpus="no-such-corpus")
    assert refused["question"] == "Who grinds the rye?"
    assert conversations.all(owner_of(None, "page")) == [kept]
