"""What pictures show, by value."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import mrp
from mrp.errors import RequestError
from mrp.plots.layers import GRID, interval_layers, ridge_layers
from mrp.results.estimates import Estimates, Made


def exactly(message: str) -> str:
    return rf"\A{re.escape(message)}\Z"


def area(grid, curves):
    """Areas below curves; bins are of equal width."""
    return curves.sum(axis=-1) * (grid[1] - grid[0])


# --- rows -----------------------------------------------------------------------------------------


def test_highest_estimate_is_on_top(normals):
    rows = interval_layers(normals([0.2, 0.9, 0.5])).rows
    assert rows.labels == ("B", "C", "A")
    np.testing.assert_array_equal(rows.positions, [2, 1, 0])
    np.testing.assert_allclose(rows.estimate, [0.9, 0.5, 0.2])


def test_unsorted_rows_keep_their_order_from_top_to_bottom(normals):
    for layers in (interval_layers, ridge_layers):
        rows = layers(normals([0.2, 0.9, 0.5]), sort=False).rows
        assert rows.labels == ("A", "B", "C")
        np.testing.assert_array_equal(rows.positions, [2, 1, 0])


def test_rows_of_equal_estimates_keep_their_order(normals):
    assert interval_layers(normals([0, 1, 0, 1])).rows.labels == ("B", "D", "A", "C")


def test_label_is_what_tells_a_row_from_the_others(normals):
    labels = pd.DataFrame(
        {"term": "gender", "contrast": "W - M", "state": ["CA", "AL"], "n": [1, 2]}
    )
    rows = interval_layers(normals([2, 1], labels=labels)).rows
    assert rows.labels == ("CA, 1", "AL, 2")
    assert rows.shared == ("term: gender", "contrast: W - M")


def test_rowid_is_left_out_if_other_columns_tell_rows_apart(normals):
    labels = pd.DataFrame({"rowid": [0, 1], "state": ["CA", "AL"]})
    assert interval_layers(normals([2, 1], labels=labels)).rows.labels == ("CA", "AL")


def test_rowid_is_kept_if_nothing_else_tells_rows_apart(normals):
    labels = pd.DataFrame({"rowid": [0, 1, 2], "state": ["CA", "AL", "AL"]})
    rows = interval_layers(normals([3, 2, 1], labels=labels)).rows
    assert rows.labels == ("0, CA", "1, AL", "2, AL")


def test_missing_level_is_a_level_of_its_own(normals):
    labels = pd.DataFrame({"state": ["CA", "CA"], "party": ["D", None]})
    assert interval_layers(normals([2, 1], labels=labels)).rows.labels == ("D", "nan")


def test_single_row_keeps_all_its_labels(normals):
    labels = pd.DataFrame({"term": ["age"], "contrast": ["70+ - 18-29"]})
    rows = interval_layers(normals([1], labels=labels)).rows
    assert (rows.labels, rows.shared) == (("age, 70+ - 18-29",), ())


def test_estimates_without_labels_are_numbered(normals):
    rows = interval_layers(normals([1, 2], labels=pd.DataFrame(index=range(2)))).rows
    assert rows.labels == ("b2", "b1")


def test_quantity_says_the_scale_if_it_is_the_link(normals):
    assert interval_layers(normals([0])).rows.quantity == "estimate"
    response = normals([0], quantity="average y", type="response")
    assert interval_layers(response).rows.quantity == "average y"
    link = normals([0], quantity="average y", type="link")
    assert interval_layers(link).rows.quantity == "average y (link scale)"


@pytest.mark.parametrize("layers", [interval_layers, ridge_layers])
def test_too_many_rows_to_read_are_refused(normals, layers):
    labels = pd.DataFrame({"cell": range(1201)})
    message = (
        "`estimates` must have 1 to 200 rows to be drawn, got 1,201. Average with `by=`, or ask "
        "for fewer rows with `newdata=`."
    )
    with pytest.raises(RequestError, match=exactly(message)):
        layers(normals([0] * 1201, labels=labels, draws=2))
    assert len(layers(normals([0] * 200, labels=labels[:200], draws=2)).rows.labels) == 200


@pytest.mark.parametrize("layers", [interval_layers, ridge_layers])
def test_rows_with_missing_draws_are_refused(normals, layers):
    estimates = normals([0, np.nan, 1])
    message = "`estimates` must have finite draws to be drawn, got rows with others: ['B']."
    with pytest.raises(RequestError, match=exactly(message)):
        layers(estimates)


# --- intervals ------------------------------------------------------------------------------------


def test_intervals_are_those_of_the_table(normals):
    estimates = normals([3, 2, 1], [0.1, 0.2, 0.3])
    layer = interval_layers(estimates, ci_prob=0.9)
    assert [each.probability for each in layer.intervals] == [0.9, 0.5]
    for each in layer.intervals:
        table = estimates.to_frame(ci_prob=each.probability)
        np.testing.assert_array_equal(each.low, table["conf_low"])
        np.testing.assert_array_equal(each.high, table["conf_high"])


def test_intervals_are_quantiles_of_the_draws_in_the_order_of_the_rows(normals):
    layer = interval_layers(normals([1, 2], [0.1, 0.2], draws=10_000), ci_prob=0.8)
    z = norm.ppf(0.9)
    np.testing.assert_allclose(layer.intervals[0].low, [2 - 0.2 * z, 1 - 0.1 * z], rtol=1e-3)
    np.testing.assert_allclose(layer.intervals[0].high, [2 + 0.2 * z, 1 + 0.1 * z], rtol=1e-3)


def test_inner_interval_is_left_out_if_it_is_not_the_narrower_one(normals):
    layer = interval_layers(normals([0]), ci_prob=0.5)
    assert [each.probability for each in layer.intervals] == [0.5]
    assert layer.meaning == "mean, 50% equal-tailed interval"


def test_meaning_says_centre_probabilities_and_kind(normals):
    meaning = interval_layers(normals([0]), ci_prob=0.89).meaning
    assert meaning == "mean, 50% and 89% equal-tailed intervals"


def test_impossible_probability_is_refused(normals):
    message = "`ci_prob` must be between 0 and 1, got 95. Usual: 0.95."
    with pytest.raises(RequestError, match=exactly(message)):
        interval_layers(normals([0]), ci_prob=95)


def test_intervals_of_several_probabilities_are_the_widest_first(normals):
    estimates = normals([2, 1], [0.1, 0.2])
    for layer in (
        interval_layers(estimates, ci_prob=[0.5, 0.95, 0.8]),
        interval_layers(estimates.with_interval(ci_prob=[0.5, 0.95, 0.8])),
    ):
        assert [each.probability for each in layer.intervals] == [0.95, 0.8, 0.5]
        assert layer.meaning == "mean, 50%, 80% and 95% equal-tailed intervals"
        for each in layer.intervals:
            table = estimates.to_frame(ci_prob=each.probability)
            np.testing.assert_array_equal(each.low, table["conf_low"])
            np.testing.assert_array_equal(each.high, table["conf_high"])


def test_one_listed_probability_has_no_inner_interval(normals):
    layer = interval_layers(normals([0]), ci_prob=[0.9])
    assert [each.probability for each in layer.intervals] == [0.9]


def test_centre_and_kind_are_those_that_the_estimates_carry(normals):
    skewed = Estimates(pd.DataFrame({"a": [1]}), Made(np.array([[0.0, 0.1, 0.2, 0.5, 9.0]])), 1)
    estimates = skewed.with_interval(center="median", ci_kind="hdi", ci_prob=0.8)
    layer = interval_layers(estimates)
    assert layer.meaning == "median, 50% and 80% highest-density intervals"
    assert layer.rows.estimate.tolist() == [0.2]
    table = estimates.to_frame()
    assert (layer.intervals[0].low[0], layer.intervals[0].high[0]) == tuple(
        table.loc[0, ["conf_low", "conf_high"]]
    )
    assert ridge_layers(estimates).meaning == "density of 5 posterior draws, line at their median"


# --- colours --------------------------------------------------------------------------------------


def by_priors(normals, means=((0.1, 0.4), (0.3, 0.2)), sds=((1.0, 1.0), (0.5, 0.5))):
    labels = pd.DataFrame({"gender": ["Man", "Woman"]})
    parts = [normals(list(m), s, labels=labels) for m, s in zip(means, sds, strict=True)]
    return mrp.concat(parts, ["vague", "informative"], name="priors")


def test_colours_are_in_rows_of_the_other_labels(normals):
    rows = interval_layers(by_priors(normals), color="priors", sort=False).rows
    assert (rows.color, rows.colors) == ("priors", ("vague", "informative"))
    assert rows.labels == ("Man", "Woman")
    np.testing.assert_array_equal(rows.positions, [1, 0])
    np.testing.assert_array_equal(rows.order, [0, 2, 1, 3])
    np.testing.assert_array_equal(rows.at, [1, 1, 0, 0])
    np.testing.assert_array_equal(rows.series, [0, 1, 0, 1])
    np.testing.assert_allclose(rows.estimate, [0.1, 0.3, 0.4, 0.2])


def test_rows_of_several_colours_are_sorted_by_their_mean(normals):
    rows = interval_layers(by_priors(normals)).rows
    assert rows.labels == ("Woman", "Man")
    np.testing.assert_array_equal(rows.order, [1, 3, 0, 2])
    np.testing.assert_array_equal(rows.at, [1, 1, 0, 0])


def test_colour_of_concatenated_estimates_is_what_tells_them_apart(normals):
    both = by_priors(normals)
    assert interval_layers(both).rows.color == "priors"
    assert interval_layers(both, color="gender").rows.colors == ("Man", "Woman")
    assert interval_layers(both, color="gender", sort=False).rows.labels == ("vague", "informative")
    assert interval_layers(both.hypothesis("~ pairwise | gender")).rows.color is None


def test_estimates_of_one_row_are_side_by_side_around_it_the_first_on_top(normals):
    rows = interval_layers(by_priors(normals), sort=False).rows
    np.testing.assert_allclose(rows.dodged, [1.175, 0.825, 0.175, -0.175])
    alone = interval_layers(normals([2, 1])).rows
    np.testing.assert_array_equal(alone.dodged, alone.at)
    np.testing.assert_array_equal(alone.at, alone.positions)


def test_intervals_and_densities_are_in_the_order_of_what_is_shown(normals):
    both = by_priors(normals)
    layer, ridge = interval_layers(both), ridge_layers(both)
    table = both.to_frame().iloc[[1, 3, 0, 2]]
    np.testing.assert_array_equal(layer.intervals[0].low, table["conf_low"])
    assert ridge.heights.shape == (4, GRID)
    tallest = ridge.heights.max(axis=1)
    assert (tallest[[1, 3]] > 1.5 * tallest[[0, 2]]).all()


def test_row_that_lacks_a_colour_is_drawn_without_it(normals):
    one = normals([1], labels=pd.DataFrame({"state": ["CA"]}))
    two = normals([4, 2], labels=pd.DataFrame({"state": ["CA", "WY"]}))
    rows = interval_layers(mrp.concat({"a": one, "b": two})).rows
    assert rows.labels == ("CA", "WY")
    np.testing.assert_array_equal(rows.series, [0, 1, 1])
    np.testing.assert_array_equal(rows.at, [1, 1, 0])


def test_label_that_has_a_colour_twice_has_two_rows(normals):
    labels = pd.DataFrame({"who": ["a", "a", "b"], "state": ["CA", "CA", "CA"]})
    rows = interval_layers(normals([3, 2, 1], labels=labels), color="who").rows
    np.testing.assert_array_equal(rows.order, [0, 2, 1])
    np.testing.assert_array_equal(rows.at, [1, 1, 0])


def test_overall_averages_are_one_row_of_colours(normals):
    nothing = pd.DataFrame(index=[0])
    both = mrp.concat({"a": normals([0], labels=nothing), "b": normals([1], labels=nothing)})
    rows = interval_layers(both).rows
    assert (rows.labels, rows.colors) == (("",), ("a", "b"))
    contrast = pd.DataFrame({"term": ["age"], "contrast": ["old - young"]})
    both = mrp.concat({"a": normals([0], labels=contrast), "b": normals([1], labels=contrast)})
    assert interval_layers(both).rows.labels == ("age, old - young",)


def test_reference_is_by_row_whatever_the_colours(normals):
    (points,) = interval_layers(by_priors(normals), reference={"raw": {"Man": 0.2}}).points
    np.testing.assert_array_equal(points.values, [np.nan, 0.2])


@pytest.mark.parametrize("layers", [interval_layers, ridge_layers])
def test_colour_that_can_not_be_is_refused(normals, layers):
    message = (
        "`color` must name a column of the labels, got 'prior'. Available: ['priors', 'gender']. "
        "Did you mean 'priors'?"
    )
    with pytest.raises(RequestError, match=exactly(message)):
        layers(by_priors(normals), color="prior")
    message = "`color` must name a column of at most 7 values, got 8 in 'state'. Show it in rows."
    with pytest.raises(RequestError, match=exactly(message)):
        layers(normals(range(8)), color="state")
    assert len(layers(normals(range(7)), color="state").rows.colors) == 7


# --- reference points -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"A": 0.1, "B": 0.9},
        pd.Series({"B": 0.9, "A": 0.1}),
        pd.Series([0.9, 0.1], index=pd.CategoricalIndex(["B", "A"])),
    ],
)
def test_reference_is_matched_by_label(normals, values):
    (points,) = interval_layers(normals([1, 3, 2]), reference={"raw": values}).points
    assert points.name == "raw"
    np.testing.assert_array_equal(points.values, [0.9, np.nan, 0.1])


def test_columns_of_a_table_are_references(normals):
    table = pd.DataFrame({"raw": [1.0, 2.0], "truth": [3.0, 4.0]}, index=["B", "A"])
    raw, truth = interval_layers(normals([1, 2]), reference=table).points
    assert (raw.name, truth.name) == ("raw", "truth")
    np.testing.assert_array_equal(raw.values, [1, 2])
    np.testing.assert_array_equal(truth.values, [3, 4])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_reference_is_not_drawn(normals, missing):
    (points,) = interval_layers(normals([2, 1]), reference={"raw": {"A": missing, "B": 1}}).points
    np.testing.assert_array_equal(points.values, [np.nan, 1])


def test_reference_by_several_columns_is_matched_by_tuple_or_text(normals):
    labels = pd.DataFrame({"state": ["CA", "AL"], "gender": ["Man", "Woman"]})
    estimates = normals([2, 1], labels=labels)
    raw = pd.DataFrame(labels.assign(y=[0.1, 0.2])).groupby(["state", "gender"])["y"].mean()
    for values in (raw, {"CA, Man": 0.1, "AL, Woman": 0.2}):
        (points,) = interval_layers(estimates, reference={"raw": values}).points
        np.testing.assert_array_equal(points.values, [0.1, 0.2])


def test_number_labels_are_matched(normals):
    estimates = normals([2, 1], labels=pd.DataFrame({"district": [10, 20]}))
    (points,) = interval_layers(estimates, reference={"raw": pd.Series({20: 5.0})}).points
    np.testing.assert_array_equal(points.values, [np.nan, 5])


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            {"truth": {"Alabama": 0.3}},
            "`reference` must use labels of rows for 'truth', got 'Alabama'. Available: "
            "['California', 'Alabema']. Did you mean 'Alabema'?",
        ),
        (
            [0.1, 0.2],
            "`reference` must map names to values by label, got list. For example: "
            "{'truth': {'CA': 0.4}}.",
        ),
        (
            {"truth": [0.1, 0.2]},
            "`reference` must map labels to values, got list for 'truth'. Use a Series with the "
            "labels as its index, or a dict.",
        ),
        (
            {"raw": pd.Series([0.1, 0.2], index=["California", "California"])},
            "`reference` must have one value for each label, got several for 'California' in "
            "'raw'.",
        ),
        (
            {"raw": {"California": "high"}},
            "`reference` must have numbers as values, got 'high' for 'California' in 'raw'.",
        ),
    ],
)
def test_unusable_reference_is_refused(normals, reference, message):
    estimates = normals([2, 1], labels=pd.DataFrame({"state": ["California", "Alabema"]}))
    with pytest.raises(RequestError, match=exactly(message)):
        interval_layers(estimates, reference=reference)


# --- ridges ---------------------------------------------------------------------------------------


def test_tallest_curve_has_the_height(normals):
    layer = ridge_layers(normals([0, 1, 2], [1, 0.5, 2]), height=3)
    assert layer.heights.shape == (3, GRID)
    assert layer.heights.max() == pytest.approx(3)
    assert layer.heights.max(axis=1).argmax() == layer.rows.labels.index("B")


def test_curves_have_equal_areas(normals):
    layer = ridge_layers(normals([0, 1, 2], [1, 0.5, 2]))
    areas = area(layer.grid, layer.heights)
    np.testing.assert_allclose(areas, areas[0], rtol=1e-6)


def test_curve_of_normal_draws_is_the_normal_density(normals):
    layer = ridge_layers(normals([1, 0], [0.5, 1], draws=4000), height=1)
    for curve, mean, sd in zip(layer.heights, [1, 0], [0.5, 1], strict=True):
        density = norm.pdf(layer.grid, mean, sd) / norm.pdf(0, scale=0.5)
        np.testing.assert_allclose(curve, density, atol=0.02)
    np.testing.assert_allclose(layer.at_estimate, [1, 0.5], atol=0.02)


def test_curves_end_at_the_lowest_and_the_highest_draw(normals):
    estimates = normals([0, 5])
    drawn = estimates.source.values(np.arange(2))
    grid = ridge_layers(estimates).grid
    step = grid[1] - grid[0]
    assert grid[0] - step / 2 == pytest.approx(drawn.min())
    assert grid[-1] + step / 2 == pytest.approx(drawn.max())


def test_density_piled_up_at_a_bound_stays_inside_of_it():
    shares = (np.arange(4000) + 0.5) / 4000
    draws = np.array([shares**2, 0.5 + 0.1 * shares])  # density 1 / (2 sqrt(x)) at the bound 0
    estimates = Estimates(pd.DataFrame({"state": ["low", "mid"]}), Made(draws), 1)
    layer = ridge_layers(estimates, sort=False)
    assert layer.grid.min() > 0
    low, mid = layer.heights
    assert low.argmax() == 0
    np.testing.assert_allclose(area(layer.grid, low), area(layer.grid, mid), rtol=1e-6)


def test_draws_that_are_all_equal_are_a_spike(normals):
    estimates = normals([0.5, 0.0], [0.0, 1.0])
    layer = ridge_layers(estimates, height=2)
    assert np.count_nonzero(layer.heights[0]) == 1
    assert layer.heights[0].max() == 2
    assert layer.grid[layer.heights[0].argmax()] == pytest.approx(
        0.5, abs=np.ptp(layer.grid) / GRID
    )
    assert layer.heights[1].max() == pytest.approx(2)


def test_rows_that_are_all_one_number_are_spikes(normals):
    layer = ridge_layers(normals([0.25, 0.25], 0.0, draws=1))
    np.testing.assert_array_equal(layer.heights.max(axis=1), 2.5)
    np.testing.assert_array_equal(np.count_nonzero(layer.heights, axis=1), 1)


def test_order_of_draws_does_not_move_a_curve(normals):
    estimates = normals([0, 1])
    shuffled = np.random.default_rng(1).permuted(estimates.source.values(np.arange(2)), axis=1)
    moved = ridge_layers(replace(estimates, source=Made(shuffled)))
    np.testing.assert_allclose(moved.heights, ridge_layers(estimates).heights, atol=1e-9)


def test_meaning_says_how_many_draws_of_what(normals):
    prior = normals([0], draws=4000, group="prior")
    assert ridge_layers(prior).meaning == "density of 4,000 prior draws, line at their mean"


@pytest.mark.parametrize("height", [0, -1, True, "2", np.nan])
def test_impossible_height_is_refused(normals, height):
    message = f"`height` must be a positive number of rows, got {height!r}. Usual: 2.5."
    with pytest.raises(RequestError, match=exactly(message)):
        ridge_layers(normals([0]), height=height)


# --- loading --------------------------------------------------------------------------------------


def test_layers_are_made_without_matplotlib():
    code = (
        "import sys, numpy, pandas, mrp, mrp.plots.figures\n"
        "from mrp.results.estimates import Estimates, Made\n"
        "from mrp.plots.layers import interval_layers, ridge_layers\n"
        "estimates = Estimates(pandas.DataFrame({'a': [1]}), Made(numpy.eye(1, 9)), 1)\n"
        "interval_layers(estimates), ridge_layers(estimates)\n"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_poststratified_states_and_their_truth_make_layers():
    fit = mrp.testing.example_fit()
    states = mrp.poststratify(fit, mrp.load_dataset("simulated_frame"), by="state", wts="n")
    truth = mrp.load_dataset("simulated_truth").set_index("state")["truth"]
    layer = interval_layers(states, reference={"truth": truth})
    (points,) = layer.points
    assert len(layer.rows.labels) == 48
    np.testing.assert_array_equal(points.values, truth[list(layer.rows.labels)])
