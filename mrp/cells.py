"""Cells of a large Parquet file: equal ones add up while they are read, some rows at a time.

A frame of tens of millions of cells often has few different ones. Added up first, they take the
memory of those few, and their averages are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = "mrp: rows of the file"
"""In `attrs` of a table whose equal cells are added up: how many rows its file has."""
FROM = 2_000_000
"""Rows from which a file is read in this way; smaller ones are read as they are."""
AT_ONCE = 2**20
"""Rows that are read at a time."""
WORTH = 0.5
"""Share of different cells among the first rows, up to which it is worth the time."""
EXACT = 2**62
"""Sums of whole numbers stay below."""


def added_up(path: Path, counts: str) -> pa.Table | None:
    """A file's cells, each different one once, with the sum of the counts of those that are equal.

    Parameters
    ----------
    path
        A Parquet file.
    counts
        The column that adds up; cells are equal where all others are.

    Returns
    -------
    The table, in the order in which the cells appear. None where the file is to be read as it is:
    it is small, most of its cells are different, or there is something wrong with its counts that
    has to be told by rows.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    names = schema.names
    if file.metadata.num_rows < FROM or not _can_add_up(schema, counts):
        return None
    parts: list[Any] = []
    total = 0.0
    for batch in file.iter_batches(AT_ONCE):
        found = _range(batch.column(names.index(counts)))
        if found is None:
            return None
        total += found * batch.num_rows
        part = _sums(_table([batch]), names, counts)
        if total >= EXACT or (not parts and len(part) > WORTH * batch.num_rows):
            return None
        parts.append(part)
        if sum(map(len, parts)) > max(AT_ONCE, 2 * len(parts[0])):
            parts = [_sums(_joined(parts), names, counts)]
    return _sums(_joined(parts), names, counts).replace_schema_metadata(schema.metadata)


def _can_add_up(schema: pa.Schema, counts: str) -> bool:
    """Whether the counts are numbers and the other columns of types that can be compared."""
    import pyarrow.types as types

    names = schema.names
    if counts not in names or len(set(names)) < len(names):
        return False
    kind = schema.field(counts).type
    nested = any(types.is_nested(field.type) or types.is_null(field.type) for field in schema)
    return not nested and (types.is_integer(kind) or types.is_floating(kind)) and len(names) > 1


def _range(counts: pa.Array) -> float | None:
    """The largest count; None if one is missing, negative or no number."""
    import pyarrow.compute as pc

    if counts.null_count:
        return None
    numbers = pc.cast(counts, "float64", safe=False)
    least, most = (pc.min_max(numbers)[key].as_py() for key in ("min", "max"))
    if least is None or not 0 <= least <= most < float("inf") or pc.any(pc.is_nan(numbers)).as_py():
        return None
    return float(most)


def _sums(table: pa.Table, names: list[str], counts: str) -> pa.Table:
    """The different cells of a table, in the order in which they appear."""
    keys = [name for name in names if name != counts]
    # one thread: the order, and so the last digit of sums, is the same each time
    grouped = table.group_by(keys, use_threads=False).aggregate([(counts, "sum")])
    return grouped.rename_columns([*keys, counts]).select(names)


def _table(batches: list[Any]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches(batches)


def _joined(tables: list[Any]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables).unify_dictionaries()
