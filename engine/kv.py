"""How a transformers model continues from a prefix that all callers share, with a private tail per call.

A ``TailCache`` lets a batch of sequences continue from a ``Prefix``: their own keys and values go to a small
preallocated tail, and the prefix is never copied, grown or written.
Attention over prefix and tail is computed apart and merged exactly by log-sum-exp (the identity FlashAttention uses to
join blocks, arXiv 2205.14135); the prefix is read once for the whole batch, because it is the same for every row.

Models whose attention this cannot replace (sliding windows, soft-capped scores) get keys joined with the prefix
instead: the same numbers, more memory traffic. Nothing here knows about tokens or prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from engine.hardware import SparseKernel
from engine.prefix import Pair, Prefix
from engine.sparse import sparse_prefill_attention

SHARED_PREFIX = "memorag_shared_prefix"
_KEY_BLOCK = 4096


class TailLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's private tail of at most ``capacity`` tokens, preallocated on first use."""

    is_sliding = False

    def __init__(self, capacity: int, prefix: tuple[torch.Tensor, torch.Tensor] | None, joined: bool) -> None:
        super().__init__()
        self.capacity, self.used, self.prefix = capacity, 0, prefix
        self.joined = joined and prefix is not None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate the tail: [batch, kv_heads, capacity, head_dim]."""
        batch, heads, _, dim = key_states.shape
        self.keys = key_states.new_empty(batch, heads, self.capacity, dim)
        self.values = value_states.new_empty(batch, heads, self.capacity, value_states.shape[-1])
        self.is_initialized = True

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: object,
        **kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [batch, kv_heads, n, head_dim]; return all keys and values that attention has to see."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.used + key_states.shape[-2]
        self.keys[:, :, self.used : end] = key_states
        self.values[:, :, self.used : end] = value_states
        self.used = end
        keys, values = self.keys[:, :, :end], self.values[:, :, :end]
        if not self.joined or self.prefix is None:
            return keys, values
        batch = key_states.shape[0]
        past_keys, past_values = (t.expand(batch, -1, -1, -1) for t in self.prefix)
        return torch.cat([past_keys, keys], dim=-2), torch.cat([past_values, values], dim=-2)

    def get_seq_length(self) -> int:
        """Return how many tokens the masks have to count: the prefix only where keys are joined with it."""
        return self.used + (self.prefix[0].shape[-2] if self.joined and self.prefix else 0)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return (key length, offset) for the attention mask."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """Return -1: the mask has no maximum length."""
        return -1


class TailCache(Cache):  # type: ignore[misc]
    """What a model's forward pass takes as ``past_key_values`` to continue from ``prefix``."""

    def __init__(self, prefix: Prefix, layers: int, capacity: int, joined: bool = False) -> None:
        self.prefix, self.joined = prefix, joined
        pairs: Sequence[Pair | None]
        pairs = list(zip(prefix.keys, prefix.values, strict=True)) or [None] * layers
        super().__init__(layers=[TailLayer(capacity, pair, joined) for pair in pairs])

    def rows(self, mask: torch.Tensor) -> list[TailCache]:
        """Return nothing: rows are filled together."""
        return []

    def forward_arguments(self) -> dict[str, Any]:
        """Return what has to be passed to the model besides ``past_key_values``."""
        return {} if self.joined or not self.prefix.keys else {"shared_prefix": self.prefix}

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some rows only."""
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[rows], layer.values[rows]

    def freeze(self) -> Prefix:
        """Return what was read into the tail (a batch of one without prefix) as a prefix of its own.

        A full tail is handed over as it is; of another the used part is copied out, so that the rest is not kept alive.
        """
        return Prefix(
            tuple(_used(layer.keys, layer.used) for layer in self.layers),
            tuple(_used(layer.values, layer.used) for layer in self.layers),
        )


def _used(tail: torch.Tensor, used: int) -> torch.Tensor:
    return tail if tail.shape[-2] == used else tail[:, :, :used].clone()


@dataclass(frozen=True)
class StockForward:
    """The forward pass of a model as transformers has it. ``shares_prefix``: its attention is ``SHARED_PREFIX``."""

    net: Any
    shares_prefix: bool

    def tail(self, prefix: Prefix, rows: int, capacity: int, dtype: torch.dtype | None = None) -> TailCache:
        """Return a private tail of ``capacity`` tokens a row after ``prefix``, in the model's dtype."""
        layers = int(self.net.config.get_text_config().num_hidden_layers)
        return TailCache(prefix, layers, capacity, joined=not self.shares_prefix)

    def __call__(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, tail: TailCache, **more: object
    ) -> torch.Tensor:
        """Feed [batch, n] token ids; return the last logits [batch, vocabulary] in float32. See ``forward.Forward``."""
        return self._logits(ids, mask, positions, tail, 1, **more)[:, -1].float()

    def likelihood(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, tail: TailCache, count: int
    ) -> torch.Tensor:
        """Feed [batch, n] token ids; return [batch] float32: log p(last ``count`` tokens), their mean."""
        logits = self._logits(ids, mask, positions, tail, count + 1)
        return mean_log_likelihood(logits[:, :-1], ids[:, -count:])

    def _logits(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, tail: TailCache, kept: int, **more: object
    ) -> torch.Tensor:
        """Return the logits [batch, kept, vocabulary] of the last tokens."""
        if tail.joined and tail.prefix.keys:
            past = mask.new_ones(mask.shape[0], tail.prefix.length)
            mask = torch.cat([past, mask], dim=1)
        output = self.net(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=tail,
            use_cache=True,
            logits_to_keep=kept,
            **tail.forward_arguments(),
            **more,
        )
        logits: torch.Tensor = output.logits[:, -kept:]
        return logits


