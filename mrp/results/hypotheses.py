"""Hypotheses: estimates made of other estimates, draw by draw.

A statement, a contrast of pairs or a function is applied to the joint draws of the rows, so that
the interval of a difference takes into account how its two sides vary together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import RequestError, listing, unknown, warn
from mrp.memory import LARGE, check_fits
from mrp.prediction import RowDraws
from mrp.results.estimates import Estimates, Made, estimates
from mrp.results.expressions import Expression, parse, unquoted
from mrp.results.labels import names_of, telling

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Hypothesis = str | Sequence[str] | float | Callable[[Floats], Any]
Contrast = Literal["difference", "ratio"]
Pairing = Literal[
    "pairwise", "reference", "sequential", "revpairwise", "revreference", "revsequential"
]

MOST_PAIRS = 100_000
"""Pairs that one formula may compare."""
CONTRASTS: Mapping[str, tuple[Callable[[Floats, Floats], Floats], str]] = {
    "difference": (np.subtract, "({hi}) - ({lo})"),
    "ratio": (np.divide, "({hi}) / ({lo})"),
}
"""Contrast of two rows by name: its function, and how it is written."""

_FORMULA = re.compile(r"\s*(\w*)\s*~\s*(\w*)\s*(?:\|(.*))?")


@dataclass(frozen=True)
class Pairs:
    """Contrasts of the rows of a quantity with others of its rows."""

    source: RowDraws
    hi: Rows
    lo: Rows
    contrast: Callable[[Floats, Floats], Floats]

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.hi)

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.source.size

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """What a pair's contrast depends on."""
        return [self.hi.astype(np.int64), self.lo.astype(np.int64)]

    def values(self, rows: Rows) -> Floats:
        """Values (pairs, draws)."""
        hi, lo = self.source.values(self.hi[rows]), self.source.values(self.lo[rows])
        with np.errstate(all="ignore"):  # what is not finite is reported
            result = self.contrast(hi, lo)
        _check_finite(result, lambda k: f"b{self.hi[rows[k]] + 1} and b{self.lo[rows[k]] + 1}")
        return result


@dataclass(frozen=True)
class Shifted:
    """A quantity less a number."""

    source: RowDraws
    number: float

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.source.n

    @property
    def size(self) -> int:
        """Number of draws."""
        return self.source.size

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """What a row's value depends on."""
        return self.source.keys

    def values(self, rows: Rows) -> Floats:
        """Values (rows, draws)."""
        return self.source.values(rows) - self.number


def hypothesis(of: Estimates, statement: Hypothesis) -> Estimates:
    """Estimates made of others, as `Estimates.hypothesis` describes them."""
    if callable(statement):
        result = _of_function(of, statement)
    elif isinstance(statement, str) and "~" in unquoted(statement):
        result = _of_formula(of, statement)
    elif isinstance(statement, str):
        result = _of_statements(of, [statement])
    elif isinstance(statement, float | int | np.number) and not isinstance(statement, bool):
        result = _of_number(of, float(statement))
    elif isinstance(statement, Sequence) and all(isinstance(each, str) for each in statement):
        result = _of_statements(of, statement)
    else:
        raise RequestError(
            f"`statement` must be text, a list of texts, a number or a function, got "
            f"{type(statement).__name__}. For example: 'b2 - b1 = 0', '~pairwise'."
        )
    return replace(result, summarised=of.summarised)


def _quantity(of: Estimates, verb: str) -> dict[str, Any]:
    return {**of.about, "quantity": f"{verb} {of.about.get('quantity', 'estimate')}"}


# --- statements, numbers, functions ---------------------------------------------------------------


def _of_statements(of: Estimates, statements: Sequence[str]) -> Estimates:
    if not statements:
        raise RequestError("`statement` must have at least one text, got an empty list.")
    for text in statements:
        if "~" in unquoted(text):
            raise RequestError(
                f"`statement` must have a formula alone, got {text!r} in a list. "
                f"Ask for each formula by itself."
            )
    needed = 8 * len(statements) * of.source.size
    if needed > LARGE:
        what = f"{len(statements):,} statements in {of.source.size:,} draws"
        check_fits(2 * needed, what, "statement", "Ask for some of them at a time.")
    names = of.names
    expressions = [parse(text, names) for text in statements]
    values = np.array([_evaluated(of.source, each) for each in expressions])
    texts = [each.text for each in expressions]
    _check_finite(values, texts.__getitem__)
    labels = pd.DataFrame({"hypothesis": texts})
    return estimates(labels, Made(values), of.chains, _quantity(of, "hypothesis on"))


