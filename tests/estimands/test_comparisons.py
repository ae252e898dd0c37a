"""Comparisons: every contrast by name, of rows and of averages, equal to plain loops."""

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mrp
from mrp.errors import RequestError
from mrp.estimands.contrasts import FORMULAS
from mrp.testing import fake_fit
from tests import loops
from tests.cases import AGE, CASES, FRAME, STATES, SURVEY, fit_of
from tests.draws import (
    CLOSE,
    ROWS,
    TYPES,
    WEIGHTS,
    as_dict,
    assert_same,
    groups_of,
    looped,
    matrix,
)
from tests.messages import raises

BY = ["region", "gender"]
PAIRS = {
    "correlated slopes, logit": ("age", "young", "old"),
    "crossed factors and interaction, probit": ("education", "primary", "tertiary"),
    "nested factors, no intercept, cloglog": ("x", 0.5, 2),
    "categorical slopes, binomial": ("state", "AL", "VT"),
    "offsets and independent slopes, poisson": ("exposure", 1, 2),
    "slopes without intercept, negative binomial": ("gender", "Man", "Woman"),
    "transforms and two brackets, gaussian": ("district", 1, 3),
}
PROBABILITIES = [name for name in PAIRS if CASES[name].link in ("logit", "probit", "cloglog")]
POSITIVE = [name for name in PAIRS if CASES[name].link != "identity"]
DEFINED = [
    (name, comparison)
    for name in PAIRS
    for comparison in FORMULAS
    if name in {"lnor": PROBABILITIES, "lnratio": POSITIVE}.get(comparison, PAIRS)
]
EACH = pytest.mark.parametrize(("name", "comparison"), DEFINED)


@cache
def fit():
    return fake_fit(
        "y ~ age + x + gender + (1 + gender | state)",
        SURVEY,
        family="bernoulli",
        chains=2,
        draws=4,
    )


def sides(name, type="response"):
    """Predictions of the rows at the high and at the low value."""
    column, lo, hi = PAIRS[name]
    return [looped(name, type, loops.changed(ROWS, column, lambda _, to=to: to)) for to in (hi, lo)]


def request_of(name):
    column, lo, hi = PAIRS[name]
    return {column: [lo, hi]}


def written(name, comparison, *, averaged):
    _, lo, hi = PAIRS[name]
    return FORMULAS[comparison].written(hi, lo, averaged=averaged)


# --- contrasts by name ----------------------------------------------------------------------------


@EACH
def test_contrasts_of_rows_equal_a_plain_loop(name, comparison):
    found = mrp.comparisons(
        fit_of(name), variables=request_of(name), newdata=FRAME, comparison=comparison
    )
    expected = loops.contrasts(*sides(name), loops.CONTRAST[comparison])
    # the loop's log odds lose digits where a probability is near one
    close = {"rtol": 1e-8} if comparison == "lnor" else CLOSE
    np.testing.assert_allclose(matrix(found), expected, **close)
    assert set(found.labels["contrast"]) == {written(name, comparison, averaged=False)}


@EACH
def test_contrasts_of_averages_equal_a_plain_loop(name, comparison):
    found = mrp.avg_comparisons(
        fit_of(name),
        variables=request_of(name),
        newdata=FRAME,
        comparison=comparison,
        by=BY,
        wts="n",
    )
    hi, lo = (loops.averages(side, WEIGHTS, groups_of(BY)) for side in sides(name))
    expected = {
        group: loops.contrasts([hi[group]], [lo[group]], loops.CONTRAST[comparison])[0]
        for group in hi
    }
    assert_same(as_dict(found, BY), expected)
    assert set(found.labels["contrast"]) == {written(name, comparison, averaged=True)}


@EACH
def test_name_that_ends_in_avg_is_the_contrast_of_averages_in_both_verbs(name, comparison):
    options = {"variables": request_of(name), "newdata": FRAME, "wts": "n"}
    expected = mrp.avg_comparisons(fit_of(name), comparison=comparison, **options)
    for verb in (mrp.comparisons, mrp.avg_comparisons):
        for by in (None, "region"):
            found = verb(fit_of(name), comparison=f"{comparison}avg", by=by, **options)
            if by is None:
                np.testing.assert_array_equal(matrix(found), matrix(expected))
                pd.testing.assert_frame_equal(found.labels, expected.labels)
                assert found.about == expected.about
            assert len(found) == (1 if by is None else 2)


