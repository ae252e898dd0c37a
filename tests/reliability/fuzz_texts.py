"""Formulas, priors and statements that somebody else wrote: mutated, nested and hostile ones.

``python -m tests.reliability.fuzz_texts 1000 7`` tries a thousand texts of each kind from the seed
7, in a process that may do nothing but compute, and prints what came of them.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 30
"""What takes longer hangs."""
LONGEST = 2100
"""Characters of the longest message."""

NAMES = ["x", "z", "g", "h", "y", "vote", "n", "year", "`a b`", "np", "nope", "os", "__import__"]
NUMBERS = [
    "0",
    "1",
    "2",
    "-1",
    "0.5",
    "1e300",
    "1e999",
    "9" * 30,
    "999999999",
    "0x10",
    "1j",
    "True",
]
TEXTS = ["'a'", '"b"', "''", "'$x$'", "'\\x00'", "'*' * 9", "b'a'", "f'{x}'"]
CALLS = [
    *(
        "log",
        "np.log",
        "np.exp",
        "scale",
        "center",
        "C",
        "T",
        "S",
        "bs",
        "poly",
        "I",
        "offset",
        "p",
    ),
    *("np.where", "np.isin", "np.clip", "np.power", "np.digitize", "np.full_like", "np.select"),
    *("np.load", "np.savetxt", "np.fromfile", "np._pytesttester.os.system", "np.f2py.os.system"),
    *("np.add.reduce", "np.lib.npyio.os.popen", "np.vectorize", "np.frompyfunc", "np.memmap"),
    *(
        "eval",
        "exec",
        "open",
        "print",
        "getattr",
        "__import__",
        "x.values.tofile",
        "pd.read_pickle",
    ),
    *("scale.__init__", "log.__class__", "center.__init__.__globals__.get", "g.map", "nope"),
]
OPERATORS = [
    *("+", "-", "*", "/", "**", "//", "%", "@", "&", "|", "^", "<", "<=", "==", "!=", ">"),
    *("and", "or", "if", "in", "is", ":", "<<", ":=", ",", "~", "||"),
]
HOSTILE = [
    "().__class__.__base__.__subclasses__()",
    "(lambda: open('stolen', 'w'))()",
    "[open('stolen', 'w') for _ in x]",
    "__import__('os').system('touch stolen')",
    "I(x + 0*np._pytesttester.os.system('touch stolen'))",
    "np.load('stolen.npy', allow_pickle=True)",
    "x.__class__.__init__.__globals__",
    "np.where(x > 0, np.__dict__, 0)",
    "scale.__init__.__globals__['os'].system('touch stolen')",
    "(x + 1)**999999999",
    "9**9**9**9",
    "np.full_like(x, 'a' * 10**9)",
    "np.power(10, 10**10)",
    "'a' * 10**10",
    "[0] * 10**10",
    "poly(x, 10**6)",
    "bs(x, df=10**7)",
    "np.digitize(x, [0] * 10**9)",
    "C(g, levels=[[1]])",
    "T(g, ref=g)",
    "p(n, 0)",
    "\u202ex + z",
    "x\x00z",
    "\ud800",
    "ｘ + ｚ",
    "`" * 99,
    "#",
    "x # comment",
    "x; import os",
    "x\n+ z",
    "x\\",
]
FORMULAS = [
    "y ~ x + z",
    "vote ~ x * g + (1 + z | h)",
    "y ~ scale(x) + bs(z, df=4) + (1 | g:h)",
    "y ~ C(g) + T(h, ref='u') + offset(log(n))",
    "p(n - n, n) ~ x",
    "vote['1'] ~ (x + z + g)**2 - x:z",
    "y ~ 0 + g + (0 + x || h)",
    "np.log(y + 99) ~ poly(x, 2) + I(z**2) + np.where(x > 0, 1, 0)",
]
PRIORS = [
    "normal(0, 1)",
    "student_t(3, 0, 2.5)",
    "exponential(1e999)",
    "lkj(2)",
    "normal(0, __import__('os'))",
]
STATEMENTS = [
    "b1 - b2 = 0",
    "`man` / b1",
    "~ pairwise | g",
    "ratio ~ reference",
    "log(b1) > 0",
    "> 0.4",
]


class Hangs(BaseException):
    """It takes too long."""


def main() -> None:
    """Try texts in this process, and print the counts."""
    count, seed = map(int, sys.argv[1:])
    print(json.dumps(_tried(count, seed)))


def run(count: int, seed: int) -> dict[str, int]:
    """Try so many texts of each kind from a seed, in a process of their own.

    Returns
    -------
    How many were "right" (they are read, and mean something) and "refused" (one of the package's
    errors). Anything else is raised with the text.
    """
    command = [sys.executable, "-m", "tests.reliability.fuzz_texts", str(count), str(seed)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    if done.returncode:
        raise AssertionError(f"seed {seed}: {done.stderr[-3000:]}")
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def offences_of(text: str) -> str:
    """What Python's own `eval` of a text is caught at, in a process of its own."""
    code = (
        "from tests.reliability import watch\n"
        "try:\n"
        f"    with watch.watched(): eval({text!r})\n"
        "except watch.Offence as offence: print(offence)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    return done.stdout.strip()


def _tried(count: int, seed: int) -> dict[str, int]:
    from tests.reliability import watch

    tries = _ways()
    rng = random.Random(seed)
    for name, attempt in tries.items():  # what is imported or cached at first use
        for text in {"formula": FORMULAS, "prior": PRIORS}.get(name, STATEMENTS):
            _outcome(attempt, text)
    found: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, _too_long)
    for name, attempt in tries.items():
        for number in range(count):
            text = _text(rng, name)
            with watch.watched() as offences:
                outcome = _outcome(attempt, text)
            if outcome not in ("right", "refused") or offences:
                raise SystemExit(
                    f"{name} {number}: {text[:2000]!r} came to {outcome}; {dict(offences)}"
                )
            found[outcome] += 1
    if Path("stolen").exists():
        raise SystemExit("a file was written")
    return dict(found)


