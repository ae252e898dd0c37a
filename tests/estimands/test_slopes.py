"""Slopes: equal to derivatives written out by hand, exact where the predictor is linear."""

import dataclasses
from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mrp
from mrp.errors import DataError, RequestError
from mrp.estimands.contrasts import SLOPES
from mrp.estimands.slopes import enters_linearly
from mrp.links import inverse
from mrp.testing import fake_fit
from tests import loops
from tests.cases import CASES, FRAME, STATES, SURVEY, Case, effect, fit_of, level, permuted
from tests.draws import CLOSE, ROWS, TYPES, WEIGHTS, as_dict, assert_same, groups_of, matrix
from tests.messages import raises

NUMERICAL = {"rtol": 1e-6, "atol": 1e-8}
"""Where the linear predictor is not linear in x."""
CURVED = {
    ("transforms and two brackets, gaussian", "x"),
    ("offsets and independent slopes, poisson", "exposure"),
}
SLOPED = [(name, column) for name, case in CASES.items() for column in case.derivatives]


# --- a formula in which x enters affinely in every way --------------------------------------------

XS = SURVEY["x"].tolist()
MEAN = sum(XS) / len(XS)
SD = (sum((x - MEAN) ** 2 for x in XS) / len(XS)) ** 0.5


def _affine(row, scaled, centred, x):
    """Terms with the three forms of x given; the other terms are multiples of one of them."""
    yield "scale(x)", {}, scaled
    if row["gender"] == "Woman":
        yield "scale(x):gender", {"scale(x):gender_dim": "Woman"}, scaled
    yield "x:military", {}, x * row["military"]
    yield effect("center(x)|state", row["state"], centred)


def _affine_terms(row):
    yield "Intercept", {}, 1.0
    yield from level("gender", row["gender"], "Man")
    yield "military", {}, row["military"]
    yield effect("1|state", row["state"])
    yield from _affine(row, (row["x"] - MEAN) / SD, row["x"] - MEAN, row["x"])


AFFINE = Case(
    "y ~ scale(x) * gender + military + x:military + (center(x) | state)",
    _affine_terms,
    "logit",
    {"family": "bernoulli"},
    {"x": lambda row: _affine(row, 1 / SD, 1.0, 1.0)},
)
LINKS = {
    "logit": AFFINE,
    "probit": dataclasses.replace(
        AFFINE, link="probit", options={"family": "bernoulli", "link": "probit"}
    ),
    "cloglog": dataclasses.replace(
        AFFINE, link="cloglog", options={"family": "bernoulli", "link": "cloglog"}
    ),
    "log": dataclasses.replace(AFFINE, link="log", options={"family": "poisson"}),
    "identity": dataclasses.replace(AFFINE, link="identity", options={"family": "gaussian"}),
}


@cache
def affine_fit(link):
    case = LINKS[link]
    return mrp.Fit.from_draws(case.model, permuted(case.draws))


@cache
def fit():
    return fake_fit(
        "y ~ x + age + gender + (1 + x | state)", SURVEY, family="bernoulli", chains=2, draws=4
    )


def looped(case, column, type="response", slope="dydx", rows=ROWS):
    link = case.link if type == "response" else "identity"
    derivatives = case.derivatives[column]
    return loops.slopes(rows, column, case.terms, derivatives, case.draws, link, slope)


# --- equal to derivatives by hand -----------------------------------------------------------------


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize(("name", "column"), SLOPED)
def test_slopes_equal_the_derivative_by_hand(name, column, type):
    found = mrp.slopes(fit_of(name), variables=column, newdata=FRAME, type=type)
    close = NUMERICAL if (name, column) in CURVED else CLOSE
    np.testing.assert_allclose(matrix(found), looped(CASES[name], column, type), **close)
    assert set(found.labels["term"]) == {column}
    assert set(found.labels["contrast"]) == {"dY/dX"}


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("link", LINKS)
def test_slopes_of_every_link_and_scale_equal_the_derivative_by_hand(link, slope):
    assert enters_linearly(affine_fit(link).design, "x")
    for type in TYPES:
        found = mrp.slopes(affine_fit(link), variables="x", newdata=FRAME, slope=slope, type=type)
        expected = looped(LINKS[link], "x", type, slope)
        np.testing.assert_allclose(matrix(found), expected, rtol=1e-9, atol=1e-10)
        assert set(found.labels["contrast"]) == {SLOPES[slope].label}


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("name", "column"), SLOPED)
def test_averaged_slopes_are_averages_of_the_rows_slopes(name, column, slope):
    by = ["region", "gender"]
    found = mrp.avg_slopes(
        fit_of(name), variables=column, newdata=FRAME, by=by, wts="n", slope=slope
    )
    rows = looped(CASES[name], column, slope=slope)
    expected = {
        (column, SLOPES[slope].label, *group): draws
        for group, draws in loops.averages(rows, WEIGHTS, groups_of(by)).items()
    }
    if (name, column) not in CURVED:
        assert_same(as_dict(found, ["term", "contrast", *by]), expected)
        return
    for key, draws in as_dict(found, ["term", "contrast", *by]).items():
        np.testing.assert_allclose(draws, expected[key], **NUMERICAL)


