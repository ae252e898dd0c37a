"""Requests that nobody would write on purpose: every public call with arguments that are wrong.

One argument of a call, sometimes two, is something else than what it takes; the others are right.
Whatever comes must be an answer, or one refusal in the package's words.
"""

from __future__ import annotations

import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

import mrp
from mrp.errors import LONGEST, MRPError
from mrp.plots import figures
from mrp.recovery.result import Recovery
from mrp.testing import fake_fit
from tests.cases import FRAME, SURVEY

VARIABLE = "MRP_FUZZ_SEED"
"""Environment variable with the seed of the first request."""
CUT = 5
"""What a message that is cut has besides."""
FORMULA = "y ~ age + x + (1 | state)"

HOSTILE: Mapping[str, Callable[[], Any]] = {
    "None": lambda: None,
    "5": lambda: 5,
    "0": lambda: 0,
    "-1": lambda: -1,
    "2**70": lambda: 2**70,
    "2.5": lambda: 2.5,
    "True": lambda: True,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "complex": lambda: 1j,
    "'x'": lambda: "x",
    "''": lambda: "",
    "NUL": lambda: "a\0b",
    "surrogate": lambda: "a\ud800b",
    "escape": lambda: "\x1b[31mred\x1b[0m",
    "long": lambda: "x" * 1_000_000,
    "b'x'": lambda: b"x",
    "[]": list,
    "{}": dict,
    "()": tuple,
    "set()": set,
    "{'x'}": lambda: {"x"},
    "['x']": lambda: ["x"],
    "['state']": lambda: ["state"],
    "['state', 'state']": lambda: ["state", "state"],
    "[None]": lambda: [None],
    "[1, 2]": lambda: [1, 2],
    "[[1, 2]]": lambda: [[1, 2]],
    "[{}]": lambda: [{}],
    "many": lambda: list(range(100_000)),
    "{1: 2}": lambda: {1: 2},
    "{'state': 5}": lambda: {"state": 5},
    "{'state': None}": lambda: {"state": None},
    "{'state': [[1]]}": lambda: {"state": [[1]]},
    "{'x': {}}": lambda: {"x": {}},
    "{('a',): object}": lambda: {("a",): object()},
    "object()": object,
    "a class": lambda: dict,
    "a generator": lambda: (k for k in range(3)),
    "lambda x: x": lambda: lambda x: x,
    "lambda x: None": lambda: lambda x: None,
    "lambda x: 'a'": lambda: lambda x: "a",
    "empty frame": pd.DataFrame,
    "frame": lambda: pd.DataFrame({"a": [1, 2]}),
    "frame of lists": lambda: pd.DataFrame({"state": [[1], [2]], "by": [{}, {}]}),
    "by of lists": lambda: pd.DataFrame({"state": sorted(set(SURVEY["state"])), "by": [[1]] * 5}),
    "series": lambda: pd.Series([1.0, 2.0]),
    "series of lists": lambda: pd.Series([[1]] * len(SURVEY)),
    "array": lambda: np.arange(3),
    "0-d array": lambda: np.array(3),
    "3-d array": lambda: np.zeros((2, 2, 2)),
    "object array": lambda: np.array([[1], {}, None], dtype=object),
    "np.str_": lambda: np.str_("state"),
    "datetime": lambda: pd.Timestamp("2020-01-01"),
    "pd.NA": lambda: pd.NA,
    "NaT": lambda: pd.NaT,
    "Path": lambda: Path("/nonexistent/x"),
    "a module": lambda: np,
    "a fit": lambda: fit(),
    "estimates": lambda: estimates(),
}


class Reached(Exception):
    """All was checked: here work would begin that takes long."""


