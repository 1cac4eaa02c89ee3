"""The gradient of a strided convolution in its image, as convolutions without strides side by side.

Tap r of window p sees pixel h = p * stride - pad + r * dilation.  So pixels a multiple of the stride apart are reached
by the same taps, and these lie step = stride / gcd apart, gcd being that of stride and dilation.  Each such class of
pixels, numbered by the remainder of h + pad after division by the stride, is the gradient of a convolution with a
stride of one, of these taps alone: its pixel i is reached by its tap j from window i + pad' - j * dilation / gcd.  All
classes together multiply what is not zero once; one kernel does them, each in blocks of its own.

Of all other products the rows are one class.
"""

from collections.abc import Callable
from math import gcd
from typing import NamedTuple

import numpy as np

from ._api import ceil_div, cuda, function
from ._division import quotient as ratio
from ._operands import SOME_FILTERS, Matrix, divisor, filters, outputs, split_pixel
from .ptx import worked_out


class Classes(NamedTuple):
    """Rows of c whose products are of other terms, each class in blocks of its own.

    count(a_shape) -> how many classes there are
    of(a_shape, b_shape, groups) -> the shapes of a and b in the block's class
    depth(a_class, depth) -> its terms
    pixel(a_shape, groups) -> its first pixel
    row(a_shape, pixel, row, rows) -> which row of c its row is, and whether there is one
    """

    count: Callable
    of: Callable
    depth: Callable
    pixel: Callable
    row: Callable


@function
def _one(a_shape):
    return 1


@function
def _as_they_are(a_shape, b_shape, groups):
    return a_shape, b_shape


@function
def _all_terms(a_class, depth):
    return depth


@function
def _no_pixel(a_shape, groups):
    return 0, 0


@function
def _same_row(a_shape, pixel, row, rows):
    return row, row < rows


ALL_ROWS = Classes(_one, _as_they_are, _all_terms, _no_pixel, _same_row)


# a's shape is that of `_operands.outputs` for images as large as the largest class, with the pixels' strides; then
# 21 height, 22 width of the image, 23 taps_h, 24 gcd_h, gcd_w, 26 step_h, step_w, 28 inverse_h, inverse_w (of
# dilation / gcd, modulo step), and 30 the divisor of the smaller number of taps_w.  In a class 21 is its depth.


@function
def _number_of_classes(a_shape):
    return a_shape[7] * a_shape[8]


@function
def _remainders(a_shape, groups):
    """The block's class.  Not worked out before it is needed, for registers are scarce in between."""
    number = ratio(worked_out(np.int32(cuda.blockIdx.z)), groups) % _number_of_classes(a_shape)
    down = ratio(number, a_shape[8])
    return down, number - down * a_shape[8]


@function
def _first_pixel(stride, pad, remainder):
    pixel = remainder + pad * (stride - 1)  # remainder - pad, modulo stride
    return pixel - ratio(pixel, stride) * stride


@function
def _along(taps, stride, pad, dilation, divides, step, inverse, remainder):
    """A class's first tap, how many taps it has, and pad'."""
    first = ratio(remainder, divides) * inverse
    first -= ratio(first, step) * step
    count = ratio(taps - first + step - 1, step) if remainder % divides == 0 else 0
    whole = dilation * divides
    return first, count, ratio(_first_pixel(stride, pad, remainder) + pad + (stride - first) * whole, stride) - whole


@function
def _of_class(a_shape, b_shape, groups):
    down, across = _remainders(a_shape, groups)
    first_r, taps_h, pad_h = _along(
        a_shape[23], a_shape[7], a_shape[9], a_shape[11], a_shape[24], a_shape[26], a_shape[28], down
    )
    first_s, taps_w, pad_w = _along(
        a_shape[3], a_shape[8], a_shape[10], a_shape[12], a_shape[25], a_shape[27], a_shape[29], across
    )
    most = ratio(a_shape[3] + a_shape[27] - 1, a_shape[27])
    factor, shift = (a_shape[15], a_shape[16]) if taps_w == most else (a_shape[30], a_shape[31])
    a_class = (
        a_shape[0], a_shape[1], a_shape[2], taps_w, a_shape[4], a_shape[5], a_shape[6], a_shape[7], a_shape[8],
        pad_h, pad_w, a_shape[11], a_shape[12], a_shape[13], a_shape[14], factor, shift, a_shape[17], a_shape[18],
        a_shape[19], a_shape[20], taps_h * taps_w * a_shape[4],
    )  # fmt: skip
    tap = b_shape[1] + b_shape[2]
    row = a_shape[3] * tap
    to_next_tap = worked_out(np.int32(a_shape[27] * tap - b_shape[1]))
    to_next_row = worked_out(np.int32(a_shape[26] * row - taps_w * a_shape[27] * tap))
    b_class = (
        b_shape[0], b_shape[1], to_next_tap, to_next_row, first_r * row + first_s * tap, b_shape[5], b_shape[6],
        factor, shift,
    )  # fmt: skip
    return a_class, b_class


@function
def _terms_of_class(a_class, depth):
    return a_class[21]


@function
def _pixel_of_class(a_shape, groups):
    down, across = _remainders(a_shape, groups)
    return _first_pixel(a_shape[7], a_shape[9], down), _first_pixel(a_shape[8], a_shape[10], across)


@function
def _row_of_class(a_shape, pixel, row, rows):
    n, i, j = split_pixel(a_shape, row)
    h = pixel[0] + i * a_shape[7]
    w = pixel[1] + j * a_shape[8]
    return (n * a_shape[21] + h) * a_shape[22] + w, row < rows and h < a_shape[21] and w < a_shape[22]


BY_REMAINDER = Classes(_number_of_classes, _of_class, _terms_of_class, _pixel_of_class, _row_of_class)


def strided(dy, kernel, dx, groups: int, geometry) -> tuple[Matrix, Matrix, int, int, int]:
    """Both matrices, and of the largest class the rows and the depth; then how many classes there are.

    dy: (N, P, Q, K), kernel: (R, S, C / groups, K), dx: (N, H, W, C)
    """
    strides, dilations, sizes, taps = geometry[:2], geometry[4:], dx.shape[1:3], kernel.shape[:2]
    gcds = [gcd(stride, dilation) for stride, dilation in zip(strides, dilations, strict=True)]
    steps = [stride // common for stride, common in zip(strides, gcds, strict=True)]
    dilations = [dilation // common for dilation, common in zip(dilations, gcds, strict=True)]
    inverses = [pow(dilation, -1, step) for dilation, step in zip(dilations, steps, strict=True)]
    pixels = ceil_div(sizes[0], strides[0]), ceil_div(sizes[1], strides[1])
    most = ceil_div(taps[0], steps[0]), ceil_div(taps[1], steps[1])
    a = outputs(dy, most[1], pixels, groups, (*geometry[:4], *dilations))
    shape = *a.shape[:3], taps[1], *a.shape[4:]
    a = a._replace(shape=(*shape, *sizes, taps[0], *gcds, *steps, *inverses, *divisor(most[1] - 1)))
    depth = most[0] * most[1] * dy.shape[3] // groups
    b = filters(kernel, groups)._replace(operand=SOME_FILTERS)
    return a, b, dx.shape[0] * pixels[0] * pixels[1], depth, strides[0] * strides[1]
