"""Distributions of priors: as users, Bambi and PreliZ write them, and their densities."""

from __future__ import annotations

from typing import Any

import bambi
import numpy as np
import preliz as pz
import pytest
from scipy import integrate, stats

from mrp.errors import PriorError
from mrp.model.distributions import DISTRIBUTIONS, fitted, make, parse, together, written
from tests.messages import raises

ALL = (
    "['normal', 'student_t', 'cauchy', 'laplace', 'flat', 'half_normal', 'half_student_t', "
    "'half_cauchy', 'half_flat', 'exponential', 'gamma', 'inv_gamma', 'lkj']"
)
PYMC_ALL = (
    "['Normal', 'StudentT', 'Cauchy', 'Laplace', 'Flat', 'HalfNormal', 'HalfStudentT', "
    "'HalfCauchy', 'HalfFlat', 'Exponential', 'Gamma', 'InverseGamma', 'LKJ']"
)
REAL = "['normal', 'student_t', 'cauchy', 'laplace', 'flat']"
POSITIVE = (
    "['half_normal', 'half_student_t', 'half_cauchy', 'half_flat', 'exponential', 'gamma', "
    "'inv_gamma']"
)

# --- written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("normal(0, 2.5)", "normal", {"mu": 0.0, "sigma": 2.5}),
        (" student_t( 3,-1,2.5 ) ", "student_t", {"nu": 3.0, "mu": -1.0, "sigma": 2.5}),
        ("cauchy(-1, 2)", "cauchy", {"alpha": -1.0, "beta": 2.0}),
        ("laplace(1e-1, .5)", "laplace", {"mu": 0.1, "b": 0.5}),
        ("double_exponential(0, 1)", "laplace", {"mu": 0.0, "b": 1.0}),
        ("flat()", "flat", {}),
        ("flat", "flat", {}),
        ("", "flat", {}),
        ("half_normal(1)", "half_normal", {"sigma": 1.0}),
        ("half_student_t(3, 2.5)", "half_student_t", {"nu": 3.0, "sigma": 2.5}),
        ("half_cauchy(1)", "half_cauchy", {"beta": 1.0}),
        ("half_flat()", "half_flat", {}),
        ("exponential(2)", "exponential", {"lam": 2.0}),
        ("gamma(2, 0.1)", "gamma", {"alpha": 2.0, "beta": 0.1}),
        ("inv_gamma(0.4, 0.3)", "inv_gamma", {"alpha": 0.4, "beta": 0.3}),
        ("lkj(2)", "lkj", {"eta": 2.0}),
    ],
)
def test_a_prior_reads_as_it_is_written(text: str, name: str, arguments: dict[str, float]):
    prior = parse(text)
    assert prior.name == name
    assert dict(prior.arguments) == arguments
    assert tuple(arguments) == DISTRIBUTIONS[name].arguments
    assert parse(str(prior)) == prior


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "normal(0, 1",
            f"`priors` must be written like 'normal(0, 1)', got 'normal(0, 1'. Available: {ALL}.",
        ),
        (
            "2 * normal(0, 1)",
            "`priors` must be written like 'normal(0, 1)', got '2 * normal(0, 1)'. Available: "
            f"{ALL}.",
        ),
        (
            "norml(0, 1)",
            f"`priors` must name a distribution, got 'norml'. Available: {ALL}. Did you mean "
            "'normal'?",
        ),
        (
            "Normal(0, 1)",
            f"`priors` must name a distribution, got 'Normal'. Available: {ALL}. Did you mean "
            "'normal'?",
        ),
        (
            "normal(0)",
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0)'.",
        ),
        (
            "normal(0, 1, 2)",
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0, 1, 2)'.",
        ),
        (
            "normal(0, , 1)",
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0, , 1)'.",
        ),
        (
            "normal(0, one)",
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0, one)'.",
        ),
        ("lkj", "`priors` must be written lkj(eta), a number for each, got 'lkj'."),
        ("flat(1)", "`priors` must be written flat(), got 'flat(1)'."),
        ("(0, 1)", "`priors` must be written flat(), got '(0, 1)'."),
        (
            "normal(0, -1)",
            "`priors` must have positive numbers for 'sigma' in normal(0, -1), got -1. Check the "
            "order of its arguments: normal(mu, sigma).",
        ),
        (
            "student_t(0, 3, 2.5)",
            "`priors` must have positive numbers for 'nu' in student_t(0, 3, 2.5), got 0. Check "
            "the order of its arguments: student_t(nu, mu, sigma).",
        ),
        (
            "normal(nan, 1)",
            "`priors` must have finite numbers for 'mu' in normal(nan, 1), got nan. Check the "
            "order of its arguments: normal(mu, sigma).",
        ),
        (
            "half_normal(inf)",
            "`priors` must have positive numbers for 'sigma' in half_normal(inf), got inf. Check "
            "the order of its arguments: half_normal(sigma).",
        ),
        (
            "gamma(0, 1)",
            "`priors` must have positive numbers for 'alpha' in gamma(0, 1), got 0. Check the "
            "order of its arguments: gamma(alpha, beta).",
        ),
    ],
)
def test_a_prior_that_does_not_parse_is_refused(text: str, message: str):
    with raises(PriorError, message):
        parse(text)


