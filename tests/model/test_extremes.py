"""Surveys and priors at the edge of what can be sampled: a message or a warning, never a hang."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mrp.errors import DataError, FitError, MRPError, SamplingWarning
from mrp.estimands.verbs import avg_predictions
from mrp.model import Model
from mrp.population import simulate_survey
from tests.messages import raises

FEW: Any = {"draws": 30, "tune": 30, "chains": 2, "seed": 1, "progress": False}
NOT_FINITE = (
    "Sampling can't start: the log density is not finite at 100 points around the best guess. "
    "Check the outcome and predictors for extreme values, or give informative `priors`."
)
FLAT = (
    "Sampling can't start: along some direction of the parameters the log density is flat, so that "
    "there is no posterior. Leave out a term that follows from others, or give proper `priors`."
)
B = "`data` must have values of 'x' whose squares are finite, got up to {}. Divide the column by "


def survey() -> pd.DataFrame:
    rng, n = np.random.default_rng(1), 100
    return pd.DataFrame(
        {"y": rng.integers(0, 2, n), "x": rng.normal(size=n), "g": rng.choice(list("abcd"), n)}
    )


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda data: data[:1].assign(x=1.0), {"formula": "y ~ 1"}),
        (lambda data: data[:1], {"formula": "y ~ 1 + (1 | g)"}),
        (lambda data: data[:2], {}),
        (lambda data: data.assign(y=0), {}),
        (lambda data: data.assign(y=1), {}),
        (lambda data: data.assign(y=0), {"family": "poisson"}),
        (lambda data: data.assign(y=0), {"family": "negativebinomial"}),
        (lambda data: data.assign(y=10**18), {"family": "poisson"}),
        (lambda data: data.assign(z=2 * data["x"]), {"formula": "y ~ x + z"}),
        (lambda data: data, {"priors": {"defaults": "brms", "b": "normal(100000000, 1)"}}),
    ],
    ids=["one respondent", "one group", "two respondents", "all 0", "all 1", "no counts",
         "no counts of a negative binomial", "counts of 1e18", "collinear", "a prior far away"],
)  # fmt: skip
def test_a_survey_with_little_to_say_is_sampled_with_a_warning(change: Any, options: Any):
    asked = {"formula": "y ~ x + (1 | g)", "family": "bernoulli", **options}
    with pytest.warns(SamplingWarning):
        fit = Model(data=change(survey()), **asked).sample(**FEW)
    assert all(np.isfinite(draws).all() for draws in fit.parameters.data_vars.values())


@pytest.mark.filterwarnings("ignore::mrp.errors.SamplingWarning")
@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda data: data[:0], {}, DataError, "`data` must have at least one row, got none. Pass "
         "the survey."),
        (lambda data: data.assign(x=1.0), {}, DataError, "`data` must have different values in 'x',"
         " got only 1: a constant can't be told from the intercept. Leave the term out."),
        (lambda data: data.assign(x=np.where(data["x"] > 0, 1e300, -1e300)), {}, DataError,
         B.format("1e+300") + "its size, or take logarithms."),
        (lambda data: data.assign(x=1e100 * data["x"]), {}, FitError, FLAT),
        (lambda data: data, {"priors": {"defaults": "brms", "b": "normal(1e300, 1)"}}, FitError,
         NOT_FINITE),
        (lambda data: data.assign(x=1e300), {"formula": "y ~ 1 + offset(x)", "family": "poisson"},
         FitError, NOT_FINITE),
    ],
    ids=["no respondent", "constant", "1e300", "1e100", "a prior at 1e300", "an offset of 1e300"],
)  # fmt: skip
def test_what_has_no_density_to_start_from_is_refused(
    change: Any, options: Any, error: type[MRPError], message: str
):
    asked = {"formula": "y ~ x + (1 | g)", "family": "bernoulli", **options}
    with raises(error, message):
        Model(data=change(survey()), **asked).sample(**FEW)


def test_a_seed_of_too_many_bits_is_refused_wherever_one_goes():
    message = f"`seed` must be below 2**128, got {2**128}. Usual: 1."
    model = Model("y ~ 1 + (1 | g)", survey(), family="bernoulli")
    fit = model.sample_prior(draws=2, seed=2**128 - 1)
    avg_predictions(fit, seed=2**128 - 1)
    for does in (
        lambda: model.sample(seed=2**128),
        lambda: model.sample_prior(seed=2**128),
        lambda: avg_predictions(fit, seed=2**128),
        lambda: simulate_survey(seed=2**128),
    ):
        with raises(MRPError, message):
            does()


def test_simulated_respondents_beyond_the_memory_are_refused():
    with pytest.raises(MRPError, match=r"\A`scale` must ask for what the memory can hold, got "):
        simulate_survey(scale=2**40)
