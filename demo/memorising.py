"""Memorising as the page watches it: files are read, then memorised in a job that outlives the page."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from demo import text
from demo.jobs import Snapshot
from demo.service import Service
from demo.visitors import Visitor
from engine.documents import ACCEPTED, Document, Limits, read_document
from engine.errors import Cancelled, InputError
from engine.events import Stop

# Seconds between two looks at a worker, and so between two updates of the page at most.
BEAT = 0.1
MOST_FILES = 50


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
        status += service.unread_note(corpus)
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
    status = text.READY.format(title=title, tokens=tokens) + service.unread_note(corpus)
    yield Memorising(corpus, title, "done", status, "done", 1.0)
