"""From new data to design rows: what a model needs to know of a person or a cell.

A `Design` is what a formula learned from the survey: the terms, the levels of every categorical
in order, the memory of transforms such as ``scale(x)``. Applied to a table it gives `DesignRows`,
in which every categorical is a code and every number a number; nothing is expanded until asked
for. A design holds plain data only, so a fit can save it and apply it later without the survey,
without PyMC and without Bambi.

The linear predictor of row i is a sum of parts,

    eta_i = x_i' beta + sum_f z_if' u_f[g_f(i)] + offset_i,

one for the population-level terms (beta) and one for each grouping factor f (effects u_f of the
group g_f(i) that the row belongs to).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import DataError, closest, did_you_mean, listing, lookalikes, meant, type_name
from mrp.formula.calls import Calls, names_in
from mrp.formula.functions import is_real, levels_as_written
from mrp.memory import LARGE, check_fits

Array = NDArray[Any]
Plain = str | int | float | bool
Level = Plain | datetime.date | pd.Interval
"""What the categories of a survey may be; of intervals, the bounds are numbers or dates."""

SLASH = "\N{DIVISION SLASH}"
"""Stands for '/' in the names of variables."""
UNSEEN = -1
"""Code of a value that is not among the levels of its categorical."""
ASKED = ("variables", "datagrid")
"""Arguments with values that the user wrote, rather than a table of them."""


@dataclass(frozen=True)
class Numeric:
    """A number of the data: a column, or the result of a call such as ``scale(x)``."""

    name: str
    source: str
    """The column, or the call as the formula has it."""
    width: int = 1
    """Number of columns, of a call such as ``poly(x, 2)``."""


@dataclass(frozen=True)
class Categorical:
    """A categorical of the data with its levels in the survey's order."""

    name: str
    source: str
    levels: tuple[Level, ...]

    def codes(self, values: pd.Series) -> NDArray[np.int32]:
        """Position of each value among the levels; `UNSEEN` where it is not one of them."""
        # an index of booleans would not know 0 and 1, nor one of numbers False and True
        booleans = all(isinstance(level, bool) for level in self.levels)
        booleans |= pd.api.types.is_bool_dtype(values.dtype)
        levels = pd.Index(self.levels, dtype=object if booleans else None)
        if isinstance(values.dtype, pd.CategoricalDtype):
            of_category = levels.get_indexer(values.cat.categories)
            return np.append(of_category, UNSEEN)[values.cat.codes].astype(np.int32)
        if isinstance(values.dtype, pd.StringDtype):  # as few objects as there are levels
            code, distinct = pd.factorize(values)
            of_text = levels.get_indexer(pd.Index(distinct, dtype=object if booleans else None))
            return np.append(of_text, UNSEEN)[code].astype(np.int32)
        wanted = pd.Index(levels_as_written(values), dtype=object if booleans else None)
        return levels.get_indexer(wanted).astype(np.int32)


Component = Numeric | Categorical


@dataclass(frozen=True)
class Indicators:
    """Contrasts whose columns mark one level each: all levels, or all but a reference.

    Parameters
    ----------
    levels
        Number of levels.
    reference
        Position of the level without a column; None where each has one.
    """

    levels: int
    reference: int | None = None

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.levels - (self.reference is not None)

    def positions(self, codes: Array) -> NDArray[np.intp]:
        """Column that each code marks; `UNSEEN` for the reference."""
        of_level = np.arange(self.levels)
        if self.reference is not None:
            of_level[self.reference] = UNSEEN
            of_level[self.reference + 1 :] -= 1
        return of_level[codes]

    def columns(self, codes: Array) -> NDArray[np.float64]:
        """Columns (n, width): 1 in the one that a code marks, 0 elsewhere."""
        positions = self.positions(codes)
        result = np.zeros((len(positions), self.width))
        marked = np.flatnonzero(positions != UNSEEN)
        result[marked, positions[marked]] = 1.0
        return result


