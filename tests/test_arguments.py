"""Calls with arguments that do not exist, and attributes that are not there."""

import ast
import copy
import doctest
import inspect
import pickle
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.arguments import explained
from mrp.errors import ArgumentError, RequestError
from mrp.testing import fake_fit
from mrp.words import ARGUMENTS, ATTRIBUTES, VALUES
from tests.cases import FRAME, SURVEY
from tests.messages import raises

CLASSES = (mrp.Estimates, mrp.Fit, mrp.Model)
OF_PREDICTIONS = (
    "['fit', 'newdata', 'variables', 'by', 'wts', 'type', 'kind', 'transform', 're_formula', "
    "'new_levels', 'seed']"
)


@cache
def fit():
    return fake_fit("y ~ age + x + (1 | state)", SURVEY, family="bernoulli", draws=3)


def public():
    """Every public function and method, with the name that messages call it by."""
    for name in mrp.__all__:
        value = getattr(mrp, name)
        if inspect.isfunction(value):
            yield name, value
    for owner in CLASSES:
        for name, value in vars(owner).items():
            if inspect.isfunction(value) and not name.startswith("_"):
                yield f"{owner.__name__}.{name}", value


PUBLIC = dict(public())


def takes_any(function):
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())


# --- the decorator --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PUBLIC if not takes_any(PUBLIC[name])])
def test_every_public_function_explains_an_argument_that_it_does_not_have(name):
    called = name.split(".")[-1]
    with pytest.raises(ArgumentError, match=rf"\A`{called}` must be given its own arguments, got "):
        PUBLIC[name](nonsense=1)


def test_functions_keep_their_signature_docstring_and_name():
    def f(a: int, /, b: str = "x", *, c: bool) -> float:
        """What it is."""
        return 1.0

    g = explained(f)
    assert inspect.signature(g) == inspect.signature(f)
    assert (g.__name__, g.__doc__, g.__module__) == (f.__name__, f.__doc__, f.__module__)
    assert g(1, c=True) == 1.0


def test_examples_in_docstrings_are_still_found():
    home = Path(mrp.__file__).parent
    for module, path in {
        "mrp.estimands.verbs": "estimands/verbs.py",
        "mrp.results.estimates": "results/estimates.py",
    }.items():
        tree = ast.parse((home / path).read_text(encoding="utf-8"))
        documented = [
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and ">>> " in (ast.get_docstring(node) or "")
        ]
        tests = doctest.DocTestFinder().find(__import__(module, fromlist=["_"]))
        found = [test.name.split(".")[-1] for test in tests if test.examples]
        assert sorted(found) == sorted(documented)


def test_errors_inside_a_function_stay_what_they_are():
    @explained
    def f(a):
        raise TypeError("its own")

    with pytest.raises(TypeError, match=r"\Aits own\Z") as caught:
        f(1)
    assert caught.type is TypeError


def test_argument_error_is_a_type_error_and_a_request_error():
    for error in (TypeError, RequestError, ValueError):
        with pytest.raises(error):
            mrp.predictions(fit(), conf_level=0.9)


def test_fits_and_estimates_are_copied_and_pickled():
    estimates = mrp.avg_predictions(fit())
    for same in (copy.copy(estimates), copy.deepcopy(estimates)):
        pd.testing.assert_frame_equal(same.to_frame(), estimates.to_frame())
    again = pickle.loads(pickle.dumps(mrp.predictions))
    assert again is mrp.predictions


# --- what the messages say ------------------------------------------------------------------------

WORDS = {
    "conf_level": "Ask the result: `.to_frame(ci_prob=0.9)` or `.with_interval(ci_prob=0.9)`.",
    "vcov": "Leave it out: the uncertainty is that of the draws.",
    "df": "Leave it out: the uncertainty is that of the draws.",
    "hypothesis": "Ask the result: `.hypothesis(…)`.",
    "equivalence": "Ask the result: `.equivalence([low, high])`.",
    "model": "It is `fit` here.",
    "numderiv": "Leave it out: only slopes are derivatives.",
    "re_form": "It is `re_formula` here. None is all group-specific terms, False none.",
    "re.form": "It is `re_formula` here. None is all group-specific terms, False none.",
    "allow_new_levels": 'It is `new_levels` here. Say for example new_levels="gaussian".',
    "sample_new_levels": 'It is `new_levels` here. Say for example new_levels="gaussian".',
    "ndraws": "All draws are used; `model.sample(draws=…)` says how many.",
    "summary": "Leave it out: results keep their draws, `.to_frame()` summarises them.",
    "probs": (
        "Ask the result: `.to_frame(ci_prob=0.9)` or `.with_interval(ci_prob=0.9)`, which gives "
        "the quantiles at 0.05 and 0.95."
    ),
    "weights": "It is `wts` here.",
    "new_data": "It is `newdata` here.",
    "variabels": "Did you mean 'variables'?",
    "nonsense": "",
}


