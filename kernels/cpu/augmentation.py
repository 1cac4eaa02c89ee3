"""Random changes of pictures, NHWC.

What is random comes in as uniform numbers ``draws`` in [0, 1), of which every picture has a row, and as ``ranges`` that
they are stretched to: (lowest, highest) of each.  So a kernel is a function of its arguments alone.
"""

import math

import numpy as np

from ..scalar import resampling
from .runtime.jit import kernel, kernel_attributes, scalar

_floor_of = scalar(resampling.floor_of)
_place_within = scalar(resampling.place_within)
_source_point = scalar(resampling.source_point, fastmath=False)  # a place's last bits are multiplied by differences
_hue_component = scalar(resampling.hue_component)
_hue_of = scalar(resampling.hue_of)


@kernel
def affine_transforms(draws, ranges, transforms, height, width, out_height, out_width, same_zoom):
    """Where each picture is read: a rotation, zoom and shear about its centre, and a translation.

    draws: (n, 8), of angle, zoom of y and of x, shift of y and of x, shear of x and of y, sign of the shears.
    ranges: (14,), of these in this order: the angle in turns, shifts in heights and widths; same_zoom: x zooms as y.
    transforms: (n, 8), a0, a1, a2, b0, b1, b2, c0, c1 of ``source_point``.
    """
    kernel_attributes()
    for n in range(transforms.shape[0]):
        turn = ranges[0] + draws[n, 0] * (ranges[1] - ranges[0])
        zoom_y = ranges[2] + draws[n, 1] * (ranges[3] - ranges[2])
        zoom_x = zoom_y if same_zoom else ranges[4] + draws[n, 2] * (ranges[5] - ranges[4])
        shift_y = (ranges[6] + draws[n, 3] * (ranges[7] - ranges[6])) * draws.dtype.type(height)
        shift_x = (ranges[8] + draws[n, 4] * (ranges[9] - ranges[8])) * draws.dtype.type(width)
        shear_x = ranges[10] + draws[n, 5] * (ranges[11] - ranges[10])
        shear_y = ranges[12] + draws[n, 6] * (ranges[13] - ranges[12])
        sign = draws.dtype.type(1) if draws[n, 7] < draws.dtype.type(0.5) else draws.dtype.type(-1)
        angle = turn * draws.dtype.type(2.0 * math.pi)
        cosine, sine = math.cos(angle), math.sin(angle)
        transforms[n, 0] = zoom_x * cosine
        transforms[n, 1] = zoom_x * (shear_x * sign - sine)
        transforms[n, 3] = zoom_y * (shear_y * sign + sine)
        transforms[n, 4] = zoom_y * cosine
        # shears have their origin at the first pixel, all else at the centre
        centre_x, centre_y = draws.dtype.type(0.5 * (width - 1)), draws.dtype.type(0.5 * (height - 1))
        middle_x, middle_y = draws.dtype.type(0.5 * (out_width - 1)), draws.dtype.type(0.5 * (out_height - 1))
        transforms[n, 2] = centre_x - zoom_x * (cosine * middle_x - sine * middle_y) - shift_x
        transforms[n, 5] = centre_y - zoom_y * (sine * middle_x + cosine * middle_y) - shift_y
        transforms[n, 6] = 0
        transforms[n, 7] = 0


