"""Groups that the survey lacks: what may be new, what is taken for a mistake, what is reported."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mrp
from mrp.errors import DataError, RequestError
from mrp.new_groups import look_of, text_of
from mrp.testing import fake_fit
from tests.cases import FRAME, STATES, SURVEY
from tests.draws import matrix
from tests.messages import raises

WAYS = ["gaussian", "uncertainty", "old_levels"]
FORMULA = "y ~ age + (1 | state) + (1 | state:gender) + (1 | district)"
SIZE = len(FRAME)
KNOWN = "['AL', 'CA', 'NY', 'TX', 'VT']"
VERBS = {
    "poststratify": lambda fit, data, **options: mrp.poststratify(fit, data, wts=None, **options),
    "avg_predictions": lambda fit, data, **options: mrp.avg_predictions(
        fit, newdata=data, **options
    ),
    "predictions": lambda fit, data, **options: mrp.predictions(fit, newdata=data, **options),
    "comparisons": lambda fit, data, **options: mrp.comparisons(
        fit, newdata=data, variables="age", **options
    ),
    "avg_comparisons": lambda fit, data, **options: mrp.avg_comparisons(
        fit, newdata=data, variables="age", **options
    ),
    "avg_slopes": lambda fit, data, **options: mrp.avg_slopes(fit, newdata=data, **options),
}
EACH_VERB = pytest.mark.parametrize("verb", VERBS)


@cache
def fit():
    return fake_fit(FORMULA, SURVEY, family="bernoulli", draws=5)


def with_states(**renamed):
    """The frame with some states called otherwise."""
    return FRAME.assign(state=FRAME["state"].replace(renamed))


def argument_of(verb):
    return "frame" if verb == "poststratify" else "newdata"


def size_of(rows):
    """Rows, and their share of equal weights, as messages have it."""
    return f"({int(rows.sum())} rows, {rows.mean():.1%} of the weight)"


def drawn(way, **options):
    data = with_states(CA="Quebec", TX="Guam")
    return matrix(mrp.predictions(fit(), newdata=data, new_levels=way, seed=3, **options))


# --- what may be new ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "named",
    [
        lambda way: {"state": way},
        lambda way: {"state": {"Quebec": way, "Guam": way}},
        lambda way: {"state": way, "state:gender": way},
        lambda way: {
            "state": {"Quebec": way, "Guam": way},
            "state:gender": {
                f"{state}:{gender}": way
                for state in ("Quebec", "Guam")
                for gender in ("Man", "Woman")
            },
        },
    ],
)
def test_named_groups_are_drawn_as_all_are_by_one_word(way, named):
    np.testing.assert_array_equal(drawn(named(way)), drawn(way))


@pytest.mark.parametrize("listed", [list, set, tuple, pd.Index, np.array])
def test_listed_levels_are_drawn_from_the_group_distribution(listed):
    new = {"state": listed(["Quebec", "Guam"])}
    np.testing.assert_array_equal(drawn(new), drawn("gaussian"))


def test_each_level_may_have_its_own_way():
    rows = with_states(CA="Quebec", TX="Guam")["state"]
    found = drawn({"state": {"Quebec": "old_levels", "Guam": "gaussian"}})
    for state, way in (("Quebec", "old_levels"), ("Guam", "gaussian")):
        own = (rows == state).to_numpy()
        np.testing.assert_array_equal(found[own], drawn(way)[own])


def test_factor_has_its_own_way_before_its_columns_have_theirs():
    crossed = fake_fit("y ~ 1 + (1 | state:gender)", SURVEY, family="bernoulli", draws=5)
    data = with_states(CA="Quebec")
    options = {"newdata": data, "seed": 3}
    both = {"state": "old_levels", "state:gender": "uncertainty"}
    np.testing.assert_array_equal(
        matrix(mrp.predictions(crossed, new_levels=both, **options)),
        matrix(mrp.predictions(crossed, new_levels="uncertainty", **options)),
    )


@pytest.mark.parametrize("dtype", [int, float, "Int64", "category"])
def test_whole_numbers_are_listed_whatever_their_type(dtype):
    data = FRAME.assign(district=FRAME["district"].replace({3: 30}).astype(dtype))
    options = {"newdata": data, "seed": 1}
    for listed in ([30], [30.0], ["30"], np.array([30])):
        found = mrp.avg_predictions(fit(), new_levels={"district": listed}, **options)
        assert found.about["new_groups"]["district"]["groups"] == 1


@pytest.mark.parametrize("nothing", [None, {}, {"state": []}])
def test_what_is_named_is_all_that_may_be_new(nothing):
    data = with_states(CA="Quebec", TX="Guam")
    named = (
        ""
        if not nothing
        else " If they are meant, add them: new_levels={'state': ['Guam', 'Quebec']}."
    )
    general = (
        " Say how to draw new groups: new_levels='gaussian' (from the fitted group distribution), "
        "'uncertainty' or 'old_levels'."
    )
    message = (
        f"`newdata` must have only groups of 'state' that the survey has, got ['Guam', 'Quebec'] "
        f"{size_of(data['state'].isin(['Guam', 'Quebec']))}.{named if nothing else general}"
    )
    with raises(DataError, message):
        mrp.predictions(fit(), newdata=data, new_levels=nothing)


@EACH_VERB
def test_level_that_is_not_listed_is_refused(verb):
    data = with_states(CA="Quebec", TX="Guam")
    message = (
        f"`{argument_of(verb)}` must have only groups of 'state' that the survey has, got "
        f"['Guam'] {size_of(data['state'] == 'Guam')}. If they are meant, add them: "
        f"new_levels={{'state': ['Guam']}}."
    )
    with raises(DataError, message):
        VERBS[verb](fit(), data, new_levels={"state": ["Quebec"]})


def test_code_that_is_not_listed_is_refused():
    data = FRAME.assign(district=FRAME["district"].replace({1: 11}))
    message = (
        f"`frame` must have only groups of 'district' that the survey has, got ['11'] "
        f"{size_of(data['district'] == 11)}. If they are meant, add them: "
        f"new_levels={{'district': [11]}}."
    )
    with raises(DataError, message):
        mrp.poststratify(fit(), data, wts=None, new_levels={"state": "gaussian"})


def test_new_combination_of_known_levels_is_named_by_its_factor():
    nested = fake_fit("y ~ 1 + (1 | state:district)", SURVEY, family="bernoulli", draws=5)
    data = pd.DataFrame({"state": ["AL", "CA", "NY"], "district": [3, 1, 2]})
    message = (
        "`newdata` must have only groups of 'state:district' that the survey has, got ['AL:3'] (1 "
        "rows, 33.3% of the weight). If they are meant, add them: "
        "new_levels={'state:district': ['AL:3']}."
    )
    for columns in ({"state": "gaussian"}, {"district": "gaussian"}):
        with raises(DataError, message):
            mrp.predictions(nested, newdata=data, new_levels=columns)
    for factor in ("gaussian", ["AL:3"]):
        found = mrp.predictions(nested, newdata=data, new_levels={"state:district": factor})
        assert found.about["new_groups"]["state:district"]["groups"] == 1


def test_level_in_a_list_makes_no_other_part_new():
    data = with_states(CA="Quebec").assign(gender=FRAME["gender"].replace({"Man": "man "}))
    crossed = fake_fit("y ~ 1 + (1 | state:gender)", SURVEY, family="bernoulli", draws=5)
    rows = data["gender"] == "man "
    labels = sorted({f"{state}:man " for state in data["state"]})
    message = (
        f"`newdata` must have only groups of 'state:gender' that the survey has, got {labels} "
        f"{size_of(rows)}. Did you mean 'AL:Man'? If they are meant, add them: "
        f"new_levels={{'state:gender': {labels}}}."
    )
    with raises(DataError, message):
        mrp.predictions(crossed, newdata=data, new_levels={"state": ["Quebec"]})


# --- what is said ---------------------------------------------------------------------------------

AVAILABLE = "Available: ['gaussian', 'uncertainty', 'old_levels']."


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"sate": "gaussian"},
            "`new_levels` must name grouping factors of the formula, or columns of theirs, got "
            "'sate'. Available: ['state', 'state:gender', 'district', 'gender']. Did you mean "
            "'state'?",
        ),
        (
            {"age": ["older"]},
            "`new_levels` must name grouping factors of the formula, or columns of theirs, got "
            "'age'. Available: ['state', 'state:gender', 'district', 'gender'].",
        ),
        (
            {"state": "Quebec"},
            f"`new_levels` must say how to draw new groups of 'state', got 'Quebec'. {AVAILABLE} "
            f"A level is named in a list: {{'state': ['Quebec']}}.",
        ),
        (
            {"state": "gauss"},
            f"`new_levels` must say how to draw new groups of 'state', got 'gauss'. {AVAILABLE} "
            f"Did you mean 'gaussian'?",
        ),
        (
            {"state": {"Quebec": True}},
            f"`new_levels` must say how to draw 'Quebec' of 'state', got True. {AVAILABLE}",
        ),
        (
            {"state": ["Quebec", "AL", "VT"]},
            "`new_levels` must list levels of 'state' that the survey lacks, got ['AL', 'VT'], "
            "which it has. Leave them out.",
        ),
        (
            {"state:gender": {"AL:Man": "gaussian"}},
            "`new_levels` must list levels of 'state:gender' that the survey lacks, got "
            "['AL:Man'], which it has. Leave them out.",
        ),
        (
            {"district": ["1"]},
            "`new_levels` must list levels of 'district' that the survey lacks, got ['1'], which "
            "it has. Leave them out.",
        ),
        (
            ["Quebec"],
            f"`new_levels` must say how to draw new groups, got ['Quebec']. {AVAILABLE} To name "
            f"what may be new: {{'state': ['AK', 'HI']}}.",
        ),
        (
            True,
            f"`new_levels` must say how to draw new groups, got True. {AVAILABLE} To name what may "
            f"be new: {{'state': ['AK', 'HI']}}.",
        ),
    ],
)
@EACH_VERB
def test_what_can_not_be_meant_is_refused_though_no_group_is_new(verb, said, message):
    with raises(RequestError, message):
        VERBS[verb](fit(), FRAME, new_levels=said)


def test_factor_may_be_named_that_is_left_out():
    data = with_states(CA="Quebec")
    options = {"newdata": data, "re_formula": "(1 | state)"}
    found = mrp.predictions(fit(), new_levels={"state": ["Quebec"], "district": [9]}, **options)
    assert set(found.about["new_groups"]) == {"state"}


@pytest.mark.parametrize("named", [{"state": ["Quebec"]}, {"state:region": "gaussian"}])
def test_column_of_the_data_may_be_named_that_the_formula_does_not_use(named):
    plain = fake_fit("y ~ age", SURVEY, family="bernoulli", draws=5)
    found = mrp.predictions(plain, newdata=FRAME, new_levels=named)
    np.testing.assert_array_equal(matrix(found), matrix(mrp.predictions(plain, newdata=FRAME)))


def test_group_whose_parts_have_different_ways_is_refused():
    crossed = fake_fit("y ~ 1 + (1 | state:gender)", SURVEY, family="bernoulli", draws=5)
    data = pd.DataFrame({"state": ["AL", "Quebec"], "gender": ["Man", "other"]})
    said = {"state": "gaussian", "gender": {"other": "uncertainty"}}
    message = (
        "`new_levels` must say one way to draw 'Quebec:other' of 'state:gender', got ['gaussian', "
        "'uncertainty'] for its parts ['Quebec', 'other']. Name the factor: "
        "new_levels={'state:gender': 'gaussian'}."
    )
    with raises(RequestError, message):
        mrp.predictions(crossed, newdata=data, new_levels=said)
    said["state:gender"] = "gaussian"
    assert len(mrp.predictions(crossed, newdata=data, new_levels=said))


# --- what is taken for a mistake ------------------------------------------------------------------


@EACH_VERB
@pytest.mark.parametrize("said", ["gaussian", {"state": "gaussian", "state:gender": "gaussian"}])
def test_types_that_differ_are_refused_however_new_groups_are_drawn(verb, said):
    numbered = {state: k for k, state in enumerate(STATES)}
    survey = SURVEY.assign(state=SURVEY["state"].map(numbered))
    data = FRAME.assign(state=FRAME["state"].map(numbered).astype(str))
    message = (
        f"`{argument_of(verb)}` must have groups of 'state' that the survey has, or that look like "
        f"none of its, got ['0', '1', '2', '3', '4'] for [0, 1, 2, 3, 4] in 'state' (56 "
        f"rows, 100.0% of the weight). The survey has values of type int, `{argument_of(verb)}` of "
        f"type str: convert one of them."
    )
    with raises(DataError, message):
        VERBS[verb](fake_fit(FORMULA, survey, family="bernoulli"), data, new_levels=said)


@pytest.mark.parametrize("way", WAYS)
def test_some_groups_of_another_type_are_refused(way):
    numbers = FRAME["district"].astype(object)
    data = FRAME.assign(district=numbers.where(FRAME["gender"] == "Man", "1"))
    size = size_of(data["district"] == "1")
    message = (
        f"`newdata` must have groups of 'district' that the survey has, or that look like none of "
        f"its, got ['1'] for [1] in 'district' {size}. The survey has values of type int, "
        f"`newdata` of type str: convert one of them."
    )
    with raises(DataError, message):
        mrp.predictions(fit(), newdata=data, new_levels=way)


SPELLINGS = ["ca", " CA", "CA ", "C A", "\uff23\uff21", "c\u00a0a"]


@EACH_VERB
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spelling_of_a_group_that_the_survey_has_is_refused_until_it_is_named(verb, spelling):
    data = with_states(CA=spelling)
    size = size_of(data["state"] == spelling)
    message = (
        f"`{argument_of(verb)}` must have groups of 'state' that the survey has, or that look like "
        f"none of its, got {[spelling]} for ['CA'] in 'state' {size}. "
        f"They differ in case, blanks, leading zeros or the form of letters alone: correct them. "
        f"If they are meant, name them: new_levels={{'state': {[spelling]}}}."
    )
    for said in ("gaussian", {"state": "gaussian"}):
        with raises(DataError, message):
            VERBS[verb](fit(), data, new_levels=said)
    found = VERBS[verb](fit(), data, new_levels={"state": [spelling]})
    assert found.about["new_groups"]["state"]["groups"] == 1


@pytest.mark.parametrize(
    ("ours", "theirs"), [([1, 2, 3], "01"), (["01", "02", "03"], "1"), (["1", "2", "3"], "1.0")]
)
def test_leading_zeros_make_no_new_group(ours, theirs):
    survey = SURVEY.assign(district=[ours[k - 1] for k in SURVEY["district"]])
    data = FRAME.assign(district=[ours[k - 1] if k > 1 else theirs for k in FRAME["district"]])
    of_district = fake_fit("y ~ 1 + (1 | district)", survey, family="bernoulli", draws=5)
    message = (
        f"`newdata` must have groups of 'district' that the survey has, or that look like none of "
        f"its, got {[theirs]} for {[ours[0]]} in 'district' {size_of(FRAME['district'] == 1)}. "
        f"They differ in case, blanks, leading zeros or the form of letters alone: correct them. "
        f"If they are meant, name them: new_levels={{'district': {[theirs]}}}."
    )
    with raises(DataError, message):
        mrp.predictions(of_district, newdata=data, new_levels="gaussian")


@given(st.text(max_size=8))
def test_look_of_a_text_is_the_look_of_its_other_spellings(text):
    for other in (text.swapcase().swapcase().upper().lower(), f" {text}\t", text.casefold()):
        if other.upper().casefold() == text.upper().casefold():
            assert look_of(other) == look_of(text)


@pytest.mark.parametrize(
    ("one", "other"), [("AL", "AK"), ("1", "10"), ("-1", "1"), (1.5, 15), ("S05", "S5"), ("", "0")]
)
def test_different_names_look_different(one, other):
    assert look_of(one) != look_of(other)


@given(st.integers(-(2**53), 2**53))
def test_whole_number_is_the_same_text_in_every_type(number):
    assert text_of(number) == text_of(float(number)) == text_of(np.int64(number)) == str(number)


@pytest.mark.parametrize("way", WAYS)
def test_frame_of_new_groups_alone_is_refused_until_they_are_named(way):
    for renamed in (dict.fromkeys(STATES, "Quebec"), {s: f"{s} (name)" for s in STATES}):
        data = with_states(**renamed)
        new = sorted(set(renamed.values()))
        message = (
            f"`frame` must have some groups of 'state' that the survey has, got {new}, all of them "
            f"new. The survey has {KNOWN}: names or types differ in all likelihood. If they are "
            f"meant, name them: new_levels={{'state': {new}}}."
        )
        with raises(DataError, message):
            mrp.poststratify(fit(), data, wts=None, new_levels=way)
        for named in (new, dict.fromkeys(new, way)):
            found = mrp.poststratify(fit(), data, wts=None, new_levels={"state": named})
            assert found.about["new_groups"]["state"]["share"] == 1.0


def test_rows_of_several_new_groups_alone_are_refused_until_they_are_named():
    data = pd.DataFrame({"age": "old", "state": ["Guam", "Quebec"], "gender": "Man", "district": 1})
    message = (
        f"`newdata` must have some groups of 'state' that the survey has, got ['Guam', 'Quebec'], "
        f"all of them new. The survey has {KNOWN}: names or types differ in all likelihood. If "
        f"they are meant, name them: new_levels={{'state': ['Guam', 'Quebec']}}."
    )
    with raises(DataError, message):
        mrp.predictions(fit(), newdata=data, new_levels="gaussian")
    assert len(mrp.predictions(fit(), newdata=data, new_levels={"state": ["Guam", "Quebec"]})) == 2


@pytest.mark.parametrize("way", WAYS)
def test_one_new_group_of_a_grid_needs_no_name(way):
    grid = mrp.datagrid(fit(), state=["Guam"], gender=["Man", "Woman"])
    found = mrp.predictions(fit(), newdata=grid, new_levels=way)
    assert found.about["new_groups"]["state:gender"] == {
        "share": 1.0,
        "of": "rows",
        "groups": 2,
        "way": way,
    }


# --- what is reported -----------------------------------------------------------------------------


def new_weight():
    """Share of the frame's weight in two states."""
    return FRAME["n"][FRAME["state"].isin(["CA", "TX"])].sum() / FRAME["n"].sum()


