"""The grammar of formulas: from text to the terms that it stands for.

::

    formula   outcome ~ sum
    sum       product + product - product …
    product   a * b  is  a + b + a:b;   a / b  is  a + a:b
    a:b       the interaction of a and b
    a ** 2    the product of a with itself; also a ^ 2
    atom      a column, `a quoted column`, a call f(…), {…} for I(…), 0, 1, ( sum ),
              ( sum | sum ) and ( sum || sum ) for group-specific terms

as in R, and tighter from top to bottom. ``1`` is the intercept, which is there unless ``0`` or
``- 1`` says otherwise. What is inside of a call is Python, and read by Python's parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

from mrp.errors import FormulaError, shortened
from mrp.formula import idioms
from mrp.formula.calls import QUOTED, canonical, plain


@dataclass(frozen=True)
class Part:
    """What terms are made of: a column of the data, or a call.

    Parameters
    ----------
    text
        Name of the column, or the call as Python writes it.
    is_call
        Which of the two it is.
    level
        The level in brackets after an outcome, as in ``vote['left']``.
    """

    text: str
    is_call: bool = False
    level: str | None = None

    @property
    def name(self) -> str:
        """Name in terms, labels and draws: without the backquotes of columns."""
        return plain(self.text) if self.is_call else self.text


MOST_CHARACTERS = 20_000
"""Length of the longest formula."""

Parts = tuple[Part, ...]
"""An interaction of parts; none of them: the intercept."""


@dataclass(frozen=True)
class Bracket:
    """Group-specific terms ``( … | g)`` of one grouping factor."""

    intercept: bool
    terms: tuple[Parts, ...]
    factor: Parts
    is_double: bool
    """Whether the bar is double, so that effects are independent."""


@dataclass(frozen=True)
class Description:
    """What a formula says.

    Parameters
    ----------
    outcome
        Left side; None where there is none.
    intercept
        Whether there is a population-level intercept.
    terms
        Population-level terms, offsets among them, in the order of the formula.
    brackets
        Group-specific terms, in the order of the formula.
    """

    outcome: Part | None
    intercept: bool
    terms: tuple[Parts, ...]
    brackets: tuple[Bracket, ...]


def name_of(parts: Parts) -> str:
    """Name of an interaction: ``a:b``."""
    return ":".join(part.name for part in parts)


def describe(formula: str) -> Description:
    """Read a formula to its end.

    Raises
    ------
    FormulaError
        It is not one; the message says where it can't be read, and what to write instead.

    Examples
    --------
    >>> described = describe("y ~ a / b + (1 | g)")
    >>> [name_of(parts) for parts in described.terms]
    ['a', 'a:b']
    """
    if not isinstance(formula, str):
        raise FormulaError(
            f"`formula` must be a string, got {type(formula).__name__}. "
            f"Distributional formulas (bambi.Formula) are not supported."
        )
    if len(formula) > MOST_CHARACTERS:
        raise FormulaError(
            f"`formula` must have at most {MOST_CHARACTERS:,} characters, got {len(formula):,}. "
            f"Compute what is long as columns of the data."
        )
    try:
        return _Parser(formula).formula()
    except RecursionError:
        raise FormulaError(
            f"`formula` must not nest brackets as deeply as {shortened(formula)!r}. Leave out "
            f"those that are not needed."
        ) from None


# --- tokens ---------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<name>[^\W\d][\w.]*)|`(?P<quoted>[^`]*)`"
    r"|(?P<string>'[^']*'|\"[^\"]*\")|(?P<mark>\|\||\*\*|==|!=|<=|>=|[-~+*/:^|()<>=\[\]{},]))"
)
_BLANK, _CALLED, _LEVELLED = (re.compile(rf"\s*{mark}") for mark in ("", r"\(", r"\["))
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True)
class _Token:
    kind: str
    """"number", "column", "call", "level", a mark, or "end"."""
    text: str
    level: str | None = None


def _tokens(formula: str, fail: Callable[[str], NoReturn]) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while not _BLANK.fullmatch(formula, at):
        match = _TOKEN.match(formula, at)
        if match is None:
            fail(f"it can't be read from {formula[at:].strip()[:20]!r} on")
        at = match.end()
        kind = match.lastgroup or ""
        text = match[kind]
        if kind == "mark" and text == "{":
            start = at - 1
            at = _end_of_bracket(formula, start, fail)
            inside = formula[start + 1 : at - 1]
            tokens.append(_Token("call", canonical(f"I({inside})", formula)))
        elif kind == "name" and (opening := _CALLED.match(formula, at)):
            start = opening.end() - 1
            at = _end_of_bracket(formula, start, fail)
            tokens.append(_Token("call", canonical(text + formula[start:at], formula)))
        elif kind in ("name", "quoted") and (opening := _LEVELLED.match(formula, at)):
            start = opening.end() - 1
            at = _end_of_bracket(formula, start, fail)
            tokens.append(_Token("column", text, _level(formula[start + 1 : at - 1], fail)))
        elif kind in ("name", "quoted"):
            tokens.append(_Token("column", text))
        else:
            tokens.append(_Token(text if kind == "mark" else kind, text))
    return [*tokens, _Token("end", "")]


def _level(text: str, fail: Callable[[str], NoReturn]) -> str:
    """The level that brackets behind a column name, with or without quotes."""
    match = re.fullmatch(r"""\s*(?:'([^']*)'|"([^"]*)"|([^\W\d][\w.]*))\s*""", text)
    if match is None:
        fail(f"[{text}] is no level. Write it in quotes: ['{text.strip()}']")
    return next(group for group in match.groups() if group is not None)


