"""The parameters of a fit in sections, as brms lays them out."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp import effects
from mrp.checks.convergence import convergence
from mrp.checks.diagnostics import RULES, complaints, measure
from mrp.checks.parameters import of_model
from mrp.errors import shown
from mrp.fit import Fit
from mrp.results.estimates import Estimates, Made, estimates
from mrp.results.intervals import check_probability, in_words, summarise

Floats = NDArray[np.float64]

RESULTS = ("estimate", "std_error", "conf_low", "conf_high")
CHAINS = ("rhat", "ess_bulk", "ess_tail")
"""Columns that compare chains; not shown where the draws are independent."""
LEVEL = "level"
"""Column for the level of the outcome that a parameter belongs to."""
COLUMNS = ("section", "factor", "group", LEVEL, "parameter", *RESULTS, *CHAINS)
"""Columns of the table in order; group and level only where there are some."""
SECTIONS = {
    "group": "Group-level",
    "population": "Population-level",
    "further": "Further parameters",
    "threshold": "Thresholds",
    "effect": "Effects of groups",
}
"""Sections in their order, and their titles."""
FURTHER = "alpha"
"""The one family parameter that `Fit.varcorr` does not list."""
FEWEST_DECIMALS, MOST_DECIMALS = 2, 6


@dataclass(frozen=True, repr=False)
class FitSummary:
    """A summary of a fit, which prints as text and as a table in notebooks.

    Parameters
    ----------
    header
        Names and texts of what is said of the fit: family, formula, data, draws.
    table
        One row for each parameter; `Fit.summary` says which columns.
    titles
        Title of each section of the table, by ``section`` and ``factor``.
    notes
        What the columns are, and what is wrong with the draws.
    """

    header: tuple[tuple[str, str], ...]
    table: pd.DataFrame
    titles: dict[tuple[str, str], str]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Header, sections and notes."""
        wide = max(len(name) for name, _ in self.header)
        lines = [f"{name:>{wide}}: {shown(text)}" for name, text in self.header]
        columns, *rows = _shown(self.table).to_string(index=False).splitlines()
        for title, places in self._sections():
            lines += ["", shown(title), columns, *(rows[k] for k in places)]
        return "\n".join([*lines, "", *self.notes])

    def _repr_html_(self) -> str:
        head = "<br>".join(f"<b>{n}</b>: {html.escape(shown(text))}" for n, text in self.header)
        rounded = _shown(self.table)
        parts = [
            f"<p><b>{html.escape(shown(title))}</b></p>"
            f"{rounded.iloc[places].to_html(index=False, border=0)}"
            for title, places in self._sections()
        ]
        notes = "<br>".join(map(html.escape, self.notes))
        return f"<p>{head}</p>{''.join(parts)}<p>{notes}</p>"

    def _sections(self) -> Iterator[tuple[str, list[int]]]:
        """Title of each section, and positions of its rows."""
        keys = list(zip(self.table["section"], self.table["factor"], strict=True))
        for key in dict.fromkeys(keys):
            yield self.titles[key], [k for k, other in enumerate(keys) if other == key]


def summarised(fit: Fit, *, ci_prob: float, group_effects: bool) -> FitSummary:
    """The parameters of a fit in sections; see `Fit.summary`."""
    check_probability(ci_prob)
    spreads, lacking = effects.varcorr_there(fit)
    found = {name: own for name, own in _parameters(fit, spreads, group_effects) if len(own)}
    found = found or {"effect": fit.ranef()}  # all that some draws from elsewhere have
    rows = [_table(fit, name, own, ci_prob) for name, own in found.items()]
    order = [name for name in SECTIONS if name in found]
    joined = pd.concat(rows, ignore_index=True)
    key = joined["section"].map(order.index)
    table = joined.loc[key.sort_values(kind="stable").index].reset_index(drop=True)
    table = table.fillna({name: "" for name in (LEVEL, "group") if name in table})
    table = table[[name for name in COLUMNS if name in table]]
    return FitSummary(
        _header(fit), table, _titles(fit, table), tuple(_notes(fit, ci_prob, lacking))
    )


# --- what is in the table -------------------------------------------------------------------------


def _parameters(
    fit: Fit, spreads: Estimates | None, group_effects: bool
) -> Iterator[tuple[str, Estimates]]:
    """Draws of the parameters of each section; those of groups only where the draws have them."""
    if spreads is not None:
        residual = (spreads.labels["factor"] == effects.RESIDUAL).to_numpy()
        yield "group", _rows(spreads, ~residual)
        yield "further", _rows(spreads, residual)
    if FURTHER in fit.parameters and fit.family == "negativebinomial":
        values = fit.parameters[FURTHER].transpose("chain", "draw").to_numpy().reshape(1, -1)
        labels = pd.DataFrame({"parameter": [FURTHER]})
        yield "further", estimates(labels, Made(values.copy()), fit.coefficients.chains, {})
    if fit.design.terms or fit.coefficients.thresholds is not None:
        coefficients = fit.fixef()
        # thresholds, where there are any, come first
        of_levels = np.arange(len(coefficients)) < fit.coefficients.by_level.thresholds
        yield "population", _rows(coefficients, ~of_levels)
        yield "threshold", _rows(coefficients, of_levels)
    if group_effects and fit.design.blocks:
        yield "effect", fit.ranef()


def _rows(estimates_: Estimates, keep: NDArray[np.bool_]) -> Estimates:
    values = estimates_.source.values(np.flatnonzero(keep))
    labels = estimates_.labels[keep]
    return estimates(labels, Made(values), estimates_.chains, estimates_.about)


