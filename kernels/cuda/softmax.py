"""Softmax, its logarithm and sparsemax over one axis: x is (outer, axis_size, inner).

The maximum of the axis is taken off before exp, so that nothing overflows (Goodfellow et al. 2016, section 4.1).  Lines
that lie in memory side by side (inner = 1) have a block each, others a thread each.
"""

import math

import numpy as np

from ..scalar import arithmetic, real
from ._api import cuda, function, kernel, launch, over, row_block
from ._blocks import block_max, block_sum

_maximum = function(arithmetic.maximum)


@kernel
def _softmax_row(x, y, size):
    first = cuda.blockIdx.x * size
    largest = real(-np.inf)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        largest = _maximum(largest, x[first + j])
    largest = block_max(largest)
    total = real(0)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        value = real(math.exp(x[first + j] - largest))
        y[first + j] = value
        total += value
    factor = real(1) / block_sum(total)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        y[first + j] *= factor


@kernel
def _log_softmax_row(x, y, size):
    first = cuda.blockIdx.x * size
    largest = real(-np.inf)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        largest = _maximum(largest, x[first + j])
    largest = block_max(largest)
    total = real(0)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        value = x[first + j] - largest
        y[first + j] = value
        total += real(math.exp(value))
    log_total = real(math.log(block_sum(total)))
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        y[first + j] -= log_total


@kernel
def _softmax_gradient_row(y, dy, dx, size, accumulate):
    first = cuda.blockIdx.x * size
    product = real(0)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        product += y[first + j] * dy[first + j]
    product = block_sum(product)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        gradient = y[first + j] * (dy[first + j] - product)
        dx[first + j] = dx[first + j] + gradient if accumulate else gradient


@kernel
def _log_softmax_gradient_row(y, dy, dx, size, accumulate):
    first = cuda.blockIdx.x * size
    total = real(0)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        total += dy[first + j]
    total = block_sum(total)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        gradient = dy[first + j] - real(math.exp(y[first + j])) * total
        dx[first + j] = dx[first + j] + gradient if accumulate else gradient


@kernel
def _sparsemax_row(x, y, size):
    first = cuda.blockIdx.x * size
    largest = real(-np.inf)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        largest = _maximum(largest, x[first + j])
    largest = block_max(largest)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        y[first + j] = x[first + j] - largest
    tau, above, before = real(-1), real(size + 1), real(size + 2)
    while above < before:  # the same in all threads
        before, above, total = above, real(0), real(0)
        for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
            above += real(1) if y[first + j] > tau else real(0)
            total += y[first + j] if y[first + j] > tau else real(0)
        above = block_sum(above)
        tau = (block_sum(total) - real(1)) / _maximum(above, real(1))
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        value = y[first + j] - tau
        y[first + j] = real(0) if value <= real(0) else value


@kernel
def _sparsemax_gradient_row(y, dy, dx, size, accumulate):
    first = cuda.blockIdx.x * size
    total, above = real(0), real(0)
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        total += dy[first + j] if y[first + j] > real(0) else real(0)
        above += real(1) if y[first + j] > real(0) else real(0)
    above = block_sum(above)
    mean = block_sum(total) / _maximum(above, real(1))
    for j in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        gradient = dy[first + j] - mean if y[first + j] > real(0) else real(0)
        dx[first + j] = dx[first + j] + gradient if accumulate else gradient


# A thread for each line: line (outer, i) starts at outer * size * inner + i, its elements are ``inner`` apart.


@kernel
def _softmax_line(x, y, size, inner, lines):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * size * inner + line % inner
        end = first + size * inner
        largest = real(-np.inf)
        for at in range(first, end, inner):
            largest = _maximum(largest, x[at])
        total = real(0)
        for at in range(first, end, inner):
            value = real(math.exp(x[at] - largest))
            y[at] = value
            total += value
        factor = real(1) / total
        for at in range(first, end, inner):
            y[at] *= factor


@kernel
def _log_softmax_line(x, y, size, inner, lines):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * size * inner + line % inner
        end = first + size * inner
        largest = real(-np.inf)
        for at in range(first, end, inner):
            largest = _maximum(largest, x[at])
        total = real(0)
        for at in range(first, end, inner):
            value = x[at] - largest
            y[at] = value
            total += real(math.exp(value))
        log_total = real(math.log(total))
        for at in range(first, end, inner):
            y[at] -= log_total