@pytest.mark.parametrize("comparison", FORMULAS)
def test_with_by_contrasts_are_of_averages(comparison):
    options = {"variables": "age", "newdata": FRAME, "by": "state", "wts": "n"}
    found = mrp.comparisons(fit(), comparison=comparison, **options)
    expected = mrp.avg_comparisons(fit(), comparison=comparison, **options)
    np.testing.assert_array_equal(matrix(found), matrix(expected))
    pd.testing.assert_frame_equal(found.labels, expected.labels)


def test_only_a_difference_of_averages_is_the_average_of_the_rows():
    options = {"variables": "gender", "newdata": FRAME}
    for comparison in FORMULAS:
        rows = matrix(mrp.comparisons(fit(), comparison=comparison, **options)).mean(axis=0)
        average = matrix(mrp.avg_comparisons(fit(), comparison=comparison, **options))[0]
        assert np.allclose(rows, average, rtol=1e-10) == (comparison == "difference")


def test_difference_of_log_odds_is_the_difference_of_linear_predictors():
    name = "correlated slopes, logit"
    options = {"variables": "age", "newdata": FRAME}
    found = mrp.comparisons(fit_of(name), comparison="lnor", **options)
    expected = mrp.comparisons(fit_of(name), type="link", **options)
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)
    odds_ratios = mrp.comparisons(fit_of(name), comparison="lnor", transform=np.exp, **options)
    np.testing.assert_allclose(matrix(odds_ratios), np.exp(matrix(expected)), **CLOSE)


# --- functions ------------------------------------------------------------------------------------


def odds_ratio(hi, lo):
    return hi / (1 - hi) / (lo / (1 - lo))


@pytest.mark.parametrize("name", PROBABILITIES)
def test_function_is_applied_to_rows_and_then_averaged(name):
    def by_hand(hi, lo):
        return hi / (1 - hi) / (lo / (1 - lo))

    rows = loops.contrasts(*sides(name), by_hand)
    options = {"variables": request_of(name), "newdata": FRAME, "comparison": odds_ratio}
    found = mrp.comparisons(fit_of(name), **options)
    np.testing.assert_allclose(matrix(found), rows, **CLOSE)
    _, lo, hi = PAIRS[name]
    assert set(found.labels["contrast"]) == {f"odds_ratio({hi}, {lo})"}
    averages = mrp.avg_comparisons(fit_of(name), by=BY, wts="n", **options)
    assert_same(as_dict(averages, BY), loops.averages(rows, WEIGHTS, groups_of(BY)))
    with_by = mrp.comparisons(fit_of(name), by=BY, wts="n", **options)
    np.testing.assert_array_equal(matrix(with_by), matrix(averages))


def test_function_may_overwrite_what_it_is_given():
    def halved(hi, lo):
        hi *= 0.5
        lo[:] = 0
        return hi

    options = {"variables": {"age": "all"}, "newdata": FRAME}
    found = mrp.comparisons(fit(), comparison=halved, **options)
    expected = mrp.comparisons(fit(), comparison=lambda hi, lo: hi / 2, **options)
    np.testing.assert_array_equal(matrix(found), matrix(expected))


@pytest.mark.parametrize("verb", [mrp.comparisons, mrp.avg_comparisons])
def test_function_must_return_as_much_as_it_is_given(verb):
    message = (
        "`comparison` must return one number for each pair of predictions it is given (3 rows x 8 "
        "draws), got shape (8,). For a contrast of averages, use a name such as 'ratioavg', or "
        "`hypothesis` on averages."
    )
    grid = mrp.datagrid(fit(), gender="Man", state=["AL", "CA", "VT"])
    with raises(RequestError, message):
        verb(fit(), variables="age", newdata=grid, comparison=lambda hi, lo: hi.mean(axis=0))


