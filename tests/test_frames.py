"""The contract between survey and frame: tables, levels, weights and groups."""

import re
import warnings
from decimal import Decimal
from functools import cache

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import mrp
from mrp.errors import DataError, FrameWarning, RequestError
from mrp.frames import as_pandas, columns_of, grouping, weights_of
from mrp.plots.layers import interval_layers
from mrp.testing import fake_fit
from tests.cases import FRAME, STATES, SURVEY
from tests.messages import exactly, raises, warns

FORMULA = "y ~ age + x + gender + (1 + gender | state) + (1 | district)"
COLUMNS = ["age", "x", "gender", "state", "district", "n"]


@cache
def fit():
    return fake_fit(FORMULA, SURVEY, family="bernoulli", draws=5)


def frame(**columns):
    """The frame, with some columns replaced and an index that is no row number."""
    return FRAME[[*COLUMNS, "region"]].assign(**columns)


def poststratified(data, **options):
    return mrp.poststratify(fit(), data, **{"by": "state", "wts": "n", **options})


# --- tables ---------------------------------------------------------------------------------------

AGES = pl.Enum(FRAME["age"].cat.categories.tolist())
PLAIN = frame().reset_index(drop=True).assign(age=FRAME["age"].astype(str).to_numpy())
POLARS = pl.DataFrame(PLAIN.to_dict("list"))
TABLES = {
    "pandas": PLAIN,
    "pandas, nullable types": PLAIN.convert_dtypes(dtype_backend="numpy_nullable"),
    "pandas, arrow types": PLAIN.convert_dtypes(dtype_backend="pyarrow"),
    "pandas, object strings": PLAIN.astype({"state": object, "gender": object}),
    "polars": POLARS,
    "polars, lazy": POLARS.lazy(),
    "polars, Enum": POLARS.with_columns(pl.col("age").cast(AGES)),
    "polars, Categorical": POLARS.with_columns(pl.col("age", "gender").cast(pl.Categorical)),
    "pyarrow": pa.Table.from_pandas(PLAIN, preserve_index=False),
    "pyarrow, dictionary": pa.table(
        {
            name: column.dictionary_encode() if pa.types.is_string(column.type) else column
            for name, column in zip(COLUMNS, pa.table(PLAIN[COLUMNS]).columns, strict=True)
        }
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_every_kind_give_the_same_estimates(kind):
    expected = poststratified(FRAME)
    found = poststratified(TABLES[kind])
    np.testing.assert_allclose(found.draws.values, expected.draws.values, rtol=1e-12)
    assert found.labels["state"].tolist() == expected.labels["state"].tolist()


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_every_kind_do_as_rows_to_predict_and_compare(kind):
    for verb, options in ((mrp.predictions, {}), (mrp.comparisons, {"variables": ["age", "x"]})):
        expected = verb(fit(), newdata=PLAIN, **options)
        found = verb(fit(), newdata=TABLES[kind], **options)
        np.testing.assert_allclose(found.draws.values, expected.draws.values, rtol=1e-12)


@pytest.mark.parametrize("kind", TABLES)
def test_survey_may_be_a_table_of_every_kind(kind):
    table = TABLES[kind]
    y = np.arange(len(PLAIN)) % 2
    if isinstance(table, pd.DataFrame):
        survey = table.assign(y=y)
    elif isinstance(table, pa.Table):
        survey = table.append_column("y", pa.array(y))
    else:
        survey = table.with_columns(pl.Series("y", y))
    formula = "y ~ gender + x + (1 | state)"
    found = fake_fit(formula, survey, family="bernoulli")
    expected = fake_fit(formula, PLAIN.assign(y=y), family="bernoulli")
    assert found.design.factors == expected.design.factors
    np.testing.assert_allclose(
        mrp.predictions(found).draws.values, mrp.predictions(expected).draws.values, rtol=1e-12
    )


def test_order_of_an_enum_is_the_order_of_groups_that_the_model_lacks():
    table = TABLES["polars, Enum"].rename({"age": "life"}).with_columns(age=pl.Series(PLAIN["age"]))
    found = poststratified(table, by="life")
    assert found.labels["life"].tolist() == ["old", "young", "middle"]


# --- order of levels ------------------------------------------------------------------------------


def dictionary(values, levels, *, ordered):
    """An arrow column that numbers its levels in this order."""
    codes = pa.array([levels.index(value) for value in values])
    return pa.DictionaryArray.from_arrays(codes, pa.array(levels), ordered=ordered)


def first_seen(values):
    return list(dict.fromkeys(values))


DECLARED = ["none", "2 year", "4 year"]
"""An order that is neither the alphabet's nor, mostly, that of appearance."""
UNORDERED = {
    "polars, strings": lambda v: pl.DataFrame({"edu": v}),
    "polars, Categorical": lambda v: pl.DataFrame({"edu": pl.Series(v, dtype=pl.Categorical)}),
    "polars, of pandas": lambda v: pl.from_pandas(pd.DataFrame({"edu": pd.Categorical(v)})),
    "polars, of ordered pandas": lambda v: pl.from_pandas(
        pd.DataFrame({"edu": pd.Categorical(v, DECLARED, ordered=True)})
    ),
    "polars, lazy": lambda v: pl.LazyFrame({"edu": pl.Series(v, dtype=pl.Categorical)}),
    "arrow": lambda v: pa.table({"edu": pa.array(v).dictionary_encode()}),
    "arrow, numbered otherwise": lambda v: pa.table(
        {"edu": dictionary(v, first_seen(v)[::-1], ordered=False)}
    ),
    "pandas, strings": lambda v: pd.DataFrame({"edu": v}),
    "pandas, objects": lambda v: pd.DataFrame({"edu": pd.Series(v, dtype=object)}),
    "pandas, sorted categories": lambda v: pd.DataFrame({"edu": pd.Categorical(v)}),
    "pandas, dictionary of arrow": lambda v: pd.DataFrame(
        {"edu": pd.arrays.ArrowExtensionArray(dictionary(v, first_seen(v), ordered=False))}
    ),
}
ORDERED = {
    "polars, Enum": lambda v: pl.DataFrame({"edu": pl.Series(v, dtype=pl.Enum(DECLARED))}),
    "arrow": lambda v: pa.table({"edu": dictionary(v, DECLARED, ordered=True)}),
    "arrow, of pandas": lambda v: pa.Table.from_pandas(
        pd.DataFrame({"edu": pd.Categorical(v, DECLARED, ordered=True)})
    ),
    "pandas, ordered": lambda v: pd.DataFrame({"edu": pd.Categorical(v, DECLARED, ordered=True)}),
    "pandas, dictionary of arrow": lambda v: pd.DataFrame(
        {"edu": pd.arrays.ArrowExtensionArray(dictionary(v, DECLARED, ordered=True))}
    ),
}
"""Tables of one column, by what says in which order its levels are."""
PANDAS_CATEGORIES = {
    "pandas, not ordered": lambda v: pd.DataFrame({"edu": pd.Categorical(v, DECLARED)})
}
KINDS = {
    **{f"unordered: {name}": (make, sorted(DECLARED)) for name, make in UNORDERED.items()},
    **{f"ordered: {name}": (make, DECLARED) for name, make in ORDERED.items()},
    **{f"declared: {name}": (make, DECLARED) for name, make in PANDAS_CATEGORIES.items()},
}


def with_columns(table, **columns):
    """The table with numbers and texts, whatever its library."""
    if isinstance(table, pd.DataFrame):
        return table.assign(**columns)
    if isinstance(table, pa.Table):
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        return table
    return table.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5)
@given(order=st.permutations(range(8)))
def test_order_of_rows_changes_neither_levels_nor_reference_nor_contrasts(kind, order):
    make, levels = KINDS[kind]
    rows = list(zip(np.resize(DECLARED, 8).tolist(), np.linspace(-1, 1, 8), strict=True))
    edu, y = zip(*[rows[k] for k in order], strict=True)
    model = mrp.Model("y ~ edu + (1 | edu)", with_columns(make(list(edu)), y=y), family="gaussian")
    assert model.design.components["edu"].levels == tuple(levels)
    assert model.design.components["levels of edu"].levels == tuple(levels)
    assert model.design.terms[1].levels == tuple(levels[1:])
    assert model.design.factors["edu"].groups == tuple(levels)
    survey = model.survey["edu"].astype(str)
    assert survey.tolist() == list(edu)
    draws = mrp.testing.fake_draws(model.design, chains=1, draws=2)
    fit = mrp.Fit.from_draws(model, draws)
    contrasts = mrp.avg_comparisons(fit, variables="edu").labels["contrast"].tolist()
    assert contrasts == [f"{level} - {levels[0]}" for level in levels[1:]]
    assert mrp.avg_predictions(fit, by="edu").labels["edu"].tolist() == levels


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_a_frame_s_rows_does_not_change_that_of_its_groups(kind):
    make, levels = KINDS[kind]
    edu = [DECLARED[2], DECLARED[0], DECLARED[1], DECLARED[0]]
    survey = pd.DataFrame({"x": [1.0, 2.0, 4.0, 3.0], "y": [0.5, 1.0, 2.0, 0.0]})
    plain = fake_fit("y ~ x", survey)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        table = with_columns(make([edu[k] for k in order]), x=np.ones(4))
        found = mrp.avg_predictions(plain, newdata=table, by="edu")
        assert found.labels["edu"].tolist() == levels


IN_FRAMES = [
    "unordered: pandas, strings",
    "unordered: polars, Categorical",
    "unordered: arrow",
    "ordered: polars, Enum",
]
FIRST = ["4 year", "none", "2 year"]
SURVEYS = {
    "ordered": pd.Categorical(DECLARED * 4, DECLARED, ordered=True),
    "not ordered": pd.Categorical(DECLARED * 4, DECLARED),
    "levels": np.array(DECLARED * 4),
    "coded": np.array(DECLARED * 4),
}


G = np.repeat([1, 2, 3, 1], 3)


@cache
def fit_of_education(survey, terms="edu"):
    edu = {"levels": {"edu": DECLARED}} if survey == "levels" else {"namespace": {"of": DECLARED}}
    if survey == "coded":
        terms = terms.replace("edu", "C(edu, levels=of)")
    data = pd.DataFrame({"edu": SURVEYS[survey], "y": np.linspace(-1, 1, 12), "g": G})
    return fake_fit(f"y ~ {terms}", data, chains=1, draws=4, **edu)


@pytest.mark.parametrize("survey", SURVEYS)
@pytest.mark.parametrize("terms", ["edu", "(1 | edu)", "1 + (1 | edu:g)"])
@pytest.mark.parametrize("kind", [*IN_FRAMES, "frame's own order"])
def test_labels_are_in_the_order_of_the_survey_whatever_the_type_of_the_frame(survey, terms, kind):
    fit = fit_of_education(survey, terms)
    if kind == "frame's own order":
        make = lambda v: pd.DataFrame({"edu": pd.Categorical(v, FIRST, ordered=True)})  # noqa: E731
    else:
        make, _ = KINDS[kind]
    table = with_columns(make(FIRST * 3), n=np.arange(1.0, 10.0), g=[1, 2, 3, 2, 3, 1, 3, 1, 2])
    found = mrp.poststratify(fit, table, by="edu", wts="n")
    assert found.labels["edu"].tolist() == DECLARED
    one_by_one = [
        mrp.avg_predictions(fit, newdata=rows, wts="n").draws.values.squeeze()
        for level in DECLARED
        for rows in [as_pandas(table, "frame").query("edu == @level")]
    ]
    np.testing.assert_allclose(found.draws.values.reshape(4, 3).T, one_by_one, rtol=1e-12)
    against_first = found.hypothesis("~ reference").labels["hypothesis"].tolist()
    assert against_first == [f"({level}) - ({DECLARED[0]})" for level in DECLARED[1:]]
    without = mrp.poststratify(fit, table, by="edu", wts="n", re_formula=False)
    assert without.labels["edu"].tolist() == DECLARED
    both = mrp.poststratify(fit, table, by=["g", "edu"], wts="n").labels
    assert both["edu"].tolist() == DECLARED * 3
    dtype = as_pandas(table, "frame")["edu"].dtype
    assert isinstance(found.labels["edu"].dtype, type(dtype))
    if isinstance(dtype, pd.CategoricalDtype):
        assert found.labels["edu"].cat.categories.tolist() == DECLARED
        assert found.labels["edu"].cat.ordered == dtype.ordered


def test_groups_that_the_survey_lacks_come_last_sorted():
    fit = fit_of_education("ordered", "(1 | edu)")
    values = ["zz", "none", "aa", "4 year", "2 year"]
    for edu in (values, pd.Categorical(values, values)):
        frame = pd.DataFrame({"edu": edu})
        found = mrp.poststratify(fit, frame, by="edu", wts=None, new_levels="gaussian", seed=1)
        assert found.labels["edu"].tolist() == [*DECLARED, "aa", "zz"]


def test_levels_of_the_outcome_label_groups_in_their_order():
    data = pd.DataFrame({"trust": ["mid", "low", "high"] * 4, "x": np.linspace(-1, 1, 12)})
    levels = {"trust": ["low", "mid", "high"]}
    fit = fake_fit("trust ~ x", data, family="cumulative", levels=levels, draws=2)
    found = mrp.avg_predictions(fit, newdata=data, by="trust").labels
    assert found["trust"].tolist() == levels["trust"] * 3


def test_a_picture_s_colours_are_in_the_order_of_a_categorical():
    fit = fit_of_education("ordered")
    frame = pd.DataFrame({"edu": pd.Categorical(["4 year", "none", "2 year", "none"], DECLARED)})
    frame["area"] = ["a", "b", "b", "b"]
    found = mrp.avg_predictions(fit, newdata=frame, by=["area", "edu"])
    assert interval_layers(found, color="edu").rows.colors == tuple(DECLARED)


# --- an index ------------------------------------------------------------------------------------


def sorted_by_state(cells):
    return cells.sort_values("state", kind="stable")


INDEXES = {
    "names": [f"cell {k}" for k in range(len(FRAME))],
    "numbers, not in order": np.random.default_rng(1).permutation(len(FRAME)) + 5,
    "dates": pd.date_range("2024-01-01", periods=len(FRAME)),
    "two levels": pd.MultiIndex.from_arrays([FRAME["region"], np.arange(len(FRAME))]),
}


@pytest.mark.parametrize("index", INDEXES)
def test_a_series_of_weights_goes_by_its_index(index):
    cells = frame().set_axis(INDEXES[index], axis=0)
    expected = poststratified(cells).draws.values
    for weights in (cells["n"], sorted_by_state(cells)["n"], cells["n"][::-1]):
        np.testing.assert_array_equal(poststratified(cells, wts=weights).draws.values, expected)
    found = poststratified(sorted_by_state(cells), wts=cells["n"])
    np.testing.assert_allclose(found.draws.values, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "convert",
    [np.asarray, list, tuple, pd.Index, pl.Series, pa.array, lambda n: pa.chunked_array([n])],
)
def test_weights_without_an_index_go_by_position(convert):
    cells = sorted_by_state(frame())
    expected = poststratified(cells).draws.values
    found = poststratified(cells, wts=convert(cells["n"].to_numpy())).draws.values
    np.testing.assert_array_equal(found, expected)


def test_a_labelled_array_goes_by_its_labels_and_a_narwhals_series_by_its_index():
    cells = frame().set_axis(INDEXES["names"], axis=0)
    expected = poststratified(cells).draws.values
    shuffled = sorted_by_state(cells)["n"]
    labelled = xr.DataArray(shuffled.to_numpy(), dims="cell", coords={"cell": shuffled.index})
    for weights in (labelled, nw.from_native(shuffled, series_only=True)):
        np.testing.assert_array_equal(poststratified(cells, wts=weights).draws.values, expected)
    plain = xr.DataArray(cells["n"].to_numpy(), dims="cell")
    np.testing.assert_array_equal(poststratified(cells, wts=plain).draws.values, expected)


STEP = "Pass `.to_numpy()` if it is in the order of the rows, or reset both indexes."


@pytest.mark.parametrize(
    ("table", "weights", "got"),
    [
        ([7, 8], [7, 8, 9], "has [9] besides"),
        ([7, 8, 9], [7, 8], "lacks [9]"),
        ([7, 8], ["7", "8"], "lacks [7, 8] and has ['7', '8'] besides"),
        (range(5), range(5, 10), "lacks [0, 1, 2, … 2 more] and has [5, 6, 7, … 2 more] besides"),
        ([0, 1, 1], [0, 1, 2], "has [2] besides"),
    ],
)
def test_a_series_with_another_index_is_refused(table, weights, got):
    data, series = pd.DataFrame(index=list(table)), pd.Series(1.0, index=list(weights))
    message = f"`wts` must have the index of `frame`, got a Series that {got}. {STEP}"
    with raises(DataError, message):
        weights_of(series, data, "frame")


@pytest.mark.parametrize(("table", "weights"), [([0, 1, 1], [1, 0, 1]), ([0, 1], [0, 1, 1])])
def test_a_label_that_comes_twice_needs_the_same_order(table, weights):
    data, series = pd.DataFrame(index=table), pd.Series(1.0, index=weights)
    message = (
        "`wts` must have the index of `frame` in the same order where a label comes twice, got a "
        f"Series in another order. {STEP}"
    )
    with raises(DataError, message):
        weights_of(series, data, "frame")
    same = pd.Series([1.0, 2.0, 4.0], index=[0, 1, 1])
    twice = pd.DataFrame(index=[0, 1, 1])
    np.testing.assert_array_equal(weights_of(same, twice, "frame"), [1.0, 2.0, 4.0])


@pytest.mark.parametrize("kind", ["polars", "polars, lazy", "pyarrow"])
def test_beside_a_table_without_an_index_a_series_must_be_numbered_by_row(kind):
    expected = poststratified(TABLES[kind]).draws.values
    found = poststratified(TABLES[kind], wts=PLAIN["n"]).draws.values
    np.testing.assert_array_equal(found, expected)
    message = (
        "`wts` must be in the order of the rows of `frame`, which has no index, got a Series with "
        f"one of its own ([{PLAIN.index[-1]}, {PLAIN.index[-2]}, {PLAIN.index[-3]}, … 53 more]). "
        "Pass `.to_numpy()` if it is in that order."
    )
    with raises(DataError, message):
        poststratified(TABLES[kind], wts=PLAIN["n"][::-1])


def test_a_survey_without_an_index_is_remembered_as_one(tmp_path):
    survey = SURVEY[["x", "y"]].reset_index(drop=True)
    weights = np.linspace(1, 2, len(survey))
    of_polars = fake_fit("y ~ x", pl.from_pandas(survey), family="bernoulli", draws=3)
    of_pandas = fake_fit("y ~ x", survey, family="bernoulli", draws=3)
    shuffled = pd.Series(weights)[::-1]
    expected = mrp.avg_predictions(of_pandas, wts=weights).draws.values
    np.testing.assert_array_equal(
        mrp.avg_predictions(of_pandas, wts=shuffled).draws.values, expected
    )
    for fit in (of_polars, mrp.load_fit(of_polars.save(tmp_path / "fit.nc"))):
        with pytest.raises(DataError, match=r"`newdata`, which has no index"):
            mrp.avg_predictions(fit, wts=shuffled)
        found = mrp.avg_predictions(fit, wts=weights).draws.values
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("verb", [mrp.comparisons, mrp.avg_comparisons])
def test_what_a_function_makes_of_a_column_goes_by_its_index(verb):
    cells = frame().set_axis(INDEXES["names"], axis=0)
    expected = verb(fit(), variables={"x": lambda x: (x, x + 1)}, newdata=cells)
    found = verb(fit(), variables={"x": lambda x: (x[::-1], x + 1)}, newdata=cells)
    np.testing.assert_array_equal(found.draws.values, expected.draws.values)
    message = (
        "`variables` must have the index of `newdata`, got a Series that lacks ['cell 0', 'cell "
        f"1', 'cell 2', … 53 more] and has [0, 1, 2, … 53 more] besides. {STEP}"
    )
    with raises(DataError, message):
        verb(fit(), variables={"x": lambda x: (x, x.reset_index(drop=True))}, newdata=cells)


@pytest.mark.parametrize(
    "index",
    [["state"], ["state", "gender"], ["n"], ["district", "age"]],
    ids=":".join,
)
def test_an_index_named_like_a_column_does_not_matter(index, tmp_path):
    named = frame().set_index(index, drop=False)
    by = REGIONS.set_index("state", drop=False)
    for options in ({"by": "state"}, {"by": ["gender", "age"]}, {"by": by}, {"by": None}):
        plain = {k: REGIONS if v is by else v for k, v in options.items()}
        expected = poststratified(frame(), **plain)
        found = poststratified(named, **options)
        np.testing.assert_array_equal(found.draws.values, expected.draws.values)
        pd.testing.assert_frame_equal(found.labels, expected.labels)
    for verb, options in ((mrp.predictions, {}), (mrp.comparisons, {"variables": "age"})):
        found, expected = (verb(fit(), newdata=t, **options) for t in (named, frame()))
        pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame())
    survey = SURVEY.assign(n=1.0).set_index(index, drop=False)
    other = fake_fit(FORMULA, survey, family="bernoulli", draws=5)
    for of in (other, mrp.load_fit(other.save(tmp_path / "fit.nc"))):
        for by_columns in ("state", ["gender", "age"]):
            found, expected = (mrp.avg_predictions(f, by=by_columns) for f in (of, fit()))
            np.testing.assert_array_equal(found.draws.values, expected.draws.values)
        assert len(mrp.datagrid(of, grid_type="balanced")) > 1
        checks = [mrp.pp_check(f, by="state", seed=1).labels for f in (of, fit())]
        pd.testing.assert_frame_equal(*checks)


