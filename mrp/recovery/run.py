"""`recover`: refit fake surveys, in several processes; finished ones are kept in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mrp.arguments import explained
from mrp.errors import FitError, RequestError, SamplingInterrupted, SamplingWarning, warn
from mrp.fit import Fit
from mrp.memory import check_fits
from mrp.model.model import Model
from mrp.model.sampling import check_flags, check_sizes, check_target
from mrp.model.sizes import check_run_fits, parameters
from mrp.recovery.estimands import Estimand, Names, check_estimands, shared_parameters
from mrp.recovery.folder import Folder, described, opened
from mrp.recovery.refits import Request, Sampler
from mrp.recovery.result import Recovery
from mrp.recovery.surveys import Source, simulate
from mrp.recovery.trial import asked, trial
from mrp.recovery.workers import check_workers_fit, refits

BYTES_OF_ROW = 600
"""Of one estimate of one survey, while tables are put together."""


@explained
def recover(
    source: Source,
    estimands: Mapping[str, Estimand] | None = None,
    *,
    model: Model | None = None,
    surveys: int = 100,
    seed: int = 1,
    draws: int = 500,
    tune: int = 500,
    chains: int = 2,
    target_accept: float = 0.92,
    rank_draws: int = 99,
    log_likelihood: bool = True,
    processes: int | None = None,
    path: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Recovery:
    """Refit fake surveys, and compare what is estimated with what is true.

    Each fake survey (`mrp.simulate`) is fitted by the model, with the priors that it has, and
    every estimand is computed twice by the same function: from the posterior, and from the one draw
    of true parameters. From the prior of the model this is simulation-based calibration: the truth
    is then one more draw from the posterior, so that its rank among posterior draws is uniform and
    intervals hold it as often as they say, on average over surveys. Where parameters are taken from
    a fit, or another model is refitted, that holds only about: then it shows how well the
    model would find a truth like this one.

    Parameters
    ----------
    source
        Where true parameters come from: the prior of a Model, or the draws of a Fit.
    estimands
        Quantities by name, as functions of a fit that return `Estimates`, such as
        ``{"states": lambda fit: mrp.poststratify(fit, frame, by="state", wts="n")}``. What draws
        random numbers must have a second parameter ``seed`` and pass it on, such as ``lambda fit,
        seed: mrp.poststratify(fit, frame, wts="n", new_levels="gaussian", seed=seed)``; it is given
        other seeds for the truth than for the posterior, and others in each survey. By default the
        parameters that source and model both have: `Fit.fixef`, `Fit.varcorr`, and alpha of the
        family negativebinomial.
    model
        What is refitted, of the same respondents in the same order: by default the source, if it is
        a Model. A Fit needs one, as it can't be refitted.
    surveys, seed
        As in `mrp.simulate`. More surveys later start with the same ones.
    draws, tune, chains, target_accept
        As in `Model.sample`.
    rank_draws
        Draws, evenly spaced in all chains, among which the truth is ranked from 0 to `rank_draws`.
        They should be about independent: at most the effective sample size.
    log_likelihood
        Whether the log likelihood of the fake outcome is one more estimand. It depends on the data
        and all parameters, and its ranks find faults that those of parameters do not.
    processes
        Number of worker processes; by default as many as there are cores. The numbers do not depend
        on it. 1 stays in this process.
    path
        A folder, which keeps every survey that is finished. With the same request the next run goes
        on there, after an interruption or with more `surveys`. Each file says what it is and has a
        digest of its numbers; one that does not fit is made again.
    progress
        Whether to show progress, in a terminal or a notebook.

    Returns
    -------
    Recovery
        Its `table` has a row for each survey and estimate. A survey that can't be drawn or fitted
        stays in it, with the reason.

    Raises
    ------
    RequestError, DataError, PriorError
        Before the first refit. `path` has surveys of another request; `model` has other respondents
        or can't have the outcomes; an estimand is no function of a fit, draws random numbers
        without a seed, or raises for true parameters or for draws of `model`.
    FitError
        A worker process ended, or a finished survey can't be kept in `path`; those before are.

    Warns
    -----
    SamplingWarning
        Interrupted, it returns the surveys that are finished, and says how many. Files in `path`
        that are not those of this request's surveys are made again.

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari and Gelman (2018), arXiv:1804.06788. Modrák, Moon, Kim,
    Bürkner, Huurre, Faltejsková, Gelman and Vehtari (2023), doi:10.1214/23-BA1404.

    Examples
    --------
    >>> import mrp
    >>> survey = mrp.load_dataset("simulated_survey")[:300]
    >>> priors = {"defaults": "brms", "b": "normal(0, 1)"}
    >>> model = mrp.Model("defund ~ gender + (1 | age)", survey, family="bernoulli", priors=priors)
    >>> found = mrp.recover(model, surveys=2, draws=100, tune=100, processes=1)
    >>> found.table["label"].tolist()[:4]
    ['Intercept', 'gender[Woman]', 'age, sd(Intercept)', 'log likelihood']
    """
    sampler = Sampler(draws, tune, chains, target_accept)
    _check(sampler, rank_draws, processes, path)
    sampler = Sampler(int(draws), int(tune), int(chains), float(target_accept))
    rank_draws = int(rank_draws)
    check_flags(log_likelihood=log_likelihood, progress=progress)
    if estimands is not None:
        check_estimands(estimands, log_likelihood=log_likelihood)
    fakes = simulate(source, surveys=surveys, seed=seed)
    refitted = _model(source, model)
    tried = trial(fakes, refitted)
    if estimands is None:
        estimands = shared_parameters(tried.truth, tried.model)
    request = Request(fakes, refitted, dict(estimands), sampler, rank_draws, log_likelihood)
    labels, answers = asked(request, tried)
    _check_fits(request, labels, processes)
    description = described(request, labels, answers)
    folder = None if path is None else opened(Path(path), description, labels)
    tables = _tables(request, labels, folder, processes, progress)
    table = pd.concat([tables[number] for number in sorted(tables)], ignore_index=True)
    return Recovery(table, rank_draws, description)


def _model(source: Source, model: Model | None) -> Model:
    """What is refitted."""
    if model is None and isinstance(source, Fit):
        raise RequestError(
            "`model` must be given where parameters come from a Fit, which can't be refitted. Pass "
            "the Model that it was sampled from."
        )
    chosen = source if model is None else model
    if not isinstance(chosen, Model):
        raise RequestError(f"`model` must be a Model, got {type(chosen).__name__}.")
    if source.survey is None or len(source.survey) != len(chosen.survey):
        raise RequestError(
            f"`model` must have the respondents of `source`, got {len(chosen.survey):,} and "
            f"{len(source.survey) if source.survey is not None else 0:,} rows. Make it with the "
            f"same survey."
        )
    _check_order(source, source.survey, chosen)
    return chosen


def _check_order(source: Source, survey: pd.DataFrame, model: Model) -> None:
    """Raise unless the rows are the same respondents, by all that both have of them."""
    both = [name for name in source.design.columns if name in model.design.columns]
    pairs = {name: (survey[name], model.survey[name]) for name in both}
    own = source.outcome if isinstance(source, Model) else source.observed
    if own is not None and own.trials is not None and model.outcome.trials is not None:
        pairs["trials"] = pd.Series(own.trials), pd.Series(model.outcome.trials)
    for name, (one, other) in pairs.items():
        (rows,) = np.nonzero(_objects(one) != _objects(other))
        if len(rows):
            raise RequestError(
                f"`model` must have the respondents of `source` in the same order, got other "
                f"values of {name!r} in {len(rows):,} rows (first in row {rows[0]}). Make it with "
                f"the same survey."
            )


def _objects(column: pd.Series) -> NDArray[Any]:
    """Values of a column as Python has them, whatever its type."""
    return column.astype(object).to_numpy()


def _check_fits(request: Request, labels: Names, processes: int | None) -> None:
    """Raise if runs, workers or the table take more memory than there is."""
    sampler, model = request.sampler, request.model
    numbers = parameters(model.design, model.by_level)
    check_run_fits(numbers, draws=sampler.draws, tune=sampler.tune, chains=sampler.chains)
    check_workers_fit(processes, len(request.fakes))
    rows = len(request.fakes) * sum(map(len, labels.values()))
    what = f"{len(request.fakes):,} surveys with {rows:,} estimates"
    check_fits(BYTES_OF_ROW * rows, what, "surveys", "Ask for fewer.")


# --- the runs -------------------------------------------------------------------------------------


def _tables(
    request: Request,
    labels: Names,
    folder: Folder | None,
    processes: int | None,
    progress: bool,
) -> dict[int, pd.DataFrame]:
    """Rows of each survey; of those that are finished if it is interrupted."""
    surveys = len(request.fakes)
    tables = {} if folder is None else folder.finished(surveys)
    missing = [number for number in range(surveys) if number not in tables]
    try:
        with closing(refits(request, labels, missing, processes)) as made:
            for rows in _counted(made, len(tables), surveys, progress):
                number = int(rows["survey"].iloc[0])
                if folder is not None:
                    _keep(folder, number, rows, surveys)
                tables[number] = rows
    except KeyboardInterrupt:
        _say_interrupted(len(tables), surveys, folder)
    return tables


def _keep(folder: Folder, number: int, rows: pd.DataFrame, surveys: int) -> None:
    """Write a finished survey; say how many are kept if that can't be done."""
    try:
        folder.keep(number, rows)
    except RequestError as error:
        kept = sum(folder.holds(other) for other in range(surveys))
        raise FitError(
            f"{error} {kept} of {surveys} surveys are kept. Run it again with the same `path` to "
            f"go on."
        ) from error


