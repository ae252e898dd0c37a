"""A model as three arrays for the kernel, and the kernel's draws as named variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numba.extending import get_cython_function_address
from numpy.typing import NDArray

from mrp.coefficients import (
    correlation_name,
    dims_of,
    effect_dims,
    labelled,
    number_of,
)
from mrp.design import Design
from mrp.levels import NO_LEVELS, THRESHOLD, THRESHOLD_DIM, LevelParameters
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.families import Family
from mrp.model.kernel import density, header
from mrp.model.kernel.parts import Part, in_order, parts_of, stacked
from mrp.model.places import Place, places_of, population_size
from mrp.model.predictors import Stack, sign_of, stack
from mrp.model.priors import Prior, Priors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Named = tuple[tuple[str, ...], Floats]
"""Dims of a variable besides chain and draw, and its draws (draws, …)."""

FAMILIES = {
    "bernoulli": header.SUCCESSES,
    "binomial": header.SUCCESSES,
    "poisson": header.POISSON,
    "gaussian": header.GAUSSIAN,
    "negativebinomial": header.NEGATIVE_BINOMIAL,
    "categorical": header.CATEGORICAL,
    "cumulative": header.CUMULATIVE,
    "sratio": header.SUCCESSES,
}
LINKS: dict[Link, int] = {
    "identity": header.IDENTITY,
    "log": header.LOG,
    "logit": header.LOGIT,
    "probit": header.PROBIT,
    "cloglog": header.CLOGLOG,
}
PRIORS = {
    "flat": (header.FLAT, ()),
    "half_flat": (header.FLAT, ()),
    "normal": (header.NORMAL, ("mu", "sigma")),
    "half_normal": (header.NORMAL, (None, "sigma")),
    "student_t": (header.STUDENT_T, ("nu", "mu", "sigma")),
    "half_student_t": (header.STUDENT_T, ("nu", None, "sigma")),
    "cauchy": (header.CAUCHY, ("alpha", "beta")),
    "half_cauchy": (header.CAUCHY, (None, "beta")),
    "laplace": (header.LAPLACE, ("mu", "b")),
    "exponential": (header.EXPONENTIAL, ("lam",)),
    "gamma": (header.GAMMA, ("alpha", "beta")),
    "inv_gamma": (header.INVERSE_GAMMA, ("alpha", "beta")),
}
"""The kernel's code of each prior, and which argument goes where; None: a location of zero."""

LAPACK = "scipy.linalg.cython_lapack"
"""Where the addresses of LAPACK's functions are."""

_NONE: NDArray[Any] = np.zeros(0)


@dataclass(frozen=True)
class Conditional:
    """About what the data say of one block's effects, given its standard deviations.

    Parameters
    ----------
    information
        Information of each group's respondents about its effects (groups, width, width).
    score
        Information times the effects that fit best at the joint block's centre (groups, width).
    slope
        Decrease of the score per unit of the joint block (groups, width, n).
    """

    information: Floats
    score: Floats
    slope: Floats


