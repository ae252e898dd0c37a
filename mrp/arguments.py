"""Calls with arguments that do not exist: refused with a message that says what they are here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, cast

from mrp.errors import ArgumentError, closest, listing
from mrp.words import ARGUMENTS, ATTRIBUTES

NEEDED: Mapping[str, str] = {
    "fit": "Write `{called}(fit, …)` with what model.sample() or mrp.load_fit() returns.",
    "wts": "Name the frame's column of population counts, or say wts=None to count each cell once.",
    "frame": "It is the table of the population's cells.",
}
"""What to do about an argument that can't be left out; ``{called}`` stands for the function."""


def explained[T: Callable[..., Any]](target: T) -> T:
    """The function, or the class, whose calls with wrong arguments are explained.

    Signature, types and docstring stay as they are. Of a class, all public methods and `__init__`
    are meant, where they are functions; and attributes that it lacks.

    Raises
    ------
    ArgumentError
        When it is called with an argument that it does not have, without one that it needs, or with
        too many that have no name.

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
            if inspect.isfunction(method) and (name == "__init__" or not name.startswith("_")):
                setattr(target, name, _checked(method, target.__name__))
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
            signature.bind(*args, **kwargs)
        except TypeError:
            own = owner is not None
            raise ArgumentError(_message(called, signature, args[own:], kwargs, own)) from None
        return function(*args, **kwargs)

    return checked


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
