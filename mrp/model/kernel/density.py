"""Log posterior density and gradient, for any model that `layout.pack` describes.

With the unconstrained parameters q of one draw, one pass computes

    sd = exp(q_sd), E = diag(sd) L, L = Cholesky factor from partial correlations tanh(q / 2)
    U_g U_g' = (E E')^-1 + I_g
    phi = shift + T q_population                       (centred intercepts, slopes)
    u_g = U_g^-T (U_g^-1 t_g + v_g),  t_g = h_g - C_g (phi - shift)
    eta_i = offset_i + sum over parts of (M c)[index_i],  c = (phi uncentred, all u)

then the likelihood of eta, and the same steps backwards. M holds the distinct rows of each part, so
that a respondent costs one look-up per part in each direction.

Outcomes with levels need little more (`predictors`): the thresholds between ordered levels are
intercepts, and a respondent has a row for each linear predictor that matters. Thresholds that rise
are the first one and the logarithms of the gaps in phi. The effects that a group has on several
linear predictors are one block, whose correlations are zero between them.

The fourth line is what makes sampling easy. Given sd and L, the effects of a group have about the
precision U U' and the mean (U U')^-1 t_g in the posterior, if I_g is the information that the
group's respondents carry about them and h_g - C_g (phi - shift) their score. So v_g is about
standard normal whatever sd and L are: where a group has no respondents (I = h = C = 0) this is the
non-centred parameterisation, where it has many the centred one, with every stage in between, group
by group. Any I, h and C give the same posterior; `geometry` chooses them.

Each step is a stage: a C function of the same six pointers, which returns its part of the density.
A model names its stages by address (`data_of`), and only those are compiled, each by itself. One
function that calls everything would be optimised again at every level of calls, and take three
times as long to compile.

Stages share one piece of memory (`work`), which the entry points allocate. Small matrices lie row
by row; what each group has lies group after group, so that every step runs over all groups at once.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from mrp.model.kernel.arithmetic import (
    after,
    allocate,
    fast_exp,
    fast_log,
    fast_log1p,
    in_any_order,
    release,
    run_stage,
    to_doubles,
    to_ints,
    to_longs,
)
from mrp.model.kernel.machine_code import compiled

# Positions in the header, which is the beginning of the array of 64-bit integers.
(
    DIM,
    ROWS,
    FAMILY,
    LINK,
    POPULATION,
    INTERCEPTS,
    STRIDE,
    PREDICTORS,
    GAPS,
    BINARY,
    AUXILIARY,
    BLOCKS,
    PARTS,
    RUNS,
    DISTINCT,
    COEFFICIENTS,
    AT_BLOCKS,
    AT_PRIORS,
    AT_RUN_ENDS,
    AT_INDEX,
    AT_ROW_ENDS,
    AT_COLUMNS,
    AT_MATRIX,
    AT_OUTCOME,
    AT_TRIALS,
    AT_OFFSET,
    AT_SHIFT,
    AT_TRANSFORM,
    FOLLOWED,
    AT_CURVATURE,
    AT_MEANS,
    AT_ARGUMENTS,
    AT_TOTALS,
    AT_COUNTS,
    COUNTS,
    WORK,
    AT_G,
    AT_PHI,
    AT_CENTERED,
    AT_G_PHI,
    AT_GAPS,
    AT_VALUES,
    AT_ETA,
    AT_MEAN,
    AT_FOLLOWED,
    HEADER,
) = range(46)

# Fields of a block's description.
(
    WIDTH,
    GROUPS,
    TOGETHER,
    AT_SD,
    AT_PARTIAL,
    AT_EFFECT,
    AT_COEFFICIENT,
    AT_SHAPE,
    AT_INFORMATION,
    AT_SCORE,
    AT_SLOPE,
    AT_SCRATCH,
    FIELDS,
) = range(13)

# A block's matrices (width, width) at the beginning of its piece of `work`; `G_` marks gradients.
FACTOR, PARTIAL, REMAINING, ROOT, PRECISION, G_PRECISION, G_ROOT, G_FACTOR, MATRICES = range(9)

SUCCESSES, POISSON, GAUSSIAN, NEGATIVE_BINOMIAL, CATEGORICAL, CUMULATIVE = range(6)
IDENTITY, LOG, LOGIT, PROBIT, CLOGLOG = range(5)
FLAT, NORMAL, STUDENT_T, CAUCHY, LAPLACE, EXPONENTIAL, GAMMA, INVERSE_GAMMA = range(8)
ARGUMENTS = 3

LOG_ROOT = 0.9189385332046727
"""Logarithm of the square root of 2 pi."""

EXACT = {"contract"}
"""Flags for arithmetic: `fast_exp` needs its roundings to stay where they are."""
SUMS = {"contract", "reassoc", "nsz"}
"""Flags for sums, whose order is free."""
OPTIONS = {"error_model": "numpy", "fastmath": EXACT}
INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of functions that only other compiled functions call."""


def lay_out_work(ints: NDArray[np.int64], blocks: Sequence[list[int]]) -> None:
    """Give everything that a draw needs its place in `work`; the coefficients c begin it."""
    population, coefficients, n = ints[POPULATION], ints[COEFFICIENTS], ints[ROWS]
    size = coefficients
    for position, length in (
        (AT_G, coefficients),
        (AT_PHI, population),
        (AT_G_PHI, population),
        (AT_GAPS, 2 * ints[GAPS]),
        (AT_VALUES, ints[DISTINCT]),
        (AT_ETA, n),
        (AT_MEAN, 2 * n if ints[FAMILY] == CATEGORICAL else n),
    ):
        ints[position], size = size, size + length
    ints[AT_CENTERED] = ints[AT_PHI]
    if ints[GAPS]:
        ints[AT_CENTERED], size = size, size + population
    for block in blocks:
        width, groups = block[WIDTH], block[GROUPS]
        # matrices, U^-1, s, w and a (width, width, groups) to work in
        block[AT_SCRATCH] = size
        size += MATRICES * width * width + 2 * width * (width + 1) * groups
    if ints[FOLLOWED] >= 0:
        width, groups = blocks[ints[FOLLOWED]][WIDTH], blocks[ints[FOLLOWED]][GROUPS]
        ints[AT_FOLLOWED] = size
        size += 4 * population * population + width * (population + 1) * groups
    ints[WORK] = size


