"""The public endpoints: everything a visitor can do on the page, for programs.

Typed and documented, because Gradio builds the API page from it. ``request`` arguments are filled in by Gradio.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeVar

import gradio as gr
from gradio import FileData

from demo import memorising, session, text
from demo.finding import find
from demo.generators import Connection
from demo.given import turns_of, uploaded, written
from demo.identity import owner_of, token_of
from demo.memorising import Memorising
from demo.questions import Question, Reply
from demo.service import Service
from demo.visitors import Visitor, Visitors, keep_connection
from engine.errors import InputError, MemoRAGError
from engine.settings import Secret

_NO_FILES: list[FileData] = []
_NO_TURNS: list[list[str]] = []
# Stages whose status line says more than the stage's name, and does not change every second.
_TOLD = ("models", "queue", "done")
_SILENCE = 1.0
_Step = TypeVar("_Step")


class Api:
    """Endpoints over one service."""

    def __init__(self, service: Service, visitors: Visitors) -> None:
        self.service, self.visitors = service, visitors

    def corpora(self, request: gr.Request) -> list[dict[str, Any]]:
        """List the corpora that can be asked: the ready-made ones and your own.

        Returns:
            One object per corpus: id, title, ready (whether it is in memory), state ("ready", "unbuilt": memorised when
            it is first asked, "stale" or "damaged": to be rebuilt on the page), mine, description, questions.
        """
        found, visitor = [], visitor_of(self.visitors, request).name
        for corpus, title in self.service.titles(visitor).items():
            entry = self.service.entry_of(corpus, visitor)
            found.append(
                {
                    "id": corpus,
                    "title": title,
                    "ready": self.service.is_open(corpus),
                    "state": self.service.condition(corpus).state,
                    "mine": corpus not in self.service.entries,
                    "description": entry.manifest.description if entry else "",
                    "questions": list(entry.questions) if entry else [],
                }
            )
        return found

    def memorize(
        self,
        files: list[FileData] = _NO_FILES,
        corpus: str = "",
        password: str = "",
        text: str = "",
        title: str = "",
        request: gr.Request | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Memorise uploaded TXT, PDF or DOCX files, or a plain text, as one corpus of your own; or open a corpus.

        Args:
            files: uploaded files, or their paths as /gradio_api/upload answers; without, the text or the corpus counts.
            corpus: the id of a corpus to open, where neither files nor a text are given.
            password: opens PDF and DOCX files that ask for one; used once, never stored.
            text: a plain text to memorise, alone or together with files.
            title: what the text is called in the evidence.

        Returns:
            Objects as the work goes on: corpus (the id to ask), title, state, status, stage, share (0 to 1), eta and
            seconds. A long corpus can be asked from "ready" on; "missing" says what it lacks then ("memory",
            "vectors"). "notes" are sentences about the files. The last object has the state "done".
        """
        visitor = visitor_of(self.visitors, request)
        try:
            given = _texts_of(files, corpus, password, text, title)
            yield from map(asdict, _told(self._memorising(visitor, files, corpus, password, given), _news))
        except Exception as error:
            raise _as_gradio(error) from error

    def _memorising(
        self, visitor: Visitor, files: list[FileData], corpus: str, password: str, words: tuple[str, str] | None
    ) -> Iterator[Memorising]:
        if not files and words is None:
            return memorising.open_corpus(self.service, visitor, corpus)
        given = [uploaded(file) for file in files] + ([written(*words)] if words is not None else [])
        return memorising.memorize(self.service, visitor, self._taken(given, visitor), password)

    def _taken(self, given: list[tuple[Path, str]], visitor: Visitor) -> list[str]:
        """Take all files in, or none; return their ids."""
        taken, refusals = memorising.take_in(self.service, visitor.name, given)
        ids = [upload.id for upload in taken]
        if refusals:
            self.service.uploads.drop(visitor.name, ids)
            raise InputError(" ".join(refusals))
        return ids

    def ask(
        self,
        question: str,
        corpus: str,
        generator: str = text.LOCAL,
        temperature: float = 0.0,
        max_new_tokens: int = 256,
        mode: Literal["memorag", "rag", "qa", "summarize", "full"] = "memorag",
        compare: bool = False,
        history: list[list[str]] = _NO_TURNS,
        request: gr.Request | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Ask a question about a corpus; the answer streams, and its numbers, such as [1], name pieces of evidence.

        Args:
            question: the question, up to 4,000 characters.
            corpus: an id from /corpora or /memorize.
            generator: who writes the answer: "local", or one given to /connect before.
            temperature: 0 (most certain) to 2 (most varied).
            max_new_tokens: longest answer in tokens, 10 to 1024.
            mode: "memorag" (clues from the memory, then evidence), "rag" (the passages nearest to the question), "qa"
                (the memory alone), "summarize" (the whole text by its key points) or "full" (the generator reads the
                whole text, where it fits).
            compare: whether "rag" answers too, after the mode and with the same generator and limits.
            history: earlier turns about this corpus, the oldest first, each as [question, answer]; with them, a
                question such as "And who was the second?" is understood.

        Returns:
            Objects as the answer grows: stage ("done" in the last), status, understood (the question as it was read in
            the light of the history, else ""), clues, evidence (number, text, document, page, section, start and end
            in characters, score, and found_by: the question or clues that found it), answer so far, marks (its
            sentences with what supports each), and at the end timings in seconds. With compare, plain holds the
            answer, evidence and timings of "rag" once it has begun, and problem, a sentence where it broke off; else
            plain is null.
        """
        try:
            settings = (generator, temperature, max_new_tokens, mode, compare)
            asked = Question(question, corpus, *settings, turns_of(history))
            visitor = visitor_of(self.visitors, request)
            yield from _told(map(_reply_object, session.ask(self.service, visitor, asked)))
        except Exception as error:
            raise _as_gradio(error) from error

    def evidence(
        self,
        question: str,
        corpus: str,
        mode: Literal["memorag", "rag", "summarize"] = "memorag",
        history: list[list[str]] = _NO_TURNS,
        request: gr.Request | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Find the passages of a corpus that an answer would rest on, without writing it: for programs that answer.

        Args:
            question: the question, up to 4,000 characters.
            corpus: an id from /corpora or /memorize.
            mode: how passages are found: "memorag" (with clues from the memory), "rag" (those nearest to the
                question) or "summarize" (along the key points of the whole text).
            history: earlier turns about this corpus, as for /ask.

        Returns:
            Objects as the work goes on: stage ("done" in the last), status, understood, clues (kind and text; hints
            that may be wrong), evidence (number, text, document, page, section, start and end in characters, score,
            and found_by: the question or clues that found it) and timings in seconds.
        """
        try:
            asked = Question(question, corpus, mode=mode, history=turns_of(history))
            visitor = visitor_of(self.visitors, request)
            yield from _told(map(_found_object, find(self.service, visitor, asked)))
        except Exception as error:
            raise _as_gradio(error) from error

    def connect(self, generator: str, model: str, api_key: str, address: str, request: gr.Request) -> str:
        """Give the key or address of a generator for this session; it is kept in memory only.

        Args:
            generator: "openai", "azure", "deepseek", "huggingface" or "compatible".
            model: the model's name, with Azure the deployment; "" takes the usual one.
            api_key: the key, "" where the server needs none.
            address: the base URL of a compatible server, with Azure the endpoint; else "".

        Returns:
            A sentence that says the generator can be used now.
        """
        given = {text.GENERATOR: generator, text.MODEL: model, text.KEY: api_key, text.ADDRESS: address}
        try:
            session.check_texts(given)
            connection = Connection(model, Secret(api_key), address)
            keep_connection(visitor_of(self.visitors, request), generator, connection, self.service.settings)
        except Exception as error:
            raise _as_gradio(error) from error
        return text.CONNECTED.format(name=text.NAMES[generator])


def visitor_of(visitors: Visitors, request: gr.Request | None) -> Visitor:
    """Return the visitor behind a request; a caller with neither cookie nor session is a new one at every call."""
    session = (request.session_hash if request is not None else None) or secrets.token_urlsafe(16)
    return visitors.get(session, owner_of(token_of(request), session))


def _texts_of(files: object, corpus: object, password: object, words: str, title: object) -> tuple[str, str] | None:
    """Check what was given to be memorised; return the plain text and its title, None without.

    Raises:
        InputError: something is of another type.
    """
    session.check_texts({text.CORPUS: corpus, text.UNLOCK: password, text.WRITTEN: words, text.WRITTEN_TITLE: title})
    if not isinstance(files, list):
        raise InputError(text.NOT_FILES.format(value=files))
    return (words, str(title)) if words else None


def _told(steps: Iterable[_Step], news: Callable[[_Step], object] = lambda step: step) -> Iterator[_Step]:
    """Yield the steps that say something new, and once a second also others: only between two is it seen who left."""
    last, at = None, 0.0
    for step in steps:
        if news(step) != last or time.monotonic() > at + _SILENCE:
            yield step
            at = time.monotonic()
        last = news(step)


def _news(step: Memorising) -> tuple[object, ...]:
    """Return what makes a step worth telling after the one before."""
    return step.state, step.stage, step.share, step.ready, step.missing


def _reply_object(reply: Reply) -> dict[str, Any]:
    plain = reply.plain
    return {
        "stage": reply.stage,
        "status": _status(reply),
        "understood": reply.understood,
        "clues": [asdict(clue) for clue in reply.clues or ()],
        **_answer_object(reply),
        "plain": None if plain is None else _answer_object(plain) | {"problem": plain.problem},
    }


def _found_object(reply: Reply) -> dict[str, Any]:
    return {
        "stage": reply.stage,
        "status": _status(reply),
        "understood": reply.understood,
        "clues": [asdict(clue) for clue in reply.clues or ()],
        "evidence": [asdict(passage) for passage in reply.passages or ()],
        "timings": {"clues": reply.clue_seconds, "retrieval": reply.evidence_seconds},
    }


def _status(reply: Reply) -> str:
    return reply.status if reply.stage in _TOLD else text.STAGES[reply.stage]


def _answer_object(reply: Reply) -> dict[str, Any]:
    return {
        "evidence": [asdict(passage) for passage in reply.passages or ()],
        "answer": reply.answer,
        "marks": [asdict(mark) for mark in reply.final.marks] if reply.final else [],
        "timings": dict(reply.final.timings) if reply.final else {},
    }


def _as_gradio(error: Exception) -> gr.Error:
    """Return what an API caller is told."""
    return gr.Error(session.sentence(error), print_exception=not isinstance(error, MemoRAGError))
