"""Matrix products of dense layers, and bias: blocked loops that LLVM vectorises along the last axis."""

from .rows import repeated, rows_together, scratch
from .runtime.jit import kernel, kernel_attributes


@kernel
def dense_forward(x, kernel, y):
    """y = x @ kernel.  x: (M, K), kernel: (K, N), y: (M, N)"""
    kernel_attributes()
    rows, depth = x.shape
    columns = kernel.shape[1]
    for m in range(rows):
        for n in range(columns):
            y[m, n] = 0
    # tiles of four rows and four steps of the sum: 16 multiply-adds for 8 loads and 4 stores
    whole_rows, whole_depth = rows - rows % 4, depth - depth % 4
    for m in range(0, whole_rows, 4):
        for k in range(0, whole_depth, 4):
            x00, x01, x02, x03 = x[m, k], x[m, k + 1], x[m, k + 2], x[m, k + 3]
            x10, x11, x12, x13 = x[m + 1, k], x[m + 1, k + 1], x[m + 1, k + 2], x[m + 1, k + 3]
            x20, x21, x22, x23 = x[m + 2, k], x[m + 2, k + 1], x[m + 2, k + 2], x[m + 2, k + 3]
            x30, x31, x32, x33 = x[m + 3, k], x[m + 3, k + 1], x[m + 3, k + 2], x[m + 3, k + 3]
            for n in range(columns):
                w0, w1, w2, w3 = kernel[k, n], kernel[k + 1, n], kernel[k + 2, n], kernel[k + 3, n]
                y[m, n] += x00 * w0 + x01 * w1 + x02 * w2 + x03 * w3
                y[m + 1, n] += x10 * w0 + x11 * w1 + x12 * w2 + x13 * w3
                y[m + 2, n] += x20 * w0 + x21 * w1 + x22 * w2 + x23 * w3
                y[m + 3, n] += x30 * w0 + x31 * w1 + x32 * w2 + x33 * w3
    for m in range(rows):
        for k in range(whole_depth if m < whole_rows else 0, depth):
            value = x[m, k]
            for n in range(columns):
                y[m, n] += value * kernel[k, n]


@kernel
def dense_backward_data(dy, kernel, dx, accumulate):
    """dx = dy @ kernel.T.  dy: (M, N), kernel: (K, N), dx: (M, K)"""
    kernel_attributes()
    rows, columns = dy.shape
    depth = kernel.shape[0]
    zero = dy.dtype.type(0)
    if not accumulate:
        for m in range(rows):
            for k in range(depth):
                dx[m, k] = 0
    # tiles of four by four dot products: 16 multiply-adds for 8 loads
    whole_rows, whole_depth = rows - rows % 4, depth - depth % 4
    for k in range(0, whole_depth, 4):
        for m in range(0, whole_rows, 4):
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = zero
            s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = zero
            for n in range(columns):
                g0, g1, g2, g3 = dy[m, n], dy[m + 1, n], dy[m + 2, n], dy[m + 3, n]
                w0, w1, w2, w3 = kernel[k, n], kernel[k + 1, n], kernel[k + 2, n], kernel[k + 3, n]
                s00 += g0 * w0
                s01 += g0 * w1
                s02 += g0 * w2
                s03 += g0 * w3
                s10 += g1 * w0
                s11 += g1 * w1
                s12 += g1 * w2
                s13 += g1 * w3
                s20 += g2 * w0
                s21 += g2 * w1
                s22 += g2 * w2
                s23 += g2 * w3
                s30 += g3 * w0
                s31 += g3 * w1
                s32 += g3 * w2
                s33 += g3 * w3
            for i, s0, s1, s2, s3 in (
                (0, s00, s01, s02, s03),
                (1, s10, s11, s12, s13),
                (2, s20, s21, s22, s23),
                (3, s30, s31, s32, s33),
            ):
                dx[m + i, k] += s0
                dx[m + i, k + 1] += s1
                dx[m + i, k + 2] += s2
                dx[m + i, k + 3] += s3
    for m in range(rows):
        for k in range(whole_depth if m < whole_rows else 0, depth):
            total = zero
            for n in range(columns):
                total += dy[m, n] * kernel[k, n]
            dx[m, k] += total


