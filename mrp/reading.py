"""A user's survey and frame from files: what is text, what is a number, what is missing.

A Parquet file says what its columns are. Cells of a CSV file are text, and text they stay unless
a whole column reads as numbers or as truth values. A column that is asked of both files has one
type in both, so that a level of one is found in the other: what a Parquet file says decides, and of
two CSV files the one in which the column is text.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from mrp.cells import ROWS, added_up
from mrp.design import Categorical, Design
from mrp.errors import DataError, FrameWarning, RequestError, listing, shortened, warn
from mrp.files import check_source
from mrp.frames import as_pandas
from mrp.memory import LARGE, check_fits

Kind = Literal["number", "boolean", "text", "nothing", "other"]

PLAIN = (
    r"^-?((0|[1-9][0-9]{0,17})"
    r"|((0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
    r"|(0|[1-9][0-9]*)[eE][+-][0-9]+)$"
)
"""Numbers as programs write them. Not 01, +1, 1E5, nor integers too long to be exact: codes."""
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
"""What can be read as a number where another file says that it is one."""
LOOSE = r"[-+($€£\s]*[0-9][0-9.,'\s]*[%€)]?"
"""What people read as a number, as spreadsheets show it: 45%, $1,000, 4,5."""
TRUTH = r"^(true|True|TRUE|false|False|FALSE)$"
"""Truth values as pandas, polars, pyarrow and R write them."""
TRUTH_OR_BIT = rf"{TRUTH}|^[01]$"
# fmt: off
MARKS = frozenset((
    "", ".", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "NULL", "null", "None",
    "inf", "-inf", "Inf", "-Inf",
))
# fmt: on
"""What programs write for a missing value, blanks included, or for what is no number."""
SEPARATORS = ";\t|"
"""What stands between the columns of files that are called CSV but have no commas."""
WORKING = 3
"""Times its size that a table takes while its columns are read, coded and grouped."""
SHOWN_CHARACTERS = 60
"""How much of a row a message shows."""


def read_tables(
    paths: Mapping[str, Path],
    *,
    asked: Mapping[str, Collection[str]],
    missing: Sequence[str] = (),
    settled: Collection[str] = (),
    counts: Mapping[str, str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Tables from CSV and Parquet files, whose columns have types that agree.

    Columns of a Parquet file keep their types and the order of their levels. Cells of a CSV file
    are text; empty ones are missing. A column of it has numbers, or truth values, if all its cells
    read as such and no other file that it is asked of has text there. Columns without a name are
    left out, since nothing can ask for them.

    Parameters
    ----------
    paths
        The files, by what the user knows them as.
    asked
        For each file the columns that are asked of it. Those asked of several files have the same
        type in each, and none may leave a doubt whether it has numbers.
    missing
        Further texts that mean a missing value: in every column, or as ``column=text`` in one.
    settled
        Columns whose levels the user names: a word among numbers is a level there.
    counts
        For files of cells the column of their counts: equal cells of a large Parquet file are added
        up while it is read. The number of rows that it has is in ``attrs`` then, as `ROWS`.

    Raises
    ------
    DataError
        There is no such file, or it can't be read as what its extension says; two columns have the
        same name; a row has more or fewer cells than the header; words stand among the numbers of
        a column that is asked for.
    """
    counts = {} if counts is None else counts
    files = [
        _File(argument, *_read(path, argument, missing, counts.get(argument)))
        for argument, path in paths.items()
    ]
    rows = {file.argument: file.rows for file in files}
    agreed = {file.argument: _agreed(file, files, asked, missing, settled) for file in files}
    del files  # what is converted is not to be there twice
    tables = {}
    for argument in paths:
        table, wanted = agreed.pop(argument), set(asked[argument]) - set(settled)
        is_added_up = len(table) < rows[argument]
        if b"pandas" in (table.schema.metadata or {}):
            _check_categories(table.schema, argument, wanted)
            # its levels keep their order, ordered or not
            table = _as_pandas_says(table, argument)
        tables[argument] = as_pandas(table, argument)
        if is_added_up:
            tables[argument].attrs[ROWS] = rows[argument]
        del table
        pa.default_memory_pool().release_unused()
    return tables


