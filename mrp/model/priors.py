"""`priors`: which parameters get which prior, as the user says it.

What is asked for is a list of choices, each for the parameters under a path: ``("b",)`` all slopes,
``("b", "age")`` those of a term, ``("b", "age[70+]")`` one of them; ``("sd", "state", "gender")``
likewise. `mrp.model.prior_resolution` finds the parameters of a model that are under it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from mrp.arguments import explained
from mrp.errors import PriorError, unknown
from mrp.levels import THRESHOLD
from mrp.model.distributions import Prior, parse, written
from mrp.model.prior_defaults import Defaults, Path, Priors

__all__ = ["Prior", "PriorChoices", "PriorLike", "Priors", "choices_of", "parse", "priors"]

PriorLike = str | Prior | Any
"""Text as ``"normal(0, 1)"``, a ``bambi.Prior``, or a PreliZ distribution."""
DEPTHS = {"b": 1, "sd": 2, "cor": 1}
"""Classes of parameters, and how many names may follow."""


@dataclass(frozen=True)
class Choice:
    """A prior that was asked for, the path to its parameters, and what it was written under."""

    path: Path
    prior: Prior
    source: str


@dataclass(frozen=True, repr=False)
class PriorChoices:
    """What `priors` was asked for; `Model` takes it.

    Parameters
    ----------
    defaults
        Whose defaults the other parameters have.
    choices
        In the order in which they were written.
    """

    defaults: Defaults
    choices: tuple[Choice, ...]

    def __repr__(self) -> str:
        """The choices, one on each line, and whose defaults the rest have."""
        wide = max((len(choice.source) for choice in self.choices), default=0)
        lines = [f"  {choice.source:<{wide}}  {choice.prior}" for choice in self.choices]
        return "\n".join(["Priors:", *lines, f"  otherwise the defaults of {self.defaults}"])


@explained
def priors(
    *,
    defaults: Defaults = "bambi",
    Intercept: PriorLike | None = None,
    b: PriorLike | Mapping[str, PriorLike] | None = None,
    sd: PriorLike | Mapping[str, PriorLike | Mapping[str, PriorLike]] | None = None,
    cor: PriorLike | Mapping[str, PriorLike] | None = None,
    sigma: PriorLike | None = None,
    alpha: PriorLike | None = None,
    threshold: PriorLike | None = None,
    **parameters: PriorLike,
) -> PriorChoices:
    """Priors for `Model`: of classes of parameters, of terms, and of coefficients.

    The more particular wins: a coefficient's over its term's, a term's over its group's (for sd's),
    these over the class's, and that over the defaults. Coefficients of one term may differ in the
    arguments of their prior, not in its distribution.

    Parameters
    ----------
    defaults
        Whose defaults parameters have that are not named: "bambi" or "brms".
    Intercept
        Of the population-level intercept; of centred predictors, unless the model has
        ``center_predictors=False``.
    b
        Of all slopes (the other population-level coefficients); or a mapping from terms and
        coefficients to priors, such as ``{"age": …, "gender[Woman]": …}``.
    sd
        Of the standard deviations of all group-specific effects; or a mapping from grouping
        factors to priors, or to mappings from effects to priors, such as ``{"state":
        {"Intercept": …, "gender": …}}``. Of a prior on the real line they get the positive half.
    cor
        Of the correlations of group-specific effects; or a mapping from grouping factors to priors.
    sigma, alpha
        Of the standard deviation of a gaussian outcome, of the shape of a negative binomial one.
    threshold
        Of the thresholds between ordered levels; of centred predictors, as the intercept's.
    parameters
        Of terms, coefficients, group-specific terms and single thresholds by name: ``age=…``, or
        ``**{"gender[Woman]": …, "gender|state": …, "threshold[0]": …}``.

    Returns
    -------
    The choices, frozen. Names are checked when a `Model` takes them: what is not named there is an
    error. A class may be empty, so that one choice serves several formulas.

    Raises
    ------
    PriorError
        A prior does not parse, or two are given for the same parameters.

    Notes
    -----
    A prior is text as in brms, ``"normal(0, 2.5)"``, a ``bambi.Prior``, or a PreliZ distribution.
    A mapping that is given to `Model` is passed on as ``priors(**mapping)``.

    Examples
    --------
    >>> import mrp
    >>> mrp.priors(b="normal(0, 0.2)", sd={"state": "exponential(2)"}, defaults="brms")
    Priors:
      b          normal(0, 0.2)
      sd(state)  exponential(2)
      otherwise the defaults of brms
    """
    if defaults not in get_args(Defaults):
        raise PriorError(
            unknown("defaults", "name a set of default priors", defaults, get_args(Defaults))
        )
    named = {"Intercept": Intercept, "sigma": sigma, "alpha": alpha, THRESHOLD: threshold}
    choices: list[Choice] = []
    for name, given in {"b": b, "sd": sd, "cor": cor}.items():
        choices += _choices((name,), given, DEPTHS[name])
    for name, given in {**named, **parameters}.items():
        choices += _choices((name,), given, 0)
    return PriorChoices(defaults, tuple(choices))


def _choices(path: Path, given: Any, depth: int) -> Iterator[Choice]:
    """The choices of a class or name: one, or one for each key of a mapping."""
    if depth and isinstance(given, Mapping):
        for key, prior in given.items():
            yield from _choices((*path, str(key)), prior, depth - 1)
    elif given is not None or len(path) > 1:
        source = _source(path)
        yield Choice(path, written(given, source), source)


def _source(path: Path) -> str:
    """What a choice was written under, as `Model.prior_summary` shows it."""
    if path[0] == "b" or len(path) == 1:
        return path[-1]
    return f"{path[0]}({' | '.join(reversed(path[1:]))})"


def choices_of(given: PriorChoices | Defaults | Mapping[str, Any] | None) -> PriorChoices:
    """What `Model` was given for `priors`, in any of its forms."""
    if isinstance(given, PriorChoices):
        return given
    if isinstance(given, Mapping):
        return priors(**{str(name): prior for name, prior in given.items()})
    if given is None or given in get_args(Defaults):
        return PriorChoices(given or "bambi", ())
    raise PriorError(
        unknown(
            "priors", "be made by `mrp.priors`, a mapping, or the name of a set of defaults", given,
            get_args(Defaults),
        )
    )  # fmt: skip
