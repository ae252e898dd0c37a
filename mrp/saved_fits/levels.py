"""Levels of categoricals as JSON: text, numbers and truths as they are, the others marked."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd

from mrp.design import Level, Plain
from mrp.errors import shortened

SavedPlain = str | int | float | bool


class SavedTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A date, a time with its zone, or an interval: one of the three."""

    date: str | None = None
    time: tuple[str, str | None] | None = None
    interval: tuple[SavedLevel, SavedLevel, Literal["left", "right", "both", "neither"]] | None = (
        None
    )


SavedLevel = SavedPlain | SavedTime


def is_level(level: object) -> bool:
    """Whether this is a level that can be saved."""
    if isinstance(level, pd.Interval):
        return is_level(level.left) and is_level(level.right)
    return isinstance(level, Plain | datetime.date | np.integer | np.bool_)


def level_to_json(level: Any) -> Any:
    """A level as JSON: intervals and dates are marked."""
    if isinstance(level, pd.Interval):
        return {"interval": [*map(level_to_json, (level.left, level.right)), level.closed]}
    if isinstance(level, datetime.datetime):
        zone = level.tzinfo and str(level.tzinfo)
        return {"time": [level.isoformat(), zone]}
    if isinstance(level, datetime.date):
        return {"date": level.isoformat()}
    return level.item() if isinstance(level, np.generic) else level


_OFFSET = re.compile(r"UTC([+-])(\d\d):(\d\d)")


def zone_of(name: str) -> datetime.tzinfo:
    """A time zone by its name, or by its distance from UTC; a name can be no file of its own.

    Raises
    ------
    ValueError
        There is no such zone.
    """
    if name == "UTC":
        return datetime.UTC
    if match := _OFFSET.fullmatch(name):
        distance = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
        return datetime.timezone(-distance if match[1] == "-" else distance)
    if name not in zoneinfo.available_timezones():
        raise ValueError(f"there is no time zone {shortened(repr(name))}")
    return zoneinfo.ZoneInfo(name)


def level_from_json(saved: SavedLevel) -> Level:
    """Inverse of `level_to_json`."""
    if not isinstance(saved, SavedTime):
        return saved
    match saved:
        case SavedTime(date=None, time=None, interval=(left, right, closed)):
            return pd.Interval(level_from_json(left), level_from_json(right), closed)
        case SavedTime(date=str(day), time=None, interval=None):
            return datetime.date.fromisoformat(day)
        case SavedTime(date=None, time=(text, zone), interval=None):
            time = pd.Timestamp(text)
            return time if zone is None else time.tz_convert(zone_of(zone))
    raise ValueError("a level is a date, a time or an interval")
