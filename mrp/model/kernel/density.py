"""Log posterior density and gradient, for any model that `layout.pack` describes.

With the unconstrained parameters q of one draw, one pass computes

    phi = shift + T q_population                       (centred intercept, slopes)
    sd = exp(q_sd), E = diag(sd) L, L = Cholesky factor from partial correlations tanh(q / 2)
    u_g = U^-T (U^-1 t_g + v_g),  U U' = (E E')^-1 + I_g,  t_g = h_g - C_g (phi - shift)
    eta_i = offset_i + sum over parts of (M c)[index_i],  c = (phi uncentred, all u)

then the likelihood of eta, and the same steps backwards. M holds the distinct rows of each part, so
that a respondent costs one look-up per part in each direction.

The third line is what makes sampling easy. Given sd and L, the effects of a group have about the
precision U U' and the mean (U U')^-1 t_g in the posterior, if I_g is the information that the
group's respondents carry about them and h_g - C_g (phi - shift) their score. So v_g is about
standard normal whatever sd and L are: where a group has no respondents (I = h = C = 0) this is the
non-centred parameterisation, where it has many the centred one, with every stage in between, group
by group. Any I, h and C give the same posterior; `geometry` chooses them.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import njit, types

from mrp.model.kernel.arithmetic import as_pointer, fast_exp, fast_log1p

# Positions in the header, which is the beginning of the array of 64-bit integers.
(
    DIM,
    ROWS,
    FAMILY,
    LINK,
    POPULATION,
    INTERCEPT,
    AUXILIARY,
    BLOCKS,
    PARTS,
    DISTINCT,
    COEFFICIENTS,
    AT_BLOCKS,
    AT_PRIORS,
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
    AT_CONCENTRATION,
    AT_TOTALS,
    AT_COUNTS,
    COUNTS,
    HEADER,
) = range(31)

# Fields of a block's description.
(
    WIDTH,
    GROUPS,
    CORRELATED,
    AT_SD,
    AT_PARTIAL,
    AT_EFFECT,
    AT_COEFFICIENT,
    AT_SHAPE,
    AT_INFORMATION,
    AT_SCORE,
    AT_SLOPE,
    FIELDS,
) = range(12)

SUCCESSES, POISSON, GAUSSIAN, NEGATIVE_BINOMIAL = range(4)
IDENTITY, LOG, LOGIT, PROBIT, CLOGLOG = range(5)
FLAT, NORMAL, STUDENT_T, CAUCHY, LAPLACE, EXPONENTIAL, GAMMA, INVERSE_GAMMA = range(8)
ARGUMENTS = 3

EXACT = {"contract"}
"""Flags for elementwise loops: `fast_exp` needs its roundings to stay where they are."""
SUMS = {"contract", "reassoc", "nsz"}
"""Flags for sums, whose order is free."""


@njit(nogil=True, cache=True, error_model="numpy")
def log_density(q, gradient, ints, index, floats):
    """Log posterior density at q, up to a constant; its gradient goes into `gradient`."""
    population, coefficients = ints[POPULATION], ints[COEFFICIENTS]
    c = np.zeros(coefficients)
    phi = np.empty(population)
    total = _population(q, phi, c, ints, floats)
    total += _blocks(q, phi, c, ints, floats)

    n, distinct = ints[ROWS], ints[DISTINCT]
    values = np.empty(distinct)
    _times(values, c, ints, index, floats)
    eta = np.empty(n)
    _look_up(eta, values, ints, index, floats)

    for k in range(len(gradient)):
        gradient[k] = 0.0
    residual = np.empty(n)
    total += _likelihood(eta, residual, q, gradient, ints, floats)

    for k in range(distinct):
        values[k] = 0.0
    _add_up(values, residual, ints, index)
    g = np.zeros(coefficients)
    _times_transposed(g, values, ints, index, floats)
    g_phi = np.zeros(population)
    _blocks_backward(q, phi, c, g, g_phi, gradient, ints, floats)
    total += _population_backward(q, phi, g, g_phi, gradient, ints, floats)
    return total + _hyperpriors(q, gradient, ints, floats)


@njit(error_model="numpy")
def _population(q, phi, c, ints, floats):
    """Centred intercept and slopes from q, and the uncentred intercept into c; log Jacobian."""
    p, shift, transform = ints[POPULATION], ints[AT_SHIFT], ints[AT_TRANSFORM]
    total = 0.0
    if ints[FOLLOWED] >= 0:
        upper = np.empty((p, p))
        _curvature_root(q, upper, ints, floats)
        for i in range(p):
            phi[i] = q[i]
        _solve_upper_transposed(upper, phi)
        for i in range(p):
            phi[i] += floats[shift + i]
            total -= math.log(upper[i, i])
    else:
        for i in range(p):
            value = floats[shift + i]
            for j in range(p):
                value += floats[transform + i * p + j] * q[j]
            phi[i] = value
    for i in range(p):
        c[i] = phi[i]
    if ints[INTERCEPT]:
        for i in range(1, p):
            c[0] -= floats[ints[AT_MEANS] + i] * phi[i]
    return total


@njit(error_model="numpy")
def _population_backward(q, phi, g, g_phi, gradient, ints, floats):
    """Add the prior of phi, and carry the gradient back to q."""
    p, transform = ints[POPULATION], ints[AT_TRANSFORM]
    total = 0.0
    for i in range(p):
        g_phi[i] += g[i]
        if ints[INTERCEPT] and i > 0:
            g_phi[i] -= floats[ints[AT_MEANS] + i] * g[0]
        at = ints[AT_ARGUMENTS] + ARGUMENTS * i
        value, slope = _prior(ints[ints[AT_PRIORS] + i], phi[i], floats[at : at + ARGUMENTS])
        total += value
        g_phi[i] += slope
    if ints[FOLLOWED] >= 0:
        _curvature_backward(q, phi, g_phi, gradient, ints, floats)
        return total
    for i in range(p):
        for j in range(p):
            gradient[j] += floats[transform + i * p + j] * g_phi[i]
    return total


@njit(error_model="numpy")
def _followed(q, block, factor, partial, remaining, root, precision):
    """Precision of the effects that phi's scale follows."""
    _cholesky(q, block, factor, partial, remaining)
    _inverse_root(q, block, factor, root, precision)


