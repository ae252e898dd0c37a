"""The outcome of each respondent: how a formula says it, its levels, its column of the survey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.design import Level, Plain
from mrp.errors import DataError, FormulaError, listing
from mrp.formula.calls import (
    arguments,
    callee,
    evaluate,
    names_in,
    nodes,
    plain,
    run_and_learn,
    values_of,
)
from mrp.formula.functions import PROPORTIONS, Coded, functions
from mrp.formula.grammar import Part, describe
from mrp.levels import Kind
from mrp.model.columns import as_series, prepared

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

    def __post_init__(self) -> None:
        """Hand out numbers that can't be written to: a model is made of them."""
        for name in ("values", "trials"):
            if (numbers := getattr(self, name)) is not None:
                object.__setattr__(self, name, numbers.view())
                getattr(self, name).flags.writeable = False

    def as_column(self) -> Any:
        """The column that a survey has: numbers, or a categorical with its levels in order."""
        if self.levels is None:
            return self.values
        levels: pd.Index[Any] = pd.Index(self.levels)
        return pd.Categorical.from_codes(self.values.astype(np.int64), levels, ordered=True)


def read_outcome(
    part: Part, survey: pd.DataFrame, namespace: Mapping[str, Any], levels: Kind | None
) -> Outcome:
    """Outcome of each respondent, as numbers or as positions among its levels."""
    name = part.name
    if part.is_call:
        if callee(next(nodes(part.text))) in PROPORTIONS:
            return _proportion(name, part.text, survey, namespace)
        value = _evaluated(part.text, survey, namespace)
        if levels is not None:
            return _outcome_of_levels(name, _with_levels(value), levels)
        return Outcome(name, _outcome_numbers(name, as_series(values_of(value))))
    column = survey[part.text]
    if part.level is not None:
        if levels is not None:
            raise FormulaError(
                f"`formula` must name the outcome alone where its family has all levels, got "
                f"'{part.text}[{part.level}]'. Write '{part.text} ~ …', or pass "
                f"family='bernoulli'."
            )
        return Outcome(name, _is_level(part.text, column, part.level))
    if levels is not None:
        return _outcome_of_levels(name, column, levels)
    return Outcome(name, _outcome_numbers(name, column, column=part.text))


def _outcome_of_levels(name: str, values: Any, kind: Kind) -> Outcome:
    """Positions of an outcome's values among its levels, as `Outcome.levels` says.

    The order of a categorical is kept, without the levels that no respondent has; whole numbers
    are sorted, and strings where their order means nothing. Where it means something, it must be
    said: by an ordered categorical, or by numbers.
    """
    given = pd.Series(values).rename(name)
    column = prepared(given)
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    if categorical:
        levels, codes = column.cat.categories.tolist(), column.cat.codes.to_numpy()
    else:
        codes, distinct = pd.factorize(column, sort=True)
        levels = _few_numbers(name, column) if column.dtype.kind in "iuf" else distinct.tolist()
    if len(levels) < 2:
        raise DataError(
            f"`data` must have at least two levels in the outcome {name!r}, got "
            f"{listing(levels)}. Use the whole survey."
        )
    if kind == "ordered" and not _says_order(given, levels):
        what = "a categorical that is not ordered" if categorical else "strings"
        raise DataError(
            f"`data` must say the order of the levels of the outcome {name!r}, got {what}, "
            f"{listing(sorted(map(str, levels)))}. {_order_of(name)}"
        )
    named = (level if isinstance(level, Plain) else str(level) for level in levels)
    return Outcome(name, codes.astype(np.float64), levels=tuple(named))


def _says_order(column: pd.Series, levels: Sequence[Any]) -> bool:
    """Whether the type of an outcome's column says in which order its levels are."""
    if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
        return True
    # numbers say it themselves, unless a categorical has them in another order
    return all(isinstance(x, int | float) for x in levels) and list(levels) == sorted(levels)


def _order_of(name: str) -> str:
    """How to say the order of an outcome's levels."""
    if name.isidentifier():
        return (
            f"Say it to the model, the lowest first: levels={{{name!r}: ['lowest', …, 'highest']}}."
        )
    return (
        "Make the outcome a column of the survey, and say the order to the model, the lowest "
        "first: levels={'column': ['lowest', …, 'highest']}."
    )


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


