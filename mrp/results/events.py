"""Events: what has a share of the draws for its probability."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mrp.errors import RequestError, listing, shortened

Floats = NDArray[np.float64]
Event = Callable[[Floats], NDArray[np.bool_]]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COMPARISONS: Mapping[str, Callable[[Floats, float], NDArray[np.bool_]]] = {
    ">=": np.greater_equal,
    "<=": np.less_equal,
    ">": np.greater,
    "<": np.less,
}


def comparison(statement: str) -> Event:
    """The event that a statement such as ``"> 0.4"`` describes."""
    match = re.fullmatch(rf"\s*(>=|<=|>|<)\s*({_NUMBER})\s*", str(statement))
    if match is None:
        raise RequestError(
            f"`statement` must compare with a number, such as '> 0.4', got {statement!r}. "
            f"Available: {listing(_COMPARISONS)}."
        )
    holds, number = _COMPARISONS[match[1]], float(match[2])
    return lambda values: holds(values, number)


def region(bounds: Sequence[float]) -> tuple[Event, Event, Event]:
    """The events of being below, inside and above ``[low, high]``, which both are inside."""
    try:
        low, high = map(operator.pos, bounds)
        low, high = float(low), float(high)
        valid = low < high
    except (TypeError, ValueError, OverflowError):
        valid = False
    if not valid:
        raise RequestError(
            f"`bounds` must be two numbers [low, high] with low < high, got "
            f"{shortened(repr(bounds))}. For example: [-0.01, 0.01]."
        )
    return lambda x: x < low, lambda x: (low <= x) & (x <= high), lambda x: x > high


def shares(values: Floats, events: Sequence[Event]) -> Floats:
    """Share of the draws (rows, draws) for which each event holds (rows, events).

    It is missing in rows with draws that are no numbers, of which nothing can be said.
    """
    found = np.column_stack([event(values).mean(axis=1) for event in events])
    found[np.isnan(values).any(axis=1)] = np.nan
    return found
