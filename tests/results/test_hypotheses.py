"""Hypotheses: estimates made of estimates draw by draw, by statement, formula, number, function."""

import itertools
import warnings
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mrp
from mrp.errors import RequestError
from mrp.results import estimates as module
from mrp.results import hypotheses
from mrp.results.estimates import Made, estimates
from tests.cases import FRAME
from tests.messages import exactly, raises

ABOUT = {"verb": "avg_predictions", "quantity": "average y", "type": "response", "group": "prior"}


def of(labels, draws=12, chains=2, seed=1):
    """Estimates with seeded positive draws."""
    table = pd.DataFrame(labels)
    array = np.random.default_rng(seed).gamma(3.0, size=(len(table), draws))
    return estimates(table, Made(array), chains, ABOUT)


def states(n=4):
    return of({"state": ["CA", "TX", "NY", "AL", "VT", "WY"][:n]})


def cells():
    """Rows of two labels, and two more that follow from them."""
    table = pd.DataFrame(
        [(s, g) for g in ("Man", "Woman", "Other") for s in ("CA", "TX")],
        columns=["state", "gender"],
    )
    return of(table.assign(region=["west", "south"] * 3, term="x", rowid=range(6)))


def loop(estimate, *pairs, contrast=lambda hi, lo: hi - lo):
    """A contrast of each pair of rows (hi, lo), draw by draw."""
    draws = estimate.source.array.tolist()
    return [[contrast(a, b) for a, b in zip(draws[h], draws[k], strict=True)] for h, k in pairs]


def assert_draws(result, expected):
    np.testing.assert_allclose(result.get_draws("wide").T, expected, rtol=1e-12)


# --- statements -----------------------------------------------------------------------------------


def test_statement_is_one_estimate_labelled_by_its_text():
    result = states().hypothesis(" b2 -  b1 = 0")
    assert_draws(result, loop(states(), (1, 0)))
    assert result.labels.to_dict("list") == {"hypothesis": ["b2 - b1 = 0"]}
    assert result.draws.dims == ("chain", "draw", "hypothesis")
    assert result.chains == 2


def test_list_of_statements_is_an_estimate_of_each():
    result = states().hypothesis(["CA = TX", "b4 / NY = 1"])
    assert result.names == ["CA = TX", "b4 / NY = 1"]
    (difference,) = loop(states(), (0, 1))
    (ratio,) = loop(states(), (3, 2), contrast=lambda a, b: a / b - 1)
    assert_draws(result, [difference, ratio])


def test_interval_of_a_difference_is_that_of_its_draws_and_not_of_its_sides():
    together = np.random.default_rng(1).normal(size=4000)
    labels = pd.DataFrame({"state": ["CA", "TX"]})
    estimate = estimates(labels, Made(np.array([together, together + 0.1])), 4, ABOUT)
    table = estimate.hypothesis("TX - CA").to_frame()
    assert table.loc[0, ["estimate", "conf_low", "conf_high"]].tolist() == pytest.approx([0.1] * 3)
    assert table.loc[0, "std_error"] == pytest.approx(0)


def test_it_says_what_it_is_a_hypothesis_on():
    assert states().hypothesis("b1 = 1").about == {**ABOUT, "quantity": "hypothesis on average y"}
    assert states().hypothesis("~ pairwise").about["quantity"] == "difference in average y"
    assert states().hypothesis("ratio ~ pairwise").about["quantity"] == "ratio of average y"
    assert states().hypothesis(0.5).about["quantity"] == "average y - 0.5"


@pytest.mark.parametrize("statement", ["b1", "~ pairwise", 0.5, lambda x: x[0]])
def test_centre_and_interval_stay(statement):
    estimate = states().with_interval(center="median", ci_kind="hdi", ci_prob=[0.5, 0.9])
    assert estimate.hypothesis(statement).summarised == estimate.summarised


def test_statement_without_finite_values_is_refused():
    message = (
        "`statement` must have finite values, got 12 of 12 draws that are not in 'b2 / (b1 - b1)'."
        " Look for division by zero, and for logarithms of what is not positive."
    )
    with raises(RequestError, message):
        states().hypothesis(["b1", "b2 / (b1 - b1)"])


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ([], "`statement` must have at least one text, got an empty list."),
        (
            ["b1", "~ pairwise"],
            "`statement` must have a formula alone, got '~ pairwise' in a list. "
            "Ask for each formula by itself.",
        ),
        (
            "b1 - b5",
            "`statement` must name rows from b1 to b4, got 'b5'. "
            "A row that is called so is written `b5`.",
        ),
        (float("inf"), "`statement` must be a finite number, got inf."),
        (
            True,
            "`statement` must be text, a list of texts, a number or a function, got bool. "
            "For example: 'b2 - b1 = 0', '~pairwise'.",
        ),
        (
            [1, 2],
            "`statement` must be text, a list of texts, a number or a function, got list. "
            "For example: 'b2 - b1 = 0', '~pairwise'.",
        ),
    ],
)
def test_unusable_statement_is_refused(statement, message):
    with raises(RequestError, message):
        states().hypothesis(statement)


