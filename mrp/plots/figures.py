"""The renderer: draws layers with matplotlib, which is loaded when the first picture is drawn."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from mrp.estimates import Estimates
from mrp.plots.layers import Reference, Rows, interval_layers, ridge_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

BLUE, PALE, INK, GREY, FAINT = "#0072b2", "#93c4e6", "#222222", "#8c8c8c", "#e9e9e9"
"""Estimates; their inner intervals and areas; text; the line at zero; the grid."""
MARKS = (("D", "#d55e00"), ("x", "#000000"), ("s", "#009e73"), ("^", "#aa4499"))
"""Shape and colour of reference points, told apart by either (the colours of Okabe and Ito)."""
THIN, THICK = 1.2, 5.0
"""Widths of the lines of the outer and the inner interval in points."""
SEEN = 0.01
"""Share of the tallest curve below which a density is not drawn."""
TEXT_POINTS = 9.0
"""Size of text."""
ROW_INCHES = 0.19
"""Height of a row in a new figure."""
LABEL_CHARACTERS = 60
"""Longer labels are cut."""


def intervals(
    estimates: Estimates,
    *,
    ci_prob: float = 0.95,
    sort: bool = True,
    reference: Reference | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean and equal-tailed intervals of estimates, one row each.

    Parameters
    ----------
    estimates
        Up to 200 estimates. A row's label is what tells it from the others; what all rows share
        is written below the axis.
    ci_prob
        Probability of the thin line. The thick one has 0.5, and is left out if that is not less.
    sort
        Rows by estimate, the highest on top; False keeps their order.
    reference
        Points to compare with, such as ``{"raw mean": raw, "truth": truth}``: for each name,
        numbers by label (a Series or dict; a DataFrame with the labels as its index gives several).
        Rows without a number, or with a missing one, get no point. Labels of several columns are
        tuples or their text, as ``"CA, Man"``.
    title
        Text above the picture.
    ax
        Where to draw; by default a new figure, as high as its rows need.

    Returns
    -------
    The matplotlib Axes.

    Raises
    ------
    RequestError
        More than 200 rows; a reference label that no row has; an impossible probability.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> estimates = mrp.avg_predictions(fit, by="gender")
    >>> ax = estimates.plot(sort=False, reference={"raw mean": {"Man": 0.3, "Woman": 0.4}})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Man', 'Woman']
    """
    from matplotlib.lines import Line2D

    drawn = interval_layers(estimates, ci_prob=ci_prob, sort=sort, reference=reference)
    rows = drawn.rows
    ax = _axes(rows, ax, top=rows.positions[0])
    outer, *inner = drawn.intervals
    ax.hlines(rows.positions, outer.low, outer.high, colors=BLUE, linewidth=THIN, zorder=2)
    for interval in inner:
        ax.hlines(
            rows.positions, interval.low, interval.high, colors=PALE, linewidth=THICK, zorder=3
        )
    (means,) = ax.plot(
        rows.estimate,
        rows.positions,
        "o",
        color=BLUE,
        markersize=5.0,
        markeredgecolor="white",
        markeredgewidth=0.7,
        zorder=4,
    )
    thin = Line2D([], [], color=BLUE, linewidth=THIN)
    thick = Line2D([], [], color=PALE, linestyle="", marker="_", markersize=13, mew=THICK)
    handles: dict[str, Any] = {drawn.meaning: (thin, thick, means) if inner else (thin, means)}
    for k, points in enumerate(drawn.points):
        mark, colour = MARKS[k % len(MARKS)]
        (handles[points.name],) = ax.plot(
            points.values,
            rows.positions,
            mark,
            color=colour,
            fillstyle="none",
            markersize=5.5,
            markeredgewidth=1.4,
            zorder=5,
            clip_on=False,
        )
    _finish(ax, rows, handles, title)
    return ax


