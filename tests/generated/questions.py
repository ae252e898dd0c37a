"""Questions that are asked of a fit, at random, and what the second implementation answers.

A question has the same answer from both, or both refuse it: `expected` gives the draws, or raises
`Refused` with what is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import mrp
from tests.generated import second
from tests.generated.formulas import Formula
from tests.generated.second import Floats, Second
from tests.generated.tables import Table, Tables

Verb = Literal["predictions", "comparisons", "avg_predictions", "avg_comparisons", "poststratify"]
Rows = Literal["survey", "frame", "grid"]
Weights = Literal[
    "column", "none", "array", "series", "series in another order", "series of other rows"
]
Key = tuple[Hashable, ...]
Change = Mapping[str, Callable[[pd.Series], Any]]
"""What columns are set to, as functions of theirs."""


class Refused(Exception):
    """The second implementation says that a question has no answer."""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Parameters
    ----------
    verb, rows
        The verb, and the rows that it is asked of; a grid has `values`.
    variables
        For each variable that changes: values of a prediction, or a contrast.
    by, weights
        Of averages.
    type, comparison
        Scale of predictions, and function of both sides of a contrast.
    """

    verb: Verb
    rows: Rows
    variables: Mapping[str, Any] | None = None
    by: tuple[str, ...] = ()
    weights: Weights = "none"
    type: Literal["response", "link"] = "response"
    comparison: Literal["difference", "ratio"] = "difference"
    values: Mapping[str, Sequence[Any]] | None = None

    @property
    def averaged(self) -> bool:
        """Whether rows are averaged."""
        return self.verb not in ("predictions", "comparisons")

    @property
    def compares(self) -> bool:
        """Whether two predictions are contrasted."""
        return "comparisons" in self.verb


# --- mrp's answer ---------------------------------------------------------------------------------


def asked(fit: mrp.Fit, tables: Tables, question: Question) -> mrp.Estimates:
    """The answer of mrp."""
    options: dict[str, Any] = {"type": question.type}
    if question.variables is not None:
        options["variables"] = dict(question.variables)
    if question.compares:
        options["comparison"] = question.comparison
    if question.averaged:
        table = tables.survey if question.rows == "survey" else tables.frame
        options["by"] = list(question.by) or None
        options["wts"] = None if question.rows == "grid" else _weights(table, question.weights)
    if question.verb == "poststratify":
        return mrp.poststratify(fit, tables.frame.stored, **options)
    newdata = {"survey": None, "frame": tables.frame.stored}.get(question.rows)
    if question.rows == "grid":
        newdata = mrp.datagrid(fit, **dict(question.values or {}))
    return getattr(mrp, question.verb)(fit, newdata=newdata, **options)


def _weights(table: Table, how: Weights) -> Any:
    if how == "none":
        return None
    if how == "column":
        return "n"
    if how == "array":
        return table.plain["n"].to_numpy(dtype=np.float64)
    series = table.stored["n"]
    if how == "series in another order":
        return series.iloc[::-1]
    return (
        series if how == "series" else series.set_axis([f"other {i}" for i in range(len(series))])
    )


# --- the second implementation's ------------------------------------------------------------------


def expected(model: Second, tables: Tables, question: Question) -> dict[Key, Floats]:
    """Draws of each estimate, by the outcome's level, the change and the row or the group."""
    data = rows_of(model, tables, question)
    reason = second.rows_refused(model.formula, data, model.survey, model.levels)
    if reason:
        raise Refused(reason)
    weights = np.ones(len(data))
    if question.averaged:
        weights = weights_of(data, tables, question)
        reason = second.average_refused(data, weights, question.by)
        if reason:
            raise Refused(reason)
    changes = changes_of(model, question)
    result: dict[Key, Floats] = {}
    for number, sides in enumerate(changes):
        predicted = [model.predicted(changed(data, side), question.type) for side in sides]
        if question.averaged:
            groups = data[list(question.by)].itertuples(index=False, name=None)
            keys = [tuple(map(key, group)) for group in groups]
            averages = [second.average(p, weights, keys) for p in predicted]
            of_key = {k: _compared([a[k] for a in averages], question) for k in averages[0]}
        else:
            rows = _compared(predicted, question)
            of_key = {(i,): row for i, row in enumerate(rows)}
        for place, by_level in of_key.items():
            for level, draws in enumerate(by_level):
                result[(level, number, *place)] = draws
    return result


def _compared(sides: Sequence[Floats], question: Question) -> Floats:
    if not question.compares:
        (only,) = sides
        return only
    hi, lo = sides
    return hi - lo if question.comparison == "difference" else hi / lo


def key(value: Any) -> Hashable:
    """A value that is the same however a number is stored."""
    return value if isinstance(value, str) else float(value)


def rows_of(model: Second, tables: Tables, question: Question) -> pd.DataFrame:
    """The plain rows that a question asks of."""
    if question.rows == "survey":
        return tables.survey.plain
    return tables.frame.plain if question.rows == "frame" else grid_of(model, question)


def grid_of(model: Second, question: Question) -> pd.DataFrame:
    """All combinations of the values asked for; other columns are typical of the survey."""
    values = dict(question.values or {})
    as_levels = {*model.formula.groups, *(n for n in model.formula.variables if n in "abct")}
    if "level_of_k" in model.formula.atoms:
        as_levels.add("k")
    for name in model.formula.columns:
        if name not in values:
            levels = model.levels[name] if name in as_levels else None
            values[name] = [second.typical(model.survey[name], levels)]
    rows = list(itertools.product(*values.values()))
    return pd.DataFrame(rows, columns=list(values), dtype=object)


