"""Questions at the door: what is refused, in which words, before any work."""

import logging
import math
from dataclasses import replace

import pytest

from demo import session, text
from demo.generators import Connection
from demo.visitors import Visitors
from engine.errors import InputError, KeyRejectedError
from tests.demo.lighthouse import GOOD, KEY, answering, citer

NUMBERS = {
    "temperature": (text.TEMPERATURE, session.TEMPERATURE),
    "max_new_tokens": (text.MAX_TOKENS, session.TOKENS),
}
BAD_NUMBERS = [
    *(("temperature", value) for value in (3.5, -0.1, "x", "0.5", None, math.nan, math.inf, True)),
    *(("max_new_tokens", value) for value in (5, 9, 1025, 5000, 0, -1, "x", None, math.nan, True)),
]


def sentence_for(idle_service, **changes):
    """Return what is said about a bad question: by the check alone, and by asking, before anything else happens."""
    question, visitor = replace(GOOD, **changes), Visitors().get("v")
    with pytest.raises(InputError) as refused:
        session.check(question, idle_service, visitor)
    with pytest.raises(InputError) as unasked:
        next(iter(session.ask(idle_service, visitor, question)))
    assert str(refused.value) == str(unasked.value)
    assert not answering()
    return str(refused.value)


def test_a_good_question_passes_the_door(idle_service):
    visitor = Visitors().get("v")
    session.check(GOOD, idle_service, visitor)
    for changes in ({"query": "?" * 4000}, {"temperature": 2}, {"max_new_tokens": 10}, {"max_new_tokens": 1024}):
        session.check(replace(GOOD, **changes), idle_service, visitor)
    for mode in text.MODES:
        session.check(replace(GOOD, mode=mode), idle_service, visitor)


@pytest.mark.parametrize("query", ["", " ", "\n\t \u3000"])
def test_an_empty_question_is_refused(idle_service, query):
    assert sentence_for(idle_service, query=query) == text.QUESTION_EMPTY


def test_a_question_that_is_too_long_is_refused(idle_service):
    limit = session.QUESTION_CHARACTERS
    expected = text.QUESTION_LONG.format(length=limit + 1, limit=limit)
    assert sentence_for(idle_service, query="x" * (limit + 1)) == expected


def test_a_question_without_a_corpus_is_refused(idle_service):
    assert sentence_for(idle_service, corpus="") == text.NO_CORPUS


@pytest.mark.parametrize("corpus", ["war-and-peace", "../tide-mill", "<b>", "TIDE-MILL"])
def test_a_question_about_an_unknown_corpus_is_refused(idle_service, corpus):
    expected = text.UNKNOWN_CORPUS.format(corpus=corpus, known="tide-mill")
    assert sentence_for(idle_service, corpus=corpus) == expected


@pytest.mark.parametrize("mode", ["", "Memorag", "chat"])
def test_an_unknown_mode_is_refused(idle_service, mode):
    assert sentence_for(idle_service, mode=mode) == text.BAD_MODE.format(mode=mode, known=", ".join(text.MODES))


@pytest.mark.parametrize("field", ["query", "corpus", "mode", "generator"])
@pytest.mark.parametrize("value", [None, 5, ["x"], {"a": 1}])
def test_what_is_no_text_is_refused(idle_service, field, value):
    assert repr(value) in sentence_for(idle_service, **{field: value})


@pytest.mark.parametrize(("field", "value"), BAD_NUMBERS)
def test_a_number_out_of_range_is_refused(idle_service, field, value):
    name, (low, high) = NUMBERS[field]
    expected = text.BAD_NUMBER.format(name=name, value=value, low=low, high=high)
    assert sentence_for(idle_service, **{field: value}) == expected


@pytest.mark.parametrize("value", ["yes", 1, None, [True]])
def test_a_switch_that_is_neither_on_nor_off_is_refused(idle_service, value):
    assert sentence_for(idle_service, compare=value) == text.BAD_SWITCH.format(name=text.COMPARE, value=value)


def test_an_unknown_generator_is_refused(idle_service):
    assert "clippy" in sentence_for_ask(idle_service, InputError, generator="clippy")


@pytest.mark.parametrize("generator", ["openai", "azure", "deepseek", "huggingface"])
def test_a_generator_without_its_key_is_refused(idle_service, generator):
    connection = Connection("m", address="https://8.8.8.8")
    assert sentence_for_ask(idle_service, KeyRejectedError, connection, generator=generator)


@pytest.mark.parametrize("generator", ["azure", "compatible"])
def test_a_generator_without_its_address_is_refused(idle_service, generator):
    assert sentence_for_ask(idle_service, InputError, Connection("m", KEY), generator=generator)


def test_on_a_public_page_an_address_inside_its_network_is_refused(idle_service, server, requests, monkeypatch):
    monkeypatch.setattr(idle_service, "settings", replace(idle_service.settings, host="0.0.0.0"))
    found = sentence_for_ask(idle_service, InputError, citer(server), generator="compatible")
    assert found == text.PRIVATE_ADDRESS
    assert requests == []


def sentence_for_ask(idle_service, kind, connection=None, **changes):
    with pytest.raises(kind) as refused:
        next(iter(session.ask(idle_service, Visitors().get("v"), replace(GOOD, **changes), connection)))
    assert not answering()
    return session.sentence(refused.value)


def test_a_question_waits_for_a_corpus_that_is_being_opened(idle_service):
    replies = session.ask(idle_service, Visitors().get("v"), GOOD)
    first = next(replies)
    assert first.stage == "models"
    assert "The tide-mill" in first.status
    assert text.STAGES["models"] in first.status
    assert (first.clues, first.passages, first.answer, first.final) == (None, None, "", None)
    replies.close()
    job = idle_service.open("tide-mill")
    job.stop()
    assert job.wait(5)


def test_an_unexpected_error_is_a_plain_sentence_and_the_log_has_the_traceback(caplog):
    with caplog.at_level(logging.ERROR):
        assert session.sentence(ZeroDivisionError("secret detail")) == text.UNEXPECTED
    assert isinstance(caplog.records[-1].exc_info[1], ZeroDivisionError)