@dataclass(frozen=True)
class Geometry:
    """How q relates to the parameters; changes the path of a sampler, not the posterior.

    The joint block is made of the effects of some blocks, and of thresholds, centred intercepts and
    slopes less their `shift`, with the logarithms of gaps in place of all but the first of the
    thresholds that rise.

    Parameters
    ----------
    shift
        About where the coefficients are (p,).
    transform
        Where coefficients alone are the joint block, it is ``transform q`` (p, p).
    joint
        Blocks whose effects are in the joint block, in their order there; coefficients come last.
    curvature
        Information about the joint block (n, n), less what other effects absorb.
    score
        Derivative of the log likelihood, and of the coefficients' priors, at the centre (n,).
    centre
        About where the joint block is (n,).
    conditional
        For each other block, what its groups' effects are centred and scaled by.
    bends
        For each block how logarithms of standard deviations follow from q (width, 2), as
        `log_sd` has it: about where they are, and how far the lower tail is bent.
    start
        A point q from which sampling can start (dim,).
    unsettled
        Position of a population-level coefficient that was still running away when the search for
        the start ended; None if all had settled.
    flat
        Whether neither respondents nor priors hold the coefficients along some direction.
    """

    shift: Floats
    transform: Floats
    joint: tuple[int, ...]
    curvature: Floats
    score: Floats
    centre: Floats
    conditional: Mapping[int, Conditional]
    bends: tuple[Floats, ...]
    start: Floats
    unsettled: int | None = None
    flat: bool = False


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
        Number of thresholds and population-level coefficients, and with the effects.
    auxiliary
        Position of the auxiliary parameter's logarithm in q; None if there is none.
    places
        Where each block is.
    means
        Means of the design's population-level columns over respondents (k,), zero for the
        intercept.
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


def plain_geometry(
    design: Design, family: Family, by_level: LevelParameters = NO_LEVELS
) -> Geometry:
    """The geometry of the PyMC graph: coefficients as they are, standardised effects."""
    places, dim, _ = places_of(design, family, by_level)
    p = population_size(design, by_level)
    blocks = {
        b: Conditional(
            np.zeros((place.groups, place.width, place.width)),
            np.zeros((place.groups, place.width)),
            np.zeros((place.groups, place.width, p)),
        )
        for b, place in enumerate(places)
    }
    zero, one = np.zeros(p), np.eye(p)
    bends = tuple(np.zeros((place.width, 2)) for place in places)
    return Geometry(zero, one, (), one, zero, zero, blocks, bends, np.zeros(dim))


def pack(
    design: Design,
    observed: Observed,
    priors: Priors,
    family: Family,
    link: Link,
    geometry: Geometry | None = None,
    by_level: LevelParameters = NO_LEVELS,
) -> Packed:
    """Lay a model out for the kernel.

    Parameters
    ----------
    design, observed, priors, family, link
        The model.
    geometry
        How to sample it; `plain_geometry` by default.
    by_level
        The parameters that levels of the outcome have.
    """
    geometry = plain_geometry(design, family, by_level) if geometry is None else geometry
    population = population_size(design, by_level)
    places, dim, coefficients = places_of(design, family, by_level)
    rows = stack(observed, family, by_level)
    parts = stacked(parts_of(design, observed.rows, places, by_level), rows, by_level)
    order = in_order(parts)

    ints, index, floats = _Packer(header.HEADER), _Packer(0), _Packer(0)
    head = ints.head
    head[header.DIM] = dim
    head[header.ROWS] = len(order)
    head[header.FAMILY] = FAMILIES[family.name]
    head[header.LINK] = LINKS[link]
    head[header.POPULATION] = population
    head[header.PREDICTORS] = by_level.predictors
    head[header.GAPS] = by_level.thresholds - 1 if by_level.rising else 0
    head[header.BINARY] = rows.binary
    head[header.AUXILIARY] = family.auxiliary is not None
    head[header.BLOCKS] = len(places)
    head[header.PARTS] = len(parts)
    head[header.RUNS] = len(parts[0].matrix)
    head[header.DISTINCT] = sum(len(part.matrix) for part in parts)
    head[header.COEFFICIENTS] = coefficients

    _pack_parts(parts, order, head, index, floats)
    _pack_outcome(observed, rows, order, head, floats)
    head[header.AT_OFFSET] = floats.add(sign_of(by_level) * observed.rows.offset()[rows.row[order]])
    means = population_means(design, observed, priors, by_level)
    _pack_intercepts(means, design, by_level, head, floats)
    head[header.AT_SHIFT] = floats.add(geometry.shift)
    _pack_joint(geometry, head, floats)
    codes, arguments = _priors(design, priors, family, by_level)
    head[header.AT_PRIORS] = ints.add(codes)
    head[header.AT_ARGUMENTS] = floats.add(arguments)
    firsts = _firsts(geometry, places)
    descriptions = [
        _description(b, place, firsts[b], geometry, priors, floats)
        for b, place in enumerate(places)
    ]
    header.lay_out_work(head, descriptions)
    head[header.AT_BLOCKS] = ints.add(np.array(descriptions, dtype=np.int64).ravel())
    auxiliary = population if family.auxiliary is not None else None
    return Packed(
        ints.joined(np.int64), index.joined(np.int32), floats.joined(np.float64), dim,
        population, coefficients, auxiliary, places, means, geometry,
    )  # fmt: skip


