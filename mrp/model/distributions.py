"""Distributions of priors: how users, Bambi and PreliZ write them, and their densities.

A prior is written as in brms, ``"normal(0, 2.5)"``, or given as ``bambi.Prior`` or as a PreliZ
distribution; neither library is loaded here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mrp.errors import PriorError, listing, unknown

Floats = NDArray[np.float64]
Support = Literal["real", "positive", "correlation"]


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

SYNONYMS = {
    "double_exponential": "laplace",
    "": "flat",
    "lkj_corr": "lkj",
    "lkj_corr_cholesky": "lkj",
}
"""Other names that Stan and brms have for them."""
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
        """The prior as it is written, with all digits."""
        return self.written()

    def written(self, digits: int = 15) -> str:
        """The prior as it is written, with so many significant digits."""
        shown = [_shown(value, digits) for _, value in self.arguments]
        return f"{self.name}({', '.join(shown)})"

    @property
    def distribution(self) -> Distribution:
        """The distribution that it names."""
        return DISTRIBUTIONS[self.name]

    @property
    def values(self) -> dict[str, Floats]:
        """Arguments by name, as arrays."""
        return {name: np.asarray(value, dtype=np.float64) for name, value in self.arguments}

    @property
    def proper(self) -> bool:
        """Whether its density integrates to one, so that it can be drawn from."""
        return self.name not in ("flat", "half_flat")

    def of(self, k: int) -> Prior:
        """The prior of the coefficient at position `k`."""
        own = [(name, v[k] if isinstance(v, tuple) else v) for name, v in self.arguments]
        return Prior(self.name, tuple(own))

    def quantiles(self, probabilities: Floats, width: int = 2) -> Floats:
        """Quantiles, if it is proper and has one number for each argument.

        Parameters
        ----------
        probabilities
            Between 0 and 1.
        width
            Number of effects that are correlated; of correlations it is the prior of each.
        """
        p = (1 + probabilities) / 2 if self._folded else probabilities
        result: Floats = _scipy(self, width).ppf(p)
        return result

    def density(self, x: Floats, width: int = 2) -> Floats:
        """Density at `x`, which must be in its support; otherwise as `quantiles`."""
        result: Floats = (2.0 if self._folded else 1.0) * _scipy(self, width).pdf(x)
        return result

    @property
    def _folded(self) -> bool:
        return self.name in HALVES.values()


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
        raise PriorError(_unknown(match[1], list(DISTRIBUTIONS)))
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


def _unknown(name: str, available: list[str]) -> str:
    return unknown("priors", "name a distribution", name, available, shown=len(available))


def together(priors: list[Prior]) -> Prior:
    """The prior of several coefficients whose own priors have the same distribution."""
    arguments = {key: np.array([prior.values[key] for prior in priors]) for key in priors[0].values}
    return make(
        priors[0].name,
        **{key: v[0] if (v == v[0]).all() else v for key, v in arguments.items()},
    )


# --- the forms that users write -------------------------------------------------------------------


def written(prior: Prior | str | Any, parameter: str) -> Prior:
    """A prior in any of the forms that users write: text, ``bambi.Prior``, PreliZ distribution."""
    if isinstance(prior, Prior):
        return prior
    if isinstance(prior, str):
        return parse(prior)
    if hasattr(prior, "name") and hasattr(prior, "args"):
        return _from_bambi(prior, parameter)
    if hasattr(prior, "param_names"):
        return _from_preliz(prior, parameter)
    raise PriorError(
        f"`priors` must be a string such as 'normal(0, 1)', a bambi.Prior or a PreliZ "
        f"distribution for {parameter!r}, got {prior!r}."
    )


def fitted(prior: Prior, support: Support, parameter: str) -> Prior:
    """A prior fit for a parameter's support: its positive half for one that is positive."""
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
    nested = prior.args.get("sigma")
    if hasattr(nested, "args"):
        return _hyperprior(prior, nested, parameter)
    return _from_pymc(prior.name, prior.args, prior, parameter)