def _evaluated(source: RowDraws, expression: Expression) -> Floats:
    return expression.value(source.values(np.array(list(expression.rows.values()))))


def _of_number(of: Estimates, number: float) -> Estimates:
    if not math.isfinite(number):
        raise RequestError(f"`statement` must be a finite number, got {number!r}.")
    labels = of.labels.drop(columns="hypothesis", errors="ignore")
    earlier = [f"({text})" for text in of.labels["hypothesis"]] if "hypothesis" in of.labels else ""
    texts = [f"{text} = {number:g}".strip() for text in earlier or [""] * len(of)]
    labels.insert(0, "hypothesis", texts)
    about = {**of.about, "quantity": f"{of.about.get('quantity', 'estimate')} - {number:g}"}
    return estimates(labels, Shifted(of.source, number), of.chains, about)


def _of_function(of: Estimates, function: Callable[[Floats], Any]) -> Estimates:
    name = getattr(function, "__name__", "function").strip("<>")
    values = np.asarray(function(of.made_anew()))  # the user's to overwrite
    if values.ndim not in (1, 2) or values.shape[-1] != of.source.size or not len(values):
        shape = " x ".join(map(str, values.shape)) or "a single number"
        raise RequestError(
            f"`statement` must be a function of draws (rows x draws, here {len(of)} x "
            f"{of.source.size}) that returns (draws,) or (rows, draws), got {shape} of {name!r}. "
            f"Reduce over the rows with `axis=0`."
        )
    if not np.can_cast(values.dtype, np.float64, "same_kind"):
        raise RequestError(
            f"`statement` must be a function that returns numbers, got {str(values.dtype)!r} "
            f"of {name!r}."
        )
    rows = np.atleast_2d(values).astype(np.float64)
    texts = [name] if values.ndim == 1 else [f"{name}[{k + 1}]" for k in range(len(rows))]
    _check_finite(rows, texts.__getitem__)
    labels = pd.DataFrame({"hypothesis": texts})
    return estimates(labels, Made(rows), of.chains, _quantity(of, "hypothesis on"))


def _check_finite(values: Floats, text: Callable[[int], str]) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.flatnonzero(bad.any(axis=1))[0])
        raise RequestError(
            f"`statement` must have finite values, got {int(bad[row].sum()):,} of "
            f"{values.shape[1]:,} draws that are not in {text(row)!r}. Look for "
            f"division by zero, and for logarithms of what is not positive."
        )


# --- formulas -------------------------------------------------------------------------------------


def _of_formula(of: Estimates, text: str) -> Estimates:
    contrast, pairing, groups = _read(of, text)
    codes = _codes(of.labels, groups)
    _check_pairs(codes, pairing, groups, of)
    hi, lo = _pairs(codes, pairing)
    function, written = CONTRASTS[contrast]
    fixed = [name for name in of.labels.columns if _is_fixed(of.labels[name], codes)]
    names = _short_names(of.labels.drop(columns=fixed), codes)
    texts = [written.format(hi=names[h], lo=names[k]) for h, k in zip(hi, lo, strict=True)]
    kept = of.labels.iloc[hi][fixed].reset_index(drop=True)
    if "hypothesis" in kept:  # a contrast of contrasts
        texts = [
            f"{first}: {text}" for first, text in zip(kept.pop("hypothesis"), texts, strict=True)
        ]
    kept.insert(0, "hypothesis", texts)
    verb = {"difference": "difference in", "ratio": "ratio of"}[contrast]
    source = Pairs(of.source, hi, lo, function)
    return estimates(kept, source, of.chains, _quantity(of, verb))


