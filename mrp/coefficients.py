"""Draws of the coefficients, arranged for prediction.

They come from a dataset whose variables are named as Bambi names them: ``Intercept``, ``age`` with
dim ``age_dim``, ``1|state`` with ``state__factor_dim``, ``gender|state`` with
``gender__expr_dim, state__factor_dim``. An unordered outcome ``vote`` with levels adds the dim
``vote_reduced_dim`` to each, an ordered one the variable ``threshold``. Any other variable is
ignored.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mrp.design import Block, Design, DesignRows, Level, Term
from mrp.errors import DataError, FitError, closest, listing
from mrp.levels import NO_LEVELS, THRESHOLD, THRESHOLD_DIM, LevelParameters
from mrp.memory import LARGE, check_fits
from mrp.new_groups import Way, Ways

Floats = NDArray[np.float64]
Dims = tuple[str, ...]


@dataclass(frozen=True)
class Coefficients:
    """Draws of everything that enters the linear predictor.

    Parameters
    ----------
    population
        Population-level coefficients (p, predictors x draws), in the order of
        `DesignRows.population`.
    effects
        For each block, the groups' effects (width, groups, predictors x draws).
    chains, draws
        Number of chains, and of draws in each; "draws" above is chains x draws. Where there are
        several linear predictors, one for each level of the outcome but the first, the level
        varies slowest.
    predictors
        Number of linear predictors.
    thresholds
        Thresholds (levels - 1, draws) between ordered levels; None where there are none.
    by_level
        Names of the parameters that levels of the outcome have.
    """

    population: Floats
    effects: tuple[Floats, ...]
    chains: int
    draws: int
    predictors: int = 1
    thresholds: Floats | None = None
    by_level: LevelParameters = NO_LEVELS

    @property
    def size(self) -> int:
        """Number of draws over all chains."""
        return self.chains * self.draws

    @property
    def columns(self) -> int:
        """Number of draws of all linear predictors."""
        return self.predictors * self.size


def dims_of(term: Term, by_level: LevelParameters = NO_LEVELS) -> Dims:
    """Dims of a population-level term's coefficients, as Bambi names them."""
    own = () if term.levels is None else (f"{term.name}_dim",)
    return (*own, *by_level.dims)


def effect_dims(block: Block, term: Term, by_level: LevelParameters = NO_LEVELS) -> Dims:
    """Dims of a group-specific term's effects, as Bambi names them; the groups are the last.

    All but the last are the dims of the effects' sd's.
    """
    expression = () if term.levels is None else (f"{term.dim or term.name}__expr_dim",)
    return (*expression, *by_level.dims, f"{block.factor}__factor_dim")


def coordinates(
    design: Design, by_level: LevelParameters = NO_LEVELS
) -> dict[str, Sequence[Level]]:
    """Coordinate labels of every dim that the coefficients and correlations have."""
    coords: dict[str, Sequence[Level]] = dict(by_level.coordinates)
    for term in design.terms:
        for dim in dims_of(term):
            coords[dim] = list(term.levels or ())
    for b, block in enumerate(design.blocks):
        coords[f"{block.factor}__factor_dim"] = list(design.factors[block.factor].groups)
        for term in block.terms:
            if term.levels is not None:
                coords[effect_dims(block, term)[0]] = list(term.levels)
        if block.correlated:
            name = correlation_name(block.factor, number_of(design, b))
            coords[f"{name}_dim"] = correlation_labels(block)
    return coords