@njit(error_model="numpy")
def _curvature_root(q, upper, ints, floats):
    """upper U with U U' = H - sum_g C_g' (precision + I_g)^-1 C_g: phi's precision given sd and L.

    H is the information about phi with the effects of this block fixed, the others integrated out.
    """
    p, width = ints[POPULATION], 0
    at = ints[AT_BLOCKS] + FIELDS * ints[FOLLOWED]
    block = ints[at : at + FIELDS]
    width = block[WIDTH]
    factor, partial, remaining = _squares(width)
    root, precision, own = _squares(width)
    _followed(q, block, factor, partial, remaining, root, precision)
    curvature = np.empty((p, p))
    for i in range(p):
        for j in range(p):
            curvature[i, j] = floats[ints[AT_CURVATURE] + i * p + j]
    scaled = np.empty((width, p))
    for group in range(block[GROUPS]):
        _upper_root(precision, floats, block[AT_INFORMATION] + group * width * width, own)
        _scaled_slope(own, block, group, floats, scaled)
        for k in range(width):
            for i in range(p):
                for j in range(p):
                    curvature[i, j] -= scaled[k, i] * scaled[k, j]
    for j in range(p - 1, -1, -1):
        for i in range(j, -1, -1):
            value = curvature[i, j]
            for k in range(j + 1, p):
                value -= upper[i, k] * upper[j, k]
            upper[i, j] = math.sqrt(value) if i == j else value / upper[j, j]


@njit(error_model="numpy")
def _scaled_slope(own, block, group, floats, scaled):
    """scaled = U_g^-1 C_g (width, p)."""
    width, p = scaled.shape
    slope = block[AT_SLOPE] + group * width * p
    for i in range(width - 1, -1, -1):
        for j in range(p):
            value = floats[slope + i * p + j]
            for k in range(i + 1, width):
                value -= own[i, k] * scaled[k, j]
            scaled[i, j] = value / own[i, i]


@njit(error_model="numpy")
def _curvature_backward(q, phi, g_phi, gradient, ints, floats):
    """Carry the gradient of phi back to q, and to the sd's and correlations that scale it."""
    p = ints[POPULATION]
    at = ints[AT_BLOCKS] + FIELDS * ints[FOLLOWED]
    block = ints[at : at + FIELDS]
    width = block[WIDTH]
    upper, g_upper, work = _squares(p)
    _curvature_root(q, upper, ints, floats)
    _solve_upper(upper, g_phi)
    for i in range(p):
        gradient[i] += g_phi[i]
        for j in range(i, p):
            g_upper[i, j] = -(phi[i] - floats[ints[AT_SHIFT] + i]) * g_phi[j]
        g_upper[i, i] -= 1.0 / upper[i, i]
    g_curvature = np.zeros((p, p))
    _root_backward(upper, g_upper, work, g_curvature)

    factor, partial, remaining = _squares(width)
    root, precision, own = _squares(width)
    _followed(q, block, factor, partial, remaining, root, precision)
    g_precision = np.zeros((width, width))
    scaled, moved = np.empty((width, p)), np.empty(p)
    for group in range(block[GROUPS]):
        _upper_root(precision, floats, block[AT_INFORMATION] + group * width * width, own)
        _scaled_slope(own, block, group, floats, scaled)
        for i in range(width):  # scaled = U_g^-T scaled = (precision + I_g)^-1 C_g
            for j in range(p):
                for k in range(i):
                    scaled[i, j] -= own[k, i] * scaled[k, j]
                scaled[i, j] /= own[i, i]
        for k in range(width):
            for j in range(p):
                moved[j] = 0.0
                for i in range(p):
                    moved[j] += scaled[k, i] * g_curvature[i, j]
            for m in range(width):
                for j in range(p):
                    g_precision[k, m] += moved[j] * scaled[m, j]
    g_factor = np.empty((width, width))
    _precision_backward(q, gradient, block, factor, root, g_precision, g_factor, 0)
    _cholesky_backward(q, gradient, block, g_factor, partial, remaining)


