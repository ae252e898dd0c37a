"""Files of fits that are damaged, edited or made to do harm; places that can't be written to."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp.errors import FitError, RequestError
from mrp.fit import Fit
from mrp.memory import SHARE
from mrp.saved_fits.digest import LENGTH, footer, state_of
from mrp.testing import fake_fit
from tests.cases import FRAME, SURVEY
from tests.edited_files import (
    Json,
    as_old,
    with_digest,
    with_hdf5,
    with_json,
    with_tree,
    without_digest,
)
from tests.messages import raises

FORMULA = "y ~ scale(x) + C(district) + gender + (1 + x | state)"
ATTACK = "I(x + 0*np._pytesttester.os.system('touch canary'))"


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fake_fit(FORMULA, SURVEY, family="bernoulli", draws=3)


@pytest.fixture(scope="module")
def saved(fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return fit.save(tmp_path_factory.mktemp("fits") / "fit.nc").read_bytes()


def refused(path: Path, why: str) -> Any:
    """`raises` for a file that is no fit, for a reason."""
    return raises(
        FitError,
        f"`path` must name a file that Fit.save wrote, got {str(path)!r}, which can't be read as "
        f"one: {why}.",
    )


def damaged(path: Path) -> Any:
    return raises(
        FitError,
        f"`path` must name a file that Fit.save wrote, got {str(path)!r}, which is damaged or was "
        f"changed since it was saved. Save the fit again, or get another copy.",
    )


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write a file."""

    def write(content: bytes) -> Path:
        path = tmp_path / "edited.nc"
        path.write_bytes(content)
        return path

    return write


Put = Callable[[bytes], Path]

# --- a digest -------------------------------------------------------------------------------------


def test_other_readers_take_a_file_with_its_digest(fit: Fit, saved: bytes, put: Put) -> None:
    path = put(saved)
    with h5py.File(path) as file:
        assert set(file) == {"posterior", "log_prior", "mrp"}
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        xr.testing.assert_identical(tree["posterior"].to_dataset().load(), fit.parameters)


def test_digest_is_the_hash_of_what_is_before(saved: bytes) -> None:
    assert saved == without_digest(saved) + footer(memoryview(without_digest(saved)))
    assert state_of(io.BytesIO(saved)) == "whole"


@pytest.mark.parametrize("part", range(40))
def test_flipped_bit_is_told_wherever_it_is(part: int, saved: bytes, put: Put) -> None:
    at = len(saved) * part // 40 if part < 38 else len(saved) - (1 if part == 38 else LENGTH)
    path = put(saved[:at] + bytes([saved[at] ^ 16]) + saved[at + 1 :])
    with damaged(path):
        mrp.load_fit(path)


