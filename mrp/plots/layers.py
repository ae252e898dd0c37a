"""What a picture of estimates shows, as plain data.

Rows have positions: the lowest is at 0, the next one at 1. Nothing here draws, and nothing here
loads matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import RequestError, listing, unknown
from mrp.estimates import Estimates

Floats = NDArray[np.float64]
Reference = Mapping[str, "Mapping[Any, Any] | pd.Series"] | pd.DataFrame
"""Named values by label; of a table, its columns are the names and its index the labels."""

MOST_ROWS = 200
"""Rows that can still be read in one picture."""
INNER_PROB = 0.5
"""Probability of the inner interval."""
GRID = 512
"""Number of points at which a density is known."""
KINDS = {"eti": "equal-tailed", "hdi": "highest-density"}
"""Kinds of interval in words."""


@dataclass(frozen=True)
class Rows:
    """The rows of a picture, from the top to the bottom.

    Parameters
    ----------
    order
        Which estimate each row is (rows,).
    labels
        What tells a row from the others: the label columns that differ between rows.
    shared
        The label columns that are the same in all rows, each as ``name: value``.
    positions
        Height of each row (rows,): its number from the bottom.
    estimate
        Mean of its draws (rows,).
    quantity
        What the estimates are estimates of.
    """

    order: NDArray[np.intp]
    labels: tuple[str, ...]
    shared: tuple[str, ...]
    positions: Floats
    estimate: Floats
    quantity: str


@dataclass(frozen=True)
class Interval:
    """Bounds (rows,) of the interval of each row, and their probability."""

    probability: float
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Points:
    """A value to compare each row with (rows,); NaN where there is none."""

    name: str
    values: Floats


@dataclass(frozen=True)
class Intervals:
    """Estimates with intervals, the widest first, and points to compare them with."""

    rows: Rows
    intervals: tuple[Interval, ...]
    points: tuple[Points, ...]
    meaning: str


@dataclass(frozen=True)
class Ridges:
    """Densities of draws.

    Parameters
    ----------
    rows
        The rows.
    grid
        Where the densities are known (points,), the same for all rows.
    heights
        Density above each row's position (rows, points), in rows.
    at_estimate
        Density at each row's estimate (rows,), in rows.
    meaning
        What a curve is, in words.
    """

    rows: Rows
    grid: Floats
    heights: Floats
    at_estimate: Floats
    meaning: str


def interval_layers(
    estimates: Estimates,
    *,
    ci_prob: float = 0.95,
    sort: bool = True,
    reference: Reference | None = None,
) -> Intervals:
    """Mean and intervals of each estimate, and the reference values of its label.

    The arguments are those of `mrp.plots.figures.intervals`.
    """
    _check_number_of_rows(estimates)
    outer = estimates.to_frame(ci_prob=ci_prob)
    rows = _rows(estimates, outer, sort)
    intervals = [_interval(outer, rows)]
    if ci_prob > INNER_PROB:
        intervals.append(_interval(estimates.to_frame(ci_prob=INNER_PROB), rows))
    points = [
        Points(str(name), _matched(str(name), values, rows.labels))
        for name, values in _named(reference)
    ]
    shares = " and ".join(f"{100 * each.probability:g}%" for each in reversed(intervals))
    noun = "intervals" if len(intervals) > 1 else "interval"
    kind = KINDS[outer.attrs["ci_kind"]]
    meaning = f"{outer.attrs['center']}, {shares} {kind} {noun}"
    return Intervals(rows, tuple(intervals), tuple(points), meaning)


def ridge_layers(estimates: Estimates, *, sort: bool = True, height: float = 2.5) -> Ridges:
    """Density of the draws of each estimate, the tallest `height` rows high.

    The arguments are those of `mrp.plots.figures.ridges`.
    """
    _check_number_of_rows(estimates)
    _check_height(height)
    rows = _rows(estimates, estimates.to_frame(), sort)
    grid, heights = _densities(estimates.source.values(rows.order), height)
    at_estimate = [
        np.interp(mean, grid, curve) for mean, curve in zip(rows.estimate, heights, strict=True)
    ]
    group = estimates.about.get("group", "posterior")
    meaning = f"density of {estimates.source.size:,} {group} draws, line at their mean"
    return Ridges(rows, grid, heights, np.array(at_estimate), meaning)


def _rows(estimates: Estimates, table: pd.DataFrame, sort: bool) -> Rows:
    mean = table["estimate"].to_numpy(dtype=float)
    labels, shared = _labels(estimates)
    _check_finite(mean, labels)
    order = np.argsort(-mean, kind="stable") if sort else np.arange(len(mean))
    return Rows(
        order=order,
        labels=tuple(labels[k] for k in order),
        shared=shared,
        positions=np.arange(len(mean), dtype=float)[::-1],
        estimate=mean[order],
        quantity=_quantity(estimates),
    )


def _quantity(estimates: Estimates) -> str:
    quantity = str(estimates.about.get("quantity", "estimate"))
    return f"{quantity} (link scale)" if estimates.about.get("type") == "link" else quantity


def _labels(estimates: Estimates) -> tuple[list[str], tuple[str, ...]]:
    """What tells rows apart, and what they share."""
    table = estimates.labels
    differ = [name for name in table.columns if table[name].nunique(dropna=False) > 1]
    without_id = [name for name in differ if name != "rowid"]
    if without_id and not table.duplicated(without_id).any():
        differ = without_id
    if not differ:
        return estimates.names, ()
    # the value that a row has of the variable which the contrast changes says nothing
    contrasted = set(table["term"]) if "contrast" in table else set()
    silent = {"rowid", *differ, *contrasted}
    same = [name for name in table.columns if name not in silent]
    shared = tuple(f"{name}: {table[name].iloc[0]}" for name in same)
    return replace(estimates, labels=table[differ]).names, shared


def _interval(table: pd.DataFrame, rows: Rows) -> Interval:
    low, high = (
        table[name].to_numpy(dtype=float)[rows.order] for name in ("conf_low", "conf_high")
    )
    return Interval(float(table.attrs["ci_prob"]), low, high)


def _named(reference: Reference | None) -> list[tuple[Any, Any]]:
    if reference is None:
        return []
    if isinstance(reference, Mapping | pd.DataFrame):
        return list(reference.items())
    raise RequestError(
        f"`reference` must map names to values by label, got {type(reference).__name__}. "
        f"For example: {{'truth': {{'CA': 0.4}}}}."
    )


def _matched(name: str, values: Any, labels: tuple[str, ...]) -> Floats:
    """Values (rows,) of the labels; NaN where there is none."""
    if not isinstance(values, Mapping | pd.Series):
        raise RequestError(
            f"`reference` must map labels to values, got {type(values).__name__} for {name!r}. "
            f"Use a Series with the labels as its index, or a dict."
        )
    by_label: dict[str, float] = {}
    for key, value in values.items():
        label = _text(key)
        if label not in labels:
            raise RequestError(
                unknown("reference", f"use labels of rows for {name!r}", label, labels)
            )
        if label in by_label:
            raise RequestError(
                f"`reference` must have one value for each label, got several for {label!r} "
                f"in {name!r}."
            )
        by_label[label] = _number(name, label, value)
    return np.array([by_label.get(label, np.nan) for label in labels])


def _text(key: object) -> str:
    return ", ".join(str(part) for part in key) if isinstance(key, tuple) else str(key)


def _number(name: str, label: str, value: Any) -> float:
    if value is None or value is pd.NA:
        return np.nan
    if isinstance(value, float | int | np.number):
        return float(value)
    raise RequestError(
        f"`reference` must have numbers as values, got {value!r} for {label!r} in {name!r}."
    )


def _densities(values: Floats, height: float) -> tuple[Floats, Floats]:
    """Grid (points,) and curves (rows, points) of draws (rows, draws), the tallest `height` high.

    Kernel estimates of ArviZ on one grid from the lowest to the highest draw of all, with
    reflection at its ends: no density lies outside of what was drawn. Draws that differ by less
    than a step of the grid have no density, but a spike of the full height.
    """
    from arviz_stats.base import array_stats

    low, high = _limits(values)
    step = (high - low) / GRID
    grid = np.linspace(low + step / 2, high - step / 2, GRID)
    heights = np.zeros((len(values), GRID))
    spikes = np.ptp(values, axis=1) < step
    if not spikes.all():
        _, density, _ = array_stats.kde(
            values[~spikes], axis=-1, grid_len=GRID, custom_lims=(low, high)
        )
        heights[~spikes] = height * density / density.max()
    nearest = np.clip((values[spikes].mean(axis=1) - low) // step, 0, GRID - 1)
    heights[np.flatnonzero(spikes), nearest.astype(int)] = height
    return grid, heights


def _limits(values: Floats) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    around = max(abs(low), 1.0)
    return (low, high) if high - low > 1e-9 * around else (low - around / 2, high + around / 2)


def _check_number_of_rows(estimates: Estimates) -> None:
    if not 1 <= len(estimates) <= MOST_ROWS:
        raise RequestError(
            f"`estimates` must have 1 to {MOST_ROWS} rows to be drawn, got {len(estimates):,}. "
            f"Average with `by=`, or ask for fewer rows with `newdata=`."
        )


def _check_finite(mean: Floats, labels: list[str]) -> None:
    missing = [label for label, value in zip(labels, mean, strict=True) if not np.isfinite(value)]
    if missing:
        raise RequestError(
            f"`estimates` must have finite draws to be drawn, got rows with others: "
            f"{listing(missing)}."
        )


def _check_height(height: float) -> None:
    if isinstance(height, bool) or not isinstance(height, float | int) or not height > 0:
        raise RequestError(
            f"`height` must be a positive number of rows, got {height!r}. Usual: 2.5."
        )
