"""The PyMC model: priors, linear predictor and likelihood in terms that a reader can inspect.

Variables have the names and dims that Bambi gives them. Beyond Bambi, the effects within one
``( … | g)`` are correlated: their correlation matrix has an LKJ prior, built from independent
partial correlations (Lewandowski, Kurowicka and Joe 2009), so that its Cholesky factor needs no
linear algebra. Group-specific effects are not centred: effects = sd x Cholesky x standard normals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mrp.coefficients import (
    coordinates,
    correlation_name,
    dims_of,
    effect_dims,
    number_of,
)
from mrp.design import Block, Design
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.families import Family
from mrp.model.priors import Prior, Priors

if TYPE_CHECKING:
    import pymc as pm

CENTERED = "Intercept_centered"
"""The intercept at the predictors' means; the intercept's prior is on this one."""
Tensor = Any


def build(
    design: Design, observed: Observed, priors: Priors, family: Family, link: Link
) -> pm.Model:
    """Build the PyMC model.

    Parameters
    ----------
    design, observed
        What the formula learned, and the outcome by design row.
    priors
        The prior of every parameter.
    family, link
        The outcome's distribution.
    """
    import pymc as pm
    import pytensor.tensor as pt

    with pm.Model(coords=coordinates(design)) as model:
        eta = _population(design, observed, priors)
        for (number, block), concentration in zip(_numbered(design), priors.cor, strict=True):
            eta = eta + _group_specific(block, number, concentration, design, observed, priors)
        if design.offsets:
            eta = eta + observed.rows.offset()
        auxiliary = {name: _distribution(name, prior) for name, prior in priors.auxiliary.items()}
        _LIKELIHOODS[family.name](eta, link, observed, **auxiliary)
        if observed.constant:
            pm.Potential(f"{observed.name}_constant", pt.as_tensor_variable(observed.constant))
    return model


def variables(design: Design, family: Family) -> list[str]:
    """Variables that a fit keeps, in the order that a summary shows them."""
    names = [term.name for term in design.terms]
    if family.auxiliary:
        names.append(family.auxiliary)
    for number, block in _numbered(design):
        names += [f"{block.variable(term)}_sigma" for term in block.terms]
        if block.correlated:
            names.append(correlation_name(block.factor, number))
    return names + [block.variable(term) for block in design.blocks for term in block.terms]


def correlation_dim(block: Block, number: int) -> str:
    """Dim of a block's correlations."""
    return f"{correlation_name(block.factor, number)}_dim"


def _numbered(design: Design) -> list[tuple[int, Block]]:
    return [(number_of(design, b), block) for b, block in enumerate(design.blocks)]


def _distribution(name: str, prior: Prior, dims: tuple[str, ...] = ()) -> Tensor:
    import pymc as pm

    distribution = getattr(pm, prior.distribution.pymc)
    return distribution(name, **prior.values, dims=dims or None)


def _population(design: Design, observed: Observed, priors: Priors) -> Tensor:
    """Linear predictor of the population-level terms (m,)."""
    import pymc as pm
    import pytensor.tensor as pt

    rows, eta, shift = observed.rows, np.zeros(len(observed.rows)), np.float64(0.0)
    for term in design.slopes:
        coefficients = _distribution(term.name, priors.population[term.name], dims_of(term))
        columns = term.columns(rows.values, len(rows))
        means = observed.mean(columns) if design.has_intercept else np.zeros(term.width)
        flat = pt.atleast_1d(coefficients)
        eta = eta + pt.dot(columns - means, flat)
        shift = shift + pt.dot(means, flat)
    if not design.has_intercept:
        return eta
    if not design.slopes:
        return eta + _distribution("Intercept", priors.population["Intercept"])
    centered = _distribution(CENTERED, priors.population["Intercept"])
    pm.Deterministic("Intercept", centered - shift)
    return eta + centered


def _group_specific(
    block: Block,
    number: int,
    concentration: float,
    design: Design,
    observed: Observed,
    priors: Priors,
) -> Tensor:
    """Contribution of one ``( … | g)`` to the linear predictor (m,)."""
    import pymc as pm
    import pytensor.tensor as pt

    groups = len(design.factors[block.factor].groups)
    sds, standard = [], []
    for term in block.terms:
        name, dims = block.variable(term), effect_dims(block, term)
        sd = _distribution(f"{name}_sigma", priors.sd[name], dims[:-1])
        offset = pm.Normal(f"{name}_offset", 0.0, 1.0, dims=dims)
        sds.append(pt.atleast_1d(sd))
        standard.append(offset.reshape((term.width, groups)))
    sd, z = pt.concatenate(sds), pt.concatenate(standard)
    if block.correlated:
        factor = _cholesky(block, number, concentration)
        z = pt.stack([sum(factor[i][k] * z[k] for k in range(i + 1)) for i in range(block.width)])
    effects = sd[:, None] * z
    _name_effects(block, effects)
    index = observed.rows.groups[block.factor]
    columns = observed.rows.effects(block)
    return sum(_times(columns[:, k], effects[k, index]) for k in range(block.width))


