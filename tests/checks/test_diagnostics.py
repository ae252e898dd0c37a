"""The table of checks: the worst numbers are ArviZ's and named, limits are the published ones."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_base import rc_context

import mrp
from mrp.checks.diagnostics import OF_PRIOR, RULES, WITHOUT_SAMPLER, diagnostics, judge, measure
from tests.cases import SURVEY
from tests.model.test_sampling import GOOD, made_draws

CHECKS = ["divergences", "stuck", "rhat", "ess_bulk", "ess_tail", "tree_depth", "ebfmi"]


def sampled(*, shift=0.0, divergences=0, deepest=0, name="maxdepth_reached", chains=4):
    """Made-up draws with the statistics of a sampler."""
    tree = made_draws(shift=shift, chains=chains)
    stats = tree["sample_stats"].to_dataset()
    at = np.zeros((chains, 500), dtype=bool)
    at[1, :divergences] = True
    deep = np.zeros_like(at)
    deep[2, :deepest] = True
    energy = np.random.default_rng(8).standard_normal((chains, 500))
    energy[3 % chains] = np.cumsum(energy[3 % chains])  # explored slowly
    stats = stats.assign(
        diverging=(("chain", "draw"), at),
        energy=(("chain", "draw"), energy),
        **{name: (("chain", "draw"), deep)},
    )
    posterior = tree["posterior"].to_dataset()
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})


def by_check(table):
    return table.set_index("check")


def test_there_is_one_row_for_each_check():
    table = diagnostics(sampled())
    assert table["check"].tolist() == CHECKS == [rule.name for rule in RULES]
    assert table.columns.tolist() == ["check", "value", "at", "limit", "ok", "advice"]
    assert str(table["ok"].dtype) == "boolean"


def test_the_worst_numbers_are_arviz_s_and_named():
    draws = sampled(shift=0.7)
    table = by_check(diagnostics(draws))
    summary = arviz_stats.summary(draws, round_to="none")
    assert table.loc["rhat", "value"] == pytest.approx(summary["r_hat"].max(), rel=1e-12)
    assert table.loc["rhat", "at"] == summary["r_hat"].idxmax() == "age[old]"
    assert table.loc["ess_bulk", "value"] == pytest.approx(summary["ess_bulk"].min(), rel=1e-12)
    assert table.loc["ess_bulk", "at"] == summary["ess_bulk"].idxmin()
    tails = arviz_stats.ess(draws, method="tail", prob=(0.05, 0.95))
    lowest = min(float(array.min()) for array in tails.data_vars.values())
    assert table.loc["ess_tail", "value"] == pytest.approx(lowest, rel=1e-12)


def test_tails_are_those_of_stan_however_arviz_is_set():
    expected = diagnostics(sampled())
    with rc_context({"stats.ci_prob": 0.5}):
        pd.testing.assert_frame_equal(diagnostics(sampled()), expected)


def test_energy_is_judged_by_the_worst_chain():
    draws = sampled()
    table = by_check(diagnostics(draws))
    expected = arviz_stats.bfmi(draws)["energy"]
    assert table.loc["ebfmi", "value"] == pytest.approx(float(expected.min()), rel=1e-12)
    assert table.loc["ebfmi", "at"] == "chain 3"
    assert not table.loc["ebfmi", "ok"]


@pytest.mark.parametrize("name", ["maxdepth_reached", "reached_max_treedepth"])
def test_divergences_and_deepest_trees_are_counted_where_most_are(name):
    table = by_check(diagnostics(sampled(divergences=3, deepest=5, name=name)))
    assert table.loc["divergences", ["value", "at", "ok"]].tolist() == [3, "chain 1", False]
    assert table.loc["tree_depth", ["value", "at", "ok"]].tolist() == [5, "chain 2", False]
    assert table.loc["divergences", "advice"].startswith("Raise `target_accept` (0.95, 0.99)")


def test_advice_is_given_only_where_a_check_fails():
    table = diagnostics(sampled(shift=0.7, divergences=1))
    assert ((table["advice"] == "") == table["ok"]).all()
    failing = {"divergences", "rhat", "ess_bulk", "ess_tail", "ebfmi"}
    assert set(table.loc[~table["ok"], "check"]) <= failing
    assert {"divergences", "rhat", "ebfmi"} <= set(table.loc[~table["ok"], "check"])


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({}, None),
        ({"divergences": 1}, "divergences"),
        ({"stuck": 1}, "stuck"),
        ({"rhat": 1.0101}, "rhat"),
        ({"ess_bulk": 399.9}, "ess_bulk"),
        ({"ess_tail": 399.9}, "ess_tail"),
        ({"tree_depth": 1}, "tree_depth"),
        ({"ebfmi": 0.299}, "ebfmi"),
    ],
)
def test_limits_are_the_published_ones(change, failing):
    checks = judge(GOOD | change, chains=4)
    assert [check.name for check in checks if check.ok is False] == ([failing] if failing else [])


def test_effective_sample_size_is_asked_of_each_chain():
    table = by_check(diagnostics(sampled(chains=3)))
    assert table.loc[["ess_bulk", "ess_tail"], "limit"].tolist() == [300, 300]


def test_draws_without_a_sampler_say_what_can_t_be_computed():
    fit = mrp.testing.example_fit()
    table = by_check(fit.diagnostics())
    missing = ["divergences", "tree_depth", "ebfmi"]
    assert table.loc[missing, "ok"].isna().all()
    assert table.loc[missing, "value"].isna().all()
    assert (table.loc[missing, "advice"] == WITHOUT_SAMPLER).all()
    assert table.loc[["rhat", "ess_bulk", "ess_tail"], "ok"].notna().all()


def test_a_prior_has_nothing_to_check():
    model = mrp.Model("y ~ 1", SURVEY, family="bernoulli")
    table = model.sample_prior(draws=20, seed=1).diagnostics()
    assert table["ok"].isna().all()
    assert (table["advice"] == OF_PRIOR).all()


def test_one_chain_has_no_rhat_but_effective_sample_sizes():
    table = by_check(diagnostics(sampled(chains=4).isel(chain=[0])))
    advice = "Not computed: it takes 2 chains of 4 draws that are finite and move."
    assert table.loc["rhat", "advice"] == advice
    assert table["ok"].isna()["rhat"]
    assert table.loc["ess_bulk", "ok"]


def test_a_parameter_that_never_moves_does_not_hide_the_others():
    posterior = made_draws(shift=0.7)["posterior"].to_dataset()
    stuck = posterior.assign(Intercept=xr.zeros_like(posterior["Intercept"]))
    report = measure(xr.DataTree.from_dict({"posterior": stuck}))
    assert report["rhat_at"] == "age[old]"
    assert report["rhat"] > 1.03
    assert (report["stuck"], report["stuck_at"]) == (1, "Intercept")


@pytest.mark.parametrize("value", [3.0, np.nan])
def test_parameters_that_never_move_or_are_not_finite_are_not_well(value):
    posterior = made_draws()["posterior"].to_dataset()
    posterior["age"][:, :, 1] = value
    posterior["Intercept"][:] = value
    (row,) = diagnostics(xr.DataTree.from_dict({"posterior": posterior}))[1:2].itertuples()
    assert (row.check, row.value, row.at, row.limit, row.ok) == ("stuck", 2, "Intercept", 0, False)
    assert row.advice == "Look at them in `parameters`: these are no draws from a posterior."


def test_draws_that_are_all_the_same_have_nothing_to_compare():
    model = mrp.Model("y ~ x", SURVEY, family="bernoulli")
    same = xr.zeros_like(mrp.testing.fake_draws(model.design))
    fit = mrp.Fit.from_draws(model, same)
    table = by_check(fit.diagnostics())
    assert table.loc["stuck", ["value", "ok"]].tolist() == [2, False]
    assert table.loc[["rhat", "ess_bulk", "ess_tail"], "ok"].isna().all()
    assert fit.summary().notes[-1] == (
        "Not to be trusted yet: parameters never move or are not finite (2, among them Intercept). "
        "See `fit.diagnostics()`."
    )


def test_what_else_came_with_the_draws_is_left_out():
    fit = mrp.testing.example_fit()
    others = fit.parameters.assign(
        lp__=(("chain", "draw"), np.full((2, 25), np.nan)),
        L=(("chain", "draw", "a", "b"), np.ones((2, 25, 2, 2))),
        version=(("chain", "draw"), np.full((2, 25), "2.33")),
    )
    model = mrp.Model(fit.design.formula, fit.survey, family="bernoulli")
    with_others = mrp.Fit.from_draws(model, others)
    pd.testing.assert_frame_equal(with_others.diagnostics(), fit.diagnostics())
    assert repr(with_others.summary()) == repr(fit.summary())


def test_few_draws_have_no_numbers():
    posterior = made_draws(chains=1, draws=2)["posterior"].to_dataset()
    report = measure(xr.DataTree.from_dict({"posterior": posterior}))
    for name in CHECKS:
        assert np.isnan(report[name])
        assert report[f"{name}_at"] == ""
