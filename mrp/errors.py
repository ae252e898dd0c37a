"""The errors that users meet, and the one place where their messages are worded.

Every message reads: argument · rule · what came · what is available · the next step.
"""

from __future__ import annotations

import difflib
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from numbers import Integral
from pathlib import Path

PACKAGE = str(Path(__file__).parent)
"""Folder of the package: its warnings point at the line outside of it that led to them."""
SHOWN = 8
"""How many names a message lists before it says how many more there are."""

DIFFERENCES = "blanks, case or Unicode normalisation"
"""How levels differ that look alike."""


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


def lookalikes(
    names: Iterable[object], others: Iterable[object] | None = None
) -> list[tuple[str, str]]:
    """Texts that differ, but only by blanks, case or Unicode normalisation.

    Blanks are those at the ends, those that are doubled, and characters that are not seen.

    Parameters
    ----------
    names
        Names; those that are no text look like nothing else.
    others
        What they are compared with; one another by default.

    Returns
    -------
    Pairs of a name and the first of the others that it looks like.

    Examples
    --------
    >>> lookalikes(["AL", "Al ", "CA"]), lookalikes(["S05"], ["s05", "s06"])
    ([('Al ', 'AL')], [('S05', 's05')])
    """
    texts = _texts(names)
    known = texts if others is None else _texts(others)
    first: dict[str, str] = {}
    for each in known:
        first.setdefault(_folded(each), each)
    there = set(() if others is None else known)
    found = [(text, first.get(_folded(text), text)) for text in texts if text not in there]
    return [(text, other) for text, other in found if text != other]


def _texts(names: Iterable[object]) -> list[str]:
    return [name for name in dict.fromkeys(names) if isinstance(name, str)]


def _folded(text: str) -> str:
    if text.isascii():
        return " ".join(text.casefold().split())
    seen = "".join(each for each in text if unicodedata.category(each) != "Cf")
    folded = unicodedata.normalize("NFKC", seen).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def paired(alike: Sequence[tuple[str, str]]) -> str:
    r"""Lookalikes for a message: what can't be told apart on a screen is written in ASCII.

    Examples
    --------
    >>> print(paired([("Al ", "AL"), ("caf\u00e9", "cafe\u0301")]))
    'Al ' and 'AL', 'caf\xe9' and 'cafe\u0301'
    """
    written = [f"{first} and {second}" for first, second in map(_written, alike[:SHOWN])]
    return ", ".join(written) + (f", … {len(alike) - SHOWN} more" if len(alike) > SHOWN else "")


def _written(pair: tuple[str, str]) -> tuple[str, str]:
    same = len({unicodedata.normalize("NFKC", text) for text in pair}) == 1
    first, second = map(ascii if same else repr, pair)
    return first, second


def did_you_mean(name: object, available: Sequence[object]) -> str:
    """The end of a message about a level that is not there: the nearest in spelling, if any is."""
    alike = lookalikes([name], available)
    if alike:
        _, near = _written(alike[0])
        return f" Did you mean {near}? It differs only by {DIFFERENCES}."
    nearest = closest(name, available)
    return "" if nearest is None else f" Did you mean {nearest!r}?"


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
