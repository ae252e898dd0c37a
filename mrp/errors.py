"""The errors that users meet, and the one place where their messages are worded.

Every message reads: argument · rule · what came · what is available · the next step.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from numbers import Integral
from pathlib import Path

PACKAGE = str(Path(__file__).parent)
"""Folder of the package: its warnings point at the line outside of it that led to them."""
SHOWN = 8
"""How many names a message lists before it says how many more there are."""


class MRPError(Exception):
    """Base of every error that this package raises on purpose."""


class DataError(MRPError, ValueError):
    """A survey, frame or grid that can't be used as it is."""


class FormulaError(MRPError, ValueError):
    """A formula that does not parse, or asks for what is not supported."""


class PriorError(MRPError, ValueError):
    """A prior that does not parse, or does not fit its parameter."""


class RequestError(MRPError, ValueError):
    """An argument of a verb that can't be honoured: unknown name, level, option."""


class FitError(MRPError, RuntimeError):
    """A fit that can't be sampled, loaded or saved."""


class SamplingInterrupted(FitError):
    """Sampling was stopped by the user before there was anything to keep."""


class SamplingWarning(UserWarning):
    """The sampler ran, but its draws should not be trusted as they are."""


class EngineWarning(UserWarning):
    """Sampling works and its draws are as good, but it takes longer than it could."""


class FrameWarning(UserWarning):
    """The frame is usable, but says something other than the user may think."""


@cache
def warn_once(message: str, category: type[Warning]) -> None:
    """Warn of something that does not change while this process runs."""
    warnings.warn(message, category, skip_file_prefixes=(PACKAGE,))


def is_whole(value: object, least: int = 0) -> bool:
    """Whether this is a whole number, of Python or NumPy, and not too small.

    Examples
    --------
    >>> is_whole(3), is_whole(True), is_whole(3.0), is_whole(0, least=1)
    (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def listing(names: Iterable[object], shown: int = SHOWN) -> str:
    """Names for a message: ``['a', 'b']``, cut after `shown` with the count of the rest."""
    items = [str(name) for name in names]
    text = "[" + ", ".join(repr(item) for item in items[:shown])
    return text + (f", … {len(items) - shown} more]" if len(items) > shown else "]")


def shortened(text: str, most: int = 200) -> str:
    """A text for a message: a long one is cut in the middle.

    Examples
    --------
    >>> shortened("y ~ x + a very long formula", most=9)
    'y ~ … mula'
    """
    half = most // 2
    return text if len(text) <= most else f"{text[:half].rstrip()} … {text[-half:].lstrip()}"


def closest(name: object, available: Iterable[object]) -> str | None:
    """The available name nearest in spelling to `name`, if any is near."""
    by_folded = {str(item).casefold(): str(item) for item in available}
    matches = difflib.get_close_matches(str(name).casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def unknown(
    argument: str,
    rule: str,
    got: object,
    available: Sequence[object],
    next_step: str = "",
    shown: int = SHOWN,
) -> str:
    """Message for a name that is not among those available, with the closest valid one."""
    message = f"`{argument}` must {rule}, got {got!r}. Available: {listing(available, shown)}."
    near = closest(got, available)
    if near is not None:
        message += f" Did you mean {near!r}?"
    return f"{message} {next_step}".rstrip()
