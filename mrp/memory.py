"""What is asked for, against the memory that there is: refused before it is taken."""

from __future__ import annotations

from pathlib import Path

import psutil

from mrp.errors import RequestError

SHARE = 0.5
"""Share of the free memory that one request may take."""
LARGE = 2**28
"""Bytes from which on it is worth a look at what is free."""
CONTROL = Path("/sys/fs/cgroup")
"""Where Linux says what a container, or a job of a cluster, may have."""


def check_fits(needed: int, what: str, argument: str, step: str) -> None:
    """Raise if something of so many bytes is more than a share of the free memory.

    Parameters
    ----------
    needed
        Bytes.
    what
        What needs them, with its sizes: "4,000 draws of 85,000 areas".
    argument
        The argument that asks for it.
    step
        What to do instead, as a sentence.

    Raises
    ------
    RequestError
    """
    free = available()
    if needed > SHARE * free:
        raise RequestError(
            f"`{argument}` must ask for what the memory can hold, got {what}, which take "
            f"{_gib(needed)} GiB of {_gib(free)} GiB free. {step}"
        )


def _gib(count: int) -> str:
    """Bytes in GiB, for a message; what is beyond any number is only said to be."""
    return f"{count / 2**30:,.1f}" if count < 2**80 else "over 10**15"


def available() -> int:
    """Bytes of memory that are free: on the machine, and for this process where it has a limit."""
    free = int(psutil.virtual_memory().available)
    for folder in _groups():
        limit, used = (_number(folder / f"memory.{name}") for name in ("max", "current"))
        if limit is not None and used is not None:
            free = min(free, max(0, limit - used + _reclaimable(folder)))
    return free


def _groups() -> list[Path]:
    """Folders of the control groups (v2) that this process is in, from its own outwards."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    folder = CONTROL / own.lstrip("/")
    return [each for each in (folder, *folder.parents) if each.is_relative_to(CONTROL)]


def _number(path: Path) -> int | None:
    """The number that a file has; None where it has none ("max"), or is not there."""
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _reclaimable(folder: Path) -> int:
    """Bytes of files that were read and are kept for another time only."""
    try:
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("inactive_file ")).split()[1])
    except (OSError, StopIteration, ValueError):
        return 0
