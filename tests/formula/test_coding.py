"""Which categoricals are coded in full: what terms span, no more and no less."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp.formula.coding import codings

LEVELS = {"a": 3, "b": 2, "c": 3}
NUMBERS = ("x", "z")
CELLS = np.array(list(itertools.product(*map(range, LEVELS.values()))) * 5)
VALUES = dict(zip(NUMBERS, np.random.default_rng(1).normal(size=(2, len(CELLS))), strict=True))

Terms = list[tuple[frozenset[str], tuple[str, ...]]]


@st.composite
def formulas(draw: st.DrawFn) -> tuple[Terms, bool]:
    term = st.tuples(
        st.frozensets(st.sampled_from(NUMBERS)),
        st.lists(st.sampled_from(list(LEVELS)), unique=True).map(tuple),
    )
    terms = draw(
        st.lists(
            term.filter(any), min_size=1, max_size=5, unique_by=lambda t: (t[0], frozenset(t[1]))
        )
    )
    return terms, draw(st.booleans())


def product_of(numbers: Sequence[str], categoricals: Mapping[str, bool]) -> np.ndarray:
    """Columns of a part, the last level of what is not in full left out."""
    columns = np.ones((len(CELLS), 1))
    for name in numbers:
        columns = columns * VALUES[name][:, None]
    for name, in_full in categoricals.items():
        dummies = np.eye(LEVELS[name])[CELLS[:, list(LEVELS).index(name)]]
        dummies = dummies if in_full else dummies[:, :-1]
        columns = (columns[:, :, None] * dummies[:, None, :]).reshape(len(CELLS), -1)
    return columns


@given(formulas())
def test_parts_span_what_the_terms_span_and_every_column_counts(formula: tuple[Terms, bool]):
    terms, intercept = formula
    found = codings(terms, intercept=intercept)
    ones = [np.ones((len(CELLS), 1))] if intercept else []
    parts = [
        product_of(sorted(numbers), coded)
        for (numbers, _), coded_parts in zip(terms, found, strict=True)
        for coded in coded_parts
    ]
    every = [product_of(sorted(numbers), dict.fromkeys(names, True)) for numbers, names in terms]
    ours, whole = np.hstack([*ones, *parts]), np.hstack([*ones, *every])
    rank = np.linalg.matrix_rank(whole)
    assert np.linalg.matrix_rank(ours) == ours.shape[1] == rank
    assert np.linalg.matrix_rank(np.hstack([ours, whole])) == rank


@given(formulas())
def test_a_term_s_last_part_has_all_of_its_categoricals(formula: tuple[Terms, bool]):
    terms, intercept = formula
    for (_, names), parts in zip(terms, codings(terms, intercept=intercept), strict=True):
        assert set(parts[-1]) == set(names)
        assert all(set(part) < set(names) for part in parts[:-1])


@pytest.mark.parametrize(
    ("terms", "intercept", "in_full"),
    [
        (["a", "ab"], True, [[""], ["a"]]),  # a + a:b
        (["a", "b", "ab"], True, [[""], [""], [""]]),  # a * b
        (["a", "b", "ab"], False, [["a"], [""], [""]]),  # 0 + a * b
        (["ab", "a"], True, [["a"], [""]]),  # a:b + a, the same in another order
        (["ab"], False, [["ab"]]),  # 0 + a:b
    ],
)
def test_a_factor_is_coded_in_full_where_its_margin_is_absent(
    terms: list[str], intercept: bool, in_full: list[list[str]]
):
    found = codings([(frozenset(), tuple(term)) for term in terms], intercept=intercept)
    written = [
        ["".join(n for n, full in part.items() if full) for part in parts] for parts in found
    ]
    assert written == in_full


def test_what_no_one_coding_makes_up_for_is_a_part_of_its_own():
    (parts,) = codings([(frozenset(), ("a", "b", "c"))], intercept=True)
    columns = [np.prod([LEVELS[n] - (not full) for n, full in part.items()]) for part in parts]
    assert 1 + sum(columns) == 18
    assert [set(part) for part in parts] == [{"a", "b"}, {"a", "c"}, {"b", "c"}, {"a", "b", "c"}]
