"""The fast lane: log posterior and gradient of every model built here, in a few compiled stages.

Formula, links, priors and groups are data to them, so nothing is compiled for a new formula; the
machine code is kept in numba's cache. `model.pymc` stays the definition of the model.
"""
