"""The commonest sentence encoder, run without sentence-transformers: BERT, the mean over its tokens, unit length.

The same tokens, batches and operations as that library's, so the same vectors to the last bit; but importing the
library takes a second, because it brings everything that trains and compares encoders. ``load`` takes only folders in
which every file says what is known here, and leaves all others to the library.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from engine.hardware import Hardware

# What each file may say, and nothing else: a setting that is not known may change the vectors.
_LAYERS = ("Transformer", "Pooling", "Normalize")
_POOLING_SIZE = frozenset({"word_embedding_dimension", "embedding_dimension"})
_MEAN = "pooling_mode_mean_tokens"
# Of the library that saved the folder; of no influence on vectors.
_NOTES = frozenset({"__version__", "similarity_fn_name", "model_type"})


class SentenceNet(torch.nn.Module):
    """A BERT model and its tokenizer; called with features, it returns unit vectors [batch, hidden size].

    Has those parts of a SentenceTransformer that an ``Encoder`` uses.
    """

    def __init__(self, net: Any, tokenizer: Any, max_seq_length: int) -> None:  # noqa: ANN401 - of transformers
        super().__init__()
        self.net, self.tokenizer, self.max_seq_length = net, tokenizer, max_seq_length
        self.prompts: dict[str, str] = {}

    def __getitem__(self, number: int) -> SentenceNet:
        """Return the first part, which has the tokenizer: it is the whole."""
        return (self,)[number]

    def preprocess(self, texts: Sequence[str], **_: object) -> dict[str, torch.Tensor]:
        """Tokenize; return token ids and mask [texts, longest]. There are no prompts that tasks could need."""
        found = self.tokenizer(
            list(texts), padding=True, truncation="longest_first", max_length=self.max_seq_length, return_tensors="pt"
        )
        return dict(found)

    def forward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the unit vectors [batch, hidden size] of tokenized texts."""
        tokens = self.net(**features).last_hidden_state
        wide = torch.float32 if tokens.dtype in (torch.float16, torch.bfloat16) else tokens.dtype
        mask = features["attention_mask"].unsqueeze(-1).to(tokens.dtype)
        count = mask.sum(dim=1, dtype=wide).clamp(min=1e-9)
        mean = (tokens * mask).sum(dim=1, dtype=wide) / count
        return normalize(mean.to(tokens.dtype), p=2, dim=1)

    @torch.inference_mode()
    def encode_document(self, texts: Sequence[str], **_: object) -> torch.Tensor:
        """Return unit vectors [texts, hidden size] of one batch."""
        order = np.argsort([-len(text) for text in texts])
        device = next(self.net.parameters()).device
        features = {name: t.to(device) for name, t in self.preprocess([texts[i] for i in order]).items()}
        vectors: torch.Tensor = self(features)
        return vectors[torch.from_numpy(np.argsort(order)).to(device)]

    encode_query = encode_document


def load(folder: Path, hardware: Hardware) -> SentenceNet | None:
    """Return the encoder in ``folder``, or None where it is of another kind, which sentence-transformers can load.

    Raises:
        OSError, ValueError, RuntimeError, SafetensorError: its weights or its tokenizer cannot be loaded.
    """
    limit = _limit(folder)
    if limit is None:
        return None
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, model_max_length=limit)
    net = AutoModel.from_pretrained(
        str(folder), dtype=hardware.torch_dtype, local_files_only=True, use_safetensors=True
    )
    return SentenceNet(net.to(hardware.device), tokenizer, limit)


def _limit(folder: Path) -> int | None:
    """Return how many tokens the encoder in ``folder`` reads at once; None where it is not of the known kind."""
    try:
        layers = [(layer["type"].rpartition(".")[2], layer["path"]) for layer in _said(folder / "modules.json")]
        kinds, places = zip(*layers, strict=True)
        transformer = _said(folder / "sentence_bert_config.json")
        pooling = _said(folder / places[1] / "config.json")
        notes, net = _said(folder / "config_sentence_transformers.json"), _said(folder / "config.json")
        limit = transformer.pop("max_seq_length")
        modes = {name for name, is_on in pooling.items() if name not in _POOLING_SIZE and is_on}
        known = (
            (kinds, places[0]) == (_LAYERS, ""),
            net["model_type"] == "bert" and net["architectures"] == ["BertModel"],
            net["max_position_embeddings"] >= limit,
            not any(transformer.values()) and transformer.keys() <= {"do_lower_case"},
            modes == {_MEAN} and all(name.startswith("pooling_mode_") for name in pooling.keys() - _POOLING_SIZE),
            notes.keys() <= _NOTES,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return int(limit) if all(known) else None


def _said(file: Path) -> Any:  # noqa: ANN401 - what JSON holds
    return json.loads(file.read_text("utf-8"))
