"""Design rows: formulae's own matrices, whatever the new data look like, or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import formulae
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrp.design import (
    UNSEEN,
    Block,
    Categorical,
    Design,
    DesignRows,
    Factor,
    _group_index,
    unique_rows,
    variable_name,
)
from mrp.errors import DataError
from mrp.formula.functions import SHORT
from mrp.model.formula import learn
from tests.messages import raises

NAMESPACE: Mapping[str, Any] = {
    "square": lambda x: x**2,
    "order": [3, 1, 2],
    "knots": [0.0, 1.0],
    "band": lambda x: np.where(x > 1, "high", "low"),
}

POPULATION = [
    "1",
    "x",
    "0 + x",
    "k",
    "veteran",
    "age",
    "education",
    "sex",
    "year",
    "0 + age",
    "age - 1",
    "education + age + sex",
    "education * age",
    "education:age",
    "0 + education:age",
    "0 + education * age",
    "age / education",
    "(age + education + sex) ** 2",
    "age * education * sex",
    "x:z",
    "x:education",
    "x * education",
    "0 + x:education",
    "education + x:education",
    "k:age",
    "x:education:age",
    "scale(x)",
    "center(x) + standardize(z)",
    "scale(x) * age",
    "center(x):age",
    "poly(x, 3)",
    "poly(x, 2, raw=True)",
    "poly(x, 2):sex",
    "bs(x, df=4)",
    "bs(x, df=4):sex",
    "bs(x, knots=knots, degree=2, intercept=True)",
    "scale(np.log(z))",
    "np.log(z) + sqrt(z) + log1p(k)",
    "I(x ** 2) + {x * z}",
    "I(x > 0)",
    "C(x > 0)",
    "square(x)",
    "scale(square(z))",
    "band(z)",
    "offset(z) + x",
    "offset(z) + offset(log(k)) + age",
    "offset(0.5) + x",
    "C(k)",
    "C(veteran)",
    "C(k, levels=order)",
    "T(k, ref=2)",
    "T(k, 2, levels=order)",
    "C(education)",
    "C(age)",
    "T(sex)",
    'T(education, ref="4 year")',
    'C(education, Treatment("2 year"))',
    "C(education, Sum)",
    'C(education, Sum("none"))',
    "S(age)",
    'S(education, omit="none")',
    "0 + S(education)",
    "S(education):age",
    "S(age) * x",
    'binary(sex, "man")',
    "B(k, 2):age",
]
GROUPED = [
    "(1 | state)",
    "(x | state)",
    "(0 + x | state)",
    "(age | state)",
    "(0 + age | state)",
    "(sex * age | state)",
    "(x + x:education | state)",
    "(x + z | state)",
    "(scale(x) | state)",
    "(poly(x, 2) | state)",
    "(1 + x || state)",
    "(1 | state) + (0 + x | state)",
    "(1 | state:age)",
    "(x | state:age)",
    "(1 | state / age)",
    "(1 | state) + (1 | education) + (education | sex)",
    "(x | state + age)",
    "(1 | year)",
    "k + (1 | k)",
    "(k | k)",
    "(1 | veteran)",
    "x + (x | C(k))",
    "S(education) + (S(education) | state)",
    '(T(education, ref="4 year") | state)',
    '(1 | T(age, ref="old"))',
]
FORMULAS = [*POPULATION, *GROUPED]


def design_of(formula: str, survey: pd.DataFrame, **namespace: Any) -> Design:
    design, _ = learn(formula, survey, correlated=True, namespace={**NAMESPACE, **namespace})
    return design


Truth = tuple[dict[str, Any], dict[str, Any], Any]


@pytest.fixture(scope="module")
def formulae_matrices(people: pd.DataFrame) -> Callable[[str], Truth]:
    """Matrices of population-level terms, of group-specific terms, and the offsets, by formulae."""
    ordered = people.assign(
        **{name: people[name].cat.as_ordered() for name in ("education", "age", "year")}
    )

    @cache
    def matrices(formula: str) -> Truth:
        found = formulae.design_matrices(
            f"y ~ {formula.replace('||', '|')}",
            ordered,
            extra_namespace={**{name: getattr(np, name) for name in SHORT}, **NAMESPACE},
        )
        common, offset = {}, np.zeros(len(people))
        for name, term in (found.common.terms if found.common is not None else {}).items():
            if term.kind == "offset":
                offset = offset + found.common[name].ravel()
            else:
                common[ours(name)] = found.common[name]
        grouped = {
            ours(name): found.group[name].toarray()
            for name in (found.group.terms if found.group is not None else {})
        }
        return common, grouped, offset

    return matrices


def ours(name: str) -> str:
    """A name of formulae's as it is here: calls have the quotes that Python writes."""
    return variable_name(name.replace('"', "'"))


