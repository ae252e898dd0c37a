"""`Estimates`: draws and their labels, summaries that are taken last, renderings."""

import dataclasses
import warnings

import arviz_stats
import numpy as np
import pandas as pd
import psutil
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import mrp
from mrp.errors import RequestError
from mrp.results import estimates as module
from mrp.results.estimates import Estimates, Made, estimates
from tests.cases import FRAME
from tests.messages import raises

ABOUT = {"quantity": "average y", "group": "posterior"}


def of(labels, draws, chains=2, about=ABOUT):
    return estimates(pd.DataFrame(labels), Made(np.array(draws, dtype=float)), chains, about)


def made(rows=3, draws=40, seed=1, **labels):
    """Estimates with seeded draws, labelled by state unless said otherwise."""
    array = np.random.default_rng(seed).normal(size=(rows, draws))
    return of(labels or {"state": [f"S{k}" for k in range(rows)]}, array)


@pytest.fixture
def lazily(monkeypatch, small_fit):
    """The same estimates with their draws kept, and made again whenever they are asked for."""

    def make(verb, **options):
        kept = verb(small_fit, newdata=FRAME, **options)
        monkeypatch.setattr(module, "KEPT_BYTES", 0)
        lazy = verb(small_fit, newdata=FRAME, **options)
        assert isinstance(kept.source, Made)
        assert not isinstance(lazy.source, Made)
        return kept, lazy

    return make


# --- the table ------------------------------------------------------------------------------------


def quantile(values, probability):
    """Type 7 of Hyndman and Fan: linear between order statistics."""
    ordered = sorted(values)
    position = probability * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


@pytest.mark.parametrize("ci_prob", [0.5, 0.9, 0.95])
def test_table_is_mean_sd_and_quantiles_of_the_draws(ci_prob):
    estimate = made(rows=4, draws=30)
    table = estimate.to_frame(ci_prob=ci_prob)
    assert table.columns.tolist() == ["state", "estimate", "std_error", "conf_low", "conf_high"]
    for row, draws in zip(table.itertuples(), estimate.source.array.tolist(), strict=True):
        mean = sum(draws) / 30
        assert row.estimate == pytest.approx(mean, abs=1e-12)
        variance = sum((x - mean) ** 2 for x in draws) / 29
        assert row.std_error == pytest.approx(variance**0.5, abs=1e-12)
        assert row.conf_low == pytest.approx(quantile(draws, (1 - ci_prob) / 2), abs=1e-12)
        assert row.conf_high == pytest.approx(quantile(draws, (1 + ci_prob) / 2), abs=1e-12)


def test_probability_of_the_interval_is_95_percent_unless_said_otherwise():
    estimate = made()
    pd.testing.assert_frame_equal(estimate.to_frame(), estimate.to_frame(ci_prob=0.95))


def test_table_says_which_centre_and_interval_it_has():
    attrs = made().to_frame(ci_prob=0.8).attrs
    assert attrs == {"center": "mean", "ci_kind": "eti", "ci_prob": 0.8}


@given(probabilities=st.lists(st.floats(0.01, 0.99), min_size=2, max_size=2, unique=True))
def test_interval_of_higher_probability_holds_the_other(probabilities):
    narrow, wide = (made().to_frame(ci_prob=p) for p in sorted(probabilities))
    assert (wide["conf_low"] <= narrow["conf_low"]).all()
    assert (wide["conf_high"] >= narrow["conf_high"]).all()


def test_one_draw_has_no_standard_error_and_gives_no_warning():
    table = of({"state": ["A"]}, [[0.3]], chains=1).to_frame()
    assert table.loc[0, ["estimate", "conf_low", "conf_high"]].tolist() == [0.3] * 3
    assert np.isnan(table.loc[0, "std_error"])


def test_centre_kind_and_probability_are_as_asked():
    estimate = made(draws=41)
    table = estimate.to_frame(center="median", ci_kind="hdi", ci_prob=0.8)
    assert table.attrs == {"center": "median", "ci_kind": "hdi", "ci_prob": 0.8}
    middle = [sorted(draws)[20] for draws in estimate.source.array.tolist()]
    assert table["estimate"].tolist() == middle
    bounds = arviz_stats.hdi(estimate.source.array, prob=0.8, axis=-1)
    np.testing.assert_allclose(table[["conf_low", "conf_high"]], bounds, rtol=0, atol=1e-12)


