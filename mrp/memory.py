"""What is asked for, against the memory that there is: refused before it is taken."""

from __future__ import annotations

import psutil

from mrp.errors import RequestError

SHARE = 0.5
"""Share of the free memory that one request may take."""


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
    free = psutil.virtual_memory().available
    if needed > SHARE * free:
        raise RequestError(
            f"`{argument}` must ask for what the memory can hold, got {what}, which take "
            f"{needed / 2**30:,.1f} GiB of {free / 2**30:,.1f} GiB free. {step}"
        )
