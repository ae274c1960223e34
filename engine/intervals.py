"""How sure a mean is: intervals of means, of differences and of ratios, by drawing the questions again and again.

Intervals are percentiles of a bootstrap over questions (Efron 1979), which takes them as independent of each other,
also those about one document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES, _LOW, _HIGH = 2000, 2.5, 97.5
# Fewer questions say nothing about their spread.
_LEAST = 5


@dataclass(frozen=True)
class Interval:
    """A figure, the ends of its 95 % interval (None for fewer than five questions), and how many it comes from."""

    value: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval | None:
    """Return the mean of values with its interval; None without values."""
    return difference_interval(values, [0.0] * len(values), seed)


def difference_interval(ours: Sequence[float], theirs: Sequence[float], seed: int = 0) -> Interval | None:
    """Return the mean of ours minus theirs, pair by pair (one pair a question); None without pairs."""
    if not ours:
        return None
    pairs = np.array(ours, dtype=float) - np.array(theirs, dtype=float)
    return _interval(float(pairs.mean()), pairs[_drawn(len(pairs), seed)].mean(axis=1), len(pairs))


def ratio_interval(ours: Sequence[float], theirs: Sequence[float], seed: int = 0) -> Interval | None:
    """Return how many times the mean of theirs the mean of ours is; pairs are drawn together (one pair a question).

    None without pairs, and where the mean of theirs is zero. Draws in which it is zero are left out.
    """
    if not ours or not any(theirs):
        return None
    above, below = np.array(ours, dtype=float), np.array(theirs, dtype=float)
    rows = _drawn(len(above), seed)
    tops, bases = above[rows].mean(axis=1), below[rows].mean(axis=1)
    return _interval(float(above.mean() / below.mean()), tops[bases > 0] / bases[bases > 0], len(above))


def _drawn(count: int, seed: int) -> np.ndarray:
    """Return the questions of each resample, [resamples, count]; the same ones whenever the count is the same."""
    return np.random.default_rng(seed).integers(0, count, (_RESAMPLES, count), dtype=np.int32)


def _interval(value: float, resampled: np.ndarray, count: int) -> Interval:
    if count < _LEAST:
        return Interval(value, None, None, count)
    low, high = np.percentile(resampled, [_LOW, _HIGH])
    return Interval(value, float(low), float(high), count)
