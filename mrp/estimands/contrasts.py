"""What is compared with what: pairs of values of a variable, and the formula of a contrast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import DataError, RequestError, listing, unknown
from mrp.estimands.grids import levels_of
from mrp.fit import Fit

Floats = NDArray[np.float64]
Comparison = Literal["difference"]


@dataclass(frozen=True)
class Formula:
    """A contrast of two predictions: its function, in place of `hi`, and how it is written."""

    function: Callable[[Floats, Floats], Floats]
    label: str


def _difference(hi: Floats, lo: Floats) -> Floats:
    return np.subtract(hi, lo, out=hi)


FORMULAS: Mapping[Comparison, Formula] = {"difference": Formula(_difference, "{hi} - {lo}")}
"""Every contrast by name; ``{hi}`` and ``{lo}`` stand for the values compared."""


@dataclass(frozen=True)
class Pair:
    """Two values of a variable, as functions of its column in the data, and their label."""

    variable: str
    hi: Callable[[pd.Series], Any]
    lo: Callable[[pd.Series], Any]
    label: str


def formula_of(comparison: str) -> Formula:
    """A contrast's formula by name."""
    if comparison not in FORMULAS:
        raise RequestError(
            unknown("comparison", "be the name of a contrast", comparison, get_args(Comparison))
        )
    return FORMULAS[comparison]  # type: ignore[index]


def pairs_of(
    fit: Fit, variables: str | Sequence[str] | Mapping[str, Any], formula: Formula
) -> list[Pair]:
    """The pairs of values that a request for comparisons means.

    Parameters
    ----------
    fit
        Its design says which variables are categorical, and their levels.
    variables
        A column, several, or a mapping from columns to contrasts: for a categorical "reference"
        (each level against the first) or a pair ``[lo, hi]`` of levels; for a number a step or a
        pair of values. By default "reference", a step of one, and 1 against 0 for numbers that
        are 0 or 1.
    formula
        Formula of the contrast, for its label.
    """
    if isinstance(variables, str):
        variables = [variables]
    named = variables if isinstance(variables, Mapping | Sequence) else ()
    requests = dict(named) if isinstance(named, Mapping) else dict.fromkeys(named)
    if not requests:
        raise RequestError(
            f"`variables` must name at least one column of the formula, got {variables!r}. "
            f"Available: {listing(fit.design.columns)}."
        )
    pairs: list[Pair] = []
    for name, contrast in requests.items():
        if name not in fit.design.columns:
            raise RequestError(
                unknown("variables", "name columns of the formula", name, fit.design.columns)
            )
        levels = levels_of(fit.design, name)
        if levels is None:
            pairs.append(_numeric_pair(fit, name, contrast, formula))
        else:
            pairs += _level_pairs(name, levels, contrast, formula)
    return pairs


def _level_pairs(name: str, levels: Sequence[Any], contrast: Any, formula: Formula) -> list[Pair]:
    if contrast is None or contrast == "reference":
        return [_pair(name, levels[0], level, formula) for level in levels[1:]]
    lo, hi = _two(name, contrast, "'reference' or a pair of levels")
    for level in (lo, hi):
        if level not in levels:
            raise RequestError(unknown("variables", f"name levels of {name!r}", level, levels))
    return [_pair(name, lo, hi, formula)]


def _numeric_pair(fit: Fit, name: str, contrast: Any, formula: Formula) -> Pair:
    if contrast is None:
        if fit.survey is None:
            raise DataError(
                f"`variables` must say how to change the number {name!r}, as this fit was saved "
                f"without the survey that tells 0/1 from others. Write {{{name!r}: 1}} for a step "
                f"of one, {{{name!r}: [0, 1]}} for 1 against 0."
            )
        if set(fit.survey[name].unique()) <= {0, 1}:
            return _pair(name, 0, 1, formula)
        contrast = 1
    if isinstance(contrast, int | float | np.number) and not isinstance(contrast, bool):
        return Pair(name, lambda x: x + contrast, lambda x: x, f"{contrast:+g}")
    lo, hi = _two(name, contrast, "a step or a pair of numbers")
    for value in (lo, hi):
        if not isinstance(value, int | float | np.number):
            raise RequestError(
                f"`variables` must give {name!r}, which is a number, a step or a pair of numbers, "
                f"got {value!r}."
            )
    return _pair(name, lo, hi, formula)


def _pair(name: str, lo: Any, hi: Any, formula: Formula) -> Pair:
    return Pair(name, lambda x: hi, lambda x: lo, formula.label.format(hi=hi, lo=lo))


def _two(name: str, contrast: Any, expected: str) -> tuple[Any, Any]:
    if isinstance(contrast, str) or not isinstance(contrast, Sequence) or len(contrast) != 2:
        shown = listing(contrast) if isinstance(contrast, list | tuple) else repr(contrast)
        raise RequestError(
            f"`variables` must give {name!r} {expected}, got {shown}. "
            f"A pair is written [lo, hi] and gives hi - lo."
        )
    return contrast[0], contrast[1]
