"""Priors as data: what was asked for, and the defaults of Bambi and brms for the rest.

A prior is written as in brms, ``"normal(0, 2.5)"``, or given as `Prior` or as ``bambi.Prior``.
The prior of the intercept is that of centred predictors, in both sets of defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mrp.design import Block, Design, Term, variable_name
from mrp.errors import DataError, FormulaError, PriorError, listing, unknown
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.families import Family
from mrp.model.formula import Outcome

Floats = NDArray[np.float64]
Support = Literal["real", "positive", "correlation"]
Defaults = Literal["bambi", "brms"]


@dataclass(frozen=True)
class Distribution:
    """A family of priors: its PyMC name, its arguments in order, and where it lives."""

    pymc: str
    arguments: tuple[str, ...]
    support: Support


DISTRIBUTIONS: Mapping[str, Distribution] = {
    "normal": Distribution("Normal", ("mu", "sigma"), "real"),
    "student_t": Distribution("StudentT", ("nu", "mu", "sigma"), "real"),
    "cauchy": Distribution("Cauchy", ("alpha", "beta"), "real"),
    "laplace": Distribution("Laplace", ("mu", "b"), "real"),
    "flat": Distribution("Flat", (), "real"),
    "half_normal": Distribution("HalfNormal", ("sigma",), "positive"),
    "half_student_t": Distribution("HalfStudentT", ("nu", "sigma"), "positive"),
    "half_cauchy": Distribution("HalfCauchy", ("beta",), "positive"),
    "half_flat": Distribution("HalfFlat", (), "positive"),
    "exponential": Distribution("Exponential", ("lam",), "positive"),
    "gamma": Distribution("Gamma", ("alpha", "beta"), "positive"),
    "inv_gamma": Distribution("InverseGamma", ("alpha", "beta"), "positive"),
    "lkj": Distribution("LKJ", ("eta",), "correlation"),
}
"""Every prior that can be asked for, by the name that it has in a string."""

SYNONYMS = {"double_exponential": "laplace", "": "flat"}
HALVES = {
    "normal": "half_normal",
    "student_t": "half_student_t",
    "cauchy": "half_cauchy",
    "flat": "half_flat",
}
"""What a prior on the real line becomes on a parameter that is positive, as in brms."""

SUPPORTS: Mapping[Support, str] = {
    "real": "real numbers",
    "positive": "positive numbers",
    "correlation": "correlations",
}
POSITIVE_ARGUMENTS = {"sigma", "nu", "beta", "b", "lam", "eta"}


@dataclass(frozen=True)
class Prior:
    """A prior: the name of a distribution and its arguments, each a number or one per coefficient.

    Examples
    --------
    >>> str(parse("normal(0, 2.5)"))
    'normal(0, 2.5)'
    """

    name: str
    arguments: tuple[tuple[str, float | tuple[float, ...]], ...]

    def __str__(self) -> str:
        """The prior as it is written."""
        shown = [_shown(value) for _, value in self.arguments]
        return f"{self.name}({', '.join(shown)})"

    @property
    def distribution(self) -> Distribution:
        """The distribution that it names."""
        return DISTRIBUTIONS[self.name]

    @property
    def values(self) -> dict[str, Floats]:
        """Arguments by name, as arrays."""
        return {name: np.asarray(value, dtype=np.float64) for name, value in self.arguments}


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
    """

    population: Mapping[str, Prior]
    sd: Mapping[str, Prior]
    cor: tuple[float, ...]
    auxiliary: Mapping[str, Prior]


def make(name: str, **arguments: float | Floats) -> Prior:
    """A prior from the name of its distribution and its arguments."""
    distribution = DISTRIBUTIONS[name]
    pairs = [(key, _plain(arguments[key])) for key in distribution.arguments]
    prior = Prior(name, tuple(pairs))
    for key, value in prior.values.items():
        positive = key in POSITIVE_ARGUMENTS or (key == "alpha" and name != "cauchy")
        if not np.isfinite(value).all() or (positive and (value <= 0).any()):
            raise PriorError(
                f"`priors` must have {'positive' if positive else 'finite'} numbers for {key!r} "
                f"in {prior}, got {_shown(_plain(value))}. Check the order of its arguments: "
                f"{name}({', '.join(distribution.arguments)})."
            )
    return prior


