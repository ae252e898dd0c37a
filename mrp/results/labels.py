"""Labels of estimates: a name for each row, what tells rows apart, coordinates for xarray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import RequestError, listing

MOST_COLORS = 7
"""Values of a label that pictures tell apart by colour."""


def names_of(labels: pd.DataFrame) -> list[str]:
    """A name for each row: its labels in one string; ``b1`` where there are none."""
    if not len(labels.columns):
        return [f"b{k + 1}" for k in range(len(labels))]
    rows = labels.astype(str).itertuples(index=False, name=None)
    return [", ".join(map(str, row)) for row in rows]


def telling(labels: pd.DataFrame) -> list[Any]:
    """Columns that tell rows apart: those that differ, but ``rowid`` only where it is needed."""
    differ = [name for name in labels.columns if labels[name].nunique(dropna=False) > 1]
    without_id = [name for name in differ if name != "rowid"]
    if without_id and not labels.duplicated(without_id).any():
        return without_id
    return differ


def coordinates(labels: pd.DataFrame) -> tuple[str, dict[str, Any]]:
    """Dim of the rows, and its coordinates, as `Estimates.draws` has them."""
    columns = list(labels.columns)
    if len(columns) == 1 and labels[columns[0]].is_unique:
        return str(columns[0]), {str(columns[0]): coordinate(labels[columns[0]])}
    own = {
        str(name): ("estimate", coordinate(labels[name]))
        for name in columns
        if name not in ("chain", "draw", "estimate")
    }
    return "estimate", {"estimate": names_of(labels), **own}


def coordinate(column: pd.Series) -> NDArray[Any]:
    """Labels as an array that xarray and netCDF take: numbers as numbers, the rest as strings."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy()
    return np.array([str(value) for value in column], dtype=str)


def beside(labels: pd.DataFrame, results: Mapping[str, Any]) -> pd.DataFrame:
    """The labels and columns of results to their right.

    Raises
    ------
    RequestError
        A label has the name of a result.
    """
    check_free(labels.columns, results)
    return labels.reset_index(drop=True).assign(**results)


def check_free(columns: Iterable[object], results: Iterable[str]) -> None:
    """Raise if columns of labels have the names of results."""
    taken = set(results)
    clash = [name for name in columns if name in taken]
    if clash:
        raise RequestError(
            f"`labels` must not have columns that results are written to, got {listing(clash)}. "
            f"Rename them in the data."
        )
