"""Centre, spread and intervals of draws: what is taken last, from each row's draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mrp.errors import RequestError, listing, unknown, written

Floats = NDArray[np.float64]
Center = Literal["mean", "median"]
IntervalKind = Literal["eti", "hdi"]
Probabilities = float | Sequence[float]
"""Probability of an interval; a sequence asks for an interval of each."""

SMALLEST_SPREAD = 1e-150
"""Smallest standard deviation whose square is a number with all digits."""
KINDS: Mapping[IntervalKind, str] = {"eti": "equal-tailed", "hdi": "highest-density"}
"""Kinds of interval in words."""


@dataclass(frozen=True)
class Summary:
    """How draws are summarised. Its defaults are those of the package.

    Parameters
    ----------
    center
        "mean" or "median" of the draws.
    ci_kind
        "eti": equal-tailed, between the quantiles ``(1 - p) / 2`` and ``(1 + p) / 2``; "hdi": the
        narrowest interval that holds the share p of the draws.
    ci_prob
        Probability of the interval; a tuple has one interval for each.
    """

    center: Center = "mean"
    ci_kind: IntervalKind = "eti"
    ci_prob: float | tuple[float, ...] = 0.95

    def but(
        self,
        center: Center | None = None,
        ci_kind: IntervalKind | None = None,
        ci_prob: Probabilities | None = None,
    ) -> Summary:
        """The same with what is given, which is checked.

        Raises
        ------
        RequestError
            A centre or kind that there is not, or a probability that is none.
        """
        if center is not None and center not in get_args(Center):
            raise RequestError(unknown("center", "name a centre", center, get_args(Center)))
        if ci_kind is not None and ci_kind not in get_args(IntervalKind):
            raise RequestError(
                unknown("ci_kind", "name a kind of interval", ci_kind, get_args(IntervalKind))
            )
        return Summary(
            self.center if center is None else center,
            self.ci_kind if ci_kind is None else ci_kind,
            self.ci_prob if ci_prob is None else _checked(ci_prob),
        )

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Probability of each interval."""
        return self.ci_prob if isinstance(self.ci_prob, tuple) else (self.ci_prob,)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a table: ``conf_low`` for one probability, ``conf_low_95`` for several."""
        ends = [f"_{percent(p)}" for p in self.probabilities]
        if not isinstance(self.ci_prob, tuple):
            ends = [""]
        bounds = [f"conf_{side}{end}" for end in ends for side in ("low", "high")]
        return ("estimate", "std_error", *bounds)

    @property
    def attrs(self) -> dict[str, object]:
        """What a table says about its columns."""
        return {"center": self.center, "ci_kind": self.ci_kind, "ci_prob": self.ci_prob}

    def __str__(self) -> str:
        """In words: ``mean and 95% equal-tailed interval``."""
        intervals = in_words(self.probabilities, self.ci_kind)
        return f"{self.center}{',' if len(self.probabilities) > 1 else ' and'} {intervals}"


DEFAULT = Summary()
"""Mean of the draws and their equal-tailed interval of 95%."""


def in_words(probabilities: Sequence[float], kind: IntervalKind) -> str:
    """Intervals in words: ``50% and 95% equal-tailed intervals``."""
    shares = [f"{percent(p)}%" for p in probabilities]
    *most, last = shares
    listed = f"{', '.join(most)} and {last}" if most else last
    return f"{listed} {KINDS[kind]} interval{'s' if most else ''}"


def percent(probability: float) -> str:
    """A probability as text in percent: ``95``, ``89.5``."""
    return f"{100 * probability:.10g}"


def summarise(
    values: Floats,
    ci_prob: Probabilities = DEFAULT.ci_prob,
    *,
    center: Center = DEFAULT.center,
    ci_kind: IntervalKind = DEFAULT.ci_kind,
) -> Floats:
    """Centre, standard deviation and bounds of draws.

    Parameters
    ----------
    values
        Draws (rows, draws), which may be overwritten.
    ci_prob, center, ci_kind
        As in `Summary`.

    Returns
    -------
    A row each (rows, 2 + 2 x probabilities): centre, standard deviation, and the lower and upper
    bound for each probability. One draw has no standard deviation, but NaN. Nor have infinite
    draws; a row with draws that are no numbers has nothing but NaN.
    """
    probabilities = ci_prob if isinstance(ci_prob, Sequence) else (ci_prob,)
    with np.errstate(over="ignore", invalid="ignore"):
        result = _summary(values, probabilities, center, ci_kind)
        # squares, and sums of large numbers, may be no numbers or zero where the result is not
        odd = ~np.isfinite(result).all(axis=1) | (result[:, 1] < SMALLEST_SPREAD)
        extreme = np.flatnonzero(odd & np.isfinite(values).all(axis=1))
        if len(extreme):
            size = np.frexp(np.abs(values[extreme]).max(axis=1, keepdims=True))[1]
            scaled = _summary(np.ldexp(values[extreme], -size), probabilities, center, ci_kind)
            result[extreme] = np.ldexp(scaled, size)
    return result


def _summary(
    values: Floats, probabilities: Sequence[float], center: Center, kind: IntervalKind
) -> Floats:
    """`summarise` of draws that are not too large for their squares to be numbers."""
    spread = values.std(axis=1, ddof=1) if values.shape[1] > 1 else np.full(len(values), np.nan)
    middle = values.mean(axis=1) if center == "mean" else np.median(values, axis=1)
    interval = equal_tailed if kind == "eti" else highest_density
    bounds = [bound for p in probabilities for bound in interval(values, p)]
    return np.column_stack([middle, spread, *bounds])


def equal_tailed(values: Floats, probability: float) -> tuple[Floats, Floats]:
    """Bounds (rows,) that leave the same share of the draws (rows, draws) on either side.

    The quantiles interpolate linearly between order statistics (type 7 of Hyndman and Fan 1996,
    doi:10.2307/2684934, R's usual one). Between a number and infinity lies infinity. The draws are
    overwritten.
    """
    tail = (1 - probability) / 2
    at = [tail, 1 - tail]
    with np.errstate(invalid="ignore"):
        bounds = np.quantile(values, at, axis=1, overwrite_input=True)
        lost = np.isnan(bounds) & ~np.isnan(values).any(axis=1)
        if lost.any():
            # the interpolation makes NaN of equal infinities, and of a number and infinity
            below, above = (
                np.quantile(values, at, axis=1, method=side) for side in ("lower", "higher")
            )
            bounds = np.where(lost, np.where(below == above, below, below + above), bounds)
    return bounds[0], bounds[1]


def highest_density(values: Floats, probability: float) -> tuple[Floats, Floats]:
    """Bounds (rows,) of the narrowest interval that holds a share of the draws (rows, draws).

    Of n ordered draws, the pair ``floor(probability n)`` apart that is nearest to each other, the
    lowest of several; it is that of ``arviz_stats.hdi(method="nearest")``, and means what its name
    says where the density has one mode (Hyndman 1996, doi:10.2307/2684423). The draws are sorted
    in place; rows with missing draws have missing bounds.
    """
    values.sort(axis=1)
    rows, n = values.shape
    apart = min(int(np.floor(probability * n)), n - 1)
    with np.errstate(invalid="ignore", over="ignore"):
        width = values[:, apart:] - values[:, : n - apart]
    first = np.argmin(np.where(np.isnan(width), 0.0, width), axis=1)  # between equal infinities
    low, high = values[np.arange(rows), first], values[np.arange(rows), first + apart]
    missing = np.isnan(values[:, -1])  # where sorting puts them
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def check_probability(ci_prob: object) -> None:
    """Raise unless this is the probability of an interval."""
    if isinstance(ci_prob, bool) or not isinstance(ci_prob, float | int) or not 0 < ci_prob < 1:
        raise RequestError(
            f"`ci_prob` must be between 0 and 1, got {written(ci_prob)}. Usual: 0.95."
        )


def _checked(ci_prob: Probabilities) -> float | tuple[float, ...]:
    several = isinstance(ci_prob, Sequence | np.ndarray) and getattr(ci_prob, "ndim", 1) == 1
    if isinstance(ci_prob, str) or not several:
        check_probability(ci_prob)
        return float(ci_prob)  # type: ignore[arg-type]
    assert not isinstance(ci_prob, float)
    if not len(ci_prob):
        raise RequestError("`ci_prob` must have at least one probability, got none. Usual: 0.95.")
    for each in ci_prob:
        check_probability(each)
    if len(set(ci_prob)) < len(ci_prob):
        raise RequestError(
            f"`ci_prob` must have each probability once, got {listing(ci_prob)}. Drop the second."
        )
    return tuple(float(each) for each in ci_prob)
