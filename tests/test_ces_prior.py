"""Prior-only numbers of the CES model against those printed in the book's chapter on MRP.

The book draws 4,000 times from each prior by brms' sampler. A share of its draws is known up to
a binomial standard error, so bounds are compared as probabilities: a printed bound of a 95%
interval must have about probability 0.025 (or 0.975) in draws of ours. The error is that of
4,000 independent draws of theirs and `DRAWS` of ours; brms' draws are correlated, so that the true
error is larger and these tests are stricter than they need be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mrp

THEIRS, DRAWS = 4000, 40_000
TOLERANCE = 4.5  # standard errors; some 60 numbers are compared
SDS = {"vague": 1e6, "informative": 0.2}

GENDER = {
    "vague": {"Man": (0.499, 0.0173, 0.984), "Woman": (0.497, 0.0162, 0.990)},
    "informative": {"Man": (0.499, 0.351, 0.642), "Woman": (0.498, 0.342, 0.650)},
}
MILITARY = {"vague": (0.0, -0.495, 0.539), "informative": (3.39e-05, -0.0577, 0.059)}
VAGUE_SDS = {
    "Intercept": 1383022.7,
    "age[30-39]": 985624.2,
    "age[40-49]": 984062.9,
    "age[50-59]": 1005099.0,
    "age[60-69]": 1002713.2,
    "age[70+]": 1004430.0,
    "education[High school]": 1002333.4,
    "education[Some college]": 1016494.4,
    "education[2 year]": 989526.1,
    "education[4 year]": 973528.1,
    "education[Post grad]": 1001377.3,
    "military": 1013311.0,
    "gender[Woman]": 996865.6,
}
"""Est.Error of the vague model's coefficients."""


def model_of(name: str, survey: Any) -> mrp.Model:
    prior = f"normal(0, {SDS[name]})"
    given = mrp.priors(b=prior, Intercept=prior, defaults="brms")
    return mrp.Model(mrp.testing.FORMULA, survey, family="bernoulli", priors=given)


@pytest.fixture(scope="module", params=SDS)
def case(request: pytest.FixtureRequest, real_data: Any) -> tuple[str, mrp.Fit]:
    """Which priors, and draws from them."""
    model = model_of(request.param, real_data("ces_survey"))
    return request.param, model.sample_prior(draws=DRAWS, seed=1)


def check(draws: Any, printed: tuple[float, float, float]) -> None:
    """Mean and bounds of a 95% interval, as printed with three digits."""
    draws, (mean, *bounds) = np.ravel(draws), printed
    error = draws.std() * np.sqrt(1 / THEIRS + 1 / DRAWS)
    assert abs(draws.mean() - mean) < TOLERANCE * error + 0.0005
    share = np.sqrt(0.025 * 0.975 * (1 / THEIRS + 1 / DRAWS))
    for bound, probability in zip(bounds, (0.025, 0.975), strict=True):
        # what was printed had been rounded, by up to half a unit of its third digit
        unit = 10.0 ** (np.floor(np.log10(abs(bound))) - 2)
        lowest, highest = ((draws < bound + unit * half).mean() for half in (-0.5, 0.5))
        assert lowest - TOLERANCE * share < probability < highest + TOLERANCE * share


def test_average_predictions_by_gender_are_those_of_the_book(case: tuple[str, mrp.Fit]):
    name, fit = case
    estimates = mrp.avg_predictions(fit, by="gender")
    assert estimates.labels["gender"].tolist() == list(GENDER[name])
    for gender, printed in GENDER[name].items():
        check(estimates.draws.sel(gender=gender), printed)


def test_the_average_difference_by_military_is_that_of_the_book(case: tuple[str, mrp.Fit]):
    name, fit = case
    check(mrp.avg_comparisons(fit, variables="military").draws, MILITARY[name])


def test_coefficients_spread_as_in_the_book(real_data: Any):
    """The standard deviation of 4,000 normal draws is known to within 1 / sqrt(2 x 4,000)."""
    fit = model_of("vague", real_data("ces_survey")).sample_prior(draws=DRAWS, seed=2)
    found = fit.fixef()
    assert found.labels["term"].tolist() == list(VAGUE_SDS)
    error = np.sqrt(1 / (2 * THEIRS) + 1 / (2 * DRAWS))
    for draws, printed in zip(found.source.values(np.arange(13)), VAGUE_SDS.values(), strict=True):
        assert abs(printed / draws.std() - 1) < TOLERANCE * error


def test_the_intercept_spreads_more_because_its_prior_is_of_centred_predictors(real_data: Any):
    """1.39 million, where the prior has one: that of predictors as they are adds all slopes."""
    survey = real_data("ces_survey")
    levels = survey[["age", "education", "gender"]].astype(str)
    references = {"18-29", "No HS", "Man"}
    shares = [
        share
        for name in levels
        for level, share in levels[name].value_counts(normalize=True).items()
        if level not in references
    ]
    means = np.array([*shares, survey["military"].mean()])
    assert len(means) == 12
    wanted = 1e6 * np.sqrt(1 + (means**2).sum())
    assert wanted == pytest.approx(1.391e6, rel=1e-3)
    fit = model_of("vague", survey).sample_prior(draws=DRAWS, seed=2)
    found = float(fit.parameters["Intercept"].std())
    assert abs(found / wanted - 1) < TOLERANCE / np.sqrt(2 * DRAWS)
    assert abs(VAGUE_SDS["Intercept"] / wanted - 1) < TOLERANCE / np.sqrt(2 * THEIRS)
