"""Outcomes with several levels: the parameters that levels have, and their probabilities.

Three families have outcomes that are one of K levels. With linear predictors eta, thresholds t
and the inverse link F, the probability of level k is

===========  =================================================================
categorical  exp(eta_k) / sum_j exp(eta_j), where eta_1 = 0
cumulative   F(t_k - eta) - F(t_{k-1} - eta), where t_0 = -inf and t_K = inf
sratio       F(t_k - eta) prod_{j<k} (1 - F(t_j - eta)), where t_K = inf
===========  =================================================================

(Bürkner and Vuorre 2019, doi:10.1177/2515245918823199). The first level is the reference of the
family "categorical".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mrp.design import Level
from mrp.links import InverseLink, Link, complement, inverse

if TYPE_CHECKING:
    from mrp.coefficients import Coefficients

Floats = NDArray[np.float64]
Kind = Literal["unordered", "ordered"]

KINDS: Mapping[str, Kind] = {
    "categorical": "unordered",
    "cumulative": "ordered",
    "sratio": "ordered",
}
"""What the levels of a family's outcome are; other families have none."""
THRESHOLD = "threshold"
"""Variable with the thresholds, as Bambi names it."""
THRESHOLD_DIM = "threshold_dim"


@dataclass(frozen=True)
class LevelParameters:
    """The parameters that the levels of an outcome bring into a model; none by default.

    Parameters
    ----------
    dim
        Dim of the levels that have a linear predictor of their own, as Bambi names it; None where
        there is one linear predictor.
    labels
        Those levels: all but the first.
    thresholds
        Number of thresholds between levels.
    rising
        Whether each threshold is above the one before.
    """

    dim: str | None = None
    labels: tuple[str, ...] = ()
    thresholds: int = 0
    rising: bool = False

    @property
    def dims(self) -> tuple[str, ...]:
        """The dim that coefficients have besides their own, if any."""
        return () if self.dim is None else (self.dim,)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of that dim, if any."""
        return () if self.dim is None else (len(self.labels),)

    @property
    def predictors(self) -> int:
        """Number of linear predictors."""
        return len(self.labels) if self.dim is not None else 1

    @property
    def coordinates(self) -> dict[str, Sequence[Level]]:
        """Labels of the dims."""
        coords: dict[str, Sequence[Level]] = {}
        if self.dim is not None:
            coords[self.dim] = list(self.labels)
        if self.thresholds:
            coords[THRESHOLD_DIM] = list(range(self.thresholds))
        return coords


def threshold_names(count: int) -> list[str]:
    """Names of single thresholds, from the lowest.

    Examples
    --------
    >>> threshold_names(2)
    ['threshold[0]', 'threshold[1]']
    """
    return [f"{THRESHOLD}[{k}]" for k in range(count)]


NO_LEVELS = LevelParameters()
"""An outcome without levels."""


def level_parameters(
    family: str, outcome: str, levels: tuple[Level, ...] | None
) -> LevelParameters:
    """The parameters that an outcome's levels have under a family.

    Parameters
    ----------
    family
        Name of the family.
    outcome
        Name of the outcome.
    levels
        Its levels in order; None where it has none.

    Examples
    --------
    >>> level_parameters("categorical", "vote", ("left", "right", "none")).labels
    ('right', 'none')
    >>> level_parameters("cumulative", "trust", (1, 2, 3)).thresholds
    2
    """
    if levels is None:
        return NO_LEVELS
    if KINDS[family] == "unordered":
        return LevelParameters(f"{outcome}_reduced_dim", tuple(str(level) for level in levels[1:]))
    return LevelParameters(thresholds=len(levels) - 1, rising=family == "cumulative")


def probabilities(
    family: str, link: Link, coefficients: Coefficients
) -> Callable[[Floats], Floats]:
    """From linear predictors to the probability of each level.

    Parameters
    ----------
    family, link
        "categorical", "cumulative" or "sratio", and the link function.
    coefficients
        The draws whose linear predictors they are.

    Returns
    -------
    A function of linear predictors (rows, predictors x draws) that gives probabilities
    (rows, levels x draws), both with the level varying slowest. It may overwrite its argument.
    Over the levels, the probabilities of a row and draw sum to one.
    """
    if KINDS[family] == "unordered":
        return lambda eta: _softmax(eta, coefficients.size)
    thresholds = coefficients.thresholds
    assert thresholds is not None
    tails = _TAILS[link]
    by_threshold = _cumulative if family == "cumulative" else _stopping_ratio
    return lambda eta: by_threshold(eta, thresholds, tails)


def _softmax(eta: Floats, size: int) -> Floats:
    rows, columns = eta.shape
    of_level = eta.reshape(rows, columns // size, size)
    result = np.empty((rows, columns // size + 1, size))
    # relative to the most probable level no exponential is too large
    top = np.maximum(of_level.max(axis=1), 0.0)
    np.negative(top, out=result[:, 0])
    np.subtract(of_level, top[:, None], out=result[:, 1:])
    np.exp(result, out=result)
    result /= result.sum(axis=1, keepdims=True)
    return result.reshape(rows, columns + size)


@dataclass(frozen=True)
class _Tails:
    """A link's inverse F, exact in both tails.

    Parameters
    ----------
    lower, upper
        F(z) and 1 - F(z), in place.
    between
        F(z + gap) - F(z), for a gap that is not negative.
    """

    lower: InverseLink
    upper: InverseLink
    between: Callable[[Floats, Floats], Floats]


def _cumulative(eta: Floats, thresholds: Floats, tails: _Tails) -> Floats:
    rows, size = eta.shape
    result = np.empty((rows, len(thresholds) + 1, size))
    result[:, 0] = tails.lower(thresholds[0] - eta)
    for k, gap in enumerate(np.diff(thresholds, axis=0)):
        result[:, k + 1] = tails.between(thresholds[k] - eta, gap)
    result[:, -1] = tails.upper(thresholds[-1] - eta)
    return result.reshape(rows, -1)


def _stopping_ratio(eta: Floats, thresholds: Floats, tails: _Tails) -> Floats:
    rows, size = eta.shape
    result = np.empty((rows, len(thresholds) + 1, size))
    further = np.ones((rows, size))
    for k, threshold in enumerate(thresholds):
        np.multiply(further, tails.lower(threshold - eta), out=result[:, k])
        further *= tails.upper(threshold - eta)
    result[:, -1] = further
    return result.reshape(rows, -1)


def _between_logits(z: Floats, gap: Floats) -> Floats:
    # a product: nothing cancels, however far out both ends are
    width = -np.expm1(-gap)
    return inverse("logit")(z + gap) * complement("logit")(z) * width


def _between_probits(z: Floats, gap: Floats) -> Floats:
    # above the middle, 1 - F is the smaller one
    side = np.where(z > 0, -1.0, 1.0)
    upper = inverse("probit")(side * (z + gap))
    return np.abs(upper - inverse("probit")(side * z))


def _between_cloglogs(z: Floats, gap: Floats) -> Floats:
    # where z is cut off, 1 - F is zero long since
    rate = np.exp(np.minimum(z, 700.0))
    with np.errstate(over="ignore"):
        width = -np.expm1(-(rate * np.expm1(gap)))
    result: Floats = np.exp(-rate) * width
    return result


_TAILS: Mapping[Link, _Tails] = {
    "logit": _Tails(inverse("logit"), complement("logit"), _between_logits),
    "probit": _Tails(inverse("probit"), complement("probit"), _between_probits),
    "cloglog": _Tails(inverse("cloglog"), complement("cloglog"), _between_cloglogs),
}
