"""What the command line prints."""

from __future__ import annotations

import io
import warnings

import pandas as pd
import pytest
import typer

from mrp.console import (
    Failures,
    decimals,
    diagnosis,
    headline,
    introduce,
    make_printable,
    one_line,
    one_line_each,
    say,
    show,
    tell,
    with_intervals,
)
from mrp.errors import DataError, FrameWarning

TABLE = pd.DataFrame(
    {
        "state": ["AL", "AR"],
        "respondents": [47, 1021],
        "estimate": [0.41, 0.3999],
        "conf_low": [0.351, 0.2],
        "conf_high": [0.461, -0.5],
    }
)


def test_interval_is_one_column_named_by_its_probability() -> None:
    table = TABLE.copy()
    table.attrs = {"ci_prob": 0.9}
    shown = with_intervals(table)
    assert shown.columns.tolist() == ["state", "respondents", "estimate", "90% interval"]
    assert shown["90% interval"].tolist() == ["[0.351, 0.461]", "[0.200, -0.500]"]


def test_numbers_have_three_decimals_and_end_in_line(capsys: pytest.CaptureFixture[str]) -> None:
    show(TABLE)
    assert capsys.readouterr().out.splitlines() == [
        "state   respondents   estimate      95% interval",
        "────────────────────────────────────────────────",
        "AL               47      0.410    [0.351, 0.461]",
        "AR             1021      0.400   [0.200, -0.500]",
    ]


def test_decimals_show_the_width_of_the_narrowest_interval() -> None:
    for width, digits in ((0.4, 3), (0.01, 3), (0.0034, 4), (0.00012, 5), (250.0, 3), (0.0, 3)):
        assert decimals(pd.DataFrame({"conf_low": [0.0, 1.0], "conf_high": [width, 9.0]})) == digits
    assert decimals(pd.DataFrame({"probability": [0.5]})) == 3


@pytest.mark.parametrize("width", [30, 60, 200])
def test_numbers_are_never_cut(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show(TABLE.assign(state="a state with a very long name"))
    printed = capsys.readouterr().out
    for number in ("47", "1021", "0.410", "[0.351, 0.461]", "[0.200, -0.500]"):
        assert number in printed


def test_long_table_is_shown_in_part(capsys: pytest.CaptureFixture[str]) -> None:
    show(pd.DataFrame({"n": range(1000)}))
    lines = capsys.readouterr().out.split()
    assert lines[2:] == [*map(str, range(30)), "…", *map(str, range(970, 1000))]


def test_labels_are_text_and_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show(pd.DataFrame({"term": ["age[bold]"]}))
    assert "age[bold]" in capsys.readouterr().out


def test_arguments_are_named_as_the_command_line_does() -> None:
    said = one_line("`wts` of `frame`\n  must be numbers, or `by='state'`: new_levels='gaussian'.")
    assert said == (
        "`--weights` of `FRAME` must be numbers, or `--by state`: --new-levels gaussian."
    )


SHELL = {
    "new_levels={'state': ['AK', 'HI']}": "--new-levels state=AK,HI",
    "new_levels={'state': […]}": "--new-levels state=…",
    "`new_levels={'a:b': 'gaussian', 'c': ['x']}`": "`--new-levels a:b=gaussian --new-levels c=x`",
    "levels={'trust': ['low', …]}.": "--levels trust=low,….",
    "levels={'edu': [3, 1.5, -2]}": "--levels edu=3,1.5,-2",
    "levels={'edu': ['HS', 'some, or more']}": """--levels 'edu=HS,"some, or more"'""",
    """levels={'edu': ["don't", 'no']}""": """--levels 'edu=don'"'"'t,no'""",
    "levels={…}": "levels={…}",
    "`levels` and `draws`": "`--levels` and `--draws`",
    "or leave those rows out yourself: `data.dropna(subset=['age', 'x'])`.": (
        "or leave those rows out of the file."
    ),
    "Convert the column with `astype(float)`.": "Write plain numbers in the file.",
    "Convert them with `astype(float)`.": "Write plain numbers in the file.",
    "Convert the column, for example with `astype(str)` or `astype('category')`.": (
        "Save the column as text or as numbers."
    ),
    "Pass your own as `namespace={'f': …}`; splines of": (
        "Compute the column in the files instead; splines of"
    ),
    "Cut them into levels with pandas.cut, or pass family='gaussian'": (
        "Cut them into levels in the file, or pass --family gaussian"
    ),
    "Recode the outcome, or choose another family.": (
        "Recode the outcome, or choose another family: `--family gaussian` for measurements, "
        "`poisson` for counts, `cumulative` or `categorical` for levels."
    ),
}


@pytest.mark.parametrize(("python", "shell"), SHELL.items())
def test_advice_is_what_can_be_done_in_a_shell(python: str, shell: str) -> None:
    assert one_line(python) == shell


def test_error_of_the_package_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, one_line_each():
        raise DataError("`data` must be\na table.")
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == "error: `SURVEY` must be a table.\n"


def test_warning_of_the_package_is_one_line_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    with one_line_each():
        for _ in range(2):
            warnings.warn("`wts` look odd.", FrameWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: `--weights` look odd.\n" * 2


def test_other_warnings_are_left_alone() -> None:
    with pytest.warns(UserWarning, match="^something else$"), one_line_each():
        warnings.warn("something else", UserWarning, stacklevel=1)


def test_diagnosis_gives_the_worst_numbers() -> None:
    info = {
        "draws": 4000,
        "seconds": 33.4,
        "divergences": 2,
        "rhat": 1.0062,
        "rhat_at": "1|state[KS]",
        "ess_bulk": 1858.7,
        "ess_tail": 1109.9,
    }
    assert diagnosis(info) == (
        "4,000 draws in 33 s, 2 divergences, worst R-hat 1.006 (1|state[KS]), worst ESS 1,110"
    )


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Write by=['state', 'age'].", "Write `--by state --by age`."),
        (
            "got the words ['DK'] among them. If they mean missing, leave those rows out.",
            "got the words ['DK'] among them. If they mean missing, pass `--missing WORD`.",
        ),
        (
            "numbers are needed, got type 'str'. Convert the column.",
            "numbers are needed, got type 'str'. Write the same kind of values in both files.",
        ),
    ],
)
def test_python_s_advice_is_given_in_the_shell_s_words(message: str, said: str) -> None:
    assert one_line(message) == said


