"""Softmax, its logarithm and sparsemax over one axis: x is (outer, axis_size, inner).

The maximum of the axis is taken off before exp, so that nothing overflows (Goodfellow et al. 2016, section 4.1).  Lines
that lie in memory side by side (inner = 1) have a block or a warp each, others a thread each.
"""

import functools
import math

import numpy as np

from ..scalar import arithmetic, real
from ._api import THREADS, WARP, ceil_div, cuda, function, is_aligned, kernel, launch, over, row_block
from ._blocks import block_max, block_sum, warp_max, warp_sum
from .ptx import load_quad, store_quad

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


# Rows of float32 in fours that registers hold: they are read once, ``count`` quads by each thread.  Short rows have a
# warp each, and no barrier; threadIdx.y tells which.


@function
def _row():
    return cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y


@functools.cache
def _softmax_quads(count: int, logarithm: bool, row_max, row_sum):
    size_of_own = 4 * count

    @kernel
    def _softmax_quads(x, y, size, rows):
        row = _row()
        if row >= rows:
            return
        own = cuda.local.array(size_of_own, real)
        least = real(-np.inf)
        for k in range(count):
            j, i = 4 * (k * cuda.blockDim.x + cuda.threadIdx.x), 4 * k
            v = load_quad(x, row * size + j) if j < size else (least, least, least, least)
            own[i], own[i + 1], own[i + 2], own[i + 3] = v[0], v[1], v[2], v[3]
        largest = least
        for i in range(size_of_own):
            largest = _maximum(largest, own[i])
        largest = row_max(largest)
        total = real(0)
        for i in range(size_of_own):
            value = own[i] - largest
            power = real(math.exp(value))
            total += power
            own[i] = value if logarithm else power
        total = row_sum(total)
        factor = real(1) if logarithm else real(1) / total
        less = real(math.log(total)) if logarithm else real(0)
        for k in range(count):
            j, i = 4 * (k * cuda.blockDim.x + cuda.threadIdx.x), 4 * k
            if j < size:
                v = own[i], own[i + 1], own[i + 2], own[i + 3]
                if logarithm:
                    v = v[0] - less, v[1] - less, v[2] - less, v[3] - less
                else:
                    v = v[0] * factor, v[1] * factor, v[2] * factor, v[3] * factor
                store_quad(y, row * size + j, v)

    return _softmax_quads


@function
def _softmax_slope(y, dy, product):
    return y * (dy - product)


@function
def _log_softmax_slope(y, dy, total):
    return dy - real(math.exp(y)) * total


@function
def _product_of_both(y, dy):
    return y * dy


@function
def _gradient_alone(y, dy):
    return dy


@functools.cache
def _gradient_quads(count: int, row_sum, term, slope):
    """dx = slope(y, dy, sum of term(y, dy) over the row)"""
    size_of_own = 4 * count

    @kernel
    def _gradient_quads(y, dy, dx, size, rows, accumulate):
        row = _row()
        if row >= rows:
            return
        results, gradients = cuda.local.array(size_of_own, real), cuda.local.array(size_of_own, real)
        zeros = real(0), real(0), real(0), real(0)
        for k in range(count):
            j, i = 4 * (k * cuda.blockDim.x + cuda.threadIdx.x), 4 * k
            v = load_quad(y, row * size + j) if j < size else zeros
            d = load_quad(dy, row * size + j) if j < size else zeros
            results[i], results[i + 1], results[i + 2], results[i + 3] = v[0], v[1], v[2], v[3]
            gradients[i], gradients[i + 1], gradients[i + 2], gradients[i + 3] = d[0], d[1], d[2], d[3]
        total = real(0)
        for i in range(size_of_own):
            total += term(results[i], gradients[i])
        total = row_sum(total)
        for k in range(count):
            j, i = 4 * (k * cuda.blockDim.x + cuda.threadIdx.x), 4 * k
            if j < size:
                a = load_quad(dx, row * size + j) if accumulate else zeros
                quad = (
                    a[0] + slope(results[i], gradients[i], total),
                    a[1] + slope(results[i + 1], gradients[i + 1], total),
                    a[2] + slope(results[i + 2], gradients[i + 2], total),
                    a[3] + slope(results[i + 3], gradients[i + 3], total),
                )
                store_quad(dx, row * size + j, quad)

    return _gradient_quads


