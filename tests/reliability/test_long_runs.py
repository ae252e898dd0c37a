"""The long runs: thousands of texts, files and requests, and two hundred kills.

Each run is another one: its seed is that of `MRP_FUZZ_SEED`, else a new one, and is said. With
`MRP_FUZZ_RECORD=1` the counts are kept for `docs/reliability.md`.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections import Counter
from functools import cache

import pytest

from tests.reliability import fuzz_files, fuzz_requests, fuzz_texts, kills, page
from tests.reliability.test_fuzz_files import check

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


@cache
def seed() -> int:
    """Seed of the runs."""
    return int(os.environ.get("MRP_FUZZ_SEED") or secrets.randbits(32))


def _said(name: str, counts: dict[str, int]) -> None:
    print(f"MRP_FUZZ_SEED={seed()}: {counts}")
    if os.environ.get("MRP_FUZZ_RECORD"):
        page.record(name, seed(), {what: n for what, n in counts.items() if n})


def test_tens_of_thousands_of_texts_are_read_or_refused_and_do_nothing_else() -> None:
    counts = fuzz_texts.run(10_000, seed())
    assert set(counts) == {"right", "refused"}
    _said("texts: formulas, priors, hypotheses, statements, …", counts)


def test_thousands_of_damaged_and_edited_files_are_refused_or_mean_what_they_say() -> None:
    counts = fuzz_files.run(5000, seed())
    check(counts, 5000)
    by_outcome: Counter[str] = Counter()
    for name, count in counts.items():
        by_outcome[name.partition(": ")[2] or name] += count
    _said("files: damaged, or edited with a digest that is right", dict(by_outcome))


def test_tens_of_thousands_of_wrong_requests_are_answered_or_refused() -> None:
    counts = fuzz_requests.run(20_000, seed())
    assert counts["raw"] == 0
    _said("requests: public calls with arguments of other kinds", counts)


@pytest.mark.skipif(sys.platform != "linux", reason="forks from a warm process")
def test_two_hundred_kills_leave_whole_files_and_nothing_else() -> None:
    counts = kills.run(200, seed())
    assert {name: counts[name] for name in kills.PLACES} == dict.fromkeys(kills.PLACES, 50)
    assert counts[kills.HALF] > 0
    _said("kills: `kill -9` at a random time", {name: counts[name] for name in kills.PLACES})
