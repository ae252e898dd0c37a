from . import errors, testing
from .checks.predictive_checks import pp_check
from .checks.sensitivity import sensitivity
from .datasets import load_dataset
from .estimands.grids import datagrid
from .estimands.slopes import avg_slopes, slopes
from .estimands.verbs import (
    avg_comparisons,
    avg_predictions,
    comparisons,
    poststratify,
    predictions,
)
from .fit import Fit
from .model.model import Model
from .model.priors import priors
from .population import simulate_survey
from .recovery.run import recover
from .recovery.surveys import simulate
from .results.estimates import Estimates
from .results.stacking import concat
from .saved_fits import load_fit

__all__ = [
    "Estimates",
    "Fit",
    "Model",
    "avg_comparisons",
    "avg_predictions",
    "avg_slopes",
    "comparisons",
    "concat",
    "datagrid",
    "errors",
    "load_dataset",
    "load_fit",
    "poststratify",
    "pp_check",
    "predictions",
    "priors",
    "recover",
    "sensitivity",
    "simulate",
    "simulate_survey",
    "slopes",
    "testing",
]
