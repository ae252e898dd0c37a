"""The summary: every parameter in its section, numbers of its draws, ArviZ's diagnostics."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pytest

import mrp
from mrp.checks.diagnostics import complaints, measure
from mrp.errors import RequestError
from tests.cases import CASES, SURVEY
from tests.cases import fit_of as case_fit
from tests.checks.families import MODELS, fit_of
from tests.checks.families import SURVEY as SURVEY_OF_FAMILIES
from tests.messages import raises

NUMBERS = ["estimate", "std_error", "conf_low", "conf_high"]
CHAINS = ["rhat", "ess_bulk", "ess_tail"]


def section(fit, name, **options):
    table = fit.summary(**options).table
    return table[table["section"] == name]


def test_sections_come_in_order_with_their_parameters():
    table = fit_of("bernoulli").summary().table
    assert table.columns.tolist() == ["section", "factor", "parameter", *NUMBERS, *CHAINS]
    found = table[["section", "factor", "parameter"]].to_numpy().tolist()
    assert found == [
        ["group", "state", "sd(Intercept)"],
        ["group", "state", "sd(gender[Woman])"],
        ["group", "state", "cor(Intercept, gender[Woman])"],
        ["population", "", "Intercept"],
        ["population", "", "age[middle]"],
        ["population", "", "age[old]"],
        ["population", "", "military"],
    ]


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_of_every_family_is_there_once(name):
    fit = fit_of(name)
    table = fit.summary(group_effects=True).table
    values = list(fit.parameters.data_vars.values())
    assert len(table) == sum(v.size for v in values) / fit.coefficients.size
    assert not table.duplicated([c for c in table.columns if c not in (*NUMBERS, *CHAINS)]).any()
    assert table[[*NUMBERS, *CHAINS]].notna().to_numpy().all()


@pytest.mark.parametrize("name", [n for n in MODELS if n in ("gaussian", "negativebinomial")])
def test_further_parameters_are_those_of_the_family(name):
    fit = fit_of(name)
    (row,) = section(fit, "further").itertuples()
    other = {"gaussian": "sigma", "negativebinomial": "alpha"}[name]
    assert row.parameter == other
    assert row.estimate == pytest.approx(float(fit.parameters[other].mean()))


@pytest.mark.parametrize("name", ["cumulative", "sratio"])
def test_thresholds_are_a_section_of_their_own(name):
    fit = fit_of(name)
    rows = section(fit, "threshold")
    assert rows["parameter"].tolist() == ["threshold[0]", "threshold[1]"]
    np.testing.assert_allclose(
        rows["estimate"], fit.parameters["threshold"].mean(["chain", "draw"]), rtol=1e-12
    )
    assert not section(fit, "population")["parameter"].str.startswith("threshold").any()


def test_levels_of_the_outcome_have_parameters_of_their_own():
    fit = fit_of("categorical")
    rows = section(fit, "population").set_index(["level", "parameter"])
    assert rows.index.unique("level").tolist() == ["none", "right"]
    for level in ("none", "right"):
        draws = fit.parameters["military"].sel(party_reduced_dim=level)
        assert rows.loc[(level, "military"), "estimate"] == pytest.approx(float(draws.mean()))


def test_numbers_are_those_of_the_draws():
    fit = fit_of("bernoulli", chains=4, draws=50)
    row = section(fit, "population", ci_prob=0.8).set_index("parameter").loc["military"]
    draws = fit.parameters["military"]
    theirs = arviz_stats.summary(draws.to_dataset(), round_to="none").loc["military"]
    theirs["ess_tail"] = float(arviz_stats.ess(draws, method="tail", prob=(0.05, 0.95)))
    assert row["estimate"] == pytest.approx(theirs["mean"], rel=1e-12)
    assert row["std_error"] == pytest.approx(theirs["sd"], rel=1e-12)
    bounds = np.quantile(draws, [0.1, 0.9])
    np.testing.assert_allclose([row["conf_low"], row["conf_high"]], bounds, rtol=1e-12)
    names = {"rhat": "r_hat", "ess_bulk": "ess_bulk", "ess_tail": "ess_tail"}
    for ours, name in names.items():
        assert row[ours] == pytest.approx(theirs[name], rel=1e-10)


def test_effects_of_groups_are_listed_when_asked_for():
    fit = fit_of("bernoulli")
    assert "group" not in fit.summary().table
    rows = section(fit, "effect", group_effects=True)
    assert rows.columns.tolist()[:4] == ["section", "factor", "group", "parameter"]
    assert rows["group"].unique().tolist() == sorted(SURVEY["state"].unique())
    one = rows[(rows["group"] == "VT") & (rows["parameter"] == "gender[Woman]")]
    draws = fit.parameters["gender|state"].sel(state__factor_dim="VT")
    assert one["estimate"].item() == pytest.approx(float(draws.mean()))


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_a_summary_that_can_be_shown(name):
    summary = case_fit(name).summary(group_effects=True)
    assert all(title in repr(summary) for title in summary.titles.values())
    for parameter in summary.table["parameter"]:
        assert parameter in repr(summary)
    assert summary._repr_html_().count("<table") == len(summary.titles)


def test_prior_draws_have_no_diagnostics_of_chains():
    prior = CASES["intercept only"].model.sample_prior(draws=50, seed=1)
    summary = prior.summary()
    assert summary.table[CHAINS].isna().to_numpy().all()
    assert "rhat " not in repr(summary)
    assert summary.notes[-1].startswith("Draws from the prior are independent")


def test_one_chain_has_effective_sample_sizes_only():
    fit = fit_of("bernoulli", chains=1, draws=50)
    table = fit.summary().table
    assert table["rhat"].isna().all()
    assert table[["ess_bulk", "ess_tail"]].notna().to_numpy().all()


def test_it_is_laid_out_like_this():
    fit = mrp.testing.fake_fit(
        "y ~ x + (1 | state)", SURVEY, family="bernoulli", chains=4, draws=500, seed=4
    )
    text = repr(fit.summary(ci_prob=0.9))
    assert text.splitlines()[:4] == [
        " Family: bernoulli (link logit)",
        "Formula: y ~ x + (1 | state)",
        f"   Data: 90 respondents in {len(SURVEY[['x', 'state']].drop_duplicates())} distinct rows",
        "  Draws: 4 chains x 500 posterior draws",
    ]
    assert text.splitlines()[5] == "Group-level, state (5 groups)"
    assert text.splitlines()[6].split() == [*NUMBERS, *CHAINS]
    assert text.splitlines()[7].startswith("sd(Intercept)")
    assert text.splitlines()[9] == "Population-level"
    assert "conf_low, conf_high: 90% equal-tailed interval." in text
    assert "(good: at least 400)" in text


def test_it_says_what_is_wrong_with_the_draws():
    fit = fit_of("bernoulli")
    said = complaints(measure(fit.draws), 2)
    assert len(said) == 4
    expected = f"Not to be trusted yet: {'; '.join(said)}. See `fit.diagnostics()`."
    assert fit.summary().notes[-1] == expected


def without(fit, *names):
    """The same fit from draws without some parameters."""
    model = mrp.Model(fit.design.formula, fit.survey, family=fit.family)
    return mrp.Fit.from_draws(model, fit.parameters.drop_vars(names))


def test_draws_without_standard_deviations_have_the_rest():
    names = ["1|state_sigma", "gender|state_sigma", "state_cor"]
    fit = without(fit_of("bernoulli"), *names)
    assert set(fit.summary().table["section"]) == {"population"}
    assert fit.summary().notes[1] == (
        "Not everything is shown. `varcorr` needs draws of every standard deviation and "
        "correlation, this fit lacks ['1|state_sigma', 'gender|state_sigma', 'state_cor']. "
        "Available: ['Intercept', 'age', 'military', '1|state', 'gender|state']. Add them to the "
        "draws that Fit.from_draws is given. A model without correlations is written (x || g)."
    )


@pytest.mark.parametrize(
    ("name", "lacks", "shown"),
    [
        ("bernoulli", "state_cor", ["sd(Intercept)", "sd(gender[Woman])"]),
        ("gaussian", "sigma", section(fit_of("bernoulli"), "group")["parameter"].tolist()),
        ("negativebinomial", "alpha", section(fit_of("bernoulli"), "group")["parameter"].tolist()),
    ],
)
def test_what_the_draws_lack_is_named_and_the_rest_shown(name, lacks, shown):
    summary = without(fit_of(name), lacks).summary()
    assert summary.table.query("section == 'group'")["parameter"].tolist() == shown
    (note,) = [note for note in summary.notes if note.startswith("Not everything is shown. ")]
    assert repr(lacks) in note
    assert "Fit.from_draws" in note


def test_labels_that_are_others_are_said():
    fit = fit_of("bernoulli")
    model = mrp.Model(fit.design.formula, fit.survey, family="bernoulli")
    draws = fit.parameters.assign_coords(state_cor_dim=["x"])
    summary = mrp.Fit.from_draws(model, draws).summary()
    assert section(mrp.Fit.from_draws(model, draws), "group")["parameter"].tolist() == [
        "sd(Intercept)",
        "sd(gender[Woman])",
    ]
    assert summary.notes[1].startswith("Not everything is shown. `varcorr` needs draws of ")
    assert summary.notes[1].endswith("the labels ['x']. Relabel them with `assign_coords`.")


def test_draws_of_effects_alone_are_listed():
    model = mrp.Model("y ~ 0 + (1 | state)", SURVEY, family="bernoulli")
    effects = mrp.testing.fake_draws(model.design)[["1|state"]]
    table = mrp.Fit.from_draws(model, effects).summary().table
    assert table["section"].unique().tolist() == ["effect"]
    assert len(table) == 5


def test_fit_without_its_survey_has_a_summary(tmp_path):
    path = fit_of("bernoulli").save(tmp_path / "fit.nc", include_survey=False)
    assert dict(mrp.load_fit(path).summary().header)["Data"] == "saved without the survey"


def test_rows_with_trials_are_counted_as_rows_and_as_trials():
    trials = SURVEY_OF_FAMILIES["trials"].sum()
    header = dict(fit_of("binomial").summary().header)
    assert header["Data"].startswith(f"{trials:,} trials in 80 rows, ")


def test_the_decimals_show_two_digits_of_the_error():
    fit = mrp.testing.fake_fit("y ~ 1", SURVEY, family="bernoulli", scale=0.0003, draws=100)
    row = next(line for line in repr(fit.summary()).splitlines() if line.startswith("Intercept"))
    estimate, error = row.split()[1:3]
    assert len(error.split(".")[1]) == len(estimate.split(".")[1]) == 5


def test_an_impossible_probability_is_refused():
    with raises(RequestError, "`ci_prob` must be between 0 and 1, got 95. Usual: 0.95."):
        fit_of("bernoulli").summary(ci_prob=95)
