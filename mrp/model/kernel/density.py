"""Log posterior density and gradient, for any model that `layout.pack` describes.

With the unconstrained parameters q of one draw, one pass computes

    sd = exp(q_sd), E = diag(sd) L, L = Cholesky factor from partial correlations tanh(q / 2)
    x = centre + P^-1 (score - Q centre) + R^-T z,  P = K + Q = R R'
    phi = shift + x_phi                                (centred intercepts, slopes)
    U_g U_g' = (E E')^-1 + I_g
    u_g = U_g^-T (U_g^-1 t_g + v_g),  t_g = h_g - C_g (x - centre)
    eta_i = offset_i + sum over parts of (M c)[index_i],  c = (phi uncentred, all u)

then the likelihood of eta, and the same steps backwards. M holds the distinct rows of each part, so
that a respondent costs one look-up per part in each direction.

Outcomes with levels need little more (`predictors`): the thresholds between ordered levels are
intercepts, and a respondent has a row for each linear predictor that matters. Thresholds that rise
are the first one and the logarithms of the gaps in phi. The effects that a group has on several
linear predictors are one block, whose correlations are zero between them.

The lines between are what makes sampling easy. The joint block x holds the coefficients and the
effects of most grouping factors. Given the standard deviations and correlations in Q = (E E')^-1,
it has about the precision P in the posterior, so that z is about standard normal whatever they are,
however the factors trade off with the coefficients and with each other (`stages.joint`). The
effects of the largest factor have about the precision U U' given x, group by group, if I_g is the
information that the group's respondents carry about them and h_g - C_g (x - centre) their score. So
v_g is about standard normal, too: where a group has no respondents (I = h = C = 0) this is the
non-centred parameterisation, where it has many the centred one, with every stage in between. Any
K, score, centre, I, h and C give the same posterior; `geometry` chooses them. Where no factor is
joint, ``x = T q``.

Each step is a stage: a C function of the same six pointers, which returns its part of the density.
A model names its stages by address (`data_of`), and only those are compiled, each by itself. One
function that calls everything would be optimised again at every level of calls, and take three
times as long to compile.

Stages share one piece of memory (`work`), which the entry points allocate. Small matrices lie row
by row; what each group has lies group after group, so that every step runs over all groups at once.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from mrp.model.kernel.header import (
    BLOCKS,
    CATEGORICAL,
    CLOGLOG,
    COEFFICIENTS,
    CUMULATIVE,
    DIM,
    FAMILY,
    FOLLOWS,
    GAPS,
    GAUSSIAN,
    LINK,
    LOGIT,
    NEGATIVE_BINOMIAL,
    OPTIONS,
    POISSON,
    PROBIT,
    SUCCESSES,
    WORK,
)
from mrp.model.kernel.machine_code import compiled
from mrp.model.kernel.stages.arithmetic import (
    DOUBLES,
    LONGS,
    STAGE,
    after,
    allocate,
    release,
    run_stage,
    to_doubles,
    to_ints,
    to_longs,
)
from mrp.model.kernel.stages.effects import effects, effects_backward, scales, scales_backward
from mrp.model.kernel.stages.joint import joint, joint_backward
from mrp.model.kernel.stages.levels import (
    between_cloglog,
    between_logit,
    between_probit,
    categorical,
)
from mrp.model.kernel.stages.likelihood import (
    gaussian,
    negative_binomial,
    poisson,
    successes_cloglog,
    successes_logit,
    successes_probit,
)
from mrp.model.kernel.stages.population import (
    population,
    population_backward,
    priors,
    rising,
    rising_backward,
)
from mrp.model.kernel.stages.rows import rows, rows_backward

# Positions in the array of addresses and sizes that the entry points get; the stages follow.
DATA_INTS, DATA_INDEX, DATA_FLOATS, FORWARD, STAGES, FIRST = range(6)

SUCCESSES_BY_LINK = {
    LOGIT: successes_logit,
    PROBIT: successes_probit,
    CLOGLOG: successes_cloglog,
}
BETWEEN_BY_LINK = {
    LOGIT: between_logit,
    PROBIT: between_probit,
    CLOGLOG: between_cloglog,
}
OTHERS = {
    POISSON: poisson,
    GAUSSIAN: gaussian,
    NEGATIVE_BINOMIAL: negative_binomial,
    CATEGORICAL: categorical,
}


def data_of(
    ints: NDArray[np.int64], index: NDArray[np.int32], floats: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The array that the entry points get; compiles those stages that the model needs."""
    to_phi, from_phi = population, population_backward
    if ints[FOLLOWS]:
        to_phi, from_phi = joint, joint_backward
    forward, others = [to_phi], [rows, *_likelihood(ints), rows_backward, priors]
    if ints[GAPS]:
        forward, others = [*forward, rising], [*others, rising_backward]
    if ints[BLOCKS]:
        forward = [scales, *forward, effects]
        others = [*others, effects_backward, from_phi, scales_backward]
    else:
        others = [*others, from_phi]
    stages = [_compiled(stage).address for stage in forward + others]
    arrays = [array.ctypes.data for array in (ints, index, floats)]
    return np.array([*arrays, len(forward), len(stages), *stages])


