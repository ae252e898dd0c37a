"""The table of contrasts: how two predictions are compared, and how a slope is written.

Code and docs (`docs/contrasts.md`) both read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mrp.errors import RequestError, unknown
from mrp.returned import check_defined, numbers

Floats = NDArray[np.float64]
Function = Callable[[Floats, Floats], Any]
Named = Literal["difference", "ratio", "lift", "lnratio", "lnor"]
Averaged = Literal["differenceavg", "ratioavg", "liftavg", "lnratioavg", "lnoravg"]
Comparison = Named | Averaged | Function
"""A name from `FORMULAS`; with ``avg`` after it, of averages; or a function of (hi, lo)."""
SlopeName = Literal["dydx", "eyex", "eydx", "dyex"]

AVERAGE = "avg"


@dataclass(frozen=True)
class Formula:
    """A contrast of two predictions.

    Parameters
    ----------
    function
        Of predictions `hi` and `lo`, element by element; may overwrite both.
    label
        How it is written; ``{hi}`` and ``{lo}`` stand for the values compared.
    averaged
        The same for averages of predictions.
    meaning
        In words, for the docs.
    of_averages
        Whether averages are compared, where there are any: the contrast of two averages rather
        than the average of contrasts.
    of_odds
        Whether it is the difference of two log odds, which have more digits than probabilities.
    """

    function: Function
    label: str
    averaged: str
    meaning: str
    of_averages: bool = True
    of_odds: bool = False

    def written(self, hi: Any, lo: Any, *, averaged: bool) -> str:
        """The contrast of two values, in words."""
        return (self.averaged if averaged else self.label).format(hi=hi, lo=lo)


def _difference(hi: Floats, lo: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.subtract(hi, lo, out=hi)


def _ratio(hi: Floats, lo: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(hi, lo, out=hi)


def _lift(hi: Floats, lo: Floats) -> Floats:
    hi -= lo
    return _ratio(hi, lo)


def _lnratio(hi: Floats, lo: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(_ratio(hi, lo), out=hi)


def _lnor(hi: Floats, lo: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.subtract(np.log(hi / (1 - hi)), np.log(lo / (1 - lo)), out=hi)


FORMULAS: Mapping[Named, Formula] = {
    "difference": Formula(_difference, "{hi} - {lo}", "{hi} - {lo}", "difference of predictions"),
    "ratio": Formula(
        _ratio, "{hi} / {lo}", "mean({hi}) / mean({lo})", "ratio (of probabilities: risk ratio)"
    ),
    "lift": Formula(
        _lift,
        "({hi} - {lo}) / {lo}",
        "(mean({hi}) - mean({lo})) / mean({lo})",
        "difference relative to the prediction at lo",
    ),
    "lnratio": Formula(
        _lnratio, "ln({hi} / {lo})", "ln(mean({hi}) / mean({lo}))", "logarithm of the ratio"
    ),
    "lnor": Formula(
        _lnor,
        "ln(odds({hi}) / odds({lo}))",
        "ln(odds(mean({hi})) / odds(mean({lo})))",
        "logarithm of the odds ratio, odds(p) = p / (1 - p)",
        of_odds=True,
    ),
}
"""Every contrast by name. Averages are compared in the averaging verbs, and where the name ends
in ``avg``: "ratio" is then the ratio of two averages, as in marginaleffects for R."""


@dataclass(frozen=True)
class SlopeFormula:
    """A slope on one of four scales, from the derivative dy/dx, x and the prediction y."""

    function: Callable[[Floats, Floats, Floats], Floats]
    label: str
    meaning: str


SLOPES: Mapping[SlopeName, SlopeFormula] = {
    "dydx": SlopeFormula(lambda slope, x, y: slope, "dY/dX", "change of y for a unit change of x"),
    "eyex": SlopeFormula(
        lambda slope, x, y: slope * x / y,
        "eY/eX",
        "elasticity: relative change of y for a relative change of x",
    ),
    "eydx": SlopeFormula(
        lambda slope, x, y: slope / y,
        "eY/dX",
        "semi-elasticity: relative change of y for a unit change of x",
    ),
    "dyex": SlopeFormula(
        lambda slope, x, y: slope * x,
        "dY/eX",
        "semi-elasticity: change of y for a relative change of x",
    ),
}
"""Every slope by name; averages are averages of the rows' slopes."""


def formula_of(comparison: Comparison) -> tuple[Formula, bool]:
    """A contrast's formula, and whether its name asks for averages.

    Parameters
    ----------
    comparison
        A name from `FORMULAS`, with or without ``avg`` at its end; or a function that is given
        predictions `hi` and `lo` (rows, draws) and returns as many contrasts.
    """
    if callable(comparison):
        return _of_function(comparison), False
    names = [*get_args(Named), *get_args(Averaged)]
    if comparison not in names:
        raise RequestError(unknown("comparison", "be the name of a contrast", comparison, names))
    name: Any = comparison.removesuffix(AVERAGE)
    return FORMULAS[name], name != comparison


def slope_of(slope: str) -> SlopeFormula:
    """A slope's formula by name."""
    if slope not in SLOPES:
        raise RequestError(unknown("slope", "be the name of a slope", slope, get_args(SlopeName)))
    return SLOPES[slope]  # type: ignore[index]


_WHICH_IS_LARGER = (
    "The probability that one expectation is above the other is `.probability('> 0')` of "
    "comparison='difference'."
)


def _of_function(function: Function) -> Formula:
    name = getattr(function, "__name__", "f").strip("<>")

    def checked(hi: Floats, lo: Floats) -> Floats:
        shape, missing = hi.shape, np.isnan(hi) | np.isnan(lo)
        result = numbers(function(hi, lo), "comparison", _WHICH_IS_LARGER)
        if result.shape != shape:
            raise RequestError(
                f"`comparison` must return one number for each pair of predictions it is given "
                f"({shape[0]} rows x {shape[1]} draws), got shape {result.shape}. For a contrast "
                f"of averages, use a name such as 'ratioavg', or `hypothesis` on averages."
            )
        check_defined(result, missing, "comparison")
        return result

    label = f"{name}({{hi}}, {{lo}})"
    return Formula(checked, label, label, "a function of two predictions", of_averages=False)
