"""Fits to files: made as bytes, then written whole."""

from __future__ import annotations

import io
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mrp.errors import FitError, listing
from mrp.files import check_target, complete, path_of
from mrp.fit import RESPONDENT, Fit
from mrp.formula import calls
from mrp.memory import check_fits
from mrp.saved_fits.content import ENDS, FORMAT
from mrp.saved_fits.designs import design_to_json
from mrp.saved_fits.digest import footer
from mrp.saved_fits.levels import level_to_json
from mrp.saved_fits.survey import survey_to_parquet

if TYPE_CHECKING:
    from pathlib import Path


def write(fit: Fit, path: object, *, include_survey: bool) -> Path:
    """Write a fit to a file; see `Fit.save`."""
    target = path_of(path, "path", FitError)
    _check_namespace(fit)
    check_target(target, "path", FitError, example="fit.nc")
    netcdf = as_netcdf(fit, include_survey=include_survey)
    with netcdf.getbuffer() as content, complete(target, "path", FitError) as file:
        file.write(content)
        file.write(footer(content))
    return target


def size_of(fit: Fit) -> int:
    """How many bytes the file of a fit has; raises what saving it would raise."""
    _check_namespace(fit)
    return as_netcdf(fit, include_survey=True).getbuffer().nbytes


def _check_namespace(fit: Fit) -> None:
    own = fit.design.calls.namespace
    if own:
        raise FitError(
            f"A fit can be saved only if its formula calls known functions, got "
            f"{listing(own)} from `namespace`. Compute those columns in the survey instead."
        )


def as_netcdf(fit: Fit, *, include_survey: bool) -> io.BytesIO:
    """The bytes of a fit, without their hash.

    Raises
    ------
    RequestError
        The memory can't hold another copy of the draws.
    """
    check_fits(
        fit.draws.nbytes,
        f"the draws of a fit, of {fit.parameters.sizes['draw']:,} draws in each chain, once more",
        "path",
        "Free some memory before it is saved.",
    )
    tree = fit.draws.copy()
    tree["mrp"] = xr.DataTree(_as_dataset(fit, include_survey))
    netcdf = io.BytesIO()
    tree.to_netcdf(netcdf, engine="h5netcdf")
    return netcdf


def _as_dataset(fit: Fit, include_survey: bool) -> xr.Dataset:
    """What a fit has besides its draws."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "design": design_to_json(fit.design),
        "family": fit.family,
        "link": fit.link,
        "outcome": fit.outcome,
        "levels": None if fit.levels is None else [level_to_json(level) for level in fit.levels],
        "priors": None if fit.priors is None else fit.priors.to_dict("records"),
        "info": calls.to_json(dict(fit.info)),
        "versions": {name: version(name) for name in ("numpy", "pandas", "xarray")},
        "ends": ENDS,
    }
    dataset = xr.Dataset()
    if include_survey and fit.observed is not None:
        dataset["observed"] = (RESPONDENT, fit.observed.values)
        if fit.observed.trials is not None:
            dataset["trials"] = (RESPONDENT, fit.observed.trials)
    if include_survey and fit.survey is not None:
        parquet, content["categoricals"] = survey_to_parquet(fit.survey)
        dataset["survey_parquet"] = ("byte", np.frombuffer(parquet, dtype=np.uint8))
    dataset.attrs["fit"] = json.dumps(content)
    return dataset
