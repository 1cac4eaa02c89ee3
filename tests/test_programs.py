"""Whole programs as Keras's guides have them: they run, and end where Keras ends after one line was changed."""

import runpy
import sys
from pathlib import Path

import keras_cases as cases
import pytest

FOLDER = Path(__file__).parent / "programs"
# program: (loss at most, how many times as large as Keras's at most, or the other way round)
LIMITS = {
    "added_loss": (0.5, 1.5),
    "callbacks": (0.15, 1.6),
    "dcgan": (0.6, 1.3),
    "denoising_autoencoder": (0.42, 1.1),
    "functional_api": (0.6, 1.6),
    "imbalanced_classes": (0.3, 3.0),
    "own_metric": (0.25, 1.5),
    "own_train_step": (0.8, 1.1),
    "sequence_tagging": (0.4, None),
    "stateful_characters": (0.25, 1.6),
    "structured_data": (0.45, 1.1),
    "super_resolution": (0.025, 1.2),
    "tabular": (0.38, 1.1),
    "text_classification": (0.45, 1.6),
    "timeseries_classification": (0.3, None),
    "unet": (0.3, 1.5),
}
PROGRAMS = sorted({path.stem for path in FOLDER.glob("*.py") if not path.stem.endswith("_keras")} - {"program_data"})
keras = cases.load_keras()


@pytest.fixture(autouse=True)
def beside_their_data(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    sys.modules.pop("program_data", None)


@pytest.mark.parametrize("name", PROGRAMS)
def test_runs(name):
    loss = float(runpy.run_path(str(FOLDER / f"{name}.py"))["loss"])
    assert 0 < loss < LIMITS[name][0]


@pytest.mark.skipif(keras is None, reason="needs Keras with its torch backend")
@pytest.mark.filterwarnings("ignore:::keras", "ignore:::torch")
@pytest.mark.parametrize("name", PROGRAMS)
def test_ends_where_keras_does(name, tmp_path):
    ours = float(runpy.run_path(str(FOLDER / f"{name}.py"))["loss"])
    twin = FOLDER / f"{name}_keras.py"
    if not twin.exists():
        source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        assert source.count("import jitnet as keras\n") == 1
        twin = tmp_path / f"{name}.py"
        twin.write_text(source.replace("import jitnet as keras\n", "import keras\n"), encoding="utf-8")
    theirs = float(runpy.run_path(str(twin))["loss"])
    limit, ratio = LIMITS[name]
    assert 0 < theirs < limit
    if ratio is not None:
        assert 1 / ratio < ours / theirs < ratio, (ours, theirs)


def test_every_program_has_a_limit():
    assert set(PROGRAMS) == set(LIMITS)
