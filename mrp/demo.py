"""The demo: from a survey and a frame to state estimates, in tables, files and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import typer

import mrp
from mrp.console import headline, introduce, sample, say, show
from mrp.datasets import DatasetName
from mrp.errors import RequestError, unknown
from mrp.files import complete, write_table
from mrp.rehearsal import check_folder
from mrp.results.estimates import COLUMNS
from mrp.testing import FORMULA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DataName = Literal["simulated", "ces"]
VAGUE = {"b": "normal(0, 1e6)", "Intercept": "normal(0, 1e6)"}
"""Priors that look as if they said nothing."""
INFORMATIVE = {"b": "normal(0, 0.2)", "Intercept": "normal(0, 0.2)"}
"""Priors that say that nothing matters much."""
PRIOR_DRAWS = 4000
"""Number of draws of the prior check."""


@dataclass(frozen=True)
class Example:
    """A survey and its frame.

    Parameters
    ----------
    survey, frame
        Names of the datasets.
    weights
        The frame's column with the population of each cell.
    priors
        Default priors of the fit.
    checked
        Priors that are checked before the fit, by the name that they are shown under.
    truth
        Dataset with the true state values, where they are known.
    """

    survey: DatasetName
    frame: DatasetName
    weights: str
    priors: Literal["bambi", "brms"]
    checked: Mapping[str, Any]
    truth: DatasetName | None = None


_CHECKED = {"vague": VAGUE, "informative": INFORMATIVE}

EXAMPLES: Mapping[DataName, Example] = MappingProxyType(
    {
        "simulated": Example(
            "simulated_survey",
            "simulated_frame",
            "n",
            "bambi",
            {**_CHECKED, "Bambi's defaults": "bambi"},
            "simulated_truth",
        ),
        # brms' defaults are flat for slopes: they can't be drawn from.
        "ces": Example("ces_survey", "ces_demographics", "percent", "brms", _CHECKED),
    }
)


def run(data: str, folder: Path, *, draws: int, tune: int, chains: int, seed: int) -> list[Path]:
    """Do the whole job on a survey of ours, and say what is being done.

    Parameters
    ----------
    data
        "simulated" or "ces".
    folder
        Where the files go; made if it does not exist. Older files of the demo are replaced.
    draws, tune, chains, seed
        As in `Model.sample`.

    Returns
    -------
    The files that were written.
    """
    example = _example(data)
    survey, frame = mrp.load_dataset(example.survey), mrp.load_dataset(example.frame)
    _make(folder)
    introduce(FORMULA, survey, frame)
    files = [_prior_check(example, survey, folder, seed)]
    model = mrp.Model(FORMULA, survey, family="bernoulli", priors=example.priors)
    fit = sample(model, draws=draws, tune=tune, chains=chains, seed=seed)
    files.append(fit.save(folder / "fit.nc"))
    files += _averages(fit, folder)
    return [*files, *_states(example, survey, frame, fit, folder)]


def _example(data: str) -> Example:
    for name, example in EXAMPLES.items():
        if name == data:
            return example
    raise RequestError(unknown("--data", "name a survey of the demo", data, list(EXAMPLES)))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"`--out` must be a folder that exists or can be made, got {str(folder)!r}: "
            f"{error.strerror}. Choose another one."
        ) from error
    check_folder(folder, "--out")


def _prior_check(example: Example, survey: pd.DataFrame, folder: Path, seed: int) -> Path:
    """What priors say about the quantities of interest before any answer is seen."""
    tables = []
    for name, priors in example.checked.items():
        model = mrp.Model(FORMULA, survey, family="bernoulli", priors=priors)
        prior = model.sample_prior(draws=PRIOR_DRAWS, seed=seed)
        average = mrp.avg_predictions(prior, by="gender").to_frame()
        contrast = mrp.avg_comparisons(prior, variables="military").to_frame()
        average["quantity"] = "average, " + average["gender"]
        contrast["quantity"] = "difference, military " + contrast["contrast"]
        tables.append(pd.concat([average, contrast]).assign(priors=name))
    table = pd.concat(tables)[["priors", "quantity", *COLUMNS]]
    headline("Prior check: support as the priors alone have it")
    show(table.drop(columns="std_error"))
    say(f"vague: coefficients {VAGUE['b']}; informative: {INFORMATIVE['b']}")
    return write_table(table, folder / "prior_check.csv")


def _averages(fit: mrp.Fit, folder: Path) -> list[Path]:
    """Averages over the survey, and the contrast of the oldest with the youngest."""
    gender = mrp.avg_predictions(fit, by="gender")
    military = mrp.avg_predictions(fit, by="military")
    age = mrp.avg_comparisons(fit, variables={"age": ["18-29", "70+"]})
    return [
        _printed("Average support by gender", gender, folder / "average_by_gender.csv"),
        _printed("Average support by military", military, folder / "average_by_military.csv"),
        _printed("Average difference by age", age, folder / "age_contrast.csv"),
    ]


def _printed(title: str, estimates: mrp.Estimates, path: Path) -> Path:
    table = estimates.to_frame()
    headline(title)
    show(table)
    return write_table(table, path)


def _states(
    example: Example, survey: pd.DataFrame, frame: pd.DataFrame, fit: mrp.Fit, folder: Path
) -> list[Path]:
    """State estimates beside the raw state means, and beside the truth where it is known."""
    estimates = mrp.poststratify(fit, frame, by="state", wts=example.weights)
    table = beside_raw_means(estimates.to_frame(), survey)
    if example.truth is not None:
        truth = mrp.load_dataset(example.truth).set_index("state")["truth"]
        table = table.assign(truth=table["state"].map(truth))
    headline("Support by state: raw means of the respondents, and MRP")
    show(table.drop(columns="std_error"))
    if "truth" in table:
        typer.echo(accuracy(table))
    return [
        write_table(table, folder / "state_estimates.csv"),
        *_pictures(estimates, table.set_index("state"), folder),
    ]


def beside_raw_means(table: pd.DataFrame, survey: pd.DataFrame) -> pd.DataFrame:
    """State estimates with the number of respondents and their mean."""
    raw = survey.groupby("state")["defund"]
    state = table["state"]
    result = table.copy()
    result.insert(1, "respondents", state.map(raw.size()))
    result.insert(2, "raw_mean", state.map(raw.mean()))
    return result


def accuracy(table: pd.DataFrame) -> str:
    """How near the raw means and the estimates are to the truth, in one line."""
    truth = table["truth"]
    covered = int(truth.between(table["conf_low"], table["conf_high"]).sum())
    raw, mrp_error = (float((table[n] - truth).abs().mean()) for n in ("raw_mean", "estimate"))
    return (
        f"{covered} of {len(table)} intervals cover the truth; mean absolute error {raw:.3f} of "
        f"the raw means, {mrp_error:.3f} of MRP"
    )


def _pictures(estimates: mrp.Estimates, table: pd.DataFrame, folder: Path) -> list[Path]:
    say("Drawing the pictures …")
    from mrp.plots.figures import intervals, ridges

    reference = {name.replace("_", " "): table[name] for name in _REFERENCES if name in table}
    title = "Support by state"
    return [
        _picture(
            folder / "state_estimates.png",
            lambda ax: intervals(estimates, reference=reference, title=title, ax=ax),
        ),
        _picture(
            folder / "state_ridges.png",
            lambda ax: ridges(estimates, title=title, ax=ax),
        ),
    ]


_REFERENCES = ("raw_mean", "truth")
"""Columns that are drawn beside the estimates."""


def _picture(path: Path, draw: Callable[[Axes], Axes]) -> Path:
    """Draw one picture as a PNG file, without touching the user's choice of backend."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 10.5), layout="constrained")
    draw(figure.subplots())
    with complete(path) as file:
        figure.savefig(file, format="png", dpi=150)
    return path
