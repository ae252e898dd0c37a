"""Draws of the linear predictor and of the expected outcome, in bounded memory.

A linear predictor is a sum of parts, one for the population-level terms and one for each
``( … | g)``. Most rows share a part with many others (a cell's state, a cell's demographics), so
each part is computed once for its distinct rows and then looked up: a block of rows costs one
addition for each part and one inverse link, whatever the number of coefficients. Blocks are small
enough to stay in the processor's cache and never more than a share of the memory that is free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import psutil
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from mrp.coefficients import Coefficients
from mrp.design import DesignRows, unique_rows
from mrp.links import InverseLink

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

CACHED_BYTES = 2 * 2**20
"""Size of a block of rows x draws: what a core's cache holds, on most machines."""
MEMORY_SHARE = 1 / 16
"""Share of the free memory that blocks, and the tables of distinct parts, may take each."""


class RowDraws(Protocol):
    """A quantity that has a value for every row and draw, made for some rows at a time."""

    @property
    def n(self) -> int:
        """Number of rows."""

    @property
    def size(self) -> int:
        """Number of draws."""

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """Integers that are equal for two rows only if their values are the same."""

    def values(self, rows: Rows) -> Floats:
        """Values (rows, draws) in an array that is the caller's to overwrite."""


@dataclass(frozen=True)
class Part:
    """One addend of the linear predictor, as a table of distinct rows or computed when asked.

    Parameters
    ----------
    index
        For each row, which distinct row of the part it is (n,).
    columns
        The distinct rows' columns (distinct, k).
    coefficients
        Draws (k, draws), or (k, groups, draws) with `group`.
    group
        The distinct rows' groups (distinct,); None for the population-level part.
    table
        The distinct rows' values (distinct, draws) where they fit in memory.
    """

    index: NDArray[np.int64]
    columns: Floats
    coefficients: Floats
    group: NDArray[np.int64] | None = None
    table: Floats | None = None

    def values(self, rows: Rows) -> Floats:
        """Values (rows, draws) in a new array."""
        distinct = self.index[rows]
        if self.table is not None:
            return np.take(self.table, distinct, axis=0)
        return self._compute(distinct)

    def _compute(self, distinct: NDArray[np.int64]) -> Floats:
        if self.group is None:
            product: Floats = self.columns[distinct] @ self.coefficients
            return product
        group = self.group[distinct]
        total = np.zeros((len(distinct), self.coefficients.shape[-1]))
        for k, column in enumerate(self.columns[distinct].T):
            if column.any():
                total += column[:, None] * self.coefficients[k, group]
        return total

    def tabulated(self, bytes_free: float) -> Part:
        """The same part with its table, if rows share it and it fits in so many bytes."""
        distinct = len(self.columns)
        size = 8 * distinct * self.coefficients.shape[-1]
        if distinct == len(self.index) or size > bytes_free:
            return self
        table = self._compute(np.arange(distinct))
        return Part(self.index, self.columns, self.coefficients, self.group, table)


@dataclass(frozen=True)
class Prediction:
    """The expected outcome, or the linear predictor, of each row and draw.

    Parameters
    ----------
    parts
        Addends of the linear predictor.
    offset
        Offset of each row (n,); None where the formula has none.
    inverse_link
        Applied to the linear predictors (rows, columns), which it may overwrite.
    n
        Number of rows.
    columns, size
        Numbers that a row has before and after the inverse link: one for each draw, and of a
        categorical outcome for each of its linear predictors and levels.
    """

    parts: tuple[Part, ...]
    offset: Floats | None
    inverse_link: InverseLink
    n: int
    columns: int
    size: int

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """What a row's value depends on."""
        keys = [part.index for part in self.parts]
        if self.offset is not None:
            keys.append(np.unique(self.offset, return_inverse=True)[1].astype(np.int64))
        return keys

    def values(self, rows: Rows) -> Floats:
        """Values (rows, draws)."""
        empty = (len(rows), self.columns)
        eta = self.parts[0].values(rows) if self.parts else np.zeros(empty)
        for part in self.parts[1:]:
            eta += part.values(rows)
        if self.offset is not None:
            eta += self.offset[rows, None]
        return self.inverse_link(eta)


