"""Sampling: what is kept of a run, what is said of it, and one small run against a closed form."""

from __future__ import annotations

import importlib
import sys
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import arviz_stats
import numpy as np
import nutpie
import pandas as pd
import psutil
import pytest
import xarray as xr

from mrp.checks.diagnostics import measure
from mrp.errors import (
    EngineWarning,
    FitError,
    RequestError,
    SamplingInterrupted,
    SamplingWarning,
    warn_once,
    written,
)
from mrp.fit import Fit
from mrp.model import Model, sampling
from mrp.model.kernel import run as kernel_run
from mrp.model.log_prior import log_prior
from mrp.model.sampling import (
    Run,
    check_seed,
    check_sizes,
    check_target,
    complaints,
    run_graph,
    warn_if_bad,
)
from mrp.model.sizes import parameters
from mrp.saved_fits import load_fit
from tests.messages import raises, warns


def made_draws(*, chains: int = 4, draws: int = 500, shift: float = 0.0) -> xr.DataTree:
    """Independent normal draws; in the last chain `age[old]` is shifted."""
    rng = np.random.default_rng(3)
    dims = ("chain", "draw")
    age = rng.standard_normal((chains, draws, 2))
    age[-1, :, 1] += shift
    posterior = xr.Dataset(
        {
            "Intercept": (dims, rng.standard_normal((chains, draws))),
            "age": ((*dims, "age_dim"), age),
            "1|state_offset": ((*dims, "state__factor_dim"), rng.standard_normal(age.shape)),
        },
        coords={
            "chain": range(chains),
            "draw": range(draws),
            "age_dim": ["mid", "old"],
            "state__factor_dim": ["AL", "CA"],
        },
    )
    stats = xr.Dataset(
        {
            "logp": (dims, rng.standard_normal((chains, draws))),
            "diverging": (dims, np.zeros((chains, draws), dtype=bool)),
            "gradient": ((*dims, "parameter"), rng.standard_normal((chains, draws, 3))),
        },
        coords={"chain": range(chains), "draw": range(draws)},
    )
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})


def interrupted(trace: xr.DataTree, kept: list[int]) -> xr.DataTree:
    """The trace as nutpie leaves it when chain c has only the first kept[c] draws."""
    present = np.arange(trace["posterior"].sizes["draw"]) < np.array(kept)[:, None]
    here = xr.DataArray(present, dims=("chain", "draw"))
    posterior = trace["posterior"].to_dataset().where(here)
    stats = trace["sample_stats"].to_dataset()
    return xr.DataTree.from_dict(
        {"posterior": posterior, "sample_stats": stats.assign(logp=stats["logp"].where(here))}
    )


