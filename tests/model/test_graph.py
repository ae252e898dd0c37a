"""The PyMC model: Bambi's names, the priors asked for, and the linear predictor of the design."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import special, stats

from mrp.coefficients import read
from mrp.model import Model
from mrp.model.families import FAMILIES
from mrp.model.graph import CENTERED, variables

MODE = "FAST_COMPILE"

# --- names ----------------------------------------------------------------------------------------

FORMULAS = [
    ("y", "gaussian", "1"),
    ("y", "gaussian", "x"),
    ("y", "gaussian", "0 + x:education"),
    ("vote", "bernoulli", "age + x + (sex * x | state) + (1 | education)"),
    ("vote", "bernoulli", "education * age + S(education):x + (education * age | state)"),
    ("count", "poisson", "0 + poly(x, 2) + offset(z) + (1 | state:education) + (0 + k | state)"),
    ("count", "negativebinomial", "k + year + (1 | year)"),
    ("p(wins, trials)", "binomial", "sex:x + (1 | state / education)"),
    ("y", "gaussian", "poly(x, 2):sex + (poly(x, 2) * sex | state) + (x | k)"),
    ("y", "gaussian", "scale(x) + np.log(z) + T(age, 'old') + (T(age, 'old') | C(k))"),
]


@pytest.mark.parametrize(("outcome", "family", "predictors"), FORMULAS)
def test_variables_dims_and_coordinates_are_named_as_bambi_names_them(
    outcome: str, family: Any, predictors: str, people: pd.DataFrame
):
    model = Model(f"{outcome} ~ {predictors}", people, family=family)
    model.bambi.build()
    graph, theirs = model.pymc, model.bambi.backend.model
    ours = {v.name: graph.named_vars_to_dims.get(v.name) or () for v in parameters(graph)}
    wanted = {v.name: theirs.named_vars_to_dims.get(v.name) or () for v in parameters(theirs)}

    own = {CENTERED} | {name for name in ours if name.endswith(("_cor", "_cor_partial"))}
    assert set(ours) - own == {name for name, dims in wanted.items() if "__obs__" not in dims}
    for name in set(ours) - own:
        assert set(ours[name]) == set(wanted[name])
    assert [v.name for v in graph.observed_RVs] == [v.name for v in theirs.observed_RVs] or (
        family == "negativebinomial" and [p.name for p in graph.potentials] == [outcome]
    )

    coords = {k: [str(x) for x in labels] for k, labels in theirs.coords.items() if k != "__obs__"}
    assert {k: list(v) for k, v in graph.coords.items() if not k.endswith("_cor_dim")} == coords


def parameters(graph: Any) -> list[Any]:
    return [*graph.free_RVs, *graph.deterministics]


def test_groups_are_the_last_dim_as_in_bambi_s_posterior(people: pd.DataFrame):
    model = Model("y ~ (age | state)", people)
    dims = model.pymc.named_vars_to_dims
    assert tuple(dims["age|state"]) == ("age__expr_dim", "state__factor_dim")
    assert tuple(dims["age|state_sigma"]) == ("age__expr_dim",)
    assert tuple(dims["state_cor"]) == ("state_cor_dim",)
    assert list(model.pymc.coords["state_cor_dim"]) == [
        "Intercept, age[mid]",
        "Intercept, age[old]",
        "age[mid], age[old]",
    ]


@pytest.mark.parametrize(
    ("formula", "family", "kept"),
    [
        (
            "count ~ age + x + (x | state) + (1 | age)",
            "negativebinomial",
            "Intercept age x alpha 1|state_sigma x|state_sigma state_cor 1|age_sigma "
            "1|state x|state 1|age",
        ),
        (
            "vote ~ 0 + (x | state) + (0 + z + k | state)",
            "bernoulli",
            "1|state_sigma x|state_sigma state_cor z|state_sigma k|state_sigma state_cor_2 "
            "1|state x|state z|state k|state",
        ),
    ],
)
def test_a_fit_keeps_every_variable_but_those_of_the_sampler(
    formula: str, family: Any, kept: str, people: pd.DataFrame
):
    model = Model(formula, people, family=family)
    assert variables(model.design, FAMILIES[family]) == kept.split()
    assert set(kept.split()) <= set(model.pymc.named_vars)
    rest = {v.name for v in parameters(model.pymc)} - set(kept.split())
    assert all(re.search(r"(_offset|_cor(_2)?_partial|_centered)$", name) for name in rest)


# --- Bambi's density ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "family", "link"),
    [
        ("vote ~ age * x + (sex + x | state) + (1 | education)", "bernoulli", "logit"),
        ("vote ~ 0 + education + x:sex + (1 | state / year)", "bernoulli", "cloglog"),
        ("p(wins, trials) ~ S(age) + scale(x) + (0 + age | state)", "binomial", "logit"),
        ("y ~ x + sex + (x | state:age)", "gaussian", "identity"),
        ("count ~ age + offset(log(z)) + (sex | state)", "poisson", "log"),
        ("count ~ x + (x + age:x | state)", "negativebinomial", "log"),
    ],
)
def test_the_density_is_bambi_s_where_effects_are_independent(
    formula: str, family: Any, link: Any, people: pd.DataFrame
):
    model = Model(formula, people, family=family, link=link, correlated=False)
    model.bambi.build()
    ours, theirs = model.pymc, model.bambi.backend.model
    densities = [graph.compile_logp(mode=MODE) for graph in (ours, theirs)]
    rng = np.random.default_rng(2)
    for _ in range(2):
        point = {k: rng.normal(0, 0.5, v.shape) for k, v in ours.initial_point().items()}
        value, wanted = densities[0](point), densities[1](as_in_bambi(point))
        # Bambi's 1 - exp(-exp(x)) loses digits where it is small
        lost = 1e-6 if link == "cloglog" else 1e-8
        assert float(value) == pytest.approx(float(wanted), rel=0, abs=lost)


def as_in_bambi(point: dict[str, Any]) -> dict[str, Any]:
    """The point in Bambi's graph: its intercept is the centred one, its groups come first."""
    names = {CENTERED: "Intercept"}
    return {
        names.get(name, name): value.T if name.endswith("_offset") else value
        for name, value in point.items()
    }