def test_unknown_comparison_is_refused_before_anything_else():
    message = (
        "`comparison` must be the name of a contrast, got 'diference'. Available: ['difference', "
        "'ratio', 'lift', 'lnratio', 'lnor', 'differenceavg', 'ratioavg', 'liftavg', … 2 more]. "
        "Did you mean 'difference'?"
    )
    for verb in (mrp.comparisons, mrp.avg_comparisons):
        with raises(RequestError, message):
            verb(fit(), variables="x", comparison="diference")


# --- what is compared -----------------------------------------------------------------------------

XS = SURVEY["x"].tolist()
MEAN = sum(XS) / len(XS)
SD = math.sqrt(sum((x - MEAN) ** 2 for x in XS) / (len(XS) - 1))
LEVELS = {
    "reference": [("young", "middle"), ("young", "old")],
    "sequential": [("young", "middle"), ("middle", "old")],
    "pairwise": [("young", "middle"), ("young", "old"), ("middle", "old")],
    "revpairwise": [("middle", "young"), ("old", "young"), ("old", "middle")],
    "all": [(a, b) for a in AGE for b in AGE if a != b],
    "minmax": [("young", "old")],
    ("old", "middle"): [("old", "middle")],
}
NUMBERS = {
    "a step": (0.5, lambda x: x + 0.5, lambda x: x),
    "a negative step": (-2, lambda x: x - 2, lambda x: x),
    "a pair": ([2, -1], lambda x: -1, lambda x: 2),
    "sd": ("sd", lambda x: MEAN + SD / 2, lambda x: MEAN - SD / 2),
    "2sd": ("2sd", lambda x: MEAN + SD, lambda x: MEAN - SD),
    "iqr": ("iqr", lambda x: loops.quantile(XS, 0.75), lambda x: loops.quantile(XS, 0.25)),
    "minmax": ("minmax", lambda x: max(XS), lambda x: min(XS)),
    "a function": (lambda x: (x - 1, 1.1 * x), lambda x: 1.1 * x, lambda x: x - 1),
}


@pytest.mark.parametrize("comparison", ["difference", "ratio"])
@pytest.mark.parametrize("contrast", LEVELS)
def test_levels_are_compared_as_asked(contrast, comparison):
    name = "correlated slopes, logit"
    at = {age: looped(name, "response", [{**row, "age": age} for row in ROWS]) for age in AGE}
    options = {"variables": {"age": contrast}, "newdata": FRAME, "comparison": comparison}
    found = matrix(mrp.comparisons(fit_of(name), **options))
    pairs = [(at[hi], at[lo]) for lo, hi in LEVELS[contrast]]
    rows = [loops.contrasts(hi, lo, loops.CONTRAST[comparison]) for hi, lo in pairs]
    np.testing.assert_allclose(found, [draws for part in rows for draws in part], **CLOSE)
    averages = mrp.avg_comparisons(fit_of(name), wts="n", **options)
    hi, lo = (
        [loops.averages(both[k], WEIGHTS, [0] * len(ROWS))[0] for both in pairs] for k in (0, 1)
    )
    expected = loops.contrasts(hi, lo, loops.CONTRAST[comparison])
    np.testing.assert_allclose(matrix(averages), expected, **CLOSE)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("contrast", NUMBERS)
def test_numbers_are_compared_as_asked(contrast, type):
    name = "crossed factors and interaction, probit"
    asked, hi, lo = NUMBERS[contrast]
    rows = [looped(name, type, loops.changed(ROWS, "x", side)) for side in (hi, lo)]
    options = {"variables": {"x": asked}, "newdata": FRAME, "type": type}
    found = mrp.comparisons(fit_of(name), **options)
    np.testing.assert_allclose(matrix(found), loops.differences(*rows), **CLOSE)
    averages = mrp.avg_comparisons(fit_of(name), by=BY, wts="n", **options)
    expected = loops.averages(loops.differences(*rows), WEIGHTS, groups_of(BY))
    assert_same(as_dict(averages, BY), expected)


