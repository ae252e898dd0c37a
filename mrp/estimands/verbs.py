"""The verbs: predictions, comparisons, slopes and poststratified estimates of a fit.

Each verb makes a plan (which rows, which contrast of them, which average over them) and applies
it to every draw. Arguments are checked before anything of the size rows x draws is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.errors import RequestError, listing
from mrp.estimands.changes import Pair, Setting, Variables, crossed, pairs_of
from mrp.estimands.context import (
    By,
    Context,
    Type,
    check_by,
    context,
    labelled_by,
    row_labels,
)
from mrp.estimands.contrasts import AVERAGE, FORMULAS, Comparison, Formula, formula_of
from mrp.estimands.quantities import Contrast
from mrp.fit import Fit
from mrp.frames import Weights, columns_of, warn_of_absent_groups
from mrp.new_groups import NewLevels
from mrp.prediction import RowDraws
from mrp.predictive import Kind
from mrp.restriction import ReFormula
from mrp.results.estimates import Estimates
from mrp.results.stacking import stacked

Floats = NDArray[np.float64]
Transform = Callable[[Floats], Any]

PAIR = ("term", "contrast")
"""Columns that label a contrast."""


@explained
def predictions(
    fit: Fit,
    *,
    newdata: Any = None,
    variables: Variables | None = None,
    by: By | None = None,
    wts: Weights | None = None,
    type: Type = "response",
    kind: Kind = "expected",
    transform: Transform | None = None,
    re_formula: ReFormula = None,
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Expected outcome of each row; of each group of rows, where `by` is given.

    Parameters
    ----------
    fit
        Prior or posterior draws.
    newdata
        Rows to predict (pandas, polars or pyarrow); "mean", "median" or "balanced" for a grid of
        typical people; the survey by default.
    variables
        Columns to set to other values in all rows: one, several, or a mapping from columns to
        values (one, a list, or a function of the survey's column). The rows are predicted once for
        each combination. By default a categorical takes all its levels, a number that is 0 or 1
        both, other numbers minimum, quartiles and maximum.
    by
        Columns of `newdata` that make groups, or a table that maps their values to labels in its
        column ``by``; then it is `avg_predictions`.
    wts
        With `by`, the weight of each row: a column's name, or one number per row (a Series by its
        index).
    type
        "response": the expected outcome (a probability for bernoulli and binomial, a rate for
        counts, one probability for each level of an outcome with levels); "link": the linear
        predictor.
    kind
        "expected" outcomes, or "predictive": outcomes drawn for one new respondent of each row and
        draw (of binomial models the share of successes among the row's trials).
    transform
        Function of an array that is applied to the draws of the results, after averaging:
        ``np.exp``. Means and intervals are those of the transformed draws. It must return numbers:
        for the probability that an average is beyond a line, see `Estimates.probability`; for the
        share of people beyond it, ``kind="predictive"``.
    re_formula
        None: all group-specific terms; False: none; or those of a formula such as
        ``"(1 | state)"``. Effects left out count as zero, and their columns aren't needed.
    new_levels
        How to draw the effects of groups that the survey lacks, which are an error by default:
        "gaussian", "uncertainty" or "old_levels" for all; or, by grouping factor or column, such a
        way, the levels that may be new (drawn "gaussian"), or a mapping from them to ways:
        ``{"state": ["AK", "HI"]}``, ``{"state:race": "gaussian"}``. The result says below its
        table, and in ``about["new_groups"]``, how much of it was drawn.
    seed
        Makes the effects of new groups, and outcomes that are drawn, repeatable.

    Returns
    -------
    One estimate per row, labelled by ``rowid`` and the columns of `newdata`; for outcomes with
    levels, one per level (``group``) and row. A column with the name of a result, such as
    ``estimate``, is left out of the labels.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> grid = mrp.datagrid(fit, gender=["Man", "Woman"])
    >>> len(mrp.predictions(fit, newdata=grid))
    2
    """
    asked = context(
        fit,
        newdata,
        wts=wts,
        type=type,
        kind=kind,
        transform=transform,
        re_formula=re_formula,
        new_levels=new_levels,
        seed=seed,
    )
    if by is not None:
        return _averaged_predictions(asked, variables, by, "avg_predictions")
    rows = row_labels(asked.data, PAIR)
    if variables is None:
        return asked.estimates_of_rows(asked.predict(), rows, "predictions", fit.outcome)
    settings = asked.settings(variables)
    asked.check_rows(len(settings))
    parts = tuple(asked.predict(setting) for setting in settings)
    labels = [rows.assign(**_named(setting)) for setting in settings]
    return asked.estimates_of_rows(
        stacked(parts), pd.concat(labels, ignore_index=True), "predictions", fit.outcome
    )


