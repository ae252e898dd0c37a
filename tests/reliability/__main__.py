"""Write the tables of `docs/reliability.md`: ``python -m tests.reliability``."""

from __future__ import annotations

from tests.reliability.page import write

write()
