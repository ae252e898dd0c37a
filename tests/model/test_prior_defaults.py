"""Default priors: as Bambi and brms choose them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mrp.errors import DataError
from mrp.model import Model
from mrp.model.distributions import Prior, parse
from mrp.model.prior_defaults import Priors
from tests.messages import raises

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
    "k + k:x",
    "scale(x)",
    "poly(x, 2):sex",
    "(1 | state)",
    "0 + x + (1 | state)",
    "x + (x | state)",
    "x + (0 + x | state)",
    "sex + (sex | state)",
    "age + (age | state)",
    "(0 + education | state)",
    "education * x + (education * x | state)",
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
    if family == "gaussian" and "offset(z)" in formula:  # Bambi forgets it
        rest = people.assign(y=people["y"] - people["z"])
        theirs = bambi_priors(Model(f"y ~ {formula}".replace("+ offset(z)", ""), rest))
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


@pytest.mark.parametrize("collapse", [True, False])
@pytest.mark.parametrize("formula", ["x * sex + (x | state)", "1", "0 + age + (1 | education)"])
def test_a_gaussian_outcome_less_its_offset_has_the_defaults_of_what_is_left(
    formula: str, collapse: bool, people: pd.DataFrame
):
    """`y ~ … + offset(o)` is the model of y - o, whatever o is."""
    for offset in (1000.0, -3.0 * people["x"], 40.0 * people["z"] + people["k"]):
        survey = people.assign(o=offset, rest=people["y"] - offset)
        with_offset = Model(f"y ~ {formula} + offset(o)", survey, collapse=collapse).priors
        of_rest = Model(f"rest ~ {formula}", survey, collapse=collapse).priors
        assert set(ours(with_offset)) == set(ours(of_rest))
        for name, prior in ours(with_offset).items():
            for key, value in ours(of_rest)[name].values.items():
                np.testing.assert_allclose(prior.values[key], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("priors", ["bambi", "brms"])
def test_the_prior_of_the_intercept_is_near_where_an_offset_leaves_it(
    priors: Any, people: pd.DataFrame
):
    rest = 1.0 + 2.0 * people["x"] + 0.1 * people["y"]
    survey = people.assign(o=1000.0, y=1000.0 + rest)
    prior = Model("y ~ x + offset(o)", survey, priors=priors).priors.population["Intercept"]
    assert abs(prior.values["mu"] - rest.mean()) < prior.values["sigma"] / 4


def test_under_a_log_link_the_mean_offset_is_taken_off_bambi_s_mean(people: pd.DataFrame):
    survey = people.assign(y=people["y"] ** 2 + 1)
    plain = Model("y ~ x", survey, family="gaussian", link="log").priors
    logged = Model("y ~ x + offset(z)", survey, family="gaussian", link="log").priors
    shift = plain.population["Intercept"].values["mu"] - logged.population["Intercept"].values["mu"]
    assert shift == pytest.approx(people["z"].mean())
    assert logged.population["x"] == plain.population["x"]
    assert logged.auxiliary == plain.auxiliary


@pytest.mark.parametrize("offset", [3.0, "y"])
def test_bambi_s_defaults_need_an_outcome_that_varies_beside_its_offset(
    offset: Any, people: pd.DataFrame
):
    level, own = (people["y"], people["y"]) if offset == "y" else (7.0, offset)
    survey = people.assign(o=own, level=level)
    message = (
        "`data` must have different values in the outcome 'level' less its offset, got the same "
        "for everyone: its sd scales Bambi's default priors. Use priors='brms'."
    )
    with raises(DataError, message):
        Model("level ~ x + offset(o)", survey)


def test_an_outcome_may_be_constant_where_its_offset_is_not(people: pd.DataFrame):
    priors = Model("y ~ x + offset(z)", people.assign(y=2.5)).priors
    assert priors.population["Intercept"].values["mu"] == pytest.approx(2.5 - people["z"].mean())
    assert priors.auxiliary["sigma"].values["sigma"] == pytest.approx(people["z"].std(ddof=0))


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
        "default priors. Merge levels, or give `b`, `Intercept` and `sd` priors of your own."
    )
    formula = f"count ~ {formula}"
    with raises(DataError, message):
        Model(formula, empty, family="poisson")
    advised = {"b": "normal(0, 1)", "Intercept": "normal(0, 5)", "sd": "exponential(1)"}
    assert Model(formula, empty, family="poisson", priors=advised).priors.population


@pytest.mark.parametrize("given", ["b", "Intercept"])
def test_bambi_s_intercept_is_scaled_by_the_slopes(given: str, people: pd.DataFrame):
    """Where a slope's default is not settled, that of the intercept isn't either."""
    empty = people[(people["age"] != "old") | (people["sex"] != "woman")]
    with pytest.raises(DataError, match="every column of 'age:sex'"):
        Model("count ~ age:sex", empty, family="poisson", priors={given: "normal(0, 1)"})


def test_a_constant_outcome_needs_no_defaults_where_all_priors_are_given(people: pd.DataFrame):
    given = {"b": "normal(0, 1)", "Intercept": "normal(0, 5)", "sigma": "exponential(1)"}
    priors = Model("y ~ x", people.assign(y=2.5), priors=given).priors
    assert priors.population == {"Intercept": parse("normal(0, 5)"), "x": parse("normal(0, 1)")}


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