def test_a_cauchy_may_be_around_zero_or_less():
    assert parse("cauchy(0, 1)").values["alpha"] == 0
    assert parse("cauchy(-3, 1)").values["alpha"] == -3


def test_a_prior_with_a_number_for_each_coefficient_shows_them_all():
    prior = make("normal", mu=0.0, sigma=np.array([0.5, 12.34567]))
    assert str(prior) == "normal(0, [0.5, 12.34567])"
    assert prior.written(4) == "normal(0, [0.5, 12.35])"
    np.testing.assert_array_equal(prior.values["sigma"], [0.5, 12.34567])


# --- fit for a parameter --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "half"),
    [
        ("normal(0, 2)", "half_normal(2)"),
        ("student_t(3, 0, 2.5)", "half_student_t(3, 2.5)"),
        ("cauchy(0, 1)", "half_cauchy(1)"),
        ("flat()", "half_flat()"),
        ("exponential(1)", "exponential(1)"),
        ("gamma(2, 3)", "gamma(2, 3)"),
        ("half_normal(2)", "half_normal(2)"),
    ],
)
def test_a_positive_parameter_gets_the_positive_half(text: str, half: str):
    assert fitted(written(text, "sd"), "positive", "sd") == parse(half)


def test_a_prior_is_read_from_a_string_a_prior_or_bambi_s():
    wanted = parse("student_t(3, 1, 2)")
    given = bambi.Prior("StudentT", nu=3, mu=1, sigma=2)
    assert fitted(written("student_t(3, 1, 2)", "x"), "real", "x") == wanted
    assert fitted(written(wanted, "x"), "real", "x") == wanted
    assert fitted(written(given, "x"), "real", "x") == wanted


