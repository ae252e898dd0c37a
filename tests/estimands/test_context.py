"""What the verbs share: the rows asked about, labels, transforms, and what is refused."""

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from scipy import stats

import mrp
from mrp.errors import ArgumentError, DataError, RequestError
from mrp.testing import fake_fit
from tests.cases import FRAME, SURVEY, fit_of
from tests.draws import CLOSE, matrix
from tests.messages import raises

FORMULA = "y ~ age + x + gender + (1 + x + gender | state) + (1 | region)"
VERBS = [
    (mrp.predictions, {}),
    (mrp.avg_predictions, {"by": "state", "wts": "n"}),
    (mrp.comparisons, {"variables": ["age", "x"]}),
    (mrp.avg_comparisons, {"variables": "age", "by": "gender", "wts": "n"}),
    (mrp.slopes, {"variables": "x"}),
    (mrp.avg_slopes, {"variables": ["x", "age"], "by": "gender", "wts": "n"}),
]
EACH = pytest.mark.parametrize(("verb", "options"), VERBS)


@cache
def fit():
    return fake_fit(FORMULA, SURVEY, family="bernoulli", chains=2, draws=6)


# --- transforms -----------------------------------------------------------------------------------


@EACH
def test_transform_is_applied_to_the_draws_of_the_results(verb, options):
    plain = verb(fit(), newdata=FRAME, **options)
    found = verb(fit(), newdata=FRAME, transform=np.exp, **options)
    np.testing.assert_allclose(matrix(found), np.exp(matrix(plain)), **CLOSE)
    pd.testing.assert_frame_equal(found.labels, plain.labels)


@EACH
def test_estimates_of_a_transform_are_those_of_its_draws(verb, options):
    found = verb(fit(), newdata=FRAME, transform=np.square, **options)
    draws = matrix(verb(fit(), newdata=FRAME, **options)) ** 2
    table = found.to_frame()
    np.testing.assert_allclose(table["estimate"], draws.mean(axis=1), **CLOSE)
    np.testing.assert_allclose(table["conf_low"], np.quantile(draws, 0.025, axis=1), **CLOSE)


def test_averages_come_before_the_transform():
    rows = matrix(mrp.predictions(fit(), newdata=FRAME))
    found = mrp.poststratify(fit(), FRAME, wts="n", transform=np.log)
    expected = np.log(np.average(rows, axis=0, weights=FRAME["n"]))
    np.testing.assert_allclose(matrix(found)[0], expected, **CLOSE)


def test_transform_may_overwrite_what_it_is_given():
    def doubled(values):
        values *= 2
        return values

    plain = mrp.avg_predictions(fit(), newdata=FRAME, by="state")
    found = mrp.avg_predictions(fit(), newdata=FRAME, by="state", transform=doubled)
    np.testing.assert_allclose(matrix(found), 2 * matrix(plain), **CLOSE)


@EACH
@pytest.mark.parametrize(
    ("transform", "got"), [(np.mean, "()"), (lambda values: values[:1, :1], "(1, 1)")]
)
def test_transform_must_return_one_number_for_each(verb, options, transform, got):
    count = len(verb(fit(), newdata=FRAME, **options))
    message = (
        f"`transform` must return one number for each it is given, got shape {got} for ({count}, "
        f"12). Use a function such as np.exp."
    )
    with raises(RequestError, message):
        verb(fit(), newdata=FRAME, transform=transform, **options)


@pytest.mark.parametrize("transform", ["exp", 2])
@EACH
def test_transform_must_be_a_function(verb, options, transform):
    message = f"`transform` must be a function of an array, such as np.exp, got {transform!r}."
    with raises(RequestError, message):
        verb(fit(), newdata=FRAME, transform=transform, **options)


BEYOND_A_LINE = (
    "`transform` must return numbers, got truth values. It is given the draws of results, which "
    "are expectations or averages: the probability that one is beyond a line is "
    "`.probability('> 0.4')` of the result without `transform`. The share of people beyond a line "
    "takes outcomes that are drawn: predictions(…, kind='predictive').hypothesis(lambda y: "
    "np.average(y > 0.4, axis=0, weights=…))."
)


@EACH
@pytest.mark.parametrize(
    "transform",
    [
        lambda values: values > 0.4,
        lambda values: (values > 0.4).astype(object),
        lambda values: (values > 0.4).tolist(),
        np.isfinite,
    ],
)
def test_transform_must_not_return_truth_values(verb, options, transform):
    with raises(RequestError, BEYOND_A_LINE):
        verb(fit(), newdata=FRAME, transform=transform, **options)


