"""Outcomes with several levels, from the formula to draws: categorical, cumulative, sratio."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from scipy import special, stats

import mrp
from mrp.checks.diagnostics import measure
from mrp.coefficients import read
from mrp.errors import DataError, FormulaError, PriorError, RequestError, SamplingWarning
from mrp.levels import probabilities
from mrp.model import Model
from mrp.model.families import find
from mrp.model.graph import CENTERED, CENTERED_THRESHOLD, variables
from mrp.model.priors import Priors, parse
from mrp.testing import fake_draws, fake_fit
from tests.messages import raises

MODE = "FAST_COMPILE"
FAMILIES = ["categorical", "cumulative", "sratio"]
ORDERED = ["cumulative", "sratio"]
LINKS = ["logit", "probit", "cloglog"]
CASES = [("categorical", "logit"), *itertools.product(ORDERED, LINKS)]
CDF = {
    "logit": special.expit,
    "probit": stats.norm.cdf,
    "cloglog": lambda z: -np.expm1(-np.exp(z)),
}
COMPLEMENT = {
    "logit": lambda z: special.expit(-z),
    "probit": stats.norm.sf,
    "cloglog": lambda z: np.exp(-np.exp(z)),
}


@pytest.fixture(scope="module")
def survey(people: pd.DataFrame) -> pd.DataFrame:
    """The people with outcomes that have levels, and few distinct rows."""
    rng, n = np.random.default_rng(7), len(people)
    trust = rng.choice(["low", "some", "high"], n, p=[0.3, 0.5, 0.2])
    return people.assign(
        trust=pd.Categorical(trust, ["low", "none", "some", "high", "total"], ordered=True),
        party=rng.choice(["red", "blue", "green", "other"], n),
        score=rng.integers(1, 5, n),
        agree=rng.random(n) < 0.4,
    )


def model(formula: str, survey: pd.DataFrame, family: Any, **options: Any) -> Model:
    return Model(formula, survey, family=family, **options)


# --- the outcome ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("outcome", "levels"),
    [
        ("trust", ("low", "some", "high")),
        ("party", ("blue", "green", "other", "red")),
        ("score", (1, 2, 3, 4)),
        ("vote", (0, 1)),
        ("agree", (False, True)),
        ("year", (2020, 2016, 2012)),
        ("C(trust, levels=order)", ("high", "some", "low")),
    ],
)
def test_levels_keep_their_order_or_are_sorted_and_those_nobody_has_are_left_out(
    outcome: str, levels: Any, family: str, survey: pd.DataFrame
):
    order = {"order": ["high", "some", "low"]}
    if outcome in ("party", "year") and family in ORDERED:
        survey = survey.assign(**{outcome: pd.Categorical(survey[outcome], levels, ordered=True)})
    found = model(f"{outcome} ~ x", survey, family, namespace=order).outcome
    assert found.levels == levels
    assert [type(level) for level in found.levels or ()] == [type(level) for level in levels]
    column = survey["trust" if "trust" in outcome else outcome]
    positions = [levels.index(value) for value in column.tolist()]
    np.testing.assert_array_equal(found.values, positions)


UNORDERED = {
    "strings": lambda v: pd.DataFrame({"trust": v}),
    "categories": lambda v: pd.DataFrame({"trust": pd.Series(v, dtype="category")}),
    "categories in their order": lambda v: pd.DataFrame({"trust": pd.Categorical(v, TRUST)}),
    "polars, strings": lambda v: pl.DataFrame({"trust": v}),
    "polars, Categorical": lambda v: pl.DataFrame({"trust": pl.Series(v, dtype=pl.Categorical)}),
    "polars, of ordered pandas": lambda v: pl.from_pandas(
        pd.DataFrame({"trust": pd.Categorical(v, TRUST, ordered=True)})
    ),
    "arrow": lambda v: pa.table({"trust": pa.array(v).dictionary_encode()}),
    "pandas, dictionary of arrow": lambda v: pd.DataFrame(
        {"trust": pd.arrays.ArrowExtensionArray(pa.array(v).dictionary_encode())}
    ),
}
TRUST = ["low", "mid", "high"]
CODES = {level: code for code, level in enumerate(TRUST)}
ORDERED_TYPES = {
    "pandas": lambda v: pd.DataFrame({"trust": pd.Categorical(v, TRUST, ordered=True)}),
    "polars, Enum": lambda v: pl.DataFrame({"trust": pl.Series(v, dtype=pl.Enum(TRUST))}),
    "arrow": lambda v: pa.Table.from_pandas(
        pd.DataFrame({"trust": pd.Categorical(v, TRUST, ordered=True)})
    ),
    "pandas, dictionary of arrow": lambda v: pd.DataFrame(
        {
            "trust": pd.arrays.ArrowExtensionArray(
                pa.DictionaryArray.from_arrays(
                    pa.array([CODES[x] for x in v]), pa.array(TRUST), ordered=True
                )
            )
        }
    ),
}


@pytest.mark.parametrize("family", ORDERED)
@pytest.mark.parametrize("kind", UNORDERED)
def test_an_order_must_be_said_by_the_type_of_an_ordered_outcome_or_by_levels(
    kind: str, family: str
):
    answers = ["high", "low", "mid", "low", "mid"]
    table, what = UNORDERED[kind](answers), "a categorical that is not ordered"
    message = (
        "`data` must say the order of the levels of the outcome 'trust', got "
        f"{'strings' if 'strings' in kind else what}, ['high', 'low', 'mid']. Say it to the model, "
        "the lowest first: levels={'trust': ['lowest', …, 'highest']}."
    )
    with raises(DataError, message):
        model("trust ~ 1", table, family)
    found = model("trust ~ 1", table, family, levels={"trust": TRUST}).outcome
    assert found.levels == tuple(TRUST)
    assert found.values.tolist() == [CODES[answer] for answer in answers]


@pytest.mark.parametrize("kind", ORDERED_TYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_a_type_that_has_one_is_the_outcome_s(kind: str, family: str):
    answers = ["high", "low", "mid", "low", "mid"]
    for permuted in (answers, answers[::-1], answers[2:] + answers[:2]):
        found = model("trust ~ 1", ORDERED_TYPES[kind](permuted), family).outcome
        assert found.levels == tuple(TRUST)
        assert found.values.tolist() == [CODES[answer] for answer in permuted]


@pytest.mark.parametrize("kind", UNORDERED)
def test_levels_without_an_order_are_sorted_whatever_the_order_of_rows(kind: str):
    wanted = TRUST if kind == "categories in their order" else sorted(TRUST)
    for answers in (["high", "low", "mid"], ["mid", "low", "high"], ["low", "high", "mid"]):
        found = model("trust ~ 1", UNORDERED[kind](answers), "categorical").outcome
        assert found.levels == tuple(wanted)
        assert found.values.tolist() == [wanted.index(answer) for answer in answers]


def test_numbers_of_an_unordered_categorical_say_their_order_if_they_rise(survey: pd.DataFrame):
    score = survey["score"]
    rising = survey.assign(score=score.astype("category"))
    assert model("score ~ x", rising, "cumulative").outcome.levels == (1, 2, 3, 4)
    other = survey.assign(score=pd.Categorical(score, [4, 3, 2, 1]))
    message = (
        "`data` must say the order of the levels of the outcome 'score', got a categorical that is "
        "not ordered, ['1', '2', '3', '4']. Say it to the model, the lowest first: "
        "levels={'score': ['lowest', …, 'highest']}."
    )
    with raises(DataError, message):
        model("score ~ x", other, "cumulative")


def test_an_outcome_that_is_computed_must_say_its_order_too(survey: pd.DataFrame):
    message = (
        "`data` must say the order of the levels of the outcome 'C(party)', got strings, ['blue', "
        "'green', 'other', 'red']. Make the outcome a column of the survey, and say the order to "
        "the model, the lowest first: levels={'column': ['lowest', …, 'highest']}."
    )
    with raises(DataError, message):
        model("C(party) ~ x", survey, "cumulative")


def test_whole_numbers_that_are_stored_as_floats_are_whole_numbers(survey: pd.DataFrame):
    found = model("score ~ x", survey.assign(score=survey["score"] * 1.0), "cumulative")
    assert found.outcome.levels == (1, 2, 3, 4)
    assert {type(level) for level in found.outcome.levels or ()} == {int}


def test_intervals_are_named(survey: pd.DataFrame):
    cut = survey.assign(third=pd.cut(survey["y"], [-np.inf, 0, 2, np.inf]))
    found = model("third ~ x", cut, "cumulative")
    assert found.outcome.levels == ("(-inf, 0.0]", "(0.0, 2.0]", "(2.0, inf]")


def test_other_families_have_no_levels(survey: pd.DataFrame):
    assert model("score ~ x", survey, "poisson").outcome.levels is None
    fit = fake_fit("vote ~ x", survey, family="bernoulli")
    assert fit.levels is None
    assert fit.coefficients.predictors == 1
    assert fit.coefficients.thresholds is None


MEANT = "Cut them into levels with pandas.cut, or pass family='gaussian' (measurements) or "


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("formula", "change", "error", "message"),
    [
        (
            "y ~ x",
            {"y": lambda d: np.arange(len(d)) + 0.5},
            DataError,
            "`data` must have at most 20 whole numbers as levels of the outcome 'y', got 150 "
            f"numbers, ['0.5', '1.5', '2.5', '3.5', … 146 more]. {MEANT}'poisson' (counts).",
        ),
        (
            "y ~ x",
            {"y": lambda d: np.arange(len(d)) % 21},
            DataError,
            "`data` must have at most 20 whole numbers as levels of the outcome 'y', got 21 "
            f"numbers, ['0', '1', '2', '3', … 17 more]. {MEANT}'poisson' (counts).",
        ),
        (
            "y ~ x",
            {"y": lambda d: np.where(d.index > 3, 1.0, np.inf)},
            DataError,
            "`data` must have finite numbers in the outcome 'y', got 4 that are not. Check the "
            "column.",
        ),
        (
            "party ~ x",
            {"party": lambda d: "red"},
            DataError,
            "`data` must have at least two levels in the outcome 'party', got ['red']. Use the "
            "whole survey.",
        ),
        (
            "party[red] ~ x",
            {},
            FormulaError,
            "`formula` must name the outcome alone where its family has all levels, got "
            "'party[red]'. Write 'party ~ …', or pass family='bernoulli'.",
        ),
        (
            "party ~ x",
            {"party": lambda d: pd.Timestamp("2024-11-05") + pd.to_timedelta(d["k"], "D")},
            DataError,
            "`data` must have numbers, strings or a categorical in 'party', got type "
            "'datetime64[us]' (first value {first!r}). Convert the column, for example with "
            "`astype(str)` or `astype('category')`.",
        ),
        (
            "party ~ x",
            {"party": lambda d: d["party"].where(d.index > 1)},
            DataError,
            "`data` must have no missing values in the columns that the formula uses, got 2 in "
            "'party' (of 150 rows). Fill them in, or leave those rows out yourself: "
            "`data.dropna(subset=['party'])`.",
        ),
    ],
)
def test_an_outcome_without_clear_levels_is_refused(
    formula: str, change: Any, error: Any, message: str, family: str, survey: pd.DataFrame
):
    changed = survey.assign(**{name: make(survey) for name, make in change.items()})
    first = changed[formula.split(" ~")[0]].iloc[0] if "{first" in message else None
    with raises(error, message.format(first=first) if first is not None else message):
        model(formula, changed, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_successes_of_trials_are_of_the_family_binomial(family: str, survey: pd.DataFrame):
    message = (
        f"`family` must be 'binomial' for the outcome 'p(wins, trials)', got {family!r}. Pass "
        "family='binomial'."
    )
    with raises(DataError, message):
        model("p(wins, trials) ~ x", survey, family)


@pytest.mark.parametrize("family", ["bernoulli", "gaussian", "poisson"])
def test_families_that_take_all_levels_are_named_where_another_is_asked_for(
    family: str, survey: pd.DataFrame
):
    message = (
        "`data` must have numbers in the outcome 'party', got levels ['blue', 'green', 'other', "
        "'red']. Say which level counts as 1: \"party['red'] ~ …\". For all levels pass "
        "family='categorical', or 'cumulative' if they have an order."
    )
    with raises(DataError, message):
        model("party ~ x", survey, family)


@pytest.mark.parametrize(("family", "link"), [("categorical", "softmax"), ("sratio", "log")])
def test_links_are_those_of_the_family(family: str, link: Any, survey: pd.DataFrame):
    links = ["logit"] if family == "categorical" else LINKS
    near = " Did you mean 'logit'?" if link == "log" else ""
    message = (
        f"`link` must be a link of the family {family!r}, got {link!r}. Available: {links}.{near}"
    )
    with raises(RequestError, message):
        model("party ~ x", survey, family, link=link)


# --- terms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ORDERED)
@pytest.mark.parametrize("predictors", ["x + age", "0 + x + age", "x + age - 1", "1 + x + age"])
def test_thresholds_stand_for_the_intercept(family: str, predictors: str, survey: pd.DataFrame):
    made = model(f"trust ~ {predictors}", survey, family)
    assert [term.name for term in made.design.terms] == ["x", "age"]
    assert made.design.terms[1].levels == ("mid", "old")
    assert made.formula == f"trust ~ {predictors}"


@pytest.mark.parametrize("family", ORDERED)
def test_thresholds_may_be_all_there_is(family: str, survey: pd.DataFrame):
    made = model("trust ~ 1", survey, family)
    assert made.design.terms == ()
    assert made.sample_prior(draws=5, seed=1).coefficients.population.shape == (0, 5)
    share = (survey["trust"].value_counts(normalize=True))[["low", "some", "high"]].to_numpy()
    inverse = special.logit(
        share.cumsum()[:2] if family == "cumulative" else share[:2] / [1, 1 - share[0]]
    )
    point = {made.pymc.value_vars[0].name: inverse}
    if family == "cumulative":
        point = {made.pymc.value_vars[0].name: [inverse[0], np.log(np.diff(inverse)[0])]}
    likelihood = made.pymc.compile_logp(vars=made.pymc.potentials, mode=MODE)
    point = {name: np.array(value) for name, value in point.items()}
    wanted = len(survey) * (share @ np.log(share))
    assert float(likelihood(point)) == pytest.approx(wanted, rel=1e-12)


def test_a_categorical_outcome_without_intercept_codes_a_factor_in_full(survey: pd.DataFrame):
    made = model("trust ~ 0 + age", survey, "categorical")
    assert made.design.terms[0].levels == ("young", "mid", "old")
    assert not made.design.has_intercept


# --- names ----------------------------------------------------------------------------------------

FORMULAS = [
    "1",
    "x",
    "0 + age",
    "x + age + sex + (x | state)",
    "age:sex + poly(x, 2) + (age | state) + (1 | education)",
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("outcome", ["trust", "party", "score"])
@pytest.mark.parametrize("predictors", FORMULAS)
def test_variables_dims_and_coordinates_are_named_as_bambi_names_them(
    family: str, outcome: str, predictors: str, survey: pd.DataFrame
):
    if outcome == "trust":
        survey = survey.assign(trust=survey["trust"].cat.remove_unused_categories())
    if outcome == "party" and family in ORDERED:
        survey = survey.assign(party=pd.Categorical(survey["party"], ordered=True))
    made = model(f"{outcome} ~ {predictors}", survey, family)
    made.bambi.build()
    graph, theirs = made.pymc, made.bambi.backend.model
    ours = {v.name: set(graph.named_vars_to_dims.get(v.name) or ()) for v in parameters(graph)}
    wanted = {v.name: set(theirs.named_vars_to_dims.get(v.name) or ()) for v in parameters(theirs)}
    own = {CENTERED, CENTERED_THRESHOLD}
    own |= {name for name in ours if name.endswith(("_cor", "_cor_partial"))}
    named = {name: dims for name, dims in wanted.items() if "__obs__" not in dims}
    assert {name: dims for name, dims in ours.items() if name not in own} == named
    assert [p.name for p in graph.potentials] == [outcome]

    left_out = ("__obs__", f"{outcome}_dim")
    coords = {k: [str(x) for x in v] for k, v in theirs.coords.items() if k not in left_out}
    found = {k: [str(x) for x in v] for k, v in graph.coords.items() if not k.endswith("_cor_dim")}
    assert found == coords


def parameters(graph: Any) -> list[Any]:
    return [*graph.free_RVs, *graph.deterministics]


def test_each_level_has_sds_and_correlations_of_its_own(survey: pd.DataFrame):
    made = model("party ~ (age | state)", survey, "categorical")
    dims = made.pymc.named_vars_to_dims
    level = "party_reduced_dim"
    assert tuple(dims["1|state"]) == (level, "state__factor_dim")
    assert tuple(dims["age|state"]) == ("age__expr_dim", level, "state__factor_dim")
    assert tuple(dims["age|state_sigma"]) == ("age__expr_dim", level)
    assert tuple(dims["state_cor"]) == ("state_cor_dim", level)
    assert tuple(made.pymc.coords[level]) == ("green", "other", "red")


# --- priors ---------------------------------------------------------------------------------------

PREDICTORS = [
    "1",
    "x",
    "x + education",
    "0 + x",
    "age * sex + z",
    "age:x",
    "x + (x | state)",
    "age + (age | state) + (1 | education)",
]


@pytest.mark.parametrize(("family", "link"), CASES)
@pytest.mark.parametrize("predictors", PREDICTORS)
def test_the_defaults_are_bambi_s(family: str, link: str, predictors: str, survey: pd.DataFrame):
    kept = survey.assign(trust=survey["trust"].cat.remove_unused_categories())
    made = model(f"trust ~ {predictors}", kept, family, link=link)
    theirs = made.bambi
    theirs.build()
    component = theirs.parameters["p"]
    wanted = {name: term.prior for name, term in component.common_terms.items()}
    if component.intercept_term is not None:
        wanted["Intercept"] = component.intercept_term.prior
    for name, term in component.group_specific_terms.items():
        wanted[name] = term.prior.args["sigma"]
    if family in ORDERED:
        wanted["threshold"] = theirs.parameters["threshold"].prior
    ours = {**made.priors.population, **made.priors.sd}
    if made.priors.threshold is not None:
        ours["threshold"] = made.priors.threshold
    assert set(ours) == set(wanted)
    for name, prior in ours.items():
        assert prior.distribution.pymc == wanted[name].name
        for key, value in prior.values.items():
            other = np.asarray(wanted[name].args[key])
            if name in made.priors.population and other.ndim == 2:
                other = other[:, 0]  # Bambi repeats them for each level
            np.testing.assert_allclose(np.broadcast_to(value, other.shape), other, rtol=1e-12)
    assert made.priors.cor == (1.0,) * len(made.design.blocks)


@pytest.mark.parametrize("family", FAMILIES)
def test_brms_has_the_same_priors_for_all_levels(family: str, survey: pd.DataFrame):
    found = model("trust ~ x + age + (x | state)", survey, family, priors="brms").priors
    wide, half = parse("student_t(3, 0, 2.5)"), parse("half_student_t(3, 2.5)")
    population = {"x": parse("flat()"), "age": parse("flat()")}
    if family == "categorical":
        population["Intercept"] = wide
    threshold = wide if family in ORDERED else None
    sds = {"1|state": half, "x|state": half}
    assert found == Priors(population, sds, (1.0,), {}, threshold)


def test_thresholds_have_the_prior_that_is_given(survey: pd.DataFrame):
    given = {"threshold": "normal(0.5, 3)", "b": "normal(0, 1)"}
    found = model("trust ~ x", survey, "cumulative", priors=given).priors
    assert found.threshold == parse("normal(0.5, 3)")
    assert found.population == {"x": parse("normal(0, 1)")}


@pytest.mark.parametrize(
    ("family", "given", "message"),
    [
        (
            "cumulative",
            {"threshold": "half_normal(1)"},
            "`priors` must give 'threshold' a distribution of real numbers, got half_normal(1). "
            "Available: ['normal', 'student_t', 'cauchy', 'laplace', 'flat'].",
        ),
        (
            "sratio",
            {"Intercept": "normal(0, 1)"},
            "`priors` must name parameters of the model, got 'Intercept'. Available: ['x', 'b', "
            "'sd', 'cor', 'threshold', 'threshold[0]', 'threshold[1]']. Thresholds stand for it: "
            "`threshold`.",
        ),
        (
            "categorical",
            {"threshold": "normal(0, 1)"},
            "`priors` must name parameters of the model, got 'threshold'. Available: "
            "['Intercept', 'x', 'b', 'sd', 'cor'].",
        ),
    ],
)
def test_priors_that_do_not_fit_are_refused(
    family: str, given: Any, message: str, survey: pd.DataFrame
):
    with raises(PriorError, message):
        model("trust ~ x", survey, family, priors=given)


def test_thresholds_have_one_prior_or_as_many_as_they_are(survey: pd.DataFrame):
    import bambi

    given = {"threshold": bambi.Prior("Normal", mu=[-1.0, 0.0, 1.0], sigma=1.0)}
    message = (
        "`priors` must have one number for 'mu', or one for each coefficient of 'threshold' (2), "
        "got 3 in normal([-1, 0, 1], 1)."
    )
    with raises(PriorError, message):
        model("trust ~ x", survey, "cumulative", priors=given)
    assert model("score ~ x", survey, "cumulative", priors=given).priors.threshold


# --- density --------------------------------------------------------------------------------------

PRIORS = {
    "b": "normal(0.2, 1.5)",
    "x": "laplace(-0.1, 0.8)",
    "sd": "gamma(2, 1.5)",
    "cor": "lkj(2)",
}


def priors_of(family: str) -> dict[str, str]:
    name = "Intercept" if family == "categorical" else "threshold"
    return PRIORS | {name: "student_t(3, 0.4, 2)"}


@pytest.fixture(scope="module")
def crowd(survey: pd.DataFrame) -> pd.DataFrame:
    """Everyone three times, with other outcomes."""
    again = [
        survey.assign(trust=survey["trust"].sample(frac=1, random_state=k, ignore_index=True))
        for k in range(3)
    ]
    return pd.concat(again, ignore_index=True)


@pytest.mark.parametrize(("family", "link"), CASES)
def test_log_density_is_that_of_every_respondent_and_parameter_collapsed_or_not(
    family: str, link: str, crowd: pd.DataFrame
):
    """The second implementation is scipy's densities, summed over everyone."""
    formula, options = "trust ~ age + x + (x | state)", {"link": link, "priors": priors_of(family)}
    collapsed, plain = (
        model(formula, crowd, family, collapse=collapse, **options) for collapse in (True, False)
    )
    assert len(collapsed.observed.rows) < 0.5 * len(crowd) == 0.5 * len(plain.observed.rows)
    densities = [made.pymc.compile_logp(mode=MODE) for made in (collapsed, plain)]
    rng = np.random.default_rng(9)
    for _ in range(2):
        point = {
            name: 0.4 * rng.standard_normal(value.shape)
            for name, value in collapsed.pymc.initial_point().items()
        }
        wanted = by_hand(family, link, point, crowd)
        for density in densities:
            assert float(density(point)) == pytest.approx(wanted, rel=0, abs=1e-8)


