"""Priors: as they are written, as Bambi and brms choose them, and which of several wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bambi
import numpy as np
import pandas as pd
import pytest

from mrp.errors import DataError, FormulaError, PriorError
from mrp.model import Model
from mrp.model.priors import DISTRIBUTIONS, Prior, Priors, make, parse, read
from tests.messages import raises

ALL = (
    "['normal', 'student_t', 'cauchy', 'laplace', 'flat', 'half_normal', 'half_student_t', "
    "'half_cauchy', 'half_flat', 'exponential', 'gamma', 'inv_gamma', 'lkj']"
)
FIRST = (
    "['normal', 'student_t', 'cauchy', 'laplace', 'flat', 'half_normal', 'half_student_t', "
    "'half_cauchy', … 5 more]"
)
PYMC_FIRST = (
    "['Normal', 'StudentT', 'Cauchy', 'Laplace', 'Flat', 'HalfNormal', 'HalfStudentT', "
    "'HalfCauchy', … 5 more]"
)
REAL = "['normal', 'student_t', 'cauchy', 'laplace', 'flat']"
POSITIVE = (
    "['half_normal', 'half_student_t', 'half_cauchy', 'half_flat', 'exponential', 'gamma', "
    "'inv_gamma']"
)

# --- written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("normal(0, 2.5)", "normal", {"mu": 0.0, "sigma": 2.5}),
        (" student_t( 3,-1,2.5 ) ", "student_t", {"nu": 3.0, "mu": -1.0, "sigma": 2.5}),
        ("cauchy(-1, 2)", "cauchy", {"alpha": -1.0, "beta": 2.0}),
        ("laplace(1e-1, .5)", "laplace", {"mu": 0.1, "b": 0.5}),
        ("double_exponential(0, 1)", "laplace", {"mu": 0.0, "b": 1.0}),
        ("flat()", "flat", {}),
        ("flat", "flat", {}),
        ("", "flat", {}),
        ("half_normal(1)", "half_normal", {"sigma": 1.0}),
        ("half_student_t(3, 2.5)", "half_student_t", {"nu": 3.0, "sigma": 2.5}),
        ("half_cauchy(1)", "half_cauchy", {"beta": 1.0}),
        ("half_flat()", "half_flat", {}),
        ("exponential(2)", "exponential", {"lam": 2.0}),
        ("gamma(2, 0.1)", "gamma", {"alpha": 2.0, "beta": 0.1}),
        ("inv_gamma(0.4, 0.3)", "inv_gamma", {"alpha": 0.4, "beta": 0.3}),
        ("lkj(2)", "lkj", {"eta": 2.0}),
    ],
)
def test_a_prior_reads_as_it_is_written(text: str, name: str, arguments: dict[str, float]):
    prior = parse(text)
    assert prior.name == name
    assert dict(prior.arguments) == arguments
    assert tuple(arguments) == DISTRIBUTIONS[name].arguments
    assert parse(str(prior)) == prior


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "normal(0, 1",
            f"`priors` must be written like 'normal(0, 1)', got 'normal(0, 1'. Available: {ALL}.",
        ),
        (
            "2 * normal(0, 1)",
            "`priors` must be written like 'normal(0, 1)', got '2 * normal(0, 1)'. Available: "
            f"{ALL}.",
        ),
        (
            "norml(0, 1)",
            f"`priors` must name a distribution, got 'norml'. Available: {FIRST}. Did you mean "
            "'normal'?",
        ),
        (
            "Normal(0, 1)",
            f"`priors` must name a distribution, got 'Normal'. Available: {FIRST}. Did you mean "
            "'normal'?",
        ),
        (
            "normal(0)",
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0)'.",
        ),
        (
            "normal(0, 1, 2)",
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0, 1, 2)'.",
        ),
        (
            "normal(0, , 1)",
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0, , 1)'.",
        ),
        (
            "normal(0, one)",
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0, one)'.",
        ),
        ("lkj", "`priors` must be written lkj(eta), a number for each, got 'lkj'."),
        ("flat(1)", "`priors` must be written flat(), got 'flat(1)'."),
        ("(0, 1)", "`priors` must be written flat(), got '(0, 1)'."),
        (
            "normal(0, -1)",
            "`priors` must have positive numbers for 'sigma' in normal(0, -1), got -1. Check the "
            "order of its arguments: normal(mu, sigma).",
        ),
        (
            "student_t(0, 3, 2.5)",
            "`priors` must have positive numbers for 'nu' in student_t(0, 3, 2.5), got 0. Check "
            "the order of its arguments: student_t(nu, mu, sigma).",
        ),
        (
            "normal(nan, 1)",
            "`priors` must have finite numbers for 'mu' in normal(nan, 1), got nan. Check the "
            "order of its arguments: normal(mu, sigma).",
        ),
        (
            "half_normal(inf)",
            "`priors` must have positive numbers for 'sigma' in half_normal(inf), got inf. Check "
            "the order of its arguments: half_normal(sigma).",
        ),
        (
            "gamma(0, 1)",
            "`priors` must have positive numbers for 'alpha' in gamma(0, 1), got 0. Check the "
            "order of its arguments: gamma(alpha, beta).",
        ),
    ],
)
def test_a_prior_that_does_not_parse_is_refused(text: str, message: str):
    with raises(PriorError, message):
        parse(text)


def test_a_cauchy_may_be_around_zero_or_less():
    assert parse("cauchy(0, 1)").values["alpha"] == 0
    assert parse("cauchy(-3, 1)").values["alpha"] == -3


def test_a_prior_with_a_number_for_each_coefficient_shows_them_all():
    prior = make("normal", mu=0.0, sigma=np.array([0.5, 12.34567]))
    assert str(prior) == "normal(0, [0.5, 12.35])"
    np.testing.assert_array_equal(prior.values["sigma"], [0.5, 12.34567])


# --- fit for a parameter --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "half"),
    [
        ("normal(0, 2)", "half_normal(2)"),
        ("student_t(3, 0, 2.5)", "half_student_t(3, 2.5)"),
        ("cauchy(0, 1)", "half_cauchy(1)"),
        ("flat()", "half_flat()"),
        ("exponential(1)", "exponential(1)"),
        ("gamma(2, 3)", "gamma(2, 3)"),
        ("half_normal(2)", "half_normal(2)"),
    ],
)
def test_a_positive_parameter_gets_the_positive_half(text: str, half: str):
    assert read(text, "positive", "sd") == parse(half)


def test_a_prior_is_read_from_a_string_a_prior_or_bambi_s():
    wanted = parse("student_t(3, 1, 2)")
    given = bambi.Prior("StudentT", nu=3, mu=1, sigma=2)
    assert read("student_t(3, 1, 2)", "real", "x") == wanted
    assert read(wanted, "real", "x") == wanted
    assert read(given, "real", "x") == wanted


@pytest.mark.parametrize(
    ("prior", "support", "message"),
    [
        (
            "half_normal(1)",
            "real",
            "`priors` must give 'p' a distribution of real numbers, got half_normal(1). "
            f"Available: {REAL}.",
        ),
        (
            "laplace(0, 1)",
            "positive",
            "`priors` must give 'p' a distribution of positive numbers, got laplace(0, 1). "
            f"Available: {POSITIVE}.",
        ),
        (
            "normal(0, 1)",
            "correlation",
            "`priors` must give 'p' a distribution of correlations, got normal(0, 1). Available: "
            "['lkj'].",
        ),
        (
            "student_t(3, 1, 2)",
            "positive",
            "`priors` must have location 0 for 'p', which is positive, got student_t(3, 1, 2). "
            "Use a half prior, gamma or exponential.",
        ),
        (
            "cauchy(1, 2)",
            "positive",
            "`priors` must have location 0 for 'p', which is positive, got cauchy(1, 2). Use a "
            "half prior, gamma or exponential.",
        ),
        (
            3.0,
            "real",
            "`priors` must be a string such as 'normal(0, 1)' or a bambi.Prior for 'p', got 3.0.",
        ),
        (
            bambi.Prior("VonMises", mu=0, kappa=1),
            "real",
            f"`priors` must name a distribution, got 'VonMises'. Available: {PYMC_FIRST}.",
        ),
        (
            bambi.Prior("Gamma", mu=1, sigma=2),
            "positive",
            "`priors` must give Gamma its ['alpha', 'beta'], got Gamma(mu: 1.0, sigma: 2.0).",
        ),
    ],
)
def test_a_prior_that_does_not_fit_its_parameter_is_refused(prior: Any, support: Any, message: str):
    with raises(PriorError, message):
        read(prior, support, "p")


# --- Bambi's defaults -----------------------------------------------------------------------------

FAMILIES = {
    "logit": ("vote", "bernoulli"),
    "probit": ("vote", "bernoulli"),
    "cloglog": ("vote", "bernoulli"),
    "binomial": ("p(wins, trials)", "binomial"),
    "gaussian": ("y", "gaussian"),
    "poisson": ("count", "poisson"),
    "negativebinomial": ("count", "negativebinomial"),
}
FORMULAS = [
    "1",
    "x",
    "0 + x",
    "x + education",
    "0 + education",
    "education * x",
    "0 + education:x",
    "age:sex",
    "age * sex",
    "x:z",
    "x:z:sex",
    "x + offset(z)",
    "S(education) * x",
    "veteran + veteran:x",
    "scale(x)",
    "poly(x, 2):sex",
    "(1 | state)",
    "0 + x + (1 | state)",
    "x + (x | state)",
    "x + (0 + x | state)",
    "sex + (sex | state)",
    "age + (age | state)",
    "(0 + education | state)",
    "education * x + (education:x | state)",
    "(1 | state:education)",
    "(x + age | state) + (1 | education)",
    "(poly(x, 2) | state)",
    "0 + (1 | state)",
    "age + (sex * age | state)",
]


def bambi_priors(model: Model) -> dict[str, Any]:
    """Bambi's priors after scaling; of group-specific terms, those of their sd's."""
    theirs = model.bambi
    theirs.build()
    parent = theirs.family.likelihood.parent
    component = theirs.parameters[parent]
    found = {name: term.prior for name, term in component.common_terms.items()}
    if component.intercept_term is not None:
        found["Intercept"] = component.intercept_term.prior
    for name, term in component.group_specific_terms.items():
        assert term.prior.name == "Normal"
        assert term.prior.args["mu"] == 0
        found[name] = term.prior.args["sigma"]
    found |= {name: p.prior for name, p in theirs.parameters.items() if name != parent}
    return found


def ours(priors: Priors) -> dict[str, Prior]:
    return {**priors.population, **priors.sd, **priors.auxiliary}


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("case", FAMILIES)
def test_the_defaults_are_bambi_s(case: str, formula: str, people: pd.DataFrame):
    outcome, family = FAMILIES[case]
    link = {"link": case} if case in ("probit", "cloglog") else {}
    model = Model(f"{outcome} ~ {formula}", people, family=family, **link)
    theirs = bambi_priors(model)
    assert set(ours(model.priors)) == set(theirs)
    for name, prior in ours(model.priors).items():
        assert prior.distribution.pymc == theirs[name].name
        wanted = {key: np.asarray(value) for key, value in theirs[name].args.items()}
        assert set(prior.values) == set(wanted)
        for key, value in prior.values.items():
            np.testing.assert_allclose(
                np.broadcast_to(value, wanted[key].shape), wanted[key], rtol=1e-12
            )
    assert model.priors.cor == (1.0,) * len(model.design.blocks)


def test_numbers_in_several_columns_scale_one_by_one_where_bambi_fails(people: pd.DataFrame):
    model = Model("vote ~ poly(x, 3)", people, family="bernoulli")
    with pytest.raises(ValueError, match="setting an array element with a sequence"):
        bambi_priors(model)
    columns = model.design.rows(people).population()[:, 1:]
    prior = model.priors.population["poly(x, 3)"]
    np.testing.assert_allclose(prior.values["sigma"], 1 / columns.std(axis=0), rtol=1e-12)


def test_defaults_are_the_same_collapsed_or_not(people: pd.DataFrame):
    formula = "count ~ x * age + (x | state) + (1 | education)"
    both = [Model(formula, people, family="poisson", collapse=c).priors for c in (True, False)]
    for name, prior in ours(both[0]).items():
        for key, value in prior.values.items():
            np.testing.assert_allclose(value, ours(both[1])[name].values[key], rtol=1e-12)


def test_bambi_s_defaults_need_an_outcome_that_varies(people: pd.DataFrame):
    message = (
        "`data` must have different values in the outcome 'y', got only 2.5: its sd scales Bambi's "
        "default priors. Use priors='brms'."
    )
    with raises(DataError, message):
        Model("y ~ x", people.assign(y=2.5))
    assert Model("y ~ x", people.assign(y=2.5), priors="brms").priors.auxiliary


@pytest.mark.parametrize("formula", ["age:sex", "(age:sex | state)"])
def test_bambi_s_defaults_need_columns_that_vary(formula: str, people: pd.DataFrame):
    empty = people[(people["age"] != "old") | (people["sex"] != "woman")]
    name = "age:sex|state" if "|" in formula else "age:sex"
    message = (
        f"`data` must have different values in every column of '{name}', got the same for everyone "
        "in ['age:sex[old, woman]'] (no respondent has that combination?): its sd scales Bambi's "
        f"default prior. Merge levels, or name a prior yourself: priors={{'defaults': 'brms', "
        f"'{name}': 'normal(0, 1)'}}."
    )
    formula = f"count ~ {formula}"
    with raises(DataError, message):
        Model(formula, empty, family="poisson")
    advised = {"defaults": "brms", name: "normal(0, 1)"}
    assert Model(formula, empty, family="poisson", priors=advised).priors.population


# --- brms' defaults -------------------------------------------------------------------------------


def brms(formula: str, survey: pd.DataFrame, family: Any, **options: Any) -> Priors:
    return Model(formula, survey, family=family, priors="brms", **options).priors


EPILEPSY = pd.DataFrame(
    {
        # the median of the counts is 4, and log 4 rounds to 1.4
        "count": [0, 1, 2, 3, 4, 4, 4, 5, 9, 12, 40],
        "hours": [1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 1.0, 2.0],
        "score": [12.0, 15.5, 3.2, 40.0, 22.7, 9.9, 18.1, 30.0, 5.0, 14.2, 27.3],
        "patient": list("aabbccddeef"),
    }
)


@pytest.mark.parametrize("family", ["poisson", "negativebinomial"])
def test_brms_centres_the_intercept_of_counts_at_the_log_of_their_median(family: str):
    priors = brms("count ~ hours + (hours | patient)", EPILEPSY, family)
    assert priors.population == {
        "Intercept": parse("student_t(3, 1.4, 2.5)"),
        "hours": parse("flat()"),
    }
    half = parse("half_student_t(3, 2.5)")
    assert priors.sd == {"1|patient": half, "hours|patient": half}
    assert priors.cor == (1.0,)
    shape = {"alpha": parse("inv_gamma(0.4, 0.3)")} if family == "negativebinomial" else {}
    assert priors.auxiliary == shape


def test_brms_scales_by_the_median_absolute_deviation():
    # median 15.5; absolute deviations 0 1.3 2.6 3.5 5.6 7.2 10.5 11.8 12.3 14.5 24.5; 1.4826 * 7.2
    priors = brms("score ~ hours + (1 | patient)", EPILEPSY, "gaussian")
    assert priors.population["Intercept"] == parse("student_t(3, 15.5, 10.7)")
    assert priors.auxiliary == {"sigma": parse("half_student_t(3, 10.7)")}
    assert priors.sd == {"1|patient": parse("half_student_t(3, 10.7)")}


def test_brms_scales_no_less_than_two_and_a_half():
    priors = brms("score ~ 1", EPILEPSY.assign(score=EPILEPSY["score"] / 100), "gaussian")
    assert priors.population["Intercept"] == parse("student_t(3, 0.2, 2.5)")


def test_brms_takes_a_tenth_for_a_count_of_zero_under_the_log_link():
    # logs of 0.1 0.1 0.1 1: median -2.3, no deviation for half of them
    survey = pd.DataFrame({"count": [0, 0, 0, 1]})
    priors = brms("count ~ 1", survey, "poisson")
    assert priors.population["Intercept"] == parse("student_t(3, -2.3, 2.5)")
    priors = brms("count ~ 1", survey, "poisson", link="identity")
    assert priors.population["Intercept"] == parse("student_t(3, 0, 2.5)")


def test_brms_takes_the_mean_offset_off_the_intercept():
    priors = brms("count ~ 1 + offset(hours)", EPILEPSY, "poisson")
    location = priors.population["Intercept"].values["mu"]
    assert location == pytest.approx(1.4 - EPILEPSY["hours"].mean(), abs=1e-12)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_brms_centres_the_intercept_of_a_binary_outcome_at_zero(link: Any, people: pd.DataFrame):
    priors = brms("vote ~ x + (1 | state)", people, "bernoulli", link=link)
    assert priors.population["Intercept"] == parse("student_t(3, 0, 2.5)")
    assert priors.sd == {"1|state": parse("half_student_t(3, 2.5)")}


def test_brms_falls_back_where_the_link_has_no_value_for_the_outcome():
    priors = brms("score ~ 1", EPILEPSY.assign(score=-1.0), "gaussian", link="log")
    assert priors.population["Intercept"] == parse("student_t(3, 0, 2.5)")


# --- the user's -----------------------------------------------------------------------------------

FORMULA = "y ~ age + x + (sex + x | state) + (1 | education)"


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
            "`priors` must be a mapping or the name of a set of defaults, got 'stan'. Available: "
            "['bambi', 'brms'].",
        ),
        (
            {"defaults": "brm"},
            "`priors` must be a mapping or the name of a set of defaults, got 'brm'. Available: "
            "['bambi', 'brms']. Did you mean 'brms'?",
        ),
        (
            {"ages": "normal(0, 1)"},
            "`priors` must name parameters of the model, got 'ages'. Available: ['Intercept', "
            "'age', 'x', '1|state', 'sex|state', 'x|state', '1|education', 'b', … 3 more]. Did you "
            "mean 'age'?",
        ),
        (
            {"alpha": "normal(0, 1)"},
            "`priors` must name parameters of the model, got 'alpha'. Available: ['Intercept', "
            "'age', 'x', '1|state', 'sex|state', 'x|state', '1|education', 'b', … 3 more].",
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


def test_a_term_must_not_have_the_name_of_the_family_s_parameter(people: pd.DataFrame):
    message = (
        "`formula` must not have a term named 'sigma': so is a parameter of the family 'gaussian'. "
        "Rename the column."
    )
    survey = people.assign(sigma=people["x"])
    with raises(FormulaError, message):
        Model("y ~ sigma", survey)
    assert Model("vote ~ sigma", survey, family="bernoulli").priors.population
