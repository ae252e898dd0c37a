"""Draws of the coefficients, arranged for prediction.

They come from a dataset whose variables are named as Bambi names them: ``Intercept``, ``age`` with
dim ``age_dim``, ``1|state`` with ``state__factor_dim``, ``gender|state`` with
``gender__expr_dim, state__factor_dim``. Any other variable is ignored.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mrp.design import Block, Design, DesignRows, Term
from mrp.errors import DataError, FitError, RequestError, closest, listing, unknown

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
    """Coordinate labels of every dim that the coefficients and correlations have."""
    coords: dict[str, list[str]] = {}
    for term in design.terms:
        for dim in dims_of(term):
            coords[dim] = list(term.levels or ())
    for b, block in enumerate(design.blocks):
        coords[f"{block.factor}__factor_dim"] = list(design.factors[block.factor].groups)
        for term in block.terms:
            if term.levels is not None:
                coords[f"{term.name}__expr_dim"] = list(term.levels)
        if block.correlated:
            name = correlation_name(block.factor, number_of(design, b))
            coords[f"{name}_dim"] = correlation_labels(block)
    return coords


def labelled(
    design: Design, values: Mapping[str, tuple[Dims, Floats]], chains: int, draws: int
) -> xr.Dataset:
    """Draws by name as a dataset.

    Parameters
    ----------
    design
        Its labels become coordinates.
    values
        For each variable its dims besides chain and draw, and its draws (chains x draws, …).
    chains, draws
        How the draws divide.
    """
    data = {
        name: (("chain", "draw", *dims), array.reshape(chains, draws, *array.shape[1:]))
        for name, (dims, array) in values.items()
    }
    used = {dim for dims, _ in data.values() for dim in dims}
    coords = {dim: labels for dim, labels in coordinates(design).items() if dim in used}
    return xr.Dataset(data, coords={"chain": np.arange(chains), "draw": np.arange(draws), **coords})


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
    _check_variables(design, draws)
    coords = coordinates(design)
    size = draws.sizes["chain"] * draws.sizes["draw"]
    population = [
        _arranged(draws, term.name, dims_of(term), coords).reshape(-1, size)
        for term in design.terms
    ]
    effects = []
    for block in design.blocks:
        parts = [
            _arranged(draws, block.variable(term), effect_dims(block, term), coords)
            for term in block.terms
        ]
        groups = len(design.factors[block.factor].groups)
        effects.append(np.concatenate([part.reshape(-1, groups, size) for part in parts]))
    stacked = np.concatenate(population) if population else np.zeros((0, size))
    return Coefficients(stacked, tuple(effects), draws.sizes["chain"], draws.sizes["draw"])


def _check_variables(design: Design, draws: xr.Dataset) -> None:
    names = [term.name for term in design.terms]
    names += [block.variable(term) for block in design.blocks for term in block.terms]
    missing = [name for name in names if name not in draws]
    if missing:
        available = [str(name) for name in draws.data_vars]
        message = (
            f"`draws` must have a variable for every term of the formula, lacks "
            f"{listing(missing)}. Available: {listing(available)}."
        )
        near = closest(missing[0], [name for name in available if name not in names])
        raise DataError(message + (f" Is it {near!r}? Then rename it." if near else ""))


def _arranged(
    draws: xr.Dataset, name: str, dims: Dims, coords: Mapping[str, Sequence[str]]
) -> Floats:
    """A variable with its dims in order, chain and draw last, and labels in the given order."""
    array = draws[name]
    if set(array.dims) != {*dims, "chain", "draw"}:
        raise DataError(
            f"`draws` must have the dims {listing(('chain', 'draw', *dims))} in {name!r}, got "
            f"{listing(array.dims)}. Rename them, or select from them."
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
    have = [str(label) for label in array[dim].values]
    positions = {label: k for k, label in enumerate(have)}
    missing = [label for label in labels if label not in positions]
    if missing:
        raise DataError(
            f"`draws` must have all labels along {dim!r} in {name!r}, lacks {listing(missing)}. "
            f"Available: {listing(have)}. Relabel them with `assign_coords`."
        )
    if len(positions) < len(have):
        twice = [label for label, count in Counter(have).items() if count > 1]
        raise DataError(
            f"`draws` must have each label along {dim!r} in {name!r} once, got {listing(twice)} "
            f"more often. Select one of each."
        )
    return array.isel({dim: [positions[label] for label in labels]})


def with_new_groups(
    coefficients: Coefficients,
    design: Design,
    rows: DesignRows,
    draws: xr.Dataset,
    *,
    new_levels: NewLevels | None,
    seed: int,
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
    factor pick the same survey groups. A group's effects depend on the seed and its name, not on
    which other groups are new.
    """
    if not rows.new_groups:
        return coefficients
    if new_levels not in get_args(NewLevels):
        raise RequestError(
            unknown("new_levels", "say how to draw new groups", new_levels, get_args(NewLevels))
        )
    effects = list(coefficients.effects)
    for b, block in enumerate(design.blocks):
        labels = rows.new_groups.get(block.factor, ())
        if not labels:
            continue
        if new_levels == "gaussian":
            new = _gaussian(design, b, labels, draws, seed, coefficients.size)
        else:
            each = new_levels == "uncertainty"
            new = _picked(effects[b], block.factor, labels, seed, for_each_draw=each)
        effects[b] = np.concatenate([effects[b], new], axis=1)
    return replace(coefficients, effects=tuple(effects))


