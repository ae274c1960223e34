"""Finding evidence for a question without writing an answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import cast

from demo import session, text
from demo.questions import Question, Reply
from demo.service import Service
from demo.visitors import Visitor
from engine.errors import InputError

# The modes in which passages are looked for before anything is written.
MODES = ("memorag", "rag", "summarize")


def find(service: Service, visitor: Visitor, question: Question) -> Iterator[Reply]:
    """Look for the passages that an answer would rest on, yielding what can be shown. Closing this stops the work.

    The last reply has the stage "done" and no answer.

    Raises:
        MemoRAGError: the question cannot be asked, or its mode uses no passages; the sentence is for the visitor.
    """
    if isinstance(question.mode, str) and question.mode not in MODES:
        raise InputError(text.BAD_MODE.format(mode=question.mode, known=", ".join(MODES)))
    with closing(cast("Generator[Reply]", session.ask(service, visitor, question))) as replies:
        for reply in replies:
            if reply.passages is not None:  # the first words may have been written since the last look
                seconds = f"{reply.clue_seconds + reply.evidence_seconds:.1f}"
                status = text.PASSAGES_FOUND.format(count=len(reply.passages), seconds=seconds)
                yield replace(reply, stage="done", status=status, answer="", final=None)
                return
            yield reply
