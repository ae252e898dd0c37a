"""`datagrid`: what is asked for, and what is typical for the rest."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.errors import DataError, RequestError
from mrp.estimands.grids import typical
from mrp.testing import fake_fit
from tests.cases import AGE, EDUCATION, SURVEY
from tests.messages import raises

FORMULA = "y ~ age + education + gender + military + x + C(district) + (1 | state)"


@cache
def fit():
    return fake_fit(FORMULA, SURVEY, family="bernoulli", draws=3)


def mode(name):
    """The most frequent value; of several, the first in order."""
    counts = {value: int((SURVEY[name] == value).sum()) for value in set(SURVEY[name])}
    order = {"age": AGE, "education": EDUCATION}.get(name, sorted(counts))
    return min(
        (value for value in counts if counts[value] == max(counts.values())), key=order.index
    )


# --- typical values -------------------------------------------------------------------------------


def test_columns_that_are_not_named_are_at_their_mean_or_mode():
    grid = mrp.datagrid(fit())
    assert len(grid) == 1
    row = grid.iloc[0].to_dict()
    assert row.pop("x") == pytest.approx(sum(SURVEY["x"]) / len(SURVEY), abs=1e-12)
    names = ["age", "education", "gender", "military", "district", "state"]
    assert row == {name: mode(name) for name in names}


def test_all_columns_of_the_formula_and_no_others_are_there():
    grid = mrp.datagrid(fit(), state="AL")
    assert set(grid.columns) == set(fit().design.columns)
    assert "y" not in grid
    assert "region" not in grid


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 6], 3.0),
        ([0.5, 0.5, 0.5, 2.0, 4.0], 1.5),
        ([0, 1, 1], 1),
        ([0.0, 0.0, 1.0], 0.0),
        ([7, 3, 3, 7], 3),
        ([5.5, 5.5], 5.5),
        ([True, False, True], True),
        (["b", "a", "b"], "b"),
        (["b", "a", "c"], "a"),
        (pd.Categorical(["b", "a", "c"], ["c", "a", "b"]), "c"),
        (pd.Categorical(["b", "a", "c", "a", "b"], ["d", "b", "a", "c"]), "b"),
        (pd.array([1, 2, 6], dtype="Int64"), 3.0),
        (pd.array([0, 1, 1], dtype="Int64"), 1),
    ],
)
def test_typical_is_the_mean_of_numbers_of_more_than_two_values_else_the_first_mode(
    values, expected
):
    assert typical(pd.Series(values)) == expected


def test_numbers_that_are_levels_are_at_their_mode():
    assert typical(pd.Series([1, 2, 2, 9]), as_levels=True) == 2
    survey = SURVEY.assign(district=SURVEY["district"] * 10)
    for formula in ("y ~ x + C(district)", "y ~ x + (1 | district)", "y ~ (x | state:district)"):
        grouped = fake_fit(formula, survey, family="bernoulli", draws=2)
        assert mrp.datagrid(grouped)["district"].item() == 10 * mode("district")


def test_predictions_of_a_grid_need_nothing_else():
    estimates = mrp.predictions(fit(), newdata=mrp.datagrid(fit(), age=AGE, x=[-1, 1.5]))
    assert len(estimates) == 6


# --- values asked for -----------------------------------------------------------------------------


def test_every_combination_comes_once_the_first_column_varying_slowest():
    grid = mrp.datagrid(fit(), state=["TX", "AL"], military=[1, 0], age="old")
    assert grid[["state", "military", "age"]].to_numpy().tolist() == [
        ["TX", 1, "old"],
        ["TX", 0, "old"],
        ["AL", 1, "old"],
        ["AL", 0, "old"],
    ]
    assert grid.columns[:3].tolist() == ["state", "military", "age"]


@pytest.mark.parametrize(
    "values",
    [
        ["CA", "AL"],
        ("CA", "AL"),
        np.array(["CA", "AL"]),
        pd.Series(["CA", "AL"]),
        pd.Index(["CA", "AL"]),
        pd.Categorical(["CA", "AL"]),
        iter(["CA", "AL"]),
        lambda column: column[column.isin(["CA", "AL"])].sort_values(ascending=False).unique(),
    ],
)
def test_values_may_come_in_any_container_or_from_a_function(values):
    assert mrp.datagrid(fit(), state=values)["state"].tolist() == ["CA", "AL"]


def test_functions_are_given_the_surveys_column():
    grid = mrp.datagrid(fit(), x=[SURVEY["x"].min(), SURVEY["x"].max()])
    by_functions = mrp.datagrid(fit(), x=lambda x: [min(x), max(x)])
    pd.testing.assert_frame_equal(by_functions, grid)
    assert mrp.datagrid(fit(), x=max)["x"].tolist() == [SURVEY["x"].max()]
    assert mrp.datagrid(fit(), x=np.median)["x"].tolist() == [np.median(SURVEY["x"])]
    states = mrp.datagrid(fit(), state=np.unique)["state"]
    assert states.tolist() == sorted(SURVEY["state"].unique())
    states = mrp.datagrid(fit(), state=pd.unique)["state"]
    assert states.tolist() == list(dict.fromkeys(SURVEY["state"]))


def test_text_is_one_value():
    assert mrp.datagrid(fit(), gender="Man")["gender"].tolist() == ["Man"]


def test_columns_of_the_survey_outside_the_formula_may_be_asked_for():
    assert mrp.datagrid(fit(), region=["north", "south"])["region"].tolist() == ["north", "south"]


def test_categories_are_kept_with_their_order():
    grid = mrp.datagrid(fit(), age=["old", "young"])
    assert grid["age"].dtype == SURVEY["age"].dtype
    assert grid["education"].dtype == SURVEY["education"].dtype
    assert grid["age"].tolist() == ["old", "young"]


def test_new_group_may_be_asked_for_and_is_drawn_when_it_is_predicted():
    grid = mrp.datagrid(fit(), state=["AL", "Guam"])
    found = mrp.predictions(fit(), newdata=grid, new_levels="gaussian", seed=1)
    assert found.labels["state"].tolist() == ["AL", "Guam"]


# --- what is refused ------------------------------------------------------------------------------


def test_unknown_column_is_named_with_the_closest_one():
    message = (
        "`datagrid` must be given columns of the survey, got 'sate'. Available: ['age', "
        "'education', 'gender', 'military', 'x', 'exposure', 'state', 'region', … 6 more]. Did "
        "you mean 'state'?"
    )
    with raises(RequestError, message):
        mrp.datagrid(fit(), sate="AL")


def test_unknown_level_is_named_with_the_closest_one():
    message = (
        "`datagrid` must have only levels of 'age' that the survey has, got ['yong'] in 2 rows. "
        "Available: ['young', 'middle', 'old']. Did you mean 'young'?"
    )
    with raises(DataError, message):
        mrp.datagrid(fit(), age="yong", gender=["Man", "Woman"])


def test_no_value_at_all_is_refused():
    message = "`datagrid` must get at least one value of 'state', got none."
    with raises(RequestError, message):
        mrp.datagrid(fit(), age="old", state=[])


def test_text_for_a_number_is_refused():
    message = (
        "`datagrid` must have a number in 'x', as the survey has, got type 'str' (first value "
        "'a'). Convert the column with `astype(float)`."
    )
    with raises(DataError, message):
        mrp.datagrid(fit(), x="a")
