"""Draws of new outcomes: what the model says one more respondent of each row would answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import DataError, RequestError, listing
from mrp.fit import Fit
from mrp.prediction import RowDraws

Floats = NDArray[np.float64]
Kind = Literal["expected", "predictive"]
Sampler = Callable[[np.random.Generator, Floats, int], NDArray[Any]]
"""From random numbers, the expected outcomes of a row and its position to outcomes."""

LARGEST = 9.2e18
"""Largest expected count: a count is a whole number of 64 bits."""
NEEDED_BY = "`kind` 'predictive'"
"""What a message begins with."""


@dataclass(frozen=True)
class Outcomes:
    """Outcomes drawn around a prediction: for each row and draw one, repeatable by the seed.

    Parameters
    ----------
    prediction
        Expected outcomes.
    sample
        Draws the outcomes of one row.
    seed
        With the row's position it makes the row's outcomes, whichever other rows are asked for.
    """

    prediction: RowDraws
    sample: Sampler
    seed: int

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.prediction.n

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.prediction.size

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """Every row is its own, as each has another respondent."""
        return [np.arange(self.n)]

    def values(self, rows: NDArray[np.intp]) -> Floats:
        """Values (rows, draws)."""
        values = self.prediction.values(rows)
        for k, row in enumerate(rows):
            if np.isnan(values[k]).any():  # would be drawn as no success, or the first level
                raise RequestError(
                    f"{NEEDED_BY} needs expected outcomes that are numbers, got NaN in row {row}. "
                    f"Look for draws and predictors that are too large."
                )
            key = np.array([self.seed % 2**64, row], dtype=np.uint64)
            rng = np.random.Generator(np.random.Philox(key=key))
            values[k] = self.sample(rng, values[k], int(row))
        return values


def outcomes(
    fit: Fit, prediction: RowDraws, data: pd.DataFrame, seed: int, argument: str
) -> Outcomes:
    """New outcomes of the rows of a prediction.

    Parameters
    ----------
    fit
        Its family is drawn from; its draws have the family's auxiliary parameter.
    prediction
        Expected outcomes of the rows.
    data
        The rows; of a binomial model they must have the column of trials, and an outcome is the
        share of successes among them.
    seed
        Makes the outcomes repeatable.
    argument
        What the user knows the data as.
    """
    return Outcomes(prediction, _sampler(fit, data, argument), seed)


def _sampler(fit: Fit, data: pd.DataFrame, argument: str) -> Sampler:
    if fit.levels is not None:
        return _one_level(len(fit.levels))
    if fit.family == "bernoulli":
        return lambda rng, p, row: rng.random(len(p)) < p
    if fit.family == "binomial":
        trials = _trials(fit, data, argument)
        return lambda rng, p, row: rng.binomial(trials[row], p) / trials[row]
    if fit.family == "gaussian":
        sigma = fit.auxiliary("sigma", "`kind='predictive'`")
        return lambda rng, mean, row: rng.normal(mean, sigma)
    if fit.family == "poisson":
        return _count(lambda rng, mean: mean)
    alpha = fit.auxiliary("alpha", "`kind='predictive'`")
    return _count(lambda rng, mean: rng.gamma(alpha, mean / alpha))


def _count(rate: Callable[[np.random.Generator, Floats], Floats]) -> Sampler:
    """A count at a rate, which may itself be drawn around the mean."""

    def sample(rng: np.random.Generator, mean: Floats, row: int) -> NDArray[Any]:
        drawn_at = rate(rng, expected_counts(mean, NEEDED_BY, LARGEST))
        drawn: NDArray[Any] = rng.poisson(expected_counts(drawn_at, NEEDED_BY, LARGEST))
        return drawn

    return sample


def expected_counts(mean: Floats, needed_by: str, largest: float) -> Floats:
    """The same expected counts, if counts can be drawn around them.

    Parameters
    ----------
    mean
        Expected counts.
    needed_by
        What the message begins with.
    largest
        What they may be at the most.

    Raises
    ------
    RequestError
        Some are negative, too large, or no numbers.
    """
    low, high = mean.min(), mean.max()
    if low < 0:
        raise RequestError(
            f"{needed_by} needs expected counts of 0 or more, got {low:.3g}: with the identity "
            f"link they may be negative. Fit the model with the log link."
        )
    if not high <= largest:
        raise RequestError(
            f"{needed_by} needs expected counts of at most {largest:.3g}, got {high:.3g}. Narrow "
            f"the priors."
        )
    return mean


def _one_level(levels: int) -> Sampler:
    """One level for each draw, as a one among zeros."""

    def sample(rng: np.random.Generator, probabilities: Floats, row: int) -> NDArray[Any]:
        p = probabilities.reshape(levels, -1)
        below = np.cumsum(p, axis=0)[:-1] <= rng.random(p.shape[1])
        chosen: NDArray[np.int64] = below.sum(axis=0)
        return np.equal(chosen, np.arange(levels)[:, None]).ravel()

    return sample


def _trials(fit: Fit, data: pd.DataFrame, argument: str) -> NDArray[np.int64]:
    """Number of trials of each row."""
    from mrp.model.outcome import trials_columns, trials_of, trials_text

    namespace = fit.design.calls.namespace
    lacking = [
        n for n in trials_columns(fit.design.formula) if n not in {*data.columns, *namespace}
    ]
    if lacking:
        raise DataError(
            f"`{argument}` must have the column of trials {lacking[0]!r} to draw new outcomes, "
            f"lacks it. Available: {listing(data.columns)}. Add it, or use kind='expected'."
        )
    try:
        trials = trials_of(fit.design.formula, data, namespace)
    except (TypeError, ValueError):
        trials = np.zeros(1)
    if not ((trials >= 1) & np.isfinite(trials) & (trials == np.round(trials))).all():
        name = trials_text(fit.design.formula)
        raise DataError(
            f"`{argument}` must have whole numbers, 1 or more, in the column of trials {name!r}. "
            f"Correct it, or use kind='expected'."
        )
    return trials.astype(np.int64)
