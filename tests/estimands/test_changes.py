"""What variables change to: pairs of values, their labels, settings, and what means nothing."""

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.errors import DataError, RequestError
from mrp.estimands.changes import crossed, levels_in, pairs_of, settings_of
from mrp.estimands.contrasts import FORMULAS
from mrp.estimands.grids import levels_of
from mrp.testing import fake_fit
from tests import loops
from tests.cases import FRAME, SURVEY
from tests.messages import raises

FORMULA = (
    "y ~ age + gender + military + x + np.log(exposure) + C(district) + open + (1 | state:region)"
)
X = pd.Series([0.5, 2.0])
XS = SURVEY["x"].tolist()
MEAN = sum(XS) / len(XS)
SD = (sum((x - MEAN) ** 2 for x in XS) / (len(XS) - 1)) ** 0.5


@cache
def fit():
    return fake_fit(FORMULA, SURVEY.assign(open=SURVEY["x"] > 0), family="bernoulli", draws=2)


@cache
def without_survey():
    return dataclasses.replace(fit(), survey=None)


def pairs(variables):
    """For each pair: variable, label, and what hi and lo make of a column."""
    return [
        (p.variable, p.label(FORMULAS["difference"], averaged=False), p.hi.of(X), p.lo.of(X))
        for own in pairs_of(fit(), variables).values()
        for p in own
    ]


def values(variables):
    """For each setting, the values by column."""
    settings = settings_of(fit(), variables)
    for setting in settings:
        assert all(value.of(X) == value.name for value in setting.values())
    return [{name: value.name for name, value in setting.items()} for setting in settings]


# --- pairs ----------------------------------------------------------------------------------------


def test_levels_are_compared_with_the_first_in_their_order():
    expected = [
        ("age", "middle - young", "middle", "young"),
        ("age", "old - young", "old", "young"),
    ]
    assert pairs("age") == pairs({"age": "reference"}) == pairs({"age": None}) == expected


@pytest.mark.parametrize(
    ("contrast", "expected"),
    [
        ("reference", ["middle - young", "old - young"]),
        ("sequential", ["middle - young", "old - middle"]),
        ("pairwise", ["middle - young", "old - young", "old - middle"]),
        ("revpairwise", ["young - middle", "young - old", "middle - old"]),
        (
            "all",
            [
                "middle - young",
                "old - young",
                "young - middle",
                "old - middle",
                "young - old",
                "middle - old",
            ],
        ),
        ("minmax", ["old - young"]),
        (["old", "middle"], ["middle - old"]),
    ],
)
def test_contrasts_of_levels_are_written_high_minus_low(contrast, expected):
    found = pairs({"age": contrast})
    assert [label for _, label, *_ in found] == expected
    assert [f"{hi} - {lo}" for *_, hi, lo in found] == expected


def test_pair_of_levels_is_written_low_high_and_gives_high_minus_low():
    assert pairs({"age": ["old", "middle"]}) == [("age", "middle - old", "middle", "old")]
    assert pairs({"age": ("old", "old")}) == [("age", "old - old", "old", "old")]


def test_numbers_that_are_0_or_1_are_compared_at_1_and_0():
    assert pairs("military") == [("military", "1 - 0", 1, 0)]


def test_truth_values_are_compared_at_true_and_false():
    ((variable, _, hi, lo),) = pairs("open")
    assert (variable, hi, lo) == ("open", True, False)


@pytest.mark.parametrize(
    ("step", "label"), [(None, "+1"), (2, "+2"), (0.25, "+0.25"), (-1, "-1"), (1000, "+1000")]
)
def test_other_numbers_are_compared_a_step_apart(step, label):
    ((variable, found, hi, lo),) = pairs({"x": step})
    assert (variable, found) == ("x", label)
    pd.testing.assert_series_equal(hi, X + (1 if step is None else step))
    pd.testing.assert_series_equal(lo, X)


def test_step_of_a_number_that_is_0_or_1_is_a_step():
    ((_, label, hi, _),) = pairs({"military": 1})
    assert label == "+1"
    pd.testing.assert_series_equal(hi, X + 1)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "Int16", "bool", "float32"])
def test_step_goes_beyond_what_the_columns_type_can_hold(dtype):
    column = pd.Series([0, 1]).astype(dtype)
    for step in (1000, -1):
        ((pair,),) = pairs_of(fit(), {"x": step}).values()
        assert pair.hi.of(column).tolist() == [step, step + 1]


