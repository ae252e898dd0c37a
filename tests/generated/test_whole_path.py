"""The whole path, from tables and a formula to estimates, against the second implementation.

Random tables of every library, a random formula and random questions: each draw of each estimate
is the same, or the question is refused by both. Of what mrp refuses the second implementation must
say why it can't be answered, and mrp must refuse what the second implementation does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

import mrp
from mrp.errors import FrameWarning, MRPError
from mrp.testing import fake_draws
from tests.generated import second
from tests.generated.formulas import Bracket, Formula, formulas
from tests.generated.questions import (
    Key,
    Question,
    Refused,
    asked,
    expected,
    key,
    questions,
)
from tests.generated.runs import run
from tests.generated.second import Floats, Second
from tests.generated.tables import BREAKS, OUTCOMES, Table, Tables, people, stored, tables

CLOSE = 1e-10
"""Relative difference up to which draws are the same; of the largest one, where they cancel."""


@dataclass(frozen=True, repr=False)
class Case:
    """A model, the tables, and what is asked."""

    formula: Formula
    family: str
    tables: Tables
    priors: str
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        return (
            f"\n{self.formula.text}\nfamily {self.family!r}, priors {self.priors!r}\n"
            f"survey: {self.tables.survey!r}frame: {self.tables.frame!r}"
            f"wrong with the frame: {self.tables.broken}\n"
            f"levels: {dict(self.tables.levels)}\n"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """As Hypothesis writes an example."""
        printer.text(f"{self!r}asked: {self.questions}")


@st.composite
def cases(draw: st.DrawFn, most_rows: int = 40) -> Case:
    """Any case."""
    family = draw(st.sampled_from(sorted(OUTCOMES)))
    formula = draw(formulas(most_pieces=2))
    made = draw(tables(family, most_rows=most_rows))
    asked = st.lists(questions(formula, made, family), min_size=1, max_size=3)
    priors = draw(st.sampled_from(("brms", "brms", "bambi")))
    return Case(formula, family, made, priors, tuple(draw(asked)))


# --- the comparison -------------------------------------------------------------------------------


class Differs(AssertionError):
    """Both implementations don't agree."""


def check(case: Case) -> None:
    """Ask both implementations: the same draws, or both refuse."""
    survey, levels = case.tables.survey, case.tables.levels
    why_not = second.formula_refused(case.formula, survey.plain, levels)
    why_not = why_not or second.outcome_refused(case.family, survey.storage["y"])
    try:
        model = mrp.Model(case.formula.text, survey.stored, family=case.family, priors=case.priors)
    except MRPError as error:
        if why_not or may_be_refused(case):
            return
        raise Differs(f"no model, though nothing is wrong: {error}\n{case}") from error
    if why_not:
        raise Differs(f"there is a model, though {why_not}\n{case}")
    by_hand = second_of(case, model)
    fit = mrp.Fit.from_draws(model, by_hand.draws)
    for question in case.questions:
        compare(case, question, fit, by_hand)


def may_be_refused(case: Case) -> bool:
    """Whether a design, as it is coded, may have no default priors."""
    formula, survey, levels = case.formula, case.tables.survey.plain, case.tables.levels
    return case.priors == "bambi" and second.has_constant_columns(formula, survey, levels)


def second_of(case: Case, model: mrp.Model) -> Second:
    """The second implementation, with draws of the model that keep predictors of moderate size."""
    draws = fake_draws(model.design, chains=2, draws=3, by_level=model.by_level)
    survey, levels = case.tables.survey.plain, case.tables.levels
    names = second.names_of(model.design, levels)
    by_hand = Second(case.formula, survey, levels, names, draws, case.family)
    sizes = np.abs(by_hand.predictor(survey) - by_hand.offset(survey)[:, None, None])
    scale = 3.0 / max(1.0, float(sizes.max()))
    scaled = {name: draws[name] * scale for name in draws.data_vars if name != "threshold"}
    return replace(by_hand, draws=draws.assign(scaled))


