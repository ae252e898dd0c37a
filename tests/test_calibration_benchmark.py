"""Calibration of every family: the benchmark in small, whole in the slow tests, and its page."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mrp
from benchmarks import calibration
from mrp.model.families import FAMILIES
from mrp.testing import fake_draws

RESULTS = calibration.PAGE.parents[1] / "benchmarks" / "results" / "calibration.json"


def recorded():
    return json.loads(RESULTS.read_text(encoding="utf-8"))["measured"]


def test_every_family_is_calibrated():
    assert {run.family for run in calibration.RIGHT.values()} == set(FAMILIES)


def test_small_run_has_the_numbers_of_the_table():
    sampler = {"draws": 60, "tune": 80, "chains": 2}
    found = calibration.measured("binomial", surveys=3, processes=1, sampler=sampler)
    assert found["estimates"] == 2 + 1 + 8 + 1  # coefficients, sd, states, log likelihood
    assert found["surveys"] == 3
    assert found["failed"] == 0
    assert found.keys() == recorded()["runs"]["binomial"].keys()


def test_cells_that_are_shuffled_keep_their_means_and_lose_what_they_share():
    people = calibration.survey()
    run = calibration.BROKEN["cells averaged as if independent"]
    model = calibration.model_of(run, people)
    fit = mrp.Fit.from_draws(model, fake_draws(model.design, draws=200, seed=1))
    right = calibration.states_of(calibration.RIGHT["bernoulli"])(fit).to_frame()
    wrong = calibration.states_of(run)(fit).to_frame()
    np.testing.assert_allclose(wrong["estimate"], right["estimate"], rtol=1e-12)
    assert (wrong["std_error"] < 0.7 * right["std_error"]).all()


def test_page_shows_the_recorded_numbers():
    text = calibration.PAGE.read_text(encoding="utf-8")
    assert calibration.with_table(text, recorded()["runs"]) == text


def test_recorded_runs_are_uniform_unless_they_are_broken():
    found = recorded()
    assert found["surveys"] >= 100
    assert list(found["runs"]) == list(calibration.RUNS)
    for name, numbers in found["runs"].items():
        check(name, numbers)


@pytest.mark.slow
@pytest.mark.parametrize("name", calibration.RUNS)
def test_ranks_are_uniform_unless_the_run_is_broken(name):
    check(name, calibration.measured(name))


def check(name, numbers):
    p = numbers["rank_p_adjusted"]
    assert p < calibration.CAUGHT if name in calibration.BROKEN else p > calibration.UNIFORM
    assert numbers["failed"] <= 0.01 * numbers["surveys"]
