"""HDF5 that can't reach out of its file or grow beyond it: anything else is refused unread.

A netCDF file as it is written here has groups of arrays that lie in the file as they are: numbers,
truths and text. HDF5 can do more: point to other files, by links, by external storage and by
virtual datasets; say that there are numbers where nothing was written; pack them by filters that
make much of little. Nothing of that is needed.
"""

from __future__ import annotations

import math
from typing import BinaryIO

import h5py
import numpy as np

from mrp.saved_fits.content import Refused

MOST_DIMS = 8
MOST_DEPTH = 4
MOST_NUMBER = 8
"""Bytes of the largest number."""
MOST_TEXTS = 16
"""Of one attribute: what the sampler says of its dims is two. They are read before their lengths
are known, and several may be the same bytes of the file."""
POINTER = 16
"""Bytes that stand for a text in an array: its length in 4, and where it is."""
PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT)
ONLY_NAMED = b"This is a netCDF dimension but not a netCDF variable"
"""How netCDF marks a dim without labels, whose numbers are neither written nor read."""


def check_closed(file: BinaryIO) -> None:
    """Raise unless all that an HDF5 file says is in the file, once.

    Raises
    ------
    Refused
        It points to something else, or says more than there is room for.
    OSError
        It is no HDF5.
    """
    with h5py.File(file, "r") as opened:
        _Walk(file).group(opened, "", 0)


class _Walk:
    """What has been seen of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self._left = self._size
        self._seen: set[int] = set()

    def group(self, group: h5py.Group, path: str, depth: int) -> None:
        """Check a group and what is in it."""
        if depth > MOST_DEPTH:
            raise Refused(f"{path!r} is too deep in groups")
        self._once(group, path or "/")
        self._attributes(group, path or "/")
        for name in group:
            inner = f"{path}/{name}"
            kind = group.id.links.get_info(name.encode()).type
            if kind != h5py.h5l.TYPE_HARD:
                raise Refused(f"{inner!r} is a link to something else")
            item = group[name]
            if isinstance(item, h5py.Group):
                self.group(item, inner, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._once(item, inner)
                self._dataset(item, inner)
            else:
                raise Refused(f"{inner!r} is neither a group nor an array")

    def _once(self, item: h5py.Group | h5py.Dataset, path: str) -> None:
        address = h5py.h5o.get_info(item.id).addr
        if address in self._seen:
            raise Refused(f"{path!r} is in it twice")
        self._seen.add(address)

    def _dataset(self, array: h5py.Dataset, path: str) -> None:
        plan = array.id.get_create_plist()
        if plan.get_external_count() or plan.get_layout() == h5py.h5d.VIRTUAL:
            raise Refused(f"{path!r} is in another file")
        if plan.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or plan.get_nfilters():
            raise Refused(f"{path!r} is packed")
        self._attributes(array, path)
        kind = array.id.get_type()
        is_text = isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()
        count = self._count(array.id.get_space(), path)
        if is_text:
            self._texts(array, count, path)
            return
        self._check_plain(kind, path)
        self._stored(array, count * kind.get_size(), path)

    def _stored(self, array: h5py.Dataset, size: int, path: str) -> int | None:
        """Where an array is; None if it is nowhere, or beside its description."""
        at: int | None = array.id.get_offset()
        is_near = array.id.get_create_plist().get_layout() == h5py.h5d.COMPACT
        if at is None and not is_near:
            name = array.attrs.get("NAME", b"")
            if size and not (isinstance(name, bytes) and name.startswith(ONLY_NAMED)):
                raise Refused(f"{path!r} has {size:,} bytes that were never written")
            return None
        if at is not None and at + size > self._size:
            raise Refused(f"{path!r} has {size:,} bytes and ends behind the end of the file")
        self._take(size, path)
        return at

    def _texts(self, array: h5py.Dataset, count: int, path: str) -> None:
        """Check texts by the lengths that stand in the file, before any is read."""
        at = self._stored(array, count * POINTER, path)
        if at is None:
            if count:
                raise Refused(f"{path!r} has texts in another layout")
            return
        if array.id.get_storage_size() != count * POINTER:
            raise Refused(f"{path!r} has texts in another layout")
        self._file.seek(at)
        stored = np.frombuffer(self._file.read(count * POINTER), dtype="<u4")
        self._take(int(stored[:: POINTER // 4].sum(dtype=np.uint64)), path)

    def _attributes(self, item: h5py.Group | h5py.Dataset, path: str) -> None:
        for name in item.attrs:
            own = f"{path}@{name}"
            attribute = item.attrs.get_id(name)
            kind, count = attribute.get_type(), self._count(attribute.get_space(), own)
            if isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str():
                if count > MOST_TEXTS:
                    raise Refused(f"{own!r} has {count:,} texts")
                value = item.attrs[name]
                texts = value.ravel().tolist() if isinstance(value, np.ndarray) else [value]
                self._take(sum(len(str(text).encode("utf-8", "replace")) for text in texts), own)
            elif name == "DIMENSION_LIST" and isinstance(item, h5py.Dataset):
                self._scales(item, kind, count, own)
            elif name == "REFERENCE_LIST" and isinstance(kind, h5py.h5t.TypeCompoundID):
                self._take(count * kind.get_size(), own)
            else:
                self._check_plain(kind, own)
                self._take(count * kind.get_size(), own)

    def _scales(self, array: h5py.Dataset, kind: h5py.h5t.TypeID, count: int, path: str) -> None:
        """Check the dims of an array: each has one name."""
        is_list = isinstance(kind, h5py.h5t.TypeVlenID)
        if not is_list or kind.get_super().get_class() != h5py.h5t.REFERENCE or count != array.ndim:
            raise Refused(f"{path!r} is no list of dims")
        if any(h5py.h5ds.get_num_scales(array.id, k) > 1 for k in range(count)):
            raise Refused(f"{path!r} has several names of one dim")

    def _check_plain(self, kind: h5py.h5t.TypeID, path: str) -> None:
        """Raise unless a type is one of numbers, or of text of a fixed length."""
        is_number = kind.get_class() in PLAIN and kind.get_size() <= MOST_NUMBER
        if not (is_number or isinstance(kind, h5py.h5t.TypeStringID)):
            raise Refused(f"{path!r} has other things than numbers and text")

    def _count(self, space: h5py.h5s.SpaceID, path: str) -> int:
        """Number of items."""
        if space.get_simple_extent_type() == h5py.h5s.NULL:
            return 0
        shape = space.get_simple_extent_dims()
        if len(shape) > MOST_DIMS:
            raise Refused(f"{path!r} has {len(shape)} dims")
        return math.prod(shape)

    def _take(self, size: int, path: str) -> None:
        """Count bytes; raise if there are more than the file has."""
        self._left -= size
        if self._left < 0:
            raise Refused(f"{path!r} and what is before it have more bytes than the file")
