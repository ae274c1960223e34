"""One question over a memorised corpus: clues, evidence, then the answer, as a stream of events.

The same evidence budget holds for every task, so that they compare fairly. Clues only help to find passages: they are
never put into the generator's prompt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, get_args

from engine.bundle import Memorized
from engine.chunking import compact
from engine.citation import Citer
from engine.documents import encodable
from engine.errors import ContextLengthError, InputError
from engine.events import Answer, Clue, Clues, Event, Evidence, Passage, Stop, Task, Token
from engine.focus import focus
from engine.prompt import fields_of, render
from engine.retrieval import CLUE_WEIGHT, CLUE_WEIGHT_SMALL, Hit, find, within_budget

# Encoder tokens of evidence handed to the generator, the same for every task, so that tasks compare fairly.
EVIDENCE_TOKENS = 1280
# Tokens that a chat template may put around a prompt.
_TEMPLATE_TOKENS = 64
# Sentences of evidence that a small generator reads, for an answer and for a summary.
_FOCUS_ANSWER, _FOCUS_SUMMARY = 5, 12
# Passages that stand for a text without gists whose memory lists no points.
_SAMPLES = 8


class Generator(Protocol):
    """Who writes answers: a local Model, an Agent, or anything that behaves like them."""

    name: str
    context_length: int

    @property
    def is_able(self) -> bool:
        """Whether it makes good use of a thousand tokens of evidence; others get the nearest sentences only."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of ``text``."""

    def stream(
        self, prompt: str, max_new_tokens: int = ..., temperature: float = ..., *, stop: Stop | None = ...
    ) -> Iterator[str]:
        """Yield the answer in pieces."""


@dataclass(frozen=True)
class Request:
    """One question with everything that shapes its answer, checked by ``check_request``."""

    query: str
    task: Task
    template: str | None
    max_new_tokens: int
    temperature: float
    use_memory_answer: bool
    stop: Stop | None


@dataclass(frozen=True)
class Ground:
    """What an answer rests on. ``nearest`` is the (passage number, sentence) nearest to the question, where known."""

    passages: tuple[Passage, ...] = ()
    prompt: str = ""
    nearest: tuple[int, str] | None = None


def check_request(
    generator: Generator,
    query: str | None,
    task: str,
    template: str | None,
    max_new_tokens: int,
    temperature: float,
    use_memory_answer: bool,
    stop: Stop | None,
) -> Request:
    """Check everything that shapes an answer before any work; raise InputError in one sentence."""
    if task not in get_args(Task):
        raise InputError(f"The task type is {task!r}; accepted are {', '.join(get_args(Task))}.")
    if not isinstance(query, str | None):
        raise InputError(f"The question is of the type {type(query).__name__}; give a text.")
    question = encodable(query or "").strip()
    if not question and task != "summarize":
        raise InputError("The question is empty; write a question.")
    if not isinstance(max_new_tokens, int) or not 1 <= max_new_tokens <= generator.context_length // 2:
        most = generator.context_length // 2
        raise InputError(f"max_new_tokens is {max_new_tokens}; {generator.name} takes 1 to {most}.")
    if not isinstance(temperature, int | float) or not 0.0 <= temperature <= 2.0:
        raise InputError(f"The temperature is {temperature}; give 0 (most certain) to 2 (most varied).")
    if template is not None and not template.strip():
        raise InputError("The prompt template is empty; leave it out, or use {evidence} and {question}.")
    if template is not None and (unknown := fields_of(template) - {"evidence", "question", "not_found"}):
        raise InputError(f"The prompt template uses {{{unknown.pop()}}}; it may use {{evidence}} and {{question}}.")
    template = encodable(template) if template is not None else None
    return Request(question, cast(Task, task), template, max_new_tokens, temperature, use_memory_answer, stop)


def events(request: Request, held: Memorized, generator: Generator, clue_tokens: int, ret_hit: int) -> Iterator[Event]:
    """Yield Clues, Evidence, Token... and Answer for one question; raise as ``MemoRAG.stream`` says."""
    began = time.perf_counter()
    clues = _clues(request, held, clue_tokens)
    recalled = time.perf_counter()
    yield Clues(clues, recalled - began)
    ground = Ground() if request.task == "qa" else _ground(request, held, clues, generator, ret_hit)
    found = time.perf_counter()
    yield Evidence(ground.passages, found - recalled)
    text, first = "", found
    citer = Citer(ground.passages, request.query)
    for piece in _write(request, held, generator, ground, citer):
        if not text:
            first = time.perf_counter()
        text += piece
        yield Token(piece)
    count = generator.count_tokens(citer.fed) if citer.fed else 0
    if ground.nearest is not None and not citer.used:
        # Nothing supports the answer: let the text speak for itself.
        number, sentence = ground.nearest
        quotation = f"\n\n{render(held.memory.prompts.nearest, sentence=sentence)} [{number}]"
        text += quotation
        yield Token(quotation)
    done = time.perf_counter()
    timings = {
        "clues": recalled - began,
        "retrieval": found - recalled,
        "first_token": first - began,
        "total": done - began,
    }
    yield Answer(text, ground.passages, clues, timings, count, truncated=count >= request.max_new_tokens - 1)


