"""Grids of hypothetical people: some columns as asked for, the others typical of the survey.

A grid is put together from small tables of codes, one for each column or for columns that go
together, in which a value is its position in a list. Their sizes say how long the grid will be
before any of it is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.design import Categorical, Design, Factor
from mrp.errors import DataError, RequestError, listing, unknown
from mrp.estimands.changes import as_levels, check_numbers, values_in
from mrp.fit import Fit
from mrp.memory import LARGE, check_fits

GridType = Literal["mean_or_mode", "balanced", "counterfactual"]
NamedGrid = Literal["mean", "median", "balanced"]
"""Grids that the verbs' `newdata` may name."""
Values = Any
"""A value, several, or a function of the survey's column that returns them (``np.unique``)."""
Centre = Callable[[NDArray[np.float64]], Any]
Asked = Mapping[str, Sequence[Any]]
"""Different values of each column."""

MOST_ROWS = 10_000_000
"""Rows that a grid may have; a longer one is most likely a mistake."""
COPIES = 3
"""Copies of a grid that there are at once while it is made."""
PERSON = "rowidcf"
"""Column of counterfactual grids with the position of the survey's row."""


@explained
def datagrid(
    fit: Fit, /, *, grid_type: GridType = "mean_or_mode", **values: Values
) -> pd.DataFrame:
    """Every combination of the values given; the other columns as the type of grid says.

    Parameters
    ----------
    fit
        Its survey says what is typical.
    grid_type
        "mean_or_mode": other columns of the formula are typical of the survey, a row for each
        combination; "balanced": other columns take all their levels, a row for each combination;
        "counterfactual": the whole survey, once for each combination.
    **values
        For each column of the survey a value, a list of values, or a function that is given the
        survey's column and returns one or several: ``state=["CA", "AL"]``, ``age=np.unique``,
        ``x=max``, ``x=lambda x: [x.mean(), x.max()]``. Text is always a value. A value given twice
        counts once.

    Returns
    -------
    The columns given, then all others of the formula; the first column varies slowest, values are
    in the order given.

    With "mean_or_mode" a column that is not named is at its mean if it is a number with more than
    two values (whole or not), else at its mode (the first in the order of levels on a tie). The
    numbers of a column that the formula groups by, or takes as levels, are at their mode too.

    With "balanced" a column takes all levels that the survey has, in their order, if it is not a
    number, or if the formula groups by it or takes it as levels; another number is as before.
    Columns of a nested or crossed grouping factor, such as ``state:district``, only take the
    combinations that the survey has: any other would be a new group.

    With "counterfactual" all columns of the survey are there, the outcome too, with the values
    given in place of its own. A first column ``rowidcf`` says which row of the survey it was, from
    0. Rows are in the survey's order for each combination.

    Raises
    ------
    RequestError
        A column is not in the survey, or the grid would have more than 10 million rows.
    DataError
        A value is not a level that the model knows; or the fit was saved without its survey.

    Notes
    -----
    A column of the survey called ``grid_type`` must be renamed to be given values.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> mrp.datagrid(fit, state=["CA", "AL"], military=0)[["state", "military", "age"]]
      state  military    age
    0    CA         0  60-69
    1    AL         0  60-69
    >>> len(mrp.datagrid(fit, grid_type="balanced", state="CA", education="4 year"))
    12
    >>> both = mrp.datagrid(fit, grid_type="counterfactual", gender=["Man", "Woman"])
    >>> len(both) == 2 * len(fit.survey)
    True
    """
    survey = survey_of(fit, "`datagrid` can't tell what is typical", "Make the table yourself")
    _check_grid_type(grid_type, survey)
    asked = _values_asked(fit.design, values, survey)
    if grid_type == "counterfactual":
        grid = _counterfactual(survey, asked)
    elif grid_type == "balanced":
        grid = _balanced(fit.design, survey, asked)
    else:
        grid = _central(fit.design, survey, asked, np.mean)
    fit.design.rows(grid, argument="datagrid")
    return grid


def newdata_of(fit: Fit, newdata: Any) -> Any:
    """The grid that a verb's `newdata` names; a table, or None, is returned as it is.

    Parameters
    ----------
    fit
        Its survey says what is typical.
    newdata
        "mean": one row, numbers at their mean and all else at its mode; "median": the same with
        numbers at their median; "balanced": all combinations of levels, as of `datagrid`.
    """
    if not isinstance(newdata, str):
        return newdata
    if newdata == "mean":
        return datagrid(fit)
    if newdata == "balanced":
        return datagrid(fit, grid_type="balanced")
    if newdata == "median":
        survey = survey_of(fit, "`newdata` can't tell what is typical", "Make the table yourself")
        return _central(fit.design, survey, {}, np.median)
    rule = "be a table or the name of a grid"
    files = "Read files with pandas.read_csv or read_parquet." if "." in newdata else ""
    raise RequestError(unknown("newdata", rule, newdata, get_args(NamedGrid), files))


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
        if isinstance(component, Categorical) and [column] == design.columns_of(component):
            return component.levels
    return None


