"""From text to terms, as formulaic reads it; and what is no formula."""

from __future__ import annotations

import itertools

import pytest
from formulaic.parser import DefaultFormulaParser
from hypothesis import given
from hypothesis import strategies as st

from mrp.errors import FormulaError
from mrp.formula.grammar import Description, describe, name_of
from tests.messages import raises

# --- the algebra of terms -------------------------------------------------------------------------

NAMES = ("a", "b", "c", "x", "z")


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    marks = st.sampled_from(["+", "+", "*", ":", "/", " - "])
    return st.builds(lambda left, mark, right: f"({left} {mark} {right})", inner, marks, inner) | (
        st.builds(lambda left, power: f"({left}) ** {power}", inner, st.integers(1, 3))
    )


SUMS = st.recursive(st.sampled_from(NAMES), _joined, max_leaves=6)
INTERCEPTS = st.sampled_from(["", "0 + ", "1 + ", "-1 + "])


def terms_of(described: Description) -> set[frozenset[str]]:
    terms = {frozenset(part.name for part in parts) for parts in described.terms}
    return terms | ({frozenset()} if described.intercept else set())


def terms_of_formulaic(text: str) -> set[frozenset[str]]:
    terms = DefaultFormulaParser().get_terms(text)
    return {frozenset(str(f) for f in term.factors if str(f) != "1") for term in terms}


@given(INTERCEPTS, SUMS)
def test_terms_are_those_of_formulaic(intercept: str, text: str):
    assert terms_of(describe(f"y ~ {intercept}{text}")) == terms_of_formulaic(f"{intercept}{text}")


@given(INTERCEPTS, SUMS, SUMS)
def test_a_bracket_is_a_formula_of_its_own(intercept: str, left: str, right: str):
    described = (
        describe(f"y ~ x + ({intercept}{left} | {right})")
        if not (
            terms_of_formulaic(f"{intercept}{left}") == set()
            or terms_of_formulaic(f"0 + {right}") == set()
        )
        else None
    )
    if described is None:
        return
    factors = [frozenset(p.name for p in bracket.factor) for bracket in described.brackets]
    assert set(factors) == terms_of_formulaic(f"0 + {right}")
    assert len(set(factors)) == len(factors)
    for bracket in described.brackets:
        alone = Description(None, bracket.intercept, bracket.terms, ())
        assert terms_of(alone) == terms_of_formulaic(f"{intercept}{left}")


@given(st.permutations(NAMES[:3]), st.sampled_from([":", "*"]))
def test_an_interaction_is_the_same_in_any_order(names: list[str], mark: str):
    every = [mark.join(order) for order in itertools.permutations(names)]
    together = describe(f"y ~ {' + '.join(every)}")
    assert terms_of(together) == terms_of(describe(f"y ~ {every[0]}"))
    assert name_of(together.terms[-1]) == ":".join(names)


@pytest.mark.parametrize(
    ("formula", "terms"),
    [
        ("y ~ x + a", ["x", "a"]),
        ("y ~ a * b * c", ["a", "b", "a:b", "c", "a:c", "b:c", "a:b:c"]),
        ("y ~ (a + b + c) ** 2", ["a", "b", "c", "a:b", "a:c", "b:c"]),
        ("y ~ (a + b)^2 - a", ["b", "a:b"]),
        ("y ~ a / (b + c)", ["a", "a:b", "a:c"]),
        ("y ~ (a + b) / c", ["a", "b", "a:b:c"]),
        ("y ~ a * b:c", ["a", "b:c", "a:b:c"]),
        ("y ~ `a b` + `1|g` + x.1", ["a b", "1|g", "x.1"]),
        ("y ~ {x ** 2} + I((x-2)**2) + np.log( x )", ["I(x ** 2)", "I((x - 2) ** 2)", "np.log(x)"]),
        ("y ~ log(`a b`) + log(`a b`)", ["log(a b)"]),
        ("y ~ T(a, ref=\"o'k\") + T(a, 'x|y||(z')", ['T(a, ref="o\'k")', "T(a, 'x|y||(z')"]),
        (r"y ~ T(a, 'o\'k)') + x", ['T(a, "o\'k)")', "x"]),
    ],
)
def test_terms_come_in_the_order_of_the_formula(formula: str, terms: list[str]):
    assert [name_of(parts) for parts in describe(formula).terms] == terms


