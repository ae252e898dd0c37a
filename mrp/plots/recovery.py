"""Pictures of recovery, ranks and coverage: the lines as plain data, and one thin renderer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mrp.errors import RequestError, shown, unknown
from mrp.plots.figures import AS_IT_IS, BLUE, FAINT, GREY, INK, TEXT_POINTS
from mrp.recovery.uniformity import (
    Band,
    Steps,
    band,
    coverage_counts,
    coverage_steps,
    rank_counts,
    rank_steps,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mrp.recovery.result import Recovery

Floats = NDArray[np.float64]
Kind = Literal["ranks", "coverage"]
Counts = Callable[[NDArray[np.int64], int], NDArray[np.int64]]

BAND_PROB = 0.95
"""Probability that a line stays within the band everywhere, if all is right."""
NAMED = 6
"""Lines outside the band that a panel names."""
NAME_CHARACTERS = 40
"""Longer names are cut."""
COLUMNS = 3
"""Panels side by side."""
OUTSIDE, SHADE = "#d55e00", "#e3e8ec"
"""Lines outside the band (a colour of Okabe and Ito), and the band."""

TEXTS: Mapping[Kind, tuple[str, str]] = {
    "ranks": ("rank of the truth, as a share", "share of ranks up to it, less the expected"),
    "coverage": ("probability of the interval", "share that holds the truth, less it"),
}
"""What the axes of each picture show."""
MEASURES: Mapping[Kind, tuple[Counts, Callable[[int, int], Steps]]] = {
    "ranks": (rank_counts, rank_steps),
    "coverage": (coverage_counts, coverage_steps),
}
"""What each picture counts, and where."""


@dataclass(frozen=True)
class Line:
    """Difference of one estimate (points,), and whether it leaves the band anywhere."""

    label: str
    difference: Floats
    outside: bool


@dataclass(frozen=True)
class Panel:
    """One estimand.

    Parameters
    ----------
    title
        Its name.
    x
        Expected shares (points,), from 0 to 1.
    low, high
        Band of the differences (points,); of the most surveys that an estimate has.
    lines
        Its estimates.
    """

    title: str
    x: Floats
    low: Floats
    high: Floats
    lines: tuple[Line, ...]


def panels(
    recovery: Recovery, kind: Kind, estimands: str | Sequence[str] | None = None
) -> list[Panel]:
    """Lines and bands of each estimand; the arguments are those of `Recovery.plot`."""
    available = list(dict.fromkeys(recovery.table["estimand"]))
    chosen = [estimands] if isinstance(estimands, str) else list(estimands or available)
    for name in chosen:
        if name not in available:
            raise RequestError(unknown("estimands", "name estimands", name, available))
    return [_panel(recovery, kind, name) for name in chosen]


def _panel(recovery: Recovery, kind: Kind, estimand: str) -> Panel:
    rows = recovery.table[recovery.table["estimand"] == estimand]
    known = rows[rows["rank"].notna()]
    if known.empty:
        raise RequestError(
            f"`estimands` must have ranks to be drawn, got {estimand!r}, of which every survey "
            f"failed. Look at `failures`."
        )
    lines = []
    counts, steps_of = MEASURES[kind]
    for label, own in known.groupby("label", sort=False):
        steps = steps_of(len(own), recovery.rank_draws)
        found = counts(own["rank"].to_numpy(dtype=np.int64), recovery.rank_draws)
        bounds = band(steps, BAND_PROB)
        outside = bool(((found < bounds.low) | (found > bounds.high)).any())
        lines.append(Line(str(label), _difference(found, steps), outside))
    steps = steps_of(int(known.groupby("label").size().max()), recovery.rank_draws)
    bounds = band(steps, BAND_PROB)
    x = np.array([0.0, *steps.shares, 1.0])
    return Panel(estimand, x, *_band(bounds, steps), tuple(lines))


def _difference(found: NDArray[np.int64], steps: Steps) -> Floats:
    """Shares less the expected ones, with the ends, where they are the same."""
    return np.array([0.0, *(found / steps.number - np.array(steps.shares)), 0.0])


def _band(bounds: Band, steps: Steps) -> tuple[Floats, Floats]:
    return _difference(bounds.low, steps), _difference(bounds.high, steps)


def draw(recovery: Recovery, kind: Kind, estimands: str | Sequence[str] | None) -> Figure:
    """A figure with a panel for each estimand."""
    import matplotlib.pyplot as plt

    drawn = panels(recovery, kind, estimands)
    columns = min(COLUMNS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    size = (1.0 + 3.4 * columns, 0.7 + 2.8 * rows)
    figure, grid = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, sharey=True
    )
    for ax, panel in zip(grid.flat, drawn, strict=False):
        _draw_panel(ax, panel)
    for ax in grid.flat[len(drawn) :]:
        ax.set_visible(False)
    x, y = TEXTS[kind]
    figure.supxlabel(x, fontsize=TEXT_POINTS, color=INK)
    figure.supylabel(y, fontsize=TEXT_POINTS, color=INK)
    return figure


def _draw_panel(ax: Axes, panel: Panel) -> None:
    ax.fill_between(panel.x, panel.low, panel.high, color=SHADE, linewidth=0, zorder=1)
    ax.axhline(0, color=GREY, linewidth=1.0, zorder=2)
    alpha = max(0.25, min(1.0, 6 / len(panel.lines)))
    outside = [line for line in panel.lines if line.outside]
    for line in panel.lines:
        colour, opacity, order = (OUTSIDE, 1.0, 4) if line.outside else (BLUE, alpha, 3)
        ax.plot(panel.x, line.difference, color=colour, alpha=opacity, linewidth=1.2, zorder=order)
    _name(ax, outside)
    count = len(panel.lines)
    inside = f"{count - len(outside)} of {count} in the band"
    left: dict[str, Any] = {
        "loc": "left",
        "fontsize": TEXT_POINTS,
        "fontweight": "bold",
        "color": INK,
    }
    ax.set_title(_cut(panel.title), **left, **AS_IT_IS)
    ax.set_title(inside, loc="right", fontsize=8, color=INK)
    ax.set_xlim(0, 1)
    ax.spines[:].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(color=FAINT, linewidth=0.8)
    ax.tick_params(length=0, labelsize=8, labelcolor=INK)


def _name(ax: Axes, outside: Sequence[Line]) -> None:
    """Names of the lines that leave the band, in a corner that they leave free."""
    if not outside:
        return
    names = [_cut(line.label) for line in outside[:NAMED]]
    if len(outside) > NAMED:
        names.append(f"… {len(outside) - NAMED} more")
    middle = np.mean([line.difference.mean() for line in outside])
    side = 0.03 if middle > 0 else 0.97
    ax.text(
        0.98,
        side,
        "\n".join(names),
        transform=ax.transAxes,
        ha="right",
        va="bottom" if middle > 0 else "top",
        fontsize=7.5,
        color=OUTSIDE,
        zorder=5,
        **AS_IT_IS,
    )


def _cut(name: str) -> str:
    """A name in one line, cut where it is longer than a panel."""
    text = shown(name)
    return text if len(text) <= NAME_CHARACTERS else f"{text[: NAME_CHARACTERS - 1]}…"