def group_matrix(rows: DesignRows, block: Block, term: Any) -> Any:
    """A term's effects of all groups as columns, each group's together: as formulae has them."""
    groups = len(block_groups(rows.design, block))
    columns = np.zeros((len(rows), groups, term.width))
    columns[np.arange(len(rows)), rows.groups[block.factor]] = term.columns(rows.values, len(rows))
    return columns.reshape(len(rows), -1)


def block_groups(design: Design, block: Block) -> tuple[str, ...]:
    return design.factors[block.factor].groups


def assert_rows_are(rows: DesignRows, truth: Truth, index: Any = slice(None)) -> None:
    """Every matrix of the rows equals the truth at `index`."""
    common, grouped, offset = truth
    design = rows.design
    assert {term.name for term in design.terms} == set(common)
    wanted = [common[term.name][index] for term in design.terms]
    wanted = np.hstack(wanted) if wanted else np.zeros((len(rows), 0))
    np.testing.assert_allclose(rows.population(), wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(rows.offset(), offset[index], rtol=1e-12)
    assert {b.variable(term) for b in design.blocks for term in b.terms} == set(grouped)
    for block in design.blocks:
        for term in block.terms:
            matrix = group_matrix(rows, block, term)
            np.testing.assert_allclose(
                matrix, grouped[block.variable(term)][index], rtol=1e-12, atol=1e-12
            )


# --- rows are formulae's --------------------------------------------------------------------------


@pytest.mark.parametrize("formula", FORMULAS)
def test_rows_of_the_survey_are_those_of_formulae(
    formula: str, people: pd.DataFrame, formulae_matrices: Callable[[str], Truth]
):
    design = design_of(f"y ~ {formula}", people)
    assert_rows_are(design.rows(people), formulae_matrices(formula))


@pytest.mark.parametrize("formula", FORMULAS)
def test_rows_depend_on_values_and_not_on_the_other_rows_or_types(
    formula: str, people: pd.DataFrame, formulae_matrices: Callable[[str], Truth]
):
    design, truth = design_of(f"y ~ {formula}", people), formulae_matrices(formula)
    order = np.random.default_rng(3).permutation(len(people))[:40]
    some = people.iloc[order].drop(columns="y")
    reversed_levels = {
        name: some[name].cat.reorder_categories(some[name].cat.categories[::-1])
        for name in ("education", "age", "year")
    }
    plain = {name: some[name].astype(object) for name in ("education", "age", "year", "sex")}
    for data in (some, some.assign(**reversed_levels), some.assign(**plain)):
        assert_rows_are(design.rows(data), truth, order)
    for row in order[:3]:
        one = people.iloc[[row]].assign(age=people["age"].cat.remove_unused_categories().iloc[row])
        assert_rows_are(design.rows(one), truth, [row])


@pytest.mark.parametrize("formula", [*GROUPED, "offset(z) + x * age", "1"])
def test_rows_taken_are_the_rows_of_the_taken_table(formula: str, people: pd.DataFrame):
    design = design_of(f"y ~ {formula}", people)
    rows = design.rows(people)
    for index in (np.array([5, 3, 3, 140]), slice(10, 60, 7), slice(None, None, -1), slice(0)):
        taken, again = rows.take(index), design.rows(people.iloc[index])
        assert len(taken) == len(again)
        np.testing.assert_array_equal(taken.population(), again.population())
        np.testing.assert_array_equal(taken.offset(), again.offset())
        for block in design.blocks:
            np.testing.assert_array_equal(taken.effects(block), again.effects(block))
            np.testing.assert_array_equal(taken.groups[block.factor], again.groups[block.factor])


def test_effects_of_a_block_are_its_terms_side_by_side(people: pd.DataFrame):
    design = design_of("y ~ (x + age | state)", people)
    (block,) = design.blocks
    wanted = pd.DataFrame({"1": 1.0, "x": people["x"]})
    for level in ("mid", "old"):
        wanted[level] = (people["age"] == level).astype(float)
    np.testing.assert_array_equal(design.rows(people).effects(block), wanted.to_numpy())
    assert block.labels == ("Intercept", "x", "age[mid]", "age[old]")
    assert block.width == 4


def test_a_transform_keeps_the_mean_and_sd_of_the_survey(people: pd.DataFrame):
    design = design_of("y ~ scale(x) + center(z)", people)
    new = pd.DataFrame({"x": [100.0, 7.0], "z": [50.0, 50.0]})
    wanted = np.column_stack([
        np.ones(2),
        (new["x"] - people["x"].mean()) / people["x"].std(ddof=0),
        new["z"] - people["z"].mean(),
    ])  # fmt: skip
    np.testing.assert_allclose(design.rows(new).population(), wanted, rtol=1e-12)


def test_a_user_s_function_is_called_by_its_name_on_new_data_too(people: pd.DataFrame):
    design = design_of("y ~ 0 + double(x)", people, double=lambda x: 2 * x)
    new = pd.DataFrame({"x": [1.0, 4.0]})
    np.testing.assert_array_equal(design.rows(new).population(), [[2.0], [8.0]])


def test_columns_that_the_formula_does_not_use_may_be_missing_or_anything(people: pd.DataFrame):
    design = design_of("y ~ x + (1 | state)", people)
    assert design.columns == ("x", "state")
    new = people[["state", "x"]].assign(other=None)
    assert_same_rows(design.rows(new), design.rows(people))


def assert_same_rows(ours: DesignRows, theirs: DesignRows) -> None:
    np.testing.assert_array_equal(ours.population(), theirs.population())
    for name, groups in theirs.groups.items():
        np.testing.assert_array_equal(ours.groups[name], groups)


def test_no_rows_are_fine(people: pd.DataFrame):
    design = design_of("y ~ x * age + poly(z, 2) + offset(z) + (x | state)", people)
    rows = design.rows(people.iloc[:0])
    assert len(rows) == 0
    assert rows.population().shape == (0, 8)
    assert rows.effects(design.blocks[0]).shape == (0, 2)
    assert rows.offset().shape == (0,)
    assert rows.new_groups == {}


# --- levels, numbers and groups -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([3, 1, 2], (1, 2, 3)),
        ([True, False, True], (False, True)),
        (["b", "a", "c"], ("a", "b", "c")),
        ([0.5, 2.0, -1.0], (-1.0, 0.5, 2.0)),
        (pd.Categorical([2, 10, 2], categories=[10, 2]), (10, 2)),
        (pd.Categorical(["b", "a", "b"], categories=["b", "z", "a"]), ("b", "a")),
    ],
    ids=["int", "bool", "str", "float", "int categories", "an unused category"],
)
def test_groups_are_numbered_in_the_order_of_their_levels(values: Any, levels: tuple[Any, ...]):
    survey = pd.DataFrame({"y": [1.0, 2.0, 4.0], "g": values})
    design = design_of("y ~ (1 | g)", survey)
    component = design.components["levels of g"]
    assert isinstance(component, Categorical)
    assert component.levels == levels
    assert [type(level) for level in component.levels] == [type(level) for level in levels]
    assert design.factors["g"].groups == tuple(str(level) for level in levels)
    wanted = [levels.index(value) for value in survey["g"].tolist()]
    assert design.rows(survey).groups["g"].tolist() == wanted


