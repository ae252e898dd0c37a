"""What a picture of estimates shows, as plain data.

Rows have positions: the lowest is at 0, the next one at 1. A row shows one estimate, or one in each
colour. Nothing here draws, and nothing here loads matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import RequestError, listing, unknown, written
from mrp.results.estimates import Estimates
from mrp.results.intervals import Probabilities, in_words
from mrp.results.labels import MOST_COLORS, names_of, telling

Floats = NDArray[np.float64]
Reference = Mapping[str, "Mapping[Any, Any] | pd.Series"] | pd.DataFrame
"""Named values by label; of a table, its columns are the names and its index the labels."""

MOST_ROWS = 200
"""Rows that can still be read in one picture."""
INNER_PROB = 0.5
"""Probability of the inner interval."""
OVERLAPPING, APART = 2.5, 0.9
"""Height of the tallest curve in rows: of one colour, and of several that lie over each other."""
GRID = 512
"""Number of points at which a density is known."""
TIED = 9
"""Decimals up to which means of rows are the same."""
DODGE = 0.7
"""Share of a row over which intervals of several colours are spread."""


@dataclass(frozen=True)
class Rows:
    """The rows of a picture, from the top to the bottom, and the estimates in them.

    Parameters
    ----------
    labels
        What tells a row from the others (rows,): the label columns that differ between rows.
    shared
        The label columns that are the same in all rows, each as ``name: value``.
    positions
        Height of each row (rows,): its number from the bottom.
    order
        Which estimate each one shown is (shown,), from the top to the bottom.
    at
        Position of the row of each estimate shown (shown,).
    series
        Colour of each (shown,): a number, and what it stands for in `colors`.
    color
        Column that has a colour for each of its values; None for one colour.
    colors
        These values, as text; none for one colour.
    estimate
        Centre of its draws (shown,).
    quantity
        What the estimates are estimates of.
    """

    labels: tuple[str, ...]
    shared: tuple[str, ...]
    positions: Floats
    order: NDArray[np.intp]
    at: Floats
    series: NDArray[np.intp]
    color: str | None
    colors: tuple[str, ...]
    estimate: Floats
    quantity: str

    @property
    def dodged(self) -> Floats:
        """Heights (shown,) at which estimates of one row are side by side, the first on top."""
        count = max(len(self.colors), 1)
        return self.at + DODGE * ((count - 1) / 2 - self.series) / count


@dataclass(frozen=True)
class Interval:
    """Bounds (shown,) of the interval of each estimate, and their probability."""

    probability: float
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Points:
    """Values to compare estimates with (points,), NaN where there is none, and their heights."""

    name: str
    values: Floats
    heights: Floats


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
        Density above the position of each estimate's row (shown, points), in rows.
    at_estimate
        Density at each estimate (shown,), in rows.
    meaning
        What a curve is, in words.
    points
        Points to compare the curves with.
    """

    rows: Rows
    grid: Floats
    heights: Floats
    at_estimate: Floats
    meaning: str
    points: tuple[Points, ...] = ()


def interval_layers(
    estimates: Estimates,
    *,
    ci_prob: Probabilities | None = None,
    color: str | None = None,
    sort: bool = True,
    reference: Reference | None = None,
) -> Intervals:
    """Centre and intervals of each estimate, and the reference values of its label.

    The arguments are those of `mrp.plots.figures.intervals`.
    """
    _check_number_of_rows(estimates)
    probabilities = _probabilities(estimates, ci_prob)
    table = estimates.to_frame(ci_prob=probabilities)
    rows = _rows(estimates, table, sort, color)
    bounds = table.iloc[rows.order, -2 * len(probabilities) :].to_numpy(dtype=float).T
    pairs = zip(probabilities, bounds[::2], bounds[1::2], strict=True)
    intervals = tuple(Interval(p, low, high) for p, low, high in pairs)
    points = [
        Points(str(name), _matched(str(name), values, rows.labels), rows.positions)
        for name, values in _named(reference)
    ]
    how = estimates.summarised
    meaning = f"{how.center}, {in_words(probabilities[::-1], how.ci_kind)}"
    return Intervals(rows, intervals, tuple(points), meaning)


def _probabilities(estimates: Estimates, ci_prob: Probabilities | None) -> list[float]:
    """Probabilities of the intervals, the widest first; half is added to a single wider one."""
    asked = estimates.summarised.but(ci_prob=ci_prob)
    inner = [] if isinstance(asked.ci_prob, tuple) else [INNER_PROB]
    widest = max(asked.probabilities)
    return sorted({*asked.probabilities, *(p for p in inner if p < widest)}, reverse=True)


