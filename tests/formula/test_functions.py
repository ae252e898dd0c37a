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
from mrp.errors import DataError, FormulaError, MRPError, RequestError
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
        f", of {text}: on a frame it would mean something else. Use center(x) or scale(x), which "
        f"remember the survey's numbers, or compute the column in the survey and the frame before."
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("call", ["half(k)", "rank(k)", "top(k)", "codes(g)", "low(k)"])
def test_rows_are_told_apart_in_small_and_tied_surveys(call: str, seed: int):
    rng = np.random.default_rng(seed)
    survey = pd.DataFrame({"k": rng.integers(1, 6, 30), "g": rng.choice(list("abc"), 30)})
    survey["y"] = rng.normal(size=30)
    own = {
        "half": lambda k: k > np.median(k),
        "rank": lambda k: k.rank(),
        "top": lambda k: k / k.max(),
        "low": lambda k: k - k.min(),
        "codes": lambda g: g.astype("category").cat.codes,
    }
    with pytest.raises(FormulaError, match="must have calls that give each row a value"):
        design_of(f"y ~ {call}", survey, **own)


def test_outcomes_may_look_at_other_rows(people: pd.DataFrame):
    outcome = learn("I(y - np.mean(y)) ~ x", people, correlated=True, namespace={})[1]
    np.testing.assert_allclose(outcome.values, people["y"] - people["y"].mean())


# --- columns of calls are the survey's ------------------------------------------------------------

ORDER = ["low", "mid", "high"]


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    survey = pd.DataFrame({"y": rng.normal(size=40), "k": rng.integers(1, 4, 40)})
    survey["edu"] = pd.Categorical(rng.choice(ORDER, 40), ORDER, ordered=True)
    survey["g"], survey["vet"] = rng.choice(["a", "b"], 40), rng.random(40) < 0.5
    return survey


@pytest.mark.parametrize(
    ("call", "change"),
    [
        ("I(edu > 'low')", {"edu": str}),
        ("I(edu > 'low')", {"edu": pd.CategoricalDtype(["high", "low", "mid"])}),
        ("np.where(edu == 'mid', 1, 0)", {"edu": object}),
        ("I(k == 1)", {"k": float}),
        ("np.isin(k, [1, 3])", {"k": "int8"}),
        ("np.where(vet, 1, 0)", {"vet": int}),
        ("I(~vet)", {"vet": float}),
        ("I(g == 'a')", {"g": "category"}),
        ("binary(g, 'a')", {"g": "string"}),
    ],
)
def test_a_call_finds_the_survey_s_types_and_order_in_any_table(call, change, answers):
    design = design_of(f"y ~ {call}", answers)
    wanted = design.rows(answers).population()
    np.testing.assert_array_equal(design.rows(answers.astype(change)).population(), wanted)
    some = answers.iloc[[3, 1]].astype(change)
    np.testing.assert_array_equal(design.rows(some).population(), wanted[[3, 1]])


def test_levels_are_compared_by_their_order_whatever_a_variable_is_set_to(answers):
    fit = mrp.testing.fake_fit("y ~ I(edu > 'low')", answers, family="gaussian", draws=5)
    found = mrp.avg_comparisons(fit, variables={"edu": "pairwise"})
    values = dict(zip(found.labels["contrast"], found.draws.to_numpy().T, strict=True))
    np.testing.assert_allclose(values["high - low"], values["mid - low"])
    np.testing.assert_allclose(values["high - mid"], 0.0, atol=1e-12)


def test_booleans_of_calls_have_levels_in_verbs(answers):
    fit = mrp.testing.fake_fit("y ~ np.where(vet, 5, 0)", answers, family="gaussian", draws=5)
    contrast = mrp.avg_comparisons(fit, variables="vet")
    slope = mrp.avg_slopes(fit, variables="vet")
    assert (
        contrast.labels["contrast"].tolist()
        == slope.labels["contrast"].tolist()
        == ["True - False"]
    )
    np.testing.assert_allclose(slope.draws.to_numpy(), contrast.draws.to_numpy())


@pytest.mark.parametrize(
    ("call", "change", "message"),
    [
        (
            "I(k == 1)",
            {"k": "1"},
            "`frame` must have in 'k', which I(k == 1) uses, what the survey has: numbers are "
            "needed, got type 'str'. Convert the column.",
        ),
        (
            "np.where(vet, 1, 0)",
            {"vet": "True"},
            "`frame` must have in 'vet', which np.where(vet, 1, 0) uses, what the survey has: True "
            "and False are needed, got type 'str'. Convert the column.",
        ),
        (
            "I(g == 'a')",
            {"g": "A"},
            "`frame` must have only levels of 'g' that the survey has, since I(g == 'a') uses "
            "them, got ['A'] in 40 rows. Available: ['a', 'b']. Did you mean 'a'? It differs only "
            "by blanks, case or Unicode normalisation.",
        ),
        (
            "I(edu > 'low')",
            {"edu": "top"},
            "`frame` must have only levels of 'edu' that the survey has, since I(edu > 'low') uses "
            "them, got ['top'] in 40 rows. Available: ['low', 'mid', 'high'].",
        ),
    ],
)
def test_a_call_refuses_types_and_levels_that_the_survey_lacks(call, change, message, answers):
    design = design_of(f"y ~ {call}", answers)
    with raises(DataError, message):
        design.rows(answers.assign(**change), argument="frame")


