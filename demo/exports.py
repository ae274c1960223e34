"""A visitor's conversation as a file: GET /memorag/conversations/ID.md or .json, with the visitor's cookie.

Made when it is asked for: no copy lies on the disk, and only the browser whose conversation it is gets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from demo import text
from demo.conversations import Conversation, Exchange
from demo.identity import owner_of, token_of
from demo.messages import place
from demo.service import Service
from engine.events import Passage

_PATH = "/memorag/conversations/{id}.{kind}"
_TYPES = {"md": "text/markdown; charset=utf-8", "json": "application/json"}
_CODEC = TypeAdapter(Conversation)


def route(service: Service) -> Route:
    """Return the route that hands out conversations."""

    async def export(request: Request) -> Response:
        found = await run_in_threadpool(_found, service, request)
        if found is None:
            return PlainTextResponse(text.NO_CONVERSATION, 404)
        name, data, kind = found
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "private, no-store"}
        return Response(data, media_type=kind, headers=headers | {"x-content-type-options": "nosniff"})

    return Route(_PATH, export, methods=["GET"])


def address(conversation: Conversation, kind: str) -> str:
    """Return where a conversation can be had, relative to the page."""
    return _PATH.format(id=conversation.id, kind=kind).removeprefix("/")


def _found(service: Service, request: Request) -> tuple[str, bytes, str] | None:
    """Return the file name, the content and its type of what is asked for; None where this visitor has none such."""
    kind, owner = request.path_params["kind"], owner_of(token_of(request), None)
    conversation = service.conversations.get(owner, request.path_params["id"])
    if conversation is None or kind not in _TYPES:
        return None
    name = f"memorag-{datetime.fromtimestamp(conversation.changed):%Y-%m-%d-%H%M}.{kind}"
    if kind == "json":
        return name, _CODEC.dump_json(conversation, indent=2), _TYPES[kind]
    with text.speaking(text.language_of(request.headers.get("accept-language"))):
        titles = service.titles(owner)
        written = markdown(conversation, titles)
    return name, written.encode("utf-8", "replace"), _TYPES[kind]


def markdown(conversation: Conversation, titles: dict[str, str]) -> str:
    """Return a conversation for people to read; ``titles`` are those of corpora by id."""
    parts = [f"# {conversation.title}"]
    for exchange in conversation.exchanges:
        parts += _written(exchange, titles.get(exchange.question.corpus, exchange.question.corpus))
    return "\n\n".join(parts) + "\n"


def _written(exchange: Exchange, title: str) -> Sequence[str]:
    question, reply = exchange.question, exchange.reply
    when = f"{datetime.fromtimestamp(exchange.at):%Y-%m-%d %H:%M}"
    facts = [when, title, text.MODES[question.mode], text.NAMES[question.generator]]
    parts = [f"## {' '.join(question.query.split())}", f"*{' · '.join(facts)}*"]
    parts += [f"{text.THOUGHT_UNDERSTOOD}: {reply.understood}"] if reply.understood else []
    parts += [reply.answer] if reply.answer else []
    parts += [f"*{exchange.sentence or text.STOPPED_HERE}*"] if exchange.end in ("failed", "stopped") else []
    if reply.plain is not None and reply.plain.answer:
        parts += [f"### {text.MODES[text.PLAIN]}", reply.plain.answer]
    if reply.passages:
        parts += [f"### {text.EVIDENCE}", *(_quoted(passage) for passage in reply.passages)]
    return parts


def _quoted(passage: Passage) -> str:
    lines = "\n".join(f"> {line}" for line in passage.text.strip().splitlines())
    return f"[{passage.number}] {place(passage)}\n\n{lines}"
