"""From a formula and a survey to a `Design` and an `Outcome`.

formulae parses the formula and decides which categoricals are coded in full and which against a
reference level; the levels, their order and the groups are read here, so that the order of a
pandas categorical is kept (formulae alone would sort it) and nothing is expanded per respondent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.calls import Calls, calls_in, check_functions, describe, environment, learned
from mrp.design import (
    Array,
    Block,
    Categorical,
    Coding,
    Component,
    Design,
    Factor,
    Level,
    Numeric,
    Term,
    check_columns,
    check_complete,
    unique_rows,
    variable_name,
)
from mrp.errors import DataError, FormulaError, listing, unknown
from mrp.levels import Kind
from mrp.model.columns import as_series, prepared
from mrp.model.outcome import Outcome, read_outcome


def learn(
    formula: str,
    survey: pd.DataFrame,
    *,
    correlated: bool,
    namespace: Mapping[str, Any],
    levels: Kind | None = None,
) -> tuple[Design, Outcome]:
    """Learn the design from the survey and read the outcome.

    Parameters
    ----------
    formula
        A Bambi formula; ``(x || g)`` asks for independent effects, as in lme4.
    survey
        One row for each respondent.
    correlated
        Whether the effects within one ``( … | g)`` are correlated.
    namespace
        Functions that the formula may call, by name.
    levels
        What the levels of the outcome are. Where they are "ordered", the thresholds between them
        stand for the intercept: categoricals are coded as beside one, whether the formula has it
        or not, and the design has none.

    Raises
    ------
    FormulaError, DataError
        The formula can't be used, or the survey lacks what it needs.
    """
    plain, independent = split_double_bars(formula)
    description = describe(plain)
    check_functions(description, namespace)
    if description.response is None:
        raise FormulaError(
            f"`formula` must name the outcome on the left of '~', got {formula!r}. "
            f"Write for example 'y ~ {formula}'."
        )
    kinds = [term.kind for term in description.common_terms]
    if levels == "ordered" and "intercept" not in kinds:
        plain = f"{plain} + 1"
        description = describe(plain)
    columns = predictor_columns(description, survey, namespace)
    outcome_columns = _columns(sorted(description.response.var_names), survey, namespace)
    check_columns([*outcome_columns, *columns], survey, "data")
    check_complete([*outcome_columns, *columns], survey, "data")
    if survey.empty:
        raise DataError("`data` must have at least one row, got none. Pass the survey.")

    where = environment(namespace)
    ready = survey.assign(**{name: prepared(survey[name]) for name in columns})
    _set_types(description, ready, where)
    reader = _Reader(description, ready, where)
    terms = reader.population_terms()
    if levels == "ordered":
        terms = tuple(term for term in terms if term.kind != "intercept")
    blocks = tuple(reader.blocks(plain, correlated, independent))
    _check_same_coding(blocks)
    factors = {factor.name: factor for factor in reader.factors.values()}
    offsets = tuple(reader.offsets)
    if not terms and not blocks and levels != "ordered":
        raise FormulaError(
            f"`formula` must have something to estimate, got {formula!r}. Write for example "
            f"'{formula.split('~')[0].strip()} ~ 1 + (1 | g)'."
        )
    states = {str(call): state for call in calls_in(description) if (state := learned(call))}
    design = Design(
        formula=formula,
        columns=columns,
        components=reader.components,
        terms=terms,
        blocks=blocks,
        factors=factors,
        offsets=offsets,
        calls=Calls(plain, states, dict(namespace)),
    )
    outcome = read_outcome(description, survey, where, levels)
    return design, replace(outcome, name=variable_name(outcome.name))


def columns_used(
    formula: str, survey: pd.DataFrame, namespace: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of the survey that a formula needs: those of the outcome, and of predictors."""
    description = describe(split_double_bars(formula)[0])
    named = () if description.response is None else sorted(description.response.var_names)
    return _columns(named, survey, namespace), predictor_columns(description, survey, namespace)


