"""Stages of the joint block: population-level coefficients and the effects that go with them.

With x of the coefficients (less their shift) and the joint effects, and Q their prior precision,

    P = K + Q - sum_g C_g' (I_g + Omega)^-1 C_g = L L'
    x = centre + P^-1 (score - Q centre) + L^-T z

so that z is about standard normal whatever the standard deviations and correlations in Q are. K is
the information about x; the sum over the groups of conditional blocks is there where P follows
their Omega, too, and else in K, for one Omega. Any K, score and centre give the same posterior.

Backwards, L' times the gradient by L is known without the gradient: as L' y = z for y = L^-T z, its
lower part is that of ``-z v'``, where v = L^-1 g is the gradient by z. With A = L^-1, w = L^-T v and
m = P^-1 (score - Q centre), the gradient by P is

    -(w m' + m w' + A' D + D' A) / 2,   D_rj = z_r (sum_{k<r} a_kj v_k + a_rj v_r / 2) + a_rj / 2

so that beside A only sums are needed. LAPACK computes L and A; matrices lie column by column, with
their lower triangles. Effects come first, block by block, and coefficients last.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mrp.model.kernel.arithmetic import after, call, is_zero
from mrp.model.kernel.header import (
    AS_IT_IS,
    AT_BLOCKS,
    AT_CENTRE,
    AT_COEFFICIENT,
    AT_CURVATURE,
    AT_EFFECT,
    AT_FOLLOWING,
    AT_G,
    AT_G_JOINT,
    AT_G_PHI,
    AT_JOINT,
    AT_JOINT_SCORE,
    AT_MOVED,
    AT_PHI,
    AT_ROOT,
    AT_SCRATCH,
    AT_SHIFT,
    AT_SLOPE,
    BLOCKS,
    EFFECTS_TOO,
    FIELDS,
    FOLLOWS,
    G_PRECISION,
    GROUPS,
    INNER,
    JOINT,
    LOWER,
    MATRICES,
    POPULATION,
    POTRF,
    PRECISION,
    TRTRI,
    VECTORS,
    WIDTH,
)
from mrp.model.kernel.loops import add, add_product, copy, dot, fill, multiply, sum_up
from mrp.model.kernel.population import uncentre


def joint(q, gradient, ints, index, floats, work):
    """Coefficients and joint effects from q; the log Jacobian."""
    n = ints[JOINT]
    root = after(work, ints[AT_ROOT])
    vectors = after(root, 2 * n * n)
    a, z, mean, moved = (
        vectors,
        after(vectors, n),
        after(vectors, 2 * n),
        after(work, ints[AT_MOVED]),
    )
    _precision(ints, floats, work)
    total = _invert(root, after(vectors, VECTORS * n), ints)
    copy(mean, after(floats, ints[AT_JOINT_SCORE]), n)
    _less_prior(mean, ints, floats, work)
    for j in range(n):  # a = A (score - Q centre)
        a[j] = 0.0
    for j in range(n):
        add(after(a, j), mean[j], after(root, j * n + j), n - j)
    _gather(z, q, ints)
    for j in range(n):  # A' a and A' (a + z)
        column = after(root, j * n + j)
        mean[j] = dot(column, after(a, j), n - j)
        moved[j] = mean[j] + dot(column, after(z, j), n - j)
    _place(ints, floats, work)
    uncentre(after(work, ints[AT_PHI]), ints, floats, work)
    fill(after(work, ints[AT_G_JOINT]), 0.0, n)
    return total


@njit(**INNER)
def _precision(ints, floats, work):
    """The lower triangle of P."""
    n, root = ints[JOINT], after(work, ints[AT_ROOT])
    copy(root, after(floats, ints[AT_CURVATURE]), n * n)
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        width, groups, first = block[WIDTH], block[GROUPS], block[AT_JOINT]
        if first < 0:
            continue
        precision = after(work, block[AT_SCRATCH] + PRECISION * width * width)
        for k in range(width):
            for j in range(k + 1):
                value = precision[k * width + j]
                for g in range(groups):
                    root[(first + j * groups + g) * n + first + k * groups + g] += value
    if ints[FOLLOWS] == EFFECTS_TOO:
        _less_absorbed(root, ints, floats, work)


@njit(**INNER)
def _less_absorbed(root, ints, floats, work):
    """Take away what conditional effects absorb: P - sum_g C_g' (I_g + Omega)^-1 C_g."""
    n = ints[JOINT]
    scaled = after(work, ints[AT_FOLLOWING] + n * n)
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        if block[AT_JOINT] >= 0 or block[AT_SLOPE] < 0:
            continue
        _scaled_slopes(scaled, block, n, floats, work)
        length = block[WIDTH] * block[GROUPS]
        for j in range(n):
            for i in range(j, n):
                root[j * n + i] -= dot(after(scaled, i * length), after(scaled, j * length), length)


