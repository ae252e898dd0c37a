"""What a file can say with a digest that is right, and a survey that a file does not give back."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

import mrp
from mrp.errors import DataError, FitError, FrameWarning
from mrp.testing import fake_fit
from tests.edited_files import with_json, with_tree
from tests.messages import raises
from tests.test_saved_fits import refused

N = 30
ZONED = pd.Categorical(pd.date_range("2020", periods=3, tz="UTC").repeat(10))


def survey(**columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "y": rng.integers(0, 2, N),
            "x": rng.normal(size=N),
            "g": rng.choice(list("abc"), N),
            "t": ZONED,
        }
    )
    return table.assign(**columns)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    fit = fake_fit("y ~ bs(x, df=6, degree=4) + t + (1 | g)", survey(), family="bernoulli", draws=3)
    return fit.save(tmp_path_factory.mktemp("fits") / "fit.nc").read_bytes()


def _replaced(*pairs: tuple[str, str]) -> Callable[[bytes], bytes]:
    def edit(content: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(content)
        for old, new in pairs:
            text = text.replace(old, new)
        changed: dict[str, Any] = json.loads(text)
        return changed

    return lambda data: with_json(data, edit)


def _typed(name: str) -> Callable[[bytes], bytes]:
    def edit(content: dict[str, Any]) -> None:
        content["categoricals"]["t"].update(levels=[0, 1, 2], type=name)

    return lambda data: with_json(data, edit)


def _posterior(edit: Callable[[xr.Dataset], xr.Dataset]) -> Callable[[bytes], bytes]:
    def of_tree(tree: xr.DataTree) -> None:
        tree["posterior"] = xr.DataTree(edit(tree["posterior"].to_dataset()))

    return lambda data: with_tree(data, of_tree)


def _statistics(tree: xr.DataTree) -> None:
    shape = (("chain", "draw"), np.zeros((3, 7), bool))
    tree["sample_stats"] = xr.DataTree(xr.Dataset({"diverging": shape}))


def _survey(column: pa.Array) -> Callable[[bytes], bytes]:
    """Another column in the survey."""

    def edit(tree: xr.DataTree) -> None:
        dataset = tree["mrp"].to_dataset()
        table = pq.read_table(io.BytesIO(dataset["survey_parquet"].values.tobytes()))
        buffer = io.BytesIO()
        pq.write_table(table.append_column("more", column), buffer)
        numbers = np.frombuffer(buffer.getvalue(), np.uint8)
        rest = dataset.drop_vars("survey_parquet")
        tree["mrp"] = xr.DataTree(rest.assign(survey_parquet=("other", numbers)))

    return lambda data: with_tree(data, edit)


LIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "pieces that FITPACK has no room for": (
        _replaced(("degree=4", "degree=80"), ("df=6", "df=90")),
        "(ValueError: `degree` must be a whole number, at most 10, got 80)",
    ),
    "a time zone that is a file": (
        _replaced(('"UTC"', '"dateutil//etc/passwd"')),
        "(ValueError: there is no time zone 'dateutil//etc/passwd')",
    ),
    "a time zone that is this machine's": (
        _replaced(('"UTC"', '"tzlocal()"')),
        "(ValueError: there is no time zone 'tzlocal()')",
    ),
    "levels of 400 MB each": (
        _typed("S400000000"),
        ": its survey has levels of type 'S400000000'",
    ),
    "levels of a time zone that is a file": (
        _typed("datetime64[ns, dateutil//etc/passwd]"),
        "(ValueError: there is no time zone 'dateutil//etc/passwd')",
    ),
    "draws that are truths": (
        _posterior(lambda draws: draws.assign({"1|g": draws["1|g"] > 0})),
        "(DataError: `draws` must be numbers, got type 'bool' in '1|g'. Convert them with "
        "`astype(float)`.)",
    ),
    "sd's that are truths": (
        _posterior(lambda draws: draws.assign({"1|g_sigma": draws["1|g_sigma"] > 0})),
        ": '/posterior/1|g_sigma' has values of type 'bool'",
    ),
    "statistics of other draws": (
        lambda data: with_tree(data, _statistics),
        ": '/sample_stats/diverging' is of other chains and draws than its parameters",
    ),
    "lists in cells": (
        _survey(pa.array([[0] * 9] * N)),
        ": its survey has more than one value in a cell of ['more']",
    ),
}


@pytest.mark.parametrize("what", LIES)
def test_file_that_lies_of_its_content_is_refused(what: str, saved: bytes, tmp_path: Path) -> None:
    edit, why = LIES[what]
    path = tmp_path / "edited.nc"
    path.write_bytes(edit(saved))
    if why.startswith(": "):
        expected: Any = refused(path, why[2:])
    else:
        expected = raises(
            FitError,
            f"`path` must name a file that Fit.save wrote, got {str(path)!r}, which can't be read "
            f"as one {why}.",
        )
    with expected:
        mrp.load_fit(path)


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/St_Johns", "UTC+05:30", "UTC-03:00"]
)
def test_levels_keep_their_time_zone(zone: str, tmp_path: Path) -> None:
    times = pd.Categorical(pd.date_range("2020", periods=3, tz=zone).repeat(10))
    fit = fake_fit("y ~ t", survey(t=times), family="bernoulli", draws=3)
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    assert loaded.design.components["t"] == fit.design.components["t"]
    pd.testing.assert_frame_equal(
        mrp.predictions(loaded).to_frame(), mrp.predictions(fit).to_frame()
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.rename_axis(index=[("a", "b")]),
        lambda table: table.assign(more=[{1}] * N),
        lambda table: table.assign(more=[[1, 2]] * N),
        lambda table: table.assign(more=[{"a": 1}] * N),
    ],
    ids=["an index named by a tuple", "sets", "lists", "tables"],
)
def test_what_a_file_does_not_give_back_is_left_out_and_said(
    change: Callable[[pd.DataFrame], pd.DataFrame], tmp_path: Path
) -> None:
    fit = fake_fit("y ~ x + (1 | g)", change(survey()), family="bernoulli", draws=3)
    with pytest.warns(FrameWarning, match="The saved survey lacks what can't be written"):
        path = fit.save(tmp_path / "fit.nc")
    loaded = mrp.load_fit(path)
    assert loaded.fingerprint == fit.fingerprint
    pd.testing.assert_frame_equal(loaded.survey, survey())


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.rename_axis(columns=[("a", 1)]),
        lambda table: table.set_axis(pd.CategoricalIndex(table.columns), axis="columns"),
    ],
    ids=["columns named by a tuple", "columns that are categories"],
)
def test_how_columns_are_held_does_not_matter_to_a_file(
    change: Callable[[pd.DataFrame], pd.DataFrame], tmp_path: Path
) -> None:
    fit = fake_fit("y ~ x + (1 | g)", change(survey()), family="bernoulli", draws=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    pd.testing.assert_frame_equal(loaded.survey, survey())


def test_columns_have_one_name_each() -> None:
    table = survey()[["y", "x"]]
    table.columns = pd.MultiIndex.from_tuples([("y", ""), ("x", "")])
    with raises(
        DataError,
        "`data` must have one name for each column, got 2 rows of names. Join them: "
        "`data.columns = ['_'.join(map(str, c)) for c in data.columns]`.",
    ):
        mrp.Model("y ~ x", table, family="bernoulli")
