"""What goes with ``matrix_multiply_part``: each core keeps to its own rows of a dense layer's weights."""

from jitnet.kernels.cpu.runtime.arrays import prefetch
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes


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
def gather_columns(source, order, out, first, last):
    """out[i, first:last] = source[order[i], first:last].  source: (samples, ...), order: (n,), out: (n, K)"""
    kernel_attributes()
    flat = source.reshape(-1)
    size = out.shape[1]
    line = 64 // flat.itemsize
    for i in range(order.size):
        if i + 1 < order.size:
            following = order[i + 1] * size
            for j in range(first, last, line):
                prefetch(flat, following + j)
        row = flat[order[i] * size + first : order[i] * size + last]
        target = out[i, first:last]
        for j in range(target.size):
            target[j] = row[j]
