"""Recovery: what is put in comes out, and what is wrong shows.

Most tests replace the sampler by made-up draws; those of calibration sample a small model.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.errors import (
    FitError,
    PriorError,
    RequestError,
    SamplingInterrupted,
    SamplingWarning,
)
from mrp.model.model import Model
from mrp.plots import recovery as figures
from mrp.recovery.estimands import parameters, takes_seed
from mrp.recovery.refits import COLUMNS, SUMMARY, compared, ranks
from mrp.recovery.result import Recovery
from mrp.recovery.surveys import seeds_of
from mrp.rehearsal import made_up
from mrp.results.estimates import Made
from mrp.testing import fake_draws
from tests.messages import raises, warns

PRIORS = {
    "defaults": "brms",
    "Intercept": "normal(0, 1)",
    "b": "normal(0, 1)",
    "sd": "half_normal(0.7)",
}
FORMULA = "y ~ age + (1 | state)"
STATES = ["AL", "CA", "NY", "TX", "VT", "WY"]
SHARES = [0.3, 0.3, 0.2, 0.1, 0.05, 0.05]


def make_survey(n=240):
    rng = np.random.default_rng(11)
    return pd.DataFrame(
        {
            "age": rng.choice(["old", "young"], n),
            "state": [*STATES, *rng.choice(STATES, n - len(STATES), p=SHARES)],
            "y": rng.integers(0, 2, n),
            "count": rng.poisson(2.0, n),
            "score": rng.normal(50.0, 10.0, n),
        }
    )  # fmt: skip


SURVEY = make_survey()
FRAME = pd.MultiIndex.from_product([["old", "young"], STATES], names=["age", "state"]).to_frame(
    index=False
)
FRAME["n"] = np.where(FRAME["age"] == "old", 100, 900) * (1 + np.arange(12) % 6)
FRAME["turned"] = np.where(FRAME["age"] == "old", 900, 100) * (1 + np.arange(12) % 6)


def made(formula=FORMULA, survey=SURVEY, family="bernoulli", priors=PRIORS, **options):
    return Model(formula, survey, family=family, priors=priors, **options)


def states(fit):
    return mrp.poststratify(fit, FRAME, by="state", wts="n")


def nation(fit):
    return mrp.poststratify(fit, FRAME, wts="n")


@pytest.fixture
def instant(monkeypatch):
    """The sampler replaced by made-up draws; a list of the models that were sampled."""
    sampled = []

    def sample(self, *, draws, tune, chains, target_accept, seed, progress):
        sampled.append(self)
        found = fake_draws(self.design, chains=chains, draws=draws, seed=seed)
        for name in self.priors.auxiliary:
            found[name] = (("chain", "draw"), np.full((chains, draws), 1.0))
        info = {"draws": draws * chains, "divergences": 1, "rhat": 1.5, "ess_bulk": 7.0}
        return replace(mrp.Fit.from_draws(self, found), info={**info, "seconds": 0.25})

    monkeypatch.setattr(Model, "sample", sample)
    return sampled


def prior_draws(self, *, draws, tune, chains, target_accept, seed, progress):
    """Draws of the prior in place of `Model.sample`."""
    prior = self.sample_prior(draws=draws * chains, seed=seed)
    info = {"draws": draws * chains, "divergences": 0, "rhat": 1.0, "ess_bulk": 1.0}
    return replace(prior, info={**info, "seconds": 0.0})


def of_refit(fit):
    """Whether a fit is that of a refit, and neither a truth nor made up before sampling."""
    return fit.coefficients.chains == 2


BAMBI = {"defaults": "bambi"}


def recovered(source=None, estimands=None, **options):
    """A recovery in this process, small."""
    defaults = {"surveys": 5, "draws": 20, "chains": 2, "rank_draws": 9, "processes": 1}
    return mrp.recover(source or made(), estimands, **{**defaults, **options})


# --- the table ------------------------------------------------------------------------------------


def test_table_has_a_row_for_each_survey_and_estimate(instant):
    table = recovered(estimands={"states": states, "nation": nation}).table
    assert table.columns.tolist() == list(COLUMNS)
    assert table["survey"].tolist() == [k for k in range(5) for _ in range(6 + 1 + 1)]
    own = table[table["survey"] == 3]
    assert own["estimand"].tolist() == ["states"] * 6 + ["nation", "log_likelihood"]
    assert own["label"].tolist() == [*STATES, "b1", "log likelihood"]
    assert table["failure"].isna().all()
    diagnostics = table[["divergences", "rhat", "ess_bulk", "seconds"]].drop_duplicates()
    assert diagnostics.to_numpy().tolist() == [[1.0, 1.5, 7.0, 0.25]]


def test_estimates_and_truths_are_those_of_each_survey_refitted_by_hand(instant):
    model = made()
    table = recovered(model, {"states": states}, log_likelihood=False, seed=9).table
    for k, fake in enumerate(mrp.simulate(model, surveys=5, seed=9)):
        own = table[table["survey"] == k].set_index("label")
        fit = model.with_outcome(fake.outcome).sample(
            draws=20, tune=500, chains=2, target_accept=0.95, progress=False,
            seed=seeds_of(9, k).sampler,
        )  # fmt: skip
        truth = states(fake.truth).to_frame().set_index("state")["estimate"]
        draws = states(fit).get_draws("long").groupby("state")["value"]
        for state in STATES:
            values = sorted(draws.get_group(state))
            assert own.loc[state, "truth"] == pytest.approx(truth[state])
            assert own.loc[state, "estimate"] == pytest.approx(sum(values) / 40)
            assert own.loc[state, "std_error"] == pytest.approx(np.std(values, ddof=1))
            for percent, p in ((50, 0.5), (80, 0.8), (95, 0.95)):
                bounds = own.loc[state, [f"conf_low_{percent}", f"conf_high_{percent}"]]
                expected = np.quantile(values, [(1 - p) / 2, (1 + p) / 2])
                assert bounds.tolist() == pytest.approx(expected.tolist())


def test_rank_is_the_number_of_kept_draws_below_the_truth():
    rng = np.random.default_rng(1)
    truth, draws = rng.normal(size=30), rng.normal(size=(30, 100))
    found = ranks(truth, draws, 10, seed=1)
    kept = [round(k * 99 / 9) for k in range(10)]
    assert found.tolist() == [
        sum(row[k] < t for k in kept) for t, row in zip(truth, draws, strict=True)
    ]


def test_equal_draws_are_put_around_the_truth_at_random():
    draws = np.tile([0.0, 1.0, 1.0, 1.0, 2.0], (4000, 1))
    found = Counter(ranks(np.ones(4000), draws, 5, seed=1).tolist())
    assert set(found) == {1, 2, 3, 4}
    assert all(abs(count - 1000) < 4 * math.sqrt(750) for count in found.values())


def test_what_is_discrete_has_uniform_ranks():
    rng = np.random.default_rng(3)
    draws = rng.poisson(1.0, (5000, 10)).astype(float)
    found = Counter(ranks(draws[:, 0], draws[:, 1:], 9, seed=2).tolist())
    assert all(abs(found[rank] - 500) < 4 * math.sqrt(450) for rank in range(10))


def test_default_estimands_are_the_parameters(instant):
    labels = recovered().table.query("survey == 0")[["estimand", "label"]].to_numpy().tolist()
    assert labels == [
        ["fixef", "Intercept"],
        ["fixef", "age[young]"],
        ["varcorr", "state, sd(Intercept)"],
        ["log_likelihood", "log likelihood"],
    ]


@pytest.mark.parametrize(
    ("formula", "family", "expected"),
    [
        ("y ~ 0 + (1 | state)", "bernoulli", ["varcorr"]),
        ("y ~ age", "bernoulli", ["fixef"]),
        ("score ~ age", "gaussian", ["fixef", "varcorr"]),
        ("count ~ age", "negativebinomial", ["fixef", "alpha"]),
    ],
)
def test_default_estimands_are_those_that_the_model_has(instant, formula, family, expected):
    model = made(formula, family=family, priors={"defaults": "bambi", "b": "normal(0, 0.1)"})
    table = recovered(model, log_likelihood=False).table
    assert list(dict.fromkeys(table["estimand"])) == expected
    assert table["truth"].notna().all()


def test_label_with_the_successes_does_not_tell_surveys_apart(instant):
    model = made("p(y, 3) ~ age", family="binomial")
    table = recovered(model, {"rows": mrp.predictions}, log_likelihood=False).table
    assert table["failure"].isna().all()


def test_parameters_of_every_level_have_labels_of_their_own(instant, monkeypatch):
    monkeypatch.setattr(Model, "sample", prior_draws)
    model = made("state ~ age", family="categorical")
    summary = recovered(model, log_likelihood=False).summary()
    assert summary["label"].tolist() == [
        f"{term}, {state}" for term in ("Intercept", "age[young]") for state in STATES[1:]
    ]
    assert (summary["surveys"] == 5).all()


def test_label_with_the_outcome_does_not_tell_surveys_apart(instant):
    rows = {"rows": lambda fit: mrp.predictions(fit)}
    table = recovered(estimands=rows, log_likelihood=False).table
    assert table["failure"].isna().all()
    assert table["label"].nunique() == len(SURVEY)


# --- the refits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("priors", ["bambi", {"defaults": "brms", "b": "normal(0, 5)"}])
def test_refits_have_the_priors_that_parameters_were_drawn_from(instant, priors):
    model = made("score ~ age + (1 | state)", family="gaussian", priors=priors)
    recovered(model)
    assert len(instant) == 5
    assert all(refitted.priors == model.priors for refitted in instant)
    scaled = [model.with_outcome(refitted.outcome.values).priors for refitted in instant]
    assert any(own != model.priors for own in scaled)  # which `with_outcome` alone would not keep


def test_refits_have_the_fake_outcomes(instant):
    model = made()
    recovered(model, seed=6)
    for fake, refitted in zip(mrp.simulate(model, surveys=5, seed=6), instant, strict=True):
        assert refitted.outcome.values.tolist() == fake.outcome.tolist()


def test_refits_do_not_change_the_model(instant):
    model = made("score ~ age", family="gaussian", priors="bambi")
    before = model.outcome.values.copy(), model.priors
    recovered(model)
    assert (model.outcome.values == before[0]).all()
    assert model.priors == before[1]


def test_parameters_of_a_fit_are_refitted_by_the_model(instant):
    model = made()
    fit = mrp.Fit.from_draws(model, fake_draws(model.design, draws=3))
    table = recovered(fit, {"nation": nation}, model=model, log_likelihood=False).table
    possible = nation(fit).source.values(np.arange(1))[0]
    assert all(np.isclose(possible, truth).any() for truth in table["truth"])


def test_another_model_may_be_refitted(instant):
    other = made("y ~ 1 + (1 | state)")
    found = recovered(made(), {"states": states}, model=other)
    assert {refitted.formula for refitted in instant} == {other.formula}
    assert found.table["failure"].isna().all()


def test_surveys_and_their_ties_depend_on_seed_and_number_only(instant):
    few, many = (recovered(surveys=n, seed=2).table for n in (2, 4))
    pd.testing.assert_frame_equal(few, many[many["survey"] < 2], check_exact=True)
    other = recovered(surveys=2, seed=3).table
    assert (other["truth"] != few["truth"]).all()


# --- estimands that draw random numbers -----------------------------------------------------------

NEW = pd.DataFrame({"age": ["old", "young"], "state": "elsewhere"})


def elsewhere(fit, seed):
    return mrp.poststratify(fit, NEW, wts=None, new_levels={"state": ["elsewhere"]}, seed=seed)


def anybody(fit, *, seed=0):
    return mrp.avg_predictions(fit, by="age", kind="predictive", seed=seed)


class Method:
    """An estimand that is a method, or an object."""

    def of(self, fit, seed=3):
        return elsewhere(fit, seed)

    __call__ = of


@functools.cache
def remembered(fit, seed):
    raise AssertionError


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (nation, False),
        (mrp.Fit.fixef, False),
        (mrp.Fit.ranef, False),  # its second parameter is a factor
        (mrp.Fit.predict, False),  # it has other options
        (lambda seed: nation(seed), False),  # a fit by another name
        (lambda fit, other=1: nation(fit), False),
        (elsewhere, True),
        (anybody, True),
        (Method().of, True),
        (Method(), True),
        (remembered, True),
        (lambda *fits, seed: nation(*fits), True),
        (mrp.avg_predictions, True),
        (functools.partial(mrp.predictions, kind="predictive"), True),
        (functools.partial(elsewhere, seed=1), True),
        (functools.partial(elsewhere), True),
        (dict.get, False),
        (type, False),  # which says nothing of its parameters
    ],
)
def test_seed_goes_to_functions_that_name_it(of, expected):
    assert takes_seed(of) == expected


def test_estimands_are_given_seeds_that_differ_between_truth_and_posterior_and_surveys(instant):
    given = []

    def noting(fit, seed):
        given.append((fit.group, seed))
        return nation(fit)

    recovered(estimands={"it": noting, "again": noting}, seed=7, surveys=3)
    seeds = [seeds_of(7, k) for k in range(3)]
    first = [("prior", seeds[0].truth), ("posterior", seeds[0].posterior)]  # before sampling
    each = [
        (pair, pair) for s in seeds for pair in (("prior", s.truth), ("posterior", s.posterior))
    ]
    assert given == [*first, *first, *(pair for pairs in each for pair in pairs)]
    assert len({seed for _, seed in given}) == 6


def test_random_estimands_with_a_seed_are_repeatable(instant):
    estimands = {"new": elsewhere, "anybody": anybody}
    few, many = (recovered(estimands=estimands, surveys=n).table for n in (2, 4))
    pd.testing.assert_frame_equal(few, many[many["survey"] < 2], check_exact=True)


@pytest.mark.parametrize("seed", [1, None])
@pytest.mark.parametrize(
    "of",
    [
        lambda seed: lambda fit: elsewhere(fit, seed),
        lambda seed: (
            lambda fit: mrp.predictions(fit, newdata=NEW, new_levels="uncertainty", seed=seed)
        ),
        lambda seed: lambda fit: mrp.avg_predictions(fit, kind="predictive", seed=seed),
    ],
)
def test_random_estimand_without_a_seed_is_refused_before_sampling(instant, of, seed):
    message = (
        "`estimands` must give equal numbers for equal draws unless they take a seed, 'it' draws "
        "random ones. Pass a seed on: lambda fit, seed: … (fit, …, seed=seed)."
    )
    with raises(RequestError, message):
        recovered(estimands={"it": of(seed)})
    assert not instant


@pytest.mark.parametrize("source", [made(), made("y ~ 1 + (1 | state)")])
def test_random_estimand_is_refused_whether_source_or_model_is_random(instant, source):
    """Only one of the two has states."""
    models = [source, made("y ~ age")]
    for one, other in (models, models[::-1]):
        with pytest.raises(RequestError, match="'it' draws random ones"):
            recovered(one, {"it": lambda fit: elsewhere(fit, 1)}, model=other)


def test_extreme_parameters_are_not_taken_for_random_ones(instant):
    """Where all say yes, the odds are rounding."""
    sure = made("y ~ 1 + (1 | state)", priors=PRIORS | {"Intercept": "normal(36, 1)"})

    def odds(fit):
        return mrp.avg_comparisons(fit, newdata=FRAME, variables="state", comparison="lnor")

    assert len(recovered(sure, {"odds": odds}, surveys=1).table) == 6


def test_function_of_more_than_a_fit_and_a_seed_is_refused(instant):
    message = (
        "`estimands` must be functions of a fit, or of a fit and `seed`, got 'it' with the "
        "parameters (fit, rng). Give the others defaults."
    )
    with raises(RequestError, message):
        recovered(estimands={"it": lambda fit, rng: nation(fit)})


def test_states_that_the_survey_lacks_have_uniform_ranks_unless_a_seed_is_fixed(monkeypatch):
    """Prior draws stand for the posterior: of people and states that nobody was asked of."""
    monkeypatch.setattr(Model, "sample", prior_draws)
    estimands = {"new": elsewhere, "fixed": lambda fit, seed: elsewhere(fit, 1)}
    options = {"surveys": 150, "draws": 100, "rank_draws": 49, "log_likelihood": False}
    summary = recovered(estimands=estimands, **options).summary().set_index("estimand")
    assert summary.loc["new", "rank_p"] > 0.05
    assert summary.loc["fixed", "rank_p"] < 1e-6


# --- failures -------------------------------------------------------------------------------------


def test_sampler_that_fails_is_a_row_with_the_reason(instant, monkeypatch):
    whole = Model.sample

    def sample(self, **options):
        if len(instant) == 2:
            instant.append(self)
            raise FitError("The sampler stopped: no luck.\nA stack trace follows.")
        return whole(self, **options)

    monkeypatch.setattr(Model, "sample", sample)
    found = recovered(estimands={"states": states}, log_likelihood=False)
    failed = found.table[found.table["survey"] == 2]
    assert failed["failure"].unique().tolist() == ["FitError: The sampler stopped: no luck."]
    assert failed["label"].tolist() == STATES
    assert failed["truth"].notna().all()
    assert (
        failed.drop(columns=["survey", "estimand", "label", "truth", "failure"])
        .isna()
        .all(axis=None)
    )
    assert found.failures["survey"].tolist() == [2] * 6
    summary = found.summary()
    assert summary["surveys"].tolist() == [4] * 6
    assert summary["failed"].tolist() == [1] * 6
    assert summary.drop(columns=["estimand", "label"]).notna().all(axis=None)
    assert str(found).splitlines()[-2:] == [
        "5 surveys simulated from the prior, 1 of them with failures",
        "4 of 4 refits with R-hat > 1.05; 4 with divergences; 4 with ESS < 9 (`rank_draws`)",
    ]


def test_estimand_that_fails_for_a_posterior_is_a_row_with_the_reason(instant):
    def fragile(fit):
        if of_refit(fit):
            raise ValueError("can't")
        return nation(fit)

    found = recovered(estimands={"nation": fragile}, log_likelihood=False)
    assert found.table["failure"].tolist() == ["ValueError: can't"] * 5
    assert found.table[["truth", "rhat"]].notna().all(axis=None)
    summary = found.summary()
    assert summary[["surveys", "failed"]].to_numpy().tolist() == [[0, 5]]
    assert summary[["bias", "coverage_95", "rank_p", "rank_p_adjusted"]].isna().all(axis=None)


def test_outcomes_that_cannot_be_drawn_are_a_failure(instant):
    """With the identity link, some counts would have negative means."""
    priors = {"defaults": "brms", "Intercept": "normal(1, 1)"}
    model = Model("count ~ 1", SURVEY, family="poisson", link="identity", priors=priors)
    found = recovered(model, {"mean": mrp.avg_predictions}, surveys=20, log_likelihood=False)
    failed = found.table[found.table["failure"].notna()]
    assert 1 <= failed["survey"].nunique() <= 10
    assert failed["truth"].isna().all()
    assert failed["failure"].str.startswith("RequestError: `kind` 'predictive' needs").all()


def test_outcomes_that_can_never_be_drawn_are_refused(instant):
    priors = {"defaults": "brms", "Intercept": "normal(-9, 1)"}
    model = Model("count ~ 1", SURVEY, family="poisson", link="identity", priors=priors)
    with pytest.raises(FitError) as caught:
        recovered(model, surveys=3)
    assert str(caught.value).startswith(
        "`source` must have parameters that outcomes can be drawn from, got none in 3 surveys; the "
        "last one said: `kind` 'predictive' needs expected counts of 0 or more, got "
    )
    assert str(caught.value).endswith(" Narrow the priors.")


def test_labels_that_change_between_surveys_are_a_failure(instant):
    def changing(fit):
        return states(fit) if of_refit(fit) else nation(fit)

    table = recovered(estimands={"it": changing}, log_likelihood=False).table
    assert table["failure"].unique().tolist() == [
        "FitError: estimates of 'it' must have the same labels in every survey, got 6 instead of "
        "1, among them ['AL', 'CA', 'NY', … 3 more]"
    ]


def test_numbers_that_are_not_finite_are_failures_of_their_estimates_only():
    draws = np.arange(40.0).reshape(4, 10)
    draws[1, 3] = np.nan
    truth = np.array([2.5, 12.0, np.inf, 31.5])
    found = pd.DataFrame(compared(truth, draws, 5, seed=1))
    assert found["failure"].isna().tolist() == [True, False, False, True]
    assert found["failure"][1:3].tolist() == [
        "the draws are not all finite",
        "the truth is not finite",
    ]
    assert found["rank"].notna().tolist() == [True, False, False, True]
    assert found["estimate"].tolist() == pytest.approx([4.5, np.nan, np.nan, 34.5], nan_ok=True)


# --- folders --------------------------------------------------------------------------------------


class Interrupting:
    """An estimand during whose n-th refit the user presses Ctrl-C."""

    def __init__(self, at):
        self.left = at

    def __call__(self, fit):
        if of_refit(fit):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
        return nation(fit)


def test_interrupted_run_keeps_what_is_finished(instant):
    with warns(SamplingWarning, "Recovery was interrupted: 2 of 5 surveys are kept."):
        found = recovered(estimands={"nation": Interrupting(3)})
    assert found.table["survey"].unique().tolist() == [0, 1]


def test_interrupted_run_goes_on_in_its_folder(instant, tmp_path):
    path = tmp_path / "recovery"
    message = (
        "Recovery was interrupted: 3 of 5 surveys are kept. Run it again with the same `path` to "
        "go on."
    )
    with warns(SamplingWarning, message):
        recovered(estimands={"nation": Interrupting(4)}, path=path)
    before = len(instant)
    resumed = recovered(estimands={"nation": nation}, path=path)
    assert len(instant) == before + 2
    whole = recovered(estimands={"nation": nation})
    pd.testing.assert_frame_equal(resumed.table, whole.table, check_exact=True)
    assert sorted(file.name for file in path.iterdir()) == [
        "request.json",
        *[f"survey-{k:05d}.parquet" for k in range(5)],
    ]


def test_finished_folder_is_read_without_sampling(instant, tmp_path):
    first = recovered(path=tmp_path)
    count = len(instant)
    pd.testing.assert_frame_equal(recovered(path=tmp_path).table, first.table, check_exact=True)
    assert len(instant) == count
    more = recovered(path=tmp_path, surveys=7)
    assert len(instant) == count + 2
    assert more.table["survey"].nunique() == 7
    fewer = recovered(path=tmp_path, surveys=2)
    assert fewer.table["survey"].nunique() == 2


def test_failed_survey_is_read_from_the_folder_with_its_reason(instant, tmp_path, monkeypatch):
    def sample(self, **options):
        raise FitError("no")

    with monkeypatch.context() as patch:
        patch.setattr(Model, "sample", sample)
        first = recovered(path=tmp_path).table
    pd.testing.assert_frame_equal(recovered(path=tmp_path).table, first, check_exact=True)
    assert first["failure"].unique().tolist() == ["FitError: no"]
    (tmp_path / "survey-00003.parquet").unlink()
    assert recovered(path=tmp_path).failures["survey"].unique().tolist() == [0, 1, 2, 4]


def test_interruption_before_the_first_survey_keeps_nothing(instant):
    message = "Recovery was interrupted before the first survey was finished: none is kept."
    with raises(SamplingInterrupted, message):
        recovered(estimands={"nation": Interrupting(1)})


def test_interruption_before_the_first_draw_is_no_failure_of_the_survey(
    instant, monkeypatch, tmp_path
):
    whole = Model.sample

    def sample(self, **options):
        if len(instant) == 2:
            raise SamplingInterrupted("Sampling was interrupted before the first draw.")
        return whole(self, **options)

    monkeypatch.setattr(Model, "sample", sample)
    with pytest.warns(SamplingWarning, match="2 of 5 surveys are kept"):
        recovered(path=tmp_path)
    assert not (tmp_path / "survey-00002.parquet").exists()


def test_part_of_a_posterior_is_an_interruption(instant, monkeypatch):
    whole = Model.sample

    def sample(self, **options):
        fit = whole(self, **options)
        return replace(fit, info={**fit.info, "draws": 39}) if len(instant) == 2 else fit

    monkeypatch.setattr(Model, "sample", sample)
    with warns(SamplingWarning, "Recovery was interrupted: 1 of 5 surveys are kept."):
        recovered()


def refused(path, what):
    return (
        f"`path` must be the folder of the same request, got {str(path)!r}, where other surveys "
        f"were begun: {what}. Choose another folder, or delete this one."
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed": 2}, "seed 1 there, 2 now"),
        ({"draws": 30, "chains": 3}, "draws 20 there, 30 now; chains 2 there, 3 now"),
        ({"rank_draws": 19}, "rank_draws 9 there, 19 now"),
        (
            {"estimands": {"country": nation}},
            "labels of 'nation' ['b1'] there, none now; labels of 'country' none there, ['b1'] now",
        ),
        (
            {"log_likelihood": False},
            "labels of 'log_likelihood' ['log likelihood'] there, none now",
        ),
        (
            {"model": made("y ~ 1 + (1 | state)", priors={**PRIORS, "sd": "half_normal(1)"})},
            "formula 'y ~ age + (1 | state)' there, 'y ~ 1 + (1 | state)' now; priors of 'age' "
            "'normal([0.0, 1.0])' there, none now; priors of '1|state' 'half_normal([0.7])' there, "
            "'half_normal([1.0])' now",
        ),
    ],
)
def test_folder_of_another_request_is_refused_in_words(instant, tmp_path, change, what):
    recovered(estimands={"nation": nation}, path=tmp_path, surveys=1)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(RequestError) as caught:
        recovered(**{"estimands": {"nation": nation}, "path": tmp_path, **change})
    said = str(caught.value)
    if "model" in change:  # designs and predictors differ too
        assert what.split("; ")[0] in said
        assert all(part in said for part in what.split("; "))
    else:
        assert said == refused(tmp_path, what)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("change", ["source", "draws"])
def test_folder_of_other_truths_is_refused(instant, tmp_path, change):
    model = made()
    fit = mrp.Fit.from_draws(model, fake_draws(model.design, draws=3))
    recovered(fit, {"nation": nation}, model=model, path=tmp_path, surveys=1)
    other = {
        "source": lambda: (model, model),
        "draws": lambda: (
            mrp.Fit.from_draws(model, fake_draws(model.design, draws=3, seed=2)),
            model,
        ),
    }
    source, refitted = other[change]()
    with pytest.raises(RequestError, match="must be the folder of the same request"):
        recovered(source, {"nation": nation}, model=refitted, path=tmp_path, surveys=1)


def curve(power):
    return Model("y ~ f(score) + (1 | state)", SURVEY, family="bernoulli", priors=PRIORS,
                 namespace={"f": lambda score: (score / 50.0) ** power})  # fmt: skip


@pytest.mark.parametrize(
    ("models", "what"),
    [
        (
            [made("y ~ score + (1 | state)", center_predictors=c) for c in (True, False)],
            "center_predictors True there, False now; source center_predictors True there, False "
            "now",
        ),
        (
            [made("y ~ score + (1 + score | state)", correlated=c) for c in (True, False)],
            "other design; other source design",
        ),
        ([curve(1), curve(2)], "other predictors; other source predictors"),
        (
            [made(survey=SURVEY[:200]), made(survey=SURVEY[40:])],
            "other predictors; other source predictors",
        ),
    ],
)
def test_folder_of_another_model_with_the_same_formula_is_refused(instant, tmp_path, models, what):
    one, other = models
    recovered(one, {"nation": nation_of_survey}, path=tmp_path, surveys=1)
    recovered(one, {"nation": nation_of_survey}, path=tmp_path, surveys=1)
    with raises(RequestError, refused(tmp_path, what)):
        recovered(other, {"nation": nation_of_survey}, path=tmp_path, surveys=1)


def nation_of_survey(fit):
    return mrp.avg_predictions(fit)


def test_folder_knows_models_whose_levels_are_intervals(instant, tmp_path):
    model = made("y ~ band", SURVEY.assign(band=pd.cut(SURVEY["score"], 3)))
    first = recovered(model, path=tmp_path, surveys=2).table
    pd.testing.assert_frame_equal(recovered(model, path=tmp_path, surveys=2).table, first)


def test_folder_that_holds_something_else_is_refused(instant, tmp_path):
    (tmp_path / "thesis.tex").touch()
    message = (
        f"`path` must be an empty folder or that of an earlier run, got {str(tmp_path)!r} with "
        f"['thesis.tex']. Choose another name."
    )
    with raises(RequestError, message):
        recovered(path=tmp_path)


def test_path_that_is_no_folder_is_refused(instant, tmp_path):
    file = tmp_path / "file"
    file.touch()
    message = "`path` must be a folder, or a new name in one, got {!r}, {}. Choose another name."
    with raises(RequestError, message.format(str(file), "a file")):
        recovered(path=file)
    nowhere = tmp_path / "no" / "where"
    why = f"but there is no folder {str(tmp_path / 'no')!r}"
    with raises(RequestError, message.format(str(nowhere), why)):
        recovered(path=nowhere)


def test_request_is_json_for_people(instant, tmp_path):
    recovered(path=tmp_path, surveys=1)
    request = json.loads((tmp_path / "request.json").read_text())
    assert request["formula"] == FORMULA
    assert request["simulated from"] == "the prior"
    assert request["priors"]["Intercept"] == "normal([0.0, 1.0])"


# --- processes ------------------------------------------------------------------------------------


def test_numbers_do_not_depend_on_the_number_of_processes():
    frame = FRAME.copy()  # functions bring along what they use
    new = frame[:2].assign(state="elsewhere")
    estimands = {
        "states": lambda fit: mrp.poststratify(fit, frame, by="state", wts="n"),
        "new": lambda fit, seed: mrp.poststratify(
            fit, new, wts="n", new_levels={"state": ["elsewhere"]}, seed=seed
        ),
    }
    options = {"surveys": 4, "draws": 60, "tune": 60, "rank_draws": 19}
    here, there = (mrp.recover(made(), estimands, **options, processes=n).table for n in (1, 2))
    assert here["failure"].isna().all()
    pd.testing.assert_frame_equal(
        here.drop(columns="seconds"), there.drop(columns="seconds"), check_exact=True
    )


@pytest.mark.parametrize(("terminal", "progress"), [(True, True), (True, False), (False, True)])
def test_progress_is_a_bar_where_somebody_can_see_it(
    instant, monkeypatch, capsys, terminal, progress
):
    def fragile(fit):
        if fit.group == "posterior" and len(instant) > 1:
            raise ValueError("no")
        return nation(fit)

    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    recovered(estimands={"nation": fragile}, surveys=3, progress=progress)
    said = capsys.readouterr().err
    if not (terminal and progress):
        assert said == ""
    else:
        plain = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", said)
        assert re.search(r"3/3 surveys .* 2 failed", plain)


@pytest.mark.slow
def test_worker_that_ends_is_said_and_what_is_finished_is_kept(tmp_path):
    def fatal(fit):
        if fit.group == "posterior" and len(list(tmp_path.glob("survey*"))) >= 2:
            os._exit(1)
        return nation(fit)

    message = (
        "A worker process ended before its survey was finished, maybe for lack of memory. Use "
        "fewer `processes` than 2; with `path` the surveys that are finished are kept."
    )
    options = {"surveys": 20, "draws": 50, "tune": 50, "rank_draws": 9, "path": tmp_path}
    with raises(FitError, message):
        mrp.recover(made(), {"nation": fatal}, **options, processes=2)
    assert len(list(tmp_path.glob("survey*"))) >= 2


SCRIPT = """
import mrp, numpy as np, pandas as pd
n = 200
survey = pd.DataFrame({"g": np.arange(n) % 10, "y": np.arange(n) % 2})
priors = {"defaults": "brms", "Intercept": "normal(0, 1)"}
model = mrp.Model("y ~ 1 + (1 | g)", survey, family="bernoulli", priors=priors)
found = mrp.recover(model, surveys=100_000, seed=1, processes=PROCESSES, path="folder")
print("kept", found.table["survey"].nunique())
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_in_a_script_without_a_main_guard_keeps_what_is_finished(tmp_path, processes):
    command = [sys.executable, "-c", SCRIPT.replace("PROCESSES", str(processes))]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=environment,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("folder/survey*"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
        out, err = run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    files = [pd.read_parquet(file) for file in tmp_path.glob("folder/survey*")]
    assert len(files) >= 3
    assert out == f"kept {len(files)}\n"
    assert f"SamplingWarning: Recovery was interrupted: {len(files)} of 100000 surveys" in err
    assert "Traceback" not in err
    assert not any(file["failure"].notna().any() for file in files)


def test_ctrl_c_that_the_sampler_keeps_to_itself_ends_the_run(instant, monkeypatch):
    """It does where its last draws are done: the survey is whole, and no other is begun."""
    whole, handler = Model.sample, signal.default_int_handler
    before = signal.signal(signal.SIGINT, handler)  # it may be ignored where tests are run

    def sample(self, **options):
        if len(instant) == 2:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        return whole(self, **options)

    monkeypatch.setattr(Model, "sample", sample)
    try:
        with pytest.warns(SamplingWarning, match="interrupted: 3 of 5 surveys are kept"):
            found = recovered(estimands={"nation": nation})
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert found.table["survey"].unique().tolist() == [0, 1, 2]


# --- refusals -------------------------------------------------------------------------------------


def another_fit():
    return mrp.Fit.from_draws(made(), fake_draws(made().design))


EXAMPLE = "For example: {'states': lambda fit: mrp.poststratify(fit, frame, by='state', wts='n')}."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "`draws` must be a whole number, 1 or more, got 0."),
        ({"processes": 0}, "`processes` must be a whole number, 1 or more, got 0."),
        ({"surveys": "9"}, "`surveys` must be a whole number, 1 or more, got '9'."),
        ({"rank_draws": 0}, "`rank_draws` must be a whole number, 1 or more, got 0."),
        (
            {"rank_draws": 41},
            "`rank_draws` must be at most `draws` x `chains`, got 41 of 40. Usual: a tenth of "
            "them.",
        ),
        (
            {"target_accept": 1.0},
            "`target_accept` must be between 0 and 1, got 1.0. Typical: 0.8 to 0.99.",
        ),
        (
            {"estimands": states},
            f"`estimands` must map names to functions of a fit, got function. {EXAMPLE}",
        ),
        (
            {"estimands": {"b": 3}},
            f"`estimands` must map names to functions of a fit, got int for 'b'. {EXAMPLE}",
        ),
        (
            {"estimands": {}, "log_likelihood": False},
            f"`estimands` must have at least one quantity, got none. {EXAMPLE}",
        ),
        (
            {"estimands": {"log_likelihood": nation}},
            "`estimands` must not be named 'log_likelihood', which is added. Rename it, or pass "
            "log_likelihood=False.",
        ),
        (
            {"estimands": {"table": lambda fit: nation(fit).to_frame()}},
            "`estimands` must map names to functions that return Estimates, 'table' returned "
            "DataFrame. Leave out `to_frame` and the like.",
        ),
        (
            {"estimands": {"it": lambda fit: nation(another_fit())}},
            "`estimands` must be functions of the fit that they are given, 'it' returned 50 draws "
            "for a fit of one. Write lambda fit: … fit …",
        ),
        (
            {"path": 3},
            "`path` must be the name of a folder, got 3. Usual: 'recovery'; leave it out to keep "
            "nothing.",
        ),
        ({"model": "y ~ 1"}, "`model` must be a Model, got str."),
        (
            {"model": made(survey=SURVEY[:100])},
            "`model` must have the respondents of `source`, got 100 and 240 rows. Make it with the "
            "same survey.",
        ),
    ],
)  # fmt: skip
def test_impossible_request_is_refused_before_sampling(instant, options, message):
    with raises(RequestError, message):
        recovered(**options)
    assert not instant


