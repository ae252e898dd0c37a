"""The simulated survey: the shape of the CES, a known truth, and a bias made on purpose."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mrp.datasets import AGE, EDUCATION
from mrp.errors import RequestError
from mrp.population import SIZES, SimulatedSurvey, simulate_survey, write_bundled


@pytest.fixture(scope="module")
def simulated() -> SimulatedSurvey:
    """The survey that is bundled."""
    return simulate_survey()


# --- shape ----------------------------------------------------------------------------------------


def test_states_have_the_sample_sizes_of_the_ces(simulated: SimulatedSurvey) -> None:
    assert len(simulated.survey) == sum(SIZES.values()) == 3000
    assert simulated.survey["state"].value_counts().to_dict() == dict(SIZES)


def test_scale_multiplies_the_respondents_of_every_state() -> None:
    sizes = simulate_survey(scale=3).survey["state"].value_counts()
    assert sizes.to_dict() == {state: 3 * size for state, size in SIZES.items()}


def test_columns_and_dtypes_are_those_of_the_ces(simulated: SimulatedSurvey) -> None:
    kinds = {"gender": "str", "age": AGE, "education": EDUCATION, "military": "int64"}
    survey, frame = simulated.survey, simulated.frame
    assert survey.columns.tolist() == ["state", "defund", "gender", "age", "education", "military"]
    assert survey.dtypes.to_dict() == {"state": "str", "defund": "int64", **kinds}
    assert frame.columns.tolist() == ["state", "age", "education", "gender", "military", "n"]
    assert frame.dtypes.to_dict() == {"state": "str", **kinds, "n": "int64"}


def test_frame_holds_every_cell_once_with_at_least_one_person(simulated: SimulatedSurvey) -> None:
    frame = simulated.frame
    assert len(frame) == 48 * 6 * 6 * 2 * 2 == 6912
    assert not frame.duplicated(["state", "age", "education", "gender", "military"]).any()
    assert frame["n"].min() >= 1


def test_truth_has_one_row_for_each_state_and_counts_its_people(simulated: SimulatedSurvey) -> None:
    truth = simulated.truth.set_index("state")
    assert truth.columns.tolist() == ["truth", "population"]
    people = simulated.frame.groupby("state")["n"].sum()
    assert truth["population"].to_dict() == people.to_dict()
    assert truth["truth"].between(0, 1, inclusive="neither").all()


def test_respondents_come_in_random_order(simulated: SimulatedSurvey) -> None:
    halves = simulated.survey["state"][:1500], simulated.survey["state"][1500:]
    assert all(half.nunique() > 40 for half in halves)


# --- the population -------------------------------------------------------------------------------


def test_truth_is_the_mean_of_the_cell_probabilities_over_people() -> None:
    simulated = simulate_survey(state_sd=0.0, slope_sd=0.0)
    truth = simulated.truth.set_index("state")["truth"]
    for state, cells in simulated.frame.groupby("state"):
        supporters = sum(cell["n"] * probability(cell) for cell in cells.to_dict("records"))
        assert truth[str(state)] == pytest.approx(supporters / cells["n"].sum(), abs=1e-10)


def probability(cell: Mapping[Hashable, Any]) -> float:
    """Support in a cell without state effects, from the coefficients as printed."""
    age = {
        "30-39": 0.0192253,
        "40-49": -0.7821669,
        "50-59": -0.9662776,
        "60-69": -1.1645794,
        "70+": -1.3740248,
    }
    education = {
        "High school": 0.0890342,
        "Some college": 0.4157259,
        "2 year": 0.1891399,
        "4 year": 0.6204406,
        "Post grad": 0.9882507,
    }
    log_odds = -0.2577928 + age.get(cell["age"], 0.0) + education.get(cell["education"], 0.0)
    log_odds += 0.0003398 * cell["military"] + 0.1680639 * (cell["gender"] == "Woman")
    return 1 / (1 + math.exp(-log_odds))


def test_state_sd_spreads_the_true_state_opinions() -> None:
    spread = [simulate_survey(state_sd=sd).truth["truth"].std() for sd in (0.0, 0.35, 0.7)]
    assert spread[0] < 0.03 < 0.06 < spread[1] < spread[2]


def test_perfectly_correlated_effects_order_states_alike_for_men_and_women() -> None:
    together = simulate_survey(state_sd=0.3, slope_sd=0.3, correlation=1.0).truth["truth"]
    opposed = simulate_survey(state_sd=0.3, slope_sd=0.3, correlation=-1.0).truth["truth"]
    assert together.std() > 2 * opposed.std()


def test_composition_differs_between_states(simulated: SimulatedSurvey) -> None:
    for column in ("age", "education", "military"):
        shares = share(simulated.frame, ["state"], column)
        assert (shares.max() - shares.min()).min() > 0.05


def test_variables_of_the_population_depend_on_each_other(simulated: SimulatedSurvey) -> None:
    assert np.ptp(share(simulated.frame, ["age"], "education")["Post grad"]) > 0.03
    assert np.ptp(share(simulated.frame, ["age"], "military")[1]) > 0.05
    assert np.ptp(share(simulated.frame, ["gender"], "military")[1]) > 0.05


def share(frame: pd.DataFrame, given: list[str], column: str) -> pd.DataFrame:
    """Share of people in each level of `column`, given other columns."""
    people = frame.groupby([*given, column], observed=True)["n"].sum().unstack(column)
    return people.div(people.sum(axis=1), axis=0)


def test_population_does_not_depend_on_the_survey(simulated: SimulatedSurvey) -> None:
    other = simulate_survey(scale=2, selection=0.0)
    pd.testing.assert_frame_equal(other.frame, simulated.frame, check_exact=True)
    pd.testing.assert_frame_equal(other.truth, simulated.truth, check_exact=True)


# --- the sample -----------------------------------------------------------------------------------


def test_raw_means_are_too_low(simulated: SimulatedSurvey) -> None:
    error = errors_of_raw_means(simulated)
    assert np.average(error, weights=[SIZES[str(state)] for state in error.index]) < -0.03
    assert (error < 0).mean() > 0.7


def test_a_larger_survey_keeps_the_bias() -> None:
    assert (errors_of_raw_means(simulate_survey(scale=100)) < -0.01).all()


def test_without_selection_raw_means_are_unbiased() -> None:
    simulated = simulate_survey(scale=100, selection=0.0)
    truth = simulated.truth.set_index("state")["truth"]
    respondents = simulated.survey.groupby("state").size()
    z = errors_of_raw_means(simulated) / np.sqrt(truth * (1 - truth) / respondents)
    assert abs(z).max() < 4
    assert abs(z.mean()) < 4 / math.sqrt(48)


def errors_of_raw_means(simulated: SimulatedSurvey) -> pd.Series[float]:
    """Share of support among respondents minus the truth, by state."""
    raw = simulated.survey.groupby("state")["defund"].mean()
    return raw - simulated.truth.set_index("state")["truth"]


@pytest.mark.parametrize("selection", [300.0, 1000.0, 1e300])
def test_the_strongest_selection_leaves_those_who_answer_most_often(selection: float) -> None:
    survey = simulate_survey(selection=selection).survey
    kinds = survey[["age", "education", "gender"]].drop_duplicates()
    assert kinds.to_numpy().tolist() == [["70+", "Post grad", "Woman"]]
    assert survey["state"].value_counts().to_dict() == dict(SIZES)


def test_old_educated_and_female_people_answer_more_often(simulated: SimulatedSurvey) -> None:
    survey, frame = simulated.survey.assign(n=1), simulated.frame
    for column, level in {"age": "70+", "education": "Post grad", "gender": "Woman"}.items():
        sample, people = (
            table.groupby(column, observed=True)["n"].sum() / table["n"].sum()
            for table in (survey, frame)
        )
        assert sample[level] > 1.1 * people[level]


def test_respondents_of_a_kind_are_as_many_as_their_factors_say() -> None:
    simulated = simulate_survey(scale=300)
    survey, frame = simulated.survey.query("state == 'CA'"), simulated.frame.query("state == 'CA'")
    young = "age == '18-29' and education == 'No HS' and gender == 'Man'"
    old = "age == '70+' and education == 'Post grad' and gender == 'Woman'"
    odds = len(survey.query(old)) / len(survey.query(young))
    people = frame.query(old)["n"].sum() / frame.query(young)["n"].sum()
    assert odds / people == pytest.approx(5.0 * 2.0 * 1.4, rel=0.1)


# --- seeds, files, arguments ----------------------------------------------------------------------


def test_equal_seeds_make_equal_surveys(simulated: SimulatedSurvey) -> None:
    pd.testing.assert_frame_equal(simulate_survey(seed=2020).survey, simulated.survey)


def test_different_seeds_make_different_populations(simulated: SimulatedSurvey) -> None:
    other = simulate_survey(seed=2021)
    assert not other.frame["n"].equals(simulated.frame["n"])
    assert not other.truth["truth"].equals(simulated.truth["truth"])
    assert not other.survey.equals(simulated.survey)


def test_write_bundled_writes_three_files_that_read_back_the_same(
    tmp_path: Path, simulated: SimulatedSurvey
) -> None:
    write_bundled(tmp_path)
    for part in ("survey", "frame", "truth"):
        written = pd.read_parquet(tmp_path / f"simulated_{part}.parquet")
        pd.testing.assert_frame_equal(written, getattr(simulated, part), check_exact=True)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "`seed` must be a whole number of at least 0, got -1."),
        ({"seed": None}, "`seed` must be a whole number of at least 0, got None."),
        ({"scale": 0}, "`scale` must be a whole number of at least 1, got 0."),
        ({"scale": 1.5}, "`scale` must be a whole number of at least 1, got 1.5."),
        ({"scale": True}, "`scale` must be a whole number of at least 1, got True."),
        ({"state_sd": -0.1}, "`state_sd` must be a finite number, at least 0, got -0.1."),
        ({"state_sd": "0.1"}, "`state_sd` must be a finite number, at least 0, got '0.1'."),
        ({"slope_sd": math.inf}, "`slope_sd` must be a finite number, at least 0, got inf."),
        ({"selection": math.nan}, "`selection` must be a finite number, at least 0, got nan."),
        (
            {"correlation": 1.1},
            "`correlation` must be a finite number, between -1 and 1, got 1.1.",
        ),
    ],
)
def test_argument_out_of_its_range_is_refused(arguments: dict[str, Any], message: str) -> None:
    whole = rf"\A{re.escape(message + ' Leave it out for the default.')}\Z"
    with pytest.raises(RequestError, match=whole):
        simulate_survey(**arguments)


def test_numpy_numbers_are_numbers(simulated: SimulatedSurvey) -> None:
    same = simulate_survey(seed=np.int64(2020), scale=np.int32(1), state_sd=np.float64(0.35))  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(same.survey, simulated.survey)
