"""kill -9 at random times while files are written, in processes that are cheap to start.

Each place has work that goes on in a process of its own until that is killed. Afterwards the old
or the new file is whole, the next start leaves nothing lying about, and what is resumed ends in the
same numbers.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
from typer.testing import CliRunner

import mrp
from mrp.cli import app
from mrp.model.kernel import run as _kernel  # noqa: F401 -- loaded before processes are forked
from mrp.testing import fake_draws

HERE = get_context("forkserver")
HERE.set_forkserver_preload([__name__])
"""Children are forked from a process that has loaded everything and runs no threads yet."""
GONE = 60
"""Seconds in which processes must have ended; they take about one."""
WAIT = 2.0
"""Seconds in which a file to be killed in is waited for."""
PATIENCE = 120
"""Seconds in which a child must have begun."""
TINY = {"draws": 20, "tune": 20, "chains": 1, "progress": False}


def _survey() -> pd.DataFrame:
    rng, n = np.random.default_rng(1), 120
    return pd.DataFrame({"y": rng.integers(0, 2, n), "g": rng.choice(list("abcde"), n)})


def _model() -> mrp.Model:
    priors = {"defaults": "brms", "Intercept": "normal(0, 1)"}
    return mrp.Model("y ~ 1 + (1 | g)", _survey(), family="bernoulli", priors=priors)


def _fit(seed: int) -> mrp.Fit:
    model = _model()
    return mrp.Fit.from_draws(model, fake_draws(model.design, draws=500, seed=seed))


# --- the places: what goes on, and what must hold afterwards --------------------------------------


def _save(folder: Path, ready: Callable[[], None]) -> None:
    """Two fits saved in turn."""
    fits = [mrp.load_fit(folder / f"{name}.nc") for name in ("one", "two")]
    ready()
    while True:
        for fit in fits:
            fit.save(folder / "fit.nc")


def _before_save(folder: Path) -> None:
    for seed, name in enumerate(("one", "two", "fit")):
        _fit(seed % 2).save(folder / f"{name}.nc")


def _after_save(folder: Path) -> None:
    fits = {name: mrp.load_fit(folder / f"{name}.nc") for name in ("one", "two", "fit")}
    known = {fits["one"].fingerprint, fits["two"].fingerprint}
    assert fits["fit"].fingerprint in known
    fits["one"].save(folder / "fit.nc")
    _only(folder, "fit.nc", "one.nc", "two.nc")


def _sampling(folder: Path, ready: Callable[[], None]) -> None:
    """A model sampled again and again, in a folder that temporary files would go to."""
    tempfile.tempdir = str(folder)
    os.chdir(folder)
    model = _model()
    ready()
    while True:
        with _quietly():
            model.sample(**{**TINY, "draws": 300, "chains": 2})


def _after_sampling(folder: Path) -> None:
    _only(folder)


def _recovery(folder: Path, ready: Callable[[], None], processes: int = 1) -> None:
    """One run, and the same again from the start when it is done."""
    ready()
    while True:
        _recovered(folder / "recovery", processes)
        for file in (folder / "recovery").iterdir():
            file.unlink()


def _recovery_by_workers(folder: Path, ready: Callable[[], None]) -> None:
    _recovery(folder, ready, processes=2)


def _recovered(path: Path, processes: int = 1) -> pd.DataFrame:
    with _quietly():
        found = mrp.recover(
            _model(), {"mean": mrp.avg_predictions}, surveys=4, seed=3, rank_draws=9, path=path,
            processes=processes, **TINY,
        )  # fmt: skip
    return found.table.drop(columns="seconds")


def _before_recovery(folder: Path) -> None:
    _recovered(folder / "whole")


def _after_recovery(folder: Path) -> None:
    path = folder / "recovery"
    if path.is_dir() and not (path / "request.json").exists():
        assert not list(path.glob("survey*"))
    for file in path.glob("survey*"):
        assert pq.read_table(file).num_rows == 2
    whole = _recovered(folder / "whole")
    pd.testing.assert_frame_equal(_recovered(path), whole, check_exact=True)
    _only(path, "request.json", *[f"survey-{k:05d}.parquet" for k in range(4)])


def _poststratify(folder: Path, ready: Callable[[], None]) -> None:
    """The shell's estimates with one seed and another, in turn."""
    ready()
    while True:
        for seed in (1, 2):
            _estimated(folder, seed, "out")


def _estimated(folder: Path, seed: int, name: str) -> None:
    arguments = ["poststratify", "survey.csv", "frame.csv", "--formula", "y ~ 1 + (1 | g)",
                 "--weights", "n", "--by", "g", "--out", f"{name}.csv", "--save-fit", f"{name}.nc",
                 "--draws", "20", "--tune", "20", "--chains", "1", "--seed", str(seed)]  # fmt: skip
    before = Path.cwd()
    os.chdir(folder)
    try:
        with _quietly():
            result = CliRunner().invoke(app, arguments)
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.output


