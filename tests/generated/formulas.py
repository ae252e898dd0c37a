"""Formulas of the grammar, at random.

A formula is written in names of `ATOMS`, so that the second implementation has a column for every
atom and need not read calls. `Formula.text` is what a user writes: each atom as it is spelled.

Factors ``a``, ``b``, ``c`` have levels, ``t`` is a boolean, ``k`` are whole numbers; ``x`` and
``z`` are numbers, z is above zero; ``g`` and ``h`` are grouping factors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import formulaic
import numpy as np
from hypothesis import strategies as st

Floats = Any
"""One number for each row (n,)."""
Term = tuple[str, ...]
"""Atoms; none of them: the intercept."""


@dataclass(frozen=True)
class Atom:
    """What terms are made of: a column, or a call of one column.

    `call` computes it of the column, and of the survey's column where it learns from that; None
    where it is the column itself.
    """

    spelled: str
    column: str
    kind: Literal["factor", "number"] = "number"
    call: Callable[[Floats, Floats], Floats] | None = None


ATOMS: Mapping[str, Atom] = {
    "a": Atom("a", "a", "factor"),
    "b": Atom("b", "b", "factor"),
    "c": Atom("c", "c", "factor"),
    "t": Atom("t", "t", "factor"),
    "x": Atom("x", "x"),
    "z": Atom("z", "z"),
    "level_of_k": Atom("C(k)", "k", "factor"),
    "level_of_b": Atom("C(b)", "b", "factor"),
    "square": Atom("I(x**2)", "x", call=lambda x, survey: x * x),
    "minus_square": Atom("I(-x**2)", "x", call=lambda x, survey: -(x * x)),
    "square_from_2": Atom("I((x - 2)**2)", "x", call=lambda x, survey: (x - 2) * (x - 2)),
    "from_40": Atom("I(x - 40)", "x", call=lambda x, survey: x - 40),
    "quarter": Atom("I(x / 4)", "x", call=lambda x, survey: 0.25 * x),
    "tower": Atom("I(2**z**0.5)", "z", call=lambda z, survey: np.exp2(np.sqrt(z))),
    "log": Atom("np.log(z)", "z", call=lambda z, survey: np.log(z)),
    "decay": Atom("np.exp(-z**2)", "z", call=lambda z, survey: 1 / np.exp(z * z)),
    "scaled": Atom(
        "scale(x)",
        "x",
        call=lambda x, survey: (
            (x - survey.mean()) / np.sqrt(np.mean((survey - survey.mean()) ** 2))
        ),
    ),
    "centred": Atom("center(x)", "x", call=lambda x, survey: x - survey.mean()),
}
PLAIN = ("a", "b", "c", "t", "x", "z")
CALLS = tuple(name for name in ATOMS if name not in PLAIN)
FACTORS = tuple(name for name, atom in ATOMS.items() if atom.kind == "factor")

SHAPES = (
    "{0}",
    "{0}:{1}",
    "{0} * {1}",
    "{0} / {1}",
    "{0} + {1}",
    "{0}:{1}:{2}",
    "{0} + {0}:{1}",
    "{0} + {1}:{2}",
    "{0}:{1} + {1}:{2}",
    "{0} * {1} - {0}",
    "({0} + {1})**2",
    "({0} + {1}):{2}",
    "{0}:({1} + {2})",
    "{0} / ({1} + {2})",
    "({0} + {1}) / {2}",
    "{0} / {1} / {2}",
    "{0}:{1} * {2}",
    "{0} * ({1} - {2})",
    "{0} * {1} * {2}",
    "({0} + {1} + {2})**2",
    "{0} * {1} * {2} - {0}:{1}",
)
"""Pieces of a sum, with places for different atoms."""
INTERCEPTS = ("{0}", "0 + {0}", "{0} - 1", "1 + {0}", "-1 + {0}", "{0} + 0")
"""Ways to say whether there is an intercept."""
OFFSETS = ("z", "log", "x", "quarter")


@dataclass(frozen=True)
class Bracket:
    """Group-specific terms ``(left | groups)``, in names of atoms."""

    left: str
    bar: str
    groups: str

    @property
    def factors(self) -> tuple[str, ...]:
        """The grouping factors: ``g / h`` is ``g`` and ``g:h``."""
        parts = [part.strip() for part in self.groups.split("/")]
        return tuple(":".join(parts[: k + 1]) for k in range(len(parts)))


@dataclass(frozen=True, repr=False)
class Formula:
    """The right side of a formula, in names of atoms."""

    population: str
    brackets: tuple[Bracket, ...] = ()
    offsets: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The formula as a user writes it."""
        brackets = [f"({spelled(b.left)} {b.bar} {b.groups})" for b in self.brackets]
        offsets = [f"offset({spelled(name)})" for name in self.offsets]
        return "y ~ " + " + ".join([spelled(self.population), *offsets, *brackets])

    @property
    def sums(self) -> tuple[str, ...]:
        """The sums of terms: that of the population level, and the left sides of brackets."""
        return (self.population, *(bracket.left for bracket in self.brackets))

    @property
    def atoms(self) -> tuple[str, ...]:
        """Atoms of all terms, on the left of brackets too, but not those of offsets."""
        found = [name for expression in self.sums for term in terms_of(expression) for name in term]
        return tuple(dict.fromkeys(found))

    @property
    def groups(self) -> tuple[str, ...]:
        """Columns of the grouping factors."""
        named = [name for b in self.brackets for name in re.findall(r"\w+", b.groups)]
        return tuple(dict.fromkeys(named))

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns of terms and offsets, grouping factors apart."""
        atoms = (*self.atoms, *self.offsets)
        return tuple(dict.fromkeys(ATOMS[name].column for name in atoms))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the right side."""
        return tuple(dict.fromkeys((*self.variables, *self.groups)))

    def __repr__(self) -> str:
        return repr(self.text)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """As Hypothesis writes an example."""
        printer.text(repr(self))


