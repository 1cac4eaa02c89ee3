"""Resizing of images, NHWC, with half-pixel centres: ``kernels.scalar.resizing`` says where a pixel comes from."""

from ..scalar import resizing
from .runtime.jit import kernel, kernel_attributes, scalar

_nearest, _first_copy, _neighbour = map(scalar, (resizing.nearest, resizing.first_copy, resizing.neighbour))


@kernel
def resize_nearest_forward(x, y):
    """Each pixel is a copy of the one that its centre lies in.  x: (N, H, W, C), y: (N, P, Q, C)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    rows, columns = y.shape[1], y.shape[2]
    for n in range(samples):
        for p in range(rows):
            h = _nearest(p, rows, height)
            for q in range(columns):
                w = _nearest(q, columns, width)
                for c in range(channels):
                    y[n, p, q, c] = x[n, h, w, c]


@kernel
def resize_nearest_backward(dy, dx, accumulate):
    """Gradient of resize_nearest_forward: the sum over a pixel's copies.  dy: (N, P, Q, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    rows, columns = dy.shape[1], dy.shape[2]
    if not accumulate:
        dx[:] = 0
    for n in range(samples):
        for h in range(height):
            for p in range(_first_copy(h, rows, height), _first_copy(h + 1, rows, height)):
                for w in range(width):
                    for q in range(_first_copy(w, columns, width), _first_copy(w + 1, columns, width)):
                        for c in range(channels):
                            dx[n, h, w, c] += dy[n, p, q, c]


@kernel
def resize_bilinear_forward(x, y):
    """Each pixel is interpolated linearly between four, some the same at edges.  x: (N, H, W, C), y: (N, P, Q, C)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    rows, columns = y.shape[1], y.shape[2]
    real = x.dtype.type
    for n in range(samples):
        for p in range(rows):
            top, part = _neighbour(p, rows, height)
            down = real(part) / real(2 * rows)
            bottom, top = min(top + 1, height - 1), max(top, 0)
            for q in range(columns):
                left, part = _neighbour(q, columns, width)
                across = real(part) / real(2 * columns)
                right, left = min(left + 1, width - 1), max(left, 0)
                for c in range(channels):
                    above = x[n, top, left, c] + across * (x[n, top, right, c] - x[n, top, left, c])
                    below = x[n, bottom, left, c] + across * (x[n, bottom, right, c] - x[n, bottom, left, c])
                    y[n, p, q, c] = above + down * (below - above)


@kernel
def resize_bilinear_backward(dy, dx, accumulate):
    """Gradient of resize_bilinear_forward.  dy: (N, P, Q, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    rows, columns = dy.shape[1], dy.shape[2]
    real = dy.dtype.type
    if not accumulate:
        dx[:] = 0
    for n in range(samples):
        for p in range(rows):
            top, part = _neighbour(p, rows, height)
            down = real(part) / real(2 * rows)
            bottom, top = min(top + 1, height - 1), max(top, 0)
            for q in range(columns):
                left, part = _neighbour(q, columns, width)
                across = real(part) / real(2 * columns)
                right, left = min(left + 1, width - 1), max(left, 0)
                for c in range(channels):
                    lower = down * dy[n, p, q, c]
                    upper = dy[n, p, q, c] - lower
                    dx[n, top, left, c] += upper - across * upper
                    dx[n, top, right, c] += across * upper
                    dx[n, bottom, left, c] += lower - across * lower
                    dx[n, bottom, right, c] += across * lower
