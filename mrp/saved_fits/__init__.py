"""Fits in files: one netCDF file each, read without PyMC, Bambi or unpickling.

The groups of draws are those of the tree; the group ``mrp`` has the rest: a description as JSON
(`content`), the outcome, and the survey as parquet (`survey`). Of the design it has what the
formula learned from the survey (`designs`); files of older versions had all of it (`old`). Behind
the netCDF stands a hash of all of it (`digest`).

A file is not trusted: it is read if it is closed in itself (`closed`), plain data of the right
types (`content`), and says of its formula nothing that the formula does not say.
"""

from __future__ import annotations

from mrp.saved_fits.content import FORMAT, READABLE
from mrp.saved_fits.designs import design_from_json, design_to_json
from mrp.saved_fits.reading import load_fit
from mrp.saved_fits.survey import check_savable
from mrp.saved_fits.writing import write

__all__ = [
    "FORMAT",
    "READABLE",
    "check_savable",
    "design_from_json",
    "design_to_json",
    "load_fit",
    "write",
]
