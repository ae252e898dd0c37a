"""Pictures of priors: a small panel for each distinct one, as plain data, and their renderer.

The densities are those of each coefficient; of correlations, that of each one of them, which
depends on how many effects are correlated.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mrp.errors import shown
from mrp.plots.figures import AS_IT_IS, BLUE, FAINT, INK, PALE, SEEN, TEXT_POINTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mrp.model.distributions import Prior
    from mrp.model.prior_table import Row

Floats = NDArray[np.float64]

CENTRAL = 0.99
"""Probability of what a panel shows."""
MOST = 20.0
"""A density is cut off at so many times its average between the quartiles."""
MENTIONED = 0.975
"""A panel says how much it shows if that is less."""
POINTS = 401
"""Number of points at which a density is known."""
COLUMNS = 3
"""Panels beside each other."""
PANEL_INCHES = (2.7, 1.75)
"""Width and height of a panel."""
LIMITS = {"real": (-np.inf, np.inf), "positive": (0.0, np.inf), "correlation": (-1.0, 1.0)}
"""Between which numbers a parameter of each support can be."""
TITLE_CHARACTERS, TITLE_LINES = 36, 2
"""Length and number of a title's lines."""


@dataclass(frozen=True)
class Panel:
    """A prior's density, and the parameters that have it.

    Parameters
    ----------
    prior
        The prior as it is written.
    parameters
        Their names.
    grid, density
        Where the density is known, and what it is (points,); empty for a flat prior.
    shown
        Probability between the ends of the grid.
    limits
        Between which numbers parameters can be.
    """

    prior: str
    parameters: tuple[str, ...]
    grid: Floats
    density: Floats
    shown: float
    limits: tuple[float, float]


def panels(rows: Sequence[Row]) -> list[Panel]:
    """A panel for each distinct prior, in the order in which they come up.

    Parameters
    ----------
    rows
        Parameters with their priors, of `mrp.model.prior_table.rows`.
    """
    distinct: dict[tuple[Prior, str, int], list[Row]] = {}
    for row in rows:
        distinct.setdefault((row.prior, row.note, row.width), []).append(row)
    return [_panel(same) for same in distinct.values()]


def _panel(rows: Sequence[Row]) -> Panel:
    prior, width, written = rows[0].prior, rows[0].width, rows[0].written
    note = f" ({rows[0].note})" if rows[0].note else ""
    parameters = tuple(f"{row.parameter}{note}" for row in rows)
    limits = LIMITS[prior.distribution.support]
    if not prior.proper:
        return Panel(written, parameters, np.zeros(0), np.zeros(0), 0.0, limits)
    # as many points where there is more to see: quantiles of equally spaced probabilities
    tail = (1 - CENTRAL) / 2
    probabilities = np.linspace(tail, 1 - tail, POINTS)
    grid = prior.quantiles(probabilities, width)
    density = prior.density(grid, width)
    low, high = prior.quantiles(np.array([0.25, 0.75]), width)
    density = np.minimum(density, MOST * 0.5 / (high - low))  # it may have no end
    seen = np.flatnonzero(density >= SEEN * density.max())
    part = slice(seen[0], seen[-1] + 1)
    shown = float(np.ptp(probabilities[part]))
    return Panel(written, parameters, grid[part], density[part], shown, limits)


def draw(drawn: Sequence[Panel]) -> list[Axes]:
    """Draw panels into a new figure.

    Returns
    -------
    The matplotlib Axes, one for each panel.
    """
    import matplotlib.pyplot as plt

    columns = min(COLUMNS, max(len(drawn), 1))
    lines = -(-len(drawn) // columns)
    size = (PANEL_INCHES[0] * columns, PANEL_INCHES[1] * max(lines, 1))
    _, table = plt.subplots(lines, columns, figsize=size, layout="constrained", squeeze=False)
    axes: list[Axes] = list(table.flat)
    for ax in axes[len(drawn) :]:
        ax.remove()
    for ax, panel in zip(axes, drawn, strict=False):
        _draw_panel(ax, panel)
    return axes[: len(drawn)]


def _draw_panel(ax: Axes, panel: Panel) -> None:
    """One density, without a vertical axis: its height says nothing."""
    ax.set_title(titled(panel.parameters), loc="left", fontsize=TEXT_POINTS, color=INK, **AS_IT_IS)
    ax.set_xlabel(_written(panel), fontsize=TEXT_POINTS, color=INK, **AS_IT_IS)
    ax.spines[:].set_visible(False)
    ax.set_axisbelow(True)
    ax.set_yticks([])
    ax.tick_params(length=0, pad=4, labelsize=TEXT_POINTS - 1, labelcolor=INK)
    if not len(panel.grid):
        ax.set_xticks([])
        ax.text(0.5, 0.5, "no density", ha="center", va="center", transform=ax.transAxes,
                fontsize=TEXT_POINTS, color=INK)  # fmt: skip
        return
    ax.grid(axis="x", color=FAINT, linewidth=0.8)
    ax.fill_between(panel.grid, 0, panel.density, color=PALE, linewidth=0)
    ax.plot(panel.grid, panel.density, color=BLUE, linewidth=1.2)
    ax.set_ylim(bottom=0)
    low, high = panel.limits
    ax.set_xlim(low if np.isfinite(low) else None, high if np.isfinite(high) else None)


def titled(parameters: Sequence[str]) -> str:
    """Names in a few lines; those for which there is no room are counted."""
    for count in range(len(parameters), 0, -1):
        rest = len(parameters) - count
        names = [shown(name).replace(" ", "\N{NO-BREAK SPACE}") for name in parameters[:count]]
        text = ", ".join([*names, *([f"{rest}\N{NO-BREAK SPACE}more"] if rest else [])])
        lines = textwrap.wrap(text, TITLE_CHARACTERS, break_on_hyphens=False)
        if len(lines) <= TITLE_LINES:
            break
    else:
        lines = lines[:TITLE_LINES]
        lines[-1] = f"{lines[-1][: TITLE_CHARACTERS - 1]}…"
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def _written(panel: Panel) -> str:
    """The prior, and how much of it is shown if that is less than usual."""
    short = 0 < panel.shown < MENTIONED
    return f"{panel.prior}, {100 * panel.shown:.0f}% shown" if short else panel.prior
