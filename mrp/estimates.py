"""`Estimates`: draws of quantities of interest, their labels, and how they were made."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
import psutil
import xarray as xr
from numpy.typing import NDArray

from mrp.errors import RequestError, listing, unknown
from mrp.prediction import RowDraws, blocks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Shape = Literal["long", "wide", "xarray"]
PlotKind = Literal["interval", "ridge"]

KEPT_BYTES = 256 * 2**20
"""Draws up to this size are kept; larger ones are made again when asked for."""
SHOWN_ROWS = 10
"""Rows that a rendering shows from the top and from the bottom of a long table."""
MOST_DECIMALS = 6
"""Decimals that a rendering shows at the most."""
COLUMNS = ("estimate", "std_error", "conf_low", "conf_high")
"""Columns of `to_frame` after the labels."""

RESULTS = ("chain", "draw", "value", "probability", *COLUMNS)
"""Names that labels can't have, because results are written to them."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COMPARISONS: Mapping[str, Callable[[Floats, float], NDArray[np.bool_]]] = {
    ">=": np.greater_equal,
    "<=": np.less_equal,
    ">": np.greater,
    "<": np.less,
}


@dataclass(frozen=True)
class Made:
    """Draws (rows, draws) that are there already."""

    array: Floats

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.array)

    @property
    def size(self) -> int:
        """Number of draws."""
        return int(self.array.shape[1])

    @property
    def keys(self) -> list[NDArray[np.int64]]:
        """Every row is its own."""
        return [np.arange(self.n)]

    def values(self, rows: NDArray[np.intp]) -> Floats:
        """Values (rows, draws) in a new array."""
        return self.array[rows]


