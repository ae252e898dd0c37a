"""What a call in a formula can use: arithmetic, functions of columns, codings of categoricals.

Numbers are whole numbers or doubles of 64 bits, and a whole number that does not fit becomes a
double: small types would overflow without a word. A boolean counts as 0 or 1.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mrp.errors import listing

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT = 2.0**53
"""Whole numbers below are exact as doubles."""

NUMPY = (
    *(name for name in dir(np) if isinstance(getattr(np, name), np.ufunc)),
    *("where", "clip", "round", "around", "isin", "digitize", "searchsorted", "interp", "select"),
    *("nan_to_num", "sinc", "isclose", "fix", "array", "asarray", "column_stack", "polyval"),
    *("ones_like", "zeros_like", "full_like", "pi", "e", "inf", "nan", "euler_gamma"),
)
"""Names under ``np.`` that a formula knows."""

BROADCAST = ("where", "clip", "isclose")
"""Those that combine arguments of several shapes, besides ufuncs."""

OVER_ROWS = (
    *("mean", "median", "average", "std", "var", "min", "max", "amin", "amax", "ptp", "sum"),
    *("nanmean", "nanmedian", "nanstd", "nanmin", "nanmax", "nansum", "prod", "quantile"),
    *("percentile", "nanquantile", "nanpercentile", "cumsum", "cumprod", "diff", "argsort", "sort"),
)
"""Names under ``np.`` of functions that look at several rows: an outcome may call them."""

SHORT = ("log", "log1p", "log2", "log10", "exp", "sqrt", "abs")
"""Functions of NumPy that need no ``np.``."""


# --- numbers --------------------------------------------------------------------------------------


def is_real(dtype: Any) -> bool:
    """Whether values are numbers, and not complex ones; booleans are among them."""
    numbers = pd.api.types.is_numeric_dtype(dtype)
    return bool(numbers and not pd.api.types.is_complex_dtype(dtype))


def wide(values: Any) -> Any:
    """A column with its numbers in 64 bits, and no missing-value types; others as they are."""
    if not isinstance(values, pd.Series):
        return values
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return values
    if pd.api.types.is_bool_dtype(dtype):
        return values.astype(bool)
    if not is_real(dtype):
        return values
    if pd.api.types.is_integer_dtype(dtype):
        fits = not len(values) or values.max() < 2**63
        return values.astype(np.int64 if fits else np.uint64)
    return values.astype(np.float64)


def levels_as_written(values: pd.Series) -> Any:
    """A column whose numbers are levels: 0.1 of 32 bits is the 0.1 that it is written as."""
    dtype = values.dtype
    if not pd.api.types.is_float_dtype(dtype) or np.dtype(plain_dtype(dtype)).itemsize >= 8:
        return wide(values)
    narrow = values.to_numpy(dtype=plain_dtype(dtype))
    codes, distinct = pd.factorize(narrow)
    decimal = np.array([float(str(number)) for number in distinct], dtype=np.float64)
    return pd.Series(decimal[codes], index=values.index, name=values.name)


def plain_dtype(dtype: Any) -> Any:
    """NumPy's type for one of pandas' or arrow's."""
    return getattr(dtype, "numpy_dtype", dtype)


def counted(value: Any) -> Any:
    """Booleans as 0 and 1, for arithmetic; anything else as it is."""
    if isinstance(value, bool | np.bool_):
        return int(value)
    dtype = getattr(value, "dtype", None)
    return value.astype(np.int64) if dtype is not None and dtype == np.bool_ else value


def arithmetic(apply: Callable[..., Any], *operands: Any) -> Any:
    """The result of an operator; in doubles where whole numbers would overflow or be cut."""
    if any(isinstance(operand, str | list) for operand in operands) and apply is not operator.add:
        raise TypeError("arithmetic is of numbers and columns")
    operands = tuple(counted(operand) for operand in operands)
    if not all(_is_whole(operand) for operand in operands):
        with np.errstate(all="ignore"):  # what is not finite is refused later
            return apply(*operands)
    with np.errstate(all="ignore"):
        doubles = apply(*(_as_double(operand) for operand in operands))
        size = np.abs(doubles)
        exact = np.isfinite(size).all() and (size < EXACT).all()
        if exact and not (apply in (operator.pow, np.power) and np.min(operands[1]) < 0):
            return apply(*operands)
    return doubles


