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


def differences(hi: Sequence[Draws], lo: Sequence[Draws]) -> list[Draws]:
    """hi - lo, for each row and draw."""
    return [[a - b for a, b in zip(*pair, strict=True)] for pair in zip(hi, lo, strict=True)]


def records(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """The rows of a table as dictionaries."""
    return table.to_dict("records")


def changed(rows: Sequence[Row], name: str, change: Callable[[Any], Any]) -> list[Row]:
    """The rows with one value of each replaced."""
    return [{**row, name: change(row[name])} for row in rows]
