"""kernels/cuda has the twins of the kernels of kernels/cpu/*.py, and nothing else; and what it may import."""

import ast
import builtins
import importlib
import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import numba
import numpy as np
import pytest
from cuda_cases import LAUNCHED, assert_twins
from test_reference_kernels import kernels, public_functions

from jitnet.kernels.cuda import _api, training
from jitnet.kernels.cuda._api import cuda, kernel, launch
from jitnet.targets.cuda import devices

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


def importing(monkeypatch, module, answer):
    """Let ``import module`` find or raise ``answer``."""

    def imports(name, *arguments, original=builtins.__import__):
        if name != module:
            return original(name, *arguments)
        if isinstance(answer, Exception):
            raise answer
        return types.SimpleNamespace(cuda=answer)

    monkeypatch.setattr(builtins, "__import__", imports)


@pytest.mark.parametrize(
    ("module", "answer", "expected"),
    [
        ("numba.cuda", ImportError("no such package"), "needs the package numba-cuda: .* Received: no such package"),
        ("numba.cuda", types.SimpleNamespace(implementation="Built-in"), "Numba's own .*implementation='Built-in'"),
        ("numba.cuda", types.SimpleNamespace(), "Numba's own module doesn't do"),
        ("numba.cuda.np.arrayobj", AttributeError("no row_stack"), r"this NumPy: .* NumPy \d+\..*, no row_stack"),
    ],
)
def test_what_to_install(module, answer, expected, monkeypatch):
    """One message, which `jitnet info` shows, too."""
    numba_cuda = _api.numba_cuda.__wrapped__
    if module == "numba.cuda.np.arrayobj":
        both = types.SimpleNamespace(implementation="NVIDIA")
        monkeypatch.setitem(sys.modules, "numba.cuda", both)
        monkeypatch.setattr(numba, "cuda", both, raising=False)
    importing(monkeypatch, module, answer)
    monkeypatch.setattr(_api, "numba_cuda", numba_cuda)
    with pytest.raises(RuntimeError, match=expected) as error:
        numba_cuda()
    assert "pip install 'jitnet[cuda13]'" in str(error.value)
    assert devices.description() == f"no: {error.value}"


def bodies():
    """(file, module, tree of a function) of all kernels and device functions that are written as such."""
    for path in CUDA:
        module = importlib.import_module(f"jitnet.kernels.cuda.{path.stem}")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {d.id for d in getattr(node, "decorator_list", ()) if isinstance(d, ast.Name)}
            if names & {"kernel", "function"}:
                yield path, module, node


def test_kernels_do_not_reach_into_modules():
    """A body's global names are replaced for a device; what it finds behind a module's dot would not be."""
    assert len(list(bodies())) > 100
    for path, module, body in bodies():
        for node in ast.walk(body):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                reached = getattr(module, node.value.id, None)
                ours = isinstance(reached, types.ModuleType) and reached.__name__.startswith("jitnet.")
                assert not ours, f"{path.name}: {body.name}: {ast.unparse(node)}"


def test_shapes_of_arrays_in_kernels_are_constants():
    """An emulator takes any; a compiler takes numbers and names of numbers, alone or in a tuple."""
    for path, _, body in bodies():
        for node in ast.walk(body):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("cuda.shared.array", "cuda.local.array"):
                shape = node.args[0].elts if isinstance(node.args[0], ast.Tuple) else [node.args[0]]
                constant = all(isinstance(size, ast.Name | ast.Constant) for size in shape)
                assert constant, f"{path.name}: {body.name}: {ast.unparse(node)}"


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
