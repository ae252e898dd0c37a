"""`fixef`, `ranef` and `varcorr`: the draws of a fit's parameters under the names of the terms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.errors import FitError, RequestError
from mrp.testing import fake_draws, fake_fit
from tests import loops
from tests.cases import CASES, EDUCATION, SURVEY, permuted
from tests.messages import raises
from tests.test_reference_r import as_dataset, table

REFERENCE = Path(__file__).parent / "reference"
GROUPED = {name: case for name, case in CASES.items() if "|" in case.formula}
CORRELATED = CASES["correlated slopes, logit"]
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def fit_of(name, draws=None):
    """A fit of a case; its dims and labels in any order."""
    case = CASES[name]
    return mrp.Fit.from_draws(case.model, permuted(case.draws) if draws is None else draws)


def label(expression, labels):
    """Name of a coefficient: ``gender[Woman]``."""
    name = "Intercept" if expression == "1" else expression
    return name + "".join(f"[{value}]" for _, value in labels)


def drawn(case, wanted):
    """Draws of the variables that are wanted, by name and labels, looked up one by one."""
    for (name, labels), values in loops.by_label(case.draws).items():
        if wanted(name):
            yield name, labels, values


def by_labels(estimates):
    """Draws of each estimate by its labels."""
    keys = estimates.labels.itertuples(index=False, name=None)
    wide = estimates.get_draws("wide").to_numpy().T.tolist()
    found = dict(zip(keys, wide, strict=True))
    assert len(found) == len(estimates)
    return found


def assert_same_draws(estimates, expected):
    found = by_labels(estimates)
    assert set(found) == set(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-14, atol=1e-14)


# --- population-level coefficients ----------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_fixef_has_every_coefficient_under_its_name(name):
    wanted = {term.name for term in CASES[name].model.design.terms}
    expected = {
        (label(variable, labels),): values
        for variable, labels, values in drawn(CASES[name], wanted.__contains__)
    }
    assert_same_draws(fit_of(name).fixef(), expected)


def test_fixef_is_in_the_order_of_the_formula_and_of_the_levels():
    assert fit_of("correlated slopes, logit").fixef().labels["term"].tolist() == [
        "Intercept",
        "age[middle]",
        "age[old]",
        "education[secondary]",
        "education[tertiary]",
        "military",
        "gender[Woman]",
    ]


def test_tables_say_what_they_are():
    fit = fit_of("correlated slopes, logit")
    quantities = {
        "population-level coefficient": fit.fixef(),
        "group-specific effect": fit.ranef(),
        "coefficient of a group": fit.ranef(kind="coefficients"),
        "spread of effects": fit.varcorr(),
    }
    for quantity, estimates in quantities.items():
        caption = f"{quantity}; mean and 95% equal-tailed interval of 8 posterior draws"
        assert repr(estimates).endswith(caption)
        assert estimates.chains == 2


def test_tables_of_the_prior_say_so():
    model = mrp.Model("score ~ x + (1 | state)", SURVEY, family="gaussian")
    prior = model.sample_prior(draws=20, seed=1)
    for estimates in (prior.fixef(), prior.ranef(), prior.varcorr()):
        assert estimates.about["group"] == "prior"


def test_tables_leave_the_draws_of_the_fit_as_they_are():
    fit = fit_of("correlated slopes, logit")
    before = fit.parameters.copy(deep=True)
    for estimates in (fit.fixef(), fit.ranef(kind="coefficients"), fit.varcorr()):
        assert not estimates.source.array.flags.writeable
    xr.testing.assert_identical(fit.parameters, before)
    assert all(array.values.flags.writeable for array in fit.parameters.data_vars.values())


@pytest.mark.parametrize("include_survey", [True, False])
def test_tables_of_a_saved_fit_are_the_same(tmp_path, include_survey):
    fit = fit_of("correlated slopes, logit")
    path = fit.save(tmp_path / "fit.nc", include_survey=include_survey)
    loaded = mrp.load_fit(path)
    for of in (lambda f: f.fixef(), lambda f: f.ranef(kind="coefficients"), lambda f: f.varcorr()):
        pd.testing.assert_frame_equal(of(loaded).to_frame(), of(fit).to_frame())


# --- groups' effects ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GROUPED)
def test_ranef_has_every_effect_of_every_group(name):
    effects = {
        block.variable(term): block.factor
        for block in CASES[name].model.design.blocks
        for term in block.terms
    }
    expected = {}
    for variable, labels, values in drawn(CASES[name], effects.__contains__):
        factor = effects[variable]
        of = dict(labels)
        group = of.pop(f"{factor}__factor_dim")
        expected[factor, group, label(variable.split("|")[0], of.items())] = values
    assert_same_draws(fit_of(name).ranef(), expected)


def test_ranef_lists_factors_then_groups_in_the_order_of_levels_then_terms():
    survey = SURVEY.assign(state=pd.Categorical(SURVEY["state"], ["VT", "AL", "TX", "CA", "NY"]))
    formula = "y ~ x + (1 | gender) + (1 + age | state) + (0 + x | gender)"
    labels = fake_fit(formula, survey, family="bernoulli", draws=2).ranef().labels
    terms = {"gender": ["Intercept", "x"], "state": ["Intercept", "age[middle]", "age[old]"]}
    groups = {"gender": ["Man", "Woman"], "state": ["VT", "AL", "TX", "CA", "NY"]}
    expected = [(f, group, term) for f in terms for group in groups[f] for term in terms[f]]
    assert list(labels.itertuples(index=False, name=None)) == expected
    assert labels.columns.tolist() == ["factor", "group", "term"]


def test_ranef_of_one_factor_is_its_part_of_the_table():
    fit = fit_of("crossed factors and interaction, probit")
    everything = fit.ranef(kind="coefficients").to_frame()
    for factor in ("state", "gender"):
        part = everything[everything["factor"] == factor].reset_index(drop=True)
        pd.testing.assert_frame_equal(fit.ranef(factor, kind="coefficients").to_frame(), part)


def test_coefficients_are_the_linear_predictors_of_the_groups():
    """At the reference of all else, by plain loops over the terms written out by hand."""
    person = {"age": "young", "education": "primary", "military": 0}
    states = sorted(set(SURVEY["state"]))
    men, women = (
        loops.predictions(
            [{**person, "gender": gender, "state": state} for state in states],
            CORRELATED.terms,
            CORRELATED.draws,
        )
        for gender in ("Man", "Woman")
    )
    expected = {("state", state, "Intercept"): men[k] for k, state in enumerate(states)}
    for k, difference in enumerate(loops.differences(women, men)):
        expected["state", states[k], "gender[Woman]"] = difference
    found = fit_of("correlated slopes, logit").ranef(kind="coefficients")
    assert_same_draws(found, expected)


def added(formula, **options):
    """Which population-level coefficient each of a group's coefficients has in it, by its draws."""
    fit = fake_fit(formula, SURVEY, family="bernoulli", draws=3, **options)
    effects, coefficients = (by_labels(fit.ranef(kind=k)) for k in ("effects", "coefficients"))
    population = {term: np.array(values) for (term,), values in by_labels(fit.fixef()).items()}
    found = {}
    for key, values in coefficients.items():
        difference = np.array(values) - effects[key]
        same = [term for term, draws in population.items() if np.allclose(difference, draws)]
        assert len(same) == (not np.allclose(difference, 0))
        assert found.setdefault(key[2], same) == same
    return {term: same[0] if same else None for term, same in found.items()}


