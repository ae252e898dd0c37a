"""The table of contrasts: formulas, labels and names, and the page that documents them."""

from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp.errors import RequestError
from mrp.estimands.contrasts import (
    FORMULAS,
    SLOPES,
    Averaged,
    Named,
    SlopeName,
    formula_of,
    slope_of,
)
from tests import loops
from tests.messages import raises

PAGE = Path(__file__).parents[2] / "docs" / "contrasts.md"
PROBABILITIES = st.lists(
    st.tuples(st.floats(1e-3, 0.999), st.floats(1e-3, 0.999)), min_size=1, max_size=5
)


def test_every_name_has_a_formula_and_a_loop():
    assert set(FORMULAS) == set(get_args(Named)) == set(loops.CONTRAST)
    assert set(SLOPES) == set(get_args(SlopeName)) == set(loops.SLOPE)
    assert set(get_args(Averaged)) == {f"{name}avg" for name in FORMULAS}


@given(pairs=PROBABILITIES)
@pytest.mark.parametrize("name", FORMULAS)
def test_contrast_is_its_formula(name, pairs):
    hi, lo = np.array(pairs).T.copy()
    found = FORMULAS[name].function(hi[None], lo[None])
    expected = [[loops.CONTRAST[name](*pair) for pair in pairs]]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@given(slope=st.floats(-5, 5), x=st.floats(-5, 5), y=st.floats(0.1, 5))
@pytest.mark.parametrize("name", SLOPES)
def test_slope_is_its_formula(name, slope, x, y):
    found = slope_of(name).function(np.array([[slope]]), np.array([[x]]), np.array([[y]]))
    np.testing.assert_allclose(found, [[loops.SLOPE[name](slope, x, y)]], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "hi", "lo", "expected"),
    [
        ("ratio", 0.5, 0.0, np.inf),
        ("ratio", 0.0, 0.0, np.nan),
        ("lift", 0.5, 0.0, np.inf),
        ("lnratio", 0.0, 0.5, -np.inf),
        ("lnor", 1.0, 0.5, np.inf),
        ("lnor", 0.5, 1.0, -np.inf),
        ("lnor", 1.0, 1.0, np.nan),
    ],
)
def test_limits_are_reached_without_a_warning(name, hi, lo, expected):
    found = FORMULAS[name].function(np.array([[hi]]), np.array([[lo]]))
    np.testing.assert_array_equal(found, [[expected]])


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMULAS)
def test_avg_at_the_end_of_a_name_asks_for_averages_of_the_same_contrast(name):
    assert formula_of(name) == (FORMULAS[name], False)
    assert formula_of(f"{name}avg") == (FORMULAS[name], True)


def test_function_is_applied_to_rows_and_named_in_the_label():
    def odds_ratio(hi, lo):
        return hi / (1 - hi) / (lo / (1 - lo))

    formula, averaged = formula_of(odds_ratio)
    assert not averaged
    assert not formula.of_averages
    assert formula.written("Woman", "Man", averaged=True) == "odds_ratio(Woman, Man)"
    found = formula.function(np.array([[0.5, 0.8]]), np.array([[0.2, 0.8]]))
    np.testing.assert_allclose(found, [[4.0, 1.0]])


@pytest.mark.parametrize(
    ("function", "written"),
    [
        (lambda hi, lo: hi, "lambda(b, a)"),
        (np.subtract, "subtract(b, a)"),
        (partial(np.subtract), "f(b, a)"),
    ],
)
def test_function_without_a_name_has_a_label_all_the_same(function, written):
    assert formula_of(function)[0].written("b", "a", averaged=False) == written


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda hi, lo: hi.mean(), "()"),
        (lambda hi, lo: (hi - lo).mean(axis=0), "(2,)"),
        (lambda hi, lo: hi[:1], "(1, 2)"),
    ],
)
def test_function_must_return_one_number_for_each_pair(function, got):
    message = (
        f"`comparison` must return one number for each pair of predictions it is given (3 rows x 2 "
        f"draws), got shape {got}. For a contrast of averages, use a name such as 'ratioavg', or "
        f"`hypothesis` on averages."
    )
    with raises(RequestError, message):
        formula_of(function)[0].function(np.ones((3, 2)), np.ones((3, 2)))


