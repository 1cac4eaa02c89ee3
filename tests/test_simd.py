"""Vector targets, modules of specialised kernels, and products of matrices on the generated tiles."""

import json
import linecache
import os
import subprocess
import sys

import naive.dense as naive
import numpy as np
import pytest
from naive import assert_close, draw

from jitnet.kernels import compiler
from jitnet.kernels.compiler import machine
from jitnet.kernels.cpu.fast.column_sums import bias_add_backward_kernel
from jitnet.kernels.cpu.fast.matrix_multiply import (
    matrix_multiply_kernel,
    matrix_multiply_panels_kernel,
    matrix_multiply_part_kernel,
    matrix_multiply_transposed_kernel,
)
from jitnet.kernels.cpu.fast.transpose import panels_kernel, transpose_kernel
from jitnet.kernels.cpu.runtime import generated
from jitnet.kernels.cpu.runtime.generated import specialised_module
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

TARGETS = [
    VectorTarget("avx512", 64, 32), VectorTarget("avx2", 32, 16), VectorTarget("neon", 16, 32),
    VectorTarget("plain", 16, 16),
]  # fmt: skip
SIZES = [(1, 1, 1), (0, 3, 2), (2, 0, 3), (1, 5, 7), (3, 2, 1), (8, 17, 64), (13, 31, 37), (17, 9, 131), (31, 64, 32)]
NO_WORKSPACE = np.empty(0, np.float32)

targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def guarded(array):
    """A copy of ``array`` with a margin of 7s around it, and a function that asserts that the margin is intact."""
    flat = np.full(array.size + 128, 7, array.dtype)
    inside = flat[64 : 64 + array.size].reshape(array.shape)
    inside[...] = array

    def intact():
        return (flat[:64] == 7).all() and (flat[64 + array.size :] == 7).all()

    return inside, intact


def test_target_of_the_host_and_its_override(monkeypatch):
    monkeypatch.delenv("JITNET_SIMD", raising=False)
    assert vector_target().name in {target.name for target in TARGETS}
    for target in TARGETS:
        monkeypatch.setenv("JITNET_SIMD", target.name)
        assert vector_target() == target
    monkeypatch.setenv("JITNET_SIMD", "mmx")
    with pytest.raises(ValueError, match="Received: JITNET_SIMD=mmx"):
        vector_target()


def test_lanes_are_no_wider_than_what_they_hold():
    avx512 = TARGETS[0]
    assert [avx512.lanes("float32", count) for count in (1, 4, 5, 6, 8, 9, 16, 17, 100)] == [4, 4, 8, 8, 8] + [16] * 4
    assert avx512.lanes("float64") == 8
    assert TARGETS[3].lanes("float64") == 2


@targets
@pytest.mark.parametrize(
    "dtype,tolerance,planned", [("float32", 1e-5, 100), ("float32", 1e-5, 3), ("float64", 1e-12, 100)]
)
def test_products_of_matrices(target, dtype, tolerance, planned):
    plan = matrix_multiply_transposed_kernel(1, 1, planned, dtype, "accumulate", target)
    assert ("narrow" in plan.name) == (planned == 3)
    gradient = plan.kernel()
    multiply = matrix_multiply_kernel(1, 1, planned, dtype, "accumulate", target).kernel()
    transpose = transpose_kernel(dtype, target).kernel()
    for rows, depth, columns in SIZES:
        x, w = draw(rows, depth, dtype=dtype, seed=0), draw(depth, columns, dtype=dtype, seed=1)
        before = draw(rows, columns, dtype=dtype, seed=2)
        y, intact = guarded(before)
        multiply(x, w, y, NO_WORKSPACE.astype(dtype))
        assert_close(y, before + naive.dense_forward(x, w), tolerance * (1 + depth))
        assert intact()

        start = draw(depth, columns, dtype=dtype, seed=3)
        dw, intact = guarded(start)
        first, last = depth // 3, depth - depth // 5
        gradient(x, before, dw, first, last)
        expected = start.astype(float)
        expected[first:last] += naive.dense_backward_filter(x, before)[first:last]
        assert_close(dw, expected, tolerance * (1 + rows))
        assert intact()

        transposed, intact = guarded(np.zeros((columns, depth), dtype))
        transpose(w.reshape(1, 1, *w.shape), transposed.reshape(-1), 1, 1)
        assert (transposed == w.T).all()
        assert intact()


