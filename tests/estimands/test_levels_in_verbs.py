"""Outcomes with several levels through every verb: a plain loop from the formulas does the same.

The loops know no arrays: they hold one list of draws for each level and row.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import mrp
from mrp import prediction
from mrp.cli import app
from mrp.errors import DataError, RequestError
from mrp.estimands.contrasts import FORMULAS, SLOPES
from mrp.results import estimates
from mrp.results.estimates import COLUMNS, Estimates, Made
from mrp.testing import fake_draws, fake_fit
from tests import loops
from tests.cases import AGE, FRAME, STATES, SURVEY, effect, level, permuted
from tests.draws import CLOSE, ROWS, WEIGHTS, as_dict, assert_same, groups_of, matrix
from tests.messages import raises

ByLevel = list[list[loops.Draws]]
"""For each level and row the draws."""
EXACT = {"rtol": 0, "atol": 1e-12}
NUMERICAL = {"rtol": 1e-6, "atol": 1e-8}
TERMS = "age + x + x:gender + offset(exposure) + (1 + x | state) + (1 | region)"
"""The same for every family; what it contributes is written out below."""


def make_survey() -> pd.DataFrame:
    """The small survey, and outcomes with levels: text, whole numbers and truth values."""
    rng, n = np.random.default_rng(8), len(SURVEY)
    levels = ["low", "some", "none", "high"]
    trust = pd.Categorical(rng.choice(["some", "low", "high"], n), levels, ordered=True)
    return SURVEY.assign(
        trust=trust,
        stars=rng.integers(1, 5, n),
        agree=rng.random(n) < 0.4,
    )


ANSWERS = make_survey()
LEVELS = {"trust": ("low", "some", "high"), "stars": (1, 2, 3, 4), "agree": (False, True)}


def _with_intercept(row: loops.Row) -> Any:
    yield "Intercept", {}, 1.0
    yield from _terms(row)


def _terms(row: loops.Row) -> Any:
    yield from level("age", row["age"], "young")
    yield "x", {}, row["x"]
    if row["gender"] == "Woman":
        yield "x:gender", {"x:gender_dim": "Woman"}, row["x"]
    yield "", {}, row["exposure"]
    yield effect("1|state", row["state"])
    yield effect("x|state", row["state"], row["x"])
    yield effect("1|region", row["region"])


def _by_x(row: loops.Row) -> Any:
    yield "x", {}, 1.0
    if row["gender"] == "Woman":
        yield "x:gender", {"x:gender_dim": "Woman"}, 1.0
    yield effect("x|state", row["state"])


def _by_exposure(row: loops.Row) -> Any:
    yield "", {}, 1.0


@dataclass(frozen=True)
class Case:
    """A model of an outcome with levels, and its probabilities by loops."""

    family: Any
    outcome: str
    link: Any = "logit"

    @cached_property
    def model(self) -> mrp.Model:
        """The model of the survey."""
        formula = f"{self.outcome} ~ {TERMS}"
        return mrp.Model(formula, ANSWERS, family=self.family, link=self.link)

    @cached_property
    def draws(self) -> xr.Dataset:
        """Made-up draws, so small that the loops lose no digits in the tails."""
        design, by_level = self.model.design, self.model.by_level
        return fake_draws(design, chains=2, draws=4, seed=3, scale=0.1, by_level=by_level)

    @property
    def levels(self) -> tuple[Any, ...]:
        """Levels of the outcome."""
        return LEVELS[self.outcome]

    def fit(self) -> mrp.Fit:
        """The fit, from draws whose dims and labels are shuffled."""
        return _fit(self)

    def etas(
        self, rows: Sequence[loops.Row] = ROWS, terms: loops.Terms | None = None
    ) -> list[list[loops.Draws]]:
        """Linear predictors: one for each level but the first, or only one."""
        if self.family != "categorical":
            return [loops.predictions(rows, terms or _terms, self.draws)]
        dim, plain = f"{self.outcome}_reduced_dim", terms or _with_intercept
        return [
            loops.predictions(rows, _of_level(plain, dim, str(name)), self.draws)
            for name in self.levels[1:]
        ]

    def probabilities(
        self, rows: Sequence[loops.Row] = ROWS, terms: loops.Terms | None = None
    ) -> ByLevel:
        """Probability of each level, for each row and draw."""
        return self._of_every_draw(self.etas(rows, terms), _probabilities)

    def slopes(self, rows: Sequence[loops.Row] = ROWS, by: loops.Terms = _by_x) -> ByLevel:
        """Derivatives of the probabilities, from those of the linear predictors."""
        both = [*self.etas(rows), *self.etas(rows, by)]
        return self._of_every_draw(both, _derivatives)

    def _of_every_draw(self, etas: list[list[loops.Draws]], function: Callable) -> ByLevel:
        thresholds = self.thresholds()
        rows, draws = len(etas[0]), len(etas[0][0])
        made = [
            [function(self, [eta[i][s] for eta in etas], thresholds[s]) for s in range(draws)]
            for i in range(rows)
        ]
        return [
            [[made[i][s][k] for s in range(draws)] for i in range(rows)]
            for k in range(len(self.levels))
        ]

    def thresholds(self) -> list[list[float]]:
        """The thresholds of each draw; none where the levels have no order."""
        count = len(self.levels) - 1
        if self.family == "categorical":
            return [[] for _ in range(8)]
        values = loops.by_label(self.draws)
        by_threshold = [
            values["threshold", frozenset({("threshold_dim", str(k))})] for k in range(count)
        ]
        return [list(draw) for draw in zip(*by_threshold, strict=True)]


@cache
def _fit(case: Case) -> mrp.Fit:
    return mrp.Fit.from_draws(case.model, permuted(case.draws))


def _of_level(terms: loops.Terms, dim: str, name: str) -> loops.Terms:
    """The terms of one level's linear predictor; an offset is the same for all."""
    return lambda row: [
        (term, {**labels, dim: name} if term else {}, times) for term, labels, times in terms(row)
    ]


