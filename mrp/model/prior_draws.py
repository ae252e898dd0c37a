"""Exact draws from the prior, forward: hyperparameters first, then the effects they govern."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mrp.coefficients import (
    correlation_name,
    dims_of,
    effect_dims,
    labelled,
    number_of,
)
from mrp.design import Block, Design
from mrp.errors import PriorError
from mrp.model.collapse import Observed
from mrp.model.priors import Prior, Priors

Floats = NDArray[np.float64]


def draw(
    design: Design, observed: Observed, priors: Priors, *, draws: int, seed: int | None
) -> xr.DataTree:
    """Draw every parameter from its prior.

    Returns
    -------
    Group ``prior`` with one chain of independent draws, variables and dims as a posterior has.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[tuple[str, ...], Floats]] = {}
    shift = np.zeros(draws)
    for term in design.slopes:
        dims = dims_of(term)
        values = _draws(rng, priors.population[term.name], term.name, (draws, term.width))
        columns = term.columns(observed.rows.values, len(observed.rows))
        shift += values @ observed.mean(columns)
        found[term.name] = (dims, values if dims else values[:, 0])
    if design.has_intercept:
        centered = _draws(rng, priors.population["Intercept"], "Intercept", (draws, 1))[:, 0]
        found = {"Intercept": ((), centered - shift), **found}
    for name, prior in priors.auxiliary.items():
        found[name] = ((), _draws(rng, prior, name, (draws, 1))[:, 0])
    for b, block in enumerate(design.blocks):
        groups = len(design.factors[block.factor].groups)
        found |= _block(rng, block, number_of(design, b), groups, priors, priors.cor[b], draws)
    return xr.DataTree.from_dict({"prior": labelled(design, found, 1, draws)})


def _block(
    rng: np.random.Generator,
    block: Block,
    number: int,
    groups: int,
    priors: Priors,
    concentration: float,
    draws: int,
) -> dict[str, tuple[tuple[str, ...], Floats]]:
    """Standard deviations, correlations and effects of one ``( … | g)``."""
    found: dict[str, tuple[tuple[str, ...], Floats]] = {}
    z = rng.standard_normal((draws, block.width, groups))
    if block.correlated:
        factor = lkj_cholesky(rng, block.width, concentration, draws)
        correlation = factor @ factor.transpose(0, 2, 1)
        lower = np.tril_indices(block.width, -1)
        name = correlation_name(block.factor, number)
        found[name] = ((f"{name}_dim",), correlation[:, lower[0], lower[1]])
        z = factor @ z
    start = 0
    for term in block.terms:
        name, dims = block.variable(term), effect_dims(block, term)
        sd = _draws(rng, priors.sd[name], name, (draws, term.width))
        effects = sd[:, :, None] * z[:, start : start + term.width]
        start += term.width
        many = term.levels is not None
        found[f"{name}_sigma"] = (dims[:-1], sd if many else sd[:, 0])
        found[name] = (dims, effects if many else effects[:, 0])
    return found


def lkj_cholesky(rng: np.random.Generator, width: int, concentration: float, draws: int) -> Floats:
    """Cholesky factors (draws, width, width) of correlation matrices with density det(R)^(c-1).

    By independent partial correlations (Lewandowski, Kurowicka and Joe 2009,
    doi:10.1016/j.jmva.2009.04.008).
    """
    factor = np.zeros((draws, width, width))
    factor[:, 0, 0] = 1.0
    for i in range(1, width):
        remaining = np.ones(draws)
        for j in range(i):
            shape = concentration + (width - 2 - j) / 2
            partial = 2 * rng.beta(shape, shape, size=draws) - 1
            factor[:, i, j] = partial * np.sqrt(remaining)
            remaining = remaining * (1 - partial**2)
        factor[:, i, i] = np.sqrt(remaining)
    return factor


def _draws(
    rng: np.random.Generator, prior: Prior, parameter: str, shape: tuple[int, int]
) -> Floats:
    """Draws (draws, width) from a prior."""
    if prior.name in ("flat", "half_flat"):
        raise PriorError(
            f"`priors` must be proper to be drawn from, got a flat prior for {parameter!r}. "
            f"Give it one, such as priors={{{parameter!r}: 'normal(0, 1)'}}."
        )
    a = prior.values
    by_name: dict[str, Callable[[], Floats]] = {
        "normal": lambda: rng.normal(a["mu"], a["sigma"], shape),
        "student_t": lambda: a["mu"] + a["sigma"] * rng.standard_t(a["nu"], shape),
        "cauchy": lambda: a["alpha"] + a["beta"] * rng.standard_cauchy(shape),
        "laplace": lambda: rng.laplace(a["mu"], a["b"], shape),
        "half_normal": lambda: np.abs(rng.normal(0.0, a["sigma"], shape)),
        "half_student_t": lambda: np.abs(a["sigma"] * rng.standard_t(a["nu"], shape)),
        "half_cauchy": lambda: np.abs(a["beta"] * rng.standard_cauchy(shape)),
        "exponential": lambda: rng.exponential(1 / a["lam"], shape),
        "gamma": lambda: rng.gamma(a["alpha"], 1 / a["beta"], shape),
        "inv_gamma": lambda: 1 / rng.gamma(a["alpha"], 1 / a["beta"], shape),
    }
    return by_name[prior.name]()