@njit(**INNER)
def _scaled_slopes(scaled, block, n, floats, work):
    """U_g^-1 C_g of every group (n, width, groups)."""
    width, groups = block[WIDTH], block[GROUPS]
    inverse = after(work, block[AT_SCRATCH] + MATRICES * width * width)
    slope = after(floats, block[AT_SLOPE])
    fill(scaled, 0.0, n * width * groups)
    for k in range(width):
        for m in range(k, width):
            across = after(inverse, (k * width + m) * groups)
            for j in range(n):
                own = after(scaled, (j * width + k) * groups)
                add_product(own, 1.0, after(slope, (j * width + m) * groups), across, groups)


@njit(**INNER)
def _invert(root, failed, ints):
    """L^-1 in place of P; minus the logarithm of L's determinant."""
    n = ints[JOINT]
    letter, as_it_is, size = after(ints, LOWER), after(ints, AS_IT_IS), after(ints, JOINT)
    failed[0] = 0.0
    call(ints[POTRF], (letter, size, root, size, failed))
    if not is_zero(failed):
        return -np.inf
    total = 0.0
    for j in range(n):
        total -= math.log(root[j * n + j])
    call(ints[TRTRI], (letter, as_it_is, size, root, size, failed))
    return total


@njit(**INNER)
def _less_prior(x, ints, floats, work):
    """X = x - Q centre."""
    centre = after(floats, ints[AT_CENTRE])
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        width, groups, first = block[WIDTH], block[GROUPS], block[AT_JOINT]
        if first < 0:
            continue
        precision = after(work, block[AT_SCRATCH] + PRECISION * width * width)
        for k in range(width):
            own = after(x, first + k * groups)
            for j in range(width):
                other = after(centre, first + j * groups)
                add(own, -precision[k * width + j], other, groups)


@njit(**INNER)
def _gather(z, q, ints):
    """The joint block's part of q."""
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        if block[AT_JOINT] >= 0:
            length = block[WIDTH] * block[GROUPS]
            copy(after(z, block[AT_JOINT]), after(q, block[AT_EFFECT]), length)
    p = ints[POPULATION]
    copy(after(z, ints[JOINT] - p), q, p)


@njit(**INNER)
def _place(ints, floats, work):
    """Effects into c, coefficients into phi."""
    moved, centre = after(work, ints[AT_MOVED]), after(floats, ints[AT_CENTRE])
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        first = block[AT_JOINT]
        if first >= 0:
            u = after(work, block[AT_COEFFICIENT])
            length = block[WIDTH] * block[GROUPS]
            sum_up(u, after(centre, first), after(moved, first), length)
    p = ints[POPULATION]
    sum_up(
        after(work, ints[AT_PHI]), after(floats, ints[AT_SHIFT]), after(moved, ints[JOINT] - p), p
    )


def joint_backward(q, gradient, ints, index, floats, work):
    """Carry the gradient by coefficients and joint effects back to q and to precisions."""
    n = ints[JOINT]
    root = after(work, ints[AT_ROOT])
    inner = after(root, n * n)
    vectors = after(root, 2 * n * n)
    z, mean = after(vectors, n), after(vectors, 2 * n)
    v, w, g = vectors, after(vectors, 3 * n), after(work, ints[AT_G_JOINT])
    _gather_gradient(g, ints, work)
    fill(v, 0.0, n)
    for j in range(n):
        add(after(v, j), g[j], after(root, j * n + j), n - j)
    for j in range(n):
        w[j] = dot(after(root, j * n + j), after(v, j), n - j)
    _scatter(gradient, v, ints)
    for j in range(n):
        _inner(after(inner, j * n), after(root, j * n), z, v, j, n)
    if ints[FOLLOWS] == EFFECTS_TOO:
        _absorbed_backward(root, inner, w, mean, ints, floats, work)
    add(mean, 1.0, after(floats, ints[AT_CENTRE]), n)
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        if block[AT_JOINT] >= 0:
            _block_backward(block, root, inner, w, mean, n, work)
    return 0.0


