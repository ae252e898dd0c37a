"""The geometry that models are sampled in: every part of it counts."""

from dataclasses import replace

import numpy as np
import nutpie
import pandas as pd
import pytest
from arviz_stats.base import array_stats
from scipy.optimize import brentq
from threadpoolctl import threadpool_limits

import mrp
from mrp.model.kernel import geometry, layout
from mrp.model.kernel.run import NAME, compiled

CROSSED = "y ~ male + share + (1 | state) + (1 | age) + (1 | race) + (1 | age:race)"
CORRELATED = "y ~ male + (1 + male | state) + (1 | age) + (1 + male | race)"
ROUND, NEAR = 3.0, 0.5
"""Largest condition number of what is sampled, and distance from where it is most likely, that a
good geometry has at half and at twice the standard deviations that it was made for."""
FACTORS = (0.5, 1.0, 2.0)


@pytest.fixture(scope="module")
def survey():
    rng = np.random.default_rng(11)
    n = 1500
    state, age, race = rng.integers(40, size=n), rng.integers(6, size=n), rng.integers(5, size=n)
    male, share = rng.integers(2, size=n), rng.normal(size=40)[state]
    eta = -0.4 - 0.2 * male + 0.3 * share + 0.2 * rng.normal(size=40)[state]
    eta += 0.6 * rng.normal(size=6)[age] + 0.3 * rng.normal(size=5)[race]
    eta += 0.2 * rng.normal(size=(6, 5))[age, race]
    scores = eta + rng.logistic(size=n)
    table = {"state": state, "age": age, "race": race}
    return pd.DataFrame(
        {name: [f"{name}{k:02d}" for k in codes] for name, codes in table.items()}
        | {"male": male, "share": share, "y": (scores > 0).astype(int), "r": scores}
        | {"k": pd.cut(scores, [-np.inf, -1, 1, np.inf], labels=["a", "b", "c"])}
    )


MODELS = {
    "crossed": (CROSSED, "bernoulli"),
    "correlated": (CORRELATED, "bernoulli"),
    "measured": (CROSSED.replace("y ~", "r ~"), "gaussian"),
    "ordered": (CROSSED.replace("y ~", "k ~"), "cumulative"),
    "unordered": (CROSSED.replace("y ~", "k ~"), "categorical"),
}


def model_of(case, survey):
    formula, family = MODELS[case]
    return mrp.Model(formula, survey, family=family)


def parts_of(model):
    return model.design, model.observed, model.priors, model._family, model.link


def chosen_of(model):
    return geometry.choose(*parts_of(model), model.by_level)


def packed_of(model, chosen):
    return layout.pack(*parts_of(model), chosen, model.by_level)


def with_sds(packed, factor):
    """Where sampling starts, with standard deviations that are `factor` times those there."""
    q = packed.geometry.start.copy()
    for place, bends in zip(packed.places, packed.geometry.bends, strict=True):
        for k in range(place.width):
            own, start = bends[k : k + 1], q[place.sd + k]
            wanted = layout.log_sd(np.array([start]), own) + np.log(factor)
            q[place.sd + k] = brentq(
                lambda x, own, wanted: (layout.log_sd(np.array([x]), own) - wanted).item(),
                start - 5, start + 5, args=(own, wanted),
            )  # fmt: skip
    return q


def condition(packed, factor=1.0):
    """Condition number of coefficients and effects as they are sampled, given standard deviations.

    These are `factor` times those that sampling starts from.
    """
    q = with_sds(packed, factor)
    hyper = np.concatenate([np.arange(place.sd, place.effect) for place in packed.places])
    location = np.setdiff1d(np.arange(packed.dim), hyper)
    if packed.auxiliary is not None:
        location = np.setdiff1d(location, packed.auxiliary)
    step = 1e-5 * np.eye(packed.dim)[location]
    rows = [(packed.log_density(q + h)[1] - packed.log_density(q - h)[1]) / 2e-5 for h in step]
    curvature = np.linalg.eigvalsh(-np.array(rows)[:, location])
    return curvature[-1] / max(curvature[0], 1e-12)


