"""The priors of a model as a table: what each is, and where it comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from mrp.design import Block, Design
from mrp.levels import THRESHOLD, threshold_names
from mrp.model.distributions import Prior, make
from mrp.model.prior_defaults import DEFAULTS, Path, Priors, default_source, group_terms
from mrp.model.prior_resolution import cor_path, sd_path, slope_path

DEFAULT_SOURCES = tuple(default_source(name) for name in DEFAULTS)
CENTRED = "centred"
"""Note on an intercept or thresholds whose prior is on their value at the predictors' means."""


@dataclass(frozen=True)
class Row:
    """One parameter, its prior and what that was given under.

    Parameters
    ----------
    parameter, prior, source
        Its name, its prior, and what that was given under.
    note
        What the prior is of, where it is not of the parameter as the draws have it.
    width
        The number of effects that are correlated, where it is correlations.
    """

    parameter: str
    prior: Prior
    source: str
    note: str = ""
    width: int = 0

    @property
    def written(self) -> str:
        """The prior as it was given; a default, which may be scaled by the data, with 4 digits."""
        return self.prior.written(4) if self.source in DEFAULT_SOURCES else str(self.prior)


def summary(priors: Priors, design: Design) -> pd.DataFrame:
    """A row for each parameter, as `Model.prior_summary` has them."""
    found = [(row.parameter, row.written, row.note, row.source) for row in rows(priors, design)]
    return pd.DataFrame(found, columns=["parameter", "prior", "note", "source"])


def rows(priors: Priors, design: Design) -> list[Row]:
    """Every parameter: intercept or thresholds, slopes, sd's, correlations, the family's own."""
    found: list[Row] = []
    note = CENTRED if priors.centered and design.slopes else ""
    if priors.threshold is not None:
        found += _thresholds(priors.threshold, priors.sources[(THRESHOLD,)], note)
    for term in design.terms:
        prior, sources = priors.population[term.name], priors.sources[slope_path(term)]
        own = note if term.kind == "intercept" else ""
        found += _each(list(term.labels), prior, sources, own)
    for block, term in group_terms(design):
        names = [f"sd({label} | {block.factor})" for label in term.labels]
        prior, sources = priors.sd[block.variable(term)], priors.sources[sd_path(block, term)]
        found += _each(names, prior, sources)
    found += _correlations(priors, design)
    for name, prior in priors.auxiliary.items():
        found += _each([name], prior, priors.sources[(name,)])
    return found


def _each(names: list[str], prior: Prior, sources: Path, note: str = "") -> Iterator[Row]:
    """A row for each coefficient of a parameter."""
    for k, (name, source) in enumerate(zip(names, sources, strict=True)):
        yield Row(name, prior.of(k), source, note)


def _thresholds(prior: Prior, sources: Path, note: str) -> Iterator[Row]:
    """One row for thresholds that have the same prior, else one for each."""
    if all(value.ndim == 0 for value in prior.values.values()):
        return iter([Row(THRESHOLD, prior, sources[0], note)])
    return _each(threshold_names(len(sources)), prior, sources, note)


def _correlations(priors: Priors, design: Design) -> Iterator[Row]:
    """A row for each bracket of correlated effects, which are named where a factor has several."""
    blocks = [
        (block, eta)
        for block, eta in zip(design.blocks, priors.cor, strict=True)
        if block.correlated and block.width > 1
    ]
    count = Counter(block.factor for block, _ in blocks)
    for block, eta in blocks:
        (source,) = priors.sources[cor_path(block)]
        name = f"cor({block.factor})" if count[block.factor] == 1 else _in_full(block)
        yield Row(name, make("lkj", eta=eta), source, width=block.width)


def _in_full(block: Block) -> str:
    return f"cor({', '.join(block.labels)} | {block.factor})"
