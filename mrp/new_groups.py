"""The groups that a survey lacks: whether they are meant, and how their effects are drawn.

A group is new because a part of it is (a state without respondents), or because the survey lacks
the combination of parts that it knows. What looks like a mistake (another type, another spelling
of a group that the survey has, a column in which nothing is known) is refused until the levels
that are meant are named one by one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mrp.design import Categorical, Design, DesignRows
from mrp.errors import DataError, RequestError, closest, is_hashable, listing, unknown, written

Floats = NDArray[np.float64]
Way = Literal["gaussian", "uncertainty", "old_levels"]
NewLevels = Way | Mapping[str, Way | Sequence[Any] | Mapping[Any, Way]]
"""A way for all new groups; or, by factor or column, a way or the levels that are meant."""
Ways = Mapping[str, tuple[Way, ...]]
"""For each factor with new groups, how each of them is drawn."""
Parts = Mapping[str, Any]
"""Parts of a group that the survey lacks: values by column."""

HOW = "say how to draw new groups"
LISTED: Way = "gaussian"
"""How levels are drawn that are listed without a way."""


@dataclass(frozen=True)
class NewGroups:
    """What `new_levels` says: what may be new, and how it is drawn.

    Parameters
    ----------
    every
        Way of all new groups; None for only those that are named.
    named
        Way of all new groups of a factor, or of all new levels of a column.
    listed
        Ways of single groups of a factor or levels of a column, by their text.
    """

    every: Way | None = None
    named: Mapping[str, Way] = field(default_factory=dict)
    listed: Mapping[str, Mapping[str, Way]] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether no group may be new."""
        return self.every is None and not self.named and not self.listed

    def way(self, factor: str, group: str, parts: Parts) -> Way | None:
        """How a new group is drawn; None if it may not be new."""
        listed = self.listed.get(factor, {})
        own = listed.get(group) or self.named.get(factor)
        if own is not None:
            return own
        ways = {self._way_of_part(column, value) for column, value in parts.items()} or {None}
        if len(ways - {None}) > 1 and None not in ways:
            raise RequestError(
                f"`new_levels` must say one way to draw {group!r} of {factor!r}, got "
                f"{listing(sorted(map(str, ways)))} for its parts {listing(parts.values())}. Name "
                f"the factor: new_levels={{{factor!r}: {LISTED!r}}}."
            )
        return self.every if None in ways else ways.pop()

    def _way_of_part(self, column: str, value: Any) -> Way | None:
        return self.listed.get(column, {}).get(text_of(value)) or self.named.get(column)

    def lists(self, factor: str, group: str, column: str, value: Any) -> bool:
        """Whether a part of a group is meant expressly."""
        return text_of(value) in self.listed.get(column, {}) or group in self.listed.get(factor, {})


@dataclass(frozen=True)
class Drawn:
    """How much of a prediction rests on groups that were drawn.

    Parameters
    ----------
    groups
        The new groups.
    ways
        How they were drawn.
    rows, weight
        Their shares of the rows and of the weight.
    """

    groups: frozenset[str]
    ways: frozenset[Way]
    rows: float
    weight: float

    def with_others(self, other: Drawn) -> Drawn:
        """Groups of several predictions, and the largest share that they have in one."""
        return Drawn(
            self.groups | other.groups,
            self.ways | other.ways,
            max(self.rows, other.rows),
            max(self.weight, other.weight),
        )

    def about(self, of: Literal["rows", "weight"]) -> dict[str, Any]:
        """What `Estimates.about` says of it."""
        ways = [way for way in get_args(Way) if way in self.ways]
        share = self.rows if of == "rows" else self.weight
        return {
            "share": share,
            "of": of,
            "groups": len(self.groups),
            "way": " and ".join(ways),
        }


# --- what is said ---------------------------------------------------------------------------------


