"""`Fit`: draws from elsewhere, one file that answers every verb, nothing heavy to load it."""

import dataclasses
import datetime
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.errors import DataError, FitError, FrameWarning, RequestError
from mrp.saved_fits import design_from_json, design_to_json
from mrp.testing import fake_draws, fake_fit
from tests.cases import CASES, FRAME, SURVEY, permuted
from tests.edited_files import as_old, with_json
from tests.messages import raises, warns

REFERENCE = Path(__file__).parent / "reference" / "fits"
SPLINES = (
    "y ~ np.log(exposure) + I(x / 3) + scale(x) + bs(x, df=4) + poly(exposure, 2) + C(district) "
    "+ (1 + I(x / 3) | state)"
)
MODELS = {
    **{name: (case.formula, case.options) for name, case in CASES.items()},
    "splines, polynomials and slashes": (SPLINES, {"family": "bernoulli"}),
    "a column with a slash in its name": (
        "y ~ `x/y` + (1 | `north/south`)",
        {"family": "bernoulli"},
    ),
}
DATA = {
    name: table.assign(**{"x/y": table["x"] ** 2, "north/south": table["region"]})
    for name, table in (("survey", SURVEY), ("frame", FRAME))
}


def made(name, **options):
    formula, given = MODELS[name]
    return fake_fit(formula, DATA["survey"], **given, draws=4, **options)


def answers(fit):
    """What every verb says of the frame."""
    frame = DATA["frame"]
    yield mrp.predictions(fit, newdata=frame)
    yield mrp.predictions(fit, newdata=frame, type="link")
    yield mrp.avg_predictions(fit, newdata=frame, by=["gender", "region"])
    yield mrp.poststratify(fit, frame, by="region", wts="n")
    for name in fit.design.columns:
        if fit.survey is not None:
            # a state in another region is a new group of a nested factor
            options = {"variables": name, "newdata": frame, "new_levels": "gaussian", "seed": 1}
            yield mrp.comparisons(fit, **options)
            yield mrp.avg_comparisons(fit, **options)
    if fit.design.factors:
        strange = frame.assign(state="ZZ", region="west", **{"north/south": "west"})
        yield mrp.avg_predictions(fit, newdata=strange, new_levels="gaussian", seed=1)


def assert_same_answers(found, expected):
    for left, right in zip(answers(found), answers(expected), strict=True):
        np.testing.assert_array_equal(left.draws.values, right.draws.values)
        pd.testing.assert_frame_equal(left.labels, right.labels)
        assert left.about == right.about


# --- draws from elsewhere -------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_draws_from_elsewhere_may_have_any_order(name):
    case = CASES[name]
    fit, shuffled = (
        mrp.Fit.from_draws(case.model, draws) for draws in (case.draws, permuted(case.draws))
    )
    assert_same_answers(shuffled, fit)


@pytest.mark.parametrize("name", CASES)
def test_fingerprint_is_that_of_the_draws(name, tmp_path):
    case = CASES[name]
    fit = mrp.Fit.from_draws(case.model, case.draws)
    noted = case.draws.assign(note=(("chain", "draw"), np.full((2, 4), "text")))
    for same in (permuted(case.draws), case.draws.copy(deep=True), noted):
        assert mrp.Fit.from_draws(case.model, same).fingerprint == fit.fingerprint
    if not case.model.design.calls.namespace:
        assert mrp.load_fit(fit.save(tmp_path / "fit.nc")).fingerprint == fit.fingerprint


def test_fingerprints_of_other_draws_differ():
    case = CASES["correlated slopes, logit"]
    fit = mrp.Fit.from_draws(case.model, case.draws)
    turned = case.draws.isel(draw=slice(None, None, -1))
    one = case.draws.copy(deep=True)
    one["Intercept"][0, 0] += 1e-9
    for other in (turned, case.draws.isel(chain=[1, 0]), one, case.draws.isel(draw=slice(3))):
        assert mrp.Fit.from_draws(case.model, other).fingerprint != fit.fingerprint


def test_fingerprints_tell_long_fits_of_one_design_apart():
    design = CASES["correlated slopes, logit"].model.design
    fits = [
        mrp.Fit.from_draws(
            CASES["correlated slopes, logit"].model, fake_draws(design, draws=200, seed=seed)
        )
        for seed in (1, 1, 2)
    ]
    first, same, other = (fit.fingerprint for fit in fits)
    assert first == same != other


