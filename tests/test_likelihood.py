"""The log likelihood: SciPy's densities respondent by respondent, PyMC's, and its exact tails."""

from __future__ import annotations

from types import SimpleNamespace

import arviz_base
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import mrp
from mrp import likelihood
from mrp.errors import DataError, FitError, RequestError
from tests.checks.families import MODELS, SURVEY, fit_of, model_of, values_of
from tests.messages import raises

DENSITY = {
    "bernoulli": lambda y, mean, other, n: stats.bernoulli.logpmf(y, mean),
    "binomial": lambda y, mean, other, n: stats.binom.logpmf(y, n, mean),
    "gaussian": lambda y, mean, other, n: stats.norm.logpdf(y, mean, other),
    "poisson": lambda y, mean, other, n: stats.poisson.logpmf(y, mean),
    "negativebinomial": lambda y, mean, other, n: stats.nbinom.logpmf(
        y, other, other / (other + mean)
    ),
}
"""Of an outcome, by its mean, the family's other parameter and the number of trials."""
OUTCOME = {
    "binomial": "successes",
    "gaussian": "score",
    "poisson": "count",
    "negativebinomial": "count",
}


def looped(fit):
    """Log densities (respondents, draws), one at a time."""
    mean = values_of(mrp.predictions(fit).draws)
    other = {"gaussian": "sigma", "negativebinomial": "alpha"}.get(fit.family)
    draws = values_of(fit.parameters[other]) if other else np.full(mean.shape[1], np.nan)
    y = SURVEY[OUTCOME.get(fit.family, "y")].tolist()
    result = np.empty((len(SURVEY), mean.shape[1]))
    for i in range(len(SURVEY)):
        for s in range(mean.shape[1]):
            result[i, s] = DENSITY[fit.family](y[i], mean[i, s], draws[s], 4)
    return result


@pytest.mark.parametrize("name", [n for n in MODELS if fit_of(n).levels is None])
def test_log_likelihood_is_that_of_scipy(name):
    found = fit_of(name).log_likelihood()
    np.testing.assert_allclose(values_of(found), looped(fit_of(name)), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in MODELS if fit_of(n).levels is not None])
def test_log_likelihood_of_a_level_is_the_logarithm_of_its_probability(name):
    fit = fit_of(name)
    table = mrp.predictions(fit).get_draws("wide").to_numpy().T
    labels = mrp.predictions(fit).labels
    found = values_of(fit.log_likelihood())
    for i, level in enumerate(SURVEY[fit.outcome]):
        (own,) = np.flatnonzero((labels["group"] == level) & (labels["rowid"] == i))
        np.testing.assert_allclose(found[i], np.log(table[own]), rtol=1e-11)


@pytest.mark.parametrize("name", ["bernoulli", "categorical", "negativebinomial"])
def test_log_likelihood_has_the_dims_that_arviz_takes(name):
    found = fit_of(name).log_likelihood()
    assert dict(found.sizes) == {"chain": 2, "draw": 6, "respondent": 80}
    assert found.name == fit_of(name).outcome
    tree = arviz_base.convert_to_datatree(xr.DataTree.from_dict({"log_likelihood": xr.Dataset(
        {"y": found}
    )}))  # fmt: skip
    assert tree["log_likelihood"]["y"].shape == (2, 6, 80)


@pytest.mark.parametrize("name", ["bernoulli", "negativebinomial"])
def test_log_likelihood_is_that_of_pymc(name):
    import pymc as pm

    outcome = OUTCOME.get(name, "y")
    family = {"family": name}
    fit = mrp.testing.fake_fit(f"{outcome} ~ x", SURVEY, draws=5, **family)
    posterior = fit.parameters
    if name == "negativebinomial":
        posterior = posterior.assign(alpha=np.exp(posterior["x"]))
        fit = mrp.Fit.from_draws(mrp.Model(f"{outcome} ~ x", SURVEY, **family), posterior)
    with pm.Model() as model:
        eta = pm.Normal("Intercept") + pm.Normal("x") * SURVEY["x"].to_numpy()
        if name == "bernoulli":
            pm.Bernoulli("it", logit_p=eta, observed=SURVEY[outcome])
        else:
            alpha = pm.HalfNormal("alpha")
            pm.NegativeBinomial("it", mu=pm.math.exp(eta), alpha=alpha, observed=SURVEY[outcome])
    tree = xr.DataTree.from_dict({"posterior": posterior})
    theirs = pm.compute_log_likelihood(
        tree, model=model, extend_inferencedata=False, progressbar=False
    )["it"]
    np.testing.assert_allclose(
        values_of(fit.log_likelihood()),
        theirs.to_numpy().transpose(2, 0, 1).reshape(len(SURVEY), -1),
        rtol=1e-10,
    )


