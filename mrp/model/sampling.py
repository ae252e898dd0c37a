"""Running the sampler, and saying plainly whether its draws can be trusted."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mrp.checks.diagnostics import judge
from mrp.errors import FitError, RequestError, SamplingInterrupted, SamplingWarning, is_whole, warn

if TYPE_CHECKING:
    import pymc as pm

    from mrp.design import Design
    from mrp.levels import LevelParameters
    from mrp.model.families import Family
    from mrp.model.kernel.layout import Packed

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


def run_kernel(
    packed: Packed, design: Design, family: Family, by_level: LevelParameters, run: Run
) -> xr.DataTree:
    """Sample with the kernel; the same groups and names as `run_graph` gives."""
    from mrp.model.kernel.layout import unpack
    from mrp.model.kernel.run import NAME, compiled

    return _run_nutpie(
        compiled(packed),
        run,
        lambda posterior: unpack(packed, design, family, posterior[NAME].to_numpy(), by_level),
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
        warn(
            f"Sampling was interrupted: {count} of {draws} draws of {len(kept)} of {len(lengths)} "
            f"chains are kept.",
            SamplingWarning,
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
        if not is_whole(value, least):
            raise RequestError(f"`{name}` must be a whole number, {least} or more, got {value!r}.")


def check_seed(seed: object) -> None:
    """Raise unless this is a seed, or None."""
    if seed is not None and not is_whole(seed):
        raise RequestError(
            f"`seed` must be a whole number, 0 or more, or None, got {seed!r}. Usual: 1."
        )


def check_target(target_accept: float) -> None:
    """Raise unless the target acceptance rate is one."""
    if not 0 < target_accept < 1:
        raise RequestError(
            f"`target_accept` must be between 0 and 1, got {target_accept!r}. Typical: 0.8 to 0.99."
        )


def complaints(report: Mapping[str, Any], chains: int) -> list[str]:
    """What is wrong with a fit, one phrase each; empty where nothing is."""
    said = [check.said for check in judge(report, chains) if check.said]
    if np.isnan(report["rhat"]):
        said.append("R-hat can't be computed, it takes 2 chains of 4 draws")
    return said


def warn_if_separated(label: str, named: str) -> None:
    """Warn that a coefficient's likelihood has no maximum and its prior no end."""
    warn(
        f"The coefficient of {label} may have no end: the outcome is separated by it, and its "
        f"prior does not hold it. Give it a proper one, such as "
        f"priors={{'defaults': 'brms', {named!r}: 'normal(0, 2.5)'}}.",
        SamplingWarning,
    )


def warn_if_bad(report: Mapping[str, Any], chains: int) -> None:
    """One plain warning with everything that is wrong, and what to do about the first of it."""
    said = complaints(report, chains)
    if said:
        advice = [check.advice for check in judge(report, chains) if check.ok is False]
        warn(
            f"The draws may not represent the posterior: {'; '.join(said)}. "
            f"{next(iter(advice), 'Raise `draws` and `chains`.')}",
            SamplingWarning,
        )
