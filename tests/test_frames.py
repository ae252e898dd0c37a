"""The contract between survey and frame: tables, levels, weights and groups."""

import re
import warnings
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mrp
from mrp.errors import DataError, FrameWarning, RequestError
from mrp.frames import as_pandas, columns_of, grouping, weights_of
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


def test_order_of_an_enum_is_the_order_of_the_groups():
    found = poststratified(TABLES["polars, Enum"], by="age")
    assert found.labels["age"].tolist() == ["old", "young", "middle"]


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
        "(numbers and text, or whole and decimal numbers): convert the column. Say how to draw "
        "new groups: new_levels='gaussian' (from the fitted group distribution), 'uncertainty' or "
        "'old_levels'."
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
        f"({int(unknown.sum())} rows, {share:.1%} of the weight). Did you mean 'CA'? Say how to "
        f"draw new groups: new_levels='gaussian' (from the fitted group distribution), "
        f"'uncertainty' or 'old_levels'."
    )
    with raises(DataError, message):
        poststratified(frame(state=states))


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


def test_weights_go_with_rows_by_position_not_by_index():
    weights = pd.Series([5.0, 7.0], index=[1, 0])
    np.testing.assert_array_equal(weights_of(weights, pd.DataFrame(index=[0, 1])), [5.0, 7.0])


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
def test_group_that_the_message_draws_is_new(name):
    cells = eval(WITHOUT[name][4], {"frame": CELLS})
    fitted = nuisance_fit(name)
    found = mrp.poststratify(fitted, cells, by="state", wts="n", new_levels="gaussian", seed=1)
    assert len(found) == 5
    with pytest.raises(DataError, match="must have only groups of"):
        mrp.poststratify(fitted, cells, by="state", wts="n")


@pytest.mark.xfail(reason="new_levels takes no mapping yet", raises=RequestError)
@pytest.mark.parametrize("name", WITHOUT)
def test_new_group_may_be_named_as_the_message_says(name):
    cells = eval(WITHOUT[name][4], {"frame": CELLS})
    options = eval(f"dict({WITHOUT[name][5]})")
    fitted = nuisance_fit(name)
    found = mrp.poststratify(fitted, cells, by="state", wts="n", seed=1, **options)
    assert len(found) == 5


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