def _before_poststratify(folder: Path) -> None:
    survey = _survey()
    survey.to_csv(folder / "survey.csv", index=False)
    pd.DataFrame({"g": list("abcde"), "n": range(1, 6)}).to_csv(folder / "frame.csv", index=False)
    for seed, name in ((1, "one"), (2, "two"), (1, "out")):
        _estimated(folder, seed, name)


def _after_poststratify(folder: Path) -> None:
    tables = {name: (folder / f"{name}.csv").read_bytes() for name in ("one", "two", "out")}
    assert tables["out"] in (tables["one"], tables["two"])
    fits = {name: mrp.load_fit(folder / f"{name}.nc").fingerprint for name in ("one", "two", "out")}
    assert fits["out"] in (fits["one"], fits["two"])
    _estimated(folder, 2, "out")
    assert (folder / "out.csv").read_bytes() == tables["two"]
    ends = [f"{name}.{end}" for name in ("one", "two", "out") for end in ("csv", "nc")]
    _only(folder, "survey.csv", "frame.csv", *ends)


@dataclass(frozen=True)
class Place:
    """Where a process is killed.

    Parameters
    ----------
    works
        What goes on in a folder; it is given what it must call when it has begun.
    before, after
        What makes the folder's files, and what checks and restores them after a kill.
    seconds
        A kill comes within so many from the beginning.
    """

    works: Callable[[Path, Callable[[], None]], None]
    before: Callable[[Path], None]
    after: Callable[[Path], None]
    seconds: float


PLACES = {
    "save": Place(_save, _before_save, _after_save, 0.3),
    "sampling": Place(_sampling, lambda _: None, _after_sampling, 1.0),
    "recovery": Place(_recovery, _before_recovery, _after_recovery, 3.0),
    "mrp poststratify": Place(_poststratify, _before_poststratify, _after_poststratify, 2.0),
}
BY_WORKERS = Place(_recovery_by_workers, _before_recovery, _after_recovery, 12.0)
"""Recovery in worker processes, which take some seconds to begin."""
HALF = "in the middle of a file"
EACH = 10
"""One in so many recoveries is by workers."""


# --- the kills ------------------------------------------------------------------------------------


def run(count: int, seed: int) -> dict[str, int]:
    """Kill so many processes, as many in each place, and check what they leave.

    Parameters
    ----------
    count
        Of kills, in all places together.
    seed
        Makes the times of the kills; what the process is at then is up to the machine. Each second
        kill waits, from then on, for the next file that is begun.

    Returns
    -------
    Kills by place; and how many of them left a part of a file, which the next start removed.

    Raises
    ------
    AssertionError
        A file is neither the old nor the new one, or something is left.
    """
    kills = {**dict.fromkeys(PLACES, 0), HALF: 0}
    for name, place in PLACES.items():
        rng = np.random.default_rng((seed, *name.encode()))
        with tempfile.TemporaryDirectory() as folder:
            place.before(Path(folder))
            for number in range(count // len(PLACES)):
                own = BY_WORKERS if name == "recovery" and number % EACH == EACH - 1 else place
                seconds = float(rng.uniform(0, own.seconds))
                in_file = number % 2 == 1 and name != "sampling"
                try:
                    half_done = _killed(own, Path(folder), seconds, in_file=in_file)
                except Exception as error:
                    error.add_note(f"{name}, kill {number} after {seconds:.3f} s, seed {seed}")
                    raise
                kills[name] += 1
                kills[HALF] += half_done
    return kills


def _killed(place: Place, folder: Path, seconds: float, *, in_file: bool) -> bool:
    """Kill one process and check what it leaves; whether it left a file that it was writing.

    Where it is to be killed while it writes one, the next file that it begins is waited for.
    """
    here, there = HERE.Pipe()
    child = HERE.Process(target=_child, args=(place.works, folder, there))
    child.start()
    there.close()
    assert here.poll(PATIENCE), "the process did not begin"
    assert here.recv() == "ready"
    time.sleep(seconds)
    if in_file:
        _wait_for_part(folder)
    assert child.is_alive(), "the process ended by itself"
    processes = _descendants(child.pid)
    child.kill()
    child.join()
    _, alive = psutil.wait_procs(processes, timeout=GONE)
    assert not alive, f"processes are left: {alive}"
    half_done = any(folder.rglob("*.part"))
    place.after(folder)
    return half_done


def _wait_for_part(folder: Path) -> None:
    """Return as soon as a file is being written, or after some seconds if none is."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until and not any(folder.rglob("*.part")):
        pass


def _child(
    works: Callable[[Path, Callable[[], None]], None], folder: Path, pipe: Connection
) -> None:
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # what loky says of a parent that was killed
    works(folder, lambda: pipe.send("ready"))


def _descendants(pid: int | None) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _only(folder: Path, *names: str) -> None:
    """Nothing but these files is in a folder."""
    assert sorted(item.name for item in folder.iterdir()) == sorted(names)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
