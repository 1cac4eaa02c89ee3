"""CONTRIBUTING's recipes for an optimizer, a loss and a metric, carried out as written in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jitnet

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """
import numpy as np
import jitnet
from jitnet import layers

x = np.random.default_rng(0).standard_normal((40, 3)).astype("float32")
y = (x[:, :1] > 0).astype("float32")


def train(optimizer, **options):
    jitnet.utils.set_random_seed(1)
    model = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(1, "sigmoid")])
    model.compile(optimizer, weighted_metrics=["specificity", "charbonnier"], jit_compile=False, **options)
    before = model.get_weights()
    history = model.fit(x, y, batch_size=40, epochs=1, shuffle=False, verbose=0).history
    return model, before, history


model, before, history = train("signum", loss="charbonnier")
for old, new in zip(before, model.get_weights(), strict=True):
    np.testing.assert_allclose(np.abs(new - old), 0.001, rtol=1e-3)
p = 1 / (1 + np.exp(-(x @ before[0] + before[1])))
np.testing.assert_allclose(history["loss"], np.sqrt((p - y) ** 2 + 1e-6).mean(), rtol=1e-5)
np.testing.assert_allclose(history["charbonnier"], history["loss"], rtol=1e-5)
np.testing.assert_allclose(jitnet.losses.charbonnier(y, p).mean(), history["loss"], rtol=1e-5)
np.testing.assert_allclose(history["specificity"], (p <= 0.5)[y == 0].mean(), rtol=1e-6)
assert "signum_update(" in model.step_source()
model, before, _ = train(jitnet.optimizers.NormalizedSGD(), loss="charbonnier")
for old, new in zip(before, model.get_weights(), strict=True):
    np.testing.assert_allclose(np.linalg.norm(new - old), 0.1, rtol=1e-4)
print("done")
"""


def insert(path, anchor, text):
    """Put ``text`` before the line that starts with ``anchor``."""
    content = path.read_text(encoding="utf-8")
    assert content.count(f"\n{anchor}") == 1, anchor
    path.write_text(content.replace(f"\n{anchor}", f"\n{text}\n\n{anchor}"), encoding="utf-8")


def extend(path, anchor, entry):
    """Put ``entry`` right after ``anchor``."""
    content = path.read_text(encoding="utf-8")
    assert content.count(anchor) == 1, anchor
    path.write_text(content.replace(anchor, f"{anchor}{entry}"), encoding="utf-8")


def blocks(section):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = re.search(rf"^## {section}$(.*?)^## ", text, re.M | re.S)[1]
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def test_optimizer_loss_and_metric(tmp_path):
    package = Path(jitnet.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, tmp_path / "jitnet", ignore=ignored)
    for name in ("kernels", "datasets"):
        if not (package / name).exists():  # in a checkout they lie beside
            shutil.copytree(package.parent / name, tmp_path / name, ignore=ignored)
    copy = tmp_path / "jitnet"
    kernels = tmp_path / "kernels" if (tmp_path / "kernels").exists() else copy / "kernels"

    function, entry, signum, in_operations = blocks("An optimizer")
    insert(kernels / "scalar" / "optimizers.py", "UPDATES = {", function)
    extend(kernels / "scalar" / "optimizers.py", "UPDATES = {\n", entry)
    optimizers = copy / "optimizers"
    insert(optimizers / "elementwise.py", "class Lion(Optimizer):", signum)
    insert(optimizers / "operations.py", "class Eve(Optimizer):", in_operations)
    extend(optimizers / "__init__.py", "from .elementwise import ", "Signum, ")
    extend(optimizers / "__init__.py", "from .operations import ", "NormalizedSGD, ")
    extend(optimizers / "__init__.py", "_KNOWN = _registry.by_name(\n    [", "Signum, ")
    extend(optimizers / "__init__.py", "__all__ = [", '"Signum", "NormalizedSGD", ')
    (loss,) = blocks("A loss")
    insert(copy / "losses" / "regression.py", "class Huber(Loss):", loss)
    extend(copy / "losses" / "__init__.py", "from .regression import (\n", "    Charbonnier,\n")
    extend(copy / "losses" / "__init__.py", "_CLASSES = [\n", "    Charbonnier,\n")
    (metric,) = blocks("A metric")
    insert(copy / "metrics" / "means.py", "class F1Score(FBetaScore):", metric)
    extend(copy / "metrics" / "__init__.py", "from .means import (\n", "    Specificity,\n")
    extend(copy / "metrics" / "__init__.py", "_CLASSES = [\n", "    Specificity,\n")

    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr
