"""Outcomes with levels as rows of one linear predictor each, which is all that the kernel knows.

===========  ====================================================================================
categorical  each design row once for each level but the first, with coefficients of its own
sratio       once for each threshold that respondents reach: those who stop there are successes
             among those who get there
cumulative   once for each level that respondents have, at the threshold below (the lowest: above)
===========  ====================================================================================

The rows of ordered levels have the linear predictor ``t - eta`` of a threshold t, whose part of the
design comes first, so that rows of the same threshold follow each other. Rows of the family
cumulative are successes at the lowest level, failures at the highest, and these two come first;
between them a level has the probability ``F(t + gap - eta) - F(t - eta)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrp.levels import LevelParameters
from mrp.model.collapse import Observed
from mrp.model.families import Family

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Stack:
    """The kernel's rows.

    Parameters
    ----------
    row
        Which row of the design each is (n,).
    predictor
        Which linear predictor of that row each is (n,); of the family cumulative, which level:
        0 is the lowest, 1 the highest, and then those between.
    threshold
        For each of those (predictors,), the threshold in it; empty where there are none.
    y
        Outcome (n,).
    times
        Trials, or respondents (n,).
    binary
        How many rows, from the first, are successes out of trials.
    """

    row: Ints
    predictor: Ints
    threshold: Ints
    y: Floats
    times: Floats
    binary: int


def stack(observed: Observed, family: Family, by_level: LevelParameters) -> Stack:
    """The rows of an outcome, by its family."""
    none = np.zeros(0, dtype=np.int64)
    n, y = len(observed.rows), observed.y
    if by_level.thresholds and by_level.rising:
        return _levels(y)
    if by_level.thresholds:
        return _stops(y)
    if family.levels:
        row, predictor = np.tile(np.arange(n), by_level.predictors), by_level.predictors
        level = np.repeat(np.arange(predictor), n)
        return Stack(row, level, none, y[row, level + 1], observed.count[row], 0)
    successes = family.name in ("bernoulli", "binomial")
    times = observed.trials if successes else observed.count
    return Stack(np.arange(n), np.zeros(n, dtype=np.int64), none, y, times, n)


def _levels(y: Floats) -> Stack:
    """Rows of the family cumulative, from respondents at each level (m, levels)."""
    last = y.shape[1] - 1
    order = np.array([0, last, *range(1, last)])
    row, level = np.nonzero(y[:, order])
    times = y[row, order[level]]
    threshold = np.array([0, last - 1, *range(last - 1)])
    return Stack(row, level, threshold, times * (level == 0), times, int((level < 2).sum()))


def _stops(y: Floats) -> Stack:
    """Rows of the family sratio, from respondents at each level (m, levels)."""
    reached = reaching(y)
    row, stop = np.nonzero(reached)
    threshold = np.arange(reached.shape[1])
    return Stack(row, stop, threshold, y[row, stop], reached[row, stop], len(row))


def reaching(y: Floats) -> Floats:
    """Respondents who get to each threshold (m, levels - 1), from those at each level."""
    result: Floats = y[:, ::-1].cumsum(axis=1)[:, :0:-1]
    return result


@dataclass(frozen=True)
class Loadings:
    """What coefficients are multiplied by, in each linear predictor of a design row.

    Parameters
    ----------
    columns
        For each linear predictor a matrix (m, k).
    at
        For each, which coefficients these columns are of (k,).
    size
        Number of coefficients.
    """

    columns: Sequence[Floats]
    at: Sequence[Ints]
    size: int

    def times(self, coefficients: Floats) -> Floats:
        """Linear predictors (m, predictors) of coefficients (size,), or of each row's (m, size)."""
        if coefficients.ndim == 1:
            parts = [x @ coefficients[at] for x, at in zip(self.columns, self.at, strict=True)]
        else:
            parts = [
                (x * coefficients[:, at]).sum(axis=1)
                for x, at in zip(self.columns, self.at, strict=True)
            ]
        return np.column_stack(parts)


def loadings(columns: Floats, by_level: LevelParameters, *, thresholds: bool = False) -> Loadings:
    """How columns (m, k) of the design enter the linear predictors, after the thresholds if any."""
    k, count = columns.shape[1], by_level.thresholds
    if not count:
        levels = by_level.predictors
        at = [level * k + np.arange(k) for level in range(levels)]
        return Loadings([columns] * levels, at, levels * k)
    if not thresholds:
        return Loadings([-columns] * count, [np.arange(k)] * count, k)
    with_one = np.column_stack([np.ones(len(columns)), -columns])
    slopes = count + np.arange(k)
    return Loadings([with_one] * count, [np.array([t, *slopes]) for t in range(count)], count + k)


def sign_of(by_level: LevelParameters) -> float:
    """The sign of predictors and offsets in linear predictors."""
    return -1.0 if by_level.thresholds else 1.0
