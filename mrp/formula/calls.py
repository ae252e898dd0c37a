"""Function calls inside a formula, ``scale(x)`` or ``np.log(income)``, and what they remember.

Python's own parser reads them, so that they mean what they mean in Python; names are looked up in
the data and in a table of functions. A stateful transform learns from the survey (``scale`` its
mean and standard deviation) and must use the same numbers on new data; `Calls` keeps these
numbers as plain data, so that they can be saved and put back.
"""

from __future__ import annotations

import ast
import operator
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import DataError, FormulaError, did_you_mean, listing, shortened
from mrp.formula import idioms
from mrp.formula.functions import (
    BINARIES,
    BINARY,
    CODINGS,
    COMPARISONS,
    LOGICAL,
    OFFSET,
    OVER_ROWS,
    PROPORTIONS,
    SPLINES,
    UNARY,
    Coded,
    arithmetic,
    check_columns,
    check_shapes,
    function_names,
    functions,
    wide,
)

State = dict[str, Any]
"""What one transform has learned: its attributes."""

_PLACEHOLDER = "quoted_column_"
"""Stands for a name in backquotes while Python's parser reads a call."""


@dataclass(frozen=True)
class Column:
    """A column as calls of a formula take it, on the survey and on new data.

    Parameters
    ----------
    kind
        "number"; "truth"; "category", whose levels have an order; or "text".
    levels
        What the survey has, in order; of numbers nothing.
    """

    kind: str
    levels: tuple[Any, ...] = ()

    def of(self, values: pd.Series) -> pd.Series:
        """New values in the survey's type.

        Raises
        ------
        TypeError
            They are of another one.
        """
        is_number = pd.api.types.is_numeric_dtype(values.dtype)
        is_truth = pd.api.types.is_bool_dtype(values.dtype)
        if self.kind == "number":
            if not (is_number or is_truth):
                raise TypeError(f"numbers are needed, got type {str(values.dtype)!r}")
            return values
        if self.kind == "truth":
            if not (is_truth or (is_number and values.isin([0, 1]).all())):
                raise TypeError(f"True and False are needed, got type {str(values.dtype)!r}")
            return values.astype(bool)
        if self.kind == "category":
            index = pd.Index(self.levels)
            codes = index.get_indexer(pd.Index(values.astype(object)))
            return pd.Series(pd.Categorical.from_codes(codes, index, ordered=True))
        if is_number:
            raise TypeError(f"text is needed, got type {str(values.dtype)!r}")
        return values.astype(object).astype("str")


@dataclass(frozen=True)
class Calls:
    """The calls of a formula, ready to run on new data as they ran on the survey.

    Parameters
    ----------
    states
        For each call, the attributes of its stateful transforms in order of appearance.
    namespace
        The user's own functions by name. They are not saved.
    columns
        What the survey has in the columns that calls use.
    """

    states: Mapping[str, tuple[State, ...]] = field(default_factory=dict)
    namespace: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)

    def run(self, text: str, data: pd.DataFrame, argument: str) -> pd.Series | NDArray[Any]:
        """Result of a call on a table: numbers (n,) or (n, k), or the values of a categorical.

        The table has the columns of the design alone.
        """
        data = data.reset_index(drop=True)
        for name in set() if _is_coded_column(text) else names_in(text) & self.columns.keys():
            data = data.assign(**{name: self._column(name, data[name], text, argument)})
        try:
            value = evaluate(text, data, self.namespace, list(self.states.get(text, ())))
            return _by_row(values_of(value), text, len(data))
        except Exception as error:
            raise DataError(
                f"`{argument}` must have columns on which `{text}` runs, got "
                f"{type(error).__name__}: {error}."
            ) from error

    def _column(self, name: str, values: pd.Series, text: str, argument: str) -> pd.Series:
        """A column in the survey's type, with levels that it has."""
        column = self.columns[name]
        try:
            made = column.of(values)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"`{argument}` must have in {name!r}, which {text} uses, what the survey has: "
                f"{error}. Convert the column."
            ) from error
        own = any(callee(node).split(".")[0] in self.namespace for node in nodes(text))
        known = made.isin(column.levels) if column.kind == "text" else made.notna()
        if not known.all() and not (own and column.kind == "text"):
            got = list(dict.fromkeys(values[~known].tolist()))
            raise DataError(
                f"`{argument}` must have only levels of {name!r} that the survey has, since "
                f"{text} uses them, got {listing(got)} in {int((~known).sum())} rows. Available: "
                f"{listing(column.levels)}.{did_you_mean(got[0], column.levels)}"
            )
        return made