def in_other_order(column, other):
    differ = np.flatnonzero(SURVEY[column].to_numpy() != other[column].to_numpy())
    return (
        f"`model` must have the respondents of `source` in the same order, got other values of "
        f"{column!r} in {len(differ)} rows (first in row {differ[0]}). Make it with the same "
        f"survey."
    )


def test_model_of_the_respondents_in_another_order_is_refused(instant):
    other = SURVEY.sample(frac=1.0, random_state=1)
    with raises(RequestError, in_other_order("age", other)):
        recovered(model=made(survey=other))
    with raises(RequestError, in_other_order("state", other)):
        recovered(made("y ~ 1 + (1 | state)"), model=made(survey=other))
    fit = mrp.Fit.from_draws(made(), fake_draws(made().design))
    with raises(RequestError, in_other_order("age", other)):
        recovered(fit, model=made(survey=other))
    assert not instant


def test_model_with_other_trials_is_refused(instant):
    survey = SURVEY.assign(trials=5)
    other = survey.assign(trials=np.where(survey.index == 7, 6, 5))
    models = [made("p(y, trials) ~ age", data, "binomial") for data in (survey, other)]
    message = in_other_order("age", SURVEY.assign(age=SURVEY["age"].where(SURVEY.index != 7)))
    with raises(RequestError, message.replace("'age'", "'trials'")):
        recovered(models[0], model=models[1])


