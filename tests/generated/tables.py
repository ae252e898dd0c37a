"""Surveys and frames, at random: the same values stored in every way that people have them.

A `Table` is made twice: `plain` for the second implementation (Python's values, rows numbered from
zero) and `stored` for mrp (pandas, polars or arrow; each column of some type; any index).

What type a factor has says what order its levels have:

=========  ===============================  ====================================
storage    pandas · polars · arrow          order of levels
=========  ===============================  ====================================
ordered    ordered category · Enum ·        that of the type
           ordered dictionary
unordered  category · Categorical ·         pandas: that of the type; the others
           dictionary                       say none: sorted
text       text                             sorted
=========  ===============================  ====================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st

LEVELS: Mapping[str, Sequence[str]] = {
    "a": ("mid", "low", "High", "none"),
    "b": ("v", "u", "NA", "w"),
    "c": ("k3", "k1", "k2", "k10"),
    "g": ("TX", "AL", "VT", "CA", "NY"),
    "region": ("south", "north"),
    "y": ("never", "always", "Sometimes", "once"),
}
"""Levels of text, in an order that is not the alphabet's."""
NUMBERED: Mapping[str, Sequence[int]] = {"k": (1, 2, 4), "h": (7, 1, 12)}
"""Whole numbers that formulas take as levels; they are sorted."""
NEVER = "never seen"
"""A category that no row has."""

LIBRARIES = ("pandas", "polars", "arrow")
STORAGES = ("ordered", "unordered", "text")
WHOLE = ("int64", "int8", "int16", "int32", "uint8")
NUMBERS = (*WHOLE, "float64", "float32")
INDEXES = ("plain", "permuted", "text", "duplicate", "named as a column", "two levels")
"""Indexes of a pandas table; other tables have none."""


@dataclass(frozen=True, repr=False)
class Table:
    """The same rows twice: for the second implementation, and for mrp."""

    plain: pd.DataFrame
    stored: Any
    storage: Mapping[str, str]
    library: str
    index: str

    def __repr__(self) -> str:
        how = ", ".join(f"{name}: {storage}" for name, storage in self.storage.items())
        index = f", index {self.index}" if self.library == "pandas" else ""
        return f"{self.library} ({how}{index})\n{self.plain.head(6).to_string()}\n"


@dataclass(frozen=True)
class Tables:
    """A survey and a frame that fits it, but for what `broken` says.

    Parameters
    ----------
    survey, frame
        The tables. Both have every variable, and weights ``n``; the frame has a ``region`` too.
    levels
        Levels of every factor in the survey's order, the reference first.
    broken
        What is wrong with the frame; it matters if the column is used.
    """

    survey: Table
    frame: Table
    levels: Mapping[str, tuple[Any, ...]]
    broken: str | None


# --- values ---------------------------------------------------------------------------------------


def people(
    rng: np.random.Generator,
    n: int,
    levels: Mapping[str, Sequence[Any]],
    storage: Mapping[str, str],
) -> pd.DataFrame:
    """Rows with every predictor; with enough of them, each level is there."""
    columns: dict[str, Any] = {}
    for name in ("a", "b", "c", "t", "k", "g", "h"):
        some = [*levels[name], *rng.choice(np.array(levels[name], dtype=object), n)][:n]
        columns[name] = pd.Series([some[i] for i in rng.permutation(n)], dtype=object)
    columns["x"] = pd.Series(_numbers(rng, n, storage["x"], -12, 12), dtype=object)
    columns["z"] = pd.Series(_numbers(rng, n, storage["z"], 1, 4), dtype=object)
    return pd.DataFrame(columns)


def _numbers(rng: np.random.Generator, n: int, storage: str, low: int, high: int) -> list[Any]:
    """Whole numbers, or quarters, that the type can hold."""
    low = max(low, 0) if storage.startswith("u") else low
    if "float" in storage.lower():
        return (rng.integers(4 * low, 4 * high + 1, n) / 4).tolist()
    return [low, high, *rng.integers(low, high + 1, n).tolist()][:n]


def learned_levels(
    plain: pd.DataFrame,
    orders: Mapping[str, Sequence[Any]],
    storage: Mapping[str, str],
    library: str,
) -> dict[str, tuple[Any, ...]]:
    """Levels that a survey has, in the order that its types say."""
    result: dict[str, tuple[Any, ...]] = {}
    for name, order in orders.items():
        if name not in plain.columns:
            continue
        given = storage[name] == "ordered" or (storage[name] == "unordered" and library == "pandas")
        seen = set(plain[name])
        levels = tuple(level for level in order if level in seen)
        result[name] = levels if given else tuple(sorted(levels))
    return result


# --- how they are stored --------------------------------------------------------------------------


