"""Variants of answering run over questions with known answers, each with the same budget of evidence.

What a variant found and wrote for a question is one line of OUT/records.jsonl, kept as soon as it is there: what was
stopped goes on where it stood. A line counts as long as its key does, in which everything is that it depends on: text,
question, models, limits and the variant; and the engine's own code. Clues are recalled once a question, all kinds of
them, and shared by the variants that use any (OUT/clues.jsonl); documents are memorised once (OUT/bundles).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.documents import Document
from engine.errors import BundleError, ContextLengthError, InputError
from engine.events import Clue, ClueKind, OnProgress, Progress, Stop
from engine.evidence import EVIDENCE_TOKENS
from engine.journal import Journal
from engine.language import language_of
from engine.memorag import MemoRAG
from engine.memorag_lite import MemoRAGLite
from engine.memorized import Memorized
from engine.pipeline import CLUE_TOKENS_ABLE, CLUE_TOKENS_SMALL
from engine.questions import Dataset, Question
from engine.strategy import strategy_for
from engine.trial import Result, choice_template, closed, observed, with_choices, wording_for
from engine.variants import Variant

# All kinds of clues that a question can be recalled with.
_CLUE_KINDS: tuple[ClueKind, ...] = ("span", "surrogate", "draft")
# The code that only looks at results, and the code that memorises and recalls.
_LOOKING = frozenset(
    "__main__ command evaluate intervals journal metrics plot questions report variants".split()  # noqa: SIM905
)
_READING = frozenset(
    "archive bundle chunking clues documents encoder encodings extract gist language memorized memorizer".split()  # noqa: SIM905
    + "memorizers memory pdf plain printed prompt readers recall stretches token_counts word".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Plan:
    """What an evaluation does. ``evidence_only`` writes no answers; ``any_code`` takes results of other code."""

    variants: tuple[Variant, ...]
    max_new_tokens: int = 256
    evidence_only: bool = False
    any_code: bool = False

    def cases(self, dataset: Dataset) -> Iterator[tuple[Question, tuple[Variant, ...]]]:
        """Yield every question with the variants that are run on it, questions about one document after each other."""
        for name in dataset.documents:
            for question in dataset.questions:
                if question.doc == name and (variants := self._variants_for(question)):
                    yield question, variants

    def _variants_for(self, question: Question) -> tuple[Variant, ...]:
        wanted = [v for v in self.variants if not v.kinds or question.kind in v.kinds]
        if self.evidence_only:
            wanted = [v for v in wanted if v.finds_evidence and question.evidence]
        return tuple(wanted)


@dataclass(frozen=True)
class Outcome:
    """A question, a variant that was run on it, and what that gave."""

    question: Question
    variant: Variant
    result: Result


def evaluate(
    pipeline: MemoRAG | MemoRAGLite,
    dataset: Dataset,
    plan: Plan,
    folder: Path,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> list[Outcome]:
    """Run the plan over the questions; what ``folder`` holds of it already is not done again.

    Raises:
        InputError: there is nothing to do, or the folder holds something else.
        GeneratorError: a generator behind an API did not answer; what was done until then is kept.
        Cancelled: ``stop`` was set; what was done until then is kept.
        OSError: the folder cannot be written.
    """
    cases = list(plan.cases(dataset))
    if not cases:
        raise InputError("No variant looks for evidence to any of the questions; nothing can be evaluated.")
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(pipeline, dataset, plan, folder, on_progress, stop)
    missing = [(q, v) for q, variants in cases for v in variants if run.known(q, v) is None]
    began, unread = time.perf_counter(), {q.doc: len(dataset.documents[q.doc].text) for q, _ in missing}
    for done, (question, variant) in enumerate(missing, 1):
        if run.known(question, variant) is None:  # another variant of the same recipe may have run meanwhile
            run.do(question, variant)
        unread.pop(question.doc, None)
        if on_progress is not None:
            answering = (time.perf_counter() - began - run.reading_seconds) / done * (len(missing) - done)
            reading = run.reading_seconds / max(1, run.read_characters) * sum(unread.values())
            on_progress(Progress("answering", done, len(missing), answering + reading))
    found = [(q, v, run.known(q, v)) for q, variants in cases for v in variants]
    return [Outcome(question, variant, result) for question, variant, result in found if result is not None]


class _Run:
    """The state of one evaluation: what is known, and which document the pipeline holds."""

    def __init__(
        self,
        pipeline: MemoRAG | MemoRAGLite,
        dataset: Dataset,
        plan: Plan,
        folder: Path,
        on_progress: OnProgress | None,
        stop: Stop | None,
    ) -> None:
        self._pipeline, self._dataset, self._plan, self._folder = pipeline.fork(), dataset, plan, folder
        self._on_progress, self._stop = on_progress, stop
        self._code, self._reading_code = (
            _code_digest(lambda name: name not in _LOOKING),
            _code_digest(_READING.__contains__),
        )
        self._records = Journal(folder / "records.jsonl", plan.any_code)
        self._recalled = Journal(folder / "clues.jsonl", plan.any_code)
        self._held = ""  # the document that the pipeline holds
        self._other: tuple[str, int, MemoRAG | MemoRAGLite] | None = None
        self.reading_seconds, self.read_characters = 0.0, 0  # what documents took, and how long they are
        generator = pipeline.generator
        self._memory = [pipeline.memorizer.recipe, hardware_of(pipeline)]
        writer = getattr(generator, "fingerprint", generator.name)
        self._models = [*self._memory, writer, pipeline.ret_hit, pipeline.passage_tokens]

    def known(self, question: Question, variant: Variant) -> Result | None:
        """Return the result that is there already; also one of another variant that does the same."""
        entry = self._records.get(self._key(question, variant), self._code)
        if entry is None:
            return None
        try:
            found = Result(**entry)
        except TypeError:  # written by other code, with other fields
            return None
        retrieved = None if found.retrieved is None else tuple(found.retrieved)
        return replace(found, variant=variant.name, retrieved=retrieved)

    def do(self, question: Question, variant: Variant) -> None:
        """Run a variant on a question and keep the result."""
        blank = Result(self._key(question, variant), self._code, variant.name, question.doc, question.question)
        try:
            result = self._tried(question, variant, blank)
        except ContextLengthError as error:
            result = replace(blank, prediction="", retrieved=() if variant.finds_evidence else None, error=str(error))
        self._records.add(asdict(result))

    def _key(self, question: Question, variant: Variant) -> str:
        limits = [EVIDENCE_TOKENS, self._plan.max_new_tokens, self._plan.evidence_only]
        text = self._document(question).sha256
        return _digest([question.digest, text, variant.recipe, limits, self._models])

    def _document(self, question: Question) -> Document:
        return self._dataset.documents[question.doc]

    # Answering

    def _tried(self, question: Question, variant: Variant, blank: Result) -> Result:
        most, only = self._plan.max_new_tokens, self._plan.evidence_only
        if variant.task == "closed":
            language = language_of([self._document(question).text])
            return closed(question, language, self._pipeline.generator, blank, most, self._stop)
        held, query, before = self._hold(question), question.question, 0.0
        options: dict[str, Any] = {"task_type": variant.task, "max_new_tokens": most, "stop": self._stop}
        if variant.strategy is not None:
            options["strategy"] = variant.strategy
        if kinds := self._clue_kinds(variant, held):
            clues, before = self._clues(question, held)
            options["clues"] = [clue for clue in clues if clue.kind in kinds]
        if variant.task == "qa":
            query = with_choices(question, wording_for(held.language))
        elif question.choices:
            able, wording = self._pipeline.generator.is_able, wording_for(held.language)
            options["prompt_template"] = choice_template(question, held.prompts, able, wording)
        asked = self._pipeline if variant.chunk_tokens is None else self._rechunked(variant.chunk_tokens)
        events = asked.stream(query=query, temperature=0.0, **{**options, **variant.options})
        encoder = self._pipeline.encoder if variant.finds_evidence else None
        return observed(events, blank, encoder, only, before)

    def _clue_kinds(self, variant: Variant, held: Memorized) -> tuple[ClueKind, ...]:
        """Return which of the clues recalled for all variants this one uses; a summary has its own."""
        if variant.task == "closed" or variant.task == "summarize":
            return ()
        return (variant.strategy or strategy_for(variant.task, held.memory.reads_fast)).clues

    def _clues(self, question: Question, held: Memorized) -> tuple[tuple[Clue, ...], float]:
        """Return all clues for a question and the seconds it took to recall them; recalled once, then kept."""
        tokens = CLUE_TOKENS_ABLE if held.memory.is_able else CLUE_TOKENS_SMALL
        key = _digest([question.digest, self._document(question).sha256, tokens, self._memory])
        entry = self._recalled.get(key, self._reading_code)
        if entry is None:
            began, clues = time.perf_counter(), tuple[Clue, ...]()
            with suppress(ContextLengthError):  # too long for the memory, a question still finds evidence by itself
                clues = held.memory.clues(question.question, tokens, _CLUE_KINDS, self._stop)
            entry = {
                "key": key,
                "code": self._reading_code,
                "doc": question.doc,
                "question": question.question,
                "clues": [[clue.kind, clue.text] for clue in clues],
                "seconds": time.perf_counter() - began,
            }
            self._recalled.add(entry)
        return tuple(Clue(kind, text) for kind, text in entry["clues"]), float(entry["seconds"])

    # Documents

    def _hold(self, question: Question) -> Memorized:
        """Return what is held of a question's document, after loading or memorising it."""
        if self._held != question.doc:
            began, document = time.perf_counter(), self._document(question)
            bundle = self._folder / "bundles" / _digest([document.name, document.sha256, self._memory])
            made_by = bundle.with_suffix(".code")
            if not self._load(bundle, made_by):
                self._pipeline.memorize(document, bundle, on_progress=self._on_progress, stop=self._stop)
                made_by.write_text(self._reading_code, "utf-8")
            self._held = question.doc
            self.reading_seconds, self.read_characters = (
                self.reading_seconds + time.perf_counter() - began,
                self.read_characters + len(document.text),
            )
        return self._pipeline.memorized

    def _rechunked(self, chunk_tokens: int) -> MemoRAG | MemoRAGLite:
        """Return a pipeline over the same memory and the text in other chunks; the last one is kept."""
        if self._other is None or self._other[:2] != (self._held, chunk_tokens):
            self._other = self._held, chunk_tokens, self._pipeline.rechunked(chunk_tokens, self._stop)
        return self._other[2]

    def _load(self, bundle: Path, made_by: Path) -> bool:
        """Load a bundle of this very code; return whether there is one that is whole."""
        if not made_by.is_file() or not (self._plan.any_code or made_by.read_text("utf-8") == self._reading_code):
            return False
        try:
            self._pipeline.load(bundle, on_progress=self._on_progress, stop=self._stop)
            self._pipeline.memorized.ensure(self._stop)
        except BundleError:
            return False
        return True


def hardware_of(pipeline: MemoRAG | MemoRAGLite) -> dict[str, Any]:
    """Return how models run, as far as it changes what they say."""
    used = pipeline.encoder.hardware
    names = ("device", "dtype", "four_bit", "small_weights", "small_memory", "sparse_prefill")
    return {name: getattr(used, name) for name in names}


def _code_digest(is_wanted: Callable[[str], bool]) -> str:
    """Return 16 hex digits that change with the engine's own source files of such names."""
    files = sorted(path for path in Path(__file__).parent.glob("*.py") if is_wanted(path.stem))
    return _digest([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
