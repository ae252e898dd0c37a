"""The kernel against `model.pymc`, and every geometry against the plain one."""

import inspect
from dataclasses import replace

import bambi
import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.coefficients import correlation_name, number_of
from mrp.levels import THRESHOLD
from mrp.model import graph
from mrp.model.kernel import density, geometry, header, layout, parts
from mrp.model.kernel.stages import arithmetic
from mrp.model.places import places_of
from mrp.model.predictors import stack

TRANSFORMS = ("log", "logodds", "interval", "ordered")

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
    "categorical, two factors": (
        "l3 ~ a*b + x + (1 + x | g) + (1 | h)",
        "categorical",
        None,
        {"b": "student_t(3, 0.2, 1)", "sd": "gamma(2, 1)", "cor": "lkj(2)"},
    ),
    "categorical, no intercept": ("l5 ~ 0 + a + offset(e) + (x || g)", "categorical", None, "brms"),
    "categorical, wide block": ("l4 ~ z + (a + x | g)", "categorical", None, "bambi"),
    "categorical, two levels": ("l2 ~ x + (1 | g)", "categorical", None, "brms"),
    "categorical, intercepts only": ("l5 ~ 1", "categorical", None, "bambi"),
    "categorical, effects only": ("l3 ~ 0 + (1 | g)", "categorical", None, "bambi"),
    "categorical, not centred": ("l3 ~ a + x + (x | g)", "categorical", None, "bambi"),
    "cumulative": ("l4 ~ a + x + offset(e) + (1 + x | g) + (1 | h)", "cumulative", None, "bambi"),
    "cumulative, probit": ("l5 ~ a + z + (x || g)", "cumulative", "probit", "brms"),
    "cumulative, cloglog": (
        "l3 ~ a + offset(e) + (1 | g)",
        "cumulative",
        "cloglog",
        {"b": "laplace(0, 1)", "threshold": "cauchy(0.2, 1)", "sd": "half_normal(0.3)"},
    ),
    "cumulative, two levels": ("l2 ~ a + (1 | g)", "cumulative", None, "brms"),
    "cumulative, thresholds only": ("l5 ~ 1", "cumulative", "probit", {"threshold": "flat()"}),
    "cumulative, effects only": ("l3 ~ 0 + (1 | g)", "cumulative", None, "bambi"),
    "cumulative, not centred": ("l4 ~ a + z + (z | g)", "cumulative", "cloglog", "bambi"),
    "sratio, prior of each": (
        "l4 ~ a*b + x + offset(e) + (1 + x | g) + (1 | h)",
        "sratio",
        None,
        {"threshold": bambi.Prior("Normal", mu=[-1.0, 0.0, 2.0], sigma=[0.5, 1.0, 2.0])},
    ),
    "sratio, probit": ("l5 ~ a + z + (x || g)", "sratio", "probit", "brms"),
    "sratio, cloglog": ("l3 ~ a + (1 | g)", "sratio", "cloglog", {"threshold": "flat()"}),
    "sratio, two levels": ("l2 ~ a + (1 | g)", "sratio", None, "bambi"),
    "sratio, thresholds only": ("l4 ~ 1", "sratio", None, "bambi"),
    "sratio, not centred": ("l3 ~ a + z + (z | g)", "sratio", "probit", "bambi"),
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
    table = table.assign(s=rng.binomial(table["n"], 0.4))
    return table.assign(**{f"l{k}": rng.integers(k, size=n) for k in (2, 3, 4, 5)})


def model_of(case, survey, **options):
    formula, family, link, priors = CASES[case]
    options |= {"family": family, "link": link, "priors": priors}
    return mrp.Model(formula, survey, center_predictors="not centred" not in case, **options)


def packed_of(model, chosen=None):
    parts = (model.design, model.observed, model.priors, model._family, model.link)
    return layout.pack(*parts, chosen, model.by_level)


