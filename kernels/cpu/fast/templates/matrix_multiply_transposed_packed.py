"""Product with a transposed matrix, both of them large: parts of them are packed."""

import numpy as np

from jitnet.kernels.cpu.runtime.arrays import address, stack_array
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.copies import panel_tile
from jitnet.kernels.cpu.tiles.simd import matrix_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
MR, VECTORS = 8, 2  # a tile: rows, vectors of columns
MC, KC = 128, 256  # rows of x.T, and steps of a sum, that are packed at a time
EPILOGUE = "store"

ITEMSIZE = 4 if DTYPE == "float32" else 8
NR = LANES * VECTORS
BLOCK, PANEL = KC * MC, KC * NR
ACCUMULATE = EPILOGUE == "accumulate"
_dtype = np.float32 if DTYPE == "float32" else np.float64
_vectors = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS)
_tile = dict(rows=MR, vectors=VECTORS, epilogue="store", contiguous=False, in_parts=True, **_vectors)
whole = matrix_tile(masked=False, unroll=2, **_tile)
edge = matrix_tile(masked=True, unroll=1, **_tile)
pack_x = panel_tile(vectors=MC // LANES, **_vectors)
pack_dy = panel_tile(vectors=VECTORS, **_vectors)


@kernel
def matrix_multiply_transposed_packed(x, dy, dkernel, first, last):
    """dkernel[first:last] = x.T[first:last] @ dy, added to what is there with the epilogue accumulate.

    x: (M, K), dy: (M, N), dkernel: (K, N)
    """
    kernel_attributes()
    x_row, dy_row, out_row = x.strides[0] // ITEMSIZE, dy.strides[0] // ITEMSIZE, dkernel.strides[0] // ITEMSIZE
    depth, width = dy.shape
    block = address(stack_array(_dtype, BLOCK), 0)
    panel = address(stack_array(_dtype, PANEL), 0)
    for part in range(0, max(depth, 1), KC):
        count = min(KC, depth - part)
        for some in range(first, last, MC):
            pack_x((address(x, part * x_row + some), x_row, block, count, last - some))
            for column in range(0, width, NR):
                pack_dy((address(dy, part * dy_row + column), dy_row, panel, count, width - column))
                for row in range(some, min(some + MC, last), MR):
                    arguments = (
                        block + (row - some) * ITEMSIZE, 1, MC, panel, NR,
                        address(dkernel, row * out_row + column), out_row, count, last - row, width - column,
                        ACCUMULATE or part > 0, 1, 0, 0, 0,
                    )  # fmt: skip
                    if width - column >= NR:
                        whole(arguments)
                    else:
                        edge(arguments)