def test_several_probabilities_give_columns_named_by_percent():
    estimate = made()
    table = estimate.to_frame(ci_prob=[0.5, 0.895])
    assert table.columns.tolist() == [
        "state", "estimate", "std_error",
        "conf_low_50", "conf_high_50", "conf_low_89.5", "conf_high_89.5",
    ]  # fmt: skip
    assert table.attrs["ci_prob"] == (0.5, 0.895)
    for percent in ("50", "89.5"):
        one = estimate.to_frame(ci_prob=float(percent) / 100)
        for side in ("conf_low", "conf_high"):
            np.testing.assert_array_equal(table[f"{side}_{percent}"], one[side])


def test_what_is_carried_is_used_everywhere_and_can_be_overruled():
    estimate = made().with_interval(center="median").with_interval(ci_kind="hdi", ci_prob=0.8)
    asked = made().to_frame(center="median", ci_kind="hdi", ci_prob=0.8)
    pd.testing.assert_frame_equal(estimate.to_frame(), asked)
    assert repr(estimate).endswith("median and 80% highest-density interval of 40 posterior draws")
    assert f"{asked['conf_low'][0]:.3f}" in repr(estimate)
    pd.testing.assert_frame_equal(
        estimate.to_frame(center="mean", ci_kind="eti", ci_prob=0.95), made().to_frame()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"center": "mode"},
            "`center` must name a centre, got 'mode'. Available: ['mean', 'median'].",
        ),
        (
            {"ci_kind": "quantile"},
            "`ci_kind` must name a kind of interval, got 'quantile'. Available: ['eti', 'hdi'].",
        ),
        ({"ci_prob": 95}, "`ci_prob` must be between 0 and 1, got 95. Usual: 0.95."),
        ({"ci_prob": [0.5, 1]}, "`ci_prob` must be between 0 and 1, got 1. Usual: 0.95."),
    ],
)
def test_summary_that_there_is_not_is_refused(options, message):
    with raises(RequestError, message):
        made().to_frame(**options)
    with raises(RequestError, message):
        made().with_interval(**options)


def test_table_may_be_of_another_library():
    estimate = made(state=["A", "B", "C"], age=pd.Categorical(["old", "young", "old"]))
    expected = estimate.to_frame().to_dict("list")
    assert estimate.to_frame(backend="polars").to_dict(as_series=False) == expected
    assert estimate.to_frame(backend="pyarrow").to_pydict() == expected
    message = (
        "`backend` must name a library of tables, got 'duckdb'. "
        "Available: ['pandas', 'polars', 'pyarrow']."
    )
    with raises(RequestError, message):
        estimate.to_frame(backend="duckdb")


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("std_error", lambda each: each.to_frame()),
        ("conf_low_50", lambda each: each.to_frame(ci_prob=[0.5])),
        ("above", lambda each: each.equivalence([0, 1])),
        ("direction", lambda each: each.direction()),
        ("probability", lambda each: each.probability("> 0")),
        ("value", lambda each: each.get_draws()),
    ],
)
def test_labels_called_as_results_are_not_overwritten(name, ask):
    message = (
        f"`labels` must not have columns that results are written to, got [{name!r}]. "
        "Rename them in the data."
    )
    with raises(RequestError, message):
        ask(made(**{name: ["A", "B", "C"]}))


# --- the draws ------------------------------------------------------------------------------------


def test_draws_are_chain_by_chain_with_a_dim_named_by_the_only_label():
    draws = of({"state": ["A", "B"]}, [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]).draws
    expected = xr.DataArray(
        [[[1.0, 7], [2, 8], [3, 9]], [[4, 10], [5, 11], [6, 12]]],
        dims=["chain", "draw", "state"],
        coords={"chain": [0, 1], "draw": [0, 1, 2], "state": ["A", "B"]},
        name="average y",
    )
    xr.testing.assert_identical(draws, expected)


def test_rows_of_several_labels_have_the_labels_as_coordinates():
    draws = made(state=["A", "B", "A"], military=[0, 1, 1], open=[True, False, True]).draws
    assert draws.dims == ("chain", "draw", "estimate")
    assert draws["estimate"].values.tolist() == ["A, 0, True", "B, 1, False", "A, 1, True"]
    assert draws["state"].dims == draws["military"].dims == ("estimate",)
    assert draws["military"].dtype == np.int64
    assert draws["open"].dtype == bool
    assert draws.sel(estimate=draws["military"] == 1)["state"].values.tolist() == ["B", "A"]


