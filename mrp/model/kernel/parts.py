"""Linear predictors as sums of parts, each of which has few distinct rows that are looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrp.design import Design, DesignRows, Term, unique_rows
from mrp.levels import LevelParameters
from mrp.model.places import Place
from mrp.model.predictors import Stack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW = 1024
"""Population-level terms with up to so many distinct rows are looked up together."""
SHARE = 32
"""Parts are looked up together that have a distinct row for so many rows, or more."""


@dataclass(frozen=True)
class Part:
    """Distinct rows of one addend of eta, their coefficients' columns, and each row's."""

    matrix: Floats
    columns: Ints
    index: Ints
    step: Ints | int = 0
    """How much further the coefficients of the next linear predictor are, for each column."""

    @property
    def spelled_out(self) -> Ints:
        """Columns of every element of the matrix."""
        return np.broadcast_to(self.columns, self.matrix.shape)


def parts_of(
    design: Design, rows: DesignRows, places: Sequence[Place], by_level: LevelParameters
) -> list[Part]:
    """The addends of the design's own linear predictor, those with few distinct rows first."""
    parts = []
    width = sum(term.width for term in design.terms)
    starts = by_level.thresholds + np.cumsum([0, *(term.width for term in design.terms)])
    for chosen in _split(design.terms, rows):
        first, index = unique_rows(_keys(design.terms, chosen, rows), len(rows))
        distinct = rows.take(first)
        matrix = [design.terms[t].columns(distinct.values, len(distinct)) for t in chosen]
        columns = [np.arange(starts[t], starts[t + 1]) for t in chosen]
        parts.append(Part(np.hstack(matrix), np.concatenate(columns), index, width))
    for place in places:
        first, index = unique_rows(rows.block_keys(place.block), len(rows))
        parts.append(_block_part(place, rows.take(first), index))
    if not parts:
        parts.append(Part(np.zeros((1, 0)), np.zeros(0, int), np.zeros(len(rows), int)))
    return sorted(_merged(parts, len(rows)), key=lambda part: len(part.matrix))


def _merged(parts: Sequence[Part], n: int) -> list[Part]:
    """Parts that are looked up together, where that takes hardly more distinct rows.

    A part that follows from another (a region from its state, a factor from an interaction that it
    is in) costs nothing there, and a look-up less for every row.
    """
    merged: list[Part] = []
    for part in sorted(parts, key=lambda part: -len(part.matrix)):
        for k, other in enumerate(merged):
            first, index = unique_rows([other.index, part.index], n)
            follows = len(first) == len(other.matrix) <= n // 2
            if follows or len(first) <= n // SHARE:
                merged[k] = _together(other, part, first, index)
                break
        else:
            merged.append(part)
    return merged


def _together(one: Part, other: Part, first: NDArray[np.intp], index: Ints) -> Part:
    """Two parts as one, whose distinct rows are those of the rows `first`."""
    chosen = [(part, part.index[first]) for part in (one, other)]
    steps = [np.broadcast_to(part.step, part.matrix.shape[1:]) for part in (one, other)]
    return Part(
        np.hstack([part.matrix[rows] for part, rows in chosen]),
        np.hstack([part.spelled_out[rows] for part, rows in chosen]),
        index,
        np.concatenate(steps),
    )


def stacked(parts: Sequence[Part], rows: Stack, by_level: LevelParameters) -> list[Part]:
    """The addends of the kernel's rows; thresholds, if there are any, come first."""
    levels = np.arange(by_level.predictors)
    if by_level.thresholds:
        one = np.ones((len(rows.threshold), 1))
        threshold = Part(one, rows.threshold[:, None], rows.predictor)
        return [
            threshold,
            *(Part(-part.matrix, part.columns, part.index[rows.row]) for part in parts),
        ]
    if len(levels) == 1:
        return list(parts)
    return [
        Part(
            np.tile(part.matrix, (len(levels), 1)),
            np.vstack([part.spelled_out + level * part.step for level in levels]),
            part.index[rows.row] + rows.predictor * len(part.matrix),
        )
        for part in parts
    ]


def in_order(parts: Sequence[Part]) -> Ints:
    """Rows sorted by the first part, within that by the last, but never twice the same in a row.

    Additions to the same sum would wait for each other. Rows that are there once for each linear
    predictor are in the same order in all of them.
    """
    first, last = parts[0].index, parts[-1].index
    order = np.lexsort((last, first))
    first, last = first[order], last[order]
    starts = np.flatnonzero(np.diff(first * (last.max() + 1) + last, prepend=-1))
    lengths = np.diff(starts, append=len(order))
    occurrence = np.arange(len(order)) - np.repeat(starts, lengths)
    return order[np.lexsort((last, occurrence, first))]


def _block_part(place: Place, distinct: DesignRows, index: Ints) -> Part:
    """A block's distinct rows; columns differ between rows, so they are spelled out."""
    group = distinct.groups[place.block.factor]
    effects = place.coefficient + place.groups * np.arange(place.block.width)
    step = place.groups * place.block.width
    return Part(distinct.effects(place.block), group[:, None] + effects, index, step)


def _split(terms: Sequence[Term], rows: DesignRows) -> list[list[int]]:
    """Positions of the terms that are looked up together, and of those left over."""
    if not terms:
        return []
    counts = [len(unique_rows(_keys(terms, [t], rows), len(rows))[0]) for t in range(len(terms))]
    limit = max(FEW, len(rows) // 8)
    together: list[int] = []
    for t in np.argsort(counts, kind="stable"):
        joint = [*together, int(t)]
        if len(unique_rows(_keys(terms, joint, rows), len(rows))[0]) > limit:
            break
        together = joint
    rest = [t for t in range(len(terms)) if t not in together]
    return [sorted(chosen) for chosen in (together, rest) if chosen]


def _keys(terms: Sequence[Term], chosen: Sequence[int], rows: DesignRows) -> list[Ints]:
    names = {coding.component for t in chosen for coding in terms[t].codings}
    return rows.keys_of(names)
