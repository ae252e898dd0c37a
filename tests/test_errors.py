"""The builders of messages, and the tree of errors."""

import pytest

from mrp import errors
from mrp.errors import closest, did_you_mean, listing, lookalikes, paired, unknown


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


# --- levels that look alike -----------------------------------------------------------------------

SPELLINGS = [
    ("AL", "al"),
    ("AL", " AL"),
    ("AL", "AL\t"),
    ("New York", "New  York"),
    ("New York", "New\N{NO-BREAK SPACE}York"),
    ("caf\u00e9", "cafe\u0301"),
    ("\N{ANGSTROM SIGN}", "\u00e5"),
    ("AL", "\N{ZERO WIDTH NO-BREAK SPACE}AL"),
    ("AL", "A\N{SOFT HYPHEN}L"),
    ("Stra\u00dfe", "STRASSE"),
    ("10", "\N{FULLWIDTH DIGIT ONE}0"),
]


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_texts_that_differ_only_by_blanks_case_or_normalisation_look_alike(one, other):
    assert lookalikes([one, "else", other]) == [(other, one)]
    assert lookalikes([other], [one, "else"]) == [(other, one)]
    assert lookalikes([one, other], [one, "else"]) == [(other, one)]
    assert lookalikes([one], [other, one]) == []


@pytest.mark.parametrize(
    "names", [["New York", "NewYork"], ["caf\u00e9", "cafe"], [1, 1.0, "1", True], ["a", "a"], []]
)
def test_texts_that_differ_otherwise_and_numbers_do_not_look_alike(names):
    assert lookalikes(names) == lookalikes(names, ["none of them"]) == []


def test_lookalikes_are_written_so_that_they_can_be_told_apart():
    assert paired([("caf\u00e9", "cafe\u0301")]) == r"'caf\xe9' and 'cafe\u0301'"
    assert paired([("Caf\u00e9", "caf\u00e9")]) == "'Caf\u00e9' and 'caf\u00e9'"
    nine = paired([(f"A{k}", f"a{k}") for k in range(9)])
    assert nine.endswith("'A7' and 'a7', … 1 more")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (" al", " Did you mean 'AL'? It differs only by blanks, case or Unicode normalisation."),
        ("Alabma", " Did you mean 'Alabama'?"),
        ("none", ""),
        (3, ""),
    ],
)
def test_the_nearest_level_is_named_with_how_it_differs(name, said):
    assert did_you_mean(name, ["AL", "Alabama"]) == said
