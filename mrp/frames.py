"""The contract between a survey and a frame: tables, weights and groups, checked before use."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.design import Categorical, Design, DesignRows
from mrp.errors import (
    DataError,
    FrameWarning,
    RequestError,
    closest,
    listing,
    unknown,
    warn,
    written,
)

Floats = NDArray[np.float64]
SHARES_AGREE = 1e-3
"""Relative difference up to which the totals of areas count as the same (rounded shares)."""
Weights = str | Sequence[float] | NDArray[Any] | pd.Series
MAPPED = "by"
"""Column of a table of groups that holds their labels."""


def as_pandas(table: Any, argument: str) -> pd.DataFrame:
    """A pandas, polars or pyarrow table as pandas; rows keep their order.

    Parameters
    ----------
    table
        The user's table.
    argument
        What the user knows it as.
    """
    import narwhals as nw

    if isinstance(table, pd.DataFrame):
        frame = table
    else:
        try:
            native = nw.from_native(table)
        except TypeError:
            raise DataError(
                f"`{argument}` must be a table (pandas, polars or pyarrow), got "
                f"{type(table).__name__}. {_as_table(table, argument)}"
            ) from None
        except nw.exceptions.DuplicateError:
            _check_column_names(pd.Index(table.column_names), argument)
            raise
        eager = native.collect() if isinstance(native, nw.LazyFrame) else native
        frame = eager.to_pandas()
    _check_column_names(frame.columns, argument)
    return frame


def _as_table(given: Any, argument: str) -> str:
    """How to make a table of what is none."""
    if isinstance(given, pd.Series):
        if any(name is not None for name in given.index.names):
            return f"Its columns are in the index: write `{argument}.reset_index(name='n')`."
        return "One row of a table is `table.iloc[[0]]`, one column `table[['x']]`."
    if isinstance(given, Mapping | list | tuple | np.ndarray):
        named = ", columns=[…]" if isinstance(given, np.ndarray) else ""
        return f"Write `pandas.DataFrame({argument}{named})`."
    if callable(given):
        return "Call it first, and pass what it returns."
    return "Read files with pandas.read_csv or read_parquet."


def _check_column_names(names: pd.Index, argument: str) -> None:
    twice = names[names.duplicated()].unique().tolist()
    if twice:
        raise DataError(
            f"`{argument}` must have different column names, got {listing(twice)} twice. "
            f"Rename or drop one of each."
        )


def weights_of(wts: Weights | None, data: pd.DataFrame, argument: str = "newdata") -> Floats:
    """Population weight of each row: a column's name, or one number per row; None: all one.

    Raises
    ------
    DataError
        A weight is missing, infinite or negative, or all are zero.
    RequestError
        There is no such column, or not one weight per row.
    """
    if wts is None:
        return np.ones(len(data))
    if isinstance(wts, str):
        if wts not in data.columns:
            raise RequestError(
                unknown("wts", f"name a column of `{argument}`", wts, list(data.columns))
            )
        given, said = data[wts], f"column {wts!r}"
    else:
        array, said = np.asarray(wts), "the weights given"
        if array.shape != (len(data),):
            shape = " x ".join(map(str, array.shape)) or "a single number"
            raise RequestError(
                f"`wts` must have one weight per row of `{argument}` ({len(data)}), got {shape}. "
                f"Name a column instead, so that they stay together."
            )
        given = pd.Series(array)
    if not pd.api.types.is_numeric_dtype(given.dtype):
        raise DataError(
            f"`wts` must be numbers, got type {str(given.dtype)!r} in {said}. "
            f"Convert them with `astype(float)`."
        )
    weights = given.to_numpy(dtype=np.float64, na_value=np.nan)
    _check_weights(weights, said)
    return weights


def _check_weights(weights: Floats, said: str) -> None:
    for bad, what in (
        (np.isnan(weights), "missing"),
        (np.isinf(weights), "infinite"),
        (weights < 0, "negative"),
    ):
        if bad.any():
            raise DataError(
                f"`wts` must be finite and 0 or more, got {int(bad.sum())} {what} of "
                f"{len(weights)} in {said} (first at row {int(np.flatnonzero(bad)[0])}). "
                f"Correct them, or leave those rows out."
            )
    if len(weights) and not weights.any():
        raise DataError(
            f"`wts` must not all be zero, got {len(weights)} zeros in {said}. "
            f"An average needs some weight."
        )


def grouping(
    by: Any, data: pd.DataFrame, weights: Floats, argument: str = "newdata"
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Group of each row, and the groups' labels in order of their levels.

    Parameters
    ----------
    by
        One column or several; None for one group of all rows; or a table with columns of the data
        and a column ``by``: rows that match one of its rows belong to the group that it names.
    data, weights
        The rows and their weights.
    argument
        What the user knows the table as.

    Returns
    -------
    Codes (n,) from 0, and a table with a row for each group and the columns of `by`. Groups of a
    table come in the order in which it names them.

    Raises
    ------
    RequestError
        There is no such column, or it is named twice.
    DataError
        A column has missing values, a group has no weight, or a row matches none of the table.
    """
    if by is None or isinstance(by, str | list | tuple):
        codes, labels = _by_columns(columns_of(by), data, argument)
    else:
        codes, labels = _by_table(_table_of(by), data, argument)
    _check_groups_have_weight(codes, weights, labels)
    return codes, labels


