"""The gradient of a bias: sums over all rows, with the columns in vector registers."""

import numpy as np

from jitnet.kernels.cpu.runtime.arrays import address, stack_array
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.simd import column_sum_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
VECTORS = 4

COLUMNS = LANES * VECTORS
_dtype = np.float32 if DTYPE == "float32" else np.float64
_constants = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, vectors=VECTORS)
whole = column_sum_tile(masked=False, **_constants)
edge = column_sum_tile(masked=True, **_constants)


@kernel
def bias_add_backward(dy, dbias, accumulate):
    """dbias = sum of dy over all but the last axis.  dy: (..., C), dbias: (C,)"""
    kernel_attributes()
    channels = dbias.size
    if channels == 0:
        return
    # several rows of few channels are taken as one, and their sums summed
    rows_in_one = COLUMNS // channels
    if rows_in_one > 1:
        width = rows_in_one * channels
        rows = dy.size // width
        sums = stack_array(_dtype, COLUMNS)
        edge((address(dy, 0), width, address(sums, 0), rows, width, 0))
        edge((address(sums, 0), channels, address(dbias, 0), rows_in_one, channels, accumulate))
        rest = dy.size // channels - rows * rows_in_one
        edge((address(dy, rows * width), channels, address(dbias, 0), rest, channels, 1))
        return
    rows = dy.size // channels
    for column in range(0, channels, COLUMNS):
        arguments = address(dy, column), channels, address(dbias, column), rows, channels - column, accumulate
        if channels - column >= COLUMNS:
            whole(arguments)
        else:
            edge(arguments)
