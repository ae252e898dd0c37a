"""Arithmetic on rows: what it means, and that nothing else is read."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp.errors import RequestError, written
from mrp.results.expressions import FUNCTIONS, parse, unquoted
from tests.messages import raises

NAMES = ["Man", "Woman", "California, Man", "18-29", "b9", "Man ` x"]
DRAWS = np.random.default_rng(1).uniform(0.2, 0.8, size=(len(NAMES), 7))


def value(text, names=NAMES, draws=DRAWS):
    expression = parse(text, names)
    return expression.value(draws[list(expression.rows.values())])


def by_loop(function, *rows):
    return [function(*(DRAWS[row, s] for row in rows)) for s in range(DRAWS.shape[1])]


@pytest.mark.parametrize(
    ("text", "function", "rows"),
    [
        ("b1", lambda a: a, [0]),
        ("b2 - b1", lambda a, b: b - a, [0, 1]),
        ("b2 - b1 = 0", lambda a, b: b - a, [0, 1]),
        ("b1 = b2", lambda a, b: a - b, [0, 1]),
        ("b2 / b1 = 1", lambda a, b: b / a - 1, [0, 1]),
        ("2 * b1 + b3 = 0.5", lambda a, b: 2 * a + b - 0.5, [0, 2]),
        ("Woman = Man", lambda a, b: b - a, [0, 1]),
        ("`Woman` - `Man` = 0", lambda a, b: b - a, [0, 1]),
        ("`California, Man` / b1", lambda a, b: b / a, [0, 2]),
        ("2*`18-29`", lambda a: 2 * a, [3]),
        ("`b9` - b1", lambda a, b: b - a, [0, 4]),
        ("-b1 ** 2", lambda a: -(a**2), [0]),
        ("-b1^2", lambda a: -(a**2), [0]),
        ("b1 + b2^2", lambda a, b: a + b**2, [0, 1]),
        ("2^b1^2", lambda a: 2 ** (a**2), [0]),
        ("+(b1 - b2) * (b1 + b2)", lambda a, b: a * a - b * b, [0, 1]),
        ("log(b1 / (1 - b1)) = logit(b1)", lambda a: 0.0, [0]),
        ("plogis(logit(b2)) - b2", lambda a: 0.0, [1]),
        ("abs(b1 - 1)", lambda a: 1 - a, [0]),
        ("sqrt(exp(b1))", lambda a: math.exp(a / 2), [0]),
        ("1e-1 * b1", lambda a: a / 10, [0]),
        ("b1\n  - b2", lambda a, b: a - b, [0, 1]),
        ("0 = b1", lambda a: -a, [0]),
    ],
)
def test_statement_is_its_left_side_minus_its_right_one(text, function, rows):
    np.testing.assert_allclose(value(text), by_loop(function, *rows), rtol=1e-12, atol=1e-12)


def test_each_row_is_there_once_in_order_of_appearance():
    assert dict(parse("b3 - b1 * b3 = Man", NAMES).rows) == {"b3": 2, "b1": 0, "Man": 0}


def test_name_of_a_function_may_be_the_name_of_a_row():
    np.testing.assert_allclose(value("log(log)", ["log"], DRAWS[:1]), np.log(DRAWS[0]))


def test_text_is_kept_with_single_spaces():
    assert parse("  b1   -\n b2 =  0 ", NAMES).text == "b1 - b2 = 0"


def test_backquotes_hide_what_is_in_them():
    assert unquoted("`a ~ b` - `c`").split() == ["-"]


@given(st.recursive(
    st.sampled_from(["b1", "b2", "0.5", "2"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"abs({t})"),
        inner.map(lambda t: f"-{t}"),
    ),
    max_leaves=12,
))  # fmt: skip
def test_arithmetic_is_that_of_python(text):
    row = {"b1": DRAWS[0], "b2": DRAWS[1], "abs": np.abs}
    expected = eval(text, {"__builtins__": {}}, row)
    np.testing.assert_allclose(value(f"b1 + {text}"), DRAWS[0] + expected, rtol=1e-12)


def test_what_is_not_finite_is_no_warning():
    assert value("log(b1 - 2)").tolist() == pytest.approx([math.nan] * 7, nan_ok=True)
    assert value("1 / (b1 - b1)").tolist() == [math.inf] * 7


@pytest.mark.parametrize(
    "bad",
    [
        "", "=", "b1 =", "= b1", "b1 = b2 = b3", "b1 == b2", "b1 >= 0", "b1 -", "b1 b2", "2b1",
        "b1.real", "b1[0]", "b1 if b2 else b3", "lambda: b1", "[b1]", "(b1, b2)", "b1 and b2",
        "b1 // b2", "b1 % 2", "b1 @ b2", "~b1", "not b1", "b1 # b2", "b1; b2", "b1 := 2",
        "'b1'", "f'{b1}'", "True * b1", "1j * b1", "log()", "log(b1, b2)", "log(x=b1)",
        "log(*b1)", "b1.log(b2)", "`Man", "b1\x00", "1" * 5000 + " * b1", "yield b1",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(bad):
    message = (
        f"`statement` must be arithmetic on rows, such as 'b2 - b1 = 0', got {written(bad)}. "
        "Available: + - * / **, abs, exp, log, logit, plogis, sqrt. Write names that are no single "
        "word in backquotes: `California, Man`."
    )
    with raises(RequestError, message):
        parse(bad, NAMES)


@pytest.mark.parametrize(
    "deep", ["+".join(["b1"] * 502), "-" * 90_000 + "b1", "(" * 5000 + "b1" + ")" * 5000]
)
def test_arithmetic_too_deep_to_follow_is_refused(deep):
    with pytest.raises(RequestError, match=r"\A`statement` must "):
        parse(deep, NAMES)


def test_refusal_of_deep_arithmetic_says_what_to_do():
    message = (
        "`statement` must have at most 500 operations on operations, got 'b1+b1+b1+b1+b1+b1+b1'… "
        "of 1,505 characters. Pass a function of the draws."
    )
    with raises(RequestError, message):
        parse("+".join(["b1"] * 502), NAMES)
    assert value("+".join(["b1"] * 400)).tolist() == pytest.approx((400 * DRAWS[0]).tolist())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "b1 = woman",
            "`statement` must name rows, or b1 to b3, got 'woman'. "
            "Available: ['Man', 'Woman', 'Man']. Did you mean 'Woman'?",
        ),
        (
            "`Man ` = b1",
            "`statement` must name rows, or b1 to b3, got 'Man '. "
            "Available: ['Man', 'Woman', 'Man']. Did you mean 'Man'?",
        ),
        (
            "b9 - b1",
            "`statement` must name rows from b1 to b3, got 'b9'. "
            "A row that is called so is written `b9`.",
        ),
        (
            "b0 - b1",
            "`statement` must name rows from b1 to b3, got 'b0'. "
            "A row that is called so is written `b0`.",
        ),
        (
            "Man - Woman",
            "`statement` must name one row at a time, got 'Man', which 2 rows are called. "
            "Available: ['b1', 'b3'].",
        ),
        (
            "18-29",
            "`statement` must be about rows, got '18-29', which names none. Available: b1 to b3, "
            "['Man', 'Woman', 'Man']. Write other names in backquotes: `18-29`.",
        ),
        (
            "lag(b1)",
            "`statement` must use these functions only, got 'lag'. Available: "
            "['abs', 'exp', 'log', 'logit', 'plogis', 'sqrt']. Did you mean 'log'?",
        ),
        (
            "__import__(b1)",
            "`statement` must use these functions only, got '__import__'. Available: "
            "['abs', 'exp', 'log', 'logit', 'plogis', 'sqrt'].",
        ),
    ],
)
def test_names_that_are_not_there_are_refused(text, message):
    with raises(RequestError, message):
        parse(text, ["Man", "Woman", "Man"])


def test_functions_are_those_of_their_names():
    x = np.array([0.2, 0.5])
    for name, function in {"abs": abs, "exp": math.exp, "log": math.log, "sqrt": math.sqrt}.items():
        np.testing.assert_allclose(FUNCTIONS[name](x), [function(v) for v in x])
    np.testing.assert_allclose(FUNCTIONS["logit"](x), [math.log(v / (1 - v)) for v in x])
    np.testing.assert_allclose(FUNCTIONS["plogis"](x), [1 / (1 + math.exp(-v)) for v in x])
