"""What is kept of compiled code: as long as no file changes, and never needed."""

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numba import types
from numba.core.caching import IndexDataCacheFile

from mrp.errors import EngineWarning, warn_once
from mrp.model.kernel import machine_code
from mrp.model.kernel.machine_code import NOT_KEPT, compiled
from tests.messages import warns

KERNEL = Path(machine_code.__file__).parent
SIGNATURE = types.double(types.double)
MEAN_OF_ONE_COUNT = """
import ctypes
import numpy as np
from mrp.model.kernel import header
from mrp.model.kernel.machine_code import compiled
from mrp.model.kernel.stages import arithmetic, likelihood

code = compiled(arithmetic.STAGE, **header.OPTIONS)(likelihood.poisson)
ints, floats = np.zeros(header.HEADER, dtype=np.int64), np.array([0.0, 1.0])
ints[[header.ROWS, header.LINK]] = 1, header.LOG
ints[[header.AT_MEAN, header.AT_TRIALS]] = 1
work = np.array([2.0, 0.0])
call = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_void_p] * 6)(code.address)
index = np.zeros(1, dtype=np.int32)
arrays = (work, work, ints, index, floats, work)
print(code._cache_hits, -call(*(array.ctypes.data for array in arrays)))
"""
"""Prints whether a stage was in the cache, and the mean of a count whose logarithm is 2."""


def doubled(x):
    return 2.0 * x


@pytest.fixture
def places(monkeypatch):
    """Folders that are tried, in place of the usual ones; messages are said again."""
    monkeypatch.setattr(machine_code._Places, "_locator_classes", [])
    warn_once.cache_clear()
    yield machine_code._Places._locator_classes
    warn_once.cache_clear()


@pytest.fixture
def temporary(places, monkeypatch, tmp_path):
    """The folder that is left where no other can be written to."""
    places.append(machine_code._Temporary)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"mrp-{os.getuid()}"


def said_of(folder):
    return (
        f"Compiled code is kept in {str(folder)!r} for now, since neither the package's folder nor "
        f"a cache of the user's can be written to. Set the environment variable NUMBA_CACHE_DIR to "
        f"a folder that can be written to, and it stays there."
    )


def test_an_edit_of_any_file_that_code_is_made_of_compiles_it_again(tmp_path):
    package = tmp_path / "mrp"
    kernel = package / "model" / "kernel"
    kernel.mkdir(parents=True)
    (kernel / "stages").mkdir()
    for folder in (package, package / "model", kernel, kernel / "stages"):
        (folder / "__init__.py").touch()
    for name in ("errors.py", "words.py"):
        shutil.copy(KERNEL.parents[1] / name, package)
    stages = ("stages/arithmetic.py", "stages/likelihood.py", "stages/loops.py")
    for name in ("header.py", "machine_code.py", *stages):
        shutil.copy(KERNEL / name, kernel / name)

    def run():
        options = {"capture_output": True, "text": True, "check": True, "cwd": tmp_path}
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": ""}
        command = [sys.executable, "-W", "error", "-c", MEAN_OF_ONE_COUNT]
        hits, mean = subprocess.run(command, env=environment, **options).stdout.split()
        return int(hits), float(mean)

    assert run() == (0, pytest.approx(7.38905609893065))
    assert len(list(kernel.glob("stages/__pycache__/likelihood.poisson-*.nbi"))) == 1
    arithmetic = kernel / "stages" / "arithmetic.py"
    text = arithmetic.read_text()
    last = "    return series * _as_double((_as_bits(shifted) + 1023) << 52)"
    assert text.count(last) == 1
    arithmetic.write_text(text.replace(last, last.replace("return ", "return 3.0 * ")))
    assert run() == (0, pytest.approx(3 * 7.38905609893065))


def test_where_nothing_can_be_written_code_is_kept_in_a_folder_of_the_users_own(temporary):
    with warns(EngineWarning, said_of(temporary)) as caught:
        first, second = (compiled(SIGNATURE)(doubled) for _ in range(2))
    assert len(caught) == 1
    assert (first._cache_hits, second._cache_hits) == (0, 1)
    assert first.ctypes(1.5) == second.ctypes(1.5) == 3.0
    assert temporary.stat().st_mode & 0o777 == 0o700
    assert sorted(file.suffix for file in temporary.glob("*/*")) == [".nbc", ".nbi"]


