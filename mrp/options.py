"""What `--levels` and `--new-levels` of the command line say, as arguments of the package."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import get_args

import pandas as pd

from mrp.design import Level
from mrp.errors import RequestError, listing, unknown
from mrp.new_groups import Way
from mrp.reading import NUMBER

WAYS = get_args(Way)
"""Ways of drawing new groups."""
TRUTH = {"true": True, "false": False}


def levels_of(given: Sequence[str]) -> dict[str, list[str]]:
    """Levels in order by column, from texts such as ``trust=low,mid,high``.

    Levels are cells of a line of a CSV file: those with a comma in them have quotes around them.

    Raises
    ------
    RequestError
        A text is not of this kind, or names a column again.

    Examples
    --------
    >>> levels_of(['trust=low, mid, "high, or more"'])
    {'trust': ['low', 'mid', 'high, or more']}
    """
    rule = "be COLUMN=LEVEL,LEVEL,…, the first level first"
    found: dict[str, list[str]] = {}
    for text in given:
        name, levels = _assignment("--levels", text, rule)
        if name in found:
            raise RequestError(f"`--levels` must name each column once, got {name!r} again.")
        found[name] = levels
    return found


def new_levels_of(given: Sequence[str]) -> str | dict[str, str | list[str]] | None:
    """How to draw new groups, as the argument `new_levels` says it, levels as texts.

    A word alone is a way for all groups. ``state=AK,HI`` lists the new levels of a column, and
    ``state:race=gaussian`` is a way for the groups of one factor.

    Raises
    ------
    RequestError
        A text is neither, or says something else than another one.

    Examples
    --------
    >>> new_levels_of(["gaussian"])
    'gaussian'
    >>> new_levels_of(["state=AK,HI", "state:race=uncertainty"])
    {'state': ['AK', 'HI'], 'state:race': 'uncertainty'}
    """
    if not given:
        return None
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    alone = [text for text in given if "=" not in text]
    if alone:
        raise RequestError(
            f"`--new-levels` must be one way for all new groups, or name a factor or column in "
            f"each, got {listing(given)}. Write {'FACTOR=' + alone[0]!r}."
        )
    rule = "be a way of drawing, FACTOR=WAY or COLUMN=LEVEL,LEVEL,…"
    found: dict[str, str | list[str]] = {}
    for text in given:
        name, said = _assignment("--new-levels", text, rule)
        if name in found:
            raise RequestError(
                f"`--new-levels` must name each factor or column once, got {name!r} again. List "
                f"its levels together: {name}=LEVEL,LEVEL."
            )
        if len(said) > 1 and set(said) & set(WAYS):
            raise RequestError(
                f"`--new-levels` must list levels of {name!r} or say one way of drawing them, got "
                f"{text!r}. Leave one out."
            )
        found[name] = said[0] if said[0] in WAYS else said
    return found


def _assignment(option: str, text: str, rule: str) -> tuple[str, list[str]]:
    name, _, cells = text.partition("=")
    try:
        values = next(csv.reader([cells], skipinitialspace=True, strict=True), [])
    except csv.Error:
        values = []
    if not name.strip() or not values or "" in values:
        raise RequestError(f"`{option}` must {rule}, got {text!r}.")
    return name.strip(), values


def typed_levels(
    levels: Mapping[str, Sequence[str]], table: pd.DataFrame, option: str, argument: str
) -> dict[str, list[Level]]:
    """Levels by column in the type that the column of a table has; texts if there is none.

    Parameters
    ----------
    levels
        Texts by column.
    table
        The table.
    option, argument
        What the user knows the levels and the table as.

    Raises
    ------
    RequestError
        A word is among the levels of numbers or truth values.
    """
    return {
        name: [_typed(text, table[name], option, argument) for text in texts]
        if name in table.columns
        else list(texts)
        for name, texts in levels.items()
    }


def _typed(text: str, column: pd.Series, option: str, argument: str) -> Level:
    values = column.dtype
    if isinstance(values, pd.CategoricalDtype):
        values = values.categories.dtype
    if pd.api.types.is_bool_dtype(values):
        if text.lower() in TRUTH:
            return TRUTH[text.lower()]
        what = "true or false"
    elif pd.api.types.is_numeric_dtype(values):
        if re.match(NUMBER, text):
            number = float(text)
            whole = pd.api.types.is_integer_dtype(values) and number.is_integer()
            return int(number) if whole else number
        what = "numbers"
    else:
        return text
    raise RequestError(
        f"`{option}` must have {what} for {column.name!r}, as `{argument}` has, got {text!r}. "
        f"Available: {listing(sorted(column.dropna().unique()))}."
    )


def typed_new_levels(
    new_levels: str | Mapping[str, str | Sequence[str]] | None, frame: pd.DataFrame
) -> str | dict[str, str | list[Level]] | None:
    """`new_levels` with levels in the type that the frame's column has.

    Raises
    ------
    RequestError
        A level is listed that the frame's column lacks.
    """
    if new_levels is None or isinstance(new_levels, str):
        return new_levels
    lists = {name: said for name, said in new_levels.items() if not isinstance(said, str)}
    typed = typed_levels(lists, frame, "--new-levels", "FRAME")
    for name, levels in typed.items():
        known = frame[name].dropna().unique().tolist() if name in frame.columns else levels
        absent = [level for level in levels if level not in known]
        if absent:
            rule = f"list levels of {name!r} that `FRAME` has, or say one way of drawing"
            available = [*WAYS, *sorted(known, key=str)]
            raise RequestError(unknown("--new-levels", rule, absent[0], available))
    ways = {name: said for name, said in new_levels.items() if isinstance(said, str)}
    return {name: ways.get(name) or typed[name] for name in new_levels}
