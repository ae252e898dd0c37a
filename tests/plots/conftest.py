"""Estimates whose posterior is known, and a picture that looks the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mrp.results.estimates import Estimates, Made

Normals = Callable[..., Estimates]


@pytest.fixture
def normals() -> Normals:
    """Makes estimates whose draws are quantiles of normal distributions."""

    def make(
        means: Sequence[float],
        sds: float | Sequence[float] = 1.0,
        labels: pd.DataFrame | None = None,
        draws: int = 400,
        **about: Any,
    ) -> Estimates:
        quantiles = norm.ppf((np.arange(draws) + 0.5) / draws)
        sd = np.broadcast_to(np.asarray(sds, dtype=float), len(means))
        if labels is None:
            labels = pd.DataFrame({"state": [chr(ord("A") + k) for k in range(len(means))]})
        return Estimates(labels, Made(np.outer(sd, quantiles) + np.c_[means]), 2, about)

    return make


@pytest.fixture(autouse=True)
def same_looks() -> Iterator[None]:
    """Matplotlib's own style, no window, no figure left open."""
    import matplotlib.pyplot as plt

    with mpl.rc_context():
        mpl.use("Agg")
        mpl.rcdefaults()
        yield
    plt.close("all")
