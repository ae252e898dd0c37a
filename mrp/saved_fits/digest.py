"""Whether a file is what was saved: the hash of all that stands before its last bytes.

HDF5 does not look behind its end, so that other readers take the file as it is. The hash tells
damage and edits, not who wrote a file: whoever edits it can write the hash anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, Literal

MARK = b"mrp fit, whole by this SHA-256: "
"""Stands before the hash, and in the content, so that a file tells that it had one."""
LENGTH = len(MARK) + hashlib.sha256().digest_size
BLOCK = 2**20

State = Literal["whole", "damaged", "without digest"]


def footer(content: memoryview) -> bytes:
    """What is written behind the content."""
    return MARK + hashlib.sha256(content).digest()


def state_of(file: BinaryIO) -> State:
    """Whether a file is whole, by its bytes alone."""
    size = file.seek(0, 2)
    end = max(size - LENGTH, 0)
    digest, marked = hashlib.sha256(), False
    seen = b""  # so much that a mark across two blocks is found
    for block in _blocks(file, end):
        digest.update(block)
        marked = marked or MARK in seen + block
        seen = (seen + block)[-len(MARK) :]
    tail = file.read(LENGTH)
    if tail == MARK + digest.digest():
        return "whole"
    return "damaged" if marked or MARK in seen + tail else "without digest"


def _blocks(file: BinaryIO, end: int) -> Iterator[bytes]:
    """The first bytes of a file, some at a time."""
    file.seek(0)
    while end > 0 and (block := file.read(min(BLOCK, end))):
        end -= len(block)
        yield block
