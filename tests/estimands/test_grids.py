"""`datagrid`: what is asked for, and what is typical for the rest."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mrp
from mrp.errors import DataError, RequestError
from mrp.estimands import grids
from mrp.estimands.grids import newdata_of, typical
from mrp.testing import fake_fit
from tests.cases import AGE, EDUCATION, STATES, SURVEY
from tests.loops import records
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


def test_the_centre_of_numbers_may_be_another_one():
    assert typical(pd.Series([1, 2, 6]), np.median) == 2.0
    assert typical(pd.Series([1, 2, 6], dtype="Int64"), np.max) == 6.0
    assert typical(pd.Series([0, 1, 1]), np.median) == 1
    assert typical(pd.Series([1, 2, 2, 9]), np.max, as_levels=True) == 2
    assert typical(pd.Series(["b", "a", "b"]), np.median) == "b"


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


def test_value_asked_for_twice_counts_once():
    assert mrp.datagrid(fit(), state=["TX", "AL", "TX"])["state"].tolist() == ["TX", "AL"]


def test_column_of_any_name_may_be_asked_for():
    survey = SURVEY.assign(fit=SURVEY["x"], values=SURVEY["state"])
    fitted = fake_fit("y ~ fit + (1 | values)", survey, family="bernoulli", draws=2)
    assert records(mrp.datagrid(fitted, fit=0.5, values="AL")) == [{"fit": 0.5, "values": "AL"}]


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


# --- balanced grids -------------------------------------------------------------------------------


def crossing(values, groups=()):
    """All combinations, the first column slowest, whose groups are among those of the survey.

    A group is given by its columns.
    """
    seen = {columns: set(SURVEY[list(columns)].itertuples(index=False)) for columns in groups}
    rows = (dict(zip(values, row, strict=True)) for row in itertools.product(*values.values()))
    return [
        row
        for row in rows
        if all(tuple(row[name] for name in columns) in seen[columns] for columns in groups)
    ]


LEVELS = {
    "age": AGE,
    "education": EDUCATION,
    "gender": ["Man", "Woman"],
    "state": list(STATES),
    "region": ["north", "south"],
    "district": [1, 2, 3],
}


def test_balanced_grid_has_all_levels_and_the_mean_or_mode_of_numbers():
    grid = mrp.datagrid(fit(), grid_type="balanced")
    values = {name: LEVELS.get(name) for name in fit().design.columns}
    values |= {"military": [mode("military")], "x": [SURVEY["x"].mean()]}
    assert records(grid) == crossing(values)
    assert grid["age"].dtype == SURVEY["age"].dtype


def test_balanced_grid_keeps_the_values_asked_for():
    asked = {"x": [-1.0, 2.0], "state": ["VT", "AL"], "score": [3.5]}
    grid = mrp.datagrid(fit(), grid_type="balanced", **asked)
    rest = [name for name in fit().design.columns if name not in asked]
    values = asked | {name: LEVELS.get(name) for name in rest} | {"military": [mode("military")]}
    assert records(grid) == crossing(values)


def test_text_and_truth_values_inside_calls_take_all_their_values_in_a_balanced_grid():
    survey = SURVEY.assign(veteran=SURVEY["military"] == 1)
    formula = "y ~ I(gender == 'Woman') + I(1 - veteran) + I(x * 2)"
    fitted = fake_fit(formula, survey, family="bernoulli", draws=2)
    grid = mrp.datagrid(fitted, grid_type="balanced")
    values = {"gender": ["Man", "Woman"], "veteran": [False, True], "x": [SURVEY["x"].mean()]}
    assert records(grid[list(values)]) == crossing(values)


def test_number_that_is_cut_into_levels_stays_at_its_mode_in_a_balanced_grid():
    fitted = fake_fit("y ~ C(np.sign(x - 1))", SURVEY, family="bernoulli", draws=2)
    grid = mrp.datagrid(fitted, grid_type="balanced")
    assert records(grid) == [{"x": mode("x")}]


def test_balanced_grid_of_an_intercept_has_one_row_and_no_column():
    fitted = fake_fit("score ~ 1", SURVEY, family="gaussian", draws=2)
    assert mrp.datagrid(fitted, grid_type="balanced").shape == (1, 0)


NESTED = "y ~ age + (1 | region / state) + (1 | state:district) + (1 | age:gender)"
GROUPS = [("region", "state"), ("state", "district"), ("age", "gender")]


@cache
def nested_fit():
    return fake_fit(NESTED, SURVEY, family="bernoulli", draws=2)


def test_balanced_grid_has_only_groups_that_the_survey_has():
    grid = mrp.datagrid(nested_fit(), grid_type="balanced")
    values = {name: LEVELS[name] for name in nested_fit().design.columns}
    assert records(grid) == crossing(values, GROUPS)
    assert len(mrp.predictions(nested_fit(), newdata=grid)) == len(grid)


@settings(deadline=None, max_examples=50)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.lists(st.sampled_from(levels), min_size=1, unique=True)
            for name, levels in LEVELS.items()
        },
    )
)
def test_balanced_grid_has_the_groups_that_go_with_the_values_asked_for(asked):
    columns = nested_fit().design.columns
    values = asked | {name: LEVELS[name] for name in columns if name not in asked}
    linked = [group for group in GROUPS if not set(group) <= set(asked)]
    expected = crossing(values, linked)
    wanted = {tuple(row[name] for name in asked) for row in crossing(asked)}
    if wanted <= {tuple(row[name] for name in asked) for row in expected}:
        assert records(mrp.datagrid(nested_fit(), grid_type="balanced", **asked)) == expected
    else:
        with pytest.raises(RequestError, match="must be given values that the survey's groups"):
            mrp.datagrid(nested_fit(), grid_type="balanced", **asked)


def test_groups_of_crossed_factors_need_not_be_seen_in_one_respondent():
    pairs = [("AL", "young", "Man"), ("AL", "old", "Woman"), ("CA", "old", "Man")]
    survey = pd.DataFrame(pairs, columns=["state", "age", "gender"]).assign(y=[0, 1, 1])
    formula = "y ~ 1 + (1 | state:age) + (1 | age:gender)"
    grid = mrp.datagrid(fake_fit(formula, survey, family="bernoulli"), grid_type="balanced")
    assert list(grid.itertuples(index=False, name=None)) == [
        ("AL", "old", "Man"),
        ("AL", "old", "Woman"),
        ("AL", "young", "Man"),
        ("CA", "old", "Man"),
        ("CA", "old", "Woman"),
    ]


def test_new_groups_are_made_of_values_that_are_all_given():
    asked = {"region": "north", "state": ["NY", "Guam"], "district": 9, "age": "old"}
    grid = mrp.datagrid(nested_fit(), grid_type="balanced", **asked)
    assert grid["state"].tolist() == ["NY", "NY", "Guam", "Guam"]
    assert grid["gender"].tolist() == ["Man", "Woman"] * 2


# --- counterfactual grids -------------------------------------------------------------------------


def test_counterfactual_grid_repeats_the_survey_for_each_combination():
    survey = SURVEY.set_index(np.arange(len(SURVEY))[::-1])
    grid = mrp.datagrid(
        replace(fit(), survey=survey),
        grid_type="counterfactual",
        gender=["Woman", "Man"],
        x=lambda x: [x.max(), 0.0],
    )
    expected = [
        {"rowidcf": k, **person, "gender": gender, "x": x}
        for gender in ["Woman", "Man"]
        for x in [SURVEY["x"].max(), 0.0]
        for k, person in enumerate(records(SURVEY))
    ]
    assert records(grid) == expected
    assert grid.columns.tolist() == ["rowidcf", *SURVEY.columns]
    assert grid.index.tolist() == list(range(len(expected)))
    assert (grid.dtypes[SURVEY.columns] == SURVEY.dtypes).all()


def test_counterfactual_grid_without_values_is_the_survey():
    grid = mrp.datagrid(fit(), grid_type="counterfactual")
    pd.testing.assert_frame_equal(grid.drop(columns="rowidcf"), SURVEY)


def test_mean_over_a_counterfactual_grid_is_the_mean_over_changed_surveys():
    grid = mrp.datagrid(fit(), grid_type="counterfactual", military=[0, 1])
    found = mrp.avg_predictions(fit(), newdata=grid, by="military").draws.values
    for k in (0, 1):
        changed = SURVEY.assign(military=k)
        expected = mrp.avg_predictions(fit(), newdata=changed).draws.values
        np.testing.assert_allclose(found[:, :, [k]], expected, rtol=1e-12)


# --- grids that verbs name ------------------------------------------------------------------------


def test_verbs_name_grids():
    for name, grid_type in {"mean": "mean_or_mode", "balanced": "balanced"}.items():
        expected = mrp.datagrid(fit(), grid_type=grid_type)
        pd.testing.assert_frame_equal(newdata_of(fit(), name), expected)
    expected = mrp.datagrid(fit(), x=np.median)[list(fit().design.columns)]
    pd.testing.assert_frame_equal(newdata_of(fit(), "median"), expected)


@pytest.mark.parametrize("table", [None, SURVEY, SURVEY.to_dict("list")])
def test_what_is_no_name_of_a_grid_is_passed_on(table):
    assert newdata_of(fit(), table) is table


def test_unknown_name_of_a_grid_is_refused_with_the_closest_one():
    message = (
        "`newdata` must be a table or the name of a grid, got 'medain'. Available: ['mean', "
        "'median', 'balanced']. Did you mean 'median'?"
    )
    with raises(RequestError, message):
        newdata_of(fit(), "medain")


@pytest.mark.parametrize(("name", "argument"), [("median", "newdata"), ("mean", "datagrid")])
def test_no_grid_without_the_survey(name, argument):
    message = (
        f"`{argument}` can't tell what is typical, as this fit was saved without its survey. Make "
        "the table yourself, or save the fit with include_survey=True."
    )
    with raises(DataError, message):
        newdata_of(replace(fit(), survey=None), name)


# --- what is refused ------------------------------------------------------------------------------


def test_unknown_type_of_grid_is_refused_with_the_closest_one():
    message = (
        "`grid_type` must be a type of grid, got 'balance'. Available: ['mean_or_mode', "
        "'balanced', 'counterfactual']. Did you mean 'balanced'?"
    )
    with raises(RequestError, message):
        mrp.datagrid(fit(), grid_type="balance")


def test_column_called_grid_type_must_be_renamed():
    fitted = replace(fit(), survey=SURVEY.assign(grid_type="a"))
    message = (
        "`grid_type` must be a type of grid, got ['a', 'b']. Available: ['mean_or_mode', "
        "'balanced', 'counterfactual']. The survey's column of this name must be renamed to be "
        "given values."
    )
    with raises(RequestError, message):
        mrp.datagrid(fitted, grid_type=["a", "b"])


def test_column_called_rowidcf_must_be_renamed():
    fitted = replace(fit(), survey=SURVEY.assign(rowidcf=1))
    message = (
        "`grid_type` 'counterfactual' writes a column 'rowidcf', got a survey that has one. "
        "Rename it."
    )
    with raises(RequestError, message):
        mrp.datagrid(fitted, grid_type="counterfactual")


@pytest.mark.parametrize(
    ("grid_type", "said"),
    [
        ("mean_or_mode", "12,000,000: 4,000 of 'x' x 3,000 of 'military'"),
        (
            "balanced",
            "3,240,000,000: 4,000 of 'x' x 3,000 of 'military' x 3 of 'age' x 3 of 'education' x "
            "2 of 'gender' x 3 of 'district' x 5 of 'state'",
        ),
        ("counterfactual", "1,080,000,000: 4,000 of 'x' x 3,000 of 'military' x 90 of 'rowidcf'"),
    ],
)
def test_grid_too_long_is_refused_with_its_sizes_before_it_is_made(grid_type, said):
    message = (
        f"`datagrid` must make 10,000,000 rows or fewer, got {said}. Give fewer values, or give "
        "columns that take all their levels one value."
    )
    with raises(RequestError, message):
        mrp.datagrid(fit(), grid_type=grid_type, x=range(4000), military=range(3000))


def test_too_many_combinations_of_groups_are_refused_before_they_are_made(monkeypatch):
    formula = "y ~ 1 + (1 | gender:state) + (1 | gender:education)"
    crossed = fake_fit(formula, SURVEY, family="bernoulli", draws=2)
    assert len(mrp.datagrid(crossed, grid_type="balanced")) == 30
    monkeypatch.setattr(grids, "MOST_ROWS", 29)
    message = (
        "`datagrid` must make 29 rows or fewer, got 30: combinations of ['gender', 'education', "
        "'state']. Give fewer values, or give columns that take all their levels one value."
    )
    with raises(RequestError, message):
        mrp.datagrid(crossed, grid_type="balanced")


def test_values_that_no_group_has_are_refused():
    message = (
        "`datagrid` must be given values that the survey's groups have, got state=Guam, "
        "district=1: grid_type='balanced' takes the groups of ['region:state', 'age:gender'] from "
        "the survey. Give values of all these columns to make new groups."
    )
    with raises(RequestError, message):
        mrp.datagrid(nested_fit(), grid_type="balanced", state=["CA", "Guam"], district=1)


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
    message = "`datagrid` must give 'state' at least one value, got none."
    with raises(RequestError, message):
        mrp.datagrid(fit(), age="old", state=[])


def test_text_for_a_number_is_refused():
    message = (
        "`datagrid` must give 'x', which is a number, finite numbers, got 'a'. Write numbers "
        "without quotes."
    )
    with raises(RequestError, message):
        mrp.datagrid(fit(), x="a")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("FUN_numeric", "Give columns a function: datagrid(fit, x=np.median)."),
        ("newdata", "Its rows are the survey's; make other tables yourself."),
        ("model", "The fit comes first: datagrid(fit, …)."),
        ("by", "It is an argument of the verbs."),
    ],
)
def test_arguments_of_other_grids_are_told_in_our_words(word, said):
    message = (
        f"`datagrid` must be given columns of the survey, got {word!r}. Available: ['age', "
        f"'education', 'gender', 'military', 'x', 'exposure', 'state', 'region', … 6 more]. {said}"
    )
    with raises(RequestError, message):
        mrp.datagrid(fit(), **{word: 1})


def test_file_for_newdata_is_told_how_to_be_read():
    message = (
        "`newdata` must be a table or the name of a grid, got 'frame.csv'. Available: ['mean', "
        "'median', 'balanced']. Read files with pandas.read_csv or read_parquet."
    )
    with raises(RequestError, message):
        newdata_of(fit(), "frame.csv")
