"""What is asked, checked at the door, and who answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, get_args

from engine.documents import encodable
from engine.errors import InputError
from engine.events import Clue, Stop, Task, Turn
from engine.markers import MARKER
from engine.prompt import fields_of
from engine.strategy import Strategy

# Earlier turns that a question may lean on, and the characters of them that count.
_TURNS, _QUESTION, _ANSWER = 4, 500, 1500
_CITED = re.compile(rf"\s*{MARKER}")


class Generator(Protocol):
    """Who writes answers: a local Model, an Agent, or anything that behaves like them."""

    name: str
    context_length: int

    @property
    def is_able(self) -> bool:
        """Whether it makes good use of a thousand tokens of evidence; others get the nearest sentences only."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of ``text``."""

    def stream(
        self, prompt: str, max_new_tokens: int = ..., temperature: float = ..., *, stop: Stop | None = ...
    ) -> Iterator[str]:
        """Yield the answer in pieces."""


@dataclass(frozen=True)
class Request:
    """One question with everything that shapes its answer, checked by ``check_request``.

    Without a ``strategy``, the task and the model say how evidence is found. ``clues`` are those recalled before; None
    lets the memory recall them. ``history`` holds the last turns before the question, the oldest first, without
    citations.
    """

    query: str
    task: Task
    template: str | None
    max_new_tokens: int
    temperature: float
    use_memory_answer: bool
    stop: Stop | None
    strategy: Strategy | None = None
    clues: tuple[Clue, ...] | None = None
    history: tuple[Turn, ...] = ()


def check_request(
    generator: Generator,
    query: str | None,
    task: str,
    template: str | None,
    max_new_tokens: int,
    temperature: float,
    use_memory_answer: bool,
    stop: Stop | None,
    strategy: Strategy | None = None,
    clues: Sequence[Clue] | None = None,
    history: Sequence[Turn] = (),
) -> Request:
    """Check everything that shapes an answer before any work; raise InputError in one sentence."""
    if task not in get_args(Task):
        raise InputError(f"The task type is {task!r}; accepted are {', '.join(get_args(Task))}.")
    if not isinstance(query, str | None):
        raise InputError(f"The question is of the type {type(query).__name__}; give a text.")
    question = encodable(query or "").strip()
    if not question and task != "summarize":
        raise InputError("The question is empty; write a question.")
    if not isinstance(max_new_tokens, int) or not 1 <= max_new_tokens <= generator.context_length // 2:
        most = generator.context_length // 2
        raise InputError(f"max_new_tokens is {max_new_tokens}; {generator.name} takes 1 to {most}.")
    if not isinstance(temperature, int | float) or not 0.0 <= temperature <= 2.0:
        raise InputError(f"The temperature is {temperature}; give 0 (most certain) to 2 (most varied).")
    if template is not None and not template.strip():
        raise InputError("The prompt template is empty; leave it out, or use {evidence} and {question}.")
    if template is not None and (unknown := fields_of(template) - {"evidence", "question", "not_found"}):
        raise InputError(f"The prompt template uses {{{unknown.pop()}}}; it may use {{evidence}} and {{question}}.")
    if strategy is not None and not isinstance(strategy, Strategy):
        raise InputError(f"The strategy is of the type {type(strategy).__name__}; give an engine.strategy.Strategy.")
    if clues is not None and not all(isinstance(clue, Clue) for clue in clues):
        raise InputError("The clues are something else than Clue values; give those of a Clues event, or none.")
    return Request(
        question,
        cast(Task, task),
        encodable(template) if template is not None else None,
        max_new_tokens,
        temperature,
        use_memory_answer,
        stop,
        strategy,
        tuple(clues) if clues is not None else None,
        _last_turns(history),
    )


def _last_turns(history: object) -> tuple[Turn, ...]:
    """Return the last turns of a conversation, each shortened, or raise InputError."""
    if not isinstance(history, list | tuple) or not all(isinstance(turn, Turn) for turn in history):
        raise InputError(
            "The history is something else than a list of Turn values; give Turn(question, answer) for each earlier "
            "question, the oldest first."
        )
    if not all(isinstance(text, str) for turn in history for text in (turn.question, turn.answer)):
        raise InputError("A turn of the history holds something else than texts; give Turn(question, answer).")
    return tuple(_shortened(turn) for turn in history[-_TURNS:])


def _shortened(turn: Turn) -> Turn:
    answer = _CITED.sub("", encodable(turn.answer[: 2 * _ANSWER]))
    return Turn(encodable(turn.question[:_QUESTION]).strip(), answer[:_ANSWER].strip())