@kernel
def perspective_transforms(draws, ranges, transforms, height, width):
    """Where each picture is read, whose corners move: the inverse of Heckbert's map of a square to a quadrilateral.

    draws: (n, 12): whether, then the shares of x and y by which each corner moves from the first pixel.
    ranges: (4,), of the probability, and of these shares; transforms: (n, 8), as of affine_transforms.
    """
    kernel_attributes()
    for n in range(transforms.shape[0]):
        real = draws.dtype.type
        low, stretch = ranges[2], ranges[3] - ranges[2]
        w, h = real(max(width - 1, 1)), real(max(height - 1, 1))
        moved = draws[n, 1] < ranges[0] + draws[n, 0] * (ranges[1] - ranges[0])
        # the corners (1, 0), (0, 1) and (1, 1) of the unit square; the first pixel stays
        x1 = w * (real(1) + (low + draws[n, 4] * stretch))
        y2 = h * (real(1) + (low + draws[n, 7] * stretch))
        x3 = w * (real(1) + (low + draws[n, 8] * stretch))
        y3 = h * (real(1) + (low + draws[n, 9] * stretch))
        # unit square -> quadrilateral (0, 0), (x1, 0), (0, y2), (x3, y3): Heckbert 1989, section 2.2.3
        dx1, dx2, dx3 = x1 - x3, -x3, x3 - x1
        dy1, dy2, dy3 = -y3, y2 - y3, y3 - y2
        determinant = dx1 * dy2 - dx2 * dy1
        g = (dx3 * dy2 - dx2 * dy3) / determinant
        k = (dx1 * dy3 - dx3 * dy1) / determinant
        a, e = x1 + g * x1, y2 + k * y2
        # the inverse's rows, of [[a, 0, 0], [0, e, 0], [g, k, 1]], scaled to pixels
        transforms[n, 0] = w / a if moved else real(1)
        transforms[n, 1] = real(0)
        transforms[n, 2] = real(0)
        transforms[n, 3] = real(0)
        transforms[n, 4] = h / e if moved else real(1)
        transforms[n, 5] = real(0)
        transforms[n, 6] = -g / a if moved else real(0)
        transforms[n, 7] = -k / e if moved else real(0)


@kernel
def resample(x, transforms, y, fill_mode, nearest, fill_value):
    """y[n, i, j] = x[n] at ``source_point`` of (i, j), of the nearest pixel or between four.

    x: (n, H, W, C), transforms: (n, 8), y: (n, P, Q, C); fill_mode: 0: fill_value beyond the edges, 1: the edges go on,
    2: the picture repeats, 3: it is mirrored at its edges.
    """
    kernel_attributes()
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    fill = y.dtype.type(fill_value)
    for n in range(y.shape[0]):
        a0, a1, a2, b0 = transforms[n, 0], transforms[n, 1], transforms[n, 2], transforms[n, 3]
        b1, b2, c0, c1 = transforms[n, 4], transforms[n, 5], transforms[n, 6], transforms[n, 7]
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                row, column = y.dtype.type(i), y.dtype.type(j)
                at_y, at_x = _source_point(row, column, a0, a1, a2, b0, b1, b2, c0, c1)
                if nearest:
                    r = _place_within(_floor_of(at_y + y.dtype.type(0.5)), height, fill_mode)
                    s = _place_within(_floor_of(at_x + y.dtype.type(0.5)), width, fill_mode)
                    for c in range(channels):
                        y[n, i, j, c] = x[n, r, s, c] if r >= 0 and s >= 0 else fill
                else:
                    top, left = _floor_of(at_y), _floor_of(at_x)
                    down, right = at_y - y.dtype.type(top), at_x - y.dtype.type(left)
                    up, back = y.dtype.type(1) - down, y.dtype.type(1) - right
                    if top >= 0 and top + 1 < height and left >= 0 and left + 1 < width:
                        for c in range(channels):
                            above = back * x[n, top, left, c] + right * x[n, top, left + 1, c]
                            below = back * x[n, top + 1, left, c] + right * x[n, top + 1, left + 1, c]
                            y[n, i, j, c] = up * above + down * below
                        continue
                    r0 = _place_within(top, height, fill_mode)
                    r1 = _place_within(top + 1, height, fill_mode)
                    s0 = _place_within(left, width, fill_mode)
                    s1 = _place_within(left + 1, width, fill_mode)
                    for c in range(channels):
                        v00 = x[n, r0, s0, c] if r0 >= 0 and s0 >= 0 else fill
                        v01 = x[n, r0, s1, c] if r0 >= 0 and s1 >= 0 else fill
                        v10 = x[n, r1, s0, c] if r1 >= 0 and s0 >= 0 else fill
                        v11 = x[n, r1, s1, c] if r1 >= 0 and s1 >= 0 else fill
                        y[n, i, j, c] = up * (back * v00 + right * v01) + down * (back * v10 + right * v11)


