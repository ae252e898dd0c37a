"""What a file says besides numbers: the JSON of each format, with the type of everything in it."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from mrp.saved_fits.digest import MARK
from mrp.saved_fits.levels import SavedLevel

FORMAT = 3
"""Version of the file layout."""
READABLE = (1, 2, FORMAT)
"""Versions that can be read."""


class Refused(ValueError):
    """Why a file is none that `Fit.save` wrote."""


class _Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Plain data with these fields and no others."""


class SavedPart(_Closed, frozen=True):
    """A number or categorical of a formula, as the survey has it."""

    name: str
    source: str
    width: int | None = None
    """Number of columns, of a number."""
    levels: tuple[SavedLevel, ...] | None = None


class SavedFactor(_Closed, frozen=True):
    """The groups of a grouping factor that the survey has."""

    name: str
    codes: tuple[tuple[int, ...], ...]


class SavedColumn(_Closed, frozen=True):
    """What the survey has in a column that calls use."""

    kind: Literal["number", "truth", "category", "text"]
    levels: tuple[SavedLevel, ...]


class SavedCalls(_Closed, frozen=True):
    """What calls have learned."""

    states: dict[str, list[Any]]
    columns: dict[str, SavedColumn] | None = None
    """None in the first format."""
    formula: str = ""
    """In the first format."""


class SavedDesign(_Closed, frozen=True):
    """A formula with what it learned from the survey; the rest is made of it again."""

    formula: str
    correlated: bool
    ordered: bool
    columns: tuple[str, ...]
    parts: tuple[SavedPart, ...]
    factors: tuple[SavedFactor, ...]
    calls: SavedCalls
    labels: dict[str, str] = {}
    """Names of calls where they are those of the first format."""


class SavedCategorical(_Closed, frozen=True):
    """The levels of a column of the survey that is codes in the parquet."""

    levels: tuple[SavedLevel, ...]
    type: str
    ordered: bool


class OldComponent(_Closed, frozen=True):
    """A number or categorical in formats 1 and 2."""

    kind: Literal["Numeric", "Categorical"]
    name: str
    source: str
    levels: tuple[SavedLevel, ...] = ()


class OldCoding(_Closed, frozen=True):
    """A contrast matrix in formats 1 and 2."""

    component: str
    contrasts: tuple[tuple[float, ...], ...] | None


class OldTerm(_Closed, frozen=True):
    """A term in formats 1 and 2."""

    name: str
    codings: tuple[OldCoding, ...]
    width: int
    levels: tuple[str, ...] | None
    kind: str
    of: str | None = None
    dim: str | None = None


class OldBlock(_Closed, frozen=True):
    """Terms of one bracket in formats 1 and 2."""

    factor: str
    terms: tuple[OldTerm, ...]
    correlated: bool
    number: int


class OldFactor(_Closed, frozen=True):
    """A grouping factor in formats 1 and 2."""

    name: str
    components: tuple[str, ...]
    codes: tuple[tuple[int, ...], ...]
    groups: tuple[str, ...]


class OldDesign(_Closed, frozen=True):
    """A design in formats 1 and 2, which had all of it."""

    formula: str
    columns: tuple[str, ...]
    offsets: tuple[str, ...]
    components: tuple[OldComponent, ...]
    terms: tuple[OldTerm, ...]
    blocks: tuple[OldBlock, ...]
    factors: tuple[OldFactor, ...]
    calls: SavedCalls


class _Fit(_Closed, frozen=True, kw_only=True):
    """What every format says of a fit."""

    family: str
    link: str
    outcome: str
    info: dict[str, Any] | list[Any]
    versions: dict[str, str]
    levels: tuple[SavedLevel, ...] | None = None
    priors: list[dict[str, str | int | float | None]] | None = None
    categoricals: dict[str, SavedCategorical] = {}


class Content(_Fit, frozen=True, kw_only=True):
    """The JSON of a file."""

    format: Literal[3]
    design: SavedDesign
    ends: str


class OldContent(_Fit, frozen=True, kw_only=True):
    """The JSON of a file of format 1 or 2."""

    format: Literal[1, 2]
    design: OldDesign


def content_of(text: str) -> Content | OldContent:
    """The JSON of a file, if all of it is there and of the right types.

    Raises
    ------
    Refused
        It is not.
    """
    try:
        saved = json.loads(text)
        number = saved["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(f"its description is no JSON of a fit ({error})") from error
    if number not in READABLE or isinstance(number, bool):
        raise OtherFormat(number)
    try:
        if number == FORMAT:
            return msgspec.convert(saved, Content)
        return msgspec.convert(saved, OldContent)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Refused(f"its description is not that of a fit: {error}") from error


class OtherFormat(ValueError):
    """The number of a format that is not known."""


ENDS = MARK.decode()
