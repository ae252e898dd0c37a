"""`Model.prior_summary`: a row for every parameter, what its prior is and where it comes from."""

from __future__ import annotations

from typing import Any

import bambi
import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.model import Model
from mrp.model.prior_table import rows

FORMULA = "y ~ age + x + (sex + x | state) + (1 | education)"


def records(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(table[["parameter", "prior", "source"]].itertuples(index=False, name=None))


def test_every_parameter_has_a_row(people: pd.DataFrame):
    given = mrp.priors(
        b={"age": "normal(0, 1)", "age[old]": "normal(1, 2)"},
        sd={"state": "exponential(2)"},
        cor="lkj(2)",
        sigma="half_cauchy(1)",
        Intercept="student_t(3, 1, 2.5)",
        defaults="brms",
    )
    table = Model(FORMULA, people, priors=given).prior_summary()
    assert table.columns.tolist() == ["parameter", "prior", "note", "source"]
    assert table.index.tolist() == list(range(10))
    assert records(table) == [
        ("Intercept", "student_t(3, 1, 2.5)", "Intercept"),
        ("age[mid]", "normal(0, 1)", "age"),
        ("age[old]", "normal(1, 2)", "age[old]"),
        ("x", "flat()", "brms default"),
        ("sd(Intercept | state)", "exponential(2)", "sd(state)"),
        ("sd(sex[woman] | state)", "exponential(2)", "sd(state)"),
        ("sd(x | state)", "exponential(2)", "sd(state)"),
        ("sd(Intercept | education)", "half_student_t(3, 2.5)", "brms default"),
        ("cor(state)", "lkj(2)", "cor"),
        ("sigma", "half_cauchy(1)", "sigma"),
    ]


def test_defaults_are_named_by_whose_they_are(people: pd.DataFrame):
    formula = "vote ~ x + (x | state)"
    for name in ("bambi", "brms"):
        table = Model(formula, people, family="bernoulli", priors=name).prior_summary()
        sources = table.set_index("parameter")["source"]
        # Bambi's effects have no correlations
        assert sources.pop("cor(state)") == "brms default"
        assert set(sources) == {f"{name} default"}


def test_each_coefficient_has_its_own_number(people: pd.DataFrame):
    model = Model("y ~ age", people)
    sigma = model.priors.population["age"].values["sigma"]
    table = model.prior_summary().set_index("parameter")["prior"]
    assert table["age[mid]"] == f"normal(0, {sigma[0]:.4g})"
    assert table["age[old]"] == f"normal(0, {sigma[1]:.4g})"


def test_brackets_without_correlations_have_no_row_for_them(people: pd.DataFrame):
    table = Model("y ~ (1 | state) + (x || education)", people).prior_summary()
    assert not table["parameter"].str.startswith("cor").any()


def test_correlations_know_how_many_effects_they_are_of(people: pd.DataFrame):
    model = Model("y ~ (sex + x | state) + (0 + k + z | state)", people)
    found = [row for row in rows(model.priors, model.design) if row.parameter.startswith("cor")]
    assert [row.width for row in found] == [3, 2]
    assert [row.parameter for row in found] == [
        "cor(Intercept, sex[woman], x | state)",
        "cor(k, z | state)",
    ]


@pytest.mark.parametrize(
    ("family", "given", "wanted"),
    [
        ("sratio", None, [("threshold", "normal(0, 1)", "bambi default")]),
        (
            "cumulative",
            None,
            [
                ("threshold[0]", "normal(-2, 1)", "bambi default"),
                ("threshold[1]", "normal(2, 1)", "bambi default"),
            ],
        ),
        ("cumulative", {"threshold": "normal(0, 3)"}, [("threshold", "normal(0, 3)", "threshold")]),
        (
            "cumulative",
            {"threshold": bambi.Prior("Normal", mu=[-1, 1], sigma=2)},
            [
                ("threshold[0]", "normal(-1, 2)", "threshold"),
                ("threshold[1]", "normal(1, 2)", "threshold"),
            ],
        ),
        (
            "cumulative",
            {"threshold": "normal(0, 3)", "threshold[1]": "normal(1, 0.5)"},
            [
                ("threshold[0]", "normal(0, 3)", "threshold"),
                ("threshold[1]", "normal(1, 0.5)", "threshold[1]"),
            ],
        ),
        (
            "sratio",
            {"threshold[0]": "normal(-1, 2)"},
            [
                ("threshold[0]", "normal(-1, 2)", "threshold[0]"),
                ("threshold[1]", "normal(0, 1)", "bambi default"),
            ],
        ),
    ],
)
def test_thresholds_have_one_row_if_they_have_one_prior(
    family: Any, given: Any, wanted: list[tuple[str, str, str]], people: pd.DataFrame
):
    priors = {"x": "normal(0, 1)", **(given or {})}
    table = Model("k ~ x", people, family=family, priors=priors).prior_summary()
    assert records(table) == [*wanted, ("x", "normal(0, 1)", "x")]


def test_priors_are_written_as_they_were_given(people: pd.DataFrame):
    given = mrp.priors(Intercept="normal(2019.5, 0.25)", x="normal(1e6, 12345)")
    assert text_of(Model("y ~ x", people, priors=given))[:2] == [
        "normal(2019.5, 0.25)",
        "normal(1e6, 12345)",
    ]


def text_of(model: Model) -> list[str]:
    return [str(text) for text in model.prior_summary()["prior"]]


def test_levels_of_an_unordered_outcome_share_a_row(people: pd.DataFrame):
    table = Model("education ~ x", people, family="categorical").prior_summary()
    assert table["parameter"].tolist() == ["Intercept", "x"]


def test_the_table_is_of_the_priors_that_are_drawn_from(people: pd.DataFrame):
    """Standard deviations of draws against those that the table has."""
    model = Model("vote ~ age + x", people, family="bernoulli", center_predictors=False)
    found = model.sample_prior(draws=20_000, seed=1).parameters
    draws = {
        "Intercept": found["Intercept"],
        "age[mid]": found["age"].sel(age_dim="mid"),
        "age[old]": found["age"].sel(age_dim="old"),
        "x": found["x"],
    }
    for name, text in model.prior_summary().set_index("parameter")["prior"].items():
        sd = float(text.removesuffix(")").split(", ")[1])  # four digits of it
        error = sd / np.sqrt(2 * 20_000)
        assert abs(float(draws[str(name)].std()) - sd) < 4.5 * error + 5e-4 * sd


def test_the_table_is_written_as_text_and_html(people: pd.DataFrame):
    table = Model(FORMULA, people).prior_summary()
    assert "sd(sex[woman] | state)" in table.to_string()
    assert "sd(sex[woman] | state)" in table.to_html()
