"""One variant on one question: what is asked in which words, and what comes of it.

Choices are put after the question as lettered lines, in the generator's prompt only: passages and clues are looked for
with the question alone. (A memory that answers by itself is asked with the choices.)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.chunking import sentences
from engine.encoder import Encoder
from engine.events import Answer, Clues, Event, Evidence, Passage, Stop
from engine.prompt import Prompts, prompts_for, render
from engine.questions import Question
from engine.request import Generator


@dataclass(frozen=True)
class Result:
    """What a variant gave for a question.

    ``prediction`` is None where no answer was asked for, ``retrieved`` None where no passages are looked for.
    ``evidence_tokens`` are tokens of the retriever. ``seconds`` by stage ("clues", "retrieval", "first_token",
    "total") say what the question took, recalling clues included where the variant uses any. ``error`` says why there
    is nothing, such as a question too long for the model; that counts as a wrong answer.
    """

    key: str
    code: str
    variant: str
    doc: str
    question: str
    prediction: str | None = None
    retrieved: tuple[str, ...] | None = None
    evidence_tokens: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    truncated: bool = False
    error: str = ""


@dataclass(frozen=True)
class Wording:
    """What is asked in a language beside the prompts of the engine: ``choose`` follows a question's choices."""

    closed: str
    choose: str


_ENGLISH = Wording(
    closed="Answer the question briefly.\n\nQuestion: {question}",
    choose="Which of these choices is right? Answer with its letter.",
)
_CHINESE = Wording(closed="请简短地回答问题。\n\n问题：{question}", choose="以上哪个选项正确？请用选项的字母回答。")


def wording_for(language: str) -> Wording:
    """Return the wording for a language code; English for all but Chinese."""
    return _CHINESE if prompts_for(language).language == "zh" else _ENGLISH


def with_choices(question: Question, wording: Wording) -> str:
    """Return the question with its choices, where it has any."""
    return f"{question.question}\n{_choosing(question, wording)}" if question.choices else question.question


def choice_template(question: Question, prompts: Prompts, is_able: bool, wording: Wording) -> str:
    """Return the generator's usual prompt template with the question's choices after it."""
    usual = prompts.qa_gen if is_able else prompts.qa_gen_short
    return f"{usual}\n\n" + _choosing(question, wording).replace("{", "{{").replace("}", "}}")


def _choosing(question: Question, wording: Wording) -> str:
    lines = [f"({chr(65 + number)}) {choice}" for number, choice in enumerate(question.choices)]
    return "\n".join([*lines, wording.choose])


def closed(
    question: Question, language: str, generator: Generator, blank: Result, max_new_tokens: int, stop: Stop | None
) -> Result:
    """Let the generator answer the bare question: what it knows without any document."""
    began, wording = time.perf_counter(), wording_for(language)
    prompt = render(wording.closed, question=with_choices(question, wording))
    text, first = "", 0.0
    for piece in generator.stream(prompt, max_new_tokens, 0.0, stop=stop):
        first = first or time.perf_counter() - began
        text += piece
    seconds = {"first_token": first, "total": time.perf_counter() - began}
    cut = generator.count_tokens(text) >= max_new_tokens - 1
    return replace(blank, prediction=text, seconds=seconds, truncated=cut)


def observed(
    events: Iterator[Event], blank: Result, encoder: Encoder | None, evidence_only: bool, before: float
) -> Result:
    """Return what a stream of events says; with ``evidence_only``, leave it when the evidence is there.

    ``encoder`` counts the tokens of the evidence, None where no passages are looked for. ``before`` are the seconds
    that the clues of the stream took to be recalled beforehand.
    """
    seconds = {"clues": before, "retrieval": 0.0}
    passages: tuple[Passage, ...] = ()
    found: dict[str, Any] = {}
    for event in events:
        if isinstance(event, Clues):
            seconds["clues"] += event.seconds
        elif isinstance(event, Evidence):
            passages, seconds["retrieval"] = event.passages, event.seconds
            seconds["total"] = seconds["clues"] + seconds["retrieval"]
            if evidence_only:
                break
        elif isinstance(event, Answer):
            found |= {"prediction": event.text, "truncated": event.truncated}
            seconds |= {name: before + event.timings[name] for name in ("first_token", "total")}
    if encoder is not None:
        texts = tuple(passage.text for passage in passages)
        found |= {"retrieved": texts, "evidence_tokens": tokens_of(texts, encoder)}
    return replace(blank, seconds=seconds, **found)


def tokens_of(texts: Sequence[str], encoder: Encoder) -> int:
    """Return the tokens of texts as chunks are measured: sentence by sentence, in tokens of the retriever."""
    pieces = [text[start:end] for text in texts for start, end in sentences(text)]
    return sum(map(len, encoder.token_spans(pieces)))