def _too_long(*_: Any) -> None:
    raise Hangs


def _outcome(attempt: Callable[[str], object], text: str) -> str:
    """What comes of a text: "right", "refused", or what should not be."""
    from mrp.errors import MRPError

    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attempt(text)
        return "right"
    except MRPError as error:
        said = str(error)
        return "refused" if len(said) <= LONGEST else f"a message of {len(said):,} characters"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:500]
    finally:
        signal.alarm(0)


def _ways() -> dict[str, Callable[[str], object]]:
    """What reads a text, by what the text is."""
    import numpy as np
    import pandas as pd

    import mrp

    rng = np.random.default_rng(1)
    survey = pd.DataFrame(
        {
            "y": rng.normal(size=60).round(3),
            "vote": rng.integers(0, 2, 60),
            "n": rng.integers(1, 9, 60),
            "x": rng.normal(size=60).round(1),
            "z": rng.gamma(2.0, 1.0, 60).round(2),
            "year": rng.choice([2016, 2020], 60),
            "g": rng.choice(["a", "b", "c"], 60),
            "h": rng.choice(["u", "v"], 60),
            "a b": rng.normal(size=60),
        }
    )
    fit = mrp.testing.fake_fit("y ~ x + g + (1 | h)", survey, family="gaussian")
    averages = mrp.avg_predictions(fit, by="g")

    def formula(text: str) -> None:
        outcome = text.partition("~")[0]
        family = "binomial" if outcome.strip().startswith("p(") else "gaussian"
        model = mrp.Model(text, survey, family=family)  # type: ignore[arg-type]
        model.design.rows(survey.head(20))

    return {
        "formula": formula,
        "prior": lambda text: mrp.Model("y ~ x", survey, family="gaussian", priors={"b": text}),
        "hypothesis": averages.hypothesis,
        "statement": averages.probability,
        "re_formula": lambda text: mrp.avg_predictions(fit, re_formula=text),
        "by": lambda text: mrp.avg_predictions(fit, by=text),
        "new_levels": lambda text: mrp.avg_predictions(fit, new_levels=text),  # type: ignore[arg-type]
    }


# --- texts ----------------------------------------------------------------------------------------


def _text(rng: random.Random, kind: str) -> str:
    seeds = {"formula": FORMULAS, "prior": PRIORS}.get(kind, STATEMENTS)
    way = rng.random()
    if way < 0.35:
        return _mutated(rng, rng.choice(seeds))
    right = _hostile(rng) if way < 0.6 else _expression(rng, rng.randrange(1, 6))
    if kind == "formula":
        left = rng.choice(["y", "vote", "np.log(n)", "p(vote, n)", _expression(rng, 2)])
        return f"{left} ~ {right}"
    if kind == "prior":
        return rng.choice([right, f"normal({right}, 1)", f"normal(0, sd={right})"])
    return right


def _hostile(rng: random.Random) -> str:
    """Something that means harm, maybe inside of something else; at times very long or deep."""
    text = rng.choice(HOSTILE)
    way = rng.randrange(8)
    if way == 0:
        return "(" * (depth := rng.choice([10, 200, 5000])) + text + ")" * depth
    if way == 1:
        return " + ".join([text] * rng.choice([3, 100, 5000]))
    if way == 2:
        return f"({text} | {rng.choice(NAMES)})"
    if way == 3:
        return f"{rng.choice(CALLS)}({text}, {rng.choice(NUMBERS)})"
    if way == 4:
        return "-" * rng.choice([5, 1000, 15000]) + rng.choice(NAMES)
    if way == 5:
        return f"({' + '.join(NAMES[:4])})**{rng.choice(NUMBERS)}"
    return text


def _expression(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(rng.choice([NAMES, NAMES, NUMBERS, TEXTS]))
    way = rng.randrange(6)
    if way == 0:
        inner = ", ".join(_expression(rng, depth - 1) for _ in range(rng.randrange(4)))
        return f"{rng.choice(CALLS)}({inner})"
    if way == 1:
        return f"({_expression(rng, depth - 1)})"
    if way == 2:
        return (
            f"({_expression(rng, depth - 1)} | {_expression(rng, depth - 2 if depth > 1 else 0)})"
        )
    if way == 3:
        return f"{_expression(rng, depth - 1)}[{_expression(rng, 0)}]"
    return f"{_expression(rng, depth - 1)} {rng.choice(OPERATORS)} {_expression(rng, depth - 1)}"


def _mutated(rng: random.Random, text: str) -> str:
    """A text with some characters left out, doubled, swapped or put in."""
    marks = [
        *"()[]{}|~+-*/:^&'\"`,.=<>%@!#$\\ \t\n\0",
        "\u200b",
        "\ud800",
        "\U0001f600",
        *NAMES,
        *CALLS,
    ]
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        at = rng.randrange(len(text) + 1)
        way = rng.randrange(4)
        if way == 0:
            text = text[:at] + text[at + 1 :]
        elif way == 1:
            text = text[:at] + rng.choice(marks) + text[at:]
        elif way == 2:
            text = (
                text[:at] + text[at : at + rng.randrange(9)] * rng.choice([2, 2, 300]) + text[at:]
            )
        else:
            text = text[at:] + text[:at]
    return text


if __name__ == "__main__":
    main()
