"""Equal cells of a large Parquet file add up while it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrp import cells
from mrp.cells import ROWS, added_up
from mrp.reading import read_tables

N = 600


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are large from 100 rows on, and read 64 at a time."""
    monkeypatch.setattr(cells, "FROM", 100)
    monkeypatch.setattr(cells, "AT_ONCE", 64)


def frame(**columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "state": rng.choice(["AL", "CA", "NY"], N),
            "age": pd.Categorical(rng.choice(["old", "young"], N), ["young", "old"], ordered=True),
            "x": rng.choice([0.5, 1.5], N),
            "n": rng.integers(0, 100, N),
        }
    )
    return table.assign(**columns)


def written(table: pd.DataFrame, folder: Path) -> Path:
    table.to_parquet(folder / "frame.parquet")
    return folder / "frame.parquet"


@pytest.mark.parametrize("kind", ["int64", "int8", "uint32", "float64", "float32"])
def test_equal_cells_add_up(kind: str, tmp_path: Path) -> None:
    table = frame().astype({"n": kind})
    found = added_up(written(table, tmp_path), "n")
    assert found is not None
    got = found.to_pandas()
    keys = ["state", "age", "x"]
    assert not got.duplicated(keys).any()
    assert got["age"].cat.categories.tolist() == ["young", "old"]
    expected = table.astype({"n": "float64"}).groupby(keys, observed=True)["n"].sum()
    pd.testing.assert_series_equal(
        got.groupby(keys, observed=True)["n"].sum().astype("float64"), expected
    )
    first = table.drop_duplicates(keys)[keys].reset_index(drop=True)
    pd.testing.assert_frame_equal(got[keys], first, check_dtype=False)


@pytest.mark.parametrize(
    "columns",
    [
        {"n": np.r_[-1.0, np.ones(N - 1)]},
        {"n": np.r_[np.nan, np.ones(N - 1)]},
        {"n": np.r_[np.inf, np.ones(N - 1)]},
        {"n": ["1"] * N},
        {"n": np.r_[2**62, np.ones(N - 1, dtype=np.int64)]},
        {"cell": np.arange(N)},
        {"tags": [[1]] * N},
        {"nothing": [None] * N},
    ],
    ids=["negative", "missing", "infinite", "text", "huge", "all different", "lists", "nulls"],
)
def test_file_is_read_as_it_is_where_its_cells_can_not_add_up(
    columns: dict[str, Any], tmp_path: Path
) -> None:
    assert added_up(written(frame(**columns), tmp_path), "n") is None


def test_small_file_and_one_without_the_counts_are_read_as_they_are(tmp_path: Path) -> None:
    assert added_up(written(frame()[:99], tmp_path), "n") is None
    assert added_up(written(frame(), tmp_path), "people") is None


def test_dictionaries_of_parts_may_differ(tmp_path: Path) -> None:
    parts = [
        pa.table({"g": pa.array(levels).dictionary_encode(), "n": [1] * 100})
        for levels in (["a", "b"] * 50, ["b", "c"] * 50)
    ]
    schema = parts[0].schema
    with pq.ParquetWriter(tmp_path / "frame.parquet", schema) as writer:
        for part in parts:
            writer.write_table(part.cast(schema))
    found = added_up(tmp_path / "frame.parquet", "n")
    assert found is not None
    assert dict(zip(found["g"].to_pylist(), found["n"].to_pylist(), strict=True)) == {
        "a": 50,
        "b": 100,
        "c": 50,
    }


def test_table_says_how_many_rows_its_file_has(tmp_path: Path) -> None:
    path = written(frame(), tmp_path)
    asked = {"FRAME": ["state"]}
    table = read_tables({"FRAME": path}, asked=asked, counts={"FRAME": "n"})["FRAME"]
    assert table.attrs[ROWS] == N > len(table)
    whole = read_tables({"FRAME": path}, asked=asked)["FRAME"]
    assert ROWS not in whole.attrs
    assert len(whole) == N
    assert table["n"].sum() == whole["n"].sum()