@dataclass(frozen=True)
class Call:
    """A public function or method, and arguments that are right.

    Parameters
    ----------
    function
        What is called.
    right
        Arguments that are given by name; a wrong one takes the place of one of them.
    others
        Further arguments that it has.
    first
        Arguments that are given by place.
    """

    function: Callable[..., Any]
    right: Mapping[str, Any]
    others: tuple[str, ...] = ()
    first: tuple[str, ...] = ()

    def made(self, wrong: Mapping[str, Any]) -> Any:
        """What comes when some arguments are wrong."""
        arguments = {**self.right, **wrong}
        by_place = [arguments.pop(name) for name in self.first]
        return self.function(*by_place, **arguments)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of all arguments."""
        return (*self.right, *self.others)


@cache
def model() -> mrp.Model:
    """The model of all requests."""
    return mrp.Model(FORMULA, SURVEY, family="bernoulli")


@cache
def fit() -> mrp.Fit:
    """Made-up draws of it, as many as checks of draws need."""
    return fake_fit(FORMULA, SURVEY, family="bernoulli", draws=30)


@cache
def estimates() -> mrp.Estimates:
    """Three estimates."""
    return mrp.avg_predictions(fit(), by="age")


@cache
def recovery() -> Recovery:
    """Two refits of fake surveys, with made-up numbers."""
    rows = {
        "survey": [0, 1],
        "estimand": "a",
        "label": "b",
        "truth": 0.1,
        "estimate": 0.2,
        "std_error": 0.1,
        **{f"conf_{side}_{p}": 0.1 for p in (50, 80, 90, 95) for side in ("low", "high")},
        "rank": [3.0, 5.0],
        "divergences": 0,
        "rhat": 1.0,
        "ess_bulk": 100.0,
        "seconds": 1.0,
        "failure": None,
    }
    return Recovery(pd.DataFrame(rows), 9, {})


WITH_ROWS = ("newdata", "by", "wts", "type", "transform", "re_formula", "new_levels", "seed")


def _calls() -> dict[str, Call]:
    verbs = {
        "predictions": ("variables", "kind"),
        "avg_predictions": ("variables", "kind"),
        "comparisons": ("variables", "comparison", "cross"),
        "avg_comparisons": ("variables", "comparison", "cross"),
        "slopes": ("variables", "slope", "eps"),
        "avg_slopes": ("variables", "slope", "eps"),
    }
    found = {
        name: Call(getattr(mrp, name), {"fit": fit()}, (*own, *WITH_ROWS))
        for name, own in verbs.items()
    }
    frame = {"fit": fit(), "frame": FRAME, "by": "state", "wts": "n"}
    drawn, made, plots = fit(), estimates(), estimates()
    interval = ("ci_prob", "center", "ci_kind")
    found |= {
        "poststratify": Call(
            mrp.poststratify, frame, ("type", "transform", "re_formula", "new_levels", "seed")
        ),
        "pp_check": Call(mrp.pp_check, {"fit": drawn}, ("by", "wts", "seed")),
        "sensitivity": Call(
            mrp.sensitivity, {"fit": drawn, "estimates": made}, ("prior", "threshold")
        ),
        "concat": Call(mrp.concat, {"estimates": [made, made]}, ("labels", "name")),
        "datagrid": Call(
            mrp.datagrid, {"fit": drawn}, ("grid_type", "x", "age", "state"), ("fit",)
        ),
        "load_dataset": Call(mrp.load_dataset, {"name": "simulated_truth"}),
        "load_fit": Call(mrp.load_fit, {"path": "/nonexistent/fit.nc"}),
        "simulate": Call(mrp.simulate, {"source": model()}, ("surveys", "seed")),
        "simulate_survey": Call(
            mrp.simulate_survey,
            {},
            ("seed", "state_sd", "slope_sd", "correlation", "selection"),
        ),
        "recover": Call(
            mrp.recover,
            {"source": model(), "processes": 1, "progress": False},
            ("estimands", "model", "surveys", "seed", "draws", "tune", "chains", "target_accept",
             "rank_draws", "log_likelihood", "path"),
        ),
        "priors": Call(
            mrp.priors, {}, ("defaults", "Intercept", "b", "sd", "cor", "sigma", "alpha",
                             "threshold", "age"),
        ),
        "Model": Call(
            mrp.Model,
            {"formula": FORMULA, "data": SURVEY, "family": "bernoulli"},
            ("link", "priors", "correlated", "collapse", "center_predictors", "namespace",
             "levels"),
        ),
        "Model.sample": Call(
            model().sample,
            {"progress": False},
            ("draws", "tune", "chains", "seed", "target_accept", "engine"),
        ),
        "Model.sample_prior": Call(model().sample_prior, {"draws": 2}, ("seed",)),
        "Model.with_outcome": Call(
            model().with_outcome, {"values": SURVEY["y"]}, ("keep_priors",)
        ),
        "Model.with_data": Call(model().with_data, {"data": SURVEY}),
        "Fit.from_draws": Call(
            mrp.Fit.from_draws, {"model": model(), "draws": drawn.parameters}
        ),
        "Fit.auxiliary": Call(
            drawn.auxiliary, {"name": "sigma", "needed_by": "`x`"}, ("advice",)
        ),
        "Fit.summary": Call(drawn.summary, {}, ("ci_prob", "group_effects")),
        "Fit.predict": Call(drawn.predict, {}, WITH_ROWS),
        "Fit.ranef": Call(drawn.ranef, {}, ("factor", "kind")),
        "Fit.save": Call(drawn.save, {"path": "/nonexistent/fit.nc"}, ("include_survey",)),
        "Estimates.with_interval": Call(made.with_interval, {}, interval),
        "Estimates.to_frame": Call(made.to_frame, {}, (*interval, "backend")),
        "Estimates.get_draws": Call(made.get_draws, {}, ("shape", "backend")),
        "Estimates.hypothesis": Call(made.hypothesis, {"statement": "b1 = b2"}),
        "Estimates.probability": Call(made.probability, {"statement": "> 0"}),
        "Estimates.equivalence": Call(made.equivalence, {"bounds": [0.1, 0.2]}),
        "Estimates.plot": Call(
            plots.plot, {}, ("kind", "ci_prob", "color", "sort", "reference", "title", "ax")
        ),
        "Estimates.plot ridge": Call(
            plots.plot, {"kind": "ridge"}, ("color", "sort", "height", "title", "ax")
        ),
        "figures.intervals": Call(
            figures.intervals,
            {"estimates": made},
            ("ci_prob", "color", "sort", "reference", "title", "ax"),
        ),
        "figures.ridges": Call(
            figures.ridges, {"estimates": made}, ("color", "sort", "height", "title", "ax")
        ),
        "Recovery.summary": Call(recovery().summary, {}, ("by",)),
        "Recovery.plot": Call(recovery().plot, {}, ("kind", "estimands")),
    }  # fmt: skip
    return found


def requests(count: int, seed: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Calls by name, and what is given as which arguments: each argument in turn, then at random.

    Parameters
    ----------
    count
        How many.
    seed
        What is chosen.
    """
    calls, rng = _calls(), np.random.default_rng(seed)
    every = [(name, a, what) for name, call in calls.items() for a in call.arguments
             for what in HOSTILE]  # fmt: skip
    order = rng.permutation(len(every))
    for k in range(count):
        name, argument, what = every[order[k % len(order)]]
        wrong = {argument: what}
        if k >= len(order) or rng.uniform() < 0.25:
            wrong[str(rng.choice(calls[name].arguments))] = str(rng.choice(list(HOSTILE)))
        yield name, wrong