@explained
def avg_predictions(
    fit: Fit,
    *,
    newdata: Any = None,
    variables: Variables | None = None,
    by: By | None = None,
    wts: Weights | None = None,
    type: Type = "response",
    kind: Kind = "expected",
    transform: Transform | None = None,
    re_formula: ReFormula = None,
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Weighted average of the expected outcome over rows, draw by draw.

    For group a and draw s, ``sum_i w_i E[y_i | draw s] / sum_i w_i`` over the rows i of the group.

    Parameters
    ----------
    fit, newdata, type, kind, transform, re_formula, new_levels, seed
        As in `predictions`.
    variables
        As in `predictions`: averages for each combination of values that all rows are set to.
    by
        Columns of `newdata`; one estimate for each combination of their values. Or a table that
        maps their values to labels in its column ``by``. By default one estimate for all rows.
        The levels of an outcome have their own estimates, with or without "group" among the names.
    wts
        Weight of each row, normalised within each group: a column's name, or one number per row (a
        Series by its index).

    Returns
    -------
    One estimate per group, labelled by `variables` and the columns of `by`; for outcomes with
    levels, one per level (``group``) and group.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> mrp.avg_predictions(fit, by="gender").labels["gender"].tolist()
    ['Man', 'Woman']
    """
    asked = context(
        fit,
        newdata,
        wts=wts,
        type=type,
        kind=kind,
        transform=transform,
        re_formula=re_formula,
        new_levels=new_levels,
        seed=seed,
    )
    return _averaged_predictions(asked, variables, by, "avg_predictions")


@explained
def poststratify(
    fit: Fit,
    frame: Any,
    *,
    by: By | None = None,
    wts: Weights | None,
    type: Type = "response",
    transform: Transform | None = None,
    re_formula: ReFormula = None,
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Population averages of the expected outcome: the frame's cells, weighted by population.

    For area a and draw s, ``sum_c N_c E[y_c | draw s] / sum_c N_c`` over the cells c of the area
    (Gelman and Little 1997; Park, Gelman and Bafumi 2004, doi:10.1093/pan/mph024).

    Parameters
    ----------
    fit, type, transform, re_formula, new_levels, seed
        As in `predictions`.
    frame
        Poststratification frame: one row per cell, with every column that the formula uses.
        Cells that are equal add up.
    by
        Columns of the frame that make areas, or a table that maps their values to labels in its
        column ``by`` (regions made of states); by default the whole population.
    wts
        Population of each cell, as counts or as shares of the area: a column's name, or one number
        per cell (a Series by its index). None, said expressly, counts each cell once.

    Returns
    -------
    One estimate per area, labelled by the columns of `by`; for outcomes with levels, one per level
    (``group``) and area, which sum to one in every draw.

    Raises
    ------
    DataError, RequestError
        The frame lacks a column, has missing values, levels or groups that the survey does not
        know, or weights that are negative, missing, or all zero in an area.

    Warns
    -----
    FrameWarning
        The survey knows an area that has no cells; or the weights are shares within areas (they
        sum to the same number in each value of a column) and are about to be averaged across
        areas; or some are shares, percents or counts, and others not.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> frame = mrp.load_dataset("simulated_frame")
    >>> len(mrp.poststratify(fit, frame, by="state", wts="n"))
    48

    Contrasts of a population are comparisons on its frame:

    >>> gap = mrp.avg_comparisons(fit, variables="gender", newdata=frame, by="state", wts="n")
    >>> gap.labels["contrast"].unique().tolist()
    ['Woman - Man']
    """
    asked = context(
        fit,
        frame,
        wts=wts,
        type=type,
        transform=transform,
        re_formula=re_formula,
        new_levels=new_levels,
        seed=seed,
        argument="frame",
    )
    result = _averaged_predictions(asked, None, by, "poststratify")
    columns = [name for name in columns_of(by) if name in asked.data.columns]
    warn_of_absent_groups(fit.design, asked.data, columns)
    return result


