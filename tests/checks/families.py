"""Made-up draws of a small model of every family, for the checks."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

import mrp
from mrp.testing import fake_draws
from tests.cases import make_survey

SURVEY = make_survey(80, seed=9).assign(
    trust=lambda table: pd.Categorical(
        np.resize(["low", "some", "high"], len(table)), ["low", "some", "high"], ordered=True
    ),
    party=lambda table: np.resize(["left", "right", "none"], len(table)),
    weight=lambda table: np.random.default_rng(4).gamma(2.0, 1.0, len(table)),
)
PREDICTORS = "age + military + (1 + gender | state)"
MODELS = {
    "bernoulli": (f"y ~ {PREDICTORS}", {}),
    "probit": (f"y ~ {PREDICTORS}", {"family": "bernoulli", "link": "probit"}),
    "cloglog": (f"y ~ {PREDICTORS}", {"family": "bernoulli", "link": "cloglog"}),
    "binomial": (f"p(successes, trials) ~ {PREDICTORS}", {}),
    "gaussian": (f"score ~ {PREDICTORS}", {}),
    "poisson": (f"count ~ {PREDICTORS}", {}),
    "negativebinomial": (f"count ~ {PREDICTORS}", {}),
    "categorical": (f"party ~ {PREDICTORS}", {}),
    "cumulative": (f"trust ~ {PREDICTORS}", {}),
    "sratio": (f"trust ~ {PREDICTORS}", {"link": "cloglog"}),
}
"""Formula and options of each; the family is the name unless they say otherwise."""


def model_of(name: str, survey: pd.DataFrame = SURVEY) -> mrp.Model:
    """The model of a small survey."""
    formula, options = MODELS[name]
    return mrp.Model(formula, survey, **{"family": name, **options})


@cache
def fit_of(name: str, chains: int = 2, draws: int = 6) -> mrp.Fit:
    """Made-up draws, those of the family's other parameter too."""
    model = model_of(name)
    made = fake_draws(model.design, chains=chains, draws=draws, by_level=model.by_level)
    for other in model.priors.auxiliary:
        values = np.random.default_rng(2).uniform(0.5, 2.0, (chains, draws))
        made[other] = (("chain", "draw"), values)
    return mrp.Fit.from_draws(model, made)


def values_of(array: object) -> np.ndarray:
    """Draws (…, chains x draws) of an array with the dims chain and draw."""
    rest = [dim for dim in array.dims if dim not in ("chain", "draw")]
    values = array.transpose(*rest, "chain", "draw").to_numpy()
    return values.reshape(*values.shape[:-2], -1)
