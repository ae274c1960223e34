"""What happens in and around conversations: opening one, judging an answer, taking a question back, asking it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from demo import feedback, memorising, messages, panels, render, session, talk, text
from demo.api import visitor_of
from demo.conversations import Conversation
from demo.page import Again
from demo.service import Service
from demo.session import TOKENS
from demo.talk import Updates
from demo.visitors import Visitors


class Chats:
    """Handlers of one running demo."""

    def __init__(self, service: Service, visitors: Visitors) -> None:
        self.service, self.visitors = service, visitors

    def _owner(self, request: gr.Request) -> str:
        return visitor_of(self.visitors, request).name

    def _known(self, conversation: str, request: gr.Request) -> Conversation:
        """Return a conversation; an empty one where it is not there any more."""
        known = self.service.conversations
        return known.get(self._owner(request), conversation) or known.begin()

    # The list

    def begin(self, request: gr.Request) -> Updates:
        """Begin a new conversation; the one before stays in the list."""
        owner = self._owner(request)
        visitor_of(self.visitors, request).answered = ""
        shown = {**talk.opened(self.service, owner, None), **talk.listed(self.service, owner)}
        return {**shown, "status": render.status(text.NEW_CONVERSATION)}

    def open(self, conversation: str, request: gr.Request) -> Updates:
        """Open a conversation from the list, with the corpus it is about."""
        owner, known = self._owner(request), self._known(conversation, request)
        if not known.exchanges:
            gone = {**talk.listed(self.service, owner), **talk.opened(self.service, owner, None)}
            return {**gone, "status": render.status(text.NO_CONVERSATION, "error")}
        shown = talk.opened(self.service, owner, known)
        if known.corpus in self.service.titles(owner):
            visitor_of(self.visitors, request).answered = known.corpus
            shown["corpus"] = gr.update(value=known.corpus)
            shown["about"] = panels.about(self.service, owner, known.corpus)
            shown["rebuild"] = gr.Button(visible=self.service.needs_rebuild(known.corpus))
            shown["resume"] = gr.Button(visible=memorising.can_resume(self.service, owner, known.corpus))
        return {**shown, "status": render.status(text.CONVERSATION_OPENED)}

    def remove(self, conversation: str, request: gr.Request) -> Updates:
        """Delete a conversation."""
        self.service.conversations.remove(self._owner(request), conversation)
        return {**self.begin(request), "status": render.status(text.CONVERSATION_DELETED)}

    # One exchange

    def show(self, conversation: str, request: gr.Request, at: gr.SelectData) -> Updates:
        """Show the panels of the answer that was clicked: evidence belongs to its own question."""
        known = self._known(conversation, request)
        index = messages.exchange_of(known, _index(at.index))
        return {} if index is None else talk.panel_updates(self.service, self._owner(request), known, index)

    def like(self, conversation: str, request: gr.Request, at: gr.LikeData) -> Updates:
        """Keep a judgement, with its answer; without any text also for whoever runs the page."""
        known = self._known(conversation, request)
        index = messages.exchange_of(known, _index(at.index))
        if index is None:
            return {}
        liked = at.liked if isinstance(at.liked, bool) else None  # a second click takes it back
        judged = replace(known.exchanges[index], liked=liked)
        corpus = judged.question.corpus if judged.question.corpus in self.service.entries else ""
        try:
            self.service.conversations.change(self._owner(request), known.id, lambda now: now.change(judged))
            feedback.note(self.service.settings.cache_dir, judged, corpus)
        except OSError as error:
            return {"status": render.status(session.sentence(error), "error")}
        return {"status": render.status(text.LIKED)}

    def undo(self, conversation: str, question: str, request: gr.Request) -> Updates:
        """Take the last question back into its box, unless something is typed there."""
        owner, known = self._owner(request), self._known(conversation, request)
        if not known.exchanges:
            return {}
        last = known.exchanges[-1]
        try:
            kept = self.service.conversations.change(owner, known.id, lambda now: now.without(last))
        except OSError as error:
            return {"status": render.status(session.sentence(error), "error")}
        return {
            **talk.opened(self.service, owner, kept),
            **talk.listed(self.service, owner, known.id),
            "question": question if question.strip() else last.question.query,
            "status": render.status(text.UNDONE),
        }

    # Asking otherwise than from the box; each is followed by the answer

    @staticmethod
    def example(picked: gr.SelectData) -> Again:
        """Ask a chosen example."""
        return Again(str(picked.value["text"]))

    def retry(self, conversation: str, request: gr.Request) -> Again:
        """Ask the last question again, in place of its answer."""
        known = self._known(conversation, request)
        if not known.exchanges:
            raise _gone()
        last = known.exchanges[-1].question
        return Again(last.query, len(known.exchanges) - 1, last.corpus)

    def edit(self, conversation: str, request: gr.Request, at: gr.EditData) -> Again:
        """Ask an edited question, in place of the one it was and of all after it."""
        known = self._known(conversation, request)
        index = messages.exchange_of(known, _index(at.index))
        if index is None:
            raise _gone()
        return Again(_words(at.value), index, known.exchanges[index].question.corpus)

    def option(
        self, conversation: str, max_new_tokens: float, request: gr.Request, picked: gr.SelectData
    ) -> tuple[Again, float]:
        """Ask what was offered next; returns it with the longest answer, which one offer doubles."""
        words = _words(picked.value)
        if words != messages.LONGER:
            return Again(words), max_new_tokens
        return self.retry(conversation, request), min(2 * max_new_tokens, TOKENS[1])


def _gone() -> gr.Error:
    """Return what is said where a conversation is not there any more, so that nothing is asked after it."""
    return gr.Error(text.NO_CONVERSATION, print_exception=False)


def _index(at: Any) -> int:  # noqa: ANN401 - whatever a caller sends
    """Return the number of a message; one that is none for what is no number."""
    return at if isinstance(at, int) and at >= 0 else 10**9


def _words(value: Any) -> str:  # noqa: ANN401 - Gradio's text, or blocks of it
    if isinstance(value, list):
        return "".join(_words(part) for part in value)
    if isinstance(value, dict):
        return _words(value.get("text", value.get("value", "")))
    return value if isinstance(value, str) else ""