def _check_same_coding(blocks: Sequence[Block]) -> None:
    """Raise if a group-specific term has other levels in one block than in another.

    Both would have the same dim, as Bambi names it.
    """
    first: dict[str, tuple[Term, Block]] = {}
    for block in blocks:
        for term in block.terms:
            other, where = first.setdefault(term.name, (term, block))
            if other.levels != term.levels:
                raise FormulaError(
                    f"`formula` must code {term.name!r} the same way in every bracket, got levels "
                    f"{listing(other.levels or ())} for {where.factor!r} and "
                    f"{listing(term.levels or ())} for {block.factor!r}. Give both an intercept, "
                    f"or neither (0 + {term.name} | …)."
                )


def split_double_bars(formula: str) -> tuple[str, tuple[bool, ...]]:
    """Replace ``||`` by ``|``; say for each bar in order whether it was double.

    Examples
    --------
    >>> split_double_bars("y ~ (1 | a) + (x || b)")
    ('y ~ (1 | a) + (x | b)', (False, True))
    """
    if not isinstance(formula, str):
        raise FormulaError(
            f"`formula` must be a string, got {type(formula).__name__}. "
            f"Distributional formulas (bambi.Formula) are not supported."
        )
    parts = re.split(r"""(['"][^'"]*['"]|`[^`]*`|\|\|?)""", formula)
    bars = tuple(part == "||" for part in parts if part in ("|", "||"))
    return "".join("|" if part == "||" else part for part in parts), bars


def predictor_columns(
    description: Any, survey: pd.DataFrame, namespace: Mapping[str, Any]
) -> tuple[str, ...]:
    """Columns on the right of the formula, in order of appearance."""
    named = [name for term in description.terms for name in _ordered_names(term)]
    return _columns(named, survey, namespace)


def _columns(
    named: Sequence[str], survey: pd.DataFrame, namespace: Mapping[str, Any]
) -> tuple[str, ...]:
    """Those of the names in a formula that must be columns: all but what the namespace has."""
    known = environment(namespace).namespace
    return tuple(
        name
        for name in dict.fromkeys(named)
        if name and (name in survey.columns or name not in known)
    )


def _ordered_names(term: Any) -> Iterator[str]:
    parts = [term.expr, term.factor] if hasattr(term, "factor") else [term]
    for part in parts:
        for component in getattr(part, "components", ()):
            if not isinstance(component.name, str):
                raise FormulaError(
                    f"`formula` must be made of columns, calls, 0 and 1, got the number "
                    f"{component.name}. Use `I(…)` for arithmetic or `offset(…)` for a constant."
                )
            yield from sorted(component.var_names)


def _set_types(description: Any, survey: pd.DataFrame, where: Any) -> None:
    """Let formulae run the calls on the survey and say what is a number and what a categorical."""
    for term in description.terms:
        try:
            term.set_type(survey, where)
        except Exception as error:
            raise FormulaError(
                f"`formula` must have terms that can be computed from `data`, got "
                f"{term.name!r}: {error}"
            ) from error
    common = [term for term in description.common_terms if term.kind != "offset"]
    grouped = [part for term in description.group_terms for part in (term.expr, term.factor)]
    for term in (*common, *grouped):
        for component in getattr(term, "components", ()):
            level = getattr(component, "reference", None)
            if level is not None:
                raise FormulaError(
                    f"`formula` must name a level in brackets only in the outcome, got "
                    f"{component.name}[{level}]. Write \"binary({component.name}, '{level}')\"."
                )
            if component.kind not in ("numeric", "categoric"):
                raise FormulaError(
                    f"`formula` must have terms made of numbers and categoricals, got "
                    f"{term.name!r}. Write an offset as a term of its own, and p(…) on the left "
                    f"of '~'."
                )


