"""Every recipe is short and runs in its quick form, with a picture and a line; what has a step of its own learns."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jitnet

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "scripts" / "recipes"
DRAWING = [path for path in FOLDER.glob("*.py") if "\nfrom recipe import" in path.read_text(encoding="utf-8")]
RECIPES = sorted(path.stem for path in DRAWING)


# of the recipes that take files: $JITNET_DATA_DIR, or a folder beside the repository
DATA = Path(os.environ.get("JITNET_DATA_DIR") or ROOT.parent / "shared" / "datasets")


@pytest.mark.parametrize("name", RECIPES)
def test_quick_form(name, tmp_path):
    pytest.importorskip("matplotlib")
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    for word, package in (("optuna", "optuna"), ("photographs", "skimage"), ("pmdarima", "pmdarima")):
        if word in source:
            pytest.importorskip(package)
    missing = [str(DATA / folder) for folder in ("text", "tagging") if not (DATA / folder).is_dir()]
    if missing and ("data_file" in source or "sentences" in source):
        pytest.skip(f"no data in {', '.join(missing)}")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg", "JITNET_DATA_DIR": str(DATA)}
    command = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), "--quick", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert len(done.stdout.splitlines()) >= 2


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_short(name):
    lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").count("\n")
    assert lines <= 120


@pytest.fixture
def small_digits(monkeypatch):
    """Images (N, 64) and labels of the bundled digits; recipes can be imported."""
    monkeypatch.syspath_prepend(FOLDER)
    jitnet.utils.set_random_seed(0)
    return importlib.import_module("recipe").digits()


def test_variational_autoencoder(small_digits):
    (x, _), (x_test, _) = small_digits
    model = importlib.import_module("variational_autoencoder").VAE(64, latent=8, units=128)
    model.compile(jitnet.optimizers.Adam(0.003))
    before = model.evaluate(x_test, verbose=0, return_dict=True)["elbo"]
    history = model.fit(x, batch_size=64, epochs=8, verbose=0).history["elbo"]
    assert history[-1] > history[0]
    after = model.evaluate(x_test, verbose=0, return_dict=True)
    assert after["elbo"] > before + 15  # nats
    assert after["elbo"] == pytest.approx(-after["reconstruction"] - after["distance"])
    error = np.square(model.predict(x_test, verbose=0) - x_test).mean()
    assert error < 0.7 * np.square(x_test - x.mean(axis=0)).mean()
    made = model.made(np.random.default_rng(0).standard_normal((100, 8), np.float32))
    assert made.shape == (100, 64) and made.min() >= 0 and made.max() <= 1


def test_generative_adversarial_network(small_digits):
    (x, y), _ = small_digits
    recipe = importlib.import_module("generative_adversarial")
    model = recipe.GAN(64, latent=16, units=128)
    model.compile(*(jitnet.optimizers.Adam(0.0005, beta_1=0.5) for _ in range(2)))
    numbers = np.random.default_rng(0).standard_normal((1000, 16), np.float32)
    near, far = recipe.nearest(model.predict(numbers, verbose=0), x)
    history = model.fit(x, batch_size=64, epochs=20, verbose=0).history
    assert set(history) == {"d_loss", "g_loss"}
    made = model.predict(numbers, verbose=0)
    closest, distances = recipe.nearest(made, x)
    assert distances.mean() < 0.7 * far.mean()
    assert len(set(y[closest])) > len(set(y[near]))
    # of a few, the distances as they are defined
    squares = np.square(made[:20, None] - x).mean(axis=2)
    assert np.array_equal(closest[:20], squares.argmin(axis=1))
    np.testing.assert_allclose(distances[:20], np.sqrt(squares.min(axis=1)), rtol=1e-4)


def test_the_gallery_is_what_the_recipes_say():
    specification = importlib.util.spec_from_file_location("gallery", FOLDER / "gallery.py")
    gallery = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(gallery)
    results = json.loads((FOLDER / "gallery" / "results.json").read_text(encoding="utf-8"))
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == gallery.page(results)
    pictures = {path.stem: path.stat().st_size for path in (FOLDER / "gallery").glob("*.png")}
    assert set(results) == set(pictures) <= set(gallery.recipes())
    assert max(pictures.values()) <= gallery.LARGEST_PICTURE
