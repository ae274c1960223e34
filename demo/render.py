"""What is shown, as HTML and chat messages. All text of documents, visitors and models is escaped here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

from demo import text
from demo.memorising import Memorising
from demo.session import Reply
from engine.events import Answer, Clue, Mark, Passage, Source
from engine.markers import cited

Message = dict[str, Any]
_CITATION = re.compile(r"\[([0-9]{1,3})\]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$])")
_LINK = re.compile(r"\[\\\[([0-9]{1,3})\\\]\]\(#passage-[0-9]{1,3}\)")
_CLUE_CHARACTERS = 140
_UNCITED = '<span class="uncited" title="{title}">'


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


def evidence(passages: Sequence[Passage] | None, answer: str = "", marks: Sequence[Mark] = ()) -> str:
    """Return the numbered passages; those the answer cites stand out, and in them the sentences that support it."""
    if passages is None:
        return hint(text.EVIDENCE_EMPTY)
    if not passages:
        return hint(text.NO_EVIDENCE)
    used = cited(answer)
    sources = [source for mark in marks for source in mark.sources]
    note = hint(text.UNCITED_NOTE) if any(not mark.sources for mark in marks) else ""
    cards = (_card(p, p.number in used, [s for s in sources if s.passage == p.number]) for p in passages)
    return note + "".join(cards)


def _card(passage: Passage, used: bool, sources: Sequence[Source]) -> str:
    place = _pages(passage, sources)
    place += [escape(passage.section)] if passage.section else []
    found = [query for query in passage.found_by if query != "question"]
    tags = ["question"] if len(found) < len(passage.found_by) else []
    tags += [f"{len(found)} clue{'s' if len(found) > 1 else ''}"] if found else []
    return (
        f'<article class="card{"" if used else " unused"}" id="passage-{passage.number}">'
        f'<header><b>[{passage.number}]</b><span class="where">{escape(passage.document)}'
        f"{' - ' if place else ''}{', '.join(place)}</span>"
        + "".join(f'<span class="tag" title="{escape(" / ".join(passage.found_by))}">{tag}</span>' for tag in tags)
        + ('<span class="tag">cited</span>' if used else "")
        + f"</header><p>{_highlighted(passage.text, sources)}</p></article>"
    )


def _pages(passage: Passage, sources: Sequence[Source]) -> list[str]:
    """Return the page of a passage; where it goes over several, those of the sentences that support the answer."""
    pages = sorted({source.page for source in sources if source.page is not None})
    if not pages:
        return [f"page {passage.page}"] if passage.page is not None else []
    return [f"page{'s' if len(pages) > 1 else ''} {', '.join(map(str, pages))}"]


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
    clues: Sequence[Clue] | None,
    choices: Mapping[str, str] | None = None,
) -> str:
    """Return what was memorised, the clues of the last question, and what was chosen for this machine and why."""
    if stats is None:
        return hint(text.MEMORY_EMPTY)
    size = text.size(int(stats["memory_bytes"]))
    rows = {
        "Corpus": title,
        "Language": stats["language"],
        "Text": f"{stats['context_tokens']:,} tokens in {stats['chunks']} passages",
        "Memory": f"{stats['memory_tokens']:,} tokens of gists, {size}",
    }
    shown = _table(rows)
    if clues is not None:
        shown += f"<h4>{text.THOUGHT_CLUES}</h4>" + hint(text.CLUES_NOTE)
        shown += "".join(
            f'<p class="clue"><span class="tag">{text.CLUE_KINDS[c.kind]}</span> {escape(c.text)}</p>' for c in clues
        )
        shown += "" if clues else hint(text.NO_CLUES)
    if choices:
        shown += f"<h4>{text.CHOICES}</h4>" + "".join(hint(f"{name}: {value}") for name, value in choices.items())
    return shown


def run(final: Answer | None, generator: str, temperature: float, limit: int) -> str:
    """Return the timings of the last answer."""
    if final is None:
        return hint(text.RUN_EMPTY)
    at = final.timings
    writing = at["total"] - at["first_token"]
    # An answer that came in one piece has no speed.
    speed = f", {final.tokens / writing:.0f} per second" if writing > 0.05 else ""
    rows = {
        "Generator": generator,
        "Temperature": f"{temperature:g}",
        "Clues": f"{at['clues']:.2f} s",
        "Evidence": f"{at['retrieval']:.2f} s, {len(final.evidence)} passages",
        "First token": f"{at['first_token']:.2f} s",
        "Whole answer": f"{at['total']:.2f} s",
        "Length": f"{final.tokens} tokens{speed}",
    }
    return _table(rows) + (hint(text.CUT.format(tokens=limit)) if final.truncated else "")


def _table(rows: Mapping[str, object]) -> str:
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f'<table class="facts">{cells}</table>'


def messages(reply: Reply) -> list[Message]:
    """Return an answer so far as chat messages: two folding thoughts, then the text."""
    shown = []
    if reply.mode in ("memorag", "summarize"):
        pending = reply.clues is None
        title = text.THOUGHT_CLUES if pending else text.THOUGHT_CLUES_DONE.format(count=len(reply.clues or ()))
        shown.append(_thought(title, _clue_lines(reply.clues), pending, reply.clue_seconds))
    if reply.clues is not None and reply.mode != "qa":
        found = "" if reply.passages is None else f"{len(reply.passages)} passages"
        shown.append(_thought(text.THOUGHT_EVIDENCE, found, reply.passages is None, reply.evidence_seconds))
    if reply.answer:
        marks = reply.final.marks if reply.final is not None else ()
        shown.append({"role": "assistant", "content": answer_markdown(reply.answer, marks)})
    return shown


def _thought(title: str, content: str, pending: bool, seconds: float) -> Message:
    metadata: dict[str, Any] = {"title": title, "status": "pending" if pending else "done"}
    if not pending:
        metadata["duration"] = seconds
    return {"role": "assistant", "content": content, "metadata": metadata}


def _clue_lines(clues: Sequence[Clue] | None) -> str:
    if clues is None:
        return ""
    lines = [f"- *{text.CLUE_KINDS[c.kind]}*: {plain(c.text[:_CLUE_CHARACTERS])}" for c in clues]
    return "\n".join(lines) or text.NO_CLUES


def without_links(history: Sequence[Any]) -> list[Any]:
    """Return earlier messages with their citations as plain text: the passages shown are another question's."""

    def unlinked(content: Any) -> Any:  # noqa: ANN401 - Gradio gives texts, or lists of blocks
        if isinstance(content, list):
            return [unlinked(block) for block in content]
        if isinstance(content, dict):
            return content | {"text": unlinked(content["text"])} if content.get("type") == "text" else content
        return _LINK.sub(r"\\[\1\\]", content) if isinstance(content, str) else content

    return [message | {"content": unlinked(message["content"])} for message in history]


