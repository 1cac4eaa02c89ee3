"""2-D convolution, NHWC, as a matrix product whose operands are worked out where they are read (implicit GEMM).

``groups`` convolutions side by side each read C / groups channels and write K / groups filters.  What lies outside of
the image is zero.
"""

import math

from . import _thin, dense, depthwise
from ._operands import LARGEST, columns, filters, outputs, taps, windows
from ._products import product, taken_epilogue
from ._strides import BY_REMAINDER, strided


def _is_dense(kernel, image, outputs, geometry) -> bool:
    """Whether each pixel is multiplied by one matrix: a kernel of one tap over all pixels."""
    stride_h, stride_w, pad_top, pad_left, _, _, groups = geometry
    one_tap = kernel.shape[0] == kernel.shape[1] == 1
    return (
        one_tap
        and (stride_h, stride_w, pad_top, pad_left, groups) == (1, 1, 0, 0, 1)
        and (image.shape[1:3] == outputs.shape[1:3])
    )


def _is_depthwise(kernel, groups: int) -> bool:
    return kernel.shape[2] == 1 and groups > 1


def _is_thin(x, kernel, y, groups: int) -> bool:
    """Whether pixels have too few channels or filters, or such as are no whole quads, for tiles of them."""
    channels, filters = kernel.shape[2:]
    return (channels % 4 > 0 or filters % 4 > 0) and groups == 1 and max(x.size, y.size) < LARGEST


def _matrix(array):
    return array.reshape(-1, array.shape[-1])


def _pixels(images) -> int:
    return math.prod(images.shape[:3])


def _by_channel(kernel, groups: int):
    """(R, S, 1, C * M) as (R, S, C, M)"""
    taps_h, taps_w, _, filters = kernel.shape
    return kernel.reshape(taps_h, taps_w, groups, filters // groups)


def conv2d_forward(x, kernel, y, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups):
    """Cross-correlation.  x: (N, H, W, C), kernel: (R, S, C / groups, K), y: (N, P, Q, K)

    y[n, p, q, k] = sum over r, s, c of
    x[n, p * stride_h - pad_top + r * dilation_h, q * stride_w - pad_left + s * dilation_w, c] * kernel[r, s, c, k],
    zero outside the image.
    """
    geometry = stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w
    if _is_dense(kernel, x, y, (*geometry, groups)):
        dense.dense_forward(_matrix(x), _matrix(kernel), _matrix(y))
        return
    if _is_depthwise(kernel, groups):
        depthwise.depthwise_conv2d_forward(x, _by_channel(kernel, groups), y, *geometry)
        return
    taps_h, taps_w, depth, _ = kernel.shape
    if _is_thin(x, kernel, y, groups) and _thin.sums_of_thin(taps_h, taps_w * depth, y.shape[3]):
        _thin.forward(x, kernel, y, geometry, taken_epilogue())
        return
    width = y.shape[3] // groups
    matrices = windows(x, kernel, y, geometry), columns(y.shape[3], width)
    product(x, kernel, y, *matrices, _pixels(y), width, taps_h * taps_w * depth, groups)


def conv2d_backward_data(
    dy, kernel, dx, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups, accumulate
):
    """Gradient of conv2d_forward in x.  dy: (N, P, Q, K), kernel: (R, S, C / groups, K), dx: (N, H, W, C)"""
    geometry = stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w
    if _is_dense(kernel, dx, dy, (*geometry, groups)):
        dense.dense_backward_data(_matrix(dy), _matrix(kernel), _matrix(dx), accumulate)
        return
    if _is_depthwise(kernel, groups):
        depthwise.depthwise_conv2d_backward_data(dy, _by_channel(kernel, groups), dx, *geometry, accumulate)
        return
    taps_h, taps_w, depth, _ = kernel.shape
    if _is_thin(dx, kernel, dy, groups) and _thin.sums_of_thin(taps_h, taps_w * dy.shape[3], depth):
        _thin.backward_data(dy, kernel, dx, geometry, accumulate, taken_epilogue())
        return
    if max(stride_h, stride_w) > 1:
        *matrices, rows, terms, count = strided(dy, kernel, dx, groups, geometry)
        product(dy, kernel, dx, *matrices, rows, depth, terms, groups, accumulate, BY_REMAINDER, count)
        return
    matrices = outputs(dy, taps_w, dx.shape[1:3], groups, geometry), filters(kernel, groups)
    terms = taps_h * taps_w * dy.shape[3] // groups
    product(dy, kernel, dx, *matrices, _pixels(dx), depth, terms, groups, accumulate)


def conv2d_backward_filter(
    x, dy, dkernel, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups, accumulate
):
    """Gradient of conv2d_forward in kernel.  x: (N, H, W, C), dy: (N, P, Q, K), dkernel: (R, S, C / groups, K)"""
    geometry = stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w
    if _is_dense(dkernel, x, dy, (*geometry, groups)):
        dense.dense_backward_filter(_matrix(x), _matrix(dy), _matrix(dkernel), accumulate)
        return
    if _is_depthwise(dkernel, groups):
        depthwise.depthwise_conv2d_backward_filter(x, dy, _by_channel(dkernel, groups), *geometry, accumulate)
        return
    taps_h, taps_w, depth, _ = dkernel.shape
    if _is_thin(x, dkernel, dy, groups) and _thin.filters_of_thin(taps_h * taps_w * depth, dy.shape[3]):
        _thin.backward_filter(x, dy, dkernel, geometry, accumulate)
        return
    width = dy.shape[3] // groups
    matrices = taps(x, dkernel, dy, geometry), columns(dy.shape[3], width)
    product(x, dy, dkernel, *matrices, taps_h * taps_w * depth, width, _pixels(dy), groups, accumulate)
