"""Each verb on the survey and on the frame: seconds, peak memory, distance from the floor, Bambi.

The floor is the inverse link alone on as many values (rows x draws x predictions of a row).
Bambi's `interpret` answers the same question on the same draws, where it can: unweighted averages,
and a frame only as the full crossing of its columns' levels. Each measurement runs in a process of
its own and is the best of three; Bambi's runs once.
"""

import json
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import xarray as xr

import mrp
from benchmarks.poststratify import seconds_of_link

DRAWS = 4_000
PEOPLE = {"age": ["18-29", "70+"]}
COLUMNS = ("age", "education", "military", "gender", "state")

# name: (rows, predictions of a row, ours, Bambi's)
CASES = {
    "predictions, survey": (
        "survey",
        1,
        lambda fit, rows: mrp.predictions(fit).to_frame(),
        lambda interpret, model, draws, grid: interpret.predictions(model, draws),
    ),
    "avg_predictions by military, survey": (
        "survey",
        1,
        lambda fit, rows: mrp.avg_predictions(fit, by="military").to_frame(),
        lambda interpret, model, draws, grid: interpret.predictions(
            model, draws, average_by="military"
        ),
    ),
    "avg_comparisons of age by military, survey": (
        "survey",
        2,
        lambda fit, rows: mrp.avg_comparisons(fit, variables=PEOPLE, by="military").to_frame(),
        lambda interpret, model, draws, grid: interpret.comparisons(
            model, draws, contrast=PEOPLE, average_by="military"
        ),
    ),
    "avg_slopes of military by gender, survey": (
        "survey",
        2,
        lambda fit, rows: mrp.avg_slopes(fit, variables="military", by="gender").to_frame(),
        lambda interpret, model, draws, grid: interpret.slopes(
            model, draws, wrt="military", average_by="gender"
        ),
    ),
    "avg_predictions by state, frame": (
        "frame",
        1,
        lambda fit, rows: mrp.avg_predictions(fit, newdata=rows, by="state").to_frame(),
        lambda interpret, model, draws, grid: interpret.predictions(
            model, draws, conditional=grid, average_by="state"
        ),
    ),
    "avg_comparisons of gender by state, frame": (
        "frame",
        2,
        lambda fit, rows: mrp.avg_comparisons(
            fit, variables="gender", newdata=rows, by="state"
        ).to_frame(),
        lambda interpret, model, draws, grid: interpret.comparisons(
            model,
            draws,
            contrast={"gender": ["Man", "Woman"]},
            conditional={k: v for k, v in grid.items() if k != "gender"},
            average_by="state",
        ),
    ),
    "avg_slopes of military by state, frame": (
        "frame",
        2,
        lambda fit, rows: mrp.avg_slopes(
            fit, variables="military", newdata=rows, by="state"
        ).to_frame(),
        None,
    ),
    "poststratify by state, frame, weighted": (
        "frame",
        1,
        lambda fit, rows: mrp.poststratify(fit, rows, by="state", wts="n").to_frame(),
        None,
    ),
    "predictive avg_predictions, survey": (
        "survey",
        1,
        lambda fit, rows: mrp.avg_predictions(
            fit, by="military", kind="predictive", seed=1
        ).to_frame(),
        None,
    ),
}


def main():
    link = seconds_of_link(20_000 * DRAWS) / (20_000 * DRAWS)
    measured = {"draws": DRAWS, "seconds_of_inverse_link_per_million": round(1e6 * link, 4)}
    for name, (_, times, _, bambi) in CASES.items():
        ours = alone(name, "mrp")
        floor = link * times * ours["rows"] * DRAWS
        measured[name] = {**ours, "ratio_to_inverse_link": round(ours["seconds"] / floor, 2)}
        if bambi is not None:
            theirs = alone(name, "bambi")
            measured[name] |= {
                f"bambi_{key}": theirs[key] for key in ("seconds", "peak_memory_gib")
            }
            measured[name]["times_faster_than_bambi"] = round(
                theirs["seconds"] / ours["seconds"], 1
            )
    print(json.dumps(measured))


def alone(case, package):
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.estimands", case, package]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout.splitlines()[-1])


def measure(case, package):
    where, _, ours, bambis = CASES[case]
    survey = mrp.load_dataset("ces_survey")
    grid = {name: levels(survey[name]) for name in COLUMNS}
    rows = crossing(grid) if where == "frame" else survey
    model = mrp.Model(mrp.testing.FORMULA, survey, family="bernoulli")
    draws = mrp.testing.fake_draws(model.design, chains=4, draws=DRAWS // 4)
    fit = mrp.Fit.from_draws(model, draws)
    if package == "mrp":
        seconds = best_of(3, lambda: ours(fit, rows))
    else:
        from bambi import interpret

        built = model.bambi
        built.build()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds = best_of(1, lambda: bambis(interpret, built, with_outcome(fit), grid))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"rows": len(rows), "seconds": round(seconds, 3), "peak_memory_gib": round(peak, 2)}


def with_outcome(fit):
    """The draws with the group that Bambi's comparisons look for."""
    observed = xr.Dataset(
        {fit.outcome: ("__obs__", fit.survey[fit.outcome])},
        coords={"__obs__": np.arange(len(fit.survey))},
    )
    groups = {"posterior": fit.parameters, "observed_data": observed}
    return xr.DataTree.from_dict(groups)


def levels(column):
    """Levels in their order, as numpy takes them."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    return np.unique(column).tolist()


def crossing(grid):
    """Every combination of levels, with a population that differs."""
    frame = pd.MultiIndex.from_product(grid.values(), names=grid).to_frame(index=False)
    return frame.assign(n=np.random.default_rng(1).integers(1, 1000, len(frame)))


def best_of(times, function):
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        print(json.dumps(measure(*sys.argv[1:])))
