"""What a text cannot answer is said, instead of a guess; and never of what it can."""

from __future__ import annotations

import pytest

from engine import MemoRAGLite
from engine.evidence import find
from engine.prompt import en_prompts
from engine.silence import is_silent
from engine.strategy import Strategy
from tests.pipelines import FACTS, events_of

pytestmark = pytest.mark.models
ELSEWHERE = ["How old was Professor Dumbledore when Tom Riddle came to Hogwarts?", "Which river flows through Prague?"]
BROAD = [
    "What is this text about?",
    "What happens in the end?",
    "Tell the whole story in great detail.",
    "who is dumbledore",
]


@pytest.fixture(scope="module")
def pipeline(tiny_model, encoder, lighthouse):
    made = MemoRAGLite(tiny_model, encoder)
    made.memorize(lighthouse)
    return made


def silent(pipeline, question: str) -> bool:
    held = pipeline.memorized
    return is_silent(question, find(question, [], held, Strategy(), 3), held)


@pytest.mark.parametrize("question", [question for question, _ in FACTS])
def test_what_the_text_answers_is_answered(pipeline, question):
    assert not silent(pipeline, question)


@pytest.mark.parametrize("question", BROAD)
def test_questions_that_name_nothing_are_put_to_the_generator(pipeline, question):
    assert not silent(pipeline, question)


@pytest.mark.parametrize("question", ELSEWHERE)
def test_what_the_text_never_names_is_not_made_up(pipeline, question):
    assert silent(pipeline, question)
    answer = events_of(pipeline, question)[-1]
    assert answer.text == en_prompts.not_found
    assert answer.evidence, "the reader can see what was looked at"
    assert not any(mark.sources for mark in answer.marks)


def test_a_name_in_capitals_or_another_script_raises_no_alarm(pipeline):
    for question in ("WHO WAS PROFESSOR DUMBLEDORE?", "谁是邓布利多？"):
        assert not silent(pipeline, question)