def _firsts(geometry: Geometry, places: Sequence[Place]) -> list[int]:
    """Where each block's effects begin in the joint block; -1 for blocks that are not in it."""
    firsts, start = [-1] * len(places), 0
    for b in geometry.joint:
        firsts[b], start = start, start + places[b].width * places[b].groups
    return firsts


def _description(
    b: int, place: Place, first: int, geometry: Geometry, priors: Priors, floats: _Packer
) -> list[int]:
    """A block's fields, as `header` has them."""
    own = [
        place.width,
        place.groups,
        place.together,
        place.sd,
        place.partial,
        place.effect,
        place.coefficient,
        first,
        floats.add(geometry.bends[b].ravel()),
        floats.add(_beta_shapes(place, priors.cor[b])),
    ]
    if first >= 0:
        return [*own, -1, -1, -1, 0, 0]
    conditional = geometry.conditional[b]
    return [
        *own,
        floats.add(conditional.information.transpose(1, 2, 0).ravel()),
        floats.add(conditional.score.T.ravel()),
        floats.add(_singles(conditional.slope)) if conditional.slope.any() else -1,
        0,
        0,
    ]


def _singles(slope: Floats) -> Floats:
    """Slopes (groups, width, n) as the kernel has them: numbers of 32 bits, two in a double.

    They are the most that a draw reads of a large model, and need not be exact.
    """
    flat = slope.T.astype(np.float32).ravel()
    return np.append(flat, np.zeros(len(flat) % 2, np.float32)).view(np.float64)


def _pack_joint(geometry: Geometry, head: Ints, floats: _Packer) -> None:
    head[header.FOLLOWS] = bool(geometry.joint)
    head[header.JOINT] = len(geometry.centre)
    head[header.AT_TRANSFORM] = floats.add(geometry.transform.ravel())
    head[header.AT_CURVATURE] = floats.add(geometry.curvature.ravel())
    head[header.AT_JOINT_SCORE] = floats.add(geometry.score)
    head[header.AT_CENTRE] = floats.add(geometry.centre)
    head[header.UPPER] = ord("U")
    head[header.POTRF] = get_cython_function_address(LAPACK, "dpotrf")


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
        return np.concatenate(
            [self.head.astype(dtype), *(p.astype(dtype) for p in self.pieces), np.zeros(1, dtype)]
        )


def _pack_parts(
    parts: Sequence[Part], order: Ints, head: Ints, index: _Packer, floats: _Packer
) -> None:
    """The parts' matrices as one sparse matrix, row by row, and the rows' look-ups."""
    base, look_ups, counts, columns, values = 0, [_NONE], [_NONE], [_NONE], [_NONE]
    runs = np.bincount(parts[0].index, minlength=len(parts[0].matrix))
    head[header.AT_RUN_ENDS] = index.add(np.cumsum(runs))
    for part in parts:
        if base:
            look_ups.append(base + part.index[order])
        base += len(part.matrix)
        filled = part.matrix != 0
        counts.append(filled.sum(axis=1))
        columns.append(part.spelled_out[filled])
        values.append(part.matrix[filled])
    head[header.AT_INDEX] = index.add(np.concatenate(look_ups))
    head[header.AT_ROW_ENDS] = index.add(np.cumsum(np.concatenate(counts)))
    head[header.AT_COLUMNS] = index.add(np.concatenate(columns))
    head[header.AT_MATRIX] = floats.add(np.concatenate(values))