def _probabilities(case: Case, etas: list[float], thresholds: list[float]) -> list[float]:
    if case.family == "categorical":
        odds = [1.0, *map(math.exp, etas)]
        return [each / sum(odds) for each in odds]
    below = [loops.INVERSE[case.link](t - etas[0]) for t in thresholds]
    if case.family == "cumulative":
        return [hi - lo for lo, hi in itertools.pairwise([0.0, *below, 1.0])]
    stops = [*below, 1.0]
    return [stop * math.prod(1 - f for f in stops[:k]) for k, stop in enumerate(stops)]


def _derivatives(case: Case, etas: list[float], thresholds: list[float]) -> list[float]:
    """By the chain rule; of the first half of the numbers the second are the derivatives."""
    half = len(etas) // 2
    etas, by_x = etas[:half], etas[half:]
    if case.family == "categorical":
        p, slopes = _probabilities(case, etas, thresholds), [0.0, *by_x]
        mean = sum(a * b for a, b in zip(p, slopes, strict=True))
        return [a * (b - mean) for a, b in zip(p, slopes, strict=True)]
    below = [loops.INVERSE[case.link](t - etas[0]) for t in thresholds]
    change = [-loops.DERIVATIVE[case.link](t - etas[0]) * by_x[0] for t in thresholds]
    if case.family == "cumulative":
        return [hi - lo for lo, hi in itertools.pairwise([0.0, *change, 0.0])]
    stops, changes = [*below, 1.0], [*change, 0.0]
    result = []
    for k in range(len(stops)):
        passed = math.prod(1 - f for f in stops[:k])
        total = changes[k] * passed
        for j in range(k):
            others = math.prod(1 - stops[i] for i in range(k) if i != j)
            total -= stops[k] * changes[j] * others
        result.append(total)
    return result


CASES = {
    "categorical": Case("categorical", "trust"),
    "categorical, numbers": Case("categorical", "stars"),
    "categorical, two levels": Case("categorical", "agree"),
    "cumulative": Case("cumulative", "stars"),
    "cumulative, probit": Case("cumulative", "trust", "probit"),
    "cumulative, cloglog": Case("cumulative", "trust", "cloglog"),
    "cumulative, two levels": Case("cumulative", "agree"),
    "sratio": Case("sratio", "trust"),
    "sratio, probit": Case("sratio", "stars", "probit"),
    "sratio, cloglog": Case("sratio", "trust", "cloglog"),
}
EVERY = pytest.mark.parametrize("name", CASES)
FAMILIES = ["categorical", "cumulative", "sratio"]
EACH_FAMILY = pytest.mark.parametrize("name", FAMILIES)
ORDERED = [name for name in CASES if not name.startswith("categorical")]


def flat(of_level: ByLevel) -> list[loops.Draws]:
    """All rows of one level after the other."""
    return [draws for rows in of_level for draws in rows]


def averaged(
    of_level: ByLevel, levels: Sequence[Any], groups: Sequence[tuple[str, ...]]
) -> dict[tuple[str, ...], loops.Draws]:
    """Weighted averages of each level and group."""
    return {
        (str(name), *group): draws
        for name, rows in zip(levels, of_level, strict=True)
        for group, draws in loops.averages(rows, WEIGHTS, groups).items()
    }


def contrasted(hi: ByLevel, lo: ByLevel, comparison: str) -> ByLevel:
    """A contrast of each level's probabilities."""
    function = loops.CONTRAST[comparison]
    return [loops.contrasts(*pair, function) for pair in zip(hi, lo, strict=True)]


def at(case: Case, **values: Any) -> ByLevel:
    """Probabilities of the rows with some values replaced."""
    return case.probabilities([{**row, **values} for row in ROWS])


def sums(found: Estimates, levels: int) -> Any:
    """Sums over the levels (rows, draws)."""
    return matrix(found).reshape(levels, -1, found.source.size).sum(axis=0)


# --- predictions ----------------------------------------------------------------------------------


@EVERY
def test_rows_have_the_probability_of_each_level_in_turn(name):
    case = CASES[name]
    found = mrp.predictions(case.fit(), newdata=FRAME)
    np.testing.assert_allclose(matrix(found), flat(case.probabilities()), **CLOSE)
    rows, levels = len(FRAME), case.levels
    assert found.labels.columns.tolist() == ["group", "rowid", *FRAME.columns]
    assert found.labels["group"].tolist() == [name for name in levels for _ in range(rows)]
    assert found.labels["rowid"].tolist() == list(range(rows)) * len(levels)
    assert found.labels["state"].tolist() == FRAME["state"].tolist() * len(levels)


@EVERY
def test_probabilities_of_a_row_sum_to_one_in_every_draw(name):
    found = mrp.predictions(CASES[name].fit(), newdata=FRAME)
    np.testing.assert_allclose(sums(found, len(CASES[name].levels)), 1.0, **EXACT)


@EVERY
def test_link_is_of_each_level_but_the_first_or_one_for_ordered_levels(name):
    case = CASES[name]
    found = mrp.predictions(case.fit(), newdata=FRAME, type="link")
    np.testing.assert_allclose(matrix(found), flat(case.etas()), **CLOSE)
    if name in ORDERED:
        assert found.labels.columns.tolist() == ["rowid", *FRAME.columns]
    else:
        expected = [name for name in case.levels[1:] for _ in ROWS]
        assert found.labels["group"].tolist() == expected


@EVERY
def test_predictions_at_other_values_are_stacked_within_each_level(name):
    case = CASES[name]
    variables = {"age": ["old", "young"], "x": [0.0, 1.5]}
    found = mrp.predictions(case.fit(), newdata=FRAME, variables=variables)
    settings = loops.settings(variables)
    each = [at(case, **setting) for setting in settings]
    expected = [
        draws for k in range(len(case.levels)) for of_level in each for draws in of_level[k]
    ]
    np.testing.assert_allclose(matrix(found), expected, **CLOSE)
    written = [s["age"] for _ in case.levels for s in settings for _ in ROWS]
    assert found.labels["age"].tolist() == written


