"""The file of one finished survey: it says what it is, and is taken for nothing else."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mrp.errors import RequestError
from mrp.files import complete
from mrp.recovery.estimands import Names
from mrp.recovery.refits import COLUMNS, NUMBERS, typed

FORMAT = 3
"""Version of the files; what is of another version is made again."""
KEY = b"mrp recovery"
"""Key of the parquet file's own text about what it is."""
MOST_TEXT = 2**30
"""Bytes that a survey's columns may have when they are read."""


class UnfitError(Exception):
    """A file that is not that of a survey, and why."""


@dataclass(frozen=True)
class Survey:
    """What the file of a survey must be.

    Parameters
    ----------
    number
        Of the survey.
    request
        Tells the request from all others.
    labels
        Of its estimates.
    """

    number: int
    request: str
    labels: Names

    def write(self, file: Path, rows: pd.DataFrame) -> None:
        """Write the rows, whole or not at all; a RequestError if that can't be done."""
        about = {**self._about, "digest": _digest(rows)}
        table = pa.Table.from_pandas(rows, preserve_index=False)
        table = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), KEY: json.dumps(about).encode()}
        )
        bytes_ = pa.BufferOutputStream()
        pq.write_table(table, bytes_)
        with complete(file) as new:
            new.write(bytes_.getvalue())

    def read(self, file: Path) -> pd.DataFrame | None:
        """The rows; None where there is no file.

        Raises
        ------
        UnfitError
            It is not what it must be; it is then made again.
        RequestError
            It is no file, so that it can't be replaced by one.
        """
        try:
            found = file.lstat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise RequestError(
                f"`path` must have files of surveys, got {str(file)!r}, which is no file. Remove "
                f"it."
            )
        try:
            return self._checked(file)
        except (UnfitError, MemoryError):
            raise
        except Exception as error:  # whatever bytes of another kind make the reader say
            raise UnfitError("can't be read") from error

    @property
    def _about(self) -> dict[str, object]:
        return {"format": FORMAT, "request": self.request, "number": self.number}

    def _checked(self, file: Path) -> pd.DataFrame:
        with pq.ParquetFile(file) as parquet:
            about = json.loads((parquet.schema_arrow.metadata or {}).get(KEY, b"{}"))
            self._check_about(about)
            pairs = [(name, label) for name, own in self.labels.items() for label in own]
            groups = range(parquet.metadata.num_row_groups)
            size = sum(parquet.metadata.row_group(k).total_byte_size for k in groups)
            if parquet.metadata.num_rows != len(pairs) or size > MOST_TEXT:
                raise UnfitError(f"has {parquet.metadata.num_rows:,} of {len(pairs):,} rows")
            if tuple(parquet.schema_arrow.names) != COLUMNS:
                raise UnfitError("has other columns")
            rows = typed(parquet.read(use_threads=False).to_pandas())
        if list(zip(rows["estimand"], rows["label"], strict=True)) != pairs:
            raise UnfitError("has other labels")
        if (rows["survey"] != self.number).any() or about["digest"] != _digest(rows):
            raise UnfitError("was changed")
        return rows

    def _check_about(self, about: dict[str, object]) -> None:
        """Raise unless what a file says of itself is this survey."""
        if not about:
            raise UnfitError("doesn't say what it is")
        says: dict[str, Callable[[object], str]] = {
            "format": lambda of: f"has the format {of!r}",
            "request": lambda _: "is of another request",
            "number": lambda of: f"is that of survey {of!r}",
        }
        for name, expected in self._about.items():
            if about.get(name) != expected:
                raise UnfitError(says[name](about.get(name))[:60])


def _digest(rows: pd.DataFrame) -> str:
    """A text that differs where any value does."""
    digest = hashlib.sha256()
    for name in COLUMNS:
        column = rows[name]
        if name in NUMBERS or name == "survey":
            digest.update(column.to_numpy().tobytes())
        else:
            texts = [None if pd.isna(text) else str(text) for text in column]
            digest.update(json.dumps(texts).encode())
    return digest.hexdigest()
