"""Stages of effects of groups: their precisions, their values, their density."""

from __future__ import annotations

import math

from numba import njit

from mrp.model.kernel.header import (
    AT_BEND,
    AT_BLOCKS,
    AT_COEFFICIENT,
    AT_EFFECT,
    AT_G,
    AT_G_JOINT,
    AT_INFORMATION,
    AT_JOINT,
    AT_LOG_SD,
    AT_MOVED,
    AT_PARTIAL,
    AT_SCORE,
    AT_SCRATCH,
    AT_SD,
    AT_SHAPE,
    AT_SLOPE,
    BLOCKS,
    FACTOR,
    FIELDS,
    G_FACTOR,
    G_PRECISION,
    G_ROOT,
    GROUPS,
    INNER,
    JOINT,
    MATRICES,
    PARTIAL,
    PRECISION,
    REMAINING,
    ROOT,
    TOGETHER,
    WIDTH,
)
from mrp.model.kernel.stages.arithmetic import after, as_singles
from mrp.model.kernel.stages.loops import (
    add,
    add_product,
    add_up,
    combine,
    copy,
    dot,
    fill,
    inverse_square_root,
    lift,
    multiply,
    negate,
    sum_of_logs,
)


def scales(q, gradient, ints, index, floats, work):
    """Precisions of effects; U^-1 of groups of conditional blocks; density of correlations."""
    total = 0.0
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        matrices, log_sd = after(work, block[AT_SCRATCH]), after(work, block[AT_LOG_SD])
        for k in range(block[WIDTH]):
            bend = after(floats, block[AT_BEND] + 2 * k)
            log_sd[k], slope, _ = bent(q[block[AT_SD] + k], bend)
            total += math.log(slope)
        _cholesky(q, block, matrices)
        _inverse_root(log_sd, block, matrices)
        if block[AT_JOINT] < 0:
            _invert_roots(block, floats, matrices)
        total += _partial_prior(q, block, floats)
    return total


@njit(**INNER)
def bent(x, bend):
    """Logarithm of a standard deviation from its x, with its first two derivatives.

    With r = log(1 + exp(-x)) it is ``shift + x - bend r^2 / 2``. Where the data can't tell a
    standard deviation from zero, its density is about even there and so that of its logarithm has
    a tail of exponential length; in x the tail is a normal one.
    """
    e = math.exp(-abs(x))
    r = max(-x, 0.0) + math.log1p(e)
    share = e / (1.0 + e) if x >= 0.0 else 1.0 / (1.0 + e)
    curve = share * share + r * share * (1.0 - share)
    return bend[0] + x - 0.5 * bend[1] * r * r, 1.0 + bend[1] * r * share, -bend[1] * curve


@njit(**INNER)
def _invert_roots(block, floats, work):
    """U^-1 of every group, where U U' is the precision of its effects given the joint block."""
    width, groups = block[WIDTH], block[GROUPS]
    square = width * width
    precision = after(work, PRECISION * square)
    inverse = after(work, MATRICES * square)
    for j in range(width - 1, -1, -1):
        for i in range(j, -1, -1):
            own = after(inverse, (i * width + j) * groups)
            information = after(floats, block[AT_INFORMATION] + (i * width + j) * groups)
            lift(own, precision[i * width + j], information, groups)
            for k in range(j + 1, width):
                across = after(inverse, (i * width + k) * groups)
                add_product(own, -1.0, across, after(inverse, (j * width + k) * groups), groups)
            if i == j:
                inverse_square_root(own, groups)
            else:
                multiply(own, after(inverse, (j * width + j) * groups), groups)
    # so far U, with its diagonal inverted
    for j in range(width - 1, -1, -1):
        last = after(inverse, (j * width + j) * groups)
        for i in range(j - 1, -1, -1):
            own = after(inverse, (i * width + j) * groups)
            multiply(own, last, groups)
            for k in range(i + 1, j):
                across = after(inverse, (i * width + k) * groups)
                add_product(own, 1.0, across, after(inverse, (k * width + j) * groups), groups)
            multiply(own, after(inverse, (i * width + i) * groups), groups)
            negate(own, groups)


