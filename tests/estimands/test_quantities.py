"""Quantities made of predictions: rows in any order, stacked, and split by level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp.estimands.contrasts import FORMULAS, SLOPES
from mrp.estimands.quantities import (
    ByLevel,
    Contrast,
    LogOdds,
    Slope,
    Transformed,
)
from mrp.links import derivative, inverse
from mrp.prediction import average
from mrp.results.estimates import Made
from mrp.results.stacking import Stacked


def made(n, size=4, seed=0):
    """Draws (n, size) between 0 and 1."""
    return Made(np.random.default_rng(seed).uniform(0.1, 0.9, (n, size)))


def slope(n):
    return Slope(
        made(n),
        made(n, seed=1),
        0.5,
        np.arange(float(n)),
        inverse("logit"),
        derivative("logit"),
        SLOPES["eyex"],
    )


def averages():
    """Of five groups, of which the third has one row and the last the first row again."""
    group = np.array([4, 0, 0, 1, 2, 3, 3, 1, 0, 4])
    return average(made(10), np.arange(1.0, 11.0), group, 5)


QUANTITIES = {
    "contrast": lambda: Contrast(made(5), made(5, seed=1), FORMULAS["ratio"]),
    "slope": lambda: slope(5),
    "stacked": lambda: Stacked((made(2), made(3, seed=1), made(1, seed=2))),
    "by level": lambda: ByLevel(made(3, size=8), 2),
    "transformed": lambda: Transformed(made(5), np.log),
    "averages": averages,
    "contrast of averages": lambda: Contrast(averages(), made(5), FORMULAS["lnratio"]),
    "log odds": lambda: LogOdds(averages(), 1, made(5)),
    "averages by level": lambda: ByLevel(averages(), 2),
}


@given(data=st.data())
@pytest.mark.parametrize("kind", QUANTITIES)
def test_rows_may_be_asked_for_in_any_order_and_more_than_once(kind, data):
    quantity = QUANTITIES[kind]()
    everything = quantity.values(np.arange(quantity.n))
    assert everything.shape == (quantity.n, quantity.size)
    rows = np.array(data.draw(st.lists(st.integers(0, quantity.n - 1), max_size=8)), dtype=np.intp)
    np.testing.assert_allclose(quantity.values(rows), everything[rows], rtol=1e-14)


@pytest.mark.parametrize("kind", QUANTITIES)
def test_values_are_the_callers_to_overwrite(kind):
    quantity = QUANTITIES[kind]()
    rows = np.arange(quantity.n)
    first = quantity.values(rows)
    expected = first.copy()
    first[:] = np.nan
    np.testing.assert_array_equal(quantity.values(rows), expected)


@pytest.mark.parametrize("kind", QUANTITIES)
def test_keys_tell_rows_apart(kind):
    quantity = QUANTITIES[kind]()
    keys = np.column_stack(quantity.keys)
    assert len(keys) == quantity.n
    assert len(np.unique(keys, axis=0)) == quantity.n


def test_stacked_rows_come_part_after_part():
    parts = (made(2), made(3, seed=1))
    found = Stacked(parts).values(np.arange(5))
    np.testing.assert_array_equal(found, np.concatenate([part.array for part in parts]))


def test_levels_vary_slowest():
    array = np.arange(24.0).reshape(2, 12)  # 2 rows, 3 levels x 4 draws
    expected = [array[row, 4 * level : 4 * level + 4] for level in range(3) for row in range(2)]
    np.testing.assert_array_equal(ByLevel(Made(array), 3).values(np.arange(6)), expected)
