"""Dense and bias kernels against their oracle, central differences and PyTorch."""

import naive.dense as naive
import numpy as np
import pytest
from naive import assert_close, check, draw, numerical_gradient

from jitnet.kernels.cpu import dense
from jitnet.kernels.cpu.fast.split_products import parts_sum

SIZES = [(1, 1, 1), (0, 3, 2), (1, 5, 7), (3, 2, 1), (4, 4, 4), (5, 11, 13), (7, 3, 19), (13, 9, 37), (8, 17, 64)]
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
sizes = pytest.mark.parametrize("rows,depth,columns", SIZES)


def operands(rows, depth, columns, dtype):
    shapes = (rows, depth), (depth, columns), (rows, columns)
    return (draw(*shape, dtype=dtype, seed=seed) for seed, shape in enumerate(shapes))


@sizes
@dtypes
def test_dense(rows, depth, columns, dtype):
    x, kernel, dy = operands(rows, depth, columns, dtype)
    check(dense.dense_forward, [x, kernel], (), [naive.dense_forward(x, kernel)])
    check(dense.dense_backward_data, [dy, kernel], (), [naive.dense_backward_data(dy, kernel)], accumulates=True)
    check(dense.dense_backward_filter, [x, dy], (), [naive.dense_backward_filter(x, dy)], accumulates=True)


@pytest.mark.parametrize("shape", [(1, 1), (0, 3), (5, 7), (2, 3, 4, 17), (3, 37, 6), (3, 0)])
@dtypes
def test_bias_add(shape, dtype):
    x, bias = draw(*shape, dtype=dtype), draw(shape[-1], dtype=dtype)
    expected = naive.bias_add_forward(x, bias)
    check(dense.bias_add_forward, [x, bias], (), [expected])
    check(dense.bias_add_backward, [x], (), [naive.bias_add_backward(x)], accumulates=True)
    dense.bias_add_forward(x, bias, x)
    assert_close(x, expected, 1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (0, 4, 3), (5, 4, 37), (3, 2, 0)])
@dtypes
def test_parts_sum(shape, dtype):
    parts, bias = draw(*shape, dtype=dtype), draw(shape[-1], dtype=dtype)
    expected = naive.bias_add_forward(parts.astype(np.float64).sum(1), bias)
    check(parts_sum, [parts, bias], (False,), [expected])
    check(parts_sum, [parts, bias], (True,), [np.maximum(expected, 0)])


def test_parts_sum_keeps_nan():
    y = np.zeros((1, 1))
    parts_sum(np.full((1, 2, 1), np.nan), np.zeros(1), y, True)
    assert np.isnan(y[0, 0])


@sizes
def test_central_differences(rows, depth, columns):
    x, kernel, dy = operands(rows, depth, columns, np.float64)
    bias = draw(columns)
    y, dx, dkernel, dbias = np.empty_like(dy), np.empty_like(x), np.empty_like(kernel), np.empty_like(bias)

    def loss():
        dense.dense_forward(x, kernel, y)
        dense.bias_add_forward(y, bias, y)
        return np.vdot(y, dy)

    dense.dense_backward_data(dy, kernel, dx, False)
    assert_close(dx, numerical_gradient(loss, x), 1e-6)
    dense.dense_backward_filter(x, dy, dkernel, False)
    assert_close(dkernel, numerical_gradient(loss, kernel), 1e-6)
    dense.bias_add_backward(dy, dbias, False)
    assert_close(dbias, numerical_gradient(loss, bias), 1e-6)


@sizes
def test_torch(rows, depth, columns):
    torch = pytest.importorskip("torch")
    x, kernel, dy = operands(rows, depth, columns, np.float32)
    bias = draw(columns, dtype=np.float32)
    y, dx, dkernel, dbias = np.empty_like(dy), np.empty_like(x), np.empty_like(kernel), np.empty_like(bias)
    dense.dense_forward(x, kernel, y)
    dense.bias_add_forward(y, bias, y)
    dense.dense_backward_data(dy, kernel, dx, False)
    dense.dense_backward_filter(x, dy, dkernel, False)
    dense.bias_add_backward(dy, dbias, False)

    leaves = [torch.tensor(array, requires_grad=True) for array in (x, kernel, bias)]
    out = leaves[0] @ leaves[1] + leaves[2]
    out.backward(torch.tensor(dy))
    assert_close(y, out.detach().numpy(), 1e-4)
    for actual, leaf in zip((dx, dkernel, dbias), leaves, strict=True):
        assert_close(actual, leaf.grad.numpy(), 1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite(value):
    x, kernel, dy = operands(5, 11, 13, np.float32)
    x[4, 10], x[1, 2] = value, value
    dy[0, 12] = value
    with np.errstate(invalid="ignore"):  # NumPy's matmul warns of inf
        y, dx = naive.dense_forward(x, kernel), naive.dense_backward_data(dy, kernel)
    check(dense.dense_forward, [x, kernel], (), [y])
    check(dense.dense_backward_data, [dy, kernel], (), [dx], accumulates=True)


@pytest.mark.parametrize("columns", [1, 10, 37])
def test_rows_do_not_depend_on_their_neighbours(columns):
    """Zero rows beside a NaN row stay zero: tiles do not mix their rows."""
    x, kernel = np.zeros((7, 6)), draw(6, columns)
    x[2] = np.nan
    y = np.empty((7, columns))
    dense.dense_forward(x, kernel, y)
    assert np.isnan(y[2]).all()
    assert (np.delete(y, 2, axis=0) == 0).all()
