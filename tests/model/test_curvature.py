"""The joint curvature: against plain loops, dense matrices, and where the density is highest."""

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.model.curvature import factor as factors
from mrp.model.curvature.factor import Factor, positions
from mrp.model.curvature.rounds import problem_of, settle
from mrp.model.kernel.layout import population_means

MODELS = {
    "crossed": ("y ~ x + (1 | g) + (1 + x | h) + (0 + x | g)", "bernoulli"),
    "probit": ("p(s, n) ~ x + (1 | g) + (1 | h)", "binomial"),
    "counts": ("c ~ x + offset(e) + (1 + x | g) + (1 | h)", "poisson"),
    "overdispersed": ("c ~ x + (1 | g)", "negativebinomial"),
    "measured": ("r ~ x + (1 + x | g) + (1 | h)", "gaussian"),
    "unordered": ("l ~ x + (1 + x | g) + (1 | h)", "categorical"),
    "ordered": ("l ~ x + offset(e) + (1 + x | g) + (1 | h)", "cumulative"),
    "stops": ("l ~ x + (1 | g) + (1 | h)", "sratio"),
    "coefficients only": ("y ~ x", "bernoulli"),
    "effects only": ("y ~ 0 + (1 | g)", "bernoulli"),
}


@pytest.fixture(scope="module")
def survey():
    rng = np.random.default_rng(8)
    n = 400
    table = pd.DataFrame(
        {
            "g": rng.choice(list("ABCDEFGHIJKL"), n),
            "h": rng.choice(list("uvw"), n),
            "x": rng.normal(size=n).round(1),
            "e": rng.normal(size=n).round(1) * 0.1,
            "n": rng.integers(1, 9, n),
        }
    )
    shift = table["g"].map(dict(zip("ABCDEFGHIJKL", 0.5 * rng.normal(size=12), strict=True)))
    eta = 0.4 * table["x"] + shift
    p = 1 / (1 + np.exp(-eta))
    return table.assign(
        y=(rng.random(n) < p).astype(int),
        s=rng.binomial(table["n"], p),
        c=rng.poisson(np.exp(eta)),
        r=5 + eta + rng.normal(size=n),
        l=pd.cut(eta + rng.logistic(size=n), [-np.inf, -1, 0.5, np.inf], labels=list("abc")),
    )


def fitted_of(case, survey):
    formula, family = MODELS[case]
    link = "probit" if case == "probit" else None
    model = mrp.Model(formula, survey, family=family, link=link, priors="brms")
    parts = (model.design, model.observed, model.priors)
    means = population_means(*parts, model.by_level)
    problem, x = problem_of(*parts, model._family, model.link, model.by_level, means)
    return model, problem, settle(problem, x)


def dense(information):
    """Information about coefficients and effects as one matrix."""
    across = information.across
    return np.block([[information.population, across.T], [across, information.effects.toarray()]])


def prior_precision(problem, covariances):
    """Q of the effects, as a dense matrix, group by group."""
    result = np.zeros((len(problem.precision) + problem.columns.size,) * 2)
    for place, covariance in zip(problem.places, covariances, strict=True):
        for at in positions(place):
            result[np.ix_(at, at)] = np.linalg.inv(covariance)
    return result


@pytest.mark.parametrize("case", MODELS)
def test_predictors_are_those_of_the_design(case, survey):
    model, problem, _ = fitted_of(case, survey)
    rng = np.random.default_rng(1)
    x = rng.normal(size=len(problem.precision) + problem.columns.size)
    levels, p = model.by_level.predictors, len(problem.precision)
    rows, first = model.observed.rows, model.by_level.thresholds
    columns = rows.population() - population_means(
        model.design, model.observed, model.priors, model.by_level
    )
    expected = np.zeros((len(rows), levels))
    for k in range(levels):
        width = columns.shape[1]
        expected[:, k] = columns @ x[first:p][k * width : (k + 1) * width] + rows.offset()
        for place in problem.places:
            z, group = rows.effects(place.block), rows.groups[place.block.factor]
            for row in range(len(rows)):
                own = positions(place)[group[row]].reshape(levels, -1)[k]
                expected[row, k] += z[row] @ x[own]
    if first:
        expected = x[:first] - expected
    np.testing.assert_allclose(problem.columns.predictors(x), expected, atol=1e-12)


