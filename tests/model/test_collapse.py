"""Counting equal respondents once leaves the log density as it is, to the constant.

The second implementation is a plain formula: scipy's densities, summed over every respondent and
every parameter, with the Jacobians of PyMC's transforms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from mrp.model import Model
from mrp.model.collapse import Observed, observe
from mrp.model.families import FAMILIES, FamilyName
from mrp.model.formula import learn

Point = Mapping[str, Any]

PREDICTORS = "age + x + (sex + x | state) + (1 | education)"
PRIORS = {
    "Intercept": "student_t(3, 0.4, 2)",
    "b": "normal(0.2, 1.5)",
    "x": "laplace(-0.1, 0.8)",
    "sd": "gamma(2, 1.5)",
    "x|state": "exponential(0.7)",
    "1|education": "student_t(3, 0, 1.2)",
    "cor": "lkj(2)",
}
INVERSES: Mapping[str, Callable[[Any], Any]] = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda eta: 1 - np.exp(-np.exp(eta)),
}


@pytest.fixture(scope="module")
def survey(people: pd.DataFrame) -> pd.DataFrame:
    """Every row of the survey three times, with other outcomes."""
    rng = np.random.default_rng(6)
    outcomes = ["y", "positive", "vote", "wins", "trials", "count"]
    again = [
        people.assign(**people.sample(frac=1, random_state=k, ignore_index=True)[outcomes])
        for k in range(2)
    ]
    everyone = pd.concat([people, *again])
    return everyone.iloc[rng.permutation(len(everyone))].reset_index(drop=True)


# --- log density ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A family and link, and the log density of each respondent's outcome by scipy."""

    family: FamilyName
    link: Any
    outcome: str
    likelihood: Callable[[pd.DataFrame, Any, Any], Any]
    predictors: str = PREDICTORS
    center: float = 0.0
    """About where the linear predictor should be."""

    def model(self, survey: pd.DataFrame, *, collapse: bool) -> Model:
        auxiliary = {"gaussian": {"sigma": "cauchy(0, 1.3)"}, "negativebinomial": {"alpha": SHAPE}}
        return Model(
            f"{self.outcome} ~ {self.predictors}",
            survey,
            family=self.family,
            link=self.link,
            priors=PRIORS | auxiliary.get(self.family, {}),
            collapse=collapse,
        )


SHAPE = "inv_gamma(2, 3)"
LOG_2 = float(np.log(np.float32(2)))
"""In half densities: PyMC has it in single precision."""


def _bernoulli(survey: pd.DataFrame, mean: Any, _: Any) -> Any:
    return stats.bernoulli(mean).logpmf(survey["vote"])


def _binomial(survey: pd.DataFrame, mean: Any, _: Any) -> Any:
    return stats.binom(survey["trials"], mean).logpmf(survey["wins"])


def _gaussian(survey: pd.DataFrame, mean: Any, sigma: Any) -> Any:
    return stats.norm(mean, sigma).logpdf(survey["y"])


def _poisson(survey: pd.DataFrame, mean: Any, _: Any) -> Any:
    return stats.poisson(mean).logpmf(survey["count"])


def _negativebinomial(survey: pd.DataFrame, mean: Any, alpha: Any) -> Any:
    return stats.nbinom(alpha, alpha / (alpha + mean)).logpmf(survey["count"])


CASES = [
    Case("bernoulli", "logit", "vote", _bernoulli),
    Case("bernoulli", "probit", "vote", _bernoulli),
    Case("bernoulli", "cloglog", "vote", _bernoulli),
    Case("binomial", "logit", "p(wins, trials)", _binomial),
    Case("binomial", "cloglog", "p(wins, trials)", _binomial),
    Case("gaussian", "identity", "y", _gaussian),
    Case("gaussian", "log", "y", _gaussian),
    Case("poisson", "log", "count", _poisson, f"{PREDICTORS} + offset(log(z))"),
    Case("poisson", "identity", "count", _poisson, center=12.0),
    Case("negativebinomial", "log", "count", _negativebinomial, f"{PREDICTORS} + offset(log(z))"),
    Case("negativebinomial", "identity", "count", _negativebinomial, center=12.0),
]


