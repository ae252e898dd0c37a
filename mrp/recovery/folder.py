"""The folder in which finished surveys are kept, so that an interrupted run can go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from mrp.errors import SHOWN, RequestError, SamplingWarning, listing, shortened, warn
from mrp.files import check_target, complete
from mrp.formula.calls import Calls
from mrp.model.model import Model
from mrp.model.prior_defaults import Priors
from mrp.recovery.estimands import Names
from mrp.recovery.kept import FORMAT, Survey, UnfitError
from mrp.recovery.refits import Request
from mrp.recovery.surveys import Source, origin

REQUEST = "request.json"
"""File that says what the folder's surveys are."""
MUCH = 2**20
"""Bytes by which the file of another request may be longer."""
DIGESTS = ("design", "predictors", "parameters")
"""Parts of a request that are too long to be written down: a digest tells them apart."""


@dataclass(frozen=True)
class Folder:
    """A folder with a file for the request and one for each finished survey."""

    path: Path
    request: str
    labels: Names

    def finished(self, surveys: int) -> dict[int, pd.DataFrame]:
        """Rows of the finished surveys with numbers below `surveys`.

        Files that are not what they must be are as if they were not there.

        Warns
        -----
        SamplingWarning
            There are such files.
        """
        found: dict[int, pd.DataFrame] = {}
        unfit: dict[int, str] = {}
        for number in range(surveys):
            try:
                rows = self._survey(number).read(self._file(number))
            except UnfitError as error:
                unfit[number] = str(error)
                continue
            if rows is not None:
                found[number] = rows
        if unfit:
            warn(_made_again(unfit, self.path), SamplingWarning)
        if len(found) < surveys:
            missing = next(number for number in range(surveys) if number not in found)
            check_target(self._file(missing), "path")
        return found

    def keep(self, number: int, rows: pd.DataFrame) -> None:
        """Write the rows of a finished survey, whole or not at all.

        Raises
        ------
        RequestError
            It can't be written.
        """
        self._survey(number).write(self._file(number), rows)

    def holds(self, number: int) -> bool:
        """Whether there is a file of a survey."""
        return self._file(number).is_file()

    def _survey(self, number: int) -> Survey:
        return Survey(number, self.request, self.labels)

    def _file(self, number: int) -> Path:
        return self.path / f"survey-{number:05d}.parquet"


def _made_again(unfit: Mapping[int, str], path: Path) -> str:
    whys = [f"{number} {why}" for number, why in list(unfit.items())[:SHOWN]]
    more = f", … {len(unfit) - SHOWN} more" if len(unfit) > SHOWN else ""
    return (
        f"Of the files in {str(path)!r}, {len(unfit)} are not those of this request's surveys, "
        f"which are made again: {', '.join(whys)}{more}."
    )


def opened(path: Path, description: Mapping[str, Any], labels: Names) -> Folder:
    """The folder of a request: a new one, or one in which the same request was begun.

    Parameters
    ----------
    path
        The folder. It is created where its own folder exists.
    description, labels
        What is done, as `described` says it, and the labels of its estimates.

    Raises
    ------
    RequestError
        It can't be created or written to, holds something else, or another request was begun in
        it.
    """
    text = json.dumps(description, indent=2) + "\n"
    try:
        _create(path)
        file = path / REQUEST
        if file.exists() or file.is_symlink():
            _check_same(_said(file, len(text)), json.loads(text), path)
        else:
            with complete(file) as new:
                new.write(text.encode())
    except (OSError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"`path` must be a folder that can be used, got {shortened(str(path))!r}: "
            f"{getattr(error, 'strerror', None) or error}. Choose another one."
        ) from error
    return Folder(path, hashlib.sha256(text.encode()).hexdigest(), labels)


def _said(file: Path, usual: int) -> dict[str, Any]:
    """What the file of a request says.

    Parameters
    ----------
    file
        The file.
    usual
        About how long it is.
    """
    why = "is no file"
    if file.is_file():
        why = "says something else"
        if file.stat().st_size <= 10 * usual + MUCH:
            try:
                said = json.loads(file.read_bytes())
            except (ValueError, RecursionError):
                why = "is damaged"
            else:
                if isinstance(said, dict) and "format" in said:
                    return said
    raise RequestError(
        f"`path` must be the folder of an earlier run, got {str(file.parent)!r}, where {REQUEST!r} "
        f"{why}. Choose another folder, or delete this one."
    )


