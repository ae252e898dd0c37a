"""The benchmark of peak memory in small, and the page that shows its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import memory

RESULTS = memory.PAGE.parents[1] / "benchmarks" / "results" / "memory.json"


def recorded():
    return json.loads(RESULTS.read_text(encoding="utf-8"))["measured"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux says the peak")
@pytest.mark.parametrize("asked", memory.ASKED)
@pytest.mark.parametrize("name", memory.SIZES)
def test_small_run_answers(name, asked):
    found = memory.measure(name, 5200, 8, asked)
    assert set(found) == {"seconds", "before", "more"}
    assert found["before"] > 0


def test_page_shows_the_recorded_numbers():
    text = memory.PAGE.read_text(encoding="utf-8")
    assert memory.with_table(text, recorded()) == text


def test_recorded_peaks_are_one_copy_of_the_draws_or_some_blocks():
    found = recorded()
    assert {name: (of["areas"], of["draws"]) for name, of in found.items()} == memory.SIZES
    for of in found.values():
        assert of["draws_asked"]["ratio_to_draws"] <= 1.2
        assert of["summaries_asked"]["gib_more"] <= 0.5
