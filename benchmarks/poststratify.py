"""poststratify on a million cells x 4,000 draws: seconds, peak memory, distance from the floor.

The floor is the inverse link alone, run on arrays of a block's size until as many values have been
computed. Two frames: one whose cells share their demographics (most frames), and one with a number
of its own for every cell, so that nothing can be looked up.
"""

import json
import resource
import sys
import time

import numpy as np
import pandas as pd

import mrp
from mrp.links import inverse
from mrp.prediction import block_rows

CELLS, DRAWS = 1_000_000, 4_000
SHARED = mrp.testing.FORMULA
OWN = SHARED.replace("~ ", "~ income + ")


def main():
    cells = CELLS if len(sys.argv) < 2 else int(sys.argv[1])
    survey = mrp.load_dataset("simulated_survey")
    rng = np.random.default_rng(1)
    survey = survey.assign(income=rng.normal(size=len(survey)))
    frame = big_frame(cells, rng)
    link = seconds_of_link(cells * DRAWS)
    measured = {"cells": cells, "draws": DRAWS, "seconds_of_inverse_link": round(link, 2)}
    for name, formula in (("shared_demographics", SHARED), ("own_number_each", OWN)):
        fit = mrp.testing.fake_fit(formula, survey, family="bernoulli", chains=4, draws=DRAWS // 4)
        started = time.perf_counter()
        estimates = mrp.poststratify(fit, frame, by="state", wts="n")
        seconds = time.perf_counter() - started
        measured[name] = {
            "seconds": round(seconds, 2),
            "ratio_to_inverse_link": round(seconds / link, 2),
            "areas": len(estimates),
            "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        }
    print(json.dumps(measured))


def big_frame(cells, rng):
    """The simulated frame's cells repeated for many districts, each with its own population."""
    frame = mrp.load_dataset("simulated_frame")
    repeated = frame.loc[np.resize(np.arange(len(frame)), cells)].reset_index(drop=True)
    district = pd.Series(np.arange(cells) // len(frame), name="district")
    return repeated.assign(
        district=district, n=rng.integers(1, 1000, cells), income=rng.normal(size=cells)
    )


def seconds_of_link(values):
    """Seconds for so many values of the inverse logit, in blocks of the size that is used."""
    rows = block_rows(DRAWS)
    eta = np.random.default_rng(0).normal(size=(rows, DRAWS))
    block, logistic = np.empty_like(eta), inverse("logit")
    repeats = max(1, values // eta.size)
    started = time.perf_counter()
    for _ in range(repeats):
        np.copyto(block, eta)
        logistic(block)
    return (time.perf_counter() - started) * values / (repeats * eta.size)


if __name__ == "__main__":
    main()
