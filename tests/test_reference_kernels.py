"""kernels/cpu/*.py: the reference, and nothing else; it runs everything where no kernel is specialised."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import small_networks

from jitnet.kernels.cpu.runtime.jit import Function
from jitnet.kernels.scalar import activations

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = sorted(path for path in (ROOT / "kernels" / "cpu").glob("*.py") if path.stem != "__init__")


def public_functions(module) -> dict:
    """What a module defines itself under a name without an underscore, but for activations that other tests add."""
    defined = {}
    for name, value in vars(module).items():
        function = getattr(value, "py_func", value)
        if activations.defined_by(name) is not None:
            continue
        if name[0] != "_" and callable(function) and getattr(function, "__module__", None) == module.__name__:
            defined[name] = value
    return defined


def kernels() -> dict:
    """{"family.function": kernel} of the reference."""
    found = {}
    for path in REFERENCE:
        module = importlib.import_module(f"jitnet.kernels.cpu.{path.stem}")
        found |= {f"{path.stem}.{name}": value for name, value in public_functions(module).items()}
    return found


def test_what_is_public_is_a_kernel():
    found = kernels()
    assert len(found) > 100
    assert [name for name, value in found.items() if not isinstance(value, Function)] == []


def texts(folder: Path):
    """Regular expressions of the texts in Python files: what stands between the braces of an f-string is any name."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.escape(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (re.escape(p.value) if isinstance(p, ast.Constant) else r"\w+" for p in node.values)
                yield "".join(parts)


def test_every_kernel_is_called():
    """The opcodes of programs name each of them, but for those that jitnet calls as functions."""
    opcodes = {text for text in texts(ROOT / "jitnet") if re.match(r"[a-z_]+\\\.", text)}
    named = re.compile("|".join(opcodes))
    imported = set()
    for path in (ROOT / "jitnet").rglob("*.py"):
        imported |= set(re.findall(r"\brandom(?:_kernels)?\.(\w+)|import (random_permutation)", path.read_text()))
    called = {f"random.{name}" for pair in imported for name in pair if name}
    # a rewrite makes those with a ReLU from those without
    plain = {name: name.replace("batch_norm_relu_", "batch_norm_") for name in kernels()}
    assert {name for name in plain if not named.fullmatch(plain[name])} - called == set()


def test_llvm_is_written_by_the_compilers_the_generator_and_the_runtime_alone():
    for path in (ROOT / "kernels").rglob("*.py"):
        if not {"tiles", "runtime", "compiler"} & set(path.parts) and path.name != "ptx.py":
            assert not re.search(r"\b(import|from) llvmlite", path.read_text(encoding="utf-8")), path


_TRAIN = """
import sys
import numpy as np
import small_networks
from jitnet import kernels

assert kernels.__file__.startswith(sys.argv[2])
arrays = np.load(sys.argv[1])
for compiled in (False, True):
    model = small_networks.separable(compiled)
    model.set_weights([arrays[f"start{i}"] for i in range(len(model.get_weights()))])
    x, y = small_networks.images()
    losses = [model.train_on_batch(x, y) for _ in range(4)]
    np.testing.assert_allclose(losses, arrays["losses"], rtol=2e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), arrays["predictions"], rtol=2e-4, atol=1e-6)
    for i, weight in enumerate(model.get_weights()):
        np.testing.assert_allclose(weight, arrays[f"end{i}"], rtol=2e-4, atol=2e-6)
assert not [name for name in sys.modules if "cpu.fast" in name or "cpu.tiles" in name or name.startswith("k_")]
"""


def test_everything_runs_without_the_specialised_kernels(tmp_path):
    """A copy of jitnet without kernels/cpu/fast and kernels/cpu/tiles trains as the whole one does."""
    x, y = small_networks.images()
    model = small_networks.separable()
    arrays = {f"start{i}": weight for i, weight in enumerate(model.get_weights())}
    arrays["losses"] = [model.train_on_batch(x, y) for _ in range(4)]
    assert arrays["losses"][-1] < arrays["losses"][0]
    assert "conv2d_forward_3x3_2_10" in model._step("train").source, "it has specialised kernels here"
    arrays["predictions"] = model.predict(x, verbose=0)
    arrays |= {f"end{i}": weight for i, weight in enumerate(model.get_weights())}
    np.savez(tmp_path / "arrays.npz", **arrays)
    for folder in ("jitnet", "kernels", "datasets"):
        ignored = shutil.ignore_patterns("__pycache__", "fast", "tiles")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    assert not (tmp_path / "kernels" / "cpu" / "fast").exists()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "tests")])}
    command = [sys.executable, "-W", "error", "-c", _TRAIN, str(tmp_path / "arrays.npz"), str(tmp_path)]
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
