"""Pooling, NHWC: windows are clipped to the image.

``argmax`` says which tap of a window won.  It may be of any integer type that holds the number of taps: none is -1,
which is the largest number of an unsigned type.  Gradients are gathered: a pixel asks the windows that it lies in.
"""

import numpy as np

from ..scalar import real
from ._api import THREADS, ceil_div, cuda, function, is_aligned, kernel, launch, over_rows
from ._blocks import column_sum
from ._columns import column_block, over_columns, row_step
from ._division import check_range, quotient
from .ptx import load_quad, store_quad

# shape: (height, width, channels, out_height, out_width, then the geometry: window_h, window_w, stride_h, stride_w,
# pad_top, pad_left)


@function
def _windows_of(position, window, stride, count):
    """Range of the windows that a padded position lies in: p * stride <= position < p * stride + window."""
    last = quotient(position, stride)
    if window <= stride:  # one at most, for which one division is enough
        first = last if position - last * stride < window else last + 1
    else:
        first = quotient(max(0, position - window + stride), stride)
    return first, min(count, last + 1)


@function
def _size_inside(start, window, size):
    """How many positions of a window lie in the image."""
    return min(window, size - start) - max(0, -start)


@function
def _weight(count):
    """1 / count, of which there are less than 2**31"""
    return real(1) / real(np.int32(max(1, count)))


@function
def _wins(value, best):
    """Whether value replaces best: it is larger, or the first NaN."""
    return not value <= best and best == best


# A thread keeps to one pixel of a line and to one channel, or to four, and steps through the lines of all images.


@kernel
def _max_forward(x, y, argmax, lines, shape, none):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    first_column, first_line = cuda.grid(2)
    column_step, line_step = cuda.gridsize(2)
    for column in range(first_column, out_width * channels, column_step):
        q = quotient(column, channels)
        left = q * stride_w - pad_left
        start = left * channels + column - q * channels
        s_first, s_end = max(0, -left), min(window_w, width - left)
        for line in range(first_line, lines, line_step):
            n = quotient(line, out_height)
            top = (line - n * out_height) * stride_h - pad_top
            best, winner = real(-np.inf), none
            for r in range(max(0, -top), min(window_h, height - top)):
                first = (n * height + top + r) * width * channels + start
                for s in range(s_first, s_end):
                    value = x[first + s * channels]
                    if winner == none or _wins(value, best):
                        best, winner = value, r * window_w + s
            i = line * out_width * channels + column
            y[i] = best
            argmax[i] = winner


@kernel
def _max_backward(dy, argmax, dx, lines, shape, accumulate):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    first_column, first_line = cuda.grid(2)
    column_step, line_step = cuda.gridsize(2)
    for column in range(first_column, width * channels, column_step):
        w = quotient(column, channels)
        c = column - w * channels
        w += pad_left
        q_first, q_end = _windows_of(w, window_w, stride_w, out_width)
        for line in range(first_line, lines, line_step):
            n = quotient(line, height)
            h = line - n * height + pad_top
            p_first, p_end = _windows_of(h, window_h, stride_h, out_height)
            total = real(0)
            for p in range(p_first, p_end):
                first = (n * out_height + p) * out_width * channels + c
                tap = (h - p * stride_h) * window_w + w
                for q in range(q_first, q_end):
                    gradient = dy[first + q * channels]  # whoever won, so that the loads don't wait for each other
                    total += gradient if argmax[first + q * channels] == tap - q * stride_w else real(0)
            at = line * width * channels + column
            dx[at] = dx[at] + total if accumulate else total


