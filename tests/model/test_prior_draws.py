"""Draws from the prior have the prior's distribution, up to Monte Carlo error.

Every draw is seeded, so that a test that passes once passes always; the tolerances are 4.5
standard errors.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from mrp.errors import PriorError, RequestError
from mrp.fit import Fit
from mrp.model import Model
from mrp.model.prior_draws import lkj_cholesky
from tests.draws import assert_distributed_as
from tests.messages import raises

DRAWS = 20_000


def assert_uncorrelated(a: Any, b: Any) -> None:
    """The rank correlation is that of independent draws."""
    correlation = stats.spearmanr(np.ravel(a), np.ravel(b)).statistic
    assert abs(correlation) < 4.5 / np.sqrt(np.size(a))


def draw(formula: str, survey: pd.DataFrame, priors: Any, **options: Any) -> xr.Dataset:
    return prior_fit(formula, survey, priors, **options).parameters


def prior_fit(
    formula: str, survey: pd.DataFrame, priors: Any, *, draws: int = DRAWS, seed: int = 1, **o: Any
) -> Fit:
    return Model(formula, survey, priors=priors, **o).sample_prior(draws=draws, seed=seed)


# --- each distribution ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prior", "distribution"),
    [
        ("normal(1, 2)", stats.norm(1, 2)),
        ("student_t(3, 1, 2)", stats.t(3, 1, 2)),
        ("cauchy(-1, 0.5)", stats.cauchy(-1, 0.5)),
        ("laplace(2, 0.3)", stats.laplace(2, 0.3)),
    ],
)
def test_a_coefficient_has_its_prior_s_distribution(
    prior: str, distribution: Any, people: pd.DataFrame
):
    found = draw("y ~ 1", people, {"Intercept": prior})
    assert_distributed_as(found["Intercept"], distribution)


@pytest.mark.parametrize(
    ("prior", "distribution"),
    [
        ("normal(0, 2)", stats.halfnorm(0, 2)),
        ("half_normal(0.5)", stats.halfnorm(0, 0.5)),
        ("half_cauchy(2)", stats.halfcauchy(0, 2)),
        ("exponential(2)", stats.expon(0, 0.5)),
        ("gamma(2, 3)", stats.gamma(2, scale=1 / 3)),
        ("inv_gamma(2, 3)", stats.invgamma(2, scale=3)),
    ],
)
def test_a_positive_parameter_has_its_prior_s_distribution(
    prior: str, distribution: Any, people: pd.DataFrame
):
    assert_distributed_as(draw("y ~ 1", people, {"sigma": prior})["sigma"], distribution)
    found = draw("y ~ 1 + (1 | state)", people, {"sd": prior})
    assert_distributed_as(found["1|state_sigma"], distribution)


def test_a_half_student_t_has_its_distribution(people: pd.DataFrame):
    draws = draw("y ~ 1", people, {"sigma": "half_student_t(3, 2)"})["sigma"]
    assert float(draws.min()) > 0
    # symmetric: below q with probability 2 F(q) - 1
    assert_distributed_as(stats.t(3, 0, 2).cdf(draws) * 2 - 1, stats.uniform(0, 1))


def test_each_coefficient_has_its_own_scale(people: pd.DataFrame):
    model = Model("y ~ x + age", people)
    draws = model.sample_prior(draws=DRAWS, seed=2).parameters["age"]
    scales = model.priors.population["age"].values["sigma"]
    assert draws.dims == ("chain", "draw", "age_dim")
    assert scales[0] != scales[1]
    for k, scale in enumerate(scales):
        assert_distributed_as(draws[..., k], stats.norm(0, scale))
    assert_uncorrelated(draws[..., 0], draws[..., 1])


# --- the intercept --------------------------------------------------------------------------------


def test_the_intercept_s_prior_is_that_of_centred_predictors(people: pd.DataFrame):
    priors = {"Intercept": "student_t(3, 5, 0.5)", "b": "normal(2, 3)"}
    found = draw("y ~ x + age + offset(z)", people, priors, seed=3)
    shift = (
        people["x"].mean() * found["x"]
        + (people["age"] == "mid").mean() * found["age"].sel(age_dim="mid")
        + (people["age"] == "old").mean() * found["age"].sel(age_dim="old")
    )
    assert_distributed_as(found["Intercept"] + shift, stats.t(3, 5, 0.5))
    assert_uncorrelated(found["Intercept"] + shift, found["x"])


def test_without_an_intercept_nothing_is_centred(people: pd.DataFrame):
    found = draw("y ~ 0 + x + age", people, {"b": "normal(0, 3)"})
    assert "Intercept" not in found
    assert found.sizes["age_dim"] == 3
    assert_distributed_as(found["age"], stats.norm(0, 3))


# --- effects --------------------------------------------------------------------------------------


def test_effects_have_the_sd_and_the_correlation_of_their_draw(people: pd.DataFrame):
    priors = {"sd": "gamma(2, 1)", "cor": "lkj(1)"}
    found = draw("y ~ (sex + x | state)", people, priors, seed=4)
    whitened = whiten(
        found, ["1|state", "sex|state", "x|state"], found["state_cor"].values[0], "woman"
    )
    assert_distributed_as(whitened, stats.norm(0, 1))
    flat = whitened.transpose(1, 0, 2).reshape(3, -1)
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert_uncorrelated(flat[i], flat[j])
    for group in range(1, whitened.shape[2]):
        assert_uncorrelated(whitened[:, :, 0], whitened[:, :, group])


def whiten(found: xr.Dataset, names: list[str], pairs: Any, level: str) -> Any:
    """Standard normals (draw, effect, group), if effects are N(0, diag(sd) R diag(sd))."""
    effects, sds = [], []
    for name in names:
        effect, sd = found[name], found[f"{name}_sigma"]
        if "sex__expr_dim" in effect.dims:
            effect, sd = effect.sel(sex__expr_dim=level), sd.sel(sex__expr_dim=level)
        effects.append(effect.values[0])
        sds.append(sd.values[0])
    correlation = np.tile(np.eye(len(names)), (found.sizes["draw"], 1, 1))
    lower = np.tril_indices(len(names), -1)
    correlation[:, lower[0], lower[1]] = pairs
    correlation[:, lower[1], lower[0]] = pairs
    standard = np.stack(effects, axis=1) / np.stack(sds, axis=1)[:, :, None]
    return np.linalg.solve(np.linalg.cholesky(correlation), standard)


@pytest.mark.parametrize("options", [{"correlated": False}, {}])
def test_effects_are_independent_where_they_are_not_correlated(
    options: dict[str, bool], people: pd.DataFrame
):
    formula = "y ~ (x | state)" if options else "y ~ (x || state)"
    found = draw(formula, people, {"sd": "half_normal(1)"}, **options)
    assert "state_cor" not in found
    assert_uncorrelated(
        found["1|state"] / found["1|state_sigma"], found["x|state"] / found["x|state_sigma"]
    )


# --- correlations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("concentration", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("width", [2, 3, 4])
def test_every_correlation_has_the_marginal_beta_distribution_of_lkj(
    width: int, concentration: float
):
    factor = lkj_cholesky(np.random.default_rng(width), width, concentration, DRAWS)
    correlation = factor @ factor.transpose(0, 2, 1)
    np.testing.assert_allclose(np.diagonal(correlation, axis1=1, axis2=2), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(np.triu(factor, 1), 0.0)
    shape = concentration - 1 + width / 2
    for i in range(width):
        for j in range(i):
            assert_distributed_as(correlation[:, i, j], stats.beta(shape, shape, -1, 2))


@pytest.mark.parametrize("concentration", [1.0, 2.0])
def test_the_determinant_has_the_distribution_of_lkj(concentration: float):
    """A product of independent Betas (Lewandowski, Kurowicka and Joe 2009), for width 3."""
    rng = np.random.default_rng(8)
    factor = lkj_cholesky(rng, 3, concentration, DRAWS)
    determinant = np.diagonal(factor, axis1=1, axis2=2).prod(axis=1) ** 2
    # 1 - r^2 of partial correlations of order 0, 0 and 1
    a = concentration + np.array([0.5, 0.5, 0.0])
    moments = [np.prod([stats.beta(x, 0.5).moment(k) for x in a]) for k in (1, 2)]
    for k, moment in enumerate(moments, start=1):
        values = determinant**k
        assert abs(values.mean() - moment) < 4.5 * values.std() / np.sqrt(DRAWS)


def test_a_fit_s_correlations_have_the_prior_given(people: pd.DataFrame):
    found = draw("y ~ (sex + x | state)", people, {"cor": "lkj(2)"})
    assert found["state_cor"].dims == ("chain", "draw", "state_cor_dim")
    for label in ("Intercept, sex[woman]", "Intercept, x", "sex[woman], x"):
        assert_distributed_as(
            found["state_cor"].sel(state_cor_dim=label), stats.beta(2.5, 2.5, -1, 2)
        )


# --- shape, seeds and refusals --------------------------------------------------------------------


def test_draws_have_the_names_and_dims_of_a_posterior(people: pd.DataFrame):
    model = Model("y ~ age * x + (sex | state) + (0 + x + z | state)", people)
    fit = model.sample_prior(draws=7, seed=1)
    assert fit.group == "prior"
    dims = {name: a.dims[2:] for name, a in fit.parameters.data_vars.items()}
    assert dims == {
        "Intercept": (),
        "age": ("age_dim",),
        "x": (),
        "age:x": ("age:x_dim",),
        "sigma": (),
        "1|state": ("state__factor_dim",),
        "1|state_sigma": (),
        "sex|state": ("sex__expr_dim", "state__factor_dim"),
        "sex|state_sigma": ("sex__expr_dim",),
        "state_cor": ("state_cor_dim",),
        "x|state": ("state__factor_dim",),
        "x|state_sigma": (),
        "z|state": ("state__factor_dim",),
        "z|state_sigma": (),
        "state_cor_2": ("state_cor_2_dim",),
    }
    for array in fit.parameters.data_vars.values():
        assert array.dims[:2] == ("chain", "draw")
        assert array.sizes["chain"] == 1
        assert array.sizes["draw"] == 7
    assert fit.coefficients.population.shape == (6, 7)


def test_the_same_seed_gives_the_same_draws_and_another_others(people: pd.DataFrame):
    formula, priors = "y ~ x + (sex | state)", {"cor": "lkj(2)"}
    first, again, other = (draw(formula, people, priors, draws=20, seed=seed) for seed in (5, 5, 6))
    xr.testing.assert_identical(first, again)
    for name in first.data_vars:
        assert not np.isclose(first[name], other[name]).any()


def test_draws_do_not_depend_on_whether_rows_are_collapsed(people: pd.DataFrame):
    formula = "y ~ x * age + (x | state)"
    both = [draw(formula, people, None, draws=20, collapse=c) for c in (True, False)]
    xr.testing.assert_allclose(both[0], both[1], rtol=1e-10)


@pytest.mark.parametrize(
    ("priors", "parameters", "classes"),
    [
        ("brms", ["age[mid]", "age[old]", "x"], ["b"]),
        ({"Intercept": "flat()"}, ["Intercept"], ["Intercept"]),
        ({"sigma": "flat()", "sd": ""}, ["sd(Intercept | state)", "sigma"], ["sd", "sigma"]),
    ],
)
def test_flat_priors_can_t_be_drawn_from_until_what_is_said_is_added(
    priors: Any, parameters: list[str], classes: list[str], people: pd.DataFrame
):
    formula = "y ~ age + x + (1 | state)"
    defaults = priors if isinstance(priors, str) else "bambi"
    add = ", ".join(f"{name}='normal(0, 1)'" for name in classes)
    message = (
        f"`priors` must be proper to be drawn from, got flat ones for {parameters}. Add {add} to "
        f"mrp.priors(defaults={defaults!r}, …)."
    )
    with raises(PriorError, message):
        Model(formula, people, priors=priors).sample_prior(draws=2)
    given = {"defaults": priors} if isinstance(priors, str) else priors
    advised = {**given, **dict.fromkeys(classes, "normal(0, 1)")}
    assert Model(formula, people, priors=advised).sample_prior(draws=2)


def test_draws_that_are_infinite_are_refused_with_the_prior(people: pd.DataFrame):
    model = Model("y ~ (1 | state)", people, priors={"sd": "inv_gamma(0.001, 0.001)"})
    with pytest.raises(PriorError) as caught:
        model.sample_prior(draws=2000, seed=1)
    assert re.fullmatch(
        r"`priors` must be drawn as finite numbers, got inv_gamma\(0.001, 0.001\) for '1\|state', "
        r"whose draws are infinite in \d+ of 2,000. Take one with thinner tails, such as "
        r"'half_student_t\(3, 2.5\)'.",
        str(caught.value),
    )


@pytest.mark.parametrize("seed", [-1, "a", 1.5, True])
def test_a_seed_is_a_whole_number(seed: Any, people: pd.DataFrame):
    model = Model("y ~ x", people)
    message = f"`seed` must be a whole number, 0 or more, or None, got {seed!r}. Usual: 1."
    for sampled in (model.sample_prior, model.sample):
        with raises(RequestError, message):
            sampled(seed=seed)
