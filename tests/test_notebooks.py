"""The notebooks run, and are committed as they ran."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
FEW_DRAWS = {"01_quickstart": "draws, tune, chains, seed = 100, 100, 2, 1"}
"""What the cell tagged "parameters" says in a test."""
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_notebook_runs_and_shows_what_is_committed(path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    run = nbformat.read(path, as_version=4)
    (parameters,) = [cell for cell in run.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = FEW_DRAWS[path.stem]
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(run, timeout=300, kernel_name="python3", resources=where).execute()
    for before, after in zip(committed.cells, run.cells, strict=True):
        assert shown(before) == shown(after), before.get("source")


@each_notebook
def test_notebook_is_committed_executed_from_top_to_bottom(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@each_notebook
def test_notebook_is_committed_without_messages_or_traces_of_the_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert not set(cell.metadata) - {"tags"}
        for output in cell.get("outputs", []):
            assert output.output_type in ("execute_result", "display_data")
            text = "".join(text for kind, text in output.data.items() if kind.startswith("text"))
            assert not re.search(r"(?:^|[\s'\"=])(?:/\w+/|[A-Z]:\\)", text)


def shown(cell: Any) -> list[Any]:
    """What a cell shows, but for its numbers: kinds of output, and columns and length of tables."""
    results = [item for item in cell.get("outputs", []) if item.output_type != "stream"]
    return [(sorted(item.data), table_of(item.data.get("text/html", ""))) for item in results]


def table_of(html: str) -> tuple[list[str], int]:
    """Column names and number of rows of an HTML table."""
    head, _, body = html.partition("</thead>")
    return re.findall(r"<th[^>]*>([^<]*)</th>", head), body.count("<tr")


def test_table_is_told_by_its_columns_and_rows() -> None:
    html = "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
    assert table_of(html) == (["a"], 1)
    assert table_of("<p>none</p>") == ([], 0)