def test_all_variables_of_the_population_level_terms_are_the_default():
    name = "crossed factors and interaction, probit"
    found = mrp.avg_comparisons(fit_of(name), newdata=FRAME, wts="n")
    assert found.labels["term"].tolist() == ["age", "age", "education", "education", "x"]
    one_by_one = [
        matrix(mrp.avg_comparisons(fit_of(name), variables=variable, newdata=FRAME, wts="n"))
        for variable in ("age", "education", "x")
    ]
    np.testing.assert_array_equal(matrix(found), np.concatenate(one_by_one))


@pytest.mark.parametrize("comparison", ["difference", "ratio", odds_ratio])
def test_crossed_variables_change_together(comparison):
    name = "correlated slopes, logit"
    function = odds_ratio if callable(comparison) else loops.CONTRAST[comparison]
    variables = {"age": "sequential", "gender": None, "military": [1, 0]}
    options = {"variables": variables, "newdata": FRAME, "cross": True, "comparison": comparison}
    found = mrp.comparisons(fit_of(name), **options)
    expected, labels = [], []
    for lo, hi in LEVELS["sequential"]:
        both = [
            looped(
                name,
                "response",
                [{**row, "age": age, "gender": gender, "military": military} for row in ROWS],
            )
            for age, gender, military in ((hi, "Woman", 0), (lo, "Man", 1))
        ]
        expected.append(loops.contrasts(*both, function))
        labels.append((hi, lo))
    np.testing.assert_allclose(matrix(found), [row for part in expected for row in part], **CLOSE)
    columns = ["contrast_age", "contrast_gender", "contrast_military"]
    assert found.labels.columns[:4].tolist() == [*columns, "rowid"]
    if comparison == "difference":
        first = found.labels[columns].iloc[[0, -1]].values.tolist()
        assert first == [[f"{hi} - {lo}", "Woman - Man", "0 - 1"] for hi, lo in labels]
    averages = mrp.avg_comparisons(fit_of(name), by=BY, wts="n", **options)
    assert averages.labels.columns.tolist() == [*columns, *BY]
    if comparison != "ratio":
        by_group = [loops.averages(part, WEIGHTS, groups_of(BY)) for part in expected]
        groups = averages.labels[BY].itertuples(index=False, name=None)
        wanted = [by_group[k // 4][tuple(group)] for k, group in enumerate(groups)]
        np.testing.assert_allclose(matrix(averages), wanted, **CLOSE)


def test_crossing_one_variable_changes_only_the_labels():
    crossed = mrp.avg_comparisons(fit(), variables="age", newdata=FRAME, cross=True)
    plain = mrp.avg_comparisons(fit(), variables="age", newdata=FRAME)
    np.testing.assert_array_equal(matrix(crossed), matrix(plain))
    assert crossed.labels["contrast_age"].tolist() == plain.labels["contrast"].tolist()


# --- on a frame -----------------------------------------------------------------------------------


@pytest.mark.parametrize("comparison", ["difference", "lift"])
def test_contrasts_of_a_population_are_contrasts_of_poststratified_estimates(comparison):
    found = mrp.avg_comparisons(
        fit(), variables="gender", newdata=FRAME, by="state", wts="n", comparison=comparison
    )
    hi, lo = (
        matrix(mrp.poststratify(fit(), FRAME.assign(gender=gender), by="state", wts="n")).tolist()
        for gender in ("Woman", "Man")
    )
    expected = loops.contrasts(hi, lo, loops.CONTRAST[comparison])
    np.testing.assert_allclose(matrix(found), expected, **CLOSE)
    assert found.labels["state"].tolist() == sorted(STATES)


def test_groups_that_a_table_makes():
    regions = pd.DataFrame({"state": list(STATES), "by": list(STATES.values())})
    options = {"variables": "age", "newdata": FRAME, "wts": "n", "comparison": "ratio"}
    found = mrp.avg_comparisons(fit(), by=regions, **options)
    expected = mrp.avg_comparisons(fit(), by="region", **options)
    columns = ["term", "contrast"]
    assert_same(as_dict(found, [*columns, "by"]), as_dict(expected, [*columns, "region"]))


@pytest.mark.parametrize("new_levels", ["gaussian", "uncertainty", "old_levels"])
def test_both_sides_share_a_new_groups_draw(new_levels):
    fit_ = fake_fit("y ~ x + gender + (1 | state)", SURVEY, family="bernoulli", draws=5)
    data = FRAME.assign(state=[f"new {k % 3}" for k in range(len(FRAME))])
    found = mrp.comparisons(
        fit_,
        variables="gender",
        newdata=data,
        new_levels={"state": new_levels},
        type="link",
        seed=1,
    )
    expected = np.broadcast_to(fit_.coefficients.population[2], matrix(found).shape)
    np.testing.assert_allclose(matrix(found), expected, **CLOSE)


def test_new_groups_that_are_changed_to_known_ones_are_no_error():
    data = FRAME.assign(state="Quebec")
    found = mrp.comparisons(fit(), variables={"state": ["AL", "CA"]}, newdata=data)
    expected = mrp.comparisons(fit(), variables={"state": ["AL", "CA"]}, newdata=FRAME)
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)


# --- properties -----------------------------------------------------------------------------------


# weights that are drawn may happen to sum to the same in each state
@pytest.mark.filterwarnings("ignore:`wts` sum:mrp.errors.FrameWarning")
@settings(max_examples=6)
@given(data=st.data())
@pytest.mark.parametrize("comparison", FORMULAS)
def test_contrasts_depend_on_the_shares_of_cells_alone(comparison, data):
    rows = data.draw(st.lists(st.integers(0, len(FRAME) - 1), min_size=1, max_size=8))
    weights = data.draw(st.lists(st.floats(0.1, 10), min_size=len(rows), max_size=len(rows)))
    frame = FRAME.iloc[rows].assign(n=weights)
    order = data.draw(st.permutations(range(len(rows))))
    scale = data.draw(st.floats(1e-3, 1e3))
    nobody = FRAME.iloc[[data.draw(st.integers(0, len(FRAME) - 1))]].assign(n=0.0)
    halves = pd.concat([frame.iloc[list(order)], frame, nobody]).assign(
        n=lambda table: scale * table["n"] / 2
    )
    found, expected = (
        mrp.avg_comparisons(
            fit(), variables=["age", "x"], newdata=table, wts="n", comparison=comparison
        )
        for table in (halves, frame)
    )
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)


