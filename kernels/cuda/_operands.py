"""Matrices as products read them, four neighbours at a time: plain ones, and those that a convolution means.

A product c = a b sums over its depth k.  To it, both operands are functions of (fixed, k), where ``fixed`` is a row of
a or a column of b.  They read quads: (fixed, k .. k + 3) of an operand ``along_depth``, else (fixed .. fixed + 3, k),
whichever lie side by side in memory.  An operand is some device functions.  For quads of any elements:

    locate(shape, group, fixed, end)     -> a place, three integers: what of ``fixed`` needs no working out in each step
    load(array, shape, place, k, depth)  -> the four elements; zero beyond ``end``, ``depth`` or the image

and, where all sizes are multiples of four, for quads that are whole, neighbours in memory and inside or outside, in
integers of 32 bits, which a device adds and compares in half the time:

    place(shape, group, fixed, end)   -> what a quad's ``fixed`` adds to where it lies, three integers
    position(shape, k, depth)         -> what its ``k`` adds, three integers, the same for all ``fixed``
    find(shape, place, position)      -> the number of the first element in the array, and whether there is one

A ``Matrix`` is an operand with its shape, a tuple of integers, made by the functions of this file of arrays' shapes and
a geometry: stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..scalar import real
from ._api import function


class Operand(NamedTuple):
    locate: Callable
    load: Callable
    place: Callable
    position: Callable
    find: Callable
    along_depth: bool


class Matrix(NamedTuple):
    """whole: whether its quads are, in an array whose memory is aligned to 16 bytes."""

    operand: Operand
    shape: tuple
    whole: bool


def _fours(*sizes: int) -> bool:
    return all(size % 4 == 0 for size in sizes)


def is_small(array) -> bool:
    """Whether integers of 32 bits count its elements."""
    return array.size < LARGEST // 2


# ---- division by what the host knows: a multiplication (Granlund and Montgomery, 1994, theorem 4.2)

LARGEST = 2**31  # numbers to be divided are below
_OUTSIDE = -(1 << 30)  # pixels away from any image


def divisor(number: int) -> tuple[int, int]:
    """What ``quotient`` needs to divide by ``number``."""
    number = max(1, number)
    shift = 31 + (number - 1).bit_length()
    return -(-(1 << shift) // number), shift


@function
def quotient(number, factor, shift):
    """The product of two numbers of 32 bits is one instruction, of 64 bits it is four."""
    return np.int64((np.uint64(np.uint32(number)) * np.uint64(np.uint32(factor))) >> np.uint64(shift))


# ---- a matrix whose rows lie along the depth: element (fixed, k) is array[fixed * stride + k]


@function
def _locate_row(shape, group, fixed, end):
    return fixed * shape[0], 4 if fixed < end else 0, 0


@function
def _load_row(array, shape, place, k, depth):
    count = min(place[1], depth - k)
    first = place[0] + k
    return (
        array[first] if count > 0 else real(0),
        array[first + 1] if count > 1 else real(0),
        array[first + 2] if count > 2 else real(0),
        array[first + 3] if count > 3 else real(0),
    )


@function
def _place_row(shape, group, fixed, end):
    return np.int32(fixed * shape[0]), np.int32(0 if fixed < end else 1), np.int32(0)


@function
def _position_in_row(shape, k, depth):
    return np.int32(k), np.int32(0 if k < depth else 1), np.int32(0)


@function
def _find(shape, place, position):
    return np.int32(place[0] + position[0]), (place[1] | position[1]) == 0


ROWS = Operand(_locate_row, _load_row, _place_row, _position_in_row, _find, True)


def rows(stride: int) -> Matrix:
    return Matrix(ROWS, (stride, 1), _fours(stride))


# ---- a matrix whose rows lie across it: element (fixed, k) is array[k * stride + group * width + fixed]


@function
def _locate_column(shape, group, fixed, end):
    return group * shape[1] + fixed, min(4, end - fixed), 0


@function
def _load_column(array, shape, place, k, depth):
    count = place[1] if k < depth else 0
    first = place[0] + k * shape[0]
    return (
        array[first] if count > 0 else real(0),
        array[first + 1] if count > 1 else real(0),
        array[first + 2] if count > 2 else real(0),
        array[first + 3] if count > 3 else real(0),
    )


@function
def _place_column(shape, group, fixed, end):
    return np.int32(group * shape[1] + fixed), np.int32(0 if fixed < end else 1), np.int32(0)


@function
def _position_in_column(shape, k, depth):
    return np.int32(k * shape[0]), np.int32(0 if k < depth else 1), np.int32(0)


COLUMNS = Operand(_locate_column, _load_column, _place_column, _position_in_column, _find, False)


def columns(stride: int, width: int) -> Matrix:
    """``width`` of the ``stride`` columns belong to a group."""
    return Matrix(COLUMNS, (stride, width), _fours(stride, width))


# ---- the windows of a convolution: row (n, p, q) holds, at k = (r, s, c),
# x[n, p * stride_h - pad_top + r * dilation_h, q * stride_w - pad_left + s * dilation_w, c]

# shape: 0 height, width, channels, 3 taps_w, 4 channels of a group, 5 out_height, out_width, 7 stride_h, stride_w,
# 9 pad_top, pad_left, 11 dilation_h, dilation_w, and the divisors of 13 the channels of a group, 15 taps_w,
# 17 out_width, 19 out_height


def _window_shape(image, taps_w: int, depth: int, outputs: tuple[int, int], geometry):
    out_height, out_width = outputs
    sizes = *image.shape[1:], taps_w, depth, out_height, out_width
    return *sizes, *geometry, *divisor(depth), *divisor(taps_w), *divisor(out_width), *divisor(out_height)


@function
def _split_tap(shape, k):
    """(r, s, c) of position k = (r * taps_w + s) * depth + c."""
    tap = quotient(k, shape[13], shape[14])
    r = quotient(tap, shape[15], shape[16])
    return r, tap - r * shape[3], k - tap * shape[4]


@function
def _next_tap(shape, r, s, c):
    """What follows (r, s, c)."""
    if c + 1 < shape[4]:
        return r, s, c + 1
    if s + 1 < shape[3]:
        return r, s + 1, 0
    return r + 1, 0, 0


@function
def split_pixel(shape, pixel):
    """(n, p, q) of position pixel = (n * out_height + p) * out_width + q."""
    line = quotient(pixel, shape[17], shape[18])
    n = quotient(line, shape[19], shape[20])
    return n, line - n * shape[5], pixel - line * shape[6]


@function
def _top_left(shape, pixel):
    """First element of the image of a window, and where its first tap lies."""
    n, p, q = split_pixel(shape, pixel)
    return n * shape[0] * shape[1] * shape[2], p * shape[7] - shape[9], q * shape[8] - shape[10]


@function
def _find_pixel(shape, place, r, s, c):
    """The number of element (r, s, c) of the window at ``place``, or -1."""
    h = place[1] + r * shape[11]
    w = place[2] + s * shape[12]
    if h >= 0 and h < shape[0] and w >= 0 and w < shape[1]:
        return place[0] + (h * shape[1] + w) * shape[2] + c
    return -1


@function
def _pixel(array, shape, place, r, s, c):
    at = _find_pixel(shape, place, r, s, c)
    return array[at] if at >= 0 else real(0)


def _four(element):
    """The function that reads ``element`` of tap (r, s), channel c, and of the next three; zero from ``count`` on."""

    @function
    def load(array, shape, place, r, s, c, count):
        first = element(array, shape, place, r, s, c) if count > 0 else real(0)
        r, s, c = _next_tap(shape, r, s, c)
        second = element(array, shape, place, r, s, c) if count > 1 else real(0)
        r, s, c = _next_tap(shape, r, s, c)
        third = element(array, shape, place, r, s, c) if count > 2 else real(0)
        r, s, c = _next_tap(shape, r, s, c)
        fourth = element(array, shape, place, r, s, c) if count > 3 else real(0)
        return first, second, third, fourth

    return load


_four_pixels = _four(_pixel)


@function
def _locate_window(shape, group, fixed, end):
    image, top, left = _top_left(shape, fixed)
    return image + group * shape[4], top if fixed < end else _OUTSIDE, left


@function
def _load_window(array, shape, place, k, depth):
    r, s, c = _split_tap(shape, k)
    return _four_pixels(array, shape, place, r, s, c, depth - k)


@function
def _window(shape, group, pixel, end):
    """Where a window's first tap lies: the number of its element, its row and its column."""
    image, top, left = _top_left(shape, pixel)
    at = image + (top * shape[1] + left) * shape[2] + group * shape[4]
    return np.int32(at), np.int32(top if pixel < end else _OUTSIDE), np.int32(left)


