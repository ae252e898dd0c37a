"""Running the sampler, and saying plainly whether its draws can be trusted."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from numbers import Real
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mrp.checks import averages, diagnostics
from mrp.checks.diagnostics import judge
from mrp.errors import (
    EngineWarning,
    FitError,
    MRPError,
    RequestError,
    SamplingInterrupted,
    SamplingWarning,
    check_bits,
    counted,
    is_whole,
    warn,
    warn_once,
)

if TYPE_CHECKING:
    import pymc as pm

    from mrp.design import Design
    from mrp.fit import Fit
    from mrp.levels import LevelParameters
    from mrp.model.families import Family
    from mrp.model.kernel.layout import Packed

NUTPIE = ((0, 16, 5), (0, 17))
"""Versions of nutpie that the kernel is tested with: from the first on, before the second."""
STOPS = (RuntimeError, ValueError)
"""What the sampler raises when it can't go on with a model."""
PANIC = "PanicException"
"""Name of what the sampler's own failures are in Python: neither Exceptions nor interrupts."""
MOST_CHAINS = 1000
"""Each chain is tuned by itself, so that many short ones cost more and say less than a few."""
TARGET, TARGET_OF_MANY, MANY = 0.92, 0.8, 1000
"""Default target acceptance rates, and the number of parameters from which on steps are so short
that a lower one halves the work without divergences."""
SEEDS_OF_NUTPIE = 2**64
"""Seeds that nutpie takes as they are."""
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
    try:
        trace = _sampled(compiled, run)
    except STOPS as error:
        raise _stopped(error) from error
    except BaseException as error:
        if _is_panic(error):
            raise _panicked(error) from error
        raise
    return _tidy(trace, run.draws, lambda posterior: posterior[list(keep)])


def run_kernel(
    packed: Packed, design: Design, family: Family, by_level: LevelParameters, run: Run
) -> xr.DataTree:
    """Sample with the kernel; the same groups and names as `run_graph` gives.

    Raises
    ------
    InterfaceError
        The kernel can't be called through the nutpie that is installed.
    """
    from mrp.model.kernel.layout import unpack
    from mrp.model.kernel.run import NAME, compiled

    with _interface():
        model = compiled(packed)
    with _interface(model.started), threadpool_limits(limits=1, user_api="blas"):
        trace = _sampled(model, run)  # whose chains are side by side already
    with _interface():
        _check_densities(packed, trace, NAME)
    return _tidy(
        trace,
        run.draws,
        lambda posterior: unpack(packed, design, family, posterior[NAME].to_numpy(), by_level),
    )


class InterfaceError(FitError):
    """The kernel can't be called through the nutpie that is installed; says what it needs."""


def _needed(got: str) -> InterfaceError:
    least, below = (".".join(map(str, version)) for version in NUTPIE)
    return InterfaceError(
        f"the kernel needs nutpie {least} or newer, but older than {below}, got {got}. Install "
        f"another version of these"
    )


def check_kernel() -> None:
    """Raise an `InterfaceError` unless the installed nutpie is one that the kernel is tested with.

    What an unknown version does with the address of a C function can't be tried: it might crash.
    """
    import nutpie

    version = tuple(map(int, re.findall(r"\d+", nutpie.__version__)[:3]))
    if not NUTPIE[0] <= version < NUTPIE[1]:
        raise _needed(nutpie.__version__)
    with _interface():
        importlib.import_module("mrp.model.kernel.run")


def warn_of_graph(error: InterfaceError) -> None:
    """Say once that the kernel can't be used, and what is done instead."""
    warn_once(
        f"The graph is sampled in place of the kernel, which takes longer: {error}.",
        EngineWarning,
    )


def no_kernel(error: InterfaceError) -> FitError:
    """What to raise where nothing but the kernel is wanted."""
    return FitError(f"`engine='kernel'` can't be used: {error}, or pass engine='pymc'.")


@contextmanager
def _interface(started: Event | None = None) -> Iterator[None]:
    """Turn what goes wrong into an `InterfaceError`, except for what the sampler may say itself.

    Parameters
    ----------
    started
        Set when the sampler has begun. From then on, errors of a run or of values are about the
        model.
    """
    import nutpie

    try:
        yield
    except (MRPError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and not _is_panic(error):
            raise  # whoever interrupts is heard
        if started is not None and started.is_set() and isinstance(error, STOPS):
            raise _stopped(error) from error
        said = f"{type(error).__name__}: {_first_line(error)}"
        raise _needed(f"{nutpie.__version__}, where it fails with {said}") from error


def _check_densities(packed: Packed, trace: xr.DataTree, name: str) -> None:
    """Raise unless what the sampler took for the density of a draw is the kernel's."""
    densities = trace["sample_stats"]["logp"].transpose("chain", "draw").to_numpy()
    made = np.argwhere(np.isfinite(densities))
    if len(made):
        chain, draw = made[-1]
        here = packed.log_density(trace["posterior"][name].to_numpy()[chain, draw])[0]
        if not np.isclose(here, densities[chain, draw], rtol=1e-9):
            raise ValueError(f"a draw has the log density {densities[chain, draw]}, not {here}")


def _sampled(compiled: Any, run: Run) -> xr.DataTree:
    """What nutpie draws."""
    import nutpie

    with warnings.catch_warnings():
        # few draws of many chains are no mistake
        warnings.filterwarnings("ignore", "Found chain dimension to be longer", UserWarning)
        trace: xr.DataTree = nutpie.sample(
            compiled,
            draws=run.draws,
            tune=run.tune,
            chains=run.chains,
            seed=_seed(run.seed),
            target_accept=run.target_accept,
            progress_bar=run.progress,
            save_warmup=False,
        )
    return trace


def _seed(seed: int | None) -> int | None:
    """The seed as nutpie takes it: one of more bits is mixed to as many."""
    if seed is None or seed < SEEDS_OF_NUTPIE:
        return seed
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])


