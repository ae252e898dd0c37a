"""Equal respondents counted once: fewer rows, the same posterior.

Respondents with the same design row differ in their outcome only, and the families here need no
more of a group of such respondents than a few sums:

=================  ==========================================  ============================
family             kept for each distinct design row           log density left out
=================  ==========================================  ============================
bernoulli          successes, trials                           -log C(trials, successes)
binomial           successes, trials                           sum log C(n_i, y_i) - the same
poisson            total, respondents                          log total! - total log m - …
gaussian           mean, respondents, squares within           (depends on sigma: kept)
negativebinomial   respondents with the same row and outcome   none
those with levels  respondents at each level                   none
=================  ==========================================  ============================

The constants are kept, so that the log density is that of the uncollapsed model, not just
proportional to it. Centres and default priors are computed from all respondents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from mrp.design import DesignRows, unique_rows
from mrp.model.families import Family
from mrp.model.outcome import Outcome

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """What the likelihood needs of the outcome, for each (collapsed) design row.

    Parameters
    ----------
    name
        The outcome's name.
    rows
        Design rows (m of them).
    y
        Successes, total count, mean, or the common outcome (m,), by family; of outcomes with
        levels, the respondents at each (m, levels).
    count
        Respondents (m,).
    trials
        Trials (m,); as many as respondents but for the family binomial.
    within
        Sum of squares around the row's mean (m,); zero but for the family gaussian.
    constant
        What is to be added to the log likelihood of the collapsed rows.
    collapsed
        Whether rows stand for several respondents each.
    """

    name: str
    rows: DesignRows
    y: Floats
    count: Floats
    trials: Floats
    within: Floats
    constant: float
    collapsed: bool

    @property
    def respondents(self) -> int:
        """Number of respondents before collapsing."""
        return round(self.count.sum())

    def mean(self, columns: Floats) -> Floats:
        """Mean over respondents of each column (m, k) of the collapsed rows."""
        result: Floats = self.count @ columns / self.count.sum()
        return result

    def sd(self, columns: Floats) -> Floats:
        """Standard deviation over respondents (divided by n, as numpy's) of each column."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.sqrt(self.mean((columns - self.mean(columns)) ** 2))


def observe(rows: DesignRows, outcome: Outcome, family: Family, *, collapse: bool) -> Observed:
    """Collect the outcome by design row; one row for each respondent unless `collapse`."""
    y = outcome.values
    trials = np.ones(len(y)) if outcome.trials is None else outcome.trials
    if outcome.levels is not None:
        y = np.eye(len(outcome.levels))[y.astype(np.int64)]
    if not collapse:
        return Observed(
            outcome.name, rows, y, np.ones(len(y)), trials, np.zeros(len(y)), 0.0, collapsed=False
        )
    first, index = rows.distinct
    if family.name == "negativebinomial":
        first, index = unique_rows([index, y.astype(np.int64)], len(rows))

    def total(values: Floats) -> Floats:
        return np.bincount(index, weights=values, minlength=len(first)).astype(np.float64)

    count, tried = total(np.ones(len(y))), total(trials)
    within, constant = np.zeros(len(first)), 0.0
    if family.name in ("bernoulli", "binomial"):
        kept = total(y)
        constant = float(_log_choose(trials, y).sum() - _log_choose(tried, kept).sum())
    elif family.name == "poisson":
        kept = total(y)
        constant = float(
            gammaln(kept + 1).sum() - (kept * np.log(count)).sum() - gammaln(y + 1).sum()
        )
    elif family.name == "gaussian":
        kept = total(y) / count
        within = total((y - kept[index]) ** 2)
    elif outcome.levels is not None:
        kept = np.column_stack([total(of_level) for of_level in y.T])
    else:
        kept = y[first]
    return Observed(
        outcome.name, rows.take(first), kept, count, tried, within, constant, collapsed=True
    )


def _log_choose(n: Floats, k: Floats) -> Floats:
    result: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return result