@njit(error_model="numpy")
def _hyperpriors(q, gradient, ints, floats):
    """Priors of the standard deviations and the auxiliary parameter, all exp of their q."""
    p = ints[POPULATION]
    total, prior = 0.0, p
    if ints[AUXILIARY]:
        total += _positive_prior(q, gradient, p, prior, ints, floats)
        prior += 1
    for b in range(ints[BLOCKS]):
        block = ints[ints[AT_BLOCKS] + FIELDS * b : ints[AT_BLOCKS] + FIELDS * (b + 1)]
        for k in range(block[WIDTH]):
            total += _positive_prior(q, gradient, block[AT_SD] + k, prior, ints, floats)
            prior += 1
    return total


@njit(error_model="numpy")
def _positive_prior(q, gradient, position, prior, ints, floats):
    """Prior of exp(q) at one position, with the logarithm's Jacobian."""
    x = math.exp(q[position])
    at = ints[AT_ARGUMENTS] + ARGUMENTS * prior
    value, slope = _prior(ints[ints[AT_PRIORS] + prior], x, floats[at : at + ARGUMENTS])
    gradient[position] += slope * x + 1.0
    return value + q[position]


@njit(error_model="numpy")
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


@njit(error_model="numpy")
def _cholesky(q, block, factor, partial, remaining):
    """Cholesky factor (width, width) from raw partial correlations, with what went into it."""
    width = block[WIDTH]
    pair = block[AT_PARTIAL]
    for i in range(width):
        rest = 1.0
        for j in range(width):
            factor[i, j] = 0.0
        for j in range(i):
            remaining[i, j] = rest
            if block[CORRELATED]:
                partial[i, j] = math.tanh(0.5 * q[pair])  # = 2 logistic(q) - 1
                pair += 1
            else:
                partial[i, j] = 0.0
            factor[i, j] = partial[i, j] * math.sqrt(rest)
            rest *= 1.0 - partial[i, j] * partial[i, j]
        remaining[i, i] = rest
        factor[i, i] = math.sqrt(rest)


@njit(error_model="numpy")
def _inverse_root(q, block, factor, root, precision):
    """root = E^-1 (lower) and precision = E^-T E^-1 for E = diag(sd) L; returns log |E|."""
    width = block[WIDTH]
    log_scale = 0.0
    for k in range(width):
        log_scale += q[block[AT_SD] + k] + math.log(factor[k, k])
    for j in range(width):  # columns of L^-1, then divided by sd
        for i in range(width):
            value = 1.0 if i == j else 0.0
            for k in range(j, i):
                value -= factor[i, k] * root[k, j]
            root[i, j] = value / factor[i, i] if i >= j else 0.0
    for j in range(width):
        inverse_sd = math.exp(-q[block[AT_SD] + j])
        for i in range(j, width):
            root[i, j] *= inverse_sd
    for i in range(width):
        for j in range(width):
            value = 0.0
            for k in range(max(i, j), width):
                value += root[k, i] * root[k, j]
            precision[i, j] = value
    return log_scale


@njit(error_model="numpy")
def _upper_root(precision, floats, at, upper):
    """upper U with U U' = precision + the group's information."""
    width = len(upper)
    for j in range(width - 1, -1, -1):
        for i in range(j, -1, -1):
            value = precision[i, j] + floats[at + i * width + j]
            for k in range(j + 1, width):
                value -= upper[i, k] * upper[j, k]
            upper[i, j] = math.sqrt(value) if i == j else value / upper[j, j]


@njit(error_model="numpy")
def _solve_upper(upper, x):
    """x = U^-1 x in place."""
    for i in range(len(x) - 1, -1, -1):
        for k in range(i + 1, len(x)):
            x[i] -= upper[i, k] * x[k]
        x[i] /= upper[i, i]


@njit(error_model="numpy")
def _solve_upper_transposed(upper, x):
    """x = U^-T x in place."""
    for i in range(len(x)):
        for k in range(i):
            x[i] -= upper[k, i] * x[k]
        x[i] /= upper[i, i]


@njit(error_model="numpy")
def _score(phi, floats, ints, block, group, s):
    """s = t_g = h_g - C_g (phi - shift); a block with C = 0 has no place for it."""
    width, population, shift = block[WIDTH], ints[POPULATION], ints[AT_SHIFT]
    h = block[AT_SCORE] + group * width
    slope = block[AT_SLOPE] + group * width * population
    for k in range(width):
        s[k] = floats[h + k]
        if block[AT_SLOPE] >= 0:
            for j in range(population):
                s[k] -= floats[slope + k * population + j] * (phi[j] - floats[shift + j])


