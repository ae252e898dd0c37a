"""`Recovery`: how estimates of fake surveys compare with the truth."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.errors import RequestError, unknown
from mrp.recovery.refits import SUMMARY
from mrp.recovery.uniformity import p_value, rank_counts, rank_steps
from mrp.results.intervals import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Grain = Literal["estimate", "estimand"]
PlotKind = Literal["ranks", "coverage"]

KEYS: Mapping[Grain, tuple[str, ...]] = {
    "estimate": ("estimand", "label"),
    "estimand": ("estimand",),
}
"""Columns that tell the rows of a summary apart."""
MOST_RHAT = 1.05
"""Of refits, which are short: the worst of all parameters of 2 x 500 draws is mostly over 1.01."""
CANCELLED = 1e-9
"""Mean errors of surveys that are this small beside the rmse are zero by construction."""


@explained
@dataclass(frozen=True, eq=False, repr=False)
class Recovery:
    """Estimates of fake surveys beside their truth.

    Attributes
    ----------
    table
        One row for each survey and estimate: ``survey``, ``estimand``, ``label``; ``truth``;
        ``estimate`` (mean of the draws), ``std_error`` (their standard deviation), equal-tailed
        bounds ``conf_low_50`` … ``conf_high_95``; ``rank`` (how many of `rank_draws` draws are
        below the truth); of the refit ``divergences``, worst ``rhat`` and ``ess_bulk``,
        ``seconds``; ``failure``: why numbers are missing.
    rank_draws
        Ranks are whole numbers from 0 to it.
    about
        What was simulated and refitted.
    """

    table: pd.DataFrame
    rank_draws: int
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failures(self) -> pd.DataFrame:
        """Surveys and estimates without numbers, and why."""
        failed = self.table["failure"].notna()
        return self.table.loc[failed, ["survey", "estimand", "label", "failure"]]

    def summary(self, by: Grain = "estimate") -> pd.DataFrame:
        r"""Bias, spread, coverage and uniformity of ranks over the surveys.

        With the estimate :math:`e_k` and the truth :math:`t_k` of survey k, the bias is the mean of
        :math:`e_k - t_k`, and the rmse the root of the mean of :math:`(e_k - t_k)^2`.

        Parameters
        ----------
        by
            "estimate": a row for each; "estimand": a row for each estimand, over all its estimates.

        Returns
        -------
        Columns ``estimand`` and ``label``, then

        ``surveys``, ``failed``
            Surveys with and without numbers; the latter are not in the rest.
        ``bias``, ``bias_se``, ``rmse``, ``std_error``
            Bias and its Monte Carlo standard error, rmse, mean posterior standard deviation. Over
            estimates whose errors cancel in every survey, as those of shares of all levels do,
            there is no bias to tell: NaN.
        ``coverage_50``, ``coverage_50_se``, …
            Share of the intervals that hold the truth, and its Monte Carlo standard error.
        ``rank_p``, ``rank_p_adjusted``
            How probable it is that uniform ranks stray as far from uniformity
            (`mrp.recovery.uniformity.p_value`); and, as some of many estimates stray by chance, the
            same adjusted to all estimates of the table by Holm's method. Of an estimand both are
            the least of its estimates, after ``rank_p`` too is adjusted, to the estimand's own
            estimates. Under 0.05 after adjustment, something is wrong with the model's code, its
            sampler or the simulation, if parameters were drawn from the prior.

        Notes
        -----
        Every estimate of every survey has the same weight. The standard errors are those over
        surveys: estimates of one survey depend on each other and count as one. For a coverage of
        which each survey has one estimate it is the binomial :math:`\sqrt{p (1 - p) / n}` at the
        nominal p, so that it is not zero where all or no intervals hold the truth.
        """
        if by not in KEYS:
            raise RequestError(unknown("by", "say what has a row", by, get_args(Grain)))
        groups = self.table.groupby(list(KEYS[by]), sort=False)
        rows = [
            {**dict(zip(KEYS[by], key, strict=True)), **_summarised(group)} for key, group in groups
        ]
        return pd.DataFrame(rows).merge(self._p_values(by), on=list(KEYS[by]))

    def _p_values(self, by: Grain) -> pd.DataFrame:
        """Uniformity of the ranks of each estimate; of an estimand, the least of its estimates."""
        groups = self.table.groupby(list(KEYS["estimate"]), sort=False)
        found = groups["rank"].agg(lambda ranks: self._p_value(ranks.to_numpy())).reset_index()
        found = found.rename(columns={"rank": "rank_p"})
        found["rank_p_adjusted"] = holm(found["rank_p"].to_numpy())
        keys, columns = list(KEYS[by]), ["rank_p", "rank_p_adjusted"]
        own = found.groupby(keys)["rank_p"].transform(lambda p: holm(p.to_numpy()))
        return found.assign(rank_p=own).groupby(keys, sort=False)[columns].min().reset_index()

    def _p_value(self, ranks: Floats) -> float:
        known = ranks[np.isfinite(ranks)].astype(np.int64)
        if not len(known):
            return float("nan")
        steps = rank_steps(len(known), self.rank_draws)
        return p_value(rank_counts(known, self.rank_draws), steps)

    def plot(
        self, kind: PlotKind = "ranks", *, estimands: str | Sequence[str] | None = None
    ) -> Figure:
        """A picture of ranks or coverage, one panel for each estimand.

        Parameters
        ----------
        kind
            "ranks": share of the ranks up to each value, less that of uniform ranks; "coverage":
            share of the central intervals that hold the truth, less their probability. A line for
            each estimate, and the band in which a whole line stays with probability 0.95 if all is
            right (Säilynoja, Bürkner and Vehtari 2022, doi:10.1007/s11222-022-10090-6). Lines
            that leave it are orange and named.
        estimands
            Which to show; all by default.

        Returns
        -------
        The matplotlib Figure.
        """
        if kind not in get_args(PlotKind):
            raise RequestError(unknown("kind", "name a picture", kind, get_args(PlotKind)))
        from mrp.plots.recovery import draw

        return draw(self, kind, estimands)

    def __repr__(self) -> str:
        """What was done, and the summary."""
        lines = [self.summary(self._grain).to_string(index=False), *self._captions()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        table = self.summary(self._grain).to_html(
            index=False, border=0, float_format="{:.3g}".format
        )
        return table + "".join(f"<p>{html.escape(line)}</p>" for line in self._captions())

    @property
    def _grain(self) -> Grain:
        return "estimate" if self.table.groupby(["estimand", "label"]).ngroups <= 60 else "estimand"

    def _captions(self) -> list[str]:
        """What was done; and a line of the refits that did not converge, if any did not."""
        surveys = self.table["survey"].nunique()
        failed = self.failures["survey"].nunique()
        source = self.about.get("simulated from", "known parameters")
        done = f"{surveys} surveys simulated from {source}, {failed} of them with failures"
        return [done, *self._doubts()]

    def _doubts(self) -> list[str]:
        """How many refits did not converge, or have too few draws for ranks."""
        refits = self.table.drop_duplicates("survey")
        missed = {
            f"R-hat > {MOST_RHAT:g}": refits["rhat"] > MOST_RHAT,
            "divergences": refits["divergences"] > 0,
            f"ESS < {self.rank_draws} (`rank_draws`)": refits["ess_bulk"] < self.rank_draws,
        }
        said = "; ".join(f"{rows.sum()} with {what}" for what, rows in missed.items() if rows.any())
        made = f" of {refits['seconds'].notna().sum()} refits with "
        return [said.replace(" with ", made, 1)] if said else []


def holm(p: Floats) -> Floats:
    """P-values adjusted so that the least is at most α in a share α of families without faults.

    Holm (1979): the k-th least of m is multiplied by m - k + 1; it holds however they depend on
    each other.

    Examples
    --------
    >>> holm(np.array([0.01, 0.5, 0.02]))
    array([0.03, 0.5 , 0.04])
    """
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known])]
    adjusted = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def _summarised(rows: pd.DataFrame) -> dict[str, float]:
    """One row of a summary."""
    known = rows[rows["failure"].isna()]
    error = known["estimate"] - known["truth"]
    surveys = known["survey"].nunique()
    result: dict[str, float] = {
        "surveys": surveys,
        "failed": rows.loc[rows["failure"].notna(), "survey"].nunique(),
        "bias": float(error.mean()),
        "bias_se": _standard_error(error, known["survey"]),
        "rmse": float(np.sqrt((error**2).mean())),
        "std_error": float(known["std_error"].mean()),
    }
    if len(known) > surveys and _cancel(error, known["survey"]):
        result |= {"bias": float("nan"), "bias_se": float("nan")}
    for p in SUMMARY.probabilities:
        name = f"coverage_{percent(p)}"
        low, high = (known[f"conf_{side}_{percent(p)}"] for side in ("low", "high"))
        held = ((low <= known["truth"]) & (known["truth"] <= high)).astype(float)
        result[name] = float(held.mean())
        result[f"{name}_se"] = _standard_error(held, known["survey"])
        if len(known) == surveys > 0:
            result[f"{name}_se"] = float(np.sqrt(p * (1 - p) / surveys))
    return result


def _cancel(error: pd.Series, survey: pd.Series) -> bool:
    """Whether the errors of each survey add up to nothing, as those of shares of all levels do."""
    means = error.groupby(survey.to_numpy()).mean().abs()
    return bool(means.max() <= CANCELLED * np.sqrt((error**2).mean()))


def _standard_error(values: pd.Series, survey: pd.Series) -> float:
    r"""Standard error of the mean of all values, where surveys are independent and values are not.

    With n surveys, of which survey k has :math:`m_k` values with the mean :math:`v_k`, it is
    :math:`\sqrt{n / (n - 1) \sum_k m_k^2 (v_k - v)^2} / \sum_k m_k`. If all have equally many, it
    is that of the mean of :math:`v_k`.
    """
    totals = (values - values.mean()).groupby(survey.to_numpy()).sum()
    if len(totals) < 2:
        return float("nan")
    return float(np.sqrt(len(totals) / (len(totals) - 1) * (totals**2).sum()) / len(values))