@kernel
def dense_backward_filter(x, dy, dkernel, accumulate):
    """dkernel = x.T @ dy.  x: (M, K), dy: (M, N), dkernel: (K, N)"""
    kernel_attributes()
    rows, depth = x.shape
    columns = dy.shape[1]
    if not accumulate:
        for k in range(depth):
            for n in range(columns):
                dkernel[k, n] = 0
    whole_rows, whole_depth = rows - rows % 4, depth - depth % 4
    for k in range(0, whole_depth, 4):
        for m in range(0, whole_rows, 4):
            x00, x01, x02, x03 = x[m, k], x[m, k + 1], x[m, k + 2], x[m, k + 3]
            x10, x11, x12, x13 = x[m + 1, k], x[m + 1, k + 1], x[m + 1, k + 2], x[m + 1, k + 3]
            x20, x21, x22, x23 = x[m + 2, k], x[m + 2, k + 1], x[m + 2, k + 2], x[m + 2, k + 3]
            x30, x31, x32, x33 = x[m + 3, k], x[m + 3, k + 1], x[m + 3, k + 2], x[m + 3, k + 3]
            for n in range(columns):
                g0, g1, g2, g3 = dy[m, n], dy[m + 1, n], dy[m + 2, n], dy[m + 3, n]
                dkernel[k, n] += x00 * g0 + x10 * g1 + x20 * g2 + x30 * g3
                dkernel[k + 1, n] += x01 * g0 + x11 * g1 + x21 * g2 + x31 * g3
                dkernel[k + 2, n] += x02 * g0 + x12 * g1 + x22 * g2 + x32 * g3
                dkernel[k + 3, n] += x03 * g0 + x13 * g1 + x23 * g2 + x33 * g3
    for k in range(depth):
        for m in range(whole_rows if k < whole_depth else 0, rows):
            value = x[m, k]
            for n in range(columns):
                dkernel[k, n] += value * dy[m, n]


@kernel
def bias_add_forward(x, bias, y):
    """y = x + bias along the last axis.  x, y: (..., C), bias: (C,); y may be x's memory."""
    kernel_attributes()
    if bias.size == 0:
        return
    bias = repeated(bias, rows_together(x.size // bias.size, bias.size), scratch(x.dtype))
    x = x.reshape(-1)
    y = y.reshape(-1)
    for first in range(0, y.size, bias.size):
        out = y[first : first + bias.size]
        # in place is a loop of its own: the compiler only vectorises what doesn't overlap
        if x.ctypes.data == y.ctypes.data:
            for j in range(out.size):
                out[j] += bias[j]
        else:
            row = x[first : first + bias.size]
            for j in range(out.size):
                out[j] = row[j] + bias[j]


@kernel
def parts_sum(parts, bias, y, relu):
    """y = sum of parts over their second axis + bias, cut at 0 if relu.  parts: (M, P, N), bias: (N,), y: (M, N)"""
    kernel_attributes()
    zero = y.dtype.type(0)
    for m in range(y.shape[0]):
        row = y[m]
        for n in range(bias.size):
            row[n] = bias[n]
        for p in range(parts.shape[1]):
            part = parts[m, p]
            for n in range(row.size):
                row[n] += part[n]
        if relu:
            for n in range(row.size):
                row[n] = zero if row[n] < zero else row[n]


@kernel
def bias_add_backward(dy, dbias, accumulate):
    """dbias = sum of dy over all but the last axis.  dy: (..., C), dbias: (C,)"""
    kernel_attributes()
    if not accumulate:
        dbias[:] = 0
    dy = dy.reshape(-1)
    for first in range(0, dy.size, max(1, dbias.size)):
        row = dy[first : first + dbias.size]
        for c in range(row.size):
            dbias[c] += row[c]
