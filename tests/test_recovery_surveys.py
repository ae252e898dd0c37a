"""Fake surveys: repeatable outcomes of the same respondents, with the parameters that made them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.errors import DataError, PriorError, RequestError
from mrp.recovery.surveys import FakeSurveys
from mrp.testing import fake_draws, fake_fit
from tests.cases import make_survey
from tests.messages import exactly, raises

SURVEY = make_survey(80).assign(
    trust=lambda table: pd.Categorical(
        np.resize(["low", "some", "high"], len(table)), ["low", "some", "high"], ordered=True
    ),
    party=lambda table: np.resize(["left", "right", "none"], len(table)),
)
PRIORS = {
    "defaults": "brms",
    "Intercept": "normal(0, 1)",
    "b": "normal(0, 1)",
    "sd": "normal(0, 1)",
}
ORDERED = {**PRIORS, "threshold": "normal(0, 1)"}
del ORDERED["Intercept"]
MODELS = {
    "bernoulli": ("y ~ age + (1 | state)", {"priors": PRIORS}),
    "binomial": ("p(successes, trials) ~ age + (1 | state)", {"priors": PRIORS}),
    "gaussian": ("score ~ age + (1 | state)", {"priors": PRIORS | {"sigma": "normal(0, 1)"}}),
    "poisson": ("count ~ age + (1 | state)", {"priors": PRIORS}),
    "negativebinomial": (
        "count ~ age + (1 | state)",
        {"priors": PRIORS | {"alpha": "gamma(4, 4)"}},
    ),
    "categorical": ("party ~ age + (1 | state)", {"priors": PRIORS}),
    "cumulative": ("trust ~ age + (1 | state)", {"priors": ORDERED}),
    "sratio": ("trust ~ age + (1 | state)", {"priors": ORDERED}),
}
COLUMN = {"binomial": "successes", "gaussian": "score", "categorical": "party"}
COLUMN |= {"bernoulli": "y", "poisson": "count", "negativebinomial": "count"}
COLUMN |= {"cumulative": "trust", "sratio": "trust"}


def made(family):
    formula, options = MODELS[family]
    return mrp.Model(formula, SURVEY, family=family, **options)


def posterior(family):
    """Made-up draws of a model, those of its auxiliary parameter too."""
    model = made(family)
    draws = fake_draws(model.design, chains=2, draws=5, by_level=model.by_level)
    for name in model.priors.auxiliary:
        draws[name] = (("chain", "draw"), np.linspace(0.5, 2.0, 10).reshape(2, 5))
    return mrp.Fit.from_draws(model, draws)


# --- what a fake survey is ------------------------------------------------------------------------


@pytest.mark.parametrize("family", MODELS)
def test_outcome_is_one_that_the_model_can_be_refitted_to(family):
    model = made(family)
    for fake in mrp.simulate(model, surveys=5, seed=3):
        refitted = model.with_outcome(fake.outcome)
        assert refitted.outcome.values.shape == (len(SURVEY),)


@pytest.mark.parametrize("family", MODELS)
def test_truth_is_one_draw_whose_survey_has_the_new_outcome(family):
    model = made(family)
    fake = mrp.simulate(model, surveys=1, seed=3)[0]
    assert fake.truth.parameters.sizes["chain"] == fake.truth.parameters.sizes["draw"] == 1
    column = fake.truth.survey[COLUMN[family]]
    assert list(column) == list(fake.outcome)
    others = [name for name in SURVEY.columns if name != COLUMN[family]]
    pd.testing.assert_frame_equal(fake.truth.survey[others], SURVEY[others])
    assert SURVEY[COLUMN[family]].tolist() == make_model_survey()[COLUMN[family]].tolist()


def make_model_survey():
    """The survey as it was given to the models."""
    return made("poisson").survey


@pytest.mark.parametrize("family", MODELS)
def test_outcomes_are_around_what_the_truth_expects(family):
    """Over respondents and surveys, deviations from the expected outcome average to zero."""
    fit = posterior(family)
    z = []
    for fake in mrp.simulate(fit, surveys=12, seed=8):
        expected = mrp.predictions(fake.truth).source.values
        if fit.levels is None:
            mean = expected(np.arange(len(SURVEY)))[:, 0]
            mean = mean * (SURVEY["trials"] if family == "binomial" else 1.0)
            z.append(np.mean(np.asarray(fake.outcome, dtype=float) - mean))
        else:
            of_first = expected(np.arange(len(SURVEY)))[:, 0]
            z.append(np.mean((fake.outcome == fit.levels[0]) - of_first))
    standardised = np.mean(z) / (np.std(z, ddof=1) / np.sqrt(len(z)))
    assert abs(standardised) < 4


def test_outcomes_of_a_fit_come_from_its_draws():
    fit = posterior("bernoulli")
    known = {float(x) for x in fit.parameters["Intercept"].to_numpy().ravel()}
    fakes = mrp.simulate(fit, surveys=50, seed=2)
    drawn = [float(fake.truth.parameters["Intercept"].item()) for fake in fakes]
    assert set(drawn) == known
    assert fit.parameters["Intercept"].sizes["draw"] == 5


def test_draw_of_a_fit_is_the_same_in_all_parameters():
    fit = posterior("bernoulli")
    stacked = fit.parameters.stack(sample=("chain", "draw"))
    for fake in mrp.simulate(fit, surveys=5):
        own = fake.truth.parameters.isel(chain=0, draw=0)
        (at,) = np.flatnonzero(stacked["Intercept"].to_numpy() == own["Intercept"].item())
        one = stacked.isel(sample=at)
        assert all((one[name] == own[name].to_numpy()).all() for name in own.data_vars)


def test_trials_may_be_a_number_in_the_formula():
    model = mrp.Model("p(successes, 4) ~ 1 + (1 | state)", SURVEY, family="binomial", priors=PRIORS)
    outcome = mrp.simulate(model, surveys=1)[0].outcome
    assert outcome.dtype == np.int64
    assert 0 <= outcome.min() <= outcome.max() <= 4


def test_outcome_that_is_a_level_is_yes_or_no():
    model = mrp.Model("party[left] ~ 1", SURVEY, family="bernoulli", priors=PRIORS)
    fake = mrp.simulate(model, surveys=1)[0]
    assert set(fake.outcome) <= {0, 1}
    assert model.with_outcome(fake.outcome).outcome.values.tolist() == fake.outcome.tolist()


@pytest.mark.parametrize("family", MODELS)
def test_truth_and_refit_have_the_same_survey(family):
    model = made(family)
    fake = mrp.simulate(model, surveys=1)[0]
    refitted = model.with_outcome(fake.outcome)
    pd.testing.assert_frame_equal(fake.truth.survey, refitted.survey)
    assert list(refitted.survey[COLUMN[family]]) == list(fake.outcome)
    assert fake.truth.observed.values.tolist() == refitted.outcome.values.tolist()


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("party[left] ~ 1", "bernoulli"),
        ("log1p(count) ~ 1", "gaussian"),
        ("p(successes + 0, trials) ~ 1", "binomial"),
        ("C(party) ~ 1", "categorical"),
    ],
)
def test_outcome_without_a_column_of_its_own_leaves_the_survey_as_it_is(formula, family):
    model = mrp.Model(
        formula,
        SURVEY,
        family=family,
        priors=PRIORS | {"sigma": "normal(0, 1)"} if family == "gaussian" else PRIORS,
    )
    fake = mrp.simulate(model, surveys=1)[0]
    pd.testing.assert_frame_equal(fake.truth.survey, SURVEY)
    pd.testing.assert_frame_equal(model.with_outcome(fake.outcome).survey, SURVEY)


# --- repeatable -----------------------------------------------------------------------------------


def same(one, other):
    return np.array_equal(one.outcome, other.outcome) and one.truth.parameters.equals(
        other.truth.parameters
    )


@pytest.mark.parametrize("source", [made, posterior])
def test_survey_depends_on_seed_and_number_only(source):
    few, many = (mrp.simulate(source("bernoulli"), surveys=n, seed=4) for n in (3, 30))
    assert all(same(one, other) for one, other in zip(few, many, strict=False))
    assert same(many[2], many[2])
    assert same(many[-1], many[29])


@pytest.mark.parametrize("source", [made, posterior])
def test_surveys_of_other_seeds_and_numbers_differ(source):
    fakes = mrp.simulate(source("poisson"), surveys=4, seed=4)
    other = mrp.simulate(source("poisson"), surveys=4, seed=5)
    outcomes = [fake.outcome.tolist() for fake in (*fakes, *other)]
    assert len({tuple(outcome) for outcome in outcomes}) == 8


def test_new_outcomes_do_not_depend_on_the_old_one():
    model = made("bernoulli")
    other = model.with_outcome(1 - SURVEY["y"])
    assert same(*(mrp.simulate(each, surveys=1)[0] for each in (model, other)))


def test_slice_is_a_list_of_surveys():
    fakes = mrp.simulate(made("bernoulli"), surveys=5)
    assert [fake.number for fake in fakes[1:3]] == [1, 2]
    assert [fake.number for fake in fakes[::-2]] == [4, 2, 0]
    assert fakes[7:] == []
    assert all(same(one, other) for one, other in zip(fakes[:2], fakes, strict=False))
    assert same(fakes[np.int64(3)], fakes[3])


def test_surveys_are_counted_and_say_where_they_come_from():
    fakes = mrp.simulate(made("bernoulli"), surveys=7)
    assert len(fakes) == len(list(fakes)) == 7
    assert [fake.number for fake in fakes] == list(range(7))
    assert repr(fakes) == "7 fake surveys, parameters from the prior"
    of_fit = mrp.simulate(posterior("bernoulli"), surveys=2)
    assert repr(of_fit) == "2 fake surveys, parameters from posterior draws of a fit"


# --- refusals -------------------------------------------------------------------------------------


def test_number_that_there_is_not_is_an_index_error():
    fakes = mrp.simulate(made("bernoulli"), surveys=2)
    with pytest.raises(IndexError, match=exactly("there are 2 fake surveys, got number 2")):
        fakes[2]


@pytest.mark.parametrize("key", [1.5, "1", None, True, (0, 1), slice("a", 2), slice(None, None, 0)])
def test_what_is_no_number_of_a_survey_is_refused(key):
    message = (
        f"`fakes[…]` must have a whole number or a slice, got {key!r}. The first is fakes[0], the "
        f"first three are fakes[:3]."
    )
    with raises(RequestError, message):
        mrp.simulate(made("bernoulli"), surveys=2)[key]


def test_flat_prior_is_refused_at_once():
    model = mrp.Model("y ~ age", SURVEY, family="bernoulli", priors="brms")
    with pytest.raises(PriorError, match="must be proper to be drawn from"):
        mrp.simulate(model)


def test_fit_without_its_survey_is_refused():
    message = (
        "`simulate` needs the survey and its outcome, as this fit was saved without them. Save "
        "the fit with include_survey=True, or sample the model again."
    )
    with raises(DataError, message):
        mrp.simulate(replace(posterior("bernoulli"), survey=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surveys": 0}, "`surveys` must be a whole number, 1 or more, got 0."),
        ({"surveys": 2.5}, "`surveys` must be a whole number, 1 or more, got 2.5."),
        ({"seed": -1}, "`seed` must be a whole number, 0 or more, got -1. Usual: 1."),
        ({"seed": None}, "`seed` must be a whole number, 0 or more, got None. Usual: 1."),
    ],
)
def test_impossible_numbers_are_refused(options, message):
    with raises(RequestError, message):
        mrp.simulate(made("bernoulli"), **options)


def test_source_that_is_neither_model_nor_fit_is_refused():
    message = (
        "`source` must be a Model, to draw parameters from its prior, or a Fit, to take them from "
        "its draws, got DataFrame."
    )
    with raises(RequestError, message):
        mrp.simulate(SURVEY)


def test_fakes_of_a_fit_do_not_carry_what_the_sampler_said():
    fit = posterior("bernoulli")
    stats = xr.Dataset({"lp": (("chain", "draw"), np.zeros((2, 5)))})
    tree = xr.DataTree.from_dict({"posterior": fit.parameters, "sample_stats": stats})
    fakes = mrp.simulate(replace(fit, draws=tree))
    assert isinstance(fakes, FakeSurveys)
    assert list(fakes.source.draws.children) == ["posterior"]


def test_fake_fit_of_small_survey_is_enough():
    fit = fake_fit("y ~ 1", SURVEY[:3], family="bernoulli")
    assert len(mrp.simulate(fit, surveys=1)[0].outcome) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surveys": 0}, "`surveys` must be a whole number, 1 or more, got 0."),
        ({"surveys": 2**70}, f"`surveys` must be at most 1,000,000, got {2**70}."),
        ({"seed": 2**128}, f"`seed` must be below 2**128, got {2**128}. Usual: 1."),
        ({"seed": 1.5}, "`seed` must be a whole number, 0 or more, got 1.5. Usual: 1."),
    ],
)
def test_surveys_and_seeds_that_cannot_be_numbered_are_refused(options, message):
    with raises(RequestError, message):
        mrp.simulate(made("bernoulli"), **options)


def test_a_seed_of_128_bits_makes_surveys():
    model = made("bernoulli")
    first, again, other = (mrp.simulate(model, seed=s)[0] for s in (2**127, 2**127, 2**127 + 1))
    assert (first.outcome == again.outcome).all()
    assert (first.outcome != other.outcome).any()
