"""Log likelihood of each respondent's outcome under the draws of a fit.

Respondents with the same design row and the same outcome have the same log likelihood: it is
computed once for each such pair, block by block, from the linear predictor where a probability
would lose digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import psutil
import xarray as xr
from numpy.typing import NDArray
from scipy.special import gammaln, log_ndtr

from mrp.design import unique_rows
from mrp.errors import DataError, RequestError
from mrp.fit import RESPONDENT, Fit
from mrp.levels import probabilities
from mrp.links import Link, inverse
from mrp.prediction import Prediction, blocks, predict

if TYPE_CHECKING:
    from mrp.model.outcome import Outcome

Floats = NDArray[np.float64]
Density = Callable[[Floats, Floats, Floats], Floats]
"""From linear predictors (rows, columns), outcomes and trials (rows, 1) to logs (rows, draws)."""

SMALL = -30.0
"""Linear predictor below which, under cloglog, log p is the linear predictor to all digits."""

NEEDED = ("The log likelihood", "Add them to the draws that Fit.from_draws is given.")
"""What an error says before and after the draws that are missing."""


@dataclass(frozen=True)
class Pointwise:
    """Log likelihood of every respondent and draw, made for some respondents at a time.

    Parameters
    ----------
    prediction
        Linear predictor of each respondent; of outcomes with levels their probabilities.
    density
        What turns it into the log density of an outcome.
    y, trials
        Outcome and trials of each respondent (n,).
    size
        Number of draws.
    """

    prediction: Prediction
    density: Density
    y: Floats
    trials: Floats
    size: int

    @property
    def n(self) -> int:
        """Number of respondents."""
        return len(self.y)

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """What a respondent's log likelihood depends on."""
        answers = np.unique(np.column_stack([self.y, self.trials]), axis=0, return_inverse=True)[1]
        return [*self.prediction.keys, answers.ravel().astype(np.int64)]

    @cached_property
    def distinct(self) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """First respondent of each distinct pair of row and outcome, and each one's pair."""
        return unique_rows(self.keys, self.n)

    def values(self, rows: NDArray[np.intp]) -> Floats:
        """Values (rows, draws)."""
        values = self.prediction.values(rows)
        with np.errstate(divide="ignore", over="ignore"):  # the log of 0 is minus infinity
            return self.density(values, self.y[rows, None], self.trials[rows, None])


def pointwise(fit: Fit, outcome: Outcome) -> Pointwise:
    """Set up the log likelihood of an outcome; nothing of the size rows x draws is computed yet.

    Parameters
    ----------
    fit
        Draws, with the survey's predictors.
    outcome
        The outcome of each of its respondents.

    Raises
    ------
    FitError
        The draws lack the family's parameter besides the mean.
    """
    assert fit.survey is not None  # `observed_of` is the check
    rows = fit.design.rows(fit.survey, argument="data")
    y = outcome.values
    trials = np.ones(len(y)) if outcome.trials is None else outcome.trials
    if fit.levels is None:
        prediction = predict(rows, fit.coefficients, inverse("identity"))
        density = _DENSITIES[fit.family](fit)
    else:
        response = probabilities(fit.family, fit.link, fit.coefficients)
        prediction = predict(rows, fit.coefficients, response, levels=len(fit.levels))
        density = _at_level(len(fit.levels))
    return Pointwise(prediction, density, y, trials, fit.coefficients.size)


def total(likelihood: Pointwise) -> Floats:
    """Log likelihood of all respondents together (draws,)."""
    first, index = likelihood.distinct
    count = np.bincount(index, minlength=len(first))
    result = np.zeros(likelihood.size)
    for block in blocks(len(first), likelihood.prediction.size):
        result += count[block] @ likelihood.values(first[block])
    return result


def of_respondents(fit: Fit) -> xr.DataArray:
    """Log likelihood of every respondent; see `Fit.log_likelihood`."""
    likelihood = pointwise(fit, observed_of(fit, "log_likelihood"))
    _check_memory(likelihood)
    first, index = likelihood.distinct
    values = np.empty((likelihood.n, likelihood.size))
    order = np.argsort(index, kind="stable")
    ends = np.cumsum(np.bincount(index, minlength=len(first)))
    for block in blocks(len(first), likelihood.prediction.size):
        rows = order[ends[block.start - 1] if block.start else 0 : ends[block.stop - 1]]
        values[rows] = likelihood.values(first[block])[index[rows] - block.start]
    chains = fit.coefficients.chains
    coords = {dim: fit.parameters[dim] for dim in ("chain", "draw")}
    array = xr.DataArray(
        values.reshape(likelihood.n, chains, -1),
        dims=(RESPONDENT, "chain", "draw"),
        coords={**coords, RESPONDENT: np.arange(likelihood.n)},
        name=fit.outcome,
    )
    return array.transpose("chain", "draw", RESPONDENT)


