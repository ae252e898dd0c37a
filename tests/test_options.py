"""What `--levels` and `--new-levels` say."""

from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp.errors import RequestError
from mrp.options import levels_of, new_levels_of, typed_levels, typed_new_levels
from tests.messages import raises

TABLE = pd.DataFrame(
    {
        "edu": [3, 1, 2],
        "dose": [0.5, 1.0, 2.0],
        "vet": [True, False, True],
        "state": ["AK", "HI", "01"],
        "rank": pd.Categorical([10, 20, 10]),
    }
)
LEVEL = st.text(min_size=1).filter(lambda text: not text.startswith(" "))


# --- levels ---------------------------------------------------------------------------------------


@given(st.lists(LEVEL, min_size=1, max_size=4))
def test_levels_are_cells_of_a_line_of_a_csv_file(levels: list[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="", quoting=csv.QUOTE_ALL).writerow(levels)
    assert levels_of([f"trust={line.getvalue()}"]) == {"trust": levels}


def test_levels_of_several_columns_are_given_one_by_one() -> None:
    assert levels_of(["trust=low, mid,high", 'edu="HS, or less",BA=4']) == {
        "trust": ["low", "mid", "high"],
        "edu": ["HS, or less", "BA=4"],
    }


@pytest.mark.parametrize(
    "text", ["trust", "trust=", "=low,high", "trust=low,,high", "trust=low,", 'trust="low,high', ""]
)
def test_text_that_names_no_column_with_its_levels_is_refused(text: str) -> None:
    rule = "be COLUMN=LEVEL,LEVEL,…, the first level first"
    with raises(RequestError, f"`--levels` must {rule}, got {text!r}."):
        levels_of([text])


def test_column_that_is_named_twice_is_refused() -> None:
    message = "`--levels` must name each column once, got 'trust' again."
    with raises(RequestError, message):
        levels_of(["trust=low,high", "trust=high,low"])


@pytest.mark.parametrize(
    ("name", "texts", "wanted"),
    [
        ("edu", ["3", "1.0", "+2"], [3, 1, 2]),
        ("edu", ["3", "1.5"], [3, 1.5]),
        ("dose", ["2", "0.5"], [2.0, 0.5]),
        ("rank", ["20", "10"], [20, 10]),
        ("vet", ["True", "FALSE"], [True, False]),
        ("state", ["01", "AK"], ["01", "AK"]),
        ("nobody", ["1"], ["1"]),
    ],
)
def test_levels_have_the_type_of_their_column(
    name: str, texts: list[str], wanted: list[Any]
) -> None:
    found = typed_levels({name: texts}, TABLE, "--levels", "SURVEY")[name]
    assert found == wanted
    assert list(map(type, found)) == list(map(type, wanted))


@pytest.mark.parametrize(
    ("name", "text", "what", "available"),
    [
        ("edu", "BA", "numbers", "[1, 2, 3]"),
        ("dose", "nan", "numbers", "[0.5, 1.0, 2.0]"),
        ("rank", "1_0", "numbers", "[10, 20]"),
        ("vet", "1", "true or false", "[False, True]"),
    ],
)
def test_word_among_levels_of_numbers_is_refused(
    name: str, text: str, what: str, available: str
) -> None:
    message = (
        f"`--levels` must have {what} for {name!r}, as `SURVEY` has, got {text!r}. "
        f"Available: {available}."
    )
    with raises(RequestError, message):
        typed_levels({name: [text]}, TABLE, "--levels", "SURVEY")


# --- new levels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], None),
        (["gaussian"], "gaussian"),
        (["gausian"], "gausian"),  # the verbs refuse it, and name those that there are
        (["state=AK,HI"], {"state": ["AK", "HI"]}),
        (["state=AK"], {"state": ["AK"]}),
        (["state:race=uncertainty"], {"state:race": "uncertainty"}),
        (["state=AK", "edu=gaussian"], {"state": ["AK"], "edu": "gaussian"}),
        (['place="Washington, DC"'], {"place": ["Washington, DC"]}),
    ],
)
def test_new_levels_are_a_way_or_ways_and_levels_by_name(given: list[str], wanted: Any) -> None:
    assert new_levels_of(given) == wanted


@pytest.mark.parametrize(
    "given",
    [["gaussian", "uncertainty"], ["state=AK", "gaussian"], ["AK", "state=HI"]],
)
def test_way_for_all_and_names_are_not_mixed(given: list[str]) -> None:
    alone = next(text for text in given if "=" not in text)
    message = (
        f"`--new-levels` must be one way for all new groups, or name a factor or column in each, "
        f"got {given!r}. Write 'FACTOR={alone}'."
    )
    with raises(RequestError, message):
        new_levels_of(given)


def test_factor_that_is_named_twice_is_refused() -> None:
    message = (
        "`--new-levels` must name each factor or column once, got 'state' again. List its levels "
        "together: state=LEVEL,LEVEL."
    )
    with raises(RequestError, message):
        new_levels_of(["state=AK", "state=HI"])


@pytest.mark.parametrize("text", ["state=", "=gaussian", "state=AK,", 'state="AK'])
def test_text_that_names_no_factor_with_its_way_is_refused(text: str) -> None:
    rule = "be a way of drawing, FACTOR=WAY or COLUMN=LEVEL,LEVEL,…"
    with raises(RequestError, f"`--new-levels` must {rule}, got {text!r}."):
        new_levels_of([text])


@pytest.mark.parametrize(
    ("new_levels", "wanted"),
    [
        (None, None),
        ("gaussian", "gaussian"),
        ({"edu": ["3"], "state": ["01"]}, {"edu": [3], "state": ["01"]}),
        ({"edu:state": "gaussian", "vet": ["true"]}, {"edu:state": "gaussian", "vet": [True]}),
        ({"edu:state": ["1:AK"]}, {"edu:state": ["1:AK"]}),
    ],
)
def test_new_levels_have_the_type_of_the_frame(new_levels: Any, wanted: Any) -> None:
    assert typed_new_levels(new_levels, TABLE) == wanted


@pytest.mark.parametrize("text", ["state=AK,gaussian", "state=gaussian,uncertainty"])
def test_levels_and_ways_are_not_mixed(text: str) -> None:
    message = (
        f"`--new-levels` must list levels of 'state' or say one way of drawing them, got {text!r}. "
        f"Leave one out."
    )
    with raises(RequestError, message):
        new_levels_of([text])


def test_new_level_that_the_frame_lacks_is_refused() -> None:
    message = (
        "`--new-levels` must list levels of 'state' that `FRAME` has, or say one way of drawing, "
        "got 'gausian'. Available: ['gaussian', 'uncertainty', 'old_levels', '01', 'AK', 'HI']. "
        "Did you mean 'gaussian'?"
    )
    with raises(RequestError, message):
        typed_new_levels({"state": ["AK", "gausian"]}, TABLE)
