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
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.families import Family
from mrp.model.kernel.layout import Conditional, Geometry, places_of, population_means
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


@dataclass
class _State:
    """Current values of the rounds."""

    phi: Floats
    effects: list[Floats]
    covariances: list[Floats]
    dispersion: float


@dataclass(frozen=True)
class _Working:
    """Score and information of each row's linear predictor."""

    score: Floats
    weight: Floats


def choose(
    design: Design, observed: Observed, priors: Priors, family: Family, link: Link
) -> Geometry:
    """Find a geometry for a model.

    Parameters
    ----------
    design, observed, priors, family, link
        The model.
    """
    rows = observed.rows
    columns = rows.population() - population_means(design, observed, priors)
    precision, location = _prior_precision(design, priors)
    index = [rows.groups[block.factor] for block in design.blocks]
    loadings = [rows.effects(block) for block in design.blocks]
    sizes = [len(design.factors[block.factor].groups) for block in design.blocks]
    state = _State(
        _start(design, observed, link),
        [np.zeros((g, block.width)) for g, block in zip(sizes, design.blocks, strict=True)],
        [np.eye(block.width) * 0.25 for block in design.blocks],
        1.0,
    )

    def predictor() -> Floats:
        eta = rows.offset() + columns @ state.phi
        for g, z, u in zip(index, loadings, state.effects, strict=True):
            eta = eta + (z * u[g]).sum(axis=1)
        return eta

    working = _working(predictor(), observed, family, link, state)
    for _ in range(ROUNDS):
        hessian = (columns * working.weight[:, None]).T @ columns + np.diag(precision)
        gradient = columns.T @ working.score - precision * (state.phi - location)
        step = _limited(_solve(hessian, gradient), columns)
        state.phi = state.phi + step
        working = _working(predictor(), observed, family, link, state)
        for b, (g, z) in enumerate(zip(index, loadings, strict=True)):
            information = _information(g, z, z, working.weight, sizes[b])
            score = _score(g, z, working.score, sizes[b])
            inverse = np.linalg.pinv(state.covariances[b], hermitian=True)
            spread = np.linalg.inv(information + inverse)
            pull = score - state.effects[b] @ inverse
            state.effects[b] = state.effects[b] + np.einsum("gij,gj->gi", spread, pull)
            second = np.einsum("gi,gj->gij", state.effects[b], state.effects[b]) + spread
            state.covariances[b] = _floored(second.mean(axis=0))
            working = _working(predictor(), observed, family, link, state)
    geometry = _geometry(design, family, state, working, columns, precision, index, loadings)
    return replace(geometry, unsettled=_running_away(step, columns))


def _running_away(step: Floats, columns: Floats) -> int | None:
    """The coefficient that moved most in the last round, if it moved the linear predictor much."""
    if np.abs(columns @ step).max(initial=0.0) < SETTLED:
        return None
    return int(np.argmax(np.abs(step) * columns.std(axis=0)))


def _geometry(
    design: Design,
    family: Family,
    state: _State,
    working: _Working,
    columns: Floats,
    precision: Floats,
    index: list[NDArray[np.int64]],
    loadings: list[Floats],
) -> Geometry:
    """The geometry around where the rounds ended."""
    hessian = (columns * working.weight[:, None]).T @ columns + np.diag(precision)
    blocks, absorbed = [], []
    for g, z, u, covariance in zip(index, loadings, state.effects, state.covariances, strict=True):
        information = _information(g, z, z, working.weight, len(u))
        score = _score(g, z, working.score, len(u)) + np.einsum("gij,gj->gi", information, u)
        slope = _information(g, z, columns, working.weight, len(u))
        blocks.append(Conditional(information, score, slope))
        absorbed.append(_absorbed(blocks[-1], covariance))
    marginal = hessian - sum(absorbed, np.zeros_like(hessian))
    geometry = Geometry(
        state.phi,
        _whitening(hessian, marginal),
        tuple(blocks),
        _starting_point(design, family, state),
    )
    return _following(geometry, hessian, absorbed)


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


def _starting_point(design: Design, family: Family, state: _State) -> Floats:
    """The point q where the rounds ended: all zero but for the logarithms of scales."""
    places, dim, _ = places_of(design, family)
    start = np.zeros(dim)
    if family.auxiliary == "sigma":
        start[len(state.phi)] = 0.5 * np.log(state.dispersion)
    elif family.auxiliary == "alpha":
        start[len(state.phi)] = -np.log(state.dispersion)
    for place, covariance in zip(places, state.covariances, strict=True):
        start[place.sd : place.sd + place.block.width] = 0.5 * np.log(np.diag(covariance))
    return start


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


def _information(
    g: NDArray[np.int64], left: Floats, right: Floats, weight: Floats, groups: int
) -> Floats:
    """``sum_i w_i left_i right_i'`` over each group's rows (groups, k, l)."""
    result = np.empty((groups, left.shape[1], right.shape[1]))
    for k in range(left.shape[1]):
        for j in range(right.shape[1]):
            product = weight * left[:, k] * right[:, j]
            result[:, k, j] = np.bincount(g, weights=product, minlength=groups)
    return result


