"""What is tried before anything is sampled, so that a request fails at once or not at all.

The first fake survey is given to the model. Every estimand is asked of its truth, and of made-up
draws of the model; and asked of equal draws, whether its numbers are equal too.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mrp.errors import DataError, FitError, RequestError, listing
from mrp.fit import Fit
from mrp.levels import level_parameters
from mrp.model.model import Model
from mrp.recovery.estimands import (
    LOG_LIKELIHOOD,
    Estimand,
    Names,
    answer,
    labels_of,
    takes_seed,
)
from mrp.recovery.refits import Request
from mrp.recovery.surveys import FakeSurvey, FakeSurveys, Seeds, of_one_draw, seeds_of
from mrp.rehearsal import made_up
from mrp.results.estimates import Estimates

TIMES = 100
"""How many equal draws must give equal numbers."""
SAME = 1e-8
"""Relative difference of numbers that are equal but for rounding."""


@dataclass(frozen=True)
class Trial:
    """The fits that an estimand must answer for.

    Parameters
    ----------
    truth
        The parameters of a fake survey.
    source, model
        Made-up draws of where they come from, and of what is refitted.
    seeds
        The survey's.
    """

    truth: Fit
    source: Fit
    model: Fit
    seeds: Seeds


def trial(fakes: FakeSurveys, model: Model) -> Trial:
    """The first survey that can be made, given to the model.

    Raises
    ------
    FitError
        None can be made.
    RequestError
        The model can't have its outcome.
    """
    fake = _first(fakes)
    try:
        refitted = model.with_outcome(fake.outcome, keep_priors=True)
    except DataError as error:
        raise RequestError(
            f"`model` must be one that can have the outcomes of `source`, got the family "
            f"{model.family!r} for those of {fake.truth.family!r}: {error}"
        ) from error
    truth = fake.truth
    by_level = level_parameters(truth.family, truth.outcome, truth.levels)
    of_source = made_up(truth.design, truth.family, by_level)
    of_model = made_up(refitted.design, refitted.family, refitted.by_level)
    return Trial(
        truth=truth,
        source=replace(truth, draws=xr.DataTree.from_dict({truth.group: of_source})),
        model=Fit.from_draws(refitted, of_model),
        seeds=seeds_of(fakes.seed, fake.number),
    )


def _first(fakes: FakeSurveys) -> FakeSurvey:
    """The first survey whose outcome can be drawn: parameters may be too extreme for one."""
    for number in range(len(fakes)):
        try:
            return fakes[number]
        except ValueError as error:
            impossible = error
    raise FitError(
        f"`source` must have parameters that outcomes can be drawn from, got none in "
        f"{len(fakes)} surveys; the last one said: {impossible} Narrow the priors."
    ) from impossible


def asked(request: Request, tried: Trial) -> tuple[Names, dict[str, str]]:
    """Labels of every estimand, and what each function says of made-up draws.

    The latter tells functions apart that have the same name and labels.

    Raises
    ------
    RequestError
        An estimand is no function that turns a fit into estimates with the same labels; or it draws
        random numbers without taking a seed.
    Exception
        What an estimand raises itself.
    """
    found = {name: _asked(name, of, tried) for name, of in request.estimands.items()}
    labels = {name: own for name, (own, _) in found.items()}
    if request.with_log_likelihood:
        labels[LOG_LIKELIHOOD] = ("log likelihood",)
    return labels, {name: said for name, (_, said) in found.items()}


def _asked(name: str, of: Estimand, tried: Trial) -> tuple[tuple[str, ...], str]:
    with _said_of(name, "the true parameters"):
        of_truth = answer(of, tried.truth, tried.seeds.truth)
    _check_kind(name, of_truth)
    labels = labels_of(of_truth, tried.truth)
    _check_told_apart(name, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what there is to say of a truth is said
        with _said_of(name, "made-up draws of the model that is refitted"):
            of_model = answer(of, tried.model, tried.seeds.posterior)
        _check_labels(name, labels, labels_of(of_model, tried.model))
        if not takes_seed(of):
            for fit in (tried.source, tried.model):
                _check_repeatable(name, of, fit)
    # less the digits that rounding may change
    return labels, " ".join(f"{value:.5e}" for value in _values(of_model).ravel())


@contextmanager
def _said_of(name: str, given: str) -> Iterator[None]:
    """Note at an error which estimand raised it, and of what."""
    try:
        yield
    except Exception as error:
        error.add_note(f"It was raised by the estimand {name!r}, given {given}.")
        raise


def _check_kind(name: str, found: object) -> None:
    if not isinstance(found, Estimates):
        raise RequestError(
            f"`estimands` must map names to functions that return Estimates, {name!r} returned "
            f"{type(found).__name__}. Leave out `to_frame` and the like."
        )
    if found.source.size != 1:
        raise RequestError(
            f"`estimands` must be functions of the fit that they are given, {name!r} returned "
            f"{found.source.size:,} draws for a fit of one. Write lambda fit: … fit …"
        )


def _check_told_apart(name: str, labels: tuple[str, ...]) -> None:
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise RequestError(
            f"`estimands` must have labels that tell estimates apart, {name!r} has "
            f"{listing(twice)} more than once. Make them estimands of their own."
        )


def _check_repeatable(name: str, of: Estimand, fit: Fit) -> None:
    """Raise if equal parameters give unequal numbers: then some of them are random."""
    once, often = (_values(of(of_one_draw(fit, times=times))) for times in (1, TIMES))
    if not np.allclose(often, once, rtol=SAME, atol=SAME**2, equal_nan=True):
        raise RequestError(
            f"`estimands` must give equal numbers for equal draws unless they take a seed, "
            f"{name!r} draws random ones. Pass a seed on: lambda fit, seed: … (fit, …, seed=seed)."
        )


def _values(found: Estimates) -> NDArray[np.float64]:
    """Draws (estimates, draws)."""
    return found.source.values(np.arange(found.source.n))


def _check_labels(name: str, of_truth: tuple[str, ...], of_model: tuple[str, ...]) -> None:
    if of_truth != of_model:
        either = dict.fromkeys((*of_truth, *of_model))
        differ = [label for label in either if label not in of_truth or label not in of_model]
        raise RequestError(
            f"`estimands` must have the same labels of `source` and of `model`, {name!r} has "
            f"{listing(differ or of_truth)} {'of one only' if differ else 'in another order'}. "
            f"Choose what both have."
        )
