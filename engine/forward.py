"""The forward pass of the Llama family on a CPU, with as few operations as it takes.

The same arithmetic as the transformers models it takes its weights from, without what makes these slow on a CPU: a
layer has four matrix products instead of seven (queries, keys and values at once, gate and up at once), normalises in
one operation and rotates queries and keys together. Writing a token of a small model is mostly such overhead.

Weights are taken over from the transformers model, which keeps its embeddings and what tells about it, and cannot run
any more. Models of other families run as transformers has them (``kv.StockForward``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import embedding, rms_norm, silu

from engine import kv
from engine.attention import Heads, Pass, Tail
from engine.linear import quickened
from engine.prefix import Prefix

Linear = Callable[[torch.Tensor], torch.Tensor]

# Families whose layers are computed here, by the name in their configuration.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
# Kinds of rotation that look at a token's place only; others keep in mind how long the last text was.
_ROTATIONS = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class Norm:
    """Root mean square normalisation (arXiv 1910.07467)."""

    weight: torch.Tensor
    epsilon: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last dimension."""
        return rms_norm(x, self.weight.shape, self.weight, self.epsilon)


@dataclass(frozen=True)
class Layer:
    """The weights of a layer. Head norms are there in Qwen3 only."""

    norm: Norm
    qkv: Linear
    out: Linear
    norm_after: Norm
    gate_up: Linear
    down: Linear
    query_norm: Norm | None
    key_norm: Norm | None


