"""The stages that a log density is made of, compiled by numba; see `mrp.model.kernel.density`."""
