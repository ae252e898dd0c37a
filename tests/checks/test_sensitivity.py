"""Sensitivity of estimates: ArviZ's numbers, known directions, and what it needs."""

from __future__ import annotations

from dataclasses import replace

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.checks.sensitivity import CONFLICT, PRIOR
from mrp.errors import FitError, RequestError, listing
from mrp.model.log_prior import log_prior
from tests.cases import FRAME, permuted
from tests.checks.families import MODELS, SURVEY, fit_of, model_of
from tests.messages import raises


def enough(name, chains=4, draws=50):
    """A fit of enough draws."""
    return fit_of(name, chains, draws)


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
    fit = enough(name)
    estimates = mrp.avg_predictions(fit, by="gender")
    found = mrp.sensitivity(fit, estimates)
    np.testing.assert_allclose(found["prior"], of_arviz(fit, estimates, "prior"), rtol=1e-8)
    expected = of_arviz(fit, estimates, "likelihood")
    np.testing.assert_allclose(found["likelihood"], expected, rtol=1e-8)


def test_sensitivity_is_that_of_poststratified_estimates_with_their_labels():
    fit = enough("bernoulli")
    areas = mrp.poststratify(fit, FRAME.assign(age=FRAME["age"]), by="state", wts="n")
    found = mrp.sensitivity(fit, areas)
    assert found.columns.tolist() == ["state", "prior", "likelihood", "diagnosis"]
    pd.testing.assert_series_equal(found["state"], areas.labels["state"])
    assert (found[["prior", "likelihood"]] >= 0).all(axis=None)


def test_priors_can_be_scaled_one_by_one():
    fit = enough("bernoulli")
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
    return mrp.Fit.from_draws(model, posterior)


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
    fit = enough("bernoulli")
    same = mrp.avg_predictions(fit, by="gender").hypothesis("b1 - b1 = 0")
    assert mrp.sensitivity(fit, same)[["prior", "likelihood"]].to_numpy().tolist() == [[0, 0]]


def test_flat_priors_matter_to_nothing():
    model = mrp.Model("y ~ x", SURVEY, family="bernoulli", priors={"b": "flat"})
    fit = mrp.Fit.from_draws(model, mrp.testing.fake_draws(model.design))
    assert (mrp.sensitivity(fit, fit.fixef(), prior="x")["prior"] == 0).all()


# --- what is needed -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_draws_from_elsewhere_have_the_density_of_the_model_s_priors(name):
    model, fit = model_of(name), fit_of(name)
    expected = log_prior(fit.parameters, model.design, model.observed, model.priors, model.by_level)
    xr.testing.assert_allclose(fit.draws["log_prior"].to_dataset(), expected)
    shuffled = mrp.Fit.from_draws(model, permuted(fit.parameters))
    xr.testing.assert_allclose(shuffled.draws["log_prior"].to_dataset(), expected)


def test_labels_that_are_the_only_ones_may_be_missing_as_in_draws_of_brms():
    model, fit = model_of("bernoulli"), fit_of("bernoulli")
    bare = fit.parameters.assign(
        state_cor=fit.parameters["state_cor"].isel(state_cor_dim=0, drop=True),
        **{
            "gender|state_sigma": fit.parameters["gender|state_sigma"].isel(
                gender__expr_dim=0, drop=True
            )
        },
    )
    found = mrp.Fit.from_draws(model, bare)
    xr.testing.assert_allclose(
        found.draws["log_prior"].to_dataset(), fit.draws["log_prior"].to_dataset()
    )


def test_density_that_came_with_the_draws_is_kept_and_summed_over_coefficients():
    fit = fit_of("bernoulli", 4, 50)
    density = xr.Dataset({"age": xr.zeros_like(fit.parameters["age"]) + fit.parameters["age"]})
    tree = xr.DataTree.from_dict({"posterior": fit.parameters, "log_prior": density})
    given = mrp.Fit.from_draws(model_of("bernoulli"), tree)
    xr.testing.assert_identical(given.draws["log_prior"].to_dataset(), density)
    summed = xr.DataTree.from_dict(
        {"posterior": fit.parameters, "log_prior": density.sum("age_dim")}
    )
    expected = mrp.Fit.from_draws(model_of("bernoulli"), summed)
    pd.testing.assert_frame_equal(
        mrp.sensitivity(given, given.fixef()), mrp.sensitivity(expected, expected.fixef())
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda draws: draws.drop_vars("state_cor"),
        lambda draws: draws.assign_coords(state_cor_dim=["x"]),
        lambda draws: draws.assign(state_cor=draws["state_cor"].expand_dims(more=2)),
    ],
)
def test_parameters_that_draws_from_elsewhere_lack_are_named(change):
    draws = change(fit_of("bernoulli", 4, 50).parameters)
    fit = mrp.Fit.from_draws(model_of("bernoulli"), draws)
    message = (
        f"`sensitivity` needs draws of every parameter that has a prior, this fit lacks "
        f"['state_cor'], or has them with other dims or labels. Available: "
        f"{listing(draws.data_vars)}. Add them to the draws that Fit.from_draws is given."
    )
    assert "log_prior" not in fit.draws.children
    with raises(FitError, message):
        mrp.sensitivity(fit, fit.fixef())


