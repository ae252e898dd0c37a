"""Simulation-based calibration of every family: are ranks of the truth uniform?

Parameters are drawn from the prior, an outcome from the parameters, and the model is refitted
(`mrp.recover`). Parameters, poststratified states and the log likelihood are ranked. Some runs are
broken on purpose, and must be caught.

Usage: ``python -m benchmarks calibration``, which also writes the table of the page on recovery;
``make test-slow`` makes the same runs and asserts what the table should say.
"""

import json
import sys
import time
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

import mrp
from benchmarks.coverage import PAGE, between
from mrp.recovery.estimands import parameters
from mrp.recovery.result import Recovery
from mrp.results.estimates import Made

SURVEYS = 300
SAMPLER = {"draws": 500, "tune": 500, "chains": 2}
RESPONDENTS = 400
STATES = ["CA", "FL", "GA", "IL", "NY", "OH", "PA", "TX"]
PERCENT = (50, 80, 95)
UNIFORM, CAUGHT = 0.01, 0.001
"""Least p-value, adjusted, of what is right; largest of what is broken."""

SD = {"sd": "half_normal(0.7)"}
WEAK = {"defaults": "brms", "Intercept": "normal(0, 1)", "b": "normal(0, 1)", **SD}
COUNT = {**WEAK, "sd": "half_normal(0.4)"}
CROSSED = "gender + (1 | state) + (1 | age) + (1 | education) + (1 | gender:education)"
ORDERED = {**SD, "b": "normal(0, 1)", "threshold": "normal(0, 1.5)"}


@dataclass(frozen=True)
class Run:
    """A model, and what is done wrong where it is broken on purpose."""

    family: str
    formula: str
    priors: object = field(default_factory=lambda: WEAK)
    link: str | None = None
    refitted: dict = field(default_factory=dict)
    independent_cells: bool = False


RIGHT = {
    "bernoulli": Run("bernoulli", "defund ~ age + (1 + gender | state)"),
    "bernoulli, priors of Bambi": Run("bernoulli", "defund ~ gender + (1 | state)", "bambi"),
    "bernoulli, probit": Run("bernoulli", "defund ~ (1 | state) + (1 | age)", link="probit"),
    "binomial": Run("binomial", "p(yes, asked) ~ gender + (1 | state)"),
    "poisson": Run("poisson", "count ~ gender + (1 | state)", COUNT),
    "negativebinomial": Run(
        "negativebinomial", "count ~ gender + (1 | state)", {**COUNT, "alpha": "gamma(4, 2)"}
    ),
    "gaussian": Run(
        "gaussian", "score ~ gender + (1 | state)", {**WEAK, "sigma": "half_normal(2)"}
    ),
    "categorical": Run("categorical", "party ~ gender + (1 | state)"),
    "bernoulli, crossed": Run("bernoulli", f"defund ~ {CROSSED}"),
    "gaussian, crossed": Run("gaussian", f"score ~ {CROSSED}", {**WEAK, "sigma": "half_normal(2)"}),
    "categorical, crossed": Run("categorical", f"party ~ {CROSSED}"),
    "cumulative": Run("cumulative", "trust ~ gender + (1 | state)", ORDERED),
    "sratio": Run("sratio", "trust ~ gender + (1 | state)", ORDERED),
}
BROKEN = {
    "cells averaged as if independent": replace(RIGHT["bernoulli"], independent_cells=True),
    "refitted with narrower priors": replace(
        RIGHT["bernoulli"], refitted={"priors": {**WEAK, "b": "normal(0, 0.3)"}}
    ),
    "refitted with another link": replace(RIGHT["bernoulli"], refitted={"link": "probit"}),
}
RUNS = {**RIGHT, **BROKEN}


def main():
    found = {}
    for name in RUNS:
        print(name, file=sys.stderr)
        found[name] = measured(name)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_table(text, found), encoding="utf-8")
    print(json.dumps({"surveys": SURVEYS, **SAMPLER, "runs": found}))


