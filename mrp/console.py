"""What the command line prints: messages, tables, and in one line each warnings and errors.

Tables go to standard output, all else to standard error. Nothing heavy is imported here.
"""

from __future__ import annotations

import codecs
import io
import math
import os
import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import typer

from mrp.cells import ROWS
from mrp.errors import (
    EngineWarning,
    FrameWarning,
    MRPError,
    SamplingInterrupted,
    SamplingWarning,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd

    from mrp import Fit, Model

USAGE = 2
"""Exit code of an error that the user can correct."""
FAILED = 1
"""Exit code where what was asked for was made, but could not be written."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
SHOWN_ROWS = 30
"""Rows that a long table shows from its top and from its bottom."""
DECIMALS = 3
"""Least number of decimals."""
MOST_CHARACTERS = 1000
"""Width of the widest table."""

OWN_WARNINGS = (FrameWarning, SamplingWarning, EngineWarning)
"""The package's own, which are printed plainly."""

_OPTIONS: Mapping[str, str] = {
    "data": "SURVEY",
    "frame": "FRAME",
    "wts": "--weights",
    **{
        name: f"--{name.replace('_', '-')}"
        for name in ("formula", "family", "by", "priors", "levels", "new_levels", "ci_prob")
    },
    **{name: f"--{name}" for name in ("draws", "tune", "chains", "seed")},
}
"""What the command line calls the arguments of the package's functions."""

_ADVICE: Mapping[str, str] = {
    r"leave those rows out yourself: `data\.dropna\(subset=\[[^]]*\]\)`": (
        "leave those rows out of the file"
    ),
    r"Convert (them|the column) with `astype\(float\)`": "Write plain numbers in the file",
    r"Convert the column, for example with `astype\(str\)` or `astype\('category'\)`": (
        "Save the column as text or as numbers"
    ),
    r"Pass your own as `namespace=\{[^}]*\}`": "Compute the column in the files instead",
    r"with pandas\.cut": "in the file",
    r"If they mean missing, leave those rows out\.": "If they mean missing, pass `--missing WORD`.",
    r"Write by=\['([^']*)', '([^']*)'(.*?)\]\.": r"Write `--by \1 --by \2`.",
    r"Convert the column\.$": "Write the same kind of values in both files.",
    r"choose another family\.": (
        "choose another family: `--family gaussian` for measurements, `poisson` for counts, "
        "`cumulative` or `categorical` for levels."
    ),
}
"""Advice that takes Python, and what to do in a shell instead."""
_ONE = r"'[^']*'|\"[^\"]*\"|[^\s,:\[\]{}'\"]+"
"""A value in a call of Python: text in quotes, a number, or …"""


@contextmanager
def one_line_each() -> Iterator[None]:
    """Say warnings, errors that the user can correct or the system has, and Ctrl-C in one line."""
    with warnings.catch_warnings():
        _say_warnings()
        try:
            yield
        except MRPError as error:
            say(f"error: {one_line(str(error))}")
            raise typer.Exit(USAGE) from None
        except BrokenPipeError:
            raise  # typer ends quietly
        except OSError as error:
            _print_to_nowhere()
            say(f"error: {one_line(_of(error))}")
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(INTERRUPTED) from None


def make_printable() -> None:
    """Let what is printed be written otherwise where the terminal's encoding lacks a character."""
    codecs.register_error("mrp.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="mrp.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Characters that an encoding lacks, as those of ASCII that they look like, or escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_LIKENESS.get(each) or ascii(each)[1:-1] for each in lacking), error.end


_LIKENESS = {"…": "...", "–": "-", "─": "-", "×": "x", "’": "'", "“": '"', "”": '"'}


def _say_warnings() -> None:
    """Print the package's own warnings plainly until the filters are restored."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
        if issubclass(category, OWN_WARNINGS):
            say(f"warning: {one_line(str(message))}")
        else:
            usual(message, category, *where, **options)

    warnings.showwarning = show
    for category in OWN_WARNINGS:
        warnings.simplefilter("always", category)


def one_line(message: str) -> str:
    """A message of the package in one line and in the words of the command line.

    Examples
    --------
    >>> one_line("`wts` must be numbers.")
    '`--weights` must be numbers.'
    >>> one_line("Use population counts, or `by='state'`.")
    'Use population counts, or `--by state`.'
    >>> one_line("Say which are new: new_levels={'state': ['AK', 'HI']}.")
    'Say which are new: --new-levels state=AK,HI.'
    """
    names = "|".join(_OPTIONS)
    said = message
    for advice, instead in _ADVICE.items():
        said = re.sub(advice, instead, said)
    said = re.sub(rf"\b({names})=\{{([^{{}}]*)\}}", _assignments, said)
    said = re.sub(rf"\b({names})='([^']*)'", lambda found: f"{_OPTIONS[found[1]]} {found[2]}", said)
    said = re.sub(rf"`({names})`", lambda found: f"`{_OPTIONS[found[1]]}`", said)
    return " ".join(said.split())


def _assignments(found: re.Match[str]) -> str:
    """An argument that is a mapping as options, one for each key."""
    options = []
    for key, values in re.findall(rf"({_ONE})\s*:\s*(\[[^]]*\]|{_ONE})", found[2]):
        levels = [_cell(value.strip("'\"")) for value in re.findall(_ONE, values)]
        text = f"{key.strip('\'"')}={','.join(levels)}"
        plain = re.fullmatch(r"[\w=,:.+…-]+", text)
        options.append(f"{_OPTIONS[found[1]]} {text if plain else shlex.quote(text)}")
    return " ".join(options) or found[0]


def _cell(level: str) -> str:
    return f'"{level}"' if "," in level else level


class Failures:
    """What could not be written: it is said, and the rest is done all the same."""

    def __init__(self) -> None:
        self._any = False

    @contextmanager
    def noted(self, option: str = "") -> Iterator[None]:
        """Go on after a failure to write something, or to print it; to what an option names."""
        try:
            yield
        except (MRPError, OSError) as error:
            self._any = True
            if isinstance(error, OSError):
                _print_to_nowhere()
            if not isinstance(error, BrokenPipeError):  # whoever reads has closed it
                said = one_line(_of(error))
                say(f"error: {said.replace('`path`', f'`{option}`') if option else said}")

    def end(self) -> None:
        """End with an exit code of its own if there was any."""
        if self._any:
            raise typer.Exit(FAILED)


def _of(error: MRPError | OSError) -> str:
    """What an error says; the system's in words."""
    if isinstance(error, MRPError):
        return str(error)
    at = "" if error.filename is None else f" ({os.fsdecode(error.filename)!r})"
    return f"something can't be read or written{at}: {error.strerror or error}."


def _print_to_nowhere() -> None:
    """Print to nowhere from now on, if it was standard output that failed; Python tries again."""
    try:
        sys.stdout.flush()
    except OSError:
        _send_nowhere(sys.stdout)


def _send_nowhere(stream: TextIO) -> None:
    """Let what is printed to a stream from now on be lost, without an error."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(message: str) -> None:
    """Print a line for the person who waits, apart from the results; if nobody reads, go on."""
    try:
        typer.echo(shown(message), err=True)
    except OSError:
        _send_nowhere(sys.stderr)


def tell(text: str) -> None:
    """Print a line among the results."""
    typer.echo(shown(text))


def headline(text: str) -> None:
    """Print the title of the results that follow."""
    typer.echo()
    typer.secho(shown(text), bold=True)


def show(table: pd.DataFrame) -> None:
    """Print a table: estimates with their intervals, rounded; a long one in part."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rounded = with_intervals(table)
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in rounded.columns:
        numbers = rounded[name].dtype.kind in "iuf" or str(name).endswith("% interval")
        header = Text(shown(str(name)))  # brackets are no markup
        drawn.add_column(header, justify="right" if numbers else "left", no_wrap=True)
    columns = [_texts(rounded[name], decimals(table)) for name in rounded.columns]
    rows = [[Text(shown(text)) for text in row] for row in zip(*columns, strict=True)]
    if len(rows) > 2 * SHOWN_ROWS:
        rows = [*rows[:SHOWN_ROWS], [Text("…")] * len(rounded.columns), *rows[-SHOWN_ROWS:]]
    for row in rows:
        drawn.add_row(*row)
    wide = Console(highlight=False, width=MOST_CHARACTERS)
    needed = wide.measure(drawn).maximum
    # A line that the terminal breaks can be read, a number that is cut can't.
    try:
        Console(highlight=False, width=needed).print(drawn, soft_wrap=True)
    except SystemExit as error:  # what rich makes of a pipe that is closed
        raise BrokenPipeError from error


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``conf_low`` and ``conf_high`` as one column of text."""
    if "conf_low" not in table:
        return table
    percent = f"{100 * table.attrs.get('ci_prob', 0.95):g}% interval"
    digits = decimals(table)
    bounds = zip(table["conf_low"], table["conf_high"], strict=True)
    text = [f"[{low:.{digits}f}, {high:.{digits}f}]" for low, high in bounds]
    place = list(table.columns).index("conf_low")
    rest = table.drop(columns=["conf_low", "conf_high"])
    rest.insert(place, percent, text)
    return rest


def decimals(table: pd.DataFrame) -> int:
    """Decimals that show the width of the narrowest interval to two digits: 3 or more."""
    if "conf_low" not in table:
        return DECIMALS
    widths = [width for width in table["conf_high"] - table["conf_low"] if width > 0]
    return max(DECIMALS, 1 - math.floor(math.log10(min(widths)))) if widths else DECIMALS


def _texts(column: pd.Series, digits: int) -> list[str]:
    if column.dtype.kind == "f":
        return [f"{value:.{digits}f}" for value in column]
    return [str(value) for value in column]


def introduce(formula: str, survey: pd.DataFrame, frame: pd.DataFrame) -> None:
    """Say what is about to be fitted to what."""
    say(" ".join(formula.split()))
    rows = frame.attrs.get(ROWS, len(frame))
    different = f", of which {len(frame):,} are different" if rows > len(frame) else ""
    say(f"{len(survey):,} respondents, {rows:,} cells{different}")


def sample(model: Model, *, draws: int, tune: int, chains: int, seed: int) -> Fit:
    """Sample a model; say beforehand how long nothing will be seen, and afterwards how it went.

    Raises
    ------
    KeyboardInterrupt
        The sampler was interrupted: a part of the draws is not what was asked for.
    """
    say("Sampling …")
    with warnings.catch_warnings(record=True) as caught:
        try:
            fit = model.sample(draws=draws, tune=tune, chains=chains, seed=seed)
        except SamplingInterrupted:
            raise KeyboardInterrupt from None
    if fit.info["draws"] < draws * chains:
        raise KeyboardInterrupt
    for warning in caught:
        warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
    say(diagnosis(fit.info))
    return fit


def _worst(info: Mapping[str, Any]) -> str:
    """The worst R-hat, and where."""
    if math.isnan(info["rhat"]):
        return "no R-hat (it takes 2 chains of 4 draws)"
    return f"worst R-hat {info['rhat']:.3f} ({info['rhat_at']})"


def diagnosis(info: Mapping[str, Any]) -> str:
    """How far the draws of a fit can be trusted, in one line.

    Parameters
    ----------
    info
        `Fit.info` of a sampled fit.
    """
    return (
        f"{info['draws']:,} draws in {info['seconds']:.0f} s, {info['divergences']} divergences, "
        f"{_worst(info)}, "
        f"worst ESS {min(info['ess_bulk'], info['ess_tail']):,.0f}"
    )
