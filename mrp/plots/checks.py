"""Pictures of checks: intervals or densities of what the model makes up, points for the observed.

Groups keep their order, unless `sort=True` asks for another.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mrp.errors import RequestError
from mrp.plots import figures
from mrp.plots.layers import MOST_ROWS, Points, interval_layers, ridge_layers
from mrp.results.estimates import Estimates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OBSERVED = "observed"
"""Column of the observed averages, and what their points are called."""


def intervals(
    check: Estimates,
    *,
    sort: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
    **options: Any,
) -> Axes:
    """Intervals of the averages of made-up surveys, with the observed averages as points.

    Parameters
    ----------
    check
        What `mrp.pp_check` returned.
    sort, title, ax, options
        As in `mrp.plots.figures.intervals`; further `reference` points come after the observed
        ones.

    Returns
    -------
    The matplotlib Axes.

    Raises
    ------
    RequestError
        More than 200 groups, or what `mrp.plots.figures.intervals` raises.
    """
    drawn = interval_layers(groups_of(check), sort=sort, **options)
    observed = Points(OBSERVED, _observed(check)[drawn.rows.order], drawn.rows.dodged)
    drawn = replace(drawn, points=(observed, *drawn.points))
    return figures.draw_intervals(drawn, title=title, ax=ax)


def ridges(
    check: Estimates,
    *,
    sort: bool = False,
    height: float | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    color: str | None = None,
) -> Axes:
    """Densities of the averages of made-up surveys, with the observed averages as points.

    The parameters are those of `mrp.plots.figures.ridges`, but for `color`, which is refused:
    points of several colours would lie on one line.
    """
    if color is not None:
        raise RequestError(
            f"`color` must be left out of densities of a check, got {color!r}: observed averages "
            f"of several colours would lie on one line. Leave it out, or use kind='interval'."
        )
    drawn = ridge_layers(groups_of(check), sort=sort, height=height)
    observed = Points(OBSERVED, _observed(check)[drawn.rows.order], drawn.rows.at)
    return figures.draw_ridges(replace(drawn, points=(observed,)), title=title, ax=ax)


def groups_of(check: Estimates) -> Estimates:
    """The estimates labelled by their groups alone, each in a row of its own unless asked."""
    if len(check) > MOST_ROWS:
        raise RequestError(
            f"`plot` takes at most {MOST_ROWS} groups of a check, got {len(check):,}. Check fewer "
            f"of them with `by=`, or look at the table: `to_frame()`."
        )
    plain = check.unmeasured()
    return replace(plain, about={k: v for k, v in plain.about.items() if k != "color"})


def _observed(check: Estimates) -> Any:
    return check.labels[OBSERVED].to_numpy(dtype=float)