def _end_of_bracket(text: str, start: int, fail: Callable[[str], NoReturn]) -> int:
    """Position behind the bracket that closes the one at `start`; strings hide theirs."""
    open_brackets: list[str] = []
    at = start
    while at < len(text):
        mark = text[at]
        if mark in "'\"`":
            quoted = QUOTED.match(text, at)
            if quoted is None:
                fail(f"the quote {mark} is not closed")
            at = quoted.end() - 1
        elif mark in _OPENING:
            open_brackets.append(_CLOSING[_OPENING.index(mark)])
        elif mark in _CLOSING:
            if open_brackets.pop() != mark:
                break
            if not open_brackets:
                return at + 1
        at += 1
    return fail(f"the bracket {text[start]} is not closed")


# --- sums of terms --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sum:
    """Some terms; what is said of the intercept, if anything; group-specific terms."""

    terms: tuple[Parts, ...] = ()
    intercept: bool | None = None
    brackets: tuple[Bracket, ...] = ()
    number: str | None = None
    """The number, where the sum is nothing else."""

    def plus(self, other: _Sum) -> _Sum:
        intercept = self.intercept if other.intercept is None else other.intercept
        terms = _distinct((*self.terms, *other.terms))
        return _Sum(terms, intercept, (*self.brackets, *other.brackets))

    def minus(self, other: _Sum) -> _Sum:
        gone = set(map(frozenset, other.terms))
        kept = tuple(parts for parts in self.terms if frozenset(parts) not in gone)
        intercept = self.intercept if other.intercept is None else not other.intercept
        return _Sum(kept, intercept, self.brackets)

    def crossed(self, other: _Sum) -> _Sum:
        """The interaction of each term with each other one."""
        return _Sum(_distinct((*one, *two) for one in self.terms for two in other.terms))

    def nested(self, other: _Sum) -> _Sum:
        """``a / b``: the terms, and those of the other within all of them."""
        within = tuple(dict.fromkeys(part for parts in self.terms for part in parts))
        return _Sum(self.terms).plus(_Sum((within,)).crossed(other))

    def power(self, exponent: int) -> _Sum:
        result = _Sum(self.terms)
        for _ in range(min(exponent, len(self.terms)) - 1):
            result = result.plus(result.crossed(self))
        return result


def _distinct(terms: Iterable[Parts]) -> tuple[Parts, ...]:
    """Terms in order of appearance, each once: ``a:b`` is ``b:a``, and ``a:a`` is ``a``."""
    found: dict[frozenset[Part], Parts] = {}
    for parts in terms:
        found.setdefault(frozenset(parts), tuple(dict.fromkeys(parts)))
    return tuple(found.values())