def test_types_of_columns_do_not_tell_respondents_apart(instant):
    other = SURVEY.assign(age=SURVEY["age"].astype("category"))
    other.index = other.index + 1000
    assert recovered(model=made(survey=other)).table["failure"].isna().all()


def test_model_that_cannot_have_the_outcomes_is_refused_before_sampling(instant):
    with pytest.raises(RequestError) as caught:
        recovered(made("score ~ age", family="gaussian", priors=BAMBI), model=made())
    assert str(caught.value).startswith(
        "`model` must be one that can have the outcomes of `source`, got the family 'bernoulli' "
        "for those of 'gaussian': `data` must have 0 or 1 in the outcome 'y', got ["
    )
    assert not instant


def test_parameters_that_only_one_of_two_models_has_are_left_out(instant):
    rich = made("y ~ age + count + (1 + age | state)")
    for source, model in ((rich, made()), (made(), rich)):
        table = recovered(source, model=model).table
        assert table["failure"].isna().all()
        assert table.query("survey == 0")["label"].tolist() == [
            "Intercept", "age[young]", "state, sd(Intercept)", "log likelihood",
        ]  # fmt: skip


def test_models_without_a_parameter_in_common_need_estimands(instant):
    message = (
        f"`estimands` must be given where `source` and `model` have no parameter in common, got "
        f"none. {EXAMPLE}"
    )
    with raises(RequestError, message):
        recovered(made("y ~ 0 + (1 | state)", priors=BAMBI), model=made("y ~ age"))
    assert not instant


