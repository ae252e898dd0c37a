"""Files: which can be read and written, and one way to write them, whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from mrp.errors import DataError, MRPError, RequestError, closest, listing, shortened

try:
    import fcntl
except ImportError:  # Windows has no such locks: nothing is swept there
    fcntl = None  # type: ignore[assignment]

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


def path_of(value: object, argument: str, raises: type[MRPError] = RequestError) -> Path:
    """The path that an argument names: text, or what stands for a path.

    Raises
    ------
    MRPError
        Of the type that is named: it is empty, or something else.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise raises(
            f"`{argument}` must be the name of a file, as text or as a Path, got "
            f"{type(value).__name__} ({shortened(repr(value))}). Write a name: 'fit.nc'."
        )
    if text.endswith(("/", os.sep)):
        raise raises(
            f"`{argument}` must be the name of a file, got the folder {shortened(text)!r}."
        )
    if not text or "\0" in text:
        got = "a text with the character NUL" if text else "an empty text"
        raise raises(f"`{argument}` must be the name of a file, got {got}. Write a name: 'fit.nc'.")
    return Path(text)


def check_targets(targets: Mapping[str, Path | None], *, sources: Sequence[Path]) -> None:
    """Raise unless files can be written there, by the name of the argument that asks for them.

    Raises
    ------
    RequestError
        One is no file, is a file that is read, or is asked for twice; or its name is too long, or
        its folder does not exist or may not be written to.
    """
    taken = {source.resolve(): "is read" for source in sources}
    for argument, path in targets.items():
        if path is None:
            continue
        target = check_target(path, argument)
        if target in taken:
            raise RequestError(
                f"`{argument}` must be a file of its own, got {str(path)!r}, which "
                f"{taken[target]}. Choose another name."
            )
        taken[target] = f"is `{argument}`"


def check_target(
    path: Path, argument: str, raises: type[MRPError] = RequestError, *, example: str | None = None
) -> Path:
    """Raise unless a file can be written there: a new one, or in place of another file.

    Parameters
    ----------
    path, argument
        What may be written, and what messages call it.
    raises
        The type of error.
    example
        A name that a file in a folder could have.

    Returns
    -------
    The file itself, where `path` is a link to it: the link stays.

    Raises
    ------
    MRPError
        Of the type that is named.
    """
    try:
        target = Path(os.path.realpath(path))
        there = _there(target)
    except (OSError, ValueError) as error:
        raise raises(_not_written(path, argument, error, is_there=False)) from error
    if there is not None and stat.S_ISDIR(there.st_mode):
        step = "" if example is None else f" Add a name: {str(path / example)!r}."
        raise raises(f"`{argument}` must name a file, got the folder {str(path)!r}.{step}")
    if there is not None and not stat.S_ISREG(there.st_mode):
        raise raises(
            f"`{argument}` must name a file, got {str(path)!r}, which is {_kind(there.st_mode)}. "
            f"Choose another name."
        )
    folder = target.parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        raise raises(
            f"`{argument}` must be in a folder that exists, got {str(folder)!r}. Create it."
        )
    if not os.access(folder, os.W_OK):
        raise raises(
            f"`{argument}` must be in a folder that can be written to, got {str(folder)!r}. "
            f"Choose another one."
        )
    if there is not None and not os.access(target, os.W_OK):
        raise raises(
            f"`{argument}` must name a file that may be written to, got {str(path)!r}, which is "
            f"protected. Choose another name, or change its permissions."
        )
    return target


def _there(target: Path) -> os.stat_result | None:
    """What is there now."""
    try:
        return target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


# --- writing --------------------------------------------------------------------------------------


def write_table(table: pd.DataFrame, path: Path, argument: str = "path") -> Path:
    """Write a table as what the extension says; an older file is replaced by the complete one.

    Raises
    ------
    RequestError
        The file can't be written.
    """
    with complete(path, argument) as file:
        put_table(table, path, file)
    return path


def put_table(table: pd.DataFrame, path: Path, file: BinaryIO) -> None:
    """Write a table to an open file, as what the extension of a path says."""
    if path.suffix.lower() == ".parquet":
        file.write(parquet_of(table))
    else:
        table.to_csv(file, index=False)


