"""Predictive checks: surveys that the model makes up beside the one that was observed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.design import unique_rows
from mrp.estimands.context import By, Context, check_by, context
from mrp.fit import Fit, check_fit
from mrp.frames import Weights
from mrp.likelihood import observed_of
from mrp.memory import LARGE, check_fits
from mrp.model.outcome import Outcome
from mrp.prediction import RowDraws, blocks
from mrp.predictive import expected_counts
from mrp.results.estimates import Estimates, Made

Floats = NDArray[np.float64]
Sampler = Callable[[np.random.Generator, Floats, Floats, Floats], Floats]
"""From random numbers, expected outcomes (rows, draws), respondents and trials (rows, 1): sums."""

MEASURED = ("answers", "observed", "rank")
"""Label columns that say what the survey has, beside those of `by`."""
SAME = 1e-12
"""Relative difference up to which two averages are the same, whose sums were rounded."""
LARGEST = 1e100
"""Largest expected count: its square, of which standard deviations are made, is a number."""
NORMAL = 1e15
"""Expected count from which a count is drawn from a normal distribution.

The nearest whole numbers lie further apart there than the distributions do, and numpy draws Poisson
counts up to 9e18 only.
"""


@explained
def pp_check(
    fit: Fit, *, by: By | None = None, wts: Weights | None = None, seed: int | None = None
) -> Estimates:
    """Predictive check by group: average outcomes of made-up surveys beside the observed one.

    Each draw makes an answer of every respondent, and averages them within groups: the survey as
    the model says it could have come out. Rows of successes and trials have as many answers as
    trials. A group whose observed average lies far out in its draws is one that the model does not
    describe. With draws from the prior, it is a prior predictive check.

    Parameters
    ----------
    fit
        Draws from the posterior or prior.
    by
        Columns of the survey, of the model or not; or a table that maps their values to labels in
        its column ``by``. By default all respondents are one group.
    wts
        Weight of each respondent: a column's name, or one number each (a Series by its index). Of
        rows with trials it is that of each trial.
    seed
        Makes the answers repeatable.

    Returns
    -------
    One estimate per group of the average answer (of binomial models the successes among all trials;
    for outcomes with levels the share of each, ``group``). The groups of one draw belong to one
    survey. Beside `by`, the labels have ``answers`` (how many are averaged: one of each respondent,
    or all trials), ``observed`` (the survey's average) and ``rank``, the share of the draws below
    the observed average and half of those that equal it: near 0 or 1 where the model does not
    describe a group. ``plot()`` shows the observed averages as points; ``hypothesis`` leaves these
    labels out.

    Raises
    ------
    DataError
        The fit was saved without its survey.
    RequestError
        Expected counts are negative, which they may be with the identity link, or over 1e100.

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
    >>> check.labels["answers"].sum()
    np.int64(3000)
    """
    check_fit(fit)
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
    codes, groups = replace(asked, weights=asked.weights * _numbers(outcome)).groups(by)
    draws = _averages(asked, outcome, codes, len(groups))
    made = asked.estimates_of_averages(Made(draws), groups, "pp_check", f"average {fit.outcome}")
    about = {**made.about, "measured": MEASURED}
    return replace(made, labels=_labels(made, asked, outcome, codes), about=about)


def _labels(
    made: Estimates, asked: Context, outcome: Outcome, codes: NDArray[np.int64]
) -> pd.DataFrame:
    """The labels, and beside them what the survey has."""
    numbers = _numbers(outcome)
    total = np.bincount(codes, weights=asked.weights * numbers)
    sums = [np.bincount(codes, weights=asked.weights * y) for y in _sums(outcome)]
    observed = np.concatenate([each / total for each in sums])
    answers = np.tile(np.bincount(codes, weights=numbers).astype(np.int64), len(sums))
    rank = _mid_ranks(made.source.values(np.arange(len(made))), observed)
    return made.labels.assign(answers=answers, observed=observed, rank=rank)


def _mid_ranks(draws: Floats, observed: Floats) -> Floats:
    """Share of draws (rows, draws) below what was observed, and half of those that equal it."""
    rounding = SAME * np.maximum(np.abs(observed), 1.0)[:, None]
    below = draws < observed[:, None] - rounding
    above = draws > observed[:, None] + rounding
    rank: Floats = (1.0 + below.mean(axis=1) - above.mean(axis=1)) / 2
    return rank


def _numbers(outcome: Outcome) -> Floats:
    """How many answers each row of the survey has: its trials, or one."""
    return np.ones(len(outcome.values)) if outcome.trials is None else outcome.trials


def _sums(outcome: Outcome) -> Floats:
    """Sum of the answers of each row (1, n); whether it is each of the levels (levels, n)."""
    if outcome.levels is not None:
        found: Floats = np.eye(len(outcome.levels))[outcome.values.astype(np.intp)].T
        return found
    return outcome.values[None]


def _averages(asked: Context, outcome: Outcome, codes: NDArray[np.int64], groups: int) -> Floats:
    """Average of the groups' made-up answers (groups, draws); with levels, of each in turn."""
    prediction, sample = asked.predict(), _sampler(asked.fit)
    if 8 * groups * prediction.size > LARGE:
        check_fits(
            3 * 8 * groups * prediction.size,
            f"{groups:,} groups in {prediction.size:,} draws",
            "by",
            "Name columns with fewer values.",
        )
    trials = _numbers(outcome)
    first, count = _cells(prediction, codes, asked.weights, trials)
    order = np.argsort(codes[first], kind="stable")
    rows, count, rng = first[order], count[order], np.random.default_rng(asked.seed)
    result = np.zeros((groups, prediction.size))
    for block in blocks(len(rows), prediction.size):
        own, each = rows[block], count[block, None]
        sums = sample(rng, prediction.values(own), each, trials[own, None])
        present, starts = np.unique(codes[own], return_index=True)
        result[present] += np.add.reduceat(asked.weights[own, None] * sums, starts)
    return result / np.bincount(codes, weights=asked.weights * trials)[:, None]


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
        return lambda rng, mean, n, trials: _counts(rng, n * _possible(mean))
    alpha = fit.auxiliary("alpha", "`pp_check`")
    return lambda rng, mean, n, trials: _counts(
        # counts around a gamma rate; rates of n respondents add up to a gamma of n times the shape
        rng,
        rng.gamma(n * alpha, _possible(mean) / alpha),
    )


def _counts(rng: np.random.Generator, rate: Floats) -> Floats:
    """Counts at these rates, also where they are too large for numpy."""
    large = rate > NORMAL
    counts = rng.poisson(np.where(large, 0.0, rate)).astype(np.float64)
    counts[large] = rate[large] + np.sqrt(rate[large]) * rng.standard_normal(large.sum())
    return counts


def _successes(rng: np.random.Generator, p: Floats, n: Floats, trials: Floats) -> Floats:
    """Successes, added up over respondents."""
    tried = _whole(n * trials)
    if (tried == 1).all():  # an order of magnitude faster
        return (rng.random(p.shape) < p).astype(np.float64)
    return rng.binomial(tried, p).astype(np.float64)


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


def _possible(mean: Floats) -> Floats:
    return expected_counts(mean, "`pp_check`", LARGEST)
