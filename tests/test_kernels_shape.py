"""Kernels that move values, against NumPy.  Each is linear: its backward is checked as its transpose."""

import naive.shape as naive
import numpy as np
import pytest
from naive.differences import gradient

from jitnet.kernels.cpu import memory
from jitnet.kernels.cpu import shape as kernels
from jitnet.kernels.cpu.fast.split_products import gather_columns

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def random(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def check_backward(forward, backward, x, dy):
    """forward(x) -> y in NumPy; backward(dy, dx, accumulate) is the kernel"""
    expected = gradient(forward, x.astype(float), dy.astype(float))
    dx = np.full_like(x, 7)
    backward(dy, dx, False)
    np.testing.assert_allclose(dx, expected, rtol=5e-6, atol=1e-5 if dx.dtype == np.float32 else 1e-8)
    backward(dy, dx, True)
    np.testing.assert_allclose(dx, 2 * expected, rtol=5e-6, atol=1e-5 if dx.dtype == np.float32 else 1e-8)


@DTYPES
def test_fill_and_copy(dtype):
    y = random((2, 3), dtype)
    kernels.fill(y, 0.1)
    assert np.all(y == dtype(0.1))
    x, y = random((2, 3, 4), dtype), np.empty((6, 4), dtype)
    kernels.copy_forward(x, y)
    np.testing.assert_array_equal(y, x.reshape(6, 4))
    check_backward(lambda x: x.reshape(6, 4), kernels.copy_backward, x, random((6, 4), dtype, seed=1))
    part = np.empty((2, 3), dtype)
    kernels.part_forward(x, part, 5)
    np.testing.assert_array_equal(part, x.reshape(-1)[5:11].reshape(2, 3))


@pytest.mark.parametrize("sample", [(), (1,), (3,), (37,), (5, 7, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_gather(sample, dtype):
    source, order = (9 * random((11, *sample))).astype(dtype), np.array([3, 0, 10, 3, 7])
    for count in (0, 1, 5):
        out = np.full((count, *sample), 77, dtype)
        memory.gather(source, order[:count], out)
        np.testing.assert_array_equal(out, source[order[:count]])
    columns = source.reshape(11, -1)
    out = np.full((5, columns.shape[1]), 77, dtype)
    first, last = columns.shape[1] // 3, columns.shape[1] - columns.shape[1] // 5
    gather_columns(source, order, out, first, last)
    np.testing.assert_array_equal(out[:, first:last], columns[order, first:last])
    assert (out[:, :first] == 77).all() and (out[:, last:] == 77).all()


@DTYPES
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_concatenate(rows, dtype):
    widths = (1, 5, 2)
    parts = [random((rows, width), dtype, seed=width) for width in widths]
    y = np.full((rows, 8), 7, dtype)
    dy = random((rows, 8), dtype, seed=9)
    offset = 0
    for index, (x, width) in enumerate(zip(parts, widths, strict=True)):
        kernels.concatenate_forward(x, y, offset, width, 8)

        def forward(x, index=index):
            return naive.concatenate([*parts[:index], x, *parts[index + 1 :]])

        def backward(dy, dx, accumulate, offset=offset, width=width):
            kernels.concatenate_backward(dy, dx, offset, width, 8, accumulate)

        check_backward(forward, backward, x, dy)
        offset += width
    np.testing.assert_array_equal(y, naive.concatenate(parts))


@DTYPES
@pytest.mark.parametrize(("rows", "offset", "width"), [(3, 0, 7), (1, 2, 3), (4, 6, 1), (0, 1, 2)])
def test_slice(rows, offset, width, dtype):
    x, y = random((rows, 7), dtype), np.full((rows, width), 7, dtype)
    kernels.slice_forward(x, y, offset, 7, width)
    np.testing.assert_array_equal(y, naive.slice_columns(x, offset, width))
    check_backward(
        lambda x: naive.slice_columns(x, offset, width),
        lambda dy, dx, accumulate: kernels.slice_backward(dy, dx, offset, 7, width, accumulate),
        x,
        random((rows, width), dtype, seed=1),
    )


@DTYPES
@pytest.mark.parametrize("padding", [(1, 2, 3, 0), (0, 0, 0, 0), (0, 1, 0, 5)])
def test_pad2d(padding, dtype):
    top, bottom, left, right = padding
    for n in (0, 1, 2):
        x = random((n, 3, 2, 5), dtype)
        y = np.full((n, 3 + top + bottom, 2 + left + right, 5), 7, dtype)
        kernels.pad2d_forward(x, y, top, left, -0.5)
        np.testing.assert_array_equal(y, naive.pad2d(x, *padding, -0.5))
        check_backward(
            lambda x: naive.pad2d(x, *padding, 0),
            lambda dy, dx, accumulate: kernels.pad2d_backward(dy, dx, top, left, accumulate),
            x,
            random(y.shape, dtype, seed=1),
        )


@DTYPES
@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 1, 2), (2, 1), (2, 4, 1, 3), (1,)])
def test_transpose(axes, dtype):
    dimensions = (2, 3, 5, 4)[: len(axes)]
    strides = [int(np.prod(dimensions[axis:])) for axis in axes]
    shape = tuple([1] * (4 - len(axes)) + [dimensions[axis - 1] for axis in axes])
    strides = tuple([0] * (4 - len(axes)) + strides)
    for n in (0, 1, 3):
        x = random((n, *dimensions), dtype)
        expected = naive.transpose(x, axes)
        y = np.full(expected.size, 7, dtype)
        kernels.transpose_forward(x.reshape(-1), y, shape, strides)
        np.testing.assert_array_equal(y, expected.reshape(-1))
        check_backward(
            lambda x: naive.transpose(x, axes).reshape(-1),
            lambda dy, dx, accumulate: kernels.transpose_backward(
                dy.reshape(-1), dx.reshape(-1), shape, strides, accumulate
            ),
            x,
            random(y.shape, dtype, seed=1),
        )
