"""R-hat and effective sample sizes of many parameters at once, against ArviZ one by one."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pytest
import xarray as xr
from arviz_base import rc_context

from mrp.checks.convergence import TAILS, convergence, relative_efficiency

SHAPES = [(4, 100), (2, 25), (4, 101), (1, 50), (3, 4), (2, 7)]


def autocorrelated(chains, draws, parameters=70, seed=3):
    """Draws (chains, draws, parameters), more and less autocorrelated, some shifted."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((chains, draws, parameters))
    rho = np.linspace(-0.5, 0.95, parameters)
    values = noise.copy()
    for t in range(1, draws):
        values[:, t] = rho * values[:, t - 1] + noise[:, t]
    values[-1] += np.linspace(0, 1, parameters)
    return values


def array(values):
    return xr.DataArray(values, dims=("chain", "draw", "k"))


@pytest.mark.parametrize(("chains", "draws"), SHAPES)
def test_numbers_are_those_of_arviz(chains, draws):
    values = autocorrelated(chains, draws)
    rhat, bulk, tail = convergence([values])
    if chains > 1:
        np.testing.assert_allclose(rhat, arviz_stats.rhat(array(values)), rtol=1e-10)
    else:
        assert np.isnan(rhat).all()
    np.testing.assert_allclose(bulk, arviz_stats.ess(array(values), method="bulk"), rtol=1e-10)
    theirs = arviz_stats.ess(array(values), method="tail", prob=TAILS)
    np.testing.assert_allclose(tail, theirs, rtol=1e-10)


@pytest.mark.parametrize(("chains", "draws"), [shape for shape in SHAPES if shape[0] > 1])
def test_relative_efficiency_is_the_mean_of_that_of_arviz(chains, draws):
    values = autocorrelated(chains, draws)
    expected = arviz_stats.ess(array(values), method="mean").mean() / (chains * draws)
    split = [values[:, :, :3], values[:, :, 3:]]
    assert relative_efficiency(split) == pytest.approx(float(expected), rel=1e-12)


def test_parameters_that_are_not_finite_do_not_hide_the_efficiency_of_others():
    values = autocorrelated(4, 50)
    broken = values[:, :, :1].copy()
    broken[0, 0] = np.nan
    assert relative_efficiency([values, broken]) == relative_efficiency([values])
    assert relative_efficiency([broken]) == 1.0


@pytest.mark.parametrize("probability", [0.89, 0.5])
def test_tails_are_the_same_however_arviz_is_set(probability):
    values = autocorrelated(4, 100)
    expected = convergence([values])
    with rc_context({"stats.ci_prob": probability}):
        np.testing.assert_array_equal(convergence([values]), expected)
    assert TAILS == (0.05, 0.95)


def test_one_chain_counts_as_independent_draws():
    assert relative_efficiency([autocorrelated(1, 50)]) == 1.0


def test_parameters_of_several_arrays_come_one_after_the_other():
    values = autocorrelated(2, 30)
    parts = [values[:, :, :1], values[:, :, 1:60], values[:, :, 60:]]
    np.testing.assert_array_equal(convergence(parts), convergence([values]))
    assert convergence([]).shape == (3, 0)


def test_what_can_t_be_computed_is_missing():
    values = autocorrelated(2, 30, 3)
    values[0, 0, 1] = np.inf
    values[:, :, 2] = 5.0
    found = convergence([values])
    assert np.isfinite(found[:, 0]).all()
    assert np.isnan(found[:, 1]).all()
    assert np.isnan(found[:, 2]).all()
    assert np.isnan(convergence([autocorrelated(2, 3)])).all()
