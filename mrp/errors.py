"""The errors that users meet, and the one place where their messages are worded.

Every message reads: argument · rule · what came · what is available · the next step.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from numbers import Integral, Number, Real
from pathlib import Path

from mrp.words import VALUES

SHOWN = 8
"""How many names a message lists before it says how many more there are."""
NEAR = 0.6
"""Likeness of two spellings, by difflib, from which one may stand for the other."""
SEEDS = 2**128
"""Seeds are below it: NumPy's generators take as many bits from one."""
LONG_NUMBER = 10**40
"""Numbers from here on are told by their digits."""
LONGEST = 2000
"""Characters of the longest message; what is longer is cut in the middle."""
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of characters that are not seen, or do something to a screen."""
HOME = str(Path(__file__).parent / "_").removesuffix("_")
"""Folder of this package, with the slash at its end."""

DIFFERENCES = "blanks, case or Unicode normalisation"
"""How levels differ that look alike."""


class MRPError(Exception):
    """Base of every error that this package raises on purpose.

    Whatever a message quotes, it is text that can be printed, and not longer than can be read.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(said(message))


class DataError(MRPError, ValueError):
    """A survey, frame or grid that can't be used as it is."""


class FormulaError(MRPError, ValueError):
    """A formula that does not parse, or asks for what is not supported."""


class PriorError(MRPError, ValueError):
    """A prior that does not parse, or does not fit its parameter."""


class RequestError(MRPError, ValueError):
    """An argument of a verb that can't be honoured: unknown name, level, option."""


class ArgumentError(RequestError, TypeError):
    """A call with an argument that the function does not have, or without one that it needs."""


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
    warnings.warn(message, category, skip_file_prefixes=(HOME,))


def is_whole(value: object, least: int = 0) -> bool:
    """Whether this is a whole number, of Python or NumPy, and not too small.

    Examples
    --------
    >>> is_whole(3), is_whole(True), is_whole(3.0), is_whole(0, least=1)
    (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def check_bits(seed: int) -> None:
    """Raise if a seed has more bits than NumPy's generators make use of."""
    if seed >= SEEDS:
        raise RequestError(f"`seed` must be below 2**128, got {counted(seed)}. Usual: 1.")


def counted(value: object) -> str:
    """A value in place of a number, for a message; too long a one by its digits, tables by type.

    Examples
    --------
    >>> counted(2.5), counted("many"), counted(2**70), counted(10**5000)
    ('2.5', "'many'", '1180591620717411303424', 'a number of 5,001 digits')
    """
    if isinstance(value, int) and abs(value) >= LONG_NUMBER:
        return f"a number of {int(math.log10(abs(value))) + 1:,} digits"
    text = repr(value)
    return text if "\n" not in text else type(value).__name__


def is_text(value: object) -> bool:
    r"""Whether a value can be written as UTF-8: anything can but halves of characters and bytes.

    Examples
    --------
    >>> is_text("日本"), is_text("\ud800"), is_text(b"caf\xe9"), is_text(5)
    (True, False, False, True)
    """
    try:
        if isinstance(value, bytes):
            value.decode()
        elif isinstance(value, str) and not value.isascii():
            value.encode()
    except UnicodeError:
        return False
    return True


def is_hashable(value: object) -> bool:
    """Whether a value can be looked up: a list can't, nor can what holds one.

    Examples
    --------
    >>> is_hashable("a"), is_hashable(["a"]), is_hashable((1, ["a"]))
    (True, False, False)
    """
    try:
        hash(value)
    except TypeError:
        return False
    return True


def warn(message: str, category: type[Warning]) -> None:
    """Warn whoever called this package, at the line that did."""
    warnings.warn(said(message), category, skip_file_prefixes=(HOME,))


def said(message: str) -> str:
    """A message as it is raised: `shown`, but for its own lines, and cut where it is very long."""
    return shortened("\n".join(map(shown, message.split("\n"))), LONGEST)


def shown(text: str) -> str:
    r"""A text from data as it is shown: what acts on a screen is written, not sent to it.

    Control characters (escape sequences, line breaks and tabs among them), marks of direction,
    other characters without a width, and lone surrogates are written as Python escapes them.

    Examples
    --------
    >>> print(shown("\x1b[31mred"), shown("two\nlines"), shown("zero\u200bwidth"), shown("Ω, 日本"))
    \x1b[31mred two\nlines zero\u200bwidth Ω, 日本
    """
    if text.isprintable():
        return text
    return "".join(
        repr(each)[1:-1] if unicodedata.category(each) in UNSEEN else each for each in text
    )


