"""Datasets: found, checked and cleaned, whether bundled, downloaded or in the user's own folder."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrp import datasets
from mrp.datasets import AGE, DATASETS, EDUCATION, DatasetName, load_dataset
from mrp.errors import DataError, RequestError
from mrp.population import SIZES, simulate_survey

Loader = Callable[[DatasetName], pd.DataFrame]

CONTACTS = b"""district_id,contacted
District 2,Contacted
District 2,Not Contacted
District 10,Not Contacted
District 10,Contacted
District 1,Contacted
District 3,Not Contacted
"""
"""Rates: 3: 0, 10 and 2: 1/2, 1: 1."""

OFFLINE = "['finland_districts', 'simulated_survey', 'simulated_frame', 'simulated_truth']"


def exactly(message: str) -> str:
    """A pattern that matches the whole of a message and nothing else."""
    return rf"\A{re.escape(message)}\Z"


# --- a server instead of the network --------------------------------------------------------------


class Quiet(SimpleHTTPRequestHandler):
    """A file server that does not write a log."""

    def log_message(self, *args: object) -> None:
        """Write nothing."""


@dataclass(frozen=True)
class Site:
    """A folder, the address where it is served, and what makes the server stop."""

    folder: Path
    url: str
    stop: Callable[[], None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site that "finland" is downloaded from, into an empty cache, for one test."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "finland.csv").write_bytes(CONTACTS)
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()

        def stop() -> None:
            server.shutdown()
            thread.join(timeout=5)
            server.server_close()

        served = Site(folder, f"http://127.0.0.1:{server.server_port}/finland.csv", stop)
        point_finland_to(monkeypatch, served.url)
        use_cache(monkeypatch, tmp_path / "cache")
        yield served
        if thread.is_alive():
            stop()


def point_finland_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let the table say that finland is the file CONTACTS at `url`."""
    sha256 = hashlib.sha256(CONTACTS).hexdigest()
    source = replace(DATASETS["finland"], url=url, sha256=sha256)
    monkeypatch.setattr(datasets, "DATASETS", {**DATASETS, "finland": source})