def test_a_column_of_the_frame_does_not_stand_for_a_name_of_the_namespace(answers):
    design = design_of("y ~ I(k > cut) + I(k * np.pi)", answers, cut=2)
    frame = answers.assign(cut=9, **{"np.pi": 0.0})
    np.testing.assert_array_equal(
        design.rows(frame).population(), design.rows(answers).population()
    )


def test_functions_of_the_user_s_may_make_levels_of_new_text(answers):
    first = {"first": lambda g: g.str[0]}
    survey = answers.assign(g=answers["g"] + "1")
    fit = mrp.testing.fake_fit("y ~ (1 | first(g))", survey, family="gaussian", namespace=first)
    assert len(mrp.predictions(fit, newdata=survey.assign(g=survey["g"] + "9"))) == 40


@pytest.mark.parametrize("term", ["C(np.where(k > 1, k, np.nan))", "(1 | f(g))", "C(f(g))"])
def test_missing_values_of_calls_are_no_levels(term, answers):
    f = {"f": lambda g: g.map({"a": "x"})}
    with pytest.raises(DataError, match="must have a level for each row in"):
        design_of(f"y ~ {term}", answers, **f)
    later = {"f": lambda g: g.map({"a": "x", "b": "y"})}
    design = design_of("y ~ (1 | f(g))", answers, **later)
    message = (
        "`frame` must have a level for each row in 'f(g)', got none in 40 of 40. Let the call give "
        "one for every value."
    )
    with raises(DataError, message):
        design.rows(answers.assign(g="c"), argument="frame")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("log(k, 2)", "log takes 1, got 2 arguments"),
        ("np.minimum(k, 2, scale(k))", "minimum takes 2, got 3 arguments"),
    ],
)
def test_functions_take_no_more_than_they_use(call, problem, answers):
    with pytest.raises(FormulaError, match=problem):
        design_of(f"y ~ {call}", answers)


def test_numpy_s_functions_of_whole_numbers_do_not_overflow(answers):
    design = design_of("y ~ np.power(k, 50) + np.square(k * 3000000000) + np.power(k, -1)", answers)
    k = answers["k"].to_numpy(dtype=float)
    wanted = np.column_stack([np.ones(40), k**50, (k * 3e9) ** 2, 1 / k])
    np.testing.assert_allclose(design.rows(answers).population(), wanted, rtol=1e-12)


def test_large_whole_numbers_are_told_apart():
    ids = np.array([2**63 + 1, 2**63 + 2, 2**63 + 5] * 2, dtype=np.uint64)
    survey = pd.DataFrame({"y": np.arange(6.0), "id": ids})
    design = design_of("y ~ (1 | id)", survey)
    assert design.factors["id"].groups == tuple(map(str, ids[:3].tolist()))
    assert design.rows(survey).groups["id"].tolist() == [0, 1, 2] * 2


@pytest.mark.parametrize("column", ["T", "log", "np.pi", "scale"])
def test_columns_may_be_called_as_functions_are(column, answers):
    survey = answers.assign(**{column: answers["k"] * 2.0})
    design = design_of(f"y ~ {column} + (1 | {column})", survey)
    np.testing.assert_array_equal(design.rows(survey).population()[:, 1], survey[column])
    with pytest.raises(DataError, match=r"must have every column that the formula uses, lacks"):
        design_of(f"y ~ {column}", answers)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ offset(np.column_stack([k, k]))",
        "y ~ (1 | bs(k, df=4))",
        "bs(y, df=4) ~ k",
        "y ~ empty(k)",
        "y ~ words(k)",
        "p(successes=k, trials=k) ~ g",
    ],
)
def test_results_of_another_shape_are_refused(formula, answers):
    own = {
        "empty": lambda k: np.zeros((len(k), 0)),
        "words": lambda k: np.array([["a", "b"]] * len(k)),
    }
    with pytest.raises(MRPError, match="`formula` must"):
        design_of(formula, answers, **own)


def test_letters_are_those_that_are_written():
    survey = pd.DataFrame(
        {"y": [1.0, 2.0, 4.0], "\u00b5": [1.0, 2.0, 3.0], "\u03bc": [5.0, 5.5, 9.0]}
    )
    columns = design_of("y ~ I(\u00b5 * 1)", survey).rows(survey).population()
    np.testing.assert_array_equal(columns[:, 1], [1.0, 2.0, 3.0])


def test_calls_and_what_their_columns_hold_are_saved(answers, tmp_path):
    fit = mrp.testing.fake_fit("y ~ I(edu > 'low') + C(k):vet", answers, family="gaussian")
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    assert loaded.design == fit.design


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