@njit(error_model="numpy")
def _blocks(q, phi, c, ints, floats):
    """Effects of every group into c; log density of the effects and correlations."""
    total = 0.0
    for b in range(ints[BLOCKS]):
        block = ints[ints[AT_BLOCKS] + FIELDS * b : ints[AT_BLOCKS] + FIELDS * (b + 1)]
        width, groups = block[WIDTH], block[GROUPS]
        if width == 1:
            total += _single(q, phi, c, block, ints, floats)
            continue
        if width == 2:
            total += _pair(q, phi, c, block, ints, floats)
            continue
        factor, partial, remaining = _squares(width)
        root, precision, upper = _squares(width)
        _cholesky(q, block, factor, partial, remaining)
        log_scale = _inverse_root(q, block, factor, root, precision)
        total += _partial_prior(q, block, floats)
        u = np.empty(width)
        for group in range(groups):
            _upper_root(precision, floats, block[AT_INFORMATION] + group * width * width, upper)
            _score(phi, floats, ints, block, group, u)
            _solve_upper(upper, u)
            for k in range(width):
                u[k] += q[block[AT_EFFECT] + k * groups + group]
                total -= math.log(upper[k, k])  # Jacobian of v -> u
            _solve_upper_transposed(upper, u)
            for k in range(width):
                c[block[AT_COEFFICIENT] + k * groups + group] = u[k]
                w = 0.0
                for j in range(k + 1):
                    w += root[k, j] * u[j]
                total -= 0.5 * w * w
            total -= log_scale
    return total


@njit(error_model="numpy")
def _single(q, phi, c, block, ints, floats):
    """What `_blocks` does, for a block of one effect per group: the same in scalars."""
    groups, population, shift = block[GROUPS], ints[POPULATION], ints[AT_SHIFT]
    information, score, slope = block[AT_INFORMATION], block[AT_SCORE], block[AT_SLOPE]
    precision = math.exp(-2.0 * q[block[AT_SD]])
    total = -groups * q[block[AT_SD]]
    for group in range(groups):
        t = floats[score + group]
        if slope >= 0:
            for j in range(population):
                t -= floats[slope + group * population + j] * (phi[j] - floats[shift + j])
        square = precision + floats[information + group]
        u = t / square + q[block[AT_EFFECT] + group] / math.sqrt(square)
        c[block[AT_COEFFICIENT] + group] = u
        total -= 0.5 * (math.log(square) + precision * u * u)
    return total


@njit(error_model="numpy")
def _single_backward(q, phi, c, g, g_phi, gradient, block, ints, floats):
    """What `_blocks_backward` does, for a block of one effect per group."""
    groups, population, shift = block[GROUPS], ints[POPULATION], ints[AT_SHIFT]
    information, score, slope = block[AT_INFORMATION], block[AT_SCORE], block[AT_SLOPE]
    precision = math.exp(-2.0 * q[block[AT_SD]])
    by_precision = 0.0
    for group in range(groups):
        t = floats[score + group]
        if slope >= 0:
            for j in range(population):
                t -= floats[slope + group * population + j] * (phi[j] - floats[shift + j])
        square = precision + floats[information + group]
        inverse = 1.0 / square
        u, v = c[block[AT_COEFFICIENT] + group], q[block[AT_EFFECT] + group]
        by_u = g[block[AT_COEFFICIENT] + group] - precision * u
        root = math.sqrt(inverse)
        gradient[block[AT_EFFECT] + group] += by_u * root
        # u = t / square + v / sqrt(square)
        by_precision -= by_u * inverse * (t * inverse + 0.5 * v * root)
        by_precision -= 0.5 * (inverse + u * u)
        if slope >= 0:
            for j in range(population):
                g_phi[j] -= floats[slope + group * population + j] * by_u * inverse
    gradient[block[AT_SD]] -= 2.0 * precision * by_precision + groups


@njit(error_model="numpy")
def _pair_precision(q, block):
    """(E E')^-1 = [[a, b], [b, c]] for two effects, and their correlation r."""
    r = math.tanh(0.5 * q[block[AT_PARTIAL]]) if block[CORRELATED] else 0.0
    first, second = math.exp(-q[block[AT_SD]]), math.exp(-q[block[AT_SD] + 1])
    rest = 1.0 - r * r
    return first * first / rest, -r * first * second / rest, second * second / rest, r


@njit(error_model="numpy")
def _pair_score(phi, floats, ints, block, group):
    """t_g for two effects."""
    population, shift = ints[POPULATION], ints[AT_SHIFT]
    t0, t1 = floats[block[AT_SCORE] + 2 * group], floats[block[AT_SCORE] + 2 * group + 1]
    if block[AT_SLOPE] >= 0:
        at = block[AT_SLOPE] + 2 * group * population
        for j in range(population):
            moved = phi[j] - floats[shift + j]
            t0 -= floats[at + j] * moved
            t1 -= floats[at + population + j] * moved
    return t0, t1


