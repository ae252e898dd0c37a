"""A good geometry for a model: where to start, and what to centre and scale by.

A few rounds of penalised weighted least squares (Breslow and Clayton 1993,
doi:10.1080/01621459.1993.10594284) find about where the posterior is, and how much each group's
respondents say of its effects. Nothing here touches the posterior; a poor choice makes a sampler
slower, not wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mrp.design import Design
from mrp.levels import NO_LEVELS, LevelParameters
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.families import Family
from mrp.model.kernel.layout import Conditional, Geometry, population_means
from mrp.model.kernel.places import places_of
from mrp.model.kernel.predictors import Loadings, loadings, sign_of
from mrp.model.kernel.working import Working, start, working
from mrp.model.priors import Prior, Priors

Floats = NDArray[np.float64]

ROUNDS = 25
"""Rounds of least squares; the last ones move little."""
SETTLED = 0.5
"""Largest change of a linear predictor in the last round of a search that has settled."""
LARGEST_STEP = 5.0
"""Largest change of a linear predictor in one round."""
SMALLEST_SD = 0.05
"""Smallest standard deviation of effects that is started from, relative to the residual scale."""
MUCH, FEW_GROUPS = 0.5, 30
"""A block whose effects absorb so much of the coefficients' information, with so few groups, has
standard deviations that the coefficients' scale must follow."""
WIDE = 100.0
"""Standard deviation at which effects are all but free."""
LEAST_LEFT = 1e-6
"""Least share of a coefficient's information that is left when effects are all but free."""
LEAST_SHARE = 1e-3
"""Least share of its information that a direction of the coefficients keeps after the effects."""
LEAST_GAP, LEAST_KEPT = 1e-3, 0.1
"""Least gap between thresholds that rise, and least share of it that is left after one round."""


@dataclass
class _State:
    """Current values of the rounds."""

    phi: Floats
    effects: list[Floats]
    covariances: list[Floats]


@dataclass(frozen=True)
class _Columns:
    """The columns of a model: population-level, and those of each block with each row's group."""

    population: Loadings
    blocks: list[Loadings]
    index: list[NDArray[np.int64]]
    precision: Floats
    """About how strongly the priors hold the population-level coefficients."""


def choose(
    design: Design,
    observed: Observed,
    priors: Priors,
    family: Family,
    link: Link,
    by_level: LevelParameters = NO_LEVELS,
) -> Geometry:
    """Find a geometry for a model.

    Parameters
    ----------
    design, observed, priors, family, link, by_level
        The model.
    """
    rows = observed.rows
    means = population_means(design, observed, priors, by_level)
    precision, location = _prior_precision(design, priors, by_level)
    columns = _Columns(
        loadings(rows.population() - means, by_level, thresholds=True),
        [loadings(rows.effects(block), by_level) for block in design.blocks],
        [rows.groups[block.factor] for block in design.blocks],
        precision,
    )
    sizes = [len(design.factors[block.factor].groups) for block in design.blocks]
    state = _State(
        start(design, observed, family, link, by_level),
        [np.zeros((g, z.size)) for g, z in zip(sizes, columns.blocks, strict=True)],
        [np.eye(z.size) * 0.25 for z in columns.blocks],
    )

    def now() -> Working:
        eta = sign_of(by_level) * rows.offset()[:, None] + columns.population.times(state.phi)
        for g, z, u in zip(columns.index, columns.blocks, state.effects, strict=True):
            eta = eta + z.times(u[g])
        return working(eta, observed, family, link)

    around = now()
    for _ in range(ROUNDS):
        hessian = _hessian(columns, around)
        gradient = _gradient(columns.population, around) - precision * (state.phi - location)
        step = _limited(_solve(hessian, gradient), columns.population)
        state.phi = _risen(state.phi, state.phi + step, by_level)
        around = now()
        for b, (g, z) in enumerate(zip(columns.index, columns.blocks, strict=True)):
            information = _information(g, z, z, around, sizes[b])
            score = _score(g, z, around, sizes[b])
            inverse = np.linalg.pinv(state.covariances[b], hermitian=True)
            spread = np.linalg.inv(information + inverse)
            pull = score - state.effects[b] @ inverse
            state.effects[b] = state.effects[b] + np.einsum("gij,gj->gi", spread, pull)
            second = np.einsum("gi,gj->gij", state.effects[b], state.effects[b]) + spread
            covariance = second.mean(axis=0) * _same_predictor(z.size, by_level)
            state.covariances[b] = _floored(covariance)
            around = now()
    geometry = _geometry(design, family, by_level, state, around, columns)
    return replace(geometry, unsettled=_running_away(step, columns.population))


def _risen(before: Floats, after: Floats, by_level: LevelParameters) -> Floats:
    """Coefficients after a round, with thresholds that still rise where they must."""
    if by_level.rising:
        least = np.maximum(LEAST_KEPT * np.diff(before[: by_level.thresholds]), LEAST_GAP)
        gaps = np.maximum(np.diff(after[: by_level.thresholds]), least)
        after[1 : by_level.thresholds] = after[0] + gaps.cumsum()
    return after


