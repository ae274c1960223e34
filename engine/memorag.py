"""MemoRAG: a long-context memory model reads the raw text, a retriever finds evidence, a generator answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Unpack

from engine.encoder import Encoder
from engine.errors import InputError
from engine.events import Clue, Event, Stop, Task, Turn
from engine.evidence import check_sizes, chunk_size
from engine.hardware import Hardware, detect
from engine.holder import Context
from engine.memorizers import RawMemorizer
from engine.model import Model
from engine.pipeline import Options, Pipeline, text_of
from engine.request import Generator
from engine.strategy import Strategy


class MemoRAG(Pipeline):
    """Memory over the raw text, retriever and generator, over one corpus at a time."""

    def __init__(
        self,
        mem_model_name_or_path: str | Model = "auto",
        ret_model_name_or_path: str | Encoder = "auto",
        gen_model_name_or_path: str | Model | None = None,
        customized_gen_model: Generator | None = None,
        ret_hit: int = 3,
        retrieval_chunk_size: int = 512,
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        beacon_ratio: int = 4,
        load_in_4bit: bool = False,
        enable_flash_attn: bool = True,
        enable_minference: bool = False,
        hardware: Hardware | None = None,
    ) -> None:
        """Load the models; without a generator of its own, the memory model also writes the answers.

        ``ret_hit`` is how many chunks each clue may bring in. The text is searched in chunks of up to 96 tokens of the
        retriever; those that follow each other become one passage of at most ``retrieval_chunk_size`` tokens, and never
        more than half of the evidence. A smaller ``retrieval_chunk_size`` also makes smaller chunks.
        ``beacon_ratio`` is how many tokens become one in the memory of a beacon model; other models remember every
        token. ``enable_minference`` reads long texts on a GPU with sparse attention, which is faster and not exact.
        ``hardware`` overrides what ``detect`` finds.

        Raises:
            InputError: an argument out of range, or two generators at once.
            ModelError: a model that cannot be found, verified or loaded.
        """
        if gen_model_name_or_path is not None and customized_gen_model is not None:
            raise InputError("Give either gen_model_name_or_path or customized_gen_model, not both.")
        if not isinstance(mem_model_name_or_path, str | Model):
            raise InputError(
                f"The memory model is {type(mem_model_name_or_path).__name__}; give a name, a folder or a Model. "
                "A model behind an API can be the memory of MemoRAGLite."
            )
        check_sizes(ret_hit, retrieval_chunk_size)
        used = hardware or detect(
            load_in_4bit=load_in_4bit, enable_flash_attn=enable_flash_attn, enable_minference=enable_minference
        )
        mem, ret, gen = mem_model_name_or_path, ret_model_name_or_path, gen_model_name_or_path
        if not isinstance(mem, Model):
            mem = Model(mem, cache_dir, access_token, beacon_ratio, hardware=used)
        if not isinstance(ret, Encoder):
            ret = Encoder(ret, cache_dir, access_token, used)
        if isinstance(gen, str):
            gen = Model(gen, cache_dir, access_token, hardware=used)
        memorizer = RawMemorizer(mem, ret, chunk_size(retrieval_chunk_size, ret))
        super().__init__(memorizer, customized_gen_model or gen, ret_hit, retrieval_chunk_size)

    def __call__(
        self,
        context: Context | None = None,
        query: str | None = None,
        task_type: Task = "memorag",
        prompt_template: str | None = None,
        max_new_tokens: int = 256,
        reset_each_call: bool = False,
        use_memory_answer: bool = False,
        temperature: float = 0.0,
        stop: Stop | None = None,
        strategy: Strategy | None = None,
        clues: Sequence[Clue] | None = None,
        history: Sequence[Turn] = (),
    ) -> str:
        """Answer a question and return the text; arguments and errors as ``stream``."""
        asked = (query, context, task_type, prompt_template, max_new_tokens, reset_each_call, use_memory_answer)
        return text_of(self._ask(*asked, temperature, stop, strategy, clues, history))

    def stream(
        self, context: Context | None = None, query: str | None = None, **options: Unpack[Options]
    ) -> Iterator[Event]:
        """Answer a question as a stream of events: Understood (if changed), Clues, Evidence, Token..., Answer.

        A ``context`` other than the memorised one is memorised first; without one, what is memorised is asked.
        ``task_type``: "memorag" (clues, evidence, answer), "qa" (from the memory alone), "rag" (plain RAG: what is
        nearest in meaning to the bare question), "summarize" (evidence for the memory's key points; the query may be
        None), "full" (the whole text goes to the generator, where it fits).
        ``prompt_template`` replaces the generator's prompt and may use {evidence} and {question}.
        ``use_memory_answer`` adds the memory's own draft to the clues. ``reset_each_call`` forgets the corpus
        afterwards. ``strategy`` says how evidence is found (strategy.py), ``clues`` are those of an earlier answer.
        ``history`` holds the turns before, the oldest first: a question that leans on them ("Why did he?") is put into
        words that stand alone before anything is recalled.

        Raises:
            InputError: an empty question or an argument out of range (before any work).
            NotMemorizedError: there is nothing to ask about (before any work).
            ContextLengthError, GeneratorError, Cancelled: while it runs.
        """
        return self._ask(query, context, **options)