@dataclass(frozen=True)
class Densities:
    """Compiled log densities of one case, and points to compare them at."""

    case: Case
    collapsed: Callable[[Point], Any]
    plain: Callable[[Point], Any]
    points: list[Point]
    rows: tuple[int, int]


@pytest.fixture(scope="module", params=CASES, ids=[f"{case.family}-{case.link}" for case in CASES])
def densities(request: pytest.FixtureRequest, survey: pd.DataFrame) -> Densities:
    """The log densities of one case, collapsed and not."""
    case: Case = request.param
    models = [case.model(survey, collapse=collapse) for collapse in (True, False)]
    collapsed, plain = (model.pymc.compile_logp(mode="FAST_COMPILE") for model in models)
    rng = np.random.default_rng(9)
    points = [
        {
            name: 0.3 * rng.standard_normal(value.shape)
            + (case.center if name == "Intercept_centered" else 0.0)
            for name, value in models[0].pymc.initial_point().items()
        }
        for _ in range(3)
    ]
    rows = tuple(len(model.observed.rows) for model in models)
    return Densities(case, collapsed, plain, points, rows)


def test_log_density_is_the_same_collapsed_or_not(densities: Densities):
    rows, respondents = densities.rows
    # a negative binomial collapses only equal outcomes
    assert rows < (0.9 if densities.case.family == "negativebinomial" else 0.5) * respondents
    for point in densities.points:
        value = float(densities.plain(point))
        assert np.isfinite(value)
        assert float(densities.collapsed(point)) == pytest.approx(value, rel=0, abs=1e-9)


def test_log_density_is_that_of_every_respondent_and_parameter(
    densities: Densities, survey: pd.DataFrame
):
    for point in densities.points:
        wanted = by_hand(densities.case, point, survey)
        assert float(densities.plain(point)) == pytest.approx(wanted, rel=0, abs=1e-9)


def by_hand(case: Case, point: Point, survey: pd.DataFrame) -> float:
    """Log density at a point of the unconstrained parameters, term by term."""
    population, eta = population_by_hand(case, point, survey)
    state, effects = state_by_hand(point, survey)
    education, effect = education_by_hand(point, survey)
    auxiliary, value = auxiliary_by_hand(case, point)
    mean = INVERSES[case.link](eta + effects + effect)
    likelihood = case.likelihood(survey, mean, value).sum()
    return float(population + state + education + auxiliary + likelihood)


def population_by_hand(case: Case, point: Point, survey: pd.DataFrame) -> tuple[float, Any]:
    mid, old = ((survey["age"] == level).astype(float) for level in ("mid", "old"))
    x, (to_mid, to_old) = survey["x"], point["age"]
    eta = (
        point["Intercept_centered"]
        + to_mid * (mid - mid.mean())
        + to_old * (old - old.mean())
        + point["x"] * (x - x.mean())
    )
    if "offset" in case.predictors:
        eta = eta + np.log(survey["z"])
    prior = (
        stats.t(3, 0.4, 2).logpdf(point["Intercept_centered"])
        + stats.norm(0.2, 1.5).logpdf(to_mid)
        + stats.norm(0.2, 1.5).logpdf(to_old)
        + stats.laplace(-0.1, 0.8).logpdf(point["x"])
    )
    return prior, eta


