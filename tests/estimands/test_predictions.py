"""Predictions at other values of variables, and averages by columns and tables: plain loops."""

from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mrp
from mrp.errors import RequestError
from mrp.testing import fake_fit
from tests import loops
from tests.cases import AGE, CASES, EDUCATION, FRAME, STATES, SURVEY, fit_of
from tests.draws import (
    CLOSE,
    ROWS,
    TYPES,
    WEIGHTS,
    as_dict,
    assert_same,
    groups_of,
    looped,
    matrix,
)
from tests.messages import raises

XS = SURVEY["x"].tolist()
FIVE = [loops.quantile(XS, p) for p in (0, 0.25, 0.5, 0.75, 1)]
REGIONS = pd.DataFrame({"state": list(STATES), "by": list(STATES.values())})

REQUESTS = {
    "one categorical: all its levels": ("correlated slopes, logit", "age", {"age": AGE}),
    "levels that no respondent has are left out": (
        "correlated slopes, logit",
        "education",
        {"education": EDUCATION},
    ),
    "a number that is 0 or 1: both": ("correlated slopes, logit", "military", {"military": [0, 1]}),
    "another number: five": ("crossed factors and interaction, probit", "x", {"x": FIVE}),
    "several": (
        "nested factors, no intercept, cloglog",
        ["x", "gender"],
        {"x": FIVE, "gender": ["Man", "Woman"]},
    ),
    "a mapping, with and without values": (
        "categorical slopes, binomial",
        {"age": None, "x": [0, 1.5]},
        {"age": AGE, "x": [0, 1.5]},
    ),
    "one value": ("offsets and independent slopes, poisson", {"x": -1}, {"x": [-1]}),
    "a function of the survey's column": (
        "transforms and two brackets, gaussian",
        {"x": lambda x: [x.min(), x.mean()]},
        {"x": [min(XS), sum(XS) / len(XS)]},
    ),
    "numbers taken as levels": (
        "transforms and two brackets, gaussian",
        "district",
        {"district": [1, 2, 3]},
    ),
    "groups": (
        "slopes without intercept, negative binomial",
        {"state": ["VT", "AL"], "gender": "Woman"},
        {"state": ["VT", "AL"], "gender": ["Woman"]},
    ),
    "three at once": (
        "interaction without main effect, identity",
        {"age": ["old", "young"], "x": [0, 1, 2]},
        {"age": ["old", "young"], "x": [0, 1, 2]},
    ),
}
EACH = pytest.mark.parametrize("request_", REQUESTS)


@cache
def fit():
    return fake_fit("y ~ age + x + gender + (1 | state)", SURVEY, family="bernoulli", draws=4)


def looped_at(name, setting, type="response"):
    """Predictions of the rows with some values replaced."""
    return looped(name, type, [{**row, **setting} for row in ROWS])


# --- other values of variables --------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("type", TYPES)
def test_rows_are_predicted_once_for_each_combination(request_, type):
    name, variables, values = REQUESTS[request_]
    found = mrp.predictions(fit_of(name), variables=variables, newdata=FRAME, type=type)
    settings = loops.settings(values)
    expected = [draws for setting in settings for draws in looped_at(name, setting, type)]
    np.testing.assert_allclose(matrix(found), expected, **CLOSE)
    assert found.labels["rowid"].tolist() == list(range(len(FRAME))) * len(settings)
    for column in values:
        written = found.labels[column].tolist()
        assert written == pytest.approx([s[column] for s in settings for _ in ROWS])


@EACH
def test_averages_are_made_for_each_combination_and_group(request_):
    name, variables, values = REQUESTS[request_]
    found = mrp.avg_predictions(
        fit_of(name), variables=variables, newdata=FRAME, by="region", wts="n"
    )
    expected = []
    for setting in loops.settings(values):
        averages = loops.averages(looped_at(name, setting), WEIGHTS, groups_of(["region"]))
        expected += [averages["north",], averages["south",]]
    np.testing.assert_allclose(matrix(found), expected, **CLOSE)
    assert found.labels.columns.tolist() == [*values, "region"]
    assert found.labels["region"].tolist() == ["north", "south"] * len(loops.settings(values))


@EACH
def test_averages_without_groups_are_labelled_by_the_variables(request_):
    name, variables, values = REQUESTS[request_]
    found = mrp.avg_predictions(fit_of(name), variables=variables, newdata=FRAME, wts="n")
    assert found.labels.columns.tolist() == list(values)
    expected = [
        loops.averages(looped_at(name, setting), WEIGHTS, [0] * len(ROWS))[0]
        for setting in loops.settings(values)
    ]
    np.testing.assert_allclose(matrix(found), expected, **CLOSE)


