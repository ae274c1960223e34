"""Small weights for few rows: near the exact product, and used only where they are faster and lose nothing much."""

from __future__ import annotations

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn.functional import linear

from engine.hardware import detect
from engine.linear import INT4_ROWS, INT8_ROWS, FewRowsLinear, quicken
from engine.model import Model
from engine.prefix import EMPTY


def layer_of(weight: torch.Tensor, bias: bool = False) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias, dtype=torch.bfloat16)
    layer.weight.data = weight.to(torch.bfloat16)
    return layer


def many_levels(rows: int = 96, columns: int = 64) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(1))


def sixteen_levels(rows: int = 96, columns: int = 64) -> torch.Tensor:
    """Weights as a 4-bit file holds them: 16 levels between a least and a greatest for every 32."""
    random = torch.Generator().manual_seed(2)
    levels = torch.randint(0, 16, (rows, columns // 32, 32), generator=random)
    levels[..., 0], levels[..., 1] = 0, 15
    step = torch.rand(rows, columns // 32, 1, generator=random) * 0.02 + 0.001
    low = -8 * step + torch.randn(rows, columns // 32, 1, generator=random) * 0.01
    return (levels * step + low).flatten(1)


def quick(layer: torch.nn.Linear) -> torch.nn.Module:
    net = torch.nn.Sequential(copy.deepcopy(layer))
    quicken(net)
    return net[0]


def far(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found - exact).detach().float().norm() / exact.detach().float().norm())


@pytest.mark.parametrize(
    ("weight", "most", "close"), [(many_levels, INT8_ROWS, 0.01), (sixteen_levels, INT4_ROWS, 0.006)]
)
@pytest.mark.parametrize("bias", [False, True])
def test_few_rows_are_multiplied_closely_and_many_exactly(weight, most, close, bias):
    layer = layer_of(weight(), bias)
    small = quick(layer)
    assert isinstance(small, FewRowsLinear)
    for shape in ((1, 1, 64), (most, 64), (2, most // 2, 64)):
        x = torch.randn(shape, dtype=torch.bfloat16)
        found = small(x)
        assert found.shape == (*shape[:-1], 96)
        assert found.dtype is torch.bfloat16
        assert far(found, linear(x, layer.weight, layer.bias)) < close
    x = torch.randn(most + 1, 64, dtype=torch.bfloat16)
    assert torch.equal(small(x), linear(x, layer.weight, layer.bias))


def test_four_bits_are_used_only_where_they_lose_nothing():
    x = torch.randn(INT4_ROWS, 64, dtype=torch.bfloat16)
    four, eight = layer_of(sixteen_levels()), layer_of(many_levels())
    assert not torch.equal(quick(four)(x), linear(x, four.weight)), "by small weights"
    assert torch.equal(quick(eight)(x), linear(x, eight.weight)), "eight rows are too many for eight bits"


@pytest.mark.parametrize("shape", [(10, 48), (7, 5), (1, 1), (96, 40), (64, 33), (33, 128), (8, 96), (100, 32)])
def test_odd_shapes_are_computed_all_the_same(shape):
    layer = layer_of(many_levels(*shape))
    for rows in range(1, 6):
        x = torch.randn(rows, shape[1], dtype=torch.bfloat16)
        assert far(quick(layer)(x), linear(x, layer.weight)) < 0.02


def test_only_bfloat16_linear_layers_are_replaced():
    net = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.Embedding(4, 32, dtype=torch.bfloat16), torch.nn.ReLU())
    before = list(net)
    assert quicken(net) == 0
    assert list(net) == before


def test_weights_of_zeros_give_zeros():
    assert not quick(layer_of(torch.zeros(32, 32)))(torch.ones(1, 32, dtype=torch.bfloat16)).any()


def test_threads_share_a_layer():
    small = quick(layer_of(many_levels()))
    rows = [torch.randn(2, 64, dtype=torch.bfloat16) for _ in range(64)]
    expected = [small(row) for row in rows]
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(a, b) for a, b in zip(pool.map(small, rows), expected, strict=True))


def test_small_weights_can_be_switched_off():
    assert detect("cpu").small_weights is (detect("cpu").dtype == "bfloat16")
    assert not detect("cpu", exact=True).small_weights


@torch.inference_mode()
def perplexity(model: Model, ids: list[int]) -> float:
    """How surprised a model is by a text that it reads token by token, as it does what it writes."""
    cache, loss = model.decoder.forward.tail(EMPTY, 1, len(ids)), 0.0
    for place, token in enumerate(ids[:-1]):
        mask = torch.ones(1, place + 1, dtype=torch.long)
        logits = model.decoder.forward(torch.tensor([[token]]), mask, torch.tensor([[place]]), cache)
        loss -= float(logits[0].log_softmax(-1)[ids[place + 1]])
    return math.exp(loss / (len(ids) - 1))


def products(model: Model) -> list[torch.nn.Module]:
    forward = model.decoder.forward
    layers = [part for layer in forward.layers for part in (layer.qkv, layer.out, layer.gate_up, layer.down)]
    return [part.__self__ for part in (*layers, forward.head)]


@pytest.mark.models
def test_the_embedded_model_loses_no_quality(engine_models, lighthouse):
    model = engine_models[0]
    if not model.hardware.small_weights:
        pytest.skip("this CPU lacks bfloat16 instructions, so weights stay as they are")
    exact = Model("auto", hardware=detect("cpu", threads=2, exact=True))
    ids = model.token_ids(lighthouse)[:240]
    assert perplexity(model, ids) < 1.02 * perplexity(exact, ids)
    assert all(isinstance(part, FewRowsLinear) for part in products(model))
    assert not any(isinstance(part, FewRowsLinear) for part in products(exact))
