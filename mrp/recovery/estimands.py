"""Estimands of a recovery: functions of a fit that may take a seed, their labels, the default ones.

Where an estimand draws random numbers, as for groups that the survey lacks, those of the truth
must be independent of those of the posterior, and others in each survey: otherwise the truth is no
draw like the others. So it does not choose its seed but is given one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mrp.effects import WITH_SIGMA
from mrp.errors import RequestError
from mrp.fit import Fit
from mrp.levels import KINDS
from mrp.model.model import Model
from mrp.model.outcome import outcome_column
from mrp.results.estimates import Estimates, Made, estimates
from mrp.results.labels import names_of

Estimand = Callable[..., Estimates]
"""A function of a fit, or of a fit and ``seed``."""
Names = Mapping[str, tuple[str, ...]]
"""Labels of the estimates of each estimand, in order."""

LOG_LIKELIHOOD = "log_likelihood"
"""Name of the estimand that needs the outcome besides a fit."""
EXAMPLE = "{'states': lambda fit: mrp.poststratify(fit, frame, by='state', wts='n')}"


def answer(of: Estimand, fit: Fit, seed: int) -> Estimates:
    """An estimand of a fit, with the seed if it takes one."""
    return of(fit, seed=seed) if takes_seed(of) else of(fit)


def takes_seed(of: Estimand) -> bool:
    """Whether a function has a parameter ``seed`` besides the fit.

    It goes by the name, so that others with defaults, as the factor of `Fit.ranef`, are left alone.

    Examples
    --------
    >>> takes_seed(lambda fit, seed: fit.predict(seed=seed)), takes_seed(Fit.ranef)
    (True, False)
    """
    signature = _signature(of)
    return signature is not None and "seed" in signature.parameters and _binds(signature, seed=0)


def _signature(of: Estimand) -> inspect.Signature | None:
    """The parameters of a function; None for the few of compiled code that don't tell."""
    try:
        return inspect.signature(of)
    except (TypeError, ValueError):
        return None


def _binds(signature: inspect.Signature, **options: int) -> bool:
    """Whether a fit and these options are all that must be given."""
    try:
        signature.bind(None, **options)
    except TypeError:
        return False
    return True


def check_estimands(estimands: Mapping[str, Any], *, log_likelihood: bool) -> None:
    """Raise unless these are functions by name."""
    if not isinstance(estimands, Mapping):
        raise RequestError(
            f"`estimands` must map names to functions of a fit, got {type(estimands).__name__}. "
            f"For example: {EXAMPLE}."
        )
    if not estimands and not log_likelihood:
        raise RequestError(
            f"`estimands` must have at least one quantity, got none. For example: {EXAMPLE}."
        )
    for name, of in estimands.items():
        _check_function(name, of)
    if log_likelihood and LOG_LIKELIHOOD in estimands:
        raise RequestError(
            f"`estimands` must not be named {LOG_LIKELIHOOD!r}, which is added. Rename it, or "
            f"pass log_likelihood=False."
        )


def _check_function(name: object, of: Any) -> None:
    if not isinstance(name, str) or not callable(of):
        raise RequestError(
            f"`estimands` must map names to functions of a fit, got {type(of).__name__} for "
            f"{name!r}. For example: {EXAMPLE}."
        )
    signature = _signature(of)
    if signature is not None and not _binds(signature) and not takes_seed(of):
        raise RequestError(
            f"`estimands` must be functions of a fit, or of a fit and `seed`, got {name!r} with "
            f"the parameters {signature}. Give the others defaults."
        )


def labels_of(estimates: Estimates, fit: Fit) -> tuple[str, ...]:
    """A name for each estimate.

    A column with the outcome is left out if the others tell the rows apart: it is that of the
    survey's rows, and differs between surveys. In parameters of a level it is the level.
    """
    labels = estimates.labels
    others = labels.drop(columns=outcome_column(fit.design.formula), errors="ignore")
    apart = len(others.columns) and not others.duplicated().any()
    return tuple(names_of(others if apart else labels))


# --- parameters -----------------------------------------------------------------------------------


def parameters(of: Model | Fit) -> dict[str, Estimand]:
    """The parameters of a model as estimands: coefficients, standard deviations, correlations."""
    found: dict[str, Estimand] = {}
    if of.design.terms or KINDS.get(of.family) == "ordered":
        found["fixef"] = Fit.fixef
    if of.design.blocks or of.family in WITH_SIGMA:
        found["varcorr"] = Fit.varcorr
    if of.family == "negativebinomial":
        found["alpha"] = _alpha
    return found


def shared_parameters(one: Fit, other: Fit) -> dict[str, Estimand]:
    """The parameters that two fits both have, as estimands of either.

    Raises
    ------
    RequestError
        There are none.
    """
    theirs = parameters(other)
    found: dict[str, Estimand] = {}
    for name, of in parameters(one).items():
        known = labels_of(theirs[name](other), other) if name in theirs else ()
        labels = tuple(label for label in labels_of(of(one), one) if label in known)
        if labels:
            found[name] = Labelled(of, labels)
    if not found:
        raise RequestError(
            f"`estimands` must be given where `source` and `model` have no parameter in common, "
            f"got none. For example: {EXAMPLE}."
        )
    return found


@dataclass(frozen=True)
class Labelled:
    """An estimand's estimates of some labels.

    Parameters
    ----------
    of
        The estimand.
    labels
        The labels, in the order wanted.
    """

    of: Estimand
    labels: tuple[str, ...]

    def __call__(self, fit: Fit) -> Estimates:
        """Those estimates of a fit."""
        found = self.of(fit)
        rows = pd.Index(labels_of(found, fit)).get_indexer(pd.Index(self.labels))
        labels = found.labels.iloc[rows].reset_index(drop=True)
        return replace(found, labels=labels, source=Made(found.source.values(rows)))


def _alpha(fit: Fit) -> Estimates:
    draws = np.array(fit.parameters["alpha"].transpose("chain", "draw")).reshape(1, -1)
    about = {"quantity": "alpha", "group": fit.group}
    labels = pd.DataFrame({"parameter": ["alpha"]})
    return estimates(labels, Made(draws), fit.coefficients.chains, about)
