"""What functions of the user's return: a number for each number, or a refusal that says why."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrp.errors import RequestError

Floats = NDArray[np.float64]


def unmasked(values: Any) -> NDArray[Any]:
    """An array with NaN where a masked one hides a value, which NumPy would bring back."""
    if isinstance(values, np.ma.MaskedArray) and values.mask.any():
        return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))
    try:
        return np.asarray(values)
    except (TypeError, ValueError):  # rows of unequal length, a list within itself
        return np.empty((), dtype=object)


def numbers(returned: Any, argument: str, truth_values: str) -> Floats:
    """What a function returned, as real numbers.

    Parameters
    ----------
    returned
        An array, or what becomes one.
    argument
        What the user knows the function as.
    truth_values
        What answers the question that truth values seem to ask.

    Raises
    ------
    RequestError
        It returned truth values, complex numbers, or no numbers.
    """
    array = unmasked(returned)
    if array.dtype == object:
        array = np.array(array.tolist())  # as numbers of Python, truth values among them
    if array.dtype.kind == "b":
        raise RequestError(f"`{argument}` must return numbers, got truth values. {truth_values}")
    if array.dtype.kind == "c":
        raise RequestError(
            f"`{argument}` must return real numbers, got complex ones. Return their `.real` or "
            f"`np.abs()` of them, if that is meant."
        )
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise RequestError(
            f"`{argument}` must return numbers, got type {str(array.dtype)!r}."
        ) from None


def check_defined(result: Floats, missing: NDArray[np.bool_], argument: str) -> None:
    """Raise if a function made NaN of numbers: whatever is made of such draws would be wrong.

    Parameters
    ----------
    result
        What the function returned (rows, draws).
    missing
        Where it was given NaN itself.
    argument
        What the user knows the function as.
    """
    bad = np.isnan(result) & ~missing
    if bad.any():
        raise RequestError(
            f"`{argument}` must return a number for each draw, got NaN for {int(bad.sum()):,} of "
            f"{bad.size:,} draws ({int(bad.any(axis=1).sum()):,} of {len(bad):,} rows). Look for "
            f"logarithms and roots of what is negative, and for 0 / 0."
        )