def check_shapes(operands: Iterable[Any]) -> None:
    """Raise if operands would make a table of all rows by all rows, as (n, 1) and (n,) do."""
    shapes = [shape for each in operands if isinstance(shape := getattr(each, "shape", ()), tuple)]
    sizes = [math.prod(shape) for shape in shapes]
    if math.prod(np.broadcast_shapes(*shapes)) > max(sizes, default=1):
        raise ValueError(f"columns of one shape are needed, got {' and '.join(map(str, shapes))}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) or (
        isinstance(value, pd.Series | np.ndarray) and value.dtype.kind in "iu"
    )


def _as_double(value: Any) -> Any:
    return value.astype(np.float64) if hasattr(value, "astype") else np.float64(value)


BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
"""Arithmetic."""
LOGICAL: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


# --- functions ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coded:
    """A categorical with a coding of its own, as ``C``, ``S`` and ``T`` make it.

    Parameters
    ----------
    values
        The column.
    contrast
        How it is coded: an encoding of formulae; None for the usual one.
    levels
        Its levels in order; None for those of the data.
    """

    values: pd.Series
    contrast: Any = None
    levels: tuple[Any, ...] | None = None


def _coded(data: Any, contrast: Any = None, levels: Sequence[Any] | None = None) -> Coded:
    """``C(x, contrast, levels=[…])``."""
    from formulae.categorical import Encoding

    if isinstance(data, Coded):
        contrast = data.contrast if contrast is None else contrast
        levels = data.levels if levels is None else levels
        data = data.values
    if isinstance(contrast, type):
        contrast = contrast()
    if contrast is not None and not isinstance(contrast, Encoding):
        raise ValueError("the contrast must be Treatment or Sum; levels are given as levels=[…]")
    values = data if isinstance(data, pd.Series) else pd.Series(np.asarray(data))
    if levels is None:
        return Coded(values, contrast)
    return Coded(values, contrast, _levels_given(values, list(levels)))


def _levels_given(values: pd.Series, levels: list[Any]) -> tuple[Any, ...]:
    """The given levels that the data have, in the order given."""
    have = list(values.unique())
    lacking = [value for value in have if value not in levels]
    if lacking or len(set(map(repr, levels))) < len(levels):
        raise ValueError(
            f"the levels given must be those of the data, each once, got {listing(levels)} for "
            f"{listing(have)}"
        )
    return tuple(level for level in levels if level in have)


def _sum_coded(data: Any, omit: Any = None, levels: Sequence[Any] | None = None) -> Coded:
    """``S(x)``: every level against the mean of all."""
    from formulae.categorical import Sum

    return _coded(data, Sum(_level(omit, "omit")), levels)


def _treatment_coded(data: Any, ref: Any = None, levels: Sequence[Any] | None = None) -> Coded:
    """``T(x, ref='a')``: every level against the reference."""
    from formulae.categorical import Treatment

    return _coded(data, Treatment(_level(ref, "ref")), levels)


def _level(value: Any, argument: str) -> Any:
    """A level that an argument names, or None."""
    if value is None or np.isscalar(value):
        return value
    raise ValueError(f"`{argument}` must be one level, got {type(value).__name__}")


def _identity(x: Any) -> Any:
    """``I(x)``."""
    return x


def _binary(x: Any, success: Any = None) -> NDArray[np.int64]:
    """``binary(x, 'yes')``: 1 where x has the value, 0 elsewhere."""
    column = pd.Series(x)
    if success is None:
        success = sorted(column.unique().tolist())[0]
    return np.asarray(column == success).astype(np.int64)


def _offset(x: Any) -> Any:
    """``offset(x)``."""
    return x


MOST_COLUMNS = 1000
"""Columns that one call may make: `poly` and `bs` take their number from the formula."""


MOST_DEGREE = 10
"""Degree of the pieces of `bs`: FITPACK, which computes them, has no room for more than 19."""