@njit(**INNER)
def _cholesky(q, block, work):
    """Cholesky factor (width, width) from raw partial correlations, with what went into it."""
    width, pair = block[WIDTH], block[AT_PARTIAL]
    square = width * width
    factor, partial = after(work, FACTOR * square), after(work, PARTIAL * square)
    remaining = after(work, REMAINING * square)
    fill(factor, 0.0, square)
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
def _inverse_root(log_sd, block, work):
    """Root = E^-1 (lower) and precision = E^-T E^-1 for E = diag(sd) L."""
    width = block[WIDTH]
    square = width * width
    factor, root = after(work, FACTOR * square), after(work, ROOT * square)
    precision = after(work, PRECISION * square)
    for j in range(width):
        inverse_sd = math.exp(-log_sd[j])
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


def effects(q, gradient, ints, index, floats, work):
    """Effects of the groups of conditional blocks into c; log density of all effects."""
    total = 0.0
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        if block[AT_JOINT] < 0:
            total += _effect(q, block, ints, floats, work)
        total += _effect_prior(block, work)
    return total


@njit(**INNER)
def _effect(q, block, ints, floats, work):
    """u_g = U_g^-T (U_g^-1 t_g + v_g), and the log Jacobian."""
    width, groups, n = block[WIDTH], block[GROUPS], ints[JOINT]
    length, square = width * groups, width * width
    moved, u = after(work, ints[AT_MOVED]), after(work, block[AT_COEFFICIENT])
    inverse = after(work, block[AT_SCRATCH] + MATRICES * square)
    s, w = after(inverse, square * groups), after(inverse, (square + width) * groups)

    copy(s, after(floats, block[AT_SCORE]), length)  # s = U^-1 t
    if block[AT_SLOPE] >= 0:
        slope = as_singles(after(floats, block[AT_SLOPE]))
        for j in range(n):
            add(s, -moved[j], after(slope, j * length), length)
    _solve(inverse, s, width, groups)
    add_up(w, u, s, after(q, block[AT_EFFECT]), length)  # w = s + v, u = U^-T w
    _solve_transposed(inverse, u, width, groups)

    total = 0.0
    for k in range(width):
        total += sum_of_logs(after(inverse, (k * width + k) * groups), groups)
    return total


@njit(**INNER)
def _effect_prior(block, work):
    """Log density of effects given sd and L; begins the gradient by their precision."""
    width, groups = block[WIDTH], block[GROUPS]
    square, u = width * width, after(work, block[AT_COEFFICIENT])
    log_sd = after(work, block[AT_LOG_SD])
    matrices = after(work, block[AT_SCRATCH])
    factor, precision = after(matrices, FACTOR * square), after(matrices, PRECISION * square)
    g_precision = after(matrices, G_PRECISION * square)
    total = 0.0
    for k in range(width):
        total -= groups * (log_sd[k] + math.log(factor[k * width + k]))
        for j in range(width):
            product = dot(after(u, k * groups), after(u, j * groups), groups)
            g_precision[k * width + j] = -0.5 * product
            total -= 0.5 * precision[k * width + j] * product
    return total


@njit(**INNER)
def _solve(inverse, x, width, groups):
    """X = U^-1 x for every group."""
    for i in range(width):
        own = after(x, i * groups)
        multiply(own, after(inverse, (i * width + i) * groups), groups)
        for k in range(i + 1, width):
            across = after(inverse, (i * width + k) * groups)
            add_product(own, 1.0, across, after(x, k * groups), groups)


@njit(**INNER)
def _solve_transposed(inverse, x, width, groups):
    """X = U^-T x for every group."""
    for i in range(width - 1, -1, -1):
        own = after(x, i * groups)
        multiply(own, after(inverse, (i * width + i) * groups), groups)
        for k in range(i):
            above = after(inverse, (k * width + i) * groups)
            add_product(own, 1.0, above, after(x, k * groups), groups)