# --- loops over all groups or rows ----------------------------------------------------------------


@njit(**INNER)
def _fill(x, value, n):
    for i in range(n):
        x[i] = value


@njit(**INNER)
def _copy(x, a, n):
    for i in range(n):
        x[i] = a[i]


@njit(**INNER)
def _multiply(x, a, n):
    """x = x * a."""
    for i in range(n):
        x[i] *= a[i]


@njit(**INNER)
def _divide(x, value, n):
    """x = x / value."""
    for i in range(n):
        x[i] /= value


@njit(**INNER)
def _add(x, factor, a, n):
    """x = x + factor a."""
    for i in range(n):
        x[i] += factor * a[i]


@njit(**INNER)
def _add_product(x, factor, a, b, n):
    """x = x + factor a b."""
    for i in range(n):
        x[i] += factor * a[i] * b[i]


@njit(**{**INNER, "fastmath": SUMS})
def _dot(a, b, n):
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@njit(**INNER)
def _sum_of_logs(a, n):
    total = 0.0
    for i in range(n):
        total = in_any_order(total, fast_log(a[i]))
    return total


# --- population-level coefficients ----------------------------------------------------------------


def _population(q, gradient, ints, index, floats, work):
    """Centred intercept or thresholds, and slopes, from q."""
    p, phi = ints[POPULATION], after(work, ints[AT_PHI])
    for i in range(p):
        row = after(floats, ints[AT_TRANSFORM] + i * p)
        phi[i] = floats[ints[AT_SHIFT] + i] + _dot(row, q, p)
    _uncentre(phi, ints, floats, work)
    return 0.0


@njit(**INNER)
def _uncentre(phi, ints, floats, work):
    """Uncentred intercepts or thresholds, and slopes, into c."""
    p = ints[POPULATION]
    _copy(work, phi, p)
    for k in range(ints[INTERCEPTS]):  # their own means are zero
        work[k * ints[STRIDE]] -= _dot(after(floats, ints[AT_MEANS] + k * p), phi, p)


@njit(**INNER)
def _uncentre_backward(g_phi, ints, floats, work):
    """Begin the gradient by phi with that by c."""
    p, g = ints[POPULATION], after(work, ints[AT_G])
    _copy(g_phi, g, p)
    for k in range(ints[INTERCEPTS]):
        _add(g_phi, -g[k * ints[STRIDE]], after(floats, ints[AT_MEANS] + k * p), p)


def _population_backward(q, gradient, ints, index, floats, work):
    """Carry the gradient by phi back to q."""
    p, g_phi = ints[POPULATION], after(work, ints[AT_G_PHI])
    for i in range(p):
        _add(gradient, g_phi[i], after(floats, ints[AT_TRANSFORM] + i * p), p)
    return 0.0


def _following(q, gradient, ints, index, floats, work):
    """phi = shift + U^-T q, whose scale follows a block's; log Jacobian.

    U U' = H - sum_g C_g' (precision + I_g)^-1 C_g is the precision of phi given sd and L.
    H is the information about phi with the effects of this block fixed, the others integrated out.
    """
    p, phi, upper = ints[POPULATION], after(work, ints[AT_PHI]), after(work, ints[AT_FOLLOWED])
    block = after(ints, ints[AT_BLOCKS] + FIELDS * ints[FOLLOWED])
    width, groups = block[WIDTH], block[GROUPS]
    inverse = after(work, block[AT_SCRATCH] + MATRICES * width * width)
    slope, curvature = after(floats, block[AT_SLOPE]), after(floats, ints[AT_CURVATURE])
    scaled = after(upper, 4 * p * p + width * groups)  # U_g^-1 C_g
    _fill(scaled, 0.0, width * p * groups)
    for k in range(width):
        for m in range(k, width):
            for j in range(p):
                _add_product(
                    after(scaled, (j * width + k) * groups),
                    1.0,
                    after(slope, (j * width + m) * groups),
                    after(inverse, (k * width + m) * groups),
                    groups,
                )
    length = width * groups
    for j in range(p - 1, -1, -1):
        for i in range(j, -1, -1):
            value = curvature[i * p + j]
            value -= _dot(after(scaled, i * length), after(scaled, j * length), length)
            right = j + 1
            rest = after(upper, j * p + right)
            value -= _dot(after(upper, i * p + right), rest, p - right)
            upper[i * p + j] = math.sqrt(value) if i == j else value / upper[j * p + j]
    total = 0.0
    for i in range(p):
        value = q[i]
        for k in range(i):
            value -= upper[k * p + i] * phi[k]
        phi[i] = value / upper[i * p + i]
        total -= math.log(upper[i * p + i])
    _add(phi, 1.0, after(floats, ints[AT_SHIFT]), p)
    _uncentre(phi, ints, floats, work)
    return total