def test_one_label_that_is_not_unique_makes_no_dim():
    assert made(state=["A", "B", "A"]).draws.dims == ("chain", "draw", "estimate")


def test_labels_that_are_numbers_stay_numbers_and_categories_become_text():
    assert made(military=[0, 1, 2]).draws["military"].dtype == np.int64
    ages = made(age=pd.Categorical(["old", "young", "middle"])).draws["age"]
    assert ages.values.tolist() == ["old", "young", "middle"]
    assert ages.dtype.kind == "U"


def test_without_labels_estimates_are_numbered():
    estimate = estimates(pd.DataFrame(index=range(2)), Made(np.zeros((2, 4))), 2, ABOUT)
    assert estimate.names == ["b1", "b2"]
    assert estimate.draws["estimate"].values.tolist() == ["b1", "b2"]
    assert estimate.to_frame().columns.tolist() == list(module.COLUMNS)


def test_missing_labels_are_written_out():
    estimate = made(state=["A", None, "C"], note=["x", "y", None])
    assert estimate.names == ["A, x", "nan, y", "C, nan"]
    assert estimate.draws["state"].values.tolist() == ["A", "nan", "C"]


def test_shapes_of_draws_agree():
    estimate = made(state=["B", "A", "C"], military=[1, 0, 1])
    array = estimate.get_draws("xarray")
    xr.testing.assert_identical(array, estimate.draws)
    wide, long = estimate.get_draws("wide"), estimate.get_draws("long")
    pd.testing.assert_frame_equal(estimate.get_draws("transposed").T, wide, check_names=False)
    assert wide.columns.tolist() == ["B, 1", "A, 0", "C, 1"]
    assert len(long) == 3 * 40
    for k, name in enumerate(wide.columns):
        for chain, draw in ((0, 0), (0, 19), (1, 0), (1, 7)):
            value = float(array[chain, draw, k])
            assert wide.loc[(chain, draw), name] == value
            state, military = name.split(", ")
            same = (long["state"] == state) & (long["military"] == int(military))
            row = long[same & (long["chain"] == chain) & (long["draw"] == draw)]
            assert row["value"].tolist() == [value]


@pytest.mark.parametrize("shape", ["long", "wide", "transposed"])
def test_draws_may_be_of_another_library(shape):
    estimate = made()
    polars = estimate.get_draws(shape, backend="polars")
    assert (
        polars.to_dict(as_series=False) == estimate.get_draws(shape, backend="pyarrow").to_pydict()
    )
    found = polars.select(polars.columns[-1]).to_series().to_list()
    assert found == estimate.get_draws(shape).iloc[:, -1].tolist()


def test_long_draws_are_the_default_and_keep_the_labels_types():
    estimate = made(age=pd.Categorical(["old", "young", "middle"], ["young", "middle", "old"]))
    long = estimate.get_draws()
    pd.testing.assert_frame_equal(long, estimate.get_draws("long"))
    assert long["age"].dtype == estimate.labels["age"].dtype


def test_unknown_shape_is_refused():
    message = (
        "`shape` must say how to lay out draws, got 'tall'. "
        "Available: ['long', 'wide', 'transposed', 'xarray']."
    )
    with raises(RequestError, message):
        made().get_draws("tall")


def test_arviz_summarises_the_draws_by_label():
    estimate = made()
    table = arviz_stats.summary(estimate.draws, round_to="none")
    assert table.index.tolist() == ["average y[S0]", "average y[S1]", "average y[S2]"]
    np.testing.assert_allclose(table["mean"], estimate.to_frame()["estimate"])


def test_arviz_plots_a_forest_of_the_draws_with_their_labels():
    import arviz_plots

    forest = arviz_plots.plot_forest(made().draws.to_dataset(), backend="none")
    shown = [text["string"] for text in forest.viz["state_label"]["average y"].values]
    assert shown == ["S0", "S1", "S2"]
    several = made(state=["CA", "TX", "CA"], military=[0, 0, 1]).draws.to_dataset()
    forest = arviz_plots.plot_forest(several, backend="none")
    shown = [text["string"] for text in forest.viz["estimate_label"]["average y"].values]
    assert shown == ["CA, 0", "TX, 0", "CA, 1"]


