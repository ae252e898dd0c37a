"""Predictive checks: what is observed by pandas, what is made up by each family's moments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.errors import FitError, RequestError
from tests import loops
from tests.checks.families import MODELS, SURVEY, fit_of, model_of, values_of
from tests.messages import raises

SHARE = {"binomial": SURVEY["successes"] / SURVEY["trials"]}
ANSWERS = {"binomial": SURVEY["trials"]}
OUTCOME = {"gaussian": "score", "poisson": "count", "negativebinomial": "count"}
ONE_NUMBER = [name for name in MODELS if fit_of(name).levels is None]
OF_LEVELS = [name for name in MODELS if fit_of(name).levels is not None]


def answers(name):
    """What each respondent said, as a number; of rows with trials the average."""
    return SHARE.get(name, SURVEY[OUTCOME.get(name, "y")])


def numbers(name):
    """How many answers each row has."""
    return ANSWERS.get(name, pd.Series(1, index=SURVEY.index))


def repeated(name, draws=4000):
    """A fit all of whose draws are the same."""
    one = fit_of(name).parameters.isel(chain=[0], draw=np.zeros(draws, dtype=int))
    return mrp.Fit.from_draws(model_of(name), one.assign_coords(draw=np.arange(draws)))


def moments(name, by, weights):
    """Mean and variance of each group's average, row by row."""
    fit, weights = repeated(name, draws=1), weights * numbers(name).to_numpy()
    mean = values_of(mrp.predictions(fit).draws)[:, 0]
    other = {"gaussian": "sigma", "negativebinomial": "alpha"}.get(fit.family)
    auxiliary = float(fit.parameters[other].values[0, 0]) if other else np.nan
    found = {}
    for group in SURVEY[by].unique():
        members = np.flatnonzero(SURVEY[by] == group)
        share = weights[members] / weights[members].sum()
        trials = numbers(name).to_numpy()
        one = [loops.VARIANCE[fit.family](mean[i], auxiliary, trials[i]) for i in members]
        found[group] = (share @ mean[members], share**2 @ np.array(one))
    return found


@pytest.mark.parametrize("name", ONE_NUMBER)
@pytest.mark.parametrize("wts", [None, "weight"])
def test_what_is_made_up_has_the_moments_of_the_family(name, wts):
    check = mrp.pp_check(repeated(name), by="state", wts=wts, seed=3)
    weights = np.ones(len(SURVEY)) if wts is None else SURVEY[wts].to_numpy()
    expected = moments(name, "state", weights)
    for group, draws in zip(check.labels["state"], values_of(check.draws), strict=True):
        mean, variance = expected[group]
        assert abs(draws.mean() - mean) < 4.5 * np.sqrt(variance / len(draws))
        assert draws.var() == pytest.approx(variance, rel=0.15)


@pytest.mark.parametrize("name", OF_LEVELS)
def test_levels_that_are_made_up_have_the_moments_of_shares(name):
    fit = repeated(name)
    check = mrp.pp_check(fit, by="state", seed=3)
    p = mrp.predictions(repeated(name, draws=1))
    by_row = pd.DataFrame({"p": values_of(p.draws)[:, 0], **p.labels[["group", "state"]]})
    keys = check.labels[["group", "state"]].itertuples(index=False)
    for (level, state), draws in zip(keys, values_of(check.draws), strict=True):
        own = by_row[(by_row["group"] == level) & (by_row["state"] == state)]["p"]
        variance = (own * (1 - own)).sum() / len(own) ** 2
        assert abs(draws.mean() - own.mean()) < 4.5 * np.sqrt(variance / len(draws))
        assert draws.var() == pytest.approx(variance, rel=0.15)