@pytest.fixture
def sampler(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Instead of nutpie: gives back `trace`, or raises `error`; keeps the options in `options`."""
    state: dict[str, Any] = {"trace": None, "error": None}

    def sample(compiled: Any, **options: Any) -> Any:
        state["options"] = options
        if state["error"] is not None:
            raise state["error"]
        return state["trace"]

    monkeypatch.setattr(nutpie, "compile_pymc_model", lambda graph: "compiled")
    monkeypatch.setattr(nutpie, "sample", sample)
    return state


KEEP = ["age", "Intercept"]


def run(draws: int = 500) -> xr.DataTree:
    return run_graph(None, Run(draws, 5, 4, 1, 0.9, False), keep=KEEP)


# --- what is kept ---------------------------------------------------------------------------------


def test_the_variables_asked_for_are_kept_with_chain_and_draw_first(sampler: dict[str, Any]):
    trace = made_draws()
    turned = trace["posterior"].to_dataset().transpose("age_dim", "state__factor_dim", ...)
    sampler["trace"] = xr.DataTree.from_dict(
        {"posterior": turned, "sample_stats": trace["sample_stats"].to_dataset()}
    )
    kept = run()
    assert list(kept["posterior"].data_vars) == KEEP
    xr.testing.assert_equal(kept["posterior"].to_dataset(), trace["posterior"].to_dataset()[KEEP])
    for array in kept["posterior"].data_vars.values():
        assert array.dims[:2] == ("chain", "draw")
    assert set(kept["sample_stats"].data_vars) == {"logp", "diverging"}


def test_the_options_reach_the_sampler(sampler: dict[str, Any]):
    sampler["trace"] = made_draws()
    run()
    assert sampler["options"] == {
        "draws": 500,
        "tune": 5,
        "chains": 4,
        "seed": 1,
        "target_accept": 0.9,
        "progress_bar": False,
        "save_warmup": False,
    }


@pytest.mark.parametrize(
    ("lengths", "chains", "count"),
    [
        ([40, 31, 500, 33], [0, 1, 2, 3], 31),
        ([400, 390, 0, 0], [0, 1], 390),  # two chains had to wait for a core
        ([0, 400, 3, 390], [1, 3], 390),
        ([0, 0, 7, 0], [2], 7),
        ([500, 500, 500, 499], [0, 1, 2, 3], 499),
    ],
)
def test_an_interrupted_run_keeps_most_of_what_it_has(
    lengths: list[int], chains: list[int], count: int, sampler: dict[str, Any]
):
    trace = made_draws()
    sampler["trace"] = interrupted(trace, lengths)
    message = (
        f"Sampling was interrupted: {count} of 500 draws of {len(chains)} of 4 chains are kept."
    )
    with warns(SamplingWarning, message):
        kept = run()
    first = trace["posterior"].to_dataset()[KEEP].isel(chain=chains, draw=slice(count))
    first = first.assign_coords(chain=np.arange(len(chains)))
    xr.testing.assert_equal(kept["posterior"].to_dataset(), first)
    assert kept["sample_stats"].sizes == {"chain": len(chains), "draw": count}


def test_a_run_interrupted_before_any_draw_keeps_nothing(sampler: dict[str, Any]):
    sampler["trace"] = interrupted(made_draws(), [0, 0, 0, 0])
    message = "Sampling was interrupted before the first draw: none is kept."
    with raises(SamplingInterrupted, message):
        run()


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_a_sampler_that_stops_says_why_and_what_to_do(
    error: type[Exception], sampler: dict[str, Any]
):
    sampler["error"] = error("All initialization points failed\n\nStack backtrace:\n   0: main")
    message = (
        "The sampler stopped: All initialization points failed. Check the outcome and predictors "
        "for extreme values, or give informative `priors`."
    )
    with raises(FitError, message):
        run()


# --- what is said of it -----------------------------------------------------------------------

GOOD = {
    "draws": 2000,
    "divergences": 0,
    "rhat": 1.01,
    "rhat_at": "x",
    "ess_bulk": 400.0,
    "ess_bulk_at": "x",
    "ess_tail": 400.0,
    "ess_tail_at": "age[old]",
    "tree_depth": 0,
    "ebfmi": 0.3,
    "ebfmi_at": "chain 1",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"divergences": 3}, ["3 of 2000 draws ended in divergences"]),
        ({"rhat": 1.0101}, ["R-hat is 1.010 for x (over 1.01)"]),
        ({"rhat": 2.5, "rhat_at": "b"}, ["R-hat is 2.500 for b (over 1.01)"]),
        ({"ess_bulk": 399.4}, ["bulk effective sample size is 399 for x (under 400)"]),
        ({"ess_tail": 5.0}, ["tail effective sample size is 5 for age[old] (under 400)"]),
        ({"tree_depth": 7}, ["7 of 2000 draws reached the largest tree depth"]),
        ({"ebfmi": 0.294}, ["E-BFMI is 0.29 for chain 1 (under 0.3)"]),
        ({"ebfmi": np.nan, "tree_depth": np.nan, "divergences": np.nan}, []),
        (
            {"rhat": np.nan, "ess_bulk": np.nan, "ess_tail": np.nan},
            ["R-hat can't be computed, it takes 2 chains of 4 draws"],
        ),
    ],
)
def test_a_complaint_is_made_beyond_the_published_limits(change: dict[str, Any], said: list[str]):
    assert complaints(GOOD | change, chains=4) == said


def test_effective_sample_size_is_asked_of_each_chain():
    assert complaints(GOOD, chains=4) == []
    assert len(complaints(GOOD, chains=5)) == 2


def test_everything_that_is_wrong_is_one_warning_with_advice():
    report = GOOD | {"divergences": 3, "rhat": 1.5}
    message = (
        "The draws may not represent the posterior: 3 of 2000 draws ended in divergences; R-hat is "
        "1.500 for x (over 1.01). Raise `target_accept` (0.95, 0.99) or narrow the priors of the "
        "sd's."
    )
    with warns(SamplingWarning, message) as caught:
        warn_if_bad(report, 4)
    assert len(caught) == 1


def test_without_divergences_more_draws_are_advised():
    message = (
        "The draws may not represent the posterior: tail effective sample size is 5 for age[old] "
        "(under 400). Raise `draws` and `tune` if what you report is affected: `diagnostics()` of "
        "the estimates says so."
    )
    with warns(SamplingWarning, message):
        warn_if_bad(GOOD | {"ess_tail": 5.0}, 4)


def test_one_chain_is_told_to_be_joined_by_others():
    message = (
        "The draws may not represent the posterior: R-hat can't be computed, it takes 2 chains of "
        "4 draws. Raise `draws` and `chains`."
    )
    with warns(SamplingWarning, message):
        warn_if_bad(GOOD | {"rhat": np.nan}, 4)


def test_the_report_has_a_value_for_every_check():
    report = measure(made_draws())
    assert set(GOOD) <= set(report) | {"ebfmi_at"}
    assert report["draws"] == 2000
    assert report["divergences"] == 0


def test_a_good_fit_gives_no_warning():
    warn_if_bad(GOOD, 4)


def test_warnings_point_at_the_line_that_asked_for_draws(
    sampler: dict[str, Any], people: pd.DataFrame
):
    trace = made_draws(shift=3.0)
    posterior = trace["posterior"].to_dataset().rename({"Intercept": "Intercept_centered"})
    posterior = posterior.assign({
        "Intercept": posterior["Intercept_centered"],
        "sigma": abs(posterior["Intercept_centered"]),
    })  # fmt: skip
    trace = xr.DataTree.from_dict(
        {"posterior": posterior, "sample_stats": trace["sample_stats"].to_dataset()}
    )
    sampler["trace"] = interrupted(trace, [40, 31, 500, 33])
    with pytest.warns(SamplingWarning) as caught:
        Model("y ~ age", people).sample(draws=500, tune=5, seed=1, engine="pymc", progress=False)
    assert [str(w.message).split(":")[0] for w in caught] == [
        "Sampling was interrupted",
        "The draws may not represent the posterior",
    ]
    assert {w.filename for w in caught} == {__file__}


def test_the_log_density_of_the_priors_is_kept_for_the_draws_that_are(
    sampler: dict[str, Any], people: pd.DataFrame
):
    trace = made_draws()
    posterior = trace["posterior"].to_dataset()
    sampler["trace"] = xr.DataTree.from_dict({
        "posterior": posterior.assign(sigma=abs(posterior["Intercept"])),
        "sample_stats": trace["sample_stats"].to_dataset(),
    })  # fmt: skip
    model = Model("y ~ age", people)
    fit = model.sample(draws=500, tune=5, seed=1, engine="pymc", progress=False)
    density = fit.draws["log_prior"].to_dataset()
    assert list(density.data_vars) == ["Intercept", "age", "sigma"]
    expected = log_prior(fit.parameters, model.design, model.observed, model.priors)
    xr.testing.assert_equal(density, expected)


# --- nutpie's own interface -----------------------------------------------------------------------

NEEDED = (
    "the kernel needs nutpie 0.16.5 or newer, but older than 0.17, got {got}. Install another "
    "version of these"
)


def takes_two(address: int, data: int) -> None:
    """As `_lib.LogpFunc`, with other arguments."""


def takes_dims(self: Any, dims: Any) -> None:
    """As the `CompiledModel` dataclass, with other fields."""


class PanicException(BaseException):
    """As what Rust raises: no Exception."""


def panic(*_: Any) -> None:
    raise PanicException("called `Option::unwrap()` on a `None` value\nstack backtrace")


def with_other_densities(*arguments: Any, **options: Any) -> xr.DataTree:
    trace = sample_with_nutpie(*arguments, **options)
    trace["sample_stats"]["logp"] = trace["sample_stats"]["logp"] + 1.0
    return trace


def without_draws(*arguments: Any, **options: Any) -> xr.DataTree:
    trace = sample_with_nutpie(*arguments, **options)
    return xr.DataTree.from_dict({"sample_stats": trace["sample_stats"].to_dataset()})


sample_with_nutpie = nutpie.sample
CHANGES: dict[str, tuple[Any, str, Any, str]] = {
    "another version": (nutpie, "__version__", "0.17.0rc1", "0.17.0rc1"),
    "an older version": (nutpie, "__version__", "0.16.4", "0.16.4"),
    "another module": (
        importlib,
        "import_module",
        lambda name: panic() if name == "mrp.model.kernel.run" else sys.modules[name],
        "{version}, where it fails with PanicException: called `Option::unwrap()` on a "
        "`None` value",
    ),
    "another signature": (
        kernel_run._lib,
        "LogpFunc",
        takes_two,
        "{version}, where it fails with TypeError: takes_two() takes 2 positional arguments but 3 "
        "were given",
    ),
    "a missing class": (
        kernel_run,
        "_lib",
        SimpleNamespace(PyVariable=kernel_run._lib.PyVariable),
        "{version}, where it fails with AttributeError: 'types.SimpleNamespace' object has no "
        "attribute 'PyMcModel'",
    ),
    "another dataclass": (
        kernel_run._KernelModel,
        "__init__",
        takes_dims,
        "{version}, where it fails with TypeError: takes_dims() got an unexpected keyword argument "
        "'reparameterized_names'",
    ),
    "another call for the start": (
        kernel_run._KernelModel,
        "_start",
        lambda self: None,
        "{version}, where it fails with RuntimeError: ",
    ),
    "a panic": (
        kernel_run._lib,
        "ExpandFunc",
        panic,
        "{version}, where it fails with PanicException: called `Option::unwrap()` on a "
        "`None` value",
    ),
    "another density": (
        nutpie,
        "sample",
        with_other_densities,
        "{version}, where it fails with ValueError: a draw has the log density ",
    ),
    "another place for draws": (
        nutpie,
        "sample",
        without_draws,
        "{version}, where it fails with KeyError: 'Could not find node at posterior'",
    ),
}


@pytest.fixture(params=CHANGES)
def changed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A nutpie whose own interface has changed; how the message begins that says so."""
    owner, name, changed, got = CHANGES[request.param]
    got = got.format(version=nutpie.__version__)
    monkeypatch.setattr(owner, name, changed)
    warn_once.cache_clear()
    yield NEEDED.format(got=got)
    warn_once.cache_clear()


SMALL: dict[str, Any] = {"draws": 5, "tune": 5, "chains": 1, "seed": 1, "progress": False}


def test_the_graph_is_sampled_where_nutpie_has_changed(
    changed: str, monkeypatch: pytest.MonkeyPatch, people: pd.DataFrame
):
    trace = made_draws(chains=1, draws=5)
    posterior = trace["posterior"].to_dataset()
    trace["posterior"] = xr.DataTree(posterior.assign(sigma=abs(posterior["Intercept"])))
    monkeypatch.setattr(sampling, "run_graph", lambda graph, run, keep: trace)
    model = Model("y ~ age", people)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fits = [model.sample(**SMALL) for _ in range(2)]
    assert [fit.info["engine"] for fit in fits] == ["pymc", "pymc"]
    said = [str(w.message) for w in caught if w.category is EngineWarning]
    assert len(said) == 1
    begins, ends = changed.split(". Install")
    start = "The graph is sampled in place of the kernel, which takes longer: "
    assert said[0].startswith(start + begins)
    assert said[0].endswith(f". Install{ends}.")
    assert {w.filename for w in caught} == {__file__}


def test_the_kernel_says_why_it_can_not_be_had_where_nutpie_has_changed(
    changed: str, people: pd.DataFrame
):
    begins, ends = changed.split(". Install")
    with pytest.raises(FitError) as error:
        Model("y ~ age", people).sample(engine="kernel", **SMALL)
    assert str(error.value).startswith(f"`engine='kernel'` can't be used: {begins}")
    assert str(error.value).endswith(f". Install{ends}, or pass engine='pymc'.")


@pytest.mark.parametrize("engine", ["auto", "kernel"])
def test_a_model_that_stops_the_sampler_is_no_reason_to_take_another(
    engine: Any, monkeypatch: pytest.MonkeyPatch, people: pd.DataFrame
):
    def sample(compiled: Any, **options: Any) -> Any:
        compiled._start(1)
        raise RuntimeError("All initialization points failed")

    monkeypatch.setattr(nutpie, "sample", sample)
    message = (
        "The sampler stopped: All initialization points failed. Check the outcome and predictors "
        "for extreme values, or give informative `priors`."
    )
    with raises(FitError, message):
        Model("y ~ age", people).sample(engine=engine, **SMALL)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_is_not_about_nutpie_is_raised_as_it_is(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch, people: pd.DataFrame
):
    def sample(compiled: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(nutpie, "sample", sample)
    with pytest.raises(error):
        Model("y ~ age", people).sample(**SMALL)


def test_the_versions_that_the_kernel_takes_are_those_that_are_installed():
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    least, below = (".".join(map(str, version)) for version in sampling.NUTPIE)
    assert f"nutpie>={least},<{below}" in declared["project"]["dependencies"]


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"draws": 0}, "`draws` must be a whole number, 1 or more, got 0."),
        (
            {"draws": 10, "tune": 0},
            "`tune` must be a whole number, 1 or more, got 0. The sampler can't do without. "
            "Usual: 1000.",
        ),
        ({"draws": -5}, "`draws` must be a whole number, 1 or more, got -5."),
        ({"chains": 2**70}, "`chains` must be at most 1,000, got 1180591620717411303424."),
        ({"chains": 1001}, "`chains` must be at most 1,000, got 1001."),
        ({"chains": 2.0}, "`chains` must be a whole number, 1 or more, got 2.0."),
        ({"chains": True}, "`chains` must be a whole number, 1 or more, got True."),
        ({"draws": "many"}, "`draws` must be a whole number, 1 or more, got 'many'."),
    ],
)
def test_sizes_that_are_no_numbers_of_draws_are_refused(sizes: dict[str, Any], message: str):
    with raises(RequestError, message):
        check_sizes(**sizes)


