"""What every test may ask for."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest

from mrp.datasets import DATASETS, DatasetName, load_dataset
from mrp.errors import DataError
from mrp.fit import Fit
from mrp.testing import fake_fit
from tests.cases import make_survey

hypothesis.settings.register_profile("mrp", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.load_profile("mrp")

SMALL_FORMULA = "y ~ age + x + military + gender + (1 + gender | state)"
"""Formula of `small_fit`."""


@pytest.fixture(scope="session")
def real_data() -> Callable[[DatasetName], pd.DataFrame]:
    """`load_dataset`, once all datasets are at hand; tests are skipped where they can't be.

    A file that is missing in MRP_DATA_DIR, or that is not the right one, is a failure.
    """
    try:
        for name in DATASETS:
            load_dataset(name)
    except DataError as error:
        if os.environ.get("MRP_DATA_DIR") or not isinstance(error.__cause__, OSError):
            raise
        pytest.skip("needs the real data: connect to the network, or set MRP_DATA_DIR")
    return load_dataset


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """A survey with every kind of column, few distinct rows and outcomes for every family.

    Categoricals have an order that is not the alphabet's, ordered or not. Don't change it.
    """
    rng, n = np.random.default_rng(20), 150

    def categorical(levels: list[object], *, ordered: bool) -> pd.Categorical:
        values = [*levels, *rng.choice(np.array(levels), n - len(levels)).tolist()]
        return pd.Categorical(values, categories=levels, ordered=ordered)

    trials = rng.integers(1, 6, n)
    return pd.DataFrame(
        {
            "x": rng.choice([-1.5, 0.0, 0.5, 2.0], n),
            "z": rng.choice([1.0, 2.0, 4.0, 8.0], n),
            "k": rng.integers(1, 4, n),
            "veteran": rng.random(n) < 0.3,
            "education": categorical(["none", "2 year", "4 year"], ordered=False),
            "age": categorical(["young", "mid", "old"], ordered=True),
            "year": categorical([2020, 2016, 2012], ordered=False),
            "sex": rng.choice(["man", "woman"], n),
            "state": rng.choice(["TX", "AL", "NY", "CA"], n),
            "y": rng.normal(1.0, 2.0, n).round(3),
            "positive": rng.gamma(4.0, 0.5, n).round(3) + 0.01,
            "vote": rng.integers(0, 2, n),
            "wins": rng.binomial(trials, 0.4),
            "trials": trials,
            "count": rng.poisson(4.0, n),
        }
    ).sample(frac=1.0, random_state=1, ignore_index=True)


@pytest.fixture(scope="session")
def small_fit() -> Fit:
    """Made-up draws of a model of the small survey, with one grouping factor and three slopes."""
    return fake_fit(SMALL_FORMULA, make_survey(), family="bernoulli", chains=2, draws=20)


_LIMITED = """
import resource, sys
from pathlib import Path
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    exec(sys.stdin.read())
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def limited() -> Callable[[str, Path], str]:
    """Run code that writes `path` where no file may be over 100 kB, as in a disk that is full.

    Returns what it prints, or the error that it ends in.
    """
    pytest.importorskip("resource", reason="needs limits of the size of files")

    def run(code: str, path: Path) -> str:
        process = subprocess.run(
            [sys.executable, "-c", _LIMITED, str(path)],
            input=textwrap.dedent(code),
            capture_output=True,
            text=True,
            check=True,
        )
        assert process.stderr == ""
        return process.stdout.removesuffix("\n")

    return run