def _create(path: Path) -> None:
    if not path.is_dir():
        if path.exists() or not path.parent.is_dir():
            why = "a file" if path.exists() else f"but there is no folder {str(path.parent)!r}"
            raise RequestError(f"`path` must be a folder, or a new name in one, got {str(path)!r}, "
                               f"{why}. Choose another name.")  # fmt: skip
        path.mkdir()
    others = sorted(item.name for item in path.iterdir() if not item.name.startswith("."))
    if others and REQUEST not in others:
        raise RequestError(
            f"`path` must be an empty folder or that of an earlier run, got {str(path)!r} with "
            f"{listing(others, 3)}. Choose another name."
        )


def _check_same(there: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    differ = [name for name in now if there.get(name) != now[name]]
    # of another model, functions say something else, too
    differ = [name for name in differ if name != "estimands"] or differ
    if differ:
        changes = [_change(name, there.get(name), now[name]) for name in differ]
        raise RequestError(
            f"`path` must be the folder of the same request, got {str(path)!r}, where other "
            f"surveys were begun: {'; '.join(changes)}. Choose another folder, or delete this one."
        )


def _change(name: str, there: Any, now: Any) -> str:
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        keys = [key for key in {**there, **now} if there.get(key) != now.get(key)]
        parts = [_change(f"{name} of {key!r}", there.get(key), now.get(key)) for key in keys]
        return "; ".join(parts)
    if name.startswith("estimands of "):
        return f"another function for the estimand {name.removeprefix('estimands of ')}"
    if name.removeprefix("source ") in DIGESTS or len(f"{there}{now}") > 100:
        return f"other {name}"
    return f"{name} {_shown(there)} there, {_shown(now)} now"


def _shown(value: Any) -> str:
    return "none" if value is None else repr(value)


def described(request: Request, labels: Names, answers: Mapping[str, str]) -> dict[str, Any]:
    """What makes the numbers of a request, as JSON.

    Functions can't be compared, but what they say of the same made-up draws can.

    Parameters
    ----------
    request, labels
        What is done, and the labels of its estimates.
    answers
        What each estimand says of made-up draws.
    """
    return {
        "format": FORMAT,
        **_of_model(request.model),
        "simulated from": origin(request.fakes.source),
        **{f"source {name}": of for name, of in _of_source(request.fakes.source).items()},
        "seed": request.fakes.seed,
        **asdict(request.sampler),
        "rank_draws": request.rank_draws,
        "labels": {name: list(own) for name, own in labels.items()},
        "estimands": {name: _digest(said) for name, said in answers.items()},
    }


def _of_source(source: Source) -> dict[str, Any]:
    if isinstance(source, Model):
        return _of_model(source)
    draws = [array.to_numpy() for array in source.parameters.data_vars.values()]
    return {**_of_either(source), "parameters": _digest(*draws)}


def _of_model(model: Model) -> dict[str, Any]:
    own = {"priors": _of_priors(model.priors), "center_predictors": model.priors.centered}
    return {**_of_either(model), **own}


def _of_either(source: Source) -> dict[str, Any]:
    """What the formula made of the survey, besides what it is called.

    Functions of the user's show in what they made of the predictors.
    """
    outcome = source.outcome if isinstance(source, Model) else source.observed
    assert source.survey is not None  # `simulate` is the check
    assert outcome is not None
    rows = source.design.rows(source.survey, argument="data")
    numbers = [*rows.values.values(), *rows.groups.values()]
    trials = [] if outcome.trials is None else [outcome.trials]
    return {
        "formula": source.design.formula,
        "family": source.family,
        "link": source.link,
        "levels": None if outcome.levels is None else [str(level) for level in outcome.levels],
        "design": _digest(repr(replace(source.design, calls=Calls()))),
        "predictors": _digest(*numbers, *trials),
    }


def _of_priors(priors: Priors) -> dict[str, str]:
    by_name = {**priors.population, **priors.sd, **priors.auxiliary}
    if priors.threshold is not None:
        by_name["(thresholds)"] = priors.threshold
    exact = {name: [value for _, value in prior.arguments] for name, prior in by_name.items()}
    shown = {name: f"{by_name[name].name}({exact[name]})" for name in by_name}
    return {**shown, "(correlations)": str(list(priors.cor))}


def _digest(*parts: str | NDArray[Any]) -> str:
    """A short text that differs where any text or number does."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part.tobytes())
    return digest.hexdigest()[:16]
