"""The kernel against `model.pymc`, and every geometry against the plain one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.coefficients import correlation_name, number_of
from mrp.model import graph
from mrp.model.kernel import arithmetic, density, geometry, layout

TRANSFORMS = ("log", "logodds", "interval")

CASES = {
    "logit, two factors": ("y ~ a*b + x + (1 + x | g) + (1 | h)", "bernoulli", None, "bambi"),
    "logit, wide block": ("y ~ a + (1 + x + a | g)", "bernoulli", None, "brms"),
    "probit": ("y ~ a + x + (1 + x | g)", "bernoulli", "probit", "brms"),
    # narrow, since log(1 - p) is lost in PyMC's plain compilation mode where p rounds to one
    "cloglog, independent": (
        "y ~ a + (x || g)",
        "bernoulli",
        "cloglog",
        {"Intercept": "normal(0, 0.3)", "sd": "half_normal(0.3)"},
    ),
    "binomial, offset, crossed": (
        "p(s, n) ~ a + z + offset(e) + (1 | g:h)",
        "binomial",
        None,
        {"b": "student_t(3, 0, 1)", "sd": "exponential(2)", "Intercept": "cauchy(0, 1)"},
    ),
    "poisson": (
        "c ~ a + z + offset(e) + (b | g)",
        "poisson",
        None,
        {"b": "laplace(0, 1)", "sd": "gamma(2, 1)", "cor": "lkj(2)"},
    ),
    "poisson, identity": ("c ~ a", "poisson", "identity", {"Intercept": "normal(2, 0.1)"}),
    "gaussian": ("r ~ a + z + offset(e) + (b | g)", "gaussian", None, "brms"),
    "gaussian, log": ("r ~ a + (b | g)", "gaussian", "log", {"Intercept": "normal(0, 1)"}),
    "negative binomial, no intercept": ("c ~ 0 + a + z + (b + x | g)", "negativebinomial", None,
                                        "brms"),
    "negative binomial, half priors": (
        "c ~ z + (1 | g)",
        "negativebinomial",
        None,
        {"alpha": "half_cauchy(1)", "sd": "inv_gamma(2, 2)", "b": "cauchy(0, 1)"},
    ),
    "intercept only": ("y ~ 1", "bernoulli", None, "bambi"),
    "effects only": ("y ~ 0 + (1 | g)", "bernoulli", None, "bambi"),
}  # fmt: skip


@pytest.fixture(scope="module")
def survey():
    rng = np.random.default_rng(3)
    n = 300
    table = pd.DataFrame(
        {
            "a": rng.choice(list("xyz"), n),
            "b": rng.choice(list("pq"), n),
            "g": rng.choice(list("ABCDEFG"), n),
            "h": rng.choice(4, n),
            "x": rng.normal(size=n).round(1),
            "z": rng.normal(size=n).round(1) + 1,
            "e": rng.normal(size=n).round(1) * 0.1,
            "y": rng.integers(0, 2, n),
            "n": rng.integers(1, 9, n),
            "c": rng.poisson(2, n),
            "r": rng.normal(size=n) + 5,
        }
    )
    return table.assign(s=rng.binomial(table["n"], 0.4))


def packed_of(model, chosen=None):
    return layout.pack(
        model.design, model.observed, model.priors, model._family, model.link, chosen
    )


def graph_point(model, packed, rng):
    """A random point of the graph's value variables, and the same point as q."""
    start = model.pymc.initial_point()
    point = {k: np.asarray(v) + 0.4 * rng.normal(size=np.shape(v)) for k, v in start.items()}

    def value(name):
        ends = [f"{name}_{transform}__" for transform in TRANSFORMS]
        return np.ravel(next(point[key] for key in (name, *ends) if key in point))

    q = np.zeros(packed.dim)
    start = 0
    for term in model.design.terms:
        centered = term.kind == "intercept" and model.design.slopes
        q[start : start + term.width] = value(graph.CENTERED if centered else term.name)
        start += term.width
    if packed.auxiliary is not None:
        q[packed.auxiliary] = value(model._family.auxiliary)[0]
    for b, place in enumerate(packed.places):
        k = 0
        for term in place.block.terms:
            name, width = place.block.variable(term), term.width
            q[place.sd + k : place.sd + k + width] = value(f"{name}_sigma")
            own = slice(place.effect + k * place.groups, place.effect + (k + width) * place.groups)
            q[own] = value(f"{name}_offset")
            k += width
        if place.pairs:
            name = correlation_name(place.block.factor, number_of(model.design, b))
            q[place.partial : place.partial + place.pairs] = value(f"{name}_partial")
    return point, q


def graph_gradient(model, packed, point, flat):
    """The graph's gradient in the order of q, matched by moving each q a little in `point`."""
    names = [variable.name for variable in model.pymc.value_vars]
    sizes = [np.size(point[name]) for name in names]
    parts = dict(zip(names, np.split(flat, np.cumsum(sizes)[:-1]), strict=True))
    marked = {name: np.arange(s, dtype=float) for name, s in zip(names, sizes, strict=True)}
    marked = {name: marked[name] + 1000 * k for k, name in enumerate(names)}
    shaped = {name: marked[name].reshape(np.shape(point[name])) for name in names}
    order = order_of(model, packed, shaped)
    lookup = {
        key: value for name in names for key, value in zip(marked[name], parts[name], strict=True)
    }
    return np.array([lookup[key] for key in order])  # fmt: skip


