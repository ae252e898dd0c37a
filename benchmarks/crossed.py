"""Models with several crossed varying intercepts: effective draws per gradient and per second.

``python -m benchmarks.crossed [CASE …]`` measures the cases named, or all: the kernel with each of
`SEEDS`, every other engine with the first. Four chains at the defaults, each measurement in
a process of its own that finds its code compiled. Engines are those of `Model.sample`; "bambi", its
own model with PyMC's sampler; and "before", the kernel of the revision `BEFORE`: its package is
checked out into a temporary folder with ``git worktree``, compiled and measured there, and removed.
Engines that take half an hour or more (`TOO_SLOW`) are left out unless ``--slow`` is given.

``python -m benchmarks.crossed CASE ENGINE SEED [OPTION=VALUE …]`` is one measurement; options are
those of `Model.sample` (``target_accept=0.8``), and simulated cases take any size (``deep-1000``).
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
ENGINES = ("kernel", "before", "pymc", "bambi")
SEEDS = (1, 2, 3, 4, 5)
CASES = (
    "bundled",
    "bundled-seeds",
    "crossed-5000",
    "crossed-60000",
    "deep",
    "election",
    "groups-5000",
    "rainey2015",
    "ces",
    *sampling.LEVELS,
)
TOO_SLOW = {
    "crossed-60000": ("bambi",),
    "election": ("pymc", "bambi"),
    "groups-5000": ("bambi",),
}
SIMULATED = {"crossed": 5_000, "deep": 20_000, "election": 10_000}
"""Surveys of `_crossed_surveys`, and respondents where the case does not say how many."""
COMPILING = ("draws=10", "tune=10", "chains=2")
"""A run whose only purpose is that the next one finds its code compiled."""


def main(names):
    slow = "--slow" in names
    cases = [name for name in names if name != "--slow"] or CASES
    kinds = {case.partition("-")[0] for case in CASES}
    unknown = [case for case in cases if case.partition("-")[0] not in kinds]
    if unknown:
        sys.exit(f"no case named {unknown}; available: {list(CASES)}")
    measured = {}
    for case in cases:
        alone("crossed", case, "kernel", "1", *COMPILING)
        runs = [alone("crossed", case, "kernel", str(seed)) for seed in SEEDS]
        measured[f"{case}, kernel"] = {
            "seeds": SEEDS,
            **{name: [run[name] for run in runs] for name in runs[0]},
        }
        for engine in ENGINES[1:]:
            if slow or engine not in TOO_SLOW.get(case, ()):
                measured[f"{case}, {engine}"] = alone("crossed", case, engine, str(SEEDS[0]))
    print(json.dumps(measured))


def measure(case, engine, seed, **options):
    """Sample one model and report."""
    draws, found, took = fitted(*problem(case), engine, seed=seed, **options)
    steps = draws["sample_stats"]["n_steps"].to_numpy()
    return {
        **took,
        "leapfrogs_per_draw": round(float(steps.mean()), 1),
        "least_bulk_ess": round(found["ess_bulk"]),
        "least_bulk_ess_at": found["ess_bulk_at"],
        "ess_per_1000_gradients": round(1000 * found["ess_bulk"] / float(steps.sum()), 3),
        "ess_per_second": round(found["ess_bulk"] / took["seconds"], 2),
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


def before(case, seed, *options):
    """A measurement of the kernel as it was, which is compiled first."""
    with revision(BEFORE) as folder:
        path = os.pathsep.join([str(folder), str(ROOT)])
        for more in (COMPILING, options):
            found = alone("crossed", case, "kernel", seed, *more, folder=folder, PYTHONPATH=path)
    return found


@contextmanager
def revision(name):
    """A folder with the package of a revision, its data, and nothing else."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / name
        git(ROOT, "worktree", "add", "--quiet", "--no-checkout", "--detach", str(folder), name)
        try:
            git(folder, "checkout", "--quiet", name, "--", "mrp", "data")
            yield folder
        finally:
            git(ROOT, "worktree", "remove", "--force", str(folder))


def git(folder, *arguments):
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, stdout=subprocess.DEVNULL)


def options_of(texts):
    """Keywords that were written as ``name=value``."""
    pairs = (text.split("=", 1) for text in texts)
    return {name: json.loads(value) for name, value in pairs}


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[2] in ENGINES:
        case, engine, seed, *options = sys.argv[1:]
        if engine == "before":
            print(json.dumps(before(case, seed, *options)))
        else:
            print(json.dumps(measure(case, engine, int(seed), **options_of(options))))
    else:
        main(sys.argv[1:])