@targets
@pytest.mark.parametrize("dtype,tolerance", [("float32", 1e-6), ("float64", 1e-14)])
def test_sums_over_rows(target, dtype, tolerance):
    sum_rows = bias_add_backward_kernel(dtype, target).kernel()
    shapes = [(1, 1), (0, 3), (3, 0), (1, 7), (5, 2), (130, 3), (37, 10), (9, 31), (6, 64), (7, 131), (2, 3, 5, 17)]
    for shape in shapes:
        dy = draw(*shape, dtype=dtype, seed=0)
        start = draw(shape[-1], dtype=dtype, seed=1)
        expected = dy.astype(float).sum(tuple(range(dy.ndim - 1)))
        for accumulate in (False, True):
            dbias, intact = guarded(start)
            sum_rows(dy, dbias, accumulate)
            assert_close(dbias, expected + accumulate * start, tolerance * (1 + dy.size // max(1, shape[-1])))
            assert intact()


@targets
def test_parts_of_a_product(target):
    multiply = matrix_multiply_part_kernel("float32", target).kernel()
    for rows, depth, columns in SIZES:
        x, w = draw(rows, depth, dtype="float32", seed=0), draw(depth, columns, dtype="float32", seed=1)
        y, intact = guarded(np.full((rows, 3, columns), 5, np.float32))
        first, last = depth // 3, depth - depth // 5
        multiply(x, w, y, 1, first, last)
        assert_close(y[:, 1], naive.dense_forward(x[:, first:last], w[first:last]), 1e-5 * (1 + depth))
        assert (y[:, ::2] == 5).all() and intact()


def test_epilogues():
    x, w, bias, activation = draw(13, 5, seed=0), draw(5, 37, seed=1), draw(37, seed=2), draw(13, 37, seed=3)
    x, w, bias, activation = (np.float32(array) for array in (x, w, bias, activation))
    product = naive.dense_forward(x, w)
    expected = {
        "store": product,
        "bias": product + bias,
        "bias_relu": np.maximum(product + bias, 0),
        "relu_mask": np.where(activation > 0, product, 0),
        "bias_add": product + bias + activation,
        "bias_add_relu": np.maximum(product + bias + activation, 0),
    }
    extra = {"store": [], "bias": [bias], "bias_relu": [bias], "relu_mask": [activation]}
    extra |= {epilogue: [bias, activation] for epilogue in ("bias_add", "bias_add_relu")}
    for epilogue, reference in expected.items():
        plan = matrix_multiply_kernel(1, 1, 100, epilogue=epilogue)
        y, intact = guarded(np.full((13, 37), np.nan, np.float32))
        plan.kernel()(x, w, *extra[epilogue], y, NO_WORKSPACE)
        assert_close(y, reference, 1e-5)
        assert intact()
        assert epilogue == "store" or plan.name.endswith(epilogue)
        if "add" in epilogue:  # one row at a time, in the residual's memory, and packed
            packed = matrix_multiply_kernel(2048, 2048, 2048, epilogue=epilogue)
            scratch = np.full(packed.workspace_elements, np.nan, np.float32)
            for chosen, workspace, rows in ((plan, NO_WORKSPACE, 1), (plan, NO_WORKSPACE, 13), (packed, scratch, 13)):
                for row in range(0, 13, rows):
                    y = activation[row : row + rows].copy()
                    chosen.kernel()(x[row : row + rows], w, bias, y, y, workspace)
                    assert_close(y, reference[row : row + rows], 1e-5)
    dw = np.full((5, 37), np.nan, np.float32)
    matrix_multiply_transposed_kernel(13, 5, 37).kernel()(x, activation, dw, 0, 5)
    assert_close(dw, naive.dense_backward_filter(x, activation), 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_passes(dtype, monkeypatch):
    """Whatever is done to a tile before it is emitted, it adds in the order in which it is written."""

    def all_passes(name, text, target, context):
        module = machine.parsed(text, target, context)
        module.get_function(name).linkage = "external"
        machine._run_passes(module, target, 3)
        return module

    tiles = machine._tile, all_passes
    a, b, bias = draw(13, 131, dtype=dtype, seed=0), draw(131, 37, dtype=dtype, seed=1), draw(37, dtype=dtype, seed=2)
    multiply = matrix_multiply_kernel(1, 1, 37, dtype, "bias").kernel()
    total = bias_add_backward_kernel(dtype).kernel()
    for kernel, arguments, shape in (
        (multiply, (a, b, bias, np.empty((13, 37), dtype), np.empty(0, dtype)), 3),
        (total, (b, np.empty(37, dtype), False), 1),
    ):
        translated = compiler.translate(kernel, [compiler.type_of(argument) for argument in arguments])
        assert translated.tiles
        results, codes = [], []
        for tile in tiles:
            monkeypatch.setattr(machine, "_tile", tile)
            codes.append(machine.object_code(translated))
            code = machine.Code(codes[-1], translated.symbol, machine.host())
            compiler.Callable(kernel.py_func, map(compiler.type_of, arguments), code)(*arguments)
            results.append(arguments[shape].tobytes())
        assert codes[0] != codes[1] and results[0] == results[1]


def test_relu_keeps_nan():
    x, w, bias = np.float32([[1.0]]), np.float32([[np.nan, -1.0, 2.0]]), np.zeros(3, np.float32)
    y = np.zeros((1, 3), np.float32)
    matrix_multiply_kernel(1, 1, 100, epilogue="bias_relu").kernel()(x, w, bias, y, NO_WORKSPACE)
    assert np.isnan(y[0, 0])
    assert y[0, 1:].tolist() == [0, 2]


def test_a_row_does_not_depend_on_the_others():
    multiply = matrix_multiply_kernel(1, 1, 100, epilogue="accumulate").kernel()
    x, w = np.float32(draw(13, 31, seed=0)), np.float32(draw(31, 37, seed=1))
    whole = np.zeros((13, 37), np.float32)
    multiply(x, w, whole, NO_WORKSPACE)
    for rows in (slice(0, 1), slice(3, 12), slice(5, 7)):
        part = np.zeros_like(whole[rows])
        multiply(x[rows], w, part, NO_WORKSPACE)
        assert (part == whole[rows]).all()


@pytest.mark.parametrize("epilogue", ["accumulate", "bias_relu"])
def test_packing_keeps_the_bits(epilogue):
    plan = matrix_multiply_kernel(1, 1, 100, epilogue=epilogue)
    packed = matrix_multiply_kernel(2048, 2048, 2048, epilogue=epilogue)
    assert plan.workspace_elements == 0
    scratch, intact = guarded(np.full(packed.workspace_elements, np.nan, np.float32))
    for rows, depth, columns in [(1, 1, 1), (0, 2, 3), (3, 0, 5), (5, 256, 33), (301, 530, 70)]:
        x, w, bias = (
            draw(*shape, dtype=np.float32, seed=seed)
            for seed, shape in enumerate([(rows, depth), (depth, columns), (columns,)])
        )
        extra = [bias] if epilogue == "bias_relu" else []
        results = []
        for chosen, workspace in ((plan, NO_WORKSPACE), (packed, scratch)):
            y = draw(rows, columns, dtype=np.float32, seed=3)
            chosen.kernel()(x, w, *extra, y, workspace)
            results.append(y)
        assert (results[0] == results[1]).all()
        assert intact()
        product = naive.dense_forward(x, w)
        start = draw(rows, columns, dtype=np.float32, seed=3)
        expected = np.maximum(product + bias, 0) if extra else start + product
        assert_close(results[0], expected, 1e-5)


@targets
@pytest.mark.parametrize("dtype,epilogue", [("float32", "relu_mask"), ("float64", "accumulate")])
def test_panels_keep_the_bits(target, dtype, epilogue):
    plain = matrix_multiply_kernel(1, 1, 100, dtype, epilogue, target)
    panels = matrix_multiply_panels_kernel(dtype, epilogue, target)
    plan = panels_kernel(panels.panels, dtype, target)
    for rows, depth, columns in [(1, 1, 1), (3, 2, 70), (17, 33, 5), (9, 20, 131), (2, 7, 64)]:
        dy, w = draw(rows, depth, dtype=dtype), draw(columns, depth, dtype=dtype)
        start = draw(rows, columns, dtype=dtype)
        copy, intact = guarded(np.full(plan.elements(*w.shape), np.nan, dtype))
        for chunk in range(3):
            plan.kernel()(w, copy, chunk, 3)
        assert intact()
        extra = [draw(rows, columns, dtype=dtype, seed=1)] if epilogue == "relu_mask" else []
        expected, dx = start.copy(), start.copy()
        plain.kernel()(dy, np.ascontiguousarray(w.T), *extra, expected, NO_WORKSPACE.astype(dtype))
        panels.kernel()(dy, copy, *extra, dx, NO_WORKSPACE.astype(dtype))
        assert (dx == expected).all()


@targets
@pytest.mark.parametrize("dtype,epilogue", [("float32", "store"), ("float64", "accumulate")])
def test_packing_keeps_the_bits_of_transposed_products(target, dtype, epilogue):
    plain = matrix_multiply_transposed_kernel(1, 1, 100, dtype, epilogue, target)
    packed = matrix_multiply_transposed_kernel(4096, 1024, 1024, dtype, epilogue, target)
    assert "packed" in packed.name and "packed" not in plain.name
    for rows, depth, columns in [(1, 1, 1), (0, 2, 3), (5, 131, 33), (256, 7, 64), (530, 301, 70)]:
        x, dy = draw(rows, depth, dtype=dtype, seed=0), draw(rows, columns, dtype=dtype, seed=1)
        before = draw(depth, columns, dtype=dtype, seed=2)
        first, last = depth // 3, depth - depth // 5
        results = []
        for plan in (plain, packed):
            dw, intact = guarded(before)
            plan.kernel()(x, dy, dw, first, last)
            assert intact()
            results.append(dw)
        assert (results[0] == results[1]).all()
        expected = before.astype(float)
        product = naive.dense_backward_filter(x, dy)[first:last]
        expected[first:last] = product + (expected[first:last] if epilogue == "accumulate" else 0)
        assert_close(results[0], expected, (1e-6 if dtype == "float32" else 1e-14) * (1 + rows))


def test_torch():
    torch = pytest.importorskip("torch")
    x, w, bias = (np.float32(draw(*shape, seed=seed)) for seed, shape in enumerate([(19, 101), (101, 45), (45,)]))
    y = np.zeros((19, 45), np.float32)
    matrix_multiply_kernel(1, 1, 100, epilogue="bias_relu").kernel()(x, w, bias, y, NO_WORKSPACE)
    expected = torch.relu(torch.addmm(torch.from_numpy(bias), torch.from_numpy(x), torch.from_numpy(w)))
    assert_close(y, expected.numpy(), 1e-5)


def test_a_module_is_made_once_and_named_by_its_content(monkeypatch, tmp_path):
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path))
    first, second = specialised_module("value = 1\n"), specialised_module("value = 2\n")
    try:
        assert (first.value, second.value) == (1, 2)
        assert specialised_module("value = 1\n") is first
        assert first.__name__ != second.__name__
        assert linecache.getline(second.__file__, 1) == "value = 2\n", "tracebacks show it"
        assert not list(tmp_path.iterdir()), "no source is read from where others could have written it"
        monkeypatch.setattr(generated, "_generator_hash", lambda: b"another generator")
        third = specialised_module("value = 1\n")
        assert third is not first
        del sys.modules[third.__name__]
    finally:
        for module in (first, second):
            del sys.modules[module.__name__]


def test_a_module_that_fails_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path))
    before = set(sys.modules)
    with pytest.raises(ZeroDivisionError):
        specialised_module("1 / 0\n")
    assert not [name for name in set(sys.modules) - before if name.startswith("k_")]


