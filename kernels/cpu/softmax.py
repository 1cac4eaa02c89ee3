"""Softmax, its logarithm and sparsemax over one axis: x is (outer, axis_size, inner).

The maximum of the axis is taken off before exp, so that nothing overflows (Goodfellow et al. 2016, section 4.1).
"""

import numpy as np

from .runtime import vector_math
from .runtime.jit import kernel, kernel_attributes, scalar


@scalar
def _softmax_of_line(x, y):
    largest = x.dtype.type(-np.inf)
    for j in range(x.size):
        largest = x[j] if x[j] > largest else largest
    total = x.dtype.type(0)
    for j in range(x.size):
        y[j] = vector_math.exp(x[j] - largest)
        total += y[j]
    factor = x.dtype.type(1) / total
    for j in range(x.size):
        y[j] *= factor


@scalar
def _log_softmax_of_line(x, y):
    largest = x.dtype.type(-np.inf)
    for j in range(x.size):
        largest = x[j] if x[j] > largest else largest
    total = x.dtype.type(0)
    for j in range(x.size):
        # through memory: the compiler may reorder the terms of one expression, and large x would swallow log_total
        y[j] = x[j] - largest
        total += vector_math.exp(y[j])
    log_total = vector_math.log(total)
    for j in range(x.size):
        y[j] -= log_total


@scalar
def _softmax_gradient_of_line(y, dy, dx, accumulate):
    product = y.dtype.type(0)
    for j in range(y.size):
        product += y[j] * dy[j]
    for j in range(y.size):
        gradient = y[j] * (dy[j] - product)
        dx[j] = dx[j] + gradient if accumulate else gradient


@scalar
def _log_softmax_gradient_of_line(y, dy, dx, accumulate):
    total = y.dtype.type(0)
    for j in range(y.size):
        total += dy[j]
    for j in range(y.size):
        gradient = dy[j] - vector_math.exp(y[j]) * total
        dx[j] = dx[j] + gradient if accumulate else gradient


@scalar
def _sparsemax_of_line(x, y):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    largest = x.dtype.type(-np.inf)
    for j in range(x.size):
        largest = x[j] if x[j] > largest else largest
    for j in range(x.size):
        y[j] = x[j] - largest
    # what is above tau, at least the largest one, sums up to 1 with tau off each; tau grows, and fewer are above it,
    # until none leaves any more (Michelot 1986)
    tau, above, before = -one, x.size + 1, x.size + 2
    while above < before:
        before, above, total = above, 0, zero
        for j in range(x.size):
            above += 1 if y[j] > tau else 0
            total += y[j] if y[j] > tau else zero
        tau = (total - one) / x.dtype.type(max(above, 1))
    for j in range(x.size):
        value = y[j] - tau
        y[j] = zero if value <= zero else value


@scalar
def _sparsemax_gradient_of_line(y, dy, dx, accumulate):
    zero = y.dtype.type(0)
    total, count = zero, 0
    for j in range(y.size):
        count += 1 if y[j] > zero else 0
        total += dy[j] if y[j] > zero else zero
    mean = total / y.dtype.type(max(count, 1))
    for j in range(y.size):
        gradient = dy[j] - mean if y[j] > zero else zero
        dx[j] = dx[j] + gradient if accumulate else gradient


# Contiguous lines are a case of their own, which the compiler vectorises.


@kernel
def softmax_forward(x, y, axis_size, inner):
    """y = exp(x) / (sum of exp(x) over the axis).  x, y: (outer, axis_size, inner); y may be x's memory"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    size = axis_size * inner
    for first in range(0, y.size, size):
        if inner == 1:
            _softmax_of_line(x[first : first + size], y[first : first + size])
        else:
            for i in range(first, first + inner):
                _softmax_of_line(x[i : i + size : inner], y[i : i + size : inner])


@kernel
def softmax_backward(y, dy, dx, axis_size, inner, accumulate):
    """dx = y (dy - (sum of y dy over the axis)).  y, dy, dx: (outer, axis_size, inner); dx may be dy's memory"""
    kernel_attributes()
    y = y.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    size = axis_size * inner
    for first in range(0, y.size, size):
        if inner == 1:
            last = first + size
            _softmax_gradient_of_line(y[first:last], dy[first:last], dx[first:last], accumulate)
        else:
            for i in range(first, first + inner):
                last = i + size
                _softmax_gradient_of_line(y[i:last:inner], dy[i:last:inner], dx[i:last:inner], accumulate)


@kernel
def log_softmax_forward(x, y, axis_size, inner):
    """y = x - log(sum of exp(x) over the axis).  x, y: (outer, axis_size, inner); y may be x's memory"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    size = axis_size * inner
    for first in range(0, y.size, size):
        if inner == 1:
            _log_softmax_of_line(x[first : first + size], y[first : first + size])
        else:
            for i in range(first, first + inner):
                _log_softmax_of_line(x[i : i + size : inner], y[i : i + size : inner])


@kernel
def log_softmax_backward(y, dy, dx, axis_size, inner, accumulate):
    """dx = dy - exp(y) (sum of dy over the axis).  y, dy, dx: (outer, axis_size, inner); dx may be dy's memory"""
    kernel_attributes()
    y = y.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    size = axis_size * inner
    for first in range(0, y.size, size):
        if inner == 1:
            last = first + size
            _log_softmax_gradient_of_line(y[first:last], dy[first:last], dx[first:last], accumulate)
        else:
            for i in range(first, first + inner):
                last = i + size
                _log_softmax_gradient_of_line(y[i:last:inner], dy[i:last:inner], dx[i:last:inner], accumulate)


@kernel
def sparsemax_forward(x, y, axis_size, inner):
    """y = max(x - tau, 0), which sums up to 1 over the axis.  x, y: (outer, axis_size, inner); y may be x's memory"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    size = axis_size * inner
    for first in range(0, y.size, size):
        if inner == 1:
            _sparsemax_of_line(x[first : first + size], y[first : first + size])
        else:
            for i in range(first, first + inner):
                _sparsemax_of_line(x[i : i + size : inner], y[i : i + size : inner])


@kernel
def sparsemax_backward(y, dy, dx, axis_size, inner, accumulate):
    """dx = dy - (mean of dy where y > 0) where y > 0, else 0.  y, dy, dx: (outer, axis_size, inner); dx may be dy's"""
    kernel_attributes()
    y = y.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    size = axis_size * inner
    for first in range(0, y.size, size):
        if inner == 1:
            last = first + size
            _sparsemax_gradient_of_line(y[first:last], dy[first:last], dx[first:last], accumulate)
        else:
            for i in range(first, first + inner):
                last = i + size
                _sparsemax_gradient_of_line(y[i:last:inner], dy[i:last:inner], dx[i:last:inner], accumulate)
