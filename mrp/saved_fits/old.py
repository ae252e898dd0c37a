"""Designs in files of formats 1 and 2, which had all of a design: it must be what is made today.

Calls in files of format 1 were labelled, and partly computed, otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from mrp.design import Coding, Design, Term
from mrp.errors import FitError, FormulaError, FrameWarning, warn
from mrp.formula import calls
from mrp.formula.calls import (
    State,
    callee,
    check_functions,
    check_row_by_row,
    evaluate,
    nodes,
    parsed,
    result_of,
)
from mrp.formula.functions import OVER_ROWS, plain_dtype
from mrp.formula.grammar import describe
from mrp.saved_fits.content import (
    OldCoding,
    OldComponent,
    OldDesign,
    OldTerm,
    Refused,
    SavedDesign,
    SavedFactor,
    SavedPart,
)
from mrp.saved_fits.designs import labels_of, made_again
from mrp.saved_fits.labels import old_label


def design_of(
    old: OldDesign, number: int, survey: pd.DataFrame | None, *, ordered: bool, most: int
) -> Design:
    """A design of format 1 or 2.

    Parameters
    ----------
    old
        What the file says of it. In format 1 the calls of its components are labels without
        brackets: ``I(x - 2 ** 2)`` may stand for ``I((x - 2) ** 2)``.
    number
        The format.
    survey
        The survey, if it is in the file.
    ordered
        Whether thresholds stand for the intercept.
    most
        How many coefficients a term can have at most.

    Raises
    ------
    FitError
        A call, or a term, meant something else to the version that wrote the file.
    Refused
        It contradicts itself.
    """
    if number == 1:
        old = _with_texts(old, _texts(old, survey))
    saved = SavedDesign(
        formula=old.formula,
        correlated=any(block.correlated for block in old.blocks),
        ordered=ordered,
        columns=old.columns,
        parts=tuple(_part(component, old.terms) for component in old.components),
        factors=tuple(SavedFactor(factor.name, factor.codes) for factor in old.factors),
        calls=old.calls,
        labels=labels_of(old.components) if number == 1 else {},
    )
    design = made_again(saved, most)
    if not _is_same(design, old):
        if number == 1:
            raise FitError(
                "`path` must be a fit whose terms still mean what they meant, got a formula that "
                "the version of mrp that wrote the file read otherwise. Fit the model again."
            )
        raise Refused("its terms are not those of its formula")
    return design


def _part(component: OldComponent, terms: Sequence[OldTerm]) -> SavedPart:
    if component.kind == "Categorical":
        return SavedPart(component.name, component.source, levels=component.levels)
    return SavedPart(component.name, component.source, width=_width(component.name, terms))


def _width(name: str, terms: Sequence[OldTerm]) -> int:
    """Number of columns of a number: what a term of it has, divided by what others bring in."""
    for term in terms:
        numbers = [coding.component for coding in term.codings if coding.contrasts is None]
        if numbers == [name]:
            others = [len(coding.contrasts[0]) for coding in term.codings if coding.contrasts]
            return term.width // max(int(np.prod(others, dtype=object)), 1)
    return 1


def _is_same(design: Design, old: OldDesign) -> bool:
    """Whether an old design is what is made of its formula today."""
    blocks = [(b.factor, b.correlated, b.number) for b in design.blocks]
    factors = [(f.name, f.components, f.codes, f.groups) for f in design.factors.values()]
    terms = [design.terms, *(block.terms for block in design.blocks)]
    old_terms = [old.terms, *(block.terms for block in old.blocks)]
    return (
        design.offsets == old.offsets
        and blocks == [(b.factor, b.correlated, b.number) for b in old.blocks]
        and factors == [(f.name, f.components, f.codes, f.groups) for f in old.factors]
        and len(terms) == len(old_terms)
        and all(
            len(new) == len(was) and all(map(_is_same_term, new, was))
            for new, was in zip(terms, old_terms, strict=True)
        )
    )


def _is_same_term(term: Term, old: OldTerm) -> bool:
    return (
        (term.name, term.width, term.levels, term.kind, term.of, term.dim)
        == (old.name, old.width, old.levels, old.kind, old.of, old.dim)
        and len(term.codings) == len(old.codings)
        and all(map(_is_same_coding, term.codings, old.codings))
    )


def _is_same_coding(coding: Coding, old: OldCoding) -> bool:
    if old.contrasts is None or coding.contrasts is None:
        return coding.component == old.component and old.contrasts is coding.contrasts
    rows = np.arange(len(old.contrasts))
    was = np.asarray(old.contrasts, dtype=np.float64)
    return coding.component == old.component and np.array_equal(coding.columns(rows), was)


# --- calls of format 1 ----------------------------------------------------------------------------


def _texts(old: OldDesign, survey: pd.DataFrame | None) -> dict[str, str]:
    """For each label of a call the call, as Python writes it."""
    by_label: dict[str, list[str]] = {}
    for text in _calls_of(old.formula):
        by_label.setdefault(old_label(text), []).append(text)
    found = {}
    for label in {component.source for component in old.components} - set(old.columns):
        candidates = by_label.get(label.replace('"', "'"), [])
        if len(candidates) != 1 or _read_otherwise(parsed(candidates[0])):
            raise FitError(_fit_again(label))
        try:
            check_functions(candidates[0], {})
        except FormulaError as error:
            raise FitError(_fit_again(label)) from error
        found[label] = candidates[0]
        if survey is None:
            _check_without_survey(candidates[0], label)
        else:
            states = [calls.from_json(state) for state in old.calls.states.get(label, ())]
            _check_on_survey(candidates[0], label, survey, states)
    return found


def _with_texts(old: OldDesign, texts: dict[str, str]) -> OldDesign:
    """The design with calls for their labels."""
    components = tuple(
        msgspec.structs.replace(c, source=texts.get(c.source, c.source)) for c in old.components
    )
    states = {texts.get(label, label): state for label, state in old.calls.states.items()}
    learned = msgspec.structs.replace(old.calls, states=states)
    return msgspec.structs.replace(old, components=components, calls=learned)


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
