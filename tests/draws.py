"""Draws of estimates as plain arrays and dictionaries, to be compared with loops."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from mrp.results.estimates import Estimates
from tests import loops
from tests.cases import CASES, FRAME

CLOSE: Mapping[str, Any] = {"rtol": 1e-10, "atol": 1e-10}
TYPES = ["response", "link"]
ROWS = loops.records(FRAME)
WEIGHTS = FRAME["n"].tolist()


def link_of(name: str, type: str) -> str:
    """Link of a case on a scale."""
    return CASES[name].link if type == "response" else "identity"


def looped(
    name: str, type: str = "response", rows: Sequence[loops.Row] = ROWS
) -> list[loops.Draws]:
    """Predictions of a case, by loops."""
    case = CASES[name]
    return loops.predictions(rows, case.terms, case.draws, link_of(name, type))


def matrix(estimates: Estimates) -> Any:
    """Draws (rows, draws), chain by chain."""
    return estimates.draws.values.reshape(-1, len(estimates)).T


def groups_of(by: Sequence[str], rows: Sequence[loops.Row] = ROWS) -> list[tuple[str, ...]]:
    """Values of some columns in each row."""
    return [tuple(str(row[name]) for name in by) for row in rows]


def as_dict(estimates: Estimates, columns: Sequence[str]) -> dict[tuple[str, ...], list[float]]:
    """Draws by the values of some label columns."""
    keys = estimates.labels[list(columns)].astype(str).itertuples(index=False, name=None)
    found = dict(zip(keys, matrix(estimates).tolist(), strict=True))
    assert len(found) == len(estimates), "labels don't tell the rows apart"
    return found


def assert_same(found: Mapping[Hashable, Any], expected: Mapping[Hashable, Any]) -> None:
    """The same keys, and draws close to each other."""
    assert set(found) == set(expected)
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], **CLOSE)


def assert_distributed_as(draws: Any, distribution: Any) -> None:
    """The share of draws below each quantile is its probability, within 4.5 standard errors."""
    at = np.linspace(0.02, 0.98, 25)
    draws = np.asarray(draws).ravel()
    below = (draws[:, None] <= distribution.ppf(at)).mean(axis=0)
    np.testing.assert_array_less(np.abs(below - at), 4.5 * np.sqrt(at * (1 - at) / len(draws)))