def by_hand(family: str, link: str, point: dict[str, Any], crowd: pd.DataFrame) -> float:
    """Log density at a point of the unconstrained parameters."""
    total, eta = 0.0, []
    for level in range(2) if family == "categorical" else [None]:
        own = {
            name: value if level is None or name not in BY_LEVEL else value[..., level]
            for name, value in point.items()
        }
        prior, predictor = predictor_by_hand(own, crowd, level)
        total += prior
        eta.append(predictor)
    if family == "categorical":
        centered = point[CENTERED]
        total += stats.t(3, 0.4, 2).logpdf(centered).sum()
        odds = np.exp(np.column_stack([np.zeros(len(crowd)), *(eta + centered[:, None])]))
        p = odds / odds.sum(axis=1, keepdims=True)
    else:
        prior, thresholds = thresholds_by_hand(family, point)
        total += prior
        z = thresholds - eta[0][:, None]
        f, c = CDF[link](z), COMPLEMENT[link](z)
        middle = np.where(z[:, 0] > 0, c[:, 0] - c[:, 1], f[:, 1] - f[:, 0])
        p = np.column_stack(
            [f[:, 0], middle, c[:, 1]]
            if family == "cumulative"
            else [f[:, 0], c[:, 0] * f[:, 1], c[:, 0] * c[:, 1]]
        )
    seen = crowd["trust"].map({"low": 0, "some": 1, "high": 2}).astype(int)
    return float(total + np.log(p[np.arange(len(crowd)), seen]).sum())


