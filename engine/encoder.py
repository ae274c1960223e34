"""A sentence encoder: texts become unit vectors, whatever encoder it is, with its own pooling and prompts."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine import hub
from engine.errors import ModelError
from engine.events import Meter, OnProgress, Stop
from engine.hardware import Hardware, detect
from engine.model import fast_token_spans
from engine.settings import default_cache_dir


class Encoder:
    """A sentence encoder: texts become unit vectors."""

    def __init__(
        self,
        model_name_or_path: str = "auto",
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        hardware: Hardware | None = None,
    ) -> None:
        """Load an encoder by folder, Hub name, or "auto".

        Raises:
            ModelError: it cannot be found, verified or loaded.
        """
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer

        self.hardware = hardware or detect()
        self.name, self.reason = model_name_or_path, f"{model_name_or_path}, as asked for"
        if model_name_or_path == "auto":
            self.name, self.reason = hub.choose("retriever", self.hardware)
        folder = hub.locate(self.name, Path(cache_dir) if cache_dir else default_cache_dir(), access_token)
        self.fingerprint = hub.fingerprint(folder)
        try:
            self._net = SentenceTransformer(
                str(folder),
                device=self.hardware.device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": self.hardware.torch_dtype, "use_safetensors": True},
            ).eval()
        except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
            raise ModelError(f"The retriever {self.name!r} could not be loaded: {error}") from error
        # Encoding sets the tokenizer's padding and truncation; counting tokens beside it needs a tokenizer of its own.
        self._counter, self._encoding = copy.deepcopy(self._net.tokenizer), threading.Lock()
        limit = self._net.max_seq_length or self._net.tokenizer.model_max_length
        special = len(self._net.tokenizer("")["input_ids"])
        # Tokenizers without a limit say so with a huge number.
        self.max_tokens = (int(limit) if limit < 100_000 else 512) - special

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        size: int | None = self._net.get_embedding_dimension()
        if size is None:
            raise ModelError(f"The retriever {self.name!r} does not say how long its vectors are; choose another.")
        return size

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return for each text the character span of each token."""
        return fast_token_spans(self._counter, texts)

    def encode(
        self,
        texts: Sequence[str],
        query: bool = False,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
        batch: int | None = None,
    ) -> np.ndarray:
        """Return unit vectors [len(texts), dimension] float32, with the encoder's own query or document prompt."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        # Longest first: texts of like length share a batch, and the ETA can only get better.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        meter = Meter("embedding", sum(map(len, texts)), on_progress)
        encode = self._net.encode_query if query else self._net.encode_document
        # On a CPU a batch takes well under a second, so that a stop is noticed in time.
        size = batch or (16 if self.hardware.device == "cpu" else 64)
        done = 0
        for begin in range(0, len(order), size):
            if stop is not None:
                stop.check()
            rows = order[begin : begin + size]
            with self._encoding:
                found = encode(
                    [texts[i] for i in rows], batch_size=size, show_progress_bar=False, convert_to_tensor=True
                )
            vectors[rows] = found.float().cpu().numpy()
            done += sum(len(texts[i]) for i in rows)
            meter.step(done)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return vectors
