"""Stages of the likelihood: each puts its derivative by eta into the place of eta."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mrp.model.kernel.header import (
    AT_COUNTS,
    AT_ETA,
    AT_MEAN,
    AT_OUTCOME,
    AT_TOTALS,
    AT_TRIALS,
    BINARY,
    COUNTS,
    INNER,
    LINK,
    LOG,
    LOG_ROOT,
    POPULATION,
    ROWS,
)
from mrp.model.kernel.stages.arithmetic import after, fast_exp, fast_log1p, in_any_order
from mrp.model.kernel.stages.loops import copy, multiply


def successes_logit(q, gradient, ints, index, floats, work):
    """Successes out of trials, by their log odds."""
    n, eta = ints[BINARY], after(work, ints[AT_ETA])
    y, m = after(floats, ints[AT_OUTCOME]), after(floats, ints[AT_TRIALS])
    total = 0.0
    for i in range(n):
        h = eta[i]
        e = fast_exp(-abs(h))
        inverse = 1.0 / (1.0 + e)
        p = inverse if h >= 0.0 else e * inverse
        total = in_any_order(total, y[i] * h - m[i] * (max(h, 0.0) + fast_log1p(e)))
        eta[i] = y[i] - m[i] * p
    return total


def successes_probit(q, gradient, ints, index, floats, work):
    """Successes out of trials, by the normal distribution function."""
    n, eta = ints[BINARY], after(work, ints[AT_ETA])
    y, m = after(floats, ints[AT_OUTCOME]), after(floats, ints[AT_TRIALS])
    total = 0.0
    for i in range(n):
        log_p, up = log_ndtr(eta[i])
        log_q, down = log_ndtr(-eta[i])
        total += y[i] * log_p + (m[i] - y[i]) * log_q
        eta[i] = y[i] * up - (m[i] - y[i]) * down
    return total


@njit(**INNER)
def log_ndtr(x):
    """Log of the normal distribution function, and the density's ratio to it."""
    if x > -30.0:
        p = 0.5 * math.erfc(-x * 0.7071067811865476)
        return math.log(p), 0.3989422804014327 * math.exp(-0.5 * x * x) / p
    # the tail's continued fraction
    z = -x
    ratio = z + 1.0 / (z + 2.0 / (z + 3.0 / (z + 4.0 / (z + 5.0 / z))))
    return -0.5 * x * x - LOG_ROOT - math.log(ratio), ratio


def successes_cloglog(q, gradient, ints, index, floats, work):
    """Successes out of trials, by the logarithm of the rate of an event."""
    n, eta = ints[BINARY], after(work, ints[AT_ETA])
    y, m = after(floats, ints[AT_OUTCOME]), after(floats, ints[AT_TRIALS])
    total = 0.0
    for i in range(n):
        mean = math.exp(eta[i])
        failures = m[i] - y[i]
        residual = -failures * mean
        total += residual
        if y[i] > 0.0:
            p = -math.expm1(-mean)
            total += y[i] * math.log(p)
            residual += y[i] * mean * math.exp(-mean) / p if mean > 0.0 else y[i]
        eta[i] = residual
    return total


def poisson(q, gradient, ints, index, floats, work):
    """Counts."""
    n, eta = ints[ROWS], after(work, ints[AT_ETA])
    y, m = after(floats, ints[AT_OUTCOME]), after(floats, ints[AT_TRIALS])
    mean = _mean(ints, work)
    total = 0.0
    for i in range(n):
        if mean[i] < 0.0 or (mean[i] == 0.0 and y[i] > 0.0):
            return -np.inf
        total -= m[i] * mean[i]
        eta[i] = -m[i]
        if y[i] > 0.0:
            total += y[i] * math.log(mean[i])
            eta[i] += y[i] / mean[i]
    _by_predictor(ints, work)
    return total


def gaussian(q, gradient, ints, index, floats, work):
    """Measurements, by the means of rows and the squares within them."""
    n, eta = ints[ROWS], after(work, ints[AT_ETA])
    y, m = after(floats, ints[AT_OUTCOME]), after(floats, ints[AT_TRIALS])
    mean, raw = _mean(ints, work), q[ints[POPULATION]]
    respondents, squares = floats[ints[AT_TOTALS]], floats[ints[AT_TOTALS] + 1]
    scale = math.exp(-2.0 * raw)
    for i in range(n):
        difference = y[i] - mean[i]
        squares = in_any_order(squares, m[i] * difference * difference)
        eta[i] = m[i] * difference * scale
    gradient[ints[POPULATION]] += squares * scale - respondents
    _by_predictor(ints, work)
    return -respondents * raw - 0.5 * squares * scale


def negative_binomial(q, gradient, ints, index, floats, work):
    """Counts with mean mu and variance mu + mu^2 / alpha, each row `m` times."""
    n, eta = ints[ROWS], after(work, ints[AT_ETA])
    y, m = after(floats, ints[AT_OUTCOME]), after(floats, ints[AT_TRIALS])
    mean, raw = _mean(ints, work), q[ints[POPULATION]]
    alpha = math.exp(raw)
    total, d_alpha = 0.0, 0.0
    # the gamma functions depend on the outcome only: once for each distinct one
    counts, distinct = after(floats, ints[AT_COUNTS]), ints[COUNTS]
    for k in range(distinct):
        value, times = counts[k], counts[distinct + k]
        total += times * (math.lgamma(value + alpha) - math.lgamma(alpha))
        d_alpha += times * (_digamma(value + alpha) - _digamma(alpha))
    for i in range(n):
        if mean[i] < 0.0 or (mean[i] == 0.0 and y[i] > 0.0):
            return -np.inf
        log_odds = math.log1p(mean[i] / alpha)  # = log((alpha + mu) / alpha)
        total -= m[i] * (alpha + y[i]) * log_odds
        if y[i] > 0.0:
            total += m[i] * y[i] * (math.log(mean[i]) - raw)
        share = (y[i] - mean[i]) / (alpha + mean[i])
        d_alpha -= m[i] * (log_odds + share)
        eta[i] = m[i] * alpha * share / mean[i] if mean[i] > 0.0 else -m[i]
    gradient[ints[POPULATION]] += d_alpha * alpha
    _by_predictor(ints, work)
    return total


@njit(**INNER)
def _digamma(x):
    total = 0.0
    while x < 10.0:
        total -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132)))))
    return total + math.log(x) - 0.5 / x - series


@njit(**INNER)
def _mean(ints, work):
    """Mean of each row, for the log and the identity link."""
    n, eta, mean = ints[ROWS], after(work, ints[AT_ETA]), after(work, ints[AT_MEAN])
    if ints[LINK] == LOG:
        for i in range(n):
            mean[i] = fast_exp(eta[i])
    else:
        copy(mean, eta, n)
    return mean


@njit(**INNER)
def _by_predictor(ints, work):
    """From the derivative by the mean to that by the linear predictor."""
    if ints[LINK] == LOG:
        multiply(after(work, ints[AT_ETA]), after(work, ints[AT_MEAN]), ints[ROWS])
