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
        (
            {"tune": -1},
            "`tune` must be a whole number, 1 or more, got -1. The sampler can't do without. "
            "Usual: 1000.",
        ),
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


# --- a model is a snapshot ------------------------------------------------------------------------

OWN = "y ~ x + (1 | g)"


def table_of(x: Any, y: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": x, "y": y, "g": ["a", "b"] * 10, "w": 1.0}, copy=False)


def assigned(survey: Any, x: Any) -> None:
    survey["x"] = -5.0


def located(survey: Any, x: Any) -> None:
    survey.loc[:, "x"] = -5.0


def by_position(survey: Any, x: Any) -> None:
    survey.iloc[:, 0] = -5.0


def in_the_array(survey: Any, x: Any) -> None:
    x[:] = -5.0


def in_the_column(survey: Any, x: Any) -> None:
    survey["x"].array[:] = -5.0


def in_other_columns(survey: Any, x: Any) -> None:
    survey.loc[:, "w"] = -5.0
    survey["g"] = "a"
    del survey["y"]


WRITES = [assigned, located, by_position, in_the_array, in_the_column, in_other_columns]
TABLES = {
    "pandas": table_of,
    "pandas, two-dimensional": lambda x, y: pd.DataFrame(
        np.column_stack([x, y]), columns=["x", "y"]
    ).assign(g=["a", "b"] * 10, w=1.0),
    "pandas, arrow's memory": lambda x, y: table_of(pd.arrays.ArrowExtensionArray(pa.array(x)), y),
    "polars": lambda x, y: pl.DataFrame({"x": x, "y": y, "g": ["a", "b"] * 10, "w": [1.0] * 20}),
    "arrow": lambda x, y: pa.table({"x": x, "y": y, "g": ["a", "b"] * 10, "w": [1.0] * 20}),
}


WRITTEN = [(kind, write) for kind in TABLES for write in WRITES if "pandas" in kind]
WRITTEN += [("polars", in_the_array), ("arrow", in_the_array)]


@pytest.mark.parametrize(("kind", "write"), WRITTEN)
def test_a_model_and_its_fit_stay_what_they_are_whatever_becomes_of_the_table(
    kind: str, write: Any, tmp_path: Any
):
    x, y = np.linspace(-1, 1, 20), np.linspace(2, 5, 20) ** 2
    table = TABLES[kind](x, y)
    model = Model(OWN, table)
    fit = model.sample_prior(draws=5, seed=1)
    survey = model.survey.copy()
    before = everything(model, fit, tmp_path)
    write(table, x)
    y[:] = 0.0
    assert everything(model, fit, tmp_path) == before
    pd.testing.assert_frame_equal(model.survey, survey)


def everything(model: Model, fit: Any, folder: Any) -> list[Any]:
    """Numbers that a model and a fit give, now and saved and refitted."""
    loaded = mrp.load_fit(fit.save(folder / "fit.nc"))
    refitted = model.with_outcome(np.arange(20.0))
    fits = [fit, loaded, refitted.sample_prior(draws=5, seed=1)]
    answers = [
        *(mrp.avg_predictions(f, by="g", wts="w").draws.values.tolist() for f in fits),
        *(mrp.predictions(f).to_frame().to_csv() for f in fits),
        *(mrp.avg_comparisons(f, variables={"x": "sd"}).draws.values.tolist() for f in fits),
        *(f.survey.to_csv() for f in fits),
        fit.log_likelihood().to_numpy().tolist(),
        mrp.datagrid(fit).to_csv(),
    ]
    made = [refitted.survey.to_csv(), refitted.prior_summary().to_csv()]
    again = model.with_data(model.survey)
    return [
        *answers,
        *made,
        again.outcome.values.tolist(),
        again.observed.rows.population().tolist(),
    ]


def test_what_a_model_and_a_fit_hand_out_can_be_written_to_without_changing_them(
    people: pd.DataFrame,
):
    model = Model(OWN.replace("g", "state"), people)
    fit = model.sample_prior(draws=5, seed=1)
    before = mrp.avg_predictions(fit, by="sex").draws.values
    for survey in (model.survey, fit.survey):
        survey["x"] = 9.0
        survey.loc[:, "sex"] = "man"
        with pytest.raises(ValueError, match="read-only"):
            survey["y"].to_numpy()[0] = 1.0
    for outcome in (model.outcome, fit.observed):
        with pytest.raises(ValueError, match="read-only"):
            outcome.values[0] = 1.0
    for table in (model.survey, fit.survey, model.with_outcome(people["y"]).survey):
        pd.testing.assert_frame_equal(table, people)
    np.testing.assert_array_equal(mrp.avg_predictions(fit, by="sex").draws.values, before)
    trials = Model("p(wins, trials) ~ x", people, family="binomial").outcome.trials
    with pytest.raises(ValueError, match="read-only"):
        trials[0] = 1.0


def test_estimates_that_are_made_again_stay_what_they_are(
    people: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mrp.results.estimates.KEPT_BYTES", 0)
    fit = Model("y ~ x", people).sample_prior(draws=5, seed=1)
    x = np.linspace(-1, 1, 8)
    rows = pd.DataFrame({"x": x}, copy=False)
    found = [mrp.predictions(fit, newdata=rows)]
    found += [mrp.slopes(fit, variables="x", newdata=rows, slope=s) for s in ("dydx", "eyex")]
    before = [each.draws.values for each in found]
    rows.loc[:, "x"] = 5.0
    x[:] = 5.0
    for each, draws in zip(found, before, strict=True):
        np.testing.assert_array_equal(each.draws.values, draws)


def test_a_survey_keeps_its_index_and_nothing_that_is_attached_to_it(people: pd.DataFrame):
    numbers = np.arange(len(people)) * 2
    survey = people.set_axis(pd.Index(numbers, copy=False), axis=0)
    survey.attrs = {"made by": object()}
    model = Model("y ~ x", survey)
    numbers[:] = 0
    assert model.survey.index.tolist() == list(range(0, 2 * len(people), 2))
    assert model.survey.attrs == {}


# --- an outcome goes by its index -----------------------------------------------------------------


def test_another_outcome_goes_by_its_index(people: pd.DataFrame):
    model = Model(FORMULA, people, family="bernoulli")
    shuffled = people["vote"].sample(frac=1, random_state=1)
    for values in (
        shuffled,
        1 - (1 - shuffled),
        people["vote"].to_numpy(),
        pl.Series(people["vote"]),
    ):
        np.testing.assert_array_equal(model.with_outcome(values).outcome.values, people["vote"])
    flipped = model.with_outcome(1 - shuffled)
    np.testing.assert_array_equal(flipped.outcome.values, 1 - people["vote"])
    np.testing.assert_array_equal(flipped.survey["vote"], 1 - people["vote"])
    message = (
        "`values` must have the index of `data`, got a Series that lacks [149]. Pass `.to_numpy()` "
        "if it is in the order of the rows, or reset both indexes."
    )
    with raises(DataError, message):
        model.with_outcome(people["vote"][:-1])


def test_another_outcome_with_levels_goes_by_its_index(people: pd.DataFrame):
    model = Model("age ~ x", people, family="cumulative")
    shuffled = people["age"].sample(frac=1, random_state=1)
    np.testing.assert_array_equal(model.with_outcome(shuffled).outcome.values, model.outcome.values)


# --- no family ------------------------------------------------------------------------------------

UNSAID = (
    "`family` must be named where the outcome is 0 or 1 throughout, as {!r} is, got none. Pass "
    "family='bernoulli' (the probability of 1), or family='gaussian' (a measurement)."
)


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        ("vote", "vote"),
        ("veteran", "veteran"),
        ("sex[man]", "sex"),
        ("np.floor(vote)", "np.floor(vote)"),
        ("one", "one"),
        ("nullable", "nullable"),
        ("decimal", "decimal"),
    ],
)
def test_a_family_must_be_named_where_the_outcome_is_0_or_1(
    outcome: str, name: str, people: pd.DataFrame
):
    survey = people.assign(
        one=1, nullable=people["vote"].astype("boolean"), decimal=people["vote"].astype("float32")
    )
    with raises(DataError, UNSAID.format(name)):
        Model(f"{outcome} ~ x", survey)
    if outcome != "one":
        for family in ("gaussian", "bernoulli"):
            assert Model(f"{outcome} ~ x", survey, family=family).family == family


