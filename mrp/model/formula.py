"""From a formula and a survey to a `Design` and an `Outcome`.

formulae parses the formula and decides which categoricals are coded in full and which against a
reference level; the levels, their order and the groups are read here, so that the order of a
pandas categorical is kept (formulae alone would sort it) and nothing is expanded per respondent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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

PROPORTIONS = ("p", "prop", "proportion")
"""Names under which a formula may write the outcome ``p(successes, trials)``."""
MOST_NUMBERS = 20
"""How many different numbers of an outcome are taken to be levels; a categorical may have more."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of each respondent.

    Parameters
    ----------
    name
        Left side of the formula.
    values
        Outcome (n,): 0/1, successes, counts, measurements, or positions among the levels.
    trials
        Number of trials (n,); None unless the formula says ``p(successes, trials)``.
    levels
        Levels in order; None unless the family's outcomes have levels.
    """

    name: str
    values: NDArray[np.float64]
    trials: NDArray[np.float64] | None = None
    levels: tuple[Level, ...] | None = None


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
    prepared = survey.assign(**{name: _prepare(survey[name]) for name in columns})
    _set_types(description, prepared, where)
    reader = _Reader(description, prepared, where)
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


def _prepare(column: pd.Series) -> pd.Series:
    """A column as formulae should see it: categories ordered, without those never used."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories().cat.as_ordered()
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype(bool)
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_string_dtype(column)):
        raise DataError(
            f"`data` must have numbers, strings or a categorical in {column.name!r}, got type "
            f"{str(column.dtype)!r} (first value {column.iloc[0]!r}). Convert the column, for "
            f"example with `astype(str)` or `astype('category')`."
        )
    return column


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
        return _series(calls[source].eval(self.survey, self.where))

    def _evaluate(self, part: Any) -> pd.Series | Array:
        if hasattr(part, "call"):
            result = part.call.eval(self.survey, self.where)
            return result if isinstance(result, np.ndarray) else _series(result)
        column: pd.Series = self.survey[part.name]
        return column

    def _levels(self, part: Any) -> tuple[Level, ...]:
        named = part.call.eval(self.survey, self.where) if hasattr(part, "call") else None
        given = getattr(named, "levels", None)
        if given is not None and not isinstance(named, pd.Series):
            return tuple(given)
        values = _prepare(_series(self._evaluate(part)))
        if isinstance(values.dtype, pd.CategoricalDtype):
            return tuple(_plain(level) for level in values.cat.categories)
        return tuple(_plain(level) for level in sorted(values.unique().tolist()))


def _series(values: Any) -> pd.Series:
    """Values of a call as a column; formulae boxes what ``C(x)`` returns."""
    data = getattr(values, "data", values) if not isinstance(values, pd.Series) else values
    return data if isinstance(data, pd.Series) else pd.Series(np.asarray(data))


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


def read_outcome(
    description: Any, survey: pd.DataFrame, where: Any, levels: Kind | None
) -> Outcome:
    """Outcome of each respondent, as numbers or as positions among its levels."""
    part = description.response.term.components[0]
    name = description.response.term.name
    if hasattr(part, "call"):
        if part.call.callee in PROPORTIONS:
            return _proportion(name, part.call, survey, where)
        if levels is not None:
            return _outcome_of_levels(name, _with_levels(_evaluated(part.call, survey, where)))
        return Outcome(name, _outcome_numbers(name, _outcome_values(part.call, survey, where)))
    column = survey[part.name]
    if part.reference is not None:
        if levels is not None:
            raise FormulaError(
                f"`formula` must name the outcome alone where its family has all levels, got "
                f"'{part.name}[{part.reference}]'. Write '{part.name} ~ …', or pass "
                f"family='bernoulli'."
            )
        return Outcome(name, _is_level(part.name, column, part.reference))
    if levels is not None:
        return _outcome_of_levels(name, column)
    return Outcome(name, _outcome_numbers(name, column, column=part.name))


def _outcome_of_levels(name: str, values: Any) -> Outcome:
    """Positions of an outcome's values among its levels, as `Outcome.levels` says.

    The order of a categorical is kept, without the levels that no respondent has; whole numbers
    and strings are sorted.
    """
    column = _prepare(pd.Series(values).rename(name))
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels, codes = column.cat.categories.tolist(), column.cat.codes.to_numpy()
    else:
        codes, distinct = pd.factorize(column, sort=True)
        levels = _few_numbers(name, column) if column.dtype.kind in "iuf" else distinct.tolist()
    if len(levels) < 2:
        raise DataError(
            f"`data` must have at least two levels in the outcome {name!r}, got "
            f"{listing(levels)}. Use the whole survey."
        )
    named = (level if isinstance(level, Level) else str(level) for level in levels)
    return Outcome(name, codes.astype(np.float64), levels=tuple(named))


