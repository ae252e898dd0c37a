"""The CES model sampled here against brms' fit of it, in units of Monte Carlo standard error.

The reference numbers are marginaleffects' summaries of brms' draws (tests/reference/README.md);
the numbers printed in the book's chapter on MRP, from another run of brms, are the same up to
that error.
"""

from pathlib import Path

import arviz_stats
import numpy as np
import pandas as pd
import pytest

import mrp

REFERENCE = Path(__file__).parent / "reference"
TOLERANCE = 6.5
"""Standard errors. Some 300 numbers are compared, and the errors of tail quantiles are uncertain
themselves: of 12 runs with other seeds the largest deviation was 5.8."""
USUAL = 2.6
"""Nearly all deviations are below."""


@pytest.fixture(scope="module")
def fit(real_data):
    survey = real_data("ces_survey")
    model = mrp.Model(mrp.testing.FORMULA, survey, family="bernoulli", priors="brms")
    return model.sample(draws=1000, tune=1000, chains=4, seed=1, progress=False)


@pytest.fixture(scope="module")
def by_state(fit, real_data):
    return mrp.poststratify(fit, real_data("ces_demographics"), by="state", wts="percent")


def mcse(draws, **kind):
    values = arviz_stats.mcse(draws.to_dataset(name="x"), **kind)["x"].values
    return np.atleast_1d(values)


def deviations(estimates, reference, theirs=None):
    """Differences from brms' mean and quantiles, in joint Monte Carlo standard errors."""
    table, draws = estimates.to_frame(), estimates.draws
    found = {}
    for ours, name, kind in (
        ("estimate", "mean", {"method": "mean"}),
        ("conf_low", "q2.5", {"method": "quantile", "prob": 0.025}),
        ("conf_high", "q97.5", {"method": "quantile", "prob": 0.975}),
    ):
        error = mcse(draws, **kind)
        # where brms' errors were not kept, they are taken to be as large as ours
        other = error if theirs is None else theirs[f"mcse_{name}"].to_numpy()
        found[name] = (table[ours].to_numpy() - reference[name].to_numpy()) / np.hypot(error, other)
    return pd.DataFrame(found)


def check(deviation):
    assert np.abs(deviation.to_numpy()).max() < TOLERANCE
    assert np.quantile(np.abs(deviation.to_numpy()), 0.95) < (USUAL if len(deviation) > 20 else 4)
    # the errors are neither too large nor too small: the deviations are about standard normal
    if len(deviation) > 20:
        assert 0.5 < deviation["mean"].std() < 2


def test_state_estimates_are_those_of_brms(by_state):
    reference = pd.read_csv(REFERENCE / "ces_mrp_state_mcse.csv")
    assert by_state.labels["state"].tolist() == reference["variable"].tolist()
    check(deviations(by_state, reference, reference))


def test_average_predictions_by_military_are_those_of_brms(fit):
    reference = pd.read_csv(REFERENCE / "ces_avg_predictions_military_mcse.csv")
    check(deviations(mrp.avg_predictions(fit, by="military"), reference, reference))


def test_average_predictions_by_gender_are_those_of_brms(fit):
    reference = pd.read_csv(REFERENCE / "ces_avg_predictions_gender_draws_summary.csv")
    check(deviations(mrp.avg_predictions(fit, by="gender"), reference))


def test_age_contrasts_are_those_of_brms(fit):
    reference = pd.read_csv(REFERENCE / "ces_avg_comparisons_age_draws_summary.csv")
    estimates = mrp.avg_comparisons(fit, variables="age")
    assert estimates.labels["contrast"].tolist() == reference["contrast"].tolist()
    check(deviations(estimates, reference))


def test_gender_contrasts_of_typical_people_by_state_are_those_of_brms(fit):
    reference = pd.read_csv(REFERENCE / "ces_comparisons_gender_by_state_draws_summary.csv")
    grid = mrp.datagrid(fit, state=sorted(reference["state"]))
    check(deviations(mrp.comparisons(fit, variables="gender", newdata=grid), reference))


def check_parameters(summary, reference):
    theirs = reference["Est.Error"].to_numpy() / np.sqrt(reference["Bulk_ESS"].to_numpy())
    error = np.hypot(summary["std_error"] / np.sqrt(summary["ess_bulk"]), theirs)
    difference = summary["estimate"].to_numpy() - reference["Estimate"].to_numpy()
    assert np.abs(difference / error).max() < TOLERANCE


def test_coefficients_are_those_of_brms(fit):
    reference = pd.read_csv(REFERENCE / "ces_brms_summary_fixed.csv")
    summary = fit.summary().table.query("section == 'population'")
    assert summary["parameter"].iloc[0] == "Intercept"
    assert summary["parameter"].iloc[-1] == "gender[Woman]"
    check_parameters(summary, reference)


def test_standard_deviations_and_correlation_are_those_of_brms(fit):
    reference = pd.read_csv(REFERENCE / "ces_brms_summary_hyper.csv")
    check_parameters(fit.summary().table.query("section == 'group'"), reference)


@pytest.mark.parametrize(
    ("state", "printed"),
    [
        ("AL", (0.409, 0.356, 0.465)),
        ("AR", (0.399, 0.348, 0.466)),
        ("AZ", (0.381, 0.331, 0.431)),
        ("CA", (0.451, 0.414, 0.506)),
        ("CO", (0.437, 0.393, 0.507)),
        ("CT", (0.401, 0.349, 0.454)),
    ],
)
def test_printed_state_estimates(by_state, state, printed):
    # The book prints what is now the median of the draws; mean and median differ by up to 0.005.
    row = by_state.to_frame().set_index("state").loc[state]
    median = float(by_state.draws.sel(state=state).median())
    assert median == pytest.approx(printed[0], abs=0.004)
    assert row["conf_low"] == pytest.approx(printed[1], abs=0.01)
    assert row["conf_high"] == pytest.approx(printed[2], abs=0.01)


def test_printed_averages_and_probability(fit):
    military = mrp.avg_predictions(fit, by="military").to_frame()
    assert military["estimate"].tolist() == pytest.approx([0.448, 0.364], abs=0.0025)
    assert military["conf_low"].tolist() == pytest.approx([0.424, 0.340], abs=0.004)
    assert military["conf_high"].tolist() == pytest.approx([0.471, 0.388], abs=0.004)
    age = mrp.avg_comparisons(fit, variables={"age": ["18-29", "70+"]}).to_frame()
    assert age["estimate"].item() == pytest.approx(-0.312, abs=0.004)
    share = mrp.avg_predictions(fit).probability("> 0.4")["probability"].item()
    assert share == pytest.approx(0.70375, abs=0.04)


def test_sampler_has_nothing_to_complain_of(fit):
    assert fit.info["divergences"] == 0
    assert fit.info["rhat"] < 1.01
    assert fit.info["ess_bulk"] > 400
