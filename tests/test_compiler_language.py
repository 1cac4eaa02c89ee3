"""What the compiler makes of each construct of Python is what Numba makes of it; the rest is refused."""

import math
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jitnet.kernels import compiler
from jitnet.kernels.compiler import machine
from jitnet.kernels.cpu.runtime import arrays, dispatchers, vector_math  # noqa: F401 (Numba knows the functions then)
from jitnet.kernels.cpu.runtime.arrays import view
from jitnet.kernels.cpu.runtime.jit import apart, kernel_attributes, numba, scalar

TABLE = (1.5, -2.0, 0.25), (4.0, 8.0, -16.0)
LIMIT = np.uint64(3)


def check(function, *arguments):
    """Call a function compiled by both compilers, without fast arithmetic; the bits of all arrays must be equal."""
    function.compiled_with = {"fastmath": False}
    copies = [[a.copy() if isinstance(a, np.ndarray) else a for a in arguments] for _ in range(2)]
    compiler.compile(function, tuple(map(compiler.type_of, arguments)))(*copies[0])
    numba.njit(error_model="numpy")(function)(*copies[1])
    for ours, right in zip(*copies, strict=True):
        if isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, right)
            assert ours.tobytes() == right.tobytes()
    return copies[0]


# ---- numbers


def integer_arithmetic(a, b, out):
    for i in range(a.size):
        x, y = a[i], b[i]
        out[0, i] = x + y
        out[1, i] = x - y
        out[2, i] = x * y
        out[3, i] = x // y
        out[4, i] = x % y
        q, r = divmod(x, y)
        out[5, i] = q ^ r
        out[6, i] = (x & y) | (x ^ 5)
        out[7, i] = (x << 3) >> 1
        out[8, i] = -x + abs(y) * abs(x) - abs(x > y)
        out[9, i] = min(x, y) + max(x, y, 3)
        out[10, i] = x // 4 + x % 8 + x // 7 + x % 7
        out[11, i] = (x < y) + 2 * (x <= y) + 4 * (x > y) + 8 * (x >= y) + 16 * (x == y) + 32 * (x != y)
        out[12, i] = x // -3 + x % -5
        z = x if x > y else 7
        out[13, i] = z


@pytest.mark.parametrize("dtypes", [("int64", "int64"), ("uint8", "uint8"), ("int8", "uint32")])
def test_integers(dtypes):
    generator = np.random.default_rng(0)
    limits = [np.iinfo(dtype) for dtype in dtypes]
    a, b = (generator.integers(limit.min, limit.max, 60, dtype=limit.dtype) for limit in limits)
    a[:8], b[:8] = [0, 1, 7, limits[0].max, limits[0].min, 3, 120, 5], [0, 1, 2, 1, limits[1].max, 0, 7, 3]
    if dtypes[0] == "int64":
        a[8], b[8:20] = limits[0].min, np.arange(-6, 6)
        b[8] = -1
    check(integer_arithmetic, a, b, np.zeros((14, a.size), np.int64))