def run(count: int, seed: int) -> dict[str, int]:
    """How many requests were answered, refused in the package's words, and raised something else.

    Of the last, each is printed with what makes it again.
    """
    found = {"right": 0, "refused": 0, "raw": 0}
    with _nothing_long(), tempfile.TemporaryDirectory() as folder, chdir(folder):
        calls = _calls()
        for name, wrong in requests(count, seed):
            came, said = outcome(calls[name], wrong)
            found[came] += 1
            if came == "raw":
                print(f"{VARIABLE}={seed}: {name}({wrong}): {said}")
    return found


def outcome(call: Call, wrong: Mapping[str, str]) -> tuple[str, str]:
    """What comes of a request: "right", "refused" or "raw"; and what was said."""
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = call.made({name: HOSTILE[what]() for name, what in wrong.items()})
            _look_at(made)
        except Reached:
            return "right", ""
        except MRPError as error:
            short = len(str(error)) <= LONGEST + CUT
            return ("refused" if short else "raw"), str(error)[:LONGEST]
        except Exception as error:  # whatever it is, it is what is looked for
            if _is_the_user_s(error, wrong):
                return "refused", ""
            where = [f"{Path(f.filename).name}:{f.lineno}" for f in
                     traceback.extract_tb(error.__traceback__)][-5:]  # fmt: skip
            return "raw", f"{type(error).__name__}: {str(error)[:200]} {where}"
        finally:
            plt.close("all")
    return "right", ""


def _look_at(made: Any) -> None:
    """Show what was made, as a notebook does."""
    if isinstance(made, mrp.Estimates | mrp.Model | mrp.Fit):
        repr(made)
    if isinstance(made, mrp.Estimates):
        made._repr_html_()
        made.to_frame()


def _is_the_user_s(error: Exception, wrong: Mapping[str, str]) -> bool:
    """Whether a function that was given raised it: such errors stay what they are."""
    functions = [name for name, what in wrong.items() if callable(HOSTILE[what]())]
    return isinstance(error, TypeError | ValueError) and any(
        name in ("transform", "comparison", "variables", "statement") for name in functions
    )


@contextmanager
def _nothing_long() -> Iterator[None]:
    """Samplers and downloads that would begin are not begun."""
    with (
        mock.patch("mrp.model.model.Model._drawn", side_effect=Reached),
        mock.patch("mrp.recovery.run._tables", side_effect=Reached),
        mock.patch("mrp.datasets._download", side_effect=Reached, create=True),
    ):
        yield