@EACH_FAMILY
def test_predictions_of_the_survey_are_the_default(name):
    case = CASES[name]
    found = mrp.predictions(case.fit())
    expected = case.probabilities(loops.records(ANSWERS))
    np.testing.assert_allclose(matrix(found), flat(expected), **CLOSE)
    assert len(found) == len(case.levels) * len(ANSWERS)


# --- averages -------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("by", [["state"], ["region", "gender"], []])
def test_averages_of_each_level_equal_a_plain_loop(name, by):
    case = CASES[name]
    found = mrp.avg_predictions(case.fit(), newdata=FRAME, by=by, wts="n")
    expected = averaged(case.probabilities(), case.levels, groups_of(by))
    assert found.labels.columns.tolist() == ["group", *by]
    assert_same(as_dict(found, ["group", *by]), expected)
    groups = len(found) // len(case.levels)
    assert found.labels["group"].tolist() == np.repeat(case.levels, groups).tolist()


@EACH_FAMILY
def test_averages_at_other_values_equal_a_plain_loop(name):
    case = CASES[name]
    found = mrp.avg_predictions(case.fit(), variables="age", newdata=FRAME, by="region", wts="n")
    expected = {}
    for age in AGE:
        groups = [(age, row["region"]) for row in ROWS]
        expected |= averaged(at(case, age=age), case.levels, groups)
    assert_same(as_dict(found, ["group", "age", "region"]), expected)
    assert found.labels.columns.tolist() == ["group", "age", "region"]


@EVERY
def test_average_link_is_of_each_linear_predictor(name):
    case = CASES[name]
    found = mrp.avg_predictions(case.fit(), newdata=FRAME, by="state", wts="n", type="link")
    labels = case.levels[1:] if name not in ORDERED else ("",)
    expected = averaged(case.etas(), labels, groups_of(["state"]))
    if name in ORDERED:
        assert found.labels.columns.tolist() == ["state"]
        expected = {key[1:]: draws for key, draws in expected.items()}
        assert_same(as_dict(found, ["state"]), expected)
    else:
        assert_same(as_dict(found, ["group", "state"]), expected)


@EVERY
@pytest.mark.parametrize("by", ["state", ["region", "age"], None])
def test_shares_of_an_area_sum_to_one_in_every_draw(name, by):
    case = CASES[name]
    found = mrp.poststratify(case.fit(), FRAME, by=by, wts="n")
    np.testing.assert_allclose(sums(found, len(case.levels)), 1.0, **EXACT)
    assert (matrix(found) > 0).all()


@EVERY
def test_poststratified_shares_equal_a_plain_loop(name):
    case = CASES[name]
    found = mrp.poststratify(case.fit(), FRAME, by="state", wts="n")
    expected = averaged(case.probabilities(), case.levels, groups_of(["state"]))
    assert_same(as_dict(found, ["group", "state"]), expected)
    assert found.labels["state"].tolist() == sorted(STATES) * len(case.levels)


@EACH_FAMILY
def test_cells_without_weight_do_not_move_shares(name):
    fit = CASES[name].fit()
    assert (FRAME["n"] == 0).sum() > 2
    found = mrp.poststratify(fit, FRAME, by="region", wts="n")
    expected = mrp.poststratify(fit, FRAME[FRAME["n"] > 0], by="region", wts="n")
    np.testing.assert_allclose(matrix(found), matrix(expected), **EXACT)


@EACH_FAMILY
def test_groups_that_a_table_makes_have_a_share_of_each_level(name):
    regions = pd.DataFrame({"state": list(STATES), "by": list(STATES.values())})
    found = mrp.poststratify(CASES[name].fit(), FRAME, by=regions, wts="n")
    expected = mrp.poststratify(CASES[name].fit(), FRAME, by="region", wts="n")
    assert found.labels.columns.tolist() == ["group", "by"]
    assert_same(as_dict(found, ["group", "by"]), as_dict(expected, ["group", "region"]))


@EACH_FAMILY
def test_transform_comes_after_averaging(name):
    options = {"newdata": FRAME, "by": "state", "wts": "n"}
    fit = CASES[name].fit()
    for verb in (mrp.predictions, mrp.avg_predictions):
        plain, found = verb(fit, **options), verb(fit, transform=np.log, **options)
        np.testing.assert_allclose(matrix(found), np.log(matrix(plain)), **CLOSE)
        pd.testing.assert_frame_equal(found.labels, plain.labels)


# weights that are drawn may happen to sum to the same in each state
@pytest.mark.filterwarnings("ignore:`wts` sum:mrp.errors.FrameWarning")
@given(data=st.data())
@EACH_FAMILY
def test_order_of_rows_and_scale_of_weights_do_not_matter(name, data):
    fit = CASES[name].fit()
    rows = data.draw(st.lists(st.integers(0, len(FRAME) - 1), min_size=1, max_size=10))
    weights = data.draw(st.lists(st.floats(0.1, 10), min_size=len(rows), max_size=len(rows)))
    order = list(data.draw(st.permutations(range(len(rows)))))
    frame = FRAME.iloc[rows].assign(n=weights)
    again = frame.iloc[order].assign(n=lambda table: table["n"] * 7.3)
    found, expected = (
        mrp.avg_predictions(fit, newdata=table, by="region", wts="n") for table in (again, frame)
    )
    np.testing.assert_allclose(matrix(found), matrix(expected), **EXACT)
    pd.testing.assert_frame_equal(found.labels, expected.labels)


# --- comparisons ----------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("comparison", FORMULAS)
def test_comparisons_of_rows_equal_a_plain_loop(name, comparison):
    case = CASES[name]
    found = mrp.comparisons(
        case.fit(), variables={"x": [-1, 2]}, newdata=FRAME, comparison=comparison
    )
    expected = contrasted(at(case, x=2), at(case, x=-1), comparison)
    np.testing.assert_allclose(matrix(found), flat(expected), **CLOSE)
    assert found.labels.columns.tolist() == ["group", "term", "contrast", "rowid", *FRAME.columns]


