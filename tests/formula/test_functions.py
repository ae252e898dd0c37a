"""Arithmetic of calls is Python's, on numbers of any width; rows stand for themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mrp
from mrp.design import Design
from mrp.errors import FormulaError, RequestError
from mrp.formula.calls import canonical, evaluate
from mrp.model.formula import learn
from tests.messages import raises

INTEGERS = (
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "Int8",
    "UInt16",
)
FLOATS = ("float16", "float32", "float64", "Float32")


def design_of(formula: str, survey: pd.DataFrame, **namespace: Any) -> Design:
    return learn(formula, survey, correlated=True, namespace=namespace)[0]


# --- Python's arithmetic --------------------------------------------------------------------------


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    marks = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "**"])
    return (
        st.builds(lambda left, mark, right: f"{left} {mark} {right}", inner, marks, inner)
        | st.builds(lambda inside: f"({inside})", inner)
        | st.builds(lambda inside: f"-{inside}", inner)
    )


EXPRESSIONS = st.recursive(
    st.sampled_from(["x", "z", "v", "2", "3", "0.5"]), _combined, max_leaves=5
)
ROWS = [
    {"x": 70, "z": 1.5, "v": True},
    {"x": 3, "z": -2.0, "v": False},
    {"x": 0, "z": 0.25, "v": True},
]


def of_python(expression: str, row: dict[str, Any]) -> float:
    """What Python makes of it; not a number where it has none."""
    try:
        value = eval(expression, {}, row)
    except (ZeroDivisionError, OverflowError):
        return math.nan
    return math.nan if isinstance(value, complex) else float(value)


@given(EXPRESSIONS, st.sampled_from(INTEGERS))
def test_arithmetic_is_python_s_for_numbers_of_any_width(expression: str, dtype: str):
    data = pd.DataFrame(ROWS).astype({"x": dtype})
    text = canonical(f"I({expression})", "")
    try:
        wanted = [of_python(expression, row) for row in ROWS]
    except MemoryError:
        return
    found = np.broadcast_to(np.asarray(evaluate(text, data, {}, []), dtype=float), len(ROWS))
    for ours, theirs in zip(found, wanted, strict=True):
        if math.isfinite(theirs):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        else:
            assert not math.isfinite(ours)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_small_integers_do_not_overflow(dtype: str):
    survey = pd.DataFrame({"y": [1.0, 2.0, 4.0], "age": [22, 70, 90]}).astype({"age": dtype})
    design = design_of("y ~ I(age**2) + I(age - 40) + I(age**10) + np.log(age) + exp(age)", survey)
    age = np.array([22.0, 70.0, 90.0])
    wanted = np.column_stack([np.ones(3), age**2, age - 40, age**10, np.log(age), np.exp(age)])
    np.testing.assert_allclose(design.rows(survey).population(), wanted, rtol=1e-15)
    for other in (*INTEGERS, *FLOATS):
        rows = design.rows(survey.astype({"age": other}))
        np.testing.assert_allclose(rows.population(), wanted, rtol=1e-15)


@pytest.mark.parametrize("dtype", FLOATS)
def test_small_floats_are_read_as_doubles(dtype: str):
    survey = pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [0.5, 1.25, 300.0]}).astype({"x": dtype})
    rows = design_of("y ~ np.exp(x) + log(x) + I(x**3)", survey).rows(survey)
    x = np.array([0.5, 1.25, 300.0])
    wanted = np.column_stack([np.ones(3), np.exp(x), np.log(x), x**3])
    np.testing.assert_allclose(rows.population(), wanted, rtol=1e-14)


def test_booleans_count_as_numbers_in_arithmetic():
    data = pd.DataFrame({"a": [True, True, False], "b": [True, False, False]})
    wanted = {"I(a + b)": [2, 1, 0], "I(-a)": [-1, -1, 0], "I(a - b)": [0, 1, 0], "exp(a)": None}
    for call, values in wanted.items():
        found = np.asarray(evaluate(call, data, {}, []))
        expected = np.exp([1.0, 1.0, 0.0]) if values is None else values
        np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert evaluate("I((a > b) | ~a)", data, {}, []).tolist() == [False, True, True]


def test_a_chain_of_comparisons_is_one_condition():
    data = pd.DataFrame({"x": [0, 1, 5, 9]})
    assert evaluate("I(0 < x <= 5)", data, {}, []).tolist() == [False, True, True, False]


def test_calls_that_differ_by_brackets_are_different_columns():
    survey = pd.DataFrame({"y": [1.0, 2.0, 5.0, 4.0], "x": [0.0, 1.0, 2.0, 4.0]})
    design = design_of("y ~ I((x-2)**2) + I(x-2**2) + I(-x**2) + I((-x)**2) + I(2**x**0.5)", survey)
    x = survey["x"].to_numpy()
    wanted = {
        "I((x - 2) ** 2)": (x - 2) ** 2,
        "I(x - 2 ** 2)": x - 4,
        "I(-x ** 2)": -(x**2),
        "I((-x) ** 2)": x**2,
        "I(2 ** x ** 0.5)": 2 ** np.sqrt(x),
    }
    assert [term.name for term in design.slopes] == list(wanted)
    columns = design.rows(survey).population()[:, 1:]
    np.testing.assert_allclose(columns, np.column_stack(list(wanted.values())), rtol=1e-15)


def test_names_in_backquotes_are_columns_of_calls_too():
    survey = pd.DataFrame({"y": [1.0, 2.0, 5.0], "my x": [1.0, 2.0, 4.0], "v.1": [3.0, 1.0, 1.0]})
    design = design_of("y ~ log(`my x`) + I(v.1 * 2) + C(`my x`)", survey)
    assert design.columns == ("my x", "v.1")
    assert [term.name for term in design.slopes] == ["log(my x)", "I(v.1 * 2)", "C(my x)"]
    wanted = np.column_stack([np.ones(3), np.log([1, 2, 4]), [6, 2, 2], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(design.rows(survey).population(), wanted)


# --- what calls may be ----------------------------------------------------------------------------


def test_calls_of_one_function_stand_in_any_order(people: pd.DataFrame):
    one = design_of("y ~ scale(log(z)) + scale(x) + offset(log(z)) + offset(x)", people)
    other = design_of("y ~ offset(x) + offset(log(z)) + scale(x) + scale(log(z))", people)
    ours, theirs = one.rows(people), other.rows(people)
    np.testing.assert_array_equal(ours.population()[:, [0, 2, 1]], theirs.population())
    np.testing.assert_allclose(ours.offset(), theirs.offset())


@pytest.mark.parametrize(
    "term", ["C(k):C(education)", "state:C(sex)", "C(k) * S(age)", "C(k) / age"]
)
def test_coded_categoricals_interact(term: str, people: pd.DataFrame):
    columns = design_of(f"y ~ {term}", people).rows(people).population()
    assert np.linalg.matrix_rank(columns) == columns.shape[1]


def test_trials_may_be_any_call(people: pd.DataFrame):
    formula = "p(wins, np.maximum(trials, 5)) ~ x"
    fit = mrp.testing.fake_fit(formula, people, family="binomial")
    drawn = mrp.predictions(fit, newdata=people.head(3), kind="predictive", seed=1).draws
    assert set(np.unique(drawn * 5)) <= {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}


def test_functions_of_the_user_s_do_not_replace_known_ones(people: pd.DataFrame):
    message = (
        "`namespace` must have names of its own, got ['log'], which formulas know already. "
        "Choose other names for your functions."
    )
    with raises(RequestError, message):
        design_of("y ~ log(z)", people, log=np.log10)
    assert design_of("y ~ log(z) + np.log(x + 2)", people, log=np.log, np=np).columns == ("z", "x")


# --- rows stand for themselves --------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "I(x - np.mean(x))",
        "I(x > np.median(x))",
        "np.cumsum(x)",
        "np.argsort(x)",
        "np.sort(x)",
        "noisy(x)",
        "thirds(x)",
        "ranks(x)",
        "I(x - first(x))",
        "C(thirds(x))",
    ],
)
@pytest.mark.parametrize("place", ["{}", "({} | state)", "offset({})", "(1 | {})", "age:{}"])
def test_calls_that_look_at_other_rows_are_refused(call: str, place: str, people: pd.DataFrame):
    rng = np.random.default_rng(1)
    namespace = {
        "noisy": lambda x: x + rng.normal(size=len(x)),
        "thirds": lambda x: pd.qcut(x.rank(method="first"), 3, labels=["low", "mid", "high"]),
        "ranks": lambda x: x.rank(),
        "first": lambda x: x.iloc[0],
    }
    if place == "offset({})" and "thirds" in call:
        return  # no number
    with pytest.raises(FormulaError) as caught:
        design_of(f"y ~ z + {place.format(call)}", people, **namespace)
    text = f"offset({call})" if "offset" in place else call
    said = str(caught.value)
    assert said.startswith("`formula` must have calls that give each row a value of its own, got ")
    assert said.endswith(
        f" when {text} is computed on some rows of the survey: on a frame it would mean something "
        f"else. Use center(x) or scale(x), which remember the survey's numbers, or compute the "
        f"column in the survey and the frame before."
    )


def test_outcomes_may_look_at_other_rows(people: pd.DataFrame):
    outcome = learn("I(y - np.mean(y)) ~ x", people, correlated=True, namespace={})[1]
    np.testing.assert_allclose(outcome.values, people["y"] - people["y"].mean())


# --- the outcome and the predictors ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        ("y ~ y", "y"),
        ("y ~ x + log(y)", "y"),
        ("log(positive) ~ x + positive", "positive"),
        ("vote ~ (1 | vote)", "vote"),
        ("vote ~ (vote | state)", "vote"),
        ("sex[man] ~ sex", "sex"),
        ("p(wins, trials) ~ wins", "wins"),
        ("y ~ offset(y)", "y"),
    ],
)
def test_an_outcome_does_not_predict_itself(formula: str, name: str, people: pd.DataFrame):
    message = (
        f"`formula` must have other columns on the right of '~' than the outcome, got {name!r} on "
        f"both sides. Take it out on the right."
    )
    with raises(FormulaError, message):
        design_of(formula, people)


@pytest.mark.parametrize("formula", ["p(wins, trials) ~ trials", "I(wins / trials) ~ trials"])
def test_what_an_outcome_is_divided_by_may_be_a_predictor(formula: str, people: pd.DataFrame):
    assert design_of(formula, people).columns == ("trials",)


# --- booleans -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def veterans() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 60
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "vet": rng.random(n) < 0.4,
            "x": rng.normal(size=n),
            "a": rng.choice(["p", "q", "r"], n),
            "g": rng.choice(list("uvw"), n),
        }
    )


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("vet", 2),
        ("0 + vet", 2),
        ("a:vet", 6),
        ("0 + vet:x", 2),
        ("vet * a", 6),
        ("I(x > 0)", 2),
        ("0 + I(x > 0) + vet", 3),
    ],
)
def test_a_boolean_is_a_factor_of_false_and_true(
    formula: str, columns: int, veterans: pd.DataFrame
):
    as_text = veterans.assign(vet=veterans["vet"].astype(str))
    ours = design_of(f"y ~ {formula}", veterans).rows(veterans).population()
    assert ours.shape[1] == np.linalg.matrix_rank(ours) == columns
    np.testing.assert_array_equal(
        ours, design_of(f"y ~ {formula}", as_text).rows(as_text).population()
    )


@pytest.mark.parametrize(
    "dtype", ["bool", "boolean", "int64", "float64", "object", "bool[pyarrow]"]
)
def test_a_frame_may_have_zero_and_one_for_a_boolean(dtype: str, veterans: pd.DataFrame):
    design = design_of("y ~ 0 + vet + (vet | g)", veterans)
    frame = veterans.astype({"vet": dtype})
    np.testing.assert_array_equal(
        design.rows(frame).population(), design.rows(veterans).population()
    )


def test_verbs_take_false_and_true(veterans: pd.DataFrame):
    fit = mrp.testing.fake_fit("y ~ vet * x + (1 | g)", veterans)
    asked = [None, "reference", "pairwise", [False, True]]
    found = [mrp.avg_comparisons(fit, variables={"vet": each}) for each in asked]
    assert {each.labels["contrast"].item() for each in found} == {"True - False"}
    values = [each.draws.to_numpy() for each in found]
    assert all((each == values[0]).all() for each in values)
    both = mrp.avg_predictions(fit, variables={"vet": [False, True]})
    np.testing.assert_allclose(np.diff(both.draws.to_numpy(), axis=-1)[..., 0], values[0][..., 0])
    assert mrp.datagrid(fit, grid_type="balanced", x=0, g="u")["vet"].tolist() == [False, True]