def _following_backward(q, gradient, ints, index, floats, work):
    """Carry the gradient by phi back to q, and to the precision of the effects that scale it."""
    p, shift = ints[POPULATION], after(floats, ints[AT_SHIFT])
    phi, g_phi = after(work, ints[AT_PHI]), after(work, ints[AT_G_PHI])
    block = after(ints, ints[AT_BLOCKS] + FIELDS * ints[FOLLOWED])
    width, groups = block[WIDTH], block[GROUPS]
    matrices = after(work, block[AT_SCRATCH])
    inverse = after(matrices, MATRICES * width * width)
    g_precision = after(matrices, G_PRECISION * width * width)
    upper = after(work, ints[AT_FOLLOWED])
    g_upper, square = after(upper, p * p), after(upper, 2 * p * p)
    g_curvature = after(upper, 3 * p * p)
    moved, length = after(upper, 4 * p * p), width * groups
    scaled = after(moved, length)

    for i in range(p - 1, -1, -1):
        for k in range(i + 1, p):
            g_phi[i] -= upper[i * p + k] * g_phi[k]
        g_phi[i] /= upper[i * p + i]
    for i in range(p):
        gradient[i] += g_phi[i]
        for j in range(i, p):
            g_upper[i * p + j] = -(phi[i] - shift[i]) * g_phi[j]
        g_upper[i * p + i] -= 1.0 / upper[i * p + i]
    _root_backward(upper, g_upper, square, g_curvature, p)

    for k in range(width - 1, -1, -1):  # scaled = U_g^-T scaled = (precision + I_g)^-1 C_g
        for j in range(p):
            own = after(scaled, (j * width + k) * groups)
            _multiply(own, after(inverse, (k * width + k) * groups), groups)
            for m in range(k):
                above = after(inverse, (m * width + k) * groups)
                _add_product(own, 1.0, after(scaled, (j * width + m) * groups), above, groups)
    for j in range(p):
        _fill(moved, 0.0, length)
        for i in range(p):
            _add(moved, g_curvature[i * p + j], after(scaled, i * length), length)
        for k in range(width):
            for m in range(width):
                other = after(scaled, (j * width + m) * groups)
                g_precision[k * width + m] += _dot(after(moved, k * groups), other, groups)
    return 0.0


@njit(**INNER)
def _root_backward(upper, g_upper, work, g_square, n):
    """Gradient by a symmetric matrix, given that by its upper root U.

    With Phi the upper triangle, its diagonal halved: sym(U^-T Phi(U' g) U^-1).
    """
    _fill(work, 0.0, n * n)
    for i in range(n):
        at = i * n + i
        for k in range(i + 1):
            _add(after(work, at), upper[k * n + i], after(g_upper, k * n + i), n - i)
        work[at] *= 0.5
    for i in range(n):  # U^-T from the left
        own = after(work, i * n)
        for k in range(i):
            _add(own, -upper[k * n + i], after(work, k * n), n)
        _divide(own, upper[i * n + i], n)
    for i in range(n):  # U^-1 from the right
        own = after(work, i * n)
        for k in range(n):
            own[k] /= upper[k * n + k]
            right = k + 1
            _add(after(own, right), -own[k], after(upper, k * n + right), n - right)
    for i in range(n):
        for j in range(n):
            g_square[i * n + j] = 0.5 * (work[i * n + j] + work[j * n + i])


def _rising(q, gradient, ints, index, floats, work):
    """Thresholds that rise from phi, which has the first and the gaps' logarithms; log Jacobian."""
    phi, gaps = after(work, ints[AT_PHI]), after(work, ints[AT_GAPS])
    centered = after(work, ints[AT_CENTERED])
    _copy(centered, phi, ints[POPULATION])
    total = 0.0
    for k in range(ints[GAPS]):
        gaps[k] = math.exp(phi[k + 1])
        centered[k + 1] = centered[k] + gaps[k]
        total += phi[k + 1]
    _uncentre(centered, ints, floats, work)
    return total


def _rising_backward(q, gradient, ints, index, floats, work):
    """From the gradient by thresholds and gaps to that by phi."""
    g_phi, gaps = after(work, ints[AT_G_PHI]), after(work, ints[AT_GAPS])
    g_gaps = after(gaps, ints[GAPS])
    above = 0.0
    for k in range(ints[GAPS] - 1, -1, -1):
        above += g_phi[k + 1]
        g_phi[k + 1] = gaps[k] * (above + g_gaps[k]) + 1.0
    g_phi[0] += above
    return 0.0


# --- priors ---------------------------------------------------------------------------------------


def _priors(q, gradient, ints, index, floats, work):
    """Priors: population-level, auxiliary, then each block's standard deviations."""
    p, phi, g_phi = ints[POPULATION], after(work, ints[AT_CENTERED]), after(work, ints[AT_G_PHI])
    _uncentre_backward(g_phi, ints, floats, work)
    total, prior = 0.0, p
    for i in range(p):
        arguments = after(floats, ints[AT_ARGUMENTS] + ARGUMENTS * i)
        value, slope = _prior(ints[ints[AT_PRIORS] + i], phi[i], arguments)
        total += value
        g_phi[i] += slope
    if ints[AUXILIARY]:
        total += _positive_prior(q, gradient, p, prior, ints, floats)
        prior += 1
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        for k in range(block[WIDTH]):
            total += _positive_prior(q, gradient, block[AT_SD] + k, prior, ints, floats)
            prior += 1
    return total


@njit(**INNER)
def _positive_prior(q, gradient, position, prior, ints, floats):
    """Prior of exp(q) at one position, with the logarithm's Jacobian."""
    x = math.exp(q[position])
    arguments = after(floats, ints[AT_ARGUMENTS] + ARGUMENTS * prior)
    value, slope = _prior(ints[ints[AT_PRIORS] + prior], x, arguments)
    gradient[position] += slope * x + 1.0
    return value + q[position]


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


# --- effects of groups ----------------------------------------------------------------------------


def _scales(q, gradient, ints, index, floats, work):
    """Precisions of the effects and U^-1 of every group; log density of the correlations."""
    total = 0.0
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        total += _scale(q, block, floats, after(work, block[AT_SCRATCH]))
    return total


