"""The README's Python examples run as printed, and what the texts name exists."""

import re
from pathlib import Path

import numpy as np

import jitnet
from jitnet import layers

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def test_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S))
    shown = {}
    exec(compile(code, "README.md", "exec"), shown)
    assert shown["accuracy"] > 0.8
    again = jitnet.load_model(tmp_path / "digits.safetensors")
    np.testing.assert_array_equal(again.predict(shown["x_test"]), shown["model"].predict(shown["x_test"]))

    own = jitnet.Sequential([jitnet.Input((3,)), shown["Scale"](), shown["Square"](), layers.Dense(1)])
    own.compile("sgd", "mean_squared_error")
    x = np.linspace(-1, 1, 15).reshape(5, 3)
    before = own.get_weights()
    own.fit(x, x.sum(axis=1, keepdims=True), epochs=1, verbose=0)
    assert all((new != old).any() for new, old in zip(own.get_weights(), before, strict=True))
    expected = np.tanh(x * own.get_weights()[0]) ** 2 @ own.get_weights()[1] + own.get_weights()[2]
    np.testing.assert_allclose(own.predict(x), expected, rtol=1e-5, atol=1e-6)


def test_files_and_sections_that_the_texts_name_exist():
    new = {"jitnet/operations/cumulative.py"}  # CONTRIBUTING shows how it would be made
    for text in ("README.md", "CONTRIBUTING.md"):
        content = (ROOT / text).read_text(encoding="utf-8")
        named = set(re.findall(r"`((?:jitnet|tests|kernels|datasets|scripts)/[\w/*.]+)`", content)) - new
        assert len(named) > 5
        for path in named:
            assert any(ROOT.glob(path)), f"{text} names {path}"
        for path, section in re.findall(r"in `(tests/[\w/.]+)`, under `(# ---- \w+)`", content):
            assert section in (ROOT / path).read_text(encoding="utf-8").splitlines()
