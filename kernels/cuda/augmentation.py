"""Random changes of pictures, NHWC, made of uniform numbers ``draws`` that come in, a row of them for every picture.

A thread makes a pixel's channel; gradients are gathered where a pixel can ask for them, and else added by one thread
for each channel of a picture, in the order of the CPU.
"""

import math

import numpy as np

from ..scalar import real
from ..scalar.resampling import floor_of, hue_component, hue_of, place_within, source_point
from ._api import cuda, function, kernel, launch, over, row_block
from ._blocks import block_sum


@function
def _between(ranges, i, draw):
    """The number of a draw between ranges[i] and ranges[i + 1]."""
    return ranges[i] + draw * (ranges[i + 1] - ranges[i])


@function
def _pixel(i, height, width, channels):
    """(n, row, column, c) of element i."""
    pixel = i // channels
    line = pixel // width
    n = line // height
    return n, line - n * height, pixel - line * width, i - pixel * channels


@kernel
def _affine_transforms(draws, ranges, transforms, pictures, sizes, same_zoom):
    height, width, out_height, out_width = sizes
    for n in range(cuda.grid(1), pictures, cuda.gridsize(1)):
        d = 8 * n
        angle = _between(ranges, 0, draws[d]) * real(2.0 * math.pi)
        zoom_y = _between(ranges, 2, draws[d + 1])
        zoom_x = zoom_y if same_zoom else _between(ranges, 4, draws[d + 2])
        shift_y = _between(ranges, 6, draws[d + 3]) * real(height)
        shift_x = _between(ranges, 8, draws[d + 4]) * real(width)
        sign = real(1) if draws[d + 7] < real(0.5) else real(-1)
        shear_x, shear_y = _between(ranges, 10, draws[d + 5]) * sign, _between(ranges, 12, draws[d + 6]) * sign
        cosine, sine = real(math.cos(angle)), real(math.sin(angle))
        middle_x, middle_y = real(0.5) * real(out_width - 1), real(0.5) * real(out_height - 1)
        transforms[d] = zoom_x * cosine
        transforms[d + 1] = zoom_x * (shear_x - sine)
        transforms[d + 2] = real(0.5) * real(width - 1) - zoom_x * (cosine * middle_x - sine * middle_y) - shift_x
        transforms[d + 3] = zoom_y * (shear_y + sine)
        transforms[d + 4] = zoom_y * cosine
        transforms[d + 5] = real(0.5) * real(height - 1) - zoom_y * (sine * middle_x + cosine * middle_y) - shift_y
        transforms[d + 6] = real(0)
        transforms[d + 7] = real(0)


def affine_transforms(draws, ranges, transforms, height, width, out_height, out_width, same_zoom):
    """Where each picture is read: a rotation, zoom and shear about its centre, and a translation.

    draws, transforms: (n, 8), ranges: (14,)
    """
    n, sizes = transforms.shape[0], (height, width, out_height, out_width)
    launch(
        _affine_transforms, *over(n), draws.reshape(-1), ranges.reshape(-1), transforms.reshape(-1), n, sizes, same_zoom
    )


@kernel
def _perspective_transforms(draws, ranges, transforms, pictures, height, width):
    for n in range(cuda.grid(1), pictures, cuda.gridsize(1)):
        d, t = 12 * n, 8 * n
        w, h = real(max(width - 1, 1)), real(max(height - 1, 1))
        moved = draws[d + 1] < _between(ranges, 0, draws[d])
        x1 = w * (real(1) + _between(ranges, 2, draws[d + 4]))
        y2 = h * (real(1) + _between(ranges, 2, draws[d + 7]))
        x3 = w * (real(1) + _between(ranges, 2, draws[d + 8]))
        y3 = h * (real(1) + _between(ranges, 2, draws[d + 9]))
        dx1, dx2, dx3 = x1 - x3, -x3, x3 - x1
        dy1, dy2, dy3 = -y3, y2 - y3, y3 - y2
        determinant = dx1 * dy2 - dx2 * dy1
        g = (dx3 * dy2 - dx2 * dy3) / determinant
        k = (dx1 * dy3 - dx3 * dy1) / determinant
        a, e = x1 + g * x1, y2 + k * y2
        for i in range(8):
            transforms[t + i] = real(0)
        transforms[t] = w / a if moved else real(1)
        transforms[t + 4] = h / e if moved else real(1)
        transforms[t + 6] = -g / a if moved else real(0)
        transforms[t + 7] = -k / e if moved else real(0)


