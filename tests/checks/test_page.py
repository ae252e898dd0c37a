"""The page on checks: its code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mrp

PAGE = Path(__file__).parents[2] / "docs" / "checking-a-fit.md"


@pytest.mark.filterwarnings(
    "ignore:Pareto k is over:UserWarning", "ignore:Estimated shape parameter:UserWarning"
)
def test_the_code_of_the_page_runs():
    survey = mrp.load_dataset("simulated_survey")
    model = mrp.Model("defund ~ age + (1 | state)", survey, family="bernoulli")
    names = {
        "mrp": mrp,
        "fit": mrp.Fit.from_draws(model, mrp.testing.fake_draws(model.design)),
        "frame": mrp.load_dataset("simulated_frame"),
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 9
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert len(names["areas"]) == 48
    assert names["tree"]["log_likelihood"].sizes["respondent"] == len(survey)