def compare(case: Case, question: Question, fit: mrp.Fit, by_hand: Second) -> None:
    """Compare the answers to a question."""
    try:
        wanted: Any = expected(by_hand, case.tables, question)
    except Refused as refused:
        wanted = refused
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FrameWarning)
            found = asked(fit, case.tables, question)
    except MRPError as error:
        if isinstance(wanted, Refused):
            return
        message = f"refused, though nothing is wrong: {error}\n{question}\n{case}"
        raise Differs(message) from error
    if isinstance(wanted, Refused):
        raise Differs(f"answered, though {wanted}\n{question}\n{case}")
    changes = 1 + max(change for _, change, *_ in wanted)
    try:
        compare_draws(keyed(found, case, question, changes), wanted)
    except Differs as error:
        raise Differs(f"{error}\n{question}\n{case}") from None


def keyed(found: mrp.Estimates, case: Case, question: Question, changes: int) -> dict[Key, Floats]:
    """Draws of each estimate, by the outcome's level, the change and the row or the group.

    Estimates come level by level, and of each level change by change.
    """
    draws = found.draws.values.reshape(-1, len(found)).T
    levels: list[Any] = [None]
    if case.family == "categorical" or (case.family, question.type) == ("cumulative", "response"):
        levels = found.labels["group"].drop_duplicates().tolist()
        wanted = list(case.tables.levels["y"])
        if levels != wanted[-len(levels) :]:
            raise Differs(f"levels of the outcome are {levels}, of {wanted}")
    of_level = len(found) // len(levels)
    of_change = of_level // changes
    groups = found.labels[list(question.by)].itertuples(index=False, name=None)
    result: dict[Key, Floats] = {}
    for place, group in enumerate(groups):
        level, rest = divmod(place, of_level)
        change, row = divmod(rest, of_change)
        last = tuple(map(key, group)) if question.averaged else (row,)
        result[(level, change, *last)] = draws[place]
    if len(result) != len(found):
        raise Differs(f"{len(found)} estimates have {len(result)} labels")
    return result


def compare_draws(found: Mapping[Key, Floats], wanted: Mapping[Key, Floats]) -> None:
    """Compare draws by key, and say where the first difference is."""
    if set(found) != set(wanted):
        raise Differs(
            f"estimates are made of {sorted(set(found) - set(wanted), key=str)} and not of "
            f"{sorted(set(wanted) - set(found), key=str)} (level, change, row or group)"
        )
    largest = max(float(np.abs(draws).max()) for draws in wanted.values())
    for place, draws in wanted.items():
        if not np.allclose(found[place], draws, rtol=CLOSE, atol=CLOSE * max(1.0, largest)):
            raise Differs(
                f"draws are\n{found[place]}, not\n{draws}, of {place} (level, change, row or group)"
            )


# --- every case -----------------------------------------------------------------------------------


def test_estimates_are_those_of_a_second_implementation():
    run(check, cases(), 100, seed=1)


@pytest.mark.slow
def test_all_estimates_are_those_of_a_second_implementation(said_seed: int):
    run(check, cases(), 2000, seed=said_seed)


# --- the machinery can fail -----------------------------------------------------------------------

AREAS = Question("poststratify", "frame", by=("region",), weights="column")
CONTRASTS = Question("avg_comparisons", "survey", {"a": "reference"}, by=("b",), weights="array")
ROWS = Question("predictions", "frame", {"x": [0.5, 2]})


def plain_case(broken: str | None = None) -> Case:
    """A case without anything unusual, but what is wrong with the frame."""
    rng = np.random.default_rng(11)
    levels = {"a": ("low", "mid"), "b": ("u", "v"), "c": ("k1", "k2"), "t": (False, True)}
    levels |= {"k": (1, 2), "g": ("AL", "TX", "VT"), "h": (1, 7), "region": ("north", "south")}
    storage = dict.fromkeys(("a", "b", "c", "g", "region"), "text") | {"t": "bool", "n": "float64"}
    storage |= dict.fromkeys(("k", "h"), "int64") | dict.fromkeys(("x", "z", "y"), "float64")
    survey, frame = people(rng, 20, levels, storage), people(rng, 15, levels, storage)
    survey["y"], survey["n"] = np.arange(20) % 2.0, rng.integers(1, 9, 20) / 2
    frame["region"], frame["n"] = ["north", "south", "south"] * 5, rng.integers(0, 9, 15) / 2
    frame = BREAKS[broken](frame, 3) if broken else frame

    def table(plain: pd.DataFrame) -> Table:
        of_columns = {name: storage[name] for name in plain}
        made = stored(plain, {}, of_columns, "pandas", "plain", rng)
        return Table(plain, made, of_columns, "pandas", "plain")

    formula = Formula("a * x", (Bracket("x", "|", "g"),), ("z",))
    made = Tables(table(survey), table(frame), levels, broken)
    return Case(formula, "bernoulli", made, "brms", (AREAS, CONTRASTS, ROWS))


