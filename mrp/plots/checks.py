"""Pictures of checks: intervals of what the model makes up, and points for what was observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mrp.checks.predictive_checks import MEASURED
from mrp.estimates import Estimates
from mrp.plots import figures
from mrp.plots.layers import interval_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OBSERVED = "observed"
"""Column of the observed averages, and what their points are called."""


def intervals(check: Estimates, **options: Any) -> Axes:
    """Intervals of the averages of made-up surveys, with the observed averages as points.

    Parameters
    ----------
    check
        What `mrp.pp_check` returned.
    options
        Of `mrp.plots.figures.intervals`; further `reference` points come after the observed ones.

    Returns
    -------
    The matplotlib Axes.
    """
    further = options.pop("reference", None) or {}
    plain = groups_of(check)
    reference = {OBSERVED: observed_by_label(check, plain, options), **dict(further)}
    return figures.intervals(plain, reference=reference, **options)


def ridges(check: Estimates, **options: Any) -> Axes:
    """Densities of the averages of made-up surveys."""
    return figures.ridges(groups_of(check), **options)


def groups_of(check: Estimates) -> Estimates:
    """The estimates labelled by their groups alone, each in a row, as observed points are."""
    about = {name: said for name, said in check.about.items() if name != "color"}
    return replace(check, labels=check.labels.drop(columns=list(MEASURED)), about=about)


def observed_by_label(
    check: Estimates, plain: Estimates, options: Mapping[str, Any]
) -> dict[str, float]:
    """Observed averages by the labels that rows of the picture have."""
    rows = interval_layers(plain, sort=options.get("sort", True)).rows
    observed = check.labels[OBSERVED].to_numpy()[rows.order]
    return dict(zip(rows.labels, observed.tolist(), strict=True))
