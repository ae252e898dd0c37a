"""Draws as tables of other shapes and libraries."""

import importlib

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal as assert_polars_equal

from mrp.errors import RequestError
from mrp.results.layouts import array, as_backend, check_backend, check_shape, laid_out
from tests.messages import raises

LABELS = pd.DataFrame({"state": ["B", "A", "C"], "military": [1, 0, 1]})
MATRIX = np.arange(12.0).reshape(3, 4)
TABLES = {"polars": pl.DataFrame, "pyarrow": pa.Table}


def columns(table):
    """A polars or pyarrow table as lists by column."""
    return table.to_dict(as_series=False) if isinstance(table, pl.DataFrame) else table.to_pydict()


def test_long_has_a_row_for_each_estimate_and_draw():
    long = laid_out(LABELS, MATRIX, 2, "long", "pandas")
    rows = [
        (chain, draw, *LABELS.iloc[k], MATRIX[k, 2 * chain + draw])
        for k in range(3)
        for chain in range(2)
        for draw in range(2)
    ]
    expected = pd.DataFrame(rows, columns=["chain", "draw", "state", "military", "value"])
    pd.testing.assert_frame_equal(long, expected)


def test_wide_has_a_row_for_each_draw_and_transposed_one_for_each_estimate():
    wide = laid_out(LABELS, MATRIX, 2, "wide", "pandas")
    index = pd.MultiIndex.from_tuples([(0, 0), (0, 1), (1, 0), (1, 1)], names=["chain", "draw"])
    expected = pd.DataFrame(MATRIX.T, index=index, columns=["B, 1", "A, 0", "C, 1"])
    pd.testing.assert_frame_equal(wide, expected)
    transposed = laid_out(LABELS, MATRIX, 2, "transposed", "pandas")
    pd.testing.assert_frame_equal(transposed, wide.T.rename_axis("estimate"))
    assert transposed.columns.names == ["chain", "draw"]


@pytest.mark.parametrize("backend", TABLES)
def test_other_libraries_have_the_same_numbers(backend):
    long = laid_out(LABELS, MATRIX, 2, "long", backend)
    assert isinstance(long, TABLES[backend])
    assert columns(long) == laid_out(LABELS, MATRIX, 2, "long", "pandas").to_dict("list")
    assert columns(laid_out(LABELS, MATRIX, 2, "wide", backend)) == {
        "chain": [0, 0, 1, 1],
        "draw": [0, 1, 0, 1],
        "B, 1": [0, 1, 2, 3],
        "A, 0": [4, 5, 6, 7],
        "C, 1": [8, 9, 10, 11],
    }
    assert columns(laid_out(LABELS, MATRIX, 2, "transposed", backend)) == {
        "estimate": ["B, 1", "A, 0", "C, 1"],
        "0, 0": [0, 4, 8],
        "0, 1": [1, 5, 9],
        "1, 0": [2, 6, 10],
        "1, 1": [3, 7, 11],
    }


def test_labels_of_every_type_reach_other_libraries():
    table = pd.DataFrame(
        {
            "age": pd.Categorical(["old", "young"], ["young", "old"], ordered=True),
            "year": pd.Categorical([2020, 2016]),
            "open": [True, False],
            "mixed": [1, "a"],
            "gap": ["x", None],
        }
    )
    expected = {
        "age": ["old", "young"], "year": [2020, 2016], "open": [True, False],
        "mixed": ["1", "a"], "gap": ["x", None],
    }  # fmt: skip
    for backend in TABLES:
        assert columns(as_backend(table, backend)) == expected
    assert as_backend(table, "pandas") is table


def test_array_has_the_draws_chain_by_chain():
    found = array(LABELS[["state"]], MATRIX, 2, "y")
    assert found.dims == ("chain", "draw", "state")
    assert found.sel(state="A").values.tolist() == [[4, 5], [6, 7]]
    assert np.shares_memory(found.values, MATRIX)


def test_rows_of_one_name_can_not_be_columns_of_polars():
    twice = pd.DataFrame({"state": ["A", "A"]})
    message = (
        "`backend` 'polars' must have different names in a wide table, got 'A' twice. "
        "Use shape='long', or backend='pandas'."
    )
    with raises(RequestError, message):
        laid_out(twice, MATRIX[:2], 2, "wide", "polars")
    assert laid_out(twice, MATRIX[:2], 2, "wide", "pandas").columns.tolist() == ["A", "A"]
    long = laid_out(twice, MATRIX[:2], 2, "long", "polars")
    assert_polars_equal(long.select("state").unique(), pl.DataFrame({"state": ["A"]}))


@pytest.mark.parametrize(
    ("labels", "shape", "backend", "name"),
    [
        (pd.DataFrame({"draw": ["A", "B"]}), "long", "pandas", "draw"),
        (pd.DataFrame({"value": ["A", "B"]}), "long", "pyarrow", "value"),
        (pd.DataFrame({"state": ["chain", "B"]}), "wide", "polars", "chain"),
    ],
)
def test_labels_called_as_results_are_refused(labels, shape, backend, name):
    message = (
        f"`labels` must not have columns that results are written to, got [{name!r}]. "
        "Rename them in the data."
    )
    with raises(RequestError, message):
        laid_out(labels, MATRIX[:2], 2, shape, backend)


@pytest.mark.parametrize(
    ("shape", "backend", "message"),
    [
        (
            "tall",
            "pandas",
            "`shape` must say how to lay out draws, got 'tall'. "
            "Available: ['long', 'wide', 'transposed', 'xarray'].",
        ),
        (
            "long",
            "polar",
            "`backend` must name a library of tables, got 'polar'. "
            "Available: ['pandas', 'polars', 'pyarrow']. Did you mean 'polars'?",
        ),
        (
            "xarray",
            "polars",
            "`backend` must be left out for shape='xarray', which is no table, got 'polars'. "
            "Tables: ['long', 'wide', 'transposed'].",
        ),
    ],
)
def test_shape_or_library_that_there_is_not_is_refused(shape, backend, message):
    with raises(RequestError, message):
        check_shape(shape, backend)


def test_library_that_is_not_installed_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    message = (
        "`backend` must be installed, got 'polars', which is not. Available: 'pandas'. "
        "Install it with `pip install polars`."
    )
    with raises(RequestError, message):
        check_backend("polars")
