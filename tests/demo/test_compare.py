"""Two answers side by side: from the question to what is shown, with the real models and a real API on loopback."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from demo import session, text
from demo.api import _reply_object
from demo.compare import comparison, is_same
from demo.generators import Connection
from demo.page import Page
from demo.questions import Question, Reply
from demo.visitors import Visitors
from engine.errors import InputError
from engine.events import Answer, Passage
from engine.settings import Secret
from tests.openai_server import openai_server

EVIL = '<img src=x onerror=alert(1)> & "it\'s"'
HERE = Question("What does the mill grind?", "tide-mill", compare=True, max_new_tokens=12)


def passage(number, start=0, end=100, document="mill.txt", words="The mill grinds rye.", **place):
    return Passage(number, words, document, start, end, **place)


RYE = passage(1)


def reply(answer="It grinds rye [1].", passages=(RYE,), mode="memorag", seconds=1.0, **rest):
    timings = {"clues": seconds / 2, "retrieval": 0.1, "first_token": 0.7, "total": seconds}
    final = Answer(answer, tuple(passages), timings=timings)
    return Reply("done", "", (), tuple(passages), answer, final, mode=mode, **rest)


def answering():
    return [thread for thread in threading.enumerate() if thread.name == "memorag-answer"]


# What is shown


def test_without_a_comparison_the_panel_says_how_to_get_one():
    assert text.COMPARE in comparison(None, None)
    assert comparison(reply(), replace(HERE, compare=False)) == comparison(None, None)


def test_plain_rag_is_not_compared_with_itself():
    assert not replace(HERE, mode="rag").is_compared
    shown = comparison(reply(mode="rag"), replace(HERE, mode="rag"))
    assert "nothing to compare" in shown
    assert "It grinds" not in shown


@pytest.mark.parametrize("mode", ["memorag", "qa", "summarize", "full"])
def test_each_answer_stands_under_its_own_name_with_its_own_times(mode):
    plain = reply("Barley [1].", mode="rag", seconds=2.5)
    shown = comparison(reply(mode=mode, seconds=7.25, plain=plain), replace(HERE, mode=mode))
    first, second = shown.split('<section class="side"')[1:]
    assert f"<h4>{text.MODES[mode]}</h4>" in first
    assert "It grinds rye" in first
    assert "7.25 s" in first
    assert f"<h4>{text.MODES['rag']}</h4>" in second
    assert "Barley" in second
    assert "2.50 s" in second
    assert "Barley" not in first
    assert "It grinds rye" not in second


def test_it_is_told_which_passages_both_found_and_which_only_one():
    mine = (passage(1, 0, 100), passage(2, 200, 300), passage(3, 600, 700))
    theirs = (passage(1, 150, 310), passage(2, 400, 500))
    shown = comparison(reply(passages=mine, plain=reply(passages=theirs, mode="rag")), HERE)
    expected = text.COMPARISON_BOTH.format(both=1, first="MemoRAG", first_only=2, second="Plain RAG", second_only=1)
    assert expected in shown
    first, second = shown.split('<section class="side"')[1:]
    assert (first.count(text.SHARED), first.count(text.ALONE)) == (1, 2)
    assert (second.count(text.SHARED), second.count(text.ALONE)) == (1, 1)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (passage(9, 0, 100), True),
        (passage(9, 0, 400), True),  # the same, with its neighbours
        (passage(9, 60, 160), False),
        (passage(9, 50, 150), True),
        (passage(9, 100, 200), False),
        (passage(9, 0, 100, "other.txt"), False),
    ],
)
def test_passages_are_the_same_where_half_of_the_shorter_is(other, same):
    assert is_same(passage(1, 0, 100), other) == is_same(other, passage(1, 0, 100)) == same


def test_only_cited_passages_are_tagged_as_cited():
    found = (passage(1), passage(2, 200, 300))
    shown = comparison(reply("Rye [2].", found, plain=reply("Rye.", found, mode="rag")), HERE)
    first, second = shown.split('<section class="side"')[1:]
    assert first.count(f">{text.CITED}<") == 1
    assert first.index("[2]</b> <span") < first.index(f">{text.CITED}<")
    assert text.CITED not in second.replace("uncited", "")


def test_a_passage_names_its_place():
    shown = comparison(reply(passages=(passage(1, page=3, section="The Mill"),)), HERE)
    assert "mill.txt - page 3, The Mill" in shown


def test_before_its_turn_the_second_answer_waits_and_then_says_what_it_does():
    assert text.STAGES["later"] in comparison(reply(), HERE)
    writing = Reply("write", "", (), (passage(1),), "Ba", mode="rag")
    shown = comparison(reply(plain=writing), HERE)
    assert text.STAGES["write"] in shown
    assert "unfinished" in shown
    assert "unfinished" not in comparison(reply(plain=reply(mode="rag")), HERE)


@pytest.mark.parametrize("answer", ["", "Barl"])
def test_why_the_second_answer_broke_off_is_said_beside_the_whole_first_one(answer):
    broken = Reply("done", "", (), (passage(1),), answer, mode="rag", problem="The key was refused.")
    shown = comparison(reply(plain=broken), HERE)
    words = text.PROBLEM_LATE if answer else text.PROBLEM
    assert words.format(sentence="The key was refused.") in shown
    assert 'role="alert"' in shown
    assert "It grinds rye" in shown
    assert "unfinished" not in shown


def test_everything_of_documents_models_and_errors_is_escaped():
    hostile = (passage(1, document=f"{EVIL}.txt", words=EVIL, page=1, section=EVIL),)
    broken = Reply("done", "", (), hostile, f"{EVIL} [1]", mode="rag", problem=EVIL)
    shown = comparison(reply(f"{EVIL} [1]", hostile, plain=broken), HERE)
    assert "<img" not in shown
    assert "&lt;img" in shown
    assert '"it' not in shown


# Asking


@pytest.fixture(scope="module")
def server():
    with openai_server({"citer": "It grinds rye [1]."}) as running:
        yield running


@pytest.fixture
def requests(server):
    server.requests.clear()
    return server.requests


def behind(server, model="citer"):
    return Connection(model, Secret("sk-test"), server.base_url)


@pytest.fixture(scope="module")
def replies(service):
    """The replies to a compared question, by the local model."""
    return list(session.ask(service, Visitors().get("v"), HERE))


@pytest.mark.models
def test_plain_rag_answers_when_the_first_answer_is_whole_and_leaves_it_as_it_is(replies):
    begun = next(number for number, reply in enumerate(replies) if reply.plain is not None)
    before, after = replies[:begun], replies[begun:]
    assert all(reply.final is None for reply in before)
    first = after[0]
    assert first.final is not None
    for reply in after:
        assert (reply.answer, reply.passages, reply.clues) == (first.answer, first.passages, first.clues)
        assert reply.plain.mode == "rag"
    assert [reply.stage for reply in after[:-1]] == ["plain"] * (len(after) - 1)
    assert len(after) > 1


@pytest.mark.models
def test_only_the_last_reply_is_done_and_holds_both_answers(replies):
    *before, last = replies
    assert "done" not in {reply.stage for reply in before}
    assert last.stage == "done"
    assert last.answer.strip()
    assert last.plain.final is not None
    assert last.plain.answer.strip()
    assert last.plain.passages
    assert last.plain.problem == ""
    seconds = [f"{reply.final.timings['total']:.1f}" for reply in (last, last.plain)]
    assert last.status == text.COMPARED.format(seconds=seconds[0], plain=seconds[1])


@pytest.mark.models
def test_the_second_answer_is_that_of_plain_rag_alone(service, visitors, replies):
    *_, alone = session.ask(service, visitors.get("v"), replace(HERE, mode="rag", compare=False))
    assert (alone.answer, alone.passages) == (replies[-1].plain.answer, replies[-1].plain.passages)
    assert alone.plain is None


@pytest.mark.models
def test_plain_rag_itself_is_answered_once(service, visitors, server, requests):
    question = replace(HERE, mode="rag", generator="compatible")
    *_, last = session.ask(service, visitors.get("v"), question, behind(server))
    assert last.plain is None
    assert len(requests) == 1


@pytest.mark.models
def test_both_answers_are_written_by_the_same_generator_with_the_same_limits(service, visitors, server, requests):
    question = replace(HERE, generator="compatible", temperature=0.6, max_new_tokens=33)
    *_, last = session.ask(service, visitors.get("v"), question, behind(server))
    assert "rye" in last.answer
    assert "rye" in last.plain.answer
    first, second = (request.body for request in requests)
    for name in ("model", "temperature", "max_tokens"):
        assert first[name] == second[name]
    assert (first["temperature"], first["max_tokens"]) == (0.6, 33)


class Failing:
    """A pipeline whose plain RAG fails, before or after its first words."""

    def __init__(self, pipeline, late, error):
        self.pipeline, self.late, self.error = pipeline, late, error

    def stream(self, query, task_type, **options):
        events = self.pipeline.stream(query, task_type=task_type, **options)
        if task_type != "rag":
            yield from events
            return
        if self.late:
            for event in events:
                yield event
                if type(event).__name__ == "Token":
                    break
        raise self.error


@pytest.mark.models
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("error", "sentence"), [(InputError("Too hot."), "Too hot."), (KeyError("secret"), text.UNEXPECTED)]
)
def test_what_goes_wrong_with_the_second_answer_loses_nothing_of_the_first(
    service, visitors, monkeypatch, late, error, sentence
):
    pipeline = service.pipeline("tide-mill", "v")
    monkeypatch.setattr(service, "pipeline", lambda corpus, visitor: Failing(pipeline, late, error))
    *_, last = session.ask(service, visitors.get("v"), HERE)
    assert last.stage == "done"
    assert last.final.text == last.answer
    assert last.answer.strip()
    assert last.plain.problem == sentence
    assert last.plain.final is None
    assert bool(last.plain.answer) == late
    assert "Plain RAG failed" in last.status
    assert "secret" not in comparison(last, HERE)


@pytest.mark.models
@pytest.mark.parametrize("which", ["first", "second"])
def test_closing_stops_whichever_answer_runs(service, visitors, until, which):
    question = replace(HERE, query="Tell all about the mill.", max_new_tokens=300)
    running = session.ask(service, visitors.get("v"), question)
    for found in running:
        if found.answer if which == "first" else found.plain is not None and found.plain.passages is not None:
            break
    assert len(answering()) == 1
    running.close()
    until(lambda: not answering(), 1.0, "the end of the worker")


# The page's handler and the endpoint


@pytest.mark.models
def test_the_page_brings_the_comparison_to_the_front_once_and_is_busy_until_both_are_done(service):
    page, request = Page(service, Visitors()), SimpleNamespace(session_hash="visitor")
    asked = (HERE.query, None, "", HERE.corpus, text.LOCAL, "", "", "", 0, 12, "memorag", True)
    steps = list(page.answer(*asked, request))
    assert [step["tabs"].selected for step in steps if "tabs" in step] == ["compare"]
    *before, last = steps
    compared = [step for step in before if text.STAGES["write"] in step.get("compared", "")]
    assert compared
    assert all('class="busy"' in step["status"] for step in compared)
    assert 'class="idle"' in last["status"]
    assert last["compared"].count("<section") == 2


def test_the_endpoint_tells_of_the_second_answer_what_it_tells_of_the_first():
    told = _reply_object(reply(plain=reply("Barley [1].", mode="rag", seconds=2.0)))
    assert told["plain"]["answer"] == "Barley [1]."
    assert told["plain"]["timings"]["total"] == 2.0
    assert told["plain"]["evidence"][0]["text"] == "The mill grinds rye."
    assert told["plain"]["problem"] == ""
    assert set(told["plain"]) - {"problem"} <= set(told)
    assert _reply_object(reply())["plain"] is None
