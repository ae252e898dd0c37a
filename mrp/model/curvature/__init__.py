"""The joint curvature of a model: penalised weighted least squares of coefficients and effects.

Given the covariances of the effects, the log posterior of all coefficients and effects x has about
the precision ``P = X' W X + Q``: what the respondents say of them, and what their distributions do.
`columns` is X, `working` is W, `factor` factors P, and `rounds` finds where the density is highest.
Nothing here knows PyMC or the sampler.
"""