@pytest.mark.parametrize("dtype", ["float16", "longdouble", "int8", "uint64", "Float32", "boolean"])
def test_levels_are_the_same_numbers_whatever_their_width(dtype: str, people: pd.DataFrame):
    survey = people.assign(k=people["k"] % 2)
    wanted = design_of("y ~ C(k) + (1 | k)", survey).rows(survey)
    narrow = survey.astype({"k": dtype})
    design = design_of("y ~ C(k) + (1 | k)", narrow)
    for data in (narrow, survey.astype({"k": "int64" if dtype != "boolean" else "bool"})):
        rows = design.rows(data)
        np.testing.assert_array_equal(rows.population(), wanted.population())
        np.testing.assert_array_equal(rows.groups["k"], wanted.groups["k"])


def test_a_column_can_be_a_number_and_a_grouping_factor_at_once(people: pd.DataFrame):
    design = design_of("y ~ k + (k | k)", people)
    rows = design.rows(people)
    np.testing.assert_array_equal(rows.population()[:, 1], people["k"])
    np.testing.assert_array_equal(rows.groups["k"], people["k"] - 1)
    new = pd.DataFrame({"k": [2, 7]})
    rows = design.rows(new)
    assert rows.population()[:, 1].tolist() == [2.0, 7.0]
    assert rows.groups["k"].tolist() == [1, 3]
    assert rows.new_groups == {"k": ("7",)}