Matrix = tuple[tuple[float, ...], ...]
"""A contrast matrix: a row for each level, a column for each coefficient."""


def contrasts_of(matrix: Array) -> Indicators | Matrix:
    """A contrast matrix (levels, columns), said in a word where its columns mark levels.

    Examples
    --------
    >>> contrasts_of(np.array([[0, 0], [1, 0], [0, 1]]))
    Indicators(levels=3, reference=0)
    >>> contrasts_of(np.array([[1], [-1]]))
    ((1.0,), (-1.0,))
    """
    empty = np.flatnonzero(~matrix.any(axis=1))
    if len(empty) <= 1:
        marks = Indicators(len(matrix), int(empty[0]) if len(empty) else None)
        if np.array_equal(matrix, marks.columns(np.arange(len(matrix)))):
            return marks
    return tuple(tuple(float(x) for x in row) for row in matrix)


@dataclass(frozen=True)
class Coding:
    """How one component enters one term: as itself, or through the contrasts of its levels."""

    component: str
    contrasts: Indicators | Matrix | None = None
    """None for a number."""

    def columns(self, values: Array) -> NDArray[np.float64]:
        """Columns (n, k) for codes (n,) or numbers (n,) or (n, k)."""
        if isinstance(self.contrasts, Indicators):
            return self.contrasts.columns(values)
        if self.contrasts is not None:
            return np.asarray(self.contrasts, dtype=np.float64)[values]
        columns = np.asarray(values, dtype=np.float64)
        return columns[:, None] if columns.ndim == 1 else columns


