"""One visitor's side of the demo: generators from what was asked to what is shown.

Everything here runs without a browser. A step that may take long runs in a worker, and the generator looks in on it
several times a second: so it can be closed at any moment, and closing it stops the worker.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from demo import text
from demo.generators import Connection, connect
from demo.jobs import Snapshot
from demo.service import Service
from engine.documents import ACCEPTED, Document, Limits, read_document
from engine.errors import Cancelled, InputError, MemoRAGError
from engine.events import Answer, Clue, Clues, Event, Evidence, Passage, Stop, Task, Token
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite

logger = logging.getLogger(__name__)

# Seconds between two looks at a worker, and so between two updates of the page at most.
BEAT = 0.1
QUESTION_CHARACTERS = 4000
MOST_FILES = 50
MOST_VISITORS = 1000
TOKENS = (10, 1024)
TEMPERATURE = (0.0, 2.0)


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


@dataclass(frozen=True)
class Question:
    """One question with its settings, as the page or an API caller gives them."""

    query: str
    corpus: str
    generator: str = text.LOCAL
    temperature: float = 0.0
    max_new_tokens: int = 256
    mode: Task = "memorag"


@dataclass(frozen=True)
class Reply:
    """What can be shown of an answer so far. ``stage`` is a key of ``text.STAGES``, or "done"."""

    stage: str
    status: str
    clues: tuple[Clue, ...] | None = None
    passages: tuple[Passage, ...] | None = None
    answer: str = ""
    final: Answer | None = None
    clue_seconds: float = 0.0
    evidence_seconds: float = 0.0


@dataclass(frozen=True)
class Memorising:
    """How memorising stands. ``corpus`` is the new corpus's id; ``share`` of the present stage runs from 0 to 1."""

    corpus: str
    title: str
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    status: str
    stage: str = "waiting"
    share: float = 0.0
    eta: float | None = None
    seconds: float = 0.0


def check(question: Question, service: Service, visitor: Visitor) -> None:
    """Check a question at the door, before any work.

    Raises:
        InputError: one sentence that says what was given, what is accepted and what to do.
    """
    given = {text.QUESTION: question.query, text.CORPUS: question.corpus, text.MODE: question.mode}
    for name, value in (given | {text.GENERATOR: question.generator}).items():
        if not isinstance(value, str):
            raise InputError(text.NOT_TEXT.format(name=name, value=value))
    if not question.query.strip():
        raise InputError(text.QUESTION_EMPTY)
    if len(question.query) > QUESTION_CHARACTERS:
        raise InputError(text.QUESTION_LONG.format(length=len(question.query), limit=QUESTION_CHARACTERS))
    if not question.corpus:
        raise InputError(text.NO_CORPUS)
    if question.mode not in text.MODES:
        raise InputError(text.BAD_MODE.format(mode=question.mode, known=", ".join(text.MODES)))
    _check_number(text.TEMPERATURE, question.temperature, *TEMPERATURE)
    _check_number(text.MAX_TOKENS, question.max_new_tokens, *TOKENS)
    if int(question.max_new_tokens) != question.max_new_tokens:
        raise InputError(text.BAD_NUMBER.format(name=text.MAX_TOKENS, value=question.max_new_tokens, low=10, high=1024))
    service.pipeline(question.corpus, visitor.name)


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise InputError(text.BAD_NUMBER.format(name=name, value=value, low=low, high=high))


def ask(
    service: Service, visitor: Visitor, question: Question, connection: Connection | None = None
) -> Iterator[Reply]:
    """Answer a question, yielding what can be shown, at least every BEAT seconds. Closing the generator stops the work.

    Raises:
        MemoRAGError: the question cannot be answered; the sentence is meant for the visitor.
    """
    check(question, service, visitor)
    known = connection or visitor.connections.get(question.generator, Connection())
    agent = connect(question.generator, known, service.settings.is_private_host)
    stop, events = Stop(), queue.SimpleQueue[Event | Exception | None]()
    began = time.monotonic()
    pipeline = yield from _opened(service, visitor, question.corpus)
    if agent is not None:
        pipeline = pipeline.with_generator(agent)

    def work() -> None:
        try:
            for event in pipeline.stream(
                question.query,
                task_type=question.mode,
                max_new_tokens=int(question.max_new_tokens),
                temperature=float(question.temperature),
                stop=stop,
            ):
                events.put(event)
            events.put(None)
        except Exception as error:  # handed to the visitor's generator, which raises it
            events.put(error)

    threading.Thread(target=work, name="memorag-answer", daemon=True).start()
    try:
        yield from _replies(events, began)
    finally:
        stop.set()


def _replies(events: queue.SimpleQueue[Event | Exception | None], began: float) -> Iterator[Reply]:
    reply, over, error = Reply("recall", ""), False, None
    while not over:
        time.sleep(BEAT)
        while not events.empty():
            event = events.get()
            if isinstance(event, Exception):
                error = event
            elif event is not None:
                reply = _after(reply, event)
            over = over or event is None or error is not None
        seconds = int(time.monotonic() - began)
        if reply.final is not None:
            status = text.DONE.format(seconds=f"{reply.final.timings['total']:.1f}")
        else:
            status = text.ASKING.format(stage=text.STAGES[reply.stage], seconds=seconds)
        yield replace(reply, status=status)
    if error is not None:
        raise error


def _after(reply: Reply, event: Event) -> Reply:
    """Return the reply with one more event in it."""
    if isinstance(event, Clues):
        return replace(reply, stage="retrieve", clues=event.clues, clue_seconds=event.seconds)
    if isinstance(event, Evidence):
        return replace(reply, stage="write", passages=event.passages, evidence_seconds=event.seconds)
    if isinstance(event, Token):
        return replace(reply, answer=reply.answer + event.text)
    return replace(reply, stage="done", answer=event.text, final=event)