def test_new_groups_follow_the_survey_s_in_order_of_their_names(people: pd.DataFrame):
    design = design_of("y ~ (1 | state)", people)
    new = pd.DataFrame({"state": ["WY", "TX", "AK", "WY", "AL"]})
    rows = design.rows(new)
    assert design.factors["state"].groups == ("AL", "CA", "NY", "TX")
    assert rows.groups["state"].tolist() == [5, 3, 4, 5, 0]
    assert rows.new_groups == {"state": ("AK", "WY")}


def test_a_crossed_group_is_new_where_the_survey_lacks_the_combination():
    survey = pd.DataFrame({"y": [1.0, 2.0, 4.0], "a": ["x", "x", "y"], "b": ["1", "2", "2"]})
    design = design_of("y ~ (1 | a:b)", survey)
    assert design.factors["a:b"].groups == ("x:1", "x:2", "y:2")
    new = pd.DataFrame({"a": ["y", "y", "z", "x"], "b": ["1", "2", "1", "9"]})
    rows = design.rows(new)
    assert rows.groups["a:b"].tolist() == [4, 2, 5, 3]
    assert rows.new_groups == {"a:b": ("x:9", "y:1", "z:1")}


def test_a_code_is_unseen_where_the_value_is_not_a_level():
    component = Categorical("g", "g", ("b", "a"))
    plain = pd.Series(["a", "b", "c"])
    for values in (plain, plain.astype("category"), plain.astype(object)):
        assert component.codes(values).tolist() == [1, 0, UNSEEN]
        assert component.codes(values.where(values != "a")).tolist() == [UNSEEN, 0, UNSEEN]


# --- refusals -------------------------------------------------------------------------------------

