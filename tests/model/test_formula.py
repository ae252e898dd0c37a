"""From a formula and a survey to terms, levels, blocks and the outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mrp.coefficients import coordinates, effect_dims
from mrp.design import Categorical, Design
from mrp.errors import DataError, FormulaError, MRPError
from mrp.model.formula import learn
from mrp.model.outcome import Outcome
from tests.messages import raises


def design_of(formula: str, survey: pd.DataFrame, *, correlated: bool = True) -> Design:
    return learn(formula, survey, correlated=correlated, namespace={})[0]


def outcome_of(formula: str, survey: pd.DataFrame, **namespace: Any) -> Outcome:
    return learn(formula, survey, correlated=True, namespace=namespace)[1]


# --- terms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "terms"),
    [
        ("1", {"Intercept": ("intercept", None)}),
        ("x", {"Intercept": ("intercept", None), "x": ("numeric", None)}),
        ("0 + x", {"x": ("numeric", None)}),
        ("0 + age", {"age": ("categoric", ["young", "mid", "old"])}),
        (
            "x:z + education",
            {
                "Intercept": ("intercept", None),
                "x:z": ("interaction", None),
                "education": ("categoric", ["2 year", "4 year"]),
            },
        ),
        (
            "sex * x",
            {
                "Intercept": ("intercept", None),
                "sex": ("categoric", ["woman"]),
                "x": ("numeric", None),
                "sex:x": ("interaction", ["woman"]),
            },
        ),
        (
            "0 + age:sex",
            {
                "age:sex": (
                    "interaction",
                    [
                        f"{age}, {sex}"
                        for age in ("young", "mid", "old")
                        for sex in ("man", "woman")
                    ],
                )
            },
        ),
        (
            "0 + S(age) + poly(x, 2)",
            {
                "S(age)": ("categoric", ["mean", "young", "mid"]),
                "poly(x, 2)": ("numeric", ["0", "1"]),
            },
        ),
        (
            "poly(x, 2):sex",
            {
                "Intercept": ("intercept", None),
                "poly(x, 2):sex": ("interaction", ["0, man", "0, woman", "1, man", "1, woman"]),
            },
        ),
        (
            "T(k, 2) + C(veteran)",
            {
                "Intercept": ("intercept", None),
                "T(k, 2)": ("categoric", ["1", "3"]),
                "C(veteran)": ("categoric", ["True"]),
            },
        ),
        ("I(x / 2)", {"Intercept": ("intercept", None), "I(x ∕ 2)": ("numeric", None)}),
        # what a rank-deficient interaction lacks is added, as formulae does
        (
            "x + age:sex:x",
            {
                "Intercept": ("intercept", None),
                "x": ("numeric", None),
                "sex:x": ("interaction", ["woman"]),
                "age:sex:x": ("interaction", ["mid, man", "mid, woman", "old, man", "old, woman"]),
            },
        ),
    ],
)
def test_terms_are_named_and_labelled_as_bambi_does(
    formula: str, terms: dict[str, tuple[str, list[str] | None]], people: pd.DataFrame
):
    design = design_of(f"y ~ {formula}", people)
    found = {t.name: (t.kind, None if t.levels is None else list(t.levels)) for t in design.terms}
    assert found == terms
    assert list(found) == list(terms)
    widths = [1 if levels is None else len(levels) for _, levels in terms.values()]
    assert [term.width for term in design.terms] == widths
    assert design.has_intercept == ("Intercept" in terms)
    assert [term.name for term in design.slopes] == [name for name in terms if name != "Intercept"]


def test_the_intercept_comes_first_wherever_it_is_written(people: pd.DataFrame):
    design = design_of("y ~ x + age + 1", people)
    assert [term.name for term in design.terms] == ["Intercept", "x", "age"]


def test_columns_are_those_of_the_predictors_term_by_term(people: pd.DataFrame):
    survey = people.assign(**{"years in state": people["k"]})
    formula = "log(positive) ~ I(z * x) + `years in state` + offset(np.log(k)) + (sex | state:age)"
    assert design_of(formula, survey).columns == (
        "x", "z", "years in state", "k", "state", "age", "sex",
    )  # fmt: skip


def test_names_in_the_namespace_are_no_columns_unless_the_survey_has_them(people: pd.DataFrame):
    def learned(survey: pd.DataFrame) -> Design:
        return learn("y ~ I(x + shift)", survey, correlated=True, namespace={"shift": 10.0})[0]

    assert learned(people).columns == ("x",)
    assert learned(people.assign(shift=1.0)).columns == ("shift", "x")


def test_learning_leaves_the_survey_as_it_was(people: pd.DataFrame):
    survey = people.copy()
    design_of("y ~ age + education + C(k) + veteran + (x | state)", survey)
    pd.testing.assert_frame_equal(survey, people)


# --- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("written", ["g", "C(g)", "T(g)"])
def test_the_first_category_is_the_reference_whether_ordered_or_not(written: str, ordered: bool):
    values = pd.Categorical(["b", "c", "a", "b"], categories=["c", "never", "a", "b"])
    survey = pd.DataFrame({"y": range(4), "g": values.set_ordered(ordered)})
    design = design_of(f"y ~ {written}", survey)
    component = design.components[written]
    assert isinstance(component, Categorical)
    assert component.levels == ("c", "a", "b")
    assert design.terms[1].levels == ("a", "b")
    wanted = [[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    assert design.rows(survey).population().tolist() == wanted


def test_sum_coding_omits_the_last_category():
    values = pd.Categorical(["b", "c", "a"], categories=["c", "a", "b"])
    survey = pd.DataFrame({"y": range(3), "g": values})
    design = design_of("y ~ S(g)", survey)
    assert design.terms[1].levels == ("c", "a")
    assert design.rows(survey).population()[:, 1:].tolist() == [[-1, -1], [1, 0], [0, 1]]


def test_levels_that_are_given_are_the_order_of_coding(people: pd.DataFrame):
    design, _ = learn(
        "y ~ C(k, levels=order)", people, correlated=True, namespace={"order": [3, 1, 2]}
    )
    assert design.terms[1].levels == ("1", "2")
    assert design.components["C(k, levels=order)"].levels == (3, 1, 2)


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (["b", "a", "B"], ("B", "a", "b")),
        (pd.array(["b", "a", "b"], dtype="string"), ("a", "b")),
        (pd.Categorical([20, 3, 3]), (3, 20)),
        (pd.Categorical([True, False, True], categories=[True, False]), (True, False)),
        (pd.Categorical([0.5, -1.0, 0.5]), (-1.0, 0.5)),
    ],
    ids=["str", "string", "int categories", "bool categories", "float categories"],
)
def test_levels_are_sorted_where_they_have_no_order_and_keep_their_type(
    values: Any, levels: tuple[Any, ...]
):
    survey = pd.DataFrame({"y": [1.0, 2.0, 4.0], "g": values})
    component = design_of("y ~ g", survey).components["g"]
    assert isinstance(component, Categorical)
    assert component.levels == levels
    assert [type(level) for level in component.levels] == [type(level) for level in levels]


# --- blocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "blocks"),
    [
        ("(1 | state)", [("state", ["Intercept"], False)]),
        ("(x | state)", [("state", ["Intercept", "x"], True)]),
        ("(x || state)", [("state", ["Intercept", "x"], False)]),
        ("(0 + x | state)", [("state", ["x"], False)]),
        ("(0 + age | state)", [("state", ["age[young]", "age[mid]", "age[old]"], True)]),
        (
            "(x || state) + (sex | age)",
            [("state", ["Intercept", "x"], False), ("age", ["Intercept", "sex[woman]"], True)],
        ),
        (
            "(sex | age) + (x || state)",
            [("age", ["Intercept", "sex[woman]"], True), ("state", ["Intercept", "x"], False)],
        ),
        (
            "(1 | state) + (0 + x + z | state)",
            [("state", ["Intercept"], False), ("state", ["x", "z"], True)],
        ),
        (
            "(1 | state / age)",
            [("state", ["Intercept"], False), ("state:age", ["Intercept"], False)],
        ),
        (
            "(x | state + age)",
            [("state", ["Intercept", "x"], True), ("age", ["Intercept", "x"], True)],
        ),
        ("(x | state:age)", [("state:age", ["Intercept", "x"], True)]),
        # a bracket is coded by itself: whatever stands outside of it
        (
            "age:x + (age:x | state)",
            [("state", ["Intercept", "age:x[young]", "age:x[mid]", "age:x[old]"], True)],
        ),
        (
            "(1 | state) + (0 + age | state)",
            [
                ("state", ["Intercept"], False),
                ("state", ["age[young]", "age[mid]", "age[old]"], True),
            ],
        ),
        (
            "age + (age:sex | state)",
            [
                (
                    "state",
                    [
                        "Intercept",
                        "sex[woman]",
                        "age:sex[mid, man]",
                        "age:sex[mid, woman]",
                        "age:sex[old, man]",
                        "age:sex[old, woman]",
                    ],
                    True,
                )
            ],
        ),
        ("T(sex, 'a|b||c') + (x || state)", None),
    ],
)
def test_effects_of_one_bracket_are_correlated_unless_the_bar_is_double(
    formula: str, blocks: list[tuple[str, list[str], bool]] | None, people: pd.DataFrame
):
    if blocks is None:  # bars in a string are no bars
        people = people.assign(sex=people["sex"].replace("man", "a|b||c"))
        blocks = [("state", ["Intercept", "x"], False)]
    design = design_of(f"y ~ {formula}", people)
    assert [(b.factor, list(b.labels), b.correlated) for b in design.blocks] == blocks
    alone = design_of(f"y ~ {formula}", people, correlated=False)
    assert [(b.factor, list(b.labels)) for b in alone.blocks] == [b[:2] for b in blocks]
    assert not any(block.correlated for block in alone.blocks)


def test_parts_of_a_term_are_named_after_it_where_another_bracket_has_their_name(
    people: pd.DataFrame,
):
    formulas = {
        "(0 + age | state) + (sex:age | state)": "age of sex:age",
        "(sex:age | state) + (0 + age | state)": "age of sex:age",
    }
    for formula, name in formulas.items():
        blocks = design_of(f"y ~ {formula}", people).blocks
        parts = [term for block in blocks for term in block.terms if term.of is not None]
        assert [(part.name, part.of) for part in parts] == [(name, name.split(" of ")[1])]
        variables = [block.variable(term) for block in blocks for term in block.terms]
        assert len(set(variables)) == len(variables)
    (block,) = design_of("y ~ (age:sex | state)", people).blocks
    assert [term.name for term in block.terms] == ["Intercept", "sex", "age:sex"]


def test_a_crossed_factor_is_the_same_in_any_order(people: pd.DataFrame):
    design = design_of("y ~ (1 | state:age) + (0 + x | age:state)", people)
    assert list(design.factors) == ["state:age"]
    assert [(block.factor, block.number) for block in design.blocks] == [
        ("state:age", 0),
        ("state:age", 1),
    ]


def test_terms_of_one_name_share_a_dim_unless_they_have_other_levels(people: pd.DataFrame):
    formulas = {
        "(age | state) + (age | education)": ["age", "age"],
        "(age | state) + (0 + age | education)": ["age", "age|education"],
        "(0 + sex | education) + (age:sex | state)": ["sex", "sex|state", "age:sex"],
    }
    for formula, wanted in formulas.items():
        design = design_of(f"y ~ {formula}", people)
        found = [
            (effect_dims(block, term)[0], term.levels)
            for block in design.blocks
            for term in block.terms
            if term.levels
        ]
        assert [dim.removesuffix("__expr_dim") for dim, _ in found] == wanted
        assert all(coordinates(design)[dim] == list(levels) for dim, levels in found)


def test_variables_of_effects_are_named_as_bambi_does(people: pd.DataFrame):
    design = design_of("y ~ (sex:x | state) + (0 + age | C(k))", people)
    names = [block.variable(term) for block in design.blocks for term in block.terms]
    assert names == ["1|state", "sex:x|state", "age|C(k)"]


# --- outcome --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "name", "values"),
    [
        ("y ~ x", "y", lambda d: d["y"]),
        ("veteran ~ x", "veteran", lambda d: d["veteran"]),
        ("sex[woman] ~ x", "sex", lambda d: d["sex"] == "woman"),
        ("sex['man'] ~ x", "sex", lambda d: d["sex"] == "man"),
        ("education['2 year'] ~ x", "education", lambda d: d["education"] == "2 year"),
        ("year['2016'] ~ x", "year", lambda d: d["year"] == 2016),
        ("k['2'] ~ x", "k", lambda d: d["k"] == 2),
        ("log(positive) ~ x", "log(positive)", lambda d: np.log(d["positive"])),
        ("I(y / 2) ~ x", "I(y ∕ 2)", lambda d: d["y"] / 2),
        ("I(count > 3) ~ x", "I(count > 3)", lambda d: d["count"] > 3),
        ("binary(sex) ~ x", "binary(sex)", lambda d: d["sex"] == "man"),
        ("binary(sex, 'woman') ~ x", "binary(sex, 'woman')", lambda d: d["sex"] == "woman"),
        ("half(y) ~ x", "half(y)", lambda d: d["y"] / 2),
    ],
)
def test_the_outcome_is_a_number_for_each_respondent(
    formula: str, name: str, values: Callable[[pd.DataFrame], Any], people: pd.DataFrame
):
    outcome = outcome_of(formula, people, half=lambda y: y / 2)
    assert outcome.name == name
    assert outcome.trials is None
    assert outcome.values.dtype == np.float64
    np.testing.assert_array_equal(outcome.values, values(people).astype(float))


@pytest.mark.parametrize(
    "dtype", ["Int64", "boolean", "int8[pyarrow]", "bool[pyarrow]", "category"]
)
def test_an_outcome_of_any_type_of_number_is_read(dtype: str, people: pd.DataFrame):
    outcome = outcome_of("vote ~ x", people.astype({"vote": dtype}))
    np.testing.assert_array_equal(outcome.values, people["vote"].astype(float))


@pytest.mark.parametrize("call", ["p", "prop", "proportion"])
@pytest.mark.parametrize("trials", ["trials", "5", "I(2 * trials)"])
def test_successes_and_trials_are_a_proportion(call: str, trials: str, people: pd.DataFrame):
    name = f"{call}(wins, {trials})"
    outcome = outcome_of(f"{name} ~ x", people)
    wanted = {"trials": people["trials"], "5": 5 + 0 * people["trials"]}
    wanted["I(2 * trials)"] = 2 * people["trials"]
    assert outcome.name == name
    np.testing.assert_array_equal(outcome.values, people["wins"])
    np.testing.assert_array_equal(outcome.trials, wanted[trials])


# --- refusals -------------------------------------------------------------------------------------

MADE_OF = "`formula` must be made of columns, calls, 0 and 1, got the number"
ARITHMETIC = "Use `I(…)` for arithmetic or `offset(…)` for a constant."
COMPUTED = "`formula` must have terms that can be computed from `data`, got"
KINDS = "`formula` must have terms made of numbers and categoricals, got"
ALONE = "Write an offset as a term of its own, and p(…) on the left of '~'."
ONCE = "`formula` must have each group-specific term once, got"
BRACKETS = "Remove it from one of the brackets (write '0 + x | g')."
CONSTANT = "a constant can't be told from the intercept. Leave the term out."
TYPES = "Convert the column, for example with `astype(str)` or `astype('category')`."
WRITTEN = "`formula` must write the outcome as p(successes, trials), got"


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (
            "x + z",
            "`formula` must name the outcome on the left of '~', got 'x + z'. Write for example "
            "'y ~ x + z'.",
        ),
        (
            3,
            "`formula` must be a string, got int. Distributional formulas (bambi.Formula) are not "
            "supported.",
        ),
        (
            "y ~ 0",
            "`formula` must have something to estimate, got 'y ~ 0'. Write for example "
            "'y ~ 1 + (1 | g)'.",
        ),
        (
            "y ~ -1 + offset(x)",
            "`formula` must have something to estimate, got 'y ~ -1 + offset(x)'. Write for "
            "example 'y ~ 1 + (1 | g)'.",
        ),
        ("y ~ 2", f"{MADE_OF} 2. {ARITHMETIC}"),
        ("y ~ 3:x", f"{MADE_OF} 3. {ARITHMETIC}"),
        ("y ~ (x | 2)", f"{MADE_OF} 2. {ARITHMETIC}"),
        (
            "y ~ I(1)",
            f"{COMPUTED} 'I(1)': a value is needed for each of 150 rows, got one int.",
        ),
        ("y ~ bs(x)", f"{COMPUTED} 'bs(x)': Must specify either 'df' or 'knots'."),
        (
            "y ~ (1 | C(age, x))",
            f"{COMPUTED} 'C(age, x)': the contrast must be Treatment or Sum; levels are given as "
            f"levels=[…].",
        ),
        ("y ~ p(wins, trials)", f"{KINDS} 'p(wins, trials)'. {ALONE}"),
        ("y ~ x:offset(z)", f"{KINDS} 'x:offset(z)'. {ALONE}"),
        ("y ~ (offset(z) | state)", f"{KINDS} 'offset(z)'. {ALONE}"),
        (
            "y ~ education['2 year'] + x",
            "`formula` must name a level in brackets only in the outcome, got education[2 year]. "
            "Write \"binary(education, '2 year')\".",
        ),
        (
            "y ~ `I(x)` + I(x)",
            "`formula` must give its terms different names, got ['I(x)'] twice. Compute one of "
            "them as a column of the survey.",
        ),
        ("y ~ (1 | state) + (1 | state)", f"{ONCE} '1|state' twice. {BRACKETS}"),
        ("y ~ (1 | state) + (x | state)", f"{ONCE} '1|state' twice. {BRACKETS}"),
        ("y ~ (age:x | state) + (0 + x:age | state)", f"{ONCE} 'x:age|state' twice. {BRACKETS}"),
        ("y ~ (1 | state:age) + (1 | age:state)", f"{ONCE} '1|state:age' twice. {BRACKETS}"),
        (
            "y ~ T(education, ref='2 years')",
            "`formula` must name a level of the data in T(education, ref='2 years'), got "
            "'2 years'. Available: ['none', '2 year', '4 year']. Did you mean '2 year'?",
        ),
        (
            "y ~ S(age, omit='never')",
            "`formula` must name a level of the data in S(age, omit='never'), got 'never'. "
            "Available: ['young', 'mid', 'old'].",
        ),
        (
            "sex[women] ~ x",
            "`formula` must name a level of 'sex' that the survey has, got 'women'. Available: "
            "['man', 'woman'].",
        ),
        (
            "binary(sex, 'x') ~ x",
            "`formula` must have an outcome that can be computed from `data`, got "
            "\"binary(sex, 'x')\": no value is the one that counts as 1. Available: ['man', "
            "'woman'].",
        ),
        ("p(wins) ~ x", f"{WRITTEN} 'p(wins)'."),
        (
            "y ~ poly(x, 2, raw=TRUE)",
            "`formula` must have Python's words in calls, got TRUE. Write True.",
        ),
        ("prop(wins, trials, 3) ~ x", f"{WRITTEN} 'prop(wins, trials, 3)'."),
    ],
)
def test_formulas_that_can_t_be_used_are_refused(formula: Any, message: str, people: pd.DataFrame):
    survey = people.assign(**{"I(x)": people["z"]})
    with raises(FormulaError, message):
        design_of(formula, survey)


@pytest.mark.parametrize(
    ("formula", "change", "message"),
    [
        (
            "y ~ ages + (1 | state)",
            {},
            "`data` must have every column that the formula uses, lacks ['ages']. Available: "
            "['x', 'z', 'k', 'veteran', 'education', 'age', 'year', 'sex', … 7 more]. Did you mean "
            "'age'?",
        ),
        (
            "Y ~ x",
            {},
            "`data` must have every column that the formula uses, lacks ['Y']. Available: "
            "['x', 'z', 'k', 'veteran', 'education', 'age', 'year', 'sex', … 7 more]. Did you mean "
            "'y'?",
        ),
        (
            "y ~ x + (1 | state)",
            {"y": lambda d: d["y"].where(d.index > 1), "state": None},
            "`data` must have no missing values in the columns that the formula uses, got 2 in "
            "'y', 150 in 'state' (of 150 rows). Fill them in, or leave those rows out yourself: "
            "`data.dropna(subset=['y', 'state'])`.",
        ),
        (
            "y ~ x",
            {"x": pd.Timestamp("2020-11-03")},
            "`data` must have numbers, strings or a categorical in 'x', got type "
            f"'datetime64[us]' (first value Timestamp('2020-11-03 00:00:00')). {TYPES}",
        ),
        (
            "y ~ (1 | x)",
            {"x": lambda d: pd.Series([1, "a"] * 75, dtype=object)},
            "`data` must have numbers, strings or a categorical in 'x', got type 'object' (first "
            f"value 1). {TYPES}",
        ),
        (
            "y ~ x + age",
            {"x": 1.5},
            f"`data` must have different values in 'x', got only 1.5: {CONSTANT}",
        ),
        (
            "y ~ (scale(x) + k | state)",
            {"k": 7},
            f"`data` must have different values in 'k', got only 7: {CONSTANT}",
        ),
        (
            "y ~ sex",
            {"sex": "man"},
            "`data` must have at least two levels of 'sex', got ['man']. Leave the term out, or "
            "use the whole survey.",
        ),
        (
            "y ~ x",
            {"x": lambda d: d["x"].where(d["x"] < 1, np.inf)},
            "`data` must have finite numbers in 'x', got {inf} that are infinite or not a number. "
            "Check the column or its transform.",
        ),
        (
            "sex ~ x",
            {},
            "`data` must have numbers in the outcome 'sex', got levels ['man', 'woman']. Say which "
            "level counts as 1: \"sex['woman'] ~ …\".",
        ),
        (
            "education ~ x",
            {},
            "`data` must have numbers in the outcome 'education', got levels ['2 year', '4 year', "
            "'none']. Say which level counts as 1: \"education['none'] ~ …\". For all levels pass "
            "family='categorical', or 'cumulative' if they have an order.",
        ),
        (
            "vote ~ x",
            {"vote": lambda d: d["vote"].astype(str).where(d.index > 2, "Refused")},
            "`data` must have numbers in the outcome 'vote', got the words ['Refused'] among them. "
            "If they mean missing, leave those rows out.",
        ),
        (
            "C(sex) ~ x",
            {},
            "`data` must have numbers in the outcome 'C(sex)', got levels ['man', 'woman']. Say "
            "which level counts as 1: \"column['woman'] ~ …\".",
        ),
        (
            "p(sex, trials) ~ x",
            {},
            "`data` must have numbers in the outcome 'p(sex, trials)', got levels ['man', "
            "'woman']. Say which level counts as 1: \"column['woman'] ~ …\".",
        ),
        (
            "I(1 / count) ~ x",
            {"count": lambda d: d["count"].where(d.index > 2, 0).where(d.index < 3, 1)},
            "`data` must have finite numbers in the outcome 'I(1 / count)', got 3 that are not. "
            "Check the column.",
        ),
    ],
)
def test_surveys_that_can_t_be_used_are_refused(
    formula: str, change: dict[str, Any], message: str, people: pd.DataFrame
):
    survey = people.assign(**change)
    with raises(DataError, message.replace("{inf}", str((people["x"] >= 1).sum()))):
        fit_for_rows(formula, survey)


def fit_for_rows(formula: str, survey: pd.DataFrame) -> None:
    """Learn and make the survey's rows, as a model does."""
    design_of(formula, survey).rows(survey, argument="data")


def test_an_empty_survey_is_refused(people: pd.DataFrame):
    with raises(DataError, "`data` must have at least one row, got none. Pass the survey."):
        design_of("y ~ x", people.iloc[:0])


def test_one_respondent_has_no_slope(people: pd.DataFrame):
    message = f"`data` must have different values in 'x', got only {people['x'].iloc[0]:g}: "
    with raises(DataError, message + CONSTANT):
        design_of("y ~ x", people.iloc[:1])
    design = design_of("y ~ 1 + (1 | state)", people.iloc[:1])
    assert design.factors["state"].groups == (people["state"].iloc[0],)


@pytest.mark.parametrize(
    "formula",
    ["y ~ ", "~ x", "y ~ x*2", "y ~ .", "y ~ (0|state)", "y + x ~ z", "1 ~ x", "y[1] ~ x", "y ~ é"],
)
def test_whatever_is_wrong_with_a_formula_is_said_in_our_own_error(
    formula: str, people: pd.DataFrame
):
    with pytest.raises(MRPError, match=r"\A`(formula|data)` must "):
        design_of(formula, people)