def test_coefficient_without_counterpart_in_the_population_is_the_effect():
    assert added("y ~ 0 + x + (1 + military | state)") == {"Intercept": None, "military": None}


def test_level_without_counterpart_in_the_population_is_the_effect():
    expected = {"age[young]": None, "age[middle]": "age[middle]", "age[old]": "age[old]"}
    assert added("y ~ age + (0 + age | state)") == expected


def test_counterparts_are_found_in_interactions_and_polynomials():
    same = ["x", "age[middle]", "age[old]", "x:age[middle]", "x:age[old]"]
    alone = ["age[young]"]  # no intercept in the bracket, but x is beside x:age
    found = added("y ~ x * age + (0 + x * age | state)", scale=1.0)
    assert found == {name: name for name in same} | dict.fromkeys(alone)
    found = added("y ~ poly(x, 2) * military + (poly(x, 2) | state)")
    assert len(found) == 3
    assert found == {name: name for name in found}


def test_a_name_is_that_of_one_column_of_the_design():
    """So that coefficients of equal names may be added, whatever the contrasts."""
    priors = {"defaults": "brms"}
    formula = "y ~ C(age, Sum) * gender + (0 + C(age, Sum) | state) + (0 + gender | region)"
    model = mrp.Model(formula, SURVEY, family="bernoulli", priors=priors)
    rows = model.design.rows(SURVEY)
    names = [name for term in model.design.terms for name in term.labels]
    population = dict(zip(names, rows.population().T, strict=True))
    shared = 0
    for block in model.design.blocks:
        for name, column in zip(block.labels, rows.effects(block).T, strict=True):
            if name in population:
                np.testing.assert_array_equal(column, population[name])
                shared += 1
    assert shared == 3


