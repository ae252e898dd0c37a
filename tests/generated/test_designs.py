"""The columns of any formula span the space that they should, term by term, in brackets too.

formulaic is the reference for spaces: its matrices are of full rank by construction. It and R
expand formulas into the same terms, but they differ in the number of columns. formulaic leaves out
what lower terms already span; R codes a factor in full where its margin is absent, so that ``a:b``
beside an intercept has one column more than needed. Designs between the two are right; where both
have the same number of columns, so must mrp. R itself is wrong where a margin only seems to be
present (`NOT_AS_R`): there formulaic's space is right.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.errors import FormulaError
from tests.generated import second
from tests.generated.formulas import (
    ATOMS,
    FACTORS,
    Formula,
    Term,
    formulas,
    spelled,
    terms_of,
)
from tests.generated.runs import run
from tests.generated.second import Column, Floats, Levels

LEVELS: Levels = {
    "a": ("q", "p", "r"),
    "b": ("v", "u"),
    "c": ("k", "m", "l"),
    "t": (False, True),
    "k": (1, 2, 4),
    "g": ("G1", "G2", "G3"),
    "h": (7, 12),
}


def crossing() -> pd.DataFrame:
    """All combinations of the factors' levels, with numbers that are different in every row."""
    rng = np.random.default_rng(3)
    names = ["a", "b", "c", "t", "k"]
    rows = list(itertools.product(*(LEVELS[name] for name in names), range(2)))
    table = pd.DataFrame([row[:-1] for row in rows], columns=names)
    n = len(table)
    table["x"], table["z"] = rng.normal(1.0, 1.5, n), rng.uniform(0.2, 2.0, n)
    table["g"], table["h"] = rng.choice(LEVELS["g"], n), rng.choice(LEVELS["h"], n)
    return table.assign(y=rng.normal(size=n))


CROSSING = crossing()
SURVEY = CROSSING.assign(
    a=pd.Categorical(CROSSING["a"], LEVELS["a"], ordered=True),
    b=pd.Categorical(CROSSING["b"], ["never", *LEVELS["b"]]),
    c=pd.Categorical(CROSSING["c"], LEVELS["c"]),
)
ATOM_TABLE = second.atoms_of(list(ATOMS), CROSSING, CROSSING, LEVELS)


# --- the comparison -------------------------------------------------------------------------------


class WrongDesign(AssertionError):
    """A design is not that of its formula."""


def check_part(where: str, expression: str, terms: Sequence[Any], matrix: Floats) -> None:
    """Compare the terms of a formula or a bracket with formulaic's matrix of its expression.

    `terms` and the columns of `matrix` are the model's, on `CROSSING`.
    """
    named = [second.names_of_term(term, LEVELS) for term in terms]
    ends = np.cumsum([len(names.columns) for names in named])
    if not named or matrix.shape[1] != ends[-1]:
        raise WrongDesign(f"{where}: {matrix.shape[1]} columns have {ends[-1:]} labels")
    columns = np.split(matrix, ends[:-1], axis=1)
    for names, own in zip(named, columns, strict=True):
        check_labels(where, names, own)
    check_spaces(where, expression, [names.term for names in named], columns)


def check_labels(where: str, names: second.Names, columns: Floats) -> None:
    """Every column is what its label says; each factor has all levels, or all but the first."""
    stands_for = full_columns(names.term)
    for column, values in zip(names.columns, columns.T, strict=True):
        if not np.allclose(stands_for[column], values, rtol=1e-12, atol=1e-12):
            row = int(np.abs(stands_for[column] - values).argmax())
            raise WrongDesign(
                f"{where}: {names.variable}[{said(column)}] is {values[row]}, not "
                f"{stands_for[column][row]}, in\n{CROSSING.iloc[[row]].to_string()}"
            )
    combinations = 1
    for name in names.term:
        levels = LEVELS.get(ATOMS[name].column, ())
        found = tuple(dict.fromkeys(dict(column)[name] for column in names.columns))
        combinations *= len(found)
        if name in FACTORS and found not in (levels, levels[1:]):
            raise WrongDesign(f"{where}: {names.variable} has levels {found} of {levels}")
    if len(names.columns) != len(set(names.columns)) or len(names.columns) != combinations:
        raise WrongDesign(f"{where}: {names.variable} lacks combinations, {names.labels}")


