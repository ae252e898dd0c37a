"""Grids of hypothetical people: some columns as asked for, the others typical of the survey."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from mrp.design import Categorical, Design
from mrp.errors import DataError, RequestError, unknown
from mrp.fit import Fit

Values = Any
"""A value, several, or a function of the survey's column that returns them (``np.unique``)."""


def datagrid(fit: Fit, **values: Values) -> pd.DataFrame:
    """Every combination of the values given, other columns at the survey's mean or mode.

    Parameters
    ----------
    fit
        Its survey says what is typical.
    **values
        For each column a value, a list of values, or a function that is given the survey's column
        and returns one or several: ``state=["CA", "AL"]``, ``age=np.unique``, ``x=max``.

    Returns
    -------
    A row for each combination, the first column varying slowest, values in the order given. All
    columns of the formula are there. A column that is not named is at its mean if it is a number
    with more than two values, else at its mode (the first in the order of levels on a tie). The
    numbers of a column that the formula groups by, or takes as levels, are at their mode too.

    Raises
    ------
    RequestError
        A column is neither in the formula nor in the survey.
    DataError
        A value is not a level that the model knows.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> mrp.datagrid(fit, state=["CA", "AL"], military=0)[["state", "military", "age"]]
      state  military    age
    0    CA         0  60-69
    1    AL         0  60-69
    """
    survey = survey_of(fit, "`datagrid` can't tell what is typical", "Make the table yourself")
    for name in values:
        if name not in survey.columns:
            raise RequestError(
                unknown("datagrid", "be given columns of the survey", name, list(survey.columns))
            )
    asked = {name: _asked(value, survey[name]) for name, value in values.items()}
    for name, column in asked.items():
        if not column:
            raise RequestError(f"`datagrid` must get at least one value of {name!r}, got none.")
    rest = {
        name: typical(survey[name], as_levels=levels_of(fit.design, name) is not None)
        for name in fit.design.columns
        if name not in asked
    }
    rows = [dict(zip(asked, row, strict=True)) for row in itertools.product(*asked.values())]
    grid = pd.DataFrame([{**row, **rest} for row in rows])
    grid = grid.astype({name: _grid_dtype(survey[name], grid[name]) for name in grid.columns})
    fit.design.rows(grid, argument="datagrid")
    return grid


def survey_of(fit: Fit, lack: str, instead: str) -> pd.DataFrame:
    """The fit's survey; raise where it was left out of the saved file."""
    if fit.survey is None:
        raise DataError(
            f"{lack}, as this fit was saved without its survey. {instead}, or save the fit with "
            f"include_survey=True."
        )
    return fit.survey


def levels_of(design: Design, column: str) -> tuple[Any, ...] | None:
    """Levels of a column that the model treats as categorical; None if it is a number."""
    for component in design.components.values():
        if isinstance(component, Categorical):
            columns = design.calls.columns(component.source)
            if column == component.source or columns == [column]:
                return component.levels
    return None


def typical(column: pd.Series, *, as_levels: bool = False) -> Any:
    """The mean of a number with more than two values, unless taken as levels; else the mode."""
    is_number = pd.api.types.is_numeric_dtype(column.dtype) and not as_levels
    if is_number and not pd.api.types.is_bool_dtype(column.dtype) and column.nunique() > 2:
        return float(column.mean())
    counts = column.value_counts().sort_index()
    return counts.idxmax()


def _asked(value: Values, column: pd.Series) -> list[Any]:
    if isinstance(value, Callable):  # type: ignore[arg-type]
        value = value(column)
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [value]
    return list(value)


def _grid_dtype(survey: pd.Series, grid: pd.Series) -> Any:
    """The survey's categories where they hold the grid's values, else the grid's own type."""
    dtype = survey.dtype
    if isinstance(dtype, pd.CategoricalDtype) and np.isin(grid, dtype.categories).all():
        return dtype
    return grid.dtype
