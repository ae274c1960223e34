"""Linear layers for a CPU that writes: small weights where few rows are multiplied, the model's own where many are.

Writing multiplies a few rows with all weights at every token, so reading the weights is what takes the time, and
``torch.nn.functional.linear`` even copies bfloat16 weights into another order at every call. PyTorch's weight-only
kernels read weights of 8 or 4 bits in an order made once. Reading a text multiplies many rows, where bfloat16 is
fastest and exact, and faster still with weights that are in the kernel's own order beforehand.

Four bits are used only where they lose nothing: where a model's weights were 4-bit before they became bfloat16, as
those of the embedded model (a GGUF file). Other weights get eight bits a channel, which costs under one percent of
perplexity.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.nn.functional import linear

# Rows up to which each kernel is faster than bfloat16.
INT8_ROWS, INT4_ROWS = 4, 8
# Rows that weights are packed for: about those of a block that is read.
_MANY = 256
# Weights that share a scale and a zero: the block of the 4-bit GGUF types.
_GROUP = 32
# Rows that are rounded at once.
_PART = 4096
# Weights whose levels are found at once.
_CACHED = 2**18
# What rounding to bfloat16, twice, may change, in parts of a group's largest weight.
_ROUNDING = 2.0**-7

Kernel = Callable[[torch.Tensor], torch.Tensor]
# A kernel and the bytes of the weights that it reads.
Sized = tuple[Kernel, int]


class FewRowsLinear(torch.nn.Module):
    """A bfloat16 linear layer that multiplies up to ``most`` rows by ``kernel``, and more by its own weights.

    ``small_bytes`` are read by the kernel. A ``packed`` layer keeps its own weights in another order, for itself alone.
    """

    def __init__(self, layer: torch.nn.Linear, sized: Sized, most: int, packed: bool) -> None:
        super().__init__()
        self.bias = layer.bias
        self.in_features, self.out_features = layer.in_features, layer.out_features
        (self._kernel, self.small_bytes), self._most = sized, most
        can_pack = packed and torch._C._has_mkldnn
        self._many = _packed(layer) if can_pack else partial(linear, weight=layer.weight, bias=layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply [..., in_features] by the weights; return [..., out_features]."""
        rows = x.numel() // x.shape[-1]
        if rows > self._most:
            return self._many(x)
        product = self._kernel(x.reshape(rows, -1)).view(*x.shape[:-1], self.out_features)
        return product if self.bias is None else product + self.bias


@torch.no_grad()
def quicken(net: torch.nn.Module) -> int:
    """Replace the bfloat16 linear layers of a model on a CPU; return how many."""
    found = [
        (parent, name, layer)
        for parent in net.modules()
        for name, layer in parent.named_children()
        if type(layer) is torch.nn.Linear and layer.weight.dtype == torch.bfloat16
    ]
    replaced = 0
    for parent, name, layer in found:
        quick = quickened(layer)
        parent.register_module(name, quick)
        replaced += quick is not layer
    return replaced


def quickened(layer: torch.nn.Linear, packed: bool = False) -> torch.nn.Module:
    """Return the layer for a CPU that writes, or the layer itself where it is not bfloat16 or of an odd shape."""
    weight = layer.weight.detach()
    # The kernels do not refuse such a shape: they read beyond it.
    if weight.shape[1] % _GROUP or weight.dtype != torch.bfloat16:
        return layer
    try:
        if (kernel := _int4(weight)) is not None:
            return FewRowsLinear(layer, kernel, INT4_ROWS, packed)
        return FewRowsLinear(layer, _int8(weight), INT8_ROWS, packed)
    except RuntimeError:  # another shape that the kernels do not take
        return layer


def _packed(layer: torch.nn.Linear) -> Kernel:
    """Return the layer's product with weights in the order of oneDNN's kernel, which else is made at every call."""
    weight, bias = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _MANY), layer.bias

    def product(x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return found

    return product


def _int8(weight: torch.Tensor) -> Sized:
    """Return the product with weights [out, in] rounded to 8 bits, one scale for each output."""
    scales = (weight.abs().amax(dim=1, keepdim=True).float() / 127).clamp(min=1e-8).to(torch.bfloat16)
    # In parts: an output layer has many rows, and as float32 would take more memory than all that is kept of the model.
    parts = zip(torch.split(weight, _PART), torch.split(scales, _PART), strict=True)
    rounded = torch.cat([(w.float() / s.float()).round().clamp(-127, 127).to(torch.int8) for w, s in parts])
    scales = scales[:, 0].contiguous()

    def product(x: torch.Tensor) -> torch.Tensor:
        return torch._weight_int8pack_mm(x, rounded, scales)

    product(weight.new_zeros(1, weight.shape[1]))  # refuses here what it would refuse later
    return product, rounded.nbytes + scales.nbytes


def _levels(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """Return levels 0 to 15 [out, in] int32, least weights and steps [out, groups], or None where these lose.

    In parts that stay in the processor's cache: looking at all weights at once takes twice as long.
    """
    rows, groups = weight.shape[0], weight.shape[1] // _GROUP
    levels = torch.empty(weight.shape, dtype=torch.int32)
    low, step = torch.empty(rows, groups), torch.empty(rows, groups)
    part = max(1, _CACHED // weight.shape[1])
    for begin in range(0, rows, part):
        some = slice(begin, begin + part)
        values = weight[some].float().view(-1, groups, _GROUP)
        least, most = values.amin(-1, keepdim=True), values.amax(-1, keepdim=True)
        steps = ((most - least) / 15).clamp_(min=1e-12)
        found = ((values - least) / steps).round_()
        levels[some] = found.flatten(1)
        low[some], step[some] = least[..., 0], steps[..., 0]
        error = found.mul_(steps).add_(least).sub_(values).abs_().amax(-1, keepdim=True)
        if bool((error > _ROUNDING * torch.maximum(least.abs(), most.abs())).any()):
            return None
    return levels, low, step


def _int4(weight: torch.Tensor) -> Sized | None:
    """Return the product with weights [out, in] of 4 bits, or None where the weights have more."""
    # A large model would spend seconds on finding that none of its weights are small: a few rows mostly tell.
    if weight.shape[0] % _GROUP or _levels(weight[:_GROUP]) is None or (found := _levels(weight)) is None:
        return None
    levels, low, step = found
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 2)
    # The kernel computes (level - 8) * scale + zero.
    scales = torch.stack((step, low + 8 * step), dim=-1).transpose(0, 1).contiguous().to(torch.bfloat16)

    def product(x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed, _GROUP, scales)
        return found

    product(weight.new_zeros(1, weight.shape[1]))
    return product, packed.nbytes + scales.nbytes
