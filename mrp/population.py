"""A survey whose truth is known, shaped like the Cooperative Election Study of 2020.

A population of 48 states is made first: who lives there, and who supports cutting police budgets.
Then people answer the survey, some kinds of them more often than others. The population keeps the
true answer in every state.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrp.arguments import explained
from mrp.datasets import AGE, EDUCATION
from mrp.errors import RequestError
from mrp.memory import LARGE, check_fits

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# fmt: off
SIZES: Mapping[str, int] = MappingProxyType({
    "ND": 4, "WY": 5, "SD": 8, "VT": 9, "MS": 12, "ID": 14, "MT": 14, "NE": 15, "NH": 15, "RI": 15,
    "DE": 19, "AR": 21, "KS": 21, "ME": 21, "WV": 21, "NM": 22, "OK": 23, "IA": 32, "NV": 32,
    "UT": 33, "KY": 40, "CT": 42, "LA": 44, "MN": 44, "OR": 46, "AL": 47, "MD": 49, "MA": 53,
    "WA": 57, "CO": 59, "SC": 60, "WI": 67, "TN": 70, "IN": 76, "MO": 76, "AZ": 81, "NJ": 88,
    "GA": 90, "VA": 90, "NC": 91, "MI": 94, "IL": 107, "OH": 136, "PA": 144, "NY": 180, "FL": 224,
    "TX": 224, "CA": 265,
})
"""Respondents of each state in the CES sample of 3,000."""
# fmt: on

ROW_BYTES = 400
"""What a respondent takes while the survey is made."""
INTERCEPT = -0.2577928
AGE_EFFECTS = (0.0, 0.0192253, -0.7821669, -0.9662776, -1.1645794, -1.3740248)
EDUCATION_EFFECTS = (0.0, 0.0890342, 0.4157259, 0.1891399, 0.6204406, 0.9882507)
MILITARY_EFFECT = 0.0003398
WOMAN_EFFECT = 0.1680639
"""Log-odds ratios of support, by level: maximum likelihood estimates from the CES."""

AGE_RESPONSE = (1.0, 1.6, 2.5, 3.5, 4.5, 5.0)
EDUCATION_RESPONSE = (1.0, 1.2, 1.4, 1.5, 1.8, 2.0)
WOMAN_RESPONSE = 1.4
"""How many times as often as a man of 18-29 with No HS a person answers, by level."""


@dataclass(frozen=True, eq=False)
class SimulatedSurvey:
    """A survey, the frame that describes its population, and the truth it should find.

    Attributes
    ----------
    survey
        One row per respondent: state, defund (0/1), gender, age, education, military (0/1).
    frame
        One row per cell, 48 states x 6 ages x 6 educations x 2 genders x 2 = 6,912: state, age,
        education, gender, military, n (people, at least 1).
    truth
        One row per state: state, truth (share of its people that supports, in [0, 1]), population
        (people).
    """

    survey: pd.DataFrame
    frame: pd.DataFrame
    truth: pd.DataFrame


@explained
def simulate_survey(
    *,
    seed: int = 2020,
    scale: int = 1,
    state_sd: float = 0.35,
    slope_sd: float = 0.20,
    correlation: float = 0.3,
    selection: float = 1.0,
) -> SimulatedSurvey:
    r"""An unrepresentative survey, with the poststratification frame and the true state opinions.

    A person :math:`i` of state :math:`s` supports cutting police budgets with probability

    .. math::

        p_i = \mathrm{logit}^{-1}\left(x_i^\top \beta + u_s + v_s\,\mathrm{woman}_i\right),
        \qquad
        (u_s, v_s) \sim N\left(0, \begin{pmatrix} \sigma_u^2 & \rho\sigma_u\sigma_v \\
        \rho\sigma_u\sigma_v & \sigma_v^2 \end{pmatrix}\right),

    where :math:`\beta` are the coefficients of `defund ~ age + education + military + gender +
    (1 + gender | state)` on the CES (there :math:`\sigma_u` was 0.065 and :math:`\sigma_v` 0.036;
    the defaults are larger, so that states differ). The truth of a state is the mean of :math:`p`
    over its people. Age, education, gender and military depend on each other, differently in each
    state.

    Each state has as many respondents as in the CES, times `scale`, drawn with replacement with
    probability proportional to the product of their response factors, to the power `selection`: 1,
    1.6, 2.5, 3.5, 4.5, 5 for the six ages, 1, 1.2, 1.4, 1.5, 1.8, 2 for the six educations, 1.4
    for women. Old people answer more often and support less, so that raw means are too low.

    Parameters
    ----------
    seed
        Whole number of at least 0. The population depends on `seed`, the two deviations and
        `correlation` only: `scale` and `selection` change the survey, not its truth.
    scale
        Respondents per respondent of the CES, at least 1: the survey has ``3000 * scale`` rows.
    state_sd
        Standard deviation of the states' intercepts, in log-odds, at least 0; typically 0.1 to 0.5.
    slope_sd
        Standard deviation of the states' gender slopes, in log-odds, at least 0.
    correlation
        Of intercepts and slopes, in [-1, 1].
    selection
        Strength of the selection, at least 0; 0 makes a simple random sample within each state.

    Returns
    -------
    SimulatedSurvey
        `survey`, `frame` and `truth`.

    Raises
    ------
    RequestError
        If an argument is out of its range.

    References
    ----------
    Ornstein (2023), doi:10.1007/978-3-031-12982-7_5, describes the CES sample.

    Examples
    --------
    >>> simulated = simulate_survey(seed=1)
    >>> len(simulated.survey), len(simulated.frame), len(simulated.truth)
    (3000, 6912, 48)
    >>> float(simulated.survey["defund"].mean()) < float(simulated.truth["truth"].mean())
    True
    """
    _check_whole("seed", seed, at_least=0)
    _check_whole("scale", scale, at_least=1)
    respondents = sum(SIZES.values()) * scale
    if respondents * ROW_BYTES > LARGE:
        check_fits(
            respondents * ROW_BYTES, f"{respondents:,} respondents", "scale", "Usual: 1 to 100."
        )
    _check_number("state_sd", state_sd, 0.0, math.inf)
    _check_number("slope_sd", slope_sd, 0.0, math.inf)
    _check_number("correlation", correlation, -1.0, 1.0)
    _check_number("selection", selection, 0.0, math.inf)
    people_rng, states_rng, survey_rng = np.random.default_rng(seed).spawn(3)
    people = _people(people_rng)
    support = _support(_state_effects(states_rng, state_sd, slope_sd, correlation))
    return SimulatedSurvey(
        survey=_survey(survey_rng, people, support, scale, selection),
        frame=_cells().assign(n=people.ravel()),
        truth=_truth(people, support),
    )


def write_bundled(folder: Path) -> None:
    """Write the simulated datasets that the package bundles: `python -m mrp.population data`.

    Parameters
    ----------
    folder
        An existing folder. `simulated_survey.parquet`, `simulated_frame.parquet` and
        `simulated_truth.parquet` in it are overwritten.
    """
    simulated = simulate_survey()
    simulated.survey.to_parquet(folder / "simulated_survey.parquet", index=False)
    simulated.frame.to_parquet(folder / "simulated_frame.parquet", index=False)
    simulated.truth.to_parquet(folder / "simulated_truth.parquet", index=False)


# Below, arrays of the population have the shape (48 states, 144 kinds of person). Random numbers
# come from `Generator.random` and `Generator.standard_normal` only, whose streams NumPy has kept
# since 1.17.

_STATES = sorted(SIZES)
_STATE_SIZES = np.array([SIZES[state] for state in _STATES], dtype=np.int64)
_GENDERS = ["Man", "Woman"]
_AGE, _EDUCATION, _WOMAN, _MILITARY = np.indices((6, 6, 2, 2)).reshape(4, -1)
"""Codes of the 144 kinds of person, in the row order of the frame."""

_PEOPLE_PER_RESPONDENT = 80_000
"""Makes 240 million adults of 3,000 respondents, about as many as the 48 states have."""


def _cells() -> pd.DataFrame:
    """The cells of the population: every kind of person in every state."""
    levels = [_STATES, list(AGE.categories), list(EDUCATION.categories), _GENDERS, [0, 1]]
    names = ["state", "age", "education", "gender", "military"]
    cells = pd.MultiIndex.from_product(levels, names=names).to_frame(index=False)
    return cells.astype({"state": "str", "age": AGE, "education": EDUCATION, "gender": "str"})


def _people(rng: np.random.Generator) -> IntArray:
    """Number of people of each kind in each state, at least 1."""
    noise = np.exp(0.2 * rng.standard_normal(len(_STATES)))
    population = _PEOPLE_PER_RESPONDENT * _STATE_SIZES * noise
    share = np.exp(_log_share() + _state_tilt(rng))
    share /= share.sum(axis=1, keepdims=True)
    return np.maximum(1, np.rint(population[:, np.newaxis] * share)).astype(np.int64)


def _log_share() -> FloatArray:
    """Log of each kind's share of the nation, up to a constant: a log-linear model."""
    age = np.log([0.24, 0.18, 0.17, 0.17, 0.14, 0.10])
    education = np.log([0.10, 0.29, 0.20, 0.10, 0.20, 0.11])
    older, higher = _AGE - 2.5, _EDUCATION - 2.5
    main = age[_AGE] + education[_EDUCATION] + 0.24 * _WOMAN - 0.1 * _MILITARY
    pairs = (
        -0.04 * older * higher  # fewer old people went to college
        + 0.12 * older * _MILITARY  # more of them served
        - 0.06 * higher * _MILITARY
        + 0.05 * higher * _WOMAN
        - 0.40 * _WOMAN * _MILITARY
        - 0.90 * ((_AGE == 0) & (_EDUCATION == 5))  # few finish before 30
    )
    triples = -0.03 * older * higher * _WOMAN + 0.02 * older * higher * _MILITARY
    return np.asarray(main + pairs + triples, dtype=np.float64)