_MOST_QUADS = 8  # of a thread


def _launch_quads(of_warps, of_blocks, arrays, size: int, *flags) -> bool:
    """Launch a kernel over rows in registers, if they fit; each of a number of quads and functions is to make one."""
    quads = ceil_div(size, 4)
    if size % 4 or quads > _MOST_QUADS * THREADS or not all(map(is_aligned, arrays)):
        return False
    rows = arrays[0].size // size
    if quads <= _MOST_QUADS * WARP:
        launched, block = of_warps(ceil_div(quads, WARP)), (WARP, THREADS // WARP)
    else:
        launched, block = of_blocks(ceil_div(quads, THREADS)), (THREADS, 1)
    launch(launched, ceil_div(rows, block[1]), block, *arrays, size, rows, *flags)
    return True


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


def _launch(row_kernel, line_kernel, arrays, axis_size, inner, *flags, quads=None):
    """quads: what makes a kernel over rows in registers, if there is one, of the count, with a warp's functions, and
    with a block's.
    """
    arrays = [array.reshape(-1) for array in arrays]
    if arrays[0].size == 0:
        return
    lines = arrays[0].size // axis_size
    if inner != 1:
        launch(line_kernel, *over(lines), *arrays, axis_size, inner, lines, *flags)
    elif quads is None or not _launch_quads(*quads, arrays, axis_size, *flags):
        launch(row_kernel, lines, row_block(axis_size), *arrays, axis_size, *flags)


def _forward_quads(logarithm: bool):
    return (
        lambda count: _softmax_quads(count, logarithm, warp_max, warp_sum),
        lambda count: _softmax_quads(count, logarithm, block_max, block_sum),
    )


def _backward_quads(term, slope):
    return (
        lambda count: _gradient_quads(count, warp_sum, term, slope),
        lambda count: _gradient_quads(count, block_sum, term, slope),
    )


def softmax_forward(x, y, axis_size, inner):
    """y = exp(x) / (sum of exp(x) over the axis).  x, y: (outer, axis_size, inner); y may be x's memory"""
    _launch(_softmax_row, _softmax_line, (x, y), axis_size, inner, quads=_forward_quads(False))


def softmax_backward(y, dy, dx, axis_size, inner, accumulate):
    """dx = y (dy - (sum of y dy over the axis)).  y, dy, dx: (outer, axis_size, inner); dx may be dy's memory"""
    quads = _backward_quads(_product_of_both, _softmax_slope)
    _launch(_softmax_gradient_row, _softmax_gradient_line, (y, dy, dx), axis_size, inner, accumulate, quads=quads)


def log_softmax_forward(x, y, axis_size, inner):
    """y = x - log(sum of exp(x) over the axis).  x, y: (outer, axis_size, inner); y may be x's memory"""
    _launch(_log_softmax_row, _log_softmax_line, (x, y), axis_size, inner, quads=_forward_quads(True))


def log_softmax_backward(y, dy, dx, axis_size, inner, accumulate):
    """dx = dy - exp(y) (sum of dy over the axis).  y, dy, dx: (outer, axis_size, inner); dx may be dy's memory"""
    kernels, quads = (_log_softmax_gradient_row, _log_softmax_gradient_line), (_gradient_alone, _log_softmax_slope)
    _launch(*kernels, (y, dy, dx), axis_size, inner, accumulate, quads=_backward_quads(*quads))


def sparsemax_forward(x, y, axis_size, inner):
    """y = max(x - tau, 0), which sums up to 1 over the axis.  x, y: (outer, axis_size, inner); y may be x's memory"""
    _launch(_sparsemax_row, _sparsemax_line, (x, y), axis_size, inner)


def sparsemax_backward(y, dy, dx, axis_size, inner, accumulate):
    """dx = dy - (mean of dy where y > 0) where y > 0, else 0.  y, dy, dx: (outer, axis_size, inner); dx may be dy's"""
    _launch(_sparsemax_gradient_row, _sparsemax_gradient_line, (y, dy, dx), axis_size, inner, accumulate)
