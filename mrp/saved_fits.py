"""Fits in files: one netCDF file each, read without PyMC, Bambi or unpickling.

The groups of draws are those of the tree; the group ``mrp`` has the rest as JSON, the outcome, and
the survey as parquet. Categoricals whose levels parquet can't hold, or would hold as plain numbers
or dates, are codes there and have their levels in the JSON.
"""

from __future__ import annotations

import datetime
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

from mrp import old_files
from mrp.arguments import explained
from mrp.design import (
    Block,
    Categorical,
    Coding,
    Component,
    Design,
    Factor,
    Indicators,
    Level,
    Matrix,
    Numeric,
    Plain,
    Term,
    contrasts_of,
)
from mrp.errors import DataError, FitError, FrameWarning, listing, warn
from mrp.fit import RESPONDENT, Fit
from mrp.formula import calls
from mrp.links import Link

if TYPE_CHECKING:
    from mrp.model.outcome import Outcome

FORMAT = 2
"""Version of the file layout."""
READABLE = (1, FORMAT)
"""Versions that can be read; files of version 1 have other labels of calls (`old_files`)."""
INDEX = "<index>"
"""Stands for the survey's index among the names of what is left out."""
UNWRITABLE = (TypeError, ValueError, NotImplementedError, ArithmeticError)
"""What pyarrow raises where parquet has no words for a column."""