@pytest.mark.parametrize(
    ("formula", "intercept"),
    [
        ("y ~ x", True),
        ("y ~ 0 + x", False),
        ("y ~ x - 1", False),
        ("y ~ -1 + x", False),
        ("y ~ x + -1", False),
        ("y ~ 0 + x + 1", True),
        ("y ~ x - 0", True),
        ("y ~ (0 + x) + z", False),
    ],
)
def test_the_intercept_is_there_unless_it_is_taken_out(formula: str, intercept: bool):
    assert describe(formula).intercept is intercept


@pytest.mark.parametrize(
    ("bracket", "brackets"),
    [
        ("(1 | g)", [(True, [], "g", False)]),
        ("(x | g)", [(True, ["x"], "g", False)]),
        ("(x - 1 | g)", [(False, ["x"], "g", False)]),
        ("(x + 0 | g)", [(False, ["x"], "g", False)]),
        ("(0 + x || g)", [(False, ["x"], "g", True)]),
        ("(1 | g / h)", [(True, [], "g", False), (True, [], "g:h", False)]),
        ("(a:x | g + h)", [(True, ["a:x"], "g", False), (True, ["a:x"], "h", False)]),
        ("((1 | g) + ((x || h)))", [(True, [], "g", False), (True, ["x"], "h", True)]),
    ],
)
def test_a_bracket_has_terms_and_a_factor(
    bracket: str, brackets: list[tuple[bool, list[str], str, bool]]
):
    found = describe(f"y ~ z + {bracket}").brackets
    assert [
        (b.intercept, [name_of(t) for t in b.terms], name_of(b.factor), b.is_double) for b in found
    ] == brackets


@pytest.mark.parametrize(
    ("formula", "outcome"),
    [
        ("y ~ x", ("y", False, None)),
        ("`y 1` ~ x", ("y 1", False, None)),
        ("vote[left] ~ x", ("vote", False, "left")),
        ("vote['far left'] ~ x", ("vote", False, "far left")),
        ("p(wins,n) ~ x", ("p(wins, n)", True, None)),
        ("{y / 2} ~ x", ("I(y / 2)", True, None)),
    ],
)
def test_the_outcome_stands_left(formula: str, outcome: tuple[str, bool, str | None]):
    found = describe(formula).outcome
    assert found is not None
    assert (found.name, found.is_call, found.level) == outcome


# --- refusals -------------------------------------------------------------------------------------

MADE = "`formula` must be made of columns, calls, 0 and 1, got the number"
JOIN = "on. Join terms by '+', and write group-specific terms in brackets: ( … | g)"
TRIALS = "with family='binomial'"
WEIGHTS = (
    "respondents have no weights in a model: put what weights correct for into the formula, and "
    "the population's weights into poststratify(…, wts='n')"
)


@pytest.mark.parametrize(
    ("formula", "problem"),
    [
        ("y ~ x +", "it ends where a term should follow"),
        ("", "it ends where a term should follow"),
        ("y ~", "it ends where a term should follow"),
        ("y ~ (1 | g", "it ends where a term should follow"),
        ("y ~ x ~ z", "it has '~' more than once"),
        ("y ~ x, z", f"it can't be read from ',' {JOIN}"),
        ("y ~ x z", f"it can't be read from 'z' {JOIN}"),
        ("y ~ x | g", f"it can't be read from '|' {JOIN}"),
        ("y ~ (x)) + z", f"it can't be read from ')' {JOIN}"),
        ("y ~ .", "it can't be read from '.' on"),
        ("y ~ x %in% z", "it can't be read from '%in% z' on"),
        ("y ~ log(x", "the bracket ( is not closed"),
        ("y ~ T(a, 'b)", "the quote ' is not closed"),
        ("y ~ x ** z", "a power of terms must be a whole number, not 'z'"),
        ("y ~ x ** 0", "a power of terms must be a whole number, not '0'"),
        ("y ~ (0 | g)", "left of '|' must be something that varies by group: 1, x or 1 + x"),
        ("y ~ (x | 1)", "right of '|' must be a grouping factor, such as g or g:h"),
        ("y ~ a:(1 | g)", "group-specific terms can only be added"),
        ("y ~ x - (1 | g)", "group-specific terms can't be taken away by '-'"),
        ("y ~ ((1 | h) | g)", "group-specific terms can't stand inside of others"),
        ("~ x", "left of '~' must be one outcome, not ''"),
        ("y x ~ x", "left of '~' must be one outcome, not 'y x'"),
        ("1 ~ x", "left of '~' must be one outcome, not '1'"),
        ("y[1] ~ x", "[1] is no level. Write it in quotes: ['1']"),
        # what other packages write
        ("y + x ~ z", "arithmetic is written I(y + x)"),
        ("wins / n ~ z", f"successes and trials are p(wins, n) ~ …, {TRIALS}; a measurement is "
         "I(wins / n)"),
        ("wins | trials(n) ~ z", f"successes and trials are p(wins, n) ~ …, {TRIALS}"),
        ("wins|trials( 5 ) ~ z", f"successes and trials are p(wins, 5) ~ …, {TRIALS}"),
        ("y | weights(w) ~ z", WEIGHTS),
        ("y | weights(w, scale = TRUE) ~ z", WEIGHTS),
        ("y | rate(t) ~ z", "an exposure is a predictor: offset(log(t))"),
        ("cbind(a, b) ~ z", f"successes and failures are p(a, I(a + b)) ~ …, {TRIALS}"),
        ("y ~ (1 | i | g)", "a bracket has one bar. All effects in one bracket are correlated: "
         "write (1 + x | g) where brms has the same | i | in several brackets of one group"),
        ("y ~ (x > 0)", "comparisons are written in I(…), such as I(x > 0)"),
        ("y ~ x == 'a'", "comparisons are written in I(…), such as I(x == 0)"),
    ],
)  # fmt: skip
def test_what_is_no_formula_is_refused_where_it_can_t_be_read(formula: str, problem: str):
    message = (
        f"`formula` must be a Bambi formula such as 'y ~ x + (1 | g)', got {formula!r}: {problem}."
    )
    with raises(FormulaError, message):
        describe(formula)