def _score(g: NDArray[np.int64], z: Floats, score: Floats, groups: int) -> Floats:
    columns = [np.bincount(g, weights=score * z[:, k], minlength=groups) for k in range(z.shape[1])]
    return np.column_stack(columns)


def _solve(matrix: Floats, vector: Floats) -> Floats:
    result: Floats = np.linalg.solve(_ridged(matrix, 1e-8), vector)
    return result


def _ridged(matrix: Floats, share: float) -> Floats:
    """The matrix with a little more on its diagonal, so that it has an inverse."""
    ridge = share * np.diag(matrix).max(initial=0.0) + 1e-12
    result: Floats = matrix + ridge * np.eye(len(matrix))
    return result


def _limited(step: Floats, columns: Floats) -> Floats:
    largest = np.abs(columns @ step).max(initial=0.0)
    return step * min(1.0, LARGEST_STEP / largest) if largest else step


def _floored(covariance: Floats) -> Floats:
    """The covariance with standard deviations and correlations kept off their boundaries."""
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    tamed = 0.95 * correlation + 0.05 * np.eye(len(sd))
    sd = np.maximum(sd, SMALLEST_SD)
    return np.asarray(tamed * np.outer(sd, sd))


def _start(design: Design, observed: Observed, link: Link) -> Floats:
    """Coefficients zero; the intercept where the average outcome is."""
    phi = np.zeros(sum(term.width for term in design.terms))
    if design.has_intercept:
        phi[0] = _linked(observed, link)
    return phi


def _linked(observed: Observed, link: Link) -> float:
    from scipy.special import ndtri

    trials = observed.trials.sum()
    if link in ("logit", "probit", "cloglog"):
        p = (observed.y.sum() + 0.5) / (trials + 1.0)
        by_link = {
            "logit": np.log(p / (1 - p)),
            "probit": ndtri(p),
            "cloglog": np.log(-np.log1p(-p)),
        }
        return float(by_link[link])
    return float(np.log(max(_mean(observed), 1e-3)) if link == "log" else _mean(observed))


def _mean(observed: Observed) -> float:
    return float(observed.mean(observed.y[:, None])[0])


def _prior_precision(design: Design, priors: Priors) -> tuple[Floats, Floats]:
    """About how strongly, and to where, the priors pull the population-level coefficients."""
    precision, location = [np.zeros(0)], [np.zeros(0)]
    for term in design.terms:
        prior = priors.population[term.name]
        scale, center = _scale(prior), prior.values.get("mu", np.zeros(()))
        precision.append(np.broadcast_to(1.0 / scale**2, (term.width,)))
        location.append(np.broadcast_to(center, (term.width,)))
    return np.concatenate(precision), np.concatenate(location)


def _scale(prior: Prior) -> Floats:
    values = prior.values
    flat: Floats = np.asarray(np.inf)
    scale: Floats = values.get("sigma", values.get("b", values.get("beta", flat)))
    return scale


def _working(
    eta: Floats, observed: Observed, family: Family, link: Link, state: _State
) -> _Working:
    """Score and expected information of each row's linear predictor."""
    from mrp.links import inverse

    n = observed.trials if family.name in ("bernoulli", "binomial") else observed.count
    mean = inverse(link)(eta.copy())
    slope = _slope(eta, mean, link)
    total = observed.y if family.name in ("bernoulli", "binomial", "poisson") else n * observed.y
    if family.name in ("bernoulli", "binomial"):
        mean = np.clip(mean, 1e-10, 1 - 1e-10)
        variance = mean * (1 - mean)
    elif family.name == "gaussian":
        squares = observed.within.sum() + (n * (observed.y - mean) ** 2).sum()
        state.dispersion = max(float(squares / n.sum()), 1e-12)
        variance = np.full(len(eta), state.dispersion)
    else:
        mean = np.maximum(mean, 1e-8)
        variance = mean
        if family.name == "negativebinomial":
            extra = (n * ((observed.y - mean) ** 2 - mean) / mean**2).sum() / n.sum()
            state.dispersion = float(np.clip(extra, 1e-3, 1e3))
            variance = mean + state.dispersion * mean**2
    return _Working((total - n * mean) * slope / variance, n * slope**2 / variance)


def _slope(eta: Floats, mean: Floats, link: Link) -> Floats:
    """Derivative of the mean by the linear predictor."""
    if link == "identity":
        return np.ones(len(eta))
    if link == "log":
        return np.maximum(mean, 1e-8)
    if link == "logit":
        return np.maximum(mean * (1 - mean), 1e-10)
    if link == "probit":
        density: Floats = np.exp(-0.5 * eta**2) / np.sqrt(2 * np.pi)
        return np.maximum(density, 1e-10)
    capped = np.minimum(eta, 30.0)
    slope: Floats = np.maximum(np.exp(capped - np.exp(capped)), 1e-10)
    return slope