def test_average_of_all_rows_is_without_groups():
    found = mrp.avg_slopes(affine_fit("logit"), variables="x", newdata=FRAME)
    assert found.labels.to_dict("list") == {"term": ["x"], "contrast": ["dY/dX"]}
    expected = loops.averages(looped(AFFINE, "x"), [1.0] * len(ROWS), [0] * len(ROWS))
    np.testing.assert_allclose(matrix(found), [expected[0]], **CLOSE)


def test_slopes_of_the_survey_are_the_default():
    found = mrp.slopes(affine_fit("logit"), variables="x")
    expected = looped(AFFINE, "x", rows=loops.records(SURVEY))
    np.testing.assert_allclose(matrix(found), expected, **CLOSE)


CURVES: Mapping[str, tuple] = {
    "y ~ np.log(exposure)": ("exposure", lambda x, b: b[1] / x),
    "y ~ exposure + np.log(exposure)": ("exposure", lambda x, b: b[1] + b[2] / x),
    "y ~ x:scale(x)": ("x", lambda x, b: b[1] * (2 * x - MEAN) / SD),
    "y ~ I(x**2) + I(x**3)": ("x", lambda x, b: 2 * b[1] * x + 3 * b[2] * x**2),
    "y ~ I(x + military)": ("x", lambda x, b: b[1]),
    "y ~ np.exp(x / 4)": ("x", lambda x, b: b[1] * np.exp(x / 4) / 4),
}


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("formula", CURVES)
def test_slopes_of_curves_equal_the_derivative_to_the_sixth_digit(formula, type):
    column, by_hand = CURVES[formula]
    curved = fake_fit(formula, SURVEY, family="bernoulli", draws=3)
    assert not enters_linearly(curved.design, column)
    found = mrp.slopes(curved, variables=column, newdata=FRAME, type=type)
    b = curved.coefficients.population
    x = FRAME[column].to_numpy()[:, None]
    y = matrix(mrp.predictions(curved, newdata=FRAME))
    expected = np.broadcast_to(by_hand(x, b), y.shape) * (y * (1 - y) if type == "response" else 1)
    np.testing.assert_allclose(matrix(found), expected, **NUMERICAL)


@pytest.mark.parametrize("formula", ["score ~ bs(x, df=5)", "score ~ poly(x, 3)"])
def test_slopes_of_splines_and_polynomials_integrate_to_the_difference(formula):
    curved = fake_fit(formula, SURVEY, family="gaussian", draws=3)
    assert not enters_linearly(curved.design, "x")
    # Gauss-Legendre is exact for polynomials; the pieces lie between the knots
    lo, hi = min(XS), loops.quantile(XS, 0.25)
    nodes, weights = np.polynomial.legendre.leggauss(5)
    points = pd.DataFrame({"x": lo + (hi - lo) * (nodes + 1) / 2})
    slopes = matrix(mrp.slopes(curved, variables="x", newdata=points))
    ends = matrix(mrp.predictions(curved, newdata=pd.DataFrame({"x": [lo, hi]})))
    integral = weights @ slopes * (hi - lo) / 2
    np.testing.assert_allclose(integral, ends[1] - ends[0], **NUMERICAL)