@pytest.mark.parametrize("kind", ["link", "file", "open to others"])
def test_a_folder_that_others_can_write_to_is_not_used(kind, temporary, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        temporary.symlink_to(elsewhere)
    elif kind == "file":
        temporary.touch()
    else:
        temporary.mkdir()
        temporary.chmod(0o777)
    with warns(EngineWarning, NOT_KEPT):
        code = compiled(SIGNATURE)(doubled)
    assert code.ctypes(1.5) == 3.0
    assert not list(elsewhere.iterdir())
    assert not temporary.is_dir() or not list(temporary.iterdir())


def test_without_any_folder_code_is_compiled_each_time(places):
    message = (
        "Compiled code can't be kept, so that every process compiles for some seconds: no folder "
        "can be written to, or the disk is full. Set the environment variable NUMBA_CACHE_DIR to a "
        "folder that can be written to."
    )
    with warns(EngineWarning, message) as caught:
        first, second = (compiled(SIGNATURE)(doubled) for _ in range(2))
    assert len(caught) == 1
    assert (first._cache_hits, second._cache_hits) == (0, 0)
    assert first.ctypes(1.5) == second.ctypes(1.5) == 3.0


@pytest.mark.filterwarnings("ignore::mrp.errors.EngineWarning")
@pytest.mark.parametrize("ending", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("length", [0, 30, 300])
def test_a_file_that_is_cut_off_is_written_again(ending, length, temporary):
    compiled(SIGNATURE)(doubled)
    (file,) = temporary.glob(f"*/{ending}")
    file.write_bytes(file.read_bytes()[:length])
    again, after = (compiled(SIGNATURE)(doubled) for _ in range(2))
    assert (again._cache_hits, after._cache_hits) == (0, 1)
    assert again.ctypes(1.5) == after.ctypes(1.5) == 3.0


def said_of_files(folder, why):
    (inside,) = folder.iterdir()
    return (
        f"Compiled code in {str(inside)!r} is compiled anew, since a file {why}. If this is said "
        f"again, remove the folder."
    )


@pytest.fixture
def kept(temporary):
    """A folder with the code of a function, of which it was said that it is a temporary one."""
    with pytest.warns(EngineWarning, match="Compiled code is kept in"):
        compiled(SIGNATURE)(doubled)
    return temporary


class Planted:
    """What runs something where it is unpickled."""

    def __init__(self, at):
        self.at = at

    def __reduce__(self):
        return Path.touch, (self.at,)


def changed(file, kind):
    """Put something else where a file of compiled code is."""
    data = file.read_bytes()
    if kind == "bit":
        at = len(data) // 2
        data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    elif kind == "random":
        data = np.random.default_rng(1).bytes(len(data))
    elif kind == "pickle":
        data = pickle.dumps(Planted(file.parents[2] / "planted"))
    elif kind == "of another":
        data = next(other for other in file.parent.iterdir() if other != file).read_bytes()
    else:
        data = b""
    file.write_bytes(data)


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("kind", ["empty", "bit", "random", "pickle", "of another"])
def test_a_file_that_is_not_as_it_was_written_is_not_read_but_made_again(kind, ending, kept):
    (file,) = kept.glob(f"*/*.{ending}")
    changed(file, kind)
    with warns(EngineWarning, said_of_files(kept, "is damaged")) as caught:
        again, after = (compiled(SIGNATURE)(doubled) for _ in range(2))
    assert len(caught) == 1
    assert (again._cache_hits, after._cache_hits) == (0, 1)
    assert again.ctypes(1.5) == after.ctypes(1.5) == 3.0
    assert not (kept.parent / "planted").exists()


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("kind", ["others may write", "pipe"])
def test_a_file_that_somebody_else_may_have_written_is_not_read_but_made_again(kind, ending, kept):
    (file,) = kept.glob(f"*/*.{ending}")
    if kind == "pipe":
        file.unlink()
        os.mkfifo(file)
    else:
        file.chmod(0o666)
    with warns(EngineWarning, said_of_files(kept, "may be from somebody else")):
        again, after = (compiled(SIGNATURE)(doubled) for _ in range(2))
    assert (again._cache_hits, after._cache_hits) == (0, 1)
    assert again.ctypes(1.5) == 3.0
    assert file.is_file()
    assert not file.stat().st_mode & 0o002


def test_a_file_of_another_user_is_not_read(kept, monkeypatch):
    real, theirs = os.fstat, {file.stat().st_ino for file in kept.glob("*/*")}

    def others(number):
        found = real(number)
        return os.stat_result([*found[:4], 4321, *found[5:]]) if found.st_ino in theirs else found

    monkeypatch.setattr(machine_code.os, "fstat", others)
    with warns(EngineWarning, said_of_files(kept, "may be from somebody else")):
        code = compiled(SIGNATURE)(doubled)
    assert code._cache_hits == 0
    assert code.ctypes(1.5) == 3.0


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_folder_in_place_of_a_file_stops_nothing(ending, kept):
    (file,) = kept.glob(f"*/*.{ending}")
    file.unlink()
    file.mkdir()
    with pytest.warns(EngineWarning, match="Compiled code"):
        code = compiled(SIGNATURE)(doubled)
    assert code._cache_hits == 0
    assert code.ctypes(1.5) == 3.0
    assert file.is_dir()


def test_what_killed_writers_left_is_removed_when_the_file_is_written(kept):
    (file,) = kept.glob("*/*.nbi")
    old, new = (file.with_name(f"{file.name}.tmp.{name}") for name in ("old", "new"))
    for part in (old, new):
        part.touch()
    os.utime(old, (0, 0))
    file.unlink()
    compiled(SIGNATURE)(doubled)
    assert file.is_file()
    assert (old.exists(), new.exists()) == (False, True)


COMPILE = """
from numba import types
from mrp.model.kernel.machine_code import compiled
from tests.model.test_machine_code import doubled
print(compiled(types.double(types.double))(doubled).ctypes(1.5))
"""


def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", COMPILE]
    options = {"env": environment, "cwd": KERNEL.parents[2], "stdout": subprocess.PIPE}
    runs = [subprocess.Popen(command, text=True, **options) for _ in range(3)]
    assert [run.communicate()[0] for run in runs] == ["3.0\n"] * 3
    assert sorted(file.suffix for file in tmp_path.glob("*/*")) == [".nbc", ".nbi"]


@pytest.mark.filterwarnings("ignore::mrp.errors.EngineWarning")
def test_code_of_other_sources_is_never_taken_even_if_writing_was_cut_short(temporary, monkeypatch):
    compiled(SIGNATURE)(doubled)
    monkeypatch.setattr(machine_code, "SOURCES", "0123456789abcdef0123")
    monkeypatch.setattr(IndexDataCacheFile, "_save_data", lambda *_: None)
    first, second = (compiled(SIGNATURE)(doubled) for _ in range(2))
    assert (first._cache_hits, second._cache_hits) == (0, 0)


@pytest.mark.filterwarnings("ignore::mrp.errors.EngineWarning")
def test_a_full_disk_does_not_stop_anything(temporary, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "save", full)
    assert compiled(SIGNATURE)(doubled).ctypes(1.5) == 3.0