def parse(text: str) -> Prior:
    """A prior from a string such as ``"student_t(3, 0, 2.5)"``."""
    match = re.fullmatch(r"\s*(\w*)\s*(?:\(([^()]*)\))?\s*", text)
    if match is None:
        raise PriorError(
            f"`priors` must be written like 'normal(0, 1)', got {text!r}. "
            f"Available: {listing(DISTRIBUTIONS, shown=20)}."
        )
    name = SYNONYMS.get(match[1], match[1])
    if name not in DISTRIBUTIONS:
        raise PriorError(unknown("priors", "name a distribution", match[1], list(DISTRIBUTIONS)))
    expected = DISTRIBUTIONS[name].arguments
    given = match[2].split(",") if (match[2] or "").strip() else []
    try:
        numbers = [float(part) for part in given]
    except ValueError:
        numbers = []
    if len(numbers) != len(expected) or len(numbers) != len(given):
        each = ", a number for each" if expected else ""
        raise PriorError(
            f"`priors` must be written {name}({', '.join(expected)}){each}, got {text!r}."
        )
    return make(name, **dict(zip(expected, numbers, strict=True)))


def read(prior: Prior | str | Any, support: Support, parameter: str) -> Prior:
    """A prior in any of the forms that users write, fit for a parameter's support."""
    if isinstance(prior, str):
        prior = parse(prior)
    elif not isinstance(prior, Prior):
        prior = _from_bambi(prior, parameter)
    if support == "positive" and prior.name in HALVES:
        prior = _halved(prior, parameter)
    if prior.distribution.support != support:
        fitting = [name for name, d in DISTRIBUTIONS.items() if d.support == support]
        raise PriorError(
            f"`priors` must give {parameter!r} a distribution of {SUPPORTS[support]}, got "
            f"{prior}. Available: {listing(fitting, shown=20)}."
        )
    return prior


def _halved(prior: Prior, parameter: str) -> Prior:
    """The prior's positive half; its location must be zero."""
    values = prior.values
    location = values.pop("mu", values.pop("alpha", np.zeros(())))
    if (location != 0).any():
        raise PriorError(
            f"`priors` must have location 0 for {parameter!r}, which is positive, got {prior}. "
            f"Use a half prior, gamma or exponential."
        )
    return make(HALVES[prior.name], **values)


def _from_bambi(prior: Any, parameter: str) -> Prior:
    names = {distribution.pymc: name for name, distribution in DISTRIBUTIONS.items()}
    if not hasattr(prior, "name") or not hasattr(prior, "args"):
        raise PriorError(
            f"`priors` must be a string such as 'normal(0, 1)' or a bambi.Prior for "
            f"{parameter!r}, got {prior!r}."
        )
    if prior.name not in names:
        raise PriorError(unknown("priors", "name a distribution", prior.name, list(names)))
    name = names[prior.name]
    missing = [key for key in DISTRIBUTIONS[name].arguments if key not in prior.args]
    if missing:
        raise PriorError(f"`priors` must give {prior.name} its {listing(missing)}, got {prior}.")
    return make(name, **{key: np.asarray(prior.args[key]) for key in DISTRIBUTIONS[name].arguments})


def resolve(
    given: Defaults | Mapping[str, Any] | None,
    design: Design,
    observed: Observed,
    outcome: Outcome,
    family: Family,
    link: Link,
) -> Priors:
    """The prior of every parameter: the user's where given, else the default.

    Parameters
    ----------
    given
        "bambi" or "brms"; or a mapping from parameters to priors. Its key "defaults" names the set
        of defaults for the rest ("bambi" if absent); the other keys are, from general to
        particular: "b" (all population-level coefficients but the intercept),
        "Intercept", "sd" (all group sd's), "cor", "sigma" or "alpha"; a term's name ("age"); a
        group-specific term's name ("gender|state"), for its sd.
    design, observed, outcome, family, link
        The model; its (uncollapsed) data scale the defaults.
    """
    overrides = dict(given) if isinstance(given, Mapping) else {"defaults": given or "bambi"}
    overrides = {variable_name(str(key)): prior for key, prior in overrides.items()}
    defaults = overrides.pop("defaults", "bambi")
    if defaults not in get_args(Defaults):
        raise PriorError(
            unknown("priors", "be a mapping or the name of a set of defaults", defaults,
                    get_args(Defaults))
        )  # fmt: skip
    base = _DEFAULTS[defaults](design, observed, outcome, family, link)
    _check_keys(overrides, design, family)
    widths = {term.name: term.width for term in design.terms}
    widths |= {block.variable(term): term.width for block, term in _group_terms(design)}

    def chosen(support: Support, default: Prior, *keys: str) -> Prior:
        for key in keys:
            if key in overrides:
                prior = read(_hyperprior(overrides[key], support, key), support, key)
                _check_width(prior, keys[0], widths.get(keys[0], 1))
                return prior
        return default

    population = {
        name: chosen("real", prior, name, *(() if name == "Intercept" else ("b",)))
        for name, prior in base.population.items()
    }
    sd = {name: chosen("positive", prior, name, "sd") for name, prior in base.sd.items()}
    lkj = [chosen("correlation", make("lkj", eta=eta), "cor") for eta in base.cor]
    auxiliary = {name: chosen("positive", p, name) for name, p in base.auxiliary.items()}
    return Priors(population, sd, tuple(float(p.values["eta"]) for p in lkj), auxiliary)


