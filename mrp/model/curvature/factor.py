"""The precision of all coefficients and effects, factored: solves, log determinant, inverse.

The effects of the grouping factor that has most of them are eliminated group by group, since a
respondent is in one group only; what is left is dense. Where two large factors are crossed, so that
much would be left, the whole is factored as a sparse matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from mrp.model.curvature.columns import Information
from mrp.model.places import Place

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST_DENSE = 1000
"""Coefficients and effects up to which what the elimination leaves is dense."""
LARGEST_ACROSS = 20_000_000
"""Numbers up to which the information about these and the eliminated effects is dense."""
RIDGE, TINY = 1e-10, 1e-12
"""What is added to the coefficients' diagonal, as a share of it and at least, so that P has an
inverse where neither respondents nor priors say anything."""
ROUGH = 1e-5
"""Relative error of a rough solution."""
TOGETHER = 256
"""Columns of the inverse of a sparse matrix that are solved for at once."""


@dataclass(frozen=True)
class Elimination:
    """Which effects are eliminated, and which coefficients and effects are left.

    Parameters
    ----------
    group
        Positions in x of the effects of each group (groups, width).
    left
        Positions of the others (n,).
    """

    group: Ints
    left: Ints

    @property
    def is_dense(self) -> bool:
        """Whether what is left is small enough to be dense."""
        n = len(self.left)
        return n <= LARGEST_DENSE and n * self.group.size <= LARGEST_ACROSS


def flat(by_group: Floats) -> Floats:
    """The rows of each group's matrix (groups, width, n) under each other."""
    return by_group.reshape(by_group.shape[0] * by_group.shape[1], by_group.shape[2])


def positions(place: Place) -> Ints:
    """Positions in x of a block's effects, group by group (groups, width)."""
    groups = np.arange(place.groups)[:, None]
    return place.coefficient + groups + place.groups * np.arange(place.width)


def elimination_of(places: Sequence[Place], size: int) -> Elimination:
    """Eliminate the grouping factor with most effects, among `size` coefficients and effects."""
    by_factor: dict[str, list[Ints]] = {}
    for place in places:
        by_factor.setdefault(place.block.factor, []).append(positions(place))
    if not by_factor:
        return Elimination(np.zeros((0, 0), dtype=np.int64), np.arange(size))
    group = max((np.hstack(own) for own in by_factor.values()), key=np.size)
    return Elimination(group, np.setdiff1d(np.arange(size), group))


