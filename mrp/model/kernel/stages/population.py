"""Stages of thresholds and coefficients, and of all priors but those of effects."""

from __future__ import annotations

import math

from numba import njit

from mrp.model.kernel.header import (
    ARGUMENTS,
    AT_ARGUMENTS,
    AT_BLOCKS,
    AT_CENTERED,
    AT_G,
    AT_G_JOINT,
    AT_G_PHI,
    AT_GAPS,
    AT_LOG_SD,
    AT_MEANS,
    AT_MOVED,
    AT_PHI,
    AT_PRIORS,
    AT_SD,
    AT_SHIFT,
    AT_TRANSFORM,
    AUXILIARY,
    BLOCKS,
    CAUCHY,
    EXPONENTIAL,
    FIELDS,
    GAMMA,
    GAPS,
    INNER,
    INTERCEPTS,
    INVERSE_GAMMA,
    LAPLACE,
    NORMAL,
    POPULATION,
    STRIDE,
    STUDENT_T,
    WIDTH,
)
from mrp.model.kernel.stages.arithmetic import after
from mrp.model.kernel.stages.loops import add, copy, dot, fill


def population(q, gradient, ints, index, floats, work):
    """Centred intercept or thresholds, and slopes: ``phi = shift + T q``."""
    p, phi, moved = ints[POPULATION], after(work, ints[AT_PHI]), after(work, ints[AT_MOVED])
    for i in range(p):
        moved[i] = dot(after(floats, ints[AT_TRANSFORM] + i * p), q, p)
        phi[i] = floats[ints[AT_SHIFT] + i] + moved[i]
    uncentre(phi, ints, floats, work)
    fill(after(work, ints[AT_G_JOINT]), 0.0, p)
    return 0.0


@njit(**INNER)
def uncentre(phi, ints, floats, work):
    """Uncentred intercepts or thresholds, and slopes, into c."""
    p = ints[POPULATION]
    copy(work, phi, p)
    for k in range(ints[INTERCEPTS]):  # their own means are zero
        work[k * ints[STRIDE]] -= dot(after(floats, ints[AT_MEANS] + k * p), phi, p)


@njit(**INNER)
def uncentre_backward(g_phi, ints, floats, work):
    """Begin the gradient by phi with that by c."""
    p, g = ints[POPULATION], after(work, ints[AT_G])
    copy(g_phi, g, p)
    for k in range(ints[INTERCEPTS]):
        add(g_phi, -g[k * ints[STRIDE]], after(floats, ints[AT_MEANS] + k * p), p)


def population_backward(q, gradient, ints, index, floats, work):
    """Carry the gradient by phi back to q."""
    p, g_phi, g = ints[POPULATION], after(work, ints[AT_G_PHI]), after(work, ints[AT_G_JOINT])
    for i in range(p):
        add(gradient, g_phi[i] + g[i], after(floats, ints[AT_TRANSFORM] + i * p), p)
    return 0.0


def rising(q, gradient, ints, index, floats, work):
    """Thresholds that rise from phi, which has the first and the gaps' logarithms; log Jacobian."""
    phi, gaps = after(work, ints[AT_PHI]), after(work, ints[AT_GAPS])
    centered = after(work, ints[AT_CENTERED])
    copy(centered, phi, ints[POPULATION])
    total = 0.0
    for k in range(ints[GAPS]):
        gaps[k] = math.exp(phi[k + 1])
        centered[k + 1] = centered[k] + gaps[k]
        total += phi[k + 1]
    uncentre(centered, ints, floats, work)
    return total


def rising_backward(q, gradient, ints, index, floats, work):
    """From the gradient by thresholds and gaps to that by phi."""
    g_phi, gaps = after(work, ints[AT_G_PHI]), after(work, ints[AT_GAPS])
    g_gaps = after(gaps, ints[GAPS])
    above = 0.0
    for k in range(ints[GAPS] - 1, -1, -1):
        above += g_phi[k + 1]
        g_phi[k + 1] = gaps[k] * (above + g_gaps[k]) + 1.0
    g_phi[0] += above
    return 0.0


def priors(q, gradient, ints, index, floats, work):
    """Priors: population-level, auxiliary, then each block's standard deviations."""
    p, phi, g_phi = ints[POPULATION], after(work, ints[AT_CENTERED]), after(work, ints[AT_G_PHI])
    uncentre_backward(g_phi, ints, floats, work)
    total, prior = 0.0, p
    for i in range(p):
        arguments = after(floats, ints[AT_ARGUMENTS] + ARGUMENTS * i)
        value, slope = _prior(ints[ints[AT_PRIORS] + i], phi[i], arguments)
        total += value
        g_phi[i] += slope
    if ints[AUXILIARY]:
        total += _positive_prior(q[p], gradient, p, prior, ints, floats)
        prior += 1
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        for k in range(block[WIDTH]):
            log_sd = work[block[AT_LOG_SD] + k]
            total += _positive_prior(log_sd, gradient, block[AT_SD] + k, prior, ints, floats)
            prior += 1
    return total


@njit(**INNER)
def _positive_prior(log_x, gradient, position, prior, ints, floats):
    """Prior of a positive parameter, with its logarithm's Jacobian; the slope by the logarithm."""
    x = math.exp(log_x)
    arguments = after(floats, ints[AT_ARGUMENTS] + ARGUMENTS * prior)
    value, slope = _prior(ints[ints[AT_PRIORS] + prior], x, arguments)
    gradient[position] += slope * x + 1.0
    return value + log_x


@njit(**INNER)
def _prior(code, x, a):
    """Log density (up to a constant) and its derivative."""
    if code == NORMAL:
        z = (x - a[0]) / a[1]
        return -0.5 * z * z, -z / a[1]
    if code == STUDENT_T:
        z = (x - a[1]) / a[2]
        tail = a[0] + z * z
        return -0.5 * (a[0] + 1.0) * math.log1p(z * z / a[0]), -(a[0] + 1.0) * z / (tail * a[2])
    if code == CAUCHY:
        z = (x - a[0]) / a[1]
        return -math.log1p(z * z), -2.0 * z / ((1.0 + z * z) * a[1])
    if code == LAPLACE:
        return -abs(x - a[0]) / a[1], (1.0 if x < a[0] else -1.0) / a[1]
    if code == EXPONENTIAL:
        return -a[0] * x, -a[0]
    if code == GAMMA:
        return (a[0] - 1.0) * math.log(x) - a[1] * x, (a[0] - 1.0) / x - a[1]
    if code == INVERSE_GAMMA:
        return -(a[0] + 1.0) * math.log(x) - a[1] / x, (a[1] / x - (a[0] + 1.0)) / x
    return 0.0, 0.0
