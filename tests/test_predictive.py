"""Draws of new outcomes: repeatable, one for each row and draw, distributed as the family says."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp import prediction
from mrp.errors import DataError, FitError, RequestError
from mrp.links import inverse
from mrp.prediction import predict
from mrp.predictive import outcomes
from mrp.results.estimates import Made
from tests import loops
from tests.cases import CASES, FRAME, SURVEY, fit_of
from tests.draws import CLOSE, WEIGHTS, groups_of, matrix
from tests.messages import raises

DRAWS = 20_000
CELLS = FRAME.assign(trials=np.arange(len(FRAME)) % 5 + 1)
"""The frame with numbers of trials."""
AUXILIARY = {"gaussian": ("sigma", 0.7), "negativebinomial": ("alpha", 1.5)}
FAMILIES = {
    "bernoulli": ("y ~ x", -0.4),
    "binomial": ("p(successes, trials) ~ x", 0.9),
    "gaussian": ("score ~ x", 2.0),
    "poisson": ("count ~ x", 1.2),
    "negativebinomial": ("count ~ x", 1.2),
}
NAMES = ["correlated slopes, logit", "categorical slopes, binomial"]


@cache
def fit_at(family, draws=DRAWS, **of_family):
    """A fit whose coefficients are the same in all draws, but for noise as said."""
    formula, intercept = FAMILIES[family]
    formula = of_family.pop("formula", formula)
    model = mrp.Model(formula, SURVEY, family=family, **of_family)
    made = mrp.testing.fake_draws(model.design, chains=1, draws=draws, scale=0.0)
    made = made.assign(Intercept=made["Intercept"] + intercept, x=made["x"] + 0.1)
    for name, value in dict([AUXILIARY[family]] if family in AUXILIARY else []).items():
        made[name] = (("chain", "draw"), np.full((1, draws), value))
    return mrp.Fit.from_draws(model, made)


def drawn(fit, newdata=CELLS, seed=1, **options):
    return mrp.predictions(fit, newdata=newdata, kind="predictive", seed=seed, **options)


# --- distributions --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_outcomes_have_the_mean_and_variance_of_the_family(family):
    data = CELLS[:3].assign(x=[-2.0, 0.0, 3.0], trials=[1, 3, 12])
    fit = fit_at(family)
    found = matrix(drawn(fit, data))
    expected = matrix(mrp.predictions(fit, newdata=data))[:, 0]
    other = AUXILIARY.get(family, ("", 0.0))[1]
    for y, mean, trials in zip(found, expected, data["trials"], strict=True):
        variance = loops.VARIANCE[family](mean, other, trials)
        assert abs(y.mean() - mean) < 5 * np.sqrt(variance / DRAWS)
        squares = (y - mean) ** 2
        assert abs(squares.mean() - variance) < 5 * squares.std() / np.sqrt(DRAWS)


@pytest.mark.parametrize("family", ["bernoulli", "poisson", "negativebinomial"])
def test_counts_and_answers_are_whole_numbers(family):
    found = matrix(drawn(fit_at(family), CELLS[:3]))
    assert (found == found.round()).all()
    assert found.min() == 0
    assert (found.max() == 1) == (family == "bernoulli")


def test_outcomes_of_binomial_models_are_shares_of_the_trials():
    found = matrix(drawn(fit_at("binomial"), CELLS[:5]))
    for shares, trials in zip(found, CELLS["trials"], strict=False):
        counts = shares * trials
        np.testing.assert_allclose(counts, counts.round(), atol=1e-12)
        assert set(counts.round()) == set(range(trials + 1))


@pytest.mark.parametrize(
    ("outcome", "trials"),
    [("p(successes, 4)", 4), ("proportion(successes, 7)", 7), ("prop(successes, trials)", 5)],
)
def test_trials_are_read_from_the_outcome(outcome, trials):
    fit = fit_at("binomial", 2000, formula=f"{outcome} ~ x")
    data = FRAME[:1] if "trials" not in outcome else FRAME[:1].assign(trials=5)
    counts = (matrix(drawn(fit, data)) * trials).round(9)
    assert set(counts.ravel()) <= set(range(trials + 1))
    assert counts.max() == trials


def test_each_draw_has_an_outcome_around_its_own_prediction():
    case = CASES["transforms and two brackets, gaussian"]
    sigma = np.array([[0.0, 1e-9, 0.0, 1.0], [0.0, 0.0, 1.0, 1e-9]])
    fit = mrp.Fit.from_draws(case.model, case.draws.assign(sigma=(("chain", "draw"), sigma)))
    found = matrix(drawn(fit))
    expected = matrix(mrp.predictions(fit, newdata=CELLS))
    tight = sigma.ravel() < 0.5
    np.testing.assert_allclose(found[:, tight], expected[:, tight], atol=1e-7)
    assert (np.abs(found - expected)[:, ~tight] > 1e-6).all()


def test_dispersion_belongs_to_its_draw():
    fit = fit_at("negativebinomial", 4000)
    alpha = np.where(np.arange(4000) % 2, 1e8, 0.05)[None]
    fit = mrp.Fit.from_draws(
        mrp.Model("count ~ x", SURVEY, family="negativebinomial"),
        fit.parameters.assign(alpha=(("draw", "chain"), alpha.T)),
    )
    found = matrix(drawn(fit, CELLS[:1]))[0]
    mean = matrix(mrp.predictions(fit, newdata=CELLS[:1]))[0, 0]
    for y, a in ((found[1::2], 1e8), (found[::2], 0.05)):
        squares = (y - mean) ** 2
        expected = loops.VARIANCE["negativebinomial"](mean, a, 1)
        assert abs(squares.mean() - expected) < 5 * squares.std() / np.sqrt(2000)


def test_rows_that_are_the_same_have_respondents_of_their_own():
    twice = pd.concat([CELLS[:1]] * 2)
    found = matrix(drawn(fit_at("bernoulli", 2000), twice))
    correlation = np.corrcoef(found)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(2000)


# --- repeatable -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [0, 2**53 + 1, 2**64 - 1, 2**70])
def test_seed_makes_outcomes_repeatable(name, seed):
    first, second = (matrix(drawn(fit_of(name), seed=seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first != matrix(drawn(fit_of(name), seed=seed + 1))).any()


def test_without_a_seed_outcomes_differ():
    first, second = (matrix(drawn(fit_of(NAMES[0]), seed=None)) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("bytes_", [1, 500, 2**30])
def test_size_of_blocks_does_not_matter(bytes_, monkeypatch):
    options = {"newdata": CELLS, "by": "state", "wts": "n", "kind": "predictive", "seed": 4}

    def both():
        yield mrp.predictions(fit_of(NAMES[0]), newdata=CELLS, kind="predictive", seed=4)
        yield mrp.avg_predictions(fit_of(NAMES[0]), **options)

    expected = [matrix(estimates) for estimates in both()]
    monkeypatch.setattr(prediction, "CACHED_BYTES", bytes_)
    for estimates, before in zip(both(), expected, strict=True):
        np.testing.assert_allclose(matrix(estimates), before, **CLOSE)


def test_outcome_of_a_row_does_not_depend_on_which_others_are_asked_for():
    fit = fit_of("categorical slopes, binomial")
    rows = fit.design.rows(CELLS)
    expected = predict(rows, fit.coefficients, inverse(fit.link))
    made = outcomes(fit, expected, CELLS, 3, "newdata")
    assert (made.n, made.size) == (len(CELLS), 8)
    everything = made.values(np.arange(made.n))
    some = np.array([7, 0, 7, 31])
    np.testing.assert_array_equal(made.values(some), everything[some])


# --- with the rest of the verbs -------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_averages_are_averages_of_the_rows_outcomes(name):
    options = {"kind": "predictive", "seed": 9, "newdata": CELLS}
    rows = matrix(mrp.predictions(fit_of(name), **options)).tolist()
    found = mrp.avg_predictions(fit_of(name), by=["region", "gender"], wts="n", **options)
    expected = loops.averages(rows, WEIGHTS, groups_of(["region", "gender"]))
    for labels, draws in zip(found.labels.itertuples(index=False), matrix(found), strict=True):
        np.testing.assert_allclose(draws, expected[tuple(labels)], **CLOSE)
    with_by = mrp.predictions(fit_of(name), by=["region", "gender"], wts="n", **options)
    np.testing.assert_array_equal(matrix(with_by), matrix(found))


def test_transform_is_applied_to_outcomes():
    fit = fit_at("poisson", 50)
    found, plain = drawn(fit, transform=np.log1p), drawn(fit)
    np.testing.assert_allclose(matrix(found), np.log1p(matrix(plain)), **CLOSE)


def test_outcomes_are_drawn_for_each_setting_of_variables():
    fit = fit_at("gaussian", 50)
    found = drawn(fit, variables={"x": [0, 1]}, newdata=CELLS[:4])
    for x, part in ((0, matrix(found)[:4]), (1, matrix(found)[4:])):
        np.testing.assert_array_equal(part, matrix(drawn(fit, newdata=CELLS[:4].assign(x=x))))


def test_new_groups_have_outcomes_too():
    fit = mrp.testing.fake_fit("y ~ x + (1 | state)", SURVEY, family="bernoulli", draws=5)
    data = CELLS.assign(state="Quebec")
    found = matrix(drawn(fit, data, new_levels="gaussian"))
    assert set(found.ravel()) == {0.0, 1.0}


def test_outcomes_of_the_survey_are_the_default():
    fit = fit_of("categorical slopes, binomial")
    found = mrp.predictions(fit, kind="predictive", seed=1)
    assert len(found) == len(SURVEY)
    assert set((matrix(found) * 4).ravel()) <= set(range(5))


def test_expected_outcomes_are_the_default():
    found = mrp.predictions(fit_of(NAMES[0]), newdata=CELLS, kind="expected")
    expected = mrp.predictions(fit_of(NAMES[0]), newdata=CELLS)
    np.testing.assert_array_equal(matrix(found), matrix(expected))


# --- what is refused ------------------------------------------------------------------------------


def test_linear_predictor_has_no_outcomes():
    message = (
        "`type` must be 'response' with kind='predictive', got 'link'. New outcomes have no linear "
        "predictor."
    )
    for verb in (mrp.predictions, mrp.avg_predictions):
        with raises(RequestError, message):
            verb(fit_of(NAMES[0]), kind="predictive", type="link")


@pytest.mark.parametrize(("kind", "near"), [("predictiv", "predictive"), ("new", None)])
def test_unknown_kind_is_refused_with_the_closest_one(kind, near):
    message = (
        f"`kind` must say what to predict, got {kind!r}. Available: ['expected', 'predictive']."
    )
    for verb in (mrp.predictions, mrp.avg_predictions):
        with raises(RequestError, message + (f" Did you mean {near!r}?" if near else "")):
            verb(fit_of(NAMES[0]), kind=kind)


def test_rows_of_a_binomial_model_need_their_trials():
    message = (
        "`newdata` must have the column of trials 'trials' to draw new outcomes, lacks it. "
        "Available: ['x', 'age', 'state']. Add it, or use kind='expected'."
    )
    data = FRAME[["x", "age", "state"]]
    for verb in (mrp.predictions, mrp.avg_predictions):
        with raises(DataError, message):
            verb(fit_of("categorical slopes, binomial"), newdata=data, kind="predictive")


@pytest.mark.parametrize("trials", [0, -1, 1.5, np.nan, np.inf, "4", None])
def test_trials_must_be_whole_numbers(trials):
    message = (
        "`newdata` must have whole numbers, 1 or more, in the column of trials 'trials'. "
        "Correct it, or use kind='expected'."
    )
    data = CELLS.assign(trials=[3] * (len(CELLS) - 1) + [trials])
    with raises(DataError, message):
        drawn(fit_of("categorical slopes, binomial"), data)


@pytest.mark.parametrize(("family", "name"), [(k, name) for k, (name, _) in AUXILIARY.items()])
def test_draws_without_the_familys_parameter_are_refused(family, name):
    fit = fit_at(family, 3)
    model = mrp.Model(FAMILIES[family][0], SURVEY, family=family)
    without = mrp.Fit.from_draws(model, fit.parameters.drop_vars(name))
    message = (
        f"`kind='predictive'` needs draws of {name!r}, which this fit lacks. "
        f"Available: ['Intercept', 'x']."
    )
    with raises(FitError, message):
        drawn(without)


@pytest.mark.parametrize("family", ["poisson", "negativebinomial"])
def test_negative_counts_can_not_be_drawn(family):
    fit = fit_at(family, 3, link="identity")
    message = (
        "`kind` 'predictive' needs expected counts of 0 or more, got -0.3: with the identity link "
        "they may be negative. Fit the model with the log link."
    )
    with raises(RequestError, message):
        drawn(fit, pd.DataFrame({"x": [0.0, -15.0]}))


@pytest.mark.parametrize("family", ["poisson", "negativebinomial"])
def test_counts_beyond_whole_numbers_can_not_be_drawn(family):
    start = "`kind` 'predictive' needs expected counts of at most 9.2e\\+18, got "
    with pytest.raises(RequestError, match=f"{start}.*. Narrow the priors.$"):
        drawn(fit_at(family, 3), pd.DataFrame({"x": [0.0, 2500.0]}))


@pytest.mark.parametrize("family", ["bernoulli", "gaussian", "poisson"])
def test_outcomes_of_expectations_that_are_no_numbers_are_refused(family):
    fit = fit_at(family, 5)
    values = np.full((2, 5), 0.5)
    values[1, 3] = np.nan
    message = (
        "`kind` 'predictive' needs expected outcomes that are numbers, got NaN in row 1. Look for "
        "draws and predictors that are too large."
    )
    made = outcomes(fit, Made(values), CELLS[:2], 1, "newdata")
    with raises(RequestError, message):
        made.values(np.arange(2))
