"""The renderer: draws layers with matplotlib, which is loaded when the first picture is drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.errors import shown
from mrp.plots.layers import (
    Intervals,
    Points,
    Reference,
    Ridges,
    Rows,
    interval_layers,
    ridge_layers,
)
from mrp.results.estimates import Estimates
from mrp.results.intervals import Probabilities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

BLUE, PALE, INK, GREY, FAINT = "#0072b2", "#93c4e6", "#222222", "#8c8c8c", "#e9e9e9"
"""Estimates; their inner intervals and areas; text; the line at zero; the grid."""
SERIES = (
    (BLUE, PALE, "o"),
    ("#e69f00", "#f7d999", "s"),
    ("#009e73", "#99d8c7", "^"),
    ("#cc79a7", "#ebc9dc", "D"),
    ("#444444", "#b4b4b4", "v"),
    ("#d55e00", "#eebf99", "P"),
    ("#56b4e9", "#bbe1f6", "X"),
)
"""Colour of lines, of areas, and marker, of the estimates of each colour (Okabe and Ito)."""
NEUTRAL = (GREY, "#cccccc", "o")
"""The same for what estimates of all colours have in common."""
MARKS = (("D", "#d55e00"), ("x", "#000000"), ("s", "#009e73"), ("^", "#aa4499"))
"""Shape and colour of reference points, told apart by either (the colours of Okabe and Ito)."""
THIN, THICK = 1.2, 5.0
"""Widths of the lines of the outer and the inner interval in points."""
THICKER = 2.0
"""What each further inner interval adds to that width."""
OVERLAID = 0.55
"""Opacity of densities that lie over those of other colours."""
SEEN = 0.01
"""Share of the tallest curve below which a density is not drawn."""
TEXT_POINTS = 9.0
"""Size of text."""
ROW_INCHES = 0.19
"""Height of a row in a new figure."""
LEGEND_INCHES = 0.35
"""Height of a legend for which a new figure has room."""
COLOR_INCHES = 0.15
"""What each further colour adds to that height."""
CURVE_INCHES = 0.7
"""Height of a row in which curves of several colours lie over each other."""
LABEL_CHARACTERS = 60
"""Longer labels are cut."""
AS_IT_IS: Mapping[str, Any] = MappingProxyType({"parse_math": False, "usetex": False})
"""Texts from data are drawn as they are, whatever matplotlib is set to: dollars are no formula."""


@explained
def intervals(
    estimates: Estimates,
    *,
    ci_prob: Probabilities | None = None,
    color: str | None = None,
    sort: bool = True,
    reference: Reference | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Centre and intervals of estimates, one row each.

    Parameters
    ----------
    estimates
        Up to 200 estimates, with centre and kind of interval as `Estimates.with_interval` has set
        them. A row's label is what tells it from the others; what all rows share is written below
        the axis.
    ci_prob
        Probability of the thin line; the thick one has 0.5, and is left out if that is not less.
        Of several probabilities the widest interval is the thinnest line. By default as
        `Estimates.with_interval` has set it, at first 0.95.
    color
        Label column with a colour for each of its values, at most 7: rows are told apart by the
        other labels, and estimates of one row are side by side. By default the column that
        `mrp.concat` has made, or the levels of an outcome that has some (up to 7).
    sort
        Rows by estimate, of several colours by their mean, the highest on top; False keeps their
        order.
    reference
        Points to compare with, such as ``{"raw mean": raw, "truth": truth}``: for each name,
        numbers by label (a Series or dict; a DataFrame with the labels as its index gives several).
        Rows without a number, or with a missing one, get no point. Labels of several columns are
        tuples or their text, as ``"CA, Man"``.
    title
        Text above the picture; like all names and levels it is drawn as it is, dollars too.
    ax
        Where to draw; by default a new figure, as high as its rows need.

    Returns
    -------
    The matplotlib Axes.

    Raises
    ------
    RequestError
        More than 200 rows; a reference label that no row has; an impossible probability; a colour
        that is no label column, or has too many values.

    Examples
    --------
    >>> import mrp
    >>> fit = mrp.testing.example_fit()
    >>> estimates = mrp.avg_predictions(fit, by="gender")
    >>> ax = estimates.plot(sort=False, reference={"raw mean": {"Man": 0.3, "Woman": 0.4}})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Man', 'Woman']
    """
    drawn = interval_layers(estimates, ci_prob=ci_prob, color=color, sort=sort, reference=reference)
    return draw_intervals(drawn, title=title, ax=ax)


