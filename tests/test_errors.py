"""The builders of messages, and the tree of errors."""

import pytest

from mrp import errors
from mrp.errors import closest, listing, unknown


def test_every_error_is_an_mrp_error_and_a_builtin_one():
    builtin = {
        errors.DataError: ValueError,
        errors.FormulaError: ValueError,
        errors.PriorError: ValueError,
        errors.RequestError: ValueError,
        errors.FitError: RuntimeError,
    }
    for error, parent in builtin.items():
        assert issubclass(error, errors.MRPError)
        assert issubclass(error, parent)
    for warning in (errors.SamplingWarning, errors.FrameWarning):
        assert issubclass(warning, UserWarning)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "[]"),
        (["a"], "['a']"),
        ([1, 2.5, True], "['1', '2.5', 'True']"),
        (iter("abc"), "['a', 'b', 'c']"),
        (range(8), "['0', '1', '2', '3', '4', '5', '6', '7']"),
        (range(10), "['0', '1', '2', '3', '4', '5', '6', '7', … 2 more]"),
    ],
)
def test_listing_shows_eight_names_and_counts_the_rest(names, text):
    assert listing(names) == text


def test_listing_shows_as_many_names_as_asked_for():
    assert listing("abc", shown=2) == "['a', 'b', … 1 more]"


@pytest.mark.parametrize(
    ("name", "near"),
    [("regoin", "region"), ("REGION", "region"), ("Gendre", "Gender"), ("x", None), (20, "2020")],
)
def test_closest_name_is_near_in_spelling_whatever_its_case(name, near):
    assert closest(name, ["region", "Gender", 2020]) == near


def test_unknown_name_is_said_with_the_rule_what_there_is_and_the_next_step():
    assert unknown("by", "name columns", "ag", ["age", "sex"], "Rename it.") == (
        "`by` must name columns, got 'ag'. Available: ['age', 'sex']. Did you mean 'age'? "
        "Rename it."
    )
    assert unknown("by", "name columns", "zzz", ["age"]) == (
        "`by` must name columns, got 'zzz'. Available: ['age']."
    )
