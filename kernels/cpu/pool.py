"""Pooling, NHWC: windows are clipped to the image, channels are innermost.

``argmax`` says which tap of a window won.  It may be of any integer type that holds the number of taps: none is -1,
which is the largest number of an unsigned type.
"""

import numpy as np

from .runtime.jit import kernel, kernel_attributes
from .runtime.windows import taps_inside


@kernel
def max_pool2d_forward(x, y, argmax, window_h, window_w, stride_h, stride_w, pad_top, pad_left):
    """Maximum of each window.  x: (N, H, W, C), y, argmax: (N, P, Q, C)

    ``argmax`` is r * window_w + s of the tap (r, s) that won: the first maximum, or the first NaN.  Padding never wins;
    a window of nothing but padding gives -inf and -1.
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    for n in range(samples):
        for p in range(y.shape[1]):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, 1, window_h, height)
            for q in range(y.shape[2]):
                left = q * stride_w - pad_left
                s_first, s_end = taps_inside(left, 1, window_w, width)
                for c in range(channels):
                    y[n, p, q, c] = -np.inf
                    argmax[n, p, q, c] = -1
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        tap = argmax.dtype.type(r * window_w + s)
                        first = r == r_first and s == s_first
                        for c in range(channels):
                            value = x[n, top + r, left + s, c]
                            best = y[n, p, q, c]
                            # "not <=" holds for a NaN in either: a NaN wins, and best == best keeps the first one
                            wins = first or (not value <= best and best == best)
                            y[n, p, q, c] = value if wins else best
                            argmax[n, p, q, c] = tap if wins else argmax[n, p, q, c]


@kernel
def max_pool2d_backward(dy, argmax, dx, window_h, window_w, stride_h, stride_w, pad_top, pad_left, accumulate):
    """Gradient of max_pool2d_forward: all of it to the winner.  dy, argmax: (N, P, Q, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    zero = dy.dtype.type(0)
    if not accumulate:
        dx[:] = 0
    for n in range(samples):
        for p in range(dy.shape[1]):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, 1, window_h, height)
            for q in range(dy.shape[2]):
                left = q * stride_w - pad_left
                s_first, s_end = taps_inside(left, 1, window_w, width)
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        tap = argmax.dtype.type(r * window_w + s)
                        for c in range(channels):
                            gradient = dy[n, p, q, c]  # loaded first: a select, not a branch that nobody predicts
                            dx[n, top + r, left + s, c] += gradient if argmax[n, p, q, c] == tap else zero


@kernel
def average_pool2d_forward(x, y, window_h, window_w, stride_h, stride_w, pad_top, pad_left):
    """Mean of the part of each window that is inside the image.  x: (N, H, W, C), y: (N, P, Q, C)

    Padding is not counted; a window of nothing but padding gives 0.
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    one = x.dtype.type(1)
    for n in range(samples):
        for p in range(y.shape[1]):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, 1, window_h, height)
            for q in range(y.shape[2]):
                left = q * stride_w - pad_left
                s_first, s_end = taps_inside(left, 1, window_w, width)
                weight = one / x.dtype.type(max(1, (r_end - r_first) * (s_end - s_first)))
                for c in range(channels):
                    y[n, p, q, c] = 0
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        for c in range(channels):
                            y[n, p, q, c] += x[n, top + r, left + s, c]
                for c in range(channels):
                    y[n, p, q, c] *= weight


@kernel
def average_pool2d_backward(dy, dx, window_h, window_w, stride_h, stride_w, pad_top, pad_left, accumulate):
    """Gradient of average_pool2d_forward.  dy: (N, P, Q, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    one = dy.dtype.type(1)
    if not accumulate:
        dx[:] = 0
    for n in range(samples):
        for p in range(dy.shape[1]):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, 1, window_h, height)
            for q in range(dy.shape[2]):
                left = q * stride_w - pad_left
                s_first, s_end = taps_inside(left, 1, window_w, width)
                weight = one / dy.dtype.type(max(1, (r_end - r_first) * (s_end - s_first)))
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        for c in range(channels):
                            dx[n, top + r, left + s, c] += dy[n, p, q, c] * weight


@kernel
def global_average_pool2d_forward(x, y):
    """Mean over the image.  x: (N, H, W, C), y: (N, C)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    weight = x.dtype.type(1) / x.dtype.type(height * width)
    for n in range(samples):
        for c in range(channels):
            y[n, c] = 0
        for h in range(height):
            for w in range(width):
                for c in range(channels):
                    y[n, c] += x[n, h, w, c]
        for c in range(channels):
            y[n, c] *= weight


@kernel
def global_average_pool2d_backward(dy, dx, accumulate):
    """Gradient of global_average_pool2d_forward.  dy: (N, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    weight = dy.dtype.type(1) / dy.dtype.type(height * width)
    if not accumulate:
        dx[:] = 0
    for n in range(samples):
        for h in range(height):
            for w in range(width):
                for c in range(channels):
                    dx[n, h, w, c] += dy[n, c] * weight


@kernel
def global_max_pool2d_forward(x, y, argmax):
    """Maximum over the image.  x: (N, H, W, C), y: (N, C), argmax: (N, C) int32, h * W + w of the winner

    The first maximum wins, or the first NaN.
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    for n in range(samples):
        for c in range(channels):
            y[n, c] = x[n, 0, 0, c]
            argmax[n, c] = 0
        for h in range(height):
            for w in range(width):
                position = np.int32(h * width + w)
                for c in range(channels):
                    value = x[n, h, w, c]
                    best = y[n, c]
                    wins = (not value <= best) & (best == best)
                    winner = argmax[n, c]
                    y[n, c] = value if wins else best
                    argmax[n, c] = position if wins else winner


@kernel
def global_max_pool2d_backward(dy, argmax, dx, accumulate):
    """Gradient of global_max_pool2d_forward: all of it to the winner.  dy, argmax: (N, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, _, width, channels = dx.shape
    if not accumulate:
        dx[:] = 0
    for n in range(samples):
        for c in range(channels):
            dx[n, argmax[n, c] // width, argmax[n, c] % width, c] += dy[n, c]
