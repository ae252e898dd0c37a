"""Files of tables: which can be read and written, and how they are written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mrp.errors import DataError, RequestError
from mrp.files import check_source, check_targets, complete, extension_of, write_table


def test_file_without_a_near_name_is_said_not_to_exist(tmp_path: Path) -> None:
    path = tmp_path / "quite_another.csv"
    with pytest.raises(DataError) as error:
        check_source(path, "FRAME")
    assert str(error.value) == f"`FRAME` must be a file that exists, got {str(path)!r}."


@pytest.mark.parametrize("name", ["table.csv", "TABLE.CSV"])
def test_extension_is_told_whatever_its_case(name: str, tmp_path: Path) -> None:
    path = write_table(pd.DataFrame({"x": [1]}), tmp_path / name)
    assert check_source(path, "SURVEY") == ".csv"


def test_extension_is_needed() -> None:
    with pytest.raises(RequestError) as error:
        extension_of(Path("table"), "--out")
    assert str(error.value) == (
        "`--out` must be a file with a known extension, got 'table'. "
        "Available: ['.csv', '.parquet']."
    )


def test_same_file_under_another_name_is_recognised(tmp_path: Path) -> None:
    source, target = tmp_path / "frame.csv", tmp_path / "there" / ".." / "frame.csv"
    (tmp_path / "there").mkdir()
    with pytest.raises(RequestError) as error:
        check_targets({"--out": target}, sources=[source])
    assert str(error.value) == (
        f"`--out` must be a file of its own, got {str(target)!r}, which is read. "
        f"Choose another name."
    )


def test_folder_that_may_not_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(RequestError) as error:
        check_targets({"--out": tmp_path / "out.csv"}, sources=[])
    assert str(error.value) == (
        f"`--out` must be in a folder that can be written to, got {str(tmp_path)!r}. "
        f"Choose another one."
    )


def test_older_file_survives_a_failure_and_no_part_is_left(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        _fail_in_the_middle(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _fail_in_the_middle(path: Path) -> None:
    with complete(path) as part:
        part.write_text("new, but not ")
        raise ZeroDivisionError
