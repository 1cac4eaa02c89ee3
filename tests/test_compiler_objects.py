"""Object files of kernels: made, kept, read again, called from Python."""

import subprocess
import sys

import numpy as np
import pytest

from jitnet.kernels import compiler
from jitnet.kernels.compiler import ArrayType, machine, objects, sources, translation
from jitnet.kernels.cpu import reduction, shape
from jitnet.kernels.cpu.runtime import cache, processor
from jitnet.kernels.cpu.runtime.jit import kernel_attributes, scalar

VECTOR = ArrayType("float32", 1)


class Store(dict):
    """Object files in memory."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def read(self, name):
        self.asked.append(name)
        return self.get(name)

    write = dict.__setitem__


@scalar
def _checked(values, limit):
    total = 0.0
    for i in range(values.size):
        if values[i] > limit:
            raise ValueError("a value is above the limit")
        total += values[i]
    return total


def checked(values, limit, out):
    kernel_attributes()
    for _ in range(3, 0, -int(limit)):
        out[0] += 1
    out[0] += _checked(values, limit)
    if out[0] < 0:
        raise ArithmeticError("a negative sum")
    out[1] = values.reshape(2, -1).size
    out[2] = (1, 2, 3)[values.size]


def test_errors_have_class_message_and_kernel():
    call = compiler.compile(checked, (VECTOR, "float64", VECTOR))
    out = np.zeros(3, np.float32)
    call(np.array([1, 2], np.float32), 2, out)
    assert out.tolist() == [6.0 - 1, 2.0, 3.0]
    for values, limit, kind, message in (
        ([1, 3], 2, ValueError, "a value is above the limit"),
        ([1, -90], 2, ArithmeticError, "a negative sum"),
        ([1, 1, 1], 2, ValueError, "total size of new array must be unchanged"),
        ([1, 1, 1, 1], 2, IndexError, "tuple index out of range"),
        ([1, 1], 0, ValueError, "range.. arg 3 must not be zero"),
    ):
        with pytest.raises(kind, match=message) as caught:
            call(np.array(values, np.float32), limit, np.zeros(3, np.float32))
        assert caught.value.__notes__ == ["Raised by the kernel 'checked'."]


def test_arguments_are_checked():
    call = compiler.compile(shape.fill, (ArrayType("float32", 2), "float64"))
    good = np.zeros((2, 3), np.float32)
    call(good, 3)
    call(good, np.float32(3))
    assert (good == 3).all()
    for wrong in (good.T, good[:, :2], good.astype(float), good.ravel(), 3, None):
        with pytest.raises(TypeError, match=r"fill takes a C-contiguous array of float32 with 2 axes. Received: "):
            call(wrong, 3.0)
    for wrong in ("3", None, good):
        with pytest.raises(TypeError, match=r"fill takes a number of float64. Received: "):
            call(good, wrong)
    with pytest.raises(TypeError, match=r"fill takes 2 arguments. Received: 1"):
        call(good)
    counts = compiler.compile(shape.transpose_forward, (VECTOR, VECTOR, ("int64",) * 4, ("int64",) * 4))
    with pytest.raises(TypeError, match=r"transpose_forward takes a number of int64. Received: 2.5"):
        counts(good.ravel(), good.ravel(), (1, 1, 2, 2.5), (1, 1, 1, 1))
    with pytest.raises(TypeError, match="transpose_forward takes a tuple of 4"):
        counts(good.ravel(), good.ravel(), (1, 1, 2), (1, 1, 1, 1))


def test_a_kernel_that_calls_another_comes_out_of_the_store_with_it():
    store, target = Store(), machine.host()
    types = ArrayType("float64", 2), ArrayType("float64", 1), "int64", "int64"
    function = sources.python_function(reduction.mean_forward)
    first = objects.obtain(function, types, target, store)
    assert list(store) == [objects.file_name(first.symbol, target)]
    (called,) = first.calls
    assert called[1:3] == ("jitnet.kernels.cpu.reduction", "sum_forward")
    again = objects.obtain(function, types, target, store)
    assert again == first
    assert len(store.asked) == 2

    store = Store()
    call = compiler.compile(reduction.mean_forward, types, target, store)
    assert len(store) == 2 or first.symbol in objects._loaded
    x, y = np.arange(6.0).reshape(2, 3), np.zeros(2)
    call(x, y, 3, 1)
    assert y.tolist() == [1.0, 4.0]


def test_damaged_files_are_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path))
    function, target = sources.python_function(shape.copy_forward), processor.machine()
    types = ArrayType("float32", 3), ArrayType("float32", 3)
    made = objects.obtain(function, types, target, cache)
    (file,) = tmp_path.glob("objects/*.o")
    content = file.read_bytes()
    compiled = []
    real = machine.object_code
    monkeypatch.setattr(machine, "object_code", lambda *given: compiled.append(given) or real(*given))
    assert objects.obtain(function, types, target, cache) == made
    assert not compiled
    for damaged in (content[:-1], content[:80] + bytes([content[80] ^ 1]) + content[81:], b"", b"\0" * len(content)):
        compiled.clear()
        file.write_bytes(damaged)
        assert objects.obtain(function, types, target, cache) == made
        assert len(compiled) == 1
        assert file.read_bytes() == content


def test_names_tell_apart_what_differs():
    def symbols():
        scope = {}
        for text in ("x[0] = A", "x[0] = A + 1", "x[0] = _f(A)"):
            scope |= {"A": len(scope), "_f": _checked}
            exec(f"def f(x):\n    {text}\n", scope)
            yield translation.symbol_of(scope["f"], (VECTOR,))
        scope["A"] = 55
        exec("def f(x):\n    x[0] = _f(A)\n", scope)
        yield translation.symbol_of(scope["f"], (VECTOR,))
        yield translation.symbol_of(scope["f"], (ArrayType("float64", 1),))
        exec("def f(x):\n    x[0] = _f(A)\n", scope)
        scope["f"].compiled_with = {"fastmath": False}
        yield translation.symbol_of(scope["f"], (VECTOR,))

    found = list(symbols())
    assert len(set(found)) == len(found) == 6
    host = machine.host()
    others = [host, host._replace(name="haswell"), host._replace(features="-avx"), host._replace(triple="aarch64")]
    assert len({objects.file_name(found[0], other) for other in others}) == 4


def test_no_numba_is_imported():
    code = """
import sys, numpy
from jitnet.kernels import compiler
from jitnet.kernels.compiler import machine
from jitnet.kernels.cpu.runtime import processor
def f(x):
    for i in range(x.size):
        x[i] = i * 2
f.source = "def f(x):\\n    for i in range(x.size):\\n        x[i] = i * 2\\n"
x = numpy.zeros(5, numpy.float32)
compiler.compile(f, (compiler.type_of(x),), processor.machine())(x)
assert x.tolist() == [0, 2, 4, 6, 8]
assert not any(name.split(".")[0] == "numba" for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "features", "triple"),
    [("haswell", "", None), ("x86-64", "", None), ("generic", "+neon", "aarch64-unknown-linux-gnu")],
)
def test_other_machines(name, features, triple):
    target = machine.Machine(name, features, triple or machine.host().triple)
    if triple is not None:
        import llvmlite.binding as llvm

        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    code = objects.make(sources.python_function(shape.copy_forward), (VECTOR, VECTOR), target).code
    assert int.from_bytes(code[18:20], "little") == (183 if triple else 62)  # of ELF: aarch64, x86-64
