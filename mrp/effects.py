"""A fit's parameters as estimates: coefficients, groups' effects, and how much groups differ.

The names are those of lme4 and brms: `fixef`, `ranef`, `coef` (here a kind of `ranef`), `VarCorr`.
Every table is made of variables of the fit's draws, each of which becomes some rows: a label
for each of its dims, and their draws. A dim that no term has, such as the levels of an outcome,
becomes one more column of labels.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mrp.coefficients import (
    Dims,
    correlation_labels,
    correlation_name,
    dims_of,
    effect_dims,
    number_of,
)
from mrp.design import Block, Design, Term
from mrp.errors import FitError, RequestError, listing, unknown
from mrp.levels import KINDS, THRESHOLD, level_parameters, threshold_names
from mrp.memory import LARGE, check_fits
from mrp.results.estimates import RESULTS, Estimates, Made, estimates

if TYPE_CHECKING:
    from mrp.fit import Fit

Floats = NDArray[np.float64]
Kind = Literal["effects", "coefficients"]
Levels = Mapping[str, Sequence[str]]
"""Labels of each dim, in order."""

RESIDUAL = "residual"
"""Stands for a grouping factor where a parameter belongs to single outcomes."""
WITH_SIGMA = ("gaussian",)
"""Families whose outcomes have a residual standard deviation ``sigma``."""
OF_SPREADS = ("spread of effects", "varcorr")
"""Quantity and verb of standard deviations and correlations."""
LABELS = ("factor", "group", "term", "parameter")
"""Columns that these tables have for labels."""


@dataclass(frozen=True)
class Rows:
    """Labels of parameters, a row for each, and their draws (rows, chains x draws)."""

    labels: pd.DataFrame
    draws: Floats


def fixef(fit: Fit) -> Estimates:
    """Population-level coefficients, and thresholds of levels, by ``term``; see `Fit.fixef`."""
    if not fit.design.terms and not _has_thresholds(fit):
        raise RequestError(
            f"`fixef` needs population-level terms, got the formula {fit.design.formula!r}. "
            f"Groups' effects are in `ranef`."
        )
    parts = [_thresholds(_parameters(fit))] if _has_thresholds(fit) else []
    found = _stacked([*parts, *_population(fit)])
    return _estimates(fit, found, "population-level coefficient", "fixef")


def ranef(fit: Fit, factor: str | None = None, *, kind: Kind = "effects") -> Estimates:
    """Groups' effects, labelled by ``factor``, ``group`` and ``term``; see `Fit.ranef`."""
    if kind not in get_args(Kind):
        raise RequestError(unknown("kind", "say what to list", kind, get_args(Kind)))
    factors = _factors(fit.design, factor)
    _check_memory(fit, factors)
    found = _stacked([_of_factor(fit, name) for name in factors])
    quantity = "group-specific effect"
    if kind == "coefficients":
        found, quantity = _with_population(found, fit), "coefficient of a group"
    return _estimates(fit, found, quantity, "ranef")


def _check_memory(fit: Fit, factors: Sequence[str]) -> None:
    """Raise if the effects of all groups, while they are put in order, are more than the memory."""
    design, columns = fit.design, fit.coefficients.columns
    own = [block for block in design.blocks if block.factor in factors]
    effects = sum(block.width * len(design.factors[block.factor].groups) for block in own)
    if 8 * effects * columns > LARGE:
        check_fits(
            3 * 8 * effects * columns,
            f"{effects:,} effects of groups in {fit.coefficients.size:,} draws",
            "factor",
            "Ask for the estimates that you need with `predictions` or `poststratify`.",
        )


def varcorr(fit: Fit) -> Estimates:
    """Standard deviations and correlations of groups' effects; see `Fit.varcorr`."""
    spreads = list(_spreads(fit.design, fit.family))
    if not spreads:
        raise RequestError(
            f"`varcorr` needs group-specific terms or a residual standard deviation, got the "
            f"formula {fit.design.formula!r} and the family {fit.family!r}. Coefficients are in "
            f"`fixef`."
        )
    parts, wrong = _of_spreads(spreads, _parameters(fit))
    if wrong:
        raise FitError(wrong[0])
    return _estimates(fit, _stacked(parts), *OF_SPREADS)


def varcorr_there(fit: Fit) -> tuple[Estimates | None, tuple[str, ...]]:
    """`varcorr` of what the draws have, and messages on what they lack or have otherwise."""
    parts, wrong = _of_spreads(list(_spreads(fit.design, fit.family)), _parameters(fit))
    return (_estimates(fit, _stacked(parts), *OF_SPREADS) if parts else None), tuple(wrong)


