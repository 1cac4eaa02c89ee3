"""The README's Python examples run as printed, and what the texts name exists."""

import re
import runpy
from pathlib import Path

import numpy as np

import jitnet
from jitnet import layers

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def test_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S))
    # Numba keeps functions of files alone
    Path("readme.py").write_text(code, encoding="utf-8")
    shown = runpy.run_path("readme.py")
    assert shown["accuracy"] > 0.8
    again = jitnet.load_model(tmp_path / "digits.safetensors")
    np.testing.assert_array_equal(again.predict(shown["x_test"]), shown["model"].predict(shown["x_test"]))

    generator = np.random.default_rng(0)
    x, first, second = (generator.standard_normal(shape, np.float32) for shape in ((5, 3), (3, 4), (4, 2)))
    hidden, y = np.empty((5, 4), np.float32), np.empty((5, 2), np.float32)
    shown["two_layers"](x, first, second, hidden, y)
    np.testing.assert_allclose(y, np.tanh(x @ first) @ second, rtol=1e-5, atol=1e-6)
    assert sum(shown["two_layers"].stats.cache_misses.values()) == 1

    own = jitnet.Sequential([jitnet.Input((3,)), shown["Scale"](), shown["Square"](), layers.Dense(1)])
    own.compile("sgd", "mean_squared_error")
    x = np.linspace(-1, 1, 15).reshape(5, 3)
    before = own.get_weights()
    own.fit(x, x.sum(axis=1, keepdims=True), epochs=1, verbose=0)
    assert all((new != old).any() for new, old in zip(own.get_weights(), before, strict=True))
    expected = np.tanh(x * own.get_weights()[0]) ** 2 @ own.get_weights()[1] + own.get_weights()[2]
    np.testing.assert_allclose(own.predict(x), expected, rtol=1e-5, atol=1e-6)

    inputs = jitnet.Input((8, 8, 1))
    consistent = shown["Consistent"](inputs, layers.Dense(10, "softmax")(layers.Flatten()(inputs)))
    consistent.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = consistent.fit(shown["x_train"], shown["y_train"], epochs=10, verbose=0).history
    assert list(history) == ["loss", "difference", "accuracy"] and history["accuracy"][-1] > 0.8
    assert history["loss"][-1] < history["loss"][0]
    x, weights, y = (generator.standard_normal(shape, np.float32) for shape in ((7, 3), (3, 2), (7, 2)))
    value, gradient = shown["error_and_gradient"](weights, x, y)
    np.testing.assert_allclose(value, np.square(x @ weights - y).mean(), rtol=1e-5)
    np.testing.assert_allclose(gradient, x.T @ (x @ weights - y) / 7, rtol=1e-4, atol=1e-6)


def test_files_and_sections_that_the_texts_name_exist():
    new = {"jitnet/core/operations/cumulative.py"}  # CONTRIBUTING shows how it would be made
    for text in ("README.md", "CONTRIBUTING.md"):
        content = (ROOT / text).read_text(encoding="utf-8")
        named = set(re.findall(r"`((?:jitnet|tests|kernels|datasets|scripts)/[\w/*.]+)`", content)) - new
        assert len(named) > 5
        for path in named:
            assert any(ROOT.glob(path)), f"{text} names {path}"
        for path, section in re.findall(r"in `(tests/[\w/.]+)`, under `(# ---- \w+)`", content):
            assert section in (ROOT / path).read_text(encoding="utf-8").splitlines()