def test_tree_of_draws_is_kept_whole():
    case = CASES["correlated slopes, logit"]
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((2, 4), dtype=bool))})
    tree = xr.DataTree.from_dict({"posterior": case.draws, "sample_stats": stats})
    fit = mrp.Fit.from_draws(case.model, tree)
    assert set(fit.draws.children) == {"posterior", "sample_stats", "log_prior"}
    assert set(tree.children) == {"posterior", "sample_stats"}
    assert_same_answers(fit, mrp.Fit.from_draws(case.model, case.draws))


def test_a_fit_copies_the_draws_that_it_is_given():
    case = CASES["crossed factors and interaction, probit"]
    expected = mrp.Fit.from_draws(case.model, case.draws)
    for given in (
        case.draws.copy(deep=True),
        xr.DataTree.from_dict({"posterior": case.draws.copy(deep=True)}),
    ):
        fit = mrp.Fit.from_draws(case.model, given)
        of_given = given if isinstance(given, xr.Dataset) else given["posterior"]
        for name in case.draws.data_vars:
            of_given[name].values[:] = 9.0
        assert fit.fingerprint == expected.fingerprint
        assert_same_answers(fit, expected)
        xr.testing.assert_identical(fit.parameters, expected.parameters)


def test_fit_knows_its_model():
    case = CASES["crossed factors and interaction, probit"]
    fit = mrp.Fit.from_draws(case.model, case.draws)
    assert (fit.family, fit.link, fit.outcome) == ("bernoulli", "probit", "y")
    assert fit.design.formula == case.formula
    assert fit.info == {"engine": "from_draws"}
    assert fit.group == "posterior"
    pd.testing.assert_frame_equal(fit.survey, SURVEY)
    assert repr(fit) == (
        "Fit: y ~ age * education + x + (1 + x | state) + (1 | gender)\n"
        "family bernoulli, link probit; posterior draws: 2 chains x 4"
    )


def test_calls_are_found_whichever_quotes_their_names_have():
    model = mrp.Model(
        "y ~ T(age, ref='old') + (T(age, ref='old') | state)", SURVEY, family="bernoulli"
    )
    draws = fake_draws(model.design)
    names = [str(name) for name in {*draws.variables, *draws.dims}]
    as_bambi = draws.rename({name: name.replace("'", '"') for name in names if "'" in name})
    ours = mrp.Fit.from_draws(model, as_bambi).coefficients.population
    theirs = mrp.Fit.from_draws(model, draws).coefficients.population
    np.testing.assert_array_equal(ours, theirs)


def test_slashes_in_names_become_division_slashes():
    model = mrp.Model(SPLINES, SURVEY, family="bernoulli")
    ours = fake_draws(model.design, draws=4)
    names = {name: str(name).replace("\N{DIVISION SLASH}", "/") for name in ours.variables}
    theirs = ours.rename(names)
    assert "I(x / 3)|state" in theirs
    assert_same_answers(mrp.Fit.from_draws(model, theirs), mrp.Fit.from_draws(model, ours))


def test_draws_of_another_model_are_refused():
    case = CASES["correlated slopes, logit"]
    other = CASES["intercept only"].draws
    message = (
        "`draws` must have a variable for every term of the formula, lacks ['age', 'education', "
        "'military', 'gender', '1|state', 'gender|state']. Available: ['Intercept']."
    )
    with raises(DataError, message):
        mrp.Fit.from_draws(case.model, other)


@pytest.mark.parametrize(
    ("draws", "got"),
    [
        (np.zeros((2, 4)), "ndarray"),
        ({"posterior": {}}, "dict"),
        (pd.DataFrame(), "DataFrame"),
        (xr.DataTree.from_dict({"prior": xr.Dataset()}), "DataTree with the groups ['prior']"),
    ],
)
def test_something_that_is_no_dataset_is_refused(draws, got):
    message = (
        f"`draws` must be an xarray Dataset or a DataTree with the group 'posterior', got {got}. "
        f"Convert them with arviz.from_dict, or pass one group's dataset."
    )
    with raises(DataError, message):
        mrp.Fit.from_draws(CASES["intercept only"].model, draws)


def test_fit_can_not_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        made("intercept only").family = "poisson"


# --- one file -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_saved_fit_answers_every_verb_to_the_bit(name, tmp_path):
    fit = made(name)
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    assert_same_answers(loaded, fit)