def _table(fit: Fit, section: str, found: Estimates, ci_prob: float) -> pd.DataFrame:
    """Rows of one section."""
    values = found.source.values(np.arange(len(found)))
    labels = found.labels.rename(columns={"term": "parameter", **_outcome_column(fit, found)})
    results = dict(zip(RESULTS, summarise(values.copy(), ci_prob).T, strict=True))
    by_chain = np.moveaxis(values.reshape(len(values), found.chains, -1), 0, 2)
    of_prior = fit.group == "prior"
    numbers = np.full((3, len(values)), np.nan) if of_prior else convergence([by_chain])
    first = pd.DataFrame({"section": section, "factor": ""}, index=labels.index)
    if "factor" in labels and section != "further":
        first["factor"] = labels["factor"]
    kept = [name for name in ("group", LEVEL, "parameter") if name in labels]
    checked = dict(zip(CHAINS, numbers, strict=True))
    return first.join(labels[kept]).assign(**results, **checked)


def _outcome_column(fit: Fit, found: Estimates) -> dict[str, str]:
    """The column of the outcome's level under its name here."""
    own = {"factor", "group", "term", "parameter"}
    others = [name for name in found.labels.columns if name not in own]
    return dict.fromkeys(others, LEVEL) if fit.coefficients.by_level.dims else {}


# --- what is said -------------------------------------------------------------------------------


def _header(fit: Fit) -> tuple[tuple[str, str], ...]:
    sizes = fit.parameters.sizes
    return (
        ("Family", f"{fit.family} (link {fit.link})"),
        ("Formula", fit.design.formula),
        ("Data", _data(fit)),
        ("Draws", f"{sizes['chain']} {_chains(fit)} x {sizes['draw']:,} {fit.group} draws"),
    )


def _chains(fit: Fit) -> str:
    return "chain" if fit.parameters.sizes["chain"] == 1 else "chains"


def _data(fit: Fit) -> str:
    if fit.survey is None:
        return "saved without the survey"
    distinct = len(fit.design.rows(fit.survey, argument="data").distinct[0])
    if fit.observed is not None and fit.observed.trials is not None:
        trials = int(fit.observed.trials.sum())
        return f"{trials:,} trials in {len(fit.survey):,} rows, {distinct:,} of them distinct"
    return f"{len(fit.survey):,} respondents in {distinct:,} distinct rows"


def _titles(fit: Fit, table: pd.DataFrame) -> dict[tuple[str, str], str]:
    titles = {}
    for section, factor in zip(table["section"], table["factor"], strict=True):
        title = SECTIONS[section]
        if factor:
            title += f", {factor} ({len(fit.design.factors[factor].groups)} groups)"
        titles[section, factor] = title
    return titles


def _notes(fit: Fit, ci_prob: float, lacking: Sequence[str]) -> Iterator[str]:
    yield (
        "estimate, std_error: mean and standard deviation of the draws; conf_low, conf_high: "
        f"{in_words([ci_prob], 'eti')}."
    )
    if FURTHER not in fit.parameters and fit.family == "negativebinomial":
        lacking = [
            *lacking,
            f"The draws lack {FURTHER!r}. Add it where Fit.from_draws is given them.",
        ]
    for message in lacking:
        yield f"Not everything is shown. {message}"
    if fit.group == "prior":
        yield "Draws from the prior are independent: they have no rhat, ess_bulk and ess_tail."
        return
    chains = fit.parameters.sizes["chain"]
    limits = {rule.name: rule.limit_of(chains) for rule in RULES}
    yield (
        f"rhat compares the chains (good: at most {limits['rhat']:g}); ess_bulk, ess_tail: "
        f"effective sample size for the centre and the tails (good: at least "
        f"{limits['ess_bulk']:g})."
    )
    report = measure(fit.draws, set(map(str, of_model(fit))))
    said = complaints(report, chains)
    if said:
        yield shown(f"Not to be trusted yet: {'; '.join(said)}. See `fit.diagnostics()`.")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is shown: names in one column, the decimals that two digits of error need."""
    rounded = pd.DataFrame({"": _padded(_names(table))})
    decimals = [_decimals(error) for error in table["std_error"]]
    for name in RESULTS:
        rounded[name] = [f"{x:.{d}f}" for x, d in zip(table[name], decimals, strict=True)]
    if table[list(CHAINS)].notna().to_numpy().any():
        rounded["rhat"] = ["" if np.isnan(x) else f"{x:.3f}" for x in table["rhat"]]
        for name in CHAINS[1:]:
            rounded[name] = ["" if np.isnan(x) else f"{x:.0f}" for x in table[name]]
    return rounded


def _names(table: pd.DataFrame) -> list[str]:
    """Level and group before the parameter, where there are some."""
    columns = [name for name in (LEVEL, "group", "parameter") if name in table]
    rows = table[columns].astype(str).itertuples(index=False, name=None)
    return [shown(", ".join(part for part in map(str, row) if part)) for row in rows]


def _padded(names: Sequence[str]) -> list[str]:
    wide = max(map(len, names))
    return [name.ljust(wide) for name in names]


def _decimals(error: float) -> int:
    if not np.isfinite(error) or error <= 0:
        return FEWEST_DECIMALS
    return int(np.clip(2 - np.ceil(np.log10(error)), FEWEST_DECIMALS, MOST_DECIMALS))
