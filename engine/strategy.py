"""How evidence is found, as one frozen value, so that ways of finding it can be named, compared and chosen.

``plain`` is what plain RAG does. What else is there, and by how much it helps, is in the README's table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from engine.errors import InputError
from engine.events import ClueKind, Task

Fusion = Literal["scores", "ranks"]


@dataclass(frozen=True)
class Strategy:
    """Which searches rank the chunks, and what each of them counts.

    ``dense`` and ``lexical`` rank by meaning and by words; ``fusion`` adds standardised scores, or reciprocal ranks.
    ``context`` is the part of a neighbour's score that a chunk is given, ``gists`` what the gist counts that it lies
    in. ``clues`` are the kinds that are recalled, all together weighing ``clue_weight`` against the question's 1.
    ``rerank`` is how many chunks the language model reads to judge how likely the question is after each; 0 leaves it
    out.
    """

    dense: bool = True
    lexical: bool = True
    fusion: Fusion = "scores"
    context: float = 0.4
    gists: float = 0.0
    clues: tuple[ClueKind, ...] = ()
    clue_weight: float = 0.0
    rerank: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for what cannot be used."""
        if not (self.dense or self.lexical):
            raise InputError("The strategy searches neither by meaning nor by words; let it do one of them.")
        if not 0 <= self.gists <= 10:
            raise InputError(f"The strategy has gists {self.gists}; give 0 to 10.")
        if not 0 <= self.context <= 1 or not 0 <= self.clue_weight <= 10 or not 0 <= self.rerank <= 1000:
            raise InputError(
                f"The strategy has context {self.context}, clue_weight {self.clue_weight} and rerank {self.rerank}; "
                "give 0 to 1, 0 to 10 and 0 to 1000."
            )


# Nearest in meaning to the bare question, as plain RAG has it.
plain = Strategy(lexical=False, context=0.0)
# What clues weigh, and how many chunks are read anew, by default. Gists as nodes help alone, but not with reranking:
# of all that was tried, clues and reranking found most, and less than plain RAG on no document (README, "Measured").
CLUE_WEIGHT, RERANK = 0.4, 15
_best = Strategy(clues=("span", "surrogate"), clue_weight=CLUE_WEIGHT)


def strategy_for(task: Task, reads_fast: bool) -> Strategy:
    """Return how evidence is found for a task by default; ``reads_fast``: two thousand tokens take about a second."""
    if task == "rag":
        return plain
    if task != "memorag":
        return Strategy()
    return replace(_best, rerank=RERANK) if reads_fast else _best