@pytest.mark.parametrize("outcome", ["y", "count", "k", "vote + 1", "vote / 2"])
def test_without_a_family_other_numbers_are_gaussian(outcome: str, people: pd.DataFrame):
    model = Model("made ~ x", people.assign(made=people.eval(outcome)))
    assert (model.family, model.link) == ("gaussian", "identity")


def test_successes_of_trials_must_have_their_family_named(people: pd.DataFrame):
    message = (
        "`family` must be named for the outcome 'p(wins, trials)', got none. Pass "
        "family='binomial'."
    )
    with raises(DataError, message):
        Model("p(wins, trials) ~ x", people)


def test_other_data_and_outcomes_must_do_without_a_family_too(people: pd.DataFrame):
    unsaid, said = Model("y ~ x", people), Model("y ~ x", people, family="gaussian")
    other = people.assign(y=people["vote"])
    for model in (said.with_data(other), said.with_outcome(people["vote"])):
        assert model.family == "gaussian"
    with raises(DataError, UNSAID.format("y")):
        unsaid.with_data(other)
    with raises(DataError, UNSAID.format("y")):
        unsaid.with_outcome(people["vote"])
    assert unsaid.with_data(people).with_outcome(people["z"]).family == "gaussian"


# --- levels that are given ------------------------------------------------------------------------