# --- numbers --------------------------------------------------------------------------------------


def test_number_is_subtracted_from_every_estimate():
    estimate = cells()
    result = estimate.hypothesis(0.5)
    assert_draws(result, estimate.source.array - 0.5)
    assert result.labels["hypothesis"].unique().tolist() == ["= 0.5"]
    pd.testing.assert_frame_equal(result.labels.drop(columns="hypothesis"), estimate.labels)


def test_number_after_a_hypothesis_says_both():
    result = states(2).hypothesis("~ pairwise").hypothesis(np.float64(0.1))
    assert result.names == ["((TX) - (CA)) = 0.1"]


# --- functions ------------------------------------------------------------------------------------


def spread(draws):
    return draws.max(axis=0) - draws.min(axis=0)


def test_function_is_given_all_draws_and_returns_draws():
    result = states().hypothesis(spread)
    columns = zip(*states().source.array.tolist(), strict=True)
    assert_draws(result, [[max(column) - min(column) for column in columns]])
    assert result.names == ["spread"]


def test_function_may_return_several_rows():
    result = states().hypothesis(lambda draws: np.sort(draws, axis=0)[:2])
    assert_draws(result, np.sort(states().source.array, axis=0)[:2])
    assert result.names == ["lambda[1]", "lambda[2]"]


def test_event_of_the_draws_is_a_probability():
    result = states().hypothesis(lambda draws: draws[0] > draws[1])
    array = states().source.array
    assert result.to_frame()["estimate"].tolist() == [(array[0] > array[1]).mean()]


def test_function_can_not_change_the_draws():
    estimate = states()
    before = estimate.source.array.copy()

    def destructive(draws):
        draws[:] = 0.0
        return draws

    estimate.hypothesis(destructive)
    np.testing.assert_array_equal(estimate.source.array, before)


@pytest.mark.parametrize(
    ("function", "came"),
    [
        (lambda x: x.mean(), "a single number"),
        (lambda x: x.mean(axis=1), "4"),
        (lambda x: x[:, :5], "4 x 5"),
        (lambda x: x[None], "1 x 4 x 12"),
        (lambda x: x[:0], "0 x 12"),
        (lambda x: None, "a single number"),
    ],
)
def test_function_that_returns_no_draws_is_refused(function, came):
    message = (
        "`statement` must be a function of draws (rows x draws, here 4 x 12) that returns (draws,) "
        f"or (rows, draws), got {came} of 'lambda'. Reduce over the rows with `axis=0`."
    )
    with raises(RequestError, message):
        states().hypothesis(function)


def test_function_that_returns_text_is_refused():
    message = "`statement` must be a function that returns numbers, got '<U1' of 'lambda'."
    with raises(RequestError, message):
        states().hypothesis(lambda x: np.full(12, "a"))


# --- formulas -------------------------------------------------------------------------------------

PAIRS = {
    "reference": [(1, 0), (2, 0), (3, 0)],
    "sequential": [(1, 0), (2, 1), (3, 2)],
    "pairwise": [(1, 0), (2, 0), (3, 0), (2, 1), (3, 1), (3, 2)],
}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("written", ["~{}", " ~  {} ", "difference ~ {}"])
def test_formula_contrasts_pairs_of_rows(kind, written):
    result = states().hypothesis(written.format(kind))
    assert_draws(result, loop(states(), *PAIRS[kind]))
    names = states().names
    assert result.names == [f"({names[h]}) - ({names[k]})" for h, k in PAIRS[kind]]


@pytest.mark.parametrize("kind", PAIRS)
def test_reversed_formula_has_the_other_sign(kind):
    forward, back = states().hypothesis(f"~ {kind}"), states().hypothesis(f"~ rev{kind}")
    assert_draws(back, -forward.source.array)
    names = states().names
    assert back.names == [f"({names[k]}) - ({names[h]})" for h, k in PAIRS[kind]]


