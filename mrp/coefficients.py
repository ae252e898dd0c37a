"""Draws of the coefficients, arranged for prediction.

They come from a dataset whose variables are named as Bambi names them: ``Intercept``, ``age`` with
dim ``age_dim``, ``1|state`` with ``state__factor_dim``, ``gender|state`` with
``gender__expr_dim, state__factor_dim``. Any other variable is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mrp.design import Block, Design, DesignRows, Term
from mrp.errors import DataError, FitError, RequestError, listing, unknown

Floats = NDArray[np.float64]
NewLevels = Literal["gaussian", "uncertainty", "old_levels"]
Dims = tuple[str, ...]


@dataclass(frozen=True)
class Coefficients:
    """Draws of everything that enters the linear predictor.

    Parameters
    ----------
    population
        Population-level coefficients (p, draws), in the order of `DesignRows.population`.
    effects
        For each block, the groups' effects (width, groups, draws).
    chains, draws
        Number of chains, and of draws in each; the last axis above is chains x draws.
    """

    population: Floats
    effects: tuple[Floats, ...]
    chains: int
    draws: int

    @property
    def size(self) -> int:
        """Number of draws over all chains."""
        return self.chains * self.draws


def dims_of(term: Term) -> Dims:
    """Dims of a population-level term's coefficients, as Bambi names them."""
    return () if term.levels is None else (f"{term.name}_dim",)


def effect_dims(block: Block, term: Term) -> Dims:
    """Dims of a group-specific term's effects, as Bambi names them."""
    expression = () if term.levels is None else (f"{term.name}__expr_dim",)
    return (*expression, f"{block.factor}__factor_dim")


def coordinates(design: Design) -> dict[str, list[str]]:
    """Coordinate labels of every dim that the coefficients have."""
    coords: dict[str, list[str]] = {}
    for term in design.terms:
        for dim in dims_of(term):
            coords[dim] = list(term.levels or ())
    for block in design.blocks:
        coords[f"{block.factor}__factor_dim"] = list(design.factors[block.factor].groups)
        for term in block.terms:
            if term.levels is not None:
                coords[f"{term.name}__expr_dim"] = list(term.levels)
    return coords


def read(design: Design, draws: xr.Dataset) -> Coefficients:
    """Arrange a dataset of draws for prediction.

    Parameters
    ----------
    design
        The design whose coefficients they are.
    draws
        Variables named as Bambi names them, with dims ``chain`` and ``draw`` besides their own, in
        any order. Labelled dims are matched by label, others by position.

    Raises
    ------
    DataError
        A variable, dim or label is missing, or a value is not finite.
    """
    for dim in ("chain", "draw"):
        if dim not in draws.dims:
            raise DataError(
                f"`draws` must have the dims 'chain' and 'draw', lacks {dim!r}. "
                f"Available: {listing(draws.dims)}. Add it with `expand_dims`."
            )
    coords = coordinates(design)
    size = draws.sizes["chain"] * draws.sizes["draw"]
    population = [
        _values(draws, term.name, dims_of(term), coords).reshape(-1, size) for term in design.terms
    ]
    effects = []
    for block in design.blocks:
        parts = [
            _values(draws, block.variable(term), effect_dims(block, term), coords)
            for term in block.terms
        ]
        groups = len(design.factors[block.factor].groups)
        effects.append(np.concatenate([part.reshape(-1, groups, size) for part in parts]))
    stacked = np.concatenate(population) if population else np.zeros((0, size))
    return Coefficients(stacked, tuple(effects), draws.sizes["chain"], draws.sizes["draw"])


def _values(
    draws: xr.Dataset, name: str, dims: Dims, coords: Mapping[str, Sequence[str]]
) -> Floats:
    if name not in draws:
        raise DataError(
            unknown("draws", "have a variable for every term of the formula, lacks one", name,
                    [str(variable) for variable in draws.data_vars])
        )  # fmt: skip
    array = draws[name]
    extra = set(array.dims) ^ {*dims, "chain", "draw"}
    if extra:
        raise DataError(
            f"`draws` must have the dims {listing(dims)} besides chain and draw in {name!r}, got "
            f"{listing(str(d) for d in array.dims if d not in ('chain', 'draw'))}. Rename them."
        )
    for dim in dims:
        array = _aligned(array, name, dim, coords[dim])
    values = np.ascontiguousarray(array.transpose(*dims, "chain", "draw"), dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            f"`draws` must be finite, got {int((~np.isfinite(values)).sum())} values in {name!r} "
            f"that are not. Remove those draws, or sample again."
        )
    return values