def _hyperprior(prior: Any, support: Support, parameter: str) -> Any:
    """Bambi nests the prior of a sd in that of the effects: Normal(0, sigma=HalfNormal(1))."""
    arguments = getattr(prior, "args", {})
    nested = arguments.get("sigma")
    if support != "positive" or not hasattr(nested, "args"):
        return prior
    if prior.name != "Normal" or np.any(arguments.get("mu", 0) != 0):
        raise PriorError(
            f"`priors` must have normal effects around 0 in {parameter!r}, got {prior}. "
            f"Give the prior of their sd alone, such as 'half_normal(1)'."
        )
    return nested


def _check_width(prior: Prior, parameter: str, width: int) -> None:
    for key, value in prior.values.items():
        if value.ndim and len(value) != width:
            raise PriorError(
                f"`priors` must have one number for {key!r}, or one for each coefficient of "
                f"{parameter!r} ({width}), got {len(value)} in {prior}."
            )


def _check_keys(overrides: Mapping[str, Any], design: Design, family: Family) -> None:
    if family.auxiliary in [term.name for term in design.terms]:
        raise FormulaError(
            f"`formula` must not have a term named {family.auxiliary!r}: so is a parameter of the "
            f"family {family.name!r}. Rename the column."
        )
    names = [term.name for term in design.terms]
    names += [block.variable(term) for block in design.blocks for term in block.terms]
    names += ["b", "sd", "cor", *([family.auxiliary] if family.auxiliary else [])]
    for key in overrides:
        if key not in names:
            raise PriorError(unknown("priors", "name parameters of the model", key, names))


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
    for block, term in _group_terms(design):
        columns, name = term.columns(observed.rows.values, len(observed.rows)), block.variable(term)
        scales = np.ones(1) if term.kind == "intercept" else _sd(name, term, columns, observed)
        sigma = np.array([wide]) if term.kind == "intercept" else 2.5 * y_sd / scales
        group_sd[name] = make("half_normal", sigma=sigma)
    auxiliary = {
        "sigma": make("half_student_t", nu=4.0, sigma=y_sd),
        "alpha": make("half_cauchy", beta=1.0),
    }
    own = {name: auxiliary[name] for name in [family.auxiliary] if name}
    return Priors(population, group_sd, (1.0,) * len(design.blocks), own)


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
    sd = {block.variable(term): half for block, term in _group_terms(design)}
    auxiliary = {"sigma": half, "alpha": make("inv_gamma", alpha=0.4, beta=0.3)}
    own = {name: auxiliary[name] for name in [family.auxiliary] if name}
    return Priors(population, sd, (1.0,) * len(design.blocks), own)


_DEFAULTS = {"bambi": bambi_defaults, "brms": brms_defaults}


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


def _group_terms(design: Design) -> list[tuple[Block, Term]]:
    return [(block, term) for block in design.blocks for term in block.terms]


def _plain(value: float | Floats) -> float | tuple[float, ...]:
    """A number, or a tuple of numbers where there are several."""
    flat = np.atleast_1d(np.asarray(value, dtype=np.float64)).ravel()
    return float(flat[0]) if len(flat) == 1 else tuple(float(x) for x in flat)


def _shown(value: float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(f'{x:.4g}' for x in value)}]"
    return f"{value:.4g}"