def _read(of: Estimates, text: str) -> tuple[Contrast, Pairing, list[str]]:
    """Contrast, pairing and grouping columns of a formula."""
    match = _FORMULA.fullmatch(text)
    if match is None:
        raise RequestError(
            f"`statement` must be a formula such as '~ pairwise' or 'ratio ~ reference | state', "
            f"got {text!r}. Available: {listing(get_args(Pairing))}."
        )
    contrast, pairing, given = match[1] or "difference", match[2], match[3]
    if contrast not in CONTRASTS:
        raise RequestError(
            unknown("statement", "have a contrast left of ~", contrast, list(CONTRASTS))
        )
    if pairing not in get_args(Pairing):
        raise RequestError(
            unknown("statement", "say right of ~ what to compare", pairing, get_args(Pairing))
        )
    return contrast, pairing, [] if given is None else _groups(of, given)  # type: ignore[return-value]


def _groups(of: Estimates, text: str) -> list[str]:
    """Columns named to the right of ``|``: one, or several with ``+`` between them."""
    columns = {str(name): name for name in of.labels.columns}
    text = text.strip()
    named = [text] if text in columns else [part.strip() for part in text.split("+")]
    named = [part[1:-1] if re.fullmatch("`.+`", part) else part for part in named]
    for name in named:
        if name not in columns:
            raise RequestError(
                unknown("statement", "have label columns right of |", name, list(columns))
            )
    return [columns[name] for name in dict.fromkeys(named)]


def _codes(labels: pd.DataFrame, groups: list[str]) -> Rows:
    """Group of each row, from 0 in order of appearance."""
    if not groups:
        return np.zeros(len(labels), dtype=np.intp)
    grouped = labels.groupby(groups, sort=False, observed=True, dropna=False)
    return grouped.ngroup().to_numpy().astype(np.intp)


def _check_pairs(codes: Rows, pairing: str, groups: list[str], of: Estimates) -> None:
    sizes = np.bincount(codes)
    pairs = int((sizes * (sizes - 1) // 2 if "pairwise" in pairing else sizes - 1).sum())
    if not pairs:
        where = f" with equal {listing(groups)}" if groups else ""
        raise RequestError(
            f"`statement` must have at least two rows{where} to compare, got {len(of)} in "
            f"{len(sizes)} group{'s' if len(sizes) != 1 else ''}. Ask for more of them with `by=`."
        )
    if pairs > MOST_PAIRS:
        raise RequestError(
            f"`statement` must compare at most {MOST_PAIRS:,} pairs, got {pairs:,} of "
            f"{len(of):,} rows. Average with `by=` first, or compare within groups: "
            f"'~ {pairing} | column'."
        )
    alone = np.flatnonzero(sizes == 1)
    if len(alone):
        first = of.labels[groups].iloc[[int(np.flatnonzero(codes == k)[0]) for k in alone]]
        warn(
            f"`statement` compares rows with equal {listing(groups)}: nothing is made for "
            f"{listing(names_of(first))}, which have one row each.",
            UserWarning,
        )


def _pairs(codes: Rows, pairing: str) -> tuple[Rows, Rows]:
    """Rows that are compared, and the rows that they are compared with."""
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    kind = pairing.removeprefix("rev")
    found = [rows[_positions(len(rows), kind)] for rows in groups]
    later, earlier = np.concatenate(found, axis=1)
    return (earlier, later) if pairing.startswith("rev") else (later, earlier)


def _positions(n: int, kind: str) -> Rows:
    """Places in a group of n rows: the later and the earlier of each pair (2, pairs)."""
    if kind == "pairwise":
        earlier, later = np.triu_indices(n, 1)
        return np.stack([later, earlier])
    later = np.arange(1, n)
    return np.stack([later, later - 1 if kind == "sequential" else np.zeros_like(later)])


def _is_fixed(column: pd.Series, codes: Rows) -> bool:
    """Whether rows that are compared never differ in a column: it labels the contrast then."""
    values = pd.factorize(column, use_na_sentinel=False)[0]
    return len(np.unique(codes * (values.max() + 1) + values)) == codes.max() + 1


def _short_names(labels: pd.DataFrame, codes: Rows) -> list[str]:
    """Names from the columns that tell rows of a group apart; b1, b2, … where none do."""
    with_group = labels.assign(**{"": codes})
    names = names_of(labels[[name for name in telling(with_group) if name != ""]])
    unique = not pd.DataFrame({"name": names, "group": codes}).duplicated().any()
    return names if unique else names_of(pd.DataFrame(index=labels.index))
