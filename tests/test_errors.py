"""The builders of messages, and the tree of errors."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp import errors
from mrp.errors import (
    closest,
    did_you_mean,
    listing,
    look_alike,
    lookalikes,
    paired,
    type_name,
    unknown,
    written,
)
from mrp.results.estimates import Estimates, Made
from tests.messages import warns

COLUMNS = ["age", "sex", "race", "education", "income", "region", "state", "gender", "military"]
STATES = [
    *("Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut"),
    *("Delaware", "Florida", "Georgia", "Hawaii", "Idaho", "Illinois", "Indiana", "Iowa"),
    *("Kansas", "Kentucky", "Louisiana", "Maine", "Maryland", "Massachusetts", "Michigan"),
    *("Minnesota", "Mississippi", "Missouri", "Montana", "Nebraska", "Nevada", "New Hampshire"),
    *("New Jersey", "New Mexico", "New York", "North Carolina", "North Dakota", "Ohio"),
    *("Oklahoma", "Oregon", "Pennsylvania", "Rhode Island", "South Carolina", "South Dakota"),
    *("Tennessee", "Texas", "Utah", "Vermont", "Virginia", "Washington", "West Virginia"),
    *("Wisconsin", "Wyoming"),
]


def test_every_error_is_an_mrp_error_and_a_builtin_one():
    builtin = {
        errors.DataError: ValueError,
        errors.FormulaError: ValueError,
        errors.PriorError: ValueError,
        errors.RequestError: ValueError,
        errors.ArgumentError: TypeError,
        errors.FitError: RuntimeError,
    }
    for error, parent in builtin.items():
        assert issubclass(error, errors.MRPError)
        assert issubclass(error, parent)
    assert issubclass(errors.ArgumentError, errors.RequestError)
    for warning in (errors.SamplingWarning, errors.FrameWarning):
        assert issubclass(warning, UserWarning)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "[]"),
        (["a"], "['a']"),
        ([1, 2.5, True, "1", None], "[1, 2.5, True, '1', None]"),
        (np.array([1, 2]), "[1, 2]"),
        (np.array(["a"]), "['a']"),
        ([np.float64(2.0), np.True_, np.int8(3)], "[2.0, True, 3]"),
        ([pd.Interval(0, 10), pd.Timestamp("2020-01-31")], "['(0, 10]', '2020-01-31 00:00:00']"),
        (iter("abc"), "['a', 'b', 'c']"),
        (range(8), "[0, 1, 2, 3, 4, 5, 6, 7]"),
        (range(10), "[0, 1, 2, 3, 4, 5, 6, 7, … 2 more]"),
    ],
)
def test_listing_shows_eight_names_with_their_types_and_counts_the_rest(names, text):
    assert listing(names) == text


def test_listing_shows_as_many_names_as_asked_for():
    assert listing("abc", shown=2) == "['a', 'b', … 1 more]"


@pytest.mark.parametrize(
    ("value", "text", "name"),
    [
        ("a", "'a'", "str"),
        (np.str_("a"), "'a'", "str"),
        (3, "3", "int"),
        (np.int64(3), "3", "int"),
        (np.float32(0.5), "0.5", "float"),
        (False, "False", "bool"),
        (np.False_, "False", "bool"),
        (None, "None", "NoneType"),
        ([1], "[1]", "list"),
    ],
)
def test_values_are_written_as_python_writes_them_whoever_made_them(value, text, name):
    assert written(value) == text
    assert type_name(value) == name


# --- names that are meant -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [("regoin", "region"), ("REGION", "region"), ("Gendre", "Gender"), ("x", None), (2020, "2020")],
)
def test_closest_name_is_near_in_spelling_whatever_its_case(name, near):
    assert closest(name, ["region", "Gender", 2020]) == near


def typos(word: str) -> Iterator[str]:
    """A letter missing, doubled, or in the place of the next one; another case; blanks."""
    for k, letter in enumerate(word):
        yield word[:k] + word[k + 1 :]
        yield word[:k] + letter + word[k:]
        if k + 1 < len(word):
            yield word[:k] + word[k + 1] + letter + word[k + 2 :]
    yield from (word.upper(), word.lower(), f" {word}", word.replace(" ", "_"))


@pytest.mark.parametrize("names", [COLUMNS, STATES])
def test_typing_errors_of_words_get_the_word_that_was_meant(names):
    meant = [(word, typo) for word in names for typo in typos(word) if typo not in names]
    wrong = [(typo, word) for word, typo in meant if closest(typo, names) != word]
    # which could be another state as well
    assert set(wrong) <= {("aKnsas", "Kansas")}


@given(st.sets(st.integers(0, 999), min_size=2, max_size=30), st.integers(0, 999))
def test_codes_are_not_taken_for_misspelled_ones(numbers, other):
    codes = [f"E14001{number:03d}" for number in sorted(numbers)]
    code = f"E14001{other:03d}"
    assert closest(code, codes) == (code if other in numbers else None)
    assert closest(other, numbers) == (str(other) if other in numbers else None)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("e14001053", "E14001053"),
        ("E14 001 053", "E14001053"),
        ("e14001o53", None),
        ("18–29", "18-29"),
        ("18-30", None),
        ("1001", "01001"),
        ("district 21", None),
        ("distrct 12", "district 12"),
        ("3sd", None),
        ("70", "70+"),
        ("90+", None),
        ("1.2", None),
    ],
)
def test_codes_are_suggested_only_where_they_are_the_same_but_for_how_they_are_written(name, near):
    codes = ["E14001053", "E14001054", "18-29", "30-44", "70+", "01001", "01003", "12", "13"]
    names = [*codes, "district 12", "sd"]
    assert closest(name, names) == near


@pytest.mark.parametrize("names", [["rate", "date"], ["Age", "AGE"], ["North", "Worth"]])
def test_nothing_is_suggested_where_two_names_are_as_near(names):
    assert closest({"rate": "ate", "Age": "age", "North": "orth"}[names[0]], names) is None


@pytest.mark.parametrize(
    ("value", "available", "alike"),
    [
        ("2018", [2017, 2018], 2018),
        ("2018.0", [2018], 2018),
        (2018.0, ["2018"], "2018"),
        ("True", [False, True], True),
        ("1", [False, True], None),
        ("1", ["1"], None),
        (1, [1.0], None),
        ("old", [1, 2], None),
        (None, ["a"], None),
        ("nan", [float("nan")], float),
    ],
)
def test_values_that_read_alike_are_told_from_others(value, available, alike):
    found = look_alike(value, available)
    assert isinstance(found, float) if alike is float else found == alike


def test_unknown_name_is_said_with_the_rule_what_there_is_and_the_next_step():
    assert unknown("by", "name columns", "ag", ["age", "sex"], "Rename it.") == (
        "`by` must name columns, got 'ag'. Available: ['age', 'sex']. Did you mean 'age'? "
        "Rename it."
    )
    assert unknown("by", "name columns", "zzz", ["age"]) == (
        "`by` must name columns, got 'zzz'. Available: ['age']."
    )
    assert unknown("by", "name columns", None, ["age"]) == (
        "`by` must name columns, got None. Available: ['age']."
    )


@pytest.mark.parametrize(
    ("got", "available", "said"),
    [
        ("2018", [2018, 2020], "Did you mean 2018? It is of type int, '2018' of type str."),
        (np.str_("2018"), [2018], "Did you mean 2018? It is of type int, '2018' of type str."),
        (1, ["1", "2"], "Did you mean '1'? It is of type str, 1 of type int."),
        (np.int64(1), ["1", "2"], "Did you mean '1'? It is of type str, 1 of type int."),
        ("True", [False, True], "Did you mean True? It is of type bool, 'True' of type str."),
    ],
)
def test_value_of_another_type_is_said_to_be_of_another_type(got, available, said):
    there = listing(available)
    assert unknown("variables", "name levels", got, available) == (
        f"`variables` must name levels, got {written(got)}. Available: {there}. {said}"
    )


def test_word_of_another_package_is_said_in_ours():
    assert unknown("shape", "say how", "rvar", ["long", "xarray"]) == (
        "`shape` must say how, got 'rvar'. Available: ['long', 'xarray']. Write 'xarray': an array "
        "with the dims chain and draw."
    )


def test_warnings_point_to_whoever_called_the_package():
    with warns(UserWarning, "so it is") as here:
        errors.warn("so it is", UserWarning)
    rows = pd.DataFrame({"gender": ["Man", "Woman", "Man"], "state": ["AL", "AL", "CA"]})
    estimates = Estimates(rows, Made(np.ones((3, 4))), 2)
    message = (
        "`statement` compares rows with equal ['state']: nothing is made for ['CA'], which have "
        "one row each."
    )
    with warns(UserWarning, message) as deep:
        estimates.hypothesis("~ pairwise | state")
    assert {warning.filename for warning in [*here, *deep]} == {__file__}


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