def run_and_learn(
    text: str, data: pd.DataFrame, namespace: Mapping[str, Any]
) -> tuple[Any, list[State]]:
    """Run a call on the survey.

    Returns
    -------
    Its result, a `Coded` one where the call says how a categorical is coded, and what its stateful
    transforms have learned.
    """
    evaluation = _Evaluation(data, namespace, None)
    value = evaluation.value(parsed(text))
    return value, evaluation.learned


def evaluate(
    text: str, data: pd.DataFrame, namespace: Mapping[str, Any], states: list[State]
) -> Any:
    """Run a call on new data, with what its transforms have learned from the survey."""
    return _Evaluation(data, namespace, states).value(parsed(text))


def constant(node: ast.AST) -> Any:
    """The value of an argument that needs no data: a number, text, a list, a coding.

    Raises
    ------
    KeyError
        It needs a column.
    """
    return _Evaluation(pd.DataFrame(), {}, []).value(node)


def result_of(value: Any, text: str, n: int) -> Any:
    """A call's result, if it has a value for each of n rows: a `Coded`, a column or an array."""
    if isinstance(value, Coded):
        _by_row(value.values, text, n)
        return value
    return _by_row(value, text, n)


def _by_row(value: Any, text: str, n: int) -> pd.Series | NDArray[Any]:
    """A value for each row; a number is one for all of them where it is an offset's."""
    if np.isscalar(value) and text.startswith(f"{OFFSET}("):
        return np.full(n, value, dtype=np.float64)
    if isinstance(value, pd.Index | pd.api.extensions.ExtensionArray):
        value = pd.Series(value)
    rows = value if isinstance(value, pd.Series) else np.asarray(value)
    if rows.ndim == 0 or len(rows) != n:
        got = f"one {type(value).__name__}" if rows.ndim == 0 else f"{len(rows)} values"
        raise ValueError(f"a value is needed for each of {n} rows, got {got}")
    if rows.ndim > 1 and (rows.ndim > 2 or not rows.shape[1] or rows.dtype.kind not in "iuf"):
        raise ValueError(f"several columns must be numbers, got shape {rows.shape} of {rows.dtype}")
    if isinstance(rows, pd.Series):
        return rows.reset_index(drop=True)
    return rows


def values_of(value: Any) -> Any:
    """A call's result without what it says of its coding."""
    return value.values if isinstance(value, Coded) else value


# --- text -----------------------------------------------------------------------------------------