def test_ratio_divides():
    result = states().hypothesis("ratio ~ sequential")
    assert_draws(result, loop(states(), *PAIRS["sequential"], contrast=lambda a, b: a / b))
    assert result.names[0] == "(TX) / (CA)"


@given(st.permutations(range(4)))
def test_pairwise_contrasts_do_not_depend_on_the_order_of_rows_but_for_their_sign(order):
    estimate = states()
    order = list(order)
    moved = estimates(
        estimate.labels.iloc[order], Made(estimate.source.array[order]), 2, estimate.about
    )
    results = [each.hypothesis("~ pairwise") for each in (estimate, moved)]
    first, second = (dict(zip(each.names, each.source.array, strict=True)) for each in results)
    for name, draws in first.items():
        hi, lo = name.split(" - ")
        found = second[name] if name in second else -second[f"{lo} - {hi}"]
        np.testing.assert_array_equal(found, draws)


@pytest.mark.parametrize("statement", ["~ pairwise | state", "~pairwise|`state`"])
def test_rows_are_compared_within_equal_values_of_a_column(statement):
    estimate = cells()
    result = estimate.hypothesis(statement)
    pairs = [(2, 0), (4, 0), (4, 2), (3, 1), (5, 1), (5, 3)]
    assert_draws(result, loop(estimate, *pairs))
    assert result.labels["state"].tolist() == ["CA"] * 3 + ["TX"] * 3
    assert result.labels["hypothesis"].tolist() == 2 * [
        "(Woman) - (Man)", "(Other) - (Man)", "(Other) - (Woman)",
    ]  # fmt: skip


def test_columns_that_pairs_share_stay_as_labels_and_are_left_out_of_names():
    labels = cells().hypothesis("~ reference | state").labels
    assert labels.columns.tolist() == ["hypothesis", "state", "region", "term"]
    assert labels["region"].tolist() == ["west", "west", "south", "south"]
    assert labels["term"].tolist() == ["x"] * 4
    everywhere = cells().hypothesis("~ reference").labels
    assert everywhere.columns.tolist() == ["hypothesis", "term"]
    assert everywhere["hypothesis"][0] == "(TX, Man, south) - (CA, Man, west)"


@pytest.mark.parametrize("columns", ["state + term", "state+`term`+state"])
def test_groups_may_be_of_several_columns(columns):
    result = cells().hypothesis(f"~ sequential | {columns}")
    assert_draws(result, loop(cells(), (2, 0), (4, 2), (3, 1), (5, 3)))


def test_column_with_a_plus_in_its_name_can_group():
    estimate = of({"a + b": [1, 1], "c": [1, 2]})
    assert estimate.hypothesis("~ pairwise | a + b").labels["a + b"].tolist() == [1]


def test_missing_values_are_a_group():
    estimate = of({"party": ["D", None, "D", None], "c": [1, 1, 2, 2]})
    assert_draws(estimate.hypothesis("~ pairwise | party"), loop(estimate, (2, 0), (3, 1)))


def test_rows_without_labels_or_with_the_same_are_numbered():
    bare = estimates(pd.DataFrame(index=range(2)), Made(np.ones((2, 4))), 2, ABOUT)
    assert bare.hypothesis("~ pairwise").names == ["(b2) - (b1)"]
    assert of({"state": ["CA", "CA", "TX"]}).hypothesis("~ reference").names == [
        "(b2) - (b1)", "(b3) - (b1)",
    ]  # fmt: skip


def test_contrast_of_contrasts_says_both():
    gaps = cells().hypothesis("~ reference | state").hypothesis("~ pairwise | hypothesis")
    draws = loop(cells(), (2, 0), (4, 0), (3, 1), (5, 1))
    expected = [np.subtract(draws[2], draws[0]), np.subtract(draws[3], draws[1])]
    assert_draws(gaps, expected)
    assert gaps.labels["hypothesis"].tolist() == [
        "(Woman) - (Man): (TX, south) - (CA, west)",
        "(Other) - (Man): (TX, south) - (CA, west)",
    ]


def test_group_of_one_row_is_said_to_have_nothing_to_compare():
    estimate = of({"state": ["CA", "CA", "WY"], "gender": ["Man", "Woman", "Man"]})
    message = (
        "`statement` compares rows with equal ['state']: nothing is made for ['WY'], which have "
        "one row each."
    )
    with pytest.warns(UserWarning, match=exactly(message)) as caught:
        result = estimate.hypothesis("~ pairwise | state")
    assert caught[0].filename == __file__
    assert result.labels["state"].tolist() == ["CA"]


