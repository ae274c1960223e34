"""A question as it was asked, and what can be shown of its answer so far."""

from __future__ import annotations

from dataclasses import dataclass

from demo import text
from engine.events import Answer, Clue, Passage, Task, Turn


@dataclass(frozen=True)
class Question:
    """One question with its settings, as the page or an API caller gives them.

    With ``compare`` the question is answered by plain RAG too, after ``mode``. In the light of ``history``, the earlier
    turns about the corpus, it is understood.
    """

    query: str
    corpus: str
    generator: str = text.LOCAL
    temperature: float = 0.0
    max_new_tokens: int = 256
    mode: Task = "memorag"
    compare: bool = False
    history: tuple[Turn, ...] = ()

    @property
    def is_compared(self) -> bool:
        """Whether there will be a second answer: plain RAG is not compared with itself."""
        return self.compare and self.mode != text.PLAIN


@dataclass(frozen=True)
class Reply:
    """What can be shown of an answer so far. ``stage`` is a key of ``text.STAGES``, or "done" when nothing will follow.

    ``plain`` is the answer of plain RAG to compare with, so far; ``problem`` is the sentence that says why that one
    broke off. ``understood`` is the question as it was read in the light of the earlier ones, where that differs;
    ``offered`` are questions to ask next.
    """

    stage: str
    status: str
    clues: tuple[Clue, ...] | None = None
    passages: tuple[Passage, ...] | None = None
    answer: str = ""
    final: Answer | None = None
    clue_seconds: float = 0.0
    evidence_seconds: float = 0.0
    mode: Task = "memorag"
    plain: Reply | None = None
    problem: str = ""
    understood: str = ""
    offered: tuple[str, ...] = ()