@njit(error_model="numpy")
def _pair(q, phi, c, block, ints, floats):
    """What `_blocks` does, for a block of two effects per group: the same in scalars."""
    groups, effect, to = block[GROUPS], block[AT_EFFECT], block[AT_COEFFICIENT]
    a, b, d, r = _pair_precision(q, block)
    log_scale = q[block[AT_SD]] + q[block[AT_SD] + 1] + 0.5 * math.log(1.0 - r * r)
    total = _partial_prior(q, block, floats) - groups * log_scale
    for group in range(groups):
        at = block[AT_INFORMATION] + 4 * group
        u11 = math.sqrt(d + floats[at + 3])
        u01 = (b + floats[at + 1]) / u11
        u00 = math.sqrt(a + floats[at] - u01 * u01)
        t0, t1 = _pair_score(phi, floats, ints, block, group)
        w1 = t1 / u11
        w0 = (t0 - u01 * w1) / u00 + q[effect + group]
        w1 += q[effect + groups + group]
        x0 = w0 / u00
        x1 = (w1 - u01 * x0) / u11
        c[to + group], c[to + groups + group] = x0, x1
        total -= math.log(u00 * u11)
        total -= 0.5 * (a * x0 * x0 + d * x1 * x1) + b * x0 * x1
    return total


@njit(error_model="numpy")
def _pair_backward(q, phi, c, g, g_phi, gradient, block, ints, floats):
    """What `_blocks_backward` does, for a block of two effects per group."""
    groups, effect, to = block[GROUPS], block[AT_EFFECT], block[AT_COEFFICIENT]
    population, slope = ints[POPULATION], block[AT_SLOPE]
    a, b, d, r = _pair_precision(q, block)
    by_a, by_b, by_d = 0.0, 0.0, 0.0
    for group in range(groups):
        at = block[AT_INFORMATION] + 4 * group
        u11 = math.sqrt(d + floats[at + 3])
        u01 = (b + floats[at + 1]) / u11
        u00 = math.sqrt(a + floats[at] - u01 * u01)
        t0, t1 = _pair_score(phi, floats, ints, block, group)
        s1 = t1 / u11
        s0 = (t0 - u01 * s1) / u00
        x0, x1 = c[to + group], c[to + groups + group]
        w1 = (g[to + groups + group] - b * x0 - d * x1) / u11  # gradient by w
        w0 = (g[to + group] - a * x0 - b * x1 - u01 * w1) / u00
        gradient[effect + group] += w0
        gradient[effect + groups + group] += w1
        y0 = w0 / u00  # gradient by t
        y1 = (w1 - u01 * y0) / u11
        if slope >= 0:
            first = slope + 2 * group * population
            for j in range(population):
                g_phi[j] -= floats[first + j] * y0 + floats[first + population + j] * y1
        by_u00 = -x0 * w0 - y0 * s0 - 1.0 / u00
        by_u01 = -x0 * w1 - y0 * s1 - u01 * by_u00 / u00
        by_u11 = -x1 * w1 - y1 * s1 - 1.0 / u11 - by_u01 * u01 / u11
        by_a += 0.5 * (by_u00 / u00 - x0 * x0)
        by_b += by_u01 / u11 - x0 * x1
        by_d += 0.5 * (by_u11 / u11 - x1 * x1)
    gradient[block[AT_SD]] -= 2.0 * a * by_a + b * by_b + groups
    gradient[block[AT_SD] + 1] -= 2.0 * d * by_d + b * by_b + groups
    if block[CORRELATED]:
        by_r = 2.0 * r * (a * by_a + d * by_d) + groups * r
        by_r -= by_b * (1.0 + r * r) * math.sqrt(a * d)
        # r = tanh(raw / 2): dr / draw = rest / 2, which the divisions by rest have taken
        gradient[block[AT_PARTIAL]] += 0.5 * by_r - floats[block[AT_SHAPE]] * r


@njit(error_model="numpy")
def _squares(width):
    return np.empty((width, width)), np.empty((width, width)), np.empty((width, width))


