"""The same pipeline over gists: the memory holds a compressed rendering of the text, so any length fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from engine.ask import Generator
from engine.documents import Document
from engine.encoder import Encoder
from engine.errors import InputError
from engine.events import OnProgress, Stop
from engine.gist import Gist, abstractive, extractive, join, stretches
from engine.hardware import Hardware
from engine.memorag import MemoRAG
from engine.model import Model
from engine.prompt import prompts_for

GistMode = Literal["auto", "extractive", "abstractive"]
# Gist tokens the memory holds: more costs reading time once and a little at every question.
_GIST_BUDGET_SMALL, _GIST_BUDGET_ABLE = 2048, 8192
# Tokens of the window kept free for the conversation around the gists, a question and its clues.
_RESERVE = 1024


class MemoRAGLite(MemoRAG):
    """MemoRAG with a small model that is memory and generator at once."""

    kind = "memorag-lite"

    def __init__(
        self,
        gen_model_name_or_path: str | Model = "auto",
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
        """Load the models.

        With ``customized_gen_model`` that one writes the answers and the local model stays the memory. ``gist_mode``
        "auto" lets models of a billion parameters and more write gists, and chooses sentences for smaller ones.

        Raises:
            InputError: an argument out of range.
            ModelError: a model that cannot be found, verified or loaded.
        """
        if gist_mode not in ("auto", "extractive", "abstractive"):
            raise InputError(f"gist_mode is {gist_mode!r}; accepted are auto, extractive, abstractive.")
        super().__init__(
            gen_model_name_or_path,
            ret_model_name_or_path,
            None,
            customized_gen_model,
            ret_hit,
            retrieval_chunk_size,
            cache_dir,
            access_token,
            load_in_4bit,
            enable_flash_attn,
            hardware,
        )
        self.gist_mode = gist_mode

    @property
    def gist_budget(self) -> int:
        """Tokens that all gists together may have."""
        wanted = _GIST_BUDGET_ABLE if self.model.is_able else _GIST_BUDGET_SMALL
        return max(64, min(wanted, self.model.context_length - _RESERVE))

    def _gists(
        self, documents: Sequence[Document], language: str, on_progress: OnProgress | None, stop: Stop | None
    ) -> Sequence[Gist]:
        parts = stretches(documents, self.model, self.gist_budget, stop)
        wants_model = self.gist_mode == "abstractive" or (self.gist_mode == "auto" and self.model.is_able)
        longest = max(part.tokens for part in parts)
        # A corpus so long that its stretches outgrow the window cannot be read whole: sentences are chosen instead.
        if wants_model and longest + _RESERVE <= self.model.context_length:
            prompts = prompts_for(language)
            return abstractive(documents, parts, self.model, prompts, self.gist_budget, on_progress, stop)
        return extractive(
            documents,
            parts,
            lambda texts: self.encoder.encode(texts, stop=stop),
            self.model,
            self.gist_budget,
            on_progress,
            stop,
        )

    def _memory_text(self, documents: Sequence[Document], gists: Sequence[Gist]) -> str:
        return join(gists)