@pytest.mark.parametrize("by", ["age", ["age"], ["gender", "age"], ("age", "gender")])
def test_groups_by_a_changed_variable_are_its_values(by):
    found = mrp.avg_predictions(fit(), variables="age", newdata=FRAME, by=by, wts="n")
    rest = [name for name in by if name != "age"] if by != "age" else []
    expected = mrp.avg_predictions(fit(), variables="age", newdata=FRAME, by=rest, wts="n")
    np.testing.assert_array_equal(matrix(found), matrix(expected))
    pd.testing.assert_frame_equal(found.labels, expected.labels)


def test_predictions_with_by_and_variables_are_averages():
    options = {"variables": ["age", "x"], "newdata": FRAME, "by": "state", "wts": "n"}
    rows, averages = mrp.predictions(fit(), **options), mrp.avg_predictions(fit(), **options)
    np.testing.assert_array_equal(matrix(rows), matrix(averages))
    pd.testing.assert_frame_equal(rows.labels, averages.labels)


def test_variable_keeps_its_place_among_the_labels():
    found = mrp.predictions(fit(), variables={"gender": ["Man"]}, newdata=FRAME)
    assert found.labels.columns.tolist() == ["rowid", *FRAME.columns]
    assert set(found.labels["gender"]) == {"Man"}


def test_group_that_a_variable_is_set_to_may_be_new():
    options = {"new_levels": "gaussian", "seed": 2, "newdata": FRAME}
    found = mrp.avg_predictions(fit(), variables={"state": ["AL", "Quebec"]}, **options)
    expected = mrp.avg_predictions(fit(), **(options | {"newdata": FRAME.assign(state="Quebec")}))
    np.testing.assert_allclose(matrix(found)[1], matrix(expected)[0], **CLOSE)


def test_new_groups_of_rows_that_are_set_to_others_are_no_error():
    data = FRAME.assign(state="Quebec")
    found = mrp.avg_predictions(fit(), variables={"state": "AL"}, newdata=data)
    expected = mrp.avg_predictions(fit(), newdata=FRAME.assign(state="AL"))
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)


@given(data=st.data())
def test_average_at_a_value_is_the_average_of_a_frame_that_has_it(data):
    age = data.draw(st.sampled_from(AGE))
    x = data.draw(st.floats(-5, 5))
    found = mrp.avg_predictions(
        fit(), variables={"age": age, "x": x}, newdata=FRAME, by="state", wts="n"
    )
    expected = mrp.avg_predictions(fit(), newdata=FRAME.assign(age=age, x=x), by="state", wts="n")
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)


# --- groups that a table makes --------------------------------------------------------------------


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("name", CASES)
def test_averages_by_a_table_equal_a_plain_loop(name, type):
    found = mrp.avg_predictions(fit_of(name), newdata=FRAME, by=REGIONS, wts="n", type=type)
    groups = [(STATES[row["state"]],) for row in ROWS]
    assert_same(as_dict(found, ["by"]), loops.averages(looped(name, type), WEIGHTS, groups))
    assert found.labels["by"].tolist() == ["south", "north"]


def test_table_may_be_of_polars_and_of_several_columns():
    table = pl.DataFrame(
        [
            {"age": age, "gender": gender, "by": f"{gender[0]}{age == 'old'}"}
            for age in AGE
            for gender in ("Woman", "Man")
        ]
    )
    name = "correlated slopes, logit"
    found = mrp.predictions(fit_of(name), newdata=FRAME, by=table, wts="n")
    groups = [(f"{row['gender'][0]}{row['age'] == 'old'}",) for row in ROWS]
    assert_same(as_dict(found, ["by"]), loops.averages(looped(name), WEIGHTS, groups))
    assert found.labels["by"].tolist() == ["WFalse", "MFalse", "WTrue", "MTrue"]


def test_table_goes_with_variables_that_it_does_not_have():
    found = mrp.avg_predictions(fit(), variables="age", newdata=FRAME, by=REGIONS, wts="n")
    expected = mrp.avg_predictions(fit(), variables="age", newdata=FRAME, by="region", wts="n")
    assert found.labels.columns.tolist() == ["age", "by"]
    assert_same(as_dict(found, ["age", "by"]), as_dict(expected, ["age", "region"]))


def test_table_of_a_changed_variable_is_refused():
    table = pd.DataFrame({"age": AGE, "by": ["a", "a", "b"]})
    message = (
        "`by`, as a table, must not have columns that `variables` changes, got ['age']. Leave them "
        "out: each of their values has its own estimate."
    )
    with raises(RequestError, message):
        mrp.avg_predictions(fit(), variables=["age", "gender"], newdata=FRAME, by=table)


def test_predict_of_a_fit_is_predictions():
    fit = fit_of("correlated slopes, logit")
    options = {"kind": "predictive", "seed": 3}
    for found, expected in (
        (fit.predict(FRAME, **options), mrp.predictions(fit, newdata=FRAME, **options)),
        (fit.predict(), mrp.predictions(fit)),
    ):
        pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame())