@kernel
def _softmax_gradient_line(y, dy, dx, size, inner, lines, accumulate):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * size * inner + line % inner
        end = first + size * inner
        product = real(0)
        for at in range(first, end, inner):
            product += y[at] * dy[at]
        for at in range(first, end, inner):
            gradient = y[at] * (dy[at] - product)
            dx[at] = dx[at] + gradient if accumulate else gradient


@kernel
def _log_softmax_gradient_line(y, dy, dx, size, inner, lines, accumulate):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * size * inner + line % inner
        end = first + size * inner
        total = real(0)
        for at in range(first, end, inner):
            total += dy[at]
        for at in range(first, end, inner):
            gradient = dy[at] - real(math.exp(y[at])) * total
            dx[at] = dx[at] + gradient if accumulate else gradient


@kernel
def _sparsemax_line(x, y, size, inner, lines):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * size * inner + line % inner
        end = first + size * inner
        largest = real(-np.inf)
        for at in range(first, end, inner):
            largest = _maximum(largest, x[at])
        for at in range(first, end, inner):
            y[at] = x[at] - largest
        tau, above, before = real(-1), real(size + 1), real(size + 2)
        while above < before:
            before, above, total = above, real(0), real(0)
            for at in range(first, end, inner):
                above += real(1) if y[at] > tau else real(0)
                total += y[at] if y[at] > tau else real(0)
            tau = (total - real(1)) / _maximum(above, real(1))
        for at in range(first, end, inner):
            value = y[at] - tau
            y[at] = real(0) if value <= real(0) else value


@kernel
def _sparsemax_gradient_line(y, dy, dx, size, inner, lines, accumulate):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * size * inner + line % inner
        end = first + size * inner
        total, above = real(0), real(0)
        for at in range(first, end, inner):
            total += dy[at] if y[at] > real(0) else real(0)
            above += real(1) if y[at] > real(0) else real(0)
        mean = total / _maximum(above, real(1))
        for at in range(first, end, inner):
            gradient = dy[at] - mean if y[at] > real(0) else real(0)
            dx[at] = dx[at] + gradient if accumulate else gradient


def _launch(row_kernel, line_kernel, arrays, axis_size, inner, *flags):
    arrays = [array.reshape(-1) for array in arrays]
    if arrays[0].size == 0:
        return
    lines = arrays[0].size // axis_size
    if inner == 1:
        launch(row_kernel, lines, row_block(axis_size), *arrays, axis_size, *flags)
    else:
        launch(line_kernel, *over(lines), *arrays, axis_size, inner, lines, *flags)


def softmax_forward(x, y, axis_size, inner):
    """y = exp(x) / (sum of exp(x) over the axis).  x, y: (outer, axis_size, inner); y may be x's memory"""
    _launch(_softmax_row, _softmax_line, (x, y), axis_size, inner)


def softmax_backward(y, dy, dx, axis_size, inner, accumulate):
    """dx = y (dy - (sum of y dy over the axis)).  y, dy, dx: (outer, axis_size, inner); dx may be dy's memory"""
    _launch(_softmax_gradient_row, _softmax_gradient_line, (y, dy, dx), axis_size, inner, accumulate)


def log_softmax_forward(x, y, axis_size, inner):
    """y = x - log(sum of exp(x) over the axis).  x, y: (outer, axis_size, inner); y may be x's memory"""
    _launch(_log_softmax_row, _log_softmax_line, (x, y), axis_size, inner)


def log_softmax_backward(y, dy, dx, axis_size, inner, accumulate):
    """dx = dy - exp(y) (sum of dy over the axis).  y, dy, dx: (outer, axis_size, inner); dx may be dy's memory"""
    _launch(_log_softmax_gradient_row, _log_softmax_gradient_line, (y, dy, dx), axis_size, inner, accumulate)


def sparsemax_forward(x, y, axis_size, inner):
    """y = max(x - tau, 0), which sums up to 1 over the axis.  x, y: (outer, axis_size, inner); y may be x's memory"""
    _launch(_sparsemax_row, _sparsemax_line, (x, y), axis_size, inner)


def sparsemax_backward(y, dy, dx, axis_size, inner, accumulate):
    """dx = dy - (mean of dy where y > 0) where y > 0, else 0.  y, dy, dx: (outer, axis_size, inner); dx may be dy's"""
    _launch(_sparsemax_gradient_row, _sparsemax_gradient_line, (y, dy, dx), axis_size, inner, accumulate)