def float_arithmetic(a, b, k, out):
    for i in range(a.size):
        x, y = a[i], b[i]
        out[0, i] = x + y * 2
        out[1, i] = x / y - k[i]
        out[2, i] = x * k[i] + 1.5
        out[3, i] = -x if x < y else abs(y)
        out[4, i] = min(x, y) - max(x, y)
        out[5, i] = (x < y) + 2 * (x <= y) + 4 * (x > y) + 8 * (x >= y) + 16 * (x == y) + 32 * (x != y)
        out[6, i] = not x
        out[7, i] = x**3 + np.float32(y) ** abs(k[i]) + (abs(x) + 1) ** -2
        out[8, i] = k[i] / 3 + (abs(x) + 1) ** k[i] + np.float32(0.9999) ** (k[i] * 50000) + 0.99999 ** (k[i] * 50000)
        out[9, i] = int(y * 10) if y == y and abs(y) < 1e6 else -1
        out[10, i] = type(x)(k[i]) + a.dtype.type(0.1) + np.float32(0.1) + float(k[i])
        out[11, i] = math.sqrt(abs(x)) + np.sqrt(abs(y)) + math.pi
        out[12, i] = math.exp(x) if x < 1 else math.log1p(x)
        out[13, i] = math.copysign(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats(dtype):
    special = [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e-30, -2.5]
    a = np.repeat(special, len(special)).astype(dtype)
    b = np.tile(special, len(special)).astype("float32")
    check(float_arithmetic, a, b, np.arange(a.size) % 7 - 3, np.zeros((14, a.size)))


def stores(a, b, c, d, e):
    for i in range(a.size):
        b[i] = a[i]
        c[i] = a[i]
        d[i] = a[i] > 1
        e[i] = d[i] + LIMIT
        b[i] += 3
        c[i] -= d[i]


def test_stores_convert():
    a = np.array([0.0, 1.0, 2.0, 100.0, 3.75])
    check(stores, a, np.zeros(5, np.uint8), np.zeros(5, np.float32), np.zeros(5, bool), np.zeros(5, np.int32))


# ---- ways through a function


def ways(a, out):
    count = 0
    total = 0
    for i in range(a.size):
        if a[i] > 100:
            break
        if a[i] < 0:
            continue
        total = total + a[i]  # a float from now on
        count += 1
        for j in range(2):
            for j in range(3):
                count += j
    out[0], out[1] = total, count
    k = a.size
    while k > 0 and a[k - 1] != 5:
        k = k // 2
        if k == 3:
            break
    out[2] = k
    for i in range(10, -1, -3):
        out[3] += i * out[2]
    for i in range(2, a.size, 2):
        out[4] += i
    step = k + 1
    for i in range(0, 20, step):
        out[5] = i
    for i in range(20, 0, -step):
        out[6] += i
    for name in (3, 4, 6):
        out[7] += name
    x = y = count
    out[8] = x if 0 <= x < 10 <= y else y + 0.5
    out[9] = x and y
    out[10] = x == 0 or a[0] > 1 or y
    if x:
        z = 1
    elif y:
        z = 2
    else:
        z = 3.5
    out[11] = z
    if a[0] > 1000:
        return
    out[12] = 1


@pytest.mark.parametrize("values", [[1, 2, 3, 5, 7, 9], [1, -1, 200, 2, 3], [], [5000.0], [0.5, 1, 2, 3, 4, 5, 6, 8]])
def test_ways(values):
    if not values:
        check(empty_ways, np.zeros(0), np.zeros(3))
        return
    check(ways, np.array(values, float), np.zeros(13))


def empty_ways(a, out):
    for i in range(a.size):
        out[0] = a[i]
    out[1:] = 4


# ---- arrays


def parts(a, n, out):
    x = a.reshape(-1)
    rows = x.reshape(a.shape[0], -1)
    out[0] = x.size + a.shape[-1] * 100 + a.ndim + a.itemsize + a.strides[0] + len(a)
    row = a[1]
    row[0, n] = -1
    out[1] = row.size + a[0, 1].size
    last = x[n : n + 1000]
    out[2] = last.size + x[100000:].size + x[: n + 2].size + x[3:2].size + x[n - 2 :].size
    every = x[1 : n + 9 : n]
    for i in range(every.size):
        every[i] = i
    out[3] = every.size
    a[0, :n] = 7
    a[1, 1, 1:] = x[: a.shape[2] - 1]
    a[0, 0, 0], a[0, 0, 1] = a[0, 0, 1], a[0, 0, 0]
    b = rows[0] if n == 2 else x
    out[4] = b.size
    index = (1, 0)
    out[5] = a[index][n] + x[np.uint8(3)]
    same = x.ctypes.data == a.ctypes.data
    out[6] = same + (x[1:].ctypes.data == x.ctypes.data)


def test_parts_of_arrays():
    check(parts, np.arange(24, dtype=np.float32).reshape(2, 3, 4), 2, np.zeros(7))


def memory(a, base, out):
    kernel_attributes()
    arrays.separate_arrays()
    space = arrays.scratch(a.dtype)
    few = arrays.stack_array(np.int64, 4)
    flat = arrays.flat(a)
    for i in range(flat.size):
        space[i] = flat[i] + 1
    few[1] = arrays.address(flat, 3) - arrays.address(a, 0)
    out[0] = space[flat.size - 1] + few[1]
    seen = view(base, 16, (2, 3), np.float32)
    seen[1, 2] = 5
    arrays.prefetch(a, 0)
    words = base[:8].view(np.uint32)
    out[1] = words[1]
    words[0] = 77


def test_memory():
    check(memory, np.ones((2, 2), np.float32), np.arange(64, dtype=np.uint8), np.zeros(2))


# ---- functions


@scalar
def _clipped(x, low, high=3):
    if x < low:
        return low
    if x > high:
        return high
    return x


@scalar
def _sum(values):
    total = 0.0
    for i in range(values.size):
        if values[i] < 0:
            return -1.0
        total += values[i]
    return total


@scalar
def _fill(values, value):
    for i in range(values.size):
        values[i] = value


@scalar
def _pair(x):
    return x + 1, (x * 2, x)


@scalar
def _apply(function, x):
    return function(x, high=9, low=type(x)(1))


def calls(a, shape, out):
    for i in range(a.size):
        out[0] += _clipped(a[i], 2)
        first, (second, third) = _pair(a[i])
        out[1] += first * second - third
        out[2] += _apply(_clipped, a[i])
        out[3] += TABLE[i % 2][1] + TABLE[1][i % 3]
    out[4] = _sum(a) + _sum(a[:2]) + _sum(a[2:])
    _fill(out[5:7], 8)
    both = a[:1], a[1:]
    out[7] = _sum(both[1]) + len(both)
    n, m = shape
    out[8] = n - m + (1, 2, 3)[-1] + shape[1:][0]


def test_functions():
    check(calls, np.array([1.0, 5.0, 2.5, 4.0]), (2, 3), np.zeros(9))


@apart
def _checked(values, at):
    if at >= values.size:
        raise IndexError("nothing there")
    for i in range(at):
        values[i] += 1
    return values[at]


@apart
def _twice(values, at):
    total = 0.0
    for _ in range(2):
        total += _checked(values, at)
    return total + _sum(values)


def calls_apart(a, out):
    out[0] = _twice(a, 1) + _twice(a, 2)
    out[1] = _checked(out, 0)
    for i in range(3):
        out[2] += _checked(a, i)


def test_functions_apart():
    """They are there once, as what several places call."""
    check(calls_apart, np.array([1.0, 5.0, 2.5, 4.0]), np.zeros(3))
    types = [compiler.type_of(np.zeros(1))] * 2
    ir = str(machine.optimised(compiler.translate(calls_apart, types), machine.host()))
    for name in ("_checked", "_twice"):
        assert len(re.findall(rf"define internal .*@{name}.part", ir)) == 1
    assert len(re.findall("call .*@_checked.part", ir)) >= 3 and len(re.findall("call .*@_twice.part", ir)) == 2
    with pytest.raises(IndexError, match="nothing there"):
        compiler.compile(calls_apart, types)(np.zeros(2), np.zeros(3))


def mathematics(a, out):
    for i in range(a.size):
        out[0, i] = vector_math.exp(a[i])
        out[1, i] = vector_math.log(a[i])
        out[2, i] = vector_math.tanh(a[i])
        out[3, i] = vector_math.erf(a[i])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mathematics(dtype):
    check(mathematics, np.array([-1.0, 0.0, 0.3, 2.0, 88.0, np.inf, np.nan], dtype), np.zeros((4, 7), dtype))


# ---- random kernels

_NAMES = "abcd"  # int64, float64, float32, uint8
_leaf = st.sampled_from([*_NAMES, "t", "u", "1", "3", "2.5", "i", "np.float32(0.5)"])


def _more(children):
    operator = st.sampled_from(["+", "-", "*", "+", "min", "max", "<", "=="])
    two = st.tuples(operator, children, children).map(
        lambda x: f"{x[0]}({x[1]}, {x[2]})" if x[0] in ("min", "max") else f"({x[1]} {x[0]} {x[2]})"
    )
    choice = st.tuples(children, children, children).map(lambda x: f"({x[0]} if {x[1]} > {x[2]} else {x[0]} * 2)")
    return two | choice | children.map(lambda x: f"abs({x})") | children.map(lambda x: f"-{x}")


_expression = st.recursive(_leaf, _more, max_leaves=5)


@st.composite
def _kernels(draw):
    lines = ["def random_kernel(A, B, C, D, out):", "    t, u = 0, 0.5", "    for i in range(A.size):"]
    lines.append("        a, b, c, d = A[i], B[i], C[i], D[i]")
    for row in range(8):
        expression = draw(_expression)
        kind = draw(st.sampled_from(["plain", "if", "loop", "variable"]))
        if kind == "if":
            lines += [f"        if {expression}:", f"            u = {draw(_expression)}"]
        elif kind == "loop":
            value = draw(st.sampled_from(["i", "t", "a"]))
            lines += [f"        for j in range(i % {row + 1}):", f"            t = j + {value}"]
        elif kind == "variable":
            lines.append(f"        t = {draw(st.sampled_from(['i + 1', 'a', 't + 1']))}")
        lines.append(f"        out[{row}, i] = {expression}")
    return "\n".join([*lines, ""])


@settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(_kernels())
def test_random_kernels(source):
    scope = {"np": np}
    exec(source, scope)
    function = scope["random_kernel"]
    function.source = source
    generator = np.random.default_rng(0)
    floats = generator.normal(size=40)
    integers = generator.integers(-5, 5, 40)
    arrays_ = integers, floats, floats.astype(np.float32)[::-1].copy(), (integers + 5).astype(np.uint8)
    check(function, *arrays_, np.zeros((8, 40)))
