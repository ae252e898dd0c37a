"""Predictive checks: surveys that the model makes up beside the one that was observed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.design import unique_rows
from mrp.errors import DataError, RequestError
from mrp.estimands.context import By, Context, check_by, context
from mrp.estimates import Estimates
from mrp.fit import Fit
from mrp.frames import Weights
from mrp.likelihood import observed_of
from mrp.model.formula import Outcome
from mrp.prediction import RowDraws, blocks

Floats = NDArray[np.float64]
Sampler = Callable[[np.random.Generator, Floats, Floats, Floats], Floats]
"""From random numbers, expected outcomes (rows, draws), respondents and trials (rows, 1): sums."""

MEASURED = ("respondents", "observed", "rank")
"""Label columns that say what the survey has, beside those of `by`."""
SAME = 1e-12
"""Relative difference up to which two averages are the same, whose sums were rounded."""


def pp_check(
    fit: Fit, *, by: By | None = None, wts: Weights | None = None, seed: int | None = None
) -> Estimates:
    """Predictive check by group: average outcomes of made-up surveys beside the observed one.

    Each draw makes an answer of every respondent, and averages them within groups: the survey as
    the model says it could have come out. A group whose observed average lies far out in its draws
    is one that the model does not describe. With draws from the prior, it is a prior predictive
    check.

    Parameters
    ----------
    fit
        Draws from the posterior or prior.
    by
        Columns of the survey, of the model or not; or a table that maps their values to labels in
        its column ``by``. By default all respondents are one group.
    wts
        Weight of each respondent: a column's name, or one number each.
    seed
        Makes the answers repeatable.

    Returns
    -------
    One estimate per group of the average answer (of binomial models the average share of
    successes; for outcomes with levels the share of each, ``group``). The groups of one draw belong
    to one survey. Beside `by`, the labels have ``respondents``, ``observed`` (the survey's average)
    and ``rank``, the share of the draws that are at most the observed average: near 0 or 1 where
    the model does not describe a group. ``plot()`` shows the observed averages as points.

    Raises
    ------
    DataError
        The fit was saved without its survey.

    Notes
    -----
    The model has seen the answers that it is checked against: ranks are nearer to the middle than
    uniform. The check by a column that the model leaves out says most.

    Respondents with the same row (and weight) are drawn together, as one binomial number, or what
    sums of the family's outcomes are.

    References
    ----------
    Gelman, Meng and Stern (1996), "Posterior predictive assessment of model fitness via realized
    discrepancies", Statistica Sinica 6.

    Examples
    --------
    >>> import mrp
    >>> check = mrp.pp_check(mrp.testing.example_fit(), by="gender", seed=1)
    >>> check.labels["respondents"].sum()
    np.int64(3000)
    """
    if not isinstance(fit, Fit):
        raise RequestError(
            f"`fit` must be a Fit, got {fit.__class__.__name__}. "
            f"Make one with model.sample() or mrp.load_fit()."
        )
    outcome = observed_of(fit, "pp_check")
    asked = context(
        fit,
        fit.survey,
        wts=wts,
        type="response",
        re_formula=None,
        new_levels=None,
        seed=seed,
        argument="survey",
    )
    check_by(by, MEASURED)
    codes, groups = asked.groups(by)
    draws = _averages(asked, outcome, codes, len(groups))
    made = asked.estimates_of_averages(draws, groups, "pp_check", f"average {fit.outcome}")
    return replace(made, labels=_labels(made, asked, outcome, codes))


def _labels(
    made: Estimates, asked: Context, outcome: Outcome, codes: NDArray[np.int64]
) -> pd.DataFrame:
    """The labels, and beside them what the survey has."""
    answers, weights = _answers(outcome), asked.weights
    total = np.bincount(codes, weights=weights)
    observed = np.concatenate([np.bincount(codes, weights=weights * y) / total for y in answers])
    draws = made.source.values(np.arange(len(made)))
    limit = observed + SAME * np.maximum(np.abs(observed), 1.0)
    respondents = np.tile(np.bincount(codes), len(answers))
    rank = (draws <= limit[:, None]).mean(axis=1)
    return made.labels.assign(respondents=respondents, observed=observed, rank=rank)


def _answers(outcome: Outcome) -> Floats:
    """Answers (1, n); whether they are each of the levels (levels, n)."""
    if outcome.levels is not None:
        found: Floats = np.eye(len(outcome.levels))[outcome.values.astype(np.intp)].T
        return found
    trials = 1.0 if outcome.trials is None else outcome.trials
    return (outcome.values / trials)[None]


def _averages(asked: Context, outcome: Outcome, codes: NDArray[np.int64], groups: int) -> Floats:
    """Average of the groups' made-up answers (groups, draws); with levels, of each in turn."""
    prediction, sample = asked.predict(), _sampler(asked.fit)
    trials = np.ones(len(codes)) if outcome.trials is None else outcome.trials
    first, count = _cells(prediction, codes, asked.weights, trials)
    order = np.argsort(codes[first], kind="stable")
    rows, count, rng = first[order], count[order], np.random.default_rng(asked.seed)
    result = np.zeros((groups, prediction.size))
    for block in blocks(len(rows), prediction.size):
        own, each = rows[block], count[block, None]
        sums = sample(rng, prediction.values(own), each, trials[own, None])
        present, starts = np.unique(codes[own], return_index=True)
        result[present] += np.add.reduceat(asked.weights[own, None] * sums, starts)
    return result / np.bincount(codes, weights=asked.weights, minlength=groups)[:, None]


def _cells(
    prediction: RowDraws, codes: NDArray[np.int64], weights: Floats, trials: Floats
) -> tuple[NDArray[np.intp], Floats]:
    """First respondent of those that are alike, and how many there are."""
    same = [pd.factorize(values)[0].astype(np.int64) for values in (weights, trials)]
    first, index = unique_rows([*prediction.keys, codes, *same], len(codes))
    return first, np.bincount(index, minlength=len(first)).astype(np.float64)


# --- sums of made-up answers ----------------------------------------------------------------------


def _sampler(fit: Fit) -> Sampler:
    """Draws the sum of the answers of respondents that are alike."""
    if fit.levels is not None:
        return _levels(len(fit.levels))
    if fit.family in ("bernoulli", "binomial"):
        return _successes
    if fit.family == "gaussian":
        sigma = fit.auxiliary("sigma", "`pp_check`")
        return lambda rng, mean, n, trials: rng.normal(n * mean, np.sqrt(n) * sigma)
    if fit.family == "poisson":
        return lambda rng, mean, n, trials: rng.poisson(n * _positive(mean)).astype(np.float64)
    alpha = fit.auxiliary("alpha", "`pp_check`")
    return lambda rng, mean, n, trials: rng.poisson(
        # counts around a gamma rate; rates of n respondents add up to a gamma of n times the shape
        rng.gamma(n * alpha, _positive(mean) / alpha)
    ).astype(np.float64)


def _successes(rng: np.random.Generator, p: Floats, n: Floats, trials: Floats) -> Floats:
    """Shares of successes, added up over respondents."""
    tried = _whole(n * trials)
    if (tried == 1).all():  # an order of magnitude faster
        return (rng.random(p.shape) < p).astype(np.float64)
    return rng.binomial(tried, p) / trials


def _levels(levels: int) -> Sampler:
    """Number of respondents at each level: binomial ones, of those that are left."""

    def sample(rng: np.random.Generator, p: Floats, n: Floats, trials: Floats) -> Floats:
        by_level = p.reshape(len(p), levels, -1)
        left = np.broadcast_to(_whole(n), by_level[:, 0].shape)
        further, found = np.ones(left.shape), np.empty(by_level.shape)
        for k in range(levels - 1):
            share = np.clip(by_level[:, k] / np.maximum(further, np.finfo(float).tiny), 0.0, 1.0)
            found[:, k] = rng.binomial(left, share)
            left = left - found[:, k].astype(np.int64)
            further = further - by_level[:, k]
        found[:, -1] = left
        return found.reshape(p.shape)

    return sample


def _whole(n: Floats) -> NDArray[np.int64]:
    return np.rint(n).astype(np.int64)


def _positive(mean: Floats) -> Floats:
    if (mean < 0).any():
        raise DataError(
            f"`pp_check` needs expected counts of 0 or more, got {mean.min():.3g}: with the "
            f"identity link they may be negative. Use the log link."
        )
    return mean