@pytest.mark.parametrize("comparison", ["difference", "lnratio", "lnor"])
def test_reversed_pairs_have_the_opposite_sign(comparison):
    options = {"newdata": FRAME, "by": "state", "wts": "n", "comparison": comparison}
    forth = mrp.avg_comparisons(fit(), variables={"age": "pairwise"}, **options)
    back = mrp.avg_comparisons(fit(), variables={"age": "revpairwise"}, **options)
    np.testing.assert_allclose(matrix(forth), -matrix(back), **CLOSE)


@pytest.mark.parametrize("comparison", ["difference", "lnratio", "lnor"])
def test_sequential_contrasts_add_up_to_the_whole(comparison):
    options = {"newdata": FRAME, "comparison": comparison}
    steps = matrix(mrp.avg_comparisons(fit(), variables={"age": "sequential"}, **options))
    whole = matrix(mrp.avg_comparisons(fit(), variables={"age": "minmax"}, **options))
    np.testing.assert_allclose(steps.sum(axis=0), whole[0], **CLOSE)


# --- log odds in the tails ------------------------------------------------------------------------

TAILS = [-700.0, -300.0, -36.0, -33.0, 0.0, 33.0, 36.0, 300.0, 700.0]


def certain(link="logit", eta=0.0, slope=0.965):
    """A model whose linear predictor is eta, plus the slope for a woman."""
    model = mrp.Model("y ~ gender", SURVEY, family="bernoulli", link=link)
    draws = mrp.testing.fake_draws(model.design, chains=1, draws=1, scale=0.0)
    made = draws.assign(Intercept=draws["Intercept"] + eta, gender=draws["gender"] + slope)
    return mrp.Fit.from_draws(model, made)


