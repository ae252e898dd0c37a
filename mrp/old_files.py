"""Designs in files of format 1, whose calls were labelled, and partly computed, otherwise."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mrp.design import Design
from mrp.errors import FitError, FormulaError, FrameWarning, warn
from mrp.formula.calls import (
    Calls,
    State,
    callee,
    check_row_by_row,
    evaluate,
    nodes,
    parsed,
    result_of,
)
from mrp.formula.functions import OVER_ROWS, plain_dtype
from mrp.formula.grammar import describe


def translated(design: Design, survey: pd.DataFrame | None) -> Design:
    """A design of format 1 with its calls as Python writes them.

    Parameters
    ----------
    design
        The calls of its components are labels without brackets: ``I(x - 2 ** 2)`` may stand for
        ``I((x - 2) ** 2)``.
    survey
        The survey, if it is in the file.

    Raises
    ------
    FitError
        A call meant something else to the version that wrote the file.
    """
    by_label: dict[str, list[str]] = {}
    for text in _calls_of(design.formula):
        by_label.setdefault(_label(parsed(text)), []).append(text)
    found = {}
    for label in {part.source for part in design.components.values()} - set(design.columns):
        candidates = by_label.get(label.replace('"', "'"), [])
        if len(candidates) != 1 or _read_otherwise(parsed(candidates[0])):
            raise FitError(_fit_again(label))
        found[label] = candidates[0]
        if survey is None:
            _check_without_survey(candidates[0], label)
        else:
            states = list(design.calls.states.get(label, ()))
            _check_on_survey(candidates[0], label, survey, states)
    components = {
        name: replace(part, source=found.get(part.source, part.source))
        for name, part in design.components.items()
    }
    learned = {found[label]: state for label, state in design.calls.states.items()}
    return replace(design, components=components, calls=Calls(learned))


def _calls_of(formula: str) -> list[str]:
    """The calls of a formula's predictors."""
    described = describe(formula)
    terms = [*described.terms, *(t for b in described.brackets for t in (*b.terms, b.factor))]
    return list(dict.fromkeys(part.text for term in terms for part in term if part.is_call))


def _fit_again(label: str) -> str:
    return (
        f"`path` must be a fit whose calls still mean what they meant, got {label}, which the "
        f"version of mrp that wrote the file computed otherwise. Fit the model again."
    )


def _check_without_survey(text: str, label: str) -> None:
    if any(callee(node).removeprefix("np.") in OVER_ROWS for node in nodes(text)):
        raise FitError(_fit_again(label))
    if any(isinstance(node, ast.BinOp | ast.UnaryOp) for node in ast.walk(parsed(text))):
        warn(
            f"`path` has a fit without its survey, so that {label} can't be checked: the version "
            f"of mrp that wrote the file computed it in the width of the column, which overflows "
            f"for numbers of 8, 16 or 32 bits. Fit the model again if the survey had such.",
            FrameWarning,
        )


def _check_on_survey(text: str, label: str, survey: pd.DataFrame, states: list[State]) -> None:
    names = {node.id for node in ast.walk(parsed(text)) if isinstance(node, ast.Name)}
    if any(_is_narrow(survey[name].dtype) for name in names & set(survey.columns)):
        raise FitError(_fit_again(label))
    value = result_of(evaluate(text, survey, {}, states), text, len(survey))
    try:
        check_row_by_row(text, value, survey, {}, states)
    except FormulaError as error:
        raise FitError(_fit_again(label)) from error


def _is_narrow(dtype: Any) -> bool:
    """Whether numbers have less than 64 bits, booleans among them: arithmetic was done in these."""
    if not pd.api.types.is_numeric_dtype(dtype):
        return False
    return bool(np.dtype(plain_dtype(dtype)).itemsize < 8)


def _label(node: ast.AST) -> str:
    """A call as it was labelled: without the brackets of its arithmetic."""
    if isinstance(node, ast.Call):
        named = [f"{keyword.arg}={_label(keyword.value)}" for keyword in node.keywords]
        return f"{callee(node)}({', '.join([*map(_label, node.args), *named])})"
    if isinstance(node, ast.BinOp):
        return f"{_label(node.left)} {_mark(node.op)} {_label(node.right)}"
    if isinstance(node, ast.UnaryOp):
        return f"{_mark(node.op)}{_label(node.operand)}"
    if isinstance(node, ast.Compare):
        left, marks = _label(node.left), map(_mark, node.ops)
        return left + "".join(
            f" {mark} {_label(right)}" for mark, right in zip(marks, node.comparators, strict=True)
        )
    return ast.unparse(node).replace("`", "")


def _mark(node: ast.AST) -> str:
    """The mark of an operator: ``+``."""
    marks = {
        ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.UAdd: "+",
        ast.USub: "-", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
        ast.GtE: ">=",
    }  # fmt: skip
    return marks.get(type(node), "?")


def _read_otherwise(tree: ast.AST) -> bool:
    """Whether it has ``-x ** 2``, ``a ** b ** c`` or ``a < b < c``, once read from the left."""
    for node in ast.walk(tree):
        match node:
            case ast.UnaryOp(operand=ast.BinOp(op=ast.Pow())):
                return True
            case ast.BinOp(op=ast.Pow(), right=ast.BinOp(op=ast.Pow())):
                return True
            case ast.Compare(ops=[_, _, *_]):
                return True
    return False
