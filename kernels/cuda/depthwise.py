"""Depthwise convolution, NHWC: each channel is convolved with filters of its own.

Output channel c * M + m comes from channel c.  What lies outside of the image is zero.
"""

from ..scalar import real
from ._api import ceil_div, cuda, kernel, launch, over, workspace
from ._blocks import column_sum
from ._columns import column_block, row_parts, sum_parts

# shape: (height, width, channels, taps_h, taps_w, multiplier, out_height, out_width, then the geometry: stride_h,
# stride_w, pad_top, pad_left, dilation_h, dilation_w)


@kernel
def _forward(x, kernel, y, size, shape):
    (
        height, width, channels, taps_h, taps_w, multiplier, out_height, out_width,
        stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w,
    ) = shape  # fmt: skip
    filters = channels * multiplier
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        pixel = i // filters
        k = i - pixel * filters
        line = pixel // out_width
        n = line // out_height
        top = (line - n * out_height) * stride_h - pad_top
        left = (pixel - line * out_width) * stride_w - pad_left
        image = n * height * width * channels + k // multiplier
        total = real(0)
        for r in range(taps_h):
            h = top + r * dilation_h
            if h >= 0 and h < height:
                for s in range(taps_w):
                    w = left + s * dilation_w
                    if w >= 0 and w < width:
                        total += x[image + (h * width + w) * channels] * kernel[(r * taps_w + s) * filters + k]
        y[i] = total


@kernel
def _backward_data(dy, kernel, dx, size, shape, accumulate):
    (
        height, width, channels, taps_h, taps_w, multiplier, out_height, out_width,
        stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w,
    ) = shape  # fmt: skip
    filters = channels * multiplier
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        pixel = i // channels
        first = (i - pixel * channels) * multiplier
        line = pixel // width
        n = line // height
        bottom = line - n * height + pad_top
        right = pixel - line * width + pad_left
        total = real(0)
        for r in range(taps_h):
            down = bottom - r * dilation_h
            p = down // stride_h
            if down >= 0 and p < out_height and p * stride_h == down:
                for s in range(taps_w):
                    across = right - s * dilation_w
                    q = across // stride_w
                    if across >= 0 and q < out_width and q * stride_w == across:
                        output = ((n * out_height + p) * out_width + q) * filters + first
                        tap = (r * taps_w + s) * filters + first
                        for m in range(multiplier):
                            total += dy[output + m] * kernel[tap + m]
        dx[i] = dx[i] + total if accumulate else total


@kernel
def _backward_filter(x, dy, sums, column_blocks, pixels, shape, accumulate):
    """Row blockIdx.y of ``sums``, (R, S, C, M), is what this block's pixels add; blockIdx.x: the tap, and columns."""
    (
        height, width, channels, taps_h, taps_w, multiplier, out_height, out_width,
        stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w,
    ) = shape  # fmt: skip
    filters = channels * multiplier
    tap = cuda.blockIdx.x // column_blocks
    k = (cuda.blockIdx.x - tap * column_blocks) * cuda.blockDim.x + cuda.threadIdx.x
    r = tap // taps_w
    down = r * dilation_h - pad_top
    across = (tap - r * taps_w) * dilation_w - pad_left
    total = real(0)
    if k < filters:
        c = k // multiplier
        first = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
        for pixel in range(first, pixels, cuda.gridDim.y * cuda.blockDim.y):
            line = pixel // out_width
            n = line // out_height
            h = (line - n * out_height) * stride_h + down
            w = (pixel - line * out_width) * stride_w + across
            if h >= 0 and h < height and w >= 0 and w < width:
                total += x[((n * height + h) * width + w) * channels + c] * dy[pixel * filters + k]
    total = column_sum(total)
    if k < filters and cuda.threadIdx.y == 0:
        at = (cuda.blockIdx.y * taps_h * taps_w + tap) * filters + k
        sums[at] = sums[at] + total if accumulate else total


def depthwise_conv2d_forward(x, kernel, y, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w):
    """Depthwise cross-correlation.  x: (N, H, W, C), kernel: (R, S, C, M), y: (N, P, Q, C * M)

    y[n, p, q, c * M + m] = sum over r, s of
    x[n, p * stride_h - pad_top + r * dilation_h, q * stride_w - pad_left + s * dilation_w, c] * kernel[r, s, c, m],
    zero outside the image.
    """
    shape = _shape(x, kernel, y, (stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w))
    if y.size:
        launch(_forward, *over(y.size), x.reshape(-1), kernel.reshape(-1), y.reshape(-1), y.size, shape)


def depthwise_conv2d_backward_data(
    dy, kernel, dx, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, accumulate
):
    """Gradient of depthwise_conv2d_forward in x.  dy: (N, P, Q, C * M), kernel: (R, S, C, M), dx: (N, H, W, C)"""
    shape = _shape(dx, kernel, dy, (stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w))
    if dx.size:
        arrays = dy.reshape(-1), kernel.reshape(-1), dx.reshape(-1)
        launch(_backward_data, *over(dx.size), *arrays, dx.size, shape, accumulate)


def depthwise_conv2d_backward_filter(
    x, dy, dkernel, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, accumulate
):
    """Gradient of depthwise_conv2d_forward in kernel.  x: (N, H, W, C), dy: (N, P, Q, C * M), dkernel: (R, S, C, M)"""
    shape = _shape(x, dkernel, dy, (stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w))
    filters = dy.shape[3]
    if dkernel.size == 0:
        return
    pixels = dy.size // filters
    width, height = column_block(pixels, filters)
    column_blocks = ceil_div(filters, width)
    taps = dkernel.size // filters
    parts = row_parts(pixels, width * column_blocks * taps)
    whole = parts == 1
    sums = dkernel.reshape(-1) if whole else workspace(parts * dkernel.size, dkernel.dtype)
    launch(
        _backward_filter, (taps * column_blocks, parts), (width, height),
        x.reshape(-1), dy.reshape(-1), sums, column_blocks, pixels, shape, whole and accumulate,
    )  # fmt: skip
    if not whole:
        sum_parts(sums, dkernel.reshape(-1), parts, dkernel.size, accumulate)


def _shape(image, kernel, outputs, geometry):
    taps_h, taps_w, _, multiplier = kernel.shape
    return *image.shape[1:], taps_h, taps_w, multiplier, *outputs.shape[1:3], *geometry
