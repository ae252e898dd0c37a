"""Functions as machine code, which is kept from one process to the next where there is a place.

numba's cache takes what it has for fresh as long as the file of a function is the same, whatever
the function calls. What is kept here goes with the text of every file in this folder. It is as it
was written, by a user who may: whatever else is there is not read, since a changed bit of machine
code computes other numbers. And a cache is never needed: where none can be written or read,
functions are compiled anew.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import os
import pickle
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    InTreeCacheLocator,
)
from numba.core.ccallback import CFunc

from mrp.errors import EngineWarning, warn_once

ABANDONED = 60
"""Seconds after which a file that is still being written is not: they are small."""
ADVICE = "Set the environment variable NUMBA_CACHE_DIR to a folder that can be written to"
NOT_KEPT = (
    f"Compiled code can't be kept, so that every process compiles for some seconds: no folder can "
    f"be written to, or the disk is full. {ADVICE}."
)


def _sources() -> str:
    """What tells the text of this folder's files, and of those of its folders, from any other."""
    digest = hashlib.sha256()
    for folder in (files(__package__), files(__package__) / "stages"):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".py"):
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


SOURCES = _sources()
"""Of the files as they were imported: what is compiled later is compiled from those."""


def compiled(signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator that compiles a function to a C function, as `numba.cfunc` does.

    Parameters
    ----------
    signature
        Types of the result and the arguments, as ``types.double(types.int64)``.
    options
        Those of `numba.cfunc`.
    """

    def compile_(function: Callable[..., Any]) -> Any:
        code = _Code(function, (signature.args, signature.return_type), {}, options)
        code.enable_caching()
        code.compile()
        return code

    return compile_


class _Code(CFunc):
    """A C function that is compiled anew where it can't be kept."""

    _pyfunc: Callable[..., Any]

    def enable_caching(self) -> None:
        """Look for what is kept, and keep what is compiled."""
        try:
            self._cache = _Cache(self._pyfunc)
        except (OSError, RuntimeError):
            warn_once(NOT_KEPT, EngineWarning)


class _Places(CompileResultCacheImpl):
    """The folders that numba tries, and one more; files are named by what they are compiled from.

    So no file is ever taken for that of other sources, even if writing it was cut short.
    """

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        """Beginning of the names of a function's files."""
        return f"{super().get_filename_base(fullname, abiflags)}-{SOURCES[:16]}"


class _Cache(FunctionCache):
    """numba's cache of a function, fresh as long as no file of this folder changes."""

    _impl_class = _Places

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _Files(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What is kept; None if there is nothing, or nothing that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # whatever reading, unpickling and linking may raise
            self._say_unusable(error)
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep this, unless the disk is full or the like."""
        try:
            super().save_overload(sig, data)
        except Exception:
            warn_once(NOT_KEPT, EngineWarning)

    def _say_unusable(self, error: Exception) -> None:
        said = str(error) if isinstance(error, _Unusable) else f"can't be read ({error})"
        warn_once(
            f"Compiled code in {str(self._cache_path)!r} is compiled anew, since a file {said}. If "
            f"this is said again, remove the folder.",
            EngineWarning,
        )


class _Unusable(Exception):
    """A file of compiled code that is not taken, and why."""


class _Files(IndexDataCacheFile):
    """The files of a function, each with a digest of its name and what is in it."""

    _index_path: str
    _version: str
    _source_stamp: Any

    def _load_index(self) -> dict[Any, str]:
        """Names of the files with code by signature and machine."""
        try:
            data = io.BytesIO(_read(self._index_path))
        except FileNotFoundError:
            return {}
        version, rest = pickle.load(data), data.read()
        if version != self._version:  # the rest may be written in another way
            return {}
        stamp, names = pickle.loads(rest)
        return names if stamp == self._source_stamp else {}

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_read(self._data_path(name)))

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        buffer = io.BytesIO()
        yield buffer
        _sweep(Path(filepath))
        with super()._open_for_write(filepath) as file:
            file.write(_digest(filepath, buffer.getvalue()) + buffer.getvalue())


def _sweep(file: Path) -> None:
    """Remove what processes that were killed while they wrote a file have left beside it."""
    for part in file.parent.glob(f"{glob.escape(file.name)}.tmp.*"):
        with contextlib.suppress(OSError):
            if time.time() - part.lstat().st_mtime > ABANDONED:
                part.unlink()


def _read(path: str) -> bytes:
    """What was written to a file, unless it is not as this user's package left it."""
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or not _may_have_written(found):
            raise _Unusable("may be from somebody else")
        digest, data = file.read(hashlib.sha256().digest_size), file.read()
    if digest != _digest(path, data):
        raise _Unusable("is damaged")
    return data


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe, too, is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _may_have_written(found: os.stat_result) -> bool:
    """Whether a file is of this user, the system, or whoever installed the package."""
    if not hasattr(os, "getuid"):
        return True
    owners = {os.getuid(), 0, Path(__file__).stat().st_uid}
    return found.st_uid in owners and not found.st_mode & stat.S_IWOTH


def _digest(path: str, data: bytes) -> bytes:
    return hashlib.sha256(Path(path).name.encode() + b"\0" + data).digest()


class _Temporary(InTreeCacheLocator):
    """Where nothing else can be written to: a folder among the temporary files."""

    _py_file: str

    def get_cache_path(self) -> str:
        """The folder; an OSError where there is none."""
        folder = _own_folder()
        warn_once(
            f"Compiled code is kept in {str(folder)!r} for now, since neither the package's folder "
            f"nor a cache of the user's can be written to. {ADVICE}, and it stays there.",
            EngineWarning,
        )
        return str(folder / self.get_suitable_cache_subpath(self._py_file))


_Places._locator_classes = [*CompileResultCacheImpl._locator_classes, _Temporary]


def _own_folder() -> Path:
    """A folder among the temporary files that no other user can write to."""
    user = os.getuid() if hasattr(os, "getuid") else 0  # Windows has such files by user anyway
    folder = Path(tempfile.gettempdir()) / f"mrp-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH if hasattr(os, "getuid") else 0
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & others:
        raise PermissionError(f"{str(folder)!r} is not a folder of this user alone")
    return folder
