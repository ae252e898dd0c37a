"""Draws of estimates: ArviZ's numbers, limits of parameters; what a warning says of averages."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field, replace

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp import prediction
from mrp.checks import averages as checked
from mrp.checks.averages import averages, measured, said
from mrp.checks.diagnostics import OF_PRIOR, RULES, measure
from mrp.errors import RequestError, SamplingWarning
from mrp.model import sampling
from mrp.results import estimates as results
from mrp.results.estimates import Estimates, Made
from tests.checks.families import MODELS, SURVEY, fit_of
from tests.messages import raises, warns

COLUMNS = ["rhat", "ess_bulk", "ess_tail", "ok", "advice"]
LONGER = "Raise `draws` and `tune`."
AFFECTED = (
    "Raise `draws` and `tune` if what you report is affected: `diagnostics()` of the estimates "
    "says so."
)
FORMULA = "y ~ (1 | age) + (1 | state)"
MODEL = mrp.Model(FORMULA, SURVEY, family="bernoulli")


def moved(drift, *, compensated, model=MODEL):
    """Independent draws of a model, in whose chains the intercept drifts here and there.

    Effects of age drift the other way where it is compensated.
    """
    draws = mrp.testing.fake_draws(model.design, chains=4, draws=500, seed=3)
    way = xr.DataArray([-1.0, 0.2, 0.6, 1.0], dims="chain")
    wave = way * xr.DataArray(drift * np.sin(np.linspace(0, 3, 500)), dims="draw")
    draws["Intercept"] = draws["Intercept"] + wave
    if compensated:
        draws["1|age"] = draws["1|age"] - wave
    return draws.transpose("chain", "draw", ...)


def arviz(draws):
    """R-hat and effective sample sizes (estimates, 3), by ArviZ."""
    tail = arviz_stats.ess(draws, method="tail", prob=(0.05, 0.95))
    found = [arviz_stats.rhat(draws), arviz_stats.ess(draws, method="bulk"), tail]
    return np.stack([np.ravel(each) for each in found], axis=1)


def numbers(table):
    return table[COLUMNS[:3]].to_numpy()


@dataclass(frozen=True)
class Watched:
    """Draws that are made on request, and how many rows were asked for at a time."""

    array: np.ndarray
    asked: list[int] = field(default_factory=list)

    @property
    def n(self):
        return len(self.array)

    @property
    def size(self):
        return self.array.shape[1]

    @property
    def keys(self):
        return [np.arange(self.n)]

    def values(self, rows):
        self.asked.append(len(rows))
        return self.array[rows]


# --- estimates ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fit():
    """A fit whose averages mix badly."""
    return mrp.Fit.from_draws(MODEL, moved(0.5, compensated=False))


def by_state(fit, **options):
    return mrp.avg_predictions(fit, by="state", **options)


ASKED = {
    "averages": by_state,
    "contrasts": lambda fit: mrp.avg_comparisons(fit, variables={"age": "pairwise"}),
    "effects": lambda fit: fit.ranef("age"),
    "transformed": lambda fit: by_state(fit, transform=np.exp),
    "pairs": lambda fit: by_state(fit).hypothesis("~ pairwise"),
    "statements": lambda fit: by_state(fit).hypothesis(["TX / VT", "b1 - b2"]),
    "function": lambda fit: by_state(fit).hypothesis(lambda draws: draws.max(axis=0)),
    "several": lambda fit: mrp.concat([by_state(fit), by_state(fit, wts="weight")]),
    "made up": lambda fit: mrp.pp_check(fit, by="state", seed=1),
}


@pytest.mark.parametrize("name", ASKED)
def test_numbers_are_those_of_arviz(fit, name):
    made = ASKED[name](fit)
    table = made.diagnostics()
    draws = made.draws.rename("estimates")
    np.testing.assert_allclose(numbers(table), arviz(draws), rtol=1e-10)
    pd.testing.assert_frame_equal(table[made.labels.columns], made.labels)
    assert table.columns.tolist() == [*made.labels.columns, *COLUMNS]


@pytest.mark.parametrize("name", ["categorical", "cumulative"])
def test_each_level_of_an_outcome_has_its_numbers(name):
    made = mrp.avg_predictions(fit_of(name, 4, 50), by="age")
    table = made.diagnostics()
    assert len(table) == 9
    np.testing.assert_allclose(numbers(table), arviz(made.draws), rtol=1e-10)


def test_limits_are_those_of_parameters():
    rng = np.random.default_rng(5)
    draws = rng.normal(size=(4, 4, 500))
    draws[1, 0] += 1.0  # chains disagree
    draws[2] = np.repeat(rng.normal(size=(4, 25)), 20, axis=1)  # and say too little
    draws[3] = np.repeat(rng.normal(size=(4, 200)), 3, axis=1)[:, :500]
    labels = pd.DataFrame({"row": ["good", "shifted", "slow", "slower"]})
    table = Estimates(labels, Made(draws.reshape(4, -1)), 4).diagnostics()
    within = (table["rhat"] <= 1.01) & (table[["ess_bulk", "ess_tail"]].min(axis=1) >= 400)
    assert table["ok"].tolist() == within.tolist() == [True, False, False, True]
    assert str(table["ok"].dtype) == "boolean"
    assert table["advice"].tolist() == ["", LONGER, LONGER, ""]


def test_the_limit_of_effective_sample_sizes_is_for_each_chain():
    draws = np.repeat(np.random.default_rng(5).normal(size=(1, 8, 100)), 4, axis=2)
    labels = pd.DataFrame({"row": ["a"]})
    few = Estimates(labels, Made(draws[:, :4].reshape(1, -1)), 4).diagnostics()
    many = Estimates(labels, Made(draws.reshape(1, -1)), 8).diagnostics()
    assert few["ess_bulk"][0] < 400 < many["ess_bulk"][0] < 800
    assert few["ok"].tolist() == many["ok"].tolist() == [False]


def test_draws_of_a_prior_have_no_numbers_and_say_why():
    prior = MODEL.sample_prior(draws=100, seed=1)
    for made in (mrp.avg_predictions(prior, by="age"), prior.fixef()):
        table = made.diagnostics()
        assert np.isnan(numbers(table)).all()
        assert table["ok"].isna().all()
        assert set(table["advice"]) == {OF_PRIOR}


def test_a_prior_beside_a_posterior_has_numbers(fit):
    prior = MODEL.sample_prior(draws=2000, seed=1)
    table = mrp.concat({"prior": mrp.avg_predictions(prior), "post": mrp.avg_predictions(fit)})
    assert table.diagnostics()["ok"].tolist() == [True, False]


def test_one_chain_has_no_rhat_but_effective_sample_sizes(fit):
    draws = moved(0.0, compensated=False).isel(chain=[0])
    table = by_state(mrp.Fit.from_draws(MODEL, draws)).diagnostics()
    assert table["rhat"].isna().all()
    assert (table[["ess_bulk", "ess_tail"]] >= 100).to_numpy().all()
    assert table["ok"].isna().all()
    missing = "Not computed: it takes 2 chains of 4 draws that are finite and move."
    assert set(table["advice"]) == {missing}
    slow = by_state(mrp.Fit.from_draws(MODEL, moved(3.0, compensated=False).isel(chain=[0])))
    assert set(slow.diagnostics()["advice"]) == {LONGER}
    assert not slow.diagnostics()["ok"].any()


def test_draws_that_do_not_move_or_are_no_numbers_have_no_numbers():
    values = np.random.default_rng(1).normal(size=(3, 200))
    values[1] = 0.25
    values[2, 7] = np.nan
    labels = pd.DataFrame({"row": ["good", "same", "nan"]})
    table = Estimates(labels, Made(values), 2).diagnostics()
    assert np.isnan(numbers(table)).any(axis=1).tolist() == [False, True, True]
    assert table["ok"].isna().tolist() == [False, True, True]
    (few,) = Estimates(labels[:1], Made(values[:1, :6]), 2).diagnostics()["advice"]
    assert few == table["advice"][1] == RULES[2].missing


def test_columns_of_results_are_no_labels():
    labels = pd.DataFrame({"ok": ["a"]})
    made = Estimates(labels, Watched(np.zeros((1, 8))), 2)
    message = (
        "`labels` must not have columns that results are written to, got ['ok']. Rename them in "
        "the data."
    )
    with raises(RequestError, message):
        made.diagnostics()
    assert made.source.asked == []


def test_large_results_are_checked_some_rows_at_a_time(monkeypatch):
    draws = np.random.default_rng(2).normal(size=(300, 400))
    labels = pd.DataFrame({"area": np.arange(300)})
    expected = Estimates(labels, Made(draws), 4).diagnostics()
    monkeypatch.setattr(prediction, "CACHED_BYTES", 8 * 400 * 5)
    watched = Watched(draws)
    pd.testing.assert_frame_equal(Estimates(labels, watched, 4).diagnostics(), expected)
    assert sum(watched.asked) == 300
    assert max(watched.asked) == 5 * prediction.CHUNK


def test_averages_made_again_have_the_numbers_of_those_that_were_kept(monkeypatch, fit):
    kept = by_state(fit).diagnostics()
    monkeypatch.setattr(results, "KEPT_BYTES", 0)
    lazy = by_state(fit)
    assert not isinstance(lazy.source, Made)
    pd.testing.assert_frame_equal(lazy.diagnostics(), kept)


# --- averages over the survey ---------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_averages_are_those_of_the_verb(name):
    fit = fit_of(name)
    found = averages(fit)
    levels = len(fit.levels or (None,))
    assert set(found) == {"all respondents", "state"}
    for array, expected in (
        (found["all respondents"], mrp.avg_predictions(fit)),
        (found["state"], by_state(fit)),
    ):
        values = array.to_numpy().reshape(2, 6, -1, levels)
        theirs = expected.draws.to_numpy().reshape(2, 6, levels, -1).swapaxes(2, 3)
        np.testing.assert_allclose(values, theirs, rtol=1e-12)
    assert found["state"].to_numpy().shape == (2, 6, 5, levels)[: found["state"].ndim]


def test_factors_are_averaged_by_their_columns():
    fit = mrp.testing.fake_fit(
        "y ~ x + (1 + x | state:gender) + (1 | age) + (0 + x | age)", SURVEY, family="bernoulli"
    )
    found = averages(fit)
    groups = mrp.avg_predictions(fit, by=["state", "gender"])
    own = found["state:gender"]
    labels = [f"{state}:{gender}" for state, gender in groups.labels.to_numpy()]
    assert sorted(own["groups of state:gender"].values) == sorted(labels)
    theirs = groups.draws.assign_coords(estimate=labels).sel(
        estimate=own["groups of state:gender"].values
    )
    np.testing.assert_allclose(own, theirs, rtol=1e-12)
    ages = mrp.avg_predictions(fit, by="age").draws.sel(age=found["groups of age"].values)
    np.testing.assert_allclose(found["age"], ages, rtol=1e-12)


def test_blocks_of_averages_give_the_same(monkeypatch):
    fit = fit_of("cumulative")
    whole = averages(fit)
    monkeypatch.setattr(prediction, "CACHED_BYTES", 8 * 36 * 3)
    xr.testing.assert_allclose(averages(fit), whole, rtol=1e-12)


def test_the_worst_average_is_named(fit):
    found = measured(fit)
    every = [mrp.avg_predictions(fit), mrp.avg_predictions(fit, by="age"), by_state(fit)]
    rows = pd.concat([one.diagnostics() for one in every])
    names = ["all respondents"] + [
        f"{n}[{g}]" for n, e in zip(["age", "state"], every[1:], strict=True) for g in e.names
    ]
    assert found["rhat"] == pytest.approx(rows["rhat"].max(), rel=1e-10)
    assert found["rhat_at"] == names[int(rows["rhat"].argmax())]
    assert found["ess_tail"] == pytest.approx(rows["ess_tail"].min(), rel=1e-10)
    assert found["among"] == len(rows) == 9
    assert sum(found["beyond"].values()) == (~rows["ok"]).sum() > 0


def test_levels_are_named():
    found = measured(fit_of("cumulative", 4, 50))
    assert found["among"] == 3 * (1 + 5)
    assert re.fullmatch(r"(all respondents\[|state\[\w\w, )(low|some|high)\]", found["rhat_at"])


def test_averages_without_a_survey_are_not_measured(fit):
    assert measured(replace(fit, survey=None)) is None


# --- the warning ----------------------------------------------------------------------------------


def sampled(monkeypatch, draws, *, divergences=0, model=MODEL):
    """What sampling gives where the sampler makes these draws."""
    chains, count = draws.sizes["chain"], draws.sizes["draw"]
    at = np.arange(chains * count).reshape(chains, count) < divergences
    stats = xr.Dataset({"diverging": (("chain", "draw"), at)})
    tree = xr.DataTree.from_dict({"posterior": draws, "sample_stats": stats})
    monkeypatch.setattr(mrp.Model, "_drawn", lambda *_: (tree, "kernel"))
    monkeypatch.setattr(mrp.Model, "_prior_parts", property(lambda _: ()))
    monkeypatch.setattr("mrp.model.model.log_prior", lambda *_: xr.Dataset())
    return model.sample(draws=count, chains=chains, progress=False)


def phrases(table):
    """What is wrong with R-hat and effective sample sizes, from their rows in a table of checks."""
    words = {
        "rhat": "R-hat is {:.3f} for {} (over 1.01)",
        "ess_bulk": "bulk effective sample size is {:.0f} for {} (under 400)",
        "ess_tail": "tail effective sample size is {:.0f} for {} (under 400)",
    }
    rows = table[table["check"].isin(list(words)) & (table["ok"] == False)]  # noqa: E712
    return [words[row.check].format(row.value, row.at) for row in rows.itertuples()]


def test_a_drifting_intercept_that_effects_make_up_for_leaves_averages_well(monkeypatch):
    draws = moved(1.0, compensated=True)
    by_hand = mrp.Fit.from_draws(MODEL, draws)
    wrong = phrases(by_hand.diagnostics())
    assert len(wrong) == 3
    every = [mrp.avg_predictions(by_hand), mrp.avg_predictions(by_hand, by="age")]
    rows = pd.concat([one.diagnostics() for one in [*every, by_state(by_hand)]])
    assert rows["ok"].all()
    message = (
        f"Some parameters are not sampled well: {'; '.join(wrong)}; 4 of 11 parameters are beyond "
        f"a limit of R-hat or effective sample size: Intercept, 1|age (3). The survey's average "
        f"and the averages of all groups are within the limits (R-hat at most "
        f"{rows['rhat'].max():.3f}, effective sample sizes at least {rows['ess_bulk'].min():,.0f} "
        f"in the bulk and {rows['ess_tail'].min():,.0f} in the tails). {AFFECTED}"
    )
    with warns(SamplingWarning, message) as caught:
        fit = sampled(monkeypatch, draws)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert fit.info["averages"] == measured(by_hand)
    assert fit.info["beyond"] == {"Intercept": 1, "1|age": 3}


def test_averages_that_drift_too_are_named(monkeypatch):
    draws = moved(1.0, compensated=False)
    by_hand = mrp.Fit.from_draws(MODEL, draws)
    wrong, of_averages = by_hand.diagnostics(), judged_averages(by_hand)
    message = (
        f"The draws may not represent the posterior: {'; '.join(phrases(wrong))}; 1 of 11 "
        f"parameters is beyond a limit of R-hat or effective sample size: Intercept. Averages over "
        f"the survey are affected: {'; '.join(of_averages)}; 9 of 9 averages are beyond a limit of "
        f"R-hat or effective sample size: all respondents, age (3), state (5). {AFFECTED}"
    )
    with warns(SamplingWarning, message):
        fit = sampled(monkeypatch, draws)
    assert fit.info["averages"]["beyond"] == {"all respondents": 1, "age": 3, "state": 5}


def judged_averages(fit):
    """The worst of all averages in words, from the estimates' own tables."""
    tables = {
        "all respondents": mrp.avg_predictions(fit).diagnostics(),
        "age": mrp.avg_predictions(fit, by="age").diagnostics(),
        "state": by_state(fit).diagnostics(),
    }
    rows = pd.concat(
        [
            table.assign(at=[f"{name}[{g}]" for g in table[name]] if name in table else name)
            for name, table in tables.items()
        ],
        ignore_index=True,
    )
    worst = [
        (name, rows.loc[rows[name].idxmax() if name == "rhat" else rows[name].idxmin()])
        for name in COLUMNS[:3]
    ]
    return phrases(
        pd.DataFrame(
            [(n, row[n], row["at"], False) for n, row in worst],
            columns=["check", "value", "at", "ok"],
        )
    )