@njit(**INNER)
def _gather_gradient(g, ints, work):
    """Add what effects and coefficients have to the gradient by x."""
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        if block[AT_JOINT] >= 0:
            own = after(work, ints[AT_G] + block[AT_COEFFICIENT])
            add(after(g, block[AT_JOINT]), 1.0, own, block[WIDTH] * block[GROUPS])
    p = ints[POPULATION]
    add(after(g, ints[JOINT] - p), 1.0, after(work, ints[AT_G_PHI]), p)


@njit(**INNER)
def _scatter(gradient, v, ints):
    """Add the gradient by z to that by q."""
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        if block[AT_JOINT] >= 0:
            length = block[WIDTH] * block[GROUPS]
            add(after(gradient, block[AT_EFFECT]), 1.0, after(v, block[AT_JOINT]), length)
    p = ints[POPULATION]
    add(gradient, 1.0, after(v, ints[JOINT] - p), p)


@njit(**INNER)
def _inner(d, a, z, v, j, n):
    """Column j of D."""
    before = 0.0
    for r in range(j, n):
        own = a[r] * v[r]
        d[r] = z[r] * (before + 0.5 * own) + 0.5 * a[r]
        before += own


@njit(**INNER)
def _by_precision(root, inner, w, mean, i, j, n):
    """Gradient by P at (i, j), with i >= j."""
    first, second = after(root, i * n + i), after(root, j * n + i)
    total = w[i] * mean[j] + mean[i] * w[j]
    total += dot(first, after(inner, j * n + i), n - i)
    total += dot(second, after(inner, i * n + i), n - i)
    return -0.5 * total


@njit(**INNER)
def _block_backward(block, root, inner, w, mean, n, work):
    """Add a joint block's part of the gradient by P to that by its precision."""
    width, groups, first = block[WIDTH], block[GROUPS], block[AT_JOINT]
    g_precision = after(work, block[AT_SCRATCH] + G_PRECISION * width * width)
    for k in range(width):
        for j in range(k + 1):
            value = 0.0
            for g in range(groups):
                i = first + k * groups + g
                value += _by_precision(root, inner, w, mean, i, first + j * groups + g, n)
            g_precision[k * width + j] += value
            if j < k:
                g_precision[j * width + k] += value


@njit(**INNER)
def _absorbed_backward(root, inner, w, mean, ints, floats, work):
    """Carry the gradient by P to the precisions of the conditional effects that it follows."""
    n = ints[JOINT]
    g = after(work, ints[AT_FOLLOWING])
    scaled = after(g, n * n)
    for j in range(n):
        for i in range(j, n):
            g[j * n + i] = g[i * n + j] = _by_precision(root, inner, w, mean, i, j, n)
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        if block[AT_JOINT] >= 0 or block[AT_SLOPE] < 0:
            continue
        width, groups = block[WIDTH], block[GROUPS]
        length = width * groups
        moved = after(scaled, n * length)
        inverse = after(work, block[AT_SCRATCH] + MATRICES * width * width)
        g_precision = after(work, block[AT_SCRATCH] + G_PRECISION * width * width)
        _scaled_slopes(scaled, block, n, floats, work)
        for k in range(width - 1, -1, -1):  # U_g^-T U_g^-1 C_g
            for j in range(n):
                own = after(scaled, (j * width + k) * groups)
                multiply(own, after(inverse, (k * width + k) * groups), groups)
                for m in range(k):
                    above = after(inverse, (m * width + k) * groups)
                    add_product(own, 1.0, after(scaled, (j * width + m) * groups), above, groups)
        for j in range(n):
            fill(moved, 0.0, length)
            for i in range(n):
                add(moved, g[j * n + i], after(scaled, i * length), length)
            for k in range(width):
                for m in range(width):
                    other = after(scaled, (j * width + m) * groups)
                    g_precision[k * width + m] += dot(after(moved, k * groups), other, groups)
