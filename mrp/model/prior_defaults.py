"""The priors of a model, and the defaults of Bambi and brms for them.

The prior of the intercept, or of the thresholds between ordered levels, is that of centred
predictors, in both sets of defaults. (Bambi itself puts its prior on the thresholds of predictors
as they are, which holds the effects of predictors with large means near zero.) The coefficients of
all levels of an unordered outcome have the same prior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mrp.design import Block, Design, Term
from mrp.errors import DataError, listing
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.distributions import Prior, make
from mrp.model.families import Family
from mrp.model.formula import Outcome

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


def bambi_defaults(
    design: Design, observed: Observed, outcome: Outcome, family: Family, link: Link
) -> Priors:
    """Bambi's weakly informative priors, scaled by the standard deviations of the predictors."""
    gaussian = family.name == "gaussian"
    y_mean = float(np.mean(outcome.values)) if gaussian else 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        y_sd = float(np.std(outcome.values)) if gaussian else 1.0
    if not np.isfinite(y_sd):
        raise DataError(
            f"`data` must have values of the outcome {outcome.name!r} whose squares are finite, "
            f"got up to {np.abs(outcome.values).max():.3g}. Divide the outcome by its size."
        )
    if y_sd == 0:
        raise DataError(
            f"`data` must have different values in the outcome {outcome.name!r}, got only "
            f"{outcome.values[0]:g}: its sd scales Bambi's default priors. Use priors='brms'."
        )
    binary = family.name in ("bernoulli", "binomial") and link in ("logit", "probit")

    population: dict[str, Prior] = {}
    variance = (2.5 * y_sd) ** 2
    for term in design.slopes:
        columns = term.columns(observed.rows.values, len(observed.rows))
        mean = observed.mean(columns)
        sigma = (
            _binary_sigma(term, columns, observed)
            if binary
            else 2.5 * y_sd / _sd(term.name, term, columns, observed)
        )
        variance += float((sigma**2) @ mean**2)
        population[term.name] = make("normal", mu=0.0, sigma=sigma)
    wide = float(np.sqrt(variance))
    if design.has_intercept:
        intercept = (0.0, 1.5) if binary else (y_mean, wide)
        population["Intercept"] = make("normal", mu=intercept[0], sigma=intercept[1])

    group_sd: dict[str, Prior] = {}
    for block, term in group_terms(design):
        columns, name = term.columns(observed.rows.values, len(observed.rows)), block.variable(term)
        scales = np.ones(1) if term.kind == "intercept" else _sd(name, term, columns, observed)
        sigma = np.array([wide]) if term.kind == "intercept" else 2.5 * y_sd / scales
        group_sd[name] = make("half_normal", sigma=sigma)
    auxiliary = {
        "sigma": make("half_student_t", nu=4.0, sigma=y_sd),
        "alpha": make("half_cauchy", beta=1.0),
    }
    own = {name: auxiliary[name] for name in [family.auxiliary] if name}
    threshold = _bambi_threshold(family, len(outcome.levels or ()) - 1)
    return Priors(population, group_sd, (1.0,) * len(design.blocks), own, threshold)


def _bambi_threshold(family: Family, count: int) -> Prior | None:
    if family.levels != "ordered":
        return None
    spread = np.round(np.linspace(-2, 2, count), 2)
    return make("normal", mu=spread if family.name == "cumulative" else 0.0, sigma=1.0)


def brms_defaults(
    design: Design, observed: Observed, outcome: Outcome, family: Family, link: Link
) -> Priors:
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
        if design.offsets:
            rows = observed.rows
            location -= float(np.average(rows.offset(), weights=observed.count))
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
    return Priors(population, sd, (1.0,) * len(design.blocks), own, threshold)


DEFAULTS = {"bambi": bambi_defaults, "brms": brms_defaults}


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
            f"scales Bambi's default prior. Merge levels, or name a prior yourself: "
            f"priors={{'defaults': 'brms', {name!r}: 'normal(0, 1)'}}."
        )
    return sd


def group_terms(design: Design) -> list[tuple[Block, Term]]:
    """Every group-specific term with its block."""
    return [(block, term) for block in design.blocks for term in block.terms]