def mean_log_likelihood(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return [batch] float32 from logits [batch, n, vocabulary] and the tokens [batch, n] that came."""
    chosen = logits.gather(-1, targets[..., None])[..., 0].float()
    return (chosen - logits.float().logsumexp(-1)).mean(-1)


def shared_prefix_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    shared_prefix: Prefix | None = None,
    sparse_kernel: SparseKernel | None = None,
    **kwargs: Any,  # noqa: ANN401 - transformers passes what it likes
) -> tuple[torch.Tensor, None]:
    """Attention of [batch, heads, n, head_dim] queries over a shared prefix and their own tail.

    Without a prefix this is stock SDPA, or sparse attention where a kernel for it is given. Returns
    [batch, n, heads, head_dim] like every transformers attention.
    """
    if sparse_kernel is not None:
        scale = scaling if scaling is not None else query.shape[-1] ** -0.5
        return sparse_prefill_attention(query, key, value, scale, sparse_kernel), None
    if shared_prefix is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)  # type: ignore[no-any-return]
    batch, heads, n, dim = query.shape
    groups = heads // key.shape[1]
    scale = scaling if scaling is not None else dim**-0.5
    tail_mask = _additive(attention_mask, n, key.shape[-2], query)
    tail_query = query.reshape(batch, key.shape[1], groups * n, dim)
    tail, tail_lse = _attend(tail_query, key, value, scale, tail_mask.repeat(1, 1, groups, 1))
    # Every row sees the same prefix, so rows become further queries of a batch of one: it is read once.
    flat = tail_query.transpose(0, 1).reshape(1, key.shape[1], batch * groups * n, dim)
    past, past_lse = _attend(flat, *shared_prefix.layer(int(module.layer_idx), query.dtype), scale, None)  # type: ignore[arg-type]
    past = past.view(key.shape[1], batch, groups * n, -1).transpose(0, 1)
    past_lse = past_lse.view(key.shape[1], batch, groups * n, 1).transpose(0, 1)
    weight = torch.sigmoid(past_lse - tail_lse)
    merged = (past * weight + tail * (1 - weight)).to(query.dtype)
    return merged.reshape(batch, heads, n, -1).transpose(1, 2).contiguous(), None


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the attention output in float32 and the log-sum-exp of its scores (last dimension 1)."""
    if query.device.type == "cpu":
        # PyTorch's fused kernel: it too computes scores in float32, and reads keys and values once, as they are.
        output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, False, attn_mask=mask, scale=scale
        )
        return output.float(), lse.unsqueeze(-1)
    return _attend_in_blocks(query, key, value, scale, mask)


def _attend_in_blocks(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do what ``_attend`` does with plain operations, for devices without a kernel that gives the log-sum-exp.

    Scores are computed in float32: in half precision large ones would be rounded to other weights. Keys are taken in
    blocks, so that a long prefix costs no memory in proportion to its length times the queries.
    """
    scaled = query.float() * scale
    output, lse = torch.empty(0), torch.empty(0)
    for begin in range(0, key.shape[-2], _KEY_BLOCK):
        part = slice(begin, begin + _KEY_BLOCK)
        scores = torch.matmul(scaled, key[..., part, :].float().transpose(-1, -2))
        if mask is not None:
            scores = scores + mask[..., part]
        part_lse = torch.logsumexp(scores, dim=-1, keepdim=True)
        weights = torch.exp(scores - part_lse).to(value.dtype)
        part_output = torch.matmul(weights, value[..., part, :]).float()
        if begin == 0:
            output, lse = part_output, part_lse
            continue
        total = torch.logaddexp(lse, part_lse)
        output = output * torch.exp(lse - total) + part_output * torch.exp(part_lse - total)
        lse = total
    return output, lse


def _additive(mask: torch.Tensor | None, n: int, length: int, like: torch.Tensor) -> torch.Tensor:
    """Return a float32 mask [batch or 1, 1, n, length]: 0 where a query may look, very low where it may not.

    Not minus infinity: a row of padding may look nowhere in its tail, and must not become NaN.
    """
    if mask is None:
        positions = torch.arange(length, device=like.device)
        mask = (positions[None, :] <= positions[length - n :, None])[None, None]
    if mask.dtype != torch.bool:
        return mask[..., :length].float().clamp(min=-1e30)
    return torch.zeros(mask.shape, device=like.device).masked_fill(~mask, -1e30)


def supports_shared_prefix(config: Any) -> bool:  # noqa: ANN401 - any transformers configuration
    """Whether ``shared_prefix_attention`` computes the same as the model's own attention."""
    types = getattr(config, "layer_types", None) or ["full_attention"]
    capped = getattr(config, "attn_logit_softcapping", None)
    window = getattr(config, "sliding_window", None) if not hasattr(config, "layer_types") else None
    return set(types) == {"full_attention"} and not capped and not window


def register() -> None:
    """Make the attention known to transformers under ``SHARED_PREFIX``; doing it again changes nothing."""
    AttentionInterface.register(SHARED_PREFIX, shared_prefix_attention)
    AttentionMaskInterface.register(SHARED_PREFIX, sdpa_mask)
