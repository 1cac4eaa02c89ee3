"""Copies of samples of the user's data into the order of a batch."""

from .runtime.arrays import prefetch
from .runtime.jit import kernel, kernel_attributes


@kernel
def gather(source, order, out):
    """out[i] = source[order[i]].  source: (samples, ...), order: (n,), out: (n, ...)"""
    kernel_attributes()
    flat = source.reshape(-1)
    out_flat = out.reshape(-1)
    size = out_flat.size // max(1, order.size)
    line = 64 // flat.itemsize
    if size == 1:
        for i in range(out_flat.size):
            out_flat[i] = flat[order[i]]
        return
    for i in range(order.size):
        # the next sample is on its way while this one is copied: samples lie anywhere in the main memory
        if i + 1 < order.size and size >= line:
            following = order[i + 1] * size
            for j in range(0, size, line):
                prefetch(flat, following + j)
        row = flat[order[i] * size : (order[i] + 1) * size]
        target = out_flat[i * size : (i + 1) * size]
        for j in range(size):
            target[j] = row[j]
