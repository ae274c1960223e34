"""One visitor's side of the demo: generators from what was asked to what is shown.

Everything here runs without a browser. A step that may take long runs in a worker, and the generator looks in on it
several times a second: so it can be closed at any moment, and closing it stops the worker.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from demo import generators, text
from demo.generators import Connection, connect
from demo.memorising import BEAT, stage_of
from demo.questions import Question, Reply
from demo.service import Service
from demo.visitors import Visitor
from engine.errors import InputError, MemoRAGError
from engine.events import Clues, Event, Evidence, Stop, Task, Token, Understood

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite

logger = logging.getLogger(__name__)

QUESTION_CHARACTERS = 4000
TOKENS = (10, 1024)
TEMPERATURE = (0.0, 2.0)


def check(question: Question, service: Service, visitor: Visitor) -> None:
    """Check a question at the door, before any work.

    Raises:
        InputError: one sentence that says what was given, what is accepted and what to do.
    """
    given = {text.QUESTION: question.query, text.CORPUS: question.corpus, text.MODE: question.mode}
    check_texts(given | {text.GENERATOR: question.generator})
    if not question.query.strip():
        raise InputError(text.QUESTION_EMPTY)
    if len(question.query) > QUESTION_CHARACTERS:
        raise InputError(text.QUESTION_LONG.format(length=len(question.query), limit=QUESTION_CHARACTERS))
    if not question.corpus:
        raise InputError(text.NO_CORPUS)
    if not isinstance(question.compare, bool):
        raise InputError(text.BAD_SWITCH.format(name=text.COMPARE, value=question.compare))
    if question.mode not in text.MODES:
        raise InputError(text.BAD_MODE.format(mode=question.mode, known=", ".join(text.MODES)))
    _check_number(text.TEMPERATURE, question.temperature, *TEMPERATURE)
    _check_number(text.MAX_TOKENS, question.max_new_tokens, *TOKENS)
    if int(question.max_new_tokens) != question.max_new_tokens:
        raise InputError(text.BAD_NUMBER.format(name=text.MAX_TOKENS, value=question.max_new_tokens, low=10, high=1024))
    service.pipeline(question.corpus, visitor.name)


def check_texts(given: Mapping[str, object]) -> None:
    """Check that values are texts; they are given by the names that the visitor knows.

    Raises:
        InputError: one is something else. Of a key or a password, only what it is is said.
    """
    for name, value in given.items():
        if not isinstance(value, str):
            shown = type(value).__name__ if name in (text.KEY, text.UNLOCK) else value
            raise InputError(text.NOT_TEXT.format(name=name, value=shown))


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise InputError(text.BAD_NUMBER.format(name=name, value=value, low=low, high=high))


def ask(
    service: Service, visitor: Visitor, question: Question, connection: Connection | None = None
) -> Iterator[Reply]:
    """Answer a question, yielding what can be shown, at least every BEAT seconds. Closing the generator stops the work.

    Where it is compared, the first answer is shown as it grows, then stays while plain RAG answers; what goes wrong
    there is said in ``plain.problem``.

    Raises:
        MemoRAGError: the question cannot be answered; the sentence is meant for the visitor.
    """
    check(question, service, visitor)
    with service.room.answering(visitor.name) as ticket:
        while ahead := service.room.ahead(ticket):
            yield Reply("queue", text.QUEUED.format(count=ahead), mode=question.mode)
            time.sleep(BEAT)
        yield from _asked(service, visitor, question, connection)


def _asked(
    service: Service, visitor: Visitor, question: Question, connection: Connection | None
) -> Generator[Reply, None, None]:
    known = connection or visitor.connections.get(question.generator, Connection())
    agent = connect(question.generator, known, service.settings.is_private_host)
    pipeline = yield from _opened(service, visitor, question.corpus)
    if agent is not None:
        pipeline = pipeline.with_generator(agent)
    first = Reply("recall", "", mode=question.mode)
    with closing(_answered(pipeline, question, question.mode)) as replies:
        for first in replies:
            if first.final is not None:
                first = replace(first, offered=_offered(service, visitor.name, question, first))
            if first.final is None or not question.is_compared:
                yield first
    if question.is_compared:
        yield from _compared(pipeline, question, first)


def _offered(service: Service, owner: str, question: Question, reply: Reply) -> tuple[str, ...]:
    """Return questions to ask after an answer."""
    from engine.followups import followups

    entry = service.entry_of(question.corpus, owner)
    examples, asked = entry.questions if entry is not None else (), [turn.question for turn in question.history]
    query, held = reply.understood or question.query, service.held(question.corpus)
    language = held.language if held is not None else "en"
    return followups(query, reply.clues or (), reply.passages or (), language, asked, examples)


def _compared(pipeline: MemoRAGLite, question: Question, first: Reply) -> Iterator[Reply]:
    """Yield the first answer, with that of plain RAG beside it as it grows."""
    plain, seconds = Reply("retrieve", "", mode=text.PLAIN), _seconds(first)
    question = replace(question, query=first.understood or question.query, history=())
    try:
        with closing(_answered(pipeline, question, text.PLAIN)) as replies:
            for plain in replies:
                if plain.final is None:
                    yield replace(first, stage="plain", status=text.COMPARING.format(status=plain.status), plain=plain)
        status = text.COMPARED.format(seconds=seconds, plain=_seconds(plain))
    except Exception as error:  # the first answer must not be lost for it
        plain = replace(plain, stage="done", problem=sentence(error))
        status = text.COMPARING_FAILED.format(seconds=seconds)
    yield replace(first, status=status, plain=plain)


def _answered(pipeline: MemoRAGLite, question: Question, mode: Task) -> Generator[Reply, None, None]:
    """Answer in one mode in a worker, yielding what can be shown. Closing the generator stops the worker."""
    stop, events = Stop(), queue.SimpleQueue[Event | Exception | None]()
    began = time.monotonic()

    def work() -> None:
        try:
            for event in pipeline.stream(
                question.query,
                task_type=mode,
                max_new_tokens=int(question.max_new_tokens),
                temperature=float(question.temperature),
                stop=stop,
                history=question.history,
                use_memory_answer=True,  # a draft costs little beside the other clues, and can be compared
            ):
                events.put(event)
            events.put(None)
        except Exception as error:  # handed to the visitor's generator, which raises it
            events.put(error)

    threading.Thread(target=work, name="memorag-answer", daemon=True).start()
    try:
        yield from _replies(events, began, Reply("understand" if question.history else "recall", "", mode=mode))
    finally:
        stop.set()


def _replies(events: queue.SimpleQueue[Event | Exception | None], began: float, reply: Reply) -> Iterator[Reply]:
    over, error = False, None
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
            status = text.DONE.format(seconds=_seconds(reply))
        else:
            status = text.ASKING.format(stage=text.STAGES[reply.stage], seconds=seconds)
        yield replace(reply, status=status)
    if error is not None:
        raise error


def _seconds(reply: Reply) -> str:
    return f"{reply.final.timings['total']:.1f}" if reply.final is not None else "?"


def _after(reply: Reply, event: Event) -> Reply:
    """Return the reply with one more event in it."""
    if isinstance(event, Understood):
        return replace(reply, stage="recall", understood=event.question)
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
    job = service.open(corpus, visitor.name)
    title = service.titles(visitor.name)[corpus]
    # A corpus that is being memorised may be ready before that job is over.
    while not job.wait(BEAT) and (pipeline := service.pipeline(corpus, visitor.name)) is None:
        said = text.REBUILDING if service.is_rebuilding(corpus) else text.OPENING
        yield Reply("models", said.format(title=title, stage=stage_of(job.snapshot(), service)))
    if pipeline is None and (error := job.snapshot().error) is not None:
        raise error
    pipeline = service.pipeline(corpus, visitor.name)
    if pipeline is None:
        raise InputError(text.EXPIRED)
    return pipeline


def sentence(error: Exception) -> str:
    """Return what a visitor is told about an error; an unexpected one goes to the log with its traceback."""
    if (said := generators.sentence(error)) is not None:
        return said
    if isinstance(error, MemoRAGError):
        return text.translated(str(error))
    if isinstance(error, OSError):  # its words may hold the name of a visitor's file
        logger.warning("Met a %s (%s).", type(error).__name__, error.errno)
        return text.DISK
    logger.error("Unexpected error", exc_info=error)
    return text.UNEXPECTED


def unkept(error: OSError) -> None:
    """Note that a conversation could not be kept; its words may hold what a visitor asked."""
    logger.warning("A conversation could not be kept (%s %s).", type(error).__name__, error.errno)
