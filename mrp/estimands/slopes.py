"""Slopes: how the expected outcome changes with a number, row by row and on average.

A slope is a comparison of two predictions close to each other: the linear predictor is compared
on both sides of x, and carried to the outcome by the derivative of the inverse link.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.design import Categorical, Design
from mrp.errors import DataError, RequestError
from mrp.estimands.changes import Pair, Value, Variables, levels_in, pairs_of, requests_of
from mrp.estimands.context import By, Context, Type, check_by, context, labelled_by, row_labels
from mrp.estimands.contrasts import FORMULAS, SlopeName, slope_of
from mrp.estimands.quantities import Contrast, Slope
from mrp.estimands.verbs import PAIR, Transform
from mrp.fit import Fit
from mrp.formula.calls import plain
from mrp.frames import Weights
from mrp.links import derivative, inverse
from mrp.new_groups import NewLevels
from mrp.prediction import RowDraws
from mrp.restriction import ReFormula
from mrp.results.estimates import Estimates
from mrp.results.stacking import stacked

Floats = NDArray[np.float64]

STEP = 1e-5
"""Half the distance of a numerical derivative, in standard deviations of the survey's column."""
LEAST_STEP = 1e-10
"""Least distance, of the largest number: less of it than one in a million is lost in rounding."""
AFFINE = ("center", "scale", "standardize", "offset")
"""Calls that shift and scale a column, or leave it as it is."""


