"""Depthwise convolution, NHWC: every channel is convolved by itself, so vectors run along the channels.

The taps that meet the image at one pixel are a rectangle, ``rows * columns`` of them at regular distances; so are,
going backward, the outputs that a pixel of the image went into.  A *span* is a number of pixels at regular distances
with the same rectangle.  Tiles keep the sums of _LANES channels in registers.  Channels beyond the last whole vector,
and all of them where a channel has several filters, take plain loops.
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ._jit import kernel, kernel_attributes, scalar
from .memory import view

_INT = ir.IntType(64)
_LANES = 16  # one AVX-512 vector of float32; LLVM splits it where vectors are shorter


class _Vectors:
    """Emits a tile's loops, and loads and stores of its vectors."""

    def __init__(self, builder, element):
        self.builder, self.element = builder, element
        self.vector = ir.VectorType(element, _LANES)
        self.nothing = ir.Constant(self.vector, [element(0.0)] * _LANES)

    def _pointer(self, data, index):
        pointer = self.builder.gep(data, [index], source_etype=self.element)
        return self.builder.bitcast(pointer, self.vector.as_pointer())

    def load(self, data, index):
        align = 4 if isinstance(self.element, ir.FloatType) else 8
        return self.builder.load(self._pointer(data, index), typ=self.vector, align=align)

    def store(self, value, data, index):
        align = 4 if isinstance(self.element, ir.FloatType) else 8
        self.builder.store(value, self._pointer(data, index), align=align)

    def multiply_add(self, a, b, c):
        return self.builder.fadd(self.builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])

    def loop(self, count):
        """Context of the numbers below ``count``."""
        return cgutils.for_range_slice(self.builder, _INT(0), count, _INT(1))

    def at(self, start, *terms):
        """The index start + the sum of products."""
        for number, step in terms:
            factor = _INT(number) if isinstance(number, int) else number
            start = self.builder.add(start, self.builder.mul(factor, step))
        return start

    def rectangle(self, start, row, column, rows, columns):
        """The indices of all places in a rectangle."""
        return [self.at(start, (r, row), (c, column)) for r in range(rows) for c in range(columns)]

    def registers(self, count):
        """Variables for vectors, which LLVM keeps in registers."""
        return [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]

    def get(self, register):
        return self.builder.load(register, typ=self.vector)


def _call_tile(name, emit, context, builder, signature, arguments):
    """Emit a call of a function of its own with the body ``emit(vectors, *values)``.

    Arrays become pointers, tuples their elements; literals are constants of the body and no arguments.  Inlined, the
    tiles would have too few registers left.
    """
    values, constants = [], []
    for kind, value in zip(signature.args, arguments, strict=True):
        if isinstance(kind, types.Literal):
            constants.append(kind.literal_value)
        elif isinstance(kind, types.Array):
            element = context.get_data_type(kind.dtype)
            values.append(make_array(kind)(context, builder, value).data)
        elif isinstance(kind, types.UniTuple):
            values += cgutils.unpack_tuple(builder, value)
        else:
            values.append(value)
    symbol = "_".join(["depthwise", name, str(element), *map(str, constants)])
    function = builder.module.globals.get(symbol)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [v.type for v in values]), symbol)
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("nounwind")
        set.add(function.attributes, '"prefer-vector-width"="512"')
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        emit(_Vectors(inner, element), *constants, *function.args)
        inner.ret_void()
    builder.call(function, values)
    return context.get_dummy_value()


_PLACES = types.UniTuple(types.intp, 4)


def _emit_weigh(
    vectors, pixels, add, blocks, rows, columns, source, source_first, source_row, source_column, source_pixel,
    weights, tap_first, tap_row, tap_column, _, target, target_first, target_pixel,
):  # fmt: skip
    builder = vectors.builder
    totals = vectors.registers(pixels)
    distances = [vectors.at(_INT(0), (i, source_pixel)) for i in range(pixels)]
    with vectors.loop(blocks) as (block, _):
        channel = builder.mul(block, _INT(_LANES))
        places = [vectors.at(target_first, (1, channel), (i, target_pixel)) for i in range(pixels)]
        for total in totals:
            builder.store(vectors.nothing, total)
        with builder.if_then(add):
            for total, place in zip(totals, places, strict=True):
                builder.store(vectors.load(target, place), total)
        with vectors.loop(rows) as (r, _), vectors.loop(columns) as (c, _):
            factor = vectors.load(weights, vectors.at(tap_first, (r, tap_row), (c, tap_column), (1, channel)))
            start = vectors.at(source_first, (r, source_row), (c, source_column), (1, channel))
            for total, distance in zip(totals, distances, strict=True):
                value = vectors.load(source, builder.add(start, distance))
                builder.store(vectors.multiply_add(value, factor, vectors.get(total)), total)
        for total, place in zip(totals, places, strict=True):
            vectors.store(vectors.get(total), target, place)