@EVERY
@pytest.mark.parametrize("comparison", FORMULAS)
def test_averaged_comparisons_are_contrasts_of_averages(name, comparison):
    case = CASES[name]
    found = mrp.avg_comparisons(
        case.fit(), variables="age", newdata=FRAME, by="region", wts="n", comparison=comparison
    )
    groups = groups_of(["region"])
    lo = averaged(at(case, age="young"), case.levels, groups)
    expected = {}
    for age in AGE[1:]:
        hi = averaged(at(case, age=age), case.levels, groups)
        written = FORMULAS[comparison].written(age, "young", averaged=True)
        for key in hi:
            [draws] = loops.contrasts([hi[key]], [lo[key]], loops.CONTRAST[comparison])
            expected[key[0], "age", written, key[1]] = draws
    labels = ["group", "term", "contrast", "region"]
    assert found.labels.columns.tolist() == labels
    assert_same(as_dict(found, labels), expected)


@EVERY
def test_differences_sum_to_zero_over_the_levels(name):
    case, options = CASES[name], {"newdata": FRAME}
    for found in (
        mrp.comparisons(case.fit(), variables=["age", "x"], **options),
        mrp.avg_comparisons(case.fit(), by="state", wts="n", **options),
        mrp.avg_comparisons(case.fit(), variables=["age", "x"], cross=True, **options),
    ):
        np.testing.assert_allclose(sums(found, len(case.levels)), 0.0, **EXACT)


@EACH_FAMILY
def test_crossed_comparisons_equal_a_plain_loop(name):
    case = CASES[name]
    variables = {"age": ["young", "old"], "x": [0, 1]}
    found = mrp.comparisons(case.fit(), variables=variables, newdata=FRAME, cross=True)
    expected = contrasted(at(case, age="old", x=1), at(case, age="young", x=0), "difference")
    np.testing.assert_allclose(matrix(found), flat(expected), **CLOSE)
    assert found.labels.columns.tolist()[:3] == ["group", "contrast_age", "contrast_x"]


@EVERY
def test_comparisons_on_the_link_scale_are_of_each_linear_predictor(name):
    case = CASES[name]
    options = {"variables": {"x": 1}, "newdata": FRAME, "type": "link"}
    found = mrp.comparisons(case.fit(), **options)
    expected = case.etas(terms=_by_x)
    np.testing.assert_allclose(matrix(found), flat(expected), **CLOSE)
    assert ("group" in found.labels) == (name not in ORDERED)


@EACH_FAMILY
def test_function_of_the_users_is_applied_to_every_level(name):
    case = CASES[name]
    options = {"variables": {"x": [0, 1]}, "newdata": FRAME, "wts": "n", "by": "state"}
    found = mrp.avg_comparisons(case.fit(), comparison=lambda hi, lo: hi**2 - lo, **options)
    hi, lo = at(case, x=1), at(case, x=0)
    rows = [loops.contrasts(*pair, lambda a, b: a**2 - b) for pair in zip(hi, lo, strict=True)]
    expected = averaged(rows, case.levels, groups_of(["state"]))
    assert_same(as_dict(found, ["group", "state"]), expected)


# --- slopes ---------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("slope", SLOPES)
def test_slopes_equal_the_derivative_to_the_sixth_digit(name, slope):
    case = CASES[name]
    found = mrp.slopes(case.fit(), variables="x", newdata=FRAME, slope=slope)
    expected = [
        [loops.SLOPE[slope](d, row["x"], p) for d, p in zip(*pair, strict=True)]
        for slopes, values in zip(case.slopes(), case.probabilities(), strict=True)
        for row, *pair in zip(ROWS, slopes, values, strict=True)
    ]
    np.testing.assert_allclose(matrix(found), expected, **NUMERICAL)
    assert set(found.labels["contrast"]) == {SLOPES[slope].label}


@EVERY
def test_averaged_slopes_are_averages_of_the_rows_slopes(name):
    case = CASES[name]
    found = mrp.avg_slopes(case.fit(), variables="x", newdata=FRAME, by="region", wts="n")
    expected = averaged(case.slopes(), case.levels, groups_of(["region"]))
    made = as_dict(found, ["group", "region"])
    assert set(made) == set(expected)
    for key, draws in made.items():
        np.testing.assert_allclose(draws, expected[key], **NUMERICAL)


@EVERY
def test_slopes_sum_to_zero_over_the_levels(name):
    case = CASES[name]
    for found in (
        mrp.slopes(case.fit(), variables=["x", "exposure"], newdata=FRAME),
        mrp.avg_slopes(case.fit(), newdata=FRAME, by="state", wts="n"),
    ):
        np.testing.assert_allclose(sums(found, len(case.levels)), 0.0, rtol=0, atol=1e-10)


@EACH_FAMILY
def test_slope_of_an_offset_is_that_of_the_linear_predictors(name):
    case = CASES[name]
    found = mrp.slopes(case.fit(), variables="exposure", newdata=FRAME)
    np.testing.assert_allclose(matrix(found), flat(case.slopes(by=_by_exposure)), **NUMERICAL)


@EVERY
def test_slopes_on_the_link_scale_are_exact(name):
    case = CASES[name]
    found = mrp.slopes(case.fit(), variables="x", newdata=FRAME, type="link")
    np.testing.assert_allclose(matrix(found), flat(case.etas(terms=_by_x)), **CLOSE)
    assert ("group" in found.labels) == (name not in ORDERED)


@EACH_FAMILY
def test_slopes_of_a_categorical_are_comparisons(name):
    fit = CASES[name].fit()
    found = mrp.avg_slopes(fit, variables="age", newdata=FRAME, wts="n")
    expected = mrp.avg_comparisons(fit, variables="age", newdata=FRAME, wts="n")
    np.testing.assert_allclose(matrix(found), matrix(expected), **CLOSE)
    pd.testing.assert_frame_equal(found.labels, expected.labels)