def test_a_number_that_is_too_long_to_be_written_is_told_by_its_digits():
    message = "`draws` must be a whole number, 1 or more, got a number of 5,000 digits."
    with raises(RequestError, message):
        check_sizes(draws=10**4999 - 10**5000)


def test_sizes_that_are_numbers_of_draws_are_taken():
    check_sizes(draws=1, tune=1, chains=np.int64(4))
    check_sizes(chains=1000)


@pytest.mark.parametrize("target", [0, 1, -0.5, 1.5, float("nan"), True, "a", None, 1j])
def test_a_target_that_is_no_rate_is_refused(target: float):
    message = f"`target_accept` must be between 0 and 1, got {target!r}. Typical: 0.8 to 0.99."
    with raises(RequestError, message):
        check_target(target)


@pytest.mark.parametrize("seed", [-1, 1.0, True, "1", [1]])
def test_a_seed_that_is_no_whole_number_is_refused(seed: Any):
    message = f"`seed` must be a whole number, 0 or more, or None, got {seed!r}. Usual: 1."
    with raises(RequestError, message):
        check_seed(seed)


@pytest.mark.parametrize(
    ("seed", "said"),
    [(2**128, str(2**128)), (10**5000, "a number of 5,001 digits")],
    ids=["a little", "far"],
)
def test_a_seed_of_more_bits_than_generators_use_is_refused(seed: int, said: str):
    with raises(RequestError, f"`seed` must be below 2**128, got {said}. Usual: 1."):
        check_seed(seed)


