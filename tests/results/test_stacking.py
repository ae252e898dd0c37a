"""Several estimates as one."""

import numpy as np
import pandas as pd
import pytest

import mrp
from mrp.errors import RequestError
from mrp.results import estimates as module
from mrp.results.estimates import Made, estimates
from mrp.results.stacking import Stacked
from tests.cases import FRAME
from tests.messages import raises


def of(rows=2, draws=8, chains=2, seed=1, labels=None, **about):
    array = np.random.default_rng(seed).normal(size=(rows, draws))
    table = pd.DataFrame(labels or {"gender": ["Man", "Woman", "Other"][:rows]})
    return estimates(table, Made(array), chains, {"quantity": "y", "group": "posterior", **about})


def test_rows_are_one_after_the_other_and_labelled_by_key():
    first, second = of(), of(3, seed=2)
    both = mrp.concat({"vague": first, "informative": second}, name="priors")
    assert both.labels.columns.tolist() == ["priors", "gender"]
    assert both.labels["priors"].tolist() == ["vague"] * 2 + ["informative"] * 3
    assert both.labels["gender"].tolist() == ["Man", "Woman", "Man", "Woman", "Other"]
    expected = np.concatenate([first.source.array, second.source.array])
    np.testing.assert_array_equal(both.get_draws("wide").T, expected)
    assert both.chains == 2


@pytest.mark.parametrize(
    ("given", "labels", "expected"),
    [
        ([of(1), of(1)], None, [1, 2]),
        ((of(1), of(1)), ["a", "b"], ["a", "b"]),
        ({2012: of(1), 2016: of(1)}, None, [2012, 2016]),
    ],
)
def test_list_is_labelled_by_number_or_as_said(given, labels, expected):
    both = mrp.concat(given, labels)
    assert both.labels["model"].tolist() == expected
    assert both.labels["model"].dtype == pd.Series(expected).dtype


def test_tables_are_those_of_the_parts():
    parts = {"a": of(), "b": of(seed=2)}
    both = mrp.concat(parts).to_frame()
    for label, part in parts.items():
        own = both[both["model"] == label].drop(columns="model").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, part.to_frame())


def test_label_columns_may_be_in_another_order():
    first = of(labels={"state": ["CA", "TX"], "gender": ["Man", "Woman"]})
    second = of(labels={"gender": ["Man", "Woman"], "state": ["CA", "TX"]})
    both = mrp.concat([first, second])
    assert both.labels.columns.tolist() == ["model", "state", "gender"]
    assert both.labels["state"].tolist() == ["CA", "TX"] * 2


def test_one_estimate_can_be_labelled():
    assert mrp.concat({"a": of()}).names == ["a, Man", "a, Woman"]


def test_estimates_without_labels_get_one():
    bare = mrp.concat({"a": of(1, labels={"x": [1]}), "b": of(1, labels={"x": [1]})})
    assert bare.names == ["a, 1", "b, 1"]
    alone = estimates(pd.DataFrame(index=[0]), Made(np.zeros((1, 8))), 2, {})
    assert mrp.concat({"a": alone, "b": alone}).names == ["a", "b"]


def test_prior_and_posterior_are_named_both():
    prior = of(chains=1, group="prior")
    both = mrp.concat({"prior": prior, "posterior": of()}, name="draws")
    assert both.about["group"] == "prior and posterior"
    assert repr(both).endswith("equal-tailed interval of 8 prior and posterior draws")
    assert mrp.concat([prior, prior]).about["group"] == "prior"


def test_what_all_agree_on_is_still_known():
    both = mrp.concat([of(verb="a", type="link"), of(verb="b", type="link", quantity="z")])
    assert both.about == {
        "type": "link", "group": "posterior", "quantity": "y and z", "color": "model",
    }  # fmt: skip


def test_centre_and_interval_are_those_of_the_first():
    both = mrp.concat([of().with_interval(center="median", ci_prob=[0.5, 0.9]), of()])
    assert both.summarised == of().with_interval(center="median", ci_prob=[0.5, 0.9]).summarised


