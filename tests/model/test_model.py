"""`Model`: what it is made from, what it shows, and what it refuses before it computes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import bambi
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pymc as pm
import pytest

import mrp
from mrp.errors import DataError, FormulaError, PriorError, RequestError
from mrp.model import Model, prior_draws, sampling
from tests.messages import raises

FORMULA = "vote ~ age + x + (sex | state)"


@pytest.fixture(scope="module")
def model(people: pd.DataFrame) -> Model:
    """A model with a bit of everything."""
    return Model(FORMULA, people, family="bernoulli")


def test_a_model_shows_its_formula_family_and_size(model: Model, people: pd.DataFrame):
    distinct = len(people[["age", "x", "sex", "state"]].drop_duplicates())
    assert repr(model) == (
        f"Model: {FORMULA}\n"
        f"family bernoulli, link logit; {len(people)} respondents in {distinct} distinct rows"
    )


def test_without_collapsing_every_respondent_is_a_row(people: pd.DataFrame):
    model = Model(FORMULA, people, family="bernoulli", link="probit", collapse=False)
    assert repr(model).endswith(
        "family bernoulli, link probit; 150 respondents in 150 distinct rows"
    )


def test_a_model_gives_back_what_it_was_made_from(model: Model, people: pd.DataFrame):
    assert model.formula == FORMULA
    assert (model.family, model.link) == ("bernoulli", "logit")
    pd.testing.assert_frame_equal(model.survey, people)
    np.testing.assert_array_equal(model.outcome.values, people["vote"])
    assert model.observed.respondents == len(people)
    assert model.design.columns == ("age", "x", "state", "sex")
    assert set(model.priors.population) == {"Intercept", "age", "x"}


def test_the_family_is_gaussian_unless_another_is_named(people: pd.DataFrame):
    model = Model("y ~ x", people)
    assert (model.family, model.link) == ("gaussian", "identity")


def test_making_a_model_leaves_the_survey_as_it_was(people: pd.DataFrame):
    survey = people.copy()
    made = Model("y ~ age + C(k) + (education | state)", survey)
    made.pymc  # noqa: B018 - built when asked for
    made.bambi  # noqa: B018
    pd.testing.assert_frame_equal(survey, people)


@pytest.mark.parametrize("table", [pl.from_pandas, pa.Table.from_pandas, lambda d: pl.LazyFrame(d)])
def test_any_table_gives_the_model_of_the_pandas_one(table: Any, people: pd.DataFrame):
    formula = "vote ~ x + sex + veteran + (k | state)"
    plain = people.drop(columns=["education", "age", "year"])
    other, ours = (Model(formula, t, family="bernoulli") for t in (table(plain), plain))
    assert other.design == ours.design
    assert other.priors == ours.priors
    np.testing.assert_array_equal(other.outcome.values, ours.outcome.values)


def test_functions_of_the_namespace_are_known_everywhere(people: pd.DataFrame):
    formula = "y ~ square(x) + (square(x) | state)"
    model = Model(formula, people, namespace={"square": lambda x: x**2})
    columns = model.design.rows(people).population()
    np.testing.assert_array_equal(columns[:, 1], people["x"] ** 2)
    theirs = model.bambi
    theirs.build()
    np.testing.assert_array_equal(
        theirs.parameters["mu"].common_terms["square(x)"].data, people["x"] ** 2
    )


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "options", "error", "message"),
    [
        (
            "vote ~ x",
            {"family": "logistic"},
            RequestError,
            "`family` must be a family that is built here, got 'logistic'. Available: "
            "['bernoulli', 'binomial', 'gaussian', 'poisson', 'negativebinomial', 'categorical', "
            "'cumulative', 'sratio']. It is 'bernoulli'.",
        ),
        (
            "y ~ x",
            {"family": "bernoulli", "link": "log"},
            RequestError,
            "`link` must be a link of the family 'bernoulli', got 'log'. Available: ['logit', "
            "'probit', 'cloglog']. Did you mean 'logit'?",
        ),
        (
            "I(2 * veteran) ~ x",
            {"family": "bernoulli"},
            DataError,
            "`data` must have 0 or 1 in the outcome 'I(2 * veteran)', got ['2'] in {veterans} "
            "rows. Recode the outcome, or choose another family.",
        ),
        (
            "y ~ ages",
            {},
            DataError,
            "`data` must have every column that the formula uses, lacks ['ages']. Available: "
            "['x', 'z', 'k', 'veteran', 'education', 'age', 'year', 'sex', … 7 more]. Did you mean "
            "'age'?",
        ),
        (
            "y ~ x",
            {"priors": {"x": "normal(0)"}},
            PriorError,
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0)'.",
        ),
    ],
)
def test_what_can_t_be_built_is_refused_at_once(
    formula: str, options: Any, error: Any, message: str, people: pd.DataFrame
):
    veterans = int(people["veteran"].sum())
    with raises(error, message.replace("{veterans}", str(veterans))):
        Model(formula, people, **options)


def test_what_is_no_table_is_refused():
    message = (
        "`data` must be a table (pandas, polars or pyarrow), got list. Write "
        "`pandas.DataFrame(data)`."
    )
    with raises(DataError, message):
        Model("y ~ x", [1, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "`draws` must be a whole number, 1 or more, got 0."),
        ({"tune": -1}, "`tune` must be a whole number, 0 or more, got -1."),
        ({"chains": 1.5}, "`chains` must be a whole number, 1 or more, got 1.5."),
        (
            {"target_accept": 2},
            "`target_accept` must be between 0 and 1, got 2. Typical: 0.8 to 0.99.",
        ),
        (
            {"engine": "kernal"},
            "`engine` must name what computes the log density, got 'kernal'. Available: "
            "['auto', 'kernel', 'pymc']. Did you mean 'kernel'?",
        ),
    ],
)
def test_sampling_options_are_checked_before_anything_is_compiled(
    options: Any, message: str, model: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sampling, "run_kernel", None)
    monkeypatch.setattr(sampling, "run_graph", None)
    with raises(RequestError, message):
        model.sample(**options)


def test_prior_draws_are_checked_before_they_are_made(
    model: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(prior_draws, "draw", None)
    with raises(RequestError, "`draws` must be a whole number, 1 or more, got -5."):
        model.sample_prior(draws=-5)


# --- Bambi's and PyMC's own -----------------------------------------------------------------------


def test_the_same_model_is_there_for_pymc_and_bambi(model: Model):
    assert isinstance(model.pymc, pm.Model)
    assert model.pymc is model.pymc
    assert isinstance(model.bambi, bambi.Model)
    assert model.bambi is model.bambi
    assert model.bambi.family.name == "bernoulli"
    assert model.bambi.family.link["p"].name == "logit"


def test_bambi_gets_the_categories_in_their_order_without_unused_ones(people: pd.DataFrame):
    survey = people.assign(education=people["education"].cat.add_categories("PhD"))
    for name in ("age", "education"):
        theirs = Model(f"y ~ {name}", survey).bambi
        term = theirs.parameters["mu"].common_terms[name]
        assert list(term.levels) == people[name].cat.categories[1:].tolist()


@pytest.mark.parametrize(
    "predictors",
    ["x + np.log(z)", "log1p(z) + sqrt(k)", "I(x / 2) + (x | state)", "binary(sex, 'man') + x"],
)
def test_bambi_reads_every_formula_that_is_read_here(predictors: str, people: pd.DataFrame):
    model = Model(f"y ~ {predictors}", people)
    design = model.bambi.parameters["mu"].design
    np.testing.assert_allclose(
        design.common.design_matrix, model.design.rows(people).population(), rtol=1e-12
    )


def test_bambi_has_no_double_bar(people: pd.DataFrame):
    model = Model("y ~ (x || state)", people)
    message = (
        "`bambi` reads no '||', got 'y ~ (x || state)'. Write '|': Bambi's effects are independent "
        "anyway."
    )
    with raises(FormulaError, message):
        model.bambi  # noqa: B018


# --- fits -----------------------------------------------------------------------------------------


def test_a_fit_carries_the_model_s_design_and_survey(model: Model, people: pd.DataFrame):
    fit = model.sample_prior(draws=3, seed=1)
    assert isinstance(fit, mrp.Fit)
    assert fit.design is model.design
    assert (fit.family, fit.link, fit.outcome) == ("bernoulli", "logit", "vote")
    pd.testing.assert_frame_equal(fit.survey, people)
    assert fit.info == {"engine": "forward", "seed": 1}


def test_a_prior_fit_has_four_thousand_draws_unless_told_otherwise(model: Model):
    assert model.sample_prior().parameters.sizes["draw"] == 4000


def test_prior_draws_load_neither_pymc_nor_bambi():
    script = (
        "import sys, pandas as pd, mrp\n"
        "data = pd.DataFrame({'y': [0, 1, 1, 0], 'g': list('aabb')})\n"
        "fit = mrp.Model('y ~ 1 + (1 | g)', data, family='bernoulli').sample_prior(draws=2)\n"
        "fit.coefficients\n"
        "print(sorted({'pymc', 'bambi', 'nutpie', 'pytensor'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