def effects_backward(q, gradient, ints, index, floats, work):
    """Carry the gradient of conditional blocks back to v and the joint block, and to precisions."""
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        _effect_prior_backward(block, ints, work)
        if block[AT_JOINT] < 0:
            _effect_backward(gradient, block, ints, floats, work)
    return 0.0


@njit(**INNER)
def _effect_prior_backward(block, ints, work):
    width, groups = block[WIDTH], block[GROUPS]
    precision = after(work, block[AT_SCRATCH] + PRECISION * width * width)
    u, a = after(work, block[AT_COEFFICIENT]), after(work, ints[AT_G] + block[AT_COEFFICIENT])
    for k in range(width):
        for j in range(width):
            add(after(a, k * groups), -precision[k * width + j], after(u, j * groups), groups)


@njit(**INNER)
def _effect_backward(gradient, block, ints, floats, work):
    width, groups, n = block[WIDTH], block[GROUPS], ints[JOINT]
    length, square = width * groups, width * width
    matrices = after(work, block[AT_SCRATCH])
    g_precision = after(matrices, G_PRECISION * square)
    inverse = after(matrices, MATRICES * square)
    s, w = after(inverse, square * groups), after(inverse, (square + width) * groups)
    moved = after(inverse, (square + 2 * width) * groups)
    a, g_joint = after(work, ints[AT_G] + block[AT_COEFFICIENT]), after(work, ints[AT_G_JOINT])

    _solve(inverse, a, width, groups)
    add(after(gradient, block[AT_EFFECT]), 1.0, a, length)

    # U' times the gradient by U, its diagonal halved, then times U^-1
    for i in range(width):
        for j in range(i, width):
            own = after(moved, (i * width + j) * groups)
            w_i, a_i = after(w, i * groups), after(a, i * groups)
            s_j, a_j = after(s, j * groups), after(a, j * groups)
            if i == j:
                combine(own, -0.5, -0.5, w_i, a_j, a_i, s_j, groups)
            else:
                combine(own, 0.0, -1.0, w_i, a_j, a_i, s_j, groups)
    for i in range(width):
        for j in range(width - 1, i - 1, -1):
            own = after(moved, (i * width + j) * groups)
            multiply(own, after(inverse, (j * width + j) * groups), groups)
            for k in range(i, j):
                across = after(moved, (i * width + k) * groups)
                add_product(own, 1.0, across, after(inverse, (k * width + j) * groups), groups)
    for i in range(width):  # U^-T from the left, summed over groups and made symmetric
        for j in range(width):
            for k in range(min(i, j) + 1):
                left = after(inverse, (k * width + i) * groups)
                value = 0.5 * dot(left, after(moved, (k * width + j) * groups), groups)
                g_precision[i * width + j] += value
                g_precision[j * width + i] += value

    if block[AT_SLOPE] >= 0:
        _solve_transposed(inverse, a, width, groups)  # gradient by t
        slope = as_singles(after(floats, block[AT_SLOPE]))
        for j in range(n):
            g_joint[j] -= dot(after(slope, j * length), a, length)


def scales_backward(q, gradient, ints, index, floats, work):
    """From the gradient by the precisions to those by log sd and the partial correlations."""
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        log_sd = after(work, block[AT_LOG_SD])
        _scale_backward(q, log_sd, gradient, block, floats, after(work, block[AT_SCRATCH]))
        for k in range(block[WIDTH]):
            at = block[AT_SD] + k
            _, slope, curve = bent(q[at], after(floats, block[AT_BEND] + 2 * k))
            gradient[at] = gradient[at] * slope + curve / slope
    return 0.0


@njit(**INNER)
def _scale_backward(q, log_sd, gradient, block, floats, work):
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
        sd = math.exp(log_sd[i])
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
