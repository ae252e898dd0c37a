"""Inverse link functions: their formulas, their limits, in place."""

import math
from decimal import Decimal, localcontext
from typing import get_args

import numpy as np
import pytest

from mrp.errors import RequestError
from mrp.links import Link, complement, derivative, inverse, log_odds
from tests import loops
from tests.messages import raises

FORMULAS = {
    "identity": lambda eta: eta,
    "log": math.exp,
    "logit": lambda eta: 1 / (1 + math.exp(-eta)),
    "probit": lambda eta: math.erfc(-eta / math.sqrt(2)) / 2,
    "cloglog": lambda eta: 1 - math.exp(-math.exp(eta)),
}
ETA = [-8.0, -1.5, -0.1, 0.0, 0.2, 1.0, 3.0]
BOUNDED = ["logit", "probit", "cloglog"]


def test_every_link_has_a_formula_here():
    assert set(FORMULAS) == set(get_args(Link))


@pytest.mark.parametrize("link", FORMULAS)
def test_inverse_is_the_formula(link):
    expected = [FORMULAS[link](eta) for eta in ETA]
    np.testing.assert_allclose(inverse(link)(np.array(ETA)), expected, rtol=1e-12)


@pytest.mark.parametrize("link", FORMULAS)
def test_inverse_overwrites_its_argument_and_returns_it(link):
    eta = np.array([ETA, ETA])
    result = inverse(link)(eta)
    assert result is eta
    np.testing.assert_allclose(eta[1], [FORMULAS[link](x) for x in ETA], rtol=1e-12)