def test_estimand_that_fails_for_the_refitted_model_says_so_before_sampling(instant):
    def of_age(fit):
        return mrp.avg_comparisons(fit, variables="age")

    with pytest.raises(RequestError) as caught:
        recovered(estimands={"age": of_age}, model=made("y ~ 1 + (1 | state)"))
    note = "It was raised by the estimand 'age', given made-up draws of the model that is refitted."
    assert caught.value.__notes__ == [note]
    assert not instant


def test_estimand_with_other_labels_for_the_refitted_model_is_refused(instant):
    message = (
        "`estimands` must have the same labels of `source` and of `model`, 'b' has ['age[young]'] "
        "of one only. Choose what both have."
    )
    with raises(RequestError, message):
        recovered(estimands={"b": mrp.Fit.fixef}, model=made("y ~ 1 + (1 | state)"))
    assert not instant


def test_estimates_with_the_same_label_are_refused(instant):
    def twice(fit):
        return replace(states(fit), labels=states(fit).labels.assign(state=["AL"] * 2 + STATES[2:]))

    message = (
        "`estimands` must have labels that tell estimates apart, 'it' has ['AL'] more than once. "
        "Make them estimands of their own."
    )
    with raises(RequestError, message):
        recovered(estimands={"it": twice})


@pytest.mark.parametrize(
    ("formula", "family", "link"),
    [
        ("y ~ age + (1 + count | state)", "bernoulli", None),
        ("y ~ 0 + age", "bernoulli", "probit"),
        ("p(y, 3) ~ age + (1 | state)", "binomial", None),
        ("score ~ score2 + (1 || state)", "gaussian", None),
        ("count ~ age + (1 | state)", "poisson", "identity"),
        ("count ~ age + (1 | state)", "negativebinomial", None),
        ("state ~ age", "categorical", None),
        ("state ~ age + (1 | age)", "cumulative", None),
        ("state ~ 0 + age", "sratio", None),
    ],
)
def test_made_up_draws_answer_for_every_model(formula, family, link):
    state = pd.Categorical(SURVEY["state"], ordered=True)
    data = SURVEY.assign(score2=SURVEY["score"] ** 2, state=state)
    model = Model(formula, data, family=family, link=link)
    fit = mrp.Fit.from_draws(model, made_up(model.design, model.family, model.by_level))
    posterior = model.sample_prior(draws=2, seed=1).parameters
    assert {name: array.dims for name, array in fit.parameters.items()} == {
        name: array.dims for name, array in posterior.items()
    }
    for of in (*parameters(model).values(), anybody_of):
        assert np.isfinite(of(fit).draws).all()


