"""Surveys and frames to learn and test with: bundled, simulated and downloaded.

`load_dataset` looks a name up in `DATASETS`, finds the file and cleans it. Files of this package
lie in `data/`; all others are downloaded on first use, checked by their sha256 and kept in the
user's cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pandas as pd

from mrp.arguments import explained
from mrp.errors import DataError, RequestError, listing, unknown

DatasetName = Literal[
    "ces_survey",
    "ces_demographics",
    "finland",
    "uk",
    "rainey2015",
    "finland_districts",
    "simulated_survey",
    "simulated_frame",
    "simulated_truth",
]

AGE = pd.CategoricalDtype(["18-29", "30-39", "40-49", "50-59", "60-69", "70+"], ordered=True)
"""Age groups in years, youngest first."""

EDUCATION = pd.CategoricalDtype(
    ["No HS", "High school", "Some college", "2 year", "4 year", "Post grad"], ordered=True
)
"""Highest degree in the CES' order; HS: high school, 2 and 4 year: college degrees."""


@explained
def load_dataset(name: DatasetName) -> pd.DataFrame:
    """One of the datasets that the documentation works with, cleaned for modelling.

    =================== ===== =================================================== ==============
    name                rows  columns                                             source, licence
    =================== ===== =================================================== ==============
    `ces_survey`        3,000 state, defund, gender, age, education, military     [1]_, see there
    `ces_demographics`  5,929 state, age, education, gender, military, percent    [1]_, see there
    `finland`           1,086 district_id (14), contacted                         [2]_, MIT
    `uk`                  756 district_id (253), contacted,                       [2]_, MIT
                              district_competitiveness
    `rainey2015`        5,126 election_id (5), district_id (567), contacted,      [2]_, MIT
                              district_competitiveness, electoral_rules
    `finland_districts`    14 district_id, n, contacted                           [2]_, MIT
    `simulated_survey`  3,000 as `ces_survey`                                     [3]_, Apache-2.0
    `simulated_frame`   6,912 state, age, education, gender, military, n          [3]_, Apache-2.0
    `simulated_truth`      48 state, truth, population                            [3]_, Apache-2.0
    =================== ===== =================================================== ==============

    The levels and units of these columns:

    - state: two letters, 48 states (no Alaska, no Hawaii); string.
    - defund: 1 supports cutting police budgets, 0 does not; int64.
    - gender: "Man", "Woman"; string.
    - age: 18-29 < 30-39 < 40-49 < 50-59 < 60-69 < 70+; ordered categorical.
    - education: No HS < High school < Some college < 2 year < 4 year < Post grad; ordered
      categorical.
    - military: 1 has a military background, 0 has none; int64.
    - percent: the cell's percentage of its state's population, sums to 100 in each state; float64.
    - n: number of people in the cell (`simulated_frame`) or respondents of the district
      (`finland_districts`); int64.
    - truth: the population's true share of support in [0, 1]; float64. population: people; int64.
    - contacted: 1 was contacted by a party before the election, 0 was not; int64. In
      `finland_districts` the number of respondents that were contacted.
    - district_id: categorical, its categories ordered by the district's contact rate, equal rates
      by name; "District " is removed. In `rainey2015` a string, as "Canada; District 7".
    - district_competitiveness: in [0, 1]; float64.
    - election_id: Canada, Finland, Great Britain, Portugal 2002, Portugal 2005; string.
    - electoral_rules: PR (proportional), SMD (single-member districts); categorical.

    Parameters
    ----------
    name
        One of the names above. The first five are downloaded (under 0.5 MB together) on first use;
        if the environment variable MRP_DATA_DIR names a folder, they are read from there instead.

    Returns
    -------
    pandas.DataFrame
        A new table, one row per respondent, cell, district or state; no missing values.

    Raises
    ------
    RequestError
        If there is no such dataset.
    DataError
        If the file can't be downloaded, is not in MRP_DATA_DIR, or is not the file it should be.

    References
    ----------
    .. [1] Cooperative Election Study 2020, as prepared by Ornstein (2023),
       doi:10.1007/978-3-031-12982-7_5.
    .. [2] Rainey (2015), doi:10.1016/j.electstud.2014.10.008, from the R package crdata.
    .. [3] `mrp.population.simulate_survey` with its default arguments.

    Examples
    --------
    >>> load_dataset("finland_districts").head(3)
      district_id   n  contacted
    0         312  58          5
    1         315  44          4
    2         316  40          5
    """
    if name not in list(DATASETS):
        message = unknown("name", "name a dataset", name, list(DATASETS))
        raise RequestError(message)
    source = DATASETS[name]
    return source.clean(_table(_path(name, source)))