def test_unknown_factor_is_named_with_the_closest_one():
    message = (
        "`factor` must name a grouping factor, got 'sate'. Available: ['state', 'gender']. Did "
        "you mean 'state'?"
    )
    with raises(RequestError, message):
        fit_of("crossed factors and interaction, probit").ranef("sate")


def test_unknown_kind_is_refused_in_our_words():
    message = (
        "`kind` must say what to list, got 'coef'. Available: ['effects', 'coefficients']. It is "
        "kind='coefficients'."
    )
    with raises(RequestError, message):
        fit_of("correlated slopes, logit").ranef(kind="coef")


@pytest.mark.parametrize("factor", [None, "state"])
def test_formula_without_groups_has_no_ranef(factor):
    message = (
        "`ranef` needs group-specific terms such as (1 | state), got the formula 'score ~ 1'. "
        "Coefficients are in `fixef`."
    )
    with raises(RequestError, message):
        fit_of("intercept only").ranef(factor)


def test_formula_without_population_level_terms_has_no_fixef():
    fit = fake_fit("y ~ 0 + (1 | state)", SURVEY, family="bernoulli", draws=2)
    message = (
        "`fixef` needs population-level terms, got the formula 'y ~ 0 + (1 | state)'. Groups' "
        "effects are in `ranef`."
    )
    with raises(RequestError, message):
        fit.fixef()
    assert_same_draws(fit.ranef(kind="coefficients"), by_labels(fit.ranef()))


# --- standard deviations and correlations ---------------------------------------------------------


def with_sigma(draws):
    rng = np.random.default_rng(1)
    size = (draws.sizes["chain"], draws.sizes["draw"])
    return draws.assign(sigma=(("chain", "draw"), rng.gamma(2.0, size=size)))


@pytest.mark.parametrize("name", [*GROUPED, "intercept only"])
def test_varcorr_has_every_standard_deviation_and_correlation(name):
    case = CASES[name]
    expected = {}
    for variable, labels, values in drawn(case, lambda v: v.endswith("_sigma")):
        expression, factor = variable.removesuffix("_sigma").split("|")
        expected[factor, f"sd({label(expression, labels)})"] = values
    for variable, labels, values in drawn(case, lambda v: v.endswith("_cor")):
        ((_, pair),) = labels
        expected[variable.removesuffix("_cor"), f"cor({pair})"] = values
    draws = with_sigma(case.draws)
    if case.options["family"] == "gaussian":
        expected["residual", "sigma"] = draws["sigma"].values.ravel()
    assert_same_draws(fit_of(name, permuted(draws)).varcorr(), expected)


def test_varcorr_lists_each_brackets_standard_deviations_before_its_correlations():
    fit = fake_fit(
        "y ~ x + (1 + age | state) + (1 | gender) + (0 + x + military | state)",
        SURVEY,
        family="bernoulli",
        draws=2,
    )
    labels = fit.varcorr().labels
    assert list(labels.itertuples(index=False, name=None)) == [
        ("state", "sd(Intercept)"),
        ("state", "sd(age[middle])"),
        ("state", "sd(age[old])"),
        ("state", "cor(Intercept, age[middle])"),
        ("state", "cor(Intercept, age[old])"),
        ("state", "cor(age[middle], age[old])"),
        ("gender", "sd(Intercept)"),
        ("state", "sd(x)"),
        ("state", "sd(military)"),
        ("state", "cor(x, military)"),
    ]


def test_single_standard_deviation_or_correlation_needs_no_dim():
    draws = CORRELATED.draws
    lone = {"gender|state_sigma": "gender__expr_dim", "state_cor": "state_cor_dim"}
    bare = draws.assign({name: draws[name].squeeze(dim) for name, dim in lone.items()})
    expected = by_labels(fit_of("correlated slopes, logit", draws).varcorr())
    assert_same_draws(fit_of("correlated slopes, logit", bare).varcorr(), expected)


