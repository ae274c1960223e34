"""Intervals: what they hold, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.intervals import Interval, difference_interval, mean_interval, ratio_interval

SHARES = st.lists(st.floats(0, 1, width=32), min_size=5, max_size=40)


def test_nothing_has_no_interval():
    assert mean_interval([]) is None
    assert difference_interval([], []) is None
    assert ratio_interval([], []) is None
    assert ratio_interval([0.5, 1.0], [0.0, 0.0]) is None


def test_a_few_questions_have_a_mean_and_no_interval():
    assert mean_interval([0.0, 1.0, 1.0]) == Interval(pytest.approx(2 / 3), None, None, 3)


@given(SHARES)
def test_a_mean_lies_in_its_interval_and_that_between_the_values(values):
    found = mean_interval(values)
    assert found.n == len(values)
    assert found.value == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= max(values) + 1e-9


@given(SHARES)
def test_like_against_like_makes_no_difference(values):
    same = difference_interval(values, values)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    if any(value > 0.01 for value in values):
        ratio = ratio_interval(values, values)
        assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1, 1, 1))
        twice = ratio_interval([2 * value for value in values], values)
        assert (twice.value, twice.low, twice.high) == pytest.approx((2, 2, 2))


def test_pairs_tell_a_small_difference_that_two_means_cannot():
    rng = np.random.default_rng(1)
    theirs = rng.random(100)
    ours = theirs + 0.05
    found = difference_interval(list(ours), list(theirs))
    assert 0 < found.low <= 0.05 + 1e-9
    assert mean_interval(list(ours)).low < mean_interval(list(theirs)).high
    assert ratio_interval(list(ours), list(theirs)).low > 1


def test_about_ninety_five_of_a_hundred_intervals_hold_the_truth():
    rng = np.random.default_rng(5)
    held = 0
    for trial in range(200):
        found = mean_interval(list((rng.random(80) < 0.3).astype(float)), seed=trial)
        held += found.low <= 0.3 <= found.high
    assert 180 <= held <= 198


def test_the_same_seed_gives_the_same_interval():
    values = list(np.random.default_rng(2).random(30))
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values) != mean_interval(values, seed=1)
