"""What comes after sampling, tried before it with made-up draws: refused at once or not at all.

The command line tries its whole run with them, and recovery every estimand.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import xarray as xr

from mrp.design import Design
from mrp.errors import FrameWarning, RequestError, listing, warn
from mrp.files import put_table
from mrp.fit import Fit
from mrp.levels import LevelParameters
from mrp.model.families import FAMILIES, FamilyName
from mrp.reading import NUMBER
from mrp.saved_fits.writing import size_of
from mrp.testing import fake_draws

if TYPE_CHECKING:
    import pandas as pd

    from mrp.model import Model

SPREAD = 0.01
"""Standard deviation of made-up effects: small beside intercepts of one, large beside rounding."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What texts begin with that spreadsheets run, by the list of OWASP ("CSV Injection")."""
STATISTICS = 20
"""Numbers that the sampler keeps of a draw besides the parameters, at the most."""


def made_up(design: Design, family: str, by_level: LevelParameters) -> xr.Dataset:
    """Two draws with the names and shapes of a model's parameters.

    Intercepts are about one and effects about zero, so that no mean is impossible under any link,
    and none is certain.
    """
    draws = fake_draws(design, chains=1, draws=2, scale=SPREAD, by_level=by_level)
    if "Intercept" in draws:
        draws["Intercept"] = draws["Intercept"] + 1.0
    auxiliary = FAMILIES[cast(FamilyName, family)].auxiliary
    if auxiliary:
        draws[auxiliary] = xr.DataArray(np.ones((1, 2)), dims=("chain", "draw"))
    return draws


def rehearsed(model: Model) -> Fit:
    """A fit of two made-up draws: what it is refused, the real one would be refused later."""
    return Fit.from_draws(model, made_up(model.design, model.family, model.by_level))


def check_saved(fit: Fit, path: Path, argument: str, *, draws: int) -> None:
    """Raise unless a fit of so many draws could be saved, as far as that can be known.

    Parameters
    ----------
    fit
        The rehearsed one, of which the bytes of a file are made.
    path
        Where the real one will be saved.
    argument
        What the user knows the path as.
    draws
        How many draws the real one will have, over all chains.

    Raises
    ------
    FitError
        Something of it can't be saved.
    RequestError
        There is no room for it.

    Warns
    -----
    FrameWarning
        Something of the survey will be left out.
    """
    size = size_of(fit)
    parameters = sum(variable.size for variable in fit.parameters.data_vars.values()) // 2
    _check_room(path, argument, size + 8 * draws * (parameters + STATISTICS))


def check_written(table: pd.DataFrame, path: Path, argument: str) -> None:
    """Raise unless a table like this one can be written there.

    Raises
    ------
    RequestError
        A column has what files of this kind can't hold; or there is no room for it.

    Warns
    -----
    FrameWarning
        A CSV file will have texts that a spreadsheet takes for formulas.
    """
    if path.suffix.lower() == ".csv":
        _warn_of_formulas(table, path, argument)
    buffer = io.BytesIO()
    try:
        put_table(table, path, buffer)
    except (TypeError, ValueError, NotImplementedError, ArithmeticError) as error:
        raise RequestError(
            f"`{argument}` must be a file that can hold the table, got {str(path)!r}: {error}. "
            f"Convert the column, or choose the other kind of file."
        ) from error
    _check_room(path, argument, buffer.tell())


def _warn_of_formulas(table: pd.DataFrame, path: Path, argument: str) -> None:
    """Warn of texts that a spreadsheet would run: they are written as they are."""
    texts = [str(name) for name in table.columns]
    for name in table.select_dtypes(exclude="number").columns:
        texts += [text for text in table[name].unique() if isinstance(text, str)]
    run = [text for text in texts if text.startswith(FORMULA) and not re.fullmatch(NUMBER, text)]
    if run:
        warn(
            f"`{argument}` has texts that a spreadsheet takes for formulas, {listing(run)}, and "
            f"{str(path)!r} keeps them as they are: other programs read the right levels. Import "
            f"them as text, or write .parquet.",
            FrameWarning,
        )


def check_folder(folder: Path, argument: str) -> None:
    """Raise unless a file can be made in a folder: one is, and is gone again.

    Raises
    ------
    RequestError
        None can.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(
            f"`{argument}` must be in a folder that can be written to, got {str(folder)!r}: "
            f"{error.strerror}. Choose another one."
        ) from error


def _check_room(path: Path, argument: str, needed: int) -> None:
    check_folder(path.parent, argument)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise RequestError(
            f"`{argument}` must be where there is room, got {str(path)!r}, which takes about "
            f"{needed / 2**20:,.1f} MiB of {free / 2**20:,.1f} MiB free. Choose another place."
        )