BY_LEVEL = ("age", "x", "1|state_sigma_log__", "x|state_sigma_log__", "state_cor_partial_logodds__")


def predictor_by_hand(
    point: dict[str, Any], crowd: pd.DataFrame, level: int | None
) -> tuple[float, Any]:
    """One linear predictor without its intercept, of centred predictors; its parameters' prior."""
    mid, old = ((crowd["age"] == name).astype(float) for name in ("mid", "old"))
    x, (to_mid, to_old) = crowd["x"], point["age"]
    eta = to_mid * (mid - mid.mean()) + to_old * (old - old.mean()) + point["x"] * (x - x.mean())
    prior = stats.norm(0.2, 1.5).logpdf(point["age"]).sum()
    prior += stats.laplace(-0.1, 0.8).logpdf(point["x"])
    logs = np.array([point["1|state_sigma_log__"], point["x|state_sigma_log__"]])
    prior += stats.gamma(2, scale=1 / 1.5).logpdf(np.exp(logs)).sum() + logs.sum()
    # of two effects the partial correlation is the correlation: 2 b - 1 with b ~ Beta(2, 2)
    beta = special.expit(point["state_cor_partial_logodds__"][0])
    prior += stats.beta(2, 2).logpdf(beta) + np.log(beta * (1 - beta))
    r, (sd, slope_sd) = 2 * beta - 1, np.exp(logs)
    z = np.array([point[f"{name}|state_offset"] for name in ("1", "x")])
    z = z if level is None else z[:, level]
    prior += stats.norm.logpdf(z).sum()
    state = crowd["state"].map({name: k for k, name in enumerate(["AL", "CA", "NY", "TX"])})
    slopes = slope_sd * (r * z[0] + np.sqrt(1 - r**2) * z[1])
    return float(prior), (eta + sd * z[0][state] + slopes[state] * x).to_numpy()