def _clues(request: Request, held: Memorized, clue_tokens: int) -> tuple[Clue, ...]:
    if request.task == "summarize":
        return held.memory.key_points(2 * clue_tokens, request.stop) or _samples(held)
    if request.task != "memorag":
        return ()
    try:
        return held.memory.clues(request.query, clue_tokens, request.use_memory_answer, request.stop)
    except ContextLengthError:
        # A question too long to be put to the memory still finds evidence by itself.
        return ()


def _samples(held: Memorized) -> tuple[Clue, ...]:
    """Return what stands for a text whose memory lists nothing: its gists, or passages spread evenly over it."""
    stride = max(1, -(-len(held.chunks) // _SAMPLES))
    texts = [gist.text for gist in held.gists] or [chunk.of(held.documents) for chunk in held.chunks[::stride]]
    return tuple(Clue("point", text.strip()[:300]) for text in texts if text.strip())


def _ground(request: Request, held: Memorized, clues: Sequence[Clue], generator: Generator, ret_hit: int) -> Ground:
    """Find the passages within the budget that also fit the generator's window, and make the prompt."""
    queries = [clue.text for clue in clues]
    weight = CLUE_WEIGHT if held.memory.is_able else CLUE_WEIGHT_SMALL
    ranked = find(request.query, queries, held.dense, held.lexical, ret_hit, weight)
    hits = within_budget(ranked, [chunk.tokens for chunk in held.chunks], EVIDENCE_TOKENS)
    room = generator.context_length - request.max_new_tokens - _TEMPLATE_TOKENS
    while hits:
        ground = _prompted(request, held, _passages(hits, held), generator)
        if generator.count_tokens(ground.prompt) <= room:
            return ground
        hits.pop()
    if ranked:
        raise ContextLengthError(
            f"Not one passage fits beside the question in the {generator.context_length} tokens that "
            f"{generator.name} reads; shorten the question or lower max_new_tokens."
        )
    return Ground()


def _passages(hits: Sequence[Hit], held: Memorized) -> tuple[Passage, ...]:
    """Return passages in the order of the documents, numbered from 1."""
    passages: list[Passage] = []
    found = [hit for hit in hits if held.chunks[hit.number].of(held.documents).strip()]
    for number, hit in enumerate(sorted(found, key=lambda hit: hit.number), 1):
        chunk = held.chunks[hit.number]
        document, text = held.documents[chunk.document], chunk.of(held.documents)
        start = chunk.start + len(text) - len(text.lstrip())
        end = start + len(text.strip())
        # A passage may begin in the last line of a page: what it is mostly about stands in its middle.
        page, section = document.locate((start + end) // 2)
        passages.append(
            Passage(number, text.strip(), document.name, start, end, page, section, hit.score, hit.found_by)
        )
    return tuple(passages)


def _prompted(request: Request, held: Memorized, passages: tuple[Passage, ...], generator: Generator) -> Ground:
    prompts, summary = held.memory.prompts, request.task == "summarize"
    if generator.is_able:
        usual = prompts.sum_gen if summary else prompts.qa_gen
        evidence, nearest = "\n\n".join(f"[{p.number}] {compact(p.text)}" for p in passages), None
    else:
        usual = prompts.sum_gen_short if summary else prompts.qa_gen_short
        count = _FOCUS_SUMMARY if summary else _FOCUS_ANSWER
        chosen = focus(passages, request.query, held.dense.encoder, count)
        evidence, nearest = "\n".join(sentence for _, sentence in chosen), chosen[-1]
    template = request.template or usual
    values = {"evidence": evidence, "question": request.query or prompts.sum, "not_found": prompts.not_found}
    prompt = render(template, **{name: values[name] for name in fields_of(template)})
    return Ground(passages, prompt, nearest)


def _write(request: Request, held: Memorized, generator: Generator, ground: Ground, citer: Citer) -> Iterator[str]:
    """Yield the answer as ``citer`` lets it pass, with true citations only."""
    prompts, limit, warmth, stop = held.memory.prompts, request.max_new_tokens, request.temperature, request.stop
    if request.task == "qa":
        pieces = held.memory.stream_w_memory(render(prompts.qa, question=request.query), limit, warmth, stop=stop)
    elif ground.passages:
        pieces = generator.stream(ground.prompt, limit, warmth, stop=stop)
    else:
        pieces = iter([prompts.not_found])
    for piece in pieces:
        if shown := citer.feed(piece):
            yield shown
    if rest := citer.finish():
        yield rest
