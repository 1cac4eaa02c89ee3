"""Matrix products of dense layers, and bias, by their definitions."""

from .runtime.arrays import scratch
from .runtime.jit import kernel, kernel_attributes
from .runtime.rows import repeated, rows_together


@kernel
def dense_forward(x, kernel, y):
    """y = x @ kernel.  x: (M, K), kernel: (K, N), y: (M, N)"""
    kernel_attributes()
    rows, depth = x.shape
    columns = kernel.shape[1]
    for m in range(rows):
        for n in range(columns):
            y[m, n] = 0
        for k in range(depth):
            value = x[m, k]
            for n in range(columns):
                y[m, n] += value * kernel[k, n]


@kernel
def dense_backward_data(dy, kernel, dx, accumulate):
    """dx = dy @ kernel.T.  dy: (M, N), kernel: (K, N), dx: (M, K)"""
    kernel_attributes()
    rows, columns = dy.shape
    for m in range(rows):
        for k in range(kernel.shape[0]):
            total = dy.dtype.type(0)
            for n in range(columns):
                total += dy[m, n] * kernel[k, n]
            dx[m, k] = dx[m, k] + total if accumulate else total


@kernel
def dense_backward_filter(x, dy, dkernel, accumulate):
    """dkernel = x.T @ dy.  x: (M, K), dy: (M, N), dkernel: (K, N)"""
    kernel_attributes()
    rows, depth = x.shape
    columns = dy.shape[1]
    for k in range(depth):
        if not accumulate:
            for n in range(columns):
                dkernel[k, n] = 0
        for m in range(rows):
            value = x[m, k]
            for n in range(columns):
                dkernel[k, n] += value * dy[m, n]


@kernel
def bias_add_forward(x, bias, y):
    """y = x + bias along the last axis.  x, y: (..., C), bias: (C,); y may be x's memory."""
    kernel_attributes()
    if bias.size == 0:
        return
    bias = repeated(bias, rows_together(x.size // bias.size, bias.size), scratch(x.dtype))
    x = x.reshape(-1)
    y = y.reshape(-1)
    for first in range(0, y.size, bias.size):
        out = y[first : first + bias.size]
        # in place is a loop of its own: the compiler only vectorises what doesn't overlap
        if x.ctypes.data == y.ctypes.data:
            for j in range(out.size):
                out[j] += bias[j]
        else:
            row = x[first : first + bias.size]
            for j in range(out.size):
                out[j] = row[j] + bias[j]


@kernel
def bias_add_backward(dy, dbias, accumulate):
    """dbias = sum of dy over all but the last axis.  dy: (..., C), dbias: (C,)"""
    kernel_attributes()
    if not accumulate:
        dbias[:] = 0
    dy = dy.reshape(-1)
    for first in range(0, dy.size, max(1, dbias.size)):
        row = dy[first : first + dbias.size]
        for c in range(row.size):
            dbias[c] += row[c]
