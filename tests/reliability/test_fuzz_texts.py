"""Texts that somebody else wrote do nothing but what they say, or are refused."""

from __future__ import annotations

import pandas as pd
import pytest

from mrp.errors import FormulaError
from mrp.model import Model
from tests.messages import raises
from tests.reliability import fuzz_texts


def test_texts_are_read_or_refused_and_do_nothing_else() -> None:
    counts = fuzz_texts.run(60, seed=1)
    assert set(counts) == {"right", "refused"}


@pytest.mark.parametrize(
    "text",
    [
        "open('stolen', 'w')",
        "__import__('os').system('true')",
        "__import__('subprocess').run(['true'])",
        "__import__('socket').socket()",
        "__import__('pickle').loads(b'cposix\\nsystem\\n.')",
    ],
)
def test_what_is_watched_for_is_noticed(text: str) -> None:
    """The watch itself: it must see what the texts could do if they were evaluated."""
    assert fuzz_texts.offences_of(text)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("poly(x, 1000000)", "at most 1,000 columns can be made, got 1e+06"),
        ("bs(x, df=10000000)", "at most 1,000 columns can be made, got 1e+07"),
        (
            "I(np.column_stack([x]) * x)",
            "columns of one shape are needed, got (150, 1) and (150,)",
        ),
        (
            "np.where(np.column_stack([x]) > 1, x, 0)",
            "columns of one shape are needed, got (150, 1) and (150,) and ()",
        ),
        (
            "I(np.column_stack([x]) > np.array([x]))",
            "columns of one shape are needed, got (150, 1) and (1, 150)",
        ),
        (
            "bs(x, df=28, degree=25)",
            "`degree` must be a whole number, at most 10, got 25",
        ),
        ("np.isin(x, [0, 3000000000], kind='table')", "np.isin takes no ['kind'] here"),
        ("np.ones_like(x, shape=[60, 20000000])", "np.ones_like takes no ['shape'] here"),
        ("np.array(x, dtype='U20000000')", "np.array takes no ['dtype'] here"),
        ("np.array(x, 'U20000000')", "np.array takes at most 1 arguments here, got 2"),
        ("T(g, ref=g)", "`ref` must be one level, got Series"),
    ],
)
def test_calls_are_bounded(call: str, said: str, people: pd.DataFrame) -> None:
    survey = people.rename(columns={"state": "g"})
    with raises(
        FormulaError,
        f"`formula` must have terms that can be computed from `data`, got {call!r}: {said}.",
    ):
        Model(f"y ~ {call}", survey, family="gaussian")