@intrinsic(prefer_literal=True)
def _weigh_tile(typingctx, pixels, add, blocks, rows, columns, source, sources, weights, taps, target, targets):
    """``_weigh_plain`` for a literal number of pixels, and whole vectors of channels."""
    signature = types.void(pixels, types.boolean, *[types.intp] * 3, source, _PLACES, weights, _PLACES, target, targets)
    return signature, functools.partial(_call_tile, "weigh", _emit_weigh)


def _emit_weigh_3x3(
    vectors, together, add, blocks, groups, source, source_first, source_row, source_column, source_pixel,
    weights, tap_first, tap_row, tap_column, _, target, target_first, target_pixel,
):  # fmt: skip
    builder = vectors.builder
    totals = vectors.registers(together)
    with vectors.loop(blocks) as (block, _):
        channel = builder.mul(block, _INT(_LANES))
        taps = vectors.rectangle(builder.add(tap_first, channel), tap_row, tap_column, 3, 3)
        factors = [vectors.load(weights, tap) for tap in taps]
        columns = 2 + together
        starts = vectors.rectangle(builder.add(source_first, channel), source_row, source_column, 3, columns)
        with vectors.loop(groups) as (group, _):
            pixel = builder.mul(group, _INT(together))
            first = vectors.at(target_first, (1, channel), (pixel, target_pixel))
            places = [vectors.at(first, (i, target_pixel)) for i in range(together)]
            for total in totals:
                builder.store(vectors.nothing, total)
            with builder.if_then(add):
                for total, place in zip(totals, places, strict=True):
                    builder.store(vectors.load(target, place), total)
            for r in range(3):
                row = [
                    vectors.load(source, vectors.at(start, (pixel, source_pixel)))
                    for start in starts[r * columns : (r + 1) * columns]
                ]
                for c in range(3):
                    for i, total in enumerate(totals):
                        value = vectors.multiply_add(row[c + i], factors[3 * r + c], vectors.get(total))
                        builder.store(value, total)
            for total, place in zip(totals, places, strict=True):
                vectors.store(vectors.get(total), target, place)


@intrinsic(prefer_literal=True)
def _weigh_3x3_tile(typingctx, together, add, blocks, groups, source, sources, weights, taps, target, targets):
    """``_weigh_plain`` for a rectangle of 3 x 3, whose weights stay in registers, and whole vectors of channels.

    together: a literal; so many pixels share what they read, if they are as far apart as the columns.
    groups: of so many pixels.
    """
    signature = types.void(
        together, types.boolean, *[types.intp] * 2, source, _PLACES, weights, _PLACES, target, targets
    )  # fmt: skip
    return signature, functools.partial(_call_tile, "weigh_3x3", _emit_weigh_3x3)


def _emit_correlate(
    vectors, rows, columns, together, blocks, groups, source, source_first, source_row, source_column, source_pixel,
    other, other_first, other_pixel, sums, tap_first, tap_row, tap_column, _,
):  # fmt: skip
    builder = vectors.builder
    totals = vectors.registers(rows * columns)
    with vectors.loop(blocks) as (block, _):
        channel = builder.mul(block, _INT(_LANES))
        taps = vectors.rectangle(builder.add(tap_first, channel), tap_row, tap_column, rows, columns)
        for total, tap in zip(totals, taps, strict=True):
            builder.store(vectors.load(sums, tap), total)
        wide = columns + together - 1
        starts = vectors.rectangle(builder.add(source_first, channel), source_row, source_column, rows, wide)
        with vectors.loop(groups) as (group, _):
            pixel = builder.mul(group, _INT(together))
            first = vectors.at(other_first, (1, channel), (pixel, other_pixel))
            factors = [vectors.load(other, vectors.at(first, (i, other_pixel))) for i in range(together)]
            for r in range(rows):
                row = [
                    vectors.load(source, vectors.at(start, (pixel, source_pixel)))
                    for start in starts[r * wide : (r + 1) * wide]
                ]
                for i, factor in enumerate(factors):
                    for c in range(columns):
                        total = totals[r * columns + c]
                        builder.store(vectors.multiply_add(row[c + i], factor, vectors.get(total)), total)
        for total, tap in zip(totals, taps, strict=True):
            vectors.store(vectors.get(total), sums, tap)


