"""What variables are changed to: the values of a counterfactual, and the pairs of a contrast."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from mrp.design import Categorical, Design, Numeric
from mrp.errors import DataError, RequestError, is_hashable, listing, unknown, written
from mrp.estimands.contrasts import Formula
from mrp.fit import Fit
from mrp.formula.calls import plain
from mrp.memory import check_fits

LevelContrast = Literal["reference", "sequential", "pairwise", "revpairwise", "all", "minmax"]
NumberContrast = Literal["sd", "2sd", "iqr", "minmax"]
Variables = str | Sequence[str] | Mapping[str, Any]


MANY = 100_000
"""Contrasts, or settings, from which on their number is held against the memory."""
PLAN_BYTES = 4096
"""What the plan of one contrast or setting takes, with its label."""


@dataclass(frozen=True)
class Value:
    """What a variable is set to in every row: a name, and a function of its column."""

    name: Any
    of: Callable[[pd.Series], Any]


Setting = Mapping[str, Value]
"""What some of the variables are set to; the others stay as they are."""


@dataclass(frozen=True)
class Pair:
    """Two values of a variable that are compared; a label where the names don't say it."""

    variable: str
    hi: Value
    lo: Value
    step: str | None = None

    def label(self, formula: Formula, *, averaged: bool) -> str:
        """How the contrast is written."""
        written = formula.written(self.hi.name, self.lo.name, averaged=averaged)
        plain = formula.label == "{hi} - {lo}"
        return self.step if self.step is not None and plain else written


def fixed(value: Any) -> Value:
    """The same value in every row."""
    return Value(value, lambda column: value)


def pairs_of(fit: Fit, variables: Variables | None) -> dict[str, list[Pair]]:
    """The pairs of values that a request for comparisons means, for each variable.

    Parameters
    ----------
    fit
        Its design says which variables are categorical, and their levels.
    variables
        A column, several, or a mapping from columns to contrasts; None for every column of the
        population-level terms. For a categorical "reference" (each level against the first),
        "sequential" (against the one before), "pairwise" (later against earlier, all pairs),
        "revpairwise" (earlier against later), "all" (both), "minmax" (last against first) or a
        pair ``[lo, hi]`` of levels. For a number a step, a pair, "sd" and "2sd" (so many standard
        deviations around the survey's mean), "iqr" (third against first quartile), "minmax", or a
        function of the column that returns ``(lo, hi)``. By default "reference", a step of one,
        and 1 against 0 for numbers that are 0 or 1.
    """
    return {
        name: _pairs(fit, name, contrast) for name, contrast in requests_of(fit, variables).items()
    }


def crossed(pairs: Mapping[str, Sequence[Pair]]) -> list[tuple[Pair, ...]]:
    """Every combination of the variables' pairs, changed together."""
    _check_number(map(len, pairs.values()), f"contrasts of {listing(pairs)} together")
    return list(itertools.product(*pairs.values()))


def settings_of(fit: Fit, variables: Variables) -> list[Setting]:
    """Every combination of the values that variables are to take, the first varying slowest.

    Parameters
    ----------
    fit
        Its design says which variables are categorical; its survey, what values numbers take.
    variables
        A column, several, or a mapping from columns to values: one, a list, or a function of the
        survey's column. A value given twice counts once. By default all levels of a categorical,
        0 and 1 of a number that has only those, and minimum, quartiles and maximum of other
        numbers.
    """
    values = {
        name: _values(fit, name, asked) for name, asked in requests_of(fit, variables).items()
    }
    _check_number(map(len, values.values()), f"combinations of values of {listing(values)}")
    return [
        {name: fixed(value) for name, value in zip(values, row, strict=True)}
        for row in itertools.product(*values.values())
    ]


def _check_number(lengths: Iterable[int], what: str) -> None:
    """Raise if combinations of so many values each are more than the memory holds as plans."""
    number = math.prod(lengths)
    if number > MANY:
        step = "Name fewer variables or values, or compare with one level: 'reference'."
        check_fits(number * PLAN_BYTES, f"{number:,} {what}", "variables", step)


def requests_of(fit: Fit, variables: Variables | None) -> dict[str, Any]:
    """Columns asked for, each with what was said of it (None: nothing)."""
    columns = fit.design.columns
    if variables is None:
        return dict.fromkeys(_population_columns(fit))
    if isinstance(variables, str):
        variables = [variables]
    known = isinstance(variables, Mapping | Sequence | np.ndarray | pd.Index)
    named = list(variables) if known and getattr(variables, "ndim", 1) == 1 else []
    if not named:
        raise RequestError(
            f"`variables` must name at least one column of the formula, got {written(variables)}. "
            f"Available: {listing(columns)}."
        )
    for name in named:
        if name not in columns:
            raise RequestError(unknown("variables", "name columns of the formula", name, columns))
    said = variables if isinstance(variables, Mapping) else dict.fromkeys(named)
    return {str(name): said[name] for name in named}