def state_by_hand(point: Point, survey: pd.DataFrame) -> tuple[float, Any]:
    """( 1 + sex + x | state ): three effects with an LKJ prior of their correlation."""
    logs = np.array([
        float(point["1|state_sigma_log__"]),
        float(point["sex|state_sigma_log__"][0]),
        float(point["x|state_sigma_log__"]),
    ])  # fmt: skip
    sd = np.exp(logs)
    prior = stats.gamma(2, scale=1 / 1.5).logpdf(sd[:2]).sum()
    prior += stats.expon(scale=1 / 0.7).logpdf(sd[2]) + logs.sum()

    raw = point["state_cor_partial_logodds__"]
    beta = special.expit(raw)
    correlation, jacobian = correlation_of_partials(2 * beta - 1)
    prior += log_lkj(correlation, 2.0) + jacobian
    prior += np.log(2 * beta * (1 - beta)).sum()

    z = np.vstack([point["1|state_offset"], point["sex|state_offset"], point["x|state_offset"]])
    prior += stats.norm.logpdf(z).sum()
    effects = np.diag(sd) @ np.linalg.cholesky(correlation) @ z
    state = survey["state"].map({name: k for k, name in enumerate(["AL", "CA", "NY", "TX"])})
    columns = np.array([np.ones(len(survey)), survey["sex"] == "woman", survey["x"]])
    return prior, (columns * effects[:, state]).sum(axis=0)


def correlation_of_partials(partial: Any) -> tuple[Any, float]:
    """Correlation matrix of three, and log |d correlations / d partial correlations|."""
    r12, r13, p23 = partial
    width = np.sqrt((1 - r12**2) * (1 - r13**2))
    r23 = p23 * width + r12 * r13
    return np.array([[1, r12, r13], [r12, 1, r23], [r13, r23, 1]]), float(np.log(width))


def log_lkj(correlation: Any, eta: float) -> float:
    """LKJ density of a 3 x 3 correlation matrix (their equation 16 for the constant)."""
    log_constant = (
        (4 * eta + 2 * eta - 1) * np.log(2)
        + 2 * special.betaln(eta + 0.5, eta + 0.5)
        + special.betaln(eta, eta)
    )
    return float((eta - 1) * np.log(np.linalg.det(correlation)) - log_constant)


def test_the_constant_of_lkj_is_the_volume_of_correlation_matrices():
    assert log_lkj(np.eye(3), 1.0) == pytest.approx(-np.log(np.pi**2 / 2), abs=1e-12)


def education_by_hand(point: Point, survey: pd.DataFrame) -> tuple[float, Any]:
    log_sd = float(point["1|education_sigma_log__"])
    z = point["1|education_offset"]
    prior = LOG_2 + stats.t(3, 0, 1.2).logpdf(np.exp(log_sd)) + log_sd
    effects = np.exp(log_sd) * z
    index = survey["education"].map({"none": 0, "2 year": 1, "4 year": 2}).astype(int)
    return prior + stats.norm.logpdf(z).sum(), effects[index]


def auxiliary_by_hand(case: Case, point: Point) -> tuple[float, float]:
    if case.family == "gaussian":
        raw = float(point["sigma_log__"])
        return LOG_2 + stats.cauchy(0, 1.3).logpdf(np.exp(raw)) + raw, np.exp(raw)
    if case.family == "negativebinomial":
        raw = float(point["alpha_log__"])
        return stats.invgamma(2, scale=3).logpdf(np.exp(raw)) + raw, np.exp(raw)
    return 0.0, np.nan


# --- what is kept ---------------------------------------------------------------------------------

GROUPS = ["age", "state"]


def observed_of(outcome: str, survey: pd.DataFrame, *, collapse: bool = True) -> Observed:
    family = {"p(wins, trials)": "binomial", "y": "gaussian", "vote": "bernoulli"}
    return observed_by(family.get(outcome, "poisson"), outcome, survey, collapse=collapse)


def observed_by(
    family: Any, outcome: str, survey: pd.DataFrame, *, collapse: bool = True
) -> Observed:
    formula = f"{outcome} ~ age + (1 | state)"
    design, found = learn(formula, survey, correlated=True, namespace={})
    return observe(design.rows(survey), found, FAMILIES[family], collapse=collapse)