def spelled(text: str) -> str:
    """A piece of a formula with each atom as a user spells it."""
    return re.sub(r"[a-z]\w*", lambda found: ATOMS[found[0]].spelled, text)


def terms_of(expression: str) -> list[Term]:
    """Terms of a sum, those of fewer atoms first, as formulaic and R expand it."""
    terms = formulaic.Formula(expression)
    return [tuple(factor.expr for factor in term.factors if factor.expr != "1") for term in terms]


# --- strategies -----------------------------------------------------------------------------------


@st.composite
def sums(draw: st.DrawFn, atoms: Sequence[str], most: int) -> str:
    """Up to so many pieces, with or without an intercept; at least one."""
    pieces = []
    for shape in draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=most)):
        places = 1 + max(int(place) for place in re.findall(r"{(\d)}", shape))
        names = st.lists(st.sampled_from(atoms), min_size=places, max_size=places, unique=True)
        pieces.append(shape.format(*draw(names)))
    return draw(st.sampled_from(INTERCEPTS)).format(" + ".join(pieces))


def atoms_to_use() -> st.SearchStrategy[tuple[str, ...]]:
    """The columns, and two of the calls: formulas are easier to read with few calls."""
    calls = st.lists(st.sampled_from(CALLS), max_size=2, unique=True)
    return calls.map(lambda few: (*PLAIN, *few))


@st.composite
def brackets(draw: st.DrawFn, atoms: Sequence[str]) -> Bracket:
    """``( … | g)``, with one bar or two, and every form of a grouping factor."""
    left = draw(st.one_of(st.just("1"), sums(atoms, 1), sums(atoms, 2)))
    bar = draw(st.sampled_from(("|", "|", "||")))
    return Bracket(left, bar, draw(st.sampled_from(("g", "h", "g:h", "g / h"))))


@st.composite
def formulas(draw: st.DrawFn, *, most_pieces: int = 3, most_brackets: int = 2) -> Formula:
    """Formulas with terms to estimate."""
    atoms = draw(atoms_to_use())
    some_terms = sums(atoms, most_pieces)
    population = draw(st.one_of(st.just("1"), some_terms, some_terms, some_terms))
    offsets = draw(st.lists(st.sampled_from(OFFSETS), max_size=1))
    least = draw(st.integers(0, most_brackets))
    some = draw(st.lists(brackets(atoms), min_size=least, max_size=most_brackets))
    return Formula(population, tuple(some), tuple(offsets))
