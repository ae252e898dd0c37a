"""The second implementation: formulaic's matrices and numpy, written from the definitions.

Nothing here is computed by mrp. Of a model it takes the names of the variables in its draws, and
what their labels are (`Names`); the draws are looked up by label. A label says what a coefficient
multiplies, so ``a:x[low]`` multiplies x where a is low: formulaic makes that column. Whether a
model has all the labels that it needs is another question (`columns_by_margins`, and the spaces
that formulaic's own matrices span).

Tables are "plain": pandas with Python's values, one row after the other, and no index.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from formulaic import model_matrix
from numpy.typing import NDArray

from tests.generated.formulas import ATOMS, FACTORS, Formula, Term, terms_of

Floats = NDArray[np.float64]
Levels = Mapping[str, tuple[Any, ...]]
"""Levels of the columns that are factors, the reference first."""
Column = frozenset[tuple[str, Any]]
"""What a coefficient multiplies: atoms, each with its level, or None where it is a number."""
OUTCOME_DIM = "y_reduced_dim"
"""The dim of an unordered outcome's levels but the first."""


# --- terms and their columns ----------------------------------------------------------------------


def atoms_of(names: Sequence[str], data: pd.DataFrame, survey: pd.DataFrame, levels: Levels) -> Any:
    """A column for each atom: categories with the survey's levels in order, or numbers."""
    columns: dict[str, Any] = {}
    for name in names:
        atom = ATOMS[name]
        if atom.kind == "factor":
            columns[name] = pd.Categorical(
                data[atom.column].tolist(), categories=list(levels[atom.column])
            )
            continue
        numbers = data[atom.column].to_numpy(dtype=np.float64)
        of_survey = survey[atom.column].to_numpy(dtype=np.float64)
        columns[name] = numbers if atom.call is None else atom.call(numbers, of_survey)
    return pd.DataFrame(columns, index=range(len(data)))


def formulaic_matrix(expression: str, atoms: pd.DataFrame) -> tuple[Floats, list[list[int]]]:
    """Formulaic's design of a sum, of full rank by construction; and the columns of each term."""
    matrix = model_matrix(expression, atoms)
    return matrix.to_numpy(dtype=np.float64), list(matrix.model_spec.term_indices.values())


def full_columns(
    terms: Sequence[Term], data: pd.DataFrame, survey: pd.DataFrame, levels: Levels
) -> dict[Column, Floats]:
    """Every column that a label of some terms can stand for: of each level, each combination."""
    found: dict[Column, Floats] = {frozenset(): np.ones(len(data))}
    written = " + ".join(dict.fromkeys(":".join(term) for term in terms if term))
    if not written:
        return found
    used = list(dict.fromkeys(name for term in terms for name in term))
    matrix = model_matrix(
        f"0 + {written}", atoms_of(used, survey, survey, levels), ensure_full_rank=False
    )
    if data is not survey:
        matrix = matrix.model_spec.get_model_matrix(atoms_of(used, data, survey, levels))
    for name, values in matrix.items():
        parts = re.findall(r"(\w+)(?:\[(.+?)\])?(?::|$)", str(name))
        column = frozenset((atom, _level(atom, label, levels)) for atom, label in parts)
        found[column] = values.to_numpy(dtype=np.float64)
    return found


def _level(atom: str, label: str, levels: Levels) -> Any:
    """The level that a label names; None where the atom is a number."""
    if ATOMS[atom].kind == "number":
        return None
    return next(level for level in levels[ATOMS[atom].column] if same(level, label))


def same(level: Any, label: str) -> bool:
    """Whether a label names a level: numbers may be written as ``1`` or ``1.0``."""
    if isinstance(level, bool | str):
        return str(level) == label
    return float(level) == float(label)


