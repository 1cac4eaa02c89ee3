"""CUDA kernels that move, draw and gather values, emulated, beside their CPU twins."""

import numpy as np
import pytest
from cuda_cases import SEEDS, assert_twins, emulator
from naive import draw

from jitnet.kernels.cpu.fast.pointwise import PointwiseKernel
from jitnet.kernels.cuda._api import using
from jitnet.kernels.cuda._pointwise import pointwise

DTYPE = np.float32
SEED, STREAM, STEP = 0x0123456789ABCDEF, 5, 0x300000007
SAME = {"rtol": 0, "atol": 0}


def empty(*shape, dtype=DTYPE):
    return np.full(shape, 7, dtype)


def test_copies():
    x = draw(3, 37, dtype=DTYPE)
    assert_twins("shape", "fill", empty(37), 0.3, unwritten=("y",), **SAME)
    assert_twins("shape", "fill", empty(5, dtype=np.int64), 3.0, unwritten=("y",), **SAME)
    assert_twins("shape", "copy_forward", x, empty(111), unwritten=("y",), **SAME)
    assert_twins("shape", "copy_backward", x, empty(111), False, unwritten=("dx",), **SAME)
    assert_twins("shape", "copy_backward", x, draw(111, dtype=DTYPE), True, **SAME)
    assert_twins("shape", "copy_forward", np.arange(-3, 8), empty(11), unwritten=("y",), **SAME)


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_parts_of_rows(rows):
    narrow, wide, sizes = draw(rows, 5, dtype=DTYPE), draw(rows, 13, dtype=DTYPE, seed=1), (3, 5, 13)
    assert_twins("shape", "concatenate_forward", narrow, empty(rows, 13), *sizes, **SAME)
    assert_twins("shape", "slice_forward", wide, empty(rows, 5), 3, 13, 5, unwritten=("y",), **SAME)
    assert_twins("shape", "concatenate_backward", wide, empty(rows, 5), *sizes, False, unwritten=("dx",), **SAME)
    assert_twins("shape", "concatenate_backward", wide, narrow, *sizes, True, **SAME)
    assert_twins("shape", "slice_backward", narrow, empty(rows, 13), 3, 13, 5, False, unwritten=("dx",), **SAME)
    assert_twins("shape", "slice_backward", narrow, wide, 3, 13, 5, True, **SAME)


@pytest.mark.parametrize("border", [(0, 0, 0, 0), (2, 1, 0, 3)])
def test_padding(border):
    top, bottom, left, right = border
    x = draw(2, 3, 5, 2, dtype=DTYPE)
    shape = 2, 3 + top + bottom, 5 + left + right, 2
    assert_twins("shape", "pad2d_forward", x, empty(*shape), top, left, 0.5, unwritten=("y",), **SAME)
    dy = draw(*shape, dtype=DTYPE)
    assert_twins("shape", "pad2d_backward", dy, empty(2, 3, 5, 2), top, left, False, unwritten=("dx",), **SAME)
    assert_twins("shape", "pad2d_backward", dy, x, top, left, True, **SAME)


@pytest.mark.parametrize(
    ("order", "sizes"),
    # the last three by tiles in shared memory
    [((1, 0), (3, 5)), ((2, 0, 1), (3, 5, 2)), ((1, 0, 2), (2, 3, 9)), ((2, 1, 0), (33, 1, 8))]
    + [((3, 1, 2, 0), (9, 3, 2, 11)), ((0, 2, 3, 1), (2, 9, 3, 35))],
)
def test_transposition(order, sizes):
    shape = sizes
    x = draw(2, *shape, dtype=DTYPE)
    strides = np.array(x.strides[1:]) // x.itemsize
    fill = 4 - len(order)
    given = (1,) * fill + tuple(shape[axis] for axis in order), (0,) * fill + tuple(int(strides[a]) for a in order)
    y = empty(2, *(shape[axis] for axis in order))
    assert_twins("shape", "transpose_forward", x, y, *given, unwritten=("y",), **SAME)
    dy = draw(*y.shape, dtype=DTYPE, seed=1)
    assert_twins("shape", "transpose_backward", dy, empty(*x.shape), *given, False, unwritten=("dx",), **SAME)
    assert_twins("shape", "transpose_backward", dy, x, *given, True, **SAME)


def test_gathering():
    order = np.array([4, 0, 4, 2])
    for shape in ((5,), (5, 3, 11), (5, 0)):
        for dtype in (DTYPE, np.uint8, np.int64):
            source = (100 * draw(*shape)).astype(dtype)
            assert_twins(
                "memory", "gather", source, order, empty(4, *shape[1:], dtype=dtype), unwritten=("out",), **SAME
            )
    assert_twins("memory", "gather", draw(3, 2), np.zeros(0, np.int64), empty(0, 2, dtype=float), **SAME)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["uniform", "normal", "truncated_normal"])
