"""Designs in files: what a formula learned from the survey, of which the rest is made again.

A file has the formula, what its parts are (numbers, or categoricals with levels), which groups
there are, and what transforms remember. Terms, codings and names follow from these, by the code
that made them at first: a file can't say other ones than its formula does.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from mrp.design import Categorical, Coding, Component, Design, Level, Numeric, Term
from mrp.errors import FormulaError, MRPError, shortened
from mrp.formula import calls
from mrp.formula.calls import Calls, callee, constant, names_in, parsed, plain
from mrp.formula.functions import CODINGS, Coded, functions
from mrp.formula.grammar import Bracket, Description, Part, Parts, describe, name_of
from mrp.memory import check_fits
from mrp.model.formula import Reader, assembled, check_calls, columns_named, predictor_parts
from mrp.saved_fits.content import OldComponent, Refused, SavedDesign, SavedFactor, SavedPart
from mrp.saved_fits.labels import old_label
from mrp.saved_fits.levels import level_from_json, level_to_json
from mrp.saved_fits.transforms import check_states

_OF_GROUPS = "levels of "
"""Begins the name of a categorical that groups are made of."""


def design_to_json(design: Design) -> dict[str, Any]:
    """A design as JSON."""
    sources = {component.source for component in design.components.values()}
    is_known = bool(design.calls.columns) or sources <= set(design.columns)
    content = {
        "formula": design.formula,
        "correlated": any(block.correlated for block in design.blocks),
        "ordered": False,
        "columns": design.columns,
        "parts": [_part_to_json(component) for component in design.components.values()],
        "factors": [{"name": f.name, "codes": f.codes} for f in design.factors.values()],
        "calls": {
            "states": {k: calls.to_json(list(v)) for k, v in design.calls.states.items()},
            "columns": _columns_to_json(design.calls) if is_known else None,
        },
        "labels": labels_of(tuple(design.components.values())),
    }
    result: dict[str, Any] = json.loads(json.dumps(content))
    return result | {"ordered": _is_ordered(design, result)}


def _is_ordered(design: Design, content: Mapping[str, Any]) -> bool:
    """Whether thresholds stand for the intercept."""
    if describe(design.formula).intercept:
        return not design.has_intercept
    return bool(design.terms) and design_from_json(content).terms != design.terms


def _columns_to_json(known: Calls) -> dict[str, Any]:
    return {
        name: {"kind": column.kind, "levels": [level_to_json(level) for level in column.levels]}
        for name, column in known.columns.items()
    }


def labels_of(components: Sequence[Component | OldComponent]) -> dict[str, str]:
    """Names of the calls that are not named as Python writes them."""
    names = {c.source: c.name.removeprefix(_OF_GROUPS) for c in components}
    return {text: name for text, name in names.items() if name != plain(text)}


def _part_to_json(component: Component) -> dict[str, Any]:
    own = {"name": component.name, "source": component.source}
    if isinstance(component, Numeric):
        return own | {"width": component.width}
    return own | {"levels": [level_to_json(level) for level in component.levels]}


def design_from_json(content: Mapping[str, Any]) -> Design:
    """Inverse of `design_to_json`."""
    return made_again(msgspec.convert(content, SavedDesign))


def check_read_again(design: Design) -> None:
    """Raise unless a design can be made again of what a file would say of it.

    Raises
    ------
    FormulaError
        A call is written in a way that hides what it learned.
    """
    try:
        again = design_from_json(design_to_json(design))
        why = None if _shape(again) == _shape(design) else "its terms would be others"
    except (MRPError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        why = str(error)
    if why is not None:
        raise FormulaError(
            f"`formula` must be one that a file can say, got {shortened(design.formula)!r}: {why}. "
            f"Compute what its calls make as columns of the survey."
        )


def _shape(design: Design) -> tuple[Any, ...]:
    """All of a design but what its transforms learned."""
    return (
        design.columns,
        list(design.components.values()),
        design.terms,
        design.blocks,
        list(design.factors.values()),
        design.offsets,
        design.calls.columns,
    )


def made_again(saved: SavedDesign, most: int | None = None) -> Design:
    """The design of a formula that has been read before.

    Parameters
    ----------
    saved
        What it learned.
    most
        How many coefficients a term can have at most; None if there is no telling.

    Raises
    ------
    Refused, MRPError
        The formula can't be read, or has not learned this.
    """
    described = _labelled(describe(saved.formula), saved.labels)
    check_calls(described, {})
    parts = predictor_parts(described)
    columns = columns_named(parts, pd.DataFrame(columns=list(saved.columns)), {})
    if sorted(columns) != sorted(saved.columns):
        raise Refused(
            f"its columns {list(saved.columns)} are not those of its formula, {list(columns)}"
        )
    reader = _Remembering(saved, most)
    design = assembled(
        saved.formula,
        described,
        saved.columns,
        reader,
        correlated=saved.correlated,
        ordered=saved.ordered,
    )
    reader.check_all_used()
    return design


def _labelled(described: Description, labels: Mapping[str, str]) -> Description:
    """A description whose calls have the names that the first format gave them."""
    other = [text for text, name in labels.items() if name.replace('"', "'") != old_label(text)]
    if other:
        raise Refused(f"{labels[other[0]]!r} is no name of {other[0]!r}")
    if not labels:
        return described

    def of(parts: Parts) -> Parts:
        return tuple(
            _Labelled(part.text, part.is_call, part.level, labels[part.text])
            if part.is_call and part.text in labels
            else part
            for part in parts
        )

    brackets = tuple(
        Bracket(b.intercept, tuple(map(of, b.terms)), of(b.factor), b.is_double)
        for b in described.brackets
    )
    return replace(described, terms=tuple(map(of, described.terms)), brackets=brackets)


@dataclass(frozen=True)
class _Labelled(Part):
    """A call with a name of its own."""

    label: str = ""

    @property
    def name(self) -> str:
        return self.label


class _Remembering(Reader):
    """Reads components, terms and factors off what an earlier reading learned."""

    def __init__(self, saved: SavedDesign, most: int | None) -> None:
        super().__init__(pd.DataFrame(), pd.DataFrame(), {})
        self._saved = saved
        self._most = most
        self._parts = _by_name(saved.parts)
        self._codes = _by_name(saved.factors)

    def calls(self, parts: Sequence[Part]) -> Calls:
        texts = list(dict.fromkeys(part.text for part in parts if part.is_call))
        saved = self._saved.calls
        states = {text: tuple(map(calls.from_json, own)) for text, own in saved.states.items()}
        check_states(texts, states)
        names = {name for text in texts for name in names_in(text)} & set(self._saved.columns)
        if saved.columns is not None and saved.columns.keys() != names:
            raise Refused("the columns of its calls are not those of its formula")
        columns = {
            name: calls.Column(column.kind, tuple(map(level_from_json, column.levels)))
            for name, column in (saved.columns or {}).items()
        }
        return Calls(states, columns=columns)

    def check_all_used(self) -> None:
        """Raise unless the formula has all that the file says, and the same of it."""
        sources = {name: component.source for name, component in self.components.items()}
        if {name: part.source for name, part in self._parts.items()} != sources:
            raise Refused(f"its parts {list(self._parts)} are not those of its formula")
        if self._codes.keys() != self.factors.keys():
            raise Refused(f"its groups {list(self._codes)} are not those of its formula")

    def _value(self, part: Part) -> Any:
        known = self._known(part.name)
        if known.levels is None:
            # any numbers with as many columns, none of them constant
            width = known.width or 0
            if not 1 <= width <= (MOST_COLUMNS if part.is_call else 1):
                raise Refused(f"{part.name!r} is said to have {width} columns")
            return np.arange(2 * width).reshape((2, width) if width > 1 else 2)
        levels = _levels(known)
        contrast, given = _coding_said(parsed(part.text)) if part.is_call else (None, None)
        if given is not None and tuple(x for x in given if x in levels) != levels:
            raise Refused(f"the levels of {part.name!r} are not those of its formula")
        return Coded(pd.Series([], dtype=object), contrast, levels)

    def _term(self, parts: Parts, in_full: Mapping[Any, bool]) -> Term:
        """A term, once it is known that it has no more coefficients than there are draws of."""
        known = [self._known(part.name) for part in parts]
        sizes = [part.width or len(part.levels or ()) - 1 for part in known]
        if self._most is not None and math.prod(max(size, 1) for size in sizes) > self._most:
            raise Refused(f"it has no draws of the coefficients of {name_of(parts)!r}")
        return super()._term(parts, in_full)

    def _coding(self, part: Part, *, in_full: bool) -> tuple[Coding, list[str] | None, int]:
        value = self._value(part)
        if isinstance(value, Coded) and type(value.contrast).__name__ == "Sum":
            size = len(value.levels or ())
            check_fits(
                32 * size * size,  # as Python has its numbers
                f"contrasts of {size:,} levels",
                "path",
                "Make a term of thousands of levels group-specific: `(1 | g)`.",
            )
        return super()._coding(part, in_full=in_full)

    def _group_levels(self, part: Part) -> tuple[Level, ...]:
        return _levels(self._known(f"{_OF_GROUPS}{part.name}"))

    def _groups(
        self, name: str, parts: Parts, components: Sequence[Categorical]
    ) -> tuple[tuple[int, ...], ...]:
        if name not in self._codes:
            raise Refused(f"it does not say which groups of {name!r} there are")
        codes = self._codes[name].codes
        sizes = [len(component.levels) for component in components]
        fits = all(
            len(row) == len(sizes) and all(0 <= k < n for k, n in zip(row, sizes, strict=True))
            for row in codes
        )
        if not codes or not fits or any(a >= b for a, b in pairwise(codes)):
            raise Refused(f"its groups of {name!r} are none")
        return codes

    def _known(self, name: str) -> SavedPart:
        if name not in self._parts:
            raise Refused(f"it does not say what {name!r} is")
        return self._parts[name]


def _by_name[T: (SavedPart, SavedFactor)](items: Sequence[T]) -> dict[str, T]:
    found = {item.name: item for item in items}
    if len(found) < len(items):
        raise Refused("it says twice what one part of its formula is")
    return found


MOST_COLUMNS = 10_000
"""How many columns a call may give."""


def _levels(part: SavedPart) -> tuple[Level, ...]:
    levels = tuple(map(level_from_json, part.levels or ()))
    if not levels or len(set(levels)) < len(levels) or part.width is not None:
        raise Refused(f"{part.name!r} has no levels, or some of them twice")
    return levels


def _coding_said(node: ast.AST) -> tuple[Any, Sequence[Any] | None]:
    """The contrast and the levels that a call such as ``C(x, Sum, levels=[…])`` gives."""
    if not isinstance(node, ast.Call) or callee(node) not in (*CODINGS, "I"):
        return None, None
    function = functions()[callee(node)]
    bound = inspect.signature(function).bind(
        *node.args, **{str(keyword.arg): keyword.value for keyword in node.keywords}
    )
    first, *others = bound.arguments
    contrast, levels = _coding_said(bound.arguments[first])
    given = {name: constant(bound.arguments[name]) for name in others}
    levels = levels if given.get("levels") is None else given.pop("levels")
    given.pop("levels", None)
    if callee(node) == "I":
        return contrast, levels
    inner = Coded(pd.Series([], dtype=object), contrast)
    return function(inner, **given).contrast, levels
