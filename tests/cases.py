"""A small survey, a frame, and formulas whose terms are written out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import mrp
from tests.loops import Row, Terms

AGE = ["young", "middle", "old"]
EDUCATION = ["primary", "secondary", "tertiary"]
STATES = {"AL": "south", "CA": "south", "NY": "north", "TX": "south", "VT": "north"}
DISTRICTS = {state: 1 + k % 3 for k, state in enumerate(STATES)}
"""Number of districts in each state; they are numbered from 1 in every state."""


def people(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Rows with every predictor, at random."""
    state = rng.choice(list(STATES), n)
    return pd.DataFrame(
        {
            "age": pd.Categorical(rng.choice(AGE, n), AGE, ordered=True),
            "education": pd.Categorical(rng.choice(EDUCATION, n), ["none", *EDUCATION]),
            "gender": rng.choice(["Man", "Woman"], n),
            "military": rng.integers(0, 2, n),
            "x": rng.normal(1.0, 2.0, n).round(1),
            "exposure": rng.integers(1, 5, n) / 2,
            "state": state,
            "region": [STATES[s] for s in state],
            "district": [int(rng.integers(1, DISTRICTS[s] + 1)) for s in state],
        }
    )


def make_survey(n: int = 90, seed: int = 5) -> pd.DataFrame:
    """Respondents; nobody has the education "none"."""
    rng = np.random.default_rng(seed)
    outcomes = {
        "y": rng.integers(0, 2, n),
        "successes": rng.integers(0, 4, n),
        "trials": 4,
        "count": rng.poisson(2.0, n),
        "score": rng.normal(3.0, 1.0, n),
    }
    return people(rng, n).assign(**outcomes)


def make_frame(n: int = 50, seed: int = 6) -> pd.DataFrame:
    """Cells with unequal weights, some zero, some cells twice, rows and labels in any order."""
    rng = np.random.default_rng(seed)
    cells = people(rng, n)
    cells = pd.concat([cells, cells.sample(6, random_state=seed)])
    weights = rng.gamma(0.5, 100.0, len(cells)) * (rng.uniform(size=len(cells)) > 0.1)
    cells = cells.assign(n=weights).sample(frac=1.0, random_state=seed)
    cells["age"] = cells["age"].cat.reorder_categories(["old", "young", "middle"])
    return cells[rng.permutation(cells.columns)]


SURVEY = make_survey()
FRAME = make_frame()


def level(variable: str, value: object, reference: object = None) -> Iterator[Any]:
    """A population-level categorical: nothing at its reference, else one coefficient."""
    if value != reference:
        yield variable, {f"{variable}_dim": str(value)}, 1.0


def effect(variable: str, group: object, times: float = 1.0, value: object = None) -> Any:
    """A group-specific effect; of one level of a categorical, where a value is given."""
    expression, factor = variable.split("|")
    labels = {f"{factor}__factor_dim": str(group)}
    if value is not None:
        labels[f"{expression}__expr_dim"] = str(value)
    return variable, labels, times


def _correlated_slopes(row: Row) -> Iterable[Any]:
    yield "Intercept", {}, 1.0
    yield from level("age", row["age"], "young")
    yield from level("education", row["education"], "primary")
    yield "military", {}, row["military"]
    yield from level("gender", row["gender"], "Man")
    yield effect("1|state", row["state"])
    if row["gender"] == "Woman":
        yield effect("gender|state", row["state"], 1.0, "Woman")


def _crossed_factors(row: Row) -> Iterable[Any]:
    yield "Intercept", {}, 1.0
    yield from level("age", row["age"], "young")
    yield from level("education", row["education"], "primary")
    if row["age"] != "young" and row["education"] != "primary":
        levels = f"{row['age']}, {row['education']}"
        yield "age:education", {"age:education_dim": levels}, 1.0
    yield "x", {}, row["x"]
    yield effect("1|state", row["state"])
    yield effect("x|state", row["state"], row["x"])
    yield effect("1|gender", row["gender"])


def _nested_factors(row: Row) -> Iterable[Any]:
    yield from level("education", row["education"])
    yield "x:gender", {"x:gender_dim": row["gender"]}, row["x"]
    yield effect("1|region", row["region"])
    yield effect("1|region:state", f"{row['region']}:{row['state']}")
    yield effect("1|state:district", f"{row['state']}:{row['district']}")


def _categorical_slopes(row: Row) -> Iterable[Any]:
    yield "Intercept", {}, 1.0
    yield "x", {}, row["x"]
    yield effect("1|state", row["state"])
    if row["age"] != "young":
        yield effect("age|state", row["state"], 1.0, row["age"])


def _mean_and_sd() -> tuple[float, float]:
    xs = SURVEY["x"].tolist()
    mean = sum(xs) / len(xs)
    return mean, math.sqrt(sum((x - mean) ** 2 for x in xs) / len(xs))


def _transforms(row: Row) -> Iterable[Any]:
    mean, sd = _mean_and_sd()
    yield "Intercept", {}, 1.0
    yield "scale(x)", {}, (row["x"] - mean) / sd
    yield "I(x ** 2)", {}, row["x"] ** 2
    # '/' is no part of a variable's name
    yield "I(x \N{DIVISION SLASH} 3)", {}, row["x"] / 3
    yield from level("C(district)", row["district"], 1)
    yield effect("1|state", row["state"])
    yield effect("military|state", row["state"], row["military"])


def _offset(row: Row) -> Iterable[Any]:
    yield "Intercept", {}, 1.0
    yield from level("age", row["age"], "young")
    yield "", {}, math.log(row["exposure"])
    yield "", {}, row["x"]
    yield effect("1|state", row["state"])
    yield effect("x|state", row["state"], row["x"])