def displacement(packed, factor):
    """How far from zero what is sampled has its highest density, in its own units."""
    q = with_sds(packed, factor)
    gradient = packed.log_density(q)[1]
    own = [np.arange(packed.population)]
    own += [np.arange(p.effect, p.effect + p.width * p.groups) for p in packed.places]
    return np.linalg.norm(gradient[np.concatenate(own)])


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("case", MODELS)
def test_what_is_sampled_is_about_standard_normal_whatever_the_sds_are(case, factor, survey):
    model = model_of(case, survey)
    packed = packed_of(model, chosen_of(model))
    assert condition(packed, factor) < ROUND
    assert displacement(packed, factor) < NEAR


def of_conditional(chosen, **changed):
    """The geometry with numbers of its conditional blocks multiplied."""
    blocks = {
        b: replace(own, **{name: by * getattr(own, name) for name, by in changed.items()})
        for b, own in chosen.conditional.items()
    }
    return replace(chosen, conditional=blocks)


LEFT_OUT = {
    "slopes": lambda chosen: of_conditional(chosen, slope=0),
    "information": lambda chosen: of_conditional(chosen, information=0, score=0),
    "scores": lambda chosen: of_conditional(chosen, score=0),
    "joint covariances": lambda c: replace(c, curvature=np.diag(np.diag(c.curvature))),
    "joint curvature": lambda c: replace(c, curvature=np.eye(len(c.curvature))),
    "joint score": lambda c: replace(c, score=np.zeros_like(c.score)),
    "centre": lambda c: replace(c, centre=np.zeros_like(c.centre)),
}


@pytest.mark.parametrize("part", LEFT_OUT)
@pytest.mark.parametrize("case", ["crossed", "correlated", "unordered"])
def test_no_part_of_the_geometry_can_be_left_out(case, part, survey):
    model = model_of(case, survey)
    packed = packed_of(model, LEFT_OUT[part](chosen_of(model)))
    is_round = all(condition(packed, factor) < ROUND for factor in FACTORS)
    is_near = all(displacement(packed, factor) < NEAR for factor in FACTORS)
    assert not (is_round and is_near)


def effective_per_gradient(packed):
    """Least effective number of draws of any parameter of two short chains, per gradient."""
    run = {"draws": 300, "tune": 300, "chains": 2, "seed": 4, "target_accept": 0.8}
    with threadpool_limits(limits=1, user_api="blas"):
        trace = nutpie.sample(compiled(packed), **run, progress_bar=False, save_warmup=False)
    q = trace["posterior"][NAME].to_numpy()
    coefficients = layout.coefficients_of(packed, q.reshape(-1, packed.dim))
    hyper = np.concatenate([np.arange(place.sd, place.effect) for place in packed.places])
    draws = np.concatenate([coefficients.reshape(*q.shape[:2], -1), q[:, :, hyper]], axis=2)
    least = min(
        float(array_stats.ess(draws[:, :, k], chain_axis=0, draw_axis=1))
        for k in range(draws.shape[2])
    )
    return least / float(trace["sample_stats"]["n_steps"].sum())


@pytest.mark.parametrize("case", MODELS)
def test_a_gradient_gives_four_times_the_effective_draws_of_the_plain_geometry(case, survey):
    model = model_of(case, survey)
    chosen = chosen_of(model)
    plain = layout.plain_geometry(model.design, model._family, model.by_level)
    plain = replace(plain, start=chosen.start, shift=chosen.shift)
    ours, theirs = (effective_per_gradient(packed_of(model, each)) for each in (chosen, plain))
    assert ours > 4 * theirs


def test_large_factors_are_sampled_given_the_others_where_all_are_too_many(survey, monkeypatch):
    """Their information then counts as often as there are such factors."""
    model = model_of("crossed", survey)
    whole = chosen_of(model)
    monkeypatch.setattr(geometry, "LARGEST_JOINT", 20)
    parted = chosen_of(model)
    assert (len(whole.conditional), len(parted.conditional)) == (1, 2)
    assert len(parted.centre) <= 20 < len(whole.centre)
    state = max(parted.conditional, key=lambda b: len(parted.conditional[b].information))
    information = whole.conditional[state].information
    np.testing.assert_allclose(parted.conditional[state].information, 2 * information)
    assert condition(packed_of(model, parted)) < 20
