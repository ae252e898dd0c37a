"""Errors and warnings matched on their full message."""

from __future__ import annotations

import re
from typing import Any

import pytest


def exactly(message: str) -> str:
    """A pattern that matches the whole of a message and nothing else."""
    return rf"\A{re.escape(message)}\Z"


def raises(error: type[Exception], message: str) -> Any:
    """`pytest.raises` on the full message."""
    return pytest.raises(error, match=exactly(message))


def warns(category: type[Warning], message: str) -> Any:
    """`pytest.warns` on the full message."""
    return pytest.warns(category, match=exactly(message))
