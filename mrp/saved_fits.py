"""Fits in files: one netCDF file each, read without PyMC, Bambi or unpickling.

The groups of draws are those of the tree; the group ``mrp`` has the rest as JSON, the outcome, and
the survey as parquet.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import xarray as xr

from mrp import calls
from mrp.arguments import explained
from mrp.design import Block, Categorical, Coding, Design, Factor, Level, Numeric, Term
from mrp.errors import FitError, listing
from mrp.fit import RESPONDENT, Fit
from mrp.links import Link

if TYPE_CHECKING:
    from mrp.model.outcome import Outcome

FORMAT = 1
"""Version of the file layout; a file of another version is refused."""


def write(fit: Fit, target: Path, *, include_survey: bool) -> Path:
    """Write a fit to a file; see `Fit.save`."""
    own = fit.design.calls.namespace
    if own:
        raise FitError(
            f"A fit can be saved only if its formula calls known functions, got "
            f"{listing(own)} from `namespace`. Compute those columns in the survey instead."
        )
    _check_levels(fit.design)
    if not target.parent.is_dir():
        raise FitError(
            f"`path` must be in a folder that exists, got {str(target.parent)!r}. Create it."
        )
    if target.is_dir():
        raise FitError(
            f"`path` must name a file, got the folder {str(target)!r}. Add a name: "
            f"{str(target / 'fit.nc')!r}."
        )
    tree = fit.draws.copy()
    tree["mrp"] = xr.DataTree(_as_dataset(fit, include_survey))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".mrp-") as folder:
        temporary = Path(folder) / "fit.nc"
        tree.to_netcdf(temporary, engine="h5netcdf")
        temporary.replace(target)
    return target


def _as_dataset(fit: Fit, include_survey: bool) -> xr.Dataset:
    """What a fit has besides its draws."""
    content = {
        "format": FORMAT,
        "design": design_to_json(fit.design),
        "family": fit.family,
        "link": fit.link,
        "outcome": fit.outcome,
        "levels": fit.levels,
        "priors": None if fit.priors is None else fit.priors.to_dict("records"),
        "info": calls.to_json(dict(fit.info)),
        "versions": {name: version(name) for name in ("numpy", "pandas", "xarray")},
    }
    dataset = xr.Dataset(attrs={"fit": json.dumps(content)})
    if include_survey and fit.observed is not None:
        dataset["observed"] = (RESPONDENT, fit.observed.values)
        if fit.observed.trials is not None:
            dataset["trials"] = (RESPONDENT, fit.observed.trials)
    if include_survey and fit.survey is not None:
        buffer = io.BytesIO()
        try:
            fit.survey.to_parquet(buffer)
        except (TypeError, ValueError, NotImplementedError) as error:
            raise FitError(
                f"`include_survey` needs a survey that can be written as parquet, which this "
                f"one can't: {error}. Convert the column, or pass include_survey=False."
            ) from error
        dataset["survey_parquet"] = ("byte", np.frombuffer(buffer.getvalue(), dtype=np.uint8))
    return dataset


@explained
def load_fit(path: str | os.PathLike[str]) -> Fit:
    """Read a fit that `Fit.save` wrote.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FitError
        There is no such file, or it is not a fit, or of another version.
    """
    source = Path(path)
    if not source.is_file():
        raise FitError(f"`path` must name a saved fit, got {str(source)!r}: there is no such file.")
    try:
        with xr.open_datatree(source, engine="h5netcdf") as opened:
            tree = opened.load()
        dataset = tree["mrp"].to_dataset()
        content = json.loads(dataset.attrs["fit"])
    except (OSError, KeyError, ValueError) as error:
        raise FitError(
            f"`path` must name a file that Fit.save wrote, got {str(source)!r}, which can't be "
            f"read as one ({type(error).__name__}: {error})."
        ) from error
    if content["format"] != FORMAT:
        raise FitError(
            f"`path` must be a fit of file format {FORMAT}, got {content['format']}. "
            f"Load it with the version of mrp that wrote it."
        )
    survey = None
    if "survey_parquet" in dataset:
        survey = pd.read_parquet(io.BytesIO(dataset["survey_parquet"].values.tobytes()))
    groups = {name: node for name, node in tree.children.items() if name != "mrp"}
    levels = content.get("levels")  # files of older versions have none
    return Fit(
        draws=xr.DataTree.from_dict({name: group.to_dataset() for name, group in groups.items()}),
        design=design_from_json(content["design"]),
        family=content["family"],
        link=cast(Link, content["link"]),
        outcome=content["outcome"],
        survey=survey,
        info=calls.from_json(content["info"]),
        levels=None if levels is None else tuple(levels),
        observed=_observed(dataset, content),
        priors=None if (rows := content.get("priors")) is None else pd.DataFrame(rows),
    )


def _observed(dataset: xr.Dataset, content: Mapping[str, Any]) -> Outcome | None:
    """The outcome of each respondent, if it was saved."""
    from mrp.model.outcome import Outcome

    if "observed" not in dataset:
        return None
    trials = dataset["trials"].to_numpy() if "trials" in dataset else None
    levels = content.get("levels")
    return Outcome(
        name=content["outcome"],
        values=dataset["observed"].to_numpy(),
        trials=trials,
        levels=None if levels is None else tuple(levels),
    )


def _check_levels(design: Design) -> None:
    for component in design.components.values():
        if isinstance(component, Categorical):
            other = [level for level in component.levels if not isinstance(level, Level)]
            if other:
                raise FitError(
                    f"A fit can be saved only if levels are strings or numbers, got "
                    f"{type(other[0]).__name__} in {component.source!r}. Convert the column with "
                    f"`astype(str)` before making the model."
                )


def design_to_json(design: Design) -> dict[str, Any]:
    """A design as JSON."""
    content = {name: getattr(design, name) for name in ("formula", "columns", "offsets")} | {
        "components": [{"kind": type(c).__name__, **asdict(c)} for c in design.components.values()],
        "terms": [asdict(term) for term in design.terms],
        "blocks": [asdict(block) for block in design.blocks],
        "factors": [asdict(factor) for factor in design.factors.values()],
        "calls": {
            "formula": design.calls.formula,
            "states": {k: calls.to_json(list(v)) for k, v in design.calls.states.items()},
        },
    }
    result: dict[str, Any] = json.loads(json.dumps(content))
    return result


def design_from_json(content: Mapping[str, Any]) -> Design:
    """Inverse of `design_to_json`."""
    components = [_component(item) for item in content["components"]]
    factors = [
        Factor(f["name"], tuple(f["components"]), tuple(map(tuple, f["codes"])), tuple(f["groups"]))
        for f in content["factors"]
    ]
    blocks = tuple(
        Block(b["factor"], tuple(map(_term, b["terms"])), b["correlated"], b["number"])
        for b in content["blocks"]
    )
    states = {k: tuple(calls.from_json(v)) for k, v in content["calls"]["states"].items()}
    return Design(
        formula=content["formula"],
        columns=tuple(content["columns"]),
        components={component.name: component for component in components},
        terms=tuple(map(_term, content["terms"])),
        blocks=blocks,
        factors={factor.name: factor for factor in factors},
        offsets=tuple(content["offsets"]),
        calls=calls.Calls(content["calls"]["formula"], states),
    )


def _component(item: Mapping[str, Any]) -> Numeric | Categorical:
    if item["kind"] == "Numeric":
        return Numeric(item["name"], item["source"])
    return Categorical(item["name"], item["source"], tuple(item["levels"]))


def _term(item: Mapping[str, Any]) -> Term:
    codings = tuple(
        Coding(c["component"], c["contrasts"] and tuple(map(tuple, c["contrasts"])))
        for c in item["codings"]
    )
    levels = None if item["levels"] is None else tuple(item["levels"])
    return Term(item["name"], codings, item["width"], levels, item["kind"])