def _as_pandas_says(table: Any, argument: str) -> pd.DataFrame:
    """A table in the types that pandas has noted when it wrote the file."""
    try:
        frame: pd.DataFrame = table.to_pandas(self_destruct=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"`{argument}` must have columns of the types that pandas has noted in the file, got "
            f"others: {shortened(str(error))}. Save the table again."
        ) from error
    return frame


def _agreed(
    file: _File,
    files: Sequence[_File],
    asked: Mapping[str, Collection[str]],
    missing: Sequence[str],
    settled: Collection[str],
) -> Any:
    """A file's pyarrow table, with the types that its columns have in all files."""
    table = file.table
    for name in [] if file.typed else table.column_names:
        column, others = file.columns[name], []
        if name in asked[file.argument]:
            others = [
                other.columns[name]
                for other in files
                if other is not file and name in asked[other.argument]
                if name in other.columns
            ]
            if name not in settled:
                _check_words(column, others)
        same = [column, *others] if file is files[0] else [*others, column]
        kind = _common_kind(same)
        for other in others if kind == "text" else []:
            _check_spelling(other, column)
        values = _without(column.of_kind(kind), _of_column(missing, name))
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def _check_categories(schema: pa.Schema, argument: str, asked: Collection[str]) -> None:
    """Raise if pandas wrote ordered categories of numbers as plain numbers, without the order."""
    stored = json.loads(schema.metadata[b"pandas"]).get("columns", [])
    for column in stored:
        name = column.get("field_name")
        has_order = (column.get("metadata") or {}).get("ordered")
        if name not in asked or column.get("pandas_type") != "categorical" or not has_order:
            continue
        if not pa.types.is_dictionary(schema.field(name).type):
            raise DataError(
                f"`{argument}` must say the order of the levels of {name!r}, a categorical in "
                f"pandas, of which Parquet kept the numbers alone. Name them: "
                f"`--levels {shlex.quote(name)}=…`, or write them as text."
            )


# --- files ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _File:
    """A file's table as it is stored.

    Parameters
    ----------
    argument
        What the user knows it as.
    table
        A pyarrow table.
    typed
        Whether the file says what its columns are; otherwise all are text.
    rows
        How many rows the file has; the table has fewer where equal cells are added up.
    """

    argument: str
    table: Any
    typed: bool
    rows: int

    @cached_property
    def columns(self) -> dict[str, _Column]:
        """Its columns by name."""
        return {
            name: _Column(self.argument, name, values, self.typed)
            for name, values in zip(self.table.column_names, self.table.columns, strict=True)
        }


def _read(
    path: Path, argument: str, missing: Sequence[str], counts: str | None
) -> tuple[Any, bool, int]:
    """A file's pyarrow table without the values that mean missing, whether it says types, rows."""
    extension = check_source(path, argument)
    typed = extension == ".parquet"
    try:
        table = added_up(path, counts) if typed and counts is not None else None
        rows = pa.parquet.read_metadata(path).num_rows if table is not None else 0
        if table is None:
            _check_size(path, argument, typed=typed)
            table = pa.parquet.read_table(path) if typed else _csv(path.read_bytes(), argument)
            rows = len(table)
    except (DataError, RequestError):
        raise
    except (ValueError, OSError, csv.Error) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        if isinstance(error, UnicodeDecodeError) or "invalid UTF8" in said:
            said = "it is not text in UTF-8"
        raise DataError(
            f"`{argument}` must be a file that can be read as {extension}, got {str(path)!r}: "
            f"{said}. Save the table again, or correct the extension."
        ) from error
    as_pandas(pd.DataFrame(columns=table.column_names), argument)  # no name twice
    named = zip(table.columns, table.column_names, strict=True)
    columns = [_without(column, _of_column(missing, name)) for column, name in named]
    names = table.column_names
    whole = pa.table(columns, names=names).replace_schema_metadata(table.schema.metadata)
    return whole, typed, rows