def _times(column: NDArray[np.float64], effects: Tensor) -> Tensor:
    return effects if (column == 1.0).all() else column * effects


def _name_effects(block: Block, effects: Tensor) -> None:
    import pymc as pm

    start = 0
    for term in block.terms:
        own = effects[start : start + term.width]
        start += term.width
        own = own[0] if term.levels is None else own
        pm.Deterministic(block.variable(term), own, dims=effect_dims(block, term))


def _cholesky(block: Block, number: int, concentration: float) -> list[list[Tensor]]:
    """Cholesky factor of an LKJ correlation matrix, element by element.

    The partial correlation of effects i and j < i, given the effects before j, is 2 b - 1 with
    b ~ Beta(a, a), a = concentration + (width - 2 - j) / 2.
    """
    import pymc as pm
    import pytensor.tensor as pt

    width = block.width
    pairs = [(i, j) for i in range(width) for j in range(i)]
    shape = np.array([concentration + (width - 2 - j) / 2 for _, j in pairs])
    name = correlation_name(block.factor, number)
    partial = 2.0 * pm.Beta(f"{name}_partial", shape, shape, shape=len(pairs)) - 1.0
    of_pair = {pair: partial[p] for p, pair in enumerate(pairs)}
    factor: list[list[Tensor]] = []
    for i in range(width):
        remaining, row = pt.constant(1.0), []
        for j in range(i):
            row.append(of_pair[i, j] * pt.sqrt(remaining))
            remaining = remaining * (1.0 - of_pair[i, j] ** 2)
        factor.append([*row, pt.sqrt(remaining)])
    correlations = [sum(factor[i][k] * factor[j][k] for k in range(j + 1)) for i, j in pairs]
    pm.Deterministic(name, pt.stack(correlations), dims=correlation_dim(block, number))
    return factor


def _mean(eta: Tensor, link: Link) -> Tensor:
    """Mean of a count or measurement."""
    import pytensor.tensor as pt

    return pt.exp(eta) if link == "log" else eta


def _log_odds(eta: Tensor, link: Link) -> Tensor:
    """Log odds of a success, exact in both tails, where 1 - p would be rounded to zero."""
    import pytensor.tensor as pt

    if link == "probit":
        return _log_normal_cdf(eta) - _log_normal_cdf(-eta)
    if link == "cloglog":
        rate = pt.exp(eta)
        return rate + pt.log(-pt.expm1(-rate))
    return eta


def _log_normal_cdf(x: Tensor) -> Tensor:
    import pytensor.tensor as pt

    z = x / np.sqrt(2.0)  # PyMC's own functions have the square root of 2 in single precision
    return pt.switch(pt.lt(z, -1.0), pt.log(0.5 * pt.erfcx(-z)) - z**2, pt.log1p(-0.5 * pt.erfc(z)))


def _successes(eta: Tensor, link: Link, observed: Observed) -> None:
    import pymc as pm

    log_odds = _log_odds(eta, link)
    if (observed.trials == 1).all():
        pm.Bernoulli(observed.name, logit_p=log_odds, observed=observed.y)
    else:
        pm.Binomial(observed.name, n=observed.trials, logit_p=log_odds, observed=observed.y)


def _poisson(eta: Tensor, link: Link, observed: Observed) -> None:
    import pymc as pm

    pm.Poisson(observed.name, observed.count * _mean(eta, link), observed=observed.y)


def _gaussian(eta: Tensor, link: Link, observed: Observed, sigma: Tensor) -> None:
    import pymc as pm
    import pytensor.tensor as pt

    pm.Normal(observed.name, _mean(eta, link), sigma / np.sqrt(observed.count), observed=observed.y)
    if observed.collapsed:
        spare = observed.respondents - len(observed.y)
        constant = -0.5 * spare * np.log(2 * np.pi) - 0.5 * np.log(observed.count).sum()
        squares = observed.within.sum()
        pm.Potential(
            f"{observed.name}_within", constant - spare * pt.log(sigma) - 0.5 * squares / sigma**2
        )


def _negativebinomial(eta: Tensor, link: Link, observed: Observed, alpha: Tensor) -> None:
    import pymc as pm

    mean = _mean(eta, link)
    if not observed.collapsed:
        pm.NegativeBinomial(observed.name, mu=mean, alpha=alpha, observed=observed.y)
        return
    one_each = pm.logp(pm.NegativeBinomial.dist(mu=mean, alpha=alpha), observed.y)
    pm.Potential(observed.name, (observed.count * one_each).sum())


_LIKELIHOODS: Mapping[str, Callable[..., None]] = {
    "bernoulli": _successes,
    "binomial": _successes,
    "poisson": _poisson,
    "gaussian": _gaussian,
    "negativebinomial": _negativebinomial,
}
