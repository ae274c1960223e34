"""What a run reports while it works: small frozen values, in the order a visitor sees them.

    memorize:  Progress*                                   (through ``on_progress``)
    ask:       Understood? -> Clues -> Evidence -> Token+ -> Answer       (iterated from ``stream``)

Events know nothing about models or pages; the engine makes them, the demo shows them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.errors import Cancelled

ClueKind = Literal["span", "surrogate", "draft", "point"]
# How a question is answered: clues and evidence; memory alone; plain RAG; a summary; with the whole text.
Task = Literal["memorag", "qa", "rag", "summarize", "full"]


@dataclass(frozen=True)
class Progress:
    """One step of longer work. ``done`` and ``total`` count the stage's own units; ``eta`` is seconds or None."""

    stage: str
    done: int
    total: int
    eta: float | None = None


@dataclass(frozen=True)
class Reply:
    """What a model wrote for one prompt; ``cut`` when the token limit ended it, perhaps in the middle of a sentence."""

    text: str
    cut: bool = False


@dataclass(frozen=True)
class Turn:
    """A question that was asked before, and what was answered."""

    question: str
    answer: str


@dataclass(frozen=True)
class Understood:
    """The question as it was understood in the light of earlier turns; it stands for the one asked from here on."""

    question: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Clue:
    """One hint recalled from the memory. Never evidence: it only helps to find passages."""

    kind: ClueKind
    text: str


@dataclass(frozen=True)
class Clues:
    """All clues recalled for one question (empty when the mode recalls none)."""

    clues: tuple[Clue, ...]
    seconds: float = 0.0


@dataclass(frozen=True)
class Passage:
    """One numbered piece of evidence, verbatim from a document.

    ``start`` and ``end`` are character offsets in the document's text; ``score`` is the fused rank score (higher is
    better); ``found_by`` holds the queries that ranked it: "question" or the text of a clue.
    """

    number: int
    text: str
    document: str
    start: int
    end: int
    page: int | None = None
    section: str | None = None
    score: float = 0.0
    found_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """The passages handed to the generator, in document order, numbered from 1."""

    passages: tuple[Passage, ...]
    seconds: float = 0.0


@dataclass(frozen=True)
class Token:
    """A piece of the answer, ready to be appended to what came before."""

    text: str


@dataclass(frozen=True)
class Source:
    """What supports a sentence of an answer: characters ``start`` to ``end`` of the text of a passage.

    Both are 0 where no sentence of the passage stands out. ``page`` is where that sentence begins, which may be another
    than its passage's.
    """

    passage: int
    start: int
    end: int
    page: int | None = None


@dataclass(frozen=True)
class Mark:
    """A sentence that states something: characters ``start`` to ``end`` of an answer, and what supports it.

    Without ``sources`` it cites nothing, because no passage supports it.
    """

    start: int
    end: int
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The finished answer. ``timings`` are seconds by stage; every [n] in ``text`` names a passage of ``evidence``.

    ``marks`` are its sentences in order, without those that state nothing (courtesies, headings, "not found").
    """

    text: str
    evidence: tuple[Passage, ...] = ()
    clues: tuple[Clue, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0
    truncated: bool = False
    marks: tuple[Mark, ...] = ()


Event = Understood | Clues | Evidence | Token | Answer
OnProgress = Callable[[Progress], None]


class Stop:
    """A flag that ends work early. Any thread may set it; the engine looks at it between short steps."""

    def __init__(self) -> None:
        self._flag = threading.Event()

    def set(self) -> None:
        """Ask the work to end."""
        self._flag.set()

    def is_set(self) -> bool:
        """Whether the work was asked to end."""
        return self._flag.is_set()

    def check(self) -> None:
        """Raise Cancelled when the work was asked to end."""
        if self._flag.is_set():
            raise Cancelled("Stopped on request.")


class Meter:
    """Turns "n units done" into Progress events with an ETA from this run's own speed.

    ``already`` units were done by an earlier run.
    """

    def __init__(self, stage: str, total: int, report: OnProgress | None, already: int = 0) -> None:
        self._stage, self._total, self._report, self._already = stage, total, report, already
        self._began = time.perf_counter()

    def step(self, done: int) -> None:
        """Report that ``done`` of the stage's units are finished."""
        if self._report is None:
            return
        elapsed, here = time.perf_counter() - self._began, done - self._already
        eta = elapsed / here * (self._total - done) if here > 0 else None
        self._report(Progress(self._stage, done, self._total, eta))