def _few_numbers(name: str, column: pd.Series) -> list[int]:
    """The distinct values of a numeric outcome, if they can be meant as levels."""
    distinct = np.unique(_outcome_numbers(name, column))
    if len(distinct) > MOST_NUMBERS or (distinct != np.round(distinct)).any():
        got = [f"{x:g}" for x in distinct]
        raise DataError(
            f"`data` must have at most {MOST_NUMBERS} whole numbers as levels of the outcome "
            f"{name!r}, got {len(distinct)} numbers, {listing(got, shown=4)}. Cut them into levels "
            f"with pandas.cut, or pass family='gaussian' (measurements) or 'poisson' (counts)."
        )
    return [int(number) for number in distinct]


def outcome_values(values: Any, outcome: Outcome) -> NDArray[np.float64]:
    """Other values of an outcome, one for each respondent: numbers, or levels that it has."""
    array = np.asarray(values)
    if array.shape != outcome.values.shape:
        raise DataError(
            f"`values` must have one outcome for each of {len(outcome.values)} respondents, got "
            f"shape {array.shape}. Fit another survey with `with_data`."
        )
    if outcome.levels is None:
        return _outcome_numbers(outcome.name, array)
    codes = pd.Index(outcome.levels).get_indexer(pd.Index(array))
    if (codes < 0).any():
        raise DataError(
            f"`values` must be levels of the outcome {outcome.name!r}, got "
            f"{listing(dict.fromkeys(array[codes < 0].tolist()))} in {int((codes < 0).sum())} "
            f"rows. Available: {listing(outcome.levels)}. Fit other levels with `with_data`."
        )
    return codes.astype(np.float64)


def _proportion(name: str, call: Any, survey: pd.DataFrame, where: Any) -> Outcome:
    if len(call.args) != 2:
        raise FormulaError(
            f"`formula` must write the outcome as p(successes, trials), got {name!r}."
        )
    values, trials = (
        np.broadcast_to(
            _outcome_numbers(name, _outcome_values(arg, survey, where)), (len(survey),)
        ).copy()
        for arg in call.args
    )
    return Outcome(name, values, trials)


def _is_level(name: str, column: pd.Series, level: str) -> NDArray[np.float64]:
    matches = column.astype(str) == str(level)
    if not matches.any():
        raise FormulaError(
            f"`formula` must name a level of {name!r} that the survey has, got {level!r}. "
            f"Available: {listing(sorted(column.astype(str).unique()))}."
        )
    return matches.to_numpy().astype(np.float64)


def _outcome_values(call: Any, survey: pd.DataFrame, where: Any) -> Any:
    values = _evaluated(call, survey, where)
    return values if np.isscalar(values) else _series(values)


def _evaluated(call: Any, survey: pd.DataFrame, where: Any) -> Any:
    try:
        return call.eval(survey, where)
    except Exception as error:
        raise FormulaError(
            f"`formula` must have an outcome that can be computed from `data`, got {str(call)!r}: "
            f"{error}"
        ) from error


def _with_levels(values: Any) -> pd.Series:
    """Values of a call as a column, in the order of ``C(x, levels=…)``."""
    given = None if isinstance(values, pd.Series) else getattr(values, "levels", None)
    column = _series(values)
    return column if given is None else pd.Series(pd.Categorical(column, categories=list(given)))


def _all_levels(levels: Sequence[str]) -> str:
    """What to do with more than two levels, beside taking one of them."""
    if len(levels) < 3:
        return ""
    return " For all levels pass family='categorical', or 'cumulative' if they have an order."


def _outcome_numbers(name: str, values: Any, column: str = "column") -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        levels = sorted({str(value) for value in np.atleast_1d(array)})
        raise DataError(
            f"`data` must have numbers in the outcome {name!r}, got levels {listing(levels)}. "
            f"Say which level counts as 1: \"{column}['{levels[-1]}'] ~ …\"." + _all_levels(levels)
        )
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise DataError(
            f"`data` must have finite numbers in the outcome {name!r}, got "
            f"{int((~np.isfinite(numbers)).sum())} that are not. Check the column."
        )
    return numbers