@pytest.mark.parametrize("name", MODELS)
def test_saved_fit_without_survey_answers_every_verb_on_new_data(name, tmp_path):
    fit = made(name)
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc", include_survey=False))
    assert loaded.survey is None
    assert_same_answers(loaded, dataclasses.replace(fit, survey=None))


def test_everything_of_a_fit_is_saved(tmp_path):
    fit = made("correlated slopes, logit")
    info = {"engine": "pymc", "seed": 3, "seconds": 1.5, "rhat": float("nan"), "levels": [1, "a"]}
    fit = dataclasses.replace(fit, info=info | {"numbers": {1: np.float64(2.5)}, "none": None})
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    assert loaded.design == fit.design
    assert (loaded.family, loaded.link, loaded.outcome) == (fit.family, fit.link, fit.outcome)
    pd.testing.assert_frame_equal(loaded.survey, fit.survey)
    xr.testing.assert_identical(loaded.parameters, fit.parameters)
    assert np.isnan(loaded.info["rhat"])
    assert {k: v for k, v in loaded.info.items() if k != "rhat"} == {
        k: v for k, v in fit.info.items() if k != "rhat"
    }
    assert repr(loaded) == repr(fit)


def test_a_saved_fit_tells_its_priors(tmp_path):
    given = mrp.priors(Intercept="normal(2019.5, 0.5)", sd={"state": "exponential(2)"})
    model = mrp.Model("y ~ x + (1 | state)", SURVEY, family="bernoulli", priors=given)
    fit = model.sample_prior(draws=2, seed=1)
    wanted = model.prior_summary()
    for one in (fit, mrp.load_fit(fit.save(tmp_path / "fit.nc"))):
        pd.testing.assert_frame_equal(one.prior_summary(), wanted)
    assert fit.prior_summary() is not fit.priors


def test_a_file_without_priors_says_so():
    fit = dataclasses.replace(made("splines, polynomials and slashes"), priors=None)
    message = (
        "`prior_summary` needs the priors of the model, which this file of an older version "
        "lacks. Ask the Model for its `prior_summary()`."
    )
    with raises(FitError, message):
        fit.prior_summary()


@pytest.mark.parametrize("name", CASES)
def test_design_survives_json(name):
    design = CASES[name].model.design
    assert design_from_json(json.loads(json.dumps(design_to_json(design)))) == design


def test_a_factor_of_thousands_of_levels_is_saved_in_few_words():
    levels = [f"tract {k}" for k in range(4000)]
    survey = pd.DataFrame({"y": np.tile([0, 1], 4000), "tract": np.repeat(levels, 2)})
    design = mrp.Model("y ~ tract", survey, family="bernoulli").design
    saved = json.dumps(design_to_json(design))
    assert len(saved) < 40 * len(levels)  # a matrix had five bytes for each pair of levels
    assert design_from_json(json.loads(saved)).terms == design.terms


def test_prior_of_names_with_slashes_is_saved(tmp_path):
    model = mrp.Model(SPLINES, SURVEY, family="bernoulli", priors={"I(x / 3)": "normal(9, 0.1)"})
    prior = model.sample_prior(draws=50, seed=1)
    assert prior.parameters["I(x \N{DIVISION SLASH} 3)"].mean() == pytest.approx(9, abs=0.1)
    loaded = mrp.load_fit(prior.save(tmp_path / "prior.nc"))
    assert_same_answers(loaded, prior)


def test_prior_and_sampler_statistics_are_saved(tmp_path):
    prior = CASES["correlated slopes, logit"].model.sample_prior(draws=20, seed=1)
    loaded = mrp.load_fit(prior.save(tmp_path / "prior.nc"))
    assert loaded.group == "prior"
    xr.testing.assert_identical(loaded.parameters, prior.parameters)
    fit = made("intercept only")
    shape = tuple(fit.parameters.sizes[dim] for dim in ("chain", "draw"))
    diverging = np.arange(np.prod(shape)).reshape(shape) % 3 == 0
    stats = xr.Dataset({"diverging": (("chain", "draw"), diverging)})
    tree = xr.DataTree.from_dict({"posterior": fit.parameters, "sample_stats": stats})
    fit = dataclasses.replace(fit, draws=tree)
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    np.testing.assert_array_equal(loaded.draws["sample_stats"]["diverging"], diverging)


