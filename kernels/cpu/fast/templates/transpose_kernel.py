"""Transposed copies of weights, which the backward passes read."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.copies import transpose_tile

DTYPE, LANES = "float32", 8
GROUPS = 1
LINE = 16  # elements of a cache line

transpose = transpose_tile(dtype=DTYPE, lanes=LANES)


@kernel
def transpose_kernel(kernel, out, stride_h, stride_w):
    """Taps in reverse order, input and output channels exchanged (within each group), for backward_data.

    With a stride, dx falls into stride_h x stride_w phases, each with its own taps; they follow one another.
    kernel: (R, S, C / groups, K), out: (R * S * K / groups * C,)
    """
    kernel_attributes()
    taps_h, taps_w, depth, filters = kernel.shape
    columns, channels = filters // GROUPS, GROUPS * depth
    at = 0
    for phase_h in range(min(stride_h, taps_h)):
        for phase_w in range(min(stride_w, taps_w)):
            last_h = phase_h + (taps_h - 1 - phase_h) // stride_h * stride_h
            last_w = phase_w + (taps_w - 1 - phase_w) // stride_w * stride_w
            for r in range(last_h, -1, -stride_h):
                for s in range(last_w, -1, -stride_w):
                    tap = (r * taps_w + s) * depth * filters
                    for group in range(GROUPS):
                        # a cache line of columns: the lines that are written are full before others take their place
                        for column in range(0, columns, LINE):
                            source = address(kernel, tap + group * columns + column)
                            target = address(out, at + group * depth + column * channels)
                            transpose((source, target, depth, min(LINE, columns - column), filters, channels))
                    at += depth * filters
