"""`center_predictors`: on which intercept, or thresholds, the prior is."""

from __future__ import annotations

from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrp.coefficients import correlation_name, number_of
from mrp.errors import DataError, RequestError
from mrp.model import Model
from mrp.model.graph import CENTERED, CENTERED_THRESHOLD
from mrp.model.kernel import geometry, layout
from tests.draws import assert_distributed_as
from tests.messages import raises

MODE = "FAST_COMPILE"
DRAWS = 20_000


# --- prior draws ----------------------------------------------------------------------------------

GIVEN = {"Intercept": "normal(3, 0.5)", "b": "normal(1, 2)"}


def test_the_intercept_of_predictors_as_they_are_has_the_prior(people: pd.DataFrame):
    model = Model("y ~ x + age", people, priors=GIVEN, center_predictors=False)
    found = model.sample_prior(draws=DRAWS, seed=1).parameters
    assert_distributed_as(found["Intercept"], stats.norm(3, 0.5))
    assert_distributed_as(found["x"], stats.norm(1, 2))
    correlation = stats.spearmanr(found["Intercept"].values[0], found["x"].values[0]).statistic
    assert abs(correlation) < 4.5 / np.sqrt(DRAWS)


@pytest.mark.parametrize("family", ["cumulative", "sratio"])
def test_thresholds_of_predictors_as_they_are_have_the_prior(family: Any, people: pd.DataFrame):
    given = {"threshold": "normal(0, 1)", "x": "normal(2, 1)"}
    options = {"priors": given, "center_predictors": False}
    found = Model("k ~ x", people, family=family, **options).sample_prior(draws=DRAWS, seed=2)
    rank = stats.norm.cdf(found.parameters["threshold"].values[0])
    for k in range(2):
        order_statistic = stats.beta(k + 1, 2 - k) if family == "cumulative" else stats.uniform()
        assert_distributed_as(rank[:, k], order_statistic)


@pytest.mark.parametrize("center", [True, False])
def test_only_a_centred_prior_says_the_same_wherever_zero_is(center: bool, people: pd.DataFrame):
    """Predictions of a predictor measured from elsewhere, draw by draw."""
    etas = []
    for survey in (people, people.assign(x=people["x"] + 5.0)):
        model = Model("y ~ x", survey, priors=GIVEN, center_predictors=center)
        fit = model.sample_prior(draws=50, seed=3)
        etas.append(model.design.rows(survey).population() @ fit.coefficients.population)
    assert np.allclose(etas[0], etas[1]) is center


def test_without_slopes_or_an_intercept_there_is_nothing_to_centre(people: pd.DataFrame):
    for formula in ("y ~ 1 + (1 | state)", "y ~ 0 + x + (1 | state)"):
        one, other = (
            Model(formula, people, center_predictors=c).sample_prior(draws=5, seed=1)
            for c in (True, False)
        )
        for name, array in one.parameters.items():
            np.testing.assert_array_equal(array, other.parameters[name])


# --- the graph ------------------------------------------------------------------------------------


def test_the_graph_has_the_prior_on_the_intercept_itself(people: pd.DataFrame):
    graph = Model("y ~ x + age", people, priors=GIVEN, center_predictors=False).pymc
    assert CENTERED not in graph.named_vars
    logp = graph.compile_logp(vars=[graph["Intercept"]], mode=MODE)
    point = graph.initial_point() | {"Intercept": np.array(1.7), "x": np.array(9.0)}
    assert float(logp(point)) == pytest.approx(stats.norm(3, 0.5).logpdf(1.7))