@pytest.mark.parametrize("word", WORDS)
def test_verbs_name_our_word_for_a_foreign_one(word):
    message = (
        f"`predictions` must be given its own arguments, got {word!r}. Available: "
        f"{OF_PREDICTIONS}. {WORDS[word]}"
    )
    with raises(ArgumentError, message.rstrip()):
        mrp.predictions(fit(), **{word: 1})
    with raises(ArgumentError, message.rstrip()):
        fit().predict(FRAME, **{word: 1})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: mrp.poststratify(fit(), newdata=FRAME, weights="n", estimates="state"),
            "`poststratify` must be given its own arguments, got 'newdata', 'weights', "
            "'estimates'. Available: ['fit', 'frame', 'by', 'wts', 'type', 'transform', "
            "'re_formula', 'new_levels', 'seed']. 'newdata': It is `frame` here. 'weights': It is "
            "`wts` here. 'estimates': It is `by` here.",
        ),
        (
            lambda: mrp.slopes(fit(), numderiv="fdcenter"),
            "`slopes` must be given its own arguments, got 'numderiv'. Available: ['fit', "
            "'variables', 'newdata', 'by', 'wts', 'slope', 'eps', 'type', 'transform', "
            "'re_formula', 'new_levels', 'seed']. It is `eps` here. It is half the distance of a "
            "numerical derivative; usual: leave both out.",
        ),
        (
            lambda: mrp.avg_predictions(fit()).to_frame(conf_level=0.9),
            "`to_frame` must be given its own arguments, got 'conf_level'. Available: ['center', "
            "'ci_kind', 'ci_prob', 'backend']. It is `ci_prob` here.",
        ),
        (
            lambda: mrp.avg_predictions(fit()).plot(colour="age"),
            "`intervals` must be given its own arguments, got 'colour'. Available: ['estimates', "
            "'ci_prob', 'color', 'sort', 'reference', 'title', 'ax']. Did you mean 'color'?",
        ),
        (
            lambda: fit().loo(pointwise=True),
            "`loo` must be given its own arguments, got 'pointwise'. Available: [].",
        ),
    ],
    ids=["poststratify", "slopes", "to_frame", "plot", "loo"],
)
def test_each_argument_is_named_as_the_function_calls_it(call, message):
    with raises(ArgumentError, message):
        call()


SAMPLING = {
    "iter": "It is `draws` here. The `tune` draws come before.",
    "warmup": "It is `tune` here. They come before the `draws`.",
    "cores": "Leave it out: chains run in parallel where there are cores.",
    "control": "It is `target_accept` here. Say target_accept=0.99.",
    "backend": "It is `engine` here.",
    "inference_method": "It is `engine` here.",
    "random_seed": "It is `seed` here.",
    "idata_kwargs": "Leave it out: `fit.log_likelihood()` and `fit.loo()` make it when asked.",
}


@pytest.mark.parametrize("word", SAMPLING)
def test_samplers_words_are_named_before_anything_is_sampled(word):
    model = mrp.Model("y ~ x", SURVEY, family="bernoulli")
    message = (
        f"`sample` must be given its own arguments, got {word!r}. Available: ['draws', 'tune', "
        f"'chains', 'seed', 'target_accept', 'engine', 'progress']. {SAMPLING[word]}"
    )
    with raises(ArgumentError, message):
        model.sample(**{word: 1})


OF_MODEL = {
    "iter": "Say `model.sample(draws=…, tune=…)`.",
    "warmup": "Say `model.sample(tune=…)`.",
    "tune": "Say `model.sample(tune=…)`.",
    "draws": "All draws are used; `model.sample(draws=…)` says how many.",
    "cores": "Leave it out: chains run in parallel where there are cores.",
    "control": "Say `model.sample(target_accept=0.99)`.",
    "backend": "Say `model.sample(engine=…)`.",
    "random_seed": "Say `model.sample(seed=…)`.",
    "prior": "It is `priors` here.",
    "weights": (
        "Respondents can't be weighted: put what the weights are made of into the formula, and "
        "poststratify."
    ),
    "dropna": "Leave those rows out yourself: `data.dropna(subset=[…])`.",
    "familly": "Did you mean 'family'?",
}


