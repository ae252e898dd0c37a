"""What the verbs share: the rows asked about, their weights, and how they are predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp import links
from mrp.coefficients import Coefficients, with_new_groups
from mrp.design import DesignRows
from mrp.errors import RequestError, check_bits, counted, is_whole, listing, unknown
from mrp.estimands.changes import Setting, Variables, levels_in, settings_of
from mrp.estimands.grids import newdata_of, survey_of
from mrp.estimands.quantities import ByLevel, LogOdds, Transformed
from mrp.fit import Fit, check_fit
from mrp.frames import Orders, Weights, as_pandas, check_text, grouping, in_rows, weights_of
from mrp.levels import probabilities
from mrp.links import InverseLink, inverse
from mrp.memory import LARGE, check_fits
from mrp.new_groups import Drawn, NewGroups, NewLevels, drawn_of, read, ways_of
from mrp.prediction import RowDraws, average, predict
from mrp.predictive import Kind, outcomes
from mrp.restriction import ReFormula, restricted
from mrp.results.estimates import RESULTS, Estimates, Keeping, estimates
from mrp.results.labels import MOST_COLORS
from mrp.shares import warn_of_shares

Floats = NDArray[np.float64]
Type = Literal["response", "link"]
COPY = {
    "by": "Give the data copies of them under other names, and name those.",
    "variables": "Set them in `newdata`, with copies of them under other names.",
}
"""What to do instead where a label has the name of a result; a fit's columns can't be renamed."""
By = Any
"""Columns that make groups, or a table that maps their values to labels in its column ``by``."""
LEVEL = "group"
"""Column that names the outcome's level, where it has several."""


