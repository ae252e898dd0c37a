"""The command line: what it refuses and how it says so, and what it writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import mrp
from mrp.cli import app
from mrp.console import diagnosis
from mrp.errors import FitError
from mrp.options import WAYS
from mrp.results.estimates import COLUMNS
from mrp.testing import fake_draws

FORMULA = "support ~ age + (1 | region)"
AGES = pd.CategoricalDtype(["young", "middle", "aged"])
"""Not in alphabetical order."""
INFO = {
    "seconds": 12.3,
    "divergences": 0,
    "rhat": 1.004,
    "rhat_at": "1|region[north]",
    "ess_bulk": 900.0,
    "ess_tail": 800.0,
}
Run = Callable[..., Result]


def fake_sample(model: mrp.Model, *, draws: int, tune: int, chains: int, seed: int) -> mrp.Fit:
    """Stands in for `Model.sample`."""
    fit = mrp.Fit.from_draws(model, fake_draws(model.design, chains=chains, draws=draws, seed=seed))
    return replace(fit, info={**INFO, "draws": draws * chains})


def never(*_: Any, **__: Any) -> mrp.Fit:
    pytest.fail("the sampler ran")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a user's survey and frame in both kinds of file."""
    rng = np.random.default_rng(1)
    survey = pd.DataFrame(
        {
            "support": rng.integers(0, 2, 60),
            "age": pd.Categorical.from_codes(rng.integers(0, 3, 60), dtype=AGES),
            "region": np.tile(["north", "south", "west"], 20),
            "count": np.tile(np.arange(5), 12),
        }
    )
    cells = pd.MultiIndex.from_product([AGES.categories, ["north", "south", "west"]])
    frame = cells.to_frame(index=False, name=["age", "region"]).astype({"age": AGES})
    frame["people"] = np.arange(1, 10)
    for name, table in {"survey": survey, "frame": frame}.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        table.to_parquet(tmp_path / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`mrp poststratify` on the files of `folder`, with made-up draws; options by name."""
    monkeypatch.setattr(mrp.Model, "sample", fake_sample)

    def poststratify(survey: str = "survey.csv", frame: str = "frame.csv", **given: Any) -> Result:
        options = {"formula": FORMULA, "weights": "people", "out": "out.csv", "draws": 20} | given
        arguments = ["poststratify", survey, frame]
        for name, value in options.items():
            values = value if isinstance(value, list) else [value]
            for each in values:
                arguments += [f"--{name.replace('_', '-')}", str(each)]
        return CliRunner().invoke(app, arguments)

    return poststratify


def expected(survey: pd.DataFrame, frame: pd.DataFrame, ci_prob: float = 0.95) -> pd.DataFrame:
    model = mrp.Model(FORMULA, survey, family="bernoulli")
    fit = fake_sample(model, draws=20, tune=0, chains=4, seed=1)
    return mrp.poststratify(fit, frame, by="region", wts="people").to_frame(ci_prob=ci_prob)


# --- results --------------------------------------------------------------------------------------


def test_csv_estimates_are_those_of_the_package(run: Run, folder: Path) -> None:
    result = run(by="region")
    assert result.exit_code == 0, result.output
    survey, frame = pd.read_csv("survey.csv"), pd.read_csv("frame.csv")
    written = pd.read_csv("out.csv")
    pd.testing.assert_frame_equal(written, expected(survey, frame), rtol=1e-12)


def test_parquet_keeps_the_order_of_levels(run: Run, folder: Path) -> None:
    result = run("survey.parquet", "frame.parquet", by="age", out="out.parquet", save_fit="fit.nc")
    assert result.exit_code == 0, result.output
    assert pd.read_parquet("out.parquet")["age"].tolist() == ["young", "middle", "aged"]
    component = mrp.load_fit("fit.nc").design.components["age"]
    assert component.levels == ("young", "middle", "aged")


def test_text_of_a_csv_file_is_sorted_by_name(run: Run, folder: Path) -> None:
    assert run(by="age").exit_code == 0
    assert pd.read_csv("out.csv")["age"].tolist() == ["aged", "middle", "young"]


def test_by_crosses_the_columns_that_it_names(run: Run, folder: Path) -> None:
    assert run(by=["age", "region"]).exit_code == 0
    written = pd.read_csv("out.csv")
    assert written.columns.tolist() == ["age", "region", *COLUMNS]
    assert len(written) == 9


def test_without_by_there_is_one_estimate(run: Run, folder: Path) -> None:
    assert run().exit_code == 0
    assert pd.read_csv("out.csv").columns.tolist() == list(COLUMNS)
    assert len(pd.read_csv("out.csv")) == 1


def test_interval_has_the_probability_asked_for(run: Run, folder: Path) -> None:
    result = run(by="region", ci_prob=0.5)
    table = expected(pd.read_csv("survey.csv"), pd.read_csv("frame.csv"), ci_prob=0.5)
    pd.testing.assert_frame_equal(pd.read_csv("out.csv"), table, rtol=1e-12)
    assert "50% interval" in result.stdout


def test_tables_go_to_standard_output_and_messages_to_standard_error(
    run: Run, folder: Path
) -> None:
    result = run(by="region", save_fit="fit.nc")
    assert result.stderr.splitlines() == [
        FORMULA,
        "60 respondents, 9 cells",
        "Sampling …",
        "80 draws in 12 s, 0 divergences, worst R-hat 1.004 (1|region[north]), worst ESS 800",
        "Wrote out.csv and fit.nc",
    ]
    assert [line.split()[0] for line in result.stdout.splitlines()[2:]] == [
        "north",
        "south",
        "west",
    ]


def test_new_groups_are_drawn_as_asked(run: Run, folder: Path) -> None:
    cells = pd.read_csv("frame.csv").replace({"region": {"west": "east"}})
    cells.to_csv("east.csv", index=False)
    result = run(frame="east.csv", by="region", new_levels="gaussian")
    assert result.exit_code == 0, result.output
    assert pd.read_csv("out.csv")["region"].tolist() == ["north", "south", "east"]


def test_order_of_levels_is_that_which_is_given(run: Run, folder: Path) -> None:
    order = ["middle", "young", "aged"]
    result = run(by="age", levels=[f"age={','.join(order)}"], save_fit="fit.nc")
    assert result.exit_code == 0, result.output
    assert pd.read_csv("out.csv")["age"].tolist() == order
    assert mrp.load_fit("fit.nc").design.components["age"].levels == tuple(order)


def test_levels_that_are_given_to_numbers_are_numbers(run: Run, folder: Path) -> None:
    rank = {"young": 3, "middle": 1, "aged": 2}
    for name in ("survey", "frame"):
        pd.read_csv(f"{name}.csv").replace({"age": rank}).to_csv(f"{name}.csv", index=False)
    result = run(by="age", levels="age=3,1,2")
    assert result.exit_code == 0, result.output
    assert pd.read_csv("out.csv")["age"].tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["region=east,far"], "drawn anew (gaussian): 2 groups of 'region', 40.0% of the weight"),
        (
            ["region=old_levels"],
            "drawn anew (old_levels): 2 groups of 'region', 40.0% of the weight",
        ),
        (["region=east"], None),
    ],
)
def test_groups_that_are_named_are_drawn_and_no_others(
    options: list[str], said: str | None, run: Run, folder: Path
) -> None:
    cells = pd.read_csv("frame.csv")
    elsewhere = [
        cells[cells["region"] == "west"].assign(region=region, people=15)
        for region in ("east", "far")
    ]
    known = cells.assign(people=15)
    pd.concat([known, *elsewhere]).to_csv("east.csv", index=False)
    result = run(frame="east.csv", by="region", new_levels=options)
    if said is None:
        assert result.stderr == (
            "error: `FRAME` must have only groups of 'region' that the survey has, got ['far'] (3 "
            "rows, 20.0% of the weight). If they are meant, add them: --new-levels region=far.\n"
        )
        return
    assert result.exit_code == 0, result.output
    assert said in result.stderr.splitlines()
    regions = pd.read_csv("out.csv")["region"].tolist()
    assert regions == ["north", "south", "west", "east", "far"]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_drawing_groups_is_one_word(way: str, run: Run, folder: Path) -> None:
    assert run(new_levels=way).exit_code == 0


def test_several_texts_mean_a_missing_value(run: Run, folder: Path) -> None:
    table = pd.read_csv("survey.csv").astype({"count": "str"})
    table.loc[:2, "count"] = ["NA", "-9", "99"]
    table.to_csv("marked.csv", index=False)
    result = run("marked.csv", formula="count ~ age", family="poisson", missing=["NA", "-9", "99"])
    assert result.stderr == (
        "error: `SURVEY` must have no missing values in the columns that the formula uses, got 3 "
        "in 'count' (of 60 rows). Fill them in, or leave those rows out of the file.\n"
    )


def test_column_that_nobody_asks_for_may_be_anything(run: Run, folder: Path) -> None:
    for name in ("survey", "frame"):
        table = pd.read_csv(f"{name}.csv")
        table["count"] = np.where(table.index == 0, "NA", "1")
        table.to_csv(f"{name}.csv", index=False)
    result = run(by="region")
    assert result.exit_code == 0
    assert "warning" not in result.stderr


FIPS = {"north": "01", "south": "02", "west": "10"}


@pytest.mark.parametrize("survey", ["csv", "parquet"])
@pytest.mark.parametrize("frame", ["csv", "parquet"])
def test_codes_with_zeros_in_front_are_the_same_groups_in_both_files(
    survey: str, frame: str, run: Run, folder: Path
) -> None:
    for name in ("survey", "frame"):
        table = pd.read_csv(f"{name}.csv").replace({"region": FIPS})
        if name == "frame":
            table = table[table["region"] == "10"]  # by itself it looks like a number
        table.to_csv(f"{name}.csv", index=False)
        table.to_parquet(f"{name}.parquet")
    result = run(f"survey.{survey}", f"frame.{frame}", by="region", out="out.parquet")
    assert result.exit_code == 0, result.output
    assert pd.read_parquet("out.parquet")["region"].tolist() == ["10"]


def test_names_that_other_programs_take_for_missing_values_are_levels(
    run: Run, folder: Path
) -> None:
    names = {"north": "NA", "south": "None", "west": "null"}
    for name in ("survey", "frame"):
        table = pd.read_csv(f"{name}.csv").replace({"region": names})
        table.to_csv(f"{name}.csv", index=False)
    result = run(by="region", out="out.parquet")
    assert result.exit_code == 0
    assert "warning" not in result.stderr
    assert pd.read_parquet("out.parquet")["region"].tolist() == ["NA", "None", "null"]


def test_levels_that_look_like_numbers_are_pointed_out_for_csv_files(
    run: Run, folder: Path
) -> None:
    ages = {"young": "1", "middle": "2", "aged": "90+"}
    for name in ("survey", "frame"):
        table = pd.read_csv(f"{name}.csv").replace({"age": ages})
        table.to_csv(f"{name}.csv", index=False)
        table.to_parquet(f"{name}.parquet")
    assert run().stderr.splitlines()[0] == (
        "warning: `SURVEY` has text in 'age' that looks like numbers, because of ['90+']: each is "
        "a level with an effect of its own. If numbers are meant, write plain ones in both files; "
        "if levels are meant, name them: `--levels age=…`."
    )
    assert "warning" not in run("survey.parquet").stderr


def test_older_file_is_replaced_and_nothing_is_left_beside_it(run: Run, folder: Path) -> None:
    before = {path.name for path in folder.iterdir()}
    Path("out.csv").write_text("old")
    assert run(by="region").exit_code == 0
    assert Path("out.csv").read_text().startswith("region,")
    assert {path.name for path in folder.iterdir()} == before | {"out.csv"}


def test_warning_of_the_frame_comes_once_and_before_sampling(run: Run, folder: Path) -> None:
    frame = pd.read_csv("frame.csv").assign(people=1 / 3)
    frame.to_csv("shares.csv", index=False)
    lines = run(frame="shares.csv").stderr.splitlines()
    assert lines[0] == (
        "warning: `--weights` sum to 1 for each of the 3 values of 'region': they look like "
        "shares within 'region', and averaging across it counts all of them equally. Use "
        "population counts, or `--by region`."
    )
    assert sum(line.startswith("warning:") for line in lines) == 1


# --- refusals -------------------------------------------------------------------------------------

NAMED = "Available: ['age', 'region', 'people']."

REFUSED = {
    "no such file": (
        {"frame": "fram.csv"},
        "`FRAME` must be a file that exists, got 'fram.csv'. Did you mean 'frame.csv'?",
    ),
    "no such folder": (
        {"survey": "there/survey.csv"},
        "`SURVEY` must be a file that exists, got 'there/survey.csv'. There is no folder 'there'.",
    ),
    "unknown extension": (
        {"frame": "frame.xlsx"},
        "`FRAME` must be a file with a known extension, got 'frame.xlsx'. "
        "Available: ['.csv', '.parquet'].",
    ),
    "empty file": (
        {"survey": "empty.csv"},
        "`SURVEY` must be a file that can be read as .csv, got 'empty.csv': it has no "
        "header. Save the table again, or correct the extension.",
    ),
    "unknown extension of the result": (
        {"out": "out.json"},
        "`--out` must be a file with a known extension, got 'out.json'. "
        "Available: ['.csv', '.parquet'].",
    ),
    "no folder for the result": (
        {"out": "there/out.csv"},
        "`--out` must be in a folder that exists, got 'there'. Create it.",
    ),
    "result over the frame": (
        {"out": "frame.csv"},
        "`--out` must be a file of its own, got 'frame.csv', which is read. Choose another name.",
    ),
    "fit over the result": (
        {"save_fit": "out.csv"},
        "`--save-fit` must be a file of its own, got 'out.csv', which is `--out`. "
        "Choose another name.",
    ),
    "fit is a folder": (
        {"save_fit": "."},
        "`--save-fit` must name a file, got the folder '.'.",
    ),
    "formula that does not parse": (
        {"formula": "support ~ (1 |"},
        "`--formula` must be a Bambi formula such as 'y ~ x + (1 | g)', got 'support ~ (1 |': "
        "it ends where a term should follow.",
    ),
    "formula without the column": (
        {"formula": "support ~ ages"},
        "`SURVEY` must have every column that the formula uses, lacks ['ages']. "
        "Available: ['support', 'age', 'region', 'count']. Did you mean 'age'?",
    ),
    "unknown family": (
        {"family": "bernouli"},
        "`--family` must be a family that is built here, got 'bernouli'. Available: ['bernoulli', "
        "'binomial', 'gaussian', 'poisson', 'negativebinomial', 'categorical', 'cumulative', "
        "'sratio']. Did you mean 'bernoulli'?",
    ),
    "unknown weights": (
        {"weights": "peple"},
        f"`--weights` must name a column of `FRAME`, got 'peple'. {NAMED} Did you mean 'people'?",
    ),
    "unknown area": (
        {"by": "regio"},
        f"`--by` must name columns of `FRAME`, got 'regio'. {NAMED} Did you mean 'region'?",
    ),
    "frame without a column": (
        {"frame": "lacking.csv"},
        "`FRAME` must have every column that the formula uses, lacks ['age']. "
        "Available: ['region', 'people'].",
    ),
    "impossible probability": (
        {"ci_prob": 95},
        "`--ci-prob` must be between 0 and 1, got 95.0. Usual: 0.95.",
    ),
    "levels without a column": (
        {"levels": "low,high"},
        "`--levels` must be COLUMN=LEVEL,LEVEL,…, the first level first, got 'low,high'.",
    ),
    "levels of another type": (
        {"formula": "support ~ 1", "levels": "support=no,yes"},
        "`--levels` must have numbers for 'support', as `SURVEY` has, got 'no'. Available: [0, 1].",
    ),
    "mixture of ways of drawing groups": (
        {"new_levels": ["gaussian", "region=east"]},
        "`--new-levels` must be one way for all new groups, or name a factor or column in each, "
        "got ['gaussian', 'region=east']. Write 'FACTOR=gaussian'.",
    ),
    "new level that is in no cell": (
        {"new_levels": "region=eats"},
        "`--new-levels` must list levels of 'region' that `FRAME` has, or say one way of drawing, "
        "got 'eats'. Available: ['gaussian', 'uncertainty', 'old_levels', 'north', 'south', "
        "'west'].",
    ),
    "outcome that is not 0/1": (
        {"formula": "count ~ age"},
        "`SURVEY` must have 0 or 1 in the outcome 'count', got ['2', '3', '4'] in 36 rows. Recode "
        "the outcome, or choose another family: `--family gaussian` for measurements, `poisson` "
        "for counts, `cumulative` or `categorical` for levels.",
    ),
    "missing values": (
        {"missing": "north"},
        "`SURVEY` must have no missing values in the columns that the formula uses, got 20 in "
        "'region' (of 60 rows). Fill them in, or leave those rows out of the file.",
    ),
    "weights that are text": (
        {"weights": "age"},
        "`--weights` must be numbers, got type 'str' in column 'age'. "
        "Write plain numbers in the file.",
    ),
    "cell more than the header": (
        {"frame": "shifted.csv"},
        "`FRAME` must have as many cells in each row as in its header (3), got 4 in the row "
        "'0,young,north,1'. Put quotes around cells with a comma in them, and write the commas of "
        "empty cells.",
    ),
    "column that is there twice": (
        {"frame": "twice.csv"},
        "`FRAME` must have different column names, got ['people'] twice. "
        "Rename or drop one of each.",
    ),
    "unknown way of drawing groups": (
        {"new_levels": "gausian"},
        "`--new-levels` must say how to draw new groups, got 'gausian'. "
        "Available: ['gaussian', 'uncertainty', 'old_levels']. Did you mean 'gaussian'?",
    ),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refusal_is_one_line_and_comes_before_sampling(
    options: dict[str, Any],
    message: str,
    run: Run,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mrp.Model, "sample", never)
    Path("empty.csv").touch()
    cells = pd.read_csv("frame.csv")
    cells.drop(columns="age").to_csv("lacking.csv", index=False)
    cells[[*cells, "people"]].to_csv("twice.csv", index=False)
    rows = cells.to_csv(header=False).splitlines(keepends=True)
    Path("shifted.csv").write_text("age,region,people\n" + "".join(rows))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = run(**options)
    assert result.stderr == f"error: {message}\n"
    assert result.stdout == ""
    assert result.exit_code == 2
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_file_that_is_no_parquet_file_is_refused(run: Run, folder: Path) -> None:
    Path("frame.parquet").write_text("not a table")
    result = run(frame="frame.parquet")
    start = "error: `FRAME` must be a file that can be read as .parquet, got 'frame.parquet': "
    assert result.stderr.startswith(start)
    assert result.stderr.endswith(". Save the table again, or correct the extension.\n")
    assert result.stderr.count("\n") == 1
    assert result.exit_code == 2


def test_unknown_group_names_the_option_that_helps(run: Run, folder: Path) -> None:
    pd.read_csv("frame.csv").replace("west", "east").to_csv("east.csv", index=False)
    result = run(frame="east.csv")
    assert result.stderr.startswith(
        "error: `FRAME` must have only groups of 'region' that the survey has, got ['east'] "
        "(3 rows, 40.0% of the weight)."
    )
    assert "--new-levels gaussian" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("option", [["--draws", "0"], ["--chains", "0"], ["--tune", "-1"]])
def test_impossible_size_is_a_usage_error(option: list[str], folder: Path) -> None:
    files = ["survey.csv", "frame.csv"]
    needed = ["--formula", FORMULA, "--weights", "people", "--out", "out.csv"]
    result = CliRunner().invoke(app, ["poststratify", *files, *needed, *option])
    assert result.exit_code == 2
    assert f"Invalid value for '{option[0]}'" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("missing", ["formula", "weights", "out"])
def test_needed_option_is_named_when_it_is_missing(missing: str, folder: Path) -> None:
    needed = {"formula": FORMULA, "weights": "people", "out": "out.csv"}
    rest = [
        word for name, value in needed.items() if name != missing for word in (f"--{name}", value)
    ]
    result = CliRunner().invoke(app, ["poststratify", "survey.csv", "frame.csv", *rest])
    assert result.exit_code == 2
    assert f"Error: Missing option '--{missing}'" in result.stderr


# --- interruptions and accidents ------------------------------------------------------------------


def test_interruption_while_compiling_is_one_line(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> mrp.Fit:
        raise KeyboardInterrupt

    monkeypatch.setattr(mrp.Model, "sample", interrupted)
    result = run(save_fit="fit.nc")
    assert result.stderr.splitlines()[-1] == "interrupted"
    assert result.exit_code == 130
    assert not Path("out.csv").exists()
    assert not Path("fit.nc").exists()


def test_part_of_the_draws_is_not_taken_for_all_of_them(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(model: mrp.Model, *, draws: int, **options: Any) -> mrp.Fit:
        return fake_sample(model, draws=draws // 2, **options)

    monkeypatch.setattr(mrp.Model, "sample", half)
    result = run()
    assert result.stderr.splitlines()[-1] == "interrupted"
    assert result.exit_code == 130
    assert not Path("out.csv").exists()


def test_error_that_should_not_be_keeps_its_traceback(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> mrp.Fit:
        raise ZeroDivisionError

    monkeypatch.setattr(mrp.Model, "sample", broken)
    assert isinstance(run().exception, ZeroDivisionError)


# --- the program ----------------------------------------------------------------------------------


def test_version_is_printed_by_command_and_option() -> None:
    for arguments in (["version"], ["--version"]):
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, result.stdout) == (0, f"mrp {metadata_version()}\n")


def metadata_version() -> str:
    from importlib.metadata import version

    return version("mrp")


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("demo", "poststratify", "version"):
        assert f"\n  {command} " in result.stdout


def test_command_line_loads_nothing_heavy() -> None:
    heavy = "{'pandas', 'numpy', 'xarray', 'pymc', 'bambi', 'matplotlib', 'nutpie'}"
    code = f"import sys, mrp.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- known before sampling, and not lost afterwards -----------------------------------------------


def test_columns_in_markup_are_estimated_as_any_others(run: Run, folder: Path) -> None:
    for name in ("survey", "frame"):
        table = pd.read_csv(f"{name}.csv").rename(columns={"region": "[/x]"})
        table["[/x]"] = table["[/x]"].replace("north", "\x1b[31mnorth\n")
        table.to_parquet(f"{name}.parquet")
    formula = "support ~ age + (1 | `[/x]`)"
    result = run("survey.parquet", "frame.parquet", formula=formula, by="[/x]", out="out.parquet")
    assert result.exit_code == 0, result.output
    assert "[/x]" in result.stdout
    assert r"\x1b[31mnorth\n" in result.stdout
    assert "\x1b" not in result.output
    written = pd.read_parquet("out.parquet")
    assert sorted(written["[/x]"]) == ["\x1b[31mnorth\n", "south", "west"]


def test_table_that_a_file_can_not_hold_is_refused_before_sampling(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mrp.Model, "sample", never)

    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("no such type")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", refuse)
    result = run(by="region", out="out.parquet")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "error: `--out` must be a file that can hold the table, got 'out.parquet': no such type. "
        "Convert the column, or choose the other kind of file."
    )


def test_fit_that_can_not_be_saved_is_refused_before_sampling(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mrp.Model, "sample", never)

    def refuse(*_: Any, **__: Any) -> None:
        raise FitError("A fit can't be saved.")

    monkeypatch.setattr("mrp.rehearsal.size_of", refuse)
    result = run(by="region", save_fit="fit.nc")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == "error: A fit can't be saved."


def test_room_on_the_disk_is_looked_at_before_sampling(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2**16))
    assert run(by="region").exit_code == 0  # there is room for the table
    monkeypatch.setattr(mrp.Model, "sample", never)
    result = run(by="region", save_fit="fit.nc", draws=1000)
    assert result.exit_code == 2
    assert re.fullmatch(
        r"error: `--save-fit` must be where there is room, got 'fit\.nc', which takes about "
        r"\d\.\d MiB of 0\.1 MiB free\. Choose another place\.",
        result.stderr.splitlines()[-1],
    )


def test_what_can_not_be_written_after_all_does_not_take_the_rest_along(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = mrp.Fit.save

    def full(fit: mrp.Fit, path: Path) -> Path:
        if Path(path).is_absolute():  # the rehearsal
            return saved(fit, path)
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(mrp.Fit, "save", full)
    result = run(by="region", save_fit="fit.nc")
    assert result.exit_code == 1
    assert "95% interval" in result.stdout
    assert len(pd.read_csv("out.csv")) == 3
    assert result.stderr.splitlines()[-2:] == [
        "error: something can't be read or written ('fit.nc'): No space left on device.",
        "Wrote out.csv",
    ]


def test_table_is_printed_where_it_can_not_be_written(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(*_: Any) -> Path:
        raise OSError(2, "No such file or directory", "out.csv")

    monkeypatch.setattr("mrp.files.write_table", vanish)
    result = run(by="region", save_fit="fit.nc")
    assert result.exit_code == 1
    assert "95% interval" in result.stdout
    assert result.stderr.splitlines()[-2:] == [
        "error: something can't be read or written ('out.csv'): No such file or directory.",
        "Wrote fit.nc",
    ]


@pytest.mark.parametrize("stdout", ["closed pipe", "/dev/full"])
def test_results_are_written_where_nobody_reads_what_is_printed(stdout: str, folder: Path) -> None:
    code = (
        "import mrp; from tests.test_cli import fake_sample; mrp.Model.sample = fake_sample; "
        "from mrp.cli import main; main()"
    )
    arguments = ["poststratify", "survey.csv", "frame.csv", "--formula", FORMULA, "--weights",
                 "people", "--by", "region", "--out", "out.csv", "--draws", "20"]  # fmt: skip
    if stdout == "closed pipe":
        reader, writer = os.pipe()
        os.close(reader)
    elif not Path(stdout).exists():
        pytest.skip("there is no such device")
    else:
        writer = os.open(stdout, os.O_WRONLY)
    home = Path(mrp.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=writer, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(home)},
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "Wrote out.csv"
    assert len(pd.read_csv("out.csv")) == 3


FORMULAS = ["=cmd|' /C calc'!A0", "+SUM(1)", "-2+3", "@x", "\tx", "\rx"]
"""Texts that spreadsheets run."""


@pytest.mark.parametrize("text", FORMULAS)
def test_texts_that_a_spreadsheet_runs_are_said_and_kept(text: str, run: Run, folder: Path) -> None:
    for name in ("survey", "frame"):
        table = pd.read_csv(f"{name}.csv")
        table["region"] = table["region"].replace("north", text)
        table.to_parquet(f"{name}.parquet")
    files = ("survey.parquet", "frame.parquet")
    result = run(*files, by="region", out="out.csv")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == (
        f"warning: `--out` has texts that a spreadsheet takes for formulas, [{text!r}], and "
        "'out.csv' keeps them as they are: other programs read the right levels. Import them as "
        "text, or write .parquet."
    )
    assert text in pd.read_csv("out.csv")["region"].tolist()
    assert "spreadsheet" not in run(*files, by="region", out="out.parquet").stderr


def test_numbers_are_no_formulas(run: Run, folder: Path) -> None:
    frame = pd.read_csv("frame.csv").assign(step="-9")
    frame.to_parquet("frame.parquet")
    result = run("survey.parquet", "frame.parquet", by="step")
    assert result.exit_code == 0, result.output
    assert "spreadsheet" not in result.stderr


def test_estimates_are_written_where_nobody_reads_what_is_said(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(message: str | None = None, *, err: bool = False, **_: Any) -> None:
        if err:
            raise BrokenPipeError

    monkeypatch.setattr("typer.echo", gone)
    result = run(by="region", save_fit="fit.nc")
    assert result.exit_code == 0
    assert len(pd.read_csv("out.csv")) == 3
    assert mrp.load_fit("fit.nc").outcome == "support"


def test_column_of_lists_that_nobody_asks_for_is_no_area(run: Run, folder: Path) -> None:
    frame = pd.read_parquet("frame.parquet").assign(tags=[[k] for k in range(9)])
    frame.to_parquet("tags.parquet")
    frame = frame.assign(tags=[{"a": k} for k in range(9)]).to_parquet("tables.parquet")
    assert run("survey.parquet", "tags.parquet", by="region").exit_code == 0
    assert run("survey.parquet", "tables.parquet", by="region").exit_code == 0


def test_failure_to_write_is_said_of_the_option(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "there").mkdir()

    def vanishes(model: mrp.Model, **options: Any) -> mrp.Fit:
        (folder / "there").rmdir()
        return fake_sample(model, **options)

    monkeypatch.setattr(mrp.Model, "sample", vanishes)
    result = run(by="region", out="there/out.csv", save_fit="there/fit.nc")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert errors == [
        f"error: `{option}` must be in a folder that exists, got 'there'. Create it."
        for option in ("--save-fit", "--out")
    ]


def test_one_chain_has_no_r_hat() -> None:
    info = {**INFO, "rhat": float("nan"), "rhat_at": "", "draws": 100}
    assert "no R-hat (it takes 2 chains of 4 draws)" in diagnosis(info)