@kernel
def _max_backward_quads(dy, argmax, dx, lines, shape, accumulate):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    first_quad, first_line = cuda.grid(2)
    quad_step, line_step = cuda.gridsize(2)
    zero = real(0)
    for quad in range(first_quad, width * channels // 4, quad_step):
        w = quotient(4 * quad, channels)
        c = 4 * quad - w * channels
        w += pad_left
        q_first, q_end = _windows_of(w, window_w, stride_w, out_width)
        for line in range(first_line, lines, line_step):
            n = quotient(line, height)
            h = line - n * height + pad_top
            p_first, p_end = _windows_of(h, window_h, stride_h, out_height)
            at = line * width * channels + 4 * quad
            t = zero, zero, zero, zero
            for p in range(p_first, p_end):
                first = (n * out_height + p) * out_width * channels + c
                for q in range(q_first, q_end):
                    output = first + q * channels
                    tap = (h - p * stride_h) * window_w + w - q * stride_w
                    g = load_quad(dy, output)
                    t = (
                        t[0] + (g[0] if argmax[output] == tap else zero),
                        t[1] + (g[1] if argmax[output + 1] == tap else zero),
                        t[2] + (g[2] if argmax[output + 2] == tap else zero),
                        t[3] + (g[3] if argmax[output + 3] == tap else zero),
                    )
            if accumulate:
                d = load_quad(dx, at)
                t = d[0] + t[0], d[1] + t[1], d[2] + t[2], d[3] + t[3]
            store_quad(dx, at, t)


@kernel
def _average_forward(x, y, lines, shape):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    first_column, first_line = cuda.grid(2)
    column_step, line_step = cuda.gridsize(2)
    for column in range(first_column, out_width * channels, column_step):
        q = quotient(column, channels)
        left = q * stride_w - pad_left
        c = column - q * channels
        inside = _size_inside(left, window_w, width)
        for line in range(first_line, lines, line_step):
            n = quotient(line, out_height)
            top = (line - n * out_height) * stride_h - pad_top
            total = real(0)
            for h in range(max(0, top), min(height, top + window_h)):
                first = (n * height + h) * width * channels + c
                for w in range(max(0, left), min(width, left + window_w)):
                    total += x[first + w * channels]
            y[line * out_width * channels + column] = total * _weight(_size_inside(top, window_h, height) * inside)


@kernel
def _average_backward(dy, dx, lines, shape, accumulate):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    first_column, first_line = cuda.grid(2)
    column_step, line_step = cuda.gridsize(2)
    for column in range(first_column, width * channels, column_step):
        w = quotient(column, channels)
        c = column - w * channels
        q_first, q_end = _windows_of(w + pad_left, window_w, stride_w, out_width)
        for line in range(first_line, lines, line_step):
            n = quotient(line, height)
            h = line - n * height + pad_top
            p_first, p_end = _windows_of(h, window_h, stride_h, out_height)
            total = real(0)
            for p in range(p_first, p_end):
                rows = _size_inside(p * stride_h - pad_top, window_h, height)
                first = (n * out_height + p) * out_width * channels + c
                for q in range(q_first, q_end):
                    weight = _weight(rows * _size_inside(q * stride_w - pad_left, window_w, width))
                    total += dy[first + q * channels] * weight
            at = line * width * channels + column
            dx[at] = dx[at] + total if accumulate else total


@kernel
def _average_backward_quads(dy, dx, lines, shape, accumulate):
    height, width, channels, out_height, out_width, window_h, window_w, stride_h, stride_w, pad_top, pad_left = shape
    first_quad, first_line = cuda.grid(2)
    quad_step, line_step = cuda.gridsize(2)
    zero = real(0)
    for quad in range(first_quad, width * channels // 4, quad_step):
        w = quotient(4 * quad, channels)
        c = 4 * quad - w * channels
        q_first, q_end = _windows_of(w + pad_left, window_w, stride_w, out_width)
        for line in range(first_line, lines, line_step):
            n = quotient(line, height)
            h = line - n * height + pad_top
            p_first, p_end = _windows_of(h, window_h, stride_h, out_height)
            at = line * width * channels + 4 * quad
            t = zero, zero, zero, zero
            for p in range(p_first, p_end):
                rows = _size_inside(p * stride_h - pad_top, window_h, height)
                first = (n * out_height + p) * out_width * channels + c
                for q in range(q_first, q_end):
                    weight = _weight(rows * _size_inside(q * stride_w - pad_left, window_w, width))
                    g = load_quad(dy, first + q * channels)
                    t = t[0] + g[0] * weight, t[1] + g[1] * weight, t[2] + g[2] * weight, t[3] + g[3] * weight
            if accumulate:
                d = load_quad(dx, at)
                t = d[0] + t[0], d[1] + t[1], d[2] + t[2], d[3] + t[3]
            store_quad(dx, at, t)


def _shape(image, outputs, geometry):
    return *image.shape[1:], *outputs.shape[1:3], *geometry


def _lines(images) -> int:
    """Of all images."""
    lines = images.shape[0] * images.shape[1]
    check_range(images.shape, lines, images.shape[2] * images.shape[3])
    return lines


def _over_lines(images, lanes: int = 1):
    """Grid and block of a kernel whose threads take ``lanes`` channels of a pixel of each line."""
    return over_rows(_lines(images), images.shape[2] * images.shape[3] // lanes)


def _launch_backward(one_by_one, by_quads, arrays, dx, shape, accumulate):
    whole = dx.shape[3] % 4 == 0 and is_aligned(dx) and is_aligned(arrays[0])
    flat = (array.reshape(-1) for array in (*arrays, dx))
    launched, lanes = (by_quads, 4) if whole else (one_by_one, 1)
    launch(launched, *_over_lines(dx, lanes), *flat, _lines(dx), shape, accumulate)


def max_pool2d_forward(x, y, argmax, window_h, window_w, stride_h, stride_w, pad_top, pad_left):
    """Maximum of each window.  x: (N, H, W, C), y, argmax: (N, P, Q, C)

    ``argmax`` is r * window_w + s of the tap (r, s) that won: the first maximum, or the first NaN.  Padding never wins;
    a window of nothing but padding gives -inf and -1.
    """
    shape = _shape(x, y, (window_h, window_w, stride_h, stride_w, pad_top, pad_left))
    none = int(np.iinfo(argmax.dtype).max) if np.dtype(argmax.dtype).kind == "u" else -1
    if y.size:
        arrays = x.reshape(-1), y.reshape(-1), argmax.reshape(-1)
        launch(_max_forward, *_over_lines(y), *arrays, _lines(y), shape, none)


def max_pool2d_backward(dy, argmax, dx, window_h, window_w, stride_h, stride_w, pad_top, pad_left, accumulate):
    """Gradient of max_pool2d_forward: all of it to the winner.  dy, argmax: (N, P, Q, C), dx: (N, H, W, C)"""
    shape = _shape(dx, dy, (window_h, window_w, stride_h, stride_w, pad_top, pad_left))
    if dx.size:
        _launch_backward(_max_backward, _max_backward_quads, (dy, argmax), dx, shape, accumulate)


def average_pool2d_forward(x, y, window_h, window_w, stride_h, stride_w, pad_top, pad_left):
    """Mean of the part of each window that is inside the image.  x: (N, H, W, C), y: (N, P, Q, C)

    Padding is not counted; a window of nothing but padding gives 0.
    """
    shape = _shape(x, y, (window_h, window_w, stride_h, stride_w, pad_top, pad_left))
    if y.size:
        launch(_average_forward, *_over_lines(y), x.reshape(-1), y.reshape(-1), _lines(y), shape)


def average_pool2d_backward(dy, dx, window_h, window_w, stride_h, stride_w, pad_top, pad_left, accumulate):
    """Gradient of average_pool2d_forward.  dy: (N, P, Q, C), dx: (N, H, W, C)"""
    shape = _shape(dx, dy, (window_h, window_w, stride_h, stride_w, pad_top, pad_left))
    if dx.size:
        _launch_backward(_average_backward, _average_backward_quads, (dy,), dx, shape, accumulate)


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