READ = "Read files with pandas.read_csv or read_parquet."
PART = "One row of a table is `table.iloc[[0]]`, one column `table[['x']]`."


@pytest.mark.parametrize(
    ("table", "kind", "instead"),
    [
        ({"age": ["old"]}, "dict", "Write `pandas.DataFrame(frame)`."),
        ([1, 2], "list", "Write `pandas.DataFrame(frame)`."),
        ("frame.csv", "str", READ),
        (None, "NoneType", READ),
        (np.ones((2, 2)), "ndarray", "Write `pandas.DataFrame(frame, columns=[…])`."),
        (pd.Series([1.0]), "Series", PART),
        (FRAME.iloc[0], "Series", PART),
        (pl.Series([1.0]), "Series", READ),
        (mrp.datagrid, "function", "Call it first, and pass what it returns."),
    ],
)
def test_something_that_is_no_table_is_refused(table, kind, instead):
    message = f"`frame` must be a table (pandas, polars or pyarrow), got {kind}. {instead}"
    with raises(DataError, message):
        as_pandas(table, "frame")


COUNTED = ["age", "x", "gender", "state"]


@cache
def counted_fit():
    return fake_fit("y ~ age + x + gender + (1 | state)", SURVEY, family="bernoulli", draws=5)


IN_INDEX = {
    "groupby().size()": lambda: FRAME.groupby(COUNTED, observed=True).size(),
    "value_counts()": lambda: FRAME[COUNTED].value_counts(),
    "groupby()[n].sum()": lambda: FRAME.groupby(COUNTED, observed=True)["n"].sum(),
    "stacked": lambda: FRAME.pivot_table(
        index=COUNTED[:3], columns="state", values="n", aggfunc="sum", observed=True, fill_value=0
    ).stack(),
    "one column": lambda: FRAME["state"].value_counts(),
}