def _full_slopes(row: Row) -> Iterable[Any]:
    yield "Intercept", {}, 1.0
    yield from level("gender", row["gender"], "Man")
    yield effect("age|state", row["state"], 1.0, row["age"])
    yield effect("1|gender:education", f"{row['gender']}:{row['education']}")


def _identity(row: Row) -> Iterable[Any]:
    yield "Intercept", {}, 1.0
    yield "x", {}, row["x"]
    if row["age"] != "young":
        yield "x:age", {"x:age_dim": row["age"]}, row["x"]


def _intercept(row: Row) -> Iterable[Any]:
    yield "Intercept", {}, 1.0


def _by_military(row: Row) -> Iterable[Any]:
    yield "military", {}, 1.0


def _by_x_with_slopes(row: Row) -> Iterable[Any]:
    yield "x", {}, 1.0
    yield effect("x|state", row["state"])


def _by_x_of_gender(row: Row) -> Iterable[Any]:
    yield "x:gender", {"x:gender_dim": row["gender"]}, 1.0


def _by_x(row: Row) -> Iterable[Any]:
    yield "x", {}, 1.0


def _by_x_transformed(row: Row) -> Iterable[Any]:
    yield "scale(x)", {}, 1 / _mean_and_sd()[1]
    yield "I(x ** 2)", {}, 2 * row["x"]
    yield "I(x \N{DIVISION SLASH} 3)", {}, 1 / 3


def _by_slope_of_military(row: Row) -> Iterable[Any]:
    yield effect("military|state", row["state"])


def _by_x_in_offset(row: Row) -> Iterable[Any]:
    yield "", {}, 1.0
    yield effect("x|state", row["state"])


def _by_exposure(row: Row) -> Iterable[Any]:
    yield "", {}, 1 / row["exposure"]


def _by_x_of_age(row: Row) -> Iterable[Any]:
    yield "x", {}, 1.0
    if row["age"] != "young":
        yield "x:age", {"x:age_dim": row["age"]}, 1.0


@dataclass(frozen=True)
class Case:
    """A model, and what its terms contribute to the linear predictor of a row.

    `derivatives` are those of the terms by a column, written as terms.
    """

    formula: str
    terms: Terms
    link: str
    options: Mapping[str, Any] = field(default_factory=dict)
    derivatives: Mapping[str, Terms] = field(default_factory=dict)

    @cached_property
    def draws(self) -> xr.Dataset:
        """Made-up draws."""
        return mrp.testing.fake_draws(self.model.design, chains=2, draws=4, seed=len(self.formula))

    @cached_property
    def model(self) -> mrp.Model:
        """The model of the small survey."""
        return mrp.Model(self.formula, SURVEY, **self.options)


CASES = {
    "correlated slopes, logit": Case(
        "y ~ age + education + military + gender + (1 + gender | state)",
        _correlated_slopes,
        "logit",
        {"family": "bernoulli"},
        {"military": _by_military},
    ),
    "crossed factors and interaction, probit": Case(
        "y ~ age * education + x + (1 + x | state) + (1 | gender)",
        _crossed_factors,
        "probit",
        {"family": "bernoulli", "link": "probit"},
        {"x": _by_x_with_slopes},
    ),
    "nested factors, no intercept, cloglog": Case(
        "y ~ 0 + education + x:gender + (1 | region / state) + (1 | state:district)",
        _nested_factors,
        "cloglog",
        {"family": "bernoulli", "link": "cloglog"},
        {"x": _by_x_of_gender},
    ),
    "categorical slopes, binomial": Case(
        "p(successes, trials) ~ x + (age | state)",
        _categorical_slopes,
        "logit",
        {"family": "binomial"},
        {"x": _by_x},
    ),
    "transforms and two brackets, gaussian": Case(
        "score ~ scale(x) + I(x**2) + I(x / 3) + C(district) + (1 | state) "
        "+ (0 + military | state)",
        _transforms,
        "identity",
        {"family": "gaussian"},
        {"x": _by_x_transformed, "military": _by_slope_of_military},
    ),
    "offsets and independent slopes, poisson": Case(
        "count ~ age + offset(x) + offset(np.log(exposure)) + (x || state)",
        _offset,
        "log",
        {"family": "poisson"},
        {"x": _by_x_in_offset, "exposure": _by_exposure},
    ),
    "slopes without intercept, negative binomial": Case(
        "count ~ gender + (0 + age | state) + (1 | gender:education)",
        _full_slopes,
        "log",
        {"family": "negativebinomial"},
    ),
    "interaction without main effect, identity": Case(
        "count ~ x + x:age",
        _identity,
        "identity",
        {"family": "poisson", "link": "identity"},
        {"x": _by_x_of_age},
    ),
    "intercept only": Case("score ~ 1", _intercept, "identity", {"family": "gaussian"}),
}


def permuted(draws: xr.Dataset, seed: int = 0) -> xr.Dataset:
    """The same draws, with the dims of every variable and the labels of every dim shuffled."""
    rng = np.random.default_rng(seed)
    own = [dim for dim in draws.dims if dim not in ("chain", "draw")]
    shuffled = draws.isel({dim: rng.permutation(draws.sizes[dim]) for dim in own})
    return xr.Dataset(
        {name: a.transpose(*rng.permutation(a.dims)) for name, a in shuffled.data_vars.items()}
    )


@cache
def fit_of(name: str) -> mrp.Fit:
    """A case's fit, from draws whose dims and labels are shuffled."""
    case = CASES[name]
    return mrp.Fit.from_draws(case.model, permuted(case.draws))
