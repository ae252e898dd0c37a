"""Formula, survey, family and priors become a PyMC model, and the model a `Fit`."""

from mrp.model.model import Model

__all__ = ["Model"]