def canonical(text: str, formula: str) -> str:
    """A call as Python writes it, so that equal calls have one text; backquotes stay.

    Raises
    ------
    FormulaError
        Python can't read it, or it has what a formula can't have.
    """
    must = (
        f"`formula` must have calls that Python can read, got {shortened(text)!r} in "
        f"{shortened(formula)!r}:"
    )
    try:
        tree = _tree(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = getattr(error, "msg", None) or str(error)
        raise FormulaError(
            f"{must} {said}. Write names that are no words in backquotes."
        ) from error
    for node in ast.walk(tree):
        problem = _problem(node)
        if problem:
            raise FormulaError(f"{must} {problem}.")
    return ast.unparse(tree)


_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
QUOTED = re.compile(rf"{_TEXT}|`[^`]*`", re.DOTALL)
"""Text as Python has it, and names in backquotes."""
_NAMES = re.compile(rf"(`[^`]*`)|{_TEXT}|(?<![\w.])([^\W\d]\w*(?:\.\w+)*)", re.DOTALL)
"""Names, also in backquotes and with dots; text is passed over."""


def _tree(text: str) -> ast.expr:
    """What Python's parser makes of a call, with the backquotes in the names of columns.

    A name such as ``income.2``, which Python does not know, is that of a column.
    """
    quoted: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        if match[1] is None and (match[2] is None or _is_python(match[2])):
            return match[0]
        quoted.append(match[1] or f"`{match[2]}`")
        return f"{_PLACEHOLDER}{len(quoted) - 1}"

    if _PLACEHOLDER in text:
        raise ValueError(f"a name that begins with {_PLACEHOLDER!r} is taken")
    tree = ast.parse(_NAMES.sub(replaced, text).strip(), mode="eval").body
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id.startswith(_PLACEHOLDER):
            node.id = quoted[int(node.id.removeprefix(_PLACEHOLDER))]
    return tree


def _is_python(name: str) -> bool:
    """Whether Python has the name as it is written: it normalises letters."""
    words = all(map(str.isidentifier, name.split(".")))
    return words and unicodedata.is_normalized("NFKC", name)


_ALLOWED = (
    *(ast.Call, ast.keyword, ast.Name, ast.Attribute, ast.Constant, ast.List, ast.Tuple),
    *(ast.BinOp, ast.UnaryOp, ast.Compare, ast.Load, ast.operator, ast.unaryop, ast.cmpop),
)


def _problem(node: ast.AST) -> str | None:
    """What a node of a call has that formulas don't know, if anything."""
    if isinstance(node, ast.BitXor):
        return "a power is written **, not ^"
    if isinstance(node, ast.BoolOp | ast.Not) or _joins_a_number(node):
        return "conditions are joined by & and |, each in brackets: (x > 0) & (z < 1)"
    if isinstance(node, ast.Call) and _dotted(node.func) is None:
        return f"{ast.unparse(node.func)!r} is no name of a function"
    if isinstance(node, ast.keyword) and node.arg is None:
        return "arguments are given one by one"
    if isinstance(node, ast.cmpop) and type(node) not in COMPARISONS:
        return "comparisons are ==, !=, <, <=, > and >=; one of several values is np.isin(x, […])"
    if isinstance(node, ast.operator) and type(node) not in {**BINARY, **LOGICAL}:
        return "operators are +, -, *, /, //, %, **, & and |"
    if isinstance(node, ast.Attribute) and _dotted(node) is None:
        return f"{ast.unparse(node)!r} is no name"
    if not isinstance(node, _ALLOWED):
        return f"{ast.unparse(node)!r} is more than columns, numbers, text and calls"
    return None


def _joins_a_number(node: ast.AST) -> bool:
    """Whether it is ``1 & x``, as ``x > 1 & x < 3`` has it."""
    if not (isinstance(node, ast.BinOp) and type(node.op) in LOGICAL):
        return False
    return any(isinstance(side, ast.Constant) for side in (node.left, node.right))


def plain(text: str) -> str:
    """A call without backquotes, as it is named."""
    return text.replace("`", "")


@lru_cache(maxsize=1024)
def parsed(text: str) -> ast.expr:
    """The tree of a call."""
    return _tree(text)


def _dotted(node: ast.AST) -> str | None:
    """A name such as ``np.log``; None for anything else."""
    if isinstance(node, ast.Name):
        return plain(node.id)
    if isinstance(node, ast.Attribute):
        left = _dotted(node.value)
        return None if left is None else f"{left}.{node.attr}"
    return None


def _is_coded_column(text: str) -> bool:
    """Whether it is ``C(x)`` of a column alone, whose values are matched with levels later."""
    tree = parsed(text)
    if not (isinstance(tree, ast.Call) and callee(tree) in CODINGS and tree.args):
        return False
    return _dotted(tree.args[0]) is not None


def nodes(text: str) -> Iterator[ast.Call]:
    """The calls in a call, itself first, in the order in which they are written."""
    yield from _calls_in(parsed(text))


def _calls_in(node: ast.AST) -> Iterator[ast.Call]:
    if isinstance(node, ast.Call):
        yield node
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            yield from _calls_in(argument)
        return
    for child in ast.iter_child_nodes(node):
        yield from _calls_in(child)


def callee(node: ast.Call) -> str:
    """Name of the function that is called."""
    name = _dotted(node.func)
    assert name is not None
    return name


def arguments(text: str) -> list[str]:
    """The arguments of a call as texts, those with names left out.

    Examples
    --------
    >>> arguments("p(wins, np.maximum(n, 1))")
    ['wins', 'np.maximum(n, 1)']
    """
    tree = parsed(text)
    assert isinstance(tree, ast.Call)
    return [ast.unparse(argument) for argument in tree.args]


def names_in(text: str) -> set[str]:
    """Names in a call that may be columns: all but those of the functions that it calls."""
    return set(_names(parsed(text)))


def _names(node: ast.AST) -> Iterator[str]:
    name = _dotted(node)
    if name is not None:
        yield name
        return
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Call):
        children = [*node.args, *(keyword.value for keyword in node.keywords)]
    for child in children:
        yield from _names(child)


# --- values ---------------------------------------------------------------------------------------


