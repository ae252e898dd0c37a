"""Calls in files of format 1, whose labels were not Python and whose arithmetic was not either."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

import pandas as pd

from mrp.errors import FitError, FormulaError
from mrp.formula.calls import State, callee, check_row_by_row, evaluate, parsed, result_of
from mrp.formula.functions import wide
from mrp.formula.grammar import describe


def translated(
    formula: str,
    labels: Sequence[str],
    states: Mapping[str, tuple[State, ...]],
    survey: pd.DataFrame | None,
) -> dict[str, str]:
    """The calls that labels of an old file stand for, as Python writes them.

    Parameters
    ----------
    formula
        The model's formula.
    labels
        Labels of the calls in the file, which left out brackets.
    states
        What their transforms have learned, by label.
    survey
        The survey, if it is in the file.

    Raises
    ------
    FitError
        A call meant something else to the version that wrote the file.
    """
    described = describe(formula)
    terms = [*described.terms, *(t for b in described.brackets for t in (*b.terms, b.factor))]
    texts = dict.fromkeys(part.text for term in terms for part in term if part.is_call)
    by_label: dict[str, list[str]] = {}
    for text in texts:
        by_label.setdefault(_label(parsed(text)), []).append(text)
    found = {}
    for label in labels:
        candidates = by_label.get(label.replace('"', "'"), [])
        if len(candidates) != 1 or _read_otherwise(parsed(candidates[0])):
            raise FitError(_fit_again(label))
        if survey is not None:
            _check_on_survey(candidates[0], label, survey, list(states.get(label, ())))
        found[label] = candidates[0]
    return found


def _fit_again(label: str) -> str:
    return (
        f"`path` must be a fit whose calls still mean what they meant, got {label}, which the "
        f"version of mrp that wrote the file computed otherwise. Fit the model again."
    )


def _check_on_survey(text: str, label: str, survey: pd.DataFrame, states: list[State]) -> None:
    narrow = [name for name in survey if wide(survey[name]).dtype != survey[name].dtype]
    names = {node.id for node in ast.walk(parsed(text)) if isinstance(node, ast.Name)}
    if names & set(narrow):
        raise FitError(_fit_again(label))
    value = result_of(evaluate(text, survey, {}, states), text, len(survey))
    try:
        check_row_by_row(text, value, survey, {}, states)
    except FormulaError as error:
        raise FitError(_fit_again(label)) from error


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