# --- priors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prior", "distribution"),
    [
        ("normal(1, 2)", stats.norm(1, 2)),
        ("student_t(3, 1, 2)", stats.t(3, 1, 2)),
        ("cauchy(-1, 0.5)", stats.cauchy(-1, 0.5)),
        ("laplace(2, 0.3)", stats.laplace(2, 0.3)),
        ("flat()", None),
    ],
)
def test_a_coefficient_has_its_prior_s_density(prior: str, distribution: Any, people: pd.DataFrame):
    graph = Model("y ~ x", people, priors={"x": prior}).pymc
    logp = graph.compile_logp(vars=[graph["x"]], mode=MODE)
    for x in (-3.0, 0.1, 2.0):
        wanted = 0.0 if distribution is None else distribution.logpdf(x)
        assert float(logp(graph.initial_point() | {"x": np.array(x)})) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("prior", "density"),
    [
        ("half_normal(0.5)", stats.halfnorm(0, 0.5).logpdf),
        ("half_student_t(3, 2)", lambda x: np.log(2) + stats.t(3, 0, 2).logpdf(x)),
        ("half_cauchy(2)", stats.halfcauchy(0, 2).logpdf),
        ("half_flat()", lambda x: 0.0),
        ("exponential(2)", stats.expon(0, 0.5).logpdf),
        ("gamma(2, 3)", stats.gamma(2, scale=1 / 3).logpdf),
        ("inv_gamma(2, 3)", stats.invgamma(2, scale=3).logpdf),
    ],
)
def test_a_positive_parameter_has_its_prior_s_density_on_the_log_scale(
    prior: str, density: Any, people: pd.DataFrame
):
    graph = Model("y ~ 1", people, priors={"sigma": prior}).pymc
    logp = graph.compile_logp(vars=[graph["sigma"]], mode=MODE)
    for raw in (-2.0, 0.3, 1.5):
        value = float(logp(graph.initial_point() | {"sigma_log__": np.array(raw)}))
        # PyMC has log 2 in single precision
        assert value == pytest.approx(density(np.exp(raw)) + raw, rel=0, abs=1e-8)


