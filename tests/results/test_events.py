"""Events and their shares of the draws."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp.errors import RequestError
from mrp.results.events import comparison, region, shares
from tests.messages import raises

OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
DRAWS = np.array([[-0.5, 0.5, 0.5, 1.0], [1.0, 2.0, -3.0, 0.0]])


@pytest.mark.parametrize("holds", OPERATORS)
@pytest.mark.parametrize(
    ("number", "value"),
    [("0.5", 0.5), (" 1 ", 1.0), ("-.5", -0.5), ("+1.", 1.0), ("5e-1", 0.5), ("10E-1", 1.0)],
)
def test_statement_compares_draws_with_a_number(holds, number, value):
    expected = [sum(OPERATORS[holds](x, value) for x in row) / 4 for row in DRAWS]
    assert shares(DRAWS, [comparison(f"{holds}{number}")])[:, 0].tolist() == expected


@pytest.mark.parametrize(
    "bad", ["0.4", "= 0.4", "== 0.4", "> a", "> 1.2.3", "> .", "> 0.4 or < 0.2", "", ">", 0.4]
)
def test_statement_that_compares_with_no_number_is_refused(bad):
    message = (
        f"`statement` must compare with a number, such as '> 0.4', got {bad!r}. "
        f"Available: ['>=', '<=', '>', '<']."
    )
    with raises(RequestError, message):
        comparison(bad)


def test_bounds_of_a_region_are_inside():
    assert shares(DRAWS, region([0.5, 1])).tolist() == [[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]]


def test_region_may_be_open_ended():
    inf = float("inf")
    assert shares(DRAWS, region((-inf, 0.0))).tolist() == [[0.0, 0.25, 0.75], [0.0, 0.5, 0.5]]
    assert shares(DRAWS, region(np.array([0.0, inf]))).tolist() == [
        [0.25, 0.75, 0],
        [0.25, 0.75, 0],
    ]


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=2, unique=True).map(sorted))
def test_below_inside_and_above_sum_to_one(bounds):
    draws = np.random.default_rng(1).normal(size=(3, 50)).round(1)
    np.testing.assert_allclose(shares(draws, region(bounds)).sum(axis=1), 1.0)


@pytest.mark.parametrize(
    "bad",
    [[1, 0], [0, 0], [0], [0, 1, 2], 0.5, None, ["a", "b"], "01", [0, float("nan")], [0, None]],
)
def test_bounds_of_no_region_are_refused(bad):
    message = (
        f"`bounds` must be two numbers [low, high] with low < high, got {bad!r}. "
        "For example: [-0.01, 0.01]."
    )
    with raises(RequestError, message):
        region(bad)


@given(st.data())
def test_nothing_is_said_of_rows_with_draws_that_are_no_numbers(data):
    draws = np.random.default_rng(1).normal(size=(4, 6))
    where = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=4))
    for row, draw in where:
        draws[row, draw] = np.nan
    events = [comparison("> 0"), comparison("<= 0"), *region([-1, 1])]
    found, missing = shares(draws, events), np.isnan(draws).any(axis=1)
    assert np.isnan(found[missing]).all()
    assert np.isfinite(found[~missing]).all()


def test_infinite_draws_are_on_their_side():
    draws = np.array([[np.inf, -np.inf, 0.0, 1.0]])
    assert shares(draws, [comparison("> 0.5"), *region([0, 1])]).tolist() == [
        [0.5, 0.25, 0.5, 0.25]
    ]
