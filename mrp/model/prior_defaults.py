"""The priors of a model, and the defaults of Bambi and brms for them.

The prior of the intercept, or of the thresholds between ordered levels, is that of centred
predictors, in both sets of defaults. (Bambi itself puts its prior on the thresholds of predictors
as they are, which holds the effects of predictors with large means near zero.) The coefficients of
all levels of an unordered outcome have the same prior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mrp.design import Block, Design, Term
from mrp.errors import DataError, listing
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.distributions import Prior, make
from mrp.model.families import Family
from mrp.model.outcome import Outcome

Floats = NDArray[np.float64]
Defaults = Literal["bambi", "brms"]
Path = tuple[str, ...]
"""Which parameters, from the class to the coefficient: ``("b", "age")``, ``("sd", "state")``."""


@dataclass(frozen=True)
class Priors:
    """The prior of every parameter of one model.

    Parameters
    ----------
    population
        By name of the population-level term, "Intercept" among them.
    sd
        By name of the group-specific variable, ``gender|state``.
    cor
        For each block the concentration of its LKJ prior.
    auxiliary
        By name of the family's other parameter.
    threshold
        Of the thresholds between ordered levels; None where there are none.
    centered
        Whether the prior of the intercept or the thresholds is that of centred predictors.
    sources
        By path, for each coefficient what its prior was given under, or whose default it is; not
        part of what makes priors equal.
    """

    population: Mapping[str, Prior]
    sd: Mapping[str, Prior]
    cor: tuple[float, ...]
    auxiliary: Mapping[str, Prior]
    threshold: Prior | None = None
    centered: bool = True
    sources: Mapping[Path, tuple[str, ...]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class DefaultPriors:
    """The default prior of every parameter, laid out as `Priors`.

    A default that the data do not settle is the error that says why; it is raised if it is needed.
    """

    population: Mapping[str, Prior | DataError]
    sd: Mapping[str, Prior | DataError]
    cor: tuple[float, ...]
    auxiliary: Mapping[str, Prior | DataError]
    threshold: Prior | None = None


def bambi_defaults(
    design: Design, observed: Observed, outcome: Outcome, family: Family, link: Link
) -> DefaultPriors:
    """Bambi's weakly informative priors, scaled by the standard deviations of the predictors."""
    scales = _BambiPriors(design, observed, outcome, family, link)
    population = {term.name: _if_settled(partial(scales.of_slopes, term)) for term in design.slopes}
    if design.has_intercept:
        population["Intercept"] = _if_settled(scales.of_intercept)
    sd = {
        block.variable(term): _if_settled(partial(scales.of_sd, block, term))
        for block, term in group_terms(design)
    }
    auxiliary = {
        "sigma": lambda: make("half_student_t", nu=4.0, sigma=scales.outcome_sd),
        "alpha": lambda: make("half_cauchy", beta=1.0),
    }
    own = {name: _if_settled(auxiliary[name]) for name in [family.auxiliary] if name}
    threshold = _bambi_threshold(family, len(outcome.levels or ()) - 1)
    return DefaultPriors(population, sd, (1.0,) * len(design.blocks), own, threshold)


def _if_settled(prior: Callable[[], Prior]) -> Prior | DataError:
    """A prior, or why there is none."""
    try:
        return prior()
    except DataError as error:
        return error


@dataclass(frozen=True)
class _BambiPriors:
    """Bambi's default priors, each made when it is asked for: the data may not settle all of them.

    Parameters
    ----------
    design, observed, outcome, family, link
        The model; its (uncollapsed) data are what scales.
    """

    design: Design
    observed: Observed
    outcome: Outcome
    family: Family
    link: Link

    @cached_property
    def outcome_sd(self) -> float:
        """Standard deviation of a gaussian outcome, of what an offset leaves; 1 for others."""
        if self.family.name != "gaussian":
            return 1.0
        values, name = self.outcome.values, self.outcome.name
        with np.errstate(over="ignore", invalid="ignore"):
            sd = self._sd_of_rest() if self._has_offset else float(np.std(values))
        if not np.isfinite(sd):
            raise DataError(
                f"`data` must have values of the outcome {name!r} whose squares are finite, got up "
                f"to {np.abs(values).max():.3g}. Divide the outcome by its size."
            )
        if sd == 0:
            got = f", got only {values[0]:g}"
            if self._has_offset:
                got = " less its offset, got the same for everyone"
            raise DataError(
                f"`data` must have different values in the outcome {name!r}{got}: its sd scales "
                f"Bambi's default priors. Use priors='brms'."
            )
        return sd

    @property
    def _has_offset(self) -> bool:
        """Whether there is an offset on the scale of the outcome."""
        return bool(self.design.offsets) and self.link == "identity"

    def _sd_of_rest(self) -> float:
        """Standard deviation of a gaussian outcome less the offset, which is the same in a row."""
        rest, count = self.observed.y - self.observed.rows.offset(), self.observed.count
        squares = self.observed.within + count * (rest - np.average(rest, weights=count)) ** 2
        return float(np.sqrt(squares.sum() / count.sum()))

    @property
    def binary(self) -> bool:
        """Whether slopes have the scales of log odds."""
        binary = self.family.name in ("bernoulli", "binomial")
        return binary and self.link in ("logit", "probit")

    def of_slopes(self, term: Term) -> Prior:
        """The prior of a term's coefficients."""
        return make("normal", mu=0.0, sigma=self._slope(term))

    def of_intercept(self) -> Prior:
        """The prior of the population-level intercept."""
        if self.binary:
            return make("normal", mu=0.0, sigma=1.5)
        mean = 0.0
        if self.family.name == "gaussian":
            mean = float(np.mean(self.outcome.values)) - _mean_offset(self.design, self.observed)
        return make("normal", mu=mean, sigma=self._level)

    def of_sd(self, block: Block, term: Term) -> Prior:
        """The prior of the sd's of a group-specific term's effects."""
        if term.kind == "intercept":
            return make("half_normal", sigma=self._level)
        scales = _sd(block.variable(term), term, self._columns(term), self.observed)
        return make("half_normal", sigma=2.5 * self.outcome_sd / scales)

    def _slope(self, term: Term) -> Floats:
        """Standard deviations of the priors of a term's coefficients (width,)."""
        columns = self._columns(term)
        if self.binary:
            return _binary_sigma(term, columns, self.observed)
        return 2.5 * self.outcome_sd / _sd(term.name, term, columns, self.observed)

    @cached_property
    def _level(self) -> float:
        """The spread that intercept and slopes have together at the predictors' means."""
        variance = (2.5 * self.outcome_sd) ** 2
        for term in self.design.slopes:
            mean = self.observed.mean(self._columns(term))
            variance += float((self._slope(term) ** 2) @ mean**2)
        return float(np.sqrt(variance))

    def _columns(self, term: Term) -> Floats:
        return term.columns(self.observed.rows.values, len(self.observed.rows))