def anybody_of(fit):
    return mrp.avg_predictions(fit, kind="predictive", seed=1)


def test_fit_without_a_model_is_refused():
    model = made()
    message = (
        "`model` must be given where parameters come from a Fit, which can't be refitted. Pass the "
        "Model that it was sampled from."
    )
    with raises(RequestError, message):
        recovered(mrp.Fit.from_draws(model, fake_draws(model.design)))


def test_flat_prior_is_refused(instant):
    with pytest.raises(PriorError, match="must be proper to be drawn from"):
        recovered(made(priors="brms"))


def test_estimand_that_fails_for_the_truth_says_which(instant):
    with pytest.raises(RequestError) as caught:
        recovered(estimands={"wrong": lambda fit: mrp.poststratify(fit, FRAME, wts="N")})
    note = "It was raised by the estimand 'wrong', given the true parameters."
    assert caught.value.__notes__ == [note]
    assert not instant


# --- summaries ------------------------------------------------------------------------------------


def table_of(surveys=12, labels=("AL", "CA"), seed=2, width=1.0):
    """A table as `recover` makes it, of normal posteriors."""
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(surveys):
        truth = rng.normal(size=len(labels))
        draws = truth[:, None] + rng.normal(size=(len(labels), 1)) + width * rng.normal(
            size=(len(labels), 198)
        )  # fmt: skip
        columns = compared(truth, draws, 99, seed=k)
        parts.append(pd.DataFrame({"survey": k, "estimand": "states", "label": labels, **columns}))
    found = {"divergences": 0.0, "rhat": 1.0, "ess_bulk": 400.0, "seconds": 1.0}
    return pd.concat(parts, ignore_index=True).assign(**found)