def _check_size(path: Path, argument: str, *, typed: bool) -> None:
    """Raise if a file is more than the memory holds as a table, by the sizes that it declares."""
    needed, what = WORKING * path.stat().st_size, "a table of text"
    if typed:
        declared = pa.parquet.read_metadata(path)
        groups = [declared.row_group(k) for k in range(declared.num_row_groups)]
        stored = sum(group.total_byte_size for group in groups)
        # numbers and codes take 8 bytes in pandas, and a text 8 beside itself
        needed = WORKING * max(8 * declared.num_rows * declared.num_columns, stored)
        what = f"{declared.num_rows:,} rows of {declared.num_columns:,} columns"
    if needed > LARGE:
        step = "Add up cells that are equal, and leave out columns that are not needed."
        check_fits(needed, what, argument, step)


def _csv(data: bytes, argument: str) -> Any:
    """The cells of a CSV file as text, in columns named by its header."""
    if not data.endswith((b"\n", b"\r")):
        data += b"\n"
    names = _header(data, argument)
    uneven: list[Any] = []

    def uneven_row(row: Any) -> str:
        if not row.text.strip():
            return "skip"
        uneven.append(row)
        return "error"

    try:
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            # the header is read as a row: names that occur twice are refused later
            pa.csv.ReadOptions(autogenerate_column_names=True),
            pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=uneven_row),
            pa.csv.ConvertOptions(
                column_types={f"f{k}": pa.string() for k in range(len(names))},
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        if not uneven:
            raise
        raise DataError(_uneven(uneven[0], argument)) from None
    lines = data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
    if b'"' in data and (lines > len(table) or str(table.columns[-1][-1]).endswith("\n")):
        _check_quotes(data)
    assert [column[0].as_py() or "" for column in table.columns] == names  # two readers agree
    table = table.slice(1)
    named = [k for k, name in enumerate(names) if name]
    return table.select(named).rename_columns([names[k] for k in named])


def _lines(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")


def _header(data: bytes, argument: str) -> list[str]:
    names = next((row for row in csv.reader(_lines(data)) if row), None)
    if names is None:
        raise ValueError("it has no header")
    separator = next((mark for mark in SEPARATORS if mark in names[0]), None)
    if len(names) == 1 and separator is not None:
        raise DataError(
            f"`{argument}` must have commas between its columns, got {separator!r} in its header "
            f"{names[0][:SHOWN_CHARACTERS]!r}. Save it with commas, and with points in decimal "
            f"numbers."
        )
    return names


def _uneven(row: Any, argument: str) -> str:
    text = row.text.strip("\r\n")
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
    return (
        f"`{argument}` must have as many cells in each row as in its header "
        f"({row.expected_columns}), got {row.actual_columns} in the row {shown!r}. Put quotes "
        f"around cells with a comma in them, and write the commas of empty cells."
    )


def _check_quotes(data: bytes) -> None:
    """Raise if a quote is not closed: the rows up to the next one would become one cell.

    Needed only where a cell has several lines; takes a second for a million rows.
    """
    rows = csv.reader(_lines(data), strict=True)
    try:
        for _ in rows:
            pass
    except csv.Error:
        raise ValueError(f"a quote is not closed before line {rows.line_num}") from None


# --- columns --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    """A column of a file.

    Parameters
    ----------
    argument, name
        What the user knows the file and the column as.
    values
        Its values, a pyarrow array.
    typed
        Whether the file says what it is; otherwise it is text.
    """

    argument: str
    name: str
    values: Any
    typed: bool

    @cached_property
    def distinct(self) -> Any:
        """Its different values as text, without blanks around them."""
        if pa.types.is_nested(self.values.type):
            return pa.array([], pa.large_string())
        texts = self.values.unique().drop_null().cast(pa.large_string())
        return pc.utf8_trim_whitespace(texts)

    @cached_property
    def kind(self) -> Kind:
        """What it is by itself."""
        if self.typed:
            return _kind_of_type(self.values.type)
        if not len(self.distinct):
            return "nothing"
        if _all(self.distinct, PLAIN):
            return "number"
        return "boolean" if _all(self.distinct, TRUTH) else "text"

    def of_kind(self, kind: Kind) -> Any:
        """Values of that kind if all can be; of the kind that the column has by itself if not."""
        if kind == "text":
            return self.values
        if kind in ("number", "nothing") and _all(self.distinct, NUMBER):
            return _numbers(self.values)
        if kind == "boolean" and _all(self.distinct, TRUTH_OR_BIT):
            return _truth_values(self.values)
        return self.of_kind(self.kind)

    def among(self, texts: Collection[str]) -> list[str]:
        """Those of the texts that it has, sorted."""
        found = self.distinct.filter(pc.is_in(self.distinct, pa.array(sorted(texts))))
        return sorted(set(found.to_pylist()))

    def count(self, texts: Collection[str]) -> int:
        """Rows that have one of the texts."""
        found = pc.is_in(pc.utf8_trim_whitespace(self.values), pa.array(sorted(texts)))
        return int(pc.sum(found).as_py())


def _kind_of_type(stored: Any) -> Kind:
    if pa.types.is_dictionary(stored):
        return _kind_of_type(stored.value_type)
    if pa.types.is_boolean(stored):
        return "boolean"
    if pa.types.is_integer(stored) or pa.types.is_floating(stored) or pa.types.is_decimal(stored):
        return "number"
    if pa.types.is_null(stored):
        return "nothing"
    return "text" if _is_text(stored) else "other"


def _is_text(stored: Any) -> bool:
    return bool(
        pa.types.is_string(stored)
        or pa.types.is_large_string(stored)
        or pa.types.is_string_view(stored)
    )


def _common_kind(same: Sequence[_Column]) -> Kind:
    """What a column is to be that one file has as text, given those of all files in order."""
    said = [other.kind for other in same if other.typed and other.kind not in ("nothing", "other")]
    if said:
        return said[0]
    kinds = [other.kind for other in same if not other.typed and other.kind != "nothing"]
    return "text" if "text" in kinds else next(iter(kinds), "nothing")


def _all(texts: Any, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py())


def _numbers(texts: Any) -> Any:
    """Whole numbers if all are, decimal numbers otherwise."""
    unsigned = pc.replace_substring_regex(pc.utf8_trim_whitespace(texts), r"^\+", "")
    try:
        return pc.cast(unsigned, pa.int64())
    except pa.ArrowInvalid:
        return pc.cast(unsigned, pa.float64())


def _truth_values(texts: Any) -> Any:
    true = pc.is_in(pc.utf8_trim_whitespace(texts), pa.array(["true", "True", "TRUE", "1"]))
    return pc.if_else(pc.is_valid(texts), true, pa.scalar(None, pa.bool_()))


def _of_column(missing: Sequence[str], name: str) -> list[str]:
    """Texts that mean missing in a column: those of all columns, and its own ``column=text``.

    Examples
    --------
    >>> _of_column(["-9", "vote=NA", "state=XX"], "vote")
    ['-9', 'NA']
    """
    own = [text.removeprefix(f"{name}=") for text in missing if text.startswith(f"{name}=")]
    return [*(text for text in missing if "=" not in text), *own]


def _without(values: Any, missing: Sequence[str]) -> Any:
    """Values of a column without those that mean missing: numbers by value, texts bar blanks."""
    if not missing:
        return values
    stored = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if _is_text(stored):
        wanted = pa.array([text.strip() for text in missing], pa.large_string())
        comparable = pc.utf8_trim_whitespace(values.cast(stored).cast(wanted.type))
    elif _kind_of_type(stored) == "number":
        numbers = [float(text) for text in missing if re.match(NUMBER, text)]
        wanted = pa.array(numbers, pa.float64())
        comparable = values.cast(stored).cast(wanted.type, safe=False)
    else:
        return values
    found = pc.is_in(comparable, wanted)
    if pa.types.is_dictionary(values.type):
        chunks = zip(values.chunks, found.chunks, strict=True)
        return pa.chunked_array([_coded(*chunk) for chunk in chunks], values.type)
    return pc.if_else(found, pa.scalar(None, values.type), values)


def _coded(values: Any, missing: Any) -> Any:
    """A dictionary array with some values missing; its levels and their order stay."""
    codes = pc.if_else(missing, pa.scalar(None, values.indices.type), values.indices)
    return pa.DictionaryArray.from_arrays(codes, values.dictionary, ordered=values.type.ordered)


# --- doubts ---------------------------------------------------------------------------------------


def _check_words(column: _Column, others: Sequence[_Column]) -> None:
    """Refuse words among numbers, and say which ones are taken for levels.

    Parameters
    ----------
    column
        A column of text that is asked for.
    others
        Those of the same name in other files, if they are asked for.
    """
    if column.kind != "text":
        return
    for other in others:
        if other.typed and other.kind == "number":
            _check_numbers_alone(column, other)
    marks = column.among(MARKS)
    if not marks or any(other.typed and other.kind in ("number", "text") for other in others):
        return
    same = [column, *(other for other in others if not other.typed)]
    got = f"{listing(marks)} in {column.count(marks)} rows of {column.name!r}"
    option = _option(column, marks[0])
    rest = {text for each in same for text in each.distinct.to_pylist()} - MARKS
    if rest and any(_all(pa.array(sorted(rest)), pattern) for pattern in (PLAIN, TRUTH)):
        raise DataError(
            f"`{column.argument}` must have no words among numbers or truth values, got {got}. If "
            f"that means missing, pass {option}; if it is a level, name all of them: "
            f"`--levels {shlex.quote(column.name)}=…`."
        )
    if len(same) == 1 or any(each.among(marks) != marks for each in same):
        warn(
            f"`{column.argument}` has {got}: a level like any other. If it means missing, pass "
            f"{option}.",
            FrameWarning,
        )


def _option(column: _Column, text: str) -> str:
    """How to say that a text means missing in a column, and there alone."""
    return f"`--missing {shlex.quote(f'{column.name}={text}')}`"


def _check_numbers_alone(column: _Column, other: _Column) -> None:
    """Raise if a column of text has words where another file has numbers."""
    matches = pc.match_substring_regex(column.distinct, NUMBER)
    words = sorted(column.distinct.filter(pc.invert(matches)).to_pylist())
    if words:
        raise DataError(
            f"`{column.argument}` must have numbers in {column.name!r}, as `{other.argument}` has, "
            f"got {listing(words)} in {column.count(words)} rows. Write the same values in both "
            f"files, or name what means missing: {_option(column, words[0])}."
        )


def _check_spelling(other: _Column, column: _Column) -> None:
    """Raise if a level of one file is the same number in the other, but written otherwise."""
    if other.kind not in ("number", "text"):
        return
    ours, theirs = (set(each.distinct.to_pylist()) for each in (column, other))
    written = {_plainly(text): text for text in sorted(theirs - ours)}
    alone = [(text, _plainly(text)) for text in sorted(ours - theirs)]
    pairs = [(text, written[plain]) for text, plain in alone if plain and plain in written]
    if pairs:
        raise DataError(
            f"`{column.argument}` must write levels of {column.name!r} as `{other.argument}` does, "
            f"got {listing(text for text, _ in pairs)} for {listing(text for _, text in pairs)}. "
            f"Write each number in the same way in both files."
        )


def _plainly(text: str) -> str:
    """A whole number without zeros in front, sign and decimals; nothing for other texts."""
    found = re.fullmatch(r"\+?0*([0-9]+)(\.0*)?", text)
    return found[1] if found else ""


def warn_of_number_like(design: Design, argument: str, settled: Collection[str] = ()) -> None:
    """Warn of levels, read from a CSV file, that most people would take for numbers.

    Parameters
    ----------
    design
        What the formula learned from the file.
    argument
        What the user knows the file as.
    settled
        Columns whose levels the user names.
    """
    for component in design.components.values():
        name = component.source
        if not isinstance(component, Categorical) or name in settled:
            continue
        if name not in design.columns or component.name not in design.population_components:
            continue
        levels = [str(level) for level in component.levels if isinstance(level, str)]
        if 2 * sum(bool(re.fullmatch(LOOSE, level)) for level in levels) <= len(levels):
            continue
        odd = [level for level in levels if not re.match(PLAIN, level)]
        reason = f"because of {listing(odd)}" if odd else "because the other file has text there"
        warn(
            f"`{argument}` has text in {name!r} that looks like numbers, {reason}: each is a level "
            f"with an effect of its own. If numbers are meant, write plain ones in both files; if "
            f"levels are meant, name them: `--levels {shlex.quote(name)}=…`.",
            FrameWarning,
        )