def test_missing_correlations_are_named():
    fit = fit_of("correlated slopes, logit", CORRELATED.draws.drop_vars(["state_cor"]))
    message = (
        "`varcorr` needs draws of every standard deviation and correlation, this fit lacks "
        "['state_cor']. Available: ['Intercept', 'age', 'education', 'military', 'gender', "
        "'1|state', 'gender|state', '1|state_sigma', … 1 more]. Add them to the draws that "
        "Fit.from_draws is given. A model without correlations is written (x || g)."
    )
    with raises(FitError, message):
        fit.varcorr()
    assert len(fit.ranef()) == 10


def test_missing_standard_deviations_are_named():
    message = (
        "`varcorr` needs draws of every standard deviation and correlation, this fit lacks "
        "['sigma']. Available: ['Intercept']. Add them to the draws that Fit.from_draws is given."
    )
    with raises(FitError, message):
        fit_of("intercept only").varcorr()


@pytest.mark.parametrize(
    ("relabel", "dims", "have"),
    [
        (
            lambda d: d.assign_coords(age__expr_dim=["young", "middle"]),
            "['chain', 'draw', 'age__expr_dim']",
            "['young', 'middle']",
        ),
        (
            lambda d: d.isel(age__expr_dim=[0]).drop_vars("age__expr_dim"),
            "['chain', 'draw', 'age__expr_dim']",
            "[]",
        ),
        (
            lambda d: d.drop_vars("age__expr_dim").rename(age__expr_dim="of"),
            "['chain', 'draw', 'of']",
            "[]",
        ),
    ],
)
def test_standard_deviations_of_other_coefficients_are_refused(relabel, dims, have):
    case = CASES["categorical slopes, binomial"]
    sd = relabel(case.draws[["age|state_sigma"]])["age|state_sigma"]
    draws = case.draws.drop_vars("age|state_sigma")
    tree = xr.DataTree.from_dict({"posterior": draws})
    fit = mrp.Fit.from_draws(case.model, tree)
    other = draws.drop_dims("age__expr_dim").assign({"age|state_sigma": sd})
    message = (
        "`varcorr` needs draws of 'age|state_sigma' with the labels ['middle', 'old'] along the "
        f"dim 'age__expr_dim', got the dims {dims} and the labels {have}. Relabel them with "
        "`assign_coords`."
    )
    with raises(FitError, message):
        replace(fit, draws=xr.DataTree.from_dict({"posterior": other})).varcorr()


def test_formula_without_groups_has_no_varcorr():
    message = (
        "`varcorr` needs group-specific terms or a residual standard deviation, got the formula "
        "'count ~ x + x:age' and the family 'poisson'. Coefficients are in `fixef`."
    )
    with raises(RequestError, message):
        fit_of("interaction without main effect, identity").varcorr()


# --- outcomes with several levels -----------------------------------------------------------------


TERMS = "x + gender + (1 + gender | state)"
LEVELS = ["secondary", "tertiary"]
"""Those of education that aren't the reference."""


def of_levels(family, change=lambda draws: draws, outcome="education"):
    """A fit of an outcome with levels, and its draws before they are changed."""
    survey = SURVEY.assign(**{outcome: SURVEY["education"].cat.as_ordered()})
    model = mrp.Model(f"{outcome} ~ {TERMS}", survey, family=family)
    draws = fake_draws(model.design, draws=4, by_level=model.by_level)
    return mrp.Fit.from_draws(model, change(draws)), draws