@njit(error_model="numpy")
def _partial_prior(q, block, floats):
    """Beta(a, a) priors of the partial correlations on the logit scale."""
    total = 0.0
    if block[CORRELATED]:
        for pair in range(block[WIDTH] * (block[WIDTH] - 1) // 2):
            raw = q[block[AT_PARTIAL] + pair]
            # a (log b + log(1 - b)) with b = logistic(raw)
            shape = floats[block[AT_SHAPE] + pair]
            total -= shape * (abs(raw) + 2.0 * math.log1p(math.exp(-abs(raw))))
    return total


@njit(error_model="numpy")
def _blocks_backward(q, phi, c, g, g_phi, gradient, ints, floats):
    """Carry the gradient of the effects back to standard deviations, correlations, phi and v."""
    population = ints[POPULATION]
    for b in range(ints[BLOCKS]):
        block = ints[ints[AT_BLOCKS] + FIELDS * b : ints[AT_BLOCKS] + FIELDS * (b + 1)]
        width, groups = block[WIDTH], block[GROUPS]
        if width == 1:
            _single_backward(q, phi, c, g, g_phi, gradient, block, ints, floats)
            continue
        if width == 2:
            _pair_backward(q, phi, c, g, g_phi, gradient, block, ints, floats)
            continue
        factor, partial, remaining = _squares(width)
        root, precision, upper = _squares(width)
        _cholesky(q, block, factor, partial, remaining)
        _inverse_root(q, block, factor, root, precision)
        g_precision, g_upper, work = _squares(width)
        for i in range(width):
            for j in range(width):
                g_precision[i, j] = 0.0
        u, a, s = np.empty(width), np.empty(width), np.empty(width)
        for group in range(groups):
            _upper_root(precision, floats, block[AT_INFORMATION] + group * width * width, upper)
            _score(phi, floats, ints, block, group, s)
            _solve_upper(upper, s)
            for k in range(width):
                u[k] = c[block[AT_COEFFICIENT] + k * groups + group]
            for k in range(width):  # prior of u: -u' precision u / 2
                a[k] = g[block[AT_COEFFICIENT] + k * groups + group]
                for j in range(width):
                    a[k] -= precision[k, j] * u[j]
                    g_precision[k, j] -= 0.5 * u[k] * u[j]
            _solve_upper(upper, a)  # gradient by w = U^-1 t + v, where u = U^-T w
            for k in range(width):
                gradient[block[AT_EFFECT] + k * groups + group] += a[k]
                for j in range(k, width):
                    g_upper[k, j] = -u[k] * a[j]
                g_upper[k, k] -= 1.0 / upper[k, k]
            for k in range(width):
                u[k] = a[k]
            _solve_upper_transposed(upper, u)  # gradient by t
            slope = block[AT_SLOPE] + group * width * population
            for k in range(width):
                for j in range(k, width):
                    g_upper[k, j] -= u[k] * s[j]
                if block[AT_SLOPE] >= 0:
                    for j in range(population):
                        g_phi[j] -= floats[slope + k * population + j] * u[k]
            _root_backward(upper, g_upper, work, g_precision)
        _precision_backward(q, gradient, block, factor, root, g_precision, work, groups)
        _cholesky_backward(q, gradient, block, work, partial, remaining)
        if block[CORRELATED]:
            for pair in range(width * (width - 1) // 2):
                raw = q[block[AT_PARTIAL] + pair]
                shape = floats[block[AT_SHAPE] + pair]
                gradient[block[AT_PARTIAL] + pair] -= shape * math.tanh(0.5 * raw)


@njit(error_model="numpy")
def _root_backward(upper, g_upper, work, g_precision):
    """Add the gradient by the precision, given that by its upper root U.

    With Phi the upper triangle, its diagonal halved: sym(U^-T Phi(U' g) U^-1).
    """
    width = len(upper)
    for i in range(width):
        for j in range(width):
            value = 0.0
            if i <= j:
                for k in range(i + 1):
                    value += upper[k, i] * g_upper[k, j]
                if i == j:
                    value *= 0.5
            work[i, j] = value
    for j in range(width):  # U^-T from the left
        for i in range(width):
            for k in range(i):
                work[i, j] -= upper[k, i] * work[k, j]
            work[i, j] /= upper[i, i]
    for i in range(width):  # U^-1 from the right
        for j in range(width):
            for k in range(j):
                work[i, j] -= work[i, k] * upper[k, j]
            work[i, j] /= upper[j, j]
    for i in range(width):
        for j in range(width):
            g_precision[i, j] += 0.5 * (work[i, j] + work[j, i])


@njit(error_model="numpy")
def _precision_backward(q, gradient, block, factor, root, g_precision, g_factor, groups):
    """From the gradient by the precision to those by log sd and, in g_factor, by L."""
    width = block[WIDTH]
    g_root = np.zeros((width, width))
    for i in range(width):
        for j in range(i + 1):
            for k in range(i + 1):
                g_root[i, j] += 2.0 * root[i, k] * g_precision[k, j]
    # root = E^-1: the gradient by E is -root' g_root root'
    for i in range(width):
        sd = math.exp(q[block[AT_SD] + i])
        for j in range(i + 1):
            value = 0.0
            for k in range(i, width):
                inner = 0.0
                for m in range(j + 1):
                    inner += g_root[k, m] * root[j, m]
                value -= root[k, i] * inner
            gradient[block[AT_SD] + i] += value * sd * factor[i, j]
            g_factor[i, j] = value * sd
        gradient[block[AT_SD] + i] -= groups  # log |E| of every group
        g_factor[i, i] -= groups / factor[i, i]


@njit(error_model="numpy")
def _cholesky_backward(q, gradient, block, g_factor, partial, remaining):
    """From the gradient of the Cholesky factor to that of the raw partial correlations."""
    if not block[CORRELATED]:
        return
    for i in range(1, block[WIDTH]):
        first = block[AT_PARTIAL] + i * (i - 1) // 2
        g_rest = 0.5 * g_factor[i, i] / math.sqrt(remaining[i, i])
        for j in range(i - 1, -1, -1):
            r, rest = partial[i, j], remaining[i, j]
            root = math.sqrt(rest)
            g_r = g_factor[i, j] * root - 2.0 * r * rest * g_rest
            g_rest = 0.5 * g_factor[i, j] * r / root + g_rest * (1.0 - r * r)
            gradient[first + j] += 0.5 * g_r * (1.0 - r * r)  # r = tanh(raw / 2)


@njit(error_model="numpy", fastmath=SUMS)
def _times(values, c, ints, index, floats):
    """values = M c: the value of each distinct row of each part."""
    ends, columns, matrix = ints[AT_ROW_ENDS], ints[AT_COLUMNS], ints[AT_MATRIX]
    start = 0
    for row in range(len(values)):
        end = index[ends + row]
        total = 0.0
        for k in range(start, end):
            total += floats[matrix + k] * c[index[columns + k]]
        values[row] = total
        start = end


@njit(error_model="numpy")
def _times_transposed(g, values, ints, index, floats):
    """g = M' values: the gradient of each coefficient."""
    ends, columns, matrix = ints[AT_ROW_ENDS], ints[AT_COLUMNS], ints[AT_MATRIX]
    start = 0
    for row in range(len(values)):
        end = index[ends + row]
        value = values[row]
        for k in range(start, end):
            g[index[columns + k]] += floats[matrix + k] * value
        start = end


@njit(error_model="numpy")
def _look_up(eta, values, ints, index, floats):
    """eta = offset + the values of each row's parts."""
    n = len(eta)
    offset = ints[AT_OFFSET]
    for i in range(n):
        eta[i] = floats[offset + i]
    for part in range(ints[PARTS]):
        rows = index[ints[AT_INDEX] + part * n : ints[AT_INDEX] + (part + 1) * n]
        for i in range(n):
            eta[i] += values[rows[i]]


@njit(error_model="numpy")
def _add_up(values, residual, ints, index):
    """Sum of the residuals of the rows that share a part's distinct row."""
    n = len(residual)
    for part in range(ints[PARTS]):
        rows = index[ints[AT_INDEX] + part * n : ints[AT_INDEX] + (part + 1) * n]
        for i in range(n):
            values[rows[i]] += residual[i]


@njit(error_model="numpy", fastmath=SUMS)
def _sum(values):
    total = 0.0
    for i in range(len(values)):
        total += values[i]
    return total


@njit(error_model="numpy", fastmath=SUMS)
def _dot(a, b):
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@njit(error_model="numpy")
def _likelihood(eta, residual, q, gradient, ints, floats):
    """Log likelihood; its derivative by eta goes into `residual`."""
    n = ints[ROWS]
    y = floats[ints[AT_OUTCOME] : ints[AT_OUTCOME] + n]
    m = floats[ints[AT_TRIALS] : ints[AT_TRIALS] + n]
    family, link = ints[FAMILY], ints[LINK]
    if family == SUCCESSES:
        if link == LOGIT:
            return _successes_logit(eta, residual, y, m)
        if link == PROBIT:
            return _successes_probit(eta, residual, y, m)
        return _successes_cloglog(eta, residual, y, m)
    # for the others, eta becomes the mean and `slope` its derivative by eta
    slope = np.empty(n)
    for i in range(n):
        slope[i] = 1.0
    if link == LOG:
        _exp(eta, slope)
    if family == POISSON:
        return _poisson(eta, slope, residual, y, m)
    at = ints[POPULATION]
    if family == GAUSSIAN:
        totals = ints[AT_TOTALS]
        return _gaussian(
            eta, slope, residual, y, m, q[at], gradient, at, floats[totals], floats[totals + 1]
        )
    counts = floats[ints[AT_COUNTS] : ints[AT_COUNTS] + 2 * ints[COUNTS]]
    return _negative_binomial(eta, slope, residual, y, m, q[at], gradient, at, counts)


@njit(error_model="numpy", fastmath=EXACT)
def _exp(eta, slope):
    for i in range(len(eta)):
        slope[i] = fast_exp(eta[i])
    for i in range(len(eta)):
        eta[i] = slope[i]


@njit(error_model="numpy", fastmath=EXACT)
def _successes_logit(eta, residual, y, m):
    terms = np.empty(len(eta))
    for i in range(len(eta)):
        h = eta[i]
        e = fast_exp(-abs(h))
        inverse = 1.0 / (1.0 + e)
        p = inverse if h >= 0.0 else e * inverse
        terms[i] = y[i] * h - m[i] * (max(h, 0.0) + fast_log1p(e))
        residual[i] = y[i] - m[i] * p
    return _sum(terms)


@njit(error_model="numpy")
def _log_ndtr(x):
    """log of the normal distribution function, and the density's ratio to it."""
    if x > -30.0:
        p = 0.5 * math.erfc(-x * 0.7071067811865476)
        return math.log(p), 0.3989422804014327 * math.exp(-0.5 * x * x) / p
    # the tail's continued fraction
    z = -x
    ratio = z + 1.0 / (z + 2.0 / (z + 3.0 / (z + 4.0 / (z + 5.0 / z))))
    return -0.5 * x * x - 0.9189385332046727 - math.log(ratio), ratio


@njit(error_model="numpy")
def _successes_probit(eta, residual, y, m):
    total = 0.0
    for i in range(len(eta)):
        log_p, up = _log_ndtr(eta[i])
        log_q, down = _log_ndtr(-eta[i])
        total += y[i] * log_p + (m[i] - y[i]) * log_q
        residual[i] = y[i] * up - (m[i] - y[i]) * down
    return total


@njit(error_model="numpy")
def _successes_cloglog(eta, residual, y, m):
    total = 0.0
    for i in range(len(eta)):
        mean = math.exp(eta[i])
        p = -math.expm1(-mean)
        total -= (m[i] - y[i]) * mean
        residual[i] = -(m[i] - y[i]) * mean
        if y[i] > 0.0:
            total += y[i] * math.log(p)
            residual[i] += y[i] * mean * math.exp(-mean) / p if mean > 0.0 else y[i]
    return total


@njit(error_model="numpy")
def _poisson(mean, slope, residual, y, m):
    total = 0.0
    for i in range(len(mean)):
        if mean[i] < 0.0 or (mean[i] == 0.0 and y[i] > 0.0):
            return -np.inf
        if y[i] > 0.0:
            total += y[i] * math.log(mean[i])
        total -= m[i] * mean[i]
        residual[i] = (y[i] / mean[i] - m[i]) * slope[i] if y[i] > 0.0 else -m[i] * slope[i]
    return total


@njit(error_model="numpy")
def _gaussian(mean, slope, residual, y, m, raw, gradient, at, respondents, within):
    sigma = math.exp(raw)
    for i in range(len(mean)):
        residual[i] = y[i] - mean[i]
    squares = within
    for i in range(len(mean)):
        squares += m[i] * residual[i] * residual[i]
        residual[i] *= m[i] * slope[i] / (sigma * sigma)
    gradient[at] += squares / (sigma * sigma) - respondents
    return -respondents * raw - 0.5 * squares / (sigma * sigma)


@njit(error_model="numpy")
def _digamma(x):
    total = 0.0
    while x < 10.0:
        total -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132)))))
    return total + math.log(x) - 0.5 / x - series