@pytest.mark.parametrize("seed", [None, 0, 2**64 - 1, np.uint64(2**63)])
def test_a_seed_that_the_sampler_takes_is_given_to_it_as_it_is(
    sampler: dict[str, Any], seed: int | None
):
    sampler["trace"] = made_draws()
    run_graph(None, Run(500, 5, 4, seed, 0.9, False), keep=KEEP)
    assert sampler["options"]["seed"] == seed


def test_a_seed_of_more_bits_than_the_sampler_takes_is_mixed_and_differs(sampler: dict[str, Any]):
    sampler["trace"] = made_draws()
    given = []
    for seed in (2**64, 2**64 + 1, 2**64, 2**128 - 1):
        run_graph(None, Run(500, 5, 4, seed, 0.9, False), keep=KEEP)
        given.append(sampler["options"]["seed"])
    assert given[0] == given[2]
    assert len(set(given)) == 3
    assert all(0 <= seed < 2**64 for seed in given)


GIB = 2**30


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GiB are free."""
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(available=2 * GIB, total=2 * GIB)
    )


@pytest.mark.parametrize(
    ("options", "argument", "what", "gib"),
    [
        ({"draws": 2**40}, "draws", "4 chains of 1,099,511,627,776 draws and 500 discarded ones",
         "4,620,288.0"),
        ({"tune": 2**40}, "tune", "4 chains of 1,000 draws and 1,099,511,627,776 discarded ones",
         "2,998,272.0"),
        ({"draws": 10**6, "chains": 2}, "draws", "2 chains of 1,000,000 draws and 500 discarded "
         "ones", "2.1"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("little_memory")
def test_draws_beyond_the_memory_are_refused_before_sampling(
    people: pd.DataFrame, sampler: dict[str, Any], options: Any, argument: str, what: str, gib: str
):
    message = (
        f"`{argument}` must ask for what the memory can hold, got {what} of 2 numbers, which take "
        f"{gib} GiB of 2.0 GiB free. Ask for fewer: 4 chains of 1,000 draws are usual."
    )
    with raises(RequestError, message):
        Model("y ~ 1", people, priors=PRIORS).sample(**options)
    assert "options" not in sampler


@pytest.mark.usefixtures("little_memory")
def test_draws_from_the_prior_beyond_the_memory_are_refused(people: pd.DataFrame):
    message = (
        "`draws` must ask for what the memory can hold, got 1,099,511,627,776 draws of 2 numbers, "
        "which take 32,768.0 GiB of 2.0 GiB free. Ask for fewer: 4,000 are usual."
    )
    with raises(RequestError, message):
        Model("y ~ 1", people, priors=PRIORS).sample_prior(draws=2**40)


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("y ~ age + (1 + x | state)", "gaussian"),
        ("vote ~ age * sex + (1 | state) + (0 + x || year)", "bernoulli"),
        ("education ~ x + (1 | state)", "categorical"),
        ("age ~ x + (1 | state)", "cumulative"),
    ],
)
def test_numbers_of_a_draw_are_those_that_are_kept(people: pd.DataFrame, formula: str, family: Any):
    model = Model(formula, people, family=family)
    made = model.sample_prior(draws=1, seed=1).parameters
    kept = sum(variable.size for variable in made.data_vars.values())
    counted = parameters(model.design, model.by_level)
    assert counted in (kept, kept + 1)  # a family may have a parameter of its own


@pytest.mark.parametrize("progress", ["x", 1, None])
def test_progress_that_is_no_switch_is_refused(people: pd.DataFrame, progress: Any):
    with raises(RequestError, f"`progress` must be True or False, got {progress!r}."):
        Model("y ~ 1", people, priors=PRIORS).sample(progress=progress)


@pytest.mark.parametrize("engine", [5, None, ["x", "y"], np.array(["kernel", "auto"])])
def test_an_engine_that_is_no_name_is_refused(people: pd.DataFrame, engine: Any):
    message = (
        f"`engine` must name what computes the log density, got {written(engine)}. Available: "
        f"['auto', 'kernel', 'pymc']."
    )
    with raises(RequestError, message):
        Model("y ~ 1", people, priors=PRIORS).sample(engine=engine)


# --- failures of the sampler itself ---------------------------------------------------------------


def test_a_panic_of_the_sampler_is_said(sampler: dict[str, Any]):
    sampler["error"] = PanicException("capacity overflow\nstack backtrace")
    message = (
        "The sampler failed: capacity overflow. Check the outcome and predictors for extreme "
        "values, or ask for fewer `draws` and `chains`; if it fails with usual ones, report it."
    )
    with raises(FitError, message):
        run()


class Stop(BaseException):
    """What a handler of signals may raise."""


@pytest.mark.parametrize("stop", [Stop, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whoever_interrupts_is_heard(
    people: pd.DataFrame, sampler: dict[str, Any], stop: type[BaseException]
):
    sampler["error"] = stop()
    model = Model("y ~ 1", people, priors=PRIORS)
    for engine in ("kernel", "pymc"):
        with pytest.raises(stop):
            model.sample(engine=engine)


@pytest.mark.parametrize("tune", [1, 2, 5, 20])
def test_a_run_of_few_draws_ends(people: pd.DataFrame, tune: int):
    model = Model("y ~ 1", people, priors=PRIORS)
    with pytest.warns(SamplingWarning, match="The draws may not represent the posterior") as said:
        fit = model.sample(draws=1, tune=tune, chains=2, seed=2**100, progress=False)
    assert len(said) == 1
    assert fit.parameters.sizes == {"chain": 2, "draw": 1}
    assert fit.info["seed"] == 2**100


# --- a real run -----------------------------------------------------------------------------------

KNOWN_SIGMA = 2.0
PRIORS = {"Intercept": "normal(-1, 0.5)", "sigma": "gamma(4000000, 2000000)"}
"""The sd is known, all but: the posterior of the mean is then normal."""


@pytest.fixture(scope="module")
def runs(people: pd.DataFrame) -> tuple[Fit, Fit]:
    """Two runs of one model with one seed."""
    model = Model("y ~ 1", people, priors=PRIORS)
    with warnings.catch_warnings():
        # so few draws need not pass
        warnings.simplefilter("ignore", SamplingWarning)
        first, second = (
            model.sample(draws=100, tune=300, chains=2, seed=8, progress=False) for _ in range(2)
        )
    return first, second


def test_a_seed_makes_a_run_repeatable(runs: tuple[Fit, Fit]):
    first, second = runs
    xr.testing.assert_equal(first.parameters, second.parameters)
    assert first.parameters.sizes == {"chain": 2, "draw": 100}
    intercepts = first.parameters["Intercept"].values
    assert not np.isclose(intercepts[0], intercepts[1]).any()


def test_a_run_is_loaded_as_it_was_saved(runs: tuple[Fit, Fit], tmp_path: Path):
    runs[0].save(tmp_path / "fit.nc")
    loaded = load_fit(tmp_path / "fit.nc")
    assert loaded.fingerprint == runs[0].fingerprint
    for group in ("posterior", "sample_stats", "log_prior"):
        xr.testing.assert_identical(
            loaded.draws[group].to_dataset(), runs[0].draws[group].to_dataset()
        )


def test_the_posterior_of_a_normal_mean_is_the_closed_form(
    runs: tuple[Fit, Fit], people: pd.DataFrame
):
    draws = runs[0].parameters["Intercept"]
    precision = len(people) / KNOWN_SIGMA**2 + 1 / 0.5**2
    mean = (people["y"].sum() / KNOWN_SIGMA**2 - 1 / 0.5**2) / precision
    sd = precision**-0.5
    error = sd / np.sqrt(float(arviz_stats.ess(draws)))
    assert abs(float(draws.mean()) - mean) < 4 * error
    assert float(draws.std()) == pytest.approx(sd, rel=0.25)


def test_a_run_says_how_it_was_made(runs: tuple[Fit, Fit]):
    info = runs[0].info
    assert info["seed"] == 8
    assert info["seconds"] > 0
    assert info["draws"] == 200
    assert info["divergences"] == int(runs[0].draws["sample_stats"]["diverging"].sum())
    assert info["rhat_at"] in ("Intercept", "sigma")
    assert list(runs[0].parameters.data_vars) == ["Intercept", "sigma"]
