"""Functions as machine code, which is kept from one process to the next where there is a place.

numba's cache takes what it has for fresh as long as the file of a function is the same, whatever
the function calls. What is kept here goes with the text of every file in this folder. And a cache
is never needed: where none can be written or read, functions are compiled anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache, InTreeCacheLocator
from numba.core.ccallback import CFunc

from mrp.errors import EngineWarning, warn_once

ADVICE = "Set the environment variable NUMBA_CACHE_DIR to a folder that can be written to"
NOT_KEPT = (
    f"Compiled code can't be kept, so that every process compiles for some seconds: no folder can "
    f"be written to, or the disk is full. {ADVICE}."
)


def _sources() -> str:
    """What tells the text of this folder's files from any other."""
    digest = hashlib.sha256()
    for file in sorted(files(__package__).iterdir(), key=lambda file: file.name):
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

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What is kept; None if there is nothing, or nothing that can be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a file that is cut off may raise anything
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep this, unless the disk is full or the like."""
        try:
            super().save_overload(sig, data)
        except Exception:
            warn_once(NOT_KEPT, EngineWarning)


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
