"""2-D convolution, NHWC: direct loops around one small matrix product whose accumulators stay in registers.

Where the taps of a filter row touch neighbouring memory (no groups, no horizontal dilation) the row is one *run* of
``taps * depth`` numbers, both in the image and in the kernel; otherwise a run is the ``depth`` channels of one tap.
A *span* is a number of neighbouring output pixels that see no padding, or one pixel that does: its taps are clipped
from the run once, so the inner loops have no branch.  The factor that supplies the vector lanes is copied to a block
in stack memory, padded to 16 lanes, so that few filters vectorise as well as many.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from .memory import view
from .runtime.jit import kernel, kernel_attributes, scalar

_LANES = 16  # columns of a block in stack memory: one AVX-512 vector of float32
_ROWS = 256  # rows of such a block; 16 kB in float32


@intrinsic
def _stack_block(typingctx, like):
    """Uninitialised (_ROWS, _LANES) array of the dtype of ``like``, in the stack frame of the kernel that calls it."""
    array_type = types.Array(like.dtype, 2, "C")

    def codegen(context, builder, signature, arguments):
        with builder.goto_entry_block():  # not cgutils.alloca_once, whose zero fill LLVM takes seconds to digest
            storage = builder.alloca(ir.ArrayType(context.get_data_type(like.dtype), _ROWS * _LANES))
        storage.align = 64
        itemsize = like.dtype.bitwidth // 8
        result = make_array(array_type)(context, builder)
        populate_array(
            result,
            data=builder.bitcast(storage, result.data.type),
            shape=[context.get_constant(types.intp, size) for size in (_ROWS, _LANES)],
            strides=[context.get_constant(types.intp, size) for size in (_LANES * itemsize, itemsize)],
            itemsize=context.get_constant(types.intp, itemsize),
            meminfo=None,
        )
        return result._getvalue()

    return array_type(like), codegen


@intrinsic(prefer_literal=True)
def _multiply_add_tile(typingctx, rows, a, start, row_step, column_step, b, b_row, count, c, c_row):
    """``_multiply_add`` for a literal number of rows: one vector register per row of c."""
    signature = types.void(rows, a, *[types.intp] * 3, b, *[types.intp] * 2, c, types.intp)
    element_type = a.dtype

    def codegen(context, builder, signature, arguments):
        _, a_value, start, row_step, column_step, b_value, b_row, count, c_value, c_row = arguments
        element = context.get_data_type(element_type)
        vector = ir.VectorType(element, _LANES)
        align = element_type.bitwidth // 8
        first_lane = ir.Constant(ir.IntType(32), 0)
        to_all_lanes = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
        zero, one, lanes = (ir.Constant(ir.IntType(64), value) for value in (0, 1, _LANES))
        a_data, b_data, c_data = (
            make_array(array_type)(context, builder, value).data
            for array_type, value in ((a, a_value), (b, b_value), (c, c_value))
        )

        def block_row(data, row):
            pointer = builder.gep(data, [builder.mul(row, lanes)], source_etype=element)
            return builder.bitcast(pointer, vector.as_pointer())

        row_numbers = [ir.Constant(ir.IntType(64), i) for i in range(rows.literal_value)]
        c_pointers = [block_row(c_data, builder.add(c_row, i)) for i in row_numbers]
        a_starts = [builder.add(start, builder.mul(i, row_step)) for i in row_numbers]
        sums = [cgutils.alloca_once(builder, vector) for _ in row_numbers]  # registers, after LLVM's mem2reg
        for total, pointer in zip(sums, c_pointers, strict=True):
            builder.store(builder.load(pointer, typ=vector, align=align), total)
        with cgutils.for_range_slice(builder, zero, count, one) as (j, _):
            b_vector = builder.load(block_row(b_data, builder.add(b_row, j)), typ=vector, align=align)
            for total, a_start in zip(sums, a_starts, strict=True):
                index = builder.add(a_start, builder.mul(j, column_step))
                value = builder.load(builder.gep(a_data, [index], source_etype=element), typ=element)
                single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, first_lane)
                a_vector = builder.shuffle_vector(single, single, to_all_lanes)
                product = builder.fmul(a_vector, b_vector, flags=["contract"])
                builder.store(builder.fadd(builder.load(total, typ=vector), product, flags=["contract"]), total)
        for total, pointer in zip(sums, c_pointers, strict=True):
            builder.store(builder.load(total, typ=vector), pointer, align=align)
        return context.get_dummy_value()

    return signature, codegen


@kernel
def _multiply_add(rows, a, start, row_step, column_step, b, b_row, count, c, c_row):
    """c[c_row + i] += sum over j < count of a[start + i * row_step + j * column_step] * b[b_row + j], for i < rows."""
    kernel_attributes()
    i = 0
    while i + 8 <= rows:
        _multiply_add_tile(8, a, start + i * row_step, row_step, column_step, b, b_row, count, c, c_row + i)
        i += 8
    while i + 3 <= rows:
        _multiply_add_tile(3, a, start + i * row_step, row_step, column_step, b, b_row, count, c, c_row + i)
        i += 3
    while i < rows:
        _multiply_add_tile(1, a, start + i * row_step, row_step, column_step, b, b_row, count, c, c_row + i)
        i += 1


@kernel
def _clear(block, rows):
    kernel_attributes()
    for i in range(rows):
        for k in range(block.shape[1]):
            block[i, k] = 0


@scalar
def _inside(start, dilation, taps, size):
    """Range of t in [0, taps) with 0 <= start + t * dilation < size."""
    first = max(0, -(start // dilation))
    end = min(taps, -((start - size) // dilation))
    return first, end


@scalar
def _span(position, positions, start, stride, extent, size):
    """How many outputs from ``position`` on see no padding, at most _ROWS; or 1, for one that does."""
    if start < 0 or start + extent > size:
        return 1
    return min(_ROWS, positions - position, (size - extent - start) // stride + 1)


@kernel
def conv2d_forward(x, kernel, y, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups):
    """Cross-correlation.  x: (N, H, W, C), kernel: (R, S, C / groups, K), y: (N, P, Q, K)

    y[n, p, q, k] = sum over r, s, c of
    x[n, p * stride_h - pad_top + r * dilation_h, q * stride_w - pad_left + s * dilation_w, c] * kernel[r, s, c, k],
    zero outside the image.
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    taps_h, taps_w, depth, filters = kernel.shape
    out_height, out_width = y.shape[1], y.shape[2]
    group_filters, row_length = filters // groups, taps_w * depth
    merged = groups == 1 and dilation_w == 1
    extent = (taps_w - 1) * dilation_w + 1
    pixels = view(x, 0, (x.size,), x.dtype)
    weights = view(kernel, 0, (taps_h, row_length, filters), kernel.dtype)
    block_h, block_j = max(1, _ROWS // row_length), min(row_length, _ROWS)  # several filter rows, or a part of one
    packed, sums = _stack_block(x), _stack_block(x)
    _clear(packed, _ROWS)
    for n in range(samples):
        for p in range(out_height):
            for q in range(out_width):
                for k in range(filters):
                    y[n, p, q, k] = 0
    for g in range(groups):
        for k_first in range(g * group_filters, (g + 1) * group_filters, _LANES):
            columns = min(_LANES, (g + 1) * group_filters - k_first)
            for r_block in range(0, taps_h, block_h):
                r_block_end = min(taps_h, r_block + block_h)
                for j_first in range(0, row_length, block_j):
                    j_end = min(row_length, j_first + block_j)
                    for r in range(r_block, r_block_end):
                        for j in range(j_first, j_end):
                            for k in range(columns):
                                packed[(r - r_block) * row_length + j - j_first, k] = weights[r, j, k_first + k]
                    for n in range(samples):
                        for p in range(out_height):
                            top = p * stride_h - pad_top
                            r_first, r_end = _inside(top, dilation_h, taps_h, height)
                            q = 0
                            while q < out_width:
                                left = q * stride_w - pad_left
                                s_first, s_end = _inside(left, dilation_w, taps_w, width)
                                span = _span(q, out_width, left, stride_w, extent, width)
                                run = max(1, s_end - s_first) if merged else 1
                                _clear(sums, span)
                                for r in range(max(r_first, r_block), min(r_end, r_block_end)):
                                    row = ((n * height + top + r * dilation_h) * width + left) * channels + g * depth
                                    for s in range(s_first, s_end, run):
                                        first, end = max(j_first, s * depth), min(j_end, (s + run) * depth)
                                        _multiply_add(
                                            span,
                                            pixels,
                                            row + s * (dilation_w * channels - depth) + first,
                                            stride_w * channels,
                                            1,
                                            packed,
                                            (r - r_block) * row_length + first - j_first,
                                            end - first,
                                            sums,
                                            0,
                                        )
                                for i in range(span):
                                    for k in range(columns):
                                        y[n, p, q + i, k_first + k] += sums[i, k]
                                q += span


@kernel
def conv2d_backward_data(
    dy, kernel, dx, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups, accumulate
):
    """Gradient of conv2d_forward in x.  dy: (N, P, Q, K), kernel: (R, S, C / groups, K), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    taps_h, taps_w, depth, filters = kernel.shape
    out_height, out_width = dy.shape[1], dy.shape[2]
    group_filters = filters // groups
    run = taps_w if groups == 1 and dilation_w == 1 else 1
    extent = (taps_w - 1) * dilation_w + 1
    gradients = view(dy, 0, (dy.size,), dy.dtype)
    weights = view(kernel, 0, (taps_h, taps_w * depth, filters), kernel.dtype)
    image_rows = view(dx, 0, (samples, height, width * channels), dx.dtype)
    packed, sums = _stack_block(dy), _stack_block(dy)
    _clear(packed, _ROWS)
    if not accumulate:
        for n in range(samples):
            for h in range(height):
                for j in range(width * channels):
                    image_rows[n, h, j] = 0
    for r in range(taps_h):
        for s in range(0, taps_w, run):
            for g in range(groups):
                for j_first in range(s * depth, (s + run) * depth, _LANES):
                    j_end = min(j_first + _LANES, (s + run) * depth)
                    for k_first in range(g * group_filters, (g + 1) * group_filters, _ROWS):
                        count = min(_ROWS, (g + 1) * group_filters - k_first)
                        for k in range(count):
                            for j in range(j_end - j_first):
                                packed[k, j] = weights[r, j_first + j, k_first + k]
                        for n in range(samples):
                            for p in range(out_height):
                                h = p * stride_h - pad_top + r * dilation_h
                                if h < 0 or h >= height:
                                    continue
                                q = 0
                                while q < out_width:
                                    left = q * stride_w - pad_left
                                    s_first, s_end = _inside(left, dilation_w, taps_w, width)
                                    span = _span(q, out_width, left, stride_w, extent, width)
                                    first, end = max(j_first, s_first * depth), min(j_end, s_end * depth)
                                    if first < end:
                                        _clear(sums, span)
                                        row = ((n * out_height + p) * out_width + q) * filters + k_first
                                        _multiply_add(span, gradients, row, filters, 1, packed, 0, count, sums, 0)
                                        start = (left + s * dilation_w) * channels + g * depth + first - s * depth
                                        for i in range(span):
                                            for j in range(end - first):
                                                image_rows[n, h, np.uintp(start + j)] += sums[i, first - j_first + j]
                                            start += stride_w * channels
                                    q += span


@kernel
def conv2d_backward_filter(
    x, dy, dkernel, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups, accumulate
):
    """Gradient of conv2d_forward in kernel.  x: (N, H, W, C), dy: (N, P, Q, K), dkernel: (R, S, C / groups, K)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    taps_h, taps_w, depth, filters = dkernel.shape
    out_height, out_width = dy.shape[1], dy.shape[2]
    group_filters, row_length = filters // groups, taps_w * depth
    merged = groups == 1 and dilation_w == 1
    extent = (taps_w - 1) * dilation_w + 1
    pixels = view(x, 0, (x.size,), x.dtype)
    out = view(dkernel, 0, (taps_h, row_length, filters), dkernel.dtype)
    block_h, block_j = max(1, _ROWS // row_length), min(row_length, _ROWS)
    packed, sums = _stack_block(x), _stack_block(x)
    _clear(packed, _ROWS)
    for g in range(groups):
        for k_first in range(g * group_filters, (g + 1) * group_filters, _LANES):
            columns = min(_LANES, (g + 1) * group_filters - k_first)
            for r_block in range(0, taps_h, block_h):
                r_block_end = min(taps_h, r_block + block_h)
                for j_first in range(0, row_length, block_j):
                    j_end = min(row_length, j_first + block_j)
                    _clear(sums, _ROWS)
                    for n in range(samples):
                        for p in range(out_height):
                            top = p * stride_h - pad_top
                            r_first, r_end = _inside(top, dilation_h, taps_h, height)
                            q = 0
                            while q < out_width:
                                left = q * stride_w - pad_left
                                s_first, s_end = _inside(left, dilation_w, taps_w, width)
                                span = _span(q, out_width, left, stride_w, extent, width)
                                run = max(1, s_end - s_first) if merged else 1
                                for i in range(span):
                                    for k in range(columns):
                                        packed[i, k] = dy[n, p, q + i, k_first + k]
                                for r in range(max(r_first, r_block), min(r_end, r_block_end)):
                                    row = ((n * height + top + r * dilation_h) * width + left) * channels + g * depth
                                    for s in range(s_first, s_end, run):
                                        first, end = max(j_first, s * depth), min(j_end, (s + run) * depth)
                                        _multiply_add(
                                            end - first,
                                            pixels,
                                            row + s * (dilation_w * channels - depth) + first,
                                            1,
                                            stride_w * channels,
                                            packed,
                                            0,
                                            span,
                                            sums,
                                            (r - r_block) * row_length + first - j_first,
                                        )
                                q += span
                    for r in range(r_block, r_block_end):
                        for j in range(j_first, j_end):
                            for k in range(columns):
                                total = sums[(r - r_block) * row_length + j - j_first, k]
                                if accumulate:
                                    total += out[r, j, k_first + k]
                                out[r, j, k_first + k] = total