@dataclass(frozen=True)
class Source:
    """Where a dataset's file comes from, and how its table becomes clean."""

    filename: str
    clean: Callable[[pd.DataFrame], pd.DataFrame]
    url: str | None = None
    """None: the file is bundled."""
    sha256: str | None = None
    """Of the file's bytes. None: the file is bundled and needs no check."""


def _path(name: str, source: Source) -> Path:
    """The file of a dataset on this computer: bundled, in MRP_DATA_DIR, or downloaded."""
    if source.url is None:
        return _bundled_folder() / source.filename
    folder = os.environ.get("MRP_DATA_DIR")
    return _local(Path(folder), source) if folder else _downloaded(name, source)


def _bundled_folder() -> Path:
    """`mrp/_data` of an installed package, `data/` of the repository."""
    package = Path(__file__).parent
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent / "data"


def _local(folder: Path, source: Source) -> Path:
    """The file in the user's folder, if it is there and is the right one."""
    path = folder / source.filename
    if not path.is_file():
        found = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
        raise DataError(
            f"`MRP_DATA_DIR` must name a folder that holds {source.filename!r}, got "
            f"{str(folder)!r}. Available: {listing(found)}. "
            f"Download {source.url} into it, or unset MRP_DATA_DIR."
        )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != source.sha256:
        raise DataError(
            f"`MRP_DATA_DIR` must hold {source.filename!r} with sha256 {source.sha256}, got "
            f"{sha256} in {str(folder)!r}. Replace it with {source.url}, or unset MRP_DATA_DIR."
        )
    return path


def _downloaded(name: str, source: Source) -> Path:
    """The file in the user's cache, downloaded if it is not there yet."""
    import pooch  # lazily: most sessions never download

    try:
        path = pooch.retrieve(
            url=source.url,
            known_hash=f"sha256:{source.sha256}",
            fname=source.filename,
            path=pooch.os_cache("mrp"),
        )
    except OSError as error:
        raise DataError(_unreachable(name, source, _reason(error))) from error
    except ValueError as error:  # what pooch raises for another sha256
        raise DataError(_changed(name, source)) from error
    return Path(path)


def _unreachable(name: str, source: Source, reason: str) -> str:
    """Message for a file that is not cached and did not arrive."""
    offline = [other for other, its in DATASETS.items() if its.url is None]
    return (
        f"`name` must be a dataset that is cached or can be downloaded, got {name!r}: {source.url} "
        f"failed with {reason}. Available without network: {listing(offline)}. Connect to the "
        f"network, or set MRP_DATA_DIR to a folder that holds {source.filename!r}."
    )


def _changed(name: str, source: Source) -> str:
    """Message for a file that arrived, but is another one."""
    return (
        f"`name` must be a dataset whose file is unchanged, got {name!r}: what {source.url} sent "
        f"does not have sha256 {source.sha256}. Try again, look for a newer mrp, or set "
        f"MRP_DATA_DIR to a folder that holds the original {source.filename!r}."
    )


def _reason(error: BaseException) -> str:
    """The first error of a chain: the network's own words, without the layers around them."""
    inner = error.__cause__ or error.__context__
    return f"{type(error).__name__} ({str(error).rstrip('.')})" if inner is None else _reason(inner)