def read(new_levels: object, design: Design, columns: Collection[str]) -> NewGroups:
    """What `new_levels` says, checked against the grouping factors of a design.

    Parameters
    ----------
    new_levels
        As in `mrp.predictions`.
    design
        Its factors and their columns can be named.
    columns
        Columns of the data. Those that the formula does not use can be named to no effect, so that
        the same request can be made of several models.

    Raises
    ------
    RequestError
        There is no such way, factor or column; or a level is listed that the survey has.
    """
    if new_levels is None:
        return NewGroups()
    if not isinstance(new_levels, Mapping):
        return NewGroups(every=_way(new_levels, HOW, _FORM))
    known = _known(design)
    named: dict[str, Way] = {}
    listed: dict[str, Mapping[str, Way]] = {}
    for key, said in new_levels.items():
        unused = set(columns) - set(design.columns)
        if key not in known and not set(str(key).split(":")) <= unused:
            rule = "name grouping factors of the formula, or columns of theirs"
            raise RequestError(unknown("new_levels", rule, key, list(known)))
        if isinstance(said, Mapping | Iterable) and not isinstance(said, str):
            listed[key] = _listed(key, said, known.get(key, ()))
        else:
            rule = f"say how to draw new groups of {key!r}"
            named[key] = _way(said, rule, f"A level is named in a list: {{{key!r}: [{said!r}]}}.")
    return NewGroups(None, named, listed)


_FORM = "To name what may be new: {'state': ['AK', 'HI']}."


def _known(design: Design) -> dict[str, Sequence[Any]]:
    """Grouping factors and their columns, and the levels of each that the survey has."""
    known: dict[str, Sequence[Any]] = {
        name: factor.groups for name, factor in design.factors.items()
    }
    for factor in design.factors:
        known |= _levels(design, factor)
    return known


def _levels(design: Design, factor: str) -> dict[str, Sequence[Any]]:
    """Columns of a grouping factor, and their levels that the survey has."""
    components = [design.components[name] for name in design.factors[factor].components]
    return {each.source: each.levels for each in components if isinstance(each, Categorical)}


def _way(said: object, rule: str, hint: str) -> Way:
    for way in get_args(Way):
        if isinstance(said, str) and said == way:
            return way  # type: ignore[no-any-return]
    near = isinstance(said, str) and closest(said, get_args(Way))
    raise RequestError(unknown("new_levels", rule, said, get_args(Way), "" if near else hint))


def _listed(
    key: str, said: Mapping[Any, Any] | Iterable[Any], have: Sequence[Any]
) -> dict[str, Way]:
    levels = list(said)
    if not all(map(is_hashable, levels)):
        raise RequestError(
            f"`new_levels` must list levels of {key!r}, got {listing(levels)}. Write each "
            f"by itself."
        )
    ways = dict(said) if isinstance(said, Mapping) else dict.fromkeys(levels, LISTED)
    listed = {
        text_of(level): _way(way, f"say how to draw {level!r} of {key!r}", "")
        for level, way in ways.items()
    }
    there = listed.keys() & {text_of(level) for level in have}
    if there:
        raise RequestError(
            f"`new_levels` must list levels of {key!r} that the survey lacks, got "
            f"{listing(sorted(there))}, which it has. Leave them out."
        )
    return listed


# --- what came ------------------------------------------------------------------------------------


def ways_of(rows: DesignRows, weights: Floats, new: NewGroups, argument: str = "newdata") -> Ways:
    """How each group is drawn that the survey lacks.

    Parameters
    ----------
    rows, weights
        The rows, and how much each counts.
    new
        What may be new.
    argument
        What the user knows the rows as.

    Raises
    ------
    DataError
        A group may not be new; or it is new in all likelihood by mistake: it looks like one that
        the survey has, or all groups are new.
    """
    ways: dict[str, tuple[Way, ...]] = {}
    for factor, groups in rows.new_groups.items():
        came = _Came(factor, groups, rows, weights, argument)
        found = tuple(new.way(factor, *group) for group in came.each)
        came.check_allowed([way is not None for way in found], new)
        came.check_alike(new)
        came.check_some_known(new)
        ways[factor] = tuple(way for way in found if way is not None)
    return ways