def _same_predictor(size: int, by_level: LevelParameters) -> Floats:
    """One for effects on the same linear predictor (size, size), which alone are correlated."""
    width = size // by_level.predictors
    return np.asarray(np.kron(np.eye(by_level.predictors), np.ones((width, width))))


def _running_away(step: Floats, population: Loadings) -> int | None:
    """The coefficient that moved most in the last round, if it moved a linear predictor much."""
    if np.abs(population.times(step)).max(initial=0.0) < SETTLED:
        return None
    spread = np.zeros(population.size)
    for columns, at in zip(population.columns, population.at, strict=True):
        spread[at] = columns.std(axis=0)
    return int(np.argmax(np.abs(step) * spread))


def _geometry(
    design: Design,
    family: Family,
    by_level: LevelParameters,
    state: _State,
    around: Working,
    columns: _Columns,
) -> Geometry:
    """The geometry around where the rounds ended."""
    shift, jacobian, extra = _by_gaps(state.phi, by_level)
    hessian = jacobian.T @ _hessian(columns, around) @ jacobian + extra
    blocks, absorbed = [], []
    for b, (g, z) in enumerate(zip(columns.index, columns.blocks, strict=True)):
        u, covariance = state.effects[b], state.covariances[b]
        information = _information(g, z, z, around, len(u))
        score = _score(g, z, around, len(u)) + np.einsum("gij,gj->gi", information, u)
        slope = _information(g, z, columns.population, around, len(u)) @ jacobian
        blocks.append(Conditional(information, score, slope))
        absorbed.append(_absorbed(blocks[-1], covariance))
    marginal = hessian - sum(absorbed, np.zeros_like(hessian))
    geometry = Geometry(
        shift,
        _whitening(hessian, marginal),
        tuple(blocks),
        _starting_point(design, family, by_level, state, around),
    )
    return _following(geometry, hessian, absorbed)


def _by_gaps(phi: Floats, by_level: LevelParameters) -> tuple[Floats, Floats, Floats]:
    """Logarithms of gaps in place of thresholds that rise; phi's derivative by them; a Hessian.

    The Hessian is what the Jacobian adds: a gap with n respondents has about the likelihood
    ``gap^n exp(-c gap)``, and its logarithm the information n + 1 where its density is highest.
    """
    shift, jacobian, extra = phi.copy(), np.eye(len(phi)), np.zeros(len(phi))
    if by_level.rising:
        count = by_level.thresholds
        gaps = np.diff(phi[:count])
        shift[1:count], extra[1:count] = np.log(gaps), 1.0
        jacobian[:count, :count] = np.tril(np.ones((count, count))) * np.array([1.0, *gaps])
    return shift, jacobian, np.diag(extra)


def _absorbed(block: Conditional, covariance: Floats) -> Floats:
    """Information about the coefficients that is lost when the block's effects are unknown."""
    spread = np.linalg.inv(block.information + np.linalg.pinv(covariance, hermitian=True))
    result: Floats = np.einsum("gki,gkl,glj->ij", block.slope, spread, block.slope)
    return result


def _following(geometry: Geometry, hessian: Floats, absorbed: list[Floats]) -> Geometry:
    """Let one block's effects follow the coefficients, and the coefficients' scale follow theirs.

    A coefficient and the effects of few, large groups trade off along a line on which the linear
    predictor stays the same; other effects that followed the coefficient alone would leave it. So
    only the block that absorbs most of the coefficients' information has a slope. If it has few
    groups, its standard deviations are uncertain, and with them the scale of the coefficients.
    """
    if not len(hessian) or not absorbed:
        return geometry
    shares = [_largest_share(lost, hessian) for lost in absorbed]
    first = int(np.argmax(shares))
    blocks = tuple(
        block if b == first else replace(block, slope=np.zeros_like(block.slope))
        for b, block in enumerate(geometry.blocks)
    )
    followed = blocks[first]
    if shares[first] < MUCH or len(followed.information) > FEW_GROUPS:
        return replace(geometry, blocks=blocks)
    others = sum((lost for b, lost in enumerate(absorbed) if b != first), np.zeros_like(hessian))
    curvature = hessian - others
    if np.linalg.eigvalsh(curvature)[0] <= 0:  # crossed blocks took the same away twice
        return replace(geometry, blocks=blocks)
    most = _largest_share(_absorbed(followed, WIDE**2 * np.eye(followed.score.shape[1])), curvature)
    # the other blocks' share was taken away from the coefficients but not from these effects
    curvature = curvature * max(1.0, most / (1.0 - LEAST_LEFT))
    return replace(geometry, blocks=blocks, followed=first, curvature=curvature)


def _largest_share(lost: Floats, information: Floats) -> float:
    """Largest share of the information in any direction that is lost."""
    inverse = np.linalg.inv(np.linalg.cholesky(_ridged(information, 1e-10)))
    return float(np.linalg.eigvalsh(inverse @ lost @ inverse.T)[-1])


