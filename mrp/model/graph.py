"""The PyMC model: priors, linear predictor and likelihood in terms that a reader can inspect.

Variables have the names and dims that Bambi gives them. Beyond Bambi, the effects within one
``( … | g)`` are correlated: their correlation matrix has an LKJ prior, built from independent
partial correlations (Lewandowski, Kurowicka and Joe 2009), so that its Cholesky factor needs no
linear algebra. Group-specific effects are not centred: effects = sd x Cholesky x standard normals.
An unordered outcome with levels has a linear predictor, and group-specific effects with a
covariance matrix, for each level but the first: every parameter has one dim more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from mrp.levels import NO_LEVELS, THRESHOLD, THRESHOLD_DIM, LevelParameters
from mrp.links import Link
from mrp.model.collapse import Observed
from mrp.model.distributions import Prior
from mrp.model.families import Family
from mrp.model.prior_defaults import Priors

if TYPE_CHECKING:
    import pymc as pm

CENTERED = "Intercept_centered"
"""The intercept at the predictors' means; the prior is on this one, where they are centred."""
CENTERED_THRESHOLD = f"{THRESHOLD}_centered"
"""The thresholds at the predictors' means; likewise."""
Tensor = Any


def build(
    design: Design,
    observed: Observed,
    priors: Priors,
    family: Family,
    link: Link,
    by_level: LevelParameters = NO_LEVELS,
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
    by_level
        The parameters that levels of the outcome have.
    """
    import pymc as pm
    import pytensor.tensor as pt

    with pm.Model(coords=coordinates(design, by_level)) as model:
        eta, auxiliary = _population(design, observed, priors, by_level)
        for (number, block), concentration in zip(_numbered(design), priors.cor, strict=True):
            effects = _group_specific(block, number, concentration, design, priors, by_level)
            eta = eta + _contribution(block, effects, observed)
        if design.offsets:
            eta = (eta.T + observed.rows.offset()).T
        for name, prior in priors.auxiliary.items():
            auxiliary[name] = _distribution(name, prior)
        _LIKELIHOODS[family.name](eta, link, observed, **auxiliary)
        if observed.constant:
            pm.Potential(f"{observed.name}_constant", pt.as_tensor_variable(observed.constant))
    return model


def variables(design: Design, family: Family) -> list[str]:
    """Variables that a fit keeps, in the order that a summary shows them."""
    names = [THRESHOLD] if family.levels == "ordered" else []
    names += [term.name for term in design.terms]
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


def _distribution(
    name: str,
    prior: Prior,
    dims: tuple[str, ...] = (),
    by_level: LevelParameters = NO_LEVELS,
    **options: Any,
) -> Tensor:
    """A parameter with its prior, the same for all levels of an outcome."""
    import pymc as pm

    distribution = getattr(pm, prior.distribution.pymc)
    values = {
        key: value.reshape(value.shape + (1,) * len(by_level.dims)) if value.ndim else value
        for key, value in prior.values.items()
    }
    return distribution(name, **values, dims=dims or None, **options)


def _population(
    design: Design, observed: Observed, priors: Priors, by_level: LevelParameters
) -> tuple[Tensor, dict[str, Tensor]]:
    """Linear predictor of the population-level terms (m,) or (m, levels - 1); the thresholds.

    Predictors are centred where there is an intercept or thresholds to take the means up, unless
    the prior of these is that of predictors as they are.
    """
    import pytensor.tensor as pt

    rows, shape = observed.rows, by_level.shape
    eta, shift = np.zeros((len(rows), *shape)), np.zeros(shape)
    centered = priors.centered and (design.has_intercept or by_level.thresholds)
    for term in design.slopes:
        prior, dims = priors.population[term.name], dims_of(term, by_level)
        coefficients = _distribution(term.name, prior, dims, by_level)
        columns = term.columns(rows.values, len(rows))
        means = observed.mean(columns) if centered else np.zeros(term.width)
        flat = coefficients.reshape((term.width, *shape))
        eta = eta + pt.dot(columns - means, flat)
        shift = shift + pt.dot(means, flat)
    moved = shift if centered and design.slopes else None
    if priors.threshold is not None:
        return eta, {THRESHOLD: _threshold(priors.threshold, moved, by_level)}
    if design.has_intercept:
        eta = eta + _intercept(priors.population["Intercept"], moved, by_level)
    return eta, {}


def _intercept(prior: Prior, shift: Tensor | None, by_level: LevelParameters) -> Tensor:
    """Intercept at the predictors' means; that of the predictors as they are is kept.

    Without a shift the two are the same.
    """
    import pymc as pm

    if shift is None:
        return _distribution("Intercept", prior, by_level.dims, by_level)
    centered = _distribution(CENTERED, prior, by_level.dims, by_level)
    pm.Deterministic("Intercept", centered - shift, dims=by_level.dims or None)
    return centered


def _threshold(prior: Prior, shift: Tensor | None, by_level: LevelParameters) -> Tensor:
    """Thresholds at the predictors' means; those of the predictors as they are are kept.

    Without a shift they are the same.
    """
    import pymc as pm

    options: dict[str, Any] = {}
    if by_level.rising:
        options["default_transform"] = pm.distributions.transforms.ordered
        # a prior's locations may be equal, which no rising thresholds are
        options["initval"] = np.linspace(-1.0, 1.0, by_level.thresholds)
    dims = (THRESHOLD_DIM,)
    if shift is None:
        return _distribution(THRESHOLD, prior, dims, **options)
    centered = _distribution(CENTERED_THRESHOLD, prior, dims, **options)
    pm.Deterministic(THRESHOLD, centered + shift, dims=dims)
    return centered


def _group_specific(
    block: Block,
    number: int,
    concentration: float,
    design: Design,
    priors: Priors,
    by_level: LevelParameters,
) -> Tensor:
    """Effects of one ``( … | g)`` (width, groups) or (width, levels - 1, groups)."""
    import pymc as pm
    import pytensor.tensor as pt

    groups, shape = len(design.factors[block.factor].groups), by_level.shape
    sds, standard = [], []
    for term in block.terms:
        name, dims = block.variable(term), effect_dims(block, term, by_level)
        sd = _distribution(f"{name}_sigma", priors.sd[name], dims[:-1], by_level)
        offset = pm.Normal(f"{name}_offset", 0.0, 1.0, dims=dims)
        sds.append(sd.reshape((term.width, *shape)))
        standard.append(offset.reshape((term.width, *shape, groups)))
    sd, z = pt.concatenate(sds), pt.concatenate(standard)
    if block.correlated:
        factor = _cholesky(block, number, concentration, by_level)
        z = pt.stack([
            sum(factor[i][k][..., None] * z[k] for k in range(i + 1)) for i in range(block.width)
        ])  # fmt: skip
    effects = sd[..., None] * z
    _name_effects(block, effects, by_level)
    return effects


def _contribution(block: Block, effects: Tensor, observed: Observed) -> Tensor:
    """What one ``( … | g)`` adds to the linear predictor (m,) or (m, levels - 1)."""
    index = observed.rows.groups[block.factor]
    columns = observed.rows.effects(block)
    return sum(_times(columns[:, k], effects[k][..., index]) for k in range(block.width)).T


def _times(column: NDArray[np.float64], effects: Tensor) -> Tensor:
    return effects if (column == 1.0).all() else column * effects


def _name_effects(block: Block, effects: Tensor, by_level: LevelParameters) -> None:
    import pymc as pm

    start = 0
    for term in block.terms:
        own = effects[start : start + term.width]
        start += term.width
        own = own[0] if term.levels is None else own
        pm.Deterministic(block.variable(term), own, dims=effect_dims(block, term, by_level))


def _cholesky(
    block: Block, number: int, concentration: float, by_level: LevelParameters
) -> list[list[Tensor]]:
    """Cholesky factor of an LKJ correlation matrix, element by element () or (levels - 1,).

    The partial correlation of effects i and j < i, given the effects before j, is 2 b - 1 with
    b ~ Beta(a, a), a = concentration + (width - 2 - j) / 2.
    """
    import pymc as pm
    import pytensor.tensor as pt

    width = block.width
    pairs = [(i, j) for i in range(width) for j in range(i)]
    shape = np.array([concentration + (width - 2 - j) / 2 for _, j in pairs])
    shape = shape.reshape(-1, *(1 for _ in by_level.dims))
    name, size = correlation_name(block.factor, number), (len(pairs), *by_level.shape)
    partial = 2.0 * pm.Beta(f"{name}_partial", shape, shape, shape=size) - 1.0
    of_pair = {pair: partial[p] for p, pair in enumerate(pairs)}
    factor: list[list[Tensor]] = []
    for i in range(width):
        remaining, row = pt.ones(by_level.shape), []
        for j in range(i):
            row.append(of_pair[i, j] * pt.sqrt(remaining))
            remaining = remaining * (1.0 - of_pair[i, j] ** 2)
        factor.append([*row, pt.sqrt(remaining)])
    correlations = [sum(factor[i][k] * factor[j][k] for k in range(j + 1)) for i, j in pairs]
    dims = (correlation_dim(block, number), *by_level.dims)
    pm.Deterministic(name, pt.stack(correlations), dims=dims)
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
    low = pt.minimum(z, -1.0)  # erfcx overflows where it isn't needed, and spoils the gradient
    return pt.switch(
        pt.lt(z, -1.0), pt.log(0.5 * pt.erfcx(-low)) - low**2, pt.log1p(-0.5 * pt.erfc(z))
    )


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


def _categorical(eta: Tensor, link: Link, observed: Observed) -> None:
    import pytensor.tensor as pt

    reference = np.zeros((len(observed.rows), 1))
    log_p = pt.special.log_softmax(pt.concatenate([reference, eta], axis=1), axis=1)
    _at_levels(log_p, observed)


def _cumulative(eta: Tensor, link: Link, observed: Observed, threshold: Tensor) -> None:
    import pytensor.tensor as pt

    z, tails = threshold - pt.shape_padright(eta), _LOG_TAILS[link]
    log_p = [tails.lower(z[:, :1]), tails.upper(z[:, -1:])]
    if observed.y.shape[1] > 2:
        log_p.insert(1, tails.between(z[:, :-1], threshold[1:] - threshold[:-1]))
    _at_levels(pt.concatenate(log_p, axis=1), observed)


def _stopping_ratio(eta: Tensor, link: Link, observed: Observed, threshold: Tensor) -> None:
    import pytensor.tensor as pt

    z, tails = threshold - pt.shape_padright(eta), _LOG_TAILS[link]
    stop = pt.concatenate([tails.lower(z), np.zeros((len(observed.rows), 1))], axis=1)
    further = pt.concatenate(
        [np.zeros((len(observed.rows), 1)), pt.cumsum(tails.upper(z), axis=1)], axis=1
    )
    _at_levels(stop + further, observed)


def _at_levels(log_p: Tensor, observed: Observed) -> None:
    """Add the log probability of everyone's level; log_p is (m, levels)."""
    import pymc as pm

    pm.Potential(observed.name, (observed.y * log_p).sum())


@dataclass(frozen=True)
class _LogTails:
    """Logarithms of a link's inverse F, exact in both tails.

    Parameters
    ----------
    lower, upper
        log F(z) and log(1 - F(z)).
    between
        log(F(z + gap) - F(z)).
    """

    lower: Callable[[Tensor], Tensor]
    upper: Callable[[Tensor], Tensor]
    between: Callable[[Tensor, Tensor], Tensor]


def _log_logistic(z: Tensor) -> Tensor:
    import pytensor.tensor as pt

    return -pt.softplus(-z)


def _between_logits(z: Tensor, gap: Tensor) -> Tensor:
    return _log_logistic(z + gap) + _log_logistic(-z) + _log_one_minus_exp(gap)


def _between_probits(z: Tensor, gap: Tensor) -> Tensor:
    import pytensor.tensor as pt

    # above the middle, the mirror image: where F is small its logarithm has all digits
    above = pt.gt(2.0 * z + gap, 0.0)
    lower = _log_normal_cdf(pt.switch(above, -z - gap, z))
    upper = _log_normal_cdf(pt.switch(above, -z, z + gap))
    return upper + _log_one_minus_exp(upper - lower)


def _log_cloglog(z: Tensor) -> Tensor:
    import pytensor.tensor as pt

    return _log_one_minus_exp(pt.exp(z))


def _between_cloglogs(z: Tensor, gap: Tensor) -> Tensor:
    import pytensor.tensor as pt

    rate = pt.exp(z)
    return _log_one_minus_exp(rate * pt.expm1(gap)) - rate


def _log_one_minus_exp(x: Tensor) -> Tensor:
    """log(1 - exp(-x))."""
    import pytensor.tensor as pt

    return pt.log(-pt.expm1(-x))


def _minus_exp(z: Tensor) -> Tensor:
    import pytensor.tensor as pt

    return -pt.exp(z)


_LOG_TAILS: Mapping[Link, _LogTails] = {
    "logit": _LogTails(_log_logistic, lambda z: _log_logistic(-z), _between_logits),
    "probit": _LogTails(_log_normal_cdf, lambda z: _log_normal_cdf(-z), _between_probits),
    "cloglog": _LogTails(_log_cloglog, _minus_exp, _between_cloglogs),
}
_LIKELIHOODS: Mapping[str, Callable[..., None]] = {
    "bernoulli": _successes,
    "binomial": _successes,
    "poisson": _poisson,
    "gaussian": _gaussian,
    "negativebinomial": _negativebinomial,
    "categorical": _categorical,
    "cumulative": _cumulative,
    "sratio": _stopping_ratio,
}
