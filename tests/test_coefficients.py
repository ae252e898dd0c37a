"""Draws of the coefficients: read by name and label, and drawn for groups that the survey lacks."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import mrp
from mrp import coefficients
from mrp.coefficients import read, with_new_groups
from mrp.errors import DataError, FitError
from mrp.testing import fake_draws, fake_fit
from tests.cases import AGE, CASES, FRAME, STATES, SURVEY, permuted
from tests.messages import raises

FORMULA = "y ~ age + (1 + gender | state)"
NEW_LEVELS = ["gaussian", "uncertainty", "old_levels"]


@cache
def model(formula=FORMULA):
    return mrp.Model(formula, SURVEY, family="bernoulli")


def draws(formula=FORMULA, **options):
    return fake_draws(model(formula).design, **{"chains": 2, "draws": 3, **options})


def new_rows(design, *states):
    """Design rows of people who live in these states, one each."""
    return design.rows(FRAME[: len(states)].assign(state=list(states)))


def ways(rows, way):
    """The same way for every new group."""
    return {factor: (way,) * len(groups) for factor, groups in rows.new_groups.items()}


def new_effects(formula, dataset, new_levels, states=("ZZ",), seed=1):
    """Effects (width, new groups, draws) of each block."""
    design = model(formula).design
    own = read(design, dataset)
    rows = new_rows(design, *states)
    found = with_new_groups(own, design, rows, dataset, ways=ways(rows, new_levels), seed=seed)
    for before, after in zip(own.effects, found.effects, strict=True):
        np.testing.assert_array_equal(after[:, : before.shape[1]], before)
    return [
        after[:, before.shape[1] :]
        for before, after in zip(own.effects, found.effects, strict=True)
    ]


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_draws_are_matched_by_label_whatever_their_order(name):
    design, dataset = CASES[name].model.design, CASES[name].draws
    expected, found = read(design, dataset), read(design, permuted(dataset))
    np.testing.assert_array_equal(found.population, expected.population)
    for left, right in zip(found.effects, expected.effects, strict=True):
        np.testing.assert_array_equal(left, right)


def test_population_and_effects_are_in_the_designs_order_chain_by_chain():
    dataset = draws()
    found = read(model().design, dataset)
    assert (found.chains, found.draws, found.size) == (2, 3, 6)
    flat = dataset.stack(sample=["chain", "draw"])
    np.testing.assert_array_equal(found.population[0], flat["Intercept"])
    np.testing.assert_array_equal(found.population[2], flat["age"].sel(age_dim="old"))
    (states,) = found.effects
    assert states.shape == (2, 5, 6)
    np.testing.assert_array_equal(states[0, 3], flat["1|state"].sel(state__factor_dim="TX"))
    np.testing.assert_array_equal(
        states[1, 1], flat["gender|state"].sel(state__factor_dim="CA", gender__expr_dim="Woman")
    )


def test_draws_without_labels_are_matched_by_position():
    dataset = draws()
    bare = dataset.drop_vars([name for name in dataset.coords if name not in ("chain", "draw")])
    np.testing.assert_array_equal(
        read(model().design, bare).population, read(model().design, dataset).population
    )


def test_labels_that_are_numbers_match_levels_that_are_numbers():
    formula = "y ~ (1 | district)"
    dataset = draws(formula).assign_coords(district__factor_dim=[1, 2, 3])
    expected = read(model(formula).design, draws(formula))
    np.testing.assert_array_equal(
        read(model(formula).design, dataset).effects[0], expected.effects[0]
    )


def test_labels_and_variables_that_the_model_lacks_are_ignored():
    dataset = draws()
    more = dataset.reindex(age_dim=["young", *AGE[1:], "ancient"], fill_value=9.0)
    more = more.assign(deviance=("draw", np.zeros(3)))
    np.testing.assert_array_equal(
        read(model().design, more).population, read(model().design, dataset).population
    )


@pytest.mark.parametrize("dim", ["chain", "draw"])
def test_chain_and_draw_are_needed(dim):
    dataset = draws().isel({dim: 0}, drop=True)
    available = [name for name in ("chain", "draw") if name != dim]
    available += ["age_dim", "state__factor_dim", "gender__expr_dim", "state_cor_dim"]
    message = (
        f"`draws` must have the dims 'chain' and 'draw', lacks {dim!r}. "
        f"Available: {available!r}. Add it with `expand_dims`."
    )
    with raises(DataError, message):
        read(model().design, dataset)


def test_variable_that_is_missing_is_named_with_the_closest_one():
    message = (
        "`draws` must have a variable for every term of the formula, lacks ['age']. Available: "
        "['Intercept', 'Age', '1|state', 'gender|state', '1|state_sigma', 'gender|state_sigma', "
        "'state_cor']. Is it 'Age'? Then rename it."
    )
    with raises(DataError, message):
        read(model().design, draws().rename(age="Age"))


def test_variables_that_are_missing_are_all_named():
    dataset = draws()[["age", "1|state"]]
    message = (
        "`draws` must have a variable for every term of the formula, lacks ['Intercept', "
        "'gender|state']. Available: ['age', '1|state']."
    )
    with raises(DataError, message):
        read(model().design, dataset)


def test_dims_must_have_the_names_that_bambi_gives_them():
    message = (
        "`draws` must have the dims ['chain', 'draw', 'age_dim'] in 'age', got ['chain', 'draw', "
        "'age_level']. Rename them, or select from them."
    )
    with raises(DataError, message):
        read(model().design, draws().rename(age_dim="age_level"))


def test_variable_that_is_the_same_in_all_chains_is_refused():
    dataset = draws()
    message = (
        "`draws` must have the dims ['chain', 'draw'] in 'Intercept', got ['draw']. "
        "Rename them, or select from them."
    )
    with raises(DataError, message):
        read(model().design, dataset.assign(Intercept=dataset["Intercept"].isel(chain=0)))


def test_labels_that_are_missing_are_named():
    message = (
        "`draws` must have all labels along 'state__factor_dim' in '1|state', lacks ['VT']. "
        "Available: ['AL', 'CA', 'NY', 'TX', 'Vermont']. Relabel them with `assign_coords`."
    )
    states = [*list(STATES)[:4], "Vermont"]
    with raises(DataError, message):
        read(model().design, draws().assign_coords(state__factor_dim=states))


def test_label_that_comes_twice_is_refused():
    message = (
        "`draws` must have each label along 'age_dim' in 'age' once, got ['old'] more often. "
        "Select one of each."
    )
    with raises(DataError, message):
        read(model().design, draws().isel(age_dim=[0, 1, 1]))


def test_draws_without_labels_must_have_the_right_length():
    message = (
        "`draws` must have length 2 along 'age_dim' in 'age', got 3. "
        "Expected labels: ['middle', 'old']."
    )
    with raises(DataError, message):
        read(model().design, draws().isel(age_dim=[0, 1, 1]).drop_vars("age_dim"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_draws_that_are_not_finite_are_counted(bad):
    dataset = draws()
    dataset["1|state"][0, 1, 2:4] = bad
    message = (
        "`draws` must be finite, got 2 values in '1|state' that are not. "
        "Remove those draws, or sample again."
    )
    with raises(DataError, message):
        read(model().design, dataset)


# --- new groups: drawn from the fitted distribution -----------------------------------------------


def fixed(dataset, **values):
    """Draws in which some parameters are the same in every draw."""
    return dataset.assign({
        name: xr.broadcast(xr.DataArray(value, dims=dataset[name].dims[2:]), dataset[name])[
            0
        ].transpose(*dataset[name].dims)
        for name, value in values.items()
    })  # fmt: skip


def test_gaussian_effects_have_the_fitted_sds_and_correlations():
    formula, count = "y ~ (1 + age | state)", 20_000
    sd, cor = [0.7, 1.5, 0.2], [-0.6, 0.3, 0.4]
    dataset = fixed(
        draws(formula, chains=2, draws=count // 2),
        **{"1|state_sigma": sd[0], "age|state_sigma": sd[1:], "state_cor": cor},
    )
    (effects,) = new_effects(formula, dataset, "gaussian")
    effects = effects[:, 0]
    found = np.corrcoef(effects)[np.tril_indices(3, -1)]
    assert effects.shape == (3, count)
    assert (np.abs(effects.mean(axis=1)) < 4 * np.array(sd) / np.sqrt(count)).all()
    np.testing.assert_allclose(effects.std(axis=1), sd, rtol=4 / np.sqrt(2 * count))
    np.testing.assert_allclose(found, cor, atol=4 / np.sqrt(count))


def test_gaussian_effects_use_each_draws_own_distribution():
    dataset = draws(draws=500)
    sd = np.tile([0.1, 10.0], (2, 250))
    dataset["1|state_sigma"] = (("chain", "draw"), sd)
    (effects,) = new_effects(FORMULA, dataset, "gaussian")
    small, large = effects[0, 0, 0::2], effects[0, 0, 1::2]
    assert 0.08 < small.std() < 0.12
    assert 8 < large.std() < 12


@pytest.mark.parametrize("cor", [1.0, -1.0])
def test_correlation_of_one_gives_effects_in_proportion(cor):
    sds = {"1|state_sigma": 0.5, "gender|state_sigma": [2.0]}
    dataset = fixed(draws(), **sds, state_cor=[cor])
    (effects,) = new_effects(FORMULA, dataset, "gaussian", states=["YY", "ZZ"])
    assert np.abs(effects[0]).max() > 0
    np.testing.assert_allclose(effects[1], 4.0 * cor * effects[0], rtol=1e-6)


def test_effects_that_depend_on_each_other_stay_so():
    """Three effects that are directions in a plane: their correlations are a singular matrix."""
    formula = "y ~ (1 + age | state)"
    dataset = draws(formula, draws=500)
    a, b = np.random.default_rng(1).uniform(0.5, 2.5, (2, 2, 500))
    pairs = np.stack([np.cos(a), np.cos(b), np.cos(a - b)], axis=-1)
    sds = {"1|state_sigma": 1.0, "age|state_sigma": [1.0, 1.0]}
    dataset = fixed(dataset, **sds).assign(state_cor=(("chain", "draw", "state_cor_dim"), pairs))
    (effects,) = new_effects(formula, dataset, "gaussian")
    first, second, third = effects[:, 0]
    a, b = a.ravel(), b.ravel()
    across = (second - np.cos(a) * first) / np.sin(a)
    np.testing.assert_allclose(third, np.cos(b) * first + np.sin(b) * across, atol=1e-6)


def test_sd_of_zero_gives_no_effect():
    dataset = fixed(draws(), **{"1|state_sigma": 0.0})
    (effects,) = new_effects(FORMULA, dataset, "gaussian")
    np.testing.assert_array_equal(effects[0], 0.0)
    assert np.abs(effects[1]).min() > 0


def test_independent_effects_are_drawn_independently():
    formula, count = "y ~ (1 + x || state)", 20_000
    dataset = draws(formula, draws=count // 2)
    assert "state_cor" not in dataset
    (effects,) = new_effects(formula, dataset, "gaussian")
    standard = effects[:, 0] / np.stack(
        [dataset[f"{name}|state_sigma"].values.ravel() for name in ("1", "x")]
    )
    np.testing.assert_allclose(standard.std(axis=1), 1.0, rtol=4 / np.sqrt(2 * count))
    assert abs(np.corrcoef(standard)[0, 1]) < 4 / np.sqrt(count)


def test_blocks_of_one_factor_have_effects_of_their_own():
    first, second = new_effects("y ~ (1 | state) + (0 + x | state)", draws_of_two(), "gaussian")
    assert abs(np.corrcoef(first[0, 0], second[0, 0])[0, 1]) < 0.9


def draws_of_two():
    return draws("y ~ (1 | state) + (0 + x | state)", draws=50)


def test_second_correlated_block_of_a_factor_has_correlations_of_its_own():
    formula = "y ~ (0 + age | state) + (0 + x + military | state)"
    dataset = draws(formula)
    sds = {"x|state_sigma": 1.0, "military|state_sigma": 1.0}
    dataset = fixed(dataset, **sds, state_cor=[0.0, 0.0, 0.0], state_cor_2=[1.0])
    _, effects = new_effects(formula, dataset, "gaussian")
    np.testing.assert_allclose(effects[0], effects[1], rtol=1e-6)


def test_sds_and_correlations_are_matched_by_label():
    formula = "y ~ (1 + age | state)"
    dataset = draws(formula)
    for seed in range(3):
        found = new_effects(formula, permuted(dataset, seed), "gaussian")
        np.testing.assert_array_equal(found[0], new_effects(formula, dataset, "gaussian")[0])


def test_one_sd_or_correlation_needs_no_dim():
    dataset = draws()
    bare = dataset.assign(
        state_cor=dataset["state_cor"].isel(state_cor_dim=0, drop=True),
        **{"gender|state_sigma": dataset["gender|state_sigma"].isel(gender__expr_dim=0, drop=True)},
    )
    found = new_effects(FORMULA, bare, "gaussian")
    np.testing.assert_array_equal(found[0], new_effects(FORMULA, dataset, "gaussian")[0])


@pytest.mark.parametrize("lacking", ["gender|state_sigma", "state_cor"])
def test_gaussian_needs_draws_of_the_sds_and_correlations(lacking):
    names = ["Intercept", "age", "1|state", "gender|state", "1|state_sigma", "gender|state_sigma"]
    kept = [name for name in names if name != lacking]
    message = (
        f"`new_levels='gaussian'` needs draws of {lacking!r}, which this fit lacks. Available: "
        f"{kept!r}. Use new_levels='uncertainty', which needs only the groups' effects."
    )
    with raises(FitError, message):
        new_effects(FORMULA, draws()[kept], "gaussian")


def test_sds_that_are_not_finite_are_refused():
    dataset = draws()
    dataset["1|state_sigma"][0, 0] = np.nan
    message = (
        "`draws` must be finite, got 1 values in '1|state_sigma' that are not. "
        "Remove those draws, or sample again."
    )
    with raises(DataError, message):
        new_effects(FORMULA, dataset, "gaussian")


TWO_BRACKETS = {
    "y ~ (1 | state) + (0 + x | state)": ["1|state_sigma", "x|state_sigma"],
    "y ~ (1 + x || state)": ["1|state_sigma", "x|state_sigma"],
    "y ~ (1 | state) + (0 + x | state) + (0 + military | state)": [
        "1|state_sigma",
        "x|state_sigma",
        "military|state_sigma",
    ],
    "y ~ (1 | state) + (1 | region)": ["1|state_sigma", "1|region_sigma"],
}
"""Formulas whose blocks are independent of each other, and the sd's of their effects."""


