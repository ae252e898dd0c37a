"""Names of calls in fits of the first format: without the brackets of their arithmetic."""

from __future__ import annotations

import ast

from mrp.formula.calls import callee, parsed


def old_label(text: str) -> str:
    """A call as it was labelled.

    Examples
    --------
    >>> old_label("I((x - 2) ** 2)")
    'I(x - 2 ** 2)'
    """
    return _label(parsed(text))


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