def _aligned(array: xr.DataArray, name: str, dim: str, labels: Sequence[str]) -> xr.DataArray:
    if dim not in array.coords:
        if array.sizes[dim] != len(labels):
            raise DataError(
                f"`draws` must have length {len(labels)} along {dim!r} in {name!r}, got "
                f"{array.sizes[dim]}. Expected labels: {listing(labels)}."
            )
        return array
    array = array.assign_coords({dim: [str(label) for label in array[dim].values]})
    missing = [label for label in labels if label not in set(array[dim].values)]
    if missing:
        raise DataError(
            f"`draws` must have all labels along {dim!r} in {name!r}, lacks {listing(missing)}. "
            f"Available: {listing(array[dim].values)}."
        )
    return array.sel({dim: list(labels)})


def with_new_groups(
    coefficients: Coefficients,
    design: Design,
    rows: DesignRows,
    draws: xr.Dataset,
    *,
    new_levels: NewLevels | None,
    seed: int | None,
) -> Coefficients:
    """Append effects of the groups that the survey lacks.

    Parameters
    ----------
    coefficients
        Draws for the survey's groups.
    design, rows
        The design, and the rows whose new groups need effects.
    draws
        Dataset with the sd's (``1|state_sigma``) and correlations (``state_cor``) of the blocks.
    new_levels
        "gaussian": a new group's effects are drawn from the fitted group distribution, in each
        draw; "uncertainty": in each draw, the effects of one survey group picked at random;
        "old_levels": one survey group picked at random for all draws. As in brms.
    seed
        Makes the picks repeatable.

    Notes
    -----
    Rows of one new group share its effects; different new groups differ. Blocks of one grouping
    factor pick the same survey groups.
    """
    if not rows.new_groups:
        return coefficients
    if new_levels not in get_args(NewLevels):
        raise RequestError(
            unknown("new_levels", "say how to draw new groups", new_levels, get_args(NewLevels))
        )
    rng = np.random.default_rng(seed)
    size = coefficients.size
    picks = {
        name: rng.integers(
            len(design.factors[name].groups),
            size=(len(labels), size if new_levels == "uncertainty" else 1),
        )
        for name, labels in rows.new_groups.items()
    }
    effects = list(coefficients.effects)
    for b, block in enumerate(design.blocks):
        count = len(rows.new_groups.get(block.factor, ()))
        if not count:
            continue
        if new_levels == "gaussian":
            new = _gaussian(block, number_of(design, b), count, draws, rng, size)
        else:
            pick = np.broadcast_to(picks[block.factor], (count, size))
            new = effects[b][:, pick, np.arange(size)]
        effects[b] = np.concatenate([effects[b], new], axis=1)
    return replace(coefficients, effects=tuple(effects))


def number_of(design: Design, position: int) -> int:
    """How many blocks of the same factor come before this one."""
    factor = design.blocks[position].factor
    return sum(block.factor == factor for block in design.blocks[:position])


def correlation_name(factor: str, number: int) -> str:
    """Variable with a block's correlations: ``state_cor``; ``state_cor_2`` for a second block."""
    return f"{factor}_cor" if number == 0 else f"{factor}_cor_{number + 1}"


def correlation_labels(block: Block) -> list[str]:
    """Labels of a block's correlations, row by row of the lower triangle."""
    labels = block.labels
    return [f"{labels[j]}, {labels[i]}" for i in range(len(labels)) for j in range(i)]


def _gaussian(
    block: Block, number: int, count: int, draws: xr.Dataset, rng: np.random.Generator, size: int
) -> Floats:
    """Effects (width, count, draws) from N(0, diag(sd) R diag(sd)) of each draw."""
    sd = np.concatenate([
        _hyper(draws, f"{block.variable(term)}_sigma").reshape(-1, size) for term in block.terms
    ])  # fmt: skip
    width = block.width
    correlation = np.tile(np.eye(width), (size, 1, 1))
    if block.correlated:
        pairs = _hyper(draws, correlation_name(block.factor, number)).reshape(-1, size)
        lower = np.tril_indices(width, -1)
        correlation[:, lower[0], lower[1]] = pairs.T
        correlation[:, lower[1], lower[0]] = pairs.T
    # the eigenvectors do for a correlation of exactly one, where Cholesky fails
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))[:, None, :]
    z = rng.standard_normal((size, width, count))
    standard: Floats = np.einsum("sij,sjc->ics", root, z)
    return standard * sd[:, None, :]


def _hyper(draws: xr.Dataset, name: str) -> Floats:
    if name not in draws:
        raise FitError(
            f"`new_levels='gaussian'` needs draws of {name!r}, which this fit lacks. "
            f"Available: {listing(str(v) for v in draws.data_vars)}. "
            f"Use new_levels='uncertainty', which needs only the groups' effects."
        )
    array = draws[name]
    own = [dim for dim in array.dims if dim not in ("chain", "draw")]
    values: Floats = np.ascontiguousarray(array.transpose(*own, "chain", "draw"), dtype=np.float64)
    return values
