"""Slow runs say their seed."""

from __future__ import annotations

import pytest

from tests.generated.runs import VARIABLE, slow_seed


@pytest.fixture(scope="session")
def said_seed(pytestconfig: pytest.Config) -> int:
    """The slow runs' seed, which is written to the terminal."""
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\ncases are made from {VARIABLE}={slow_seed()}")
    return slow_seed()
