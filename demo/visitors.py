"""Visitors: who is on the page, told apart by session, and what is kept for each while it is open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from demo import text
from demo.generators import Connection, connect
from engine.errors import InputError
from engine.events import Stop
from engine.settings import Settings

MOST_VISITORS = 1000


@dataclass
class Visitor:
    """What is known of one visitor; lives as long as the page, in memory only."""

    name: str
    connections: dict[str, Connection] = field(default_factory=dict)
    reading: Stop = field(default_factory=Stop)


class Visitors:
    """Visitors by session, the longest unseen first to be forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Visitor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, session: str) -> Visitor:
        """Return the visitor of a session, a new one if it is unknown."""
        with self._lock:
            visitor = self._known.setdefault(session, Visitor(session))
            self._known.move_to_end(session)
            while len(self._known) > MOST_VISITORS:
                self._known.popitem(last=False)
            return visitor


def keep_connection(visitor: Visitor, generator: str, connection: Connection, settings: Settings) -> None:
    """Keep a generator's key or address for this session, after checking that it could be used.

    Raises:
        InputError: it could not.
    """
    if generator not in text.GENERATORS or generator == text.LOCAL:
        known = ", ".join(name for name in text.GENERATORS if name != text.LOCAL)
        raise InputError(text.UNKNOWN_GENERATOR.format(generator=generator, known=known))
    connect(generator, connection, settings.is_private_host)
    visitor.connections[generator] = connection
