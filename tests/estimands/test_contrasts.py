"""What is compared with what: pairs of values, their labels, and requests that mean nothing."""

from functools import cache

import pandas as pd
import pytest

from mrp.errors import RequestError
from mrp.estimands.contrasts import formula_of, pairs_of
from mrp.estimands.grids import levels_of
from mrp.testing import fake_fit
from tests.cases import SURVEY
from tests.messages import raises

FORMULA = (
    "y ~ age + gender + military + x + np.log(exposure) + C(district) + open + (1 | state:region)"
)
X = pd.Series([0.5, 2.0])


@cache
def fit():
    return fake_fit(FORMULA, SURVEY.assign(open=SURVEY["x"] > 0), family="bernoulli", draws=2)


def pairs(variables):
    """For each pair: variable, label, and what hi and lo make of a column."""
    found = pairs_of(fit(), variables, formula_of("difference"))
    return [(p.variable, p.label, p.hi(X), p.lo(X)) for p in found]


# --- pairs ----------------------------------------------------------------------------------------


def test_levels_are_compared_with_the_first_in_their_order():
    expected = [
        ("age", "middle - young", "middle", "young"),
        ("age", "old - young", "old", "young"),
    ]
    assert pairs("age") == pairs({"age": "reference"}) == pairs({"age": None}) == expected


def test_pair_of_levels_is_written_low_high_and_gives_high_minus_low():
    assert pairs({"age": ["old", "middle"]}) == [("age", "middle - old", "middle", "old")]
    assert pairs({"age": ("old", "old")}) == [("age", "old - old", "old", "old")]


def test_numbers_that_are_0_or_1_are_compared_at_1_and_0():
    assert pairs("military") == [("military", "1 - 0", 1, 0)]


def test_truth_values_are_compared_at_true_and_false():
    ((variable, _, hi, lo),) = pairs("open")
    assert (variable, hi, lo) == ("open", True, False)


@pytest.mark.parametrize(
    ("step", "label"), [(None, "+1"), (2, "+2"), (0.25, "+0.25"), (-1, "-1"), (1000, "+1000")]
)
def test_other_numbers_are_compared_a_step_apart(step, label):
    ((variable, found, hi, lo),) = pairs({"x": step})
    assert (variable, found) == ("x", label)
    pd.testing.assert_series_equal(hi, X + (1 if step is None else step))
    pd.testing.assert_series_equal(lo, X)


def test_step_of_a_number_that_is_0_or_1_is_a_step():
    ((_, label, hi, _),) = pairs({"military": 1})
    assert label == "+1"
    pd.testing.assert_series_equal(hi, X + 1)


def test_pair_of_numbers_is_compared_as_written():
    assert pairs({"x": [0, 2.5]}) == [("x", "2.5 - 0", 2.5, 0)]
    assert pairs({"exposure": (1, 2)}) == [("exposure", "2 - 1", 2, 1)]


def test_numbers_taken_as_levels_are_compared_as_levels():
    assert [label for _, label, *_ in pairs("district")] == ["2 - 1", "3 - 1"]


def test_groups_are_compared_as_levels():
    assert pairs({"state": ["VT", "AL"]}) == [("state", "AL - VT", "AL", "VT")]
    assert len(pairs("state")) == 4


def test_several_variables_come_in_the_order_asked_for():
    assert [name for name, *_ in pairs(["x", "age", "military"])] == ["x", "age", "age", "military"]
    assert [name for name, *_ in pairs({"military": None, "x": 2})] == ["military", "x"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("age", ("young", "middle", "old")),
        ("district", (1, 2, 3)),
        ("state", ("AL", "CA", "NY", "TX", "VT")),
        ("region", ("north", "south")),
        ("x", None),
        ("exposure", None),
        ("military", None),
    ],
)
def test_levels_are_those_of_the_model(column, expected):
    assert levels_of(fit().design, column) == expected


# --- what is refused ------------------------------------------------------------------------------

COLUMNS = "['age', 'gender', 'military', 'x', 'exposure', 'district', 'open', 'state', … 1 more]"


@pytest.mark.parametrize("nothing", [[], {}, (), "", None, 3])
def test_no_variable_is_refused(nothing):
    if nothing == "":
        message = f"`variables` must name columns of the formula, got ''. Available: {COLUMNS}."
    else:
        message = (
            f"`variables` must name at least one column of the formula, got {nothing!r}. "
            f"Available: {COLUMNS}."
        )
    with raises(RequestError, message):
        pairs(nothing)


def test_column_outside_the_formula_is_refused_with_the_closest_one():
    rule = "`variables` must name columns of the formula, got"
    with raises(RequestError, f"{rule} 'exposur'. Available: {COLUMNS}. Did you mean 'exposure'?"):
        pairs("exposur")
    with raises(RequestError, f"{rule} 'trials'. Available: {COLUMNS}."):
        pairs(["x", "trials"])


def test_unknown_level_is_refused_with_the_closest_one():
    message = (
        "`variables` must name levels of 'age', got 'Old'. Available: ['young', 'middle', 'old']. "
        "Did you mean 'old'?"
    )
    with raises(RequestError, message):
        pairs({"age": ["young", "Old"]})


@pytest.mark.parametrize(
    ("contrast", "got"),
    [
        ("old", "'old'"),
        (["old"], "['old']"),
        (("young", "middle", "old"), "['young', 'middle', 'old']"),
        (1, "1"),
    ],
)
def test_contrast_of_levels_that_is_no_pair_is_refused(contrast, got):
    message = (
        f"`variables` must give 'age' 'reference' or a pair of levels, got {got}. "
        f"A pair is written [lo, hi] and gives hi - lo."
    )
    with raises(RequestError, message):
        pairs({"age": contrast})


@pytest.mark.parametrize(
    ("contrast", "got"),
    [("reference", "'reference'"), ([1, 2, 3], "['1', '2', '3']"), (True, "True")],
)
def test_contrast_of_numbers_that_is_no_step_and_no_pair_is_refused(contrast, got):
    message = (
        f"`variables` must give 'x' a step or a pair of numbers, got {got}. "
        f"A pair is written [lo, hi] and gives hi - lo."
    )
    with raises(RequestError, message):
        pairs({"x": contrast})


def test_text_in_a_pair_of_numbers_is_refused():
    message = (
        "`variables` must give 'x', which is a number, a step or a pair of numbers, got 'high'."
    )
    with raises(RequestError, message):
        pairs({"x": [0, "high"]})
