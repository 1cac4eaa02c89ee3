"""Sums, means and maxima over one axis.

An axis is given as ``axis_size`` and ``inner``, the product of the dimensions after it: x is (outer, axis_size, inner)
and y is (outer, inner).
"""

import numpy as np

from ..scalar import arithmetic
from .runtime.jit import kernel, kernel_attributes, scalar

_maximum = scalar(arithmetic.maximum)


@kernel
def sum_forward(x, y, axis_size, inner):
    """y = sum of x over the axis.  x: (outer, axis_size, inner), y: (outer, inner)"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    for outer in range(y.size // inner):
        first = outer * axis_size * inner
        y_row = y[outer * inner : outer * inner + inner]
        if inner == 1:
            x_row = x[first : first + axis_size]
            total = y.dtype.type(0)
            for j in range(axis_size):
                total += x_row[j]
            y_row[0] = total
        else:
            y_row[:] = 0
            for j in range(axis_size):
                x_row = x[first + j * inner : first + j * inner + inner]
                for i in range(inner):
                    y_row[i] += x_row[i]


@kernel
def _repeat_over_axis(dy, dx, axis_size, inner, factor, accumulate):
    """dx = factor dy, repeated over the axis.  dy: (outer * inner,), dx: (outer * axis_size * inner,)"""
    kernel_attributes()
    for outer in range(dy.size // inner):
        first = outer * axis_size * inner
        dy_row = dy[outer * inner : outer * inner + inner]
        if inner == 1:
            value = factor * dy_row[0]
            dx_row = dx[first : first + axis_size]
            for j in range(axis_size):
                dx_row[j] = dx_row[j] + value if accumulate else value
        else:
            for j in range(axis_size):
                dx_row = dx[first + j * inner : first + j * inner + inner]
                for i in range(inner):
                    dx_row[i] = dx_row[i] + factor * dy_row[i] if accumulate else factor * dy_row[i]


@kernel
def sum_backward(dy, dx, axis_size, inner, accumulate):
    """dx = dy, repeated over the axis.  dy: (outer, inner), dx: (outer, axis_size, inner)"""
    kernel_attributes()
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    _repeat_over_axis(dy, dx, axis_size, inner, dx.dtype.type(1), accumulate)


@kernel
def mean_forward(x, y, axis_size, inner):
    """y = mean of x over the axis.  x: (outer, axis_size, inner), y: (outer, inner)"""
    kernel_attributes()
    sum_forward(x, y, axis_size, inner)
    y = y.reshape(-1)
    factor = y.dtype.type(1.0 / axis_size)
    for i in range(y.size):
        y[i] *= factor


@kernel
def mean_backward(dy, dx, axis_size, inner, accumulate):
    """dx = dy / axis_size, repeated over the axis.  dy: (outer, inner), dx: (outer, axis_size, inner)"""
    kernel_attributes()
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    _repeat_over_axis(dy, dx, axis_size, inner, dx.dtype.type(1.0 / axis_size), accumulate)


@kernel
def max_forward(x, y, axis_size, inner):
    """y = maximum of x over the axis, NaN if there is one.  x: (outer, axis_size, inner), y: (outer, inner)"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    for outer in range(y.size // inner):
        first = outer * axis_size * inner
        y_row = y[outer * inner : outer * inner + inner]
        if inner == 1:
            x_row = x[first : first + axis_size]
            largest = x.dtype.type(-np.inf)
            for j in range(axis_size):
                largest = _maximum(largest, x_row[j])
            y_row[0] = largest
        else:
            y_row[:] = -np.inf
            for j in range(axis_size):
                x_row = x[first + j * inner : first + j * inner + inner]
                for i in range(inner):
                    y_row[i] = _maximum(y_row[i], x_row[i])


@kernel
def batch_max(x, y):
    """y[j] = maximum of x[:, j] over all samples, NaN if there is one.  x: (samples, ...), y: (...)"""
    kernel_attributes()
    max_forward(x, y, x.size // y.size, y.size)


@kernel
def max_backward(x, y, dy, dx, axis_size, inner, accumulate):
    """dx = dy at the first maximum, else 0.  y, dy: (outer, inner), x, dx: (outer, axis_size, inner)"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    if not accumulate:
        dx[:] = 0
    for outer in range(y.size // inner):
        for i in range(inner):
            largest = y[outer * inner + i]
            for j in range(axis_size):
                position = (outer * axis_size + j) * inner + i
                if x[position] == largest or x[position] != x[position]:
                    dx[position] += dy[outer * inner + i]
                    break
