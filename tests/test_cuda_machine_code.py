"""Machine code of CUDA kernels: what its names on disk depend on, and that later processes find it."""

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import test_cuda_host as host

import jitnet
from jitnet.files.cache import cached_files
from jitnet.kernels.cuda import _api, _machine_code
from jitnet.kernels.cuda._machine_code import Code, Unkeyed

TESTS = Path(__file__).resolve().parent
driver = host.driver
with_driver = pytest.mark.skipif(host.missing() is not None, reason=str(host.missing()))

# ---- names

KINDS = ("float32", 1), ("float64", 1)
SOURCE = """
WIDTH = 4
LIMITS = (1.5, 2)

@function
def inner(value):
    return value + 1

@function
def twice(value):
    return 2 * inner(value)

def of(factor):
    @kernel
    def scale(values, other):
        for i in range(cuda.grid(1), values.size, WIDTH):
            values[i] = copy_word(real(factor) * twice(inner(values[i])) + math.sqrt(LIMITS[0]) + np.int32(3))
    return scale

scale = of(3)
"""


@pytest.fixture(autouse=True)
def compilers(monkeypatch):
    """Names can be made where numba-cuda is missing."""
    monkeypatch.setattr(_machine_code, "_compilers", lambda: "numba-cuda 1.2")


def instruction(tmp_path, text="define = 1", closure=1, name="copy_word"):
    path = tmp_path / "instructions.py"
    path.write_text(f"def make(closure):\n    def define():\n        return closure\n    return define\n{text}\n")
    scope = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    _machine_code._file_hash.cache_clear()
    return _api.Intrinsic(name, scope["make"](closure))


def name_of(tmp_path, old="", new="", kinds=KINDS, capability=(9, 0), options=_api._OPTIONS, **told):
    """The name of the source's kernel after a change."""
    assert old in SOURCE
    import math

    made = instruction(tmp_path, **told)
    scope = {"function": _api.function, "kernel": _api.kernel, "cuda": _api.cuda, "np": np, "math": math}
    scope |= {"real": float, "copy_word": made, "__name__": "tests.written"}
    exec(compile(SOURCE.replace(old, new), "<written>", "exec"), scope)
    return _machine_code.file_name(scope["scale"], kinds, _api.real_of(kinds), capability, options)


def test_the_same_source_has_the_same_name(tmp_path):
    name = name_of(tmp_path)
    assert re.fullmatch(r"objects/scale_[0-9a-f]{24}-[0-9a-f]{16}\.cubin", name)
    assert name_of(tmp_path) == name
    assert name_of(tmp_path, "def inner", "\n\n# a line is no code\ndef inner") == name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WIDTH = 4", "WIDTH = 5"),
        ("WIDTH = 4", "WIDTH = 4.0"),
        ("WIDTH = 4", "WIDTH = np.int64(4)"),
        ("WIDTH = 4", "WIDTH = np.int32(4)"),
        ("LIMITS = (1.5, 2)", "LIMITS = (1.5, 2.0)"),
        ("LIMITS = (1.5, 2)", "LIMITS = np.array((1.5, 2))"),
        ("of(3)", "of(4)"),
        ("of(3)", "of(True)"),
        ("value + 1", "value + 2"),
        ("value + 1", "value - 1"),
        ("2 * inner(value)", "2 * value"),
        ("math.sqrt", "math.exp"),
        ("np.int32", "np.int64"),
        ("@function\ndef inner", "from functools import partial\n@partial(function, real=np.float64)\ndef inner"),
        ("def inner(value):", "def inner(value, by=3):"),
        ("twice(inner(", "inner(twice("),
    ],
)
def test_another_body_has_another_name(tmp_path, old, new):
    before, after = name_of(tmp_path), name_of(tmp_path, old, new)
    assert before.split("_")[1].split("-")[0] != after.split("_")[1].split("-")[0]
    assert before.split("-")[1] == after.split("-")[1]


def test_what_else_the_name_depends_on(tmp_path, monkeypatch):
    double = ("float64", 1), ("float64", 1)
    found = [
        name_of(tmp_path),
        name_of(tmp_path, kinds=double),
        name_of(tmp_path, kinds=(("float32", 2), ("float64", 1))),
        name_of(tmp_path, kinds=(*KINDS, "bool")),
        name_of(tmp_path, kinds=(*KINDS, "int64")),
        name_of(tmp_path, kinds=(*KINDS, ("int64",))),
        name_of(tmp_path, capability=(8, 0)),
        name_of(tmp_path, options={"fastmath": True}),
        name_of(tmp_path, text="define = 2"),
        name_of(tmp_path, closure=2),
        name_of(tmp_path, name="copy_other"),
    ]
    monkeypatch.setattr(_machine_code, "_compilers", lambda: "numba-cuda 1.3")
    found.append(name_of(tmp_path))
    monkeypatch.setenv("NUMBA_OPT", "1")
    found.append(name_of(tmp_path))
    assert len(set(found)) == len(found)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")  # of another target
    assert name_of(tmp_path) == found[-1]