def _stopped(error: BaseException) -> FitError:
    return FitError(
        f"The sampler stopped: {_first_line(error)}. Check the outcome and predictors for extreme "
        f"values, or give informative `priors`."
    )


def _panicked(error: BaseException) -> FitError:
    return FitError(
        f"The sampler failed: {_first_line(error)}. Check the outcome and predictors for extreme "
        f"values, or ask for fewer `draws` and `chains`; if it fails with usual ones, report it."
    )


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == PANIC and not isinstance(error, Exception)


def _first_line(error: BaseException) -> str:
    """What an error says; below it may be a stack trace."""
    return next(iter(str(error).splitlines()), "").rstrip(".")


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


def check_sizes(**sizes: object) -> None:
    """Raise unless numbers of draws, chains and the like are positive whole numbers."""
    for name, value in sizes.items():
        if not is_whole(value, 1):
            raise RequestError(
                f"`{name}` must be a whole number, 1 or more, got {counted(value)}.{_step(name)}"
            )
    check_most("chains", sizes.get("chains", 1), MOST_CHAINS)


def _step(name: str) -> str:
    return " The sampler can't do without. Usual: 1000." if name == "tune" else ""


def check_most(name: str, value: object, most: int) -> None:
    """Raise if a whole number is more than there can be of something."""
    if is_whole(value, most + 1):
        raise RequestError(f"`{name}` must be at most {most:,}, got {counted(value)}.")


def check_seed(seed: object) -> None:
    """Raise unless this is a seed, or None."""
    if seed is None:
        return
    if not is_whole(seed):
        raise RequestError(
            f"`seed` must be a whole number, 0 or more, or None, got {counted(seed)}. Usual: 1."
        )
    check_bits(int(seed))  # type: ignore[call-overload]


def check_target(target_accept: object) -> None:
    """Raise unless the target acceptance rate is one."""
    real = isinstance(target_accept, Real) and not isinstance(target_accept, bool)
    if not (real and 0 < target_accept < 1):  # type: ignore[operator]
        raise RequestError(
            f"`target_accept` must be between 0 and 1, got {counted(target_accept)}. Typical: 0.8 "
            f"to 0.99."
        )


def target_of(target_accept: float | None, parameters: int) -> float:
    """The target acceptance rate that is asked for, or the default of so many parameters.

    Raises
    ------
    RequestError
        What is asked for is no rate.
    """
    if target_accept is None:
        return TARGET if parameters <= MANY else TARGET_OF_MANY
    check_target(target_accept)
    return float(target_accept)


def check_flags(**flags: object) -> None:
    """Raise unless switches are True or False."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise RequestError(f"`{name}` must be True or False, got {value!r}.")


def complaints(report: Mapping[str, Any], chains: int) -> list[str]:
    """What is wrong with a fit, one phrase each; empty where nothing is."""
    said = diagnostics.complaints(report, chains)
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


_judging = ContextVar("judging", default=True)


@contextmanager
def unjudged() -> Iterator[None]:
    """Whatever is sampled here is judged by whoever asks: no averages are made for a warning."""
    token = _judging.set(False)
    try:
        yield
    finally:
        _judging.reset(token)


def averages_of(fit: Fit) -> dict[str, Any] | None:
    """R-hat and effective sample sizes of a fit's averages, if those of parameters are not well.

    None where parameters are well, where averages can't be made, and where draws are `unjudged`.
    """
    if not _judging.get():
        return None
    checks = judge(fit.info, fit.parameters.sizes["chain"])
    bad = any(check.ok is False for check in checks if check.name in averages.NUMBERS)
    return averages.measured(fit) if bad else None


def warn_if_bad(
    report: Mapping[str, Any], chains: int, of_averages: Mapping[str, Any] | None = None
) -> None:
    """One plain warning with everything that is wrong, and what to do about the first of it.

    Parameters
    ----------
    report, chains
        As `judge` takes them.
    of_averages
        What `averages_of` found.
    """
    said = complaints(report, chains)
    if not said:
        return
    failing = [check for check in judge(report, chains) if check.ok is False]
    of_chains = not np.isnan(report["rhat"]) and {c.name for c in failing} <= {*averages.NUMBERS}
    if of_chains and of_averages and not averages.complaints(of_averages, chains):
        said_first = "Some parameters are not sampled well"
    else:
        said_first = "The draws may not represent the posterior"
    sentences = [
        f"{said_first}: {'; '.join(said)}.",
        *([averages.said(of_averages, chains)] if of_averages else []),
        next((check.advice for check in failing), "Raise `draws` and `chains`."),
    ]
    warn(" ".join(sentences), SamplingWarning)