@njit(**INNER)
def _scale(q, block, floats, work):
    width, groups = block[WIDTH], block[GROUPS]
    square = width * width
    precision = after(work, PRECISION * square)
    _cholesky(q, block, work)
    _inverse_root(q, block, work)
    inverse = after(work, MATRICES * square)
    for j in range(width - 1, -1, -1):
        for i in range(j, -1, -1):
            own = after(inverse, (i * width + j) * groups)
            information = after(floats, block[AT_INFORMATION] + (i * width + j) * groups)
            _raise(own, precision[i * width + j], information, groups)
            for k in range(j + 1, width):
                across = after(inverse, (i * width + k) * groups)
                _add_product(own, -1.0, across, after(inverse, (j * width + k) * groups), groups)
            if i == j:
                _inverse_square_root(own, groups)
            else:
                _multiply(own, after(inverse, (j * width + j) * groups), groups)
    # so far U, with its diagonal inverted
    for j in range(width - 1, -1, -1):
        last = after(inverse, (j * width + j) * groups)
        for i in range(j - 1, -1, -1):
            own = after(inverse, (i * width + j) * groups)
            _multiply(own, last, groups)
            for k in range(i + 1, j):
                across = after(inverse, (i * width + k) * groups)
                _add_product(own, 1.0, across, after(inverse, (k * width + j) * groups), groups)
            _multiply(own, after(inverse, (i * width + i) * groups), groups)
            _negate(own, groups)
    return _partial_prior(q, block, floats)


@njit(**INNER)
def _inverse_square_root(x, n):
    for i in range(n):
        x[i] = 1.0 / math.sqrt(x[i])


@njit(**INNER)
def _negate(x, n):
    for i in range(n):
        x[i] = -x[i]


@njit(**INNER)
def _raise(x, value, a, n):
    """x = value + a."""
    for i in range(n):
        x[i] = value + a[i]


@njit(**INNER)
def _cholesky(q, block, work):
    """Cholesky factor (width, width) from raw partial correlations, with what went into it."""
    width, pair = block[WIDTH], block[AT_PARTIAL]
    square = width * width
    factor, partial = after(work, FACTOR * square), after(work, PARTIAL * square)
    remaining = after(work, REMAINING * square)
    _fill(factor, 0.0, square)
    for i in range(width):
        first, rest = i - i % block[TOGETHER], 1.0
        for j in range(i):
            at = i * width + j
            remaining[at] = rest
            partial[at] = 0.0
            if j >= first:
                partial[at] = math.tanh(0.5 * q[pair])  # = 2 logistic(q) - 1
                pair += 1
            factor[at] = partial[at] * math.sqrt(rest)
            rest *= 1.0 - partial[at] * partial[at]
        remaining[i * width + i] = rest
        factor[i * width + i] = math.sqrt(rest)


@njit(**INNER)
def _inverse_root(q, block, work):
    """root = E^-1 (lower) and precision = E^-T E^-1 for E = diag(sd) L."""
    width = block[WIDTH]
    square = width * width
    factor, root = after(work, FACTOR * square), after(work, ROOT * square)
    precision = after(work, PRECISION * square)
    for j in range(width):
        inverse_sd = math.exp(-q[block[AT_SD] + j])
        for i in range(width):
            value = inverse_sd if i == j else 0.0
            for k in range(j, i):
                value -= factor[i * width + k] * root[k * width + j]
            root[i * width + j] = value / factor[i * width + i] if i >= j else 0.0
    for i in range(width):
        for j in range(width):
            value = 0.0
            for k in range(max(i, j), width):
                value += root[k * width + i] * root[k * width + j]
            precision[i * width + j] = value


