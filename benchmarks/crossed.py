"""Models with several crossed varying intercepts: effective draws per gradient and per second.

Four chains of 1,000 + 1,000 draws, each measurement in a process of its own with compiled code at
hand. One measurement: ``python -m benchmarks.crossed CASE ENGINE SEED [OPTION=VALUE …]``, options
being those of `Model.sample` (``target_accept=0.8``). Cases take other sizes (``crossed-1000``).
Engines are those of `Model.sample`, "bambi" (its own model, PyMC's sampler) and "before": the
kernel of the revision `BEFORE`, whose package is checked out into a temporary folder, beside these
benchmarks, with ``git worktree``, compiled there, measured and removed.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import mrp
from benchmarks import _crossed_surveys, sampling
from benchmarks._runs import ROOT, alone, fitted

BEFORE = "413e17d"
"""The last revision that sampled crossed factors each in a geometry of its own."""
SIMULATED = {"crossed": 5_000, "deep": 20_000, "election": 10_000}
"""Surveys of `_crossed_surveys`, and the respondents of those whose case names none."""


def measure(case, engine, seed, **options):
    """Sample one model and report."""
    draws, found, took = fitted(*problem(case), engine, seed=seed, **options)
    steps = draws["sample_stats"]["n_steps"].to_numpy()
    return {
        **took,
        "leapfrogs_per_draw": round(float(steps.mean()), 1),
        "least_bulk_ess": round(found["ess_bulk"]),
        "least_bulk_ess_at": found["ess_bulk_at"],
        "ess_per_1000_gradients": round(1000 * found["ess_bulk"] / float(steps.sum()), 2),
        "ess_per_second": round(found["ess_bulk"] / took["seconds"], 1),
        "rhat": round(found["rhat"], 4),
        "divergences": int(found["divergences"]),
    }


def problem(case):
    """Formula, survey, family and priors of a case."""
    if case == "bundled":
        formula = "defund ~ military + (1 | gender) + (1 | age) + (1 | education) + (1 | state)"
        survey = mrp.load_dataset("simulated_survey")
        return formula, survey, "bernoulli", {"sd": "half_normal(1)"}
    if case == "bundled-seeds":
        return sampling.FORMULA, mrp.load_dataset("simulated_survey"), "bernoulli", None
    name, _, size = case.partition("-")
    if name in SIMULATED:
        formula, survey = getattr(_crossed_surveys, name)(int(size or SIMULATED[name]))
        return formula, survey, "categorical" if name == "election" else "bernoulli", None
    formula, survey, priors = sampling.problem(case.replace("-", "="))
    return formula, survey, case if case in sampling.LEVELS else "bernoulli", priors


def before(*arguments):
    """A measurement of the kernel as it was, which is compiled first."""
    with revision(BEFORE) as folder:
        path = os.pathsep.join([str(folder), str(ROOT)])
        case, seed, *options = arguments
        sizes = ("draws=10", "tune=10", "chains=2")
        for more in (sizes, options):
            measured = alone("crossed", case, "kernel", seed, *more, folder=folder, PYTHONPATH=path)
    return measured


@contextmanager
def revision(name):
    """A folder with the package of a revision, and its data."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / name
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*git, "add", "--no-checkout", "--detach", str(folder), name], **quiet)
        try:
            checkout = ["git", "-C", str(folder), "checkout", name, "--", "mrp", "data"]
            subprocess.run(checkout, **quiet)
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], **quiet)


def options_of(texts):
    """Keywords that were written as ``name=value``."""
    pairs = (text.split("=", 1) for text in texts)
    return {name: json.loads(value) for name, value in pairs}


if __name__ == "__main__":
    case, engine, seed, *options = sys.argv[1:]
    if engine == "before":
        print(json.dumps(before(case, seed, *options)))
    else:
        print(json.dumps(measure(case, engine, int(seed), **options_of(options))))