@pytest.mark.parametrize("eps", [1e-3, 0.5, np.float32(2.0)])
def test_eps_is_half_the_distance_of_a_central_difference(eps):
    curved = fake_fit("y ~ I(x**3)", SURVEY, family="bernoulli", draws=3)
    found = mrp.slopes(curved, variables="x", newdata=FRAME, type="link", eps=eps)
    sides = [
        matrix(mrp.predictions(curved, newdata=FRAME.assign(x=FRAME["x"] + step), type="link"))
        for step in (float(eps), -float(eps))
    ]
    expected = (sides[0] - sides[1]) / (2 * float(eps))
    np.testing.assert_allclose(matrix(found), expected, rtol=1e-7, atol=1e-9)


def test_eps_does_not_matter_where_x_enters_linearly():
    expected = matrix(mrp.slopes(affine_fit("logit"), variables="x", newdata=FRAME))
    for eps in (1e-2, 1, 50.0):
        found = mrp.slopes(affine_fit("logit"), variables="x", newdata=FRAME, eps=eps)
        np.testing.assert_allclose(matrix(found), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "Int64", "bool", "float32"])
def test_column_of_any_numeric_type_has_the_same_slopes(dtype):
    data = FRAME.assign(military=FRAME["military"].astype(dtype))
    of_military = fit_of("correlated slopes, logit")
    found = mrp.slopes(of_military, variables="military", newdata=data)
    expected = mrp.slopes(of_military, variables="military", newdata=FRAME)
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)


# --- what enters linearly -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "linear"),
    [
        ("y ~ x", True),
        ("y ~ scale(x)", True),
        ("y ~ center(x)", True),
        ("y ~ standardize(x)", True),
        ("y ~ x + scale(x)", True),
        ("y ~ x * gender", True),
        ("y ~ x:exposure:gender", True),
        ("y ~ gender + (x | state)", True),
        ("y ~ gender + (scale(x) | state) + (0 + x | region)", True),
        ("y ~ gender + offset(x)", True),
        ("y ~ scale(x) * scale(exposure)", True),
        ("y ~ gender", True),
        ("y ~ x:scale(x)", False),
        ("y ~ gender + (x:scale(x) | state)", False),
        ("y ~ I(x**2)", False),
        ("y ~ x + I(x**2)", False),
        ("y ~ scale(np.log(exposure)) + I(2 * x)", False),
        ("y ~ scale(I(x**2))", False),
        ("y ~ I(x + exposure)", False),
        ("y ~ x + C(x > 1)", False),
        ("y ~ x + np.exp(center(x))", False),
        ("y ~ gender + offset(np.exp(x))", False),
        ("y ~ bs(x, df=4)", False),
        ("y ~ poly(x, 2)", False),
    ],
)
def test_column_enters_linearly_if_every_term_has_it_once_and_unbent(formula, linear):
    design = fake_fit(formula, SURVEY, family="bernoulli", draws=2).design
    assert enters_linearly(design, "x") is linear


def test_users_own_function_is_not_taken_for_linear():
    bent = fake_fit(
        "y ~ rescale(x)",
        SURVEY,
        family="bernoulli",
        draws=2,
        namespace={"rescale": lambda x: x**2},
    )
    assert not enters_linearly(bent.design, "x")


def test_column_that_a_left_out_group_bends_enters_linearly():
    bent = fake_fit("y ~ x + (I(x**2) | state)", SURVEY, family="bernoulli", draws=3)
    kept = mrp.slopes(bent, variables="x", newdata=FRAME, re_formula=False, type="link")
    expected = np.broadcast_to(bent.coefficients.population[1], (len(FRAME), 6))
    np.testing.assert_allclose(matrix(kept), expected, **CLOSE)


# --- one verb in terms of another -----------------------------------------------------------------


@pytest.mark.parametrize("type", TYPES)
def test_slopes_with_by_are_averaged_slopes(type):
    options = {"variables": ["x", "age"], "newdata": FRAME, "by": "region", "wts": "n"}
    options |= {"type": type, "slope": "eydx", "transform": np.abs}
    rows, averages = mrp.slopes(fit(), **options), mrp.avg_slopes(fit(), **options)
    np.testing.assert_array_equal(matrix(rows), matrix(averages))
    pd.testing.assert_frame_equal(rows.labels, averages.labels)