def test_each_coefficient_has_its_own_prior_where_several_are_given(people: pd.DataFrame):
    graph = Model("y ~ age", people).pymc
    scales = Model("y ~ age", people).priors.population["age"].values["sigma"]
    logp = graph.compile_logp(vars=[graph["age"]], mode=MODE)
    point = graph.initial_point() | {"age": np.array([0.5, -2.0])}
    wanted = stats.norm(0, scales).logpdf([0.5, -2.0]).sum()
    assert float(logp(point)) == pytest.approx(wanted)


# --- correlations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("concentration", [1.0, 2.0])
@pytest.mark.parametrize("effects", ["x", "x + z", "x + z + k"])
def test_the_correlation_matrix_has_the_density_of_lkj(
    effects: str, concentration: float, people: pd.DataFrame
):
    """Density of the raw parameters = density of the correlations x Jacobian, by differences."""
    graph = Model(f"y ~ ({effects} | state)", people, priors={"cor": f"lkj({concentration})"}).pymc
    logp = graph.compile_logp(vars=[graph["state_cor_partial"]], mode=MODE)
    (raw,) = [v for v in graph.value_vars if v.name.startswith("state_cor_partial")]
    correlations = graph.compile_fn(
        graph.replace_rvs_by_values([graph["state_cor"]])[0], inputs=[raw], mode=MODE
    )
    rng = np.random.default_rng(4)
    size = graph.initial_point()[raw.name].size
    width = effects.count("+") + 2
    for _ in range(3):
        at = rng.standard_normal(size)
        step = 1e-5 * np.eye(size)
        columns = [
            (correlations({raw.name: at + h}) - correlations({raw.name: at - h})) / 2e-5
            for h in step
        ]
        jacobian = np.linalg.slogdet(np.column_stack(columns)).logabsdet
        wanted = log_lkj(correlations({raw.name: at}), width, concentration) + jacobian
        value = float(logp(graph.initial_point() | {raw.name: at}))
        assert value == pytest.approx(wanted, rel=0, abs=1e-7)


def log_lkj(pairs: Any, width: int, eta: float) -> float:
    """Log density of the correlations below the diagonal, row by row.

    Its constant is equation 16 of Lewandowski, Kurowicka and Joe (2009).
    """
    matrix = np.eye(width)
    lower = np.tril_indices(width, -1)
    matrix[lower] = matrix.T[lower] = pairs
    assert np.linalg.eigvalsh(matrix).min() > 0
    k = np.arange(1, width)
    a = eta + (width - k - 1) / 2
    powers = ((2 * eta - 2 + width - k) * (width - k)).sum() * np.log(2)
    constant = powers + ((width - k) * special.betaln(a, a)).sum()
    return float((eta - 1) * np.log(np.linalg.det(matrix)) - constant)


