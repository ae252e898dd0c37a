"""The contract between a survey and a frame: tables, weights and groups, checked before use."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.design import UNSEEN, Categorical, Design
from mrp.errors import (
    DIFFERENCES,
    DataError,
    FrameWarning,
    RequestError,
    is_hashable,
    is_text,
    listing,
    lookalikes,
    paired,
    unknown,
    warn,
    written,
)
from mrp.formula.functions import is_real
from mrp.returned import unmasked

Floats = NDArray[np.float64]
Weights = str | Sequence[float] | NDArray[Any] | pd.Series
Orders = Mapping[str, Sequence[Any]]
"""Levels in order, of the columns that have an order of their own."""
MAPPED = "by"
"""Column of a table of groups that holds their labels."""
UNLABELLED = "mrp: rows have no index"
"""Mark in `attrs` of a table that came from a library whose tables have no index."""


def as_pandas(table: Any, argument: str) -> pd.DataFrame:
    """A pandas, polars or pyarrow table as pandas; rows keep their order.

    Categories of pandas are in the order that they are declared in, those of other libraries too if
    their type has an order (an Enum of polars, an ordered dictionary of arrow). Any others are
    sorted: a library numbers them as they come, and the order of rows must not matter.

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
        if not eager.implementation.is_pandas_like():
            frame = _sorted_categories(frame)
            frame.attrs[UNLABELLED] = True
    _check_column_names(frame.columns, argument)
    if isinstance(frame.columns, pd.CategoricalIndex):
        frame = frame.set_axis(frame.columns.astype(object), axis="columns")
    return _without_ambiguous_names(_without_decimals(_without_dictionaries(frame)))


def _sorted_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the categories sorted that have no order."""
    unordered = {
        name: column.cat.reorder_categories(column.cat.categories.sort_values())
        for name, column in frame.items()
        if isinstance(column.dtype, pd.CategoricalDtype) and not column.dtype.ordered
    }
    return frame.assign(**unordered)  # type: ignore[arg-type]


def _without_dictionaries(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with categoricals in place of arrow's dictionaries."""
    import pyarrow as pa

    dictionaries = [
        name
        for name, dtype in frame.dtypes.items()
        if isinstance(dtype, pd.ArrowDtype) and pa.types.is_dictionary(dtype.pyarrow_dtype)
    ]
    if not dictionaries:
        return frame
    table = pa.Table.from_pandas(frame[dictionaries], preserve_index=False)
    columns = _sorted_categories(table.to_pandas(ignore_metadata=True))
    return frame.assign(**{str(name): columns[name].array for name in dictionaries})