@pytest.mark.parametrize("name", OF_LEVELS)
def test_everybody_is_at_one_level_in_every_draw(name):
    check = mrp.pp_check(fit_of(name), by="gender", wts="weight", seed=1)
    total = check.draws.groupby("gender").sum()
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", ONE_NUMBER)
def test_what_is_observed_is_the_weighted_average_of_all_answers(name):
    each, y = numbers(name), answers(name)
    check = mrp.pp_check(fit_of(name), by=["gender", "age"], seed=1).labels
    groups = [SURVEY["gender"], SURVEY["age"]]
    total = each.groupby(groups, observed=True).sum()
    expected = (each * y).groupby(groups, observed=True).sum() / total
    np.testing.assert_allclose(check["observed"], expected, rtol=1e-12)
    np.testing.assert_array_equal(check["answers"], total)
    weighted = mrp.pp_check(fit_of(name), wts="weight", seed=1).labels
    expected = np.average(y, weights=SURVEY["weight"] * each)
    assert weighted["observed"].item() == pytest.approx(expected, rel=1e-12)


UNEQUAL = pd.DataFrame({
    "state": ["a", "a", "a", "b", "b"], "wins": [9, 0, 30, 2, 0], "of": [10, 0, 1000, 4, 1],
})  # fmt: skip
"""Rows of very different numbers of trials, one without any."""


def of_trials(survey, formula, family):
    """A fit of known probabilities: 0.2 in state a, 0.5 in state b."""
    model = mrp.Model(formula, survey, family=family)
    draws = xr.Dataset(
        {
            "Intercept": (("chain", "draw"), np.full((2, 2000), -np.log(4.0))),
            "state": (("chain", "draw", "state_dim"), np.full((2, 2000, 1), np.log(4.0))),
        }
    )
    return mrp.Fit.from_draws(model, draws)


def test_rows_with_trials_are_checked_as_the_answers_that_they_stand_for():
    rows = pd.DataFrame(
        [
            {"state": row.state, "y": int(k < row.wins)}
            for row in UNEQUAL.itertuples()
            for k in range(row.of)
        ]
    )
    of_rows = mrp.pp_check(of_trials(UNEQUAL, "p(wins, of) ~ state", "binomial"), by="state")
    single = mrp.pp_check(of_trials(rows, "y ~ state", "bernoulli"), by="state")
    columns = ["state", "answers", "observed"]
    pd.testing.assert_frame_equal(of_rows.labels[columns], single.labels[columns])
    assert of_rows.labels["answers"].tolist() == [1010, 5]
    assert of_rows.labels["observed"].tolist() == [39 / 1010, 0.4]
    for check in (of_rows, single):
        sd = np.sqrt(np.array([0.2 * 0.8 / 1010, 0.5 * 0.5 / 5]))
        np.testing.assert_allclose(values_of(check.draws).mean(axis=1), [0.2, 0.5], atol=0.02)
        np.testing.assert_allclose(values_of(check.draws).std(axis=1), sd, rtol=0.1)


@pytest.mark.parametrize("name", OF_LEVELS)
def test_what_is_observed_of_levels_is_their_shares(name):
    fit = fit_of(name)
    check = mrp.pp_check(fit, by="state", seed=1).labels.set_index(["state", "group"])["observed"]
    expected = SURVEY.groupby("state")[fit.outcome].value_counts(normalize=True)
    for key, share in expected.items():
        assert check[key] == pytest.approx(share, rel=1e-12)
    assert check.sum() == pytest.approx(5.0)


@pytest.mark.parametrize("name", MODELS)
def test_rank_is_the_share_below_what_is_observed_and_half_of_what_equals_it(name):
    check = mrp.pp_check(fit_of(name, draws=50), by="state", seed=2)
    draws, observed = values_of(check.draws), check.labels["observed"].to_numpy()[:, None]
    same = np.abs(draws - observed) < 1e-9
    expected = ((draws < observed) & ~same).mean(axis=1) + same.mean(axis=1) / 2
    np.testing.assert_allclose(check.labels["rank"], expected, rtol=1e-12)