def typical(column: pd.Series, number: Centre = np.mean, *, as_levels: bool = False) -> Any:
    """Centre of a number with more than two values, unless taken as levels; else the mode.

    Parameters
    ----------
    column
        A column of the survey.
    number
        What is the centre of numbers (n,): ``np.mean``, ``np.median``.
    as_levels
        Whether the model takes its values as levels.
    """
    if _is_number(column) and not as_levels and column.nunique() > 2:
        return float(number(column.to_numpy(dtype=np.float64, na_value=np.nan)))
    counts = column.value_counts().sort_index()
    return counts.idxmax()


def _is_number(column: pd.Series) -> bool:
    dtype = column.dtype
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)


# --- what is asked for ----------------------------------------------------------------------------


def _check_grid_type(grid_type: str, survey: pd.DataFrame) -> None:
    if grid_type not in get_args(GridType):
        taken = "The survey's column of this name must be renamed to be given values."
        raise RequestError(
            unknown(
                "grid_type",
                "be a type of grid",
                grid_type,
                get_args(GridType),
                taken if "grid_type" in survey.columns else "",
            )
        )


def _values_asked(
    design: Design, values: Mapping[str, Values], survey: pd.DataFrame
) -> dict[str, list[Any]]:
    """Different values asked of each column, in order."""
    for name in values:
        if name not in survey.columns:
            raise RequestError(
                unknown("datagrid", "be given columns of the survey", name, list(survey.columns))
            )
    return {name: _asked(design, value, survey[name]) for name, value in values.items()}


def _asked(design: Design, value: Values, column: pd.Series) -> list[Any]:
    name = str(column.name)
    if isinstance(value, Callable):  # type: ignore[arg-type]
        value = value(column)
    values = values_in("datagrid", name, value)
    check_numbers(design, "datagrid", name, values)
    levels = levels_of(design, name) if _is_levels(design, column) else None
    return list(dict.fromkeys(as_levels(values, levels)))


# --- the grids ------------------------------------------------------------------------------------


def _central(design: Design, survey: pd.DataFrame, asked: Asked, number: Centre) -> pd.DataFrame:
    """Combinations of the values asked for, other columns typical."""
    rest = {
        name: [typical(survey[name], number, as_levels=levels_of(design, name) is not None)]
        for name in design.columns
        if name not in asked
    }
    values = {**asked, **rest}
    return _decoded(_crossing(_one_by_one(values)), values, survey)


def _balanced(design: Design, survey: pd.DataFrame, asked: Asked) -> pd.DataFrame:
    """Combinations of the values asked for and of all levels of the other columns."""
    rest = {name: _all_values(design, survey[name]) for name in design.columns if name not in asked}
    values = {**asked, **rest}
    linked = [
        columns
        for factor in design.factors.values()
        if (columns := _linked(design, factor, survey)) and not asked.keys() >= set(columns)
    ]
    tables = _one_by_one(values)
    for columns in linked:
        tables = _joined(tables, _observed(columns, values, survey))
    codes = _crossing(tables)
    if linked:
        codes = codes.sort_values(list(values))
        _check_all_there(codes, asked, linked)
    return _decoded(codes, values, survey)


def _counterfactual(survey: pd.DataFrame, asked: Asked) -> pd.DataFrame:
    """The survey's rows once for each combination of the values asked for."""
    if PERSON in survey.columns:
        raise RequestError(
            f"`grid_type` 'counterfactual' writes a column {PERSON!r}, got a survey that has one. "
            f"Rename it."
        )
    people = pd.DataFrame({PERSON: np.arange(len(survey))})
    codes = _crossing([*_one_by_one(asked), people])
    _check_length(len(codes), survey.shape[1] + 1, "the survey, for each combination")
    grid = survey.take(codes[PERSON].to_numpy()).reset_index(drop=True)
    grid = grid.assign(**_decoded(codes, asked, survey))
    grid.insert(0, PERSON, codes[PERSON])
    return grid


def _all_values(design: Design, column: pd.Series) -> list[Any]:
    """What a column takes in a balanced grid: all levels, or what is typical of a number."""
    if _is_levels(design, column):
        return list(levels_of(design, str(column.name)) or ())
    if _is_number(column):
        return [typical(column, as_levels=levels_of(design, str(column.name)) is not None)]
    return column.drop_duplicates().sort_values().tolist()


