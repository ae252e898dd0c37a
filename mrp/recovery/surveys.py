"""Fake surveys: outcomes of the survey's own respondents, made from parameters that are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, overload

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.errors import RequestError, check_bits, counted, is_whole
from mrp.estimands.verbs import predictions
from mrp.fit import Fit
from mrp.likelihood import observed_of
from mrp.model.model import Model
from mrp.model.outcome import outcome_values, survey_with
from mrp.model.sampling import check_most, check_sizes

Source = Model | Fit
MOST_SURVEYS = 1_000_000
"""So many are more than anybody refits, and few enough to be numbered."""


@dataclass(frozen=True)
class Seeds:
    """What makes each step of one survey repeatable.

    Parameters
    ----------
    parameters, outcome, sampler, ties
        Of the true parameters, the fake outcome, the refit, and ranks among equal draws.
    truth, posterior
        Of the random numbers that estimands draw, given the true parameters or the posterior.
    """

    parameters: int
    outcome: int
    sampler: int
    ties: int
    truth: int
    posterior: int


@dataclass(frozen=True, eq=False)
class FakeSurvey:
    """The survey with another outcome, and the parameters that made it.

    Attributes
    ----------
    number
        Which of the fake surveys it is, from 0.
    outcome
        Outcome of each respondent (n,), as `Model.with_outcome` takes it: 0/1, successes, counts,
        measurements, or levels as a categorical in their order.
    truth
        One draw: the parameters. Every verb answers for it, so that ``estimand(fake.truth)`` is the
        true value. Its survey has the new outcome, as that of `Model.with_outcome`.
    """

    number: int
    outcome: NDArray[Any] | pd.Categorical
    truth: Fit


@dataclass(frozen=True, eq=False)
class FakeSurveys:
    """Fake surveys, each made when it is asked for: ``fakes[3]``, ``fakes[:3]``, or in a loop.

    Attributes
    ----------
    source
        Where parameters come from: the prior of a Model, or the draws of a Fit.
    number
        How many surveys there are.
    seed
        With a survey's number it makes the survey, whatever others there are.
    """

    source: Source
    number: int
    seed: int

    def __len__(self) -> int:
        """Number of surveys."""
        return self.number

    def __iter__(self) -> Iterator[FakeSurvey]:
        """The surveys in order."""
        return (self[k] for k in range(self.number))

    @overload
    def __getitem__(self, number: int) -> FakeSurvey: ...
    @overload
    def __getitem__(self, number: slice) -> list[FakeSurvey]: ...
    def __getitem__(self, number: int | slice) -> FakeSurvey | list[FakeSurvey]:
        """One survey, from 0, or those of a slice; negative numbers count from the end."""
        if isinstance(number, slice):
            try:
                chosen = range(*number.indices(self.number))
            except (TypeError, ValueError):
                raise RequestError(_no_number(number)) from None
            return [self[k] for k in chosen]
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise RequestError(_no_number(number))
        if not -self.number <= number < self.number:
            raise IndexError(f"there are {self.number} fake surveys, got number {number}")
        number = int(number) % self.number
        seeds = seeds_of(self.seed, number)
        return fake(self._parameters(seeds.parameters), number, seeds.outcome)

    def _parameters(self, seed: int) -> Fit:
        """One draw from the source."""
        if isinstance(self.source, Model):
            return self.source.sample_prior(draws=1, seed=seed)
        draws = self.source.parameters
        chain, draw = (
            np.random.default_rng((seed, k)).integers(draws.sizes[dim])
            for k, dim in enumerate(("chain", "draw"))
        )
        return of_one_draw(self.source, int(chain), int(draw))

    def __repr__(self) -> str:
        """How many, and from what."""
        return f"{self.number} fake surveys, parameters from {origin(self.source)}"


@explained
def simulate(source: Source, *, surveys: int = 100, seed: int = 1) -> FakeSurveys:
    """Surveys of the same respondents with outcomes drawn from known parameters.

    For each survey one vector of parameters is drawn, and from it an outcome for every respondent:

    1. parameters: one draw from the prior of a Model, or one of the draws of a Fit;
    2. outcome: for each respondent i, one draw from the family at the expected outcome of i.

    Parameters
    ----------
    source
        A Model, whose priors must be proper; or a Fit, which must have its survey.
    surveys
        Number of surveys.
    seed
        Whole number, 0 or more. Survey k depends on `seed` and k only.

    Returns
    -------
    FakeSurveys
        Each one is made when it is asked for, and has its `truth`: a `Fit` of one draw.

    Raises
    ------
    PriorError
        A prior is flat.
    DataError
        The fit was saved without its survey.

    Examples
    --------
    >>> import mrp
    >>> survey = mrp.load_dataset("simulated_survey")
    >>> model = mrp.Model("defund ~ age + (1 | state)", survey, family="bernoulli")
    >>> fakes = mrp.simulate(model, surveys=3)
    >>> [int(fake.outcome.sum()) for fake in fakes] == [int(fake.outcome.sum()) for fake in fakes]
    True
    >>> len(mrp.avg_predictions(fakes[0].truth, by="age"))
    6
    """
    check_sizes(surveys=surveys)
    check_most("surveys", surveys, MOST_SURVEYS)
    check_seed(seed)
    if not isinstance(source, Model | Fit):
        raise RequestError(
            f"`source` must be a Model, to draw parameters from its prior, or a Fit, to take them "
            f"from its draws, got {type(source).__name__}."
        )
    if isinstance(source, Model):
        source.sample_prior(draws=1, seed=0)  # refuses flat priors now
        return FakeSurveys(source, int(surveys), int(seed))
    observed_of(source, "simulate")  # refuses a fit without its survey
    lean = xr.DataTree.from_dict({source.group: source.parameters})
    return FakeSurveys(replace(source, draws=lean, info={}), int(surveys), int(seed))


def fake(parameters: Fit, number: int, seed: int) -> FakeSurvey:
    """The survey of one draw of parameters with a new outcome.

    Parameters
    ----------
    parameters
        One draw.
    number
        Number of the fake survey.
    seed
        Makes its outcome.
    """
    predictive = predictions(parameters, kind="predictive", seed=seed).source
    answers = _as_answers(parameters, predictive.values(np.arange(predictive.n))[:, 0])
    known = observed_of(parameters, "simulate")
    observed = replace(known, values=outcome_values(answers, known))
    outcome = answers if known.levels is None else observed.as_column()
    assert parameters.survey is not None  # `observed_of` is the check
    survey = survey_with(parameters.survey, parameters.design.formula, observed)
    return FakeSurvey(number, outcome, replace(parameters, survey=survey, observed=observed))


def seeds_of(seed: int, number: int) -> Seeds:
    """The seeds of one survey: they depend on `seed` and its number only."""
    words = np.random.SeedSequence(seed, spawn_key=(number,))
    state = words.generate_state(len(fields(Seeds)))
    return Seeds(*(int(each) for each in state))


def origin(source: Source) -> str:
    """Where parameters come from, in words."""
    return "the prior" if isinstance(source, Model) else f"{source.group} draws of a fit"


def check_seed(seed: object) -> None:
    """Raise unless this is a seed."""
    if not is_whole(seed):
        raise RequestError(
            f"`seed` must be a whole number, 0 or more, got {counted(seed)}. Usual: 1."
        )
    check_bits(int(seed))  # type: ignore[call-overload]


def _no_number(got: object) -> str:
    return (
        f"`fakes[…]` must have a whole number or a slice, got {got!r}. The first is fakes[0], the "
        f"first three are fakes[:3]."
    )


def of_one_draw(fit: Fit, chain: int = 0, draw: int = 0, *, times: int = 1) -> Fit:
    """A fit with one of a fit's draws, some times over."""
    one = fit.parameters.isel(chain=[chain], draw=np.full(times, draw))
    one = one.assign_coords(chain=[0], draw=np.arange(times))
    return replace(fit, draws=xr.DataTree.from_dict({fit.group: one}))


def _as_answers(fit: Fit, drawn: NDArray[np.float64]) -> NDArray[Any]:
    """What was drawn in the form in which a survey has it: successes, levels, whole numbers."""
    if fit.levels is not None:
        chosen = drawn.reshape(len(fit.levels), -1).argmax(axis=0)
        levels: NDArray[Any] = pd.Index(fit.levels).to_numpy()
        return levels[chosen]
    if fit.observed is not None and fit.observed.trials is not None:
        drawn = drawn * fit.observed.trials  # they are drawn as shares
    return drawn if fit.family == "gaussian" else np.rint(drawn).astype(np.int64)
