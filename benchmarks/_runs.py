"""What benchmarks of samplers share: a process for each measurement, and one timed fit."""

import json
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import mrp
from mrp.checks.diagnostics import measure
from mrp.errors import SamplingWarning
from mrp.model.sampling import warn_if_bad

ROOT = Path(__file__).parents[1]


def alone(module, *arguments, folder=ROOT, **environment):
    """What a benchmark prints as JSON for these arguments, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(run.stdout.splitlines()[-1])


def fitted(formula, survey, family, priors, engine, *, seed=1, **options):
    """Draws of a model, what is measured of them, and what making them took.

    Returns
    -------
    A tree with ``posterior`` and ``sample_stats``; what `mrp.checks` measures of it; seconds and
    CPU seconds from `Model(...)` on, warnings of draws that should not be trusted (Bambi's draws
    are held against the same rules), and the memory that this process took at most.
    """
    started, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = mrp.Model(formula, survey, family=family, priors=priors)
        if engine == "bambi":
            sizes = {"draws": 1000, "tune": 1000, "chains": 4, **options}
            draws = model.bambi.fit(random_seed=seed, progressbar=False, **sizes)
        else:
            fit = model.sample(engine=engine, seed=seed, progress=False, **options)
            draws, found = fit.draws, fit.info
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        if engine == "bambi":
            found = measure(draws)
            warn_if_bad(found, sizes["chains"])
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    took = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu + used[1].ru_utime, 2),
        "peak_memory_gib": round(sum(u.ru_maxrss for u in used) / 2**20, 2),
        "warnings": sum(issubclass(one.category, SamplingWarning) for one in caught),
    }
    return draws, found, took
