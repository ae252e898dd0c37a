"""Inverse link functions: their formulas, their limits, in place."""

import math
from typing import get_args

import numpy as np
import pytest

from mrp.errors import RequestError
from mrp.links import Link, inverse
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
