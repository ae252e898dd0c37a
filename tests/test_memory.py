"""What is asked for, against the memory that there is: refused before it is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet
import pytest

import mrp
from mrp import memory
from mrp.errors import MRPError, RequestError
from mrp.memory import available, check_fits
from mrp.reading import read_tables
from mrp.testing import fake_fit
from tests.cases import FRAME, SURVEY
from tests.messages import raises

GIB = 2**30
MUST = "must ask for what the memory can hold, got"


@pytest.fixture
def free(monkeypatch):
    """Say that so many bytes are free, and that any request is worth a look."""

    def say(bytes_, large=0):
        memory_ = psutil.virtual_memory()._replace(available=bytes_)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: memory_)
        monkeypatch.setattr(memory, "CONTROL", Path("/nowhere"))
        for module in (
            "mrp.coefficients",
            "mrp.effects",
            "mrp.reading",
            "mrp.estimands.context",
            "mrp.estimands.grids",
            "mrp.results.hypotheses",
            "mrp.checks.predictive_checks",
        ):
            monkeypatch.setattr(f"{module}.LARGE", large)

    return say


def test_half_of_what_is_free_may_be_taken(free):
    free(4 * GIB)
    check_fits(2 * GIB, "so much", "draws", "Ask for less.")
    message = f"`draws` {MUST} so much, which take 2.1 GiB of 4.0 GiB free. Ask for less."
    with raises(RequestError, message):
        check_fits(int(2.1 * GIB), "so much", "draws", "Ask for less.")


def test_numbers_of_bytes_beyond_any_number_are_refused_too(free):
    free(4 * GIB)
    message = f"`draws` {MUST} much, which take over 10**15 GiB of 4.0 GiB free. Ask for less."
    with raises(RequestError, message):
        check_fits(10**400, "much", "draws", "Ask for less.")


# --- containers -----------------------------------------------------------------------------------


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Files of a control group with a limit; the process is in it."""

    def make(**files):
        for name, text in files.items():
            (tmp_path / name.replace("_", ".", 1)).write_text(text)
        monkeypatch.setattr(memory, "CONTROL", tmp_path)
        monkeypatch.setattr(memory, "_groups", lambda: [tmp_path])

    return make


def test_limit_of_a_container_counts_without_files_that_are_kept_for_another_time(container):
    container(
        memory_max=f"{GIB}\n",
        memory_current=f"{GIB // 2}\n",
        memory_stat=f"anon 5\ninactive_file {GIB // 4}\nactive_file 7\n",
    )
    assert available() == GIB // 2 + GIB // 4


@pytest.mark.parametrize(
    "files", [{"memory_max": "max\n", "memory_current": "5\n"}, {"memory_max": "7\n"}, {}]
)
def test_container_without_a_limit_has_what_the_machine_has(files, container, free):
    free(3 * GIB)
    container(**files)
    assert available() == 3 * GIB


def test_container_that_is_full_has_nothing(container):
    container(memory_max=f"{GIB}\n", memory_current=f"{2 * GIB}\n")
    assert available() == 0


def test_groups_are_those_of_the_process_from_its_own_outwards(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: "4:memory:/x\n0::/a/b\n")
    assert [str(folder) for folder in memory._groups()] == [
        "/sys/fs/cgroup/a/b",
        "/sys/fs/cgroup/a",
        "/sys/fs/cgroup",
    ]


# --- requests -------------------------------------------------------------------------------------


def test_draws_of_areas_are_refused_and_their_table_is_not(free, monkeypatch, small_fit):
    kept = mrp.poststratify(small_fit, FRAME, by="state", wts="n")
    monkeypatch.setattr("mrp.results.estimates.KEPT_BYTES", 0)
    large = mrp.poststratify(small_fit, FRAME, by="state", wts="n")
    free(8 * len(large) * 40)
    message = (
        f"`draws` of {len(large)} rows x 40 draws need 0.0 GiB, got 0.0 GiB free. Average with "
        f"`by=`, or use `to_frame()`, which works in blocks."
    )
    for ask in (
        lambda: large.draws,
        lambda: large.get_draws("wide"),
        lambda: large.hypothesis(lambda draws: draws.sum(axis=0)),
    ):
        with raises(RequestError, message):
            ask()
    pd.testing.assert_frame_equal(large.to_frame(), kept.to_frame(), rtol=1e-10)
    pd.testing.assert_frame_equal(
        large.hypothesis("~ reference").to_frame(),
        kept.hypothesis("~ reference").to_frame(),
        rtol=1e-10,
        atol=1e-12,
    )


