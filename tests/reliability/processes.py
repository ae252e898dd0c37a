"""Faults of the machine, and what is wrong in a shell."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest import mock

from typer.testing import CliRunner

import mrp
from mrp.cli import app
from mrp.model import sampling
from tests.reliability.cases import Case, Ended, Place, fake

INFO = {"seconds": 1.0, "divergences": 0, "rhat": 1.0, "rhat_at": "x", "draws": 20}
INFO |= {"ess_bulk": 900.0, "ess_tail": 900.0}


def _never(*_: Any, **__: Any) -> mrp.Fit:
    raise AssertionError("the sampler ran")


def _made_up(model: mrp.Model, **_: Any) -> mrp.Fit:
    from dataclasses import replace

    return replace(fake(model), info=INFO)


def _shell(
    prepare: Callable[[Place], object] = lambda _: None, *, samples: bool = False, **given: Any
) -> Callable[[Place], Ended]:
    """`mrp poststratify` on files of the place; whatever is refused, is refused before sampling."""

    def does(at: Place) -> Ended:
        at.survey.to_csv(at.folder / "survey.csv", index=False)
        at.frame.to_csv(at.folder / "frame.csv", index=False)
        before = _contents(at.folder)
        options = {
            "survey": "survey.csv",
            "frame": "frame.csv",
            "formula": "y ~ x + g + (1 | state)",
            "family": "gaussian",
            "weights": "n",
            "by": "state",
            "out": "out.csv",
            **given,
        }
        with (
            chdir(at.folder),
            mock.patch.object(mrp.Model, "sample", _made_up)
            if samples
            else mock.patch.object(sampling, "run_kernel", _never),
        ):
            prepare(at)
            arguments = ["poststratify", options.pop("survey"), options.pop("frame")]
            for name, value in options.items():
                for each in value if isinstance(value, list) else [value]:
                    arguments += [f"--{name.replace('_', '-')}", str(each)]
            result = CliRunner().invoke(app, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        lines = tuple(line for line in result.stderr.splitlines() if line.strip())
        if not samples:
            kept = {name: data for name, data in _contents(at.folder).items() if name in before}
            assert set(kept) == set(before)
            assert "out.csv" not in _contents(at.folder)
        return Ended(result.exit_code, lines)

    return does


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _written(name: str, data: bytes) -> Callable[[Place], object]:
    return lambda at: (at.folder / name).write_bytes(data)


def _frame(**columns: Any) -> Callable[[Place], object]:
    return lambda at: at.frame.assign(**columns).to_csv(at.folder / "frame.csv", index=False)


CASES = [
    Case("process", f"`mrp poststratify`: {what}", does, SystemExit)
    for what, does in [
        ("a survey that is not there", _shell(survey="surveys.csv")),
        ("a survey with another extension", _shell(survey="survey.xlsx")),
        (
            "a survey that is a folder",
            _shell(lambda at: (at.folder / "s.csv").mkdir(), survey="s.csv"),
        ),
        ("an empty survey", _shell(_written("survey.csv", b""))),
        ("a survey of a header alone", _shell(_written("survey.csv", b"y,x,g,state\n"))),
        ("a survey that is no text", _shell(_written("survey.csv", b"y,x\n\xff\xfe\x00,1\n"))),
        (
            "rows of unequal length",
            _shell(_written("survey.csv", b"y,x,g,state\n1,2,a,AL\n1,2,a\n")),
        ),
        ("a quote that is not closed", _shell(_written("survey.csv", b'y,x,g,state\n1,2,"a,AL\n'))),
        (
            "semicolons in place of commas",
            _shell(_written("survey.csv", b"y;x;g;state\n1;2;a;AL\n")),
        ),
        ("a column twice", _shell(_written("survey.csv", b"y,x,x,g,state\n1,2,2,a,AL\n"))),
        (
            "parquet that is cut off",
            _shell(_written("survey.parquet", b"PAR1\x00\x00"), survey="survey.parquet"),
        ),
        (
            "missing values in words",
            _shell(
                lambda at: at.survey.assign(x=["n/a", *at.survey["x"][1:]]).to_csv(
                    "survey.csv", index=False
                )
            ),
        ),
        ("a frame without the weights", _shell(weights="N")),
        ("a frame without the areas", _shell(by="county")),
        ("weights with thousands separators", _shell(_frame(n="1,000"))),
        ("weights below zero", _shell(_frame(n=-1))),
        ("states in lower case", _shell(_frame(state=["al"] * 48))),
        ("a state that the survey lacks", _shell(_frame(state=["HI"] * 48))),
        (
            "a formula that runs a command",
            _shell(formula="y ~ I(x + 0*np._pytesttester.os.system('true'))"),
        ),
        ("a formula that does not parse", _shell(formula="y ~ (x")),
        ("a family that does not exist", _shell(family="normal")),
        ("priors that do not exist", _shell(priors="stan")),
        ("levels without a column", _shell(levels="low,high")),
        ("new levels that the frame lacks", _shell(new_levels="state=ZZ")),
        ("an interval of 95", _shell(ci_prob="95")),
        ("2**40 draws", _shell(draws=str(2**40))),
        ("2**40 chains", _shell(chains=str(2**40))),
        ("`--out` without an extension", _shell(out="out")),
        ("`--out` in a folder that is not there", _shell(out="there/out.csv")),
        ("`--out` that is a folder", _shell(lambda at: (at.folder / "o.csv").mkdir(), out="o.csv")),
        ("`--out` that is the survey", _shell(out="survey.csv")),
        ("`--out` and `--save-fit` of one name", _shell(save_fit="out.csv")),
        ("`--out` of 300 characters", _shell(out="o" * 300 + ".csv")),
        (
            "`--out` that is a device",
            _shell(lambda at: (at.folder / "o.csv").symlink_to("/dev/full"), out="o.csv"),
        ),
        ("`--save-fit` in a folder that is not there", _shell(save_fit="there/fit.nc")),
    ]
]
