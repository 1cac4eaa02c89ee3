"""Depthwise convolution, NHWC, of one filter per channel: vectors run along the channels.

All three passes go through the images by rows.  There are tiles of ``tiles.depthwise`` for the kernels that networks
have (3 and 5 columns with a stride of 1 or 2, 7 columns) and one for all others.  Channels beyond the last whole vector
take masked vectors.

Going backward, the outputs that a pixel went into lie at regular distances, like the pixels that went into an output.
"""

import functools

from jitnet.kernels.cpu.runtime.arrays import address, view
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes, scalar
from jitnet.kernels.cpu.runtime.vectors import vector_target
from jitnet.kernels.cpu.runtime.windows import taps_inside
from jitnet.kernels.cpu.tiles.depthwise import depthwise_filter_tile, depthwise_tile

_TARGET = vector_target()
_BYTES = _TARGET.bytes
_convolution = functools.partial(depthwise_tile, target=_TARGET)
_filter = functools.partial(depthwise_filter_tile, target=_TARGET)
# Pixels of a tile: no more than sums, weights and an input have registers for (counted; which below that is a guess).
_convolve_3 = _convolution(taps=3, stride=1, tile_pixels=8)
_convolve_5 = _convolution(taps=5, stride=1, tile_pixels=8)
_convolve_7 = _convolution(taps=7, stride=1, tile_pixels=7)  # its networks have rows of 7, 14, 28 and 56
_convolve_3_stride_2 = _convolution(taps=3, stride=2, tile_pixels=4)
_convolve_5_stride_2 = _convolution(taps=5, stride=2, tile_pixels=4)
_convolve_3_apart_2 = _convolution(taps=3, stride=1, apart=2, tile_pixels=8)
_convolve_5_apart_2 = _convolution(taps=5, stride=1, apart=2, tile_pixels=8)
_convolve_any = _convolution(taps=None, stride=None, tile_pixels=8)
_convolve_rest_3 = _convolution(taps=3, stride=1, tile_pixels=8, masked=True)
_convolve_rest_any = _convolution(taps=None, stride=None, tile_pixels=8, masked=True)
_ROWS_OF_5 = 5 if _TARGET.registers >= 32 else 1  # whose sums registers hold, with no room for more than one pixel
_filter_gradient_3 = _filter(rows=3, taps=3, stride=1, tile_pixels=4)
_filter_gradient_5 = _filter(rows=_ROWS_OF_5, taps=5, stride=1, tile_pixels=1)
_filter_gradient_3_stride_2 = _filter(rows=3, taps=3, stride=2, tile_pixels=4)
_filter_gradient_5_stride_2 = _filter(rows=_ROWS_OF_5, taps=5, stride=2, tile_pixels=1)
_filter_gradient_any = _filter(rows=1, taps=1, stride=None, tile_pixels=8)
_filter_gradient_rest_3 = _filter(rows=3, taps=3, stride=1, tile_pixels=4, masked=True)
_filter_gradient_rest_any = _filter(rows=1, taps=1, stride=None, tile_pixels=8, masked=True)


@scalar
def _part(channels, itemsize, rest):
    """The first channel and the number of those that fill whole vectors, or of the ``rest``."""
    lanes = _BYTES // itemsize
    whole = channels // lanes * lanes
    return (whole, channels - whole) if rest else (0, whole)


@kernel
def _convolve(channels, add, source, sources, weights, taps, target, targets):
    """target[begin + i, channel] (+)= the sum over rows r, taps s of source[r, start + i * stride + s * step] * weight.

    sources: where the first row's column 0 lies, the distance of rows, the numbers of rows and of columns; start,
    stride, step, apart.  taps: where the first one lies, the distances of rows and columns, the number of columns.
    targets: where pixel 0 lies, the distance of pixels, the pixels to write: begin (the one that reads ``start``), end.
    apart: 1, or 2 for pixels and taps half a column apart, see ``_pairs``, where begin may be -1.
    """
    kernel_attributes()
    first, source_row, rows, columns, start, stride, step, apart = sources
    first_tap, tap_row, tap_column, tap_columns = taps
    first_target, target_pixel, begin, end = targets
    size = tap_columns if step == 1 else 0
    for rest in range(2):
        channel, count = _part(channels, source.itemsize, rest)
        if count == 0:
            continue
        arguments = (
            address(source, first + channel), source_row, columns, channels, start, stride, step,
            address(weights, first_tap + channel), tap_row, tap_column, rows, tap_columns,
            address(target, first_target + channel), target_pixel, begin, end, count, 1 if add else 0,
        )  # fmt: skip
        if rest and size == 3 and stride == 1:
            _convolve_rest_3(source, arguments)
        elif rest:
            _convolve_rest_any(source, arguments)
        elif size == 3 and apart == 2:
            _convolve_3_apart_2(source, arguments)
        elif size == 5 and apart == 2:
            _convolve_5_apart_2(source, arguments)
        elif size == 3 and stride == 1:
            _convolve_3(source, arguments)
        elif size == 5 and stride == 1:
            _convolve_5(source, arguments)
        elif size == 7 and stride == 1:
            _convolve_7(source, arguments)
        elif size == 3 and stride == 2:
            _convolve_3_stride_2(source, arguments)
        elif size == 5 and stride == 2:
            _convolve_5_stride_2(source, arguments)
        else:
            _convolve_any(source, arguments)


