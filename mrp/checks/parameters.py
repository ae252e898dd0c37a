"""The parameters of a model among the variables of a fit's draws, which may have others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from mrp.coefficients import Dims, coordinates, correlation_name, dims_of, effect_dims, number_of
from mrp.design import Level
from mrp.fit import Fit
from mrp.levels import THRESHOLD, THRESHOLD_DIM, level_parameters
from mrp.model.families import FAMILIES
from mrp.model.log_prior import log_prior

if TYPE_CHECKING:
    from mrp.model import Model


def of_model(fit: Fit) -> xr.Dataset:
    """Draws of the model's parameters; what else came with draws from elsewhere is left out."""
    effects = [block.variable(term) for block in fit.design.blocks for term in block.terms]
    known = {*dims_with_prior(fit), *effects}
    return fit.parameters[[name for name in fit.parameters.data_vars if name in known]]


def with_prior(fit: Fit) -> xr.Dataset:
    """Draws of the parameters that have a prior, with their dims, labels in the design's order.

    Those that the draws lack, or have with other dims or labels, are left out.
    """
    by_level = level_parameters(fit.family, fit.outcome, fit.levels)
    labels = coordinates(fit.design, by_level)
    found = {}
    for name, dims in dims_with_prior(fit).items():
        array = fit.parameters.get(name)
        for dim in dims:
            array = None if array is None else _in_order(array, dim, labels[dim])
        if array is not None and set(array.dims) == {*dims, "chain", "draw"}:
            found[name] = array
    return xr.Dataset(found)


def log_prior_of(fit: Fit, model: Model) -> xr.Dataset | None:
    """Log density of a model's priors at the draws; None where a parameter is not there.

    It is NaN where a parameter is not finite.
    """
    parameters = with_prior(fit)
    if set(parameters) < set(dims_with_prior(fit)):
        return None
    parts = model.design, model.observed, model.priors, model.by_level
    with np.errstate(all="ignore"):  # draws from elsewhere may be where a prior has no density
        density = log_prior(parameters, *parts).transpose("chain", "draw")
    others = [dim for dim in parameters.dims if dim not in ("chain", "draw")]
    return density.where(parameters.map(np.isfinite).all(others))


def dims_with_prior(fit: Fit) -> dict[str, Dims]:
    """Parameters that have a prior of their own, and their dims besides chain and draw.

    Those are all but the effects of groups, whose distribution is part of the model.
    """
    design, by_level = fit.design, level_parameters(fit.family, fit.outcome, fit.levels)
    found = {term.name: dims_of(term, by_level) for term in design.terms}
    if by_level.thresholds:
        found[THRESHOLD] = (THRESHOLD_DIM,)
    found |= {f.auxiliary: () for f in FAMILIES.values() if f.name == fit.family and f.auxiliary}
    for b, block in enumerate(design.blocks):
        for term in block.terms:
            found[f"{block.variable(term)}_sigma"] = effect_dims(block, term, by_level)[:-1]
        if block.correlated:
            name = correlation_name(block.factor, number_of(design, b))
            found[name] = (f"{name}_dim", *by_level.dims)
    return found


def _in_order(array: xr.DataArray, dim: str, labels: Sequence[Level]) -> xr.DataArray | None:
    """The array with these labels along a dim, which may be missing if there is one label only."""
    if dim not in array.dims:
        return array.drop_vars(dim, errors="ignore").expand_dims(dim) if len(labels) == 1 else None
    if dim not in array.coords:
        return array if array.sizes[dim] == len(labels) else None
    have = pd.Index([str(label) for label in array[dim].values])
    wanted = pd.Index([str(label) for label in labels])
    if not have.is_unique or not wanted.isin(have).all():
        return None
    return array.isel({dim: have.get_indexer(wanted)})