def test_too_many_pairs_are_refused_before_they_are_made():
    estimate = of({"cell": range(500)}, draws=2)
    message = (
        "`statement` must compare at most 100,000 pairs, got 124,750 of 500 rows. Average with "
        "`by=` first, or compare within groups: '~ pairwise | column'."
    )
    with raises(RequestError, message):
        estimate.hypothesis("~ pairwise")
    assert len(estimate.hypothesis("~ reference")) == 499


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "a + b ~ pairwise",
            "`statement` must be a formula such as '~ pairwise' or 'ratio ~ reference | state', "
            "got 'a + b ~ pairwise'. Available: ['pairwise', 'reference', 'sequential', "
            "'revpairwise', 'revreference', 'revsequential'].",
        ),
        (
            "rato ~ pairwise",
            "`statement` must have a contrast left of ~, got 'rato'. Available: "
            "['difference', 'ratio']. Did you mean 'ratio'?",
        ),
        (
            "~ pairs",
            "`statement` must say right of ~ what to compare, got 'pairs'. Available: ['pairwise', "
            "'reference', 'sequential', 'revpairwise', 'revreference', 'revsequential']. "
            "Did you mean 'pairwise'?",
        ),
        (
            "~",
            "`statement` must say right of ~ what to compare, got ''. Available: ['pairwise', "
            "'reference', 'sequential', 'revpairwise', 'revreference', 'revsequential'].",
        ),
        (
            "~ pairwise | stat",
            "`statement` must have label columns right of |, got 'stat'. Available: ['state', "
            "'gender', 'region', 'term', 'rowid']. Did you mean 'state'?",
        ),
        (
            "~ pairwise | state + ",
            "`statement` must have label columns right of |, got ''. Available: ['state', "
            "'gender', 'region', 'term', 'rowid'].",
        ),
        (
            "~ pairwise | rowid",
            "`statement` must have at least two rows with equal ['rowid'] to compare, got 6 in 6 "
            "groups. Ask for more of them with `by=`.",
        ),
    ],
)
def test_unusable_formula_is_refused(statement, message):
    with raises(RequestError, message):
        cells().hypothesis(statement)


def test_one_row_has_nothing_to_compare():
    message = (
        "`statement` must have at least two rows to compare, got 1 in 1 group. "
        "Ask for more of them with `by=`."
    )
    with raises(RequestError, message):
        states(1).hypothesis("~ pairwise")


def test_ratio_to_zero_is_refused():
    labels = pd.DataFrame({"state": ["CA", "TX", "NY"]})
    draws = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]])
    estimate = estimates(labels, Made(draws), 1, ABOUT)
    message = (
        "`statement` must have finite values, got 1 of 2 draws that are not in 'b1 and b3'. "
        "Look for division by zero, and for logarithms of what is not positive."
    )
    with raises(RequestError, message), warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate.hypothesis("ratio ~ revreference")


# --- draws made on request ------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["~ reference", "ratio ~ sequential | state", -0.25])
def test_contrasts_too_large_to_keep_are_made_on_request(monkeypatch, small_fit, statement):
    rows = pd.concat([FRAME, FRAME], ignore_index=True)
    kept = mrp.predictions(small_fit, newdata=rows).hypothesis(statement)
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    lazy = mrp.predictions(small_fit, newdata=rows).hypothesis(statement)
    assert isinstance(kept.source, Made)
    assert isinstance(lazy.source, hypotheses.Pairs | hypotheses.Shifted)
    assert (lazy.source.n, lazy.source.size) == kept.source.array.shape
    pd.testing.assert_frame_equal(lazy.to_frame(), kept.to_frame(), rtol=1e-12)
    assert {len(key) for key in lazy.source.keys} == {len(kept)}


def test_all_formulas_have_a_pairing():
    kinds = [f"{rev}{kind}" for rev, kind in itertools.product(("", "rev"), PAIRS)]
    assert sorted(kinds) == sorted(get_args(hypotheses.Pairing))


# --- by hand --------------------------------------------------------------------------------------


def test_contrast_of_averages_is_that_of_the_comparison_of_a_dummy(small_fit):
    """With one predictor changed for everybody, both ways are the same average difference."""
    averages = [
        mrp.avg_predictions(small_fit, newdata=FRAME.assign(military=value)) for value in (0, 1)
    ]
    difference = mrp.concat(averages, labels=[0, 1], name="military").hypothesis("~ pairwise")
    expected = mrp.avg_comparisons(small_fit, variables="military", newdata=FRAME)
    assert_draws(difference, expected.source.values(np.arange(1)))
    assert difference.names == ["(1) - (0)"]