def test_fit_with_thousands_of_groups_is_saved(tmp_path):
    counties = [f"a county with a rather long name, number {k}" for k in range(4000)]
    survey = pd.DataFrame({"y": [0, 1] * 2000, "county": counties})
    fit = fake_fit("y ~ (1 | county)", survey, family="bernoulli", draws=2)
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    assert loaded.design == fit.design


BERLIN = pd.date_range("2020-01-01", periods=3, tz="Europe/Berlin")
BRACKETS = {
    "numbers": pd.cut(SURVEY["x"], 3),
    "whole numbers": pd.cut(SURVEY["exposure"], [0, 2, 3, 90], right=False),
    "without end": pd.cut(SURVEY["x"], [-np.inf, 0.0, np.inf]),
    "quantiles": pd.qcut(SURVEY["x"].rename("bracket"), 4),
    "dates": pd.cut(pd.Timestamp("2020-01-01") + pd.to_timedelta(SURVEY["x"], "D"), 3),
    "dates of a zone": pd.cut(BERLIN[0] + pd.to_timedelta(SURVEY["x"], "D"), 3),
    "days": pd.Categorical([datetime.date(2020, 1, 1 + k % 3) for k in range(90)]),
    "times": pd.Categorical(BERLIN[np.arange(90) % 3]),
    "an order of numbers": pd.Categorical(np.arange(90) % 3, categories=[2, 0, 1, 5], ordered=True),
    "truths": pd.Categorical(np.arange(90) % 2 == 0, categories=[True, False]),
    "numbers and text": pd.Categorical(np.resize(np.array([1, "a", 2.5], object), 90)),
    "text": pd.Categorical(np.resize(["b", "a"], 90), categories=["b", "a", "c"], ordered=True),
}


@pytest.mark.parametrize("kind", BRACKETS)
@pytest.mark.parametrize("formula", ["y ~ bracket * x", "y ~ (1 | bracket:state)", "y ~ x"])
def test_levels_of_every_kind_are_saved_as_what_they_are(formula, kind, tmp_path):
    survey = SURVEY.assign(bracket=BRACKETS[kind])
    fit = fake_fit(formula, survey, family="bernoulli", draws=4)
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    pd.testing.assert_frame_equal(loaded.survey, survey)
    assert loaded.design == fit.design
    assert [
        list(map(type, c.levels)) for c in loaded.design.components.values() if c.name != "x"
    ] == [list(map(type, c.levels)) for c in fit.design.components.values() if c.name != "x"]
    for options in ({}, {"newdata": survey[::-1]}, {"by": "bracket"}):
        found, expected = mrp.predictions(loaded, **options), mrp.predictions(fit, **options)
        xr.testing.assert_identical(found.draws, expected.draws)


@pytest.mark.parametrize("number", [1, 2])
def test_file_of_an_older_format_is_read_with_a_note(number, tmp_path):
    path = REFERENCE / f"format-{number}.nc"
    message = (
        f"`path` has a fit of an older version, {str(path)!r}, which has no digest: it can't be "
        f"told whether it is what was saved. Save it again."
    )
    with warns(FrameWarning, message):
        fit = mrp.load_fit(path)
    found = mrp.predictions(fit).to_frame()
    assert len(found) == 24
    assert found["estimate"].head(3).tolist() == pytest.approx(
        [0.4413847349202704, 0.37932642185146526, 0.3211676386610813], rel=1e-12
    )
    again = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    pd.testing.assert_frame_equal(mrp.predictions(again).to_frame(), found)


@pytest.mark.filterwarnings("ignore:`path` has a fit of an older version")
@pytest.mark.parametrize("name", MODELS)
def test_what_the_second_format_said_of_a_design_is_made_again(name, tmp_path):
    fit = made(name)
    path = fit.save(tmp_path / "fit.nc")
    as_old(path, fit.design, 2)
    loaded = mrp.load_fit(path)
    assert (loaded.design.terms, loaded.design.blocks) == (fit.design.terms, fit.design.blocks)
    ours, theirs = (mrp.predictions(f, newdata=DATA["frame"]).draws for f in (loaded, fit))
    xr.testing.assert_identical(ours, theirs)


OLD = {
    # how the formula has it: how it was labelled, and whether it meant the same
    "I((x - 2)**2)": ("I(x - 2 ** 2)", True),
    "T(age, ref='old')": ('T(age, ref="old")', True),
    "scale(np.log(exposure + 1))": ("scale(np.log(exposure + 1))", True),
    "I((-x)**2)": ("I(-x ** 2)", True),
    "I(-x**2)": ("I(-x ** 2)", False),
    "I(2**exposure**2)": ("I(2 ** exposure ** 2)", False),
    "I(0 < x < 2)": ("I(0 < x < 2)", False),
    "I(military * 2.5)": ("I(military * 2.5)", False),  # of eight bits, in the survey below
    "I(x / np.std(x))": ("I(x / np.std(x))", False),
}


