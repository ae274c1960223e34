"""Two answers to one question side by side, as HTML. All text of documents, visitors and models is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from demo import text
from demo.messages import CITATION, place
from demo.questions import Question, Reply
from demo.render import hint
from engine.events import Passage
from engine.markers import cited

_PREVIEW_CHARACTERS = 100


def comparison(reply: Reply | None, question: Question | None) -> str:
    """Return both answers so far with their evidence and times, or what is to be said where there are none."""
    if reply is None or question is None or not question.compare:
        return hint(text.COMPARISON_EMPTY)
    if not question.is_compared:
        return hint(text.COMPARISON_SAME)
    plain = reply.plain or Reply("later", "", mode=text.PLAIN)
    names = text.MODES[reply.mode], text.MODES[plain.mode]
    mine, theirs = tuple(reply.passages or ()), tuple(plain.passages or ())
    counted = hint(_counted(mine, theirs, names)) if mine and theirs else ""
    sides = _side(reply, names[0], theirs) + _side(plain, names[1], mine)
    return f'{hint(text.COMPARISON_FAIR)}{counted}<div class="pair">{sides}</div>'


def is_same(one: Passage, other: Passage) -> bool:
    """Whether two passages are the same; one may have been widened, so sharing half of the shorter will do."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return one.document == other.document and 2 * shared >= min(one.end - one.start, other.end - other.start) > 0


def _counted(mine: Sequence[Passage], theirs: Sequence[Passage], names: tuple[str, str]) -> str:
    only_mine, only_theirs = (
        sum(not _is_among(passage, others) for passage in own) for own, others in ((mine, theirs), (theirs, mine))
    )
    return text.COMPARISON_BOTH.format(
        both=len(mine) - only_mine, first=names[0], first_only=only_mine, second=names[1], second_only=only_theirs
    )


def _is_among(passage: Passage, others: Sequence[Passage]) -> bool:
    return any(is_same(passage, other) for other in others)


def _side(reply: Reply, name: str, others: Sequence[Passage]) -> str:
    """Return one of the two answers; ``others`` is the evidence of the other one."""
    said = f'<div class="said">{_said(reply)}</div>' if reply.answer else ""
    return (
        f'<section class="side" aria-label="{escape(name)}"><h4>{escape(name)}</h4>{_state(reply)}{said}'
        f"{_evidence(reply, others)}</section>"
    )


def _state(reply: Reply) -> str:
    """Return the times of a finished answer, or how an unfinished one stands."""
    if reply.final is not None:
        times = {name: reply.final.timings[key] for name, key in text.COMPARISON_TIMES.items()}
        # What a mode does not do takes no time and need not be said.
        return hint(" · ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items() if seconds >= 0.005))
    if reply.problem:
        words = text.PROBLEM_LATE if reply.answer else text.PROBLEM
        return f'<p class="problem" role="alert">{escape(words.format(sentence=reply.problem))}</p>'
    return f'<p class="hint unfinished"><span class="dot"></span>{escape(text.STAGES[reply.stage])}</p>'


def _said(reply: Reply) -> str:
    """Return the answer's text; a citation tells its passage's place when it is pointed at."""
    places = {str(passage.number): place(passage) for passage in reply.passages or ()}
    parts = CITATION.split(reply.answer)
    return "".join(
        escape(part) if i % 2 == 0 else f'<b class="cite" title="{escape(places.get(part, ""))}">[{part}]</b>'
        for i, part in enumerate(parts)
    )


def _evidence(reply: Reply, others: Sequence[Passage]) -> str:
    if reply.passages is None:
        return ""
    if not reply.passages:
        return hint(text.NO_EVIDENCE)
    used = cited(reply.answer)
    return "".join(_passage(passage, passage.number in used, others) for passage in reply.passages)


def _passage(passage: Passage, is_cited: bool, others: Sequence[Passage]) -> str:
    """Return a folded passage, with whether the other answer rests on it too where there is evidence of that one."""
    tags = f'<span class="tag">{text.CITED}</span>' if is_cited else ""
    kind = ""
    if others:
        kind, words = ("both", text.SHARED) if _is_among(passage, others) else ("alone", text.ALONE)
        tags = f'<span class="tag {kind}">{words}</span>{tags}'
    preview = " ".join(passage.text[: 2 * _PREVIEW_CHARACTERS].split())[:_PREVIEW_CHARACTERS]
    return (
        f'<details class="piece {kind}"><summary><b>[{passage.number}]</b> <span class="where">'
        f'{escape(place(passage))}</span> {tags}<span class="preview">{escape(preview)} ...</span></summary>'
        f"<p>{escape(passage.text)}</p></details>"
    )
