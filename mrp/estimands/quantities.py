"""Quantities made of predictions, row by row and draw by draw, for some rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import RequestError
from mrp.estimands.contrasts import Formula, SlopeFormula
from mrp.prediction import RowDraws, period_of
from mrp.returned import check_defined, numbers

Floats = NDArray[np.float64]
Keys = list[NDArray[np.int64]]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Contrast:
    """The contrast of two predictions."""

    hi: RowDraws
    lo: RowDraws
    formula: Formula

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.hi.n

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.hi.size

    @property
    def keys(self) -> Keys:
        """What a row's contrast depends on."""
        return [*self.hi.keys, *self.lo.keys]

    def values(self, rows: Rows) -> Floats:
        """Values (rows, draws)."""
        result: Floats = self.formula.function(self.hi.values(rows), self.lo.values(rows))
        return result


@dataclass(frozen=True)
class Slope:
    """The derivative of the expected outcome by x, from predictions on both sides of x.

    With the linear predictors h at x + step and x - step, it is the derivative of the inverse link
    at their middle, times ``(h+ - h-) / (2 step)``: exact where x enters the linear predictor
    linearly, to the order of the squared step elsewhere. Where outcomes have several levels, the
    expected outcomes on both sides are subtracted in the same way.

    Parameters
    ----------
    up, down
        Linear predictors at x + step and x - step; expected outcomes without `derivative`.
    step
        Half the distance between the two.
    x
        The variable in each row (n,).
    inverse, derivative
        Inverse link, in place, and its derivative; None for outcomes with several levels.
    formula
        The scale of the slope.
    """

    up: RowDraws
    down: RowDraws
    step: float
    x: Floats
    inverse: Callable[[Floats], Floats] | None
    derivative: Callable[[Floats], Floats] | None
    formula: SlopeFormula

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.up.n

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.up.size

    @property
    def keys(self) -> Keys:
        """What a row's slope depends on."""
        return [*self.up.keys, *self.down.keys, pd.factorize(self.x)[0].astype(np.int64)]

    def values(self, rows: Rows) -> Floats:
        """Values (rows, draws)."""
        up, down = self.up.values(rows), self.down.values(rows)
        middle = 0.5 * (up + down)
        slope = (up - down) / (2 * self.step)
        if self.derivative is not None:
            slope *= self.derivative(middle)
        if self.inverse is not None:
            middle = self.inverse(middle)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.formula.function(slope, self.x[rows, None], middle)


@dataclass(frozen=True)
class ByLevel:
    """A quantity of an outcome with several levels, all rows of one level after the other.

    Parameters
    ----------
    quantity
        Its values are (rows, levels x draws), level by level.
    levels
        Number of levels.
    """

    quantity: RowDraws
    levels: int

    @property
    def n(self) -> int:
        """Number of rows, times levels."""
        return self.levels * self.quantity.n

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.quantity.size // self.levels

    @property
    def period(self) -> int:
        """How far the levels of a row are apart, which are best made together."""
        return self.quantity.n

    @property
    def keys(self) -> Keys:
        """Every row is its own."""
        return [np.arange(self.n)]

    def values(self, rows: Rows) -> Floats:
        """Values (rows, draws)."""
        level, row = np.divmod(rows, self.quantity.n)
        distinct, position = np.unique(row, return_inverse=True)
        values = self.quantity.values(distinct).reshape(len(distinct), self.levels, self.size)
        result: Floats = values[position, level]
        return result


@dataclass(frozen=True)
class LogOdds:
    """Log odds of probabilities, with all digits where one of several levels is near one.

    Parameters
    ----------
    probabilities
        Their values are (rows, levels x draws), level by level.
    levels
        Number of levels; 1 where there is one probability for each row and draw.
    complements
        One less the probabilities, where that is known with more digits.
    """

    probabilities: RowDraws
    levels: int
    complements: RowDraws | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.probabilities.n

    @property
    def size(self) -> int:
        """Number of draws, times levels."""
        return self.probabilities.size

    @property
    def keys(self) -> Keys:
        """What the probabilities depend on."""
        others = [] if self.complements is None else self.complements.keys
        return [*self.probabilities.keys, *others]

    def values(self, rows: Rows) -> Floats:
        """Values (rows, levels x draws)."""
        others = None if self.complements is None else self.complements.values(rows)
        return log_odds(self.probabilities.values(rows), self.levels, others)


def log_odds(probabilities: Floats, levels: int, complements: Floats | None = None) -> Floats:
    """Log odds of probabilities (rows, levels x draws).

    Parameters
    ----------
    probabilities
        Of several levels they sum to one.
    levels
        Number of levels; 1 where there is one probability.
    complements
        One less the probabilities, where that is known with more digits.
    """
    if complements is None:
        complements = 1 - probabilities if levels == 1 else _of_other_levels(probabilities, levels)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = np.log(probabilities) - np.log(complements)
    return result


def _of_other_levels(probabilities: Floats, levels: int) -> Floats:
    """Probability of all levels but one: a sum, in which nothing cancels."""
    of_level = probabilities.reshape(len(probabilities), levels, -1)
    result = np.zeros_like(of_level)
    result[:, 1:] += np.cumsum(of_level[:, :-1], axis=1)
    result[:, :-1] += np.cumsum(of_level[:, :0:-1], axis=1)[:, ::-1]
    return result.reshape(probabilities.shape)


@dataclass(frozen=True)
class Transformed:
    """A function of a quantity, draw by draw."""

    quantity: RowDraws
    function: Callable[[Floats], Any]

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.quantity.n

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.quantity.size

    @property
    def period(self) -> int:
        """As of the quantity."""
        return period_of(self.quantity)

    @property
    def keys(self) -> Keys:
        """What the quantity depends on."""
        return self.quantity.keys

    def values(self, rows: Rows) -> Floats:
        """Values (rows, draws)."""
        values = self.quantity.values(rows)
        missing = np.isnan(values)  # the function may overwrite what it is given
        result = numbers(self.function(values), "transform", _BEYOND_A_LINE)
        if result.shape != values.shape:
            raise RequestError(
                f"`transform` must return one number for each it is given, got shape "
                f"{result.shape} for {values.shape}. Use a function such as np.exp."
            )
        check_defined(result, missing, "transform")
        return result


_BEYOND_A_LINE = (
    "It is given the draws of results, which are expectations or averages: the probability that "
    "one is beyond a line is `.probability('> 0.4')` of the result without `transform`. The share "
    "of people beyond a line takes outcomes that are drawn: predictions(…, kind='predictive')"
    ".hypothesis(lambda y: np.average(y > 0.4, axis=0, weights=…))."
)