def _proportion(
    name: str, text: str, survey: pd.DataFrame, namespace: Mapping[str, Any]
) -> Outcome:
    parts = arguments(text)
    if len(parts) != 2:
        raise FormulaError(
            f"`formula` must write the outcome as p(successes, trials), got {name!r}."
        )
    values, trials = (
        np.broadcast_to(
            _outcome_numbers(name, _evaluated(part, survey, namespace)), (len(survey),)
        ).copy()
        for part in parts
    )
    return Outcome(name, values, trials)


def trials_text(formula: str) -> str:
    """How a formula writes the trials: the second argument of ``p(successes, trials)``."""
    outcome = describe(formula).outcome
    assert outcome is not None
    return arguments(outcome.text)[1]


def trials_columns(formula: str) -> list[str]:
    """Names that the number of trials is made of: columns, or the user's own."""
    text = trials_text(formula)
    names = names_in(text)
    return sorted(names if names == {plain(text)} else names - set(functions()))


def trials_of(
    formula: str, data: pd.DataFrame, namespace: Mapping[str, Any]
) -> NDArray[np.float64]:
    """Number of trials of each row of new data (n,)."""
    trials = np.asarray(evaluate(trials_text(formula), data, namespace, []))
    if trials.dtype.kind not in "biuf":
        raise TypeError(f"trials must be numbers, got type {trials.dtype}")
    return np.broadcast_to(trials.astype(np.float64), (len(data),))


def _is_level(name: str, column: pd.Series, level: str) -> NDArray[np.float64]:
    matches = column.astype(str) == str(level)
    if not matches.any():
        raise FormulaError(
            f"`formula` must name a level of {name!r} that the survey has, got {level!r}. "
            f"Available: {listing(sorted(column.astype(str).unique()))}."
        )
    return matches.to_numpy().astype(np.float64)


def _evaluated(text: str, survey: pd.DataFrame, namespace: Mapping[str, Any]) -> Any:
    try:
        value = run_and_learn(text, survey, namespace)[0]
        if np.ndim(values_of(value)) > 1:
            raise ValueError("one value is needed for each row, got several columns")
        return value
    except Exception as error:
        raise FormulaError(
            f"`formula` must have an outcome that can be computed from `data`, got {text!r}: "
            f"{error}."
        ) from error


def _with_levels(value: Any) -> pd.Series:
    """Values of a call as a column, in the order of ``C(x, levels=…)``."""
    column = as_series(values_of(value))
    given = value.levels if isinstance(value, Coded) else None
    if given is None:
        return column
    return pd.Series(pd.Categorical(column.astype(object), list(given), ordered=True))


def _all_levels(levels: Sequence[str]) -> str:
    """What to do with more than two levels, beside taking one of them."""
    if len(levels) < 3:
        return ""
    return " For all levels pass family='categorical', or 'cumulative' if they have an order."


def _outcome_numbers(name: str, values: Any, column: str = "column") -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        levels = sorted({str(value) for value in np.atleast_1d(array)})
        words = [level for level in levels if not _is_number(level)]
        if words and 2 * len(words) <= len(levels):
            raise DataError(
                f"`data` must have numbers in the outcome {name!r}, got the words {listing(words)} "
                f"among them. If they mean missing, leave those rows out."
            )
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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- the column in the survey ---------------------------------------------------------------------


def survey_with(survey: pd.DataFrame, formula: str, outcome: Outcome) -> pd.DataFrame:
    """The survey with an outcome in its column; as it is if the formula's outcome is no column."""
    name = outcome_column(formula)
    return survey.assign(**{name: outcome.as_column()}) if name in survey.columns else survey


def outcome_column(formula: str) -> str:
    """Left side of a formula, of a proportion its successes: the outcome's column, if it has one.

    Examples
    --------
    >>> outcome_column("p(successes, trials) ~ age"), outcome_column("party[left] ~ age")
    ('successes', 'party[left]')
    """
    outcome = describe(formula).outcome
    assert outcome is not None
    if outcome.level is not None:
        return f"{outcome.text}[{outcome.level}]"
    if outcome.is_call and callee(next(nodes(outcome.text))) in PROPORTIONS:
        return plain(arguments(outcome.text)[0])
    return outcome.name
