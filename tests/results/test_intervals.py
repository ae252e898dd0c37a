"""Centre and interval of draws: definitions, in words, and what is refused."""

import arviz_stats
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mrp.errors import RequestError
from mrp.results.intervals import (
    DEFAULT,
    Summary,
    check_probability,
    equal_tailed,
    highest_density,
    in_words,
    percent,
    summarise,
)
from tests.messages import raises

DRAWS = hnp.arrays(
    float,
    st.tuples(st.integers(1, 3), st.integers(2, 40)),
    elements=st.floats(-1e6, 1e6, width=32),
)
PROBABILITY = st.floats(0.01, 0.99)


def quantile(values, probability):
    """Type 7 of Hyndman and Fan: linear between order statistics."""
    ordered = sorted(values)
    position = probability * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def narrowest(values, probability):
    """The narrowest of the intervals between ordered draws that are so many places apart."""
    ordered = sorted(values)
    apart = min(int(probability * len(ordered)), len(ordered) - 1)
    pairs = [(ordered[k], ordered[k + apart]) for k in range(len(ordered) - apart)]
    return min(pairs, key=lambda pair: pair[1] - pair[0])


# --- definitions ----------------------------------------------------------------------------------


@given(DRAWS, PROBABILITY)
def test_equal_tailed_bounds_are_quantiles(draws, probability):
    low, high = equal_tailed(draws.copy(), probability)
    for row, values in enumerate(draws.tolist()):
        near = {"rel": 1e-9, "abs": 1e-6}
        assert low[row] == pytest.approx(quantile(values, (1 - probability) / 2), **near)
        assert high[row] == pytest.approx(quantile(values, (1 + probability) / 2), **near)


@given(DRAWS, PROBABILITY)
def test_highest_density_bounds_are_those_of_a_loop(draws, probability):
    low, high = highest_density(draws.copy(), probability)
    expected = [narrowest(values, probability) for values in draws.tolist()]
    assert list(zip(low.tolist(), high.tolist(), strict=True)) == expected


@pytest.mark.parametrize("probability", [0.05, 0.5, 0.89, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 7, 100, 4000])
def test_highest_density_bounds_are_those_of_arviz(probability, n):
    draws = np.random.default_rng(n).gamma(2.0, size=(5, n))
    expected = arviz_stats.hdi(draws, prob=probability, axis=-1, method="nearest")
    low, high = highest_density(draws.copy(), probability)
    np.testing.assert_allclose(np.column_stack([low, high]), expected, rtol=0, atol=1e-12)


def test_highest_density_of_a_skewed_row_is_narrower_than_its_equal_tails():
    draws = np.random.default_rng(1).exponential(size=(1, 4000))
    low, high = highest_density(draws.copy(), 0.9)
    tail_low, tail_high = equal_tailed(draws.copy(), 0.9)
    assert high[0] - low[0] < tail_high[0] - tail_low[0]
    assert low[0] < tail_low[0]


def test_rows_with_missing_draws_have_missing_bounds():
    draws = np.array([[3.0, np.nan, 1.0, 2.0], [4.0, 1.0, 2.0, 3.0]])
    for interval in (highest_density, equal_tailed):
        low, high = interval(draws.copy(), 0.5)
        assert np.isnan([low[0], high[0]]).all()
        assert np.isfinite([low[1], high[1]]).all()


@pytest.mark.parametrize("kind", ["eti", "hdi"])
@given(draws=DRAWS, probability=PROBABILITY, scale=st.sampled_from([0.5, 2.0, 8.0]))
def test_interval_of_scaled_and_shuffled_draws_is_the_scaled_interval(
    draws, probability, scale, kind
):
    moved = np.random.default_rng(1).permuted(draws * scale, axis=1)
    expected = summarise(draws.copy(), probability, ci_kind=kind)[:, 2:] * scale
    np.testing.assert_allclose(summarise(moved, probability, ci_kind=kind)[:, 2:], expected)


# --- summaries ------------------------------------------------------------------------------------


def test_summary_of_draws_is_mean_sd_and_bounds():
    np.testing.assert_allclose(
        summarise(np.array([[4.0, 1.0, 2.0, 3.0, 5.0]]), 0.5), [[3.0, np.sqrt(2.5), 2.0, 4.0]]
    )


def test_summary_may_be_centred_on_the_median():
    draws = [[4.0, 1.0, 9.0, 2.0], [5.0, 5.0, 5.0, 1.0]]
    assert summarise(np.array(draws), center="median")[:, 0].tolist() == [3.0, 5.0]
    assert summarise(np.array(draws))[:, 0].tolist() == [4.0, 4.0]


@pytest.mark.parametrize("kind", ["eti", "hdi"])
def test_several_probabilities_are_the_intervals_of_each(kind):
    draws = np.random.default_rng(1).normal(size=(4, 50))
    both = summarise(draws.copy(), (0.9, 0.5), ci_kind=kind)
    assert both.shape == (4, 6)
    np.testing.assert_array_equal(both[:, :4], summarise(draws.copy(), 0.9, ci_kind=kind))
    np.testing.assert_array_equal(both[:, 4:], summarise(draws.copy(), 0.5, ci_kind=kind)[:, 2:])


# --- what is asked for ----------------------------------------------------------------------------


def test_defaults_are_in_one_place():
    assert DEFAULT.attrs == {"center": "mean", "ci_kind": "eti", "ci_prob": 0.95}
    assert DEFAULT.but() == DEFAULT == Summary()


def test_what_is_not_given_stays():
    median = DEFAULT.but(center="median", ci_prob=0.5)
    assert median.but(ci_kind="hdi") == Summary("median", "hdi", 0.5)


