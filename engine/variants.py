"""The ways to answer that an evaluation compares: every mode of the pipeline, and every change of one that is studied.

This is the one place to add to: a variant in ``VARIANTS``, and its name in the groups of ``GROUPS`` it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine.errors import InputError
from engine.events import ClueKind, Task
from engine.strategy import CLUE_WEIGHT, RERANK, Strategy

SUMMARY = "summary"


@dataclass(frozen=True)
class Variant:
    """One way to answer. ``task`` "closed" asks the generator the bare question, without any document.

    ``kinds`` are the kinds of question it is for (empty: all). ``strategy`` says how evidence is found, and
    ``chunk_tokens`` in chunks of which size (None: as the pipeline does it). ``options`` are further arguments of
    ``Pipeline.stream``.
    """

    name: str
    task: Task | Literal["closed"]
    about: str
    kinds: tuple[str, ...] = ()
    strategy: Strategy | None = None
    chunk_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def finds_evidence(self) -> bool:
        """Whether passages are chosen within the budget of evidence; the whole text is no choice."""
        return self.task not in ("closed", "qa", "full")

    @property
    def recipe(self) -> str:
        """All that its results depend on beside models and limits: variants of one recipe share their results."""
        return repr((self.task, self.strategy, self.chunk_tokens, sorted(self.options.items())))


# What the memory mode consists of, added one by one; each also shows what the others are worth without it.
_scores = Strategy(context=0.0)
_context = Strategy()
# With 0.25 and 0.5 gists help as much, with 1 they hurt.
_gists = Strategy(gists=0.5)
_both: tuple[ClueKind, ...] = ("span", "surrogate")
_clues = replace(_context, clues=_both, clue_weight=CLUE_WEIGHT)
_everything = replace(_clues, gists=0.5, rerank=RERANK)

VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("closed", "closed", "the bare question, no document"),
        Variant("qa", "qa", "the memory alone"),
        Variant("full", "full", "the whole text, where it fits the generator's window"),
        Variant("dense", "rag", "plain RAG: chunks of 256 tokens nearest in meaning", chunk_tokens=256),
        Variant("rag", "rag", "the same in chunks of 96 tokens, the mode rag"),
        Variant("memorag", "memorag", "the memory mode as it is for this model"),
        Variant("summarize", "summarize", "a summary, from all over the text", kinds=(SUMMARY,)),
        Variant("lexical", "memorag", "the question by its words alone", (), replace(_scores, dense=False)),
        Variant("ranks", "memorag", "meaning and words, fused by rank", (), replace(_scores, fusion="ranks")),
        Variant("scores", "memorag", "meaning and words, fused by score", (), _scores),
        Variant("context", "memorag", "and a part of the neighbours' scores", (), _context),
        Variant("gists", "memorag", "and gists as nodes above the chunks", (), _gists),
        Variant("spans", "memorag", "context and recalled facts", (), replace(_clues, clues=("span",))),
        Variant("surrogates", "memorag", "context and simpler questions", (), replace(_clues, clues=("surrogate",))),
        Variant("draft", "memorag", "context and the memory's own answer", (), replace(_clues, clues=("draft",))),
        Variant("clues", "memorag", "context, facts and simpler questions", (), _clues),
        Variant("clues+draft", "memorag", "context and all three", (), replace(_clues, clues=(*_both, "draft"))),
        Variant("rerank", "memorag", "context, reranked by the model", (), replace(_context, rerank=RERANK)),
        Variant("clues+rerank", "memorag", "context, clues, reranked", (), replace(_clues, rerank=RERANK)),
        Variant("gists+rerank", "memorag", "context, gists, reranked", (), replace(_gists, rerank=RERANK)),
        Variant("everything", "memorag", "context, gists, clues, reranked", (), _everything),
        Variant("context, 256", "memorag", "context, in chunks of 256 tokens", (), _context, 256),
    )
}

GROUPS: Mapping[str, Sequence[str]] = {
    "modes": ("closed", "qa", "full", "dense", "rag", "memorag", "summarize"),
    "ablation": ("dense", "rag", *list(VARIANTS)[7:]),
    "all": tuple(VARIANTS),
}


def chosen(names: Sequence[str]) -> tuple[Variant, ...]:
    """Return the variants of these names and groups, in the order given, each once.

    Raises:
        InputError: a name that is neither, or none at all.
    """
    wanted = [member for name in names for member in GROUPS.get(name, (name,))]
    if unknown := [name for name in wanted if name not in VARIANTS]:
        known = ", ".join([*VARIANTS, *GROUPS])
        raise InputError(f"There is no variant {unknown[0]!r}; there are {known}.")
    if not wanted:
        raise InputError(f"No variant is given; there are {', '.join([*VARIANTS, *GROUPS])}.")
    return tuple(VARIANTS[name] for name in dict.fromkeys(wanted))
