"""A model as three arrays for the kernel, and the kernel's draws as named variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mrp.coefficients import (
    correlation_name,
    dims_of,
    effect_dims,
    labelled,
    number_of,
)
from mrp.design import Block, Design, DesignRows, Term, unique_rows
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.families import Family
from mrp.model.kernel import density
from mrp.model.priors import Prior, Priors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Named = tuple[tuple[str, ...], Floats]
"""Dims of a variable besides chain and draw, and its draws (draws, …)."""

FAMILIES = {
    "bernoulli": density.SUCCESSES,
    "binomial": density.SUCCESSES,
    "poisson": density.POISSON,
    "gaussian": density.GAUSSIAN,
    "negativebinomial": density.NEGATIVE_BINOMIAL,
}
LINKS: dict[Link, int] = {
    "identity": density.IDENTITY,
    "log": density.LOG,
    "logit": density.LOGIT,
    "probit": density.PROBIT,
    "cloglog": density.CLOGLOG,
}
PRIORS = {
    "flat": (density.FLAT, ()),
    "half_flat": (density.FLAT, ()),
    "normal": (density.NORMAL, ("mu", "sigma")),
    "half_normal": (density.NORMAL, (None, "sigma")),
    "student_t": (density.STUDENT_T, ("nu", "mu", "sigma")),
    "half_student_t": (density.STUDENT_T, ("nu", None, "sigma")),
    "cauchy": (density.CAUCHY, ("alpha", "beta")),
    "half_cauchy": (density.CAUCHY, (None, "beta")),
    "laplace": (density.LAPLACE, ("mu", "b")),
    "exponential": (density.EXPONENTIAL, ("lam",)),
    "gamma": (density.GAMMA, ("alpha", "beta")),
    "inv_gamma": (density.INVERSE_GAMMA, ("alpha", "beta")),
}
"""The kernel's code of each prior, and which argument goes where; None: a location of zero."""

_NONE: NDArray[Any] = np.zeros(0)
FEW = 1024
"""Population-level terms with up to so many distinct rows are looked up together."""


@dataclass(frozen=True)
class Place:
    """Where one block's parameters are among q, and its effects among the coefficients."""

    block: Block
    groups: int
    sd: int
    partial: int
    effect: int
    coefficient: int

    @property
    def pairs(self) -> int:
        """Number of correlations."""
        return self.block.width * (self.block.width - 1) // 2 if self.block.correlated else 0


@dataclass(frozen=True)
class Conditional:
    """About what the data say of one block's effects, given its standard deviations.

    Parameters
    ----------
    information
        Information of each group's respondents about its effects (groups, width, width).
    score
        Information times the effects that fit best at `Geometry.shift` (groups, width).
    slope
        Decrease of the score per unit of the population-level coefficients (groups, width, p).
    """

    information: Floats
    score: Floats
    slope: Floats


@dataclass(frozen=True)
class Geometry:
    """How q relates to the parameters; changes the path of a sampler, not the posterior.

    Parameters
    ----------
    shift, transform
        Centred intercept and slopes are ``shift + transform q`` (p,), (p, p),
    followed, curvature
        or, with a block to follow (None: no block), ``shift + U'^-1 q`` where U U' is their
        precision given the block's standard deviations and correlations: `curvature` (p, p) is
        what it is with the block's effects fixed.
    blocks
        For each block, what its groups' effects are centred and scaled by.
    start
        A point q from which sampling can start (dim,).
    unsettled
        Position of a population-level coefficient that was still running away when the search for
        the start ended; None if all had settled.
    """

    shift: Floats
    transform: Floats
    blocks: tuple[Conditional, ...]
    start: Floats
    followed: int | None = None
    curvature: Floats | None = None
    unsettled: int | None = None


@dataclass(frozen=True)
class Packed:
    """A model as the kernel reads it.

    Parameters
    ----------
    ints, index, floats
        The arrays.
    dim
        Length of q.
    population, coefficients
        Number of population-level coefficients, and with the effects.
    auxiliary
        Position of the auxiliary parameter's logarithm in q; None if there is none.
    places
        Where each block is.
    means
        Means of the population-level columns over respondents (p,), zero for the intercept.
    geometry
        How q relates to the parameters.
    """

    ints: Ints
    index: NDArray[np.int32]
    floats: Floats
    dim: int
    population: int
    coefficients: int
    auxiliary: int | None
    places: tuple[Place, ...]
    means: Floats
    geometry: Geometry

    def log_density(self, q: Floats) -> tuple[float, Floats]:
        """Log posterior density at q, up to a constant, and its gradient."""
        q = np.ascontiguousarray(q, dtype=float)
        gradient, value, data = np.empty(self.dim), np.empty(1), self.data()
        density.log_density(self.dim, q, gradient, value, data)
        return float(value[0]), gradient

    def data(self) -> Ints:
        """What the kernel's entry points get: addresses of the arrays here, not to outlive them."""
        return density.data_of(self.ints, self.index, self.floats)


