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
        f"them, and `elpd` can't be relied on. See `pareto_k` for which. More draws hardly help "
        f"where it is over 0.7: look whether the model describes them (`mrp.pp_check`), or refit "
        f"without them."
    )
    assert one.filename == __file__


@pytest.mark.parametrize(
    ("largest", "advice"),
    [
        (0.6, "About 400 draws are enough for it."),  # 10 ** 2.5 = 316.2
        (0.66, "About 900 draws are enough for it."),
        (0.6999, "About 3,000 draws are enough for it."),
    ],
)
def test_more_draws_are_advised_only_where_they_help(largest, advice):
    assert cross_validation._advice(largest) == advice
    draws = int(advice.split()[1].replace(",", ""))
    assert 1 - 1 / np.log10(draws) >= largest
    assert cross_validation._advice(0.7).startswith("More draws hardly help")


def test_rows_with_trials_are_left_out_as_a_whole():
    with pytest.warns(UserWarning, match=r"Pareto k is over .* of 80 rows \(up to"):
        found = small("binomial").loo()
    assert found.n_data_points == len(SURVEY) < SURVEY["trials"].sum()


@pytest.mark.parametrize(("chains", "draws"), [(1, 1), (1, 24), (2, 12), (4, 6)])
def test_too_few_draws_are_refused_at_once(chains, draws):
    message = (
        f"`loo` needs at least 25 draws, got {chains * draws}. Sample more of them: usual are 4 "
        f"chains of 1,000."
    )
    with raises(RequestError, message):
        fit_of("bernoulli", chains, draws).loo()


@QUIET
def test_twenty_five_draws_are_enough_to_compute_it():
    assert np.isfinite(fit_of("bernoulli", 1, 25).loo().elpd)


@QUIET
def test_what_else_came_with_the_draws_does_not_matter():
    draws = small("bernoulli").parameters
    others = draws.assign(
        lp__=xr.full_like(draws["military"], np.nan),
        version=xr.full_like(draws["military"], "2.33", dtype="<U4"),
    )
    found = mrp.Fit.from_draws(model_of("bernoulli"), others).loo()
    assert found.elpd == small("bernoulli").loo().elpd


def test_a_prior_has_left_nobody_in():
    prior = model_of("bernoulli").sample_prior(draws=10, seed=1)
    message = (
        "`loo` needs draws from the posterior, got draws from the prior, which have seen no "
        "respondent to leave out. Use model.sample()."
    )
    with raises(RequestError, message):
        prior.loo()