@kernel
def resample_backward(dy, transforms, dx, fill_mode, nearest, accumulate):
    """Gradient of resample: each pixel's to those that it was made of.  dy: (n, P, Q, C), dx: (n, H, W, C)"""
    kernel_attributes()
    height, width, channels = dx.shape[1], dx.shape[2], dx.shape[3]
    if not accumulate:
        dx[:] = 0
    for n in range(dy.shape[0]):
        a0, a1, a2, b0 = transforms[n, 0], transforms[n, 1], transforms[n, 2], transforms[n, 3]
        b1, b2, c0, c1 = transforms[n, 4], transforms[n, 5], transforms[n, 6], transforms[n, 7]
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                row, column = dy.dtype.type(i), dy.dtype.type(j)
                at_y, at_x = _source_point(row, column, a0, a1, a2, b0, b1, b2, c0, c1)
                if nearest:
                    r = _place_within(_floor_of(at_y + dy.dtype.type(0.5)), height, fill_mode)
                    s = _place_within(_floor_of(at_x + dy.dtype.type(0.5)), width, fill_mode)
                    if r >= 0 and s >= 0:
                        for c in range(channels):
                            dx[n, r, s, c] += dy[n, i, j, c]
                else:
                    top, left = _floor_of(at_y), _floor_of(at_x)
                    down, right = at_y - dy.dtype.type(top), at_x - dy.dtype.type(left)
                    up, back = dy.dtype.type(1) - down, dy.dtype.type(1) - right
                    r0 = _place_within(top, height, fill_mode)
                    r1 = _place_within(top + 1, height, fill_mode)
                    s0 = _place_within(left, width, fill_mode)
                    s1 = _place_within(left + 1, width, fill_mode)
                    for c in range(channels):
                        gradient = dy[n, i, j, c]
                        if r0 >= 0 and s0 >= 0:
                            dx[n, r0, s0, c] += up * back * gradient
                        if r0 >= 0 and s1 >= 0:
                            dx[n, r0, s1, c] += up * right * gradient
                        if r1 >= 0 and s0 >= 0:
                            dx[n, r1, s0, c] += down * back * gradient
                        if r1 >= 0 and s1 >= 0:
                            dx[n, r1, s1, c] += down * right * gradient