def check_columns(transform: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Raise if a call of `poly` or `bs` asks for more columns than any model has a use for."""
    for argument in [*arguments, named.get("df"), named.get("degree")]:
        if isinstance(argument, int | float) and abs(argument) > MOST_COLUMNS:
            raise ValueError(f"at most {MOST_COLUMNS:,} columns can be made, got {argument:.4g}")
    degree = named.get("degree", arguments[3] if len(arguments) > 3 else 3)
    if transform == "bs" and not (isinstance(degree, int) and 0 <= degree <= MOST_DEGREE):
        raise ValueError(f"`degree` must be a whole number, at most {MOST_DEGREE}, got {degree!r}")


OFFSET = "offset"
PROPORTIONS = ("p", "prop", "proportion")
"""Names under which a formula may write the outcome ``p(successes, trials)``."""
CODINGS = ("C", "S", "T")
"""Calls that say how a categorical is coded, and return its values as they are."""
BINARIES = ("binary", "B")
SPLINES = ("bs", "poly")
"""Transforms that make several columns."""


OPTIONS = (
    *("decimals", "a_min", "a_max", "min", "max", "assume_unique", "invert", "right", "side"),
    *("left", "period", "default", "nan", "posinf", "neginf", "rtol", "atol", "equal_nan", "x"),
    *("q", "axis", "ddof", "method", "condlist", "choicelist", "n", "keepdims", "weights"),
)
"""Names of arguments that functions of NumPy can be given; the others set types and sizes."""
PLACES = {
    **dict.fromkeys(("array", "asarray", "ones_like", "zeros_like", "sinc", "fix"), 1),
    **dict.fromkeys(("full_like", "round", "around", "isin", "nan_to_num"), 2),
    **dict.fromkeys(("where", "clip", "select", "digitize", "searchsorted"), 3),
    "column_stack": 1,
}
"""How many arguments without a name some of them can be given."""


def _check_options(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Raise if a call sets a type or a size, which is the data's to say."""
    strange = [option for option in options if option not in OPTIONS]
    if strange:
        raise TypeError(f"np.{name} takes no {listing(strange)} here")
    most = PLACES.get(name, len(arguments))
    if len(arguments) > most:
        raise TypeError(f"np.{name} takes at most {most} arguments here, got {len(arguments)}")


def _numpy(name: str) -> Any:
    value = getattr(np, name)
    if not callable(value):
        return value

    def function(*arguments: Any, **options: Any) -> Any:
        _check_options(name, arguments, options)
        check_shapes(arguments if name in BROADCAST else ())
        with np.errstate(all="ignore"):  # what is not finite is refused later
            return value(*map(counted, arguments), **options)

    def elementwise(*arguments: Any) -> Any:
        if len(arguments) != value.nin:  # more would be written to
            raise TypeError(f"{name} takes {value.nin}, got {len(arguments)} arguments")
        check_shapes(arguments)
        try:
            return arithmetic(value, *arguments)
        except TypeError:  # of whole numbers only, as bitwise_and
            return function(*arguments)

    return elementwise if isinstance(value, np.ufunc) else function


@cache
def functions() -> Mapping[str, Any]:
    """What a formula can call or name, by its whole name: ``scale``, ``np.log``."""
    from formulae.categorical import ENCODINGS
    from formulae.transforms import TRANSFORMS

    remembering = {name: TRANSFORMS[name] for name in ("center", "scale", "bs", "poly")}
    own: dict[str, Any] = {
        **dict.fromkeys(BINARIES, _binary),
        "C": _coded,
        "I": _identity,
        OFFSET: _offset,
        "S": _sum_coded,
        "standardize": remembering["scale"],
        "T": _treatment_coded,
    }
    short = {name: _numpy(name) for name in SHORT}
    long = {f"np.{name}": _numpy(name) for name in (*NUMPY, *OVER_ROWS) if hasattr(np, name)}
    return {**remembering, **own, **short, **long, **ENCODINGS}


def function_names() -> list[str]:
    """Functions that a message lists as available."""
    own = ("center", "scale", "bs", "poly", *BINARIES, "C", "I", OFFSET, *PROPORTIONS)
    return [*own, "S", "standardize", "T", "np", *SHORT]
