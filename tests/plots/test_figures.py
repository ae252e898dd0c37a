"""The renderer: artists are those of the layers, nothing overlaps, and a few pictures look right.

A picture that differs from its golden one is kept with the difference in pytest's temporary folder.
If it is the better one, look at it, then copy it over the golden one.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.testing.compare import compare_images

import mrp
from mrp.errors import RequestError
from mrp.plots import figures
from mrp.plots.layers import interval_layers, ridge_layers
from mrp.results.estimates import Made, estimates

GOLDEN = Path(__file__).parent / "golden"


def exactly(message: str) -> str:
    return rf"\A{re.escape(message)}\Z"


@pytest.fixture(scope="module")
def states():
    fit = mrp.testing.example_fit()
    return mrp.poststratify(fit, mrp.load_dataset("simulated_frame"), by="state", wts="n")


@pytest.fixture(scope="module")
def reference():
    raw = mrp.load_dataset("simulated_survey").groupby("state")["defund"].mean()
    truth = mrp.load_dataset("simulated_truth").set_index("state")["truth"]
    return {"raw mean": raw, "truth": truth}


def labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def verticals(ax):
    """Places of lines across the whole height."""
    return [line.get_xdata()[0] for line in ax.lines if list(line.get_ydata()) == [0, 1]]


def boxes(ax):
    """Where text is, in pixels."""
    ax.figure.draw_without_rendering()
    left, right = ax.get_xlim()
    texts = [tick for tick in ax.get_xticklabels() if left <= tick.get_position()[0] <= right]
    texts += [*ax.get_yticklabels(), *ax.get_legend().get_texts(), ax.xaxis.label, ax._left_title]
    return [text.get_window_extent() for text in texts if text.get_text()]


# --- Estimates.plot -------------------------------------------------------------------------------


def test_unknown_kind_of_picture_is_refused(normals):
    message = (
        "`kind` must name a picture, got 'ridges'. Available: ['interval', 'ridge']. "
        "Did you mean 'ridge'?"
    )
    with pytest.raises(RequestError, match=exactly(message)):
        normals([0]).plot("ridges")


def test_plot_passes_its_options_on(normals):
    estimates = normals([0, 1])
    assert labels(estimates.plot(sort=False)) == ["A", "B"]
    assert legend(estimates.plot(ci_prob=0.8)) == ["mean, 50% and 80% equal-tailed intervals"]
    assert labels(estimates.plot("ridge", sort=False, height=1)) == ["A", "B"]
    assert legend(estimates.plot("ridge")) == ["density of 400 posterior draws, line at their mean"]


def test_request_that_is_refused_leaves_no_figure(normals):
    with pytest.raises(RequestError, match=r"\A`ci_prob` must be between 0 and 1"):
        normals([0]).plot(ci_prob=2)
    assert plt.get_fignums() == []


# --- intervals ------------------------------------------------------------------------------------


def test_lines_are_the_intervals(normals):
    estimates = normals([0.2, 0.9, 0.5], 0.1)
    layer = interval_layers(estimates, ci_prob=0.9)
    ax = figures.intervals(estimates, ci_prob=0.9)
    assert len(ax.collections) == 2
    for drawn, interval in zip(ax.collections, layer.intervals, strict=True):
        segments = np.array(drawn.get_segments())
        np.testing.assert_array_equal(segments[:, 0, 0], interval.low)
        np.testing.assert_array_equal(segments[:, 1, 0], interval.high)
        np.testing.assert_array_equal(segments[:, 0, 1], layer.rows.positions)


def test_outer_interval_is_thin_and_inner_is_thick(normals):
    outer, inner = figures.intervals(normals([0, 1])).collections
    assert outer.get_linewidth() < inner.get_linewidth()


def test_points_are_the_estimates_and_their_references(normals):
    ax = figures.intervals(normals([1, 2]), reference={"raw": {"A": 5.0}, "truth": {"B": 7.0}})
    means, raw, truth = ax.lines[:3]
    np.testing.assert_allclose(means.get_xydata(), [[2, 1], [1, 0]], atol=1e-12)
    np.testing.assert_array_equal(raw.get_xydata(), [[np.nan, 1], [5, 0]])
    np.testing.assert_array_equal(truth.get_xydata(), [[7, 1], [np.nan, 0]])
    assert legend(ax) == ["mean, 50% and 95% equal-tailed intervals", "raw", "truth"]
    assert len({line.get_marker() for line in ax.lines[:3]}) == 3
    assert len({line.get_color() for line in ax.lines[:3]}) == 3


def test_axis_says_the_quantity_and_what_rows_share(normals):
    table = pd.DataFrame({"term": "gender", "contrast": "W - M", "state": ["CA", "AL"]})
    ax = figures.intervals(normals([0, 1], labels=table, quantity="difference in y"))
    assert ax.get_xlabel().replace("\N{NO-BREAK SPACE}", " ") == (
        "difference in y\nterm: gender, contrast: W - M"
    )
    assert labels(ax) == ["AL", "CA"]


def test_line_at_zero_separates_estimates_of_both_signs(normals):
    assert verticals(figures.intervals(normals([-3, 3]))) == [0]
    assert verticals(figures.intervals(normals([10, 20]))) == []
    assert verticals(figures.ridges(normals([-3, 3]))) == [0]


def test_axis_does_not_go_below_zero_if_no_estimate_does(normals):
    ax = figures.intervals(normals([0.1, 0.5], 0.01), reference={"raw": {"A": 0.0}})
    assert ax.get_xlim()[0] == 0
    assert figures.intervals(normals([10, 11])).get_xlim()[0] > 1


# --- ridges ---------------------------------------------------------------------------------------


def test_curves_are_the_densities(normals):
    estimates = normals([0, 1, 2], [1, 0.5, 2])
    layer = ridge_layers(estimates)
    ax = figures.ridges(estimates)
    for line, base, heights in zip(ax.lines[:3], [2, 1, 0], layer.heights, strict=True):
        expected = base + np.interp(line.get_xdata(), layer.grid, heights)
        np.testing.assert_allclose(line.get_ydata(), expected)
        hidden = ~np.isin(layer.grid, line.get_xdata())
        assert heights[hidden].max(initial=0) <= 0.01 * 2.5


def test_lower_curves_are_in_front(normals):
    lines = figures.ridges(normals([0, 1, 2])).lines[:3]
    assert lines[0].get_zorder() < lines[1].get_zorder() < lines[2].get_zorder()


@pytest.mark.parametrize("means", [[0.0], [0.0, 1.0, 2.0]])
def test_no_curve_is_cut_at_the_top(normals, means):
    ax = figures.ridges(normals(means), height=4)
    assert ax.dataLim.y1 < ax.get_ylim()[1]


def test_spike_can_be_seen(normals):
    spike = figures.ridges(normals([0.5, 0.0], [0.0, 1.0])).lines[0]
    np.testing.assert_allclose(spike.get_ydata(), [1, 3.5, 1])


# --- colours --------------------------------------------------------------------------------------


@pytest.fixture
def both(normals):
    """Averages by gender under two priors."""
    labels = pd.DataFrame({"gender": ["Man", "Woman"]})
    parts = {
        "vague": normals([0.5, 0.52], 0.15, labels=labels, group="prior"),
        "informative": normals([0.45, 0.5], 0.04, labels=labels, group="prior"),
    }
    return mrp.concat(parts, name="priors")


@pytest.mark.parametrize("kind", ["interval", "ridge"])
def test_legend_says_what_colours_mean(both, kind):
    ax = both.plot(kind, color="priors", sort=False)
    assert ax.get_legend().get_title().get_text() == "priors"
    assert legend(ax)[:2] == ["vague", "informative"]
    assert len(legend(ax)) == 3
    assert labels(ax) == ["Man", "Woman"]


def test_intervals_of_a_colour_are_at_their_heights(both):
    layer = interval_layers(both)
    ax = figures.intervals(both)
    for k, (outer, inner) in enumerate(zip(*[iter(ax.collections)] * 2, strict=True)):
        own = layer.rows.series == k
        for drawn, interval in ((outer, layer.intervals[0]), (inner, layer.intervals[1])):
            segments = np.array(drawn.get_segments())
            np.testing.assert_array_equal(segments[:, 0, 0], interval.low[own])
            np.testing.assert_array_equal(segments[:, 0, 1], layer.rows.dodged[own])
    centers = ax.lines[:2]
    assert len({line.get_color() for line in centers}) == 2
    assert len({line.get_marker() for line in centers}) == 2


def test_densities_of_one_row_share_its_base_and_their_colours_differ(both):
    ax = figures.ridges(both, sort=False)
    lines = ax.lines[:4]
    assert [round(line.get_ydata().min(), 1) for line in lines] == [1, 1, 0, 0]
    assert lines[0].get_color() == lines[2].get_color() != lines[1].get_color()


def test_narrower_intervals_are_thicker(normals):
    widths = [
        each.get_linewidths()[0]
        for each in figures.intervals(normals([0]), ci_prob=[0.5, 0.8, 0.9, 0.95]).collections
    ]
    assert widths == sorted(widths)
    assert len(set(widths)) == 4


def test_rows_of_several_colours_are_higher(both):
    one = figures.intervals(both, color="gender", sort=False)
    plain = figures.intervals(both.hypothesis(["b1", "b2"]))
    assert one.figure.get_figheight() > plain.figure.get_figheight()


def test_no_text_overlaps_in_a_picture_of_colours(both):
    for kind in ("interval", "ridge"):
        texts = boxes(both.plot(kind, title="Priors"))
        assert not any(a.overlaps(b) for k, a in enumerate(texts) for b in texts[:k])


# --- figure ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [figures.intervals, figures.ridges])
def test_given_axes_are_drawn_into(normals, draw):
    figure = mpl.figure.Figure()
    left, right = figure.subplots(1, 2)
    assert draw(normals([0, 1]), ax=right, title="Right") is right
    assert right.get_title(loc="left") == "Right"
    assert not left.has_data()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("draw", [figures.intervals, figures.ridges])
def test_figure_grows_with_its_rows(normals, draw):
    sizes = [draw(normals([0.0] * n)).figure.get_figheight() for n in (1, 10, 20)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_long_label_is_cut(normals):
    ax = figures.intervals(normals([0], labels=pd.DataFrame({"state": ["x" * 61]})))
    assert labels(ax) == ["x" * 59 + "…"]


def test_no_text_overlaps_in_a_picture_of_48_states(states, reference):
    for ax in (
        figures.intervals(states, reference=reference, title="Support"),
        figures.ridges(states, title="Support"),
    ):
        texts = boxes(ax)
        assert len(texts) > 48
        assert not any(a.overlaps(b) for k, a in enumerate(texts) for b in texts[:k])
        inside = ax.figure.bbox.padded(1)
        assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in texts)
        assert all(inside.y0 <= box.y0 and box.y1 <= inside.y1 for box in texts)


def test_legend_of_narrow_axes_is_a_column(normals):
    reference = {"first": {"A": 0.0}, "second": {"A": 1.0}}
    figure = mpl.figure.Figure(figsize=(10, 3))
    narrow, _, _ = figure.subplots(1, 3)
    figures.intervals(normals([0]), reference=reference, ax=narrow)
    assert narrow.get_legend()._ncols == 1
    assert figures.intervals(normals([0]), reference=reference).get_legend()._ncols == 3


# --- golden images --------------------------------------------------------------------------------

MEANS = [0.31, 0.42, 0.55, 0.24, 0.38]
SDS = [0.05, 0.03, 0.09, 0.06, 0.02]


def assert_looks_like(ax, name, folder):
    drawn = folder / name
    ax.figure.savefig(drawn, dpi=80, metadata={"Software": None})
    assert compare_images(str(GOLDEN / name), str(drawn), tol=8) is None


def test_intervals_look_right(normals, tmp_path):
    ax = figures.intervals(
        normals(MEANS, SDS, quantity="average support"),
        reference={"raw mean": dict(zip("ABCD", [0.2, 0.45, 0.7, 0.0], strict=True))},
        title="Support by state",
    )
    assert_looks_like(ax, "intervals.png", tmp_path)


def test_ridges_look_right(normals, tmp_path):
    ax = figures.ridges(normals(MEANS, SDS, quantity="average support"), title="Support by state")
    assert_looks_like(ax, "ridges.png", tmp_path)


def test_overlaid_ridges_look_right(both, tmp_path):
    assert_looks_like(both.plot("ridge", sort=False), "overlaid_ridges.png", tmp_path)


def test_intervals_side_by_side_look_right(both, tmp_path):
    ax = both.with_interval(center="median", ci_kind="hdi", ci_prob=(0.5, 0.8, 0.95)).plot(
        sort=False, reference={"raw mean": {"Man": 0.4, "Woman": 0.55}}, title="Two priors"
    )
    assert_looks_like(ax, "intervals_side_by_side.png", tmp_path)


# --- texts ----------------------------------------------------------------------------------------

HOSTILE = ["$25k-$50k", "a\nb\tc", "\x1b[31mred", "\u202eevil", r"\alpha \$", "nul\0"]
WRITTEN = ["$25k-$50k", r"a\nb\tc", r"\x1b[31mred", r"\u202eevil", r"\alpha \$", r"nul\x00"]
"""Labels that are a formula, or act on a screen, and what is drawn."""


@pytest.mark.parametrize("kind", ["interval", "ridge"])
@pytest.mark.parametrize("usetex", [False, True])
def test_names_and_levels_are_drawn_as_they_are(normals, kind, usetex):
    labels = pd.DataFrame({"$a$": HOSTILE, "$b$": "$c$ and $d$"})
    labels = pd.concat([labels.assign(model="$m_1$"), labels.assign(model="$m_2$")])
    made = normals(range(12), labels=labels, quantity="average $y$", color="model")
    with mpl.rc_context({"text.usetex": usetex}):
        ax = made.plot(kind, sort=False, title="From $25k to $50k\nin dollars")
    for text in [ax.xaxis.label, ax._left_title, *ax.get_yticklabels(), *ax.legend_.get_texts()]:
        assert not text.get_parse_math()
        assert not text.get_usetex()
    assert [label.get_text() for label in ax.get_yticklabels()] == WRITTEN
    assert ax.get_title("left") == "From $25k to $50k\nin dollars"
    assert (
        ax.get_xlabel()
        == "average $y$\n$b$:\N{NO-BREAK SPACE}$c$\N{NO-BREAK SPACE}and\N{NO-BREAK SPACE}$d$"
    )
    assert ax.legend_.get_title().get_text() == "model"


def test_dollars_take_as_much_room_as_they_would_alone(normals):
    ax = normals([0, 1], labels=pd.DataFrame({"income": ["$25k-$50k", "x25k-x50k"]})).plot()
    ax.figure.canvas.draw()
    formula, text = (label.get_window_extent().width for label in ax.get_yticklabels())
    assert formula == pytest.approx(text, rel=0.1)  # as a formula it would be half as wide


@pytest.mark.parametrize("extension", ["png", "svg", "pdf"])
def test_pictures_of_hostile_labels_are_files_of_their_kind(normals, extension, tmp_path):
    ax = normals(range(6), labels=pd.DataFrame({"a": HOSTILE})).plot(title="\x1b[0m")
    path = tmp_path / f"picture.{extension}"
    ax.figure.savefig(path)
    assert path.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")
    if extension == "svg":
        ElementTree.parse(path)


def test_ridge_that_is_flat_beside_the_others_is_drawn():
    rng = np.random.default_rng(1)
    draws = np.stack([rng.normal(0, 1e-4, 200), rng.normal(0, 10.0, 200)])
    pair = estimates(pd.DataFrame({"g": ["sharp", "flat"]}), Made(draws), chains=2, about={})
    axes = pair.plot("ridge")
    assert len(axes.lines) >= 2