def _gaussian(
    design: Design, position: int, labels: Sequence[str], draws: xr.Dataset, seed: int, size: int
) -> Floats:
    """Effects (width, new groups, draws) from each draw's group distribution."""
    block = design.blocks[position]
    standard = np.empty((size, block.width, len(labels)))
    for k, label in enumerate(labels):
        rng = _generator(seed, block.factor, label, str(position))
        standard[:, :, k] = rng.standard_normal((size, block.width))
    effects: Floats = _covariance_root(design, position, draws, size) @ standard
    return effects.transpose(1, 2, 0)


def _picked(
    effects: Floats, factor: str, labels: Sequence[str], seed: int, *, for_each_draw: bool
) -> Floats:
    """Effects (width, new groups, draws) of survey groups, one for each draw or one for all."""
    _, groups, size = effects.shape
    picks = np.empty((len(labels), size), dtype=np.int64)
    for k, label in enumerate(labels):
        rng = _generator(seed, factor, label)
        picks[k] = rng.integers(groups, size=size if for_each_draw else 1)
    return effects[:, picks, np.arange(size)]


def _generator(seed: int, *names: str) -> np.random.Generator:
    """Random numbers that belong to a group, whichever other groups there are."""
    key = hashlib.sha256("\x1f".join(names).encode()).digest()
    return np.random.default_rng(
        np.random.SeedSequence(seed, spawn_key=tuple(np.frombuffer(key, dtype="<u4").tolist()))
    )


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


def _covariance_root(design: Design, position: int, draws: xr.Dataset, size: int) -> Floats:
    """Root (draws, width, width) of each draw's covariance diag(sd) R diag(sd) of a block."""
    block, coords = design.blocks[position], coordinates(design)
    sd = np.concatenate([
        _hyper(draws, f"{block.variable(term)}_sigma", effect_dims(block, term)[:-1], coords)
        for term in block.terms
    ])  # fmt: skip
    correlation = np.tile(np.eye(block.width), (size, 1, 1))
    if block.correlated:
        name = correlation_name(block.factor, number_of(design, position))
        dim = f"{name}_dim"
        pairs = _hyper(draws, name, (dim,), {dim: correlation_labels(block)})
        lower = np.tril_indices(block.width, -1)
        correlation[:, lower[0], lower[1]] = pairs.T
        correlation[:, lower[1], lower[0]] = pairs.T
    # the eigenvectors do for a correlation of exactly one, where Cholesky fails
    values, vectors = np.linalg.eigh(correlation)
    root: Floats = sd.T[:, :, None] * vectors * np.sqrt(np.clip(values, 0.0, None))[:, None, :]
    return root


def _hyper(draws: xr.Dataset, name: str, dims: Dims, coords: Mapping[str, Sequence[str]]) -> Floats:
    """Draws (k, draws) of a block's sd's or correlations; a single one needs no dim."""
    if name not in draws:
        raise FitError(
            f"`new_levels='gaussian'` needs draws of {name!r}, which this fit lacks. "
            f"Available: {listing(str(v) for v in draws.data_vars)}. "
            f"Use new_levels='uncertainty', which needs only the groups' effects."
        )
    if set(draws[name].dims) == {"chain", "draw"} and all(len(coords[dim]) == 1 for dim in dims):
        dims = ()
    values = _arranged(draws, name, dims, coords)
    return values.reshape(-1, draws.sizes["chain"] * draws.sizes["draw"])
