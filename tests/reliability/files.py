"""Bad files, and places that can't be written to."""

from __future__ import annotations

import io
import os
import resource
import signal
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import xarray as xr

import mrp
from mrp.errors import DataError, FitError, FrameWarning, RequestError
from mrp.files import write_table
from tests.edited_files import (
    as_old,
    with_hdf5,
    with_json,
    with_tree,
    without_digest,
)
from tests.reliability.cases import Case, Place

Edit = Callable[[bytes], bytes]
HOSTILE = "I(x + 0*np._pytesttester.os.system('true'))"


def _loads(change: Edit) -> Callable[[Place], object]:
    """Load a saved fit whose bytes were changed."""

    def does(at: Place) -> object:
        path = at.fit.save(at.folder / "fit.nc")
        path.write_bytes(change(path.read_bytes()))
        return mrp.load_fit(path)

    return does


def _json(edit: Callable[[dict[str, Any]], Any]) -> Callable[[Place], object]:
    """Load a saved fit whose description was changed, with a digest of the change."""

    def apply(content: dict[str, Any]) -> None:
        edit(content)

    return _loads(lambda data: with_json(data, apply))


def _hdf5(edit: Callable[[h5py.File], Any]) -> Callable[[Place], object]:
    """Load a saved fit whose HDF5 was changed, with a digest of the change."""
    return _loads(lambda data: with_hdf5(data, lambda file: edit(file) and None))


def _tree(edit: Callable[[xr.DataTree], xr.DataTree]) -> Callable[[Place], object]:
    """Load a saved fit whose arrays were changed, with a digest of the change."""
    return _loads(lambda data: with_tree(data, edit))