def advised(message):
    """The Python text in backquotes that a message ends with."""
    return re.findall(r"`([^`]*)`", message)[-1]


@pytest.mark.parametrize("way", IN_INDEX)
def test_counts_in_a_series_are_told_how_to_be_a_table(way):
    counts = IN_INDEX[way]()
    message = (
        "`frame` must be a table (pandas, polars or pyarrow), got Series. Its columns are in the "
        "index: write `frame.reset_index(name='n')`."
    )
    with raises(DataError, message):
        mrp.poststratify(counted_fit(), counts, wts="n")
    table = eval(advised(message), {"frame": counts})
    assert set(table.columns) == {*counts.index.names, "n"}
    if way != "one column":
        assert len(mrp.poststratify(counted_fit(), table, by="state", wts="n")) == 5


@pytest.mark.parametrize(
    "way",
    [
        lambda: FRAME.groupby(COUNTED, observed=True).agg(n=("n", "sum")),
        lambda: FRAME.set_index(COUNTED)[["n"]],
        lambda: FRAME[[*COUNTED, "n"]].pivot_table("n", COUNTED, observed=True),
    ],
)
def test_columns_in_the_index_are_told_how_to_get_out(way):
    table = way()
    message = (
        f"`frame` must have every column that the formula uses, lacks ['age', 'x', 'gender', "
        f"'state']. Available: ['n']. {COUNTED} are in the index: write `frame.reset_index()`."
    )
    with raises(DataError, message):
        mrp.poststratify(counted_fit(), table, wts="n")
    table = eval(advised(message), {"frame": table})
    assert len(mrp.poststratify(counted_fit(), table, by="state", wts="n")) == 5