@function
def _tap(shape, group, k, end):
    """How far a tap lies from a window's first: in elements, rows and columns."""
    r, s, c = _split_tap(shape, k)
    down = r * shape[11]
    across = s * shape[12]
    at = (down * shape[1] + across) * shape[2] + group * shape[4] + c
    return np.int32(at), np.int32(down if k < end else _OUTSIDE), np.int32(across)


@function
def _position_of_tap(shape, k, depth):
    return _tap(shape, 0, k, depth)


@function
def _position_of_window(shape, k, depth):
    return _window(shape, 0, k, depth)


@function
def _find_in_image(shape, place, position):
    h = np.int32(place[1] + position[1])
    w = np.int32(place[2] + position[2])
    inside = h >= 0 and h < np.int32(shape[0]) and w >= 0 and w < np.int32(shape[1])
    return np.int32(place[0] + position[0]), inside


WINDOWS = Operand(_locate_window, _load_window, _window, _position_of_tap, _find_in_image, True)


def windows(x, kernel, y, geometry) -> Matrix:
    """x: (N, H, W, C), kernel: (R, S, C / groups, K), y: (N, P, Q, K)"""
    _, taps_w, depth, _ = kernel.shape
    return Matrix(WINDOWS, _window_shape(x, taps_w, depth, y.shape[1:3], geometry), _fours(depth))