def test_divergences_are_said_first_and_have_their_own_advice(monkeypatch):
    draws = moved(1.0, compensated=True)
    by_hand = mrp.Fit.from_draws(MODEL, draws)
    found = measured(by_hand)
    message = (
        f"The draws may not represent the posterior: 3 of 2000 draws ended in divergences; "
        f"{'; '.join(phrases(by_hand.diagnostics()))}; 4 of 11 parameters are beyond a limit of "
        f"R-hat or effective sample size: Intercept, 1|age (3). {said(found, 4)} Raise "
        f"`target_accept` (0.95, 0.99) or narrow the priors of the sd's."
    )
    with warns(SamplingWarning, message):
        sampled(monkeypatch, draws, divergences=3)


def test_a_model_without_groups_has_one_average():
    fit = mrp.testing.fake_fit("y ~ x", SURVEY, family="bernoulli", chains=4, draws=500)
    own = mrp.avg_predictions(fit).diagnostics().iloc[0]
    assert said(measured(fit), 4) == (
        f"The survey's average is within the limits (R-hat at most {own['rhat']:.3f}, effective "
        f"sample sizes at least {own['ess_bulk']:,.0f} in the bulk and {own['ess_tail']:,.0f} in "
        f"the tails)."
    )


def test_one_chain_has_averages_without_rhat():
    fit = mrp.Fit.from_draws(MODEL, moved(1.0, compensated=True).isel(chain=[0]))
    found = measured(fit)
    assert said(found, 1) == (
        f"The survey's average and the averages of all groups are within the limits (effective "
        f"sample sizes at least {found['ess_bulk']:,.0f} in the bulk and {found['ess_tail']:,.0f} "
        f"in the tails)."
    )


