"""Weights that are shares within areas: warn before areas are averaged as if equally large.

Shares within a state add up to one, percents to a hundred, and so in every state. Real populations
of areas don't. What looks the same by design is no sign: cells that all have the same weight, age
groups or quintiles of equal size, the same population counted once for each year. So equal totals
count as a sign only where

- they are 1, 100 or another power of ten (100 alone, of weights that are whole numbers, as counts
  are), within what rounding the weights explains;
- or the column is a grouping factor of the formula with three values or more, whatever the totals;
- or there are more values than quantiles or years usually have, and their total is a round number
  of weights that are not whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.design import Categorical, DesignRows
from mrp.errors import FrameWarning, listing, warn

Floats = NDArray[np.float64]
Codes = NDArray[np.integer]

AGREE = 1e-3
"""Relative difference up to which totals count as the same."""
MOST_OFF = 0.05
"""Relative difference that rounding may explain at the most."""
MANY = 10
"""Quantiles and years are seldom more than so many."""
PAIRED = 6
"""Columns of which pairs may be areas, at the most."""
SAMPLED = 10_000
"""Weights that tell to how many decimals all are rounded."""


def warn_of_shares(
    rows: DesignRows, frame: pd.DataFrame, weights: Floats, wts: str | None, groups: Codes
) -> None:
    """Warn if weights are shares within areas, and areas are about to be averaged together.

    Parameters
    ----------
    rows, frame
        The cells; every column that may make areas is looked at, the grouping factors first.
    weights, wts
        Weight of each cell, and the column that has them, if any.
    groups
        Which cells are averaged together (n,).
    """
    used = np.flatnonzero(weights)
    given = _Given.of(weights[used])
    if given.counted_once:
        return
    found = list(_areas(rows, frame, used, given, wts))
    equal = [area for area in found if area.equal(given)]
    pairs = (_crossed(one, other, given) for one, other in _pairs(found, given))
    equal += [pair for pair in pairs if pair.at_unit(given)]
    message = _of_shares
    if not equal:
        equal, message = [area for area in found if area.mixed(given)], _of_a_mix
    across = [area for area in equal if area.divides(groups[used])]
    if across:
        finest = max(across, key=lambda area: len(area.totals))  # the first of several
        said = message(finest, given, frame.iloc[used])
        warn(said, FrameWarning)


@dataclass(frozen=True)
class _Given:
    """Weights above zero, and what they say of themselves."""

    weights: Floats
    whole: bool
    same: bool
    step: float
    """To what they are rounded; 0 for nothing."""

    @classmethod
    def of(cls, weights: Floats) -> _Given:
        some = weights[:: max(1, len(weights) // SAMPLED)]
        near = (step for step in 10.0 ** -np.arange(7) if _multiples(some, step))
        whole = bool((weights == np.rint(weights)).all())
        return cls(weights, whole, bool(np.ptp(weights) == 0), 1.0 if whole else next(near, 0.0))

    @property
    def counted_once(self) -> bool:
        """Whether every cell counts the same by design."""
        return self.same and self.whole


@dataclass(frozen=True)
class _Areas:
    """Values of a column, or combinations of two, and the weight of each.

    Parameters
    ----------
    names
        The columns.
    codes
        Value of each cell (n,).
    totals, cells
        Sum of weights and number of cells of each.
    factor
        Whether they are groups of the formula.
    """

    names: tuple[str, ...]
    codes: Codes
    totals: Floats
    cells: Codes
    factor: bool

    @classmethod
    def of(cls, names: tuple[str, ...], codes: Codes, given: _Given, *, factor: bool) -> _Areas:
        cells = np.bincount(codes)
        there = cells > 0
        with np.errstate(over="ignore"):
            totals = np.bincount(codes, weights=given.weights)[there]
        if not there.all():
            codes = (np.cumsum(there) - 1)[codes].astype(codes.dtype)
        return cls(names, codes, totals, cells[there], factor)

    @property
    def common(self) -> float:
        """What the totals are, if they are the same."""
        return float(np.median(self.totals))

    @property
    def agree(self) -> bool:
        """Whether the totals are the same."""
        return bool(np.allclose(self.totals, self.totals[0], rtol=AGREE, atol=0))

    def equal(self, given: _Given) -> bool:
        """Whether the totals look like those of shares."""
        if self.at_unit(given):
            return True
        if given.same or not self.agree or self.repeats(given):
            return False
        if self.factor:
            return len(self.totals) > 2  # two may be the same by chance
        return len(self.totals) > MANY and not given.whole and _round(self.common)

    def repeats(self, given: _Given) -> bool:
        """Whether each has the same weights: one population, once for each year or poll."""
        if (self.cells != self.cells[0]).any():
            return False
        ordered = given.weights[np.lexsort((given.weights, self.codes))]
        each = ordered.reshape(len(self.cells), -1)
        return bool(np.allclose(each, each[0], rtol=AGREE, atol=0))

    def at_unit(self, given: _Given) -> bool:
        """Whether the totals are 1, 100 or another power of ten, within rounding."""
        if 2 * len(self.totals) > len(self.codes) or self.common < 0.5:
            return False
        unit = 10.0 ** np.rint(np.log10(self.common))
        return (unit == 100 or not given.whole) and bool(self.near(unit, given).all())

    def near(self, unit: float, given: _Given) -> NDArray[np.bool_]:
        """Which totals are a number, within what rounding explains."""
        rounding = 4 * given.step * np.sqrt(self.cells / 12) / unit
        near: NDArray[np.bool_] = np.abs(self.totals / unit - 1) <= _tolerance(rounding)
        return near & (self.cells > 1)

    def mixed(self, given: _Given) -> bool:
        """Whether some totals are those of shares or percents, and the others far larger."""
        ones, hundreds, others = self.kinds(given)
        kinds = [kind for kind in (ones, hundreds, others) if kind.any()]
        if len(kinds) < 2 or not (ones | hundreds).any():
            return False
        largest = 100.0 if hundreds.any() else 1.0
        units = np.minimum(np.abs(self.totals - 1), np.abs(self.totals / 100 - 1))
        exact = not given.whole and bool((units <= AGREE).any())
        by_chance = (ones | hundreds).sum() < 2 and not exact
        return bool((self.totals[others] >= 5 * largest).all()) and not by_chance

    def kinds(self, given: _Given) -> tuple[NDArray[np.bool_], ...]:
        """Which totals are those of shares, of percents, and neither."""
        ones = self.near(1.0, given) & (not given.whole)
        hundreds = self.near(100.0, given)
        return ones, hundreds, ~(ones | hundreds)

    def divides(self, groups: Codes) -> bool:
        """Whether cells of several areas are averaged together."""
        _, within = np.unique(groups, return_inverse=True)
        of_both = within * len(self.totals) + self.codes
        return bool(len(np.unique(of_both)) > within.max() + 1)

    @property
    def said(self) -> str:
        """The columns, for a message."""
        return " and ".join(map(repr, self.names))

    @property
    def by(self) -> str:
        """The argument that keeps areas apart."""
        return f"`by={self.names[0]!r}`" if len(self.names) == 1 else f"`by={list(self.names)!r}`"


def _tolerance(rounding: Floats) -> Floats:
    return np.clip(rounding, AGREE, MOST_OFF)


def _multiples(weights: Floats, step: float) -> bool:
    """Whether weights are so many steps, one or more."""
    steps = np.rint(weights / step)
    return bool((steps >= 1).all() and np.allclose(weights / step, steps, rtol=0, atol=1e-6))


def _round(number: float) -> bool:
    """Whether a number of 1 or more has two digits that are not zero, at the most."""
    return number >= 1 and bool(abs(number / float(f"{number:.1e}") - 1) < AGREE / 10)


def _areas(
    rows: DesignRows, frame: pd.DataFrame, used: NDArray[np.intp], given: _Given, wts: str | None
) -> Iterator[_Areas]:
    """Columns that may make areas: those of the formula first, then names before numbers."""
    codes, factors = _known_codes(rows)
    some = slice(None) if len(used) == len(frame) else used  # a slice makes no copies
    numbers = {n for n in frame.columns if pd.api.types.is_numeric_dtype(frame[n].dtype)}
    others = sorted((n for n in frame.columns if n != wts), key=lambda name: name in numbers)
    for name in dict.fromkeys([*(name for name in factors if name in frame.columns), *others]):
        if name in codes:
            of_cell = codes[name][some]
        elif _may_be_area(frame[name]):
            try:
                of_cell = pd.factorize(frame[name].iloc[some], use_na_sentinel=False)[0]
            except TypeError:  # lists and the like are no names of areas
                continue
        else:
            continue
        of_cell = of_cell.astype(np.int32)  # those of all columns are there together
        areas = _Areas.of((name,), of_cell, given, factor=name in factors)
        several = 1 < len(areas.totals) <= len(used) / (1 if areas.factor else 2)
        if several and np.isfinite(areas.totals).all():
            yield areas


def _known_codes(rows: DesignRows) -> tuple[dict[str, NDArray[np.integer]], list[str]]:
    """Codes of the rows by column, as the design has made them, and which are of factors."""
    design = rows.design
    factors = {
        design.components[factor.components[0]].source: rows.groups[name]
        for name, factor in design.factors.items()
        if len(factor.components) == 1
    }
    others = {
        component.source: rows.values[name]
        for name, component in design.components.items()
        if isinstance(component, Categorical) and name in rows.values
    }
    return others | factors, list(factors)


def _may_be_area(column: pd.Series) -> bool:
    """Whether values are names or whole numbers."""
    if not pd.api.types.is_float_dtype(column.dtype):
        return not pd.api.types.is_datetime64_any_dtype(column.dtype)
    numbers = column.to_numpy(dtype=float, na_value=np.nan)
    return all(bool((part == np.rint(part)).all()) for part in (numbers[:100], numbers))


def _pairs(found: Sequence[_Areas], given: _Given) -> Iterator[tuple[_Areas, _Areas]]:
    """Columns whose combinations may have shares: the totals of each are so many units."""
    if given.same:
        return
    for unit in (100.0,) if given.whole else (1.0, 100.0):
        several = []
        for area in found:
            units = area.totals / unit
            off = np.abs(units - np.rint(units))
            rounding = 4 * given.step * np.sqrt(area.cells / 12) / unit
            if (units > 1 - MOST_OFF).all() and (off <= _tolerance(rounding)).all():
                several.append(area)
        yield from itertools.combinations(several[:PAIRED], 2)


def _crossed(one: _Areas, other: _Areas, given: _Given) -> _Areas:
    of_both = one.codes.astype(np.int64) * len(other.totals) + other.codes
    codes = pd.factorize(of_both)[0]
    return _Areas.of((*one.names, *other.names), codes, given, factor=False)


def _of_shares(area: _Areas, given: _Given, cells: pd.DataFrame) -> str:
    values = "values" if len(area.names) == 1 else "combinations"
    total = f"{area.totals[0]:.6g}"
    if not area.agree:
        low, high = area.totals.min(), area.totals.max()
        total = f"about {area.common:.0f} ({low:.6g} to {high:.6g})"
    return (
        f"`wts` sum to {total} for each of the {len(area.totals)} {values} of {area.said}: they "
        f"look like shares within {area.said}, and averaging across it counts all of them equally. "
        f"Use population counts, or {area.by}."
    )


def _of_a_mix(area: _Areas, given: _Given, cells: pd.DataFrame) -> str:
    first = np.unique(area.codes, return_index=True)[1]
    labels = cells[area.names[0]].iloc[first].to_numpy()
    kinds = zip(("1", "100"), area.kinds(given)[:2], strict=True)
    said = [
        f"to {unit} for {listing(sorted(labels[kind], key=str))}"
        for unit, kind in kinds
        if kind.any()
    ]
    others = area.totals[area.kinds(given)[2]]
    if len(others):
        said.append(f"to {others.min():.6g} or more for {len(others)} others")
    return (
        f"`wts` sum {', '.join(said[:-1])} and {said[-1]} of {area.said}: shares, percents or "
        f"counts are mixed, and averaging across it hardly counts some of them. Use population "
        f"counts for all, or {area.by}."
    )
