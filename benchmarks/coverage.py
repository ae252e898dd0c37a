"""How often intervals of poststratified estimates hold the truth, and how far estimates are off.

Each survey comes from a population of its own, in which the opinion of every state is known
(`mrp.simulate_survey`): people answer more or less often by age, education and gender. It is
fitted and poststratified as the bundled one. Coverage should be the interval's probability; the raw
means of the states' respondents are there to compare with.

Usage: ``python -m benchmarks coverage``, which also writes the table of the page on recovery.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

import mrp
from mrp import population
from mrp.recovery.refits import DIAGNOSTICS, compared
from mrp.recovery.result import Recovery

PAGE = Path(__file__).parents[1] / "docs" / "simulate-and-recover.md"
SURVEYS = 150
SAMPLER = {"draws": 1000, "tune": 500, "chains": 2}
RANK_DRAWS = 99
SCENARIOS = {
    "as bundled": {},
    "states nearly alike": {"state_sd": 0.05, "slope_sd": 0.05},
    "states far apart": {"state_sd": 0.7, "slope_sd": 0.4},
    "stronger selection": {"selection": 2.0},
    "four times the respondents": {"scale": 4},
    "stronger selection, flat priors": {"selection": 2.0, "priors": "brms"},
}
"""What is changed in `mrp.simulate_survey`, or the priors of the model."""
OWN = "as bundled, from the model itself"
"""Surveys that `mrp.recover` draws from the model, at the parameters of `mrp.simulate_survey`."""
SIZES = {"under 20 respondents": (0, 20), "20 to 59": (20, 60), "60 and more": (60, np.inf)}
"""States by the number of their respondents."""
PROBABILITIES = (80, 95)


def main():
    found = {name: measured(options, SURVEYS) for name, options in SCENARIOS.items()}
    found[OWN] = {"states": from_the_model(SURVEYS)}
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tables(text, found), encoding="utf-8")
    print(json.dumps({"surveys": SURVEYS, **SAMPLER, **found}))


def measured(options, surveys, processes=None, sampler=SAMPLER):
    """Summaries of one scenario: all states, the nation, states by size."""
    pool = Parallel(n_jobs=processes or -1, return_as="generator")
    tables = []
    for table in pool(delayed(one_survey)(seed, options, sampler) for seed in range(surveys)):
        tables.append(table)
        print(f"\r{len(tables)} of {surveys}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    table = pd.concat(tables, ignore_index=True)
    states = table[table["estimand"] == "states"]
    parts = {"states": states, "nation": table[table["estimand"] == "nation"]}
    parts |= {
        f"states of {name}": states[states["respondents"].between(low, high, inclusive="left")]
        for name, (low, high) in SIZES.items()
    }
    return {name: summary_of(part) for name, part in parts.items() if len(part)}


def one_survey(seed, options, sampler=SAMPLER):
    """Rows of `Recovery.table` for one population and survey, with raw means beside them."""
    of_population = {name: value for name, value in options.items() if name != "priors"}
    simulated = mrp.simulate_survey(seed=seed, **of_population)
    survey, frame = simulated.survey, simulated.frame
    priors = options.get("priors")
    model = mrp.Model(mrp.testing.FORMULA, survey, family="bernoulli", priors=priors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mrp.errors.SamplingWarning)
        fit = model.sample(**sampler, seed=seed, progress=False)
    states = mrp.poststratify(fit, frame, by="state", wts="n")
    nation = mrp.poststratify(fit, frame, wts="n")
    truth = simulated.truth.set_index("state").loc[states.labels["state"]]
    answers = survey.groupby("state")["defund"].agg(["mean", "size"]).loc[truth.index]
    of_all = np.average(truth["truth"], weights=truth["population"])
    values = np.concatenate([of.source.values(np.arange(len(of))) for of in (states, nation)])
    rows = pd.DataFrame(
        {
            "survey": seed,
            "estimand": ["states"] * len(states) + ["nation"],
            "label": [*truth.index, "nation"],
            "raw": [*answers["mean"], survey["defund"].mean()],
            "respondents": [*answers["size"], len(survey)],
        }
    )
    truths = np.array([*truth["truth"], of_all])
    diagnostics = {name: float(fit.info[name]) for name in DIAGNOSTICS}
    return rows.assign(**compared(truths, values, RANK_DRAWS, seed), **diagnostics)


def from_the_model(surveys, processes=None, sampler=SAMPLER):
    """Summary of the states when the model itself made the outcomes."""
    survey, frame = mrp.load_dataset("simulated_survey"), mrp.load_dataset("simulated_frame")
    model = mrp.Model(mrp.testing.FORMULA, survey, family="bernoulli")
    estimands = {"states": lambda fit: mrp.poststratify(fit, frame, by="state", wts="n")}
    options = {"surveys": surveys, "processes": processes, "log_likelihood": False, **sampler}
    found = mrp.recover(known_parameters(model, 4 * surveys), estimands, model=model, **options)
    return summary_of(found.table)


def known_parameters(model, draws):
    """A fit whose draws are the parameters of `mrp.simulate_survey`, with new states in each."""
    fixed = {
        "Intercept": population.INTERCEPT,
        "age": population.AGE_EFFECTS[1:],
        "education": population.EDUCATION_EFFECTS[1:],
        "military": population.MILITARY_EFFECT,
        "gender": population.WOMAN_EFFECT,
        "1|state_sigma": 0.35,
        "gender|state_sigma": 0.20,
        "state_cor": 0.3,
    }
    first, second = np.random.default_rng(1).standard_normal((2, draws, 48))
    slopes = 0.20 * (0.3 * first + np.sqrt(1 - 0.3**2) * second)
    made = mrp.testing.fake_draws(model.design, chains=1, draws=draws)
    values = {name: np.broadcast_to(value, made[name].shape) for name, value in fixed.items()}
    values |= {"1|state": 0.35 * first[None], "gender|state": slopes[None, :, None]}
    return mrp.Fit.from_draws(
        model, made.assign({name: (made[name].dims, value) for name, value in values.items()})
    )


def summary_of(table):
    """Numbers of one part, over its surveys: estimates of one survey count as one."""
    (row,) = (
        Recovery(table.assign(estimand="all"), RANK_DRAWS).summary("estimand").to_dict("records")
    )
    numbers = {"surveys": int(row["surveys"]), "failed": int(row["failed"])}
    names = ["bias", "bias_se", "rmse", "std_error"]
    names += [f"coverage_{p}{end}" for p in PROBABILITIES for end in ("", "_se")]
    numbers |= {name: round(float(row[name]), 5) for name in names}
    if "raw" in table:
        error = table["raw"] - table["truth"]
        numbers |= {"raw_bias": round(float(error.mean()), 5)}
        numbers |= {"raw_rmse": round(float(np.sqrt((error**2).mean())), 5)}
    divergent = table.loc[table["divergences"] > 0, "survey"].nunique()
    return numbers | {"surveys_with_divergences": int(divergent)}


def with_tables(text, found):
    """The page with the tables of numbers between its markers."""
    return between(between(text, "scenarios", scenarios_table(found)), "sizes", sizes_table(found))


def between(text, name, table):
    start, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, rest = text.split(start)
    _, after = rest.split(end)
    return f"{before}{start}{table}\n{end}{after}"


def scenarios_table(found):
    parts = {name: of["states"] for name, of in found.items()}
    parts |= {f"{name}, nation": of["nation"] for name, of in found.items() if "nation" in of}
    return as_markdown("surveys", parts)


def sizes_table(found):
    parts = {name: part for name, part in found["as bundled"].items() if name != "nation"}
    return as_markdown("states, as bundled", parts)


def as_markdown(head, parts):
    columns = ["80 % interval", "95 % interval", "bias", "rmse", "raw bias", "raw rmse"]
    lines = [f"| {head} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, n in parts.items():
        cells = [
            f"{100 * n[f'coverage_{p}']:.1f} ± {100 * n[f'coverage_{p}_se']:.1f}"
            for p in PROBABILITIES
        ]
        cells += [f"{n['bias']:+.4f} ± {n['bias_se']:.4f}", f"{n['rmse']:.4f}"]
        cells += [f"{n['raw_bias']:+.4f}", f"{n['raw_rmse']:.4f}"] if "raw_rmse" in n else ["", ""]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