@EACH_FAMILY
def test_fit_without_the_survey_needs_eps_for_slopes_of_probabilities_only(name):
    fit = dataclasses.replace(CASES[name].fit(), survey=None)
    message = (
        "`eps` must be given for 'x', as this fit was saved without the survey that tells its "
        "scale. Give half the distance of a numerical derivative, in units of 'x'."
    )
    with raises(DataError, message):
        mrp.slopes(fit, variables="x", newdata=FRAME)
    found = mrp.slopes(fit, variables="x", newdata=FRAME, eps=1e-5)
    np.testing.assert_allclose(matrix(found), flat(CASES[name].slopes()), **NUMERICAL)
    link = mrp.slopes(fit, variables="x", newdata=FRAME, type="link")
    np.testing.assert_allclose(matrix(link), flat(CASES[name].etas(terms=_by_x)), **CLOSE)


# --- new outcomes ---------------------------------------------------------------------------------


@EVERY
def test_a_new_outcome_is_one_of_the_levels(name):
    case = CASES[name]
    found = mrp.predictions(case.fit(), newdata=FRAME, kind="predictive", seed=1)
    assert set(matrix(found).ravel()) == {0.0, 1.0}
    np.testing.assert_array_equal(sums(found, len(case.levels)), 1.0)
    again = mrp.predictions(case.fit(), newdata=FRAME, kind="predictive", seed=1)
    np.testing.assert_array_equal(matrix(found), matrix(again))


@EVERY
def test_levels_are_drawn_as_often_as_they_are_probable(name):
    case, draws = CASES[name], 4000
    model = case.model
    made = fake_draws(model.design, chains=1, draws=draws, scale=0.0, by_level=model.by_level)
    made = made.assign(x=made["x"] + 0.4)
    fit = mrp.Fit.from_draws(model, made)
    options = {"newdata": FRAME[:4]}
    p = matrix(mrp.predictions(fit, **options))[:, 0]
    drawn = matrix(mrp.predictions(fit, kind="predictive", seed=2, **options)).mean(axis=1)
    assert (np.abs(drawn - p) < 4.5 * np.sqrt(p * (1 - p) / draws)).all()


@EACH_FAMILY
def test_averages_of_new_outcomes_are_averages_of_the_rows(name):
    case = CASES[name]
    options = {"newdata": FRAME, "kind": "predictive", "seed": 5}
    rows = matrix(mrp.predictions(case.fit(), **options))
    by_level = rows.reshape(len(case.levels), len(FRAME), -1).tolist()
    found = mrp.avg_predictions(case.fit(), by="state", wts="n", **options)
    expected = averaged(by_level, case.levels, groups_of(["state"]))
    assert_same(as_dict(found, ["group", "state"]), expected)


# --- groups ---------------------------------------------------------------------------------------


@EACH_FAMILY
@pytest.mark.parametrize(
    ("re_formula", "kept"),
    [(False, []), ("(1 | region)", ["1|region"]), ("(0 + x | state)", ["x|state"])],
)
def test_group_specific_terms_may_be_left_out(name, re_formula, kept):
    case = CASES[name]
    found = mrp.predictions(case.fit(), newdata=FRAME, re_formula=re_formula)
    plain = _with_intercept if name == "categorical" else _terms
    expected = case.probabilities(terms=loops.only(plain, kept))
    np.testing.assert_allclose(matrix(found), flat(expected), **CLOSE)


@EACH_FAMILY
def test_new_group_has_the_effects_of_one_group_in_all_levels(name):
    """ "old_levels" one for all draws, "uncertainty" one for each draw."""
    case = CASES[name]
    each = [
        np.array(case.probabilities([{**row, "state": state} for row in ROWS])) for state in STATES
    ]
    data = FRAME.assign(state="Quebec")
    for new_levels in ("old_levels", "uncertainty"):
        found = mrp.predictions(case.fit(), newdata=data, new_levels=new_levels, seed=4)
        made = matrix(found).reshape(len(case.levels), len(FRAME), -1)
        near = np.array([np.abs(made - one).max(axis=(0, 1)) < 1e-10 for one in each])
        np.testing.assert_array_equal(near.sum(axis=0), 1)
        assert (near.all(axis=1).sum() == 1) == (new_levels == "old_levels")


@EACH_FAMILY
@pytest.mark.parametrize("new_levels", ["gaussian", "uncertainty", "old_levels"])
def test_shares_of_new_groups_sum_to_one_and_are_repeatable(name, new_levels):
    case = CASES[name]
    data = FRAME.assign(state=FRAME["state"].replace({"TX": "Quebec", "CA": "Ontario"}))
    options = {"by": "region", "wts": "n", "new_levels": new_levels, "seed": 4}
    found = mrp.avg_predictions(case.fit(), newdata=data, **options)
    np.testing.assert_allclose(sums(found, len(case.levels)), 1.0, **EXACT)
    again = mrp.avg_predictions(case.fit(), newdata=data, **options)
    np.testing.assert_array_equal(matrix(found), matrix(again))


def test_new_groups_of_unordered_levels_have_the_spread_of_each_level():
    fit = fake_fit("trust ~ 1 + (1 | state)", ANSWERS, family="categorical", draws=2000)
    sd = fit.parameters["1|state_sigma"]
    scale = xr.DataArray([0.2, 3.0], dims="trust_reduced_dim")
    made = fit.parameters.assign({"1|state_sigma": sd * 0 + scale})
    fit = dataclasses.replace(fit, draws=xr.DataTree.from_dict({"posterior": made}))
    new = pd.DataFrame({"state": ["Quebec"]})
    options = {"newdata": new, "type": "link", "new_levels": "gaussian", "seed": 6}
    population = matrix(mrp.predictions(fit, **options, re_formula=False))
    effects = matrix(mrp.predictions(fit, **options)) - population
    draws = effects.shape[1]
    for of_level, expected in zip(effects, (0.2, 3.0), strict=True):
        assert abs(of_level.std() / expected - 1) < 4.5 / math.sqrt(2 * draws)
    assert abs(np.corrcoef(effects)[0, 1]) < 4.5 / math.sqrt(draws)


