"""Sums, means and maxima over one axis.

An axis is given as ``axis_size`` and ``inner``, the product of the dimensions after it: x is (outer, axis_size, inner)
and y is (outer, inner).
"""

import numpy as np

from ..scalar import real
from ..scalar.arithmetic import maximum
from ._api import cuda, kernel, launch, over, over_rows
from ._blocks import Columns, column_max, column_sum


@kernel
def _sum_forward(x, y, size, axis_size, inner, mean):
    i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    total = real(0)
    if i < size:
        first = i // inner * axis_size * inner + i % inner
        for j in range(cuda.grid(2)[1], axis_size, cuda.gridsize(2)[1]):
            total += x[first + j * inner]
    total = column_sum(total)
    if i < size and cuda.threadIdx.y == 0:
        y[cuda.blockIdx.y * size + i] = total * (real(1) / real(axis_size)) if mean else total


def _launch_sum(x, y, axis_size, inner, mean):
    columns = Columns(y.size, axis_size, inner)
    y = y.reshape(-1)
    sums = columns.target(y)
    launch(_sum_forward, columns.grid, columns.block, x.reshape(-1), sums, y.size, axis_size, inner, mean)
    columns.finish(sums, y, False)


def sum_forward(x, y, axis_size, inner):
    """y = sum of x over the axis.  x: (outer, axis_size, inner), y: (outer, inner)"""
    _launch_sum(x, y, axis_size, inner, False)


@kernel
def _repeat_over_axis(dy, dx, rows, axis_size, inner, mean, accumulate):
    """dx = dy, repeated over the axis, or of it 1 / axis_size"""
    factor = real(1) / real(axis_size) if mean else real(1)
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        source = row // axis_size * inner
        for i in range(first_column, inner, column_step):
            value = factor * dy[source + i]
            at = row * inner + i
            dx[at] = dx[at] + value if accumulate else value


def sum_backward(dy, dx, axis_size, inner, accumulate):
    """dx = dy, repeated over the axis.  dy: (outer, inner), dx: (outer, axis_size, inner)"""
    rows = dx.size // max(1, inner)
    given = dy.reshape(-1), dx.reshape(-1), rows, axis_size, inner
    launch(_repeat_over_axis, *over_rows(rows, inner), *given, False, accumulate)


def mean_forward(x, y, axis_size, inner):
    """y = mean of x over the axis.  x: (outer, axis_size, inner), y: (outer, inner)"""
    _launch_sum(x, y, axis_size, inner, True)


def mean_backward(dy, dx, axis_size, inner, accumulate):
    """dx = dy / axis_size, repeated over the axis.  dy: (outer, inner), dx: (outer, axis_size, inner)"""
    rows = dx.size // max(1, inner)
    given = dy.reshape(-1), dx.reshape(-1), rows, axis_size, inner
    launch(_repeat_over_axis, *over_rows(rows, inner), *given, True, accumulate)


@kernel
def _max_forward(x, y, axis_size, inner):
    i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    largest = real(-np.inf)
    if i < y.size:
        first = i // inner * axis_size * inner + i % inner
        for j in range(cuda.threadIdx.y, axis_size, cuda.blockDim.y):
            largest = maximum(largest, x[first + j * inner])
    largest = column_max(largest)
    if i < y.size and cuda.threadIdx.y == 0:
        y[i] = largest


def max_forward(x, y, axis_size, inner):
    """y = maximum of x over the axis, NaN if there is one.  x: (outer, axis_size, inner), y: (outer, inner)"""
    columns = Columns(y.size, axis_size, inner, most_shares=1)
    launch(_max_forward, columns.grid, columns.block, x.reshape(-1), y.reshape(-1), axis_size, inner)


def batch_max(x, y):
    """y[j] = maximum of x[:, j] over all samples, NaN if there is one.  x: (samples, ...), y: (...)"""
    max_forward(x, y, x.size // y.size, y.size)


@kernel
def _max_backward(x, y, dy, dx, axis_size, inner, accumulate):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        first = i // inner * axis_size * inner + i % inner
        largest, searching = y[i], True
        for j in range(axis_size):
            at = first + j * inner
            found = searching and (x[at] == largest or x[at] != x[at])
            searching = searching and not found
            gradient = dy[i] if found else real(0)
            dx[at] = dx[at] + gradient if accumulate else gradient


def max_backward(x, y, dy, dx, axis_size, inner, accumulate):
    """dx = dy at the first maximum, else 0.  y, dy: (outer, inner), x, dx: (outer, axis_size, inner)"""
    given = x.reshape(-1), y.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    launch(_max_backward, *over(y.size), *given, axis_size, inner, accumulate)