@dataclass(frozen=True)
class Context:
    """The rows asked about, their weights, and how to predict them.

    Parameters
    ----------
    fit
        Draws, restricted to the group-specific terms asked for.
    data, rows
        The table, and its design rows.
    weights
        Weight of each row (n,).
    population
        What the user gave as weights of rows that stand for a population; None for a survey's.
    type
        Scale of predictions.
    new_levels, seed
        What groups may be new and how they are drawn, and what makes that repeatable.
    argument
        What the user knows the table as.
    kind
        Expected outcomes, or draws of new ones.
    transform
        Applied to the draws of the results; None for none.
    orders
        Levels, in the survey's order, of columns that have some in the model.
    drawn
        How much of the predictions made so far rests on groups drawn anew, by factor.
    keep
        Makes averages at once, as long as they are small.
    """

    fit: Fit
    data: pd.DataFrame
    rows: DesignRows
    weights: Floats
    population: Weights | None
    type: Type
    new_levels: NewGroups
    seed: int
    argument: str
    kind: Kind
    transform: Callable[[Floats], Any] | None
    orders: Orders
    drawn: dict[str, Drawn] = field(default_factory=dict)
    keep: Keeping = field(default_factory=Keeping)

    @property
    def levels(self) -> tuple[Any, ...] | None:
        """Levels that a prediction has one number for each; None where it is one number."""
        levels = self.fit.levels
        if levels is None or self.type == "response":
            return levels
        return levels[1:] if self.fit.family == "categorical" else None

    def predict(
        self,
        setting: Setting | None = None,
        *,
        type: Type | None = None,
        response: InverseLink | None = None,
    ) -> RowDraws:
        """Prediction of the rows, or of the rows with some variables set to something else.

        `response` makes something else than the expected outcome of the linear predictor.
        """
        fit, rows, data = self.fit, self.rows, self.data
        if setting:
            changes = {
                name: in_rows(value.of(data[name]), data, "variables", self.argument)
                for name, value in setting.items()
            }
            data = data.assign(**changes)
            rows = fit.design.rows(data, argument="variables")
        coefficients = self._coefficients(rows)
        if (type or self.type) == "link":
            return predict(rows, coefficients, inverse("identity"))
        if fit.levels is not None:
            response = probabilities(fit.family, fit.link, coefficients)
            prediction = predict(rows, coefficients, response, levels=len(fit.levels))
        else:
            prediction = predict(rows, coefficients, response or inverse(fit.link))
        if self.kind == "expected":
            return prediction
        return outcomes(fit, prediction, data, self.seed, self.argument)

    def check_rows(self, times: int) -> None:
        """Raise if all rows, predicted and labelled so many times, are more than the memory."""
        design, (rows, columns) = self.fit.design, self.data.shape
        needed = 8 * times * rows * (columns + len(design.components) + len(design.blocks) + 4)
        if needed > LARGE:
            check_fits(
                needed,
                f"{rows:,} rows {times:,} times, with labels",
                "variables",
                "Name fewer values, average with `by=`, or drop columns that are not needed.",
            )

    def log_odds(self, setting: Setting) -> RowDraws:
        """Log odds of the rows' predictions, with all digits in both tails."""
        if self._of_probabilities:
            return self.predict(setting, response=links.log_odds(self.fit.link))
        return LogOdds(self.predict(setting), len(self.levels or (None,)))

    def log_odds_of_averages(
        self, setting: Setting, codes: NDArray[np.int64], groups: int
    ) -> RowDraws:
        """Log odds of weighted averages of groups, with all digits in both tails."""
        averages, complements = self.average(self.predict(setting), codes, groups), None
        if self._of_probabilities:
            others = self.predict(setting, response=links.complement(self.fit.link))
            complements = self.average(others, codes, groups)
        return LogOdds(averages, len(self.levels or (None,)), complements)

    @property
    def _of_probabilities(self) -> bool:
        """Whether a prediction is one probability."""
        to_probabilities = self.fit.link in ("logit", "probit", "cloglog")
        return self.type == "response" and self.fit.levels is None and to_probabilities

    def _coefficients(self, rows: DesignRows) -> Coefficients:
        """Draws of the coefficients, with those of new groups; how many there are is noted."""
        ways = ways_of(rows, self.weights, self.new_levels, self.argument)
        for factor, drawn in drawn_of(rows, self.weights, ways).items():
            self.drawn[factor] = drawn.with_others(self.drawn.get(factor, drawn))
        fit = self.fit
        return with_new_groups(
            fit.coefficients, fit.design, rows, fit.parameters, ways=ways, seed=self.seed
        )

    def average(self, quantity: RowDraws, codes: NDArray[np.int64], groups: int) -> RowDraws:
        """Weighted averages of groups: made at once where they are small."""
        return self.keep(average(quantity, self.weights, codes, groups))

    def estimates_of_rows(
        self, quantity: RowDraws, labels: pd.DataFrame, verb: str, what: str
    ) -> Estimates:
        """Estimates of every row, for each level of the outcome in turn."""
        if self.levels is not None:
            quantity = ByLevel(quantity, len(self.levels))
        return self._estimates(quantity, labels, verb, what, "rows")

    def estimates_of_averages(
        self, averages: RowDraws, labels: pd.DataFrame, verb: str, what: str
    ) -> Estimates:
        """Estimates of averages, for each level of the outcome in turn."""
        if self.levels is not None:
            averages = ByLevel(averages, len(self.levels))
        return self._estimates(averages, labels, verb, what, "weight")

    def _estimates(
        self,
        quantity: RowDraws,
        labels: pd.DataFrame,
        verb: str,
        what: str,
        of: Literal["rows", "weight"],
    ) -> Estimates:
        if self.transform is not None:
            quantity = Transformed(quantity, self.transform)
        about: dict[str, Any] = {"verb": verb, "quantity": what, "type": self.type}
        about |= {"group": self.fit.group, "draws": self.fit.fingerprint}
        if self.drawn:
            about["new_groups"] = {name: each.about(of) for name, each in self.drawn.items()}
        if len(labels.columns) and len(self.levels or ()) in range(1, MOST_COLORS + 1):
            about["color"] = LEVEL
        labels = _with_levels(labels, self.levels)
        return estimates(labels, quantity, self.fit.coefficients.chains, about)

    def groups(self, by: By | None) -> tuple[NDArray[np.int64], pd.DataFrame]:
        """Group of each row, and the groups' labels."""
        columns = self._columns(by)
        codes, labels = grouping(columns, self.data, self.weights, self.argument, self.orders)
        if self.population is not None:
            column = self.population if isinstance(self.population, str) else None
            warn_of_shares(self.rows, self.data, self.weights, column, codes)
        return codes, labels

    def _columns(self, by: By | None) -> By | None:
        """`by` without the outcome's level, by which results with levels always are."""
        if isinstance(by, str):
            by = [by]
        if self.levels is None or not isinstance(by, list | tuple):
            return by
        if LEVEL in self.data.columns:
            check_by(by, (LEVEL,))
        return [name for name in by if name != LEVEL]

    def settings(self, variables: Variables) -> list[Setting]:
        """Combinations of the values that variables are to take, which label the results."""
        settings = settings_of(self.fit, variables)
        check_free("variables", settings[0], () if self.levels is None else (LEVEL,))
        return settings