def check_spaces(
    where: str, expression: str, terms: Sequence[Term], columns: Sequence[Floats]
) -> None:
    """The first terms span what formulaic's first terms do, for each number of them.

    All terms have no fewer columns than formulaic's, and no more than the rule of margins gives.
    """
    wanted, of_term = second.formulaic_matrix(expression, ATOM_TABLE)
    expected = terms_of(expression)
    places = [place_of(term, expected) for term in terms]
    if None in places:
        raise WrongDesign(f"{where}: {terms[places.index(None)]} is no term of it, {expected}")
    for k in range(1, len(expected) + 1):
        first = [c for place, c in zip(places, columns, strict=True) if place < k]
        mine = np.hstack([np.zeros((len(CROSSING), 0)), *first])
        theirs = wanted[:, [place for places in of_term[:k] for place in places]]
        if not same_space(mine, theirs):
            raise WrongDesign(
                f"{where}: the terms up to {':'.join(expected[k - 1]) or 'the intercept'} span "
                f"{rank(mine)} dimensions, formulaic's {rank(theirs)}, both together "
                f"{rank(np.hstack([mine, theirs]))}"
            )
    found = sum(c.shape[1] for c in columns)
    most = sum(map(len, second.columns_by_margins(expected, LEVELS)))
    if not wanted.shape[1] <= found <= most:
        raise WrongDesign(f"{where}: {found} columns, not between {wanted.shape[1]} and {most}")


def place_of(term: Term, expected: Sequence[Term]) -> int | None:
    """Where a term stands in a formula; one that mrp adds, with the first whose space it is in."""
    atoms = [set(other) for other in expected]
    if set(term) in atoms:
        return atoms.index(set(term))
    contains = (k for k, other in enumerate(atoms) if set(term) < other)
    return next((k for k in contains if term and atoms[k] - set(term) <= set(FACTORS)), None)


@cache
def full_columns(term: Term) -> Mapping[Column, Floats]:
    """Every column that a term may have, on `CROSSING`."""
    return second.full_columns([term], CROSSING, CROSSING, LEVELS)


def rank(matrix: Floats) -> int:
    """Dimension of the space that columns span, whatever their sizes."""
    return basis(matrix).shape[1]


def same_space(mine: Floats, theirs: Floats) -> bool:
    """Whether two sets of columns span the same space: each lies in the other's."""
    return residual(mine, theirs) < 1e-7 and residual(theirs, mine) < 1e-7


def residual(columns: Floats, space: Floats) -> float:
    """The largest part of a column, of length one, that lies outside of a space."""
    scaled, axes = of_length_one(columns), basis(space)
    outside = scaled - axes @ (axes.T @ scaled)
    return float(np.linalg.norm(outside, axis=0).max(initial=0.0))


def basis(matrix: Floats) -> Floats:
    """Orthogonal axes of the space that columns span."""
    axes, sizes, _ = np.linalg.svd(of_length_one(matrix), full_matrices=False)
    return axes[:, sizes > 1e-7]


def of_length_one(matrix: Floats) -> Floats:
    """The columns but those of zeros (of combinations that nobody has), scaled to length one."""
    lengths = np.linalg.norm(matrix, axis=0)
    return matrix[:, lengths > 0] / lengths[lengths > 0]


def said(column: Column) -> str:
    """A column in words."""
    parts = [name if level is None else f"{name}={level}" for name, level in sorted(column)]
    return ", ".join(parts) or "1"


# --- every formula --------------------------------------------------------------------------------


def check_design(formula: Formula) -> None:
    """Compare every part of a formula's design; or the formula is refused, and must be."""
    why_not = second.formula_refused(formula, CROSSING, LEVELS)
    try:
        design = mrp.Model(formula.text, SURVEY, family="gaussian", priors="brms").design
    except FormulaError as error:
        if why_not:
            return
        raise WrongDesign(f"{formula.text} is refused, but nothing is wrong: {error}") from error
    if why_not:
        raise WrongDesign(f"{formula.text} has a design, though {why_not}")
    rows = design.rows(SURVEY)
    check_part(formula.text, formula.population, design.terms, rows.population())
    expected = [(b.left, factor) for b in formula.brackets for factor in b.factors]
    found = [second.plain_factor(block.factor) for block in design.blocks]
    if found != [factor for _, factor in expected]:
        raise WrongDesign(f"{formula.text} has groups of {found}")
    for (left, factor), block in zip(expected, design.blocks, strict=True):
        where = f"({spelled(left)} | {factor}) of {formula.text}"
        check_part(where, left, block.terms, rows.effects(block))


def test_terms_and_brackets_span_what_a_formula_means():
    run(check_design, formulas(), 100, seed=1)


@pytest.mark.slow
def test_terms_and_brackets_span_what_any_formula_means(said_seed: int):
    run(check_design, formulas(), 2000, seed=said_seed)


# --- the rule, and R's ----------------------------------------------------------------------------

