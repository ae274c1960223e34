"""A model's forward pass that keeps in mind what it was fed, that of transformers, and the logits of a decoder."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from engine import kv
from engine.decoding import Decoder
from engine.model import Model


@dataclass(frozen=True)
class Recording:
    """Another forward pass and, of each pass, its number of rows and of tokens in each."""

    forward: Any
    passes: list[tuple[int, int]] = field(default_factory=list)

    def tail(self, *given: Any, **named: Any) -> Any:
        return self.forward.tail(*given, **named)

    def __call__(self, ids: Any, *given: Any, **named: Any) -> Any:
        self.passes.append(tuple(ids.shape))
        return self.forward(ids, *given, **named)


@contextmanager
def recorded(model: Model) -> Iterator[list[tuple[int, int]]]:
    """Yield the passes of a model inside the block."""
    decoder = model.decoder
    recording = Recording(decoder.forward)
    model.decoder = replace(decoder, forward=recording)
    try:
        yield recording.passes
    finally:
        model.decoder = decoder


def prefill(decoder: Decoder, ids: torch.Tensor, mask: torch.Tensor, tail: Any) -> torch.Tensor:
    """Feed [batch, n] ids as generation does; return the last logits [batch, vocabulary]."""
    *_, logits = decoder._in_turns(decoder._feeding(ids, mask, tail, None))
    assert isinstance(logits, torch.Tensor)
    return logits


def run_by_transformers(model: Model) -> Model:
    """Return the same float32 model, run as transformers has it, with a shared prefix."""
    twin, net = copy.copy(model), AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.float32).eval()
    net.set_attn_implementation(kv.SHARED_PREFIX)
    twin.decoder = replace(model.decoder, net=net, forward=kv.StockForward(net, shares_prefix=True))
    return twin
