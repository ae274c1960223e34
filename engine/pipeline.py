"""The pipeline: memorise a corpus once, then recall clues, find evidence and write the answer for every question.

What was memorised is one frozen value that is replaced as a whole, so a question that runs keeps the corpus it began
with. ``MemoRAG`` and ``MemoRAGLite`` differ in who reads what (memorizers.py) and in the order of their arguments.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from typing import Self, TypedDict

from engine.ask import Settings, events
from engine.documents import Document, as_documents
from engine.errors import NotMemorizedError
from engine.events import Answer, Clue, Event, Stop, Task, Turn
from engine.evidence import EVIDENCE_TOKENS
from engine.holder import Context, Holder
from engine.memorized import Memorized
from engine.memorizer import Memorizer
from engine.request import Generator, Request, check_request
from engine.strategy import Strategy


class Options(TypedDict, total=False):
    """How a question is answered, beside the question and its corpus; defaults and order as ``MemoRAG.__call__``."""

    task_type: Task
    prompt_template: str | None
    max_new_tokens: int
    reset_each_call: bool
    use_memory_answer: bool
    temperature: float
    stop: Stop | None
    strategy: Strategy | None
    clues: Sequence[Clue] | None
    history: Sequence[Turn]


# New tokens of each clue prompt, for an able memory model and for a small one, which soon repeats itself.
CLUE_TOKENS_ABLE, CLUE_TOKENS_SMALL = 128, 48


class Pipeline(Holder):
    """Memory, retriever and generator over one corpus at a time."""

    def __init__(
        self, memorizer: Memorizer, generator: Generator | None, ret_hit: int, retrieval_chunk_size: int
    ) -> None:
        """Take models that are loaded; without a generator of its own, the memory model also writes the answers."""
        super().__init__(memorizer)
        self.generator: Generator = generator if generator is not None else memorizer.model
        self.ret_hit = ret_hit
        self.passage_tokens = min(retrieval_chunk_size, EVIDENCE_TOKENS // 2)

    def with_generator(self, generator: Generator) -> Self:
        """Return a pipeline over the same models and the same memorised corpus, whose answers ``generator`` writes."""
        twin = copy.copy(self)
        twin.generator, twin._changing = generator, threading.RLock()
        return twin

    def _ask(
        self,
        query: str | None,
        context: Context | None,
        task_type: str = "memorag",
        prompt_template: str | None = None,
        max_new_tokens: int = 256,
        reset_each_call: bool = False,
        use_memory_answer: bool = False,
        temperature: float = 0.0,
        stop: Stop | None = None,
        strategy: Strategy | None = None,
        clues: Sequence[Clue] | None = None,
        history: Sequence[Turn] = (),
    ) -> Iterator[Event]:
        """Check everything, then return the stream of events. See ``MemoRAG.stream``."""
        shaped_by = (prompt_template, max_new_tokens, temperature, use_memory_answer, stop, strategy, clues, history)
        request = check_request(self.generator, query, task_type, *shaped_by)
        about = self._memorized() if context is None else as_documents(context)
        return self._run(request, about, reset_each_call)

    def _run(self, request: Request, about: Memorized | tuple[Document, ...], reset_each_call: bool) -> Iterator[Event]:
        held = about if isinstance(about, Memorized) else self._holding(about, request.stop)
        if request.task == "qa" and "memory" in held.missing:
            raise NotMemorizedError(
                "The memory of this corpus is still being made, and the task qa answers from it alone; take another "
                "task, such as memorag, or wait."
            )
        clue_tokens = CLUE_TOKENS_ABLE if held.memory.is_able else CLUE_TOKENS_SMALL
        settings = Settings(clue_tokens, self.ret_hit, self.passage_tokens)
        try:
            held.check()
            for event in events(request, held, self.generator, settings):
                held.check()  # nothing is handed out of a memory that meanwhile proved to be damaged
                yield event
        finally:
            if reset_each_call and self._held is held:
                self._held = None


def text_of(stream: Iterator[Event]) -> str:
    """Run a stream of events to its end and return the answer's text."""
    for event in stream:
        if isinstance(event, Answer):
            return event.text
    raise AssertionError("a stream ends with an Answer")
