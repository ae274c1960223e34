"""What the memory model reads of a corpus: ``RawMemorizer`` lets it read the text, ``GistMemorizer`` gists of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.agent import Agent
from engine.documents import Document
from engine.events import OnProgress, Stop
from engine.gist import Gist, GistKind, GistMaker, join
from engine.memorizer import Memorizer
from engine.prompt import Prompts

# Gist tokens the memory holds: more costs reading time once and a little at every question.
_GIST_BUDGET_SMALL, _GIST_BUDGET_ABLE = 2048, 8192
# Tokens of the window kept free for the conversation around the gists, a question and its clues.
_RESERVE = 1280
# Gist tokens that any document that is added, and any window, is given at least.
_LEAST_BUDGET = 64
# Gists asked for at once: of a local model, and of a server.
_BATCH_LOCAL, _BATCH_SERVER = 4, 16


class RawMemorizer(Memorizer):
    """The memory model reads the text itself, as far as its window reaches."""

    kind = "memorag"

    def remembers(self, tokens: int) -> int:
        """Return how many tokens the memory of a text of so many tokens has."""
        return min(tokens, self.model.context_length)

    def _check(self, documents: Sequence[Document], prompts: Prompts) -> None:
        self._empty_memory().check_context(self._memory_text(documents, ()), prompts)

    def _gists(self, *_: object) -> Sequence[Gist]:
        return ()

    def _within_budget(self, gists: Sequence[Gist], *_: object) -> Sequence[Gist]:
        return gists

    def _memory_text(self, documents: Sequence[Document], gists: Sequence[Gist]) -> str:
        return "\n\n".join(document.text for document in documents)


@dataclass(frozen=True)
class GistMemorizer(Memorizer):
    """The memory model reads gists, so any length fits. ``gists`` says who makes them."""

    gists: GistKind

    kind = "memorag-lite"

    @property
    def budget(self) -> int:
        """Tokens that all gists together may have."""
        wanted = _GIST_BUDGET_ABLE if self.model.is_able else _GIST_BUDGET_SMALL
        return max(_LEAST_BUDGET, min(wanted, self.model.context_length - _RESERVE))

    def remembers(self, tokens: int) -> int:
        """Return how many tokens the memory of a text of so many tokens has."""
        return min(tokens, self.budget)

    @property
    def recipe(self) -> str:
        """All that a bundle depends on beside the text."""
        return f"{super().recipe} {self.gists} {self.budget}"

    def _check(self, *_: object) -> None:
        """Nothing is too long to have gists."""

    def _maker(self, prompts: Prompts, stop: Stop | None) -> GistMaker:
        batch = _BATCH_SERVER if isinstance(self.model, Agent) else _BATCH_LOCAL
        return GistMaker(self.gists, self.model, lambda texts: self.encoder.encode(texts, stop=stop), prompts, batch)

    def _gists(
        self,
        fresh: Sequence[Document],
        share: float,
        prompts: Prompts,
        on_progress: OnProgress | None,
        stop: Stop | None,
    ) -> Sequence[Gist]:
        budget = max(_LEAST_BUDGET, int(self.budget * share))
        return self._maker(prompts, stop).make(fresh, budget, on_progress, stop) if fresh else ()

    def _within_budget(
        self, gists: Sequence[Gist], prompts: Prompts, on_progress: OnProgress | None, stop: Stop | None
    ) -> Sequence[Gist]:
        return self._maker(prompts, stop).condense(gists, self.budget, on_progress, stop)

    def _memory_text(self, documents: Sequence[Document], gists: Sequence[Gist]) -> str:
        return join(gists)