def values_in(argument: str, name: str, asked: Any) -> list[Any]:
    """Different values asked of a column: one, or several in their order; text is one.

    Parameters
    ----------
    argument
        What the user asked with; the message begins with it.
    name
        The column.
    asked
        A value, or several.
    """
    if isinstance(asked, np.ndarray) and asked.ndim == 0:
        asked = asked.item()
    single = isinstance(asked, str) or not isinstance(asked, Iterable)
    values = [asked] if single else list(asked)
    if not all(map(is_hashable, values)):
        raise RequestError(
            f"`{argument}` must give {name!r} a value or a list of values, got {written(asked)}."
        )
    if not values:
        raise RequestError(f"`{argument}` must give {name!r} at least one value, got none.")
    return list(dict.fromkeys(values))


def as_levels(values: Sequence[Any], levels: Sequence[Any] | None) -> list[Any]:
    """Values with each that equals a level as that level: 1 is True, and 2018.0 is 2018."""
    known = {level: level for level in levels or ()}
    return [known.get(value, value) for value in values]


def check_numbers(design: Design, argument: str, name: str, values: Sequence[Any]) -> None:
    """Raise if a column that the formula takes as a number is given something else."""
    if not any(isinstance(c, Numeric) and c.source == name for c in design.components.values()):
        return
    for value in values:
        if not (_is_number(value) or isinstance(value, bool | np.bool_)):
            quotes = " Write numbers without quotes." if isinstance(value, str) else ""
            raise RequestError(
                f"`{argument}` must give {name!r}, which is a number, finite numbers, got "
                f"{written(value)}.{quotes}"
            )


def levels_in(fit: Fit, name: str) -> tuple[Any, ...] | None:
    """Levels among which a column changes; None for a number, whatever the formula makes of it."""
    # other calls make levels that aren't the column's values, as a cut does
    of_column = re.compile(rf"[CST]\({re.escape(name)}(, .*)?\)")
    for component in fit.design.components.values():
        source = plain(component.source)
        if isinstance(component, Categorical) and (source == name or of_column.fullmatch(source)):
            return component.levels
    column = fit.design.calls.columns.get(name)
    if column is not None and column.levels:
        return column.levels
    if fit.survey is None or pd.api.types.is_numeric_dtype(fit.survey[name].dtype):
        return None
    values = pd.Categorical(fit.survey[name])
    return tuple(values.remove_unused_categories().categories)


def _population_columns(fit: Fit) -> list[str]:
    """Columns of the population-level terms, in the order of the formula."""
    design = fit.design
    coded = {coding.component for term in design.terms for coding in term.codings}
    used = {column for name in coded for column in design.columns_of(design.components[name])}
    if not used:
        raise RequestError(
            "`variables` must be given where no population-level term has a column. "
            f"Available: {listing(design.columns)}."
        )
    return [name for name in design.columns if name in used]


def _pairs(fit: Fit, name: str, contrast: Any) -> list[Pair]:
    levels = levels_in(fit, name)
    if levels is None:
        return [_number_pair(fit, name, contrast)]
    return _level_pairs(name, levels, contrast)


def _level_pairs(name: str, levels: Sequence[Any], contrast: Any) -> list[Pair]:
    if contrast is None or isinstance(contrast, str):
        if len(levels) < 2:
            raise RequestError(
                f"`variables` must name columns with two levels or more, got {name!r}, which has "
                f"only {levels[0]!r}."
            )
        chosen = _chosen_levels(name, levels, contrast or "reference")
    else:
        pair = _two(name, contrast, f"one of {listing(get_args(LevelContrast))} or a pair")
        for level in pair:
            if level not in levels:
                raise RequestError(unknown("variables", f"name levels of {name!r}", level, levels))
        lo, hi = as_levels(pair, levels)
        chosen = [(lo, hi)]
    return [Pair(name, fixed(hi), fixed(lo)) for lo, hi in chosen]


def _chosen_levels(name: str, levels: Sequence[Any], contrast: str) -> list[tuple[Any, Any]]:
    """Pairs (lo, hi) of levels."""
    if contrast not in get_args(LevelContrast):
        rule = f"say how to compare levels of {name!r}"
        known = get_args(LevelContrast)
        pair = "Two levels are compared as [lo, hi]." if contrast in map(str, levels) else ""
        raise RequestError(unknown("variables", rule, contrast, known, pair))
    if contrast in ("pairwise", "revpairwise", "all"):
        _check_number((len(levels), len(levels) - 1), f"contrasts of levels of {name!r}")
    pairwise = itertools.combinations(levels, 2)
    by_name: Mapping[str, Iterable[tuple[Any, Any]]] = {
        "reference": ((levels[0], level) for level in levels[1:]),
        "sequential": itertools.pairwise(levels),
        "pairwise": pairwise,
        "revpairwise": ((hi, lo) for lo, hi in pairwise),
        "all": itertools.permutations(levels, 2),
        "minmax": [(levels[0], levels[-1])],
    }
    return list(by_name[contrast])