def use_cache(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Download into `folder`, whatever the user's environment says."""
    monkeypatch.delenv("MRP_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.os_cache", lambda project: folder)


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nobody listens, as that of "finland", and an empty cache."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/finland.csv"
    point_finland_to(monkeypatch, url)
    use_cache(monkeypatch, tmp_path / "cache")
    return url


# --- names ----------------------------------------------------------------------------------------


def test_unknown_name_is_refused_with_the_nearest_one() -> None:
    message = (
        "`name` must name a dataset, got 'finnland'. Available: ['ces_survey', 'ces_demographics', "
        "'finland', 'uk', 'rainey2015', 'finland_districts', 'simulated_survey', "
        "'simulated_frame', … 1 more]. Did you mean 'finland'?"
    )
    with pytest.raises(RequestError, match=exactly(message)):
        load_dataset("finnland")  # type: ignore[arg-type]


def test_a_name_that_is_no_string_is_refused_like_any_other() -> None:
    with pytest.raises(RequestError, match=r"\A`name` must name a dataset, got \['uk'\]\. "):
        load_dataset(["uk"])  # type: ignore[arg-type]


# --- downloads ------------------------------------------------------------------------------------


def test_downloaded_file_comes_back_clean(site: Site) -> None:
    table = load_dataset("finland")
    assert table["contacted"].tolist() == [1, 0, 0, 1, 1, 0]
    assert table["contacted"].dtype == "int64"
    assert table["district_id"].tolist() == ["2", "2", "10", "10", "1", "3"]


def test_districts_are_ordered_by_contact_rate_then_by_name(site: Site) -> None:
    districts = load_dataset("finland")["district_id"].cat
    assert districts.categories.tolist() == ["3", "10", "2", "1"]
    assert not districts.ordered


def test_second_load_needs_no_network(site: Site) -> None:
    first = load_dataset("finland")
    site.stop()
    pd.testing.assert_frame_equal(load_dataset("finland"), first)


def test_every_load_is_a_new_table(site: Site) -> None:
    first = load_dataset("finland")
    first["contacted"] = 7
    assert load_dataset("finland")["contacted"].max() == 1


def test_damaged_cache_is_downloaded_again(site: Site, tmp_path: Path) -> None:
    first = load_dataset("finland")
    (tmp_path / "cache" / "finland.csv").write_bytes(CONTACTS[:40])
    pd.testing.assert_frame_equal(load_dataset("finland"), first)


def test_wrong_checksum_is_refused_and_nothing_is_kept(site: Site, tmp_path: Path) -> None:
    (site.folder / "finland.csv").write_bytes(CONTACTS + b"District 3,Contacted\n")
    expected = hashlib.sha256(CONTACTS).hexdigest()
    message = (
        f"`name` must be a dataset whose file is unchanged, got 'finland': what {site.url} sent "
        f"does not have sha256 {expected}. Try again, look for a newer mrp, or set MRP_DATA_DIR to "
        "a folder that holds the original 'finland.csv'."
    )
    with pytest.raises(DataError, match=exactly(message)):
        load_dataset("finland")
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_network_and_cache_the_error_names_url_reason_and_way_out(nobody: str) -> None:
    refused = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
    message = (
        "`name` must be a dataset that is cached or can be downloaded, got 'finland': "
        f"{nobody} failed with ConnectionRefusedError ({refused}). Available without network: "
        f"{OFFLINE}. Connect to the network, or set MRP_DATA_DIR to a folder that holds "
        "'finland.csv'."
    )
    with pytest.raises(DataError, match=exactly(message)):
        load_dataset("finland")


def test_file_that_left_its_site_is_reported_with_the_answer_of_the_site(site: Site) -> None:
    (site.folder / "finland.csv").unlink()
    message = (
        "`name` must be a dataset that is cached or can be downloaded, got 'finland': "
        f"{site.url} failed with HTTPError (404 Client Error: File not found for url: {site.url}). "
        f"Available without network: {OFFLINE}. Connect to the network, or set MRP_DATA_DIR to a "
        "folder that holds 'finland.csv'."
    )
    with pytest.raises(DataError, match=exactly(message)):
        load_dataset("finland")


# --- MRP_DATA_DIR ---------------------------------------------------------------------------------


def test_data_dir_is_read_instead_of_the_network(
    nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "finland.csv").write_bytes(CONTACTS)
    monkeypatch.setenv("MRP_DATA_DIR", str(tmp_path))
    assert len(load_dataset("finland")) == 6


def test_empty_data_dir_variable_counts_as_unset(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRP_DATA_DIR", "")
    assert len(load_dataset("finland")) == 6


def test_file_missing_in_data_dir_is_an_error_even_with_network(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRP_DATA_DIR", str(tmp_path))
    message = (
        f"`MRP_DATA_DIR` must name a folder that holds 'finland.csv', got {str(tmp_path)!r}. "
        f"Available: ['site']. Download {site.url} into it, or unset MRP_DATA_DIR."
    )
    with pytest.raises(DataError, match=exactly(message)):
        load_dataset("finland")


def test_data_dir_that_does_not_exist_holds_nothing(
    nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path / "nowhere")
    monkeypatch.setenv("MRP_DATA_DIR", folder)
    message = (
        f"`MRP_DATA_DIR` must name a folder that holds 'finland.csv', got {folder!r}. "
        f"Available: []. Download {nobody} into it, or unset MRP_DATA_DIR."
    )
    with pytest.raises(DataError, match=exactly(message)):
        load_dataset("finland")


def test_wrong_file_in_data_dir_is_refused(
    nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = CONTACTS.replace(b"\n", b"\r\n")
    (tmp_path / "finland.csv").write_bytes(changed)
    monkeypatch.setenv("MRP_DATA_DIR", str(tmp_path))
    expected, got = (hashlib.sha256(data).hexdigest() for data in (CONTACTS, changed))
    message = (
        f"`MRP_DATA_DIR` must hold 'finland.csv' with sha256 {expected}, got {got} in "
        f"{str(tmp_path)!r}. Replace it with {nobody}, or unset MRP_DATA_DIR."
    )
    with pytest.raises(DataError, match=exactly(message)):
        load_dataset("finland")


def test_bundled_files_need_no_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MRP_DATA_DIR", str(tmp_path / "nowhere"))
    assert len(load_dataset("simulated_truth")) == 48


def test_installed_data_is_preferred_to_the_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "mrp" / "_data"
    folder.mkdir(parents=True)
    (folder / "finland_districts.csv").write_text("district_id,n,contacted\n007,2,1\n")
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "mrp" / "datasets.py"))
    assert load_dataset("finland_districts")["district_id"].tolist() == ["007"]


# --- the bundled tables ---------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["survey", "frame", "truth"])
def test_bundled_simulation_is_what_simulate_survey_returns(part: str) -> None:
    bundled = load_dataset(f"simulated_{part}")  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(bundled, getattr(simulate_survey(), part), check_exact=True)


def test_finland_districts_are_in_the_order_and_of_the_size_that_was_published() -> None:
    table = load_dataset("finland_districts")
    order = ["312", "315", "316", "305", "310", "306", "311", "304", "317", "307", "314", "313"]
    assert table["district_id"].cat.categories.tolist() == [*order, "308", "309"]
    assert table["n"].tolist() == [58, 44, 40, 40, 179, 41, 88, 153, 61, 105, 103, 65, 86, 23]
    published = [0.0862, 0.0909, 0.1250, 0.1500, 0.1620, 0.1707, 0.1818, 0.2288]
    rates = table["contacted"] / table["n"]
    assert rates[:8].round(4).tolist() == published
    assert rates.is_monotonic_increasing


# --- the real tables ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("ces_survey", 3000, "state defund gender age education military"),
        ("ces_demographics", 5929, "state age education gender military percent"),
        ("finland", 1086, "district_id contacted"),
        ("uk", 756, "district_id contacted district_competitiveness"),
        (
            "rainey2015",
            5126,
            "election_id district_id contacted district_competitiveness electoral_rules",
        ),
    ],
)
def test_table_has_its_rows_and_columns_and_no_missing_value(
    real_data: Loader, name: DatasetName, rows: int, columns: str
) -> None:
    table = real_data(name)
    assert len(table) == rows
    assert table.columns.tolist() == columns.split()
    assert not table.isna().any(axis=None)