def old_fit(call: str, path: Path, *, include_survey: bool) -> mrp.Fit:
    """The fit that was saved; what can't be asked for any more is in the file only."""
    survey = SURVEY.assign(military=SURVEY["military"].astype("int8"))
    today = "I(x / 2)" if "np.std" in call else call
    fit = fake_fit(f"y ~ gender + {today} + (1 | state)", survey, family="bernoulli")
    fit.save(path, include_survey=include_survey)
    as_old(path, fit.design, 1, calls={today: call})
    return fit


AGAIN = (
    "`path` must be a fit whose calls still mean what they meant, got {}, which the version of mrp "
    "that wrote the file computed otherwise. Fit the model again."
)


@pytest.mark.filterwarnings("ignore:`path` has a fit of an older version")
@pytest.mark.parametrize("call", OLD)
def test_calls_of_the_first_format_are_read_as_they_were_or_refused(call, tmp_path):
    label, same = OLD[call]
    fit = old_fit(call, tmp_path / "fit.nc", include_survey=True)
    if not same:
        with raises(FitError, AGAIN.format(label)):
            mrp.load_fit(tmp_path / "fit.nc")
        return
    loaded = mrp.load_fit(tmp_path / "fit.nc")
    calls = dataclasses.replace(fit.design.calls, columns={})
    assert loaded.design == dataclasses.replace(fit.design, calls=calls)
    ours, theirs = (mrp.predictions(f, newdata=FRAME).draws for f in (loaded, fit))
    xr.testing.assert_identical(ours, theirs)


@pytest.mark.filterwarnings("ignore:`path` has a fit of an older version")
def test_calls_of_the_first_format_that_can_t_be_checked_are_said(tmp_path):
    path = tmp_path / "fit.nc"
    old_fit("I(military * 2.5)", path, include_survey=False)
    message = (
        "`path` has a fit without its survey, so that I(military * 2.5) can't be checked: the "
        "version of mrp that wrote the file computed it in the width of the column, which "
        "overflows for numbers of 8, 16 or 32 bits. Fit the model again if the survey had such."
    )
    with warns(FrameWarning, message):
        mrp.load_fit(path)
    old_fit("I(x / np.std(x))", path, include_survey=False)
    with raises(FitError, AGAIN.format("I(x / np.std(x))")):
        mrp.load_fit(path)


def test_saving_does_not_change_the_fit(tmp_path):
    fit = made("correlated slopes, logit")
    fit.save(tmp_path / "fit.nc")
    assert set(fit.draws.children) == {"posterior", "log_prior"}


def test_saving_returns_the_path_and_replaces_an_older_file(tmp_path):
    path = tmp_path / "fit.nc"
    made("intercept only").save(path)
    assert made("correlated slopes, logit").save(str(path)) == path
    assert mrp.load_fit(str(path)).design.formula == MODELS["correlated slopes, logit"][0]
    assert list(tmp_path.iterdir()) == [path]


def test_saved_file_may_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        path = made("intercept only").save(tmp_path / "fit.nc")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("interruption", "error"), [(KeyboardInterrupt, KeyboardInterrupt), (OSError, FitError)]
)
def test_interrupted_save_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, interruption, error
):
    path = made("correlated slopes, logit").save(tmp_path / "fit.nc")
    before = path.read_bytes()

    def stop(_):
        raise interruption

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(error):
        made("intercept only").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --- what can't be saved --------------------------------------------------------------------------