def _table(path: Path) -> pd.DataFrame:
    """The file as it is, with district numbers kept as names."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype={"district_id": "str"})


_CES_DTYPES: Mapping[str, str | pd.CategoricalDtype] = MappingProxyType(
    {
        "state": "str",
        "defund": "int64",
        "gender": "str",
        "age": AGE,
        "education": EDUCATION,
        "military": "int64",
        "percent": "float64",
        "n": "int64",
        "truth": "float64",
        "population": "int64",
    }
)
"""One dtype for each name, so that levels of survey and frame are equal."""


def _clean_ces(table: pd.DataFrame) -> pd.DataFrame:
    """The CES' columns, real or simulated, with the package's dtypes."""
    return table.astype({column: _CES_DTYPES[column] for column in table.columns})


def _clean_contacts(table: pd.DataFrame) -> pd.DataFrame:
    """Contacts as 0/1, districts as categories in the order of their contact rates."""
    contacted = _contacted(table)
    district = table["district_id"].str.removeprefix("District ")
    # Groups come sorted by name and the sort is stable: equal rates stay ordered by name.
    by_rate = contacted.groupby(district).mean().sort_values(kind="stable").index
    categories = pd.Categorical(district, categories=list(by_rate))
    return table.assign(district_id=categories, contacted=contacted)


def _clean_elections(table: pd.DataFrame) -> pd.DataFrame:
    """Contacts as 0/1, electoral rules as categories."""
    rules = pd.Categorical(table["electoral_rules"], categories=["PR", "SMD"])
    return table.assign(contacted=_contacted(table), electoral_rules=rules)


def _clean_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Districts as categories in the order of the file, which is that of their contact rates."""
    district = table["district_id"]
    return table.assign(district_id=pd.Categorical(district, categories=list(district)))


def _contacted(table: pd.DataFrame) -> pd.Series[int]:
    """1 for "Contacted", 0 for "Not Contacted"."""
    return table["contacted"].eq("Contacted").astype("int64")


_BOOK = "https://marginaleffects.com/data/"
_CRDATA = "https://raw.githubusercontent.com/carlislerainey/crdata/HEAD/inst/extdata/"

DATASETS: Mapping[DatasetName, Source] = MappingProxyType(
    {
        "ces_survey": Source(
            "ces_survey.parquet",
            _clean_ces,
            f"{_BOOK}ces_survey.parquet",
            "db95ba78d378aa55fa507a3ad93755ca2b7d6b965c6c8139c931e423c6aa584e",
        ),
        "ces_demographics": Source(
            "ces_demographics.parquet",
            _clean_ces,
            f"{_BOOK}ces_demographics.parquet",
            "78c561c6cfcce13ed4311201d98ef1e844af057b501147e25673f0898db3bac5",
        ),
        "finland": Source(
            "finland.csv",
            _clean_contacts,
            f"{_CRDATA}finland.csv",
            "8995ffca43ecc33677a1f5e996c6490c795919a91902433400f042a0a65411e5",
        ),
        "uk": Source(
            "uk.csv",
            _clean_contacts,
            f"{_CRDATA}uk.csv",
            "5df482eddd9bd465cbbd936d0459e8031e42f82216c7e5604d27f195253b5fa0",
        ),
        "rainey2015": Source(
            "rainey2015.csv",
            _clean_elections,
            f"{_CRDATA}rainey2015.csv",
            "520f0194d0469d881dbae40089ab264e6d379bcaf2c9490ab5e7c83b45a30d68",
        ),
        "finland_districts": Source("finland_districts.csv", _clean_counts),
        "simulated_survey": Source("simulated_survey.parquet", _clean_ces),
        "simulated_frame": Source("simulated_frame.parquet", _clean_ces),
        "simulated_truth": Source("simulated_truth.parquet", _clean_ces),
    }
)
"""Every dataset that `load_dataset` knows."""