@pytest.mark.parametrize(
    ("prior", "support", "message"),
    [
        (
            "half_normal(1)",
            "real",
            "`priors` must give 'p' a distribution of real numbers, got half_normal(1). "
            f"Available: {REAL}.",
        ),
        (
            "laplace(0, 1)",
            "positive",
            "`priors` must give 'p' a distribution of positive numbers, got laplace(0, 1). "
            f"Available: {POSITIVE}.",
        ),
        (
            "normal(0, 1)",
            "correlation",
            "`priors` must give 'p' a distribution of correlations, got normal(0, 1). Available: "
            "['lkj'].",
        ),
        (
            "student_t(3, 1, 2)",
            "positive",
            "`priors` must have location 0 for 'p', which is positive, got student_t(3, 1, 2). "
            "Use a half prior, gamma or exponential.",
        ),
        (
            "cauchy(1, 2)",
            "positive",
            "`priors` must have location 0 for 'p', which is positive, got cauchy(1, 2). Use a "
            "half prior, gamma or exponential.",
        ),
        (
            3.0,
            "real",
            "`priors` must be a string such as 'normal(0, 1)', a bambi.Prior or a PreliZ "
            "distribution for 'p', got 3.0.",
        ),
        (
            bambi.Prior("VonMises", mu=0, kappa=1),
            "real",
            f"`priors` must name a distribution, got 'VonMises'. Available: {PYMC_ALL}.",
        ),
        (
            bambi.Prior("Gamma", mu=1, sigma=2),
            "positive",
            "`priors` must give Gamma its ['alpha', 'beta'], got Gamma(mu: 1.0, sigma: 2.0).",
        ),
        (
            bambi.Prior("Normal", mu=bambi.Prior("Normal", mu=0, sigma=1), sigma=2),
            "real",
            "`priors` must have numbers as arguments for 'p', got Normal(mu: Normal(mu: 0.0, "
            "sigma: 1.0), sigma: 2.0). Priors of hyperparameters are written for the "
            "group-specific sd's alone.",
        ),
    ],
)
def test_a_prior_that_does_not_fit_its_parameter_is_refused(prior: Any, support: Any, message: str):
    with raises(PriorError, message):
        fitted(written(prior, "p"), support, "p")


# --- PreliZ ---------------------------------------------------------------------------------------
# Stand-ins: what a PreliZ distribution has that is read, whether or not PreliZ is installed.


def preliz(name: str, param_names: tuple[str, ...], **arguments: Any) -> Any:
    """A distribution of a class of that name, with its arguments as attributes."""
    kind = type(name, (), {"__repr__": lambda self: f"{name}()"})
    distribution = kind()
    vars(distribution).update(arguments, param_names=param_names, params=())
    return distribution


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (preliz("Normal", ("mu", "sigma"), mu=0, sigma=2.5, tau=0.16), "normal(0, 2.5)"),
        (preliz("Normal", ("mu", "tau"), mu=1, sigma=0.5, tau=np.float64(4)), "normal(1, 0.5)"),
        (
            preliz("StudentT", ("nu", "mu", "sigma"), nu=3.0, mu=0.0, sigma=2.0, lam=0.25),
            "student_t(3, 0, 2)",
        ),
        (preliz("Cauchy", ("alpha", "beta"), alpha=-1.0, beta=2.0), "cauchy(-1, 2)"),
        (preliz("Laplace", ("mu", "b"), mu=0.0, b=2.0), "laplace(0, 2)"),
        (preliz("HalfNormal", ("sigma",), sigma=1.0, tau=1.0), "half_normal(1)"),
        (preliz("HalfStudentT", ("nu", "sigma"), nu=3.0, sigma=2.0, lam=0.25),
         "half_student_t(3, 2)"),
        (preliz("HalfCauchy", ("beta",), beta=1.0), "half_cauchy(1)"),
        (preliz("Exponential", ("scale",), lam=2.0, scale=0.5), "exponential(2)"),
        (preliz("Gamma", ("mu", "sigma"), mu=2.0, sigma=1.0, alpha=4.0, beta=2.0), "gamma(4, 2)"),
        (preliz("InverseGamma", ("alpha", "beta"), alpha=2.0, beta=3.0, mu=3.0, sigma=np.nan),
         "inv_gamma(2, 3)"),
    ],
)  # fmt: skip
def test_a_preliz_distribution_is_known_by_its_class_however_it_was_written(
    given: Any, wanted: str
):
    assert written(given, "p") == parse(wanted)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            preliz("VonMises", ("mu", "kappa"), mu=0, kappa=1),
            f"`priors` must name a distribution, got 'VonMises'. Available: {PYMC_ALL}.",
        ),
        (
            preliz("Normal", ("mu", "sigma"), mu=0, sigma=None),
            "`priors` must give Normal its ['sigma'], got Normal().",
        ),
        (
            preliz("Normal", ("mu", "sigma")),
            "`priors` must give Normal its ['mu', 'sigma'], got Normal().",
        ),
        (
            preliz("HalfNormal", ("sigma",), sigma=0.0),
            "`priors` must have positive numbers for 'sigma' in half_normal(0), got 0. Check the "
            "order of its arguments: half_normal(sigma).",
        ),
    ],
)
def test_a_preliz_distribution_that_is_not_settled_is_refused(given: Any, message: str):
    with raises(PriorError, message):
        written(given, "p")