def assert_independent(*columns):
    """Draws whose correlations are those of independent numbers."""
    limit = 4 / np.sqrt(len(columns[0]))
    found = np.corrcoef(columns)
    assert np.abs(found - np.eye(len(columns))).max() < limit


@pytest.mark.parametrize("formula", TWO_BRACKETS)
def test_effects_of_a_new_group_in_different_brackets_are_independent(formula):
    dataset = draws(formula, chains=1, draws=4000)
    dataset = fixed(dataset, **dict.fromkeys(TWO_BRACKETS[formula], 1.0))
    design = model(formula).design
    rows = design.rows(FRAME[:1].assign(state="same", region="same"))
    made = read(design, dataset)
    found = with_new_groups(made, design, rows, dataset, ways=ways(rows, "gaussian"), seed=1)
    effects = np.concatenate([block[:, -1] for block in found.effects])
    np.testing.assert_allclose(effects.std(axis=1), 1.0, rtol=4 / np.sqrt(2 * 4000))
    assert_independent(*effects)


def test_effects_of_different_groups_and_seeds_are_independent():
    dataset = fixed(draws("y ~ (1 | state)", chains=1, draws=4000), **{"1|state_sigma": 1.0})
    found = [
        new_effects("y ~ (1 | state)", dataset, "gaussian", ["YY", "ZZ"], seed)[0][0]
        for seed in (1, 2)
    ]
    assert_independent(*np.concatenate(found))