@explained
def slopes(
    fit: Fit,
    *,
    variables: Variables | None = None,
    newdata: Any = None,
    by: By | None = None,
    wts: Weights | None = None,
    slope: SlopeName = "dydx",
    eps: float | None = None,
    type: Type = "response",
    transform: Transform | None = None,
    re_formula: ReFormula = None,
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Derivative of each row's expected outcome by a number, the others as they are.

    ``dE[y]/dx = g'(h) dh/dx`` for the linear predictor h and the inverse link g, in each draw.
    Categoricals have no derivative: for them it is the difference of each level and the first.

    Parameters
    ----------
    fit, newdata, type, transform, re_formula, new_levels, seed
        As in `predictions`.
    variables
        A column or several; by default every column of the population-level terms.
    by, wts
        With `by` it is `avg_slopes`.
    slope
        "dydx"; or an elasticity "eyex" (``x / y dydx``), "eydx" (``dydx / y``) or "dyex"
        (``x dydx``).
    eps
        Half the distance of a numerical derivative, in units of x. By default the derivative is
        exact where x enters the linear predictor linearly, as itself or through ``scale`` and
        ``center``; elsewhere dh/dx (for outcomes with levels dE[y]/dx) is the central difference
        over 1e-5 of the standard deviation in the survey.

    Returns
    -------
    One estimate per variable and row, labelled by ``term``, ``contrast`` (dY/dX), ``rowid`` and the
    columns of `newdata`.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> mrp.avg_slopes(fit, variables="military").labels
           term contrast
    0  military    dY/dX
    """
    asked = context(
        fit,
        newdata,
        wts=wts,
        type=type,
        transform=transform,
        re_formula=re_formula,
        new_levels=new_levels,
        seed=seed,
    )
    if by is not None:
        return _averaged(asked, variables, by, slope, eps)
    rows = row_labels(asked.data, PAIR)
    planned = _planned(asked, variables, slope, eps)
    labels = [labelled_by(rows, dict(zip(PAIR, named, strict=True))) for named, _ in planned]
    return asked.estimates_of_rows(
        stacked([quantity for _, quantity in planned]),
        pd.concat(labels, ignore_index=True),
        "slopes",
        f"{slope} of {fit.outcome}",
    )


@explained
def avg_slopes(
    fit: Fit,
    *,
    variables: Variables | None = None,
    newdata: Any = None,
    by: By | None = None,
    wts: Weights | None = None,
    slope: SlopeName = "dydx",
    eps: float | None = None,
    type: Type = "response",
    transform: Transform | None = None,
    re_formula: ReFormula = None,
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Weighted average of the rows' slopes, draw by draw.

    Parameters
    ----------
    fit, variables, newdata, slope, eps, type, transform, re_formula, new_levels, seed
        As in `slopes`.
    by, wts
        As in `avg_predictions`.

    Returns
    -------
    One estimate per variable and group, labelled by ``term``, ``contrast`` and the columns of
    `by`.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> len(mrp.avg_slopes(fit, variables="military", by="gender"))
    2
    """
    asked = context(
        fit,
        newdata,
        wts=wts,
        type=type,
        transform=transform,
        re_formula=re_formula,
        new_levels=new_levels,
        seed=seed,
    )
    return _averaged(asked, variables, by, slope, eps)


def _averaged(
    asked: Context,
    variables: Variables | None,
    by: By | None,
    slope: SlopeName,
    eps: float | None,
) -> Estimates:
    check_by(by, PAIR)
    codes, groups = asked.groups(by)
    planned = _planned(asked, variables, slope, eps)
    labels = [labelled_by(groups, dict(zip(PAIR, named, strict=True))) for named, _ in planned]
    averages = [asked.average(quantity, codes, len(groups)) for _, quantity in planned]
    return asked.estimates_of_averages(
        stacked(averages),
        pd.concat(labels, ignore_index=True),
        "avg_slopes",
        f"average {slope} of {asked.fit.outcome}",
    )


def _planned(
    asked: Context, variables: Variables | None, slope: SlopeName, eps: float | None
) -> list[tuple[tuple[str, str], RowDraws]]:
    """For each slope its term and contrast, and its plan."""
    formula = slope_of(slope)
    _check_eps(eps)
    planned: list[tuple[tuple[str, str], RowDraws]] = []
    for name, said in requests_of(asked.fit, variables).items():
        if levels_in(asked.fit, name) is None:
            if said is not None:
                raise RequestError(
                    f"`variables` must only name {name!r} for a slope, got {said!r}. "
                    f"Use `comparisons` for larger changes."
                )
            planned.append(((name, formula.label), _slope(asked, name, slope, eps)))
            continue
        for pair in pairs_of(asked.fit, {name: said})[name]:
            written = pair.label(FORMULAS["difference"], averaged=False)
            planned.append(((name, written), _difference(asked, pair)))
    return planned


def _difference(asked: Context, pair: Pair) -> Contrast:
    hi, lo = (asked.predict({pair.variable: side}) for side in (pair.hi, pair.lo))
    return Contrast(hi, lo, FORMULAS["difference"])


def _slope(asked: Context, name: str, slope: SlopeName, eps: float | None) -> Slope:
    fit = asked.fit
    by_link = fit.levels is None
    exact = enters_linearly(fit.design, name) and (by_link or asked.type == "link")
    step = eps if eps is not None else 1.0 if exact else _small_step(fit, name)
    if eps is not None:
        _check_step(eps, asked.data[name], name)
    around: dict[int, Callable[[pd.Series], Any]] = {
        +1: lambda x: x.astype(float) + step,
        -1: lambda x: x.astype(float) - step,
    }
    up, down = (
        asked.predict({name: Value(sign, around[sign])}, type="link" if by_link else asked.type)
        for sign in (+1, -1)
    )
    link = fit.link if by_link and asked.type == "response" else None
    return Slope(
        up,
        down,
        step,
        asked.data[name].to_numpy(dtype=float, copy=True),  # slopes may be made again later
        inverse(link) if link is not None else None,
        derivative(link) if link is not None else None,
        slope_of(slope),
    )


def enters_linearly(design: Design, column: str) -> bool:
    """Whether the linear predictor is linear in a column, whatever the coefficients.

    It is if no term has two components made of the column, and each of them is the column itself or
    an affine transform of it.
    """
    made: dict[str, bool] = {}
    for name, component in design.components.items():
        if component.source == column:
            made[name] = True
        elif column in design.columns_of(component):
            made[name] = plain(component.source) in {f"{call}({column})" for call in AFFINE}
        if name in made and isinstance(component, Categorical):
            made[name] = False
    if not all(made.values()):
        return False
    terms = [*design.terms, *(term for block in design.blocks for term in block.terms)]
    used = [sum(coding.component in made for coding in term.codings) for term in terms]
    return max(used, default=0) <= 1


def _small_step(fit: Fit, name: str) -> float:
    if fit.survey is None:
        raise DataError(
            f"`eps` must be given for {name!r}, as this fit was saved without the survey that "
            f"tells its scale. Give half the distance of a numerical derivative, in units of "
            f"{name!r}."
        )
    spread = float(fit.survey[name].astype(float).std())
    return STEP * spread if spread > 0 else STEP


def _check_step(step: float, column: pd.Series, name: str) -> None:
    """Raise if numbers are so large that a step on both sides of them is lost in rounding."""
    largest = float(np.abs(column.to_numpy(dtype=float)).max(initial=0.0))
    if not LEAST_STEP * largest < step < np.sqrt(np.finfo(float).max):
        raise RequestError(
            f"`eps` must be a step that doubles tell apart, got {step!r} for {name!r}, whose "
            f"numbers are up to {largest:.6g}. Usual: leave it out."
        )


def _check_eps(eps: float | None) -> None:
    if eps is not None and not (
        isinstance(eps, int | float | np.number) and not isinstance(eps, bool) and eps > 0
    ):
        raise RequestError(f"`eps` must be a number above 0, got {eps!r}. Usual: leave it out.")