def test_the_graph_has_the_prior_on_the_thresholds_themselves(people: pd.DataFrame):
    options = {"priors": {"threshold": "normal(1, 2)"}, "center_predictors": False}
    graph = Model("k ~ x", people, family="sratio", **options).pymc
    assert CENTERED_THRESHOLD not in graph.named_vars
    logp = graph.compile_logp(vars=[graph["threshold"]], mode=MODE)
    point = graph.initial_point() | {"threshold": np.array([0.5, -2.0])}
    assert float(logp(point)) == pytest.approx(stats.norm(1, 2).logpdf([0.5, -2.0]).sum())


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("vote ~ age * x + (sex + x | state)", "bernoulli"),
        ("y ~ x + sex + (x | state)", "gaussian"),
        ("count ~ age + offset(log(z)) + (1 | state)", "poisson"),
    ],
)
def test_the_density_is_bambi_s_of_predictors_as_they_are(
    formula: str, family: Any, people: pd.DataFrame
):
    options = {"family": family, "correlated": False, "center_predictors": False}
    model = Model(formula, people, **options)
    model.bambi.build()
    ours, theirs = model.pymc, model.bambi.backend.model
    densities = [graph.compile_logp(mode=MODE) for graph in (ours, theirs)]
    rng = np.random.default_rng(2)
    for _ in range(2):
        point = {k: rng.normal(0, 0.5, v.shape) for k, v in ours.initial_point().items()}
        # groups come first in Bambi
        other = {k: v.T if k.endswith("_offset") else v for k, v in point.items()}
        value, wanted = densities[0](point), densities[1](other)
        assert float(value) == pytest.approx(float(wanted), rel=0, abs=1e-8)


# --- the kernel -----------------------------------------------------------------------------------

CASES = {
    "logit, correlated": ("vote ~ age * x + (sex + x | state)", "bernoulli"),
    "binomial": ("p(wins, trials) ~ x + (1 | state)", "binomial"),
    "gaussian": ("y ~ x + sex + offset(z) + (x | state)", "gaussian"),
    "poisson": ("count ~ age + x + (1 | state)", "poisson"),
    "negative binomial": ("count ~ x + (x || state)", "negativebinomial"),
}


def model_of(case: str, people: pd.DataFrame) -> Model:
    formula, family = CASES[case]
    priors = {"Intercept": "normal(1, 0.3)", "sd": "exponential(1)"}
    return Model(formula, people, family=family, priors=priors, center_predictors=False)  # type: ignore[arg-type]


def parts_of(model: Model, packed: layout.Packed) -> list[tuple[str, slice]]:
    """The graph's value variables in the order of the kernel's q."""
    names = [term.name for term in model.design.terms]
    names += [f"{name}_log__" for name in model.priors.auxiliary]
    for b, block in enumerate(model.design.blocks):
        variables = [block.variable(term) for term in block.terms]
        names += [f"{name}_sigma_log__" for name in variables]
        if packed.places[b].pairs:
            name = correlation_name(block.factor, number_of(model.design, b))
            names.append(f"{name}_partial_logodds__")
        names += [f"{name}_offset" for name in variables]
    sizes = [np.size(model.pymc.initial_point()[name]) for name in names]
    ends = np.cumsum(sizes)
    return [(name, slice(e - s, e)) for name, s, e in zip(names, sizes, ends, strict=True)]


def packed_of(model: Model, chosen: layout.Geometry | None = None) -> layout.Packed:
    return layout.pack(
        model.design, model.observed, model.priors, model._family, model.link, chosen
    )


@pytest.mark.parametrize("case", CASES)
def test_log_density_and_gradient_are_those_of_the_graph(case: str, people: pd.DataFrame):
    model = model_of(case, people)
    packed = packed_of(model)
    assert not packed.means.any()
    parts, start = parts_of(model, packed), model.pymc.initial_point()
    logp, dlogp = model.pymc.compile_logp(mode=MODE), model.pymc.compile_dlogp(mode=MODE)
    ours, theirs = [], []
    for seed in range(3):
        q = 0.4 * np.random.default_rng(seed).standard_normal(packed.dim)
        point = {name: q[part].reshape(np.shape(start[name])) for name, part in parts}
        value, gradient = packed.log_density(q)
        ours.append(value)
        theirs.append(float(logp(point)))
        by_name = np.split(dlogp(point), np.cumsum([v.size for v in start.values()])[:-1])
        found = dict(zip(start, by_name, strict=True))
        wanted = np.concatenate([found[name] for name, _ in parts])
        np.testing.assert_allclose(gradient, wanted, rtol=1e-8, atol=1e-8 * np.abs(wanted).max())
    differences = np.subtract(ours, theirs)
    np.testing.assert_allclose(differences, differences[0], rtol=0, atol=1e-8)


