"""The kernel's fits: the posterior of the graph and of brms, and clear words where it fails."""

import pickle
import warnings

import arviz_stats
import numpy as np
import pandas as pd
import pytest
from arviz_stats.base import array_stats

import mrp
from mrp.checks.convergence import TAILS, convergence
from mrp.errors import DataError, FitError, SamplingWarning
from tests.messages import raises, warns

RAINEY = (
    "contacted ~ district_competitiveness * electoral_rules + (1 | district_id)"
    " + (1 + district_competitiveness | election_id)"
)
# Printed by brms after 10 chains of 2,000 draws: mean, standard deviation, bulk ESS.
PRINTED = {
    "1|district_id_sigma": (0.52, 0.08, 2641),
    "1|election_id_sigma": (0.64, 0.51, 2851),
    "district_competitiveness|election_id_sigma": (1.00, 0.91, 173),
    "election_id_cor[Intercept, district_competitiveness]": (-0.06, 0.57, 1752),
    "Intercept": (-2.39, 0.76, 2798),
    "district_competitiveness": (1.41, 1.16, 190),
    "electoral_rules[SMD]": (-0.74, 1.02, 2102),
    "district_competitiveness:electoral_rules[SMD]": (3.09, 1.57, 126),
}


@pytest.fixture(scope="module")
def rainey(real_data):
    model = mrp.Model(RAINEY, real_data("rainey2015"), family="bernoulli", priors="brms")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)  # judged by the tests themselves
        return model.sample(seed=1, progress=False)


def test_many_small_districts_in_few_elections_are_sampled_well_by_default(rainey):
    assert rainey.info["engine"] == "kernel"
    assert rainey.info["divergences"] <= 5
    assert rainey.info["rhat"] < 1.01
    assert rainey.info["ess_bulk"] > 400


def test_rainey_posterior_is_that_of_brms(rainey):
    summary = arviz_stats.summary(rainey.draws, round_to="none").loc[list(PRINTED)]
    printed = pd.DataFrame(PRINTED, index=["mean", "sd", "ess"]).T
    error = np.hypot(summary["mcse_mean"], printed["sd"] / np.sqrt(printed["ess"]))
    rounding = 0.005
    excess = (summary["mean"] - printed["mean"]).abs() - rounding
    assert (excess / error).max() < 4
    # relative error of a standard deviation, about; brms' chains had not quite met
    assert np.log(summary["sd"] / printed["sd"]).abs().max() < 0.35


@pytest.fixture(scope="module")
def survey():
    rng = np.random.default_rng(1)
    n = 400
    group = rng.integers(12, size=n)
    x = rng.normal(size=n)
    eta = 0.3 + rng.normal(size=12)[group] * 0.6 + (0.5 + 0.3 * rng.normal(size=12)[group]) * x
    y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    level = np.digitize(eta + rng.logistic(size=n), [-1.0, 0.7])
    return pd.DataFrame({"y": y, "x": x.round(1), "g": group, "level": level})


@pytest.mark.filterwarnings("ignore::mrp.errors.SamplingWarning")
@pytest.mark.parametrize(
    ("outcome", "family", "link"),
    [
        ("y", "bernoulli", "logit"),
        pytest.param("level", "categorical", "logit", marks=pytest.mark.slow),
        pytest.param("level", "cumulative", "probit", marks=pytest.mark.slow),
        pytest.param("level", "sratio", "cloglog", marks=pytest.mark.slow),
    ],
)
def test_kernel_and_graph_have_the_same_posterior(survey, outcome, family, link):
    model = mrp.Model(f"{outcome} ~ x + (1 + x | g)", survey, family=family, link=link)
    summaries = []
    for engine in ("kernel", "pymc"):
        fit = model.sample(draws=500, tune=500, seed=2, engine=engine, progress=False)
        assert fit.info["engine"] == engine
        summaries.append(arviz_stats.summary(fit.draws, round_to="none"))
    ours, theirs = summaries
    assert ours.index.tolist() == theirs.index.tolist()
    error = np.hypot(ours["mcse_mean"], theirs["mcse_mean"])
    assert ((ours["mean"] - theirs["mean"]) / error).abs().max() < 4.5
    spread = np.hypot(ours["mcse_sd"], theirs["mcse_sd"])
    assert ((ours["sd"] - theirs["sd"]) / spread).abs().max() < 4.5


