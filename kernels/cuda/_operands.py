"""Matrices as products read them, four neighbours at a time: plain ones, and those that a convolution means.

A product c = a b sums over its depth k.  To it, both operands are functions of (fixed, k), where ``fixed`` is a row of
a or a column of b.  An operand is a pair of device functions:

    locate(shape, group, fixed, end)     -> a place, three integers: what of ``fixed`` needs no working out in each step
    load(array, shape, place, k, depth)  -> four elements: (fixed, k .. k + 3) if ``along_depth``, else
                                            (fixed .. fixed + 3, k), whichever lie side by side in memory

Zero stands for what lies beyond ``end``, ``depth`` or the image.  ``shape`` is a tuple of integers that each operand
names for itself.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..scalar import real
from ._api import function


class Operand(NamedTuple):
    locate: Callable
    load: Callable
    along_depth: bool


# A matrix whose rows lie along the depth: element (fixed, k) is array[fixed * stride + k].  shape: (stride,)


@function
def _locate_row(shape, group, fixed, end):
    return fixed * shape[0], 4 if fixed < end else 0, 0


@function
def _load_row(array, shape, place, k, depth):
    zero = real(0)
    count = min(place[1], depth - k)
    first = place[0] + k
    return (
        array[first] if count > 0 else zero,
        array[first + 1] if count > 1 else zero,
        array[first + 2] if count > 2 else zero,
        array[first + 3] if count > 3 else zero,
    )


ROWS = Operand(_locate_row, _load_row, True)


# A matrix whose rows lie across it: element (fixed, k) is array[k * stride + group * width + fixed], of which only
# ``width`` columns belong to a group.  shape: (stride, width)


@function
def _locate_column(shape, group, fixed, end):
    return group * shape[1] + fixed, min(4, end - fixed), 0


@function
def _load_column(array, shape, place, k, depth):
    zero = real(0)
    count = place[1] if k < depth else 0
    first = place[0] + k * shape[0]
    return (
        array[first] if count > 0 else zero,
        array[first + 1] if count > 1 else zero,
        array[first + 2] if count > 2 else zero,
        array[first + 3] if count > 3 else zero,
    )


COLUMNS = Operand(_locate_column, _load_column, False)


# The windows of a convolution: row (n, p, q) holds x[n, p * stride_h - pad_top + r * dilation_h, ..., c] at (r, s, c).
# shape: (height, width, channels, taps_h, taps_w, depth per group, out_height, out_width, then the geometry:
# stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w)

_OUTSIDE = -(1 << 40)  # a row of pixels that no tap brings back into the image


@function
def _top_left(shape, fixed):
    """First element of the image of window ``fixed``, and where its first tap lies."""
    height, width, channels, _, _, _, out_height, out_width, stride_h, stride_w, pad_top, pad_left, _, _ = shape
    line = fixed // out_width
    n = line // out_height
    top = (line - n * out_height) * stride_h - pad_top
    left = (fixed - line * out_width) * stride_w - pad_left
    return n * height * width * channels, top, left


@function
def _locate_window(shape, group, fixed, end):
    image, top, left = _top_left(shape, fixed)
    return image + group * shape[5], top if fixed < end else _OUTSIDE, left


@function
def _pixel(array, shape, place, r, s, c):
    """Element (r, s, c) of the window at ``place``."""
    height, width, channels, _, _, _, _, _, _, _, _, _, dilation_h, dilation_w = shape
    h = place[1] + r * dilation_h
    w = place[2] + s * dilation_w
    if h >= 0 and h < height and w >= 0 and w < width:
        return array[place[0] + (h * width + w) * channels + c]
    return real(0)


@function
def _split_tap(k, depth, taps_w):
    """(r, s, c) of position k = (r * taps_w + s) * depth + c."""
    tap = k // depth
    r = tap // taps_w
    return r, tap - r * taps_w, k - tap * depth


@function
def _next_tap(r, s, c, depth, taps_w):
    """What follows (r, s, c)."""
    if c + 1 < depth:
        return r, s, c + 1
    if s + 1 < taps_w:
        return r, s + 1, 0
    return r + 1, 0, 0


@function
def _load_window(array, shape, place, k, depth):
    zero = real(0)
    taps_w, channels = shape[4], shape[5]
    r, s, c = _split_tap(k, channels, taps_w)
    first = _pixel(array, shape, place, r, s, c) if k < depth else zero
    r, s, c = _next_tap(r, s, c, channels, taps_w)
    second = _pixel(array, shape, place, r, s, c) if k + 1 < depth else zero
    r, s, c = _next_tap(r, s, c, channels, taps_w)
    third = _pixel(array, shape, place, r, s, c) if k + 2 < depth else zero
    r, s, c = _next_tap(r, s, c, channels, taps_w)
    fourth = _pixel(array, shape, place, r, s, c) if k + 3 < depth else zero
    return first, second, third, fourth


WINDOWS = Operand(_locate_window, _load_window, True)


# The same windows the other way round: row (r, s, c) holds, at k = (n, p, q), what tap (r, s) sees of channel c there.


@function
def _locate_tap(shape, group, fixed, end):
    return fixed, min(4, end - fixed), group * shape[5]


@function
def _load_tap(array, shape, place, k, depth):
    zero = real(0)
    taps_w, channels = shape[4], shape[5]
    count = place[1] if k < depth else 0
    image, top, left = _top_left(shape, k)
    window = image + place[2], top, left
    r, s, c = _split_tap(place[0], channels, taps_w)
    first = _pixel(array, shape, window, r, s, c) if count > 0 else zero
    r, s, c = _next_tap(r, s, c, channels, taps_w)
    second = _pixel(array, shape, window, r, s, c) if count > 1 else zero
    r, s, c = _next_tap(r, s, c, channels, taps_w)
    third = _pixel(array, shape, window, r, s, c) if count > 2 else zero
    r, s, c = _next_tap(r, s, c, channels, taps_w)
    fourth = _pixel(array, shape, window, r, s, c) if count > 3 else zero
    return first, second, third, fourth


TAPS = Operand(_locate_tap, _load_tap, False)


# The outputs that a pixel reaches: row (n, h, w) holds dy[n, p, q, k] at (r, s, k), where tap (r, s) of window (p, q)
# is that pixel.  shape: as for windows, but (out_height, out_width, filters, taps_h, taps_w, filters per group, height,
# width, then the geometry)


@function
def _locate_pixel(shape, group, fixed, end):
    out_height, out_width, filters, _, _, columns, height, width, _, _, pad_top, pad_left, _, _ = shape
    line = fixed // width
    n = line // height
    bottom = line - n * height + pad_top
    right = fixed - line * width + pad_left
    return n * out_height * out_width * filters + group * columns, bottom if fixed < end else _OUTSIDE, right


@function
def _output(array, shape, place, r, s, k):
    """Output k of the window whose tap (r, s) is the pixel at ``place``, if there is one."""
    out_height, out_width, filters, _, _, _, _, _, stride_h, stride_w, _, _, dilation_h, dilation_w = shape
    down = place[1] - r * dilation_h
    across = place[2] - s * dilation_w
    if down >= 0 and across >= 0:
        p = down // stride_h
        q = across // stride_w
        if p < out_height and q < out_width and p * stride_h == down and q * stride_w == across:
            return array[place[0] + (p * out_width + q) * filters + k]
    return real(0)


@function
def _load_output(array, shape, place, k, depth):
    zero = real(0)
    taps_w, columns = shape[4], shape[5]
    r, s, c = _split_tap(k, columns, taps_w)
    first = _output(array, shape, place, r, s, c) if k < depth else zero
    r, s, c = _next_tap(r, s, c, columns, taps_w)
    second = _output(array, shape, place, r, s, c) if k + 1 < depth else zero
    r, s, c = _next_tap(r, s, c, columns, taps_w)
    third = _output(array, shape, place, r, s, c) if k + 2 < depth else zero
    r, s, c = _next_tap(r, s, c, columns, taps_w)
    fourth = _output(array, shape, place, r, s, c) if k + 3 < depth else zero
    return first, second, third, fourth


OUTPUTS = Operand(_locate_pixel, _load_output, True)


# The filters of a channel: column c holds kernel[r, s, c, k] at (r, s, k).
# shape: (filters, filters per group, channels per group)


@function
def _locate_channel(shape, group, fixed, end):
    return fixed * shape[0] + group * shape[1], 4 if fixed < end else 0, 0


@function
def _load_filter(array, shape, place, k, depth):
    zero = real(0)
    filters, columns, channels = shape
    count = min(place[1], depth - k)
    tap = k // columns
    column = k - tap * columns
    tap_size = channels * filters
    first = place[0] + tap * tap_size + column
    skip = tap_size - columns  # from the last filter at one tap to the first at the next
    second = first + 1 if column + 1 < columns else first + 1 + skip
    column = column + 1 if column + 1 < columns else 0
    third = second + 1 if column + 1 < columns else second + 1 + skip
    column = column + 1 if column + 1 < columns else 0
    fourth = third + 1 if column + 1 < columns else third + 1 + skip
    return (
        array[first] if count > 0 else zero,
        array[second] if count > 1 else zero,
        array[third] if count > 2 else zero,
        array[fourth] if count > 3 else zero,
    )


FILTERS = Operand(_locate_channel, _load_filter, True)