def draw_intervals(drawn: Intervals, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """The picture of intervals that are laid out."""
    rows, new = drawn.rows, ax is None
    inches = ROW_INCHES + COLOR_INCHES * max(len(rows.colors) - 1, 0)
    ax = _axes(rows, ax, rows.positions[0], inches)
    for k, own in _by_color(rows):
        _draw_intervals(ax, drawn, k, own)
    handles: dict[str, Any] = {
        name: _interval_key(drawn, *looks) for name, looks in _keys(rows, drawn.meaning)
    }
    handles |= _draw_points(ax, drawn.points, front=5)
    _finish(ax, rows, handles, title, new)
    return ax


def _draw_points(ax: Axes, drawn: Sequence[Points], front: float) -> dict[str, Any]:
    """Marks of points, in front of what lies lower, and what stands for them in the legend."""
    handles = {}
    for k, points in enumerate(drawn):
        mark, colour = MARKS[k % len(MARKS)]
        (handles[points.name],) = ax.plot(
            points.values,
            points.heights,
            mark,
            color=colour,
            fillstyle="none",
            markersize=5.5,
            markeredgewidth=1.4,
            zorder=front,
            clip_on=False,
        )
    return handles


def _keys(rows: Rows, meaning: str) -> list[tuple[str, tuple[str, str, str]]]:
    """Texts of the legend and their looks: the colours if there are some, and what is drawn."""
    if not rows.colors:
        return [(meaning, SERIES[0])]
    return [*zip(rows.colors, SERIES, strict=False), (meaning, NEUTRAL)]


def _by_color(rows: Rows) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Number of each colour, and which of the estimates shown have it."""
    for k in range(max(len(rows.colors), 1)):
        yield k, np.flatnonzero(rows.series == k)


def _draw_intervals(ax: Axes, drawn: Intervals, k: int, own: NDArray[np.intp]) -> None:
    """Lines and points of one colour."""
    line, pale, mark = SERIES[k]
    heights = drawn.rows.dodged[own]
    for j, interval in enumerate(drawn.intervals):
        ax.hlines(
            heights,
            interval.low[own],
            interval.high[own],
            colors=pale if j else line,
            linewidth=_width(j),
            zorder=3 if j else 2,
        )
    ax.plot(
        drawn.rows.estimate[own],
        heights,
        mark,
        color=line,
        markersize=5.0,
        markeredgecolor="white",
        markeredgewidth=0.7,
        zorder=4,
    )


def _width(j: int) -> float:
    """Width of the line of the j-th interval, from the widest interval to the narrowest."""
    return THICK + THICKER * (j - 1) if j else THIN


def _interval_key(drawn: Intervals, line: str, pale: str, mark: str) -> tuple[Line2D, ...]:
    """What stands for intervals of a colour in the legend."""
    from matplotlib.lines import Line2D

    thin = Line2D([], [], color=line, linewidth=THIN)
    thick = [
        Line2D([], [], color=pale, linestyle="", marker="_", markersize=13, mew=_width(j))
        for j in range(1, len(drawn.intervals))
    ]
    center = Line2D([], [], color=line, linestyle="", marker=mark, markersize=5.0, mew=0.7)
    center.set_markeredgecolor("white")
    return (thin, *thick, center)


@explained
def ridges(
    estimates: Estimates,
    *,
    color: str | None = None,
    sort: bool = True,
    height: float | None = None,
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
    estimates, color, sort, title, ax
        As in `intervals`. Densities of one row in several colours lie over each other.
    height
        Height of the tallest curve in rows; above 1 it reaches into the rows above. By default
        2.5, and 0.9 where there are several colours in a row.

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
    drawn = ridge_layers(estimates, color=color, sort=sort, height=height)
    return draw_ridges(drawn, title=title, ax=ax)


def draw_ridges(drawn: Ridges, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """The picture of densities that are laid out."""
    rows, new = drawn.rows, ax is None
    top = float((rows.at + drawn.heights.max(axis=1)).max())
    ax = _axes(rows, ax, top, CURVE_INCHES if rows.colors else ROW_INCHES)
    opacity = OVERLAID if rows.colors else 0.92
    curves = zip(rows.at, rows.series, rows.estimate, drawn.heights, drawn.at_estimate, strict=True)
    for base, series, mean, curve, at_mean in curves:
        line, pale, _ = SERIES[series]
        front = 2 + rows.positions[0] - base
        # a curve that is flat beside the others is drawn where it is highest
        seen = np.flatnonzero(curve > min(SEEN * drawn.heights.max(), curve.max() / 2))
        part = slice(max(seen[0] - 1, 0), seen[-1] + 2)
        x, y = drawn.grid[part], base + curve[part]
        ax.fill_between(x, base, y, color=pale, alpha=opacity, linewidth=0, zorder=front)
        ax.plot(x, y, color=line, linewidth=1.0, zorder=front)
        ax.vlines(mean, base, base + at_mean, colors=line, linewidth=1.0, zorder=front)
    handles: dict[str, Any] = {
        name: _area_key(*looks) for name, looks in _keys(rows, drawn.meaning)
    }
    handles |= _draw_points(ax, drawn.points, front=3 + len(rows.labels))
    _finish(ax, rows, handles, title, new)
    return ax


def _area_key(line: str, pale: str, mark: str) -> Patch:
    """What stands for densities of a colour in the legend."""
    from matplotlib.patches import Patch

    return Patch(facecolor=pale, edgecolor=line, linewidth=1.0)


def _axes(rows: Rows, ax: Axes | None, top: float, inches: float) -> Axes:
    """Axes with a labelled position for each row, `inches` apart, up to the position `top`."""
    if ax is None:
        import matplotlib.pyplot as plt

        widest = max(len(_shortened(label)) for label in rows.labels)
        size = (6.8 + 0.07 * widest, 1.5 + inches * (top + 1))
        _, ax = plt.subplots(figsize=size, layout="constrained")
    ax.set_yticks(rows.positions, [_shortened(label) for label in rows.labels], **AS_IT_IS)
    ax.set_ylim(-0.7, top + 0.7)
    return ax


def _shortened(label: str) -> str:
    """A text from data in one line, cut where it is long."""
    text = shown(label)
    return text if len(text) <= LABEL_CHARACTERS else f"{text[: LABEL_CHARACTERS - 1]}…"


def _finish(ax: Axes, rows: Rows, handles: Mapping[str, Any], title: str | None, new: bool) -> None:
    """Axis title, grid, line at zero, legend and title; a new figure grows with its legend."""
    lines = [_shortened(rows.quantity), *_wrapped(rows.shared)]
    ax.set_xlabel("\n".join(lines), fontsize=TEXT_POINTS, color=INK, **AS_IT_IS)
    ax.spines[:].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(color=FAINT, linewidth=0.8)
    ax.tick_params(length=0, pad=6, labelsize=TEXT_POINTS, labelcolor=INK)
    _show_zero(ax)
    legend = _legend(ax, rows, handles, len(handles))
    if legend.get_window_extent().width > ax.get_window_extent().width:
        legend = _legend(ax, rows, handles, 1)
    if new:
        _make_room(ax, legend)
    if title is not None:
        above = legend.get_window_extent().height * 72 / ax.figure.dpi
        text = "\n".join(map(shown, str(title).split("\n")))
        ax.set_title(text, loc="left", pad=above + 4.0, color=INK, fontweight="bold", **AS_IT_IS)


def _wrapped(items: tuple[str, ...]) -> list[str]:
    """Lines of items, none of which is broken."""
    kept = (_shortened(item).replace(" ", "\N{NO-BREAK SPACE}") for item in items)
    return textwrap.wrap(", ".join(kept), 80)


def _legend(ax: Axes, rows: Rows, handles: Mapping[str, Any], columns: int) -> Legend:
    legend = ax.legend(
        list(handles.values()),
        [_shortened(name) for name in handles],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        title=None if rows.color is None else _shortened(rows.color),
        title_fontsize=TEXT_POINTS,
        alignment="left",
        frameon=False,
        fontsize=TEXT_POINTS,
        labelcolor=INK,
        borderpad=0.2,
        borderaxespad=0.0,
        columnspacing=1.2,
        handletextpad=0.5,
    )
    for text in (legend.get_title(), *legend.get_texts()):
        text.set(**AS_IT_IS)
    return legend


def _make_room(ax: Axes, legend: Legend) -> None:
    """Make a figure higher for a legend of several lines."""
    figure = ax.get_figure(root=True)
    if figure is not None:
        needed = legend.get_window_extent().height / figure.dpi - LEGEND_INCHES
        figure.set_figheight(figure.get_figheight() + max(needed, 0.0))


def _show_zero(ax: Axes) -> None:
    """A line at zero where estimates lie on both sides of it; no axis below it where none does."""
    lowest, highest = ax.dataLim.intervalx
    if lowest < 0 < highest:
        ax.axvline(0, color=GREY, linewidth=1.0, zorder=1)
    elif lowest >= 0 and ax.get_xlim()[0] < 0:
        ax.set_xlim(left=0)
