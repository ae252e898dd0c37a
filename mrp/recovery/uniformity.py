"""Whether ranks are uniform: simultaneous bands of their distribution function, and a p-value.

Of N independent ranks that are uniform, the number up to any value is binomial, and from one value
to the next it is a Markov chain. So the probability that it stays within bounds at all values at
once is computed exactly, without simulation (Säilynoja, Bürkner and Vehtari 2022,
doi:10.1007/s11222-022-10090-6, algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlog1py, xlogy
from scipy.stats import binom

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NEGLIGIBLE = 1e-9
"""Below it a p-value is only bounded from above: the sum of probabilities has no more digits."""
SAME = 1e-9
"""Relative difference of probabilities that are the same but for rounding."""
STEPS = 40
"""Bisections for the level of a band."""


@dataclass(frozen=True)
class Steps:
    """How many of N uniform values are up to each of some points.

    Parameters
    ----------
    number
        How many values there are, N.
    shares
        Probability of a value up to each point, rising, each in (0, 1).
    """

    number: int
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Band:
    """Bounds of the counts (points,), both included."""

    low: Integers
    high: Integers


def rank_steps(number: int, rank_draws: int) -> Steps:
    """Steps of ranks from 0 to `rank_draws`."""
    return Steps(number, tuple(np.arange(1, rank_draws + 1) / (rank_draws + 1)))


def coverage_steps(number: int, rank_draws: int) -> Steps:
    """Steps of the central intervals, from the narrowest to the widest but one."""
    values = np.arange(rank_draws + 1)
    distances = np.abs(2 * values - rank_draws)
    found = [float((distances <= k).mean()) for k in np.unique(distances)]
    return Steps(number, tuple(found[:-1]))


def rank_counts(ranks: Integers, rank_draws: int) -> Integers:
    """How many ranks are up to 0, 1, …, `rank_draws` - 1."""
    return _counts(ranks, np.arange(rank_draws))


def coverage_counts(ranks: Integers, rank_draws: int) -> Integers:
    """How many truths each central interval holds, the narrowest first, but for the widest.

    A rank is in the k-th interval from the centre if it is one of its k middle values.
    """
    every = np.unique(np.abs(2 * np.arange(rank_draws + 1) - rank_draws))
    return _counts(np.abs(2 * ranks - rank_draws), every[:-1])


def _counts(values: Integers, points: Integers) -> Integers:
    """How many values are up to each point (points,)."""
    return np.searchsorted(np.sort(values), points, side="right").astype(np.int64)


def p_value(found: Integers, steps: Steps) -> float:
    """Probability that uniform values stray from their expectation as far as these anywhere.

    How far a count strays is the two-sided binomial tail probability at its point; the statistic is
    the smallest of all points.

    Parameters
    ----------
    found
        Counts (points,).
    steps
        What they are counts of.

    Examples
    --------
    >>> steps = rank_steps(20, 9)
    >>> round(p_value(rank_counts(np.arange(20) // 2, 9), steps), 3)
    1.0
    >>> p_value(rank_counts(np.zeros(20, dtype=int), 9), steps) < 1e-6
    True
    """
    tails = _tails(steps)
    smallest = float(tails[np.arange(len(found)), found].min())
    return p_of_level(smallest, steps)


@lru_cache(maxsize=4096)
def p_of_level(level: float, steps: Steps) -> float:
    """Probability that the smallest tail probability of uniform values is at most `level`.

    Below `NEGLIGIBLE` it is the lesser of two upper bounds: the sum over all points, and the value
    at `NEGLIGIBLE`.
    """
    if level * (1 + SAME) >= 1.0:
        return 1.0  # no count strays less than one in the middle
    if level < NEGLIGIBLE:
        return min(level * len(steps.shares), p_of_level(NEGLIGIBLE, steps))
    return min(1.0, max(1.0 - _inside(steps, level), 0.0))


@lru_cache(maxsize=64)
def band(steps: Steps, probability: float = 0.95) -> Band:
    """Bounds within which all counts of uniform values are at once, with at least a probability.

    At every point they cut off the same share of the binomial distribution on either side, as near
    as whole numbers can.
    """
    low, high = 0.0, 1.0 - probability
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _inside(steps, middle) >= probability else (low, middle)
    return _bounds(steps, low)


@lru_cache(maxsize=16)
def _tails(steps: Steps) -> Floats:
    """Two-sided tail probability of each count at each point (points, N + 1)."""
    numbers = np.arange(steps.number + 1)
    shares = np.array(steps.shares)[:, None]
    below = binom.cdf(numbers, steps.number, shares)
    above = binom.sf(numbers - 1, steps.number, shares)
    tails: Floats = np.minimum(1.0, 2.0 * np.minimum(below, above))
    return tails


def _bounds(steps: Steps, level: float) -> Band:
    """Lowest and highest count at each point whose tail probability is over `level`."""
    kept = _tails(steps) > level * (1 + SAME)
    low = kept.argmax(axis=1)
    high = steps.number - kept[:, ::-1].argmax(axis=1)
    return Band(low.astype(np.int64), high.astype(np.int64))


def _inside(steps: Steps, level: float) -> float:
    """Probability that the counts of uniform values are within the bounds at all points."""
    bounds = _bounds(steps, level)
    before, reached, probability = 0.0, np.zeros(1, dtype=np.int64), np.ones(1)
    for share, low, high in zip(steps.shares, bounds.low, bounds.high, strict=True):
        step = (share - before) / (1.0 - before)
        numbers = np.arange(low, high + 1)
        probability = probability @ _transition(steps.number, reached, numbers, step)
        before, reached = share, numbers
    return float(probability.sum())


def _transition(number: int, reached: Integers, numbers: Integers, step: float) -> Floats:
    """Probability of each count, given the count at the point before (before, now)."""
    left, more = number - reached[:, None], numbers - reached[:, None]
    possible = (more >= 0) & (more <= left)
    k = np.where(possible, more, 0)
    log = gammaln(left + 1) - gammaln(k + 1) - gammaln(left - k + 1)
    log = log + xlogy(k, step) + xlog1py(left - k, -step)
    return np.where(possible, np.exp(log), 0.0)