def plain_geometry(design: Design, family: Family) -> Geometry:
    """The geometry of the PyMC graph: coefficients as they are, standardised effects."""
    p = sum(term.width for term in design.terms)
    blocks = []
    for block in design.blocks:
        groups, width = len(design.factors[block.factor].groups), block.width
        blocks.append(
            Conditional(
                np.zeros((groups, width, width)),
                np.zeros((groups, width)),
                np.zeros((groups, width, p)),
            )
        )
    dim = places_of(design, family)[1]
    return Geometry(np.zeros(p), np.eye(p), tuple(blocks), np.zeros(dim))


def pack(
    design: Design,
    observed: Observed,
    priors: Priors,
    family: Family,
    link: Link,
    geometry: Geometry | None = None,
) -> Packed:
    """Lay a model out for the kernel.

    Parameters
    ----------
    design, observed, priors, family, link
        The model.
    geometry
        How to sample it; `plain_geometry` by default.
    """
    geometry = plain_geometry(design, family) if geometry is None else geometry
    population = sum(term.width for term in design.terms)
    places, dim, coefficients = places_of(design, family)
    parts = sorted(_parts(design, observed.rows, places), key=lambda part: len(part.matrix))
    order = _order(parts)

    ints, index, floats = _Packer(density.HEADER), _Packer(0), _Packer(0)
    header = ints.head
    header[density.DIM] = dim
    header[density.ROWS] = len(order)
    header[density.FAMILY] = FAMILIES[family.name]
    header[density.LINK] = LINKS[link]
    header[density.POPULATION] = population
    header[density.INTERCEPT] = design.has_intercept
    header[density.AUXILIARY] = family.auxiliary is not None
    header[density.BLOCKS] = len(places)
    header[density.PARTS] = len(parts)
    header[density.RUNS] = len(parts[0].matrix)
    header[density.DISTINCT] = sum(len(part.matrix) for part in parts)
    header[density.COEFFICIENTS] = coefficients

    _pack_parts(parts, order, header, index, floats)
    _pack_outcome(observed, family, order, header, floats)
    means = population_means(design, observed, priors)
    header[density.AT_SHIFT] = floats.add(geometry.shift)
    header[density.AT_TRANSFORM] = floats.add(geometry.transform.ravel())
    followed = geometry.followed
    header[density.FOLLOWED] = -1 if followed is None else followed
    if geometry.curvature is not None:
        header[density.AT_CURVATURE] = floats.add(geometry.curvature.ravel())
    header[density.AT_MEANS] = floats.add(means)
    codes, arguments = _priors(design, priors, family)
    header[density.AT_PRIORS] = ints.add(codes)
    header[density.AT_ARGUMENTS] = floats.add(arguments)
    descriptions = []
    for b, place in enumerate(places):
        conditional = geometry.blocks[b]
        own = [
            place.block.width,
            place.groups,
            int(place.block.correlated),
            place.sd,
            place.partial,
            place.effect,
            place.coefficient,
            floats.add(_beta_shapes(place, priors.cor[b])),
            floats.add(conditional.information.transpose(1, 2, 0).ravel()),
            floats.add(conditional.score.T.ravel()),
            floats.add(conditional.slope.T.ravel()) if b == followed or conditional.slope.any()
            else -1,
            0,
        ]  # fmt: skip
        descriptions.append(own)
    density.lay_out_work(header, descriptions)
    header[density.AT_BLOCKS] = ints.add(np.array(descriptions, dtype=np.int64).ravel())
    auxiliary = population if family.auxiliary is not None else None
    return Packed(
        ints.joined(np.int64), index.joined(np.int32), floats.joined(np.float64), dim,
        population, coefficients, auxiliary, places, means, geometry,
    )  # fmt: skip


class _Packer:
    """Puts arrays one after the other and says where each begins."""

    def __init__(self, head: int) -> None:
        self.head = np.zeros(head, dtype=np.int64)
        self.pieces: list[NDArray[np.generic]] = []
        self.size = head

    def add(self, piece: Sequence[float] | NDArray[np.generic]) -> int:
        array = np.asarray(piece)
        start, self.size = self.size, self.size + len(array)
        self.pieces.append(array)
        return start

    def joined(self, dtype: type) -> NDArray[Any]:
        # one element more, so that an empty array has an address
        return np.concatenate([self.head, *self.pieces, np.zeros(1)]).astype(dtype)


@dataclass(frozen=True)
class _Part:
    """Distinct rows of one addend of eta, their coefficients' columns, and each row's."""

    matrix: Floats
    columns: Ints
    index: Ints


