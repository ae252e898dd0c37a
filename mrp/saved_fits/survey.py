"""The survey in a file: as parquet, and what parquet can't hold as codes and levels."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mrp.design import Categorical, Design
from mrp.errors import DataError, FrameWarning, listing, warn
from mrp.memory import check_fits
from mrp.saved_fits.content import Refused, SavedCategorical
from mrp.saved_fits.designs import check_read_again
from mrp.saved_fits.levels import is_level, level_from_json, level_to_json, zone_of

INDEX = "<index>"
"""Stands for the survey's index among the names of what is left out."""
UNWRITABLE = (TypeError, ValueError, NotImplementedError, ArithmeticError)
"""What pyarrow raises where parquet has no words for a column."""
CODECS = ("SNAPPY", "UNCOMPRESSED")
"""How parquet is packed here; neither makes much of little."""
BATCH = 4096
"""Rows that are looked at together."""


def check_savable(design: Design, survey: pd.DataFrame) -> None:
    """Raise unless a fit of this design and survey could be saved, before there are any draws.

    Raises
    ------
    DataError
        A categorical has levels, or a column that the formula uses has values, that can't be.
    FormulaError
        A file could not say what the formula means.
    """
    import pyarrow as pa

    for component in design.components.values():
        levels = component.levels if isinstance(component, Categorical) else ()
        other = next((level for level in levels if not is_level(level)), None)
        if other is not None:
            raise DataError(
                f"`data` must have levels that are text, numbers, dates or intervals in "
                f"{component.source!r}, got {type(other).__name__} ({other}). Convert the column "
                f"with `astype(str)`."
            )
    for name in design.columns:
        try:
            pa.Table.from_pandas(_for_parquet(survey[[name]]), preserve_index=False)
        except UNWRITABLE as error:
            raise DataError(
                f"`data` must have values that can be saved in {name!r}, got type "
                f"{str(survey[name].dtype)!r}: {error}. Convert the column."
            ) from error
    if not design.calls.namespace:
        check_read_again(design)


def survey_to_parquet(survey: pd.DataFrame) -> tuple[bytes, dict[str, Any]]:
    """The survey without what can't be written, and the levels of categoricals that are codes."""
    left_out = _unwritable(survey)
    if left_out:
        warn(
            f"The saved survey lacks what can't be written as parquet, and the formula does not "
            f"use: {listing(left_out)}. Convert it before making the model, for example with "
            f"`astype(str)`, if it is needed after loading.",
            FrameWarning,
        )
        survey = survey.drop(columns=[name for name in left_out if name != INDEX])
        survey = survey.reset_index(drop=True) if INDEX in left_out else survey
    levels = {
        str(name): {
            "levels": [level_to_json(level) for level in column.cat.categories.tolist()],
            "type": str(column.cat.categories.dtype),
            "ordered": bool(column.cat.ordered),
        }
        for name, column in survey.items()
        if _has_own_levels(column)
    }
    return _parquet(survey), levels


def survey_from_parquet(
    parquet: bytes, categoricals: Mapping[str, SavedCategorical], respondents: int | None
) -> pd.DataFrame:
    """Inverse of `survey_to_parquet`.

    Parameters
    ----------
    parquet
        The bytes.
    categoricals
        Levels of the columns that are codes.
    respondents
        Number of rows that there must be, if it is known.

    Raises
    ------
    Refused
        There are others, or they are packed in another way.
    RequestError
        The memory can't hold them.
    """
    _check_parquet(parquet, respondents)
    survey = pd.read_parquet(io.BytesIO(parquet))
    columns = {}
    for name, saved in categoricals.items():
        if name not in survey:
            raise Refused(f"its survey has no column {name!r}")
        levels = pd.Index(list(map(level_from_json, saved.levels)), dtype=_type_of(saved.type))
        columns[name] = pd.Categorical.from_codes(survey[name], levels, ordered=saved.ordered)
    return survey.assign(**columns)


_PLAIN = r"u?int(8|16|32|64)|U?Int(8|16|32|64)|float(16|32|64)|Float(32|64)|bool|boolean"
_TIME = r"datetime64\[(s|ms|us|ns)(?:, ([^],]+))?\]"
_TYPE = re.compile(rf"{_PLAIN}|object|str|string|interval\[[^]]*(?:\[[^]]*\])?[^]]*\]")


