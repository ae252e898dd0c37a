"""Columns of the survey, and what calls of a formula make, as a model takes them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd

from mrp.design import UNSEEN, Categorical
from mrp.errors import DataError, RequestError, did_you_mean, listing, unknown
from mrp.formula.functions import is_real, wide

Levels = Mapping[str, Sequence[Any]]
"""All levels of some columns, in order."""


def prepared(column: pd.Series) -> pd.Series:
    """A column as a model takes it: categories ordered and used, numbers of 64 bits."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories().cat.as_ordered()
    is_number = is_real(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)
    if not (is_number or _is_text(column)):
        raise DataError(
            f"`data` must have numbers, strings or a categorical in {column.name!r}, got type "
            f"{str(column.dtype)!r} (first value {column.iloc[0]!r}). Convert the column, for "
            f"example with `astype(str)` or `astype('category')`."
        )
    numbers: pd.Series = wide(column)
    return numbers


def as_series(values: Any) -> pd.Series:
    """Values of a call as a column."""
    return values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))


# --- levels that are given ------------------------------------------------------------------------


def levels_given(levels: Any) -> dict[str, tuple[Any, ...]]:
    """The levels that a user gives to columns, each in order.

    Raises
    ------
    RequestError
        They are not lists of different levels by column.
    """
    if not isinstance(levels, Mapping):
        raise RequestError(
            f"`levels` must map columns to their levels in order, got {type(levels).__name__}. "
            f"For example: levels={{'trust': ['low', 'mid', 'high']}}."
        )
    return {name: _different(name, given) for name, given in levels.items()}


def _different(name: str, given: Any) -> tuple[Any, ...]:
    disordered = isinstance(given, str | bytes | Mapping | set | frozenset)
    listed = [] if disordered or not isinstance(given, Iterable) else list(given)
    if not listed or not all(isinstance(each, Hashable) for each in listed):
        raise RequestError(
            f"`levels` must list the levels of {name!r} in order, got {given!r}. "
            f"For example: ['low', 'mid', 'high']."
        )
    found = tuple(each.item() if isinstance(each, np.generic) else each for each in listed)
    index = pd.Index(found, dtype=object)
    if index.hasnans:
        raise RequestError(
            f"`levels` must list levels of {name!r}, got a missing value among {len(found)}. "
            f"Leave it out."
        )
    twice = index[index.duplicated()].unique()
    if len(twice):
        raise RequestError(
            f"`levels` must list each level of {name!r} once, got {listing(twice)} twice."
        )
    if len(found) < 2:
        raise RequestError(
            f"`levels` must list at least two levels of {name!r}, got {listing(found)}. "
            f"List all that it may have, the first or lowest one first."
        )
    return found


def with_levels(survey: pd.DataFrame, levels: Levels, used: Collection[str]) -> pd.DataFrame:
    """The survey with columns as ordered categoricals of the levels that are given.

    Parameters
    ----------
    survey
        One row for each respondent.
    levels
        Levels by column, as `levels_given` returns them.
    used
        Columns that may be given levels.

    Raises
    ------
    RequestError
        A column may not be given levels, or has others.
    """
    made = {}
    for name, given in levels.items():
        if name not in survey.columns:
            columns = list(survey.columns)
            raise RequestError(unknown("levels", "name columns of `data`", name, columns))
        if name not in used:
            raise RequestError(
                unknown("levels", "name columns that the formula uses", name, list(used))
            )
        made[name] = _as_given(survey[name], given)
    return survey.assign(**made)


def _as_given(column: pd.Series, given: Sequence[Any]) -> pd.Categorical:
    present = column.dropna()
    kinds = {_kind(value) for value in present.unique()}
    if kinds and kinds != {_kind(level) for level in given}:
        raise RequestError(
            f"`levels` must list levels of {column.name!r} of the type that `data` has, got "
            f"{given[0]!r} where it has {present.iloc[0]!r}. Write them as they are in the survey."
        )
    codes = Categorical(str(column.name), str(column.name), tuple(given)).codes(column)
    others = present[codes[column.notna().to_numpy()] == UNSEEN]
    if len(others):
        raise RequestError(
            f"`levels` must list every level of {column.name!r} that `data` has, lacks "
            f"{listing(others.unique())} ({len(others)} rows). Listed: {listing(given)}."
            f"{did_you_mean(others.iloc[0], given)}"
        )
    made = pd.Categorical.from_codes(codes, pd.Index(given), ordered=True)
    return made.remove_unused_categories()


def _kind(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "bool"
    return "number" if isinstance(value, Number) else type(value).__name__


def _is_text(column: pd.Series) -> bool:
    """Whether a column has texts; bytes are none."""
    return pd.api.types.is_string_dtype(column) and column.dtype.kind != "S"