@pytest.mark.parametrize("name", MODELS)
def test_total_is_the_sum_over_respondents(name):
    fit = fit_of(name)
    found = likelihood.total(likelihood.pointwise(fit, fit.observed))
    np.testing.assert_allclose(found, values_of(fit.log_likelihood()).sum(axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_size_of_blocks_does_not_matter(name, monkeypatch):
    fit = fit_of(name)
    expected = fit.log_likelihood()
    sevens = lambda n, size: (slice(k, min(k + 7, n)) for k in range(0, n, 7))  # noqa: E731
    monkeypatch.setattr(likelihood, "blocks", sevens)
    xr.testing.assert_allclose(fit.log_likelihood(), expected, rtol=1e-13)
    assert likelihood.total(likelihood.pointwise(fit, fit.observed)) == pytest.approx(
        values_of(expected).sum(axis=0)
    )


def test_respondents_alike_are_computed_once():
    twice = pd.concat([SURVEY, SURVEY], ignore_index=True)
    model = mrp.Model("y ~ age + (1 | state)", twice, family="bernoulli")
    fit = mrp.Fit.from_draws(model, mrp.testing.fake_draws(model.design))
    distinct = len(likelihood.pointwise(fit, fit.observed).distinct[0])
    assert distinct == len(SURVEY[["age", "state", "y"]].drop_duplicates())
    values = values_of(fit.log_likelihood())
    np.testing.assert_array_equal(values[:80], values[80:])


# --- tails ----------------------------------------------------------------------------------------


def at_intercept(eta, y, **options):
    """Log likelihood of an outcome at a linear predictor."""
    survey = pd.DataFrame({"y": [0, 1] if options["family"] == "bernoulli" else [0, 1, 2]})
    model = mrp.Model("y ~ 1", survey, priors="brms", **options)
    draws = xr.Dataset({"Intercept": (("chain", "draw"), [[eta]])})
    found = mrp.Fit.from_draws(model, draws).log_likelihood()
    return found.to_numpy()[0, 0, survey["y"].tolist().index(y)]


@pytest.mark.parametrize(
    ("link", "eta", "y", "expected"),
    [
        ("logit", 800.0, 1, 0.0),
        ("logit", 800.0, 0, -800.0),
        ("logit", -800.0, 1, -800.0),
        ("logit", 40.0, 1, -np.exp(-40.0)),
        ("probit", 40.0, 0, stats.norm.logsf(40.0)),
        ("probit", -40.0, 1, stats.norm.logsf(40.0)),
        ("cloglog", -800.0, 1, -800.0),
        ("cloglog", -40.0, 0, -np.exp(-40.0)),
        ("cloglog", 5.0, 0, -np.exp(5.0)),
        ("cloglog", 800.0, 1, 0.0),
        ("cloglog", 800.0, 0, -np.inf),
    ],
)
def test_tails_have_all_digits(link, eta, y, expected):
    found = at_intercept(eta, y, family="bernoulli", link=link)
    assert found == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("mean", "y", "expected"),
    [(-1.0, 0, -np.inf), (-1.0, 2, -np.inf), (0.0, 0, 0.0), (0.0, 2, -np.inf)],
)
def test_counts_can_not_have_a_negative_mean(mean, y, expected):
    assert at_intercept(mean, y, family="poisson", link="identity") == expected


# --- what is needed -------------------------------------------------------------------------------


def test_another_outcome_of_the_same_respondents_is_the_one_that_counts():
    flipped = model_of("bernoulli").with_outcome(1 - SURVEY["y"])
    fit = mrp.Fit.from_draws(flipped, fit_of("bernoulli").parameters)
    expected = fit_of("bernoulli").log_likelihood()
    p = np.exp(values_of(expected))
    np.testing.assert_allclose(np.exp(values_of(fit.log_likelihood())), 1 - p, rtol=1e-9)


@pytest.mark.parametrize("name", ["binomial", "cumulative", "gaussian"])
def test_saved_fit_has_the_same_log_likelihood(name, tmp_path):
    loaded = mrp.load_fit(fit_of(name).save(tmp_path / "fit.nc"))
    found, expected = loaded.log_likelihood(), fit_of(name).log_likelihood()
    np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())


@pytest.mark.parametrize("verb", ["log_likelihood", "loo", "pp_check"])
def test_fit_without_its_survey_says_so(verb, tmp_path):
    fit = mrp.load_fit(fit_of("bernoulli").save(tmp_path / "fit.nc", include_survey=False))
    assert fit.observed is None
    message = (
        f"`{verb}` needs the survey and its outcome, as this fit was saved without them. Save the "
        f"fit with include_survey=True, or sample the model again."
    )
    with raises(DataError, message):
        mrp.pp_check(fit) if verb == "pp_check" else getattr(fit, verb)()


def test_draws_of_the_other_parameter_are_needed():
    fit = mrp.testing.fake_fit("score ~ x", SURVEY, family="gaussian")
    message = (
        "The log likelihood needs draws of 'sigma', which this fit lacks. Available: "
        "['Intercept', 'x']. Add them to the draws that Fit.from_draws is given."
    )
    with raises(FitError, message):
        fit.log_likelihood()


def test_array_that_does_not_fit_into_memory_is_refused(monkeypatch):
    few = SimpleNamespace(available=2**12)
    monkeypatch.setattr(likelihood.psutil, "virtual_memory", lambda: few)
    message = (
        "`log_likelihood` of 80 respondents x 12 draws needs 0.0 GiB, got 0.0 GiB free. "
        "`fit.loo()` works in blocks, without this array."
    )
    with raises(RequestError, message):
        fit_of("bernoulli").log_likelihood()
