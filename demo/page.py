"""What happens on the page: handlers that turn what the demo yields into component updates.

Handlers are thin. Visitors are told apart by Gradio's session.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import memorising, render, session, text
from demo.api import session_of, was_uploaded
from demo.compare import comparison
from demo.generators import Connection
from demo.service import Service
from demo.session import Question, Reply
from demo.visitors import Visitor, Visitors
from engine.events import Clue, Task
from engine.settings import Secret

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite

Update = Any  # a component's update, or nothing to change
COMPARE_TAB = "compare"


class Page:
    """Handlers of one running demo."""

    def __init__(self, service: Service) -> None:
        self.service, self.visitors = service, Visitors()

    def visitor(self, request: gr.Request) -> Visitor:
        """Return the visitor behind a request."""
        return self.visitors.get(session_of(request))

    # Corpora

    def look(self, corpus: str, request: gr.Request) -> tuple[Update, str, Update]:
        """Show how the chosen corpus stands; used by the timer until it is ready."""
        visitor = self.visitor(request)
        line, busy = self._corpus_line(corpus, visitor)
        return self._memory_of(corpus, visitor), line, gr.Timer(active=busy)

    def _corpus_line(self, corpus: str, visitor: Visitor) -> tuple[str, bool]:
        """Return the status line of a corpus and whether it is still being opened."""
        titles = self.service.titles(visitor.name)
        if self.service.failure is not None:
            return render.status(str(self.service.failure), "error"), False
        if corpus not in titles:
            return render.status(text.CHOOSE), False
        if (pipeline := self.service.pipeline(corpus, visitor.name)) is not None:
            tokens = f"{pipeline.stats['context_tokens']:,}"
            line = text.READY.format(title=titles[corpus], tokens=tokens) + self.service.unread_note(corpus)
            return render.status(line), False
        if not self.service.is_loaded:
            return render.status(text.LOADING, "busy"), True
        at = self.service.open(corpus).snapshot()
        if at.error is not None:
            return render.status(session.sentence(at.error), "error"), False
        line = text.OPENING.format(title=titles[corpus], stage=memorising.stage_of(at, self.service))
        return render.status(line, "busy"), True

    def _memory_of(self, corpus: str, visitor: Visitor) -> Any:  # noqa: ANN401 - HTML or an empty update
        if not self.service.is_open(corpus):
            return gr.skip()
        pipeline = self.service.pipeline(corpus, visitor.name)
        return self._memory(pipeline, corpus, self.service.titles(visitor.name)[corpus], None)

    def _memory(self, pipeline: MemoRAGLite | None, corpus: str, title: str, clues: Sequence[Clue] | None) -> str:
        if pipeline is None:
            return render.memory(None, title, clues)
        choices = {"Model": pipeline.model.reason, "Retriever": pipeline.encoder.reason}
        choices["Hardware"] = str(pipeline.encoder.hardware)
        shown = render.memory(pipeline.stats, title, clues, choices)
        if (language := self.service.unread_language(corpus)) is not None:
            retriever = pipeline.encoder.name.rpartition("/")[2]
            shown = render.hint(text.UNREAD.format(retriever=retriever, language=language)) + shown
        return shown

    def choose(self, corpus: str, request: gr.Request) -> tuple[Update, Update, str, Update]:
        """Switch to a corpus: its examples, memory and status."""
        return (gr.Chatbot(examples=self.examples(corpus)), *self.look(corpus, request))

    def examples(self, corpus: str) -> Any:  # noqa: ANN401 - Gradio's example messages
        """Return the questions to offer for a corpus; none for a visitor's own."""
        entry = self.service.entries.get(corpus)
        return [{"text": question} for question in entry.questions[2:6]] if entry else []

    def arrive(self, request: gr.Request) -> tuple[Update, Update, Update, str, Update]:
        """Fill the page when it is opened."""
        titles = self.service.titles(self.visitor(request).name)
        first = next(iter(titles), None)
        choices = [(title, corpus) for corpus, title in titles.items()]
        return (gr.Dropdown(choices=choices, value=first), *self.choose(first or "", request))

    # Documents

    def files_given(self, files: list[str] | None) -> tuple[Update, Update]:
        """Say what was uploaded and what to do next."""
        paths = [Path(file) for file in files or []]
        if not paths:
            return gr.Button(interactive=False), gr.skip()
        size = text.size(sum(path.stat().st_size for path in paths))
        line = text.FILES_READY.format(count=len(paths), size=size)
        return gr.Button(interactive=True), render.status(line)

    def memorise(self, files: list[str] | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Memorise uploads; yields (progress, status, memorise button, stop button, corpus choices, memory, chat)."""
        visitor, last = self.visitor(request), None
        try:
            for last in memorising.memorize(self.service, visitor, [Path(file) for file in files or []]):
                running = (gr.Button(interactive=False), gr.Button(visible=True))
                yield (render.memorising(last), gr.skip(), *running, gr.skip(), gr.skip(), gr.skip())
        except Exception as error:  # shown in words; the traceback of an unexpected one goes to the log
            yield self._memorise_over(render.status(session.sentence(error), "error"))
            return
        if last is None or last.state != "done":
            yield self._memorise_over(render.status(text.MEMORISING_STOPPED))
            return
        choices = [(title, corpus) for corpus, title in self.service.titles(visitor.name).items()]
        shown = self._memorise_over(render.status(last.status))
        chosen = gr.Dropdown(choices=choices, value=last.corpus)
        yield (*shown[:4], chosen, self._memory_of(last.corpus, visitor), gr.Chatbot(examples=[]))

    @staticmethod
    def _memorise_over(line: str) -> tuple[Any, ...]:
        buttons = (gr.Button(interactive=True), gr.Button(visible=False))
        return ("", line, *buttons, gr.skip(), gr.skip(), gr.skip())

    def stop_memorising(self, request: gr.Request) -> None:
        """Stop the visitor's memorising."""
        memorising.stop_memorising(self.service, self.visitor(request))

    def delete(self, files: list[str] | None, request: gr.Request) -> tuple[Any, ...]:
        """Delete the visitor's documents: uploads, memories and the conversation about them."""
        visitor = self.visitor(request)
        memorising.stop_memorising(self.service, visitor)
        for file in files or []:
            if was_uploaded(Path(file)):
                Path(file).unlink(missing_ok=True)
        count = self.service.delete(visitor.name)
        titles = self.service.titles(visitor.name)
        choices = [(title, corpus) for corpus, title in titles.items()]
        line = text.DELETED if count or files else text.NOTHING_TO_DELETE
        first = next(iter(titles), "")
        dropdown = gr.Dropdown(choices=choices, value=first or None)
        chat = gr.Chatbot(value=[], examples=self.examples(first))
        panels = (
            render.evidence(None),
            comparison(None, None),
            render.memory(None, "", None),
            render.run(None, "", 0, 0),
        )
        buttons = (
            gr.Button(interactive=False),
            gr.Button(visible=False),
            gr.Button(visible=True),
            gr.Button(visible=False),
        )
        return (None, dropdown, render.status(line), chat, *panels, "", *buttons)

    # Questions

    def answer(
        self,
        query: str,
        history: list[Any],
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
    ) -> Iterator[tuple[Any, ...]]:
        """Answer; yields (chat, question box, status, ask button, stop button, evidence, compare, memory, run, tabs).

        The tab with both answers comes to the front once, when the second one begins.
        """
        visitor = self.visitor(request)
        question = Question(query, corpus or "", generator, temperature, int(max_new_tokens), mode, compare)
        chat = [*render.without_links(history), {"role": "user", "content": query}]
        busy = (gr.Button(visible=False), gr.Button(visible=True))
        idle = (gr.Button(visible=True), gr.Button(visible=False))
        untouched = (gr.skip(),) * 5
        panels: tuple[Any, ...] = (render.evidence(None), comparison(None, None), gr.skip(), gr.skip(), gr.skip())
        reply: Reply | None = None
        is_in_front = False
        try:
            given = Connection(model or "", Secret(key or ""), address or "")
            for reply in session.ask(self.service, visitor, question, given):
                # The box is emptied once: what is typed while the answer runs stays there.
                box = gr.skip() if panels is untouched else ""
                line = render.status(reply.status, "idle" if reply.stage == "done" else "busy")
                if reply.passages is not None:
                    tab = gr.skip() if reply.plain is None or is_in_front else gr.Tabs(selected=COMPARE_TAB)
                    is_in_front = reply.plain is not None
                    panels = (*self._panels(reply, question, visitor), tab)
                yield ([*chat, *render.messages(reply)], box, line, *busy, *panels)
                panels = untouched
        except Exception as error:  # shown in words; the question goes back into its box
            kept = [*chat, *render.messages(_settled(reply))] if reply is not None and reply.answer else history
            yield (kept, query, render.status(session.sentence(error), "error"), *idle, *untouched)
            return
        if reply is not None:
            shown = (*self._panels(reply, question, visitor), gr.skip())
            yield ([*chat, *render.messages(reply)], gr.skip(), render.status(reply.status), *idle, *shown)

    def _panels(self, reply: Reply, question: Question, visitor: Visitor) -> tuple[Any, ...]:
        """Return (evidence, compare, memory, run) for an answer so far; only differences are sent to the page."""
        pipeline = self.service.pipeline(question.corpus, visitor.name)
        title = self.service.titles(visitor.name).get(question.corpus, "")
        name = text.NAMES[question.generator]
        return (
            render.evidence(reply.passages, reply.answer, reply.final.marks if reply.final is not None else ()),
            comparison(reply, question),
            self._memory(pipeline, question.corpus, title, reply.clues),
            render.run(reply.final, name, question.temperature, question.max_new_tokens),
        )

    def stopped(self, history: list[Any]) -> tuple[Any, ...]:
        """Close what a stopped answer left open; yields (chat, status, ask button, stop button)."""
        for message in history:
            if (message.get("metadata") or {}).get("status") == "pending":
                message["metadata"]["status"] = "done"
        if history and history[-1]["role"] == "assistant" and (history[-1].get("metadata") or {}).get("title"):
            history.append({"role": "assistant", "content": text.NOTHING_WRITTEN})
        return history, render.status(text.STOPPED), gr.Button(visible=True), gr.Button(visible=False)

    @staticmethod
    def cleared() -> tuple[Any, ...]:
        """Empty what belonged to the conversation; returns (status, ask and stop button, evidence, compare, run)."""
        buttons = (gr.Button(visible=True), gr.Button(visible=False))
        panels = (render.evidence(None), comparison(None, None), render.run(None, "", 0, 0))
        return (render.status(text.CLEARED), *buttons, *panels)

    @staticmethod
    def mode_info(mode: str) -> Update:
        """Say what the chosen mode does and when to take it."""
        return gr.Dropdown(info=text.MODE_INFOS[mode])

    @staticmethod
    def fields(generator: str) -> tuple[Update, Update, Update]:
        """Show the fields (model, key, address) that a generator needs."""
        remote = generator != text.LOCAL
        return (
            gr.Textbox(visible=remote, value=text.DEFAULT_MODELS.get(generator, "")),
            gr.Textbox(visible=remote),
            gr.Textbox(visible=generator in ("azure", "compatible")),
        )


def _settled(reply: Reply) -> Reply:
    """Return a broken-off reply without pending parts."""
    return Reply("done", "", reply.clues or (), reply.passages or (), reply.answer, mode=reply.mode)
