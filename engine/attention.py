"""Attention of one pass through a model over a shared prefix and a private tail, on a CPU.

Plain matrix products and one softmax over prefix and tail. PyTorch's fused kernel takes several times as long here: it
rearranges keys for every few queries, where a product does so once. Scores are rounded to the model's dtype, as in the
"eager" attention of transformers.

Tensors of a tail stand heads first, [kv_heads * batch, capacity, head_dim]: queries of all rows then multiply the
prefix, which every row shares, as they stand. Knows nothing about weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from engine.prefix import Prefix

# Scores held at once: of a long text, queries take turns.
_SCORES = 2**25
# Tails of at most so many tokens, all rows together, are kept in float32, whose small products are faster.
_EXACT_TAIL = 1024
# Tails are looked at in steps of so many tokens: for every new shape, products are prepared anew.
_SHAPE = 64


@dataclass(frozen=True)
class Heads:
    """How many heads ask, how many are asked, and their size."""

    query: int
    kv: int
    dim: int

    @property
    def groups(self) -> int:
        """Query heads that share a key."""
        return self.query // self.kv


class Tail:
    """One call's own keys and values of at most ``capacity`` tokens a row, after ``prefix``."""

    def __init__(self, prefix: Prefix, heads: Heads, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Take tensors [layers, kv_heads * batch, capacity, head_dim] of zeros: unwritten ones are multiplied too."""
        self.prefix, self.heads, self.keys, self.values, self.used = prefix, heads, keys, values, 0

    @classmethod
    def empty(
        cls, prefix: Prefix, heads: Heads, layers: int, rows: int, capacity: int, dtype: torch.dtype | None
    ) -> Tail:
        """Return a tail for ``rows`` rows, in bfloat16 or, where it is small, float32, unless ``dtype`` is given."""
        small = torch.float32 if rows * capacity <= _EXACT_TAIL else torch.bfloat16
        shape = (layers, heads.kv * rows, capacity, heads.dim)
        return cls(prefix, heads, *(torch.zeros(shape, dtype=dtype or small) for _ in range(2)))

    @property
    def capacity(self) -> int:
        """Most tokens of a row."""
        return int(self.keys.shape[2])

    def by_row(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return keys or values as [layers, kv_heads, batch, capacity, head_dim]."""
        return tensor.view(len(tensor), self.heads.kv, -1, *tensor.shape[2:])

    def rows(self, mask: torch.Tensor) -> list[Tail]:
        """Return a tail of its own for every row, to be filled by itself; this one then counts as filled.

        ``mask`` [batch, length] is 0 at the padding on the left, which is left out.
        """
        length = mask.shape[1]
        first = (length - mask.sum(-1)).tolist()
        found = [
            Tail(self.prefix, self.heads, *(self.by_row(t)[:, :, row, begin:length] for t in (self.keys, self.values)))
            for row, begin in enumerate(first)
        ]
        self.used = length
        return found

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some rows only."""
        self.keys, self.values = (self.by_row(t)[:, :, rows].flatten(1, 2) for t in (self.keys, self.values))

    def freeze(self) -> Prefix:
        """Return what was read into the tail (a batch of one) as a prefix of its own."""
        keys, values = (t[:, None, :, : self.used] for t in (self.keys, self.values))
        if self.used < self.capacity:
            keys, values = keys.clone(), values.clone()
        return Prefix(tuple(keys.unbind(0)), tuple(values.unbind(0)))


class Pass:
    """Attention of the next ``n`` tokens of every row, for each layer in turn."""

    def __init__(self, tail: Tail, mask: torch.Tensor, n: int) -> None:
        """Take the padding mask [batch, tokens so far and n], 0 where a token of the tail is padding."""
        self._batch, self._n, self._heads = mask.shape[0], n, tail.heads
        self._prefix, self._scale = tail.prefix, tail.heads.dim**-0.5
        begin, end = tail.used, tail.used + n
        seen = min(tail.capacity, -(-end // _SHAPE) * _SHAPE)
        if n == 1 and 2 * seen > tail.capacity:  # a part of a tail would be copied for every product
            seen = tail.capacity
        self._new_keys, self._new_values = (
            tail.by_row(t)[:, :, :, begin:end].unbind(0) for t in (tail.keys, tail.values)
        )
        self._keys, self._values = (t[:, :, :seen].unbind(0) for t in (tail.keys, tail.values))
        # Without padding, every token sees what stands before the pass.
        self._masked = begin if bool(mask.all()) else 0
        self._mask = self._hidden(mask, begin, seen).to(tail.keys.dtype)
        self._at_once = max(1, _SCORES // (tail.keys.shape[1] * (seen + self._prefix.length)))
        tail.used = end

    def _hidden(self, mask: torch.Tensor, begin: int, seen: int) -> torch.Tensor:
        """Return what is added to the scores of the tail's last tokens [1 or kv_heads * batch, n * groups, last].

        Not minus infinity: a row of padding may look nowhere in its tail, and must not become NaN.
        """
        visible = (torch.arange(self._masked, seen) <= begin + torch.arange(self._n)[:, None])[None]
        if not self._masked:
            visible = visible & pad(mask, (0, seen - mask.shape[1])).bool()[:, None]
        hidden = torch.zeros(visible.shape).masked_fill(~visible, -1e30).repeat_interleave(self._heads.groups, 1)
        return hidden if len(hidden) == 1 else hidden.repeat(self._heads.kv, 1, 1)

    def __call__(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Keep keys and values [batch * n, kv_heads, dim]; return [batch * n, heads * dim] for queries like them."""
        heads, rows = self._heads, (self._batch, self._n, self._heads.kv, self._heads.dim)
        self._new_keys[layer].copy_(key.view(rows).permute(2, 0, 1, 3))
        self._new_values[layer].copy_(value.view(rows).permute(2, 0, 1, 3))
        grouped = query.view(self._batch, self._n, heads.kv, heads.groups, heads.dim).permute(2, 0, 1, 3, 4)
        asked = grouped.reshape(heads.kv * self._batch, -1, heads.dim)
        if asked.shape[1] <= self._at_once:
            found = self._attend(layer, asked, self._mask)
        else:
            turns = zip(*(torch.split(t, self._at_once, 1) for t in (asked, self._mask)), strict=True)
            found = torch.cat([self._attend(layer, some, mask) for some, mask in turns], 1)
        order = found.view(heads.kv, self._batch, self._n, heads.groups, heads.dim).permute(1, 2, 0, 3, 4)
        return order.reshape(self._batch * self._n, -1).to(query.dtype)

    def _attend(self, layer: int, query: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the attention of queries [kv_heads * batch, m, dim], in their shape."""
        keys, values, prefix = self._keys[layer], self._values[layer], self._prefix
        own = self._scores(query.to(keys.dtype), keys)
        own[..., self._masked :] += mask
        if not prefix.keys:
            return torch.bmm(torch.softmax(own, -1), values)
        shared = query.reshape(self._heads.kv, -1, self._heads.dim)
        past_keys, past_values = (t[layer][0].to(query.dtype) for t in (prefix.keys, prefix.values))
        past = self._scores(shared, past_keys)
        if prefix.is_small:  # scaling scores and weights is less work than scaling keys and values
            past *= prefix.key_scales[layer][0].transpose(1, 2)
        weights = torch.softmax(torch.cat((past.view(*own.shape[:2], prefix.length), own), -1), -1)
        past_weights = weights[..., : prefix.length].view(past.shape).to(query.dtype)
        if prefix.is_small:
            past_weights = past_weights * prefix.value_scales[layer][0].transpose(1, 2)
        found = torch.bmm(past_weights, past_values).view(query.shape)
        return found + torch.bmm(weights[..., prefix.length :], values)

    def _scores(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return scaled products [heads, m, length] of [heads, m, dim] and [heads, length, dim]."""
        nothing = query.new_zeros(1, 1, 1)
        return torch.baddbmm(nothing, query, keys.transpose(1, 2), beta=0, alpha=self._scale)
