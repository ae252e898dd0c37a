"""The verbs: predictions, comparisons and poststratified estimates of a fit.

Each verb makes a plan (which rows, which contrast of them, which average over them) and applies
it to every draw. Arguments are checked before anything of the size rows x draws is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.coefficients import NewLevels, with_new_groups
from mrp.design import DesignRows
from mrp.errors import RequestError, listing, unknown
from mrp.estimands.contrasts import Comparison, Formula, Pair, formula_of, pairs_of
from mrp.estimands.grids import survey_of
from mrp.estimates import RESULTS, Estimates, Made, estimates
from mrp.fit import Fit
from mrp.frames import (
    Weights,
    as_pandas,
    check_new_groups,
    grouping,
    warn_of_absent_groups,
    warn_of_shares,
    weights_of,
)
from mrp.links import inverse
from mrp.prediction import Prediction, RowDraws, average, predict

Floats = NDArray[np.float64]
Type = Literal["response", "link"]
Variables = str | Sequence[str] | Mapping[str, Any]
By = str | Sequence[str]

PAIR = ("term", "contrast")
"""Columns that label a contrast."""


@dataclass(frozen=True)
class Contrast:
    """The contrast of two predictions, row by row and draw by draw."""

    hi: Prediction
    lo: Prediction
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
    def keys(self) -> list[NDArray[np.int64]]:
        """What a row's contrast depends on."""
        return [*self.hi.keys, *self.lo.keys]

    def values(self, rows: NDArray[np.intp]) -> Floats:
        """Values (rows, draws)."""
        return self.formula.function(self.hi.values(rows), self.lo.values(rows))


@dataclass(frozen=True)
class Stacked:
    """Several quantities of the same rows, one after the other."""

    parts: tuple[RowDraws, ...]

    @property
    def n(self) -> int:
        """Number of rows, over all parts."""
        return sum(part.n for part in self.parts)

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.parts[0].size

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """Every row is its own."""
        return [np.arange(self.n)]

    def values(self, rows: NDArray[np.intp]) -> Floats:
        """Values (rows, draws)."""
        result = np.empty((len(rows), self.size))
        start = 0
        for part in self.parts:
            own = (rows >= start) & (rows < start + part.n)
            if own.any():
                result[own] = part.values(rows[own] - start)
            start += part.n
        return result


@dataclass(frozen=True)
class _Context:
    """What the verbs share: the rows asked about, their weights, and how to predict them."""

    fit: Fit
    data: pd.DataFrame
    rows: DesignRows
    weights: Floats
    type: Type
    new_levels: NewLevels | None
    seed: int
    argument: str

    def predict(self, changed: pd.DataFrame | None = None) -> Prediction:
        """Prediction for the rows of the table, or of a changed copy of it."""
        fit, rows = self.fit, self.rows
        if changed is not None:
            rows = fit.design.rows(changed, argument=self.argument)
        check_new_groups(rows, self.weights, self.new_levels, self.argument)
        coefficients = with_new_groups(
            fit.coefficients,
            fit.design,
            rows,
            fit.parameters,
            new_levels=self.new_levels,
            seed=self.seed,
        )
        link = fit.link if self.type == "response" else "identity"
        return predict(rows, coefficients, inverse(link))

    def about(self, verb: str, quantity: str) -> dict[str, Any]:
        """How the estimates are made."""
        return {"verb": verb, "quantity": quantity, "type": self.type, "group": self.fit.group}


