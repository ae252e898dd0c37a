"""Saved fits that someone has edited: with a digest that is right again, or as older versions."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from mrp.design import Categorical, Design
from mrp.saved_fits.digest import LENGTH, footer
from mrp.saved_fits.labels import old_label
from mrp.saved_fits.levels import level_to_json

Json = dict[str, Any]


def without_digest(content: bytes) -> bytes:
    """The netCDF of a file of format 3."""
    return content[:-LENGTH]


def with_digest(content: bytes) -> bytes:
    """A netCDF with a digest."""
    return content + footer(memoryview(content))


def with_hdf5(content: bytes, edit: Callable[[h5py.File], None]) -> bytes:
    """A file whose HDF5 was edited in place, with a digest."""
    buffer = io.BytesIO(without_digest(content))
    with h5py.File(buffer, "r+") as file:
        edit(file)
    return with_digest(buffer.getvalue())


def with_json(content: bytes, edit: Callable[[Json], Json | None]) -> bytes:
    """A file whose description was edited, with a digest."""

    def edit_attribute(file: h5py.File) -> None:
        description = json.loads(file["mrp"].attrs["fit"])
        changed = edit(description)
        file["mrp"].attrs["fit"] = json.dumps(description if changed is None else changed)

    return with_hdf5(content, edit_attribute)


def with_tree(content: bytes, edit: Callable[[xr.DataTree], xr.DataTree | None]) -> bytes:
    """A file whose netCDF was edited and written anew, with a digest."""
    with xr.open_datatree(io.BytesIO(without_digest(content)), engine="h5netcdf") as opened:
        tree = opened.load()
    changed = edit(tree)
    return with_digest(bytes((tree if changed is None else changed).to_netcdf(engine="h5netcdf")))


def as_old(path: Path, design: Design, number: int, *, calls: dict[str, str] | None = None) -> None:
    """Make a file of a fit what versions with format 1 or 2 would have written.

    Parameters
    ----------
    path
        The file, of today's format.
    design
        The design of its fit.
    number
        The format.
    calls
        For calls as the file would have them, as it is to have them.
    """

    def edit(tree: xr.DataTree) -> None:
        content = json.loads(tree["mrp"].attrs["fit"])
        said = json.dumps(old_design(design, number))
        for now, then in (calls or {}).items():
            said = said.replace(now, then)
        content |= {"format": number, "design": json.loads(said)}
        del content["ends"]  # where the digest is
        tree["mrp"].attrs["fit"] = json.dumps(content)

    path.write_bytes(without_digest(with_tree(path.read_bytes(), edit)))


def old_design(design: Design, number: int) -> Json:
    """A design as formats 1 and 2 had it."""
    texts = {c.source for c in design.components.values()} - set(design.columns)
    names = {text: old_label(text) if number == 1 else text for text in texts}
    content = {name: getattr(design, name) for name in ("formula", "columns", "offsets")} | {
        "components": [
            {
                "kind": type(c).__name__,
                "name": c.name,
                "source": names.get(c.source, c.source),
                **({"levels": list(map(level_to_json, c.levels))} if _has_levels(c) else {}),
            }
            for c in design.components.values()
        ],
        "terms": [_term(term, design, number) for term in design.terms],
        "blocks": [
            {
                "factor": block.factor,
                "terms": [_term(term, design, number) for term in block.terms],
                "correlated": block.correlated,
                "number": block.number,
            }
            for block in design.blocks
        ],
        "factors": [asdict(factor) for factor in design.factors.values()],
    }
    return json.loads(json.dumps(content)) | {"calls": _calls(design, names, number)}


def _has_levels(component: Any) -> bool:
    return isinstance(component, Categorical)


def _term(term: Any, design: Design, number: int) -> Json:
    own = {name: getattr(term, name) for name in ("name", "width", "levels", "kind")}
    codings = []
    for coding in term.codings:
        matrix = None
        if coding.contrasts is not None:
            levels = len(design.components[coding.component].levels)
            matrix = coding.columns(np.arange(levels)).tolist()
        codings.append({"component": coding.component, "contrasts": matrix})
    return own | {"codings": codings} | ({} if number == 1 else {"of": term.of, "dim": term.dim})


def _calls(design: Design, names: dict[str, str], number: int) -> Json:
    from mrp.formula import calls

    states = {names[k]: calls.to_json(list(v)) for k, v in design.calls.states.items()}
    if number == 1:
        return {"formula": design.formula, "states": states}
    columns = {
        name: {"kind": column.kind, "levels": list(map(level_to_json, column.levels))}
        for name, column in design.calls.columns.items()
    }
    return {"states": states, "columns": columns}


def refusal(path: Path) -> str:
    """How the message about a file begins that is none of a fit."""
    return rf"\A`path` must name a file that Fit\.save wrote, got {re.escape(repr(str(path)))}, "