def graph_point(model, packed, rng):
    """A random point of the graph's value variables, and the same point as q."""
    start = model.pymc.initial_point()
    point = {k: np.asarray(v) + 0.4 * rng.normal(size=np.shape(v)) for k, v in start.items()}

    def value(name):
        ends = [f"{name}_{transform}__" for transform in TRANSFORMS]
        return np.ravel(next(point[key] for key in (name, *ends) if key in point))

    def by_level(name, width):
        """The values of so many coefficients, level after level (levels, width x …)."""
        levels = model.by_level.predictors
        return np.moveaxis(value(name).reshape(width, levels, -1), 1, 0).reshape(levels, -1)

    centered = model.priors.centered and model.design.slopes
    found, levels = [], model.by_level.predictors
    if model.by_level.thresholds:
        found.append(value(graph.CENTERED_THRESHOLD if centered else THRESHOLD))
    terms = [(graph.CENTERED if centered and term.kind == "intercept" else term.name, term.width)
             for term in model.design.terms]  # fmt: skip
    found.append(np.hstack([np.zeros((levels, 0)), *(by_level(*term) for term in terms)]))
    if packed.auxiliary is not None:
        found.append(value(model._family.auxiliary))
    for b, place in enumerate(packed.places):
        terms = [(place.block.variable(term), term.width) for term in place.block.terms]
        found.append(np.hstack([by_level(f"{name}_sigma", width) for name, width in terms]))
        if place.pairs:
            name = correlation_name(place.block.factor, number_of(model.design, b))
            found.append(by_level(f"{name}_partial", place.pairs // levels))
        found.append(np.hstack([by_level(f"{name}_offset", width) for name, width in terms]))
    return point, np.concatenate([np.ravel(part) for part in found])


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
    model = model_of(case, survey, collapse=collapse)
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


def random_geometry(model, packed, rng, *, joint):
    """A geometry with everything in it, as unlike the plain one as possible.

    `joint` is how many of the blocks go with the coefficients, the last ones first.
    """
    p = packed.population
    plain = layout.plain_geometry(model.design, model._family, model.by_level)
    together = tuple(reversed(range(len(packed.places))))[:joint]
    n = p + sum(packed.places[b].width * packed.places[b].groups for b in together)
    conditional = {}
    for b, place in enumerate(packed.places):
        root = rng.normal(size=(place.groups, place.width, place.width))
        conditional[b] = layout.Conditional(
            root @ root.transpose(0, 2, 1),
            rng.normal(size=(place.groups, place.width)),
            0.1 * rng.normal(size=(place.groups, place.width, n)),
        )
    root = rng.normal(size=(n, n))
    return replace(
        plain,
        shift=rng.normal(size=p),
        transform=np.eye(p) + 0.1 * rng.normal(size=(p, p)),
        joint=together,
        curvature=root @ root.T + 5 * np.eye(n),
        score=rng.normal(size=n),
        centre=np.r_[0.3 * rng.normal(size=n - p), np.zeros(p)],
        bends=tuple(rng.uniform(size=(place.width, 2)) for place in packed.places),
        conditional={b: own for b, own in conditional.items() if b not in together},
    )


DIFFERENTIATED = [
    "logit, two factors",
    "poisson",
    "gaussian",
    "probit",
    "categorical, two factors",
    "cumulative",
    "cumulative, probit",
    "cumulative, not centred",
    "sratio, prior of each",
]


@pytest.mark.parametrize("joint", [0, 1, 2])
@pytest.mark.parametrize("case", DIFFERENTIATED)
def test_gradient_is_the_derivative_of_the_log_density(survey, case, joint):
    model = model_of(case, survey)
    rng = np.random.default_rng(1)
    packed = packed_of(model, random_geometry(model, packed_of(model), rng, joint=joint))
    q = 0.3 * rng.normal(size=packed.dim)
    gradient = packed.log_density(q)[1]
    step = 1e-6 * np.eye(packed.dim)
    numeric = [(packed.log_density(q + h)[0] - packed.log_density(q - h)[0]) / 2e-6 for h in step]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


def parameters_of(packed, q):
    """Constrained parameters of q in which the plain geometry and any other can be compared."""
    values = layout.coefficients_of(packed, q[None])[0]
    hyper = []
    for place, bends in zip(packed.places, packed.geometry.bends, strict=True):
        hyper += [
            layout.log_sd(q[place.sd : place.partial], bends),
            q[place.partial : place.effect],
        ]
    return np.concatenate([values, *hyper, q[packed.population :][: packed.auxiliary is not None]])


@pytest.mark.parametrize("joint", [0, 1, 2])
@pytest.mark.parametrize(
    ("outcome", "family"), [("y", "bernoulli"), ("l3", "categorical"), ("l4", "cumulative")]
)
def test_geometry_changes_the_density_by_its_jacobian_only(survey, outcome, family, joint):
    model = mrp.Model(f"{outcome} ~ x + (1 + x | g) + (1 | h)", survey, family=family)
    plain = packed_of(model)
    rng = np.random.default_rng(5)
    other = packed_of(model, random_geometry(model, plain, rng, joint=joint))

    def density_of_parameters(packed, q):
        step = 1e-6 * np.eye(packed.dim)
        columns = [(parameters_of(packed, q + h) - parameters_of(packed, q - h)) / 2e-6
                   for h in step]  # fmt: skip
        return packed.log_density(q)[0] - np.linalg.slogdet(np.array(columns))[1]

    def plain_point(target):
        """The q of the plain geometry with the same parameters, by Newton's method."""
        q = np.zeros(plain.dim)
        hyper = np.concatenate([np.arange(place.sd, place.effect) for place in plain.places])
        q[hyper] = target[-len(hyper) :]
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


@pytest.mark.parametrize(
    ("outcome", "family", "link"),
    [
        ("r", "gaussian", None),
        ("l4", "categorical", None),
        ("l4", "cumulative", "logit"),
        ("l3", "cumulative", "cloglog"),
        ("l5", "sratio", "probit"),
    ],
)
def test_chosen_geometry_makes_the_density_about_standard_normal(survey, outcome, family, link):
    model = mrp.Model(f"{outcome} ~ a + x + (1 | g)", survey, family=family, link=link)
    chosen = geometry.choose(
        model.design, model.observed, model.priors, model._family, model.link, model.by_level
    )
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


@pytest.mark.parametrize(
    ("outcome", "family"),
    [("c", "negativebinomial"), ("l4", "categorical"), ("l4", "cumulative"), ("l3", "sratio")],
)
def test_unpacked_draws_are_named_as_the_graph_names_them(survey, outcome, family):
    model = mrp.Model(f"{outcome} ~ a + (1 + x | g) + (0 + a || h)", survey, family=family)
    packed = packed_of(model)
    draws = np.random.default_rng(0).normal(size=(2, 3, packed.dim))
    dataset = layout.unpack(packed, model.design, model._family, draws, model.by_level)
    assert list(dataset.data_vars) == graph.variables(model.design, model._family)
    for name in dataset.data_vars:
        assert dataset[name].dims[:2] == ("chain", "draw")
        expected = model.pymc.named_vars_to_dims.get(name, ())
        assert dataset[name].dims[2:] == tuple(expected)
        for dim in expected:
            assert dataset[dim].values.tolist() == list(model.pymc.coords[dim])


VALUED = ["two factors", "wide block", "no intercept", "not centred"]


@pytest.mark.parametrize(
    "case",
    [*(f"categorical, {case}" for case in VALUED), "cumulative", "cumulative, not centred",
     "sratio, prior of each", "negative binomial, no intercept"],
)  # fmt: skip
def test_unpacked_draws_are_the_values_of_the_graph(survey, case):
    model = model_of(case, survey)
    packed = packed_of(model)
    point, q = graph_point(model, packed, np.random.default_rng(0))
    dataset = layout.unpack(packed, model.design, model._family, q[None, None], model.by_level)
    variables = [model.pymc[name] for name in dataset.data_vars]
    values = model.pymc.compile_fn(
        model.pymc.replace_rvs_by_values(variables), mode="FAST_COMPILE", on_unused_input="ignore"
    )(point)
    for name, value in zip(dataset.data_vars, values, strict=True):
        np.testing.assert_allclose(dataset[name][0, 0], value, rtol=1e-12, atol=1e-12, err_msg=name)


# --- levels far out and close together ------------------------------------------------------------


LOG_DENSITIES = {
    "logit": lambda t: -np.abs(t) - 2 * np.log1p(np.exp(-np.abs(t))),
    "probit": lambda t: -0.5 * t**2 - 0.5 * np.log(2 * np.pi),
    "cloglog": lambda t: t - np.exp(t),
}


def log_between(link, low, gap):
    """log(F(low + gap) - F(low)) by quadrature where the density is not negligible."""
    log_density = LOG_DENSITIES[link]
    before = np.clip(-low, 0.0, gap)  # the peak
    peak, total = low + before, 0.0
    node, weight = np.polynomial.legendre.leggauss(300)
    for sign, end in ((-1.0, before), (1.0, gap - before)):
        distances = np.geomspace(1e-9, 1e4, 2000)
        with np.errstate(over="ignore"):
            beyond = distances[log_density(peak + sign * distances) < log_density(peak) - 50]
        half = 0.5 * min([end, *beyond])
        inside = log_density(peak + sign * half * (node + 1)) - log_density(peak)
        total += half * (weight * np.exp(inside)).sum()
    return log_density(peak) + np.log(total)


def three_levels(family, link, seen):
    """Respondents at the levels seen of three, without predictors; the priors are flat."""
    priors = {"Intercept" if family == "categorical" else "threshold": "flat()"}
    table = pd.DataFrame({"l": [0, 1, 2]})
    model = mrp.Model("l ~ 1", table, family=family, link=link, priors=priors)
    return packed_of(model.with_outcome(seen))


FAR = {"logit": 700.0, "probit": 700.0, "cloglog": 6.0}


@pytest.mark.parametrize("gap", [1e-12, 1e-5, 0.009, 0.011, 0.3, 40.0])
@pytest.mark.parametrize("link", LOG_DENSITIES)
def test_a_level_between_thresholds_has_its_probability_anywhere(link, gap):
    packed = three_levels("cumulative", link, [1, 1, 1])
    for low in np.array([-1.0, -0.05, -0.01, -1e-3, 0.0, 1e-3, 0.02, 1.0]) * FAR[link]:
        value, gradient = packed.log_density(np.array([low, np.log(gap)]))
        wanted = log_between(link, low, gap)
        assert value == pytest.approx(3 * wanted + np.log(gap), rel=1e-10, abs=1e-10)
        ends = [np.exp(LOG_DENSITIES[link](t) - wanted) for t in (low, low + gap)]
        shift = ends[1] - ends[0]
        if gap < 1e-4:  # the derivative of the log density in the middle, as digits cancel
            middle = low + 0.5 * gap
            slopes = {"logit": -np.tanh(middle / 2), "probit": -middle,
                      "cloglog": 1 - np.exp(middle)}  # fmt: skip
            shift = slopes[link]
        expected = [3 * shift, 3 * gap * ends[1] + 1]
        np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seen", [[0, 1, 2], [0, 0, 0], [1, 1, 1], [2, 2, 2]])
@pytest.mark.parametrize(
    ("family", "link"),
    [("categorical", None), *((f, k) for f in ("cumulative", "sratio") for k in LOG_DENSITIES)],
)
def test_density_and_gradient_are_finite_far_out(family, link, seen):
    packed = three_levels(family, link, seen)
    for eta in (-700.0, -30.0, 0.0, 30.0, 700.0):
        second = -25.0 if family == "cumulative" else -0.5 * eta
        value, gradient = packed.log_density(np.array([eta, second]))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("family", ["categorical", "cumulative", "sratio"])
def test_a_level_that_nobody_has_any_more_does_not_spoil_the_geometry(survey, family):
    model = mrp.Model("l4 ~ a + (1 | g)", survey, family=family)
    for missing in range(4):
        fewer = np.where(survey["l4"] == missing, (missing + 1) % 4, survey["l4"])
        packed = model.with_outcome(fewer)._packed
        value, gradient = packed.log_density(packed.geometry.start)
        assert np.isfinite(value)
        assert np.abs(gradient).max() < 10


def test_rows_of_a_number_of_their_own_are_split_from_those_that_are_looked_up():
    rng = np.random.default_rng(0)
    n = 20_000
    table = pd.DataFrame({"a": rng.choice(list("xyz"), n), "x": rng.normal(size=n),
                          "y": rng.integers(0, 2, n)})  # fmt: skip
    model = mrp.Model("y ~ a + x", table, family="bernoulli")
    packed = packed_of(model)
    assert packed.ints[header.PARTS] == 2
    assert packed.ints[header.DISTINCT] == n + 3
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


def test_rows_are_in_the_same_order_in_every_linear_predictor(survey):
    """The kernel adds up the odds of a respondent's levels by position."""
    model = mrp.Model("l4 ~ a + z + (b | g) + (1 | h)", survey, family="categorical")
    rows = stack(model.observed, model._family, model.by_level)
    places = places_of(model.design, model._family, model.by_level)[0]
    own = parts.parts_of(model.design, model.observed.rows, places, model.by_level)
    order = parts.in_order(parts.stacked(own, rows, model.by_level)).reshape(3, -1)
    n = order.shape[1]
    np.testing.assert_array_equal(order - n * np.arange(3)[:, None], [order[0]] * 3)


def test_rows_that_add_to_the_same_sums_are_kept_apart():
    rng = np.random.default_rng(0)
    first, last = rng.integers(3, size=200), rng.integers(20, size=200)
    own = [parts.Part(np.zeros((3, 0)), np.zeros(0, int), index) for index in (first, last)]
    order = parts.in_order(own)
    assert sorted(order) == list(range(200))
    assert (np.diff(first[order]) >= 0).all()
    repeated = (np.diff(last[order]) == 0) & (np.diff(first[order]) == 0)
    assert repeated.sum() <= 3  # where only one sum of a run has rows left


def test_every_stage_of_a_model_is_among_those_that_are_compiled_beforehand(monkeypatch):
    compiled = []
    monkeypatch.setattr(density, "_compiled", compiled.append)
    density.compile_all()
    assert len(set(compiled)) == len(compiled)
    names = {stage.__name__ for stage in compiled}
    takes_what_stages_take = {
        name
        for name, function in vars(density).items()
        if inspect.isfunction(function)
        and list(inspect.signature(function).parameters)
        == ["q", "gradient", "ints", "index", "floats", "work"]
    }
    assert names == takes_what_stages_take