def _state_tilt(rng: np.random.Generator) -> FloatArray:
    """How each state departs from the nation's log shares, in margins and in one association."""
    states = len(_STATES)
    age = 0.15 * rng.standard_normal((states, 6))
    education = 0.25 * rng.standard_normal((states, 6))
    woman = 0.03 * rng.standard_normal((states, 1))
    military = 0.20 * rng.standard_normal((states, 1))
    association = 0.03 * rng.standard_normal((states, 1))
    margins = age[:, _AGE] + education[:, _EDUCATION] + woman * _WOMAN + military * _MILITARY
    pairs = association * (_AGE - 2.5) * (_EDUCATION - 2.5)
    return np.asarray(margins + pairs, dtype=np.float64)


def _state_effects(
    rng: np.random.Generator, state_sd: float, slope_sd: float, correlation: float
) -> FloatArray:
    """Intercept and gender slope of each state, shape (2, 48, 1), in log-odds."""
    first, second = rng.standard_normal((2, len(_STATES), 1))
    mixed = correlation * first + math.sqrt(1.0 - correlation**2) * second
    return np.stack([state_sd * first, slope_sd * mixed])


def _support(state_effects: FloatArray) -> FloatArray:
    """Probability that a person of each kind in each state supports cutting police budgets."""
    intercept, slope = state_effects
    common = INTERCEPT + np.array(AGE_EFFECTS)[_AGE] + np.array(EDUCATION_EFFECTS)[_EDUCATION]
    log_odds = common + MILITARY_EFFECT * _MILITARY + intercept + (WOMAN_EFFECT + slope) * _WOMAN
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), dtype=np.float64)


