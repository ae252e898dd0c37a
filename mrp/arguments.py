"""Calls with arguments that do not exist, or are of another kind: refused with a message.

The first are refused before anything is done. The kinds of arguments are looked at where a call
fails: what works is not refused, and functions that explain it better themselves do so.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from mrp.errors import ArgumentError, MRPError, closest, is_text, listing, written
from mrp.words import ARGUMENTS, ATTRIBUTES

NEEDED: Mapping[str, str] = {
    "fit": "Write `{called}(fit, …)` with what model.sample() or mrp.load_fit() returns.",
    "wts": "Name the frame's column of population counts, or say wts=None to count each cell once.",
    "frame": "It is the table of the population's cells.",
}
"""What to do about an argument that can't be left out; ``{called}`` stands for the function."""
MADE_BY: Mapping[str, str] = {
    "Fit": "Make one with model.sample() or mrp.load_fit().",
    "Model": "Make one with mrp.Model().",
    "Estimates": "Make them with mrp.poststratify() or another verb.",
}
"""Where objects come from."""
LONGEST_NAME = 255
"""Bytes of the longest name that file systems take."""
LATER: Mapping[str, str] = {"Axes": "matplotlib.axes", "Model": "mrp"}
"""Types that modules know by name only, and where they are."""
KINDS: Mapping[Any, tuple[str, type | tuple[type, ...]]] = {
    bool: ("True or False", bool),
    int: ("a whole number", Integral),
    float: ("a number", Real),
    str: ("text", str),
    NoneType: ("None", NoneType),
    Callable: ("a function", Callable),  # type: ignore[dict-item]
    Mapping: ("a mapping", Mapping),
    Sequence: ("a list", Sequence),
    os.PathLike: ("a path", os.PathLike),
}
"""What annotations of arguments are called, and what is of that kind."""


def explained[T: Callable[..., Any]](target: T) -> T:
    """The function, or the class, whose calls with wrong arguments are explained.

    Signature, types and docstring stay as they are. Of a class, all public methods and `__init__`
    are meant, where they are functions or class methods; and attributes that it lacks.

    Raises
    ------
    ArgumentError
        When it is called with an argument that it does not have, without one that it needs, or with
        too many that have no name. Where a call fails in another way than the package's own, and an
        argument is not of the kind that its annotation says: it says so.

    Examples
    --------
    >>> import mrp
    >>> mrp.load_dataset(dataset="ces")
    Traceback (most recent call last):
    ...
    mrp.errors.ArgumentError: `load_dataset` must be given its own arguments, got 'dataset'. \
Available: ['name'].
    """
    if isinstance(target, type):
        for name, method in vars(target).copy().items():
            if name != "__init__" and name.startswith("_"):
                continue
            if inspect.isfunction(method):
                setattr(target, name, _checked(method, target.__name__))
            elif isinstance(method, classmethod):
                setattr(target, name, classmethod(_checked(method.__func__, target.__name__)))
        target.__getattr__ = _missing  # type: ignore[attr-defined]
        return target
    return cast(T, _checked(target))


def _missing(self: object, name: str) -> Any:
    """Raise for an attribute that is not there, and say what is; Python calls it for no other."""
    of = type(self).__name__
    if name in dir(type(self)):  # one that is there, and failed in this way itself
        return object.__getattribute__(self, name)
    advice = ATTRIBUTES.get(of, {}).get(name, "")
    message = f"{of!r} object has no attribute {name!r}"
    raise AttributeError(f"{message}. {advice}" if advice else message, name=name, obj=self)


def _checked(function: Callable[..., Any], owner: str | None = None) -> Callable[..., Any]:
    signature = inspect.signature(function)
    called = owner if owner is not None and function.__name__ == "__init__" else function.__name__

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            own = owner is not None
            raise ArgumentError(_message(called, signature, args[own:], kwargs, own)) from None
        try:
            return function(*args, **kwargs)
        except MRPError:
            raise
        except Exception as error:
            explanation = _of_another_kind(function, bound) or _not_writable(bound, error)
            if explanation is None:
                raise
            raise ArgumentError(explanation) from error

    return checked


# --- kinds of arguments ---------------------------------------------------------------------------


def _of_another_kind(function: Callable[..., Any], bound: inspect.BoundArguments) -> str | None:
    """What is wrong with the first argument that is not what its annotation says, if one is."""
    for name, value in bound.arguments.items():
        hint = _hint(function, bound.signature.parameters[name])
        if hint is None or any(_is_of(value, kind) for kind in _parts(hint)):
            continue
        words = [word for kind in _parts(hint) for word in _words(kind)]
        rule = _either([_name(kind) for kind in _parts(hint) if not _words(kind)], words)
        steps = [MADE_BY[kind.__name__] for kind in _parts(hint) if _has_maker(kind)]
        return " ".join([f"`{name}` must be {rule}, got {_got(value)}.", *steps[:1]])
    return None


def _not_writable(bound: inspect.BoundArguments, error: Exception) -> str | None:
    """What is wrong with a text that a system call, a table or a file refused, if one is."""
    if not isinstance(error, ValueError | OSError):
        return None
    tables = []
    for name, value in _named(bound):
        tables += [name] if hasattr(value, "shape") else []
        text = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(text, str):
            continue
        if not is_text(text):
            return f"`{name}` must be text without halves of characters, got {written(text)}."
        is_path = "PathLike" in str(bound.signature.parameters[name].annotation)
        if is_path and ("\0" in text or len(os.fsencode(Path(text).name)) > LONGEST_NAME):
            return f"`{name}` must be a name that a file can have, got {written(text)}."
    if isinstance(error, UnicodeEncodeError):
        return (
            f"`{[*tables, 'data'][0]}` must have text without halves of characters, got "
            f"{written(error.object)}. Read the file in its encoding, or rename the level."
        )
    return None


