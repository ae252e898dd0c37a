"""Columns of the survey, and what calls of a formula make, as a model takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mrp.errors import DataError


def prepared(column: pd.Series) -> pd.Series:
    """A column as a model takes it: categories ordered, without those never used."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories().cat.as_ordered()
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype(bool)
    numeric = pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "c"
    if not (numeric or pd.api.types.is_string_dtype(column)):
        raise DataError(
            f"`data` must have numbers, strings or a categorical in {column.name!r}, got type "
            f"{str(column.dtype)!r} (first value {column.iloc[0]!r}). Convert the column, for "
            f"example with `astype(str)` or `astype('category')`."
        )
    return column


def as_series(values: Any) -> pd.Series:
    """Values of a call as a column."""
    return values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))
