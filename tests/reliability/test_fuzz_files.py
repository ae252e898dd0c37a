"""Files that are damaged or edited at random: a part in each run, thousands in the slow tests.

Files of the part are the same in each run. The slow ones are others each time, made from the seed
in `MRP_FUZZ_SEED` or a new one, which is said; so many as `MRP_FUZZ_FILES` says.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.reliability.fuzz_files import DAMAGE, EDITS, run


def _check(counts: dict[str, int], count: int) -> None:
    assert sum(counts.values()) == count
    kinds = {name.partition(":")[0] for name in counts}
    assert set(EDITS) <= kinds
    assert not [name for name in counts if name.startswith(DAMAGE) and name.endswith("later")]
    assert counts["edit_json: refused"] > 0
    assert counts["edit_hdf5: refused"] > 0


def test_damaged_and_edited_files_are_refused_or_mean_what_their_formula_says() -> None:
    _check(run(60, seed=11), 60)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_thousands_of_damaged_and_edited_files_do() -> None:
    seed = int(os.environ.get("MRP_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    count = int(os.environ.get("MRP_FUZZ_FILES") or 5000)
    print(f"MRP_FUZZ_SEED={seed}")
    counts = run(count, seed)
    print(counts)
    _check(counts, count)
