"""Calls in a formula: what they learn from the survey stays, saved or not."""

from __future__ import annotations

import json
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mrp.design import Design
from mrp.errors import DataError, FormulaError
from mrp.formula.calls import Calls, callee, canonical, from_json, nodes, to_json
from mrp.formula.grammar import describe
from mrp.model.formula import learn
from tests.messages import raises

AVAILABLE = (
    "['center', 'scale', 'bs', 'poly', 'binary', 'B', 'C', 'I', 'offset', 'p', 'prop', "
    "'proportion', 'S', 'standardize', 'T', 'np', 'log', 'log1p', 'log2', 'log10', 'exp', 'sqrt', "
    "'abs']"
)


def calls_of(formula: str, survey: pd.DataFrame, **namespace: Any) -> Calls:
    return design_of(formula, survey, **namespace).calls


def design_of(formula: str, survey: pd.DataFrame, **namespace: Any) -> Design:
    return learn(formula, survey, correlated=True, namespace=namespace)[0]


def calls_in(formula: str) -> list[str]:
    """The calls of a formula's predictors as they are written in designs."""
    described = describe(formula)
    terms = [*described.terms, *(t for b in described.brackets for t in (*b.terms, b.factor))]
    return [part.text for term in terms for part in term if part.is_call]


# --- memory ---------------------------------------------------------------------------------------

NEW = pd.DataFrame({"x": [7.0, 3.0], "z": [2.0, 5.0], "sex": ["woman", "woman"]})


def test_a_transform_remembers_the_survey_on_new_data(people: pd.DataFrame):
    calls = calls_of("y ~ scale(x) + center(np.log(z)) + standardize(x)", people)
    scaled = (NEW["x"] - people["x"].mean()) / people["x"].std(ddof=0)
    logs = np.log(NEW["z"]) - np.log(people["z"]).mean()
    np.testing.assert_allclose(calls.run("scale(x)", NEW, "newdata"), scaled, rtol=1e-14)
    np.testing.assert_allclose(calls.run("standardize(x)", NEW, "newdata"), scaled, rtol=1e-14)
    np.testing.assert_allclose(calls.run("center(np.log(z))", NEW, "newdata"), logs, rtol=1e-14)


def test_each_of_nested_transforms_remembers_its_own(people: pd.DataFrame):
    calls = calls_of("y ~ scale(center(x) + center(z))", people)
    total = people["x"] - people["x"].mean() + people["z"] - people["z"].mean()
    new = NEW["x"] - people["x"].mean() + NEW["z"] - people["z"].mean()
    result = calls.run("scale(center(x) + center(z))", NEW, "newdata")
    np.testing.assert_allclose(result, (new - total.mean()) / total.std(ddof=0), rtol=1e-14)


def test_the_outcome_s_calls_are_not_learned(people: pd.DataFrame):
    design = design_of("log(positive) ~ scale(x)", people)
    assert list(design.calls.states) == ["scale(x)"]
    assert design.columns == ("x",)


FORMULAS = [
    "y ~ scale(x)",
    "y ~ center(x):age + standardize(z)",
    "y ~ poly(x, 3) + poly(z, 2, raw=True)",
    "y ~ bs(x, df=4) + bs(z, df=4, degree=2)",
    "y ~ scale(center(x) + center(z)) + (scale(x) | state)",
    "y ~ np.log(z) + I(x ** 2) + offset(z) + C(k) + (1 | T(age, ref='old'))",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_states_put_back_from_json_give_the_same_columns(formula: str, people: pd.DataFrame):
    calls = calls_of(formula, people)
    text = json.dumps({name: to_json(list(states)) for name, states in calls.states.items()})
    states = {name: tuple(from_json(value)) for name, value in json.loads(text).items()}
    again = Calls(states)
    some = people.iloc[[3, 4]]
    for call in calls_in(formula):
        wanted, result = calls.run(call, some, "newdata"), again.run(call, some, "newdata")
        np.testing.assert_array_equal(np.asarray(result), np.asarray(wanted))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False)
        | st.text()
        | npst.arrays(np.float64, npst.array_shapes(max_dims=2), elements={"allow_nan": False})
        | npst.arrays(np.int64, 3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner)
        ),
        max_leaves=6,
    )
)
def test_json_brings_back_arrays_and_dictionaries_with_any_keys(value: Any):
    assert_identical(from_json(json.loads(json.dumps(to_json(value)))), value)


def assert_identical(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    if isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_identical(ours[key], theirs[key])
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_identical(one, other)
    else:
        assert ours == theirs


def test_numpy_s_numbers_become_python_s_in_json():
    assert to_json((np.float64(0.5), np.int32(3), np.bool_(True))) == [0.5, 3, True]


# --- what a call gives ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    ["C(sex)", "T(sex, ref='woman')", "S(data=sex)", "C(T(sex), Sum)"],
)
def test_a_coding_gives_the_values_whichever_levels_the_data_have(call: str, people: pd.DataFrame):
    calls = calls_of(f"y ~ {call}", people)
    (text,) = calls_in(f"y ~ {call}")
    for dtype in ("str", pd.CategoricalDtype(["woman", "never"], ordered=True)):
        result = calls.run(text, NEW.astype({"sex": dtype}), "newdata")
        assert list(result) == ["woman", "woman"]