def test_summary_is_what_loops_over_surveys_give():
    table = table_of()
    table.loc[3, ["estimate", "rank"]] = np.nan
    table.loc[3, "failure"] = "no"
    summary = Recovery(table, 99).summary().set_index("label")
    for label in ("AL", "CA"):
        rows = [
            r
            for r in table.to_dict("records")
            if r["label"] == label and r["estimate"] == r["estimate"]
        ]
        n = len(rows)
        errors = [r["estimate"] - r["truth"] for r in rows]
        own = summary.loc[label]
        mean = sum(errors) / n
        assert own["surveys"] == n
        assert own["failed"] == 12 - n
        assert own["bias"] == pytest.approx(mean)
        spread = sum((e - mean) ** 2 for e in errors) / (n - 1)
        assert own["bias_se"] == pytest.approx(math.sqrt(spread / n))
        assert own["rmse"] == pytest.approx(math.sqrt(sum(e**2 for e in errors) / n))
        assert own["std_error"] == pytest.approx(sum(r["std_error"] for r in rows) / n)
        for percent in (50, 80, 95):
            held = [
                r[f"conf_low_{percent}"] <= r["truth"] <= r[f"conf_high_{percent}"] for r in rows
            ]
            assert own[f"coverage_{percent}"] == pytest.approx(sum(held) / n)
            p = percent / 100
            assert own[f"coverage_{percent}_se"] == pytest.approx(math.sqrt(p * (1 - p) / n))


