"""What transforms such as ``scale(x)`` remember, checked against the calls that it belongs to."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mrp.formula.calls import State, callee, constant, nodes
from mrp.formula.functions import SPLINES, check_columns, functions
from mrp.saved_fits.content import Refused


def check_states(texts: Sequence[str], states: Mapping[str, tuple[State, ...]]) -> None:
    """Raise unless some calls remember what such calls can have learned, and nothing else does.

    Raises
    ------
    Refused
        A memory is missing, is too many, or is not what the call says.
    """
    calls = {text: [node for node in nodes(text) if _remembers(node)] for text in texts}
    wanted = {text: len(found) for text, found in calls.items() if found}
    if {text: len(own) for text, own in states.items()} != wanted:
        raise Refused("what its transforms learned is not that of the calls of its formula")
    for text, own in states.items():
        for node, state in zip(calls[text], own, strict=True):
            _check_state(node, state)


def _remembers(node: ast.Call) -> bool:
    return getattr(functions().get(callee(node)), "__stateful_transform__", False)


def _check_state(node: ast.Call, state: Any) -> None:
    """Raise unless a fresh transform learns the like: what hangs on no data must be the same."""
    if not isinstance(state, dict):
        raise Refused(f"what {ast.unparse(node)} learned is no table")
    bounds = _numbers_in(state) or [0.0]
    low, high = min(bounds), max(bounds)
    if not np.isfinite([low, high]).all():
        raise Refused(f"what {ast.unparse(node)} learned is not finite")
    room = 1.0 + high - low
    # around what was learned, and different in all that a transform may learn of them
    some = [np.linspace(low - k * room, high + k * k * room, 60 + k) for k in (2, 3)]
    fresh = [_learned(node, numbers) for numbers in some]
    if not _is_like(state, *fresh):
        raise Refused(f"what {ast.unparse(node)} learned is not what it learns from numbers")


def _learned(node: ast.Call, numbers: Any) -> State:
    """What a call's transform learns from some numbers, with the other arguments of the call."""
    transform = functions()[callee(node)]()
    positional = [constant(argument) for argument in node.args[1:]]
    named = {
        str(keyword.arg): constant(keyword.value)
        for keyword in node.keywords
        if node.args or keyword.arg != "x"
    }
    if callee(node) in SPLINES:
        check_columns(callee(node), [numbers, *positional], named)
    transform(numbers, *positional, **named)
    return dict(vars(transform))


def _numbers_in(value: Any) -> list[float]:
    """All numbers of a memory that are no truths and no keys."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers_in(item)]
    if isinstance(value, np.ndarray):
        return _numbers_in(value.ravel().tolist())
    if isinstance(value, list):
        return [number for item in value for number in _numbers_in(item)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _is_like(value: Any, one: Any, other: Any) -> bool:
    """Whether a value is of the type of two others, and the same where these are the same."""
    if isinstance(one, dict):
        return (
            isinstance(value, dict)
            and value.keys() == one.keys()
            and all(_is_like(value[key], one[key], other[key]) for key in one)
        )
    if isinstance(one, np.ndarray):
        if not isinstance(value, np.ndarray) or value.shape != one.shape:
            return False
        if value.dtype.kind not in "iuf" or not np.isfinite(value).all():
            return False
        return bool(((value == one) | (one != other)).all())
    if isinstance(one, bool | np.bool_) or one is None:
        return type(value) is type(one) and value == one
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return False
    return bool(value == one) if one == other else True
