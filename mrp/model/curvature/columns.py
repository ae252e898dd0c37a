"""The columns that coefficients and effects are multiplied by, and the information about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mrp.design import Design, DesignRows
from mrp.levels import LevelParameters
from mrp.model.curvature.working import Working
from mrp.model.places import Place
from mrp.model.predictors import Loadings, loadings, sign_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Information:
    """Information ``X' W X`` about coefficients and effects, by its pieces.

    Parameters
    ----------
    population
        About the thresholds and population-level coefficients (p, p).
    across
        About both (effects, p).
    effects
        About the effects, a sparse matrix (effects, effects).
    """

    population: Floats
    across: Floats
    effects: sparse.csr_array

    def diagonal(self) -> Floats:
        """Information about each coefficient and effect alone (p + effects,)."""
        return np.concatenate([self.population.diagonal(), self.effects.diagonal()])

    def times(self, x: Floats) -> Floats:
        """``X' W X x`` for coefficients and effects (p + effects,)."""
        phi, u = np.split(x, [len(self.population)])
        above = self.population @ phi + self.across.T @ u
        return np.concatenate([above, self.across @ phi + self.effects @ u])


@dataclass(frozen=True)
class Columns:
    """What coefficients and effects are multiplied by in the linear predictors of each design row.

    Coefficients and effects are in the order of `mrp.model.places`: x = (phi, u).

    Parameters
    ----------
    offset
        Fixed part of each linear predictor (m,).
    population
        Columns of thresholds and population-level coefficients.
    effects
        Columns of the effects on one linear predictor, a sparse matrix (m, k).
    at
        For each linear predictor, which effects these are (k,), counted from the first one.
    size
        Number of effects.
    """

    offset: Floats
    population: Loadings
    effects: sparse.csr_array
    at: Sequence[Ints]
    size: int

    def predictors(self, x: Floats) -> Floats:
        """Linear predictors (m, predictors) of coefficients and effects x."""
        phi, u = np.split(x, [self.population.size])
        eta = self.offset[:, None] + self.population.times(phi)
        return np.asarray(eta + np.column_stack([self.effects @ u[at] for at in self.at]))

    def gradient(self, around: Working) -> Floats:
        """Derivative of the log likelihood by coefficients and effects (p + effects,)."""
        phi, u = np.zeros(self.population.size), np.zeros(self.size)
        for k, (columns, at) in enumerate(
            zip(self.population.columns, self.population.at, strict=True)
        ):
            phi[at] += columns.T @ around.score[:, k]
            u[self.at[k]] += self.effects.T @ around.score[:, k]
        return np.concatenate([phi, u])

    def information(self, around: Working) -> Information:
        """Information about coefficients and effects."""
        x, p = self.population, self.population.size
        population, across = np.zeros((p, p)), np.zeros((self.size, p))
        for (j, k), weight in around.weight.items():
            weighted = x.columns[j] * weight[:, None]
            population[np.ix_(x.at[j], x.at[k])] += weighted.T @ x.columns[k]
            across[np.ix_(self.at[k], x.at[j])] += self.effects.T @ weighted
        return Information(population, across, self._effects(around))

    def _effects(self, around: Working) -> sparse.csr_array:
        rows, columns, values = [], [], []
        for (j, k), weight in self._by_place(around).items():
            own = (self.effects.T @ (self.effects * weight[:, None])).tocoo()
            rows.append(self.at[j][own.row])
            columns.append(self.at[k][own.col])
            values.append(own.data)
            if j != k:
                rows.append(columns[-1])
                columns.append(rows[-2])
                values.append(own.data)
        place = np.concatenate(rows), np.concatenate(columns)
        return sparse.csr_array((np.concatenate(values), place), shape=(self.size, self.size))

    def _by_place(self, around: Working) -> dict[tuple[int, int], Floats]:
        """Weights by pairs of linear predictors, j <= k; their sum where all have equal effects."""
        if all(at is self.at[0] for at in self.at):
            return {(0, 0): sum(around.weight.values(), np.zeros(len(self.offset)))}
        return {(j, k): weight for (j, k), weight in around.weight.items() if j <= k}


def columns_of(
    design: Design,
    rows: DesignRows,
    places: Sequence[Place],
    by_level: LevelParameters,
    means: Floats,
) -> Columns:
    """The columns of a model, of population-level ones less their `means` (k,)."""
    sign = sign_of(by_level)
    blocks = [_block(rows, place, sign) for place in places]
    joined = sparse.hstack(blocks, format="csr") if blocks else sparse.csr_array((len(rows), 0))
    steps = [place.block.width * place.groups for place in places]
    size = by_level.predictors * sum(steps)
    starts = np.cumsum([0, *(by_level.predictors * step for step in steps)])
    own = [
        [start + level * step + np.arange(step) for start, step in zip(starts, steps, strict=False)]
        for level in range(by_level.predictors)
    ]
    none = np.zeros(0, dtype=np.int64)
    at = [np.concatenate([none, *of_level]) for of_level in own]
    population = loadings(rows.population() - means, by_level, thresholds=True)
    return Columns(sign * rows.offset(), population, joined, at * max(1, by_level.thresholds), size)


def _block(rows: DesignRows, place: Place, sign: float) -> sparse.csr_array:
    """A block's columns (m, width x groups), effect by effect."""
    block = place.block
    values = sign * rows.effects(block)
    group = rows.groups[block.factor]
    column = group[:, None] + place.groups * np.arange(block.width)
    ends = block.width * np.arange(len(rows) + 1)
    shape = (len(rows), block.width * place.groups)
    made = sparse.csr_array((values.ravel(), column.ravel(), ends), shape=shape)
    made.eliminate_zeros()
    return made
