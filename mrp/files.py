"""Files of tables: which can be read and written, and results written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from mrp.errors import DataError, RequestError, closest, listing

EXTENSIONS = (".csv", ".parquet")
"""Kinds of file that tables are read from and written to."""


def check_source(path: Path, argument: str) -> str:
    """The extension of a file to read, in lower case.

    Raises
    ------
    DataError
        There is no such file.
    RequestError
        Its extension is not one that tables have.
    """
    extension = extension_of(path, argument)
    if not path.is_file():
        raise DataError(_no_such_file(path, argument))
    return extension


def extension_of(path: Path, argument: str) -> str:
    """The file's extension in lower case.

    Raises
    ------
    RequestError
        It is not one that tables have.
    """
    extension = path.suffix.lower()
    if extension not in EXTENSIONS:
        raise RequestError(
            f"`{argument}` must be a file with a known extension, got {str(path)!r}. "
            f"Available: {listing(EXTENSIONS)}."
        )
    return extension


def _no_such_file(path: Path, argument: str) -> str:
    message = f"`{argument}` must be a file that exists, got {str(path)!r}."
    if not path.parent.is_dir():
        return f"{message} There is no folder {str(path.parent)!r}."
    tables = [item.name for item in path.parent.iterdir() if item.suffix.lower() in EXTENSIONS]
    near = closest(path.name, sorted(tables))
    return message if near is None else f"{message} Did you mean {str(path.parent / near)!r}?"


def check_targets(targets: Mapping[str, Path | None], *, sources: Sequence[Path]) -> None:
    """Raise unless files can be written there, by the name of the argument that asks for them.

    Raises
    ------
    RequestError
        One is a folder, is a file that is read, or is asked for twice; or its folder does not
        exist or may not be written to.
    """
    taken = {source.resolve(): "is read" for source in sources}
    for argument, path in targets.items():
        if path is None:
            continue
        if path.is_dir():
            raise RequestError(f"`{argument}` must name a file, got the folder {str(path)!r}.")
        if path.resolve() in taken:
            raise RequestError(
                f"`{argument}` must be a file of its own, got {str(path)!r}, which "
                f"{taken[path.resolve()]}. Choose another name."
            )
        _check_folder(path.parent, argument)
        taken[path.resolve()] = f"is `{argument}`"


def _check_folder(folder: Path, argument: str) -> None:
    if not folder.is_dir():
        raise RequestError(
            f"`{argument}` must be in a folder that exists, got {str(folder)!r}. Create it."
        )
    if not os.access(folder, os.W_OK):
        raise RequestError(
            f"`{argument}` must be in a folder that can be written to, got {str(folder)!r}. "
            f"Choose another one."
        )


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as what the extension says; an older file is replaced by the complete one."""
    with complete(path) as part:
        if path.suffix.lower() == ".parquet":
            table.to_parquet(part, index=False)
        else:
            table.to_csv(part, index=False)
    return path


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which becomes `path` when it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
