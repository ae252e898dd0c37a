"""Stages of the linear predictors of rows."""

from __future__ import annotations

from mrp.model.kernel.header import (
    AT_COLUMNS,
    AT_ETA,
    AT_G,
    AT_INDEX,
    AT_MATRIX,
    AT_OFFSET,
    AT_ROW_ENDS,
    AT_RUN_ENDS,
    AT_VALUES,
    COEFFICIENTS,
    DISTINCT,
    PARTS,
    ROWS,
    RUNS,
)
from mrp.model.kernel.stages.arithmetic import after
from mrp.model.kernel.stages.loops import fill, sum_of


def rows(q, gradient, ints, index, floats, work):
    """Linear predictor: the values M c of the distinct rows, added up for each row."""
    ends, columns = after(index, ints[AT_ROW_ENDS]), after(index, ints[AT_COLUMNS])
    matrix, values = after(floats, ints[AT_MATRIX]), after(work, ints[AT_VALUES])
    start = 0
    for row in range(ints[DISTINCT]):
        end, total = ends[row], 0.0
        for k in range(start, end):
            total += matrix[k] * work[columns[k]]
        values[row], start = total, end

    n, eta, offset = ints[ROWS], after(work, ints[AT_ETA]), after(floats, ints[AT_OFFSET])
    ends, start = after(index, ints[AT_RUN_ENDS]), 0
    for run in range(ints[RUNS]):
        end, value = ends[run], values[run]
        for i in range(start, end):
            eta[i] = offset[i] + value
        start = end
    for part in range(ints[PARTS] - 1):
        rows = after(index, ints[AT_INDEX] + part * n)
        for i in range(n):
            eta[i] += values[rows[i]]
    return 0.0


def rows_backward(q, gradient, ints, index, floats, work):
    """Gradient by the coefficients: residuals added up for each distinct row, times M'."""
    n, residual, values = ints[ROWS], after(work, ints[AT_ETA]), after(work, ints[AT_VALUES])
    ends, start = after(index, ints[AT_RUN_ENDS]), 0
    for run in range(ints[RUNS]):
        end = ends[run]
        values[run], start = sum_of(after(residual, start), end - start), end
    fill(after(values, ints[RUNS]), 0.0, ints[DISTINCT] - ints[RUNS])
    for part in range(ints[PARTS] - 1):
        rows = after(index, ints[AT_INDEX] + part * n)
        for i in range(n):
            values[rows[i]] += residual[i]

    ends, columns = after(index, ints[AT_ROW_ENDS]), after(index, ints[AT_COLUMNS])
    matrix, g = after(floats, ints[AT_MATRIX]), after(work, ints[AT_G])
    fill(g, 0.0, ints[COEFFICIENTS])
    start = 0
    for row in range(ints[DISTINCT]):
        end, value = ends[row], values[row]
        for k in range(start, end):
            g[columns[k]] += matrix[k] * value
        start = end
    return 0.0
