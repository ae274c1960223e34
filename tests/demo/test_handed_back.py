"""Questions on the page, without a browser and before the models are there."""

import re

import pytest

from demo import text
from demo.page import Page

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

    def begin(query, session="page", history=(), **changes):
        given = {"corpus": "tide-mill", "generator": text.LOCAL, "model": "", "key": "", "address": ""} | changes
        options = {"temperature": 0.0, "max_new_tokens": 20, "mode": "rag", "compare": False}
        return page.answer(query, list(history), **given, **options, request=request_of(session))

    return begin


def test_markup_in_a_question_is_shown_as_it_was_typed(ask):
    shown = ask(HOSTILE)
    chat, box, *_ = next(shown)
    assert chat[0]["role"] == "user"
    assert not set("<>*$[]`") & set(re.sub(r"\\.", "", chat[0]["content"])), "each has a backslash before it"
    assert chat[0]["content"].replace("&amp;", "&").replace("\\", "") == HOSTILE
    assert box == ""
    shown.close()


def test_a_refused_question_goes_back_into_its_box_as_it_was_typed(ask):
    history = [{"role": "user", "content": "Before."}]
    ((chat, box, status, *_),) = ask(HOSTILE, history=history, corpus="no-such-corpus")
    assert chat == history
    assert box == HOSTILE
    assert "no-such-corpus" in status


@pytest.mark.parametrize("query", [None, ""])
def test_where_no_question_is_given_at_all_that_is_said(ask, query):
    ((chat, _, status, *_),) = ask(query)
    assert chat == []
    assert 'class="error"' in status


def test_a_third_question_of_a_visitor_goes_back_into_its_box_while_two_are_being_answered(ask):
    running = [ask("Who?"), ask("Where?")]
    for shown in running:
        next(shown)
    ((_, box, status, *_),) = ask("When?")
    assert box == "When?"
    assert text.ASKED_ENOUGH.format(count=2) in status
    assert 'class="error"' in status
    other = ask("When?", "another visitor")
    assert next(other)[1] == ""
    for shown in (*running, other):
        shown.close()
    again = ask("When?")
    assert next(again)[1] == ""
    again.close()
