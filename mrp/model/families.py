"""Outcome families: which links they take, which other parameters they have, which outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from mrp.errors import DataError, RequestError, listing, unknown
from mrp.levels import KINDS, Kind
from mrp.links import Link
from mrp.model.outcome import Outcome

FamilyName = Literal[
    "bernoulli",
    "binomial",
    "gaussian",
    "poisson",
    "negativebinomial",
    "categorical",
    "cumulative",
    "sratio",
]


@dataclass(frozen=True)
class Family:
    """A family of outcome distributions.

    Parameters
    ----------
    name
        Bambi's name.
    links
        Link functions that it takes, the default first.
    auxiliary
        Its parameter besides the mean, as Bambi names it: "sigma" or "alpha"; None if it has none.
    whole
        Whether outcomes are whole numbers that are not negative.

    Notes
    -----
    The link of the family "categorical", which brms calls logit and Bambi softmax, is to the log
    odds of each level against the first.
    """

    name: FamilyName
    links: tuple[Link, ...]
    auxiliary: str | None
    whole: bool

    @property
    def levels(self) -> Kind | None:
        """What the outcome's levels are; None where it has none."""
        return KINDS.get(self.name)


FAMILIES: Mapping[FamilyName, Family] = {
    family.name: family
    for family in (
        Family("bernoulli", ("logit", "probit", "cloglog"), None, whole=True),
        Family("binomial", ("logit", "probit", "cloglog"), None, whole=True),
        Family("gaussian", ("identity", "log"), "sigma", whole=False),
        Family("poisson", ("log", "identity"), None, whole=True),
        Family("negativebinomial", ("log", "identity"), "alpha", whole=True),
        Family("categorical", ("logit",), None, whole=False),
        Family("cumulative", ("logit", "probit", "cloglog"), None, whole=False),
        Family("sratio", ("logit", "probit", "cloglog"), None, whole=False),
    )
}


def find(name: str, link: str | None) -> tuple[Family, Link]:
    """Family and link by name; the family's default link where none is named."""
    if name not in FAMILIES:
        raise RequestError(
            unknown("family", "be a family that is built here", name, get_args(FamilyName))
        )
    family = FAMILIES[cast(FamilyName, name)]
    if link is None:
        return family, family.links[0]
    if link not in family.links:
        raise RequestError(unknown("link", f"be a link of the family {name!r}", link, family.links))
    return family, link


def check_outcome(family: Family, outcome: Outcome) -> None:
    """Raise unless the outcome's values are ones that the family can produce."""
    y, trials = outcome.values, outcome.trials
    if family.name == "binomial":
        if trials is None:
            raise DataError(
                f"`formula` must write the outcome of family 'binomial' as p(successes, trials), "
                f"got {outcome.name!r}. For one trial each, use family='bernoulli'."
            )
        bad = (y < 0) | (y > trials) | (y != np.round(y)) | (trials != np.round(trials))
        got = [f"{wins:g} of {of:g}" for wins, of in zip(y[bad], trials[bad], strict=True)]
        _raise_if(got, outcome.name, "whole numbers, no more successes than trials,")
        return
    if trials is not None:
        raise DataError(
            f"`family` must be 'binomial' for the outcome {outcome.name!r}, got {family.name!r}. "
            f"Pass family='binomial'."
        )
    if family.name == "bernoulli":
        _raise_if([f"{x:g}" for x in y[(y != 0) & (y != 1)]], outcome.name, "0 or 1")
    elif family.whole:
        bad = (y < 0) | (y != np.round(y))
        _raise_if([f"{x:g}" for x in y[bad]], outcome.name, "whole numbers, 0 or more,")


def check_said(outcome: Outcome) -> None:
    """Raise if an outcome does not say its family by itself, where the user says none."""
    if outcome.trials is not None:
        raise DataError(
            f"`family` must be named for the outcome {outcome.name!r}, got none. Pass "
            f"family='binomial'."
        )
    if np.isin(outcome.values, (0.0, 1.0)).all():
        raise DataError(
            f"`family` must be named where the outcome is 0 or 1 throughout, as {outcome.name!r} "
            f"is, got none. Pass family='bernoulli' (the probability of 1), or family='gaussian' "
            f"(a measurement)."
        )


def _raise_if(got: list[str], name: str, rule: str) -> None:
    if got:
        raise DataError(
            f"`data` must have {rule} in the outcome {name!r}, got {listing(dict.fromkeys(got))} "
            f"in {len(got)} rows. Recode the outcome, or choose another family."
        )
