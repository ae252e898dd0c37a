"""The page on priors: its code runs, and its table is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

import mrp

PAGE = (Path(__file__).parents[1] / "docs" / "priors.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    names = {"mrp": mrp}
    for block in blocks:
        exec(compile(block, "docs/priors.md", "exec"), names)
    assert names["both"].labels["priors"].unique().tolist() == ["vague", "informative"]


def test_the_table_of_defaults_is_that_of_the_code():
    survey, columns = mrp.load_dataset("simulated_survey"), {}
    for name, priors in {"Bambi": "bambi", "brms": "brms"}.items():
        model = mrp.Model(mrp.testing.FORMULA, survey, family="bernoulli", priors=priors)
        columns[name] = model.prior_summary().set_index("parameter")["prior"]
    rows = [("parameter", *columns), *pd.DataFrame(columns).itertuples(name=None)]
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|---|---|---|")
    found = PAGE.partition("<!-- table: defaults -->\n")[2].partition("<!-- end -->")[0]
    assert found.splitlines() == lines
