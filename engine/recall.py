"""What can be asked of a memory, whoever holds it: a local model's keys and values, or a server that was sent gists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import cast

from engine.clues import clean_clues
from engine.errors import InputError, NotMemorizedError
from engine.events import Clue, ClueKind, OnProgress, Reply, Stop
from engine.prompt import Prompts, render


class Recaller(ABC):
    """A text that was memorised, and the ways to ask about it. Asking never changes it."""

    name: str

    @property
    @abstractmethod
    def prompts(self) -> Prompts:
        """The templates that the text was memorised with."""

    @property
    @abstractmethod
    def is_able(self) -> bool:
        """Whether the model is large enough to write gists and clues that can be trusted to help."""

    @property
    @abstractmethod
    def reads_fast(self) -> bool:
        """Whether it reads two thousand tokens in about a second, to judge passages by how likely a question is."""

    @property
    @abstractmethod
    def tokens(self) -> int:
        """Number of remembered tokens; 0 before anything was memorised."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Size of what is held, in bytes."""

    @abstractmethod
    def memorize(
        self, context: str, prompts: Prompts, on_progress: OnProgress | None = None, stop: Stop | None = None
    ) -> None:
        """Take in ``context``, in place of what was memorised before."""

    @abstractmethod
    def replies_w_memory(
        self, instructions: Sequence[str], max_new_tokens: int, temperature: float = 0.0, stop: Stop | None = None
    ) -> list[Reply]:
        """Put each instruction to the memory as the conversation's next turn."""

    @abstractmethod
    def stream_w_memory(
        self, instruction: str, max_new_tokens: int = 256, temperature: float = 0.0, stop: Stop | None = None
    ) -> Iterator[str]:
        """Like ``generate_w_memory`` for one instruction, yielding pieces of text."""

    @property
    def is_memorized(self) -> bool:
        """Whether there is anything to ask about."""
        return self.tokens > 0

    def generate_w_memory(
        self,
        instructions: str | Sequence[str],
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        stop: Stop | None = None,
    ) -> list[str]:
        """Put each instruction to the memory as the conversation's next turn; return what it says to each.

        Raises:
            NotMemorizedError: nothing has been memorised.
            InputError: an empty instruction or an impossible setting.
            ContextLengthError: memory, instruction and answer do not fit the model's window.
            Cancelled: ``stop`` was set.
        """
        wanted = [instructions] if isinstance(instructions, str) else instructions
        return [reply.text for reply in self.replies_w_memory(wanted, max_new_tokens, temperature, stop)]

    def recall(self, question: str, max_new_tokens: int = 128) -> str:
        """Recall facts that help to answer ``question``, one on each line."""
        return self.generate_w_memory(render(self.prompts.span, question=question), max_new_tokens)[0]

    def rewrite(self, question: str, max_new_tokens: int = 128) -> str:
        """Rewrite ``question`` into simpler surrogate questions, one on each line."""
        return self.generate_w_memory(render(self.prompts.sur, question=question), max_new_tokens)[0]

    def answer(self, question: str, max_new_tokens: int = 256, temperature: float = 0.0) -> str:
        """Answer ``question`` from the memory alone."""
        return self.generate_w_memory(render(self.prompts.qa, question=question), max_new_tokens, temperature)[0]

    def summarize(self, max_new_tokens: int = 256) -> str:
        """List the key points of the memorised text, one on each line."""
        return self.generate_w_memory(self.prompts.sum, max_new_tokens)[0]

    def clues(
        self,
        question: str,
        max_new_tokens: int = 128,
        kinds: Collection[ClueKind] = ("span", "surrogate"),
        stop: Stop | None = None,
    ) -> tuple[Clue, ...]:
        """Recall clues of some kinds for ``question`` together, cleaned and without repetitions.

        A "span" is a fact, a "surrogate" a simpler question; the "draft" is the memory's own answer, whole.
        """
        templates = {"span": self.prompts.span, "surrogate": self.prompts.sur, "draft": self.prompts.qa}
        asked = [kind for kind in templates if kind in kinds]
        replies = self.replies_w_memory(
            [render(templates[kind], question=question) for kind in asked], max_new_tokens, stop=stop
        )
        pairs = list(zip(cast(list[ClueKind], asked), replies, strict=True))
        draft = tuple(Clue(kind, reply.text) for kind, reply in pairs if kind == "draft" and reply.text)
        return clean_clues([pair for pair in pairs if pair[0] != "draft"], question, self.prompts) + draft

    def key_points(self, max_new_tokens: int = 256, stop: Stop | None = None) -> tuple[Clue, ...]:
        """List the text's key points as clues, for finding the passages a summary needs."""
        replies = self.replies_w_memory([self.prompts.sum], max_new_tokens, stop=stop)
        return clean_clues([("point", replies[0])], "", self.prompts)

    def _check_turn(self, instruction: str) -> str:
        """Return the instruction to send; refuse what cannot be asked."""
        if not self.is_memorized:
            raise NotMemorizedError("Nothing has been memorised yet: call memorize first.")
        if not instruction.strip():
            raise InputError("The instruction is empty; give some text.")
        return instruction.strip()