def _hyperprior(prior: Any, nested: Any, parameter: str) -> Prior:
    """Bambi nests the prior of a sd in that of the effects: Normal(0, sigma=HalfNormal(1))."""
    if prior.name != "Normal" or np.any(prior.args.get("mu", 0) != 0):
        raise PriorError(
            f"`priors` must have normal effects around 0 in {parameter!r}, got {prior}. "
            f"Give the prior of their sd alone, such as 'half_normal(1)'."
        )
    return _from_bambi(nested, parameter)


def _from_preliz(prior: Any, parameter: str) -> Prior:
    """A PreliZ distribution, known by its class; it has its arguments however it was written."""
    name = type(prior).__name__
    keys = {key for distribution in DISTRIBUTIONS.values() for key in distribution.arguments}
    arguments = {key: getattr(prior, key, None) for key in keys}
    known = {key: value for key, value in arguments.items() if value is not None}
    return _from_pymc(name, known, prior, parameter)


def _from_pymc(name: str, arguments: Mapping[str, Any], prior: Any, parameter: str) -> Prior:
    """A prior from PyMC's name of its distribution and from its arguments."""
    names = {distribution.pymc: ours for ours, distribution in DISTRIBUTIONS.items()}
    if name not in names:
        raise PriorError(_unknown(name, list(names)))
    wanted = DISTRIBUTIONS[names[name]].arguments
    missing = [key for key in wanted if key not in arguments]
    if missing:
        raise PriorError(f"`priors` must give {name} its {listing(missing)}, got {prior}.")
    try:
        values = {key: np.asarray(arguments[key], dtype=np.float64) for key in wanted}
    except (TypeError, ValueError) as error:
        raise PriorError(
            f"`priors` must have numbers as arguments for {parameter!r}, got {prior}. "
            f"Priors of hyperparameters are written for the group-specific sd's alone."
        ) from error
    return make(names[name], **values)


# --- densities ------------------------------------------------------------------------------------


def _scipy(prior: Prior, width: int) -> Any:
    """The distribution; of a half one, the whole that is folded at zero."""
    from scipy import stats

    a = prior.values
    correlation = width / 2 - 1  # each is 2 Beta(c, c) - 1 with c = eta - 1 + width / 2
    by_name: dict[str, Callable[[], Any]] = {
        "normal": lambda: stats.norm(a["mu"], a["sigma"]),
        "student_t": lambda: stats.t(a["nu"], a["mu"], a["sigma"]),
        "cauchy": lambda: stats.cauchy(a["alpha"], a["beta"]),
        "laplace": lambda: stats.laplace(a["mu"], a["b"]),
        "half_normal": lambda: stats.norm(0.0, a["sigma"]),
        "half_student_t": lambda: stats.t(a["nu"], 0.0, a["sigma"]),
        "half_cauchy": lambda: stats.cauchy(0.0, a["beta"]),
        "exponential": lambda: stats.expon(scale=1 / a["lam"]),
        "gamma": lambda: stats.gamma(a["alpha"], scale=1 / a["beta"]),
        "inv_gamma": lambda: stats.invgamma(a["alpha"], scale=a["beta"]),
        "lkj": lambda: stats.beta(a["eta"] + correlation, a["eta"] + correlation, -1.0, 2.0),
    }
    return by_name[prior.name]()


def _plain(value: float | Floats) -> float | tuple[float, ...]:
    """A number, or a tuple of numbers where there are several."""
    flat = np.atleast_1d(np.asarray(value, dtype=np.float64)).ravel()
    return float(flat[0]) if len(flat) == 1 else tuple(float(x) for x in flat)


def _shown(value: float | tuple[float, ...], digits: int = 15) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_shown(x, digits) for x in value)}]"
    if not np.isfinite(value):
        return str(value)
    number = Decimal(f"{value:.{digits}g}").normalize()
    plain, power = f"{number:f}", f"{number:e}".replace("e+", "e")
    return power if len(power) + 1 < len(plain) else plain  # 1e6, but 1000 and 0.001
