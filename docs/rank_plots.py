"""Draw `rank-plots.svg`, ranks when something is wrong: ``python docs/rank_plots.py``.

Posteriors are normal with a known fault, so that nothing is sampled.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from mrp.recovery.refits import compared
from mrp.recovery.result import Recovery

PICTURE = Path(__file__).with_name("rank-plots.svg")
SURVEYS, DRAWS, RANK_DRAWS = 200, 990, 99

# shift of the posterior's centre, and its width, in posterior standard deviations
FAULTS = {
    "right": (0.0, 1.0),
    "too high": (0.5, 1.0),
    "too low": (-0.5, 1.0),
    "too narrow": (0.0, 0.6),
    "too wide": (0.0, 1.6),
    "too wide and too high": (0.5, 1.6),
}


def main() -> None:
    """Draw the picture."""
    rng = np.random.default_rng(4)
    parts = [_rows(name, fault, rng) for name, fault in FAULTS.items()]
    with mpl.rc_context({"svg.hashsalt": "mrp", "svg.fonttype": "path"}):
        figure = Recovery(pd.concat(parts), RANK_DRAWS).plot("ranks")
        figure.savefig(PICTURE, metadata={"Date": None})


def _rows(name: str, fault: tuple[float, float], rng: np.random.Generator) -> pd.DataFrame:
    """Surveys whose true posterior is standard normal."""
    shift, width = fault
    truth = rng.standard_normal(SURVEYS)
    draws = shift + width * rng.standard_normal((SURVEYS, DRAWS))
    found = compared(truth, draws, RANK_DRAWS, seed=1)
    return pd.DataFrame(found).assign(survey=np.arange(SURVEYS), estimand=name, label="a state")


if __name__ == "__main__":
    main()
