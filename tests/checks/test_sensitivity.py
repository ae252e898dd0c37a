"""Sensitivity of estimates: ArviZ's numbers, known directions, and what it needs."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.checks.sensitivity import CONFLICT, PRIOR
from mrp.errors import FitError, RequestError
from mrp.model.log_prior import log_prior
from tests.cases import FRAME
from tests.checks.families import MODELS, SURVEY, fit_of, model_of
from tests.messages import raises


def with_prior(name, chains=4, draws=50):
    """A fit that has the log density of its priors."""
    model, fit = model_of(name), fit_of(name, chains, draws)
    density = log_prior(fit.parameters, model.design, model.observed, model.priors, model.by_level)
    tree = xr.DataTree.from_dict({"posterior": fit.parameters, "log_prior": density})
    return mrp.Fit.from_draws(model, tree)


def of_arviz(fit, estimates, group, **options):
    """Sensitivities from the log densities of all respondents and all priors."""
    draws = estimates.draws
    posterior = xr.Dataset({"it": (("chain", "draw", "row"), draws.to_numpy())})
    tree = xr.DataTree.from_dict({
        "posterior": posterior,
        "log_prior": fit.draws["log_prior"].to_dataset(),
        "log_likelihood": fit.log_likelihood().to_dataset(),
    })  # fmt: skip
    return arviz_stats.psense(tree, group=group, **options)["it"].to_numpy()


@pytest.mark.parametrize("name", MODELS)
def test_sensitivities_are_those_of_arviz(name):
    fit = with_prior(name)
    estimates = mrp.avg_predictions(fit, by="gender")
    found = mrp.sensitivity(fit, estimates)
    np.testing.assert_allclose(found["prior"], of_arviz(fit, estimates, "prior"), rtol=1e-8)
    expected = of_arviz(fit, estimates, "likelihood")
    np.testing.assert_allclose(found["likelihood"], expected, rtol=1e-8)


def test_sensitivity_is_that_of_poststratified_estimates_with_their_labels():
    fit = with_prior("bernoulli")
    areas = mrp.poststratify(fit, FRAME.assign(age=FRAME["age"]), by="state", wts="n")
    found = mrp.sensitivity(fit, areas)
    assert found.columns.tolist() == ["state", "prior", "likelihood", "diagnosis"]
    pd.testing.assert_series_equal(found["state"], areas.labels["state"])
    assert (found[["prior", "likelihood"]] >= 0).all(axis=None)


def test_priors_can_be_scaled_one_by_one():
    fit = with_prior("bernoulli")
    names = ["1|state_sigma", "gender|state_sigma"]
    estimates = fit.fixef()
    found = mrp.sensitivity(fit, estimates, prior=names)["prior"]
    expected = of_arviz(fit, estimates, "prior", group_var_names=names)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    one = mrp.sensitivity(fit, estimates, prior="age")["prior"]
    expected = of_arviz(fit, estimates, "prior", group_var_names="age")
    np.testing.assert_allclose(one, expected, rtol=1e-8)


# --- a posterior that is known --------------------------------------------------------------------

N, DATA_MEAN = 25, 1.0


def normal(prior_sd, prior_mean=0.0, draws=4000):
    """Independent draws of a mean with known sigma 1, and a normal prior."""
    y = np.random.default_rng(1).standard_normal(N)
    survey = pd.DataFrame({"y": y - y.mean() + DATA_MEAN})
    precision = N + prior_sd**-2
    mean = (N * DATA_MEAN + prior_mean * prior_sd**-2) / precision
    at = mean + np.random.default_rng(2).standard_normal((4, draws // 4)) / np.sqrt(precision)
    priors = {"Intercept": f"normal({prior_mean}, {prior_sd})", "sigma": "exponential(1)"}
    model = mrp.Model("y ~ 1", survey, family="gaussian", priors=priors)
    posterior = xr.Dataset(
        {"Intercept": (("chain", "draw"), at), "sigma": (("chain", "draw"), np.ones(at.shape))}
    )
    density = log_prior(posterior, model.design, model.observed, model.priors)
    tree = xr.DataTree.from_dict({"posterior": posterior, "log_prior": density})
    return mrp.Fit.from_draws(model, tree)


@pytest.mark.parametrize(
    ("prior_sd", "prior_mean", "diagnosis"),
    [(10.0, 0.0, ""), (0.2, -1.0, CONFLICT), (0.02, 0.5, PRIOR)],
)
def test_diagnosis_is_the_right_one_where_the_posterior_is_known(prior_sd, prior_mean, diagnosis):
    fit = normal(prior_sd, prior_mean)
    estimates = mrp.avg_predictions(fit)
    (row,) = mrp.sensitivity(fit, estimates).itertuples()
    if diagnosis == PRIOR:
        # the likelihood's share of the information is 1 in 100
        assert row.likelihood < row.prior
        (row,) = mrp.sensitivity(fit, estimates, threshold=row.likelihood * 1.01).itertuples()
    assert row.diagnosis == diagnosis


def test_tighter_prior_far_from_the_data_matters_more():
    found = [
        mrp.sensitivity(fit, mrp.avg_predictions(fit))["prior"].item()
        for fit in (normal(sd, -1.0) for sd in (5.0, 1.0, 0.5, 0.2))
    ]
    assert found == sorted(found)


def test_estimate_that_is_the_same_in_all_draws_is_not_sensitive():
    fit = with_prior("bernoulli")
    same = mrp.avg_predictions(fit, by="gender").hypothesis("b1 - b1 = 0")
    assert mrp.sensitivity(fit, same)[["prior", "likelihood"]].to_numpy().tolist() == [[0, 0]]


def test_flat_priors_matter_to_nothing():
    model = mrp.Model("y ~ x", SURVEY, family="bernoulli", priors={"b": "flat"})
    draws = mrp.testing.fake_draws(model.design)
    density = log_prior(draws, model.design, model.observed, model.priors)
    tree = xr.DataTree.from_dict({"posterior": draws, "log_prior": density})
    fit = mrp.Fit.from_draws(model, tree)
    assert (mrp.sensitivity(fit, fit.fixef(), prior="x")["prior"] == 0).all()


# --- what is needed -------------------------------------------------------------------------------


def test_draws_from_elsewhere_say_what_they_lack():
    fit = fit_of("bernoulli")
    message = (
        "`sensitivity` needs the log density of the priors at the draws, the group 'log_prior' of "
        "`fit.draws`, which this fit lacks. Available: ['posterior']. Sample the model again, or "
        "add it to the tree that Fit.from_draws is given."
    )
    with raises(FitError, message):
        mrp.sensitivity(fit, fit.fixef())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"prior": "agee"},
            "`prior` must name parameters that have a prior, got 'agee'. Available: ['Intercept', "
            "'age', 'military', '1|state_sigma', 'gender|state_sigma', 'state_cor']. Did you mean "
            "'age'?",
        ),
        ({"prior": []}, "`prior` must name at least one parameter, got none. Leave it out."),
        ({"threshold": 0}, "`threshold` must be a positive number, got 0. Usual: 0.05."),
        ({"threshold": True}, "`threshold` must be a positive number, got True. Usual: 0.05."),
    ],
)
def test_requests_that_can_t_be_honoured_are_refused(options, message):
    fit = with_prior("bernoulli")
    with raises(RequestError, message):
        mrp.sensitivity(fit, fit.fixef(), **options)


def test_estimates_of_other_draws_are_refused():
    fit = with_prior("bernoulli")
    message = (
        "`estimates` must be made of the draws of `fit` (4 chains, 200 draws), got others (2 "
        "chains, 12 posterior draws). Make them of this fit."
    )
    with raises(RequestError, message):
        mrp.sensitivity(fit, fit_of("bernoulli").fixef())


def test_a_prior_is_not_sensitive_to_data():
    prior = model_of("bernoulli").sample_prior(draws=10, seed=1)
    message = (
        "`fit` must have draws from the posterior, got draws from the prior, which depend on no "
        "data. Use model.sample()."
    )
    with raises(RequestError, message):
        mrp.sensitivity(prior, prior.fixef())


# --- one run --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sampled():
    """A short run of the kernel."""
    model = model_of("bernoulli")
    with pytest.warns(mrp.errors.SamplingWarning):
        fit = model.sample(draws=20, tune=50, chains=2, seed=1, progress=False)
    return model, fit


def test_a_run_keeps_the_log_density_of_its_priors(sampled, tmp_path):
    model, fit = sampled
    expected = log_prior(fit.parameters, model.design, model.observed, model.priors)
    xr.testing.assert_equal(fit.draws["log_prior"].to_dataset(), expected)
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    found = mrp.sensitivity(loaded, loaded.fixef())
    pd.testing.assert_frame_equal(found, mrp.sensitivity(fit, fit.fixef()))


def test_a_run_has_a_number_for_every_check(sampled):
    table = sampled[1].diagnostics()
    assert table["ok"].notna().all()
    assert table["value"].notna().all()
    assert sampled[1].info["ebfmi"] == table.set_index("check").loc["ebfmi", "value"]
