"""Pictures of priors: which panels there are, by value, and that they are drawn as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import mrp
from mrp.model.distributions import parse
from mrp.model.prior_table import Row
from mrp.plots.priors import POINTS, Panel, draw, panels, titled


def panel(text: str, width: int = 0) -> Panel:
    (found,) = panels([Row("p", parse(text), "b", width=width)])
    return found


# --- panels ---------------------------------------------------------------------------------------


def test_parameters_with_the_same_prior_share_a_panel():
    normal, other = parse("normal(0, 1)"), parse("exponential(2)")
    table = [Row("a", normal, "b"), Row("s", other, "sd"), Row("c", normal, "bambi default")]
    found = panels(table)
    assert [one.parameters for one in found] == [("a", "c"), ("s",)]
    assert [one.prior for one in found] == ["normal(0, 1)", "exponential(2)"]


@pytest.mark.parametrize(
    ("text", "distribution", "limits"),
    [
        ("normal(1, 2)", stats.norm(1, 2), (-np.inf, np.inf)),
        ("laplace(0, 1)", stats.laplace(0, 1), (-np.inf, np.inf)),
        ("half_normal(2)", stats.halfnorm(0, 2), (0, np.inf)),
        ("gamma(2, 3)", stats.gamma(2, scale=1 / 3), (0, np.inf)),
        ("lkj(2)", stats.beta(2, 2, -1, 2), (-1, 1)),
    ],
)
def test_a_panel_is_the_density_over_the_central_99_percent(
    text: str, distribution: Any, limits: tuple[float, float]
):
    found = panel(text, width=2)
    assert len(found.grid) == POINTS
    np.testing.assert_allclose(found.grid[[0, -1]], distribution.ppf([0.005, 0.995]), rtol=1e-9)
    np.testing.assert_allclose(found.density, distribution.pdf(found.grid), rtol=1e-9)
    assert found.shown == pytest.approx(0.99)
    assert found.limits == limits


@pytest.mark.parametrize("text", ["normal(3, 2)", "cauchy(0, 1)", "exponential(1)", "gamma(9, 1)"])
def test_the_area_of_a_panel_is_what_it_says_is_shown(text: str):
    found = panel(text)
    assert integrate.trapezoid(found.density, found.grid) == pytest.approx(found.shown, abs=2e-3)


@pytest.mark.parametrize(("text", "scale"), [("cauchy(0, 1)", 1), ("half_cauchy(2)", 2)])
def test_tails_under_a_hundredth_of_the_peak_are_left_out(text: str, scale: float):
    found, edge = panel(text), np.sqrt(99.0)
    assert found.density.min() >= 0.01 * found.density.max()
    assert found.grid[-1] == pytest.approx(edge * scale, rel=0.05)
    assert found.shown == pytest.approx(2 / np.pi * np.arctan(edge), abs=0.01)


def test_a_peak_is_seen_however_heavy_the_tail():
    found = panel("inv_gamma(0.4, 0.3)")
    assert found.grid[found.density.argmax()] == pytest.approx(0.3 / 1.4, rel=0.02)


def test_correlations_of_more_effects_are_another_panel():
    prior = parse("lkj(1)")
    found = panels([Row(f"cor({a})", prior, "cor", width=w) for a, w in [("a", 2), ("b", 4)]])
    assert [one.parameters for one in found] == [("cor(a)",), ("cor(b)",)]
    np.testing.assert_allclose(found[0].density, 0.5, rtol=1e-9)
    np.testing.assert_allclose(found[1].density, stats.beta(2, 2, -1, 2).pdf(found[1].grid))


@pytest.mark.parametrize("text", ["gamma(0.5, 1)", "gamma(0.1, 0.1)", "lkj(0.1)"])
def test_a_density_without_end_is_cut_off(text: str):
    found = panel(text, width=2)
    assert len(found.grid) > 20
    assert found.shown > 0.5
    assert np.sort(found.density)[-1] < 50 * np.sort(found.density)[-20]


def test_priors_that_differ_in_late_digits_have_panels_of_their_own():
    table = [Row("x", parse("normal(2019.6, 0.5)"), "x"), Row("k", parse("normal(2020.4, 1)"), "k")]
    assert [one.prior for one in panels(table)] == ["normal(2019.6, 0.5)", "normal(2020.4, 1)"]


def test_a_flat_prior_has_a_panel_without_a_density():
    found = panel("flat()")
    assert (found.grid.size, found.density.size, found.shown) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("parameters", "title"),
    [
        (["Intercept"], "Intercept"),
        (["x", "sd(x | state)"], "x, sd(x | state)"),
        (
            [f"age[{k}0-{k}9]" for k in range(1, 9)],
            "age[10-19], age[20-29], age[30-39],\nage[40-49], age[50-59], 3 more",
        ),
        (["a" * 90], "a" * 36 + "\n" + "a" * 35 + "…"),
    ],
)
def test_a_title_has_as_many_names_as_fit(parameters: list[str], title: str):
    assert titled(parameters) == title


# --- drawing --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(people: pd.DataFrame) -> mrp.Model:
    """Seven distinct priors, one of them flat."""
    given = mrp.priors(
        defaults="brms",
        Intercept="normal(0, 1.5)",
        b={"age[mid]": "normal(0, 1)", "age[old]": "normal(0, 2)"},
        sd={"state": {"sex": "half_cauchy(1)"}},
    )
    formula = "vote ~ age + x + z + (sex | state)"
    return mrp.Model(formula, people, family="bernoulli", priors=given)


def test_panels_are_drawn_as_they_are(model: mrp.Model):
    axes = model.plot_priors()
    assert [(ax.get_title(loc="left"), ax.get_xlabel()) for ax in axes] == [
        ("Intercept (centred)", "normal(0, 1.5)"),
        ("age[mid]", "normal(0, 1)"),
        ("age[old]", "normal(0, 2)"),
        ("x, z", "flat()"),
        ("sd(Intercept | state)", "half_student_t(3, 2.5)"),
        ("sd(sex[woman] | state)", "half_cauchy(1), 93% shown"),
        ("cor(state)", "lkj(1)"),
    ]
    first = panel("normal(0, 1.5)")
    np.testing.assert_allclose(axes[0].lines[0].get_xydata(), np.c_[first.grid, first.density])
    assert not axes[3].lines
    assert [text.get_text() for text in axes[3].texts] == ["no density"]


def test_axes_end_where_parameters_do(model: mrp.Model):
    axes = model.plot_priors()
    assert axes[4].get_xlim()[0] == 0
    assert axes[6].get_xlim() == (-1, 1)
    assert all(ax.get_ylim()[0] == 0 for ax in axes if ax.lines)


def test_one_figure_has_a_panel_for_each_prior_and_no_empty_one(model: mrp.Model):
    axes = model.plot_priors()
    assert len(plt.get_fignums()) == 1
    assert axes[0].figure.axes == axes
    assert len(draw([panel("normal(0, 1)")])[0].figure.axes) == 1


def test_no_text_of_a_panel_reaches_into_another(people: pd.DataFrame):
    formula = "y ~ age + education + x + (age + x | state)"
    axes = mrp.Model(formula, people).plot_priors()
    figure = axes[0].figure
    figure.draw_without_rendering()
    texts = [text for ax in axes for text in (ax._left_title, ax.xaxis.label)]
    boxes = [text.get_window_extent() for text in texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    inside = figure.bbox.padded(1)
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)


def test_names_in_panels_are_drawn_as_they_are():
    (ax,) = draw([replace(panel("normal(0, 1)"), parameters=("$a$", "\x1b[31mb"))])
    assert (ax.get_title("left"), ax.get_xlabel()) == (r"$a$, \x1b[31mb", "normal(0, 1)")
    assert not ax._left_title.get_parse_math()
    assert not ax.xaxis.label.get_parse_math()