def perspective_transforms(draws, ranges, transforms, height, width):
    """Where each picture is read, whose corners move.  draws: (n, 12), ranges: (4,), transforms: (n, 8)"""
    n = transforms.shape[0]
    launch(
        _perspective_transforms,
        *over(n),
        draws.reshape(-1),
        ranges.reshape(-1),
        transforms.reshape(-1),
        n,
        height,
        width,
    )


@function
def _source_of(transforms, n, i, j):
    t = 8 * n
    return source_point(
        real(i), real(j), transforms[t], transforms[t + 1], transforms[t + 2], transforms[t + 3], transforms[t + 4],
        transforms[t + 5], transforms[t + 6], transforms[t + 7],
    )  # fmt: skip


@function
def _read(x, first, r, s, width, channels, fill):
    """The element of a picture's channel at (r, s), or fill where one is -1."""
    return x[first + (r * width + s) * channels] if r >= 0 and s >= 0 else fill


@kernel
def _resample(x, transforms, y, size, sizes, fill_mode, nearest, fill_value):
    height, width, channels, out_height, out_width = sizes
    fill = real(fill_value[0])
    for k in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, i, j, c = _pixel(k, out_height, out_width, channels)
        at_y, at_x = _source_of(transforms, n, i, j)
        first = n * height * width * channels + c
        if nearest:
            r = place_within(floor_of(at_y + real(0.5)), height, fill_mode)
            s = place_within(floor_of(at_x + real(0.5)), width, fill_mode)
            y[k] = _read(x, first, r, s, width, channels, fill)
        else:
            top, left = floor_of(at_y), floor_of(at_x)
            down, right = at_y - real(top), at_x - real(left)
            up, back = real(1) - down, real(1) - right
            r0, r1 = place_within(top, height, fill_mode), place_within(top + 1, height, fill_mode)
            s0, s1 = place_within(left, width, fill_mode), place_within(left + 1, width, fill_mode)
            above = back * _read(x, first, r0, s0, width, channels, fill)
            above += right * _read(x, first, r0, s1, width, channels, fill)
            below = back * _read(x, first, r1, s0, width, channels, fill)
            below += right * _read(x, first, r1, s1, width, channels, fill)
            y[k] = up * above + down * below


def resample(x, transforms, y, fill_mode, nearest, fill_value):
    """y[n, i, j] = x[n] at ``source_point`` of (i, j).  x: (n, H, W, C), transforms: (n, 8), y: (n, P, Q, C)"""
    sizes = (*x.shape[1:], *y.shape[1:3])
    arguments = x.reshape(-1), transforms.reshape(-1), y.reshape(-1), y.size, sizes
    launch(_resample, *over(y.size), *arguments, fill_mode, nearest, fill_value)


@function
def _add_at(dx, first, r, s, width, channels, value):
    if r >= 0 and s >= 0:
        dx[first + (r * width + s) * channels] += value


