"""What happens when a visitor asks: handlers that turn what the demo yields into component updates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo import panels, render, session, text
from demo.api import visitor_of
from demo.compare import comparison
from demo.generators import Connection
from demo.service import Service
from demo.session import Question, Reply
from demo.visitors import Visitor, Visitors
from engine.events import Task
from engine.settings import Secret

Update = Any  # a component's update, or nothing to change
COMPARE_TAB = "compare"


class Page:
    """Handlers of one running demo."""

    def __init__(self, service: Service, visitors: Visitors) -> None:
        self.service, self.visitors = service, visitors

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
        visitor = visitor_of(self.visitors, request)
        question = Question(query, corpus or "", generator, temperature, int(max_new_tokens), mode, compare)
        chat = [*render.without_links(history), {"role": "user", "content": render.plain(query or "")}]
        busy = (gr.Button(visible=False), gr.Button(visible=True))
        idle = (gr.Button(visible=True), gr.Button(visible=False))
        untouched = (gr.skip(),) * 5
        shown: tuple[Any, ...] = (render.evidence(None), comparison(None, None), gr.skip(), gr.skip(), gr.skip())
        reply: Reply | None = None
        is_in_front = False
        visitor.answers += 1
        try:
            given = Connection(model or "", Secret(key or ""), address or "")
            for reply in session.ask(self.service, visitor, question, given):
                # The box is emptied once: what is typed while the answer runs stays there.
                box = gr.skip() if shown is untouched else ""
                line = render.status(reply.status, "idle" if reply.stage == "done" else "busy")
                if reply.passages is not None:
                    tab = gr.skip() if reply.plain is None or is_in_front else gr.Tabs(selected=COMPARE_TAB)
                    is_in_front = reply.plain is not None
                    shown = (*self._panels(reply, question, visitor), tab)
                yield ([*chat, *render.messages(reply)], box, line, *busy, *shown)
                shown = untouched
        except Exception as error:  # shown in words; the question goes back into its box
            kept = [*chat, *render.messages(_settled(reply))] if reply is not None and reply.answer else history
            yield (kept, query, render.status(session.sentence(error), "error"), *idle, *untouched)
            return
        finally:
            visitor.answers -= 1
        if reply is not None:
            shown = (*self._panels(reply, question, visitor), gr.skip())
            yield ([*chat, *render.messages(reply)], gr.skip(), render.status(reply.status), *idle, *shown)

    def _panels(self, reply: Reply, question: Question, visitor: Visitor) -> tuple[Any, ...]:
        """Return (evidence, compare, memory, run) for an answer so far; only differences are sent to the page."""
        name = text.NAMES[question.generator]
        return (
            render.evidence(reply.passages, reply.answer, reply.final.marks if reply.final is not None else ()),
            comparison(reply, question),
            panels.memory(self.service, visitor.name, question.corpus, reply.clues),
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
        empty = (render.evidence(None), comparison(None, None), render.run(None, "", 0, 0))
        return (render.status(text.CLEARED), *buttons, *empty)

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