def _number_pair(fit: Fit, name: str, contrast: Any) -> Pair:
    if contrast is None:
        instead = f"{{{name!r}: 1}} for a step of one, {{{name!r}: [0, 1]}} for 1 against 0"
        if _is_binary(_column(fit, name, "0/1 from others", instead)):
            return Pair(name, fixed(1), fixed(0))
        contrast = 1
    if isinstance(contrast, str):
        return _spread_pair(fit, name, contrast)
    if callable(contrast):
        return _function_pair(name, contrast)
    if _is_number(contrast):
        # as a float, because a small integer type would overflow
        return Pair(
            name,
            Value(
                f"(x {'+' if contrast >= 0 else '-'} {abs(contrast):g})",
                lambda x: x.astype(float) + contrast,
            ),
            Value("x", lambda x: x),
            step=f"{contrast:+g}",
        )
    expected = f"a step, a pair of numbers or one of {listing(get_args(NumberContrast))}"
    lo, hi = _two(name, contrast, expected)
    for value in (lo, hi):
        if not _is_number(value):
            raise RequestError(
                f"`variables` must give {name!r}, which is a number, {expected}, got {value!r}."
            )
    return Pair(name, fixed(hi), fixed(lo))


def _spread_pair(fit: Fit, name: str, contrast: str) -> Pair:
    """Two values that the survey's column says are so far apart."""
    if contrast not in get_args(NumberContrast):
        rule = f"say how to change the number {name!r}"
        known, instead = get_args(NumberContrast), _for_a_number(contrast, name)
        raise RequestError(unknown("variables", rule, contrast, known, instead))
    column = _column(fit, name, "its values", f"{{{name!r}: [lo, hi]}} with two numbers")
    if contrast in ("sd", "2sd"):
        half = (0.5 if contrast == "sd" else 1.0) * float(column.std())
        names = ("(x + sd/2)", "(x - sd/2)") if contrast == "sd" else ("(x + sd)", "(x - sd)")
        hi, lo = float(column.mean()) + half, float(column.mean()) - half
    elif contrast == "iqr":
        names, (lo, hi) = ("Q3", "Q1"), np.quantile(column.to_numpy(float), [0.25, 0.75]).tolist()
    else:
        names, hi, lo = ("Max", "Min"), column.max(), column.min()
    return Pair(name, Value(names[0], lambda x: hi), Value(names[1], lambda x: lo))


def _for_a_number(contrast: str, name: str) -> str:
    """The next step for text that says nothing of a number."""
    if contrast in get_args(LevelContrast):
        return f"To compare its values as levels, write C({name}) in the formula."
    return "Write numbers without quotes." if re.fullmatch(r"[-+.\d]+", contrast) else ""


def _function_pair(name: str, function: Callable[[pd.Series], Any]) -> Pair:
    def side(k: int) -> Callable[[pd.Series], Any]:
        def of(column: pd.Series) -> Any:
            both = function(column)
            if not isinstance(both, tuple | list) or len(both) != 2:
                raise RequestError(
                    f"`variables` must give {name!r} a function that returns (lo, hi), got "
                    f"{type(both).__name__}. Write for example lambda x: (x, 1.1 * x)."
                )
            return both[k]

        return of

    return Pair(name, Value("hi(x)", side(1)), Value("lo(x)", side(0)), step="custom")


def _values(fit: Fit, name: str, asked: Any) -> list[Any]:
    levels = levels_in(fit, name)
    if callable(asked):
        asked = asked(_column(fit, name, "its values", f"{{{name!r}: […]}} with the values"))
    if asked is None and levels is not None:
        return list(levels)
    if asked is None:
        column = _column(fit, name, "its values", f"{{{name!r}: […]}} with the values")
        if _is_binary(column):
            return [0, 1]
        quantiles = np.quantile(column.to_numpy(float), [0, 0.25, 0.5, 0.75, 1])
        return list(dict.fromkeys(float(value) for value in quantiles))
    values = values_in("variables", name, asked)
    check_numbers(fit.design, "variables", name, values)
    return list(dict.fromkeys(as_levels(values, levels)))


def _column(fit: Fit, name: str, tells: str, instead: str) -> pd.Series:
    """A column of the survey; raise where the fit was saved without it."""
    if fit.survey is None:
        raise DataError(
            f"`variables` must say how to change the number {name!r}, as this fit was saved "
            f"without the survey that tells {tells}. Write {instead}."
        )
    return fit.survey[name]


def _is_binary(column: pd.Series) -> bool:
    return set(column.unique()) <= {0, 1}


def _is_number(value: Any) -> bool:
    """Whether this is a number, and finite."""
    known = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return known and math.isfinite(value)


def _two(name: str, contrast: Any, expected: str) -> tuple[Any, Any]:
    is_pair = isinstance(contrast, Sequence | np.ndarray) and len(contrast) == 2
    if isinstance(contrast, str) or not is_pair:
        shown = listing(contrast) if isinstance(contrast, list | tuple) else repr(contrast)
        raise RequestError(
            f"`variables` must give {name!r} {expected}, got {shown}. "
            f"A pair is written [lo, hi] and gives hi - lo."
        )
    return contrast[0], contrast[1]