NOT_AS_R = {
    # R takes a margin for present where an earlier term contains it: fewer columns, the same space
    "(a + b):c",
    "a:b + b:c",
    "0 + a:b + a:c",
    "a:x + b:x",
    # without an intercept R codes the first factor that it meets in full: one column too many
    "0 + x + a:x",
    # an earlier term contains the margin, but with a number: R's columns don't span the terms
    "x:z + a:x",
    "a:x + a:b",
}
SPACES_NOT_AS_R = {"x:z + a:x", "a:x + a:b"}
R_COLUMNS: Mapping[str, str] = dict(
    pd.read_csv(Path(__file__).with_name("model_matrix.csv")).itertuples(index=False, name=None)
)
"""What `model_matrix.R` says."""


def r_columns(formula: str) -> list[Column]:
    """Columns that R gives a formula."""

    def part(text: str) -> tuple[str, Any]:
        levels = {str(level).upper(): level for level in LEVELS.get(text[0], ())}
        return text[0], levels[text[1:].upper()] if levels else None

    names = R_COLUMNS[formula].split(" ")
    return [frozenset(map(part, name.split(":"))) if name != "1" else frozenset() for name in names]


@pytest.mark.parametrize("formula", R_COLUMNS)
def test_the_rule_of_margins_gives_the_columns_of_r(formula: str):
    levels = {**LEVELS, "a": ("p", "q", "r"), "b": ("u", "v"), "c": ("k", "l", "m")}
    terms = terms_of(formula)
    by_margins = [c for columns in second.columns_by_margins(terms, levels) for c in columns]
    assert (set(by_margins) == set(r_columns(formula))) == (formula not in NOT_AS_R)
    assert len(set(by_margins)) == len(by_margins)


@pytest.mark.parametrize("formula", R_COLUMNS)
def test_r_and_formulaic_span_the_same_but_where_numbers_hide_a_margin(formula: str):
    terms = terms_of(formula)
    columns = {frozenset(): np.ones(len(CROSSING))}
    for term in filter(None, terms):
        columns |= full_columns(term)
    in_r = np.column_stack([columns[column] for column in r_columns(formula)])
    by_margins = second.columns_by_margins(terms, LEVELS)
    in_rule = np.column_stack([columns[c] for of_term in by_margins for c in of_term])
    in_formulaic = second.formulaic_matrix(formula, ATOM_TABLE)[0]
    assert same_space(in_r, in_formulaic) == (formula not in SPACES_NOT_AS_R)
    assert same_space(in_rule, in_formulaic)
    assert rank(in_formulaic) == in_formulaic.shape[1]


# --- the machinery can fail -----------------------------------------------------------------------


def design_of(population: str) -> tuple[list[Any], Floats]:
    """Population-level terms of a model, and their columns."""
    design = mrp.Model(f"y ~ {population}", SURVEY, family="gaussian").design
    return list(design.terms), design.rows(SURVEY).population()


@pytest.mark.parametrize(
    ("change", "caught"),
    [
        (lambda columns: columns[:, :-1], "6 columns have [7] labels"),
        (lambda columns: np.roll(columns, 1, axis=0), "x[x] is"),
        (lambda columns: columns * [1, -1, 1, 1, 1, 1, 1], "x[x] is"),
        (lambda columns: columns[:, [0, 1, 3, 2, 4, 5, 6]], "a[a=p] is"),
    ],
    ids=["a column is missing", "rows are shifted", "a sign is wrong", "levels are exchanged"],
)
def test_columns_that_are_not_what_they_are_called_are_caught(change: Any, caught: str):
    terms, columns = design_of("x + a * b")
    check_part("a design", "x + a * b", terms, columns)
    with pytest.raises(WrongDesign, match=re.escape(caught)):
        check_part("a design", "x + a * b", terms, change(columns))


@pytest.mark.parametrize(
    ("formula", "of_another", "caught"),
    [
        ("a * b", "a + b", "up to a:b span 4 dimensions, formulaic's 6, both together 6"),
        ("a:b:c", "a:b", "up to a:b:c span 6 dimensions, formulaic's 18, both together 18"),
        ("a + b", "0 + a + b", "up to the intercept span 0 dimensions, formulaic's 1"),
        ("0 + b:x", "x + b:x", "() is no term of it"),
        ("a + x", "a * x", "('a', 'x') is no term of it"),
    ],
)
def test_a_design_of_another_formula_is_caught(formula: str, of_another: str, caught: str):
    terms, columns = design_of(of_another)
    check_part("a design", of_another, terms, columns)
    with pytest.raises(WrongDesign, match=re.escape(caught)):
        check_part("a design", formula, terms, columns)


def test_levels_in_full_beside_an_intercept_are_caught():
    (intercept, _), ones = design_of("1 + a")
    (in_full,), columns = design_of("0 + a")
    with pytest.raises(WrongDesign, match="a design: 4 columns, not between 3 and 3"):
        check_part("a design", "a", [intercept, in_full], np.hstack([ones[:, :1], columns]))