@pytest.mark.parametrize("slope", SLOPES)
def test_categorical_gives_differences_of_its_levels_whatever_the_slope(slope):
    found = mrp.slopes(fit(), variables="age", newdata=FRAME, slope=slope)
    expected = mrp.comparisons(fit(), variables="age", newdata=FRAME)
    np.testing.assert_array_equal(matrix(found), matrix(expected))
    pd.testing.assert_frame_equal(found.labels, expected.labels)
    averages = mrp.avg_slopes(fit(), variables={"age": "pairwise"}, newdata=FRAME, wts="n")
    expected = mrp.avg_comparisons(fit(), variables={"age": "pairwise"}, newdata=FRAME, wts="n")
    np.testing.assert_allclose(matrix(averages), matrix(expected), **CLOSE)
    pd.testing.assert_frame_equal(averages.labels, expected.labels)


def test_by_default_every_column_of_the_population_level_terms_has_its_slopes():
    found = mrp.avg_slopes(fit(), newdata=FRAME)
    labels = found.labels.itertuples(index=False, name=None)
    assert list(labels) == [
        ("x", "dY/dX"),
        ("age", "middle - young"),
        ("age", "old - young"),
        ("gender", "Woman - Man"),
    ]
    x = mrp.avg_slopes(fit(), variables="x", newdata=FRAME)
    np.testing.assert_allclose(matrix(found)[:1], matrix(x), **CLOSE)


def test_slope_on_the_link_scale_is_a_step_of_one_where_x_enters_linearly():
    found = mrp.slopes(fit(), variables="x", newdata=FRAME, type="link")
    steps = mrp.comparisons(fit(), variables="x", newdata=FRAME, type="link")
    np.testing.assert_allclose(matrix(found), matrix(steps), **CLOSE)


def test_transform_is_applied_to_averages():
    options = {"variables": "x", "newdata": FRAME, "by": "state", "wts": "n"}
    found = mrp.avg_slopes(fit(), transform=np.exp, **options)
    plain = mrp.avg_slopes(fit(), **options)
    np.testing.assert_allclose(matrix(found), np.exp(matrix(plain)), **CLOSE)


def test_groups_that_a_table_makes_are_averaged_over():
    regions = pd.DataFrame({"state": list(STATES), "by": list(STATES.values())})
    found = mrp.avg_slopes(fit(), variables="x", newdata=FRAME, by=regions, wts="n")
    expected = mrp.avg_slopes(fit(), variables="x", newdata=FRAME, by="region", wts="n")
    assert_same(as_dict(found, ["by"]), as_dict(expected, ["region"]))


@pytest.mark.parametrize(("re_formula", "kept"), [(False, []), ("(0 + x | state)", ["x|state"])])
def test_group_specific_slopes_may_be_left_out(re_formula, kept):
    name = "crossed factors and interaction, probit"
    case = CASES[name]
    found = mrp.slopes(fit_of(name), variables="x", newdata=FRAME, re_formula=re_formula)
    expected = loops.slopes(
        ROWS,
        "x",
        loops.only(case.terms, kept),
        loops.only(case.derivatives["x"], kept),
        case.draws,
        case.link,
    )
    np.testing.assert_allclose(matrix(found), expected, **CLOSE)


@pytest.mark.parametrize("new_levels", ["gaussian", "uncertainty", "old_levels"])
def test_new_group_has_one_slope_on_both_sides(new_levels):
    data = FRAME.assign(state="new")
    options = {"newdata": data, "type": "link", "new_levels": new_levels, "seed": 3}
    found = mrp.slopes(fit(), variables="x", **options)
    steps = mrp.comparisons(fit(), variables="x", **options)
    np.testing.assert_allclose(matrix(found), matrix(steps), **CLOSE)
    assert np.ptp(matrix(found), axis=0).max() < 1e-9


# --- properties -----------------------------------------------------------------------------------


# weights that are drawn may happen to sum to the same in each state
@pytest.mark.filterwarnings("ignore:`wts` sum:mrp.errors.FrameWarning")
@given(data=st.data())
def test_order_of_rows_and_scale_of_weights_do_not_matter(data):
    rows = data.draw(st.lists(st.integers(0, len(FRAME) - 1), min_size=1, max_size=10))
    weights = data.draw(st.lists(st.floats(0.1, 10), min_size=len(rows), max_size=len(rows)))
    order = data.draw(st.permutations(range(len(rows))))
    scale = data.draw(st.floats(1e-3, 1e3))
    frame = FRAME.iloc[rows].assign(n=weights)
    again = frame.iloc[list(order)].assign(n=lambda table: table["n"] * scale)
    found, expected = (
        mrp.avg_slopes(fit(), variables="x", newdata=table, wts="n", slope="eyex")
        for table in (again, frame)
    )
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)