def _pack_outcome(
    observed: Observed, rows: Stack, order: Ints, head: Ints, floats: _Packer
) -> None:
    head[header.AT_OUTCOME] = floats.add(rows.y[order])
    head[header.AT_TRIALS] = floats.add(rows.times[order])
    head[header.AT_TOTALS] = floats.add([observed.respondents, observed.within.sum()])
    distinct, index = np.unique(rows.y, return_inverse=True)
    respondents = np.bincount(index, weights=observed.count[rows.row])
    head[header.AT_COUNTS] = floats.add(np.concatenate([distinct, respondents]))
    head[header.COUNTS] = len(distinct)


def _pack_intercepts(
    means: Floats, design: Design, by_level: LevelParameters, head: Ints, floats: _Packer
) -> None:
    """Which coefficients take the means up, and by how much per unit of the others."""
    if by_level.thresholds:
        row = np.concatenate([np.zeros(by_level.thresholds), -means])
        head[header.INTERCEPTS], head[header.STRIDE] = by_level.thresholds, 1
        head[header.AT_MEANS] = floats.add(np.tile(row, by_level.thresholds))
        return
    if design.has_intercept:
        head[header.INTERCEPTS] = by_level.predictors
    head[header.STRIDE] = len(means)
    head[header.AT_MEANS] = floats.add(np.kron(np.eye(by_level.predictors), means).ravel())


def population_means(
    design: Design, observed: Observed, priors: Priors, by_level: LevelParameters = NO_LEVELS
) -> Floats:
    """Means of the population-level columns; zero where nothing is centred."""
    centered = priors.centered and (design.has_intercept or by_level.thresholds)
    means = [
        observed.mean(term.columns(observed.rows.values, len(observed.rows)))
        if centered and term.kind != "intercept"
        else np.zeros(term.width)
        for term in design.terms
    ]
    return np.concatenate(means) if means else np.zeros(0)


def _priors(
    design: Design, priors: Priors, family: Family, by_level: LevelParameters
) -> tuple[Ints, Floats]:
    """Codes and arguments: population-level, auxiliary, then each block's standard deviations."""
    entries = [(priors.threshold, by_level.thresholds)] if priors.threshold else []
    entries += by_level.predictors * [
        (priors.population[term.name], term.width) for term in design.terms
    ]
    if family.auxiliary:
        entries.append((priors.auxiliary[family.auxiliary], 1))
    for block in design.blocks:
        entries += by_level.predictors * [
            (priors.sd[block.variable(term)], term.width) for term in block.terms
        ]
    codes = [code for prior, width in entries for code in [PRIORS[prior.name][0]] * width]
    arguments = [_arguments(prior, width) for prior, width in entries]
    return np.asarray(codes, dtype=np.int64), np.concatenate([np.zeros(0), *arguments])


def _arguments(prior: Prior, width: int) -> Floats:
    """Arguments (width x 3,) of a prior, one row for each coefficient."""
    table = np.zeros((width, header.ARGUMENTS))
    for k, name in enumerate(PRIORS[prior.name][1]):
        table[:, k] = 0.0 if name is None else prior.values[name]
    return table.ravel()