def _bambi_threshold(family: Family, count: int) -> Prior | None:
    if family.levels != "ordered":
        return None
    spread = np.round(np.linspace(-2, 2, count), 2)
    return make("normal", mu=spread if family.name == "cumulative" else 0.0, sigma=1.0)


def brms_defaults(
    design: Design, observed: Observed, outcome: Outcome, family: Family, link: Link
) -> DefaultPriors:
    """The priors of brms: flat coefficients, Student t with 3 degrees of freedom for the rest."""
    location, scale = 0.0, 2.5
    if family.name in ("gaussian", "poisson", "negativebinomial"):
        y = outcome.values
        if link == "log":
            y = np.log(np.where(y == 0, 0.1, y), where=y >= 0, out=np.full(len(y), np.nan))
        median = float(np.median(y))
        if np.isfinite(median):  # else an outcome below 0 under the log link: no scale to go by
            location = round(median, 1)
            scale = max(scale, round(1.4826 * float(np.median(np.abs(y - median))), 1))
        location -= _mean_offset(design, observed)
    population = {term.name: make("flat") for term in design.slopes}
    if design.has_intercept:
        population["Intercept"] = make("student_t", nu=3.0, mu=location, sigma=scale)
    half = make("half_student_t", nu=3.0, sigma=scale)
    sd = {block.variable(term): half for block, term in group_terms(design)}
    auxiliary = {"sigma": half, "alpha": make("inv_gamma", alpha=0.4, beta=0.3)}
    own = {name: auxiliary[name] for name in [family.auxiliary] if name}
    threshold = None
    if family.levels == "ordered":
        threshold = make("student_t", nu=3.0, mu=location, sigma=scale)
    return DefaultPriors(population, sd, (1.0,) * len(design.blocks), own, threshold)


def _mean_offset(design: Design, observed: Observed) -> float:
    """Mean of the offset over respondents, which the intercept need not make up for."""
    if not design.offsets:
        return 0.0
    return float(np.average(observed.rows.offset(), weights=observed.count))


DEFAULTS = {"bambi": bambi_defaults, "brms": brms_defaults}


def default_source(defaults: str) -> str:
    """What stands for the source of a prior that nobody gave."""
    return f"{defaults} default"


def _binary_sigma(term: Term, columns: Floats, observed: Observed) -> Floats:
    """Bambi's scales under logit and probit: 1 for levels, 1 / sd for numbers."""
    levels_only = all(coding.contrasts is not None for coding in term.codings)
    if levels_only:
        return np.ones(term.width)
    if term.kind == "interaction" and term.width > 1:
        return np.repeat(1 / observed.sd(columns.sum(axis=1, keepdims=True)), term.width)
    return 1 / _sd(term.name, term, columns, observed)


def _sd(name: str, term: Term, columns: Floats, observed: Observed) -> Floats:
    """Standard deviation of each of a term's columns, none of them zero or infinite."""
    sd = observed.sd(columns)
    if not np.isfinite(sd).all():
        raise DataError(
            f"`data` must have values of {name!r} whose squares are finite, got up to "
            f"{np.abs(columns).max():.3g}. Divide the column by its size, or take logarithms."
        )
    if (sd == 0).any():
        constant = [label for label, one in zip(term.labels, sd, strict=True) if one == 0]
        raise DataError(
            f"`data` must have different values in every column of {name!r}, got the same for "
            f"everyone in {listing(constant)} (no respondent has that combination?): its sd "
            f"scales Bambi's default priors. Merge levels, or give `b`, `Intercept` and `sd` "
            f"priors of your own."
        )
    return sd


def group_terms(design: Design) -> list[tuple[Block, Term]]:
    """Every group-specific term with its block."""
    return [(block, term) for block in design.blocks for term in block.terms]