@kernel
def flip(x, draws, y, horizontal, vertical):
    """y = x, mirrored left-right where draws[n, 0] < 0.5, up-down where draws[n, 1] < 0.5.

    x, y: (n, H, W, C) of any one type, draws: (n, 4); horizontal, vertical: whether that may happen.
    """
    kernel_attributes()
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    line = width * channels
    x = x.reshape(-1)
    y = y.reshape(-1)
    half = draws.dtype.type(0.5)
    for n in range(draws.shape[0]):
        mirrored = horizontal and draws[n, 0] < half
        turned = vertical and draws[n, 1] < half
        # slices of whole pictures: those of lines would cost more than short lines do
        target = y[n * height * line : (n + 1) * height * line]
        source = x[n * height * line : (n + 1) * height * line]
        if not (mirrored or turned):
            for i in range(target.size):
                target[i] = source[i]
        elif mirrored and channels == 3 and x.itemsize == 1 and width % 4 == 0:
            words, changed = source.view(np.uint32), target.view(np.uint32)
            for i in range(height):
                last = ((height - 1 - i if turned else i) + 1) * (line // 4) - 3
                first = i * (line // 4)
                for j in range(0, line // 4, 3):  # four pixels are three words
                    w0, w1, w2 = words[last - j], words[last - j + 1], words[last - j + 2]
                    changed[first + j] = w2 >> np.uint32(8) | (w1 & np.uint32(0xFF0000)) << np.uint32(8)
                    low = w1 >> np.uint32(24) | (w2 & np.uint32(0xFF)) << np.uint32(8)
                    changed[first + j + 1] = low | (w0 >> np.uint32(24)) << np.uint32(16) | w1 << np.uint32(24)
                    changed[first + j + 2] = w1 >> np.uint32(8) & np.uint32(0xFF) | w0 << np.uint32(8)
        else:
            for i in range(height):
                first, from_row = i * line, (height - 1 - i if turned else i) * line
                last = from_row + line - channels
                if not mirrored:
                    for j in range(line):
                        target[first + j] = source[from_row + j]
                elif channels == 1:
                    for j in range(line):
                        target[first + j] = source[last - j]
                elif channels == 3:
                    for j in range(width):  # written out: a loop of three is slower
                        target[first + 3 * j] = source[last - 3 * j]
                        target[first + 3 * j + 1] = source[last - 3 * j + 1]
                        target[first + 3 * j + 2] = source[last - 3 * j + 2]
                else:
                    for j in range(width):
                        for c in range(channels):
                            target[first + j * channels + c] = source[last - j * channels + c]


@kernel
def flip_backward(dy, draws, dx, horizontal, vertical, accumulate):
    """Gradient of flip: flipped as the picture was.  dy, dx: (n, H, W, C)"""
    kernel_attributes()
    height, width, channels = dx.shape[1], dx.shape[2], dx.shape[3]
    half = draws.dtype.type(0.5)
    for n in range(dx.shape[0]):
        mirrored = horizontal and draws[n, 0] < half
        turned = vertical and draws[n, 1] < half
        for i in range(height):
            row = height - 1 - i if turned else i
            for j in range(width):
                column = width - 1 - j if mirrored else j
                for c in range(channels):
                    gradient = dy[n, row, column, c]
                    dx[n, i, j, c] = dx[n, i, j, c] + gradient if accumulate else gradient


@kernel
def crop(x, draws, y, padding):
    """y = a part of x with so many zeros around it, at a random place.

    x: (n, H, W, C) of any type, draws: (n, 4), y: (n, P, Q, C) with P <= H + 2 padding, Q <= W + 2 padding
    """
    kernel_attributes()
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    rows = height + 2 * padding - y.shape[1] + 1
    columns = width + 2 * padding - y.shape[2] + 1
    zero = y.dtype.type(0)
    for n in range(y.shape[0]):
        top = np.int64(draws[n, 0] * draws.dtype.type(rows)) - padding
        left = np.int64(draws[n, 1] * draws.dtype.type(columns)) - padding
        # of a line, the elements that are in the picture
        first, end = max(-left, 0) * channels, min(width - left, y.shape[2]) * channels
        for i in range(y.shape[1]):
            target = y[n, i].reshape(-1)
            if top + i >= 0 and top + i < height:
                source = x[n, top + i].reshape(-1)
                shift = left * channels
                for k in range(first):
                    target[k] = zero
                for k in range(first, end):
                    target[k] = source[k + shift]
                for k in range(end, target.size):
                    target[k] = zero
            else:
                for k in range(target.size):
                    target[k] = zero


@kernel
def crop_backward(dy, draws, dx, padding, accumulate):
    """Gradient of crop.  dy: (n, P, Q, C), dx: (n, H, W, C)"""
    kernel_attributes()
    height, width, channels = dx.shape[1], dx.shape[2], dx.shape[3]
    rows = height + 2 * padding - dy.shape[1] + 1
    columns = width + 2 * padding - dy.shape[2] + 1
    zero = dy.dtype.type(0)
    for n in range(dx.shape[0]):
        top = np.int64(draws[n, 0] * draws.dtype.type(rows)) - padding
        left = np.int64(draws[n, 1] * draws.dtype.type(columns)) - padding
        for i in range(height):
            p = i - top
            for j in range(width):
                q = j - left
                inside = p >= 0 and p < dy.shape[1] and q >= 0 and q < dy.shape[2]
                for c in range(channels):
                    gradient = dy[n, p, q, c] if inside else zero
                    dx[n, i, j, c] = dx[n, i, j, c] + gradient if accumulate else gradient


@kernel
def adjust_colour(x, draws, ranges, y, brightness, contrast, saturation, hue, grey, limited):
    """Brightness, contrast, saturation and hue of each picture, in this order, and grey ones; flags say which.

    x, y: (n, H, W, C), of three channels for saturation, hue and grey, which mean red, green and blue.
    draws: (n, 8), of what is added, contrast, saturation, hue and its sign, grey.
    ranges: (12,), of values, of what is added, of factors of contrast (about each channel's mean), of shares s of
    saturation (which is multiplied by s / (1 - s)), of turns of the hue's circle, and of grey's probability; limited:
    whether values are kept in their range.
    """
    kernel_attributes()
    channels = x.shape[3]
    pixels = x.shape[1] * x.shape[2]
    lowest, highest = ranges[0], ranges[1]
    half = draws.dtype.type(0.5)
    for n in range(y.shape[0]):
        source = x[n].reshape(-1)
        target = y[n].reshape(-1)
        added = ranges[2] + draws[n, 0] * (ranges[3] - ranges[2]) if brightness else draws.dtype.type(0)
        factor = ranges[4] + draws[n, 1] * (ranges[5] - ranges[4])
        for i in range(target.size):
            value = source[i] + added
            target[i] = min(max(value, lowest), highest) if brightness and limited else value
        if contrast and channels == 3:  # written out: strides would cost more
            number = y.dtype.type(pixels)
            reds, greens, blues = y.dtype.type(0), y.dtype.type(0), y.dtype.type(0)
            for p in range(pixels):
                reds += target[3 * p]
                greens += target[3 * p + 1]
                blues += target[3 * p + 2]
            reds, greens, blues = reds / number, greens / number, blues / number
            for p in range(pixels):
                red = (target[3 * p] - reds) * factor + reds
                green = (target[3 * p + 1] - greens) * factor + greens
                blue = (target[3 * p + 2] - blues) * factor + blues
                target[3 * p] = min(max(red, lowest), highest) if limited else red
                target[3 * p + 1] = min(max(green, lowest), highest) if limited else green
                target[3 * p + 2] = min(max(blue, lowest), highest) if limited else blue
        elif contrast:
            for c in range(channels):
                total = y.dtype.type(0)
                for i in range(c, target.size, channels):
                    total += target[i]
                mean = total / y.dtype.type(pixels)
                for i in range(c, target.size, channels):
                    value = (target[i] - mean) * factor + mean
                    target[i] = min(max(value, lowest), highest) if limited else value
        if saturation or hue:
            share = ranges[6] + draws[n, 2] * (ranges[7] - ranges[6])
            strength = share / (draws.dtype.type(1 + 1e-7) - share)
            turn = ranges[8] + draws[n, 3] * (ranges[9] - ranges[8])
            sixths = draws.dtype.type(6) * (turn if draws[n, 4] < half else -turn)
            for p in range(pixels):
                red, green, blue = target[3 * p], target[3 * p + 1], target[3 * p + 2]
                value, least = max(red, max(green, blue)), min(red, min(green, blue))
                if saturation:
                    # colours go away from grey until one channel is at the lowest value
                    most = (value - lowest) / (value - least) if value > least else strength
                    kept = min(strength, most)
                    red, green, blue = (
                        value - (value - red) * kept,
                        value - (value - green) * kept,
                        value - (value - blue) * kept,
                    )
                if hue:
                    chroma = value - min(red, min(green, blue))
                    at = _hue_of(red, green, blue, value, chroma) + sixths
                    red = _hue_component(at + draws.dtype.type(5), value, chroma)
                    green = _hue_component(at + draws.dtype.type(3), value, chroma)
                    blue = _hue_component(at + draws.dtype.type(1), value, chroma)
                target[3 * p] = red
                target[3 * p + 1] = green
                target[3 * p + 2] = blue
        if grey and draws[n, 5] < ranges[10] + draws[n, 6] * (ranges[11] - ranges[10]):
            for p in range(pixels):
                value = (
                    y.dtype.type(0.2989) * target[3 * p]
                    + y.dtype.type(0.587) * target[3 * p + 1]
                    + y.dtype.type(0.114) * target[3 * p + 2]
                )
                for c in range(3):
                    target[3 * p + c] = value


@kernel
def gaussian_blur(x, draws, ranges, scratch, y, rows, columns):
    """Pictures, with a probability, convolved with a normal density of so many rows and columns; zeros around them.

    x, scratch, y: (n, H, W, C); draws: (n, 4), of the probability, whether, and both deviations; ranges: (6,), of
    values, the probability and the deviations; rows, columns: odd.
    """
    kernel_attributes()
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    real = y.dtype.type
    for n in range(y.shape[0]):
        if draws[n, 1] >= ranges[2] + draws[n, 0] * (ranges[3] - ranges[2]):
            source = x[n].reshape(-1)
            target = y[n].reshape(-1)
            for i in range(target.size):
                target[i] = source[i]
        else:
            sigma_y = ranges[4] + draws[n, 2] * (ranges[5] - ranges[4]) + real(1e-6)
            sigma_x = ranges[4] + draws[n, 3] * (ranges[5] - ranges[4]) + real(1e-6)
            total_y, total_x = real(0), real(0)
            for k in range(rows):
                d = real(k - rows // 2) / sigma_y
                total_y += math.exp(real(-0.5) * d * d)
            for k in range(columns):
                d = real(k - columns // 2) / sigma_x
                total_x += math.exp(real(-0.5) * d * d)
            scratch[n] = real(0)
            for k in range(rows):
                d = real(k - rows // 2) / sigma_y
                weight = math.exp(real(-0.5) * d * d) / total_y
                shift = k - rows // 2
                for i in range(max(0, -shift), min(height, height - shift)):
                    source = x[n, i + shift].reshape(-1)
                    target = scratch[n, i].reshape(-1)
                    for j in range(target.size):
                        target[j] += weight * source[j]
            y[n] = real(0)
            for k in range(columns):
                d = real(k - columns // 2) / sigma_x
                weight = math.exp(real(-0.5) * d * d) / total_x
                shift = k - columns // 2
                first, end = max(0, -shift) * channels, min(width, width - shift) * channels
                for i in range(height):
                    source = scratch[n, i].reshape(-1)
                    target = y[n, i].reshape(-1)
                    for j in range(first, end):
                        target[j] += weight * source[j + shift * channels]
            target = y[n].reshape(-1)
            for i in range(target.size):
                target[i] = min(max(target[i], ranges[0]), ranges[1])


@kernel
def erase(x, draws, ranges, noise, y):
    """y = x, with noise in a rectangle of each picture, with a probability.

    x, noise, y: (n, H, W, C); draws: (n, 8), of the probability, whether, the shares of height and width that are
    squared, and where the rectangle begins; ranges: (4,), of the probability and of these shares.
    """
    kernel_attributes()
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    for n in range(y.shape[0]):
        real = draws.dtype.type
        erased = draws[n, 1] < ranges[0] + draws[n, 0] * (ranges[1] - ranges[0])
        across = math.sqrt(ranges[2] + draws[n, 2] * (ranges[3] - ranges[2])) * real(width)
        down = math.sqrt(ranges[2] + draws[n, 3] * (ranges[3] - ranges[2])) * real(height)
        left = draws[n, 4] * (real(width) - across)
        top = draws[n, 5] * (real(height) - down)
        for i in range(height):
            inside = erased and real(i) >= top and real(i) < top + down
            for j in range(width):
                chosen = inside and real(j) >= left and real(j) < left + across
                for c in range(channels):
                    y[n, i, j, c] = noise[n, i, j, c] if chosen else x[n, i, j, c]
