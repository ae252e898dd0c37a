"""Whether draws can be trusted: the checks of a sampler's run, their limits, and what to do.

`RULES` is the one table of limits and advice. `measure` computes a number for each check, `judge`
holds it against the limit, and `table` lays the result out; the sampler's warning is made of the
same checks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mrp.checks.convergence import LEAST_DRAWS, TAILS, convergence

Floats = NDArray[np.float64]
CheckName = Literal["divergences", "stuck", "rhat", "ess_bulk", "ess_tail", "tree_depth", "ebfmi"]

COLUMNS = ("check", "value", "at", "limit", "ok", "advice")
"""Columns of `Fit.diagnostics`."""
DEEPEST = ("maxdepth_reached", "reached_max_treedepth")
"""Sampler statistics that say whether a tree was as deep as trees may get: nutpie's, PyMC's."""
OF_PRIOR = "Not computed: draws from the prior are independent of each other."
WITHOUT_SAMPLER = "Not computed: the draws came without the sampler's statistics."


@dataclass(frozen=True)
class Rule:
    """A check: its limit, and how to say that it is not met.

    Parameters
    ----------
    name
        What is checked.
    limit
        The published limit.
    least
        Whether the value must be at least the limit; otherwise it may be at most that.
    per_chain
        Whether the limit is for each chain.
    said
        What is wrong, in words: a format of value, place, limit, number of draws, and what is
        checked ("parameters").
    advice
        What to do about it.
    missing
        Why the value is not there, where it isn't.
    of_estimates
        What to do where estimates are checked in place of parameters.
    """

    name: CheckName
    limit: float
    least: bool
    per_chain: bool
    said: str
    advice: str
    missing: str
    of_estimates: str = ""

    def limit_of(self, chains: int) -> float:
        """The limit for all chains."""
        return self.limit * (chains if self.per_chain else 1)

    def broken(self, values: Floats, chains: int) -> NDArray[np.bool_]:
        """Whether values are beyond the limit; those that are missing are not."""
        limit = self.limit_of(chains)
        return np.asarray(values < limit if self.least else values > limit)


_SHORT = "Not computed: it takes {} of 4 draws that are finite and move."
_LONGER = "Raise `draws` and `tune`."
_IF_AFFECTED = (
    "Raise `draws` and `tune` if what you report is affected: `diagnostics()` of the estimates "
    "says so."
)

RULES = (
    Rule(
        "divergences",
        limit=0,
        least=False,
        per_chain=False,
        said="{value:.0f} of {draws} draws ended in divergences",
        advice="Raise `target_accept` (0.95, 0.99) or narrow the priors of the sd's.",
        missing=WITHOUT_SAMPLER,
    ),
    Rule(
        "stuck",
        limit=0,
        least=False,
        per_chain=False,
        said="{of} never move or are not finite ({value:.0f}, among them {at})",
        advice="Look at them in `parameters`: these are no draws from a posterior.",
        missing="Not computed: it takes chains of 4 draws.",
    ),
    Rule(
        "rhat",
        limit=1.01,
        least=False,
        per_chain=False,
        said="R-hat is {value:.3f} for {at} (over {limit:g})",
        advice=_IF_AFFECTED,
        of_estimates=_LONGER,
        missing=_SHORT.format("2 chains"),
    ),
    Rule(
        "ess_bulk",
        limit=100,
        least=True,
        per_chain=True,
        said="bulk effective sample size is {value:.0f} for {at} (under {limit:g})",
        advice=_IF_AFFECTED,
        of_estimates=_LONGER,
        missing=_SHORT.format("a chain"),
    ),
    Rule(
        "ess_tail",
        limit=100,
        least=True,
        per_chain=True,
        said="tail effective sample size is {value:.0f} for {at} (under {limit:g})",
        advice=_IF_AFFECTED,
        of_estimates=_LONGER,
        missing=_SHORT.format("a chain"),
    ),
    Rule(
        "tree_depth",
        limit=0,
        least=False,
        per_chain=False,
        said="{value:.0f} of {draws} draws reached the largest tree depth",
        advice="Scale the predictors or narrow wide priors: the draws are valid but few for their "
        "cost.",
        missing=WITHOUT_SAMPLER,
    ),
    Rule(
        "ebfmi",
        limit=0.3,
        least=True,
        per_chain=False,
        said="E-BFMI is {value:.2f} for {at} (under {limit:g})",
        advice="Raise `tune`, or narrow the priors of the sd's: energies are explored slowly.",
        missing=WITHOUT_SAMPLER,
    ),
)
"""R-hat and effective sample size: Vehtari et al. (2021, doi:10.1214/20-BA1221); divergences and
tree depth: Betancourt (2017, arXiv:1701.02434); E-BFMI: Betancourt (2016, arXiv:1604.00695)."""
OF_CHAINS = tuple(rule for rule in RULES if rule.name in ("rhat", "ess_bulk", "ess_tail"))
"""Rules that hold for estimates as they do for parameters, in the order of `convergence`."""
KINDS = 5
"""Variables that are named where parameters are beyond a limit."""


@dataclass(frozen=True)
class Check:
    """What came of a check.

    Parameters
    ----------
    name
        What was checked.
    value
        The worst value; NaN where it can't be computed.
    at
        The parameter or chain that has it.
    limit
        What the value is held against.
    ok
        Whether it is met; None where it can't be computed.
    said
        What is wrong, in words; empty where nothing is known to be.
    advice
        What to do about it, or why there is no value; empty where all is well.
    """

    name: CheckName
    value: float
    at: str
    limit: float
    ok: bool | None
    said: str
    advice: str


def diagnostics(draws: xr.DataTree, names: Collection[str] | None = None) -> pd.DataFrame:
    """The checks of the draws of a posterior or prior, one row each; see `Fit.diagnostics`.

    `names` are those of the model's parameters, by default all.
    """
    if "posterior" not in draws.children:
        return table(judge({}, chains=1), missing=OF_PRIOR)
    return table(judge(measure(draws, names), draws["posterior"].sizes["chain"]))


def table(checks: Sequence[Check], missing: str | None = None) -> pd.DataFrame:
    """Checks as a table; `missing` says why there are no values, if there are none."""
    rows = [(c.name, c.value, c.at, c.limit, c.ok, missing or c.advice) for c in checks]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"ok": "boolean"})


def judge(report: Mapping[str, Any], chains: int, *, of: str = "parameters") -> tuple[Check, ...]:
    """Hold the numbers of `measure` against the limits.

    Parameters
    ----------
    report
        For each rule its value, and under ``…_at`` its place; what is missing can't be computed.
    chains
        Number of chains.
    of
        What was measured.
    """
    return tuple(_judged(rule, report, chains, of) for rule in RULES)


def _judged(rule: Rule, report: Mapping[str, Any], chains: int, of: str) -> Check:
    value, at = float(report.get(rule.name, np.nan)), str(report.get(f"{rule.name}_at", ""))
    limit = rule.limit_of(chains)
    if np.isnan(value):
        return Check(rule.name, value, "", limit, None, "", rule.missing)
    if not rule.broken(np.asarray(value), chains):
        return Check(rule.name, value, at, limit, True, "", "")
    said = rule.said.format(value=value, at=at, limit=limit, draws=report.get("draws"), of=of)
    return Check(rule.name, value, at, limit, False, said, rule.advice)


def complaints(report: Mapping[str, Any], chains: int, *, of: str = "parameters") -> list[str]:
    """What is wrong: a phrase for each check that fails, and one for how many parameters fail.

    Parameters are as in `judge`.
    """
    said = [check.said for check in judge(report, chains, of=of) if check.said]
    beyond: Mapping[str, int] = report.get("beyond", {})
    if not beyond:
        return said
    kinds = [name if number == 1 else f"{name} ({number:,})" for name, number in beyond.items()]
    if len(kinds) > KINDS:
        kinds = [*kinds[:KINDS], f"… {len(kinds) - KINDS} more"]
    number, them = sum(beyond.values()), ", ".join(kinds)
    affected = f"{number:,} of {report['among']:,} {of} {'is' if number == 1 else 'are'}"
    return [*said, f"{affected} beyond a limit of R-hat or effective sample size: {them}"]


# --- the numbers ----------------------------------------------------------------------------------


def measure(draws: xr.DataTree, names: Collection[str] | None = None) -> dict[str, Any]:
    """Worst R-hat and effective sample size over all parameters, and what the sampler says.

    Parameters
    ----------
    draws
        Tree with the group ``posterior``, and ``sample_stats`` where a sampler ran.
    names
        Variables that are parameters; by default all. Draws from elsewhere may have others, such as
        the ones on the diagonal of a correlation matrix, which never move.

    Returns
    -------
    ``draws`` (over all chains) and a value for each rule, with its place under ``…_at``.
    ``divergences`` and ``tree_depth`` are numbers of draws, placed at the chain with most of them;
    ``stuck`` is a number of parameters, placed at the first of them; ``ebfmi`` is that of the worst
    chain. NaN where there is nothing to compute it from. ``beyond`` says by variable how many of
    its parameters are beyond a limit of R-hat or effective sample size, where some are, and
    ``among`` how many parameters there are in all.
    """
    posterior = draws["posterior"].to_dataset().transpose("chain", "draw", ...)
    if names is not None:
        posterior = posterior[[name for name in posterior.data_vars if name in names]]
    stats = draws["sample_stats"].to_dataset() if "sample_stats" in draws.children else None
    return {
        "draws": posterior.sizes["chain"] * posterior.sizes["draw"],
        **_count("divergences", stats, ("diverging",)),
        **worst(posterior),
        **_count("tree_depth", stats, DEEPEST),
        **_ebfmi(stats),
    }


def worst(posterior: xr.Dataset) -> dict[str, Any]:
    """What `measure` says of the parameters, whose dims are chain and draw first.

    That is those that are stuck, worst R-hat and effective sample sizes of others, their names.
    """
    from arviz_stats.base import array_stats

    exact = {
        "rhat": array_stats.rhat,
        "ess_bulk": partial(array_stats.ess, method="bulk"),
        "ess_tail": partial(array_stats.ess, method="tail", prob=TAILS),
    }
    arrays = [array.to_numpy() for array in posterior.data_vars.values()]
    arrays = [array.reshape(*array.shape[:2], -1) for array in arrays]
    found = convergence(arrays)
    report = _stuck(posterior, arrays, np.isnan(found[1])) | _beyond(posterior, arrays, found)
    for (name, of_draws), numbers in zip(exact.items(), found, strict=True):
        if np.isnan(numbers).all():
            report[name], report[f"{name}_at"] = float("nan"), ""
            continue
        at = int(np.nanargmax(numbers) if name == "rhat" else np.nanargmin(numbers))
        label, draws = _parameter(posterior, arrays, at)
        report[name], report[f"{name}_at"] = float(of_draws(draws)), label
    return report


def _stuck(
    posterior: xr.Dataset, arrays: Sequence[Floats], stuck: NDArray[np.bool_]
) -> dict[str, Any]:
    """Number of parameters that have no effective sample size, and the first of them."""
    if posterior.sizes["draw"] < LEAST_DRAWS:
        return {"stuck": float("nan"), "stuck_at": ""}
    first = _parameter(posterior, arrays, int(stuck.argmax()))[0] if stuck.any() else ""
    return {"stuck": int(stuck.sum()), "stuck_at": first}


def _beyond(posterior: xr.Dataset, arrays: Sequence[Floats], found: Floats) -> dict[str, Any]:
    """By variable the number of parameters beyond a limit; the number of all."""
    chains = posterior.sizes["chain"]
    broken = np.any([r.broken(x, chains) for r, x in zip(OF_CHAINS, found, strict=True)], axis=0)
    ends = np.cumsum([array.shape[2] for array in arrays])
    counts = [int(own.sum()) for own in np.split(broken, ends)[:-1]]
    names = map(str, posterior.data_vars)
    beyond = {name: number for name, number in zip(names, counts, strict=True) if number}
    return {"among": len(broken), "beyond": beyond}


def _parameter(posterior: xr.Dataset, arrays: Sequence[Floats], at: int) -> tuple[str, Floats]:
    """Label and draws (chain, draw) of a parameter, counted through all variables."""
    for (name, variable), array in zip(posterior.data_vars.items(), arrays, strict=True):
        if at < array.shape[2]:
            place = np.unravel_index(at, variable.shape[2:])
            pairs = zip(variable.dims[2:], place, strict=True)
            own = ", ".join(str(variable[dim].values[k]) for dim, k in pairs)
            return f"{name}[{own}]" if own else str(name), array[:, :, at]
        at -= array.shape[2]
    raise IndexError(at)


def _count(name: str, stats: xr.Dataset | None, variables: Sequence[str]) -> dict[str, Any]:
    """Number of draws of which the sampler says something, and the chain with most of them."""
    found = [v for v in variables if stats is not None and v in stats]
    if stats is None or not found:
        return {name: float("nan"), f"{name}_at": ""}
    array = stats[found[0]].transpose("chain", "draw")
    by_chain = array.to_numpy().astype(bool).sum(axis=1)
    count = int(by_chain.sum())
    return {name: count, f"{name}_at": _chain(array, int(by_chain.argmax())) if count else ""}


def _ebfmi(stats: xr.Dataset | None) -> dict[str, Any]:
    """Lowest energy fraction of missing information, and its chain."""
    from arviz_stats.base import array_stats

    if stats is not None and "energy" in stats and stats.sizes["draw"] > 1:
        energy = stats["energy"].transpose("chain", "draw")
        with np.errstate(all="ignore"):
            values = np.asarray(array_stats.bfmi(energy.to_numpy(), chain_axis=0, draw_axis=1))
        if not np.isnan(values).all():
            at = int(np.nanargmin(values))
            return {"ebfmi": float(values[at]), "ebfmi_at": _chain(energy, at)}
    return {"ebfmi": float("nan"), "ebfmi_at": ""}


def _chain(array: xr.DataArray, at: int) -> str:
    """Name of a chain by its position."""
    return f"chain {array['chain'].values[at]}"