def columns_by_margins(terms: Sequence[Term], levels: Levels) -> list[list[Column]]:
    """Columns of each term by the rule of margins, for the terms of one formula or bracket.

    A factor of a term is coded in full where the term without it (its margin) is absent, else by
    contrasts with its first level. The intercept is the margin of single factors; without one, the
    first of them is coded in full. What this spans is right, but there may be more columns than
    needed: ``a:b`` beside an intercept has one of each combination, as in R.
    """
    present = {frozenset(term) for term in terms}
    single = [term for term in terms if len(term) == 1 and term[0] in FACTORS]
    stands_for_intercept = single[0] if single and () not in terms else None
    if stands_for_intercept:
        present.add(frozenset())
    result = []
    for term in terms:
        choices: list[list[tuple[str, Any]]] = []
        for name in term:
            if name not in FACTORS:
                choices.append([(name, None)])
                continue
            of_factor = [(name, level) for level in levels[ATOMS[name].column]]
            has_margin = frozenset(term) - {name} in present and term != stands_for_intercept
            choices.append(of_factor[1:] if has_margin else of_factor)
        result.append([frozenset(parts) for parts in itertools.product(*choices)])
    return result


# --- the names in a model's draws -----------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    """A variable of the draws, and what its coefficients multiply.

    `dim` holds `labels`; both are empty where there is one coefficient. `factor` is the grouping
    factor of group-specific effects, whose groups are labels of the dim `groups`.
    """

    variable: str
    term: Term
    columns: tuple[Column, ...]
    dim: str | None = None
    labels: tuple[str, ...] = ()
    factor: str | None = None
    groups: str | None = None


def names_of(design: Any, levels: Levels) -> list[Names]:
    """The variables that a model's design gives names to."""
    names = [names_of_term(term, levels) for term in design.terms]
    for block in design.blocks:
        for term in block.terms:
            found = names_of_term(term, levels)
            names.append(
                replace(
                    found,
                    variable=block.variable(term),
                    dim=found.dim and f"{term.dim or term.name}__expr_dim",
                    factor=plain_factor(block.factor),
                    groups=f"{block.factor}__factor_dim",
                )
            )
    return names


def names_of_term(term: Any, levels: Levels) -> Names:
    """What the coefficients of a model's term multiply."""
    atoms = tuple(_atom(coding.component) for coding in term.codings)
    if term.levels is None:
        # a factor of one coefficient beside its reference may have no label
        return Names(term.name, atoms, (frozenset((name, _only(name, levels)) for name in atoms),))
    labels = tuple(str(label) for label in term.levels)
    columns = tuple(_column(atoms, label, levels) for label in labels)
    return Names(term.name, atoms, columns, f"{term.name}_dim", labels)


def plain_factor(name: str) -> str:
    """A grouping factor's name without blanks."""
    return re.sub(r"\s", "", name)


def _atom(written: str) -> str:
    """The atom that a name in a model stands for, wherever it has blanks and parentheses."""

    def letters(text: str) -> str:
        return re.sub(r"[\s()]", "", text.replace("\N{DIVISION SLASH}", "/"))

    return next(n for n, atom in ATOMS.items() if letters(atom.spelled) == letters(written))


def _only(atom: str, levels: Levels) -> Any:
    if ATOMS[atom].kind == "number":
        return None
    _, second = levels[ATOMS[atom].column]
    return second


def _column(atoms: Term, label: str, levels: Levels) -> Column:
    parts = iter(label.split(", "))
    factors = [name for name in atoms if name in FACTORS]
    labelled = len(factors) == label.count(", ") + 1
    found = {}
    for name in atoms:
        if name in factors and (labelled or ATOMS[name].column != "t"):
            found[name] = _level(name, next(parts), levels)
        else:
            found[name] = _only(name, levels)
    return frozenset(found.items())


