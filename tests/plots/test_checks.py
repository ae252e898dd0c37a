"""Pictures of checks: intervals of the groups, points for what was observed."""

from __future__ import annotations

import numpy as np
import pytest

import mrp
from mrp.errors import RequestError
from mrp.plots import checks
from tests.checks.families import SURVEY, fit_of
from tests.messages import raises


def points(ax):
    """Places of the observed averages by row."""
    (line,) = [line for line in ax.lines if line.get_marker() == "D"]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    return dict(zip(rows, line.get_xdata(), strict=True))


@pytest.mark.parametrize("sort", [True, False])
def test_points_are_the_observed_averages(sort):
    ax = mrp.pp_check(fit_of("bernoulli"), by="state", seed=1).plot(sort=sort)
    expected = SURVEY.groupby("state")["y"].mean()
    assert points(ax) == pytest.approx(expected.to_dict())
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "observed"


def test_rows_are_named_by_their_groups_alone():
    ax = mrp.pp_check(fit_of("cumulative"), by="gender", seed=1).plot(ci_prob=0.8)
    shares = SURVEY.groupby("gender")["trust"].value_counts(normalize=True)
    expected = {f"{level}, {gender}": share for (gender, level), share in shares.items()}
    assert points(ax) == pytest.approx(expected)


def test_one_group_of_all_respondents_has_its_point():
    ax = mrp.pp_check(fit_of("gaussian"), seed=1).plot()
    assert list(points(ax).values()) == pytest.approx([SURVEY["score"].mean()])


def test_further_points_come_after_the_observed_ones():
    check = mrp.pp_check(fit_of("bernoulli"), by="gender", seed=1)
    ax = check.plot(reference={"truth": {"Man": 0.2, "Woman": 0.4}})
    assert [text.get_text() for text in ax.get_legend().get_texts()][-2:] == ["observed", "truth"]


def test_densities_are_of_the_groups():
    ax = mrp.pp_check(fit_of("bernoulli"), by="gender", seed=1).plot("ridge", sort=False)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Man", "Woman"]


def test_groups_lose_only_what_was_measured():
    check = mrp.pp_check(fit_of("bernoulli"), by="gender", seed=1)
    assert checks.groups_of(check).labels.columns.tolist() == ["gender"]
    np.testing.assert_array_equal(checks.groups_of(check).source.array, check.source.array)


def test_kinds_of_picture_are_those_of_other_estimates():
    check = mrp.pp_check(fit_of("bernoulli"), by="gender", seed=1)
    message = "`kind` must name a picture, got 'violin'. Available: ['interval', 'ridge']."
    with raises(RequestError, message):
        check.plot("violin")
