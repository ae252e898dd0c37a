"""Arithmetic on rows of draws, read from text such as ``"b2 / b1 = 1"``.

The text is parsed, never executed: what is read is sums, products, powers, a few functions, numbers
and rows, and everything else is refused.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrp.errors import RequestError, listing, unknown, written

Floats = NDArray[np.float64]

FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "logit": lambda p: np.log(p) - np.log1p(-p),
    "plogis": lambda x: 1 / (1 + np.exp(-x)),
    "sqrt": np.sqrt,
}
"""Functions that expressions may use; ``plogis`` is the inverse of ``logit``, as in R."""

DEEPEST = 500
"""Operations on operations that a statement may have."""

_BINARY: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: Mapping[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_QUOTED = re.compile(r"`([^`]*)`")
_NUMBERED = re.compile(r"b(\d+)")


@dataclass(frozen=True)
class Expression:
    """Arithmetic on rows: the left side of a statement minus its right side, if it has one.

    Parameters
    ----------
    text
        What was written.
    sides
        One or two trees of nodes that `parse` has found to be arithmetic.
    rows
        The row of each name in them.
    """

    text: str
    sides: tuple[ast.expr, ...]
    rows: Mapping[str, int]

    def value(self, draws: Floats) -> Floats:
        """Its draws (draws,) from those of its rows (rows, draws), in the order of `rows`."""
        named = dict(zip(self.rows, draws, strict=True))
        with np.errstate(all="ignore"):  # what is not finite is the caller's to report
            left, *right = (_value(side, named) for side in self.sides)
            result: Floats = left - right[0] if right else left
        return result


def unquoted(text: str) -> str:
    """The text without what is in backquotes."""
    return _QUOTED.sub(" ", text)


def parse(text: str, names: Sequence[str]) -> Expression:
    """Read a statement about rows.

    Parameters
    ----------
    text
        Arithmetic with ``+ - * / **`` (or ``^``), brackets, numbers and `FUNCTIONS`, on one or both
        sides of ``=``. Rows are b1, b2, … or their names, in backquotes where they are no single
        word.
    names
        Names of the rows.

    Raises
    ------
    RequestError
        It is no such arithmetic, or names no row, one that is not there, or several at once.
    """
    quoted = _QUOTED.findall(text)
    places = iter(range(len(quoted)))
    plain = _QUOTED.sub(lambda _: f" {_place(next(places))} ", text)
    try:
        sides = tuple(_tree(side) for side in plain.split("="))
        if len(sides) > 2 or "#" in plain:
            raise SyntaxError
        for side in sides:
            _check(side, DEEPEST)
    except RequestError:
        raise
    except (RecursionError, MemoryError):
        raise RequestError(
            f"`statement` must have at most {DEEPEST} operations on operations, got {text[:20]!r}… "
            f"of {len(text):,} characters. Pass a function of the draws."
        ) from None
    except (SyntaxError, ValueError, OverflowError):
        raise RequestError(
            f"`statement` must be arithmetic on rows, such as 'b2 - b1 = 0', got {written(text)}. "
            f"Available: + - * / **, {', '.join(FUNCTIONS)}. Write names that are no single word "
            f"in backquotes: `California, Man`."
        ) from None
    rows: dict[str, int] = {}
    by_place = {_place(k): name for k, name in enumerate(quoted)}
    for name in _names(sides):
        rows[name] = _named(by_place[name], names) if name in by_place else _row(name, names)
    if not rows:
        raise RequestError(
            f"`statement` must be about rows, got {text!r}, which names none. Available: b1 to "
            f"b{len(names)}, {listing(names)}. Write other names in backquotes: `18-29`."
        )
    return Expression(" ".join(text.split()), sides, rows)


def _place(k: int) -> str:
    """The word that stands for a name in backquotes."""
    return f"__quoted_{k}"


def _tree(side: str) -> ast.expr:
    # R's power is ^; Python's ^ binds less than +
    return ast.parse(" ".join(side.replace("^", "**").split()), mode="eval").body


def _check(node: ast.AST, deep: int) -> None:
    """Raise SyntaxError unless the tree is arithmetic, RecursionError if it is too deep."""
    if not deep:
        raise RecursionError
    match node:
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            _check(left, deep - 1)
            _check(right, deep - 1)
        case ast.UnaryOp(op, operand) if type(op) in _UNARY:
            _check(operand, deep - 1)
        case ast.Call(ast.Name(name), [argument], []):
            if name not in FUNCTIONS:
                raise RequestError(
                    unknown("statement", "use these functions only", name, list(FUNCTIONS))
                )
            _check(argument, deep - 1)
        case ast.Constant(int(value) | float(value)) if not isinstance(value, bool):
            float(value)
        case ast.Name():
            pass
        case _:
            raise SyntaxError


def _names(sides: Sequence[ast.expr]) -> list[str]:
    """Names in the trees that are not those of functions, each once, in order."""
    nodes = [node for side in sides for node in ast.walk(side)]
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    found = [node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called]
    return list(dict.fromkeys(found))


def _row(name: str, names: Sequence[str]) -> int:
    """Row of a word: its number, or its name."""
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None:
        return _named(name, names)
    row = int(numbered[1])
    if not 1 <= row <= len(names):
        raise RequestError(
            f"`statement` must name rows from b1 to b{len(names)}, got {name!r}. "
            f"A row that is called so is written `{name}`."
        )
    return row - 1


def _named(name: str, names: Sequence[str]) -> int:
    found = [k for k, each in enumerate(names) if each == name]
    if not found:
        raise RequestError(
            unknown("statement", f"name rows, or b1 to b{len(names)}", name, list(names))
        )
    if len(found) > 1:
        numbers = [f"b{k + 1}" for k in found]
        raise RequestError(
            f"`statement` must name one row at a time, got {name!r}, which {len(found)} rows are "
            f"called. Available: {listing(numbers)}."
        )
    return found[0]


def _value(node: ast.AST, draws: Mapping[str, Floats]) -> Any:
    match node:
        case ast.BinOp(left, op, right):
            return _BINARY[type(op)](_value(left, draws), _value(right, draws))
        case ast.UnaryOp(op, operand):
            return _UNARY[type(op)](_value(operand, draws))
        case ast.Call(ast.Name(name), [argument]):
            return FUNCTIONS[name](_value(argument, draws))
        case ast.Constant(value):
            return np.float64(value)  # type: ignore[arg-type]
        case ast.Name(name):
            return draws[name]
    raise AssertionError(node)
