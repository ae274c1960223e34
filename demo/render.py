"""The panels, as HTML. All text of documents, visitors and models is escaped here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Literal

from demo import text
from demo.memorising import Memorising
from demo.questions import Reply
from engine.events import Answer, Clue, Mark, Passage, Source
from engine.markers import cited

# The picture of the page that a passage is on, where there is one: its address.
Picture = Callable[[Passage, Sequence[Source]], "str | None"]


def status(line: str, kind: Literal["idle", "busy", "error"] = "idle", share: float | None = None) -> str:
    """Return the status line; screen readers hear it when it changes."""
    role = "alert" if kind == "error" else "status"
    bar = (
        "" if share is None else f'<div class="bar"><div style="width:{100 * min(max(share, 0), 1):.0f}%"></div></div>'
    )
    return f'<div class="{kind}" role="{role}" aria-live="polite"><span class="dot"></span>{escape(line)}{bar}</div>'


def hint(line: str) -> str:
    """Return a line of explanation."""
    return f'<p class="hint">{escape(line)}</p>'


def links(label: str, addresses: Mapping[str, str]) -> str:
    """Return links to files, by what they are called."""
    shown = " · ".join(f'<a href="{escape(to)}" download>{escape(name)}</a>' for name, to in addresses.items())
    return f'<span class="hint">{escape(label)}: {shown}</span>'


def keys() -> str:
    """Return the button that opens the list of keys, that list, and what is asked before something is deleted."""
    rows = "".join(f"<tr><td><kbd>{key}</kbd></td><td>{escape(does)}</td></tr>" for key, does in text.KEYS.items())
    sure = escape(json.dumps(text.SURE))
    return (
        f'<button type="button" class="keys" data-keys data-sure="{sure}" aria-label="{escape(text.KEYS_TITLE)}" '
        f'title="{escape(text.KEYS_TITLE)}">?</button>'
        f'<dialog aria-label="{escape(text.KEYS_TITLE)}"><h4>{escape(text.KEYS_TITLE)}</h4><table class="facts">{rows}'
        f'</table><form method="dialog"><button>{escape(text.CLOSE)}</button></form></dialog>'
    )


def about(question: str, shown: str) -> str:
    """Return a panel that says which question it belongs to."""
    return f'<p class="hint about">{escape(question)}</p>{shown}'


def evidence(
    passages: Sequence[Passage] | None,
    answer: str = "",
    marks: Sequence[Mark] = (),
    number: int = 1,
    picture: Picture | None = None,
) -> str:
    """Return the numbered passages; those the answer cites stand out, and in them the sentences that support it.

    ``number`` is that of the question in its conversation; citations lead to the passages of theirs.
    """
    if passages is None:
        return hint(text.EVIDENCE_EMPTY)
    if not passages:
        return hint(text.NO_EVIDENCE)
    used = cited(answer)
    sources = [source for mark in marks for source in mark.sources]
    note = hint(text.UNCITED_NOTE) if any(not mark.sources for mark in marks) else ""
    cards = []
    for passage in passages:
        mine = [source for source in sources if source.passage == passage.number]
        address = picture(passage, mine) if picture is not None else None
        cards.append(_card(passage, passage.number in used, mine, number, address))
    return note + "".join(cards)


def _card(passage: Passage, used: bool, sources: Sequence[Source], number: int, picture: str | None) -> str:
    place = _pages(passage, sources)
    place += [escape(passage.section)] if passage.section else []
    found = [query for query in passage.found_by if query != "question"]
    tags = [text.BY_QUESTION] if len(found) < len(passage.found_by) else []
    tags += [text.BY_CLUES.format(count=len(found))] if found else []
    return (
        f'<article class="card{"" if used else " unused"}" id="passage-{number}-{passage.number}" tabindex="-1">'
        f'<header><b>[{passage.number}]</b><span class="where">{escape(passage.document)}'
        f"{' - ' if place else ''}{', '.join(place)}</span>"
        + "".join(f'<span class="tag" title="{escape(" / ".join(passage.found_by))}">{tag}</span>' for tag in tags)
        + (f'<span class="tag">{text.CITED}</span>' if used else "")
        + f"</header><p>{_highlighted(passage.text, sources)}</p>{_picture(passage, sources, picture)}</article>"
    )


def _picture(passage: Passage, sources: Sequence[Source], address: str | None) -> str:
    """Return the page as a picture, which is fetched only when it is unfolded."""
    if address is None:
        return ""
    page = min((source.page for source in sources if source.page is not None), default=passage.page)
    words = escape(text.PICTURE_OF.format(page=page, document=passage.document))
    return (
        f'<details class="page"><summary>{escape(text.PICTURE.format(page=page))}</summary>'
        f'<img loading="lazy" src="{escape(address)}" alt="{words}"></details>'
    )


def _pages(passage: Passage, sources: Sequence[Source]) -> list[str]:
    """Return the page of a passage; where it goes over several, those of the sentences that support the answer."""
    pages = sorted({source.page for source in sources if source.page is not None})
    if not pages:
        return [text.PAGE.format(page=passage.page)] if passage.page is not None else []
    words = text.PAGE if len(pages) == 1 else text.PAGES
    return [words.format(page=", ".join(map(str, pages)))]


def _highlighted(passage: str, sources: Sequence[Source]) -> str:
    """Return the text of a passage with the sentences marked that support the answer; they may overlap."""
    shown, at = "", 0
    for start, end in sorted((source.start, source.end) for source in sources):
        start, end = max(start, at), min(end, len(passage))
        if start < end:
            shown += f"{escape(passage[at:start])}<mark>{escape(passage[start:end])}</mark>"
            at = end
    return shown + escape(passage[at:])


def memory(
    stats: Mapping[str, int | str] | None,
    title: str,
    reply: Reply | None = None,
    choices: Mapping[str, str] | None = None,
    number: int = 1,
) -> str:
    """Return what was memorised, what was recalled for a question, and what was chosen for this machine and why."""
    if stats is None:
        return hint(text.MEMORY_EMPTY)
    size, about = (
        text.size(int(stats["memory_bytes"])),
        {name: f"{value:,}" for name, value in stats.items() if isinstance(value, int)},
    )
    rows = {
        text.CORPUS: title,
        text.LANGUAGE: text.LANGUAGES.get(str(stats["language"]).partition("-")[0], stats["language"]),
        text.TEXT: text.TEXT_SIZE.format(tokens=about["context_tokens"], chunks=about["chunks"]),
        text.MEMORY: text.MEMORY_SIZE.format(tokens=about["memory_tokens"], size=size),
    }
    shown = _table(rows)
    if reply is not None and reply.clues is not None:
        shown += f"<h4>{escape(text.THOUGHT_CLUES)}</h4>" + hint(text.CLUES_NOTE)
        shown += "".join(_clue(clue, reply.passages or (), number) for clue in reply.clues)
        shown += "" if reply.clues else hint(text.NO_CLUES)
        shown += _drafts(reply)
    if choices:
        shown += f"<h4>{escape(text.CHOICES)}</h4>" + "".join(hint(f"{n}: {value}") for n, value in choices.items())
    return shown


def _clue(clue: Clue, passages: Sequence[Passage], number: int) -> str:
    """Return a clue with links to what it found."""
    found = [passage.number for passage in passages if clue.text in passage.found_by]
    links = " ".join(f'<a href="#passage-{number}-{n}">[{n}]</a>' for n in found)
    words = f"{escape(text.FOUND)} {links}" if found else escape(text.FOUND_NOTHING)
    return (
        f'<p class="clue"><span class="tag">{escape(text.CLUE_KINDS[clue.kind])}</span> {escape(clue.text)} '
        f'<span class="found-by">{words}</span></p>'
    )


def _drafts(reply: Reply) -> str:
    """Return what the memory would have answered by itself, beside what was answered from the evidence."""
    drafts = [clue.text for clue in reply.clues or () if clue.kind == "draft"]
    if not drafts or not reply.answer:
        return ""
    sides = ((text.DRAFT, drafts[0]), (text.FINAL, reply.answer))
    shown = "".join(
        f'<section class="side"><h4>{escape(name)}</h4><div class="said">{escape(said)}</div></section>'
        for name, said in sides
    )
    return f'<div class="pair drafts">{shown}</div>'


def run(final: Answer | None, generator: str, temperature: float, limit: int) -> str:
    """Return how an answer was made: who wrote it, how long each step took, how long it is."""
    if final is None:
        return hint(text.RUN_EMPTY)
    at = final.timings
    writing = at["total"] - at["first_token"]
    # An answer that came in one piece has no speed.
    speed = text.SPEED.format(count=f"{final.tokens / writing:.0f}") if writing > 0.05 else ""
    rows = {text.GENERATOR: generator, text.TEMPERATURE: f"{temperature:g}"}
    if at.get("rewriting", 0.0) >= 0.005:
        rows[text.STAGES["understand"]] = text.SECONDS.format(seconds=f"{at['rewriting']:.2f}")
    rows |= {
        text.THOUGHT_CLUES: text.SECONDS.format(seconds=f"{at['clues']:.2f}"),
        text.THOUGHT_EVIDENCE: text.SECONDS.format(seconds=f"{at['retrieval']:.2f}")
        + text.RUN_PASSAGES.format(count=len(final.evidence)),
        text.FIRST_WORD: text.SECONDS.format(seconds=f"{at['first_token']:.2f}"),
        text.WHOLE_ANSWER: text.SECONDS.format(seconds=f"{at['total']:.2f}"),
        text.LENGTH: text.TOKENS.format(count=final.tokens) + speed,
    }
    return _table(rows) + (hint(text.CUT.format(tokens=limit)) if final.truncated else "")


def _table(rows: Mapping[str, object]) -> str:
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f'<table class="facts">{cells}</table>'


def memorising(at: Memorising) -> str:
    """Return the status line of memorising."""
    kind: Literal["idle", "busy", "error"] = "busy" if at.state in ("waiting", "running") else "idle"
    return status(at.status, kind, at.share if kind == "busy" else None)
