"""The benchmark of crossed factors: its cases are models, its surveys what they say they are."""

from __future__ import annotations

import numpy as np
import pytest

import mrp
from benchmarks import _crossed_surveys, crossed

SMALL = {
    "crossed-400": 8,
    "deep-400": 7,
    "election-400": 7,
    "bundled": 4,
    "bundled-seeds": 1,
    "groups-20": 1,
    "cumulative": 1,
    "sratio": 1,
    "categorical": 1,
}
"""Cases that need no download, and the factors that vary in each."""


@pytest.mark.parametrize("case", SMALL)
def test_case_is_a_model(case):
    formula, survey, family, priors = crossed.problem(case)
    model = mrp.Model(formula, survey, family=family, priors=priors)
    assert model.family == family
    assert len(model._design.blocks) == SMALL[case]


def test_every_case_but_the_downloaded_is_tried():
    kinds = {case.partition("-")[0] for case in crossed.CASES}
    assert kinds - {case.partition("-")[0] for case in SMALL} == {"rainey2015", "ces"}


def test_unknown_case_is_refused():
    with pytest.raises(SystemExit, match="no case named \\['kernl'\\]"):
        crossed.main(["bundled", "kernl"])


def test_states_are_nested_in_divisions_and_seats_in_regions():
    _, people = _crossed_surveys.crossed(5_000)
    assert (people.groupby("state")[["division", "biden_z"]].nunique() == 1).all(axis=None)
    assert people["state"].nunique() == 48
    assert people["division"].nunique() == 9
    _, voters = _crossed_surveys.election(10_000)
    of_seat = voters.groupby("seat")[["region", "past_labour", "past_conservative"]]
    assert (of_seat.nunique() == 1).all(axis=None)
    assert voters["seat"].nunique() == 632
    assert voters["region"].nunique() == 11


def test_parties_have_their_shares():
    _, voters = _crossed_surveys.election(10_000)
    shares = voters["vote"].value_counts(normalize=True)
    expected = np.array([_crossed_surveys.PARTIES[party] for party in shares.index])
    assert (abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / 10_000)).all()


def test_larger_survey_has_the_same_effects():
    rates = []
    for respondents in (20_000, 60_000):
        _, people = _crossed_surveys.crossed(respondents)
        rates.append(people.groupby("age")["defund"].agg(["mean", "size"]))
    first, second = rates
    spread = np.sqrt(0.25 / first["size"] + 0.25 / second["size"])
    assert (abs(first["mean"] - second["mean"]) < 4 * spread).all()
    assert np.ptp(first["mean"]) > 0.1


def test_figures_of_a_run_fit_together():
    options = crossed.options_of(["draws=60", "tune=100", "chains=2", "target_accept=0.8"])
    found = crossed.measure("bundled", "kernel", 1, **options)
    gradients = found["leapfrogs_per_draw"] * 60 * 2
    least = found["ess_per_1000_gradients"] * gradients / 1000
    assert least == pytest.approx(found["least_bulk_ess"], rel=0.1)
    assert found["ess_per_second"] == pytest.approx(least / found["seconds"], abs=0.1)
    assert found["warnings"] == 1  # so few draws are not trusted
