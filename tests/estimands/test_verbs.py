"""The verbs: equal to plain loops, and the rules that they keep."""

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mrp
from mrp import prediction
from mrp.testing import fake_fit
from tests import loops
from tests.cases import AGE, CASES, FRAME, SURVEY, fit_of
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

# weights that are drawn may happen to sum to the same in each state
pytestmark = pytest.mark.filterwarnings("ignore:`wts` sum:mrp.errors.FrameWarning")

FORMULA = "y ~ age + x + gender + (1 + x + gender | state) + (1 | region)"

CONTRASTS = {
    "levels against the reference": (
        "correlated slopes, logit",
        "age",
        [("age", "middle - young", "young", "middle"), ("age", "old - young", "young", "old")],
    ),
    "a pair of levels, low first": (
        "correlated slopes, logit",
        {"age": ["old", "middle"]},
        [("age", "middle - old", "old", "middle")],
    ),
    "a number that is 0 or 1": (
        "transforms and two brackets, gaussian",
        "military",
        [("military", "1 - 0", 0, 1)],
    ),
    "a number, one step up": (
        "crossed factors and interaction, probit",
        "x",
        [("x", "+1", lambda x: x, lambda x: x + 1)],
    ),
    "a step down": (
        "offsets and independent slopes, poisson",
        {"x": -0.5},
        [("x", "-0.5", lambda x: x, lambda x: x - 0.5)],
    ),
    "a pair of numbers": (
        "nested factors, no intercept, cloglog",
        {"x": (0.5, 2)},
        [("x", "2 - 0.5", 0.5, 2)],
    ),
    "a variable inside an offset": (
        "offsets and independent slopes, poisson",
        {"exposure": [1, 2]},
        [("exposure", "2 - 1", 1, 2)],
    ),
    "groups": (
        "categorical slopes, binomial",
        {"state": ["TX", "AL"]},
        [("state", "AL - TX", "TX", "AL")],
    ),
    "numbers taken as levels": (
        "transforms and two brackets, gaussian",
        "district",
        [("district", "2 - 1", 1, 2), ("district", "3 - 1", 1, 3)],
    ),
    "several variables, in the order asked for": (
        "slopes without intercept, negative binomial",
        {"gender": "reference", "age": ["young", "old"]},
        [("gender", "Woman - Man", "Man", "Woman"), ("age", "old - young", "young", "old")],
    ),
}


@cache
def fit():
    return fake_fit(FORMULA, SURVEY, family="bernoulli", chains=2, draws=6)


def looped_contrasts(name, pairs, type):
    """For each pair, its labels and the differences row by row."""
    for term, label, lo, hi in pairs:
        to = [value if callable(value) else lambda _, v=value: v for value in (hi, lo)]
        sides = [looped(name, type, loops.changed(ROWS, term, change)) for change in to]
        yield (term, label), loops.differences(*sides)


# --- equal to plain loops -------------------------------------------------------------------------


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("name", CASES)
def test_predictions_equal_a_plain_loop(name, type):
    estimates = mrp.predictions(fit_of(name), newdata=FRAME, type=type)
    np.testing.assert_allclose(matrix(estimates), looped(name, type), **CLOSE)


@pytest.mark.parametrize("name", CASES)
def test_predictions_of_the_survey_are_the_default(name):
    estimates = mrp.predictions(fit_of(name))
    expected = looped(name, "response", loops.records(SURVEY))
    np.testing.assert_allclose(matrix(estimates), expected, **CLOSE)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("name", CASES)
def test_averages_by_several_columns_equal_a_plain_loop(name, type):
    by = ["region", "gender"]
    estimates = mrp.avg_predictions(fit_of(name), newdata=FRAME, by=by, wts="n", type=type)
    expected = loops.averages(looped(name, type), WEIGHTS, groups_of(by))
    assert_same(as_dict(estimates, by), expected)


@pytest.mark.parametrize("name", CASES)
def test_average_of_all_rows_without_weights_equals_a_plain_loop(name):
    estimates = mrp.avg_predictions(fit_of(name), newdata=FRAME)
    expected = loops.averages(looped(name, "response"), [1.0] * len(ROWS), ["all"] * len(ROWS))
    np.testing.assert_allclose(matrix(estimates), [expected["all"]], **CLOSE)


