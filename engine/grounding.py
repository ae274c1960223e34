"""What an answer rests on: the passages for a task, and the prompt that puts them to the generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.chunking import compact
from engine.errors import ContextLengthError
from engine.events import Clue, Passage
from engine.evidence import find, overview, passages
from engine.focus import focus
from engine.memorized import Memorized
from engine.prompt import fields_of, quoted, render
from engine.ranking import Hit
from engine.request import Generator, Request
from engine.sentences import Sentences
from engine.silence import is_silent
from engine.strategy import Strategy
from engine.tongues import reads

# Tokens that a chat template may put around a prompt.
_TEMPLATE_TOKENS = 64
# Sentences of evidence that a small generator reads, for an answer and for a summary.
_FOCUS_ANSWER, _FOCUS_SUMMARY = 8, 12
# A token is hardly ever longer: a text with more characters than this for every token of a window is not counted.
_LONG_TOKEN = 16


@dataclass(frozen=True)
class Ground:
    """What an answer rests on. ``nearest`` is the (passage number, sentence) nearest to the question, where known.

    Without a ``prompt`` there is nothing to answer from, whatever passages were found.
    """

    sentences: Sentences = field(default_factory=lambda: Sentences(()))
    prompt: str = ""
    nearest: tuple[int, str] | None = None

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The evidence, numbered from 1."""
        return self.sentences.passages


def ground(
    request: Request,
    held: Memorized,
    generator: Generator,
    clues: Sequence[Clue],
    strategy: Strategy,
    ret_hit: int,
    passage_tokens: int,
) -> Ground:
    """Find the passages within the budget that also fit the generator's window, and make the prompt.

    Raises:
        ContextLengthError: nothing fits the window, or for the task "full" not everything.
        Cancelled: the request was stopped.
    """
    if request.task == "qa":
        return Ground()
    if request.task == "full":
        return _whole(request, held, generator, passage_tokens)
    search = overview if request.task == "summarize" else find
    hits = search(request.query, [clue.text for clue in clues], held, strategy, ret_hit, request.stop)
    any_found = bool(hits)
    # An able generator sees by itself that its evidence is silent; a small one would make something up.
    if request.query and request.task != "summarize" and not generator.is_able and is_silent(request.query, hits, held):
        return Ground(Sentences(passages(hits, held, passage_tokens)))
    while hits:
        found = _prompted(request, held, passages(hits, held, passage_tokens), generator)
        if generator.count_tokens(found.prompt) <= _room(request, generator):
            return found
        hits.pop()
    if any_found:
        raise ContextLengthError(
            f"Not one passage fits beside the question in the {generator.context_length} tokens that "
            f"{generator.name} reads; shorten the question or lower max_new_tokens."
        )
    return Ground()


def _room(request: Request, generator: Generator) -> int:
    return generator.context_length - request.max_new_tokens - _TEMPLATE_TOKENS


def _whole(request: Request, held: Memorized, generator: Generator, passage_tokens: int) -> Ground:
    """Put the whole text into the prompt."""
    room, length = _room(request, generator), sum(len(document.text) for document in held.documents)
    tokens = int(held.sizes.sum())
    if length <= _LONG_TOKEN * room:
        every = passages([Hit(number, 0.0) for number in range(len(held.chunks))], held, passage_tokens)
        found = _prompted(request, held, every, generator, everything=True)
        if (tokens := generator.count_tokens(found.prompt)) <= room:
            return found
    raise ContextLengthError(
        f"The whole text has about {tokens:,} tokens, but {generator.name} reads {room:,} beside the question and the "
        "answer; ask with evidence (the task memorag), or take a generator with a longer window."
    )


def _prompted(
    request: Request, held: Memorized, found: tuple[Passage, ...], generator: Generator, everything: bool = False
) -> Ground:
    prompts, summary, nearest = held.prompts, request.task == "summarize", None
    # To embed a whole text for its citations would take longer than the answer; and where the encoder does not read
    # the language, all sentences are alike to it.
    says_nothing = (everything and generator.is_able) or reads(held.dense.encoder, held.language) is False
    sentences = Sentences(found, None if says_nothing else held.dense.encoder)
    if generator.is_able:
        usual = prompts.sum_gen if summary else prompts.qa_gen
        evidence = "\n\n".join(f"[{p.number}] {quoted(compact(p.text))}" for p in found)
    else:
        usual = prompts.sum_gen_short if summary else prompts.qa_gen_short
        count = _FOCUS_SUMMARY if summary else _FOCUS_ANSWER
        chosen = focus(sentences, request.query, count, held.language)
        evidence, nearest = "\n".join(sentence for _, sentence in chosen), chosen[-1]
        if everything:
            evidence = "\n".join(compact(passage.text) for passage in found)
    values = {"evidence": evidence, "question": request.query or prompts.sum, "not_found": prompts.not_found}
    template = request.template or usual
    prompt = render(template, **{name: values[name] for name in fields_of(template)})
    return Ground(sentences, prompt, nearest)