def thresholds_by_hand(family: str, point: dict[str, Any]) -> tuple[float, Any]:
    if family == "sratio":
        thresholds, jacobian = point[CENTERED_THRESHOLD], 0.0
    else:
        first, gap = point[f"{CENTERED_THRESHOLD}_ordered__"]
        thresholds, jacobian = np.array([first, first + np.exp(gap)]), gap
    return float(stats.t(3, 0.4, 2).logpdf(thresholds).sum() + jacobian), thresholds


@pytest.mark.parametrize(("family", "link"), CASES)
@pytest.mark.parametrize("predictors", ["x + age + (x | state)", "0 + sex:x + (1 | education)"])
def test_the_density_is_bambi_s_but_for_where_thresholds_are_centred(
    family: str, link: str, predictors: str, survey: pd.DataFrame
):
    survey = survey.assign(trust=survey["trust"].cat.remove_unused_categories())
    made = model(f"trust ~ {predictors}", survey, family, link=link, correlated=False)
    made.bambi.build()
    ours, theirs = made.pymc, made.bambi.backend.model
    densities = [graph.compile_logp(mode=MODE) for graph in (ours, theirs)]
    prior = made.priors.threshold.values if made.priors.threshold else None
    rng = np.random.default_rng(2)
    for _ in range(2):
        point = {k: rng.normal(0, 0.2, v.shape) for k, v in ours.initial_point().items()}
        value, other = float(densities[0](point)), as_in_bambi(point, made)
        wanted = float(densities[1](other))
        if prior is not None:
            # the prior is on other thresholds: exchange it
            _, centered = thresholds_by_hand(family, {
                k: v for k, v in point.items() if k.startswith(CENTERED_THRESHOLD)
            })  # fmt: skip
            density = stats.norm(prior["mu"], prior["sigma"]).logpdf
            wanted += (density(centered) - density(centered + shift_of(point, made))).sum()
        # Bambi's 1 - F loses digits where F is large
        assert value == pytest.approx(wanted, rel=0, abs=1e-5)


