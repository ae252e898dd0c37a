"""How cases are made, and from what seeds.

In CI the cases are the same each time. The slow runs make others each time: their seed is that of
the environment variable `MRP_GENERATED_SEED`, else a new one; they say it, and so does a failure.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from functools import cache
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

VARIABLE = "MRP_GENERATED_SEED"
AT_ONCE = 10
"""Cases from one seed. After ten, Hypothesis mostly makes variants of the case before."""
SETTINGS = settings(
    max_examples=AT_ONCE,
    database=None,
    deadline=None,
    print_blob=True,
    # the first failure, made as small as it gets; to explain it would take as long again
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def run(check: Callable[[Any], None], cases: st.SearchStrategy[Any], count: int, seed: int) -> None:
    """Check so many cases, ten from each seed from `seed` on."""
    for own in range(seed, seed + count // AT_ONCE):
        try:
            hypothesis.seed(own)(SETTINGS(given(cases)(check)))()
        except Exception as error:
            error.add_note(f"The case is one of those from the seed {own}.")
            raise


@cache
def slow_seed() -> int:
    """Seed of the slow runs."""
    return int(os.environ.get(VARIABLE) or secrets.randbits(32))