@intrinsic(prefer_literal=True)
def _correlate_tile(
    typingctx, rows, columns, together, blocks, groups, source, sources, other, others, sums, taps
):
    """``_correlate_plain`` for literal numbers of rows and columns and whole vectors of channels.

    together, groups: as in ``_weigh_3x3_tile``.
    """
    signature = types.void(
        rows, columns, together, *[types.intp] * 2, source, _PLACES, other, others, sums, _PLACES
    )  # fmt: skip
    return signature, functools.partial(_call_tile, "correlate", _emit_correlate)


@scalar
def _weigh_plain(
    first, channels, multiplier, spread, add, rows, columns, pixels, source, sources, weights, taps, target, targets
):
    """target[pixel, channel] (+)= the sum over the rectangle of source * weight, for channels from ``first`` on.

    sources, taps, targets: where element 0 lies, and the distances of rows, columns and pixels.
    multiplier: filters per channel; with ``spread`` the target has them, without the source.
    """
    for i in range(pixels):
        into = targets[0] + i * targets[1]
        if not add:
            for k in range(first, channels * multiplier if spread else channels):
                target[into + k] = 0
        for k in range(first, channels * multiplier):
            to, of = (k, k // multiplier) if spread else (k // multiplier, k)
            total = target[into + to]
            for r in range(rows):
                for c in range(columns):
                    place = sources[0] + r * sources[1] + c * sources[2] + i * sources[3]
                    total += source[place + of] * weights[taps[0] + r * taps[1] + c * taps[2] + k]
            target[into + to] = total


@kernel
def _weigh(channels, multiplier, spread, add, rows, columns, pixels, source, sources, weights, taps, target, targets):
    """``_weigh_plain``, by tiles where there are whole vectors of channels."""
    kernel_attributes()
    blocks = channels // _LANES if multiplier == 1 else 0
    if blocks and rows == 3 and columns == 3:
        s_first, s_row, s_column, s_pixel = sources
        t_first, t_pixel = targets
        groups = pixels // 4 if s_column == s_pixel else 0
        _weigh_3x3_tile(4, add, blocks, groups, source, sources, weights, taps, target, targets)
        rest = (s_first + 4 * groups * s_pixel, s_row, s_column, s_pixel)
        into = (t_first + 4 * groups * t_pixel, t_pixel)
        _weigh_3x3_tile(1, add, blocks, pixels - 4 * groups, source, rest, weights, taps, target, into)
    elif blocks:
        start, row, column, pixel = sources
        into, out_pixel = targets
        i = 0
        while i < pixels:
            here = (start + i * pixel, row, column, pixel)
            there = (into + i * out_pixel, out_pixel)
            if i + 8 <= pixels:
                _weigh_tile(8, add, blocks, rows, columns, source, here, weights, taps, target, there)
                i += 8
            elif i + 4 <= pixels:
                _weigh_tile(4, add, blocks, rows, columns, source, here, weights, taps, target, there)
                i += 4
            elif i + 2 <= pixels:
                _weigh_tile(2, add, blocks, rows, columns, source, here, weights, taps, target, there)
                i += 2
            else:
                _weigh_tile(1, add, blocks, rows, columns, source, here, weights, taps, target, there)
                i += 1
    first = blocks * _LANES
    if first < channels:
        _weigh_plain(
            first, channels, multiplier, spread, add, rows, columns, pixels, source, sources, weights, taps, target,
            targets,
        )  # fmt: skip


@scalar
def _correlate_plain(
    first, channels, multiplier, rows, columns, pixels, source, sources, other, others, sums, taps
):
    """sums[tap, channel] += the sum over the pixels of source * other, for channels from ``first`` on."""
    for i in range(pixels):
        for r in range(rows):
            for c in range(columns):
                place = sources[0] + r * sources[1] + c * sources[2] + i * sources[3]
                tap = taps[0] + r * taps[1] + c * taps[2]
                for k in range(first, channels * multiplier):
                    sums[tap + k] += source[place + k // multiplier] * other[others[0] + i * others[1] + k]


@kernel
def _correlate(channels, multiplier, rows, columns, pixels, source, sources, other, others, sums, taps):
    """``_correlate_plain`` by tiles where it can be."""
    kernel_attributes()
    blocks = channels // _LANES if multiplier == 1 else 0
    s_first, s_row, s_column, s_pixel = sources
    if blocks and rows == 3 and columns == 3:
        o_first, o_pixel = others
        groups = pixels // 4 if s_column == s_pixel else 0
        _correlate_tile(3, 3, 4, blocks, groups, source, sources, other, others, sums, taps)
        rest = (s_first + 4 * groups * s_pixel, s_row, s_column, s_pixel)
        by = (o_first + 4 * groups * o_pixel, o_pixel)
        _correlate_tile(3, 3, 1, blocks, pixels - 4 * groups, source, rest, other, by, sums, taps)
    elif blocks:
        t_first, t_row, t_column, _ = taps
        for r in range(rows):
            c = 0
            while c < columns:
                here = (s_first + r * s_row + c * s_column, s_row, s_column, s_pixel)
                tap = (t_first + r * t_row + c * t_column, t_row, t_column, 0)
                if c + 3 <= columns:
                    _correlate_tile(1, 3, 1, blocks, pixels, source, here, other, others, sums, tap)
                    c += 3
                else:
                    _correlate_tile(1, 1, 1, blocks, pixels, source, here, other, others, sums, tap)
                    c += 1
    first = blocks * _LANES
    if first < channels:
        _correlate_plain(first, channels, multiplier, rows, columns, pixels, source, sources, other, others, sums, taps)


@scalar
def _inside(start, dilation, taps, size):
    """Range of t in [0, taps) with 0 <= start + t * dilation < size."""
    first = max(0, -(start // dilation))
    end = min(taps, -((start - size) // dilation))
    return first, max(first, end)


@scalar
def _span(position, positions, start, stride, extent, size):
    """How many outputs from ``position`` on see no padding; or 1, for one that does."""
    if start < 0 or start + extent > size:
        return 1
    return min(positions - position, (size - extent - start) // stride + 1)


@scalar
def _origins(position, stride, dilation, taps, outputs):
    """The outputs that a ``position`` of the padded image went into: (position - tap * dilation) / stride.

    Returns the last such tap, the (negative) distance to the one before, their number, the last tap's output, the
    distance to the next output, and for how many positions, ``stride`` apart, all this stays but for the output.
    """
    first, step, count, whole, output, last, output_step = 0, 0, 0, 0, 0, 0, 0
    for i in range(taps):
        tap = taps - 1 - i  # backwards, so that outputs follow each other as positions do
        distance = position - tap * dilation
        if distance % stride == 0:
            whole += 1
            last = distance // stride
            if 0 <= last < outputs:
                if count == 0:
                    first, output = tap, last
                elif count == 1:
                    step, output_step = tap - first, last - output
                count += 1
    if whole == 0:
        length = outputs + taps
    elif count == whole:  # no output is missing, until the largest leaves the range
        length = outputs - last
    else:
        length = 1
    return first, step, count, output, output_step, length


@scalar
def _clear(array):
    for i in range(array.size):
        array[i] = 0


@kernel
def depthwise_conv2d_forward(x, kernel, y, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w):
    """Depthwise cross-correlation.  x: (N, H, W, C), kernel: (R, S, C, M), y: (N, P, Q, C * M)

    y[n, p, q, c * M + m] = sum over r, s of
    x[n, p * stride_h - pad_top + r * dilation_h, q * stride_w - pad_left + s * dilation_w, c] * kernel[r, s, c, m],
    zero outside the image.
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    taps_h, taps_w, multiplier = kernel.shape[0], kernel.shape[1], kernel.shape[3]
    out_height, out_width, filters = y.shape[1], y.shape[2], y.shape[3]
    extent = (taps_w - 1) * dilation_w + 1
    pixels = view(x, 0, (x.size,), x.dtype)
    weights = view(kernel, 0, (kernel.size,), kernel.dtype)
    out = view(y, 0, (y.size,), y.dtype)
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            r_first, r_end = _inside(top, dilation_h, taps_h, height)
            q = 0
            while q < out_width:
                left = q * stride_w - pad_left
                s_first, s_end = _inside(left, dilation_w, taps_w, width)
                span = _span(q, out_width, left, stride_w, extent, width)
                start = (n * height + top + r_first * dilation_h) * width + left + s_first * dilation_w
                sources = (
                    start * channels, dilation_h * width * channels, dilation_w * channels, stride_w * channels
                )  # fmt: skip
                taps = ((r_first * taps_w + s_first) * filters, taps_w * filters, filters, 0)
                targets = (((n * out_height + p) * out_width + q) * filters, filters)
                _weigh(
                    channels, multiplier, True, False, r_end - r_first, s_end - s_first, span,
                    pixels, sources, weights, taps, out, targets,
                )  # fmt: skip
                q += span


@kernel
def depthwise_conv2d_backward_data(
    dy, kernel, dx, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, accumulate
):
    """Gradient of depthwise_conv2d_forward in x.  dy: (N, P, Q, C * M), kernel: (R, S, C, M), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    taps_h, taps_w, multiplier = kernel.shape[0], kernel.shape[1], kernel.shape[3]
    out_height, out_width, filters = dy.shape[1], dy.shape[2], dy.shape[3]
    gradients = view(dy, 0, (dy.size,), dy.dtype)
    weights = view(kernel, 0, (kernel.size,), kernel.dtype)
    out = view(dx, 0, (dx.size,), dx.dtype)
    for n in range(samples):
        for h in range(height):
            r, r_step, rows, p, p_step, _ = _origins(h + pad_top, stride_h, dilation_h, taps_h, out_height)
            for phase in range(min(stride_w, width)):
                w = phase
                while w < width:
                    s, s_step, columns, q, q_step, length = _origins(
                        w + pad_left, stride_w, dilation_w, taps_w, out_width
                    )
                    span = min(length, (width - w - 1) // stride_w + 1)
                    sources = (
                        ((n * out_height + p) * out_width + q) * filters, p_step * out_width * filters,
                        q_step * filters, filters,
                    )  # fmt: skip
                    taps = ((r * taps_w + s) * filters, r_step * taps_w * filters, s_step * filters, 0)
                    targets = (((n * height + h) * width + w) * channels, stride_w * channels)
                    _weigh(
                        channels, multiplier, False, accumulate, rows, columns, span,
                        gradients, sources, weights, taps, out, targets,
                    )  # fmt: skip
                    w += span * stride_w


@kernel
def depthwise_conv2d_backward_filter(
    x, dy, dkernel, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, accumulate
):
    """Gradient of depthwise_conv2d_forward in kernel.  x: (N, H, W, C), dy: (N, P, Q, C * M), dkernel: (R, S, C, M)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    taps_h, taps_w, multiplier = dkernel.shape[0], dkernel.shape[1], dkernel.shape[3]
    out_height, out_width, filters = dy.shape[1], dy.shape[2], dy.shape[3]
    extent = (taps_w - 1) * dilation_w + 1
    pixels = view(x, 0, (x.size,), x.dtype)
    gradients = view(dy, 0, (dy.size,), dy.dtype)
    out = view(dkernel, 0, (dkernel.size,), dkernel.dtype)
    if not accumulate:
        _clear(out)
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            r_first, r_end = _inside(top, dilation_h, taps_h, height)
            q = 0
            while q < out_width:
                left = q * stride_w - pad_left
                s_first, s_end = _inside(left, dilation_w, taps_w, width)
                span = _span(q, out_width, left, stride_w, extent, width)
                start = (n * height + top + r_first * dilation_h) * width + left + s_first * dilation_w
                sources = (
                    start * channels, dilation_h * width * channels, dilation_w * channels, stride_w * channels
                )  # fmt: skip
                taps = ((r_first * taps_w + s_first) * filters, taps_w * filters, filters, 0)
                others = (((n * out_height + p) * out_width + q) * filters, filters)
                _correlate(
                    channels, multiplier, r_end - r_first, s_end - s_first, span,
                    pixels, sources, gradients, others, out, taps,
                )  # fmt: skip
                q += span
