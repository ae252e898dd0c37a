"""Small fits with made-up draws, for tests and examples that need no sampler."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mrp.coefficients import (
    coordinates,
    correlation_name,
    dims_of,
    effect_dims,
    number_of,
)
from mrp.design import Design
from mrp.fit import Fit
from mrp.levels import NO_LEVELS, THRESHOLD, THRESHOLD_DIM, LevelParameters
from mrp.model import Model

FORMULA = "defund ~ age + education + military + gender + (1 + gender | state)"
"""The formula of the bundled simulated survey."""


def fake_draws(
    design: Design,
    *,
    chains: int = 2,
    draws: int = 25,
    seed: int = 1,
    scale: float = 0.3,
    by_level: LevelParameters = NO_LEVELS,
) -> xr.Dataset:
    """Independent normal draws of everything that prediction needs.

    Parameters
    ----------
    design
        Its names, dims and labels are given to the draws.
    chains, draws, seed
        Size, and what makes them repeatable.
    scale
        Standard deviation of every coefficient; thresholds vary around numbers from -1 to 1.
    by_level
        The parameters that levels of the outcome have: `Model.by_level`.
    """
    rng = np.random.default_rng(seed)
    coords: dict[str, Any] = {"chain": np.arange(chains), "draw": np.arange(draws)}
    coords |= coordinates(design, by_level)
    shapes: dict[str, tuple[str, ...]] = {
        term.name: dims_of(term, by_level) for term in design.terms
    }
    hyper: dict[str, tuple[str, ...]] = {}
    for b, block in enumerate(design.blocks):
        for term in block.terms:
            dims = effect_dims(block, term, by_level)
            shapes[block.variable(term)] = dims
            hyper[f"{block.variable(term)}_sigma"] = dims[:-1]
        if block.correlated:
            name = correlation_name(block.factor, number_of(design, b))
            hyper[name] = (f"{name}_dim", *by_level.dims)
    data = {}
    for name, dims in (shapes | hyper).items():
        shape = (chains, draws, *(len(coords[dim]) for dim in dims))
        values = scale * rng.standard_normal(shape)
        values = np.tanh(values) if name.endswith("_cor") else values
        values = np.abs(values) if name.endswith("_sigma") else values
        data[name] = (("chain", "draw", *dims), values)
    if by_level.thresholds:
        size = (chains, draws, by_level.thresholds)
        values = np.linspace(-1, 1, by_level.thresholds) + scale * rng.standard_normal(size)
        values = np.sort(values) if by_level.rising else values
        data[THRESHOLD] = (("chain", "draw", THRESHOLD_DIM), values)
    return xr.Dataset(data, coords={k: v for k, v in coords.items() if _used(k, data)})


def _used(dim: str, data: dict[str, Any]) -> bool:
    return any(dim in dims for dims, _ in data.values())


def fake_fit(formula: str, data: pd.DataFrame, **options: Any) -> Fit:
    """A fit with made-up draws; options of `Model` and `fake_draws`."""
    of_draws = {k: options.pop(k) for k in ("chains", "draws", "seed", "scale") if k in options}
    model = Model(formula, data, **options)
    return Fit.from_draws(model, fake_draws(model.design, by_level=model.by_level, **of_draws))


def example_fit() -> Fit:
    """A fit of the bundled simulated survey with made-up draws."""
    from mrp.datasets import load_dataset

    return fake_fit(FORMULA, load_dataset("simulated_survey"), family="bernoulli")