@pytest.mark.parametrize("kind", ["expected", "predictive"])
def test_transform_of_any_kind_must_not_return_truth_values(kind):
    for verb in (mrp.predictions, mrp.avg_predictions):
        with raises(RequestError, BEYOND_A_LINE):
            verb(fit(), newdata=FRAME, transform=lambda y: y < 0.4, kind=kind)
    with raises(RequestError, BEYOND_A_LINE):
        mrp.poststratify(fit(), FRAME, wts="n", transform=lambda y: y < 0.4)


def test_share_of_people_beyond_a_line_is_a_hypothesis_on_outcomes_that_are_drawn():
    gaussian = fit_of("transforms and two brackets, gaussian")
    sigma = gaussian.parameters["Intercept"] * 0 + 2.0
    gaussian = dataclasses.replace(
        gaussian,
        draws=xr.DataTree.from_dict({"posterior": gaussian.parameters.assign(sigma=sigma)}),
    )
    cells = pd.concat([FRAME] * 60, ignore_index=True)
    weights = cells["n"].to_numpy()
    drawn = mrp.predictions(gaussian, newdata=cells, kind="predictive", seed=1)
    found = matrix(drawn.hypothesis(lambda y: np.average(y < 1.0, axis=0, weights=weights)))[0]
    means = matrix(mrp.predictions(gaussian, newdata=FRAME))
    expected = np.average(stats.norm.cdf(1.0, means, 2.0), axis=0, weights=FRAME["n"])
    share = weights / weights.sum()
    assert (np.abs(found - expected) < 4.5 * 0.5 * np.sqrt((share**2).sum())).all()
    average = matrix(mrp.poststratify(gaussian, FRAME, wts="n"))[0]
    assert set(average < 1.0) <= {True, False}  # which is another question


@EACH
def test_transform_must_not_return_complex_numbers(verb, options):
    message = (
        "`transform` must return real numbers, got complex ones. Return their `.real` or "
        "`np.abs()` of them, if that is meant."
    )
    with raises(RequestError, message):
        verb(fit(), newdata=FRAME, transform=lambda values: np.sqrt(values + 0j), **options)


def test_transform_must_return_numbers():
    message = "`transform` must return numbers, got type '<U4'."
    with raises(RequestError, message):
        mrp.avg_predictions(fit(), transform=lambda values: np.full(values.shape, "high"))


def test_transform_that_makes_nan_is_refused_with_counts():
    draws = matrix(mrp.predictions(fit(), newdata=FRAME))
    bad = draws < 0.5
    message = (
        f"`transform` must return a number for each draw, got NaN for {bad.sum()} of {bad.size} "
        f"draws ({bad.any(axis=1).sum()} of 56 rows). Look for logarithms and roots of what is "
        f"negative, and for 0 / 0."
    )
    with raises(RequestError, message):
        mrp.predictions(fit(), newdata=FRAME, transform=lambda y: np.where(y < 0.5, np.nan, y))


# --- rows -----------------------------------------------------------------------------------------


@EACH
def test_rows_may_be_the_name_of_a_grid(verb, options):
    options = {name: value for name, value in options.items() if name not in ("by", "wts")}
    found = verb(fit(), newdata="mean", **options)
    expected = verb(fit(), newdata=mrp.datagrid(fit()), **options)
    np.testing.assert_array_equal(matrix(found), matrix(expected))


@EACH
def test_rows_may_come_from_polars(verb, options):
    data = pl.DataFrame(FRAME.assign(age=FRAME["age"].astype(str)).to_dict("list"))
    found = verb(fit(), newdata=data, **options)
    expected = verb(fit(), newdata=FRAME.assign(age=FRAME["age"].astype(str)), **options)
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)


@pytest.mark.parametrize("name", ["mean", "frame.csv"])
def test_frame_is_no_name_of_a_grid(name):
    message = (
        "`frame` must be a table (pandas, polars or pyarrow), got str. Read files with "
        "pandas.read_csv or read_parquet."
    )
    with raises(DataError, message):
        mrp.poststratify(fit(), name, wts=None)