@pytest.mark.parametrize("change", ["cut", "longer", "without digest", "digest of another"])
def test_changed_file_is_refused_before_it_is_read(
    change: str, saved: bytes, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {
        "cut": saved[: len(saved) // 2],
        "longer": saved + b"\0",
        "without digest": without_digest(saved),
        "digest of another": without_digest(saved) + footer(memoryview(b"another")),
    }
    path = put(changed[change])
    if change != "cut":  # half a file may lack the mark of a digest
        monkeypatch.setattr(h5py, "File", None)
    with pytest.raises(FitError, match=r"\A`path` must name a file that Fit\.save wrote, got "):
        mrp.load_fit(path)


@pytest.mark.parametrize("size", [1, LENGTH - 1, LENGTH, 2**20 - 3, 2**20 + 7])
def test_mark_of_a_digest_is_found_across_blocks(size: int) -> None:
    content = b"x" * size + footer(memoryview(b"")) + b"y" * 7
    assert state_of(io.BytesIO(content)) == "damaged"
    assert state_of(io.BytesIO(b"x" * size)) == "without digest"
    assert state_of(io.BytesIO(with_digest(b"x" * size))) == "whole"


# --- no file of a fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"state,n\nAL,3\n", b"PK\3\4" + b"\0" * 100, b"\x89HDF\r\n\x1a\n" + b"\0" * 500],
    ids=["empty", "text", "zip", "half a header"],
)
def test_file_of_another_kind_is_refused(content: bytes, put: Put) -> None:
    path = put(content)
    with pytest.raises(FitError) as error:
        mrp.load_fit(path)
    assert str(error.value).startswith(
        f"`path` must name a file that Fit.save wrote, got {str(path)!r}, which can't be read as "
        f"one (OSError: Unable to synchronously open file ("
    )


def test_other_netcdf_files_are_refused(put: Put) -> None:
    path = put(bytes(xr.Dataset({"x": ("d", [1.0])}).to_netcdf(engine="h5netcdf")))
    with refused(path, "it has no group 'mrp'"):
        mrp.load_fit(path)
    tree = xr.DataTree.from_dict({"mrp": xr.Dataset({"x": 1.0})})
    path = put(bytes(tree.to_netcdf(engine="h5netcdf")))
    with refused(path, "it has no description of a fit"):
        mrp.load_fit(path)


def test_folder_pipe_and_device_are_no_saved_fit(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    rule = "`path` must name a saved fit, got"
    for path, kind in (
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "no file"),
        (Path("/dev/zero"), "no file"),
    ):
        with raises(FitError, f"{rule} {str(path)!r}, which is {kind}."):
            mrp.load_fit(path)


def test_file_that_may_not_be_read_is_said(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(b"")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    message = (
        f"`path` must name a saved fit that can be read, got {str(path)!r}: "
        f"{os.strerror(errno.EACCES)}."
    )
    with raises(FitError, message):
        mrp.load_fit(path)


def test_name_that_is_too_long_names_no_fit(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    with pytest.raises(FitError) as error:
        mrp.load_fit(path)
    assert str(error.value).endswith(f": {os.strerror(errno.ENAMETOOLONG)}.")


@pytest.mark.parametrize("value", [5, None, b"fit.nc", "", "a\0b", ["fit.nc"]])
def test_what_is_no_path_is_refused_by_save_and_load(value: Any, fit: Fit) -> None:
    with pytest.raises(FitError, match=r"\A`path` must be the name of a file, .*\Z") as loading:
        mrp.load_fit(value)
    with pytest.raises(FitError) as saving:
        fit.save(value)
    assert str(saving.value) == str(loading.value)


# --- HDF5 that reaches out ------------------------------------------------------------------------


def _replace(group: h5py.Group, name: str, **options: Any) -> None:
    shape, dtype = group[name].shape, group[name].dtype
    del group[name]
    group.create_dataset(name, **{"shape": shape, "dtype": dtype} | options)


def _link(name: str, link: Any) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return edit


def _dataset(name: str, **options: Any) -> Callable[[h5py.File], None]:
    group, _, own = name.partition("/")
    return lambda file: _replace(file[group], own, **options)


def _virtual(file: h5py.File) -> None:
    del file["mrp/observed"]
    layout = h5py.VirtualLayout((90,), dtype=np.float64)
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(90,))
    file["mrp"].create_virtual_dataset("observed", layout)


def _cycle(file: h5py.File) -> None:
    file["posterior/up"] = file["/"]


def _again(file: h5py.File) -> None:
    file["posterior/again"] = file["posterior/x|state"]


def _many_texts(file: h5py.File) -> None:
    file["mrp"].attrs["note"] = list("abcdefghijklmnopq")


def _deep(file: h5py.File) -> None:
    file.create_group("posterior/a/b/c/d/e")


def _type(file: h5py.File) -> None:
    file["mrp/type"] = np.dtype("f8")


BOMB = "'/posterior/x|state' has 80,000,000,000 bytes that were never written"
REACHING: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "a soft link": (
        _link("posterior/gender", h5py.SoftLink("/posterior/x")),
        "'/posterior/gender' is a link to something else",
    ),
    "an external link": (
        _link("mrp/observed", h5py.ExternalLink("/etc/passwd", "/x")),
        "'/mrp/observed' is a link to something else",
    ),
    "external storage": (
        _dataset("mrp/survey_parquet", external=[("/etc/passwd", 0, 10_000)], shape=(900,)),
        "'/mrp/survey_parquet' is in another file",
    ),
    "a virtual dataset": (_virtual, "'/mrp/observed' is in another file"),
    "a group in itself": (_cycle, "'/posterior/up' is in it twice"),
    "an array under two names": (_again, "'/posterior/again' is in it twice"),
    "80 GB that were never written": (_dataset("posterior/x|state", shape=(10**10,)), BOMB),
    "80 GB packed": (
        _dataset("posterior/x|state", shape=(10**10,), chunks=(2**20,), compression="gzip"),
        "'/posterior/x|state' is packed",
    ),
    "references": (
        _dataset("posterior/x|state", dtype=h5py.ref_dtype),
        "'/posterior/x|state' has other things than numbers and text",
    ),
    "a table": (
        _dataset("mrp/observed", dtype=np.dtype([("a", "f8"), ("b", "i4")])),
        "'/mrp/observed' has other things than numbers and text",
    ),
    "several texts in an attribute": (_many_texts, "'/mrp@note' has 17 texts"),
    "groups in groups": (_deep, "'/posterior/a/b/c/d' is too deep in groups"),
    "a named type": (_type, "'/mrp/type' is neither a group nor an array"),
    "nine dims": (
        _dataset("posterior/x|state", shape=(1,) * 9, data=np.ones((1,) * 9)),
        "'/posterior/x|state' has 9 dims",
    ),
}


@pytest.mark.parametrize("what", REACHING)
def test_hdf5_that_reaches_out_of_its_file_is_refused(what: str, saved: bytes, put: Put) -> None:
    edit, why = REACHING[what]
    path = put(with_hdf5(saved, edit))
    with refused(path, why):
        mrp.load_fit(path)


def test_one_text_that_stands_for_many_is_counted_as_often_as_it_is_meant(
    saved: bytes, put: Put
) -> None:
    """Many items of an array of texts can point to one text, which is in the file once."""

    def edit(file: h5py.File) -> None:
        texts = file["mrp"].create_dataset("texts", (10_000,), dtype=h5py.string_dtype())
        texts[:] = ["y" * 100_000] + ["z"] * 9_999

    content = bytearray(without_digest(with_hdf5(saved, edit)))
    with h5py.File(io.BytesIO(bytes(content))) as file:
        at = file["mrp/texts"].id.get_offset()
    content[at : at + 160_000] = bytes(content[at : at + 16]) * 10_000
    with h5py.File(io.BytesIO(bytes(content))) as file:
        assert len(file["mrp/texts"][9_999]) == 100_000
    path = put(with_digest(bytes(content)))
    with refused(path, "'/mrp/texts' and what is before it have more bytes than the file"):
        mrp.load_fit(path)


_BOUNDED = """
import resource, sys
import mrp, pandas, pyarrow.parquet, h5netcdf
from mrp.saved_fits import load_fit
whole = load_fit(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    try:
        load_fit(path)
    except mrp.errors.MRPError as error:
        print(type(error).__name__)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def _parquet_bomb(content: bytes, texts: pd.Series, **options: Any) -> bytes:
    buffer = io.BytesIO()
    SURVEY.assign(state=texts).to_parquet(buffer, **options)

    def edit(tree: xr.DataTree) -> None:
        dataset = tree["mrp"].to_dataset().drop_vars("survey_parquet")
        parquet = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
        tree["mrp"] = xr.DataTree(dataset.assign(survey_parquet=("byte", parquet)))

    return with_tree(content, edit)


def test_bombs_are_refused_before_they_take_memory(saved: bytes, tmp_path: Path, fit: Fit) -> None:
    long = pd.Series(["x" * 10**6] * len(SURVEY))
    bombs = {
        "unwritten": with_hdf5(saved, REACHING["80 GB that were never written"][0]),
        "packed": with_hdf5(saved, REACHING["80 GB packed"][0]),
        "zipped": _parquet_bomb(saved, long, compression="zstd"),
    }
    paths = [tmp_path / name for name in bombs]
    for path, content in zip(paths, bombs.values(), strict=True):
        path.write_bytes(content)
        assert path.stat().st_size < 200_000
    whole = fit.save(tmp_path / "whole.nc")
    done = subprocess.run(
        [sys.executable, "-c", _BOUNDED, str(whole), *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    *errors, grown = done.stdout.split()
    assert errors == ["FitError"] * len(bombs)
    assert int(grown) < 50, "MiB"


def test_text_that_many_rows_of_a_survey_have_is_counted_before_it_is_written_out(
    saved: bytes, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(_parquet_bomb(saved, pd.Series(["x" * 100_000] * len(SURVEY))))
    assert path.stat().st_size < 300_000
    free = int(2 * 8_000_000 / SHARE)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("", (), {"available": free}))
    monkeypatch.setattr(pd, "read_parquet", None)
    with pytest.raises(RequestError) as error:
        mrp.load_fit(path)
    assert str(error.value).startswith(
        "`path` must ask for what the memory can hold, got a survey of 90 rows or more, which take "
    )


def test_survey_in_another_packing_or_with_other_rows_is_refused(saved: bytes, put: Put) -> None:
    path = put(_parquet_bomb(saved, SURVEY["state"], compression="gzip"))
    with refused(path, "its survey is packed by ['GZIP']"):
        mrp.load_fit(path)

    def edit(tree: xr.DataTree) -> None:
        short = tree["mrp"].to_dataset().isel(respondent=slice(80))
        tree["mrp"] = xr.DataTree(short)

    path = put(with_tree(saved, edit))
    with refused(path, "its survey has 90 rows for 80 outcomes"):
        mrp.load_fit(path)


def test_fit_that_the_memory_can_not_hold_is_refused_by_save_and_load(
    fit: Fit, saved: bytes, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(saved)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("", (), {"available": 1000}))
    must = "`path` must ask for what the memory can hold, got"
    with pytest.raises(RequestError) as error:
        mrp.load_fit(path)
    assert str(error.value).startswith(f"{must} a saved fit, which take ")
    with pytest.raises(RequestError) as error:
        fit.save(tmp_path / "other.nc")
    assert str(error.value).startswith(
        f"{must} the draws of a fit, of 3 draws in each chain, once more, which take "
    )
    assert list(tmp_path.iterdir()) == [path]


# --- descriptions that are not those of a fit -----------------------------------------------------


def _set(value: Any, *path: Any) -> Callable[[Json], None]:
    def edit(content: Json) -> None:
        inside: Any = content
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = value

    return edit


def _delete(*path: Any) -> Callable[[Json], None]:
    def edit(content: Json) -> None:
        inside: Any = content
        for step in path[:-1]:
            inside = inside[step]
        del inside[path[-1]]

    return edit


def _source(text: str, at: int = 0) -> Callable[[Json], None]:
    return _set(text, "design", "parts", at, "source")


NOT_OF_A_FIT = "its description is not that of a fit: "
SCALE = ("design", "calls", "states", "scale(x)", 0, "items")
EDITED: dict[str, tuple[Callable[[Json], Any], str]] = {
    "no formula": (
        _delete("design", "formula"),
        NOT_OF_A_FIT + "Object missing required field `formula` - at `$.design`",
    ),
    "no draws' info": (
        _delete("info"),
        NOT_OF_A_FIT + "Object missing required field `info`",
    ),
    "a list for a table": (
        _set([1, 2], "design"),
        NOT_OF_A_FIT + "Expected `object`, got `array` - at `$.design`",
    ),
    "a number for a name": (
        _set(5, "family"),
        NOT_OF_A_FIT + "Expected `str`, got `int` - at `$.family`",
    ),
    "more than a fit has": (
        _set("rm", "command"),
        NOT_OF_A_FIT + "Object contains unknown field `command`",
    ),
    "another family": (
        _set("magic", "family"),
        "no family 'magic' with link 'logit' is known",
    ),
    "a link that the family lacks": (
        _set("identity", "link"),
        "no family 'bernoulli' with link 'identity' is known",
    ),
    "a family with levels": (
        _set("cumulative", "family"),
        "its outcome has no levels",
    ),
    "levels that the family lacks": (
        _set(["a", "b"], "levels"),
        "its outcome can't have the levels ['a', 'b']",
    ),
    "another outcome": (
        _set("z", "outcome"),
        "its outcome 'z' is not that of its formula",
    ),
    "another call under the printed name": (
        _source(ATTACK),
        "its parts ['scale(x)', 'C(district)', 'gender', 'levels of state', 'x'] are not those of "
        "its formula",
    ),
    "another column under the printed name": (
        _source("military", 2),
        "its parts ['scale(x)', 'C(district)', 'gender', 'levels of state', 'x'] are not those of "
        "its formula",
    ),
    "a part that the formula lacks": (
        lambda content: content["design"]["parts"].append({"name": "z", "source": "z", "width": 1}),
        "its parts ['scale(x)', 'C(district)', 'gender', 'levels of state', 'x', 'z'] are not "
        "those of its formula",
    ),
    "a part less": (_delete("design", "parts", 0), "it does not say what 'scale(x)' is"),
    "a name that is not the call's": (
        _set({"scale(x)": "I(x)"}, "design", "labels"),
        "'I(x)' is no name of 'scale(x)'",
    ),
    "other columns": (
        _set(["x", "district", "gender"], "design", "columns"),
        "its columns ['x', 'district', 'gender'] are not those of its formula, ['x', 'district', "
        "'gender', 'state']",
    ),
    "a memory that learns again": (
        _set(False, *SCALE, 0, 1),
        "what scale(x) learned is not what it learns from numbers",
    ),
    "a memory that is no number": (
        _set("2", *SCALE, 1, 1),
        "what scale(x) learned is not what it learns from numbers",
    ),
    "a memory that is not finite": (
        _set(float("nan"), *SCALE, 1, 1),
        "what scale(x) learned is not finite",
    ),
    "a memory with more": (
        lambda content: content["design"]["calls"]["states"]["scale(x)"][0]["items"].append(
            ["eval", 1]
        ),
        "what scale(x) learned is not what it learns from numbers",
    ),
    "a memory of another call": (
        _set([{"items": []}], "design", "calls", "states", ATTACK),
        "what its transforms learned is not that of the calls of its formula",
    ),
    "no memory": (
        _set({}, "design", "calls", "states"),
        "what its transforms learned is not that of the calls of its formula",
    ),
    "other columns of calls": (
        _delete("design", "calls", "columns", "x"),
        "the columns of its calls are not those of its formula",
    ),
    "groups that there are not": (
        _set([[9]], "design", "factors", 0, "codes"),
        "its groups of 'state' are none",
    ),
    "groups of another factor": (
        _set("region", "design", "factors", 0, "name"),
        "it does not say which groups of 'state' there are",
    ),
    "levels twice": (
        _set(["Man", "Man"], "design", "parts", 2, "levels"),
        "'gender' has no levels, or some of them twice",
    ),
    "more columns than a column has": (
        _set(10**6, "design", "parts", 4, "width"),
        "'x' is said to have 1000000 columns",
    ),
    "more levels than there are draws": (
        _set([f"level {k}" for k in range(100_000)], "design", "parts", 2, "levels"),
        "it has no draws of the coefficients of 'gender'",
    ),
    "thresholds": (
        _set(True, "design", "ordered"),
        "its terms are those of another family",
    ),
}


@pytest.mark.parametrize("what", EDITED)
def test_description_that_is_not_that_of_its_formula_is_refused(
    what: str, saved: bytes, put: Put
) -> None:
    edit, why = EDITED[what]

    def edited(content: Json) -> None:
        edit(content)

    path = put(with_json(saved, edited))
    with refused(path, why):
        mrp.load_fit(path)
    assert not Path("canary").exists()


@pytest.mark.parametrize(
    "formula",
    [
        f"y ~ {ATTACK} + C(district) + gender + (1 + x | state)",
        "y ~ np.load('canary', allow_pickle=True) + (1 | state)",
        "y ~ scale.__init__.__globals__ + (1 | state)",
        "y ~ I(scale.__init__.__globals__) + (1 | state)",
        "y ~ [c for c in ().__class__.__base__.__subclasses__()]",
        "__import__('os').system('touch canary') ~ x",
    ],
)
def test_formula_that_would_run_something_is_refused(formula: str, saved: bytes, put: Put) -> None:
    """Whoever writes the digest anew can write another formula, but no other functions."""

    def edit(content: Json) -> Json:
        content["design"]["formula"] = formula
        return json.loads(json.dumps(content).replace("scale(x)", formula.split(" + ")[0][4:]))

    path = put(with_json(saved, edit))
    with pytest.raises(FitError, match=r"\A`path` must name a file that Fit\.save wrote, got "):
        mrp.load_fit(path)
    assert not Path("canary").exists()


@pytest.mark.parametrize("number", [1, 2])
def test_file_of_an_older_format_can_not_say_more_than_its_formula(
    number: int, fit: Fit, tmp_path: Path
) -> None:
    path = fit.save(tmp_path / "fit.nc")
    as_old(
        path,
        fit.design,
        number,
        calls={'"source": "scale(x)"': json.dumps({"source": ATTACK})[1:-1]},
    )
    with pytest.raises(FitError):
        mrp.load_fit(path)
    path = fit.save(tmp_path / "fit.nc")
    as_old(path, fit.design, number, calls={"[0.0], [1.0]": "[0.0], [-1.0]"})
    with pytest.raises(FitError):
        mrp.load_fit(path)


def test_draws_must_be_of_the_design(saved: bytes, put: Put) -> None:
    def edit(tree: xr.DataTree) -> None:
        tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().drop_vars("gender"))

    path = put(with_tree(saved, edit))
    with pytest.raises(FitError) as error:
        mrp.load_fit(path)
    assert str(error.value).startswith(
        f"`path` must name a file that Fit.save wrote, got {str(path)!r}, which can't be read as "
        f"one (DataError: `draws` must have a variable for every term of the formula, lacks "
    )


# --- places that can't be written to --------------------------------------------------------------


def test_full_disk_ends_a_save_in_one_error(
    tmp_path: Path, limited: Callable[[str, Path], str]
) -> None:
    path = tmp_path / "fit.nc"
    path.write_text("old")
    said = limited(
        """
        import mrp
        fit = mrp.testing.example_fit()
        print(len(fit.parameters))
        try:
            fit.save(path)
        except OSError as error:
            print("not ours", error)
        """,
        path,
    )
    count, _, error = said.partition("\n")
    assert int(count) > 3
    assert error == (
        f"FitError: `path` must be a file that can be written, got {str(path)!r}: "
        f"{os.strerror(errno.EFBIG)}. The older file is as it was. Free some space, or choose "
        f"another place."
    )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 256 kB; of the system's, which only root can make."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        made = subprocess.run(options, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if made.returncode:
        pytest.skip("needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_fit_is_as_good_after_a_save_to_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    fit = fake_fit(FORMULA, SURVEY, family="bernoulli", draws=2000)
    path = small_disk / "fit.nc"
    path.write_text("old")
    message = (
        f"`path` must be a file that can be written, got {str(path)!r}: "
        f"{os.strerror(errno.ENOSPC)}. The older file is as it was. Free some space, or choose "
        f"another place."
    )
    for _ in range(3):
        with raises(FitError, message):
            fit.save(path)
    assert path.read_text() == "old"
    assert list(small_disk.iterdir()) == [path]
    loaded = mrp.load_fit(fit.save(tmp_path / "fit.nc"))
    xr.testing.assert_identical(loaded.parameters, fit.parameters)


def test_place_that_can_not_be_written_to_is_one_error_and_the_fit_stays(
    fit: Fit, tmp_path: Path
) -> None:
    with pytest.raises(FitError, match=os.strerror(errno.ENAMETOOLONG)):
        fit.save(tmp_path / ("x" * 300))
    gone = tmp_path / "gone"
    message = f"`path` must be in a folder that exists, got {str(gone)!r}. Create it."
    with raises(FitError, message):
        fit.save(gone / "fit.nc")
    message = "`path` must name a file, got '/dev/full', which is a device. Choose another name."
    with raises(FitError, message):
        fit.save("/dev/full")
    assert not list(tmp_path.iterdir())
    assert len(mrp.predictions(fit, newdata=FRAME)) == len(FRAME)


def test_folder_that_vanishes_while_a_fit_is_made_is_said(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    made = xr.DataTree.to_netcdf

    def vanish(tree: xr.DataTree, *arguments: Any, **options: Any) -> Any:
        folder.rmdir()
        return made(tree, *arguments, **options)

    monkeypatch.setattr(xr.DataTree, "to_netcdf", vanish)
    message = f"`path` must be in a folder that exists, got {str(folder)!r}. Create it."
    with raises(FitError, message):
        fit.save(folder / "fit.nc")
