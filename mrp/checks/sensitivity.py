"""How much estimates depend on the priors and on the data, without fitting again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.checks.cross_validation import check_draws
from mrp.checks.parameters import dims_with_prior, with_prior
from mrp.errors import FitError, RequestError, listing, unknown
from mrp.fit import LOG_PRIOR, Fit, check_fit
from mrp.likelihood import observed_of, pointwise, total
from mrp.results.estimates import Estimates
from mrp.results.labels import beside

Floats = NDArray[np.float64]
Component = Literal["prior", "likelihood"]

THRESHOLD = 0.05
"""Sensitivity that is worth a look: that of a normal posterior whose mean moves by a third of its
standard deviation where the power of the component is doubled (Kallioinen et al. 2023)."""
PRIOR, CONFLICT = "potential strong prior / weak likelihood", "potential prior-data conflict"
"""What sensitivity to the prior, without and with sensitivity to the data, may mean."""


@explained
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
        Draws from the posterior. Those from elsewhere must have every parameter that has a prior.
    estimates
        What was made of these draws: poststratified estimates, contrasts, `Fit.fixef`.
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
        The draws are from the prior or fewer than 25, the estimates of another fit, of several, or
        not finite, or there is no such parameter.
    FitError
        The draws, which came from elsewhere, lack parameters that have a prior, or are where a
        density is zero.
    DataError
        The fit was saved without its survey.

    References
    ----------
    Kallioinen, Paananen, Bürkner and Vehtari (2023), doi:10.1007/s11222-023-10366-5; computed by
    ``arviz_stats.psense``.
    """
    _check(fit, estimates, threshold)
    draws = _as_dataset(estimates)
    found = {
        "prior": _sensitivities(draws, "prior", _log_prior(fit, prior)),
        "likelihood": _sensitivities(draws, "likelihood", _log_likelihood(fit)),
    }
    return beside(estimates.labels, {**found, "diagnosis": _diagnosis(**found, at=threshold)})


def _check(fit: Fit, estimates: Estimates, threshold: float) -> None:
    check_fit(fit)
    if fit.group == "prior":
        raise RequestError(
            "`fit` must have draws from the posterior, got draws from the prior, which depend on "
            "no data. Use model.sample()."
        )
    check_draws(fit, "sensitivity")
    if not isinstance(estimates, Estimates):
        raise RequestError(
            f"`estimates` must be Estimates, got {type(estimates).__name__}. "
            f"Make them with mrp.poststratify() or another verb."
        )
    if estimates.about.get("draws") != fit.fingerprint:
        raise RequestError(
            "`estimates` must be made of the draws of `fit`, got estimates of others, or of "
            "several fits. Make them of this fit."
        )
    is_number = isinstance(threshold, int | float | np.number) and not isinstance(threshold, bool)
    if not is_number or not 0 < threshold < np.inf:
        raise RequestError(
            f"`threshold` must be a positive number, got {threshold!r}. Usual: {THRESHOLD}."
        )


def _log_prior(fit: Fit, prior: str | Sequence[str] | None) -> Floats:
    """Log density (chains, draws) of the priors that are scaled."""
    if LOG_PRIOR not in fit.draws.children:
        raise FitError(_lacking(fit))
    densities = fit.draws[LOG_PRIOR].to_dataset()
    others = [dim for dim in densities.dims if dim not in ("chain", "draw")]
    densities = densities.sum(others, skipna=False)
    names = list(map(str, densities.data_vars))
    asked = _asked(prior, names)
    arrays = [densities[name].transpose("chain", "draw").to_numpy() for name in asked]
    for name, array in zip(asked, arrays, strict=True):
        _check_finite(array, f"the prior of {name!r}")
    return np.sum(arrays, axis=0)


def _lacking(fit: Fit) -> str:
    """Why there is no log density of the priors."""
    there = with_prior(fit)
    missing = [name for name in dims_with_prior(fit) if name not in there]
    if missing:
        return (
            f"`sensitivity` needs draws of every parameter that has a prior, this fit lacks "
            f"{listing(missing)}, or has them with other dims or labels. Available: "
            f"{listing(fit.parameters.data_vars)}. Add them to the draws that Fit.from_draws is "
            f"given."
        )
    return (
        f"`sensitivity` needs the log density of the priors at the draws, the group {LOG_PRIOR!r} "
        f"of `fit.draws`, which this fit lacks. Available: {listing(fit.draws.children)}. Sample "
        f"the model again, or make the fit with Fit.from_draws."
    )


def _asked(prior: Any, names: Sequence[str]) -> list[str]:
    """Names of the priors that are scaled."""
    several = isinstance(prior, Iterable) and not isinstance(prior, str)
    asked = list(names if prior is None else prior if several else [prior])
    for name in asked:
        if name not in names:
            raise RequestError(unknown("prior", "name parameters that have a prior", name, names))
    if not asked:
        raise RequestError("`prior` must name at least one parameter, got none. Leave it out.")
    return asked


def _log_likelihood(fit: Fit) -> Floats:
    """Log likelihood (chains, draws) of all respondents together."""
    by_draw = total(pointwise(fit, observed_of(fit, "sensitivity")))
    _check_finite(by_draw, "the outcome")
    return by_draw.reshape(fit.coefficients.chains, -1)


def _check_finite(log_density: Floats, of: str) -> None:
    bad = int((~np.isfinite(log_density)).sum())
    if bad:
        raise FitError(
            f"`sensitivity` needs draws at which {of} has a density, got {bad:,} of "
            f"{log_density.size:,} draws at which it has none. Are they draws of this model?"
        )


def _as_dataset(estimates: Estimates) -> xr.Dataset:
    """Draws of the estimates as parameters, without their labels."""
    values = estimates.draws.to_numpy()
    bad = np.flatnonzero(~np.isfinite(values).all(axis=(0, 1)))
    if len(bad):
        raise RequestError(
            f"`estimates` must have finite draws, got others in "
            f"{listing(estimates.names[k] for k in bad)}. Leave those out, or look at what they "
            f"are made by, such as `transform`."
        )
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
