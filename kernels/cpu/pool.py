"""Pooling, NHWC: windows are clipped to the image, channels are innermost.

``argmax`` says which tap of a window won.  It may be of any integer type that holds the number of taps: none is -1,
which is the largest number of an unsigned type.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from .runtime.arrays import view
from .runtime.jit import kernel, kernel_attributes, scalar


@scalar
def _inside(start, window, size):
    """Range of t in [0, window) with 0 <= start + t < size."""
    return max(0, -start), min(window, size - start)


@scalar
def _clear(x):
    flat = view(x, 0, (x.size,), x.dtype)
    for i in range(x.size):
        flat[i] = 0


@kernel
def max_pool2d_forward(x, y, argmax, window_h, window_w, stride_h, stride_w, pad_top, pad_left):
    """Maximum of each window.  x: (N, H, W, C), y, argmax: (N, P, Q, C)

    ``argmax`` is r * window_w + s of the tap (r, s) that won: the first maximum, or the first NaN.  Padding never wins;
    a window of nothing but padding gives -inf and -1.
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    for n in range(samples):
        for p in range(y.shape[1]):
            top = p * stride_h - pad_top
            r_first, r_end = _inside(top, window_h, height)
            for q in range(y.shape[2]):
                left = q * stride_w - pad_left
                s_first, s_end = _inside(left, window_w, width)
                for c in range(channels):
                    y[n, p, q, c] = -np.inf
                    argmax[n, p, q, c] = -1
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        tap = argmax.dtype.type(r * window_w + s)
                        first = r == r_first and s == s_first
                        for c in range(channels):
                            value = x[n, top + r, left + s, c]
                            best = y[n, p, q, c]
                            # "not <=" holds for a NaN in either: a NaN wins, and best == best keeps the first one
                            wins = first or (not value <= best and best == best)
                            y[n, p, q, c] = value if wins else best
                            argmax[n, p, q, c] = tap if wins else argmax[n, p, q, c]