def _is_levels(design: Design, column: pd.Series) -> bool:
    """Whether the model's levels are values of the column, and not made of it, as by a cut."""
    levels = levels_of(design, str(column.name))
    return levels is not None and set(levels) <= set(column.unique())


def _linked(design: Design, factor: Factor, survey: pd.DataFrame) -> list[str]:
    """Columns of a nested or crossed factor, whose combinations are groups; none of another."""
    parts = [design.components[name] for name in factor.components]
    columns = [name for c in parts if isinstance(c, Categorical) for name in design.columns_of(c)]
    are_levels = all(_is_levels(design, survey[name]) for name in columns)
    return columns if len(set(columns)) > 1 and are_levels else []


# --- tables of codes ------------------------------------------------------------------------------


def _one_by_one(values: Asked) -> list[pd.DataFrame]:
    """A table for each column with the positions of its values."""
    return [pd.DataFrame({name: np.arange(len(column))}) for name, column in values.items()]


def _observed(columns: list[str], values: Asked, survey: pd.DataFrame) -> pd.DataFrame:
    """The survey's combinations of columns, as positions of the values that are wanted."""
    seen = survey[columns].drop_duplicates().astype(object)
    table = pd.DataFrame({
        name: pd.Index(values[name], dtype=object).get_indexer(pd.Index(seen[name]))
        for name in columns
    })  # fmt: skip
    return table[(table >= 0).all(axis=1)]


def _joined(tables: list[pd.DataFrame], table: pd.DataFrame) -> list[pd.DataFrame]:
    """The tables with another one, which is merged with those that it shares columns with."""
    apart = []
    for other in tables:
        shared = [name for name in table if name in other]
        if not shared:
            apart.append(other)
            continue
        matches = other.groupby(shared).size().rename("matches").reset_index()
        rows = int(table.merge(matches, on=shared)["matches"].sum())
        names = dict.fromkeys([*table, *other])
        _check_length(rows, len(names), f"combinations of {listing(names)}")
        table = table.merge(other, on=shared)
    return [*apart, table]


def _crossing(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All combinations of the tables' rows, the first table's varying slowest."""
    sizes = [
        f"{len(table):,} of {':'.join(map(str, table))!r}" for table in tables if len(table) > 1
    ]
    rows, columns = math.prod(map(len, tables)), sum(table.shape[1] for table in tables)
    _check_length(rows, columns, " x ".join(sizes))
    return reduce(lambda left, right: left.merge(right, how="cross"), tables, _one_row())


def _one_row() -> pd.DataFrame:
    return pd.DataFrame(index=range(1))


def _check_length(rows: int, columns: int, said: str) -> None:
    if rows > MOST_ROWS:
        raise RequestError(
            f"`datagrid` must make {MOST_ROWS:,} rows or fewer, got {rows:,}: {said}. "
            f"Give fewer values, or give columns that take all their levels one value."
        )
    needed = COPIES * 8 * rows * columns
    if needed > LARGE:
        check_fits(
            needed, f"{rows:,} rows of {columns:,} columns", "datagrid", "Give fewer values."
        )


def _check_all_there(codes: pd.DataFrame, asked: Asked, linked: list[list[str]]) -> None:
    """Raise if a combination asked for is in none of the survey's groups."""
    there = set(codes[list(asked)].itertuples(index=False, name=None))
    for places in product(*(range(len(column)) for column in asked.values())):
        if places not in there:
            got = ", ".join(
                f"{name}={column[place]}"
                for (name, column), place in zip(asked.items(), places, strict=True)
            )
            raise RequestError(
                f"`datagrid` must be given values that the survey's groups have, got {got}: "
                f"grid_type='balanced' takes the groups of {listing(map(':'.join, linked))} from "
                f"the survey. Give values of all these columns to make new groups."
            )


def _decoded(codes: pd.DataFrame, values: Asked, survey: pd.DataFrame) -> pd.DataFrame:
    """The table of values that codes stand for."""
    columns = {}
    for name, column in values.items():
        distinct = pd.Series(column)
        typed = distinct.astype(_grid_dtype(survey[name], distinct))
        columns[name] = typed.array.take(codes[name].to_numpy())
    return pd.DataFrame(columns, index=range(len(codes)))


def _grid_dtype(survey: pd.Series, grid: pd.Series) -> Any:
    """The survey's categories where they hold the grid's values, else the grid's own type."""
    dtype = survey.dtype
    if isinstance(dtype, pd.CategoricalDtype) and grid.isin(dtype.categories).all():
        return dtype
    return grid.dtype
