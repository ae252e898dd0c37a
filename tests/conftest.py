"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable

import pandas as pd
import pytest

from mrp.datasets import DATASETS, DatasetName, load_dataset
from mrp.errors import DataError


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
