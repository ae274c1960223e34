"""The public endpoints: everything a visitor can do on the page, for programs.

Typed and documented, because Gradio builds the API page from it. ``request`` arguments are filled in by Gradio.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio import FileData
from gradio.utils import get_upload_folder

from demo import memorising, session, text
from demo.generators import Connection
from demo.identity import owner_of, token_of
from demo.memorising import Memorising
from demo.service import Service
from demo.session import Question, Reply
from demo.visitors import Visitor, Visitors, keep_connection
from engine.errors import InputError, MemoRAGError
from engine.settings import Secret


class Api:
    """Endpoints over one service."""

    def __init__(self, service: Service, visitors: Visitors) -> None:
        self.service, self.visitors = service, visitors

    def corpora(self, request: gr.Request) -> list[dict[str, Any]]:
        """List the corpora that can be asked: the ready-made ones and your own.

        Returns:
            One object per corpus: id, title, ready (whether it answers at once), mine, description, questions.
        """
        found = []
        for corpus, title in self.service.titles(visitor_of(self.visitors, request).name).items():
            entry = self.service.entries.get(corpus)
            found.append(
                {
                    "id": corpus,
                    "title": title,
                    "ready": self.service.is_open(corpus),
                    "mine": entry is None,
                    "description": entry.description if entry else "",
                    "questions": list(entry.questions) if entry else [],
                }
            )
        return found

    def memorize(
        self, files: list[FileData], corpus: str, password: str = "", request: gr.Request | None = None
    ) -> Iterator[dict[str, Any]]:
        """Memorise uploaded TXT, PDF or DOCX files as one corpus of your own, or open one.

        Args:
            files: the uploaded files; an empty list opens the corpus named by ``corpus``.
            corpus: the id of a corpus to open, or "" with files.
            password: opens PDF and DOCX files that ask for one; used once, never stored.

        Returns:
            A stream of objects: corpus (the id to ask), title, state, status, stage, share (0 to 1), eta and seconds.
            A long corpus can be asked from "ready" on; "missing" says what it lacks then ("memory", "vectors"). "notes"
            are sentences about the files. The last object has the state "done".
        """
        visitor = visitor_of(self.visitors, request)
        try:
            session.check_texts({text.CORPUS: corpus, text.UNLOCK: password})
            if not isinstance(files, list):
                raise InputError(text.NOT_FILES.format(value=files))
            if files:
                steps = memorising.memorize(self.service, visitor, self._taken(files, visitor), password)
            else:
                steps = memorising.open_corpus(self.service, visitor, corpus)
            last: Memorising | None = None
            for step in steps:
                if last is None or _news(step) != _news(last):
                    yield asdict(step)
                last = step
        except Exception as error:
            raise _as_gradio(error) from error

    def _taken(self, files: list[FileData], visitor: Visitor) -> list[str]:
        """Take all files in, or none; return their ids."""
        given = [_uploaded(file) for file in files]
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
        request: gr.Request | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Ask a question about a corpus; the answer streams.

        Args:
            question: the question, up to 4,000 characters.
            corpus: an id from /corpora or /memorize.
            generator: who writes the answer: "local", or one given to /connect before.
            temperature: 0 (most certain) to 2 (most varied).
            max_new_tokens: longest answer in tokens, 10 to 1024.
            mode: "memorag" (clues from the memory, then evidence), "rag" (the passages nearest to the question), "qa"
                (the memory alone), "summarize" (the whole text by its key points) or "full" (the generator reads the
                whole text, where it fits).
            compare: whether "rag" answers too, after ``mode`` and with the same generator and limits.

        Returns:
            A stream of objects: stage ("done" in the last), status, clues, evidence (number, text, document, page,
            section), answer so far, and at the end timings in seconds. Every [n] in the answer is the number of a piece
            of evidence. With ``compare``, plain holds the answer, evidence and timings of "rag" once it has begun, and
            problem, a sentence where it broke off; else plain is null.
        """
        asked = Question(question, corpus, generator, temperature, max_new_tokens, mode, compare)
        last: dict[str, Any] = {}
        try:
            for reply in session.ask(self.service, visitor_of(self.visitors, request), asked):
                shown = _reply_object(reply)
                if shown != last:
                    yield shown
                last = shown
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


def was_uploaded(path: Path) -> bool:
    """Whether a file lies in the folder that uploads go to."""
    return path.resolve().is_relative_to(Path(get_upload_folder()).resolve())


def _uploaded(file: Any) -> tuple[Path, str]:  # noqa: ANN401 - Gradio gives a plain dict
    """Return the path of an uploaded file and its name; a path that a caller made up is refused."""
    facts = file if isinstance(file, dict) else {name: getattr(file, name, None) for name in ("path", "orig_name")}
    path = Path(str(facts.get("path") or ""))
    try:
        is_here = path.is_file() and was_uploaded(path)
    except OSError:  # no file can have such a name
        is_here = False
    if not is_here:
        raise InputError(text.FILE_NOT_UPLOADED)
    return path, str(facts.get("orig_name") or path.name)


def _news(step: Memorising) -> tuple[object, ...]:
    """Return what makes a step worth telling after the one before."""
    return step.state, step.stage, step.share, step.ready, step.missing


def _reply_object(reply: Reply) -> dict[str, Any]:
    plain = reply.plain
    return {
        "stage": reply.stage,
        "status": reply.status if reply.stage in ("models", "done") else text.STAGES[reply.stage],
        "clues": [asdict(clue) for clue in reply.clues or ()],
        **_answer_object(reply),
        "plain": None if plain is None else _answer_object(plain) | {"problem": plain.problem},
    }


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