@EACH
@pytest.mark.parametrize("new_levels", ["gaussian", "uncertainty"])
def test_seed_makes_new_groups_repeatable(verb, options, new_levels):
    data = FRAME.assign(state="Quebec")
    options = {**options, "newdata": data, "new_levels": new_levels, "type": "link"}
    first, second, other, unseeded = (
        matrix(verb(fit(), seed=seed, **options)) for seed in (1, 1, 2, None)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert (first != unseeded).any()


# --- what is refused ------------------------------------------------------------------------------


def test_something_that_is_no_fit_is_refused():
    message = "`fit` must be a Fit, got str. Make one with model.sample() or mrp.load_fit()."
    for verb in (mrp.predictions, mrp.avg_predictions, mrp.comparisons, mrp.slopes):
        with raises(RequestError, message):
            verb("fit.nc")


def test_unknown_type_is_refused():
    message = (
        "`type` must be a scale of predictions, got 'respons'. Available: ['response', 'link']. "
        "Did you mean 'response'?"
    )
    with raises(RequestError, message):
        mrp.predictions(fit(), type="respons")


def test_unknown_new_levels_are_refused_even_where_no_group_is_new():
    message = (
        "`new_levels` must say how to draw new groups, got 'gauss'. Available: ['gaussian', "
        "'uncertainty', 'old_levels']. Did you mean 'gaussian'?"
    )
    with raises(RequestError, message):
        mrp.predictions(fit(), new_levels="gauss")


@pytest.mark.parametrize("seed", [-1, 1.5, "one", True])
def test_seed_that_is_no_whole_number_is_refused(seed):
    message = (
        f"`seed` must be a whole number, 0 or more, got {seed!r}. "
        f"Leave it out for other draws at each call."
    )
    with raises(RequestError, message):
        mrp.predictions(fit(), seed=seed)


def test_empty_data_is_refused_by_the_name_that_the_user_gave_it():
    message = "`{}` must have at least one row, got none. Check its filter."
    with raises(RequestError, message.format("newdata")):
        mrp.predictions(fit(), newdata=FRAME[:0])
    with raises(RequestError, message.format("frame")):
        mrp.poststratify(fit(), FRAME[:0], wts="n")


def test_rows_without_columns_do_for_a_formula_without_predictors():
    estimates = mrp.predictions(fit_of("intercept only"), newdata=pd.DataFrame(index=range(3)))
    assert len(estimates) == 3
    assert mrp.datagrid(fit_of("intercept only")).shape == (1, 0)


def test_frame_can_not_be_left_out():
    message = (
        "`frame` must be a table (pandas, polars or pyarrow), got NoneType. Read files with "
        "pandas.read_csv or read_parquet."
    )
    with raises(DataError, message):
        mrp.poststratify(fit(), None, wts="n")


def test_weights_of_a_frame_must_be_spoken_of():
    message = (
        "`poststratify` must be given 'wts', got ['fit', 'frame'] only. Name the frame's column of "
        "population counts, or say wts=None to count each cell once."
    )
    with raises(ArgumentError, message):
        mrp.poststratify(fit(), FRAME)


def test_variable_must_be_in_the_data_even_if_it_is_replaced():
    message = (
        "`newdata` must have every column that the formula uses, lacks ['gender']. Available: "
        "['age', 'x', 'state', 'region']."
    )
    data = FRAME[["age", "x", "state", "region"]]
    for verb in (mrp.comparisons, mrp.avg_comparisons):
        with raises(DataError, message):
            verb(fit(), variables="gender", newdata=data)


def test_step_of_a_variable_that_is_text_in_the_data_is_refused():
    message = (
        "`newdata` must have a number in 'x', as the survey has, got type 'str' (first value "
        "'2.5'). Convert the column with `astype(float)`."
    )
    data = FRAME.assign(x="2.5")[5:]
    with raises(DataError, message):
        mrp.comparisons(fit(), variables="x", newdata=data)


@pytest.mark.parametrize("name", ["estimate", "conf_high", "chain", "draw", "value", "probability"])
def test_groups_can_not_have_the_name_of_a_result(name):
    message = (
        f"`by` must not name columns that results are written to, got [{name!r}]. "
        "Give the data copies of them under other names, and name those."
    )
    data = FRAME.assign(**{name: FRAME["region"]})
    for by in (name, ["region", name]):
        with raises(RequestError, message):
            mrp.avg_predictions(fit(), newdata=data, by=by)


def test_crossed_contrasts_have_labels_of_their_own():
    data = FRAME.assign(contrast_age=FRAME["region"], term=FRAME["region"])
    options = {"variables": ["age", "gender"], "newdata": data, "cross": True}
    assert "term" in mrp.avg_comparisons(fit(), by="term", **options).labels
    message = (
        "`by` must not name columns that results are written to, got ['contrast_age']. "
        "Give the data copies of them under other names, and name those."
    )
    with raises(RequestError, message):
        mrp.avg_comparisons(fit(), by="contrast_age", **options)


def test_terms_and_contrasts_can_group_predictions_but_not_comparisons():
    data = FRAME.assign(term=FRAME["region"])
    assert mrp.avg_predictions(fit(), newdata=data, by="term").labels["term"].tolist() == [
        "north",
        "south",
    ]
    message = (
        "`by` must not name columns that results are written to, got ['term']. "
        "Give the data copies of them under other names, and name those."
    )
    with raises(RequestError, message):
        mrp.avg_comparisons(fit(), variables="x", newdata=data, by="term")