@pytest.mark.parametrize("family", ["gaussian", "poisson", "negativebinomial"])
def test_other_families_recover_what_they_were_simulated_from(family):
    rng = np.random.default_rng(4)
    n, groups = 4000, 20
    g, x = rng.integers(groups, size=n), rng.normal(size=n).round(1)
    eta = 1.0 + 0.5 * x + 0.4 * rng.normal(size=groups)[g]
    y = {
        "gaussian": lambda: eta + 0.7 * rng.normal(size=n),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "negativebinomial": lambda: rng.poisson(np.exp(eta) * rng.gamma(3.0, 1 / 3.0, size=n)),
    }[family]()
    data = pd.DataFrame({"y": y, "x": x, "g": g})
    fit = mrp.Model("y ~ x + (1 | g)", data, family=family).sample(
        draws=500, tune=500, seed=1, progress=False
    )
    summary = arviz_stats.summary(fit.draws, round_to="none")
    truth = {"x": 0.5, "1|g_sigma": 0.4}
    truth |= {"gaussian": {"sigma": 0.7}, "negativebinomial": {"alpha": 3.0}}.get(family, {})
    for name, value in truth.items():
        row = summary.loc[name]
        assert abs(row["mean"] - value) < 3.5 * row["sd"], name
    assert fit.info["divergences"] == 0