@scalar
def _middle(pixels, start, stride, extent, columns, tile_pixels):
    """Of ``pixels`` that read ``extent`` columns each: how many before, tiles and after, where tiles miss no column."""
    before = min(pixels, max(0, -(start // stride)))
    end = min(pixels, (columns - extent - start) // stride + 1)
    tiles = max(0, end - before) // tile_pixels
    return before, tiles, pixels - before - tiles * tile_pixels


@kernel
def _filter_gradient(channels, source, sources, first_row, end_row, other, others, sums, taps):
    """sums[r, s, channel] += the sum over i of source[r, start + i * stride + s * step] * other[i, channel].

    Only rows from ``first_row`` to ``end_row`` exist.  sources, taps: as in ``_convolve``; others: like its targets.
    """
    kernel_attributes()
    first, source_row, rows, columns, start, stride, step = sources
    first_other, other_pixel, pixels = others
    first_tap, tap_row, tap_column, tap_columns = taps
    size = tap_columns if step == 1 and tap_columns == rows else 0
    for rest in range(2):
        channel, count = _part(channels, source.itemsize, rest)
        if count == 0:
            continue
        # rows, columns and pixels of the tile
        tap_group, column_group, tile_pixels = 1, 1, 8
        if size == 3 and stride <= (1 if rest else 2):
            tap_group, column_group, tile_pixels = 3, 3, 4
        elif size == 5 and stride <= 2 and not rest:
            tap_group, column_group, tile_pixels = _ROWS_OF_5, 5, 1
        for r in range(0, rows, tap_group):
            top, bottom = first_row - r, end_row - r
            if bottom <= 0 or top >= tap_group:
                continue
            for s in range(0, tap_columns, column_group):
                place = start + s * step
                before, tiles, after = _middle(pixels, place, stride, column_group, columns, tile_pixels)
                if top > 0 or bottom < tap_group:
                    before, tiles, after = pixels, 0, 0
                arguments = (
                    address(source, first + channel + r * source_row), source_row, columns, channels,
                    place, stride, top, bottom,
                    address(other, first_other + channel), other_pixel, before, tiles, after,
                    address(sums, first_tap + channel + r * tap_row + s * tap_column), tap_row, tap_column, count,
                )  # fmt: skip
                if column_group == 3 and rest:
                    _filter_gradient_rest_3(source, arguments)
                elif rest:
                    _filter_gradient_rest_any(source, arguments)
                elif column_group == 3 and stride == 1:
                    _filter_gradient_3(source, arguments)
                elif column_group == 3:
                    _filter_gradient_3_stride_2(source, arguments)
                elif column_group == 5 and stride == 1:
                    _filter_gradient_5(source, arguments)
                elif column_group == 5:
                    _filter_gradient_5_stride_2(source, arguments)
                else:
                    _filter_gradient_any(source, arguments)


@scalar
def _origins(position, stride, dilation, taps):
    """The outputs that a ``position`` of the padded image went into: (position - tap * dilation) / stride.

    Returns the last such tap, the (negative) distance to the one before, their number, the last tap's output, which may
    not exist, and the distance to the next output.
    """
    last, step, count, output, output_step = 0, 0, 0, 0, 1
    for i in range(taps):
        tap = taps - 1 - i  # backwards, so that outputs follow each other as positions do
        distance = position - tap * dilation
        if distance % stride == 0:
            if count == 0:
                last, output = tap, distance // stride
            elif count == 1:
                step, output_step = tap - last, distance // stride - output
            count += 1
    return last, step, count, output, output_step


@scalar
def _pairs(channels, taps, stride, dilation, itemsize):
    """Whether there is a tile for both kinds of pixels that a stride of 2 leaves going backward."""
    whole = channels * itemsize % _BYTES == 0
    return whole and stride == 2 and dilation == 1 and (taps == 3 or taps == 5)


@kernel
def depthwise_conv2d_forward(x, kernel, y, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w):
    """Depthwise cross-correlation.  x: (N, H, W, C), kernel: (R, S, C, 1), y: (N, P, Q, C)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    taps_h, taps_w = kernel.shape[:2]
    out_height, out_width = y.shape[1], y.shape[2]
    pixels = view(x, 0, (x.size,), x.dtype)
    weights = view(kernel, 0, (kernel.size,), kernel.dtype)
    out = view(y, 0, (y.size,), y.dtype)
    row = width * channels
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            first, end = taps_inside(top, dilation_h, taps_h, height)
            sources = (
                (n * height + top + first * dilation_h) * row, dilation_h * row, end - first, width,
                -pad_left, stride_w, dilation_w, 1,
            )  # fmt: skip
            taps = (first * taps_w * channels, taps_w * channels, channels, taps_w)
            targets = ((n * out_height + p) * out_width * channels, channels, 0, out_width)
            _convolve(channels, False, pixels, sources, weights, taps, out, targets)


@kernel
def depthwise_conv2d_backward_data(
    dy, kernel, dx, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, accumulate
):
    """Gradient of depthwise_conv2d_forward in x.  dy: (N, P, Q, C), kernel: (R, S, C, 1), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    taps_h, taps_w = kernel.shape[:2]
    out_height, out_width = dy.shape[1], dy.shape[2]
    gradients = view(dy, 0, (dy.size,), dy.dtype)
    weights = view(kernel, 0, (kernel.size,), kernel.dtype)
    out = view(dx, 0, (dx.size,), dx.dtype)
    row = out_width * channels
    pairs = _pairs(channels, taps_w, stride_w, dilation_w, dx.itemsize)
    for n in range(samples):
        for h in range(height):
            r, r_step, count, p, p_step = _origins(h + pad_top, stride_h, dilation_h, taps_h)
            first, end = taps_inside(p, p_step, count, out_height)
            line, line_step, lines = (n * out_height + p + first * p_step) * row, p_step * row, end - first
            r += first * r_step
            pixel = (n * height + h) * width
            if pairs:
                # column (w + pad_left - s) / 2, where it is whole, in the order of rising columns
                odd = (pad_left - taps_w + 1) % 2
                sources = (line, line_step, lines, out_width, (pad_left - odd - taps_w + 1) // 2, 1, 1, 2)
                taps = ((r * taps_w + taps_w - 1) * channels, r_step * taps_w * channels, -channels, taps_w)
                targets = (pixel * channels, channels, -odd, width)
                _convolve(channels, accumulate, gradients, sources, weights, taps, out, targets)
                continue
            for w in range(min(stride_w, width)):  # pixels this far apart have the same taps
                s, s_step, columns, q, q_step = _origins(w + pad_left, stride_w, dilation_w, taps_w)
                sources = (line, line_step, lines, out_width, q, 1, q_step, 1)
                taps = ((r * taps_w + s) * channels, r_step * taps_w * channels, s_step * channels, columns)
                targets = ((pixel + w) * channels, stride_w * channels, 0, (width - w - 1) // stride_w + 1)
                _convolve(channels, accumulate, gradients, sources, weights, taps, out, targets)


@kernel
def depthwise_conv2d_backward_filter(
    x, dy, dkernel, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, accumulate
):
    """Gradient of depthwise_conv2d_forward in kernel.  x: (N, H, W, C), dy: (N, P, Q, C), dkernel: (R, S, C, 1)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    taps_h, taps_w = dkernel.shape[:2]
    out_height, out_width = dy.shape[1], dy.shape[2]
    pixels = view(x, 0, (x.size,), x.dtype)
    gradients = view(dy, 0, (dy.size,), dy.dtype)
    out = view(dkernel, 0, (dkernel.size,), dkernel.dtype)
    if not accumulate:
        out[:] = 0
    row = width * channels
    taps = (0, taps_w * channels, channels, taps_w)
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            first, end = taps_inside(top, dilation_h, taps_h, height)
            sources = ((n * height + top) * row, dilation_h * row, taps_h, width, -pad_left, stride_w, dilation_w)
            others = ((n * out_height + p) * out_width * channels, channels, out_width)
            _filter_gradient(channels, pixels, sources, first, end, gradients, others, out, taps)