def _beta_shapes(place: Place, concentration: float) -> Floats:
    """Shapes of the Beta priors of the partial correlations, as `graph._cholesky` has them."""
    width = place.together
    shapes = [concentration + (width - 2 - j) / 2 for i in range(width) for j in range(i)]
    return np.tile(shapes, place.width // width)


def coefficients_of(packed: Packed, draws: Floats) -> Floats:
    """Coefficients (draws, c) of draws of q (draws, dim), by the kernel's own forward pass."""
    q = np.ascontiguousarray(draws, dtype=float)
    result = np.empty((len(q), packed.coefficients))
    density.coefficients(len(q), q, result, packed.data())
    return result


def unpack(
    packed: Packed,
    design: Design,
    family: Family,
    draws: Floats,
    by_level: LevelParameters = NO_LEVELS,
) -> xr.Dataset:
    """Name the parameters of draws of q (chains, draws, dim), as the graph would name them.

    Returns
    -------
    Variables with dims chain and draw first, in the order of `graph.variables`.
    """
    chains, count, _ = draws.shape
    q = np.ascontiguousarray(draws.reshape(chains * count, -1))
    values = coefficients_of(packed, q)
    found: dict[str, Named] = {}
    start = by_level.thresholds
    if start:
        found[THRESHOLD] = ((THRESHOLD_DIM,), values[:, :start])
    slopes = _by_coefficient(values[:, start : packed.population], by_level)
    start = 0
    for term in design.terms:
        own = slopes[:, start : start + term.width]
        start += term.width
        found[term.name] = (dims_of(term, by_level), own if term.levels is not None else own[:, 0])
    if packed.auxiliary is not None and family.auxiliary:
        found[family.auxiliary] = ((), np.exp(q[:, packed.auxiliary]))
    for b, place in enumerate(packed.places):
        found |= _hyperparameters(
            place, packed.geometry.bends[b], number_of(design, b), q, by_level
        )
    for place in packed.places:
        found |= _effects(place, values, by_level)
    return labelled(design, found, chains, count, by_level)


def log_sd(q: Floats, bends: Floats) -> Floats:
    """Logarithms of a block's standard deviations, from its part of q (…, width)."""
    r = np.logaddexp(0.0, -q)
    result: Floats = bends[:, 0] + q - 0.5 * bends[:, 1] * r**2
    return result


def _by_coefficient(values: Floats, by_level: LevelParameters) -> Floats:
    """Draws (draws, levels x k, …) level after level, as (draws, k, …) or (draws, k, levels, …)."""
    if not by_level.shape:
        return values
    draws, _, *more = values.shape
    return np.swapaxes(values.reshape(draws, *by_level.shape, -1, *more), 1, 2)


def _hyperparameters(
    place: Place, bends: Floats, number: int, q: Floats, by_level: LevelParameters
) -> dict[str, Named]:
    block = place.block
    own = np.exp(log_sd(q[:, place.sd : place.sd + place.width], bends))
    sd = _by_coefficient(own, by_level)
    found: dict[str, Named] = {}
    start = 0
    for term in block.terms:
        own = sd[:, start : start + term.width]
        start += term.width
        many = term.levels is not None
        dims = effect_dims(block, term, by_level)[:-1]
        found[f"{block.variable(term)}_sigma"] = (dims, own if many else own[:, 0])
    if block.correlated:
        raw = q[:, place.partial : place.partial + place.pairs]
        factor = _cholesky(raw.reshape(len(q) * place.predictors, -1), block.width)
        correlation = factor @ factor.transpose(0, 2, 1)
        lower = np.tril_indices(block.width, -1)
        pairs = correlation[:, lower[0], lower[1]].reshape(len(q), -1)
        name = correlation_name(block.factor, number)
        found[name] = ((f"{name}_dim", *by_level.dims), _by_coefficient(pairs, by_level))
    return found


def _effects(place: Place, values: Floats, by_level: LevelParameters) -> dict[str, Named]:
    block = place.block
    own = values[:, place.coefficient : place.coefficient + place.width * place.groups]
    own = _by_coefficient(own.reshape(len(values), place.width, place.groups), by_level)
    found: dict[str, Named] = {}
    start = 0
    for term in block.terms:
        part = own[:, start : start + term.width]
        start += term.width
        many = term.levels is not None
        dims = effect_dims(block, term, by_level)
        found[block.variable(term)] = (dims, part if many else part[:, 0])
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