def ridges(
    estimates: Estimates,
    *,
    sort: bool = True,
    height: float = 2.5,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Density of the draws of each estimate, one row each.

    Kernel density estimates of ArviZ, all on one scale: the curves have equal areas, and the
    tallest is `height` rows high. They end at the lowest and the highest draw of all rows, so that
    no density leaks out of what is possible (as below 0 for a probability). Tails under a
    hundredth of the tallest curve are left out. Draws that are all equal are a spike.

    Parameters
    ----------
    estimates, sort, title, ax
        As in `intervals`.
    height
        Height of the tallest curve in rows; above 1 it reaches into the rows above.

    Returns
    -------
    The matplotlib Axes.

    Raises
    ------
    RequestError
        More than 200 rows, or a height that is not positive.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> ax = mrp.avg_predictions(fit, by="gender").plot("ridge", sort=False)
    >>> ax.get_xlabel()
    'average defund'
    """
    from matplotlib.patches import Patch

    drawn = ridge_layers(estimates, sort=sort, height=height)
    rows = drawn.rows
    ax = _axes(rows, ax, top=float((rows.positions + drawn.heights.max(axis=1)).max()))
    curves = zip(rows.positions, rows.estimate, drawn.heights, drawn.at_estimate, strict=True)
    for k, (base, mean, curve, at_mean) in enumerate(curves):
        seen = np.flatnonzero(curve > SEEN * height)
        part = slice(max(seen[0] - 1, 0), seen[-1] + 2)
        x, y = drawn.grid[part], base + curve[part]
        ax.fill_between(x, base, y, color=PALE, alpha=0.92, linewidth=0, zorder=2 + k)
        ax.plot(x, y, color=BLUE, linewidth=1.0, zorder=2 + k)
        ax.vlines(mean, base, base + at_mean, colors=BLUE, linewidth=1.0, zorder=2 + k)
    area = Patch(facecolor=PALE, edgecolor=BLUE, linewidth=1.0)
    _finish(ax, rows, {drawn.meaning: area}, title)
    return ax


def _axes(rows: Rows, ax: Axes | None, top: float) -> Axes:
    """Axes with a labelled position for each row, up to the position `top`."""
    if ax is None:
        import matplotlib.pyplot as plt

        widest = max(len(_shortened(label)) for label in rows.labels)
        size = (6.8 + 0.07 * widest, 1.5 + ROW_INCHES * (top + 1))
        _, ax = plt.subplots(figsize=size, layout="constrained")
    ax.set_yticks(rows.positions, [_shortened(label) for label in rows.labels])
    ax.set_ylim(-0.7, top + 0.7)
    return ax


def _shortened(label: str) -> str:
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"


def _finish(ax: Axes, rows: Rows, handles: dict[str, Any], title: str | None) -> None:
    """Axis title, grid, line at zero, legend and title."""
    lines = [rows.quantity, *_wrapped(rows.shared)]
    ax.set_xlabel("\n".join(lines), fontsize=TEXT_POINTS, color=INK)
    ax.spines[:].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(color=FAINT, linewidth=0.8)
    ax.tick_params(length=0, pad=6, labelsize=TEXT_POINTS, labelcolor=INK)
    _show_zero(ax)
    legend = _legend(ax, handles, len(handles))
    if legend.get_window_extent().width > ax.get_window_extent().width:
        legend = _legend(ax, handles, 1)
    if title is not None:
        above = legend.get_window_extent().height * 72 / ax.figure.dpi
        ax.set_title(title, loc="left", pad=above + 4.0, color=INK, fontweight="bold")


def _wrapped(items: tuple[str, ...]) -> list[str]:
    """Lines of items, none of which is broken."""
    return textwrap.wrap(", ".join(item.replace(" ", "\N{NO-BREAK SPACE}") for item in items), 80)


def _legend(ax: Axes, handles: dict[str, Any], columns: int) -> Legend:
    return ax.legend(
        list(handles.values()),
        list(handles),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=TEXT_POINTS,
        labelcolor=INK,
        borderpad=0.2,
        borderaxespad=0.0,
        columnspacing=1.2,
        handletextpad=0.5,
    )


def _show_zero(ax: Axes) -> None:
    """A line at zero where estimates lie on both sides of it; no axis below it where none does."""
    lowest, highest = ax.dataLim.intervalx
    if lowest < 0 < highest:
        ax.axvline(0, color=GREY, linewidth=1.0, zorder=1)
    elif lowest >= 0 and ax.get_xlim()[0] < 0:
        ax.set_xlim(left=0)
