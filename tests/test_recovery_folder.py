"""The folder of a recovery: files are those of its own surveys, or made again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mrp
from mrp.errors import FitError, RequestError, SamplingWarning
from mrp.model import Model
from mrp.recovery import folder as folders
from mrp.recovery import workers
from mrp.recovery.kept import KEY
from tests.messages import raises, warns
from tests.test_recovery import made, nation, prior_draws

OPTIONS = {"surveys": 4, "draws": 20, "chains": 2, "rank_draws": 9, "processes": 1}


@pytest.fixture(autouse=True)
def sampled(monkeypatch):
    """Draws of the prior in place of the sampler; a list of the seeds of what was sampled."""
    seeds = []

    def sample(self, **options):
        seeds.append(options["seed"])
        return prior_draws(self, **options)

    monkeypatch.setattr(Model, "sample", sample)
    return seeds


MODEL = made()


def recovered(path, **options):
    return mrp.recover(MODEL, {"nation": nation}, path=path, **{**OPTIONS, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with four surveys, and their table: don't change it."""
    path = tmp_path_factory.mktemp("whole") / "recovery"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "sample", prior_draws)
        return path, recovered(path).table


@pytest.fixture
def begun(whole, tmp_path):
    """A copy of that folder, and the table."""
    path = tmp_path / "recovery"
    shutil.copytree(whole[0], path)
    return path, whole[1]


def file_of(path, number):
    return path / f"survey-{number:05d}.parquet"


def edited(file, change):
    """Write a survey's file again with other rows under the same text about it."""
    table = pq.read_table(file)
    rows = change(table.to_pandas())
    about = {KEY: table.schema.metadata[KEY]}
    new = pa.Table.from_pandas(rows, preserve_index=False)
    pq.write_table(new.replace_schema_metadata({**new.schema.metadata, **about}), file)


def said(file, **changes):
    """Change what a survey's file says of itself."""
    table = pq.read_table(file)
    about = {**json.loads(table.schema.metadata[KEY]), **changes}
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(about)}), file)