def parquet_of(table: pd.DataFrame) -> memoryview:
    """A table as the bytes of a parquet file, without its index."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getbuffer()


@contextmanager
def complete(
    path: Path, argument: str = "path", raises: type[MRPError] = RequestError
) -> Iterator[BinaryIO]:
    """A file to write bytes to, which becomes `path` once all of them are on the disk.

    It is beside `path`, under a random name, and locked as long as it is written. Whatever fails,
    an older file stays as it was and the new one is gone. Of a process that was killed it stays:
    the next one that writes into the folder removes it.

    Parameters
    ----------
    path
        A file, or a link to one.
    argument
        What messages call it.
    raises
        The type of error.

    Raises
    ------
    MRPError
        Of that type: the file can't be written.
    """
    target = check_target(path, argument, raises)
    there = _there(target)
    try:
        with suppress(OSError):  # a folder that can be written to, but not listed
            _sweep(target.parent)
        part, file = _begun(target, 0o666 if there is None else stat.S_IMODE(there.st_mode) & 0o777)
        try:
            if there is not None:
                _permit(file, there)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:  # Windows renames no file that is open
                file.close()
            part.replace(target)
        finally:
            for clean in (file.close, part.unlink):  # the name is gone if all went well
                with suppress(OSError):
                    clean()
    except OSError as error:
        raise raises(_not_written(path, argument, error, is_there=there is not None)) from error


_PART = re.compile(r"\..{1,32}\.mrp-[0-9a-f]{16}\.part", re.DOTALL)
"""Names of files that are being written."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_OLD = os.O_RDWR
_SAFE = sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "CLOEXEC", "NONBLOCK", "BINARY"))
"""No link is followed, no pipe waited for, and no child process gets the file."""
_TRIES = 100


def _begun(target: Path, mode: int) -> tuple[Path, BinaryIO]:
    """A new file beside the target, and locked, so that nobody takes it for an abandoned one."""
    for _ in range(_TRIES):
        part = target.with_name(f".{target.name[:32]}.mrp-{secrets.token_hex(8)}.part")
        number = os.open(part, _NEW | _SAFE, mode)
        if _is_ours(number, part):
            return part, os.fdopen(number, "wb")
        os.close(number)  # someone swept the folder before it was locked
        part.unlink(missing_ok=True)
    raise OSError(errno.EBUSY, "Other processes remove every new file")


def _is_ours(number: int, part: Path) -> bool:
    """Whether an open file could be locked and still has its name."""
    if fcntl is not None:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # this kind of disk has no locks: nobody else gets one either
            pass
    try:
        return os.path.samestat(os.fstat(number), part.lstat())
    except FileNotFoundError:
        return False


def _permit(file: BinaryIO, older: os.stat_result) -> None:
    """Let those read the new file who could read the older one; some disks know no permissions."""
    if hasattr(os, "fchmod"):
        with suppress(OSError):
            os.fchmod(file.fileno(), stat.S_IMODE(older.st_mode) & 0o777)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed have left in a folder."""
    if fcntl is None:
        return
    with os.scandir(folder) as items:
        parts = [
            Path(item.path)
            for item in items
            if _PART.fullmatch(item.name) and item.is_file(follow_symlinks=False)
        ]
    for part in parts:
        with suppress(OSError):
            _remove_abandoned(part)


def _remove_abandoned(part: Path) -> None:
    """Remove a file that nobody holds a lock on."""
    number = os.open(part, _OLD | _SAFE)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(number), part.lstat()):
            part.unlink()
    finally:
        os.close(number)


_FULL = tuple(getattr(errno, name, errno.ENOSPC) for name in ("ENOSPC", "EDQUOT", "EFBIG"))


def _not_written(path: Path, argument: str, error: OSError | ValueError, *, is_there: bool) -> str:
    number = error.errno if isinstance(error, OSError) else None
    steps = {
        **dict.fromkeys(_FULL, "Free some space, or choose another place."),
        errno.ENAMETOOLONG: "Choose a shorter name.",
        errno.ENOENT: "Create its folder, or choose another place.",
    }
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    kept = "The older file is as it was." if is_there else "There is no new file."
    return (
        f"`{argument}` must be a file that can be written, got {shortened(str(path))!r}: {said}. "
        f"{kept} {steps.get(number, 'Choose another place.')}"
    )
