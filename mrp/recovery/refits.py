"""One fake survey refitted: every estimate beside its truth, or the reason why there is none."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mrp.errors import FitError, FrameWarning, SamplingInterrupted, SamplingWarning, listing
from mrp.fit import Fit
from mrp.model.model import Model
from mrp.model.sampling import unjudged
from mrp.recovery.estimands import LOG_LIKELIHOOD, Estimand, Names, answer, labels_of
from mrp.recovery.likelihood import log_likelihood
from mrp.recovery.surveys import FakeSurveys, seeds_of
from mrp.results.estimates import Estimates
from mrp.results.intervals import Summary, summarise

Floats = NDArray[np.float64]

SUMMARY = Summary(ci_prob=(0.5, 0.8, 0.95))
"""Centre and intervals that are kept of each estimate: mean, equal-tailed."""
DIAGNOSTICS = ("divergences", "rhat", "ess_bulk", "seconds")
"""What is kept of `Fit.info`, the worst of all parameters."""
NUMBERS = ("truth", *SUMMARY.columns, "rank", *DIAGNOSTICS)
COLUMNS = ("survey", "estimand", "label", *NUMBERS, "failure")
"""Columns of `Recovery.table`."""


@dataclass(frozen=True)
class Sampler:
    """Options of `Model.sample` that all refits share."""

    draws: int
    tune: int
    chains: int
    target_accept: float

    def sample(self, model: Model, seed: int) -> Fit:
        """The whole posterior of a model; an interrupted run is neither that nor a failure."""
        try:
            fit = model.sample(**asdict(self), seed=seed, progress=False)
        except SamplingInterrupted:
            raise KeyboardInterrupt from None
        if fit.info["draws"] < self.draws * self.chains:
            raise KeyboardInterrupt
        return fit


@dataclass(frozen=True)
class Request:
    """What is done to each fake survey.

    Parameters
    ----------
    fakes
        The surveys.
    model
        What is refitted.
    estimands
        Quantities by name, as functions of a fit, or of a fit and ``seed``.
    sampler
        How it is sampled.
    rank_draws
        Draws, evenly spaced, among which a truth is ranked.
    with_log_likelihood
        Whether the log likelihood is one more estimand.
    """

    fakes: FakeSurveys
    model: Model
    estimands: Mapping[str, Estimand]
    sampler: Sampler
    rank_draws: int
    with_log_likelihood: bool

    def evaluate(self, fit: Fit, refitted: Model, seed: int) -> dict[str, Estimates]:
        """Every estimand of a fit to a fake survey, or of the parameters that made it."""
        found = {name: answer(of, fit, seed) for name, of in self.estimands.items()}
        if self.with_log_likelihood:
            found[LOG_LIKELIHOOD] = log_likelihood(fit, refitted.outcome)
        return found


def refit(request: Request, number: int, labels: Names) -> pd.DataFrame:
    """Rows of `Recovery.table` for one fake survey.

    Parameters
    ----------
    request
        What is done.
    number
        Number of the survey.
    labels
        Labels that the estimates must have.

    Returns
    -------
    One row for each estimate. Whatever went wrong is in the column ``failure``; numbers are then
    missing, but for the truth where it was known.
    """
    rows = _blank(number, labels)
    seeds = seeds_of(request.fakes.seed, number)
    try:
        with _quietly():
            fake = request.fakes[number]
            model = request.model.with_outcome(fake.outcome, keep_priors=True)
            of_truth = request.evaluate(fake.truth, model, seeds.truth)
            truth = _values(of_truth, labels, fake.truth)[:, 0]
            rows = rows.assign(truth=truth)
            fit = request.sampler.sample(model, seeds.sampler)
            rows = rows.assign(**{name: float(fit.info[name]) for name in DIAGNOSTICS})
            draws = _values(request.evaluate(fit, model, seeds.posterior), labels, fit)
    except Exception as error:
        said = str(error).splitlines() or [""]
        return typed(rows.assign(failure=f"{type(error).__name__}: {said[0]}".rstrip(": ")))
    return typed(rows.assign(**compared(truth, draws, request.rank_draws, seeds.ties)))


def compared(truth: Floats, draws: Floats, rank_draws: int, seed: int) -> dict[str, Any]:
    """Columns of `Recovery.table` from truths (n,) and draws (n, draws)."""
    finite = np.isfinite(draws).all(axis=1)
    failure = np.where(finite, None, "the draws are not all finite")  # type: ignore[call-overload]
    failure[~np.isfinite(truth)] = "the truth is not finite"
    good = finite & np.isfinite(truth)
    columns = {name: np.full(len(truth), np.nan) for name in (*SUMMARY.columns, "rank")}
    if good.any():
        columns["rank"][good] = ranks(truth[good], draws[good], rank_draws, seed)
        of_good = summarise(draws[good], SUMMARY.ci_prob)
        for name, values in zip(SUMMARY.columns, of_good.T, strict=True):
            columns[name][good] = values
    return {"truth": truth, **columns, "failure": failure}


def ranks(truth: Floats, draws: Floats, rank_draws: int, seed: int) -> NDArray[np.int64]:
    """How many of some evenly spaced draws (n, draws) are below each truth (n,).

    Where draws equal the truth, it is put among them at random, so that the ranks of what is
    discrete are uniform too.

    Examples
    --------
    >>> ranks(np.array([2.5, 9.0]), np.array([[1.0, 2.0, 3.0]] * 2), 3, seed=1)
    array([2, 3])
    """
    kept = draws[:, np.linspace(0, draws.shape[1] - 1, rank_draws).round().astype(np.intp)]
    below = (kept < truth[:, None]).sum(axis=1)
    equal = (kept == truth[:, None]).sum(axis=1)
    result: NDArray[np.int64] = below + np.random.default_rng(seed).integers(0, equal + 1)
    return result


def _values(found: Mapping[str, Estimates], labels: Names, fit: Fit) -> Floats:
    """Draws (estimates, draws) of all estimands in order, which must have the labels."""
    for name, estimates in found.items():
        own = labels_of(estimates, fit)
        if own != labels[name]:
            other = [label for label in own if label not in labels[name]] or own
            raise FitError(
                f"estimates of {name!r} must have the same labels in every survey, got "
                f"{len(own)} instead of {len(labels[name])}, among them {listing(other, 3)}"
            )
    return np.concatenate([each.source.values(np.arange(each.source.n)) for each in found.values()])


def _blank(number: int, labels: Names) -> pd.DataFrame:
    """Rows without numbers."""
    pairs = [(name, label) for name, own in labels.items() for label in own]
    rows = pd.DataFrame(pairs, columns=["estimand", "label"]).assign(survey=number)
    return rows.assign(**dict.fromkeys(NUMBERS, np.nan), failure=None)[list(COLUMNS)]


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """The same types whether anything failed or not, and whether read from a file or not."""
    text = dict.fromkeys(("estimand", "label", "failure"), "str")
    return rows.astype({"survey": "int64", **text, **dict.fromkeys(NUMBERS, "float64")})


@contextmanager
def _quietly() -> Iterator[None]:
    """Without warnings that are in the table, or were said before; with results that repeat.

    Sums of BLAS depend on its number of threads in the last digit, and all draws on that.
    """
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"), unjudged():
        warnings.simplefilter("ignore", SamplingWarning)
        warnings.simplefilter("ignore", FrameWarning)
        yield
