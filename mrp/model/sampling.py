"""Running the sampler, and saying plainly whether its draws can be trusted."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mrp.errors import FitError, RequestError, SamplingInterrupted, SamplingWarning

if TYPE_CHECKING:
    import pymc as pm

    from mrp.design import Design
    from mrp.model.families import Family
    from mrp.model.kernel.layout import Packed

Floats = NDArray[np.float64]

RHAT_LIMIT = 1.01
"""Largest R-hat of a trustworthy fit (Vehtari, Gelman, Simpson, Carpenter and Bürkner 2021)."""
ESS_PER_CHAIN = 100
"""Smallest effective sample size per chain of a trustworthy fit (the same source)."""
LEAST_DRAWS = 4
"""Draws of a chain that diagnostics need."""
TOGETHER = 64
"""Parameters diagnosed at once: their draws fit into a processor's cache."""
DROPPED_STATS = ("fisher_distance", "gradient", "unconstrained_draw")


@dataclass(frozen=True)
class Run:
    """How to run the sampler: the options of `Model.sample`."""

    draws: int
    tune: int
    chains: int
    seed: int | None
    target_accept: float
    progress: bool


def run_graph(graph: pm.Model, run: Run, *, keep: Sequence[str]) -> xr.DataTree:
    """Sample a PyMC model with nutpie; interrupted, it keeps what it has.

    Returns
    -------
    Groups ``posterior`` (variables of `keep`, dims chain and draw first) and ``sample_stats``.
    """
    import nutpie

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = nutpie.compile_pymc_model(graph)
    return _run_nutpie(compiled, run, lambda posterior: posterior[list(keep)])


def run_kernel(packed: Packed, design: Design, family: Family, run: Run) -> xr.DataTree:
    """Sample with the kernel; the same groups and names as `run_graph` gives."""
    from mrp.model.kernel.layout import unpack
    from mrp.model.kernel.run import NAME, compiled

    return _run_nutpie(
        compiled(packed),
        run,
        lambda posterior: unpack(packed, design, family, posterior[NAME].to_numpy()),
    )


def kernel_runs() -> bool:
    """Whether the installed nutpie has the interface that the kernel is called through."""
    try:
        importlib.import_module("mrp.model.kernel.run")
    except (ImportError, AttributeError):
        return False
    return True


def _run_nutpie(
    compiled: Any, run: Run, parameters: Callable[[xr.Dataset], xr.Dataset]
) -> xr.DataTree:
    import nutpie

    try:
        trace = nutpie.sample(
            compiled,
            draws=run.draws,
            tune=run.tune,
            chains=run.chains,
            seed=run.seed,
            target_accept=run.target_accept,
            progress_bar=run.progress,
            save_warmup=False,
        )
    except (RuntimeError, ValueError) as error:
        said = str(error).splitlines()[0].rstrip(".")  # below it may be a stack trace
        raise FitError(
            f"The sampler stopped: {said}. Check the outcome and predictors for extreme values, "
            f"or give informative `priors`."
        ) from error
    return _tidy(trace, run.draws, parameters)


def _tidy(
    trace: xr.DataTree, draws: int, parameters: Callable[[xr.Dataset], xr.Dataset]
) -> xr.DataTree:
    """The draws that every chain has, as named parameters, and what the sampler says of them."""
    posterior, stats = trace["posterior"].to_dataset(), trace["sample_stats"].to_dataset()
    stats = stats.drop_vars([name for name in DROPPED_STATS if name in stats])
    lengths = stats["logp"].notnull().sum("draw").to_numpy()
    if (lengths < draws).any():
        kept, count = _kept(lengths)
        warnings.warn(
            f"Sampling was interrupted: {count} of {draws} draws of {len(kept)} of {len(lengths)} "
            f"chains are kept.",
            SamplingWarning,
            stacklevel=5,  # whoever called Model.sample
        )
        there = {"chain": kept, "draw": slice(count)}
        numbers = {"chain": np.arange(len(kept))}
        posterior = posterior.isel(there).assign_coords(numbers)
        stats = stats.isel(there).assign_coords(numbers)
    named = parameters(posterior).transpose("chain", "draw", ...)
    return xr.DataTree.from_dict({"posterior": named, "sample_stats": stats})


