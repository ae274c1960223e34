"""What a visitor asked and was answered: kept for as long as their documents are, so that a reload loses nothing.

    visitors/OWNER/chats/ID.json    one conversation: its questions in order, each with its answer and evidence

A conversation belongs to its visitor alone, and goes with everything else of theirs. Keys and passwords are no part of
it. Knows nothing about pages.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from demo import folders
from demo.questions import Question, Reply
from demo.shelf import CHATS, Shelf
from engine.events import Turn

logger = logging.getLogger(__name__)

# More of either, and the oldest go.
MOST_CONVERSATIONS, MOST_EXCHANGES = 50, 50
_MOST_BYTES = 8 * 2**20
_TITLE_CHARACTERS = 60
_ID = re.compile(r"[0-9A-Za-z_-]{22}")

End = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Exchange:
    """One question and what came of it. ``liked`` is the visitor's judgement.

    ``sentence`` says why an answer broke off. ``at`` is when it was asked, in seconds of the wall clock, and what tells
    one exchange of a conversation from the others.
    """

    question: Question
    reply: Reply
    end: End = "running"
    sentence: str = ""
    liked: bool | None = None
    at: float = 0.0


@dataclass(frozen=True)
class Conversation:
    """Exchanges in order, with the time of the last change in seconds of the wall clock."""

    id: str
    exchanges: tuple[Exchange, ...] = ()
    changed: float = 0.0

    @property
    def title(self) -> str:
        """The first question, shortened."""
        first = " ".join(self.exchanges[0].question.query.split()) if self.exchanges else ""
        return first if len(first) <= _TITLE_CHARACTERS else first[: _TITLE_CHARACTERS - 1].rstrip() + "…"

    @property
    def corpus(self) -> str:
        """The corpus asked last."""
        return self.exchanges[-1].question.corpus if self.exchanges else ""

    def turns(self, corpus: str, before: int | None = None) -> tuple[Turn, ...]:
        """Return what was asked about a corpus and answered: in its light the next question is understood."""
        earlier = [known for known in self.exchanges[:before] if known.question.corpus == corpus and known.reply.answer]
        return tuple(Turn(known.question.query, known.reply.answer) for known in earlier)

    def put(self, index: int | None, exchange: Exchange) -> Conversation:
        """Return the conversation with an exchange at ``index`` and nothing after it; None: at its end."""
        kept = (*self.exchanges[:index], exchange)
        return replace(self, exchanges=kept[-MOST_EXCHANGES:], changed=time.time())

    def change(self, exchange: Exchange) -> Conversation:
        """Return the conversation with an exchange in place of what it was; as it is where that is gone."""
        changed = tuple(exchange if known.at == exchange.at else known for known in self.exchanges)
        return replace(self, exchanges=changed)

    def without(self, exchange: Exchange) -> Conversation:
        """Return the conversation without an exchange."""
        return replace(self, exchanges=tuple(known for known in self.exchanges if known.at != exchange.at))

    def index(self, exchange: Exchange) -> int | None:
        """Return where an exchange is, whatever has become of it; None where it is gone."""
        return next((i for i, known in enumerate(self.exchanges) if known.at == exchange.at), None)


_CODEC = TypeAdapter(Conversation)
_BEGAN = time.time()


class Conversations:
    """All visitors' conversations on disk."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lock = threading.RLock()

    def all(self, owner: str) -> list[Conversation]:
        """Return a visitor's conversations, the latest first."""
        with self._lock:
            found = [known for path in self._folder(owner).glob("*.json") if (known := _read(path)) is not None]
        return sorted(found, key=lambda conversation: conversation.changed, reverse=True)

    def get(self, owner: str, id: str) -> Conversation | None:
        """Return a conversation; None where this visitor has none of that name."""
        return _read(self._path(owner, id)) if _ID.fullmatch(id) else None

    def begin(self) -> Conversation:
        """Return a new conversation, which is kept once something is asked in it."""
        return Conversation(secrets.token_urlsafe(16))

    def change(
        self, owner: str, id: str, edit: Callable[[Conversation], Conversation], is_new: bool = False
    ) -> Conversation | None:
        """Change a conversation as it is now, and keep it; return what it became.

        Several pages may show one. One that is not new and that was deleted meanwhile stays deleted: None. One of which
        nothing is left is deleted.

        Raises:
            OSError: the disk does not take it.
        """
        with self._lock:
            known = self.get(owner, id) or (Conversation(id) if is_new else None)
            if known is None:
                return None
            changed = edit(known)
            if changed.exchanges:
                changed = self._keep(owner, changed)
            else:
                self.remove(owner, id)
            return changed

    def _keep(self, owner: str, conversation: Conversation) -> Conversation:
        path = self._path(owner, conversation.id)
        data = _CODEC.dump_json(conversation)
        while len(data) > _MOST_BYTES and len(conversation.exchanges) > 1:
            conversation = replace(conversation, exchanges=conversation.exchanges[1:])
            data = _CODEC.dump_json(conversation)
        folders.make(path.parent.parent)
        folders.make(path.parent)
        folders.write_bytes(path, data)
        for old in sorted(path.parent.glob("*.json"), key=lambda known: known.stat().st_mtime)[:-MOST_CONVERSATIONS]:
            old.unlink()
        return conversation

    def remove(self, owner: str, id: str) -> None:
        """Delete a conversation."""
        if _ID.fullmatch(id):
            with self._lock:
                self._path(owner, id).unlink(missing_ok=True)

    def sweep(self, oldest: float) -> None:
        """Delete what was asked before ``oldest`` (seconds of the wall clock): its evidence is text of documents."""
        for folder in self._shelf.path.glob(f"*/{CHATS}"):
            with self._lock:
                for path in folder.iterdir():
                    known = _read(path)
                    kept = tuple(asked for asked in known.exchanges if asked.at >= oldest) if known is not None else ()
                    if known is None or not kept:
                        folders.delete(path)
                    elif len(kept) < len(known.exchanges):
                        folders.write_bytes(path, _CODEC.dump_json(replace(known, exchanges=kept)))
                if not any(folder.iterdir()):
                    folder.rmdir()

    def _folder(self, owner: str) -> Path:
        return self._shelf.folder(owner) / CHATS

    def _path(self, owner: str, id: str) -> Path:
        return self._folder(owner) / f"{id}.json"


def _read(path: Path) -> Conversation | None:
    try:
        known = _CODEC.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        logger.warning("A conversation cannot be read.")
        return None
    if known.id != path.stem or not known.exchanges:
        return None
    return replace(known, exchanges=tuple(_ended(exchange) for exchange in known.exchanges))


def _ended(exchange: Exchange) -> Exchange:
    """Return an exchange that waits for nothing: an answer that was begun earlier ended with its server."""
    is_cut = exchange.end == "running" and exchange.at < _BEGAN
    return replace(exchange, end="stopped") if is_cut else exchange
