"""Calls with arguments of another kind: each is answered, or refused in one message."""

from __future__ import annotations

import copy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.arguments import explained
from mrp.errors import LONGEST, ArgumentError, DataError, MRPError, RequestError, shown
from mrp.plots import figures
from mrp.testing import fake_fit
from tests.cases import FRAME, SURVEY
from tests.messages import raises
from tests.reliability.fuzz_requests import CUT, fit, recovery, run

KINDS = {
    "family": (
        lambda: mrp.Model("y ~ x", SURVEY, family=["bernoulli"]),
        "`family` must be one of ['bernoulli', 'binomial', 'gaussian', 'poisson', "
        "'negativebinomial', 'categorical', 'cumulative', 'sratio'] or None, got ['bernoulli'].",
    ),
    "namespace": (
        lambda: mrp.Model("y ~ x", SURVEY, family="bernoulli", namespace=5),
        "`namespace` must be a mapping or None, got 5.",
    ),
    "variables": (
        lambda: mrp.avg_comparisons(fit(), variables=[[1, 2]]),
        "`variables` must name columns of the formula, got [1, 2]. Available: ['age', 'x', "
        "'state'].",
    ),
    "variables of three dims": (
        lambda: mrp.avg_comparisons(fit(), variables=np.zeros((2, 2, 2))),
        "`variables` must name at least one column of the formula, got ndarray of shape "
        "(2, 2, 2). Available: ['age', 'x', 'state'].",
    ),
    "slope": (
        lambda: mrp.avg_slopes(fit(), slope=["dydx"]),
        "`slope` must be one of ['dydx', 'eyex', 'eydx', 'dyex'], got ['dydx'].",
    ),
    "model": (
        lambda: mrp.Fit.from_draws(fit(), fit().parameters),
        "`model` must be a Model, got Fit. Make one with mrp.Model().",
    ),
    "fit": (
        lambda: mrp.datagrid(5),
        "`fit` must be a Fit, got 5. Make one with model.sample() or mrp.load_fit().",
    ),
    "estimates": (
        lambda: figures.intervals([1, 2]),
        "`estimates` must be Estimates, got [1, 2]. Make them with mrp.poststratify() or "
        "another verb.",
    ),
    "ax": (
        lambda: mrp.avg_predictions(fit(), by="age").plot(ax=plt),
        "`ax` must be Axes or None, got module.",
    ),
    "labels": (
        lambda: mrp.concat([mrp.avg_predictions(fit())], labels=np.array(5)),
        "`labels` must be a list or None, got ndarray.",
    ),
    "by of a recovery": (
        lambda: recovery().summary(by=["estimate"]),
        "`by` must be one of ['estimate', 'estimand'], got ['estimate'].",
    ),
    "kind of effects": (
        lambda: fit().ranef(["state"]),
        "`factor` must be text or None, got ['state'].",
    ),
    "new_levels": (
        lambda: mrp.avg_predictions(fit(), new_levels={"state": [["AK"]]}),
        "`new_levels` must list levels of 'state', got [\"['AK']\"]. Write each by itself.",
    ),
    "height": (
        lambda: mrp.avg_predictions(fit(), by="age").plot("ridge", height=1e9),
        "`height` must be at most 200 rows, got 1000000000.0. Usual: 2.5.",
    ),
    "half a character": (
        lambda: mrp.datagrid(fit(), state="a\ud800b"),
        r"`state` must be text without halves of characters, got 'a\ud800b'.",
    ),
}


@pytest.mark.parametrize("case", KINDS)
def test_argument_of_another_kind_is_refused_in_one_message(case):
    call, message = KINDS[case]
    with raises(RequestError, message):
        call()


def test_table_of_groups_has_single_values():
    table = pd.DataFrame({"state": sorted(set(SURVEY["state"])), "by": [[1]] * 5})
    message = "`by` must name a table of single values, got [1] in 'by'. Give each row one value."
    with raises(DataError, message):
        mrp.avg_predictions(fit(), by=table)


def test_column_that_makes_groups_has_single_values():
    frame = FRAME.assign(tags=[["a"]] * len(FRAME))
    message = (
        "`by` must name columns of `frame` with single values, got ['a'] in 'tags'. Give each row "
        "one value."
    )
    with raises(DataError, message):
        mrp.poststratify(fit(), frame, by="tags", wts="n")


def test_kinds_are_looked_at_only_where_a_call_fails():
    @explained
    def f(a: int, b: str | None = None) -> int:
        return len(a)

    assert f([1, 2]) == 2
    with raises(ArgumentError, "`a` must be a whole number, got 5.5.") as caught:
        f(5.5)
    assert isinstance(caught.value.__cause__, TypeError)