@pytest.mark.parametrize("by", [None, "region", ["region", "gender"]])
def test_share_of_the_weight_that_was_drawn_is_reported_by_factor(by):
    data = with_states(CA="Quebec", TX="Guam")
    found = mrp.poststratify(fit(), data, by=by, wts="n", new_levels="gaussian")
    reported = found.about["new_groups"]
    assert set(reported) == {"state", "state:gender"}
    assert reported["state"]["share"] == pytest.approx(new_weight())
    count = len({*zip(data["state"], data["gender"], strict=True)} & {
        (state, gender) for state in ("Quebec", "Guam") for gender in ("Man", "Woman")
    })  # fmt: skip
    assert [reported[name]["groups"] for name in ("state", "state:gender")] == [2, count]
    assert {each["of"] for each in reported.values()} == {"weight"}


@pytest.mark.parametrize("verb", ["predictions", "comparisons"])
def test_share_of_the_rows_is_reported_where_rows_are_predicted(verb):
    data = with_states(CA="Quebec")
    found = VERBS[verb](fit(), data, new_levels={"state": {"Quebec": "uncertainty"}})
    assert found.about["new_groups"]["state"] == {
        "share": (FRAME["state"] == "CA").mean(),
        "of": "rows",
        "groups": 1,
        "way": "uncertainty",
    }


