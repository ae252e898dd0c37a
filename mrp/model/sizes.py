"""How much memory draws take, so that too many are refused before they are made."""

from __future__ import annotations

from mrp.design import Design
from mrp.levels import LevelParameters
from mrp.memory import check_fits

DRAW, TUNED = (8 * 8, 1000), (2 * 8, 700)
"""Bytes of a draw, kept and discarded: of each parameter, and of what the sampler says of it.

As measured at the peak: nutpie keeps the discarded ones too, and while kept ones are named and
judged there are several copies."""
FORWARD = 2 * 8
"""Bytes of each parameter in a draw from the prior, with what it is made of."""
STEP = "Ask for fewer: 4 chains of 1,000 draws are usual."


def parameters(design: Design, by_level: LevelParameters) -> int:
    """About how many numbers one draw of a model has; those of its family, at most one, included.

    Examples
    --------
    >>> import mrp
    >>> survey = mrp.load_dataset("simulated_survey")
    >>> model = mrp.Model("defund ~ military + (1 | state)", survey, family="bernoulli")
    >>> parameters(model.design, model.by_level)  # 3, and 48 states with their sd
    52
    """
    slopes = sum(term.width for term in design.slopes) + design.has_intercept
    effects = sum(
        block.width * (len(design.factors[block.factor].groups) + 1)
        + block.correlated * block.width * (block.width - 1) // 2
        for block in design.blocks
    )
    return (slopes + effects) * by_level.predictors + by_level.thresholds + 1


def check_run_fits(numbers: int, *, draws: int, tune: int, chains: int) -> None:
    """Raise a RequestError if a run of the sampler takes more memory than there is.

    Parameters
    ----------
    numbers
        Those of one draw.
    draws, tune, chains
        As asked for.
    """
    (kept, said), (discarded, noted) = DRAW, TUNED
    a_draw, a_tuned = kept * numbers + said, discarded * numbers + noted
    needed = chains * (draws * a_draw + tune * a_tuned)
    most = "tune" if tune * a_tuned > draws * a_draw else "draws"
    what = (
        f"{chains:,} chains of {draws:,} draws and {tune:,} discarded ones of {numbers:,} numbers"
    )
    check_fits(needed, what, most, STEP)


def check_prior_fits(numbers: int, draws: int) -> None:
    """Raise a RequestError if draws from a prior take more memory than there is."""
    what = f"{draws:,} draws of {numbers:,} numbers"
    check_fits(FORWARD * numbers * draws, what, "draws", "Ask for fewer: 4,000 are usual.")
