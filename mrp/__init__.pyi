from . import errors, testing
from .datasets import load_dataset
from .estimands.grids import datagrid
from .estimands.verbs import (
    avg_comparisons,
    avg_predictions,
    comparisons,
    poststratify,
    predictions,
)
from .estimates import Estimates
from .fit import Fit, load_fit
from .model.model import Model
from .simulate import simulate_survey

__all__ = [
    "Estimates",
    "Fit",
    "Model",
    "avg_comparisons",
    "avg_predictions",
    "comparisons",
    "datagrid",
    "errors",
    "load_dataset",
    "load_fit",
    "poststratify",
    "predictions",
    "simulate_survey",
    "testing",
]
