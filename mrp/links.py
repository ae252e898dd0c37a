"""Link functions: from the linear predictor to the expected outcome.

Each inverse link overwrites the array it is given and returns it: prediction runs it on every
row of every draw, where a second array of that size costs as much as the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mrp.errors import RequestError, unknown

Link = Literal["identity", "log", "logit", "probit", "cloglog"]
InverseLink = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def inverse(link: Link) -> InverseLink:
    """Inverse of a link function, in place.

    Parameters
    ----------
    link
        "identity", "log", "logit", "probit" or "cloglog".

    Examples
    --------
    >>> inverse("logit")(np.zeros(1))
    array([0.5])
    """
    return _named(link, _INVERSES)


def complement(link: Link) -> InverseLink:
    """One minus the inverse of a link to probabilities, in place, with all digits near zero.

    Parameters
    ----------
    link
        "logit", "probit" or "cloglog".

    Examples
    --------
    >>> complement("logit")(np.full(1, 50.0)) > 0
    array([ True])
    """
    return _named(link, _COMPLEMENTS, "link to probabilities")


def log_odds(link: Link) -> InverseLink:
    """Log odds of the inverse of a link to probabilities, with all digits in both tails.

    Parameters
    ----------
    link
        "logit", "probit" or "cloglog".

    Examples
    --------
    >>> log_odds("logit")(np.full(1, 700.0))
    array([700.])
    """
    return _named(link, _LOG_ODDS, "link to probabilities")


def derivative(link: Link) -> InverseLink:
    """Derivative of the inverse of a link function, in a new array.

    Parameters
    ----------
    link
        "identity", "log", "logit", "probit" or "cloglog".

    Examples
    --------
    >>> derivative("logit")(np.zeros(1))
    array([0.25])
    """
    return _named(link, _DERIVATIVES)


def _named(
    link: Link, functions: Mapping[Link, InverseLink], kind: str = "link function"
) -> InverseLink:
    """The function of a link, or an error that names those there are."""
    if link not in functions:
        raise RequestError(unknown("link", f"be the name of a {kind}", link, list(functions)))
    return functions[link]


def _identity(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    return eta


def _log(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(eta, out=eta)


def _logit(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    # numpy's exp is vectorised, scipy's expit is not: a third of the time
    with np.errstate(over="ignore"):
        np.negative(eta, out=eta)
        np.exp(eta, out=eta)
        eta += 1.0
        return np.reciprocal(eta, out=eta)


def _probit(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtr

    result: NDArray[np.float64] = ndtr(eta, out=eta)
    return result


def _cloglog(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        np.exp(eta, out=eta)
        np.negative(eta, out=eta)
        np.expm1(eta, out=eta)
        return np.negative(eta, out=eta)


_INVERSES: Mapping[Link, InverseLink] = {
    "identity": _identity,
    "log": _log,
    "logit": _logit,
    "probit": _probit,
    "cloglog": _cloglog,
}


def _logit_derivative(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    away = np.exp(-np.abs(eta))
    result: NDArray[np.float64] = away / np.square(1.0 + away)
    return result


def _probit_derivative(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.exp(-0.5 * np.square(eta)) / np.sqrt(2.0 * np.pi)
    return result


def _cloglog_derivative(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    capped = np.minimum(eta, 30.0)  # the derivative is zero long before
    result: NDArray[np.float64] = np.exp(capped - np.exp(capped))
    return result


_DERIVATIVES: Mapping[Link, InverseLink] = {
    "identity": np.ones_like,
    "log": np.exp,
    "logit": _logit_derivative,
    "probit": _probit_derivative,
    "cloglog": _cloglog_derivative,
}


def _logit_complement(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    return _logit(np.negative(eta, out=eta))


def _probit_complement(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    return _probit(np.negative(eta, out=eta))


def _cloglog_complement(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        np.exp(eta, out=eta)
        np.negative(eta, out=eta)
        return np.exp(eta, out=eta)


_COMPLEMENTS: Mapping[Link, InverseLink] = {
    "logit": _logit_complement,
    "probit": _probit_complement,
    "cloglog": _cloglog_complement,
}


def _probit_log_odds(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import log_ndtr

    result: NDArray[np.float64] = log_ndtr(eta) - log_ndtr(-eta)
    return result


def _cloglog_log_odds(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    # log(exp(rate) - 1): below, the rate itself; above, where exp(rate) is too large, less nothing
    with np.errstate(over="ignore", divide="ignore"):
        rate = np.exp(eta)
        middle = np.log(np.expm1(np.minimum(rate, 1.0)))
        above = rate + np.log1p(-np.exp(-np.maximum(rate, 1.0)))
    return np.where(eta < -40.0, eta, np.where(rate < 1.0, middle, above))


_LOG_ODDS: Mapping[Link, InverseLink] = {
    "logit": _identity,
    "probit": _probit_log_odds,
    "cloglog": _cloglog_log_odds,
}