def measured(name, surveys=SURVEYS, processes=None, sampler=SAMPLER):
    """Numbers of one run."""
    run, people = RUNS[name], survey()
    model = model_of(run, people)
    refitted = model_of(replace(run, **run.refitted), people)
    estimands = {**parameters(model), "states": states_of(run)}
    options = {"surveys": surveys, "processes": processes, "seed": 1, **sampler}
    started = time.perf_counter()
    recovery = mrp.recover(model, estimands, model=refitted, **options)
    seconds = time.perf_counter() - started
    summary = recovery.summary()
    table = recovery.table.assign(estimand="all")
    (every,) = Recovery(table, recovery.rank_draws).summary("estimand").to_dict("records")
    known = recovery.table[recovery.table["failure"].isna()]
    return {
        "estimates": len(summary),
        "surveys": surveys,
        "failed": int(every["failed"]),
        "rank_p_adjusted": float(f"{summary['rank_p_adjusted'].min():.3g}"),
        **{f"coverage_{p}": round(float(every[f"coverage_{p}"]), 4) for p in PERCENT},
        "least_ess_bulk": round(float(known.groupby("survey")["ess_bulk"].min().median())),
        "seconds_per_survey": round(seconds / surveys, 2),
    }


def model_of(run, people):
    return mrp.Model(run.formula, people, family=run.family, link=run.link, priors=run.priors)


def survey():
    """Respondents of large states, with an outcome for every family.

    Answers are replaced by simulated ones; they tell how many levels and trials there are, and
    scale the default priors.
    """
    people = mrp.load_dataset("simulated_survey").query("state in @STATES")[:RESPONDENTS]
    rng = np.random.default_rng(1)
    asked = rng.integers(1, 6, RESPONDENTS)
    return people.assign(
        asked=asked,
        yes=rng.binomial(asked, 0.5),
        count=rng.poisson(2.0, RESPONDENTS),
        score=rng.normal(50.0, 10.0, RESPONDENTS),
        party=rng.choice(["left", "right", "none"], RESPONDENTS),
        trust=pd.Categorical(
            rng.choice(["low", "some", "high"], RESPONDENTS), ["low", "some", "high"], ordered=True
        ),
    )


def states_of(run):
    """Poststratified states, as an estimand; broken where the run is."""
    frame = mrp.load_dataset("simulated_frame").query("state in @STATES")

    def states(fit):
        found = mrp.poststratify(fit, frame, by="state", wts="n")
        broken = run.independent_cells and fit.group == "posterior"
        return shuffled(found, fit, frame) if broken else found

    return states


def shuffled(states, fit, frame):
    """The same averages, of cells whose draws are each in an order of their own.

    Like intervals that are put together from those of the cells: what cells share is lost.
    """
    cells = mrp.predictions(fit, newdata=frame).source
    draws = np.random.default_rng(1).permuted(cells.values(np.arange(cells.n)), axis=1)
    weights = (frame["state"].to_numpy() == states.labels["state"].to_numpy()[:, None]) * (
        frame["n"].to_numpy()
    )
    return replace(states, source=Made(weights / weights.sum(axis=1, keepdims=True) @ draws))


def with_table(text, found):
    """The page with the table of numbers between its markers."""
    return between(text, "calibration", as_markdown(found))


def as_markdown(found):
    columns = ["ranked", "failed", "p of uniform ranks", *(f"{p} % interval" for p in PERCENT)]
    columns += ["seconds"]
    lines = ["| model | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, n in found.items():
        label = f"broken: {name}" if name in BROKEN else name
        cells = [n["estimates"], n["failed"], as_p(n["rank_p_adjusted"])]
        cells += [f"{100 * n[f'coverage_{p}']:.1f}" for p in PERCENT]
        cells += [f"{n['seconds_per_survey']:.2f}"]
        lines.append(f"| {label} | " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def as_p(p):
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


if __name__ == "__main__":
    main()
