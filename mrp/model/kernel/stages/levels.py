"""Stages of the likelihood of outcomes with levels."""

from __future__ import annotations

import math

from numba import njit

from mrp.model.kernel.header import (
    AT_ETA,
    AT_GAPS,
    AT_MEAN,
    AT_OUTCOME,
    AT_RUN_ENDS,
    AT_TRIALS,
    GAPS,
    INNER,
    LOG_ROOT,
    PREDICTORS,
    ROWS,
)
from mrp.model.kernel.stages.arithmetic import after, fast_exp, fast_log, fast_log1p, in_any_order
from mrp.model.kernel.stages.likelihood import log_ndtr
from mrp.model.kernel.stages.loops import fill


def categorical(q, gradient, ints, index, floats, work):
    """Levels by their log odds against the first, which lie level after level."""
    n = ints[ROWS] // ints[PREDICTORS]
    y, m = after(floats, ints[AT_OUTCOME]), after(floats, ints[AT_TRIALS])
    top = after(work, ints[AT_MEAN])
    odds = after(top, n)
    fill(top, 0.0, n)
    for k in range(ints[PREDICTORS]):
        eta = after(work, ints[AT_ETA] + k * n)
        for i in range(n):
            top[i] = max(top[i], eta[i])
    for i in range(n):
        odds[i] = fast_exp(-top[i])
    total = 0.0
    for k in range(ints[PREDICTORS]):
        eta, own = after(work, ints[AT_ETA] + k * n), after(y, k * n)
        for i in range(n):
            h = eta[i]
            e = fast_exp(h - top[i])
            total = in_any_order(total, own[i] * h)
            eta[i] = e
            odds[i] += e
    for i in range(n):
        total = in_any_order(total, -m[i] * (top[i] + fast_log(odds[i])))
        odds[i] = m[i] / odds[i]
    for k in range(ints[PREDICTORS]):
        eta, own = after(work, ints[AT_ETA] + k * n), after(y, k * n)
        for i in range(n):
            eta[i] = own[i] - eta[i] * odds[i]
    return total


# The lowest level is a success, the highest a failure: `BINARY` rows, which come first. The others
# have the probability F(h + gap) - F(h), run after run, where h is that of the lower threshold.


def between_logit(q, gradient, ints, index, floats, work):
    """F(h + gap) (1 - F(h)) (1 - exp(-gap))."""
    eta, m = after(work, ints[AT_ETA]), after(floats, ints[AT_TRIALS])
    gaps, ends = after(work, ints[AT_GAPS]), after(index, ints[AT_RUN_ENDS])
    g_gaps = after(gaps, ints[GAPS])
    total = 0.0
    for k in range(ints[GAPS]):
        gap, respondents, slope = gaps[k], 0.0, 0.0
        for i in range(ends[k + 1], ends[k + 2]):
            low, high = eta[i], eta[i] + gap
            e_low, e_high = fast_exp(-abs(low)), fast_exp(-abs(high))
            inverse_low, inverse_high = 1.0 / (1.0 + e_low), 1.0 / (1.0 + e_high)
            below = inverse_low if low >= 0.0 else e_low * inverse_low
            above = inverse_high if high <= 0.0 else e_high * inverse_high
            logs = max(low, 0.0) + max(-high, 0.0) + fast_log1p(e_low) + fast_log1p(e_high)
            total = in_any_order(total, -m[i] * logs)
            respondents = in_any_order(respondents, m[i])
            slope = in_any_order(slope, m[i] * above)
            eta[i] = m[i] * (above - below)
        total += respondents * math.log(-math.expm1(-gap))
        g_gaps[k] = slope + respondents / math.expm1(gap)
    return total


def between_probit(q, gradient, ints, index, floats, work):
    """Phi(h + gap) - Phi(h)."""
    eta, m = after(work, ints[AT_ETA]), after(floats, ints[AT_TRIALS])
    gaps, ends = after(work, ints[AT_GAPS]), after(index, ints[AT_RUN_ENDS])
    g_gaps = after(gaps, ints[GAPS])
    total = 0.0
    for k in range(ints[GAPS]):
        g_gaps[k] = 0.0
        for i in range(ends[k + 1], ends[k + 2]):
            log_p, by_low, by_high = _between_ndtr(eta[i], gaps[k])
            total += m[i] * log_p
            g_gaps[k] += m[i] * by_high
            eta[i] = m[i] * by_low
    return total


@njit(**INNER)
def _between_ndtr(h, gap):
    """log(F(h + gap) - F(h)), its derivatives by h and by gap."""
    middle = h + 0.5 * gap
    # in the lower tail, where F has all digits: mirrored if need be
    low, high = -abs(middle) - 0.5 * gap, -abs(middle) + 0.5 * gap
    if gap * (1.0 + abs(middle)) < 0.01:  # by series, as the two F have the first digits in common
        square, step = middle * middle, gap * gap / 24.0
        series = step * (square - 1.0)
        series += 0.3 * step * step * ((square - 6.0) * square + 3.0)
        log_p = math.log(gap) - 0.5 * square - LOG_ROOT + math.log1p(series)
    else:
        log_high, _ = log_ndtr(high)
        log_low, _ = log_ndtr(low)
        log_p = log_high + math.log(-math.expm1(log_low - log_high))
    # the densities at the nearer and the farther end, relative to the probability
    near = math.exp(-0.5 * high * high - LOG_ROOT - log_p)
    drop = -math.expm1(-gap * abs(middle))
    if middle > 0.0:
        return log_p, -near * drop, near * (1.0 - drop)
    return log_p, near * drop, near


def between_cloglog(q, gradient, ints, index, floats, work):
    """exp(-rate) (1 - exp(-more)), where the rates exp(h) of the thresholds differ by `more`."""
    eta, m = after(work, ints[AT_ETA]), after(floats, ints[AT_TRIALS])
    gaps, ends = after(work, ints[AT_GAPS]), after(index, ints[AT_RUN_ENDS])
    g_gaps = after(gaps, ints[GAPS])
    total = 0.0
    for k in range(ints[GAPS]):
        gap, slope = gaps[k], 0.0
        growth = math.expm1(gap)
        log_growth = math.log(growth)
        for i in range(ends[k + 1], ends[k + 2]):
            rate = math.exp(eta[i])
            more = min(rate * growth, 1000.0)  # beyond, the probability is exp(-rate)
            log_p, share = eta[i] + log_growth - 0.5 * more, 1.0 - 0.5 * more
            if more > 1e-9:
                log_p, share = math.log(-math.expm1(-more)), more / math.expm1(more)
            total += m[i] * (log_p - rate)
            slope += m[i] * share
            eta[i] = m[i] * (share - rate)
        g_gaps[k] = slope / -math.expm1(-gap)
    return total
