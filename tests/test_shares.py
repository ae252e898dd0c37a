"""Weights that are shares within areas: noticed wherever areas are averaged, and only there."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mrp
from mrp.errors import FrameWarning
from mrp.testing import fake_fit
from tests.cases import FRAME, SURVEY
from tests.messages import warns

STATES = [f"S{k:02d}" for k in range(12)]


def make_cells(seed=1, years=(2020,)):
    """Cells of states with area predictors, and their population."""
    rng = np.random.default_rng(seed)
    names = ["state", "age", "sex", "year"]
    index = pd.MultiIndex.from_product([STATES, list("abcd"), ["m", "f"], years], names=names)
    cells = index.to_frame(index=False)
    income = dict(zip(STATES, rng.integers(40_000, 60_000, len(STATES)), strict=True))
    size = dict(zip(STATES, rng.uniform(1, 50, len(STATES)), strict=True))
    cells["income"] = cells["state"].map(income)
    cells["x"] = cells["income"] / 1234.5
    cells["region"] = np.where(cells["state"] < "S05", "north", "south")
    cells["n"] = np.rint(cells["state"].map(size) * rng.gamma(3, 300.0, len(cells))) + 1
    return cells


CELLS = make_cells()
TOTAL = CELLS.groupby("state")["n"].transform("sum")
SHARES = CELLS["n"] / TOTAL
RNG = np.random.default_rng(2)
PEOPLE = pd.DataFrame(
    {
        "y": RNG.integers(0, 2, 200),
        "x": RNG.normal(40, 3, 200),
        "age": RNG.choice(list("abcd"), 200),
        "state": RNG.choice(STATES, 200),
    }
)


@cache
def fit(formula="y ~ x + age"):
    return fake_fit(formula, PEOPLE, family="bernoulli", draws=2)


def message(total, areas="12 values of 'state'", within="'state'", by="'state'"):
    return (
        f"`wts` sum to {total} for each of the {areas}: they look like shares within {within}, and "
        f"averaging across it counts all of them equally. Use population counts, or `by={by}`."
    )


def said_of(weights, frame=CELLS, by=None):
    """Warnings of a poststratification."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        mrp.poststratify(fit(), frame.assign(w=np.asarray(weights)), by=by, wts="w")
    return [str(each.message) for each in found]


# --- shares ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ["y ~ x + age", "y ~ x + (1 | state)"])
@pytest.mark.parametrize("by", [None, "region", "age", ["region", "sex"]])
def test_shares_are_noticed_whether_the_area_is_in_the_formula_or_not(formula, by):
    for factor, total in ((1, "1"), (100, "100")):
        with warns(FrameWarning, message(total)):
            mrp.poststratify(fit(formula), CELLS.assign(w=factor * SHARES), by=by, wts="w")


@pytest.mark.parametrize("by", ["state", ["state"], ["age", "state"], "income"])
def test_shares_within_areas_that_are_kept_apart_are_right(by):
    assert said_of(SHARES, by=by) == []


def test_table_that_groups_areas_averages_across_them():
    table = pd.DataFrame({"state": STATES, "by": ["one"] * 4 + ["two"] * 8})
    assert said_of(SHARES, by=table) == [message("1")]
    assert said_of(SHARES, by=table.assign(by=table["state"] + "!")) == []


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        (mrp.avg_predictions, {}),
        (mrp.predictions, {"by": "region"}),
        (mrp.avg_comparisons, {"variables": "age"}),
        (mrp.avg_slopes, {"variables": "x"}),
    ],
)
def test_every_verb_that_averages_a_frame_notices_shares(verb, options):
    with warns(FrameWarning, message("1")):
        verb(fit(), newdata=CELLS.assign(w=SHARES), wts="w", **options)


def test_weights_of_the_survey_are_no_population():
    survey = PEOPLE.assign(w=1 / PEOPLE.groupby("state")["y"].transform("size") ** 1.0)
    weighted = fake_fit("y ~ x", survey, family="bernoulli", draws=2)
    assert len(mrp.avg_predictions(weighted, wts=survey["w"].to_numpy())) == 1


@pytest.mark.parametrize(
    ("decimals", "factor", "total"),
    [(0, 100, "about 100"), (1, 100, "about 100"), (2, 1, "about 1"), (3, 1, "about 1")],
)
@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_rounded_shares_are_noticed(decimals, factor, total, seed):
    cells = make_cells(seed)
    shares = cells["n"] / cells.groupby("state")["n"].transform("sum")
    weights = (factor * shares).round(decimals)
    totals = weights.groupby(cells["state"]).sum()
    low, high = totals.min(), totals.max()
    (found,) = said_of(weights, cells)
    # totals a thousandth apart are the same but for rounding of binary numbers
    assert found in (
        message(f"{totals.iloc[0]:.6g}"),
        message(f"{total} ({low:.6g} to {high:.6g})"),
    )


def test_shares_of_any_round_total_are_noticed_of_many_areas():
    assert said_of(500 * SHARES) == [message("500")]
    assert said_of(1000 * SHARES) == [message("1000")]


def test_shares_within_states_and_years_are_noticed():
    cells = make_cells(years=range(2018, 2022))
    shares = cells["n"] / cells.groupby(["state", "year"])["n"].transform("sum")
    both = "'state' and 'year'"
    said = message("1", f"48 combinations of {both}", both, ["state", "year"])
    assert said_of(shares, cells) == [said]
    assert said_of(shares, cells, by="state") == [said]
    assert said_of(shares, cells, by=["year", "state"]) == []
    some = cells["year"] > 2018 + cells["state"].map(STATES.index) % 3
    said = said.replace("48", str(len(cells[some][["state", "year"]].drop_duplicates())))
    assert said_of(shares[some], cells[some]) == [said]