def places_of(design: Design, family: Family) -> tuple[tuple[Place, ...], int, int]:
    """Places of the blocks; length of q; number of coefficients."""
    places = []
    coefficient = sum(term.width for term in design.terms)
    start = coefficient + (family.auxiliary is not None)
    for block in design.blocks:
        groups = len(design.factors[block.factor].groups)
        partial = start + block.width
        pairs = block.width * (block.width - 1) // 2 if block.correlated else 0
        places.append(Place(block, groups, start, partial, partial + pairs, coefficient))
        start = partial + pairs + block.width * groups
        coefficient += block.width * groups
    return tuple(places), start, coefficient


def _parts(design: Design, rows: DesignRows, places: Sequence[Place]) -> list[_Part]:
    parts = []
    starts = np.cumsum([0, *(term.width for term in design.terms)])
    for chosen in _split(design.terms, rows):
        first, index = unique_rows(_keys(design.terms, chosen, rows), len(rows))
        distinct = rows.take(first)
        matrix = [design.terms[t].columns(distinct.values, len(distinct)) for t in chosen]
        columns = [np.arange(starts[t], starts[t + 1]) for t in chosen]
        parts.append(_Part(np.hstack(matrix), np.concatenate(columns), index))
    for place in places:
        first, index = unique_rows(rows.block_keys(place.block), len(rows))
        parts.append(_block_part(place, rows.take(first), index))
    if not parts:
        parts.append(_Part(np.zeros((1, 0)), np.zeros(0, int), np.zeros(len(rows), int)))
    return parts


def _order(parts: Sequence[_Part]) -> Ints:
    """Rows sorted by the first part, within that by the last, but never twice the same in a row.

    Additions to the same sum would wait for each other.
    """
    first, last = parts[0].index, parts[-1].index
    order = np.lexsort((last, first))
    first, last = first[order], last[order]
    starts = np.flatnonzero(np.diff(first * (last.max() + 1) + last, prepend=-1))
    lengths = np.diff(starts, append=len(order))
    occurrence = np.arange(len(order)) - np.repeat(starts, lengths)
    return order[np.lexsort((last, occurrence, first))]


def _block_part(place: Place, distinct: DesignRows, index: Ints) -> _Part:
    """A block's distinct rows; columns differ between rows, so they are spelled out."""
    group = distinct.groups[place.block.factor]
    effects = place.coefficient + place.groups * np.arange(place.block.width)
    return _Part(distinct.effects(place.block), group[:, None] + effects, index)


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


def _pack_parts(
    parts: Sequence[_Part], order: Ints, header: Ints, index: _Packer, floats: _Packer
) -> None:
    """The parts' matrices as one sparse matrix, row by row, and the rows' look-ups."""
    base, look_ups, counts, columns, values = 0, [_NONE], [_NONE], [_NONE], [_NONE]
    header[density.AT_RUN_ENDS] = index.add(np.cumsum(np.bincount(parts[0].index)))
    for part in parts:
        if base:
            look_ups.append(base + part.index[order])
        base += len(part.matrix)
        filled = part.matrix != 0
        counts.append(filled.sum(axis=1))
        columns.append(np.broadcast_to(part.columns, part.matrix.shape)[filled])
        values.append(part.matrix[filled])
    header[density.AT_INDEX] = index.add(np.concatenate(look_ups))
    header[density.AT_ROW_ENDS] = index.add(np.cumsum(np.concatenate(counts)))
    header[density.AT_COLUMNS] = index.add(np.concatenate(columns))
    header[density.AT_MATRIX] = floats.add(np.concatenate(values))


def _pack_outcome(
    observed: Observed, family: Family, order: Ints, header: Ints, floats: _Packer
) -> None:
    header[density.AT_OUTCOME] = floats.add(observed.y[order])
    successes = FAMILIES[family.name] == density.SUCCESSES
    times = observed.trials if successes else observed.count
    header[density.AT_TRIALS] = floats.add(times[order])
    header[density.AT_OFFSET] = floats.add(observed.rows.offset()[order])
    header[density.AT_TOTALS] = floats.add([observed.respondents, observed.within.sum()])
    distinct, index = np.unique(observed.y, return_inverse=True)
    respondents = np.bincount(index, weights=observed.count)
    header[density.AT_COUNTS] = floats.add(np.concatenate([distinct, respondents]))
    header[density.COUNTS] = len(distinct)


def population_means(design: Design, observed: Observed, priors: Priors) -> Floats:
    """Means of the population-level columns; zero where nothing is centred."""
    means = [
        observed.mean(term.columns(observed.rows.values, len(observed.rows)))
        if priors.centered and design.has_intercept and term.kind != "intercept"
        else np.zeros(term.width)
        for term in design.terms
    ]
    return np.concatenate(means) if means else np.zeros(0)


