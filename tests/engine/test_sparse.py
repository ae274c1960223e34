"""Sparse prefill: what is chosen is where the attention is, and the attention over it is causal.

The kernel here is plain PyTorch of the same contract. The real one has a test too, which needs a CUDA GPU.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize, scaled_dot_product_attention

from engine import sparse
from engine.hardware import detect
from engine.sampling import Sampling
from tests.recording import run_by_transformers

DIM = 16
N = 300


def masked_attention(query, key, value, verticals, slashes):
    """The kernel's contract in plain PyTorch: causal attention over the given tokens and distances only."""
    batch, heads, n, dim = query.shape
    assert (batch, heads) == (1, 1)
    assert key.shape == value.shape == query.shape
    for chosen in (verticals, slashes):
        assert chosen.shape[:2] == (1, 1)
        assert chosen.dtype == torch.int32
        assert chosen.unique().numel() == chosen.numel(), "what is listed twice would count twice"
        assert 0 <= int(chosen.min()) <= int(chosen.max()) < n
    verticals, slashes = verticals[0, 0], slashes[0, 0]
    assert verticals.equal(verticals.sort().values)
    assert slashes.equal(slashes.sort(descending=True).values)
    assert slashes[-1] == 0, "the real kernel sees the future without the diagonal"
    distance = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    mask = torch.isin(distance, slashes) | torch.isin(torch.arange(n), verticals)[None, :]
    scores = (query.float() @ key.float().transpose(-1, -2)) * dim**-0.5
    weights = scores.masked_fill(~(mask & (distance >= 0)), -torch.inf).softmax(-1)
    return (weights @ value.float()).to(query.dtype)


@pytest.fixture
def text():
    """Query [1, 4, N, DIM], key and value [1, 2, N, DIM]: two heads share each pair of keys and values."""
    torch.manual_seed(3)
    return torch.randn(1, 4, N, DIM), torch.randn(1, 2, N, DIM), torch.randn(1, 2, N, DIM)


@pytest.mark.parametrize(("verticals", "slashes"), [(N, N), (N, 30), (30, N), (10**6, 10**6)])
@pytest.mark.parametrize("scaling", [DIM**-0.5, 0.7])
def test_looking_at_everything_is_exact_attention(text, verticals, slashes, scaling):
    query, key, value = text
    found = sparse.sparse_prefill_attention(query, key, value, scaling, masked_attention, verticals, slashes)
    exact = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=True)
    torch.testing.assert_close(found, exact.transpose(1, 2), atol=1e-5, rtol=0)


def test_half_precision_stays_half_precision(text):
    query, key, value = (t.bfloat16() for t in text)
    found = sparse.sparse_prefill_attention(query, key, value, DIM**-0.5, masked_attention, 40, 40)
    assert found.dtype is torch.bfloat16
    assert found.shape == (1, N, 4, DIM)
    assert found.isfinite().all()