# ---- the same windows the other way round: row (r, s, c) holds, at k = (n, p, q), what tap (r, s) sees of channel c


@function
def _locate_tap(shape, group, fixed, end):
    return fixed, min(4, end - fixed), group * shape[4]


@function
def _load_tap(array, shape, place, k, depth):
    image, top, left = _top_left(shape, k)
    r, s, c = _split_tap(shape, place[0])
    return _four_pixels(array, shape, (image + place[2], top, left), r, s, c, place[1] if k < depth else 0)


TAPS = Operand(_locate_tap, _load_tap, _tap, _position_of_window, _find_in_image, False)


def taps(x, kernel, y, geometry) -> Matrix:
    """x: (N, H, W, C), kernel: (R, S, C / groups, K), y: (N, P, Q, K)"""
    return windows(x, kernel, y, geometry)._replace(operand=TAPS)


# ---- the outputs that a pixel reaches with strides of one (others: `_strides`): row (n, h, w) holds dy[n, p, q, k] at
# (r, s, k), where tap (r, s) of window (p, q) is that pixel.  The shape is as for windows, of dy for the image, with k
# for c and (h, w) for (p, q).


@function
def _locate_pixel(shape, group, fixed, end):
    n, h, w = split_pixel(shape, fixed)
    image = n * shape[0] * shape[1] * shape[2]
    return image + group * shape[4], h + shape[9] if fixed < end else _OUTSIDE, w + shape[10]


