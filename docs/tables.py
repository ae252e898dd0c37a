"""Write the tables of numbers that `docs/parity.md` holds: ``python docs/tables.py``.

Each row is a call of the two texts that R users learn this workflow from, its counterpart here,
the number printed there and the number computed now. The counterparts are run as they are written.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import mrp

PAGE = Path(__file__).with_name("parity.md")
SEED = 1
SURVEY_FORMULA = mrp.testing.FORMULA
RAINEY_FORMULA = (
    "contacted ~ district_competitiveness * electoral_rules + (1 | district_id) "
    "+ (1 + district_competitiveness | election_id)"
)
FINLAND_FORMULA = "p(contacted, n) ~ 1 + (1 | district_id)"

# R call, Python call, what R's text prints; the Python call's value is shown beside it
BOOK = [
    (
        'avg_predictions(model_vague, by = "gender")',
        'mrp.avg_predictions(vague, by="gender")',
        "Man 0.499 [0.0173, 0.984], Woman 0.497 [0.0162, 0.990]",
    ),
    (
        'avg_predictions(model_informative, by = "gender")',
        'mrp.avg_predictions(informative, by="gender")',
        "Man 0.499 [0.351, 0.642], Woman 0.498 [0.342, 0.650]",
    ),
    (
        'avg_comparisons(model_vague, variables = "military")',
        'mrp.avg_comparisons(vague, variables="military")',
        "0 [-0.495, 0.539]",
    ),
    (
        'avg_comparisons(model_informative, variables = "military")',
        'mrp.avg_comparisons(informative, variables="military")',
        "3.39e-05 [-0.0577, 0.059]",
    ),
    (
        'avg_predictions(model, by = "military")',
        'mrp.avg_predictions(fit, by="military")',
        "0 0.448 [0.424, 0.471], 1 0.364 [0.340, 0.388]",
    ),
    (
        'avg_comparisons(model, variables = list(age = c("18-29", "70+")))',
        'mrp.avg_comparisons(fit, variables={"age": ["18-29", "70+"]})',
        "a decrease of 31.2 percentage points",
    ),
    (
        'comparisons(model, variables = "gender", newdata = datagrid(state = unique))',
        'mrp.comparisons(fit, variables="gender", newdata=mrp.datagrid(fit, state=np.unique))',
        "48 rows, around zero (Figure 11.2)",
    ),
    (
        'avg_predictions(model) |> get_draws(shape = "long")',
        'mrp.avg_predictions(fit).get_draws("long")["value"]',
        "4,000 rows: 0.415, 0.392, 0.409, 0.401, 0.420, …",
    ),
    ("mean(draws$draw > .4)", 'mrp.avg_predictions(fit).probability("> 0.4")', "0.70375"),
    (
        "predictions(model, newdata = demographics)",
        "mrp.predictions(fit, newdata=demographics)",
        "a row for each cell",
    ),
    (
        'avg_predictions(model, newdata = demographics, wts = "percent", by = "state")',
        'mrp.poststratify(fit, demographics, wts="percent", by="state")',
        "AL 0.409 [0.356, 0.465], AR 0.399 [0.348, 0.466], AZ 0.381 [0.331, 0.431], "
        "CA 0.451 [0.414, 0.506], CO 0.437 [0.393, 0.507], CT 0.401 [0.349, 0.454]",
    ),
    (
        'predictions(mod, newdata = datagrid(state = c("CA", "AL"), gender = "Man", '
        'military = 0, education = "4 year", age = "50-59"))',
        'mrp.predictions(fit, newdata=mrp.datagrid(fit, state=["CA", "AL"], gender="Man", '
        'military=0, education="4 year", age="50-59"))',
        "CA 0.372, AL 0.353 (maximum likelihood)",
    ),
    (
        'avg_comparisons(mod, variables = "age")',
        'mrp.avg_comparisons(fit, variables="age")',
        "0.005, -0.188, -0.229, -0.271, -0.311 (maximum likelihood)",
    ),
]
SLIDES = [
    ("fixef(fit)", "finland.fixef()", "-1.37 (maximum likelihood)"),
    (
        "ranef(fit)",
        "finland.ranef()",
        "-0.3586, -0.2901, -0.1875, … (maximum likelihood)",
    ),
    (
        "predictions(fit, newdata = datagrid(district_id = unique))",
        "mrp.predictions(finland, newdata=mrp.datagrid(finland, district_id=pd.unique))",
        "0.151, 0.160, 0.174, … (maximum likelihood)",
    ),
    (
        "fixef(stan_fit)",
        "rainey.fixef()",
        "-2.39 [-3.88, -0.88], 1.41 [-0.69, 4.05], -0.74 [-2.84, 1.25], 3.09 [0.01, 6.58]",
    ),
    (
        "VarCorr(stan_fit)",
        "rainey.varcorr()",
        "0.52 [0.38, 0.69], 0.64 [0.03, 1.97], 1.00 [0.04, 3.28], -0.06 [-0.94, 0.95]",
    ),
    (
        "predictions(stan_fit, newdata = grid)",
        "mrp.predictions(rainey, newdata=grid)",
        "0.695 [0.465, 0.865], 0.312 [0.144, 0.560], 0.567 [0.324, 0.773], …",
    ),
    (
        "predictions(stan_fit, newdata = grid, re_formula = "
        "~ (1 + district_competitiveness | election_id))",
        "mrp.predictions(rainey, newdata=grid, "
        're_formula="(1 + district_competitiveness | election_id)")',
        "0.660 [0.605, 0.711], 0.296 [0.227, 0.375], 0.606 [0.558, 0.653], …",
    ),
]
SHOWN = 6
"""Numbers of a long result that the table shows."""


def main():
    names = fits()
    text = PAGE.read_text()
    for name, rows in (("book", BOOK), ("slides", SLIDES)):
        lines = ["| R | here | R's text | here |", "|---|---|---|---|"]
        for r_call, call, printed in rows:
            value = shown(eval(call, {"mrp": mrp, "np": np, "pd": pd, **names}))
            lines.append(f"| {code(r_call)} | {code(call)} | {printed} | {value} |")
        table = "\n".join(lines)
        pattern = rf"(<!-- table: {name} -->\n)(?:(?!<!--).)*(<!-- end -->)"
        text = re.sub(pattern, lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL)
    PAGE.write_text(text)


def fits():
    """The fits that the calls name."""
    survey = mrp.load_dataset("ces_survey")
    rainey = mrp.load_dataset("rainey2015")
    finland = mrp.load_dataset("finland_districts")
    options = {"family": "bernoulli"}
    prior = {"draws": 4000, "seed": SEED}

    def normal(sd):
        priors = {"b": f"normal(0, {sd})", "Intercept": f"normal(0, {sd})", "defaults": "brms"}
        model = mrp.Model(SURVEY_FORMULA, survey, priors=priors, **options)
        return model.sample_prior(**prior)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mrp.errors.SamplingWarning)
        return {
            "vague": normal("1e6"),
            "informative": normal("0.2"),
            "fit": sampled(mrp.Model(SURVEY_FORMULA, survey, priors="brms", **options)),
            "rainey": sampled(mrp.Model(RAINEY_FORMULA, rainey, priors="brms", **options)),
            "finland": sampled(mrp.Model(FINLAND_FORMULA, finland, family="binomial")),
            "demographics": mrp.load_dataset("ces_demographics"),
            "grid": rainey,
        }


def sampled(model):
    return model.sample(seed=SEED, progress=False)


def shown(value):
    """A result in a cell of a table."""
    if isinstance(value, pd.DataFrame):
        return f"{value['probability'].iloc[0]:.3f}"
    if isinstance(value, pd.Series):
        return f"{len(value):,} rows: " + ", ".join(f"{x:.3f}" for x in value[:5]) + ", …"
    table = value.to_frame()
    if len(table) > 48:
        table = table[:3]
    rows = [
        f"{label}{row.estimate:.3g} [{row.conf_low:.3g}, {row.conf_high:.3g}]"
        for label, row in zip(labels(value), table.itertuples(), strict=False)
    ]
    more = ", …" if len(value) > len(rows[:SHOWN]) else ""
    count = f"{len(value):,} rows: " if more else ""
    return count + ", ".join(rows[:SHOWN]) + more


def labels(estimates):
    """What tells the estimates apart, in a word or two."""
    columns = ("gender", "military", "state", "contrast", "parameter", "group", "term")
    kept = [name for name in columns if name in estimates.labels]
    if not kept or "rowid" in estimates.labels or len(estimates) == 1:
        return [""] * len(estimates)
    return [f"{label} " for label in estimates.labels[kept[0]]]


def code(text):
    """Code in a cell of a table, where a bar would end the cell."""
    return "`" + text.replace("|", r"\|") + "`"


if __name__ == "__main__":
    main()