class _Evaluation:
    """The value of a call on a table.

    Parameters
    ----------
    data
        The table.
    namespace
        The user's functions.
    states
        What stateful transforms have learned, in order of appearance; None to learn it now.
    """

    def __init__(
        self, data: pd.DataFrame, namespace: Mapping[str, Any], states: list[State] | None
    ) -> None:
        self._data = data.reset_index(drop=True)
        self._namespace = namespace
        self._known = {**namespace, **functions()}
        self._states = states
        self._transforms: list[Any] = []

    @property
    def learned(self) -> list[State]:
        """What the transforms have learned, in order of appearance."""
        return [dict(vars(transform)) for transform in self._transforms]

    def value(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.List | ast.Tuple):
            return [self.value(item) for item in node.elts]
        if isinstance(node, ast.BinOp):
            left, right = self.value(node.left), self.value(node.right)
            check_shapes((left, right))
            if type(node.op) in LOGICAL:
                return LOGICAL[type(node.op)](left, right)
            return arithmetic(BINARY[type(node.op)], left, right)
        if isinstance(node, ast.UnaryOp):
            operand = self.value(node.operand)
            if isinstance(node.op, ast.Invert):
                return np.logical_not(operand)
            return arithmetic(UNARY[type(node.op)], operand)
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        name = _dotted(node)
        assert name is not None
        return self._named(name)

    def _comparison(self, node: ast.Compare) -> Any:
        """``a < b < c`` is ``(a < b) & (b < c)``."""
        values = [self.value(each) for each in (node.left, *node.comparators)]
        check_shapes(values)
        holds = [
            COMPARISONS[type(op)](left, right)
            for op, left, right in zip(node.ops, values[:-1], values[1:], strict=True)
        ]
        result = holds[0]
        for other in holds[1:]:
            result = operator.and_(result, other)
        return result

    def _named(self, name: str) -> Any:
        if name in self._data.columns:
            return wide(self._data[name])
        return self._function(name)

    def _function(self, name: str) -> Any:
        if name in self._known:
            return self._known[name]
        return _of_the_user(name, self._namespace)

    def _call(self, node: ast.Call) -> Any:
        name = callee(node)
        function = self._function(name)
        if getattr(function, "__stateful_transform__", False):
            function = self._transform(function())
        positional = [self.value(argument) for argument in node.args]
        named = {str(keyword.arg): self.value(keyword.value) for keyword in node.keywords}
        if name in SPLINES:
            check_columns(name, positional, named)
        result = function(*positional, **named)
        if name in BINARIES and self._states is None and not np.any(result):
            column = pd.Series(positional[0] if positional else named["x"])
            raise ValueError(
                f"no value is the one that counts as 1. Available: {listing(column.unique())}"
            )
        return result

    def _transform(self, transform: Any) -> Any:
        """A transform that learns now, or with what it has learned."""
        if self._states is not None:
            vars(transform).update(self._states[len(self._transforms)])
        self._transforms.append(transform)
        return transform


def _of_the_user(name: str, namespace: Mapping[str, Any]) -> Any:
    """What a name with dots stands for: ``special.expit``, of a module or an object that is given.

    Names that are public, of a module or its own submodules, and no attributes of what they name:
    a formula that somebody else wrote must not come to what a module has imported.
    """
    root, *inner = name.split(".")
    value = namespace[root]
    for depth, attribute in enumerate(inner):
        if attribute.startswith("_") or (depth and not isinstance(value, ModuleType)):
            raise AttributeError(f"{attribute!r} is no public name of a module in `namespace`")
        owner, value = value, getattr(value, attribute)
        if isinstance(value, ModuleType) and not _is_inside(value, owner):
            raise AttributeError(f"{attribute!r} is another module than the one in `namespace`")
    return value


def _is_inside(module: ModuleType, owner: Any) -> bool:
    """Whether a module is part of a package."""
    package = getattr(owner, "__name__", None)
    return isinstance(owner, ModuleType) and module.__name__.startswith(f"{package}.")


# --- checks ---------------------------------------------------------------------------------------


def check_functions(text: str, namespace: Mapping[str, Any], *, of_outcome: bool = False) -> None:
    """Raise if a call names a function that can't be found, or one that new data would change."""
    known = {*functions(), *PROPORTIONS, *namespace}
    for node in nodes(text):
        name = callee(node)
        if name not in known and name.split(".")[0] not in namespace:
            raise FormulaError(_unknown_function(name, node))
    for node in nodes(text):
        if not of_outcome and callee(node).removeprefix("np.") in OVER_ROWS:
            raise FormulaError(_by_itself(text, f"{callee(node)}, which looks at several rows"))
        if callee(node) in BINARIES and len(node.args) + len(node.keywords) < 2 and not of_outcome:
            written = ast.unparse(node)
            raise FormulaError(
                f"`formula` must say which value counts as 1 in {written}: left to the data, it "
                f"could be another one in new data. Write for example \"{written[:-1]}, 'yes')\"."
            )