# --- the label of levels --------------------------------------------------------------------------


@EACH_FAMILY
@pytest.mark.parametrize("by", ["group", ["group", "region"], ("region", "group")])
def test_results_are_by_level_whether_it_is_said_or_not(name, by):
    fit, options = CASES[name].fit(), {"newdata": FRAME, "wts": "n"}
    rest = [column for column in by if column != "group"] if by != "group" else []
    for verb in (mrp.avg_predictions, mrp.predictions, mrp.avg_comparisons, mrp.avg_slopes):
        found = verb(fit, by=by, **options)
        expected = verb(fit, by=rest, **options)
        np.testing.assert_array_equal(matrix(found), matrix(expected))
        pd.testing.assert_frame_equal(found.labels, expected.labels)
    shares = mrp.poststratify(fit, FRAME, by=by, wts="n")
    assert shares.labels.columns.tolist() == ["group", *rest]


def test_level_is_no_group_where_there_is_one_linear_predictor():
    message = "`by` must name columns of `newdata`, got 'group'. Available: ['state', 'gender']."
    fit = fake_fit("trust ~ gender + (1 | state)", ANSWERS, family="cumulative", draws=2)
    data = FRAME[["state", "gender"]]
    with raises(RequestError, message):
        mrp.avg_predictions(fit, newdata=data, by="group", type="link")
    found = mrp.avg_predictions(fit, newdata=data.assign(group="a"), by="group", type="link")
    assert found.labels.to_dict("list") == {"group": ["a"]}


def test_column_of_the_data_that_is_named_group_is_left_out_of_the_labels():
    fit = CASES["categorical"].fit()
    data = FRAME.assign(group=np.where(np.arange(len(FRAME)) % 2, "odd", "even"))
    found = mrp.predictions(fit, newdata=data)
    expected = mrp.predictions(fit, newdata=FRAME)
    np.testing.assert_array_equal(matrix(found), matrix(expected))
    pd.testing.assert_frame_equal(found.labels, expected.labels)


@EACH_FAMILY
def test_column_that_is_named_group_makes_no_groups_but_through_a_table(name):
    fit = CASES[name].fit()
    data = FRAME.assign(group=np.where(np.arange(len(FRAME)) % 2, "odd", "even"))
    message = (
        "`by` must not name columns that results are written to, got ['group']. "
        "Give the data copies of them under other names, and name those."
    )
    for verb in (mrp.predictions, mrp.avg_predictions, mrp.avg_comparisons, mrp.avg_slopes):
        for by in ("group", ["state", "group"]):
            with raises(RequestError, message):
                verb(fit, newdata=data, by=by)
    with raises(RequestError, message):
        mrp.poststratify(fit, data, by="group", wts="n")
    table = pd.DataFrame({"group": ["even", "odd"], "by": ["even", "odd"]})
    found = mrp.poststratify(fit, data, by=table, wts="n")
    expected = mrp.poststratify(fit, data.rename(columns={"group": "half"}), by="half", wts="n")
    assert_same(as_dict(found, ["group", "by"]), as_dict(expected, ["group", "half"]))


@EACH_FAMILY
def test_variable_that_is_named_group_is_compared_but_labels_no_predictions(name):
    data = ANSWERS.rename(columns={"gender": "group"})
    fit = fake_fit("trust ~ group + (1 | state)", data, family=name, draws=3)
    message = (
        "`variables` must not name columns that results are written to, got ['group']. "
        "Set them in `newdata`, with copies of them under other names."
    )
    for verb in (mrp.predictions, mrp.avg_predictions):
        with raises(RequestError, message):
            verb(fit, variables=["group"])
    copied = mrp.avg_predictions(fit, newdata=data.assign(copy=data["group"]), by="copy")
    assert set(copied.labels["copy"]) == {"Man", "Woman"}
    found = mrp.avg_comparisons(fit, variables="group")
    assert found.labels["group"].tolist() == ["low", "some", "high"]
    assert set(found.labels["contrast"]) == {"Woman - Man"}


@pytest.mark.parametrize("family", ["bernoulli", "categorical"])
def test_variable_with_the_name_of_a_result_labels_no_predictions(family):
    data = ANSWERS.rename(columns={"gender": "estimate"})
    fit = fake_fit("agree ~ estimate", data, family=family, draws=3)
    message = (
        "`variables` must not name columns that results are written to, got ['estimate']. "
        "Set them in `newdata`, with copies of them under other names."
    )
    for verb in (mrp.predictions, mrp.avg_predictions):
        with raises(RequestError, message):
            verb(fit, variables="estimate")


@pytest.mark.parametrize(
    ("outcome", "levels", "dtype"),
    [
        ("trust", ["low", "some", "high"], "str"),
        ("stars", [1, 2, 3, 4], "int64"),
        ("agree", [False, True], "bool"),
        ("y", [0, 1], "int64"),
    ],
)
@EACH_FAMILY
def test_labels_of_levels_have_the_type_of_the_outcome(name, outcome, levels, dtype):
    fit = fake_fit(f"{outcome} ~ x", ANSWERS, family=name, draws=3)
    found = mrp.avg_predictions(fit, newdata=FRAME, by="region")
    assert str(found.labels["group"].dtype) == dtype
    assert found.labels["group"].tolist() == [each for each in levels for _ in range(2)]
    alone = mrp.avg_predictions(fit, newdata=FRAME)
    assert alone.draws["group"].values.tolist() == levels
    assert alone.names == [str(each) for each in levels]


# --- results --------------------------------------------------------------------------------------


def test_draws_have_the_levels_as_coordinates():
    fit = CASES["cumulative"].fit()
    alone = mrp.avg_predictions(fit, newdata=FRAME).draws
    assert alone.dims == ("chain", "draw", "group")
    assert alone["group"].values.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(alone.sum("group"), 1.0, **EXACT)
    several = mrp.poststratify(fit, FRAME, by="region", wts="n").draws
    assert several.dims == ("chain", "draw", "estimate")
    assert several["group"].values.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert several["region"].values.tolist() == ["north", "south"] * 4
    shares = several.groupby("region").sum()
    np.testing.assert_allclose(shares, 1.0, **EXACT)


