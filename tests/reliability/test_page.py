"""Every bad input and fault of `docs/reliability.md`: what the page says comes, comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mrp.errors import MRPError
from tests.reliability import page
from tests.reliability.cases import Case, Ended, Place, outcome_of
from tests.reliability.elsewhere import FAULTS, Elsewhere

LONGEST = 2000
"""Characters of the longest message."""


@pytest.mark.parametrize("case", page.CASES, ids=lambda case: f"{case.kind}: {case.what}"[:70])
def test_bad_input_comes_to_what_the_page_says(case: Case, tmp_path: Path) -> None:
    place = Place(tmp_path)
    outcome = outcome_of(case, place)
    came = outcome.error or next(iter(outcome.warned), None)
    if case.comes is SystemExit:
        ended = outcome.returned
        assert isinstance(ended, Ended)
        assert ended.code == 2
        assert [line for line in ended.lines if line.startswith("error: ")] == [ended.lines[-1]]
    elif case.comes is None:
        assert came is None, came
    else:
        assert isinstance(came, case.comes), outcome
    if outcome.error is not None:
        said = str(outcome.error)
        assert isinstance(outcome.error, MRPError)
        assert said.startswith("`")
        assert said.rstrip().endswith((".", "…", "?", ")"))
        assert len(said) <= LONGEST
    line = page.row(case, outcome, place)
    assert line in page.PAGE.read_text(encoding="utf-8").splitlines(), (
        f"{line}\nis not in docs/reliability.md: write it with `python -m tests.reliability`"
    )


def test_page_has_the_cases_and_no_others() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    begin = text.index("<!-- table: cases -->")
    cases = text[begin : text.index("<!-- end -->", begin)]
    lines = [line for line in cases.splitlines() if line.startswith("| ")]
    assert len(lines) - len(page.TITLES) == len(page.CASES) >= 150
    assert len({(case.kind, case.what) for case in page.CASES}) == len(page.CASES)


def test_page_has_the_last_long_runs() -> None:
    assert page.runs() in page.PAGE.read_text(encoding="utf-8")


def test_page_has_the_faults_whose_tests_are_elsewhere() -> None:
    assert page.elsewhere() in page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.test.partition("::")[2])
def test_what_the_page_names_is_tested(fault: Elsewhere) -> None:
    file, _, name = fault.test.partition("::")
    text = (page.PAGE.parents[1] / file).read_text(encoding="utf-8")
    assert f"\ndef {name}(" in text