def _kept(lengths: NDArray[np.int64]) -> tuple[NDArray[np.intp], int]:
    """Chains, and draws of each, that keep most of an interrupted run: two chains or more if any.

    Chains that had to wait for a core may not have begun.
    """
    longest = np.sort(lengths)[::-1]
    totals = longest * np.arange(1, len(lengths) + 1)
    if len(lengths) > 1 and longest[1] > 0:
        totals[0] = 0  # one chain can't be compared with another
    count = int(longest[int(np.argmax(totals))])
    if not count:
        raise SamplingInterrupted("Sampling was interrupted before the first draw: none is kept.")
    return np.flatnonzero(lengths >= count), count


def check_sizes(**sizes: int) -> None:
    """Raise unless numbers of draws and chains are positive whole numbers."""
    for name, value in sizes.items():
        least = 0 if name == "tune" else 1
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise RequestError(f"`{name}` must be a whole number, {least} or more, got {value!r}.")


def check_target(target_accept: float) -> None:
    """Raise unless the target acceptance rate is one."""
    if not 0 < target_accept < 1:
        raise RequestError(
            f"`target_accept` must be between 0 and 1, got {target_accept!r}. Typical: 0.8 to 0.99."
        )


def diagnose(draws: xr.DataTree) -> dict[str, Any]:
    """Worst R-hat and effective sample size over all parameters, and divergent transitions.

    Returns
    -------
    ``rhat``, ``ess_bulk``, ``ess_tail`` (worst values, each with the parameter's name in
    ``…_at``), ``divergences`` and ``draws`` (over all chains).
    """
    from arviz_base import rcParams
    from arviz_stats.base import array_stats

    # the quantiles whose smaller effective sample size is the tail's
    tails = sorted((rcParams["stats.ci_prob"], 1 - rcParams["stats.ci_prob"]))
    posterior = draws["posterior"].to_dataset().transpose("chain", "draw", ...)
    arrays = [array.to_numpy() for array in posterior.data_vars.values()]
    arrays = [array.reshape(*array.shape[:2], -1) for array in arrays]
    report: dict[str, Any] = {
        "draws": posterior.sizes["chain"] * posterior.sizes["draw"],
        "divergences": _divergences(draws),
    }
    exact = {
        "rhat": array_stats.rhat,
        "ess_bulk": partial(array_stats.ess, method="bulk"),
        "ess_tail": partial(array_stats.ess, method="tail", prob=tails),
    }
    for (name, of_draws), numbers in zip(exact.items(), _screened(arrays, tails), strict=True):
        if np.isnan(numbers).all():
            report[name], report[f"{name}_at"] = float("nan"), ""
            continue
        at = int(np.nanargmax(numbers) if name == "rhat" else np.nanargmin(numbers))
        label, worst = _parameter(posterior, arrays, at)
        report[name], report[f"{name}_at"] = float(of_draws(worst)), label
    return report


def _screened(arrays: Sequence[Floats], tails: Sequence[float]) -> Floats:
    """R-hat, bulk and tail effective sample size of every parameter (3, parameters).

    ArviZ takes 4 milliseconds for each; here many are done at once, on all cores.
    """
    pieces = [
        array[:, :, k : k + TOGETHER]
        for array in arrays
        for k in range(0, array.shape[2], TOGETHER)
    ]
    with ThreadPoolExecutor() as pool:
        found = pool.map(partial(_diagnostics, tails=tails), pieces)
        return np.concatenate([np.zeros((3, 0)), *found], axis=1)


@np.errstate(all="ignore")
def _diagnostics(draws: Floats, tails: Sequence[float]) -> Floats:
    """R-hat, bulk and tail effective sample size (3, parameters) of (chains, draws, parameters).

    The formulas are those of Vehtari et al. (2021), as ArviZ has them.
    """
    x = np.ascontiguousarray(np.moveaxis(draws, 2, 0))
    parameters, chains, count = x.shape
    result = np.full((3, parameters), np.nan)
    if count < LEAST_DRAWS:
        return result
    half = count // 2
    x_split = np.concatenate([x[:, :, :half], x[:, :, -half:]], axis=1)
    z = _normal_scores(x_split)
    if chains > 1:
        folded = np.abs(x_split - np.median(x_split, axis=(1, 2), keepdims=True))
        result[0] = np.maximum(_rhat(z), _rhat(_normal_scores(folded)))
    result[1] = _ess(z)
    low, high = np.quantile(x, tails, axis=(1, 2))[:, :, None, None]
    result[2] = np.minimum(_ess(x_split <= low), _ess(x_split <= high))
    result[:, ~np.isfinite(x).all(axis=(1, 2))] = np.nan
    return result