@pytest.mark.parametrize("case", MODELS)
def test_information_and_gradient_are_those_of_every_row_added_up(case, survey):
    _, problem, fitted = fitted_of(case, survey)
    size = len(fitted.x)
    each = [problem.columns.predictors(unit) for unit in np.eye(size)]
    nothing = problem.columns.predictors(np.zeros(size))
    loadings = np.stack([one - nothing for one in each], axis=-1)  # rows, predictors, size
    expected = np.zeros((size, size))
    for (j, k), weight in fitted.working.weight.items():
        for row, w in enumerate(weight):
            expected += w * np.outer(loadings[row, j], loadings[row, k])
    p = len(problem.precision)
    expected[np.arange(p), np.arange(p)] += problem.precision
    found = dense(fitted.information)
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())
    np.testing.assert_allclose(fitted.information.times(fitted.x), expected @ fitted.x, atol=1e-6)
    score = np.einsum("mks,mk->s", loadings, fitted.working.score)
    score[:p] -= problem.precision * (fitted.x[:p] - problem.location)
    np.testing.assert_allclose(fitted.score, score, atol=1e-8)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("case", MODELS)
def test_factor_solves_as_the_dense_matrix_does(case, sparse, survey, monkeypatch):
    _, problem, fitted = fitted_of(case, survey)
    if sparse:
        monkeypatch.setattr(factors, "LARGEST_DENSE", -1)
    rng = np.random.default_rng(2)
    covariances = []
    for place in problem.places:
        root = rng.normal(size=(place.width, place.width)) + 2 * np.eye(place.width)
        covariances.append(0.2 * root @ root.T)
    precisions = [np.linalg.inv(covariance) for covariance in covariances]
    found = Factor(fitted.information, precisions, problem.places)
    assert found.is_dense is not sparse
    matrix = dense(fitted.information) + prior_precision(problem, covariances)
    inverse = np.linalg.inv(matrix)
    y = rng.normal(size=(len(matrix), 3))
    near = {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose(found.solve(y), inverse @ y, **near)
    np.testing.assert_allclose(found.solve(y[:, 0]), inverse @ y[:, 0], **near)
    roughly = found.solve_roughly(y[:, 0], np.zeros(len(y)))
    np.testing.assert_allclose(matrix @ roughly, y[:, 0], atol=1e-4 * np.linalg.norm(y[:, 0]))
    assert found.log_determinant() == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-8)
    blocks, own = found.inverse_blocks(), found.conditional_blocks()
    for place, block, conditional in zip(problem.places, blocks, own, strict=True):
        for g, at in enumerate(positions(place)):
            np.testing.assert_allclose(block[g], inverse[np.ix_(at, at)], **near)
            alone = np.linalg.inv(matrix[np.ix_(at, at)])
            np.testing.assert_allclose(conditional[g], alone, **near)


def test_inverse_blocks_are_the_derivative_of_the_log_determinant(survey):
    _, problem, fitted = fitted_of("crossed", survey)
    precisions = [np.linalg.inv(covariance) for covariance in fitted.covariances]
    blocks = Factor(fitted.information, precisions, problem.places).inverse_blocks()
    for b, block in enumerate(blocks):
        direction = np.ones_like(precisions[b])
        step = 1e-5 * direction
        ends = [
            [own + sign * step if k == b else own for k, own in enumerate(precisions)]
            for sign in (1, -1)
        ]
        up, down = (
            Factor(fitted.information, end, problem.places).log_determinant() for end in ends
        )
        expected = (block.sum(axis=0) * direction).sum()
        assert (up - down) / 2e-5 == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("case", MODELS)
def test_rounds_end_where_the_density_of_coefficients_and_effects_is_highest(case, survey):
    _, problem, fitted = fitted_of(case, survey)
    pull = fitted.score - prior_precision(problem, fitted.covariances) @ fitted.x
    matrix = dense(fitted.information) + prior_precision(problem, fitted.covariances)
    away = np.linalg.solve(matrix, pull)  # to where it is, in units of coefficients
    assert np.abs(away * np.sqrt(np.diag(matrix))).max() < 0.2
    assert fitted.unsettled is None


def test_standard_deviations_are_found_on_any_scale(survey):
    """Of an outcome in other units, all but the smallest ones are those times the unit."""
    sds = []
    for unit in (1.0, 1e4):
        scaled = survey.assign(r=unit * survey["r"])
        fitted = fitted_of("measured", scaled)[2]
        sds.append([np.sqrt(np.diag(covariance)) / unit for covariance in fitted.covariances])
    np.testing.assert_allclose(np.concatenate(sds[0]), np.concatenate(sds[1]), rtol=0.1)


def test_a_coefficient_without_an_end_is_named(survey):
    separated = survey.assign(x=survey["y"] * 2.0 - 1.0)
    model = mrp.Model("y ~ x", separated, family="bernoulli", priors={"b": "flat", "x": "flat"})
    parts = (model.design, model.observed, model.priors)
    means = population_means(*parts, model.by_level)
    problem, x = problem_of(*parts, model._family, model.link, model.by_level, means)
    assert settle(problem, x).unsettled == 1