# --- predictions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Second:
    """What the draws of a model predict.

    Parameters
    ----------
    formula, survey, levels
        The formula, the plain survey that it was learned from, and the levels of its factors.
    names, draws
        Draws, and what is what in them.
    family
        Name of the outcome's family; links are the usual ones.
    """

    formula: Formula
    survey: pd.DataFrame
    levels: Levels
    names: Sequence[Names]
    draws: xr.Dataset
    family: str

    def predictor(self, data: pd.DataFrame) -> Floats:
        """Linear predictors (rows, predictors, draws): one, or one for each level but the first."""
        terms = [names.term for names in self.names]
        columns = full_columns(terms, data, self.survey, self.levels)
        total: Any = self.offset(data)[:, None, None]
        for names in self.names:
            multiplied = np.column_stack([columns[column] for column in names.columns])
            if names.factor is None:
                total = total + np.einsum("nk,kps->nps", multiplied, self._drawn(names)[:, :, 0])
            else:
                one_hot = self._one_hot(names, data)
                drawn = self._drawn(names)
                total = total + np.einsum("nk,ng,kpgs->nps", multiplied, one_hot, drawn)
        shape = (len(data), self._predictors, self.draws.sizes["chain"] * self.draws.sizes["draw"])
        return np.broadcast_to(total, shape)

    def offset(self, data: pd.DataFrame) -> Floats:
        """Sum of the offsets (rows,)."""
        atoms = atoms_of(self.formula.offsets, data, self.survey, self.levels)
        return atoms.sum(axis=1).to_numpy(dtype=np.float64)

    def predicted(self, data: pd.DataFrame, type: str = "response") -> Floats:
        """Expected outcomes, or linear predictors (rows, levels or 1, draws)."""
        eta = self.predictor(data)
        if type == "link" or self.family == "gaussian":
            return eta
        if self.family == "poisson":
            return np.exp(eta)
        if self.family == "bernoulli":
            return 1 / (1 + np.exp(-eta))
        if self.family == "categorical":
            odds = np.exp(np.concatenate([np.zeros_like(eta[:, :1]), eta], axis=1))
            return odds / odds.sum(axis=1, keepdims=True)
        assert self.family == "cumulative"
        thresholds = self.draws["threshold"].transpose("threshold_dim", "chain", "draw").values
        below = 1 / (1 + np.exp(eta - thresholds.reshape(1, len(thresholds), -1)))
        zero, one = np.zeros_like(eta), np.ones_like(eta)
        return np.diff(np.concatenate([zero, below, one], axis=1), axis=1)

    @cached_property
    def _predictors(self) -> int:
        return next((self.draws.sizes[d] for d in self.draws.dims if _of_outcome(d)), 1)

    def _drawn(self, names: Names) -> Floats:
        """Draws (coefficients, predictors, groups or 1, draws) of a variable."""
        array = self.draws[names.variable]
        order = {}
        if names.dim is not None:
            array = array.sel({names.dim: list(names.labels)})
            order["coefficient"] = names.dim
        if any(map(_of_outcome, array.dims)):
            order["predictor"] = OUTCOME_DIM
        if names.groups is not None:
            order["group"] = names.groups
        array = array.rename({dim: role for role, dim in order.items()})
        lacking = [role for role in ("coefficient", "predictor", "group") if role not in order]
        array = array.expand_dims(lacking)
        array = array.transpose("coefficient", "predictor", "group", "chain", "draw")
        return array.values.reshape(*array.shape[:3], -1)

    def _one_hot(self, names: Names, data: pd.DataFrame) -> Floats:
        """Which of the groups each row belongs to (rows, groups); a row of a new group: none."""
        assert names.factor is not None
        parts = [[plain_name(v) for v in data[name]] for name in names.factor.split(":")]
        groups = [plain_name(group) for group in self.draws[names.groups].values]
        of_rows = pd.Series([":".join(row) for row in zip(*parts, strict=True)])
        return pd.get_dummies(of_rows, dtype=float).reindex(columns=groups, fill_value=0.0).values


def _of_outcome(dim: Hashable) -> bool:
    return dim == OUTCOME_DIM


def plain_name(value: Any) -> str:
    """A group's name, whether its number was stored as ``1`` or ``1.0``."""
    return re.sub(r"(?<=\d)\.0(?=:|$)", "", str(value))


def average(
    quantity: Floats, weights: Floats, groups: Sequence[Hashable]
) -> dict[Hashable, Floats]:
    """Weighted average of the rows of each group (levels, draws)."""
    result = {}
    for group in dict.fromkeys(groups):
        rows = [i for i, other in enumerate(groups) if other == group]
        total = sum(weights[i] for i in rows)
        result[group] = sum(weights[i] * quantity[i] for i in rows) / total
    return result


