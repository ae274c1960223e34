"""Answers of the local model, from the question to what is shown, and the evidence they rest on."""

import time
from dataclasses import replace
from itertools import pairwise

import pytest

from demo import session, text
from demo.questions import Question
from engine.citation import cited
from engine.errors import InputError, KeyRejectedError
from tests.demo.lighthouse import FACTS, GOOD, KINDS, MODES, STEPS, answering, asked, citer

STAGES = ["models", "recall", "retrieve", "write", "done"]


@pytest.fixture(scope="module")
def answers(library):
    """The replies to one question in every mode, by the local model."""
    return {mode: asked(library, "txt", STEPS, mode, max_new_tokens=16) for mode in MODES}


@pytest.mark.models
@pytest.mark.parametrize("mode", MODES)
def test_stages_come_in_order_and_end_in_an_answer(answers, mode):
    replies = answers[mode]
    seen = [STAGES.index(reply.stage) for reply in replies]
    assert seen == sorted(seen)
    assert replies[-1].stage == "done"
    assert all(reply.final is None for reply in replies[:-1])
    assert replies[-1].final is not None


@pytest.mark.models
@pytest.mark.parametrize("mode", ["memorag", "rag", "summarize"])
def test_no_word_of_an_answer_is_shown_without_its_evidence(answers, mode):
    replies = answers[mode]
    first_word = next(number for number, reply in enumerate(replies) if reply.answer)
    first_evidence = next(number for number, reply in enumerate(replies) if reply.passages is not None)
    assert first_evidence <= first_word  # in one look at a fast generator they may come together
    assert all(reply.passages == replies[-1].passages for reply in replies[first_evidence:])


@pytest.mark.models
@pytest.mark.parametrize("mode", MODES)
def test_an_answer_grows_and_ends_as_it_was_streamed(answers, mode):
    replies = answers[mode]
    for before, after in pairwise(replies):
        assert after.answer.startswith(before.answer)
    last = replies[-1]
    assert last.answer == last.final.text
    assert last.answer.strip()


@pytest.mark.models
@pytest.mark.parametrize("mode", MODES)
def test_every_citation_names_a_passage_that_is_shown(answers, mode):
    last = answers[mode][-1]
    assert cited(last.answer) <= {passage.number for passage in last.passages}
    assert last.final.evidence == last.passages
    assert [passage.number for passage in last.passages] == list(range(1, len(last.passages) + 1))


@pytest.mark.models
def test_every_mode_shows_what_belongs_to_it(answers):
    shown = {mode: (bool(found[-1].clues), bool(found[-1].passages)) for mode, found in answers.items()}
    assert shown["memorag"][1]
    assert shown["rag"] == (False, True)
    assert shown["qa"] == (False, False)
    assert shown["summarize"] == (True, True)
    assert answers["rag"][-1].clues == ()


@pytest.mark.models
@pytest.mark.parametrize("mode", MODES)
def test_the_status_line_says_what_is_done_and_at_last_how_long_it_took(answers, mode):
    *before, last = answers[mode]
    for reply in before:
        assert text.STAGES[reply.stage] in reply.status
    assert last.status == text.DONE.format(seconds=f"{last.final.timings['total']:.1f}")


@pytest.mark.models
def test_the_same_question_is_answered_alike_again(library, answers):
    again = asked(library, "txt", STEPS, "rag", max_new_tokens=16)
    assert again[-1].answer == answers["rag"][-1].answer
    assert again[-1].passages == answers["rag"][-1].passages


@pytest.mark.models
@pytest.mark.parametrize("moment", ["recall", "prompt", "writing"])
def test_closing_an_answer_stops_its_worker_and_frees_the_processor(library, moment, until):
    mode = "memorag" if moment == "recall" else "rag"
    question = Question(STEPS, library.corpora["txt"], max_new_tokens=400, mode=mode)
    replies = session.ask(library.service, library.visitor, question)
    reached = {
        "recall": lambda reply: reply.stage == "recall",
        "prompt": lambda reply: reply.stage == "write",
        "writing": lambda reply: reply.answer,
    }
    for reply in replies:
        if reached[moment](reply):
            break
    assert answering()
    replies.close()
    until(lambda: not answering(), 1.0, "the end of the worker")

    def is_quiet():
        before, began = time.process_time(), time.monotonic()
        time.sleep(0.1)
        return time.process_time() - before < 0.3 * (time.monotonic() - began)

    until(is_quiet, 2.0, "a free processor")