def test_draws_can_be_written_to_netcdf(tmp_path):
    draws = made(state=["A", "B", "C"], age=pd.Categorical(["old", "young", "old"])).draws
    draws.to_netcdf(tmp_path / "draws.nc", engine="h5netcdf")
    with xr.open_dataarray(tmp_path / "draws.nc", engine="h5netcdf") as read:
        xr.testing.assert_equal(read, draws)


# --- probabilities --------------------------------------------------------------------------------


def test_probability_is_the_share_of_draws_for_which_the_statement_holds():
    table = of({"state": ["A", "B"]}, [[-0.5, 0.5, 0.5, 1.0], [1.0, 2.0, -3.0, 0.0]])
    expected = pd.DataFrame({"state": ["A", "B"], "probability": [0.75, 0.5]})
    pd.testing.assert_frame_equal(table.probability(">= 0.5"), expected)


def test_complementary_statements_add_up_to_one():
    estimate = made(draws=100)
    above, below = estimate.probability("> 0.1"), estimate.probability("<= 0.1")
    np.testing.assert_allclose(above["probability"] + below["probability"], 1.0)


def test_statement_that_compares_with_no_number_is_refused():
    message = (
        "`statement` must compare with a number, such as '> 0.4', got '0.4'. "
        "Available: ['>=', '<=', '>', '<']."
    )
    with raises(RequestError, message):
        made().probability("0.4")


def test_direction_is_the_side_of_zero_on_which_the_median_is():
    draws = [[-1.0, 1.0, 2.0, 3.0], [-1.0, -2.0, -3.0, 4.0], [0.0, 0.0, 0.0, -1.0], [0.0] * 4]
    table = of({"state": list("ABCD")}, draws).direction()
    expected = pd.DataFrame(
        {
            "state": list("ABCD"),
            "direction": ["+", "-", "-", "+"],
            "probability": [0.75, 0.75, 0.25, 0.0],
        }
    )
    pd.testing.assert_frame_equal(table, expected)


NORMAL = np.random.default_rng(1).normal(size=(20, 41))


def test_probability_of_direction_is_at_least_half_and_does_not_depend_on_the_sign():
    estimate = estimates(pd.DataFrame({"k": range(20)}), Made(NORMAL), 1, ABOUT)
    table = estimate.direction()
    assert (table["probability"] >= 0.5).all()
    median = np.median(NORMAL, axis=1)
    assert table["direction"].tolist() == ["+" if m > 0 else "-" for m in median]
    negative = estimates(estimate.labels, Made(-NORMAL), 1, ABOUT).direction()
    pd.testing.assert_series_equal(negative["probability"], table["probability"])
    assert (negative["direction"] != table["direction"]).all()


def test_draws_that_are_no_numbers_make_no_probability_and_no_direction():
    draws = [[-1.0, np.nan, 2.0, 3.0], [1.0, 2.0, 3.0, -4.0], [np.nan] * 4]
    estimate = of({"state": list("ABC")}, draws)
    assert estimate.probability("> 0")["probability"].isna().tolist() == [True, False, True]
    assert estimate.probability("<= 0")["probability"].isna().tolist() == [True, False, True]
    direction = estimate.direction()
    assert direction["direction"].isna().tolist() == [True, False, True]
    assert direction["direction"][1] == "+"
    assert direction["probability"].isna().tolist() == [True, False, True]
    inside = estimate.equivalence([-1, 1])[["below", "inside", "above"]]
    assert inside.isna().all(axis=1).tolist() == [True, False, True]
    for how in ({}, {"center": "median"}, {"ci_kind": "hdi"}, {"ci_prob": [0.5, 0.9]}):
        table = estimate.to_frame(**how).drop(columns="state")
        assert table.isna().all(axis=1).tolist() == [True, False, True]
        assert table.notna().all(axis=1).tolist() == [False, True, False]
    assert str(estimate).splitlines()[-1] == "nan: draws that are no numbers, such as 0 / 0"
    assert "<p>nan: draws that are no numbers, such as 0 / 0</p>" in estimate._repr_html_()
    assert "nan" not in str(of({"state": ["B"]}, draws[1:2]))