DAMAGE = {
    "that of another survey": (
        lambda file: shutil.copy(file_of(file.parent, 3), file),
        "is that of survey 3",
    ),
    "fewer rows": (lambda file: edited(file, lambda rows: rows[:1]), "has 1 of 2 rows"),
    "no rows": (lambda file: edited(file, lambda rows: rows[:0]), "has 0 of 2 rows"),
    "more rows": (
        lambda file: edited(file, lambda rows: pd.concat([rows, rows])),
        "has 4 of 2 rows",
    ),
    "other labels": (
        lambda file: edited(file, lambda rows: rows.assign(label="x")),
        "has other labels",
    ),
    "other columns": (
        lambda file: edited(file, lambda rows: rows.drop(columns="rank")),
        "has other columns",
    ),
    "text for numbers": (
        lambda file: edited(file, lambda rows: rows.assign(truth="x")),
        "can't be read",
    ),
    "edited numbers": (
        lambda file: edited(file, lambda rows: rows.assign(estimate=0.5)),
        "was changed",
    ),
    "an edited reason": (
        lambda file: edited(file, lambda rows: rows.assign(failure="no")),
        "was changed",
    ),
    "another number in the rows": (
        lambda file: edited(file, lambda rows: rows.assign(survey=3)),
        "was changed",
    ),
    "truncated": (lambda file: file.write_bytes(file.read_bytes()[:-100]), "can't be read"),
    "empty": (lambda file: file.write_bytes(b""), "can't be read"),
    "random bytes": (
        lambda file: file.write_bytes(np.random.default_rng(1).bytes(5000)),
        "can't be read",
    ),
    "another table": (
        lambda file: pd.DataFrame({"x": [1]}).to_parquet(file),
        "doesn't say what it is",
    ),
    "a newer format": (lambda file: said(file, format=4), "has the format 4"),
    "another request": (lambda file: said(file, request="0"), "is of another request"),
    "no digest": (lambda file: said(file, digest=None), "was changed"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_does_not_fit_is_made_again_with_a_warning(damage, begun, sampled):
    path, table = begun
    damaged, why = DAMAGE[damage]
    damaged(file_of(path, 1))
    message = (
        f"Of the files in {str(path)!r}, 1 are not those of this request's surveys, which are made "
        f"again: 1 {why}."
    )
    with warns(SamplingWarning, message) as caught:
        again = recovered(path).table
    assert len(caught) == 1
    assert len(sampled) == 1
    pd.testing.assert_frame_equal(again, table, check_exact=True)
    request, labels = request_of(path)
    rows = folders.Survey(1, request, labels).read(file_of(path, 1))
    own = table[table["survey"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, own, check_exact=True)


def test_files_that_do_not_fit_are_named_in_one_warning(begun, sampled):
    path, table = begun
    file_of(path, 0).write_bytes(b"")
    shutil.copy(file_of(path, 3), file_of(path, 2))
    message = (
        f"Of the files in {str(path)!r}, 2 are not those of this request's surveys, which are made "
        f"again: 0 can't be read, 2 is that of survey 3."
    )
    with warns(SamplingWarning, message) as caught:
        again = recovered(path).table
    assert len(caught) == 1
    assert len(sampled) == 2
    pd.testing.assert_frame_equal(again, table, check_exact=True)


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_never_changes_what_is_recovered(begun, seed):
    path, table = begun
    file, rng = file_of(path, 1), np.random.default_rng(seed)
    data = bytearray(file.read_bytes())
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    file.write_bytes(bytes(data))
    rows = None
    try:
        rows = folders.Survey(1, *request_of(path)).read(file)
    except folders.UnfitError:
        return
    own = table[table["survey"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, own, check_exact=True)


def request_of(path):
    """What tells the request of a folder, and its labels."""
    about = json.loads(pq.read_schema(file_of(path, 0)).metadata[KEY])
    labels = json.loads((path / "request.json").read_text())["labels"]
    return about["request"], {name: tuple(own) for name, own in labels.items()}


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_file_of_a_survey_is_refused_and_stays(kind, begun, sampled):
    path, _ = begun
    file = file_of(path, 1)
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(path / "elsewhere")
    message = f"`path` must have files of surveys, got {str(file)!r}, which is no file. Remove it."
    with raises(RequestError, message):
        recovered(path)
    assert not sampled
    assert os.path.lexists(file)
    assert not file.is_file()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is damaged"),
        ('{"format": 3, "mod', "is damaged"),
        ("[" * 100_000, "is damaged"),
        (b"\xff\xfe\x00{", "is damaged"),
        ("[1, 2]", "says something else"),
        ("5", "says something else"),
        ("{}", "says something else"),
        ('"' + "x" * 2_000_000 + '"', "says something else"),
        (None, "is no file"),
    ],
    ids=str,
)
def test_a_request_that_is_none_is_refused(text, why, begun, sampled):
    path, _ = begun
    file = path / "request.json"
    if text is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    message = (
        f"`path` must be the folder of an earlier run, got {str(path)!r}, where 'request.json' "
        f"{why}. Choose another folder, or delete this one."
    )
    with raises(RequestError, message):
        recovered(path)
    assert not sampled


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"format": 2}, "format 2 there, 3 now"),
        ({"format": 4}, "format 4 there, 3 now"),
        ({"seed": "1"}, "seed '1' there, 1 now"),
        ({"labels": [1]}, "labels [1] there, {now} now"),
        ({"priors": None}, "other priors"),
    ],
)
def test_a_request_of_other_types_is_another_one(change, what, begun):
    path, _ = begun
    file = path / "request.json"
    request = json.loads(file.read_text())
    file.write_text(json.dumps({**request, **change}))
    message = (
        f"`path` must be the folder of the same request, got {str(path)!r}, where other surveys "
        f"were begun: {what.format(now=request['labels'])}. Choose another folder, or delete this "
        f"one."
    )
    with raises(RequestError, message):
        recovered(path)


@pytest.mark.parametrize("name", ["x" * 300, "nul\0"])
def test_a_folder_that_cannot_be_made_is_said_before_sampling(name, tmp_path, sampled):
    with pytest.raises(RequestError, match=r"\A`path` must be a"):
        recovered(tmp_path / name)
    assert not sampled


# --- disks that fail ------------------------------------------------------------------------------


def test_a_folder_that_vanishes_ends_the_run_with_what_is_kept(tmp_path, sampled):
    path = tmp_path / "recovery"

    def vanishing(fit):
        if fit.group == "prior" and len(sampled) == 3:
            shutil.rmtree(path)
        return nation(fit)

    with pytest.raises(FitError) as caught:
        mrp.recover(MODEL, {"nation": vanishing}, path=path, **OPTIONS)
    assert str(caught.value) == (
        f"`path` must be in a folder that exists, got {str(path)!r}. Create it. 0 of 4 surveys are "
        f"kept. Run it again with the same `path` to go on."
    )