@pytest.mark.parametrize("link", BOUNDED)
def test_probabilities_reach_their_limits_without_a_warning(link):
    limits = inverse(link)(np.array([-1e6, -800.0, 800.0, 1e6]))
    np.testing.assert_array_equal(limits, [0.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_small_probabilities_keep_their_digits(link):
    eta = np.array([-40.0, -30.0])
    np.testing.assert_allclose(inverse(link)(eta.copy()), np.exp(eta), rtol=1e-12)


@pytest.mark.parametrize("link", FORMULAS)
def test_inverse_never_falls(link):
    assert (np.diff(inverse(link)(np.linspace(-5, 5, 101))) >= 0).all()


def test_unknown_link_is_refused_with_the_closest_name():
    message = (
        "`link` must be the name of a link function, got 'logits'. Available: ['identity', 'log', "
        "'logit', 'probit', 'cloglog']. Did you mean 'logit'?"
    )
    with raises(RequestError, message):
        inverse("logits")


# --- one minus ------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", BOUNDED)
def test_complement_is_one_minus_the_inverse_in_place(link):
    eta = np.array([ETA, ETA])
    result = complement(link)(eta)
    assert result is eta
    expected = [1 - FORMULAS[link](x) for x in ETA]
    np.testing.assert_allclose(result[1], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("link", BOUNDED)
def test_complements_reach_their_limits_without_a_warning(link):
    limits = complement(link)(np.array([-1e6, -800.0, 800.0, 1e6]))
    np.testing.assert_array_equal(limits, [1.0, 1.0, 0.0, 0.0])


def test_complements_of_large_probabilities_keep_their_digits():
    eta = np.array([30.0, 37.0])
    np.testing.assert_allclose(complement("logit")(eta.copy()), np.exp(-eta), rtol=1e-12)
    upper = [math.erfc(x / math.sqrt(2)) / 2 for x in eta]
    np.testing.assert_allclose(complement("probit")(eta.copy()), upper, rtol=1e-12)
    np.testing.assert_allclose(complement("cloglog")(np.array([5.0])), math.exp(-math.exp(5.0)))


@pytest.mark.parametrize("link", ["identity", "log", "logits"])
def test_complement_is_of_links_to_probabilities(link):
    near = "" if link == "identity" else " Did you mean 'logit'?"
    message = (
        f"`link` must be the name of a link to probabilities, got {link!r}. Available: "
        f"['logit', 'probit', 'cloglog'].{near}"
    )
    with raises(RequestError, message):
        complement(link)


# --- derivatives ----------------------------------------------------------------------------------


@pytest.mark.parametrize("link", FORMULAS)
def test_derivative_is_the_formula_in_a_new_array(link):
    eta = np.array([ETA, ETA])
    result = derivative(link)(eta)
    expected = [loops.DERIVATIVE[link](x) for x in ETA]
    np.testing.assert_allclose(result, [expected, expected], rtol=1e-12)
    np.testing.assert_array_equal(eta, [ETA, ETA])
    assert not np.shares_memory(result, eta)


@pytest.mark.parametrize("link", FORMULAS)
def test_derivative_is_the_limit_of_differences_of_the_inverse(link):
    eta = np.linspace(-3, 2, 21)
    step = 1e-5
    differences = inverse(link)(eta + step) - inverse(link)(eta - step)
    np.testing.assert_allclose(derivative(link)(eta), differences / (2 * step), rtol=1e-7)


@pytest.mark.parametrize("link", BOUNDED)
def test_derivatives_of_certain_outcomes_are_zero_without_a_warning(link):
    far = np.array([-1e6, -800.0, 800.0, 1e6])
    np.testing.assert_array_equal(derivative(link)(far), np.zeros(4))


def test_derivative_of_an_unknown_link_is_refused_with_the_closest_name():
    message = (
        "`link` must be the name of a link function, got 'probits'. Available: ['identity', 'log', "
        "'logit', 'probit', 'cloglog']. Did you mean 'probit'?"
    )
    with raises(RequestError, message):
        derivative("probits")


# --- log odds -------------------------------------------------------------------------------------

PROBABILITY = {
    "logit": lambda eta: 1 / (1 + (-eta).exp()),
    "cloglog": lambda eta: 1 - (-(eta.exp())).exp(),
}
"""Inverse links in decimal arithmetic, which has as many digits as are asked for."""


@pytest.mark.parametrize("link", PROBABILITY)
def test_log_odds_have_all_their_digits_in_both_tails(link):
    last = {"logit": 700.0, "cloglog": 6.5}[link]  # a probability of 1 - exp(-exp(6.5))
    etas = [*np.linspace(-700.0, last, 41), -40.0, -39.9, -1e-3, 0.0, 1e-3, last]
    with localcontext() as context:
        context.prec = 700
        probabilities = [PROBABILITY[link](Decimal(float(eta))) for eta in etas]
        expected = [float((p / (1 - p)).ln()) for p in probabilities]
    np.testing.assert_allclose(log_odds(link)(np.array(etas)), expected, rtol=1e-13, atol=1e-13)


def test_log_odds_of_probit_are_those_of_the_normal_distribution():
    eta = np.linspace(-5, 5, 41)
    expected = [math.log(math.erfc(-x / 2**0.5) / math.erfc(x / 2**0.5)) for x in eta]
    np.testing.assert_allclose(log_odds("probit")(eta.copy()), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eta", [30.0, 100.0, 700.0])
def test_log_odds_of_probit_have_all_their_digits_in_both_tails(eta):
    # the continued fraction of Mills' ratio: the upper tail is the density over it
    fraction = eta
    for k in range(200, 0, -1):
        fraction = eta + k / fraction
    tail = -(eta**2) / 2 - math.log(2 * math.pi) / 2 - math.log(fraction)
    found = log_odds("probit")(np.array([eta, -eta]))
    np.testing.assert_allclose(found, [-tail, tail], rtol=1e-14)


@pytest.mark.parametrize("link", BOUNDED)
def test_log_odds_rise_by_any_step_of_the_linear_predictor(link):
    eta = np.linspace(-50, 6, 2000)
    assert (np.diff(log_odds(link)(eta)) > 0).all()