@EACH_FAMILY
def test_draws_as_tables_have_the_levels(name):
    case = CASES[name]
    found = mrp.poststratify(case.fit(), FRAME, by="region", wts="n")
    long = found.get_draws("long")
    total = long.groupby(["chain", "draw", "region"])["value"].sum()
    assert len(total) == 2 * 4 * 2
    np.testing.assert_allclose(total, 1.0, **EXACT)
    wide = found.get_draws("wide")
    columns = [f"{name}, {region}" for name in case.levels for region in ("north", "south")]
    assert wide.columns.tolist() == columns
    np.testing.assert_array_equal(wide.to_numpy().T, matrix(found))


@EACH_FAMILY
def test_table_has_a_row_for_each_level_and_area(name):
    case = CASES[name]
    found = mrp.poststratify(case.fit(), FRAME, by="region", wts="n")
    table = found.to_frame()
    assert table.columns.tolist() == ["group", "region", *COLUMNS]
    np.testing.assert_allclose(table.groupby("region")["estimate"].sum(), 1.0, **EXACT)
    np.testing.assert_allclose(table["estimate"], matrix(found).mean(axis=1), **CLOSE)


def test_levels_are_compared_by_hypotheses():
    fit = CASES["categorical"].fit()
    found = mrp.avg_predictions(fit, newdata=FRAME, wts="n")
    low, some, high = matrix(found)
    np.testing.assert_allclose(matrix(found.hypothesis("high - low = 0"))[0], high - low, **CLOSE)
    ratio = found.hypothesis("(low + some) / high")
    np.testing.assert_allclose(matrix(ratio)[0], (low + some) / high, **CLOSE)
    pairs = found.hypothesis("~ sequential")
    assert pairs.labels["hypothesis"].tolist() == ["(some) - (low)", "(high) - (some)"]


def test_levels_are_compared_within_areas_and_areas_within_levels():
    fit = CASES["categorical"].fit()
    shares = mrp.poststratify(fit, FRAME, by="region", wts="n")
    draws = as_dict(shares, ["group", "region"])
    within = shares.hypothesis("~ reference | region")
    assert within.labels["region"].tolist() == ["north", "north", "south", "south"]
    expected = {
        (f"({name}) - (low)", region): np.subtract(draws[name, region], draws["low", region])
        for name in ("some", "high")
        for region in ("north", "south")
    }
    assert_same(as_dict(within, ["hypothesis", "region"]), expected)
    between = shares.hypothesis("~ pairwise | group")
    assert between.labels["group"].tolist() == ["low", "some", "high"]
    np.testing.assert_allclose(matrix(between).sum(axis=0), 0.0, **EXACT)


@EACH_FAMILY
def test_saved_fit_has_the_same_shares(name, tmp_path: Path):
    fit = CASES[name].fit()
    again = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    options = {"by": "state", "wts": "n"}
    found = mrp.poststratify(again, FRAME, **options)
    expected = mrp.poststratify(fit, FRAME, **options)
    np.testing.assert_array_equal(matrix(found), matrix(expected))
    pd.testing.assert_frame_equal(found.labels, expected.labels)


@EACH_FAMILY
def test_large_results_that_are_made_when_asked_for_equal_kept_ones(name, monkeypatch):
    fit = CASES[name].fit()

    def results() -> list[Estimates]:
        options = {"newdata": FRAME, "seed": 3}
        return [
            mrp.predictions(fit, **options),
            mrp.predictions(fit, variables="age", kind="predictive", **options),
            mrp.predictions(fit, transform=np.sqrt, **options),
            mrp.comparisons(fit, comparison="lnor", **options),
            mrp.slopes(fit, **options),
            mrp.avg_predictions(fit, by="state", **options),
            mrp.avg_predictions(fit, variables="age", by="state", transform=np.sqrt, **options),
            mrp.poststratify(fit, FRAME, by="state", wts="n"),
            mrp.avg_comparisons(fit, by="state", **options),
            mrp.avg_comparisons(fit, comparison="lnor", by="state", **options),
            mrp.avg_slopes(fit, by="state", **options),
        ]

    kept = results()
    monkeypatch.setattr(estimates, "KEPT_BYTES", 0)
    monkeypatch.setattr(prediction, "CACHED_BYTES", 1000)
    for made, expected in zip(results(), kept, strict=True):
        assert isinstance(expected.source, Made)
        assert not isinstance(made.source, Made)
        np.testing.assert_allclose(matrix(made), matrix(expected), **CLOSE)
        pd.testing.assert_frame_equal(made.labels, expected.labels)
        pd.testing.assert_frame_equal(made.to_frame(), expected.to_frame(), rtol=1e-10, atol=1e-12)
    first, expected = results()[0], kept[0]
    pair = f"b{len(FRAME) + 1} - b1"
    np.testing.assert_allclose(
        matrix(first.hypothesis(pair)), matrix(expected.hypothesis(pair)), **CLOSE
    )


# --- small models ---------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", LEVELS)
@EACH_FAMILY
def test_model_without_predictors_has_one_share_for_all(name, outcome):
    fit = fake_fit(f"{outcome} ~ 1", ANSWERS, family=name, draws=4)
    found = mrp.avg_predictions(fit, newdata=FRAME)
    case = Case(name, outcome)
    made = loops.by_label(fit.parameters)
    dim = f"{outcome}_reduced_dim"
    for s in range(8):
        etas, thresholds = [0.0], []
        if name == "categorical":
            etas = [made["Intercept", frozenset({(dim, str(k))})][s] for k in case.levels[1:]]
        else:
            names = [frozenset({("threshold_dim", str(k))}) for k in range(len(case.levels) - 1)]
            thresholds = [made["threshold", key][s] for key in names]
        expected = _probabilities(case, etas, thresholds)
        np.testing.assert_allclose(matrix(found)[:, s], expected, **CLOSE)
    rows = mrp.predictions(fit, newdata=FRAME[:3])
    expected = np.repeat(matrix(found), 3, axis=0)
    np.testing.assert_allclose(matrix(rows), expected, **CLOSE)
    areas = mrp.poststratify(fit, FRAME, by="state", wts="n")
    np.testing.assert_allclose(sums(areas, len(case.levels)), 1.0, **EXACT)