ORDER = {"sex": ["woman", "man"], "k": [3, 1, 2], "state": ["TX", "NY", "CA", "AL", "VT"]}


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Index, pd.Series, pl.Series])
@pytest.mark.parametrize("library", [lambda d: d, pl.from_pandas, pa.Table.from_pandas])
def test_levels_that_are_given_are_those_of_an_ordered_categorical(
    kind: Any, library: Any, people: pd.DataFrame
):
    formula = "y ~ sex + k + C(k) + x:sex + (1 + sex | state) + (k | state:sex)"
    columns = {name: pd.Categorical(people[name], ORDER[name], ordered=True) for name in ORDER}
    levels = {name: kind(order) for name, order in ORDER.items()}
    plain = people.drop(columns=["education", "age", "year"])
    found = Model(formula, library(plain), levels=levels)
    columns["state"] = columns["state"].remove_unused_categories()
    expected = Model(formula, plain.assign(**columns))
    assert found.design == expected.design
    assert found.priors == expected.priors
    pd.testing.assert_frame_equal(found.survey, expected.survey, check_index_type=False)
    assert found.design.terms[1].levels == ("man",)
    assert found.design.terms[2].levels == ("1", "2")
    assert found.design.factors["state"].groups == ("TX", "NY", "CA", "AL")


@pytest.mark.parametrize("family", ["cumulative", "sratio", "categorical"])
@pytest.mark.parametrize(
    "column",
    [
        lambda d: d["sex"],
        lambda d: d["sex"].astype("category"),
        lambda d: pd.Categorical(d["sex"], ["man", "woman"], ordered=True),
        lambda d: d["sex"].astype(object),
        lambda d: d["sex"].astype("string[pyarrow]"),
    ],
)
def test_levels_give_an_outcome_its_order_whatever_its_type(
    column: Any, family: Any, people: pd.DataFrame
):
    levels = {"sex": ["woman", "neither", "man"]}
    for formula in ("sex ~ x", "C(sex) ~ x"):
        survey = people.assign(sex=column(people))
        outcome = Model(formula, survey, family=family, levels=levels).outcome
        assert outcome.levels == ("woman", "man")
        np.testing.assert_array_equal(outcome.values, people["sex"] == "man")


def test_levels_of_numbers_give_an_outcome_another_order(people: pd.DataFrame):
    model = Model("k ~ x", people, family="cumulative", levels={"k": (2, 1, 3)})
    assert model.outcome.levels == (2, 1, 3)


def test_levels_stay_with_another_outcome_and_other_data(people: pd.DataFrame):
    levels = {"sex": ["woman", "man"], "state": ["TX", "NY", "CA", "AL"]}
    model = Model("sex ~ state", people, family="cumulative", levels=levels)
    reversed_ = people[::-1]
    for other in (model.with_outcome(people["sex"]), model.with_data(reversed_)):
        assert other.outcome.levels == ("woman", "man")
        assert other.design.components["state"].levels == ("TX", "NY", "CA", "AL")
    again = model.with_data(reversed_).with_data(people)
    assert again.design == model.design
    assert again.survey["sex"].cat.categories.tolist() == ["woman", "man"]