def test_a_long_table_is_refused_where_the_draws_fit(free, small_fit):
    states = mrp.avg_predictions(small_fit, by="state")
    draws = len(states) * 40
    free(2 * 8 * draws)
    assert states.get_draws("wide").shape == (40, len(states))
    message = (
        f"`shape` {MUST} a row for each of {draws:,} draws of {len(states)} estimates, which take "
        f"0.0 GiB of 0.0 GiB free. Ask for shape='wide', or for the draws of fewer estimates."
    )
    with raises(RequestError, message):
        states.get_draws("long")


def other_states(n):
    return FRAME.iloc[np.zeros(n, dtype=int)].assign(state=[f"new {k}" for k in range(n)])


REFUSED = {
    "new groups": (
        lambda fit: mrp.predictions(
            fit, newdata=pd.concat([FRAME, other_states(9)]), new_levels="gaussian"
        ),
        "`new_levels` must ask for what the memory can hold, got effects of 9 new groups of "
        "'state' beside {groups} of the survey in 40 draws, which take {}. Predict the rows of "
        "some groups at a time, or sample fewer draws.",
    ),
    "grid": (
        lambda fit: mrp.datagrid(fit, x=np.arange(50), military=[0, 1]),
        "`datagrid` must ask for what the memory can hold, got 100 rows of 5 columns, which take "
        "{}. Give fewer values.",
    ),
    "rows at values": (
        lambda fit: mrp.predictions(fit, variables={"x": np.arange(50)}),
        "`variables` must ask for what the memory can hold, got {rows} rows 50 times, with "
        "labels, which take {}. Name fewer values, average with `by=`, or drop columns that are "
        "not needed.",
    ),
    "contrasts of rows": (
        lambda fit: mrp.comparisons(fit, variables={"age": "pairwise"}),
        "`variables` must ask for what the memory can hold, got {rows} rows {twice} times, with "
        "labels, which take {}. Name fewer values, average with `by=`, or drop columns that are "
        "not needed.",
    ),
    "statements": (
        lambda fit: mrp.avg_predictions(fit).hypothesis(["b1"] * 500),
        "`statement` must ask for what the memory can hold, got 500 statements in 40 draws, "
        "which take {}. Ask for some of them at a time.",
    ),
    "effects": (
        lambda fit: fit.ranef(),
        "`factor` must ask for what the memory can hold, got {effects} effects of groups in 40 "
        "draws, which take {}. Ask for the estimates that you need with `predictions` or "
        "`poststratify`.",
    ),
    "replicated groups": (
        lambda fit: mrp.pp_check(fit, by="x"),
        "`by` must ask for what the memory can hold, got {values} groups in 40 draws, which "
        "take {}. Name columns with fewer values.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_memory_can_not_hold_is_refused_before_it_is_made(name, free, small_fit):
    ask, message = REFUSED[name]
    design = small_fit.design
    groups = len(design.factors["state"].groups)
    ages = SURVEY["age"].nunique()
    numbers = {
        "groups": groups,
        "rows": len(small_fit.survey),
        "twice": ages * (ages - 1),
        "effects": groups * sum(block.width for block in design.blocks),
        "values": small_fit.survey["x"].nunique(),
    }
    free(1000)
    with raises(RequestError, message.format("0.0 GiB of 0.0 GiB free", **numbers)):
        ask(small_fit)
    free(1000 * GIB)
    if name != "simulated people":
        ask(small_fit)


def test_contrasts_of_thousands_of_levels_are_counted_before_they_are_listed(free):
    survey = pd.DataFrame({"y": [0, 1] * 400, "g": [f"g{k}" for k in range(800)]})
    fit = fake_fit("y ~ 1 + (1 | g)", survey, family="bernoulli", draws=1, chains=1)
    free(GIB)
    message = (
        f"`variables` {MUST} 639,200 contrasts of levels of 'g', which take 2.4 GiB of 1.0 GiB "
        f"free. Name fewer variables or values, or compare with one level: 'reference'."
    )
    with raises(RequestError, message):
        mrp.avg_comparisons(fit, variables={"g": "all"})
    assert len(mrp.avg_comparisons(fit, variables={"g": ["g0", "g1"]})) == 1


def test_columns_of_thousands_of_levels_are_refused_by_the_model(free, monkeypatch):
    survey = pd.DataFrame({"y": [0, 1] * 300, "g": np.repeat([f"g{k}" for k in range(300)], 2)})
    free(10_000)
    monkeypatch.setattr("mrp.design.LARGE", 0)
    message = (
        f"`formula` {MUST} 299 columns of 'g' for 300 different rows, which take 0.0 GiB of 0.0 "
        f"GiB free. Write a term of thousands of levels as groups: `(1 | g)`."
    )
    with raises(RequestError, message):
        mrp.Model("y ~ g", survey, family="bernoulli").prior_summary()


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_files_are_refused_by_the_sizes_that_they_declare(extension, free, tmp_path, monkeypatch):
    path = tmp_path / f"frame{extension}"
    write = FRAME.to_csv if extension == ".csv" else FRAME.to_parquet
    write(path, index=False)
    free(1000)
    monkeypatch.setattr(pyarrow.parquet, "read_table", None)  # nothing is read
    what = f"{len(FRAME)} rows of {FRAME.shape[1]} columns"
    message = (
        f"`FRAME` {MUST} {what if extension == '.parquet' else 'a table of text'}, which take 0.0 "
        f"GiB of 0.0 GiB free. Add up cells that are equal, and leave out columns that are not "
        f"needed."
    )
    with raises(MRPError, message):
        read_tables({"FRAME": path}, asked={"FRAME": ["state"]})


# --- many levels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ["y ~ g + a", "y ~ 0 + g + a", "y ~ g:a", "y ~ a + x:g"])
def test_terms_of_many_levels_are_looked_up_as_they_would_be_multiplied(formula, monkeypatch):
    rng = np.random.default_rng(1)
    survey = pd.DataFrame({"y": [0, 1] * 300, "g": np.repeat([f"g{k:03}" for k in range(150)], 4)})
    survey = survey.assign(a=["p", "q", "r"] * 200, x=rng.normal(size=600).round(1))
    fit = fake_fit(formula, survey, family="bernoulli", draws=3)
    found = mrp.predictions(fit, type="link").source.array
    rows = fit.design.rows(survey)
    np.testing.assert_allclose(found, rows.population() @ fit.coefficients.population, rtol=1e-12)
    monkeypatch.setattr("mrp.prediction.WIDE", 10**6)
    np.testing.assert_allclose(
        mrp.predictions(fit, type="link").source.array, found, rtol=1e-12, atol=1e-14
    )


def test_tables_of_all_predictions_that_are_held_share_their_room(monkeypatch, small_fit):
    monkeypatch.setattr("mrp.results.estimates.KEPT_BYTES", 0)
    from mrp import prediction

    monkeypatch.setattr(prediction, "_held", type(prediction._held)())
    first = mrp.predictions(small_fit, newdata=FRAME)
    assert all(part.table is not None for part in first.source.parts)
    room = 2 * max(part.table.nbytes for part in first.source.parts)
    monkeypatch.setattr(prediction, "TABLES_BYTES", room)
    second = mrp.predictions(small_fit, newdata=FRAME)
    assert any(part.table is None for part in second.source.parts)
    assert prediction._bytes_of_tables() <= room
    pd.testing.assert_frame_equal(second.to_frame(), first.to_frame(), rtol=1e-10)
    del first, second
    third = mrp.predictions(small_fit, newdata=FRAME)
    assert all(part.table is not None for part in third.source.parts)