@pytest.mark.parametrize("change", [permuted, lambda d: d.drop_vars("education_reduced_dim")])
def test_levels_of_the_outcome_become_a_column(change):
    """Each level's estimates are those of a fit with its draws alone, levels in their order."""
    fit, draws = of_levels("categorical", change)
    one = mrp.Model(f"y ~ {TERMS}", SURVEY, family="bernoulli")
    single = {
        level: mrp.Fit.from_draws(one, draws.sel(education_reduced_dim=level)) for level in LEVELS
    }
    for of in (
        lambda f: f.fixef(),
        lambda f: f.ranef(),
        lambda f: f.ranef(kind="coefficients"),
        lambda f: f.varcorr(),
    ):
        expected = {
            (*key, level): values
            for level in LEVELS
            for key, values in by_labels(of(single[level])).items()
        }
        assert_same_draws(of(fit), expected)
        labels = of(fit).labels
        assert labels.columns[-1] == "education"
        assert labels["education"].tolist() == LEVELS * (len(labels) // 2)


@pytest.mark.parametrize("outcome", ["group", "estimate"])
def test_outcome_called_like_another_column_keeps_the_name_of_its_dim(outcome):
    fit, _ = of_levels("categorical", outcome=outcome)
    columns = ["factor", "group", "term", f"{outcome}_reduced_dim"]
    assert fit.ranef().labels.columns.tolist() == columns


@pytest.mark.parametrize("family", ["cumulative", "sratio"])
@pytest.mark.parametrize("change", [permuted, lambda d: d.drop_vars("threshold_dim")])
def test_thresholds_stand_for_the_intercept(family, change):
    fit, draws = of_levels(family, change)
    found = fit.fixef()
    terms = ["threshold[0]", "threshold[1]", "x", "gender[Woman]"]
    assert found.labels["term"].tolist() == terms
    expected = {(f"threshold[{k}]",): draws["threshold"][:, :, k].values.ravel() for k in (0, 1)}
    expected["x",] = draws["x"].values.ravel()
    expected["gender[Woman]",] = draws["gender"].values.ravel()
    assert_same_draws(found, expected)
    effects, coefficients = (by_labels(fit.ranef(kind=k)) for k in ("effects", "coefficients"))
    key = ("state", "AL", "Intercept")
    np.testing.assert_array_equal(coefficients[key], effects[key])


def test_thresholds_alone_are_a_fixef():
    levels = {"education": EDUCATION}
    fit = fake_fit("education ~ 1", SURVEY, family="cumulative", levels=levels, draws=2)
    assert fit.fixef().labels["term"].tolist() == ["threshold[0]", "threshold[1]"]


# --- brms' draws of the CES model -----------------------------------------------------------------


@pytest.fixture(scope="module")
def survey(real_data):
    return real_data("ces_survey")


@pytest.fixture(scope="module")
def ces(survey):
    model = mrp.Model(mrp.testing.FORMULA, survey, family="bernoulli", priors="brms")
    return mrp.Fit.from_draws(model, as_dataset(table("posterior"), survey))


def assert_draws_of_brms(estimates, columns):
    """Means, standard deviations and quantiles of brms' columns, in their order."""
    draws = table("posterior")[columns]
    found = estimates.to_frame()
    np.testing.assert_allclose(found["estimate"], draws.mean(), **CLOSE)
    np.testing.assert_allclose(found["std_error"], draws.std(), **CLOSE)
    np.testing.assert_allclose(found["conf_low"], draws.quantile(0.025), **CLOSE)
    np.testing.assert_allclose(found["conf_high"], draws.quantile(0.975), **CLOSE)


def near_those_of_all_draws(estimates, name):
    """Within the Monte Carlo error of 400 draws of what brms prints of 4,000."""
    expected = pd.read_csv(REFERENCE / f"ces_brms_summary_{name}.csv")
    found = estimates.to_frame()
    error = expected["Est.Error"] / np.sqrt(np.minimum(expected["Bulk_ESS"], 400))
    assert (np.abs(found["estimate"] - expected["Estimate"]) < 4 * error).all()
    np.testing.assert_allclose(found["std_error"], expected["Est.Error"], rtol=0.2)
    return expected["rowname"].tolist()


def test_fixef_is_that_of_brms(ces):
    draws = table("posterior")
    assert_draws_of_brms(ces.fixef(), [name for name in draws if name.startswith("b_")])
    names = near_those_of_all_draws(ces.fixef(), "fixed")
    ours = ces.fixef().labels["term"].str.replace(r"[\[\] ]", "", regex=True)
    assert [
        n.replace("M", "-").replace("P", "+", n.startswith("age")) for n in names
    ] == ours.tolist()


def test_ranef_is_that_of_brms(ces, survey):
    names = {"Intercept": "Intercept", "gender[Woman]": "genderWoman"}
    labels = ces.ranef("state").labels
    assert list(labels.itertuples(index=False, name=None)) == [
        ("state", state, term) for state in sorted(set(survey["state"])) for term in names
    ]
    columns = [
        f"r_state[{group},{names[term]}]"
        for group, term in labels[["group", "term"]].itertuples(index=False)
    ]
    assert_draws_of_brms(ces.ranef("state"), columns)


def test_varcorr_is_that_of_brms(ces):
    labels = ces.varcorr().labels
    assert list(labels.itertuples(index=False, name=None)) == [
        ("state", "sd(Intercept)"),
        ("state", "sd(gender[Woman])"),
        ("state", "cor(Intercept, gender[Woman])"),
    ]
    columns = ["sd_state__Intercept", "sd_state__genderWoman", "cor_state__Intercept__genderWoman"]
    assert_draws_of_brms(ces.varcorr(), columns)
    near_those_of_all_draws(ces.varcorr(), "hyper")
