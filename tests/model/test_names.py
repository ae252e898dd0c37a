"""The names of a model's parts: no column or level is taken for another part."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from mrp.coefficients import coordinates
from mrp.errors import DataError, FormulaError, MRPError, RequestError
from mrp.model import Model
from mrp.saved_fits import load_fit
from mrp.testing import fake_draws, fake_fit
from tests.messages import raises

N = 60
rng = np.random.default_rng(1)
SURVEY = pd.DataFrame({
    "y": rng.normal(size=N),
    "trust": rng.integers(1, 4, N),
    "vote": rng.choice(["left", "none", "right"], N),
    "x": rng.normal(size=N).round(1),
    "c": rng.choice(["a", "b", "d"], N),
    "g": rng.choice(["p", "q", "r"], N),
    "h": rng.choice(["s", "t"], N),
})  # fmt: skip
FORMULAS = {
    "gaussian": "y ~ x + c + (1 + c | g) + (0 + x || g) + (1 | g:h)",
    "negativebinomial": "trust ~ 1 + x",
    "categorical": "vote ~ x + (1 + x | g)",
    "cumulative": "trust ~ x + (1 + x | g)",
}


def own_names(family: Any) -> set[str]:
    """Names that the PyMC model has, and that draws have."""
    model = Model(FORMULAS[family], SURVEY, family=family)
    draws = fake_draws(model.design, by_level=model.by_level)
    return {*model.pymc.named_vars, *model.pymc.coords, *map(str, draws.variables)}


@pytest.mark.parametrize("family", FORMULAS)
def test_a_column_must_not_have_a_name_that_the_model_gives(family: Any):
    formula = FORMULAS[family]
    names = own_names(family) - set(SURVEY)
    assert len(names) >= 4
    for name in names - {"Intercept"}:  # which formulas can't name
        survey = SURVEY.assign(**{name: SURVEY["x"] ** 2})
        with pytest.raises(FormulaError) as error:
            Model(f"{formula} + `{name}`", survey, family=family)
        assert str(error.value).startswith(
            f"`formula` must not give two parts of the model the same name, got {name!r} for the "
            f"term {name!r} and "
        )
        assert str(error.value).endswith(". Rename the column.")


@pytest.mark.parametrize(
    ("formula", "name", "what"),
    [
        ("y ~ `1|g_sigma` + (1 | g)", "1|g_sigma", "the sd's of effects of 'Intercept' by 'g'"),
        ("y ~ `1|g` + (1 | g)", "1|g", "the effects of 'Intercept' by 'g'"),
        ("y ~ g_cor + (1 + x | g)", "g_cor", "the correlations of effects by 'g'"),
        ("y ~ chain", "chain", "the chains of draws"),
        ("y ~ draw", "draw", "the draws"),
        ("y ~ sigma", "sigma", "a parameter of the family 'gaussian'"),
        ("y ~ c + c_dim", "c_dim", "the levels of the term 'c'"),
        ("y ~ `c[b]` + c", "c[b]", "a coefficient of the term 'c'"),
        ("y ~ g__factor_dim + (1 | g)", "g__factor_dim", "the groups of 'g'"),
        (
            "y ~ Intercept_centered",
            "Intercept_centered",
            "the intercept at the means of all predictors",
        ),
    ],
)
def test_the_message_says_what_has_the_name(formula: str, name: str, what: str):
    message = (
        f"`formula` must not give two parts of the model the same name, got {name!r} for the term "
        f"{name!r} and {what}. Rename the column."
    )
    with raises(FormulaError, message):
        Model(formula, SURVEY.assign(**{name: SURVEY["x"]}))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (
            "y ~ (1 | g) + (1 | g_sigma)",
            "got '1|g_sigma' for the sd's of effects of 'Intercept' by 'g' and the effects of "
            "'Intercept' by 'g_sigma'",
        ),
        (
            "y ~ (1 + c + `c[b]` | g)",
            "got 'c[b]|g' for some of the effects of 'c' by 'g' and the effects of 'c[b]' by 'g'",
        ),
        (
            "y ~ g__factor + (1 | g)",
            "got 'g__factor_dim' for the levels of the term 'g__factor' and the groups of 'g'",
        ),
    ],
)
def test_parts_besides_terms_must_have_different_names(formula: str, message: str):
    survey = SURVEY.assign(g_sigma=SURVEY["h"], g__factor=SURVEY["c"], **{"c[b]": SURVEY["x"]})
    rule = "`formula` must not give two parts of the model the same name"
    with raises(FormulaError, f"{rule}, {message}. Rename the column."):
        Model(formula, survey)


@pytest.mark.parametrize("name", [".", "x\0y"])
def test_names_must_be_ones_that_a_file_can_hold(name: str):
    message = (
        f"`formula` must give names that a file can hold, got {name!r} for the term {name!r}. "
        f"Rename the column."
    )
    with raises(FormulaError, message):
        Model(f"y ~ `{name}`", SURVEY.assign(**{name: SURVEY["x"]}))


@pytest.mark.parametrize("formula", ["y ~ k", "y ~ (1 | k:g)", "k ~ x"])
def test_levels_must_be_ones_that_a_file_can_hold(formula: str):
    survey = SURVEY.assign(k=np.resize(["a", "b\0c", "d"], N))
    message = (
        "`data` must have levels of 'k' that a file can hold, got 'b\\x00c'. Rename the level."
    )
    with raises(DataError, message):
        Model(formula, survey, family="categorical" if formula.startswith("k") else "gaussian")


STRANGE = [
    "..",
    "a.b",
    " x",
    "a\nb",
    "é",
    "a/b",
    "//",
    "1",
    "NaN",
    "mrp",
    "posterior",
    "a\\b",
    "a|b",
]


def test_a_fit_of_strange_names_and_levels_is_saved(tmp_path: Path):
    levels = np.resize(STRANGE, N)
    numbers = {name: np.roll(SURVEY["x"], k) for k, name in enumerate(STRANGE)}
    groups = {f"{name} {name}": np.roll(levels, k) for k, name in enumerate(STRANGE)}
    survey = SURVEY.assign(c=levels, **numbers, **groups)
    terms = [f"`{name}`" for name in numbers] + [f"(1 | `{name}`)" for name in groups]
    fit = fake_fit(f"vote ~ c + {' + '.join(terms)}", survey, family="categorical", draws=2)
    loaded = load_fit(fit.save(tmp_path / "fit.nc"))
    assert loaded.design == fit.design
    pd.testing.assert_frame_equal(loaded.survey, survey)
    xr.testing.assert_identical(loaded.parameters, fit.parameters)


@pytest.mark.parametrize("name", ["sigma", "Intercept"])
def test_an_outcome_must_not_have_the_name_of_a_parameter(name: str):
    with pytest.raises(FormulaError, match=r"and the outcome\. Rename the column\.\Z"):
        Model(f"{name} ~ x", SURVEY.assign(**{name: SURVEY["y"]}))


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("chain ~ x + (1 | g)", "gaussian"),
        ("y ~ (1 | chain) + (1 | draw)", "gaussian"),
        ("y ~ threshold + alpha + x_dim + x", "gaussian"),
        ("vote ~ sigma + group", "categorical"),
        ("y ~ g_cor + (1 | g)", "gaussian"),
        ("y ~ estimate + value + term", "gaussian"),
    ],
)
def test_names_that_nothing_else_has_are_taken(formula: str, family: Any):
    numbers = (
        "threshold",
        "alpha",
        "x_dim",
        "sigma",
        "group",
        "g_cor",
        "estimate",
        "value",
        "term",
    )
    survey = SURVEY.assign(
        **{name: SURVEY["x"] ** k for k, name in enumerate(numbers, start=2)},
        chain=SURVEY["trust"],
        draw=SURVEY["c"],
    )
    fit = fake_fit(formula, survey, family=family)
    assert fit.fixef().to_frame().notna().all(axis=None)


# --- levels and groups ----------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ["y ~ k", "y ~ (1 | k)", "y ~ x:k", "k ~ x"])
def test_levels_must_differ_as_text(formula: str):
    survey = SURVEY.assign(k=pd.Categorical(np.resize(np.array([1, "1", 2], object), N)))
    message = (
        "`data` must have levels of 'k' that differ as text, got 1 and '1'. Rename one of them, or "
        "make them the same."
    )
    with raises(DataError, message):
        Model(formula, survey, family="categorical" if formula.startswith("k") else "gaussian")


def crossed(*pairs: tuple[str, str]) -> pd.DataFrame:
    """The survey with columns a and b that have these pairs of levels."""
    return SURVEY.assign(
        a=np.resize([a for a, _ in pairs], N), b=np.resize([b for _, b in pairs], N)
    )


def test_groups_of_crossed_columns_must_have_different_names():
    message = (
        "`data` must have groups of 'a:b' with different names, got 'p:q:r' for ('p', 'q:r') and "
        "('p:q', 'r'). Rename a level that has a colon."
    )
    with raises(DataError, message):
        Model("y ~ (1 | a:b)", crossed(("p:q", "r"), ("p", "q:r"), ("s", "r")))


def test_coefficients_of_crossed_columns_must_have_different_names():
    survey = crossed(*itertools.product(["p", "p, q"], ["q, r", "r"]))
    message = (
        "`data` must have levels that give the coefficients of 'a:b' different names, got "
        "'p, q, r' twice. Rename a level that has a comma."
    )
    with raises(DataError, message):
        Model("y ~ 0 + a:b", survey)
    with raises(DataError, message):
        Model("y ~ (0 + a:b | g)", survey)


def test_new_groups_of_crossed_columns_must_have_different_names():
    fit = fake_fit("y ~ (1 | a:b)", crossed(("p", "r"), ("q", "s")))
    new = pd.DataFrame({"a": ["p:q", "p"], "b": ["r", "q:r"]})
    message = (
        "New groups of 'a:b' must have different names, got 'p:q:r' for ('p:q', 'r') and "
        "('p', 'q:r'). Rename a level that has a colon."
    )
    with raises(DataError, message):
        fit.design.rows(new)
    assert fit.design.rows(new[:1]).new_groups == {"a:b": ("p:q:r",)}
    assert fit.design.rows(new.iloc[[1, 1]]).new_groups == {"a:b": ("p:q:r",)}


LEVEL = st.text(alphabet=":, p", min_size=1, max_size=4).filter(str.strip)


@pytest.mark.filterwarnings("ignore:`data` has levels of:mrp.errors.FrameWarning")
@given(st.sets(st.tuples(LEVEL, LEVEL), min_size=4, max_size=8))
def test_every_label_of_a_model_that_is_made_is_there_once(pairs: set[tuple[str, str]]):
    survey = crossed(*sorted(pairs))
    try:
        model = Model("y ~ 0 + a + (1 | a:b)", survey)
    except MRPError:
        joined = [f"{a}:{b}" for a, b in pairs]
        assert len(set(joined)) < len(joined) or survey["a"].nunique() < 2
        return
    for labels in coordinates(model.design).values():
        assert len(set(labels)) == len(labels)
    assert len(model.design.factors["a:b"].groups) == len(pairs)


def test_levels_have_no_halves_of_characters():
    levels = pd.Series(["left", "none", "b\ud800"] * (N // 3), dtype=object)
    message = (
        r"`data` must have levels of 'vote' that a file can hold, got 'b\ud800'. Rename the level."
    )
    with raises(DataError, message):
        Model("vote ~ x", SURVEY.drop(columns="vote").join(levels.rename("vote")),
              family="categorical")  # fmt: skip


def test_groups_have_no_halves_of_characters():
    levels = pd.Series(["left", "none", "b\ud800"] * (N // 3), dtype=object, name="new")
    message = (
        r"`data` must have text without halves of characters, got 'b\ud800'. Read the file in its "
        "encoding, or rename the level."
    )
    with raises(RequestError, message):
        Model("y ~ x + (1 | new)", SURVEY.join(levels))


def test_columns_have_no_halves_of_characters():
    table = SURVEY.set_axis(pd.Index([*SURVEY.columns[:-1], "d\ud800"], dtype=object), axis=1)
    message = (
        r"`data` must have column names without halves of characters, got 'd\ud800'. Rename the "
        "column."
    )
    with raises(DataError, message):
        Model("y ~ x", table)