WIDE = {
    "crosstab": (
        lambda: pd.crosstab([FRAME[name] for name in COUNTED[:3]], FRAME["state"]),
        "frame.reset_index().melt(id_vars=['age', 'x', 'gender'], var_name='state', "
        "value_name='n')",
    ),
    "crosstab, index reset": (
        lambda: pd.crosstab([FRAME[n] for n in COUNTED[:3]], FRAME["state"]).reset_index(),
        "frame.melt(id_vars=['age', 'x', 'gender'], var_name='state', value_name='n')",
    ),
    "from a file": (
        lambda: pd.DataFrame(
            pd.crosstab([FRAME[n] for n in COUNTED[:3]], FRAME["state"]).reset_index().to_numpy(),
            columns=["age", "x", "gender", *STATES],
        ).astype({"x": float, **dict.fromkeys(STATES, int)}),
        "frame.melt(id_vars=['age', 'x', 'gender'], var_name='state', value_name='n')",
    ),
}


@pytest.mark.parametrize("way", WIDE)
def test_values_in_names_of_columns_are_told_how_to_be_rows(way):
    make, code = WIDE[way]
    table = make()
    with pytest.raises(DataError) as refused:
        mrp.poststratify(counted_fit(), table, wts="n")
    ends = f"Values of 'state' are names of columns: write `{code}`."
    assert str(refused.value).endswith(f". {ends}")
    long = eval(code, {"frame": table})
    found = mrp.poststratify(counted_fit(), long, by="state", wts="n")
    expected = FRAME.groupby(COUNTED, observed=True).size().reset_index(name="n")
    wanted = mrp.poststratify(counted_fit(), expected, by="state", wts="n")
    np.testing.assert_allclose(found.draws, wanted.draws, rtol=1e-12)


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_column_names_that_come_twice_are_refused(library):
    names = ["age", "x", "n", "x", "age", "x"]
    table = {
        "pandas": lambda: pd.DataFrame(np.ones((2, 6)), columns=names),
        "pyarrow": lambda: pa.table([pa.array([1.0])] * 6, names=names),
    }[library]()
    message = (
        "`frame` must have different column names, got ['x', 'age'] twice. "
        "Rename or drop one of each."
    )
    with raises(DataError, message):
        as_pandas(table, "frame")


# --- columns, levels and types --------------------------------------------------------------------


def test_missing_column_is_named_with_the_closest_one():
    message = (
        "`frame` must have every column that the formula uses, lacks ['gender']. Available: "
        "['age', 'x', 'Gender', 'state', 'district', 'n', 'region']. Did you mean 'Gender'?"
    )
    with raises(DataError, message):
        poststratified(frame().rename(columns={"gender": "Gender"}))


def test_missing_values_are_counted_by_column():
    states = frame()["state"].where(np.arange(len(FRAME)) > 1)
    x = frame()["x"].where(np.arange(len(FRAME)) != 3)
    message = (
        "`frame` must have no missing values in the columns that the formula uses, got 1 in 'x', "
        "2 in 'state' (of 56 rows). Fill them in, or leave those rows out yourself: "
        "`data.dropna(subset=['x', 'state'])`."
    )
    for by in ("region", "state", None):
        with raises(DataError, message):
            poststratified(frame(state=states, x=x), by=by)


