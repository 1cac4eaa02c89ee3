"""Pooling, NHWC: windows are clipped to the image.

``argmax`` says which tap of a window won.  It may be of any integer type that holds the number of taps: none is -1,
which is the largest number of an unsigned type.  Gradients are gathered: a pixel asks the windows that it lies in.
"""

import numpy as np

from ..scalar import real
from ._api import THREADS, ceil_div, cuda, function, kernel, launch, over
from ._blocks import column_sum
from ._columns import column_block, over_columns, row_step

# shape: (height, width, channels, out_height, out_width, then the geometry: window_h, window_w, stride_h, stride_w,
# pad_top, pad_left)


@function
def _corner(i, channels, out_height, out_width, stride_h, stride_w, pad_top, pad_left):
    """(n, top, left, c) of the window of output i."""
    pixel = i // channels
    line = pixel // out_width
    n = line // out_height
    top = (line - n * out_height) * stride_h - pad_top
    left = (pixel - line * out_width) * stride_w - pad_left
    return n, top, left, i - pixel * channels


@function
def _windows_of(position, window, stride, count):
    """Range of the windows that a padded position lies in: p * stride <= position < p * stride + window."""
    first = max(0, (position - window + stride) // stride)
    return first, min(count, position // stride + 1)


@function
def _size_inside(start, window, size):
    """How many positions of a window lie in the image."""
    return min(window, size - start) - max(0, -start)


@function
def _wins(value, best):
    """Whether value replaces best: it is larger, or the first NaN."""
    return not value <= best and best == best


@kernel
def _max_forward(x, y, argmax, size, shape, none):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, top, left, c = _corner(i, channels, out_height, out_width, stride_h, stride_w, pad_top, pad_left)
        best, winner = real(-np.inf), none
        for r in range(max(0, -top), min(window_h, height - top)):
            for s in range(max(0, -left), min(window_w, width - left)):
                value = x[((n * height + top + r) * width + left + s) * channels + c]
                if winner == none or _wins(value, best):
                    best, winner = value, r * window_w + s
        y[i] = best
        argmax[i] = winner


@kernel
def _max_backward(dy, argmax, dx, size, shape, accumulate):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, h, w, c = _corner(i, channels, height, width, 1, 1, -pad_top, -pad_left)
        p_first, p_end = _windows_of(h, window_h, stride_h, out_height)
        q_first, q_end = _windows_of(w, window_w, stride_w, out_width)
        total = real(0)
        for p in range(p_first, p_end):
            for q in range(q_first, q_end):
                output = ((n * out_height + p) * out_width + q) * channels + c
                if argmax[output] == (h - p * stride_h) * window_w + w - q * stride_w:
                    total += dy[output]
        dx[i] = dx[i] + total if accumulate else total


@kernel
def _average_forward(x, y, size, shape):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, top, left, c = _corner(i, channels, out_height, out_width, stride_h, stride_w, pad_top, pad_left)
        total = real(0)
        for h in range(max(0, top), min(height, top + window_h)):
            for w in range(max(0, left), min(width, left + window_w)):
                total += x[((n * height + h) * width + w) * channels + c]
        count = _size_inside(top, window_h, height) * _size_inside(left, window_w, width)
        y[i] = total * (real(1) / real(max(1, count)))


@kernel
def _average_backward(dy, dx, size, shape, accumulate):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, h, w, c = _corner(i, channels, height, width, 1, 1, -pad_top, -pad_left)
        p_first, p_end = _windows_of(h, window_h, stride_h, out_height)
        q_first, q_end = _windows_of(w, window_w, stride_w, out_width)
        total = real(0)
        for p in range(p_first, p_end):
            rows = _size_inside(p * stride_h - pad_top, window_h, height)
            for q in range(q_first, q_end):
                count = rows * _size_inside(q * stride_w - pad_left, window_w, width)
                weight = real(1) / real(max(1, count))
                total += dy[((n * out_height + p) * out_width + q) * channels + c] * weight
        dx[i] = dx[i] + total if accumulate else total


def _shape(image, outputs, geometry):
    return *image.shape[1:], *outputs.shape[1:3], *geometry


def max_pool2d_forward(x, y, argmax, window_h, window_w, stride_h, stride_w, pad_top, pad_left):
    """Maximum of each window.  x: (N, H, W, C), y, argmax: (N, P, Q, C)

    ``argmax`` is r * window_w + s of the tap (r, s) that won: the first maximum, or the first NaN.  Padding never wins;
    a window of nothing but padding gives -inf and -1.
    """
    shape = _shape(x, y, (window_h, window_w, stride_h, stride_w, pad_top, pad_left))
    none = int(np.iinfo(argmax.dtype).max) if np.dtype(argmax.dtype).kind == "u" else -1
    if y.size:
        launch(_max_forward, *over(y.size), x.reshape(-1), y.reshape(-1), argmax.reshape(-1), y.size, shape, none)


def max_pool2d_backward(dy, argmax, dx, window_h, window_w, stride_h, stride_w, pad_top, pad_left, accumulate):
    """Gradient of max_pool2d_forward: all of it to the winner.  dy, argmax: (N, P, Q, C), dx: (N, H, W, C)"""
    shape = _shape(dx, dy, (window_h, window_w, stride_h, stride_w, pad_top, pad_left))
    if dx.size:
        arrays = dy.reshape(-1), argmax.reshape(-1), dx.reshape(-1)
        launch(_max_backward, *over(dx.size), *arrays, dx.size, shape, accumulate)


def average_pool2d_forward(x, y, window_h, window_w, stride_h, stride_w, pad_top, pad_left):
    """Mean of the part of each window that is inside the image.  x: (N, H, W, C), y: (N, P, Q, C)

    Padding is not counted; a window of nothing but padding gives 0.
    """
    shape = _shape(x, y, (window_h, window_w, stride_h, stride_w, pad_top, pad_left))
    if y.size:
        launch(_average_forward, *over(y.size), x.reshape(-1), y.reshape(-1), y.size, shape)


def average_pool2d_backward(dy, dx, window_h, window_w, stride_h, stride_w, pad_top, pad_left, accumulate):
    """Gradient of average_pool2d_forward.  dy: (N, P, Q, C), dx: (N, H, W, C)"""
    shape = _shape(dx, dy, (window_h, window_w, stride_h, stride_w, pad_top, pad_left))
    if dx.size:
        launch(_average_backward, *over(dx.size), dy.reshape(-1), dx.reshape(-1), dx.size, shape, accumulate)


# Over the whole image.  A block takes one image and as many channels as it is wide; its rows share the pixels.


@kernel
def _global_average_forward(x, y, pixels, channels):
    n = cuda.blockIdx.x
    c = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    total = real(0)
    if c < channels:
        for pixel in range(cuda.threadIdx.y, pixels, cuda.blockDim.y):
            total += x[(n * pixels + pixel) * channels + c]
    total = column_sum(total)
    if c < channels and cuda.threadIdx.y == 0:
        y[n * channels + c] = total * (real(1) / real(pixels))


@kernel
def _global_average_backward(dy, dx, rows, pixels, channels, accumulate):
    weight = real(1) / real(pixels)
    c, first = cuda.grid(2)
    if c < channels:
        for row in range(first, rows, row_step()):
            at = row * channels + c
            gradient = dy[row // pixels * channels + c] * weight
            dx[at] = dx[at] + gradient if accumulate else gradient


@kernel
def _global_max_forward(x, y, argmax, pixels, channels):
    values = cuda.shared.array(THREADS, real)
    winners = cuda.shared.array(THREADS, np.int64)
    n = cuda.blockIdx.x
    c = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    best, winner = real(-np.inf), -1
    if c < channels:
        for pixel in range(cuda.threadIdx.y, pixels, cuda.blockDim.y):
            value = x[(n * pixels + pixel) * channels + c]
            if winner < 0 or _wins(value, best):
                best, winner = value, pixel
    width = cuda.blockDim.x
    at = cuda.threadIdx.y * width + cuda.threadIdx.x
    values[at] = best
    winners[at] = winner
    half = cuda.blockDim.y // 2
    while half > 0:
        cuda.syncthreads()
        if cuda.threadIdx.y < half:
            other, position = values[at + half * width], winners[at + half * width]
            # of equals, and of NaNs, the first pixel wins
            same = other == best or (other != other and best != best)
            if position >= 0 and (winner < 0 or _wins(other, best) or (same and position < winner)):
                best, winner = other, position
                values[at] = best
                winners[at] = winner
        half //= 2
    if c < channels and cuda.threadIdx.y == 0:
        y[n * channels + c] = best
        argmax[n * channels + c] = winner


@kernel
def _global_max_backward(dy, argmax, dx, rows, pixels, channels, accumulate):
    c, first = cuda.grid(2)
    if c < channels:
        for row in range(first, rows, row_step()):
            n = row // pixels
            at = row * channels + c
            gradient = dy[n * channels + c] if argmax[n * channels + c] == row - n * pixels else real(0)
            dx[at] = dx[at] + gradient if accumulate else gradient


def _over_images(image):
    samples, height, width, channels = image.shape
    block = column_block(height * width, channels)
    return (samples, ceil_div(channels, block[0])), block


def global_average_pool2d_forward(x, y):
    """Mean over the image.  x: (N, H, W, C), y: (N, C)"""
    _, height, width, channels = x.shape
    if y.size:
        launch(_global_average_forward, *_over_images(x), x.reshape(-1), y.reshape(-1), height * width, channels)


def global_average_pool2d_backward(dy, dx, accumulate):
    """Gradient of global_average_pool2d_forward.  dy: (N, C), dx: (N, H, W, C)"""
    samples, height, width, channels = dx.shape
    pixels = height * width
    if dx.size:
        sizes = samples * pixels, pixels, channels
        grid_and_block = over_columns(samples * pixels, channels)
        launch(_global_average_backward, *grid_and_block, dy.reshape(-1), dx.reshape(-1), *sizes, accumulate)


def global_max_pool2d_forward(x, y, argmax):
    """Maximum over the image.  x: (N, H, W, C), y: (N, C), argmax: (N, C) int32, h * W + w of the winner

    The first maximum wins, or the first NaN.
    """
    _, height, width, channels = x.shape
    if y.size:
        arrays = x.reshape(-1), y.reshape(-1), argmax.reshape(-1)
        launch(_global_max_forward, *_over_images(x), *arrays, height * width, channels)


def global_max_pool2d_backward(dy, argmax, dx, accumulate):
    """Gradient of global_max_pool2d_forward: all of it to the winner.  dy, argmax: (N, C), dx: (N, H, W, C)"""
    samples, height, width, channels = dx.shape
    pixels = height * width
    if dx.size:
        arrays = dy.reshape(-1), argmax.reshape(-1), dx.reshape(-1)
        sizes = samples * pixels, pixels, channels
        launch(_global_max_backward, *over_columns(samples * pixels, channels), *arrays, *sizes, accumulate)