SLOPES_ARE = " Derivatives are made by `slopes` and `avg_slopes`, with slope='dydx' and the like."


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("diference", " Did you mean 'difference'?"),
        ("ratioav", " Did you mean 'ratioavg'?"),
        ("dydx", SLOPES_ARE),
        ("expdydx", " Write `avg_slopes(…, transform=np.exp)`."),
        ("rr", " It is 'ratio'."),
        (3, ""),
    ],
)
def test_unknown_comparison_is_refused_with_what_was_meant(name, hint):
    message = (
        f"`comparison` must be the name of a contrast, got {name!r}. Available: ['difference', "
        f"'ratio', 'lift', 'lnratio', 'lnor', 'differenceavg', 'ratioavg', 'liftavg', … 2 more]."
    )
    with raises(RequestError, message + hint):
        formula_of(name)


@pytest.mark.parametrize(("name", "near"), [("dY/dX", "dydx"), ("ey/ex", "eyex"), ("slope", None)])
def test_unknown_slope_is_refused_with_the_closest_one(name, near):
    message = (
        f"`slope` must be the name of a slope, got {name!r}. "
        f"Available: ['dydx', 'eyex', 'eydx', 'dyex']."
    )
    with raises(RequestError, message + (f" Did you mean {near!r}?" if near else "")):
        slope_of(name)


# --- the page -------------------------------------------------------------------------------------


def rows_of(table):
    """Rows of the page's table that begins with some column, cells stripped."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| `{table}` |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def test_page_has_the_table_of_comparisons():
    assert rows_of("comparison") == [
        [
            f'`"{name}"`',
            f"`{formula.written('hi', 'lo', averaged=False)}`",
            f"`{formula.written('hi', 'lo', averaged=True)}`",
            formula.meaning,
        ]
        for name, formula in FORMULAS.items()
    ]


def test_page_has_the_table_of_slopes():
    assert rows_of("slope") == [
        [f'`"{name}"`', f"`{slope.label}`", slope.meaning] for name, slope in SLOPES.items()
    ]


# --- what functions return ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            np.greater,
            "`comparison` must return numbers, got truth values. The probability that one "
            "expectation is above the other is `.probability('> 0')` of comparison='difference'.",
        ),
        (
            lambda hi, lo: (hi > lo).astype(object),
            "`comparison` must return numbers, got truth values. The probability that one "
            "expectation is above the other is `.probability('> 0')` of comparison='difference'.",
        ),
        (
            lambda hi, lo: np.sqrt(lo - hi + 0j),
            "`comparison` must return real numbers, got complex ones. Return their `.real` or "
            "`np.abs()` of them, if that is meant.",
        ),
        (
            lambda hi, lo: np.full(hi.shape, "much"),
            "`comparison` must return numbers, got type '<U4'.",
        ),
        (
            lambda hi, lo: np.where(hi > 2, np.nan, hi),
            "`comparison` must return a number for each draw, got NaN for 2 of 4 draws (1 of 2 "
            "rows). Look for logarithms and roots of what is negative, and for 0 / 0.",
        ),
    ],
)
def test_function_must_return_real_numbers_and_no_nan(function, message):
    hi, lo = np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2))
    with raises(RequestError, message):
        formula_of(function)[0].function(hi, lo)


def test_nan_and_infinity_that_a_function_is_given_may_stay():
    hi, lo = np.array([[np.nan, 1.0]]), np.array([[1.0, 0.0]])
    with np.errstate(divide="ignore"):
        found = formula_of(lambda hi, lo: hi / lo)[0].function(hi, lo)
    np.testing.assert_array_equal(found, [[np.nan, np.inf]])