def stored(
    plain: pd.DataFrame,
    orders: Mapping[str, Sequence[Any]],
    storage: Mapping[str, str],
    library: str,
    index: str,
    rng: np.random.Generator,
) -> Any:
    """A table of a library, with its columns in any order."""
    column = {"pandas": _pandas_column, "polars": _polars_column, "arrow": _arrow_column}[library]
    names = rng.permutation(plain.columns).tolist()
    columns = {
        name: column(plain[name].tolist(), storage[name], orders.get(name, ())) for name in names
    }
    if library == "polars":
        return pl.DataFrame(columns)
    if library == "arrow":
        return pa.table(columns)
    table = pd.DataFrame(columns)
    return _INDEX[index](table, rng)


def _pandas_column(values: list[Any], storage: str, order: Sequence[Any]) -> Any:
    missing = any(value is None for value in values)
    if storage in ("ordered", "unordered"):
        return pd.Categorical(values, list(order), ordered=storage == "ordered")
    if storage == "text":
        return pd.Series(values, dtype="str")
    if missing and not storage[0].isupper():
        return pd.Series(values, dtype="boolean" if storage.startswith("bool") else "float64")
    return pd.Series(values, dtype=storage)


def _polars_column(values: list[Any], storage: str, order: Sequence[Any]) -> Any:
    types: Mapping[str, Any] = {
        "ordered": pl.Enum(list(order) if storage == "ordered" else []),
        "unordered": pl.Categorical,
        "text": pl.String,
        "bool": pl.Boolean,
        "float32": pl.Float32,
        "float64": pl.Float64,
        "uint8": pl.UInt8,
        **{f"int{bits}": getattr(pl, f"Int{bits}") for bits in (8, 16, 32, 64)},
    }
    return pl.Series(values, dtype=types[storage], strict=False)


def _arrow_column(values: list[Any], storage: str, order: Sequence[Any]) -> Any:
    if storage in ("ordered", "unordered"):
        places = [None if value is None else list(order).index(value) for value in values]
        return pa.DictionaryArray.from_arrays(
            pa.array(places, pa.int32()), pa.array(list(order)), ordered=storage == "ordered"
        )
    types = {"text": pa.string(), "bool": pa.bool_(), "float32": pa.float32()}
    types |= {"float64": pa.float64()}
    return pa.array(values, types.get(storage) or getattr(pa, storage)())


_INDEX: Mapping[str, Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]] = {
    "plain": lambda table, rng: table,
    "permuted": lambda table, rng: table.set_axis(rng.permutation(len(table))),
    "text": lambda table, rng: table.set_axis([f"row {i}" for i in rng.permutation(len(table))]),
    "duplicate": lambda table, rng: table.set_axis(rng.integers(0, 3, len(table))),
    "named as a column": lambda table, rng: table.set_index("g", drop=False),
    "two levels": lambda table, rng: table.set_index(["h", "a"], drop=False),
}


# --- what a frame may have wrong ------------------------------------------------------------------


def _with(name: str, value: Any) -> Callable[[pd.DataFrame, int], pd.DataFrame]:
    def changed(plain: pd.DataFrame, row: int) -> pd.DataFrame:
        values = plain[name].tolist()
        values[row] = value
        return plain.assign(**{name: pd.Series(values, dtype=object)})

    return changed


BREAKS: Mapping[str, Callable[[pd.DataFrame, int], pd.DataFrame]] = {
    **{
        f"a level of {name!r} that the survey lacks": _with(name, value)
        for name, value in {"a": "mId", "b": "V", "c": "k4", "k": 3, "g": "WY", "h": 70}.items()
    },
    **{
        f"a missing value of {name!r}": _with(name, None)
        for name in ("a", "b", "t", "k", "x", "z", "g", "h", "region")
    },
    **{
        f"no column {name!r}": lambda plain, row, name=name: plain.drop(columns=name)
        for name in ("a", "c", "x", "g", "region")
    },
    "a negative weight": _with("n", -1.0),
    "a missing weight": _with("n", None),
}


# --- strategies -----------------------------------------------------------------------------------


def storages(library: str) -> st.SearchStrategy[dict[str, str]]:
    """How each column is stored."""
    nullable = library == "pandas"
    whole = (*WHOLE, "float64", *(("Int64",) if nullable else ()))
    numbers = (*NUMBERS, *(("Int64", "Float64") if nullable else ()))
    return st.fixed_dictionaries(
        {
            **{name: st.sampled_from(STORAGES) for name in ("a", "b", "c", "g", "region")},
            **{name: st.sampled_from(whole) for name in ("k", "h")},
            **{name: st.sampled_from(numbers) for name in ("x", "z")},
            "t": st.sampled_from(("bool", "boolean") if nullable else ("bool",)),
            "n": st.sampled_from(("float64", "int64")),
        }
    )


@st.composite
def orders(draw: st.DrawFn, used: Mapping[str, Sequence[Any]], *, more: bool) -> dict[str, Any]:
    """An order of each factor's levels, maybe with a category that no row has."""
    result = {}
    for name, levels in used.items():
        spare = [NEVER] if more and isinstance(levels[0], str) and draw(st.booleans()) else []
        result[name] = draw(st.permutations([*levels, *spare]))
    return result