def drawn_of(rows: DesignRows, weights: Floats, ways: Ways) -> dict[str, Drawn]:
    """How much of the rows rests on groups that are drawn, by factor."""
    found = {}
    for factor, of_groups in ways.items():
        unseen = _unseen(rows, factor)
        found[factor] = Drawn(
            frozenset(rows.new_groups[factor]),
            frozenset(of_groups),
            float(unseen.mean()),
            share_of(weights, unseen),
        )
    return found


def share_of(weights: Floats, rows: NDArray[np.bool_]) -> float:
    """Share of the weight that some rows have."""
    relative = weights / weights.max()  # a sum of the weights may be too large for a number
    return float(relative[rows].sum() / relative.sum())


@dataclass(frozen=True)
class _Came:
    """The new groups of a factor, and the messages on them."""

    factor: str
    groups: Sequence[str]
    rows: DesignRows
    weights: Floats
    argument: str

    @property
    def each(self) -> list[tuple[str, Parts]]:
        """Each group, and its parts that the survey lacks."""
        return list(zip(self.groups, self.rows.unknown[self.factor], strict=True))

    def check_allowed(self, allowed: Sequence[bool], new: NewGroups) -> None:
        """Raise if groups are new that may not be."""
        if all(allowed):
            return
        wrong = [group for group, may in zip(self.each, allowed, strict=True) if not may]
        labels = [label for label, _ in wrong]
        message = (
            f"`{self.argument}` must have only groups of {self.factor!r} that the survey has, got "
            f"{listing(labels)} ({self._size(labels)})."
        )
        near = closest(labels[0], self.rows.design.factors[self.factor].groups)
        parts = [part for _, of_group in wrong for part in of_group.items()]
        if any(self._same_text(*part) for part in parts):
            raise DataError(
                f"{message} The survey has groups of these names, but of another type (numbers "
                f"and text, or whole and decimal numbers): convert the column."
            )
        if near is not None:
            message += f" Did you mean {near!r}?"
        alike = [(column, value) for column, value in parts if self._alike(column, value)]
        if alike and new.nothing:
            column, value = alike[0]
            raise DataError(
                f"{message} {written(value)} differs from {written(self._alike(column, value))} of "
                f"the survey in case, blanks, leading zeros or the form of letters alone: correct "
                f"the column."
            )
        if not new.nothing:
            raise DataError(
                f"{message} If they are meant, add them: {_naming(self.factor, wrong)}."
            )
        raise DataError(
            f"{message} Say how to draw new groups: new_levels='gaussian' (from the fitted group "
            f"distribution), 'uncertainty' or 'old_levels'."
        )

    def check_alike(self, new: NewGroups) -> None:
        """Raise if groups look like others that the survey has, unless they are listed."""
        known = {
            column: {look_of(level): level for level in levels}
            for column, levels in _levels(self.rows.design, self.factor).items()
        }
        found = [
            (label, column, value)
            for label, parts in self.each
            for column, value in parts.items()
            if look_of(value) in known[column] and not new.lists(self.factor, label, column, value)
        ]
        if not found:
            return
        labels = [label for label, _, _ in found]
        column = found[0][1]
        values = list(dict.fromkeys(value for _, at, value in found if at == column))
        ours = [known[column][look_of(value)] for value in values]
        start = (
            f"`{self.argument}` must have groups of {self.factor!r} that the survey has, or that "
            f"look like none of its, got {listing(values)} for {listing(ours)} in {column!r} "
            f"({self._size(labels)})."
        )
        if self._same_text(column, values[0]):
            raise DataError(
                f"{start} The survey has values of type {_kind(ours[0])}, `{self.argument}` of "
                f"type {_kind(values[0])}: convert one of them."
            )
        raise DataError(
            f"{start} They differ in case, blanks, leading zeros or the form of letters alone: "
            f"correct them. If they are meant, name them: new_levels={{{column!r}: "
            f"{listing(values)}}}."
        )

    def check_some_known(self, new: NewGroups) -> None:
        """Raise if every group is new, and a way for all is what allows it.

        Types or names differ then in all likelihood. Rows of one new level alone are a question
        that people have, of a grid: what of a state without respondents? A frame is a population.
        """
        if new.every is None or not _unseen(self.rows, self.factor).all():
            return
        factor = self.rows.design.factors[self.factor]
        columns = _levels(self.rows.design, self.factor)
        several = [column for column in columns if self._distinct(column) > 1]
        if self.argument != "frame" and not several:
            return
        raise DataError(
            f"`{self.argument}` must have some groups of {self.factor!r} that the survey has, got "
            f"{listing(self.groups)}, all of them new. The survey has {listing(factor.groups)}: "
            f"names or types differ in all likelihood. If they are meant, name them: "
            f"{_naming(self.factor, self.each)}."
        )

    def _distinct(self, column: str) -> int:
        """Number of values of a column, if the survey lacks them all."""
        values = [parts.get(column) for _, parts in self.each]
        return 0 if any(value is None for value in values) else len(set(values))

    def _size(self, labels: Iterable[str]) -> str:
        """Rows of some groups, and their share of the weight."""
        first = len(self.rows.design.factors[self.factor].groups)
        at = [first + k for k, label in enumerate(self.groups) if label in set(labels)]
        theirs = np.isin(self.rows.groups[self.factor], at)
        return f"{int(theirs.sum())} rows, {share_of(self.weights, theirs):.1%} of the weight"

    def _alike(self, column: str, value: Any) -> Any:
        """The survey's level that a value looks like, if any."""
        levels = _levels(self.rows.design, self.factor)[column]
        return next((level for level in levels if look_of(level) == look_of(value)), None)

    def _same_text(self, column: str, value: Any) -> bool:
        levels = _levels(self.rows.design, self.factor)[column]
        return text_of(value) in {text_of(level) for level in levels}