def test_survey_and_frames_have_equal_dtypes(real_data: Loader) -> None:
    survey, frame = real_data("ces_survey"), real_data("ces_demographics")
    for table in (survey, frame, real_data("simulated_survey"), real_data("simulated_frame")):
        assert table["age"].dtype == AGE
        assert table["education"].dtype == EDUCATION
        assert table["state"].dtype == table["gender"].dtype == "str"
        assert table["military"].dtype == "int64"
    assert survey["defund"].dtype == "int64"
    assert sorted(survey["defund"].unique()) == [0, 1]


def test_first_rows_of_the_survey_are_those_in_print(real_data: Loader) -> None:
    head = real_data("ces_survey").head(10)
    assert head["state"][:4].tolist() == ["TX", "NJ", "CO", "PA"]
    assert head["defund"].tolist() == [0, 1, 0, 0, 0, 1, 1, 1, 0, 1]
    assert (head["age"].cat.codes + 1).tolist() == [6, 1, 5, 4, 6, 3, 6, 1, 1, 5]
    assert (head["education"].cat.codes + 1).tolist() == [3, 5, 5, 5, 2, 3, 5, 2, 5, 5]
    assert head["military"].tolist() == [1, 0, 1, 1, 1, 0, 0, 0, 0, 1]


def test_percent_of_the_frame_sums_to_100_in_each_of_48_states(real_data: Loader) -> None:
    total = real_data("ces_demographics").groupby("state")["percent"].sum()
    assert len(total) == 48
    np.testing.assert_allclose(total, 100.0, rtol=1e-12)


def test_state_samples_have_the_printed_sizes(real_data: Loader) -> None:
    assert real_data("ces_survey")["state"].value_counts().to_dict() == dict(SIZES)


def test_finland_districts_count_the_respondents_of_finland(real_data: Loader) -> None:
    by_district = real_data("finland").groupby("district_id", observed=True)["contacted"]
    counted = by_district.agg(n="size", contacted="sum").reset_index()
    pd.testing.assert_frame_equal(counted, load_dataset("finland_districts"))


def test_uk_districts_without_contact_come_first_ordered_by_name(real_data: Loader) -> None:
    table = real_data("uk")
    categories = table["district_id"].cat.categories
    first = ["319", "320", "323", "326", "328", "329", "330", "331", "337", "338", "339", "344"]
    assert categories[:12].tolist() == first
    rates = table.groupby("district_id", observed=True)["contacted"].mean()
    assert rates.is_monotonic_increasing
    assert len(categories) == 253


def test_competitiveness_lies_between_0_and_1(real_data: Loader) -> None:
    for name in ("uk", "rainey2015"):
        assert real_data(name)["district_competitiveness"].between(0, 1).all()


def test_districts_of_five_elections_keep_their_full_names(real_data: Loader) -> None:
    table = real_data("rainey2015")
    assert table["district_id"][0] == "Canada; District 7"
    assert table["district_id"].dtype == table["election_id"].dtype == "str"
    assert table["district_id"].nunique() == 567
    assert table["election_id"].nunique() == 5
    assert table["contacted"].dtype == "int64"


def test_electoral_rules_start_with_proportional_representation(real_data: Loader) -> None:
    rules = real_data("rainey2015")["electoral_rules"]
    assert rules.cat.categories.tolist() == ["PR", "SMD"]
    assert not rules.cat.ordered
