"""Log densities of priors: SciPy's one by one, PyMC's for every model, LKJ by its marginals."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import mrp
from mrp.model.distributions import DISTRIBUTIONS, make, parse
from mrp.model.log_prior import _DENSITIES, lkj_log_density, log_prior
from mrp.model.prior_draws import lkj_cholesky
from tests import loops
from tests.cases import CASES, SURVEY
from tests.checks.families import MODELS, fit_of, model_of
from tests.checks.families import SURVEY as SURVEY_OF_FAMILIES

SCIPY = {
    "normal(0.5, 2)": stats.norm(0.5, 2.0),
    "student_t(3, 0.5, 2)": stats.t(3.0, 0.5, 2.0),
    "cauchy(0.5, 2)": stats.cauchy(0.5, 2.0),
    "laplace(0.5, 2)": stats.laplace(0.5, 2.0),
    "half_normal(2)": stats.halfnorm(scale=2.0),
    "half_cauchy(2)": stats.halfcauchy(scale=2.0),
    "exponential(2)": stats.expon(scale=0.5),
    "gamma(2, 3)": stats.gamma(2.0, scale=1 / 3),
    "inv_gamma(0.4, 0.3)": stats.invgamma(0.4, scale=0.3),
}
AT = xr.DataArray([0.01, 0.5, 1.0, 3.0, 40.0], dims="draw")


@pytest.mark.parametrize("text", SCIPY)
def test_densities_are_those_of_scipy(text):
    prior = parse(text)
    found = _DENSITIES[prior.name](AT, **prior.values)
    np.testing.assert_allclose(found, SCIPY[text].logpdf(AT), rtol=1e-12)


def test_half_student_t_is_twice_as_dense_as_the_whole():
    prior = make("half_student_t", nu=3.0, sigma=2.0)
    expected = np.log(2) + stats.t(3.0, 0.0, 2.0).logpdf(AT)
    np.testing.assert_allclose(_DENSITIES[prior.name](AT, **prior.values), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["flat", "half_flat"])
def test_flat_priors_count_as_zero(name):
    assert (_DENSITIES[name](AT) == 0).all()


def test_every_distribution_of_numbers_has_a_density():
    assert set(_DENSITIES) == {n for n, d in DISTRIBUTIONS.items() if d.support != "correlation"}


# --- correlations ---------------------------------------------------------------------------------


def correlations(width, eta, draws=20, seed=1):
    factor = lkj_cholesky(np.random.default_rng(seed), width, eta, draws)
    return factor @ np.swapaxes(factor, 1, 2)


@pytest.mark.parametrize("eta", [0.5, 1.0, 2.5])
def test_one_correlation_is_beta_distributed(eta):
    matrix = correlations(2, eta)
    expected = stats.beta(eta, eta, -1.0, 2.0).logpdf(matrix[:, 0, 1])
    np.testing.assert_allclose(lkj_log_density(matrix, eta), expected, rtol=1e-9)


@pytest.mark.parametrize("eta", [1.0, 2.5])
@pytest.mark.parametrize("width", [2, 3, 4])
def test_correlations_have_the_density_of_pymc(width, eta):
    import pymc as pm

    matrix = correlations(width, eta, draws=4)
    dist = pm.LKJCorr.dist(n=width, eta=eta)
    for one in matrix:
        factor = np.linalg.cholesky(one)  # PyMC's density is that of the factor
        jacobian = np.arange(width - 1, -1, -1) @ np.log(np.diag(factor))
        expected = pm.logp(dist, factor).eval() - jacobian
        assert lkj_log_density(one, eta) == pytest.approx(expected, rel=1e-9)


def test_density_of_three_correlations_integrates_to_one():
    rng = np.random.default_rng(5)
    pairs = rng.uniform(-1, 1, (200_000, 3))
    matrix = np.broadcast_to(np.eye(3), (len(pairs), 3, 3)).copy()
    low, high = np.tril_indices(3, -1)
    matrix[:, low, high] = matrix[:, high, low] = pairs
    possible = np.linalg.eigvalsh(matrix)[:, 0] > 0
    density = np.where(possible, np.exp(lkj_log_density(np.where(
        possible[:, None, None], matrix, np.eye(3)), 2.5)), 0.0)  # fmt: skip
    assert 8 * density.mean() == pytest.approx(1.0, abs=0.01)


def test_uniform_correlations_have_the_same_density_everywhere():
    matrix = correlations(3, 1.0)
    matrix[0] = 1.0  # singular
    found = lkj_log_density(matrix, 1.0)
    assert np.ptp(found) == 0
    assert np.isfinite(found).all()


# --- models ---------------------------------------------------------------------------------------


def density_of(model, parameters):
    return log_prior(parameters, model.design, model.observed, model.priors, model.by_level)


def with_auxiliary(model, draws):
    for name in model.priors.auxiliary:
        draws[name] = (("chain", "draw"), np.full((draws.sizes["chain"], draws.sizes["draw"]), 1.7))
    return draws


def of_pymc(model, name, values):
    """Sum of the log density of a variable of PyMC's model."""
    import pymc as pm

    return float(pm.logp(model.pymc[name], values).eval().sum())