def _survey(
    rng: np.random.Generator, people: IntArray, support: FloatArray, scale: int, selection: float
) -> pd.DataFrame:
    """Respondents in random order, with their answers."""
    response = _response()
    weights = people * (response / response.max()) ** selection  # from 0 to 1: no overflow
    kinds = [_drawn(rng, *state) for state in zip(weights, scale * _STATE_SIZES, strict=True)]
    states = np.repeat(np.arange(len(_STATES)), scale * _STATE_SIZES)
    cells = states * people.shape[1] + np.concatenate(kinds)
    cells = cells[np.argsort(rng.random(len(cells)), kind="stable")]
    defund = (rng.random(len(cells)) < support.ravel()[cells]).astype(np.int64)
    rows = _cells().take(cells).reset_index(drop=True).assign(defund=defund)
    return rows[["state", "defund", "gender", "age", "education", "military"]]


def _response() -> FloatArray:
    """How often each kind of person answers, relative to the kind that answers least."""
    factors = np.array(AGE_RESPONSE)[_AGE] * np.array(EDUCATION_RESPONSE)[_EDUCATION]
    return np.asarray(factors * WOMAN_RESPONSE**_WOMAN, dtype=np.float64)


def _drawn(rng: np.random.Generator, weights: FloatArray, number: int) -> npt.NDArray[np.intp]:
    """Kinds of `number` respondents of one state, drawn by inverting their distribution."""
    cumulated = np.cumsum(weights)
    return np.searchsorted(cumulated / cumulated[-1], rng.random(number), side="right")


def _truth(people: IntArray, support: FloatArray) -> pd.DataFrame:
    """True share of support and number of people, by state."""
    population = people.sum(axis=1)
    # Ten decimals, because `exp` may differ in its last bit from one processor to another.
    truth = ((people * support).sum(axis=1) / population).round(10)
    table = pd.DataFrame({"state": _STATES, "truth": truth, "population": population})
    return table.astype({"state": "str"})


def _check_whole(argument: str, value: object, *, at_least: int) -> None:
    """Refuse what is not a whole number of at least `at_least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < at_least:
        message = f"`{argument}` must be a whole number of at least {at_least}, got {value!r}."
        raise RequestError(f"{message} Leave it out for the default.")


def _check_number(argument: str, value: object, low: float, high: float) -> None:
    """Refuse what is not a finite number in [low, high]."""
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not math.isfinite(number) or not low <= number <= high:
        rule = f"at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
        message = f"`{argument}` must be a finite number, {rule}, got {value!r}."
        raise RequestError(f"{message} Leave it out for the default.")


if __name__ == "__main__":
    write_bundled(Path(sys.argv[1]))
