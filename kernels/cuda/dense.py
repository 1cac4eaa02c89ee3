"""Matrix products of dense layers, and bias."""

from ._api import cuda, kernel, launch
from ._columns import column_sums, over_columns, row_step
from ._operands import columns, rows
from ._products import product


def dense_forward(x, kernel, y):
    """y = x @ kernel.  x: (M, K), kernel: (K, N), y: (M, N)"""
    (samples, depth), width = x.shape, kernel.shape[1]
    product(x, kernel, y, rows(depth), columns(width, width), samples, width, depth)


def dense_backward_data(dy, kernel, dx, accumulate):
    """dx = dy @ kernel.T.  dy: (M, N), kernel: (K, N), dx: (M, K)"""
    (samples, width), depth = dy.shape, kernel.shape[0]
    product(dy, kernel, dx, rows(width), rows(width), samples, depth, width, accumulate=accumulate)


def dense_backward_filter(x, dy, dkernel, accumulate):
    """dkernel = x.T @ dy.  x: (M, K), dy: (M, N), dkernel: (K, N)"""
    (samples, depth), width = x.shape, dy.shape[1]
    shapes = columns(depth, depth), columns(width, width)
    product(x, dy, dkernel, *shapes, depth, width, samples, accumulate=accumulate)


@kernel
def _bias_add(x, bias, y, rows, width):
    column, first = cuda.grid(2)
    if column < width:
        value = bias[column]
        for row in range(first, rows, row_step()):
            y[row * width + column] = x[row * width + column] + value


def bias_add_forward(x, bias, y):
    """y = x + bias along the last axis.  x, y: (..., C), bias: (C,); y may be x's memory."""
    if x.size:
        sizes = x.size // bias.size, bias.size
        launch(_bias_add, *over_columns(*sizes), x.reshape(-1), bias, y.reshape(-1), *sizes)


def bias_add_backward(dy, dbias, accumulate):
    """dbias = sum of dy over all but the last axis.  dy: (..., C), dbias: (C,)"""
    if dbias.size:
        column_sums(dy.reshape(-1), dbias, dy.size // dbias.size, dbias.size, accumulate)
