"""Matrix products of dense layers, and bias."""

from ._api import cuda, kernel, launch
from ._columns import column_sums, over_columns, row_step
from ._operands import COLUMNS, ROWS
from ._products import product


def dense_forward(x, kernel, y):
    """y = x @ kernel.  x: (M, K), kernel: (K, N), y: (M, N)"""
    (rows, depth), columns = x.shape, kernel.shape[1]
    x, kernel, y = x.reshape(-1), kernel.reshape(-1), y.reshape(-1)
    product(x, kernel, y, ROWS, COLUMNS, (depth,), (columns, columns), rows, columns, depth)


def dense_backward_data(dy, kernel, dx, accumulate):
    """dx = dy @ kernel.T.  dy: (M, N), kernel: (K, N), dx: (M, K)"""
    (rows, columns), depth = dy.shape, kernel.shape[0]
    dy, kernel, dx = dy.reshape(-1), kernel.reshape(-1), dx.reshape(-1)
    product(dy, kernel, dx, ROWS, ROWS, (columns,), (columns,), rows, depth, columns, accumulate=accumulate)


def dense_backward_filter(x, dy, dkernel, accumulate):
    """dkernel = x.T @ dy.  x: (M, K), dy: (M, N), dkernel: (K, N)"""
    (rows, depth), columns = x.shape, dy.shape[1]
    x, dy, dkernel = x.reshape(-1), dy.reshape(-1), dkernel.reshape(-1)
    shapes = (depth, depth), (columns, columns)
    product(x, dy, dkernel, COLUMNS, COLUMNS, *shapes, depth, columns, rows, accumulate=accumulate)


@kernel
def _bias_add(x, bias, y, rows, columns):
    column, first = cuda.grid(2)
    if column < columns:
        value = bias[column]
        for row in range(first, rows, row_step()):
            y[row * columns + column] = x[row * columns + column] + value


def bias_add_forward(x, bias, y):
    """y = x + bias along the last axis.  x, y: (..., C), bias: (C,); y may be x's memory."""
    if x.size:
        rows, columns = x.size // bias.size, bias.size
        launch(_bias_add, *over_columns(rows, columns), x.reshape(-1), bias, y.reshape(-1), rows, columns)


def bias_add_backward(dy, dbias, accumulate):
    """dbias = sum of dy over all but the last axis.  dy: (..., C), dbias: (C,)"""
    if dbias.size:
        column_sums(dy.reshape(-1), dbias, dy.size // dbias.size, dbias.size, accumulate)