def test_model_without_predictors_has_nothing_to_compare():
    fit = fake_fit("trust ~ 1", ANSWERS, family="categorical", draws=2)
    message = (
        "`variables` must be given where no population-level term has a column. Available: []."
    )
    for verb in (mrp.comparisons, mrp.avg_comparisons, mrp.slopes, mrp.avg_slopes):
        with raises(RequestError, message):
            verb(fit, newdata=FRAME)


def test_two_levels_are_the_two_answers_of_a_bernoulli_model():
    formula = "agree ~ age + x + (1 + x | state)"
    two = fake_fit(formula, ANSWERS, family="categorical", draws=4)
    single = two.parameters.isel(agree_reduced_dim=0, drop=True)
    model = mrp.Model(formula, ANSWERS, family="bernoulli")
    one = mrp.Fit.from_draws(model, single)
    calls: Mapping[Any, dict[str, Any]] = {
        mrp.predictions: {},
        mrp.avg_predictions: {"by": "state", "wts": "n"},
        mrp.avg_comparisons: {"variables": "age", "wts": "n"},
        mrp.avg_slopes: {"variables": "x", "wts": "n"},
    }
    for verb, options in calls.items():
        found = matrix(verb(two, newdata=FRAME, **options))
        expected = matrix(verb(one, newdata=FRAME, **options))
        no, yes = np.split(found, 2)
        np.testing.assert_allclose(yes, expected, **NUMERICAL)
        changes = verb in (mrp.avg_comparisons, mrp.avg_slopes)
        np.testing.assert_allclose(no, (0.0 if changes else 1.0) - yes, rtol=0, atol=1e-10)


@EACH_FAMILY
def test_grids_of_typical_people_have_every_level(name):
    case = CASES[name]
    grid = mrp.datagrid(case.fit(), state=["AL", "VT"], region="north")
    found = mrp.predictions(case.fit(), newdata=grid)
    expected = case.probabilities(loops.records(grid))
    np.testing.assert_allclose(matrix(found), flat(expected), **CLOSE)
    assert len(mrp.predictions(case.fit(), newdata="mean")) == len(case.levels)


@EACH_FAMILY
def test_two_models_are_one_table_with_levels(name):
    first = mrp.avg_predictions(CASES[name].fit(), newdata=FRAME, by="region")
    both = mrp.concat({"a": first, "b": first})
    assert both.labels.columns.tolist() == ["model", "group", "region"]
    np.testing.assert_array_equal(matrix(both), np.tile(matrix(first), (2, 1)))


@EACH_FAMILY
def test_prior_draws_answer_too(name):
    model = mrp.Model("trust ~ x + (1 | state)", ANSWERS, family=name)
    found = mrp.poststratify(model.sample_prior(draws=5, seed=1), FRAME, by="state", wts="n")
    np.testing.assert_allclose(sums(found, 3), 1.0, **EXACT)
    assert found.about["group"] == "prior"


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a survey and a frame."""
    survey = pd.concat([ANSWERS[["trust", "gender", "region"]]] * 3)
    survey.to_parquet(tmp_path / "survey.parquet")
    cells = FRAME.groupby(["gender", "region"], as_index=False)["n"].sum()
    cells.to_parquet(tmp_path / "frame.parquet")
    return tmp_path


def poststratified(files: Path, family: str, draws: int) -> pd.DataFrame:
    """What `mrp poststratify` writes."""
    paths = [str(files / f"{name}.parquet") for name in ("survey", "frame", "out")]
    options = {
        "formula": "trust ~ gender + (1 | region)",
        "family": family,
        "weights": "n",
        "by": "region",
        "out": paths[2],
        "draws": draws,
        "tune": draws,
        "chains": 2,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    result = CliRunner().invoke(app, ["poststratify", *paths[:2], *words])
    assert result.exit_code == 0, result.output
    return pd.read_parquet(paths[2])


def assert_a_row_per_level_and_area(written: pd.DataFrame) -> None:
    assert written.columns.tolist() == ["group", "region", *COLUMNS]
    assert written["group"].tolist() == ["low", "low", "some", "some", "high", "high"]
    assert written["region"].tolist() == ["north", "south"] * 3
    np.testing.assert_allclose(written.groupby("region")["estimate"].sum(), 1.0, **EXACT)
    assert (written["conf_low"] < written["estimate"]).all()


@EACH_FAMILY
def test_command_line_writes_a_row_for_each_level_and_area(name, files, monkeypatch):
    def sample(model: mrp.Model, *, draws: int, chains: int, **_: Any) -> mrp.Fit:
        made = fake_draws(model.design, chains=chains, draws=draws, by_level=model.by_level)
        info = {"draws": draws * chains, "seconds": 1.0, "divergences": 0, "rhat": 1.0}
        more = {"rhat_at": "x", "ess_bulk": 10.0, "ess_tail": 10.0}
        return dataclasses.replace(mrp.Fit.from_draws(model, made), info=info | more)

    monkeypatch.setattr(mrp.Model, "sample", sample)
    assert_a_row_per_level_and_area(poststratified(files, name, 20))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::mrp.errors.SamplingWarning")
def test_command_line_samples_an_outcome_with_levels(files):
    written = poststratified(files, "categorical", 200)
    assert_a_row_per_level_and_area(written)
    shares = ANSWERS["trust"].value_counts(normalize=True)
    mean = written.groupby("group")["estimate"].mean()
    assert (np.abs(mean - shares[mean.index]) < 0.15).all()