def ridge_layers(
    estimates: Estimates,
    *,
    color: str | None = None,
    sort: bool = True,
    height: float | None = None,
) -> Ridges:
    """Density of the draws of each estimate, the tallest `height` rows high.

    The arguments are those of `mrp.plots.figures.ridges`.
    """
    _check_number_of_rows(estimates)
    if height is not None:
        _check_height(height)
    rows = _rows(estimates, estimates.to_frame(), sort, color)
    if height is None:
        height = APART if rows.colors else OVERLAPPING
    grid, heights = _densities(estimates.source.values(rows.order), height)
    at_estimate = [
        np.interp(mean, grid, curve) for mean, curve in zip(rows.estimate, heights, strict=True)
    ]
    group = estimates.about.get("group", "posterior")
    center = estimates.summarised.center
    meaning = f"density of {estimates.source.size:,} {group} draws, line at their {center}"
    return Ridges(rows, grid, heights, np.array(at_estimate), meaning)


def _rows(estimates: Estimates, table: pd.DataFrame, sort: bool, color: str | None) -> Rows:
    color = _color(estimates, color)
    center = table["estimate"].to_numpy(dtype=float)
    series, colors = _series(estimates.labels, color)
    labels, shared = _labels(estimates, color)
    _check_finite(center, labels)
    row = _row_of_each(labels, series)
    from_top = _from_top(center, row) if sort else np.arange(row.max() + 1)
    rank = np.empty_like(from_top)
    rank[from_top] = np.arange(len(from_top))
    order = np.lexsort((series, rank[row]))
    first = np.unique(row, return_index=True)[1]
    return Rows(
        labels=tuple(labels[first[k]] for k in from_top),
        shared=shared,
        positions=np.arange(len(rank), dtype=float)[::-1],
        order=order,
        at=(len(rank) - 1 - rank[row][order]).astype(float),
        series=series[order],
        color=color,
        colors=colors,
        estimate=center[order],
        quantity=_quantity(estimates),
    )


def _from_top(center: Floats, row: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows by the mean of their estimates, and by the first where it is the same (as of shares)."""
    rows = pd.Series(center).groupby(row)
    return np.lexsort((-rows.first().to_numpy(), -rows.mean().to_numpy().round(TIED)))


def _color(estimates: Estimates, color: str | None) -> str | None:
    """Column that gives the colours: the one asked for, or what `Estimates.about` says."""
    columns = [str(name) for name in estimates.labels.columns]
    if color is not None and color not in columns:
        raise RequestError(unknown("color", "name a column of the labels", color, columns))
    usual = estimates.about.get("color")
    return color or (usual if usual in columns else None)


def _series(labels: pd.DataFrame, color: str | None) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Number of the colour of each estimate, and what the colours stand for, in order."""
    if color is None:
        return np.zeros(len(labels), dtype=np.intp), ()
    of_levels = isinstance(labels[color].dtype, pd.CategoricalDtype)
    codes, values = pd.factorize(labels[color], sort=of_levels, use_na_sentinel=False)
    if len(values) > MOST_COLORS:
        raise RequestError(
            f"`color` must name a column of at most {MOST_COLORS} values, got {len(values)} in "
            f"{color!r}. Show it in rows."
        )
    return codes, tuple(map(str, values))


def _row_of_each(labels: list[str], series: NDArray[np.intp]) -> NDArray[np.intp]:
    """Row of each estimate: one for each label, and more where a label has a colour twice."""
    table = pd.DataFrame({"label": labels, "series": series})
    table["again"] = table.groupby(["label", "series"]).cumcount()
    return table.groupby(["label", "again"], sort=False).ngroup().to_numpy().astype(np.intp)


def _quantity(estimates: Estimates) -> str:
    quantity = str(estimates.about.get("quantity", "estimate"))
    return f"{quantity} (link scale)" if estimates.about.get("type") == "link" else quantity


def _labels(estimates: Estimates, color: str | None) -> tuple[list[str], tuple[str, ...]]:
    """What tells rows apart, and what they share."""
    table = estimates.labels.drop(columns=[] if color is None else [color])
    differ = telling(table)
    if not differ:
        one_row_of_colors = color is not None and not len(table.columns)
        return ([""] * len(table) if one_row_of_colors else names_of(table)), ()
    # the value that a row has of the variable which the contrast changes says nothing
    contrasted = set(table["term"]) if "contrast" in table else set()
    silent = {"rowid", *differ, *contrasted}
    same = [name for name in table.columns if name not in silent]
    shared = tuple(f"{name}: {table[name].iloc[0]}" for name in same)
    return names_of(table[differ]), shared


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
    is_number = isinstance(height, float | int) and not isinstance(height, bool)
    if not is_number or not height > 0:
        raise RequestError(
            f"`height` must be a positive number of rows, got {written(height)}. Usual: "
            f"{OVERLAPPING}."
        )
    if height > MOST_ROWS:
        raise RequestError(
            f"`height` must be at most {MOST_ROWS} rows, got {written(height)}. Usual: "
            f"{OVERLAPPING}."
        )