ADULTS = pd.DataFrame(
    {
        "y": [1.0, 2.0, 4.0, 3.0],
        "income": [1.0, 5.0, 2.0, 3.0],
        "age": pd.Categorical(["18-29", "30-39", "70+", "18-29"]),
        "wave": [1, 2, 3, 1],
        "region": ["North", "South", "North", "South"],
    }
)
FORMULA = "y ~ income + age + C(wave) + I(1 / income) + (1 | region)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.drop(columns=["income", "region"]).assign(incomes=1.0),
            "`newdata` must have every column that the formula uses, lacks ['income', 'region']. "
            "Available: ['y', 'age', 'wave', 'incomes']. Did you mean 'incomes'?",
        ),
        (
            lambda d: d[["y"]],
            "`newdata` must have every column that the formula uses, lacks ['income', 'age', "
            "'wave', 'region']. Available: ['y'].",
        ),
        (
            lambda d: d.assign(income=[np.nan, 1, 2, None], region=["North", None, "x", "y"]),
            "`newdata` must have no missing values in the columns that the formula uses, got 2 in "
            "'income', 1 in 'region' (of 4 rows). Fill them in, or leave those rows out yourself: "
            "`data.dropna(subset=['income', 'region'])`.",
        ),
        (
            lambda d: d.assign(income=[np.inf, 1.0, 2.0, -np.inf]),
            "`newdata` must have finite numbers in 'income', got 2 that are infinite or not a "
            "number. Check the column or its transform.",
        ),
        (
            lambda d: d.assign(income=[0.0, 1.0, 2.0, 3.0]),
            "`newdata` must have finite numbers in 'I(1 / income)', got 1 that are infinite or not "
            "a number. Check the column or its transform.",
        ),
        (
            lambda d: d.assign(age=["18-29", "70", "70", "90+"]),
            "`newdata` must have only levels of 'age' that the survey has, got ['70', '90+'] in 3 "
            "rows. Available: ['18-29', '30-39', '70+']. Did you mean '70+'?",
        ),
        (
            lambda d: d.assign(age="everybody"),
            "`newdata` must have only levels of 'age' that the survey has, got ['everybody'] in 4 "
            "rows. Available: ['18-29', '30-39', '70+']. Recode them, or fit the model on a survey "
            "that has them.",
        ),
        (
            lambda d: d.assign(wave=["1", "2", "3", "1"]),
            "`newdata` must have only levels of 'C(wave)' that the survey has, got ['1', '2', '3'] "
            "in 4 rows. Available: [1, 2, 3]. The survey has values of type int, `newdata` "
            "of type str: convert one of them.",
        ),
        (
            lambda d: d.assign(wave=[4, 5, 4, 1]),
            "`newdata` must have only levels of 'C(wave)' that the survey has, got [4, 5] in 3 "
            "rows. Available: [1, 2, 3]. Recode them, or fit the model on a survey that has "
            "them.",
        ),
    ],
    ids=[
        "missing columns",
        "missing columns, none near",
        "missing values",
        "infinite",
        "an infinite transform",
        "unseen level",
        "unseen level, none near",
        "unseen level of another type",
        "unseen level of the same type",
    ],
)
def test_new_data_that_do_not_fit_are_refused(change: Callable[..., pd.DataFrame], message: str):
    design = design_of(FORMULA, ADULTS)
    with raises(DataError, message):
        design.rows(change(ADULTS))


def test_text_in_place_of_a_number_is_refused():
    design = design_of("y ~ income", ADULTS)
    message = (
        "`the frame` must have a number in 'income', as the survey has, got type 'str' (first "
        "value 'many'). Convert the column with `astype(float)`."
    )
    with raises(DataError, message):
        design.rows(pd.DataFrame({"income": ["many", "few"]}, index=[7, 8]), argument="the frame")


def test_new_data_on_which_a_call_fails_are_refused():
    def positive(x: pd.Series) -> pd.Series:
        if (x <= 0).any():
            raise ValueError("x must be positive")
        return x

    design = design_of("y ~ positive(income)", ADULTS, positive=positive)
    message = (
        "`newdata` must have columns on which `positive(income)` runs, got ValueError: x must be "
        "positive."
    )
    with raises(DataError, message):
        design.rows(ADULTS.assign(income=0.0))


@pytest.mark.parametrize("dtype", ["float32", "Int64", "boolean", "bool[pyarrow]", "int8[pyarrow]"])
def test_any_type_of_number_is_a_number(dtype: str):
    design = design_of("y ~ income", ADULTS)
    data = pd.DataFrame({"income": pd.Series([1, 0]).astype(dtype)})
    assert design.rows(data).population()[:, 1].tolist() == [1.0, 0.0]


# --- equal rows -----------------------------------------------------------------------------------


@given(st.lists(st.tuples(*[st.integers(-2, 2)] * 3), max_size=30))
def test_unique_rows_are_those_of_drop_duplicates(table: list[tuple[int, int, int]]):
    frame = pd.DataFrame(table, columns=["a", "b", "c"], dtype=np.int64)
    first, index = unique_rows([frame[name].to_numpy() for name in frame], len(frame))
    kept = frame.drop_duplicates()
    assert first.tolist() == kept.index.tolist()
    pd.testing.assert_frame_equal(frame.iloc[first[index]].reset_index(drop=True), frame)


