"""A memory behind an API: the gists are sent as the unchanging beginning of every conversation.

What comes before the question is the same to the last byte each time, so the prefix cache of the server (OpenAI,
DeepSeek, vLLM, llama.cpp and others have one) does what the KV memory does for a local model. Nothing is held here but
the text itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.agent import Agent
from engine.errors import ContextLengthError, InputError
from engine.events import Meter, OnProgress, Reply, Stop
from engine.prompt import Prompts, en_prompts, render
from engine.recall import Recaller

# Room that is kept in the window for a question and its answer.
_ASKING_TOKENS = 1024


class AgentMemory(Recaller):
    """A memorised text that is asked about through an Agent."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.name = agent, agent.name
        self._known: tuple[str, Prompts] = "", en_prompts

    @property
    def context(self) -> str:
        """The text that was memorised."""
        return self._known[0]

    @property
    def prompts(self) -> Prompts:
        """The templates that the text was memorised with."""
        return self._known[1]

    @property
    def is_able(self) -> bool:
        """Whether the model is large enough to write gists and clues that can be trusted to help."""
        return self.agent.is_able

    @property
    def reads_fast(self) -> bool:
        """A server does not say how likely a text is."""
        return False

    @property
    def tokens(self) -> int:
        """Number of remembered tokens, estimated; 0 before anything was memorised."""
        return self.agent.count_tokens(self.context)

    @property
    def nbytes(self) -> int:
        """Size of the text in bytes: the keys and values are the server's."""
        return len(self.context.encode("utf-8", "surrogatepass"))

    def memorize(
        self,
        context: str,
        prompts: Prompts = en_prompts,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Keep ``context``; it is sent with every question, and only then.

        Raises:
            InputError: the context is empty.
            ContextLengthError: it does not fit the model's window.
        """
        self.check_context(context, prompts)
        Meter("memorising", 1, on_progress).step(1)
        self._known = context, prompts

    def check_context(self, context: str, prompts: Prompts = en_prompts) -> None:
        """Raise what ``memorize`` would raise about ``context``."""
        if not context.strip():
            raise InputError("The text to memorise is empty; give some text.")
        count = self.agent.count_tokens(render(prompts.context, context=context))
        window = self.agent.context_length
        if count + _ASKING_TOKENS > window:
            raise ContextLengthError(
                f"The text has about {count} tokens and a question needs {_ASKING_TOKENS} more, but {self.name} reads "
                f"at most {window}; shorten the text or name a larger context_length."
            )

    def replies_w_memory(
        self, instructions: Sequence[str], max_new_tokens: int, temperature: float = 0.0, stop: Stop | None = None
    ) -> list[Reply]:
        """Put each instruction to the memory as the conversation's next turn."""
        asked = [self._conversation(instruction) for instruction in instructions]
        return self.agent.replies(asked, max_new_tokens, temperature, stop)

    def stream_w_memory(
        self, instruction: str, max_new_tokens: int = 256, temperature: float = 0.0, stop: Stop | None = None
    ) -> Iterator[str]:
        """Like ``generate_w_memory`` for one instruction, yielding pieces of text."""
        yield from self.agent.stream(self._conversation(instruction), max_new_tokens, temperature, stop)

    def _conversation(self, instruction: str) -> list[dict[str, str]]:
        asked = self._check_turn(instruction)
        context, prompts = self._known
        return [
            {"role": "user", "content": render(prompts.context, context=context)},
            {"role": "assistant", "content": prompts.acknowledge},
            {"role": "user", "content": asked},
        ]