# --- linear predictor -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "predictors",
    [
        "1",
        "x",
        "0 + x",
        "offset(z) + x",
        "age * x + offset(log(k)) + (sex + x | state)",
        "education + (1 | state) + (0 + x + age | state) + (1 | state:year)",
        "0 + education + (x || state) + (1 | k)",
        "0 + (1 | state)",
        "scale(x) + poly(z, 2) + (poly(x, 2) | state / year)",
        "S(age) * T(k, 2) + (0 + sex:age | state)",
    ],
)
@pytest.mark.parametrize("collapse", [True, False])
def test_the_likelihood_is_that_of_the_linear_predictor_that_a_fit_predicts(
    predictors: str, collapse: bool, people: pd.DataFrame
):
    model = Model(f"vote ~ {predictors}", people, family="bernoulli", collapse=collapse)
    graph = model.pymc
    likelihood = graph.compile_logp(vars=[*graph.observed_RVs, *graph.potentials], mode=MODE)
    rng = np.random.default_rng(5)
    point = {k: rng.normal(0.0, 0.7, v.shape) for k, v in graph.initial_point().items()}

    coefficients = read(model.design, values_at(graph, point))
    rows = model.design.rows(people)
    eta = rows.population() @ coefficients.population[:, 0] + rows.offset()
    for block, effects in zip(model.design.blocks, coefficients.effects, strict=True):
        of_group = effects[:, rows.groups[block.factor], 0].T
        eta = eta + (rows.effects(block) * of_group).sum(axis=1)
    wanted = stats.bernoulli(special.expit(eta)).logpmf(people["vote"]).sum()
    assert float(likelihood(point)) == pytest.approx(wanted, rel=0, abs=1e-9)


def values_at(graph: Any, point: dict[str, Any]) -> xr.Dataset:
    """Every parameter at a point, as one draw of one chain."""
    outs = parameters(graph)
    values = graph.compile_fn(
        graph.replace_rvs_by_values(outs),
        inputs=graph.value_vars,
        mode=MODE,
        on_unused_input="ignore",
    )(point)
    found = {
        variable.name: (
            ("chain", "draw", *(graph.named_vars_to_dims.get(variable.name) or
                                [f"{variable.name}_{k}" for k in range(np.ndim(value))])),
            np.asarray(value)[None, None],
        )
        for variable, value in zip(outs, values, strict=True)
    }  # fmt: skip
    used = {dim for dims, _ in found.values() for dim in dims}
    coords = {k: list(v) for k, v in graph.coords.items() if k in used}
    return xr.Dataset(found, coords=coords)


def test_the_intercept_s_prior_is_on_the_centred_one(people: pd.DataFrame):
    graph = Model("y ~ x + age", people, priors={"Intercept": "normal(3, 2)"}).pymc
    assert CENTERED in {v.name for v in graph.free_RVs}
    logp = graph.compile_logp(vars=[graph[CENTERED]], mode=MODE)
    point = graph.initial_point() | {CENTERED: np.array(1.7)}
    assert float(logp(point)) == pytest.approx(stats.norm(3, 2).logpdf(1.7))
    values = values_at(graph, point | {"x": np.array(0.5), "age": np.array([1.0, -2.0])})
    shift = 0.5 * people["x"].mean() + (people["age"] == "mid").mean()
    shift -= 2 * (people["age"] == "old").mean()
    assert float(values["Intercept"].squeeze()) == pytest.approx(1.7 - shift)


@pytest.mark.parametrize(
    ("formula", "family", "collapse", "distribution"),
    [
        ("vote ~ age", "bernoulli", True, "BinomialRV"),
        ("vote ~ age", "bernoulli", False, "BernoulliRV"),
        ("p(wins, trials) ~ age", "binomial", True, "BinomialRV"),
        ("count ~ age", "poisson", True, "PoissonRV"),
        ("y ~ age", "gaussian", True, "NormalRV"),
        ("count ~ age", "negativebinomial", False, "NegBinomialRV"),
    ],
)
def test_the_outcome_is_observed_under_its_own_name(
    formula: str, family: Any, collapse: bool, distribution: str, people: pd.DataFrame
):
    model = Model(formula, people, family=family, collapse=collapse)
    (observed,) = model.pymc.observed_RVs
    assert observed.name == formula.split(" ~ ")[0]
    assert type(observed.owner.op).__name__ == distribution