def test_pair_of_numbers_is_compared_as_written():
    assert pairs({"x": [0, 2.5]}) == [("x", "2.5 - 0", 2.5, 0)]
    assert pairs({"exposure": (1, 2)}) == [("exposure", "2 - 1", 2, 1)]
    assert pairs({"x": np.array([0.0, 1.0])}) == [("x", "1.0 - 0.0", 1.0, 0.0)]


@pytest.mark.parametrize(
    ("contrast", "label", "hi", "lo"),
    [
        ("sd", "(x + sd/2) - (x - sd/2)", MEAN + SD / 2, MEAN - SD / 2),
        ("2sd", "(x + sd) - (x - sd)", MEAN + SD, MEAN - SD),
        ("iqr", "Q3 - Q1", loops.quantile(XS, 0.75), loops.quantile(XS, 0.25)),
        ("minmax", "Max - Min", max(XS), min(XS)),
    ],
)
def test_spreads_of_a_number_are_those_of_the_survey(contrast, label, hi, lo):
    ((variable, found, *sides),) = pairs({"x": contrast})
    assert (variable, found) == ("x", label)
    np.testing.assert_allclose(sides, [hi, lo], rtol=1e-12)


def test_function_of_a_column_returns_low_and_high():
    ((_, label, hi, lo),) = pairs({"x": lambda x: (x - 1, 2 * x)})
    assert label == "custom"
    pd.testing.assert_series_equal(hi, 2 * X)
    pd.testing.assert_series_equal(lo, X - 1)


@pytest.mark.parametrize(
    ("contrast", "label"),
    [
        (2, "(x + 2) / x"),
        (-0.5, "(x - 0.5) / x"),
        ("sd", "(x + sd/2) / (x - sd/2)"),
        ("minmax", "Max / Min"),
        ([0, 1], "1 / 0"),
        (lambda x: (x, 2 * x), "hi(x) / lo(x)"),
    ],
)
def test_other_contrasts_name_both_values(contrast, label):
    ((pair,),) = pairs_of(fit(), {"x": contrast}).values()
    assert pair.label(FORMULAS["ratio"], averaged=False) == label


def test_contrast_of_averages_is_written_as_one():
    ((pair,),) = pairs_of(fit(), "gender").values()
    assert pair.label(FORMULAS["ratio"], averaged=True) == "mean(Woman) / mean(Man)"
    assert pair.label(FORMULAS["difference"], averaged=True) == "Woman - Man"


def test_numbers_taken_as_levels_are_compared_as_levels():
    assert [label for _, label, *_ in pairs("district")] == ["2 - 1", "3 - 1"]


def test_groups_are_compared_as_levels():
    assert pairs({"state": ["VT", "AL"]}) == [("state", "AL - VT", "AL", "VT")]
    assert len(pairs("state")) == 4


def test_several_variables_come_in_the_order_asked_for():
    assert [name for name, *_ in pairs(["x", "age", "military"])] == ["x", "age", "age", "military"]
    assert [name for name, *_ in pairs({"military": None, "x": 2})] == ["military", "x"]


def test_by_default_all_columns_of_the_population_level_terms_are_compared():
    expected = ["age", "gender", "military", "x", "exposure", "district", "open"]
    assert list(pairs_of(fit(), None)) == expected


def test_columns_that_only_offsets_have_are_not_among_them():
    counts = fake_fit("count ~ x + offset(np.log(exposure))", SURVEY, family="poisson", draws=2)
    assert list(pairs_of(counts, None)) == ["x"]
    assert list(pairs_of(counts, "exposure")) == ["exposure"]


def test_crossed_pairs_are_all_combinations_the_first_varying_slowest():
    found = crossed(pairs_of(fit(), {"age": "sequential", "gender": None, "district": None}))
    names = [tuple(pair.hi.name for pair in pairs) for pairs in found]
    assert names == [(a, "Woman", d) for a in ("middle", "old") for d in (2, 3)]


# --- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("age", ("young", "middle", "old")),
        ("district", (1, 2, 3)),
        ("state", ("AL", "CA", "NY", "TX", "VT")),
        ("region", ("north", "south")),
        ("x", None),
        ("exposure", None),
        ("military", None),
    ],
)
def test_levels_are_those_of_the_model(column, expected):
    assert levels_of(fit().design, column) == expected
    assert levels_in(fit(), column) == expected