def shift_of(point: dict[str, Any], made: Model) -> float:
    """What the means of the predictors contribute to the linear predictor."""
    observed = made.observed
    flat = [np.atleast_1d(point[term.name]) for term in made.design.terms]
    means = [
        observed.mean(term.columns(observed.rows.values, len(observed.rows)))
        for term in made.design.terms
    ]
    return float(sum(m @ b for m, b in zip(means, flat, strict=True)))


def as_in_bambi(point: dict[str, Any], made: Model) -> dict[str, Any]:
    """The point in Bambi's graph: its thresholds are not centred, its groups come first."""
    result = {}
    for name, value in point.items():
        if name == CENTERED:
            result["Intercept"] = value
        elif name == CENTERED_THRESHOLD:
            result["threshold"] = value + shift_of(point, made)
        elif name == f"{CENTERED_THRESHOLD}_ordered__":
            result["threshold_ordered__"] = value + np.array([shift_of(point, made), 0.0])
        else:
            result[name] = value.T if name.endswith("_offset") else value
    return result


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "predictors", ["x + offset(z)", "age * x + (sex + x | state)", "(x || state) + (age | k)"]
)
def test_the_likelihood_is_that_of_the_probabilities_that_a_fit_predicts(
    family: str, predictors: str, survey: pd.DataFrame
):
    made = model(f"score ~ {predictors}", survey, family)
    graph = made.pymc
    likelihood = graph.compile_logp(vars=graph.potentials, mode=MODE)
    rng = np.random.default_rng(5)
    point = {k: rng.normal(0.0, 0.7, v.shape) for k, v in graph.initial_point().items()}
    own = read(made.design, values_at(graph, point), made.by_level)
    p = probabilities(family, made.link, own)(linear_predictors(made, own, survey))
    seen = p[np.arange(len(survey)), survey["score"] - 1]
    assert float(likelihood(point)) == pytest.approx(np.log(seen).sum(), rel=0, abs=1e-8)


