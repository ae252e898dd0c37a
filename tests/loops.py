"""The second implementation: plain loops over rows, draws and terms, without any code of mrp.

A row is a dictionary of raw values. What a term contributes to a row's linear predictor is written
out by hand (`tests.cases`) as triples: the variable, the labels of one of its values, and the
number that multiplies it. Draws are looked up in the dataset by label, never by position.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import pandas as pd
import xarray as xr

Row = Mapping[Hashable, Any]
Labels = Mapping[str, str]
Terms = Callable[[Row], Iterable[tuple[str, Labels, float]]]
Draws = list[float]

INVERSE: Mapping[str, Callable[[float], float]] = {
    "identity": lambda eta: eta,
    "log": math.exp,
    "logit": lambda eta: 1 / (1 + math.exp(-eta)),
    "probit": NormalDist().cdf,
    "cloglog": lambda eta: 1 - math.exp(-math.exp(eta)),
}

DERIVATIVE: Mapping[str, Callable[[float], float]] = {
    "identity": lambda eta: 1.0,
    "log": math.exp,
    "logit": lambda eta: INVERSE["logit"](eta) * (1 - INVERSE["logit"](eta)),
    "probit": NormalDist().pdf,
    "cloglog": lambda eta: math.exp(eta) * math.exp(-math.exp(eta)),
}
"""Of the inverse link, by the linear predictor."""

CONTRAST: Mapping[str, Callable[[float, float], float]] = {
    "difference": lambda hi, lo: hi - lo,
    "ratio": lambda hi, lo: hi / lo,
    "lift": lambda hi, lo: hi / lo - 1,
    "lnratio": lambda hi, lo: math.log(hi) - math.log(lo),
    "lnor": lambda hi, lo: math.log(hi * (1 - lo) / (lo * (1 - hi))),
}

SLOPE: Mapping[str, Callable[[float, float, float], float]] = {
    "dydx": lambda dydx, x, y: dydx,
    "eyex": lambda dydx, x, y: dydx / y * x,
    "eydx": lambda dydx, x, y: dydx / y,
    "dyex": lambda dydx, x, y: dydx * x,
}

VARIANCE: Mapping[str, Callable[[float, float, float], float]] = {
    "bernoulli": lambda mean, other, trials: mean * (1 - mean),
    "binomial": lambda mean, other, trials: mean * (1 - mean) / trials,
    "gaussian": lambda mean, sigma, trials: sigma**2,
    "poisson": lambda mean, other, trials: mean,
    "negativebinomial": lambda mean, alpha, trials: mean + mean**2 / alpha,
}
"""Of a new outcome, by its mean, the family's other parameter and the number of trials."""


def by_label(draws: xr.Dataset) -> dict[tuple[str, frozenset[tuple[str, str]]], Draws]:
    """Draws of every number, chain by chain, by its variable and the labels of its dims."""
    found = {}
    for name, array in draws.data_vars.items():
        own = [dim for dim in array.dims if dim not in ("chain", "draw")]
        for labels in itertools.product(*(array[dim].values.tolist() for dim in own)):
            where = dict(zip(own, labels, strict=True))
            chains = array.sel(where).transpose("chain", "draw").values.tolist()
            key = (str(name), frozenset((str(k), str(v)) for k, v in where.items()))
            found[key] = [value for chain in chains for value in chain]
    return found


def predictions(
    rows: Sequence[Row], terms: Terms, draws: xr.Dataset, link: str = "identity"
) -> list[Draws]:
    """Inverse link of the linear predictor, for each row and draw.

    A term without a variable ("") is an offset.
    """
    values = by_label(draws)
    count = draws.sizes["chain"] * draws.sizes["draw"]
    result = []
    for row in rows:
        eta = [0.0] * count
        for name, labels, multiplier in terms(row):
            drawn = values[name, frozenset(labels.items())] if name else [1.0] * count
            for s in range(count):
                eta[s] += multiplier * drawn[s]
        result.append([INVERSE[link](value) for value in eta])
    return result


def averages(
    quantities: Sequence[Draws], weights: Sequence[float], groups: Sequence[Hashable]
) -> dict[Hashable, Draws]:
    """Weighted average over the rows of each group, for each draw."""
    result: dict[Hashable, Draws] = {}
    for group in dict.fromkeys(groups):
        members = [i for i in range(len(groups)) if groups[i] == group]
        total = sum(weights[i] for i in members)
        result[group] = [
            sum(weights[i] * quantities[i][s] for i in members) / total
            for s in range(len(quantities[0]))
        ]
    return result


def contrasts(
    hi: Sequence[Draws], lo: Sequence[Draws], function: Callable[[float, float], float]
) -> list[Draws]:
    """A function of hi and lo, for each row and draw."""
    return [
        [function(a, b) for a, b in zip(*pair, strict=True)] for pair in zip(hi, lo, strict=True)
    ]


def differences(hi: Sequence[Draws], lo: Sequence[Draws]) -> list[Draws]:
    """hi - lo, for each row and draw."""
    return contrasts(hi, lo, CONTRAST["difference"])


def slopes(
    rows: Sequence[Row],
    name: str,
    terms: Terms,
    derivatives: Terms,
    draws: xr.Dataset,
    link: str = "identity",
    slope: str = "dydx",
) -> list[Draws]:
    """Slope of a column, for each row and draw, by the chain rule.

    `derivatives` are the derivatives of the terms by the column, written as terms are.
    """
    etas, by_x = predictions(rows, terms, draws), predictions(rows, derivatives, draws)
    return [
        [
            SLOPE[slope](DERIVATIVE[link](eta) * d, float(row[name]), INVERSE[link](eta))
            for eta, d in zip(etas[i], by_x[i], strict=True)
        ]
        for i, row in enumerate(rows)
    ]


def only(terms: Terms, variables: Sequence[str]) -> Terms:
    """The terms without the group-specific ones that aren't named."""
    return lambda row: [term for term in terms(row) if "|" not in term[0] or term[0] in variables]


def records(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """The rows of a table as dictionaries."""
    return table.to_dict("records")


def settings(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the columns' values, the first column varying slowest."""
    result: list[dict[str, Any]] = [{}]
    for name, options in values.items():
        result = [{**setting, name: option} for setting in result for option in options]
    return result


def quantile(values: Sequence[float], probability: float) -> float:
    """Linear between order statistics (type 7 of R)."""
    ordered = sorted(values)
    position = probability * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def changed(rows: Sequence[Row], name: str, change: Callable[[Any], Any]) -> list[Row]:
    """The rows with one value of each replaced."""
    return [{**row, name: change(row[name])} for row in rows]