def test_preliz_s_own_distributions_are_read():
    given = [pz.Normal(0, 2.5), pz.StudentT(3, 0, 2), pz.Gamma(mu=2, sigma=1), pz.HalfCauchy(1)]
    wanted = ["normal(0, 2.5)", "student_t(3, 0, 2)", "gamma(4, 2)", "half_cauchy(1)"]
    assert [str(written(prior, "p")) for prior in given] == wanted
    with raises(PriorError, f"`priors` must give Normal its ['mu', 'sigma'], got {pz.Normal()}."):
        written(pz.Normal(), "p")


# --- several coefficients -------------------------------------------------------------------------


def test_a_coefficient_s_prior_has_its_own_numbers():
    prior = make("normal", mu=0.0, sigma=np.array([0.5, 2.0]))
    assert [prior.of(k) for k in (0, 1)] == [parse("normal(0, 0.5)"), parse("normal(0, 2)")]


def test_priors_together_have_an_argument_for_each_where_they_differ():
    both = together([parse("normal(0, 0.5)"), parse("normal(0, 2)")])
    assert both == make("normal", mu=0.0, sigma=np.array([0.5, 2.0]))
    assert together([parse("flat()")] * 2) == parse("flat()")


def test_numbers_are_written_short():
    assert str(parse("normal(-1e6, 1e6)")) == "normal(-1e6, 1e6)"
    assert str(parse("normal(1e-5, 2.5e10)")) == "normal(1e-5, 2.5e10)"
    assert str(parse("normal(100, 0.1)")) == "normal(100, 0.1)"


# --- densities ------------------------------------------------------------------------------------

PROPER = [
    "normal(1, 2)",
    "student_t(3, 1, 2)",
    "cauchy(-1, 0.5)",
    "laplace(2, 0.3)",
    "half_normal(0.5)",
    "half_student_t(3, 2)",
    "half_cauchy(2)",
    "exponential(2)",
    "gamma(2, 3)",
    "inv_gamma(2, 3)",
    "lkj(1.5)",
]


@pytest.mark.parametrize("text", PROPER)
def test_the_density_between_quantiles_is_their_probability(text: str):
    prior = parse(text)
    assert prior.proper
    low, middle, high = prior.quantiles(np.array([0.05, 0.5, 0.95]))
    for a, b in ((low, middle), (middle, high)):
        assert integrate.quad(prior.density, a, b)[0] == pytest.approx(0.45, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("half_normal(2)", stats.halfnorm(0, 2)),
        ("half_cauchy(2)", stats.halfcauchy(0, 2)),
        ("exponential(4)", stats.expon(0, 0.25)),
        ("gamma(2, 4)", stats.gamma(2, scale=0.25)),
        ("inv_gamma(2, 4)", stats.invgamma(2, scale=4)),
    ],
)
def test_a_density_is_that_of_the_distribution(text: str, distribution: Any):
    x = np.array([0.1, 0.7, 2.0])
    np.testing.assert_allclose(parse(text).density(x), distribution.pdf(x), rtol=1e-12)


@pytest.mark.parametrize("width", [2, 3, 5])
def test_each_correlation_has_the_marginal_density_of_lkj(width: int):
    x = np.array([-0.5, 0.0, 0.8])
    shape = 2.0 - 1 + width / 2
    wanted = stats.beta(shape, shape, -1, 2).pdf(x)
    np.testing.assert_allclose(parse("lkj(2)").density(x, width), wanted, rtol=1e-12)


def test_a_flat_prior_is_not_proper():
    assert not parse("flat()").proper
    assert not fitted(parse("flat()"), "positive", "sd").proper
