"""Stages of the joint block: population-level coefficients and the effects that go with them.

With x of the coefficients (less their shift) and the joint effects, and Q their prior precision,

    P = K + Q = L L'
    x = centre + P^-1 (score - Q centre) + L^-T z

so that z is about standard normal whatever the standard deviations and correlations in Q are. K is
the information about x. Any K, score and centre give the same posterior.

Backwards, L' times the gradient by L is known without the gradient: as L' y = z for y = L^-T z, its
lower part is that of ``-z v'``, where v = L^-1 g is the gradient by z. With A = L^-1, w = A' v and
m = P^-1 (score - Q centre), the gradient by P is

    -(w m' + m w' + A' D + D' A) / 2,   D_rj = z_r (sum_{k<r} a_kj v_k + a_rj v_r / 2) + a_rj / 2

so that beside A only sums are needed. Matrices lie row by row, with their lower triangles; LAPACK
factors P. Effects come first, block by block, and coefficients last.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mrp.model.kernel.header import (
    AT_BLOCKS,
    AT_CENTRE,
    AT_COEFFICIENT,
    AT_CURVATURE,
    AT_EFFECT,
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
    BLOCKS,
    FIELDS,
    G_PRECISION,
    GROUPS,
    INNER,
    JOINT,
    POPULATION,
    POTRF,
    PRECISION,
    SUMS,
    UPPER,
    VECTORS,
    WIDTH,
)
from mrp.model.kernel.stages.arithmetic import after, call, is_zero
from mrp.model.kernel.stages.loops import add, copy, dot, fill, sum_up
from mrp.model.kernel.stages.population import uncentre


def joint(q, gradient, ints, index, floats, work):
    """Coefficients and joint effects from q; the log Jacobian."""
    n, moved = ints[JOINT], after(work, ints[AT_MOVED])
    root = after(work, ints[AT_ROOT])
    inverse, vectors = after(root, n * n), after(root, 2 * n * n)
    z, mean, pull = vectors, after(vectors, n), after(vectors, 2 * n)
    _precision(ints, floats, work)
    total = _factor(root, after(vectors, VECTORS * n), ints)
    _invert(root, inverse, n)
    copy(pull, after(floats, ints[AT_JOINT_SCORE]), n)
    _less_prior(pull, ints, floats, work)
    _gather(z, q, ints)
    fill(mean, 0.0, n)
    fill(moved, 0.0, n)
    for r in range(n):  # A' A pull and A' (A pull + z)
        row = after(inverse, r * n)
        pulled = dot(row, pull, r + 1)
        add(mean, pulled, row, r + 1)
        add(moved, pulled + z[r], row, r + 1)
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
                    root[(first + k * groups + g) * n + first + j * groups + g] += value


@njit(**INNER)
def _factor(root, failed, ints):
    """L in place of P; minus the logarithm of its determinant."""
    n, size = ints[JOINT], after(ints, JOINT)
    failed[0] = 0.0
    call(ints[POTRF], (after(ints, UPPER), size, root, size, failed))  # of columns, LAPACK says
    if not is_zero(failed):
        return -np.inf
    total = 0.0
    for j in range(n):
        total -= math.log(root[j * n + j])
    return total


@njit(**{**INNER, "fastmath": SUMS})
def _invert(root, inverse, n):
    """A = L^-1, row by row: a_k = (e_k - sum_i l_ki a_i) / l_kk, eight rows at a time."""
    for k in range(n):
        row, by = after(inverse, k * n), after(root, k * n)
        for j in range(min(n, k + 8)):
            row[j] = 0.0
        i = 0
        while i + 8 <= k:
            a, c = after(inverse, i * n), after(by, i)
            b, d, e = after(a, n), after(a, 2 * n), after(a, 3 * n)
            f, g, h, m = after(a, 4 * n), after(a, 5 * n), after(a, 6 * n), after(a, 7 * n)
            for j in range(i + 8):
                row[j] += (
                    (c[0] * a[j] + c[1] * b[j])
                    + (c[2] * d[j] + c[3] * e[j])
                    + (c[4] * f[j] + c[5] * g[j])
                    + (c[6] * h[j] + c[7] * m[j])
                )
            i += 8
        while i < k:
            add(row, by[i], after(inverse, i * n), i + 1)
            i += 1
        scale = 1.0 / by[k]
        for j in range(k):
            row[j] *= -scale
        row[k] = scale


@njit(**INNER)
def _less_prior(x, ints, floats, work):
    """Take ``Q centre`` from x."""
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
    n, g = ints[JOINT], after(work, ints[AT_G_JOINT])
    inverse = after(work, ints[AT_ROOT] + n * n)
    vectors = after(inverse, n * n)
    z, mean, v, w = vectors, after(vectors, n), after(vectors, 2 * n), after(vectors, 3 * n)
    before, d = after(vectors, 4 * n), after(vectors, 5 * n)
    _gather_gradient(g, ints, work)
    fill(w, 0.0, n)
    for r in range(n):
        row = after(inverse, r * n)
        v[r] = dot(row, g, r + 1)
        add(w, v[r], row, r + 1)
    _scatter(gradient, v, ints)
    fill(before, 0.0, n)
    for r in range(n):
        row = after(inverse, r * n)
        _inner(d, before, row, z[r], v[r], r + 1)
        _blocks_backward(row, d, r + 1, ints, work)
    add(mean, 1.0, after(floats, ints[AT_CENTRE]), n)
    _blocks_backward(w, mean, n, ints, work)
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
def _inner(d, before, a, z, v, n):
    """A row of D, whose sums over the rows above are in `before`."""
    for j in range(n):
        own = a[j] * v
        d[j] = z * (before[j] + 0.5 * own) + 0.5 * a[j]
        before[j] += own


@njit(**INNER)
def _blocks_backward(a, d, n, ints, work):
    """Add ``-(a d' + d a') / 2`` of vectors (n,) to the gradients by the precisions."""
    for b in range(ints[BLOCKS]):
        block = after(ints, ints[AT_BLOCKS] + FIELDS * b)
        width, groups, first = block[WIDTH], block[GROUPS], block[AT_JOINT]
        if first < 0 or first >= n:
            continue
        g_precision = after(work, block[AT_SCRATCH] + G_PRECISION * width * width)
        for k in range(width):
            start = first + k * groups
            count = min(groups, n - start)
            if count <= 0:
                break
            for j in range(k + 1):
                other = first + j * groups
                value = -0.5 * dot(after(a, start), after(d, other), count)
                value -= 0.5 * dot(after(d, start), after(a, other), count)
                g_precision[k * width + j] += value
                if j < k:
                    g_precision[j * width + k] += value
