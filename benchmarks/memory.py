"""Peak memory of areas x draws: of tables of summaries, and of the draws themselves.

Each measurement is a process of its own. What it takes at its highest while it is asked, less what
it had with the fit and the frame, is held against the bytes of all draws of the areas: as many as
`.draws` returns. Linux says what a process took at its highest; the machine needs about 16 GiB.

Two requests: the 85,000 census tracts of the United States as groups of the model, and 500,000
areas that are columns of the frame alone.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import mrp

PAGE = Path(__file__).parents[1] / "docs" / "survey-and-frame.md"
START, END = "<!-- memory: begin -->", "<!-- memory: end -->"
SIZES = {"tracts": (85_000, 4_000), "areas": (500_000, 2_000)}
"""Areas and draws of each request."""
ASKED = {
    "summaries": lambda estimates: estimates.to_frame(),
    "draws": lambda estimates: estimates.draws,
}
"""What is asked of the estimates."""
CELLS = 2
"""Cells of each area: women and men."""


def main():
    measured = {}
    for name, (areas, draws) in SIZES.items():
        returned = 8 * areas * draws
        measured[name] = {
            "areas": areas,
            "draws": draws,
            "cells": CELLS * areas,
            "gib_of_draws": round(returned / 2**30, 2),
        }
        for asked in ASKED:
            found = alone(name, areas, draws, asked)
            measured[name][f"{asked}_asked"] = {
                "seconds": round(found["seconds"], 1),
                "gib_of_fit_and_frame": round(found["before"] / 2**30, 2),
                "gib_more": round(found["more"] / 2**30, 2),
                "ratio_to_draws": round(found["more"] / returned, 2),
            }
    print(json.dumps(measured))
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_table(page, measured), encoding="utf-8")


def alone(*request):
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, request)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout.splitlines()[-1])


def measure(name, areas, draws, asked):
    fit, frame = tracts(areas, draws) if name == "tracts" else parts(areas, draws)
    fit.coefficients  # noqa: B018 - part of the fit, arranged when first needed
    before = begin()
    started = time.perf_counter()
    kept = ASKED[asked](mrp.poststratify(fit, frame, by=name, wts="n"))
    seconds = time.perf_counter() - started
    assert kept.shape[-1 if asked == "draws" else 0] == areas
    return {"seconds": seconds, "before": before, "more": kibibytes("VmHWM") * 2**10 - before}


def begin():
    """Forget what the process took at its highest; what it has now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return kibibytes("VmRSS") * 2**10


def kibibytes(name):
    """A number of `/proc/self/status`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def tracts(areas, draws):
    """A fit whose groups are the areas, and its frame."""
    frame = cells("tracts", areas)
    survey = frame.assign(y=np.arange(len(frame)) % 2)
    formula = "y ~ gender + (1 | tracts)"
    fit = mrp.testing.fake_fit(formula, survey, family="bernoulli", chains=4, draws=draws // 4)
    return fit, frame


def parts(areas, draws):
    """A fit that knows 50 states, and a frame of areas in them."""
    frame = cells("areas", areas)
    frame["state"] = np.array([f"S{k}" for k in range(50)])[np.arange(len(frame)) % 50]
    survey = frame[:5000].drop(columns="areas").assign(y=np.arange(5000) % 2)
    formula = "y ~ gender + (1 + gender | state)"
    fit = mrp.testing.fake_fit(formula, survey, family="bernoulli", chains=4, draws=draws // 4)
    return fit, frame


def cells(column, areas):
    """A frame of women and men in each area."""
    names = np.array([f"{column} {k:06}" for k in range(areas)])
    return pd.DataFrame({
        column: np.repeat(names, CELLS),
        "gender": np.tile(["Man", "Woman"], areas),
        "n": np.random.default_rng(1).integers(1, 1000, CELLS * areas),
    })  # fmt: skip


def with_table(page, measured):
    """The page with the numbers that were measured, between its marks."""
    rows = [
        "| areas x draws | all draws | `to_frame()` takes | `.draws` takes |",
        "|---|---|---|---|",
    ]
    for of in measured.values():
        table, draws = of["summaries_asked"], of["draws_asked"]
        rows.append(
            f"| {of['areas']:,} x {of['draws']:,} | {of['gib_of_draws']:.2f} GiB | "
            f"{table['gib_more']:.2f} GiB | {draws['gib_more']:.2f} GiB "
            f"({draws['ratio_to_draws']:.2f} times what it returns) |"
        )
    before, rest = page.split(START)
    after = rest.split(END)[1]
    return "\n".join([f"{before}{START}", *rows, f"{END}{after}"])


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        where, areas_of, draws_of, what = sys.argv[1:]
        print(json.dumps(measure(where, int(areas_of), int(draws_of), what)))
