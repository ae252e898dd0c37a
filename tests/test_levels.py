"""Outcomes with levels: which parameters they have, and how probable each level is."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, special, stats

from mrp.coefficients import Coefficients
from mrp.levels import (
    KINDS,
    NO_LEVELS,
    LevelParameters,
    level_parameters,
    probabilities,
)

INVERSE = {
    "logit": lambda z: 1 / (1 + math.exp(-z)),
    "probit": NormalDist().cdf,
    "cloglog": lambda z: 1 - math.exp(-math.exp(z)),
}
LINKS = list(INVERSE)
CASES = [
    ("categorical", "logit"),
    *[(family, link) for family in ("cumulative", "sratio") for link in LINKS],
]
SIZE, LEVELS = 6, 4


def coefficients(family, *, thresholds=None, levels=LEVELS, size=SIZE):
    """Coefficients with nothing but what the probabilities depend on; two chains."""
    if family == "categorical":
        return Coefficients(np.zeros((0, 1)), (), 2, size // 2, predictors=levels - 1)
    if thresholds is None:
        rng = np.random.default_rng(3)
        thresholds = rng.normal(0, 1.5, (levels - 1, size))
        thresholds = np.sort(thresholds, axis=0) if family == "cumulative" else thresholds
    return Coefficients(np.zeros((0, 1)), (), 2, size // 2, thresholds=np.asarray(thresholds))


def by_loop(family, link, eta, own):
    """Probabilities row by row and draw by draw, as they are written in a textbook."""
    rows = len(eta)
    result = np.empty((rows, LEVELS, SIZE))
    for i in range(rows):
        for s in range(SIZE):
            if family == "categorical":
                odds = [1.0] + [math.exp(eta[i, k * SIZE + s]) for k in range(LEVELS - 1)]
                result[i, :, s] = [o / sum(odds) for o in odds]
                continue
            f = [INVERSE[link](own.thresholds[k, s] - eta[i, s]) for k in range(LEVELS - 1)]
            for k in range(LEVELS):
                if family == "cumulative":
                    below = f[k - 1] if k > 0 else 0.0
                    result[i, k, s] = (f[k] if k < LEVELS - 1 else 1.0) - below
                else:
                    further = math.prod(1 - f[j] for j in range(min(k, LEVELS - 1)))
                    result[i, k, s] = (f[k] if k < LEVELS - 1 else 1.0) * further
    return result.reshape(rows, LEVELS * SIZE)


# --- probabilities --------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "link"), CASES)
def test_probabilities_are_those_of_a_loop_over_rows_draws_and_levels(family, link):
    own = coefficients(family)
    eta = np.random.default_rng(1).normal(0, 1.0, (5, own.columns))
    found = probabilities(family, link, own)(eta.copy())
    assert found.shape == (5, LEVELS * SIZE)
    expected = by_loop(family, link, eta, own)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(("family", "link"), CASES)
@given(
    eta=arrays(float, (3, SIZE), elements=st.floats(-1e3, 1e3)),
    others=arrays(float, (LEVELS - 1, SIZE), elements=st.floats(-50, 50)),
)
def test_probabilities_sum_to_one_and_none_is_negative(family, link, eta, others):
    others = np.sort(others, axis=0) if family == "cumulative" else others
    own = coefficients(family, thresholds=others)
    if family == "categorical":
        eta = (eta[:, None] + others).reshape(3, -1)
    found = probabilities(family, link, own)(eta).reshape(3, LEVELS, SIZE)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert (found >= 0).all()


@pytest.mark.parametrize("link", LINKS)
@given(
    middle=st.floats(-6, 6),
    gap=st.floats(1e-6, 3.0),
    side=st.sampled_from([-1, 1]),
)
def test_the_middle_of_three_ordered_levels_keeps_its_digits_in_both_tails(link, middle, gap, side):
    z = side * middle
    own = coefficients("cumulative", thresholds=[[z, z], [z + gap, z + gap]], levels=3, size=2)
    found = probabilities("cumulative", link, own)(np.zeros((1, 2)))[0, 2]
    density = {
        "logit": lambda x: math.exp(-abs(x)) / (1 + math.exp(-abs(x))) ** 2,
        "probit": stats.norm.pdf,
        "cloglog": lambda x: math.exp(x - math.exp(x)),
    }[link]
    expected, _ = integrate.quad(density, z, z + (z + gap - z), epsabs=0, epsrel=1e-11)
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-300)


@pytest.mark.parametrize("link", LINKS)
def test_equal_thresholds_leave_nothing_between_them(link):
    for z in (-40.0, 0.0, 5.0, 800.0):
        own = coefficients("cumulative", thresholds=np.full((2, 2), z), levels=3, size=2)
        found = probabilities("cumulative", link, own)(np.zeros((1, 2)))
        np.testing.assert_array_equal(found[0, 2:4], 0.0)


@pytest.mark.parametrize(("link", "far"), [("logit", 300.0), ("probit", 30.0), ("cloglog", 5.0)])
def test_the_last_of_ordered_levels_keeps_its_digits_far_out(link, far):
    upper = {
        "logit": special.expit(-far),
        "probit": stats.norm.sf(far),
        "cloglog": math.exp(-math.exp(far)),
    }[link]
    for family in ("cumulative", "sratio"):
        own = coefficients(family, thresholds=[[far, far]], levels=2, size=2)
        found = probabilities(family, link, own)(np.zeros((1, 2)))
        assert found[0, 2] == pytest.approx(upper, rel=1e-12)


def test_a_categorical_outcome_of_two_levels_is_a_logit():
    own = coefficients("categorical", levels=2)
    eta = np.random.default_rng(2).normal(0, 3, (4, SIZE))
    found = probabilities("categorical", "logit", own)(eta.copy())
    np.testing.assert_allclose(found[:, SIZE:], special.expit(eta), rtol=1e-12)


@pytest.mark.parametrize("link", LINKS)
def test_two_ordered_levels_are_the_same_whether_cumulative_or_stopping(link):
    thresholds = np.random.default_rng(4).normal(size=(1, SIZE))
    eta = np.random.default_rng(5).normal(size=(3, SIZE))
    found = [
        probabilities(family, link, coefficients(family, thresholds=thresholds))(eta.copy())
        for family in ("cumulative", "sratio")
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_cloglog_levels_are_the_same_whether_cumulative_or_stopping():
    """Proportional hazards: both are, with rates exp(t) that add up (Laara and Matthews 1985)."""
    rng = np.random.default_rng(6)
    stopping = rng.normal(size=(3, SIZE))
    rising = np.log(np.cumsum(np.exp(stopping), axis=0))
    eta = rng.normal(size=(4, SIZE))
    cumulative = coefficients("cumulative", thresholds=rising)
    found = probabilities("cumulative", "cloglog", cumulative)(eta.copy())
    other = coefficients("sratio", thresholds=stopping)
    np.testing.assert_allclose(
        found, probabilities("sratio", "cloglog", other)(eta.copy()), rtol=1e-10
    )


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("family", ["cumulative", "sratio"])
def test_a_higher_linear_predictor_makes_higher_levels_more_probable(family, link):
    own = coefficients(family)
    eta = np.linspace(-2, 2, 9)[:, None] + np.zeros(SIZE)
    found = probabilities(family, link, own)(eta).reshape(9, LEVELS, SIZE)
    at_least = found[:, ::-1].cumsum(axis=1)[:, :-1]
    assert (np.diff(at_least, axis=0) > 0).all()


@given(shift=st.floats(-500, 500))
def test_only_differences_of_linear_predictors_matter_to_a_categorical_outcome(shift):
    own = coefficients("categorical", levels=3, size=2)
    eta = np.array([[0.3, -1.0, 2.0, 0.5]])
    found = probabilities("categorical", "logit", own)(eta + shift).reshape(3, 2)
    np.testing.assert_allclose(
        found[2, 0] * math.exp(0.3), found[1, 0] * math.exp(2.0), rtol=1e-9, atol=1e-300
    )


# --- parameters -----------------------------------------------------------------------------------


def test_an_outcome_without_levels_has_no_parameters_of_levels():
    assert level_parameters("bernoulli", "y", None) is NO_LEVELS
    assert (NO_LEVELS.dims, NO_LEVELS.shape, NO_LEVELS.predictors) == ((), (), 1)
    assert NO_LEVELS.coordinates == {}


def test_each_level_but_the_first_has_a_linear_predictor_where_levels_have_no_order():
    found = level_parameters("categorical", "vote", ("left", 3, True))
    assert found == LevelParameters("vote_reduced_dim", ("3", "True"))
    assert (found.dims, found.shape, found.predictors) == (("vote_reduced_dim",), (2,), 2)
    assert found.coordinates == {"vote_reduced_dim": ["3", "True"]}


@pytest.mark.parametrize(("family", "rising"), [("cumulative", True), ("sratio", False)])
def test_ordered_levels_have_thresholds_between_them(family, rising):
    found = level_parameters(family, "trust", (1, 2, 3))
    assert found == LevelParameters(thresholds=2, rising=rising)
    assert (found.dims, found.shape, found.predictors) == ((), (), 1)
    assert found.coordinates == {"threshold_dim": [0, 1]}


def test_every_family_with_levels_has_probabilities():
    assert {family for family, _ in CASES} == set(KINDS)
