"""One question over a memorised corpus: clues, evidence, then the answer, as a stream of events.

The same evidence budget holds for every task, so that they compare fairly. Clues only help to find passages: they are
never put into the generator's prompt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.citation import Citer
from engine.conversation import standalone
from engine.errors import ContextLengthError
from engine.events import Answer, Clue, ClueKind, Clues, Event, Evidence, Mark, Source, Token, Understood
from engine.grounding import Ground, ground
from engine.memorized import Memorized
from engine.prompt import render
from engine.request import Generator, Request
from engine.strategy import Strategy, strategy_for

# Passages that stand for a text without gists whose memory lists no points.
_SAMPLES = 8


@dataclass(frozen=True)
class Settings:
    """New tokens of each clue prompt, chunks that a clue may raise, and tokens of a passage."""

    clue_tokens: int
    ret_hit: int
    passage_tokens: int


def events(request: Request, held: Memorized, generator: Generator, settings: Settings) -> Iterator[Event]:
    """Yield Understood, Clues, Evidence, Token... and Answer for one question; raise as ``MemoRAG.stream`` says."""
    began = time.perf_counter()
    question = _understood(request, held, generator)
    understood = time.perf_counter()
    if question != request.query:
        request = replace(request, query=question)
        yield Understood(question, understood - began)
    strategy = request.strategy or strategy_for(request.task, held.memory.reads_fast)
    clues = _clues(request, held, strategy, settings.clue_tokens)
    recalled = time.perf_counter()
    yield Clues(clues, recalled - understood)
    rests_on = ground(request, held, generator, clues, strategy, settings.ret_hit, settings.passage_tokens)
    found = time.perf_counter()
    yield Evidence(rests_on.passages, found - recalled)
    text, first = "", found
    citer = Citer(rests_on.passages, request.query, held.language, held.prompts.not_found, rests_on.sentences)
    for piece in _write(request, held, generator, rests_on, citer):
        if not text:
            first = time.perf_counter()
        text += piece
        yield Token(piece)
    count = generator.count_tokens(citer.fed) if citer.fed else 0
    if rests_on.nearest is not None and not citer.used:
        # Nothing supports the answer: let the text speak for itself.
        number, sentence = rests_on.nearest
        quotation = citer.quote(render(held.prompts.nearest, sentence=sentence), number, sentence)
        text += quotation
        yield Token(quotation)
    done = time.perf_counter()
    timings = {
        "rewriting": understood - began,
        "clues": recalled - understood,
        "retrieval": found - recalled,
        "first_token": first - began,
        "total": done - began,
    }
    marks = tuple(_on_page(mark, held, rests_on) for mark in citer.marks)
    is_cut = count >= request.max_new_tokens - 1
    yield Answer(text, rests_on.passages, clues, timings, count, is_cut, marks)


def _understood(request: Request, held: Memorized, generator: Generator) -> str:
    """Return the question in words that stand alone."""

    def is_known(name: str) -> bool:
        is_likely = all(held.lexical.frequencies(name).values())
        return is_likely and any(name in document.text for document in held.documents)

    # The task "qa" asks the memory alone: it needs no service to be there.
    writer = generator if request.task != "qa" else None
    return standalone(request.query, request.history, writer, held.language, request.stop, is_known)


def _on_page(mark: Mark, held: Memorized, rests_on: Ground) -> Mark:
    """Return a mark whose sources know the page on which their sentence begins; a passage may go over two."""
    documents = {document.name: document for document in held.documents}
    passages = {passage.number: passage for passage in rests_on.passages}

    def page(source: Source) -> int | None:
        passage = passages[source.passage]
        return documents[passage.document].locate(passage.start + source.start)[0] if source.end else passage.page

    return replace(mark, sources=tuple(replace(source, page=page(source)) for source in mark.sources))


def _clues(request: Request, held: Memorized, strategy: Strategy, tokens: int) -> tuple[Clue, ...]:
    if request.clues is not None:
        return request.clues
    if request.task == "summarize":
        # A small model's key points say little: "The text is written in a clear manner."
        can_list = held.memory.is_able and "memory" not in held.missing
        points = held.memory.key_points(2 * tokens, request.stop) if can_list else ()
        return points or _samples(held)
    kinds: set[ClueKind] = set(strategy.clues)
    if request.use_memory_answer and request.task == "memorag":
        kinds.add("draft")
    if not kinds or "memory" in held.missing:
        return ()
    try:
        return held.memory.clues(request.query, tokens, kinds, request.stop)
    except ContextLengthError:
        # A question too long to be put to the memory still finds evidence by itself.
        return ()


def _samples(held: Memorized) -> tuple[Clue, ...]:
    """Return what stands for a text whose memory lists nothing: its gists, or passages spread evenly over it."""
    stride = max(1, -(-len(held.chunks) // _SAMPLES))
    texts = [gist.text for gist in held.gists] or held.texts[::stride]
    return tuple(Clue("point", text.strip()[:300]) for text in texts if text.strip())


def _write(request: Request, held: Memorized, generator: Generator, rests_on: Ground, citer: Citer) -> Iterator[str]:
    """Yield the answer as ``citer`` lets it pass, with true citations only."""
    prompts, limit, warmth, stop = held.prompts, request.max_new_tokens, request.temperature, request.stop
    if request.task == "qa":
        pieces = held.memory.stream_w_memory(render(prompts.qa, question=request.query), limit, warmth, stop=stop)
    elif rests_on.prompt:
        pieces = generator.stream(rests_on.prompt, limit, warmth, stop=stop)
    else:
        pieces = iter([prompts.not_found])
    for piece in pieces:
        if shown := citer.feed(piece):
            yield shown
    if rest := citer.finish():
        yield rest
