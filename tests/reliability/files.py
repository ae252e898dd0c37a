"""Bad files, and places that can't be written to."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py

import mrp
from tests.reliability.cases import Case, Place


def _saved(at: Place) -> Path:
    return at.fit.save(at.folder / "fit.nc")


def _changed(change: Callable[[bytes], bytes]) -> Callable[[Place], object]:
    """Load a file whose bytes were changed."""

    def does(at: Place) -> object:
        path = _saved(at)
        path.write_bytes(change(path.read_bytes()))
        return mrp.load_fit(path)

    return does


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _other(data: bytes) -> Callable[[Place], object]:
    """Load a file of something else."""

    def does(at: Place) -> object:
        path = at.folder / "fit.nc"
        path.write_bytes(data)
        return mrp.load_fit(path)

    return does


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("fit.nc", "nothing")
    return buffer.getvalue()


def _edited(
    edit: Callable[[h5py.File], object], *, signed: bool = True
) -> Callable[[Place], object]:
    """Load a file whose content was edited, with the digest of the edited content."""
    from mrp.saved_fits import FOOTER, with_footer  # what saves does

    def does(at: Place) -> object:
        path = _saved(at)
        path.write_bytes(path.read_bytes()[:-FOOTER])
        with h5py.File(path, "r+") as file:
            edit(file)
        if signed:
            path.write_bytes(with_footer(path.read_bytes()))
        return mrp.load_fit(path)

    return does


CASES: list[Case] = []
