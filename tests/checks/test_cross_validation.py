"""LOO by distinct rows is ArviZ's of all respondents, to rounding."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.checks import cross_validation
from mrp.errors import RequestError
from tests.checks.families import MODELS, SURVEY, fit_of, model_of
from tests.messages import raises

QUIET = pytest.mark.filterwarnings(
    "ignore:Pareto k is over:UserWarning", "ignore:Estimated shape parameter:UserWarning"
)


def of_arviz(fit):
    """LOO of the array of all respondents."""
    posterior = fit.parameters
    likelihood = fit.log_likelihood().to_dataset()
    tree = xr.DataTree.from_dict({"posterior": posterior, "log_likelihood": likelihood})
    return arviz_stats.loo(tree, pointwise=True)


def small(name):
    return fit_of(name, chains=4, draws=60)


@QUIET
@pytest.mark.parametrize("name", MODELS)
def test_loo_is_that_of_arviz(name):
    found, expected = small(name).loo(), of_arviz(small(name))
    for part in ("elpd", "se", "p"):
        assert found[part] == pytest.approx(expected[part], rel=1e-10)
    for part in ("elpd_i", "pareto_k"):
        np.testing.assert_allclose(found[part], expected[part], rtol=1e-10)
    for part in ("n_samples", "n_data_points", "scale", "warning", "good_k", "kind"):
        assert found[part] == expected[part]


@QUIET
def test_loo_of_one_chain_is_that_of_arviz():
    fit = fit_of("bernoulli", chains=1, draws=100)
    assert fit.loo().elpd == pytest.approx(of_arviz(fit).elpd, rel=1e-10)


@QUIET
def test_size_of_blocks_does_not_matter(monkeypatch):
    expected = small("poisson").loo()
    sevens = lambda n, size: (slice(k, min(k + 7, n)) for k in range(0, n, 7))  # noqa: E731
    monkeypatch.setattr(cross_validation, "blocks", sevens)
    xr.testing.assert_allclose(small("poisson").loo().elpd_i, expected.elpd_i, rtol=1e-12)


@QUIET
def test_respondents_alike_are_computed_once_and_count_each():
    twice = pd.concat([SURVEY, SURVEY], ignore_index=True)
    fit = mrp.Fit.from_draws(model_of("bernoulli", twice), small("bernoulli").parameters)
    one, both = small("bernoulli").loo(), fit.loo()
    assert both.n_data_points == 2 * one.n_data_points
    np.testing.assert_allclose(both.elpd_i, np.tile(one.elpd_i, 2), rtol=1e-12)
    assert both.p == pytest.approx(2 * one.p)


@QUIET
def test_results_can_be_compared():
    smaller = mrp.Model("y ~ age", SURVEY, family="bernoulli")
    names = ["Intercept", "age"]
    other = mrp.Fit.from_draws(smaller, small("bernoulli").parameters[names])
    results = {"all": small("bernoulli").loo(), "age alone": other.loo()}
    table = arviz_stats.compare(results)
    theirs = arviz_stats.compare(
        {"all": of_arviz(small("bernoulli")), "age alone": of_arviz(other)}
    )
    pd.testing.assert_frame_equal(table, theirs)


def test_large_k_is_said_and_counted():
    fit = small("poisson")
    with pytest.warns(UserWarning, match="Pareto k is over") as caught:
        found = fit.loo()
    bad = int((found.pareto_k > found.good_k).sum())
    assert bad
    (one,) = caught
    assert str(one.message) == (
        f"Pareto k is over {found.good_k:.2f} for {bad} of 80 respondents (up to "
        f"{float(found.pareto_k.max()):.2f}): the draws say little of how the model does without "
        f"them, and `elpd` can't be relied on. See `pareto_k` for whom; more `draws` may help."
    )
    assert one.filename == __file__


def test_a_prior_has_left_nobody_in():
    prior = model_of("bernoulli").sample_prior(draws=10, seed=1)
    message = (
        "`loo` needs draws from the posterior, got draws from the prior, which have seen no "
        "respondent to leave out. Use model.sample()."
    )
    with raises(RequestError, message):
        prior.loo()