def test_missing_values_in_other_columns_do_not_matter():
    notes = frame().assign(note=["a", None] * (len(FRAME) // 2), count=np.nan)
    found = poststratified(notes)
    np.testing.assert_array_equal(found.draws.values, poststratified(frame()).draws.values)
    rows = mrp.predictions(fit(), newdata=notes)
    assert len(rows.names) == len(rows.draws.estimate) == len(notes)


def test_unknown_level_is_named_with_the_closest_one():
    ages = frame()["age"].astype(str).replace("middle", "midle")
    count = int((ages == "midle").sum())
    message = (
        f"`frame` must have only levels of 'age' that the survey has, got ['midle'] in {count} "
        f"rows. Available: ['young', 'middle', 'old']. Did you mean 'middle'?"
    )
    with raises(DataError, message):
        poststratified(frame(age=ages))


def test_unknown_level_like_no_other_says_what_to_do():
    ages = frame()["age"].astype(str).replace("middle", "45")
    count = int((ages == "45").sum())
    message = (
        f"`frame` must have only levels of 'age' that the survey has, got ['45'] in {count} rows. "
        f"Available: ['young', 'middle', 'old']. Recode them, or fit the model on a survey that "
        f"has them."
    )
    with raises(DataError, message):
        poststratified(frame(age=ages))


def test_level_that_no_respondent_has_is_unknown():
    of_education = fake_fit("y ~ education", SURVEY, family="bernoulli")
    assert "none" in SURVEY["education"].cat.categories
    message = (
        "`newdata` must have only levels of 'education' that the survey has, got ['none'] in 1 "
        "rows. Available: ['primary', 'secondary', 'tertiary']. Recode them, or fit the model on a "
        "survey that has them."
    )
    with raises(DataError, message):
        mrp.predictions(of_education, newdata=pd.DataFrame({"education": ["none"]}))


def test_levels_that_are_numbers_in_one_table_and_text_in_the_other_are_said_to_be():
    of_district = fake_fit("y ~ C(district)", SURVEY, family="bernoulli")
    message = (
        "`newdata` must have only levels of 'C(district)' that the survey has, got ['1', '2', "
        "'3'] in 3 rows. Available: [1, 2, 3]. The survey has values of type int, `newdata` "
        "of type str: convert one of them."
    )
    with raises(DataError, message):
        mrp.predictions(of_district, newdata=pd.DataFrame({"district": ["1", "2", "3"]}))


def test_groups_that_are_numbers_in_one_table_and_text_in_the_other_are_said_to_be():
    message = (
        "`frame` must have only groups of 'district' that the survey has, got ['1', '2', '3'] (56 "
        "rows, 100.0% of the weight). The survey has groups of these names, but of another type "
        "(numbers and text, or whole and decimal numbers): convert the column."
    )
    with raises(DataError, message):
        poststratified(frame(district=FRAME["district"].astype(str)))


@pytest.mark.parametrize("dtype", [float, "Int64", "int8", "category"])
def test_whole_numbers_of_any_type_are_the_same_groups(dtype):
    found = poststratified(frame(district=FRAME["district"].astype(dtype)))
    np.testing.assert_allclose(found.draws.values, poststratified(frame()).draws.values)


def test_number_that_is_text_in_the_frame_is_refused():
    message = (
        "`frame` must have a number in 'x', as the survey has, got type 'str' (first value "
        "'1.5'). Convert the column with `astype(float)`."
    )
    with raises(DataError, message):
        poststratified(frame(x="1.5"))


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_counted(bad):
    x = frame()["x"].where(np.arange(len(FRAME)) > 2, bad)
    message = (
        "`frame` must have finite numbers in 'x', got 3 that are infinite or not a number. "
        "Check the column or its transform."
    )
    with raises(DataError, message):
        poststratified(frame(x=x))


# --- groups that the survey lacks -----------------------------------------------------------------


def test_misspelt_group_is_named_with_its_share_and_the_right_one():
    states = frame()["state"].replace({"CA": "Ca", "VT": "Ve"})
    unknown = states.isin(["Ca", "Ve"])
    share = FRAME["n"][unknown.to_numpy()].sum() / FRAME["n"].sum()
    message = (
        f"`frame` must have only groups of 'state' that the survey has, got ['Ca', 'Ve'] "
        f"({int(unknown.sum())} rows, {share:.1%} of the weight). Did you mean 'CA'? 'Ca' "
        f"differs from 'CA' of the survey in case, blanks, leading zeros or the form of letters "
        f"alone: correct the column."
    )
    with raises(DataError, message):
        poststratified(frame(state=states))


def test_masked_and_complex_weights_are_refused():
    masked = np.ma.masked_less(FRAME["n"].to_numpy(), 5)
    bad = int(masked.mask.sum())
    first = int(np.flatnonzero(masked.mask)[0])
    message = (
        f"`wts` must be finite and 0 or more, got {bad} missing of {len(FRAME)} in the weights "
        f"given (first at row {first}). Correct them, or leave those rows out."
    )
    with raises(DataError, message):
        poststratified(frame(), wts=masked)
    message = (
        "`wts` must be numbers, got type 'complex128' in the weights given. Convert them with "
        "`astype(float)`."
    )
    with raises(DataError, message):
        poststratified(frame(), wts=FRAME["n"].to_numpy() + 0j)


def test_decimals_are_numbers():
    survey = SURVEY.assign(x=[Decimal(f"{x:.2f}") for x in SURVEY["x"]])
    fitted = fake_fit("y ~ x + (1 | state)", survey, family="bernoulli", draws=2)
    plain = fake_fit("y ~ x + (1 | state)", SURVEY.round(2), family="bernoulli", draws=2)
    cells = frame(x=[Decimal(f"{x:.2f}") for x in FRAME["x"]], n=FRAME["n"].map(Decimal))
    ours = mrp.poststratify(fitted, cells, by="state", wts="n")
    theirs = mrp.poststratify(plain, frame(x=FRAME["x"].round(2)), by="state", wts="n")
    np.testing.assert_allclose(ours.draws, theirs.draws)


def test_levels_of_narrow_floats_are_those_that_are_written():
    survey = SURVEY.assign(district=(SURVEY["district"] / 10).astype("float32"))
    fitted = fake_fit("y ~ (1 | district)", survey, family="bernoulli", draws=2)
    assert fitted.design.factors["district"].groups == ("0.1", "0.2", "0.3")
    cells = frame(district=FRAME["district"] / 10)
    ours, theirs = (
        mrp.poststratify(fitted, each, by=None, wts="n").draws
        for each in (cells, cells.astype({"district": "float32"}))
    )
    np.testing.assert_array_equal(ours, theirs)


def test_unknown_group_like_no_other_is_named():
    message = (
        "`newdata` must have only groups of 'state' that the survey has, got ['Quebec'] (56 rows, "
        "100.0% of the weight). Say how to draw new groups: new_levels='gaussian' (from the fitted "
        "group distribution), 'uncertainty' or 'old_levels'."
    )
    with raises(DataError, message):
        mrp.predictions(fit(), newdata=frame(state="Quebec"))


def test_new_group_of_a_nested_factor_is_named_by_all_its_parts():
    nested = fake_fit("y ~ (1 | state / district)", SURVEY, family="bernoulli")
    data = pd.DataFrame({"state": ["AL", "CA"], "district": [9, 1]})
    message = (
        "`newdata` must have only groups of 'state:district' that the survey has, got ['AL:9'] (1 "
        "rows, 50.0% of the weight). Say how to draw new groups: "
        "new_levels='gaussian' (from the fitted group distribution), 'uncertainty' or "
        "'old_levels'."
    )
    with raises(DataError, message):
        mrp.predictions(nested, newdata=data)


# --- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "what"), [(np.nan, "missing"), (np.inf, "infinite"), (-1.0, "negative")]
)
def test_weights_that_are_no_weights_are_counted_and_the_first_is_located(bad, what):
    weights = np.ones(len(FRAME))
    weights[[4, 7]] = bad
    rule = "`wts` must be finite and 0 or more, got 2"
    with raises(
        DataError,
        f"{rule} {what} of 56 in column 'n' (first at row 4). Correct them, or leave those rows "
        f"out.",
    ):
        poststratified(frame(n=weights))
    with raises(
        DataError,
        f"{rule} {what} of 56 in the weights given (first at row 4). Correct them, or leave those "
        f"rows out.",
    ):
        poststratified(frame(), wts=weights)


def test_weights_that_are_missing_in_a_nullable_column_are_missing():
    message = (
        "`wts` must be finite and 0 or more, got 1 missing of 2 in column 'n' (first at row 1). "
        "Correct them, or leave those rows out."
    )
    with raises(DataError, message):
        weights_of("n", pd.DataFrame({"n": pd.array([1, None], dtype="Int64")}))


def test_weights_that_are_all_zero_are_refused():
    message = (
        "`wts` must not all be zero, got 56 zeros in column 'n'. An average needs some weight."
    )
    with raises(DataError, message):
        poststratified(frame(n=0))


def test_weights_that_are_text_are_refused():
    message = (
        "`wts` must be numbers, got type 'str' in column 'region'. "
        "Convert them with `astype(float)`."
    )
    with raises(DataError, message):
        poststratified(frame(), wts="region")


@pytest.mark.parametrize("unit", [1e-310, 1e-3, 1e3, 1e302])
def test_unit_of_the_weights_does_not_matter(unit):
    expected = poststratified(frame(), by="region")
    weights = FRAME["n"] * unit
    found = poststratified(frame(n=weights), by="region")
    np.testing.assert_allclose(found.draws.values, expected.draws.values, rtol=1e-6)
    new = FRAME["state"].replace({"CA": "Quebec"})
    reported = poststratified(frame(n=weights, state=new), by="region", new_levels="gaussian")
    share = FRAME["n"][FRAME["state"] == "CA"].sum() / FRAME["n"].sum()
    assert reported.about["new_groups"]["state"]["share"] == pytest.approx(share, rel=1e-6)


def test_unknown_column_of_weights_is_named_with_the_closest_one():
    message = (
        "`wts` must name a column of `frame`, got 'States'. Available: ['age', 'x', 'gender', "
        "'state', 'district', 'n', 'region']. Did you mean 'state'?"
    )
    with raises(RequestError, message):
        poststratified(frame(), wts="States")


@pytest.mark.parametrize(
    ("weights", "got"),
    [([1.0, 2.0], "2"), (np.ones((56, 2)), "56 x 2"), (3.0, "a single number"), ([], "0")],
)
def test_weights_must_be_one_for_each_row(weights, got):
    message = (
        f"`wts` must have one weight per row of `frame` (56), got {got}. "
        f"Name a column instead, so that they stay together."
    )
    with raises(RequestError, message):
        poststratified(frame(), wts=weights)


@pytest.mark.parametrize("dtype", [bool, "int32", "Int64", "float32", "Float64"])
def test_weights_of_any_numeric_type_are_numbers(dtype):
    weights = weights_of("n", pd.DataFrame({"n": pd.array([1, 0, 1]).astype(dtype)}))
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights, [1.0, 0.0, 1.0])


def test_without_weights_rows_count_equally():
    np.testing.assert_array_equal(weights_of(None, pd.DataFrame(index=range(3))), np.ones(3))


# --- groups ---------------------------------------------------------------------------------------


def test_unknown_column_of_groups_is_named_with_the_closest_one():
    message = (
        "`by` must name columns of `frame`, got 'regoin'. Available: ['age', 'x', 'gender', "
        "'state', 'district', 'n', 'region']. Did you mean 'region'?"
    )
    for by in ("regoin", ["state", "regoin"]):
        with raises(RequestError, message):
            poststratified(frame(), by=by)


