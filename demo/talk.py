"""A conversation on the page: what every part that shows it has to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from demo import exports, messages, panels, render, text
from demo.compare import comparison
from demo.conversations import Conversation, Exchange
from demo.pictures import picture_of
from demo.service import Service

Updates = dict[str, Any]
COMPARE_TAB = "compare"


def listed(service: Service, owner: str, chosen: str = "") -> Updates:
    """Show the visitor's conversations, the latest first."""
    known = service.conversations.all(owner)
    choices = [(conversation.title, conversation.id) for conversation in known]
    is_known = any(conversation.id == chosen for conversation in known)
    shown = gr.Dropdown(choices=choices, value=chosen if is_known else None)
    return {"conversation": shown, "talks": gr.Row(visible=bool(known))}


def opened(service: Service, owner: str, conversation: Conversation | None) -> Updates:
    """Show a whole conversation with the panels of its last exchange; None empties all of them."""
    if conversation is None or not conversation.exchanges:
        return {"chat": gr.update(value=[]), "exporting": "", **emptied()}
    return {**spoken(conversation), **panel_updates(service, owner, conversation, len(conversation.exchanges) - 1)}


def spoken(conversation: Conversation) -> Updates:
    """Show what was said, and where it can be had as a file."""
    said = gr.update(value=messages.talk(conversation), feedback_value=messages.feedback(conversation))
    return {"chat": said, "exporting": exporting(conversation)}


def exporting(conversation: Conversation) -> str:
    """Return links to the conversation as a file."""
    kinds = {"md": "Markdown", "json": "JSON"}
    return render.links(text.EXPORT, {name: exports.address(conversation, kind) for kind, name in kinds.items()})


def emptied() -> Updates:
    """Empty the panels of a question."""
    return {
        "evidence": render.evidence(None),
        "compared": comparison(None, None),
        "run": render.run(None, "", 0, 0),
    }


def panel_updates(service: Service, owner: str, conversation: Conversation, index: int) -> Updates:
    """Show the panels of one exchange."""
    return exchange_panels(service, owner, conversation.exchanges[index], index + 1)


def exchange_panels(service: Service, owner: str, exchange: Exchange, number: int) -> Updates:
    """Show the panels of an exchange, the ``number``-th of its conversation."""
    question, reply = exchange.question, exchange.reply
    is_known = question.corpus in service.titles(owner)
    marks = reply.final.marks if reply.final is not None else ()
    picture = picture_of(service, owner, question.corpus) if is_known else None
    name = text.NAMES[question.generator]
    return {
        "evidence": _evidence(exchange, number, marks, picture),
        "compared": comparison(reply, question),
        "memory": panels.memory(service, owner, question.corpus, reply, number) if is_known else gr.skip(),
        "run": render.run(reply.final, name, question.temperature, question.max_new_tokens),
    }


def busy() -> Updates:
    """Return the buttons while an answer is being written."""
    return {"send": gr.Button(visible=False), "stop": gr.Button(visible=True)}


def idle() -> Updates:
    """Return the buttons while none is."""
    return {"send": gr.Button(visible=True), "stop": gr.Button(visible=False)}


def _evidence(exchange: Exchange, number: int, marks: Sequence[Any], picture: render.Picture | None) -> str:
    shown = render.evidence(exchange.reply.passages, exchange.reply.answer, marks, number, picture)
    return render.about(exchange.question.query, shown) if exchange.reply.passages else shown


def merged(*parts: Updates) -> Updates:
    """Return all updates as one; where the same component is changed twice, both changes hold."""
    whole: Updates = {}
    for part in parts:
        for name, update in part.items():
            both = isinstance(update, dict) and isinstance(whole.get(name), dict)
            whole[name] = {**whole[name], **update} if both else update
    return whole
