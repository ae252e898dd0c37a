"""A good geometry for a model: which effects go with the coefficients, and what to scale them by.

Nothing here touches the posterior; a poor choice makes a sampler slower, not wrong. See `joint` for
what is done with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mrp.design import Design
from mrp.levels import NO_LEVELS, LevelParameters
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.curvature.columns import Information
from mrp.model.curvature.factor import flat, group_blocks, positions
from mrp.model.curvature.rounds import Fitted, Problem, problem_of, settle
from mrp.model.families import Family
from mrp.model.kernel.layout import Conditional, Geometry, log_sd, plain_geometry, population_means
from mrp.model.places import Place, places_of
from mrp.model.priors import Priors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST_JOINT = 400
"""Coefficients and effects that are sampled jointly, at most: the work grows with their cube."""
MOST_SLOPES = 4_000_000
"""Numbers that say how other effects follow the joint block, at most: each gradient reads them."""
FEW_GROUPS = 30
"""Groups up to which a factor's effects are always sampled jointly with the coefficients: so few
leave their standard deviation uncertain, and with it the coefficients' own scale."""
RIDGE, TINY = 1e-8, 1e-12
"""What is added to the coefficients' information, as a share of the largest one and at least."""
LEAST_HELD = 1e-12
"""Least information about a direction of the coefficients that is more than rounding, where each
coefficient has one."""
AT_START, BEND = 0.5, 1.0
"""Where sampling starts with each standard deviation, and how far lower ones are bent."""
LEAST_SHARE = 1e-3
"""Least share of its information that a direction of the coefficients keeps after the effects."""


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

    Returns
    -------
    The geometry; the plain one where the search for another fails.
    """
    means = population_means(design, observed, priors, by_level)
    problem, x = problem_of(design, observed, priors, family, link, by_level, means)
    try:
        with threadpool_limits(limits=1, user_api="blas"):  # matrices are small
            return _around(settle(problem, x), problem, design, family)
    except np.linalg.LinAlgError:  # numbers without an end: sampling says so, if it can't start
        return plain_geometry(design, family, by_level)


def _around(fitted: Fitted, problem: Problem, design: Design, family: Family) -> Geometry:
    """The geometry around where the search ended."""
    p, by_level = len(problem.precision), problem.by_level
    shift, information, score = _by_gaps(fitted, p, by_level)
    joint = _joint_blocks(problem.places, p)
    others = [b for b in range(len(problem.places)) if b not in joint]
    left = np.concatenate([*(positions(problem.places[b]).T.ravel() for b in joint), np.arange(p)])
    curvature = _curvature(information, left, p)
    counted = float(max(1, len(others)))
    conditional = {
        b: _conditional(problem.places[b], information, score, fitted.x, left, p, counted)
        for b in others
    }
    centre = fitted.x[left]
    centre[len(left) - p :] = 0.0
    absorbed = sum(
        (_absorbed(block, fitted.covariances[b]) for b, block in conditional.items()),
        np.zeros_like(curvature),
    )
    marginal = curvature - absorbed
    return Geometry(
        shift=shift,
        transform=np.zeros((0, 0)) if joint else _whitening(curvature, marginal),
        joint=tuple(joint),
        curvature=marginal,
        score=score[left],
        centre=centre,
        conditional=conditional,
        bends=tuple(_bends(covariance) for covariance in fitted.covariances),
        start=_starting_point(design, family, by_level, fitted),
        unsettled=fitted.unsettled,
        flat=_is_flat(fitted.information.population),
    )


def _is_flat(information: Floats) -> bool:
    """Whether neither respondents nor priors hold the coefficients along some direction."""
    scale = np.sqrt(np.maximum(np.diag(information), np.finfo(float).tiny))
    scaled = information / np.outer(scale, scale)
    if not len(scaled) or not np.isfinite(scaled).all():
        return False
    return bool(np.linalg.eigvalsh(scaled)[0] < LEAST_HELD)


def _joint_blocks(places: Sequence[Place], p: int) -> list[int]:
    """Blocks that are sampled jointly with the coefficients, those with most effects first.

    All but the one with most effects, unless it has few groups, and as far as there is room: what
    the others' groups say is taken into account group by group, for less.
    """
    sizes = [place.width * place.groups for place in places]
    joint = sorted(range(len(places)), key=lambda b: -sizes[b])
    if joint and places[joint[0]].groups > FEW_GROUPS:
        joint = joint[1:]
    while joint:
        n = p + sum(sizes[b] for b in joint)
        if n <= LARGEST_JOINT and n * (p + sum(sizes) - n) <= MOST_SLOPES:
            break
        joint = joint[1:]
    return joint


def _by_gaps(
    fitted: Fitted, p: int, by_level: LevelParameters
) -> tuple[Floats, Information, Floats]:
    """Coefficients, information and score with logarithms of gaps for thresholds that rise.

    The Jacobian adds to the information: a gap with n respondents has about the likelihood
    ``gap^n exp(-c gap)``, and its logarithm the information n + 1 where its density is highest.
    """
    phi, information, score = fitted.x[:p], fitted.information, fitted.score
    if not by_level.rising:
        return phi.copy(), information, score
    count = by_level.thresholds
    gaps = np.diff(phi[:count])
    shift, jacobian, extra = phi.copy(), np.eye(p), np.zeros(p)
    shift[1:count], extra[1:count] = np.log(gaps), 1.0
    jacobian[:count, :count] = np.tril(np.ones((count, count))) * np.array([1.0, *gaps])
    made = Information(
        jacobian.T @ information.population @ jacobian + np.diag(extra),
        information.across @ jacobian,
        information.effects,
    )
    return shift, made, np.concatenate([jacobian.T @ score[:p], score[p:]])


def _curvature(information: Information, left: Ints, p: int) -> Floats:
    """Information about joint effects and coefficients, with a ridge."""
    effects = left[: len(left) - p] - p
    result = np.zeros((len(left), len(left)))
    n = len(effects)
    result[:n, :n] = information.effects[effects][:, effects].toarray()
    result[:n, n:] = information.across[effects]
    result[n:, :n] = result[:n, n:].T
    result[n:, n:] = information.population
    ridge = RIDGE * information.population.diagonal().max(initial=0.0) + TINY
    result[n:, n:] += ridge * np.eye(p)
    return result


def _conditional(
    place: Place,
    information: Information,
    score: Floats,
    x: Floats,
    left: Ints,
    p: int,
    counted: float,
) -> Conditional:
    """What the groups of a block say of their effects, given the joint block.

    The information counts so many times. With several such blocks, each leaves the others out of
    account; counted as often as there are blocks, what is left is more than what there is, so that
    the whole stays a precision.
    """
    at = positions(place)
    rows = information.effects[at.ravel() - p]
    slope = np.hstack(
        [rows[:, left[: len(left) - p] - p].toarray(), information.across[at.ravel() - p]]
    ).reshape(*at.shape, len(left))
    own = counted * group_blocks(information.effects, at - p)
    return Conditional(own, score[at] + np.einsum("gij,gj->gi", own, x[at]), slope)


def _absorbed(block: Conditional, covariance: Floats) -> Floats:
    """Information about the joint block that is lost when the block's effects are unknown."""
    spread = np.linalg.inv(block.information + np.linalg.inv(covariance))
    pulled = spread @ block.slope
    return np.asarray(flat(block.slope).T @ flat(pulled))