# --- text is text ---------------------------------------------------------------------------------

HOSTILE = {
    "[/x]": "[/x]",
    "[red]g": "[red]g",
    "\x1b[31mred\x1b[0m": r"\x1b[31mred\x1b[0m",
    "\x1b]52;c;cm0gLXJm\x07": r"\x1b]52;c;cm0gLXJm\x07",
    "\x1b]8;;http://a\x1b\\link": r"\x1b]8;;http://a\x1b\link",
    "\x9b2J": r"\x9b2J",
    "a\nb\r\tc\x08": r"a\nb\r\tc\x08",
    "\u202egpj.exe": r"\u202egpj.exe",
    "zero\u200bwidth": r"zero\u200bwidth",
    "half \ud800": r"half \ud800",
    ":smile: \\": ":smile: \\",
}
"""Texts from data, and what is printed of them."""


@pytest.mark.parametrize("text", [text for text in HOSTILE if "half" not in text])
def test_columns_and_levels_are_printed_as_text(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(pd.DataFrame({text: pd.Series([text, "b"], dtype=object), "n": [1, 2]}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(HOSTILE[text])
    assert lines[2].startswith(HOSTILE[text])
    assert len(lines) == 4  # header, rule and two rows


@pytest.mark.parametrize("text", HOSTILE)
def test_lines_are_printed_as_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for print_line in (say, tell, headline):
        print_line(text)
        printed = capsys.readouterr()
        assert (printed.out + printed.err).strip("\n") == HOSTILE[text]


def test_formula_is_printed_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    introduce("y ~\n  x\x1b[2J", TABLE, TABLE)
    assert capsys.readouterr().err == "y ~ x\\x1b[2J\n2 respondents, 2 cells\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_is_written_otherwise(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", stream)
    make_printable()
    print("… × é 日 \ud800", flush=True)
    expected = {
        "ascii": rb"... x \xe9 \u65e5 \ud800",
        "latin-1": "... × é \\u65e5 \\ud800".encode("latin-1"),
        "utf-8": "… × é 日 \\ud800".encode(),
    }
    assert stream.buffer.getvalue() == expected[encoding] + b"\n"  # type: ignore[attr-defined]


def test_a_failure_to_write_is_said_and_the_rest_is_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures, done = Failures(), []
    with failures.noted():
        raise OSError(28, "No space left on device", "out.csv")
    with failures.noted():
        raise DataError("`data` must be written.")
    with failures.noted():
        done.append(1)
    assert done == [1]
    assert capsys.readouterr().err == (
        "error: something can't be read or written ('out.csv'): No space left on device.\n"
        "error: `SURVEY` must be written.\n"
    )
    with pytest.raises(typer.Exit) as ended:
        failures.end()
    assert ended.value.exit_code == 1


def test_without_a_failure_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    failures = Failures()
    with failures.noted():
        pass
    failures.end()
    assert capsys.readouterr().err == ""


def test_error_of_the_system_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, one_line_each():
        raise OSError(5, "Input/output error", "a\nb")
    assert ended.value.exit_code == 1
    said = capsys.readouterr().err
    assert said == ("error: something can't be read or written ('a\\nb'): Input/output error.\n")
