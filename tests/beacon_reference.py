"""The method of beacon memories on bare tensors, written from its description and sharing no code with the engine.

One token at a time; keys are kept un-rotated and all of them are rotated anew in every step.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn.functional import linear, rms_norm, silu

from tests.beacon_checkpoint import DIM, HEADS, KV_HEADS, LAYERS, WINDOW


@dataclass
class Reference:
    """The method on bare tensors; ``memory`` and ``window`` hold un-rotated keys and values, [heads, n, dim]."""

    folder: Path
    ratio: int
    count: int = 0
    memory: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    window: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def __post_init__(self):
        self.weights = {}
        for path in self.folder.glob("*.safetensors"):
            self.weights |= load_file(path)
        config = json.loads((self.folder / "config.json").read_text())
        self.epsilon, self.base = config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.memory = dict.fromkeys(range(LAYERS), (torch.empty(KV_HEADS, 0, DIM),) * 2)
        self.window = dict(self.memory)

    def feed(self, ids: list[int]) -> torch.Tensor:
        """Return the logits after every id: [len(ids), vocabulary]."""
        return torch.cat([self.step(token) for token in ids])

    def step(self, token: int) -> torch.Tensor:
        self.count += 1
        hidden = self.weights["model.embed_tokens.weight"][[token]]
        if self.count % self.ratio == 0:
            hidden = torch.cat([hidden, self.weights["model.beacon_embed_tokens.weight"]])
        for layer in range(LAYERS):
            hidden = hidden + self.attend(layer, self.norm(f"layers.{layer}.input_layernorm", hidden))
            inner = self.norm(f"layers.{layer}.post_attention_layernorm", hidden)
            gate, up, down = (
                self.weights[f"model.layers.{layer}.mlp.{name}_proj.weight"] for name in ("gate", "up", "down")
            )
            hidden = hidden + linear(silu(linear(inner, gate)) * linear(inner, up), down)
        if self.count % WINDOW == 0:
            self.close_window()
        return linear(self.norm("norm", hidden[:1]), self.weights["lm_head.weight"])

    def norm(self, name: str, hidden: torch.Tensor) -> torch.Tensor:
        return rms_norm(hidden, hidden.shape[-1:], self.weights[f"model.{name}.weight"], self.epsilon)

    def project(self, layer: int, letter: str, hidden: torch.Tensor) -> torch.Tensor:
        rows = []
        for index, row in enumerate(hidden):
            name = f"model.layers.{layer}.self_attn.{'beacon_' if index else ''}{letter}_proj"
            if f"{name}.weight" not in self.weights:
                name = name.replace("beacon_", "")
            rows.append(linear(row, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")))
        return torch.stack(rows)

    def attend(self, layer: int, hidden: torch.Tensor) -> torch.Tensor:
        n = len(hidden)
        query, key, value = (
            self.project(layer, letter, hidden).view(n, -1, DIM).transpose(0, 1) for letter in ("q", "k", "v")
        )
        past_keys, past_values = self.window[layer]
        self.window[layer] = torch.cat([past_keys, key], 1), torch.cat([past_values, value], 1)
        keys, values = (torch.cat(pair, 1) for pair in zip(self.memory[layer], self.window[layer], strict=True))
        length = keys.shape[1]
        keys = self.rotate(keys, torch.arange(length)).repeat_interleave(HEADS // KV_HEADS, 0)
        scores = self.rotate(query, torch.arange(length - n, length)) @ keys.transpose(1, 2) / math.sqrt(DIM)
        later = torch.ones(n, length, dtype=torch.bool).triu(length - n + 1)
        weights = scores.masked_fill(later, -math.inf).softmax(-1)
        mixed = weights @ values.repeat_interleave(HEADS // KV_HEADS, 0)
        return self.project(layer, "o", mixed.transpose(0, 1).reshape(n, -1))

    def rotate(self, tensor: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Turn number i and number i + DIM / 2 as one complex number."""
        frequencies = self.base ** -(torch.arange(0, DIM, 2) / DIM)
        turn = torch.polar(torch.ones(len(positions), DIM // 2), positions[:, None] * frequencies)
        turned = torch.complex(tensor[..., : DIM // 2], tensor[..., DIM // 2 :]) * turn
        return torch.cat([turned.real, turned.imag], -1)

    def close_window(self) -> None:
        for layer in range(LAYERS):
            kept = [tensor[:, self.ratio :: self.ratio + 1] for tensor in self.window[layer]]
            self.memory[layer] = tuple(torch.cat(pair, 1) for pair in zip(self.memory[layer], kept, strict=True))
            self.window[layer] = (torch.empty(KV_HEADS, 0, DIM),) * 2

    def greedy(self, question: list[int], steps: int) -> tuple[torch.Tensor, list[int]]:
        rows = [self.feed(question)[-1:]]
        for _ in range(steps):
            rows.append(self.feed([int(rows[-1].argmax())]))
        return torch.cat(rows), [int(row.argmax()) for row in rows]