def test_independent_draws_of_a_prior_divide_into_the_chains_of_the_posterior():
    prior, posterior = of(chains=1, group="prior"), of(chains=4, seed=2)
    both = mrp.concat([prior, posterior])
    assert both.draws.sizes["chain"] == 4
    np.testing.assert_array_equal(both.get_draws("wide").iloc[:, 0], prior.source.array[0])
    assert mrp.concat([prior, of(chains=2, group="prior")]).chains == 1
    assert mrp.concat([of(chains=2, group="prior")] * 2).chains == 2


def test_models_can_be_compared_within_rows():
    parts = {"a": of(), "b": of(seed=2)}
    result = mrp.concat(parts).hypothesis("~ pairwise | gender")
    assert result.labels["hypothesis"].tolist() == ["(b) - (a)"] * 2
    expected = parts["b"].source.array - parts["a"].source.array
    np.testing.assert_array_equal(result.source.array, expected)


def test_draws_too_large_to_keep_are_made_on_request(monkeypatch, small_fit):
    def both():
        first = mrp.predictions(small_fit, newdata=FRAME)
        return mrp.concat({"as is": first, "men": mrp.predictions(small_fit, newdata=MEN)})

    kept = both()
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    lazy = both()
    assert isinstance(kept.source, Made)
    assert isinstance(lazy.source, Stacked)
    assert (lazy.source.n, lazy.source.size) == kept.source.array.shape
    assert [len(key) for key in lazy.source.keys] == [len(kept)]
    pd.testing.assert_frame_equal(lazy.to_frame(), kept.to_frame(), rtol=1e-12)
    rows = np.array([60, 0, 111, 3])
    np.testing.assert_allclose(lazy.source.values(rows), kept.source.array[rows], rtol=1e-12)


MEN = FRAME.assign(gender="Man")


@pytest.mark.parametrize(
    ("given", "labels", "message"),
    [
        (
            {"a": of(), "b": of(labels={"state": ["CA", "TX"]})},
            None,
            "`estimates` must have the same label columns, got ['gender'] for 'a' and ['state'] "
            "for 'b'. Ask both with the same `by=`.",
        ),
        (
            {"a": of(), "b": of(draws=10)},
            None,
            "`estimates` must have equally many draws, got 8 for 'a' and 10 for 'b'. Sample them "
            "again with the same draws and chains, or a prior with as many draws as the posterior "
            "has in all.",
        ),
        (
            {"a": of(), "b": of(chains=4)},
            None,
            "`estimates` must have equally many chains, got {'a': 2, 'b': 4}. "
            "Sample them again with the same draws and chains.",
        ),
        (
            {"a": of(), "b": of(type="link")},
            None,
            "`estimates` must be on the same scale, got type 'response' for 'a' and 'link' for "
            "'b'. Ask both with the same `type=`.",
        ),
        (
            {"a": of(), "b": of().to_frame()},
            None,
            "`estimates` must be Estimates, got DataFrame for 'b'. "
            "Make them with mrp.predictions() or another verb.",
        ),
        (
            [of(), of()],
            ["a"],
            "`labels` must have a different label for each of the 2 estimates, got ['a'].",
        ),
        (
            [of(), of()],
            ["a", "a"],
            "`labels` must have a different label for each of the 2 estimates, got ['a', 'a'].",
        ),
        (
            {"a": of()},
            ["b"],
            "`labels` must be left out where `estimates` has keys, got ['b']. Available: ['a'].",
        ),
        (
            [],
            None,
            "`estimates` must be a mapping or a list of Estimates, got an empty one. "
            "For example: {'vague': p1, 'informative': p2}.",
        ),
        (
            {},
            None,
            "`estimates` must be a mapping or a list of Estimates, got an empty one. "
            "For example: {'vague': p1, 'informative': p2}.",
        ),
        (
            of(),
            None,
            "`estimates` must be a mapping or a list of Estimates, got Estimates. "
            "For example: {'vague': p1, 'informative': p2}.",
        ),
    ],
)
def test_estimates_that_are_not_alike_are_refused(given, labels, message):
    with raises(RequestError, message):
        mrp.concat(given, labels)


@pytest.mark.parametrize("name", ["gender", "estimate", "draw"])
def test_name_that_is_taken_is_refused(name):
    message = (
        f"`name` must be a column that is not there yet, got {name!r}. Taken: ['gender', 'chain', "
        "'draw', 'value', 'probability', 'estimate', 'std_error', 'conf_low', 'conf_high']."
    )
    with raises(RequestError, message):
        mrp.concat([of(), of()], name=name)