def _type_of(name: str) -> str:
    """The type of a categorical's levels, if it is one that levels have."""
    text = name
    for unit, zone in re.findall(_TIME, name):
        if zone:
            zone_of(zone)
        text = text.replace(f"datetime64[{unit}{f', {zone}' if zone else ''}]", "float64")
    if not _TYPE.fullmatch(text):
        raise Refused(f"its survey has levels of type {name!r}")
    return name


def _check_parquet(parquet: bytes, respondents: int | None) -> None:
    """Raise unless the bytes are of a table that the memory can hold, before it is made."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pa.BufferReader(parquet)
    file = pq.ParquetFile(source)
    groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
    packed = {group.column(k).compression for group in groups for k in range(group.num_columns)}
    if not packed <= set(CODECS):
        raise Refused(f"its survey is packed by {listing(sorted(packed - set(CODECS)))}")
    said = file.metadata.num_rows
    if respondents is not None and said != respondents:
        raise Refused(f"its survey has {said:,} rows for {respondents:,} outcomes")
    nested = [c.name for c in file.schema_arrow if pa.types.is_nested(c.type)]
    if nested:
        raise Refused(f"its survey has more than one value in a cell of {listing(nested)}")
    # a text that many rows have is in the file once
    texts = [c.name for c in file.schema_arrow if _is_text(c.type)]
    rows = size = 0
    for batch in pq.ParquetFile(source, read_dictionary=texts).iter_batches(batch_size=BATCH):
        rows += batch.num_rows
        size += sum(map(_size, batch.columns))
        check_fits(
            2 * size,
            f"a survey of {rows:,} rows or more",
            "path",
            "Ask for a file without its survey.",
        )
    if rows != said:
        raise Refused(f"its survey has {rows:,} rows and says {said:,}")


def _is_text(kind: Any) -> bool:
    """Whether values of a type are texts or bytes."""
    import pyarrow.types as types

    return any(
        is_one(kind)
        for is_one in (
            types.is_string,
            types.is_large_string,
            types.is_binary,
            types.is_large_binary,
        )
    )


def _size(column: Any) -> int:
    """Bytes of a column whose texts are written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(lengths).as_py() or 0) + 8 * len(column)


def _unwritable(survey: pd.DataFrame) -> list[Any]:
    """Columns that parquet does not take, and `INDEX` if that is what it does not take."""
    unnamed = [name for name in survey.columns if not isinstance(name, str)]
    named = survey.drop(columns=unnamed)
    if _is_writable(named):
        return unnamed
    alone = named.reset_index(drop=True)
    bad = [name for name in named.columns if not _is_writable(alone[[name]])]
    return [*unnamed, *bad, *([] if _is_writable(survey[[]]) else [INDEX])]


def _is_writable(table: pd.DataFrame) -> bool:
    """Whether a table can be written, and read again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = _parquet(table)
        fields = pq.read_schema(pa.BufferReader(parquet))
        pd.read_parquet(io.BytesIO(parquet))
    except UNWRITABLE:
        return False
    return not any(pa.types.is_nested(field.type) for field in fields)


def _parquet(survey: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    plain = _for_parquet(survey)
    if not isinstance(plain.columns.name, str):  # what the columns are called together
        plain = plain.rename_axis(columns=None)
    plain.to_parquet(buffer)
    return buffer.getvalue()


def _for_parquet(survey: pd.DataFrame) -> pd.DataFrame:
    """The survey in types that parquet has."""
    columns: dict[str, Any] = {}
    for name, column in survey.items():
        if _has_own_levels(column):
            columns[str(name)] = column.cat.codes
        elif isinstance(column.dtype, pd.SparseDtype):
            columns[str(name)] = column.to_numpy()
        elif column.dtype == np.longdouble:
            columns[str(name)] = column.astype(np.float64)
    return survey.assign(**columns)


def _has_own_levels(column: pd.Series) -> bool:
    """Whether a column is a categorical that parquet would not give back as it was."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return False
    categories = column.cat.categories
    return not pd.api.types.is_string_dtype(categories) and all(map(is_level, categories))