@pytest.mark.models
def test_after_a_stop_the_next_question_is_answered(library, server):
    replies = session.ask(library.service, library.visitor, Question(STEPS, library.corpora["txt"], mode="rag"))
    next(replies)
    replies.close()
    assert asked(library, "txt", STEPS, connection=citer(server))[-1].final is not None


def test_of_three_questions_at_once_the_third_is_refused_and_another_visitors_is_not(idle_service, visitors, stopped):
    anna, bert = visitors.get("anna"), visitors.get("bert")
    running = [session.ask(idle_service, anna, GOOD) for _ in range(2)]
    assert [next(replies).stage for replies in running] == ["models"] * 2
    for visitor in (anna, visitors.get("another page", "anna")):
        with pytest.raises(InputError) as refused:
            next(session.ask(idle_service, visitor, GOOD))
        assert str(refused.value) == text.ASKED_ENOUGH.format(count=2)
    running.append(session.ask(idle_service, bert, GOOD))
    assert next(running[-1]).stage == "models"
    running[0].close()
    again = session.ask(idle_service, anna, GOOD)
    assert next(again).stage == "models"
    for replies in (*running, again):
        replies.close()
    stopped(idle_service.open("tide-mill"))


def test_questions_that_end_in_an_error_are_not_counted(idle_service, visitors, stopped):
    anna = visitors.get("anna")
    failing = [(replace(GOOD, generator="openai"), KeyRejectedError), (replace(GOOD, query=""), InputError)]
    for question, kind in failing:
        for _ in range(4):
            with pytest.raises(kind) as refused:
                next(session.ask(idle_service, anna, question))
            assert str(refused.value) != text.ASKED_ENOUGH.format(count=2)
    replies = session.ask(idle_service, anna, GOOD)
    assert next(replies).stage == "models"
    replies.close()
    stopped(idle_service.open("tide-mill"))


# Evidence


@pytest.fixture(scope="module")
def evidence(library, server):
    """The passages found for each fact in each kind of file."""
    return {
        (kind, query): asked(library, kind, query, connection=citer(server))[-1].passages
        for kind in KINDS
        for query, *_ in FACTS
    }


@pytest.mark.models
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("query", "fact"), [fact[:2] for fact in FACTS])
def test_the_evidence_holds_the_fact_word_for_word(library, evidence, kind, query, fact):
    found = evidence[kind, query]
    (document,) = library.service.pipeline(library.corpora[kind], "reader").memorized.documents
    assert any(fact in " ".join(passage.text.split()) for passage in found)
    for passage in found:
        assert document.text[passage.start : passage.end] == passage.text
        assert passage.document == f"lighthouse.{kind}"


def with_fact(found, fact):
    return next(passage for passage in found if fact in " ".join(passage.text.split()))


def places(document, passage):
    """Return every (page, section) that a passage touches."""
    return {document.locate(at) for at in range(passage.start, passage.end)}


@pytest.mark.models
@pytest.mark.parametrize(("query", "fact", "page"), [fact[:3] for fact in FACTS])
def test_the_passage_of_a_pdf_with_the_fact_names_the_page_of_the_fact(evidence, query, fact, page):
    found = with_fact(evidence["pdf", query], fact)
    assert (found.page, found.section) == (page, None)


@pytest.mark.models
@pytest.mark.parametrize(("query", "fact", "section"), [(query, fact, section) for query, fact, _, section in FACTS])
def test_the_passage_of_a_docx_with_the_fact_names_the_section_of_the_fact(evidence, query, fact, section):
    found = with_fact(evidence["docx", query], fact)
    assert (found.page, found.section) == (None, section)


@pytest.mark.models
@pytest.mark.parametrize("kind", ["pdf", "docx"])
def test_every_passage_names_a_page_or_section_that_it_lies_on(library, evidence, kind):
    (document,) = library.service.pipeline(library.corpora[kind], "reader").memorized.documents
    for passage in evidence[kind, STEPS]:
        assert (passage.page, passage.section) in places(document, passage)


@pytest.mark.models
def test_passages_of_a_plain_text_name_neither(evidence):
    assert {(passage.page, passage.section) for passage in evidence["txt", STEPS]} == {(None, None)}