def test_error_stays_what_it_is_where_all_arguments_are_of_their_kind():
    @explained
    def f(a: int, b: str | None = None) -> int:
        raise KeyError("its own")

    with pytest.raises(KeyError, match=r"\A'its own'\Z"):
        f(5, "x")
    with raises(ArgumentError, "`b` must be text or None, got 5."):
        f(5, b=5)


def test_message_is_cut_in_the_middle_where_it_would_be_too_long_to_read():
    long = "x" * 1_000_000
    with pytest.raises(MRPError) as caught:
        mrp.avg_predictions(fit(), type=long)
    said = str(caught.value)
    assert len(said) < 500
    assert said.startswith("`type` must be a scale of predictions, got 'xxx")
    assert said.endswith("xxx'. Available: ['response', 'link'].")
    assert len(str(MRPError(long))) <= LONGEST + CUT


def test_messages_hold_nothing_that_acts_on_a_terminal():
    assert str(RequestError("a\x1b[31mb\nc\u202ed")) == "a\\x1b[31mb\nc\\u202ed"


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("plain, Ω 日本 👍 \u00a0", "plain, Ω 日本 👍 \u00a0"),
        ("\x1b]52;c;YQ==\x07", r"\x1b]52;c;YQ==\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\tb\r\nc\x08\0", r"a\tb\r\nc\x08\x00"),
        ("\u202eevil\u2066\u200b\ufeff", r"\u202eevil\u2066\u200b\ufeff"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_acts_on_a_screen_is_written_out(text, as_shown):
    assert shown(text) == as_shown
    assert shown(as_shown) == as_shown


def test_errors_are_copied_with_their_message():
    error = RequestError("`x` must be y.")
    assert str(copy.copy(error)) == "`x` must be y."


def test_wrong_requests_are_answered_or_refused():
    found = run(300, seed=1)
    assert found["raw"] == 0
    assert min(found["right"], found["refused"]) > 10


def test_frame_has_text_that_can_be_written():
    for bad in ("a\ud800", b"a\xff"):
        column = pd.Series([bad] * len(FRAME), dtype=object, name="z")
        message = (
            f"`frame` must have text that can be written in UTF-8, got {bad!r} in 'z'. Read the "
            "file in its encoding, or rename the level."
        )
        with raises(DataError, message):
            mrp.poststratify(fit(), FRAME.reset_index(drop=True).join(column), by="state", wts="n")


def test_labels_that_a_library_can_not_hold_are_told():
    estimates = mrp.poststratify(fit(), FRAME.assign(z=1j), by="z", wts="n")
    message = (
        "`backend` must be a library that can hold the labels, got 'pyarrow': ('Unsupported numpy "
        "type 15', 'Conversion failed for column z with type complex128'). Use 'pandas', or "
        "convert the column in the data."
    )
    with raises(RequestError, message):
        estimates.to_frame(backend="pyarrow")


# --- what is shown --------------------------------------------------------------------------------

ACTS = "\x1b[31mred\n\u202e<b>"
"""A level that acts on a terminal or a page."""


def hostile_fit():
    levels = np.tile(["a", "b", ACTS], len(SURVEY) // 3)
    formula = "y ~ x + `\x1b[2J` + (1 | g)"
    survey = SURVEY.assign(g=levels, **{"\x1b[2J": SURVEY["x"] ** 2})
    return fake_fit(formula, survey, family="bernoulli", draws=5)


def test_tables_and_summaries_show_text_and_do_nothing():
    own = hostile_fit()
    estimates = mrp.avg_predictions(own, by="g")
    summary = own.summary(group_effects=True)
    for shown_text in (repr(own), repr(estimates), repr(summary), repr(own.ranef())):
        assert not set(shown_text) & {"\x1b", "\u202e"}
    assert r"\x1b[31mred\n\u202e<b>" in repr(estimates)
    assert len(repr(estimates).splitlines()) == 5  # header, three rows, what it is
    assert r"\x1b[31mred\n\u202e<b>" in repr(summary)
    for page in (estimates._repr_html_(), summary._repr_html_()):
        assert not set(page) & {"\x1b", "\u202e"}
        assert "<b>\n" not in page
        assert "\u202e" not in page
        assert r"\x1b[31mred\n\u202e&lt;b&gt;" in page


def test_tables_keep_what_is_shown_otherwise():
    assert ACTS in mrp.avg_predictions(hostile_fit(), by="g").to_frame()["g"].tolist()
