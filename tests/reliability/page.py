"""The tables of `docs/reliability.md`: what comes of each case, and what the fuzz runs found."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.reliability import files, frames, processes, requests, surveys
from tests.reliability.cases import Case, Outcome, Place, outcome_of
from tests.reliability.elsewhere import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
RUNS = Path(__file__).with_name("runs.json")
"""What the last long runs counted, and from which seeds."""
CASES: tuple[Case, ...] = (
    *surveys.CASES,
    *frames.CASES,
    *requests.CASES,
    *files.CASES,
    *processes.CASES,
)
TITLES = {
    "survey": "Surveys",
    "frame": "Frames and grids",
    "request": "Requests",
    "file": "Files",
    "process": "Processes",
}


def row(case: Case, outcome: Outcome, place: Place) -> str:
    """A line of the table."""
    return f"| {_cell(case.what)} | {_cell(outcome.said(place.folder))} |"


def _cell(text: str) -> str:
    """Text in a cell of a table in Markdown, where bars and tags would be read as such."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", lambda m: f"\\\\x{ord(m[0]):02x}", escaped)


def tables(rows: Iterable[tuple[Case, str]]) -> str:
    """The tables of all kinds."""
    made = list(rows)
    parts = []
    for kind, title in TITLES.items():
        own = [line for case, line in made if case.kind == kind]
        parts.append(f"### {title}\n\n| what is done | what comes |\n|---|---|\n" + "\n".join(own))
    return "\n\n".join(parts)


def elsewhere() -> str:
    """The table of faults whose tests are elsewhere."""
    lines = ["| what happens | what comes | test |", "|---|---|---|"]
    for fault in FAULTS:
        lines.append(f"| {_cell(fault.what)} | {_cell(fault.comes)} | `{fault.test}` |")
    return "\n".join(lines)


def runs() -> str:
    """The table of the long runs."""
    lines = ["| run | seed | tried | came to |", "|---|---|---|---|"]
    for name, run in json.loads(RUNS.read_text()).items():
        counts = run["counts"]
        came = ", ".join(f"{n:,} {what}" for what, n in sorted(counts.items()))
        lines.append(f"| {name} | {run['seed']} | {sum(counts.values()):,} | {came} |")
    return "\n".join(lines)


def record(name: str, seed: int, counts: dict[str, int]) -> None:
    """Keep what a long run counted."""
    kept = json.loads(RUNS.read_text()) if RUNS.exists() else {}
    kept[name] = {"seed": seed, "counts": counts}
    RUNS.write_text(json.dumps(dict(sorted(kept.items())), indent=2) + "\n")


def filled(text: str, name: str, table: str) -> str:
    """The page with another table between its marks."""
    pattern = rf"(<!-- table: {name} -->\n)(?:(?!<!--).)*(<!-- end -->)"
    return re.sub(pattern, lambda m: f"{m[1]}\n{table}\n\n{m[2]}", text, flags=re.DOTALL)


def write() -> None:
    """Run every case, and write what came."""
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            place = Place(Path(folder))
            rows.append((case, row(case, outcome_of(case, place), place)))
    text = filled(PAGE.read_text(encoding="utf-8"), "cases", tables(rows))
    text = filled(text, "elsewhere", elsewhere())
    PAGE.write_text(filled(text, "runs", runs()), encoding="utf-8")
