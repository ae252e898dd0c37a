"""`mrp.priors`: what is asked for, before any model is there."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import bambi
import pytest

import mrp
from mrp.errors import PriorError
from mrp.model.distributions import parse
from mrp.model.priors import choices_of
from tests.messages import raises


def as_text(given: Any) -> dict[tuple[str, ...], tuple[str, str]]:
    """Path of each choice, with its prior and what that was written under."""
    return {c.path: (str(c.prior), c.source) for c in choices_of(given).choices}


def test_every_choice_has_its_path_and_says_what_it_was_written_under():
    given = mrp.priors(
        Intercept="normal(0, 1)",
        b={"age": "normal(0, 2)", "gender[Woman]": "normal(0.3, 0.1)"},
        sd={"state": {"Intercept": "exponential(1)", "gender": "exponential(2)"},
            "region": "exponential(3)"},
        cor={"state": "lkj(2)"},
        sigma="student_t(3, 0, 2)",
        alpha="gamma(2, 0.1)",
        threshold="normal(0, 3)",
        military="normal(0, 4)",
        **{"x|state": "half_normal(5)"},
    )  # fmt: skip
    assert as_text(given) == {
        ("b", "age"): ("normal(0, 2)", "age"),
        ("b", "gender[Woman]"): ("normal(0.3, 0.1)", "gender[Woman]"),
        ("sd", "state", "Intercept"): ("exponential(1)", "sd(Intercept | state)"),
        ("sd", "state", "gender"): ("exponential(2)", "sd(gender | state)"),
        ("sd", "region"): ("exponential(3)", "sd(region)"),
        ("cor", "state"): ("lkj(2)", "cor(state)"),
        ("Intercept",): ("normal(0, 1)", "Intercept"),
        ("sigma",): ("student_t(3, 0, 2)", "sigma"),
        ("alpha",): ("gamma(2, 0.1)", "alpha"),
        ("threshold",): ("normal(0, 3)", "threshold"),
        ("military",): ("normal(0, 4)", "military"),
        ("x|state",): ("half_normal(5)", "x|state"),
    }


def test_classes_are_chosen_as_a_whole():
    given = mrp.priors(b="normal(0, 1)", sd="exponential(1)", cor="lkj(2)", defaults="brms")
    assert given.defaults == "brms"
    assert as_text(given) == {
        ("b",): ("normal(0, 1)", "b"),
        ("sd",): ("exponential(1)", "sd"),
        ("cor",): ("lkj(2)", "cor"),
    }


def test_what_is_not_asked_for_is_no_choice():
    assert mrp.priors() == mrp.priors(b={}, sd=None, sigma=None)
    assert mrp.priors().choices == ()
    assert mrp.priors().defaults == "bambi"


def test_a_prior_may_be_bambi_s():
    given = mrp.priors(b=bambi.Prior("Normal", mu=0, sigma=2), sd={"state": parse("gamma(2, 1)")})
    assert [str(choice.prior) for choice in given.choices] == ["normal(0, 2)", "gamma(2, 1)"]


def test_choices_are_frozen_hashable_and_the_same_when_written_the_same():
    one, other = (mrp.priors(b={"age": "normal(0, 1)"}, cor="lkj(2)") for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.defaults = "brms"  # type: ignore[misc]


def test_choices_are_shown_one_on_a_line():
    given = mrp.priors(b="normal(0, 1e6)", sd={"state": {"gender": "exponential(2)"}})
    assert repr(given) == (
        "Priors:\n"
        "  b                   normal(0, 1e6)\n"
        "  sd(gender | state)  exponential(2)\n"
        "  otherwise the defaults of bambi"
    )
    assert repr(mrp.priors(defaults="brms")) == "Priors:\n  otherwise the defaults of brms"


def test_choices_come_in_any_form_that_a_model_takes():
    given = mrp.priors(b="normal(0, 1)", defaults="brms")
    assert choices_of(given) is given
    assert choices_of({"b": "normal(0, 1)", "defaults": "brms"}) == given
    assert choices_of(None) == choices_of("bambi") == choices_of({}) == mrp.priors()
    assert choices_of("brms") == mrp.priors(defaults="brms")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"defaults": "Bambi"},
            "`defaults` must name a set of default priors, got 'Bambi'. Available: ['bambi', "
            "'brms']. Did you mean 'bambi'?",
        ),
        (
            {"b": "normal(0)"},
            "`priors` must be written normal(mu, sigma), a number for each, got 'normal(0)'.",
        ),
        (
            {"b": 3},
            "`priors` must be a string such as 'normal(0, 1)', a bambi.Prior or a PreliZ "
            "distribution for 'b', got 3.",
        ),
        (
            {"b": {"age": None}},
            "`priors` must be a string such as 'normal(0, 1)', a bambi.Prior or a PreliZ "
            "distribution for 'age', got None.",
        ),
        (
            {"cor": {"state": {"x": "lkj(2)"}}},
            "`priors` must be a string such as 'normal(0, 1)', a bambi.Prior or a PreliZ "
            "distribution for 'cor(state)', got {'x': 'lkj(2)'}.",
        ),
        (
            {"sigma": {"y": "normal(0, 1)"}},
            "`priors` must be a string such as 'normal(0, 1)', a bambi.Prior or a PreliZ "
            "distribution for 'sigma', got {'y': 'normal(0, 1)'}.",
        ),
    ],
)
def test_what_can_t_be_read_is_refused_before_there_is_a_model(given: Any, message: str):
    with raises(PriorError, message):
        mrp.priors(**given)