@kernel
def _resample_backward(dy, transforms, dx, lines, sizes, fill_mode, nearest, accumulate):
    height, width, channels, out_height, out_width = sizes
    for k in range(cuda.grid(1), lines, cuda.gridsize(1)):
        n = k // channels
        c = k - n * channels
        first = n * height * width * channels + c
        if not accumulate:
            for i in range(height * width):
                dx[first + i * channels] = real(0)
        for i in range(out_height):
            for j in range(out_width):
                at_y, at_x = _source_of(transforms, n, i, j)
                gradient = dy[((n * out_height + i) * out_width + j) * channels + c]
                if nearest:
                    r = place_within(floor_of(at_y + real(0.5)), height, fill_mode)
                    s = place_within(floor_of(at_x + real(0.5)), width, fill_mode)
                    _add_at(dx, first, r, s, width, channels, gradient)
                else:
                    top, left = floor_of(at_y), floor_of(at_x)
                    down, right = at_y - real(top), at_x - real(left)
                    up, back = real(1) - down, real(1) - right
                    r0, r1 = place_within(top, height, fill_mode), place_within(top + 1, height, fill_mode)
                    s0, s1 = place_within(left, width, fill_mode), place_within(left + 1, width, fill_mode)
                    _add_at(dx, first, r0, s0, width, channels, up * back * gradient)
                    _add_at(dx, first, r0, s1, width, channels, up * right * gradient)
                    _add_at(dx, first, r1, s0, width, channels, down * back * gradient)
                    _add_at(dx, first, r1, s1, width, channels, down * right * gradient)


def resample_backward(dy, transforms, dx, fill_mode, nearest, accumulate):
    """Gradient of resample.  dy: (n, P, Q, C), dx: (n, H, W, C)"""
    sizes, lines = (*dx.shape[1:], *dy.shape[1:3]), dx.shape[0] * dx.shape[3]
    arguments = dy.reshape(-1), transforms.reshape(-1), dx.reshape(-1), lines, sizes
    launch(_resample_backward, *over(lines), *arguments, fill_mode, nearest, accumulate)


@function
def _flipped(draws, k, sizes, horizontal, vertical):
    """The element that element k of a flipped picture is."""
    height, width, channels = sizes
    n, i, j, c = _pixel(k, height, width, channels)
    row = height - 1 - i if vertical and draws[4 * n + 1] < real(0.5) else i
    column = width - 1 - j if horizontal and draws[4 * n] < real(0.5) else j
    return ((n * height + row) * width + column) * channels + c


@kernel
def _flip(x, draws, y, size, sizes, horizontal, vertical):
    for k in range(cuda.grid(1), size, cuda.gridsize(1)):
        y[k] = x[_flipped(draws, k, sizes, horizontal, vertical)]


def flip(x, draws, y, horizontal, vertical):
    """y = x, mirrored left-right where draws[n, 0] < 0.5, up-down where draws[n, 1] < 0.5.

    x, y: (n, H, W, C), draws: (n, 4)
    """
    arguments = x.reshape(-1), draws.reshape(-1), y.reshape(-1), y.size, tuple(x.shape[1:])
    launch(_flip, *over(y.size), *arguments, horizontal, vertical)


@kernel
def _flip_backward(dy, draws, dx, size, sizes, horizontal, vertical, accumulate):
    for k in range(cuda.grid(1), size, cuda.gridsize(1)):
        gradient = dy[_flipped(draws, k, sizes, horizontal, vertical)]
        dx[k] = dx[k] + gradient if accumulate else gradient


def flip_backward(dy, draws, dx, horizontal, vertical, accumulate):
    """Gradient of flip: flipped as the picture was.  dy, dx: (n, H, W, C)"""
    arguments = dy.reshape(-1), draws.reshape(-1), dx.reshape(-1), dx.size, tuple(dx.shape[1:])
    launch(_flip_backward, *over(dx.size), *arguments, horizontal, vertical, accumulate)


@function
def _corner(draws, n, sizes, padding):
    """(top, left) of the part of picture n."""
    height, width, _, out_height, out_width = sizes
    top = np.int64(draws[4 * n] * real(height + 2 * padding - out_height + 1)) - padding
    left = np.int64(draws[4 * n + 1] * real(width + 2 * padding - out_width + 1)) - padding
    return top, left


@kernel
def _crop(x, draws, y, size, sizes, padding):
    height, width, channels, out_height, out_width = sizes
    for k in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, i, j, c = _pixel(k, out_height, out_width, channels)
        top, left = _corner(draws, n, sizes, padding)
        r, s = top + i, left + j
        inside = r >= 0 and r < height and s >= 0 and s < width
        y[k] = x[((n * height + r) * width + s) * channels + c] if inside else real(0)