def _estimates(fit: Fit, rows: Rows, quantity: str, verb: str) -> Estimates:
    about = {"verb": verb, "quantity": quantity, "group": fit.group, "draws": fit.fingerprint}
    return estimates(rows.labels, Made(rows.draws), fit.parameters.sizes["chain"], about)


def _stacked(parts: Sequence[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    labels = pd.concat([part.labels for part in parts], ignore_index=True)
    return Rows(labels, np.concatenate([part.draws for part in parts]))


# --- coefficients and effects ---------------------------------------------------------------------


def _has_thresholds(fit: Fit) -> bool:
    """Whether thresholds between the outcome's levels stand for the intercept."""
    return KINDS.get(fit.family) == "ordered"


def _thresholds(parameters: xr.Dataset) -> Rows:
    found = _rows(parameters[THRESHOLD], {})
    labels = found.labels.drop(columns=THRESHOLD)
    return Rows(labels.assign(term=threshold_names(len(labels))), found.draws)


def _population(fit: Fit) -> list[Rows]:
    """Population-level coefficients of each term, in the design's order."""
    parameters = _parameters(fit)
    return [_of_term(parameters[term.name], term, dims_of(term)) for term in fit.design.terms]


def _factors(design: Design, factor: str | None) -> list[str]:
    if not design.blocks:
        raise RequestError(
            f"`ranef` needs group-specific terms such as (1 | state), got the formula "
            f"{design.formula!r}. Coefficients are in `fixef`."
        )
    if factor is None:
        return list(dict.fromkeys(block.factor for block in design.blocks))
    if factor not in design.factors:
        raise RequestError(
            unknown("factor", "name a grouping factor", factor, list(design.factors))
        )
    return [factor]


def _of_factor(fit: Fit, factor: str) -> Rows:
    """Effects of a factor's groups: groups in the design's order, then terms."""
    parameters, groups = _parameters(fit), fit.design.factors[factor].groups
    found = _stacked([
        _of_effect(parameters[block.variable(term)], block, term, groups)
        for block in fit.design.blocks
        if block.factor == factor
        for term in block.terms
    ])  # fmt: skip
    position = pd.Index(groups).get_indexer(pd.Index(found.labels["group"]))
    order = np.argsort(position, stable=True)
    if (np.diff(order) > 0).all():
        return found
    return Rows(found.labels.iloc[order], found.draws[order])


def _of_effect(array: xr.DataArray, block: Block, term: Term, groups: Sequence[str]) -> Rows:
    *own, of_group = effect_dims(block, term)
    found = _of_term(array, term, tuple(own), {of_group: groups})
    labels = found.labels.rename(columns={of_group: "group"})
    labels.insert(0, "factor", block.factor)
    return Rows(labels, found.draws)


def _of_term(array: xr.DataArray, term: Term, dims: Dims, others: Levels | None = None) -> Rows:
    """Rows of a term's variable; its coefficients are named in the column ``term``."""
    (dim,) = dims or ("term",)
    levels = term.levels or (term.name,)
    found = _rows(array, {**(others or {}), dim: levels})
    labels = found.labels.rename(columns={dim: "term"})
    names = dict(zip(levels, term.labels, strict=True))
    return Rows(labels.assign(term=labels["term"].map(names)), found.draws)


def _with_population(effects: Rows, fit: Fit) -> Rows:
    """Effects plus the population-level coefficients of the same names, where there are any.

    A name says which column of the design a coefficient multiplies, also after ``0 +``, where a
    categorical has one more column.
    """
    if not fit.design.terms:
        return effects
    population = _stacked(_population(fit))
    keys = list(population.labels)
    index = pd.MultiIndex.from_frame(population.labels)
    position = index.get_indexer(pd.MultiIndex.from_frame(effects.labels[keys]))
    shared = position >= 0
    effects.draws[shared] += population.draws[position[shared]]
    return effects


# --- standard deviations and correlations ---------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """A variable with standard deviations or correlations.

    Parameters
    ----------
    variable
        Its name in the draws.
    levels
        Labels of its dim, if it has one.
    factor
        Whose groups they are of.
    names
        What its values are called.
    """

    variable: str
    levels: Levels
    factor: str
    names: Sequence[str]


def _spreads(design: Design, family: str) -> Iterator[Spread]:
    """The variables that say how much groups and outcomes differ."""
    for b, block in enumerate(design.blocks):
        for term in block.terms:
            dims = effect_dims(block, term)[:-1]
            names = [f"sd({label})" for label in term.labels]
            levels = dict.fromkeys(dims, term.levels or ())
            yield Spread(f"{block.variable(term)}_sigma", levels, block.factor, names)
        if block.correlated:
            variable = correlation_name(block.factor, number_of(design, b))
            pairs = correlation_labels(block)
            names = [f"cor({pair})" for pair in pairs]
            yield Spread(variable, {f"{variable}_dim": pairs}, block.factor, names)
    if family in WITH_SIGMA:
        yield Spread("sigma", {}, RESIDUAL, ["sigma"])


def _of_spreads(spreads: Sequence[Spread], parameters: xr.Dataset) -> tuple[list[Rows], list[str]]:
    """Rows of the variables that can be read, and messages on the others."""
    there = [spread for spread in spreads if spread.variable in parameters]
    missing = [spread for spread in spreads if spread.variable not in parameters]
    wrong = [_lacking(missing, parameters)] if missing else []
    unlabelled = {s.variable: _unlabelled(s, parameters[s.variable]) for s in there}
    wrong += [message for message in unlabelled.values() if message]
    return [
        _of_spread(s, parameters[s.variable]) for s in there if not unlabelled[s.variable]
    ], wrong


def _of_spread(spread: Spread, array: xr.DataArray) -> Rows:
    """Rows of a variable, labelled by ``factor`` and ``parameter``."""
    found = _rows(array, spread.levels)
    each = len(found.labels) // len(spread.names)
    labels = found.labels.drop(columns=list(spread.levels))
    labels.insert(0, "factor", spread.factor)
    labels.insert(1, "parameter", np.repeat(spread.names, each))
    return Rows(labels, found.draws)


def _lacking(missing: Sequence[Spread], parameters: xr.Dataset) -> str:
    message = (
        f"`varcorr` needs draws of every standard deviation and correlation, this fit lacks "
        f"{listing(spread.variable for spread in missing)}. Available: "
        f"{listing(parameters.data_vars)}. Add them to the draws that Fit.from_draws is given."
    )
    if any(spread.names[0].startswith("cor(") for spread in missing):
        message += " A model without correlations is written (x || g)."
    return message


def _unlabelled(spread: Spread, array: xr.DataArray) -> str:
    """What is wrong with a variable's labels, if anything; the only one of a dim needs neither."""
    for dim, labels in spread.levels.items():
        have = _labels_of(array, dim, labels)
        if not set(labels) <= set(have):
            return (
                f"`varcorr` needs draws of {spread.variable!r} with the labels {listing(labels)} "
                f"along the dim {dim!r}, got the dims {listing(array.dims)} and the labels "
                f"{listing(have)}. Relabel them with `assign_coords`."
            )
    return ""


def _labels_of(array: xr.DataArray, dim: str, expected: Sequence[str]) -> list[str]:
    """A dim's labels; those expected where it has none and the number is right."""
    if dim in array.coords:
        return [str(label) for label in array[dim].values]
    size = array.sizes[dim] if dim in array.dims else 1
    return list(expected) if size == len(expected) else []


# --- from variables to rows -----------------------------------------------------------------------


def _parameters(fit: Fit) -> xr.Dataset:
    """The fit's draws, with the levels of its outcome in order and under their names."""
    parameters = fit.parameters
    by_level = level_parameters(fit.family, fit.outcome, fit.levels)
    for dim, levels in by_level.coordinates.items():
        if dim in parameters.coords:
            have = pd.Index([str(label) for label in parameters[dim].values])
            order = have.get_indexer(pd.Index([str(level) for level in levels]))
            parameters = parameters.isel({dim: order})
        elif dim in parameters.dims:
            parameters = parameters.assign_coords({dim: levels})
    return parameters


def _rows(array: xr.DataArray, levels: Levels) -> Rows:
    """A row for each value of a variable, with a column of labels for each dim.

    Parameters
    ----------
    array
        Draws with the dims chain, draw and any others.
    levels
        Dims that vary slowest, and their labels in the order wanted. A dim of one label may be
        missing.
    """
    for dim, labels in levels.items():
        if dim in array.coords and dim in array.dims:
            have = pd.Index([str(label) for label in array[dim].values])
            array = array.isel({dim: have.get_indexer(pd.Index(labels))})
        elif dim not in array.dims:
            array = array.drop_vars(dim, errors="ignore").expand_dims(dim)
    others = [dim for dim in map(str, array.dims) if dim not in (*levels, "chain", "draw")]
    values = array.transpose(*levels, *others, "chain", "draw").to_numpy()
    columns = {**levels, **{_column_of(dim): array[dim].values.tolist() for dim in others}}
    labels_of_rows = pd.DataFrame(list(itertools.product(*columns.values())), columns=[*columns])
    own = np.empty(values.shape)
    own[...] = values
    return Rows(labels_of_rows, own.reshape(len(labels_of_rows), -1))


def _column_of(dim: str) -> str:
    """Column for the labels of a dim: ``party`` for ``party_dim``, unless that is taken."""
    name = re.sub(r"(_reduced)?_dim$", "", dim)
    return dim if name in (*LABELS, *RESULTS) else name