@njit(error_model="numpy")
def _negative_binomial(mean, slope, residual, y, m, raw, gradient, at, counts):
    """Counts with mean mu and variance mu + mu^2 / alpha, each row `m` times."""
    alpha = math.exp(raw)
    total, d_alpha = 0.0, 0.0
    # the gamma functions depend on the outcome only: once for each distinct one
    distinct = len(counts) // 2
    for k in range(distinct):
        value, times = counts[k], counts[distinct + k]
        total += times * (math.lgamma(value + alpha) - math.lgamma(alpha))
        d_alpha += times * (_digamma(value + alpha) - _digamma(alpha))
    for i in range(len(mean)):
        if mean[i] < 0.0 or (mean[i] == 0.0 and y[i] > 0.0):
            return -np.inf
        log_odds = math.log1p(mean[i] / alpha)  # = log((alpha + mu) / alpha)
        total -= m[i] * (alpha + y[i]) * log_odds
        if y[i] > 0.0:
            total += m[i] * y[i] * (math.log(mean[i]) - raw)
        share = (y[i] - mean[i]) / (alpha + mean[i])
        d_alpha -= m[i] * (log_odds + share)
        weight = m[i] * alpha * slope[i]
        residual[i] = weight * share / mean[i] if mean[i] > 0.0 else -m[i] * slope[i]
    gradient[at] += d_alpha * alpha
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def coefficients(draws, ints, floats):
    """Uncentred intercept, slopes and effects (draws, c) for draws of q (draws, dim)."""
    result = np.zeros((len(draws), ints[COEFFICIENTS]))
    phi = np.empty(ints[POPULATION])
    for s in range(len(draws)):
        _population(draws[s], phi, result[s], ints, floats)
        _blocks(draws[s], phi, result[s], ints, floats)
    return result


