"""What is known of the generators on one page: what was given for each, and whether a test of it went well.

No key is kept here. A digest, made with a secret of this process, tells whether what was tested is still what is given.
"""

from __future__ import annotations

import difflib
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from demo import text
from demo.generators import Connection, agent_of, missing, sentence
from demo.models import Models
from engine.agent import Agent
from engine.api_errors import failure_of
from engine.errors import Cancelled, GeneratorError, InputError, MemoRAGError
from engine.events import Stop
from engine.settings import Settings

T = TypeVar("T")

# The longest waits in seconds, for the answer and for the list of models.
ANSWER_SECONDS = 10.0
LIST_SECONDS = 4.0
_GRACE = 0.5  # for the service's own silence to be noticed first
_SECRET = secrets.token_bytes(32)
_LONGEST_REASON = 100
_NAMES_SHOWN = 6


@dataclass(frozen=True)
class Given:
    """What is given for a generator: what is ``missing`` still, whether there is a key, and the digest of it all."""

    missing: tuple[str, ...]
    has_key: bool
    digest: bytes

    @classmethod
    def of(cls, generator: str, connection: Connection) -> Given:
        """Return the facts about a connection, without the key."""
        given = connection.trimmed
        parts = (generator, given.model or text.DEFAULT_MODELS[generator], given.key, given.address)
        written = "\0".join(part.replace("\0", "") for part in parts).encode(errors="replace")
        digest = hmac.digest(_SECRET, written, hashlib.sha256)
        return cls(missing(generator, given), bool(given.key), digest)


@dataclass(frozen=True)
class Outcome:
    """How a test went. ``seconds`` is None where it went wrong.

    ``models`` are those to choose from, where known; ``model`` is the one that answered.
    """

    sentence: str
    seconds: float | None = None
    models: tuple[str, ...] = ()
    model: str = ""
    digest: bytes = b""


@dataclass
class Known:
    """What is known on one page, by generator; the choices that it shows, and whether it shows how a test went."""

    given: dict[str, Given] = field(default_factory=dict)
    tested: dict[str, Outcome] = field(default_factory=dict)
    shown: list[tuple[str, str]] = field(default_factory=list)
    is_told: bool = False

    def last_test(self, generator: str) -> Outcome | None:
        """Return how the last test went, where nothing was changed since."""
        given, tested = self.given.get(generator), self.tested.get(generator)
        return tested if given is not None and tested is not None and tested.digest == given.digest else None

    def forget(self) -> None:
        """Forget what was given and tested."""
        self.given.clear()
        self.tested.clear()
        self.is_told = False


def choices(known: Known, models: Models, settings: Settings) -> list[tuple[str, str]]:
    """Return every generator as (what is shown, its name), with what it needs or how its test went."""
    offers = [(_local(models, settings), text.LOCAL)]
    for generator in text.GENERATORS:
        if generator != text.LOCAL:
            state = _state(generator, known, settings.is_private_host)
            offers.append((text.OFFER.format(name=text.NAMES[generator], state=state), generator))
    return offers


def _local(models: Models, settings: Settings) -> str:
    name = text.NAMES[text.LOCAL]
    if models.failure is not None:
        reason = str(models.failure)
        short = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}..."
        return text.OFFER.format(name=name, state=short)
    if not models.is_loaded:
        return text.OFFER.format(name=name, state=text.LOCAL_LOADING)
    return text.LOCAL_MODEL.format(name=name, model=models.get().model.name.rpartition("/")[2])


def _state(generator: str, known: Known, is_private_host: bool) -> str:
    given = known.given.get(generator) or Given.of(generator, Connection())
    if given.missing:
        names = [_part(part, generator, is_private_host) for part in given.missing]
        return text.OFFER_NEEDS.format(parts=text.listing(names))
    tested = known.last_test(generator)
    if tested is None:
        return text.OFFER_KEY if given.has_key else text.OFFER_ADDRESS
    if tested.seconds is None:
        return text.OFFER_FAILED
    return text.OFFER_TESTED.format(seconds=f"{tested.seconds:.1f}")


def _part(part: str, generator: str, is_private_host: bool) -> str:
    if generator == "azure":
        part = {"address": "endpoint", "model": "deployment"}.get(part, part)
    elif part == "address" and not is_private_host:
        part = "public address"
    return text.OFFER_PARTS[part]


