"""Where a model's parameters are among q and among the coefficients."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mrp.design import Block, Design
from mrp.levels import NO_LEVELS, LevelParameters
from mrp.model.families import Family


@dataclass(frozen=True)
class Place:
    """Where one block's parameters are among q, and its effects among the coefficients.

    Of an outcome whose levels have linear predictors of their own, it holds the effects on all of
    them, one level after the other.
    """

    block: Block
    groups: int
    sd: int
    partial: int
    effect: int
    coefficient: int
    predictors: int = 1

    @property
    def width(self) -> int:
        """Number of effects of a group."""
        return self.predictors * self.block.width

    @property
    def together(self) -> int:
        """Number of effects that are correlated with each other."""
        return self.block.width if self.block.correlated else 1

    @property
    def pairs(self) -> int:
        """Number of correlations."""
        return self.width * (self.together - 1) // 2


def population_size(design: Design, by_level: LevelParameters = NO_LEVELS) -> int:
    """Number of thresholds and population-level coefficients."""
    width = sum(term.width for term in design.terms)
    return by_level.thresholds + by_level.predictors * width


def places_of(
    design: Design, family: Family, by_level: LevelParameters = NO_LEVELS
) -> tuple[tuple[Place, ...], int, int]:
    """Places of the blocks; length of q; number of coefficients."""
    places = []
    coefficient = population_size(design, by_level)
    start = coefficient + (family.auxiliary is not None)
    for block in design.blocks:
        groups = len(design.factors[block.factor].groups)
        place = Place(block, groups, start, 0, 0, coefficient, by_level.predictors)
        partial = start + place.width
        effect = partial + place.pairs
        places.append(replace(place, partial=partial, effect=effect))
        start = effect + place.width * groups
        coefficient += place.width * groups
    return tuple(places), start, coefficient
