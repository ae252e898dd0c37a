"""Whether draws of estimates can be trusted, and those of the averages that people report.

Where factors are crossed, an intercept may mix badly with the mean of a factor's effects, since the
survey says only what their sum is, while every average is as good as independent draws would make
it. So estimates are asked themselves, by the limits that parameters have, and a warning of a fit
says what became of its averages.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mrp.checks import diagnostics
from mrp.checks.diagnostics import OF_CHAINS, OF_PRIOR, worst
from mrp.design import unique_rows
from mrp.estimands.context import LEVEL, context
from mrp.fit import Fit
from mrp.memory import check_fits
from mrp.prediction import RowDraws, in_blocks

Floats = NDArray[np.float64]

NUMBERS: tuple[str, ...] = tuple(rule.name for rule in OF_CHAINS)
COLUMNS = (*NUMBERS, "ok", "advice")
"""Columns of `Estimates.diagnostics` after the labels."""
SURVEY = "all respondents"
"""The survey's average among those of groups; no grouping factor has such a name."""
WHOSE = "The survey's average and the averages of all groups are"


def judged(numbers: Mapping[str, Floats], chains: int, *, of_prior: bool) -> dict[str, Any]:
    """The columns of `Estimates.diagnostics` from the numbers of some estimates.

    Parameters
    ----------
    numbers
        R-hat and effective sample sizes of each estimate (n,).
    chains
        Number of chains.
    of_prior
        Whether the draws are independent of each other; the numbers are then missing.
    """
    found = [numbers[rule.name] for rule in OF_CHAINS]
    missing = np.isnan(found).any(axis=0)
    broken = [rule.broken(values, chains) for rule, values in zip(OF_CHAINS, found, strict=True)]
    fails = np.any(broken, axis=0)
    advice = np.full(len(missing), "", dtype=object)
    for rule, values, bad in reversed(list(zip(OF_CHAINS, found, broken, strict=True))):
        advice[np.isnan(values) & ~fails] = OF_PRIOR if of_prior else rule.missing
        advice[bad] = rule.of_estimates
    ok = pd.arrays.BooleanArray(~fails, missing & ~fails)
    return {**dict(zip(NUMBERS, found, strict=True)), "ok": ok, "advice": advice}


# --- the averages that people report --------------------------------------------------------------


def measured(fit: Fit) -> dict[str, Any] | None:
    """Worst R-hat and effective sample sizes of a fit's averages over its survey.

    Returns
    -------
    What `diagnostics.worst` says of `averages`; None where they can't be made, or whoever waits
    interrupts: this is asked when a fit has been sampled, which must not be lost.
    """
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return worst(averages(fit))
    except (Exception, KeyboardInterrupt):
        return None


def complaints(report: Mapping[str, Any], chains: int) -> list[str]:
    """What is wrong with the averages that were measured, one phrase each."""
    return diagnostics.complaints(report, chains, of="averages")


def said(report: Mapping[str, Any], chains: int) -> str:
    """A sentence on what `measured` found."""
    wrong = complaints(report, chains)
    if wrong:
        return f"Averages over the survey are affected: {'; '.join(wrong)}."
    whose = "The survey's average is" if report["among"] == 1 else WHOSE
    numbers = [] if np.isnan(report["rhat"]) else [f"R-hat at most {report['rhat']:.3f}"]
    numbers.append(
        f"effective sample sizes at least {report['ess_bulk']:,.0f} in the bulk and "
        f"{report['ess_tail']:,.0f} in the tails"
    )
    return f"{whose} within the limits ({', '.join(numbers)})."


def averages(fit: Fit) -> xr.Dataset:
    """Draws of the average prediction of the survey, and of every group of each grouping factor.

    They are those of `mrp.avg_predictions`, over the survey and by the columns of each factor.

    Returns
    -------
    Variables `SURVEY` and those named like the factors, with dims chain, draw, the factor's groups,
    and the outcome's levels where it has some.

    Raises
    ------
    DataError
        The fit was saved without its survey.
    RequestError
        The memory can't hold them.
    """
    asked = context(
        fit, None, wts=None, type="response", re_formula=None, new_levels=None, seed=None
    )
    names = {SURVEY: ("",)} | {name: f.groups for name, f in fit.design.factors.items()}
    of_factors = [asked.rows.groups[name] for name in fit.design.factors]
    codes = np.array([np.zeros(asked.rows.n, dtype=np.int64), *of_factors])
    sizes = [len(groups) for groups in names.values()]
    means = _averages(asked.predict(), codes, sizes)
    parts = np.split(means, np.cumsum(sizes)[:-1])
    levels, chains = asked.levels or ("",), fit.coefficients.chains
    found = {}
    for (name, groups), own in zip(names.items(), parts, strict=True):
        array = own.reshape(len(groups), len(levels), chains, -1).transpose(2, 3, 0, 1)
        labels = {f"groups of {name}": list(groups), LEVEL: list(map(str, levels))}
        found[name] = xr.DataArray(array, dims=("chain", "draw", *labels), coords=labels)
    found[SURVEY] = found[SURVEY].squeeze(f"groups of {SURVEY}", drop=True)
    result = xr.Dataset(found)
    return result.squeeze(LEVEL, drop=True) if asked.levels is None else result


def _averages(quantity: RowDraws, codes: NDArray[np.int64], sizes: Sequence[int]) -> Floats:
    """Averages (groups of all groupings, draws) of a quantity whose rows are made once.

    Parameters
    ----------
    quantity
        What is averaged.
    codes
        Group of each row in each grouping (groupings, rows).
    sizes
        Number of groups of each grouping.
    """
    from scipy.sparse import csr_array

    needed = 16 * sum(sizes) * quantity.size  # also while they are laid out by chain
    check_fits(needed, f"averages of {sum(sizes):,} groups", "fit", "Ask for some of them.")
    first, index = unique_rows([*quantity.keys, *codes], quantity.n)
    places = codes[:, first] + np.cumsum([0, *sizes[:-1]])[:, None]
    order = np.lexsort(places[np.argsort(sizes)])  # rows of a block share most of their groups
    first, places = first[order], places[:, order]
    counts = np.bincount(index)[order].astype(np.float64)
    result = np.zeros((sum(sizes), quantity.size))

    def sums(block: slice) -> tuple[NDArray[np.int64], Floats]:
        own = places[:, block]
        present, at = np.unique(own, return_inverse=True)
        rows = np.tile(np.arange(own.shape[1]), len(own))
        weights = np.tile(counts[block], len(own))
        sparse = csr_array((weights, (at.ravel(), rows)), (len(present), own.shape[1]))
        return present, np.asarray(sparse @ quantity.values(first[block]))

    for _, (present, values) in in_blocks(sums, len(first), quantity.size):
        result[present] += values
    result /= np.bincount(places.ravel(), weights=np.tile(counts, len(codes)))[:, None]
    return result