def test_fit_that_lost_the_density_of_its_priors_says_so():
    fit = fit_of("bernoulli", 4, 50)
    lean = replace(fit, draws=xr.DataTree.from_dict({"posterior": fit.parameters}))
    message = (
        "`sensitivity` needs the log density of the priors at the draws, the group 'log_prior' of "
        "`fit.draws`, which this fit lacks. Available: ['posterior']. Sample the model again, or "
        "make the fit with Fit.from_draws."
    )
    with raises(FitError, message):
        mrp.sensitivity(lean, lean.fixef())


@pytest.mark.parametrize("name", ["1|state_sigma", "gender|state_sigma", "state_cor"])
def test_draws_where_a_prior_has_no_density_are_refused(name):
    draws = fit_of("bernoulli", 4, 50).parameters.copy(deep=True)
    draws[name][0, :3] = np.nan
    fit = mrp.Fit.from_draws(model_of("bernoulli"), draws)
    message = (
        f"`sensitivity` needs draws at which the prior of {name!r} has a density, got 3 of 200 "
        f"draws at which it has none. Are they draws of this model?"
    )
    with raises(FitError, message):
        mrp.sensitivity(fit, fit.fixef())


@pytest.mark.parametrize(("chains", "draws"), [(1, 1), (2, 12)])
def test_too_few_draws_are_refused(chains, draws):
    fit = fit_of("bernoulli", chains, draws)
    message = (
        f"`sensitivity` needs at least 25 draws, got {chains * draws}. Sample more of them: usual "
        f"are 4 chains of 1,000."
    )
    with raises(RequestError, message):
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
        (
            {"prior": 3},
            "`prior` must name parameters that have a prior, got 3. Available: ['Intercept', "
            "'age', 'military', '1|state_sigma', 'gender|state_sigma', 'state_cor'].",
        ),
        ({"prior": []}, "`prior` must name at least one parameter, got none. Leave it out."),
        ({"threshold": 0}, "`threshold` must be a positive number, got 0. Usual: 0.05."),
        ({"threshold": True}, "`threshold` must be a positive number, got True. Usual: 0.05."),
        ({"threshold": np.nan}, "`threshold` must be a positive number, got nan. Usual: 0.05."),
        ({"threshold": "5%"}, "`threshold` must be a positive number, got '5%'. Usual: 0.05."),
    ],
)
def test_requests_that_can_t_be_honoured_are_refused(options, message):
    fit = enough("bernoulli")
    with raises(RequestError, message):
        mrp.sensitivity(fit, fit.fixef(), **options)


OTHERS = (
    "`estimates` must be made of the draws of `fit`, got estimates of others, or of several fits. "
    "Make them of this fit."
)


def test_estimates_of_another_fit_of_the_same_size_are_refused():
    fit, other = enough("bernoulli"), enough("probit")
    other = mrp.Fit.from_draws(
        model_of("probit"), other.parameters.isel(draw=slice(None, None, -1))
    )
    prior = model_of("bernoulli").sample_prior(draws=200, seed=1)
    both = mrp.concat({"a": fit.fixef(), "b": other.fixef()})
    for estimates in (other.fixef(), mrp.avg_predictions(other), prior.fixef(), both):
        with raises(RequestError, OTHERS):
            mrp.sensitivity(fit, estimates)


def test_everything_that_is_made_of_the_fit_is_taken(tmp_path):
    fit = enough("bernoulli")
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    by_gender = mrp.avg_predictions(fit, by="gender")
    for estimates in (
        fit.varcorr(),
        fit.ranef(),
        loaded.fixef(),
        by_gender.hypothesis("~ pairwise"),
        by_gender.hypothesis(0.3).with_interval(ci_prob=0.5),
        mrp.avg_predictions(fit, transform=np.log),
        mrp.avg_predictions(fit, re_formula=None),
        mrp.avg_predictions(fit, re_formula=False),
        mrp.avg_comparisons(fit, variables="gender"),
        mrp.concat(
            {"all": mrp.avg_predictions(fit, by="age"), "again": mrp.avg_predictions(fit, by="age")}
        ),
    ):
        assert len(mrp.sensitivity(fit, estimates)) == len(estimates)
        assert len(mrp.sensitivity(loaded, estimates)) == len(estimates)


def test_estimates_that_are_not_finite_are_named():
    fit = enough("bernoulli")
    estimates = mrp.avg_predictions(fit, by="gender")
    limit = float(estimates.draws.sel(gender="Woman").max())
    broken = mrp.avg_predictions(
        fit, by="gender", transform=lambda x: np.where(x == limit, np.inf, x)
    )
    message = (
        "`estimates` must have finite draws, got others in ['Woman']. Leave those out, or look at "
        "what they are made by, such as `transform`."
    )
    with raises(RequestError, message):
        mrp.sensitivity(fit, broken)


def test_arguments_of_other_types_are_refused():
    fit = enough("bernoulli")
    message = (
        "`estimates` must be Estimates, got DataFrame. Make them with mrp.poststratify() or "
        "another verb."
    )
    with raises(RequestError, message):
        mrp.sensitivity(fit, fit.fixef().to_frame())
    message = "`fit` must be a Fit, got Estimates. Make one with model.sample() or mrp.load_fit()."
    with raises(RequestError, message):
        mrp.sensitivity(fit.fixef(), fit)


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
