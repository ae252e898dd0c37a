"""`re_formula`: a design with only some of its group-specific terms, the others left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from mrp.design import Block, Design, Term, brackets, effect_name, variable_name
from mrp.errors import RequestError, closest, listing

ReFormula = Literal[False] | str | None
"""None: all group-specific terms; False: none; or those of a formula such as ``"(1 | state)"``."""

OTHER_WAYS: Mapping[str, str] = {
    **dict.fromkeys(("NA", "nan", "<NA>", "~0", "~ 0"), " R's NA is False here."),
    **dict.fromkeys(("NULL", "None", "all"), " R's NULL is None here, without quotes."),
    **dict.fromkeys(("False", "none"), " Write False without quotes."),
    "True": " For all of them, leave it out.",
}
"""What other people write for all or no group-specific terms, and what to write here."""


def restricted(design: Design, re_formula: Literal[False] | str) -> Design:
    """A design with only the group-specific terms of a formula; new data needs no others' columns.

    Parameters
    ----------
    design
        What the model's formula learned.
    re_formula
        False for none, or brackets as in the model's formula: ``"(1 + x | g)"``. The effects of
        the terms left out count as zero, as in brms.

    Raises
    ------
    RequestError
        The formula does not parse, or names terms or groups that the model lacks.
    """
    wanted = {} if re_formula is False else _wanted(re_formula, design)
    blocks = []
    for block in design.blocks:
        names = wanted.get(_plain(block.factor), [])
        terms = tuple(term for term in block.terms if _plain(term.of or effect_name(term)) in names)
        if terms:
            width = sum(term.width for term in terms)
            blocks.append(replace(block, terms=terms, correlated=block.correlated and width > 1))
    factors = {block.factor: design.factors[block.factor] for block in blocks}
    used = _components(design, blocks)
    components = {name: c for name, c in design.components.items() if name in used}
    columns = {column for c in components.values() for column in design.columns_of(c)}
    return replace(
        design,
        columns=tuple(name for name in design.columns if name in columns),
        components=components,
        blocks=tuple(blocks),
        factors=factors,
    )


def _components(design: Design, blocks: Sequence[Block]) -> set[str]:
    terms: list[Term] = [*design.terms, *(term for block in blocks for term in block.terms)]
    used = {coding.component for term in terms for coding in term.codings}
    used |= {name for block in blocks for name in design.factors[block.factor].components}
    return used | set(design.offsets)


def _wanted(re_formula: str, design: Design) -> Mapping[str, list[str]]:
    """For each grouping factor, the names of the terms asked for; 1 is the intercept."""
    available = brackets(design)
    plain = re_formula.strip() if isinstance(re_formula, str) else re_formula
    if not isinstance(plain, str) or plain in OTHER_WAYS:
        instead = OTHER_WAYS.get(plain if isinstance(plain, str) else str(plain), "")
        raise RequestError(
            f"`re_formula` must be None (all group-specific terms), False (none) or a formula, got "
            f"{re_formula!r}. Available: {listing(available)}.{instead}"
        )
    wanted: dict[str, list[str]] = {}
    for bracket in _split(re_formula.strip().removeprefix("~"), "+"):
        expression, groups = _sides(bracket)
        if not expression or not groups:
            raise RequestError(
                f"`re_formula` must be brackets joined by '+', such as '(1 + x | g)', got "
                f"{re_formula!r}. Available: {listing(available)}."
            )
        for factor in _factors(groups):
            wanted.setdefault(factor, []).extend(_terms(expression))
    _check(wanted, design, available)
    return wanted


def _sides(bracket: str) -> tuple[str, str]:
    """What is left and right of the bar of ``(… | …)``; nothing where it isn't of this form."""
    if not (bracket.startswith("(") and bracket.endswith(")")):
        return "", ""
    sides = _split(bracket[1:-1].replace("||", "|"), "|")
    return (sides[0], sides[1]) if len(sides) == 2 else ("", "")


def _split(text: str, separator: str) -> list[str]:
    """Pieces of a text between separators that are outside of brackets."""
    starts, depth = [0], 0
    for k, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            starts.append(k + 1)
    ends = [start - 1 for start in starts[1:]]
    pieces = (text[start:end] for start, end in zip(starts, [*ends, None], strict=True))
    return [piece.strip() for piece in pieces]


def _terms(expression: str) -> list[str]:
    """Names of the terms on the left of a bar; the intercept is there unless 0 says otherwise."""
    pieces = _split(expression, "+")
    named = [_plain(piece) for piece in pieces if piece not in ("0", "1")]
    return named if "0" in pieces else ["1", *named]


def _factors(groups: str) -> list[str]:
    """Grouping factors on the right of a bar: ``a / b`` is ``a`` and ``a:b``."""
    parts = [_plain(part) for part in _split(groups, "/")]
    return [":".join(parts[: k + 1]) for k in range(len(parts))]


def _plain(name: str) -> str:
    """A name as it can be compared, however its blanks and slashes are written."""
    return variable_name(re.sub(r"\s+", "", name))


def _check(wanted: Mapping[str, list[str]], design: Design, available: list[str]) -> None:
    known: dict[str, list[str]] = {}
    for block in design.blocks:
        names = [_plain(effect_name(term)) for term in block.terms if term.of is None]
        known.setdefault(_plain(block.factor), []).extend(names)
    for factor, names in wanted.items():
        for name in names:
            if name in known.get(factor, []):
                continue
            near = closest(factor, known) if factor not in known else closest(name, known[factor])
            hint = f" Did you mean {near!r}?" if near else ""
            raise RequestError(
                f"`re_formula` must have only group-specific terms of the model, got "
                f"'({name} | {factor})'. Available: {listing(available)}.{hint}"
            )
