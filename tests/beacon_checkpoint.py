"""Tiny random beacon checkpoints, saved as published ones are, and how tests load them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from engine import kv
from engine.beacon import Beacons
from engine.beacon_prefix import BeaconPrefix, config_of
from engine.prefix import Prefix

WINDOW, HEADS, KV_HEADS, DIM, VOCABULARY, LAYERS = 16, 4, 2, 8, 97, 2
CLOSE = 1e-4
# Family, projections with beacon weights. Sliding windows far shorter than the text: they must never be applied.
KINDS = {
    "qwen2-qkv": ("qwen2", "qkv", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}),
    "qwen2-qkvo": ("qwen2", "qkvo", {}),
    "mistral-qkvo": ("mistral", "qkvo", {"sliding_window": 4}),
    "llama-qkv": ("llama", "qkv", {}),
}
GENERATOR = torch.Generator().manual_seed(11)
TEXT = torch.randint(VOCABULARY, (200,), generator=GENERATOR).tolist()
QUESTION = torch.randint(VOCABULARY, (9,), generator=GENERATOR).tolist()


def make_checkpoint(folder: Path, kind: str = "qwen2-qkv", **fields: object) -> Path:
    """Save a tiny random model with beacon weights, in several files."""
    family, letters, options = KINDS[kind]
    known = {"beacon_window": WINDOW, "beacon_stride": WINDOW, "beacon_ratio": [2, 4, 8], "beacon_sink_size": 0}
    known |= {"beacon_pos": "interleave", "beacon_attn": "full-coverage", "beacon_param": list(letters)}
    config = AutoConfig.for_model(
        family,
        vocab_size=VOCABULARY,
        hidden_size=HEADS * DIM,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        initializer_range=0.3,
        tie_word_embeddings=False,
        **(known | options | fields),
    )
    torch.manual_seed(5)
    net = AutoModelForCausalLM.from_config(config)
    for name, tensor in net.named_parameters():
        if name.endswith(".bias"):
            torch.nn.init.normal_(tensor, std=0.3)
    net.save_pretrained(str(folder), max_shard_size="20KB")
    extra = {"model.beacon_embed_tokens.weight": torch.randn(1, HEADS * DIM) * 0.3}
    for name, tensor in net.state_dict().items():
        before, _, letter = name.rpartition(".")[0].rpartition("self_attn.")
        if before and letter[0] in letters:
            extra[name.replace(letter, f"beacon_{letter}")] = torch.randn_like(tensor) * 0.3
    save_file(extra, folder / "model-beacons.safetensors", metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    listed = json.loads(index.read_text())
    listed["weight_map"] |= dict.fromkeys(extra, "model-beacons.safetensors")
    index.write_text(json.dumps(listed))
    return folder


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Let ``edit`` change the dictionary of beacon tensors of a checkpoint."""
    path = folder / "model-beacons.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def load_net(folder: Path, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, attn_implementation="sdpa").eval()


def load_beacons(folder: Path, ratio: int = 4, shared: bool = True, dtype: torch.dtype = torch.float32) -> Beacons:
    kv.register()
    net = load_net(folder, dtype)
    beacons = Beacons.attach(net, folder, config_of(net.config, ratio))
    assert kv.supports_shared_prefix(net.config)
    if shared:
        net.set_attn_implementation(kv.SHARED_PREFIX)
    return beacons


def distance(some: torch.Tensor, other: torch.Tensor) -> float:
    assert some.shape == other.shape
    return float((some - other).abs().max())


def copies(prefix: Prefix) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in (*prefix.keys, *prefix.values)]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return len(some) == len(others) and all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def greedy(
    beacons: Beacons, prefix: BeaconPrefix, question: list[int], steps: int, block: int = 5
) -> tuple[torch.Tensor, list[int]]:
    """Return the logits after the question and after each of ``steps`` tokens, and the likeliest tokens."""
    session = beacons.session(prefix, len(question) + steps, block)
    rows = [session.feed(question)]
    for _ in range(steps):
        rows.append(session.feed([int(rows[-1].argmax())]))
    return torch.cat(rows), [int(row.argmax()) for row in rows]
