"""The weights that a beacon checkpoint has besides its base model, put into the stock model of transformers.

A beacon checkpoint (Activation Beacon, arXiv 2401.03462; the memory models of MemoRAG, arXiv 2409.05591) is an ordinary
model with one more token, the beacon, and with second attention projections that only beacon tokens use. Here those
projections are laid over the base ones; a forward pass names its beacon rows with ``beacon_rows``, and without such
rows the model computes what it computed before. Knows nothing about windows or memories.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch.nn.functional import linear

from engine.errors import ModelError

_FAMILIES = ("llama", "mistral", "qwen2")
_EMBEDDING = "model.beacon_embed_tokens.weight"
_ATTENTION = "model.layers.{layer}.self_attn"
_PROJECTION = re.compile(r"model\.layers\.(?P<layer>\d+)\.self_attn\.beacon_(?P<letter>[qkvo])_proj\.(weight|bias)")
# Belongs to one forward pass: every thread has a context of its own.
_rows: ContextVar[torch.Tensor | None] = ContextVar("beacon_rows", default=None)


@dataclass(frozen=True, eq=False)
class BeaconWeights:
    """What the embedding of beacons and the moving of their keys need.

    ``embedding`` is the beacon token's, [hidden]; ``frequencies`` are the rotary embedding's, [head_dim / 2], float32.
    """

    embedding: torch.Tensor
    frequencies: torch.Tensor


@contextmanager
def beacon_rows(rows: torch.Tensor | None) -> Iterator[None]:
    """Say which positions of the forward pass inside are beacons: their indices, int64 [n], or None for none."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


class BeaconProjection(torch.nn.Module):
    """A projection with other weights for beacon rows. The base may be of any kind, a quantised one too."""

    def __init__(self, base: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> None:  # noqa: ANN401
        super().__init__()
        self.base = base
        self.beacon_weight = torch.nn.Parameter(weight, requires_grad=False)
        self.beacon_bias = None if bias is None else torch.nn.Parameter(bias, requires_grad=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Project [batch, n, in] to [batch, n, out]."""
        projected: torch.Tensor = self.base(hidden)
        rows = _rows.get()
        if rows is None:
            return projected
        beacons = linear(hidden.index_select(1, rows), self.beacon_weight, self.beacon_bias)
        return projected.index_copy(1, rows, beacons.to(projected.dtype))


def attach(net: Any, folder: Path) -> BeaconWeights:  # noqa: ANN401 - a transformers model
    """Lay the beacon projections of the checkpoint in ``folder`` over the loaded stock model ``net``.

    Sliding windows are switched off for good: beacon models are trained without, whatever their configuration says.

    Raises:
        ModelError: the family or its rotary embedding is not known here, or beacon tensors are missing, unknown or of
            another shape.
    """
    frequencies = _frequencies(net)
    tensors = _read(folder)
    _check_complete(net, tensors)
    like = net.get_input_embeddings().weight
    embedding = tensors[_EMBEDDING].reshape(-1).to(like.device, like.dtype)
    if embedding.shape != like.shape[1:]:
        raise ModelError(
            f"The beacon token's embedding has {embedding.numel()} numbers; the model's tokens have {like.shape[1]}."
        )
    for layer, letter in _projections(tensors):
        _lay_over(net.get_submodule(_ATTENTION.format(layer=layer)), letter, layer, tensors, like.dtype)
    _without_sliding_window(net)
    return BeaconWeights(embedding, frequencies.to(like.device))


def _frequencies(net: Any) -> torch.Tensor:  # noqa: ANN401
    """Return the rotary frequencies [head_dim / 2] in float32, if rotating by a difference of positions moves a key."""
    family = net.config.model_type
    if family not in _FAMILIES:
        raise ModelError(f"Beacons are supported in models of the families {', '.join(_FAMILIES)}, not in {family!r}.")
    rotary = net.base_model.rotary_emb
    if rotary.rope_type != "default":
        raise ModelError(
            f"Beacons need the default rotary position embedding, but this model has {rotary.rope_type!r}; "
            "use another memory model."
        )
    frequencies: torch.Tensor = rotary.inv_freq.float()
    return frequencies


def _read(folder: Path) -> dict[str, torch.Tensor]:
    """Return every tensor of the checkpoint, in one file or several, that has to do with beacons."""
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        try:
            with safe_open(str(path), framework="pt") as file:
                tensors |= {name: file.get_tensor(name) for name in file.keys() if "beacon" in name}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ModelError(f"The model file {path.name!r} cannot be read: {error}") from error
    return tensors


def _check_complete(net: Any, tensors: Mapping[str, torch.Tensor]) -> None:  # noqa: ANN401
    """Refuse a checkpoint in which some layer lacks what another has, or with parts that would be left unused."""
    config = net.config
    letters = {letter for _, letter in _projections(tensors)} | set(getattr(config, "beacon_param", None) or "qkv")
    wanted = {_EMBEDDING}
    for layer in range(int(config.num_hidden_layers)):
        attention = _ATTENTION.format(layer=layer)
        for letter in letters & set("qkvo"):
            wanted.add(f"{attention}.beacon_{letter}_proj.weight")
            if getattr(net.get_submodule(f"{attention}.{letter}_proj"), "bias", None) is not None:
                wanted.add(f"{attention}.beacon_{letter}_proj.bias")
    if unknown := sorted(letters - set("qkvo")) or sorted(set(tensors) - wanted):
        raise ModelError(f"The checkpoint has beacon weights that are not known here, {unknown[0]!r} for one.")
    if missing := sorted(wanted - set(tensors)):
        raise ModelError(
            f"The checkpoint lacks {len(missing)} of {len(wanted)} beacon tensors, {missing[0]!r} for one; "
            "download the model again, or use a model without beacons."
        )


def _projections(names: Iterable[str]) -> list[tuple[int, str]]:
    """Return (layer, letter) of every beacon projection among the names, each once."""
    matches = (_PROJECTION.fullmatch(name) for name in names)
    return sorted({(int(match["layer"]), match["letter"]) for match in matches if match})


def _lay_over(
    attention: Any,  # noqa: ANN401 - an attention module of transformers
    letter: str,
    layer: int,
    tensors: Mapping[str, torch.Tensor],
    dtype: torch.dtype,
) -> None:
    """Replace one projection of an attention module by one that knows beacons."""
    base = getattr(attention, f"{letter}_proj")
    name = f"{_ATTENTION.format(layer=layer)}.beacon_{letter}_proj"
    weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
    if weight.shape != (base.out_features, base.in_features) or (bias is not None and bias.shape != weight.shape[:1]):
        raise ModelError(
            f"{name!r} has the shape {tuple(weight.shape)}, but the model needs "
            f"{(base.out_features, base.in_features)}; the checkpoint does not belong together."
        )
    device = base.weight.device
    moved = None if bias is None else bias.to(device, dtype)
    setattr(attention, f"{letter}_proj", BeaconProjection(base, weight.to(device, dtype), moved))


def _without_sliding_window(net: Any) -> None:  # noqa: ANN401
    config, decoder = net.config, net.base_model
    config.sliding_window = None
    if getattr(config, "layer_types", None):
        config.layer_types = ["full_attention"] * int(config.num_hidden_layers)
    decoder.has_sliding_layers = False
    for layer in decoder.layers:
        layer.self_attn.sliding_window = None