def test_random_numbers(name, dtype):
    for shape, first in (((23,), 0), ((3, 7), 5), ((0, 3), 2)):
        for numbers in ((0.0, 1.0), (-0.3, 0.8)):
            # uniform numbers are the CPU's to the last bit; logarithms and cosines are another library's
            tolerance = SAME if name == "uniform" else {"rtol": 1e-5, "atol": 2e-7}
            arguments = (*numbers, SEED, STREAM, STEP, first)
            assert_twins("random", name, empty(*shape, dtype=dtype), *arguments, unwritten=("out",), **tolerance)


@pytest.mark.parametrize("size", [0, 1, 7, 300])
def test_permutation(size):
    order = np.full(size, -7, np.int64)
    for step in (STEP, 1):
        assert_twins("random", "random_permutation", order, SEED, STREAM, step, unwritten=("out",), **SAME)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_dropout(rate, dtype):
    x, mask = draw(3, 7, dtype=dtype), np.full((3, 7), 7, np.uint8)
    given = rate, SEED, STREAM, STEP, 2
    assert_twins(
        "random", "dropout_forward", x, empty(3, 7, dtype=dtype), mask, *given, unwritten=("y", "mask"), **SAME
    )
    assert_twins("random", "dropout_forward", x, x, mask, *given, **SAME)
    mask = (draw(3, 7) > 0).astype(np.uint8)
    dx = draw(3, 7, dtype=dtype, seed=1)
    assert_twins("random", "dropout_backward", x, mask, dx, rate, False, unwritten=("dx",), **SAME)
    assert_twins("random", "dropout_backward", x, mask, dx, rate, True, rtol=1e-6)
    assert_twins("random", "dropout_backward", x, mask, x, rate, False, **SAME)


@pytest.mark.parametrize("size", [37, 40])  # one by one, and four at a time
def test_a_chain_of_pointwise_functions(size):
    statements = "out[i] = multiply(tanh(x[i]), add(y[i], one)) * factor", "second[i] = x[i] * out[i]"
    plan = ("add", "multiply", "tanh"), ("x", "y", "out", "second"), ("one",), ("factor",), statements
    x, y, one = draw(size, dtype=DTYPE), draw(size, dtype=DTYPE, seed=1), np.full(1, 3, DTYPE)
    expected = empty(2, size)
    PointwiseKernel(*plan).kernel()(x, y, expected[0], expected[1], one, 0.5)
    for seed in SEEDS:
        backend = emulator(seed)
        results = [backend.empty((size,), DTYPE) for _ in expected]
        given = [backend.to_device(array) for array in (x, y, one, np.array([0.5]))]
        with using(backend):
            pointwise(*plan)(*given[:2], *results, *given[2:])
        np.testing.assert_allclose([backend.to_host(array) for array in results], expected, rtol=1e-6)


@pytest.mark.parametrize("columns", [37, 40])
def test_a_chain_with_vectors_for_every_row(columns):
    statements = ("v1 = add(multiply(x[i], scale[j]), shift[j])", "out[i] = v1 * one")
    plan = ("add", "multiply"), ("x", "out"), ("one",), (), statements, ("scale", "shift")
    x, (scale, shift), one = draw(3, columns, dtype=DTYPE), draw(2, columns, dtype=DTYPE), np.full(1, 3, DTYPE)
    expected = empty(3, columns)
    PointwiseKernel(*plan).kernel()(x, expected, one, scale, shift)
    for seed in SEEDS:
        backend = emulator(seed)
        result = backend.empty((3, columns), DTYPE)
        x_there, *others = (backend.to_device(array) for array in (x, one, scale, shift))
        with using(backend):
            pointwise(*plan)(x_there, result, *others)
        # a device rounds the product and the sum at once, so that what cancels keeps more digits
        terms = 3 * (abs(x * scale) + abs(shift))
        assert np.all(abs(backend.to_host(result) - expected) <= 1e-6 * terms)


@pytest.mark.parametrize(
    ("functions", "arrays", "statement"),
    [(("eval",), ("x",), "x[i] = eval(x[i])"), ((), ("x",), "x[i] = x.size"), ((), ("x y",), "x[i] = x[i]")],
)
def test_chains_take_no_other_text(functions, arrays, statement):
    with pytest.raises(ValueError, match="Received"):
        pointwise(functions, arrays, (), (), (statement,))