def test_functions_of_the_user_can_not_be_saved(tmp_path):
    fit = fake_fit(
        "y ~ double(x)", SURVEY, family="bernoulli", namespace={"double": lambda x: 2 * x}
    )
    assert len(mrp.predictions(fit, newdata=FRAME)) == len(FRAME)
    message = (
        "A fit can be saved only if its formula calls known functions, got ['double'] from "
        "`namespace`. Compute those columns in the survey instead."
    )
    with raises(FitError, message):
        fit.save(tmp_path / "fit.nc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "levels",
    [
        [Decimal("1.5"), Decimal("2.5")],
        [(1, 2), (3, 4)],
        list(pd.period_range("2020-01", periods=2, freq="M")),
        list(pd.interval_range(pd.Timedelta(0), periods=2, freq="D")),
    ],
)
@pytest.mark.parametrize("formula", ["y ~ bracket", "y ~ (1 | bracket)", "y ~ C(bracket):x"])
def test_levels_that_can_not_be_saved_are_refused_before_sampling(formula, levels):
    source = "C(bracket)" if "C(" in formula else "bracket"
    categories = pd.Index(levels, tupleize_cols=False)
    bracket = pd.Categorical.from_codes(np.arange(90) % 2, categories)
    message = (
        f"`data` must have levels that are text, numbers, dates or intervals in {source!r}, got "
        f"{type(levels[0]).__name__} ({levels[0]}). Convert the column with `astype(str)`."
    )
    with raises(DataError, message):
        mrp.Model(formula, SURVEY.assign(bracket=bracket), family="bernoulli")


def test_complex_numbers_are_refused_before_sampling():
    message = (
        "`data` must have numbers, strings or a categorical in 'z', got type 'complex128' (first "
        "value np.complex128(1j)). Convert the column, for example with `astype(str)` or "
        "`astype('category')`."
    )
    with raises(DataError, message):
        mrp.Model("y ~ z", SURVEY.assign(z=1j * np.arange(1, 91)), family="bernoulli")


def test_text_that_no_file_holds_is_refused_before_sampling():
    text = pd.Series(["a", "\ud800"] * 45, dtype=object)
    message = (
        "`data` must have values that can be saved in 'note', got type 'object': 'utf-8' codec "
        "can't encode character '\\ud800' in position 0: surrogates not allowed. Convert the "
        "column."
    )
    with raises(DataError, message):
        mrp.Model("y ~ note", SURVEY.assign(note=text), family="bernoulli")


def left_out(names):
    return (
        f"The saved survey lacks what can't be written as parquet, and the formula does not use: "
        f"{names!r}. Convert it before making the model, for example with `astype(str)`, if it is "
        f"needed after loading."
    )


def test_what_parquet_does_not_take_is_left_out_and_named(tmp_path):
    survey = SURVEY.assign(
        note=[{1}, "a", 2.5] * 30, z=1j, month=pd.Categorical([pd.Period("2020-01", "M")] * 90)
    )
    survey[7] = 1.0
    fit = fake_fit("y ~ x", survey, family="bernoulli")
    with warns(FrameWarning, left_out([7, "note", "z", "month"])) as caught:
        path = fit.save(tmp_path / "fit.nc")
    assert caught[0].filename == __file__
    loaded = mrp.load_fit(path)
    pd.testing.assert_frame_equal(loaded.survey, SURVEY)
    by_region = mrp.avg_predictions(loaded, by="region", wts="exposure")
    expected = mrp.avg_predictions(fit, by="region", wts="exposure")
    xr.testing.assert_identical(by_region.draws, expected.draws)


def test_an_index_that_parquet_does_not_take_is_left_out_and_named(tmp_path):
    survey = SURVEY.set_index(pd.Index([1, "a"] * 45, dtype=object))
    fit = fake_fit("y ~ x", survey, family="bernoulli")
    with warns(FrameWarning, left_out(["<index>"])):
        path = fit.save(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(mrp.load_fit(path).survey, survey.reset_index(drop=True))


def test_folder_must_exist(tmp_path):
    folder = tmp_path / "results"
    message = f"`path` must be in a folder that exists, got {str(folder)!r}. Create it."
    with raises(FitError, message):
        made("intercept only").save(folder / "fit.nc")


def test_folder_is_no_file(tmp_path):
    message = (
        f"`path` must name a file, got the folder {str(tmp_path)!r}. "
        f"Add a name: {str(tmp_path / 'fit.nc')!r}."
    )
    with raises(FitError, message):
        made("intercept only").save(tmp_path)


# --- what can't be loaded -------------------------------------------------------------------------


def test_file_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / "fit.nc"
    message = f"`path` must name a saved fit, got {str(path)!r}: there is no such file."
    with raises(FitError, message):
        mrp.load_fit(path)


def test_file_of_another_kind_is_refused(tmp_path):
    rule = "`path` must name a file that Fit.save wrote, got"
    text = tmp_path / "survey.csv"
    text.write_text("state,n\nAL,3\n")
    message = (
        f"{rule} {str(text)!r}, which can't be read as one (OSError: Unable to synchronously open "
        f"file (file signature not found))."
    )
    with raises(FitError, message):
        mrp.load_fit(text)
    other = tmp_path / "other.nc"
    xr.Dataset({"x": 1.0}).to_netcdf(other, engine="h5netcdf")
    message = f"{rule} {str(other)!r}, which can't be read as one: it has no group 'mrp'."
    with raises(FitError, message):
        mrp.load_fit(other)


def test_half_a_file_is_refused(tmp_path):
    path = made("correlated slopes, logit").save(tmp_path / "fit.nc")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FitError, match=r"\A`path` must name a file that Fit.save wrote, got .*\Z"):
        mrp.load_fit(path)