def _say_interrupted(finished: int, surveys: int, folder: Folder | None) -> None:
    if not finished:
        raise SamplingInterrupted(
            "Recovery was interrupted before the first survey was finished: none is kept."
        ) from None
    again = "" if folder is None else " Run it again with the same `path` to go on."
    warn(
        f"Recovery was interrupted: {finished} of {surveys} surveys are kept.{again}",
        SamplingWarning,
    )


def _counted(
    made: Iterable[pd.DataFrame], before: int, surveys: int, wanted: bool
) -> Iterator[pd.DataFrame]:
    """The same rows, counted by a bar where somebody can see it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    shown = wanted and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    columns = (MofNCompleteColumn(), "surveys", BarColumn(), TimeRemainingColumn())
    failed = 0
    with Progress(
        *columns, "{task.description}", console=Console(stderr=True), disable=not shown
    ) as bar:
        task = bar.add_task("", total=surveys, completed=before)
        for rows in made:
            failed += bool(rows["failure"].notna().any())
            bar.update(task, advance=1, description=f"{failed} failed" if failed else "")
            yield rows


# --- what is asked for ----------------------------------------------------------------------------


def _check(sampler: Sampler, rank_draws: int, processes: int | None, path: Any) -> None:
    check_sizes(draws=sampler.draws, tune=sampler.tune, chains=sampler.chains)
    check_sizes(rank_draws=rank_draws, **({} if processes is None else {"processes": processes}))
    check_target(sampler.target_accept)
    if rank_draws > sampler.draws * sampler.chains:
        raise RequestError(
            f"`rank_draws` must be at most `draws` x `chains`, got {rank_draws:,} of "
            f"{sampler.draws * sampler.chains:,}. Usual: a tenth of them."
        )
    if path is not None and not isinstance(path, str | os.PathLike):
        raise RequestError(
            f"`path` must be the name of a folder, got {path!r}. Usual: 'recovery'; leave it out "
            f"to keep nothing."
        )