def _named(bound: inspect.BoundArguments) -> Iterator[tuple[str, Any]]:
    """Arguments by name, those that a call collects among them."""
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            yield from value.items()
        else:
            yield name, value


def _hint(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The annotation of an argument; None if it says nothing that can be looked at here."""
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return None
    hint = parameter.annotation
    if isinstance(hint, str):
        names = {name: getattr(import_module(home), name) for name, home in LATER.items()
                 if name in hint}  # fmt: skip
        try:
            hint = eval(hint, function.__globals__, names)  # annotations of this package
        except NameError:  # of another type that is there for the type checker only
            return None
    known = hint is not parameter.empty and all(map(_is_known, _parts(hint)))
    return hint if known else None


def _parts(hint: Any) -> tuple[Any, ...]:
    """The members of a union, of unions within it too."""
    if get_origin(hint) not in (Union, UnionType):
        return (NoneType if hint is None else hint,)
    return tuple(part for member in get_args(hint) for part in _parts(member))


def _plain(kind: Any) -> Any:
    """An annotation without what is in its brackets."""
    return get_origin(kind) or kind


def _is_known(kind: Any) -> bool:
    plain = _plain(kind)
    return plain in KINDS or plain is Literal or (isinstance(plain, type) and plain is not Any)


def _words(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if _plain(kind) is Literal else ()


def _has_maker(kind: Any) -> bool:
    return isinstance(kind, type) and kind.__name__ in MADE_BY


def _is_of(value: object, kind: Any) -> bool:
    """Whether a value is of the kind; any collection counts as a list."""
    if _words(kind):
        return isinstance(value, str) and value in _words(kind)
    if _plain(kind) is Sequence:
        several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
        return several and getattr(value, "ndim", 1) == 1 and _are_of(value, get_args(kind))
    _, types = KINDS.get(_plain(kind), ("", _plain(kind)))
    return isinstance(value, types)


def _are_of(values: Any, kinds: tuple[Any, ...]) -> bool:
    """Whether all members are of the kind that stands in the brackets of an annotation."""
    if not kinds or not all(map(_is_known, _parts(kinds[0]))) or isinstance(values, Iterator):
        return True
    return all(any(_is_of(value, kind) for kind in _parts(kinds[0])) for value in values)


def _name(kind: Any) -> str:
    plain = _plain(kind)
    own = getattr(plain, "__name__", "")
    return KINDS[plain][0] if plain in KINDS else own if own.endswith("s") else f"a {own}"


def _either(names: Sequence[str], words: Sequence[Any]) -> str:
    """Kinds and words joined by commas and "or"."""
    known = [f"one of {listing(words, len(words))}"] if words else []
    *most, last = sorted(dict.fromkeys([*known, *names]), key=lambda name: name == "None")
    return f"{', '.join(most)} or {last}" if most else last


def _got(value: object) -> str:
    """A value, if it is short, or its type."""
    plain = value is None or isinstance(value, str | bytes | Real | list | tuple | dict | set)
    return written(value) if plain else type(value).__name__


def _message(
    called: str,
    signature: inspect.Signature,
    positional: Sequence[Any],
    named: Mapping[str, Any],
    is_method: bool,
) -> str:
    """What is wrong with a call that does not bind."""
    parameters = list(signature.parameters.values())[is_method:]
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    takes_any = len(names) < len(parameters)
    strange = [] if takes_any else [name for name in named if name not in names]
    if strange:
        return (
            f"`{called}` must be given its own arguments, got {_list(strange)}. "
            f"Available: {listing(names, len(names))}.{_advice(strange, names)}"
        )
    by_place = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) > len(by_place):
        rest = [name for name in names if name not in by_place]
        but = f" but for {listing(by_place)}" if by_place else ""
        return (
            f"`{called}` must be given its arguments by name{but}, got {len(positional)} without. "
            f"Available: {listing(rest, len(rest))}."
        )
    twice = [name for name in by_place[: len(positional)] if name in named]
    if twice:
        return f"`{called}` must be given each argument once, got {_list(twice)} twice."
    given = [*by_place[: len(positional)], *named]
    lacks = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD and p.name not in given
    ]
    needed = [NEEDED[name].format(called=called) for name in lacks if name in NEEDED]
    said = f"`{called}` must be given {_list(lacks)}, got {listing(given, len(given))} only."
    return " ".join([said, *needed])


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _advice(strange: Sequence[str], names: Sequence[str]) -> str:
    """What each of the arguments is called here."""
    said = [(name, _own_word(name, names)) for name in strange]
    known = [(name, text) for name, text in said if text]
    if len(strange) == 1:
        return "".join(f" {text}" for _, text in known)
    return "".join(f" {name!r}: {text}" for name, text in known)


def _own_word(name: str, names: Sequence[str]) -> str:
    word = ARGUMENTS.get(name.replace(".", "_"))
    if word is not None:
        for ours in word.ours:
            if ours in names:
                return f"It is `{ours}` here. {word.note}".rstrip()
        if word.elsewhere:
            return word.elsewhere
    near = closest(name, names)
    return f"Did you mean {near!r}?" if near is not None else ""