@dataclass(frozen=True, repr=False)
class Estimates:
    """Draws of estimates; intervals are taken from them last.

    Parameters
    ----------
    labels
        One row for each estimate: what it is an estimate of.
    source
        Its draws: an array, or a plan that makes them again for some rows at a time.
    chains
        Number of chains; the draws of a row are chains x draws, chain by chain.
    about
        How the estimates were made: verb, quantity, type, prior or posterior.
    """

    labels: pd.DataFrame
    source: RowDraws
    chains: int
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of estimates."""
        return len(self.labels)

    @property
    def draws(self) -> xr.DataArray:
        """All draws, dims ``chain``, ``draw`` and one for the rows, labelled; read-only if kept.

        Rows of one label column have a dim of that name (``state``); rows of several have the dim
        ``estimate`` with the columns as coordinates. Draws too large to keep are made again each
        time; too large for the memory, they are refused. ArviZ summarises the array as it is, and
        plots it as a dataset: ``plot_forest(estimates.draws.to_dataset())``.
        """
        values = self._matrix().reshape(len(self), self.chains, -1)
        dim, coords = self._coordinates()
        return xr.DataArray(
            values.transpose(1, 2, 0),
            dims=("chain", "draw", dim),
            coords={
                "chain": np.arange(values.shape[1]),
                "draw": np.arange(values.shape[2]),
                **coords,
            },
            name=str(self.about.get("quantity", "estimate")),
        )

    def _matrix(self) -> Floats:
        """Draws (rows, chains x draws)."""
        if isinstance(self.source, Made):
            return self.source.array
        needed = 8 * len(self) * self.source.size
        free = psutil.virtual_memory().available
        if needed > free / 2:
            raise RequestError(
                f"`draws` of {len(self):,} rows x {self.source.size:,} draws need "
                f"{needed / 2**30:.1f} GiB, got {free / 2**30:.1f} GiB free. Average with `by=`, "
                f"or use `to_frame()`, which works in blocks."
            )
        return self.source.values(np.arange(len(self)))

    def _coordinates(self) -> tuple[str, dict[str, Any]]:
        columns = list(self.labels.columns)
        if len(columns) == 1 and self.labels[columns[0]].is_unique:
            return str(columns[0]), {str(columns[0]): _coordinate(self.labels[columns[0]])}
        names = self.names
        coords = {
            str(name): ("estimate", _coordinate(self.labels[name]))
            for name in columns
            if name not in ("chain", "draw", "estimate")
        }
        return "estimate", {"estimate": names, **coords}

    @property
    def names(self) -> list[str]:
        """A name for each estimate: its labels in one string; ``b1`` where it has none."""
        if not len(self.labels.columns):
            return [f"b{k + 1}" for k in range(len(self))]
        rows = self.labels.astype(str).itertuples(index=False, name=None)
        return [", ".join(map(str, row)) for row in rows]

    def to_frame(self, *, ci_prob: float = 0.95) -> pd.DataFrame:
        """One row for each estimate: labels, then centre, spread and interval.

        Parameters
        ----------
        ci_prob
            Probability of the interval.

        Returns
        -------
        Columns of the labels, then ``estimate`` (mean of the draws), ``std_error`` (their
        standard deviation), ``conf_low`` and ``conf_high`` (equal-tailed: their quantiles at
        ``(1 - ci_prob) / 2`` and ``(1 + ci_prob) / 2``). ``attrs`` says which centre, kind and
        probability. The draws are averages already where the verb averages: no interval is ever
        averaged.
        """
        return self._table(np.arange(len(self)), ci_prob)

    def _table(self, rows: NDArray[np.intp], ci_prob: float) -> pd.DataFrame:
        check_probability(ci_prob)
        summary = np.empty((len(rows), len(COLUMNS)))
        for block in blocks(len(rows), self.source.size):
            summary[block] = summarise(self.source.values(rows[block]), ci_prob)
        table = self.labels.iloc[rows].reset_index(drop=True)
        table = table.assign(**dict(zip(COLUMNS, summary.T, strict=True)))
        table.attrs = {"center": "mean", "ci_kind": "eti", "ci_prob": ci_prob}
        return table

    def get_draws(self, shape: Shape = "long") -> pd.DataFrame | xr.DataArray:
        """The draws as a table or an array.

        Parameters
        ----------
        shape
            "long": a row for each estimate and draw, with columns ``chain``, ``draw``, the labels
            and ``value``; "wide": a row for each draw (index chain, draw), a column for each
            estimate; "xarray": `draws`.
        """
        if shape not in get_args(Shape):
            raise RequestError(unknown("shape", "say how to lay out draws", shape, get_args(Shape)))
        if shape == "xarray":
            return self.draws
        matrix = self._matrix()
        per_chain = matrix.shape[1] // self.chains
        index = pd.MultiIndex.from_product(
            [range(self.chains), range(per_chain)], names=["chain", "draw"]
        )
        if shape == "wide":
            return pd.DataFrame(matrix.T, index=index, columns=self.names)
        labels = self.labels.loc[np.repeat(np.arange(len(self)), matrix.shape[1])]
        long = pd.concat([index.to_frame(index=False)] * len(self), ignore_index=True)
        return long.join(labels.reset_index(drop=True)).assign(value=matrix.ravel())

    def probability(self, statement: str) -> pd.DataFrame:
        """Share of the draws for which a statement holds.

        Parameters
        ----------
        statement
            Such as ``"> 0.4"`` or ``"<= 0"``.

        Returns
        -------
        The labels and a column ``probability``.
        """
        match = re.fullmatch(rf"\s*(>=|<=|>|<)\s*({_NUMBER})\s*", str(statement))
        if match is None:
            raise RequestError(
                f"`statement` must compare with a number, such as '> 0.4', got {statement!r}. "
                f"Available: {listing(_COMPARISONS)}."
            )
        holds, number = _COMPARISONS[match[1]], float(match[2])
        share = np.empty(len(self))
        for block in blocks(len(self), self.source.size):
            values = self.source.values(np.arange(block.start, block.stop))
            share[block] = holds(values, number).mean(axis=1)
        return self.labels.assign(probability=share)

    def plot(self, kind: PlotKind = "interval", **options: Any) -> Axes:
        """A picture with one row for each estimate.

        Parameters
        ----------
        kind
            "interval": means and intervals (`mrp.plots.figures.intervals`); "ridge": densities of
            the draws (`mrp.plots.figures.ridges`).
        options
            Of that function: `sort`, `title`, `ax`; `ci_prob` and `reference` of intervals;
            `height` of ridges.

        Returns
        -------
        The matplotlib Axes.
        """
        if kind not in get_args(PlotKind):
            raise RequestError(unknown("kind", "name a picture", kind, get_args(PlotKind)))
        from mrp.plots import figures

        draw = figures.intervals if kind == "interval" else figures.ridges
        return draw(self, **options)

    def __repr__(self) -> str:
        """The table, and below it what it is."""
        return f"{self._shown().to_string(index=False)}\n{self._caption()}"

    def _repr_html_(self) -> str:
        table = self._shown().to_html(index=False, border=0)
        return f"{table}<p>{html.escape(self._caption())}</p>"

    def _shown(self) -> pd.DataFrame:
        """The table as it is shown: rounded, the middle of a long one left out."""
        if len(self) <= 6 * SHOWN_ROWS:
            return _formatted(self.to_frame())
        ends = np.r_[0:SHOWN_ROWS, len(self) - SHOWN_ROWS : len(self)]
        table = _formatted(self._table(ends, 0.95)).astype(str)
        gap = pd.DataFrame([["…"] * table.shape[1]], columns=table.columns)
        return pd.concat([table[:SHOWN_ROWS], gap, table[SHOWN_ROWS:]])

    def _caption(self) -> str:
        what = self.about.get("quantity", "estimates")
        how = f"{len(self):,} x {what}; " if len(self) > 6 * SHOWN_ROWS else f"{what}; "
        group = self.about.get("group", "posterior")
        return f"{how}mean and 95% equal-tailed interval of {self.source.size:,} {group} draws"


def summarise(values: Floats, ci_prob: float) -> Floats:
    """Mean, standard deviation and equal-tailed bounds (rows, 4) of draws (rows, draws).

    The quantiles interpolate linearly between order statistics, as R's type 7 does.
    """
    spread = values.std(axis=1, ddof=1) if values.shape[1] > 1 else np.full(len(values), np.nan)
    mean = values.mean(axis=1)
    tail = (1 - ci_prob) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=1, overwrite_input=True)
    return np.column_stack([mean, spread, low, high])


def check_probability(ci_prob: float) -> None:
    """Raise unless this is the probability of an interval."""
    if isinstance(ci_prob, bool) or not isinstance(ci_prob, float | int) or not 0 < ci_prob < 1:
        raise RequestError(f"`ci_prob` must be between 0 and 1, got {ci_prob!r}. Usual: 0.95.")


def estimates(
    labels: pd.DataFrame, source: RowDraws, chains: int, about: Mapping[str, Any]
) -> Estimates:
    """Estimates whose draws are made now if they are small, and on request if not."""
    if not isinstance(source, Made) and 8 * source.n * source.size <= KEPT_BYTES:
        source = Made(_all_values(source))
    if isinstance(source, Made):
        source.array.flags.writeable = False
    return Estimates(labels.reset_index(drop=True), source, chains, about)


def _all_values(source: RowDraws) -> Floats:
    values = np.empty((source.n, source.size))
    for block in blocks(source.n, source.size):
        values[block] = source.values(np.arange(block.start, block.stop))
    return values


def _coordinate(column: pd.Series) -> NDArray[Any]:
    """Labels as an array that xarray and netCDF take: numbers as numbers, the rest as strings."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy()
    return np.array([str(value) for value in column], dtype=str)


def _formatted(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the decimals that show two digits of the typical standard error."""
    errors = table["std_error"].to_numpy()
    positive = errors[np.isfinite(errors) & (errors > 0)]
    typical = float(np.median(positive)) if len(positive) else 0.01
    digits = 2 - int(np.ceil(np.log10(typical)))
    decimals = min(max(digits, 3 if typical < 1 else 0), MOST_DECIMALS)
    shown = table.copy()
    for name in COLUMNS:
        shown[name] = [f"{value:.{decimals}f}" for value in table[name]]
    return shown