@pytest.mark.parametrize("word", OF_MODEL)
def test_models_arguments_are_told_from_those_of_sampling(word):
    names = list(inspect.signature(mrp.Model).parameters)
    message = (
        f"`Model` must be given its own arguments, got {word!r}. Available: {names}. "
        f"{OF_MODEL[word]}"
    )
    with raises(ArgumentError, message):
        mrp.Model("y ~ x", SURVEY, **{"family": "bernoulli", word: 1})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: mrp.poststratify(fit(), FRAME, by="state"),
            "`poststratify` must be given 'wts', got ['fit', 'frame', 'by'] only. Name the frame's "
            "column of population counts, or say wts=None to count each cell once.",
        ),
        (
            lambda: mrp.datagrid(state="CA"),
            "`datagrid` must be given 'fit', got ['state'] only. Write `datagrid(fit, …)` with "
            "what model.sample() or mrp.load_fit() returns.",
        ),
        (
            lambda: mrp.Model(data=SURVEY, family="bernoulli"),
            "`Model` must be given 'formula', got ['data', 'family'] only.",
        ),
        (
            lambda: mrp.poststratify(fit(), FRAME, "state", "n"),
            "`poststratify` must be given its arguments by name but for ['fit', 'frame'], got 4 "
            "without. Available: ['by', 'wts', 'type', 'transform', 're_formula', 'new_levels', "
            "'seed'].",
        ),
        (
            lambda: mrp.avg_predictions(fit()).to_frame("median"),
            "`to_frame` must be given its arguments by name, got 1 without. Available: ['center', "
            "'ci_kind', 'ci_prob', 'backend'].",
        ),
        (
            lambda: mrp.predictions(fit(), fit=fit()),
            "`predictions` must be given each argument once, got 'fit' twice.",
        ),
    ],
    ids=["wts", "fit", "formula", "by position", "method by position", "twice"],
)
def test_arguments_that_lack_or_have_no_name_are_told(call, message):
    with raises(ArgumentError, message):
        call()


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        ("type", "invlink(link)", "Expected outcomes, probabilities among them, are "
         "type='response'."),
        ("type", "prediction", "New outcomes are kind='predictive'."),
        ("kind", "response", "It is kind='expected'."),
        ("newdata", "marginalmeans", "Write newdata='balanced' and avg_predictions(…, by=…)."),
    ],
)  # fmt: skip
def test_foreign_values_of_arguments_are_said_in_our_words(argument, value, said):
    with pytest.raises(RequestError, match=rf"got {re.escape(repr(value))}.* {re.escape(said)}\Z"):
        mrp.avg_predictions(fit(), **{argument: value})


@pytest.mark.parametrize(
    ("owner", "name", "said"),
    [
        ("Estimates", "mean", "`.to_frame()` makes a table of them, `.draws` is an array of "
         "their draws."),
        ("Fit", "posterior", 'Write `fit.draws["posterior"]` and the like.'),
        ("Model", "fit", "Write `model.sample()`."),
    ],
)  # fmt: skip
def test_attributes_of_other_packages_are_said_in_our_words(owner, name, said):
    objects = {
        "Estimates": mrp.avg_predictions(fit()),
        "Fit": fit(),
        "Model": mrp.Model("y ~ x", SURVEY, family="bernoulli"),
    }
    with raises(AttributeError, f"{owner!r} object has no attribute {name!r}. {said}"):
        getattr(objects[owner], name)
    with raises(AttributeError, f"{owner!r} object has no attribute 'nonsense'"):
        objects[owner].nonsense  # noqa: B018 - the attribute raises
    assert not hasattr(objects[owner], name)


def test_attribute_that_fails_itself_says_why():
    @explained
    class Thing:
        @property
        def broken(self):
            return np.ones(2).nonsense

    with pytest.raises(AttributeError, match=r"\A'numpy.ndarray' object has no attribute"):
        Thing().broken  # noqa: B018 - the attribute raises


# --- the table of words ---------------------------------------------------------------------------


def test_words_lead_to_arguments_that_exist():
    ours = {
        name
        for function in [*PUBLIC.values(), *CLASSES, *map(_picture, ("intervals", "ridges"))]
        for name in inspect.signature(function).parameters
    }
    for name, word in ARGUMENTS.items():
        assert word.ours or word.elsewhere, name
        assert set(word.ours) <= ours, name


def _picture(name):
    from mrp.plots import figures

    return getattr(figures, name)


def test_words_of_objects_are_none_of_theirs():
    for owner in CLASSES:
        there = {*dir(owner), *getattr(owner, "__dataclass_fields__", ())}
        assert not there & set(ATTRIBUTES[owner.__name__])


def test_values_of_others_are_none_of_ours():
    known = {
        "type": ["response", "link"],
        "kind": ["expected", "predictive", "effects", "coefficients", "interval", "ridge"],
        "shape": ["long", "wide", "transposed", "xarray"],
        "newdata": ["mean", "median", "balanced"],
        "slope": ["dydx", "eyex", "eydx", "dyex"],
    }
    for argument, values in known.items():
        assert not set(values) & set(VALUES[argument])
