"""What a process does besides computing: any process, connection or file is an offence.

Python tells audit hooks of such events before they happen (PEP 578). A hook can't be taken off
again, so that whatever is watched runs in a process of its own.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"),
    *("subprocess.Popen", "os.kill", "os.putenv", "os.chmod", "os.chown", "os.link", "os.symlink"),
    *("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.rmtree"),
    *("pickle.find_class", "ctypes.dlopen", "ctypes.call_function", "mmap.__new__"),
)
"""Events that nothing here has a reason for."""
FAMILIES = (
    "socket.",
    "urllib.",
    "http.",
    "ftplib.",
    "smtplib.",
    "imaplib.",
    "shutil.",
    "webbrowser.",
)
"""Beginnings of others."""
LIBRARIES = tuple(
    os.path.realpath(path)
    for path in {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, Path.cwd()}
)
SYSTEM = ("/proc/", "/sys/", "/etc/localtime", "/usr/share/zoneinfo/")
"""Files of the system that are read to know how much memory is free, or what time it is."""


class Offence(BaseException):
    """Something that must not happen; no `except Exception` hides it."""


_armed = False
_seen: Counter[str] = Counter()
_readable: list[str] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _armed and (offence := _offence(event, arguments)):
        _seen[offence] += 1
        raise Offence(offence)


def _offence(event: str, arguments: tuple[Any, ...]) -> str | None:
    if event in FORBIDDEN or event.startswith(FAMILIES):
        return f"{event}{arguments!r}"[:200]
    if event == "open":
        path, mode, flags = arguments
        writes = any(mark in (mode or "") for mark in "wax+") or bool(
            (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if writes or not _is_ours(path):
            return f"open({path!r}, {mode!r})"
    if event == "exec" and not _of_a_library(arguments[0]):
        return f"exec({arguments[0]!r})"
    return None


def _is_ours(path: Any) -> bool:
    """Whether a file is one that may be read."""
    if isinstance(path, int):
        return True
    real = os.path.realpath(os.fsdecode(path))
    return real.startswith((*LIBRARIES, *SYSTEM)) or real in _readable


def _of_a_library(code: Any) -> bool:
    """Whether code is that of a module that is imported, or that dataclasses and the like make."""
    return isinstance(code, CodeType) and (
        code.co_filename.startswith(("<frozen", *LIBRARIES)) or code.co_filename == "<string>"
    )


sys.addaudithook(_hook)


@contextmanager
def watched(*readable: str) -> Iterator[Counter[str]]:
    """Forbid processes, connections, files and foreign code; count what is tried all the same.

    Parameters
    ----------
    readable
        Files that may be read besides those of libraries.
    """
    global _armed
    _readable[:] = map(os.path.realpath, readable)
    _seen.clear()
    _armed = True
    try:
        yield _seen
    finally:
        _armed = False