def linear_predictors(made: Model, own: Any, data: pd.DataFrame) -> Any:
    """Linear predictors (rows, predictors x draws)."""
    rows = made.design.rows(data)
    eta = rows.population() @ own.population + rows.offset()[:, None]
    for block, effects in zip(made.design.blocks, own.effects, strict=True):
        of_group = effects[:, rows.groups[block.factor]]
        eta += (rows.effects(block).T[:, :, None] * of_group).sum(axis=0)
    return eta


def values_at(graph: Any, point: dict[str, Any]) -> xr.Dataset:
    """The named parameters at a point, as one draw of one chain."""
    outs = [v for v in parameters(graph) if v.name in graph.named_vars_to_dims or v.ndim == 0]
    outs = [v for v in outs if not v.name.endswith(("_partial", "_offset", "_centered"))]
    values = graph.compile_fn(
        graph.replace_rvs_by_values(outs),
        inputs=graph.value_vars,
        mode=MODE,
        on_unused_input="ignore",
    )(point)
    found = {
        v.name: (("chain", "draw", *(graph.named_vars_to_dims.get(v.name) or ())),
                 np.asarray(value)[None, None])
        for v, value in zip(outs, values, strict=True)
    }  # fmt: skip
    used = {dim for dims, _ in found.values() for dim in dims}
    return xr.Dataset(found, coords={k: list(v) for k, v in graph.coords.items() if k in used})


def test_two_levels_have_the_density_of_the_family_bernoulli(survey: pd.DataFrame):
    """P(y = 1) is the logit of eta, or of eta - t."""
    priors = {"b": "normal(0, 1)", "sd": "half_normal(1)"}
    formula = "vote ~ x + age + (x | state)"
    bernoulli, categorical, cumulative, sratio = (
        model(formula, survey, family, priors=priors | {name: "normal(0, 1.5)"}).pymc
        for family, name in [
            ("bernoulli", "Intercept"),
            *(("categorical", "Intercept"), ("cumulative", "threshold"), ("sratio", "threshold")),
        ]
    )
    rng = np.random.default_rng(1)
    point = {k: rng.normal(0, 0.5, v.shape) for k, v in bernoulli.initial_point().items()}
    wanted = float(bernoulli.compile_logp(mode=MODE)(point))
    shapes = {k: v.shape for k, v in categorical.initial_point().items()}
    levelled = {k: v.reshape(shapes[k]) for k, v in point.items()}
    assert float(categorical.compile_logp(mode=MODE)(levelled)) == pytest.approx(wanted, abs=1e-9)
    threshold = -np.atleast_1d(point.pop(CENTERED))
    for graph, suffix in [(cumulative, "_ordered__"), (sratio, "")]:
        other = point | {f"{CENTERED_THRESHOLD}{suffix}": threshold}
        assert float(graph.compile_logp(mode=MODE)(other)) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("family", "link"), CASES)
def test_the_gradient_is_finite_far_from_the_data(family: str, link: str, survey: pd.DataFrame):
    graph = model("score ~ x", survey, family, link=link).pymc
    gradient = graph.compile_dlogp(mode=MODE)
    far = 2.0 if link == "cloglog" else 30.0  # its tail is doubly exponential
    for sign in (-1.0, 1.0):
        shapes = {name: value.shape for name, value in graph.initial_point().items()}
        point = {name: np.full(shape, 0.5) for name, shape in shapes.items()}
        point["x"] = np.full(shapes["x"], sign * far)
        assert np.isfinite(gradient(point)).all()


def test_respondents_are_counted_at_each_level_of_each_row(crowd: pd.DataFrame):
    observed = model("trust ~ age + (1 | state)", crowd, "sratio").observed
    table = crowd.groupby(["age", "state"], sort=False, observed=True)["trust"]
    counts = table.value_counts().unstack("trust")[["low", "some", "high"]].fillna(0)
    first = crowd.drop_duplicates(["age", "state"]).set_index(["age", "state"]).index
    np.testing.assert_array_equal(observed.y, counts.loc[first])
    np.testing.assert_array_equal(observed.count, observed.y.sum(axis=1))
    assert observed.respondents == len(crowd)
    assert observed.constant == 0


# --- draws from the prior -------------------------------------------------------------------------

DRAWS = 20_000


def prior(formula: str, survey: pd.DataFrame, family: str, priors: Any, seed: int = 1) -> Any:
    return model(formula, survey, family, priors=priors).sample_prior(draws=DRAWS, seed=seed)


def assert_distributed_as(draws: Any, distribution: Any) -> None:
    """The share of draws below each quantile of the distribution is its probability."""
    at = np.linspace(0.02, 0.98, 25)
    draws = np.asarray(draws).ravel()
    below = (draws[:, None] <= distribution.ppf(at)).mean(axis=0)
    np.testing.assert_array_less(np.abs(below - at), 4.5 * np.sqrt(at * (1 - at) / len(draws)))


def test_each_level_has_prior_draws_of_its_own(survey: pd.DataFrame):
    priors = {"Intercept": "normal(1, 2)", "b": "normal(0.5, 1)", "sd": "gamma(2, 1)"}
    fit = prior("trust ~ x + age + (sex | state)", survey, "categorical", priors)
    found = fit.parameters
    assert found["age"].dims == ("chain", "draw", "age_dim", "trust_reduced_dim")
    shift = (
        survey["x"].mean() * found["x"]
        + (survey["age"] == "mid").mean() * found["age"].sel(age_dim="mid")
        + (survey["age"] == "old").mean() * found["age"].sel(age_dim="old")
    )
    for level in ("some", "high"):
        own = found.sel(trust_reduced_dim=level)
        assert_distributed_as(
            own["Intercept"] + shift.sel(trust_reduced_dim=level), stats.norm(1, 2)
        )
        assert_distributed_as(own["x"], stats.norm(0.5, 1))
        assert_distributed_as(own["age"], stats.norm(0.5, 1))
        assert_distributed_as(own["1|state_sigma"], stats.gamma(2))
        assert_distributed_as(own["state_cor"], stats.beta(1, 1, -1, 2))
        z = own["1|state"] / own["1|state_sigma"]
        other = own["sex|state"].isel(sex__expr_dim=0) / own["sex|state_sigma"][..., 0]
        r = own["state_cor"].isel(state_cor_dim=0)
        assert_distributed_as(z, stats.norm())
        assert_distributed_as((other - r * z) / np.sqrt(1 - r**2), stats.norm())
    for name in ("x", "Intercept", "1|state_sigma", "state_cor"):
        both = found[name].values.reshape(-1, 2).T
        assert abs(stats.spearmanr(*both).statistic) < 4.5 / np.sqrt(DRAWS) or name == "Intercept"


