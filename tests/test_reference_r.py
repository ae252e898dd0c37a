"""Fed brms' draws of the CES model, the verbs give R's draws (tests/reference/README.md)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from tests import loops

REFERENCE = Path(__file__).parent / "reference"
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
STATE = "state__factor_dim"


def table(name):
    return pd.read_parquet(REFERENCE / f"ces_{name}_draws.parquet")


def summary(name):
    return pd.read_csv(REFERENCE / f"ces_{name}_draws_summary.csv", dtype={"col": str})


def as_dataset(draws, survey):
    """brms' columns under the names that Bambi gives, in one chain."""
    states = sorted(survey["state"].unique())

    def column(name):
        return draws[name].to_numpy()[None]

    def columns(names):
        return np.stack([column(name) for name in names], axis=-1)

    def slopes(prefix):
        return columns([name for name in draws if name.startswith(prefix)])

    return xr.Dataset(
        {
            "Intercept": (("chain", "draw"), column("b_Intercept")),
            "age": (("chain", "draw", "age_dim"), slopes("b_age")),
            "education": (("chain", "draw", "education_dim"), slopes("b_education")),
            "military": (("chain", "draw"), column("b_military")),
            "gender": (("chain", "draw", "gender_dim"), slopes("b_gender")),
            "1|state": (
                ("chain", "draw", STATE),
                columns([f"r_state[{state},Intercept]" for state in states]),
            ),
            "gender|state": (
                ("chain", "draw", "gender__expr_dim", STATE),
                columns([f"r_state[{state},genderWoman]" for state in states])[:, :, None],
            ),
            "1|state_sigma": (("chain", "draw"), column("sd_state__Intercept")),
            "gender|state_sigma": (
                ("chain", "draw", "gender__expr_dim"),
                column("sd_state__genderWoman")[..., None],
            ),
            "state_cor": (("chain", "draw"), column("cor_state__Intercept__genderWoman")),
        },
        coords={
            "age_dim": survey["age"].cat.categories[1:].tolist(),
            "education_dim": survey["education"].cat.categories[1:].tolist(),
            "gender_dim": ["Woman"],
            "gender__expr_dim": ["Woman"],
            STATE: states,
        },
    )


@pytest.fixture(scope="module")
def survey(real_data):
    return real_data("ces_survey")


@pytest.fixture(scope="module")
def fit(survey):
    model = mrp.Model(mrp.testing.FORMULA, survey, family="bernoulli", priors="brms")
    return mrp.Fit.from_draws(model, as_dataset(table("posterior"), survey))


def assert_draws(estimates, column, reference):
    """Equal draw by draw, each estimate found by its label."""
    draws = estimates.get_draws("wide").set_axis(estimates.labels[column].astype(str), axis=1)
    assert sorted(draws) == sorted(reference)
    assert draws.shape == (400, reference.shape[1])
    np.testing.assert_allclose(draws[list(reference)], reference, **CLOSE)


def test_averages_by_military_equal_those_of_marginaleffects(fit):
    estimates = mrp.avg_predictions(fit, by="military")
    assert_draws(estimates, "military", table("avg_predictions_military"))


def test_poststratified_states_equal_those_of_marginaleffects(fit, real_data):
    frame = real_data("ces_demographics")
    estimates = mrp.poststratify(fit, frame, by="state", wts="percent")
    assert_draws(estimates, "state", table("mrp_state"))


def test_comparisons_by_state_equal_those_of_marginaleffects(fit):
    grid = mrp.datagrid(fit, state=pd.unique)
    estimates = mrp.comparisons(fit, variables="gender", newdata=grid)
    assert_draws(estimates, "state", table("comparisons_gender_by_state"))
    assert set(estimates.labels["contrast"]) == {"Woman - Man"}


def test_typical_people_are_those_of_marginaleffects(fit, survey):
    expected = pd.read_csv(REFERENCE / "ces_datagrid_state_unique.csv")
    grid = mrp.datagrid(fit, state=pd.unique, defund=0)
    assert grid["state"].tolist() == survey["state"].unique().tolist()
    found = loops.records(grid.sort_values("state")[expected.columns[1:]])
    assert found == loops.records(expected.drop(columns="rowid"))


@pytest.mark.parametrize("how", ["avg_predictions_all", "avg_predictions_gender",
                                 "avg_predictions_military", "avg_comparisons_age",
                                 "avg_comparisons_age_18_70", "avg_comparisons_military",
                                 "predictions_CA_AL"])  # fmt: skip
def test_summaries_of_a_tenth_of_the_draws_are_near_those_of_all(fit, how):
    """The same quantity: within the Monte Carlo error of 400 draws of the mean of all 4,000."""
    grid = {"education": "4 year", "military": 0, "gender": "Man", "age": "50-59"}
    estimates = {
        "avg_predictions_all": lambda: mrp.avg_predictions(fit),
        "avg_predictions_gender": lambda: mrp.avg_predictions(fit, by="gender"),
        "avg_predictions_military": lambda: mrp.avg_predictions(fit, by="military"),
        "avg_comparisons_age": lambda: mrp.avg_comparisons(fit, variables="age"),
        "avg_comparisons_age_18_70": lambda: mrp.avg_comparisons(
            fit, variables={"age": ["18-29", "70+"]}
        ),
        "avg_comparisons_military": lambda: mrp.avg_comparisons(fit, variables="military"),
        "predictions_CA_AL": lambda: mrp.predictions(
            fit, newdata=mrp.datagrid(fit, state=["AL", "CA"], **grid)
        ),
    }[how]()
    expected = (
        pd.read_csv(REFERENCE / "ces_avg_predictions_military_mcse.csv")
        if how == "avg_predictions_military"
        else summary(how)
    )
    found = estimates.to_frame()
    for label in {"contrast", "state", "gender"} & {*found} & {*expected}:
        assert found[label].tolist() == expected[label].tolist()
    error = expected["sd"] / np.sqrt(400)
    assert (np.abs(found["estimate"] - expected["mean"]) < 4 * error).all()
    np.testing.assert_allclose(found["std_error"], expected["sd"], rtol=4 / np.sqrt(2 * 400))
    assert (np.abs(found["conf_low"] - expected["q2.5"]) < 0.4 * expected["sd"]).all()
    assert (np.abs(found["conf_high"] - expected["q97.5"]) < 0.4 * expected["sd"]).all()


def test_new_state_has_the_fitted_spread_of_states(fit):
    """A state that no respondent lives in: brms' group distribution, each draw with its own."""
    grid = mrp.datagrid(fit, state=["Guam"], gender=["Man", "Woman"])
    options = {"newdata": grid, "type": "link", "new_levels": "gaussian", "seed": 1}
    man, woman = mrp.predictions(fit, **options).draws.values[0].T
    draws = table("posterior")
    # the typical respondent is 18-29 (the reference), went to high school, served
    level = draws[["b_Intercept", "b_educationHighschool", "b_military"]].sum(axis=1)
    deviation = np.stack([man - level, woman - man - draws["b_genderWoman"]])
    sd = draws[["sd_state__Intercept", "sd_state__genderWoman"]].to_numpy().T
    standard = deviation / sd
    assert (np.abs(standard.mean(axis=1)) < 4 / np.sqrt(400)).all()
    np.testing.assert_allclose(standard.std(axis=1), 1, rtol=4 / np.sqrt(2 * 400))
    cor = draws["cor_state__Intercept__genderWoman"]
    product = standard.prod(axis=0)
    assert abs((product - cor).mean()) < 4 * (product - cor).std() / np.sqrt(400)