def weights_of(data: pd.DataFrame, tables: Tables, question: Question) -> Floats:
    """Weight of each row."""
    if question.weights == "none" or question.rows == "grid":
        return np.ones(len(data))
    if question.weights == "series of other rows":
        raise Refused("weights are of other rows")
    weights = data["n"].to_numpy(dtype=np.float64)
    if question.weights == "series in another order":
        index = (tables.survey if question.rows == "survey" else tables.frame).stored.index
        if index.equals(index[::-1]):
            return weights[::-1]
        if not index.is_unique:
            raise Refused("weights can't be matched, as rows have the same label")
    return weights


def changes_of(model: Second, question: Question) -> list[list[Change]]:
    """The changes that are predicted: one for each estimate of a row, two for a contrast."""
    if question.variables is None:
        return [[{}]]
    for name in question.variables:
        if name not in model.formula.columns:
            raise Refused(f"{name!r} is not in the formula")
    if not question.compares:
        return [
            [dict(zip(question.variables, map(constant, values), strict=True))]
            for values in itertools.product(*question.variables.values())
        ]
    return [
        [{name: hi}, {name: lo}]
        for name, contrast in question.variables.items()
        for hi, lo in pairs(model, name, contrast)
    ]


def pairs(model: Second, name: str, contrast: Any) -> list[tuple[Any, Any]]:
    """What a contrast sets a variable to, high and low."""
    if isinstance(contrast, list):
        lo, hi = contrast
        return [(constant(hi), constant(lo))]
    column = model.survey[name]
    if contrast == "minmax":
        ends = model.levels.get(name) or (column.min(), column.max())
        return [(constant(ends[-1]), constant(ends[0]))]
    if isinstance(contrast, str):
        levels = [constant(level) for level in model.levels[name]]
        by_name = {
            "reference": [(level, levels[0]) for level in levels[1:]],
            "sequential": [(hi, lo) for lo, hi in itertools.pairwise(levels)],
            "pairwise": [(hi, lo) for lo, hi in itertools.combinations(levels, 2)],
        }
        return by_name[contrast]
    return [(lambda x: x.astype(float) + contrast, lambda x: x)]


def constant(value: Any) -> Callable[[pd.Series], Any]:
    """The same value in every row."""
    return lambda column: value


def changed(data: pd.DataFrame, change: Change) -> pd.DataFrame:
    """Rows with some columns set to something else."""
    return data.assign(**{name: of(data[name]) for name, of in change.items()})


# --- strategies -----------------------------------------------------------------------------------


@st.composite
def questions(draw: st.DrawFn, formula: Formula, tables: Tables, family: str) -> Question:
    """A question about a model of a formula."""
    verb = draw(st.sampled_from(("poststratify", "predictions", "comparisons",
                                 "avg_predictions", "avg_comparisons")))  # fmt: skip
    rows = "frame" if verb == "poststratify" else draw(st.sampled_from(("frame", "survey", "grid")))
    compares = "comparisons" in verb
    variables = None
    if verb != "poststratify" and formula.variables and (compares or draw(st.booleans())):
        name = draw(st.sampled_from(formula.variables))
        change = _contrasts if compares else _values
        variables = {name: draw(change(formula, tables, name))}
    if compares and variables is None:
        verb = "avg_predictions"
    by: tuple[str, ...] = ()
    weights: Weights = "none"
    if verb not in ("predictions", "comparisons"):
        columns = [n for n in ("a", "t", "g", "k", "h", "region") if n not in (variables or {})]
        if rows == "grid":
            columns = [name for name in columns if name in formula.columns]
        if columns:
            some = st.lists(st.sampled_from(columns), max_size=2, unique=True)
            by = tuple(draw(some))
        table = tables.survey if rows == "survey" else tables.frame
        weights = draw(st.sampled_from(_WEIGHTS[: 6 if table.library == "pandas" else 4]))
    scale = draw(st.sampled_from(("response", "response", "link")))
    ratio = compares and family in ("bernoulli", "poisson") and scale == "response"
    comparison = draw(st.sampled_from(("difference", "ratio"))) if ratio else "difference"
    values = draw(_grid_values(formula, tables)) if rows == "grid" else None
    return Question(verb, rows, variables, by, weights, scale, comparison, values)


_WEIGHTS: tuple[Weights, ...] = get_args(Weights)
"""The last two need an index, which only pandas has."""


def _is_factor(formula: Formula, name: str) -> bool:
    return name in "abct" or (name == "k" and "level_of_k" in formula.atoms)


def _some_levels(tables: Tables, name: str) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(tables.levels[name]), min_size=2, max_size=3, unique=True)


def _contrasts(formula: Formula, tables: Tables, name: str) -> st.SearchStrategy[Any]:
    if _is_factor(formula, name):
        pair = _some_levels(tables, name).map(lambda levels: levels[:2])
        return st.one_of(pair, st.sampled_from(("pairwise", "reference", "sequential", "minmax")))
    return st.one_of(st.sampled_from(([1, 3], [2.5, 1.25], 1, 0.5, "minmax")))


def _values(formula: Formula, tables: Tables, name: str) -> st.SearchStrategy[list[Any]]:
    if _is_factor(formula, name):
        return _some_levels(tables, name)
    return st.sampled_from(([1, 2], [0.5], [3.25, 1]))


@st.composite
def _grid_values(draw: st.DrawFn, formula: Formula, tables: Tables) -> dict[str, list[Any]]:
    names = [name for name in formula.variables if name != "k" or _is_factor(formula, name)]
    if not names:
        return {}
    some = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    return {name: draw(_values(formula, tables, name)) for name in some}
