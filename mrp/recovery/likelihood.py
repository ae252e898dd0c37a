"""Log likelihood of a survey's outcome under the draws of a fit."""

from __future__ import annotations

import pandas as pd

from mrp.fit import Fit
from mrp.likelihood import pointwise, total
from mrp.model.outcome import Outcome
from mrp.results.estimates import Estimates, Made, estimates


def log_likelihood(fit: Fit, outcome: Outcome) -> Estimates:
    r"""Log likelihood of an outcome: one number for each draw, the sum over respondents.

    .. math:: \ell_s = \sum_i \log p(y_i \mid \theta_s)

    It depends on the data and on all parameters at once, and finds faults that no parameter's
    rank shows (Modrák et al. 2023, doi:10.1214/23-BA1404).

    Parameters
    ----------
    fit
        Draws, with the survey's predictors.
    outcome
        The outcome of each of its respondents.
    """
    by_draw = total(pointwise(fit, outcome))
    labels = pd.DataFrame({"quantity": ["log likelihood"]})
    about = {"verb": "log_likelihood", "quantity": "log likelihood", "group": fit.group}
    return estimates(labels, Made(by_draw[None]), fit.coefficients.chains, about)