@pytest.mark.parametrize("value", [0, 1])
def test_group_that_is_as_the_model_says_is_in_the_middle(value):
    survey = SURVEY.assign(y=value)
    model = mrp.Model("y ~ 1", survey.assign(y=SURVEY["y"]), family="bernoulli")
    certain = xr.Dataset({"Intercept": (("chain", "draw"), np.full((2, 5), 1000.0 * value - 500))})
    fit = mrp.Fit.from_draws(model.with_outcome(survey["y"]), certain)
    check = mrp.pp_check(fit, by="state", wts="weight", seed=1)
    np.testing.assert_allclose(values_of(check.draws), value, rtol=1e-12)
    assert (check.labels["rank"] == 0.5).all()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_groups_are_as_often_high_as_low_where_the_model_is_true(size):
    y = np.array([[k >> place & 1 for place in range(size)] for k in range(2**size)])
    survey = pd.DataFrame({"y": y.ravel(), "group": np.repeat(np.arange(len(y)), size)})
    model = mrp.Model("y ~ 1", survey, family="bernoulli")
    even = xr.Dataset({"Intercept": (("chain", "draw"), np.zeros((2, 4000)))})
    check = mrp.pp_check(mrp.Fit.from_draws(model, even), by="group", seed=1).labels
    ranks = check["rank"].to_numpy()
    np.testing.assert_allclose(ranks + ranks[::-1], 1.0, atol=0.05)  # the opposite answers
    assert ranks.mean() == pytest.approx(0.5, abs=0.01)


def test_groups_of_one_draw_belong_to_one_survey():
    intercepts = np.repeat([[-3.0, 3.0]], 30, axis=1)
    model = mrp.Model("y ~ 1", SURVEY, family="bernoulli")
    draws = xr.Dataset({"Intercept": (("chain", "draw"), intercepts)})
    check = mrp.pp_check(mrp.Fit.from_draws(model, draws), by="gender", seed=1)
    man, woman = values_of(check.draws)
    assert np.corrcoef(man, woman)[0, 1] > 0.95


def test_collapsed_respondents_are_as_uncertain_as_single_ones():
    few = mrp.pp_check(repeated("bernoulli"), seed=1)
    unequal = 1 + 1e-9 * np.arange(len(SURVEY))  # nobody is like another
    single = mrp.pp_check(repeated("bernoulli"), wts=unequal, seed=1)
    assert few.draws.std().item() == pytest.approx(single.draws.std().item(), rel=0.05)


def test_seed_makes_it_repeatable():
    first, second, other = (
        mrp.pp_check(fit_of("poisson"), by="state", seed=seed).draws for seed in (1, 1, 2)
    )
    xr.testing.assert_equal(first, second)
    assert not first.equals(other)


def test_scale_of_weights_does_not_matter():
    first = mrp.pp_check(fit_of("binomial"), by="state", wts="weight", seed=1)
    second = mrp.pp_check(fit_of("binomial"), by="state", wts=7 * SURVEY["weight"], seed=1)
    np.testing.assert_allclose(values_of(first.draws), values_of(second.draws), rtol=1e-12)


def test_prior_can_be_checked_and_columns_that_the_model_lacks():
    prior = model_of("bernoulli").sample_prior(draws=30, seed=1)
    check = mrp.pp_check(prior, by="education", seed=1)
    assert check.labels.columns.tolist() == ["education", "answers", "observed", "rank"]
    assert check.about["group"] == "prior"
    assert str(check).endswith("30 prior draws")


def test_groups_may_be_those_of_a_table():
    table = pd.DataFrame({"gender": ["Man", "Woman"], "by": ["m", "w"]})
    check = mrp.pp_check(fit_of("bernoulli"), by=table, seed=1)
    assert check.labels["by"].tolist() == ["m", "w"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"by": "regoin"},
            RequestError,
            "`by` must name columns of `survey`, got 'regoin'. Available: ['age', 'education', "
            "'gender', 'military', 'x', 'exposure', 'state', 'region', … 9 more]. Did you mean "
            "'region'?",
        ),
        (
            {"by": "observed"},
            RequestError,
            "`by` must not name columns that results are written to, got ['observed']. Give "
            "the data copies of them under other names, and name those.",
        ),
        (
            {"wts": "wieght"},
            RequestError,
            "`wts` must name a column of `survey`, got 'wieght'. Available: ['age', 'education', "
            "'gender', 'military', 'x', 'exposure', 'state', 'region', … 9 more]. Did you mean "
            "'weight'?",
        ),
        (
            {"seed": -1},
            RequestError,
            "`seed` must be a whole number, 0 or more, got -1. Leave it out for other draws at "
            "each call.",
        ),
    ],
)
def test_requests_that_can_t_be_honoured_are_refused(options, error, message):
    with raises(error, message):
        mrp.pp_check(fit_of("bernoulli"), **options)


