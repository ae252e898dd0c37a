"""Files of tables: which can be read and written, and how they are written."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from mrp import files
from mrp.errors import DataError, FitError, RequestError
from mrp.files import (
    check_source,
    check_target,
    check_targets,
    complete,
    extension_of,
    path_of,
    write_table,
)


def test_file_without_a_near_name_is_said_not_to_exist(tmp_path: Path) -> None:
    path = tmp_path / "quite_another.csv"
    with pytest.raises(DataError) as error:
        check_source(path, "FRAME")
    assert str(error.value) == f"`FRAME` must be a file that exists, got {str(path)!r}."


@pytest.mark.parametrize("name", ["table.csv", "TABLE.CSV"])
def test_extension_is_told_whatever_its_case(name: str, tmp_path: Path) -> None:
    path = write_table(pd.DataFrame({"x": [1]}), tmp_path / name)
    assert check_source(path, "SURVEY") == ".csv"


def test_extension_is_needed() -> None:
    with pytest.raises(RequestError) as error:
        extension_of(Path("table"), "--out")
    assert str(error.value) == (
        "`--out` must be a file with a known extension, got 'table'. "
        "Available: ['.csv', '.parquet']."
    )


def test_same_file_under_another_name_is_recognised(tmp_path: Path) -> None:
    source, target = tmp_path / "frame.csv", tmp_path / "there" / ".." / "frame.csv"
    (tmp_path / "there").mkdir()
    with pytest.raises(RequestError) as error:
        check_targets({"--out": target}, sources=[source])
    assert str(error.value) == (
        f"`--out` must be a file of its own, got {str(target)!r}, which is read. "
        f"Choose another name."
    )


def test_folder_that_may_not_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(RequestError) as error:
        check_targets({"--out": tmp_path / "out.csv"}, sources=[])
    assert str(error.value) == (
        f"`--out` must be in a folder that can be written to, got {str(tmp_path)!r}. "
        f"Choose another one."
    )


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (5, "int (5)"),
        (None, "NoneType (None)"),
        (b"fit.nc", "bytes (b'fit.nc')"),
        (["fit.nc"], "list (['fit.nc'])"),
    ],
)
def test_what_is_no_name_of_a_file_is_refused(value: object, got: str) -> None:
    with pytest.raises(FitError) as error:
        path_of(value, "path", FitError)
    assert str(error.value) == (
        f"`path` must be the name of a file, as text or as a Path, got {got}. "
        f"Write a name: 'fit.nc'."
    )


@pytest.mark.parametrize(
    ("value", "got"), [("", "an empty text"), ("a\0b", "a text with the character NUL")]
)
def test_text_that_names_no_file_is_refused(value: str, got: str) -> None:
    with pytest.raises(RequestError) as error:
        path_of(value, "path")
    assert str(error.value) == (
        f"`path` must be the name of a file, got {got}. Write a name: 'fit.nc'."
    )


# --- writing --------------------------------------------------------------------------------------


def test_older_file_survives_a_failure_and_no_part_is_left(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        _fail_in_the_middle(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _fail_in_the_middle(path: Path) -> None:
    with complete(path) as file:
        file.write(b"new, but not ")
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (errno.ENOSPC, "Free some space, or choose another place."),
        (errno.EDQUOT, "Free some space, or choose another place."),
        (errno.EIO, "Choose another place."),
        (errno.ENOENT, "Create its folder, or choose another place."),
    ],
)
@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_failure_of_the_system_is_one_error_and_nothing_is_lost(
    number: int, step: str, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*((os, "fsync", fail) if when == "fsync" else (Path, "replace", fail)))
    path = tmp_path / "out.csv"
    for kept in ("There is no new file.", "The older file is as it was."):
        with pytest.raises(RequestError) as error:
            write_table(pd.DataFrame({"x": [1]}), path, "--out")
        assert str(error.value) == (
            f"`--out` must be a file that can be written, got {str(path)!r}: "
            f"{os.strerror(number)}. {kept} {step}"
        )
        path.write_text("old")
    assert list(tmp_path.iterdir()) == [path]


def test_name_that_is_too_long_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300 + ".csv")
    with pytest.raises(RequestError) as error:
        check_targets({"--out": path}, sources=[])
    shown = repr(f"{str(path)[:100]} … {str(path)[-100:]}")
    assert str(error.value) == (
        f"`--out` must be a file that can be written, got {shown}: "
        f"{os.strerror(errno.ENAMETOOLONG)}. There is no new file. Choose a shorter name."
    )


@pytest.mark.parametrize("letter", ["x", "é", "字", "🗳"])
def test_longest_name_of_the_system_can_be_written(letter: str, tmp_path: Path) -> None:
    path = tmp_path / (letter * (250 // len(letter.encode())) + ".csv")
    with complete(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)  # names of sockets must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("bound")
        yield tmp_path / "bound"


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a socket"])
def test_device_is_not_replaced_by_a_file(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    names = {"a pipe": "pipe", "a socket": "bound"}
    path = request.getfixturevalue(names[kind]) if kind in names else Path("/dev/full")
    before = path.stat()
    link = tmp_path / "link"
    link.symlink_to(path)
    for target in (path, link):
        with pytest.raises(RequestError) as error:
            write_table(pd.DataFrame({"x": [1]}), target)
        assert str(error.value) == (
            f"`path` must name a file, got {str(target)!r}, which is {kind}. Choose another name."
        )
    assert path.stat() == before


def test_link_stays_and_the_file_that_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "out.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    with complete(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(tmp_path.rglob("*")) == sorted([target.parent, target, link])


def test_link_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(link)
    with pytest.raises(RequestError) as error:
        check_target(link, "path")
    assert str(error.value) == (
        f"`path` must be a file that can be written, got {str(link)!r}: "
        f"{os.strerror(errno.ELOOP)}. There is no new file. Choose another place."
    )


def test_folder_that_the_link_names_must_be_there(tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "nowhere" / "out.csv")
    with pytest.raises(RequestError) as error:
        check_target(link, "path")
    assert str(error.value) == (
        f"`path` must be in a folder that exists, got {str(tmp_path / 'nowhere')!r}. Create it."
    )


def test_planted_link_under_a_temporary_name_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
    planted = tmp_path / f".out.csv.mrp-{'0' * 16}.part"
    planted.symlink_to(victim)
    with pytest.raises(RequestError) as error:
        write_table(pd.DataFrame({"x": [1]}), tmp_path / "out.csv")
    assert os.strerror(errno.EEXIST) in str(error.value)
    assert victim.read_text() == "untouched"
    assert planted.is_symlink()


def test_protected_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    monkeypatch.setattr("os.access", lambda name, _: Path(name).is_dir())
    with pytest.raises(RequestError) as error:
        check_targets({"--out": path}, sources=[])
    assert str(error.value) == (
        f"`--out` must name a file that may be written to, got {str(path)!r}, which is protected. "
        f"Choose another name, or change its permissions."
    )


def test_permissions_are_those_of_the_older_file_or_the_usual_ones(tmp_path: Path) -> None:
    path, usual = tmp_path / "out.csv", tmp_path / "usual"
    for mode in (0o600, 0o666):
        path.write_text("old")
        path.chmod(mode)
        write_table(pd.DataFrame({"x": [1]}), path)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    path.unlink()
    usual.touch()
    write_table(pd.DataFrame({"x": [1]}), path)
    assert path.stat().st_mode == usual.stat().st_mode


_WRITER = """
import sys, time
from pathlib import Path
from mrp.files import complete
with complete(Path(sys.argv[1])) as file:
    file.write(b"half of it")
    file.flush()
    print("writing", flush=True)
    sys.stdin.readline()
    file.write(b", and the rest")
