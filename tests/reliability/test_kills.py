"""kill -9 at any time leaves old or new files whole, and nothing else after the next start."""

import os
import secrets
import sys

import pytest

from tests.reliability.kills import HALF, PLACES, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks from a warm process")

VARIABLE = "MRP_FUZZ_SEED"


def test_a_few_kills_leave_whole_files_and_nothing_else():
    found = run(2 * len(PLACES), seed=7)
    assert {name: found[name] for name in PLACES} == dict.fromkeys(PLACES, 2)


@pytest.mark.slow
def test_two_hundred_kills_leave_whole_files_and_nothing_else():
    seed = int(os.environ.get(VARIABLE) or secrets.randbits(32))
    print(f"{VARIABLE}={seed}")
    found = run(200, seed)
    assert {name: found[name] for name in PLACES} == dict.fromkeys(PLACES, 50)
    assert found[HALF] > 0
    print(found)