def _unknown_function(name: str, node: ast.Call) -> str:
    written = ast.unparse(node)
    must = f"`formula` must call functions that are known, got {name!r} in {written}."
    idiom = idioms.of_call(name)
    if idiom:
        return f"{must} Here {idiom}."
    if re.fullmatch(r"\w+\(1? ?\|.*", written) or "|" in written:
        must += " If a '+' is missing before a bracket, add it."
    root = name.split(".")[0]
    return (
        f"{must} Available: {listing(function_names(), shown=30)}. Pass your own as "
        f"`namespace={{{root!r}: …}}`; splines of Bambi (hsgp) and special responses (censored, "
        f"truncated, weighted) are not supported."
    )


def check_row_by_row(
    text: str,
    value: Any,
    data: pd.DataFrame,
    namespace: Mapping[str, Any],
    states: list[State],
) -> None:
    """Raise if a call gives a row another value where other rows are beside it.

    On a frame, each cell stands for itself: a mean over its rows, a rank or a random number would
    be others than in the survey. The call is run again on parts of the survey.
    """
    whole, n = _comparable(value), len(data)
    every = np.arange(n)
    alone = [np.array([row]) for row in _telling_rows(text, whole, data)]
    for rows in (every[::-1], every[: (n + 1) // 2], *alone):
        try:
            part = evaluate(text, data.iloc[rows], namespace, states)
            again = _comparable(result_of(part, text, len(rows)))
        except Exception as error:
            raise FormulaError(
                _by_itself(text, f"{type(error).__name__} ({error}) on some rows of the survey")
            ) from error
        changed = _differing(whole[rows], again)
        if changed:
            raise FormulaError(
                _by_itself(text, f"other values in {changed} of {len(rows)} rows computed alone")
            )


def _telling_rows(text: str, values: NDArray[Any], data: pd.DataFrame) -> list[int]:
    """Rows whose values may hang on others: the least, the largest, and some between."""
    n = len(data)
    rows = set(np.linspace(0, n - 1, 8).astype(int).tolist())
    numbers = [values.reshape(n, -1)[:, 0]] if values.dtype.kind in "biuf" else []
    for name in names_in(text) & set(data.columns):
        if pd.api.types.is_numeric_dtype(data[name].dtype):
            numbers.append(data[name].to_numpy(dtype=float))
    for each in numbers:
        rows |= {int(np.argmin(each)), int(np.argmax(each)), int(np.argsort(each)[n // 2])}
    return sorted(rows)


def _by_itself(text: str, got: str) -> str:
    return (
        f"`formula` must have calls that give each row a value of its own, got {got}, of {text}: "
        f"on a frame it would mean something else. Use center(x) or scale(x), which remember the "
        f"survey's numbers, or compute the column in the survey and the frame before."
    )


def _comparable(value: Any) -> NDArray[Any]:
    rows = values_of(value)
    if isinstance(rows, pd.Series) and isinstance(rows.dtype, pd.CategoricalDtype):
        rows = rows.astype(object)
    return np.asarray(rows)


def _differing(one: NDArray[Any], other: NDArray[Any]) -> int:
    """Number of rows in which two results differ by more than rounding."""
    if one.shape != other.shape:
        return len(one)
    if one.dtype.kind in "biuf" and other.dtype.kind in "biuf":
        same = np.isclose(one.astype(float), other.astype(float), 1e-9, 1e-12, equal_nan=True)
    else:
        same = np.asarray(one == other) | (pd.isna(one) & pd.isna(other))
    return int((~same.reshape(len(one), -1).all(axis=1)).sum())


# --- as plain data --------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """A transform's memory as JSON: arrays and dictionaries with number keys are marked."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {"items": [[to_json(key), to_json(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """Inverse of `to_json`."""
    convert: dict[str, Callable[[Any], Any]] = {
        "array": np.asarray,
        "items": lambda items: {from_json(key): from_json(item) for key, item in items},
    }
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        return convert[kind](content)
    return [from_json(item) for item in value] if isinstance(value, list) else value