def crop(x, draws, y, padding):
    """y = a part of x with so many zeros around it, at a random place.

    x: (n, H, W, C), draws: (n, 4), y: (n, P, Q, C)
    """
    sizes = (*x.shape[1:], *y.shape[1:3])
    launch(_crop, *over(y.size), x.reshape(-1), draws.reshape(-1), y.reshape(-1), y.size, sizes, padding)


@kernel
def _crop_backward(dy, draws, dx, size, sizes, padding, accumulate):
    height, width, channels, out_height, out_width = sizes
    for k in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, i, j, c = _pixel(k, height, width, channels)
        top, left = _corner(draws, n, sizes, padding)
        p, q = i - top, j - left
        inside = p >= 0 and p < out_height and q >= 0 and q < out_width
        gradient = dy[((n * out_height + p) * out_width + q) * channels + c] if inside else real(0)
        dx[k] = dx[k] + gradient if accumulate else gradient


def crop_backward(dy, draws, dx, padding, accumulate):
    """Gradient of crop.  dy: (n, P, Q, C), dx: (n, H, W, C)"""
    sizes = (*dx.shape[1:], *dy.shape[1:3])
    arguments = dy.reshape(-1), draws.reshape(-1), dx.reshape(-1), dx.size, sizes
    launch(_crop_backward, *over(dx.size), *arguments, padding, accumulate)


@function
def _limited(value, lowest, highest, limited):
    return min(max(value, lowest), highest) if limited else value


# flags: brightness, contrast, saturation, hue, grey, limited
@kernel
def _adjust_colour(x, draws, ranges, y, pixels, channels, flags):
    brightness, contrast, saturation, hue, grey, limited = flags
    lowest, highest = ranges[0], ranges[1]
    d, first = 8 * cuda.blockIdx.x, cuda.blockIdx.x * pixels * channels
    added = _between(ranges, 2, draws[d]) if brightness else real(0)
    factor = _between(ranges, 4, draws[d + 1])
    for c in range(channels):
        total = real(0)
        for p in range(cuda.threadIdx.x, pixels, cuda.blockDim.x):
            k = first + p * channels + c
            value = _limited(x[k] + added, lowest, highest, brightness and limited)
            y[k] = value
            total += value
        if contrast:
            mean = block_sum(total) / real(pixels)
            for p in range(cuda.threadIdx.x, pixels, cuda.blockDim.x):
                k = first + p * channels + c
                y[k] = _limited((y[k] - mean) * factor + mean, lowest, highest, limited)
    share = _between(ranges, 6, draws[d + 2])
    strength = share / (real(1 + 1e-7) - share)
    turn = _between(ranges, 8, draws[d + 3])
    sixths = real(6) * (turn if draws[d + 4] < real(0.5) else -turn)
    greyed = grey and draws[d + 5] < _between(ranges, 10, draws[d + 6])
    if saturation or hue or greyed:
        for p in range(cuda.threadIdx.x, pixels, cuda.blockDim.x):
            k = first + 3 * p
            red, green, blue = y[k], y[k + 1], y[k + 2]
            value, least = max(red, max(green, blue)), min(red, min(green, blue))
            if saturation:
                most = (value - lowest) / (value - least) if value > least else strength
                kept = min(strength, most)
                red = value - (value - red) * kept
                green = value - (value - green) * kept
                blue = value - (value - blue) * kept
            if hue:
                chroma = value - min(red, min(green, blue))
                at = hue_of(red, green, blue, value, chroma) + sixths
                red = hue_component(at + real(5), value, chroma)
                green = hue_component(at + real(3), value, chroma)
                blue = hue_component(at + real(1), value, chroma)
            if greyed:
                red = real(0.2989) * red + real(0.587) * green + real(0.114) * blue
                green, blue = red, red
            y[k] = red
            y[k + 1] = green
            y[k + 2] = blue


