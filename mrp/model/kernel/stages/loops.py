"""Loops over numbers, groups or rows, which stages are made of."""

from __future__ import annotations

import math

from numba import njit

from mrp.model.kernel.header import INNER, SUMS
from mrp.model.kernel.stages.arithmetic import fast_log, in_any_order


@njit(**INNER)
def fill(x, value, n):
    """x = value."""
    for i in range(n):
        x[i] = value


@njit(**INNER)
def copy(x, a, n):
    """x = a."""
    for i in range(n):
        x[i] = a[i]


@njit(**INNER)
def multiply(x, a, n):
    """X = x * a."""
    for i in range(n):
        x[i] *= a[i]


@njit(**INNER)
def divide(x, value, n):
    """X = x / value."""
    for i in range(n):
        x[i] /= value


@njit(**INNER)
def add(x, factor, a, n):
    """X = x + factor a."""
    for i in range(n):
        x[i] += factor * a[i]


@njit(**INNER)
def add_product(x, factor, a, b, n):
    """X = x + factor a b."""
    for i in range(n):
        x[i] += factor * a[i] * b[i]


@njit(**{**INNER, "fastmath": SUMS})
def dot(a, b, n):
    """a' b."""
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@njit(**INNER)
def sum_of_logs(a, n):
    """Sum of log a."""
    total = 0.0
    for i in range(n):
        total = in_any_order(total, fast_log(a[i]))
    return total


@njit(**INNER)
def inverse_square_root(x, n):
    """x = 1 / sqrt(x)."""
    for i in range(n):
        x[i] = 1.0 / math.sqrt(x[i])


@njit(**INNER)
def negate(x, n):
    """x = -x."""
    for i in range(n):
        x[i] = -x[i]


@njit(**INNER)
def lift(x, value, a, n):
    """X = value + a."""
    for i in range(n):
        x[i] = value + a[i]


@njit(**INNER)
def add_up(x, y, a, b, n):
    """X = y = a + b."""
    for i in range(n):
        total = a[i] + b[i]
        x[i] = total
        y[i] = total


@njit(**INNER)
def combine(x, constant, factor, a, b, c, d, n):
    """X = constant + factor (a b + c d)."""
    for i in range(n):
        x[i] = constant + factor * (a[i] * b[i] + c[i] * d[i])


@njit(**{**INNER, "fastmath": SUMS})
def sum_of(values, n):
    """Sum of values."""
    total = 0.0
    for i in range(n):
        total += values[i]
    return total


@njit(**INNER)
def sum_up(x, a, b, n):
    """x = a + b."""
    for i in range(n):
        x[i] = a[i] + b[i]
