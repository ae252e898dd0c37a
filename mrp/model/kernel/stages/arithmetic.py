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
EXPONENT = 0x4338000000000000 - 1023
"""What turns the exponent of a double into the bits of itself + ROUNDING."""
LARGEST = 709.0
SMALLEST = -708.0

DOUBLES, LONGS, INTS = (types.CPointer(t) for t in (types.double, types.int64, types.int32))
STAGE = types.double(DOUBLES, DOUBLES, LONGS, INTS, DOUBLES, DOUBLES)
"""A stage takes q, its gradient, the model's three arrays and `work`, and returns its part of the
density."""

INLINED = {
    "forceinline": True,
    "fastmath": {"contract"},
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
"""Options of functions that become part of the loop that calls them."""


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


def _pointers(to):
    """An intrinsic that makes a pointer of an address."""

    @intrinsic
    def from_address(context, address):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(to)(types.int64), generate

    return from_address


to_doubles, to_longs, to_ints = (
    _pointers(kind) for kind in (types.float64, types.int64, types.int32)
)


@intrinsic
def after(context, pointer, count):
    """The pointer to `count` elements further on."""

    def generate(_, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), generate


@intrinsic
def as_singles(context, pointer):
    """The pointer to doubles as one to the singles that are there."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(pointer), generate


@intrinsic
def allocate(context, count):
    """Memory for so many doubles."""

    def generate(context, builder, signature, arguments):
        size = builder.mul(arguments[0], arguments[0].type(8))
        memory = context.nrt.allocate(builder, size)
        return builder.bitcast(memory, context.get_value_type(signature.return_type))

    return types.CPointer(types.float64)(types.int64), generate


@intrinsic
def release(context, pointer):
    """Give back what `allocate` gave."""

    def generate(context, builder, signature, arguments):
        context.nrt.free(builder, builder.bitcast(arguments[0], cgutils.voidptr_t))
        return context.get_dummy_value()

    return types.none(pointer), generate


@intrinsic
def run_stage(context, address, q, gradient, ints, index, floats, work):
    """Call the C function at an address, which takes the other arguments and returns a double."""

    def generate(context, builder, signature, arguments):
        kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
        kind = cgutils.ir.FunctionType(cgutils.ir.DoubleType(), kinds)
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])

    pointers = (q, gradient, ints, index, floats, work)
    return types.float64(types.int64, *pointers), generate


@intrinsic
def call(context, address, arguments):
    """Call the C function at an address, which takes the addresses in a tuple of pointers."""

    def generate(context, builder, signature, values):
        generic = cgutils.voidptr_t
        pointers = [builder.bitcast(p, generic) for p in cgutils.unpack_tuple(builder, values[1])]
        kind = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [generic] * len(pointers))
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), pointers)
        return context.get_dummy_value()

    return types.none(types.int64, arguments), generate


@intrinsic
def in_any_order(context, total, addend):
    """total + addend in a sum that may be reordered, while the addend's own roundings may not."""

    def generate(_, builder, signature, arguments):
        return builder.fadd(*arguments, flags=("reassoc", "nsz"))

    return types.float64(types.float64, types.float64), generate


@njit(**INLINED)
def is_zero(pointer):
    """Whether the bits of the double at a pointer are all zero."""
    return _as_bits(pointer[0]) == 0


@njit(**INLINED)
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


@njit(**INLINED)
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


@njit(**INLINED)
def fast_log(x):
    """log(x) for x from 2.3e-308 to 1.7e308; the error is absolute where the result is small."""
    bits = _as_bits(x)
    exponent = _as_double((bits >> 52) + EXPONENT) - ROUNDING
    rest = _as_double((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000) - 1.0
    return exponent * LN2_HIGH + (exponent * LN2_LOW + fast_log1p(rest))
