"""What `import mrp` gives, and what it does not load."""

import inspect
import subprocess
import sys
import types

import pytest

import mrp


def test_every_public_name_is_there():
    assert mrp.__all__
    for name in mrp.__all__:
        assert getattr(mrp, name) is not None
    assert set(mrp.__all__) <= set(dir(mrp))


def test_every_public_name_has_a_docstring():
    for name in mrp.__all__:
        assert inspect.getdoc(getattr(mrp, name)), name


def test_name_that_does_not_exist_is_no_attribute():
    with pytest.raises(AttributeError, match=r"\ANo mrp attribute predict\Z"):
        mrp.predict  # noqa: B018 - the attribute raises


def test_options_after_model_and_data_are_keywords_only():
    positional = {
        name: [
            p.name
            for p in inspect.signature(getattr(mrp, name)).parameters.values()
            if p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        for name in ("predictions", "avg_predictions", "comparisons", "avg_comparisons")
    }
    assert set(map(tuple, positional.values())) == {("fit",)}
    signature = inspect.signature(mrp.poststratify).parameters.values()
    assert [p.name for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD] == ["fit", "frame"]


@pytest.mark.parametrize("first", ["import mrp", "import mrp; dir(mrp); mrp.__all__"])
def test_import_loads_nothing_heavy(first):
    heavy = ["pymc", "pytensor", "bambi", "arviz", "matplotlib", "pandas", "xarray", "scipy"]
    script = f"{first}; import sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_model_to_estimates_loads_neither_pymc_nor_bambi():
    script = (
        "import mrp, sys; survey = mrp.load_dataset('simulated_survey');"
        "model = mrp.Model('defund ~ age + (1 | state)', survey, family='bernoulli');"
        "fit = model.sample(draws=50, tune=50, seed=1, progress=False);"
        "mrp.avg_predictions(fit, by='state').to_frame();"
        "print([name for name in ('pymc', 'pytensor', 'bambi') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_public_names_are_functions_classes_and_modules_of_mrp():
    for name in mrp.__all__:
        value = getattr(mrp, name)
        home = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
        assert home.split(".")[0] == "mrp", name
