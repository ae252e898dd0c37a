"""The names that a model gives to its parts: no two parts may have the same.

Variables and dims are named as Bambi names them, coefficients and groups by their levels. Columns
and levels of a survey may look like such names; one thing would then be taken for the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from mrp.coefficients import coordinates, correlation_name, dims_of, effect_dims, number_of
from mrp.design import Categorical, Design, Factor, Level, Term
from mrp.errors import DataError, FormulaError, is_text
from mrp.levels import THRESHOLD, LevelParameters, threshold_names
from mrp.model.families import Family
from mrp.model.graph import CENTERED, CENTERED_THRESHOLD
from mrp.model.outcome import Outcome

Named = tuple[str, str]
"""A name, and what has it."""


def check_names(
    design: Design, outcome: Outcome, family: Family, by_level: LevelParameters
) -> None:
    """Raise if two parts of a model have the same name.

    Parameters
    ----------
    design, outcome, family, by_level
        The model.

    Raises
    ------
    FormulaError
        Two variables, dims or coefficients do.
    DataError
        Two levels or groups do.
    """
    for component in design.components.values():
        if isinstance(component, Categorical):
            _check_levels(component.source, component.levels)
    _check_levels(outcome.name, outcome.levels or (), is_outcome=True)
    for factor in design.factors.values():
        _check_groups(factor, design)
    kept = [*_population(design, family), *_group_specific(design), *_thresholds(by_level)]
    _check_text([*kept, *_dims(design, by_level)])
    _check_variables([*kept, *_dims(design, by_level)])
    _check_variables([*kept, *_of_the_graph(design, outcome, by_level)])
    for dim, labels in coordinates(design, by_level).items():
        _check_labels(dim, [str(label) for label in labels])


NUL = "\0"
"""The one character that names and labels in netCDF files can't have; nor can "." be a name."""


# --- levels and groups ----------------------------------------------------------------------------


def _check_levels(column: str, levels: Sequence[Level], *, is_outcome: bool = False) -> None:
    """Raise unless levels differ and a file can hold them; columns are tried as a whole later."""
    for level in levels:
        if NUL in str(level) or (is_outcome and not is_text(str(level))):
            raise DataError(
                f"`data` must have levels of {column!r} that a file can hold, got {level!r}. "
                f"Rename the level."
            )
    for text in _twice(map(str, levels)):
        same = [repr(level) for level in levels if str(level) == text]
        raise DataError(
            f"`data` must have levels of {column!r} that differ as text, got {' and '.join(same)}. "
            f"Rename one of them, or make them the same."
        )


def _check_groups(factor: Factor, design: Design) -> None:
    """Raise if levels of crossed columns join to the same name."""
    for name in _twice(factor.groups):
        parts = [design.components[part] for part in factor.components]
        levels = [part.levels for part in parts if isinstance(part, Categorical)]
        same = [
            tuple(str(own[code]) for own, code in zip(levels, codes, strict=True))
            for codes, group in zip(factor.codes, factor.groups, strict=True)
            if group == name
        ]
        raise DataError(
            f"`data` must have groups of {factor.name!r} with different names, got {name!r} for "
            f"{' and '.join(map(str, same))}. Rename a level that has a colon."
        )


def _check_labels(dim: str, labels: Sequence[str]) -> None:
    for label in _twice(labels):
        of = dim.removesuffix("_dim").removesuffix("__expr")
        raise DataError(
            f"`data` must have levels that give the coefficients of {of!r} different names, got "
            f"{label!r} twice. Rename a level that has a comma."
        )


def _twice(labels: Iterable[str]) -> list[str]:
    return [label for label, count in Counter(labels).items() if count > 1]


# --- variables, dims and coefficients -------------------------------------------------------------


def _check_text(named: Iterable[Named]) -> None:
    """Raise if a netCDF file can't hold a name."""
    for name, what in named:
        if name == "." or NUL in name:
            raise FormulaError(
                f"`formula` must give names that a file can hold, got {name!r} for {what}. Rename "
                f"the column."
            )


def _check_variables(named: Iterable[Named]) -> None:
    first: dict[str, str] = {}
    for name, what in named:
        other = first.setdefault(name, what)
        if other != what:
            raise FormulaError(
                f"`formula` must not give two parts of the model the same name, got {name!r} for "
                f"{other} and {what}. Rename the column."
            )


def _population(design: Design, family: Family) -> Iterator[Named]:
    for term in design.terms:
        yield term.name, _described(term)
        for label in term.labels if term.levels is not None else ():
            yield label, f"a coefficient of {_described(term)}"
    if family.auxiliary:
        yield family.auxiliary, f"a parameter of the family {family.name!r}"


def _group_specific(design: Design) -> Iterator[Named]:
    for b, block in enumerate(design.blocks):
        for term in block.terms:
            name, what = block.variable(term), f"effects of {term.name!r} by {block.factor!r}"
            yield name, f"the {what}"
            yield f"{name}_sigma", f"the sd's of {what}"
            for label in term.labels if term.levels is not None else ():
                yield f"{label}|{block.factor}", f"some of the {what}"
        if block.correlated:
            name = correlation_name(block.factor, number_of(design, b))
            yield name, f"the correlations of effects by {block.factor!r}"


def _thresholds(by_level: LevelParameters) -> Iterator[Named]:
    if by_level.thresholds:
        yield THRESHOLD, "the thresholds"
        yield from ((name, "a threshold") for name in threshold_names(by_level.thresholds))


def _dims(design: Design, by_level: LevelParameters) -> Iterator[Named]:
    """Dims of what is kept; a variable can't have the name of one either."""
    yield "chain", "the chains of draws"
    yield "draw", "the draws"
    yield from ((dim, "the levels of the outcome") for dim in by_level.coordinates)
    for term in design.terms:
        yield from ((dim, f"the levels of {_described(term)}") for dim in dims_of(term))
    for b, block in enumerate(design.blocks):
        for term in block.terms:
            *own, groups = effect_dims(block, term)
            yield groups, f"the groups of {block.factor!r}"
            yield from ((dim, f"the levels of effects of {term.name!r}") for dim in own)
        if block.correlated:
            name = correlation_name(block.factor, number_of(design, b))
            yield f"{name}_dim", f"the pairs of effects by {block.factor!r}"


def _of_the_graph(design: Design, outcome: Outcome, by_level: LevelParameters) -> Iterator[Named]:
    """Variables that the PyMC model has besides."""
    for name in (outcome.name, f"{outcome.name}_constant", f"{outcome.name}_within"):
        yield name, "the outcome"
    if by_level.thresholds:
        yield CENTERED_THRESHOLD, "the thresholds at the means of all predictors"
    if design.has_intercept:
        yield CENTERED, "the intercept at the means of all predictors"
    for b, block in enumerate(design.blocks):
        for term in block.terms:
            what = f"effects of {term.name!r} by {block.factor!r}"
            yield f"{block.variable(term)}_offset", f"the standardised {what}"
        if block.correlated:
            name = correlation_name(block.factor, number_of(design, b))
            yield f"{name}_partial", f"the partial correlations of effects by {block.factor!r}"


def _described(term: Term) -> str:
    return "the intercept" if term.kind == "intercept" else f"the term {term.name!r}"