def test_number_that_the_formula_cuts_into_levels_changes_as_a_number():
    cut = fake_fit("y ~ C(x > 2) + gender", SURVEY, family="bernoulli", draws=3)
    data = pd.DataFrame({"x": [1.5, 0.0], "gender": "Man"})
    found = mrp.comparisons(cut, variables="x", newdata=data)
    assert found.labels["contrast"].tolist() == ["+1", "+1"]
    assert (found.draws.values[..., 0] != 0).all()
    assert (found.draws.values[..., 1] == 0).all()


@pytest.mark.parametrize("term", ["I(gender == 'Woman')", "short(gender)"])
def test_text_that_the_formula_recodes_changes_among_its_own_values(term):
    recoded = fake_fit(
        f"y ~ {term}",
        SURVEY,
        family="bernoulli",
        draws=3,
        namespace={"short": lambda gender: gender.str[:1]},
    )
    assert levels_in(recoded, "gender") == ("Man", "Woman")
    found = mrp.comparisons(recoded, variables="gender", newdata=FRAME)
    sides = [
        mrp.predictions(recoded, newdata=FRAME.assign(gender=gender)).draws.values
        for gender in ("Woman", "Man")
    ]
    np.testing.assert_allclose(found.draws.values, sides[0] - sides[1], rtol=1e-12)


# --- settings -------------------------------------------------------------------------------------


def test_categorical_takes_all_its_levels_in_order():
    assert values("age") == [{"age": level} for level in ("young", "middle", "old")]
    assert values("district") == [{"district": number} for number in (1, 2, 3)]


def test_number_that_is_0_or_1_takes_both():
    assert values("military") == [{"military": 0}, {"military": 1}]
    assert values("open") == [{"open": False}, {"open": True}]


def test_other_numbers_take_minimum_quartiles_and_maximum():
    found = [setting["x"] for setting in values("x")]
    expected = [loops.quantile(XS, p) for p in (0, 0.25, 0.5, 0.75, 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_value_that_comes_twice_counts_once():
    data = SURVEY.assign(x=[0.0] * 60 + [2.0] * 20 + [3.0] * 10)
    few = fake_fit("y ~ x", data, family="bernoulli", draws=2)
    assert [setting["x"].name for setting in settings_of(few, "x")] == [0.0, 2.0, 3.0]
    assert values({"x": [1, 2, 1]}) == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (2, [2]),
        ([0, 1.5], [0, 1.5]),
        (np.array([0.0, 1.5]), [0.0, 1.5]),
        (max, [max(XS)]),
        (lambda x: [x.min(), 0], [min(XS), 0]),
        (pd.Series([3, 1]), [3, 1]),
        (range(2), [0, 1]),
    ],
)
def test_values_may_be_one_several_or_a_function_of_the_surveys_column(asked, expected):
    assert [setting["x"] for setting in values({"x": asked})] == expected


def test_text_is_one_value():
    assert values({"age": "old"}) == [{"age": "old"}]


def test_several_variables_are_combined_the_first_varying_slowest():
    expected = loops.settings({"gender": ["Man", "Woman"], "x": [0, 1], "military": [0, 1]})
    assert values({"gender": None, "x": [0, 1], "military": None}) == expected
    assert values(["gender", "military"]) == loops.settings(
        {"gender": ["Man", "Woman"], "military": [0, 1]}
    )


# --- without the survey ---------------------------------------------------------------------------


def test_levels_and_what_is_told_need_no_survey():
    assert len(pairs_of(without_survey(), "age")["age"]) == 2
    assert len(pairs_of(without_survey(), {"x": 1})["x"]) == 1
    assert len(pairs_of(without_survey(), {"x": [1, 2]})["x"]) == 1
    assert len(settings_of(without_survey(), {"age": None, "x": [1, 2]})) == 6


RULE = "`variables` must say how to change the number 'x', as this fit was saved without the survey"


def test_step_or_pair_must_be_told_without_the_survey():
    message = (
        f"{RULE} that tells 0/1 from others. Write {{'x': 1}} for a step of one, "
        f"{{'x': [0, 1]}} for 1 against 0."
    )
    with raises(DataError, message):
        pairs_of(without_survey(), "x")


@pytest.mark.parametrize("contrast", ["sd", "2sd", "iqr", "minmax"])
def test_spreads_need_the_survey(contrast):
    message = f"{RULE} that tells its values. Write {{'x': [lo, hi]}} with two numbers."
    with raises(DataError, message):
        pairs_of(without_survey(), {"x": contrast})