@pytest.mark.parametrize(
    ("formula", "number"),
    [
        ("y ~ 2", "2"),
        ("y ~ 3:x", "3"),
        ("y ~ x * 1.5", "1.5"),
        ("y ~ x / 1", "1"),
        ("y ~ 0:x", "0"),
    ],
)
def test_numbers_are_no_terms(formula: str, number: str):
    with raises(
        FormulaError, f"{MADE} {number}. Use `I(…)` for arithmetic or `offset(…)` for a constant."
    ):
        describe(formula)


CONDITIONS = "conditions are joined by & and |, each in brackets: (x > 0) & (z < 1)"
CALLS = "`formula` must have calls that Python can read, got"


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("I(x^2)", "a power is written **, not ^"),
        ("I(x > 0 and z < 1)", CONDITIONS),
        ("I(not x)", CONDITIONS),
        ("I(x > 1 & z < 3)", CONDITIONS),
        ("I(x if z else k)", "'x if z else k' is more than columns, numbers, text and calls"),
        ("I(x[0])", "'x[0]' is more than columns, numbers, text and calls"),
        ("I([k for k in x])", "'[k for k in x]' is more than columns, numbers, text and calls"),
        ("f((lambda: x)())", "'lambda: x' is no name of a function"),
        ("f(**x)", "arguments are given one by one"),
        ("I(x @ z)", "operators are +, -, *, /, //, %, **, & and |"),
        ("I(x in [1, 2])", "comparisons are ==, !=, <, <=, > and >=; one of several values is "
         "np.isin(x, […])"),
        ("I(x.T.a().b)", "'x.T.a().b' is no name"),
        ("I(x +)", "invalid syntax. Write names that are no words in backquotes"),
        ("I(class + 1)", "invalid syntax. Write names that are no words in backquotes"),
    ],
)  # fmt: skip
def test_calls_have_what_python_reads_and_no_more(call: str, problem: str):
    with raises(FormulaError, f"{CALLS} {call!r} in 'y ~ {call}': {problem}."):
        describe(f"y ~ {call}")


def test_a_formula_is_bounded():
    long, deep = "y ~ x" + " + x" * 10_000, "y ~ " + "(" * 5_000 + "x" + ")" * 5_000
    message = (
        "`formula` must have at most 20,000 characters, got 40,005. Compute what is long as "
        "columns of the data."
    )
    with raises(FormulaError, message):
        describe(long)
    message = (
        f"`formula` must not nest brackets as deeply as 'y ~ {'(' * 96} … {')' * 100}'. Leave out "
        "those that are not needed."
    )
    with raises(FormulaError, message):
        describe(deep)


def test_a_formula_is_text():
    message = (
        "`formula` must be a string, got int. Distributional formulas (bambi.Formula) are not "
        "supported."
    )
    with raises(FormulaError, message):
        describe(3)  # type: ignore[arg-type]