def test_estimates_of_one_survey_count_as_one_in_the_summary_of_an_estimand():
    once = table_of(labels=("AL",))
    several = pd.concat([once, once.assign(label="CA"), once.assign(label="NY")])
    two, three = (Recovery(t, 99).summary("estimand") for t in (several[:24], several))
    columns = [name for name in two if not name.startswith("rank_p")]
    pd.testing.assert_frame_equal(two[columns], three[columns])
    held = once["truth"].between(once["conf_low_80"], once["conf_high_80"])
    assert two["coverage_80_se"].tolist() == pytest.approx([held.std(ddof=1) / math.sqrt(12)])


def test_coverage_of_one_estimate_for_each_survey_has_the_binomial_error_in_both_summaries():
    found = Recovery(table_of(labels=("nation",)), 99)
    for by in ("estimate", "estimand"):
        errors = found.summary(by)[["coverage_50_se", "coverage_80_se", "coverage_95_se"]]
        expected = [math.sqrt(p * (1 - p) / 12) for p in (0.5, 0.8, 0.95)]
        assert errors.to_numpy().ravel().tolist() == pytest.approx(expected)


def test_surveys_with_fewer_estimates_weigh_less_in_mean_and_error():
    """Half of the surveys lack all estimates but one, whose error is larger."""
    table = table_of(surveys=20, labels=("AL", "CA", "NY", "TX"))
    table["estimate"] = table["truth"] + np.where(table["survey"] < 10, 1.0, 0.0)
    table.loc[(table["survey"] < 10) & (table["label"] != "AL"), "failure"] = "no"
    (row,) = Recovery(table, 99).summary("estimand").to_dict("records")
    assert row["bias"] == pytest.approx(10 / 50)
    rows = [(1, 1.0)] * 10 + [(4, 0.0)] * 10  # estimates and mean error of each survey
    squares = sum((m * (error - 0.2)) ** 2 for m, error in rows)
    assert row["bias_se"] == pytest.approx(math.sqrt(20 / 19 * squares) / 50)


def test_p_values_of_an_estimand_are_the_least_of_its_estimates_after_adjustment():
    table = pd.concat([
        table_of(labels=("AL", "CA", "NY")),
        table_of(labels=("b1",), seed=4).assign(estimand="nation"),
    ])  # fmt: skip
    found = Recovery(table, 99)
    by_estimate, by_estimand = found.summary(), found.summary("estimand").set_index("estimand")
    for name, own in by_estimate.groupby("estimand"):
        least = own[["rank_p", "rank_p_adjusted"]].min()
        assert by_estimand.loc[name, "rank_p"] == min(1.0, len(own) * least["rank_p"])
        assert by_estimand.loc[name, "rank_p_adjusted"] == least["rank_p_adjusted"]
    assert (by_estimate["rank_p_adjusted"] >= by_estimate["rank_p"]).all()


def test_p_value_of_a_right_estimand_is_small_as_seldom_as_it_says():
    rng = np.random.default_rng(6)
    p = []
    for _ in range(100):
        pairs = pd.MultiIndex.from_product([range(60), range(24)], names=["survey", "label"])
        rows = pairs.to_frame(index=False).assign(estimand="states", failure=None)
        numbers = dict.fromkeys(("truth", *SUMMARY.columns), 0.0)
        rows = rows.assign(**numbers, rank=rng.integers(0, 20, len(rows)))
        p.append(Recovery(rows, 19).summary("estimand")["rank_p"].item())
    assert np.mean(np.array(p) < 0.05) < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 100)


def test_order_of_rows_does_not_move_the_numbers():
    table = table_of()
    shuffled = Recovery(table.sample(frac=1.0, random_state=1), 99).summary()
    expected = Recovery(table, 99).summary()
    pd.testing.assert_frame_equal(
        shuffled.sort_values("label", ignore_index=True), expected, check_exact=False
    )


def test_summary_by_something_else_is_refused():
    message = (
        "`by` must say what has a row, got 'state'. Available: ['estimate', 'estimand']. "
        "Did you mean 'estimate'?"
    )
    with raises(RequestError, message):
        Recovery(table_of(), 99).summary("state")


def test_rendering_shows_the_summary_and_how_many_failed():
    found = Recovery(table_of(), 99)
    caption = "12 surveys simulated from known parameters, 0 of them with failures"
    assert str(found).splitlines()[-1] == caption
    assert len(str(found).splitlines()) == 1 + 2 + 1
    assert found._repr_html_().endswith(f"<p>{caption}</p>")
    many = Recovery(table_of(labels=[f"s{k}" for k in range(61)]), 99)
    assert len(str(many).splitlines()) == 1 + 1 + 1


