"""Uniformity of ranks: exact probabilities, checked against simulation and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp.recovery.result import holm
from mrp.recovery.uniformity import (
    NEGLIGIBLE,
    Steps,
    band,
    coverage_counts,
    coverage_steps,
    p_of_level,
    p_value,
    rank_counts,
    rank_steps,
)


def tail(count, number, share):
    """Two-sided binomial tail probability, term by term."""
    each = [
        math.comb(number, k) * share**k * (1 - share) ** (number - k) for k in range(number + 1)
    ]
    return min(1.0, 2 * min(sum(each[: count + 1]), sum(each[count:])))


def smallest_tail(ranks, rank_draws):
    """The statistic, by counting."""
    tails = []
    for value in range(rank_draws):
        count = sum(rank <= value for rank in ranks)
        tails.append(tail(count, len(ranks), (value + 1) / (rank_draws + 1)))
    return min(tails)


def test_p_value_is_the_share_of_all_possible_ranks_that_stray_as_far():
    """All 4**5 sets of five ranks from 0 to 3, each as probable as any other."""
    every = list(itertools.product(range(4), repeat=5))
    statistics = np.array([smallest_tail(ranks, 3) for ranks in every])
    for k in range(0, 1024, 7):
        found = p_value(rank_counts(np.array(every[k]), 3), rank_steps(5, 3))
        assert found == pytest.approx((statistics <= statistics[k] * (1 + 1e-9)).mean())


def test_ranks_that_are_exactly_uniform_have_the_p_value_one():
    for number in (4, 5, 20):
        ranks = np.arange(number * 3) % number
        assert p_value(rank_counts(ranks, number - 1), rank_steps(3 * number, number - 1)) == 1.0


def test_band_holds_at_least_its_probability_and_nearly_no_more():
    """Of all 5**6 sets of six ranks; the next wider one would hold more."""
    every = np.array(list(itertools.product(range(5), repeat=6)))
    counts = np.array([rank_counts(ranks, 4) for ranks in every])
    for probability in (0.5, 0.8, 0.95):
        bounds = band(rank_steps(6, 4), probability)
        held = ((counts >= bounds.low) & (counts <= bounds.high)).all(axis=1).mean()
        assert probability <= held < probability + 0.2


@pytest.mark.parametrize(
    ("steps_of", "counts_of", "rank_draws"),
    [(rank_steps, rank_counts, 99), (coverage_steps, coverage_counts, 20)],
)
def test_uniform_ranks_are_rejected_as_often_as_the_level_says(steps_of, counts_of, rank_draws):
    rng = np.random.default_rng(1)
    steps, runs = steps_of(80, rank_draws), 400
    bounds = band(steps)
    p, held = [], []
    for ranks in rng.integers(0, rank_draws + 1, (runs, 80)):
        counts = counts_of(ranks, rank_draws)
        p.append(p_value(counts, steps))
        held.append(bool(((counts >= bounds.low) & (counts <= bounds.high)).all()))
    for level in (0.05, 0.2, 0.5):
        error = 4 * math.sqrt(level * (1 - level) / runs)
        assert np.mean(np.array(p) <= level) < level + error
        assert np.mean(np.array(p) <= level) > level - error - 0.02  # whole numbers: a little less
    assert np.mean(held) > 0.95 - 4 * math.sqrt(0.05 * 0.95 / runs)


@given(st.lists(st.integers(0, 9), min_size=5, max_size=40))
def test_line_leaves_the_band_where_the_p_value_is_under_its_level(ranks):
    steps = rank_steps(len(ranks), 9)
    counts = rank_counts(np.array(ranks), 9)
    bounds = band(steps, 0.9)
    outside = bool(((counts < bounds.low) | (counts > bounds.high)).any())
    assert outside == (p_value(counts, steps) <= 0.1)


@given(st.lists(st.integers(0, 9), min_size=5, max_size=40))
def test_p_value_is_that_of_the_mirrored_ranks(ranks):
    steps = rank_steps(len(ranks), 9)
    values = [p_value(rank_counts(r, 9), steps) for r in (np.array(ranks), 9 - np.array(ranks))]
    assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize("fault", ["narrow", "wide", "high", "low"])
def test_ranks_of_a_wrong_posterior_are_rejected(fault):
    rng = np.random.default_rng(2)
    shift = {"high": 0.6, "low": -0.6}.get(fault, 0.0)
    width = {"narrow": 0.5, "wide": 2.0}.get(fault, 1.0)
    draws = shift + width * rng.standard_normal((150, 99))
    ranks = (draws < rng.standard_normal((150, 1))).sum(axis=1)
    assert p_value(rank_counts(ranks, 99), rank_steps(150, 99)) < 1e-3


def test_hopeless_ranks_have_a_p_value_that_is_small_but_not_below_zero():
    ranks = np.zeros(100, dtype=np.int64)
    assert 0 < p_value(rank_counts(ranks, 99), rank_steps(100, 99)) < 1e-100
    assert p_of_level(0.0, rank_steps(100, 99)) == 0.0


def test_bound_of_small_p_values_is_near_the_exact_one():
    steps = rank_steps(50, 19)
    assert p_of_level(2e-9, steps) <= 2e-9 * 19
    assert p_of_level(2e-9, steps) == pytest.approx(2e-9 * 19, rel=0.95)


@pytest.mark.parametrize(("number", "rank_draws"), [(1, 1), (5, 3), (50, 19), (200, 99)])
def test_p_value_never_falls_as_the_smallest_tail_grows(number, rank_draws):
    """Across `NEGLIGIBLE`, below which it is a bound."""
    steps = rank_steps(number, rank_draws)
    levels = np.sort(
        np.concatenate([np.geomspace(1e-12, 1, 49), NEGLIGIBLE * np.array([0.999, 1])])
    )
    p = np.array([p_of_level(level, steps) for level in levels])
    assert (np.diff(p) >= -1e-12).all()
    assert (p >= 0).all()
    assert p[-1] == 1.0


@pytest.mark.parametrize("number", [29, 30, 31, 32])
def test_p_value_at_one_point_is_the_tail_probability_on_both_sides_of_negligible(number):
    """Ranks 0 and 1 of one draw: the count of zeros is binomial, and all are as extreme as none."""
    steps, tail = rank_steps(number, 1), 2 * 0.5**number
    assert (tail < NEGLIGIBLE) == (number > 30)
    assert p_value(np.array([number]), steps) == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize("rank_draws", [4, 5, 99])
def test_central_intervals_are_counted_from_the_middle(rank_draws):
    ranks = np.arange(rank_draws + 1)
    steps = coverage_steps(rank_draws + 1, rank_draws)
    counts = coverage_counts(ranks, rank_draws)
    # one rank of each value: intervals hold exactly their share
    assert counts == pytest.approx(np.array(steps.shares) * (rank_draws + 1))
    widths = [1 + 2 * k if rank_draws % 2 == 0 else 2 + 2 * k for k in range(len(counts))]
    assert counts.tolist() == widths


def test_steps_are_the_shares_of_a_uniform_rank():
    assert rank_steps(10, 3) == Steps(10, (0.25, 0.5, 0.75))
    assert rank_counts(np.array([0, 0, 1, 3]), 3).tolist() == [2, 3, 3]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_adjusts_as_a_loop_does(p):
    adjusted = holm(np.array(p))
    largest = 0.0
    for place, k in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, p[k] * (len(p) - place)))
        assert adjusted[k] == pytest.approx(largest)


def test_holm_leaves_out_what_is_missing():
    assert holm(np.array([0.01, np.nan, 0.04])) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