class _Reader:
    """Reads terms, components and factors off a parsed formula whose types are set."""

    def __init__(self, description: Any, survey: pd.DataFrame, where: Any) -> None:
        self.description = description
        self.survey = survey
        self.where = where
        self.components: dict[str, Component] = {}
        self.factors: dict[str, Factor] = {}
        self.offsets: list[str] = []

    def population_terms(self) -> tuple[Term, ...]:
        """Population-level terms; offsets are put aside."""
        model = self.description
        model.add_extra_terms(model._get_encoding_bools(), self.survey, self.where)
        encodings = model._get_encoding_bools()
        terms: list[Term] = []
        for term in model.common_terms:
            if term.kind == "offset":
                self._offset(term.components[0])
                continue
            encoding = encodings.get(term.name, [False])
            terms.append(self._term(term, encoding[0] if len(encoding) else False))
        names = [term.name for term in terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise FormulaError(
                f"`formula` must give its terms different names, got {listing(twice)} twice. "
                f"Compute one of them as a column of the survey."
            )
        return tuple(sorted(terms, key=lambda term: term.kind != "intercept"))

    def blocks(
        self, formula: str, correlated: bool, independent: Sequence[bool]
    ) -> Iterator[Block]:
        """Group-specific terms, as they stand together in one ``( … | g)``."""
        written = list(_bars(formula))
        seen: set[str] = set()
        numbers: Counter[str] = Counter()
        for bar, alone in zip(written, independent, strict=True):
            by_factor: dict[str, list[str]] = {}
            for name, factor in bar:
                by_factor.setdefault(factor, []).append(name)
            for factor, names in by_factor.items():
                twice = [name for name in names if name in seen]
                if twice:
                    raise FormulaError(
                        f"`formula` must have each group-specific term once, got {twice[0]!r} "
                        f"twice. Remove it from one of the brackets (write '0 + x | g')."
                    )
                seen.update(names)
                block = self._block(factor, names, correlated and not alone)
                yield replace(block, number=numbers[factor])
                numbers[factor] += 1

    def _block(self, factor: str, names: Sequence[str], correlated: bool) -> Block:
        group_terms = {term.name: term for term in self.description.group_terms}
        intercepts = {t.factor.name for t in group_terms.values() if t.expr.kind == "intercept"}
        self._factor(group_terms[names[0]].factor)
        terms = []
        for name in names:
            in_full = factor not in intercepts
            terms.append(self._term(group_terms[name].expr, in_full))
        width = sum(term.width for term in terms)
        return Block(variable_name(factor), tuple(terms), correlated and width > 1)

    def _term(self, term: Any, encoding: bool | Mapping[str, bool]) -> Term:
        if term.kind == "intercept":
            return Term("Intercept", (), 1, None, "intercept")
        codings: list[Coding] = []
        labels: list[list[str]] = []
        widths: list[int] = []
        for part in term.components:
            in_full = encoding.get(part.name, False) if isinstance(encoding, dict) else encoding
            coding, part_labels, width = self._coding(part, bool(in_full))
            codings.append(coding)
            widths.append(width)
            if part_labels is not None:
                labels.append(part_labels)
        levels = _cross(labels) if labels else None
        name = variable_name(term.name)
        return Term(name, tuple(codings), int(np.prod(widths)), levels, term.kind)

    def _coding(self, part: Any, in_full: bool) -> tuple[Coding, list[str] | None, int]:
        component = self._component(part, categorical=part.kind == "categoric")
        if isinstance(component, Numeric):
            width = self._width(part)
            names = [str(k) for k in range(width)] if width > 1 else None
            return Coding(component.name), names, width
        matrix = _contrasts(part, component.levels, in_full)
        rows = tuple(tuple(float(x) for x in row) for row in matrix.matrix)
        return Coding(component.name, rows), [str(x) for x in matrix.labels], len(matrix.labels)

    def _width(self, part: Any) -> int:
        values = np.asarray(self._evaluate(part))
        flat = values.reshape(len(values), -1)
        constant = (flat == flat[0]).all(axis=0)
        if constant.any():
            raise DataError(
                f"`data` must have different values in {part.name!r}, got only "
                f"{float(flat[0, constant][0]):g}: a constant can't be told from the intercept. "
                f"Leave the term out."
            )
        return flat.shape[1]

    def _offset(self, part: Any) -> None:
        self.components[part.name] = Numeric(part.name, part.name)
        self.offsets.append(part.name)

    def _component(self, part: Any, *, categorical: bool) -> Component:
        if part.name in self.components:
            return self.components[part.name]
        component: Component = Numeric(part.name, part.name)
        if categorical:
            levels = self._levels(part)
            if len(levels) < 2:
                raise DataError(
                    f"`data` must have at least two levels of {part.name!r}, got "
                    f"{listing(levels)}. Leave the term out, or use the whole survey."
                )
            component = Categorical(part.name, part.name, levels)
        self.components[part.name] = component
        return component

    def _factor(self, term: Any) -> None:
        name = variable_name(term.name)
        if name in self.factors:
            return
        names = [self._group_component(part) for part in term.components]
        codes = [self._codes(name) for name in names]
        first, _ = unique_rows([c.astype(np.int64) for c in codes], len(self.survey))
        table = sorted({tuple(int(c[i]) for c in codes) for i in first})
        levels = [self._categorical(name).levels for name in names]
        groups = tuple(
            ":".join(str(level[code]) for level, code in zip(levels, row, strict=True))
            for row in table
        )
        self.factors[name] = Factor(name, tuple(names), tuple(table), groups)

    def _group_component(self, part: Any) -> str:
        """Name of a grouping component, apart from a number of the same column."""
        name = f"levels of {part.name}"
        self.components.setdefault(name, Categorical(name, part.name, self._levels(part)))
        return name

    def _categorical(self, name: str) -> Categorical:
        component = self.components[name]
        assert isinstance(component, Categorical)
        return component

    def _codes(self, name: str) -> NDArray[np.int32]:
        component = self._categorical(name)
        return component.codes(self._raw(component.source))

    def _raw(self, source: str) -> pd.Series:
        if source in self.survey.columns:
            return self.survey[source]
        calls = {str(call): call for call in calls_in(self.description)}
        return as_series(calls[source].eval(self.survey, self.where))

    def _evaluate(self, part: Any) -> pd.Series | Array:
        if hasattr(part, "call"):
            result = part.call.eval(self.survey, self.where)
            return result if isinstance(result, np.ndarray) else as_series(result)
        column: pd.Series = self.survey[part.name]
        return column

    def _levels(self, part: Any) -> tuple[Level, ...]:
        named = part.call.eval(self.survey, self.where) if hasattr(part, "call") else None
        given = getattr(named, "levels", None)
        if given is not None and not isinstance(named, pd.Series):
            return tuple(given)
        values = prepared(as_series(self._evaluate(part)))
        if isinstance(values.dtype, pd.CategoricalDtype):
            return tuple(_plain(level) for level in values.cat.categories)
        return tuple(_plain(level) for level in sorted(values.unique().tolist()))


def _plain(level: Any) -> Level:
    value: Level = level.item() if isinstance(level, np.generic) else level
    return value


def _cross(labels: Sequence[Sequence[str]]) -> tuple[str, ...]:
    crossed = [""]
    for part in labels:
        crossed = [f"{left}, {right}" if left else right for left in crossed for right in part]
    return tuple(crossed)


def _contrasts(part: Any, levels: Sequence[Level], in_full: bool) -> Any:
    from formulae.categorical import Treatment

    box = getattr(part, "_intermediate_data", None)
    contrast = getattr(box, "contrast", None) or Treatment()
    given = vars(contrast).get("reference", vars(contrast).get("omit"))
    if given is not None and given not in levels:
        raise FormulaError(
            unknown("formula", f"name a level of the data in {part.name}", given, levels)
        )
    code = contrast.code_with_intercept if in_full else contrast.code_without_intercept
    return code(list(levels))


def _bars(formula: str) -> Iterator[list[tuple[str, str]]]:
    """For each bar of the formula in order, the group-specific terms that it makes."""
    from formulae.parser import Parser
    from formulae.resolver import Resolver
    from formulae.scanner import Scanner

    def pipes(node: Any) -> Iterator[Any]:
        if type(node).__name__ == "Grouping":
            yield from pipes(node.expression)
        elif type(node).__name__ == "Binary":
            if node.operator.kind == "PIPE":
                yield node
            else:
                yield from pipes(node.left)
                yield from pipes(node.right)

    for node in pipes(Parser(Scanner(formula).scan()).parse()):
        resolved = Resolver(node).resolve()
        terms = getattr(resolved, "group_terms", None) or [resolved]
        yield [(term.name, term.factor.name) for term in terms]