def test_contrast_of_nothing_and_nothing_is_no_number_and_says_so(small_fit):
    zero = dataclasses.replace(
        small_fit,
        draws=xr.DataTree.from_dict(
            {"posterior": small_fit.parameters.assign(Intercept=lambda d: d["Intercept"] - 1e6)}
        ),
    )
    found = mrp.avg_comparisons(zero, variables="gender", comparison="ratio")
    assert found.probability("> 1")["probability"].isna().all()
    assert str(found).splitlines()[-1] == "nan: draws that are no numbers, such as 0 / 0"


def test_equivalence_is_the_shares_below_inside_and_above():
    table = of({"state": ["A", "B"]}, [[-1.0, 0.0, 0.5, 1.0], [2.0, 3.0, -3.0, 0.2]])
    expected = pd.DataFrame(
        {"state": ["A", "B"], "below": [0.25, 0.25], "inside": [0.5, 0.25], "above": [0.25, 0.5]}
    )
    pd.testing.assert_frame_equal(table.equivalence([0, 0.5]), expected)


def test_bounds_of_no_region_are_refused():
    message = (
        "`bounds` must be two numbers [low, high] with low < high, got [1, 0]. "
        "For example: [-0.01, 0.01]."
    )
    with raises(RequestError, message):
        made().equivalence([1, 0])


# --- draws made on request ------------------------------------------------------------------------

LAZY = {
    "predictions": (mrp.predictions, {}),
    "comparisons": (mrp.comparisons, {"variables": ["age", "x"]}),
    "new groups": (mrp.predictions, {"new_levels": "gaussian"}),
}


@pytest.mark.parametrize("name", LAZY)
def test_draws_made_on_request_are_the_draws_that_were_kept(lazily, name):
    verb, options = LAZY[name]
    kept, lazy = lazily(verb, **options)
    same = {"rtol": 1e-12, "atol": 1e-12}
    pd.testing.assert_frame_equal(lazy.labels, kept.labels)
    pd.testing.assert_frame_equal(lazy.to_frame(), kept.to_frame(), **same)
    pd.testing.assert_frame_equal(lazy.probability("> 0.4"), kept.probability("> 0.4"), **same)
    pd.testing.assert_frame_equal(lazy.direction(), kept.direction(), **same)
    xr.testing.assert_allclose(lazy.draws, kept.draws, **same)
    pd.testing.assert_frame_equal(lazy.get_draws("wide"), kept.get_draws("wide"), **same)
    pd.testing.assert_frame_equal(lazy.get_draws("long"), kept.get_draws("long"), **same)
    assert repr(lazy) == repr(kept)


def test_draws_made_on_request_stay_the_same_for_new_groups(monkeypatch, small_fit):
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    frame = FRAME.assign(state="ZZ")
    lazy = mrp.predictions(small_fit, newdata=frame, new_levels="gaussian")
    xr.testing.assert_identical(lazy.draws, lazy.draws)


AVERAGES = {
    "poststratify": lambda fit, **to: mrp.poststratify(fit, FRAME, by=["state", "age"], wts="n"),
    "of values": lambda fit, **to: mrp.avg_predictions(
        fit, newdata=FRAME, variables=["age", "gender"], by="state", **to
    ),
    "of link": lambda fit, **to: mrp.avg_predictions(
        fit, newdata=FRAME, by="state", type="link", wts="n", **to
    ),
    "of outcomes": lambda fit, **to: mrp.avg_predictions(
        fit, newdata=FRAME, by="state", kind="predictive", seed=1, **to
    ),
    **{
        name: lambda fit, name=name, **to: mrp.avg_comparisons(
            fit, newdata=FRAME, variables={"age": "pairwise"}, by="state", comparison=name, **to
        )
        for name in ("difference", "ratio", "lift", "lnratio", "lnor")
    },
    "own function": lambda fit, **to: mrp.avg_comparisons(
        fit, newdata=FRAME, variables="age", by="state", comparison=lambda a, b: a**2 - b, **to
    ),
    "slopes": lambda fit, **to: mrp.avg_slopes(fit, newdata=FRAME, by="state", **to),
}
ASKED = {
    "table": lambda made: made.to_frame(ci_kind="hdi", ci_prob=[0.5, 0.9], center="median"),
    "probability": lambda made: made.probability("> 0.5"),
    "direction": lambda made: made.direction(),
    "equivalence": lambda made: made.equivalence([-0.1, 0.4]),
    "long": lambda made: made.get_draws("long"),
    "wide": lambda made: made.get_draws("wide"),
    "statement": lambda made: made.hypothesis("b3 - b1").to_frame(),
    "pairs": lambda made: made.hypothesis("~ sequential").to_frame(),
    "number": lambda made: made.hypothesis(0.25).to_frame(),
    "function": lambda made: made.hypothesis(lambda draws: draws.sum(axis=0)).to_frame(),
    "together": lambda made: mrp.concat([made, made]).to_frame(),
}


