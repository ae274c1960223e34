"""A conversation as chat messages. All text of documents, visitors and models is shown as it is, never as markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from demo import text
from demo.conversations import Conversation, Exchange
from demo.questions import Reply
from engine.events import Clue, Mark, Passage

Message = dict[str, Any]
# A question to ask next that is none: it asks the last one again, with room for a longer answer.
LONGER = "memorag:longer"

CITATION = re.compile(r"\[([0-9]{1,3})\]")
# Also what becomes a link by itself: addresses of pages and of mail.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$@]|:(?=//)|(?<=[wW]{3})\.)")
_TITLE_CHARACTERS, _CLUE_CHARACTERS, _LISTED = 200, 140, 12
_UNCITED = '<span class="uncited" title="{title}">'


def talk(conversation: Conversation) -> list[Message]:
    """Return all messages of a conversation; questions to ask next only under the last answer."""
    shown: list[Message] = []
    for number, exchange in enumerate(conversation.exchanges, 1):
        shown += exchanged(exchange, number, is_last=number == len(conversation.exchanges))
    return shown


def feedback(conversation: Conversation) -> list[str | None]:
    """Return how each answer was judged, as a Chatbot wants it: one word for all that stands under a question."""
    words = {None: None, True: "Like", False: "Dislike"}
    return [words[known.liked] for known in conversation.exchanges if len(exchanged(known, 1)) > 1]


def exchange_of(conversation: Conversation, index: int) -> int | None:
    """Return which exchange the message at ``index`` belongs to, counted from 0."""
    for number, exchange in enumerate(conversation.exchanges):
        index -= len(exchanged(exchange, number + 1))
        if index < 0:
            return number
    return None


def exchanged(exchange: Exchange, number: int, is_last: bool = False) -> list[Message]:
    """Return a question, what was thought, the answer, and why it broke off if it did.

    ``number`` counts the exchanges from 1: citations lead to the passages of theirs.
    """
    question = {"role": "user", "content": plain(exchange.question.query)}
    shown = [question, *replied(exchange.reply, number)]
    is_over = exchange.end != "running"
    for message in shown:
        if is_over and "metadata" in message:
            message["metadata"]["status"] = "done"
    if exchange.end == "failed":
        shown.append({"role": "assistant", "content": f"*{plain(exchange.sentence)}*"})
    elif exchange.end == "stopped":
        words = text.STOPPED_HERE if exchange.reply.answer else text.NOTHING_WRITTEN
        shown.append({"role": "assistant", "content": f"*{words}*"})
    if is_last and is_over and len(shown) > 1 and (options := _options(exchange)):
        shown[-1]["options"] = options
    return shown


def _options(exchange: Exchange) -> list[dict[str, str]]:
    final = exchange.reply.final
    longer = [{"label": text.LONGER, "value": LONGER}] if final is not None and final.truncated else []
    return longer + [{"value": question} for question in exchange.reply.offered]


def replied(reply: Reply, number: int = 1) -> list[Message]:
    """Return an answer so far: folding thoughts, then the text."""
    shown = []
    if reply.understood:
        title = f"{text.THOUGHT_UNDERSTOOD}: {plain(reply.understood[:_TITLE_CHARACTERS])}"
        shown.append(_thought(title, plain(reply.understood), False, None))
    if reply.mode in ("memorag", "summarize"):
        pending = reply.clues is None
        title = text.THOUGHT_CLUES if pending else text.THOUGHT_CLUES_DONE.format(count=len(reply.clues or ()))
        shown.append(_thought(title, _clue_lines(reply.clues), pending, reply.clue_seconds))
    if reply.clues is not None and reply.mode != "qa":
        pending = reply.passages is None
        found = _passage_lines(reply.passages or (), number)
        title = text.THOUGHT_EVIDENCE
        if not pending:
            title = text.THOUGHT_EVIDENCE_DONE.format(count=len(reply.passages or ()))
        shown.append(_thought(title, found, pending, reply.evidence_seconds))
    if reply.answer:
        marks = reply.final.marks if reply.final is not None else ()
        shown.append({"role": "assistant", "content": answer_markdown(reply.answer, marks, number)})
    return shown


def _thought(title: str, content: str, pending: bool, seconds: float | None) -> Message:
    metadata: dict[str, Any] = {"title": title, "status": "pending" if pending else "done"}
    if not pending and seconds is not None:
        metadata["duration"] = seconds
    return {"role": "assistant", "content": content, "metadata": metadata}


def _clue_lines(clues: Sequence[Clue] | None) -> str:
    if clues is None:
        return ""
    lines = [f"- *{text.CLUE_KINDS[c.kind]}*: {plain(c.text[:_CLUE_CHARACTERS])}" for c in clues]
    return "\n".join(lines) or text.NO_CLUES


def _passage_lines(passages: Sequence[Passage], number: int) -> str:
    lines = [f"- {_link(str(p.number), number)} {plain(place(p))}" for p in passages[:_LISTED]]
    more = [f"- {text.MORE.format(count=len(passages) - _LISTED)}"] if len(passages) > _LISTED else []
    return "\n".join(lines + more)


def place(passage: Passage) -> str:
    """Return where a passage is: its file, page and section."""
    page = [text.PAGE.format(page=passage.page)] if passage.page is not None else []
    section = [passage.section] if passage.section else []
    return " - ".join([passage.document, ", ".join(page + section)] if page or section else [passage.document])


def answer_markdown(answer: str, marks: Sequence[Mark] = (), number: int = 1) -> str:
    """Return an answer as Markdown that shows its text as it is, with citations linked to their passages.

    Sentences that cite nothing get a quiet mark, once ``marks`` tell which they are.
    """
    shown, at = "", 0
    for mark in marks:
        if not mark.sources and at <= mark.start < mark.end <= len(answer):
            shown += _linked(answer[at : mark.start], number) + _UNCITED.format(title=escape(text.UNCITED))
            shown += _linked(answer[mark.start : mark.end], number) + "</span>"
            at = mark.end
    return shown + _linked(answer[at:], number)


def _linked(part: str, number: int) -> str:
    parts = CITATION.split(part)
    return "".join(plain(part) if i % 2 == 0 else _link(part, number) for i, part in enumerate(parts))


def _link(passage: str, number: int) -> str:
    return f"[\\[{passage}\\]](#passage-{number}-{passage})"


def plain(part: str) -> str:
    """Escape what Markdown or HTML would read as markup."""
    return _MARKDOWN.sub(r"\\\1", part.replace("&", "&amp;"))