@pytest.mark.parametrize("asked", ["x", {"x": max}])
def test_values_must_be_told_without_the_survey(asked):
    message = f"{RULE} that tells its values. Write {{'x': […]}} with the values."
    with raises(DataError, message):
        settings_of(without_survey(), asked)


# --- what is refused ------------------------------------------------------------------------------

COLUMNS = "['age', 'gender', 'military', 'x', 'exposure', 'district', 'open', 'state', … 1 more]"
BOTH = pytest.mark.parametrize("of", [pairs_of, settings_of])


@BOTH
@pytest.mark.parametrize("nothing", [[], {}, (), "", 3])
def test_no_variable_is_refused(of, nothing):
    if nothing == "":
        message = f"`variables` must name columns of the formula, got ''. Available: {COLUMNS}."
    else:
        message = (
            f"`variables` must name at least one column of the formula, got {nothing!r}. "
            f"Available: {COLUMNS}."
        )
    with raises(RequestError, message):
        of(fit(), nothing)


@BOTH
def test_column_outside_the_formula_is_refused_with_the_closest_one(of):
    rule = "`variables` must name columns of the formula, got"
    with raises(RequestError, f"{rule} 'exposur'. Available: {COLUMNS}. Did you mean 'exposure'?"):
        of(fit(), "exposur")
    with raises(RequestError, f"{rule} 'trials'. Available: {COLUMNS}."):
        of(fit(), ["x", "trials"])


def test_variables_can_not_be_left_out_where_the_population_has_no_columns():
    only_groups = fake_fit("y ~ 1 + (x | state)", SURVEY, family="bernoulli", draws=2)
    message = (
        "`variables` must be given where no population-level term has a column. "
        "Available: ['state', 'x']."
    )
    for verb in (mrp.comparisons, mrp.avg_comparisons, mrp.slopes, mrp.avg_slopes):
        with raises(RequestError, message):
            verb(only_groups)


def test_unknown_level_is_refused_with_the_closest_one():
    message = (
        "`variables` must name levels of 'age', got 'Old'. Available: ['young', 'middle', 'old']. "
        "Did you mean 'old'?"
    )
    with raises(RequestError, message):
        pairs({"age": ["young", "Old"]})


def test_unknown_level_to_predict_is_refused_with_the_closest_one():
    message = (
        "`variables` must have only levels of 'age' that the survey has, got ['Old'] in 56 rows. "
        "Available: ['young', 'middle', 'old']. Did you mean 'old'? It differs only by blanks, "
        "case or Unicode normalisation."
    )
    data = FRAME.assign(open=True)
    for verb in (mrp.predictions, mrp.avg_predictions):
        with raises(DataError, message):
            verb(fit(), variables={"age": ["young", "Old"]}, newdata=data)


@pytest.mark.parametrize(
    ("contrast", "hint"),
    [
        ("old", " Two levels are compared as [lo, hi]."),
        ("pairwis", " Did you mean 'pairwise'?"),
        ("zzz", ""),
    ],
)
def test_unknown_contrast_of_levels_is_refused_with_what_was_meant(contrast, hint):
    message = (
        f"`variables` must say how to compare levels of 'age', got {contrast!r}. Available: "
        f"['reference', 'sequential', 'pairwise', 'revpairwise', 'all', 'minmax'].{hint}"
    )
    with raises(RequestError, message):
        pairs({"age": contrast})


@pytest.mark.parametrize(
    ("contrast", "got"),
    [
        (["old"], "['old']"),
        (("young", "middle", "old"), "['young', 'middle', 'old']"),
        (1, "1"),
        (np.array(["old"]), "array(['old'], dtype='<U3')"),
    ],
)
def test_contrast_of_levels_that_is_no_pair_is_refused(contrast, got):
    message = (
        f"`variables` must give 'age' one of ['reference', 'sequential', 'pairwise', "
        f"'revpairwise', 'all', 'minmax'] or a pair, got {got}. "
        f"A pair is written [lo, hi] and gives hi - lo."
    )
    with raises(RequestError, message):
        pairs({"age": contrast})


