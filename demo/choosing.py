"""Choosing a corpus on the page: the selector, what is said about the chosen one, opening it and making it again.

Handlers return what changes, by the names that ``ui.py`` gives to its components.
"""

from __future__ import annotations

import time
from typing import Any

import gradio as gr

from demo import memorising, panels, render, session, talk, text
from demo.api import visitor_of
from demo.service import Service
from demo.talk import Updates
from demo.visitors import Visitor, Visitors
from engine.errors import MemoRAGError

# Seconds to wait for a corpus that was built before, and between two looks at it.
_MOMENT, _LOOK = 0.8, 0.02
_MOST_EXAMPLES = 6


class Choosing:
    """Handlers of one running demo."""

    def __init__(self, service: Service, visitors: Visitors) -> None:
        self.service, self.visitors = service, visitors

    def _visitor(self, request: gr.Request) -> Visitor:
        return visitor_of(self.visitors, request)

    def choose(self, corpus: str, request: gr.Request) -> Updates:
        """Switch to a corpus: its examples, memory and status."""
        visitor = self._visitor(request)
        if corpus and corpus == visitor.answered:
            return {}  # the selector was only looked into: what is said of an answer stays
        visitor.answered = ""
        line, visitor.was_busy = self.line(corpus, visitor)
        if visitor.was_busy and self._comes_soon(corpus):
            line, visitor.was_busy = self.line(corpus, visitor)
        return {
            "chat": gr.update(examples=examples(self.service, visitor.name, corpus)),
            "status": line,
            "about": panels.about(self.service, visitor.name, corpus),
            "memory": self.memory(corpus, visitor),
            "resume": self.resume(corpus, visitor),
            "rebuild": self.rebuilding(corpus),
            "timer": gr.Timer(active=True),
        }

    def _comes_soon(self, corpus: str) -> bool:
        """Wait a moment for a corpus that is being opened: where it was built before, it takes no longer."""
        ends = time.monotonic() + _MOMENT
        while (job := self.service.opening(corpus)) is not None and time.monotonic() < ends:
            if self.service.is_open(corpus) or job.wait(_LOOK):
                return True
        return False

    def look_around(self, corpus: str, request: gr.Request) -> Updates:
        """Show what came into the catalogue, or went, or changed, while the page is open."""
        visitor = self._visitor(request)
        labels, versions = self.service.labels(visitor.name), self.service.versions
        if (labels, versions) == (visitor.labels, visitor.versions) or visitor.answers:
            return {}
        # Whoever looks at a corpus that is gone is shown the first that is there.
        shown = corpus if corpus in labels else next(iter(labels), "")
        before = (visitor.labels.get(shown), visitor.versions.get(shown))
        is_changed = before != (labels.get(shown), versions.get(shown)) and not visitor.was_busy
        changed = {"corpus": self.selector(visitor, shown), "name": self.names()}
        if shown == corpus and not is_changed:
            return changed
        visitor.answered = ""
        return talk.merged(changed, self.choose(shown, request))

    def rebuild(self, corpus: str, request: gr.Request) -> Updates:
        """Make a ready-made corpus again."""
        visitor = self._visitor(request)
        try:
            self.service.rebuild(corpus)
        except MemoRAGError as error:
            return {"status": render.status(session.sentence(error), "error")}
        visitor.answered = ""
        line, visitor.was_busy = self.line(corpus, visitor)
        return {"status": line, "rebuild": self.rebuilding(corpus), "timer": gr.Timer(active=True)}

    def line(self, corpus: str, visitor: Visitor) -> tuple[str, bool]:
        """Return the status line of a corpus and whether it is still being opened."""
        service = self.service
        titles = service.titles(visitor.name)
        if service.models.failure is not None:
            return render.status(text.translated(str(service.models.failure)), "error"), False
        if corpus not in titles:
            return render.status(text.CHOOSE), False
        job = service.opening(corpus)
        if service.is_open(corpus):
            said = memorising.open_line(service, visitor.name, corpus, job)
            return render.status(said, "idle" if job is None else "busy"), job is not None
        if not service.models.is_loaded:
            return render.status(text.LOADING, "busy"), True
        if job is None and (state := service.condition(corpus).state) in ("stale", "damaged"):
            if (error := service.rebuild_failure(corpus)) is not None:
                return render.status(session.sentence(error), "error"), False
            line = text.STALE if state == "stale" else text.DAMAGED
            return render.status(line.format(title=titles[corpus]), "error"), False
        at = (job or service.open(corpus, visitor.name)).snapshot()
        if at.error is not None:
            return render.status(session.sentence(at.error), "error"), False
        said = text.REBUILDING if service.is_rebuilding(corpus) else text.OPENING
        return render.status(said.format(title=titles[corpus], stage=memorising.stage_of(at, service)), "busy"), True

    def memory(self, corpus: str, visitor: Visitor) -> Any:  # noqa: ANN401 - HTML or an empty update
        """Return the panel of a corpus's memory, where there is anything to tell."""
        is_known = corpus in self.service.titles(visitor.name) and self.service.is_open(corpus)
        return panels.memory(self.service, visitor.name, corpus) if is_known else gr.skip()

    def selector(self, visitor: Visitor, chosen: str) -> Any:  # noqa: ANN401 - an update
        """Return the selector with all that this visitor may choose."""
        visitor.labels, visitor.versions = self.service.labels(visitor.name), self.service.versions
        return gr.Dropdown(choices=[(shown, corpus) for corpus, shown in visitor.labels.items()], value=chosen or None)

    def names(self, **more: Any) -> Any:  # noqa: ANN401 - an update
        """Return the names that one's own files can be given: those of ready-made corpora, or any other."""
        known = [(entry.short_title, slug) for slug, entry in self.service.entries.items()]
        return gr.Dropdown(choices=known, **more)

    def rebuilding(self, corpus: str) -> Any:  # noqa: ANN401 - an update
        """Return the button that makes a corpus again, where that is needed."""
        is_wanted = self.service.models.is_loaded and self.service.needs_rebuild(corpus)
        return gr.Button(visible=is_wanted and self.service.opening(corpus) is None)

    def resume(self, corpus: str, visitor: Visitor) -> Any:  # noqa: ANN401 - an update
        """Return the button that goes on with a visitor's corpus, where something is left to do."""
        return gr.Button(visible=memorising.can_resume(self.service, visitor.name, corpus))


def examples(service: Service, visitor: str, corpus: str) -> Any:  # noqa: ANN401 - Gradio's example messages
    """Return the questions to offer for a corpus: its own, or for a visitor's those that fit every text."""
    entry = service.entry_of(corpus, visitor)
    questions = entry.examples if entry is not None else ()
    questions = questions or (text.OWN_QUESTIONS if corpus else ())
    return [{"text": question} for question in questions[:_MOST_EXAMPLES]]
