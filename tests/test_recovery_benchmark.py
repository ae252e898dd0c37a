"""The benchmark of coverage in small, and the page that shows its numbers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import mrp
from benchmarks import coverage

RESULTS = coverage.PAGE.parents[1] / "benchmarks" / "results" / "coverage.json"
QUICK = {"draws": 100, "tune": 150, "chains": 2}


@pytest.fixture(scope="module")
def rows():
    return coverage.one_survey(3, {}, QUICK)


def test_rows_are_the_states_and_the_nation_beside_their_truth(rows):
    simulated = mrp.simulate_survey(seed=3)
    truth = simulated.truth.set_index("state")
    assert rows["label"].tolist() == [*truth.index, "nation"]
    assert rows["truth"][:48].tolist() == truth["truth"].tolist()
    people = (truth["truth"] * truth["population"]).sum() / truth["population"].sum()
    assert rows["truth"][48] == pytest.approx(people)
    raw = simulated.survey.groupby("state")["defund"].agg(["mean", "size"])
    assert rows["raw"][:48].tolist() == raw["mean"].tolist()
    assert rows["respondents"].tolist() == [*raw["size"], 3000]


def test_poststratified_estimates_are_nearer_to_the_truth_than_raw_means(rows):
    rmse = {
        name: np.sqrt(((rows[name] - rows["truth"])[:48] ** 2).mean())
        for name in ("estimate", "raw")
    }
    assert rmse["estimate"] < 0.8 * rmse["raw"]
    held = rows["truth"].between(rows["conf_low_95"], rows["conf_high_95"])
    assert held.mean() > 0.8


def test_numbers_of_a_part_are_those_of_its_rows(rows):
    other = rows.assign(survey=4, estimate=rows["estimate"] + 0.01)
    both = pd.concat([rows, other])
    found = coverage.summary_of(both)
    assert found["surveys"] == 2
    error = both["estimate"] - both["truth"]
    assert found["bias"] == pytest.approx(error.mean(), abs=1e-5)
    assert found["bias_se"] == pytest.approx(0.005, abs=1e-5)  # half the distance of two surveys
    assert found["rmse"] == pytest.approx(np.sqrt((error**2).mean()), abs=1e-5)
    assert found["raw_bias"] == pytest.approx((rows["raw"] - rows["truth"]).mean(), abs=1e-5)


def test_small_run_has_every_part():
    found = coverage.measured({}, 2, processes=1, sampler=QUICK)
    assert list(found) == ["states", "nation", *(f"states of {name}" for name in coverage.SIZES)]
    assert all(part["surveys"] == 2 for part in found.values())
    assert 0.6 < found["states"]["coverage_80"] < 0.97


def test_known_parameters_are_those_of_the_simulated_population():
    simulated = mrp.simulate_survey(seed=1, state_sd=0.0, slope_sd=0.0)
    model = mrp.Model(mrp.testing.FORMULA, simulated.survey, family="bernoulli")
    fit = coverage.known_parameters(model, 400)
    nobody_differs = mrp.predictions(fit, newdata=simulated.frame, re_formula=False)
    support = nobody_differs.source.values(np.arange(len(simulated.frame)))
    people = simulated.frame.assign(support=support[:, 0] * simulated.frame["n"])
    sums = people.groupby("state")[["support", "n"]].sum()
    truth = simulated.truth.set_index("state")["truth"]
    assert (sums["support"] / sums["n"]).to_dict() == pytest.approx(truth.to_dict())
    effects = fit.ranef().draws.to_numpy().reshape(400, 48, 2)
    assert effects[..., 0].std() == pytest.approx(0.35, rel=0.03)
    assert effects[..., 1].std() == pytest.approx(0.20, rel=0.03)
    assert np.corrcoef(effects.reshape(-1, 2).T)[0, 1] == pytest.approx(0.3, abs=0.03)


def test_page_shows_the_recorded_numbers():
    recorded = json.loads(RESULTS.read_text(encoding="utf-8"))["measured"]
    found = {name: recorded[name] for name in (*coverage.SCENARIOS, coverage.OWN)}
    text = coverage.PAGE.read_text(encoding="utf-8")
    assert coverage.with_tables(text, found) == text


def test_recorded_coverage_is_near_nominal():
    recorded = json.loads(RESULTS.read_text(encoding="utf-8"))["measured"]
    assert recorded["surveys"] >= 100
    for name in coverage.SCENARIOS:
        if name != "states nearly alike":  # where intervals are wider than they need be
            states = recorded[name]["states"]
            assert abs(states["coverage_80"] - 0.80) < 0.03
            assert abs(states["coverage_95"] - 0.95) < 0.02
            assert states["rmse"] < 0.8 * states["raw_rmse"]