def adjust_colour(x, draws, ranges, y, brightness, contrast, saturation, hue, grey, limited):
    """Brightness, contrast, saturation and hue of each picture, in this order, and grey ones; flags say which.

    x, y: (n, H, W, C), draws: (n, 8), ranges: (12,)
    """
    pictures, height, width, channels = x.shape
    flags = tuple(int(flag) for flag in (brightness, contrast, saturation, hue, grey, limited))
    arguments = x.reshape(-1), draws.reshape(-1), ranges.reshape(-1), y.reshape(-1), height * width, channels, flags
    launch(_adjust_colour, pictures, row_block(height * width), *arguments)


@function
def _weight(k, taps, sigma):
    d = real(k - taps // 2) / sigma
    return real(math.exp(real(-0.5) * d * d))


@function
def _blur_line(x, at, step, place, size, taps, sigma):
    """The sum over taps about the element x[at], which is ``place`` of ``size`` in its line."""
    total, weights = real(0), real(0)
    for k in range(taps):
        shift = k - taps // 2
        weight = _weight(k, taps, sigma)
        weights += weight
        if place + shift >= 0 and place + shift < size:
            total += weight * x[at + shift * step]
    return total / weights


@kernel
def _blur_columns(x, draws, ranges, scratch, size, sizes, rows):
    height, width, channels = sizes
    for k in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, i, _, _ = _pixel(k, height, width, channels)
        sigma = _between(ranges, 4, draws[4 * n + 2]) + real(1e-6)
        scratch[k] = _blur_line(x, k, width * channels, i, height, rows, sigma)


@kernel
def _blur_rows(x, draws, ranges, scratch, y, size, sizes, columns):
    height, width, channels = sizes
    for k in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, _, j, _ = _pixel(k, height, width, channels)
        sigma = _between(ranges, 4, draws[4 * n + 3]) + real(1e-6)
        if draws[4 * n + 1] < _between(ranges, 2, draws[4 * n]):
            y[k] = min(max(_blur_line(scratch, k, channels, j, width, columns, sigma), ranges[0]), ranges[1])
        else:
            y[k] = x[k]


def gaussian_blur(x, draws, ranges, scratch, y, rows, columns):
    """Pictures, with a probability, convolved with a normal density of so many rows and columns; zeros around them.

    x, scratch, y: (n, H, W, C); draws: (n, 4), ranges: (6,)
    """
    size, sizes = y.size, tuple(x.shape[1:])
    x, draws, ranges, scratch = x.reshape(-1), draws.reshape(-1), ranges.reshape(-1), scratch.reshape(-1)
    launch(_blur_columns, *over(size), x, draws, ranges, scratch, size, sizes, rows)
    launch(_blur_rows, *over(size), x, draws, ranges, scratch, y.reshape(-1), size, sizes, columns)


@kernel
def _erase(x, draws, ranges, noise, y, size, sizes):
    height, width, channels = sizes
    for k in range(cuda.grid(1), size, cuda.gridsize(1)):
        n, i, j, _ = _pixel(k, height, width, channels)
        d = 8 * n
        across = real(math.sqrt(_between(ranges, 2, draws[d + 2]))) * real(width)
        down = real(math.sqrt(_between(ranges, 2, draws[d + 3]))) * real(height)
        left, top = draws[d + 4] * (real(width) - across), draws[d + 5] * (real(height) - down)
        inside = real(i) >= top and real(i) < top + down and real(j) >= left and real(j) < left + across
        y[k] = noise[k] if inside and draws[d + 1] < _between(ranges, 0, draws[d]) else x[k]


def erase(x, draws, ranges, noise, y):
    """y = x, with noise in a rectangle of each picture, with a probability.

    x, noise, y: (n, H, W, C); draws: (n, 8), ranges: (4,)
    """
    arguments = (
        x.reshape(-1),
        draws.reshape(-1),
        ranges.reshape(-1),
        noise.reshape(-1),
        y.reshape(-1),
        y.size,
        tuple(x.shape[1:]),
    )
    launch(_erase, *over(y.size), *arguments)
