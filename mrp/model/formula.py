"""From a formula and a survey to a `Design` and an `Outcome`.

The formula says which terms there are; the survey, which of their parts are numbers and which are
categoricals, their levels in order, and the groups. Nothing is expanded per respondent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from mrp.design import (
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
    check_made,
    unique_rows,
    variable_name,
)
from mrp.errors import DataError, FormulaError, RequestError, listing, unknown
from mrp.formula.calls import (
    Calls,
    Column,
    State,
    arguments,
    callee,
    check_functions,
    check_row_by_row,
    names_in,
    nodes,
    result_of,
    run_and_learn,
    values_of,
)
from mrp.formula.coding import codings
from mrp.formula.functions import OFFSET, PROPORTIONS, Coded, functions, levels_as_written
from mrp.formula.grammar import Bracket, Description, Part, Parts, describe, name_of
from mrp.formula.idioms import CONSTANTS
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
    described = describe(formula)
    if described.outcome is None:
        raise FormulaError(
            f"`formula` must name the outcome on the left of '~', got {formula!r}. "
            f"Write for example 'y ~ {formula}'."
        )
    check_calls(described, namespace)
    columns = columns_named(predictor_parts(described), survey, namespace)
    outcome_columns = columns_named([described.outcome], survey, namespace)
    _check_constants([*outcome_columns, *columns], survey)
    check_columns([*outcome_columns, *columns], survey, "data")
    _check_outcome_apart(described.outcome, outcome_columns, columns)
    check_complete([*outcome_columns, *columns], survey, "data")
    if survey.empty:
        raise DataError("`data` must have at least one row, got none. Pass the survey.")

    ready = survey.assign(**{name: prepared(survey[name]) for name in columns})
    design = assembled(
        formula,
        described,
        columns,
        Reader(ready, survey, namespace),
        correlated=correlated,
        ordered=levels == "ordered",
    )
    outcome = read_outcome(described.outcome, survey, namespace, levels)
    return design, replace(outcome, name=variable_name(outcome.name))


def assembled(
    formula: str,
    described: Description,
    columns: tuple[str, ...],
    reader: Reader,
    *,
    correlated: bool,
    ordered: bool,
) -> Design:
    """The design of a formula, as a reader knows its parts.

    Parameters
    ----------
    formula, described
        The formula, and what it says.
    columns
        Columns that its predictors need.
    reader
        What the parts are: of a survey, or of an earlier reading of one.
    correlated
        As in `learn`.
    ordered
        Whether thresholds stand for the intercept.
    """
    terms = reader.population(described, intercept=described.intercept or ordered)
    if ordered:
        terms = tuple(term for term in terms if term.kind != "intercept")
    blocks = reader.blocks(described.brackets, correlated=correlated)
    if not terms and not blocks and not ordered:
        raise FormulaError(
            f"`formula` must have something to estimate, got {formula!r}. Write for example "
            f"'{formula.split('~')[0].strip()} ~ 1 + (1 | g)'."
        )
    return Design(
        formula=formula,
        columns=columns,
        components=reader.components,
        terms=terms,
        blocks=blocks,
        factors=reader.factors,
        offsets=tuple(reader.offsets),
        calls=reader.calls(predictor_parts(described)),
    )


# --- what the formula names -----------------------------------------------------------------------


def columns_used(
    formula: str, survey: pd.DataFrame, namespace: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of the survey that a formula needs: those of the outcome, and of predictors."""
    described = describe(formula)
    outcome = [] if described.outcome is None else [described.outcome]
    predictors = predictor_parts(described)
    return columns_named(outcome, survey, namespace), columns_named(predictors, survey, namespace)


def predictor_parts(described: Description) -> list[Part]:
    """Parts right of '~', in the order in which columns are listed."""
    parts = [part for term in described.terms for part in term]
    for bracket in described.brackets:
        for term in ([()] if bracket.intercept else []) + list(bracket.terms):
            parts += [*term, *bracket.factor]
    return parts


def columns_named(
    parts: Sequence[Part], survey: pd.DataFrame, namespace: Mapping[str, Any]
) -> tuple[str, ...]:
    """Columns that parts are made of: all names but those that the formula has from elsewhere."""
    known = {*functions(), *namespace}

    def is_column(name: str) -> bool:
        elsewhere = name in known or name.split(".")[0] in namespace
        return name in survey.columns or not elsewhere

    named = [
        name
        for part in parts
        for name in (
            filter(is_column, sorted(names_in(part.text))) if part.is_call else [part.text]
        )
    ]
    return tuple(dict.fromkeys(named))