_USE = """
import json
import numpy as np
from jitnet.kernels.cpu.fast.matrix_multiply import matrix_multiply_kernel
from jitnet.kernels.cpu.runtime import cache
written, write = [], cache.write
cache.write = lambda *a: (written.append(a[0]), write(*a))
kernel = matrix_multiply_kernel(3, 4, 5).kernel()
y = np.zeros((3, 5), np.float32)
kernel(np.ones((3, 4), np.float32), np.ones((4, 5), np.float32), y, np.ones(0, np.float32))
print(json.dumps([y.tolist(), len(written)]))
"""


def test_processes_share_compiled_kernels(tmp_path):
    environment = os.environ | {"JITNET_CACHE_DIR": str(tmp_path)}

    def start():
        return subprocess.Popen([sys.executable, "-c", _USE], env=environment, stdout=subprocess.PIPE, text=True)

    def result(process):
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        return json.loads(output)

    together = [start() for _ in range(3)]  # on an empty cache, at once
    assert all(result(process)[0] == [[4.0] * 5] * 3 for process in together)
    assert result(start()) == [[[4.0] * 5] * 3, 0]


def test_plans_need_no_numba():
    program = """
import sys
from jitnet.kernels.cpu.fast.convolution_direct import conv2d_forward_kernel
from jitnet.kernels.cpu.fast.matrix_multiply import matrix_multiply_kernel
assert "def conv2d_forward_3x3_4_8(" in conv2d_forward_kernel((3, 3, 4, 8), 10).source
assert matrix_multiply_kernel(64, 4096, 4096).workspace_elements > 0
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