def test_an_offset_gives_one_number_per_row(people: pd.DataFrame):
    calls = calls_of("y ~ 1 + offset(0.5) + offset(np.log(z))", people)
    assert calls.run("offset(0.5)", NEW, "newdata").tolist() == [0.5, 0.5]
    np.testing.assert_array_equal(calls.run("offset(np.log(z))", NEW, "newdata"), np.log(NEW["z"]))


def test_binary_is_zero_where_no_row_has_the_value(people: pd.DataFrame):
    calls = calls_of("y ~ binary(sex, 'man') + B(k, success=2)", people)
    assert calls.run("binary(sex, 'man')", NEW, "newdata").tolist() == [0, 0]
    assert calls.run("B(k, success=2)", pd.DataFrame({"k": [2, 3]}), "newdata").tolist() == [1, 0]


def test_a_design_knows_the_columns_that_a_call_uses(people: pd.DataFrame):
    design = design_of("y ~ I(x * z) + twice(k) + scale(x) + age", people, twice=lambda k: 2 * k)
    found = {name: design.columns_of(part) for name, part in design.components.items()}
    assert found == {
        "I(x * z)": ["x", "z"],
        "twice(k)": ["k"],
        "scale(x)": ["x"],
        "age": ["age"],
    }


def test_a_call_comes_before_its_arguments():
    text = canonical("scale(np.log(x) + center(z), a=sqrt(k))", "")
    assert [callee(node) for node in nodes(text)] == ["scale", "np.log", "center", "sqrt"]


def test_a_call_of_new_data_that_fails_says_which_and_why(people: pd.DataFrame):
    def adult(age: pd.Series) -> pd.Series:
        if (age < 0).any():
            raise ValueError("age must not be negative")
        return age + 0.0

    calls = calls_of("y ~ adult(k)", people, adult=adult)
    message = (
        "`the frame` must have columns on which `adult(k)` runs, got ValueError: age must not be "
        "negative."
    )
    with raises(DataError, message) as caught:
        calls.run("adult(k)", pd.DataFrame({"k": [-1]}), "the frame")
    assert isinstance(caught.value.__cause__, ValueError)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "function", "call", "root"),
    [
        ("y ~ scale(pd.cut(x))", "pd.cut", "pd.cut(x)", "pd"),
        ("y ~ (twice(x) | state)", "twice", "twice(x)", "twice"),
        ("y ~ (1 | twice(state))", "twice", "twice(state)", "twice"),
        ("censored(y, x) ~ z", "censored", "censored(y, x)", "censored"),
    ],
)
def test_unknown_functions_are_refused(
    formula: str, function: str, call: str, root: str, people: pd.DataFrame
):
    message = (
        f"`formula` must call functions that are known, got {function!r} in {call}. Available: "
        f"{AVAILABLE}. Pass your own as `namespace={{{root!r}: …}}`; splines of Bambi (hsgp) and "
        f"special responses (censored, truncated, weighted) are not supported."
    )
    with raises(FormulaError, message):
        design_of(formula, people)


@pytest.mark.parametrize("call", ["binary(sex)", "B(k)", "binary(x=sex)"])
def test_binary_without_its_value_is_refused_for_new_data_would_change_it(
    call: str, people: pd.DataFrame
):
    message = (
        f"`formula` must say which value counts as 1 in {call}: left to the data, it could be "
        f"another one in new data. Write for example \"{call[:-1]}, 'yes')\"."
    )
    with raises(FormulaError, message):
        design_of(f"y ~ x + {call}", people)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("special.np.log(x)", "'np' is another module than the one in `namespace`"),
        ("special._ufuncs.expit(x)", "'_ufuncs' is no public name of a module in `namespace`"),
        ("special.expit.reduce(x)", "'reduce' is no public name of a module in `namespace`"),
        ("I(x + own.__init__)", "'__init__' is no public name of a module in `namespace`"),
        ("I(x + own.shift.real)", "'real' is no public name of a module in `namespace`"),
    ],
)
def test_only_public_names_of_what_is_given_are_reached(call, said, people):
    module = ModuleType("special")
    vars(module).update(np=np, _ufuncs=scipy.special, expit=scipy.special.expit)
    namespace = {"special": module, "own": SimpleNamespace(shift=1.0)}
    with raises(
        FormulaError,
        f"`formula` must have terms that can be computed from `data`, got {call!r}: {said}.",
    ):
        design_of(f"y ~ {call}", people, **namespace)


@pytest.mark.parametrize("call", ["scipy.special.expit(x)", "I(x + own.shift)", "own.half(x)"])
def test_public_names_of_what_is_given_are_known(call, people):
    own = SimpleNamespace(shift=1.0, half=lambda x: x / 2)
    design = design_of(f"y ~ {call}", people, scipy=scipy, own=own)
    assert design.columns == ("x",)