@pytest.mark.parametrize("n", [1, 5, 63, 64, 65])
def test_short_texts_are_read_whole(n):
    query, key, value = torch.randn(1, 2, n, DIM), torch.randn(1, 1, n, DIM), torch.randn(1, 1, n, DIM)
    found = sparse.sparse_prefill_attention(query, key, value, 0.25, masked_attention)
    exact = scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.25, enable_gqa=True)
    torch.testing.assert_close(found, exact.transpose(1, 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("m", "n"), [(64, 300), (5, 5), (1, 7), (3, 4)])
def test_weights_are_summed_by_their_distance_back(m, n):
    weights = torch.rand(m, n, dtype=torch.float64).tril(n - m)
    expected = torch.zeros(n, dtype=torch.float64)
    for row in range(m):
        for column in range(n - m + row + 1):
            expected[n - m + row - column] += weights[row, column]
    torch.testing.assert_close(sparse.distance_sums(weights), expected)


def test_a_token_that_everybody_looks_at_is_found():
    torch.manual_seed(5)
    direction = normalize(torch.randn(DIM), dim=0)
    query, key = torch.randn(N, DIM) + 6 * direction, torch.randn(N, DIM)
    planted = [77, 141, 203]
    key[planted] = 6 * direction
    verticals, _ = sparse.choose(query[-64:], key, DIM**-0.5, 33, 30)
    assert set(verticals.tolist()) == {*range(30), *planted}, "besides the first ones, which are always looked at"


def test_a_distance_at_which_everybody_looks_is_found():
    torch.manual_seed(5)
    places = normalize(torch.randn(N, DIM * 4), dim=-1)
    distances = [50, 111]
    query = sum(torch.roll(places, distance, 0) for distance in distances) * 40
    _, slashes = sparse.choose(query[-64:], places, 1.0, 30, 32)
    assert set(slashes.tolist()) == {*range(30), *distances}, "besides the nearest ones, which are always looked at"


def test_what_was_found_carries_the_attention_and_what_was_not_does_not(text):
    """A budget of a fifth keeps a planted pattern exact, which the first and nearest tokens alone would miss."""
    torch.manual_seed(5)
    places = normalize(torch.randn(N, DIM * 4), dim=-1)
    query, key = (torch.roll(places, 111, 0) * 60)[None, None], places[None, None]
    value = torch.randn(1, 1, N, DIM * 4)
    exact = scaled_dot_product_attention(query, key, value, is_causal=True, scale=1.0).transpose(1, 2)
    found = sparse.sparse_prefill_attention(query, key, value, 1.0, masked_attention, 30, 31)
    without = sparse.sparse_prefill_attention(query, key, value, 1.0, masked_attention, 30, 30)
    # Before token 111 nobody can look that far back.
    torch.testing.assert_close(found[:, 111:], exact[:, 111:], atol=0.02, rtol=0)
    assert (without - exact)[:, 111:].abs().mean() > 0.5


def test_nothing_that_comes_later_is_seen(text):
    query, key, value = text
    before = sparse.sparse_prefill_attention(query, key, value, 0.25, masked_attention, 40, 40)
    value[:, :, 200:] += 100  # values have no say in what is chosen
    after = sparse.sparse_prefill_attention(query, key, value, 0.25, masked_attention, 40, 40)
    assert before[:, :200].equal(after[:, :200])
    assert (before[:, 200:] != after[:, 200:]).any()


def test_each_head_looks_at_its_own(text):
    query, key, value = text
    chosen = []

    def noting(*arguments):
        chosen.append(arguments[3:])
        return masked_attention(*arguments)

    together = sparse.sparse_prefill_attention(query, key, value, 0.25, noting, 40, 40)
    assert len({tuple(verticals[0, 0].tolist()) for verticals, _ in chosen}) == 4
    for head in range(4):
        pair = slice(head // 2, head // 2 + 1)
        alone = sparse.sparse_prefill_attention(
            query[:, head : head + 1], key[:, pair], value[:, pair], 0.25, masked_attention, 40, 40
        )
        torch.testing.assert_close(together[:, :, head : head + 1], alone)


def test_a_long_text_is_read_sparsely_and_a_question_after_it_exactly(tiny_model, monkeypatch):
    monkeypatch.setattr(sparse, "MIN_TOKENS", 200)
    calls = []

    def kernel(*given):
        calls.append(given[0].shape[2])
        return masked_attention(*given)

    decoder = replace(run_by_transformers(tiny_model).decoder, sparse_kernel=kernel)
    ids = [5 + n % 400 for n in range(300)]
    exact = tiny_model.decoder.read(ids)
    seen = []
    found = decoder.read(ids, on_read=seen.append)
    assert set(calls) == {300}
    assert len(calls) == 3 * 4, "every head of every layer"
    assert seen == [300]
    for ours, theirs in zip(found.keys + found.values, exact.keys + exact.values, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    calls.clear()
    rows = [[7, 8, 9], [10]]
    assert list(decoder.steps(rows, Sampling(6), found)) == list(tiny_model.decoder.steps(rows, Sampling(6), exact))
    decoder.read(ids[:199])
    decoder.read(ids, found)
    assert calls == [], "short texts, and what stands after a prefix, are read exactly"


@pytest.mark.parametrize(
    ("tokens", "head_dim", "possible"), [(16384, 128, True), (16383, 128, False), (10**6, 96, False), (10**6, 64, True)]
)
def test_only_long_texts_and_heads_that_the_kernel_takes_are_read_sparsely(tokens, head_dim, possible):
    assert sparse.can_read_sparsely(tokens, head_dim) is possible


def test_the_real_kernel_computes_what_its_contract_says():
    if not torch.cuda.is_available():
        pytest.skip("the kernel needs a CUDA GPU")
    found = detect("cuda", enable_minference=True)
    if (kernel := found.sparse_kernel()) is None:
        pytest.skip(str(found))
    shape = {"dtype": torch.float16, "device": "cuda"}
    query, key, value = torch.randn(1, 4, 1024, 64, **shape), *torch.randn(2, 1, 2, 1024, 64, **shape)
    sparsely = sparse.sparse_prefill_attention(query, key, value, 0.2, kernel)
    exact = scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.2, enable_gqa=True)
    torch.testing.assert_close(sparsely, exact.transpose(1, 2), atol=2e-2, rtol=0)
