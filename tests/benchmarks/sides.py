"""The two sides of the comparison behind the same methods: memorise, ask, save, reload. Each returns its figures."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine import MemoRAGLite, ask
from engine.chunking import split
from engine.decoding import Decoder
from engine.documents import Document
from engine.events import Token
from engine.gist import GIST_TOKENS, STRETCH_TOKENS
from engine.hardware import detect
from engine.memorized import Memorized
from engine.memorizers import GistMemorizer
from engine.prompt import render
from engine.request import check_request
from tests.benchmarks.published import Limits, Published
from tests.benchmarks.roofline import roofline, timed
from tests.benchmarks.speed import cut
from tests.benchmarks.texts import copies_for, repeated

Figures = dict[str, float]
PUBLISHED = "published"


@dataclass(frozen=True)
class SameLimits(GistMemorizer):
    """Ours with gists of any budget, so that written gists have the limit of the published ones."""

    most: int

    @property
    def budget(self) -> int:
        return self.most


@dataclass(frozen=True)
class Counting(Decoder):
    """A decoder that counts the tokens it writes."""

    written: list[int] = field(default_factory=list)

    def steps(self, *given: Any, **named: Any) -> Iterator[list[int | None]]:
        for step in super().steps(*given, **named):
            self.written.append(sum(token is not None for token in step))
            yield step

    def count(self) -> int:
        """Return how many tokens were written since this was asked last."""
        found = sum(self.written)
        self.written.clear()
        return found


class Ours:
    """This engine, as the app uses it, with gists of one kind."""

    def __init__(self, kind: str, limits: Limits) -> None:
        self.limits = limits
        self.pipeline = MemoRAGLite(
            ret_hit=limits.hits, retrieval_chunk_size=limits.passage, gist_mode=kind, hardware=detect("cpu")
        )
        model = self.pipeline.model
        counting = Counting(**vars(model.decoder))
        # Who writes answers cannot end; gists and clues, which the memory's model writes, end by themselves.
        self.endless = copy.copy(model)
        self.endless.decoder = replace(counting, end_ids=frozenset(), written=[])
        model.decoder = self.decoder = replace(counting, end_ids=frozenset()) if limits.exact else counting

    def cut(self, text: str, tokens: int) -> str:
        return cut(self.pipeline, text, tokens)

    def fill(self, text: str, tokens: int) -> tuple[str, int]:
        """A text of this many tokens, from as many copies as that takes; and how many."""
        copies = copies_for(tokens, len(self.pipeline.model.token_spans([text])[0]))
        return self.cut(repeated(text, copies), tokens), copies

    def distinct(self) -> Figures:
        """The number of passages, and the share of them that are not like one before."""
        held = self.pipeline.memorized
        passages = [chunk.of(held.documents) for chunk in held.chunks]
        return {"passages": len(passages), "distinct_passages": len(set(passages)) / len(passages)}

    def memorise(self, text: str) -> Figures:
        made = self.pipeline.memorizer
        if made.gists == "abstractive":
            parts = len(split([Document("text", text)], STRETCH_TOKENS, made.model.token_spans, across_marks=True))
            # Gists of that limit each, and a token between two. Tokens that are forced give a text of more tokens, of
            # which no gists of gists shall be made.
            most = parts * (self.limits.gist + 1) * (2 if self.limits.gist == GIST_TOKENS else 1) - 1
            self.pipeline.memorizer = SameLimits(made.model, made.encoder, made.chunk_size, made.gists, most)
        self.decoder.count()
        seconds, _ = timed(lambda: self.pipeline.memorize(text))
        return {"memorise": seconds, "written_for_gists": self.decoder.count()}

    def ask(self, question: str) -> Figures:
        first, total = self.seconds(question, self.pipeline.memorized)
        written = {"written_for_clues": self.decoder.count(), "written_for_answer": self.endless.decoder.count()}
        return {"first_token": first, "total": total, **written}

    def seconds(self, question: str, held: Memorized) -> tuple[float, float]:
        """Answer a question over what is held; the seconds to the first token, and to the last."""
        answer = self.limits.answer
        request = check_request(self.endless, question, "memorag", None, answer, 0.0, False, None)
        began, first = time.perf_counter(), 0.0
        settings = ask.Settings(self.limits.clue, self.limits.hits, self.limits.passage)
        for event in ask.events(request, held, self.endless, settings):
            if isinstance(event, Token) and not first:
                first = time.perf_counter() - began
        return first, time.perf_counter() - began

    def save(self, folder: Path) -> Figures:
        self.pipeline.save(folder)
        memory = self.pipeline.memorized.memory
        return sizes(memory.nbytes, memory.tokens, folder)

    def reload(self, folder: Path, question: str) -> Figures:
        def first_clue() -> None:
            other = self.pipeline.fork()
            other.load(folder)
            memory = other.memorized.memory
            memory.replies_w_memory([render(memory.prompts.span, question=question)], 1)

        return {"first_clue": timed(first_clue)[0]}

    def roofline(self, text: str, runs: int) -> Figures:
        return roofline(self.pipeline.model, self.endless.decoder, text, runs)


class Reference:
    """The published algorithm behind the same methods."""

    def __init__(self, limits: Limits) -> None:
        hardware = detect("cpu")
        self.side = Published(limits=limits, dtype=hardware.torch_dtype)

    def memorise(self, text: str) -> Figures:
        seconds, _ = timed(lambda: self.side.memorise(text))
        return {"memorise": seconds, "written_for_gists": self.side.gist_tokens}

    def ask(self, question: str) -> Figures:
        asked = self.side.ask(question, exactly=self.side.limits.answer)
        written = {"written_for_clues": asked.clue_tokens, "written_for_answer": asked.answer_tokens}
        return {"first_token": asked.first_token, "total": asked.total, **written, "prompt_tokens": asked.prompt_tokens}

    def save(self, folder: Path) -> Figures:
        self.side.save(folder)
        return sizes(self.side.nbytes, self.side.tokens, folder)

    def reload(self, folder: Path, question: str) -> Figures:
        return {"first_clue": timed(lambda: (self.side.load(folder), self.side.recall(question, 1)))[0]}


def side(label: str, limits: Limits) -> Ours | Reference:
    """The published algorithm, or ours with gists of the kind that the label says."""
    return Reference(limits) if label == PUBLISHED else Ours(label, limits)


def sizes(nbytes: int, tokens: int, folder: Path) -> Figures:
    disk = (folder / "memory.bin").stat().st_size
    return {"memory_ram": nbytes / tokens, "memory_disk": disk / tokens, "remembered_tokens": tokens}
