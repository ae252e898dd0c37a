"""Draws of the linear predictor and of the expected outcome, in bounded memory.

A linear predictor is a sum of parts, one for the population-level terms and one for each
``( … | g)``. Most rows share a part with many others (a cell's state, a cell's demographics), so
each part is computed once for its distinct rows and then looked up: a block of rows costs one
addition for each part and one inverse link, whatever the number of coefficients. Blocks are small
enough to stay in the processor's cache and never more than a share of the memory that is free.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Protocol
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from mrp.coefficients import Coefficients
from mrp.design import DesignRows, Term, unique_rows
from mrp.links import InverseLink
from mrp.memory import available

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

CACHED_BYTES = 2 * 2**20
"""Size of a block of rows x draws: what a core's cache holds, on most machines."""
CHUNK = 8
"""Blocks that are made together of what is large, on all processors."""
AHEAD = 4
"""Blocks, for each processor, that are begun before the first of them is asked for."""
MEMORY_SHARE = 1 / 16
"""Share of the free memory that blocks, and the tables of distinct parts, may take each."""
TABLES_BYTES = 512 * 2**20
"""What the tables of all predictions may take together, however much memory is free."""
WIDE = 100
"""Columns from which on a population-level term is looked up by column, and not multiplied."""


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
        """The same part with its table, if rows share it and it fits in so many bytes.

        An effect that rows have once is its own table.
        """
        if self.group is not None and self.columns.shape[1] == 1 and (self.columns == 1).all():
            own = self.group[self.index]
            return Part(own, self.columns, self.coefficients, self.group, self.coefficients[0])
        distinct = len(self.columns)
        size = 8 * distinct * self.coefficients.shape[-1]
        if distinct == len(self.index) or size > bytes_free:
            return self
        table = self._compute(np.arange(distinct))
        return Part(self.index, self.columns, self.coefficients, self.group, table)


@dataclass(frozen=True, eq=False)
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
        if 8 * len(rows) * self.size <= CACHED_BYTES:
            return self._block(rows)
        result = np.empty((len(rows), self.size))

        def fill(block: slice) -> None:
            result[block] = self._block(rows[block])

        for _ in in_blocks(fill, len(rows), self.size):
            pass
        return result

    def _block(self, rows: Rows) -> Floats:
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
    parts = _population(rows, coefficients)
    for block, effects in zip(design.blocks, coefficients.effects, strict=True):
        first, index = unique_rows(rows.block_keys(block), len(rows))
        distinct = rows.take(first)
        parts.append(Part(index, distinct.effects(block), effects, distinct.groups[block.factor]))
    share = min(_free_bytes(), TABLES_BYTES - _bytes_of_tables()) / max(len(parts), 1)
    tables = tuple(part.tabulated(share) for part in parts)
    offset = rows.offset() if design.offsets else None
    columns = coefficients.predictors * coefficients.size
    size = columns if levels is None else levels * coefficients.size
    result = Prediction(tables, offset, inverse_link, len(rows), columns, size)
    _held.add(result)
    return result


_held = WeakSet[Prediction]()
"""Predictions that somebody has: their tables are in the memory."""


def _bytes_of_tables() -> int:
    """What tables take that are no views of coefficients."""
    tables = [part.table for prediction in list(_held) for part in prediction.parts]
    return sum(table.nbytes for table in tables if table is not None and table.base is None)


def _population(rows: DesignRows, coefficients: Coefficients) -> list[Part]:
    """Parts of the population-level terms: all together, but for those of many levels."""
    starts = np.cumsum([0, *(term.width for term in rows.design.terms)])
    narrow, own, parts = [], [], []
    for term, start in zip(rows.design.terms, starts, strict=False):
        place = np.arange(start, start + term.width)
        wide = _by_column(rows, term, coefficients.population[start : start + term.width])
        if wide is not None:
            parts.append(wide)
        else:
            narrow.append(term)
            own.append(place)
    if not narrow:
        return parts
    first, index = unique_rows(rows.keys_of_terms(narrow), len(rows))
    columns = rows.take(first).population(narrow)
    of_terms = coefficients.population
    if parts:
        of_terms = of_terms[np.concatenate(own)]
    return [Part(index, columns, of_terms), *parts]


def _by_column(rows: DesignRows, term: Term, coefficients: Floats) -> Part | None:
    """The part of one term with many columns, of which each row has one; None for others."""
    if term.width < WIDE:
        return None
    first, index = unique_rows(rows.keys_of_terms([term]), len(rows))
    distinct = rows.take(first)
    marked = term.marked(distinct.values, len(distinct))
    if marked is None:
        return None
    column, number = marked
    return Part(index, number[:, None], coefficients[None], column)