def context(
    fit: Fit,
    newdata: Any,
    *,
    wts: Weights | None,
    type: Type,
    re_formula: ReFormula,
    new_levels: NewLevels | None,
    seed: int | None,
    argument: str = "newdata",
    kind: Kind = "expected",
    transform: Callable[[Floats], Any] | None = None,
) -> Context:
    """Check what the verbs have in common, before anything is computed."""
    check_fit(fit)
    for name, value, known, rule in (
        ("type", type, get_args(Type), "be a scale of predictions"),
        ("kind", kind, get_args(Kind), "say what to predict"),
    ):
        if value not in known:
            raise RequestError(unknown(name, rule, value, known))
    if kind == "predictive" and type != "response":
        raise RequestError(
            f"`type` must be 'response' with kind='predictive', got {type!r}. New outcomes have "
            f"no linear predictor."
        )
    if transform is not None and not callable(transform):
        raise RequestError(
            f"`transform` must be a function of an array, such as np.exp, got {transform!r}."
        )
    orders = _orders(fit)
    design = fit.design
    if re_formula is not None:
        fit = replace(fit, design=restricted(fit.design, re_formula))
    data = _table(fit, newdata, argument)
    new_groups = read(new_levels, design, data.columns)
    rows = fit.design.rows(data, argument=argument)
    weights = weights_of(wts, data, argument)
    return Context(
        fit,
        data,
        rows,
        weights,
        None if newdata is None else wts,
        type,
        new_groups,
        _seed(seed),
        argument,
        kind,
        transform,
        orders,
    )


def _orders(fit: Fit) -> Orders:
    """Levels of the columns of a model that have some, in the order in which it has them."""
    found = {fit.outcome: fit.levels}
    found |= {name: levels_in(fit, name) for name in fit.design.columns}
    return {name: levels for name, levels in found.items() if levels is not None}


def _table(fit: Fit, newdata: Any, argument: str) -> pd.DataFrame:
    if newdata is None and argument == "newdata":
        data = survey_of(fit, "`newdata` must be given", "Pass the rows to predict")
    elif argument == "newdata":
        data = as_pandas(newdata_of(fit, newdata), argument)
    else:
        data = as_pandas(newdata, argument)
    if newdata is not None:
        check_text(data, argument)
    if not len(data):
        raise RequestError(f"`{argument}` must have at least one row, got none. Check its filter.")
    return data


def _seed(seed: int | None) -> int:
    """One seed for all predictions of a verb: both sides of a contrast share a new group's draw."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if not is_whole(seed):
        raise RequestError(
            f"`seed` must be a whole number, 0 or more, got {counted(seed)}. "
            f"Leave it out for other draws at each call."
        )
    check_bits(seed)
    return int(seed)


def check_by(by: By | None, taken: tuple[str, ...] = ()) -> None:
    """Raise if `by` names columns that results are written to."""
    names = [by] if isinstance(by, str) else by if isinstance(by, list | tuple) else []
    check_free("by", names, taken)


def check_free(argument: str, names: Iterable[str], taken: tuple[str, ...]) -> None:
    """Raise if an argument names columns that results are written to."""
    clash = [name for name in names if name in (*taken, *RESULTS)]
    if clash:
        raise RequestError(
            f"`{argument}` must not name columns that results are written to, got "
            f"{listing(clash)}. {COPY[argument]}"
        )


def row_labels(data: pd.DataFrame, taken: tuple[str, ...]) -> pd.DataFrame:
    """``rowid`` and the columns of the data, but for those that results are written to."""
    names = [name for name in data.columns if name not in ("rowid", *taken, *RESULTS)]
    kept = data[names].reset_index(drop=True)
    return kept.assign(rowid=np.arange(len(data)))[["rowid", *kept.columns]]


def _with_levels(labels: pd.DataFrame, levels: tuple[Any, ...] | None) -> pd.DataFrame:
    """The labels once for each level of the outcome, which is named in a first column."""
    if levels is None:
        return labels
    repeated = pd.concat([labels] * len(levels), ignore_index=True)
    repeated = repeated.drop(columns=LEVEL, errors="ignore")
    of_row = pd.Series(np.repeat(np.array(levels, dtype=object), len(labels)))
    repeated.insert(0, LEVEL, of_row.infer_objects())
    return repeated


def labelled_by(labels: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """The labels with columns of one value each before them."""
    rest = labels.drop(columns=[name for name in values if name in labels.columns])
    named = rest.assign(**{name: [value] * len(rest) for name, value in values.items()})
    return named[[*values, *rest.columns]]