class _Parser:
    """Reads tokens from left to right, a method for each line of the grammar."""

    def __init__(self, formula: str) -> None:
        self._formula = formula
        self._tokens = _tokens(formula, self._fail)
        self._at = 0

    def formula(self) -> Description:
        outcome = self._outcome()
        found = self._sum()
        if self._next.kind != "end":
            self._unread()
        intercept = True if found.intercept is None else found.intercept
        return Description(outcome, intercept, found.terms, found.brackets)

    def _outcome(self) -> Part | None:
        kinds = [token.kind for token in self._tokens]
        if kinds.count("~") > 1:
            self._fail("it has '~' more than once")
        if "~" not in kinds:
            return None
        side, self._at = self._tokens[: kinds.index("~")], kinds.index("~") + 1
        if len(side) != 1 or side[0].kind not in ("column", "call"):
            left = self._formula.split("~")[0].strip()
            self._fail(idioms.of_outcome(left) or f"left of '~' must be one outcome, not {left!r}")
        idiom = idioms.of_call(side[0].text, of_outcome=True) if side[0].kind == "call" else None
        if idiom:
            self._fail(idiom)
        return Part(side[0].text, side[0].kind == "call", side[0].level)

    def _sum(self) -> _Sum:
        result = _Sum()
        add = self._signs()
        while True:
            product = self._product()
            if not add and product.brackets:
                self._fail("group-specific terms can't be taken away by '-'")
            result = result.plus(product) if add else result.minus(product)
            if self._next.kind not in ("+", "-"):
                return result
            add = self._signs()

    def _signs(self) -> bool:
        """Whether the signs that come next add a term, or take one away."""
        add = True
        while self._next.kind in ("+", "-"):
            add ^= self._take().kind == "-"
        return add

    def _product(self) -> _Sum:
        left = self._interaction()
        while self._next.kind in ("*", "/"):
            mark = self._take().kind
            right = self._operand(self._interaction())
            left = self._operand(left)
            left = left.plus(right).plus(left.crossed(right)) if mark == "*" else left.nested(right)
        return left

    def _interaction(self) -> _Sum:
        left = self._power()
        while self._next.kind == ":":
            self._take()
            left = self._operand(left).crossed(self._operand(self._power()))
        return left

    def _power(self) -> _Sum:
        left = self._atom()
        while self._next.kind in ("**", "^"):
            self._take()
            exponent = self._take()
            if exponent.kind != "number" or not exponent.text.isdigit() or int(exponent.text) < 1:
                self._fail(f"a power of terms must be a whole number, not {exponent.text!r}")
            left = self._operand(left).power(int(exponent.text))
        return left

    def _atom(self) -> _Sum:
        token = self._next
        if token.kind not in ("column", "call", "number", "("):
            self._unread()
        self._take()
        if token.kind == "(":
            return self._bracket()
        if token.kind != "number":
            return _Sum(((Part(token.text, token.kind == "call", token.level),),))
        if token.text not in ("0", "1"):
            self._no_number(token.text)
        return _Sum(intercept=token.text == "1", number=token.text)

    def _bracket(self) -> _Sum:
        """What stands in brackets: a sum, or group-specific terms."""
        inside = self._sum()
        bar = self._next.kind
        if bar in ("|", "||"):
            self._take()
            inside = self._grouped(inside, self._sum(), is_double=bar == "||")
        if self._next.kind != ")":
            self._unread()
        self._take()
        return inside

    def _grouped(self, terms: _Sum, factors: _Sum, *, is_double: bool) -> _Sum:
        if self._next.kind in ("|", "||"):
            self._fail(idioms.TWO_BARS)
        if terms.brackets or factors.brackets:
            self._fail("group-specific terms can't stand inside of others")
        if not factors.terms:
            self._fail("right of '|' must be a grouping factor, such as g or g:h")
        intercept = True if terms.intercept is None else terms.intercept
        if not terms.terms and not intercept:
            self._fail("left of '|' must be something that varies by group: 1, x or 1 + x")
        return _Sum(
            brackets=tuple(
                Bracket(intercept, terms.terms, factor, is_double) for factor in factors.terms
            )
        )

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _operand(self, operand: _Sum) -> _Sum:
        """A sum that is multiplied: it has terms, and no numbers or brackets of groups."""
        if operand.number is not None:
            self._no_number(operand.number)
        if operand.brackets:
            self._fail("group-specific terms can only be added")
        return operand

    def _no_number(self, number: str) -> NoReturn:
        raise FormulaError(
            f"`formula` must be made of columns, calls, 0 and 1, got the number {number}. "
            f"Use `I(…)` for arithmetic or `offset(…)` for a constant."
        )

    def _unread(self) -> NoReturn:
        token = self._next
        if token.kind == "end":
            self._fail("it ends where a term should follow")
        self._fail(
            idioms.of_mark(token.kind)
            or f"it can't be read from {token.text!r} on. Join terms by '+', and write "
            f"group-specific terms in brackets: ( … | g)"
        )

    def _fail(self, problem: str) -> NoReturn:
        raise FormulaError(
            f"`formula` must be a Bambi formula such as 'y ~ x + (1 | g)', got "
            f"{shortened(self._formula)!r}: {problem}."
        )