def answer_markdown(answer: str, marks: Sequence[Mark] = ()) -> str:
    """Return an answer as Markdown that shows its text as it is, with citations linked to their passages.

    Sentences that cite nothing get a quiet mark, once ``marks`` tell which they are.
    """
    shown, at = "", 0
    for mark in marks:
        if not mark.sources and at <= mark.start < mark.end <= len(answer):
            shown += _linked(answer[at : mark.start]) + _UNCITED.format(title=escape(text.UNCITED))
            shown += _linked(answer[mark.start : mark.end]) + "</span>"
            at = mark.end
    return shown + _linked(answer[at:])


def _linked(part: str) -> str:
    parts = _CITATION.split(part)
    shown = [plain(part) if i % 2 == 0 else f"[\\[{part}\\]](#passage-{part})" for i, part in enumerate(parts)]
    return "".join(shown)


def plain(part: str) -> str:
    """Escape what Markdown or HTML would read as markup."""
    return _MARKDOWN.sub(r"\\\1", part.replace("&", "&amp;"))


def memorising(at: Memorising) -> str:
    """Return the status line of memorising."""
    kind: Literal["idle", "busy", "error"] = "busy" if at.state in ("waiting", "running") else "idle"
    return status(at.status, kind, at.share if kind == "busy" else None)
