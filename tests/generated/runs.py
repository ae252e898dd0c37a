"""How cases are made, and from what seed.

In CI Hypothesis makes the same cases each time. The slow runs make others each time: their seed is
that of the environment variable `MRP_GENERATED_SEED`, else a new one, and they say it.
"""

from __future__ import annotations

import os
import secrets
from functools import cache

from hypothesis import HealthCheck, Phase, settings

VARIABLE = "MRP_GENERATED_SEED"
CI = settings(
    derandomize=True,
    deadline=None,
    print_blob=True,
    # the first failure, made as small as it gets; to explain it would take as long again
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SLOW = settings(CI, derandomize=False, database=None)


@cache
def slow_seed() -> int:
    """Seed of the slow runs."""
    return int(os.environ.get(VARIABLE) or secrets.randbits(32))
