"""The log likelihood of a survey, against SciPy's densities respondent by respondent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import mrp
from mrp import likelihood
from mrp.recovery.likelihood import log_likelihood
from tests.test_recovery_surveys import MODELS, SURVEY, made, posterior

DENSITY = {
    "bernoulli": lambda y, mean, other, n: stats.bernoulli.logpmf(y, mean),
    "binomial": lambda y, mean, other, n: stats.binom.logpmf(y, n, mean),
    "gaussian": lambda y, mean, other, n: stats.norm.logpdf(y, mean, other),
    "poisson": lambda y, mean, other, n: stats.poisson.logpmf(y, mean),
    "negativebinomial": lambda y, mean, other, n: stats.nbinom.logpmf(
        y, other, other / (other + mean)
    ),
}


@pytest.mark.parametrize("family", MODELS)
def test_log_likelihood_is_the_sum_of_the_respondents_log_densities(family):
    fit, outcome = posterior(family), made(family).outcome
    found = log_likelihood(fit, outcome).source.values(np.arange(1))[0]
    expected = mrp.predictions(fit).source.values
    for s in range(10):
        total = 0.0
        for i in range(len(SURVEY)):
            y = outcome.values[i]
            if fit.levels is None:
                other = {"gaussian": "sigma", "negativebinomial": "alpha"}.get(family)
                auxiliary = fit.parameters[other].to_numpy().ravel()[s] if other else None
                trials = None if outcome.trials is None else outcome.trials[i]
                total += DENSITY[family](y, expected(np.array([i]))[0, s], auxiliary, trials)
            else:
                row = int(y) * len(SURVEY) + i  # levels one after the other
                total += np.log(expected(np.array([row]))[0, s])
        assert found[s] == pytest.approx(total)


def test_log_likelihood_does_not_depend_on_the_size_of_blocks(monkeypatch):
    fit, outcome = posterior("cumulative"), made("cumulative").outcome
    whole = log_likelihood(fit, outcome).draws.to_numpy()
    sevens = lambda n, size: (slice(k, min(k + 7, n)) for k in range(0, n, 7))  # noqa: E731
    monkeypatch.setattr(likelihood, "blocks", sevens)
    assert log_likelihood(fit, outcome).draws.to_numpy() == pytest.approx(whole)


def test_log_likelihood_has_one_label_and_the_fits_chains():
    found = log_likelihood(posterior("bernoulli"), made("bernoulli").outcome)
    assert found.labels.to_dict("list") == {"quantity": ["log likelihood"]}
    assert found.draws.sizes["chain"] == 2
    assert found.draws.sizes["draw"] == 5
