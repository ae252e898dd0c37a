"""How much estimates depend on the priors and on the data, without fitting again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mrp.errors import FitError, RequestError, listing, unknown
from mrp.estimates import Estimates
from mrp.fit import Fit
from mrp.labels import beside
from mrp.likelihood import observed_of, pointwise, total

Floats = NDArray[np.float64]
Component = Literal["prior", "likelihood"]

THRESHOLD = 0.05
"""Sensitivity that is worth a look: that of a normal posterior whose mean moves by a third of its
standard deviation where the power of the component is doubled (Kallioinen et al. 2023)."""
LOG_PRIOR = "log_prior"
"""Group of a fit's draws that has the log density of the priors."""
PRIOR, CONFLICT = "potential strong prior / weak likelihood", "potential prior-data conflict"
"""What sensitivity to the prior, without and with sensitivity to the data, may mean."""


def sensitivity(
    fit: Fit,
    estimates: Estimates,
    *,
    prior: str | Sequence[str] | None = None,
    threshold: float = THRESHOLD,
) -> pd.DataFrame:
    """Sensitivity of estimates to the priors and to the data, by power-scaling.

    How fast the distribution of an estimate's draws moves when the priors' densities, or the
    likelihood, are raised to a power near one: the derivative of its cumulative Jensen-Shannon
    distance from what it was, by the base-2 logarithm of the power. The draws are reweighted, not
    made again.

    Parameters
    ----------
    fit
        Draws from the posterior of a model that was sampled here.
    estimates
        What was made of them: poststratified estimates, contrasts, `Fit.fixef`.
    prior
        Parameters whose priors are scaled, as the group ``log_prior`` of ``fit.draws`` names them:
        ``"1|state_sigma"``, ``["age", "education"]``. By default all, but for the effects of
        groups, whose distribution is part of the model.
    threshold
        Sensitivity from which the diagnosis speaks.

    Returns
    -------
    The labels of the estimates, ``prior`` and ``likelihood`` (0 and more), and ``diagnosis``:
    "potential prior-data conflict" where both reach the threshold, "potential strong prior / weak
    likelihood" where the prior alone does, otherwise empty.

    Raises
    ------
    RequestError
        The draws are from the prior, the estimates of another fit, or there is no such parameter.
    FitError
        The draws came without the log density of the priors.
    DataError
        The fit was saved without its survey.

    References
    ----------
    Kallioinen, Paananen, Bürkner and Vehtari (2023), doi:10.1007/s11222-023-10366-5; computed by
    ``arviz_stats.psense``.
    """
    _check(fit, estimates, threshold)
    draws = _as_dataset(fit, estimates)
    found = {
        "prior": _sensitivities(draws, "prior", _log_prior(fit, prior)),
        "likelihood": _sensitivities(draws, "likelihood", _log_likelihood(fit)),
    }
    return beside(estimates.labels, {**found, "diagnosis": _diagnosis(**found, at=threshold)})


def _check(fit: Fit, estimates: Estimates, threshold: float) -> None:
    if fit.group == "prior":
        raise RequestError(
            "`fit` must have draws from the posterior, got draws from the prior, which depend on "
            "no data. Use model.sample()."
        )
    have = (fit.coefficients.chains, fit.coefficients.size)
    got = (estimates.chains, estimates.source.size)
    if got != have or estimates.about.get("group", "posterior") != "posterior":
        raise RequestError(
            f"`estimates` must be made of the draws of `fit` ({have[0]} chains, {have[1]} draws), "
            f"got others ({got[0]} chains, {got[1]} "
            f"{estimates.about.get('group', 'posterior')} draws). Make them of this fit."
        )
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or threshold <= 0:
        raise RequestError(
            f"`threshold` must be a positive number, got {threshold!r}. Usual: {THRESHOLD}."
        )


def _log_prior(fit: Fit, prior: str | Sequence[str] | None) -> Floats:
    """Log density (chains, draws) of the priors that are scaled."""
    if LOG_PRIOR not in fit.draws.children:
        raise FitError(
            f"`sensitivity` needs the log density of the priors at the draws, the group "
            f"{LOG_PRIOR!r} of `fit.draws`, which this fit lacks. Available: "
            f"{listing(fit.draws.children)}. Sample the model again, or add it to the tree that "
            f"Fit.from_draws is given."
        )
    densities = fit.draws[LOG_PRIOR].to_dataset()
    names = list(map(str, densities.data_vars))
    asked = names if prior is None else [prior] if isinstance(prior, str) else list(prior)
    for name in asked:
        if name not in names:
            raise RequestError(unknown("prior", "name parameters that have a prior", name, names))
    if not asked:
        raise RequestError("`prior` must name at least one parameter, got none. Leave it out.")
    arrays = [densities[name].transpose("chain", "draw").to_numpy() for name in asked]
    return np.sum(arrays, axis=0)


def _log_likelihood(fit: Fit) -> Floats:
    """Log likelihood (chains, draws) of all respondents together."""
    by_draw = total(pointwise(fit, observed_of(fit, "sensitivity")))
    return by_draw.reshape(fit.coefficients.chains, -1)


def _as_dataset(fit: Fit, estimates: Estimates) -> xr.Dataset:
    """Draws of the estimates as parameters, without their labels."""
    values = estimates.draws.to_numpy()
    return xr.Dataset({"estimate": (("chain", "draw", "row"), values)})


def _sensitivities(draws: xr.Dataset, component: Component, log_density: Floats) -> Floats:
    """Sensitivity of each estimate; zero for one that is the same in all draws."""
    import arviz_stats

    density: Any = xr.Dataset({"sum": (("chain", "draw"), log_density)})
    moving = np.ptp(draws["estimate"].to_numpy(), axis=(0, 1)) > 0
    result = np.zeros(len(moving))
    if np.ptp(log_density) > 0 and moving.any():
        tree = xr.DataTree.from_dict(
            {"posterior": draws.isel(row=moving), f"log_{component}": density}
        )
        result[moving] = arviz_stats.psense(tree, group=component)["estimate"].to_numpy()
    return result


def _diagnosis(prior: Floats, likelihood: Floats, at: float) -> NDArray[Any]:
    return np.where(prior < at, "", np.where(likelihood < at, PRIOR, CONFLICT))