def test_column_of_groups_named_twice_is_refused():
    message = "`by` must name each column once, got ['state', 'state']."
    with raises(RequestError, message):
        poststratified(frame(), by=["state", "state"])


def test_missing_values_in_groups_are_counted():
    regions = frame()["region"].where(np.arange(len(FRAME)) > 4)
    message = (
        "`by` must have no missing values, got 5 in 'region'. Fill them in: every row must belong "
        "to a group."
    )
    with raises(DataError, message):
        poststratified(frame(region=regions), by="region")


def test_group_without_weight_is_refused():
    weights = FRAME["n"].where(FRAME["state"] != "VT", 0.0)
    message = (
        "`wts` must give every group of `by` some weight, got none for ['VT']. "
        "Leave those rows out, or correct their weights."
    )
    with raises(DataError, message):
        poststratified(frame(n=weights))
    assert len(poststratified(frame(n=weights), by="region")) == 2


def test_group_without_weight_is_named_by_all_its_columns():
    weights = FRAME["n"].where((FRAME["state"] != "VT") | (FRAME["gender"] == "Man"), 0.0)
    message = (
        "`wts` must give every group of `by` some weight, got none for ['VT, Woman']. "
        "Leave those rows out, or correct their weights."
    )
    with raises(DataError, message):
        poststratified(frame(n=weights), by=["state", "gender"])


def test_codes_of_groups_follow_their_labels():
    data = frame()
    codes, labels = grouping(["state", "age"], data, np.ones(len(data)))
    for column in ("state", "age"):
        assert labels[column].iloc[codes].astype(str).tolist() == data[column].astype(str).tolist()
    assert labels.duplicated().sum() == 0
    assert sorted(set(codes)) == list(range(len(labels)))


def test_no_groups_means_one_group_without_labels():
    codes, labels = grouping(None, frame(), np.ones(len(FRAME)))
    assert (codes == 0).all()
    assert labels.shape == (1, 0)


# --- groups that a table makes --------------------------------------------------------------------

REGIONS = pd.DataFrame({"state": list(STATES), "by": list(STATES.values())})
KINDS_OF_TABLES = {
    "pandas": REGIONS,
    "pandas, another index": REGIONS.set_axis([3, 3, 1, 0, 2]),
    "pandas, categoricals": REGIONS.astype("category"),
    "polars": pl.DataFrame(REGIONS.to_dict("list")),
    "polars, lazy": pl.DataFrame(REGIONS.to_dict("list")).lazy(),
    "pyarrow": pa.Table.from_pandas(REGIONS),
}


@pytest.mark.parametrize("kind", KINDS_OF_TABLES)
def test_table_of_any_kind_maps_states_to_regions(kind):
    found = poststratified(frame(), by=KINDS_OF_TABLES[kind])
    expected = poststratified(frame(), by="region")
    assert found.labels["by"].tolist() == ["south", "north"]
    np.testing.assert_allclose(
        found.draws.sel(by=["north", "south"]).values, expected.draws.values, rtol=1e-12
    )


@pytest.mark.parametrize("kind", TABLES)
def test_frame_of_any_kind_is_mapped(kind):
    found = poststratified(TABLES[kind], by=REGIONS)
    np.testing.assert_allclose(
        found.draws.values, poststratified(frame(), by=REGIONS).draws.values, rtol=1e-12
    )


def test_groups_of_a_table_come_in_its_order_without_those_that_no_row_has():
    table = pd.concat([REGIONS[::-1], pd.DataFrame({"state": ["ON"], "by": ["Canada"]})])
    codes, labels = grouping(table, frame(), np.ones(len(FRAME)))
    assert labels["by"].tolist() == ["north", "south"]
    assert labels["by"].iloc[codes].tolist() == FRAME["region"].tolist()


def test_table_may_map_combinations_of_several_columns_to_labels_of_any_type():
    pairs = [(age, gender) for age in ("young", "middle", "old") for gender in ("Man", "Woman")]
    table = pd.DataFrame(pairs, columns=["age", "gender"])
    table["by"] = [1 if pair == ("young", "Woman") else 2 for pair in pairs]
    codes, labels = grouping(table, frame(), np.ones(len(FRAME)))
    expected = [
        1 if pair == ("young", "Woman") else 2
        for pair in zip(FRAME["age"], FRAME["gender"], strict=True)
    ]
    assert labels["by"].iloc[codes].tolist() == expected


def test_numbers_of_other_types_match():
    table = pd.DataFrame({"district": [1.0, 2.0, 3.0], "by": ["a", "b", "a"]})
    codes, labels = grouping(table, frame(), np.ones(len(FRAME)))
    expected = [{1: "a", 2: "b", 3: "a"}[number] for number in FRAME["district"]]
    assert labels["by"].iloc[codes].tolist() == expected


def test_column_called_by_is_a_group_like_any_other():
    found = poststratified(frame(by=FRAME["region"]), by="by")
    expected = poststratified(frame(), by="region")
    np.testing.assert_array_equal(found.draws.values, expected.draws.values)


@pytest.mark.parametrize(
    ("by", "expected"),
    [(None, []), ("a", ["a"]), (["a", "b"], ["a", "b"]), (("a",), ["a"]), (REGIONS, ["state"])],
)
def test_columns_of_groups_are_those_named_or_those_of_the_table(by, expected):
    assert columns_of(by) == expected


@pytest.mark.parametrize(
    ("table", "got"),
    [
        (REGIONS.rename(columns={"by": "region"}), "['state', 'region']"),
        (REGIONS[["by"]], "['by']"),
    ],
)
def test_table_must_have_labels_and_what_they_label(table, got):
    message = (
        f"`by`, as a table, must have the column 'by' with the groups' labels beside columns of "
        f"`frame`, got {got}."
    )
    with raises(RequestError, message):
        poststratified(frame(), by=table)


def test_column_of_a_table_that_the_frame_lacks_is_named_with_the_closest_one():
    message = (
        "`by` must name columns of `frame`, got 'State'. Available: ['age', 'x', 'gender', "
        "'state', 'district', 'n', 'region']. Did you mean 'state'?"
    )
    with raises(RequestError, message):
        poststratified(frame(), by=REGIONS.rename(columns={"state": "State"}))


def test_table_that_names_a_combination_twice_is_refused():
    table = pd.concat([REGIONS, pd.DataFrame({"state": ["VT", "AL"], "by": ["east", "south"]})])
    message = (
        "`by`, as a table, must name each combination of ['state'] once, got ['VT', 'AL'] again."
    )
    with raises(DataError, message):
        poststratified(frame(), by=table)


def test_table_of_labels_in_another_type_is_told_so():
    table = pd.DataFrame({"district": ["1", "2", "3"], "by": ["a", "a", "b"]})
    message = (
        "`by`, as a table, must give every row of `frame` a label, got none for ['1', '2', '3'] "
        f"({len(FRAME)} rows). The table has them in another type (numbers and text): convert its "
        "column."
    )
    cells = frame().sort_values("district")
    with raises(DataError, message):
        poststratified(cells, by=table)
    numbers = table.assign(district=[1, 2, 3]).rename(columns={"district": 7})
    renamed = cells.assign(**{"other": 1}).rename(columns={"other": 7})
    renamed[7] = renamed["district"]
    assert poststratified(renamed, by=numbers).labels["by"].tolist() == ["a", "b"]


@pytest.mark.parametrize("lack", ["no row", "no label"])
def test_row_that_a_table_has_no_label_for_is_refused(lack):
    count = int((FRAME["state"] == "VT").sum())
    message = (
        f"`by`, as a table, must give every row of `frame` a label, got none for ['VT'] ({count} "
        f"rows). Add them to the table, or leave those rows out."
    )
    vermont = REGIONS["state"] == "VT"
    table = REGIONS[~vermont] if lack == "no row" else REGIONS.assign(
        by=REGIONS["by"].where(~vermont)
    )  # fmt: skip
    with raises(DataError, message):
        poststratified(frame(), by=table)


