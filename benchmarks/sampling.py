"""From `Model(...)` to a `Fit`: seconds, CPU seconds, effective draws per second, peak memory.

Four chains at the defaults, each measurement in a process of its own: the kernel, the PyMC
graph with nutpie, and Bambi's default (its own model, without correlations, PyMC's sampler). A
first run starts with empty compilation caches, a later run finds them filled. Then the kernel alone
as respondents, cells and groups grow, and its gradient beside the elementary functions it needs.
"""

import ctypes
import json
import sys
import tempfile
import time

import numpy as np
import pandas as pd

import mrp
from benchmarks._runs import alone, fitted

FORMULA = mrp.testing.FORMULA
RAINEY = (
    "contacted ~ district_competitiveness * electoral_rules + (1 | district_id)"
    " + (1 + district_competitiveness | election_id)"
)
ENGINES = ("kernel", "pymc", "bambi")
RESPONDENTS = (3_000, 30_000, 300_000)
GROUPS = (50, 500, 5_000)
LEVELS = ("cumulative", "sratio", "categorical")
"""Families of outcomes with levels."""


def main():
    measured = {}
    for engine in ENGINES:
        with tempfile.TemporaryDirectory() as caches:
            environment = {
                "NUMBA_CACHE_DIR": f"{caches}/numba",
                "PYTENSOR_FLAGS": f"base_compiledir={caches}/pytensor",
            }
            for run in ("first", "later"):
                found = alone("sampling", "ces", engine, **environment)
                measured[f"ces, {engine}, {run} run"] = found
    measured["rainey2015, kernel, later run"] = alone("sampling", "rainey2015", "kernel")
    for family in LEVELS:
        for engine in ("kernel", "pymc"):
            measured[f"{family}, {engine}, later run"] = alone("sampling", family, engine)
    for size in RESPONDENTS:
        found = alone("sampling", f"respondents={size}", "kernel")
        measured[f"{size} respondents, kernel"] = found
    for size in GROUPS:
        measured[f"{size} groups, kernel"] = alone("sampling", f"groups={size}", "kernel")
    measured["gradient of the ces model"] = alone("sampling", "gradient")
    print(json.dumps(measured))


def measure(case, engine):
    """Fit one model and report."""
    formula, survey, priors = problem(case)
    family = case if case in LEVELS else "bernoulli"
    _, found, took = fitted(formula, survey, family, priors, engine)
    return {
        **took,
        "least_bulk_ess_per_second": round(found["ess_bulk"] / took["seconds"], 1),
        **{name: found[name] for name in ("ess_bulk", "ess_bulk_at", "rhat", "divergences")},
    }


def problem(case):
    """Formula, survey and priors of a case."""
    if case == "ces":
        return FORMULA, mrp.load_dataset("ces_survey"), "brms"
    if case == "rainey2015":
        return RAINEY, mrp.load_dataset("rainey2015"), "brms"
    if case in LEVELS:
        return "answer ~ age + gender + (1 + gender | state)", with_answers(), "brms"
    name, size = case.split("=")
    if name == "respondents":
        scale = int(size) // 3000
        return FORMULA, mrp.simulate_survey(seed=1, scale=scale).survey, None
    return "y ~ x + (1 + x | group)", grouped(int(size)), None


def with_answers():
    """The bundled survey with answers on five levels, which age and states move."""
    survey = mrp.load_dataset("simulated_survey")
    rng = np.random.default_rng(1)
    states = survey["state"].factorize()[0]
    score = 0.2 * survey["age"].cat.codes + 0.4 * rng.normal(size=48)[states]
    score += rng.logistic(size=len(survey))
    labels = ["never", "rarely", "sometimes", "often", "always"]
    return survey.assign(answer=pd.cut(score, [-np.inf, -1, 0, 1, 2, np.inf], labels=labels))


def grouped(groups, respondents=60_000):
    """A survey with so many groups, whose intercepts and slopes vary."""
    rng = np.random.default_rng(1)
    group = rng.integers(groups, size=respondents)
    x = rng.integers(0, 2, respondents)
    intercept, slope = 0.5 * rng.normal(size=(2, groups))
    eta = -0.5 + intercept[group] + (0.3 + slope[group]) * x
    y = rng.random(respondents) < 1 / (1 + np.exp(-eta))
    return pd.DataFrame({"y": y.astype(int), "x": x, "group": group})


def gradient():
    """Microseconds of one gradient, and of the exp and log1p of as many numbers, alone.

    Both are called from compiled code, as the sampler calls the gradient.
    """
    from numba import njit, types

    from mrp.model.kernel import density
    from mrp.model.kernel.stages.arithmetic import fast_exp, fast_log1p, to_doubles, to_longs

    doubles, longs = ctypes.POINTER(ctypes.c_double), ctypes.POINTER(ctypes.c_int64)
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, doubles, doubles, doubles, longs)
    log_density = kind(density.c_log_density.address)

    @njit
    def ours(times, dim, q, by_q, value, data):
        for _ in range(times):
            log_density(
                types.uint64(dim),
                to_doubles(q),
                to_doubles(by_q),
                to_doubles(value),
                to_longs(data),
            )

    @njit(fastmath={"contract"}, error_model="numpy")
    def floor(times, eta, first, second):
        for _ in range(times):
            for i in range(len(eta)):
                first[i] = fast_exp(-abs(eta[i]))
                second[i] = fast_log1p(first[i])

    formula, survey, priors = problem("ces")
    packed = mrp.Model(formula, survey, family="bernoulli", priors=priors)._packed
    q, by_q, value = packed.geometry.start + 0.1, np.empty(packed.dim), np.empty(1)
    data = packed.data()
    pointers = [array.ctypes.data for array in (q, by_q, value, data)]
    eta = np.random.default_rng(0).normal(size=int(packed.ints[density.ROWS]))
    first, second = np.empty_like(eta), np.empty_like(eta)
    measured = microseconds(lambda times: ours(times, packed.dim, *pointers))
    least = microseconds(lambda times: floor(times, eta, first, second))
    return {
        "rows": len(eta),
        "microseconds": round(measured, 1),
        "exp_and_log1p_microseconds": round(least, 1),
        "ratio": round(measured / least, 2),
    }


def microseconds(run, times=2000):
    """Microseconds of each of many times, the least of some tries."""
    run(1)
    tries = []
    for _ in range(15):
        started = time.perf_counter()
        run(times)
        tries.append((time.perf_counter() - started) / times)
    return 1e6 * min(tries)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "gradient":
        print(json.dumps(gradient()))
    else:
        print(json.dumps(measure(*sys.argv[1:])))