def written(value: object) -> str:
    """A value as Python writes it: text in quotes, numbers without, NumPy's as Python's.

    Long ones are cut; tables and arrays that Python writes in several lines are told by their type.

    Examples
    --------
    >>> import numpy as np
    >>> written("2018"), written(np.int64(2018)), written(np.True_)
    ("'2018'", '2018', 'True')
    >>> written(np.zeros((2, 3)))
    'ndarray of shape (2, 3)'
    """
    if isinstance(value, str):
        return shortened(repr(str(value)))
    if isinstance(value, Number) or _is_truth(value):
        return shortened(_digits(value))
    text, shape = repr(value), getattr(value, "shape", None)
    if "\n" in text and isinstance(shape, tuple):
        return f"{type(value).__name__} of shape {shape}"
    return shortened(text)


def _digits(number: object) -> str:
    """A number as text; whole ones of thousands of digits Python writes in base 16 only."""
    try:
        return str(number)
    except ValueError:
        return f"{number:#x}"


def listing(names: Iterable[object], shown: int = SHOWN) -> str:
    """Names for a message: ``['a', 'b']``, cut after `shown` with the count of the rest."""
    items = [_item(name) for name in names]
    text = "[" + ", ".join(items[:shown])
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


def _item(value: object) -> str:
    """As `written`; dates, intervals and the like as the text that they are known by."""
    plain = value is None or isinstance(value, str | Number) or _is_truth(value)
    return written(value) if plain else shortened(repr(str(value)))


def _is_truth(value: object) -> bool:
    """Whether this is True or False, of Python or NumPy, which is not loaded here."""
    return type(value).__name__ in ("bool", "bool_")


def type_name(value: object) -> str:
    """Python's name for the type of a value, of NumPy's scalars too: "int", "str", …."""
    if _is_truth(value):
        return "bool"
    for name, known in (("str", str), ("int", Integral), ("float", Real)):
        if isinstance(value, known):
            return name
    return type(value).__name__


def look_alike(value: object, available: Iterable[object]) -> object | None:
    """What is written as the value is, but of another type: 2018 for "2018", "1" for 1.0."""
    for item in available:
        text, other = (item, value) if isinstance(item, str) else (value, item)
        if not isinstance(text, str) or type_name(other) not in ("bool", "int", "float"):
            continue
        if text == str(other) or (type_name(other) != "bool" and _as_number(text) == other):
            return item
    return None


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def closest(name: object, available: Iterable[object]) -> str | None:
    """The available name that `name` is most likely a misspelling of, if there is one.

    Spellings that only differ in case, blanks, dashes and underscores are the same. Otherwise their
    digits must be the same, for every code is near to other codes, and a number to other numbers;
    and no other name may be as near.

    Examples
    --------
    >>> closest("regoin", ["region", "age"]), closest("e14-001053", ["E14001053", "E14001054"])
    ('region', 'E14001053')
    >>> closest("E14001063", ["E14001053", "E14001054"]) is None
    True
    """
    wanted, texts = str(name), list(dict.fromkeys(map(str, available)))
    if wanted in texts:
        return wanted
    spelled = _spelling(wanted)
    same = [text for text in texts if _spelling(text) == spelled]
    if same:
        return same[0] if len(same) == 1 else None
    digits, number = re.findall(r"\d", spelled), _as_number(wanted) is not None
    words = {
        _spelling(text): text
        for text in texts
        if re.findall(r"\d", _spelling(text)) == digits
        and not (number and _as_number(text) is not None)
    }
    near = difflib.get_close_matches(spelled, words, n=2, cutoff=NEAR)
    likeness = [difflib.SequenceMatcher(None, word, spelled).ratio() for word in near]
    return words[near[0]] if near and (len(near) == 1 or likeness[0] > likeness[1]) else None


def _spelling(name: str) -> str:
    """A name without what is written differently: case, blanks, dashes, a code's leading zeros."""
    text = re.sub(r"[\s_\-\u2010-\u2015]", "", unicodedata.normalize("NFKC", name).casefold())
    return text.lstrip("0") if text.isdecimal() else text


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
    """Message for a name that is not among those available, with the one that was meant."""
    there = listing(available, shown)
    message = f"`{argument}` must {rule}, got {written(got)}. Available: {there}."
    return f"{message}{meant(argument, got, available)} {next_step}".rstrip()


def meant(argument: str, got: object, available: Sequence[object]) -> str:
    """A sentence that says what was meant: our word, another type, another spelling; or nothing."""
    advice = VALUES.get(argument, {}).get(got) if isinstance(got, str) else None
    if advice is not None:
        return f" {advice}"
    alike = look_alike(got, available)
    if alike is not None:
        return (
            f" Did you mean {written(alike)}? It is of type {type_name(alike)}, {written(got)} of "
            f"type {type_name(got)}."
        )
    near = closest(got, available)
    return f" Did you mean {near!r}?" if near is not None else ""