def predictions(
    fit: Fit,
    *,
    newdata: Any = None,
    by: By | None = None,
    wts: Weights | None = None,
    type: Type = "response",
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Expected outcome of each row; of each group of rows, where `by` is given.

    Parameters
    ----------
    fit
        Prior or posterior draws.
    newdata
        Rows to predict (pandas, polars or pyarrow); the survey by default.
    by
        Columns of `newdata` that make groups; then it is `avg_predictions`.
    wts
        With `by`, the weight of each row: a column's name, or one number per row.
    type
        "response": the expected outcome (a probability for bernoulli and binomial, a rate for
        counts); "link": the linear predictor.
    new_levels
        How to draw the effects of groups that the survey lacks: "gaussian", "uncertainty" or
        "old_levels". By default they are an error.
    seed
        Makes the effects of new groups repeatable.

    Returns
    -------
    One estimate per row, labelled by ``rowid`` and the columns of `newdata`. A column with the name
    of a result, such as ``estimate``, is left out of the labels.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> grid = mrp.datagrid(fit, gender=["Man", "Woman"])
    >>> len(mrp.predictions(fit, newdata=grid))
    2
    """
    if by is not None:
        return avg_predictions(
            fit, newdata=newdata, by=by, wts=wts, type=type, new_levels=new_levels, seed=seed
        )
    context = _context(fit, newdata, wts, type, new_levels, seed)
    labels = _row_labels(context.data)
    about = context.about("predictions", fit.outcome)
    return estimates(labels, context.predict(), fit.coefficients.chains, about)


def avg_predictions(
    fit: Fit,
    *,
    newdata: Any = None,
    by: By | None = None,
    wts: Weights | None = None,
    type: Type = "response",
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Weighted average of the expected outcome over rows, draw by draw.

    For group a and draw s, ``sum_i w_i E[y_i | draw s] / sum_i w_i`` over the rows i of the group.

    Parameters
    ----------
    fit, newdata, type, new_levels, seed
        As in `predictions`.
    by
        Columns of `newdata`; one estimate for each combination of their values. By default one
        estimate for all rows.
    wts
        Weight of each row, normalised within each group: a column's name, or one number per row.

    Returns
    -------
    One estimate per group, labelled by the columns of `by`.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> mrp.avg_predictions(fit, by="gender").labels["gender"].tolist()
    ['Man', 'Woman']
    """
    context = _context(fit, newdata, wts, type, new_levels, seed)
    return _averaged_predictions(context, by, "avg_predictions")


def poststratify(
    fit: Fit,
    frame: Any,
    *,
    by: By | None = None,
    wts: Weights | None,
    type: Type = "response",
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Population averages of the expected outcome: the frame's cells, weighted by population.

    For area a and draw s, ``sum_c N_c E[y_c | draw s] / sum_c N_c`` over the cells c of the area
    (Gelman and Little 1997; Park, Gelman and Bafumi 2004, doi:10.1093/pan/mph024).

    Parameters
    ----------
    fit, type, new_levels, seed
        As in `predictions`.
    frame
        Poststratification frame: one row per cell, with every column that the formula uses.
        Cells that are equal add up.
    by
        Columns of the frame that make areas; by default the whole population.
    wts
        Population of each cell, as counts or as shares of the area: a column's name, or one number
        per cell. None, said expressly, counts each cell once.

    Returns
    -------
    One estimate per area, labelled by the columns of `by`.

    Raises
    ------
    DataError, RequestError
        The frame lacks a column, has missing values, levels or groups that the survey does not
        know, or weights that are negative, missing, or all zero in an area.

    Warns
    -----
    FrameWarning
        The survey knows an area that has no cells; or the weights are shares within areas (they
        sum to the same number in each) and are about to be averaged across areas.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> frame = mrp.load_dataset("simulated_frame")
    >>> len(mrp.poststratify(fit, frame, by="state", wts="n"))
    48
    """
    context = _context(fit, frame, wts, type, new_levels, seed, argument="frame")
    columns = [by] if isinstance(by, str) else list(by or ())
    if wts is not None:
        warn_of_shares(fit.design, context.data, context.weights, columns)
    result = _averaged_predictions(context, by, "poststratify")
    warn_of_absent_groups(fit.design, context.data, result.labels)
    return result


def comparisons(
    fit: Fit,
    *,
    variables: Variables,
    newdata: Any = None,
    by: By | None = None,
    wts: Weights | None = None,
    comparison: Comparison = "difference",
    type: Type = "response",
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Contrast of each row's predictions at two values of a variable, the others as they are.

    Parameters
    ----------
    fit, newdata, type, new_levels, seed
        As in `predictions`.
    variables
        A column, several, or a mapping from columns to contrasts: for a categorical "reference"
        (each level against the first) or a pair ``[lo, hi]``; for a number a step or a pair. By
        default "reference", a step of one, and 1 against 0 for numbers that are 0 or 1.
    by, wts
        With `by` it is `avg_comparisons`.
    comparison
        "difference": prediction at hi - prediction at lo.

    Returns
    -------
    One estimate per contrast and row, labelled by ``term``, ``contrast``, ``rowid`` and the
    columns of `newdata`.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> grid = mrp.datagrid(fit, state=["CA", "AL"])
    >>> mrp.comparisons(fit, variables="gender", newdata=grid).labels["contrast"].tolist()
    ['Woman - Man', 'Woman - Man']
    """
    if by is not None:
        return avg_comparisons(
            fit,
            variables=variables,
            newdata=newdata,
            by=by,
            wts=wts,
            comparison=comparison,
            type=type,
            new_levels=new_levels,
            seed=seed,
        )
    context = _context(fit, newdata, wts, type, new_levels, seed)
    formula = formula_of(comparison)
    pairs = pairs_of(fit, variables, formula)
    parts = tuple(_contrast(context, pair, formula) for pair in pairs)
    rows = _row_labels(context.data)
    labels = pd.concat([_with_pair(rows, pair) for pair in pairs], ignore_index=True)
    about = context.about("comparisons", f"{comparison} in {fit.outcome}")
    return estimates(labels, Stacked(parts), fit.coefficients.chains, about)


def avg_comparisons(
    fit: Fit,
    *,
    variables: Variables,
    newdata: Any = None,
    by: By | None = None,
    wts: Weights | None = None,
    comparison: Comparison = "difference",
    type: Type = "response",
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Weighted average of a contrast over rows, draw by draw.

    Parameters
    ----------
    fit, variables, newdata, comparison, type, new_levels, seed
        As in `comparisons`.
    by, wts
        As in `avg_predictions`.

    Returns
    -------
    One estimate per contrast and group, labelled by ``term``, ``contrast`` and the columns of
    `by`.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> mrp.avg_comparisons(fit, variables={"age": ["18-29", "70+"]}).labels
      term     contrast
    0  age  70+ - 18-29
    """
    context = _context(fit, newdata, wts, type, new_levels, seed)
    formula = formula_of(comparison)
    pairs = pairs_of(fit, variables, formula)
    _check_by(by, (*PAIR, *RESULTS))
    codes, groups = grouping(by, context.data, context.weights, context.argument)
    averages, labels = [], []
    for pair in pairs:
        quantity = _contrast(context, pair, formula)
        averages.append(average(quantity, context.weights, codes, len(groups)))
        labels.append(_with_pair(groups, pair))
    about = context.about("avg_comparisons", f"average {comparison} in {fit.outcome}")
    return estimates(
        pd.concat(labels, ignore_index=True),
        Made(np.concatenate(averages)),
        fit.coefficients.chains,
        about,
    )


def _context(
    fit: Fit,
    newdata: Any,
    wts: Weights | None,
    type: Type,
    new_levels: NewLevels | None,
    seed: int | None,
    argument: str = "newdata",
) -> _Context:
    if not isinstance(fit, Fit):
        raise RequestError(
            f"`fit` must be a Fit, got {fit.__class__.__name__}. "
            f"Make one with model.sample() or mrp.load_fit()."
        )
    if type not in get_args(Type):
        raise RequestError(unknown("type", "be a scale of predictions", type, get_args(Type)))
    if new_levels is not None and new_levels not in get_args(NewLevels):
        raise RequestError(
            unknown("new_levels", "say how to draw new groups", new_levels, get_args(NewLevels))
        )
    if newdata is None and argument == "newdata":
        data = survey_of(fit, "`newdata` must be given", "Pass the rows to predict")
    else:
        data = as_pandas(newdata, argument)
    if not len(data):
        raise RequestError(f"`{argument}` must have at least one row, got none. Check its filter.")
    rows = fit.design.rows(data, argument=argument)
    weights = weights_of(wts, data, argument)
    return _Context(fit, data, rows, weights, type, new_levels, _seed(seed), argument)


def _seed(seed: int | None) -> int:
    """One seed for all predictions of a verb: both sides of a contrast share a new group's draw."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise RequestError(
            f"`seed` must be a whole number, 0 or more, got {seed!r}. "
            f"Leave it out for other draws at each call."
        )
    return int(seed)


def _averaged_predictions(context: _Context, by: By | None, verb: str) -> Estimates:
    _check_by(by, RESULTS)
    codes, labels = grouping(by, context.data, context.weights, context.argument)
    averages = Made(average(context.predict(), context.weights, codes, len(labels)))
    about = context.about(verb, f"average {context.fit.outcome}")
    return estimates(labels, averages, context.fit.coefficients.chains, about)


def _check_by(by: By | None, taken: Sequence[str]) -> None:
    clash = [name for name in ([by] if isinstance(by, str) else by or ()) if name in taken]
    if clash:
        raise RequestError(
            f"`by` must not name columns that results are written to, got {listing(clash)}. "
            f"Rename them in the data."
        )


def _contrast(context: _Context, pair: Pair, formula: Formula) -> Contrast:
    column = context.data[pair.variable]
    hi = context.predict(context.data.assign(**{pair.variable: pair.hi(column)}))
    lo = context.predict(context.data.assign(**{pair.variable: pair.lo(column)}))
    return Contrast(hi, lo, formula)


def _row_labels(data: pd.DataFrame) -> pd.DataFrame:
    """``rowid`` and the columns of the data, but for those that results are written to."""
    taken = ("rowid", *PAIR, *RESULTS)
    kept = data[[name for name in data.columns if name not in taken]].reset_index(drop=True)
    return kept.assign(rowid=np.arange(len(data)))[["rowid", *kept.columns]]


def _with_pair(labels: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    names = labels.assign(term=pair.variable, contrast=pair.label)
    return names[["term", "contrast", *labels.columns]]