@pytest.mark.parametrize("name", CASES)
def test_densities_of_every_model_are_those_of_pymc(name):
    case = CASES[name]
    draws = with_auxiliary(case.model, case.draws.copy())
    found = density_of(case.model, draws).isel(chain=1, draw=2)
    one = draws.isel(chain=1, draw=2)
    in_graph = [rv.name for rv in case.model.pymc.free_RVs]
    for variable in found.data_vars:
        if str(variable) in in_graph:
            expected = of_pymc(case.model, variable, one[variable].to_numpy())
            # PyMC's constants of Student's t are in single precision
            assert float(found[variable]) == pytest.approx(expected, rel=1e-7), variable
    apart = {v for v in map(str, found.data_vars) if v not in in_graph}
    assert apart <= {"Intercept"} | {v for v in map(str, found.data_vars) if "_cor" in v}


@pytest.mark.parametrize("name", [n for n in CASES if "Intercept" in CASES[n].draws])
def test_intercept_has_the_density_of_the_mean_linear_predictor(name):
    case = CASES[name]
    population = loops.only(case.terms, ())
    plain = lambda row: [term for term in population(row) if term[0]]  # noqa: E731 - no offset
    etas = np.mean(loops.predictions(loops.records(SURVEY), plain, case.draws), axis=0)
    prior = case.model.priors.population["Intercept"].values
    found = density_of(case.model, with_auxiliary(case.model, case.draws.copy()))["Intercept"]
    expected = stats.norm(prior["mu"], prior["sigma"]).logpdf(etas)
    np.testing.assert_allclose(found.to_numpy().ravel(), expected, rtol=1e-10)


def test_intercept_of_predictors_as_they_are_has_its_own_density():
    model = mrp.Model("y ~ x", SURVEY, family="bernoulli", center_predictors=False)
    draws = mrp.testing.fake_draws(model.design)
    prior = model.priors.population["Intercept"].values
    expected = stats.norm(prior["mu"], prior["sigma"]).logpdf(draws["Intercept"])
    np.testing.assert_allclose(density_of(model, draws)["Intercept"], expected, rtol=1e-12)


def test_correlations_of_a_model_have_the_density_of_lkj():
    model = mrp.Model(
        "y ~ x + (1 + x | state)", SURVEY, family="bernoulli", priors={"cor": "lkj(3)"}
    )
    draws = mrp.testing.fake_draws(model.design)
    r = draws["state_cor"].to_numpy()[..., 0]
    expected = stats.beta(3.0, 3.0, -1.0, 2.0).logpdf(r)
    np.testing.assert_allclose(density_of(model, draws)["state_cor"], expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["cumulative", "sratio"])
def test_thresholds_have_the_density_of_centred_predictors(name):
    model, draws = model_of(name), fit_of(name).parameters
    old = (SURVEY_OF_FAMILIES["age"] == "old").mean()
    middle = (SURVEY_OF_FAMILIES["age"] == "middle").mean()
    military = SURVEY_OF_FAMILIES["military"].mean()
    shift = middle * draws["age"].sel(age_dim="middle") + old * draws["age"].sel(age_dim="old")
    at = draws["threshold"] - shift - military * draws["military"]
    prior = model.priors.threshold.values
    expected = stats.norm(prior["mu"], prior["sigma"]).logpdf(at.to_numpy()).sum(axis=-1)
    np.testing.assert_allclose(density_of(model, draws)["threshold"], expected, rtol=1e-10)


def test_levels_of_an_outcome_have_the_same_priors():
    model, draws = model_of("categorical"), fit_of("categorical").parameters
    found = density_of(model, draws)
    prior = model.priors.population["age"].values
    per = stats.norm(prior["mu"], np.broadcast_to(prior["sigma"], 2)[:, None])
    values = draws["age"].transpose("chain", "draw", "age_dim", "party_reduced_dim").to_numpy()
    expected = per.logpdf(values).sum(axis=(2, 3))
    np.testing.assert_allclose(found["age"], expected, rtol=1e-10)
    sd = model.priors.sd["1|state"].values["sigma"]
    at = draws["1|state_sigma"].to_numpy()
    expected = stats.halfnorm(scale=sd).logpdf(at).sum(axis=-1)
    np.testing.assert_allclose(found["1|state_sigma"], expected, rtol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_every_prior_has_a_density_for_every_draw(name):
    model, fit = model_of(name), fit_of(name)
    found = density_of(model, fit.parameters)
    effects = {block.variable(t) for block in model.design.blocks for t in block.terms}
    assert set(found.data_vars) == set(fit.parameters.data_vars) - effects
    assert all(array.dims == ("chain", "draw") for array in found.data_vars.values())
    assert all(np.isfinite(array).all() for array in found.data_vars.values())
