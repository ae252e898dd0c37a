"""Link functions: from the linear predictor to the expected outcome.

Each inverse link overwrites the array it is given and returns it: prediction runs it on every
row of every draw, where a second array of that size costs as much as the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

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
    if link not in get_args(Link):
        raise RequestError(unknown("link", "be the name of a link function", link, get_args(Link)))
    return _INVERSES[link]


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
