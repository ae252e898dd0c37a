"""Cases of bad input and faults: what is done, and what must come of it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

import mrp
from mrp.errors import EngineWarning, FrameWarning, MRPError, SamplingWarning

Kind = Literal["survey", "frame", "request", "file", "process"]
OWN = (FrameWarning, SamplingWarning, EngineWarning)
"""The package's warnings; any other one is a fault."""
SHOWN = 220
"""Characters of a message that the table shows."""


class Place:
    """Where a case happens: a survey, a frame and a fit of its own, and an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.survey = _survey()
        self.frame = _frame()

    @cached_property
    def fit(self) -> mrp.Fit:
        """Made-up draws of `model()`."""
        return fake(self.model())

    def model(self, formula: str | None = None, /, **columns: Any) -> mrp.Model:
        """A model of the survey with other columns."""
        options = {k: columns.pop(k) for k in MODEL & columns.keys()}
        formula = "y ~ x + g + (1 | state)" if formula is None else formula
        survey = self.survey.assign(**columns)
        return mrp.Model(formula, survey, **{"family": "gaussian", **options})

    def estimates(self, **columns: Any) -> pd.DataFrame:
        """State estimates with other columns in the frame, as a table."""
        return self.poststratify(self.frame.assign(**columns))

    def poststratify(self, frame: Any, **options: Any) -> pd.DataFrame:
        """State estimates of another frame, as a table."""
        asked = {"by": "state", "wts": "n", "seed": 1, **options}
        return mrp.poststratify(self.fit, frame, **asked).to_frame()


MODEL = {
    *("family", "link", "priors", "levels", "namespace", "correlated", "collapse"),
    "center_predictors",
}
"""Arguments of `Model` that are no columns."""


@dataclass(frozen=True)
class Ended:
    """How a command in a shell ended.

    Parameters
    ----------
    code
        Its exit code.
    lines
        What it said on standard error.
    """

    code: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"exit code {self.code}, `{self.lines[-1]}`"


@dataclass(frozen=True)
class Case:
    """A bad input or a fault.

    Parameters
    ----------
    kind
        Where it comes from.
    what
        What is done, in a line.
    does
        Does it; may return in words what came, where that is right.
    comes
        The error or warning that must come; None where the result is right; SystemExit where a
        command must end with one line and the exit code 2.
    """

    kind: Kind
    what: str
    does: Callable[[Place], object]
    comes: type[BaseException] | tuple[type[Exception], ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    error: MRPError | None = None
    warned: tuple[Warning, ...] = field(default=())
    returned: object = None

    def said(self, folder: Path) -> str:
        """What comes, as the table has it; without what is of the moment."""
        message = self.error or next(iter(self.warned), None)
        if isinstance(self.returned, Ended):
            text = str(self.returned)
        elif message is None:
            text = f"right: {self.returned if isinstance(self.returned, str) else 'what is asked'}"
        else:
            text = f"`{type(message).__name__}`: {' '.join(str(message).split())}"
        text = re.sub(r"of [\d,.]+ GiB free", "of … GiB free", text)
        return shortened(text.replace(str(folder), "FOLDER"))


def shortened(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN].rstrip()} …"


def outcome_of(case: Case, place: Place) -> Outcome:
    """Run a case: an error that is not the package's own, or another warning, is not caught."""
    before = (place.survey.copy(), place.frame.copy(), place.fit.fingerprint)
    with warnings.catch_warnings(record=True) as caught, _nothing_left(place.folder):
        warnings.simplefilter("always")
        try:
            outcome = Outcome(returned=case.does(place))
        except MRPError as error:
            outcome = Outcome(error=error)
    own = tuple(w.message for w in caught if issubclass(w.category, OWN))
    others = [w for w in caught if not issubclass(w.category, OWN)]
    assert not others, others[0]
    pd.testing.assert_frame_equal(place.survey, before[0])
    pd.testing.assert_frame_equal(place.frame, before[1])
    assert place.fit.fingerprint == before[2]
    return Outcome(outcome.error, own, outcome.returned)  # type: ignore[arg-type]


@contextmanager
def _nothing_left(folder: Path) -> Iterator[None]:
    """Nothing half-written stays in a folder."""
    yield
    left = [path for path in folder.rglob("*") if path.name.startswith(".")]
    assert not left, left


def fake(model: mrp.Model) -> mrp.Fit:
    """Made-up draws of a model."""
    return mrp.Fit.from_draws(
        model, mrp.testing.fake_draws(model.design, by_level=model.by_level, draws=10)
    )


STATES = ["AL", "CA", "NY", "TX"]


def _survey() -> pd.DataFrame:
    rng, n = np.random.default_rng(3), 80
    return pd.DataFrame(
        {
            "y": rng.normal(size=n).round(3),
            "vote": rng.integers(0, 2, n),
            "wins": rng.integers(0, 3, n),
            "trials": 3,
            "count": rng.poisson(3.0, n),
            "trust": rng.choice(["low", "mid", "high"], n),
            "x": rng.normal(size=n).round(1),
            "g": rng.choice(["a", "b", "c"], n),
            "year": rng.choice([2016, 2020], n),
            "state": rng.choice(STATES, n),
        }
    )


def _frame() -> pd.DataFrame:
    cells = pd.MultiIndex.from_product(
        [STATES, ["a", "b", "c"], [-1.0, 0.5], [2016, 2020]], names=["state", "g", "x", "year"]
    ).to_frame(index=False)
    return cells.assign(n=np.arange(1, len(cells) + 1) * 10)


def same(place: Place, frame: Any, **options: Any) -> str:
    """Check that another frame gives the estimates of the frame itself, to the last digit."""
    found, usual = place.poststratify(frame, **options), place.poststratify(place.frame)
    columns = ["estimate", "conf_low", "conf_high"]
    np.testing.assert_allclose(found[columns], usual[columns], rtol=1e-12)
    return "the same estimates"


def first(values: pd.Series, value: Any) -> pd.Series:
    """The values with another first one."""
    changed = values.astype(object) if isinstance(value, str) or value is None else values.copy()
    changed.iloc[0] = value
    return changed