@pytest.mark.filterwarnings("ignore::mrp.errors.SamplingWarning")
def test_a_fit_is_repeatable_by_its_seed(survey):
    model = mrp.Model("y ~ x + (1 | g)", survey, family="bernoulli")
    first, again, other = (
        model.sample(draws=200, tune=200, seed=seed, progress=False).parameters
        for seed in (5, 5, 6)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_draws_of_the_kernel_are_not_autocorrelated_where_effects_are_many(survey):
    fit = mrp.Model("y ~ x + (1 + x | g)", survey, family="bernoulli").sample(
        seed=3, progress=False
    )
    ess = arviz_stats.ess(fit.parameters, method="bulk")
    assert float(ess["1|g"].min()) > 1000
    assert float(ess["x"]) > 1000


def test_screened_diagnostics_are_those_of_arviz_for_every_parameter():
    rng = np.random.default_rng(2)
    draws = rng.normal(size=(4, 301, 40))
    for t in range(1, draws.shape[1]):  # from negatively to very autocorrelated
        draws[:, t] += np.linspace(-0.9, 0.99, 40) * draws[:, t - 1]
    draws[:, :, 4] = draws[:, :, 4].round()  # ties
    draws[0, 0, 5] = np.nan
    draws[-1, :, 6] += 1.0
    for some in (draws, draws[:, :6], draws[:, :4], draws[:1]):
        by_parameter = np.moveaxis(some, 2, 0)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = [
                array_stats.rhat(by_parameter),
                array_stats.ess(by_parameter, method="bulk"),
                array_stats.ess(by_parameter, method="tail", prob=TAILS),
            ]
        np.testing.assert_allclose(convergence([some]), expected, rtol=1e-9)


# --- refits ---------------------------------------------------------------------------------------


def test_another_outcome_gives_the_model_of_a_survey_with_that_outcome(survey):
    model = mrp.Model("y ~ x + (1 | g)", survey, family="bernoulli")
    model.pymc  # noqa: B018 - must not be handed on
    flipped = model.with_outcome(1 - survey["y"])
    fresh = mrp.Model("y ~ x + (1 | g)", survey.assign(y=1 - survey["y"]), family="bernoulli")
    assert flipped.observed.y.tolist() == fresh.observed.y.tolist()
    assert flipped.priors == fresh.priors
    assert flipped.survey["y"].tolist() == fresh.survey["y"].tolist()
    assert flipped.pymc is not model.pymc
    assert model.outcome.values.tolist() == survey["y"].tolist()
    q = np.full(flipped._packed.dim, 0.1)
    assert flipped._packed.log_density(q)[0] == fresh._packed.log_density(q)[0]


def test_another_gaussian_outcome_scales_the_default_priors_anew(survey):
    model = mrp.Model("y ~ x", survey, family="gaussian")
    scaled = model.with_outcome(10 * survey["y"])
    ratio = (
        scaled.priors.population["x"].values["sigma"] / model.priors.population["x"].values["sigma"]
    )
    assert ratio == pytest.approx(10)


def test_priors_may_be_kept_for_another_outcome(survey):
    model = mrp.Model("y ~ x", survey, family="gaussian")
    kept = model.with_outcome(10 * survey["y"], keep_priors=True)
    assert kept.priors == model.priors
    assert kept.observed.y.tolist() == model.with_outcome(10 * survey["y"]).observed.y.tolist()


def test_a_model_is_sent_without_what_it_has_built(survey):
    model = mrp.Model("y ~ x + (1 | g)", survey, family="bernoulli", priors="brms")
    before = model._packed.log_density(np.full(model._packed.dim, 0.1))[0]
    bare = len(pickle.dumps(mrp.Model("y ~ x + (1 | g)", survey, family="bernoulli")))
    sent = pickle.dumps(model)
    assert len(sent) == pytest.approx(bare, rel=0.01)
    again = pickle.loads(sent)
    assert again._packed.log_density(np.full(again._packed.dim, 0.1))[0] == before


def test_another_outcome_must_be_one_for_each_respondent(survey):
    model = mrp.Model("y ~ x", survey, family="bernoulli")
    message = (
        "`values` must have one outcome for each of 400 respondents, got shape (3,). Fit another "
        "survey with `with_data`."
    )
    with raises(DataError, message):
        model.with_outcome([0, 1, 0])


def test_another_survey_is_learned_from_anew(survey):
    model = mrp.Model("y ~ x + (1 | g)", survey, family="bernoulli", priors="brms", collapse=False)
    fewer = model.with_data(survey[survey["g"] < 5])
    assert fewer.design.factors["g"].groups == ("0", "1", "2", "3", "4")
    assert fewer.priors.population == model.priors.population
    assert not fewer.observed.collapsed


# --- what can go wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bernoulli", "categorical", "cumulative", "sratio"])
def test_separated_outcome_with_a_flat_prior_is_named_before_sampling(survey, family):
    cuts = [0.0] if family == "bernoulli" else [-0.5, 0.5]
    separated = survey.assign(y=np.digitize(survey["x"], cuts))
    ordered = {"threshold": "flat()"} if family in ("cumulative", "sratio") else {}
    priors = {"defaults": "brms", **ordered}
    model = mrp.Model("y ~ x", separated, family=family, priors=priors)
    message = (
        "The coefficient of x may have no end: the outcome is separated by it, and its prior does "
        "not hold it. Give it a proper one, such as "
        "priors={'defaults': 'brms', 'x': 'normal(0, 2.5)'}."
    )
    with warns(SamplingWarning, message):
        model._warn_if_separated()


@pytest.mark.parametrize("family", ["bernoulli", "categorical", "cumulative", "sratio"])
@pytest.mark.parametrize("priors", ["bambi", {"defaults": "brms", "x": "normal(0, 2.5)"}])
def test_separated_outcome_with_a_proper_prior_is_none_of_our_business(survey, priors, family):
    cuts = [0.0] if family == "bernoulli" else [-0.5, 0.5]
    separated = survey.assign(y=np.digitize(survey["x"], cuts))
    model = mrp.Model("y ~ x", separated, family=family, priors=priors)
    model._warn_if_separated()


def test_density_that_is_finite_nowhere_is_said_before_the_sampler_starts(survey):
    wild = survey.assign(x=1e200 * survey["x"])
    model = mrp.Model("y ~ x", wild, family="poisson", priors="brms")
    message = (
        "Sampling can't start: the log density is not finite at 100 points around the best guess. "
        "Check the outcome and predictors for extreme values, or give informative `priors`."
    )
    with np.errstate(all="ignore"), raises(FitError, message):
        model.sample(progress=False)


def test_columns_that_follow_from_others_under_flat_priors_have_no_posterior(survey):
    twice = survey.assign(double=2 * survey["x"])
    message = (
        "Sampling can't start: along some direction of the parameters the log density is flat, so "
        "that there is no posterior. Leave out a term that follows from others, or give proper "
        "`priors`."
    )
    for groups in ("", " + (1 | g)", " + (1 | g) + (1 | level)"):
        model = mrp.Model(f"y ~ x + double{groups}", twice, family="bernoulli", priors="brms")
        with raises(FitError, message):
            model.sample(progress=False)