@pytest.mark.parametrize("kind", ["category", "string", "int", "float", "object"])
def test_areas_are_noticed_whatever_the_type_of_their_names(kind):
    numbers = CELLS["state"].map(STATES.index)
    column = numbers if kind in ("int", "float") else CELLS["state"]
    frame = CELLS.assign(state=column.astype(kind))
    assert said_of(SHARES, frame.drop(columns="income")) == [message("1")]


def test_missing_names_of_areas_are_an_area():
    frame = CELLS.assign(state=CELLS["state"].where(CELLS["state"] != "S03"))
    assert said_of(SHARES, frame.drop(columns="income")) == [message("1")]


# --- what is no share -----------------------------------------------------------------------------


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), by=st.sampled_from([None, "region", "state", "age"]))
def test_populations_are_no_shares(seed, by):
    cells = make_cells(seed)
    for weights in (
        cells["n"],
        cells["n"] * np.pi,
        cells["n"] / cells["n"].sum(),
        100 * cells["n"] / cells["n"].sum(),
        np.rint(cells["n"] / 50) + 1,
    ):
        assert said_of(weights, cells, by=by) == []


@pytest.mark.parametrize(
    "weights",
    [
        np.ones(len(CELLS)),
        np.full(len(CELLS), 100.0),
        np.full(len(CELLS), 1 / len(CELLS)),
        np.full(len(CELLS), 0.5),
    ],
)
def test_cells_that_count_equally_by_design_are_no_shares(weights):
    assert said_of(weights) == []


def test_two_groups_of_the_formula_with_the_same_population_are_no_areas_of_shares():
    two = fake_fit("y ~ 1 + (1 | sex)", PEOPLE.assign(sex=["m", "f"] * 100), family="bernoulli")
    halves = CELLS["n"] / CELLS.groupby("sex")["n"].transform("sum")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mrp.poststratify(two, CELLS.assign(w=1396 * halves), wts="w")


def test_quantiles_and_halves_of_a_population_are_no_shares():
    n = CELLS["n"] * np.pi
    for column in ("sex", "age"):
        halves = n / n.groupby(CELLS[column]).transform("sum") / CELLS[column].nunique()
        assert said_of(halves) == []


def test_population_counted_for_each_year_is_no_share():
    cells = make_cells(years=range(2018, 2022))
    once = CELLS.set_index(["state", "age", "sex"])["n"]
    n = once.loc[pd.MultiIndex.from_frame(cells[["state", "age", "sex"]])].to_numpy()
    assert said_of(n, cells) == []


def test_sum_of_weights_that_is_too_large_is_no_share():
    assert said_of(np.full(len(CELLS), 1e308) * (1 + SHARES / 2)) == []


# --- mixtures -------------------------------------------------------------------------------------


def mixed(*said):
    return (
        f"`wts` sum {', '.join(said[:-1])} and {said[-1]} of 'state': shares, percents or counts "
        f"are mixed, and averaging across it hardly counts some of them. Use population counts for "
        f"all, or `by='state'`."
    )


def with_some(**weights):
    """Counts, with other weights in the states that are named."""
    found = CELLS["n"].astype(float)
    for state, made in weights.items():
        found = found.where(CELLS["state"] != state, made)
    return found


PERCENTS = 100 * SHARES


def least(*states):
    """The smallest of the totals of other states."""
    return f"{CELLS[~CELLS['state'].isin(states)].groupby('state')['n'].sum().min():.6g}"


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (
            with_some(S00=SHARES),
            ["to 1 for ['S00']", f"to {least('S00')} or more for 11 others"],
        ),
        (
            with_some(S02=PERCENTS.round(1), S07=PERCENTS),
            ["to 100 for ['S02', 'S07']", f"to {least('S02', 'S07')} or more for 10 others"],
        ),
        (
            with_some(S02=PERCENTS.round(), S07=PERCENTS.round()),
            ["to 100 for ['S02', 'S07']", f"to {least('S02', 'S07')} or more for 10 others"],
        ),
        (
            with_some(S00=SHARES, S01=SHARES.round(3), S09=PERCENTS),
            [
                "to 1 for ['S00', 'S01']",
                "to 100 for ['S09']",
                f"to {least('S00', 'S01', 'S09')} or more for 9 others",
            ],
        ),
        (
            SHARES.where(CELLS["state"] < "S06", PERCENTS),
            [f"to 1 for {STATES[:6]}", f"to 100 for {STATES[6:]}"],
        ),
    ],
)
def test_mixture_of_shares_percents_and_counts_is_noticed(weights, said):
    assert said_of(weights) == [mixed(*said)]
    assert said_of(weights, by="state") == []


def test_one_population_for_each_year_or_poll_is_no_sign_of_shares():
    polls = ["p1", "p2", "p3"]
    survey = SURVEY.assign(poll=np.resize(polls, len(SURVEY)))
    fitted = fake_fit("y ~ x + (1 | poll)", survey, family="bernoulli", draws=2)
    cells = pd.concat([FRAME.assign(poll=name) for name in polls])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for share in (1.0, 1 / 3):
            weighted = cells.assign(n=cells["n"] * share)
            assert len(mrp.avg_predictions(fitted, newdata=weighted, wts="n")) == 1