def typical(column: pd.Series, levels: Sequence[Any] | None) -> Any:
    """Mean of a number with more than two values; else the most frequent, of several the first."""
    values = column.tolist()
    if levels is None and len(set(values)) > 2:
        return float(np.mean(values))
    order = sorted(set(values)) if levels is None else levels
    return max(order, key=values.count)  # the first of those that are the most frequent


# --- what can't be answered -----------------------------------------------------------------------


def formula_refused(formula: Formula, survey: pd.DataFrame, levels: Levels) -> str | None:
    """Why a formula has no model on a survey; None where it has one."""
    reason = incomplete(formula, survey)
    if reason:
        return reason
    for name in formula.columns:
        if name in levels and len(levels[name]) < 2:
            return f"{name!r} has only one level"
    for name in formula.atoms:
        if ATOMS[name].kind == "number":
            values = atoms_of([name], survey, survey, levels)[name]
            if np.ptp(values) == 0:
                return f"{ATOMS[name].spelled} is constant"
    effects = group_terms(formula)
    twice = [effect for effect in effects if effects.count(effect) > 1]
    if twice:
        return f"the group-specific term {twice[0]} stands in two brackets"
    nothing = not terms_of(formula.population) and not effects
    return "there is nothing to estimate" if nothing else None


def group_terms(formula: Formula) -> list[tuple[frozenset[str], str]]:
    """Terms of all brackets, each with each grouping factor."""
    return [
        (frozenset(term), factor)
        for bracket in formula.brackets
        for factor in bracket.factors
        for term in terms_of(bracket.left)
    ]


def rows_refused(
    formula: Formula, data: pd.DataFrame, survey: pd.DataFrame, levels: Levels
) -> str | None:
    """Why rows can't be predicted; None where they can."""
    reason = incomplete(formula, data)
    if reason:
        return reason
    for name in {ATOMS[atom].column for atom in formula.atoms if atom in FACTORS}:
        unseen = set(data[name]) - set(levels[name])
        if unseen:
            return f"{name!r} has levels that the survey lacks: {sorted(unseen, key=str)}"
    for factor in {factor for bracket in formula.brackets for factor in bracket.factors}:
        parts = factor.split(":")
        known = set(survey[parts].itertuples(index=False, name=None))
        unseen = set(data[parts].itertuples(index=False, name=None)) - known
        if unseen:
            return f"{factor!r} has groups that the survey lacks: {sorted(unseen, key=str)}"
    return None


def incomplete(formula: Formula, data: pd.DataFrame) -> str | None:
    """Which columns of a formula a table lacks, or values of them."""
    for name in formula.columns:
        if name not in data.columns:
            return f"there is no column {name!r}"
        if data[name].isna().any():
            return f"values of {name!r} are missing"
    return None


def average_refused(data: pd.DataFrame, weights: Floats, by: Sequence[str]) -> str | None:
    """Why rows can't be averaged; None where they can."""
    for name in by:
        if name not in data.columns:
            return f"there is no column {name!r} to average by"
        if data[name].isna().any():
            return f"values of {name!r}, to average by, are missing"
    if np.isnan(weights).any() or (weights < 0).any():
        return "weights are missing or negative"
    totals: dict[Hashable, float] = {}
    for row, weight in zip(data[list(by)].itertuples(index=False, name=None), weights, strict=True):
        totals[row] = totals.get(row, 0.0) + weight
    empty = [group for group, total in totals.items() if total == 0]
    return f"there is no weight in the groups {empty}" if empty else None


def outcome_refused(family: str, storage: str) -> str | None:
    """Why an outcome has no model; None where it has one."""
    if family == "cumulative" and storage in ("unordered", "text"):
        return "nothing says the order of the outcome's levels"
    return None


def has_constant_columns(formula: Formula, survey: pd.DataFrame, levels: Levels) -> bool:
    """Whether a column of a term, however it is coded, is the same for all respondents."""
    terms = [term for expression in formula.sums for term in terms_of(expression) if term]
    columns = full_columns(terms, survey, survey, levels)
    return any(np.ptp(values) == 0 for column, values in columns.items() if column)