def test_many_kinds_of_parameters_are_counted():
    report = {"rhat": 1.5, "rhat_at": "a", "ess_bulk": 400, "ess_tail": 400}
    report |= {"beyond": dict.fromkeys("abcdefg", 2000), "among": 20_000}
    (_, last) = sampling.complaints(report, 4)
    assert last == (
        "14,000 of 20,000 parameters are beyond a limit of R-hat or effective sample size: a "
        "(2,000), b (2,000), c (2,000), d (2,000), e (2,000), … 2 more"
    )


def test_averages_are_not_made_where_parameters_are_well(monkeypatch):
    monkeypatch.setattr(checked, "averages", lambda fit: pytest.fail("made"))
    model = mrp.Model(FORMULA, SURVEY, family="bernoulli")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = sampled(monkeypatch, moved(0.0, compensated=False), model=model)
    assert "averages" not in fit.info
    with warns(
        SamplingWarning,
        "The draws may not represent the posterior: 3 of 2000 draws ended in divergences. Raise "
        "`target_accept` (0.95, 0.99) or narrow the priors of the sd's.",
    ):
        sampled(monkeypatch, moved(0.0, compensated=False), divergences=3)


@pytest.mark.parametrize("error", [RuntimeError("no"), MemoryError(), KeyboardInterrupt()])
def test_a_fit_is_not_lost_where_its_averages_can_t_be_made(monkeypatch, error):
    def fails(fit):
        raise error

    monkeypatch.setattr(checked, "averages", fails)
    draws = moved(1.0, compensated=True)
    wrong = phrases(mrp.Fit.from_draws(MODEL, draws).diagnostics())
    message = (
        f"The draws may not represent the posterior: {'; '.join(wrong)}; 4 of 11 parameters are "
        f"beyond a limit of R-hat or effective sample size: Intercept, 1|age (3). {AFFECTED}"
    )
    with warns(SamplingWarning, message):
        fit = sampled(monkeypatch, draws)
    assert "averages" not in fit.info
    assert fit.parameters.equals(draws)


def test_averages_beyond_the_memory_are_not_made(monkeypatch, fit):
    monkeypatch.setattr("mrp.memory.available", lambda: 1000)
    assert measured(fit) is None


@pytest.mark.filterwarnings("ignore::mrp.errors.SamplingWarning")
def test_what_was_found_is_saved_with_the_fit(monkeypatch, tmp_path):
    fit = sampled(monkeypatch, moved(1.0, compensated=False))
    again = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    assert again.info["averages"] == fit.info["averages"]
    assert (again.info["beyond"], again.info["among"]) == ({"Intercept": 1}, 11)
    assert list(again.info["averages"]["beyond"]) == ["all respondents", "age", "state"]
    assert measure(again.draws)["beyond"] == fit.info["beyond"]