def _priors(design: Design, priors: Priors, family: Family) -> tuple[Ints, Floats]:
    """Codes and arguments: population-level, auxiliary, then each block's standard deviations."""
    entries = [(priors.population[term.name], term.width) for term in design.terms]
    if family.auxiliary:
        entries.append((priors.auxiliary[family.auxiliary], 1))
    entries += [
        (priors.sd[block.variable(term)], term.width)
        for block in design.blocks
        for term in block.terms
    ]
    codes = [code for prior, width in entries for code in [PRIORS[prior.name][0]] * width]
    arguments = [_arguments(prior, width) for prior, width in entries]
    return np.asarray(codes, dtype=np.int64), np.concatenate([np.zeros(0), *arguments])


def _arguments(prior: Prior, width: int) -> Floats:
    """Arguments (width x 3,) of a prior, one row for each coefficient."""
    table = np.zeros((width, density.ARGUMENTS))
    for k, name in enumerate(PRIORS[prior.name][1]):
        table[:, k] = 0.0 if name is None else prior.values[name]
    return table.ravel()


def _beta_shapes(place: Place, concentration: float) -> Floats:
    """Shapes of the Beta priors of the partial correlations, as `graph._cholesky` has them."""
    width = place.block.width
    pairs = [(i, j) for i in range(width) for j in range(i)] if place.block.correlated else []
    return np.array([concentration + (width - 2 - j) / 2 for _, j in pairs])


def coefficients_of(packed: Packed, draws: Floats) -> Floats:
    """Coefficients (draws, c) of draws of q (draws, dim), by the kernel's own forward pass."""
    q = np.ascontiguousarray(draws, dtype=float)
    result = np.empty((len(q), packed.coefficients))
    density.coefficients(len(q), q, result, packed.data())
    return result


def unpack(packed: Packed, design: Design, family: Family, draws: Floats) -> xr.Dataset:
    """Name the parameters of draws of q (chains, draws, dim), as the graph would name them.

    Returns
    -------
    Variables with dims chain and draw first, in the order of `graph.variables`.
    """
    chains, count, _ = draws.shape
    q = np.ascontiguousarray(draws.reshape(chains * count, -1))
    values = coefficients_of(packed, q)
    found: dict[str, Named] = {}
    start = 0
    for term in design.terms:
        own = values[:, start : start + term.width]
        start += term.width
        found[term.name] = (dims_of(term), own if term.levels is not None else own[:, 0])
    if packed.auxiliary is not None and family.auxiliary:
        found[family.auxiliary] = ((), np.exp(q[:, packed.auxiliary]))
    for b, place in enumerate(packed.places):
        found |= _hyperparameters(place, number_of(design, b), q)
    for place in packed.places:
        found |= _effects(place, values)
    return labelled(design, found, chains, count)


def _hyperparameters(place: Place, number: int, q: Floats) -> dict[str, Named]:
    block, width = place.block, place.block.width
    sd = np.exp(q[:, place.sd : place.sd + width])
    found: dict[str, Named] = {}
    start = 0
    for term in block.terms:
        own = sd[:, start : start + term.width]
        start += term.width
        dims = effect_dims(block, term)[:-1]
        found[f"{block.variable(term)}_sigma"] = (dims, own if dims else own[:, 0])
    if block.correlated:
        factor = _cholesky(q[:, place.partial : place.partial + place.pairs], width)
        correlation = factor @ factor.transpose(0, 2, 1)
        lower = np.tril_indices(width, -1)
        name = correlation_name(block.factor, number)
        found[name] = ((f"{name}_dim",), correlation[:, lower[0], lower[1]])
    return found


def _effects(place: Place, values: Floats) -> dict[str, Named]:
    block, width = place.block, place.block.width
    own = values[:, place.coefficient : place.coefficient + width * place.groups]
    own = own.reshape(len(values), width, place.groups)
    found: dict[str, Named] = {}
    start = 0
    for term in block.terms:
        part = own[:, start : start + term.width]
        start += term.width
        many = term.levels is not None
        found[block.variable(term)] = (effect_dims(block, term), part if many else part[:, 0])
    return found


def _cholesky(raw: Floats, width: int) -> Floats:
    """Cholesky factors (draws, width, width) from raw partial correlations (draws, pairs)."""
    factor = np.zeros((len(raw), width, width))
    partial = np.tanh(0.5 * raw)
    pair = 0
    for i in range(width):
        rest = np.ones(len(raw))
        for j in range(i):
            factor[:, i, j] = partial[:, pair] * np.sqrt(rest)
            rest = rest * (1 - partial[:, pair] ** 2)
            pair += 1
        factor[:, i, i] = np.sqrt(rest)
    return factor
