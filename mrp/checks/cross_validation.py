"""Leave-one-out cross-validation of the survey's rows, once for each distinct row and outcome."""

from __future__ import annotations

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from arviz_stats.utils import ELPDDataLOO
from numpy.typing import NDArray

from mrp.checks.convergence import relative_efficiency
from mrp.checks.parameters import of_model
from mrp.errors import RequestError, warn
from mrp.fit import RESPONDENT, Fit
from mrp.likelihood import Pointwise, observed_of, pointwise
from mrp.prediction import blocks

__all__ = ["ELPDDataLOO", "loo"]

Floats = NDArray[np.float64]

MOST_K = 0.7
"""Largest Pareto k that can be relied on with many draws (Vehtari et al. 2024)."""
LEAST_DRAWS = 25
"""Draws of which a fifth, the tail that is smoothed, are five."""


def loo(fit: Fit) -> ELPDDataLOO:
    """Leave-one-out cross-validation of the survey's rows; see `Fit.loo`."""
    if fit.group == "prior":
        raise RequestError(
            "`loo` needs draws from the posterior, got draws from the prior, which have seen no "
            "respondent to leave out. Use model.sample()."
        )
    observed = observed_of(fit, "loo")
    check_draws(fit, "loo")
    likelihood = pointwise(fit, observed)
    efficiency = relative_efficiency(_parameters(fit))
    _, index = likelihood.distinct
    elpd, k, p = _by_pair(likelihood, fit.coefficients.chains, efficiency)[:, index]
    total, se, parameters, _ = array_stats.loo_summary(elpd, p)
    good_k = min(1 - 1 / np.log10(likelihood.size), MOST_K)
    _warn_of_large_k(k, good_k, "respondents" if observed.trials is None else "rows")
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


def check_draws(fit: Fit, verb: str) -> None:
    """Raise unless there are enough draws to smooth the tail of importance weights."""
    if fit.coefficients.size < LEAST_DRAWS:
        raise RequestError(
            f"`{verb}` needs at least {LEAST_DRAWS} draws, got {fit.coefficients.size}. Sample "
            f"more of them: usual are 4 chains of 1,000."
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


def _warn_of_large_k(k: Floats, good: float, rows: str) -> None:
    bad = int((k > good).sum())
    if bad:
        warn(
            f"Pareto k is over {good:.2f} for {bad} of {len(k)} {rows} (up to {k.max():.2f}): the "
            f"draws say little of how the model does without them, and `elpd` can't be relied on. "
            f"See `pareto_k` for which. {_advice(float(k.max()))}",
            UserWarning,
        )


def _advice(largest: float) -> str:
    """What helps, by the largest k: more draws do up to 0.7, and hardly beyond it."""
    if largest >= MOST_K:
        return (
            f"More draws hardly help where it is over {MOST_K}: look whether the model describes "
            f"them (`mrp.pp_check`), or refit without them."
        )
    return f"About {_draws_for(largest):,} draws are enough for it."


def _draws_for(k: float) -> int:
    """Draws with which a Pareto k can be relied on, ``10 ** (1 / (1 - k))``, rounded up."""
    needed = 10.0 ** (1 / (1 - k))
    unit = 10.0 ** (np.ceil(np.log10(needed)) - 1)
    return int(np.ceil(needed / unit) * unit)
