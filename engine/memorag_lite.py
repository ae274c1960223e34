"""MemoRAGLite: one small model is memory and generator; the memory holds gists of the text, so any length fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Unpack

from engine.agent import Agent
from engine.encoder import Encoder
from engine.errors import InputError
from engine.events import Clue, Event, Stop, Task, Turn
from engine.evidence import check_sizes, chunk_size
from engine.gist import GistKind
from engine.hardware import Hardware, detect
from engine.holder import Context
from engine.memorizers import GistMemorizer
from engine.model import Model
from engine.pipeline import Options, Pipeline, text_of
from engine.request import Generator
from engine.strategy import Strategy

GistMode = Literal["auto", GistKind]
_GIST_MODES = ("auto", "extractive", "abstractive")


class MemoRAGLite(Pipeline):
    """Memory over gists, retriever and generator, over one corpus at a time."""

    def __init__(
        self,
        gen_model_name_or_path: str | Model | Agent = "auto",
        ret_model_name_or_path: str | Encoder = "auto",
        customized_gen_model: Generator | None = None,
        ret_hit: int = 3,
        retrieval_chunk_size: int = 512,
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        load_in_4bit: bool = False,
        enable_flash_attn: bool = True,
        gist_mode: GistMode = "auto",
        hardware: Hardware | None = None,
    ) -> None:
        """Load the models; arguments as ``MemoRAG``.

        With an ``Agent`` in the first place, a model behind an API writes the gists, is the memory and answers; with
        ``customized_gen_model`` that one writes the answers and the first stays the memory. ``gist_mode`` "auto" lets
        models of a billion parameters and more write gists, and chooses sentences for smaller ones.

        Raises:
            InputError: an argument out of range.
            ModelError: a model that cannot be found, verified or loaded.
        """
        if gist_mode not in _GIST_MODES:
            raise InputError(f"gist_mode is {gist_mode!r}; accepted are {', '.join(_GIST_MODES)}.")
        check_sizes(ret_hit, retrieval_chunk_size)
        used = hardware or detect(load_in_4bit=load_in_4bit, enable_flash_attn=enable_flash_attn)
        gen, ret = gen_model_name_or_path, ret_model_name_or_path
        if isinstance(gen, str):
            gen = Model(gen, cache_dir, access_token, hardware=used)
        if not isinstance(ret, Encoder):
            ret = Encoder(ret, cache_dir, access_token, used)
        able: GistKind = "abstractive" if gen.is_able else "extractive"
        kind = able if gist_mode == "auto" else gist_mode
        memorizer = GistMemorizer(gen, ret, chunk_size(retrieval_chunk_size, ret), kind)
        super().__init__(memorizer, customized_gen_model, ret_hit, retrieval_chunk_size)

    def __call__(
        self,
        query: str | None = None,
        context: Context | None = None,
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
        """Answer a question and return the text; arguments and errors as ``MemoRAG.stream``, the question first."""
        asked = (query, context, task_type, prompt_template, max_new_tokens, reset_each_call, use_memory_answer)
        return text_of(self._ask(*asked, temperature, stop, strategy, clues, history))

    def stream(
        self, query: str | None = None, context: Context | None = None, **options: Unpack[Options]
    ) -> Iterator[Event]:
        """Answer a question as a stream of events; arguments and errors as ``MemoRAG.stream``, the question first."""
        return self._ask(query, context, **options)