@dataclass(frozen=True)
class Forward:
    """A model of the family, ready to be run. Calls keep their state in their tail, so threads may share one."""

    embedding: torch.Tensor
    layers: tuple[Layer, ...]
    norm: Norm
    head: Linear
    rotary: Any
    heads: Heads

    def tail(self, prefix: Prefix, rows: int, capacity: int, dtype: torch.dtype | None = None) -> Tail:
        """Return a private tail of ``capacity`` tokens a row after ``prefix``, of a ``dtype`` that is fast here."""
        own = self.embedding.dtype
        return Tail.empty(prefix, self.heads, len(self.layers), rows, capacity, dtype if own == torch.bfloat16 else own)

    @torch.inference_mode()
    def __call__(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, tail: Tail) -> torch.Tensor:
        """Feed [batch, n] token ids after what is in the tail; return the last logits [batch, vocabulary] in float32.

        ``mask`` [batch, tokens of the tail and n] is 0 at the padding on the left; ``positions`` is [batch, n].
        """
        batch, n = ids.shape
        last = self._run(ids, mask, positions, tail).view(batch, n, -1)[:, -1]
        return self.head(self.norm(last)).float()

    @torch.inference_mode()
    def likelihood(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, tail: Tail, count: int
    ) -> torch.Tensor:
        """Feed token ids as ``__call__`` does; return [batch] float32: log p(last ``count`` tokens), their mean."""
        batch, n = ids.shape
        hidden = self._run(ids, mask, positions, tail).view(batch, n, -1)[:, -count - 1 : -1]
        logits = self.head(self.norm(hidden.reshape(batch * count, -1)))
        return kv.mean_log_likelihood(logits.view(batch, count, -1), ids[:, -count:])

    def _run(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, tail: Tail) -> torch.Tensor:
        """Return the last layer's output [batch * n, hidden size], not normalised yet."""
        batch, n = ids.shape
        hidden = embedding(ids, self.embedding).view(batch * n, -1)
        attention = Pass(tail, mask, n)
        cos, sin = (t.reshape(batch * n, 1, -1) for t in self.rotary(hidden, positions))
        half = self.heads.dim // 2
        turn = cos, torch.cat((-sin[..., :half], sin[..., half:]), -1)
        for number, layer in enumerate(self.layers):
            query, key, value = self._split(layer, layer.qkv(layer.norm(hidden)), turn)
            hidden = hidden + layer.out(attention(number, query, key, value))
            gate_up = layer.gate_up(layer.norm_after(hidden))
            gate, up = torch.split(gate_up, gate_up.shape[-1] // 2, -1)
            hidden = hidden + layer.down(silu(gate).mul_(up))
        return hidden

    def _split(
        self, layer: Layer, qkv: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys and values [tokens, heads, dim], the first two rotated (RoPE, arXiv 2104.09864)."""
        heads = self.heads
        per_head = qkv.view(-1, heads.query + 2 * heads.kv, heads.dim)
        turning = per_head[:, : heads.query + heads.kv]
        if layer.query_norm is not None and layer.key_norm is not None:
            query, key = torch.split(turning, [heads.query, heads.kv], 1)
            turning = torch.cat((layer.query_norm(query), layer.key_norm(key)), 1)
        cos, sin = turn
        turned = torch.addcmul(turning * cos, turning.roll(heads.dim // 2, -1), sin)
        return turned[:, : heads.query], turned[:, heads.query :], per_head[:, heads.query + heads.kv :]


def forward_of(net: Any, small_weights: bool) -> Forward | None:  # noqa: ANN401 - a transformers model
    """Return the forward pass of a loaded model on a CPU, or None for a model of another family or layout.

    With ``small_weights``, few rows are multiplied by small copies of the weights (linear.py).
    """
    config, inner, head = net.config.get_text_config(), net.get_decoder(), net.get_output_embeddings()
    if config.model_type not in FAMILIES or not kv.supports_shared_prefix(config) or config.hidden_act != "silu":
        return None
    heads = Heads(
        int(config.num_attention_heads), int(config.num_key_value_heads), int(inner.layers[0].self_attn.head_dim)
    )
    rotary = inner.rotary_emb
    if rotary.inv_freq.shape[0] * 2 != heads.dim or rotary.rope_type not in _ROTATIONS or not _all_plain(inner, head):
        return None
    net.register_forward_pre_hook(_is_hollow)
    return Forward(
        inner.embed_tokens.weight.detach(),
        tuple(_layer(layer, small_weights) for layer in inner.layers),
        _norm(inner.norm),
        (quickened(head) if small_weights else head).forward,
        rotary,
        heads,
    )


def _all_plain(inner: Any, head: Any) -> bool:  # noqa: ANN401 - transformers modules
    """Whether all products are by plain weights: not quantised, adapted or watched by other software."""
    parts = [head]
    for layer in inner.layers:
        attention, mlp = layer.self_attn, layer.mlp
        parts += [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
        parts += [mlp.gate_proj, mlp.up_proj, mlp.down_proj]
    dtype = inner.embed_tokens.weight.dtype
    return all(
        type(part) is torch.nn.Linear
        and part.weight.dtype == dtype
        and not (part._forward_hooks or part._forward_pre_hooks)
        for part in parts
    )


def _is_hollow(*_: object) -> None:
    raise RuntimeError("The weights of this model were taken over by a Forward; run that, or load the model again.")


def _layer(layer: Any, small_weights: bool) -> Layer:  # noqa: ANN401
    attention, mlp = layer.self_attn, layer.mlp
    head_norms = [getattr(attention, name, None) for name in ("q_norm", "k_norm")]

    def taken(*parts: torch.nn.Linear) -> Linear:
        whole = _joined(parts)
        return (quickened(whole, packed=True) if small_weights else whole).forward

    return Layer(
        _norm(layer.input_layernorm),
        taken(attention.q_proj, attention.k_proj, attention.v_proj),
        taken(attention.o_proj),
        _norm(layer.post_attention_layernorm),
        taken(mlp.gate_proj, mlp.up_proj),
        taken(mlp.down_proj),
        *(_norm(norm) if norm is not None else None for norm in head_norms),
    )


def _norm(norm: Any) -> Norm:  # noqa: ANN401 - a transformers module
    return Norm(norm.weight.detach(), float(norm.variance_epsilon))


@torch.no_grad()
def _joined(layers: Sequence[torch.nn.Linear]) -> torch.nn.Linear:
    """Return one layer that gives the outputs of all, one after the other; its weights are taken from theirs."""
    rows = sum(layer.out_features for layer in layers)
    whole = torch.nn.Linear(layers[0].in_features, rows, layers[0].bias is not None, device="meta")
    for name in ("weight", "bias"):
        parts = [getattr(layer, name) for layer in layers]
        if parts[0] is None:
            continue
        joined = torch.cat(parts) if len(parts) > 1 else parts[0].data
        setattr(whole, name, torch.nn.Parameter(joined, requires_grad=False))
        for layer, part in zip(layers, parts, strict=True):
            setattr(layer, name, torch.nn.Parameter(part.to("meta"), requires_grad=False))
    return whole