@njit(**INNER)
def _partial_prior(q, block, floats):
    """Beta(a, a) priors of the partial correlations on the logit scale."""
    total = 0.0
    for pair in range(block[WIDTH] * (block[TOGETHER] - 1) // 2):
        raw = q[block[AT_PARTIAL] + pair]
        # a (log b + log(1 - b)) with b = logistic(raw)
        shape = floats[block[AT_SHAPE] + pair]
        total -= shape * (abs(raw) + 2.0 * math.log1p(math.exp(-abs(raw))))
    return total


def _effects(q, gradient, ints, index, floats, work):
    """Effects of the groups into c; their log density."""
    total = 0.0
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        total += _effect(q, block, ints, floats, work)
    return total


@njit(**INNER)
def _effect(q, block, ints, floats, work):
    width, groups, population = block[WIDTH], block[GROUPS], ints[POPULATION]
    phi, u = after(work, ints[AT_PHI]), after(work, block[AT_COEFFICIENT])
    length, square = width * groups, width * width
    matrices = after(work, block[AT_SCRATCH])
    factor, precision = after(matrices, FACTOR * square), after(matrices, PRECISION * square)
    g_precision = after(matrices, G_PRECISION * square)
    inverse = after(matrices, MATRICES * square)
    s, w = after(inverse, square * groups), after(inverse, (square + width) * groups)

    _copy(s, after(floats, block[AT_SCORE]), length)  # s = U^-1 t
    if block[AT_SLOPE] >= 0:
        for j in range(population):
            moved = phi[j] - floats[ints[AT_SHIFT] + j]
            _add(s, -moved, after(floats, block[AT_SLOPE] + j * length), length)
    _solve(inverse, s, width, groups)
    _add_up(w, u, s, after(q, block[AT_EFFECT]), length)  # w = s + v, u = U^-T w
    _solve_transposed(inverse, u, width, groups)

    total = 0.0
    for k in range(width):
        total += _sum_of_logs(after(inverse, (k * width + k) * groups), groups)  # Jacobian
        total -= groups * (q[block[AT_SD] + k] + math.log(factor[k * width + k]))
        for j in range(width):
            product = _dot(after(u, k * groups), after(u, j * groups), groups)
            g_precision[k * width + j] = -0.5 * product
            total -= 0.5 * precision[k * width + j] * product
    return total


@njit(**INNER)
def _add_up(x, y, a, b, n):
    """x = y = a + b."""
    for i in range(n):
        total = a[i] + b[i]
        x[i] = total
        y[i] = total


@njit(**INNER)
def _solve(inverse, x, width, groups):
    """x = U^-1 x for every group."""
    for i in range(width):
        own = after(x, i * groups)
        _multiply(own, after(inverse, (i * width + i) * groups), groups)
        for k in range(i + 1, width):
            across = after(inverse, (i * width + k) * groups)
            _add_product(own, 1.0, across, after(x, k * groups), groups)


@njit(**INNER)
def _solve_transposed(inverse, x, width, groups):
    """x = U^-T x for every group."""
    for i in range(width - 1, -1, -1):
        own = after(x, i * groups)
        _multiply(own, after(inverse, (i * width + i) * groups), groups)
        for k in range(i):
            above = after(inverse, (k * width + i) * groups)
            _add_product(own, 1.0, above, after(x, k * groups), groups)


def _effects_backward(q, gradient, ints, index, floats, work):
    """Carry the gradient of the effects back to v and phi, and to their precision."""
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        _effect_backward(gradient, block, ints, floats, work)
    return 0.0


@njit(**INNER)
def _effect_backward(gradient, block, ints, floats, work):
    width, groups, population = block[WIDTH], block[GROUPS], ints[POPULATION]
    length, square = width * groups, width * width
    matrices = after(work, block[AT_SCRATCH])
    precision = after(matrices, PRECISION * square)
    g_precision = after(matrices, G_PRECISION * square)
    inverse = after(matrices, MATRICES * square)
    s, w = after(inverse, square * groups), after(inverse, (square + width) * groups)
    moved = after(inverse, (square + 2 * width) * groups)
    u, a = after(work, block[AT_COEFFICIENT]), after(work, ints[AT_G] + block[AT_COEFFICIENT])
    g_phi = after(work, ints[AT_G_PHI])

    for k in range(width):
        for j in range(width):
            _add(after(a, k * groups), -precision[k * width + j], after(u, j * groups), groups)
    _solve(inverse, a, width, groups)
    _add(after(gradient, block[AT_EFFECT]), 1.0, a, length)

    # U' times the gradient by U, its diagonal halved, then times U^-1
    for i in range(width):
        for j in range(i, width):
            own = after(moved, (i * width + j) * groups)
            w_i, a_i = after(w, i * groups), after(a, i * groups)
            s_j, a_j = after(s, j * groups), after(a, j * groups)
            if i == j:
                _combine(own, -0.5, -0.5, w_i, a_j, a_i, s_j, groups)
            else:
                _combine(own, 0.0, -1.0, w_i, a_j, a_i, s_j, groups)
    for i in range(width):
        for j in range(width - 1, i - 1, -1):
            own = after(moved, (i * width + j) * groups)
            _multiply(own, after(inverse, (j * width + j) * groups), groups)
            for k in range(i, j):
                across = after(moved, (i * width + k) * groups)
                _add_product(own, 1.0, across, after(inverse, (k * width + j) * groups), groups)
    for i in range(width):  # U^-T from the left, summed over groups and made symmetric
        for j in range(width):
            for k in range(min(i, j) + 1):
                left = after(inverse, (k * width + i) * groups)
                value = 0.5 * _dot(left, after(moved, (k * width + j) * groups), groups)
                g_precision[i * width + j] += value
                g_precision[j * width + i] += value

    if block[AT_SLOPE] >= 0:
        _solve_transposed(inverse, a, width, groups)  # gradient by t
        for j in range(population):
            g_phi[j] -= _dot(after(floats, block[AT_SLOPE] + j * length), a, length)


@njit(**INNER)
def _combine(x, constant, factor, a, b, c, d, n):
    """x = constant + factor (a b + c d)."""
    for i in range(n):
        x[i] = constant + factor * (a[i] * b[i] + c[i] * d[i])


def _scales_backward(q, gradient, ints, index, floats, work):
    """From the gradient by the precisions to those by log sd and the partial correlations."""
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        _scale_backward(q, gradient, block, floats, after(work, block[AT_SCRATCH]))
    return 0.0


@njit(**INNER)
def _scale_backward(q, gradient, block, floats, work):
    width, groups = block[WIDTH], block[GROUPS]
    square = width * width
    factor, root = after(work, FACTOR * square), after(work, ROOT * square)
    g_precision, g_root = after(work, G_PRECISION * square), after(work, G_ROOT * square)
    g_factor = after(work, G_FACTOR * square)
    for i in range(width):
        for j in range(i + 1):
            value = 0.0
            for k in range(i + 1):
                value += 2.0 * root[i * width + k] * g_precision[k * width + j]
            g_root[i * width + j] = value
    # root = E^-1: the gradient by E is -root' g_root root'
    for i in range(width):
        sd = math.exp(q[block[AT_SD] + i])
        for j in range(i + 1):
            value = 0.0
            for k in range(i, width):
                inner = 0.0
                for m in range(j + 1):
                    inner += g_root[k * width + m] * root[j * width + m]
                value -= root[k * width + i] * inner
            gradient[block[AT_SD] + i] += value * sd * factor[i * width + j]
            g_factor[i * width + j] = value * sd
        gradient[block[AT_SD] + i] -= groups  # log |E| of every group
        g_factor[i * width + i] -= groups / factor[i * width + i]
    if block[TOGETHER] > 1:
        _cholesky_backward(q, gradient, block, floats, work)


@njit(**INNER)
def _cholesky_backward(q, gradient, block, floats, work):
    """From the gradient of the Cholesky factor to that of the raw partial correlations."""
    width, pair = block[WIDTH], block[AT_PARTIAL]
    square = width * width
    partial, remaining = after(work, PARTIAL * square), after(work, REMAINING * square)
    g_factor = after(work, G_FACTOR * square)
    for i in range(1, width):
        last = i * width + i
        g_rest = 0.5 * g_factor[last] / math.sqrt(remaining[last])
        first = i - i % block[TOGETHER]
        for j in range(i - 1, first - 1, -1):
            r, rest = partial[i * width + j], remaining[i * width + j]
            root, by = math.sqrt(rest), g_factor[i * width + j]
            g_r = by * root - 2.0 * r * rest * g_rest
            g_rest = 0.5 * by * r / root + g_rest * (1.0 - r * r)
            at = pair + j - first
            gradient[at] += 0.5 * g_r * (1.0 - r * r)  # r = tanh(raw / 2)
            # and the prior
            gradient[at] -= floats[block[AT_SHAPE] + at - block[AT_PARTIAL]] * r
        pair += i - first


# --- rows -----------------------------------------------------------------------------------------


def _rows(q, gradient, ints, index, floats, work):
    """Linear predictor: the values M c of the distinct rows, added up for each row."""
    ends, columns = after(index, ints[AT_ROW_ENDS]), after(index, ints[AT_COLUMNS])
    matrix, values = after(floats, ints[AT_MATRIX]), after(work, ints[AT_VALUES])
    start = 0
    for row in range(ints[DISTINCT]):
        end, total = ends[row], 0.0
        for k in range(start, end):
            total += matrix[k] * work[columns[k]]
        values[row], start = total, end

    n, eta, offset = ints[ROWS], after(work, ints[AT_ETA]), after(floats, ints[AT_OFFSET])
    ends, start = after(index, ints[AT_RUN_ENDS]), 0
    for run in range(ints[RUNS]):
        end, value = ends[run], values[run]
        for i in range(start, end):
            eta[i] = offset[i] + value
        start = end
    for part in range(ints[PARTS] - 1):
        rows = after(index, ints[AT_INDEX] + part * n)
        for i in range(n):
            eta[i] += values[rows[i]]
    return 0.0


def _rows_backward(q, gradient, ints, index, floats, work):
    """Gradient by the coefficients: residuals added up for each distinct row, times M'."""
    n, residual, values = ints[ROWS], after(work, ints[AT_ETA]), after(work, ints[AT_VALUES])
    ends, start = after(index, ints[AT_RUN_ENDS]), 0
    for run in range(ints[RUNS]):
        end = ends[run]
        values[run], start = _sum(after(residual, start), end - start), end
    _fill(after(values, ints[RUNS]), 0.0, ints[DISTINCT] - ints[RUNS])
    for part in range(ints[PARTS] - 1):
        rows = after(index, ints[AT_INDEX] + part * n)
        for i in range(n):
            values[rows[i]] += residual[i]

    ends, columns = after(index, ints[AT_ROW_ENDS]), after(index, ints[AT_COLUMNS])
    matrix, g = after(floats, ints[AT_MATRIX]), after(work, ints[AT_G])
    _fill(g, 0.0, ints[COEFFICIENTS])
    start = 0
    for row in range(ints[DISTINCT]):
        end, value = ends[row], values[row]
        for k in range(start, end):
            g[columns[k]] += matrix[k] * value
        start = end
    return 0.0


@njit(**{**INNER, "fastmath": SUMS})
def _sum(values, n):
    total = 0.0
    for i in range(n):
        total += values[i]
    return total


# --- likelihood -----------------------------------------------------------------------------------


# Each puts the derivative of the log likelihood by eta into eta's place.


def _successes_logit(q, gradient, ints, index, floats, work):
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


def _successes_probit(q, gradient, ints, index, floats, work):
    n, eta = ints[BINARY], after(work, ints[AT_ETA])
    y, m = after(floats, ints[AT_OUTCOME]), after(floats, ints[AT_TRIALS])
    total = 0.0
    for i in range(n):
        log_p, up = _log_ndtr(eta[i])
        log_q, down = _log_ndtr(-eta[i])
        total += y[i] * log_p + (m[i] - y[i]) * log_q
        eta[i] = y[i] * up - (m[i] - y[i]) * down
    return total


@njit(**INNER)
def _log_ndtr(x):
    """log of the normal distribution function, and the density's ratio to it."""
    if x > -30.0:
        p = 0.5 * math.erfc(-x * 0.7071067811865476)
        return math.log(p), 0.3989422804014327 * math.exp(-0.5 * x * x) / p
    # the tail's continued fraction
    z = -x
    ratio = z + 1.0 / (z + 2.0 / (z + 3.0 / (z + 4.0 / (z + 5.0 / z))))
    return -0.5 * x * x - LOG_ROOT - math.log(ratio), ratio


def _successes_cloglog(q, gradient, ints, index, floats, work):
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


def _poisson(q, gradient, ints, index, floats, work):
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


def _gaussian(q, gradient, ints, index, floats, work):
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


def _negative_binomial(q, gradient, ints, index, floats, work):
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
        _copy(mean, eta, n)
    return mean


@njit(**INNER)
def _by_predictor(ints, work):
    """From the derivative by the mean to that by the linear predictor."""
    if ints[LINK] == LOG:
        _multiply(after(work, ints[AT_ETA]), after(work, ints[AT_MEAN]), ints[ROWS])


# --- likelihood of outcomes with levels -----------------------------------------------------------


def _categorical(q, gradient, ints, index, floats, work):
    """Levels by their log odds against the first, which lie level after level."""
    n = ints[ROWS] // ints[PREDICTORS]
    y, m = after(floats, ints[AT_OUTCOME]), after(floats, ints[AT_TRIALS])
    top = after(work, ints[AT_MEAN])
    odds = after(top, n)
    _fill(top, 0.0, n)
    for k in range(ints[PREDICTORS]):
        eta = after(work, ints[AT_ETA] + k * n)
        for i in range(n):
            top[i] = max(top[i], eta[i])
    for i in range(n):
        odds[i] = fast_exp(-top[i])
    total = 0.0
    for k in range(ints[PREDICTORS]):
        eta, own = after(work, ints[AT_ETA] + k * n), after(y, k * n)
        for i in range(n):
            h = eta[i]
            e = fast_exp(h - top[i])
            total = in_any_order(total, own[i] * h)
            eta[i] = e
            odds[i] += e
    for i in range(n):
        total = in_any_order(total, -m[i] * (top[i] + fast_log(odds[i])))
        odds[i] = m[i] / odds[i]
    for k in range(ints[PREDICTORS]):
        eta, own = after(work, ints[AT_ETA] + k * n), after(y, k * n)
        for i in range(n):
            eta[i] = own[i] - eta[i] * odds[i]
    return total


# The lowest level is a success, the highest a failure: `BINARY` rows, which come first. The others
# have the probability F(h + gap) - F(h), run after run, where h is that of the lower threshold.


def _between_logit(q, gradient, ints, index, floats, work):
    """F(h + gap) (1 - F(h)) (1 - exp(-gap))."""
    eta, m = after(work, ints[AT_ETA]), after(floats, ints[AT_TRIALS])
    gaps, ends = after(work, ints[AT_GAPS]), after(index, ints[AT_RUN_ENDS])
    g_gaps = after(gaps, ints[GAPS])
    total = 0.0
    for k in range(ints[GAPS]):
        gap, respondents, slope = gaps[k], 0.0, 0.0
        for i in range(ends[k + 1], ends[k + 2]):
            low, high = eta[i], eta[i] + gap
            e_low, e_high = fast_exp(-abs(low)), fast_exp(-abs(high))
            inverse_low, inverse_high = 1.0 / (1.0 + e_low), 1.0 / (1.0 + e_high)
            below = inverse_low if low >= 0.0 else e_low * inverse_low
            above = inverse_high if high <= 0.0 else e_high * inverse_high
            logs = max(low, 0.0) + max(-high, 0.0) + fast_log1p(e_low) + fast_log1p(e_high)
            total = in_any_order(total, -m[i] * logs)
            respondents = in_any_order(respondents, m[i])
            slope = in_any_order(slope, m[i] * above)
            eta[i] = m[i] * (above - below)
        total += respondents * math.log(-math.expm1(-gap))
        g_gaps[k] = slope + respondents / math.expm1(gap)
    return total


def _between_probit(q, gradient, ints, index, floats, work):
    eta, m = after(work, ints[AT_ETA]), after(floats, ints[AT_TRIALS])
    gaps, ends = after(work, ints[AT_GAPS]), after(index, ints[AT_RUN_ENDS])
    g_gaps = after(gaps, ints[GAPS])
    total = 0.0
    for k in range(ints[GAPS]):
        g_gaps[k] = 0.0
        for i in range(ends[k + 1], ends[k + 2]):
            log_p, by_low, by_high = _between_ndtr(eta[i], gaps[k])
            total += m[i] * log_p
            g_gaps[k] += m[i] * by_high
            eta[i] = m[i] * by_low
    return total


@njit(**INNER)
def _between_ndtr(h, gap):
    """log(F(h + gap) - F(h)), its derivatives by h and by gap."""
    middle = h + 0.5 * gap
    # in the lower tail, where F has all digits: mirrored if need be
    low, high = -abs(middle) - 0.5 * gap, -abs(middle) + 0.5 * gap
    if gap * (1.0 + abs(middle)) < 0.01:  # by series, as the two F have the first digits in common
        square, step = middle * middle, gap * gap / 24.0
        series = step * (square - 1.0)
        series += 0.3 * step * step * ((square - 6.0) * square + 3.0)
        log_p = math.log(gap) - 0.5 * square - LOG_ROOT + math.log1p(series)
    else:
        log_high, _ = _log_ndtr(high)
        log_low, _ = _log_ndtr(low)
        log_p = log_high + math.log(-math.expm1(log_low - log_high))
    # the densities at the nearer and the farther end, relative to the probability
    near = math.exp(-0.5 * high * high - LOG_ROOT - log_p)
    drop = -math.expm1(-gap * abs(middle))
    if middle > 0.0:
        return log_p, -near * drop, near * (1.0 - drop)
    return log_p, near * drop, near


def _between_cloglog(q, gradient, ints, index, floats, work):
    """exp(-rate) (1 - exp(-more)), where the rates exp(h) of the thresholds differ by `more`."""
    eta, m = after(work, ints[AT_ETA]), after(floats, ints[AT_TRIALS])
    gaps, ends = after(work, ints[AT_GAPS]), after(index, ints[AT_RUN_ENDS])
    g_gaps = after(gaps, ints[GAPS])
    total = 0.0
    for k in range(ints[GAPS]):
        gap, slope = gaps[k], 0.0
        growth = math.expm1(gap)
        log_growth = math.log(growth)
        for i in range(ends[k + 1], ends[k + 2]):
            rate = math.exp(eta[i])
            more = min(rate * growth, 1000.0)  # beyond, the probability is exp(-rate)
            log_p, share = eta[i] + log_growth - 0.5 * more, 1.0 - 0.5 * more
            if more > 1e-9:
                log_p, share = math.log(-math.expm1(-more)), more / math.expm1(more)
            total += m[i] * (log_p - rate)
            slope += m[i] * share
            eta[i] = m[i] * (share - rate)
        g_gaps[k] = slope / -math.expm1(-gap)
    return total


# --- entry points ---------------------------------------------------------------------------------

DOUBLES, LONGS, INTS = (types.CPointer(t) for t in (types.double, types.int64, types.int32))
STAGE = types.double(DOUBLES, DOUBLES, LONGS, INTS, DOUBLES, DOUBLES)

# Positions in the array of addresses and sizes that the entry points get; the stages follow.
DATA_INTS, DATA_INDEX, DATA_FLOATS, FORWARD, STAGES, FIRST = range(6)

SUCCESSES_BY_LINK = {
    LOGIT: _successes_logit,
    PROBIT: _successes_probit,
    CLOGLOG: _successes_cloglog,
}
BETWEEN_BY_LINK = {
    LOGIT: _between_logit,
    PROBIT: _between_probit,
    CLOGLOG: _between_cloglog,
}
OTHERS = {
    POISSON: _poisson,
    GAUSSIAN: _gaussian,
    NEGATIVE_BINOMIAL: _negative_binomial,
    CATEGORICAL: _categorical,
}


def data_of(
    ints: NDArray[np.int64], index: NDArray[np.int32], floats: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The array that the entry points get; compiles those stages that the model needs."""
    to_phi, from_phi = [_population], [_population_backward]
    if ints[FOLLOWED] >= 0:
        to_phi, from_phi = [_following], [_following_backward]
    rising, rising_backward = ([_rising], [_rising_backward]) if ints[GAPS] else ([], [])
    forward = [*to_phi, *rising]
    others = [_rows, *_likelihood(ints), _rows_backward, _priors, *rising_backward]
    if ints[BLOCKS]:
        forward = [_scales, *forward, _effects]
        others += [_effects_backward, *from_phi, _scales_backward]
    else:
        others += from_phi
    stages = [_compiled(stage).address for stage in forward + others]
    arrays = [array.ctypes.data for array in (ints, index, floats)]
    return np.array([*arrays, len(forward), len(stages), *stages])


def _likelihood(ints: NDArray[np.int64]) -> list[Any]:
    """The stages of a family's likelihood."""
    family, link = int(ints[FAMILY]), int(ints[LINK])
    if family not in (SUCCESSES, CUMULATIVE):
        return [OTHERS[family]]
    between = [BETWEEN_BY_LINK[link]] if ints[GAPS] else []
    return [SUCCESSES_BY_LINK[link], *between]


def compile_all() -> None:
    """Compile every stage into the cache.

    A process that compiles a stage may round the last digit otherwise than one that finds it in the
    cache, and draws depend on every digit: after this, all runs of a seed are the same.
    """
    steps = [_population, _population_backward, _following, _following_backward, _rising]
    steps += [_rising_backward, _rows, _rows_backward, _priors, _scales, _scales_backward]
    steps += [_effects, _effects_backward]
    for family in (SUCCESSES_BY_LINK, BETWEEN_BY_LINK, OTHERS):
        steps += family.values()
    for stage in steps:
        _compiled(stage)


@cache
def _compiled(stage):
    return compiled(STAGE, **OPTIONS)(stage)


@compiled(types.int64(types.uint64, DOUBLES, DOUBLES, DOUBLES, LONGS), **OPTIONS)
def c_log_density(dim, q, gradient, value, data):
    """Log posterior density at q, up to a constant, and its gradient.

    Returns 0, or an error code that the sampler takes for a divergence.
    """
    ints, index = to_longs(data[DATA_INTS]), to_ints(data[DATA_INDEX])
    floats, work = to_doubles(data[DATA_FLOATS]), allocate(ints[WORK])
    for k in range(ints[DIM]):
        gradient[k] = 0.0
    total = 0.0
    for k in range(data[STAGES]):
        total += run_stage(data[FIRST + k], q, gradient, ints, index, floats, work)
    release(work)
    value[0] = total
    if not math.isfinite(total):
        return 4
    for k in range(ints[DIM]):
        if not math.isfinite(gradient[k]):
            return 3
    return 0


@compiled(types.int64(types.uint64, DOUBLES, DOUBLES, LONGS), **OPTIONS)
def c_coefficients(draws, q, c, data):
    """Uncentred intercept, slopes and effects (draws, c) for draws of q (draws, dim)."""
    ints, index = to_longs(data[DATA_INTS]), to_ints(data[DATA_INDEX])
    floats, work = to_doubles(data[DATA_FLOATS]), allocate(ints[WORK])
    for s in range(np.int64(draws)):
        own = after(q, s * ints[DIM])
        for k in range(data[FORWARD]):
            run_stage(data[FIRST + k], own, own, ints, index, floats, work)
        for k in range(ints[COEFFICIENTS]):
            c[s * ints[COEFFICIENTS] + k] = work[k]
    release(work)
    return 0


@compiled(types.int64(types.uint64, types.uint64, DOUBLES, DOUBLES, LONGS))
def c_expand(dim, expanded, q, out, data):
    """What the sampler keeps of a draw: the unconstrained parameters as they are."""
    for k in range(np.int64(expanded)):
        out[k] = q[k]
    return 0


def _of_arrays(entry: Any, arrays: int) -> Callable[..., int]:
    """An entry point as a function of a number and arrays, for Python."""
    pointers = [ctypes.c_void_p] * arrays
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *pointers)(entry.address)
    return lambda number, *given: call(number, *(array.ctypes.data for array in given))


log_density = _of_arrays(c_log_density, 4)
coefficients = _of_arrays(c_coefficients, 3)