def _posterior(edit: Callable[[xr.Dataset], xr.Dataset]) -> Callable[[Place], object]:
    def apply(tree: xr.DataTree) -> xr.DataTree:
        parts = {name: node.to_dataset() for name, node in tree.children.items()}
        return xr.DataTree.from_dict(parts | {"posterior": edit(parts["posterior"])})

    return _tree(apply)


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _zip(_: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("fit.nc", "nothing")
    return buffer.getvalue()


def _bomb(file: h5py.File) -> None:
    """A variable of 80 GB in a few bytes."""
    file["posterior"].create_dataset(
        "bomb", shape=(10**10,), chunks=(10**6,), compression="gzip", dtype="f8"
    )


def _external(file: h5py.File) -> None:
    del file["posterior/x"]
    file["posterior"].create_dataset(
        "x", shape=(1, 10), dtype="u1", external=[("/etc/passwd", 0, 10)]
    )


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(10,), dtype="u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(10,))
    file["posterior"].create_virtual_dataset("virtual", layout)


def _older(number: int) -> Callable[[Place], object]:
    def does(at: Place) -> object:
        path = at.fit.save(at.folder / "fit.nc")
        as_old(path, at.fit.design, number)
        loaded = mrp.load_fit(path)
        assert loaded.fingerprint == at.fit.fingerprint
        return loaded

    return does


def _saves(
    prepare: Callable[[Path], Path], disk: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Callable[[Place], object]:
    """Save a fit to a place; where that fails, what was there stays and so does the fit."""

    def does(at: Place) -> object:
        target = prepare(at.folder)
        before = sorted(path.name for path in at.folder.iterdir())
        at.fit  # noqa: B018  # made before the disk is full
        try:
            with disk():
                at.fit.save(target)
        finally:
            assert sorted(path.name for path in at.folder.iterdir()) == before
            again = at.fit.save(at.folder / "again.nc")
            assert mrp.load_fit(again).fingerprint == at.fit.fingerprint
        return "saved"

    return does


@contextmanager
def _full_disk() -> Iterator[None]:
    """No file can be longer than some bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error, not the end
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def _over_an_older_one(at: Place) -> object:
    path = at.fit.save(at.folder / "fit.nc")
    before = path.read_bytes()
    with _full_disk():
        try:
            return at.fit.save(path)
        finally:
            assert path.read_bytes() == before


def _table_over_an_older_one(at: Place) -> object:
    path = write_table(at.frame, at.folder / "out.csv")
    before = path.read_bytes()
    with _full_disk():
        try:
            return write_table(pd.concat([at.frame] * 9), path)
        finally:
            assert path.read_bytes() == before


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.nc")
    return folder / "pipe.nc"


def _linked_to(target: str) -> Callable[[Path], Path]:
    def prepare(folder: Path) -> Path:
        (folder / "link.nc").symlink_to(target)
        return folder / "link.nc"

    return prepare


def _folder(folder: Path) -> Path:
    (folder / "there.nc").mkdir()
    return folder / "there.nc"


def _through_a_link(at: Place) -> str:
    (at.folder / "real").mkdir()
    (at.folder / "link.nc").symlink_to(at.folder / "real" / "fit.nc")
    at.fit.save(at.folder / "link.nc")
    assert (at.folder / "link.nc").is_symlink()
    assert mrp.load_fit(at.folder / "real" / "fit.nc").fingerprint == at.fit.fingerprint
    return "the file that the link names is written, the link stays"


def _abandoned(at: Place) -> str:
    for name in (".fit.nc.mrp-0123456789abcdef.part", ".out.csv.mrp-fedcba9876543210.part"):
        (at.folder / name).write_bytes(b"half of it")
    at.fit.save(at.folder / "fit.nc")
    assert [path.name for path in at.folder.iterdir()] == ["fit.nc"]
    return "they are removed"


def _table(name: str) -> Callable[[Place], object]:
    return lambda at: write_table(at.frame, at.folder / name)


CASES = [
    Case("file", what, does, comes)
    for what, does, comes in [
        ("a fit that is not there", lambda at: mrp.load_fit(at.folder / "fit.nc"), FitError),
        ("a folder for a fit", lambda at: mrp.load_fit(at.folder), FitError),
        ("a pipe for a fit", lambda at: mrp.load_fit(_fifo(at.folder)), FitError),
        ("a number for a fit", lambda _: mrp.load_fit(5), FitError),  # type: ignore[arg-type]
        ("an empty name", lambda _: mrp.load_fit(""), FitError),
        ("an empty file", _loads(lambda _: b""), FitError),
        ("a text file", _loads(lambda _: b"y,x\n1,2\n"), FitError),
        ("a zip file", _loads(_zip), FitError),
        ("a pickle", _loads(lambda _: b"cposix\nsystem\n(S'true'\ntR."), FitError),
        ("one bit is flipped", _loads(_flipped), FitError),
        ("the last byte is lost", _loads(lambda data: data[:-1]), FitError),
        ("half of it is lost", _loads(lambda data: data[: len(data) // 2]), FitError),
        ("a byte more at the end", _loads(lambda data: data + b"\0"), FitError),
        ("two blocks are swapped", _loads(lambda d: d[4096:8192] + d[:4096] + d[8192:]), FitError),
        ("its digest is cut off", _loads(without_digest), FitError),
        (
            "another formula, with the digest of the change",
            _json(lambda content: content["design"].update(formula=f"y ~ {HOSTILE}")),
            FitError,
        ),
        (
            "another call under the same formula",
            _json(lambda content: content["design"]["parts"][0].update(source=HOSTILE)),
            FitError,
        ),
        (
            "more columns than the formula names",
            _json(lambda content: content["design"].update(columns=["x", "g", "state", "year"])),
            FitError,
        ),
        (
            "a family that does not exist",
            _json(lambda content: content.update(family="gauss")),
            FitError,
        ),
        ("a link that the family lacks", _json(lambda c: c.update(link="probit")), FitError),
        ("a format of the future", _json(lambda content: content.update(format=9)), FitError),
        ("a key is missing", _json(lambda content: content.pop("design")), FitError),
        ("a list for a table", _json(lambda content: content.update(design=[])), FitError),
        ("text for a number", _json(lambda content: content.update(format="3")), FitError),
        (
            "levels that the draws lack",
            _json(lambda c: c["design"]["parts"][1].update(levels=["a", "b", "c", "d"])),
            FitError,
        ),
        ("JSON of a million brackets", _loads(lambda d: _nested(d)), FitError),
        (
            "a soft link in the HDF5",
            _hdf5(lambda f: f.__setitem__("posterior/z", h5py.SoftLink("/posterior/x"))),
            FitError,
        ),
        (
            "a link to another file",
            _hdf5(lambda f: f.__setitem__("posterior/z", h5py.ExternalLink("/etc/passwd", "/"))),
            FitError,
        ),
        ("values that lie in another file", _hdf5(_external), FitError),
        ("a virtual array", _hdf5(_virtual), FitError),
        ("80 GB of values in 57 kB", _hdf5(_bomb), FitError),
        (
            "draws that are missing",
            _posterior(lambda draws: draws.drop_vars("x")),
            FitError,
        ),
        (
            "draws that are no numbers",
            _posterior(lambda draws: draws.assign(x=draws["x"] * np.nan)),
            FitError,
        ),
        (
            "draws of other groups",
            _posterior(lambda d: d.assign_coords(state__factor_dim=["AL", "CA", "NY", "HI"])),
            FitError,
        ),
        ("a fit of format 1", _older(1), FrameWarning),
        ("a fit of format 2", _older(2), FrameWarning),
        ("a fit is saved to a device", _saves(lambda _: Path("/dev/full")), FitError),
        ("to a link to a device", _saves(_linked_to("/dev/full")), FitError),
        ("to a pipe", _saves(_fifo), FitError),
        ("to a folder", _saves(_folder), FitError),
        ("to a folder that is not there", _saves(lambda f: f / "gone" / "fit.nc"), FitError),
        ("to a link to a place that is not there", _saves(_linked_to("/gone/fit.nc")), FitError),
        ("to a link to itself", _saves(_linked_to("link.nc")), FitError),
        ("under a name of 300 characters", _saves(lambda _: Path("a" * 300)), FitError),
        ("under a name with NUL", _saves(lambda f: f / "a\0.nc"), FitError),
        ("under a number", _saves(lambda _: 5), FitError),  # type: ignore[arg-type, return-value]
        ("to a disk that is full", _saves(lambda f: f / "fit.nc", disk=_full_disk), FitError),
        ("over an older fit, on a disk that is full", _over_an_older_one, FitError),
        ("through a link to a file", _through_a_link, None),
        ("into a folder with what killed processes left", _abandoned, None),
        (
            "a table is written to a device",
            lambda at: write_table(at.frame, Path("/dev/full")),
            RequestError,
        ),
        ("a table is written to a folder that is not there", _table("gone/out.csv"), RequestError),
        (
            "a table is written over another, on a disk that is full",
            _table_over_an_older_one,
            RequestError,
        ),
        (
            "a data folder without the file",
            lambda at: _dataset_in(at.folder),
            DataError,
        ),
    ]
]


def _nested(data: bytes) -> bytes:
    deep = "[" * 10**6 + "]" * 10**6

    def edit(file: h5py.File) -> None:
        file["mrp"].attrs["fit"] = deep[:60_000]

    return with_hdf5(data, edit)


def _dataset_in(folder: Path) -> pd.DataFrame:
    from unittest import mock

    with mock.patch.dict(os.environ, {"MRP_DATA_DIR": str(folder)}):
        return mrp.load_dataset("ces_survey")