def labelled(
    design: Design,
    values: Mapping[str, tuple[Dims, Floats]],
    chains: int,
    draws: int,
    by_level: LevelParameters = NO_LEVELS,
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
    by_level
        The parameters that levels of the outcome have.
    """
    data = {
        name: (("chain", "draw", *dims), array.reshape(chains, draws, *array.shape[1:]))
        for name, (dims, array) in values.items()
    }
    used = {dim for dims, _ in data.values() for dim in dims}
    coords = {dim: labels for dim, labels in coordinates(design, by_level).items() if dim in used}
    return xr.Dataset(data, coords={"chain": np.arange(chains), "draw": np.arange(draws), **coords})


def read(design: Design, draws: xr.Dataset, by_level: LevelParameters = NO_LEVELS) -> Coefficients:
    """Arrange a dataset of draws for prediction.

    Parameters
    ----------
    design
        The design whose coefficients they are.
    draws
        Variables named as Bambi names them, with dims ``chain`` and ``draw`` besides their own, in
        any order. Labelled dims are matched by label, others by position.
    by_level
        The parameters that levels of the outcome have.

    Raises
    ------
    DataError
        A variable, dim or label is missing, a value is not finite, or thresholds fall.
    """
    _check_variables(design, draws, by_level)
    coords = coordinates(design, by_level)
    chains, count = draws.sizes["chain"], draws.sizes["draw"]
    columns = by_level.predictors * chains * count
    population, start = np.empty((sum(term.width for term in design.terms), columns)), 0
    for term in design.terms:
        own = population[start : start + term.width]
        _arranged(draws, term.name, dims_of(term, by_level), coords, own)
        start += term.width
    effects = tuple(_effects(design, block, draws, coords, by_level) for block in design.blocks)
    thresholds = _thresholds(draws, coords, by_level)
    return Coefficients(
        population, effects, chains, count, by_level.predictors, thresholds, by_level
    )


def check(design: Design, draws: xr.Dataset, by_level: LevelParameters = NO_LEVELS) -> None:
    """Raise as `read` does, without the memory that it takes."""
    _check_variables(design, draws, by_level)
    coords = coordinates(design, by_level)
    for term in design.terms:
        _matched(draws, term.name, dims_of(term, by_level), coords)
    for block in design.blocks:
        for term in block.terms:
            dims = effect_dims(block, term, by_level)
            _matched(draws, block.variable(term), dims, coords)
    _thresholds(draws, coords, by_level)


def _effects(
    design: Design,
    block: Block,
    draws: xr.Dataset,
    coords: Mapping[str, Sequence[Level]],
    by_level: LevelParameters,
) -> Floats:
    """Effects (width, groups, predictors x draws) of one block."""
    groups = len(design.factors[block.factor].groups)
    columns = by_level.predictors * draws.sizes["chain"] * draws.sizes["draw"]
    result, start = np.empty((block.width, groups, columns)), 0
    for term in block.terms:
        dims = (*effect_dims(block, term), *by_level.dims)
        own = result[start : start + term.width]
        _arranged(draws, block.variable(term), dims, coords, own)
        start += term.width
    return result


def _thresholds(
    draws: xr.Dataset, coords: Mapping[str, Sequence[Level]], by_level: LevelParameters
) -> Floats | None:
    """Thresholds (levels - 1, draws), if the outcome has any."""
    if not by_level.thresholds:
        return None
    values = _arranged(draws, THRESHOLD, (THRESHOLD_DIM,), coords)
    thresholds = values.reshape(by_level.thresholds, -1)
    falling = (np.diff(thresholds, axis=0) < 0).any(axis=0)
    if by_level.rising and falling.any():
        raise DataError(
            f"`draws` must have thresholds that rise in {THRESHOLD!r}, got {int(falling.sum())} "
            f"draws in which they fall. Sort them along {THRESHOLD_DIM!r} by the order of levels."
        )
    return thresholds


def _check_variables(design: Design, draws: xr.Dataset, by_level: LevelParameters) -> None:
    for dim in ("chain", "draw"):
        if dim not in draws.dims:
            raise DataError(
                f"`draws` must have the dims 'chain' and 'draw', lacks {dim!r}. "
                f"Available: {listing(draws.dims)}. Add it with `expand_dims`."
            )
    names = [term.name for term in design.terms]
    names += [THRESHOLD] if by_level.thresholds else []
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
    draws: xr.Dataset,
    name: str,
    dims: Dims,
    coords: Mapping[str, Sequence[Level]],
    target: Floats | None = None,
) -> Floats:
    """A variable with its dims in order, chain and draw last, and labels in the given order.

    It is written to `target`, if there is one, which has as many values.
    """
    matched = _matched(draws, name, dims, coords)
    values = np.empty(matched.shape) if target is None else target.reshape(matched.shape)
    values[...] = matched
    return values


def _matched(
    draws: xr.Dataset, name: str, dims: Dims, coords: Mapping[str, Sequence[Level]]
) -> NDArray[Any]:
    """The same as it lies in the dataset, where labels are in the given order."""
    array = draws[name]
    if set(array.dims) != {*dims, "chain", "draw"}:
        raise DataError(
            f"`draws` must have the dims {listing(('chain', 'draw', *dims))} in {name!r}, got "
            f"{listing(array.dims)}. Rename them, or select from them."
        )
    for dim in dims:
        array = _aligned(array, name, dim, coords[dim])
    values: NDArray[Any] = array.transpose(*dims, "chain", "draw").to_numpy()
    if values.dtype.kind not in "fiu":
        raise DataError(
            f"`draws` must be numbers, got type {str(values.dtype)!r} in {name!r}. Convert them "
            f"with `astype(float)`."
        )
    if values.size and not np.isfinite([values.min(), values.max()]).all():
        raise DataError(
            f"`draws` must be finite, got {int((~np.isfinite(values)).sum())} values in {name!r} "
            f"that are not. Remove those draws, or sample again."
        )
    return values


def _aligned(array: xr.DataArray, name: str, dim: str, wanted: Sequence[Level]) -> xr.DataArray:
    labels = [str(label) for label in wanted]
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
    if labels == have:
        return array  # selecting would copy the draws
    return array.isel({dim: [positions[label] for label in labels]})


def with_new_groups(
    coefficients: Coefficients,
    design: Design,
    rows: DesignRows,
    draws: xr.Dataset,
    *,
    ways: Ways,
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
    ways
        For each factor, how each of its new groups is drawn. "gaussian": its effects are drawn
        from the fitted group distribution, in each draw; "uncertainty": in each draw, the effects
        of one survey group picked at random; "old_levels": one survey group picked at random for
        all draws. As in brms.
    seed
        Makes the picks repeatable.

    Notes
    -----
    Rows of one new group share its effects; different new groups differ. Blocks of one grouping
    factor pick the same survey groups, and so do the linear predictors of an outcome with levels,
    whose effects are independent of each other where they are drawn anew. A group's effects depend
    on the seed and its name, not on which other groups are new.
    """
    if not rows.new_groups:
        return coefficients
    effects = list(coefficients.effects)
    for b, block in enumerate(design.blocks):
        labels = rows.new_groups.get(block.factor, ())
        if not labels:
            continue
        own = effects[b]
        _check_memory(own, block, len(labels), coefficients)
        new = np.empty((block.width, len(labels), coefficients.columns))
        for way in set(ways[block.factor]):
            at = [k for k, of_group in enumerate(ways[block.factor]) if of_group == way]
            some = [labels[k] for k in at]
            new[:, at] = _drawn(own, design, b, some, draws, way, seed, coefficients)
        effects[b] = np.concatenate([own, new], axis=1)
    return replace(coefficients, effects=tuple(effects))


def _check_memory(own: Floats, block: Block, new: int, coefficients: Coefficients) -> None:
    """Raise if effects of so many new groups, beside the survey's, are more than the memory."""
    drawn = 8 * block.width * new * coefficients.columns
    if own.nbytes + drawn > LARGE:
        check_fits(
            own.nbytes + 4 * drawn,  # standard normals and products are beside them
            f"effects of {new:,} new groups of {block.factor!r} beside {own.shape[1]:,} of the "
            f"survey in {coefficients.size:,} draws",
            "new_levels",
            "Predict the rows of some groups at a time, or sample fewer draws.",
        )


def _drawn(
    own: Floats,
    design: Design,
    position: int,
    labels: Sequence[str],
    draws: xr.Dataset,
    way: Way,
    seed: int,
    coefficients: Coefficients,
) -> Floats:
    """Effects (width, new groups, predictors x draws) of a block that are drawn in one way."""
    if way == "gaussian":
        return _gaussian(design, position, labels, draws, seed, coefficients)
    size = coefficients.size if way == "uncertainty" else 1
    picks = _picks(own.shape[1], design.blocks[position].factor, labels, seed, size)
    return _picked(own, picks, coefficients.size)


def _gaussian(
    design: Design,
    position: int,
    labels: Sequence[str],
    draws: xr.Dataset,
    seed: int,
    coefficients: Coefficients,
) -> Floats:
    """Effects (width, new groups, predictors x draws) from each draw's group distribution."""
    block, columns = design.blocks[position], coefficients.columns
    standard = np.empty((columns, block.width, len(labels)))
    for k, label in enumerate(labels):
        rng = _generator(seed, block.factor, label, str(number_of(design, position)))
        standard[:, :, k] = rng.standard_normal((columns, block.width))
    root = _covariance_root(design, position, draws, coefficients.by_level)
    effects: Floats = root @ standard
    return effects.transpose(1, 2, 0)


def _picks(
    groups: int, factor: str, labels: Sequence[str], seed: int, size: int
) -> NDArray[np.int64]:
    """For each new group, the survey groups (new groups, size) that stand for it."""
    picks = [_generator(seed, factor, label).integers(groups, size=size) for label in labels]
    return np.stack(picks)


def _picked(effects: Floats, picks: NDArray[np.int64], size: int) -> Floats:
    """Effects (width, new groups, predictors x draws) of survey groups."""
    width, groups, columns = effects.shape
    of_draw = effects.reshape(width, groups, columns // size, size)
    # (new groups, 1, draws or 1): a draw's group is the same in all its linear predictors
    picked = of_draw[:, picks[:, None], np.arange(columns // size)[:, None], np.arange(size)]
    return picked.reshape(width, len(picks), columns)


def _generator(seed: int, *names: str) -> np.random.Generator:
    """Random numbers that belong to a group, whichever other groups there are."""
    key = hashlib.sha256("\x1f".join(names).encode()).digest()
    return np.random.default_rng(
        np.random.SeedSequence(seed, spawn_key=tuple(np.frombuffer(key, dtype="<u4").tolist()))
    )


def number_of(design: Design, position: int) -> int:
    """How many blocks of the same factor come before this one in the formula."""
    return design.blocks[position].number


def correlation_name(factor: str, number: int) -> str:
    """Variable with a block's correlations: ``state_cor``; ``state_cor_2`` for a second block."""
    return f"{factor}_cor" if number == 0 else f"{factor}_cor_{number + 1}"


def correlation_labels(block: Block) -> list[str]:
    """Labels of a block's correlations, row by row of the lower triangle."""
    labels = block.labels
    return [f"{labels[j]}, {labels[i]}" for i in range(len(labels)) for j in range(i)]


def _covariance_root(
    design: Design, position: int, draws: xr.Dataset, by_level: LevelParameters
) -> Floats:
    """Root (predictors x draws, width, width) of the covariances diag(sd) R diag(sd) of a block."""
    block, coords = design.blocks[position], coordinates(design, by_level)
    sd = np.concatenate([
        _hyper(draws, f"{block.variable(term)}_sigma", effect_dims(block, term)[:-1], coords,
               by_level)
        for term in block.terms
    ])  # fmt: skip
    correlation = np.tile(np.eye(block.width), (sd.shape[1], 1, 1))
    if block.correlated:
        name = correlation_name(block.factor, number_of(design, position))
        dim = f"{name}_dim"
        pairs = _hyper(draws, name, (dim,), coords, by_level)
        lower = np.tril_indices(block.width, -1)
        correlation[:, lower[0], lower[1]] = pairs.T
        correlation[:, lower[1], lower[0]] = pairs.T
    # the eigenvectors do for a correlation of exactly one, where Cholesky fails
    values, vectors = np.linalg.eigh(correlation)
    root: Floats = sd.T[:, :, None] * vectors * np.sqrt(np.clip(values, 0.0, None))[:, None, :]
    return root


def _hyper(
    draws: xr.Dataset,
    name: str,
    dims: Dims,
    coords: Mapping[str, Sequence[Level]],
    by_level: LevelParameters,
) -> Floats:
    """Draws (k, predictors x draws) of a block's sd's or correlations.

    A single one needs no dim of its own.
    """
    if name not in draws:
        raise FitError(
            f"`new_levels='gaussian'` needs draws of {name!r}, which this fit lacks. "
            f"Available: {listing(str(v) for v in draws.data_vars)}. "
            f"Use new_levels='uncertainty', which needs only the groups' effects."
        )
    bare = {"chain", "draw", *by_level.dims}
    if set(draws[name].dims) == bare and all(len(coords[dim]) == 1 for dim in dims):
        dims = ()
    values = _arranged(draws, name, (*dims, *by_level.dims), coords)
    columns = by_level.predictors * draws.sizes["chain"] * draws.sizes["draw"]
    return values.reshape(-1, columns)