@given(x=st.floats(-3, 3), link=st.sampled_from(sorted(LINKS)))
def test_slope_is_the_limit_of_a_comparison(x, link):
    data = FRAME[:5].assign(x=x)
    found = matrix(mrp.slopes(affine_fit(link), variables="x", newdata=data))
    step = 1e-5
    hi, lo = (
        matrix(mrp.predictions(affine_fit(link), newdata=data.assign(x=x + way * step)))
        for way in (1, -1)
    )
    np.testing.assert_allclose(found, (hi - lo) / (2 * step), rtol=1e-5, atol=1e-8)


def test_elasticity_where_the_outcome_is_impossible_is_no_number_and_no_warning():
    certain = fake_fit("y ~ x", SURVEY, family="bernoulli", draws=2, scale=1e4)
    found = matrix(mrp.slopes(certain, variables="x", newdata=FRAME, slope="eyex"))
    y = matrix(mrp.predictions(certain, newdata=FRAME))
    assert np.isnan(found[y == 0]).all()
    assert np.isfinite(found[y == 1]).all()


def test_every_link_is_tested():
    assert {fit.link for fit in map(affine_fit, LINKS)} == set(LINKS)
    assert all(callable(inverse(link)) for link in LINKS)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [1, [0, 1], "sd"])
def test_change_of_a_number_is_refused_as_a_slope_has_none(said):
    message = (
        f"`variables` must only name 'x' for a slope, got {said!r}. "
        f"Use `comparisons` for larger changes."
    )
    for verb in (mrp.slopes, mrp.avg_slopes):
        with raises(RequestError, message):
            verb(fit(), variables={"x": said})


@pytest.mark.parametrize("eps", [0, -1.0, True, "small", np.nan])
def test_eps_must_be_a_positive_number(eps):
    message = f"`eps` must be a number above 0, got {eps!r}. Usual: leave it out."
    for verb in (mrp.slopes, mrp.avg_slopes):
        with raises(RequestError, message):
            verb(fit(), variables="x", eps=eps)


def test_unknown_slope_is_refused_also_where_all_variables_are_categorical():
    message = (
        "`slope` must be the name of a slope, got 'eyeX'. "
        "Available: ['dydx', 'eyex', 'eydx', 'dyex']. Did you mean 'eyex'?"
    )
    for verb in (mrp.slopes, mrp.avg_slopes):
        with raises(RequestError, message):
            verb(fit(), variables="age", slope="eyeX")


def test_without_the_survey_only_a_bent_column_needs_eps():
    bent = fake_fit("y ~ I(x**2) + exposure", SURVEY, family="bernoulli", draws=2)
    bent = dataclasses.replace(bent, survey=None)
    message = (
        "`eps` must be given for 'x', as this fit was saved without the survey that tells its "
        "scale. Give half the distance of a numerical derivative, in units of 'x'."
    )
    with raises(DataError, message):
        mrp.slopes(bent, variables="x", newdata=FRAME)
    assert len(mrp.slopes(bent, variables="x", newdata=FRAME, eps=1e-4)) == len(FRAME)
    assert len(mrp.slopes(bent, variables="exposure", newdata=FRAME)) == len(FRAME)


def test_groups_can_not_have_the_names_of_the_labels():
    message = (
        "`by` must not name columns that results are written to, got ['contrast']. "
        "Give the data copies of them under other names, and name those."
    )
    with raises(RequestError, message):
        mrp.avg_slopes(fit(), variables="x", newdata=FRAME.assign(contrast="a"), by="contrast")


@pytest.mark.parametrize("eps", [1e-300, 1e-12, 1e300])
def test_step_that_is_lost_in_rounding_is_refused(eps):
    largest = float(FRAME["x"].abs().max())
    message = (
        f"`eps` must be a step that doubles tell apart, got {eps!r} for 'x', whose numbers are up "
        f"to {largest:.6g}. Usual: leave it out."
    )
    with raises(RequestError, message):
        mrp.slopes(fit(), variables="x", newdata=FRAME, eps=eps)
