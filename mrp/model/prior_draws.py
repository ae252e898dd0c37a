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
from mrp.errors import PriorError, listing
from mrp.levels import NO_LEVELS, THRESHOLD, THRESHOLD_DIM, LevelParameters
from mrp.model.collapse import Observed
from mrp.model.distributions import Prior, make
from mrp.model.prior_defaults import Defaults, Priors
from mrp.model.prior_table import rows

Floats = NDArray[np.float64]

MOST_TRIES = 1000
"""How often as many thresholds as are wanted are drawn, before there are enough that rise."""


def check_proper(priors: Priors, design: Design, defaults: Defaults) -> None:
    """Raise if any prior is flat, with the names of all that are and of their classes.

    Parameters
    ----------
    priors, design
        The model.
    defaults
        Whose defaults it has, for the advice.
    """
    flat = [row.parameter for row in rows(priors, design) if not row.prior.proper]
    if not flat:
        return
    by_class = {
        "Intercept": [priors.population[t.name] for t in design.terms if t.kind == "intercept"],
        "b": [priors.population[term.name] for term in design.slopes],
        "sd": list(priors.sd.values()),
        THRESHOLD: [priors.threshold] if priors.threshold else [],
        **{name: [prior] for name, prior in priors.auxiliary.items()},
    }
    missing = [name for name, own in by_class.items() if not all(prior.proper for prior in own)]
    add = ", ".join(f"{name}='normal(0, 1)'" for name in missing)
    raise PriorError(
        f"`priors` must be proper to be drawn from, got flat ones for {listing(flat)}. Add {add} "
        f"to mrp.priors(defaults={defaults!r}, …)."
    )


def draw(
    design: Design,
    observed: Observed,
    priors: Priors,
    by_level: LevelParameters = NO_LEVELS,
    *,
    draws: int,
    seed: int | None,
) -> xr.DataTree:
    """Draw every parameter from its prior.

    Returns
    -------
    Group ``prior`` with one chain of independent draws, variables and dims as a posterior has.
    """
    rng = np.random.default_rng(seed)
    shape = (draws, *by_level.shape)
    found: dict[str, tuple[tuple[str, ...], Floats]] = {}
    shift = np.zeros(shape)
    for term in design.slopes:
        values = _draws(rng, priors.population[term.name], term.name, (*shape, term.width))
        if priors.centered:
            columns = term.columns(observed.rows.values, len(observed.rows))
            shift += values @ observed.mean(columns)
        own = values[..., 0] if term.levels is None else np.moveaxis(values, -1, 1)
        found[term.name] = (dims_of(term, by_level), own)
    if design.has_intercept:
        centered = _draws(rng, priors.population["Intercept"], "Intercept", (*shape, 1))[..., 0]
        found = {"Intercept": (by_level.dims, centered - shift), **found}
    if priors.threshold is not None:
        thresholds = _thresholds(rng, priors.threshold, by_level, draws) + shift[:, None]
        found = {THRESHOLD: ((THRESHOLD_DIM,), thresholds), **found}
    for name, prior in priors.auxiliary.items():
        found[name] = ((), _draws(rng, prior, name, (draws, 1))[:, 0])
    for b, block in enumerate(design.blocks):
        groups = len(design.factors[block.factor].groups)
        number, concentration = number_of(design, b), priors.cor[b]
        found |= _block(rng, block, number, groups, priors, concentration, draws, by_level)
    return xr.DataTree.from_dict({"prior": labelled(design, found, 1, draws, by_level)})


def _block(
    rng: np.random.Generator,
    block: Block,
    number: int,
    groups: int,
    priors: Priors,
    concentration: float,
    draws: int,
    by_level: LevelParameters,
) -> dict[str, tuple[tuple[str, ...], Floats]]:
    """Standard deviations, correlations and effects of one ``( … | g)``."""
    found: dict[str, tuple[tuple[str, ...], Floats]] = {}
    shape, width = (draws, *by_level.shape), block.width
    z = rng.standard_normal((*shape, width, groups))
    if block.correlated:
        factor = lkj_cholesky(rng, width, concentration, draws * by_level.predictors)
        factor = factor.reshape(*shape, width, width)
        correlation = factor @ np.swapaxes(factor, -1, -2)
        lower = np.tril_indices(width, -1)
        name = correlation_name(block.factor, number)
        pairs = np.moveaxis(correlation[..., lower[0], lower[1]], -1, 1)
        found[name] = ((f"{name}_dim", *by_level.dims), pairs)
        z = factor @ z
    start = 0
    for term in block.terms:
        name, dims = block.variable(term), effect_dims(block, term, by_level)
        sd = _draws(rng, priors.sd[name], name, (*shape, term.width))
        effects = sd[..., None] * z[..., start : start + term.width, :]
        start += term.width
        many = term.levels is not None
        found[f"{name}_sigma"] = (dims[:-1], np.moveaxis(sd, -1, 1) if many else sd[..., 0])
        found[name] = (dims, np.moveaxis(effects, -2, 1) if many else effects[..., 0, :])
    return found


def _thresholds(
    rng: np.random.Generator, prior: Prior, by_level: LevelParameters, draws: int
) -> Floats:
    """Thresholds (draws, thresholds), which rise from each to the next if they must."""
    count = by_level.thresholds
    if not by_level.rising:
        return _draws(rng, prior, THRESHOLD, (draws, count))
    if all(value.ndim == 0 for value in prior.values.values()):
        return np.sort(_draws(rng, prior, THRESHOLD, (draws, count)), axis=1)
    return _rising(rng, prior, 0, count, draws)


def _rising(rng: np.random.Generator, prior: Prior, first: int, last: int, draws: int) -> Floats:
    """Draws (draws, last - first) of some of the thresholds, given that they rise.

    Halves that rise are put together, and kept if they rise where they meet: fewer are thrown
    away than of whole draws.
    """
    if last - first == 1:
        own = {key: np.atleast_1d(v)[first if v.ndim else 0] for key, v in prior.values.items()}
        return _draws(rng, make(prior.name, **own), THRESHOLD, (draws, 1))
    middle = (first + last) // 2
    found = np.empty((0, last - first))
    for _ in range(MOST_TRIES):
        left = _rising(rng, prior, first, middle, draws)
        right = _rising(rng, prior, middle, last, draws)
        rising = left[:, -1] < right[:, 0]
        found = np.vstack([found, np.hstack([left, right])[rising]])
        if len(found) >= draws:
            return found[:draws]
    raise PriorError(
        f"`priors` must let thresholds rise from each to the next, got {prior}, which they almost "
        f"never do. Put its locations in rising order."
    )


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
    rng: np.random.Generator, prior: Prior, parameter: str, shape: tuple[int, ...]
) -> Floats:
    """Draws (draws, …, width) from a prior that is proper."""
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
    with np.errstate(divide="ignore", over="ignore"):
        found = by_name[prior.name]()
    if not np.isfinite(found).all():
        raise PriorError(
            f"`priors` must be drawn as finite numbers, got {prior} for {parameter!r}, whose draws "
            f"are infinite in {int((~np.isfinite(found)).sum())} of {found.size:,}. Take one with "
            f"thinner tails, such as 'half_student_t(3, 2.5)'."
        )
    return found