def predict(
    rows: DesignRows,
    coefficients: Coefficients,
    inverse_link: InverseLink,
    levels: int | None = None,
) -> Prediction:
    """Set up the prediction of every row and draw; nothing of that size is computed yet.

    Parameters
    ----------
    rows
        Design rows, whose groups all have effects in `coefficients`.
    coefficients
        Draws of the coefficients.
    inverse_link
        What turns the linear predictor into the quantity wanted.
    levels
        Numbers that it makes for each draw; by default as many as there are linear predictors.
    """
    design = rows.design
    parts = []
    if design.terms:
        first, index = unique_rows(rows.population_keys(), len(rows))
        parts.append(Part(index, rows.take(first).population(), coefficients.population))
    for block, effects in zip(design.blocks, coefficients.effects, strict=True):
        first, index = unique_rows(rows.block_keys(block), len(rows))
        distinct = rows.take(first)
        parts.append(Part(index, distinct.effects(block), effects, distinct.groups[block.factor]))
    share = _free_bytes() / max(len(parts), 1)
    tables = tuple(part.tabulated(share) for part in parts)
    offset = rows.offset() if design.offsets else None
    columns = coefficients.predictors * coefficients.size
    size = columns if levels is None else levels * coefficients.size
    return Prediction(tables, offset, inverse_link, len(rows), columns, size)


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of n rows, each with as many rows of so many draws as a block may have."""
    step = block_rows(size)
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def block_rows(size: int) -> int:
    """Rows in a block, chosen from the cache and the free memory: at least one."""
    return max(1, int(min(CACHED_BYTES, _free_bytes()) // (8 * size)))


def _free_bytes() -> float:
    return float(psutil.virtual_memory().available) * MEMORY_SHARE


def average(quantity: RowDraws, weights: Floats, group: NDArray[np.int64], groups: int) -> Floats:
    """Weighted average of a quantity over the rows of each group, draw by draw.

    For group a and draw s, ``sum_i w_i q_is / sum_i w_i`` over the rows i of the group. Rows that
    are the same are computed once, and rows without weight not at all.

    Parameters
    ----------
    quantity
        What to average.
    weights
        Weight of each row (n,), not negative, with a positive sum in each group.
    group
        Group of each row (n,), from 0.
    groups
        Number of groups.

    Returns
    -------
    Averages (groups, draws).
    """
    weights = _relative(weights, group, groups)
    first, index = unique_rows([*quantity.keys, group], quantity.n)
    weight = np.bincount(index, weights=weights, minlength=len(first))
    kept = np.flatnonzero(weight)
    order = kept[np.argsort(group[first[kept]], kind="stable")]
    rows, weight, group = first[order], weight[order], group[first[order]]
    total = np.zeros((groups, quantity.size))

    def sums(block: slice) -> tuple[NDArray[np.int64], Floats]:
        return _sums_by_group(quantity.values(rows[block]), weight[block], group[block])

    # the blocks are the parallel work: BLAS threads would only stand in their way
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        for present, values in pool.map(sums, blocks(len(rows), quantity.size)):
            total[present] += values
    return total / np.bincount(group, weights=weight, minlength=groups)[:, None]


def _relative(weights: Floats, group: NDArray[np.int64], groups: int) -> Floats:
    """Weights divided so that their sum in each group is below one, and no sum is too large.

    The divisors are powers of two: where sums were not too large, the averages are the same to the
    last digit.
    """
    largest = np.zeros(groups)
    np.maximum.at(largest, group, weights)
    bits = np.frexp(largest)[1] + np.frexp(np.bincount(group, minlength=groups))[1]
    relative: Floats = np.ldexp(weights, -bits[group])
    return relative


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; looking for them takes milliseconds."""
    return ThreadpoolController()


def _sums_by_group(
    values: Floats, weight: Floats, group: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats]:
    """Groups of some rows, sorted by group, and the weighted sums (groups, draws) of each."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(starts[1:], len(values))
    sums = np.empty((len(starts), values.shape[1]))
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        sums[k] = weight[start:end] @ values[start:end]
    return group[starts], sums