def test_effects_of_a_new_group_on_different_levels_of_the_outcome_are_independent():
    dataset = fixed(
        draws_of_levels("categorical", chains=1, draws=4000),
        **{"1|state_sigma": [1.0] * 2, "gender|state_sigma": [[1.0] * 2], "state_cor": [[0.0] * 2]},
    )
    effects = new_effects_of_levels(dataset, "gaussian")  # (width, 1, levels, draws)
    assert_independent(*effects.reshape(4, 4000))


# --- new groups: picked among the survey's --------------------------------------------------------

SEVERAL = "y ~ (1 + gender | state) + (0 + x | state) + (1 | region)"


def marked(formula, count):
    """Draws whose effects say of which group, effect and draw they are."""
    dataset = draws(formula, chains=1, draws=count)
    for e, (name, array) in enumerate(dataset.data_vars.items()):
        if "|" in name and not name.endswith("_sigma"):
            groups = np.arange(array.sizes[array.dims[-1]])
            values = 1000.0 * np.arange(count).reshape(1, -1, *[1] * (array.ndim - 2))
            dataset[name] = (array.dims, np.broadcast_to(values + 10 * e + groups, array.shape))
    return dataset


def test_uncertainty_gives_each_draw_all_effects_of_one_survey_group():
    count = 2000
    effects = new_effects(SEVERAL, marked(SEVERAL, count), "uncertainty", ["YY", "ZZ"])
    of_state = np.concatenate(effects[:2])
    group, draw = of_state % 10, of_state // 1000
    assert (group == group[0]).all()  # intercept, gender and x come from the same state
    np.testing.assert_array_equal(draw, np.broadcast_to(np.arange(count), draw.shape))
    for new in range(2):
        counts = np.bincount(group[0, new].astype(int), minlength=5)
        np.testing.assert_allclose(counts, count / 5, atol=5 * np.sqrt(count * 0.2 * 0.8))
    assert (group[0, 0] != group[0, 1]).mean() == pytest.approx(0.8, abs=0.05)