def test_without_keys_all_rows_are_one():
    first, index = unique_rows([], 3)
    assert first.tolist() == [0]
    assert index.tolist() == [0, 0, 0]


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=8))
def test_large_keys_do_not_overflow(values: list[int]):
    keys = [np.array(values, dtype=np.int64)] * 5
    first, index = unique_rows(keys, len(values))
    assert len(first) == len(set(values))
    assert [values[row] for row in first[index]] == values


@pytest.mark.parametrize("formula", FORMULAS)
def test_rows_with_equal_keys_are_equal(formula: str, people: pd.DataFrame):
    design = design_of(f"y ~ {formula}", people)
    rows = design.rows(people)
    population = np.column_stack([rows.population(), rows.offset()])
    parts = [population]
    assert_equal_within(rows.population_keys(), population)
    for block in design.blocks:
        parts.append(np.column_stack([rows.effects(block), rows.groups[block.factor]]))
        assert_equal_within(rows.block_keys(block), parts[-1])
    assert_equal_within(rows.keys, np.hstack(parts))


def assert_equal_within(keys: list[Any], columns: Any) -> None:
    first, index = unique_rows(keys, len(columns))
    np.testing.assert_array_equal(columns, columns[first[index]])


@pytest.mark.parametrize(
    ("formula", "population", "block"),
    [
        ("x + z:age + (1 | state)", ["x", "z", "age"], ["state"]),
        ("scale(x) + offset(z) + (0 + k | k)", ["x", "z"], ["k"]),
        ("poly(x, 3):sex + (age | state:year)", ["x", "sex"], ["age", "state", "year"]),
        ("1 + (veteran | state)", [], ["veteran", "state"]),
    ],
)
def test_keys_tell_apart_whatever_the_rows_depend_on(
    formula: str, population: list[str], block: list[str], people: pd.DataFrame
):
    rows = design_of(f"y ~ {formula}", people).rows(people)
    assert_partition_by(rows.population_keys(), people, population)
    assert_partition_by(rows.block_keys(rows.design.blocks[0]), people, block)
    assert_partition_by(rows.keys, people, [*population, *block])


def assert_partition_by(keys: list[Any], people: pd.DataFrame, columns: list[str]) -> None:
    _, index = unique_rows(keys, len(people))
    wanted = people.assign(all=0).groupby(["all", *columns], sort=False, observed=True).ngroup()
    np.testing.assert_array_equal(index, wanted)


# --- groups of crossed columns --------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([3, 90, 8192, 2**20]))
def test_a_group_is_found_by_its_codes_however_many_levels_there_are(
    seed: int, columns: int, levels: int
):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, levels, (40, columns))
    codes[:2] = [[levels - 1] * columns, [0] * columns]  # the largest product of all
    table = sorted(set(map(tuple, codes.tolist())))
    names = [f"c{k}" for k in range(columns)]
    factor = Factor("f", tuple(names), tuple(table), tuple(map(str, table)))
    wanted = np.vstack([codes, rng.integers(UNSEEN, levels + 3, (60, columns))])
    wanted[50:70] = codes[:20] + rng.integers(-1, 2, (20, columns))
    values = {name: wanted[:, k].astype(np.int32) for k, name in enumerate(names)}
    position = {row: k for k, row in enumerate(table)}
    expected = [position.get(tuple(row), UNSEEN) for row in wanted.tolist()]
    assert _group_index(factor, values).tolist() == expected


@pytest.mark.parametrize("shift", [1, 2**11])
def test_five_columns_of_8192_levels_do_not_wrap(shift: int):
    """Codes whose mixed-radix numbers differ by 2**64 are those of different groups."""
    known = (4096, 0, 0, 0, shift)
    other = (0, 0, 0, 0, shift)
    levels = 8191
    factor = Factor("f", tuple("abcde"), (other, (levels,) * 5), ("known", "last"))
    values = {name: np.array([known[k], other[k]], np.int32) for k, name in enumerate("abcde")}
    assert _group_index(factor, values).tolist() == [UNSEEN, 0]
