"""Where least squares starts, and the score and information of each row's linear predictors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrp.design import Design
from mrp.levels import LevelParameters
from mrp.links import Link, complement, inverse
from mrp.model.collapse import Observed
from mrp.model.families import Family
from mrp.model.places import population_size
from mrp.model.predictors import reaching

Floats = NDArray[np.float64]

LEAST = 1e-10
"""Least probability of a level, and least density."""


@dataclass(frozen=True)
class Working:
    """Score and expected information of the linear predictors at some point.

    Parameters
    ----------
    score
        Derivative of the log likelihood by each linear predictor (m, predictors).
    weight
        By pairs of linear predictors the information about both (m,); pairs without any are left
        out.
    dispersion
        Estimate of the family's variance or overdispersion.
    """

    score: Floats
    weight: Mapping[tuple[int, int], Floats]
    dispersion: float = 1.0


def start(
    design: Design, observed: Observed, family: Family, link: Link, by_level: LevelParameters
) -> Floats:
    """Coefficients (p,): zero; thresholds or intercepts where the average outcome is."""
    phi = np.zeros(population_size(design, by_level))
    if not family.levels:
        if design.has_intercept:
            phi[0] = _average(observed, link)
        return phi
    respondents = observed.y.sum(axis=0, keepdims=True) + 0.5
    if by_level.thresholds:
        stopped = respondents[:, :-1] / reaching(respondents)
        below = respondents.cumsum(axis=1)[:, :-1] / respondents.sum()
        shares = below if by_level.rising else stopped
        phi[: by_level.thresholds] = [_linked(share, link) for share in shares[0]]
    elif design.has_intercept:
        phi[:: len(phi) // by_level.predictors] = np.log(respondents[0, 1:] / respondents[0, 0])
    return phi


def _average(observed: Observed, link: Link) -> float:
    if link in ("logit", "probit", "cloglog"):
        return _linked((observed.y.sum() + 0.5) / (observed.trials.sum() + 1.0), link)
    mean = float(observed.mean(observed.y[:, None])[0])
    return float(np.log(max(mean, 1e-3))) if link == "log" else mean


def _linked(p: float, link: Link) -> float:
    from scipy.special import ndtri

    by_link = {
        "logit": np.log(p / (1 - p)),
        "probit": ndtri(p),
        "cloglog": np.log(-np.log1p(-p)),
    }
    return float(by_link[link])


def working(eta: Floats, observed: Observed, family: Family, link: Link) -> Working:
    """Score and information at linear predictors (m, predictors)."""
    if family.name == "categorical":
        return _categorical(eta, observed.y)
    if family.name == "cumulative":
        return _cumulative(eta, observed.y, link)
    if family.name == "sratio":
        return _stopping_ratio(eta, observed.y[:, :-1], reaching(observed.y), link)
    return _one(eta[:, 0], observed, family, link)


def _one(eta: Floats, observed: Observed, family: Family, link: Link) -> Working:
    """Of an outcome with one linear predictor."""
    successes = family.name in ("bernoulli", "binomial")
    n = observed.trials if successes else observed.count
    mean = inverse(link)(eta.copy())
    slope = _slope(eta, mean, link)
    total = observed.y if successes or family.name == "poisson" else n * observed.y
    dispersion = 1.0
    if successes:
        mean = np.clip(mean, LEAST, 1 - LEAST)
        variance = mean * (1 - mean)
    elif family.name == "gaussian":
        squares = observed.within.sum() + (n * (observed.y - mean) ** 2).sum()
        dispersion = max(float(squares / n.sum()), 1e-12)
        variance = np.full(len(eta), dispersion)
    else:
        mean = np.maximum(mean, 1e-8)
        variance = mean
        if family.name == "negativebinomial":
            extra = (n * ((observed.y - mean) ** 2 - mean) / mean**2).sum() / n.sum()
            dispersion = float(np.clip(extra, 1e-3, 1e3))
            variance = mean + dispersion * mean**2
    score, weight = (total - n * mean) * slope / variance, n * slope**2 / variance
    return Working(score[:, None], {(0, 0): weight}, dispersion)


def _categorical(eta: Floats, y: Floats) -> Working:
    top = np.maximum(eta.max(axis=1, keepdims=True), 0.0)
    odds, respondents = np.exp(eta - top), y.sum(axis=1, keepdims=True)
    p = odds / (np.exp(-top) + odds.sum(axis=1, keepdims=True))
    expected, levels = respondents * p, range(p.shape[1])
    weight = {(j, k): expected[:, j] * ((j == k) - p[:, k]) for j in levels for k in levels}
    return Working(y[:, 1:] - expected, weight)


def _cumulative(z: Floats, y: Floats, link: Link) -> Working:
    """Of thresholds less the linear predictor."""
    below, density = inverse(link)(z.copy()), _density(z, link)
    edges = np.zeros((len(z), 1))
    p = np.maximum(np.diff(below, axis=1, prepend=edges, append=edges + 1.0), LEAST)
    respondents, ratio = y.sum(axis=1), y / p
    weight = {}
    for k in range(z.shape[1]):
        own = density[:, k] ** 2 * (1.0 / p[:, k] + 1.0 / p[:, k + 1])
        weight[k, k] = respondents * own
        if k:
            across = -respondents * density[:, k - 1] * density[:, k] / p[:, k]
            weight[k - 1, k] = weight[k, k - 1] = across
    return Working(density * (ratio[:, :-1] - ratio[:, 1:]), weight)


def _stopping_ratio(z: Floats, stopped: Floats, reached: Floats, link: Link) -> Working:
    """Of thresholds less the linear predictor; from who stops, and who gets there."""
    below = np.maximum(inverse(link)(z.copy()), LEAST)
    above, density = np.maximum(complement(link)(z.copy()), LEAST), _density(z, link)
    score = density * (stopped / below - (reached - stopped) / above)
    information = reached * density**2 / (below * above)
    return Working(score, {(k, k): information[:, k] for k in range(z.shape[1])})


def _density(z: Floats, link: Link) -> Floats:
    return _slope(z, inverse(link)(z.copy()), link)


def _slope(eta: Floats, mean: Floats, link: Link) -> Floats:
    """Derivative of the mean by the linear predictor."""
    if link == "identity":
        return np.ones(eta.shape)
    if link == "log":
        return np.maximum(mean, 1e-8)
    if link == "logit":
        return np.maximum(mean * (1 - mean), LEAST)
    if link == "probit":
        density: Floats = np.exp(-0.5 * eta**2) / np.sqrt(2 * np.pi)
        return np.maximum(density, LEAST)
    capped = np.minimum(eta, 30.0)
    slope: Floats = np.maximum(np.exp(capped - np.exp(capped)), LEAST)
    return slope