def _without_decimals(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with doubles in place of decimals, as databases write them."""
    decimals = [
        name
        for name, column in frame.items()
        if column.dtype == object and pd.api.types.infer_dtype(column) == "decimal"
    ]
    return frame.assign(**{str(name): frame[name].astype(float) for name in decimals})


def _without_ambiguous_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The table without names of its index that are columns too, which pandas can't tell apart."""
    names = [None if name in frame.columns else name for name in frame.index.names]
    if names == list(frame.index.names):
        return frame
    renamed = frame.copy(deep=False)
    renamed.index = frame.index.set_names(names)
    return renamed


def snapshot(frame: pd.DataFrame) -> pd.DataFrame:
    """A table that stays as it is, whatever becomes of the memory that the other one is made of."""
    own = frame.copy()
    for name, column in frame.items():
        if isinstance(column.array, pd.arrays.ArrowExtensionArray):  # copies share arrow's memory
            own[name] = column.array.take(np.arange(len(frame)))
    own.index = frame.index.copy(deep=True)
    own.attrs = {UNLABELLED: True} if UNLABELLED in frame.attrs else {}
    return own


def in_rows(values: Any, data: pd.DataFrame, argument: str, table: str) -> Any:
    """Values that belong to the rows of a table, in the order of its rows.

    Parameters
    ----------
    values
        What has an index goes by it: a pandas Series, a labelled array of xarray. All else (arrays,
        lists, columns of polars and arrow) goes by position, and is returned as it is.
    data
        The table.
    argument, table
        What the user knows the two as.

    Raises
    ------
    DataError
        The index is not that of the table, or can't be matched with it.
    """
    series = _series(values)
    if series is None or series.index.equals(data.index):
        return values if series is None else series
    must = f"`{argument}` must have the index of `{table}`"
    step = "Pass `.to_numpy()` if it is in the order of the rows, or reset both indexes."
    if UNLABELLED in data.attrs:
        raise DataError(
            f"`{argument}` must be in the order of the rows of `{table}`, which has no index, got "
            f"a Series with one of its own ({_some(series.index)}). Pass `.to_numpy()` if it is "
            f"in that order."
        )
    lacks = data.index.difference(series.index, sort=False)
    more = series.index.difference(data.index, sort=False)
    if len(lacks) or len(more):
        said = [f"lacks {_some(lacks)}"] if len(lacks) else []
        said += [f"has {_some(more)} besides"] if len(more) else []
        raise DataError(f"{must}, got a Series that {' and '.join(said)}. {step}")
    if not (series.index.is_unique and data.index.is_unique):
        raise DataError(
            f"{must} in the same order where a label comes twice, got a Series in another order. "
            f"{step}"
        )
    return series.reindex(data.index)


def _series(values: Any) -> pd.Series | None:
    """What has an index as a Series; None where there is none."""
    import narwhals as nw
    import xarray as xr

    native = nw.to_native(values, pass_through=True)
    if isinstance(native, xr.DataArray) and native.ndim == 1 and native.indexes:
        return native.to_series()
    return native if isinstance(native, pd.Series) else None


def _some(index: pd.Index, shown: int = 3) -> str:
    """The first labels of an index, with their types."""
    text = ", ".join(repr(label) for label in index[:shown].tolist())
    return f"[{text}, … {len(index) - shown} more]" if len(index) > shown else f"[{text}]"


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
    if names.nlevels > 1:
        raise DataError(
            f"`{argument}` must have one name for each column, got {names.nlevels} rows of names. "
            f"Join them: `{argument}.columns = ['_'.join(map(str, c)) for c in "
            f"{argument}.columns]`."
        )
    twice = names[names.duplicated()].unique().tolist()
    if twice:
        raise DataError(
            f"`{argument}` must have different column names, got {listing(twice)} twice. "
            f"Rename or drop one of each."
        )
    for name in names:
        if isinstance(name, str) and not is_text(name):
            raise DataError(
                f"`{argument}` must have column names without halves of characters, got "
                f"{written(name)}. Rename the column."
            )


def check_text(table: pd.DataFrame, argument: str) -> None:
    """Raise if a column has texts that are none: halves of characters, or bytes in no encoding.

    Only columns of objects can have them.
    """
    for name, column in table.items():
        bad = _first_that_is_not(is_text, column)
        if bad is not None:
            raise DataError(
                f"`{argument}` must have text that can be written in UTF-8, got {written(bad)} in "
                f"{name!r}. Read the file in its encoding, or rename the level."
            )


def weights_of(wts: Weights | None, data: pd.DataFrame, argument: str = "newdata") -> Floats:
    """Population weight of each row: a column's name, or one number per row; None: all one.

    Raises
    ------
    DataError
        A weight is missing, infinite or negative, or all are zero; or a Series has another index.
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
        array, said = unmasked(in_rows(wts, data, "wts", argument)), "the weights given"
        if array.shape != (len(data),):
            shape = " x ".join(map(str, array.shape)) or "a single number"
            raise RequestError(
                f"`wts` must have one weight per row of `{argument}` ({len(data)}), got {shape}. "
                f"Name a column instead, so that they stay together."
            )
        given = pd.Series(array)
    if not is_real(given.dtype):
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
    by: Any,
    data: pd.DataFrame,
    weights: Floats,
    argument: str = "newdata",
    orders: Orders | None = None,
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
    orders
        Levels, in order, of columns whose own order does not count: those of the model.

    Returns
    -------
    Codes (n,) from 0, and a table with a row for each group and the columns of `by`. Values that
    `orders` lacks come last. Groups of a table come in the order in which it names them.

    Raises
    ------
    RequestError
        There is no such column, or it is named twice.
    DataError
        A column has missing values, a group has no weight, or a row matches none of the table.
    """
    if by is None or isinstance(by, str | list | tuple):
        codes, labels = _by_columns(columns_of(by), data, argument, orders or {})
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
        f"{f'Write by={listing(names)}.' if names else instead}"
    )