def observed_of(fit: Fit, verb: str) -> Outcome:
    """The outcome of each respondent; raise where the fit has no survey."""
    if fit.survey is None or fit.observed is None:
        raise DataError(
            f"`{verb}` needs the survey and its outcome, as this fit was saved without them. Save "
            f"the fit with include_survey=True, or sample the model again."
        )
    return fit.observed


def _check_memory(likelihood: Pointwise) -> None:
    needed, free = 8 * likelihood.n * likelihood.size, psutil.virtual_memory().available
    if needed > free / 2:
        raise RequestError(
            f"`log_likelihood` of {likelihood.n:,} respondents x {likelihood.size:,} draws needs "
            f"{needed / 2**30:.1f} GiB, got {free / 2**30:.1f} GiB free. `fit.loo()` works in "
            f"blocks, without this array."
        )


# --- densities ------------------------------------------------------------------------------------


def _successes(fit: Fit) -> Density:
    log_p, log_q = _LOG_PROBABILITIES[fit.link]

    def density(eta: Floats, y: Floats, trials: Floats) -> Floats:
        ways = _log_choose(trials, y)
        return ways + _times(y, log_p(eta)) + _times(trials - y, log_q(eta))

    return density


def _times(count: Floats, log: Floats) -> Floats:
    """Product with a logarithm, zero where the count is zero."""
    return count * np.where(count == 0, 0.0, log)


def _gaussian(fit: Fit) -> Density:
    sigma, mean_of = fit.auxiliary("sigma", *NEEDED), inverse(fit.link)
    constant = np.log(sigma) + 0.5 * np.log(2 * np.pi)
    return lambda eta, y, trials: -0.5 * ((y - mean_of(eta)) / sigma) ** 2 - constant


def _poisson(fit: Fit) -> Density:
    def density(eta: Floats, y: Floats, trials: Floats) -> Floats:
        log_mean, mean = _mean(eta, fit.link)
        found = _times(y, log_mean) - mean - gammaln(y + 1)
        return np.where(mean < 0, -np.inf, found)

    return density


def _negativebinomial(fit: Fit) -> Density:
    alpha = fit.auxiliary("alpha", *NEEDED)

    def density(eta: Floats, y: Floats, trials: Floats) -> Floats:
        log_mean, mean = _mean(eta, fit.link)
        mean = np.maximum(mean, -alpha / 2)  # what is made of it is replaced
        ways = _log_choose(y + alpha - 1, y)
        found = ways - alpha * np.log1p(mean / alpha)
        found += _times(y, log_mean - np.log(mean + alpha))
        return np.where(mean < 0, -np.inf, found)

    return density


def _mean(eta: Floats, link: Link) -> tuple[Floats, Floats]:
    """Logarithm of the mean of a count, and the mean, which may be negative without a log link."""
    if link == "log":
        return eta, np.exp(eta)
    return np.log(np.maximum(eta, 0.0)), eta


def _at_level(levels: int) -> Density:
    """Of probabilities (rows, levels x draws) the logarithm of that of the respondent's level."""

    def density(probability: Floats, y: Floats, trials: Floats) -> Floats:
        by_level = probability.reshape(len(y), levels, -1)
        result: Floats = np.log(by_level[np.arange(len(y)), y[:, 0].astype(np.intp)])
        return result

    return density


def _log_choose(n: Floats, k: Floats) -> Floats:
    result: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return result


def _cloglog_p(eta: Floats) -> Floats:
    rate = np.exp(np.maximum(eta, SMALL))
    return np.where(eta < SMALL, eta, np.log(-np.expm1(-rate)))


_LOG_PROBABILITIES: Mapping[Link, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "logit": (lambda eta: -np.logaddexp(0.0, -eta), lambda eta: -np.logaddexp(0.0, eta)),
    "probit": (lambda eta: log_ndtr(eta), lambda eta: log_ndtr(-eta)),
    "cloglog": (_cloglog_p, lambda eta: -np.exp(eta)),
}
"""log p and log(1 - p) of the linear predictor, with all digits in both tails."""

_DENSITIES: Mapping[str, Callable[[Fit], Density]] = {
    "bernoulli": _successes,
    "binomial": _successes,
    "gaussian": _gaussian,
    "poisson": _poisson,
    "negativebinomial": _negativebinomial,
}