@pytest.mark.parametrize("eta", TAILS)
def test_log_odds_ratio_of_rows_is_that_of_the_linear_predictors(eta):
    found = mrp.comparisons(certain(eta=eta), variables="gender", newdata=FRAME, comparison="lnor")
    step = eta + 0.965 - eta  # what eta leaves of its digits
    np.testing.assert_allclose(matrix(found), step, rtol=1e-14)


@pytest.mark.parametrize("eta", TAILS[1:-1])
@pytest.mark.parametrize("verb", [mrp.avg_comparisons, mrp.comparisons])
def test_log_odds_ratio_of_averages_keeps_its_digits(eta, verb):
    data = FRAME[:4].assign(gender=["Man", "Woman", "Man", "Woman"])
    options = {"variables": "gender", "newdata": data, "comparison": "lnoravg"}
    np.testing.assert_allclose(
        matrix(verb(certain(eta=eta), **options)), eta + 0.965 - eta, rtol=1e-12
    )


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_log_odds_ratio_of_averages_over_unlike_rows_is_a_loop_with_all_digits(link, sign):
    etas = {"logit": (40.0, 45.0), "probit": (9.0, 9.5), "cloglog": (3.0, 3.5)}[link]
    model = mrp.Model("y ~ 0 + gender * x", SURVEY, family="bernoulli", link=link)
    draws = mrp.testing.fake_draws(model.design, chains=1, draws=1, scale=0.0)
    draws["gender"][0, 0] = [sign * etas[0], sign * etas[1]]
    draws["x"][0, 0] = 0.5
    fit_ = mrp.Fit.from_draws(model, draws)
    data = FRAME[:3].assign(x=[0.0, 1.0, 2.0], n=[1.0, 2.0, 3.0])
    found = mrp.avg_comparisons(
        fit_, variables={"gender": ["Man", "Woman"]}, newdata=data, wts="n", comparison="lnor"
    )

    def log_odds(base):
        eta = sign * base + np.array([0.0, 0.5, 1.0])
        upper = {
            "logit": lambda: (np.exp(-np.logaddexp(0, -eta)), np.exp(-np.logaddexp(0, eta))),
            "probit": lambda: ([math.erfc(-e / 2**0.5) / 2 for e in eta],
                               [math.erfc(e / 2**0.5) / 2 for e in eta]),
            "cloglog": lambda: (-np.expm1(-np.exp(eta)), np.exp(-np.exp(eta))),
        }  # fmt: skip
        yes, no = upper[link]()
        return math.log(np.dot(yes, [1, 2, 3]) / 6) - math.log(np.dot(no, [1, 2, 3]) / 6)

    expected = log_odds(etas[1]) - log_odds(etas[0])
    np.testing.assert_allclose(matrix(found), expected, rtol=1e-10)


@pytest.mark.parametrize("family", ["categorical", "cumulative", "sratio"])
@pytest.mark.parametrize("eta", [33.0, 36.0, 300.0, 700.0])
def test_log_odds_ratio_of_a_level_that_is_all_but_certain_keeps_its_digits(family, eta):
    levels = ["low", "high"]
    answers = SURVEY.assign(t=pd.Categorical(np.take(levels, SURVEY["y"]), levels, ordered=True))
    model = mrp.Model("t ~ gender", answers, family=family)
    draws = mrp.testing.fake_draws(
        model.design, chains=1, draws=1, scale=0.0, by_level=model.by_level
    )
    draws["gender"] = draws["gender"] + 0.965
    if family == "categorical":
        draws["Intercept"] = draws["Intercept"] + eta
    else:
        draws["threshold"] = draws["threshold"] * 0 - eta
    fit_ = mrp.Fit.from_draws(model, draws)
    options = {"variables": "gender", "newdata": FRAME[:2], "comparison": "lnor"}
    step = eta + 0.965 - eta
    for verb in (mrp.comparisons, mrp.avg_comparisons):
        found = verb(fit_, **options)
        of_high = matrix(found)[(found.labels["group"] == "high").to_numpy()]
        np.testing.assert_allclose(of_high, step, rtol=1e-10)
        of_low = matrix(found)[(found.labels["group"] == "low").to_numpy()]
        np.testing.assert_allclose(of_low, -step, rtol=1e-10)
