"""Leave-one-out cross-validation of respondents, once for each distinct row and outcome."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from arviz_stats.utils import ELPDDataLOO
from numpy.typing import NDArray

from mrp.checks.convergence import relative_efficiency
from mrp.checks.parameters import of_model
from mrp.errors import RequestError
from mrp.fit import RESPONDENT, Fit
from mrp.likelihood import Pointwise, observed_of, pointwise
from mrp.prediction import blocks

__all__ = ["ELPDDataLOO", "loo"]

Floats = NDArray[np.float64]

MOST_K = 0.7
"""Largest Pareto k that can be relied on with many draws (Vehtari et al. 2024)."""


def loo(fit: Fit) -> ELPDDataLOO:
    """Leave-one-out cross-validation of respondents; see `Fit.loo`."""
    if fit.group == "prior":
        raise RequestError(
            "`loo` needs draws from the posterior, got draws from the prior, which have seen no "
            "respondent to leave out. Use model.sample()."
        )
    likelihood = pointwise(fit, observed_of(fit, "loo"))
    efficiency = relative_efficiency(_parameters(fit))
    _, index = likelihood.distinct
    elpd, k, p = _by_pair(likelihood, fit.coefficients.chains, efficiency)[:, index]
    total, se, parameters, _ = array_stats.loo_summary(elpd, p)
    good_k = min(1 - 1 / np.log10(likelihood.size), MOST_K) if likelihood.size > 1 else MOST_K
    _warn_of_large_k(k, good_k)
    return ELPDDataLOO(
        elpd=float(total),
        se=float(se),
        p=float(parameters),
        n_samples=likelihood.size,
        n_data_points=likelihood.n,
        scale="log",
        warning=bool((k > good_k).any()),
        good_k=good_k,
        elpd_i=_of_respondents(elpd, "elpd_i"),
        pareto_k=_of_respondents(k, "pareto_k"),
        p_loo_i=_of_respondents(p, "p_loo_i"),
    )


def _by_pair(likelihood: Pointwise, chains: int, efficiency: float) -> Floats:
    """Density, Pareto k and number of parameters (3, pairs) of each distinct row and outcome."""
    first, _ = likelihood.distinct
    result = np.empty((3, len(first)))
    for block in blocks(len(first), likelihood.prediction.size):
        values = likelihood.values(first[block])
        draws = values.reshape(len(values), chains, -1)
        result[:, block] = array_stats.loo(draws, r_eff=efficiency)
    return result


def _parameters(fit: Fit) -> list[Floats]:
    """Draws (chains, draws, k) of every parameter."""
    parameters = of_model(fit).transpose("chain", "draw", ...)
    arrays = [variable.to_numpy() for variable in parameters.data_vars.values()]
    return [array.reshape(*array.shape[:2], -1) for array in arrays]


def _of_respondents(values: Floats, name: str) -> xr.DataArray:
    return xr.DataArray(
        values, dims=RESPONDENT, coords={RESPONDENT: np.arange(len(values))}, name=name
    )


def _warn_of_large_k(k: Floats, good: float) -> None:
    bad = int((k > good).sum())
    if bad:
        warnings.warn(
            f"Pareto k is over {good:.2f} for {bad} of {len(k)} respondents (up to {k.max():.2f}): "
            f"the draws say little of how the model does without them, and `elpd` can't be relied "
            f"on. See `pareto_k` for whom; more `draws` may help.",
            UserWarning,
            stacklevel=4,  # whoever called Fit.loo
        )