def _opened(service: Service, visitor: Visitor, corpus: str) -> Generator[Reply, None, MemoRAGLite]:
    """Wait until a corpus can be asked, yielding how that stands; return its pipeline."""
    pipeline = service.pipeline(corpus, visitor.name)
    if pipeline is not None:
        return pipeline
    job = service.open(corpus)
    while not job.wait(BEAT):
        title = service.titles(visitor.name)[corpus]
        yield Reply("models", text.OPENING.format(title=title, stage=stage_of(job.snapshot(), service)))
    if (error := job.snapshot().error) is not None:
        raise error
    pipeline = service.pipeline(corpus, visitor.name)
    if pipeline is None:
        raise InputError(text.EXPIRED)
    return pipeline


def memorize(service: Service, visitor: Visitor, files: Sequence[Path]) -> Iterator[Memorising]:
    """Read files and memorise them as one corpus, yielding how that stands. Closing the generator does not stop it.

    Raises:
        MemoRAGError: a file cannot be read or memorised; the sentence is meant for the visitor.
    """
    visitor.reading = Stop()
    try:
        documents = yield from _documents(service, files, visitor.reading)
    except Cancelled:
        yield Memorising("", files[0].name, "stopped", text.MEMORISING_STOPPED)
        return
    title = documents[0].name if len(documents) == 1 else f"{documents[0].name} + {len(documents) - 1}"
    corpus, job = service.memorize(documents, title, visitor.name)
    while True:
        job.wait(BEAT)
        at = job.snapshot()
        if at.error is not None:
            raise at.error
        yield _memorising(corpus, title, at, service, visitor)
        if at.is_over:
            return


def _documents(service: Service, files: Sequence[Path], stop: Stop) -> Generator[Memorising, None, list[Document]]:
    """Read files into documents in a worker, yielding how that stands; return them."""
    if not files:
        raise InputError(text.NO_FILES)
    if len(files) > MOST_FILES:
        raise InputError(text.TOO_MANY_FILES.format(count=len(files), limit=MOST_FILES))
    for path in files:
        if path.suffix.lower() not in ACCEPTED:
            raise InputError(text.FILE_WRONG_TYPE.format(name=path.name))
    limits = Limits(max_bytes=service.settings.max_file_bytes)
    done = queue.SimpleQueue[list[Document] | Exception]()

    def work() -> None:
        try:
            done.put([read_document(path, limits=limits, stop=stop) for path in files])
        except Exception as error:  # handed to the visitor's generator, which raises it
            done.put(error)

    threading.Thread(target=work, name="memorag-reader", daemon=True).start()
    title = files[0].name
    try:
        while done.empty():
            status = text.MEMORISING.format(title=title, stage=text.STAGES["reading"])
            yield Memorising("", title, "running", status, "reading")
            time.sleep(BEAT)
    finally:
        stop.set()
    found = done.get()
    if isinstance(found, Exception):
        raise found
    return found


def _memorising(corpus: str, title: str, at: Snapshot, service: Service, visitor: Visitor) -> Memorising:
    progress = at.progress
    share = progress.done / progress.total if progress is not None and progress.total else 0.0
    if at.state == "done":
        pipeline = service.pipeline(corpus, visitor.name)
        tokens = f"{pipeline.stats['context_tokens']:,}" if pipeline is not None else "?"
        status = text.MEMORISED.format(title=title, tokens=tokens, seconds=f"{at.seconds:.1f}")
    elif at.state == "stopped":
        status = text.MEMORISING_STOPPED
    else:
        status = text.MEMORISING.format(title=title, stage=stage_of(at, service))
    stage = progress.stage if progress is not None else "waiting"
    return Memorising(corpus, title, at.state, status, stage, share, progress.eta if progress else None, at.seconds)


def stage_of(at: Snapshot, service: Service) -> str:
    """Say in words what a job is doing."""
    if not service.is_loaded:
        return text.STAGES["models"]
    if at.progress is None:
        return text.STAGES["waiting" if at.state == "waiting" else "starting"]
    words = text.STAGES[at.progress.stage]
    if at.progress.total > 1:
        words += f", {100 * at.progress.done // at.progress.total} %"
    if at.progress.eta:
        words += f", about {at.progress.eta:.0f} s left"
    return words


def stop_memorising(service: Service, visitor: Visitor) -> None:
    """Stop reading and memorising the visitor's files, if that is going on."""
    visitor.reading.set()
    service.stop_memorising(visitor.name)


def sentence(error: Exception) -> str:
    """Return what a visitor is told about an error; an unexpected one goes to the log with its traceback."""
    if isinstance(error, MemoRAGError):
        return str(error)
    logger.error("Unexpected error", exc_info=error)
    return text.UNEXPECTED


def open_corpus(service: Service, visitor: Visitor, corpus: str) -> Iterator[Memorising]:
    """Open a ready-made corpus, yielding how that stands; at once "done" when it is open.

    Raises:
        MemoRAGError: there is no such corpus, or it cannot be opened.
    """
    if not corpus:
        raise InputError(text.NO_FILES)
    title = service.titles(visitor.name).get(corpus, corpus)
    if service.pipeline(corpus, visitor.name) is None:
        job = service.open(corpus)
        while not job.wait(BEAT):
            yield _memorising(corpus, title, job.snapshot(), service, visitor)
        if (error := job.snapshot().error) is not None:
            raise error
    pipeline = service.pipeline(corpus, visitor.name)
    tokens = f"{pipeline.stats['context_tokens']:,}" if pipeline is not None else "?"
    yield Memorising(corpus, title, "done", text.READY.format(title=title, tokens=tokens), "done", 1.0)


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