@pytest.mark.parametrize("contrast", [None, "reference", "all", "minmax"])
def test_categorical_of_one_level_can_not_be_compared(contrast):
    one = fake_fit("y ~ x + (1 | region)", SURVEY.assign(region="all"), family="bernoulli", draws=2)
    message = (
        "`variables` must name columns with two levels or more, got 'region', which has only 'all'."
    )
    with raises(RequestError, message):
        pairs_of(one, {"region": contrast})


@pytest.mark.parametrize(
    ("contrast", "hint"),
    [
        ("reference", " To compare its values as levels, write C(x) in the formula."),
        ("ird", " Did you mean 'iqr'?"),
        ("3sd", ""),
        ("-1.5", " Write numbers without quotes."),
    ],
)
def test_unknown_spread_of_a_number_is_refused_with_what_was_meant(contrast, hint):
    message = (
        f"`variables` must say how to change the number 'x', got {contrast!r}. Available: "
        f"['sd', '2sd', 'iqr', 'minmax'].{hint}"
    )
    with raises(RequestError, message):
        pairs({"x": contrast})


@pytest.mark.parametrize(
    ("contrast", "got"),
    [([1, 2, 3], "[1, 2, 3]"), (True, "True"), ({1, 2}, "{1, 2}"), (np.nan, "nan")],
)
def test_contrast_of_numbers_that_is_no_step_and_no_pair_is_refused(contrast, got):
    message = (
        f"`variables` must give 'x' a step, a pair of numbers or one of ['sd', '2sd', 'iqr', "
        f"'minmax'], got {got}. A pair is written [lo, hi] and gives hi - lo."
    )
    with raises(RequestError, message):
        pairs({"x": contrast})


@pytest.mark.parametrize("value", ["high", True, None])
def test_text_in_a_pair_of_numbers_is_refused(value):
    message = (
        f"`variables` must give 'x', which is a number, a step, a pair of numbers or one of "
        f"['sd', '2sd', 'iqr', 'minmax'], got {value!r}."
    )
    with raises(RequestError, message):
        pairs({"x": [0, value]})


@pytest.mark.parametrize(
    ("function", "got"), [(lambda x: x, "Series"), (lambda x: (x,), "tuple"), (max, "float")]
)
def test_function_that_returns_no_pair_is_refused(function, got):
    message = (
        f"`variables` must give 'x' a function that returns (lo, hi), got {got}. "
        f"Write for example lambda x: (x, 1.1 * x)."
    )
    with raises(RequestError, message):
        pairs({"x": function})


@pytest.mark.parametrize("nothing", [[], (), lambda x: []])
def test_variable_without_values_is_refused(nothing):
    message = "`variables` must give 'x' at least one value, got none."
    with raises(RequestError, message):
        values({"x": nothing})


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("1", " Write numbers without quotes."),
        ("lo", " Write numbers without quotes."),
        (None, ""),
        (np.nan, ""),
        (np.inf, ""),
    ],
)
def test_values_of_a_number_that_are_none_are_refused(value, hint):
    for argument, of in (
        ("variables", lambda: mrp.predictions(fit(), variables={"x": [0, value]})),
        ("datagrid", lambda: mrp.datagrid(fit(), x=[0, value])),
    ):
        message = (
            f"`{argument}` must give 'x', which is a number, finite numbers, got {value!r}.{hint}"
        )
        with raises(RequestError, message):
            of()


@pytest.mark.parametrize("value", [["old"], np.array([["old"]]), [["old"], "young"], [{}]])
def test_values_in_lists_in_lists_are_refused(value):
    asked = value if isinstance(value, np.ndarray) else [value]
    for argument, of in (
        ("variables", lambda: settings_of(fit(), {"age": asked})),
        ("datagrid", lambda: mrp.datagrid(fit(), age=asked)),
    ):
        message = f"`{argument}` must give 'age' a value or a list of values, got {asked!r}."
        with raises(RequestError, message):
            of()


@pytest.mark.parametrize("variables", [np.array(["age", "x"]), pd.Index(["age", "x"])])
def test_names_of_columns_may_come_in_an_array(variables):
    assert settings_names(settings_of(fit(), variables)) == ["age", "x"]
    assert list(pairs_of(fit(), variables)) == ["age", "x"]
    assert {type(name) for name in pairs_of(fit(), variables)} == {str}


def settings_names(settings):
    return list(settings[0])


def test_name_that_is_a_list_is_no_name():
    message = (
        f"`variables` must name columns of the formula, got ['age']. Available: {COLUMNS}. "
        f"Did you mean 'age'?"
    )
    for of in (pairs_of, settings_of):
        with raises(RequestError, message):
            of(fit(), [["age"]])


