"""Draws of predictions in blocks: the same numbers however they are computed, in bounded memory."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp import prediction
from mrp.links import inverse
from mrp.prediction import Prediction, average, block_rows, blocks, predict
from tests import loops
from tests.cases import FRAME

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
ALL = np.arange(len(FRAME))


@pytest.fixture
def predicted(small_fit):
    """The prediction of the frame, made anew at each call."""

    def make():
        rows = small_fit.design.rows(FRAME)
        return predict(rows, small_fit.coefficients, inverse(small_fit.link))

    return make


def set_free_memory(monkeypatch, available):
    memory = psutil.virtual_memory()._replace(available=available)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


@dataclass
class Recorded:
    """A quantity that writes down which rows it is asked for."""

    array: np.ndarray
    key: np.ndarray
    asked: list[int] = field(default_factory=list)

    @property
    def n(self):
        return len(self.array)

    @property
    def size(self):
        return self.array.shape[1]

    @property
    def keys(self):
        return [self.key]

    def values(self, rows):
        self.asked += rows.tolist()
        return self.array[rows]


def averages(quantity, weights, group, groups):
    """The averages of all groups, at once."""
    return average(quantity, weights, group, groups).values(np.arange(groups))


# --- parts ----------------------------------------------------------------------------------------


def test_tabulated_part_equals_the_computed_part(predicted, monkeypatch):
    tabulated = predicted()
    set_free_memory(monkeypatch, 0)
    computed = predicted()
    assert all(part.table is not None for part in tabulated.parts)
    assert all(part.table is None for part in computed.parts)
    np.testing.assert_allclose(tabulated.values(ALL), computed.values(ALL), **CLOSE)


def test_table_has_a_row_for_each_distinct_row_of_its_part(predicted):
    population, states = predicted().parts
    assert len(population.table) == len(FRAME[["age", "x", "military", "gender"]].drop_duplicates())
    assert len(states.table) == len(FRAME[["gender", "state"]].drop_duplicates())


def test_part_that_no_two_rows_share_is_not_tabulated(small_fit):
    frame = FRAME.assign(x=np.arange(len(FRAME)) / 10)
    rows = small_fit.design.rows(frame)
    population, states = predict(rows, small_fit.coefficients, inverse("logit")).parts
    assert population.table is None
    assert states.table is not None


def test_rows_may_be_asked_for_in_any_order_and_more_than_once(predicted):
    rows = np.array([7, 0, 7, 31, 2])
    made = predicted()
    np.testing.assert_array_equal(made.values(rows), made.values(ALL)[rows])


def test_values_are_the_callers_to_overwrite(predicted):
    made = predicted()
    first = made.values(ALL)
    expected = first.copy()
    first[:] = np.nan
    np.testing.assert_array_equal(made.values(ALL), expected)


def test_rows_have_the_same_keys_exactly_where_their_values_are_the_same(predicted):
    made = predicted()
    keys = np.column_stack(made.keys)
    same_keys = (keys[:, None] == keys[None]).all(axis=2)
    values = made.values(ALL).round(12)
    same_values = (values[:, None] == values[None]).all(axis=2)
    np.testing.assert_array_equal(same_keys, same_values)


def test_offset_sets_rows_apart_that_are_the_same_otherwise(predicted):
    made = predicted()
    offset = np.zeros(made.n)
    offset[3] = 1.0
    again = dataclasses.replace(made, offset=offset)
    keys = np.column_stack(again.keys)
    twin = np.column_stack(made.keys)
    assert (keys[3] != keys[np.arange(made.n) != 3]).any(axis=1).all()
    assert len(np.unique(keys, axis=0)) >= len(np.unique(twin, axis=0))


def test_without_parts_the_offset_is_the_linear_predictor():
    offset = np.array([0.0, 1.5, -2.0])
    made = Prediction((), offset, inverse("identity"), n=3, columns=4, size=4)
    np.testing.assert_array_equal(made.values(np.arange(3)), np.repeat(offset[:, None], 4, axis=1))


# --- averages -------------------------------------------------------------------------------------


@given(
    n=st.integers(1, 15),
    draws=st.integers(1, 4),
    groups=st.integers(1, 4),
    seed=st.integers(0, 1000),
    bytes_=st.sampled_from([1, 64, 2**20]),
)
def test_average_equals_a_plain_loop_for_any_size_of_blocks(n, draws, groups, seed, bytes_):
    rng = np.random.default_rng(seed)
    array = rng.normal(size=(n + groups, draws))
    key = rng.integers(0, 5, n + groups)
    array = array[key % len(array)]  # equal keys mean equal values
    weights = rng.gamma(1.0, size=n + groups) * (rng.uniform(size=n + groups) < 0.7)
    group = np.append(rng.integers(0, groups, n), np.arange(groups))
    weights[n:] += 0.1  # every group has some weight
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "CACHED_BYTES", bytes_)
        found = averages(Recorded(array, key), weights, group, groups)
    expected = loops.averages(array.tolist(), weights.tolist(), group.tolist())
    np.testing.assert_allclose(found, [expected[k] for k in range(groups)], **CLOSE)


def test_equal_rows_of_a_group_are_computed_once_and_rows_without_weight_never():
    quantity = Recorded(np.array([[1.0], [1.0], [2.0], [1.0], [3.0]]), np.array([5, 5, 6, 5, 7]))
    weights, group = np.array([1.0, 2.0, 1.0, 4.0, 0.0]), np.array([0, 0, 0, 1, 1])
    found = averages(quantity, weights, group, 2)
    assert quantity.asked == [0, 2, 3]
    np.testing.assert_allclose(found, [[(1 * 3 + 2 * 1) / 4], [1.0]])


def test_average_of_a_group_whose_weights_are_tiny_is_no_worse_than_another():
    quantity = Recorded(np.array([[1.0], [3.0], [5.0]]), np.arange(3))
    found = averages(quantity, np.array([1e-300, 1e-300, 1e300]), np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(found, [[2.0], [5.0]])


# --- blocks ---------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000), exponent=st.integers(-1000, 900))
def test_averages_do_not_depend_on_the_unit_of_the_weights_to_the_last_digit(seed, exponent):
    rng = np.random.default_rng(seed)
    quantity = Recorded(rng.normal(size=(12, 3)), np.arange(12))
    group, weights = np.repeat([0, 1, 2], 4), rng.gamma(1.0, 10.0, 12) + 1e-3
    expected = averages(quantity, weights, group, 3)
    units = np.array([0, exponent, -exponent])[group]
    np.testing.assert_array_equal(averages(quantity, np.ldexp(weights, units), group, 3), expected)


@pytest.mark.parametrize("unit", [5e-324, 1e-310, 1.0, 1e300, 1e308])
def test_averages_by_the_smallest_and_largest_weights_are_right(unit):
    quantity = Recorded(np.arange(8.0).reshape(4, 2), np.zeros(4, dtype=int))
    quantity.key = np.arange(4)
    found = averages(quantity, np.full(4, unit), np.array([0, 0, 0, 1]), 2)
    np.testing.assert_allclose(found, [[2.0, 3.0], [6.0, 7.0]])
    equal = Recorded(np.ones((4, 1)), np.zeros(4, dtype=int))  # rows that are added up
    np.testing.assert_array_equal(averages(equal, np.full(4, unit), np.zeros(4, int), 1), [[1.0]])


def test_weight_that_is_next_to_nothing_beside_another_counts_for_nothing():
    quantity = Recorded(np.array([[1.0], [5.0]]), np.arange(2))
    found = averages(quantity, np.array([1e308, 5e-324]), np.zeros(2, dtype=int), 1)
    np.testing.assert_array_equal(found, [[1.0]])


def test_average_of_numbers_near_the_largest_is_a_number_between_them():
    large = np.array([[1.7e308, -1.7e308], [1.6e308, 1.7e308], [1.5e308, -1.7e308]])
    found = averages(Recorded(large, np.arange(3)), np.ones(3), np.zeros(3, dtype=int), 1)
    np.testing.assert_allclose(found, [[1.6e308, -1.7e308 / 3]])


@given(n=st.integers(0, 50), size=st.integers(1, 30), bytes_=st.integers(1, 2000))
def test_blocks_cover_every_row_once_in_order(n, size, bytes_):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "CACHED_BYTES", bytes_)
        rows = [row for block in blocks(n, size) for row in range(block.start, block.stop)]
        largest = max((block.stop - block.start for block in blocks(n, size)), default=1)
    assert rows == list(range(n))
    assert largest == 1 or 8 * largest * size <= bytes_


def test_block_is_as_large_as_the_cache_where_memory_is_free(monkeypatch):
    set_free_memory(monkeypatch, 2**40)
    assert block_rows(4000) == prediction.CACHED_BYTES // (8 * 4000)


def test_block_is_a_share_of_the_free_memory_where_there_is_little(monkeypatch):
    set_free_memory(monkeypatch, 16 * 8 * 4000 * 3)
    assert block_rows(4000) == 3


def test_block_has_at_least_one_row(monkeypatch):
    set_free_memory(monkeypatch, 0)
    assert block_rows(4000) == 1
    assert list(blocks(2, 4000)) == [slice(0, 1), slice(1, 2)]