def test_something_that_is_no_fit_is_refused():
    message = "`fit` must be a Fit, got DataFrame. Make one with model.sample() or mrp.load_fit()."
    with raises(RequestError, message):
        mrp.pp_check(SURVEY)


def test_draws_of_the_other_parameter_are_needed():
    fit = mrp.testing.fake_fit("score ~ x", SURVEY, family="gaussian")
    message = (
        "`pp_check` needs draws of 'sigma', which this fit lacks. Available: ['Intercept', 'x']."
    )
    with raises(FitError, message):
        mrp.pp_check(fit)


@pytest.mark.parametrize("family", ["poisson", "negativebinomial"])
def test_counts_that_may_be_negative_are_refused(family):
    model = mrp.Model("count ~ 1", SURVEY, family=family, link="identity")
    values = {"Intercept": [[2.0, -0.5]], "alpha": [[1.0, 1.0]]}
    draws = xr.Dataset({name: (("chain", "draw"), value) for name, value in values.items()})
    message = (
        "`pp_check` needs expected counts of 0 or more, got -0.5: with the identity link they may "
        "be negative. Fit the model with the log link."
    )
    with raises(RequestError, message):
        mrp.pp_check(mrp.Fit.from_draws(model, draws))


# --- vague priors of counts -----------------------------------------------------------------------


def of_log_mean(log_mean, family="poisson", alpha=2.0):
    """A fit of counts whose expected value is the same in all draws."""
    model = mrp.Model("count ~ 1", SURVEY, family=family)
    values = {"Intercept": log_mean, "alpha": alpha}
    draws = {name: (("chain", "draw"), np.full((2, 2000), x)) for name, x in values.items()}
    return mrp.Fit.from_draws(model, xr.Dataset(draws))


@pytest.mark.parametrize("log_mean", [np.log(3.0), 34.0, 36.0, 45.0, 100.0, 220.0])
def test_counts_of_any_size_have_the_moments_of_the_family(log_mean):
    mean, n = np.exp(log_mean), len(SURVEY)
    draws = values_of(mrp.pp_check(of_log_mean(log_mean), seed=1).draws)[0]
    assert abs(draws.mean() / mean - 1) < 4.5 / np.sqrt(mean * n * len(draws)) + 1e-14
    if mean < 1e25:  # beyond it, numbers lie further apart than the distribution is wide
        assert draws.std() == pytest.approx(np.sqrt(mean / n), rel=0.1)
    draws = values_of(mrp.pp_check(of_log_mean(log_mean, "negativebinomial"), seed=1).draws)[0]
    assert draws.std() == pytest.approx(np.sqrt((mean + mean**2 / 2) / n), rel=0.1)


@pytest.mark.parametrize("family", ["poisson", "negativebinomial"])
def test_vague_prior_of_counts_can_be_checked(family):
    priors = mrp.priors(b="normal(0, 10)", Intercept="normal(0, 20)")
    model = mrp.Model("count ~ x", SURVEY, family=family, priors=priors)
    check = mrp.pp_check(model.sample_prior(draws=1000, seed=1), by="state", seed=1)
    assert np.isfinite(check.to_frame()[["estimate", "std_error", "conf_high"]]).all(axis=None)
    assert check.labels["rank"].between(0.1, 0.9).all()


@pytest.mark.parametrize("family", ["poisson", "negativebinomial"])
def test_counts_that_are_no_longer_numbers_are_refused(family):
    message = (
        "`pp_check` needs expected counts of at most 1e+100, got 1.94e+130. Narrow the priors."
    )
    with raises(RequestError, message):
        mrp.pp_check(of_log_mean(300.0, family))