"""


def _writer(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def test_part_of_a_killed_writer_is_swept_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    killed, living = _writer(tmp_path / "killed.csv"), _writer(tmp_path / "living.csv")
    killed.kill()
    killed.communicate()
    names = {item.name.split(".mrp-")[0] for item in tmp_path.iterdir()}
    assert names == {".killed.csv", ".living.csv"}
    write_table(pd.DataFrame({"x": [1]}), tmp_path / "other.csv")
    assert {item.name.split(".mrp-")[0] for item in tmp_path.iterdir()} == {
        ".living.csv",
        "other.csv",
    }
    living.communicate("go on\n")
    assert living.returncode == 0
    assert (tmp_path / "living.csv").read_text() == "half of it, and the rest"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["living.csv", "other.csv"]


def test_files_of_others_are_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    digits = "0123456789abcdef"
    keep = [".part", "x.part", f"x.mrp-{digits}.part", f".x.mrp-{digits}.par", ".x.mrp-0.part"]
    for name in keep:
        Path(name).touch()
    Path(f".folder.mrp-{digits}.part").mkdir()
    Path(f".link.mrp-{digits}.part").symlink_to("x.part")
    os.mkfifo(f".pipe.mrp-{digits}.part")
    before = _names()
    write_table(pd.DataFrame({"x": [1]}), Path("out.csv"))
    assert _names() == sorted([*before, "out.csv"])


def test_system_without_locks_writes_files_and_sweeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "fcntl", None)  # as on Windows
    part = tmp_path / f".out.csv.mrp-{'0' * 16}.part"
    part.touch()
    path = write_table(pd.DataFrame({"x": [1]}), tmp_path / "out.csv")
    assert path.read_text() == "x\n1\n"
    assert sorted(tmp_path.iterdir()) == sorted([part, path])


def _names() -> list[str]:
    return sorted(item.name for item in Path().iterdir())


def test_part_that_was_swept_before_it_was_locked_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = files._is_ours, []

    def later(number: int, part: Path) -> bool:
        if not swept:
            swept.append(part)
            part.unlink()
        return lock(number, part)

    monkeypatch.setattr(files, "_is_ours", later)
    with complete(tmp_path / "out.csv") as file:
        file.write(b"new")
    assert (tmp_path / "out.csv").read_bytes() == b"new"
    assert [item.name for item in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_table_in_a_full_disk_is_one_error(
    extension: str, tmp_path: Path, limited: Callable[[str, Path], str]
) -> None:
    path = tmp_path / f"out.{extension}"
    path.write_text("old")
    said = limited(
        """
        import numpy as np, pandas as pd
        from mrp.files import write_table
        table = pd.DataFrame({"x": np.random.default_rng(1).normal(size=200_000)})
        write_table(table, path)
        """,
        path,
    )
    assert said == (
        f"RequestError: `path` must be a file that can be written, got {str(path)!r}: "
        f"{os.strerror(errno.EFBIG)}. The older file is as it was. Free some space, or choose "
        f"another place."
    )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