class Factor:
    """``P = X' W X + Q`` for given precisions of the groups' effects.

    Parameters
    ----------
    information
        ``X' W X``, with the precisions of the priors of population-level coefficients.
    precisions
        For each block the precision of a group's effects (width, width).
    places
        Where the blocks are.
    """

    def __init__(
        self, information: Information, precisions: Sequence[Floats], places: Sequence[Place]
    ) -> None:
        self._places = places
        self._p = len(information.population)
        self.size = self._p + len(information.across)
        self._whole = _assembled(information, precisions, places)
        self._elimination = elimination_of(places, self.size)
        self.is_dense = self._elimination.is_dense
        if self.is_dense:
            self._eliminate()

    def _eliminate(self) -> None:
        group, left = self._elimination.group, self._elimination.left
        effects = self._whole[group.ravel()] if group.size else self._whole[:0]
        self._coupling = effects[:, left].toarray().reshape(*group.shape, len(left))
        self._own = group_blocks(self._whole, group)
        self._spread = np.linalg.inv(self._own)
        self._pulled = self._spread @ self._coupling  # how effects follow what is left
        rest = self._whole[left][:, left].toarray()
        rest -= flat(self._coupling).T @ flat(self._pulled)
        self._root = linalg.cholesky(rest, lower=True, check_finite=False) if len(left) else rest

    @cached_property
    def _sparse(self) -> Any:
        options = {"SymmetricMode": True}
        return sparse.linalg.splu(
            self._whole.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options
        )

    def solve(self, y: Floats) -> Floats:
        """``P^-1 y`` for y (p + effects,) or (p + effects, k)."""
        if not self.is_dense:
            return np.asarray(self._sparse.solve(y))
        group, left = self._elimination.group, self._elimination.left
        columns = y.reshape(self.size, -1)
        result, rest = np.empty(columns.shape), columns[left]
        rest = rest - np.einsum("gkn,gkc->nc", self._pulled, columns[group])
        if len(left):
            rest = linalg.cho_solve((self._root, True), rest, check_finite=False)
        result[left] = rest
        result[group] = self._spread @ columns[group] - self._pulled @ rest
        return result.reshape(y.shape)

    def solve_roughly(self, y: Floats, start: Floats) -> Floats:
        """About ``P^-1 y``, by conjugate gradients from a start, without factoring P."""
        scale = sparse.diags_array(1.0 / self._whole.diagonal())
        found: Floats = sparse.linalg.cg(self._whole, y, start, rtol=ROUGH, M=scale)[0]
        return found

    def log_determinant(self) -> float:
        """Logarithm of the determinant of P."""
        if not self.is_dense:
            return float(np.log(np.abs(self._sparse.U.diagonal())).sum())
        own = np.linalg.slogdet(self._own)[1].sum()
        return float(own + 2.0 * np.log(np.diag(self._root)).sum())

    def inverse_blocks(self) -> list[Floats]:
        """For each block the inverse of P at each group's effects (groups, width, width).

        Their sum over groups is the derivative of the log determinant by the block's precision.
        """
        if not self.is_dense:
            return [self._solved_blocks(positions(place)) for place in self._places]
        group, left = self._elimination.group, self._elimination.left
        rest = self._root
        if len(left):
            rest = linalg.cho_solve((self._root, True), np.eye(len(left)), check_finite=False)
        moved = (flat(self._pulled) @ rest).reshape(self._pulled.shape)
        own = self._spread + moved @ self._pulled.transpose(0, 2, 1)
        column = np.zeros(self.size, dtype=np.int64)
        column[left] = np.arange(len(left))
        which = {at: k for k, at in enumerate(group[0])} if len(group) else {}
        found = []
        for place in self._places:
            at = positions(place)
            if at[0, 0] in which:
                chosen = [which[k] for k in at[0]]
                found.append(own[:, chosen][:, :, chosen])
            else:
                found.append(rest[column[at][:, :, None], column[at][:, None, :]])
        return found

    def conditional_blocks(self) -> list[Floats]:
        """For each block the inverse of each group's own part of P, which is less."""
        return [
            np.linalg.inv(group_blocks(self._whole, positions(place))) for place in self._places
        ]

    def _solved_blocks(self, at: Ints) -> Floats:
        groups, width = at.shape
        result = np.empty((groups, width, width))
        each = max(1, TOGETHER // width)
        for start in range(0, groups, each):
            some = at[start : start + each]
            unit = np.zeros((self.size, some.size))
            unit[some.ravel(), np.arange(some.size)] = 1.0
            solved = self.solve(unit).reshape(self.size, *some.shape)
            own = np.arange(len(some))
            result[start : start + each] = solved[
                some[:, :, None], own[:, None, None], np.arange(width)
            ]
        return result


def _assembled(
    information: Information, precisions: Sequence[Floats], places: Sequence[Place]
) -> sparse.csr_array:
    """P as one sparse matrix."""
    across, own = sparse.csr_array(information.across), information.population
    ridge = RIDGE * own.diagonal().max(initial=0.0) + TINY
    population = sparse.csr_array(own + ridge * np.eye(len(own)))
    joint = sparse.csr_array(population)
    if len(information.across):
        joint = sparse.block_array(
            [[population, across.T], [across, information.effects]], format="csr"
        )
    rows, columns, values = [np.zeros(0, int)], [np.zeros(0, int)], [np.zeros(0)]
    for place, precision in zip(places, precisions, strict=True):
        at = positions(place)
        shape = (place.groups, place.width, place.width)
        rows.append(np.broadcast_to(at[:, :, None], shape).ravel())
        columns.append(np.broadcast_to(at[:, None, :], shape).ravel())
        values.append(np.broadcast_to(precision, shape).ravel())
    where = np.concatenate(rows), np.concatenate(columns)
    added = sparse.csr_array((np.concatenate(values), where), shape=joint.shape)
    return sparse.csr_array(joint + added)


def group_blocks(matrix: sparse.csr_array, at: Ints) -> Floats:
    """A matrix at each group's positions (groups, width, width), where `at` is (groups, width)."""
    groups, width = at.shape
    result = np.zeros((groups, width, width))
    for k in range(width):
        rows = matrix[at[:, k]]
        for j in range(width):
            result[:, k, j] = rows[:, at[:, j]].diagonal()
    return result
