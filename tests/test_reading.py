"""A survey and a frame from files: text stays text, and both files agree what a column is."""

from __future__ import annotations

import csv
import io
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import mrp
from mrp.errors import DataError, FrameWarning
from mrp.files import write_table
from mrp.reading import LOOSE, MARKS, read_tables, warn_of_number_like
from tests.messages import raises, warns

Write = Callable[[dict[str, Any], Path], None]


def read(path: Path, argument: str = "SURVEY", **options: Any) -> pd.DataFrame:
    """One table, all of whose columns are asked for if `asked` is not given."""
    asked = {argument: options.pop("asked", ())}
    return read_tables({argument: path}, asked=asked, **options)[argument]


def read_text(text: str | bytes, folder: Path, **options: Any) -> pd.DataFrame:
    """The table of a CSV file with that text."""
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, **options)


def read_both(
    survey: Path, frame: Path, *, asked: Sequence[str] = ("g",), **options: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Survey and frame, the columns asked of both."""
    paths = {"SURVEY": survey, "FRAME": frame}
    tables = read_tables(paths, asked=dict.fromkeys(paths, asked), **options)
    return tables["SURVEY"], tables["FRAME"]


def values(column: pd.Series) -> list[Any]:
    """Values of a column as Python's own, None where one is missing."""
    return [None if pd.isna(value) else value for value in column.tolist()]


# --- one CSV file ---------------------------------------------------------------------------------

TEXTS = [
    "01",
    "00501",
    "+1",
    "1E5",
    "2e3",
    "1_000",
    "0x1A",
    "1,5",
    "12%",
    "1 000",
    "١",
    "E14001053",
]
"""Codes that some programs take for numbers."""
DECIDED = {
    "whole": (["1", "-2", "0"], [1, -2, 0], "i"),
    "decimal": (["1.5", "-.5", "3.", "1e-05"], [1.5, -0.5, 3, 1e-05], "f"),
    "exponents": (["1E+16", "2.5e3", "1.0E10"], [1e16, 2.5e3, 1e10], "f"),
    "whole and decimal": (["1", "2.5"], [1.0, 2.5], "f"),
    "blanks around numbers": ([" 1", "2 "], [1, 2], "i"),
    "truth of pandas": (["True", "False"], [True, False], "b"),
    "truth of R": (["TRUE", "FALSE"], [True, False], "b"),
    "truth of polars": (["true", "false"], [True, False], "b"),
    "eighteen digits": (["100000000000000001", "1"], [100000000000000001, 1], "i"),
    "more digits than a number has": (["12345678901234567891", "12345678901234567892"], None, "O"),
    "words": (["None", "NA", "nan", "null", "HS"], None, "O"),
    "truth by letter": (["T", "F"], None, "O"),
    "truth in words": (["true", "false", "unknown"], None, "O"),
    "numbers of a code": (["1", "2", "AL"], None, "O"),
    **{f"code {text}": ([text], None, "O") for text in TEXTS},
    **{f"code {text} among numbers": (["10", text], None, "O") for text in TEXTS},
}


@pytest.mark.parametrize(("texts", "wanted", "kind"), DECIDED.values(), ids=DECIDED.keys())
def test_column_is_text_unless_all_of_it_reads_as_numbers_or_truth_values(
    texts: list[str], wanted: list[Any] | None, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame({"x": texts, "y": 0}).to_csv(path, index=False)
    column = read(path)["x"]
    assert column.dtype.kind == kind
    assert column.tolist() == (texts if wanted is None else wanted)


def test_empty_cells_alone_are_missing(tmp_path: Path) -> None:
    table = read_text('x,y,z,e\n,a,NA,\n2,"",,\n', tmp_path)
    assert values(table["x"]) == [None, 2.0]
    assert values(table["y"]) == ["a", None]
    assert values(table["z"]) == ["NA", None]
    assert values(table["e"]) == [None, None]


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_missing_values_can_be_named(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{extension}"
    table = pd.DataFrame(
        {
            "text": ["NA", "a", "-9"],
            "whole": [1, -9, 99],
            "decimal": [-9.0, 99.5, 2.0],
            "edu": pd.Categorical(["hi", "NA", "lo"], categories=["lo", "NA", "hi"], ordered=True),
            "truth": [True, False, True],
        }
    )
    write_table(table, path)
    found = read(path, missing=["NA", "-9"])
    assert values(found["text"]) == [None, "a", None]
    assert values(found["whole"]) == [1, None, 99]
    assert values(found["decimal"]) == [None, 99.5, 2.0]
    assert values(found["edu"]) == ["hi", None, "lo"]
    assert values(found["truth"]) == [True, False, True]
    if extension == "parquet":
        assert found["edu"].cat.categories.tolist() == ["lo", "NA", "hi"]
        assert found["edu"].cat.ordered


def test_column_has_numbers_once_what_means_missing_is_named(tmp_path: Path) -> None:
    found = read_text("x,y\n1,a\nNA ,b\n", tmp_path, missing=["NA"], asked=["x"])
    assert values(found["x"]) == [1.0, None]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("last", [True, False])
def test_ends_of_lines_and_a_byte_order_mark_are_no_data(
    start: bytes, end: str, last: bool, tmp_path: Path
) -> None:
    text = f'age,x{end}a,"1"{end}{end}"b,{end}""c""",2' + end * last
    found = read_text(start + text.encode(), tmp_path)
    assert found.columns.tolist() == ["age", "x"]
    assert found["age"].tolist() == ["a", f'b,{end}"c"']
    assert found["x"].tolist() == [1, 2]


def test_lines_of_blanks_are_no_rows(tmp_path: Path) -> None:
    assert len(read_text("x,y\n1,2\n   \n\n3,4\n \n", tmp_path)) == 2


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    found = read_text(',x,"",y,\n1,2,3,4,5\n', tmp_path)
    assert found.to_dict("list") == {"x": [2], "y": [4]}


def test_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    assert read_text("x,y", tmp_path).to_dict("list") == {"x": [], "y": []}


# --- CSV files that say something else than they seem to ------------------------------------------


def test_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    message = (
        "`SURVEY` must have different column names, got ['n'] twice. Rename or drop one of each."
    )
    with raises(DataError, message):
        read_text("n,x,n\n1,2,3\n", tmp_path)


UNEVEN = {
    "one more": ("x,y\n1,2\n3,4,5\n", 2, 3, "3,4,5"),
    "one more in each row": ("x,y\nr1,1,2\nr2,3,4\n", 2, 3, "r1,1,2"),
    "commas at the end": ("x,y\n1,2,\n3,4,\n", 2, 3, "1,2,"),
    "one fewer": ("x,y,z\n1,2,3\n4,5\r\n6,7,8\n", 3, 2, "4,5"),
    "comma in a cell": ("x,y\nHigh school, some college,2\n", 2, 3, "High school, some college,2"),
    "long": (f"x,y\n{'a' * 70},2,3\n", 2, 3, f"{'a' * 60}…"),
}


@pytest.mark.parametrize(("text", "header", "got", "shown"), UNEVEN.values(), ids=UNEVEN.keys())
def test_row_of_another_length_than_the_header_is_refused(
    text: str, header: int, got: int, shown: str, tmp_path: Path
) -> None:
    message = (
        f"`SURVEY` must have as many cells in each row as in its header ({header}), got {got} in "
        f"the row {shown!r}. Put quotes around cells with a comma in them, and write the commas of "
        f"empty cells."
    )
    with raises(DataError, message):
        read_text(text, tmp_path)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_than_commas_are_refused(separator: str, tmp_path: Path) -> None:
    header = separator.join(["x", "y"])
    message = (
        f"`SURVEY` must have commas between its columns, got {separator!r} in its header "
        f"{header!r}. Save it with commas, and with points in decimal numbers."
    )
    with raises(DataError, message):
        read_text(f"{header}\n1{separator}0,5\n", tmp_path)


def unreadable(path: Path, said: str) -> str:
    """What is said of a file that can't be read."""
    return (
        f"`SURVEY` must be a file that can be read as {path.suffix}, got {str(path)!r}: {said}. "
        f"Save the table again, or correct the extension."
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('x,y\n1,"a\n2,b\n3,c\n', 4),
        ('x,y\n1,"a\n2,"b"\n3,c\n', 3),
        ('x,y\n1,"a\n2,"b"', 3),
        ('x,y\n1,a\n2,"b', 3),
    ],
)
def test_quote_that_is_not_closed_takes_no_rows_away(text: str, line: int, tmp_path: Path) -> None:
    said = f"a quote is not closed before line {line}"
    with raises(DataError, unreadable(tmp_path / "table.csv", said)):
        read_text(text, tmp_path)


def test_file_without_a_line_has_no_header(tmp_path: Path) -> None:
    for text in ("", "\n\n"):
        with raises(DataError, unreadable(tmp_path / "table.csv", "it has no header")):
            read_text(text, tmp_path)


@pytest.mark.parametrize(
    "data", ["x\n\xe9t\xe9\n".encode("latin-1"), "\xe9,x\n1,2\n".encode("utf-16")]
)
def test_bytes_that_are_no_text_are_refused(data: bytes, tmp_path: Path) -> None:
    said = "it is not text in UTF-8"
    with raises(DataError, unreadable(tmp_path / "table.csv", said)):
        read_text(data, tmp_path)


# --- what a Parquet file says ---------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_parquet_of_pandas_keeps_the_order_of_a_categorical(ordered: bool, tmp_path: Path) -> None:
    dtype = pd.CategoricalDtype(["young", "old", "never"], ordered=ordered)
    table = pd.DataFrame({"age": pd.Series(["old", "young"], dtype=dtype)})
    path = write_table(table, tmp_path / "table.parquet")
    assert read(path)["age"].dtype == dtype
    assert read(path, missing=["young"])["age"].dtype == dtype


@pytest.mark.parametrize("maker", ["polars", "pyarrow"])
def test_type_that_carries_an_order_keeps_it_in_parquet(maker: str, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    if maker == "polars":
        column = pl.Series("age", ["old", "young"], dtype=pl.Enum(["young", "old"]))
        pl.DataFrame([column]).write_parquet(path)
    else:
        codes, levels = pa.array([1, 0]), pa.array(["young", "old"])
        array = pa.DictionaryArray.from_arrays(codes, levels, ordered=True)
        pa.parquet.write_table(pa.table({"age": array}), path)
    assert read(path)["age"].dtype == pd.CategoricalDtype(["young", "old"], ordered=True)


@pytest.mark.parametrize("maker", ["polars", "pyarrow"])
def test_dictionary_without_an_order_is_still_one_when_its_order_is_decided(
    maker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.parquet"
    if maker == "polars":
        pl.DataFrame({"g": pl.Series(["q", "p"], dtype=pl.Categorical)}).write_parquet(path)
    else:
        array = pa.array(["q", "p"]).dictionary_encode()
        pa.parquet.write_table(pa.table({"g": array}), path)
    seen = []
    monkeypatch.setattr("mrp.reading.as_pandas", lambda table, argument: seen.append(table))
    read(path)
    stored = seen[-1].schema.field("g").type
    assert pa.types.is_dictionary(stored)
    assert not stored.ordered


def test_file_that_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_text("not a table")
    with pytest.raises(DataError) as error:
        read(path)
    start, end = unreadable(path, "§").split("§")
    assert str(error.value).startswith(start)
    assert str(error.value).endswith(end)


# --- what two files agree on ----------------------------------------------------------------------


def pandas_csv(columns: dict[str, Any], path: Path) -> None:
    pd.DataFrame(columns).to_csv(path, index=False)


def pandas_parquet(columns: dict[str, Any], path: Path) -> None:
    pd.DataFrame(columns).to_parquet(path)


def pandas_categories(columns: dict[str, Any], path: Path) -> None:
    pd.DataFrame(columns, dtype="category").to_parquet(path)


def polars_csv(columns: dict[str, Any], path: Path) -> None:
    pl.DataFrame(columns).write_csv(path)


def polars_parquet(columns: dict[str, Any], path: Path) -> None:
    pl.DataFrame(columns).write_parquet(path)


def polars_categories(columns: dict[str, Any], path: Path) -> None:
    pl.DataFrame(columns).cast({pl.String: pl.Categorical}).write_parquet(path)


def pyarrow_csv(columns: dict[str, Any], path: Path) -> None:
    pa.csv.write_csv(pa.table(columns), path)


def pyarrow_parquet(columns: dict[str, Any], path: Path) -> None:
    pa.parquet.write_table(pa.table(columns), path)


CSV: list[Write] = [pandas_csv, polars_csv, pyarrow_csv]
PARQUET: list[Write] = [
    pandas_parquet,
    pandas_categories,
    polars_parquet,
    polars_categories,
    pyarrow_parquet,
]
WRITERS = st.sampled_from(CSV + PARQUET)
HOSTILE = [*TEXTS, *(MARKS - {""}), "1", "1.0", "True", "FALSE", "0", '"', ",", "a\nb", "a\r\nb"]
WORDS = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=4))


def both_as_written(
    survey: list[Any], write_survey: Write, frame: list[Any], write_frame: Write, folder: Path
) -> tuple[list[Any], list[Any]]:
    """A column as it is read from both files, whose levels the user has named."""
    paths = []
    for name, column, write in (("s", survey, write_survey), ("f", frame, write_frame)):
        path = folder / f"{name}.{'csv' if write in CSV else 'parquet'}"
        write({"g": column, "y": list(range(len(column)))}, path)
        paths.append(path)
    read_survey, read_frame = read_both(*paths, settled=["g"])
    assert read_survey["y"].tolist() == list(range(len(survey)))
    assert read_frame["y"].tolist() == list(range(len(frame)))
    return values(read_survey["g"]), values(read_frame["g"])


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=6), WRITERS, WRITERS, st.data())
def test_text_is_the_same_level_in_both_files(
    texts: list[str], write_survey: Write, write_frame: Write, data: st.DataObject
) -> None:
    cells = data.draw(st.lists(st.sampled_from(texts), min_size=1, max_size=6))
    with tempfile.TemporaryDirectory() as folder:
        found, cells_found = both_as_written(texts, write_survey, cells, write_frame, Path(folder))
    level = dict(zip(texts, found, strict=True))
    assert cells_found == [level[text] for text in cells]
    if write_survey in PARQUET or write_frame in PARQUET or isinstance(found[0], str):
        assert found == texts
    elif isinstance(found[0], bool):
        assert found == [text.lower() == "true" for text in map(str.strip, texts)]
    else:
        assert found == [float(text) for text in texts]


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=5),
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5),
        st.lists(st.booleans(), min_size=1, max_size=5),
    ),
    WRITERS,
    WRITERS,
)
def test_numbers_and_truth_values_are_the_same_in_both_files(
    numbers: list[Any], write_survey: Write, write_frame: Write
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found, cells = both_as_written(numbers, write_survey, numbers, write_frame, Path(folder))
    assert found == numbers
    assert cells == numbers
    assert {type(value) is bool for value in found + cells} == {type(numbers[0]) is bool}


AGREED = {
    "text in the Parquet file": (["01", "10"], pandas_parquet, ["10", "01"], ["10", "01"]),
    "text of numbers there": (["1", "10"], polars_parquet, ["10"], ["10"]),
    "categories of text there": (["1", "10"], pandas_categories, ["10"], ["10"]),
    "numbers there": ([1, 10], pandas_parquet, ["01", "10"], [1, 10]),
    "categories of numbers there": ([1, 10], pandas_categories, ["10"], [10]),
    "numbers with a sign": ([1.5, -1.0], pyarrow_parquet, ["+1.5", "-1"], [1.5, -1.0]),
    "truth values there": ([True, False], polars_parquet, ["1", "0"], [True, False]),
    "text of truth values there": (["True"], pandas_parquet, ["True"], ["True"]),
    "nothing there": ([None], pyarrow_parquet, ["10"], [10]),
    "zero in front in one CSV file": (["01", "10"], pandas_csv, ["10"], ["10"]),
    "word in one CSV file": (["1", "AL"], pandas_csv, ["1"], ["1"]),
    "word beside truth in one CSV file": (["True", "both"], pandas_csv, ["True"], ["True"]),
}


@pytest.mark.parametrize(("said", "write", "texts", "wanted"), AGREED.values(), ids=AGREED.keys())
@pytest.mark.parametrize("first", [True, False])
def test_other_file_decides_what_a_column_is(
    said: list[Any], write: Write, texts: list[str], wanted: list[Any], first: bool, tmp_path: Path
) -> None:
    other, path = tmp_path / f"other.{'csv' if write in CSV else 'parquet'}", tmp_path / "table.csv"
    write({"g": said}, other)
    pandas_csv({"g": texts, "y": range(len(texts))}, path)
    tables = read_both(other, path) if first else read_both(path, other)[::-1]
    assert values(tables[0]["g"]) == said
    assert values(tables[1]["g"]) == wanted
    assert list(map(type, values(tables[1]["g"]))) == list(map(type, wanted))


def test_first_csv_file_says_whether_bits_are_truth_values(tmp_path: Path) -> None:
    truth, bits = tmp_path / "truth.csv", tmp_path / "bits.csv"
    pandas_csv({"g": [True, False]}, truth)
    pandas_csv({"g": [1, 0]}, bits)
    assert [values(table["g"]) for table in read_both(truth, bits)] == [[True, False]] * 2
    assert [table["g"].dtype.kind for table in read_both(bits, truth)] == ["i", "b"]


def test_column_that_is_asked_of_one_file_is_what_it_is_there(tmp_path: Path) -> None:
    survey, frame = tmp_path / "survey.csv", tmp_path / "frame.csv"
    pandas_csv({"n": ["many", "few"]}, survey)
    pandas_csv({"n": [10, 20]}, frame)
    paths = {"SURVEY": survey, "FRAME": frame}
    asked: dict[str, list[str]] = {"SURVEY": [], "FRAME": ["n"]}
    assert read_tables(paths, asked=asked)["FRAME"]["n"].tolist() == [10, 20]


def test_estimates_are_read_as_they_were_written(tmp_path: Path) -> None:
    labels = ["01", "NA", "None", 'a "b", c']
    estimates = pd.DataFrame({"g": labels, "estimate": [1 / 3, 1e-17, 1.0, 2e22], "n": range(4)})
    for extension in ("csv", "parquet"):
        path = write_table(estimates, tmp_path / f"out.{extension}")
        pd.testing.assert_frame_equal(read(path), estimates)


# --- words among numbers --------------------------------------------------------------------------


def write_both(survey: dict[str, Any], frame: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Two CSV files."""
    paths = folder / "survey.csv", folder / "frame.csv"
    for columns, path in zip((survey, frame), paths, strict=True):
        pandas_csv(columns, path)
    return paths


@pytest.mark.parametrize("mark", [*sorted(MARKS - {""}), " "])
@pytest.mark.parametrize("rest", [["1", "2.5"], ["TRUE", "FALSE"]], ids=["numbers", "truth"])
def test_mark_of_missing_values_among_numbers_is_neither_level_nor_missing(
    mark: str, rest: list[str], tmp_path: Path
) -> None:
    survey, frame = write_both({"g": [*rest, mark, mark]}, {"g": rest}, tmp_path)
    message = (
        f"`SURVEY` must have no words among numbers or truth values, got [{mark.strip()!r}] in 2 "
        f"rows of 'g'. If that means missing, pass "
        f"`--missing {shlex.quote(f'g={mark.strip()}')}`; if it is a level, name all of them: "
        f"`--levels g=…`."
    )
    with raises(DataError, message):
        read_both(survey, frame)
    named = read_both(survey, frame, settled=["g"])[0]["g"]
    assert named.tolist() == [*rest, mark, mark]
    missing = read_both(survey, frame, missing=[mark])[0]["g"]
    assert missing.isna().tolist() == [False, False, True, True]
    assert read_both(survey, frame, asked=[])[0]["g"].tolist() == [*rest, mark, mark]


def test_mark_that_only_one_file_has_among_words_is_said_to_be_a_level(tmp_path: Path) -> None:
    survey, frame = write_both({"g": ["a", "NA", "NA"]}, {"g": ["a", "b"]}, tmp_path)
    message = (
        "`SURVEY` has ['NA'] in 2 rows of 'g': a level like any other. If it means missing, pass "
        "`--missing g=NA`."
    )
    with warns(FrameWarning, message):
        assert read_both(survey, frame)[0]["g"].tolist() == ["a", "NA", "NA"]
    with warns(FrameWarning, message):
        read(survey, asked=["g"])


def test_mark_that_both_files_have_is_a_level(tmp_path: Path) -> None:
    survey, frame = write_both({"g": ["None", "NA", "HS"]}, {"g": ["NA", "None"]}, tmp_path)
    assert read_both(survey, frame)[1]["g"].tolist() == ["NA", "None"]


def test_mark_among_what_parquet_says_to_be_text_is_a_level(tmp_path: Path) -> None:
    survey, frame = tmp_path / "survey.parquet", tmp_path / "frame.csv"
    pandas_parquet({"g": ["1", "2", "None"]}, survey)
    pandas_csv({"g": ["1", "None"]}, frame)
    assert read_both(survey, frame)[1]["g"].tolist() == ["1", "None"]


@pytest.mark.parametrize("words", [["x"], ["Alabama", "Alaska"], ["NA"]])
def test_words_where_the_other_file_has_numbers_are_refused(
    words: list[str], tmp_path: Path
) -> None:
    survey, frame = tmp_path / "survey.parquet", tmp_path / "frame.csv"
    pandas_parquet({"g": [1, 2]}, survey)
    pandas_csv({"g": ["1", *words, "01"]}, frame)
    message = (
        f"`FRAME` must have numbers in 'g', as `SURVEY` has, got {words!r} in {len(words)} rows. "
        f"Write the same values in both files, or name what means missing: "
        f"`--missing g={words[0]}`."
    )
    with raises(DataError, message):
        read_both(survey, frame)
    assert read_both(survey, frame, asked=[])[1]["g"].tolist() == ["1", *words, "01"]


@pytest.mark.parametrize("write", [pandas_csv, pandas_parquet, pandas_categories])
@pytest.mark.parametrize("swapped", [False, True])
def test_number_that_is_written_otherwise_is_no_new_level(
    write: Write, swapped: bool, tmp_path: Path
) -> None:
    other, path = tmp_path / f"other.{'csv' if write in CSV else 'parquet'}", tmp_path / "table.csv"
    write({"g": ["02", "01", "10", "AL"]}, other)
    pandas_csv({"g": ["1", "10", "2.0", "7"]}, path)
    found = {"SURVEY": ["01", "02"], "FRAME": ["1", "2.0"]}
    if swapped:
        found = {"SURVEY": ["1", "2.0"], "FRAME": ["01", "02"]}
    # the first file of text is told
    first, second = ("SURVEY", "FRAME") if swapped or write in CSV else ("FRAME", "SURVEY")
    message = (
        f"`{first}` must write levels of 'g' as `{second}` does, got {found[first]!r} for "
        f"{found[second]!r}. "
        f"Write each number in the same way in both files."
    )
    with raises(DataError, message):
        read_both(path, other) if swapped else read_both(other, path)
    asked_of_one = {"SURVEY": ["g"], "FRAME": []}
    assert read_tables({"SURVEY": other, "FRAME": path}, asked=asked_of_one)


def test_numbers_that_one_file_writes_in_two_ways_are_two_levels(tmp_path: Path) -> None:
    survey, frame = write_both({"g": ["1", "01", "AL"]}, {"g": ["01", "AL"]}, tmp_path)
    assert read_both(survey, frame)[1]["g"].tolist() == ["01", "AL"]
    assert read_both(frame, survey)[1]["g"].tolist() == ["1", "01", "AL"]


@pytest.mark.parametrize("type_", [pa.bool_(), pa.null(), pa.date32()])
def test_words_stay_text_beside_other_types(type_: Any, tmp_path: Path) -> None:
    survey, frame = tmp_path / "survey.csv", tmp_path / "frame.parquet"
    pandas_csv({"g": ["a", "b"]}, survey)
    pa.parquet.write_table(pa.table({"g": pa.nulls(2, type_)}), frame)
    assert read_both(survey, frame)[0]["g"].tolist() == ["a", "b"]


LOOKS_LIKE_NUMBERS = {
    "a word among them": (["1", "2", "3", "90+"], "because of ['90+']"),
    "zeros in front": (["01", "02", "10"], "because of ['01', '02']"),
    "the other file": (["1", "2", "3"], "because the other file has text there"),
}


@pytest.mark.parametrize(
    ("levels", "reason"), LOOKS_LIKE_NUMBERS.values(), ids=LOOKS_LIKE_NUMBERS.keys()
)
def test_levels_that_look_like_numbers_are_pointed_out(levels: list[str], reason: str) -> None:
    survey = pd.DataFrame({"y": [0.0, 1.0] * 6, "age": np.resize(levels, 12)})
    design = mrp.Model("y ~ age", survey, family="gaussian").design
    message = (
        f"`SURVEY` has text in 'age' that looks like numbers, {reason}: each is a level with an "
        f"effect of its own. If numbers are meant, write plain ones in both files; if levels are "
        f"meant, name them: `--levels age=…`."
    )
    with warns(FrameWarning, message):
        warn_of_number_like(design, "SURVEY")


@pytest.mark.parametrize(
    ("formula", "levels", "settled"),
    [
        ("y ~ age", ["01", "02"], ["age"]),
        ("y ~ (1 | age)", ["01", "02"], []),
        ("y ~ C(age)", ["01", "02"], []),
        ("y ~ age", ["18-29", "30-44", "1"], []),
        ("y ~ age", [True, False], []),
        ("y ~ age", [1, 2], []),
    ],
)
def test_other_levels_are_not_pointed_out(
    formula: str, levels: list[Any], settled: list[str]
) -> None:
    survey = pd.DataFrame({"y": [0.0, 1.0] * 6, "age": np.resize(levels, 12)})
    warn_of_number_like(
        mrp.Model(formula, survey, family="gaussian").design, "SURVEY", settled=settled
    )


# --- a second reader ------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='ab1,"\n\r ;', max_size=30))
@example("\r\n\na,b\n1,2\n")
@example('a\r"')
def test_file_is_read_as_the_csv_module_reads_it_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = read_text(text, Path(folder), settled=["a"])
        except DataError:
            return
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    names = rows[0]
    rows = [row for row in rows if len(row) == len(names) or "".join(row).strip()]
    wanted = [[cell for cell, name in zip(row, names, strict=True) if name] for row in rows[1:]]
    assert found.columns.tolist() == [name for name in names if name]
    for k, name in enumerate(found.columns):
        texts = [row[k] for row in wanted]
        if found[name].dtype.kind in "if":
            assert values(found[name]) == [float(cell) if cell else None for cell in texts]
        else:
            assert values(found[name]) == [cell or None for cell in texts]


def test_categorical_of_numbers_that_parquet_kept_as_numbers_needs_its_order(
    tmp_path: Path,
) -> None:
    survey = pd.DataFrame(
        {"edu": pd.Categorical([3, 1, 2], [3, 2, 1], ordered=True), "y": [0, 1, 1]}
    )
    survey.to_parquet(tmp_path / "survey.parquet")
    paths = {"SURVEY": tmp_path / "survey.parquet"}
    message = (
        "`SURVEY` must say the order of the levels of 'edu', a categorical in pandas, of which "
        "Parquet kept the numbers alone. Name them: `--levels edu=…`, or write them as text."
    )
    with raises(DataError, message):
        read_tables(paths, asked={"SURVEY": {"edu", "y"}})
    assert read_tables(paths, asked={"SURVEY": {"y"}})["SURVEY"]["y"].tolist() == [0, 1, 1]
    settled = read_tables(paths, asked={"SURVEY": {"edu"}}, settled={"edu"})
    assert settled["SURVEY"]["edu"].tolist() == [3, 1, 2]


@pytest.mark.parametrize("written", ["45%", "$45", "4,5", "1 045", "(45)", "1\u00a0045", "€ 4.50"])
def test_numbers_of_spreadsheets_look_like_numbers(written: str) -> None:
    assert re.fullmatch(LOOSE, written)


@pytest.mark.parametrize("written", ["18-29", "2020-01-01", "E45", "45+", "A", "4 year", "1/2"])
def test_ranges_dates_and_codes_do_not(written: str) -> None:
    assert not re.fullmatch(LOOSE, written)


def test_text_may_mean_a_missing_value_in_one_column_alone(tmp_path: Path) -> None:
    (tmp_path / "survey.csv").write_text("state,y,z\nNA,1,-9\nAK,NA,2\nNA,0,3\n")
    paths = {"SURVEY": tmp_path / "survey.csv"}
    asked = {"SURVEY": {"state", "y", "z"}}
    found = read_tables(paths, asked=asked, missing=["y=NA", "-9"], settled={"state"})
    survey = found["SURVEY"]
    assert survey["state"].tolist() == ["NA", "AK", "NA"]
    assert survey["y"].isna().tolist() == [False, True, False]
    assert survey["z"].isna().tolist() == [True, False, False]


def test_column_of_another_type_than_pandas_has_noted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    table = pa.Table.from_pandas(pd.DataFrame({"g": ["a", "b"], "y": [0, 1]}))
    metadata = table.schema.metadata
    nested = table.set_column(0, "g", pa.array([{"a": "x"}] * 2))
    pa.parquet.write_table(nested.replace_schema_metadata(metadata), path)
    with pytest.raises(DataError) as error:
        read(path)
    said = str(error.value)
    assert said.startswith(
        "`SURVEY` must have columns of the types that pandas has noted in the file, got others: "
    )
    assert said.endswith(" Save the table again.")