def _by_columns(
    columns: list[str], data: pd.DataFrame, argument: str, orders: Orders
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    if len(set(columns)) < len(columns):
        raise RequestError(f"`by` must name each column once, got {listing(columns)}.")
    _check_by_columns(columns, data, argument)
    if not columns:
        return np.zeros(len(data), dtype=np.int64), pd.DataFrame(index=[0])
    codes, labels = _numbered(data[columns].reset_index(drop=True))
    ordered = {name: _in_order(labels[name], orders[name]) for name in columns if name in orders}
    places, _ = _numbered(labels.assign(**ordered))
    # a categorical stays one; text and numbers stay what they are
    kept = {name: c for name, c in ordered.items() if labels[name].dtype.name == "category"}
    labels = labels.assign(**kept).iloc[np.argsort(places)].reset_index(drop=True)
    others = {name: labels[name].unique() for name in columns if name not in orders}
    warn_of_lookalikes(others, argument)
    return places[codes], labels


def _numbered(rows: pd.DataFrame) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Number of each row among the distinct ones, which are sorted, and those."""
    columns = list(rows.columns)
    codes = rows.groupby(columns, observed=True, sort=True).ngroup().to_numpy().astype(np.int64)
    first = np.unique(codes, return_index=True)[1]
    return codes, rows.iloc[first].reset_index(drop=True)


def _in_order(column: pd.Series, levels: Sequence[Any]) -> pd.Series:
    """The column as a categorical: equal levels in their order, then its other values, sorted."""
    categorical = column if column.dtype.name == "category" else column.astype("category")
    values = categorical.cat.categories
    place = pd.Index(levels).get_indexer(values)
    new = place == UNSEEN
    place[new] = len(levels) + pd.factorize(values[new], sort=True)[0]
    return categorical.cat.reorder_categories(values[np.argsort(place)])


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
        check_hashable(data[name], "by", f"columns of `{argument}` with single values")
        missing = int(data[name].isna().sum())
        if missing:
            raise DataError(
                f"`by` must have no missing values, got {missing} in {name!r}. "
                f"Fill them in: every row must belong to a group."
            )


def _first_that_is_not(kind: Callable[[object], bool], column: pd.Series) -> Any:
    """The first value of a column of objects that is not of a kind; None if all are."""
    values = column.array if column.dtype == object else ()
    return next((value for value in values if not kind(value)), None)


def check_hashable(column: pd.Series, argument: str, rule: str) -> None:
    """Raise if a column has lists or the like, which can't be compared with levels."""
    odd = _first_that_is_not(is_hashable, column)
    if odd is not None:
        raise DataError(
            f"`{argument}` must name {rule}, got {written(odd)} in {column.name!r}. Give each row "
            f"one value."
        )


def _by_table(
    table: pd.DataFrame, data: pd.DataFrame, argument: str
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Groups that a table makes of the values of some columns."""
    columns = [name for name in table.columns if name != MAPPED]
    if MAPPED not in table.columns or not columns:
        raise RequestError(
            f"`by`, as a table, must have the column {MAPPED!r} with the groups' labels beside "
            f"columns of `{argument}`, got {listing(table.columns)}."
        )
    for name in table.columns:
        check_hashable(table[name], "by", "a table of single values")
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
        labelled = table.loc[table[MAPPED].notna(), columns]
        named = set(labelled.astype(str).agg(", ".join, axis=1))
        step = "Add them to the table, or leave those rows out."
        if set(values) <= named:
            step = "The table has them in another type (numbers and text): convert its column."
        raise DataError(
            f"`by`, as a table, must give every row of `{argument}` a label, got none for "
            f"{listing(values.unique())} ({int(unmatched.sum())} rows). {step}"
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
        column = frame[name]
        levels: list[Any] = list(known.get(name, ()))
        if isinstance(column.dtype, pd.CategoricalDtype):
            levels = list(dict.fromkeys([*levels, *column.cat.categories]))
        present = set(np.unique(Categorical(name, name, tuple(levels)).codes(column)).tolist())
        absent = [level for k, level in enumerate(levels) if k not in present]
        if absent:
            warn(
                f"`frame` has no cells for {listing(absent)} of {name!r}: no estimate is made "
                f"for them. Add cells for those that you want.",
                FrameWarning,
            )


def warn_of_lookalikes(columns: Mapping[str, Iterable[object]], argument: str) -> None:
    """Warn of levels that differ only in how they are written, once for each column.

    Parameters
    ----------
    columns
        The levels of each column.
    argument
        What the user knows the table as.
    """
    for name, levels in columns.items():
        alike = lookalikes(levels)
        if alike:
            warn(
                f"`{argument}` has levels of {name!r} that differ only by {DIFFERENCES}, and "
                f"count as different: {paired(alike)}. Recode those that are the same.",
                FrameWarning,
            )