@pytest.mark.parametrize(
    "value", [{"a": 1}, [1], {1}, object(), os, np.array([None]), lambda: 1, np.add, types.SimpleNamespace(a=1)]
)
def test_what_has_no_name(value):
    def body(values):
        values[0] = value

    with pytest.raises(Unkeyed, match="it reads"):
        _machine_code.file_name(_api.kernel(body), KINDS, np.float32, (9, 0), {})
    with pytest.raises(Unkeyed, match="it reads"):
        value = (1, value)
        _machine_code.file_name(_api.kernel(body), KINDS, np.float32, (9, 0), {})


def test_an_instruction_without_a_source(tmp_path):
    made = instruction(tmp_path)
    (tmp_path / "instructions.py").unlink()

    def body(values):
        values[0] = made(1)

    with pytest.raises(Unkeyed, match=r"instructions\.py"):
        _machine_code.file_name(_api.kernel(body), KINDS, np.float32, (9, 0), {})


ALL = """
import importlib, json, pkgutil
import numpy as np
from jitnet.kernels import cuda
from jitnet.kernels.cuda import _api, _machine_code, _operands, _pointwise, _tensor_cores
_machine_code._compilers = lambda: ""
kernels = []
for found in pkgutil.iter_modules(cuda.__path__):
    kernels += vars(importlib.import_module(f"{cuda.__name__}.{found.name}")).values()
kernels = [value for value in kernels if isinstance(value, _api.Kernel)]
chain = _pointwise.pointwise(("gelu",), ("x", "y"), (), ("a",), ("y[i] = gelu(x[i]) * a",))
kernels += [cell.cell_contents._by_quads for cell in chain.__closure__ if hasattr(cell.cell_contents, "_by_quads")]
print(json.dumps([_machine_code.file_name(kernel, (), np.float32, (9, 0), {}) for kernel in kernels]))
"""


def test_every_kernel_has_the_same_name_in_every_process():
    """The order of sets changes from one to the next."""
    found = []
    for seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        result = subprocess.run([sys.executable, "-c", ALL], capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stderr
        found.append(json.loads(result.stdout))
    assert found[0] == found[1]
    assert len(found[0]) > 100 and any("gelu" in name for name in found[0][-1:])
    assert len(set(found[0])) == len(found[0])


def test_files():
    code = Code("_ZN5scaleE", bytes(range(256)))
    assert Code.decoded(code.encoded()) == code
    assert Code.decoded(Code("f", b"").encoded()) == Code("f", b"")


def test_other_values_are_no_arguments():
    for value in (1.5, np.float32(1.5), "text", None):
        with pytest.raises(_api.CudaError, match="floats are arrays of one element"):
            _api.types_of((value,))
    assert _api.types_of((np.int32(1), np.bool_(True), (), (np.uint8(3), True))) == (
        "int64", "bool", (), ("int64", "bool")
    )  # fmt: skip


# ---- launches, by numba-cuda on a driver that pretends


def run(check, driver, cache=None, warnings="error"):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CUDA_", "NUMBA_CUDA_"))}
    environment |= {"LD_LIBRARY_PATH": str(driver), "PYTHONPATH": str(Path(jitnet.__file__).parent.parent)}
    environment |= {"JITNET_CACHE_DIR": str(cache)} if cache else {}
    command = [sys.executable, "-W", warnings, str(TESTS / "cuda_kept_code.py"), check]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout), result.stderr


@with_driver
def test_later_processes_compile_nothing(driver, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first, _ = run("epoch", driver, cache)
    files = {path: path.read_bytes() for path in sorted((cache / "objects").glob("*.cubin"))}
    assert len(files) == len(first["compiled"]) == first["loads"] > 10
    assert first["graphs"] == 2 and first["graph_launches"] == 6
    second, _ = run("epoch", driver, cache)
    assert second == {**first, "compiled": [], "dispatchers": 0}
    monkeypatch.setenv("JITNET_CACHE_DIR", str(cache))
    assert set(files) <= set(cached_files()["compiled kernels and steps"])

    # files that were altered are as if they weren't there
    (one, content), (two, other), (three, _), *_ = files.items()
    damaged = {
        one: content[:-1] + bytes([content[-1] ^ 1]),
        two: other[:-100],
        three: content,
    }  # that of another kernel
    for path, found in damaged.items():
        path.write_bytes(found)
    third, _ = run("epoch", driver, cache)
    names = [path.name.rpartition("_")[0] for path in damaged]
    assert sorted(third["compiled"]) == sorted(names) and third["loads"] == first["loads"]
    for path, content in files.items():
        assert path.read_bytes() != damaged[path] if path in damaged else path.read_bytes() == content
    assert run("epoch", driver, cache)[0] == second


@with_driver
def test_a_cache_that_takes_nothing(driver, tmp_path):
    (tmp_path / "file").write_text("in the way")
    found, said = run("epoch", driver, tmp_path / "file" / "cache", "default")
    assert len(found["compiled"]) == found["loads"] > 10
    assert said.count("RuntimeWarning") == 1 and "every process compiles anew" in said


@with_driver
@pytest.mark.parametrize("check", ["parameters", "stores", "without_a_key", "strides"])
def test_on_a_driver(check, driver):
    run(check, driver)