# --- blocks ---------------------------------------------------------------------------------------


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of n rows, each with as many rows of so many draws as a block may have."""
    step = block_rows(size)
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def block_rows(size: int) -> int:
    """Rows in a block, chosen from the cache and the free memory: at least one."""
    return max(1, int(min(CACHED_BYTES, _free_bytes()) // (8 * size)))


def _free_bytes() -> float:
    return float(available()) * MEMORY_SHARE


def chunks(n: int, size: int) -> Iterator[slice]:
    """Slices of n rows of so many draws, some blocks at a time."""
    step = CHUNK * block_rows(size)
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def in_blocks[Result](
    work: Callable[[slice], Result], n: int, size: int
) -> Iterator[tuple[slice, Result]]:
    """Each block of n rows of so many draws, and what is made of it, on all processors.

    They come in order, and few are made before they are asked for. A block that such work divides
    further is made by the processor that has it.
    """
    slices = list(blocks(n, size))
    if len(slices) < 2 or _worker.busy:
        for block in slices:
            yield block, work(block)
        return

    def alone(block: slice) -> Result:
        _worker.busy = True
        return work(block)

    processors = os.cpu_count() or 1
    waiting = deque[tuple[slice, Future[Result]]]()
    # the blocks are the parallel work: BLAS threads would only stand in their way
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(processors) as pool:
        for block in slices:
            waiting.append((block, pool.submit(alone, block)))
            if len(waiting) > AHEAD * processors:
                first, made = waiting.popleft()
                yield first, made.result()
        for block, made in waiting:
            yield block, made.result()


class _Worker(threading.local):
    busy = False
    """Whether this thread makes one of several blocks."""


_worker = _Worker()


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; looking for them takes milliseconds."""
    return ThreadpoolController()


def values_of(quantity: RowDraws) -> Floats:
    """All values (rows, draws) of a quantity, with no more than a chunk beside them."""
    result = np.empty((quantity.n, quantity.size))
    order = np.argsort(np.arange(quantity.n) % period_of(quantity), kind="stable")
    for chunk in chunks(quantity.n, quantity.size):
        result[order[chunk]] = quantity.values(order[chunk])
    return result


def period_of(quantity: RowDraws) -> int:
    """How far rows are apart that are best made together; the number of rows where none are."""
    period: int = getattr(quantity, "period", quantity.n)
    return period


# --- averages -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Averages:
    """Weighted averages of a quantity over the rows of each group, draw by draw.

    Parameters
    ----------
    quantity
        What is averaged.
    rows, weight
        The rows that count, sorted by group, and how much each counts in its group.
    starts
        Where each group begins among them; their number comes last (groups + 1,).
    total
        Weight of each group (groups,).
    """

    quantity: RowDraws
    rows: Rows
    weight: Floats
    starts: NDArray[np.int64]
    total: Floats

    @property
    def n(self) -> int:
        """Number of groups."""
        return len(self.total)

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.quantity.size

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """Every group is its own."""
        return [np.arange(self.n)]

    def values(self, rows: Rows) -> Floats:
        """Averages (groups, draws) of some groups."""
        if len(rows) > 1 and (np.diff(rows) <= 0).any():
            distinct, position = np.unique(rows, return_inverse=True)
            several: Floats = self.values(distinct)[position]
            return several
        at, group = self._rows_of(rows)
        own, weight = self.rows[at], self.weight[at]
        result = np.zeros((len(rows), self.size))

        def sums(block: slice) -> tuple[NDArray[np.int64], Floats]:
            return _sums_by_group(self.quantity.values(own[block]), weight[block], group[block])

        for _, (present, values) in in_blocks(sums, len(own), self.size):
            result[present] += values
        result /= self.total[rows, None]
        return result

    def _rows_of(self, groups: Rows) -> tuple[slice | Rows, NDArray[np.int64]]:
        """Where the rows of rising groups are, and each one's group among those asked for."""
        starts, ends = self.starts[groups], self.starts[groups + 1]
        counts = ends - starts
        of_row = np.repeat(np.arange(len(groups)), counts)
        if len(groups) and len(of_row) == ends[-1] - starts[0]:
            return slice(int(starts[0]), int(ends[-1])), of_row
        before = np.cumsum(counts) - counts
        return np.arange(len(of_row)) + np.repeat(starts - before, counts), of_row


def average(quantity: RowDraws, weights: Floats, group: NDArray[np.int64], groups: int) -> Averages:
    """Weighted average of a quantity over the rows of each group; nothing is averaged yet.

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
    """
    weights = _relative(weights, group, groups)
    first, index = unique_rows([*quantity.keys, group], quantity.n)
    weight = np.bincount(index, weights=weights, minlength=len(first))
    kept = np.flatnonzero(weight)
    order = kept[np.argsort(group[first[kept]], kind="stable")]
    rows, weight, group = first[order], weight[order], group[first[order]]
    starts = np.searchsorted(group, np.arange(groups + 1))
    total = np.bincount(group, weights=weight, minlength=groups)
    return Averages(quantity, rows, weight, starts, total)


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