def _bends(covariance: Floats) -> Floats:
    """How logarithms of standard deviations follow from q, so that they start at those found."""
    none = np.array([[0.0, BEND]])
    least = 0.5 * np.log(np.diag(covariance)) - log_sd(np.array([AT_START]), none)
    return np.column_stack([least, np.full(len(covariance), BEND)])


def _starting_point(
    design: Design, family: Family, by_level: LevelParameters, fitted: Fitted
) -> Floats:
    """The point q where the rounds ended: all zero but for the logarithms of scales."""
    places, dim, _ = places_of(design, family, by_level)
    point = np.zeros(dim)
    auxiliary = places[0].sd - 1 if places else dim - 1
    if family.auxiliary == "sigma":
        point[auxiliary] = 0.5 * np.log(fitted.working.dispersion)
    elif family.auxiliary == "alpha":
        point[auxiliary] = -np.log(fitted.working.dispersion)
    for place in places:
        point[place.sd : place.sd + place.width] = AT_START
    return point


def _whitening(information: Floats, marginal: Floats) -> Floats:
    """A matrix T such that ``phi = shift + T q`` has about unit covariance in q.

    `marginal` is the information left when the effects are integrated out; every direction keeps
    `LEAST_SHARE` of it.
    """
    if not len(information):
        return information
    inverse = np.linalg.inv(np.linalg.cholesky(information))
    share, vectors = np.linalg.eigh(inverse @ marginal @ inverse.T)
    result: Floats = inverse.T @ (vectors / np.sqrt(np.clip(share, LEAST_SHARE, None)))
    return result
