"""Memorising as a visitor watches it: files are taken in, then read and memorised in a job that outlives the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from demo import text
from demo.jobs import Job, Snapshot
from demo.service import Service
from demo.uploads import Upload
from demo.visitors import Visitor
from engine.errors import InputError

# Seconds between two looks at a worker, and so between two updates of the page at most.
BEAT = 0.1
_NOTES_SHOWN = 2


@dataclass(frozen=True)
class Memorising:
    """How memorising stands. ``corpus`` is the corpus's id; ``share`` of the present stage runs from 0 to 1.

    With ``ready``, the corpus can be asked already; ``missing`` names what it lacks then ("memory": clues, "vectors":
    the search by meaning). ``notes`` are sentences about the files.
    """

    corpus: str
    title: str
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    status: str
    stage: str = "waiting"
    share: float = 0.0
    eta: float | None = None
    seconds: float = 0.0
    ready: bool = False
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def take_in(service: Service, owner: str, files: Sequence[tuple[Path, str]]) -> tuple[list[Upload], list[str]]:
    """Take in uploaded files, each with its name; return those taken, and a sentence for each that was refused."""
    taken, refusals = [], []
    for path, name in files:
        try:
            taken.append(service.uploads.take(owner, path, name, service.settings))
        except InputError as error:
            refusals.append(text.translated(str(error)))
    return taken, refusals


def memorize(service: Service, visitor: Visitor, ids: Sequence[str], password: str = "") -> Iterator[Memorising]:
    """Memorise files that were taken in as one corpus, yielding how that stands. Closing this does not stop the work.

    Files of which nothing comes are deleted.

    Raises:
        MemoRAGError: a file cannot be read or memorised; the sentence is meant for the visitor.
    """
    corpus, job = service.memorize(visitor.name, ids, password, keeps_files=False)
    yield from _watched(service, visitor, corpus, job)


def open_corpus(service: Service, visitor: Visitor, corpus: str) -> Iterator[Memorising]:
    """Open a corpus, yielding how that stands; at once "done" when it is open.

    Raises:
        MemoRAGError: there is no such corpus, or it cannot be opened.
    """
    if not corpus:
        raise InputError(text.NO_FILES)
    if service.pipeline(corpus, visitor.name) is None:
        for step in _watched(service, visitor, corpus, service.open(corpus, visitor.name)):
            if step.state != "done":
                yield step
    title, missing = service.titles(visitor.name)[corpus], missing_of(service, visitor.name, corpus)
    line = ready_line(service, visitor.name, corpus)
    yield Memorising(corpus, title, "done", line, "done", 1.0, ready=True, missing=missing)


def _watched(service: Service, visitor: Visitor, corpus: str, job: Job) -> Iterator[Memorising]:
    while True:
        job.wait(BEAT)
        step, error = look(service, visitor.name, corpus, job), job.snapshot().error
        if error is not None:
            raise error
        yield step
        if step.state in ("done", "stopped"):
            return


def look(service: Service, owner: str, corpus: str, job: Job) -> Memorising:
    """Return how a job stands that memorises or opens a corpus."""
    at, facts = job.snapshot(), service.shelf.get(owner, corpus)
    title = facts.title if facts is not None else service.titles(owner).get(corpus, "")
    notes = facts.notes if facts is not None else ()
    missing = missing_of(service, owner, corpus)
    is_ready = service.is_open(corpus) and (at.is_ready or at.is_over)
    progress = at.progress
    share = progress.done / progress.total if progress is not None and progress.total else 0.0
    stage, eta = (progress.stage, progress.eta) if progress is not None else ("waiting", None)
    status = _status(service, owner, corpus, at, title, missing)
    return Memorising(corpus, title, at.state, status, stage, share, eta, at.seconds, is_ready, missing, notes)


def _status(service: Service, owner: str, corpus: str, at: Snapshot, title: str, missing: tuple[str, ...]) -> str:
    if at.state == "done":
        pipeline = service.pipeline(corpus, owner) if title else None
        tokens = f"{pipeline.stats['context_tokens']:,}" if pipeline is not None else "?"
        status = text.MEMORISED.format(title=title, tokens=tokens, seconds=_took(at.seconds))
        return status + unread_note(service, corpus) + _noted(service, owner, corpus)
    if at.state == "stopped":
        return text.MEMORISING_KEPT.format(title=title) if service.is_open(corpus) else text.MEMORISING_STOPPED
    stage = stage_of(at, service)
    if at.is_ready and missing:
        line = text.GOING_ON_NOW.format(words=text.GOING_ON[missing].format(title=title), stage=stage)
    else:
        line = text.MEMORISING.format(title=title, stage=stage)
    return text.ELAPSED.format(line=line, elapsed=text.duration(at.seconds))


def _took(seconds: float) -> str:
    return text.SECONDS.format(seconds=f"{seconds:.1f}") if seconds < 60 else text.duration(seconds)


def stage_of(at: Snapshot, service: Service) -> str:
    """Say in words what a job is doing."""
    if not service.models.is_loaded and (at.progress is None or at.progress.stage != "reading"):
        return text.STAGES["models"]
    if at.progress is None or at.state == "waiting":
        return text.STAGES["waiting" if at.state == "waiting" else "starting"]
    words = text.STAGES[at.progress.stage]
    if at.progress.total > 1:
        words = text.STAGE_SHARE.format(stage=words, share=100 * at.progress.done // at.progress.total)
    if at.progress.eta:
        words = text.STAGE_LEFT.format(stage=words, time=text.duration(at.progress.eta))
    return words


# What is said of a corpus that can be asked


def missing_of(service: Service, owner: str, corpus: str) -> tuple[str, ...]:
    """Return what a corpus lacks that is in memory."""
    pipeline = service.pipeline(corpus, owner) if corpus in service.titles(owner) else None
    return tuple(pipeline.memorized.missing) if pipeline is not None else ()


def can_resume(service: Service, owner: str, corpus: str) -> bool:
    """Whether the visitor may go on with a corpus whose memorising was stopped."""
    facts = service.shelf.get(owner, corpus)
    return facts is not None and facts.state == "stopped"


def ready_line(service: Service, owner: str, corpus: str) -> str:
    """Return the status line of a corpus that is in memory."""
    pipeline = service.pipeline(corpus, owner)
    tokens = f"{pipeline.stats['context_tokens']:,}" if pipeline is not None else "?"
    missing = missing_of(service, owner, corpus)
    line = (text.READY_PARTLY[missing] if missing else text.READY).format(
        title=service.titles(owner)[corpus], tokens=tokens
    )
    line += text.RESUME_HINT if can_resume(service, owner, corpus) else ""
    return line + unread_note(service, corpus) + _noted(service, owner, corpus)


def open_line(service: Service, owner: str, corpus: str, job: Job | None) -> str:
    """Return the status line of a corpus that can be asked while ``job`` may still make what it lacks."""
    missing = missing_of(service, owner, corpus)
    if job is None or not missing:
        return ready_line(service, owner, corpus)
    words = text.GOING_ON[missing].format(title=service.titles(owner)[corpus])
    return text.GOING_ON_NOW.format(words=words, stage=stage_of(job.snapshot(), service))


def unread_language(service: Service, corpus: str) -> str | None:
    """Return the name of the language of a held corpus, where the retriever is known not to read it."""
    held = service.held(corpus)
    return text.LANGUAGES[held.language] if held is not None and held.is_read is False else None


def unread_note(service: Service, corpus: str) -> str:
    """Return what the status line of a corpus says about its language, if anything."""
    language = unread_language(service, corpus)
    return "" if language is None else text.READY_UNREAD.format(language=language)


def _noted(service: Service, owner: str, corpus: str) -> str:
    """Return the first notes about a visitor's files; the Memory tab has them all."""
    facts = service.shelf.get(owner, corpus)
    notes = facts.notes if facts is not None else ()
    more = (text.MORE_NOTES,) if len(notes) > _NOTES_SHOWN else ()
    return "".join(f" {text.translated(note)}" for note in (*notes[:_NOTES_SHOWN], *more))