def test_rendering_counts_refits_whose_draws_are_not_to_be_trusted():
    table = table_of()
    of_survey = table["survey"]
    table.loc[of_survey < 3, "rhat"] = 1.051
    table.loc[of_survey == 5, "divergences"] = 2.0
    table.loc[of_survey < 7, "ess_bulk"] = 98.0
    table.loc[of_survey == 11, ["rhat", "divergences", "ess_bulk", "seconds"]] = np.nan
    found = Recovery(table, 99)
    said = "3 of 11 refits with R-hat > 1.05; 1 with divergences; 7 with ESS < 99 (`rank_draws`)"
    assert str(found).splitlines()[-1] == said
    assert found._repr_html_().endswith(f"<p>{said.replace('>', '&gt;').replace('<', '&lt;')}</p>")
    divergent = Recovery(table.assign(rhat=1.05, ess_bulk=99.0), 99)
    assert str(divergent).splitlines()[-1] == "1 of 11 refits with divergences"


# --- pictures -------------------------------------------------------------------------------------


def test_line_of_ranks_is_their_share_less_the_expected():
    table = table_of(surveys=40)
    (panel,) = figures.panels(Recovery(table, 99), "ranks")
    assert panel.title == "states"
    assert [line.label for line in panel.lines] == ["AL", "CA"]
    own = table.loc[table["label"] == "CA", "rank"]
    for place, x in enumerate(panel.x):
        share = (own < round(100 * x)).mean()
        assert panel.lines[1].difference[place] == pytest.approx(share - x)


def test_line_of_coverage_is_the_share_of_central_intervals_less_their_probability():
    table = table_of(surveys=40)
    panel = figures.panels(Recovery(table, 99), "coverage")[0]
    own = table.loc[table["label"] == "AL", "rank"]
    for place, x in enumerate(panel.x):
        half = round(50 * x)  # ranks 50 - half … 49 + half
        share = own.between(50 - half, 49 + half).mean()
        assert panel.lines[0].difference[place] == pytest.approx(share - x)


def test_line_outside_the_band_is_told():
    narrow = figures.panels(Recovery(table_of(surveys=100, width=0.2), 99), "ranks")[0]
    right = figures.panels(Recovery(table_of(surveys=100), 99), "ranks")[0]
    assert [line.outside for line in narrow.lines] == [True, True]
    assert [line.outside for line in right.lines] == [False, False]
    for line in right.lines:
        assert ((right.low <= line.difference) & (line.difference <= right.high)).all()


def test_picture_has_a_panel_for_each_estimand_and_names_lines_outside():
    wrong = table_of(surveys=100, width=0.2, labels=[f"s{k}" for k in range(8)])
    right = table_of(surveys=100).assign(estimand="others")
    found = Recovery(pd.concat([wrong, right]), 99)
    figure = found.plot("ranks")
    first, second = figure.axes
    assert first.get_title(loc="left") == "states"
    assert first.get_title(loc="right") == "0 of 8 in the band"
    assert first.texts[0].get_text() == "s0\ns1\ns2\ns3\ns4\ns5\n… 2 more"
    assert second.get_title(loc="right") == "2 of 2 in the band"
    assert not second.texts
    assert figure.get_supxlabel() == "rank of the truth, as a share"
    assert len(found.plot("coverage", estimands="others").axes) == 1


def test_names_in_pictures_of_recovery_are_drawn_as_they_are():
    table = table_of(surveys=100, width=0.2, labels=["$a$", "\x1b[31mb"]).assign(estimand="$c$")
    (ax,) = Recovery(table, 99).plot("ranks").axes
    assert ax.get_title(loc="left") == "$c$"
    assert ax.texts[0].get_text() == "$a$\n" + r"\x1b[31mb"
    assert not ax.texts[0].get_parse_math()
    assert not ax._left_title.get_parse_math()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"kind": "rank"},
            "`kind` must name a picture, got 'rank'. Available: ['ranks', 'coverage']. "
            "Did you mean 'ranks'?",
        ),
        (
            {"estimands": "state"},
            "`estimands` must name estimands, got 'state'. Available: ['states']. "
            "Did you mean 'states'?",
        ),
    ],
)
def test_picture_of_what_is_not_there_is_refused(arguments, message):
    with raises(RequestError, message):
        Recovery(table_of(), 99).plot(**arguments)


def test_picture_of_failures_only_is_refused():
    message = (
        "`estimands` must have ranks to be drawn, got 'states', of which every survey failed. "
        "Look at `failures`."
    )
    with raises(RequestError, message):
        Recovery(table_of().assign(rank=np.nan, failure="no"), 99).plot()


# --- calibration: the real sampler ----------------------------------------------------------------


def shrunk(fit):
    """The nation with draws of half the spread; one draw stays as it is."""
    found = nation(fit)
    draws = found.source.values(np.arange(len(found)))
    middle = draws.mean(axis=1, keepdims=True)
    return replace(found, source=Made(middle + (draws - middle) / 2))


def turned(fit):
    """Ages weighted the wrong way round, but for the truth."""
    return mrp.poststratify(fit, FRAME, wts="n" if fit.group == "prior" else "turned")


RUN = {"surveys": 100, "draws": 200, "tune": 200, "seed": 5, "rank_draws": 49, "processes": 1}
ESTIMANDS = {
    "fixef": mrp.Fit.fixef,
    "varcorr": mrp.Fit.varcorr,
    "states": states,
    "elsewhere": elsewhere,
}
BROKEN = {"half the spread": shrunk, "wrong weights": turned}


@pytest.fixture(scope="module")
def calibration():
    """A run of the right model, with estimands of which some are broken on purpose."""
    return mrp.recover(made(), {**ESTIMANDS, **BROKEN}, **RUN)


def only(found, names):
    return replace(found, table=found.table[found.table["estimand"].isin(names)])


def test_right_model_has_uniform_ranks_and_intervals_that_hold_the_truth(calibration):
    summary = only(calibration, [*ESTIMANDS, "log_likelihood"]).summary()
    assert len(summary) == 2 + 1 + 6 + 1 + 1
    assert (summary["failed"] == 0).all()
    assert summary["rank_p_adjusted"].min() > 0.05
    assert (abs(summary["bias"]) < 4 * summary["bias_se"]).all()
    for percent in (50, 80, 95):
        off = abs(summary[f"coverage_{percent}"] - percent / 100)
        assert (off < 4 * summary[f"coverage_{percent}_se"]).all()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_estimand_is_caught(calibration, name):
    summary = calibration.summary().set_index("estimand")
    assert summary.loc[name, "rank_p_adjusted"] < 0.001


def test_refit_with_another_prior_is_caught():
    narrow = made(priors={**PRIORS, "b": "normal(0, 0.2)"})
    found = mrp.recover(made(), model=narrow, **{**RUN, "surveys": 60})
    summary = found.summary().set_index("label")
    assert summary.loc["age[young]", "rank_p_adjusted"] < 0.01
    assert summary.loc["state, sd(Intercept)", "rank_p"] > 0.01


def test_posterior_that_ignores_the_data_is_caught_by_the_log_likelihood_only(monkeypatch):
    """Prior draws in place of the posterior have uniform ranks in every parameter."""
    monkeypatch.setattr(Model, "sample", prior_draws)
    summary = mrp.recover(made(), **RUN).summary().set_index("estimand")
    assert summary.loc["log_likelihood", "rank_p_adjusted"] < 1e-6
    assert summary.loc[["fixef", "varcorr"], "rank_p_adjusted"].min() > 0.05
