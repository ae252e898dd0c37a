"""Pictures of checks: intervals of the groups, points for what was observed."""

from __future__ import annotations

import numpy as np
import pytest

import mrp
from mrp.errors import RequestError
from mrp.plots import checks
from tests.checks.families import SURVEY, fit_of
from tests.messages import raises

KINDS = ["interval", "ridge"]


def labels(ax):
    """Labels of the rows, from the top."""
    return [label.get_text() for label in ax.get_yticklabels()]


def observed(ax):
    """Places and heights of the observed averages."""
    (line,) = [line for line in ax.lines if line.get_marker() == "D"]
    return line.get_xdata(), line.get_ydata()


def points(ax):
    """Places of the observed averages by row."""
    places = dict(zip(ax.get_yticks(), labels(ax), strict=True))
    return {places[height]: x for x, height in zip(*observed(ax), strict=True)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sort", [True, False])
def test_points_are_the_observed_averages(sort, kind):
    ax = mrp.pp_check(fit_of("bernoulli"), by="state", seed=1).plot(kind, sort=sort)
    expected = SURVEY.groupby("state")["y"].mean()
    assert points(ax) == pytest.approx(expected.to_dict())
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "observed"


@pytest.mark.parametrize("kind", KINDS)
def test_groups_keep_their_order_unless_asked(kind):
    check = mrp.pp_check(fit_of("bernoulli"), by="age", seed=1)
    assert labels(check.plot(kind)) == SURVEY["age"].cat.categories.tolist()
    estimates = check.to_frame().set_index("age")["estimate"]
    assert labels(check.plot(kind, sort=True)) == estimates.sort_values().index[::-1].tolist()


def test_groups_of_several_colours_have_each_their_point():
    check = mrp.pp_check(fit_of("bernoulli"), by=["age", "gender"], seed=1)
    ax = check.plot(color="gender")
    assert labels(ax) == SURVEY["age"].cat.categories.tolist()
    rows = dict(zip(labels(ax), ax.get_yticks(), strict=True))
    expected = {
        (x, rows[age] + (0.175 if gender == "Man" else -0.175))
        for (age, gender), x in SURVEY.groupby(["age", "gender"], observed=True)["y"].mean().items()
    }
    found = set(zip(*observed(ax), strict=True))
    np.testing.assert_allclose(sorted(found), sorted(expected))


def test_densities_of_several_colours_are_refused():
    check = mrp.pp_check(fit_of("bernoulli"), by=["age", "gender"], seed=1)
    message = (
        "`color` must be left out of densities of a check, got 'gender': observed averages of "
        "several colours would lie on one line. Leave it out, or use kind='interval'."
    )
    with raises(RequestError, message):
        check.plot("ridge", color="gender")


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_groups_are_refused_with_what_can_be_done(kind):
    check = mrp.pp_check(mrp.testing.example_fit(), by=["state", "education"], seed=1)
    message = (
        "`plot` takes at most 200 groups of a check, got 273. Check fewer of them with `by=`, or "
        "look at the table: `to_frame()`."
    )
    with raises(RequestError, message):
        check.plot(kind)


# --- what is made of a check ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("statement", ["Woman - Man = 0", "~ pairwise", "ratio ~ reference", 0.3])
def test_contrasts_of_a_check_have_neither_points_nor_what_was_measured(statement, kind):
    check = mrp.pp_check(fit_of("bernoulli"), by="gender", seed=1)
    contrast = check.hypothesis(statement)
    assert set(contrast.labels) <= {"hypothesis", "gender"}
    ax = contrast.plot(kind)
    assert not [line for line in ax.lines if line.get_marker() == "D"]


def test_checks_of_two_models_are_shown_in_one_picture():
    both = mrp.concat({
        name: mrp.pp_check(fit_of(name), by="gender", seed=1) for name in ("bernoulli", "probit")
    })  # fmt: skip
    means = SURVEY.groupby("gender")["y"].mean()
    rows = {f"{m}, {g}": y for m in ("bernoulli", "probit") for g, y in means.items()}
    assert points(both.plot()) == pytest.approx(rows)
    assert labels(both.plot(color="model")) == ["Man", "Woman"]


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
    ax = mrp.pp_check(fit_of("bernoulli"), by="gender", seed=1).plot("ridge")
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
