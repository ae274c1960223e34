"""A memory in 8 bits: half the bytes, nearly the numbers, and cut, joined and saved as one in full."""

from __future__ import annotations

import pytest
import torch

from engine.prefix import EMPTY, Prefix


def prefix_of(length: int, seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> Prefix:
    """A prefix of two layers whose tokens are of very different size, as the first ones of a text are."""
    random = torch.Generator().manual_seed(seed)
    size = torch.rand(length, 1, generator=random) * 30 + 0.01
    some = [(torch.randn(1, 3, length, 64, generator=random) * size).to(dtype) for _ in range(4)]
    return Prefix(tuple(some[:2]), tuple(some[2:]))


def test_eight_bits_take_half_the_memory_and_keep_every_number_to_half_a_level():
    whole = prefix_of(50)
    small = whole.small()
    assert small.is_small
    assert not whole.is_small
    assert small.length == small.tokens == 50
    assert small.nbytes == whole.nbytes * (64 + 2) // 128
    for layer in range(2):
        for found, exact in zip(small.layer(layer, torch.float32), whole.layer(layer, torch.float32), strict=True):
            level = exact.abs().amax(-1, keepdim=True) / 127
            # Half a level, and what rounding a scale to bfloat16 adds at the largest numbers.
            assert bool(((found - exact).abs() <= level * (0.5 + 127 * 2**-8)).all())
            assert float((found - exact).norm() / exact.norm()) < 0.01


def test_zeros_stay_zeros():
    zeros = Prefix((torch.zeros(1, 1, 3, 64),), (torch.zeros(1, 1, 3, 64),))
    assert not zeros.small().layer(0, torch.float32)[0].any()


@pytest.mark.parametrize("change", [lambda p: p, Prefix.small])
def test_the_beginning_and_what_follows_are_the_whole(change):
    whole, more = change(prefix_of(20)), change(prefix_of(9, seed=1))
    joined = whole.followed_by(more)
    assert joined.length == 29
    assert joined.is_small == whole.is_small
    assert same(joined.first(20), whole)
    assert same(whole.first(20), whole)
    assert whole.first(0).length == 0
    assert same(EMPTY.followed_by(more), more)
    for layer in range(2):
        for found, part in zip(joined.layer(layer, torch.float32), more.layer(layer, torch.float32), strict=True):
            assert torch.equal(found[:, :, 20:], part)


@pytest.mark.parametrize("change", [lambda p: p, Prefix.small])
def test_tensors_are_all_there_is(change):
    whole = change(prefix_of(20))
    assert same(Prefix.from_tensors(whole.tensors()), whole)
    assert sum(t.nbytes for t in whole.tensors().values()) == whole.nbytes


def test_what_is_small_can_be_read_as_any_dtype():
    small = prefix_of(5).small()
    assert same(small.small(), small)
    full = small.full(torch.float32)
    assert not full.is_small
    assert full.keys[0].dtype == torch.float32
    assert torch.equal(full.keys[1], small.layer(1, torch.float32)[0])


def same(some: Prefix, others: Prefix) -> bool:
    ours, theirs = some.tensors(), others.tensors()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