OUTCOMES: Mapping[str, tuple[str, ...]] = {
    "gaussian": ("float64", "int16", "float32"),
    "bernoulli": ("int64", "bool", "uint8"),
    "poisson": ("int64", "int8"),
    "categorical": ("ordered", "unordered", "text"),
    "cumulative": ("ordered", "int64", "unordered", "text"),
}
"""How each family's outcome may be stored."""


def _outcome(
    rng: np.random.Generator, n: int, family: str, storage: str, levels: Sequence[str]
) -> list[Any]:
    if family == "gaussian":
        return (rng.integers(-20, 20, n) / (1 if storage == "int16" else 4)).tolist()
    if family == "bernoulli":
        return [
            bool(v) if storage == "bool" else int(v) for v in [0, 1, *rng.integers(0, 2, n - 2)]
        ]
    if family == "poisson":
        return rng.poisson(2.0, n).tolist()
    of = [2, 3, 5, 7][: len(levels)] if storage == "int64" else levels
    return [*of, *rng.choice(np.array(of, dtype=object), n - len(of))]


@st.composite
def tables(draw: st.DrawFn, family: str = "gaussian", *, most_rows: int = 40) -> Tables:
    """A survey and a frame; in one of four cases the frame breaks the contract."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    used: dict[str, Any] = {
        name: LEVELS[name][: draw(st.integers(2, 4))] for name in ("a", "b", "c", "g", "y")
    }
    used |= {name: numbers[: draw(st.integers(2, 3))] for name, numbers in NUMBERED.items()}
    used |= {"t": (False, True), "region": LEVELS["region"]}
    survey, levels = draw(_survey(rng, used, family, most_rows))
    breaks = st.one_of(st.none(), st.none(), st.none(), st.sampled_from(sorted(BREAKS)))
    broken = draw(breaks)
    frame = draw(_frame(rng, used, survey.plain, broken, most_rows))
    return Tables(survey, frame, levels, broken)


@st.composite
def _survey(
    draw: st.DrawFn, rng: np.random.Generator, used: Mapping[str, Any], family: str, most_rows: int
) -> tuple[Table, Any]:
    library, index = draw(st.sampled_from(LIBRARIES)), draw(st.sampled_from(INDEXES))
    storage = {**draw(storages(library)), "y": draw(st.sampled_from(OUTCOMES[family]))}
    order = draw(orders(used, more=True))
    n = draw(st.integers(8, most_rows))
    plain = people(rng, n, used, storage)
    y = _outcome(rng, n, family, storage["y"], used["y"])
    plain["y"] = pd.Series([y[i] for i in rng.permutation(n)], dtype=object)
    plain["n"] = _weights(rng, n, storage["n"])
    storage = {name: storage[name] for name in plain.columns}
    table = stored(plain, order, storage, library, index, rng)
    numbered = {**order, "y": sorted(set(y))} if storage["y"] == "int64" else order
    return Table(plain, table, storage, library, index), learned_levels(
        plain, numbered, storage, library
    )


@st.composite
def _frame(
    draw: st.DrawFn,
    rng: np.random.Generator,
    used: Mapping[str, Any],
    survey: pd.DataFrame,
    broken: str | None,
    most_rows: int,
) -> Table:
    library, index = draw(st.sampled_from(LIBRARIES)), draw(st.sampled_from(INDEXES))
    storage = draw(storages(library))
    m = draw(st.integers(1, most_rows))
    plain = people(rng, m, used, storage)
    # groups of crossed factors are those of respondents
    groups = survey[["g", "h"]].iloc[rng.integers(0, len(survey), m)].reset_index(drop=True)
    plain = plain.assign(g=groups["g"], h=groups["h"])
    plain["region"] = pd.Series(rng.choice(np.array(used["region"], dtype=object), m))
    plain["n"] = _weights(rng, m, storage["n"])
    # some cells are there twice
    again = rng.integers(0, m, draw(st.integers(0, 3)))
    plain = plain.iloc[[*range(m), *again]].reset_index(drop=True)
    if broken is not None:
        plain = BREAKS[broken](plain, int(rng.integers(0, len(plain))))
    index = index if {"g", "h", "a"} <= set(plain.columns) else "plain"
    order = draw(orders(_with_new(used, plain), more=True))
    storage = {name: storage[name] for name in plain.columns}
    if broken == "a missing weight":
        storage["n"] = "float64"
    return Table(plain, stored(plain, order, storage, library, index, rng), storage, library, index)


def _with_new(used: Mapping[str, Any], plain: pd.DataFrame) -> dict[str, Any]:
    """Levels that a table's types must have: the survey's, and new ones."""
    return {
        name: tuple(dict.fromkeys([*levels, *plain[name].dropna()]))
        for name, levels in used.items()
        if name in plain.columns
    }


def _weights(rng: np.random.Generator, n: int, storage: str) -> Any:
    """Weights, some of them zero."""
    weights = rng.integers(0, 40, n) * (rng.random(n) > 0.2)
    return (weights if storage == "int64" else weights / 8).astype(storage)