def test_missing_value_where_a_table_maps_is_refused():
    states = frame()["region"].where(np.arange(len(FRAME)) > 4)
    table = pd.DataFrame({"region": ["north", "south"], "by": ["N", "S"]})
    message = (
        "`by` must have no missing values, got 5 in 'region'. Fill them in: every row must belong "
        "to a group."
    )
    with raises(DataError, message):
        poststratified(frame(region=states), by=table)


def test_group_of_a_table_without_weight_is_refused():
    weights = FRAME["n"].where(FRAME["region"] != "north", 0.0)
    message = (
        "`wts` must give every group of `by` some weight, got none for ['north']. "
        "Leave those rows out, or correct their weights."
    )
    with raises(DataError, message):
        poststratified(frame(n=weights), by=REGIONS)


AVERAGES = (
    "Leave it out: verbs whose names begin with `avg_` then average over all rows, the others "
    "don't average."
)


@pytest.mark.parametrize(
    ("by", "got", "instead"),
    [
        (3, "3", "Name the columns."),
        (len, "builtin_function_or_method", "Name the columns."),
        (True, "True", AVERAGES),
        (False, "False", AVERAGES),
        (np.True_, "True", AVERAGES),
        (np.array(["state", "age"]), "ndarray", "Write by=['state', 'age']."),
        (np.array("state"), "ndarray", "Write by=['state']."),
        (pd.Index(["state"]), "Index", "Write by=['state']."),
        (pd.Series(["state", "age"]), "Series", "Write by=['state', 'age']."),
        (FRAME["state"], "Series", "Write by=['state']."),
        ({"state", "age"}, "set", "Write by=['age', 'state']."),
        (pd.Index([]), "Index", "Name the columns."),
        (
            {"state": "by"},
            "dict",
            "Make a table of values and labels: `pandas.DataFrame({…, 'by': […]})`.",
        ),
    ],
)
def test_groups_that_are_neither_columns_nor_a_table_are_refused(by, got, instead):
    message = (
        f"`by` must be the name of a column, a list of names, or a table that maps values to "
        f"groups, got {got}. {instead}"
    )
    for verb in (mrp.avg_predictions, mrp.predictions, mrp.avg_comparisons, mrp.avg_slopes):
        with raises(RequestError, message):
            verb(fit(), newdata=frame(), by=by)
    with raises(RequestError, message):
        poststratified(frame(), by=by)


@pytest.mark.parametrize("by", ["state + age", "state, age", "~ state + age", "state:age"])
def test_groups_written_as_a_formula_are_told_to_be_a_list(by):
    message = (
        f"`by` must name columns of `frame`, got {by!r}. Available: ['age', 'x', 'gender', "
        f"'state', 'district', 'n', 'region']. Write by=['state', 'age']."
    )
    with raises(RequestError, message):
        poststratified(frame(), by=by)


def test_groups_in_a_list_in_a_list_are_refused():
    for verb in (mrp.avg_predictions, mrp.predictions, mrp.avg_comparisons):
        with raises(RequestError, "`by` must be a list of the names of columns, got [['age']]."):
            verb(fit(), by=[["age"]])


# --- cells that are not there ---------------------------------------------------------------------


def test_cells_that_are_equal_add_up():
    cells = frame().reset_index(drop=True)
    merged = cells.groupby(COLUMNS[:-1], observed=True, as_index=False)["n"].sum()
    assert len(merged) < len(cells)
    np.testing.assert_allclose(
        poststratified(merged).draws.values, poststratified(cells).draws.values, rtol=1e-10
    )


def test_area_of_the_survey_without_cells_gets_a_warning_and_no_row():
    cells = frame()[FRAME["state"].to_numpy() != "VT"]
    message = (
        "`frame` has no cells for ['VT'] of 'state': no estimate is made for them. "
        "Add cells for those that you want."
    )
    with warns(FrameWarning, message):
        found = poststratified(cells)
    assert found.labels["state"].tolist() == ["AL", "CA", "NY", "TX"]


def test_level_of_a_population_level_term_without_cells_gets_a_warning():
    cells = frame(age=FRAME["age"].astype(str))[FRAME["age"].to_numpy() != "old"]
    message = (
        "`frame` has no cells for ['old'] of 'age': no estimate is made for them. "
        "Add cells for those that you want."
    )
    with warns(FrameWarning, message):
        poststratified(cells, by="age")


def test_category_without_cells_gets_a_warning_and_no_row():
    regions = pd.Categorical(FRAME["region"], ["east", "north", "south", "west"])
    message = (
        "`frame` has no cells for ['east', 'west'] of 'region': no estimate is made for them. "
        "Add cells for those that you want."
    )
    with warns(FrameWarning, message):
        found = poststratified(frame(region=regions), by="region")
    assert found.labels["region"].tolist() == ["north", "south"]


def test_area_of_a_table_without_cells_gets_a_warning():
    cells = frame()[FRAME["state"].to_numpy() != "VT"]
    message = (
        "`frame` has no cells for ['VT'] of 'state': no estimate is made for them. "
        "Add cells for those that you want."
    )
    with warns(FrameWarning, message):
        found = poststratified(cells, by=REGIONS)
    assert found.labels["by"].tolist() == ["south", "north"]


def test_warnings_point_to_the_users_line():
    cells = frame()[FRAME["state"].to_numpy() != "VT"]
    with pytest.warns(FrameWarning) as absent:
        mrp.poststratify(fit(), cells, by="state", wts="n")
    with pytest.warns(FrameWarning) as shares:
        mrp.poststratify(fit(), within_states(), wts="n")
    assert {warning.filename for warning in [*absent, *shares]} == {__file__}


