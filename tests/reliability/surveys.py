"""Bad surveys."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

import mrp
from mrp.errors import DataError, FormulaError, FrameWarning, RequestError
from tests.reliability.cases import Case, Place, fake, first


def _of(table: Any) -> Any:
    return lambda at: mrp.Model("y ~ x", table(at.survey), family="gaussian")


def _saved_and_loaded(at: Place, name: str, values: Any) -> str:
    """A survey with another column, saved with its fit and loaded again."""
    fit = fake(at.model(**{name: values}))
    fit.save(at.folder / "fit.nc")
    loaded = mrp.load_fit(at.folder / "fit.nc")
    assert loaded.fingerprint == fit.fingerprint
    pd.testing.assert_frame_equal(
        mrp.avg_predictions(loaded, by="g").to_frame(),
        mrp.avg_predictions(fit, by="g").to_frame(),
    )
    return "kept with the fit"


CASES = [
    Case("survey", what, does, comes)
    for what, does, comes in [
        (
            "a missing number in a predictor",
            lambda at: at.model(x=first(at.survey["x"], np.nan)),
            DataError,
        ),
        (
            "a missing text in a predictor",
            lambda at: at.model(g=first(at.survey["g"], None)),
            DataError,
        ),
        ("a missing state", lambda at: at.model(state=first(at.survey["state"], None)), DataError),
        ("a missing outcome", lambda at: at.model(y=first(at.survey["y"], np.nan)), DataError),
        ("an infinite outcome", lambda at: at.model(y=first(at.survey["y"], np.inf)), DataError),
        (
            "an infinite predictor",
            lambda at: at.model(x=first(at.survey["x"], -np.inf)),
            DataError,
        ),
        ("an outcome of text under gaussian", lambda at: at.model(y=at.survey["g"]), DataError),
        (
            "an outcome of 0, 1 and 2 under bernoulli",
            lambda at: at.model("wins ~ x", family="bernoulli"),
            DataError,
        ),
        (
            "an outcome of 0 and 1 without a family",
            lambda at: at.model("vote ~ x", family=None),
            DataError,
        ),
        (
            "successes above trials",
            lambda at: at.model("p(wins, trials) ~ x", trials=1, family="binomial"),
            DataError,
        ),
        (
            "trials of zero and below",
            lambda at: at.model("p(wins, trials) ~ x", trials=-1, family="binomial"),
            DataError,
        ),
        (
            "counts with decimals",
            lambda at: at.model("y ~ x", y=at.survey["x"].abs(), family="poisson"),
            DataError,
        ),
        (
            "counts below zero",
            lambda at: at.model("count ~ x", count=at.survey["count"] - 9, family="poisson"),
            DataError,
        ),
        (
            "texts without an order under cumulative",
            lambda at: at.model("trust ~ x", family="cumulative"),
            DataError,
        ),
        (
            "an outcome with one level under categorical",
            lambda at: at.model("trust ~ x", trust="low", family="categorical"),
            DataError,
        ),
        (
            "an outcome of complex numbers",
            lambda at: at.model(y=at.survey["y"].astype(complex)),
            DataError,
        ),
        (
            "a predictor that does not vary",
            lambda at: at.model(x=1.0),
            DataError,
        ),
        ("a factor with one level", lambda at: at.model(g="a"), DataError),
        (
            "a predictor that is a sum of others",
            lambda at: at.model(
                "y ~ x + z + w", z=at.survey["y"], w=at.survey["x"] + at.survey["y"]
            ),
            None,
        ),
        ("a predictor of objects", lambda at: at.model(x=[{"a": 1}] * len(at.survey)), DataError),
        ("a predictor of lists", lambda at: at.model(x=[[1]] * len(at.survey)), DataError),
        (
            "a predictor of bytes",
            lambda at: at.model(g=at.survey["g"].str.encode("ascii")),
            DataError,
        ),
        (
            "a predictor of dates",
            lambda at: at.model(x=pd.Timestamp("2020-11-03")),
            DataError,
        ),
        (
            "numbers and text in one predictor",
            lambda at: at.model(g=first(at.survey["g"].astype(object), 1)),
            DataError,
        ),
        (
            "levels that differ only by case",
            lambda at: at.model(g=first(at.survey["g"], "A")),
            FrameWarning,
        ),
        (
            "levels that differ only by a blank at the end",
            lambda at: at.model(state=first(at.survey["state"], "AL ")),
            FrameWarning,
        ),
        (
            "levels that differ only by Unicode normalisation",
            lambda at: at.model(
                g=first(first(at.survey["g"], "e\u0301").iloc[::-1], "\xe9").iloc[::-1]
            ),
            FrameWarning,
        ),
        (
            "levels 1 and '1' in one column",
            lambda at: at.model(g=pd.Series([1, "1"] * (len(at.survey) // 2), dtype=object)),
            DataError,
        ),
        (
            "levels that join to the same group",
            lambda at: at.model("y ~ x + (1 | g:h)", g=["a:b", "a"] * 40, h=["c", "b:c"] * 40),
            DataError,
        ),
        ("a level with NUL", lambda at: at.model(g=first(at.survey["g"], "a\0")), DataError),
        (
            "a level with half a surrogate pair",
            lambda at: at.model(g=first(at.survey["g"], "\ud800")),
            DataError,
        ),
        (
            "a level of 100,000 characters",
            lambda at: at.model(g=first(at.survey["g"], "a" * 100_000)),
            None,
        ),
        (
            "two columns of one name",
            lambda at: mrp.Model(
                "y ~ x", pd.concat([at.survey, at.survey[["x"]]], axis=1), family="gaussian"
            ),
            DataError,
        ),
        ("a column that is not there", lambda at: at.model("y ~ x + agee"), DataError),
        ("a column in the index", _of(lambda survey: survey.set_index("x")), DataError),
        ("no rows", _of(lambda survey: survey.iloc[:0]), DataError),
        ("one row", _of(lambda survey: survey.iloc[:1]), DataError),
        ("a dictionary in place of a table", _of(lambda survey: survey.to_dict("list")), DataError),
        (
            "an array in place of a table",
            _of(lambda survey: survey[["y", "x"]].to_numpy()),
            DataError,
        ),
        ("a file name in place of a table", _of(lambda _: "survey.csv"), DataError),
        ("None in place of a table", _of(lambda _: None), DataError),
        (
            "a polars column of missing values",
            _of(lambda survey: pl.from_pandas(survey).with_columns(x=pl.lit(None, dtype=float))),
            DataError,
        ),
        (
            "numbers of 8 bits whose square overflows",
            lambda at: _square_of_bytes(at),
            None,
        ),
        (
            "a column named as a parameter",
            lambda at: at.model("y ~ sigma", sigma=at.survey["x"]),
            FormulaError,
        ),
        (
            "a column named as the dim of draws",
            lambda at: at.model("y ~ draw", draw=at.survey["x"]),
            FormulaError,
        ),
        (
            "unused columns that no file can hold",
            lambda at: _saved_and_loaded(at, "odd", [object()] * len(at.survey)),
            FrameWarning,
        ),
        (
            "an unused column with half a surrogate pair",
            lambda at: _saved_and_loaded(at, "odd", pd.Series(["\udcff"] * 80, dtype=object)),
            FrameWarning,
        ),
        (
            "an index of periods",
            lambda at: _indexed(at, pd.period_range("2020", periods=len(at.survey), freq="D")),
            None,
        ),
        (
            "dates as levels",
            lambda at: _saved_and_loaded(
                at, "g", pd.Categorical([datetime.date(2020, 1, 1 + k % 3) for k in range(80)])
            ),
            None,
        ),
        (
            "intervals as levels",
            lambda at: _saved_and_loaded(at, "g", pd.cut(at.survey["x"], 3)),
            None,
        ),
        (
            "levels given for a column that the formula does not use",
            lambda at: at.model(levels={"year": [2016, 2020]}),
            RequestError,
        ),
        (
            "levels given that lack one of the survey's",
            lambda at: at.model(levels={"g": ["a", "b"]}),
            RequestError,
        ),
        (
            "a survey that is edited after the model was made",
            lambda at: _edited(at),
            None,
        ),
    ]
]


def _square_of_bytes(at: Place) -> str:
    ages = np.random.default_rng(1).integers(18, 90, len(at.survey))
    narrow = at.model("y ~ I(x**2)", x=ages.astype(np.int8))
    wide = at.model("y ~ I(x**2)", x=ages.astype(float))
    rows = [m.design.rows(m.survey).population() for m in (narrow, wide)]
    np.testing.assert_array_equal(*rows)
    return "computed in 64 bits"


def _indexed(at: Place, index: pd.Index) -> str:
    fit = fake(mrp.Model("y ~ x", at.survey.set_index(index), family="gaussian"))
    fit.save(at.folder / "fit.nc")
    assert mrp.load_fit(at.folder / "fit.nc").fingerprint == fit.fingerprint
    return "kept with the fit"


def _edited(at: Place) -> str:
    survey = at.survey.copy()
    model = mrp.Model("y ~ x", survey, family="gaussian")
    before = mrp.avg_predictions(fake(model)).to_frame()
    survey.loc[:, "x"] = 99.0
    pd.testing.assert_frame_equal(mrp.avg_predictions(fake(model)).to_frame(), before)
    return "the model keeps a copy"
