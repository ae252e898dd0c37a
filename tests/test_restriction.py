"""`re_formula`: predictions with only some of the group-specific terms, equal to plain loops."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.design import brackets
from mrp.errors import DataError, RequestError
from mrp.restriction import restricted
from mrp.testing import fake_fit
from tests import loops
from tests.cases import CASES, FRAME, SURVEY, fit_of
from tests.draws import CLOSE, ROWS, TYPES, WEIGHTS, groups_of, link_of, matrix
from tests.messages import raises

SLOPES = "correlated slopes, logit"
CROSSED = "crossed factors and interaction, probit"
NESTED = "nested factors, no intercept, cloglog"
CATEGORICAL = "categorical slopes, binomial"
TWO = "transforms and two brackets, gaussian"
INDEPENDENT = "offsets and independent slopes, poisson"
FULL = "slopes without intercept, negative binomial"

KEPT = {
    "none": [(name, False, []) for name in CASES],
    "intercepts of correlated slopes": [(SLOPES, "(1 | state)", ["1|state"])],
    "slopes alone": [
        (SLOPES, "(0 + gender | state)", ["gender|state"]),
        (CROSSED, "(0 + x | state)", ["x|state"]),
        (CATEGORICAL, "(0 + age | state)", ["age|state"]),
        (FULL, "(0+age|state)", ["age|state"]),
    ],
    "the whole of a bracket": [
        (SLOPES, "(1 + gender | state)", ["1|state", "gender|state"]),
        (SLOPES, "~ ( gender|state )", ["1|state", "gender|state"]),
        (CATEGORICAL, "(age | state)", ["1|state", "age|state"]),
        (INDEPENDENT, "(x || state)", ["1|state", "x|state"]),
    ],
    "one of two factors": [
        (CROSSED, "(1 | gender)", ["1|gender"]),
        (CROSSED, "(1 + x | state)", ["1|state", "x|state"]),
        (CROSSED, "(1 | state) + (1 | gender)", ["1|state", "1|gender"]),
        (FULL, "(1 | gender : education)", ["1|gender:education"]),
    ],
    "one of two brackets of a factor": [
        (TWO, "(1 | state)", ["1|state"]),
        (TWO, "(0 + military | state)", ["military|state"]),
        (TWO, "(1 + military | state)", ["1|state", "military|state"]),
        (TWO, "(1 | state) + (0 + military | state)", ["1|state", "military|state"]),
    ],
    "nested factors": [
        (NESTED, "(1 | region)", ["1|region"]),
        (NESTED, "(1 | region / state)", ["1|region", "1|region:state"]),
        (NESTED, "(1 | region:state)", ["1|region:state"]),
        (NESTED, "(1 | state:district)", ["1|state:district"]),
    ],
}
REQUESTS = [pytest.param(*request, id=f"{why}: {request[1]}, {request[0]}"[:70])
            for why, requests in KEPT.items() for request in requests]  # fmt: skip


def looped(name, kept, type="response"):
    case = CASES[name]
    return loops.predictions(ROWS, loops.only(case.terms, kept), case.draws, link_of(name, type))


# --- equal to plain loops without the terms left out ----------------------------------------------


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize(("name", "re_formula", "kept"), REQUESTS)
def test_effects_left_out_count_as_zero(name, re_formula, kept, type):
    found = mrp.predictions(fit_of(name), newdata=FRAME, re_formula=re_formula, type=type)
    np.testing.assert_allclose(matrix(found), looped(name, kept, type), **CLOSE)


@pytest.mark.parametrize(("name", "re_formula", "kept"), REQUESTS)
def test_averages_leave_the_same_effects_out(name, re_formula, kept):
    found = mrp.poststratify(fit_of(name), FRAME, by="region", wts="n", re_formula=re_formula)
    expected = loops.averages(looped(name, kept), WEIGHTS, groups_of(["region"]))
    np.testing.assert_allclose(matrix(found), [expected["north",], expected["south",]], **CLOSE)


@pytest.mark.parametrize("name", CASES)
def test_all_group_specific_terms_are_the_default(name):
    expected = matrix(mrp.predictions(fit_of(name), newdata=FRAME))
    found = mrp.predictions(fit_of(name), newdata=FRAME, re_formula=None)
    np.testing.assert_array_equal(matrix(found), expected)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "|" in case.formula])
def test_brackets_that_a_message_lists_ask_for_all_terms(name):
    design = fit_of(name).design
    again = restricted(design, " + ".join(brackets(design)))
    assert (again.terms, again.blocks, again.factors) == (
        design.terms,
        design.blocks,
        design.factors,
    )
    assert set(again.columns) == set(design.columns)


@pytest.mark.parametrize(
    "written",
    ["(0 + I(x**2) | state)", "(0+I( x ** 2 )|state)", "(0 + I(x / 3) + np.log(exposure) | state)"],
)
def test_terms_may_be_written_as_in_the_formula(written):
    formula = "y ~ 1 + (0 + I(x**2) + I(x / 3) + np.log(exposure) || state)"
    fit = fake_fit(formula, SURVEY, family="bernoulli", draws=3)
    kept = 2 if "exposure" in written else 1
    assert sum(len(block.terms) for block in restricted(fit.design, written).blocks) == kept


def test_nested_calls_and_factors_that_are_calls_are_understood():
    formula = "y ~ 1 + (0 + scale(np.log(exposure)) | C(district))"
    fit = fake_fit(formula, SURVEY, family="bernoulli", draws=3)
    written = "(0 + scale(np.log(exposure)) | C(district))"
    assert restricted(fit.design, written).blocks == fit.design.blocks


def test_comparisons_leave_the_same_effects_out():
    case = CASES[SLOPES]
    found = mrp.comparisons(
        fit_of(SLOPES), variables="gender", newdata=FRAME, re_formula="(1 | state)"
    )
    sides = [
        loops.predictions(
            loops.changed(ROWS, "gender", lambda _, to=to: to),
            loops.only(case.terms, ["1|state"]),
            case.draws,
            case.link,
        )
        for to in ("Woman", "Man")
    ]
    np.testing.assert_allclose(matrix(found), loops.differences(*sides), **CLOSE)


# --- what new data needs no more ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "re_formula", "unused"),
    [
        (SLOPES, False, ["state"]),
        (CROSSED, False, ["state"]),
        (CROSSED, "(1 | gender)", ["state"]),
        (NESTED, "(1 | region)", ["state", "district"]),
        (NESTED, "(1 | region / state)", ["district"]),
        (TWO, "(1 | state)", ["military"]),
        (CATEGORICAL, "(1 | state)", ["age"]),
        (INDEPENDENT, False, ["state"]),
    ],
)
def test_columns_of_terms_left_out_are_not_needed(name, re_formula, unused):
    options = {"re_formula": re_formula}
    found = mrp.predictions(fit_of(name), newdata=FRAME.drop(columns=unused), **options)
    expected = mrp.predictions(fit_of(name), newdata=FRAME, **options)
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)
    missing = FRAME.assign(**dict.fromkeys(unused))
    found = mrp.predictions(fit_of(name), newdata=missing, **options)
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)


def test_columns_of_terms_that_stay_are_needed():
    message = (
        "`newdata` must have every column that the formula uses, lacks ['state']. Available: "
        "['age', 'education', 'military', 'gender']. Only groups are made of ['state']. Average "
        "over those of the survey: `newdata.merge(fit.survey[['state']].value_counts("
        "normalize=True).reset_index(), how='cross')`, with weights times its 'proportion'; or "
        "count their effects as zero: `re_formula=False`; or draw a new group: "
        "`newdata.assign(state='new')` and `new_levels={'state': ['new']}`. The first has the "
        "least uncertainty, as it is of these groups alone, the last the most."
    )
    data = FRAME[["age", "education", "military", "gender"]]
    assert len(mrp.predictions(fit_of(SLOPES), newdata=data, re_formula=False)) == len(FRAME)
    with raises(DataError, message):
        mrp.predictions(fit_of(SLOPES), newdata=data, re_formula="(1 | state)")


def test_new_groups_of_a_factor_left_out_are_no_error():
    data = FRAME.assign(state="Quebec")
    for verb in (mrp.predictions, mrp.avg_predictions, mrp.comparisons, mrp.avg_slopes):
        assert len(verb(fit_of(CROSSED), newdata=data, re_formula="(1 | gender)"))
    message = (
        "`newdata` must have only groups of 'state' that the survey has, got ['Quebec'] (56 rows, "
        "100.0% of the weight). Say how to draw new groups: new_levels='gaussian' (from the fitted "
        "group distribution), 'uncertainty' or 'old_levels'."
    )
    with raises(DataError, message):
        mrp.predictions(fit_of(CROSSED), newdata=data, re_formula="(1 | state)")


def test_variable_of_terms_left_out_can_not_be_changed():
    message = (
        "`variables` must name columns of the formula, got 'state'. "
        "Available: ['age', 'education', 'military', 'gender']."
    )
    for verb in (mrp.predictions, mrp.comparisons):
        with raises(RequestError, message):
            verb(fit_of(SLOPES), variables="state", re_formula=False)


def test_new_groups_have_the_covariance_of_the_terms_that_stay():
    fit = fake_fit(
        "y ~ 1 + (1 + x + military | state)", SURVEY, family="bernoulli", chains=1, draws=2
    )
    groups = 4000
    data = pd.DataFrame({"state": [f"new {k}" for k in range(groups)]})
    parameters = fit.parameters
    options = {"re_formula": "(1 + x | state)", "type": "link", "seed": 2}
    options["new_levels"] = {"state": "gaussian"}
    at = [matrix(mrp.predictions(fit, newdata=data.assign(x=x), **options)) for x in (0.0, 1.0)]
    for draw in range(2):
        drawn = np.cov(at[0][:, draw], at[1][:, draw] - at[0][:, draw])
        own = parameters.isel(chain=0, draw=draw)
        sds = [float(own["1|state_sigma"]), float(own["x|state_sigma"])]
        cor = float(own["state_cor"].sel(state_cor_dim="Intercept, x"))
        expected = np.outer(sds, sds) * [[1, cor], [cor, 1]]
        # the standard error of a covariance of normal draws
        error = np.sqrt((np.outer(sds, sds) ** 2 + expected**2) / groups)
        assert (np.abs(drawn - expected) < 5 * error).all()


def test_warnings_of_the_frame_know_the_groups_left_out():
    totals = FRAME.groupby("state")["n"].transform("sum")
    shares = FRAME.assign(n=100 * FRAME["n"] / totals)
    with pytest.warns(mrp.errors.FrameWarning, match="they look like shares within 'state'"):
        mrp.poststratify(fit_of(SLOPES), shares, wts="n", re_formula=False)
    some = FRAME[FRAME["state"] != "VT"]
    with pytest.warns(mrp.errors.FrameWarning, match=r"has no cells for \['VT'\] of 'state'"):
        mrp.poststratify(fit_of(SLOPES), some, by="state", wts="n", re_formula=False)


# --- what is refused ------------------------------------------------------------------------------

AVAILABLE = {
    SLOPES: "['(1 + gender | state)']",
    NESTED: "['(1 | region)', '(1 | region:state)', '(1 | state:district)']",
    TWO: "['(1 | state)', '(0 + military | state)']",
    INDEPENDENT: "['(1 + x || state)']",
    "intercept only": "[]",
}


@pytest.mark.parametrize(
    ("name", "re_formula", "term", "near"),
    [
        (SLOPES, "(1 | stat)", "1 | stat", "state"),
        (SLOPES, "(1 + gendr | state)", "gendr | state", "gender"),
        (SLOPES, "(age | state)", "age | state", None),
        (SLOPES, "(1 | state) + (1 | county)", "1 | county", None),
        (NESTED, "(1 | state / district)", "1 | state", None),
        (TWO, "(0 + x | state)", "x | state", None),
        (INDEPENDENT, "(1 | region)", "1 | region", None),
        ("intercept only", "(1 | state)", "1 | state", None),
    ],
)
def test_terms_that_the_model_lacks_are_refused(name, re_formula, term, near):
    message = (
        f"`re_formula` must have only group-specific terms of the model, got '({term})'. "
        f"Available: {AVAILABLE[name]}."
    )
    with raises(RequestError, message + (f" Did you mean {near!r}?" if near else "")):
        mrp.predictions(fit_of(name), newdata=FRAME, re_formula=re_formula)


@pytest.mark.parametrize(
    "re_formula",
    [
        "",
        "~",
        "state",
        "1 | state",
        "(1 | state",
        "(1 | state) + gender",
        "(1 | state) (gender | state)",
        "(1 | state)(gender | state)",
        "(1 | gender | state)",
        "(state)",
        "( | state)",
        "(1 | )",
        "()",
    ],
)
def test_formula_that_is_no_sum_of_brackets_is_refused(re_formula):
    message = (
        f"`re_formula` must be brackets joined by '+', such as '(1 + x | g)', got {re_formula!r}. "
        f"Available: {AVAILABLE[SLOPES]}."
    )
    with raises(RequestError, message):
        mrp.predictions(fit_of(SLOPES), re_formula=re_formula)


@pytest.mark.parametrize("re_formula", [0, 1.5, ["(1 | state)"]])
def test_something_that_is_no_formula_is_refused(re_formula):
    message = (
        f"`re_formula` must be None (all group-specific terms), False (none) or a formula, got "
        f"{re_formula!r}. Available: {AVAILABLE[SLOPES]}."
    )
    for verb in (mrp.predictions, mrp.avg_predictions, mrp.comparisons, mrp.slopes):
        with raises(RequestError, message):
            verb(fit_of(SLOPES), re_formula=re_formula)


def test_second_bracket_of_a_factor_keeps_its_own_correlations_for_new_groups():
    formula = "y ~ x + (1 + x | state) + (0 + age | state)"
    fit = fake_fit(formula, SURVEY, family="bernoulli")
    only_second = fit.parameters.drop_vars(["state_cor", "1|state_sigma", "x|state_sigma"])
    alone = dataclasses.replace(fit, draws=xr.DataTree.from_dict({"posterior": only_second}))
    new = SURVEY.assign(state="ZZ")
    options = {"newdata": new, "re_formula": "(0 + age | state)", "new_levels": "gaussian"}
    found = mrp.predictions(fit, **options, seed=1)
    np.testing.assert_array_equal(
        found.draws.values, mrp.predictions(alone, **options, seed=1).draws.values
    )


@pytest.mark.parametrize(
    ("re_formula", "said"),
    [
        ("NA", "R's NA is False here."),
        (np.nan, "R's NA is False here."),
        (pd.NA, "R's NA is False here."),
        ("~0", "R's NA is False here."),
        ("NULL", "R's NULL is None here, without quotes."),
        ("None", "R's NULL is None here, without quotes."),
        ("False", "Write False without quotes."),
        (True, "For all of them, leave it out."),
    ],
)
def test_what_others_write_for_all_terms_or_none_is_said_in_our_words(re_formula, said):
    message = (
        f"`re_formula` must be None (all group-specific terms), False (none) or a formula, got "
        f"{re_formula!r}. Available: {AVAILABLE[SLOPES]}. {said}"
    )
    with raises(RequestError, message):
        mrp.predictions(fit_of(SLOPES), re_formula=re_formula)


def test_a_term_is_asked_for_with_all_its_parts():
    fit = mrp.testing.fake_fit("y ~ x + (age:gender | state)", SURVEY, family="bernoulli", draws=3)
    assert [term.name for term in fit.design.blocks[0].terms] == [
        "Intercept",
        "gender",
        "age:gender",
    ]
    assert brackets(fit.design) == ["(1 + age:gender | state)"]
    for asked in ("(age:gender | state)", "(1 + age:gender | state)"):
        assert restricted(fit.design, asked).blocks == fit.design.blocks
    (block,) = restricted(fit.design, "(0 + age:gender | state)").blocks
    assert [term.name for term in block.terms] == ["gender", "age:gender"]
    with raises(
        RequestError,
        "`re_formula` must have only group-specific terms of the model, got '(gender | state)'. "
        "Available: ['(1 + age:gender | state)']. Did you mean 'age:gender'?",
    ):
        restricted(fit.design, "(gender | state)")