def _table_of(by: Any) -> pd.DataFrame:
    """A table that `by` is, for it names no columns."""
    names: list[Any] = []
    instead = "Name the columns."
    if isinstance(by, pd.Series) and by.name is not None:
        names = [by.name]
    elif isinstance(by, np.ndarray | pd.Index | pd.Series | set | frozenset):
        names = sorted(by, key=str) if isinstance(by, set | frozenset) else np.ravel(by).tolist()
    elif isinstance(by, Mapping):
        instead = f"Make a table of values and labels: `pandas.DataFrame({{…, {MAPPED!r}: […]}})`."
    elif isinstance(by, bool | np.bool_):
        instead = (
            "Leave it out: verbs whose names begin with `avg_` then average over all rows, the "
            "others don't average."
        )
    elif not (isinstance(by, Number) or callable(by)):
        return as_pandas(by, "by")
    raise RequestError(
        f"`by` must be the name of a column, a list of names, or a table that maps values to "
        f"groups, got {written(by) if isinstance(by, Number | np.bool_) else type(by).__name__}. "
        f"{f'Write by={names!r}.' if names else instead}"
    )


def _by_columns(
    columns: list[str], data: pd.DataFrame, argument: str
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    if len(set(columns)) < len(columns):
        raise RequestError(f"`by` must name each column once, got {listing(columns)}.")
    _check_by_columns(columns, data, argument)
    if not columns:
        return np.zeros(len(data), dtype=np.int64), pd.DataFrame(index=[0])
    grouped = data.groupby(columns, observed=True, sort=True)
    codes = grouped.ngroup().to_numpy().astype(np.int64)
    first = np.unique(codes, return_index=True)[1]
    return codes, data.iloc[first][columns].reset_index(drop=True)


def _check_by_columns(columns: Sequence[str], data: pd.DataFrame, argument: str) -> None:
    for name in columns:
        if name not in data.columns:
            rule, available = f"name columns of `{argument}`", list(data.columns)
            parts = re.findall(r"[^\s~+:*,]+", str(name))
            if len(parts) > 1 and set(parts) <= set(available):
                raise RequestError(
                    f"`by` must {rule}, got {name!r}. Available: {listing(available)}. "
                    f"Write by={parts!r}."
                )
            raise RequestError(unknown("by", rule, name, available))
        missing = int(data[name].isna().sum())
        if missing:
            raise DataError(
                f"`by` must have no missing values, got {missing} in {name!r}. "
                f"Fill them in: every row must belong to a group."
            )


def _by_table(
    table: pd.DataFrame, data: pd.DataFrame, argument: str
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Groups that a table makes of the values of some columns."""
    columns = [str(name) for name in table.columns if name != MAPPED]
    if MAPPED not in table.columns or not columns:
        raise RequestError(
            f"`by`, as a table, must have the column {MAPPED!r} with the groups' labels beside "
            f"columns of `{argument}`, got {listing(table.columns)}."
        )
    _check_by_columns(columns, data, argument)
    twice = table.duplicated(columns)
    if twice.any():
        raise DataError(
            f"`by`, as a table, must name each combination of {listing(columns)} once, got "
            f"{listing(table.loc[twice, columns].astype(str).agg(', '.join, axis=1))} again."
        )
    keys = data[columns].astype(object).reset_index(drop=True)
    joined = keys.merge(table.astype(object), on=columns, how="left", validate="many_to_one")
    unmatched = joined[MAPPED].isna()
    if unmatched.any():
        values = keys[unmatched.to_numpy()].astype(str).agg(", ".join, axis=1)
        raise DataError(
            f"`by`, as a table, must give every row of `{argument}` a label, got none for "
            f"{listing(values.unique())} ({int(unmatched.sum())} rows). Add them to the table, or "
            f"leave those rows out."
        )
    order = [label for label in table[MAPPED].unique() if (joined[MAPPED] == label).any()]
    codes = pd.Index(order).get_indexer(pd.Index(joined[MAPPED])).astype(np.int64)
    return codes, pd.DataFrame({MAPPED: order})


def _check_groups_have_weight(
    codes: NDArray[np.int64], weights: Floats, labels: pd.DataFrame
) -> None:
    empty = np.flatnonzero(np.bincount(codes, weights=weights) == 0)
    if len(empty):
        names = [", ".join(map(str, labels.iloc[k])) for k in empty]
        raise DataError(
            f"`wts` must give every group of `by` some weight, got none for {listing(names)}. "
            f"Leave those rows out, or correct their weights."
        )


def check_new_groups(
    rows: DesignRows, weights: Floats, new_levels: str | None, argument: str = "newdata"
) -> None:
    """Raise if rows belong to groups that the survey lacks and nothing says how to draw them."""
    if new_levels is not None:
        return
    for factor, labels in rows.new_groups.items():
        unseen = rows.groups[factor] >= len(rows.design.factors[factor].groups)
        share = weights[unseen].sum() / weights.sum()
        message = (
            f"`{argument}` must have only groups of {factor!r} that the survey has, got "
            f"{listing(labels)} ({int(unseen.sum())} rows, {share:.1%} of the weight)."
        )
        near = closest(labels[0], rows.design.factors[factor].groups)
        if near == labels[0]:
            message += (
                " The survey has groups of these names, but of another type (numbers and text, or "
                "whole and decimal numbers): convert the column."
            )
        elif near is not None:
            message += f" Did you mean {near!r}?"
        raise DataError(
            f"{message} Say how to draw new groups: new_levels='gaussian' (from the fitted group "
            f"distribution), 'uncertainty' or 'old_levels'."
        )


def columns_of(by: Any) -> list[str]:
    """Columns of the data that `by` makes groups of."""
    if by is None or isinstance(by, str | list | tuple):
        names = [by] if isinstance(by, str) else list(by or ())
        if not all(isinstance(name, Hashable) for name in names):
            raise RequestError(f"`by` must be a list of the names of columns, got {by!r}.")
        return names
    return [str(name) for name in _table_of(by).columns if name != MAPPED]


def warn_of_absent_groups(design: Design, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Warn of levels of `by` that the survey or the frame's categorical knows but no cell has."""
    known: Mapping[str, Sequence[object]] = {
        component.source: component.levels
        for component in design.components.values()
        if isinstance(component, Categorical)
    }
    for name in columns:
        dtype = frame[name].dtype
        levels = [str(level) for level in known.get(name, ())]
        if isinstance(dtype, pd.CategoricalDtype):
            levels += [str(level) for level in dtype.categories]
        have = set(map(str, frame[name].unique()))
        absent = [level for level in dict.fromkeys(levels) if level not in have]
        if absent:
            warn(
                f"`frame` has no cells for {listing(absent)} of {name!r}: no estimate is made "
                f"for them. Add cells for those that you want.",
                FrameWarning,
            )


def warn_of_shares(design: Design, frame: pd.DataFrame, weights: Floats, by: Sequence[str]) -> None:
    """Warn if weights are shares within areas and areas are about to be averaged together."""
    for factor in design.factors.values():
        sources = [design.components[name].source for name in factor.components]
        name = sources[0]
        if name in by or name not in frame.columns or len(sources) > 1:
            continue
        totals = np.bincount(pd.factorize(frame[name])[0], weights=weights)
        if len(totals) > 1 and np.allclose(totals, totals[0], rtol=SHARES_AGREE):
            warn(
                f"`wts` sum to {totals[0]:.6g} for each of the {len(totals)} values of {name!r}: "
                f"they look like shares within {name!r}, and averaging across it counts all of "
                f"them equally. Use population counts, or `by={name!r}`.",
                FrameWarning,
            )