def _starting_point(
    design: Design, family: Family, by_level: LevelParameters, state: _State, around: Working
) -> Floats:
    """The point q where the rounds ended: all zero but for the logarithms of scales."""
    places, dim, _ = places_of(design, family, by_level)
    point = np.zeros(dim)
    if family.auxiliary == "sigma":
        point[len(state.phi)] = 0.5 * np.log(around.dispersion)
    elif family.auxiliary == "alpha":
        point[len(state.phi)] = -np.log(around.dispersion)
    for place, covariance in zip(places, state.covariances, strict=True):
        point[place.sd : place.sd + place.width] = 0.5 * np.log(np.diag(covariance))
    return point


def _whitening(hessian: Floats, marginal: Floats) -> Floats:
    """A matrix T such that ``phi = shift + T q`` has about unit covariance in q.

    `marginal` is the information left when the effects are integrated out. With several grouping
    factors it may be taken away twice; every direction keeps `LEAST_SHARE` of it.
    """
    if not len(hessian):
        return hessian
    inverse = np.linalg.inv(np.linalg.cholesky(_ridged(hessian, 1e-8)))
    share, vectors = np.linalg.eigh(inverse @ marginal @ inverse.T)
    result: Floats = inverse.T @ (vectors / np.sqrt(np.clip(share, LEAST_SHARE, None)))
    return result


def _hessian(columns: _Columns, around: Working) -> Floats:
    """Information about the population-level coefficients, with that of their priors."""
    x, result = columns.population, np.diag(columns.precision)
    for (j, k), weight in around.weight.items():
        own = (x.columns[j] * weight[:, None]).T @ x.columns[k]
        result[np.ix_(x.at[j], x.at[k])] += own
    return result


def _gradient(x: Loadings, around: Working) -> Floats:
    result = np.zeros(x.size)
    for k, (columns, at) in enumerate(zip(x.columns, x.at, strict=True)):
        result[at] += columns.T @ around.score[:, k]
    return result


def _information(
    g: NDArray[np.int64], left: Loadings, right: Loadings, around: Working, groups: int
) -> Floats:
    """``sum_i left_i' W_i right_i`` over each group's rows (groups, left.size, right.size)."""
    result = np.zeros((groups, left.size, right.size))
    for (j, k), weight in around.weight.items():
        for m, a in zip(left.at[j], left.columns[j].T, strict=True):
            for n, b in zip(right.at[k], right.columns[k].T, strict=True):
                result[:, m, n] += np.bincount(g, weights=weight * a * b, minlength=groups)
    return result


def _score(g: NDArray[np.int64], z: Loadings, around: Working, groups: int) -> Floats:
    result = np.zeros((groups, z.size))
    for k, (columns, at) in enumerate(zip(z.columns, z.at, strict=True)):
        for m, a in zip(at, columns.T, strict=True):
            result[:, m] += np.bincount(g, weights=around.score[:, k] * a, minlength=groups)
    return result


def _solve(matrix: Floats, vector: Floats) -> Floats:
    result: Floats = np.linalg.solve(_ridged(matrix, 1e-8), vector)
    return result


def _ridged(matrix: Floats, share: float) -> Floats:
    """The matrix with a little more on its diagonal, so that it has an inverse."""
    ridge = share * np.diag(matrix).max(initial=0.0) + 1e-12
    result: Floats = matrix + ridge * np.eye(len(matrix))
    return result


def _limited(step: Floats, population: Loadings) -> Floats:
    largest = np.abs(population.times(step)).max(initial=0.0)
    return step * min(1.0, LARGEST_STEP / largest) if largest else step


def _floored(covariance: Floats) -> Floats:
    """The covariance with standard deviations and correlations kept off their boundaries."""
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    tamed = 0.95 * correlation + 0.05 * np.eye(len(sd))
    sd = np.maximum(sd, SMALLEST_SD)
    return np.asarray(tamed * np.outer(sd, sd))


def _prior_precision(
    design: Design, priors: Priors, by_level: LevelParameters
) -> tuple[Floats, Floats]:
    """About how strongly, and to where, the priors pull thresholds and coefficients."""
    entries = [(priors.threshold, by_level.thresholds)] if priors.threshold else []
    entries += by_level.predictors * [
        (priors.population[term.name], term.width) for term in design.terms
    ]
    precision, location = [np.zeros(0)], [np.zeros(0)]
    for prior, width in entries:
        precision.append(np.broadcast_to(1.0 / _scale(prior) ** 2, (width,)))
        location.append(np.broadcast_to(prior.values.get("mu", np.zeros(())), (width,)))
    return np.concatenate(precision), np.concatenate(location)


def _scale(prior: Prior) -> Floats:
    values = prior.values
    flat: Floats = np.asarray(np.inf)
    scale: Floats = values.get("sigma", values.get("b", values.get("beta", flat)))
    return scale
