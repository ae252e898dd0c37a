"""Sampling with the kernel: nutpie calls it as machine code, without Python in between.

nutpie's Python-function interface takes the interpreter's lock for every gradient, which costs more
than the gradient itself (16 microseconds against 10 on the CES model, and chains wait for each
other). Its interface for compiled PyMC models takes the address of a C function and of its data;
`_KernelModel` fills that interface, which is nutpie's own and may change; what is done then is said
in `mrp.model.sampling`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from nutpie import _lib
from nutpie.sample import CompiledModel

from mrp.errors import FitError
from mrp.model.kernel import density
from mrp.model.kernel.layout import Packed

Floats = NDArray[np.float64]

NAME, DIM_NAME = "q", "q_dim"
JITTER = 1.0
"""Starting points are uniform within so much of the geometry's start, in units of q."""
FLAT = 1e-10
"""Slope, in units of q, under which the log density is flat for the sampler."""
TRIES = 100
"""Starting points tried for each chain before giving up."""


@dataclass(frozen=True)
class _KernelModel(CompiledModel):  # type: ignore[misc]
    """A model whose log density and expansion are C functions."""

    packed: Packed
    data: NDArray[np.int64]
    start: Callable[[int], Floats]
    started: threading.Event = field(default_factory=threading.Event)
    """Set once the sampler has asked for a point to start from, and got it."""

    @property
    def n_dim(self) -> int:
        return self.packed.dim

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {NAME: (self.packed.dim,)}

    @property
    def coords(self) -> dict[str, Any]:
        return {DIM_NAME: pd.RangeIndex(self.packed.dim)}

    def _start(self, seed: int) -> Floats:
        point = self.start(seed)
        self.started.set()
        return point

    def _make_model(self, init_mean: Any) -> Any:
        at = self.data.ctypes.data
        sizes = {DIM_NAME: self.n_dim}
        variables = _lib.PyVariable.new_variables(
            [NAME], ["float64"], [(self.n_dim,)], sizes, {NAME: (DIM_NAME,)}
        )
        return _lib.PyMcModel(
            _lib.LogpFunc(density.c_log_density.address, at, self),
            _lib.ExpandFunc(self.n_dim, self.n_dim, density.c_expand.address, at, self),
            variables,
            self.n_dim,
            sizes,
            self.coords,
            self._start,
            None,
        )

    def _make_sampler(
        self,
        settings: Any,
        init_mean: Any,
        cores: int,
        progress_type: Any,
        extra_callback: Any,
        extra_callback_rate: Any,
        store: Any,
    ) -> Any:
        model = self._make_model(init_mean)
        return _lib.PySampler.from_pymc(
            settings, cores, model, progress_type, extra_callback, extra_callback_rate, store
        )


def compiled(packed: Packed) -> _KernelModel:
    """The model as `nutpie.sample` takes it; its one variable is ``q``.

    Raises
    ------
    FitError
        No starting point has a finite density.
    """
    starting_point(packed, 0)  # raises here rather than in the sampler's threads
    return _KernelModel(
        dims={NAME: (DIM_NAME,)},
        reparameterized_names=[],
        packed=packed,
        data=packed.data(),
        start=lambda seed: starting_point(packed, seed),
    )


def starting_point(packed: Packed, seed: int) -> Floats:
    """A point (dim,) around the geometry's start with finite density and gradient."""
    rng = np.random.default_rng(seed)
    flat = packed.geometry.flat
    for _ in range(0 if flat else TRIES):
        point = packed.geometry.start + JITTER * rng.uniform(-1.0, 1.0, packed.dim)
        value, gradient = packed.log_density(point)
        if np.isfinite(value) and np.isfinite(gradient).all():
            if np.abs(gradient).min() > FLAT:
                return point
            flat = True
    if flat:
        raise FitError(
            "Sampling can't start: along some direction of the parameters the log density is "
            "flat, so that there is no posterior. Leave out a term that follows from others, or "
            "give proper `priors`."
        )
    raise FitError(
        f"Sampling can't start: the log density is not finite at {TRIES} points around the best "
        f"guess. Check the outcome and predictors for extreme values, or give informative "
        f"`priors`."
    )
