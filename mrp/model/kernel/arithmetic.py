"""Elementary functions that compilers can vectorise, and the way from an address to an array.

numba calls the C library for ``exp`` one number at a time. The functions here are straight lines
of arithmetic on doubles, which LLVM turns into instructions on four or eight numbers at once; the
results are within two units in the last place.
"""

from __future__ import annotations

from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LOG2_E = 1.4426950408889634
LN2_HIGH = 0.6931471803691238
LN2_LOW = 1.9082149292705877e-10
ROUNDING = 6755399441055744.0
"""1.5 x 2**52: adding it rounds a double to a whole number, which then is its lowest bits."""
LARGEST = 709.0
SMALLEST = -708.0


@intrinsic
def _as_double(context, bits):
    def generate(_, builder, signature, arguments):
        return builder.bitcast(arguments[0], cgutils.ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def _as_bits(context, number):
    def generate(_, builder, signature, arguments):
        return builder.bitcast(arguments[0], cgutils.ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def as_pointer(context, address):
    """A void pointer from an address."""

    def generate(_, builder, signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.intp), generate


@njit(inline="always")
def fast_exp(x):
    """exp(x), saturating outside [-708, 709]."""
    x = min(max(x, SMALLEST), LARGEST)
    shifted = x * LOG2_E + ROUNDING
    whole = shifted - ROUNDING
    rest = (x - whole * LN2_HIGH) - whole * LN2_LOW
    # the Taylor series to degree 13, which is enough for |rest| <= log(2) / 2; written out, since
    # LLVM does not vectorise the loop around an inner one
    series = rest * (1.0 / 6227020800.0) + 1.0 / 479001600.0
    series = series * rest + 1.0 / 39916800.0
    series = series * rest + 1.0 / 3628800.0
    series = series * rest + 1.0 / 362880.0
    series = series * rest + 1.0 / 40320.0
    series = series * rest + 1.0 / 5040.0
    series = series * rest + 1.0 / 720.0
    series = series * rest + 1.0 / 120.0
    series = series * rest + 1.0 / 24.0
    series = series * rest + 1.0 / 6.0
    series = series * rest + 0.5
    series = (series * rest + 1.0) * rest + 1.0
    return series * _as_double((_as_bits(shifted) + 1023) << 52)


@njit(inline="always")
def fast_log1p(e):
    """log(1 + e) for e in [0, 1], as 2 atanh(e / (2 + e))."""
    s = e / (2.0 + e)
    square = s * s
    # sum of square**k / (2 k + 1): square is at most 1/9
    series = square * (1.0 / 33.0) + 1.0 / 31.0
    series = series * square + 1.0 / 29.0
    series = series * square + 1.0 / 27.0
    series = series * square + 1.0 / 25.0
    series = series * square + 1.0 / 23.0
    series = series * square + 1.0 / 21.0
    series = series * square + 1.0 / 19.0
    series = series * square + 1.0 / 17.0
    series = series * square + 1.0 / 15.0
    series = series * square + 1.0 / 13.0
    series = series * square + 1.0 / 11.0
    series = series * square + 1.0 / 9.0
    series = series * square + 1.0 / 7.0
    series = series * square + 1.0 / 5.0
    series = series * square + 1.0 / 3.0
    return 2.0 * s * (series * square + 1.0)
