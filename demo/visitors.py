"""Visitors: who is on the page, and what is kept for each page while it is open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from demo import text
from demo.generators import Connection, connect
from demo.jobs import Job
from demo.offers import Known
from engine.errors import InputError
from engine.settings import Settings

MOST_VISITORS = 1000


@dataclass
class Watch:
    """A job that a page looks at.

    ``is_told`` says whether the page has shown that the corpus can be asked; ``has_password`` whether one was given.
    """

    corpus: str
    job: Job
    is_told: bool = False
    has_password: bool = False


@dataclass
class Visitor:
    """One open page of a visitor; lives in memory only.

    ``name`` is the visitor's, the same on all their pages: documents belong to it. Connections, with their keys, belong
    to this page alone, and so does what is known of ``generators``, without keys. ``answers`` counts those being
    written; ``answered`` is the corpus of the answer that is shown, if any; ``owes_cost`` says that the cost of the
    listed files could not be told yet. ``labels`` and ``versions`` are of the corpora that the page offers.
    """

    name: str
    connections: dict[str, Connection] = field(default_factory=dict)
    generators: Known = field(default_factory=Known)
    watch: Watch | None = None
    answers: int = 0
    was_busy: bool = False
    answered: str = ""
    owes_cost: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


class Visitors:
    """Pages by session and visitor, the longest unseen first to be forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Visitor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, session: str, name: str | None = None) -> Visitor:
        """Return the page of a session, a new one if it is unknown. Another visitor in that session is another page."""
        name = session if name is None else name
        with self._lock:
            visitor = self._known.setdefault((session, name), Visitor(name))
            self._known.move_to_end((session, name))
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
