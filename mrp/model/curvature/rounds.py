"""Rounds of penalised weighted least squares: about where a model's posterior is.

Breslow and Clayton (1993, doi:10.1080/01621459.1993.10594284), for the coefficients and effects
together; between two of them, the covariances of the effects take some steps of the EM algorithm,
in which the effects' spread is that of all coefficients and effects at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mrp.design import Design
from mrp.levels import LevelParameters
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.curvature.columns import Columns, Information, columns_of
from mrp.model.curvature.factor import Factor, positions
from mrp.model.curvature.working import Working, start, working
from mrp.model.families import Family
from mrp.model.places import Place, places_of
from mrp.model.priors import Prior, Priors

Floats = NDArray[np.float64]

ROUNDS, STEPS = 12, 4
"""Rounds of least squares at most, and steps of the covariances in each."""
SETTLED = 0.5
"""Largest change of a linear predictor in the last round of a search that has settled."""
STILL, STILL_SD = 0.01, 0.02
"""Changes of linear predictors, and relative ones of standard deviations, that end the rounds."""
LARGEST_STEP = 5.0
"""Largest change of a linear predictor in one round, of links that bend."""
HALVES = 6
"""How often a step is halved, at most, until the density is less steep after it."""
FIRST_SD, SMALLEST_SD = 0.5, 0.05
"""Standard deviations of effects to begin with, and the least ones, in units of linear predictors
(of the outcome's standard deviation where the link is the identity)."""
LEAST_GAP, LEAST_KEPT = 1e-3, 0.1
"""Least gap between thresholds that rise, and least share of it that is left after one round."""


@dataclass(frozen=True)
class Fitted:
    """Where the rounds ended.

    Parameters
    ----------
    x
        Coefficients and effects, in the order of `mrp.model.places`.
    covariances
        For each block the covariance of a group's effects (width, width).
    working
        Score and information of the linear predictors there.
    information
        Information about x, with the precisions of the priors of population-level coefficients.
    score
        Derivative by x of the log likelihood and of those priors.
    unsettled
        Position of a coefficient that was still running away; None if all had settled.
    """

    x: Floats
    covariances: list[Floats]
    working: Working
    information: Information
    score: Floats
    unsettled: int | None


@dataclass(frozen=True)
class Problem:
    """A model as least squares sees it.

    Parameters
    ----------
    observed, family, link, by_level
        The outcome, and how its mean follows from linear predictors.
    columns, places
        The columns of coefficients and effects, and where the blocks are.
    precision, location
        About how strongly, and to where, priors pull the population-level coefficients (p,).
    scale
        For each block the unit of its effects' standard deviations (width,).
    """

    observed: Observed
    family: Family
    link: Link
    by_level: LevelParameters
    columns: Columns
    places: tuple[Place, ...]
    precision: Floats
    location: Floats
    scale: tuple[Floats, ...]

    def working(self, x: Floats) -> Working:
        """Score and information of the linear predictors at coefficients and effects x."""
        return working(self.columns.predictors(x), self.observed, self.family, self.link)

    def score(self, x: Floats, around: Working) -> Floats:
        """Derivative by x of the log likelihood and of the coefficients' priors."""
        score, p = self.columns.gradient(around), len(self.precision)
        score[:p] -= self.precision * (x[:p] - self.location)
        return score

    def at(self, x: Floats, covariances: list[Floats]) -> Fitted:
        """Score and information about coefficients and effects x."""
        around = self.working(x)
        information = self.columns.information(around)
        information.population[np.diag_indices(len(self.precision))] += self.precision
        return Fitted(x, covariances, around, information, self.score(x, around), None)


def problem_of(
    design: Design,
    observed: Observed,
    priors: Priors,
    family: Family,
    link: Link,
    by_level: LevelParameters,
    means: Floats,
) -> tuple[Problem, Floats]:
    """A model as least squares, and the coefficients and effects to begin with.

    `means` are those of the population-level columns, which are centred by them.
    """
    places, _, size = places_of(design, family, by_level)
    columns = columns_of(design, observed.rows, places, by_level, means)
    precision, location = _prior_precision(design, priors, by_level)
    phi = start(design, observed, family, link, by_level)
    x = np.concatenate([phi, np.zeros(size - len(phi))])
    unit = 1.0
    if link == "identity":
        unit = float(np.sqrt(working(columns.predictors(x), observed, family, link).dispersion))
    scale = tuple(_scale_of(observed, place, unit) for place in places)
    parts = (observed, family, link, by_level, columns, places, precision, location, scale)
    return Problem(*parts), x


def _scale_of(observed: Observed, place: Place, unit: float) -> Floats:
    """Standard deviations of effects that move a linear predictor by `unit`."""
    columns = observed.rows.effects(place.block)
    counts = np.maximum((columns != 0).sum(axis=0), 1)
    size = np.sqrt((columns**2).sum(axis=0) / counts)
    size[~(size > 0)] = 1.0
    return np.tile(unit / size, place.predictors)


def settle(problem: Problem, x: Floats) -> Fitted:
    """Where the density of coefficients and effects, and about that of covariances, is highest."""
    covariances = [np.diag((FIRST_SD * scale) ** 2) for scale in problem.scale]
    now = problem.at(x, covariances)
    for _ in range(ROUNDS):
        x, covariances = _next(problem, now)
        moved = x - now.x
        there = problem.at(x, covariances)
        change = _change(problem, moved)
        unsettled = _running_away(problem, moved) if change >= SETTLED else None
        drift = _drift(now.covariances, covariances)
        now = replace(there, unsettled=unsettled)
        if change < STILL and drift < STILL_SD:
            break
    return now


def _next(problem: Problem, now: Fitted) -> tuple[Floats, list[Floats]]:
    """Coefficients and effects after a round, covariances after some steps at its weights."""
    covariances = now.covariances
    pull = now.score + now.information.times(now.x)
    for _ in range(STEPS):
        precisions = [np.linalg.inv(covariance) for covariance in covariances]
        factor = Factor(now.information, precisions, problem.places)
        if factor.is_dense:
            x, spreads = factor.solve(pull), factor.inverse_blocks()
        else:
            x, spreads = factor.solve_roughly(pull, now.x), factor.conditional_blocks()
        covariances = [
            _floored(_second_moment(x[positions(place)], spread, place), scale)
            for place, spread, scale in zip(problem.places, spreads, problem.scale, strict=True)
        ]
        if not problem.places:
            break
    x = _damped(problem, now, x - now.x, covariances)
    return x, covariances


def _damped(problem: Problem, now: Fitted, step: Floats, covariances: list[Floats]) -> Floats:
    """Coefficients and effects after a step, or a part of it after which the slope is less."""
    p = len(problem.precision)
    if problem.link != "identity":
        change = problem.columns.predictors(now.x + step) - problem.columns.predictors(now.x)
        step = step * min(1.0, LARGEST_STEP / np.abs(change).max(initial=LARGEST_STEP))
    precisions = [np.linalg.inv(covariance) for covariance in covariances]
    scale = now.information.diagonal()
    before = _slope(problem, now.x, now.score, scale, precisions)
    for _ in range(HALVES):
        x = now.x + step
        x[:p] = _risen(now.x[:p], x[:p], problem.by_level)
        score = problem.score(x, problem.working(x))
        if _slope(problem, x, score, scale, precisions) <= before:
            break
        step = 0.5 * step
    return x


def _slope(
    problem: Problem, x: Floats, score: Floats, scale: Floats, precisions: Sequence[Floats]
) -> float:
    """Squared length of the penalised score, each part relative to its information."""
    pull, weight = score.copy(), scale.copy()
    for place, precision in zip(problem.places, precisions, strict=True):
        at = positions(place)
        pull[at] -= x[at] @ precision
        weight[at] += np.diag(precision)
    return float((pull**2 / np.maximum(weight, 1e-300)).sum())


def _second_moment(u: Floats, spread: Floats, place: Place) -> Floats:
    """Mean over groups of the effects' squares, of those that may be correlated."""
    found: Floats = (u[:, :, None] * u[:, None, :] + spread).mean(axis=0)
    together = np.ones((place.together, place.together))
    return found * np.kron(np.eye(place.width // place.together), together)


def _floored(covariance: Floats, scale: Floats) -> Floats:
    """The covariance with standard deviations and correlations kept off their boundaries."""
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    tamed = 0.95 * correlation + 0.05 * np.eye(len(sd))
    sd = np.maximum(sd, SMALLEST_SD * scale)
    return np.asarray(tamed * np.outer(sd, sd))


def _change(problem: Problem, step: Floats) -> float:
    """Largest change of a linear predictor by the population-level coefficients."""
    phi = step[: len(problem.precision)]
    change = np.abs(problem.columns.population.times(phi)).max(initial=0.0)
    return float(change) if np.isfinite(change) else np.inf


def _running_away(problem: Problem, step: Floats) -> int:
    """The population-level coefficient that moved linear predictors most."""
    population = problem.columns.population
    spread = np.zeros(population.size)
    for columns, at in zip(population.columns, population.at, strict=True):
        spread[at] = columns.std(axis=0)
    return int(np.argmax(np.abs(step[: population.size]) * spread))


def _drift(before: Sequence[Floats], after: Sequence[Floats]) -> float:
    """Largest relative change of a standard deviation."""
    changes = [
        np.abs(np.sqrt(np.diag(new) / np.diag(old)) - 1.0).max()
        for old, new in zip(before, after, strict=True)
    ]
    return float(max(changes, default=0.0))


def _risen(before: Floats, after: Floats, by_level: LevelParameters) -> Floats:
    """Coefficients after a round, with thresholds that still rise where they must."""
    if by_level.rising:
        least = np.maximum(LEAST_KEPT * np.diff(before[: by_level.thresholds]), LEAST_GAP)
        gaps = np.maximum(np.diff(after[: by_level.thresholds]), least)
        after[1 : by_level.thresholds] = after[0] + gaps.cumsum()
    return after


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