def write(fit: Fit, target: Path, *, include_survey: bool) -> Path:
    """Write a fit to a file; see `Fit.save`."""
    own = fit.design.calls.namespace
    if own:
        raise FitError(
            f"A fit can be saved only if its formula calls known functions, got "
            f"{listing(own)} from `namespace`. Compute those columns in the survey instead."
        )
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
        parquet, content["categoricals"] = _survey_to_parquet(fit.survey)
        dataset["survey_parquet"] = ("byte", np.frombuffer(parquet, dtype=np.uint8))
        dataset.attrs["fit"] = json.dumps(content)
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
    if content["format"] not in READABLE:
        raise FitError(
            f"`path` must be a fit of file format {' or '.join(map(str, READABLE))}, got "
            f"{content['format']}. Load it with the version of mrp that wrote it."
        )
    survey = None
    if "survey_parquet" in dataset:
        parquet = dataset["survey_parquet"].values.tobytes()
        survey = _survey_from_parquet(parquet, content.get("categoricals", {}))
    groups = {name: node for name, node in tree.children.items() if name != "mrp"}
    levels = content.get("levels")  # files of older versions have none
    design = design_from_json(content["design"])
    return Fit(
        draws=xr.DataTree.from_dict({name: group.to_dataset() for name, group in groups.items()}),
        design=old_files.translated(design, survey) if content["format"] == 1 else design,
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


# --- the survey -----------------------------------------------------------------------------------


def check_savable(design: Design, survey: pd.DataFrame) -> None:
    """Raise unless a fit of this design and survey could be saved, before there are any draws.

    Raises
    ------
    DataError
        A categorical has levels, or a column that the formula uses has values, that can't be.
    """
    import pyarrow as pa

    for component in design.components.values():
        levels = component.levels if isinstance(component, Categorical) else ()
        other = next((level for level in levels if not _is_level(level)), None)
        if other is not None:
            raise DataError(
                f"`data` must have levels that are text, numbers, dates or intervals in "
                f"{component.source!r}, got {type(other).__name__} ({other}). Convert the column "
                f"with `astype(str)`."
            )
    for name in design.columns:
        try:
            pa.Table.from_pandas(_for_parquet(survey[[name]]), preserve_index=False)
        except UNWRITABLE as error:
            raise DataError(
                f"`data` must have values that can be saved in {name!r}, got type "
                f"{str(survey[name].dtype)!r}: {error}. Convert the column."
            ) from error


def _survey_to_parquet(survey: pd.DataFrame) -> tuple[bytes, dict[str, Any]]:
    """The survey without what can't be written, and the levels of categoricals that are codes."""
    left_out = _unwritable(survey)
    if left_out:
        warn(
            f"The saved survey lacks what can't be written as parquet, and the formula does not "
            f"use: {listing(left_out)}. Convert it before making the model, for example with "
            f"`astype(str)`, if it is needed after loading.",
            FrameWarning,
        )
        survey = survey.drop(columns=[name for name in left_out if name != INDEX])
        survey = survey.reset_index(drop=True) if INDEX in left_out else survey
    levels = {
        str(name): {
            "levels": [_level_to_json(level) for level in column.cat.categories.tolist()],
            "type": str(column.cat.categories.dtype),
            "ordered": bool(column.cat.ordered),
        }
        for name, column in survey.items()
        if _has_own_levels(column)
    }
    return _parquet(survey), levels


def _survey_from_parquet(parquet: bytes, categoricals: Mapping[str, Any]) -> pd.DataFrame:
    """Inverse of `_survey_to_parquet`."""
    survey = pd.read_parquet(io.BytesIO(parquet))
    columns = {}
    for name, saved in categoricals.items():
        levels = pd.Index(
            [_level_from_json(level) for level in saved["levels"]], dtype=saved["type"]
        )
        columns[name] = pd.Categorical.from_codes(survey[name], levels, ordered=saved["ordered"])
    return survey.assign(**columns)


def _unwritable(survey: pd.DataFrame) -> list[Any]:
    """Columns that parquet does not take, and `INDEX` if that is what it does not take."""
    unnamed = [name for name in survey.columns if not isinstance(name, str)]
    named = survey.drop(columns=unnamed)
    if _is_writable(named):
        return unnamed
    alone = named.reset_index(drop=True)
    bad = [name for name in named.columns if not _is_writable(alone[[name]])]
    return [*unnamed, *bad, *([] if _is_writable(survey[[]]) else [INDEX])]


def _is_writable(table: pd.DataFrame) -> bool:
    try:
        _parquet(table)
    except UNWRITABLE:
        return False
    return True


def _parquet(survey: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    _for_parquet(survey).to_parquet(buffer)
    return buffer.getvalue()


def _for_parquet(survey: pd.DataFrame) -> pd.DataFrame:
    """The survey in types that parquet has."""
    columns: dict[str, Any] = {}
    for name, column in survey.items():
        if _has_own_levels(column):
            columns[str(name)] = column.cat.codes
        elif isinstance(column.dtype, pd.SparseDtype):
            columns[str(name)] = column.to_numpy()
        elif column.dtype == np.longdouble:
            columns[str(name)] = column.astype(np.float64)
    return survey.assign(**columns)


def _has_own_levels(column: pd.Series) -> bool:
    """Whether a column is a categorical that parquet would not give back as it was."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return False
    categories = column.cat.categories
    return not pd.api.types.is_string_dtype(categories) and all(map(_is_level, categories))


# --- levels ---------------------------------------------------------------------------------------


def _is_level(level: object) -> bool:
    """Whether this is a level that can be saved."""
    if isinstance(level, pd.Interval):
        return _is_level(level.left) and _is_level(level.right)
    return isinstance(level, Plain | datetime.date | np.integer | np.bool_)


def _level_to_json(level: Any) -> Any:
    """A level as JSON: intervals and dates are marked."""
    if isinstance(level, pd.Interval):
        return {"interval": [*map(_level_to_json, (level.left, level.right)), level.closed]}
    if isinstance(level, datetime.datetime):
        zone = level.tzinfo and str(level.tzinfo)
        return {"time": [level.isoformat(), zone]}
    if isinstance(level, datetime.date):
        return {"date": level.isoformat()}
    return level.item() if isinstance(level, np.generic) else level


def _level_from_json(saved: Any) -> Level:
    """Inverse of `_level_to_json`."""
    if not isinstance(saved, dict):
        level: Level = saved
        return level
    ((kind, content),) = saved.items()
    if kind == "interval":
        left, right, closed = content
        return pd.Interval(_level_from_json(left), _level_from_json(right), closed)
    if kind == "date":
        return datetime.date.fromisoformat(content)
    text, zone = content
    time = pd.Timestamp(text)
    return time if zone is None else time.tz_convert(zone)


# --- the design -----------------------------------------------------------------------------------


def design_to_json(design: Design) -> dict[str, Any]:
    """A design as JSON."""
    content = {name: getattr(design, name) for name in ("formula", "columns", "offsets")} | {
        "components": [_component_to_json(c) for c in design.components.values()],
        "terms": [asdict(term) for term in design.terms],
        "blocks": [asdict(block) for block in design.blocks],
        "factors": [asdict(factor) for factor in design.factors.values()],
        "calls": {
            "states": {k: calls.to_json(list(v)) for k, v in design.calls.states.items()},
            "columns": {
                name: {"kind": column.kind, "levels": [_level_to_json(x) for x in column.levels]}
                for name, column in design.calls.columns.items()
            },
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
        calls=calls.Calls(states, columns=_columns_of_calls(content["calls"])),
    )


def _columns_of_calls(content: Mapping[str, Any]) -> dict[str, calls.Column]:
    """What the survey had in the columns that calls use; the first format does not say."""
    return {
        name: calls.Column(item["kind"], tuple(map(_level_from_json, item["levels"])))
        for name, item in content.get("columns", {}).items()
    }


def _component_to_json(component: Component) -> dict[str, Any]:
    content = {"kind": type(component).__name__, **asdict(component)}
    if isinstance(component, Categorical):
        content["levels"] = [_level_to_json(level) for level in component.levels]
    return content


def _component(item: Mapping[str, Any]) -> Numeric | Categorical:
    if item["kind"] == "Numeric":
        return Numeric(item["name"], item["source"])
    levels = tuple(map(_level_from_json, item["levels"]))
    return Categorical(item["name"], item["source"], levels)


def _term(item: Mapping[str, Any]) -> Term:
    codings = tuple(Coding(c["component"], _contrasts(c["contrasts"])) for c in item["codings"])
    levels = None if item["levels"] is None else tuple(item["levels"])
    later = (item.get("of"), item.get("dim"))  # the first format has neither
    return Term(item["name"], codings, item["width"], levels, item["kind"], *later)


def _contrasts(saved: Any) -> Indicators | Matrix | None:
    """Contrasts from JSON; the first two formats have a matrix where levels are marked, too."""
    if saved is None:
        return None
    return Indicators(**saved) if isinstance(saved, dict) else contrasts_of(np.asarray(saved))