@pytest.mark.parametrize("one", [int, float, "int8", "Int64", "category"])
@pytest.mark.parametrize("other", [int, float, "int8", "Int64", "category"])
def test_equal_numbers_of_other_types_are_the_same_area(one, other):
    survey, cells = (
        SURVEY.astype({"district": one}),
        frame(district=FRAME["district"].astype(other)),
    )
    of_district = fake_fit("y ~ (1 | district)", survey, family="bernoulli", draws=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mrp.poststratify(of_district, cells, by="district", wts="n")
    assert found.labels["district"].tolist() == [1, 2, 3]
    third = survey["district"].astype(object).max()
    message = (
        f"`frame` has no cells for [{third}] of 'district': no estimate is made for them. Add "
        "cells for those that you want."
    )
    with warns(FrameWarning, message):
        mrp.poststratify(of_district, cells[FRAME["district"] < 3], by="district", wts="n")


# --- levels that look alike -----------------------------------------------------------------------


def test_levels_of_a_survey_that_look_alike_get_one_warning_for_each_column():
    states = SURVEY["state"].where(SURVEY.index % 7 != 0, SURVEY["state"].str.lower() + " ")
    genders = SURVEY["gender"].where(SURVEY.index % 5 != 0, "woman")
    survey = SURVEY.assign(state=states, gender=genders)
    with pytest.warns(FrameWarning) as said:
        fake_fit("y ~ gender + (1 | state) + (gender | state:gender)", survey, family="bernoulli")
    count = "and count as different"
    assert sorted(str(warning.message) for warning in said) == [
        "`data` has levels of 'gender' that differ only by blanks, case or Unicode normalisation, "
        f"{count}: 'woman' and 'Woman'. Recode those that are the same.",
        "`data` has levels of 'state' that differ only by blanks, case or Unicode normalisation, "
        f"{count}: 'al ' and 'AL', 'ca ' and 'CA', 'ny ' and 'NY', 'tx ' and 'TX', 'vt ' and 'VT'. "
        "Recode those that are the same.",
    ]
    assert {warning.filename for warning in said} == {__file__}


def test_levels_of_an_outcome_that_look_alike_get_a_warning():
    message = (
        "`data` has levels of 'trust' that differ only by blanks, case or Unicode normalisation, "
        "and count as different: 'low' and 'Low'. Recode those that are the same."
    )
    trust = np.resize(["Low", "high", "low"], len(SURVEY))
    with warns(FrameWarning, message):
        mrp.Model("trust ~ x", SURVEY.assign(trust=trust), family="categorical")


def test_areas_of_a_frame_that_look_alike_get_a_warning():
    regions = FRAME["region"].where(np.arange(len(FRAME)) % 3 > 0, "South")
    message = (
        "`frame` has levels of 'region' that differ only by blanks, case or Unicode "
        "normalisation, and count as different: 'south' and 'South'. Recode those that are the "
        "same."
    )
    with warns(FrameWarning, message):
        poststratified(frame(region=regions), by="region")


def test_unknown_level_that_looks_like_a_known_one_says_so():
    message = (
        "`frame` must have only levels of 'gender' that the survey has, got ['woman '] in "
        f"{(FRAME['gender'] == 'Woman').sum()} rows. Available: ['Man', 'Woman']. Did you mean "
        "'Woman'? It differs only by blanks, case or Unicode normalisation."
    )
    with raises(DataError, message):
        poststratified(frame(gender=FRAME["gender"].replace("Woman", "woman ")))


def test_complete_frame_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poststratified(frame(), by=["state"])
        mrp.avg_predictions(fit(), newdata=frame()[FRAME["state"] != "VT"], by="state", wts="n")


# --- shares within areas --------------------------------------------------------------------------


def within_states(noise=0.0):
    """The frame with weights that sum to 100 in each state, up to relative noise."""
    totals = FRAME.groupby("state")["n"].transform("sum")
    rng = np.random.default_rng(1)
    shares = 100 * FRAME["n"] / totals * (1 + noise * rng.uniform(-1, 1, len(FRAME)))
    return frame(n=shares)


SHARES = (
    "`wts` sum to 100 for each of the 5 values of 'state': they look like shares within 'state', "
    "and averaging across it counts all of them equally. Use population counts, or `by='state'`."
)


@pytest.mark.parametrize("by", [None, "region", ["gender", "age"], REGIONS])
def test_shares_within_areas_averaged_across_areas_get_a_warning(by):
    with warns(FrameWarning, SHARES):
        poststratified(within_states(), by=by)


def test_shares_that_were_rounded_still_get_the_warning():
    with pytest.warns(FrameWarning, match=r"they look like shares within 'state'"):
        poststratified(within_states(noise=1e-4), by=None)


@pytest.mark.parametrize("by", ["state", ["state", "gender"]])
def test_shares_within_areas_averaged_within_areas_get_none(by):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poststratified(within_states(), by=by)


def test_counts_and_equal_cells_get_no_warning_of_shares():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poststratified(frame(), by="region")
        poststratified(within_states(), by="region", wts=None)


def test_full_message_pattern_matches_nothing_more():
    assert exactly("a.b") != exactly("a.b ")
    with pytest.raises(AssertionError), raises(ValueError, "a"):
        raise ValueError("ab")


# --- frames without a grouping column -------------------------------------------------------------

POLLS = SURVEY.assign(
    poll=[f"poll {k % 7}" for k in range(len(SURVEY))],
    interviewer=[k % 11 for k in range(len(SURVEY))],
)
LEAST = "The first has the least uncertainty, as it is of these groups alone, the last the most."
WITHOUT = {
    "a poll": (
        "y ~ age + (1 | state) + (1 + x | poll)",
        ["poll"],
        "frame.merge(fit.survey[['poll']].value_counts(normalize=True).reset_index(), how='cross')",
        "re_formula='(1 | state)'",
        "frame.assign(poll='new')",
        "new_levels={'poll': ['new']}",
    ),
    "an interviewer with a number, and a poll": (
        "y ~ age + (1 | poll) + (x || state) + (1 | interviewer)",
        ["poll", "interviewer"],
        "frame.merge(fit.survey[['poll', 'interviewer']].value_counts(normalize=True)"
        ".reset_index(), how='cross')",
        "re_formula='(1 + x || state)'",
        "frame.assign(poll='new', interviewer=11)",
        "new_levels={'poll': ['new'], 'interviewer': [11]}",
    ),
    "the only factor": (
        "y ~ age + (1 | poll)",
        ["poll"],
        "frame.merge(fit.survey[['poll']].value_counts(normalize=True).reset_index(), how='cross')",
        "re_formula=False",
        "frame.assign(poll='new')",
        "new_levels={'poll': ['new']}",
    ),
    "a part of a nested factor": (
        "y ~ age + (1 | state / district)",
        ["district"],
        "frame.merge(fit.survey.groupby(['state'])[['district']].value_counts(normalize=True)"
        ".reset_index(), how='left', on=['state'])",
        "re_formula='(1 | state)'",
        "frame.assign(district=4)",
        "new_levels={'district': [4]}",
    ),
}
CELLS = FRAME[["age", "x", "state", "region", "n"]]


@cache
def nuisance_fit(name):
    return fake_fit(WITHOUT[name][0], POLLS, family="bernoulli", draws=5)


@pytest.mark.parametrize("name", WITHOUT)
def test_frame_without_a_grouping_column_is_told_three_ways(name):
    _, lacks, merged, left_out, assigned, drawn = WITHOUT[name]
    with pytest.raises(DataError) as refused:
        mrp.poststratify(nuisance_fit(name), CELLS, wts="n")
    assert str(refused.value) == (
        f"`frame` must have every column that the formula uses, lacks {lacks}. Available: "
        f"['age', 'x', 'state', 'region', 'n']. Only groups are made of {lacks}. Average over "
        f"those of the survey: `{merged}`, with weights times its 'proportion'; or count their "
        f"effects as zero: `{left_out}`; or draw a new group: `{assigned}` and `{drawn}`. {LEAST}"
    )


@pytest.mark.parametrize("name", WITHOUT)
def test_average_over_the_surveys_groups_is_what_the_message_says(name):
    fitted, merged = nuisance_fit(name), WITHOUT[name][2]
    cells = eval(merged, {"frame": CELLS, "fit": fitted})
    np.testing.assert_allclose(
        cells.groupby(list(CELLS.columns), observed=True)["proportion"].sum(),
        CELLS.groupby(list(CELLS.columns), observed=True).size(),
        rtol=1e-12,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing looks like shares within the groups
        wts = (cells["n"] * cells["proportion"]).to_numpy()
        found = mrp.poststratify(fitted, cells, by="state", wts=wts)
    assert len(found) == 5


@pytest.mark.parametrize("name", WITHOUT)
def test_leaving_the_groups_out_is_what_the_message_says(name):
    options = eval(f"dict({WITHOUT[name][3]})")
    assert len(mrp.poststratify(nuisance_fit(name), CELLS, by="state", wts="n", **options)) == 5


@pytest.mark.parametrize("name", WITHOUT)
def test_new_group_may_be_named_as_the_message_says(name):
    cells = eval(WITHOUT[name][4], {"frame": CELLS})
    options = eval(f"dict({WITHOUT[name][5]})")
    fitted = nuisance_fit(name)
    found = mrp.poststratify(fitted, cells, by="state", wts="n", seed=1, **options)
    assert len(found) == 5
    with pytest.raises(DataError, match="must have only groups of"):
        mrp.poststratify(fitted, cells, by="state", wts="n")


def test_column_that_a_population_level_term_has_too_can_not_be_left_out():
    fitted = fake_fit("y ~ poll + (1 | state) + (1 | poll)", POLLS, family="bernoulli", draws=2)
    message = (
        "`frame` must have every column that the formula uses, lacks ['poll']. Available: ['age', "
        "'x', 'state', 'region', 'n']."
    )
    with raises(DataError, message):
        mrp.poststratify(fitted, CELLS, wts="n")


def test_column_that_the_formula_uses_is_not_taken_for_another():
    fitted = fake_fit("y ~ state2 + (1 | state)", POLLS.assign(state2=POLLS["x"]),
                      family="bernoulli", draws=2)  # fmt: skip
    message = (
        "`frame` must have every column that the formula uses, lacks ['state2']. Available: "
        "['age', 'x', 'state', 'region', 'n']."
    )
    with raises(DataError, message):
        mrp.poststratify(fitted, CELLS, wts="n")