SIGNATURE = types.int64(
    types.uint64,
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.voidptr,
)
EXPAND_SIGNATURE = types.int64(
    types.uint64,
    types.uint64,
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.voidptr,
)


@numba.cfunc(SIGNATURE, cache=True, error_model="numpy")
def c_log_density(dim, q_pointer, gradient_pointer, value_pointer, data_pointer):
    """`log_density` for a sampler without Python: arrays come as pointers.

    The data are three addresses, each followed by a length. Returns 0, or an error code that the
    sampler takes for a divergence.
    """
    data = numba.carray(data_pointer, (6,), np.int64)
    ints = numba.carray(as_pointer(data[0]), (data[1],), np.int64)
    index = numba.carray(as_pointer(data[2]), (data[3],), np.int32)
    floats = numba.carray(as_pointer(data[4]), (data[5],), np.float64)
    q = numba.carray(q_pointer, (dim,))
    gradient = numba.carray(gradient_pointer, (dim,))
    value = log_density(q, gradient, ints, index, floats)
    numba.carray(value_pointer, (1,))[0] = value
    if not math.isfinite(value):
        return 4
    for k in range(len(gradient)):
        if not math.isfinite(gradient[k]):
            return 3
    return 0


@numba.cfunc(EXPAND_SIGNATURE, cache=True)
def c_expand(dim, expanded, q_pointer, out_pointer, data_pointer):
    """What the sampler keeps of a draw: the unconstrained parameters as they are."""
    q = numba.carray(q_pointer, (dim,))
    out = numba.carray(out_pointer, (expanded,))
    for k in range(len(out)):
        out[k] = q[k]
    return 0