@pytest.mark.parametrize("name", CASES)
def test_poststratified_estimates_equal_a_plain_loop(name):
    estimates = mrp.poststratify(fit_of(name), FRAME, by="state", wts="n")
    expected = loops.averages(looped(name, "response"), WEIGHTS, groups_of(["state"]))
    assert_same(as_dict(estimates, ["state"]), expected)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("request_", CONTRASTS)
def test_comparisons_equal_a_plain_loop(request_, type):
    name, variables, pairs = CONTRASTS[request_]
    estimates = mrp.comparisons(fit_of(name), variables=variables, newdata=FRAME, type=type)
    expected = list(looped_contrasts(name, pairs, type))
    labels = [label for label, values in expected for _ in values]
    found = estimates.labels[["term", "contrast"]].itertuples(index=False, name=None)
    assert list(found) == labels
    np.testing.assert_allclose(
        matrix(estimates), [draws for _, values in expected for draws in values], **CLOSE
    )


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("request_", CONTRASTS)
def test_averaged_comparisons_equal_a_plain_loop(request_, type):
    name, variables, pairs = CONTRASTS[request_]
    by = ["gender", "region"]
    estimates = mrp.avg_comparisons(
        fit_of(name), variables=variables, newdata=FRAME, by=by, wts="n", type=type
    )
    expected = {}
    for label, values in looped_contrasts(name, pairs, type):
        averages = loops.averages(values, WEIGHTS, groups_of(by))
        expected |= {(*label, *group): draws for group, draws in averages.items()}
    assert_same(as_dict(estimates, ["term", "contrast", *by]), expected)


def test_response_is_the_inverse_link_of_the_link_scale():
    link = mrp.predictions(fit(), newdata=FRAME, type="link")
    response = mrp.predictions(fit(), newdata=FRAME)
    np.testing.assert_allclose(matrix(response), 1 / (1 + np.exp(-matrix(link))), **CLOSE)


# --- labels ---------------------------------------------------------------------------------------


def test_predictions_are_labelled_by_row_and_the_columns_of_the_data_in_their_order():
    estimates = mrp.predictions(fit(), newdata=FRAME)
    expected = FRAME.reset_index(drop=True).assign(rowid=range(len(FRAME)))
    pd.testing.assert_frame_equal(estimates.labels, expected[["rowid", *FRAME.columns]])


def test_comparisons_are_labelled_by_contrast_then_row():
    estimates = mrp.comparisons(fit(), variables="gender", newdata=FRAME)
    assert estimates.labels.columns[:3].tolist() == ["term", "contrast", "rowid"]
    assert estimates.labels["rowid"].tolist() == list(range(len(FRAME)))


def test_columns_with_the_name_of_a_result_are_no_labels():
    taken = ["rowid", "term", "contrast", "estimate", "conf_low", "chain", "draw", "probability"]
    data = FRAME.assign(**dict.fromkeys(taken, "a"))
    estimates = mrp.predictions(fit(), newdata=data)
    assert estimates.labels.columns.tolist() == ["rowid", *FRAME.columns]
    assert estimates.labels["rowid"].tolist() == list(range(len(FRAME)))


def test_groups_come_in_the_order_of_the_survey_s_levels():
    assert FRAME["age"].cat.categories.tolist() != AGE
    estimates = mrp.avg_predictions(fit(), newdata=FRAME, by=["age", "gender"])
    ages = estimates.labels["age"].astype(str).tolist()
    assert ages == [age for age in AGE for _ in range(2)]
    assert estimates.labels["gender"].tolist() == ["Man", "Woman"] * 3
    assert estimates.labels["age"].dtype == pd.CategoricalDtype(AGE, ordered=True)