@kernel
def max_pool2d_backward(dy, argmax, dx, window_h, window_w, stride_h, stride_w, pad_top, pad_left, accumulate):
    """Gradient of max_pool2d_forward: all of it to the winner.  dy, argmax: (N, P, Q, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    zero = dy.dtype.type(0)
    if not accumulate:
        _clear(dx)
    for n in range(samples):
        for p in range(dy.shape[1]):
            top = p * stride_h - pad_top
            r_first, r_end = _inside(top, window_h, height)
            for q in range(dy.shape[2]):
                left = q * stride_w - pad_left
                s_first, s_end = _inside(left, window_w, width)
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        tap = argmax.dtype.type(r * window_w + s)
                        for c in range(channels):
                            gradient = dy[n, p, q, c]  # loaded first: a select, not a branch that nobody predicts
                            dx[n, top + r, left + s, c] += gradient if argmax[n, p, q, c] == tap else zero


# ---- windows of 2 x 2, side by side: vectors of several channels, whatever their number


@intrinsic(prefer_literal=True)
def _step_forward(typingctx, x, source, right, below, y, argmax, target, lanes):
    """Maximum of ``lanes`` channels of one window; ``right`` and ``below`` lead from one of its pixels to the next.

    All arrays are flat.  x[source:] is the first pixel, y[target:] and argmax[target:] the result.
    """
    signature = types.void(x, source, right, below, y, argmax, target, lanes)

    def codegen(context, builder, signature, arguments):
        x, source, right, below, y, argmax, target, _ = arguments
        count = lanes.literal_value
        upper, lower = source, builder.add(source, below)
        taps = [upper, builder.add(upper, right), lower, builder.add(lower, right)]
        values = [_load(context, builder, signature.args[0], x, tap, count) for tap in taps]
        winner_type = ir.VectorType(ir.IntType(signature.args[0].dtype.bitwidth), count)
        winners = [ir.Constant(winner_type, [tap] * count) for tap in range(4)]

        def better(first, second):
            # unordered or greater, and the first one no NaN: the first maximum wins, or the first NaN
            wins = builder.fcmp_unordered(">", values[second], values[first])
            wins = builder.and_(wins, builder.fcmp_ordered("ord", values[first], values[first]))
            values[first] = builder.select(wins, values[second], values[first])
            winners[first] = builder.select(wins, winners[second], winners[first])

        better(0, 1)
        better(2, 3)
        better(0, 2)
        _store(context, builder, signature.args[4], y, target, values[0])
        element = context.get_data_type(signature.args[5].dtype)
        narrow = builder.trunc(winners[0], ir.VectorType(element, count))
        _store(context, builder, signature.args[5], argmax, target, narrow)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def _step_backward(typingctx, dy, argmax, source, row, dx, target, right, lanes):
    """Gradient of ``lanes`` channels of both pixels in row 0 or 1 of a window.  All arrays are flat."""
    signature = types.void(dy, argmax, source, row, dx, target, right, lanes)

    def codegen(context, builder, signature, arguments):
        dy, argmax, source, row, dx, target, right, _ = arguments
        count = lanes.literal_value
        gradient = _load(context, builder, signature.args[0], dy, source, count)
        winner = _load(context, builder, signature.args[1], argmax, source, count)
        zero = ir.Constant(gradient.type, None)
        undefined = ir.Constant(winner.type, ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), count), None)
        first_tap = builder.trunc(builder.shl(row, row.type(1)), winner.type.element)
        for column in range(2):
            tap = builder.insert_element(undefined, builder.add(first_tap, first_tap.type(column)), ir.IntType(32)(0))
            tap = builder.shuffle_vector(tap, undefined, everywhere)
            value = builder.select(builder.icmp_unsigned("==", winner, tap), gradient, zero)
            _store(context, builder, signature.args[4], dx, target, value)
            target = builder.add(target, right)
        return context.get_dummy_value()

    return signature, codegen


def _pointer(context, builder, array_type, array, index, vector):
    data = make_array(array_type)(context, builder, array).data
    element = context.get_data_type(array_type.dtype)
    return builder.bitcast(builder.gep(data, [index], source_etype=element), vector.as_pointer())


def _load(context, builder, array_type, array, index, lanes):
    vector = ir.VectorType(context.get_data_type(array_type.dtype), lanes)
    pointer = _pointer(context, builder, array_type, array, index, vector)
    return builder.load(pointer, typ=vector, align=array_type.dtype.bitwidth // 8)


def _store(context, builder, array_type, array, index, value):
    pointer = _pointer(context, builder, array_type, array, index, value.type)
    builder.store(value, pointer, align=array_type.dtype.bitwidth // 8)


# Pixels are written in the order of memory.  A vector that is wider than a pixel runs over into what is written next;
# in a line of pixels near the end of an array, single elements take its place.


@scalar
def _line_forward(x, source, below, y, argmax, target, columns, channels, lanes):
    for q in range(columns):
        first, out = source + 2 * q * channels, target + q * channels
        if lanes == 4:
            _step_forward(x, first, channels, below, y, argmax, out, 4)
        elif lanes == 8:
            _step_forward(x, first, channels, below, y, argmax, out, 8)
        elif lanes == 16:
            for c in range(0, channels - 16, 16):
                _step_forward(x, first + c, channels, below, y, argmax, out + c, 16)
            c = max(0, channels - 16)
            _step_forward(x, first + c, channels, below, y, argmax, out + c, 16)
        else:
            for c in range(channels):
                _step_forward(x, first + c, channels, below, y, argmax, out + c, 1)


@scalar
def _line_backward(dy, argmax, source, row, dx, target, columns, channels, lanes):
    for q in range(columns):
        first, out = source + q * channels, target + 2 * q * channels
        if lanes == 4:
            _step_backward(dy, argmax, first, row, dx, out, channels, 4)
        elif lanes == 8:
            _step_backward(dy, argmax, first, row, dx, out, channels, 8)
        elif lanes == 16:
            for c in range(0, channels - 16, 16):
                _step_backward(dy, argmax, first + c, row, dx, out + c, channels, 16)
            c = max(0, channels - 16)
            _step_backward(dy, argmax, first + c, row, dx, out + c, channels, 16)
        else:
            for c in range(channels):
                _step_backward(dy, argmax, first + c, row, dx, out + c, channels, 1)


@scalar
def _lanes(channels):
    return 4 if channels <= 4 else (8 if channels <= 8 else 16)


@kernel
def max_pool2d_2x2_forward(x, y, argmax):
    """max_pool2d_forward with windows and strides of 2 x 2.  x: (N, H, W, C), y, argmax: (N, H // 2, W // 2, C)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    rows, columns = y.shape[1], y.shape[2]
    x = x.reshape(-1)
    y = y.reshape(-1)
    argmax = argmax.reshape(-1)
    below = width * channels
    for n in range(samples):
        for p in range(rows):
            source = (n * height + 2 * p) * below
            target = (n * rows + p) * columns * channels
            lanes = _lanes(channels) if target + columns * channels + 16 <= y.size else 1
            _line_forward(x, source, below, y, argmax, target, columns, channels, lanes)


@kernel
def max_pool2d_2x2_backward(dy, argmax, dx):
    """Gradient of max_pool2d_2x2_forward; every pixel is written once.  dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    rows, columns = dy.shape[1], dy.shape[2]
    dy = dy.reshape(-1)
    argmax = argmax.reshape(-1)
    dx = dx.reshape(-1)
    for n in range(samples):
        for h in range(height):
            target = (n * height + h) * width * channels
            rest = target
            if h < 2 * rows:
                source = (n * rows + h // 2) * columns * channels
                row = h % 2
                rest += 2 * columns * channels
                inside = source + columns * channels + 16 <= dy.size and rest + 16 <= dx.size
                lanes = _lanes(channels) if inside else 1
                _line_backward(dy, argmax, source, row, dx, target, columns, channels, lanes)
            # pixels that are in no window
            for i in range(rest, target + width * channels):
                dx[i] = 0


@kernel
def average_pool2d_forward(x, y, window_h, window_w, stride_h, stride_w, pad_top, pad_left):
    """Mean of the part of each window that is inside the image.  x: (N, H, W, C), y: (N, P, Q, C)

    Padding is not counted; a window of nothing but padding gives 0.
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    one = x.dtype.type(1)
    for n in range(samples):
        for p in range(y.shape[1]):
            top = p * stride_h - pad_top
            r_first, r_end = _inside(top, window_h, height)
            for q in range(y.shape[2]):
                left = q * stride_w - pad_left
                s_first, s_end = _inside(left, window_w, width)
                share = one / x.dtype.type(max(1, (r_end - r_first) * (s_end - s_first)))
                for c in range(channels):
                    y[n, p, q, c] = 0
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        for c in range(channels):
                            y[n, p, q, c] += x[n, top + r, left + s, c]
                for c in range(channels):
                    y[n, p, q, c] *= share


@kernel
def average_pool2d_backward(dy, dx, window_h, window_w, stride_h, stride_w, pad_top, pad_left, accumulate):
    """Gradient of average_pool2d_forward.  dy: (N, P, Q, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    one = dy.dtype.type(1)
    if not accumulate:
        _clear(dx)
    for n in range(samples):
        for p in range(dy.shape[1]):
            top = p * stride_h - pad_top
            r_first, r_end = _inside(top, window_h, height)
            for q in range(dy.shape[2]):
                left = q * stride_w - pad_left
                s_first, s_end = _inside(left, window_w, width)
                share = one / dy.dtype.type(max(1, (r_end - r_first) * (s_end - s_first)))
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        for c in range(channels):
                            dx[n, top + r, left + s, c] += dy[n, p, q, c] * share


@kernel
def global_average_pool2d_forward(x, y):
    """Mean over the image.  x: (N, H, W, C), y: (N, C)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    share = x.dtype.type(1) / x.dtype.type(height * width)
    for n in range(samples):
        for c in range(channels):
            y[n, c] = 0
        for h in range(height):
            for w in range(width):
                for c in range(channels):
                    y[n, c] += x[n, h, w, c]
        for c in range(channels):
            y[n, c] *= share


@kernel
def global_average_pool2d_backward(dy, dx, accumulate):
    """Gradient of global_average_pool2d_forward.  dy: (N, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    share = dy.dtype.type(1) / dy.dtype.type(height * width)
    if not accumulate:
        _clear(dx)
    for n in range(samples):
        for h in range(height):
            for w in range(width):
                for c in range(channels):
                    dx[n, h, w, c] += dy[n, c] * share


@kernel
def global_max_pool2d_forward(x, y, argmax):
    """Maximum over the image.  x: (N, H, W, C), y: (N, C), argmax: (N, C) int32, h * W + w of the winner

    The first maximum wins, or the first NaN.
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    for n in range(samples):
        for c in range(channels):
            y[n, c] = x[n, 0, 0, c]
            argmax[n, c] = 0
        for h in range(height):
            for w in range(width):
                position = np.int32(h * width + w)
                for c in range(channels):
                    value = x[n, h, w, c]
                    best = y[n, c]
                    wins = (not value <= best) & (best == best)
                    winner = argmax[n, c]
                    y[n, c] = value if wins else best
                    argmax[n, c] = position if wins else winner


@kernel
def global_max_pool2d_backward(dy, argmax, dx, accumulate):
    """Gradient of global_max_pool2d_forward: all of it to the winner.  dy, argmax: (N, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, _, width, channels = dx.shape
    if not accumulate:
        _clear(dx)
    for n in range(samples):
        for c in range(channels):
            dx[n, argmax[n, c] // width, argmax[n, c] % width, c] += dy[n, c]
