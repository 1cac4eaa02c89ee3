"""kernels/cuda has the twins of the kernels of kernels/cpu/*.py, and nothing else; and what it may import."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_cases import LAUNCHED, assert_twins
from test_reference_kernels import kernels, public_functions

from jitnet.kernels.cuda import training
from jitnet.kernels.cuda._api import cuda, kernel, launch

ROOT = Path(__file__).resolve().parent.parent
CUDA = sorted((ROOT / "kernels" / "cuda").glob("*.py"))


def twins() -> dict:
    """{"family.function": function} of the public functions of kernels/cuda."""
    found = {}
    for path in CUDA:
        if path.stem[0] == "_":
            continue
        module = importlib.import_module(f"jitnet.kernels.cuda.{path.stem}")
        found |= {f"{path.stem}.{name}": value for name, value in public_functions(module).items()}
    return found


def signature(function) -> list:
    """Names, order and defaults of the parameters."""
    parameters = inspect.signature(getattr(function, "py_func", function)).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def test_every_kernel_has_a_twin_and_nothing_else_is_public():
    cpu, found = kernels(), twins()
    assert sorted(found) == sorted(cpu)
    assert [name for name in cpu if signature(cpu[name]) != signature(found[name])] == []
    assert [name for name, twin in found.items() if not inspect.isfunction(twin) or not twin.__doc__] == []


def test_one_file_imports_numba_cuda():
    pattern = re.compile(r"^\s*(import|from) +numba\.cuda|from numba import.*\bcuda\b", re.M)
    for folder in ("jitnet", "kernels", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            assert bool(pattern.search(path.read_text(encoding="utf-8"))) == (path.name == "_api.py"), path


def test_kernels_do_not_reach_into_modules():
    """A body's global names are replaced for a device; what it finds behind a module's dot would not be."""
    for path in CUDA:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        bodies = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            and {"kernel", "function"} & {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
        ]
        ours = {
            (alias.asname or alias.name)
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.level and not (node.module or "").rpartition(".")[2]
            for alias in node.names
        }
        for body in bodies:
            used = {
                n.value.id for n in ast.walk(body) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
            }
            assert not used & (ours - {"cuda", "real"}), f"{path.name}: {body.name}"


_WITHOUT = """
import sys
from pathlib import Path

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba_cuda", "cuda") or name.startswith("numba.cuda"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuses())
import importlib
for path in Path(sys.argv[1]).glob("*.py"):
    importlib.import_module(f"jitnet.kernels.cuda.{path.stem}")
assert "numba" not in sys.modules, "the kernels of CUDA need no Numba before they run"
from jitnet.kernels.cuda import _api
for attempt in (_api.Device, lambda: _api.compile_ptx(None, (), (9, 0))):
    try:
        attempt()
    except _api.CudaError as error:
        assert str(error).startswith("CUDA needs the package numba-cuda: pip install 'jitnet[cuda13]'. Received: ")
    else:
        raise AssertionError("no error")
"""


def test_without_numba_cuda_there_is_one_clear_error():
    command = [sys.executable, "-W", "error", "-c", _WITHOUT, str(ROOT / "kernels" / "cuda")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_wrong_twin_is_noticed(monkeypatch):
    """The comparison of twins sees another sign, and a launch that does nothing."""

    @kernel
    def _wrong(values, factor):
        for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
            values[i] *= -factor[0]

    values = np.arange(1, 6, dtype=np.float32)
    before = dict(LAUNCHED)
    monkeypatch.setattr(training, "scale", lambda values, factor: launch(_wrong, 1, 32, values, factor))
    with pytest.raises(AssertionError, match=r"training\.scale: values"):
        assert_twins("training", "scale", values, 0.5)
    monkeypatch.setattr(training, "scale", lambda values, factor: None)
    with pytest.raises(AssertionError, match=r"training\.scale: values"):
        assert_twins("training", "scale", values, 0.5)
    LAUNCHED.clear()
    LAUNCHED.update(before)
