"""Requests that can't be honoured."""

from __future__ import annotations

from typing import Any

import numpy as np

import mrp
from mrp.errors import (
    ArgumentError,
    DataError,
    FormulaError,
    PriorError,
    RequestError,
)
from tests.reliability.cases import Case, Place

HUGE = 2**40


def _sampled(**options: Any) -> Any:
    return lambda at: at.model().sample(**{"draws": 10, "tune": 10, "progress": False, **options})


def _averages(**options: Any) -> Any:
    return lambda at: mrp.avg_predictions(at.fit, **options)


def _formula(text: str, **options: Any) -> Any:
    return lambda at: at.model(text, **options)


def _priors(**options: Any) -> Any:
    return lambda at: at.model(priors=options)


CASES = [
    Case("request", what, does, comes)
    for what, does, comes in [
        (
            "a formula that runs a command",
            _formula("y ~ I(x + 0*np._pytesttester.os.system('true'))"),
            FormulaError,
        ),
        (
            "a formula that unpickles a file",
            _formula("y ~ np.load('x', allow_pickle=True)"),
            FormulaError,
        ),
        ("a formula that writes a file", _formula("y ~ np.savetxt('x', x)"), FormulaError),
        ("a formula that climbs from a function", _formula("y ~ x + log.__class__"), DataError),
        ("a formula with a comprehension", _formula("y ~ I([k for k in x])"), FormulaError),
        ("a power that would take for ever", _formula("y ~ I(9**9**9**9 + x)"), DataError),
        ("a formula of 600 kB", _formula("y ~ " + " + ".join(["x"] * 150_000)), FormulaError),
        (
            "5,000 brackets one in the other",
            _formula("y ~ " + "(" * 5000 + "x" + ")" * 5000),
            FormulaError,
        ),
        ("a polynomial of degree a million", _formula("y ~ poly(x, 1000000)"), FormulaError),
        ("a mean over the rows in a formula", _formula("y ~ I(x - np.mean(x))"), FormulaError),
        ("a formula without an outcome", _formula("~ x"), FormulaError),
        ("a formula with two outcomes", _formula("y ~ x ~ g"), FormulaError),
        ("an empty formula", _formula(""), FormulaError),
        ("a number as the formula", lambda at: mrp.Model(5, at.survey), FormulaError),  # type: ignore[arg-type]
        ("the outcome among the predictors", _formula("y ~ x + y"), FormulaError),
        ("a smooth term of mgcv", _formula("y ~ s(x)"), FormulaError),
        ("weights as brms writes them", _formula("y | weights(x) ~ g"), FormulaError),
        (
            "an own function under a known name",
            _formula("y ~ log(x)", namespace={"log": abs}),
            RequestError,
        ),
        ("a number as the namespace", _formula("y ~ x", namespace=5), RequestError),
        ("a list as the family", _formula("y ~ x", family=["gaussian"]), RequestError),
        ("a family that does not exist", _formula("y ~ x", family="normal"), RequestError),
        ("a link that the family lacks", _formula("y ~ x", link="logit"), RequestError),
        ("a prior of an unknown distribution", _priors(b="gauss(0, 1)"), PriorError),
        ("a prior with a negative scale", _priors(b="normal(0, -1)"), PriorError),
        (
            "a prior that is code",
            _priors(b="normal(0, __import__('os').system('true'))"),
            PriorError,
        ),
        ("a prior for a parameter that is not there", _priors(zz="normal(0, 1)"), PriorError),
        (
            "draws from flat priors",
            lambda at: at.model(priors="brms").sample_prior(draws=10),
            PriorError,
        ),
        ("2**40 draws", _sampled(draws=HUGE), RequestError),
        ("2**40 draws of tuning", _sampled(tune=HUGE), RequestError),
        ("2**40 chains", _sampled(chains=HUGE), RequestError),
        ("no draws", _sampled(draws=0), RequestError),
        ("half a draw", _sampled(draws=0.5), RequestError),
        ("chains as text", _sampled(chains="4"), RequestError),
        ("a seed below zero", _sampled(seed=-1), RequestError),
        ("a target of acceptance of text", _sampled(target_accept="a"), RequestError),
        ("a target of acceptance of 1", _sampled(target_accept=1), RequestError),
        ("an engine that does not exist", _sampled(engine="stan"), RequestError),
        ("an argument of brms", _sampled(iter=2000), ArgumentError),
        ("2**40 draws of the prior", lambda at: at.model().sample_prior(draws=HUGE), RequestError),
        ("a `by` that is no column", _averages(by="region"), RequestError),
        ("a `by` that is a list of lists", _averages(by=[["g"]]), RequestError),
        ("a `by` that results are written to", _averages(by="estimate"), RequestError),
        (
            "`variables` that are a list of lists",
            lambda at: mrp.predictions(at.fit, variables=[[1, 2]]),
            RequestError,
        ),
        (
            "a level that the survey lacks",
            lambda at: mrp.comparisons(at.fit, variables={"g": ["a", "z"]}),
            (DataError, RequestError),
        ),
        (
            "a contrast that does not exist",
            lambda at: mrp.comparisons(at.fit, variables={"g": "helmert"}),
            RequestError,
        ),
        (
            "a comparison that does not exist",
            lambda at: mrp.comparisons(at.fit, variables="g", comparison="minus"),
            RequestError,
        ),
        ("a transform that is no function", _averages(transform="exp"), RequestError),
        ("a transform that returns text", _averages(transform=lambda _: "a"), RequestError),
        ("a transform of one number for all", _averages(transform=lambda _: 1.0), RequestError),
        (
            "an interval of 95 percent as 95",
            lambda at: mrp.avg_predictions(at.fit).to_frame(ci_prob=95),
            RequestError,
        ),
        (
            "an interval that does not exist",
            lambda at: mrp.avg_predictions(at.fit).to_frame(ci_kind="wald"),
            RequestError,
        ),
        (
            "a hypothesis that is code",
            lambda at: mrp.avg_predictions(at.fit).hypothesis("b1.__class__"),
            RequestError,
        ),
        (
            "a hypothesis about a row that is not there",
            lambda at: mrp.avg_predictions(at.fit).hypothesis("b9 = 0"),
            RequestError,
        ),
        (
            "pairs beyond counting",
            lambda at: mrp.predictions(
                at.fit, newdata=at.survey.loc[np.arange(1000) % 80].reset_index(drop=True)
            ).hypothesis("~ pairwise"),
            RequestError,
        ),
        (
            "a statement that is code",
            lambda at: mrp.avg_predictions(at.fit).probability("> x"),
            RequestError,
        ),
        ("a seed of text", _averages(seed="1"), RequestError),
        (
            "effects of a factor that the model lacks",
            _averages(re_formula="(1 | region)"),
            (RequestError, FormulaError),
        ),
        ("a scale that does not exist", _averages(type="odds"), RequestError),
        ("a fit that is none", lambda _: mrp.avg_predictions(None), RequestError),
        ("the model in place of the fit", lambda at: mrp.avg_predictions(at.model()), RequestError),
        (
            "estimates on two scales in one table",
            lambda at: mrp.concat(
                {"a": mrp.avg_predictions(at.fit), "b": mrp.avg_predictions(at.fit, type="link")}
            ),
            RequestError,
        ),
        (
            "a label for each of other estimates",
            lambda at: mrp.concat([mrp.avg_predictions(at.fit)], labels=["a", "b"]),
            RequestError,
        ),
        ("a dataset that does not exist", lambda _: mrp.load_dataset("cces"), RequestError),
        (
            "groups drawn anew in a way that does not exist",
            _averages(new_levels="normal"),
            RequestError,
        ),
        (
            "a picture that does not exist",
            lambda at: mrp.avg_predictions(at.fit).plot("map"),
            RequestError,
        ),
        (
            "seeds beyond 64 bits",
            lambda at: _repeated(at),
            None,
        ),
    ]
]


def _repeated(at: Place) -> str:
    first, second = (at.model().sample_prior(draws=10, seed=2**70) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != at.model().sample_prior(draws=10, seed=1).fingerprint
    return "repeatable"