@pytest.mark.parametrize("bytes_", [1, 2**20])
@pytest.mark.parametrize("name", AVERAGES)
def test_averages_too_large_to_keep_equal_kept_ones_whatever_is_asked(
    name, bytes_, monkeypatch, small_fit
):
    kept = AVERAGES[name](small_fit)
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    monkeypatch.setattr("mrp.prediction.CACHED_BYTES", bytes_)
    large = AVERAGES[name](small_fit)
    assert isinstance(kept.source, Made)
    assert not isinstance(large.source, Made)
    pd.testing.assert_frame_equal(large.labels, kept.labels)
    xr.testing.assert_allclose(large.draws, kept.draws, rtol=1e-10, atol=1e-12)
    for ask in ASKED.values():
        pd.testing.assert_frame_equal(ask(large), ask(kept), rtol=1e-10, atol=1e-12)
    assert repr(large) == repr(kept)


def test_transformed_averages_too_large_to_keep_equal_kept_ones(monkeypatch, small_fit):
    kept = AVERAGES["poststratify"](small_fit), AVERAGES["slopes"](small_fit, transform=np.exp)
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    large = AVERAGES["poststratify"](small_fit), AVERAGES["slopes"](small_fit, transform=np.exp)
    for made, expected in zip(large, kept, strict=True):
        pd.testing.assert_frame_equal(made.to_frame(), expected.to_frame(), rtol=1e-10)


def test_averages_are_kept_as_long_as_all_of_a_request_are_small(monkeypatch, small_fit):
    states = FRAME["state"].nunique()
    each = 8 * states * small_fit.coefficients.size
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * each)
    made = mrp.avg_predictions(small_fit, newdata=FRAME, variables="age", by="state")
    assert [isinstance(part, Made) for part in made.source.parts] == [True, True, False]


def test_draws_too_large_for_the_memory_are_refused_and_the_table_is_not(lazily, monkeypatch):
    kept, lazy = lazily(mrp.predictions)
    free = 8 * 56 * 40  # what they need; half of it would have to do
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": free})())
    message = (
        "`draws` of 56 rows x 40 draws need 0.0 GiB, got 0.0 GiB free. Average with `by=`, or use "
        "`to_frame()`, which works in blocks."
    )
    for ask in (lambda: lazy.draws, lazy.get_draws, lambda: lazy.get_draws("wide")):
        with raises(RequestError, message):
            ask()
    pd.testing.assert_frame_equal(lazy.to_frame(), kept.to_frame(), rtol=1e-12)
    lazy.probability("> 0.5")
    repr(lazy)


def test_refusal_says_how_much_memory_is_lacking(monkeypatch):
    class Huge:
        n, size = 1_000_000, 4_000

    memory = type("Memory", (), {"available": 12.5 * 2**30})
    monkeypatch.setattr(psutil, "virtual_memory", memory)
    labels = pd.DataFrame({"rowid": range(1_000_000)})
    message = (
        "`draws` of 1,000,000 rows x 4,000 draws need 29.8 GiB, got 12.5 GiB free. Average with "
        "`by=`, or use `to_frame()`, which works in blocks."
    )
    with raises(RequestError, message):
        Estimates(labels, Huge(), 4).draws  # noqa: B018 - the property raises


# --- what is shown --------------------------------------------------------------------------------


def test_terminal_shows_the_table_and_what_it_is():
    estimate = of(
        {"state": ["AL", "CA"]},
        [[0.0, 0.2, 0.3, 0.7], [1.0, 1.0, 1.0, 1.0]],
        about={"quantity": "average defund", "group": "prior"},
    )
    assert repr(estimate) == (
        "state estimate std_error conf_low conf_high\n"
        "   AL    0.300     0.294    0.015     0.670\n"
        "   CA    1.000     0.000    1.000     1.000\n"
        "average defund; mean and 95% equal-tailed interval of 4 prior draws"
    )