def check_calls(described: Description, namespace: Mapping[str, Any]) -> None:
    """Raise unless the calls of a formula, and the names in brackets, are ones that it knows."""
    clash = [n for n in namespace if n in functions() and namespace[n] is not getattr(np, n, None)]
    if clash:
        raise RequestError(
            f"`namespace` must have names of its own, got {listing(clash)}, which formulas know "
            f"already. Choose other names for your functions."
        )
    outcome = described.outcome
    assert outcome is not None
    if outcome.is_call:
        check_functions(outcome.text, namespace, of_outcome=True)
    for part in predictor_parts(described):
        if part.is_call:
            check_functions(part.text, namespace)
        if part.level is not None:
            raise FormulaError(
                f"`formula` must name a level in brackets only in the outcome, got "
                f"{part.text}[{part.level}]. Write \"binary({part.text}, '{part.level}')\"."
            )
    for terms, alone in ((described.terms, True), (_grouped(described), False)):
        for term in terms:
            for part in term:
                if _is_special(
                    part, (*PROPORTIONS, *(() if alone and len(term) == 1 else (OFFSET,)))
                ):
                    raise FormulaError(
                        f"`formula` must have terms made of numbers and categoricals, got "
                        f"{name_of(term)!r}. Write an offset as a term of its own, and p(…) on "
                        f"the left of '~'."
                    )


def _grouped(described: Description) -> list[Parts]:
    """Terms and grouping factors of all brackets."""
    return [term for bracket in described.brackets for term in (*bracket.terms, bracket.factor)]


def _is_special(part: Part, names: Sequence[str]) -> bool:
    return part.is_call and callee(next(nodes(part.text))) in names


def _check_constants(columns: Sequence[str], survey: pd.DataFrame) -> None:
    for name in columns:
        if name in CONSTANTS and name not in survey.columns:
            raise FormulaError(
                f"`formula` must have Python's words in calls, got {name}. Write {CONSTANTS[name]}."
            )


def _check_outcome_apart(
    outcome: Part, of_outcome: Sequence[str], of_predictors: Sequence[str]
) -> None:
    """Raise if the outcome predicts itself."""
    said = list(of_outcome)
    if _is_special(outcome, PROPORTIONS):
        successes = arguments(outcome.text)[:1]
        said = [name for name in said if any(name in names_in(text) for text in successes)]
    if len(said) == 1 and said[0] in of_predictors:
        raise FormulaError(
            f"`formula` must have other columns on the right of '~' than the outcome, got "
            f"{said[0]!r} on both sides. Take it out on the right."
        )


def _check_once(blocks: Sequence[Block]) -> None:
    """Raise if a group-specific term is written twice for a factor, in whichever order."""
    seen: set[tuple[str, frozenset[str]]] = set()
    for block in blocks:
        for term in block.terms:
            key = block.factor, frozenset(coding.component for coding in term.codings)
            if term.of is None and key in seen:
                raise FormulaError(
                    f"`formula` must have each group-specific term once, got "
                    f"{block.variable(term)!r} twice. Remove it from one of the brackets (write "
                    f"'0 + x | g')."
                )
            if term.of is None:
                seen.add(key)