def order_of(model, packed, point):
    """What `graph_point` makes of a point: here of marks instead of values."""

    class Marks:
        def normal(self, size):
            return np.zeros(size)

    original = model.pymc.initial_point
    try:
        model.pymc.initial_point = lambda: point
        return graph_point(model, packed, Marks())[1]
    finally:
        model.pymc.initial_point = original


@pytest.mark.parametrize("collapse", [True, False], ids=["collapsed", "each respondent"])
@pytest.mark.parametrize("case", CASES)
def test_log_density_and_gradient_are_those_of_the_graph(survey, case, collapse):
    formula, family, link, priors = CASES[case]
    model = mrp.Model(formula, survey, family=family, link=link, priors=priors, collapse=collapse)
    packed = packed_of(model)
    logp = model.pymc.compile_logp(mode="FAST_COMPILE")
    dlogp = model.pymc.compile_dlogp(mode="FAST_COMPILE")
    points = [graph_point(model, packed, np.random.default_rng(seed)) for seed in range(3)]
    theirs = np.array([float(logp(point)) for point, _ in points])
    ours = np.array([packed.log_density(q)[0] for _, q in points])
    np.testing.assert_allclose(ours - ours[0], theirs - theirs[0], rtol=1e-8, atol=1e-8)
    for point, q in points:
        gradient = packed.log_density(q)[1]
        expected = graph_gradient(model, packed, point, dlogp(point))
        np.testing.assert_allclose(
            gradient, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max()
        )


def random_geometry(model, packed, rng, *, followed):
    """A geometry with everything in it, as unlike the plain one as possible."""
    p = packed.population
    plain = layout.plain_geometry(model.design, model._family)
    blocks = []
    for place in packed.places:
        root = rng.normal(size=(place.groups, place.block.width, place.block.width))
        blocks.append(
            layout.Conditional(
                root @ root.transpose(0, 2, 1),
                rng.normal(size=(place.groups, place.block.width)),
                0.1 * rng.normal(size=(place.groups, place.block.width, p)),
            )
        )
    chosen = replace(
        plain,
        shift=rng.normal(size=p),
        transform=np.eye(p) + 0.1 * rng.normal(size=(p, p)),
        blocks=tuple(blocks),
    )
    if followed:
        root = rng.normal(size=(p, p))
        chosen = replace(chosen, followed=0, curvature=root @ root.T + 5 * np.eye(p))
    return chosen


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("case", ["logit, two factors", "poisson", "gaussian", "probit"])
def test_gradient_is_the_derivative_of_the_log_density(survey, case, followed):
    formula, family, link, priors = CASES[case]
    model = mrp.Model(formula, survey, family=family, link=link, priors=priors)
    rng = np.random.default_rng(1)
    packed = packed_of(model, random_geometry(model, packed_of(model), rng, followed=followed))
    q = 0.3 * rng.normal(size=packed.dim)
    gradient = packed.log_density(q)[1]
    step = 1e-6 * np.eye(packed.dim)
    numeric = [(packed.log_density(q + h)[0] - packed.log_density(q - h)[0]) / 2e-6 for h in step]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


def parameters_of(packed, q):
    """Constrained parameters of q in which the plain geometry and any other can be compared."""
    values = layout.coefficients_of(packed, q[None])[0]
    hyper = [q[p.sd : p.effect] for p in packed.places]
    return np.concatenate([values, *hyper, q[packed.population :][: packed.auxiliary is not None]])


@pytest.mark.parametrize("followed", [False, True])
def test_geometry_changes_the_density_by_its_jacobian_only(survey, followed):
    model = mrp.Model("y ~ x + (1 + x | g)", survey, family="bernoulli")
    plain = packed_of(model)
    rng = np.random.default_rng(5)
    other = packed_of(model, random_geometry(model, plain, rng, followed=followed))

    def density_of_parameters(packed, q):
        step = 1e-6 * np.eye(packed.dim)
        columns = [(parameters_of(packed, q + h) - parameters_of(packed, q - h)) / 2e-6
                   for h in step]  # fmt: skip
        return packed.log_density(q)[0] - np.linalg.slogdet(np.array(columns))[1]

    def plain_point(target):
        """The q of the plain geometry with the same parameters, by Newton's method."""
        q = np.zeros(plain.dim)
        q[plain.places[0].sd : plain.places[0].effect] = target[-3:]
        for _ in range(30):
            step = 1e-6 * np.eye(plain.dim)
            jacobian = np.array([(parameters_of(plain, q + h) - parameters_of(plain, q - h)) / 2e-6
                                 for h in step]).T  # fmt: skip
            q = q + np.linalg.solve(jacobian, target - parameters_of(plain, q))
        return q

    differences = []
    for _ in range(3):
        q = 0.3 * rng.normal(size=other.dim)
        same = plain_point(parameters_of(other, q))
        differences.append(density_of_parameters(other, q) - density_of_parameters(plain, same))
    np.testing.assert_allclose(differences, differences[0], atol=1e-5)