def _normal_scores(x: Floats) -> Floats:
    """Each parameter's draws replaced by normal quantiles of their ranks."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    ranks = rankdata(x.reshape(len(x), -1), axis=1).reshape(x.shape)
    scores: Floats = ndtri((ranks - 3 / 8) / (x[0].size + 1 / 4))
    return scores


def _rhat(x: Floats) -> Floats:
    count = x.shape[2]
    between = count * x.mean(axis=2).var(axis=1, ddof=1)
    within = x.var(axis=2, ddof=1).mean(axis=1)
    result: Floats = np.sqrt((between / within + count - 1) / count)
    return result


def _ess(x: NDArray[Any]) -> Floats:
    """Effective sample size, with Geyer's initial monotone sequence of autocorrelations."""
    from scipy.fft import irfft, next_fast_len, rfft

    _, chains, count = x.shape
    means = x.mean(axis=2, keepdims=True)
    length = next_fast_len(2 * count, real=True)
    power = np.mean(np.abs(rfft(x - means, length, axis=2)) ** 2, axis=1)
    covariance = irfft(power, length, axis=1)[:, :count] / count
    within = covariance[:, :1] * count / (count - 1)
    total = covariance[:, :1] + means[:, :, 0].var(axis=1, ddof=1, keepdims=True)
    rho = 1.0 - (within - covariance) / total
    rho[:, 0] = 1.0
    last = max((count - 1) // 2, 1)  # pairs of neighbouring lags, as far as ArviZ goes
    pairs = rho[:, 0 : 2 * last : 2] + rho[:, 1 : 2 * last : 2]
    ended = pairs <= 0
    stop = np.where(ended.any(axis=1), ended.argmax(axis=1), last - 1)
    before = np.arange(last) < stop[:, None]
    tau = 2.0 * (np.minimum.accumulate(pairs, axis=1) * before).sum(axis=1) - 1.0
    tau += np.maximum(rho[np.arange(len(rho)), 2 * stop], 0.0)
    size = chains * count
    result = size / np.maximum(tau, 1.0 / np.log10(size))
    constant = np.ptp(x.astype(float), axis=(1, 2)) < np.finfo(float).resolution
    return np.where(constant, float(size), result)


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


def _divergences(draws: xr.DataTree) -> int:
    stats = draws.children.get("sample_stats")
    return int(stats["diverging"].sum()) if stats is not None and "diverging" in stats else 0


def complaints(report: dict[str, Any], chains: int) -> list[str]:
    """What is wrong with a fit, one phrase each; empty where nothing is."""
    said = []
    if report["divergences"]:
        said.append(f"{report['divergences']} of {report['draws']} draws ended in divergences")
    if np.isnan(report["rhat"]):
        said.append("R-hat can't be computed, it takes 2 chains of 4 draws")
    if report["rhat"] > RHAT_LIMIT:
        said.append(f"R-hat is {report['rhat']:.3f} for {report['rhat_at']} (over {RHAT_LIMIT})")
    for name, label in (("ess_bulk", "bulk"), ("ess_tail", "tail")):
        least = ESS_PER_CHAIN * chains
        if report[name] < least:
            said.append(
                f"{label} effective sample size is {report[name]:.0f} for {report[f'{name}_at']} "
                f"(under {least})"
            )
    return said


def warn_if_separated(label: str, named: str) -> None:
    """Warn that a coefficient's likelihood has no maximum and its prior no end."""
    warnings.warn(
        f"The coefficient of {label} may have no end: the outcome is separated by it, and its "
        f"prior does not hold it. Give it a proper one, such as "
        f"priors={{'defaults': 'brms', {named!r}: 'normal(0, 2.5)'}}.",
        SamplingWarning,
        stacklevel=4,  # whoever called Model.sample
    )


def warn_if_bad(report: dict[str, Any], chains: int) -> None:
    """One plain warning with everything that is wrong, and what to do about it."""
    said = complaints(report, chains)
    if said:
        advice = (
            "Raise `target_accept` (0.95, 0.99) or narrow the priors of the sd's."
            if report["divergences"]
            else "Raise `draws` and `tune`."
        )
        warnings.warn(
            f"The draws may not represent the posterior: {'; '.join(said)}. {advice}",
            SamplingWarning,
            stacklevel=3,  # whoever called Model.sample
        )
