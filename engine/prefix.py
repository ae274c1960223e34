"""The KV memory's data structure: the keys and values of a text that was read once, frozen and shared by all callers.

It may be kept in 8 bits, with a scale for every key and value of a token: half the memory, and half the reading at
every question. Nothing here knows about tokens, prompts or how attention is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

Tensors = tuple[torch.Tensor, ...]
Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Prefix:
    """Keys and values of one text, for every layer: tensors of shape [1, kv_heads, length, head_dim].

    Where they are int8, a key is its head_dim numbers times its scale; scales are [1, kv_heads, length, 1].
    """

    keys: Tensors
    values: Tensors
    key_scales: Tensors = field(default=(), kw_only=True)
    value_scales: Tensors = field(default=(), kw_only=True)

    @property
    def length(self) -> int:
        """Number of keys held."""
        return int(self.keys[0].shape[-2]) if self.keys else 0

    @property
    def tokens(self) -> int:
        """Number of tokens that were read. A memory that condenses holds fewer keys than that (beacon_prefix.py)."""
        return self.length

    def peak(self, tokens: int) -> int:
        """Return how many positions are needed while ``tokens`` more tokens are read or written."""
        return self.length + tokens

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(t.numel() * t.element_size() for some in self._all().values() for t in some)

    def first(self, length: int) -> Prefix:
        """Return the first ``length`` tokens of this prefix, as views."""
        if length >= self.length:
            return self
        if not length:
            return EMPTY
        return Prefix(**{name: tuple(t[:, :, :length] for t in some) for name, some in self._all().items()})

    def followed_by(self, rest: Prefix) -> Prefix:
        """Return this prefix with what was read after it, which is kept in as many bits."""
        if not self.keys:
            return rest
        after = rest._all()
        return Prefix(
            **{
                name: tuple(torch.cat(pair, dim=-2) for pair in zip(some, after[name], strict=True))
                for name, some in self._all().items()
            }
        )

    @property
    def is_small(self) -> bool:
        """Whether keys and values are kept in 8 bits."""
        return bool(self.key_scales)

    def small(self) -> Prefix:
        """Return this prefix in 8 bits."""
        if self.is_small or not self.keys:
            return self
        keys, values = ([_rounded(t) for t in some] for some in (self.keys, self.values))
        return Prefix(
            tuple(t for t, _ in keys),
            tuple(t for t, _ in values),
            key_scales=tuple(scale for _, scale in keys),
            value_scales=tuple(scale for _, scale in values),
        )

    def full(self, dtype: torch.dtype) -> Prefix:
        """Return this prefix with keys and values of ``dtype``."""
        pairs = [self.layer(i, dtype) for i in range(len(self.keys))]
        return Prefix(tuple(keys for keys, _ in pairs), tuple(values for _, values in pairs))

    def layer(self, number: int, dtype: torch.dtype) -> Pair:
        """Return keys and values of a layer as ``dtype``."""
        keys, values = self.keys[number].to(dtype), self.values[number].to(dtype)
        if not self.is_small:
            return keys, values
        return keys * self.key_scales[number].to(dtype), values * self.value_scales[number].to(dtype)

    def _all(self) -> dict[str, Tensors]:
        held = {"keys": self.keys, "values": self.values}
        return held | {"key_scales": self.key_scales, "value_scales": self.value_scales} if self.is_small else held

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors by name, for saving."""
        return {f"{name}.{i}": t.contiguous() for name, some in self._all().items() for i, t in enumerate(some)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> Prefix:
        """Rebuild a prefix from what ``tensors`` returned."""
        names = [name for name in ("keys", "values", "key_scales", "value_scales") if f"{name}.0" in tensors]
        layers = range(len(tensors) // max(1, len(names)))
        return Prefix(**{name: tuple(tensors[f"{name}.{i}"] for i in layers) for name in names})


def _rounded(numbers: torch.Tensor) -> Pair:
    """Return [..., dim] numbers as int8 and the scale [..., 1] of each row, in bfloat16."""
    scale = (numbers.abs().amax(-1, keepdim=True).float() / 127).clamp(min=1e-20).to(torch.bfloat16)
    return (numbers.float() / scale.float()).round().clamp(-127, 127).to(torch.int8), scale


EMPTY = Prefix((), ())