def test_a_full_disk_ends_the_run_and_keeps_what_is_finished(tmp_path, sampled, monkeypatch):
    path, write = tmp_path / "recovery", os.fsync

    def full(number):
        if len(sampled) == 3:
            raise OSError(28, "No space left on device")
        write(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        message = (
            f"`path` must be a file that can be written, got {str(file_of(path, 2))!r}: No space "
            f"left on device. There is no new file. Free some space, or choose another place. "
            f"2 of 4 surveys are kept. Run it again with the same `path` to go on."
        )
        with raises(FitError, message):
            recovered(path)
    assert len(list(path.iterdir())) == 3
    again = recovered(path).table
    assert len(sampled) == 5
    pd.testing.assert_frame_equal(again, recovered(tmp_path / "other").table, check_exact=True)


# --- processes ------------------------------------------------------------------------------------


def test_workers_beyond_the_memory_are_refused(sampled, monkeypatch):
    little = type("Little", (), {"available": 2 * 2**30})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    message = (
        "`processes` must ask for what the memory can hold, got 50 worker processes, which take "
        "19.5 GiB of 2.0 GiB free. Leave it out for as many as there are cores, or ask for fewer."
    )
    with raises(RequestError, message):
        mrp.recover(MODEL, {"nation": nation}, **{**OPTIONS, "surveys": 50, "processes": 2**70})
    assert not sampled


def test_surveys_beyond_the_memory_are_refused(sampled, monkeypatch):
    little = type("Little", (), {"available": 2**30})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    message = (
        "`surveys` must ask for what the memory can hold, got 1,000,000 surveys with 2,000,000 "
        "estimates, which take 1.1 GiB of 1.0 GiB free. Ask for fewer."
    )
    with raises(RequestError, message):
        mrp.recover(MODEL, {"nation": nation}, **{**OPTIONS, "surveys": 10**6})
    assert not sampled


def test_a_worker_ends_when_its_parent_is_gone(monkeypatch):
    ended = []
    parents = iter([7, 7, 1])
    monkeypatch.setattr(workers.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(workers.psutil, "pid_exists", lambda _: True)
    monkeypatch.setattr(workers.time, "sleep", ended.append)
    monkeypatch.setattr(workers.os, "_exit", lambda code: ended.append(f"exit {code}"))
    workers._end_with(7)
    assert ended == [workers.LOOKS, workers.LOOKS, "exit 1"]


SCRIPT = """
import mrp, numpy as np, pandas as pd
survey = pd.DataFrame({"g": np.arange(200) % 10, "y": np.arange(200) % 2})
priors = {"defaults": "brms", "Intercept": "normal(0, 1)"}
model = mrp.Model("y ~ 1 + (1 | g)", survey, family="bernoulli", priors=priors)
mrp.recover(model, surveys=100_000, seed=1, processes=2, path="folder", progress=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_workers_of_a_parent_that_is_killed_end_and_what_is_finished_is_kept(ending, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment)
    children = []
    try:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("folder/survey*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        children = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(ending)
        assert run.wait(30) == -ending
        gone, alive = psutil.wait_procs(children, timeout=60)
        assert len(gone) >= 2
        assert not alive
    finally:
        for process in (run, *children):
            if psutil.pid_exists(process.pid):
                process.kill()
    for file in tmp_path.glob("folder/survey*"):
        number = int(file.stem.removeprefix("survey-"))
        rows = folders.Survey(number, *request_of(tmp_path / "folder")).read(file)
        assert rows is not None
        assert rows["failure"].isna().all()


def test_another_function_under_the_same_name_is_another_request(begun, sampled):
    path, table = begun

    def linear(fit):
        return mrp.avg_predictions(fit, type="link")

    message = (
        f"`path` must be the folder of the same request, got {str(path)!r}, where other surveys "
        f"were begun: another function for the estimand 'nation'. Choose another folder, or "
        f"delete this one."
    )
    with raises(RequestError, message):
        mrp.recover(MODEL, {"nation": linear}, path=path, **OPTIONS)
    assert sampled == []
    again = mrp.recover(MODEL, {"nation": lambda fit: nation(fit)}, path=path, **OPTIONS)
    pd.testing.assert_frame_equal(again.table, table)