def _unseen(rows: DesignRows, factor: str) -> NDArray[np.bool_]:
    """Rows whose group is new."""
    unseen: NDArray[np.bool_] = rows.groups[factor] >= len(rows.design.factors[factor].groups)
    return unseen


def _naming(factor: str, groups: Sequence[tuple[str, Parts]]) -> str:
    """How to name new groups: by a column, if all of them are new by it alone."""
    columns = {column for _, parts in groups for column in parts}
    if len(columns) == 1 and all(parts for _, parts in groups):
        (column,) = columns
        values = list(dict.fromkeys(parts[column] for _, parts in groups))
        return f"new_levels={{{column!r}: {listing(values)}}}"
    return f"new_levels={{{factor!r}: {listing([label for label, _ in groups])}}}"


def _kind(value: Any) -> str:
    return type(value.item() if isinstance(value, np.generic) else value).__name__


def text_of(level: Any) -> str:
    """A level as text, the same for whole numbers of any type.

    Examples
    --------
    >>> text_of(2), text_of(2.0), text_of("AK")
    ('2', '2', 'AK')
    """
    number = isinstance(level, Real) and not isinstance(level, bool)
    return str(int(level)) if number and float(level).is_integer() else str(level)


def look_of(level: Any) -> str:
    """A level without what people overlook: case, blanks, forms of letters, leading zeros.

    Examples
    --------
    >>> look_of(" s05"), look_of("S 05"), look_of("01"), look_of(1.0)
    ('s05', 's05', '1', '1')
    """
    folded = unicodedata.normalize("NFKC", text_of(level)).casefold()
    look = unicodedata.normalize("NFKC", re.sub(r"\s+", "", folded))
    number = re.fullmatch(r"([+-]?)0*(\d+?)(?:\.0*)?", look)
    return f"{number[1].replace('+', '')}{number[2]}" if number else look
