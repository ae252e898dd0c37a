"""kill -9 at any time leaves old or new files whole, and nothing else after the next start."""

import sys

import pytest

from tests.reliability.kills import PLACES, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks from a warm process")


def test_a_few_kills_leave_whole_files_and_nothing_else():
    found = run(2 * len(PLACES), seed=7)
    assert {name: found[name] for name in PLACES} == dict.fromkeys(PLACES, 2)
