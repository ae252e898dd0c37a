"""Files that are damaged or edited at random: some, the same in each run."""

from __future__ import annotations

from tests.reliability.fuzz_files import DAMAGE, EDITS, run


def check(counts: dict[str, int], count: int) -> None:
    """What must have come of so many files."""
    assert sum(counts.values()) == count
    kinds = {name.partition(":")[0] for name in counts}
    assert set(EDITS) <= kinds
    assert not [name for name in counts if name.startswith(DAMAGE) and name.endswith("later")]
    assert counts["edit_json: refused"] > 0
    assert counts["edit_hdf5: refused"] > 0


def test_damaged_and_edited_files_are_refused_or_mean_what_their_formula_says() -> None:
    check(run(60, seed=11), 60)
