"""The command line: `mrp demo`, `mrp poststratify`, `mrp version`.

Every argument is checked before sampling begins, and what is to be written is tried. What the user
can correct ends in one line and exit code 2; what can't be written after all, in one line and exit
code 1, when the rest is done. An error that should not be has its traceback.
"""

from __future__ import annotations

import re
import warnings
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import mrp
from mrp.console import (
    Failures,
    headline,
    introduce,
    make_printable,
    one_line_each,
    sample,
    say,
    show,
    tell,
)
from mrp.errors import FrameWarning

if TYPE_CHECKING:
    from mrp.results.estimates import Estimates

app = typer.Typer(
    name="mrp",
    help="Multilevel regression and poststratification.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Draws = Annotated[int, typer.Option(min=1, metavar="N", help="Draws kept per chain.")]
Tune = Annotated[int, typer.Option(min=1, metavar="N", help="Draws discarded per chain.")]
Chains = Annotated[int, typer.Option(min=1, metavar="N", help="Number of chains.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Makes the run repeatable.")]


def main() -> None:
    """Run the command line."""
    make_printable()
    app(prog_name="mrp")


def _print_version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def options(
    asked: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Multilevel regression and poststratification."""


@app.command()
def demo(
    *,
    data: Annotated[
        str,
        typer.Option(
            metavar="simulated|ces",
            help="Survey: the bundled one, whose truth is known, or the CES (downloaded).",
        ),
    ] = "simulated",
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The files go here.")] = Path(
        "demo-output"
    ),
    draws: Draws = 1000,
    tune: Tune = 500,
    chains: Chains = 4,
    seed: Seed = 1,
) -> None:
    """The whole path on a survey of ours.

    Prior check, fit, averages, a contrast and state estimates: as tables, files and pictures.
    """
    with one_line_each():
        from mrp.demo import run

        files = run(data, out, draws=draws, tune=tune, chains=chains, seed=seed)
        headline(f"Files in {out}")
        for path in sorted(files):
            tell(f"  {path.name}")


@app.command()
def poststratify(
    survey: Annotated[
        Path, typer.Argument(metavar="SURVEY", help="One row per respondent, .csv or .parquet.")
    ],
    frame: Annotated[
        Path, typer.Argument(metavar="FRAME", help="One row per cell, .csv or .parquet.")
    ],
    *,
    formula: Annotated[
        str,
        typer.Option(metavar="FORMULA", help="In quotes, such as 'support ~ age + (1 | state)'."),
    ],
    weights: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of FRAME: the population of each cell.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The estimates go here, .csv or .parquet.")
    ],
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of FRAME that makes areas; again for areas crossed with another. "
            "Without it, one estimate for the whole population.",
        ),
    ] = None,
    family: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="bernoulli, binomial, gaussian, poisson, negativebinomial, or for outcomes with "
            "several levels categorical, cumulative or sratio.",
        ),
    ] = "bernoulli",
    priors: Annotated[
        str, typer.Option(metavar="NAME", help="Whose default priors: bambi or brms.")
    ] = "bambi",
    levels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=LEVEL,…",
            help="Order of a column's levels, such as trust=low,mid,high; the first one is the "
            "reference. Again for other columns.",
        ),
    ] = None,
    new_levels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOW",
            help="How to draw groups that SURVEY lacks: which ones are new (state=AK,HI), "
            "gaussian, uncertainty or old_levels for one factor (state:race=gaussian, again for "
            "others) or for all (gaussian). Without it they are an error.",
        ),
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="What means a missing value in both files, besides empty cells: -9, or of one "
            "column vote=NA. Again for others.",
        ),
    ] = None,
    draws: Draws = 1000,
    tune: Tune = 500,
    chains: Chains = 4,
    seed: Seed = 1,
    ci_prob: Annotated[
        float, typer.Option(metavar="SHARE", help="Probability of the intervals.")
    ] = 0.95,
    save_fit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The fit goes here, for mrp.load_fit.")
    ] = None,
) -> None:
    """Estimates from your own survey and frame.

    Fits a multilevel model to SURVEY and averages its predictions over the cells of FRAME.
    """
    with one_line_each():
        from mrp.files import check_targets, extension_of, write_table
        from mrp.options import levels_of, new_levels_of, typed_levels, typed_new_levels
        from mrp.reading import read_tables, warn_of_number_like
        from mrp.rehearsal import check_saved, check_written, rehearsed
        from mrp.results.estimates import said_of_new_groups

        extension_of(out, "--out")
        check_targets({"--out": out, "--save-fit": save_fit}, sources=(survey, frame))
        order, how = levels_of(levels or ()), new_levels_of(new_levels or ())
        tables = read_tables(
            {"SURVEY": survey, "FRAME": frame},
            asked={
                "SURVEY": _words(formula),
                "FRAME": {*_words(formula.partition("~")[2]), weights, *(by or ())},
            },
            missing=missing or (),
            settled=order,
            counts={"FRAME": weights},
        )
        respondents, cells = tables["SURVEY"], tables["FRAME"]
        model = mrp.Model(
            formula,
            respondents,
            family=family,  # type: ignore[arg-type]
            priors=priors,  # type: ignore[arg-type]
            levels=typed_levels(order, respondents, "--levels", "SURVEY"),
        )
        if extension_of(survey, "SURVEY") == ".csv":
            warn_of_number_like(model.design, "SURVEY", settled=order)
        drawn = typed_new_levels(how, cells)

        def estimates(fit: mrp.Fit) -> Estimates:
            made = mrp.poststratify(
                fit,
                cells,
                by=by,
                wts=weights,
                new_levels=drawn,  # type: ignore[arg-type]
                seed=seed,
            )
            return made.with_interval(ci_prob=ci_prob)

        tried = rehearsed(model)
        check_written(estimates(tried).to_frame(), out, "--out")
        if save_fit is not None:
            check_saved(tried, save_fit, "--save-fit", draws=draws * chains)
        introduce(formula, respondents, cells)
        fit = sample(model, draws=draws, tune=tune, chains=chains, seed=seed)
        failures, wrote = Failures(), []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FrameWarning)  # the rehearsal has said it
            if save_fit is not None:
                with failures.noted("--save-fit"):
                    wrote.append(fit.save(save_fit))
            result = estimates(fit)
        table = result.to_frame()
        with failures.noted():
            show(table)  # first, so that it is seen if it can't be written
        for line in said_of_new_groups(result.about):
            say(line)
        with failures.noted("--out"):
            wrote.insert(0, write_table(table, out))
        if wrote:
            say(f"Wrote {' and '.join(map(str, wrote))}")
        failures.end()


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"mrp {installed('mrp')}")


def _words(formula: str) -> set[str]:
    """Everything in a formula that may be the name of a column."""
    return {*re.findall(r"[\w.]+", formula), *re.findall(r"`([^`]+)`", formula)}


if __name__ == "__main__":
    main()
