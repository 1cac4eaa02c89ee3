"""Resizing of images, NHWC, with half-pixel centres: ``kernels.scalar.resizing`` says where a pixel comes from.

Gradients are gathered: a pixel asks the outputs that it is part of.
"""

from ..scalar import real
from ..scalar.resizing import first_at, first_copy, nearest, neighbour
from ._api import cuda, function, kernel, launch, over

# shape: (height, width, channels, rows, columns)


@function
def _place(i, height, width, channels):
    """(n, h, w, c) of element i."""
    pixel = i // channels
    line = pixel // width
    n = line // height
    return n, line - n * height, pixel - line * width, i - pixel * channels


@function
def _weight(position, i, outputs, inputs):
    """What output i takes of an input: one that is both neighbours, at an edge, gives both parts."""
    place, part = neighbour(i, outputs, inputs)
    distance = real(part) / real(2 * outputs)
    weight = real(0)
    if max(place, 0) == position:
        weight += real(1) - distance
    if min(place + 1, inputs - 1) == position:
        weight += distance
    return weight


@kernel
def _nearest_forward(x, y, size, shape):
    height, width, channels, rows, columns = shape
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, p, q, c = _place(i, rows, columns, channels)
        y[i] = x[((n * height + nearest(p, rows, height)) * width + nearest(q, columns, width)) * channels + c]


@kernel
def _nearest_backward(dy, dx, size, shape, accumulate):
    height, width, channels, rows, columns = shape
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, h, w, c = _place(i, height, width, channels)
        total = real(0)
        for p in range(first_copy(h, rows, height), first_copy(h + 1, rows, height)):
            for q in range(first_copy(w, columns, width), first_copy(w + 1, columns, width)):
                total += dy[((n * rows + p) * columns + q) * channels + c]
        dx[i] = dx[i] + total if accumulate else total


@kernel
def _bilinear_forward(x, y, size, shape):
    height, width, channels, rows, columns = shape
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, p, q, c = _place(i, rows, columns, channels)
        top, part = neighbour(p, rows, height)
        down = real(part) / real(2 * rows)
        bottom = n * height + min(top + 1, height - 1)
        top = n * height + max(top, 0)
        left, part = neighbour(q, columns, width)
        across = real(part) / real(2 * columns)
        right = min(left + 1, width - 1)
        left = max(left, 0)
        first = x[(top * width + left) * channels + c]
        above = first + across * (x[(top * width + right) * channels + c] - first)
        first = x[(bottom * width + left) * channels + c]
        below = first + across * (x[(bottom * width + right) * channels + c] - first)
        y[i] = above + down * (below - above)


@kernel
def _bilinear_backward(dy, dx, size, shape, accumulate):
    height, width, channels, rows, columns = shape
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, h, w, c = _place(i, height, width, channels)
        total = real(0)
        q_first, q_end = first_at(w - 1, columns, width), first_at(w + 1, columns, width)
        for p in range(first_at(h - 1, rows, height), first_at(h + 1, rows, height)):
            line = real(0)
            for q in range(q_first, q_end):
                line += _weight(w, q, columns, width) * dy[((n * rows + p) * columns + q) * channels + c]
            total += _weight(h, p, rows, height) * line
        dx[i] = dx[i] + total if accumulate else total


def _shape(image, outputs):
    return *image.shape[1:], *outputs.shape[1:3]


def resize_nearest_forward(x, y):
    """Each pixel is a copy of the one that its centre lies in.  x: (N, H, W, C), y: (N, P, Q, C)"""
    launch(_nearest_forward, *over(y.size), x.reshape(-1), y.reshape(-1), y.size, _shape(x, y))


def resize_nearest_backward(dy, dx, accumulate):
    """Gradient of resize_nearest_forward: the sum over a pixel's copies.  dy: (N, P, Q, C), dx: (N, H, W, C)"""
    launch(_nearest_backward, *over(dx.size), dy.reshape(-1), dx.reshape(-1), dx.size, _shape(dx, dy), accumulate)


def resize_bilinear_forward(x, y):
    """Each pixel is interpolated linearly between four, some the same at edges.  x: (N, H, W, C), y: (N, P, Q, C)"""
    launch(_bilinear_forward, *over(y.size), x.reshape(-1), y.reshape(-1), y.size, _shape(x, y))


def resize_bilinear_backward(dy, dx, accumulate):
    """Gradient of resize_bilinear_forward.  dy: (N, P, Q, C), dx: (N, H, W, C)"""
    launch(_bilinear_backward, *over(dx.size), dy.reshape(-1), dx.reshape(-1), dx.size, _shape(dx, dy), accumulate)