def test_old_levels_gives_all_draws_the_effects_of_one_survey_group():
    states = [f"new {k}" for k in range(40)]
    effects = new_effects(SEVERAL, marked(SEVERAL, 30), "old_levels", states)
    of_state = np.concatenate(effects[:2])
    group, draw = of_state % 10, of_state // 1000
    assert (group == group[:1, :, :1]).all()
    np.testing.assert_array_equal(draw, np.broadcast_to(np.arange(30), draw.shape))
    assert set(group[0, :, 0]) == set(range(5))  # not one survey group for all new ones


def test_other_factors_are_left_alone():
    *_, region = new_effects(SEVERAL, marked(SEVERAL, 3), "uncertainty")
    assert region.shape == (1, 0, 3)


# --- new groups: in any way -----------------------------------------------------------------------


@cache
def fit():
    return fake_fit(SEVERAL + " + age", SURVEY, family="bernoulli", draws=10)


def people(*states):
    """The same person in several states."""
    rows = FRAME.iloc[[0] * len(states)]
    return rows.assign(state=list(states))


def predicted(data, **options):
    return mrp.predictions(fit(), newdata=data, type="link", **options).draws.values


def named(data, way):
    """A way for the states of some rows that the survey lacks."""
    return {"state": dict.fromkeys(sorted({*data["state"]} - {*SURVEY["state"]}), way)}


