"""Bad frames and grids."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

import mrp
from mrp.errors import DataError, FrameWarning, RequestError
from tests.reliability.cases import Case, Place, fake, first, same

CASES = [
    Case("frame", what, does, comes)
    for what, does, comes in [
        ("a column is missing", lambda at: at.poststratify(at.frame.drop(columns="g")), DataError),
        (
            "a column of groups is missing",
            lambda at: at.poststratify(at.frame.drop(columns="state"), by=None),
            DataError,
        ),
        ("a missing value", lambda at: at.estimates(x=first(at.frame["x"], np.nan)), DataError),
        ("an infinite value", lambda at: at.estimates(x=first(at.frame["x"], np.inf)), DataError),
        (
            "a level that the survey lacks",
            lambda at: at.estimates(g=first(at.frame["g"], "d")),
            DataError,
        ),
        (
            "a state that the survey lacks",
            lambda at: at.estimates(state=first(at.frame["state"], "HI")),
            DataError,
        ),
        (
            "a state that the survey lacks, drawn anew",
            lambda at: at.poststratify(
                at.frame.assign(state=first(at.frame["state"], "HI")),
                new_levels={"state": ["HI"]},
            ).shape[0],
            None,
        ),
        (
            "all states unknown, drawn by one word",
            lambda at: at.poststratify(
                at.frame.assign(state=at.frame["state"].str.lower()), new_levels="gaussian"
            ),
            DataError,
        ),
        (
            "states in lower case",
            lambda at: at.estimates(state=at.frame["state"].str.lower()),
            DataError,
        ),
        (
            "states with a blank before",
            lambda at: at.estimates(state=" " + at.frame["state"]),
            DataError,
        ),
        ("numbers as text", lambda at: at.estimates(x=at.frame["x"].astype(str)), DataError),
        ("text as numbers", lambda at: at.estimates(g=1), DataError),
        ("weights below zero", lambda at: at.estimates(n=first(at.frame["n"], -1)), DataError),
        (
            "a missing weight",
            lambda at: at.estimates(n=first(at.frame["n"] * 1.0, np.nan)),
            DataError,
        ),
        (
            "an infinite weight",
            lambda at: at.estimates(n=first(at.frame["n"] * 1.0, np.inf)),
            DataError,
        ),
        ("weights of zero throughout", lambda at: at.estimates(n=0), DataError),
        (
            "weights of zero in one state",
            lambda at: at.estimates(n=at.frame["n"].where(at.frame["state"] != "AL", 0)),
            DataError,
        ),
        ("weights of text", lambda at: at.estimates(n=at.frame["n"].astype(str)), DataError),
        ("complex weights", lambda at: at.estimates(n=at.frame["n"].astype(complex)), DataError),
        ("too few weights", lambda at: at.poststratify(at.frame, wts=[1.0, 2.0]), RequestError),
        (
            "weights with another index",
            lambda at: at.poststratify(at.frame, wts=at.frame["n"].set_axis(at.frame.index + 7)),
            DataError,
        ),
        (
            "weights up to 1e308",
            lambda at: same(at, at.frame.assign(n=at.frame["n"] * 1e304)),
            None,
        ),
        (
            "weights down to 1e-300",
            lambda at: same(at, at.frame.assign(n=at.frame["n"] * 1e-300)),
            None,
        ),
        (
            "shares within states, averaged over the nation",
            lambda at: at.poststratify(
                at.frame.assign(n=at.frame["n"] / at.frame.groupby("state")["n"].transform("sum")),
                by=None,
            ),
            FrameWarning,
        ),
        (
            "a state of the survey has no cells",
            lambda at: at.poststratify(at.frame[at.frame["state"] != "AL"]),
            FrameWarning,
        ),
        ("no rows", lambda at: at.poststratify(at.frame.iloc[:0]), RequestError),
        (
            "cells in another order",
            lambda at: same(at, at.frame.sample(frac=1.0, random_state=1)),
            None,
        ),
        (
            "cells twice, with half of the weight",
            lambda at: same(at, pd.concat([at.frame, at.frame]).assign(n=lambda t: t["n"] / 2)),
            None,
        ),
        (
            "an index with one label for all rows",
            lambda at: same(at, at.frame.set_axis([0] * len(at.frame))),
            None,
        ),
        (
            "categoricals with the levels in another order",
            lambda at: same(
                at, at.frame.assign(g=pd.Categorical(at.frame["g"], ["c", "x", "b", "a"]))
            ),
            None,
        ),
        (
            "numbers of 32 bits",
            lambda at: same(at, at.frame.assign(x=at.frame["x"].astype("float32"))),
            None,
        ),
        ("a polars table", lambda at: same(at, pl.from_pandas(at.frame)), None),
        ("a lazy polars table", lambda at: same(at, pl.from_pandas(at.frame).lazy()), None),
        (
            "columns that nobody asked for, of any kind",
            lambda at: same(at, at.frame.assign(odd=[object()] * len(at.frame))),
            None,
        ),
        (
            "two columns of one name",
            lambda at: at.poststratify(pd.concat([at.frame, at.frame[["x"]]], axis=1)),
            DataError,
        ),
        (
            "a level with NUL in a column that `by` names",
            lambda at: at.poststratify(at.frame.assign(area="a\0"), by="area").shape[0],
            None,
        ),
        (
            "a missing area",
            lambda at: at.poststratify(
                at.frame.assign(area=first(at.frame["state"], None)), by="area"
            ),
            DataError,
        ),
        (
            "a table of areas that lacks a state",
            lambda at: at.poststratify(
                at.frame, by=pd.DataFrame({"state": ["AL"], "by": ["south"]})
            ),
            DataError,
        ),
        (
            "a table of areas that names a state twice",
            lambda at: at.poststratify(
                at.frame, by=pd.DataFrame({"state": ["AL", "AL"], "by": ["south", "north"]})
            ),
            (DataError, RequestError),
        ),
        (
            "a list of rows in place of a frame",
            lambda at: at.poststratify([{"state": "AL"}]),
            DataError,
        ),
        (
            "a grid with a level that the survey lacks",
            lambda at: mrp.datagrid(at.fit, g=["a", "d"]),
            DataError,
        ),
        (
            "a grid with a column that the model lacks",
            lambda at: mrp.datagrid(at.fit, age=30),
            RequestError,
        ),
        (
            "a grid beyond the memory",
            lambda at: mrp.datagrid(at.fit, x=np.arange(10**6), state=STATES_OFTEN),
            RequestError,
        ),
        (
            "new values with a missing one",
            lambda at: mrp.predictions(at.fit, newdata=at.frame.assign(x=np.nan)),
            DataError,
        ),
        (
            "a frame for a fit whose calls know other levels",
            lambda at: _levels_in_calls(at),
            DataError,
        ),
    ]
]
STATES_OFTEN = [f"S{k}" for k in range(10**4)]


def _levels_in_calls(at: Place) -> None:
    fit = fake(at.model("y ~ I(g == 'a') + x"))
    mrp.avg_predictions(fit, newdata=at.frame.assign(g="A"))
