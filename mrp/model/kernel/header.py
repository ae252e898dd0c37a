"""Where everything is in the arrays that a model is packed into, and in a draw's memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Positions in the header, which is the beginning of the array of 64-bit integers.
(
    DIM,
    ROWS,
    FAMILY,
    LINK,
    POPULATION,
    INTERCEPTS,
    STRIDE,
    PREDICTORS,
    GAPS,
    BINARY,
    AUXILIARY,
    BLOCKS,
    PARTS,
    RUNS,
    DISTINCT,
    COEFFICIENTS,
    AT_BLOCKS,
    AT_PRIORS,
    AT_RUN_ENDS,
    AT_INDEX,
    AT_ROW_ENDS,
    AT_COLUMNS,
    AT_MATRIX,
    AT_OUTCOME,
    AT_TRIALS,
    AT_OFFSET,
    AT_SHIFT,
    AT_TRANSFORM,
    JOINT,
    FOLLOWS,
    AT_CURVATURE,
    AT_JOINT_SCORE,
    AT_CENTRE,
    POTRF,
    UPPER,
    AT_MEANS,
    AT_ARGUMENTS,
    AT_TOTALS,
    AT_COUNTS,
    COUNTS,
    WORK,
    AT_G,
    AT_PHI,
    AT_CENTERED,
    AT_G_PHI,
    AT_GAPS,
    AT_VALUES,
    AT_ETA,
    AT_MEAN,
    AT_MOVED,
    AT_G_JOINT,
    AT_ROOT,
    HEADER,
) = range(53)

# Fields of a block's description.
(
    WIDTH,
    GROUPS,
    TOGETHER,
    AT_SD,
    AT_PARTIAL,
    AT_EFFECT,
    AT_COEFFICIENT,
    AT_JOINT,
    AT_BEND,
    AT_SHAPE,
    AT_INFORMATION,
    AT_SCORE,
    AT_SLOPE,
    AT_LOG_SD,
    AT_SCRATCH,
    FIELDS,
) = range(16)

# A block's matrices (width, width) at the beginning of its piece of `work`; `G_` marks gradients.
FACTOR, PARTIAL, REMAINING, ROOT, PRECISION, G_PRECISION, G_ROOT, G_FACTOR, MATRICES = range(9)

VECTORS = 6
"""Vectors that the joint block has beside its two matrices."""

SUCCESSES, POISSON, GAUSSIAN, NEGATIVE_BINOMIAL, CATEGORICAL, CUMULATIVE = range(6)
IDENTITY, LOG, LOGIT, PROBIT, CLOGLOG = range(5)
FLAT, NORMAL, STUDENT_T, CAUCHY, LAPLACE, EXPONENTIAL, GAMMA, INVERSE_GAMMA = range(8)
ARGUMENTS = 3

LOG_ROOT = 0.9189385332046727
"""Logarithm of the square root of 2 pi."""

EXACT = {"contract"}
"""Flags for arithmetic: `fast_exp` needs its roundings to stay where they are."""
SUMS = {"contract", "reassoc", "nsz"}
"""Flags for sums, whose order is free."""
OPTIONS = {"error_model": "numpy", "fastmath": EXACT}
INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of functions that only other compiled functions call."""


def lay_out_work(ints: NDArray[np.int64], blocks: Sequence[list[int]]) -> None:
    """Give everything that a draw needs its place in `work`; the coefficients c begin it."""
    population, coefficients, n = ints[POPULATION], ints[COEFFICIENTS], ints[ROWS]
    size = coefficients
    for position, length in (
        (AT_G, coefficients),
        (AT_PHI, population),
        (AT_G_PHI, population),
        (AT_GAPS, 2 * ints[GAPS]),
        (AT_VALUES, ints[DISTINCT]),
        (AT_ETA, n),
        (AT_MEAN, 2 * n if ints[FAMILY] == CATEGORICAL else n),
    ):
        ints[position], size = size, size + length
    ints[AT_CENTERED] = ints[AT_PHI]
    if ints[GAPS]:
        ints[AT_CENTERED], size = size, size + population
    for block in blocks:
        width, groups = block[WIDTH], block[GROUPS]
        block[AT_LOG_SD], size = size, size + width
        block[AT_SCRATCH], size = size, size + MATRICES * width * width
        if block[AT_JOINT] < 0:
            # U^-1, s, w and a (width, width, groups) to work in
            size += 2 * width * (width + 1) * groups
    n = ints[JOINT]
    for position, length in (
        (AT_MOVED, n),
        (AT_G_JOINT, n),
        (AT_ROOT, (2 * n + VECTORS) * n + 1 if ints[FOLLOWS] else 0),
    ):
        ints[position], size = size, size + length
    ints[WORK] = size
