"""Function calls inside a formula, ``scale(x)`` or ``np.log(income)``, and what they remember.

formulae parses and runs the calls. A stateful transform learns from the survey (``scale`` its
mean and standard deviation) and must use the same numbers on new data; `Calls` keeps these
numbers as plain data, so that they can be saved and put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.errors import DataError, FormulaError, listing

State = dict[str, Any]

FUNCTIONS: Mapping[str, Any] = {
    "np": np,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
}
"""What a formula can call beside formulae's own transforms, without `namespace=`."""

BAMBI_S = ("hsgp",)
"""What Bambi adds to formulae's transforms where it is imported: not known here, either way."""
CODINGS = ("C", "S", "T")
"""Calls that say how a categorical is coded, and return its values as they are."""


@dataclass(frozen=True)
class Calls:
    """The calls of a formula, ready to run on new data as they ran on the survey.

    Parameters
    ----------
    formula
        Formula in which the calls stand; parsed again when they are first run.
    states
        For each call, the attributes of its stateful transforms in order of appearance.
    namespace
        The user's own functions by name. They are not saved.
    """

    formula: str = ""
    states: Mapping[str, tuple[State, ...]] = field(default_factory=dict)
    namespace: Mapping[str, Any] = field(default_factory=dict)

    def run(self, text: str, data: pd.DataFrame, argument: str) -> pd.Series | NDArray[Any]:
        """Result of a call on a table: numbers (n,) or (n, k), or the values of a categorical."""
        from formulae.transforms import Offset

        try:
            where = environment(self.namespace, {"binary": _equals, "B": _equals})
            result = _values_of(self._parsed[text]).eval(data, where)
        except Exception as error:
            raise DataError(
                f"`{argument}` must have columns on which `{text}` runs, got "
                f"{type(error).__name__}: {error}."
            ) from error
        if isinstance(result, Offset):
            result.set_size(len(data))
            result = np.asarray(result.eval(), dtype=float).reshape(len(data))
        return result if isinstance(result, pd.Series) else np.asarray(result)

    def columns(self, text: str) -> list[str]:
        """Columns that a call uses; none if the text is not a call of the formula."""
        from formulae.terms.call import Call

        call = self._parsed.get(text) if self.formula else None
        return sorted(name for name in Call(call).var_names if name) if call is not None else []

    @cached_property
    def _parsed(self) -> Mapping[str, Any]:
        parsed = {str(call): call for call in calls_in(describe(self.formula))}
        for text, states in self.states.items():
            _restore(parsed[text], states, environment(self.namespace))
        return parsed


def describe(formula: str) -> Any:
    """Parse a formula with formulae, to its end."""
    from formulae import model_description
    from formulae.parser import Parser
    from formulae.scanner import Scanner

    must = f"`formula` must be a Bambi formula such as 'y ~ x + (1 | g)', got {formula!r}:"
    try:
        parser = Parser(Scanner(formula).scan())
        parser.parse()
        description = model_description(formula)
    except AttributeError as error:
        # formulae compares terms, and trips over an argument that is a call beside one that is not
        raise FormulaError(
            f"{must} formulae can't read it. If it calls one function twice, write the call with "
            f"the simpler argument first: scale(x) + scale(log(z))."
        ) from error
    except Exception as error:
        raise FormulaError(f"{must} {error}") from error
    if not parser.at_end():
        # formulae would leave out the rest without a word
        raise FormulaError(
            f"{must} it can't be read from {parser.peek().lexeme!r} on. Join terms by '+', and "
            f"write group-specific terms in brackets: ( … | g)."
        )
    return description


def calls_in(description: Any) -> Iterator[Any]:
    """The calls of a parsed formula's predictors, terms in order."""
    for term in description.common_terms:
        yield from _calls_of(term)
    for term in description.group_terms:
        yield from _calls_of(term.expr)
        yield from _calls_of(term.factor)


def _calls_of(term: Any) -> Iterator[Any]:
    for component in getattr(term, "components", ()):
        if hasattr(component, "call"):
            yield component.call


def _values_of(call: Any) -> Any:
    """The argument that `C`, `S` and `T` code: its levels are those that the survey has."""
    while getattr(call, "callee", None) in CODINGS:
        call = call.args[0] if call.args else call.kwargs["data"]
    return call


def _equals(x: pd.Series, success: Any) -> NDArray[np.int64]:
    """As ``binary`` of formulae, which refuses data without any success: a grid may have none."""
    return np.where(x == success, 1, 0)


def environment(namespace: Mapping[str, Any], first: Mapping[str, Any] | None = None) -> Any:
    """Where a call's names are looked up: formulae's transforms, then `FUNCTIONS`, then these."""
    from formulae.categorical import ENCODINGS
    from formulae.environment import Environment

    known = {**_transforms(), **ENCODINGS, **(first or {})}
    return Environment([known, dict(FUNCTIONS), dict(namespace)])


def _transforms() -> dict[str, Any]:
    from formulae.transforms import TRANSFORMS

    return {name: TRANSFORMS[name] for name in TRANSFORMS if name not in BAMBI_S}


def check_functions(description: Any, namespace: Mapping[str, Any]) -> None:
    """Raise if a call names a function that can't be found, or one that new data would change."""
    known = environment(namespace).namespace
    response = _calls_of(description.response.term) if description.response else ()
    for call in (*response, *calls_in(description)):
        for node in walk(call):
            root = node.callee.split(".")[0]
            if root not in known:
                raise FormulaError(
                    f"`formula` must call functions that are known, got {node.callee!r} in "
                    f"{call}. Available: {listing(_function_names(), shown=30)}. Pass your own as "
                    f"`namespace={{{root!r}: …}}`; splines of Bambi (hsgp) and special responses "
                    f"(censored, truncated, weighted) are not supported."
                )
    for call in calls_in(description):
        for node in walk(call):
            if node.callee in ("binary", "B") and len(node.args) + len(node.kwargs) < 2:
                raise FormulaError(
                    f"`formula` must say which value counts as 1 in {node}: left to the data, it "
                    f"could be another one in new data. Write for example "
                    f"\"{str(node)[:-1]}, 'yes')\"."
                )


def _function_names() -> list[str]:
    return [*_transforms(), *FUNCTIONS]


def walk(call: Any) -> Iterator[Any]:
    """A call and the calls among its arguments, outermost first."""
    if hasattr(call, "callee"):
        yield call
    for argument in [*getattr(call, "args", ()), *getattr(call, "kwargs", {}).values()]:
        yield from walk(argument)


def learned(call: Any) -> tuple[State, ...]:
    """What the stateful transforms of a call have learned, in order of appearance."""
    transforms = [node.stateful_transform for node in walk(call) if node.stateful_transform]
    return tuple(dict(vars(transform)) for transform in transforms)


def _restore(call: Any, states: tuple[State, ...], where: Any) -> None:
    from formulae.terms.call_resolver import get_function_from_module

    remaining = iter(states)
    for node in walk(call):
        function = get_function_from_module(node.callee, where)
        if getattr(function, "__stateful_transform__", False):
            node.stateful_transform = function()
            vars(node.stateful_transform).update(next(remaining))


def to_json(value: Any) -> Any:
    """A transform's memory as JSON: arrays and dictionaries with number keys are marked."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {"items": [[to_json(key), to_json(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """Inverse of `to_json`."""
    convert: dict[str, Callable[[Any], Any]] = {
        "array": np.asarray,
        "items": lambda items: {from_json(key): from_json(item) for key, item in items},
    }
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        return convert[kind](content)
    return [from_json(item) for item in value] if isinstance(value, list) else value