@pytest.mark.parametrize("new_levels", NEW_LEVELS)
def test_rows_of_one_new_group_share_its_effects(new_levels):
    values = predicted(people("ZZ", "AL", "ZZ"), new_levels=new_levels, seed=1)
    np.testing.assert_array_equal(values[..., 0], values[..., 2])
    assert (values[..., 0] != values[..., 1]).any()


@pytest.mark.parametrize("new_levels", NEW_LEVELS)
def test_different_new_groups_differ(new_levels):
    data = people(*"PQRSTUVWXYZ")
    values = predicted(data, new_levels=named(data, new_levels), seed=1)
    distinct = np.unique(values.reshape(-1, 11), axis=1).shape[1]
    assert distinct == 11 if new_levels != "old_levels" else 1 < distinct <= 5


@pytest.mark.parametrize("new_levels", NEW_LEVELS)
def test_new_groups_leave_the_surveys_groups_alone(new_levels):
    values = predicted(people("ZZ", "AL"), new_levels=new_levels, seed=1)
    np.testing.assert_array_equal(values[..., [1]], predicted(people("AL")))


@pytest.mark.parametrize("new_levels", NEW_LEVELS)
def test_same_seed_draws_the_same_and_another_seed_does_not(new_levels):
    data = people(*"PQRSTUVWXYZ")
    new = named(data, new_levels)
    first, again, other = (predicted(data, new_levels=new, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("new_levels", NEW_LEVELS)
def test_without_a_seed_every_call_draws_anew(new_levels):
    data = people(*"PQRSTUVWXYZ")
    first, again = (predicted(data, new_levels=named(data, new_levels)) for _ in range(2))
    assert (first != again).any()


@pytest.mark.parametrize("new_levels", NEW_LEVELS)
def test_effects_of_a_new_group_do_not_depend_on_the_other_rows(new_levels):
    alone = predicted(people("MM"), new_levels=new_levels, seed=3)
    others = predicted(people("AA", "MM", "ZZ", "AL"), new_levels=new_levels, seed=3)
    np.testing.assert_allclose(others[..., [1]], alone, rtol=1e-12)


@pytest.mark.parametrize("seed", [None, 4])
@pytest.mark.parametrize("new_levels", NEW_LEVELS)
def test_both_sides_of_a_contrast_share_the_effects_of_a_new_group(new_levels, seed):
    options = {"newdata": people("ZZ"), "type": "link", "new_levels": new_levels, "seed": seed}
    found = mrp.comparisons(fit(), variables={"age": ["young", "old"]}, **options)
    slope = fit().parameters["age"].sel(age_dim="old")
    np.testing.assert_allclose(found.draws.isel(estimate=0), slope, atol=1e-12)


def test_contrast_between_new_groups_of_a_crossed_factor_is_between_different_effects():
    crossed = fake_fit("y ~ (1 | gender:state)", SURVEY, family="bernoulli")
    found = mrp.comparisons(
        crossed,
        variables="gender",
        newdata=people("ZZ"),
        type="link",
        new_levels="gaussian",
        seed=1,
    )
    assert np.abs(found.draws.values).min() > 0


def test_contrast_of_one_factor_shares_the_new_groups_of_another():
    two = fake_fit("y ~ (1 | state) + (1 | district)", SURVEY, family="bernoulli")
    data = people("ZZ").assign(district=77)
    found = mrp.comparisons(
        two,
        variables={"state": ["AL", "TX"]},
        newdata=data,
        type="link",
        new_levels="gaussian",
        seed=1,
    )
    effects = two.parameters["1|state"]
    expected = effects.sel(state__factor_dim="TX") - effects.sel(state__factor_dim="AL")
    np.testing.assert_allclose(found.draws.isel(estimate=0), expected, atol=1e-12)


def test_new_district_of_a_known_state_keeps_the_states_effects():
    nested = fake_fit("y ~ (1 | state / district)", SURVEY, family="bernoulli")
    data = people("AL").assign(district=9)
    found = mrp.predictions(
        nested, newdata=data, type="link", new_levels="old_levels", seed=1
    ).draws.isel(estimate=0)
    parameters = nested.parameters
    rest = found - parameters["Intercept"] - parameters["1|state"].sel(state__factor_dim="AL")
    distance = np.abs(parameters["1|state:district"] - rest).max(["chain", "draw"])
    assert int((distance < 1e-12).sum()) == 1


# --- outcomes with levels -------------------------------------------------------------------------

LEVELS = ["left", "centre", "right"]
SURVEY_OF_LEVELS = SURVEY.assign(
    vote=pd.Categorical([LEVELS[k % 3] for k in range(len(SURVEY))], sorted(LEVELS), ordered=True)
)


@cache
def model_of_levels(family, formula="vote ~ age + (1 + gender | state)"):
    return mrp.Model(formula, SURVEY_OF_LEVELS, family=family)


def draws_of_levels(family, **options):
    made = model_of_levels(family)
    return fake_draws(made.design, by_level=made.by_level, **{"chains": 2, "draws": 3, **options})


def read_levels(family, dataset):
    made = model_of_levels(family)
    return read(made.design, dataset, made.by_level)


def test_levels_vary_slowest_and_draws_within_them():
    dataset = draws_of_levels("categorical")
    found = read_levels("categorical", dataset)
    assert (found.chains, found.draws, found.size) == (2, 3, 6)
    assert (found.predictors, found.columns, found.thresholds) == (2, 12, None)
    assert found.population.shape == (3, 12)
    (states,) = found.effects
    assert states.shape == (2, 5, 12)
    flat = dataset.stack(sample=["chain", "draw"])
    # "centre" is the reference
    for k, level in enumerate(["left", "right"]):
        own = flat.sel(vote_reduced_dim=level)
        columns = slice(6 * k, 6 * k + 6)
        np.testing.assert_array_equal(found.population[0, columns], own["Intercept"])
        np.testing.assert_array_equal(found.population[2, columns], own["age"].sel(age_dim="old"))
        np.testing.assert_array_equal(
            states[0, 3, columns], own["1|state"].sel(state__factor_dim="TX")
        )
        np.testing.assert_array_equal(
            states[1, 1, columns],
            own["gender|state"].sel(state__factor_dim="CA", gender__expr_dim="Woman"),
        )


@pytest.mark.parametrize("family", ["cumulative", "sratio"])
def test_thresholds_are_read_beside_the_coefficients(family):
    dataset = draws_of_levels(family)
    found = read_levels(family, dataset)
    assert (found.predictors, found.columns, found.size) == (1, 6, 6)
    assert found.population.shape == (2, 6)
    flat = dataset["threshold"].stack(sample=["chain", "draw"])
    np.testing.assert_array_equal(found.thresholds, flat.transpose("threshold_dim", "sample"))


@pytest.mark.parametrize("family", ["categorical", "cumulative", "sratio"])
def test_draws_of_levels_are_matched_by_label_whatever_their_order(family):
    dataset = draws_of_levels(family)
    expected, found = (read_levels(family, d) for d in (dataset, permuted(dataset)))
    np.testing.assert_array_equal(found.population, expected.population)
    np.testing.assert_array_equal(found.effects[0], expected.effects[0])
    if family != "categorical":
        np.testing.assert_array_equal(found.thresholds, expected.thresholds)


def test_every_coefficient_of_a_categorical_outcome_needs_the_dim_of_levels():
    dataset = draws_of_levels("categorical").isel(vote_reduced_dim=0, drop=True)
    message = (
        "`draws` must have the dims ['chain', 'draw', 'vote_reduced_dim'] in 'Intercept', got "
        "['chain', 'draw']. Rename them, or select from them."
    )
    with raises(DataError, message):
        read_levels("categorical", dataset)


@pytest.mark.parametrize("family", ["cumulative", "sratio"])
def test_ordered_levels_need_draws_of_the_thresholds(family):
    message = (
        "`draws` must have a variable for every term of the formula, lacks ['threshold']. "
        "Available: ['age', '1|state']."
    )
    made = model_of_levels(family, "vote ~ age + (1 | state)")
    with raises(DataError, message):
        read(made.design, draws_of_levels(family)[["age", "1|state"]], made.by_level)


def test_cumulative_thresholds_must_rise():
    dataset = draws_of_levels("cumulative")
    dataset["threshold"][0, 1] = [1.0, 0.5]
    message = (
        "`draws` must have thresholds that rise in 'threshold', got 1 draws in which they fall. "
        "Sort them along 'threshold_dim' by the order of levels."
    )
    with raises(DataError, message):
        read_levels("cumulative", dataset)
    assert read_levels("sratio", dataset).thresholds is not None


def new_effects_of_levels(dataset, new_levels, states=("ZZ",), seed=1):
    """Effects (width, new groups, levels, draws) of the one block."""
    made = model_of_levels("categorical")
    own = read(made.design, dataset, made.by_level)
    rows = new_rows(made.design, *states)
    found = with_new_groups(own, made.design, rows, dataset, ways=ways(rows, new_levels), seed=seed)
    (before,), (after,) = own.effects, found.effects
    np.testing.assert_array_equal(after[:, : before.shape[1]], before)
    return after[:, before.shape[1] :].reshape(2, len(states), 2, own.size)


def test_gaussian_effects_of_each_level_have_its_own_sds_and_correlations():
    count = 20_000
    dataset = fixed(
        draws_of_levels("categorical", draws=count // 2),
        **{
            "1|state_sigma": [0.5, 2.0],
            "gender|state_sigma": [[1.0, 0.1]],
            "state_cor": [[-0.7, 0.4]],
        },
    )
    effects = new_effects_of_levels(dataset, "gaussian", ["YY", "ZZ"])
    for level, (sd, cor) in enumerate([((0.5, 1.0), -0.7), ((2.0, 0.1), 0.4)]):
        for new in range(2):
            own = effects[:, new, level]
            np.testing.assert_allclose(own.std(axis=1), sd, rtol=4 / np.sqrt(2 * count))
            found = np.corrcoef(own)[0, 1]
            np.testing.assert_allclose(found, cor, atol=4 / np.sqrt(count))
    across = np.corrcoef(effects[:, 0].reshape(4, -1))
    assert abs(across[[0, 1], [3, 2]]).max() < 4 / np.sqrt(count)
    assert abs(np.corrcoef(effects[0, :, 0])[0, 1]) < 4 / np.sqrt(count)


@pytest.mark.parametrize("new_levels", ["uncertainty", "old_levels"])
def test_new_groups_have_the_effects_of_one_survey_group_at_all_levels(new_levels):
    count, states = 200, [f"new {k}" for k in range(40)]
    dataset = draws_of_levels("categorical", chains=1, draws=count)
    design = model_of_levels("categorical").design
    own = read_levels("categorical", dataset).effects[0].reshape(2, 5, 2, count)
    effects = new_effects_of_levels(dataset, new_levels, states)
    # which survey group every number came from: (width, new, levels, draws)
    same = effects[:, :, None] == own[:, None]
    assert (same.sum(axis=2) == 1).all()
    group = same.argmax(axis=2)
    assert (group == group[:1, :, :1]).all()
    for_all_draws = (group == group[..., :1]).all()
    assert for_all_draws == (new_levels == "old_levels")
    assert set(group[0, :, 0, 0]) == set(range(len(design.factors["state"].groups)))


def test_gaussian_effects_of_two_levels_need_no_dim_of_one_effect():
    dataset = draws_of_levels("categorical")
    bare = dataset.assign(
        state_cor=dataset["state_cor"].isel(state_cor_dim=0, drop=True),
        **{"gender|state_sigma": dataset["gender|state_sigma"].isel(gender__expr_dim=0, drop=True)},
    )
    np.testing.assert_array_equal(
        new_effects_of_levels(bare, "gaussian"), new_effects_of_levels(dataset, "gaussian")
    )


@pytest.mark.parametrize("family", ["cumulative", "sratio"])
@pytest.mark.parametrize("new_levels", NEW_LEVELS)
def test_new_groups_leave_the_thresholds_alone(family, new_levels):
    made, dataset = model_of_levels(family), draws_of_levels(family)
    own = read_levels(family, dataset)
    rows = new_rows(made.design, "ZZ")
    drawn = ways(rows, new_levels)
    found = with_new_groups(own, made.design, rows, dataset, ways=drawn, seed=1)
    assert found.effects[0].shape == (2, 6, 6)
    np.testing.assert_array_equal(found.thresholds, own.thresholds)
    # the draws of new groups are those of an outcome without levels
    plain = model("y ~ age + (1 + gender | state)")
    same = dataset.drop_vars("threshold").assign(
        Intercept=dataset["age"].isel(age_dim=0, drop=True)
    )
    other = with_new_groups(read(plain.design, same), plain.design, rows, same, ways=drawn, seed=1)
    np.testing.assert_array_equal(found.effects[0], other.effects[0])


# --- names ----------------------------------------------------------------------------------------


def test_names_of_correlations_are_numbered_by_block_and_labelled_by_pair():
    formula = "y ~ (1 + age | state) + (0 + x + military | state) + (1 + x | region)"
    design = model(formula).design
    numbers = [coefficients.number_of(design, b) for b in range(3)]
    assert numbers == [0, 1, 0]
    assert [coefficients.correlation_name("state", n) for n in numbers[:2]] == [
        "state_cor",
        "state_cor_2",
    ]
    assert coefficients.correlation_labels(design.blocks[0]) == [
        "Intercept, age[middle]",
        "Intercept, age[old]",
        "age[middle], age[old]",
    ]
