"""Pictures of outcomes with levels: a colour for each level, a row for each area."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.errors import RequestError
from mrp.plots import figures
from mrp.plots.layers import Rows, interval_layers, ridge_layers
from mrp.results.estimates import Estimates
from mrp.testing import fake_fit
from tests.cases import FRAME, STATES, SURVEY
from tests.messages import raises

FAMILIES = ["categorical", "cumulative", "sratio"]
LEVELS = ["left", "right", "none"]
EACH = pytest.mark.parametrize("family", FAMILIES)


def survey(levels: list[str]) -> pd.DataFrame:
    """The small survey with votes."""
    votes = np.random.default_rng(2).choice(np.array(levels), len(SURVEY))
    return SURVEY.assign(vote=pd.Categorical(votes, levels, ordered=True))


@cache
def shares(family: str, by: str = "state") -> Estimates:
    """Poststratified shares of each vote in each area."""
    formula = "vote ~ gender + x + (1 | state)"
    fit = fake_fit(formula, survey(LEVELS), family=family, draws=60)
    return mrp.poststratify(fit, FRAME, by=by, wts="n")


def shown(rows: Rows) -> list[tuple[str, str]]:
    """Row and colour of each estimate, from the top to the bottom."""
    below = dict(zip(rows.positions.tolist(), rows.labels, strict=True))
    colors = [rows.colors[k] for k in rows.series]
    return [(below[at], color) for at, color in zip(rows.at.tolist(), colors, strict=True)]


@EACH
@pytest.mark.parametrize("layers", [interval_layers, ridge_layers])
def test_levels_are_side_by_side_in_one_row_for_each_area(family, layers):
    rows = layers(shares(family), color="group", sort=False).rows
    assert rows.labels == tuple(sorted(STATES))
    assert (rows.color, rows.colors) == ("group", tuple(LEVELS))
    assert shown(rows) == [(state, level) for state in sorted(STATES) for level in LEVELS]
    assert (np.diff(rows.dodged) < 0).all()
    assert (rows.shared, rows.quantity) == ((), "average vote")


@EACH
def test_estimates_and_intervals_are_those_of_the_table(family):
    drawn = interval_layers(shares(family), color="group", ci_prob=0.8)
    table = shares(family).to_frame(ci_prob=0.8).set_index(["state", "group"])
    expected = table.loc[shown(drawn.rows)]
    np.testing.assert_array_equal(drawn.rows.estimate, expected["estimate"])
    wide = drawn.intervals[0]
    np.testing.assert_array_equal(wide.low, expected["conf_low"])
    np.testing.assert_array_equal(wide.high, expected["conf_high"])


@EACH
def test_sorted_rows_are_those_of_the_first_level_as_the_shares_of_a_row_sum_to_one(family):
    found = shares(family)
    rows = interval_layers(found).rows
    first = found.to_frame().query(f"group == {LEVELS[0]!r}").sort_values("estimate")
    assert rows.labels == tuple(first["state"][::-1])
    assert sorted(shown(rows)) == sorted((state, level) for state in STATES for level in LEVELS)


def test_levels_have_colours_unless_there_are_too_many():
    few, many = shares("categorical"), survey([f"party {k}" for k in range(8)])
    assert interval_layers(few).rows.colors == tuple(LEVELS)
    fit = fake_fit("vote ~ gender + x + (1 | state)", many, family="categorical", draws=20)
    rows = interval_layers(mrp.poststratify(fit, FRAME, by="state", wts="n"), sort=False).rows
    assert (rows.colors, rows.labels[0]) == ((), "party 0, AL")


@EACH
@pytest.mark.parametrize("kind", ["interval", "ridge"])
def test_picture_names_areas_at_its_side_and_levels_in_its_legend(family, kind):
    ax = shares(family).plot(kind, color="group", sort=False)
    assert [label.get_text() for label in ax.get_yticklabels()] == sorted(STATES)
    legend = ax.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert [text for text in texts if text in LEVELS] == LEVELS
    assert ax.get_xlabel() == "average vote"
    low, high = ax.get_xlim()
    assert 0 <= low < high <= 1.05


@EACH
def test_shares_of_the_population_are_one_row_of_levels(family):
    fit = fake_fit("vote ~ x", survey(LEVELS), family=family, draws=60)
    whole = mrp.poststratify(fit, FRAME, wts="n")
    rows = interval_layers(whole, sort=False).rows
    assert (rows.labels, rows.colors) == (tuple(LEVELS), ())
    ax = figures.intervals(whole, sort=False)
    assert [label.get_text() for label in ax.get_yticklabels()] == LEVELS


def test_contrasts_have_a_colour_for_each_level_and_a_row_for_each_contrast():
    fit = fake_fit("vote ~ age + x", survey(LEVELS), family="cumulative", draws=60)
    found = mrp.avg_comparisons(fit, newdata=FRAME, variables="age", wts="n")
    rows = interval_layers(found, color="group", sort=False).rows
    assert rows.labels == ("middle - young", "old - young")
    assert rows.colors == tuple(LEVELS)
    assert rows.shared == ("term: age",)


def test_more_levels_than_colours_are_shown_in_rows():
    levels = [f"level {k}" for k in range(9)]
    fit = fake_fit("vote ~ x", survey(levels), family="categorical", draws=10)
    found = mrp.poststratify(fit, FRAME, by="region", wts="n")
    message = "`color` must name a column of at most 7 values, got 9 in 'group'. Show it in rows."
    with raises(RequestError, message):
        interval_layers(found, color="group")
    assert len(interval_layers(found).rows.labels) == 2 * 9
