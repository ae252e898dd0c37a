"""The prior of every parameter of a model: which of several choices wins, and which are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bambi
import pandas as pd
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

import mrp
from mrp.errors import PriorError
from mrp.model import Model
from mrp.model.distributions import Prior, parse
from mrp.model.prior_defaults import Priors
from tests.cases import SURVEY
from tests.messages import raises

REAL = "['normal', 'student_t', 'cauchy', 'laplace', 'flat']"


# --- which wins -----------------------------------------------------------------------------------

FORMULA = "y ~ age + x + (sex + x | state) + (1 | education)"


def ours(priors: Priors) -> dict[str, Prior]:
    return {**priors.population, **priors.sd, **priors.auxiliary}


def chosen(given: Any, people: pd.DataFrame) -> dict[str, str]:
    """Priors as text, those that differ from the defaults."""
    with_, without = (Model(FORMULA, people, priors=g).priors for g in (given, None))
    return {name: str(prior) for name, prior in ours(with_).items() if prior != ours(without)[name]}


@pytest.mark.parametrize(
    ("given", "differ"),
    [
        ({"b": "normal(0, 1)"}, {"age": "normal(0, 1)", "x": "normal(0, 1)"}),
        (
            {"b": "normal(0, 1)", "age": "laplace(0, 2)"},
            {"age": "laplace(0, 2)", "x": "normal(0, 1)"},
        ),
        ({"age": "cauchy(0, 2)"}, {"age": "cauchy(0, 2)"}),
        ({"Intercept": "normal(1, 2)"}, {"Intercept": "normal(1, 2)"}),
        ({"sigma": "normal(0, 3)"}, {"sigma": "half_normal(3)"}),
        (
            {"sd": "exponential(2)"},
            dict.fromkeys(["1|state", "sex|state", "x|state", "1|education"], "exponential(2)"),
        ),
        (
            {"sd": "exponential(2)", "x|state": "student_t(3, 0, 1)"},
            dict.fromkeys(["1|state", "sex|state", "1|education"], "exponential(2)")
            | {"x|state": "half_student_t(3, 1)"},
        ),
        ({"1|education": "normal(0, 0.5)"}, {"1|education": "half_normal(0.5)"}),
        ({"cor": "lkj(3)"}, {}),
        ({}, {}),
        ({"defaults": "bambi"}, {}),
        ("bambi", {}),
    ],
)
def test_the_more_particular_key_wins(given: Any, differ: Mapping[str, str], people: pd.DataFrame):
    assert chosen(given, people) == differ


def test_the_correlations_of_every_block_have_the_prior_given(people: pd.DataFrame):
    formula = "y ~ (sex | state) + (x | education)"
    assert Model(formula, people, priors={"cor": "lkj(3)"}).priors.cor == (3.0, 3.0)
    assert Model(formula, people).priors.cor == (1.0, 1.0)


def test_the_rest_are_the_defaults_that_are_named(people: pd.DataFrame):
    given = {"defaults": "brms", "age": "normal(0, 1)"}
    mixed, plain = (Model(FORMULA, people, priors=p).priors for p in (given, "brms"))
    assert mixed.population == {**plain.population, "age": parse("normal(0, 1)")}
    assert (mixed.sd, mixed.cor, mixed.auxiliary) == (plain.sd, plain.cor, plain.auxiliary)


def test_a_name_with_a_slash_is_written_as_in_the_formula(people: pd.DataFrame):
    model = Model("y ~ I(x / 2) + z", people, priors={"I(x / 2)": "normal(0, 1)"})
    assert model.priors.population["I(x ∕ 2)"] == parse("normal(0, 1)")


@pytest.mark.parametrize("name", ["race[Black/African American]", "I(x / 2)"])
def test_a_level_with_a_slash_is_written_as_it_is(name: str, people: pd.DataFrame):
    race = pd.Categorical(people["sex"]).rename_categories(["White", "Black/African American"])
    formula = "y ~ race + I(x / 2) + (race + I(x / 2) | state)"
    given = mrp.priors(b={name: "normal(1, 0.5)"}, sd={"state": {name: "exponential(2)"}})
    model = Model(formula, people.assign(race=race), priors=given)
    shown = name.replace("I(x / 2)", "I(x ∕ 2)")
    assert text_of(model)[shown] == "normal(1, 0.5)"
    assert text_of(model)[f"sd({shown} | state)"] == "exponential(2)"


def test_a_grouping_factor_may_have_the_name_of_a_class(people: pd.DataFrame):
    given = mrp.priors(cor={"cor": "lkj(5)", "state": "lkj(9)"})
    survey = people.assign(cor=people["education"])
    model = Model("y ~ (x | cor) + (x | state)", survey, priors=given)
    assert model.priors.cor == (5.0, 9.0)


def test_bambi_s_priors_are_taken_nested_or_not(people: pd.DataFrame):
    given = {
        "age": bambi.Prior("Normal", mu=[0.0, 1.0], sigma=[1.0, 2.0]),
        "1|state": bambi.Prior("Normal", mu=0, sigma=bambi.Prior("HalfNormal", sigma=0.5)),
        "x|state": bambi.Prior("Exponential", lam=2.0),
        "sigma": bambi.Prior("HalfStudentT", nu=4, sigma=1.5),
    }
    assert chosen(given, people) == {
        "age": "normal([0, 1], [1, 2])",
        "1|state": "half_normal(0.5)",
        "x|state": "exponential(2)",
        "sigma": "half_student_t(4, 1.5)",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "stan",
            "`priors` must be made by `mrp.priors`, a mapping, or the name of a set of defaults, "
            "got 'stan'. Available: ['bambi', 'brms'].",
        ),
        (
            {"defaults": "brm"},
            "`defaults` must name a set of default priors, got 'brm'. Available: ['bambi', "
            "'brms']. Did you mean 'brms'?",
        ),
        (
            {"ages": "normal(0, 1)"},
            "`priors` must name parameters of the model, got 'ages'. Available: ['Intercept', "
            "'age', 'x', '1|state', 'sex|state', 'x|state', '1|education', 'b', … 5 more]. Did you "
            "mean 'age'?",
        ),
        (
            {"alpha": "normal(0, 1)"},
            "`priors` must name parameters of the model, got 'alpha'. Available: ['Intercept', "
            "'age', 'x', '1|state', 'sex|state', 'x|state', '1|education', 'b', … 5 more].",
        ),
        (
            {"x": "half_normal(1)"},
            "`priors` must give 'x' a distribution of real numbers, got half_normal(1). "
            f"Available: {REAL}.",
        ),
        (
            {"b": bambi.Prior("Normal", mu=[0.0, 1.0], sigma=1.0)},
            "`priors` must have one number for 'mu', or one for each coefficient of 'x' (1), got 2 "
            "in normal([0, 1], 1).",
        ),
        (
            {"age": bambi.Prior("Normal", mu=0, sigma=[1.0, 2.0, 3.0])},
            "`priors` must have one number for 'sigma', or one for each coefficient of 'age' (2), "
            "got 3 in normal(0, [1, 2, 3]).",
        ),
        (
            {
                "1|state": bambi.Prior(
                    "StudentT", nu=3, mu=0, sigma=bambi.Prior("HalfNormal", sigma=1)
                )
            },
            "`priors` must have normal effects around 0 in '1|state', got StudentT(nu: 3.0, mu: "
            "0.0, sigma: HalfNormal(sigma: 1.0)). Give the prior of their sd alone, such as "
            "'half_normal(1)'.",
        ),
        (
            {"sd": bambi.Prior("Normal", mu=1, sigma=bambi.Prior("HalfNormal", sigma=1))},
            "`priors` must have normal effects around 0 in 'sd', got Normal(mu: 1.0, sigma: "
            "HalfNormal(sigma: 1.0)). Give the prior of their sd alone, such as 'half_normal(1)'.",
        ),
    ],
)
def test_priors_that_do_not_fit_the_model_are_refused(
    given: Any, message: str, people: pd.DataFrame
):
    with raises(PriorError, message):
        Model(FORMULA, people, priors=given)


# --- terms, coefficients and groups ---------------------------------------------------------------

SEVERAL = "y ~ age + x + (sex + x | state) + (0 + k + z | state) + (x | education)"


def text_of(model: Model) -> dict[str, str]:
    """Prior of every parameter as text, by the name that a summary gives it."""
    table = model.prior_summary()
    return dict(zip(table["parameter"], table["prior"], strict=True))


def sources_of(model: Model) -> dict[str, str]:
    table = model.prior_summary()
    return dict(zip(table["parameter"], table["source"], strict=True))


def test_a_coefficient_comes_before_its_term_and_that_before_the_class(people: pd.DataFrame):
    given = mrp.priors(
        b="normal(0, 1)", age="normal(0, 2)", **{"age[old]": "normal(3, 0.5)"}, defaults="brms"
    )
    model = Model(FORMULA, people, priors=given)
    assert str(model.priors.population["age"]) == "normal([0, 3], [2, 0.5])"
    assert str(model.priors.population["x"]) == "normal(0, 1)"
    found = sources_of(model)
    assert [found[name] for name in ("age[mid]", "age[old]", "x")] == ["age", "age[old]", "b"]


def test_coefficients_that_are_not_named_keep_their_own_default(people: pd.DataFrame):
    defaults = Model(FORMULA, people).priors.population["age"].values["sigma"]
    model = Model(FORMULA, people, priors=mrp.priors(b={"age[old]": "normal(1, 0.1)"}))
    prior = model.priors.population["age"]
    assert prior.values["mu"].tolist() == [0, 1]
    assert prior.values["sigma"].tolist() == [defaults[0], 0.1]


def test_the_name_of_a_term_s_only_level_comes_before_the_term(people: pd.DataFrame):
    given = mrp.priors(b={"sex": "normal(0, 1)", "sex[woman]": "normal(0.3, 0.1)"})
    model = Model("y ~ sex", people, priors=given)
    assert model.priors.population["sex"] == parse("normal(0.3, 0.1)")
    assert sources_of(model)["sex[woman]"] == "sex[woman]"


def test_sd_s_have_the_prior_of_their_effect_group_or_class(people: pd.DataFrame):
    given = mrp.priors(
        sd={
            "state": {
                "Intercept": "normal(0, 1)",
                "sex[woman]": "normal(0, 2)",
                "k": "gamma(2, 1)",
            },
            "education": "exponential(3)",
        }
    )
    model = Model(SEVERAL, people, priors=given)
    default = text_of(Model(SEVERAL, people))
    assert {name: text for name, text in text_of(model).items() if text != default[name]} == {
        "sd(Intercept | state)": "half_normal(1)",
        "sd(sex[woman] | state)": "half_normal(2)",
        "sd(k | state)": "gamma(2, 1)",
        "sd(Intercept | education)": "exponential(3)",
        "sd(x | education)": "exponential(3)",
    }
    found = sources_of(model)
    assert found["sd(sex[woman] | state)"] == "sd(sex[woman] | state)"
    assert found["sd(x | education)"] == "sd(education)"
    assert found["sd(x | state)"] == "bambi default"


def test_correlations_have_the_prior_of_their_grouping_factor(people: pd.DataFrame):
    given = mrp.priors(cor={"state": "lkj(2)"})
    model = Model(SEVERAL, people, priors=given)
    assert model.priors.cor == (2.0, 2.0, 1.0)
    assert {k: v for k, v in sources_of(model).items() if k.startswith("cor")} == {
        "cor(Intercept, sex[woman], x | state)": "cor(state)",
        "cor(k, z | state)": "cor(state)",
        "cor(education)": "brms default",
    }


def test_the_mapping_is_what_is_passed_on_to_priors(people: pd.DataFrame):
    given: dict[str, Any] = {
        "defaults": "brms",
        "b": {"age": "normal(0, 1)"},
        "x": "normal(0, 2)",
        "sd": {"state": {"sex": "exponential(1)"}},
        "1|state": "exponential(2)",
        "Intercept": bambi.Prior("Normal", mu=0, sigma=3),
    }
    one, other = (Model(FORMULA, people, priors=p) for p in (given, mrp.priors(**given)))
    assert one.priors == other.priors
    pd.testing.assert_frame_equal(one.prior_summary(), other.prior_summary())


def test_a_class_may_be_empty_so_that_a_choice_serves_several_formulas(people: pd.DataFrame):
    given = mrp.priors(b="normal(0, 1)", sd="exponential(1)", cor="lkj(2)")
    assert Model("y ~ 1", people, priors=given).priors == Model("y ~ 1", people).priors


def test_a_term_with_the_name_of_a_class_is_named_in_the_class(people: pd.DataFrame):
    survey = people.assign(b=people["x"], sd=people["z"])
    given = mrp.priors(b={"b": "normal(0, 3)", "sd": "normal(0, 4)"})
    priors = Model("y ~ b + sd", survey, priors=given).priors.population
    assert (str(priors["b"]), str(priors["sd"])) == ("normal(0, 3)", "normal(0, 4)")


def test_a_name_with_a_slash_is_written_as_in_the_formula_in_a_mapping_too(people: pd.DataFrame):
    given = mrp.priors(b={"I(x / 2)": "normal(0, 1)"}, sd={"state:year": "exponential(2)"})
    model = Model("y ~ I(x / 2) + (1 | state / year)", people, priors=given)
    assert model.priors.population["I(x ∕ 2)"] == parse("normal(0, 1)")
    assert model.priors.sd["1|state:year"] == parse("exponential(2)")
    assert sources_of(model)["I(x ∕ 2)"] == "I(x / 2)"


@pytest.mark.parametrize(
    ("formula", "family", "given", "message"),
    [
        (
            SEVERAL,
            "gaussian",
            {"b": {"ages": "normal(0, 1)"}},
            "`priors` must name terms or coefficients in `b`, got 'ages'. Available: ['age', 'x', "
            "'age[mid]', 'age[old]']. Did you mean 'age'?",
        ),
        (
            SEVERAL,
            "gaussian",
            {"b": {"ageOld": "normal(0, 1)"}},
            "`priors` must name terms or coefficients in `b`, got 'ageOld'. Available: ['age', "
            "'x', 'age[mid]', 'age[old]']. Did you mean 'age[old]'?",
        ),
        (
            "y ~ x",
            "gaussian",
            {"b": {"Intercept": "normal(0, 1)"}},
            "`priors` must name terms or coefficients in `b`, got 'Intercept'. Available: ['x']. "
            "`Intercept` is an argument of its own.",
        ),
        (
            SEVERAL,
            "gaussian",
            {"sd": {"states": "normal(0, 1)"}},
            "`priors` must name grouping factors in `sd`, got 'states'. Available: ['state', "
            "'education']. Did you mean 'state'?",
        ),
        (
            SEVERAL,
            "gaussian",
            {"sd": {"education": {"sex": "normal(0, 1)"}}},
            "`priors` must name effects of 'education' in `sd`, got 'sex'. Available: "
            "['Intercept', 'x'].",
        ),
        (
            "y ~ (1 | state) + (x || year) + (x | education)",
            "gaussian",
            {"cor": {"state": "lkj(2)"}},
            "`priors` must name grouping factors with correlated effects in `cor`, got 'state'. "
            "Available: ['education'].",
        ),
        (
            "count ~ x + z + k + (x + z | state)",
            "cumulative",
            {"Intercept": "normal(0, 1)"},
            "`priors` must name parameters of the model, got 'Intercept'. Available: ['x', 'z', "
            "'k', '1|state', 'x|state', 'z|state', 'b', 'sd', … 12 more]. Thresholds stand for it: "
            "`threshold`.",
        ),
        (
            "y ~ 0 + x",
            "gaussian",
            {"Intercept": "normal(0, 1)"},
            "`priors` must name parameters of the model, got 'Intercept'. Available: ['x', 'b', "
            "'sd', 'cor', 'sigma'].",
        ),
        (
            "vote ~ x",
            "bernoulli",
            {"sigma": "normal(0, 1)"},
            "`priors` must name parameters of the model, got 'sigma'. Available: ['Intercept', "
            "'x', 'b', 'sd', 'cor'].",
        ),
        (
            "y ~ age",
            "gaussian",
            {"defaults": "brms", "b": {"age[old]": "normal(0, 1)"}},
            "`priors` must give all coefficients of 'age' the same distribution (its arguments may "
            "differ), got flat() for 'age[mid]' and normal(0, 1) for 'age[old]'. Give 'age' as a "
            "whole a prior of that distribution, too.",
        ),
        (
            "y ~ (age | state)",
            "gaussian",
            {"sd": {"state": {"age[old]": "gamma(2, 1)"}}},
            "`priors` must give all coefficients of 'age|state' the same distribution (its "
            "arguments may differ), got half_normal({sigma}) for 'age[mid]' and gamma(2, 1) for "
            "'age[old]'. Give 'age|state' as a whole a prior of that distribution, too.",
        ),
        (
            "y ~ age",
            "gaussian",
            {"b": {"age": "normal(0, 1)"}, "age": "normal(0, 2)"},
            "`priors` must give each parameter one prior, got normal(0, 1) under 'age' and "
            "normal(0, 2) under 'age'. Leave one out.",
        ),
        (
            "y ~ (x | state)",
            "gaussian",
            {"sd": {"state": {"Intercept": "normal(0, 1)"}}, "1|state": "normal(0, 2)"},
            "`priors` must give each parameter one prior, got normal(0, 1) under 'sd(Intercept | "
            "state)' and normal(0, 2) under '1|state'. Leave one out.",
        ),
        (
            "y ~ age",
            "gaussian",
            {"b": {"age[old]": bambi.Prior("Normal", mu=[0.0, 1.0], sigma=1.0)}},
            "`priors` must have one number for 'mu', or one for each coefficient of 'age[old]' "
            "(1), got 2 in normal([0, 1], 1).",
        ),
    ],
)
def test_choices_that_do_not_fit_the_model_are_refused(
    formula: str, family: Any, given: dict[str, Any], message: str, people: pd.DataFrame
):
    if "{sigma}" in message:
        default = Model(formula, people).priors.sd["age|state"].of(0).values["sigma"]
        message = message.replace("{sigma}", f"{default:.4g}")
    with raises(PriorError, message):
        Model(formula, people, family=family, priors=mrp.priors(**given))


# --- against a second implementation --------------------------------------------------------------

LEVELS = ["age[middle]", "age[old]"]
MODEL = "score ~ age + x + (age + x | state) + (x | gender)"


@st.composite
def some_choices(draw: Any) -> dict[str, Any]:
    """Any choices for `MODEL`, each normal with an sd of its own."""
    number = iter(range(1, 100))

    def maybe(*names: str) -> dict[str, str]:
        return {name: f"normal(0, {next(number)})" for name in names if draw(st.booleans())}

    chosen: dict[str, Any] = {"b": maybe("age", "x", *LEVELS)}
    if draw(st.booleans()):
        chosen = {**maybe("b"), **chosen.pop("b")}
    effects: dict[str, Any] = {
        "state": maybe("Intercept", "age", "x", *LEVELS),
        "gender": maybe("Intercept", "x"),
    }
    groups = {g: e if draw(st.booleans()) else f"normal(0, {next(number)})"
              for g, e in effects.items()}  # fmt: skip
    chosen["sd"] = groups if draw(st.booleans()) else f"normal(0, {next(number)})"
    return chosen


def expected(chosen: dict[str, Any], term: str, coefficient: str, group: str | None) -> str | None:
    """What is chosen for a coefficient or an effect's sd, looked up step by step; None: default."""
    if group is None:
        named = chosen["b"] if isinstance(chosen.get("b"), dict) else chosen
        for name in (coefficient, term):
            if name in named:
                return named[name]
        return chosen["b"] if isinstance(chosen.get("b"), str) else None
    if isinstance(chosen["sd"], str):
        return chosen["sd"]
    own = chosen["sd"].get(group)
    if isinstance(own, str):
        return own
    for name in (coefficient, term):
        if name in own:
            return own[name]
    return None


@drawn(some_choices())
def test_the_most_particular_choice_is_taken_for_every_coefficient(chosen: dict[str, Any]):
    default, found = (text_of(Model(MODEL, SURVEY, priors=p)) for p in (None, chosen))
    slopes = [("age", level) for level in LEVELS] + [("x", "x")]
    intercept = [("Intercept", "Intercept")]
    for term, name in slopes:
        assert found[name] == (expected(chosen, term, name, None) or default[name])
    for group, effects in {"state": intercept + slopes, "gender": [*intercept, ("x", "x")]}.items():
        for term, name in effects:
            parameter = f"sd({name} | {group})"
            wanted = expected(chosen, term, name, group)
            halved = wanted and wanted.replace("normal(0, ", "half_normal(")
            assert found[parameter] == (halved or default[parameter])