def test_the_kernel_s_first_coefficient_is_the_intercept_of_predictors_as_they_are(
    people: pd.DataFrame,
):
    options = {"priors": {"Intercept": "normal(1, 0.3)"}, "center_predictors": False}
    model = Model("count ~ age + x", people, family="poisson", **options)
    parts = (model.design, model.observed, model.priors, model._family, model.link)
    chosen = geometry.choose(*parts)
    packed = packed_of(model, chosen)
    q = np.random.default_rng(1).standard_normal((2, packed.dim))
    wanted = chosen.shift + q @ chosen.transform.T
    np.testing.assert_allclose(layout.coefficients_of(packed, q), wanted, rtol=1e-10)
    found = layout.unpack(packed, model.design, model._family, q[None])
    np.testing.assert_allclose(found["Intercept"][0], wanted[:, 0], rtol=1e-10)


@pytest.mark.slow
def test_both_engines_sample_the_same_posterior(people: pd.DataFrame):
    """A prior far from the data, in the middle of which its predictors are not."""
    given = {"Intercept": "normal(-2, 0.2)", "x": "normal(0, 1)"}
    survey = people.assign(x=people["x"] + 3.0)
    model = Model("y ~ x", survey, priors=given, center_predictors=False)
    run = {"draws": 1000, "tune": 500, "chains": 4, "seed": 1, "progress": False}
    one, other = (model.sample(engine=engine, **run).parameters for engine in ("kernel", "pymc"))
    for name in ("Intercept", "x", "sigma"):
        errors = [float(arviz_stats.mcse(found[[name]])[name]) for found in (one, other)]
        away = float(one[name].mean() - other[name].mean())
        assert abs(away) < 4.5 * np.hypot(*errors)


# --- the switch -----------------------------------------------------------------------------------


def test_a_model_of_other_data_or_another_outcome_keeps_the_switch(people: pd.DataFrame):
    model = Model("y ~ x", people, priors=GIVEN, center_predictors=False)
    for other in (model, model.with_data(people), model.with_outcome(people["y"] + 1)):
        assert not other.priors.centered
        assert not other.bambi.center_predictors
    assert Model("y ~ x", people).priors.centered


@pytest.mark.parametrize(
    ("formula", "centered", "note"),
    [
        ("y ~ x", True, "centred"),
        ("y ~ x", False, ""),
        ("y ~ (1 | state)", True, ""),
    ],
)
def test_the_table_of_priors_says_which_intercept_is_meant(
    formula: str, centered: bool, note: str, people: pd.DataFrame
):
    table = Model(formula, people, center_predictors=centered).prior_summary()
    assert table["note"].tolist() == [note, *[""] * (len(table) - 1)]


def test_thresholds_have_the_note_too(people: pd.DataFrame):
    table = Model("k ~ x", people, family="cumulative").prior_summary()
    assert table["note"].tolist() == [*["centred"] * 2, ""]


def test_the_formula_of_brms_for_it_is_refused_with_the_switch(people: pd.DataFrame):
    with pytest.raises(DataError) as caught:
        Model("y ~ 0 + Intercept + x", people)
    assert str(caught.value).endswith(
        " Leave `0 + Intercept` out of the formula and pass center_predictors=False."
    )


@pytest.mark.parametrize("name", ["center_predictors", "collapse", "correlated"])
def test_switches_are_true_or_false(name: str, people: pd.DataFrame):
    with raises(RequestError, f"`{name}` must be True or False, got 'no'."):
        Model("y ~ x", people, **{name: "no"})
