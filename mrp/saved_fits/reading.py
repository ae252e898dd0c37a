"""Fits from files that anyone may have written: whole, closed and plain, or refused."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import pandas as pd
import xarray as xr

from mrp import coefficients
from mrp.arguments import explained
from mrp.design import Design, Level, check_columns, variable_name
from mrp.errors import FitError, FrameWarning, RequestError, listing, shortened, warn
from mrp.files import path_of
from mrp.fit import Fit
from mrp.formula import calls
from mrp.formula.grammar import describe
from mrp.levels import level_parameters
from mrp.memory import check_fits
from mrp.saved_fits import old
from mrp.saved_fits.closed import check_closed
from mrp.saved_fits.content import (
    READABLE,
    Content,
    OldContent,
    OtherFormat,
    Refused,
    content_of,
)
from mrp.saved_fits.designs import made_again
from mrp.saved_fits.digest import State, state_of
from mrp.saved_fits.levels import level_from_json
from mrp.saved_fits.survey import survey_from_parquet

if TYPE_CHECKING:
    from mrp.model.families import Family
    from mrp.model.outcome import Outcome


@explained
def load_fit(path: str | os.PathLike[str]) -> Fit:
    """Read a fit that `Fit.save` wrote.

    Parameters
    ----------
    path
        The file. It may come from anyone: it is data, of which nothing is run, and it is refused
        unless it is as it was saved and means what its formula says.

    Raises
    ------
    FitError
        There is no such file, or it is not a fit, or of another version; or it is damaged.
    RequestError
        The memory can't hold it.

    Warns
    -----
    FrameWarning
        It was saved by an older version, which kept no hash: whether it is as it was saved can't
        be told.
    """
    source = path_of(path, "path", FitError)
    with _opened(source) as file:
        state = state_of(file)
        if state == "damaged":
            raise FitError(_damaged(source))
        try:
            fit, number = _read(file)
        except OtherFormat as error:
            raise FitError(
                f"`path` must be a fit of file format {', '.join(map(str, READABLE[:-1]))} or "
                f"{READABLE[-1]}, got {error}. Load it with the version of mrp that wrote it."
            ) from error
        except Refused as error:
            raise FitError(_refused(source, str(error))) from error
        except (FitError, RequestError):
            raise
        except Exception as error:  # of any library: the bytes may be anything
            said = f"{type(error).__name__}: {shortened(str(error))}"
            raise FitError(
                f"`path` must name a file that Fit.save wrote, got {str(source)!r}, which can't "
                f"be read as one ({said})."
            ) from error
    _check_digest(state, number, source)
    return fit


def _check_digest(state: State, number: int, source: Path) -> None:
    """Raise if a file of a format that has a digest has none; say so of others."""
    if state == "whole":
        return
    if number >= 3:
        raise FitError(_damaged(source))
    warn(
        f"`path` has a fit of an older version, {str(source)!r}, which has no digest: it can't be "
        f"told whether it is what was saved. Save it again.",
        FrameWarning,
    )


def _damaged(source: Path) -> str:
    return (
        f"`path` must name a file that Fit.save wrote, got {str(source)!r}, which is damaged or "
        f"was changed since it was saved. Save the fit again, or get another copy."
    )


def _refused(source: Path, why: str) -> str:
    return (
        f"`path` must name a file that Fit.save wrote, got {str(source)!r}, which can't be read "
        f"as one: {shortened(why)}."
    )


@contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    """The file, if it is one: a pipe would be waited for."""
    try:
        mode = source.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no file"
            raise FitError(f"`path` must name a saved fit, got {str(source)!r}, which is {kind}.")
        file = source.open("rb")
    except FileNotFoundError as error:
        raise FitError(
            f"`path` must name a saved fit, got {str(source)!r}: there is no such file."
        ) from error
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise FitError(
            f"`path` must name a saved fit that can be read, got {shortened(str(source))!r}: "
            f"{said}."
        ) from error
    with file:
        yield file


def _read(file: BinaryIO) -> tuple[Fit, int]:
    """The fit, and the number of its format."""
    size = file.seek(0, 2)
    check_fits(
        5 * size // 4,  # and what is needed to check it
        "a saved fit",
        "path",
        "Save fewer draws, or load it on a larger machine.",
    )
    check_closed(file)
    file.seek(0)
    with xr.open_datatree(cast(Any, file), engine="h5netcdf", decode_times=False) as opened:
        # group by group: the tree's own load() passes over variables that are named like a group
        groups = {name: node.to_dataset().load() for name, node in opened.children.items()}
    if "mrp" not in groups:
        raise Refused("it has no group 'mrp'")
    dataset = groups.pop("mrp")
    if not isinstance(dataset.attrs.get("fit"), str):
        raise Refused("it has no description of a fit")
    content = content_of(dataset.attrs["fit"])
    of_draws = [name for name in ("posterior", "prior") if name in groups]
    if not of_draws:
        raise Refused(f"it has no draws, but the groups {listing(groups)}")
    _check_groups(groups, of_draws[0])
    fit = _made(content, dataset, groups, most=_most_coefficients(groups[of_draws[0]]))
    by_level = level_parameters(fit.family, fit.outcome, fit.levels)
    coefficients.check(fit.design, fit.parameters, by_level)
    return fit, content.format


def _check_groups(groups: Mapping[str, xr.Dataset], of_draws: str) -> None:
    """Raise unless parameters are numbers, and what the sampler said is of the same draws."""
    draws = groups[of_draws]
    for name, array in draws.data_vars.items():
        if str(name).endswith(("_sigma", "_cor", "sigma", "alpha")) and array.dtype.kind != "f":
            raise Refused(f"'/{of_draws}/{name}' has values of type {str(array.dtype)!r}")
    for group in ("sample_stats", "log_prior"):
        for name, array in groups.get(group, xr.Dataset()).data_vars.items():
            if any(array.sizes.get(dim) != draws.sizes.get(dim) for dim in ("chain", "draw")):
                raise Refused(f"'/{group}/{name}' is of other chains and draws than its parameters")
            if array.dtype.kind not in ("f" if group == "log_prior" else "fiubOUT"):
                raise Refused(f"'/{group}/{name}' has values of type {str(array.dtype)!r}")


def _most_coefficients(draws: xr.Dataset) -> int:
    """How many coefficients the largest variable has."""
    sizes = [
        [size for dim, size in array.sizes.items() if dim not in ("chain", "draw")]
        for array in draws.data_vars.values()
    ]
    return max(map(math.prod, sizes), default=0)


def _made(
    content: Content | OldContent,
    dataset: xr.Dataset,
    groups: Mapping[str, xr.Dataset],
    most: int,
) -> Fit:
    """A fit of what a file says, which is checked piece by piece."""
    family = _family(content)
    levels = _levels(content, family)
    observed = _observed(dataset, content.outcome, levels, family)
    survey = None
    if "survey_parquet" in dataset:
        parquet = dataset["survey_parquet"].to_numpy()
        if parquet.dtype != np.uint8:
            raise Refused("its survey is no parquet")
        respondents = None if observed is None else len(observed.values)
        survey = survey_from_parquet(parquet.tobytes(), content.categoricals, respondents)
    ordered = family.levels == "ordered"
    if isinstance(content, Content):
        if content.design.ordered != ordered:
            raise Refused("its terms are those of another family")
        design = made_again(content.design, most=most)
    else:
        design = old.design_of(content.design, content.format, survey, ordered=ordered, most=most)
    if content.format > 1:
        _check_outcome_named(design, content.outcome)
    if survey is not None:
        check_columns(design.columns, survey, "path", design)
        design.rows(survey, argument="path")
    info = calls.from_json(content.info)
    if not isinstance(info, dict):
        raise Refused("it does not say how its draws were made")
    return Fit(
        draws=xr.DataTree.from_dict(dict(groups)),
        design=design,
        family=content.family,
        link=cast(Any, content.link),
        outcome=content.outcome,
        survey=survey,
        info=info,
        levels=levels,
        observed=observed,
        priors=_priors(content),
    )


def _family(content: Content | OldContent) -> Family:
    """The family, which must have the link."""
    from mrp.model.families import FAMILIES

    family = next((f for f in FAMILIES.values() if f.name == content.family), None)
    if family is None or content.link not in family.links:
        raise Refused(f"no family {content.family!r} with link {content.link!r} is known")
    return family


def _levels(content: Content | OldContent, family: Family) -> tuple[Level, ...] | None:
    """Levels of the outcome, of the families that have any."""
    if content.levels is None:
        if family.levels is not None:
            raise Refused("its outcome has no levels")
        return None
    levels = tuple(map(level_from_json, content.levels))
    if family.levels is None or len(levels) < 2 or len(set(map(str, levels))) < len(levels):
        raise Refused(f"its outcome can't have the levels {listing(levels)}")
    return levels


def _observed(
    dataset: xr.Dataset, name: str, levels: tuple[Level, ...] | None, family: Family
) -> Outcome | None:
    """The outcome of each respondent, if it was saved."""
    from mrp.model.families import check_outcome
    from mrp.model.outcome import Outcome

    if "observed" not in dataset:
        return None
    numbers = {own: dataset[own].to_numpy() for own in ("observed", "trials") if own in dataset}
    if any(each.dtype.kind != "f" or each.ndim != 1 for each in numbers.values()) or not all(
        np.isfinite(each).all() for each in numbers.values()
    ):
        raise Refused("its outcomes are no finite numbers")
    outcome = Outcome(name, numbers["observed"], numbers.get("trials"), levels)
    check_outcome(family, outcome)
    if levels is not None and not np.isin(outcome.values, np.arange(len(levels))).all():
        raise Refused("its outcomes are no levels")
    return outcome


def _priors(content: Content | OldContent) -> pd.DataFrame | None:
    """The table that `prior_summary` gives."""
    return None if content.priors is None else pd.DataFrame(content.priors)


def _check_outcome_named(design: Design, outcome: str) -> None:
    part = describe(design.formula).outcome
    if part is None or variable_name(part.name) != outcome:
        raise Refused(f"its outcome {outcome!r} is not that of its formula")