@pytest.mark.parametrize(
    ("spread", "shown"), [(0.002, "0.5000"), (0.1, "0.500"), (30.0, "0"), (1e-9, "0.500000")]
)
def test_decimals_show_two_digits_of_the_standard_error(spread, shown):
    draws = 0.5 + spread * np.array([[-1.0, 1.0, -1.0, 1.0]])
    assert repr(of({"state": ["AL"]}, draws)).splitlines()[1].split()[1] == shown


def test_notebook_shows_the_same_table_and_escapes_it():
    estimate = of({"age": ["<30", "30+"]}, np.ones((2, 4)), about={"quantity": "y[<3]"})
    shown = estimate._repr_html_()
    assert "<td>&lt;30</td>" in shown
    assert "<th>conf_high</th>" in shown
    assert shown.endswith(
        "<p>y[&lt;3]; mean and 95% equal-tailed interval of 4 posterior draws</p>"
    )


def test_several_intervals_are_shown_with_their_probabilities():
    estimate = of({"state": ["AL"]}, [[0.0, 0.2, 0.3, 0.7]]).with_interval(ci_prob=(0.5, 0.9))
    assert repr(estimate) == (
        "state estimate std_error conf_low_50 conf_high_50 conf_low_90 conf_high_90\n"
        "   AL    0.300     0.294       0.150        0.400       0.030        0.640\n"
        "average y; mean, 50% and 90% equal-tailed intervals of 4 posterior draws"
    )


def test_table_of_sixty_rows_is_shown_whole():
    assert len(repr(made(rows=60)).splitlines()) == 1 + 60 + 1


def test_longer_table_is_shown_by_its_ends_and_says_how_long_it_is():
    estimate = made(rows=61)
    lines = repr(estimate).splitlines()
    assert len(lines) == 1 + 10 + 1 + 10 + 1
    shown = [line.split()[0] for line in lines[1:-1]]
    assert shown == [*(f"S{k}" for k in range(10)), "…", *(f"S{k}" for k in range(51, 61))]
    assert lines[-1] == ("61 x average y; mean and 95% equal-tailed interval of 40 posterior draws")
    expected = estimate.to_frame()["estimate"].iloc[[9, 51]]
    assert [lines[10].split()[1], lines[12].split()[1]] == [f"{x:.3f}" for x in expected]
    assert estimate._repr_html_().count("<tr>") == 10 + 1 + 10


# --- frozen ---------------------------------------------------------------------------------------


def test_estimates_can_not_be_changed():
    estimate = made()
    with pytest.raises(dataclasses.FrozenInstanceError):
        estimate.chains = 4
    with pytest.raises(ValueError, match=r"view|read-only"):
        estimate.draws[:] = 0
    with pytest.raises(ValueError, match="read-only"):
        estimate.draws.values[0, 0, 0] = 0


def test_changing_what_was_handed_out_does_not_change_the_estimates():
    estimate = made()
    before = estimate.to_frame()
    table, wide, long = estimate.to_frame(), estimate.get_draws("wide"), estimate.get_draws()
    table.loc[:, "estimate"] = 0.0
    wide.iloc[:, :] = 0.0
    long["value"] = 0.0
    pd.testing.assert_frame_equal(estimate.to_frame(), before)


def test_summaries_do_not_change_the_draws():
    estimate = made()
    before = estimate.source.array.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate.to_frame()
        estimate.probability("> 0")
        estimate.to_frame(center="median", ci_kind="hdi", ci_prob=[0.5, 0.9])
        repr(estimate)
    np.testing.assert_array_equal(estimate.source.array, before)


def test_number_of_estimates_is_their_length():
    assert len(made(rows=5)) == 5


def test_numbers_among_the_labels_of_a_longer_table_are_rounded():
    estimate = made(rows=61)
    measured = dataclasses.replace(estimate, labels=estimate.labels.assign(observed=1 / 3))
    assert all(" 0.333333 " in line for line in repr(measured).splitlines()[1:11])


def test_bounds_that_are_no_numbers_of_doubles_are_refused():
    with pytest.raises(RequestError) as error:
        made().equivalence([2**2000, 2**2001])
    assert str(error.value).startswith("`bounds` must be two numbers [low, high] with low < high")
    assert len(str(error.value)) < 400