def test_file_of_another_format_is_refused(tmp_path):
    path = made("intercept only").save(tmp_path / "fit.nc")
    path.write_bytes(with_json(path.read_bytes(), lambda content: content | {"format": 99}))
    message = (
        "`path` must be a fit of file format 1, 2 or 3, got 99. "
        "Load it with the version of mrp that wrote it."
    )
    with raises(FitError, message):
        mrp.load_fit(path)


# --- without the survey ---------------------------------------------------------------------------


def test_without_the_survey_new_data_must_be_given():
    fit = dataclasses.replace(made("correlated slopes, logit"), survey=None)
    message = (
        "`newdata` must be given, as this fit was saved without its survey. Pass the rows to "
        "predict, or save the fit with include_survey=True."
    )
    for verb in (mrp.predictions, mrp.avg_predictions):
        with raises(DataError, message):
            verb(fit)
    for verb in (mrp.comparisons, mrp.avg_comparisons):
        with raises(DataError, message):
            verb(fit, variables="gender")


def test_without_the_survey_there_is_no_typical_person():
    fit = dataclasses.replace(made("correlated slopes, logit"), survey=None)
    message = (
        "`datagrid` can't tell what is typical, as this fit was saved without its survey. Make "
        "the table yourself, or save the fit with include_survey=True."
    )
    with raises(DataError, message):
        mrp.datagrid(fit, gender="Man")


def test_without_the_survey_a_number_is_compared_as_told():
    fit = made("correlated slopes, logit")
    alone = dataclasses.replace(fit, survey=None)
    message = (
        "`variables` must say how to change the number 'military', as this fit was saved without "
        "the survey that tells 0/1 from others. Write {'military': 1} for a step of one, "
        "{'military': [0, 1]} for 1 against 0."
    )
    with raises(DataError, message):
        mrp.avg_comparisons(alone, variables="military", newdata=FRAME)
    found = mrp.avg_comparisons(alone, variables={"military": [0, 1]}, newdata=FRAME)
    expected = mrp.avg_comparisons(fit, variables="military", newdata=FRAME)
    xr.testing.assert_identical(found.draws, expected.draws)
    with pytest.raises(RequestError):
        mrp.avg_comparisons(alone, variables="miltary", newdata=FRAME)


# --- a fresh process ------------------------------------------------------------------------------

SCRIPT = """
import json, sys
import mrp
fit = mrp.load_fit(sys.argv[1])
frame = fit.survey
tables = [
    mrp.poststratify(fit, frame, by="state", wts=None).to_frame(),
    mrp.avg_comparisons(fit, variables=list(fit.design.columns)).to_frame(),
    mrp.predictions(fit, newdata=mrp.datagrid(fit, state=["AL", "VT"])).to_frame(),
]
repr(mrp.predictions(fit))
heavy = ["pymc", "pytensor", "bambi", "nutpie", "matplotlib"]
print(json.dumps({
    "loaded": [name for name in heavy if name in sys.modules],
    "estimates": [table["estimate"].tolist() for table in tables],
}))
"""


def test_loaded_fit_predicts_without_pymc_bambi_and_matplotlib(tmp_path):
    fit = made("splines, polynomials and slashes")
    path = fit.save(tmp_path / "fit.nc")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    found = json.loads(done.stdout)
    assert found["loaded"] == []
    expected = [
        mrp.poststratify(fit, SURVEY, by="state", wts=None),
        mrp.avg_comparisons(fit, variables=list(fit.design.columns)),
        mrp.predictions(fit, newdata=mrp.datagrid(fit, state=["AL", "VT"])),
    ]
    assert found["estimates"] == [e.to_frame()["estimate"].tolist() for e in expected]