def test_nothing_is_reported_where_no_group_is_new():
    found = mrp.poststratify(fit(), FRAME, wts="n", new_levels="gaussian")
    assert "new_groups" not in found.about
    assert "drawn anew" not in str(found)


def test_groups_of_all_settings_are_counted_and_the_largest_share_reported():
    options = {"newdata": FRAME, "new_levels": "gaussian", "re_formula": "(1 | state)"}
    found = mrp.avg_predictions(fit(), variables={"state": ["AL", "Guam", "Quebec"]}, **options)
    assert found.about["new_groups"]["state"] == {
        "share": 1.0,
        "of": "weight",
        "groups": 2,
        "way": "gaussian",
    }


def test_several_ways_are_reported_together():
    said = {"state": {"Quebec": "old_levels", "Guam": "gaussian"}}
    data = with_states(CA="Quebec", TX="Guam")
    found = mrp.avg_predictions(fit(), newdata=data, new_levels=said, re_formula="(1 | state)")
    assert found.about["new_groups"]["state"]["way"] == "gaussian and old_levels"


def test_report_comes_below_the_table_and_stays_with_what_is_made_of_it():
    data = with_states(CA="Quebec", TX="Guam")
    found = mrp.poststratify(fit(), data, by="region", wts="n", new_levels="gaussian", seed=1)
    share = f"{new_weight():.1%} of the weight"
    lines = [
        f"drawn anew (gaussian): 2 groups of 'state', {share}",
        f"drawn anew (gaussian): {found.about['new_groups']['state:gender']['groups']} groups of "
        f"'state:gender', {share}",
    ]
    made = [found, found.with_interval(ci_prob=0.5), found.hypothesis("~ pairwise")]
    for each in (*made, mrp.concat({"a": found, "b": found})):
        assert str(each).splitlines()[-2:] == lines
        for line in lines:
            assert f"<p>{line}</p>".replace("'", "&#x27;") in each._repr_html_()


def test_largest_share_of_several_estimates_is_reported_of_them_together():
    parts = [
        mrp.avg_predictions(fit(), newdata=data, new_levels="gaussian")
        for data in (FRAME, with_states(CA="Quebec"), with_states(CA="Quebec", TX="Guam"))
    ]
    found = mrp.concat(parts)
    assert found.about["new_groups"] == parts[2].about["new_groups"]


def test_one_group_is_called_so():
    found = mrp.poststratify(fit(), with_states(CA="Quebec"), wts=None, new_levels="gaussian")
    assert "drawn anew (gaussian): 1 group of 'state', " in str(found)
