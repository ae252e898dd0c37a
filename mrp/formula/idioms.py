"""What people write in other packages' formulas, and what to write here instead."""

from __future__ import annotations

import re
from collections.abc import Mapping

TWO_BARS = (
    "a bracket has one bar. All effects in one bracket are correlated: write (1 + x | g) "
    "where brms has the same | i | in several brackets of one group"
)
"""For ``(1 | i | g)`` of brms."""

_SMOOTH = "splines are bs(x, df=5), and polynomials poly(x, 2)"
_CALLS: Mapping[str, str] = {
    **dict.fromkeys(("factor", "as.factor", "as_factor"), "a categorical is C(x)"),
    **dict.fromkeys(
        ("ordered", "as.ordered"),
        "the order of levels is that of the data: Model(…, levels={'x': ['low', 'high']})",
    ),
    **dict.fromkeys(("relevel", "fct_relevel"), "a reference level is T(x, ref='level')"),
    **dict.fromkeys(("s", "t2", "te", "ti", "ns", "gp", "hsgp", "lo"), _SMOOTH),
    "mo": "an ordered predictor is a categorical with a coefficient for each level, x; "
    "or number its levels to have one slope",
    "me": "errors of measurement are not supported",
    "mi": "missing values are not imputed: fill them in before",
    "mm": "groups of several memberships are not supported: write (1 | g) for each",
    "gr": "a grouping factor is named alone: (1 | g)",
    "cs": "effects by level of the outcome are those of family='categorical'",
    "contr.sum": "sum coding is S(x)",
    "as.numeric": "convert the column before, as with data['x'].astype(float)",
    "as.integer": "convert the column before, as with data['x'].astype(int)",
    "as.logical": "convert the column before, as with data['x'].astype(bool)",
    "ifelse": "a choice is np.where(x > 0, 1, 0)",
    "ln": "the natural logarithm is log(x)",
    "logit": "write log(x / (1 - x)), or pass a function as namespace={'logit': …}",
    "pmin": "the smaller of two is np.minimum(x, 1)",
    "pmax": "the larger of two is np.maximum(x, 1)",
    "round": "rounding is np.round(x)",
    "cut": "cut the column before, with pandas.cut",
    "interaction": "an interaction is a:b",
    "c": "a list is written [1, 2]",
    "trials": "successes and trials are p(successes, trials) ~ …, with family='binomial'",
    "cbind": "successes and failures are p(successes, I(successes + failures)) ~ …, with "
    "family='binomial'",
}
"""By the name of a function that is not known."""

_WEIGHTS = (
    "respondents have no weights in a model: put what weights correct for into the formula, and "
    "the population's weights into poststratify(…, wts='n')"
)
_ADDITIONS: Mapping[str, str] = {
    "trials": "successes and trials are p({left}, {inside}) ~ …, with family='binomial'",
    "weights": _WEIGHTS,
    "cens": "censored outcomes are not supported",
    "trunc": "truncated outcomes are not supported",
    "se": "known standard errors are not supported",
    "rate": "an exposure is a predictor: offset(log({inside}))",
    "thres": "thresholds by group are not supported",
    "cat": "levels are those that the outcome has",
    "subset": "leave the rows out of the data",
    "mi": "missing values are not imputed: leave those rows out",
}
"""By what stands right of the bar of an outcome, as brms has it."""


CONSTANTS: Mapping[str, str] = {"TRUE": "True", "FALSE": "False", "NULL": "None", "NA": "np.nan"}
"""R's constants, and Python's."""


def of_call(name: str, *, of_outcome: bool = False) -> str | None:
    """What to write in place of a call that another package knows.

    Parameters
    ----------
    name
        Name of the function, or the whole call.
    of_outcome
        Whether the call is the outcome, which has idioms of its own: ``cbind(a, b)``.

    Examples
    --------
    >>> of_call("factor")
    'a categorical is C(x)'
    """
    function, _, inside = name.partition("(")
    if of_outcome and function == "cbind":
        both = [part.strip() for part in inside.rstrip(")").split(",")]
        if len(both) == 2:
            return (
                f"successes and failures are p({both[0]}, I({both[0]} + {both[1]})) ~ …, with "
                f"family='binomial'"
            )
    if of_outcome and function not in ("cbind", "factor"):
        return None
    return _CALLS.get(function)


def of_outcome(left: str) -> str | None:
    """What to write in place of an outcome such as ``y | trials(n)``.

    Examples
    --------
    >>> of_outcome("wins | trials(n)")
    "successes and trials are p(wins, n) ~ …, with family='binomial'"
    """
    match = re.fullmatch(r"\s*(.+?)\s*\|\s*([\w.]+)\s*\((.*)\)\s*", left, re.DOTALL)
    if match and match[2] in _ADDITIONS:
        inside = match[3].split(",")[0].strip()
        return _ADDITIONS[match[2]].format(left=match[1], inside=inside)
    if re.fullmatch(r"[\w.]+\s*/\s*[\w.]+", left):
        wins, trials = (side.strip() for side in left.split("/"))
        return (
            f"successes and trials are p({wins}, {trials}) ~ …, with family='binomial'; a "
            f"measurement is I({left})"
        )
    if re.search(r"[-+*/^<>=]", left):
        return f"arithmetic is written I({left})"
    return None


def of_mark(mark: str) -> str | None:
    """What to write in place of something that can't stand in a formula outside of a call."""
    if mark in ("<", ">", "<=", ">=", "==", "!="):
        return f"comparisons are written in I(…), such as I(x {mark} 0)"
    return None