def test_levels_of_frames_are_matched_by_value(people: pd.DataFrame):
    fit = mrp.testing.fake_fit(
        "y ~ k + sex", people, levels={"k": [3, 1, 2], "sex": ["woman", "man"]}
    )
    frame = pd.DataFrame({"k": [1.0, 2.0, 3.0, 3.0], "sex": ["man", "woman", "man", "woman"]})
    assert mrp.avg_predictions(fit, newdata=frame, by="k").labels["k"].tolist() == [3, 1, 2]
    contrasts = mrp.avg_comparisons(fit, newdata=frame).labels["contrast"].tolist()
    assert contrasts == ["1 - 3", "2 - 3", "man - woman"]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (
            ["low", "high"],
            "`levels` must map columns to their levels in order, got list. For example: "
            "levels={'trust': ['low', 'mid', 'high']}.",
        ),
        (
            {"sexx": ["man", "woman"]},
            "`levels` must name columns of `data`, got 'sexx'. Available: ['x', 'z', 'k', "
            "'veteran', 'education', 'age', 'year', 'sex', … 7 more]. Did you mean 'sex'?",
        ),
        (
            {"age": ["young", "mid", "old"]},
            "`levels` must name columns that the formula uses, got 'age'. Available: ['y', 'sex', "
            "'k', 'state'].",
        ),
        (
            {"y": [1, 2]},
            "`levels` must name predictors where the family's outcome has no levels, as of "
            "'gaussian', got 'y'. Leave it out, or pass family='cumulative', 'sratio' or "
            "'categorical'.",
        ),
        (
            {"sex": "man"},
            "`levels` must list the levels of 'sex' in order, got 'man'. For example: ['low', "
            "'mid', 'high'].",
        ),
        (
            {"sex": {"man"}},
            "`levels` must list the levels of 'sex' in order, got {'man'}. For example: ['low', "
            "'mid', 'high'].",
        ),
        (
            {"k": 3},
            "`levels` must list the levels of 'k' in order, got 3. For example: ['low', 'mid', "
            "'high'].",
        ),
        (
            {"sex": [["man"], ["woman"]]},
            "`levels` must list the levels of 'sex' in order, got [['man'], ['woman']]. For "
            "example: ['low', 'mid', 'high'].",
        ),
        (
            {"sex": ["man", "woman", "man"]},
            "`levels` must list each level of 'sex' once, got ['man'] twice.",
        ),
        (
            {"k": [1, 2, 1.0, 3]},
            "`levels` must list each level of 'k' once, got [1.0] twice.",
        ),
        (
            {"sex": ["man"]},
            "`levels` must list at least two levels of 'sex', got ['man']. List all that it may "
            "have, the first or lowest one first.",
        ),
        (
            {"sex": ["man", None, "woman"]},
            "`levels` must list levels of 'sex', got a missing value among 3. Leave it out.",
        ),
        (
            {"sex": ["man", "womn"]},
            "`levels` must list every level of 'sex' that `data` has, lacks ['woman'] ({women} "
            "rows). Listed: ['man', 'womn']. Did you mean 'womn'?",
        ),
        (
            {"sex": ["man", "Woman "]},
            "`levels` must list every level of 'sex' that `data` has, lacks ['woman'] ({women} "
            "rows). Listed: ['man', 'Woman ']. Did you mean 'Woman '? It differs only by blanks, "
            "case or Unicode normalisation.",
        ),
        (
            {"k": ["1", "2", "3"]},
            "`levels` must list levels of 'k' of the type that `data` has, got '1' where it has "
            "{k}. Write them as they are in the survey.",
        ),
        (
            {"sex": [True, False]},
            "`levels` must list levels of 'sex' of the type that `data` has, got True where it has "
            "{sex!r}. Write them as they are in the survey.",
        ),
    ],
)
def test_levels_that_can_t_be_used_are_refused(levels: Any, message: str, people: pd.DataFrame):
    first = {"k": people["k"].iloc[0], "sex": people["sex"].iloc[0]}
    for key, value in first.items():
        message = message.replace(f"{{{key}!r}}", repr(value)).replace(f"{{{key}}}", repr(value))
    message = message.replace("{women}", str((people["sex"] == "woman").sum()))
    with raises(RequestError, message):
        Model("y ~ sex + k + (1 | state)", people, levels=levels)


def test_missing_values_are_said_to_be_missing_and_no_level(people: pd.DataFrame):
    survey = people.assign(sex=people["sex"].where(people.index > 1))
    message = (
        "`data` must have no missing values in the columns that the formula uses, got 2 in 'sex' "
        "(of 150 rows). Fill them in, or leave those rows out yourself: "
        "`data.dropna(subset=['sex'])`."
    )
    with raises(DataError, message):
        Model("y ~ sex", survey, levels={"sex": ["woman", "man"]})
