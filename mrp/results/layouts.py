"""Draws as tables, in the shapes and libraries that people work with."""

from __future__ import annotations

import importlib
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mrp.errors import RequestError, unknown
from mrp.results.labels import beside, check_free, coordinates, names_of

Floats = NDArray[np.float64]
Shape = Literal["long", "wide", "transposed", "xarray"]
Backend = Literal["pandas", "polars", "pyarrow"]


def check_shape(shape: str, backend: str) -> None:
    """Raise unless draws can be had in this shape and library."""
    if shape not in get_args(Shape):
        raise RequestError(unknown("shape", "say how to lay out draws", shape, get_args(Shape)))
    check_backend(backend)
    if shape == "xarray" and backend != "pandas":
        raise RequestError(
            f"`backend` must be left out for shape='xarray', which is no table, got {backend!r}. "
            f"Tables: {list(get_args(Shape)[:-1])}."
        )


def check_backend(backend: str) -> None:
    """Raise unless tables can be had from this library, and it is installed."""
    if backend not in get_args(Backend):
        raise RequestError(
            unknown("backend", "name a library of tables", backend, get_args(Backend))
        )
    try:
        importlib.import_module(backend)
    except ImportError:
        raise RequestError(
            f"`backend` must be installed, got {backend!r}, which is not. Available: 'pandas'. "
            f"Install it with `pip install {backend}`."
        ) from None


def laid_out(
    labels: pd.DataFrame, matrix: Floats, chains: int, shape: Shape, backend: Backend
) -> Any:
    """Draws (rows, chains x draws) as a table, as `Estimates.get_draws` describes it."""
    if shape == "long":
        return as_backend(_long(labels, matrix, chains), backend)
    names = names_of(labels)
    wide = pd.DataFrame(matrix.T, index=_index(matrix, chains), columns=names)
    if backend == "pandas":
        return wide if shape == "wide" else wide.T.rename_axis("estimate")
    if shape == "wide":
        _check_different(names, backend)
        check_free(names, ("chain", "draw"))
        return as_backend(wide.reset_index(), backend)
    table = wide.T.set_axis([f"{chain}, {draw}" for chain, draw in wide.index], axis=1)
    return as_backend(table.rename_axis("estimate").reset_index(), backend)


def array(labels: pd.DataFrame, matrix: Floats, chains: int, name: str) -> xr.DataArray:
    """Draws (rows, chains x draws) as an array with the dims ``chain``, ``draw`` and the rows'."""
    values = matrix.reshape(len(labels), chains, -1).transpose(1, 2, 0)
    dim, coords = coordinates(labels)
    numbers = {"chain": np.arange(chains), "draw": np.arange(values.shape[1])}
    return xr.DataArray(
        values, dims=("chain", "draw", dim), coords={**numbers, **coords}, name=name
    )


def as_backend(table: pd.DataFrame, backend: Backend) -> Any:
    """A pandas table as one of another library; its index and attrs are left behind."""
    if backend == "pandas":
        return table
    import narwhals as nw

    uniform = nw.from_native(table.assign(**{name: table[name].map(str) for name in _mixed(table)}))
    try:
        return uniform.to_polars() if backend == "polars" else uniform.to_arrow()
    except (TypeError, ValueError, NotImplementedError) as error:
        raise RequestError(
            f"`backend` must be a library that can hold the labels, got {backend!r}: {error}. Use "
            f"'pandas', or convert the column in the data."
        ) from error


def _mixed(table: pd.DataFrame) -> list[str]:
    """Columns of values of several types, which only pandas can have."""
    objects = [name for name in table.columns if table[name].dtype == object]
    return [name for name in objects if table[name].dropna().map(type).nunique() > 1]


def _long(labels: pd.DataFrame, matrix: Floats, chains: int) -> pd.DataFrame:
    index = _index(matrix, chains).to_frame(index=False)
    check_free(labels.columns, (*index.columns, "value"))
    numbers = pd.concat([index] * len(matrix), ignore_index=True)
    repeated = labels.loc[np.repeat(np.arange(len(matrix)), matrix.shape[1])]
    return beside(numbers.join(repeated.reset_index(drop=True)), {"value": matrix.ravel()})


def _index(matrix: Floats, chains: int) -> pd.MultiIndex:
    draws = range(matrix.shape[1] // chains)
    return pd.MultiIndex.from_product([range(chains), draws], names=["chain", "draw"])


def _check_different(names: list[str], backend: Backend) -> None:
    twice = pd.Index(names)[pd.Index(names).duplicated()]
    if len(twice):
        raise RequestError(
            f"`backend` {backend!r} must have different names in a wide table, got {twice[0]!r} "
            f"twice. Use shape='long', or backend='pandas'."
        )