def try_out(generator: str, connection: Connection, settings: Settings) -> Outcome:
    """Put one short request to a generator, through what answers go through, and ask which models there are.

    Takes ANSWER_SECONDS and twice LIST_SECONDS at most, and the time to look up an address. Where only the name of a
    server's model is missing and it has one model, that is taken. A failure is a sentence, which never holds the key.
    ``generator`` is a key of ``NEEDS``.
    """
    try:
        outcome = _tried(generator, connection, settings)
    except MemoRAGError as error:
        outcome = Outcome(sentence(error) or text.translated(str(error)))
    tried = replace(connection, model=outcome.model or connection.model)
    return replace(outcome, digest=Given.of(generator, tried).digest)


def _tried(generator: str, connection: Connection, settings: Settings) -> Outcome:
    def impatient(connection: Connection) -> Agent:
        return agent_of(generator, connection, settings.is_private_host, timeout=ANSWER_SECONDS, max_retries=0)

    name = text.NAMES[generator]
    names: tuple[str, ...] = ()
    if generator == "compatible" and missing(generator, connection) == ("model",):
        names = _offered(impatient(replace(connection, model="-")), name)
        if len(names) > 1:
            return Outcome(text.CHOOSE_MODEL.format(name=name, count=len(names)), models=names)
        connection = replace(connection, model=names[0])
    agent = impatient(connection)
    began = time.monotonic()
    try:
        _within(ANSWER_SECONDS, agent.check, name)
    except MemoRAGError as error:
        if (failure := failure_of(error)) is None or failure.kind != "model":
            raise
        return _no_such_model(agent, generator, error)
    seconds = time.monotonic() - began
    names = names or _listed(agent)
    said = text.TESTED.format(name=name, model=agent.name, seconds=f"{seconds:.1f}")
    if names:
        said += text.TESTED_MODELS.format(count=len(names))
    return Outcome(said, seconds, names, agent.name)


def _offered(agent: Agent, name: str) -> tuple[str, ...]:
    """Return the models of a server, at least one.

    Raises:
        MemoRAGError: the server cannot be reached, or lists none.
    """
    try:
        names = _within(LIST_SECONDS, agent.models, name)
    except MemoRAGError as error:
        if (failure := failure_of(error)) is None or failure.kind != "model":
            raise
        names = []
    if not names:
        raise InputError(text.NO_MODEL_LIST.format(name=name))
    return tuple(names)


def _listed(agent: Agent) -> tuple[str, ...]:
    """Return the models that a service lists, none where it lists none."""
    with suppress(MemoRAGError):
        return tuple(_within(LIST_SECONDS, agent.models, agent.name))
    return ()


def _no_such_model(agent: Agent, generator: str, error: MemoRAGError) -> Outcome:
    """Say which models there are instead, those with the likest names first."""
    names, name = _listed(agent), text.NAMES[generator]
    if not names:
        # Without a path such as /v1, a server knows neither.
        no_list = text.NOTHING_THERE.format(name=name, model=agent.name)
        return Outcome(no_list if generator == "compatible" else sentence(error) or "")
    alike = difflib.get_close_matches(agent.name, names, _NAMES_SHOWN, cutoff=0.3)
    shown = [*alike, *(other for other in names if other not in alike)][:_NAMES_SHOWN]
    more = [text.MORE.format(count=len(names) - len(shown))] if len(names) > len(shown) else []
    return Outcome(text.NO_SUCH_MODEL.format(name=name, model=agent.name, models=", ".join(shown + more)), models=names)


def _within(seconds: float, call: Callable[[Stop], T], name: str) -> T:
    """Return what ``call`` returns.

    Raises:
        MemoRAGError: what it raises, and a sentence where it took longer or the service was silent.
    """
    stop = Stop()
    timer = threading.Timer(seconds + _GRACE, stop.set)
    timer.start()
    try:
        return call(stop)
    except MemoRAGError as error:
        failure = failure_of(error)
        if isinstance(error, Cancelled) or (failure is not None and failure.kind == "silent"):
            raise GeneratorError(text.TEST_LATE.format(name=name, seconds=f"{seconds:g}")) from error
        raise
    finally:
        timer.cancel()
