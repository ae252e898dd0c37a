"""Log density of the priors at the draws, for each parameter that has a prior of its own.

Group-specific effects are not among them: given their standard deviations and correlations they
are part of the model, not a prior that someone chose (as in brms and priorsense). The densities are
those of the parameters as they are named and bounded, without the Jacobians of the sampler's
transformations: of standard deviations, of correlation matrices, of the intercept or thresholds at
the centre of the predictors where that is what the prior is of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from mrp.coefficients import correlation_name, dims_of, effect_dims, number_of
from mrp.design import Design
from mrp.levels import NO_LEVELS, THRESHOLD, THRESHOLD_DIM, LevelParameters
from mrp.model.collapse import Observed
from mrp.model.distributions import Prior
from mrp.model.prior_defaults import Priors, group_terms

Floats = NDArray[np.float64]


def log_prior(
    parameters: xr.Dataset,
    design: Design,
    observed: Observed,
    priors: Priors,
    by_level: LevelParameters = NO_LEVELS,
) -> xr.Dataset:
    """Log density of the priors at draws of the parameters.

    Parameters
    ----------
    parameters
        Draws, named as a fit has them.
    design, observed, priors, by_level
        The model that they are draws of.

    Returns
    -------
    For each parameter, named as in the draws, the sum over its coefficients; dims chain and draw.
    Flat priors count as zero. That thresholds rise changes the density by a constant, which is left
    out.
    """
    shift = _shift(parameters, design, observed, by_level) if priors.centered else 0.0
    found: dict[str, xr.DataArray] = {}
    for term in design.terms:
        at = parameters[term.name] + (shift if term.kind == "intercept" else 0.0)
        own = () if term.levels is None else dims_of(term)
        found[term.name] = _summed(priors.population[term.name], at, own)
    if priors.threshold is not None:
        at = parameters[THRESHOLD] - shift
        found[THRESHOLD] = _summed(priors.threshold, at, (THRESHOLD_DIM,))
    for name, prior in priors.auxiliary.items():
        found[name] = _summed(prior, parameters[name], ())
    for block, term in group_terms(design):
        name = block.variable(term)
        own = effect_dims(block, term)[:-1]
        found[f"{name}_sigma"] = _summed(priors.sd[name], parameters[f"{name}_sigma"], own)
    for b, (block, eta) in enumerate(zip(design.blocks, priors.cor, strict=True)):
        if block.correlated:
            name = correlation_name(block.factor, number_of(design, b))
            found[name] = _of_correlations(parameters[name], f"{name}_dim", block.width, eta)
    return xr.Dataset(found)


def _shift(
    parameters: xr.Dataset, design: Design, observed: Observed, by_level: LevelParameters
) -> xr.DataArray | float:
    """What the predictors' means add to the linear predictor: dims chain, draw, and the levels'."""
    shift: xr.DataArray | float = 0.0
    for term in design.slopes:
        means = observed.mean(term.columns(observed.rows.values, len(observed.rows)))
        if term.levels is None:
            shift = shift + means[0] * parameters[term.name]
        else:
            (own,) = dims_of(term)
            shift = shift + (parameters[term.name] * xr.DataArray(means, dims=own)).sum(own)
    return shift


def _summed(prior: Prior, at: xr.DataArray, own: tuple[str, ...]) -> xr.DataArray:
    """Log density summed over everything but chain and draw; `own` is the coefficients' dim."""
    arguments = {
        key: xr.DataArray(value, dims=own) if value.ndim else value
        for key, value in prior.values.items()
    }
    with np.errstate(divide="ignore"):  # the log of zero is minus infinity
        density: xr.DataArray = _DENSITIES[prior.name](at, **arguments)
    return density.sum([dim for dim in density.dims if dim not in ("chain", "draw")])


def _of_correlations(pairs: xr.DataArray, dim: str, width: int, eta: float) -> xr.DataArray:
    """Log density of correlation matrices under LKJ, from their lower triangles row by row."""
    others = [other for other in pairs.dims if other not in ("chain", "draw", dim)]
    values = pairs.transpose("chain", "draw", *others, dim).to_numpy()
    matrix = np.broadcast_to(np.eye(width), (*values.shape[:-1], width, width)).copy()
    low, high = np.tril_indices(width, -1)
    matrix[..., low, high] = matrix[..., high, low] = values
    density = lkj_log_density(matrix, eta)
    density = density.reshape(*density.shape[:2], -1).sum(axis=-1)
    return xr.DataArray(
        density, dims=("chain", "draw"), coords={d: pairs[d] for d in ("chain", "draw")}
    )


def lkj_log_density(correlation: Floats, eta: float) -> Floats:
    r"""Log density of correlation matrices (…, width, width) under LKJ.

    .. math:: p(R) \propto \det(R)^{\eta - 1}

    with the constant of Lewandowski, Kurowicka and Joe (2009, doi:10.1016/j.jmva.2009.04.008).
    """
    width = correlation.shape[-1]
    k = np.arange(1, width)
    shape = eta + (width - k - 1) / 2
    constant = (2 * (eta - 1) + width - k) * (width - k) * np.log(2.0)
    constant += (width - k) * betaln(shape, shape)
    log_determinant: Floats = np.linalg.slogdet(correlation)[1]
    if eta == 1:  # uniform, also where the determinant is zero
        log_determinant = np.zeros_like(log_determinant)
    density: Floats = (eta - 1) * log_determinant - constant.sum()
    return density


# --- densities of numbers -------------------------------------------------------------------------

Numbers = Any
"""Arrays of xarray or NumPy, or numbers."""


def _normal(x: Numbers, mu: Numbers, sigma: Numbers) -> Numbers:
    return -0.5 * ((x - mu) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)


def _student_t(x: Numbers, nu: Numbers, mu: Numbers, sigma: Numbers) -> Numbers:
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi) - np.log(sigma)
    return constant - (nu + 1) / 2 * np.log1p(((x - mu) / sigma) ** 2 / nu)


def _cauchy(x: Numbers, alpha: Numbers, beta: Numbers) -> Numbers:
    return -np.log(np.pi * beta) - np.log1p(((x - alpha) / beta) ** 2)


def _laplace(x: Numbers, mu: Numbers, b: Numbers) -> Numbers:
    return -np.log(2 * b) - abs(x - mu) / b


def _flat(x: Numbers) -> Numbers:
    return 0.0 * x


def _exponential(x: Numbers, lam: Numbers) -> Numbers:
    return np.log(lam) - lam * x


def _gamma(x: Numbers, alpha: Numbers, beta: Numbers) -> Numbers:
    return alpha * np.log(beta) - gammaln(alpha) + (alpha - 1) * np.log(x) - beta * x


def _inverse_gamma(x: Numbers, alpha: Numbers, beta: Numbers) -> Numbers:
    return alpha * np.log(beta) - gammaln(alpha) - (alpha + 1) * np.log(x) - beta / x


_DENSITIES: Mapping[str, Callable[..., Numbers]] = {
    "normal": _normal,
    "student_t": _student_t,
    "cauchy": _cauchy,
    "laplace": _laplace,
    "flat": _flat,
    # twice as dense as the whole, on its positive half
    "half_normal": lambda x, sigma: _normal(x, 0.0, sigma) + np.log(2.0),
    "half_student_t": lambda x, nu, sigma: _student_t(x, nu, 0.0, sigma) + np.log(2.0),
    "half_cauchy": lambda x, beta: _cauchy(x, 0.0, beta) + np.log(2.0),
    "half_flat": _flat,
    "exponential": _exponential,
    "gamma": _gamma,
    "inv_gamma": _inverse_gamma,
}
