"""What happens when a visitor asks: a handler that turns what the demo yields into component updates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from demo import generators, messages, render, session, talk, text
from demo.api import visitor_of
from demo.conversations import Conversation, End, Exchange
from demo.generators import Connection
from demo.questions import Question, Reply
from demo.service import Service
from demo.talk import COMPARE_TAB, Updates
from demo.visitors import Visitor, Visitors
from engine.documents import encodable
from engine.events import Task
from engine.settings import Secret

# A stopped answer is closed between two of its steps, and only then is what was written kept.
_STOP_SECONDS = 3.0


@dataclass(frozen=True)
class Again:
    """A question that is not taken from the box: another one, or one asked before with what came after it dropped.

    ``corpus`` is the one that it was asked about, "" for the one that is chosen.
    """

    query: str
    index: int | None = None
    corpus: str = ""


class Page:
    """Asking, on one running demo."""

    def __init__(self, service: Service, visitors: Visitors) -> None:
        self.service, self.visitors = service, visitors

    def answer(
        self,
        query: str,
        again: Again | None,
        conversation: str,
        corpus: str | None,
        generator: str,
        model: str | None,
        key: str | None,
        address: str | None,
        temperature: float,
        max_new_tokens: float,
        mode: Task,
        compare: bool,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """Answer the question in the box, or ``again``; what is typed meanwhile stays in the box."""
        visitor = visitor_of(self.visitors, request)
        known = self.service.conversations
        before = known.get(visitor.name, conversation) or known.begin()
        index = again.index if again is not None else None
        asked = again.query if again is not None else query
        asked = encodable(asked) if isinstance(asked, str) else asked
        about = (again.corpus if again is not None else "") or corpus or ""
        limit, history = int(max_new_tokens), before.turns(about, index)
        question = Question(asked, about, generator, temperature, limit, mode, compare, history)
        run = _Run(self.service, visitor, before, index, question)
        box: Any = "" if again is None else gr.skip()
        visitor.answers += 1
        try:
            given = Connection(model or "", Secret(key or ""), address or "")
            for reply in session.ask(self.service, visitor, question, given):
                yield {"question": box, "again": None, **run.show(reply)}
                box = gr.skip()
            run.end("done")
            visitor.answered = about
            yield {**run.shown(), **talk.listed(self.service, visitor.name, run.now.id), **talk.idle()}
        except Exception as error:  # shown in words
            yield {"again": None, **self._failed(run, asked, error), **talk.idle()}
        finally:
            run.end("stopped")
            visitor.answers -= 1

    def _failed(self, run: _Run, asked: str, error: Exception) -> Updates:
        """Keep what was written, with the reason; of nothing written, the question goes back into its box."""
        sentence = session.sentence(error) + (text.API_KEPT if generators.sentence(error) is not None else "")
        told: Updates = {"status": render.status(sentence, "error")}
        if run.reply is not None and run.reply.answer:
            run.end("failed", sentence)
            return {**run.shown(), **talk.listed(self.service, run.visitor.name, run.now.id), **told}
        run.undo()
        back = talk.opened(self.service, run.visitor.name, run.before) if run.reply is not None else {}
        return {**back, **talk.listed(self.service, run.visitor.name, run.before.id), "question": asked, **told}

    @staticmethod
    def mode_info(mode: str) -> Any:  # noqa: ANN401 - an update
        """Say what the chosen mode does and when to take it."""
        return gr.Dropdown(info=text.MODE_INFOS[mode])

    def stopped(self, conversation: str, request: gr.Request) -> Updates:
        """Show what is left of a stopped answer."""
        visitor = visitor_of(self.visitors, request)
        until = time.monotonic() + _STOP_SECONDS
        while visitor.answers and time.monotonic() < until:
            time.sleep(0.02)
        found = self.service.conversations.get(visitor.name, conversation)
        shown = talk.spoken(found) if found is not None else {}
        is_empty = found is not None and not found.exchanges[-1].reply.answer
        line = text.NOTHING_WRITTEN if is_empty else text.STOPPED
        return {**shown, "status": render.status(line), **talk.idle()}


class _Run:
    """One answer on its way into its conversation, which is kept at every step that would be missed.

    Another page may show the same conversation and add to it meanwhile, so the answer finds its place anew each time.
    """

    def __init__(
        self, service: Service, visitor: Visitor, before: Conversation, index: int | None, question: Question
    ) -> None:
        self.service, self.visitor, self.before, self.question = service, visitor, before, question
        self.reply: Reply | None = None
        self.now, self._index, self._began = before, index, time.time()
        self._is_over, self._is_in_front, self._is_kept = False, False, True

    def show(self, reply: Reply) -> Updates:
        """Return what changes with the next part of the answer."""
        known, self.reply = self.reply, reply
        exchange = self._exchange(reply, "running")
        shown: Updates = {}
        if known is None:
            self.now = self.before.put(self._index, exchange)
            self._keep(lambda other: other.put(self._index, exchange), is_new=not self.before.exchanges)
            choices = talk.listed(self.service, self.visitor.name, self.now.id)
            shown = {"exporting": talk.exporting(self.now), **talk.emptied(), **choices, **talk.busy()}
        elif known.passages is None and reply.passages is not None:
            self._keep(lambda other: other.change(exchange))
        self.now = self.now.change(exchange)
        if reply.passages is not None:
            shown |= self._panels(exchange)
            if reply.plain is not None and not self._is_in_front:
                shown["tabs"], self._is_in_front = gr.Tabs(selected=COMPARE_TAB), True
        status = render.status(reply.status, "idle" if reply.stage == "done" else "busy")
        return {**shown, "chat": messages.talk(self.now), "status": status}

    def shown(self) -> Updates:
        """Return what is there when all is over."""
        if self.reply is None:
            return {}
        status = render.status(self.reply.status + ("" if self._is_kept else text.NOT_KEPT))
        return {**talk.spoken(self.now), **self._panels(self._exchange(self.reply, "done")), "status": status}

    def end(self, end: End, sentence: str = "") -> None:
        """Keep the answer as it is now, for good; what ended already stays so."""
        if self.reply is None or self._is_over:
            return
        if end == "stopped" and self._index is not None and not self.reply.answer:
            self.undo()  # the answer that was to be replaced is worth more than none
            return
        self._is_over = True
        exchange = self._exchange(self.reply, end, sentence)
        self.now = self.now.change(exchange)
        self._keep(lambda other: other.change(exchange))

    def undo(self) -> None:
        """Leave the conversation as it was."""
        self._is_over = True
        if self.reply is None:
            return
        if self._index is None:
            exchange = self._exchange(self.reply, "stopped")
            self._keep(lambda other: other.without(exchange))
        else:  # what it was to replace comes back
            self._keep(lambda other: replace(other, exchanges=self.before.exchanges))

    def _exchange(self, reply: Reply, end: End, sentence: str = "") -> Exchange:
        return Exchange(replace(self.question, history=()), reply, end, sentence, at=self._began)

    def _keep(self, edit: Callable[[Conversation], Conversation], is_new: bool = False) -> None:
        try:
            kept = self.service.conversations.change(self.visitor.name, self.before.id, edit, is_new)
        except OSError as error:  # the answer itself must not be lost for it
            session.unkept(error)
            self._is_kept = False
        else:
            self.now = kept or self.now

    def _panels(self, exchange: Exchange) -> Updates:
        number = (self.now.index(exchange) or 0) + 1
        return talk.exchange_panels(self.service, self.visitor.name, exchange, number)
