"""A sentence encoder: texts become unit vectors, whatever encoder it is, with its own pooling and prompts.

Takes a folder saved by sentence-transformers (its pooling, dense and normalising layers and its prompts are used as
they are) or by transformers (then the mean over the tokens, or the last token of a causal language model). What an
encoder can read and how long its vectors are is measured on loading, because configurations are not always right.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import hub
from engine.chunking import fast_token_spans
from engine.errors import InputError, ModelError
from engine.events import Meter, OnProgress, Stop
from engine.hardware import Hardware, detect
from engine.token_counts import TokenCounter
from engine.turns import in_turn

# Tokens read at once by an encoder that names no limit; tokenizers without one say so with a huge number.
_USUAL_LIMIT, _NO_LIMIT = 512, 100_000
# Tokens of a batch, padding included. On a CPU the encoder's size decides (multiplications in its linear layers), so
# that a batch takes a fifth of a second on two cores and a stop is noticed in time; larger ones are no faster.
_GPU_BATCH, _CPU_BATCH, _CPU_WORK = 32_768, 16_384, 22e9
# What a token needs while a batch is computed, in outputs of the widest layer: some three in practice, and to spare.
_ALIVE = 8
# Texts whose tokens are counted between two looks at the stop flag.
_COUNTED = 256


class Encoder:
    """A sentence encoder: texts become unit vectors. Several threads may use it at once; they take turns by the batch.

    ``max_tokens`` is how many tokens of a document's own text it reads, beside its special tokens and prompt;
    ``dimension`` the length of a vector.
    """

    def __init__(
        self,
        model_name_or_path: str = "auto",
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        hardware: Hardware | None = None,
    ) -> None:
        """Load an encoder by folder, Hub name, or "auto".

        Raises:
            ModelError: it cannot be found, verified or loaded, or is no encoder of texts.
        """
        import torch

        self.hardware = hardware or detect()
        found = hub.find("retriever", model_name_or_path, self.hardware, cache_dir, access_token)
        self.name, self.reason, self.fingerprint = found.name, found.reason, found.fingerprint
        self._net = in_turn(self.hardware.device, lambda: self._load(found.folder))
        # Encoding sets the tokenizer's padding and truncation; counting tokens beside it needs a tokenizer of its own.
        self._counter, self._encoding = copy.deepcopy(self._net.tokenizer), threading.Lock()
        self._counts = TokenCounter(self._counter)
        self._query_prompt = self._prompt("query")
        self._document_prompt = self._prompt("document", "passage", "corpus")
        try:
            self._overhead, self.max_tokens = self._room()
            self.dimension = self._length_of_vectors()
        except (ValueError, RuntimeError, IndexError, TypeError, KeyError, OverflowError) as error:
            raise ModelError(f"The retriever {self.name!r} cannot embed a text: {error}") from error
        linear = [m.weight for m in self._net.modules() if isinstance(m, torch.nn.Linear)]
        self._token_bytes = _ALIVE * max((w.shape[0] * w.element_size() for w in linear), default=1)
        on_cpu = min(_CPU_BATCH, int(_CPU_WORK / max(1, sum(w.numel() for w in linear))))
        self._batch_tokens = on_cpu if self.hardware.device == "cpu" else _GPU_BATCH

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return for each text the character span of each token."""
        return fast_token_spans(self._counter, texts)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return for each text how many tokens ``token_spans`` finds: many times faster."""
        return self._counts.counts(texts)

    def encode(
        self,
        texts: Sequence[str],
        query: bool = False,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
        batch: int | None = None,
        is_waited_for: bool = False,
    ) -> np.ndarray:
        """Return unit vectors [len(texts), dimension] float32, with the encoder's own query or document prompt.

        Documents give way to questions, unless a question waits for them (``is_waited_for``). A batch holds a number of
        tokens for which half of the free memory should do, and no more than ``batch`` texts; where the memory runs out
        all the same, half of that. A text without a token gets the zero vector, as one does
        that the encoder maps to zero.

        Raises:
            InputError: ``batch`` is below 1.
            ModelError: the memory is too small for a single text, or a vector is not finite.
            Cancelled: ``stop`` was set.
        """
        if batch is not None and batch < 1:
            raise InputError(f"batch is {batch}; give 1 or more texts.")
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        lengths = self._lengths(texts, stop)
        # Longest first: texts of like length share a batch, and the ETA can only get better.
        order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i])
        meter = Meter("embedding", sum(len(texts[i]) for i in order), on_progress)
        room, begin, done = min(self._batch_tokens, self.hardware.free_bytes() // 2 // self._token_bytes), 0, 0
        while begin < len(order):
            if stop is not None:
                stop.check()
            longest = lengths[order[begin]]
            rows = order[begin : begin + min(batch or len(order), max(1, room // longest))]
            found = self._embed([texts[i] for i in rows], query, is_waited_for)
            if found is None:
                room = self._halved(len(rows), longest)
                continue
            vectors[rows] = found
            begin, done = begin + len(rows), done + sum(len(texts[i]) for i in rows)
            meter.step(done)
        if not np.isfinite(vectors).all():
            raise ModelError(f"The retriever {self.name!r} gives no finite vectors in {self.hardware.dtype}.")
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return vectors

    def _load(self, folder: Path) -> Any:  # noqa: ANN401 - a SentenceTransformer or a SentenceNet
        from safetensors import SafetensorError

        from engine import sentence_net

        for weights in folder.rglob("pytorch_model.bin"):
            if not weights.with_name("model.safetensors").is_file() and weights.parent != folder:
                raise ModelError(
                    f"The retriever {self.name!r} has pickled weights in {weights.parent.name!r}, which are never "
                    f"loaded; save it as safetensors or choose another."
                )
        try:
            net = (sentence_net.load(folder, self.hardware) or self._by_library(folder)).eval()
        except (
            OSError,
            ValueError,
            RuntimeError,
            ImportError,
            LookupError,
            TypeError,
            AttributeError,
            SafetensorError,
        ) as error:
            raise ModelError(f"The retriever {self.name!r} could not be loaded: {error}") from error
        if not getattr(getattr(net[0], "tokenizer", None), "is_fast", False):
            raise ModelError(f"The retriever {self.name!r} has no fast tokenizer to size passages by; choose another.")
        return net

    def _by_library(self, folder: Path) -> Any:  # noqa: ANN401 - a SentenceTransformer, imported only here
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(
            str(folder),
            device=self.hardware.device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"dtype": self.hardware.torch_dtype, "use_safetensors": True},
        )

    def _prompt(self, *names: str) -> str:
        """Return the first prompt of these names. Missing ones are held as empty and must not hide the others."""
        return next((self._net.prompts[name] for name in names if self._net.prompts.get(name)), "")

    def _room(self) -> tuple[int, int]:
        """Return how many tokens stand around a document's text, and how many the text itself may have."""
        given = (self._net.max_seq_length, _learnt_positions(self._net))
        limit = min([int(n) for n in given if n is not None and n < _NO_LIMIT] or [_USUAL_LIMIT])
        self._net.max_seq_length = limit
        around = self._width("")
        # A limit below the number of special tokens is silently none to a tokenizer.
        left = min(limit, self._width("a " * limit)) - around
        if left < 1:
            raise ModelError(
                f"The retriever {self.name!r} reads {limit} tokens at once, which its own prompt and special tokens "
                f"take up; choose another."
            )
        return around, left

    def _width(self, text: str) -> int:
        """Return how many tokens the encoder sees of a document."""
        features = self._net.preprocess([text], prompt=self._document_prompt, task="document")
        return int(features["input_ids"].shape[-1])

    def _length_of_vectors(self) -> int:
        found = self._embed(["a"], query=False, is_waited_for=True)
        if found is None or found.ndim != 2 or not found.shape[1]:
            raise ModelError(f"The retriever {self.name!r} gives no vector for a text; choose another.")
        return int(found.shape[1])

    def _lengths(self, texts: Sequence[str], stop: Stop | None) -> list[int]:
        """Return how many tokens the encoder reads of each text, with all that stands around it."""
        lengths: list[int] = []
        for begin in range(0, len(texts), _COUNTED):
            if stop is not None:
                stop.check()
            some = list(texts[begin : begin + _COUNTED])
            lengths += [min(count, self.max_tokens) + self._overhead for count in self.token_counts(some)]
        return lengths

    def _embed(self, texts: list[str], query: bool, is_waited_for: bool) -> np.ndarray | None:
        """Return vectors [len(texts), dimension] float32 as the encoder gives them; None when the memory ran out."""
        import torch

        encode = self._net.encode_query if query else self._net.encode_document
        prompt = self._query_prompt if query else self._document_prompt

        def work() -> np.ndarray:
            with self._encoding:
                found = encode(
                    texts, prompt=prompt, batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True
                )
            return found.float().cpu().numpy()  # type: ignore[no-any-return]

        try:
            vectors = in_turn(self.hardware.device, work, is_reading=not (query or is_waited_for))
        except torch.OutOfMemoryError:
            return None
        return vectors

    def _halved(self, count: int, longest: int) -> int:
        """Return the tokens of half a batch that was too large: ``count`` texts of up to ``longest`` tokens."""
        if count == 1:
            raise ModelError(
                f"The memory of the {self.hardware.device} device is too small for {self.name!r} to embed {longest} "
                f"tokens; free some of it, choose a smaller retriever, or lower retrieval_chunk_size."
            )
        return longest * (count // 2)


def _learnt_positions(net: Any) -> int | None:  # noqa: ANN401 - a SentenceTransformer
    """Return how many tokens can be told apart by a learnt position; None where positions are computed.

    The family of RoBERTa (XLM-R, MPNet, ...) counts positions from behind the padding token's number, so the first rows
    of its tables serve no token, and a text as long as the configuration allows would fail.
    """
    tables = [module for name, module in net.named_modules() if name.endswith("position_embeddings")]
    unused = [-1 if getattr(t, "padding_idx", None) is None else t.padding_idx for t in tables]
    return min((t.num_embeddings - last - 1 for t, last in zip(tables, unused, strict=True)), default=None)