def test_stopping_thresholds_are_drawn_independently(survey: pd.DataFrame):
    found = prior("trust ~ 1", survey, "sratio", {"threshold": "normal(1, 2)"}).parameters
    first, second = found["threshold"].values[0].T
    assert_distributed_as(first, stats.norm(1, 2))
    assert_distributed_as(second, stats.norm(1, 2))
    assert abs(stats.spearmanr(first, second).statistic) < 4.5 / np.sqrt(DRAWS)


def test_equal_priors_of_rising_thresholds_give_order_statistics(survey: pd.DataFrame):
    found = prior("score ~ 1", survey, "cumulative", {"threshold": "normal(0, 1)"}).parameters
    rank = stats.norm.cdf(found["threshold"].values[0])
    assert (np.diff(rank, axis=1) > 0).all()
    for k in range(3):
        assert_distributed_as(rank[:, k], stats.beta(k + 1, 3 - k))


def test_rising_thresholds_have_their_priors_where_they_rise(survey: pd.DataFrame):
    """Bambi's default: against weighted draws that need not rise, thrown away where they fall."""
    ten = survey.assign(score=np.arange(len(survey)) % 7)
    made = model("score ~ 1", ten, "cumulative")
    assert made.priors.threshold is not None
    mu = made.priors.threshold.values["mu"]
    found = made.sample_prior(draws=DRAWS, seed=3).parameters["threshold"].values[0]
    assert (np.diff(found, axis=1) > 0).all()
    free = np.random.default_rng(4).normal(mu, 1.0, (1_000_000, 6))
    kept = free[(np.diff(free, axis=1) > 0).all(axis=1)]
    assert len(kept) > 10_000
    error = np.sqrt(kept.var(axis=0) / len(kept) + found.var(axis=0) / len(found))
    assert (np.abs(kept.mean(axis=0) - found.mean(axis=0)) < 4.5 * error).all()
    for k in range(6):
        assert stats.ks_2samp(kept[:, k], found[:, k]).pvalue > 1e-4


def test_thresholds_of_prior_draws_are_those_of_predictors_as_they_are(survey: pd.DataFrame):
    priors = {"threshold": "normal(0, 1)", "x": "normal(2, 1)"}
    found = prior("trust ~ x", survey, "sratio", priors).parameters
    centered = found["threshold"] - survey["x"].mean() * found["x"]
    assert_distributed_as(centered.isel(threshold_dim=1), stats.norm())


def test_thresholds_that_can_not_rise_are_said(survey: pd.DataFrame):
    import bambi

    given = {"threshold": bambi.Prior("Normal", mu=[9.0, -9.0], sigma=1.0)}
    message = (
        "`priors` must let thresholds rise from each to the next, got normal([9, -9], 1), which "
        "they almost never do. Put its locations in rising order."
    )
    made = model("trust ~ 1", survey, "cumulative", priors=given)
    with raises(PriorError, message):
        made.sample_prior(draws=20, seed=1)


@pytest.mark.parametrize("family", ORDERED)
def test_a_flat_prior_of_thresholds_can_t_be_drawn_from(family: str, survey: pd.DataFrame):
    message = (
        "`priors` must be proper to be drawn from, got flat ones for ['threshold']. Add "
        "threshold='normal(0, 1)' to mrp.priors(defaults='bambi', …)."
    )
    with raises(PriorError, message):
        model("trust ~ 1", survey, family, priors={"threshold": "flat()"}).sample_prior(draws=2)


# --- fits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("outcome", ["trust", "score", "agree"])
def test_a_saved_fit_has_its_levels_again(
    family: str, outcome: str, survey: pd.DataFrame, tmp_path: Path
):
    fit = fake_fit(f"{outcome} ~ age + (1 + x | state)", survey, family=family)
    again = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    levels = {"trust": ("low", "some", "high"), "score": (1, 2, 3, 4), "agree": (False, True)}
    assert again.levels == fit.levels == levels[outcome]
    ours, theirs = fit.coefficients, again.coefficients
    np.testing.assert_array_equal(ours.population, theirs.population)
    np.testing.assert_array_equal(ours.effects[0], theirs.effects[0])
    assert (ours.predictors, ours.by_level) == (theirs.predictors, theirs.by_level)
    if family in ORDERED:
        np.testing.assert_array_equal(ours.thresholds, theirs.thresholds)


def test_another_outcome_keeps_the_levels(survey: pd.DataFrame):
    made = model("trust ~ x", survey, "cumulative")
    other = made.with_outcome(["high", "low"] * 75)
    assert other.outcome.levels == ("low", "some", "high")
    np.testing.assert_array_equal(other.outcome.values, [2.0, 0.0] * 75)
    assert other.survey["trust"].tolist() == ["high", "low"] * 75
    assert other.observed.y.sum(axis=0).tolist() == [75, 0, 75]


def test_another_outcome_must_have_the_levels(survey: pd.DataFrame):
    made = model("trust ~ x", survey, "categorical")
    message = (
        "`values` must be levels of the outcome 'trust', got ['none', 'total'] in 150 rows. "
        "Available: ['low', 'some', 'high']. Fit other levels with `with_data`."
    )
    with raises(DataError, message):
        made.with_outcome(["none", "total"] * 75)