@pytest.mark.parametrize("given_as", [list, tuple, np.array])
def test_probabilities_may_be_any_sequence_and_name_the_columns(given_as):
    summary = DEFAULT.but(ci_prob=given_as([0.5, 0.895]))
    assert summary.ci_prob == (0.5, 0.895)
    assert summary.columns == (
        "estimate", "std_error", "conf_low_50", "conf_high_50", "conf_low_89.5", "conf_high_89.5",
    )  # fmt: skip


def test_sequence_of_one_probability_is_still_a_sequence():
    assert DEFAULT.but(ci_prob=[0.9]).columns[2:] == ("conf_low_90", "conf_high_90")


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.95, "95"), (0.07, "7"), (0.995, "99.5"), (1 / 3, "33.33333333"), (0.999999, "99.9999")],
)
def test_probability_is_written_in_percent(probability, text):
    assert percent(probability) == text


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (Summary(), "mean and 95% equal-tailed interval"),
        (Summary("median", "hdi", 0.89), "median and 89% highest-density interval"),
        (Summary(ci_prob=(0.5, 0.95)), "mean, 50% and 95% equal-tailed intervals"),
        (Summary(ci_prob=(0.5, 0.8, 0.95)), "mean, 50%, 80% and 95% equal-tailed intervals"),
        (Summary(ci_prob=(0.5,)), "mean and 50% equal-tailed interval"),
    ],
)
def test_summary_says_in_words_what_it_is(summary, words):
    assert str(summary) == words
    assert words.endswith(in_words(summary.probabilities, summary.ci_kind))


@pytest.mark.parametrize("bad", [0, 1, 1.5, -0.1, 95, True, "0.95", None, np.nan, {}])
def test_probability_outside_0_and_1_is_refused(bad):
    message = f"`ci_prob` must be between 0 and 1, got {bad!r}. Usual: 0.95."
    with raises(RequestError, message):
        check_probability(bad)
    with raises(RequestError, message):
        DEFAULT.but(ci_prob=[0.5, bad])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ci_prob": 95}, "`ci_prob` must be between 0 and 1, got 95. Usual: 0.95."),
        ({"ci_prob": []}, "`ci_prob` must have at least one probability, got none. Usual: 0.95."),
        (
            {"ci_prob": [0.5, 0.5]},
            "`ci_prob` must have each probability once, got [0.5, 0.5]. Drop the second.",
        ),
        (
            {"center": "mode"},
            "`center` must name a centre, got 'mode'. Available: ['mean', 'median'].",
        ),
        (
            {"ci_kind": "HDI"},
            "`ci_kind` must name a kind of interval, got 'HDI'. Available: ['eti', 'hdi']. "
            "Did you mean 'hdi'?",
        ),
    ],
)
def test_summary_that_there_is_not_is_refused(options, message):
    with raises(RequestError, message):
        DEFAULT.but(**options)


# --- large and infinite draws ---------------------------------------------------------------------


@pytest.mark.parametrize("center", ["mean", "median"])
@pytest.mark.parametrize("ci_kind", ["eti", "hdi"])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e160, 1e307])
def test_summary_is_that_of_the_draws_in_any_unit(center, ci_kind, scale):
    draws = np.random.default_rng(1).normal(1.0, 3.0, size=(3, 50))
    how = {"center": center, "ci_kind": ci_kind}
    expected = summarise(draws.copy(), [0.5, 0.9], **how)
    found = summarise(draws * scale, [0.5, 0.9], **how)
    np.testing.assert_allclose(found / scale, expected, rtol=1e-10)


def test_average_of_numbers_near_the_largest_is_a_number():
    draws = np.array([[1.7e308] * 4, [1.7e308, -1.7e308, 1.7e308, -1.7e308]])
    found = summarise(draws.copy(), 0.5)
    np.testing.assert_allclose(found[0, [0, 2, 3]], 1.7e308)
    assert found[0, 1] == 0
    np.testing.assert_allclose(found[1, [0, 2, 3]], [0.0, -1.7e308, 1.7e308])


def with_infinity(values, probability):
    """Type 7, where infinity lies between a number and infinity."""
    ordered = sorted(values)
    position = probability * (len(ordered) - 1)
    below, above = ordered[int(position)], ordered[int(np.ceil(position))]
    if below == above:
        return below
    share = position - int(position)
    return below + share * (above - below) if np.isfinite([below, above]).all() else below + above


@given(
    hnp.arrays(
        float,
        st.tuples(st.integers(1, 3), st.integers(2, 20)),
        elements=st.floats(-5, 5, width=32) | st.sampled_from([np.inf, -np.inf]),
    ),
    st.sampled_from([0.1, 0.5, 0.8, 0.95]),
)
def test_quantiles_of_infinite_draws_are_those_of_a_loop(draws, probability):
    found = equal_tailed(draws.copy(), probability)
    for side, bounds in zip((-1, 1), found, strict=True):
        expected = [with_infinity(row, (1 + side * probability) / 2) for row in draws.tolist()]
        np.testing.assert_allclose(bounds, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ci_kind", ["eti", "hdi"])
def test_summary_of_infinite_draws_comes_without_a_warning(ci_kind):
    draws = np.array([[1.0, 2.0, 3.0, np.inf], [np.inf] * 4, [-np.inf, 0.0, 1.0, np.inf]])
    found = summarise(draws.copy(), 0.5, ci_kind=ci_kind)
    assert found[0, 0] == np.inf
    assert np.isfinite(found[0, 2])
    np.testing.assert_array_equal(found[1, [0, 2, 3]], np.inf)
    assert np.isnan(found[2, 0])
    assert np.isnan(found[:, 1]).all()
