"""Which categoricals are coded in full, and which against a reference level.

A term stands for a space of functions of the data. Of ``a:b``, that is every number for each
combination of levels; it contains the spaces of ``a``, of ``b`` and of the constant. What terms
before it span already must not be spanned again. R's rule for this: a factor is coded by all its
levels where the term without it, its margin, is absent, and by one level less where it is there.

Where several margins are absent (``a:b`` alone, with an intercept), one coding can't make up for
all of them, and R's matrix has more columns than its rank. Here the term is then split into parts,
as Bambi has it: the columns of ``b`` beside ``a:b``. The space is the same, each column counts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations

Name = Hashable
Coded = Mapping[Name, bool]
"""The categoricals of a term's part, each with whether it is coded in full."""


def codings(
    terms: Sequence[tuple[frozenset[Name], tuple[Name, ...]]], *, intercept: bool
) -> list[list[Coded]]:
    """Parts of each term that span its space, less what others span, without redundancy.

    Parameters
    ----------
    terms
        For each term its numbers and its categoricals.
    intercept
        Whether there is an intercept.

    Returns
    -------
    For each term its parts, small ones first; the last one has all of the term's categoricals.

    Examples
    --------
    >>> no_numbers = frozenset()
    >>> codings([(no_numbers, ("a",)), (no_numbers, ("a", "b"))], intercept=True)
    [[{'a': False}], [{'a': True, 'b': False}]]
    >>> codings([(no_numbers, ("a", "b"))], intercept=True)
    [[{'b': False}, {'a': False, 'b': True}]]
    """
    spanned: dict[frozenset[Name], set[frozenset[Name]]] = {}
    if intercept:
        spanned[frozenset()] = {frozenset()}
    found: dict[int, list[Coded]] = {}
    # terms of fewer categoricals first, wherever they stand: they are margins of the others
    for k in sorted(range(len(terms)), key=lambda k: len(terms[k][1])):
        numbers, categoricals = terms[k]
        before = spanned.setdefault(numbers, set())
        needed = [subset for subset in _subsets(categoricals) if frozenset(subset) not in before]
        before.update(map(frozenset, needed))
        found[k] = _merged([dict.fromkeys(subset, False) for subset in needed])
    return [found[k] for k in range(len(terms))]


def _subsets(names: tuple[Name, ...]) -> Iterator[tuple[Name, ...]]:
    for size in range(len(names) + 1):
        yield from combinations(names, size)


def _merged(parts: list[Coded]) -> list[Coded]:
    """Fewer parts that span the same: two that differ by a categorical are one with it in full."""
    for short in parts:
        for long in parts:
            if len(long) == len(short) + 1 and short.items() < long.items():
                (name,) = long.keys() - short.keys()
                # a full one is the reduced one and the constant together
                merged = {other: coded or other == name for other, coded in long.items()}
                rest = [merged if part is long else part for part in parts if part is not short]
                return _merged(rest)
    return parts
