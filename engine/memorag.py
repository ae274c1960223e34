"""The pipeline: memorise a corpus once, then recall clues, find evidence and write the answer for every question.

``MemoRAG`` lets the memory model read the raw text; ``MemoRAGLite`` (memorag_lite.py) lets it read gists. What was
memorised is one frozen value that is replaced as a whole, so a question that runs keeps the corpus it began with.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from engine import storage
from engine.ask import EVIDENCE_TOKENS, Generator, Request, check_request, events
from engine.bundle import Memorized, digest_of, hold, pack, unpack
from engine.chunking import split
from engine.documents import Document, as_documents
from engine.encoder import Encoder
from engine.errors import BundleError, InputError, NotMemorizedError
from engine.events import Answer, Event, OnProgress, Progress, Stop, Task
from engine.gist import Gist
from engine.hardware import Hardware, detect
from engine.language import language_of
from engine.memory import Memory
from engine.model import Model
from engine.prompt import prompts_for
from engine.retrieval import DenseRetriever

Context = str | Document | Sequence[str | Document]


class MemoRAG:
    """Memory, retriever and generator over one corpus at a time."""

    kind = "memorag"

    def __init__(
        self,
        mem_model_name_or_path: str | Model = "auto",
        ret_model_name_or_path: str | Encoder = "auto",
        gen_model_name_or_path: str | None = None,
        customized_gen_model: Generator | None = None,
        ret_hit: int = 3,
        retrieval_chunk_size: int = 512,
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        load_in_4bit: bool = False,
        enable_flash_attn: bool = True,
        hardware: Hardware | None = None,
    ) -> None:
        """Load the models; without a generator of its own, the memory model also writes the answers.

        ``ret_hit`` is how many passages each clue may bring in; chunks have at most ``retrieval_chunk_size`` tokens of
        the retriever, never more than the retriever can read, and never more than half of the
        evidence. ``hardware`` overrides what ``detect`` finds.

        Raises:
            InputError: an argument out of range, or two generators at once.
            ModelError: a model that cannot be found, verified or loaded.
        """
        if gen_model_name_or_path is not None and customized_gen_model is not None:
            raise InputError("Give either gen_model_name_or_path or customized_gen_model, not both.")
        if not 1 <= ret_hit <= 100:
            raise InputError(f"ret_hit is {ret_hit}; give 1 to 100 passages.")
        if retrieval_chunk_size < 16:
            raise InputError(f"retrieval_chunk_size is {retrieval_chunk_size}; give 16 tokens or more.")
        used = hardware or detect(load_in_4bit=load_in_4bit, enable_flash_attn=enable_flash_attn)
        loading = {"cache_dir": cache_dir, "access_token": access_token, "hardware": used}
        mem, ret = mem_model_name_or_path, ret_model_name_or_path
        self.model = mem if isinstance(mem, Model) else Model(mem, **loading)  # type: ignore[arg-type]
        self.encoder = ret if isinstance(ret, Encoder) else Encoder(ret, **loading)  # type: ignore[arg-type]
        self.generator: Generator = self.model
        if gen_model_name_or_path is not None:
            self.generator = Model(gen_model_name_or_path, **loading)  # type: ignore[arg-type]
        elif customized_gen_model is not None:
            self.generator = customized_gen_model
        self.ret_hit = ret_hit
        self.chunk_size = min(retrieval_chunk_size, self.encoder.max_tokens, EVIDENCE_TOKENS // 2)
        self.clue_tokens = 128 if self.model.is_able else 48
        self._held: Memorized | None = None

    # Copies over the same loaded models

    def fork(self) -> Self:
        """Return a pipeline over the same loaded models, with nothing memorised."""
        twin = copy.copy(self)
        twin._held = None
        return twin

    def with_generator(self, generator: Generator) -> Self:
        """Return a pipeline over the same models and the same memorised corpus, whose answers ``generator`` writes."""
        twin = copy.copy(self)
        twin.generator = generator
        return twin

    # Memorising

    def memorize(
        self,
        context: Context,
        save_dir: str | Path | None = None,
        print_stats: bool = False,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Read a corpus once; with ``save_dir``, keep it as a bundle.

        Raises:
            DocumentError: there is no text in it.
            ContextLengthError: the raw text does not fit the memory model's window (MemoRAGLite has no such limit).
            BundleError: the bundle cannot be written.
            Cancelled: ``stop`` was set; what was memorised before is still there.
        """
        documents = as_documents(context)
        if on_progress is not None:
            on_progress(Progress("splitting", 0, len(documents)))
        language = language_of([document.text for document in documents])
        chunks = split(documents, self.chunk_size, self.encoder.token_spans, stop)
        dense = DenseRetriever(self.encoder)
        dense.add([chunk.of(documents) for chunk in chunks], on_progress, stop)
        gists = self._gists(documents, language, on_progress, stop)
        memory = self._remember(documents, gists, language, on_progress, stop)
        self._held = hold(documents, tuple(chunks), tuple(gists), language, memory, dense)
        if save_dir is not None:
            self.save(save_dir)
        self._say(print_stats)

    def _gists(
        self, documents: Sequence[Document], language: str, on_progress: OnProgress | None, stop: Stop | None
    ) -> Sequence[Gist]:
        """Return what stands for the text in the memory; none here, where the memory reads the text itself."""
        return ()

    def _remember(
        self,
        documents: Sequence[Document],
        gists: Sequence[Gist],
        language: str,
        on_progress: OnProgress | None,
        stop: Stop | None,
    ) -> Memory:
        memory = Memory(self.model)
        memory.memorize(self._memory_text(documents, gists), prompts_for(language), on_progress, stop)
        return memory

    def _memory_text(self, documents: Sequence[Document], gists: Sequence[Gist]) -> str:
        """Return the text that the memory model reads."""
        return "\n\n".join(document.text for document in documents)

    # Saving and loading

    def save(self, save_dir: str | Path, with_memory: bool = True) -> None:
        """Write what is memorised as a bundle.

        Without the memory's tensors the bundle is small, and ``load`` rebuilds them, for any memory model.
        """
        held = self._memorized()
        manifest = {
            "kind": self.kind,
            "language": held.language,
            "digest": held.digest,
            "chunk_size": self.chunk_size,
            "memory_model": {"name": self.model.name, "fingerprint": self.model.fingerprint},
            "retriever": {"name": self.encoder.name, "fingerprint": self.encoder.fingerprint},
            "stats": self.stats,
        }
        index = {"vectors": storage.tensor(held.dense.index.vectors())}
        memory = held.memory.prefix.tensors() if with_memory else None
        storage.write(Path(save_dir), manifest, pack(held.documents, held.chunks, held.gists), index, memory)

    def load(
        self,
        save_dir: str | Path,
        print_stats: bool = False,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Load a bundle.

        Raises:
            BundleError: it is missing, damaged, or made by other models than those in use.
        """
        try:
            held = self._read(storage.read(Path(save_dir)), Path(save_dir).name, on_progress, stop)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
            raise BundleError(
                f"The bundle {Path(save_dir).name!r} does not hold what it should; memorise again."
            ) from error
        self._held = held
        self._say(print_stats)

    def _read(self, bundle: storage.Bundle, name: str, on_progress: OnProgress | None, stop: Stop | None) -> Memorized:
        self._check_models(bundle, name)
        documents, chunks, gists = unpack(bundle.chunks)
        if digest_of(documents) != bundle.manifest["digest"]:
            raise BundleError("The bundle's text is not the one that was memorised; memorise it again.")
        if len(bundle.index["vectors"]) != len(chunks):
            raise BundleError("The bundle does not have a vector for every chunk; memorise the text again.")
        language = str(bundle.manifest["language"])
        dense = DenseRetriever(self.encoder)
        dense.restore(bundle.index["vectors"].numpy())
        if bundle.memory is None:
            memory = self._remember(documents, gists, language, on_progress, stop)
        else:
            memory = Memory(self.model)
            memory.restore(bundle.memory, prompts_for(language))
        return hold(documents, chunks, gists, language, memory, dense)

    def _check_models(self, bundle: storage.Bundle, name: str) -> None:
        made = bundle.manifest
        if made["kind"] != self.kind:
            raise BundleError(
                f"The bundle {name!r} was made by {made['kind']!r}, not by {self.kind!r}; memorise again."
            )
        used = {"retriever": self.encoder}
        if bundle.memory is not None:
            used["memory_model"] = self.model  # type: ignore[assignment]
        for role, model in used.items():
            if made[role]["fingerprint"] != model.fingerprint:
                other = made[role]["name"] if made[role]["name"] != model.name else f"another version of {model.name}"
                raise BundleError(
                    f"The bundle {name!r} was made with {other}, but {model.name} is in use; memorise the text again."
                )

    # Asking

    def __call__(self, query: str | None = None, context: Context | None = None, **options: Any) -> str:  # noqa: ANN401
        """Answer a question; arguments as ``stream``."""
        for event in self.stream(query, context, **options):
            if isinstance(event, Answer):
                return event.text
        raise AssertionError("a stream ends with an Answer")

    def stream(
        self,
        query: str | None = None,
        context: Context | None = None,
        task_type: Task = "memorag",
        prompt_template: str | None = None,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        reset_each_call: bool = False,
        use_memory_answer: bool = False,
        stop: Stop | None = None,
    ) -> Iterator[Event]:
        """Answer a question as a stream of events: Clues, Evidence, Token..., Answer.

        ``task_type``: "memorag" (clues, evidence, answer), "qa" (from the memory alone), "rag" (evidence for the bare
        question, no clues), "summarize" (evidence for the memory's key points; the query may be None). A ``context``
        other than the memorised one is memorised first. ``prompt_template`` replaces the generator's prompt and may use
        {evidence} and {question}. ``reset_each_call`` forgets the corpus afterwards.

        Raises:
            InputError: an empty question or an argument out of range (before any work).
            NotMemorizedError: there is nothing to ask about (before any work).
            ContextLengthError, GeneratorError, Cancelled: while it runs.
        """
        request = check_request(
            self.generator, query, task_type, prompt_template, max_new_tokens, temperature, use_memory_answer, stop
        )
        if context is None:
            self._memorized()
        return self._run(request, context, reset_each_call)

    def _run(self, request: Request, context: Context | None, reset_each_call: bool) -> Iterator[Event]:
        if context is not None:
            documents = as_documents(context)
            if self._held is None or self._held.digest != digest_of(documents):
                self.memorize(documents, stop=request.stop)
        held = self._memorized()
        try:
            yield from events(request, held, self.generator, self.clue_tokens, self.ret_hit)
        finally:
            if reset_each_call and self._held is held:
                self._held = None

    # Facts

    @property
    def is_memorized(self) -> bool:
        """Whether there is anything to ask about."""
        return self._held is not None

    @property
    def memorized(self) -> Memorized:
        """What is held of the corpus.

        Raises:
            NotMemorizedError: nothing has been memorised.
        """
        return self._memorized()

    def _memorized(self) -> Memorized:
        if self._held is None:
            raise NotMemorizedError("Nothing has been memorised yet: call memorize or load first, or give a context.")
        return self._held

    @property
    def stats(self) -> dict[str, int | str]:
        """Language, context length in tokens of the retriever, and the size of what is held."""
        held = self._memorized()
        return {
            "language": held.language,
            "context_tokens": sum(chunk.tokens for chunk in held.chunks),
            "memory_tokens": held.memory.prefix.length,
            "memory_bytes": held.memory.prefix.nbytes,
            "chunks": len(held.chunks),
        }

    def _say(self, wanted: bool) -> None:
        if wanted:
            sys.stdout.write("".join(f"{name.replace('_', ' ')}: {value}\n" for name, value in self.stats.items()))