def fit_of(case: Case) -> tuple[mrp.Fit, Second]:
    """A fit, and the second implementation of it."""
    model = mrp.Model(
        case.formula.text, case.tables.survey.stored, family=case.family, priors=case.priors
    )
    by_hand = second_of(case, model)
    return mrp.Fit.from_draws(model, by_hand.draws), by_hand


@pytest.mark.parametrize(
    "broken", [None, "a level of 'a' that the survey lacks", "a level of 'g' that the survey lacks"]
)
def test_a_plain_case_agrees(broken: str | None):
    check(plain_case(broken))


WRONG: Mapping[str, tuple[Question, Callable[[Second], Second]]] = {
    "a coefficient has another sign": (
        AREAS,
        lambda right: replace(right, draws=right.draws.assign(x=-right.draws["x"])),
    ),
    "the groups are exchanged": (
        AREAS,
        lambda right: replace(
            right,
            draws=right.draws.assign_coords(
                g__factor_dim=right.draws["g__factor_dim"].values[::-1]
            ),
        ),
    ),
    "the draws are in another order": (
        ROWS,
        lambda right: replace(right, draws=right.draws.isel(draw=[1, 0, 2])),
    ),
    "another level is the reference": (
        CONTRASTS,
        lambda right: replace(right, levels={**right.levels, "a": ("mid", "low")}),
    ),
    "the link is another one": (ROWS, lambda right: replace(right, family="poisson")),
    "the offset is forgotten": (
        ROWS,
        lambda right: replace(right, formula=replace(right.formula, offsets=())),
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_the_second_implementation_has_otherwise_is_caught(wrong: str):
    case = plain_case()
    question, change = WRONG[wrong]
    fit, right = fit_of(case)
    compare(case, question, fit, right)
    with pytest.raises(Differs, match="draws are"):
        compare(case, question, fit, change(right))


@pytest.mark.parametrize("question", [AREAS, CONTRASTS])
def test_weights_that_one_implementation_forgets_are_caught(question: Question):
    case = plain_case()
    fit, right = fit_of(case)
    with pytest.raises(Differs, match="draws are"):
        compare_draws(
            keyed(asked(fit, case.tables, question), case, question, 1),
            expected(right, case.tables, replace(question, weights="none")),
        )


def test_a_refusal_of_what_is_right_is_caught():
    case = plain_case("a level of 'a' that the survey lacks")
    fit, right = fit_of(case)
    knows = replace(right, levels={**right.levels, "a": ("low", "mid", "mId")})
    with pytest.raises(Differs, match=r"refused, though nothing is wrong: `frame` must have only"):
        compare(case, AREAS, fit, knows)


def test_an_answer_to_what_must_be_refused_is_caught():
    case = plain_case()
    fit, right = fit_of(case)
    lacks = replace(right, levels={**right.levels, "a": ("low",)})
    with pytest.raises(Differs, match=r"answered, though 'a' has levels that the survey lacks"):
        compare(case, AREAS, fit, lacks)


@pytest.mark.parametrize(
    "formula",
    [Formula("1", (Bracket("1", "|", "g"), Bracket("x", "|", "g"))), Formula("0")],
    ids=["a bracket's term twice", "nothing to estimate"],
)
def test_a_formula_without_a_model_is_refused_by_both(formula: Formula):
    case = replace(plain_case(), formula=formula)
    assert second.formula_refused(formula, case.tables.survey.plain, case.tables.levels)
    check(case)
