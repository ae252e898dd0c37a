"""Families: their links, and the outcomes that they can produce."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from mrp.errors import DataError, RequestError
from mrp.links import Link, inverse
from mrp.model.families import FAMILIES, FamilyName, check_outcome, find
from mrp.model.outcome import Outcome
from tests.messages import raises


def outcome(values: list[float], trials: list[float] | None = None) -> Outcome:
    return Outcome(
        "y", np.array(values, float), None if trials is None else np.array(trials, float)
    )


@pytest.mark.parametrize(
    ("name", "links", "auxiliary"),
    [
        ("bernoulli", ["logit", "probit", "cloglog"], None),
        ("binomial", ["logit", "probit", "cloglog"], None),
        ("gaussian", ["identity", "log"], "sigma"),
        ("poisson", ["log", "identity"], None),
        ("negativebinomial", ["log", "identity"], "alpha"),
        ("categorical", ["logit"], None),
        ("cumulative", ["logit", "probit", "cloglog"], None),
        ("sratio", ["logit", "probit", "cloglog"], None),
    ],
)
def test_the_first_link_is_the_default(name: str, links: list[str], auxiliary: str | None):
    family, link = find(name, None)
    assert link == links[0]
    assert family.name == name
    assert family.auxiliary == auxiliary
    assert [find(name, link)[1] for link in links] == links


def test_every_family_has_a_name_and_every_link_an_inverse():
    assert tuple(FAMILIES) == get_args(FamilyName)
    for family in FAMILIES.values():
        assert set(family.links) <= set(get_args(Link))
        for link in family.links:
            assert np.isfinite(inverse(link)(np.zeros(2))).all()


def test_an_unknown_family_is_refused():
    message = (
        "`family` must be a family that is built here, got 'Binomial'. Available: ['bernoulli', "
        "'binomial', 'gaussian', 'poisson', 'negativebinomial', 'categorical', 'cumulative', "
        "'sratio']. Did you mean 'binomial'?"
    )
    with raises(RequestError, message):
        find("Binomial", None)


def test_a_link_of_another_family_is_refused():
    message = (
        "`link` must be a link of the family 'poisson', got 'logit'. Available: ['log', "
        "'identity']. Did you mean 'log'?"
    )
    with raises(RequestError, message):
        find("poisson", "logit")


def test_the_levels_of_an_outcome_have_an_order_or_not():
    kinds = {"categorical": "unordered", "cumulative": "ordered", "sratio": "ordered"}
    assert {name: family.levels for name, family in FAMILIES.items() if family.levels} == kinds


@pytest.mark.parametrize(
    ("family", "good"),
    [
        ("bernoulli", outcome([0, 1, 1])),
        ("bernoulli", outcome([0, 0])),
        ("binomial", outcome([0, 2, 3], [1, 2, 5])),
        ("binomial", outcome([0], [0])),
        ("gaussian", outcome([-1.5, 1e300])),
        ("poisson", outcome([0, 7])),
        ("negativebinomial", outcome([0, 7])),
    ],
)
def test_outcomes_that_the_family_can_produce_are_taken(family: FamilyName, good: Outcome):
    check_outcome(FAMILIES[family], good)


RECODE = "Recode the outcome, or choose another family."


@pytest.mark.parametrize(
    ("family", "bad", "message"),
    [
        (
            "bernoulli",
            outcome([0, 2, 1, 0.5, 2]),
            f"`data` must have 0 or 1 in the outcome 'y', got ['2', '0.5'] in 3 rows. {RECODE}",
        ),
        (
            "poisson",
            outcome([0, -1, 2]),
            "`data` must have whole numbers, 0 or more, in the outcome 'y', got ['-1'] in 1 rows. "
            + RECODE,
        ),
        (
            "negativebinomial",
            outcome([1.5, 1.5, 2]),
            "`data` must have whole numbers, 0 or more, in the outcome 'y', got ['1.5'] in 2 rows. "
            + RECODE,
        ),
        (
            "binomial",
            outcome([3, -1, 0.5, 1, 1], [2, 4, 1, 1.5, 1]),
            "`data` must have whole numbers, no more successes than trials, in the outcome 'y', "
            f"got ['3 of 2', '-1 of 4', '0.5 of 1', '1 of 1.5'] in 4 rows. {RECODE}",
        ),
        (
            "binomial",
            outcome([0, 1]),
            "`formula` must write the outcome of family 'binomial' as p(successes, trials), got "
            "'y'. For one trial each, use family='bernoulli'.",
        ),
        *(
            (
                family,
                outcome([0, 1], [1, 1]),
                f"`family` must be 'binomial' for the outcome 'y', got '{family}'. Pass "
                "family='binomial'.",
            )
            for family in ("bernoulli", "categorical", "cumulative", "sratio")
        ),
    ],
)
def test_outcomes_that_the_family_can_t_produce_are_refused(
    family: FamilyName, bad: Any, message: str
):
    with raises(DataError, message):
        check_outcome(FAMILIES[family], bad)
