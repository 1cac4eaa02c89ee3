"""Running sums and products along one axis: x is (outer, axis_size, inner)."""

from .runtime.jit import kernel, kernel_attributes


@kernel
def cumsum_forward(x, y, axis_size, inner):
    """y[j] = x[0] + ... + x[j] along the axis.  x, y: (outer, axis_size, inner)"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    size = axis_size * inner
    for first in range(0, y.size, size):
        for i in range(first, first + inner):
            total = x.dtype.type(0)
            for j in range(i, i + size, inner):
                total += x[j]
                y[j] = total


@kernel
def cumsum_backward(dy, dx, axis_size, inner, accumulate):
    """dx[j] = dy[j] + dy[j + 1] + ... along the axis, added to dx if accumulate.  dy, dx: (outer, axis_size, inner)"""
    kernel_attributes()
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    size = axis_size * inner
    for first in range(0, dx.size, size):
        for i in range(first, first + inner):
            total = dx.dtype.type(0)
            for j in range(i + size - inner, first - 1, -inner):
                total += dy[j]
                dx[j] = dx[j] + total if accumulate else total


@kernel
def cumprod_forward(x, y, axis_size, inner):
    """y[j] = x[0] * ... * x[j] along the axis.  x, y: (outer, axis_size, inner)"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    size = axis_size * inner
    for first in range(0, y.size, size):
        for i in range(first, first + inner):
            product = x.dtype.type(1)
            for j in range(i, i + size, inner):
                product *= x[j]
                y[j] = product


@kernel
def cumprod_backward(x, y, dy, dx, axis_size, inner, accumulate):
    """dx[j] = y[j - 1] (dy[j] + x[j + 1] (dy[j + 1] + x[j + 2] (dy[j + 2] + ...))): exact where elements are 0, too"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    size = axis_size * inner
    for first in range(0, dx.size, size):
        for i in range(first, first + inner):
            rest = dx.dtype.type(0)
            for j in range(i + size - inner, first - 1, -inner):
                rest = dy[j] + rest
                value = rest * y[j - inner] if j >= first + inner else rest
                dx[j] = dx[j] + value if accumulate else value
                rest *= x[j]