@function
def _find_output(shape, place, r, s, k):
    """The number of output k of the window whose tap (r, s) is the pixel at ``place``, or -1."""
    p = place[1] - r * shape[11]
    q = place[2] - s * shape[12]
    if p >= 0 and p < shape[0] and q >= 0 and q < shape[1]:
        return place[0] + (p * shape[1] + q) * shape[2] + k
    return -1


@function
def _output(array, shape, place, r, s, k):
    at = _find_output(shape, place, r, s, k)
    return array[at] if at >= 0 else real(0)


_four_outputs = _four(_output)


@function
def _load_output(array, shape, place, k, depth):
    r, s, c = _split_tap(shape, k)
    return _four_outputs(array, shape, place, r, s, c, depth - k)


@function
def _place_of_pixel(shape, group, fixed, end):
    image, h, w = _locate_pixel(shape, group, fixed, end)
    at = image + ((h if fixed < end else 0) * shape[1] + w) * shape[2]
    return np.int32(at), np.int32(h), np.int32(w)


@function
def _position_of_output(shape, k, depth):
    r, s, c = _split_tap(shape, k)
    up = r * shape[11]
    back = s * shape[12]
    return np.int32(c - (up * shape[1] + back) * shape[2]), np.int32(-up if k < depth else _OUTSIDE), np.int32(-back)


OUTPUTS = Operand(_locate_pixel, _load_output, _place_of_pixel, _position_of_output, _find_in_image, True)


def outputs(dy, taps_w: int, pixels: tuple[int, int], groups: int, geometry) -> Matrix:
    """dy: (N, P, Q, K); pixels: height and width of the image"""
    width = dy.shape[3] // groups
    return Matrix(OUTPUTS, _window_shape(dy, taps_w, width, pixels, geometry), _fours(width))


# ---- the filters of a channel: column c holds kernel[r, s, c, k] at (r, s, k).  shape: 0 filters, 1 those of a group,
# from the end of those at a tap 2 to the next tap, and 3 what to add after a row of taps, 4 where the first tap's lie;
# the divisors of 5 the filters of a group and 7 taps_w.


@function
def _locate_channel(shape, group, fixed, end):
    return shape[4] + fixed * shape[0] + group * shape[1], 4 if fixed < end else 0, 0


@function
def _place_of_channel(shape, group, fixed, end):
    at = shape[4] + fixed * shape[0] + group * shape[1]
    return np.int32(at), np.int32(0 if fixed < end else 1), np.int32(0)


@function
def _filter_of_all(shape, k):
    return k + quotient(k, shape[5], shape[6]) * shape[2]


@function
def _filter_of_some(shape, k):
    tap = quotient(k, shape[5], shape[6])
    return k + tap * shape[2] + quotient(tap, shape[7], shape[8]) * shape[3]


def _filters(find) -> Operand:
    """find(shape, k) -> how far a filter lies from the first"""

    @function
    def load(array, shape, place, k, depth):
        count = min(place[1], depth - k)
        return (
            array[place[0] + find(shape, k)] if count > 0 else real(0),
            array[place[0] + find(shape, k + 1)] if count > 1 else real(0),
            array[place[0] + find(shape, k + 2)] if count > 2 else real(0),
            array[place[0] + find(shape, k + 3)] if count > 3 else real(0),
        )

    @function
    def position(shape, k, depth):
        return np.int32(find(shape, k)), np.int32(0 if k < depth else 1), np.int32(0)

    return Operand(_locate_channel, load, _place_of_channel, position, _find, True)


FILTERS = _filters(_filter_of_all)
SOME_FILTERS = _filters(_filter_of_some)  # of a part of the taps, see `_strides`


def filters(kernel, groups: int) -> Matrix:
    """kernel: (R, S, C / groups, K)"""
    _, taps_w, channels, stride = kernel.shape
    width = stride // groups
    shape = stride, width, channels * stride - width, 0, 0, *divisor(width), *divisor(taps_w)
    return Matrix(FILTERS, shape, _fours(width))