# --- values of another type -----------------------------------------------------------------------


@cache
def typed_fit():
    """Levels that are whole numbers, text that reads as numbers, and truth values."""
    rng = np.random.default_rng(3)
    survey = pd.DataFrame({
        "y": rng.integers(0, 2, 60),
        "year": rng.permutation(np.repeat([2018, 2020, 2022], 20)),
        "code": rng.permutation(np.repeat(["1", "2"], 30)),
        "vet": rng.permutation(np.repeat([False, True], 30)),
    })  # fmt: skip
    return fake_fit("y ~ C(year) + code + C(vet)", survey, family="bernoulli", draws=4)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("year", "2018", "'2018'. Available: [2018, 2020, 2022]. Did you mean 2018? It is of type "
         "int, '2018' of type str."),
        ("year", np.str_("2018"), "'2018'. Available: [2018, 2020, 2022]. Did you mean 2018? It is "
         "of type int, '2018' of type str."),
        ("code", 1, "1. Available: ['1', '2']. Did you mean '1'? It is of type str, 1 of type "
         "int."),
        ("code", np.int64(1), "1. Available: ['1', '2']. Did you mean '1'? It is of type str, 1 of "
         "type int."),
        ("vet", "True", "'True'. Available: [False, True]. Did you mean True? It is of type bool, "
         "'True' of type str."),
        ("year", 2019, "2019. Available: [2018, 2020, 2022]."),
    ],
)  # fmt: skip
def test_level_of_another_type_is_said_to_be_of_another_type(name, value, message):
    other = {"year": 2020, "code": "2", "vet": False}[name]
    with raises(RequestError, f"`variables` must name levels of {name!r}, got {message}"):
        pairs_of(typed_fit(), {name: [other, value]})
    source = name if name == "code" else f"C({name})"
    got, rest = message.split(".", 1)
    last = "" if "mean" in rest else " Recode them, or fit the model on a survey that has them."
    for argument, rows, of in (
        ("variables", 60, lambda: mrp.predictions(typed_fit(), variables={name: value})),
        ("datagrid", 1, lambda: mrp.datagrid(typed_fit(), **{name: value})),
    ):
        expected = (
            f"`{argument}` must have only levels of {source!r} that the survey has, got [{got}] in "
            f"{rows} rows.{rest}{last}"
        )
        with raises(DataError, expected):
            of()


@pytest.mark.parametrize(
    ("name", "asked", "levels"),
    [
        ("year", [2018.0, np.int32(2020)], [2018, 2020]),
        ("vet", [0, 1], [False, True]),
        ("vet", [np.False_, 1.0], [False, True]),
        ("vet", [False, True], [False, True]),
        ("code", [np.str_("1"), "2"], ["1", "2"]),
    ],
)
def test_values_that_equal_levels_are_these_levels(name, asked, levels):
    fitted, (lo, hi) = typed_fit(), levels
    found = mrp.avg_comparisons(fitted, variables={name: asked})
    expected = mrp.avg_comparisons(fitted, variables={name: levels})
    assert found.labels["contrast"].tolist() == [f"{hi} - {lo}"]
    np.testing.assert_array_equal(found.draws, expected.draws)
    values = mrp.avg_predictions(fitted, variables={name: asked}).labels[name].tolist()
    assert values == levels
    assert list(map(type, values)) == list(map(type, levels))
    grid = mrp.datagrid(fitted, **{name: asked})[name].tolist()
    assert (grid, list(map(type, grid))) == (levels, list(map(type, levels)))


@pytest.mark.parametrize("contrast", ["reference", "pairwise", "sequential", "minmax", None])
def test_truth_values_taken_as_levels_are_compared_as_levels(contrast):
    ((pair,),) = pairs_of(typed_fit(), {"vet": contrast}).values()
    assert (pair.hi.name, pair.lo.name) == (True, False)
    assert levels_in(typed_fit(), "vet") == (False, True)
    assert [s["vet"].name for s in settings_of(typed_fit(), "vet")] == [False, True]
    balanced = mrp.datagrid(typed_fit(), grid_type="balanced", year=2018, code="1")
    assert balanced["vet"].tolist() == [False, True]
    assert mrp.datagrid(typed_fit())["vet"].tolist() in ([False], [True])