def test_numbers_make_groups_in_rising_order():
    data = FRAME.assign(score=[2.5, -1.0, 10.0, 2.5] * (len(FRAME) // 4))
    estimates = mrp.avg_predictions(fit(), newdata=data, by="score")
    assert estimates.labels["score"].tolist() == [-1.0, 2.5, 10.0]


def test_without_by_there_is_one_estimate_and_no_label():
    estimates = mrp.avg_predictions(fit())
    assert estimates.labels.shape == (1, 0)
    assert estimates.names == ["b1"]


def test_about_says_how_estimates_were_made():
    about = mrp.poststratify(fit(), FRAME, by="state", wts="n", type="link").about
    assert about == {
        "verb": "poststratify",
        "quantity": "average y",
        "type": "link",
        "group": "posterior",
        "draws": fit().fingerprint,
    }
    about = mrp.avg_comparisons(fit(), variables="x").about
    assert about["quantity"] == "average difference in y"


# --- one verb in terms of another -----------------------------------------------------------------


@pytest.mark.parametrize("type", TYPES)
def test_predictions_with_by_are_averaged_predictions(type):
    options = {"newdata": FRAME, "by": ["region", "age"], "wts": "n", "type": type}
    rows, averages = mrp.predictions(fit(), **options), mrp.avg_predictions(fit(), **options)
    np.testing.assert_array_equal(matrix(rows), matrix(averages))
    pd.testing.assert_frame_equal(rows.labels, averages.labels)


@pytest.mark.parametrize("type", TYPES)
def test_comparisons_with_by_are_averaged_comparisons(type):
    options = {"variables": "age", "newdata": FRAME, "by": "region", "wts": "n", "type": type}
    rows, averages = mrp.comparisons(fit(), **options), mrp.avg_comparisons(fit(), **options)
    np.testing.assert_array_equal(matrix(rows), matrix(averages))
    pd.testing.assert_frame_equal(rows.labels, averages.labels)


def test_poststratified_estimates_are_averages_of_the_frame():
    by_verb = mrp.poststratify(fit(), FRAME, by="state", wts="n")
    averages = mrp.avg_predictions(fit(), newdata=FRAME, by="state", wts="n")
    np.testing.assert_array_equal(matrix(by_verb), matrix(averages))


def test_weights_may_be_a_column_or_numbers_in_any_container():
    expected = matrix(mrp.poststratify(fit(), FRAME, by="state", wts="n"))
    for weights in (WEIGHTS, tuple(WEIGHTS), np.array(WEIGHTS), FRAME["n"]):
        found = mrp.poststratify(fit(), FRAME, by="state", wts=weights)
        np.testing.assert_array_equal(matrix(found), expected)


def test_weights_of_none_count_each_cell_once():
    found = mrp.poststratify(fit(), FRAME, by="state", wts=None)
    expected = mrp.poststratify(fit(), FRAME, by="state", wts=[1.0] * len(FRAME))
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)


# --- properties, on any cells and weights ---------------------------------------------------------


@st.composite
def cells(draw, least=1, zero=True):
    """Rows of the frame, some twice, with weights that aren't all zero."""
    rows = draw(st.lists(st.integers(0, len(FRAME) - 1), min_size=least, max_size=12))
    smallest = 0.0 if zero else 1e-3
    weight = st.floats(smallest, 1e6).map(lambda w: w if w > 1e-6 else 0.0)
    weights = draw(st.lists(weight, min_size=len(rows), max_size=len(rows)))
    assume(sum(weights) > 0)
    return FRAME.iloc[rows].assign(n=weights)


def estimate(frame, **options):
    return matrix(mrp.avg_predictions(fit(), newdata=frame, wts="n", **options))


@given(frame=cells(), data=st.data())
def test_order_of_rows_does_not_matter(frame, data):
    order = data.draw(st.permutations(range(len(frame))))
    np.testing.assert_allclose(estimate(frame.iloc[order]), estimate(frame), **CLOSE)


@given(frame=cells(), data=st.data())
def test_order_of_draws_does_not_matter(frame, data):
    order = np.array(data.draw(st.permutations(range(6))))
    shuffled = dataclasses.replace(fit(), draws=fit().draws.isel(draw=order))
    found = mrp.avg_predictions(shuffled, newdata=frame, wts="n").draws
    expected = mrp.avg_predictions(fit(), newdata=frame, wts="n").draws
    np.testing.assert_allclose(found.values, expected.values[:, order], **CLOSE)


@settings(max_examples=6)
@given(data=st.data())
@pytest.mark.parametrize("comparison", ["ratio", "lnor"])
def test_order_of_draws_does_not_matter_to_contrasts_and_slopes(comparison, data):
    order = np.array(data.draw(st.permutations(range(6))))
    shuffled = dataclasses.replace(fit(), draws=fit().draws.isel(draw=order))
    options = {"newdata": FRAME, "by": "region", "wts": "n"}
    for verb, more in (
        (mrp.avg_comparisons, {"variables": "age", "comparison": comparison}),
        (mrp.avg_slopes, {"variables": "x", "slope": "eyex"}),
    ):
        found, expected = (verb(f, **options, **more).draws for f in (shuffled, fit()))
        np.testing.assert_allclose(found.values, expected.values[:, order], **CLOSE)


@given(frame=cells(), data=st.data())
def test_order_of_columns_and_of_categories_does_not_matter(frame, data):
    columns = data.draw(st.permutations(frame.columns.tolist()))
    categories = data.draw(st.permutations(frame["age"].cat.categories.tolist()))
    age = frame["age"].cat.reorder_categories(categories)
    np.testing.assert_array_equal(estimate(frame.assign(age=age)[columns]), estimate(frame))


@given(frame=cells(), scale=st.floats(1e-6, 1e6))
def test_scale_of_weights_does_not_matter(frame, scale):
    scaled = frame.assign(n=frame["n"] * scale)
    np.testing.assert_allclose(estimate(scaled), estimate(frame), **CLOSE)


@given(frame=cells(zero=False))
def test_average_over_a_partition_is_the_weighted_average_of_its_parts(frame):
    parts = mrp.avg_predictions(fit(), newdata=frame, wts="n", by=["state", "gender"])
    sums = frame.groupby(["state", "gender"])["n"].sum()
    weights = [sums[tuple(labels)] for labels in parts.labels.to_numpy()]
    expected = np.average(matrix(parts), axis=0, weights=weights)
    np.testing.assert_allclose(estimate(frame)[0], expected, **CLOSE)


@settings(max_examples=10)
@given(frame=cells(zero=False))
def test_differences_and_slopes_over_a_partition_average_too(frame):
    sums = frame.groupby(["state", "gender"])["n"].sum()
    options = {"variables": "x", "newdata": frame, "wts": "n"}
    for verb in (mrp.avg_comparisons, mrp.avg_slopes):
        parts = verb(fit(), by=["state", "gender"], **options)
        weights = [sums[key] for key in parts.labels[["state", "gender"]].itertuples(index=False)]
        expected = np.average(matrix(parts), axis=0, weights=weights)
        np.testing.assert_allclose(matrix(verb(fit(), **options))[0], expected, **CLOSE)


@given(frame=cells())
@pytest.mark.parametrize("type", TYPES)
def test_comparison_is_the_difference_of_predictions_draw_by_draw(type, frame):
    hi, lo = (
        matrix(mrp.predictions(fit(), newdata=frame.assign(age=age), type=type))
        for age in ("old", "middle")
    )
    found = mrp.comparisons(fit(), variables={"age": ["middle", "old"]}, newdata=frame, type=type)
    np.testing.assert_allclose(matrix(found), hi - lo, **CLOSE)


@given(frame=cells())
def test_averaged_comparison_is_the_difference_of_averages(frame):
    hi, lo = (estimate(frame.assign(gender=gender)) for gender in ("Woman", "Man"))
    found = mrp.avg_comparisons(fit(), variables="gender", newdata=frame, wts="n")
    np.testing.assert_allclose(matrix(found), hi - lo, **CLOSE)


def test_rows_that_are_equal_on_one_side_of_a_contrast_only_are_told_apart():
    squared = fake_fit("y ~ I(x**2)", SURVEY, family="bernoulli", draws=3)
    data = pd.DataFrame({"x": [-2.0, 0.0]})  # one step up, both squares are 1
    for step in (1, -1):
        options = {"variables": {"x": step}, "newdata": step * data}
        rows = matrix(mrp.comparisons(squared, **options))
        average = matrix(mrp.avg_comparisons(squared, **options))
        np.testing.assert_allclose(average[0], rows.mean(axis=0), **CLOSE)


@given(frame=cells(), row=st.integers(0, len(FRAME) - 1), at=st.integers(0, 12))
def test_zero_weight_cell_does_not_move_the_estimate(frame, row, at):
    extra = FRAME.iloc[[row]].assign(n=0.0)
    longer = pd.concat([frame[:at], extra, frame[at:]])
    np.testing.assert_allclose(estimate(longer), estimate(frame), **CLOSE)


@given(frame=cells(), data=st.data())
def test_cell_that_comes_twice_counts_as_one_of_twice_the_weight(frame, data):
    cell = data.draw(st.integers(0, len(frame) - 1))
    twice = pd.concat([frame, frame.iloc[[cell]]])
    doubled = frame.assign(n=frame["n"] * np.where(np.arange(len(frame)) == cell, 2, 1))
    np.testing.assert_allclose(estimate(twice), estimate(doubled), **CLOSE)


@given(frame=cells())
def test_average_lies_within_the_range_of_the_rows_that_count(frame):
    rows = matrix(mrp.predictions(fit(), newdata=frame[frame["n"] > 0]))
    average = estimate(frame)[0]
    assert (average >= rows.min(axis=0) - 1e-12).all()
    assert (average <= rows.max(axis=0) + 1e-12).all()


@settings(max_examples=12)
@given(frame=cells(), bytes_=st.sampled_from([1, 200, 1000, 2**40]))
def test_size_of_blocks_does_not_matter(frame, bytes_):
    def all_verbs():
        yield mrp.predictions(fit(), newdata=frame)
        yield mrp.comparisons(fit(), variables=["age", "x"], newdata=frame)
        yield mrp.avg_predictions(fit(), newdata=frame, by="state", wts="n")
        yield mrp.avg_comparisons(fit(), variables=["age", "x"], newdata=frame, wts="n")

    frame = frame[frame["n"] > 0]
    expected = [matrix(estimates) for estimates in all_verbs()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "CACHED_BYTES", bytes_)
        for estimates, before in zip(all_verbs(), expected, strict=True):
            np.testing.assert_allclose(matrix(estimates), before, **CLOSE)
            summary = estimates.to_frame()
            np.testing.assert_allclose(summary["estimate"], before.mean(axis=1), **CLOSE)


def test_groups_of_a_column_that_the_model_lacks_come_in_its_order_with_their_own_estimates():
    order = ["VT", "AL", "TX", "NY", "CA"]
    frame = FRAME.assign(area=pd.Categorical(FRAME["state"], order))
    found = mrp.poststratify(fit(), frame, by="area", wts="n")
    expected = mrp.poststratify(fit(), FRAME, by="state", wts="n")
    assert found.labels["area"].tolist() == order
    assert_same(as_dict(found, ["area"]), as_dict(expected, ["state"]))


# --- prior draws ----------------------------------------------------------------------------------


def test_a_prior_answers_every_verb_and_says_so():
    prior = CASES["correlated slopes, logit"].model.sample_prior(draws=30, seed=1)
    estimates = mrp.poststratify(prior, FRAME, by="state", wts="n")
    assert estimates.about["group"] == "prior"
    assert estimates.draws.sizes == {"chain": 1, "draw": 30, "state": 5}
    assert repr(estimates).endswith("of 30 prior draws")
    averages = mrp.avg_comparisons(prior, variables="gender", newdata=FRAME)
    rows = loops.predictions(
        loops.changed(ROWS, "gender", lambda _: "Woman"),
        CASES["correlated slopes, logit"].terms,
        prior.parameters,
        "logit",
    )
    other = loops.predictions(
        loops.changed(ROWS, "gender", lambda _: "Man"),
        CASES["correlated slopes, logit"].terms,
        prior.parameters,
        "logit",
    )
    expected = np.mean(loops.differences(rows, other), axis=0)
    np.testing.assert_allclose(matrix(averages)[0], expected, **CLOSE)