@dataclass(frozen=True)
class Term:
    """A term of the formula: the product of its components' columns; no component: a constant."""

    name: str
    codings: tuple[Coding, ...]
    width: int
    levels: tuple[str, ...] | None
    """Names of the columns, as coordinates of its coefficients; None where it has only one."""
    kind: str
    """"intercept", "numeric", "categoric" or "interaction", as formulae names them."""
    of: str | None = None
    """The term as it was written, where this is a part of it that makes up for absent margins."""
    dim: str | None = None
    """What its dim is named after, where a term of its name has other levels in another bracket."""

    def columns(self, values: Mapping[str, Array], n: int) -> NDArray[np.float64]:
        """Columns (n, width) of the design matrix; the first component varies slowest.

        Raises
        ------
        RequestError
            They are too many for the memory.
        """
        if 8 * n * self.width > LARGE:
            check_fits(
                2 * 8 * n * self.width,  # beside others, when they are put together
                f"{self.width:,} columns of {self.name!r} for {n:,} different rows",
                "formula",
                "Write a term of thousands of levels as groups: `(1 | g)`.",
            )
        result = np.ones((n, 1))
        for coding in self.codings:
            columns = coding.columns(values[coding.component])
            width = result.shape[1] * columns.shape[1]
            result = (result[:, :, None] * columns[:, None, :]).reshape(n, width)
        return result

    def marked(
        self, values: Mapping[str, Array], n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """The column (n,) that a row has a number in, and that number (n,), which may be zero.

        None for terms of which a row may have several: polynomials, sums coded to zero.
        """
        column, number = np.zeros(n, dtype=np.int64), np.ones(n)
        for coding in self.codings:
            of_row = values[coding.component]
            if isinstance(coding.contrasts, Indicators):
                at = coding.contrasts.positions(of_row)
                column = column * coding.contrasts.width + np.maximum(at, 0)
                number = np.where(at == UNSEEN, 0.0, number)
            elif coding.contrasts is None and of_row.ndim == 1:
                number = number * of_row
            else:
                return None
        return column, number

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the coefficients: ``age[30-39]``, or the term's own name."""
        if self.levels is None:
            return (self.name,)
        return tuple(f"{self.name}[{level}]" for level in self.levels)


@dataclass(frozen=True)
class Factor:
    """A grouping factor: one categorical, or several crossed, with the groups of the survey."""

    name: str
    components: tuple[str, ...]
    codes: tuple[tuple[int, ...], ...]
    """For each group its code in each component, sorted."""
    groups: tuple[str, ...]
    """Names of the groups, in the same order."""


@dataclass(frozen=True)
class Block:
    """Group-specific terms of one ``( … | g)``, whose effects share a covariance matrix."""

    factor: str
    terms: tuple[Term, ...]
    correlated: bool
    number: int = 0
    """How many brackets of the same factor come before it in the formula."""

    @property
    def width(self) -> int:
        """Number of effects that each group has."""
        return sum(term.width for term in self.terms)

    def variable(self, term: Term) -> str:
        """Name of the variable that holds a term's effects, as Bambi names it: ``gender|state``."""
        return f"{effect_name(term)}|{self.factor}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of a group's effects: ``Intercept``, ``gender[Woman]``."""
        return tuple(label for term in self.terms for label in term.labels)


def variable_name(text: str) -> str:
    """Name of a term, factor or outcome as PyMC, xarray and netCDF take it: without '/'.

    Examples
    --------
    >>> variable_name("I(x / 2)")
    'I(x ∕ 2)'
    """
    return text.replace("/", SLASH)


def effect_name(term: Term) -> str:
    """Left side of a group-specific variable's name; 1 for the intercept."""
    return "1" if term.kind == "intercept" else term.name


@dataclass(frozen=True)
class Design:
    """What a formula learned from the survey; applies itself to new data.

    Parameters
    ----------
    formula
        The formula as it was written.
    columns
        Columns of the data that prediction needs, in order of appearance.
    components
        Every number and categorical that terms are made of, by name.
    terms
        Population-level terms, the intercept first where there is one.
    blocks
        Group-specific terms.
    factors
        Grouping factors by name.
    offsets
        Names of the components that are added to the linear predictor as they are.
    calls
        Calls in the formula with what their transforms learned from the survey.
    """

    formula: str
    columns: tuple[str, ...]
    components: Mapping[str, Component]
    terms: tuple[Term, ...]
    blocks: tuple[Block, ...]
    factors: Mapping[str, Factor]
    offsets: tuple[str, ...] = ()
    calls: Calls = field(default_factory=Calls)

    @property
    def has_intercept(self) -> bool:
        """Whether there is a population-level intercept."""
        return any(term.kind == "intercept" for term in self.terms)

    @property
    def slopes(self) -> tuple[Term, ...]:
        """Population-level terms other than the intercept."""
        return tuple(term for term in self.terms if term.kind != "intercept")

    def columns_of(self, component: Component) -> list[str]:
        """Columns of the data that a component is made of."""
        if component.source in self.columns:
            return [component.source]
        names = names_in(component.source)
        return [name for name in self.columns if name in names]

    @cached_property
    def population_components(self) -> frozenset[str]:
        """Components whose levels every row must know: all but grouping factors."""
        terms = [*self.terms, *(term for block in self.blocks for term in block.terms)]
        coded = {coding.component for term in terms for coding in term.codings}
        return frozenset(coded | set(self.offsets))

    def rows(self, data: pd.DataFrame, *, argument: str = "newdata") -> DesignRows:
        """Design rows of a table.

        Parameters
        ----------
        data
            A table with at least `columns`, one row for each row to predict.
        argument
            What the caller's user knows the table as; error messages begin with it.

        Raises
        ------
        DataError
            A column is missing, has missing values, has the wrong type, or has a level that a
            population-level term does not know.
        """
        check_columns(self.columns, data, argument, self)
        check_complete(self.columns, data, argument)
        raw = {
            component.name: self._raw(component, data, argument)
            for component in self.components.values()
        }
        values = {
            name: self._values(component, raw[name], argument)
            for name, component in self.components.items()
        }
        groups = {name: _group_index(factor, values) for name, factor in self.factors.items()}
        new = {
            name: _new_groups(factor, self.components, values, raw, groups[name])
            for name, factor in self.factors.items()
        }
        for name, (index, _, _) in new.items():
            groups[name] = index
        used = {name: values[name] for name in values if name in self.population_components}
        labels = {name: labels for name, (_, labels, _) in new.items() if labels}
        unknown = {name: parts for name, (_, labels, parts) in new.items() if labels}
        return DesignRows(self, len(data), used, groups, labels, unknown)

    def _raw(self, component: Component, data: pd.DataFrame, argument: str) -> pd.Series | Array:
        if component.source in self.columns:
            return data[component.source]
        return self.calls.run(component.source, data[list(self.columns)], argument)

    def _values(self, component: Component, values: pd.Series | Array, argument: str) -> Array:
        if isinstance(component, Numeric):
            return _numbers(component.name, values, argument)
        series = values if isinstance(values, pd.Series) else pd.Series(values)
        check_made(component.name, series, argument)
        codes = component.codes(series)
        if component.name in self.population_components and (codes == UNSEEN).any():
            raise DataError(_unseen_level(component, series[codes == UNSEEN], argument))
        return codes


@dataclass(frozen=True)
class DesignRows:
    """Rows of a table in the terms of a design: codes and numbers, not yet expanded.

    Parameters
    ----------
    design
        The design that they were made by.
    n
        Number of rows.
    values
        For each component of a term or offset, codes (n,) or numbers (n,) or (n, k).
    groups
        For each grouping factor, the group's position (n,); new groups follow the survey's.
    new_groups
        For each grouping factor with groups that the survey lacks, their names in order.
    unknown
        For each of these groups its parts that the survey lacks, by column; none where it lacks the
        combination alone.
    """

    design: Design
    n: int
    values: Mapping[str, Array]
    groups: Mapping[str, NDArray[np.int64]]
    new_groups: Mapping[str, tuple[str, ...]]
    unknown: Mapping[str, tuple[Mapping[str, Any], ...]]

    def __len__(self) -> int:
        """Number of rows."""
        return self.n

    def take(self, rows: NDArray[np.intp] | slice) -> DesignRows:
        """Some of the rows, in the order asked for."""
        values = {name: array[rows] for name, array in self.values.items()}
        groups = {name: array[rows] for name, array in self.groups.items()}
        n = len(range(*rows.indices(self.n))) if isinstance(rows, slice) else len(rows)
        return replace(self, n=n, values=values, groups=groups)

    def population(self, terms: Sequence[Term] | None = None) -> NDArray[np.float64]:
        """Population-level columns (n, p), intercept included, in the design's order of terms.

        All terms, or some of them.
        """
        terms = self.design.terms if terms is None else terms
        columns = [term.columns(self.values, self.n) for term in terms]
        return np.hstack(columns) if columns else np.zeros((self.n, 0))

    def effects(self, block: Block) -> NDArray[np.float64]:
        """Columns (n, block.width) that multiply the effects of a row's group."""
        return np.hstack([term.columns(self.values, self.n) for term in block.terms])

    def offset(self) -> NDArray[np.float64]:
        """Sum of the offsets (n,)."""
        total = np.zeros(self.n)
        for name in self.design.offsets:
            total += self.values[name]
        return total

    @cached_property
    def keys(self) -> list[NDArray[np.int64]]:
        """Integers that are equal for two rows if and only if the rows are the same."""
        arrays = [*self.values.values(), *self.groups.values()]
        return [key for array in arrays for key in _integer_keys(array)]

    @cached_property
    def distinct(self) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """First row of each distinct one, and each row's number among them; see `unique_rows`."""
        return unique_rows(self.keys, self.n)

    def population_keys(self) -> list[NDArray[np.int64]]:
        """Keys of what the population-level part and the offsets depend on."""
        return [*self.keys_of_terms(self.design.terms), *self.keys_of(set(self.design.offsets))]

    def keys_of_terms(self, terms: Sequence[Term]) -> list[NDArray[np.int64]]:
        """Keys of what some of the terms are in each row."""
        return self.keys_of({coding.component for term in terms for coding in term.codings})

    def block_keys(self, block: Block) -> list[NDArray[np.int64]]:
        """Keys of what one block's part depends on."""
        names = {coding.component for term in block.terms for coding in term.codings}
        return [*self.keys_of(names), *_integer_keys(self.groups[block.factor])]

    def keys_of(self, names: set[str]) -> list[NDArray[np.int64]]:
        """Keys of what some of the components are in each row."""
        used = [array for name, array in self.values.items() if name in names]
        return [key for array in used for key in _integer_keys(array)]


def unique_rows(
    keys: Sequence[NDArray[np.int64]], n: int
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """First row of each distinct combination of keys, and each row's combination.

    Combinations are numbered in order of first appearance.

    Examples
    --------
    >>> first, index = unique_rows([np.array([3, 3, 1]), np.array([0, 0, 0])], 3)
    >>> first.tolist(), index.tolist()
    ([0, 2], [0, 0, 1])
    """
    index = np.zeros(n, dtype=np.int64)
    for key in keys:
        codes, distinct = pd.factorize(key)
        index = pd.factorize(index * len(distinct) + codes)[0].astype(np.int64)
    first = np.zeros(index.max(initial=-1) + 1, dtype=np.intp)
    first[index[::-1]] = np.arange(n)[::-1]
    return first, index


def _integer_keys(array: Array) -> list[NDArray[np.int64]]:
    """The array's columns as integers; two numbers share a key only if they are equal."""
    if array.dtype.kind == "f":
        array = pd.factorize(array.ravel())[0].reshape(array.shape)
    columns = array[:, None] if array.ndim == 1 else array
    return [columns[:, k].astype(np.int64) for k in range(columns.shape[1])]


def check_columns(
    columns: Sequence[str], data: pd.DataFrame, argument: str, design: Design | None = None
) -> None:
    """Raise unless the table has all the columns; a design knows what they may be instead."""
    missing = [name for name in columns if name not in data.columns]
    if not missing:
        return
    message = (
        f"`{argument}` must have every column that the formula uses, lacks {listing(missing)}. "
        f"Available: {listing(data.columns)}."
    )
    near = closest(missing[0], [name for name in data.columns if name not in columns])
    found = _elsewhere(missing, data, argument, design)
    if found:
        message += f" {found}"
    elif near is not None:
        message += f" Did you mean {near!r}?"
    elif missing == ["Intercept"]:  # as brms takes the prior of predictors as they are
        message += " Leave `0 + Intercept` out of the formula and pass center_predictors=False."
    elif design is not None:
        message = f"{message} {_without_groups(missing, design, argument)}".rstrip()
    raise DataError(message)


def _elsewhere(
    missing: Sequence[str], data: pd.DataFrame, argument: str, design: Design | None
) -> str:
    """Where the table has missing columns: in its index, or as names of columns."""
    index = [name for name in data.index.names if name in missing]
    wide = [name for name in missing if name == data.columns.name]
    levels = {
        c.source: set(map(str, c.levels))
        for c in (design.components.values() if design is not None else ())
        if isinstance(c, Categorical) and c.source in missing
    }
    wide += [name for name, of in levels.items() if sum(str(k) in of for k in data.columns) > 1]
    table = f"{argument}.reset_index()" if index else argument
    if wide:
        of = levels.get(wide[0], set(map(str, data.columns)))
        kept = [*index, *(name for name in data.columns if str(name) not in of)]
        return (
            f"Values of {wide[0]!r} are names of columns: write "
            f"`{table}.melt(id_vars={kept!r}, var_name={wide[0]!r}, value_name='n')`."
        )
    return f"{listing(index)} are in the index: write `{table}`." if index else ""


def _without_groups(missing: Sequence[str], design: Design, argument: str) -> str:
    """How to predict for rows without columns of which only groups are made; else nothing."""
    made_of = {name: design.columns_of(c) for name, c in design.components.items()}
    needed = {column for name in design.population_components for column in made_of[name]}
    if needed & set(missing):
        return ""
    columns = {
        factor.name: [column for name in factor.components for column in made_of[name]]
        for factor in design.factors.values()
    }
    lost = [factor for factor, of in columns.items() if set(of) & set(missing)]
    of_lost = list(dict.fromkeys(column for factor in lost for column in columns[factor]))
    there = [column for column in of_lost if column not in missing]
    # weighted by respondents: with equal weights, the frame's would look like shares of each group
    groups = f"fit.survey.groupby({there!r})" if there else "fit.survey"
    shares = f"{groups}[{list(missing)!r}].value_counts(normalize=True).reset_index()"
    how = f"how='left', on={there!r}" if there else "how='cross'"
    written = zip(brackets(design), design.blocks, strict=True)
    kept = [text for text, block in written if block.factor not in lost]
    new = {name: _another(design, name) for name in missing}
    drawn = {name: [value] for name, value in new.items()}
    assigned = ", ".join(f"{name}={value!r}" for name, value in new.items())
    return (
        f"Only groups are made of {listing(missing)}. Average over those of the survey: "
        f"`{argument}.merge({shares}, {how})`, with weights times its 'proportion'; or count their "
        f"effects as zero: `re_formula={' + '.join(kept) if kept else False!r}`; or draw a new "
        f"group: `{argument}.assign({assigned})` and `new_levels={drawn!r}`. The first has the "
        f"least uncertainty, as it is of these groups alone, the last the most."
    )


def _another(design: Design, column: str) -> Level:
    """A level that the survey's column does not have."""
    levels = next(
        c.levels
        for name, c in design.components.items()
        if isinstance(c, Categorical) and column in design.columns_of(c)
    )
    numbers = [level for level in levels if isinstance(level, int | float)]
    if len(numbers) == len(levels):
        return int(max(numbers)) + 1
    return next(text for k in range(len(levels) + 1) if (text := "new" + "_" * k) not in levels)


def brackets(design: Design) -> list[str]:
    """The group-specific terms, block by block, as brackets of a formula."""
    written = []
    for block in design.blocks:
        bar = "|" if block.correlated or len(block.terms) == 1 else "||"
        names = [effect_name(term) for term in block.terms if term.of is None]
        names = names if "1" in names else ["0", *names]
        written.append(f"({' + '.join(names)} {bar} {block.factor})")
    return written


def check_complete(columns: Sequence[str], data: pd.DataFrame, argument: str) -> None:
    """Raise if a column has missing values: no row is ever dropped silently."""
    counts = {name: int(data[name].isna().sum()) for name in columns}
    bad = {name: count for name, count in counts.items() if count}
    if bad:
        said = ", ".join(f"{count} in {name!r}" for name, count in bad.items())
        raise DataError(
            f"`{argument}` must have no missing values in the columns that the formula uses, "
            f"got {said} (of {len(data)} rows). Fill them in, or leave those rows out yourself: "
            f"`data.dropna(subset={list(bad)!r})`."
        )


def check_made(name: str, values: pd.Series, argument: str) -> None:
    """Raise if a call made missing values: they are no level and no group."""
    missing = int(values.isna().sum())
    if missing:
        raise DataError(
            f"`{argument}` must have a level for each row in {name.removeprefix('levels of ')!r}, "
            f"got none in {missing} of {len(values)}. Let the call give one for every value."
        )


def _numbers(name: str, values: pd.Series | Array, argument: str) -> NDArray[np.float64]:
    dtype = values.dtype
    if not (is_real(dtype) or pd.api.types.is_bool_dtype(dtype)):
        raise DataError(
            f"`{argument}` must have a number in {name!r}, as the survey has, got type "
            f"{str(dtype)!r} (first value {np.asarray(values)[0]!r}). "
            f"Convert the column with `astype(float)`."
        )
    numbers = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    if not finite.all():
        raise DataError(
            f"`{argument}` must have finite numbers in {name!r}, got {int((~finite).sum())} that "
            f"are infinite or not a number. Check the column or its transform."
        )
    return numbers


def _unseen_level(component: Categorical, unseen: pd.Series, argument: str) -> str:
    got = list(dict.fromkeys(unseen.tolist()))
    message = (
        f"`{argument}` must have only levels of {component.name!r} that the survey has, got "
        f"{listing(got)} in {len(unseen)} rows. Available: {listing(component.levels)}."
    )
    ours, theirs = component.levels[0], got[0]
    hint = meant(argument, theirs, component.levels)
    if _kind(ours) != _kind(theirs) and not (hint and argument in ASKED):
        hint = (
            f" The survey has values of type {type_name(ours)}, `{argument}` of type "
            f"{type_name(theirs)}: convert one of them."
        )
    elif lookalikes([theirs], component.levels):
        hint = did_you_mean(theirs, component.levels)
    return message + (hint or " Recode them, or fit the model on a survey that has them.")


def _kind(value: Level) -> str:
    """What a level is equal to others of: text, numbers or truth values."""
    return "number" if type_name(value) in ("int", "float") else type_name(value)


def _group_index(factor: Factor, values: Mapping[str, Array]) -> NDArray[np.int64]:
    """Each row's group among the survey's, `UNSEEN` where the survey lacks it."""
    table = np.asarray(factor.codes, dtype=np.int64).reshape(len(factor.groups), -1)
    n = len(values[factor.components[0]])
    known, wanted = np.zeros(len(table), dtype=np.int64), np.zeros(n, dtype=np.int64)
    for own, name in zip(table.T, factor.components, strict=True):
        # numbered anew at each component: one number for all of them may be too large
        codes, size = values[name].astype(np.int64), own.max() + 1
        outside = (wanted == UNSEEN) | (codes < 0) | (codes >= size)
        keys = known * size + own
        distinct = pd.Index(pd.unique(keys))
        known = distinct.get_indexer(pd.Index(keys))
        wanted = distinct.get_indexer(pd.Index(np.where(outside, UNSEEN, wanted * size + codes)))
    return wanted.astype(np.int64)


def _check_joined(factor: Factor, groups: pd.DataFrame) -> None:
    """Raise if groups of different levels have one name, and would be taken for one group."""
    distinct = groups.drop_duplicates()
    twice = distinct[distinct.duplicated("joined", keep=False)]
    if len(twice):
        name = twice["joined"].iloc[0]
        same = twice[twice["joined"] == name].drop(columns="joined")
        raise DataError(
            f"New groups of {factor.name!r} must have different names, got {name!r} for "
            f"{' and '.join(map(str, same.itertuples(index=False, name=None)))}. Rename a level "
            f"that has a colon."
        )


def _new_groups(
    factor: Factor,
    components: Mapping[str, Component],
    values: Mapping[str, Array],
    raw: Mapping[str, pd.Series | Array],
    index: NDArray[np.int64],
) -> tuple[NDArray[np.int64], tuple[str, ...], tuple[Mapping[str, Any], ...]]:
    """Number the groups that the survey lacks after the survey's, in sorted order of names.

    With their names, and their parts that the survey lacks.
    """
    unseen = index == UNSEEN
    if not unseen.any():
        return index, (), ()
    columns = {name: np.asarray(raw[name])[unseen] for name in factor.components}
    parts = [pd.Series(column).astype(str) for column in columns.values()]
    names = parts[0]
    for part in parts[1:]:
        names = names + ":" + part
    _check_joined(factor, pd.concat(parts, axis=1).assign(joined=names))
    codes, labels = pd.factorize(names, sort=True)
    numbered = index.copy()
    numbered[unseen] = len(factor.groups) + codes
    first = np.unique(codes, return_index=True)[1]
    at = np.flatnonzero(unseen)[first]
    unknown = tuple(
        {
            components[name].source: column[k]
            for name, column in columns.items()
            if values[name][row] == UNSEEN
        }
        for k, row in zip(first, at, strict=True)
    )
    return numbered, tuple(str(label) for label in labels), unknown