def test_a_row_is_kept_for_each_combination_in_order_of_appearance(survey: pd.DataFrame):
    observed = observed_of("vote", survey)
    first = survey.drop_duplicates(GROUPS).index
    rows = learn("vote ~ age + (1 | state)", survey, correlated=True, namespace={})[0].rows(survey)
    np.testing.assert_array_equal(observed.rows.population(), rows.population()[first])
    np.testing.assert_array_equal(observed.rows.groups["state"], rows.groups["state"][first])
    assert observed.respondents == len(survey)
    assert observed.collapsed


@pytest.mark.parametrize("outcome", ["vote", "p(wins, trials)", "count", "y"])
def test_each_row_keeps_the_sums_of_its_respondents(outcome: str, survey: pd.DataFrame):
    observed = observed_of(outcome, survey)
    groups = survey.groupby(GROUPS, sort=False, observed=True)
    column = {"p(wins, trials)": "wins"}.get(outcome, outcome)
    kept = groups[column].mean() if outcome == "y" else groups[column].sum()
    within = groups["y"].apply(lambda y: ((y - y.mean()) ** 2).sum()) if outcome == "y" else 0.0
    tried = groups["trials"].sum() if outcome == "p(wins, trials)" else groups.size()
    np.testing.assert_allclose(observed.y, kept, rtol=1e-12)
    np.testing.assert_array_equal(observed.count, groups.size())
    np.testing.assert_array_equal(observed.trials, tried)
    np.testing.assert_allclose(observed.within, np.broadcast_to(within, observed.y.shape), 1e-12)


def test_a_negative_binomial_keeps_a_row_for_each_outcome(survey: pd.DataFrame):
    observed = observed_by("negativebinomial", "count", survey)
    groups = survey.groupby([*GROUPS, "count"], sort=False, observed=True)
    np.testing.assert_array_equal(observed.count, groups.size())
    np.testing.assert_array_equal(observed.y, groups["count"].first())
    assert observed.constant == 0


def test_without_collapsing_every_respondent_has_a_row(survey: pd.DataFrame):
    observed = observed_of("p(wins, trials)", survey, collapse=False)
    assert len(observed.rows) == observed.respondents == len(survey)
    np.testing.assert_array_equal(observed.y, survey["wins"])
    np.testing.assert_array_equal(observed.trials, survey["trials"])
    np.testing.assert_array_equal(observed.count, 1)
    assert observed.constant == 0
    assert not observed.collapsed


def test_respondents_with_different_offsets_are_kept_apart(survey: pd.DataFrame):
    formula = "count ~ age + offset(log(z))"
    model = Model(formula, survey, family="poisson")
    assert len(model.observed.rows) == len(survey.drop_duplicates(["age", "z"]))


def test_means_and_sds_are_those_of_the_respondents(survey: pd.DataFrame):
    collapsed, plain = (
        Model("y ~ x * age", survey, collapse=collapse).observed for collapse in (True, False)
    )
    assert len(collapsed.rows) == 12
    columns = plain.rows.population()
    for observed in (collapsed, plain):
        np.testing.assert_allclose(
            observed.mean(observed.rows.population()), columns.mean(axis=0), rtol=1e-12
        )
        np.testing.assert_allclose(
            observed.sd(observed.rows.population()), columns.std(axis=0), rtol=1e-12, atol=1e-15
        )


def test_the_order_of_respondents_does_not_matter(survey: pd.DataFrame):
    shuffled = survey.sample(frac=1, random_state=2, ignore_index=True)
    first, second = (Model("y ~ age + (1 | state)", data).observed for data in (survey, shuffled))
    key = [np.column_stack([o.rows.population(), o.rows.groups["state"]]) for o in (first, second)]
    order = [np.lexsort(k.T) for k in key]
    for name in ("y", "count", "within"):
        ours, theirs = (getattr(o, name)[i] for o, i in zip((first, second), order, strict=True))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