@explained
def comparisons(
    fit: Fit,
    *,
    variables: Variables | None = None,
    newdata: Any = None,
    by: By | None = None,
    wts: Weights | None = None,
    comparison: Comparison = "difference",
    cross: bool = False,
    type: Type = "response",
    transform: Transform | None = None,
    re_formula: ReFormula = None,
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Contrast of each row's predictions at two values of a variable, the others as they are.

    Parameters
    ----------
    fit, newdata, type, transform, re_formula, new_levels, seed
        As in `predictions`.
    variables
        A column, several, or a mapping from columns to contrasts; by default every column of the
        population-level terms. For a categorical "reference" (each level against the first),
        "sequential", "pairwise", "revpairwise", "all", "minmax" or a pair ``[lo, hi]``. For a
        number a step, a pair, "sd", "2sd", "iqr", "minmax", or a function of the column that
        returns ``(lo, hi)``. By default "reference", a step of one, and 1 against 0 for numbers
        that are 0 or 1.
    by, wts
        With `by` it is `avg_comparisons`.
    comparison
        "difference", "ratio", "lift", "lnratio", "lnor", or a function of two arrays `hi` and `lo`
        (rows, draws; of outcomes with levels rows, levels x draws). With ``avg`` at the end of a
        name ("ratioavg"), it is `avg_comparisons`.
    cross
        Whether all variables change together: a contrast for each combination of theirs.

    Returns
    -------
    One estimate per contrast and row, labelled by ``term``, ``contrast``, ``rowid`` and the
    columns of `newdata`; crossed, by ``contrast_…`` for each variable instead. For outcomes with
    levels, one for each level (``group``).

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> grid = mrp.datagrid(fit, state=["CA", "AL"])
    >>> mrp.comparisons(fit, variables="gender", newdata=grid).labels["contrast"].tolist()
    ['Woman - Man', 'Woman - Man']
    """
    formula, averaged = formula_of(comparison)
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
    contrasts = _contrasts(asked.fit, variables, cross=cross)
    what = f"{_name(comparison)} in {fit.outcome}"
    if by is not None or averaged:
        return _averaged_comparisons(asked, contrasts, by, formula, what, cross=cross)
    asked.check_rows(2 * len(contrasts))
    predicted = _Settings(asked)
    rows = row_labels(asked.data, PAIR)
    parts, labels = [], []
    for pairs in contrasts:
        parts.append(predicted.contrast(pairs, formula))
        labels.append(labelled_by(rows, _named_contrast(pairs, formula, cross, averaged=False)))
    return asked.estimates_of_rows(
        stacked(parts), pd.concat(labels, ignore_index=True), "comparisons", what
    )


@explained
def avg_comparisons(
    fit: Fit,
    *,
    variables: Variables | None = None,
    newdata: Any = None,
    by: By | None = None,
    wts: Weights | None = None,
    comparison: Comparison = "difference",
    cross: bool = False,
    type: Type = "response",
    transform: Transform | None = None,
    re_formula: ReFormula = None,
    new_levels: NewLevels | None = None,
    seed: int | None = None,
) -> Estimates:
    """Contrast of weighted averages over rows, draw by draw.

    For two values of a variable, group a and draw s, ``f(hi_as, lo_as)`` of the two averages
    ``sum_i w_i E[y_i | draw s] / sum_i w_i`` over the rows i of the group. A difference of
    averages is the average of differences. A function of the user's own is averaged over rows.

    Parameters
    ----------
    fit, variables, newdata, comparison, cross, type, transform, re_formula, new_levels, seed
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
    formula, _ = formula_of(comparison)
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
    contrasts = _contrasts(asked.fit, variables, cross=cross)
    what = f"{_name(comparison)} in {fit.outcome}"
    return _averaged_comparisons(asked, contrasts, by, formula, what, cross=cross)


class _Settings:
    """Predictions of settings, each made once though several contrasts ask for it.

    All contrasts have the same formula.
    """

    def __init__(self, asked: Context) -> None:
        self._asked = asked
        self._rows: dict[tuple[tuple[str, Any], ...], RowDraws] = {}
        self._averages: dict[tuple[tuple[str, Any], ...], RowDraws] = {}

    def contrast(self, pairs: tuple[Pair, ...], formula: Formula) -> Contrast:
        """The rows' contrasts."""
        hi, lo = (self._of_rows(side, formula) for side in _sides(pairs))
        return Contrast(hi, lo, FORMULAS["difference"] if formula.of_odds else formula)

    def contrast_of_averages(
        self, pairs: tuple[Pair, ...], formula: Formula, codes: NDArray[np.int64], groups: int
    ) -> Contrast:
        """The contrast of the groups' averages."""
        hi, lo = (self._of_averages(side, formula, codes, groups) for side in _sides(pairs))
        return Contrast(hi, lo, FORMULAS["difference"] if formula.of_odds else formula)

    def _of_rows(self, setting: Setting, formula: Formula) -> RowDraws:
        """The rows' predictions, or log odds."""
        key = _key(setting)
        if key not in self._rows:
            made = self._asked.log_odds if formula.of_odds else self._asked.predict
            self._rows[key] = made(setting)
        return self._rows[key]

    def _of_averages(
        self, setting: Setting, formula: Formula, codes: NDArray[np.int64], groups: int
    ) -> RowDraws:
        """The groups' averages, or their log odds."""
        key = _key(setting)
        if key not in self._averages:
            # not kept by rows: an average needs them once, and they may be large
            self._averages[key] = (
                self._asked.log_odds_of_averages(setting, codes, groups)
                if formula.of_odds
                else self._asked.average(self._asked.predict(setting), codes, groups)
            )
        return self._averages[key]


def _key(setting: Setting) -> tuple[tuple[str, Any], ...]:
    return tuple((name, repr(value.name)) for name, value in setting.items())


def _contrasts(fit: Fit, variables: Variables | None, *, cross: bool) -> list[tuple[Pair, ...]]:
    """Pairs that change together, for each contrast."""
    pairs = pairs_of(fit, variables)
    return crossed(pairs) if cross else [(pair,) for own in pairs.values() for pair in own]


def _sides(pairs: tuple[Pair, ...]) -> tuple[Setting, Setting]:
    return {p.variable: p.hi for p in pairs}, {p.variable: p.lo for p in pairs}


def _named(setting: Setting) -> dict[str, Any]:
    return {name: value.name for name, value in setting.items()}


def _named_contrast(
    pairs: tuple[Pair, ...], formula: Formula, cross: bool, *, averaged: bool
) -> Mapping[str, str]:
    """Label columns of a contrast, and what is in them."""
    written = [pair.label(formula, averaged=averaged) for pair in pairs]
    values = written if cross else [pairs[0].variable, *written]
    return dict(zip(_label_columns(pairs, cross=cross), values, strict=True))


def _label_columns(pairs: tuple[Pair, ...], *, cross: bool) -> tuple[str, ...]:
    return tuple(f"contrast_{pair.variable}" for pair in pairs) if cross else PAIR


def _name(comparison: Comparison) -> str:
    return comparison.removesuffix(AVERAGE) if isinstance(comparison, str) else "contrast"


def _averaged_predictions(
    asked: Context, variables: Variables | None, by: By | None, verb: str
) -> Estimates:
    settings = [{}] if variables is None else asked.settings(variables)
    check_by(by)
    by = _without(by, set(settings[0]))
    codes, groups = asked.groups(by)
    averages = [asked.average(asked.predict(setting), codes, len(groups)) for setting in settings]
    labels = [labelled_by(groups, _named(setting)) for setting in settings]
    return asked.estimates_of_averages(
        stacked(averages),
        pd.concat(labels, ignore_index=True),
        verb,
        f"average {asked.fit.outcome}",
    )


def _averaged_comparisons(
    asked: Context,
    contrasts: list[tuple[Pair, ...]],
    by: By | None,
    formula: Formula,
    what: str,
    *,
    cross: bool,
) -> Estimates:
    check_by(by, _label_columns(contrasts[0], cross=cross))
    codes, groups = asked.groups(by)
    predicted = _Settings(asked)
    averages: list[RowDraws] = []
    labels = []
    for pairs in contrasts:
        averages.append(
            predicted.contrast_of_averages(pairs, formula, codes, len(groups))
            if formula.of_averages
            else asked.average(predicted.contrast(pairs, formula), codes, len(groups))
        )
        labels.append(labelled_by(groups, _named_contrast(pairs, formula, cross, averaged=True)))
    return asked.estimates_of_averages(
        stacked(averages),
        pd.concat(labels, ignore_index=True),
        "avg_comparisons",
        f"average {what}",
    )


def _without(by: By | None, changed: Collection[str]) -> By | None:
    """`by` without the columns that variables change, by which results are anyway."""
    if isinstance(by, str | list | tuple):
        return [name for name in columns_of(by) if name not in changed]
    mapped = [name for name in columns_of(by) if name in changed]
    if mapped:
        raise RequestError(
            f"`by`, as a table, must not have columns that `variables` changes, got "
            f"{listing(mapped)}. Leave them out: each of their values has its own estimate."
        )
    return by
