"""R-hat and effective sample size of many parameters at once.

The formulas are those of Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021,
doi:10.1214/20-BA1221), as ArviZ has them. ArviZ takes 4 milliseconds for each parameter; here many
are done at once, on all cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TAILS = (0.05, 0.95)
"""Probabilities of the quantiles whose smaller effective sample size is that of the tails."""
LEAST_DRAWS = 4
"""Draws of a chain that diagnostics need."""
TOGETHER = 64
"""Parameters diagnosed at once: their draws fit into a processor's cache."""


def convergence(arrays: Sequence[Floats]) -> Floats:
    """R-hat, bulk and tail effective sample size of every parameter (3, parameters).

    Parameters
    ----------
    arrays
        Draws (chains, draws, parameters), one array or several.

    Returns
    -------
    NaN where a number can't be computed: chains of fewer than 4 draws, values that are not finite
    or never move, R-hat of one chain.
    """
    found = _in_pieces(arrays, _convergence)
    return np.concatenate([np.zeros((3, 0)), *found], axis=1)


def of_rows(values: Floats, chains: int) -> Floats:
    """The same numbers (rows, 3) of draws (rows, chains x draws), chain by chain."""
    return _of_chains(values.reshape(len(values), chains, -1)).T


def relative_efficiency(arrays: Sequence[Floats]) -> float:
    """Effective sample size of the mean, averaged over parameters, as a share of the draws.

    Parameters whose draws are not all finite are left out.

    It says how long the tail is that Pareto smoothing takes (Vehtari et al. 2017,
    doi:10.1007/s11222-016-9696-4); one chain counts as independent draws, as in ArviZ.
    """
    chains, draws = arrays[0].shape[:2]
    if chains == 1 or draws < LEAST_DRAWS:
        return 1.0
    found = np.concatenate(_in_pieces(arrays, _ess_of_mean))
    finite = found[np.isfinite(found)]
    return float(finite.mean() / (chains * draws)) if len(finite) else 1.0


def _in_pieces(arrays: Sequence[Floats], diagnose: Any) -> list[Floats]:
    pieces = [
        array[:, :, k : k + TOGETHER]
        for array in arrays
        for k in range(0, array.shape[2], TOGETHER)
    ]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(diagnose, pieces))


def _convergence(draws: Floats) -> Floats:
    """R-hat, bulk and tail effective sample size (3, parameters) of (chains, draws, parameters)."""
    return _of_chains(np.ascontiguousarray(np.moveaxis(draws, 2, 0)))


@np.errstate(all="ignore")
def _of_chains(x: Floats) -> Floats:
    """The same of (parameters, chains, draws)."""
    parameters, chains, count = x.shape
    result = np.full((3, parameters), np.nan)
    if count < LEAST_DRAWS:
        return result
    x_split = _split(x)
    z = _normal_scores(x_split)
    if chains > 1:
        folded = np.abs(x_split - np.median(x_split, axis=(1, 2), keepdims=True))
        result[0] = np.maximum(_rhat(z), _rhat(_normal_scores(folded)))
    result[1] = _ess(z)
    low, high = np.quantile(x, TAILS, axis=(1, 2))[:, :, None, None]
    result[2] = np.minimum(_ess(x_split <= low), _ess(x_split <= high))
    finite, moving = np.isfinite(x).all(axis=(1, 2)), np.ptp(x, axis=(1, 2)) > 0
    result[:, ~(finite & moving)] = np.nan
    return result


@np.errstate(all="ignore")
def _ess_of_mean(draws: Floats) -> Floats:
    x = np.ascontiguousarray(np.moveaxis(draws, 2, 0))
    return np.where(np.isfinite(x).all(axis=(1, 2)), _ess(_split(x)), np.nan)


def _split(x: Floats) -> Floats:
    """Halves of the chains (parameters, 2 x chains, draws / 2); a middle draw is left out."""
    half = x.shape[2] // 2
    return np.concatenate([x[:, :, :half], x[:, :, -half:]], axis=1)


def _normal_scores(x: Floats) -> Floats:
    """Each parameter's draws replaced by normal quantiles of their ranks; of equal ones the mean.

    A rank is the place from 1 on, and the mean of equal draws' places is that of the first and the
    last of them.
    """
    from scipy.special import ndtri

    flat = x.reshape(len(x), -1)
    size = flat.shape[1]
    order = np.argsort(flat, axis=1)
    rising = np.take_along_axis(flat, order, axis=1)
    differ = rising[:, 1:] != rising[:, :-1]
    first, last = np.zeros(flat.shape, np.intp), np.full(flat.shape, size - 1)
    first[:, 1:] = np.where(differ, np.arange(1, size), 0)
    last[:, :-1] = np.where(differ, np.arange(size - 1), size - 1)
    np.maximum.accumulate(first, axis=1, out=first)
    first += np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    of_sum = ndtri((np.arange(2 * size - 1) / 2 + 1 - 3 / 8) / (size + 1 / 4))
    scores = np.empty(flat.shape)
    np.put_along_axis(scores, order, of_sum[first], axis=1)
    return scores.reshape(x.shape)


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
    next_one = rho[np.arange(len(rho)), 2 * stop]
    tau += np.where(ended.any(axis=1), np.maximum(next_one, 0.0), next_one)
    size = chains * count
    result = size / np.maximum(tau, 1.0 / np.log10(size))
    constant = np.ptp(x.astype(float), axis=(1, 2)) < np.finfo(float).resolution
    return np.where(constant, float(size), result)