def _told_apart(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks with names for variables and dims that only one thing has.

    A part of a term is named after the term where its own name is that of another one of the same
    factor. Terms of one name share a dim, as Bambi has it, unless they have other levels.
    """
    variables = {block.variable(t) for block in blocks for t in block.terms if t.of is None}
    levels: dict[str, tuple[str, ...] | None] = {}

    def told(block: Block, term: Term) -> Term:
        if term.of is not None and block.variable(term) in variables:
            term = replace(term, name=f"{term.name} of {term.of}")
        variables.add(block.variable(term))
        same = levels.setdefault(term.name, term.levels) == term.levels
        return term if same else replace(term, dim=block.variable(term))

    return tuple(
        replace(block, terms=tuple(told(block, term) for term in block.terms)) for block in blocks
    )


# --- what the survey says of it -------------------------------------------------------------------


class Reader:
    """Reads components, terms and factors off the survey.

    Parameters
    ----------
    survey, raw
        Its columns as `prepared` gives them, and as they are.
    namespace
        The user's functions.
    """

    def __init__(
        self, survey: pd.DataFrame, raw: pd.DataFrame, namespace: Mapping[str, Any]
    ) -> None:
        self._survey = survey
        self._raw = raw
        self._namespace = namespace
        self._values: dict[str, Any] = {}
        self.components: dict[str, Component] = {}
        self.factors: dict[str, Factor] = {}
        self.offsets: list[str] = []
        self.states: dict[str, tuple[State, ...]] = {}

    def calls(self, parts: Sequence[Part]) -> Calls:
        """The calls with what they have learned, and the columns and functions that they use."""
        texts = [part.text for part in parts if part.is_call]
        names = {name for text in texts for name in names_in(text)}
        called = {callee(node) for text in texts for node in nodes(text)}
        roots = {name.split(".")[0] for name in names | called}
        return Calls(
            self.states,
            {name: value for name, value in self._namespace.items() if name in roots},
            {name: _column(self._survey[name]) for name in names & set(self._survey.columns)},
        )

    def population(self, described: Description, *, intercept: bool) -> tuple[Term, ...]:
        """Population-level terms, the intercept first; offsets are put aside."""
        offsets = [term for term in described.terms if _is_special(term[0], (OFFSET,))]
        for (part,) in offsets:
            if self._value(part).ndim > 1:
                raise FormulaError(
                    f"`formula` must have one number for each row in an offset, got several of "
                    f"{part.name!r}. Take one of them."
                )
            self._add(Numeric(part.name, part.text), part)
            self.offsets.append(part.name)
        terms = self._terms([t for t in described.terms if t not in offsets], intercept)
        twice = [name for name, count in Counter(term.name for term in terms).items() if count > 1]
        if twice:
            raise FormulaError(_same_name(sorted(twice)))
        return terms

    def blocks(self, brackets: Sequence[Bracket], *, correlated: bool) -> tuple[Block, ...]:
        """Group-specific terms, coded by themselves in each ``( … | g)``."""
        numbers: Counter[str] = Counter()
        names: dict[frozenset[Part], str] = {}
        blocks = []
        for bracket in brackets:
            together = frozenset(bracket.factor)  # g:h is h:g
            factor = names.get(together) or self._factor(bracket.factor)
            names[together] = factor
            terms = self._terms(bracket.terms, bracket.intercept)
            width = sum(term.width for term in terms)
            has_correlations = correlated and not bracket.is_double and width > 1
            blocks.append(Block(factor, terms, has_correlations, numbers[factor]))
            numbers[factor] += 1
        _check_once(blocks)
        return _told_apart(blocks)

    def _terms(self, written: Sequence[Parts], intercept: bool) -> tuple[Term, ...]:
        """Terms that together span what is written, the intercept first."""
        apart = [
            (frozenset(p for p in term if not self._is_categorical(p)),
             tuple(p for p in term if self._is_categorical(p)))
            for term in written
        ]  # fmt: skip
        terms = [Term("Intercept", (), 1, None, "intercept")] if intercept else []
        for term, parts in zip(written, codings(apart, intercept=intercept), strict=True):
            for in_full in parts:
                own = tuple(p for p in term if p in in_full or not self._is_categorical(p))
                of = None if own == term else variable_name(name_of(term))
                terms.append(replace(self._term(own, in_full), of=of))
        return tuple(terms)

    def _term(self, parts: Parts, in_full: Mapping[Any, bool]) -> Term:
        coded, labels, width = [], [], 1
        for part in parts:
            coding, part_labels, columns = self._coding(part, in_full=in_full.get(part, False))
            coded.append(coding)
            width *= columns
            if part_labels is not None:
                labels.append(part_labels)
        levels = tuple(", ".join(each) for each in product(*labels)) if labels else None
        kind = "interaction"
        if len(parts) == 1:
            kind = "categoric" if self._is_categorical(parts[0]) else "numeric"
        return Term(variable_name(name_of(parts)), tuple(coded), width, levels, kind)

    def _coding(self, part: Part, *, in_full: bool) -> tuple[Coding, list[str] | None, int]:
        if not self._is_categorical(part):
            width = self._width(part)
            self._add(Numeric(part.name, part.text, width), part)
            return Coding(part.name), [str(k) for k in range(width)] if width > 1 else None, width
        levels = self._levels(part)
        if len(levels) < 2:
            raise DataError(
                f"`data` must have at least two levels of {part.name!r}, got "
                f"{listing(levels)}. Leave the term out, or use the whole survey."
            )
        self._add(Categorical(part.name, part.text, levels), part)
        matrix = _contrasts(part.name, self._value(part), levels, in_full=in_full)
        rows = tuple(tuple(float(x) for x in row) for row in matrix.matrix)
        return Coding(part.name, rows), [str(x) for x in matrix.labels], len(matrix.labels)

    def _add(self, component: Component, part: Part) -> None:
        """Keep a component; raise if its name is that of another one."""
        if self.components.setdefault(component.name, component).source != part.text:
            raise FormulaError(_same_name([component.name]))

    def _width(self, part: Part) -> int:
        values = np.asarray(self._value(part))
        flat = values.reshape(len(values), -1)
        constant = (flat == flat[0]).all(axis=0)
        if constant.any():
            raise DataError(
                f"`data` must have different values in {part.name!r}, got only "
                f"{float(flat[0, constant][0]):g}: a constant can't be told from the intercept. "
                f"Leave the term out."
            )
        return flat.shape[1]

    def _factor(self, parts: Parts) -> str:
        name = variable_name(name_of(parts))
        if name in self.factors:
            return name
        # apart from a number of the same column
        components = [
            Categorical(f"levels of {part.name}", part.text, self._group_levels(part))
            for part in parts
        ]
        for part, component in zip(parts, components, strict=True):
            self._add(component, part)
        table = self._groups(name, parts, components)
        groups = tuple(
            ":".join(str(c.levels[code]) for c, code in zip(components, row, strict=True))
            for row in table
        )
        names = tuple(component.name for component in components)
        self.factors[name] = Factor(name, names, table, groups)
        return name

    def _group_levels(self, part: Part) -> tuple[Level, ...]:
        """Levels of a part that groups are made of."""
        return self._levels(part)

    def _groups(
        self, _: str, parts: Parts, components: Sequence[Categorical]
    ) -> tuple[tuple[int, ...], ...]:
        """The groups of a factor that the survey has, as codes in each part, sorted."""
        codes = [
            c.codes(as_series(values_of(self._value(p) if p.is_call else self._raw[p.text])))
            for c, p in zip(components, parts, strict=True)
        ]
        first, _rows = unique_rows([c.astype(np.int64) for c in codes], len(self._survey))
        return tuple(sorted({tuple(int(c[i]) for c in codes) for i in first}))

    def _is_categorical(self, part: Part) -> bool:
        """Whether a part is a categorical: text, categories, a boolean, or coded as one."""
        value = self._value(part)
        if isinstance(value, Coded):
            return True
        return not pd.api.types.is_numeric_dtype(value.dtype) or pd.api.types.is_bool_dtype(
            value.dtype
        )

    def _value(self, part: Part) -> Any:
        """A column, or the result of a call, which is run when it is first asked for."""
        if not part.is_call:
            return self._survey[part.text]
        if part.text not in self._values:
            self._values[part.text] = self._called(part.text)
        return self._values[part.text]

    def _called(self, text: str) -> Any:
        try:
            value, states = run_and_learn(text, self._survey, self._namespace)
            value = result_of(value, text, len(self._survey))
        except Exception as error:
            raise FormulaError(
                f"`formula` must have terms that can be computed from `data`, got {text!r}: "
                f"{error}."
            ) from error
        check_row_by_row(text, value, self._survey, self._namespace, states)
        if states:
            self.states[text] = tuple(states)
        return value

    def _levels(self, part: Part) -> tuple[Level, ...]:
        value = self._value(part)
        if values_of(value).ndim > 1:
            raise FormulaError(
                f"`formula` must have one value for each row where levels are meant, got several "
                f"columns of {part.name!r}. Take one of them."
            )
        check_made(part.name, as_series(values_of(value)), "data")
        if isinstance(value, Coded) and value.levels is not None:
            return tuple(_plain(level) for level in value.levels)
        # the survey's own type tells how a number is written
        raw = value if part.is_call else self._raw[part.text]
        values = prepared(levels_as_written(as_series(values_of(raw)).rename(part.name)))
        if isinstance(values.dtype, pd.CategoricalDtype):
            return tuple(_plain(level) for level in values.cat.categories)
        return tuple(_plain(level) for level in sorted(values.unique().tolist()))


def _column(values: pd.Series) -> Column:
    """What a call may find in a column."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return Column("category", tuple(_plain(level) for level in values.cat.categories))
    if pd.api.types.is_bool_dtype(values.dtype):
        return Column("truth", (False, True))
    if pd.api.types.is_numeric_dtype(values.dtype):
        return Column("number")
    return Column("text", tuple(sorted(values.unique().tolist())))


def _same_name(names: Sequence[str]) -> str:
    return (
        f"`formula` must give its terms different names, got {listing(names)} twice. "
        f"Compute one of them as a column of the survey."
    )


def _plain(level: Any) -> Level:
    value: Level = level.item() if isinstance(level, np.generic) else level
    return value


def _contrasts(name: str, value: Any, levels: Sequence[Level], *, in_full: bool) -> Any:
    from formulae.categorical import Treatment

    contrast = (value.contrast if isinstance(value, Coded) else None) or Treatment()
    given = vars(contrast).get("reference", vars(contrast).get("omit"))
    if given is not None and given not in levels:
        raise FormulaError(unknown("formula", f"name a level of the data in {name}", given, levels))
    code = contrast.code_with_intercept if in_full else contrast.code_without_intercept
    return code(list(levels))