@pytest.mark.parametrize("family", FAMILIES)
def test_fake_draws_are_those_of_the_family(family: str, survey: pd.DataFrame):
    made = model("score ~ x + (sex | state)", survey, family)
    draws = fake_draws(made.design, chains=2, draws=3, by_level=made.by_level)
    prior = made.sample_prior(draws=3).parameters
    assert {n: set(a.dims) for n, a in draws.items()} == {n: set(a.dims) for n, a in prior.items()}
    found = mrp.Fit.from_draws(made, draws).coefficients
    assert found.columns == (18 if family == "categorical" else 6)
    if family == "cumulative":
        assert (np.diff(found.thresholds, axis=0) > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fit_keeps_the_variables_that_prior_draws_have(family: str, survey: pd.DataFrame):
    made = model("score ~ x + (sex | state)", survey, family)
    kept = variables(made.design, find(family, None)[0])
    first = "Intercept" if family == "categorical" else "threshold"
    effects = ["1|state_sigma", "sex|state_sigma", "state_cor", "1|state", "sex|state"]
    assert kept == [first, "x", *effects]
    assert set(kept) == set(made.sample_prior(draws=2).parameters.data_vars)
    assert set(kept) <= set(made.pymc.named_vars)


# --- sampling -------------------------------------------------------------------------------------

SLOPES = {"categorical": [-0.4, 0.6], "cumulative": 0.5, "sratio": 0.5}
INTERCEPTS = {"categorical": [0.5, -0.3], "cumulative": [-1.0, 0.7], "sratio": [-1.0, 0.7]}
SD = 0.5


def simulated(family: str) -> tuple[pd.DataFrame, Any]:
    """1,500 answers of 30 groups, and the groups' effects."""
    rng, n, groups = np.random.default_rng(3), 1500, 30
    g, x = rng.integers(groups, size=n), rng.integers(4, size=n) + 3.0
    effects = rng.normal(0, SD, (groups, np.size(SLOPES[family])))
    eta = np.outer(x, SLOPES[family]) + effects[g]
    if family == "categorical":
        p = special.softmax(np.column_stack([np.zeros(n), eta + INTERCEPTS[family]]), axis=1)
    else:
        f = special.expit(np.array(INTERCEPTS[family]) - eta)
        below = [f[:, 0], f[:, 1]]
        if family == "sratio":
            below[1] = 1 - (1 - f[:, 0]) * (1 - f[:, 1])
        p = np.diff(np.column_stack([np.zeros(n), *below, np.ones(n)]), axis=1)
    level = (p.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    y = pd.Categorical.from_codes(level, ["a", "b", "c"], ordered=True)
    return pd.DataFrame({"y": y, "x": x, "g": g}), effects


@pytest.fixture(scope="session", params=FAMILIES)
def run(request: pytest.FixtureRequest) -> Any:
    """A family, a posterior of answers that were simulated from it, and the groups' effects."""
    data, effects = simulated(request.param)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)  # so few draws need not pass
        fit = Model("y ~ x + (1 | g)", data, family=request.param, priors="brms").sample(
            draws=300, tune=400, chains=2, seed=1, progress=False
        )
    return request.param, fit, effects


def test_the_posterior_is_around_what_answers_were_simulated_from(run: Any):
    family, fit, effects = run
    found = fit.parameters
    name = "Intercept" if family == "categorical" else "threshold"
    truth = {"x": SLOPES[family], name: INTERCEPTS[family], "1|g_sigma": SD}
    for parameter, value in truth.items():
        mean, sd = (getattr(found[parameter], f)(("chain", "draw")) for f in ("mean", "std"))
        assert (np.abs(mean - value) < 3.5 * sd).all(), parameter
    mean, sd = (getattr(found["1|g"], f)(("chain", "draw")).values for f in ("mean", "std"))
    away = (mean.reshape(-1, len(effects)) - effects.T) / sd.reshape(-1, len(effects))
    assert 0.4 < (away**2).mean() < 1.8


def test_a_sampled_fit_says_how_and_has_the_variables_of_the_prior(run: Any):
    family, fit, _ = run
    assert fit.info["engine"] == "kernel"
    assert fit.levels == ("a", "b", "c")
    prior = Model(fit.design.formula, fit.survey, family=family).sample_prior(draws=2)
    assert next(iter(fit.parameters.data_vars)) == next(iter(prior.parameters.data_vars))
    for name, array in fit.parameters.data_vars.items():
        assert array.dims == prior.parameters[name].dims
        for dim in array.dims[2:]:
            np.testing.assert_array_equal(array[dim], prior.parameters[dim])
    if family == "cumulative":
        assert (fit.parameters["threshold"].diff("threshold_dim") > 0).all()


def test_a_categorical_outcome_of_two_levels_has_the_posterior_of_the_family_bernoulli():
    data, _ = simulated("categorical")
    two = data.assign(y=np.where(data["y"] == "b", "b", "a"))
    options = {"priors": "brms"}
    bernoulli = Model("y['b'] ~ x", two, family="bernoulli", **options)
    categorical = Model("y ~ x", two, family="categorical", **options)
    table, other = (
        made.sample(draws=500, tune=500, chains=4, seed=4, progress=False).summary().table
        for made in (bernoulli, categorical)
    )
    assert other["parameter"].tolist() == ["Intercept", "x"]
    assert other["level"].tolist() == ["b", "b"]
    spread, size = other["std_error"].values, 1 / table["ess_bulk"] + 1 / other["ess_bulk"]
    error = spread * np.sqrt(size.values)
    assert (np.abs(table["estimate"].values - other["estimate"].values) < 4.5 * error).all()
    assert (np.abs(table["std_error"].values - spread) < 4.5 * error).all()


def test_sampling_reports_are_of_every_level(survey: pd.DataFrame):
    fit = fake_fit("trust ~ x", survey, family="categorical", chains=4, draws=100)
    report = measure(fit.draws)
    assert report["rhat_at"].startswith(("x[", "Intercept["))
    table = fit.summary().table
    assert table[["parameter", "level"]].to_numpy().tolist() == [
        ["Intercept", "some"],
        ["Intercept", "high"],
        ["x", "some"],
        ["x", "high"],
    ]