def test_chosen_geometry_makes_the_density_about_standard_normal(survey):
    model = mrp.Model("r ~ a + x + (1 | g)", survey, family="gaussian")
    chosen = geometry.choose(model.design, model.observed, model.priors, model._family, model.link)
    packed = packed_of(model, chosen)
    q = chosen.start
    step = 1e-5 * np.eye(packed.dim)
    hessian = np.array(
        [(packed.log_density(q + h)[1] - packed.log_density(q - h)[1]) / 2e-5 for h in step]
    )
    location = [*range(packed.population), *range(packed.places[0].effect, packed.dim)]
    curvature = np.linalg.eigvalsh(-hessian[np.ix_(location, location)])
    assert curvature.min() > 0.1
    assert curvature.max() < 3


def test_unpacked_draws_are_named_as_the_graph_names_them(survey):
    model = mrp.Model("c ~ a + (1 + x | g)", survey, family="negativebinomial")
    packed = packed_of(model)
    draws = np.random.default_rng(0).normal(size=(2, 3, packed.dim))
    dataset = layout.unpack(packed, model.design, model._family, draws)
    assert list(dataset.data_vars) == graph.variables(model.design, model._family)
    for name in dataset.data_vars:
        assert dataset[name].dims[:2] == ("chain", "draw")
        expected = model.pymc.named_vars_to_dims.get(name, ())
        assert dataset[name].dims[2:] == tuple(expected)
        for dim in expected:
            assert dataset[dim].values.tolist() == list(model.pymc.coords[dim])


def test_rows_of_a_number_of_their_own_are_split_from_those_that_are_looked_up():
    rng = np.random.default_rng(0)
    n = 20_000
    table = pd.DataFrame({"a": rng.choice(list("xyz"), n), "x": rng.normal(size=n),
                          "y": rng.integers(0, 2, n)})  # fmt: skip
    model = mrp.Model("y ~ a + x", table, family="bernoulli")
    packed = packed_of(model)
    assert packed.ints[density.PARTS] == 2
    assert packed.ints[density.DISTINCT] == n + 3
    value, gradient = packed.log_density(np.array([0.1, 0.2, -0.3, 0.5]))
    columns = np.column_stack([np.ones(n), table["a"] == "y", table["a"] == "z", table["x"]])
    centered = columns - np.array([0, *columns[:, 1:].mean(axis=0)])
    eta = centered @ np.array([0.1, 0.2, -0.3, 0.5])
    residual = table["y"] - 1 / (1 + np.exp(-eta))
    prior = [model.priors.population[t.name].values["sigma"] for t in model.design.terms]
    sigma = np.concatenate([np.broadcast_to(s, t.width) for s, t in
                            zip(prior, model.design.terms, strict=True)])  # fmt: skip
    expected = centered.T @ residual - np.array([0.1, 0.2, -0.3, 0.5]) / sigma**2
    np.testing.assert_allclose(gradient, expected, rtol=1e-9)
    assert np.isfinite(value)


def test_fast_functions_are_within_two_units_in_the_last_place():
    from numba import njit

    @njit
    def both(x):
        result = np.empty((2, len(x)))
        for i in range(len(x)):
            result[0, i] = arithmetic.fast_exp(x[i])
            result[1, i] = arithmetic.fast_log1p(min(abs(x[i]) / 800.0, 1.0))
        return result

    x = np.concatenate([np.linspace(-700, 700, 20_001), np.linspace(-1, 1, 2001)])
    exp, log1p = both(x)
    np.testing.assert_allclose(exp, np.exp(x), rtol=5e-16)
    np.testing.assert_allclose(log1p, np.log1p(np.minimum(np.abs(x) / 800, 1)), rtol=7e-16)


def test_fast_log_is_within_two_units_in_the_last_place_or_absolutely():
    from numba import njit

    @njit
    def log(x):
        result = np.empty(len(x))
        for i in range(len(x)):
            result[i] = arithmetic.fast_log(x[i])
        return result

    x = np.exp(np.concatenate([np.linspace(-700, 700, 20_001), np.linspace(-1, 1, 2001)]))
    np.testing.assert_allclose(log(x), np.log(x), rtol=5e-16, atol=3e-16)


def test_rows_that_add_to_the_same_sums_are_kept_apart():
    rng = np.random.default_rng(0)
    first, last = rng.integers(3, size=200), rng.integers(20, size=200)
    parts = [layout._Part(np.zeros((3, 0)), np.zeros(0, int), index) for index in (first, last)]
    order = layout._order(parts)
    assert sorted(order) == list(range(200))
    assert (np.diff(first[order]) >= 0).all()
    repeated = (np.diff(last[order]) == 0) & (np.diff(first[order]) == 0)
    assert repeated.sum() <= 3  # where only one sum of a run has rows left
