"""The demo: its tables, its files, and one real run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import mrp
from mrp.cli import app
from mrp.demo import accuracy, beside_raw_means
from mrp.results.estimates import COLUMNS
from mrp.testing import fake_draws

FILES = [
    "age_contrast.csv",
    "average_by_gender.csv",
    "average_by_military.csv",
    "fit.nc",
    "prior_check.csv",
    "state_estimates.csv",
    "state_estimates.png",
    "state_ridges.png",
]


def fake_sample(model: mrp.Model, *, draws: int, tune: int, chains: int, seed: int) -> mrp.Fit:
    """Stands in for `Model.sample`."""
    fit = mrp.Fit.from_draws(model, fake_draws(model.design, chains=chains, draws=draws, seed=seed))
    worst = {"rhat": 1.0, "rhat_at": "military", "ess_bulk": 100.0, "ess_tail": 100.0}
    return replace(fit, info={"draws": draws * chains, "seconds": 1.0, "divergences": 0, **worst})


def test_state_table_has_the_raw_means_of_the_respondents() -> None:
    survey = pd.DataFrame({"state": ["AL", "AL", "WY"], "defund": [1, 0, 1]})
    table = beside_raw_means(pd.DataFrame({"state": ["AL", "WY"], "estimate": [0.4, 0.5]}), survey)
    assert table.to_dict("list") == {
        "state": ["AL", "WY"],
        "respondents": [2, 1],
        "raw_mean": [0.5, 1.0],
        "estimate": [0.4, 0.5],
    }


def test_accuracy_counts_intervals_and_averages_errors() -> None:
    table = pd.DataFrame(
        {
            "truth": [0.5, 0.5, 0.5],
            "raw_mean": [0.2, 0.8, 0.5],
            "estimate": [0.4, 0.6, 0.4],
            "conf_low": [0.3, 0.5, 0.3],
            "conf_high": [0.45, 0.7, 0.6],
        }
    )
    assert accuracy(table) == (
        "2 of 3 intervals cover the truth; mean absolute error 0.200 of the raw means, 0.100 of MRP"
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder and standard output of a demo with made-up draws, done twice over."""
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mrp.Model, "sample", fake_sample)
        for _ in range(2):
            result = CliRunner().invoke(app, ["demo", "--out", str(folder), "--draws", "25"])
            assert result.exit_code == 0, result.output
    return folder, result.stdout


def test_demo_names_its_files_and_leaves_no_others(out: tuple[Path, str]) -> None:
    folder, printed = out
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert printed.split(f"Files in {folder}\n")[1].split() == FILES


def test_demo_writes_what_it_prints(out: tuple[Path, str]) -> None:
    folder, printed = out
    states = pd.read_csv(folder / "state_estimates.csv")
    assert states.columns.tolist() == ["state", "respondents", "raw_mean", *COLUMNS, "truth"]
    assert len(states) == 48
    assert accuracy(states) in printed
    for row in states.itertuples():
        line = rf"^{row.state} +{row.respondents} +{row.raw_mean:.3f} +{row.estimate:.3f} "
        assert re.search(line, printed, re.MULTILINE)


def test_demo_estimates_are_those_of_the_saved_fit(out: tuple[Path, str]) -> None:
    folder, _ = out
    fit = mrp.load_fit(folder / "fit.nc")
    frame = mrp.load_dataset("simulated_frame")
    states = mrp.poststratify(fit, frame, by="state", wts="n").to_frame()
    written = pd.read_csv(folder / "state_estimates.csv")[states.columns]
    pd.testing.assert_frame_equal(written, states, rtol=1e-12)
    gender = mrp.avg_predictions(fit, by="gender").to_frame()
    pd.testing.assert_frame_equal(pd.read_csv(folder / "average_by_gender.csv"), gender)


def test_vague_priors_say_everything_and_informative_ones_little(out: tuple[Path, str]) -> None:
    folder, _ = out
    table = pd.read_csv(folder / "prior_check.csv").set_index(["priors", "quantity"])
    width = table["conf_high"] - table["conf_low"]
    assert table.index.get_level_values("priors").unique().tolist() == [
        "vague",
        "informative",
        "Bambi's defaults",
    ]
    for gender in ("Man", "Woman"):
        assert table.loc[("vague", f"average, {gender}"), "estimate"] == pytest.approx(
            0.5, abs=0.02
        )
        assert width["vague", f"average, {gender}"] > 0.9
        assert 0.2 < width["informative", f"average, {gender}"] < 0.4
    assert width["vague", "difference, military 1 - 0"] > 0.9
    assert width["informative", "difference, military 1 - 0"] < 0.15


def test_pictures_are_images_of_all_states(out: tuple[Path, str]) -> None:
    from matplotlib.image import imread

    for name in ("state_estimates.png", "state_ridges.png"):
        height, width, _ = imread(out[0] / name).shape
        assert height > width > 900


def test_demo_does_not_choose_a_backend_for_the_user() -> None:
    code = "import mrp.demo, sys; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_unknown_survey_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", "--data", "cs", "--out", str(tmp_path / "out")])
    assert result.stderr == (
        "error: `--data` must name a survey of the demo, got 'cs'. "
        "Available: ['simulated', 'ces']. Did you mean 'ces'?\n"
    )
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.touch()
    result = CliRunner().invoke(app, ["demo", "--out", str(path)])
    assert result.stderr == (
        f"error: `--out` must be a folder that exists or can be made, got {str(path)!r}: "
        f"File exists. Choose another one.\n"
    )
    assert result.exit_code == 2


def test_demo_runs_on_the_ces(
    real_data: Callable[..., pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mrp.Model, "sample", fake_sample)
    arguments = ["demo", "--data", "ces", "--out", str(tmp_path), "--draws", "25"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    states = pd.read_csv(tmp_path / "state_estimates.csv")
    assert states.columns.tolist() == ["state", "respondents", "raw_mean", *COLUMNS]
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


def test_demo_really_runs(tmp_path: Path) -> None:
    sizes = ["--draws", "100", "--tune", "100", "--chains", "2"]
    command = [sys.executable, "-m", "mrp.cli", "demo", "--out", str(tmp_path), *sizes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"^200 draws in \d+ s, \d+ divergences, worst R-hat ", done.stderr, re.M)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    states = pd.read_csv(tmp_path / "state_estimates.csv")
    assert (states["estimate"] - states["truth"]).abs().mean() < 0.05
