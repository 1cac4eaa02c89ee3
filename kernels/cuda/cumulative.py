"""Running sums and products along one axis: x is (outer, axis_size, inner)."""

from ..scalar import real
from ._api import cuda, kernel, launch, over


@kernel
def _cumsum_forward(x, y, lines, axis_size, inner):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * axis_size * inner + line % inner
        total = y.dtype.type(0)
        for j in range(axis_size):
            total += x[first + j * inner]
            y[first + j * inner] = total


def cumsum_forward(x, y, axis_size, inner):
    """y[j] = x[0] + ... + x[j] along the axis.  x, y: (outer, axis_size, inner)"""
    lines = y.size // max(1, axis_size)
    launch(_cumsum_forward, *over(lines), x.reshape(-1), y.reshape(-1), lines, axis_size, inner)


@kernel
def _cumsum_backward(dy, dx, lines, axis_size, inner, accumulate):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * axis_size * inner + line % inner
        total = real(0)
        for j in range(axis_size - 1, -1, -1):
            at = first + j * inner
            total += dy[at]
            dx[at] = dx[at] + total if accumulate else total


def cumsum_backward(dy, dx, axis_size, inner, accumulate):
    """dx[j] = dy[j] + dy[j + 1] + ... along the axis, added to dx if accumulate.  dy, dx: (outer, axis_size, inner)"""
    lines = dx.size // max(1, axis_size)
    launch(_cumsum_backward, *over(lines), dy.reshape(-1), dx.reshape(-1), lines, axis_size, inner, accumulate)


@kernel
def _cumprod_forward(x, y, lines, axis_size, inner):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * axis_size * inner + line % inner
        product = y.dtype.type(1)
        for j in range(axis_size):
            product *= x[first + j * inner]
            y[first + j * inner] = product


def cumprod_forward(x, y, axis_size, inner):
    """y[j] = x[0] * ... * x[j] along the axis.  x, y: (outer, axis_size, inner)"""
    lines = y.size // max(1, axis_size)
    launch(_cumprod_forward, *over(lines), x.reshape(-1), y.reshape(-1), lines, axis_size, inner)


@kernel
def _cumprod_backward(x, y, dy, dx, lines, axis_size, inner, accumulate):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        first = line // inner * axis_size * inner + line % inner
        rest = real(0)
        for j in range(axis_size - 1, -1, -1):
            at = first + j * inner
            rest = dy[at] + rest
            value = rest * y[at - inner] if j > 0 else rest
            dx[at] = dx[at] + value if accumulate else value
            rest *= x[at]


def cumprod_backward(x, y, dy, dx, axis_size, inner, accumulate):
    """dx[j] = y[j - 1] (dy[j] + x[j + 1] (dy[j + 1] + x[j + 2] (dy[j + 2] + ...))): exact where elements are 0, too"""
    lines = dx.size // max(1, axis_size)
    flat = x.reshape(-1), y.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    launch(_cumprod_backward, *over(lines), *flat, lines, axis_size, inner, accumulate)
