"""Predictive checks: what is observed by pandas, what is made up by each family's moments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.errors import DataError, FitError, RequestError
from tests import loops
from tests.checks.families import MODELS, SURVEY, fit_of, model_of, values_of
from tests.messages import raises

SHARE = {"binomial": SURVEY["successes"] / SURVEY["trials"]}
OUTCOME = {"gaussian": "score", "poisson": "count", "negativebinomial": "count"}
ONE_NUMBER = [name for name in MODELS if fit_of(name).levels is None]
OF_LEVELS = [name for name in MODELS if fit_of(name).levels is not None]


def answers(name):
    """What each respondent said, as a number."""
    return SHARE.get(name, SURVEY[OUTCOME.get(name, "y")])


def repeated(name, draws=4000):
    """A fit all of whose draws are the same."""
    one = fit_of(name).parameters.isel(chain=[0], draw=np.zeros(draws, dtype=int))
    return mrp.Fit.from_draws(model_of(name), one.assign_coords(draw=np.arange(draws)))


def moments(name, by, weights):
    """Mean and variance of each group's average, respondent by respondent."""
    fit = repeated(name, draws=1)
    mean = values_of(mrp.predictions(fit).draws)[:, 0]
    other = {"gaussian": "sigma", "negativebinomial": "alpha"}.get(fit.family)
    auxiliary = float(fit.parameters[other].values[0, 0]) if other else np.nan
    found = {}
    for group in SURVEY[by].unique():
        members = np.flatnonzero(SURVEY[by] == group)
        share = weights[members] / weights[members].sum()
        one = [loops.VARIANCE[fit.family](mean[i], auxiliary, 4) for i in members]
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
def test_what_is_observed_is_the_weighted_average(name):
    y = answers(name)
    check = mrp.pp_check(fit_of(name), by=["gender", "age"], seed=1).labels
    expected = y.groupby([SURVEY["gender"], SURVEY["age"]], observed=True)
    np.testing.assert_allclose(check["observed"], expected.mean(), rtol=1e-12)
    np.testing.assert_array_equal(check["respondents"], expected.count())
    weighted = mrp.pp_check(fit_of(name), wts="weight", seed=1).labels
    expected = np.average(y, weights=SURVEY["weight"])
    assert weighted["observed"].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", OF_LEVELS)
def test_what_is_observed_of_levels_is_their_shares(name):
    fit = fit_of(name)
    check = mrp.pp_check(fit, by="state", seed=1).labels.set_index(["state", "group"])["observed"]
    expected = SURVEY.groupby("state")[fit.outcome].value_counts(normalize=True)
    for key, share in expected.items():
        assert check[key] == pytest.approx(share, rel=1e-12)
    assert check.sum() == pytest.approx(5.0)


@pytest.mark.parametrize("name", MODELS)
def test_rank_is_the_share_of_draws_up_to_what_is_observed(name):
    check = mrp.pp_check(fit_of(name, draws=50), by="state", seed=2)
    draws, observed = values_of(check.draws), check.labels["observed"].to_numpy()
    nearly = np.nextafter(observed, np.inf) + 1e-12
    np.testing.assert_allclose(check.labels["rank"], (draws <= nearly[:, None]).mean(axis=1))


def test_rank_counts_draws_that_equal_what_is_observed():
    survey = SURVEY.assign(y=1)
    model = mrp.Model("y ~ 1", survey.assign(y=SURVEY["y"]), family="bernoulli")
    certain = xr.Dataset({"Intercept": (("chain", "draw"), np.full((2, 5), 50.0))})
    fit = mrp.Fit.from_draws(model.with_outcome(survey["y"]), certain)
    check = mrp.pp_check(fit, by="state", wts="weight", seed=1)
    np.testing.assert_allclose(values_of(check.draws), 1.0, rtol=1e-12)
    assert (check.labels["rank"] == 1.0).all()


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
    assert check.labels.columns.tolist() == ["education", "respondents", "observed", "rank"]
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
            "`by` must not name columns that results are written to, got ['observed']. Rename "
            "them in the data.",
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


def test_counts_that_may_be_negative_are_refused():
    model = mrp.Model("count ~ 1", SURVEY, family="poisson", link="identity")
    draws = xr.Dataset({"Intercept": (("chain", "draw"), [[2.0, -0.5]])})
    message = (
        "`pp_check` needs expected counts of 0 or more, got -0.5: with the identity link they may "
        "be negative. Use the log link."
    )
    with raises(DataError, message):
        mrp.pp_check(mrp.Fit.from_draws(model, draws))