def _likelihood(ints: NDArray[np.int64]) -> list[Any]:
    """The stages of a family's likelihood."""
    family, link = int(ints[FAMILY]), int(ints[LINK])
    if family not in (SUCCESSES, CUMULATIVE):
        return [OTHERS[family]]
    between = [BETWEEN_BY_LINK[link]] if ints[GAPS] else []
    return [SUCCESSES_BY_LINK[link], *between]


def compile_all() -> None:
    """Compile every stage into the cache.

    A process that compiles a stage may round the last digit otherwise than one that finds it in the
    cache, and draws depend on every digit: after this, all runs of a seed are the same.
    """
    steps = [population, population_backward, joint, joint_backward, rising]
    steps += [rising_backward, rows, rows_backward, priors, scales, scales_backward]
    steps += [effects, effects_backward]
    for family in (SUCCESSES_BY_LINK, BETWEEN_BY_LINK, OTHERS):
        steps += family.values()
    for stage in steps:
        _compiled(stage)


@cache
def _compiled(stage):
    return compiled(STAGE, **OPTIONS)(stage)


@compiled(types.int64(types.uint64, DOUBLES, DOUBLES, DOUBLES, LONGS), **OPTIONS)
def c_log_density(dim, q, gradient, value, data):
    """Log posterior density at q, up to a constant, and its gradient.

    Returns 0, or an error code that the sampler takes for a divergence.
    """
    ints, index = to_longs(data[DATA_INTS]), to_ints(data[DATA_INDEX])
    floats, work = to_doubles(data[DATA_FLOATS]), allocate(ints[WORK])
    for k in range(ints[DIM]):
        gradient[k] = 0.0
    total = 0.0
    for k in range(data[STAGES]):
        total += run_stage(data[FIRST + k], q, gradient, ints, index, floats, work)
    release(work)
    value[0] = total
    if not math.isfinite(total):
        return 4
    for k in range(ints[DIM]):
        if not math.isfinite(gradient[k]):
            return 3
    return 0


@compiled(types.int64(types.uint64, DOUBLES, DOUBLES, LONGS), **OPTIONS)
def c_coefficients(draws, q, c, data):
    """Uncentred intercept, slopes and effects (draws, c) for draws of q (draws, dim)."""
    ints, index = to_longs(data[DATA_INTS]), to_ints(data[DATA_INDEX])
    floats, work = to_doubles(data[DATA_FLOATS]), allocate(ints[WORK])
    for s in range(np.int64(draws)):
        own = after(q, s * ints[DIM])
        for k in range(data[FORWARD]):
            run_stage(data[FIRST + k], own, own, ints, index, floats, work)
        for k in range(ints[COEFFICIENTS]):
            c[s * ints[COEFFICIENTS] + k] = work[k]
    release(work)
    return 0


@compiled(types.int64(types.uint64, types.uint64, DOUBLES, DOUBLES, LONGS))
def c_expand(dim, expanded, q, out, data):
    """What the sampler keeps of a draw: the unconstrained parameters as they are."""
    for k in range(np.int64(expanded)):
        out[k] = q[k]
    return 0


def _of_arrays(entry: Any, arrays: int) -> Callable[..., int]:
    """An entry point as a function of a number and arrays, for Python."""
    pointers = [ctypes.c_void_p] * arrays
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *pointers)(entry.address)
    return lambda number, *given: call(number, *(array.ctypes.data for array in given))


log_density = _of_arrays(c_log_density, 4)
coefficients = _of_arrays(c_coefficients, 3)
